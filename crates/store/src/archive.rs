//! The archiver: moves records from the outbox into the journal.
//!
//! It appends to the journal and syncs it before it takes anything out of the outbox: a crash in between repeats a
//! record, whose id makes the second harmless, and never loses one. It takes no input but the outbox itself, can run any
//! number of times, and is right without ever being nudged.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use ingam_journal::Journal;
use ingam_journal::files::Files;
use ingam_protocol::record::Record;
use tokio::sync::oneshot;

use crate::committer::Queue;
use crate::condition::ArchiverEnd;
use crate::engine::{Durability, Engine, Pair};
use crate::error::Error;
use crate::room::{is_crowded, is_short};
use crate::table::OUTBOX;
use crate::transaction::read_range;

/// How long records may wait: the longer, the fewer syncs of the journal.
const PERIOD: Duration = Duration::from_millis(500);

/// At most this many records are moved in one go.
const RECORDS_PER_MOVE_MAX: usize = 512;

/// What the archiver is told.
pub(crate) enum Call {
    /// Somebody waits until what is in the outbox is in the journal.
    Move(oneshot::Sender<bool>),
    /// The store closes.
    Stop,
}

/// The way to the archiver; cheap to clone.
#[derive(Clone)]
pub(crate) struct ArchiverTurn(pub(crate) Sender<Call>);

impl ArchiverTurn {
    /// Moves all that is in the outbox now into the journal, and comes back when it is durable there.
    pub(crate) async fn move_all(&self) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        let closing = Error::Unavailable("the store is closing");
        if self.0.send(Call::Move(done)).is_err() {
            return Err(closing);
        }
        match answer.await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Unavailable("the journal takes no records now")),
            Err(_) => Err(closing),
        }
    }
}

/// Moves records for as long as the process lives; one to a store.
pub struct Archiver {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) queue: Queue,
    pub(crate) journal: Arc<Journal>,
    /// Where the store's files are, for a look at the room there.
    pub(crate) folders: Vec<Arc<dyn Files>>,
}

impl Archiver {
    /// Moves records until it is told to stop, and once more then.
    pub(crate) fn run(self, turns: &Receiver<Call>) {
        let _end = ArchiverEnd(self.queue.vitals());
        loop {
            let (stopping, waits) = match turns.recv_timeout(PERIOD) {
                Ok(Call::Move(waits)) => (false, Some(waits)),
                Err(RecvTimeoutError::Timeout) => (false, None),
                Ok(Call::Stop) | Err(RecvTimeoutError::Disconnected) => (true, None),
            };
            let short = is_short(&self.folders);
            self.queue.vitals().looked_at_room(short);
            let outcome = self.move_all();
            self.queue.vitals().archived(outcome.as_ref().err().map(failure_code));
            if let Err(error) = &outcome {
                metrics::counter!("ingam_archive_failures_total").increment(1);
                tracing::error!(
                    code = error.code(),
                    error = error as &dyn std::error::Error,
                    "records stay in the outbox: the journal could not take them"
                );
            }
            if let Some(waits) = waits {
                // Whoever waited may have gone. If not, a segment is to be destroyed, which packing would keep from it.
                let _ = waits.send(outcome.is_ok());
                continue;
            }
            if stopping {
                return;
            }
            // What is packed needs room before it gives some back, and what is left belongs to revocations.
            if !short && !is_crowded(&self.folders) {
                self.pack();
            }
        }
    }

    /// Moves everything that is in the outbox now. Blocks.
    ///
    /// # Errors
    /// [`Error`] if the journal or the engine fails; nothing is lost then, and the next run goes on.
    pub fn move_all(&self) -> Result<(), Error> {
        loop {
            let waiting = read_range(self.engine.as_ref(), OUTBOX, &[], None, RECORDS_PER_MOVE_MAX)?;
            let full = waiting.len() == RECORDS_PER_MOVE_MAX;
            if waiting.is_empty() {
                return Ok(());
            }
            // With more waiting, what was moved is taken out for good at once: the journal folds repeated records only
            // as far back as it remembers.
            self.move_some(waiting, if full { Durability::Durable } else { Durability::Relaxed })?;
            if !full {
                return Ok(());
            }
        }
    }

    /// Packs one segment of the journal that gets no further records, if there is one: between two moves, so that records
    /// never wait for more than that.
    fn pack(&self) {
        if let Err(error) = self.journal.pack_next() {
            tracing::warn!(
                code = error.code(),
                error = &error as &dyn std::error::Error,
                "a segment of the journal stays as large as it is"
            );
        }
    }

    fn move_some(&self, waiting: Vec<Pair>, removal: Durability) -> Result<(), Error> {
        let records = waiting
            .iter()
            .map(|(_, bytes)| Record::decode(bytes))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|cause| Error::Row("a record of the outbox", Box::new(cause)))?;
        self.journal
            .append(&records)
            .map_err(|cause| Error::Journal("appending records to the journal", cause))?;
        metrics::counter!("ingam_records_archived_total").increment(records.len() as u64);
        self.queue.run_blocking(removal, move |transaction| {
            for (key, _) in waiting {
                transaction.delete(OUTBOX, key);
            }
            Ok(())
        })
    }
}

/// What went wrong; where it was the journal, in its own words.
fn failure_code(error: &Error) -> &'static str {
    match error {
        Error::Journal(_, cause) => cause.code(),
        other => other.code(),
    }
}
