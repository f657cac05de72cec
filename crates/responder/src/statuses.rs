//! What the responder needs of the store, and what it tells it.

use std::fmt;

use async_trait::async_trait;
use ingam_protocol::crl::{self, Scope};
use ingam_protocol::ocsp::CertStatus;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Serial, Shard, Timestamp};
pub use ingam_store::{ShardsInUse, StatusChange};
use tokio::sync::broadcast;

/// A certificate's status as it is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Good or revoked.
    pub status: CertStatus,
    /// The certificate's last valid second.
    pub not_after: Timestamp,
    /// Rises whenever this certificate's status changes.
    pub generation: u64,
}

/// Certificates of an issuer, one page of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IssuedPage {
    /// Those that were signed, in order.
    pub certificates: Vec<(Serial, Status)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Serial>,
}

/// A signature that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningEvent {
    /// Whose key signed, or whose delegate's.
    pub issuer: IssuerName,
    /// The producedAt of an answer, the thisUpdate of a CRL.
    pub at: Timestamp,
    /// Until when what was signed may be relied on.
    pub next_update: Timestamp,
    /// What was signed.
    pub signed: Signed,
}

/// What was signed. An answer about several certificates is an event for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// An OCSP answer.
    Ocsp {
        /// About which certificate.
        serial: Serial,
        /// What it says.
        status: CertStatus,
    },
    /// A CRL.
    Crl {
        /// Which shard it is about; none if it is about all certificates, or those that belong to none.
        shard: Option<Shard>,
        /// Its number.
        number: u64,
        /// How many certificates it lists.
        entries: usize,
    },
}

/// Certificate statuses, as the responder sees them.
#[async_trait]
pub trait Statuses: Send + Sync {
    /// The status of a certificate; `None` if this issuer never issued one with this serial number. It is quick (a read
    /// of a local database), as it is called on the threads that serve requests.
    ///
    /// # Errors
    /// [`StatusError`] if it cannot be read now.
    fn status(&self, issuer: &IssuerName, serial: &Serial) -> Result<Option<Status>, StatusError>;

    /// A number that rises whenever any status changes: after [`Statuses::status`] shows the change, and before anybody
    /// is told that it happened. It costs no more than reading an atomic.
    ///
    /// Whoever reads this number first and a status after it has a status that is at least as new as the number.
    fn generation(&self) -> u64;

    /// What is issued and revoked from now on, in order, after [`Statuses::status`] shows it. Whoever reads too slowly is told that it
    /// missed something.
    fn changes(&self) -> broadcast::Receiver<StatusChange>;

    /// The next certificates of an issuer behind `after`, in the order of their serial numbers' bytes. At most `limit` serial numbers
    /// are looked at. It may block, and is called where that is allowed.
    ///
    /// # Errors
    /// [`StatusError`] if they cannot be read now.
    fn issued(
        &self,
        issuer: &IssuerName,
        after: Option<&Serial>,
        limit: usize,
    ) -> Result<IssuedPage, StatusError>;

    /// Where an issuer has certificates, or set serial numbers aside for them.
    ///
    /// # Errors
    /// [`StatusError`] if it cannot be read now.
    fn shards(&self, issuer: &IssuerName) -> Result<ShardsInUse, StatusError>;

    /// The generation at which a certificate of an issuer's shard, or one that belongs to none, was last revoked: zero if
    /// none was. As quick as [`Statuses::status`].
    ///
    /// # Errors
    /// [`StatusError`] if it cannot be read now.
    fn revoked_generation(&self, issuer: &IssuerName, shard: Option<Shard>) -> Result<u64, StatusError>;

    /// The next revoked certificates of an issuer in a scope, at most `limit`, in an order that is always the same: those
    /// behind `after`, each once; fewer than `limit` only at the end. Those whose notAfter lies before `ended_before` are
    /// left out. It may block, and is called where that is allowed.
    ///
    /// # Errors
    /// [`StatusError`] if they cannot be read now.
    fn revoked(
        &self,
        issuer: &IssuerName,
        scope: Scope,
        after: Option<&Serial>,
        ended_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<crl::Entry>, StatusError>;

    /// Takes the next number of the CRLs of an issuer's shard, or of what belongs to none, above `above`. It is durable
    /// before this returns, so that no number is ever used twice; numbers may be left out.
    ///
    /// # Errors
    /// [`StatusError`] if it could not be made durable.
    async fn crl_number(
        &self,
        issuer: &IssuerName,
        shard: Option<Shard>,
        above: u64,
    ) -> Result<u64, StatusError>;

    /// Puts signatures on record. The same batch may come again after an error, even if it was recorded.
    ///
    /// # Errors
    /// [`StatusError`] if it is not known to be durable.
    async fn record_signed(&self, events: Vec<SigningEvent>) -> Result<(), StatusError>;
}

/// The store could not do what it was asked.
#[derive(Debug)]
pub struct StatusError {
    doing: &'static str,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StatusError {
    /// An error of what was being done (`"reading a status"`), with its cause.
    pub fn new(doing: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { doing, source: Some(source.into()) }
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.doing)
    }
}

impl std::error::Error for StatusError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
