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
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ingam_journal::files::Files;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::Random;
use ingam_protocol::{Clock, Id, Timestamp};
use ingam_store::StatusStore;
use metrics::{Counter as Metric, counter};
use serde_json::{Value, json};

pub use block::LoggedRequest;
pub use config::{Config, Mode};
pub use counts::{CertificateCount, HourCounts, IssuerCounts};
pub use error::Error;
pub use family::Family;
pub use hold::{HeldRequests, Hold, SELECTED_MAX, Selection, network};
pub use noted::{Noted, Outcome};

use counts::Counter;
use hold::HOLDS_MAX;
use keys::{Destroyed, Ending, Kind, Slot};
use noted::Entry;
use queue::{Queue, RINGS_MAX, Sampler, Totals};
use state::State;

/// How often what waits is written.
const PERIOD: Duration = Duration::from_millis(200);
/// How often everything is looked at that may have to go.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);
/// A hold ends so long after it was opened or renewed, at most.
pub const HOLD_LASTS_MAX: Duration = Duration::from_secs(92 * 24 * 60 * 60);
/// So many hours of counts wait for a store that takes none.
const HOURS_WAITING_MAX: usize = 48;

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
    looked: Timestamp,
    /// Hours that are not on record yet.
    hours: Vec<Record>,
    /// Why nothing could be written the last time, or destroyed.
    trouble: Option<&'static str>,
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
    /// How many requests there were since the start of the process, and of how many there was no room to note.
    pub requests: (u64, u64),
    /// When requests were last left out for want of room, or as they could not be written.
    pub dropped_at: Option<Timestamp>,
    /// Why something could not be written or destroyed the last time.
    pub trouble: Option<&'static str>,
    /// Whether something is there whose time is over.
    pub is_overdue: bool,
}

/// A hold to be opened.
#[derive(Clone, Debug)]
pub struct NewHold {
    /// What is held.
    pub selection: Selection,
    /// Who answers for it.
    pub owner: String,
    /// What it is for.
    pub reason: String,
    /// When it ends, unless it is renewed.
    pub ends: Timestamp,
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
            looked: now,
            hours: Vec::new(),
            trouble: None,
        };
        Ok(Arc::new(Self {
            receipts,
            clock,
            random,
            queue: is_on.then(|| Queue::new(threads.min(RINGS_MAX), config.queue_records)),
            config: config.clone(),
            behind: Mutex::new(behind),
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

    /// Writes, sweeps and records until `shutdown` is done, then what is left.
    pub async fn run(self: &Arc<Self>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let pause = if self.is_on() { PERIOD } else { SWEEP_PERIOD };
        loop {
            let is_over = tokio::select! {
                biased;
                () = shutdown.as_mut() => true,
                () = tokio::time::sleep(pause) => false,
            };
            self.complain(self.work(is_over).await);
            if is_over {
                return;
            }
        }
    }

    /// Writes what waits, destroys what has to go, and records it.
    ///
    /// # Errors
    /// [`Error`] if something that has to go could not be destroyed or recorded; it is tried again with the next call.
    pub async fn tick(self: &Arc<Self>) -> Result<(), Error> {
        self.work(false).await
    }

    async fn work(self: &Arc<Self>, is_over: bool) -> Result<(), Error> {
        self.blocking(move |log| log.flush_and_sweep(is_over)).await??;
        self.settle().await
    }

    fn complain(&self, result: Result<(), Error>) {
        let code = result.as_ref().err().map(Error::code);
        let mut behind = self.lock();
        if let (Err(error), true) = (&result, behind.trouble != code) {
            let error = error as &dyn std::error::Error;
            tracing::error!(code, error, "the request log cannot do what it should: it is tried again");
        }
        behind.trouble = code;
    }

    fn flush_and_sweep(&self, is_over: bool) -> Result<(), Error> {
        let now = self.clock.now();
        let mut behind = self.lock();
        let flushed = self.flush(&mut behind, now, is_over);
        let Some(state) = &mut behind.state else { return Ok(()) };
        state.sweep(now).and(flushed)
    }

    /// From the queue to the block, and from there to the disk.
    fn flush(&self, behind: &mut Behind, now: Timestamp, is_over: bool) -> Result<(), Error> {
        let (Some(queue), Some(state)) = (&self.queue, &mut behind.state) else { return Ok(()) };
        let mut result = Ok(());
        let (mut noted, mut unwritten) = (0, 0);
        let counter = &mut behind.counter;
        queue.drain(|entry| {
            noted += u64::from(entry.weight);
            if self.config.counts {
                counter.add(&entry);
            }
            let before = state.unwritten();
            let taken = state.take(&entry);
            unwritten += state.unwritten().saturating_sub(before);
            if taken.is_err() {
                result = taken;
            }
        });
        let totals = queue.totals();
        let seen = totals.seen - behind.totals.seen;
        let dropped = totals.dropped - behind.totals.dropped;
        state.miss(dropped);
        counter.add_totals(seen, dropped);
        let passed = now.since(behind.looked);
        behind.sampler.observe(queue, seen, passed, self.config.rate_max);
        (behind.totals, behind.looked) = (totals, now);
        if let Some(hour) = behind.counter.turn(now, is_over).filter(|_| self.config.counts) {
            behind.hours.push(self.record(RecordType::OcspRequestsCounted, &json!(hour)));
            let surplus = behind.hours.len().saturating_sub(HOURS_WAITING_MAX);
            behind.hours.drain(..surplus);
        }
        let written = state.write_due(now, is_over);
        if is_over {
            let _ = written.is_ok().then(|| state.close_segment());
        }
        self.count(noted, unwritten, seen, dropped, now);
        result.and(written)
    }

    fn count(&self, noted: u64, unwritten: u64, seen: u64, dropped: u64, now: Timestamp) {
        let metrics = &self.metrics;
        metrics.noted.increment(noted.saturating_sub(unwritten));
        metrics.unwritten.increment(unwritten);
        metrics.queue_full.increment(dropped);
        metrics.sampled.increment(seen.saturating_sub(noted + dropped));
        if dropped + unwritten > 0 {
            self.dropped_at.store(now.unix_ms(), Ordering::Relaxed);
        }
    }

    /// Puts on record what was destroyed and what was counted.
    async fn settle(self: &Arc<Self>) -> Result<(), Error> {
        let (receipts, hours) = {
            let behind = self.lock();
            let destroyed = behind.state.as_ref().map_or(Ok(Vec::new()), State::destroyed)?;
            let receipts: Vec<(Id, Record)> =
                destroyed.iter().map(|(slot, gone)| (gone.receipt, self.receipt(slot, gone))).collect();
            (receipts, behind.hours.clone())
        };
        if receipts.is_empty() && hours.is_empty() {
            return Ok(());
        }
        let records = receipts.iter().map(|(_, record)| record.clone()).chain(hours.iter().cloned());
        self.append(records.collect()).await?;
        let ids: Vec<Id> = receipts.into_iter().map(|(id, _)| id).collect();
        self.blocking(move |log| {
            let mut behind = log.lock();
            behind.hours.retain(|waiting| !hours.iter().any(|recorded| recorded.id == waiting.id));
            behind.state.as_mut().map_or(Ok(()), |state| state.recorded(&ids))
        })
        .await?
    }

    async fn append(&self, records: Vec<Record>) -> Result<(), Error> {
        self.receipts.append(records).await.map_err(Error::Record)
    }

    fn record(&self, kind: RecordType, payload: &Value) -> Record {
        Record::new(kind, self.clock.now(), payload.to_string().into_bytes(), self.random.as_ref())
    }

    fn receipt(&self, slot: &Slot, gone: &Destroyed) -> Record {
        let ending = match gone.ending {
            Ending::Time => "time",
            Ending::Closed => "closed",
            Ending::Useless => "unused",
        };
        let contents = gone.contents;
        let (kind, payload) = match slot.kind {
            Kind::Segment => {
                self.metrics.destroyed.increment(1);
                let payload = json!({
                    "segment": slot.id, "first": slot.first, "destroyed": gone.at, "ending": ending,
                    "rule": "ocsp_request_log", "keep_s": self.config.keep_s, "records": contents.records,
                    "requests": contents.requests, "dropped": contents.dropped,
                });
                (RecordType::RequestSegmentDestroyed, payload)
            }
            Kind::Hold => {
                let payload = json!({
                    "hold": slot.id, "change": "destroyed", "opened": slot.first, "destroyed": gone.at, "ending": ending,
                    "rule": "investigation", "records": contents.records, "requests": contents.requests,
                });
                (RecordType::RequestHoldChanged, payload)
            }
        };
        // The same receipt written twice counts once.
        Record { id: gone.receipt, time: gone.at, ..self.record(kind, &payload) }
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
            requests: (totals.seen, totals.dropped),
            dropped_at: Some(dropped_at).filter(|at| at.unix_ms() > 0),
            trouble: behind.trouble,
            is_overdue: state.is_some_and(|state| state.is_overdue(now)),
        }
    }

    /// The holds that are open, by their age.
    pub fn holds(&self) -> Vec<Hold> {
        let behind = self.lock();
        let holds = behind.state.iter().flat_map(|state| state.holds.values());
        holds.map(|open| open.hold.clone()).collect()
    }

    /// A hold that is open.
    ///
    /// # Errors
    /// [`Error::NoHold`].
    pub fn hold(&self, id: Id) -> Result<Hold, Error> {
        self.holds().into_iter().find(|hold| hold.id == id).ok_or(Error::NoHold)
    }

    /// Opens a hold, which is on record before anything is held, together with the record `also` of who wanted it.
    ///
    /// # Errors
    /// [`Error::Refused`] for one that makes no sense, or another if it could not be made.
    pub async fn hold_open(self: &Arc<Self>, new: NewHold, also: Vec<Record>) -> Result<Hold, Error> {
        new.selection.check()?;
        let now = self.clock.now();
        check_end(new.ends, now)?;
        if self.lock().state.is_none() {
            return Err(Error::Refused(
                "there is no request log to hold anything of: request_log.mode is \"off\"".to_owned(),
            ));
        }
        if self.holds().len() >= HOLDS_MAX {
            return Err(Error::Refused(format!("there are {HOLDS_MAX} holds: close some first")));
        }
        let hold = Hold {
            id: Id::new(now, self.random.as_ref()),
            selection: new.selection,
            owner: new.owner,
            reason: new.reason,
            opened: now,
            ends: new.ends,
            renewals: 0,
        };
        self.append(with(self.hold_record(&hold, "opened"), also)).await?;
        let made = hold.clone();
        self.blocking(move |log| log.lock().state.as_mut().ok_or(Error::NoHold)?.hold_make(made)).await??;
        Ok(hold)
    }

    /// Moves the end of a hold, with the reason why it is still needed; on record before it is done.
    ///
    /// # Errors
    /// As [`RequestLog::hold_open`], and [`Error::NoHold`].
    pub async fn hold_renew(
        self: &Arc<Self>,
        id: Id,
        ends: Timestamp,
        reason: String,
        also: Vec<Record>,
    ) -> Result<Hold, Error> {
        let known = self.hold(id)?;
        check_end(ends, self.clock.now())?;
        let renewed = Hold { ends, reason, renewals: known.renewals.saturating_add(1), ..known };
        self.append(with(self.hold_record(&renewed, "renewed"), also)).await?;
        let changed = renewed.clone();
        self.blocking(move |log| log.lock().state.as_mut().ok_or(Error::NoHold)?.hold_change(changed))
            .await??;
        Ok(renewed)
    }

    /// Closes a hold, which is on record before: its key and its file are destroyed, and a receipt of that is there, when
    /// this returns.
    ///
    /// # Errors
    /// [`Error::NoHold`], or another if it could not be destroyed or recorded; what is left is tried again.
    pub async fn hold_close(self: &Arc<Self>, id: Id, also: Vec<Record>) -> Result<(), Error> {
        let now = self.clock.now();
        let hold = self.hold(id)?;
        self.append(with(self.hold_record(&hold, "closed"), also)).await?;
        self.blocking(move |log| log.lock().state.as_mut().ok_or(Error::NoHold)?.hold_close(id, now))
            .await??;
        self.settle().await
    }

    /// What a hold has, in its own file and in segments that are still there: behind the first `after` requests, at most
    /// `limit`. To be put on record before it is given to anybody.
    ///
    /// # Errors
    /// [`Error::NoHold`], or another if it cannot be read.
    pub async fn hold_requests(
        self: &Arc<Self>,
        id: Id,
        after: u64,
        limit: usize,
    ) -> Result<HeldRequests, Error> {
        self.blocking(move |log| {
            let files = {
                let (now, mut behind) = (log.clock.now(), log.lock());
                // What waits belongs to it, too. If it cannot be written, what is there can still be read.
                let _ = log.flush(&mut behind, now, false);
                let state = behind.state.as_mut().ok_or(Error::NoHold)?;
                let _ = state.write_due(now, true);
                state.hold_files(id)?
            };
            files.read(after, limit)
        })
        .await?
    }

    /// What goes on record of a hold for years: never whom it is about.
    fn hold_record(&self, hold: &Hold, change: &str) -> Record {
        let Selection { serials, networks, from, until } = &hold.selection;
        let payload = json!({
            "hold": hold.id, "change": change, "owner": hold.owner, "reason": hold.reason, "opened": hold.opened,
            "ends": hold.ends, "renewals": hold.renewals, "serials": serials, "networks": networks.len(), "from": from,
            "until": until,
        });
        self.record(RecordType::RequestHoldChanged, &payload)
    }
}

fn with(record: Record, mut also: Vec<Record>) -> Vec<Record> {
    also.insert(0, record);
    also
}

fn check_end(ends: Timestamp, now: Timestamp) -> Result<(), Error> {
    let latest = now.plus(HOLD_LASTS_MAX);
    if ends <= now || ends > latest {
        return Err(Error::Refused(format!(
            "a hold ends after now, and by {latest} at the latest: it can be renewed when it is still needed then"
        )));
    }
    Ok(())
}
