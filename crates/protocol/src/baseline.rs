//! Limits that come into force on a date: what the Baseline Requirements (BR) of the CA/Browser Forum ask of certificates
//! that the public is to trust.
//!
//! They are data, so that a configuration can be held against any day. A private CA may go its own way; it is told.

use std::time::Duration;

use crate::Timestamp;

/// A limit and the day from which it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatedLimit {
    /// The first moment, midnight UTC.
    pub from: Timestamp,
    /// At most this many days of 86,400 seconds.
    pub days_max: u64,
}

/// One rule over time.
#[derive(Clone, Copy, Debug)]
pub struct DatedRule {
    /// Its section.
    pub source: &'static str,
    /// Its limits, the oldest first.
    pub limits: &'static [DatedLimit],
}

const fn limit(from_unix_s: u64, days_max: u64) -> DatedLimit {
    DatedLimit { from: Timestamp::from_unix_s(from_unix_s), days_max }
}

const FROM_2020_09_01: u64 = 1_598_918_400;
const FROM_2026_03_15: u64 = 1_773_532_800;
const FROM_2027_03_15: u64 = 1_805_068_800;
const FROM_2029_03_15: u64 = 1_868_227_200;

/// How long a certificate may be valid.
pub const CERTIFICATE_VALIDITY: DatedRule = DatedRule {
    source: "BR 6.3.2",
    limits: &[
        limit(FROM_2020_09_01, 398),
        limit(FROM_2026_03_15, 200),
        limit(FROM_2027_03_15, 100),
        limit(FROM_2029_03_15, 47),
    ],
};

/// How long shown control of a name may be used again.
pub const VALIDATION_REUSE: DatedRule = DatedRule {
    source: "BR 4.2.1",
    limits: &[
        limit(FROM_2020_09_01, 398),
        limit(FROM_2026_03_15, 200),
        limit(FROM_2027_03_15, 100),
        limit(FROM_2029_03_15, 10),
    ],
};

/// For how many days a validation by a record that stays (dns-persist-01) may be used again, since there are such
/// validations (BR 3.2.2.4.22).
pub const PERSISTENT_REUSE_DAYS_MAX: u64 = 10;

impl DatedLimit {
    /// The longest that is allowed.
    pub fn longest(self) -> Duration {
        Duration::from_secs(self.days_max.saturating_mul(24 * 60 * 60))
    }

    /// The day from which it holds: `2029-03-15`.
    pub fn day(self) -> String {
        self.from.to_rfc3339().chars().take("2029-03-15".len()).collect()
    }
}

impl DatedRule {
    /// The limit in force at `now`; `None` before the first.
    pub fn at(&self, now: Timestamp) -> Option<DatedLimit> {
        self.limits.iter().rev().find(|limit| limit.from <= now).copied()
    }

    /// The first limit that `length` breaks: the one in force at `now`, or one that comes into force until `until`.
    pub fn first_broken(&self, length: Duration, now: Timestamp, until: Timestamp) -> Option<DatedLimit> {
        let to_come = self.limits.iter().filter(|limit| now < limit.from && limit.from <= until).copied();
        self.at(now).into_iter().chain(to_come).find(|limit| limit.longest() < length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn moment(day: &str) -> Timestamp {
        Timestamp::from_rfc3339(&format!("{day}T00:00:00Z")).unwrap()
    }

    #[test]
    fn limits_have_the_dates_of_the_requirements() {
        let days = |rule: DatedRule| -> Vec<(String, u64)> {
            rule.limits.iter().map(|limit| (limit.day(), limit.days_max)).collect()
        };
        let expected = |last| {
            [("2020-09-01", 398), ("2026-03-15", 200), ("2027-03-15", 100), ("2029-03-15", last)]
                .map(|(day, most)| (day.to_owned(), most))
        };
        assert_eq!(days(CERTIFICATE_VALIDITY), expected(47));
        assert_eq!(days(VALIDATION_REUSE), expected(10));
        for rule in [CERTIFICATE_VALIDITY, VALIDATION_REUSE] {
            assert!(rule.limits.iter().all(|limit| limit.from == moment(&limit.day())), "{rule:?}");
        }
    }

    #[test]
    fn a_limit_holds_from_its_first_second() {
        let rule = CERTIFICATE_VALIDITY;
        let change = moment("2029-03-15");
        assert_eq!(rule.at(change).unwrap().days_max, 47);
        assert_eq!(rule.at(change.minus(Duration::from_secs(1))).unwrap().days_max, 100);
        assert_eq!(rule.at(moment("2020-08-31")), None);
        assert_eq!(rule.first_broken(47 * DAY, change, change), None);
        assert_eq!(rule.first_broken(48 * DAY, change, change).unwrap().days_max, 47);
    }

    #[test]
    fn what_comes_soon_is_told() {
        let (rule, now) = (CERTIFICATE_VALIDITY, moment("2026-11-28"));
        let broken =
            |days: u32, until: &str| rule.first_broken(days * DAY, now, moment(until)).map(DatedLimit::day);
        assert_eq!(broken(398, "2026-11-28").as_deref(), Some("2026-03-15"));
        assert_eq!(broken(200, "2026-11-28"), None);
        assert_eq!(broken(200, "2027-11-28").as_deref(), Some("2027-03-15"));
        assert_eq!(broken(90, "2027-11-28"), None);
        assert_eq!(broken(90, "2030-01-01").as_deref(), Some("2029-03-15"));
    }
}
