//! What the monitor counts. None of it names a certificate.

use ::metrics::{Counter, Gauge, counter, gauge};
use ingam_protocol::Timestamp;

use crate::monitor::Condition;
use crate::monitor::compare::Kind;

/// Why a certificate was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// By chance.
    Random,
    /// It was issued or revoked since the last round.
    Recent,
    /// It disagreed the last time.
    Again,
}

/// Handles, taken once.
pub(super) struct Metrics {
    random: Counter,
    recent: Counter,
    again: Counter,
    oldest: Gauge,
    round: Gauge,
}

impl Metrics {
    pub(super) fn new() -> Self {
        const COMPARED: &str = "ingam_monitor_compared_total";
        let metrics = Self {
            random: counter!(COMPARED, "chosen" => "random"),
            recent: counter!(COMPARED, "chosen" => "recent"),
            again: counter!(COMPARED, "chosen" => "again"),
            oldest: gauge!("ingam_monitor_oldest_disagreement_timestamp_seconds"),
            round: gauge!("ingam_monitor_round_timestamp_seconds"),
        };
        metrics.oldest.set(f64::NAN);
        metrics.round.set(f64::NAN);
        metrics
    }

    pub(super) fn compared(&self, chosen: Chosen) {
        let counter = match chosen {
            Chosen::Random => &self.random,
            Chosen::Recent => &self.recent,
            Chosen::Again => &self.again,
        };
        counter.increment(1);
    }

    /// Counts a disagreement that outlived its budget.
    pub(super) fn disagreed(&self, kind: Kind) {
        counter!("ingam_monitor_disagreements_total", "kind" => kind.name()).increment(1);
    }

    pub(super) fn round(&self, condition: &Condition) {
        self.round.set(seconds(condition.last_round));
        self.oldest.set(condition.overdue.oldest.map_or(f64::NAN, seconds));
    }
}

#[allow(clippy::cast_precision_loss, reason = "until the year 2100, milliseconds are far below 2^53")]
fn seconds(moment: Timestamp) -> f64 {
    moment.unix_ms() as f64 / 1000.0
}
