//! One thread that runs every transaction and makes all that have queued durable with a single sync.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{broadcast, mpsc, oneshot};

use crate::condition::Vitals;
use crate::engine::{Batch, Durability, Engine};
use crate::error::Error;
use crate::status::StatusChange;
use crate::transaction::Transaction;

/// At most this many transactions wait; one more is refused rather than kept in memory.
pub(crate) const QUEUE_MAX: usize = 4096;

/// At most this many transactions share a sync.
const JOBS_PER_SYNC_MAX: usize = 512;

/// A transaction on its way, and its caller's way back.
trait Job: Send {
    /// Runs the body; its changes, or `None` if it has none to keep.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;
    /// Answers the caller, after the sync.
    fn finish(self: Box<Self>, committed: bool);
}

struct Body<F, T> {
    body: Option<F>,
    result: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<F, T> Job for Body<F, T>
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send,
    T: Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let Some(body) = self.body.take() else { return false };
        let result = body(transaction);
        let keep = result.is_ok();
        self.result = Some(result);
        keep
    }

    fn finish(self: Box<Self>, committed: bool) {
        let result = match self.result {
            Some(Ok(value)) if committed => Ok(value),
            Some(Ok(_)) | None => Err(Error::Commit),
            Some(Err(error)) => Err(error),
        };
        // The caller may have gone; what was done is done.
        let _ = self.reply.send(result);
    }
}

enum Message {
    Job(Box<dyn Job>, Durability),
    Stop,
}

/// The way to the committer; cheap to clone.
#[derive(Clone)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Message>,
    vitals: Arc<Vitals>,
}

impl Queue {
    /// What the store's threads last met.
    pub(crate) fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// How many transactions wait.
    pub(crate) fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Whether nobody takes transactions any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Runs `body` as a transaction and comes back when its changes are durable.
    pub(crate) async fn run<T, F>(&self, body: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Body { body: Some(body), result: None, reply });
        self.sender.try_send(Message::Job(job, Durability::Durable)).map_err(|error| {
            Error::Unavailable(match error {
                mpsc::error::TrySendError::Full(_) => {
                    "too many changes wait for the store: try again in a moment"
                }
                mpsc::error::TrySendError::Closed(_) => "the store is closing",
            })
        })?;
        answer.await.unwrap_or(Err(Error::Unavailable("the store is closing")))
    }

    /// Runs `body` for a thread that may block. Relaxed, its changes become durable with the next sync.
    pub(crate) fn run_blocking<F>(&self, durability: Durability, body: F) -> Result<(), Error>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<(), Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Body { body: Some(body), result: None, reply });
        self.sender
            .blocking_send(Message::Job(job, durability))
            .map_err(|_| Error::Unavailable("the store is closing"))?;
        answer.blocking_recv().unwrap_or(Err(Error::Unavailable("the store is closing")))
    }

    /// Asks the committer to finish what has queued and end.
    pub(crate) fn stop(&self) {
        // Closed already means ended already.
        let _ = self.sender.blocking_send(Message::Stop);
    }
}

/// The committer itself: the only writer.
pub(crate) struct Committer {
    engine: Arc<dyn Engine>,
    generation: Arc<AtomicU64>,
    feed: broadcast::Sender<StatusChange>,
    receiver: mpsc::Receiver<Message>,
    vitals: Arc<Vitals>,
    outbox_next: u64,
}

impl Committer {
    /// `outbox_next` is the sequence number after the outbox's last; `generation` is published after each sync, and `feed` told of
    /// what changed.
    pub(crate) fn new(
        engine: Arc<dyn Engine>,
        generation: Arc<AtomicU64>,
        feed: broadcast::Sender<StatusChange>,
        outbox_next: u64,
    ) -> (Self, Queue) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let vitals = Arc::new(Vitals::default());
        let queue = Queue { sender, vitals: vitals.clone() };
        (Self { engine, generation, feed, receiver, vitals, outbox_next }, queue)
    }

    /// Runs until it is told to stop or every way to it is gone.
    pub(crate) fn run(mut self) {
        let mut stopping = false;
        while !stopping {
            match self.receiver.blocking_recv() {
                Some(Message::Job(job, durability)) => stopping = self.sync_with(job, durability),
                Some(Message::Stop) | None => stopping = true,
            }
        }
        self.receiver.close();
        while let Ok(message) = self.receiver.try_recv() {
            if let Message::Job(job, durability) = message {
                self.sync_with(job, durability);
            }
        }
    }

    /// One sync: the first job and whatever has queued behind it. Whether to stop after it.
    fn sync_with(&mut self, first: Box<dyn Job>, durability: Durability) -> bool {
        let mut batch = Batch::new();
        let mut generation = None;
        let mut statuses = Vec::new();
        let mut durable = durability == Durability::Durable;
        let mut jobs = Vec::new();
        let mut stop = false;
        let mut next = Some(first);
        while let Some(mut job) = next.take() {
            let mut transaction = Transaction::new(self.engine.as_ref(), &batch, self.outbox_next);
            if job.run(&mut transaction) {
                let changes = transaction.finish();
                self.outbox_next = changes.outbox_next;
                generation = changes.generation.or(generation);
                statuses.extend(changes.statuses);
                batch.append(changes.batch);
            }
            jobs.push(job);
            if jobs.len() < JOBS_PER_SYNC_MAX {
                match self.receiver.try_recv() {
                    Ok(Message::Job(job, durability)) => {
                        durable |= durability == Durability::Durable;
                        next = Some(job);
                    }
                    Ok(Message::Stop) => stop = true,
                    Err(_) => {}
                }
            }
        }
        let committed = self.commit(&batch, durable);
        if let Some(generation) = generation.filter(|_| committed) {
            // Before anybody is answered: whoever was told of a revocation never sees an older answer.
            self.generation.fetch_max(generation, Ordering::SeqCst);
        }
        for change in statuses.into_iter().filter(|_| committed) {
            // Nobody may follow.
            let _ = self.feed.send(change);
        }
        metrics::histogram!("ingam_store_commit_jobs")
            .record(f64::from(u32::try_from(jobs.len()).unwrap_or(u32::MAX)));
        for job in jobs {
            job.finish(committed);
        }
        stop
    }

    fn commit(&self, batch: &Batch, durable: bool) -> bool {
        if batch.is_empty() {
            // Nothing changed: everybody only looked, and what they saw was durable.
            return true;
        }
        let started = Instant::now();
        let durability = if durable { Durability::Durable } else { Durability::Relaxed };
        let outcome = self.engine.commit(batch, durability);
        metrics::histogram!("ingam_store_commit_seconds").record(started.elapsed().as_secs_f64());
        self.vitals.committed(&outcome);
        match outcome {
            Ok(()) => true,
            Err(error) => {
                metrics::counter!("ingam_store_commit_failures_total").increment(1);
                tracing::error!(
                    code = error.code(),
                    error = &error as &dyn std::error::Error,
                    "a sync failed"
                );
                false
            }
        }
    }
}
