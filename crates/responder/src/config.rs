//! What the operator can set.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

const HOUR_S: u64 = 60 * 60;
const DAY_S: u64 = 24 * HOUR_S;

/// What is done with a request's nonce (RFC 9654), and with requests about several certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonces {
    /// Nonces are ignored, and questions about several certificates answered with `unauthorized`: every answer can be
    /// kept and cached.
    #[default]
    Ignore,
    /// A nonce is echoed in an answer signed for this request alone, and several certificates are answered in one.
    Answer,
}

/// Settings of the responder. Every key has a default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// From an OCSP answer's thisUpdate to its nextUpdate, in seconds: 8 hours to 7 days. Both ends are inclusive, so a
    /// second less than seven days is seven days.
    pub ocsp_validity_s: u64,
    /// After how many seconds an answer is signed anew; less than half of its validity.
    pub ocsp_refresh_s: u64,
    /// How many seconds caches may keep an answer at most, so: how late they may learn of a revocation.
    pub ocsp_max_age_s: u64,
    /// What is done with nonces: `ignore` or `answer`.
    pub nonces: Nonces,
    /// How many bytes of memory kept answers may take, about. One takes some 1,600, and the size of the certificate in it.
    pub memory_bytes: u64,
    /// How many signatures are made at the same time.
    pub signings_at_once: usize,
    /// How many requests may wait for one; above it, the answer is `tryLater`.
    pub signings_queued: usize,
    /// How many seconds a signature may take.
    pub signing_timeout_s: u64,
    /// How many seconds a client may take to send the body of a request.
    pub body_timeout_s: u64,
    /// From a CRL's thisUpdate to its nextUpdate, in seconds: 1 hour to 10 days. It is signed anew at half at the latest.
    pub crl_validity_s: u64,
    /// At least this many seconds are between two looks for what was revoked since.
    pub crl_interval_s: u64,
    /// How many seconds caches may keep a CRL at most.
    pub crl_max_age_s: u64,
    /// How many certificates a CRL can list; above it none is made.
    pub crl_entries_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ocsp_validity_s: 7 * DAY_S - 1,
            ocsp_refresh_s: 3 * DAY_S,
            ocsp_max_age_s: 6 * HOUR_S,
            nonces: Nonces::Ignore,
            memory_bytes: 128 << 20,
            signings_at_once: 64,
            signings_queued: 4096,
            signing_timeout_s: 5,
            body_timeout_s: 10,
            crl_validity_s: 7 * DAY_S,
            crl_interval_s: 5,
            crl_max_age_s: 300,
            crl_entries_max: 2_000_000,
        }
    }
}

impl Config {
    /// For `ingam dev`: nonces are answered, and a CRL is never older than the last revocation.
    pub fn development() -> Self {
        Self { nonces: Nonces::Answer, crl_interval_s: 0, crl_max_age_s: 0, ..Self::default() }
    }

    /// Looks whether every setting is within its bounds, before anything is built with them.
    ///
    /// # Errors
    /// [`ConfigError`] names the first that is not.
    pub fn verify(&self) -> Result<(), ConfigError> {
        self.check().map(drop)
    }

    /// The same, checked.
    pub(crate) fn check(&self) -> Result<Settings, ConfigError> {
        let rules = [
            (
                (8 * HOUR_S..7 * DAY_S).contains(&self.ocsp_validity_s),
                "ocsp_validity_s must be from 28800 (8 hours) to 604799 (7 days, as both ends count)",
            ),
            (
                self.ocsp_refresh_s > 0 && self.ocsp_refresh_s < self.ocsp_validity_s / 2,
                "ocsp_refresh_s must be less than half of ocsp_validity_s, and not 0",
            ),
            (
                self.ocsp_max_age_s <= self.ocsp_validity_s / 2,
                "ocsp_max_age_s must be at most half of ocsp_validity_s",
            ),
            (
                (HOUR_S..=10 * DAY_S).contains(&self.crl_validity_s),
                "crl_validity_s must be from 3600 (1 hour) to 864000 (10 days)",
            ),
            (
                self.crl_interval_s <= 12 * HOUR_S && self.crl_interval_s <= self.crl_validity_s / 2,
                "crl_interval_s must be at most 43200 (12 hours) and at most half of crl_validity_s",
            ),
            (
                self.crl_max_age_s <= 12 * HOUR_S && self.crl_max_age_s <= self.crl_validity_s / 2,
                "crl_max_age_s must be at most 43200 (12 hours) and at most half of crl_validity_s",
            ),
            ((1..=4096).contains(&self.signings_at_once), "signings_at_once must be from 1 to 4096"),
            ((1..=1 << 20).contains(&self.signings_queued), "signings_queued must be from 1 to 1048576"),
            ((1..=60).contains(&self.signing_timeout_s), "signing_timeout_s must be from 1 to 60"),
            ((1..=60).contains(&self.body_timeout_s), "body_timeout_s must be from 1 to 60"),
            (self.memory_bytes >= 1 << 20, "memory_bytes must be at least 1048576"),
            ((1..=50_000_000).contains(&self.crl_entries_max), "crl_entries_max must be from 1 to 50000000"),
        ];
        if let Some((_, rule)) = rules.into_iter().find(|(holds, _)| !holds) {
            return Err(ConfigError(rule));
        }
        Ok(Settings {
            ocsp_validity: Duration::from_secs(self.ocsp_validity_s),
            ocsp_refresh: Duration::from_secs(self.ocsp_refresh_s),
            ocsp_max_age: Duration::from_secs(self.ocsp_max_age_s),
            nonces: self.nonces,
            memory_bytes: self.memory_bytes,
            signings_at_once: self.signings_at_once,
            signings_queued: self.signings_queued,
            signing_timeout: Duration::from_secs(self.signing_timeout_s),
            body_timeout: Duration::from_secs(self.body_timeout_s),
            crl_validity: Duration::from_secs(self.crl_validity_s),
            crl_interval: Duration::from_secs(self.crl_interval_s),
            crl_max_age: Duration::from_secs(self.crl_max_age_s),
            crl_entries_max: self.crl_entries_max,
        })
    }
}

/// A [`Config`] that was checked; the fields mean the same.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) ocsp_validity: Duration,
    pub(crate) ocsp_refresh: Duration,
    pub(crate) ocsp_max_age: Duration,
    pub(crate) nonces: Nonces,
    pub(crate) memory_bytes: u64,
    pub(crate) signings_at_once: usize,
    pub(crate) signings_queued: usize,
    pub(crate) signing_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) crl_validity: Duration,
    pub(crate) crl_interval: Duration,
    pub(crate) crl_max_age: Duration,
    pub(crate) crl_entries_max: usize,
}

/// A setting with which the responder must not start; the words say which and what would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError(&'static str);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sets_of_defaults_are_allowed() {
        assert!(Config::default().check().is_ok());
        assert!(Config::development().check().is_ok());
        let empty: Config = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, Config::default());
    }

    #[test]
    fn unknown_keys_and_bad_values_stop_the_start() {
        assert!(serde_json::from_str::<Config>(r#"{"nonce": "answer"}"#).is_err());
        let answer: Config = serde_json::from_str(r#"{"nonces": "answer"}"#).unwrap();
        assert_eq!(answer.nonces, Nonces::Answer);
        for bad in [
            Config { ocsp_validity_s: 7 * DAY_S, ..Config::default() },
            Config { ocsp_validity_s: 8 * HOUR_S - 1, ..Config::default() },
            Config { ocsp_validity_s: 8 * HOUR_S, ..Config::default() },
            Config { ocsp_refresh_s: 4 * DAY_S, ..Config::default() },
            Config { ocsp_max_age_s: 5 * DAY_S, ..Config::default() },
            Config { crl_validity_s: 11 * DAY_S, ..Config::default() },
            Config { crl_interval_s: DAY_S, ..Config::default() },
            Config { signings_at_once: 0, ..Config::default() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
