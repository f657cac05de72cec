//! What an operator may say about the monitor.

use std::time::Duration;

use ingam_protocol::Findings;
use serde::{Deserialize, Serialize};

/// How much is compared, and how long what is given out may differ from the record before that is a failure.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// From one round to the next, in seconds; 0: nothing is compared. A round that takes long has a longer pause after it,
    /// so that comparing takes a twentieth of the time at most.
    pub(crate) interval_s: u64,
    /// How many certificates are taken by chance in each round, each with two OCSP answers that may have to be signed.
    pub(crate) random_per_round: u16,
    /// How many of those issued or revoked since the last round are looked at in one; the others wait for the next.
    pub(crate) recent_per_round: u16,
    /// How many seconds an OCSP answer may tell another status than the record; they count from the look that finds it.
    pub(crate) ocsp_budget_s: u64,
    /// How many seconds, on top of `responder.crl_interval_s`, a CRL may lack a revocation: what reading and signing it take.
    pub(crate) crl_budget_s: u64,
    /// How many seconds a suggested renewal window may be another than the record asks for.
    pub(crate) renewal_budget_s: u64,
    /// How many seconds there may be no OCSP answer or no CRL that is signed and in force.
    pub(crate) silence_budget_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval_s: 10,
            random_per_round: 2,
            recent_per_round: 200,
            ocsp_budget_s: 2,
            crl_budget_s: 60,
            renewal_budget_s: 0,
            silence_budget_s: 60,
        }
    }
}

impl Config {
    /// Every value that makes no sense; keys are those here.
    pub(crate) fn check(&self) -> Findings {
        let mut found = Findings::new();
        found.between("interval_s", self.interval_s, 0..=3600);
        found.between("random_per_round", self.random_per_round, 0..=1000);
        found.between("recent_per_round", self.recent_per_round, 1..=10_000);
        // What is fetched may be older than the record by what a look takes, so only a second look is sure.
        found.between("ocsp_budget_s", self.ocsp_budget_s, 1..=86_400);
        found.between("crl_budget_s", self.crl_budget_s, 1..=86_400);
        found.between("renewal_budget_s", self.renewal_budget_s, 0..=86_400);
        found.between("silence_budget_s", self.silence_budget_s, 1..=86_400);
        found
    }

    /// How long each kind of disagreement may last, where a list is looked at anew each `crl_interval`.
    pub(super) fn budgets(&self, crl_interval: Duration) -> Budgets {
        let seconds = Duration::from_secs;
        Budgets {
            ocsp: seconds(self.ocsp_budget_s),
            crl: seconds(self.crl_budget_s).saturating_add(crl_interval),
            renewal: seconds(self.renewal_budget_s),
            silence: seconds(self.silence_budget_s),
        }
    }
}

/// How long what is given out may differ from the record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budgets {
    pub(super) ocsp: Duration,
    pub(super) crl: Duration,
    pub(super) renewal: Duration,
    pub(super) silence: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_allowed_and_what_never_ends_is_not() {
        assert!(Config::default().check().into_result().is_ok());
        for (bad, key) in [
            (Config { interval_s: 3601, ..Config::default() }, "interval_s"),
            (Config { random_per_round: 1001, ..Config::default() }, "random_per_round"),
            (Config { recent_per_round: 0, ..Config::default() }, "recent_per_round"),
            (Config { crl_budget_s: 86_401, ..Config::default() }, "crl_budget_s"),
        ] {
            assert_eq!(bad.check().into_result().unwrap_err().key, key);
        }
    }
}
