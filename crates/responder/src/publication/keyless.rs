//! What a responder without keys and without a store has in the place of both.

use std::sync::Arc;

use async_trait::async_trait;
use ingam_protocol::crl::{self, Scope};
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::{Serial, Shard, Timestamp};
use ingam_signer::{
    CertificateRequest, CrlContents, DelegateCertificate, Error, FinalRequest, Issuer, OcspAnswer, Prepared,
    Signer,
};
use tokio::sync::broadcast;

use crate::corpus::{Corpus, Told};
use crate::statuses::{IssuedPage, ShardsInUse, SigningEvent, Status, StatusChange, StatusError, Statuses};

/// The statuses of those certificates that there are answers about.
pub(crate) struct AnswerStatuses(pub(crate) Arc<Corpus>);

fn none(doing: &'static str) -> StatusError {
    StatusError::new(doing, "this responder has no store")
}

#[async_trait]
impl Statuses for AnswerStatuses {
    fn status(&self, issuer: &IssuerName, serial: &Serial) -> Result<Option<Status>, StatusError> {
        let own = self.0.series().iter().filter(|series| series.owner.issuer == *issuer);
        let found = own.filter_map(|series| series.shelf().find(serial).map(|(_, entry)| entry)).next();
        match found.map(|entry| entry.told) {
            None => Ok(None),
            // When its certificate ends is not known here; the CA leaves it out of the tables then.
            Some(Told::Status(status)) => {
                Ok(Some(Status { status, not_after: Timestamp::from_unix_s(u32::MAX.into()), generation: 0 }))
            }
            Some(Told::Withdrawn) => Err(StatusError::new(
                "reading a status",
                "its answer was withdrawn, and there is no other yet",
            )),
        }
    }

    fn generation(&self) -> u64 {
        // What is in the tables is all that is known.
        0
    }

    fn changes(&self) -> broadcast::Receiver<StatusChange> {
        broadcast::channel(1).1
    }

    fn issued(&self, _: &IssuerName, _: Option<&Serial>, _: usize) -> Result<IssuedPage, StatusError> {
        Err(none("reading what was issued"))
    }

    fn shards(&self, _: &IssuerName) -> Result<ShardsInUse, StatusError> {
        Ok(ShardsInUse::default())
    }

    fn revoked_generation(&self, _: &IssuerName, _: Option<Shard>) -> Result<u64, StatusError> {
        Err(none("reading when something was last revoked"))
    }

    fn revoked(
        &self,
        _: &IssuerName,
        _: Scope,
        _: Option<&Serial>,
        _: Timestamp,
        _: usize,
    ) -> Result<Vec<crl::Entry>, StatusError> {
        Err(none("reading what is revoked"))
    }

    async fn crl_number(&self, _: &IssuerName, _: Option<Shard>, _: u64) -> Result<u64, StatusError> {
        Err(none("taking a CRL's number"))
    }

    async fn record_signed(&self, _: Vec<SigningEvent>) -> Result<(), StatusError> {
        Err(none("recording signatures"))
    }
}

/// A signer that signs nothing, ever: it has no key.
pub(crate) struct NoSigner(pub(crate) Vec<Issuer>);

fn away<T>() -> Result<T, Error> {
    Err(Error::Away("this responder has no key".to_owned()))
}

#[async_trait]
impl Signer for NoSigner {
    fn issuers(&self) -> &[Issuer] {
        &self.0
    }

    async fn ready(&self, _: &IssuerName) -> Result<(), Error> {
        away()
    }

    async fn prepare(&self, _: CertificateRequest) -> Result<Prepared, Error> {
        away()
    }

    async fn adopt(&self, _: Arc<Profile>, _: Vec<u8>) -> Result<Prepared, Error> {
        away()
    }

    async fn finish(&self, _: FinalRequest) -> Result<Prepared, Error> {
        away()
    }

    async fn issue(&self, _: Prepared) -> Result<Vec<u8>, Error> {
        away()
    }

    async fn renew(&self) -> Result<Vec<DelegateCertificate>, Error> {
        away()
    }

    fn delegates_not_after(&self) -> Vec<(IssuerName, Option<Timestamp>)> {
        Vec::new()
    }

    fn ocsp_signer_not_after(&self, _: &IssuerName) -> Result<Timestamp, Error> {
        away()
    }

    async fn sign_ocsp(&self, _: &IssuerName, _: OcspAnswer) -> Result<Vec<u8>, Error> {
        away()
    }

    async fn sign_crl(&self, _: &IssuerName, _: CrlContents) -> Result<Vec<u8>, Error> {
        away()
    }
}
