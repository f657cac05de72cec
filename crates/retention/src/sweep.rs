//! The sweep: what has had its time goes, with a receipt.
//!
//! A segment goes in four steps, of which each may be the last before the power fails:
//!
//! ```text
//! carried over what is in force (journal) ──▶ intent (store) ──▶ destroyed (file gone, directory synced) ──▶ receipt and end of the intent (one transaction)
//!        └──────────── the next sweep begins with the intents it finds ─────────────┘
//! ```
//!
//! What a segment tells of and is still there is on record anew before it goes ([`Store::segment_carry`]); rows whose time is
//! over go before that. So there is never a gap in the journal of which neither the store nor the journal knows, and no receipt of something that
//! is still there. Rows and their receipt go in one transaction.
//!
//! A clock that jumps must not destroy what it took seven years to gather: a sweep that finds itself more than [`LEAP_MAX`]
//! behind the last one does nothing until an operator has looked at the clock (docs/decisions/0016).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ingam_journal::{Journal, SegmentInfo};
use ingam_protocol::bytes::hex;
use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::time::{Clock, Random};
use ingam_protocol::{Id, Timestamp};
use ingam_store::{Hold, Leaving, Pass, RowCounts, SegmentGoing, Store};
use serde_json::json;

use crate::error::Error;
use crate::report::{KeptBy, Report, RowsReport, SegmentFate, SegmentReport};
use crate::schedule::{DAY, Schedule, Span};

/// A sweep may be so long after the last one and believe its clock: seven years of 366 days are longer than any seven years
/// by more than this, so that even a clock that is wrong by it breaks no such floor.
pub const LEAP_MAX: Duration = Duration::from_secs(5 * 24 * 60 * 60);

/// How often it is swept.
const PERIOD: Duration = Duration::from_secs(60 * 60);

/// A sweep that fails is tried again so soon.
const RETRY: Duration = Duration::from_secs(5 * 60);

/// After so long without a sweep that came to its end, something is wrong.
const OVERDUE: Duration = DAY;

/// At most this many segments go in one sweep; the rest by the next.
const SEGMENTS_MAX: usize = 1000;

/// At most this many batches of a pass are looked at in one sweep; the rest by the next.
const BATCHES_MAX: usize = 100_000;

/// At most this many segments that holds keep, or that would go, are told of.
const REPORTED_MAX: usize = 1000;

/// What a sweep works on.
pub struct Parts {
    /// The tables, and the outbox for receipts.
    pub store: Store,
    /// The segments.
    pub journal: Arc<Journal>,
    /// When it is.
    pub clock: Arc<dyn Clock>,
    /// Names of receipts.
    pub random: Arc<dyn Random>,
}

/// Keeps the schedule: one to a process.
pub struct Retention {
    store: Store,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,

    schedule: Schedule,

    /// One sweep at a time.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// From where each pass has something to do: in front of it, nothing is left that it ever takes.
    marks: BTreeMap<Pass, Vec<u8>>,
    /// The segments that are there still and of which all was carried over: what changed since is on record by itself.
    carried: BTreeMap<(Class, u64), u64>,
    began: Option<Timestamp>,
    done: Option<Timestamp>,
    failure: Option<&'static str>,
    leap: Option<(Timestamp, Timestamp)>,
}

/// How the sweep fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// When one last came to its end, since the process started.
    pub done: Option<Timestamp>,
    /// Why the last one did not.
    pub failure: Option<&'static str>,
    /// The last sweep and the clock, where the clock is not believed.
    pub leap: Option<(Timestamp, Timestamp)>,
    /// Whether it is long since one came to its end.
    pub overdue: bool,
}

impl Retention {
    /// A sweep of these parts by this schedule; nothing is done yet.
    pub fn new(parts: Parts, schedule: Schedule) -> Arc<Self> {
        let Parts { store, journal, clock, random } = parts;
        let state = State { began: Some(clock.now()), ..State::default() };
        let (turn, state) = (tokio::sync::Mutex::new(()), Mutex::new(state));
        Arc::new(Self { store, journal, clock, random, schedule, turn, state })
    }

    /// The schedule in force.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Sweeps at once, and each hour, for as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        loop {
            let outcome = self.sweep().await;
            match &outcome {
                Ok(report) if report.segments_gone() > 0 || report.rows_gone() > 0 => tracing::info!(
                    segments = report.segments_gone(),
                    rows = report.rows_gone(),
                    "swept out what had its time"
                ),
                Ok(_) => {}
                Err(error) => tracing::error!(
                    code = error.code(),
                    error = error as &dyn std::error::Error,
                    "not everything was swept out that had its time: it is tried again"
                ),
            }
            tokio::time::sleep(if outcome.is_ok() { PERIOD } else { RETRY }).await;
        }
    }

    /// How it fares.
    pub fn condition(&self) -> Condition {
        let now = self.clock.now();
        let state = self.state();
        let since = state.done.or(state.began);
        Condition {
            done: state.done,
            failure: state.failure,
            leap: state.leap,
            overdue: since.is_some_and(|since| now.since(since) > OVERDUE),
        }
    }

    /// Says that somebody has looked at the clock: the next sweep believes it.
    ///
    /// # Errors
    /// [`Error::Store`] if it could not be made durable.
    pub async fn confirm(&self) -> Result<(), Error> {
        let put = self.store.swept_at_put(self.clock.now()).await;
        put.map_err(|cause| Error::Store("noting that the clock is right", cause))
    }

    /// Takes out all that has had its time, but for what a hold keeps. Twice is harmless, and it may be broken off anywhere.
    ///
    /// # Errors
    /// [`Error::Leap`] before anything is done; else what failed, and the next sweep goes on from there.
    pub async fn sweep(self: &Arc<Self>) -> Result<Report, Error> {
        let _turn = self.turn.lock().await;
        let outcome = self.sweep_all().await;
        let mut state = self.state();
        state.failure = outcome.as_ref().err().map(Error::code);
        state.leap = match &outcome {
            Err(Error::Leap { last, now }) => Some((*last, *now)),
            _ => None,
        };
        if let Ok(report) = &outcome {
            state.done = Some(report.at);
        }
        drop(state);
        outcome
    }

    async fn sweep_all(self: &Arc<Self>) -> Result<Report, Error> {
        let now = self.clock.now();
        self.believe(now).await?;
        let mut report = Report { at: now, ..Report::default() };
        self.settle_left(now).await?;
        // What has ended and had its time is not carried over.
        for pass in Pass::ALL {
            self.sweep_rows(pass, now, &mut report).await?;
        }
        self.sweep_segments(now, &mut report).await?;
        // What is left takes no more room than it has to, once it has come to rest.
        let packed = self.store.rows_pack(now.minus(DAY)).await;
        packed.map_err(|cause| Error::Store("packing rows that have come to rest", cause))?;
        Ok(report)
    }

    /// What a sweep would do now, and why what stays does; nothing is changed. Whether the clock is believed is for
    /// [`Retention::condition`] to say. Blocks.
    ///
    /// # Errors
    /// [`Error`] if store or journal fail.
    pub fn dry_run(&self) -> Result<Report, Error> {
        let now = self.clock.now();
        let failed = |cause| Error::Store("looking at what a sweep would do", cause);
        let holds = self.store.holds_in_force(now).map_err(failed)?;
        let mut report = Report { at: now, dry: true, ..Report::default() };
        let mut next: BTreeMap<Class, SegmentReport> = BTreeMap::new();
        for info in self.journal.segments() {
            let is_ended = info.closed || info.period_end <= now;
            let goes = self.schedule.goes_at(info.class, &span(&info));
            let is_due = is_ended && info.records > 0 && goes.is_some_and(|goes| goes <= now);
            let fate = match (is_due, holder(&self.going(&info), &holds)) {
                (true, None) => SegmentFate::Goes,
                (true, Some(hold)) => SegmentFate::Held(KeptBy { hold }),
                (false, _) => SegmentFate::Stays(goes),
            };
            let in_force = match fate {
                SegmentFate::Goes => self.store.segment_in_force(&info).map_err(failed)?,
                _ => 0,
            };
            let segment = reported(&info, fate, in_force);
            match fate {
                SegmentFate::Stays(_) => drop(next.entry(info.class).or_insert(segment)),
                _ if report.segments.len() < REPORTED_MAX => report.segments.push(segment),
                _ => {}
            }
        }
        report.segments.extend(next.into_values());
        for pass in Pass::ALL {
            let (mut from, terms) = (Vec::new(), self.schedule.terms());
            for _ in 0..BATCHES_MAX {
                let seen = self.store.rows_due(pass, &from, &terms, now).map_err(failed)?;
                report.add(pass, &seen.gone, seen.held);
                if !seen.more {
                    break;
                }
                from = seen.behind.unwrap_or_default();
            }
        }
        Ok(report)
    }

    /// Whether the clock may be believed; it is noted that it was.
    async fn believe(&self, now: Timestamp) -> Result<(), Error> {
        let read = self.store.swept_at();
        let last = read.map_err(|cause| Error::Store("reading when the last sweep was", cause))?;
        // Before the first sweep the records say when the CA was last at work. What a start puts on record is as wrong as
        // the clock, so it does not count.
        let newest = || {
            let told = self.journal.segments().into_iter().filter(|info| info.class != Class::CaLifecycle);
            told.filter_map(|info| info.latest).max()
        };
        if let Some(last) = last.or_else(newest)
            && now > last.plus(LEAP_MAX)
        {
            return Err(Error::Leap { last, now });
        }
        let put = self.store.swept_at_put(now).await;
        put.map_err(|cause| Error::Store("noting when the last sweep was", cause))
    }

    /// Brings what an earlier sweep left half done to its end.
    async fn settle_left(self: &Arc<Self>, now: Timestamp) -> Result<(), Error> {
        let failed = |cause| Error::Store("reading which segments were about to go", cause);
        let holds = self.store.holds_in_force(now).map_err(failed)?;
        for going in self.store.segments_going(SEGMENTS_MAX).map_err(failed)? {
            let is_there = self.journal.segments().into_iter().any(|info| is_of(&info, &going));
            if is_there && holder(&going, &holds).is_some() {
                self.settle(&going, Vec::new()).await?;
            } else {
                self.destroy(going, is_there).await?;
            }
        }
        Ok(())
    }

    async fn sweep_segments(self: &Arc<Self>, now: Timestamp, report: &mut Report) -> Result<(), Error> {
        self.on_journal("closing segments whose period is over", move |journal| journal.close_ended(now))
            .await?;
        let read = self.store.holds_in_force(now);
        let holds = read.map_err(|cause| Error::Store("reading which holds are in force", cause))?;
        let (mut due, mut held) = (Vec::new(), Vec::new());
        for info in self.journal.segments() {
            let goes = self.schedule.goes_at(info.class, &span(&info));
            // One without records tells of nobody, and holds the place of those that were before it.
            let is_empty = info.records == 0 && self.is_followed(&info);
            if !(info.closed && (is_empty || goes.is_some_and(|goes| goes <= now))) {
                continue;
            }
            match holder(&self.going(&info), &holds) {
                Some(hold) => held.push((info, hold)),
                None if due.len() < SEGMENTS_MAX => due.push(info),
                None => {}
            }
        }
        let leaving: BTreeSet<(Class, u64)> = due.iter().map(|info| (info.class, info.sequence)).collect();
        for info in &due {
            self.carry(info, &leaving, now).await?;
        }
        for info in due {
            let going = self.going(&info);
            let place = (info.class, info.sequence);
            // Looked at once more where nobody can open one meanwhile.
            let intended = self.store.segment_intend(going.clone(), now).await;
            match intended.map_err(|cause| Error::Store("noting that a segment goes", cause))? {
                Some(hold) => held.push((info, hold)),
                None => {
                    self.destroy(going, true).await?;
                    let in_force = self.state().carried.remove(&place).unwrap_or_default();
                    report.segments.push(reported(&info, SegmentFate::Goes, in_force));
                }
            }
        }
        for (info, hold) in held {
            if report.segments.len() < REPORTED_MAX {
                report.segments.push(reported(&info, SegmentFate::Held(KeptBy { hold }), 0));
            }
        }
        Ok(())
    }

    /// Puts what a segment tells of and is still there on record anew. `leaving` are all that go with it.
    async fn carry(
        &self,
        info: &SegmentInfo,
        leaving: &BTreeSet<(Class, u64)>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let place = (info.class, info.sequence);
        if self.state().carried.contains_key(&place) {
            return Ok(());
        }
        let is_older = |other: &SegmentInfo| other.class == info.class && other.sequence < info.sequence;
        let older_stays = self.journal.segments().iter().any(|other| {
            is_older(other) && other.records > 0 && !leaving.contains(&(other.class, other.sequence))
        });
        let carried = self.store.segment_carry(Leaving { segment: info.clone(), older_stays }, now).await;
        let carried =
            carried.map_err(|cause| Error::Store("putting what is in force on record anew", cause))?;
        self.state().carried.insert(place, carried);
        Ok(())
    }

    /// Whether another segment of the class is behind this one.
    fn is_followed(&self, info: &SegmentInfo) -> bool {
        let mut segments = self.journal.segments().into_iter();
        segments.any(|other| other.class == info.class && other.sequence > info.sequence)
    }

    /// Destroys a segment that is written down as going, if it is there, and gives the receipt.
    async fn destroy(self: &Arc<Self>, going: SegmentGoing, is_there: bool) -> Result<(), Error> {
        if is_there {
            let (class, sequence) = (going.class, going.sequence);
            self.on_journal("destroying a segment", move |journal| {
                // The last of a class hands the chain on to one without records.
                journal.destroy(class, sequence).map(drop)
            })
            .await?;
        }
        let receipt = self.receipt(&going);
        self.settle(&going, vec![receipt]).await
    }

    async fn settle(&self, going: &SegmentGoing, records: Vec<Record>) -> Result<(), Error> {
        let settled = self.store.segment_settle(going.class, going.sequence, records).await;
        settled.map(drop).map_err(|cause| Error::Store("giving the receipt of a segment", cause))
    }

    fn going(&self, info: &SegmentInfo) -> SegmentGoing {
        SegmentGoing {
            class: info.class,
            sequence: info.sequence,
            first_index: info.first_index,
            records: info.records,
            head: hex(&info.head.0),
            earliest: info.earliest,
            latest: info.latest,
            end_of_life: info.end_of_life,
            rule: serde_json::to_value(self.schedule.rule(info.class)).unwrap_or_default(),
        }
    }

    fn receipt(&self, going: &SegmentGoing) -> Record {
        let now = self.clock.now();
        let payload = json!({
            "class": going.class,
            "sequence": going.sequence,
            "first_index": going.first_index,
            "records": going.records,
            "head": going.head,
            "latest": going.latest,
            "end_of_life": going.end_of_life,
            "rule": going.rule,
            "destroyed": now,
        });
        record(RecordType::SegmentDestroyed, now, &payload, self.random.as_ref())
    }

    async fn sweep_rows(&self, pass: Pass, now: Timestamp, report: &mut Report) -> Result<(), Error> {
        let terms = self.schedule.terms();
        let mut from = self.state().marks.get(&pass).cloned().unwrap_or_default();
        let (mut unsettled, mut mark) = (None, from.clone());
        for _ in 0..BATCHES_MAX {
            let (random, rule) = (self.random.clone(), self.schedule.rule(pass.class()));
            let told = move |gone: &RowCounts| {
                let rows: BTreeMap<&str, u64> =
                    gone.iter().map(|((table, _), count)| (*table, *count)).collect();
                let payload = json!({
                    "what": pass.name(), "class": pass.class(), "rows": rows, "rule": rule, "swept": now,
                });
                vec![record(RecordType::RowsSwept, now, &payload, random.as_ref())]
            };
            let swept = self.store.rows_sweep(pass, from.clone(), terms, now, told).await;
            let swept = swept.map_err(|cause| Error::Store("taking out rows that had their time", cause))?;
            report.add(pass, &swept.gone, swept.held);
            unsettled = unsettled.or(swept.unsettled);
            if let Some(behind) = swept.behind {
                mark.clone_from(&behind);
                from = behind;
            }
            if !swept.more {
                break;
            }
        }
        if pass.is_by_time() {
            self.state().marks.insert(pass, unsettled.unwrap_or(mark));
        }
        Ok(())
    }

    /// Runs what blocks on the disk where it may.
    async fn on_journal(
        self: &Arc<Self>,
        doing: &'static str,
        work: impl FnOnce(&Journal) -> Result<(), ingam_journal::Error> + Send + 'static,
    ) -> Result<(), Error> {
        let journal = self.journal.clone();
        let done = tokio::task::spawn_blocking(move || work(&journal)).await;
        done.map_err(|_| Error::Ending)?.map_err(|cause| Error::Journal(doing, cause))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is in it is right at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    fn add(&mut self, pass: Pass, gone: &RowCounts, held: u64) {
        for ((table, class), count) in gone {
            let known = self.rows.iter_mut().find(|rows| rows.what == pass.name() && rows.table == *table);
            match known {
                Some(rows) => rows.count += count,
                None => self.rows.push(RowsReport { what: pass.name(), class: *class, table, count: *count }),
            }
        }
        if held > 0 {
            *self.held.entry(pass.name()).or_default() += held;
        }
    }
}

fn record(kind: RecordType, now: Timestamp, payload: &serde_json::Value, random: &dyn Random) -> Record {
    Record::new(kind, now, payload.to_string().into_bytes(), random)
}

fn span(info: &SegmentInfo) -> Span {
    Span { earliest: info.earliest, latest: info.latest, end_of_life: info.end_of_life }
}

fn is_of(info: &SegmentInfo, going: &SegmentGoing) -> bool {
    info.class == going.class && info.sequence == going.sequence
}

fn holder(going: &SegmentGoing, holds: &[Hold]) -> Option<Id> {
    holds.iter().find(|hold| going.is_held(hold)).map(|hold| hold.id)
}

fn reported(info: &SegmentInfo, fate: SegmentFate, in_force: u64) -> SegmentReport {
    let SegmentInfo { class, sequence, records, latest, .. } = *info;
    SegmentReport { class, sequence, records, latest, fate, in_force }
}
