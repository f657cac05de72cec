//! What each record says: JSON, so that it can be read in seven years without this program.

use std::net::IpAddr;

use ingam_protocol::acme::{Account, Authorization, ChallengeType, Claim, ErrorType, Failure, Order};
use ingam_protocol::bytes::hex;
use ingam_protocol::corroboration::Quorum;
use ingam_protocol::identifier::{Host, Identifier};
use ingam_protocol::jws::JwsText;
use ingam_protocol::key::PublicKey;
use ingam_protocol::operator::Principal;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Part, Record, RecordType, Seal};
use ingam_protocol::time::random_array;
use ingam_protocol::{Bytes, Id, Reason, Serial, Timestamp};
use ingam_validation::{CaaOutcome, Corroboration};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::Authority;
use crate::error::{Error, Fault};

/// A signed request on its way in: who sent it from where, and its exact bytes. Goes into the record of what it did.
#[derive(Clone, Debug, Serialize)]
pub struct Caller {
    /// The client's address.
    pub address: IpAddr,
    /// What the client calls itself, cut to a bounded length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The request's name in logs and problem documents.
    pub request_id: String,
    /// The URL that was asked.
    pub url: String,
    /// The request as it was signed.
    pub jws: JwsText,
}

/// A request whose payload lies elsewhere, under the subject's key: the record says which payload that was.
#[derive(Serialize)]
struct SealedRequest<'a> {
    #[serde(flatten)]
    caller: Caller,
    /// SHA-256 over the sealed part's contents: a salt, which goes when the subject's key goes, and the payload's text.
    payload_digest: &'a str,
}

#[derive(Serialize)]
pub(crate) struct AccountEvidence<'a> {
    pub(crate) account: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<&'a PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) terms_agreed: Option<Timestamp>,
    /// The key that the account was bound to when it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) external_key: Option<Id>,
}

impl<'a> AccountEvidence<'a> {
    /// Of an account of which nothing more is to be told.
    pub(crate) fn about(account: Id) -> Self {
        Self { account, key: None, terms_agreed: None, external_key: None }
    }

    pub(crate) fn of(account: &'a Account) -> Self {
        let external_key = account.external.as_ref().map(|external| external.key);
        Self {
            key: Some(&account.key),
            terms_agreed: account.terms_agreed,
            external_key,
            ..Self::about(account.id)
        }
    }
}

#[derive(Serialize)]
pub(crate) struct OrderEvidence<'a> {
    pub(crate) order: &'a Order,
    pub(crate) authorizations: &'a [Authorization],
}

#[derive(Serialize)]
pub(crate) struct ChallengeEvidence {
    pub(crate) authorization: Id,
    pub(crate) challenge: ChallengeType,
}

#[derive(Serialize)]
pub(crate) struct ValidationEvidence<'a> {
    pub(crate) authorization: Id,
    pub(crate) account: Id,
    /// The information validated, and the method: BR 3.2.2.4, ballot SC-099.
    pub(crate) identifier: String,
    /// The authorization domain name, if it is not the identifier itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization_domain: Option<String>,
    pub(crate) challenge: ChallengeType,
    pub(crate) method: Method,
    pub(crate) key_authorization: &'a str,
    pub(crate) seen: &'a ingam_validation::Evidence,
    /// What remote perspectives saw, and the quorum: BR 5.4.1, ballot SC-067.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) corroboration: Option<&'a Corroboration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) caa: Option<&'a CaaEvidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<&'a Failure>,
}

/// How control was shown: ACME's name for it, and the section of the BR.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Method {
    challenge: ChallengeType,
    section: &'static str,
}

impl Method {
    pub(crate) fn of(challenge: ChallengeType, host: &Host) -> Self {
        Self { challenge, section: challenge.baseline_section(host) }
    }
}

/// The domain name by which an authorization lets an identifier be issued for, if it is not the identifier itself: of a
/// wildcard the base name, and else a domain above (RFC 9444).
pub(crate) fn authorization_domain(identifier: &Identifier, host: &Host) -> Option<String> {
    let domain = host.to_string();
    (identifier.to_string() != domain).then_some(domain)
}

/// By what an identifier comes into a certificate.
#[derive(Debug, Serialize)]
pub(crate) struct ShownEvidence {
    identifier: String,
    authorization: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_domain: Option<String>,
    method: Method,
    /// When control was shown.
    at: Timestamp,
    /// The record of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    validation: Option<Id>,
}

impl ShownEvidence {
    /// Of an authorization whose challenge succeeded.
    pub(crate) fn of(identifier: &Identifier, authorization: &Authorization) -> Option<Self> {
        let shown = authorization.valid_challenge()?;
        let finished = shown.finished.as_ref()?;
        Some(Self {
            identifier: identifier.to_string(),
            authorization: authorization.id,
            authorization_domain: authorization_domain(identifier, &authorization.host),
            method: Method::of(shown.kind, &authorization.host),
            at: finished.at,
            validation: finished.record,
        })
    }
}

/// What was seen of CAA for one name, from everywhere.
#[derive(Debug, Serialize)]
pub(crate) struct CaaEvidence {
    #[serde(flatten)]
    seen: ingam_validation::Evidence,
    #[serde(skip_serializing_if = "Option::is_none")]
    corroboration: Option<Corroboration>,
}

impl From<CaaOutcome> for CaaEvidence {
    fn from(outcome: CaaOutcome) -> Self {
        Self { seen: outcome.evidence, corroboration: outcome.corroboration }
    }
}

/// What was looked at before an order was claimed.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// When the looks began; none if there were none.
    pub(crate) at: Option<Timestamp>,
    /// One for each identifier.
    pub(crate) shown: Vec<ShownEvidence>,
    /// One for each name.
    pub(crate) caa: Vec<CaaEvidence>,
}

impl Looked {
    /// What the looks at CAA have of perspectives that agree, all together.
    pub(crate) fn quorum(&self) -> Option<Quorum> {
        let quorums = self.caa.iter().map(|caa| caa.corroboration.as_ref().map(|seen| seen.quorum));
        quorums.collect::<Option<Vec<_>>>()?.into_iter().reduce(Quorum::weakest)
    }
}

/// Why a finalize was refused, by what was seen: BR 3.2.2.8, 5.4.1.
#[derive(Serialize)]
pub(crate) struct RefusedEvidence<'a> {
    pub(crate) order: Id,
    pub(crate) authorizations: &'a [ShownEvidence],
    pub(crate) caa: &'a [CaaEvidence],
    /// The error's type, and the words that the client was told.
    pub(crate) error: ErrorType,
    pub(crate) detail: &'a str,
}

#[derive(Serialize)]
pub(crate) struct PreparedEvidence<'a> {
    pub(crate) order: Id,
    pub(crate) claim: &'a Claim,
    pub(crate) csr: Bytes,
    /// BR 3.2.2.4, ballot SC-099.
    pub(crate) authorizations: &'a [ShownEvidence],
    pub(crate) caa: &'a [CaaEvidence],
}

/// A finalize that found no signer.
#[derive(Serialize)]
pub(crate) struct WaitingEvidence<'a> {
    pub(crate) order: Id,
    pub(crate) csr: Bytes,
    pub(crate) why: &'a str,
}

/// An order that ended without a claim.
#[derive(Serialize)]
pub(crate) struct FailedEvidence<'a> {
    pub(crate) order: Id,
    pub(crate) failure: &'a Failure,
}

#[derive(Serialize)]
pub(crate) struct AskedEvidence<'a> {
    pub(crate) order: Id,
    pub(crate) token: Id,
    pub(crate) issuer: &'a IssuerName,
    pub(crate) serial: &'a Serial,
}

#[derive(Serialize)]
pub(crate) struct PrecertificateEvidence<'a> {
    pub(crate) order: Id,
    pub(crate) issuer: &'a IssuerName,
    pub(crate) serial: &'a Serial,
    pub(crate) precertificate: Bytes,
}

/// The bytes hold the SCTs.
#[derive(Serialize)]
pub(crate) struct CertificateAskedEvidence<'a> {
    pub(crate) order: Id,
    pub(crate) token: Id,
    pub(crate) issuer: &'a IssuerName,
    pub(crate) serial: &'a Serial,
    pub(crate) tbs: Bytes,
}

#[derive(Serialize)]
pub(crate) struct IssuedEvidence<'a> {
    pub(crate) order: Id,
    pub(crate) issuer: &'a IssuerName,
    pub(crate) serial: &'a Serial,
    pub(crate) certificate: Bytes,
}

#[derive(Serialize)]
pub(crate) struct AbandonedEvidence<'a> {
    pub(crate) order: Id,
    pub(crate) issuer: &'a IssuerName,
    pub(crate) serial: &'a Serial,
    pub(crate) why: &'a str,
    /// Whether the signer had been asked: then the serial is revoked.
    pub(crate) asked: bool,
    /// A signature that came too late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<Bytes>,
}

#[derive(Serialize)]
pub(crate) struct RevocationEvidence<'a> {
    pub(crate) issuer: &'a IssuerName,
    pub(crate) serial: &'a Serial,
    pub(crate) reason: Reason,
    /// `account`, `authorizations`, `certificate_key` or `operator`: what the right to revoke was.
    pub(crate) right: &'static str,
    /// The operator who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operator: Option<Principal>,
    /// Why, in the operator's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<&'a str>,
}

/// What happened, beside the request that made it happen.
#[derive(Serialize)]
struct Told<'a, T, R> {
    #[serde(flatten)]
    what: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a R>,
}

impl Authority {
    /// A record of now, readable as a whole.
    pub(crate) fn record<T: Serialize>(
        &self,
        kind: RecordType,
        subject: Option<Id>,
        request: Option<&Caller>,
        what: &T,
    ) -> Result<Record, Error> {
        let payload = json(&Told { what, request })?;
        let record = Record::new(kind, self.clock.now(), payload, self.random.as_ref());
        Ok(match subject {
            Some(subject) => record.about(subject),
            None => record,
        })
    }

    /// A record whose request holds contacts: its payload lies under the subject's key, the rest stays readable with a
    /// salted digest of it.
    pub(crate) async fn record_sealed<T: Serialize>(
        &self,
        kind: RecordType,
        subject: Id,
        request: &Caller,
        what: &T,
    ) -> Result<Record, Error> {
        let record = Record::new(kind, self.clock.now(), Vec::new(), self.random.as_ref());
        let salt = random_array::<16>(self.random.as_ref());
        let hidden = Zeroizing::new([salt.as_slice(), request.jws.payload.as_bytes()].concat());
        let payload_digest = hex(digest(&SHA256, &hidden).as_ref());
        let sealed = self.store.subject_seal(subject, "record", &hidden).await?;
        let mut caller = request.clone();
        caller.jws.payload.clear();
        let request = SealedRequest { caller, payload_digest: &payload_digest };
        let readable = json(&Told { what, request: Some(&request) })?;
        let parts =
            vec![Part { seal: Seal::Open, bytes: readable }, Part { seal: Seal::Subject, bytes: sealed }];
        Ok(Record { parts, ..record }.about(subject))
    }
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|cause| {
        Error::Fault(Fault {
            code: "record",
            doing: "writing a record",
            passing: false,
            source: Box::new(cause),
        })
    })
}
