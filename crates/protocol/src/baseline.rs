//! Rules that come into force on a date: what the Baseline Requirements (BR) of the CA/Browser Forum and the root programs
//! ask of certificates that the public is to trust.
//!
//! They are data, so that a configuration can be held against any day. A private CA may go its own way; it is told.
//!
//! - [`Rule`]: what one rule limits, its values over time, its source, and where this program keeps it.
//! - `table`: all of them. docs/operations/rules.md shows the same table.

mod table;

use std::fmt;
use std::time::Duration;

pub use table::{
    CERTIFICATE_VALIDITY, DNSSEC, OTHER_PURPOSES, PERSISTENT_REUSE, REGISTRIES, REMOTES, RULES,
    VALIDATION_REUSE,
};

use crate::Timestamp;

/// What a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleValue {
    /// At most this many days of 86,400 seconds.
    DaysMax(u64),
    /// At least this many such days.
    DaysMin(u64),
    /// At most this many hours.
    HoursMax(u64),
    /// At least this many.
    CountMin(u8),
    /// At least this many bits.
    BitsMin(u32),
    /// At least this many kilometres.
    KilometresMin(u32),
    /// That it is so.
    Asked,
    /// That it is not so.
    Forbidden,
}

/// A value and the day from which it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dated {
    /// The first moment, midnight UTC; none if the rule is older than what is told of it here.
    pub from: Option<Timestamp>,
    /// What is asked from then on.
    pub value: RuleValue,
}

/// One rule over time.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// What it is about.
    pub about: &'static str,
    /// Its section, ballot or program.
    pub source: &'static str,
    /// Its values, the oldest first.
    pub values: &'static [Dated],
    /// Where this program keeps it, or that it does not yet.
    pub kept: &'static str,
}

impl RuleValue {
    /// The longest that is allowed, where a length is limited.
    pub fn longest(self) -> Option<Duration> {
        match self {
            Self::DaysMax(days) => Some(Duration::from_secs(days.saturating_mul(24 * 60 * 60))),
            Self::HoursMax(hours) => Some(Duration::from_secs(hours.saturating_mul(60 * 60))),
            _ => None,
        }
    }

    /// How many there have to be, where that is asked; otherwise 0.
    pub fn least(self) -> u8 {
        match self {
            Self::CountMin(count) => count,
            _ => 0,
        }
    }
}

impl fmt::Display for RuleValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DaysMax(days) => write!(f, "at most {days} days"),
            Self::DaysMin(days) => write!(f, "at least {days} days"),
            Self::HoursMax(hours) => write!(f, "at most {hours} hours"),
            Self::CountMin(count) => write!(f, "at least {count}"),
            Self::BitsMin(bits) => write!(f, "at least {bits} bits"),
            Self::KilometresMin(kilometres) => write!(f, "at least {kilometres} km"),
            Self::Asked => f.write_str("required"),
            Self::Forbidden => f.write_str("forbidden"),
        }
    }
}

impl Dated {
    fn holds(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now)
    }

    /// The day from which it holds: `2029-03-15`; empty if that is not told.
    pub fn day(self) -> String {
        let from = self.from.map(Timestamp::to_rfc3339).unwrap_or_default();
        from.chars().take("2029-03-15".len()).collect()
    }
}

impl Rule {
    /// The value in force at `now`; `None` before the first.
    pub fn at(&self, now: Timestamp) -> Option<Dated> {
        self.values.iter().rev().find(|dated| dated.holds(now)).copied()
    }

    /// How many there have to be at `now`; 0 where nothing is asked.
    pub fn least_at(&self, now: Timestamp) -> u8 {
        self.at(now).map_or(0, |dated| dated.value.least())
    }

    /// The longest that is allowed at `now`; `None` where nothing limits it.
    pub fn longest_at(&self, now: Timestamp) -> Option<Duration> {
        self.at(now)?.value.longest()
    }

    /// The values that are broken, of the one in force at `now` and those that come into force until `until`.
    pub fn broken(
        &self,
        now: Timestamp,
        until: Timestamp,
        is_broken: impl Fn(RuleValue) -> bool,
    ) -> Vec<Dated> {
        let is_to_come = |dated: &Dated| dated.from.is_some_and(|from| now < from && from <= until);
        let to_come = self.values.iter().filter(|dated| is_to_come(dated)).copied();
        self.at(now).into_iter().chain(to_come).filter(|dated| is_broken(dated.value)).collect()
    }

    /// Until when something counts that began at `begun`, where the rule limits its age: with each shorter limit that comes
    /// into force meanwhile it ends sooner, but not before that day.
    pub fn ends(&self, begun: Timestamp) -> Option<Timestamp> {
        let mut end: Option<Timestamp> = None;
        for dated in self.values {
            let from = dated.from.unwrap_or_default();
            if end.is_some_and(|end| end <= from) {
                break;
            }
            if let Some(longest) = dated.value.longest() {
                end = Some(begun.plus(longest).max(from));
            }
        }
        end
    }
}

#[cfg(test)]
mod tests;
