//! What each record says: JSON, so that it can be read in seven years without this program.

use std::net::IpAddr;

use ingam_protocol::acme::{Account, Authorization, ChallengeType, Claim, Failure, Order};
use ingam_protocol::bytes::hex;
use ingam_protocol::jws::JwsText;
use ingam_protocol::key::PublicKey;
use ingam_protocol::operator::Principal;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Part, Record, RecordType, Seal};
use ingam_protocol::time::random_array;
use ingam_protocol::{Bytes, Id, Reason, Serial, Timestamp};
use ingam_validation::Corroboration;
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
    pub(crate) challenge: ChallengeType,
    pub(crate) key_authorization: &'a str,
    pub(crate) seen: &'a ingam_validation::Evidence,
    /// What remote perspectives saw, one by one, and the quorum (BR 3.2.2.9, 5.4.1); none without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) corroboration: Option<&'a Corroboration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) caa: Option<&'a CaaEvidence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<&'a Failure>,
}

/// What was seen of CAA for one name, from everywhere.
#[derive(Serialize)]
pub(crate) struct CaaEvidence {
    #[serde(flatten)]
    pub(crate) seen: ingam_validation::Evidence,
    /// As for a validation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) corroboration: Option<Corroboration>,
}

#[derive(Serialize)]
pub(crate) struct PreparedEvidence<'a> {
    pub(crate) order: Id,
    pub(crate) claim: &'a Claim,
    pub(crate) csr: Bytes,
    pub(crate) caa: &'a [CaaEvidence],
}

#[derive(Serialize)]
pub(crate) struct AskedEvidence<'a> {
    pub(crate) order: Id,
    pub(crate) token: Id,
    pub(crate) issuer: &'a IssuerName,
    pub(crate) serial: &'a Serial,
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
