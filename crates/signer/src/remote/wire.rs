//! What a signer's process and its callers say to each other.

use std::fmt;

use ingam_protocol::crl::{self, Scope};
use ingam_protocol::ocsp::{CertStatus, SingleResponse};
use ingam_protocol::profile::{IssuerName, Profile, ProfileName};
use ingam_protocol::{Bytes, Identifier, Reason, Serial, Shard, Timestamp};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::{Alternate, DelegateCertificate, Issuer, IssuerUrls, KeyKind, Kind, Prepared, PreparedId};

/// No message is larger: a CRL with [`CRL_ENTRIES_MAX`] fits.
pub const BODY_BYTES_MAX: usize = 160 << 20;

/// So many entries a CRL may have: one takes at most 80 bytes of a message.
pub const CRL_ENTRIES_MAX: usize = 2_000_000;

/// What can be asked of a signer, and allowed to a caller or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Who the issuers are, and whether they can sign: certificates and dates, nothing secret.
    Facts,
    /// To build and check a certificate, or to take one up again; to ask whether it could be signed.
    Prepare,
    /// To sign a prepared certificate, and to make one of a precertificate.
    Issue,
    /// To sign an OCSP answer.
    Ocsp,
    /// To sign a CRL.
    Crl,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Facts, Self::Prepare, Self::Issue, Self::Ocsp, Self::Crl];

    /// What somebody needs to be allowed who POSTs to this path; `None` for a path where nothing is.
    pub fn of_path(path: &str) -> Option<Self> {
        match path {
            "/v1/facts" => Some(Self::Facts),
            "/v1/ready" | "/v1/prepare" | "/v1/adopt" => Some(Self::Prepare),
            "/v1/finish" | "/v1/issue" => Some(Self::Issue),
            "/v1/ocsp" => Some(Self::Ocsp),
            "/v1/crl" => Some(Self::Crl),
            _ => None,
        }
    }

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::Prepare => "prepare",
            Self::Issue => "issue",
            Self::Ocsp => "ocsp",
            Self::Crl => "crl",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which issuer is asked after, and the answer that it can sign.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReadyMessage {
    pub(crate) issuer: IssuerName,
}

/// A profile by its name, and by a digest of all it says: whoever goes by another one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedProfile {
    pub(crate) name: ProfileName,
    pub(crate) digest: Bytes,
}

impl NamedProfile {
    /// Both sides are of one version, and so write what a profile says in one way.
    pub(crate) fn of(profile: &Profile) -> Self {
        let said = format!("{} {profile:?}", env!("CARGO_PKG_VERSION"));
        Self { name: profile.name.clone(), digest: digest(&SHA256, said.as_bytes()).as_ref().into() }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PrepareMessage {
    pub(crate) profile: NamedProfile,
    pub(crate) issuer: IssuerName,
    pub(crate) serial: Serial,
    pub(crate) identifiers: Vec<Identifier>,
    pub(crate) public_key_info: Bytes,
    pub(crate) must_staple: bool,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) not_after: Option<Timestamp>,
    pub(crate) now: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AdoptMessage {
    pub(crate) profile: NamedProfile,
    pub(crate) tbs: Bytes,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FinishMessage {
    pub(crate) issuer: IssuerName,
    pub(crate) precertificate: Bytes,
    /// A SignedCertificateTimestampList (RFC 6962, section 3.3).
    pub(crate) scts: Bytes,
}

/// Prepared bytes, on their way to the caller and back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PreparedMessage {
    pub(crate) id: Bytes,
    pub(crate) issuer: IssuerName,
    pub(crate) is_precertificate: bool,
    pub(crate) serial: Serial,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) tbs: Bytes,
}

impl From<Prepared> for PreparedMessage {
    fn from(prepared: Prepared) -> Self {
        Self {
            id: prepared.id.as_bytes().as_slice().into(),
            issuer: prepared.issuer,
            is_precertificate: prepared.kind == Kind::Precertificate,
            serial: prepared.serial,
            not_before: prepared.not_before,
            not_after: prepared.not_after,
            tbs: prepared.tbs.into(),
        }
    }
}

impl PreparedMessage {
    pub(crate) fn id(&self) -> Option<PreparedId> {
        <[u8; 16]>::try_from(&self.id[..]).ok().map(PreparedId::from_bytes)
    }

    pub(crate) fn kind(&self) -> Kind {
        if self.is_precertificate { Kind::Precertificate } else { Kind::Certificate }
    }

    /// What the signer said that it has prepared; `None` if its id is none.
    pub(crate) fn prepared(self) -> Option<Prepared> {
        Some(Prepared {
            id: self.id()?,
            kind: self.kind(),
            issuer: self.issuer,
            serial: self.serial,
            not_before: self.not_before,
            not_after: self.not_after,
            tbs: self.tbs.into_vec(),
        })
    }
}

/// DER of what was signed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignedMessage {
    pub(crate) der: Bytes,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OcspMessage {
    pub(crate) issuer: IssuerName,
    pub(crate) responses: Vec<ResponseMessage>,
    pub(crate) produced_at: Timestamp,
    pub(crate) nonce: Option<Bytes>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ResponseMessage {
    cert_id: Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<(Timestamp, Reason)>,
    this_update: Timestamp,
    next_update: Timestamp,
}

impl From<SingleResponse> for ResponseMessage {
    fn from(response: SingleResponse) -> Self {
        let revoked = match response.status {
            CertStatus::Good => None,
            CertStatus::Revoked { at, reason } => Some((at, reason)),
        };
        let SingleResponse { cert_id, this_update, next_update, .. } = response;
        Self { cert_id: cert_id.into(), revoked, this_update, next_update }
    }
}

impl From<ResponseMessage> for SingleResponse {
    fn from(message: ResponseMessage) -> Self {
        let status = match message.revoked {
            None => CertStatus::Good,
            Some((at, reason)) => CertStatus::Revoked { at, reason },
        };
        let ResponseMessage { cert_id, this_update, next_update, .. } = message;
        Self { cert_id: cert_id.into_vec(), status, this_update, next_update }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CrlMessage {
    pub(crate) issuer: IssuerName,
    pub(crate) number: u64,
    pub(crate) this_update: Timestamp,
    pub(crate) next_update: Timestamp,
    pub(crate) scope: ScopeMessage,
    /// Serial number, when and why of each, as arrays: there can be many.
    pub(crate) entries: Vec<(Serial, Timestamp, Reason)>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ScopeMessage {
    Complete,
    Unsharded,
    Shard(u16),
}

impl From<Scope> for ScopeMessage {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Complete => Self::Complete,
            Scope::Unsharded => Self::Unsharded,
            Scope::Shard(Shard(number)) => Self::Shard(number),
        }
    }
}

impl From<ScopeMessage> for Scope {
    fn from(message: ScopeMessage) -> Self {
        match message {
            ScopeMessage::Complete => Self::Complete,
            ScopeMessage::Unsharded => Self::Unsharded,
            ScopeMessage::Shard(number) => Self::Shard(Shard(number)),
        }
    }
}

pub(crate) fn entry((serial, revoked_at, reason): (Serial, Timestamp, Reason)) -> crl::Entry {
    crl::Entry { serial, revoked_at, reason }
}

/// All that a caller has to know of the signer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FactsMessage {
    pub(crate) issuers: Vec<IssuerMessage>,
    pub(crate) delegates: Vec<DelegateMessage>,
    /// Those in force of responders apart from the CA.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) apart: Vec<DelegateMessage>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IssuerMessage {
    pub(crate) name: IssuerName,
    certificate: Bytes,
    chain: Vec<Bytes>,
    root: Bytes,
    alternates: Vec<AlternateMessage>,
    subject: Bytes,
    public_key: Bytes,
    key_identifier: Bytes,
    not_after: Timestamp,
    key: KeyKind,
    ocsp_url: String,
    issuer_url: String,
    crl_url: String,
    /// Why it cannot sign at the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    /// Until when answers are good that its OCSP key signs; none without such a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ocsp_not_after: Option<Timestamp>,
    /// Whether others than itself sign its answers.
    pub(crate) is_delegating: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct AlternateMessage {
    chain: Vec<Bytes>,
    root: Bytes,
    not_after: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DelegateMessage {
    pub(crate) issuer: IssuerName,
    pub(crate) serial: Serial,
    not_after: Timestamp,
    certificate: Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) responder: Option<String>,
}

fn all(ders: &[Vec<u8>]) -> Vec<Bytes> {
    ders.iter().map(|der| der.as_slice().into()).collect()
}

fn vectors(ders: Vec<Bytes>) -> Vec<Vec<u8>> {
    ders.into_iter().map(Bytes::into_vec).collect()
}

impl From<&Issuer> for IssuerMessage {
    fn from(issuer: &Issuer) -> Self {
        let alternate = |alternate: &Alternate| AlternateMessage {
            chain: all(&alternate.chain),
            root: alternate.root.as_slice().into(),
            not_after: alternate.not_after,
        };
        Self {
            name: issuer.name.clone(),
            certificate: issuer.certificate.as_slice().into(),
            chain: all(&issuer.chain),
            root: issuer.root.as_slice().into(),
            alternates: issuer.alternates.iter().map(alternate).collect(),
            subject: issuer.subject.as_slice().into(),
            public_key: issuer.public_key.as_slice().into(),
            key_identifier: issuer.key_identifier.as_slice().into(),
            not_after: issuer.not_after,
            key: issuer.key,
            ocsp_url: issuer.urls.ocsp.clone(),
            issuer_url: issuer.urls.issuer.clone(),
            crl_url: issuer.urls.crl.clone(),
            trouble: None,
            ocsp_not_after: None,
            is_delegating: false,
        }
    }
}

impl From<IssuerMessage> for Issuer {
    fn from(message: IssuerMessage) -> Self {
        let alternate = |alternate: AlternateMessage| Alternate {
            chain: vectors(alternate.chain),
            root: alternate.root.into_vec(),
            not_after: alternate.not_after,
        };
        Self {
            name: message.name,
            certificate: message.certificate.into_vec(),
            chain: vectors(message.chain),
            root: message.root.into_vec(),
            alternates: message.alternates.into_iter().map(alternate).collect(),
            subject: message.subject.into_vec(),
            public_key: message.public_key.into_vec(),
            key_identifier: message.key_identifier.into_vec(),
            not_after: message.not_after,
            key: message.key,
            urls: IssuerUrls { ocsp: message.ocsp_url, issuer: message.issuer_url, crl: message.crl_url },
        }
    }
}

impl From<DelegateCertificate> for DelegateMessage {
    fn from(delegate: DelegateCertificate) -> Self {
        let DelegateCertificate { issuer, serial, not_after, certificate, responder } = delegate;
        Self { issuer, serial, not_after, certificate: certificate.into(), responder }
    }
}

impl From<DelegateMessage> for DelegateCertificate {
    fn from(message: DelegateMessage) -> Self {
        let DelegateMessage { issuer, serial, not_after, certificate, responder } = message;
        Self { issuer, serial, not_after, certificate: certificate.into_vec(), responder }
    }
}

/// Why something was not done: which of the signer's errors, and its words.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorMessage {
    pub(crate) code: String,
    pub(crate) detail: String,
}
