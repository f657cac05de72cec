//! What an operator may say about health.

use ingam_protocol::Findings;
use serde::{Deserialize, Serialize};

/// From when on something is unwell. The defaults suit a CA with a disk of its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Below this many MiB of free disk there is a warning.
    pub(crate) disk_warning_mib: u64,
    /// Below this part of free disk, in percent, there is a warning too.
    pub(crate) disk_warning_percent: u64,
    /// Below this many MiB of free disk the store is not ready.
    pub(crate) disk_failing_mib: u64,
    /// How many days before its end a certificate of the CA or its listeners is warned of; at a third of its validity where
    /// that is later. An issuer that will be too old for a profile is warned of so many days before, too.
    pub(crate) certificate_warning_days: u64,
    /// How many seconds records may wait for the journal before there is a warning.
    pub(crate) outbox_warning_s: u64,
    /// How many seconds they may wait before the journal is not ready.
    pub(crate) outbox_failing_s: u64,
    /// Whether the signer is not ready while the clock is minutes behind the newest record. To be set to false where the
    /// clock was ahead once and has been put right: the records stay ahead of it.
    pub(crate) clock_behind_fails: bool,
    /// For how many seconds `/readyz` says that the process is about to end before its listeners close, so that load
    /// balancers look elsewhere.
    pub(crate) stop_notice_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            disk_warning_mib: 5 * 1024,
            disk_warning_percent: 10,
            disk_failing_mib: 256,
            certificate_warning_days: 30,
            outbox_warning_s: 60,
            outbox_failing_s: 3600,
            clock_behind_fails: true,
            stop_notice_s: 0,
        }
    }
}

impl Config {
    /// Every value that makes no sense; keys are those here.
    pub(crate) fn check(&self) -> Findings {
        let mut found = Findings::new();
        found.require(
            self.disk_failing_mib <= self.disk_warning_mib,
            "disk_failing_mib",
            format!("is {}, more than disk_warning_mib", self.disk_failing_mib),
            "give at most that: a warning comes first",
        );
        found.between("disk_warning_percent", self.disk_warning_percent, 0..=100);
        found.between("certificate_warning_days", self.certificate_warning_days, 1..=3650);
        found.require(
            (1..=self.outbox_failing_s).contains(&self.outbox_warning_s),
            "outbox_warning_s",
            format!("is {}", self.outbox_warning_s),
            "give 1 to outbox_failing_s",
        );
        found.between("stop_notice_s", self.stop_notice_s, 0..=300);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_allowed_and_contradictions_are_not() {
        assert!(Config::default().check().into_result().is_ok());
        for (bad, key) in [
            (Config { disk_failing_mib: 6000, ..Config::default() }, "disk_failing_mib"),
            (Config { disk_warning_percent: 101, ..Config::default() }, "disk_warning_percent"),
            (Config { certificate_warning_days: 0, ..Config::default() }, "certificate_warning_days"),
            (Config { outbox_warning_s: 4000, ..Config::default() }, "outbox_warning_s"),
            (Config { stop_notice_s: 301, ..Config::default() }, "stop_notice_s"),
        ] {
            let finding = bad.check().into_result().unwrap_err();
            assert_eq!(finding.key, key);
        }
    }
}
