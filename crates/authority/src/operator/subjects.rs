//! What operators do for subjects of personal data: reports, corrections, erasures, objections, and who is due to be told.

use ingam_protocol::acme::{Account, Contact};
use ingam_protocol::record::{Part, RecordType, Seal};
use ingam_protocol::{Id, Timestamp};
use ingam_store::{Corrected, Erased, Erasure, ErasureReason, Objected, SubjectRow, Told};
use serde::Serialize;
use serde_json::Value;

use super::find::start;
use super::page::{ROWS_PER_READ, Rows, Seen, page_by_rows};
use super::{Act, ActError, Found};
use crate::Authority;
use crate::subject::law;
use crate::subject::{ErasureDone, Section, SubjectReport, TOLD_EVERY};

/// A subject with contact data.
#[derive(Clone, Debug)]
pub struct SubjectSummary {
    /// The account.
    pub account: Id,
    /// What is known of its contacts.
    pub row: SubjectRow,
    /// By when it is to be told what is held.
    pub due: Timestamp,
    /// Its contacts.
    pub contacts: Vec<Contact>,
}

/// Which subjects.
#[derive(Clone, Debug, Default)]
pub struct SubjectFilter {
    /// Those that are due to be told before then.
    pub due_before: Option<Timestamp>,
    /// With this contact, whatever the case of its letters.
    pub contact: Option<Contact>,
}

#[derive(Serialize)]
struct ChangedEvidence<'a> {
    account: Id,
    by: ingam_protocol::operator::Principal,
    #[serde(flatten)]
    what: &'a Value,
}

impl Authority {
    /// The report on an account, for an operator: on record before it is given out.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub async fn subject_report_for(&self, act: &Act, account: Id) -> Result<SubjectReport, ActError> {
        let account = self.subject_account(account)?;
        self.personal_data_read(act, Some(account.id)).await?;
        Ok(self.subject_report(&account)?)
    }

    /// A page of a section of that report, on record as well.
    ///
    /// # Errors
    /// As [`Authority::subject_report_for`], and [`ActError::Invalid`] if no page begins there.
    pub async fn subject_section_for(
        &self,
        act: &Act,
        account: Id,
        section: Section,
        after: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Found<Value>, ActError> {
        self.subject_account(account)?;
        // Whoever asks has a turn among operators' searches.
        let found = self.subject_section(account, section, after, limit, None).await?;
        let found = found.ok_or_else(|| ActError::invalid("\"after\" is not the \"next\" of a page"))?;
        self.personal_data_read(act, Some(account)).await?;
        Ok(found)
    }

    fn subject_account(&self, id: Id) -> Result<Account, ActError> {
        let account = self.store.account_by_id(id)?;
        account.ok_or_else(|| {
            ActError::not_found(format!(
                "there is no account {id}, so nothing is held about one (GDPR Art. 15(1), PIPA Art. 35)"
            ))
        })
    }

    /// Puts other contacts in place of an account's.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Conflict`] for an account that has ended, [`ActError::Invalid`] for too many;
    /// [`ActError::Fault`].
    pub async fn subject_correct(
        &self,
        act: &Act,
        account: Id,
        contacts: &[Contact],
    ) -> Result<(), ActError> {
        let contacts_max = self.policy().contacts_max;
        if contacts.len() > contacts_max {
            return Err(ActError::invalid(format!("an account has at most {contacts_max} contacts")));
        }
        self.subject_account(account)?;
        let what = serde_json::json!({ "contacts": contacts.len() });
        let evidence = ChangedEvidence { account, by: act.operator, what: &what };
        let mut record = self.record(RecordType::SubjectCorrected, Some(account), None, &evidence)?;
        if !contacts.is_empty() {
            let urls: Vec<&str> = contacts.iter().map(Contact::expose).collect();
            let plain = zeroize::Zeroizing::new(crate::evidence::json(&urls)?);
            let bytes = self.store.subject_seal(account, "correction", &plain).await?;
            record.parts.push(Part { seal: Seal::Subject, bytes });
        }
        let at = record.time;
        let records = vec![record, self.act_done(act)?];
        // As the record says it, so that the row can be made anew from the record.
        match self.store.subject_correct(account, contacts, at, records).await? {
            Corrected::Yes => Ok(()),
            Corrected::Closed => {
                Err(ActError::conflict(format!("the account {account} has ended: {}", law::CLOSED_BASIS)))
            }
            Corrected::Missing => Err(no_account(account)),
        }
    }

    /// Erases an account's contact data for good.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Conflict`] if a hold keeps them; [`ActError::Fault`] if it could not be done: it is
    /// then done later if the wish came on record.
    pub async fn subject_erase(&self, act: &Act, account: Id, close: bool) -> Result<ErasureDone, ActError> {
        let close = close.then(|| self.account_ended(account, None)).transpose()?;
        let erasure = Erasure {
            subject: account,
            close: close.map(Box::new),
            at: self.clock.now(),
            why: ErasureReason::OperatorActed,
            records: vec![self.act_done(act)?],
        };
        match self.store.subject_erase(erasure).await? {
            Erased::Yes(account) => {
                // Whose they were says the record alone: the log has nothing of a subscriber.
                tracing::info!(by = %act.operator, "contact data were erased");
                Ok(ErasureDone::of(&account))
            }
            Erased::Held(holds) => {
                let names: Vec<String> = holds
                    .iter()
                    .map(|hold| format!("{} (case {}, until {})", hold.id, hold.case, hold.ends.to_rfc3339()))
                    .collect();
                Err(ActError::conflict(format!(
                    "nothing was erased, as it is held: {}: {}; release the hold first",
                    names.join(", "),
                    law::HELD_BASIS
                )))
            }
            Erased::Missing => Err(no_account(account)),
        }
    }

    /// Notes that a subject objects to mail, or that it does not any more.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Conflict`] if there is no contact of it; [`ActError::Fault`].
    pub async fn subject_object(&self, act: &Act, account: Id, objects: bool) -> Result<(), ActError> {
        let what = serde_json::json!({ "objects_to_mail": objects });
        let evidence = ChangedEvidence { account, by: act.operator, what: &what };
        let record = self.record(RecordType::SubjectObjected, Some(account), None, &evidence)?;
        let since = objects.then_some(record.time);
        let done = self.store.subject_object(account, since, vec![record, self.act_done(act)?]).await?;
        noted(done, account)
    }

    /// Notes that a subject was told what is held about it.
    ///
    /// # Errors
    /// As [`Authority::subject_object`].
    pub async fn subject_told(&self, act: &Act, account: Id) -> Result<(), ActError> {
        let what = serde_json::json!({});
        let evidence = ChangedEvidence { account, by: act.operator, what: &what };
        let record = self.record(RecordType::SubjectTold, Some(account), None, &evidence)?;
        let told = Told { at: record.time, by: act.operator };
        let done = self.store.subject_told(account, told, vec![record, self.act_done(act)?]).await?;
        noted(done, account)
    }

    /// Subjects with contact data that fit, by their age. Opens their contacts: on record before they are given out.
    ///
    /// # Errors
    /// [`ActError::Fault`].
    pub async fn subjects_find(
        self: &std::sync::Arc<Self>,
        act: &Act,
        filter: SubjectFilter,
        after: Option<Id>,
        limit: usize,
    ) -> Result<Found<SubjectSummary>, ActError> {
        let authority = self.clone();
        let found = tokio::task::spawn_blocking(move || authority.subjects_look(&filter, after, limit));
        let found = found.await.map_err(super::task_failed)??;
        self.personal_data_read(act, None).await?;
        Ok(found)
    }

    fn subjects_look(
        &self,
        filter: &SubjectFilter,
        after: Option<Id>,
        limit: usize,
    ) -> Result<Found<SubjectSummary>, ActError> {
        let read = |last| {
            let rows = self.store.subjects(start(None, last), ROWS_PER_READ)?;
            Ok(Rows { is_end: rows.len() < ROWS_PER_READ, rows })
        };
        let visit = |(account, row): (Id, SubjectRow)| {
            let due = row.told.as_ref().map_or(row.since, |told| told.at).plus(TOLD_EVERY);
            if filter.due_before.is_some_and(|before| due >= before) {
                return Ok(Seen::Row(account, None));
            }
            let contacts = self.store.account_contacts(account)?;
            let is_wanted = |wanted: &Contact| {
                contacts.iter().any(|contact| contact.expose().eq_ignore_ascii_case(wanted.expose()))
            };
            if contacts.is_empty() || !filter.contact.as_ref().is_none_or(is_wanted) {
                return Ok(Seen::Row(account, None));
            }
            Ok(Seen::Row(account, Some(SubjectSummary { account, row, due, contacts })))
        };
        page_by_rows(after, limit, read, visit)
    }
}

fn no_account(account: Id) -> ActError {
    ActError::not_found(format!("there is no account {account}"))
}

fn noted(done: Objected, account: Id) -> Result<(), ActError> {
    match done {
        Objected::Yes(_) => Ok(()),
        Objected::Nothing => {
            Err(ActError::conflict(format!("the account {account} has no contacts: {}", law::NO_MAIL_BASIS)))
        }
        Objected::Missing => Err(no_account(account)),
    }
}
