//! Times, spans and numbers as people read them.

use std::time::Duration;

use ingam_protocol::Timestamp;

const MINUTE_S: u64 = 60;
const HOUR_S: u64 = 60 * MINUTE_S;
const DAY_S: u64 = 24 * HOUR_S;
const YEAR_S: u64 = 365 * DAY_S;

/// A moment, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// RFC 3339, for programs.
    pub(super) machine: String,
    /// The day in UTC: `2026-11-21`.
    pub(super) day: String,
    /// The time of the day in UTC: `10:00:00`.
    pub(super) clock: String,
    /// How long ago, or how long until then.
    pub(super) age: String,
}

impl Moment {
    /// The moment `at`, as seen at `now`.
    pub(super) fn new(at: Timestamp, now: Timestamp) -> Self {
        let machine = at.to_rfc3339();
        let (day, clock) = machine.split_once('T').unwrap_or((&machine, ""));
        let (day, clock) = (day.to_owned(), clock.trim_end_matches('Z').to_owned());
        let age = if at > now {
            format!("in {}", span(at.since(now)))
        } else if now.since(at) < Duration::from_secs(1) {
            "now".to_owned()
        } else {
            format!("{} ago", span(now.since(at)))
        };
        Self { machine, day, clock, age }
    }
}

/// A span in its largest unit that it has two of, rounded down: `90 minutes`, `3 days`.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(YEAR_S, "year"), (DAY_S, "day"), (HOUR_S, "hour"), (MINUTE_S, "minute")];
    let (unit, name) = units.into_iter().find(|(unit, _)| seconds >= 2 * unit).unwrap_or((1, "second"));
    counted(seconds / unit, name)
}

/// `1 record`, `2 records`, `12,345 records`.
pub(super) fn counted(number: u64, name: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {name}{plural}", thousands(number))
}

/// `12,345,678`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A size in the largest binary unit that it has one of, with one decimal: `1.5 GiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut shown = counted(bytes, "byte");
    let mut unit_bytes = 1_u64;
    for unit in UNITS {
        unit_bytes = unit_bytes.saturating_mul(1024);
        if bytes < unit_bytes {
            break;
        }
        let tenths = u128::from(bytes) * 10 / u128::from(unit_bytes);
        shown = format!("{}.{} {unit}", tenths / 10, tenths % 10);
    }
    shown
}

/// How many percent `part` is of `whole`, 0 to 100; `None` of nothing. What is not nothing is at least one.
pub(super) fn percent(part: u64, whole: u64) -> Option<u64> {
    let share = u128::from(part).checked_mul(100)?.checked_div(u128::from(whole))?;
    let share = u64::try_from(share.min(100)).unwrap_or(100);
    Some(if part > 0 { share.max(1) } else { share })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_seen_from_now() {
        let now = Timestamp::from_unix_s(1_795_255_200);
        let at = |at| Moment::new(at, now);
        let second = Duration::from_secs(1);
        assert_eq!((at(now).day.as_str(), at(now).clock.as_str()), ("2026-11-21", "10:00:00"));
        assert_eq!(at(now).machine, "2026-11-21T10:00:00Z");
        assert_eq!(at(now).age, "now");
        assert_eq!(at(now.minus(second)).age, "1 second ago");
        assert_eq!(at(now.plus(second * 7200)).age, "in 2 hours");
        assert_eq!(at(Timestamp::default()).age, "56 years ago");
    }

    #[test]
    fn spans_have_two_of_their_unit() {
        let shown = |seconds| span(Duration::from_secs(seconds));
        for (seconds, words) in [
            (0, "0 seconds"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (2 * HOUR_S - 1, "119 minutes"),
            (2 * DAY_S - 1, "47 hours"),
            (90 * DAY_S, "90 days"),
            (2 * YEAR_S, "2 years"),
        ] {
            assert_eq!(shown(seconds), words);
        }
    }

    #[test]
    fn numbers_are_grouped_and_sizes_scaled() {
        let groups = [0, 999, 1000, 1_234_567].map(thousands);
        assert_eq!(groups, ["0", "999", "1,000", "1,234,567"]);
        let sizes = [1, 1023, 1024, 1_610_612_736, u64::MAX].map(size);
        assert_eq!(sizes, ["1 byte", "1,023 bytes", "1.0 KiB", "1.5 GiB", "15.9 EiB"]);
    }

    #[test]
    fn shares_stay_between_nothing_and_all() {
        assert_eq!(percent(1, 0), None);
        assert_eq!(percent(0, 10), Some(0));
        assert_eq!(percent(1, u64::MAX), Some(1));
        assert_eq!(percent(u64::MAX, 1), Some(100));
    }
}
