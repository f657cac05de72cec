//! Subjects of personal data, which here are accounts: what is known of their contacts beside themselves, and how these
//! are erased.
//!
//! ```text
//! erased by wish ─▶ row in `erasures_open`, contacts gone (one transaction) ─▶ key destroyed ─▶ row gone, receipt (one transaction)
//! withdrawn, closed ─▶ row, contacts gone ─▶ marked by the sweep, unless held or given anew meanwhile ─▶ key destroyed ─▶ …
//! ```
//!
//! The row is the intent: the next start, or the next sweep, takes up what a crash left. Once it is marked, nothing new is
//! sealed for the subject until its key is gone, as it would go with it.

mod anew;
mod records;

use std::collections::BTreeSet;
use std::sync::Arc;

use ingam_journal::Journal;
use ingam_protocol::acme::{Account, Contact};
use ingam_protocol::operator::Principal;
use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::time::Random;
use ingam_protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::account::contact_place;
use crate::contact::SubjectKeys;
use crate::engine::{Batch, Durability, Engine};
use crate::error::Error;
use crate::hold::{Hold, holds_on};
use crate::open::Store;
use crate::table::{ACCOUNTS, CONTACTS, ERASURES_OPEN, OUTBOX, SUBJECTS};
use crate::transaction::{Transaction, decode, read_range, read_row};

pub(crate) use anew::{Erasing, erasure_anew, erasures_keep};
pub use records::RecordsOf;

/// At most this many erasures are taken up in one go: they share one rewriting of the keys.
const ERASURES_AT_ONCE: usize = 1000;

/// How many rows of the outbox are read at once.
const ROWS_PER_READ: usize = 500;

/// At most this many times that is done in one sweep.
const SWEEP_STEPS_MAX: usize = 1000;

/// What is known of a subject's contacts beside themselves; it goes when they go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectRow {
    /// Since when there are contacts.
    pub since: Timestamp,
    /// When the subject was last told what is held about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// When it objected to mail, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_objected: Option<Timestamp>,
}

/// A subject was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// Who put that down.
    pub by: Principal,
}

/// Why contact data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasureReason {
    /// The subject asked for it, by its account key.
    SubjectAsked,
    /// An operator did it for the subject.
    OperatorActed,
    /// The account was closed.
    AccountClosed,
    /// The subject took its contacts out of the account.
    Withdrawn,
}

/// A key that is to be destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErasureRow {
    /// Since when.
    asked: Timestamp,
    /// Why.
    why: ErasureReason,
    /// Whether it goes whatever comes: nothing is sealed under it any more.
    #[serde(default)]
    marked: bool,
    /// Whether the account ended with it.
    #[serde(default)]
    closed: bool,
}

/// What the receipt of an erasure says: that it was, and nothing of what it was about.
#[derive(Serialize)]
struct Receipt {
    account: Id,
    why: ErasureReason,
    asked: Timestamp,
    /// Whether the account ended with it.
    closed: bool,
    /// What was done: contacts, preferences and what of records lay under the key.
    destroyed: &'static str,
}

/// An erasure that somebody wishes.
#[derive(Debug)]
pub struct Erasure {
    /// The account.
    pub subject: Id,
    /// The record of the account's end, if it is to end with it; written if it had not ended before. It ends when that was,
    /// as the row is made anew from the record.
    pub close: Option<Box<Record>>,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: ErasureReason,
    /// The records of who wished it.
    pub records: Vec<Record>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erased {
    /// Nothing opens the contact data any more, in no copy.
    Yes(Box<Account>),
    /// A hold keeps them; nothing was changed.
    Held(Vec<Hold>),
    /// There is no such account.
    Missing,
}

/// What came of a correction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Corrected {
    /// Done.
    Yes,
    /// The account was closed.
    Closed,
    /// There is no such account.
    Missing,
}

/// What came of an objection, or of telling a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objected {
    /// Done: how things stand then.
    Yes(SubjectRow),
    /// There is no contact data of this account.
    Nothing,
    /// There is no such account.
    Missing,
}

impl ErasureRow {
    fn is_marked(&self) -> bool {
        self.marked
    }
}

/// Notes that contacts were given, in the transaction that puts them in; `sealed` was made before it.
pub(crate) fn contacts_put(
    transaction: &mut Transaction<'_>,
    keys: &SubjectKeys,
    subject: Id,
    sealed: Vec<u8>,
    now: Timestamp,
) -> Result<(), Error> {
    let open: Option<ErasureRow> = transaction.row(ERASURES_OPEN, subject.as_bytes())?;
    let is_going = open.as_ref().is_some_and(ErasureRow::is_marked);
    // A key that was destroyed since it sealed this would leave something that nobody can read.
    if is_going || keys.open_sealed(contact_place(subject), &sealed).is_err() {
        return Err(Error::Unavailable("the account's contact data are being erased"));
    }
    if open.is_some() {
        transaction.delete(ERASURES_OPEN, *subject.as_bytes());
    }
    if transaction.get(SUBJECTS, subject.as_bytes())?.is_none() {
        let row = SubjectRow { since: now, told: None, mail_objected: None };
        transaction.put_row(SUBJECTS, *subject.as_bytes(), &row)?;
    }
    transaction.put(CONTACTS, *subject.as_bytes(), sealed);
    Ok(())
}

/// Whether a subject's key goes whatever comes, as of this point of the transaction.
pub(crate) fn is_being_erased(transaction: &Transaction<'_>, subject: Id) -> Result<bool, Error> {
    let open: Option<ErasureRow> = transaction.row(ERASURES_OPEN, subject.as_bytes())?;
    Ok(open.as_ref().is_some_and(ErasureRow::is_marked))
}

/// Takes contacts out, in the transaction of what that follows from; their key goes with the next sweep.
pub(crate) fn contacts_withdraw(
    transaction: &mut Transaction<'_>,
    keys: &SubjectKeys,
    subject: Id,
    why: ErasureReason,
    now: Timestamp,
) -> Result<(), Error> {
    transaction.delete(CONTACTS, *subject.as_bytes());
    transaction.delete(SUBJECTS, *subject.as_bytes());
    if keys.has(subject) && transaction.get(ERASURES_OPEN, subject.as_bytes())?.is_none() {
        let row = ErasureRow { asked: now, why, marked: false, closed: false };
        transaction.put_row(ERASURES_OPEN, *subject.as_bytes(), &row)?;
    }
    Ok(())
}

impl Store {
    /// Erases a subject's contact data, unless a hold keeps them: when this is back, their key is destroyed. The account goes
    /// on without contacts, or ends where that is wished.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable, or the key could not be destroyed: then the wish may be on record, and
    /// the next sweep goes on with it.
    pub async fn subject_erase(&self, erasure: Erasure) -> Result<Erased, Error> {
        let subject = erasure.subject;
        let erased = self
            .run(move |transaction| {
                let Erasure { subject, close, at, why, records } = erasure;
                let Some(mut account) = transaction.row::<Account>(ACCOUNTS, subject.as_bytes())? else {
                    return Ok(Erased::Missing);
                };
                let holds = holds_on(transaction, subject, at)?;
                if !holds.is_empty() {
                    return Ok(Erased::Held(holds));
                }
                let closed = close.is_some();
                if let Some(ended) = close.filter(|_| account.deactivated.is_none()) {
                    account.deactivated = Some(at);
                    transaction.put_row(ACCOUNTS, *subject.as_bytes(), &account)?;
                    transaction.record(&ended);
                }
                transaction.delete(CONTACTS, *subject.as_bytes());
                transaction.delete(SUBJECTS, *subject.as_bytes());
                let row = ErasureRow { asked: at, why, marked: true, closed };
                transaction.put_row(ERASURES_OPEN, *subject.as_bytes(), &row)?;
                records.iter().for_each(|record| transaction.record(record));
                Ok(Erased::Yes(Box::new(account)))
            })
            .await?;
        if matches!(erased, Erased::Yes(_)) {
            self.keys_destroy(vec![subject]).await?;
            let keys = self.subject_keys().clone();
            self.run(move |transaction| erasures_end(transaction, keys.random(), &[subject])).await?;
        }
        Ok(erased)
    }

    /// Puts other contacts in place of an account's for an operator.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn subject_correct(
        &self,
        subject: Id,
        contacts: &[Contact],
        now: Timestamp,
        records: Vec<Record>,
    ) -> Result<Corrected, Error> {
        match self.account_by_id(subject)? {
            None => return Ok(Corrected::Missing),
            Some(account) if account.deactivated.is_some() => return Ok(Corrected::Closed),
            Some(_) => {}
        }
        let sealed = self.contacts_seal(subject, contacts).await?;
        let keys = self.subject_keys().clone();
        self.run(move |transaction| {
            let account: Option<Account> = transaction.row(ACCOUNTS, subject.as_bytes())?;
            if account.is_none_or(|account| account.deactivated.is_some()) {
                return Ok(Corrected::Closed);
            }
            match sealed {
                Some(sealed) => contacts_put(transaction, &keys, subject, sealed, now)?,
                None => contacts_withdraw(transaction, &keys, subject, ErasureReason::OperatorActed, now)?,
            }
            records.iter().for_each(|record| transaction.record(record));
            Ok(Corrected::Yes)
        })
        .await
    }

    /// Notes that a subject objects to mail since then, or, without a time, that it does not any more.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn subject_object(
        &self,
        subject: Id,
        since: Option<Timestamp>,
        records: Vec<Record>,
    ) -> Result<Objected, Error> {
        self.subject_change(subject, move |row| row.mail_objected = since, records).await
    }

    /// Notes that a subject was told what is held about it.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn subject_told(
        &self,
        subject: Id,
        told: Told,
        records: Vec<Record>,
    ) -> Result<Objected, Error> {
        self.subject_change(subject, move |row| row.told = Some(told), records).await
    }

    async fn subject_change(
        &self,
        subject: Id,
        change: impl FnOnce(&mut SubjectRow) + Send + 'static,
        records: Vec<Record>,
    ) -> Result<Objected, Error> {
        self.run(move |transaction| {
            let Some(account) = transaction.row::<Account>(ACCOUNTS, subject.as_bytes())? else {
                return Ok(Objected::Missing);
            };
            if transaction.get(CONTACTS, subject.as_bytes())?.is_none() {
                return Ok(Objected::Nothing);
            }
            let row: Option<SubjectRow> = transaction.row(SUBJECTS, subject.as_bytes())?;
            let mut row = row.unwrap_or_else(|| SubjectRow::of(&account));
            change(&mut row);
            transaction.put_row(SUBJECTS, *subject.as_bytes(), &row)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(Objected::Yes(row))
        })
        .await
    }

    /// What is known of a subject's contacts beside themselves; `None` if there are none.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn subject_by_id(&self, subject: Id) -> Result<Option<SubjectRow>, Error> {
        let contacts = self.engine().get(CONTACTS, subject.as_bytes());
        if contacts.map_err(|cause| Error::Engine("reading contacts", cause))?.is_none() {
            return Ok(None);
        }
        self.subject_row(subject)
    }

    fn subject_row(&self, subject: Id) -> Result<Option<SubjectRow>, Error> {
        if let Some(row) = read_row(self.engine(), SUBJECTS, subject.as_bytes())? {
            return Ok(Some(row));
        }
        // Contacts that an older version put in.
        Ok(self.account_by_id(subject)?.map(|account| SubjectRow::of(&account)))
    }

    /// Subjects with contact data, by their ids from `from` on, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn subjects(&self, from: Id, limit: usize) -> Result<Vec<(Id, SubjectRow)>, Error> {
        let mut subjects = Vec::new();
        for (key, _) in read_range(self.engine(), CONTACTS, from.as_bytes(), None, limit)? {
            let id = crate::account::id_from(&key)?;
            let row = self.subject_row(id)?.unwrap_or_else(|| SubjectRow::since(id.time()));
            subjects.push((id, row));
        }
        Ok(subjects)
    }

    /// Whether a subject's key is to be destroyed, or is being destroyed now.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn subject_erasure_is_open(&self, subject: Id) -> Result<bool, Error> {
        let row: Option<ErasureRow> = read_row(self.engine(), ERASURES_OPEN, subject.as_bytes())?;
        Ok(row.is_some())
    }

    /// Destroys the keys of all whose contact data were erased, withdrawn, or closed with their account, unless a hold keeps
    /// them. Harmless when it is done twice.
    ///
    /// # Errors
    /// [`Error`] if something failed; the next sweep does what is left.
    pub async fn erasures_sweep(&self, now: Timestamp) -> Result<usize, Error> {
        let (mut after, mut count) = (Vec::new(), 0);
        for _ in 0..SWEEP_STEPS_MAX {
            let rows = read_range(self.engine(), ERASURES_OPEN, &after, None, ERASURES_AT_ONCE)?;
            let Some((last, _)) = rows.last() else { break };
            after = [last.as_slice(), &[0]].concat();
            let asked = rows.iter().map(|(key, _)| crate::account::id_from(key));
            let asked: Vec<Id> = asked.collect::<Result<_, _>>()?;
            let marked = self.run(move |transaction| erasures_mark(transaction, asked, now)).await?;
            count += marked.len();
            if !marked.is_empty() {
                self.keys_destroy(marked.clone()).await?;
                let keys = self.subject_keys().clone();
                self.run(move |transaction| erasures_end(transaction, keys.random(), &marked)).await?;
            }
        }
        Ok(count)
    }

    async fn keys_destroy(&self, subjects: Vec<Id>) -> Result<(), Error> {
        let keys: Arc<SubjectKeys> = self.subject_keys().clone();
        // Writes all other keys anew: not on a thread of the runtime.
        tokio::task::spawn_blocking(move || keys.destroy(&subjects))
            .await
            .map_err(|_| Error::Unavailable("the runtime is ending"))?
    }
}

impl SubjectRow {
    fn since(since: Timestamp) -> Self {
        Self { since, told: None, mail_objected: None }
    }

    /// Of contacts of which it is not known when they were given.
    fn of(account: &Account) -> Self {
        Self::since(account.created)
    }
}

/// Ends at the start what a crash left between a wish and the end of its key, before anybody else writes; `outbox_next` is where
/// the next record goes. Blocks.
pub(crate) fn take_up(
    engine: &dyn Engine,
    keys: &SubjectKeys,
    outbox_next: &mut u64,
) -> Result<usize, Error> {
    let (mut after, mut count) = (Vec::new(), 0);
    for _ in 0..SWEEP_STEPS_MAX {
        let rows = read_range(engine, ERASURES_OPEN, &after, None, ERASURES_AT_ONCE)?;
        let Some((last, _)) = rows.last() else { break };
        after = [last.as_slice(), &[0]].concat();
        let mut marked = Vec::new();
        for (key, row) in rows {
            let row: Option<ErasureRow> = decode(ERASURES_OPEN, Some(row))?;
            if row.is_some_and(|row| row.is_marked()) {
                marked.push(crate::account::id_from(&key)?);
            }
        }
        if marked.is_empty() {
            continue;
        }
        keys.destroy(&marked)?;
        let nothing = Batch::new();
        let mut transaction = Transaction::new(engine, &nothing, *outbox_next);
        erasures_end(&mut transaction, keys.random(), &marked)?;
        let changes = transaction.finish();
        // Also if it is not known whether the records are in: nothing is put over them.
        *outbox_next = changes.outbox_next;
        let committed = engine.commit(&changes.batch, Durability::Durable);
        committed.map_err(|cause| Error::Engine("ending an erasure", cause))?;
        count += marked.len();
    }
    Ok(count)
}

/// Destroys again at the start what an old copy of the keys, put back, has brought back: keys of subjects of whose erasure
/// there is a receipt, and who have no contacts since. Those that the sweep is to look at are left to it, as a hold may keep
/// them. Reads the receipts one by one; at most the names of the keys that are there are in memory. Blocks.
pub(crate) fn destroy_again(
    engine: &dyn Engine,
    keys: &SubjectKeys,
    journal: &Journal,
) -> Result<usize, Error> {
    let mut back = BTreeSet::new();
    let mut look = |record: &Record| {
        let Some(subject) = record.subject.filter(|_| record.kind == RecordType::SubjectErased) else {
            return Ok(());
        };
        if !keys.has(subject) || back.contains(&subject) {
            return Ok(());
        }
        for table in [CONTACTS, ERASURES_OPEN] {
            let row = engine.get(table, subject.as_bytes());
            if row.map_err(|cause| Error::Engine("reading contacts", cause))?.is_some() {
                return Ok(());
            }
        }
        back.insert(subject);
        Ok::<_, Error>(())
    };
    for record in journal.records(Class::Retention) {
        look(&record.map_err(|cause| Error::Journal("reading the receipts of erasures", cause))?)?;
    }
    // Those that had not come into the journal when the process before ended.
    let mut after = Vec::new();
    loop {
        let rows = read_range(engine, OUTBOX, &after, None, ROWS_PER_READ)?;
        let Some((last, _)) = rows.last() else { break };
        after = [last.as_slice(), &[0]].concat();
        for (_, bytes) in &rows {
            let record = Record::decode(bytes);
            look(&record.map_err(|cause| Error::Row("a record of the outbox", Box::new(cause)))?)?;
        }
    }
    if !back.is_empty() {
        keys.destroy(&back.iter().copied().collect::<Vec<_>>())?;
    }
    Ok(back.len())
}

/// Marks those whose keys may be destroyed, and gives them.
fn erasures_mark(
    transaction: &mut Transaction<'_>,
    asked: Vec<Id>,
    now: Timestamp,
) -> Result<Vec<Id>, Error> {
    let mut marked = Vec::with_capacity(asked.len());
    for subject in asked {
        let Some(row) = transaction.row::<ErasureRow>(ERASURES_OPEN, subject.as_bytes())? else { continue };
        if !row.is_marked() {
            if !holds_on(transaction, subject, now)?.is_empty() {
                continue;
            }
            transaction.put_row(ERASURES_OPEN, *subject.as_bytes(), &ErasureRow { marked: true, ..row })?;
        }
        marked.push(subject);
    }
    Ok(marked)
}

/// Ends erasures whose keys are destroyed: the receipt is on record, each once.
fn erasures_end(
    transaction: &mut Transaction<'_>,
    random: &dyn Random,
    subjects: &[Id],
) -> Result<(), Error> {
    for subject in subjects {
        let Some(row) = transaction.row::<ErasureRow>(ERASURES_OPEN, subject.as_bytes())? else { continue };
        if !row.is_marked() {
            continue;
        }
        transaction.delete(ERASURES_OPEN, *subject.as_bytes());
        let receipt = Receipt {
            account: *subject,
            why: row.why,
            asked: row.asked,
            closed: row.closed,
            destroyed: "the subject's key: contacts, preferences, and what of records lay under it",
        };
        let payload =
            serde_json::to_vec(&receipt).map_err(|cause| Error::Row("a receipt", Box::new(cause)))?;
        let record = Record::new(RecordType::SubjectErased, row.asked, payload, random);
        transaction.record(&record.about(*subject));
    }
    Ok(())
}
