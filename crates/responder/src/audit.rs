//! The record of what was signed: a bounded queue, emptied in batches.
//!
//! Room in the queue is taken before a signature is made and filled after it. When there is no room, because the store
//! has not taken batches for a while, nothing is signed: every signature is on record or about to be.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::health::QueueReport;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep};

use crate::counters::Counters;
use crate::statuses::{SigningEvent, Statuses};

/// How many events may wait to be recorded.
const EVENTS_QUEUED_MAX: usize = 65_536;
/// How many events are recorded at once.
const BATCH_MAX: usize = 256;
/// How long an event waits for others to be recorded with.
const BATCH_AGE_MAX: Duration = Duration::from_secs(1);
/// How often it is looked whether others have come.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait before a batch is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often a batch is tried when the process is about to end.
const LAST_TRIES_MAX: usize = 5;

/// Both ends of the queue.
pub(crate) struct Audit {
    sender: mpsc::Sender<SigningEvent>,
    receiver: Mutex<mpsc::Receiver<SigningEvent>>,
}

/// Room for the events of one signature.
pub(crate) struct Room<'a>(mpsc::PermitIterator<'a, SigningEvent>);

impl Room<'_> {
    /// Hands the events in. No more of them than there is room for are taken.
    pub(crate) fn fill(self, events: impl IntoIterator<Item = SigningEvent>) {
        for (permit, event) in self.0.zip(events) {
            permit.send(event);
        }
    }
}

impl Audit {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(EVENTS_QUEUED_MAX);
        Self { sender, receiver: Mutex::new(receiver) }
    }

    /// How many events wait to be recorded, and how many can.
    pub(crate) fn queue_report(&self) -> QueueReport {
        let waiting = EVENTS_QUEUED_MAX.saturating_sub(self.sender.capacity());
        QueueReport::new("signing_events", waiting, EVENTS_QUEUED_MAX)
    }

    /// Room for `count` events; `None` if there is not enough, or if the process is about to end.
    pub(crate) fn room(&self, count: usize) -> Option<Room<'_>> {
        self.sender.try_reserve_many(count).ok().map(Room)
    }

    /// Records events until `shutdown` is done, then what is left. A second call waits until the first is over.
    pub(crate) async fn run(
        &self,
        statuses: &Arc<dyn Statuses>,
        counters: &Counters,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut receiver = self.receiver.lock().await;
        let mut shutdown = pin!(shutdown);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let is_over = tokio::select! {
                biased;
                () = shutdown.as_mut() => true,
                () = fill(&mut receiver, &mut batch) => false,
            };
            // Without an event the queue is closed: an earlier run was shut down.
            if is_over || batch.is_empty() {
                break;
            }
            if !record(&batch, statuses, counters).await {
                tokio::select! {
                    biased;
                    () = shutdown.as_mut() => break,
                    () = sleep(RETRY_AFTER) => continue,
                }
            }
            batch.clear();
        }
        // From here on nothing can be signed, so what is taken now is all there is.
        receiver.close();
        loop {
            while batch.len() < BATCH_MAX
                && let Some(event) = receiver.recv().await
            {
                batch.push(event);
            }
            if batch.is_empty() {
                return;
            }
            record_at_last(&batch, statuses, counters).await;
            batch.clear();
        }
    }
}

/// Waits until the batch is full, or its first event old enough. Dropping it half-way loses nothing.
async fn fill(receiver: &mut mpsc::Receiver<SigningEvent>, batch: &mut Vec<SigningEvent>) {
    if batch.is_empty() {
        receiver.recv_many(batch, BATCH_MAX).await;
    }
    let deadline = Instant::now() + BATCH_AGE_MAX;
    while batch.len() < BATCH_MAX && !receiver.is_closed() && Instant::now() < deadline {
        // Who waits for each event is woken for each: that would cost those who sign more than handing it in.
        sleep(LOOK_INTERVAL).await;
        while batch.len() < BATCH_MAX
            && let Ok(event) = receiver.try_recv()
        {
            batch.push(event);
        }
    }
}

/// Whether the batch is on record now.
async fn record(batch: &[SigningEvent], statuses: &Arc<dyn Statuses>, counters: &Counters) -> bool {
    match statuses.record_signed(batch.to_vec()).await {
        Ok(()) => {
            counters.events_recorded.increment(batch.len() as u64);
            true
        }
        Err(error) => {
            counters.record_failed.increment(1);
            tracing::error!(
                error = &error as &dyn std::error::Error,
                events = batch.len(),
                "signatures could not be recorded; nothing is lost yet"
            );
            false
        }
    }
}

/// Tries a few times; what cannot be recorded then is counted in the log.
async fn record_at_last(batch: &[SigningEvent], statuses: &Arc<dyn Statuses>, counters: &Counters) {
    for _ in 0..LAST_TRIES_MAX {
        if record(batch, statuses, counters).await {
            return;
        }
        sleep(RETRY_AFTER / 5).await;
    }
    tracing::error!(events = batch.len(), "signatures were never recorded, and the process ends");
}
