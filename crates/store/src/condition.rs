//! How the store fares, for whoever watches it: what its threads last met, and what waits for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ingam_protocol::Timestamp;
use ingam_protocol::record::Record;

use crate::engine::{EngineError, Pair};
use crate::error::Error;
use crate::open::Store;
use crate::table::OUTBOX;
use crate::transaction::{decode_counter, read_range};

/// What the store's threads last met. Written by them, read by anybody, without waiting for either.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    commit_failure: Mutex<Option<&'static str>>,
    archive_failure: Mutex<Option<&'static str>>,
    short_of_room: AtomicBool,
}

impl Vitals {
    /// Notes how the last commit ended. A batch that was too large says nothing about the engine.
    pub(crate) fn committed(&self, outcome: &Result<(), EngineError>) {
        if !matches!(outcome, Err(EngineError::TooLarge { .. })) {
            *lock(&self.commit_failure) = outcome.as_ref().err().map(EngineError::code);
        }
    }

    /// Notes whether a disk has too little room for anything new. The log has it once.
    pub(crate) fn looked_at_room(&self, is_short: bool) {
        if self.short_of_room.swap(is_short, Ordering::Relaxed) == is_short {
            return;
        }
        if is_short {
            tracing::error!(
                code = "store_room",
                "a disk is nearly full: no accounts, orders and certificates until there is room"
            );
        } else {
            tracing::info!("there is room on the disks again");
        }
    }

    /// Notes how the last move of records into the journal ended.
    pub(crate) fn archived(&self, failure: Option<&'static str>) {
        *lock(&self.archive_failure) = failure;
    }
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A code is whole or not there.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that the archiver has ended, whichever way it did.
pub(crate) struct ArchiverEnd<'a>(pub(crate) &'a Vitals);

impl Drop for ArchiverEnd<'_> {
    fn drop(&mut self) {
        self.0.archived(Some("archiver_ended"));
    }
}

/// What can be said of the store without reading from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// How many transactions wait to be committed.
    pub transactions: usize,
    /// How many can wait; one more is refused.
    pub transactions_max: usize,
    /// The code of the last commit's failure, if it failed. An engine that failed usually has to be opened again.
    pub commit_failure: Option<&'static str>,
    /// The code of the archiver's last failure, if it failed the last time or has ended.
    pub archive_failure: Option<&'static str>,
    /// Whether a disk is so full that nothing new is begun: no account, order, authorization or issuance.
    pub short_of_room: bool,
    /// Whether nothing can be committed any more, as the store was closed or its thread has ended.
    pub closed: bool,
}

/// The records that wait for the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbox {
    /// How many there are.
    pub records: u64,
    /// The time of the one that has waited longest.
    pub oldest: Option<Timestamp>,
    /// The time of the one that came last.
    pub newest: Option<Timestamp>,
}

impl Store {
    /// How the store fares. It waits for nothing.
    pub fn condition(&self) -> Condition {
        let queue = self.queue();
        let vitals = queue.vitals();
        Condition {
            transactions: queue.waiting(),
            transactions_max: crate::committer::QUEUE_MAX,
            commit_failure: *lock(&vitals.commit_failure),
            archive_failure: *lock(&vitals.archive_failure),
            short_of_room: vitals.short_of_room.load(Ordering::Relaxed),
            closed: queue.is_closed(),
        }
    }

    /// What waits for the journal: two reads of the engine. Blocks.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn outbox(&self) -> Result<Outbox, Error> {
        let first = read_range(self.engine(), OUTBOX, &[], None, 1)?.into_iter().next();
        let last = self
            .engine()
            .range_last(OUTBOX, &[], None, 1)
            .map_err(|cause| Error::Engine("reading the end of the outbox", cause))?;
        // The archiver may have emptied it in between.
        let (Some(first), Some(last)) = (first, last.into_iter().next()) else {
            return Ok(Outbox { records: 0, oldest: None, newest: None });
        };
        let (first, last) = (Waiting::read(first)?, Waiting::read(last)?);
        // Records are numbered one after another and taken out from the front. A commit that failed leaves a gap, so this
        // may be too many for a while, and is never too few.
        let records = last.number.saturating_sub(first.number) + 1;
        Ok(Outbox { records, oldest: Some(first.time), newest: Some(last.time) })
    }
}

/// A record of the outbox, as far as it matters here.
struct Waiting {
    number: u64,
    time: Timestamp,
}

impl Waiting {
    fn read((key, record): Pair) -> Result<Self, Error> {
        let record =
            Record::decode(&record).map_err(|cause| Error::Row("a record of the outbox", Box::new(cause)))?;
        Ok(Self { number: decode_counter(Some(key))?, time: record.time })
    }
}
