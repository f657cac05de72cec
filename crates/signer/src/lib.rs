//! The signer: the only part that holds keys of the CA.
//!
//! It does not sign bytes that it is handed: it is told facts (who, which names, which key; which serials are revoked),
//! builds and checks the bytes itself, and signs those. Its trait is the wall: the implementation in this crate works
//! in place, a process of its own can stand behind the same trait.
//!
//! - [`hierarchy`]: makes, takes over, saves and loads a root and the issuing CAs below it. Its keys' files are encrypted
//!   under a [`Passphrase`] where one is given (`sealing`).
//! - [`ceremony`]: roots, CAs below others, cross-certificates, CRLs of CAs whose keys are offline.
//! - [`LocalSigner`]: the implementation with keys in this process. It builds the bytes (`leaf`), holds them against
//!   every rule before a key is touched (`lint`), signs, and verifies what it signed.
//! - [`tls`]: the certificate of the management and ACME endpoints of a development server; no part of the hierarchy.
//! - [`own_tls`]: key and file of an https certificate that the CA issues to itself.

mod ca;
pub mod ceremony;
mod delegate;
mod encode;
pub mod hierarchy;
mod key;
mod key_location;
mod leaf;
mod lint;
mod local;
pub mod own_tls;
mod passphrase;
mod sealing;
mod storage;
#[cfg(test)]
mod testing;
pub mod tls;

pub use delegate::DelegateCertificate;
pub use hierarchy::Hierarchy;
pub use key::{CaKey, KeyKind, PrivateKey, TokenSigner};
pub use key_location::{KeyLocation, Token, TokenKey};
pub use local::LocalSigner;
pub use passphrase::Passphrase;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingam_protocol::crl;
use ingam_protocol::identifier::Identifier;
use ingam_protocol::ocsp;
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::{Serial, Timestamp};

/// What the world may know about one issuing CA.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Its name inside the CA.
    pub name: IssuerName,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// What goes with a leaf: the issuer's own certificate first, up to but without the root, DER.
    pub chain: Vec<Vec<u8>>,
    /// The root at the end of that chain, DER.
    pub root: Vec<u8>,
    /// Further chains, by cross-certificates.
    pub alternates: Vec<Alternate>,
    /// DER of its subject (a `Name`), for CRLs and CertIDs.
    pub subject: Vec<u8>,
    /// Contents of its subjectPublicKey BIT STRING, without the unused-bits octet, for CertIDs.
    pub public_key: Vec<u8>,
    /// Its subjectKeyIdentifier, which certificates have as authorityKeyIdentifier.
    pub key_identifier: Vec<u8>,
    /// When its certificate ends.
    pub not_after: Timestamp,
}

impl Issuer {
    /// DER of the roots at the ends of all chains, that of the usual one first.
    pub fn roots(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(self.root.as_slice())
            .chain(self.alternates.iter().map(|alternate| alternate.root.as_slice()))
    }
}

/// A further chain of an issuing CA, for clients that trust another root.
#[derive(Clone, Debug)]
pub struct Alternate {
    /// What goes with a leaf: a certificate of the issuer first, up to but without the root, DER.
    pub chain: Vec<Vec<u8>>,
    /// The root at the end of the chain, DER.
    pub root: Vec<u8>,
    /// When the first of all these ends.
    pub not_after: Timestamp,
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// The kind of certificate.
    pub profile: Arc<Profile>,
    /// Its serial number, made by the caller, never used before.
    pub serial: Serial,
    /// Its subjectAltNames, all of them, at least one.
    pub identifiers: Vec<Identifier>,
    /// The subject's public key: DER of a SubjectPublicKeyInfo.
    pub public_key_info: Vec<u8>,
    /// Its first valid second, where the order asked for one (RFC 8555, section 7.4); within the profile's bounds.
    pub not_before: Option<Timestamp>,
    /// Its last valid second, likewise.
    pub not_after: Option<Timestamp>,
    /// The moment of signing, from which notBefore is counted back where none was asked for.
    pub now: Timestamp,
}

/// The three URLs that a certificate of an issuer points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerUrls {
    /// Authority Information Access: OCSP.
    pub ocsp: String,
    /// Authority Information Access: the issuer's certificate.
    pub issuer: String,
    /// CRL distribution point.
    pub crl: String,
}

/// A certificate whose exact bytes are fixed, checked, and not yet signed. Only the signer makes it; issuing consumes it.
#[derive(Debug)]
pub struct Prepared {
    issuer: IssuerName,
    linted: lint::Linted,
}

impl Prepared {
    pub(crate) fn new(issuer: IssuerName, linted: lint::Linted) -> Self {
        Self { issuer, linted }
    }

    /// Who will sign.
    pub fn issuer(&self) -> &IssuerName {
        &self.issuer
    }

    /// Its serial number.
    pub fn serial(&self) -> &Serial {
        self.linted.serial()
    }

    /// From when it will be valid.
    pub fn not_before(&self) -> Timestamp {
        self.linted.validity().not_before
    }

    /// Its last valid second.
    pub fn not_after(&self) -> Timestamp {
        self.linted.validity().not_after
    }

    /// DER of the TBSCertificate: what has to be on record before it is signed.
    pub fn tbs(&self) -> &[u8] {
        self.linted.tbs()
    }
}

/// Facts of an OCSP answer; the signer adds who it is, encodes and signs.
#[derive(Clone, Debug)]
pub struct OcspAnswer {
    /// What is said of each certificate.
    pub responses: Vec<ocsp::SingleResponse>,
    /// When it is made.
    pub produced_at: Timestamp,
    /// The request's nonce, to be echoed (RFC 9654).
    pub nonce: Option<Vec<u8>>,
}

/// Facts of a CRL; the signer adds who it is, encodes and signs.
#[derive(Clone, Debug)]
pub struct CrlContents {
    /// Its number, higher than that of the one before (RFC 5280, section 5.2.3).
    pub number: u64,
    /// From when it holds.
    pub this_update: Timestamp,
    /// When the next one is there at the latest.
    pub next_update: Timestamp,
    /// What is revoked.
    pub entries: Vec<crl::Entry>,
}

/// The signer as its callers see it.
#[async_trait]
pub trait Signer: Send + Sync {
    /// Every issuing CA that this signer can sign for.
    fn issuers(&self) -> &[Issuer];

    /// Builds and checks a certificate without using a key of the CA.
    ///
    /// # Errors
    /// [`Error::Refused`] if the certificate must not exist: its words say why and are for the log.
    async fn prepare(&self, request: CertificateRequest) -> Result<Prepared, Error>;

    /// Takes up again a certificate whose bytes were recorded earlier, perhaps by another process: they are checked
    /// again as if they were new.
    ///
    /// # Errors
    /// As [`Signer::prepare`].
    async fn adopt(&self, profile: Arc<Profile>, tbs: Vec<u8>) -> Result<Prepared, Error>;

    /// Signs a prepared certificate and gives its DER. The caller has recorded that it is about to ask.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the key could not be used; whether it was is then unknown.
    async fn issue(&self, prepared: Prepared) -> Result<Vec<u8>, Error>;

    /// Until when answers signed now by this issuer's OCSP key can be valid: the notAfter of the certificate that signs.
    ///
    /// # Errors
    /// [`Error::UnknownIssuer`].
    fn ocsp_signer_not_after(&self, issuer: &IssuerName) -> Result<Timestamp, Error>;

    /// Signs an OCSP answer and gives the DER of the whole OCSPResponse.
    ///
    /// # Errors
    /// [`Error::UnknownIssuer`]; [`Error::Refused`] if an update would end after the signing certificate does.
    async fn sign_ocsp(&self, issuer: &IssuerName, answer: OcspAnswer) -> Result<Vec<u8>, Error>;

    /// Signs a CRL and gives the DER of the whole CertificateList.
    ///
    /// # Errors
    /// [`Error::UnknownIssuer`], [`Error::Unavailable`].
    async fn sign_crl(&self, issuer: &IssuerName, contents: CrlContents) -> Result<Vec<u8>, Error>;
}

/// What can go wrong here.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for must not be signed.
    Refused(String),
    /// No key for this issuer is loaded.
    UnknownIssuer(IssuerName),
    /// The key could not be used.
    Unavailable(String),
    /// A key or certificate file is not what it should be; what was being done, and the cause.
    Load(String, Option<Box<dyn std::error::Error + Send + Sync>>),
}

impl Error {
    /// A stable short name for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "signer_refused",
            Self::UnknownIssuer(_) => "signer_unknown_issuer",
            Self::Unavailable(_) => "signer_unavailable",
            Self::Load(..) => "signer_load",
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the signer refuses: {why}"),
            Self::UnknownIssuer(name) => write!(f, "no key is loaded for the issuer '{name}'"),
            Self::Unavailable(what) => write!(f, "the key could not be used: {what}"),
            Self::Load(what, _) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Load(_, Some(cause)) => Some(cause.as_ref()),
            _ => None,
        }
    }
}

/// How long a delegated OCSP certificate is valid; it is renewed when less than a third of that is left.
pub const OCSP_DELEGATE_VALIDITY: Duration = Duration::from_secs(30 * 24 * 60 * 60);
