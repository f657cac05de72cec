//! The log of OCSP requests: who asked for what and when, for at most seven days, unless a case holds some of it.
//!
//! ```text
//! threads that answer ── note ──▶ queue (rings, no lock, no allocation; truncated before) ── every 200 ms ──▶ block
//!                                                                                        └──▶ counts, by the hour
//! block ── compressed, sealed ──▶ segment of an hour, under a key of its own ── 7 days ──▶ key, then file destroyed,
//!                                       └── what an open hold is about ──▶ hold, under a key of its own     receipt
//! ```
//!
//! - `noted`, `queue`: what answering costs: a record of a fixed size into a ring. A full ring drops it, and counts that.
//! - `keys`: all keys, in one file that no backup needs. `sealed`, `block`: the files, from frames down to records.
//! - `state`: segments, sweep, clock. `hold`: cases. `counts`: what outlives the log, without people. `family`: kinds of
//!   clients.
//! - Nothing in its reach leads from a serial number to an account, and nobody reads it but through a hold.

mod block;
mod cases;
mod config;
mod counts;
mod error;
mod family;
mod hold;
mod keys;
mod noted;
mod queue;
mod sealed;
mod state;
mod work;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ingam_journal::files::Files;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::Record;
use ingam_protocol::time::Random;
use ingam_protocol::{Clock, Timestamp};
use ingam_store::StatusStore;
use metrics::{Counter as Metric, counter};

pub use block::LoggedRequest;
pub use cases::{HOLD_LASTS_MAX, NewHold};
pub use config::{Config, Mode};
pub use counts::{CertificateCount, HourCounts, IssuerCounts};
pub use error::Error;
pub use family::Family;
pub use hold::{HeldRequests, Hold, SELECTED_MAX, Selection, network};
pub use noted::{Noted, Outcome};

use counts::Counter;
use noted::Entry;
use queue::{Queue, RINGS_MAX, Sampler, Totals};
use state::State;

/// Where records of what became of the log go.
#[async_trait]
pub trait Receipts: Send + Sync {
    /// Puts them on record. The same ones may come again after an error.
    ///
    /// # Errors
    /// Whatever the store says, if they are not known to be durable.
    async fn append(&self, records: Vec<Record>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

#[async_trait]
impl Receipts for StatusStore {
    async fn append(&self, records: Vec<Record>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.records_append(records).await?)
    }
}

/// What a log is made of.
pub struct Parts {
    /// Its folder; `None` if there is none, and nothing is to be logged.
    pub files: Option<Arc<dyn Files>>,
    /// Where receipts go.
    pub receipts: Arc<dyn Receipts>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Keys and names.
    pub random: Arc<dyn Random>,
    /// Every issuer; requests name them by their place here.
    pub issuers: Vec<IssuerName>,
    /// How many threads answer.
    pub threads: usize,
}

/// The log.
pub struct RequestLog {
    receipts: Arc<dyn Receipts>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,

    config: Config,
    /// `None` if nothing is logged.
    queue: Option<Queue>,
    behind: Mutex<Behind>,

    /// Whether there is a folder.
    has_folder: bool,
    /// Why nothing could be written the last time, or destroyed.
    trouble: Mutex<Option<&'static str>>,
    /// How many requests could not be written.
    unwritten: AtomicU64,
    /// When something was last dropped, in milliseconds; zero if nothing was.
    dropped_at: AtomicU64,
    metrics: Metrics,
}

/// What only one at a time may touch, and may wait for the disk.
struct Behind {
    /// `None` if there is no folder.
    state: Option<State>,
    counter: Counter,
    sampler: Sampler,
    /// As of the last look.
    totals: Totals,
    /// Since the start: requests that records stood for, and those that no sample had.
    noted: u64,
    sampled_out: u64,
    looked: Timestamp,
    /// Hours that are not on record yet.
    hours: Vec<Record>,
}

struct Metrics {
    noted: Metric,
    sampled: Metric,
    queue_full: Metric,
    unwritten: Metric,
    destroyed: Metric,
}

impl Metrics {
    fn new() -> Self {
        const REQUESTS: &str = "ingam_request_log_requests_total";
        Self {
            noted: counter!(REQUESTS, "fate" => "noted"),
            sampled: counter!(REQUESTS, "fate" => "sampled_out"),
            queue_full: counter!(REQUESTS, "fate" => "queue_full"),
            unwritten: counter!(REQUESTS, "fate" => "unwritten"),
            destroyed: counter!("ingam_request_log_segments_destroyed_total"),
        }
    }
}

/// How the log fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// How much is logged.
    pub mode: Mode,
    /// How long, counted from a segment's first record.
    pub keep: Duration,
    /// How many records wait, and how many can.
    pub queue: (usize, usize),
    /// The time of the first record of each segment, and when that goes.
    pub segments: Vec<(Timestamp, Timestamp)>,
    /// How many holds are open.
    pub holds: usize,
    /// How many bytes segments and holds have, and how many they may have.
    pub bytes: (u64, u64),
    /// How many requests there were since the start of the process, and how many of them no record stands for, as there was
    /// no room or it could not be written.
    pub requests: (u64, u64),
    /// When requests were last left out for want of room, or as they could not be written.
    pub dropped_at: Option<Timestamp>,
    /// Why something could not be written or destroyed the last time.
    pub trouble: Option<&'static str>,
    /// Whether something is there whose time is over.
    pub is_overdue: bool,
}

impl RequestLog {
    /// Opens the log, and destroys what no key opens. Blocks. Nothing is swept yet: [`RequestLog::tick`] does that.
    ///
    /// # Errors
    /// [`Error`] if the folder cannot be read, or is of a newer version.
    pub fn open(config: &Config, parts: Parts) -> Result<Arc<Self>, Error> {
        let Parts { files, receipts, clock, random, issuers, threads } = parts;
        let now = clock.now();
        let state =
            files.map(|files| State::open(files, random.clone(), config, &issuers, now)).transpose()?;
        let is_on = config.mode != Mode::Off && state.is_some();
        let behind = Behind {
            state,
            counter: Counter::new(issuers, config.count_min),
            sampler: Sampler::default(),
            totals: Totals::default(),
            noted: 0,
            sampled_out: 0,
            looked: now,
            hours: Vec::new(),
        };
        Ok(Arc::new(Self {
            receipts,
            clock,
            random,
            queue: is_on.then(|| Queue::new(threads.min(RINGS_MAX), config.queue_records)),
            config: config.clone(),
            has_folder: behind.state.is_some(),
            behind: Mutex::new(behind),
            trouble: Mutex::default(),
            unwritten: AtomicU64::new(0),
            dropped_at: AtomicU64::new(0),
            metrics: Metrics::new(),
        }))
    }

    /// Whether anything is logged: whoever has to work for it can spare that otherwise.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Notes a request. Never waits, allocates nothing, and keeps nothing of it but what the mode allows.
    pub fn note(&self, noted: &Noted<'_>) {
        if let Some(queue) = &self.queue {
            queue.offer(|weight| Entry::new(noted, self.config.mode, weight));
        }
    }

    /// Runs work that may wait for the disk where that is allowed.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let log = self.clone();
        let ended = tokio::task::spawn_blocking(move || work(&log)).await;
        ended.map_err(|cause| Error::Record(Box::new(cause)))
    }

    fn lock(&self) -> MutexGuard<'_, Behind> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the log fares. Waits for the disk if it is being written to.
    pub fn condition(&self) -> Condition {
        let now = self.clock.now();
        let behind = self.lock();
        let totals = self.queue.as_ref().map(Queue::totals).unwrap_or_default();
        let state = behind.state.as_ref();
        let dropped_at = Timestamp::from_unix_ms(self.dropped_at.load(Ordering::Relaxed));
        Condition {
            mode: self.config.mode,
            keep: self.config.keep(),
            queue: self.queue.as_ref().map(Queue::fill).unwrap_or_default(),
            segments: state.map(State::segments).unwrap_or_default(),
            holds: state.map_or(0, |state| state.holds.len()),
            bytes: (state.map_or(0, |state| state.bytes), self.config.bytes_max),
            requests: (totals.seen, totals.dropped + self.unwritten.load(Ordering::Relaxed)),
            dropped_at: Some(dropped_at).filter(|at| at.unix_ms() > 0),
            trouble: *self.trouble.lock().unwrap_or_else(PoisonError::into_inner),
            is_overdue: state.is_some_and(|state| state.is_overdue(now)),
        }
    }
}
