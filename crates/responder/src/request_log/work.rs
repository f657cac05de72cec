//! What is done behind the threads that answer: writing, sweeping, putting on record.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::{Id, Timestamp};
use serde_json::{Value, json};

use super::error::Error;
use super::keys::{Destroyed, Ending, Kind, Slot};
use super::sealed::to_u64;
use super::state::State;
use super::{Behind, RequestLog};

/// How often what waits is written.
const PERIOD: Duration = Duration::from_millis(200);
/// How often everything is looked at that may have to go.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);
/// So many hours of counts wait for a store that takes none.
const HOURS_WAITING_MAX: usize = 48;

impl RequestLog {
    /// Writes, sweeps and records until `shutdown` is done, then what is left.
    pub async fn run(self: &Arc<Self>, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        if !self.has_folder {
            return shutdown.await;
        }
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
        let worked = self.blocking(move |log| log.flush_and_sweep(is_over)).await?;
        // What was destroyed is put on record, whatever became of the rest.
        worked.and(self.settle().await)
    }

    fn complain(&self, result: Result<(), Error>) {
        let code = result.as_ref().err().map(Error::code);
        let before =
            std::mem::replace(&mut *self.trouble.lock().unwrap_or_else(PoisonError::into_inner), code);
        if let (Err(error), true) = (&result, before != code) {
            let error = error as &dyn std::error::Error;
            tracing::error!(code, error, "the request log cannot do what it should: it is tried again");
        }
    }

    fn flush_and_sweep(&self, is_over: bool) -> Result<(), Error> {
        let now = self.clock.now();
        let mut behind = self.lock();
        let flushed = self.flush(&mut behind, now, is_over);
        let Some(state) = &mut behind.state else { return Ok(()) };
        state.sweep(now).and(flushed)
    }

    /// From the queue to the block, and from there to the disk.
    pub(super) fn flush(&self, behind: &mut Behind, now: Timestamp, is_over: bool) -> Result<(), Error> {
        let (Some(queue), Some(state)) = (&self.queue, &mut behind.state) else { return Ok(()) };
        let mut result = Ok(());
        let (mut noted, mut unwritten) = (0, 0);
        let counter = &mut behind.counter;
        // Before the queue is emptied: what comes meanwhile is seen with the next look.
        let totals = queue.totals();
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
        self.count(behind, noted, unwritten, dropped, now);
        result.and(written)
    }

    fn count(&self, behind: &mut Behind, noted: u64, unwritten: u64, dropped: u64, now: Timestamp) {
        behind.noted += noted;
        let stood_for = behind.noted + behind.totals.dropped;
        let sampled_out = behind.totals.seen.saturating_sub(stood_for).max(behind.sampled_out);
        let metrics = &self.metrics;
        metrics.noted.increment(noted.saturating_sub(unwritten));
        metrics.unwritten.increment(unwritten);
        metrics.queue_full.increment(dropped);
        metrics.sampled.increment(sampled_out - behind.sampled_out);
        behind.sampled_out = sampled_out;
        if dropped + unwritten > 0 {
            self.unwritten.fetch_add(unwritten, Ordering::Relaxed);
            self.dropped_at.store(now.unix_ms(), Ordering::Relaxed);
        }
    }

    /// Puts on record what was destroyed and what was counted.
    pub(super) async fn settle(self: &Arc<Self>) -> Result<(), Error> {
        let due = self.blocking(Self::due).await??;
        if due.is_empty() {
            return Ok(());
        }
        self.append(due.clone()).await?;
        let segments = due.iter().filter(|record| record.kind == RecordType::RequestSegmentDestroyed);
        self.metrics.destroyed.increment(to_u64(segments.count()));
        let ids: Vec<Id> = due.iter().map(|record| record.id).collect();
        self.blocking(move |log| {
            let mut behind = log.lock();
            behind.hours.retain(|waiting| !ids.contains(&waiting.id));
            behind.state.as_mut().map_or(Ok(()), |state| state.recorded(&ids))
        })
        .await?
    }

    /// Receipts and hours that are not on record yet.
    fn due(&self) -> Result<Vec<Record>, Error> {
        let behind = self.lock();
        let destroyed = behind.state.as_ref().map_or(Ok(Vec::new()), State::destroyed)?;
        let receipts = destroyed.iter().map(|(slot, gone)| self.receipt(slot, gone));
        Ok(receipts.chain(behind.hours.iter().cloned()).collect())
    }

    pub(super) async fn append(&self, records: Vec<Record>) -> Result<(), Error> {
        self.receipts.append(records).await.map_err(Error::Record)
    }

    pub(super) fn record(&self, kind: RecordType, payload: &Value) -> Record {
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
}
