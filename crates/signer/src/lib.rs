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
//! - [`remote`]: the signer in a process of its own, and the way to it.
//! - [`ledger`]: what was prepared and what was used, so that nothing is signed twice.
//! - [`AnswerKey`]: all that a responder apart from the CA has: a key that signs OCSP answers, where the CA gave it a certificate.
//! - [`KeyLocation`]: where a key is: in a file, or on a token that is used through PKCS #11 (`key::token`).
//! - [`memory`]: keeps keys out of swap and core dumps.
//! - [`tls`]: the certificate of the management and ACME endpoints of a development server; no part of the hierarchy.
//! - [`specimen`]: the bytes of a certificate under a worthless signature, for linters.
//! - [`own_tls`]: key and file of an https certificate that the CA issues to itself.

mod answering;
mod ca;
pub mod ceremony;
mod country;
mod crypto;
mod delegate;
mod encode;
pub mod hierarchy;
mod key;
mod key_location;
mod leaf;
pub mod ledger;
mod lint;
mod local;
pub mod memory;
pub mod own_tls;
mod passphrase;
pub mod remote;
mod sealing;
mod storage;
#[cfg(test)]
mod testing;
mod throwaway;
pub mod tls;
mod verified;

pub use answering::{AnswerDelegate, AnswerKey};
pub use country::is_country;
pub use delegate::{DelegateCertificate, DelegateKey, RESPONDERS_MAX};
pub use hierarchy::Hierarchy;
pub use key::{CaKey, KeyKind, PrivateKey, TokenSigner};
pub use key_location::{KeyLocation, Token, TokenKey};
pub use ledger::{Kind, Ledger, PreparedId};
pub use local::LocalSigner;
pub use passphrase::Passphrase;
pub use remote::RemoteSigner;
pub use throwaway::specimen;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingam_protocol::crl;
use ingam_protocol::identifier::Identifier;
use ingam_protocol::ocsp;
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::transparency::SctList;
use ingam_protocol::{Serial, Shard, Timestamp};

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
    /// What kind of key it has.
    pub key: KeyKind,
    /// What its certificates point to.
    pub urls: IssuerUrls,
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
    /// Who signs: one of the profile's issuers that does not stand by.
    pub issuer: IssuerName,
    /// Its serial number, made by the caller, never used before.
    pub serial: Serial,
    /// Its subjectAltNames, all of them, at least one.
    pub identifiers: Vec<Identifier>,
    /// The subject's public key: DER of a SubjectPublicKeyInfo.
    pub public_key_info: Vec<u8>,
    /// Whether it says that servers have to staple an OCSP answer (RFC 7633), as the profile permits.
    pub must_staple: bool,
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
    /// CRL distribution point of certificates whose serial number belongs to no shard.
    pub crl: String,
}

impl IssuerUrls {
    /// Those of a CA of this name that publishes below `base`: scheme, host and port.
    pub fn below(base: &str, name: &IssuerName) -> Self {
        let base = base.trim_end_matches('/');
        Self {
            ocsp: format!("{base}/ocsp"),
            issuer: format!("{base}/issuer/{name}.crt"),
            crl: format!("{base}/crl/{name}.crl"),
        }
    }

    /// Where the CRL of a shard is, or of what belongs to none: the distribution point of the certificates that it is
    /// about, and its own. `/crl/NAME.crl`, and `/crl/NAME/N.crl` for a shard.
    pub fn crl_of(&self, shard: Option<Shard>) -> String {
        match shard {
            None => self.crl.clone(),
            Some(shard) => format!("{}/{shard}.crl", self.crl.strip_suffix(".crl").unwrap_or(&self.crl)),
        }
    }
}

/// A certificate whose exact bytes are fixed, checked, in the ledger, and not yet signed. Only the signer makes it; issuing
/// consumes it, and the ledger sees to it that no second value for the same bytes is signed.
#[derive(Debug)]
pub struct Prepared {
    id: PreparedId,
    issuer: IssuerName,
    kind: Kind,
    serial: Serial,
    not_before: Timestamp,
    not_after: Timestamp,
    tbs: Vec<u8>,
}

impl Prepared {
    pub(crate) fn new(id: PreparedId, issuer: IssuerName, kind: Kind, linted: lint::Linted) -> Self {
        let (serial, validity) = (linted.serial().clone(), linted.validity());
        let (not_before, not_after) = (validity.not_before, validity.not_after);
        Self { id, issuer, kind, serial, not_before, not_after, tbs: linted.into_tbs() }
    }

    /// Its name in the signer's ledger.
    pub fn id(&self) -> PreparedId {
        self.id
    }

    /// Who will sign.
    pub fn issuer(&self) -> &IssuerName {
        &self.issuer
    }

    /// Whether it is a precertificate.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its serial number.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// From when it will be valid.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Its last valid second.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// DER of the TBSCertificate: what has to be on record before it is signed.
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }
}

/// What a certificate is to be made of whose precertificate was signed.
#[derive(Clone, Debug)]
pub struct FinalRequest {
    /// Who signed the precertificate.
    pub issuer: IssuerName,
    /// DER of the precertificate's TBSCertificate.
    pub precertificate: Vec<u8>,
    /// What logs promised for it.
    pub scts: SctList,
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
    /// Which certificates it is about. The signer adds where such a list is found, if it is not complete.
    pub scope: crl::Scope,
    /// Its number, higher than that of the one before (RFC 5280, section 5.2.3).
    pub number: u64,
    /// From when it holds.
    pub this_update: Timestamp,
    /// When the next one is there at the latest.
    pub next_update: Timestamp,
    /// What is revoked: certificates in its scope alone, each once.
    pub entries: Vec<crl::Entry>,
}

/// The signer as its callers see it.
#[async_trait]
pub trait Signer: Send + Sync {
    /// Every issuing CA that this signer can sign for.
    fn issuers(&self) -> &[Issuer];

    /// Whether the signer could be asked for a signature of this issuer now: to be called before it goes on record that it is
    /// asked.
    ///
    /// # Errors
    /// [`Error::Away`], [`Error::Unavailable`] or [`Error::UnknownIssuer`].
    async fn ready(&self, issuer: &IssuerName) -> Result<(), Error>;

    /// Builds and checks a certificate without using a key of the CA, and puts it into the ledger.
    ///
    /// # Errors
    /// [`Error::Refused`] if the certificate must not exist: its words say why and are for the log. [`Error::Away`].
    async fn prepare(&self, request: CertificateRequest) -> Result<Prepared, Error>;

    /// Takes up again a certificate whose bytes were recorded earlier, perhaps by another process: they are checked
    /// again as if they were new. What was signed, or about to be, is refused.
    ///
    /// # Errors
    /// As [`Signer::prepare`].
    async fn adopt(&self, profile: Arc<Profile>, tbs: Vec<u8>) -> Result<Prepared, Error>;

    /// Builds the certificate that belongs to a precertificate: the same bytes, with SCTs in place of the poison. Whether the
    /// SCTs are those of logs is for the caller to see to; here they are counted.
    ///
    /// # Errors
    /// As [`Signer::prepare`]; [`Error::Refused`] too if no such precertificate was signed by the ledger.
    async fn finish(&self, request: FinalRequest) -> Result<Prepared, Error>;

    /// Signs a prepared certificate and gives its DER. The caller has recorded that it is about to ask. The ledger notes,
    /// durably and before the key is used, that these bytes are used up.
    ///
    /// # Errors
    /// [`Error::Refused`] if they were; [`Error::Unavailable`] if the key could not be used; whether it was is then unknown.
    async fn issue(&self, prepared: Prepared) -> Result<Vec<u8>, Error>;

    /// Renews what the signer needs of its own before it ends, which is the certificates of OCSP delegates (those of issuers
    /// with RSA or P-384 keys, or without digitalSignature), and those of responders apart from the CA. Gives those that were not
    /// given before: the CA signed them, so they belong on record. May be called as often as one likes. An issuer whose key cannot
    /// be used keeps the delegate that it has, which is told in the log; one that has ended gets none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] and [`Error::Away`] if the signer is another process, and does not answer.
    async fn renew(&self) -> Result<Vec<DelegateCertificate>, Error>;

    /// The last second of the OCSP delegate of each issuer that does not sign its answers itself; `None` where there is no
    /// delegate yet.
    fn delegates_not_after(&self) -> Vec<(IssuerName, Option<Timestamp>)>;

    /// From now on these keys of responders apart from the CA, and no others, get a certificate of each issuer with the next
    /// [`Signer::renew`]. A signer that is another process goes by its own configuration.
    ///
    /// # Errors
    /// [`Error::Refused`] if one of them is a CA's; then nothing is changed.
    fn delegate_to(&self, _: &[DelegateKey]) -> Result<(), Error> {
        Ok(())
    }

    /// The certificates that are in force of responders apart from the CA, for each of them and each issuer.
    fn delegates_apart(&self) -> Vec<DelegateCertificate> {
        Vec::new()
    }

    /// Until when answers signed now by this issuer's OCSP key can be valid: the notAfter of the certificate that signs.
    ///
    /// # Errors
    /// [`Error::UnknownIssuer`].
    fn ocsp_signer_not_after(&self, issuer: &IssuerName) -> Result<Timestamp, Error>;

    /// Whether [`Signer::sign_ocsp`] of this issuer waits for nothing and takes microseconds: its key is in this process, and on P-256.
    /// Whoever must not wait may ask it then, and nobody else.
    fn signs_at_once(&self, _: &IssuerName) -> bool {
        false
    }

    /// Signs an OCSP answer and gives the DER of the whole OCSPResponse.
    ///
    /// # Errors
    /// [`Error::UnknownIssuer`]; [`Error::Refused`] if an update would end after the signing certificate does.
    async fn sign_ocsp(&self, issuer: &IssuerName, answer: OcspAnswer) -> Result<Vec<u8>, Error>;

    /// Signs a CRL and gives the DER of the whole CertificateList.
    ///
    /// # Errors
    /// [`Error::UnknownIssuer`], [`Error::Unavailable`]; [`Error::Refused`] if an entry is there twice or is not in the
    /// list's scope, or if the list would outlive its issuer.
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
    /// The signer's process is not there: nothing was signed, and it may come back.
    Away(String),
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
            Self::Away(_) => "signer_away",
            Self::Load(..) => "signer_load",
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Commands refuse too, where no process of a signer runs: the words stand alone.
            Self::Refused(why) => f.write_str(why),
            Self::UnknownIssuer(name) => write!(f, "no key is loaded for the issuer '{name}'"),
            Self::Unavailable(what) => write!(f, "the key could not be used: {what}"),
            Self::Away(why) => write!(f, "the signer is not there: {why}"),
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
