//! Times as people give them, and ages as people read them.

use std::str::FromStr;
use std::time::Duration;

use ingam_protocol::Timestamp;

/// A time on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// A moment.
    At(Timestamp),
    /// So long ago.
    Ago(Duration),
    /// So long from now.
    Ahead(Duration),
}

impl When {
    /// The moment, seen from `now`, as RFC 3339 writes it.
    pub(crate) fn text(self, now: Timestamp) -> String {
        match self {
            Self::At(moment) => moment,
            Self::Ago(age) => now.minus(age),
            Self::Ahead(span) => now.plus(span),
        }
        .to_rfc3339()
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self::Ago(Duration::ZERO));
        }
        let (span, ahead) = text.strip_prefix('+').map_or((text, false), |span| (span, true));
        if let Some(span) = parse_span(span) {
            return Ok(if ahead { Self::Ahead(span) } else { Self::Ago(span) });
        }
        // A date alone is its first second, in UTC.
        Timestamp::from_rfc3339(text)
            .or_else(|| Timestamp::from_rfc3339(&format!("{text}T00:00:00Z")))
            .map(Self::At)
            .ok_or_else(|| {
                "write a time as 2026-11-21T10:00:00Z, a day as 2026-11-21 (its start, in UTC), an age as 30m, 2h, 7d or \
                 4w, what lies ahead as +7d, or now"
                    .to_owned()
            })
    }
}

/// Reads a span of time, as in `90s`, `30m`, `2h`, `7d`, `4w`.
pub(crate) fn parse_span(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let number = text.strip_suffix(unit)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

/// A span of time in its two largest units, as in `3 d 4 h`.
pub(crate) fn span_text(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match (days, hours, minutes) {
        (365.., ..) => two(days / 365, "y", days % 365, "d"),
        (10.., ..) => format!("{days} d"),
        (1.., ..) => two(days, "d", hours, "h"),
        (0, 1.., _) => two(hours, "h", minutes, "min"),
        (0, 0, 1..) => two(minutes, "min", seconds % 60, "s"),
        (0, 0, 0) => format!("{seconds} s"),
    }
}

/// When something is or was, seen from `now`: `in 3 d 4 h`, `2 h ago`.
pub(crate) fn distance_text(moment: Timestamp, now: Timestamp) -> String {
    if moment > now {
        format!("in {}", span_text(moment.since(now)))
    } else {
        format!("{} ago", span_text(now.since(moment)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> String {
        let now = Timestamp::from_rfc3339("2026-11-21T10:00:00Z").unwrap();
        text.parse::<When>().unwrap().text(now)
    }

    #[test]
    fn times_days_and_ages_are_understood() {
        assert_eq!(at("2026-11-21T11:00:00+01:00"), "2026-11-21T10:00:00Z");
        assert_eq!(at("2026-11-20"), "2026-11-20T00:00:00Z");
        assert_eq!(at("2h"), "2026-11-21T08:00:00Z");
        assert_eq!(at("7d"), "2026-11-14T10:00:00Z");
        assert_eq!(at("90s"), "2026-11-21T09:58:30Z");
        assert_eq!(at("30m"), "2026-11-21T09:30:00Z");
        assert_eq!(at("1w"), "2026-11-14T10:00:00Z");
        assert_eq!(at("+1d"), "2026-11-22T10:00:00Z");
        assert_eq!(at("now"), "2026-11-21T10:00:00Z");
    }

    #[test]
    fn anything_else_is_told_how_to_be_written() {
        for wrong in
            ["", "h", "-2h", "+", "2y", "yesterday", "2026-13-01", "99999999999999999999d", "1.5h", "++1d"]
        {
            assert!(wrong.parse::<When>().unwrap_err().contains("2026-11-21"), "{wrong}");
        }
    }

    #[test]
    fn spans_have_two_units() {
        let text = |seconds| span_text(Duration::from_secs(seconds));
        assert_eq!(text(0), "0 s");
        assert_eq!(text(61), "1 min 1 s");
        assert_eq!(text(3600), "1 h");
        assert_eq!(text(2 * 86_400 + 3 * 3600 + 59), "2 d 3 h");
        assert_eq!(text(40 * 86_400 + 1), "40 d");
        assert_eq!(text(366 * 86_400), "1 y 1 d");
        let now = Timestamp::from_unix_s(1000);
        assert_eq!(distance_text(Timestamp::from_unix_s(1061), now), "in 1 min 1 s");
        assert_eq!(distance_text(Timestamp::from_unix_s(940), now), "1 min ago");
    }
}
