//! Things that were put on record anew when the records of their making went ([`crate::in_force`]). They come behind all
//! that was on record before, in whichever segment it lies, so what they say is what counts.

use ingam_protocol::acme::{Account, Contact};
use ingam_protocol::identifier::DnsName;
use ingam_protocol::record::{Record, Seal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroize;

use super::{Folded, Unfolded, read};
use crate::account::contacts_sealed;
use crate::case::{Case, CaseSubject};
use crate::contact::SubjectKeys;
use crate::error::Error;
use crate::external_key::ExternalKey;
use crate::hold::Hold;
use crate::in_force::carry::{Hidden, hidden_place};
use crate::in_force::{Carried, CarriedThing, Kind};
use crate::incident::Incident;
use crate::key_block::KeyBlock;
use crate::limit::LimitOverride;
use crate::name_rule::{self, NameRule};
use crate::privacy_version::PrivacyVersion;
use crate::revocation_job::RevocationJob;
use crate::role::Grant;
use crate::subject::{self, SubjectRow};
use crate::table::{
    ACCOUNTS, ACCOUNTS_BY_KEY, CONTACTS, HOLDS_OPEN, INCIDENTS_BY_CERTIFICATE, REVOCATION_JOBS_OPEN, SUBJECTS,
};
use crate::transaction::Transaction;

pub(super) fn carried(
    transaction: &mut Transaction<'_>,
    record: &Record,
    keys: Option<&SubjectKeys>,
) -> Folded {
    read(record, |Carried { kind, things, .. }| {
        for thing in things {
            let done = match &thing.row {
                Some(row) => put(transaction, kind, &thing, row.get(), record, keys)?,
                None => taken(transaction, kind, &thing),
            };
            if done.is_none() {
                return Ok(Err(Unfolded::Unreadable));
            }
        }
        Ok(Ok(()))
    })
}

/// Takes out what was taken back; `None` if its key says nothing.
fn taken(transaction: &mut Transaction<'_>, kind: Kind, thing: &CarriedThing) -> Option<()> {
    match kind {
        Kind::NameRule => {
            let reversed = std::str::from_utf8(&thing.key).ok()?;
            let labels: Vec<&str> = reversed.rsplit('.').collect();
            name_rule::delete(transaction, &DnsName::parse(&labels.join(".")).ok()?);
        }
        _ => transaction.delete(kind.table(), thing.key.to_vec()),
    }
    Some(())
}

/// Puts a thing's row in; `Ok(None)` if it is not in this version's form.
fn put(
    transaction: &mut Transaction<'_>,
    kind: Kind,
    thing: &CarriedThing,
    row: &str,
    record: &Record,
    keys: Option<&SubjectKeys>,
) -> Result<Option<()>, Error> {
    match kind {
        Kind::Account => account(transaction, row, record, keys),
        Kind::ExternalKey => same::<ExternalKey>(transaction, kind, thing, row),
        Kind::KeyBlock => same::<KeyBlock>(transaction, kind, thing, row),
        Kind::Incident => same::<Incident>(transaction, kind, thing, row),
        Kind::IncidentCertificate => {
            let at = thing.key.iter().position(|byte| *byte == 0).unwrap_or(thing.key.len());
            let (incident, certificate) = thing.key.split_at(at);
            if thing.is_indexed {
                let certificate = certificate.get(1..).unwrap_or_default();
                transaction.put(INCIDENTS_BY_CERTIFICATE, certificate, incident);
            }
            transaction.put(kind.table(), thing.key.to_vec(), Vec::new());
            Ok(Some(()))
        }
        Kind::RevocationJob => {
            let Some(job) = from_row::<RevocationJob>(row) else { return Ok(None) };
            if job.state.is_over() {
                transaction.delete(REVOCATION_JOBS_OPEN, thing.key.to_vec());
            } else {
                transaction.put(REVOCATION_JOBS_OPEN, thing.key.to_vec(), Vec::new());
            }
            transaction.put_row(kind.table(), thing.key.to_vec(), &job).map(Some)
        }
        Kind::NameRule => match from_row::<NameRule>(row) {
            Some(rule) => name_rule::put(transaction, &rule).map(Some),
            None => Ok(None),
        },
        Kind::LimitOverride => same::<LimitOverride>(transaction, kind, thing, row),
        Kind::PrivacyVersion => same::<PrivacyVersion>(transaction, kind, thing, row),
        Kind::Role => same::<Grant>(transaction, kind, thing, row),
        Kind::Hold => {
            if thing.is_indexed {
                transaction.put(HOLDS_OPEN, thing.key.to_vec(), Vec::new());
            } else {
                transaction.delete(HOLDS_OPEN, thing.key.to_vec());
            }
            same::<Hold>(transaction, kind, thing, row)
        }
        Kind::Case => same::<Case>(transaction, kind, thing, row),
        Kind::CaseSubject => same::<CaseSubject>(transaction, kind, thing, row),
    }
}

fn from_row<T: DeserializeOwned>(row: &str) -> Option<T> {
    serde_json::from_str(row).ok()
}

/// Puts in a row of which nothing else depends.
fn same<T: DeserializeOwned + Serialize>(
    transaction: &mut Transaction<'_>,
    kind: Kind,
    thing: &CarriedThing,
    row: &str,
) -> Result<Option<()>, Error> {
    let Some(row) = from_row::<T>(row) else { return Ok(None) };
    transaction.put_row(kind.table(), thing.key.to_vec(), &row).map(Some)
}

fn account(
    transaction: &mut Transaction<'_>,
    row: &str,
    record: &Record,
    keys: Option<&SubjectKeys>,
) -> Result<Option<()>, Error> {
    let Some(mut account) = from_row::<Account>(row) else { return Ok(None) };
    let id = *account.id.as_bytes();
    let hidden = hidden(&account, record, keys);
    let (mut contacts, mut known) = (Vec::new(), None);
    if let Some(Hidden { contacts: sent, subject, binding }) = hidden {
        (contacts, known) = (sent.unwrap_or_default(), subject);
        if let (Some(external), Some(binding)) = (&mut account.external, binding) {
            external.binding = binding;
        }
    }
    if let Some(before) = transaction.row::<Account>(ACCOUNTS, &id)? {
        // Another account may have its earlier key by now.
        let thumbprint = before.key.thumbprint();
        if transaction.get(ACCOUNTS_BY_KEY, &thumbprint)?.is_some_and(|of| of == id) {
            transaction.delete(ACCOUNTS_BY_KEY, thumbprint);
        }
    }
    transaction.put(ACCOUNTS_BY_KEY, account.key.thumbprint(), id);
    transaction.put_row(ACCOUNTS, id, &account)?;
    contacts_as_they_were(transaction, &account, &contacts, known, keys)?;
    contacts.iter_mut().for_each(Zeroize::zeroize);
    Ok(Some(()))
}

/// What is not public of it, as far as its key is there.
fn hidden(account: &Account, record: &Record, keys: Option<&SubjectKeys>) -> Option<Hidden> {
    let sealed = record.parts.iter().find(|part| part.seal == Seal::Subject)?;
    let plain = keys?.open_sealed(hidden_place(account.id), &sealed.bytes).ok()?;
    serde_json::from_slice(&plain).ok()
}

/// Puts contacts in with what is known of them, or takes out those that were there before: they are erased.
fn contacts_as_they_were(
    transaction: &mut Transaction<'_>,
    account: &Account,
    urls: &[String],
    known: Option<SubjectRow>,
    keys: Option<&SubjectKeys>,
) -> Result<(), Error> {
    let id = *account.id.as_bytes();
    transaction.delete(CONTACTS, id);
    transaction.delete(SUBJECTS, id);
    let contacts: Vec<Contact> = urls.iter().filter_map(|url| Contact::parse(url).ok()).collect();
    let Some(keys) = keys.filter(|_| !contacts.is_empty()) else { return Ok(()) };
    let Ok(sealed) = contacts_sealed(keys, account.id, &contacts) else { return Ok(()) };
    subject::contacts_put(transaction, keys, account.id, sealed, account.created)?;
    match known {
        Some(known) => transaction.put_row(SUBJECTS, id, &known),
        None => Ok(()),
    }
}
