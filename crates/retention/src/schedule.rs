//! The schedule as data, and when something goes by it.

use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::record::Class;
use serde::Serialize;

use crate::config::{Config, Preset, Reliance};

/// A day.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What is about something that ends stays so long past that end, at least: two years, of 366 days each.
pub const AFTER_END: Duration = Duration::from_secs(2 * 366 * 24 * 60 * 60);

/// A row of the schedule.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The class.
    pub class: Class,
    /// What is in it.
    pub what: &'static str,
    /// Its floor in words, and what it counts from.
    pub floor: &'static str,
    /// Its ceiling in words.
    pub ceiling: &'static str,
    /// Where the bounds come from.
    pub source: &'static str,
    /// What keeps it: the setting that says how long, and the code that takes it out.
    pub kept_by: &'static str,
}

/// The schedule. The bounds in numbers are [`Class::retention`]; these words are held against them by a test.
pub const ROWS: [Row; 12] = [
    Row {
        class: Class::OcspRequestLog,
        what: "a relying party's address, user agent, serial number, time, answer",
        floor: "none",
        ceiling: "7 days from a segment's first record",
        source: "the operator's privacy statement (R3)",
        kept_by: "request_log.keep_s: the request log destroys its own segments, every second",
    },
    Row {
        class: Class::Issuance,
        what: "everything that led to a certificate, and what became of it",
        floor: "7 years, and 2 past the certificate's end; 2 years with preset = \"two-years\"",
        ceiling: "none",
        source: "the operator's privacy statement (C6); BR 5.4.3 and 5.5.2 ask for two years",
        kept_by: "retention.issuance_days: segments of the journal, rows of certificates and what they rest on",
    },
    Row {
        class: Class::CaLifecycle,
        what: "ceremonies, keys, CA certificates, changes of profile and configuration",
        floor: "7 years after the last CA certificate's end",
        ceiling: "none",
        source: "the operator's privacy statement; BR 5.4.3 (1)",
        kept_by: "retention.ca_lifecycle_days: segments of the journal, once no CA certificate is left",
    },
    Row {
        class: Class::AccessLog,
        what: "operators' acts, sign-ins, reads of personal data",
        floor: "2 years",
        ceiling: "10 years",
        source: "the operator's privacy statement (P4); BR 5.4.3 (3)",
        kept_by: "retention.access_log_days: segments of the journal, acts that waited for a second person",
    },
    Row {
        class: Class::PermissionChange,
        what: "who gave or took whose access right",
        floor: "5 years",
        ceiling: "10 years",
        source: "the operator's privacy statement (P4)",
        kept_by: "retention.permission_change_days: segments of the journal",
    },
    Row {
        class: Class::Retention,
        what: "receipts of deletion, holds, cases, disclosures",
        floor: "7 years",
        ceiling: "none",
        source: "the operator's privacy statement (D1)",
        kept_by: "retention.retention_days: segments of the journal, holds that ended, cases that were closed; kept \
                  for good without it",
    },
    Row {
        class: Class::Contact,
        what: "e-mail addresses, names, preferences",
        floor: "none",
        ceiling: "until withdrawn, account closed, or purpose over",
        source: "the operator's privacy statement (C2, C3)",
        kept_by: "the holder's word, or an erasure: rows go at once, and keys are destroyed",
    },
    Row {
        class: Class::Passcode,
        what: "keyed hashes of one-time passcodes and links",
        floor: "none",
        ceiling: "10 minutes, or first use",
        source: "the operator's privacy statement (P2)",
        kept_by: "nothing is kept of it in this version",
    },
    Row {
        class: Class::Working,
        what: "orders and authorizations in hand, limits' counters, trials of validation",
        floor: "none",
        ceiling: "90 days from their end, or from the record",
        source: "the operator's privacy statement",
        kept_by: "retention.working_days: rows that led to no certificate, segments of the journal",
    },
    Row {
        class: Class::OperationsLog,
        what: "what the program writes to standard error",
        floor: "none",
        ceiling: "30 days",
        source: "the operator's privacy statement (R6)",
        kept_by: "journald or logrotate, outside: retention.operations_log_days says what they are set to",
    },
    Row {
        class: Class::Investigation,
        what: "a subset of the request log, held for a case",
        floor: "none",
        ceiling: "until the case closes; its end is moved by hand",
        source: "the operator's privacy statement (R4)",
        kept_by: "ingam admin ocsp hold: the request log destroys it at its end",
    },
    Row {
        class: Class::Aggregate,
        what: "counts without people",
        floor: "none",
        ceiling: "none",
        source: "the operator's privacy statement (R5)",
        kept_by: "retention.aggregate_days: segments of the journal; kept for good without it",
    },
];

/// The row of a class.
pub fn row(class: Class) -> &'static Row {
    // Every class has one: a test looks.
    ROWS.iter().find(|row| row.class == class).unwrap_or(&ROWS[0])
}

/// What is known of a segment, or of anything that goes as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// When the first of it was.
    pub earliest: Option<Timestamp>,
    /// When the last of it was.
    pub latest: Option<Timestamp>,
    /// When the last of the things ends that it is about.
    pub end_of_life: Option<Timestamp>,
}

/// The schedule in force: what the operator set, within the bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    config: Config,
    reliance: Reliance,
}

/// The rule by which something goes, as receipts have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The row of the schedule: the class's name.
    pub row: &'static str,
    /// How long it was kept, counted from the record; nothing where nothing goes by time.
    pub keep_days: Option<u64>,
    /// The least that the schedule asks for.
    pub floor_days: Option<u64>,
    /// The least past the end of what it was about.
    pub end_of_life_days: u64,
    /// The preset in force.
    pub preset: Preset,
}

impl Schedule {
    /// What the operator set, and how long something may be relied upon after it was shown.
    pub fn new(config: Config, reliance: Reliance) -> Self {
        Self { config, reliance }
    }

    /// The preset in force.
    pub fn preset(&self) -> Preset {
        self.config.preset
    }

    /// The operator's published statement, where one is named.
    pub fn statement_url(&self) -> Option<&str> {
        self.config.statement_url.as_deref()
    }

    /// How long a class is kept, counted from the record; `None` where no time ends it.
    pub fn keep(&self, class: Class) -> Option<Duration> {
        self.config.keep(class)
    }

    /// The least that a class is kept: the preset's word on `issuance`, and the schedule's on all else.
    pub fn floor(&self, class: Class) -> Option<Duration> {
        self.config.preset.floor(class)
    }

    /// The longest life of a certificate.
    pub fn lifetime(&self) -> Duration {
        self.reliance.lifetime
    }

    /// How long past the end of what it is about something stays.
    pub fn after_end(class: Class) -> Duration {
        match class {
            Class::CaLifecycle => Class::CaLifecycle.retention().floor.unwrap_or(AFTER_END),
            _ => AFTER_END,
        }
    }

    /// The rule for a class, for a receipt.
    pub fn rule(&self, class: Class) -> Rule {
        let days = |duration: Duration| duration.as_secs() / DAY.as_secs();
        Rule {
            row: class.name(),
            keep_days: self.keep(class).map(days),
            floor_days: self.floor(class).map(days),
            end_of_life_days: days(Self::after_end(class)),
            preset: self.config.preset,
        }
    }

    /// When a segment goes: a record stays until the later of its own time with what it is kept for, and of two years past
    /// the end of what it is about; no ceiling is passed. `None` where no time ends it.
    pub fn goes_at(&self, class: Class, span: &Span) -> Option<Timestamp> {
        let keep = self.keep(class)?;
        let latest = span.latest?;
        let mut goes = latest.plus(keep);
        if let Some(end) = span.end_of_life {
            goes = goes.max(end.plus(Self::after_end(class)));
        }
        match class {
            // A check may be relied upon for a certificate that is made much later, and ends later still (BR 5.5.2).
            Class::Issuance => {
                let reliance = self.reliance.reuse.saturating_add(self.reliance.lifetime);
                goes = goes.max(latest.plus(reliance).plus(AFTER_END));
            }
            // Everything that was said of the keys is needed for as long as anything rests on one of them.
            Class::CaLifecycle => {
                goes = goes.max(self.reliance.authorities_end?.plus(Self::after_end(class)));
            }
            _ => {}
        }
        let ceiling = class.retention().ceiling.zip(span.earliest);
        Some(ceiling.map_or(goes, |(ceiling, earliest)| goes.min(earliest.plus(ceiling))))
    }

    /// How long rows of the store stay.
    pub fn terms(&self) -> ingam_store::Terms {
        let keep = |class: Class| self.keep(class).unwrap_or(Duration::MAX);
        ingam_store::Terms {
            working: keep(Class::Working),
            issuance: keep(Class::Issuance),
            after_end: AFTER_END,
            lifetime: self.reliance.lifetime,
            access_log: keep(Class::AccessLog),
            retention: self.keep(Class::Retention),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn schedule(config: Config) -> Schedule {
        Schedule::new(config, Reliance::default())
    }

    fn at(days: u64) -> Timestamp {
        Timestamp::from_unix_s(0).plus(DAY * u32::try_from(days).unwrap())
    }

    #[test]
    fn every_class_has_one_row_whose_words_are_its_numbers() {
        let classes: BTreeSet<Class> = ROWS.iter().map(|row| row.class).collect();
        assert_eq!((classes.len(), ROWS.len()), (Class::ALL.len(), Class::ALL.len()));
        for row in ROWS {
            let bounds = row.class.retention();
            let words = |duration: Duration| match duration.as_secs() / 60 {
                minutes if minutes < 24 * 60 => format!("{minutes} minutes"),
                minutes if minutes / (24 * 60) < 366 => format!("{} days", minutes / (24 * 60)),
                minutes => format!("{} years", minutes / (366 * 24 * 60)),
            };
            match bounds.floor {
                Some(floor) => assert!(row.floor.starts_with(&words(floor)), "{row:?}"),
                None => assert_eq!(row.floor, "none"),
            }
            match bounds.ceiling {
                Some(ceiling) => assert!(row.ceiling.starts_with(&words(ceiling)), "{row:?}"),
                None => assert!(row.ceiling == "none" || row.ceiling.starts_with("until"), "{row:?}"),
            }
        }
    }

    #[test]
    fn the_later_of_record_and_end_counts() {
        let span =
            |end: Option<u64>| Span { earliest: Some(at(0)), latest: Some(at(30)), end_of_life: end.map(at) };
        let seven = schedule(Config::default());
        assert_eq!(seven.goes_at(Class::Issuance, &span(None)), Some(at(30 + 7 * 366)));
        assert_eq!(seven.goes_at(Class::Issuance, &span(Some(400))), Some(at(30 + 7 * 366)));
        assert_eq!(seven.goes_at(Class::Issuance, &span(Some(3000))), Some(at(3000 + 2 * 366)));
        let two = schedule(Config { preset: Preset::TwoYears, ..Config::default() });
        assert_eq!(two.goes_at(Class::Issuance, &span(None)), Some(at(30 + 2 * 366)));
        assert_eq!(two.goes_at(Class::Issuance, &span(Some(120))), Some(at(120 + 2 * 366)));
        assert_eq!(two.goes_at(Class::Retention, &span(None)), None, "receipts stay");
    }

    #[test]
    fn what_was_shown_stays_while_a_certificate_may_rest_on_it() {
        let reliance = Reliance { reuse: DAY * 398, lifetime: DAY * 398, authorities_end: None };
        let two = Schedule::new(Config { preset: Preset::TwoYears, ..Config::default() }, reliance);
        let span = Span { earliest: Some(at(0)), latest: Some(at(1)), end_of_life: None };
        assert_eq!(two.goes_at(Class::Issuance, &span), Some(at(1 + 398 + 398 + 2 * 366)));
    }

    #[test]
    fn no_ceiling_is_passed_whatever_something_is_about() {
        let config = Config { access_log_days: Some(3660), working_days: Some(90), ..Config::default() };
        let schedule = schedule(config);
        let span = Span { earliest: Some(at(0)), latest: Some(at(30)), end_of_life: Some(at(9999)) };
        assert_eq!(schedule.goes_at(Class::AccessLog, &span), Some(at(10 * 366)));
        assert_eq!(schedule.goes_at(Class::Working, &span), Some(at(90)));
    }

    #[test]
    fn what_was_said_of_keys_stays_while_a_ca_lives() {
        let span = Span { earliest: Some(at(0)), latest: Some(at(1)), end_of_life: None };
        assert_eq!(schedule(Config::default()).goes_at(Class::CaLifecycle, &span), None);
        let reliance = Reliance { authorities_end: Some(at(3650)), ..Reliance::default() };
        let ended = Schedule::new(Config::default(), reliance);
        assert_eq!(ended.goes_at(Class::CaLifecycle, &span), Some(at(3650 + 7 * 366)));
    }
}
