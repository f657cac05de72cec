//! What an operator may say about health.

use serde::Deserialize;

/// From when on something is unwell. The defaults suit a CA with a disk of its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Below this many MiB of free disk there is a warning.
    pub(crate) disk_warning_mib: u64,
    /// Below this part of free disk, in percent, there is a warning too.
    pub(crate) disk_warning_percent: u64,
    /// Below this many MiB of free disk the store is not ready.
    pub(crate) disk_failing_mib: u64,
    /// How many days before its end a certificate of the CA or its listeners is warned of; at a third of its validity where
    /// that is later.
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
    /// Looks whether every value makes sense.
    ///
    /// # Errors
    /// A sentence that begins with the first key that does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let rules = [
            (
                self.disk_failing_mib <= self.disk_warning_mib,
                "disk_failing_mib must be at most disk_warning_mib: a warning comes first",
            ),
            (self.disk_warning_percent <= 100, "disk_warning_percent must be at most 100"),
            (
                (1..=3650).contains(&self.certificate_warning_days),
                "certificate_warning_days must lie between 1 and 3650",
            ),
            (
                (1..=self.outbox_failing_s).contains(&self.outbox_warning_s),
                "outbox_warning_s must lie between 1 and outbox_failing_s",
            ),
            (self.stop_notice_s <= 300, "stop_notice_s must be at most 300"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, rule)) => Err(rule.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_allowed_and_contradictions_are_not() {
        assert_eq!(Config::default().check(), Ok(()));
        for (bad, key) in [
            (Config { disk_failing_mib: 6000, ..Config::default() }, "disk_failing_mib"),
            (Config { disk_warning_percent: 101, ..Config::default() }, "disk_warning_percent"),
            (Config { certificate_warning_days: 0, ..Config::default() }, "certificate_warning_days"),
            (Config { outbox_warning_s: 4000, ..Config::default() }, "outbox_warning_s"),
            (Config { stop_notice_s: 301, ..Config::default() }, "stop_notice_s"),
        ] {
            let sentence = bad.check().unwrap_err();
            assert!(sentence.starts_with(key), "{sentence}");
        }
    }
}
