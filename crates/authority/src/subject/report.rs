//! The report: everything that is held about an account, as JSON that another program can read.
//!
//! Its head is small. Orders, certificates and records are sections, which are read page by page: an account can have
//! millions of them.

use ingam_protocol::acme::Account;
use ingam_protocol::bytes::{base64url, from_base64url};
use ingam_protocol::record::{Class, Record, RecordType, Seal};
use ingam_protocol::{Id, Timestamp};
use ingam_store::SubjectRow;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;

use super::law::{self, Kept, Recipient, Rights};
use crate::Authority;
use crate::error::Error;
use crate::operator::{ActError, CertificateFilter, Found, OrderFilter, read_files};

/// What a program knows the form by.
const FORMAT: &str = "ingam-subject-report/1";

/// How many bytes the salt has in front of a sealed payload.
const SALT_BYTES: usize = 16;

/// The classes of records that are about somebody.
const CLASSES: &[Class] = &[Class::Issuance, Class::AccessLog, Class::Working, Class::Retention];

/// A part of the report that is read page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Orders, with the names that they are for.
    Orders,
    /// Certificates.
    Certificates,
    /// What is on record: addresses and user agents of requests, what was sent, who read.
    Records,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Orders, Self::Certificates, Self::Records];

    /// Its name in URLs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Certificates => "certificates",
            Self::Records => "records",
        }
    }

    /// The section of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }
}

/// The head of a report.
#[derive(Serialize)]
pub struct SubjectReport {
    /// What this is.
    pub manifest: Manifest,
    /// The account.
    pub account: AccountFacts,
    /// Contact data.
    pub contact: ContactFacts,
    /// The key for external accounts that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_key: Option<Value>,
}

/// What a report is, and what it is about.
#[derive(Serialize)]
pub struct Manifest {
    /// By what a program knows the form.
    pub format: &'static str,
    /// When it was made.
    pub made: String,
    /// The account's URL.
    pub subject: String,
    /// What is held, for what, how long, and on which basis.
    pub held: Vec<Kept>,
    /// Who receives what.
    pub recipients: &'static [Recipient],
    /// What a subject may do.
    pub rights: Rights,
    /// The sections beside this head.
    pub sections: [&'static str; 3],
}

/// What an account is.
#[derive(Serialize)]
pub struct AccountFacts {
    id: Id,
    status: &'static str,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    terms_agreed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deactivated: Option<String>,
    /// The public key, as a JWK.
    key: Value,
    /// Thumbprints of the keys before it.
    earlier_keys: Vec<String>,
}

/// Contact data, in the clear.
#[derive(Serialize)]
pub struct ContactFacts {
    contacts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_objected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<String>,
}

fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::to_rfc3339)
}

impl AccountFacts {
    fn of(account: &Account) -> Self {
        Self {
            id: account.id,
            status: if account.deactivated.is_some() { "deactivated" } else { "valid" },
            created: account.created.to_rfc3339(),
            terms_agreed: text(account.terms_agreed),
            deactivated: text(account.deactivated),
            key: serde_json::from_str(&account.key.to_jwk()).unwrap_or_default(),
            earlier_keys: account.earlier_keys.clone(),
        }
    }
}

impl Authority {
    /// The head of the report on an account. Whoever gives it out puts that on record before.
    pub(crate) fn subject_report(&self, account: &Account) -> Result<SubjectReport, Error> {
        let contacts = self.store.account_contacts(account.id)?;
        let row: Option<SubjectRow> = self.store.subject_by_id(account.id)?.filter(|_| !contacts.is_empty());
        let external_key = match &account.external {
            None => None,
            Some(external) => self.store.external_key_by_id(external.key)?.map(|key| {
                json!({
                    "id": key.id,
                    "holder": key.holder,
                    "profiles": key.profiles,
                    "names": key.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "created": key.at.to_rfc3339(),
                    "bound": text(key.bound.map(|bound| bound.at)),
                    "withdrawn": text(key.withdrawn.map(|withdrawn| withdrawn.at)),
                })
            }),
        };
        Ok(SubjectReport {
            manifest: Manifest {
                format: FORMAT,
                made: self.clock.now().to_rfc3339(),
                subject: format!("{}{}", self.policy().account_url_prefix, account.id),
                held: law::held(),
                recipients: law::RECIPIENTS,
                rights: law::rights(),
                sections: Section::ALL.map(Section::name),
            },
            account: AccountFacts::of(account),
            contact: ContactFacts {
                contacts: contacts.iter().map(|contact| contact.expose().to_owned()).collect(),
                since: text(row.as_ref().map(|row| row.since)),
                mail_objected: text(row.as_ref().and_then(|row| row.mail_objected)),
                told: text(row.and_then(|row| row.told).map(|told| told.at)),
            },
            external_key,
        })
    }

    /// A page of a section, at most `limit` of its items; `None` if none begins there. A `turn` is held as long as files are
    /// read, also when whoever asked has gone.
    pub(crate) async fn subject_section(
        &self,
        subject: Id,
        section: Section,
        after: Option<Vec<u8>>,
        limit: usize,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<Option<Found<Value>>, ActError> {
        match section {
            Section::Orders => self.subject_orders(subject, after.as_deref(), limit).map(Some),
            Section::Certificates => self.subject_certificates(subject, after.as_deref(), limit).map(Some),
            Section::Records => self.subject_records(subject, after, limit, turn).await,
        }
    }

    fn subject_orders(
        &self,
        account: Id,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Found<Value>, ActError> {
        let filter = OrderFilter { account: Some(account), ..OrderFilter::default() };
        let after = after.and_then(|after| after.try_into().ok()).map(Id::from_bytes);
        let found = self.orders_find(&filter, after, limit)?;
        let one = |view: crate::OrderView| {
            json!({
                "id": view.order.id,
                "status": view.status,
                "names": view.order.identifiers.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "profile": view.order.profile,
                "created": view.order.created.to_rfc3339(),
                "certificate": view.order.certificate.as_ref().map(ToString::to_string),
            })
        };
        Ok(Found { items: found.items.into_iter().map(one).collect(), next: found.next })
    }

    fn subject_certificates(
        &self,
        account: Id,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Found<Value>, ActError> {
        let filter = CertificateFilter { account: Some(account), ..CertificateFilter::default() };
        let found = self.certificates_find(&filter, after, limit)?;
        let one = |found: crate::operator::CertificateSummary| {
            json!({
                "serial": found.serial.to_string(),
                "issuer": found.issuer,
                "status": found.status.name(),
                "names": found.identifiers.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "issued": found.row.issued.to_rfc3339(),
                "not_before": found.row.not_before.to_rfc3339(),
                "not_after": found.row.not_after.to_rfc3339(),
                "key_thumbprint": base64url(&found.row.key_thumbprint),
            })
        };
        Ok(Found { items: found.items.into_iter().map(one).collect(), next: found.next })
    }

    async fn subject_records(
        &self,
        subject: Id,
        after: Option<Vec<u8>>,
        limit: usize,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<Option<Found<Value>>, ActError> {
        // While something is held about a subject, who reads its data says more than it may know.
        let reads_are_told = self.store.holds_on(subject, self.clock.now())?.is_empty();
        let store = self.store.clone();
        let found = read_files(move || {
            let _turn = turn;
            store.records_about(subject, CLASSES, after.as_deref(), limit)
        });
        let Some(found) = found.await? else { return Ok(None) };
        let items = found.records.iter().filter_map(|record| self.told_of(subject, record, reads_are_told));
        Ok(Some(Found { items: items.collect(), next: found.next }))
    }

    /// What a record has of a subject's own; nothing if it is not for its eyes.
    fn told_of(&self, subject: Id, record: &Record, reads_are_told: bool) -> Option<Value> {
        let open = record.parts.iter().find(|part| part.seal == Seal::Open)?;
        let open: Map<String, Value> = serde_json::from_slice(&open.bytes).unwrap_or_default();
        let mut told = Map::new();
        told.insert("id".to_owned(), record.id.to_string().into());
        told.insert("time".to_owned(), record.time.to_rfc3339().into());
        told.insert("type".to_owned(), record.kind.name().into());
        told.insert("class".to_owned(), record.class().name().into());
        match (record.kind, record.class()) {
            (RecordType::PersonalDataRead, _) => {
                // When, and for which act; who it was among the operator's people is not the subject's to know.
                let act = open.get("act")?.as_str().filter(|act| reads_are_told && READS.contains(act))?;
                told.insert("act".to_owned(), act.into());
                return Some(Value::Object(told));
            }
            // Holds, cases and disclosures have rules of their own about who is told, and when.
            (kind, Class::Retention) if !RECEIPTS.contains(&kind) => return None,
            _ => {}
        }
        let own = matches!(record.kind, RecordType::SubjectAsked | RecordType::SubjectErased);
        let names = ABOUT.iter().chain(if own { OWN } else { &[] });
        for name in names {
            if let Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) = open.get(*name) {
                told.insert((*name).to_owned(), value.clone());
            }
        }
        if let Some(Value::Object(request)) =
            open.get("request").filter(|_| is_own_request(subject, record, &open))
        {
            for name in ["address", "user_agent", "url", "request_id"] {
                if let Some(value) = request.get(name) {
                    told.insert(name.to_owned(), value.clone());
                }
            }
            let sent = request.get("jws").and_then(|jws| jws.get("payload")?.as_str());
            let sealed = record.parts.iter().find(|part| part.seal == Seal::Subject);
            let payload = match sealed {
                Some(sealed) => match self.store.subject_open(subject, "record", &sealed.bytes) {
                    Some(plain) => readable(plain.get(SALT_BYTES..).unwrap_or_default()),
                    None => Some("erased".into()),
                },
                None => sent.and_then(|sent| readable(sent.as_bytes())),
            };
            if let Some(payload) = payload {
                told.insert("sent".to_owned(), payload);
            }
        }
        Some(Value::Object(told))
    }
}

/// The records of class `retention` that a subject is told of.
const RECEIPTS: &[RecordType] = &[
    RecordType::SubjectErased,
    RecordType::SubjectCorrected,
    RecordType::SubjectTold,
    RecordType::SubjectObjected,
];

/// Reads that a subject is told of. Those for cases are not among them, as some must not be told of.
const READS: &[&str] =
    &["account.contacts", "subject.report", "subject.list", "cert.evidence", "log.search", "log.follow"];

/// Whether the subject itself made the request that a record is of. A certificate's key and other accounts revoke, too: theirs
/// is on record about whose certificate it was, and their address is not that one's to know.
fn is_own_request(subject: Id, record: &Record, open: &Map<String, Value>) -> bool {
    if let Some(right) = open.get("right") {
        return right == "account";
    }
    let jws = open.get("request").and_then(|request| request.get("jws"));
    let protected = jws.and_then(|jws| readable(jws.get("protected")?.as_str()?.as_bytes()));
    match protected.as_ref().and_then(|protected| protected.get("kid")?.as_str()) {
        Some(kid) => kid.rsplit('/').next().and_then(|id| id.parse().ok()) == Some(subject),
        // An account that is made has no name yet: its key comes along.
        None => record.kind == RecordType::AccountCreated,
    }
}

/// What of an open part is told as it is. Reasons are the operators' own words, and not among them.
const ABOUT: &[&str] = &["identifier", "order", "authorization", "challenge", "serial", "issuer", "right"];

/// The same of what a subject asked for.
const OWN: &[&str] = &["asked", "why", "outcome", "close"];

/// A payload as it was sent, in base64url: JSON, as all payloads are.
fn readable(encoded: &[u8]) -> Option<Value> {
    let bytes = from_base64url(std::str::from_utf8(encoded).ok()?)?;
    serde_json::from_slice(&bytes).ok()
}
