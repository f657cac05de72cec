//! From a record to the rows that it tells of: what the transaction that wrote the record did, done again.
//!
//! The order of records within a class is that of the transactions; across classes it is lost, as they are read one after another.
//! Almost no table is told of by two. What an erasure does to contacts, and to an account that ended with it, is: see `people`.

mod carried;
mod people;

use ingam_protocol::acme::{Account, Claim, Failure, FinalBytes, Order, Precertificate, Waiting};
use ingam_protocol::bytes::{from_base64url, from_hex};
use ingam_protocol::certificate::Validity;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::jws::JwsText;
use ingam_protocol::key::PublicKey;
use ingam_protocol::limit::{Favoured, LimitName};
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Record, RecordType, Seal};
use ingam_protocol::{Bytes, Id, Reason, Serial, Shard, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::account::payload_place;
use crate::approval::{Approval, ApprovalDecision};
use crate::certificate::{CertificateRow, certificate_find, certificate_put};
use crate::contact::SubjectKeys;
use crate::engine::Table;
use crate::error::Error;
use crate::external_key::{Bound, ExternalKey, Withdrawal};
use crate::incident::{self, Incident};
use crate::key_block::{KeyBlock, KeyName};
use crate::limit::{LimitOverride, override_key};
use crate::name_rule::{self, NameRule};
use crate::order;
use crate::renewal::replace;
use crate::revocation_job::{JobState, RevocationJob};
use crate::role::{self, Grant};
use crate::search;
use crate::status::{StatusState, status_of, status_put};
use crate::subject::ErasureReason;
use crate::table::{
    ACCOUNTS, ACCOUNTS_BY_KEY, APPROVALS, CERTIFICATES, EXTERNAL_KEYS, INCIDENTS, ISSUANCES_OPEN,
    KEYS_BLOCKED, LIMIT_OVERRIDES, META, ORDERS, ORDERS_BY_ACCOUNT, REVOCATION_JOBS, REVOCATION_JOBS_OPEN,
    ROLES, certificate_key, meta_crl_number, pair_key,
};
use crate::transaction::{Transaction, decode_counter};
use people::contacts_put;

/// Why a record changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unfolded {
    /// What it says is not in this version's form.
    Unreadable,
    /// What it is about is not there, in this table under this key: the record of its making has gone. A later one may say
    /// how it was since then.
    Orphan(Table, Vec<u8>),
}

/// What came of a record.
pub(crate) type Folded = Result<Result<(), Unfolded>, Error>;

/// Folds one record into the rows. Contacts are told of by parts that are sealed: with the subject's key among `keys` they
/// are opened, and sealed anew as rows have them.
pub(crate) fn fold(transaction: &mut Transaction<'_>, record: &Record, keys: Option<&SubjectKeys>) -> Folded {
    match record.kind {
        RecordType::AccountCreated => account_created(transaction, record, keys),
        RecordType::AccountUpdated => account_updated(transaction, record, keys),
        RecordType::AccountDeactivated => account_deactivated(transaction, record, keys),
        RecordType::AccountKeyChanged => account_key_changed(transaction, record),
        RecordType::ExternalKeyMade => read(record, |key: ExternalKey| {
            transaction.put_row(EXTERNAL_KEYS, *key.id.as_bytes(), &key).map(Ok)
        }),
        RecordType::ExternalKeyWithdrawn => external_key_withdrawn(transaction, record),
        RecordType::OrderCreated => order_created(transaction, record),
        RecordType::OrderFailed => order_failed(transaction, record),
        RecordType::IssuanceWaits => issuance_waits(transaction, record),
        RecordType::CertificatePrepared => certificate_prepared(transaction, record),
        RecordType::SignatureAsked => signature_asked(transaction, record),
        RecordType::PrecertificateIssued => precertificate_issued(transaction, record),
        RecordType::CertificateAsked => certificate_asked(transaction, record),
        RecordType::CertificateIssued => certificate_issued(transaction, record),
        RecordType::IssuanceAbandoned => issuance_abandoned(transaction, record),
        RecordType::CertificateRevoked => certificate_revoked(transaction, record),
        RecordType::KeyBlocked => key_blocked(transaction, record),
        RecordType::KeyUnblocked => key_unblocked(transaction, record),
        RecordType::IncidentChanged => incident_changed(transaction, record),
        RecordType::RevocationJobChanged => job_changed(transaction, record),
        RecordType::CrlSigned => crl_signed(transaction, record),
        RecordType::NameRuleChanged => name_rule_changed(transaction, record),
        RecordType::LimitOverridden => limit_overridden(transaction, record),
        RecordType::ApprovalChanged => approval_changed(transaction, record),
        RecordType::RoleGranted => read(record, |grant: Grant| {
            transaction.put_row(ROLES, role::key(grant.principal, grant.role), &grant).map(Ok)
        }),
        RecordType::RoleTaken => read(record, |Taken { principal, role }| {
            transaction.delete(ROLES, role::key(principal, role));
            Ok(Ok(()))
        }),
        RecordType::SubjectAsked => people::subject_asked(transaction, record, keys),
        RecordType::SubjectErased => people::subject_erased(transaction, record, keys),
        RecordType::SubjectCorrected => people::subject_corrected(transaction, record, keys),
        RecordType::SubjectObjected => people::subject_objected(transaction, record),
        RecordType::SubjectTold => people::subject_told(transaction, record),
        RecordType::HoldChanged => people::hold_changed(transaction, record),
        RecordType::CaseChanged => people::case_changed(transaction, record),
        RecordType::DataDisclosed => people::data_disclosed(transaction, record),
        RecordType::NoticeGiven => people::notice_given(transaction, record),
        RecordType::ConfigurationChanged => people::configuration_changed(transaction, record),
        RecordType::IssuanceCarried
        | RecordType::LifecycleCarried
        | RecordType::PermissionCarried
        | RecordType::RetentionCarried => carried::carried(transaction, record, keys),
        // What they tell of has no row, or one that is for the moment alone.
        _ => Ok(Ok(())),
    }
}

/// Reads what the record says openly, and goes on with it.
fn read<T: DeserializeOwned>(record: &Record, then: impl FnOnce(T) -> Folded) -> Folded {
    match said(record) {
        Some(said) => then(said),
        None => Ok(Err(Unfolded::Unreadable)),
    }
}

fn said<T: DeserializeOwned>(record: &Record) -> Option<T> {
    let open = record.parts.iter().find(|part| part.seal == Seal::Open)?;
    serde_json::from_slice(&open.bytes).ok()
}

fn orphan(table: Table, key: impl Into<Vec<u8>>) -> Folded {
    Ok(Err(Unfolded::Orphan(table, key.into())))
}

#[derive(Deserialize)]
struct AccountSaid {
    account: Id,
    #[serde(default)]
    key: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    terms_agreed: Option<Timestamp>,
    #[serde(default)]
    external_key: Option<Id>,
    #[serde(default)]
    request: Option<Request>,
}

#[derive(Deserialize)]
struct Request {
    jws: JwsText,
}

impl AccountSaid {
    fn key(&self) -> Option<PublicKey> {
        PublicKey::from_jwk(self.key.as_ref()?).ok()
    }
}

/// What the payloads of newAccount and of updates hold.
#[derive(Default, Deserialize)]
struct Payload {
    #[serde(default)]
    contact: Option<Vec<String>>,
    #[serde(rename = "externalAccountBinding", default)]
    binding: Option<JwsText>,
}

/// What was asked for, if it can be read still: openly, or under the subject's key behind a salt of 16 bytes.
fn payload(said: &AccountSaid, record: &Record, keys: Option<&SubjectKeys>) -> Option<Payload> {
    let sealed = record.parts.iter().find(|part| part.seal == Seal::Subject);
    let text = match sealed {
        None => Zeroizing::new(said.request.as_ref()?.jws.payload.clone().into_bytes()),
        Some(sealed) => {
            let place = payload_place("record", said.account);
            let hidden = keys?.open_sealed(place, &sealed.bytes).ok()?;
            Zeroizing::new(hidden.get(16..)?.to_vec())
        }
    };
    let json = Zeroizing::new(from_base64url(std::str::from_utf8(&text).ok()?)?);
    serde_json::from_slice(&json).ok()
}

fn account_created(transaction: &mut Transaction<'_>, record: &Record, keys: Option<&SubjectKeys>) -> Folded {
    read(record, |said: AccountSaid| {
        let Some(key) = said.key() else { return Ok(Err(Unfolded::Unreadable)) };
        let payload = payload(&said, record, keys).unwrap_or_default();
        // Its id is made of the moment of its making.
        let created = said.account.time();
        let external = said.external_key.map(|key| {
            let nothing =
                JwsText { protected: String::new(), payload: String::new(), signature: String::new() };
            ingam_protocol::acme::ExternalAccount { key, binding: payload.binding.unwrap_or(nothing) }
        });
        if let Some(key) = said.external_key
            && let Some(mut row) = transaction.row::<ExternalKey>(EXTERNAL_KEYS, key.as_bytes())?
        {
            row.bound = Some(Bound { account: said.account, at: created });
            transaction.put_row(EXTERNAL_KEYS, *key.as_bytes(), &row)?;
        }
        let account = Account {
            id: said.account,
            key,
            created,
            terms_agreed: said.terms_agreed,
            deactivated: None,
            external,
            earlier_keys: Vec::new(),
        };
        transaction.put(ACCOUNTS_BY_KEY, account.key.thumbprint(), *account.id.as_bytes());
        transaction.put_row(ACCOUNTS, *account.id.as_bytes(), &account)?;
        let given = (created, ErasureReason::Withdrawn);
        match payload.contact.filter(|contact| !contact.is_empty()) {
            Some(contact) => contacts_put(transaction, account.id, Some(contact), given, keys).map(Ok),
            None => Ok(Ok(())),
        }
    })
}

fn account_change(
    transaction: &mut Transaction<'_>,
    id: Id,
    change: impl FnOnce(&mut Transaction<'_>, &mut Account),
) -> Folded {
    let Some(mut account) = transaction.row::<Account>(ACCOUNTS, id.as_bytes())? else {
        return orphan(ACCOUNTS, *id.as_bytes());
    };
    change(transaction, &mut account);
    transaction.put_row(ACCOUNTS, *id.as_bytes(), &account).map(Ok)
}

fn account_updated(transaction: &mut Transaction<'_>, record: &Record, keys: Option<&SubjectKeys>) -> Folded {
    read(record, |said: AccountSaid| {
        // What cannot be opened any more is erased: the contacts that it put in place of others with it.
        let contact = match payload(&said, record, keys) {
            Some(payload) => payload.contact,
            None => Some(Vec::new()),
        };
        let given = (record.time, ErasureReason::Withdrawn);
        contacts_put(transaction, said.account, contact, given, keys)?;
        account_change(transaction, said.account, |_, account| {
            account.terms_agreed = said.terms_agreed.or(account.terms_agreed);
        })
    })
}

fn account_deactivated(
    transaction: &mut Transaction<'_>,
    record: &Record,
    keys: Option<&SubjectKeys>,
) -> Folded {
    read(record, |said: AccountSaid| {
        let given = (record.time, ErasureReason::AccountClosed);
        people::contacts_withdraw(transaction, said.account, given, keys)?;
        account_change(transaction, said.account, |_, account| account.deactivated = Some(record.time))
    })
}

fn account_key_changed(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |said: AccountSaid| {
        let Some(key) = said.key() else { return Ok(Err(Unfolded::Unreadable)) };
        account_change(transaction, said.account, |transaction, account| {
            transaction.delete(ACCOUNTS_BY_KEY, account.key.thumbprint());
            transaction.put(ACCOUNTS_BY_KEY, key.thumbprint(), *account.id.as_bytes());
            account.key_replace(key);
        })
    })
}

#[derive(Deserialize)]
struct WithdrawnSaid {
    key: Id,
    #[serde(flatten)]
    withdrawal: Withdrawal,
}

fn external_key_withdrawn(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |said: WithdrawnSaid| {
        let row = transaction.row::<ExternalKey>(EXTERNAL_KEYS, said.key.as_bytes())?;
        let Some(mut key) = row else { return orphan(EXTERNAL_KEYS, *said.key.as_bytes()) };
        key.withdrawn = Some(said.withdrawal);
        transaction.put_row(EXTERNAL_KEYS, *said.key.as_bytes(), &key).map(Ok)
    })
}

#[derive(Deserialize)]
struct OrderSaid {
    order: Order,
}

fn order_created(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |OrderSaid { order }| {
        transaction.put(ORDERS_BY_ACCOUNT, pair_key(order.account, order.id), Vec::new());
        order::put(transaction, &order)?;
        replace(transaction, &order);
        Ok(Ok(()))
    })
}

fn order_change(
    transaction: &mut Transaction<'_>,
    id: Id,
    change: impl FnOnce(&mut Transaction<'_>, &mut Order) -> Result<(), Error>,
) -> Folded {
    let Some(mut order) = order::find(transaction, id)? else { return orphan(ORDERS, *id.as_bytes()) };
    change(transaction, &mut order)?;
    order::put(transaction, &order).map(Ok)
}

#[derive(Deserialize)]
struct FailedSaid {
    order: Id,
    failure: Failure,
}

fn order_failed(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |FailedSaid { order, failure }| {
        order_change(transaction, order, |transaction, order| {
            transaction.delete(ISSUANCES_OPEN, *order.id.as_bytes());
            order.waiting = None;
            order.failure = Some(failure);
            Ok(())
        })
    })
}

#[derive(Deserialize)]
struct WaitsSaid {
    order: Id,
    csr: Bytes,
}

fn issuance_waits(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |WaitsSaid { order, csr }| {
        order_change(transaction, order, |transaction, order| {
            transaction.put(ISSUANCES_OPEN, *order.id.as_bytes(), Vec::new());
            order.waiting = Some(Waiting { since: record.time, csr });
            Ok(())
        })
    })
}

#[derive(Deserialize)]
struct PreparedSaid {
    order: Id,
    claim: Claim,
}

fn certificate_prepared(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |PreparedSaid { order, claim }| {
        // Whatever becomes of its order, the serial number is taken.
        status_put(transaction, &claim.issuer, &claim.serial, StatusState::Reserved, claim.not_after)?;
        order_change(transaction, order, |transaction, order| {
            transaction.put(ISSUANCES_OPEN, *order.id.as_bytes(), Vec::new());
            order.waiting = None;
            order.claim = Some(Claim { record: Some(record.id), ..claim });
            Ok(())
        })
    })
}

/// What records of steps after the claim have in common.
#[derive(Deserialize)]
struct StepSaid {
    order: Id,
    issuer: IssuerName,
    serial: Serial,
    #[serde(default)]
    precertificate: Option<Bytes>,
    #[serde(default)]
    tbs: Option<Bytes>,
    #[serde(default)]
    certificate: Option<Bytes>,
    #[serde(default)]
    asked: bool,
}

impl StepSaid {
    fn not_after(&self, transaction: &Transaction<'_>, record: &Record) -> Result<Timestamp, Error> {
        let known = status_of(transaction, &self.issuer, &self.serial)?;
        Ok(known.map(|row| row.not_after).or(record.end_of_life).unwrap_or(record.time))
    }

    fn status(
        &self,
        transaction: &mut Transaction<'_>,
        record: &Record,
        state: StatusState,
    ) -> Result<(), Error> {
        let not_after = self.not_after(transaction, record)?;
        status_put(transaction, &self.issuer, &self.serial, state, not_after)
    }
}

fn signature_asked(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |said: StepSaid| {
        said.status(transaction, record, StatusState::Asked)?;
        order_change(transaction, said.order, |_, order| {
            order.asked = Some(record.time);
            Ok(())
        })
    })
}

fn precertificate_issued(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |said: StepSaid| {
        said.status(transaction, record, StatusState::Good)?;
        let der = said.precertificate.unwrap_or_default();
        order_change(transaction, said.order, |_, order| {
            order.precertificate = Some(Precertificate { der, certificate: None });
            Ok(())
        })
    })
}

fn certificate_asked(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |said: StepSaid| {
        let bytes = FinalBytes { tbs: said.tbs.unwrap_or_default(), asked: record.time };
        order_change(transaction, said.order, |_, order| {
            if let Some(precertificate) = &mut order.precertificate {
                precertificate.certificate = Some(bytes);
            }
            Ok(())
        })
    })
}

fn certificate_issued(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |said: StepSaid| {
        let not_after = said.not_after(transaction, record)?;
        status_put(transaction, &said.issuer, &said.serial, StatusState::Good, not_after)?;
        let Some(der) = said.certificate else { return Ok(Err(Unfolded::Unreadable)) };
        let missing = || orphan(CERTIFICATES, certificate_key(&said.issuer, &said.serial));
        let Some(mut order) = order::find(transaction, said.order)? else { return missing() };
        let Some(claim) = &order.claim else { return missing() };
        let Some(validity) = Validity::read(&der) else { return Ok(Err(Unfolded::Unreadable)) };
        let row = CertificateRow {
            der,
            order: order.id,
            account: order.account,
            issued: record.time,
            not_before: validity.not_before,
            not_after: claim.not_after,
            key_thumbprint: claim.key_thumbprint.clone(),
        };
        certificate_put(transaction, certificate_key(&said.issuer, &said.serial), &row)?;
        search::index(transaction, &said.issuer, &said.serial, &row, &order.identifiers);
        transaction.delete(ISSUANCES_OPEN, *order.id.as_bytes());
        order.complete(said.serial);
        order::put(transaction, &order).map(Ok)
    })
}

/// What the client of an order is told that was given up.
pub(crate) fn given_up() -> Failure {
    Failure {
        error: ingam_protocol::acme::ErrorType::ServerInternal,
        detail: "the certificate could not be made: make a new order".to_owned(),
    }
}

fn issuance_abandoned(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |said: StepSaid| {
        if said.certificate.is_some() {
            // A signature that came too late: its order had been given up before, and says so itself.
            return Ok(Ok(()));
        }
        let order = order::find(transaction, said.order)?;
        // Where the store was made anew before, the asking itself may be on no record.
        let asked = said.asked || order.as_ref().is_some_and(|order| order.asked.is_some());
        let known = status_of(transaction, &said.issuer, &said.serial)?;
        if asked && known.is_none_or(|row| !row.state.is_revoked()) {
            let state = StatusState::Revoked { at: record.time, reason: Reason::Unspecified };
            said.status(transaction, record, state)?;
        }
        let Some(mut order) = order else { return orphan(ORDERS, *said.order.as_bytes()) };
        transaction.delete(ISSUANCES_OPEN, *order.id.as_bytes());
        order.failure = Some(given_up());
        order::put(transaction, &order).map(Ok)
    })
}

#[derive(Deserialize)]
struct RevokedSaid {
    issuer: IssuerName,
    serial: Serial,
    reason: Reason,
}

fn certificate_revoked(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |RevokedSaid { issuer, serial, reason }| {
        let known = status_of(transaction, &issuer, &serial)?;
        let at = match known.map(|row| row.state) {
            // Another reason for what was revoked before keeps the earlier date.
            Some(StatusState::Revoked { at, .. }) => at,
            _ => record.time,
        };
        let not_after = known.map(|row| row.not_after).or(record.end_of_life).unwrap_or(record.time);
        status_put(transaction, &issuer, &serial, StatusState::Revoked { at, reason }, not_after)?;
        if known.is_some() { Ok(Ok(())) } else { orphan(CERTIFICATES, certificate_key(&issuer, &serial)) }
    })
}

/// A key that was blocked by what revoked its certificate, or by an operator.
#[derive(Deserialize)]
pub(crate) struct BlockedSaid {
    #[serde(default)]
    pub(crate) issuer: Option<IssuerName>,
    #[serde(default)]
    pub(crate) serial: Option<Serial>,
    /// Of the revocation, or in the operator's words.
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    operator: Option<Principal>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    thumbprint: Option<Bytes>,
    #[serde(default)]
    spki_sha256: Vec<String>,
    #[serde(default)]
    revocation_reason: Option<Reason>,
    #[serde(default)]
    source: Option<String>,
}

impl BlockedSaid {
    /// The names that an operator blocked or unblocked.
    pub(crate) fn names(&self) -> impl Iterator<Item = (KeyName, Bytes)> {
        let by_hash = self.spki_sha256.iter().filter_map(|text| from_hex(text)).map(Bytes::from);
        let by_thumbprint = self.thumbprint.iter().cloned().map(|hash| (KeyName::Thumbprint, hash));
        by_thumbprint.chain(by_hash.map(|hash| (KeyName::SpkiSha256, hash)))
    }
}

fn block(transaction: &mut Transaction<'_>, block: &KeyBlock) -> Result<(), Error> {
    // Who did it first, and why, stays.
    if transaction.get(KEYS_BLOCKED, &block.hash)?.is_none() {
        transaction.put_row(KEYS_BLOCKED, block.hash.to_vec(), block)?;
    }
    Ok(())
}

fn key_blocked(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |said: BlockedSaid| {
        let (Some(issuer), Some(serial)) = (&said.issuer, &said.serial) else {
            for (named_by, hash) in said.names() {
                let row = KeyBlock {
                    hash,
                    named_by,
                    at: record.time,
                    reason: said.revocation_reason.unwrap_or(Reason::KeyCompromise),
                    serial: None,
                    by: said.operator,
                    comment: said.reason.clone(),
                    source: said.source.clone(),
                };
                block(transaction, &row)?;
            }
            return Ok(Ok(()));
        };
        let certificate = certificate_key(issuer, serial);
        let row = certificate_find(transaction, &certificate)?;
        let status = status_of(transaction, issuer, serial)?;
        let (Some(row), Some(StatusState::Revoked { at, .. })) = (row, status.map(|status| status.state))
        else {
            return orphan(CERTIFICATES, certificate);
        };
        // A row of a status has whole seconds; the block has the revocation's own moment, where that is what it came with.
        let at = if at.unix_s() == record.time.unix_s() { record.time } else { at };
        let reason = said.reason.map(serde_json::Value::String).map(serde_json::from_value::<Reason>);
        let row = KeyBlock {
            hash: row.key_thumbprint,
            named_by: KeyName::Thumbprint,
            at,
            reason: reason.and_then(Result::ok).unwrap_or(Reason::KeyCompromise),
            serial: Some(serial.clone()),
            by: said.operator,
            comment: said.operator.map(|_| said.comment.unwrap_or_default()),
            source: None,
        };
        block(transaction, &row).map(Ok)
    })
}

fn key_unblocked(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |said: BlockedSaid| {
        said.names().for_each(|(_, hash)| transaction.delete(KEYS_BLOCKED, hash.to_vec()));
        Ok(Ok(()))
    })
}

/// A change of an incident: certificates, or where one reads about it.
#[derive(Deserialize)]
struct IncidentSaid {
    name: String,
    #[serde(default)]
    certificates: Option<Vec<Serial>>,
    #[serde(default)]
    issuers: Vec<IssuerName>,
    #[serde(default)]
    explanation_url: Option<String>,
}

fn incident_changed(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    if let Some(incident) = said::<Incident>(record) {
        return transaction.put_row(INCIDENTS, incident.name.as_bytes().to_vec(), &incident).map(Ok);
    }
    read(record, |said: IncidentSaid| match said.certificates {
        Some(serials) if serials.len() == said.issuers.len() => {
            let certificates: Vec<_> = said.issuers.into_iter().zip(serials).collect();
            let grown = incident::grow(transaction, &said.name, &certificates)?;
            grown.map_or_else(|| orphan(INCIDENTS, said.name.into_bytes()), |_| Ok(Ok(())))
        }
        // Records of an earlier version do not name the issuers.
        Some(_) => Ok(Err(Unfolded::Unreadable)),
        None => {
            let row = transaction.row::<Incident>(INCIDENTS, said.name.as_bytes())?;
            let Some(mut incident) = row else { return orphan(INCIDENTS, said.name.into_bytes()) };
            incident.explanation_url = said.explanation_url;
            transaction.put_row(INCIDENTS, said.name.as_bytes().to_vec(), &incident).map(Ok)
        }
    })
}

#[derive(Deserialize)]
struct JobSaid {
    job: Id,
    state: JobState,
}

/// Which certificates a job has gathered is on no record: what is open at the end is given up.
fn job_changed(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    if let Some(job) = said::<RevocationJob>(record) {
        transaction.put(REVOCATION_JOBS_OPEN, *job.id.as_bytes(), Vec::new());
        return transaction.put_row(REVOCATION_JOBS, *job.id.as_bytes(), &job).map(Ok);
    }
    read(record, |JobSaid { job: id, state }| {
        let row = transaction.row::<RevocationJob>(REVOCATION_JOBS, id.as_bytes())?;
        let Some(mut job) = row else { return orphan(REVOCATION_JOBS, *id.as_bytes()) };
        job.state = state;
        job.ended = state.is_over().then_some(record.time);
        if state.is_over() {
            transaction.delete(REVOCATION_JOBS_OPEN, *id.as_bytes());
        }
        transaction.put_row(REVOCATION_JOBS, *id.as_bytes(), &job).map(Ok)
    })
}

#[derive(Deserialize)]
struct CrlSaid {
    issuer: IssuerName,
    number: u64,
    #[serde(default)]
    shard: Option<Shard>,
}

fn crl_signed(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |CrlSaid { issuer, number, shard }| {
        let counter = meta_crl_number(&issuer, shard);
        let known = decode_counter(transaction.get(META, &counter)?)?;
        transaction.put(META, counter, known.max(number).to_be_bytes());
        Ok(Ok(()))
    })
}

#[derive(Deserialize)]
struct RuleSaid {
    name: DnsName,
    rule: Option<NameRule>,
}

fn name_rule_changed(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |RuleSaid { name, rule }| match rule {
        Some(rule) => name_rule::put(transaction, &rule).map(Ok),
        None => {
            name_rule::delete(transaction, &name);
            Ok(Ok(()))
        }
    })
}

#[derive(Deserialize)]
struct LimitSaid {
    limit: LimitName,
    favoured: Favoured,
    own: Option<LimitOverride>,
}

fn limit_overridden(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |LimitSaid { limit, favoured, own }| {
        let key = override_key(limit, &favoured);
        match own {
            Some(own) => transaction.put_row(LIMIT_OVERRIDES, key, &own).map(Ok),
            None => {
                transaction.delete(LIMIT_OVERRIDES, key);
                Ok(Ok(()))
            }
        }
    })
}

#[derive(Deserialize)]
struct DecidedSaid {
    approval: Id,
    decision: ApprovalDecision,
}

fn approval_changed(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    if let Some(approval) = said::<Approval>(record) {
        return transaction.put_row(APPROVALS, *approval.id.as_bytes(), &approval).map(Ok);
    }
    read(record, |DecidedSaid { approval, decision }| {
        let Some(mut row) = transaction.row::<Approval>(APPROVALS, approval.as_bytes())? else {
            return orphan(APPROVALS, *approval.as_bytes());
        };
        row.decision = Some(decision);
        transaction.put_row(APPROVALS, *approval.as_bytes(), &row).map(Ok)
    })
}

#[derive(Deserialize)]
struct Taken {
    principal: Principal,
    role: Role,
}
