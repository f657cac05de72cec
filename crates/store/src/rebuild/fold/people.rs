//! Records about people's data: contacts, erasures, holds, cases, and the privacy page.
//!
//! The class of holds and cases is folded last, after all that made accounts and gave contacts. What of it comes out of the
//! order of time across classes is told apart by times: an erasure, an objection or a letter counts for contacts that had been
//! there before, and not for those that were given anew since.

use ingam_protocol::acme::Contact;
use ingam_protocol::operator::Principal;
use ingam_protocol::record::{Record, Seal};
use ingam_protocol::{Id, Timestamp};
use serde::Deserialize;
use zeroize::Zeroize;

use super::{Folded, Unfolded, orphan, read, said};
use crate::account::{contacts_sealed, payload_place};
use crate::case::{Case, CaseNotice, CaseSubject, Disclosure, case_subject_key};
use crate::contact::SubjectKeys;
use crate::error::Error;
use crate::hold::{Hold, HoldChange, HoldOpened, hold_put};
use crate::privacy_version;
use crate::subject::{self, Erasing, ErasureReason, SubjectRow, Told, erasure_anew};
use crate::table::{CASE_SUBJECTS, CASES, CONTACTS, HOLDS, HOLDS_OPEN, PRIVACY_VERSIONS, SUBJECTS};
use crate::transaction::Transaction;

/// When contacts were given or withdrawn, and why they would be.
pub(super) type Given = (Timestamp, ErasureReason);

/// Puts contacts in place of others, if any were sent.
pub(super) fn contacts_put(
    transaction: &mut Transaction<'_>,
    account: Id,
    contacts: Option<Vec<String>>,
    (at, why): Given,
    keys: Option<&SubjectKeys>,
) -> Result<(), Error> {
    let Some(mut urls) = contacts else { return Ok(()) };
    let contacts: Vec<Contact> = urls.iter().filter_map(|url| Contact::parse(url).ok()).collect();
    urls.iter_mut().for_each(Zeroize::zeroize);
    // Without a key nothing could have been opened, unless it was never hidden.
    let sealed = keys.filter(|_| !contacts.is_empty()).and_then(|keys| {
        let sealed = contacts_sealed(keys, account, &contacts).ok()?;
        Some((keys, sealed))
    });
    match sealed {
        Some((keys, sealed)) => subject::contacts_put(transaction, keys, account, sealed, at),
        None => contacts_withdraw(transaction, account, (at, why), keys),
    }
}

pub(super) fn contacts_withdraw(
    transaction: &mut Transaction<'_>,
    account: Id,
    (at, why): Given,
    keys: Option<&SubjectKeys>,
) -> Result<(), Error> {
    let Some(keys) = keys else {
        transaction.delete(CONTACTS, *account.as_bytes());
        transaction.delete(SUBJECTS, *account.as_bytes());
        return Ok(());
    };
    subject::contacts_withdraw(transaction, keys, account, why, at)
}

#[derive(Deserialize)]
struct SubjectSaid {
    account: Id,
    #[serde(default)]
    by: Option<Principal>,
    #[serde(default)]
    objects_to_mail: bool,
}

pub(super) fn subject_corrected(
    transaction: &mut Transaction<'_>,
    record: &Record,
    keys: Option<&SubjectKeys>,
) -> Folded {
    read(record, |SubjectSaid { account, .. }| {
        let sealed = record.parts.iter().find(|part| part.seal == Seal::Subject);
        let opened = sealed.and_then(|part| {
            let plain = keys?.open_sealed(payload_place("correction", account), &part.bytes).ok()?;
            serde_json::from_slice::<Vec<String>>(&plain).ok()
        });
        // Without a part there are none any more; one that cannot be opened is erased, and what it took the place of with it.
        let given = (record.time, ErasureReason::OperatorActed);
        contacts_put(transaction, account, Some(opened.unwrap_or_default()), given, keys).map(Ok)
    })
}

#[derive(Deserialize)]
struct AskedSaid {
    account: Id,
    asked: String,
    #[serde(default)]
    close: bool,
    #[serde(default)]
    outcome: Option<String>,
}

/// A wish to be erased is the first half of it; the receipt, if there is one, is folded later.
pub(super) fn subject_asked(
    transaction: &mut Transaction<'_>,
    record: &Record,
    keys: Option<&SubjectKeys>,
) -> Folded {
    read(record, |AskedSaid { account, asked, close, outcome }| {
        if asked != "erasure" || outcome.is_some() {
            return Ok(Ok(()));
        }
        let (asked, why) = (record.time, ErasureReason::SubjectAsked);
        let erasing = Erasing { asked, why, closed: close, done: false };
        erasure_anew(transaction, account, erasing, keys).map(Ok)
    })
}

#[derive(Deserialize)]
struct ErasedSaid {
    account: Id,
    why: ErasureReason,
    asked: Timestamp,
    #[serde(default)]
    closed: bool,
}

pub(super) fn subject_erased(
    transaction: &mut Transaction<'_>,
    record: &Record,
    keys: Option<&SubjectKeys>,
) -> Folded {
    read(record, |ErasedSaid { account, why, asked, closed }| {
        erasure_anew(transaction, account, Erasing { asked, why, closed, done: true }, keys).map(Ok)
    })
}

pub(super) fn subject_objected(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |said: SubjectSaid| {
        let since = said.objects_to_mail.then_some(record.time);
        subject_change(transaction, record, said.account, |row| row.mail_objected = since)
    })
}

pub(super) fn subject_told(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |said: SubjectSaid| {
        let Some(by) = said.by else { return Ok(Err(Unfolded::Unreadable)) };
        subject_change(transaction, record, said.account, |row| row.told = Some(Told { at: record.time, by }))
    })
}

/// What was said of contacts that have gone, or were given anew since, went with them.
fn subject_change(
    transaction: &mut Transaction<'_>,
    record: &Record,
    subject: Id,
    change: impl FnOnce(&mut SubjectRow),
) -> Folded {
    let row: Option<SubjectRow> = transaction.row(SUBJECTS, subject.as_bytes())?;
    let Some(mut row) = row.filter(|row| row.since <= record.time) else { return Ok(Ok(())) };
    change(&mut row);
    transaction.put_row(SUBJECTS, *subject.as_bytes(), &row).map(Ok)
}

#[derive(Deserialize)]
struct HoldSaid {
    change: HoldChange,
    hold: Hold,
}

/// A record has the whole hold, as whoever wrote it knew it: two changes at the same moment did not know of each other.
pub(super) fn hold_changed(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |HoldSaid { change, hold: told }| {
        let id = *told.id.as_bytes();
        if change == HoldChange::Opened {
            if hold_put(transaction, &told)? == HoldOpened::Full {
                // There was room for it, and it may be what keeps something.
                transaction.put_row(HOLDS, id, &told)?;
                transaction.put(HOLDS_OPEN, id, Vec::new());
            }
            return Ok(Ok(()));
        }
        let mut hold = match transaction.row::<Hold>(HOLDS, &id)? {
            Some(mut hold) if change == HoldChange::Renewed => {
                hold.ends = told.ends;
                hold.renewals.extend(told.renewals.last().cloned());
                hold
            }
            Some(hold) => hold,
            // The record of its opening has gone by its age; this one says as much.
            None => {
                transaction.put(HOLDS_OPEN, id, Vec::new());
                told.clone()
            }
        };
        if change == HoldChange::Released {
            hold.released = hold.released.or(told.released);
            transaction.delete(HOLDS_OPEN, id);
        }
        transaction.put_row(HOLDS, id, &hold).map(Ok)
    })
}

#[derive(Deserialize)]
struct CaseSaid {
    case: Case,
    #[serde(default)]
    subjects: Vec<Id>,
}

pub(super) fn case_changed(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |CaseSaid { mut case, subjects }| {
        for subject in subjects {
            transaction.put_row(
                CASE_SUBJECTS,
                case_subject_key(&case.name, subject),
                &CaseSubject::new(subject),
            )?;
        }
        // What was given out has records of its own, which came before.
        if let Some(known) = transaction.row::<Case>(CASES, case.name.as_bytes())? {
            case.disclosures = known.disclosures;
        }
        transaction.put_row(CASES, case.name.as_bytes().to_vec(), &case).map(Ok)
    })
}

#[derive(Deserialize)]
struct DisclosedSaid {
    case: String,
    disclosure: DisclosureSaid,
}

/// One record for each of the subjects, which are named by it alone.
#[derive(Deserialize)]
struct DisclosureSaid {
    id: Id,
    #[serde(default)]
    at: Option<Timestamp>,
    by: Principal,
    recipient: String,
    fields: Vec<String>,
    #[serde(default)]
    sha256: Option<String>,
    basis: crate::case::CaseBasis,
    reason: String,
}

pub(super) fn data_disclosed(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |DisclosedSaid { case: name, disclosure: said }| {
        let Some(mut case) = transaction.row::<Case>(CASES, name.as_bytes())? else {
            return orphan(CASES, name.into_bytes());
        };
        let at = said.at.unwrap_or(record.time);
        let id = said.id;
        if case.disclosures.iter().all(|known| known.id != id) {
            let DisclosureSaid { by, recipient, fields, sha256, basis, reason, .. } = said;
            let subjects = Vec::new();
            let told = Disclosure { id, at, by, recipient, subjects, fields, sha256, basis, reason };
            case.disclosures.push(told);
        }
        if let Some(subject) = record.subject {
            let known = case.disclosures.iter_mut().find(|known| known.id == id);
            known.into_iter().for_each(|known| known.subjects.push(subject));
            case_subject_change(transaction, &name, subject, |row| {
                row.disclosed = row.disclosed.or(Some(at));
            })?;
        }
        transaction.put_row(CASES, name.into_bytes(), &case).map(Ok)
    })
}

#[derive(Deserialize)]
struct NoticeSaid {
    case: String,
    notice: CaseNotice,
}

pub(super) fn notice_given(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    read(record, |NoticeSaid { case: name, notice }| {
        let Some(subject) = record.subject else { return Ok(Err(Unfolded::Unreadable)) };
        let Some(mut case) = transaction.row::<Case>(CASES, name.as_bytes())? else {
            return orphan(CASES, name.into_bytes());
        };
        let counts = &mut case.counts;
        // A case about everybody knows those alone who were told.
        let is_known = transaction.get(CASE_SUBJECTS, &case_subject_key(&name, subject))?.is_some();
        counts.subjects += u64::from(case.everybody && !is_known);
        match notice.how {
            Some(_) => {
                counts.told += 1;
                counts.delayed += u64::from(notice.delayed);
            }
            None => counts.futile += 1,
        }
        case_subject_change(transaction, &name, subject, |row| row.notice = Some(notice))?;
        transaction.put_row(CASES, name.into_bytes(), &case).map(Ok)
    })
}

fn case_subject_change(
    transaction: &mut Transaction<'_>,
    case: &str,
    subject: Id,
    change: impl FnOnce(&mut CaseSubject),
) -> Result<(), Error> {
    let key = case_subject_key(case, subject);
    let row: Option<CaseSubject> = transaction.row(CASE_SUBJECTS, &key)?;
    let mut row = row.unwrap_or_else(|| CaseSubject::new(subject));
    change(&mut row);
    transaction.put_row(CASE_SUBJECTS, key, &row)
}

/// Changes of the configuration tell of the privacy page, among other things.
pub(super) fn configuration_changed(transaction: &mut Transaction<'_>, record: &Record) -> Folded {
    let open = record.parts.iter().find(|part| part.seal == Seal::Open);
    match open.map(|part| privacy_version::told_of(&part.bytes)) {
        Some(Ok(Some(version))) => {
            transaction.put_row(PRIVACY_VERSIONS, version.number.to_be_bytes(), &version).map(Ok)
        }
        Some(Ok(None)) => Ok(Ok(())),
        // Records of before the facts were in them: the next start makes a version of its own.
        Some(Err(_)) if said::<serde_json::Value>(record).is_some() => Ok(Ok(())),
        _ => Ok(Err(Unfolded::Unreadable)),
    }
}
