//! Logs that failed often rest for a while: they are asked after all others.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::transparency::LogId;

/// After how many failures in a row a log rests.
const FAILURES_MAX: u32 = 3;

/// How often the time of rest doubles.
const DOUBLINGS_MAX: u32 = 4;

/// How the logs fared; one entry for each log that failed last time.
#[derive(Debug, Default)]
pub(crate) struct Standings(Mutex<BTreeMap<LogId, Standing>>);

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    failures: u32,
    rests_until: Timestamp,
}

impl Standings {
    pub(crate) fn succeeded(&self, log: LogId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&log);
    }

    pub(crate) fn failed(&self, log: LogId, now: Timestamp, rest: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = all.entry(log).or_default();
        standing.failures = standing.failures.saturating_add(1);
        if let Some(further) = standing.failures.checked_sub(FAILURES_MAX) {
            standing.rests_until = now.plus(rest.saturating_mul(1 << further.min(DOUBLINGS_MAX)));
        }
    }

    pub(crate) fn rests(&self, log: LogId, now: Timestamp) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&log).is_some_and(|standing| now < standing.rests_until)
    }

    /// Forgets logs that are no longer on the list.
    pub(crate) fn keep(&self, is_known: impl Fn(LogId) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|log, _| is_known(*log));
    }
}
