//! What the operator can set about retention.

use std::time::Duration;

use ingam_protocol::record::Class;
use ingam_protocol::{Finding, Findings, Timestamp};
use serde::{Deserialize, Serialize};

use crate::schedule::{AFTER_END, DAY, row};

/// At most so many days is anything kept by a number: a hundred years.
const DAYS_MAX: u64 = 36_600;

/// At most this many characters are the URL of a statement.
const URL_CHARS_MAX: usize = 1000;

/// Which floor the class `issuance` has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Seven years, as the privacy statement that the schedule is from promises.
    #[default]
    SevenYears,
    /// Two years, as the Baseline Requirements ask (BR 5.4.3 and 5.5.2): for operators whose own published statement promises
    /// no more.
    TwoYears,
}

impl Preset {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::SevenYears => "seven-years",
            Self::TwoYears => "two-years",
        }
    }

    /// The least that a class is kept, counted from the record.
    pub fn floor(self, class: Class) -> Option<Duration> {
        match (self, class) {
            (Self::TwoYears, Class::Issuance) => Some(AFTER_END),
            _ => class.retention().floor,
        }
    }
}

/// For how long something is relied upon after it was shown: the profiles and the hierarchy say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reliance {
    /// How long an authorization may be used, at most.
    pub reuse: Duration,
    /// How long a certificate lives, at most.
    pub lifetime: Duration,
    /// When the last CA certificate ends; `None` where that is not known, and then nothing of `ca_lifecycle` goes.
    pub authorities_end: Option<Timestamp>,
}

/// How long each class is kept, in days. Every key has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `seven-years`, or `two-years` for a lower floor of the class `issuance`, which needs `statement_url`.
    pub preset: Preset,
    /// Where the operator has published what it promises: needed by `preset = "two-years"`.
    pub statement_url: Option<String>,
    /// What led to certificates: the preset's floor by default, 2562 or 732 days.
    pub issuance_days: Option<u32>,
    /// What was done with the CA's keys, counted on from the last CA certificate's end: 2562 days by default.
    pub ca_lifecycle_days: Option<u32>,
    /// What operators did: 732 days by default, 3660 at most.
    pub access_log_days: Option<u32>,
    /// Who had which right: 1830 days by default, 3660 at most.
    pub permission_change_days: Option<u32>,
    /// Receipts, holds, cases: for good by default, as they say why something else is not there; 2562 days at least.
    pub retention_days: Option<u32>,
    /// What led to no certificate, counted from its end, and trials: 90 days by default, and at most.
    pub working_days: Option<u32>,
    /// What journald or logrotate keep of the log on standard error: 30 days by default, and at most. This is the operator's
    /// word, which the privacy page repeats; nothing here deletes that log.
    pub operations_log_days: Option<u32>,
    /// Counts without people: for good by default.
    pub aggregate_days: Option<u32>,
}

impl Config {
    /// How long a class is kept; `None` where no time ends it, or its own part of the configuration says how long.
    pub fn keep(&self, class: Class) -> Option<Duration> {
        let (_, set) = self.setting(class)?;
        let default = match class {
            Class::Retention | Class::Aggregate => None,
            class => self.preset.floor(class).or(class.retention().ceiling),
        };
        set.map(|days| DAY * days).or(default)
    }

    /// The key for a class, and what it is set to.
    fn setting(&self, class: Class) -> Option<(&'static str, Option<u32>)> {
        Some(match class {
            Class::Issuance => ("issuance_days", self.issuance_days),
            Class::CaLifecycle => ("ca_lifecycle_days", self.ca_lifecycle_days),
            Class::AccessLog => ("access_log_days", self.access_log_days),
            Class::PermissionChange => ("permission_change_days", self.permission_change_days),
            Class::Retention => ("retention_days", self.retention_days),
            Class::Working => ("working_days", self.working_days),
            Class::OperationsLog => ("operations_log_days", self.operations_log_days),
            Class::Aggregate => ("aggregate_days", self.aggregate_days),
            Class::OcspRequestLog | Class::Contact | Class::Passcode | Class::Investigation => return None,
        })
    }

    /// Looks at every setting. What breaks a row of the schedule stops the start where `is_production`, and is a warning
    /// elsewhere, where time may be made short to see what happens.
    pub fn check(&self, is_production: bool) -> Findings {
        let mut found = Findings::new();
        for class in Class::ALL {
            if let Some((key, Some(days))) = self.setting(class) {
                found.between(key, days, 1..=DAYS_MAX);
            }
        }
        self.check_statement(&mut found);
        for class in Class::ALL {
            let Some((key, Some(days))) = self.setting(class) else { continue };
            let Some((reason, fix)) = self.broken(class, days) else { continue };
            let finding = Finding::error(key, reason, fix);
            let warning = Finding::warning(key, finding.reason.clone(), finding.fix.clone());
            found.push(if is_production { finding } else { warning });
        }
        found
    }

    /// The row that a number of days breaks, and what to do about it.
    fn broken(&self, class: Class, days: u32) -> Option<(String, String)> {
        let kept = DAY * days;
        let in_days = |bound: Duration| bound.as_secs() / DAY.as_secs();
        let row = row(class);
        if let Some(floor) = self.preset.floor(class).filter(|floor| kept < *floor) {
            let least = in_days(floor);
            let reason = format!(
                "is {days}, and the row `{}` of the schedule has a floor: {} (docs/operations/retention.md)",
                class.name(),
                row.floor
            );
            let fix = match (class, self.preset) {
                (Class::Issuance, Preset::SevenYears) => format!(
                    "set it to {least} or more; or preset = \"two-years\" with statement_url, if your own statement \
                     promises no more than the Baseline Requirements"
                ),
                _ => format!("set it to {least} or more"),
            };
            return Some((reason, fix));
        }
        let ceiling = class.retention().ceiling.filter(|ceiling| kept > *ceiling)?;
        let reason = format!(
            "is {days}, and the row `{}` of the schedule has a ceiling: {} (docs/operations/retention.md)",
            class.name(),
            row.ceiling
        );
        let fix = format!(
            "set it to {} or less; what a case needs for longer is held by `ingam admin hold open`",
            in_days(ceiling)
        );
        Some((reason, fix))
    }

    fn check_statement(&self, found: &mut Findings) {
        let is_url = |url: &str| {
            let rest = url.strip_prefix("https://");
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
                && url.len() <= URL_CHARS_MAX
                && url.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match &self.statement_url {
            Some(url) => found.require(
                is_url(url),
                "statement_url",
                "is no URL of a page",
                "give the https:// URL at which your statement can be read",
            ),
            None => found.require(
                self.preset != Preset::TwoYears,
                "statement_url",
                "is missing, and preset = \"two-years\" lowers the floor of `issuance` below what the schedule promises",
                "name the published statement that promises two years, or leave the preset out",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::finding::Level;

    use super::*;

    fn findings(config: &Config, is_production: bool) -> Vec<(String, Level)> {
        config.check(is_production).into_iter().map(|finding| (finding.key, finding.level)).collect()
    }

    #[test]
    fn the_defaults_are_within_all_bounds_and_unknown_keys_are_refused() {
        assert!(findings(&Config::default(), true).is_empty());
        let days = |class: Class| Config::default().keep(class).map(|keep| keep.as_secs() / DAY.as_secs());
        assert_eq!(days(Class::Issuance), Some(2562));
        assert_eq!(days(Class::AccessLog), Some(732));
        assert_eq!(days(Class::PermissionChange), Some(1830));
        assert_eq!(days(Class::Working), Some(90));
        assert_eq!(days(Class::OperationsLog), Some(30));
        assert_eq!(days(Class::Retention), None);
        assert!(serde_json::from_str::<Config>(r#"{"issuance_years": 7}"#).is_err());
    }

    #[test]
    fn each_bound_is_one_day_wide_and_named() {
        type Set = fn(&mut Config, u32);
        let bounds: [(&str, u32, u32, Set); 8] = [
            ("issuance_days", 2562, 2561, |config, days| config.issuance_days = Some(days)),
            ("ca_lifecycle_days", 2562, 2561, |config, days| config.ca_lifecycle_days = Some(days)),
            ("access_log_days", 732, 731, |config, days| config.access_log_days = Some(days)),
            ("access_log_days", 3660, 3661, |config, days| config.access_log_days = Some(days)),
            ("permission_change_days", 1830, 1829, |config, days| config.permission_change_days = Some(days)),
            ("retention_days", 2562, 2561, |config, days| config.retention_days = Some(days)),
            ("working_days", 90, 91, |config, days| config.working_days = Some(days)),
            ("operations_log_days", 30, 31, |config, days| config.operations_log_days = Some(days)),
        ];
        for (key, within, beyond, set) in bounds {
            let mut config = Config::default();
            set(&mut config, within);
            assert!(findings(&config, true).is_empty(), "{key} {within}");
            set(&mut config, beyond);
            assert_eq!(findings(&config, true), [(key.to_owned(), Level::Error)], "{key} {beyond}");
            assert_eq!(findings(&config, false), [(key.to_owned(), Level::Warning)], "{key} {beyond}");
            let reason = config.check(true).into_iter().next().unwrap().reason;
            let class = key.strip_suffix("_days").unwrap();
            assert!(reason.contains(&format!("row `{class}`")), "{reason}");
        }
    }

    #[test]
    fn two_years_need_a_statement() {
        let two = |statement_url: Option<&str>| Config {
            preset: Preset::TwoYears,
            statement_url: statement_url.map(str::to_owned),
            issuance_days: Some(732),
            ..Config::default()
        };
        assert!(findings(&two(Some("https://ca.example/privacy")), true).is_empty());
        for bad in [None, Some("http://ca.example/"), Some("https:///x"), Some("")] {
            let found = findings(&two(bad), false);
            assert_eq!(found, [("statement_url".to_owned(), Level::Error)], "{bad:?}");
        }
        let lower = Config { issuance_days: Some(731), ..two(Some("https://ca.example/privacy")) };
        assert_eq!(findings(&lower, true), [("issuance_days".to_owned(), Level::Error)]);
    }
}
