//! What the operator can set about the request log.

use std::time::Duration;

use ingam_protocol::Findings;
use ingam_protocol::record::Class;
use serde::{Deserialize, Serialize};

const HOUR_S: u64 = 60 * 60;
const DAY_S: u64 = 24 * HOUR_S;

/// How much of a relying party is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing.
    #[default]
    Off,
    /// The network of the address (24 bits of IPv4, 48 of IPv6) and the family of the client. What is cut off never leaves
    /// the thread that answers.
    Truncated,
    /// The address, and what the client calls itself.
    Full,
}

impl Mode {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Truncated => "truncated",
            Self::Full => "full",
        }
    }
}

/// Settings of the request log. Every key has a default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How much is written down: `off`, `truncated` or `full`.
    pub mode: Mode,
    /// How long a segment is kept, in seconds, counted from its first record: 2 hours or more, and 7 days at most in
    /// production.
    pub keep_s: u64,
    /// How many requests are written down in a second; above it, an even sample of them, of which each says for how many
    /// it stands.
    pub rate_max: u64,
    /// How many records may wait in memory to be written; what comes on top is counted and not written. One takes 160
    /// bytes.
    pub queue_records: usize,
    /// How many bytes segments and holds may have on the disk; above it, nothing is written until a segment goes.
    pub bytes_max: u64,
    /// Whether the hours are counted, too: requests, answers, kinds of clients, most asked certificates.
    pub counts: bool,
    /// The smallest number that a count tells: what is below it is told together with others.
    pub count_min: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            keep_s: 7 * DAY_S,
            rate_max: 10_000,
            queue_records: 65_536,
            bytes_max: 16 << 30,
            counts: true,
            count_min: 10,
        }
    }
}

impl Config {
    /// Looks at every setting. The ceiling of production is the caller's to ask for, by [`Config::is_within_ceiling`].
    pub fn check(&self) -> Findings {
        let mut found = Findings::new();
        found.between("keep_s", self.keep_s, 2 * HOUR_S..=3650 * DAY_S);
        found.between("rate_max", self.rate_max, 1..=10_000_000);
        found.between("queue_records", self.queue_records, 1024..=16 << 20);
        found.between("bytes_max", self.bytes_max, 1 << 20..=1 << 50);
        found.between("count_min", self.count_min, 1..=1_000_000);
        found
    }

    /// Whether segments go when the class `ocsp_request_log` asks for it.
    pub fn is_within_ceiling(&self) -> bool {
        Class::OcspRequestLog.retention().ceiling.is_none_or(|ceiling| self.keep() <= ceiling)
    }

    pub(super) fn keep(&self) -> Duration {
        Duration::from_secs(self.keep_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_logged_unless_somebody_wants_it() {
        let empty: Config = serde_json::from_str("{}").unwrap();
        assert_eq!((empty.mode, empty.is_within_ceiling()), (Mode::Off, true));
        assert!(serde_json::from_str::<Config>(r#"{"keep_days": 7}"#).is_err());
    }

    #[test]
    fn the_ceiling_is_seven_days_to_the_second() {
        let keeping = |keep_s| Config { keep_s, ..Config::default() };
        assert!(!keeping(7 * DAY_S + 1).is_within_ceiling());
        let keys = |config: Config| config.check().into_iter().map(|found| found.key).collect::<Vec<_>>();
        assert_eq!(keys(keeping(10)), ["keep_s"]);
        assert!(keys(keeping(30 * DAY_S)).is_empty());
    }
}
