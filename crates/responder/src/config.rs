//! What the operator can set.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ingam_protocol::crl::{SHARDS_MAX, ShardCounts};
use ingam_protocol::ocsp::HashAlgorithm;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Finding, Findings};
use ingam_signer::RESPONDERS_MAX;
use serde::{Deserialize, Serialize};

use crate::statuses::StatusError;

const HOUR_S: u64 = 60 * 60;
const DAY_S: u64 = 24 * HOUR_S;

/// What is done with a request's nonce (RFC 9654), and with requests about several certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonces {
    /// Nonces are ignored, and questions about several certificates answered with `unauthorized`: every answer can be
    /// kept and cached.
    #[default]
    Ignore,
    /// A nonce is echoed in an answer signed for this request alone, and several certificates are answered in one.
    Answer,
}

/// A hash by which CertIDs name the issuer, of those for which answers can be signed in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InAdvance {
    /// What most clients send.
    Sha1,
    /// What RFC 9919 recommends.
    Sha256,
}

impl InAdvance {
    pub(crate) fn algorithm(self) -> HashAlgorithm {
        match self {
            Self::Sha1 => HashAlgorithm::Sha1,
            Self::Sha256 => HashAlgorithm::Sha256,
        }
    }
}

/// A responder apart from the CA that may sign answers: each issuer certifies its key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// What it is called in logs and reports.
    pub name: String,
    /// PEM file of its public key, on P-256. The private one never leaves the responder.
    pub key: PathBuf,
}

/// Settings of the responder. Every key has a default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
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
    /// For which hashes in CertIDs answers are signed before anybody asks: when a certificate is issued or revoked, and anew after
    /// `ocsp_refresh_s`. `[]`: each is signed when it is first asked for.
    pub presign: Vec<InAdvance>,
    /// How many of them are signed in a second, at most.
    pub presign_per_s: u32,
    /// How many seconds after one look through all certificates the next begins.
    pub presign_pause_s: u64,
    /// PEM file of the Ed25519 key (PKCS #8) that the manifest of answers signed in advance is signed with: responders of other
    /// processes believe no other.
    pub publish_key: Option<PathBuf>,
    /// Whether those answers are given out over HTTP, below `/answers/`, for responders of other processes.
    pub publish_over_http: bool,
    /// For how many seconds a manifest may be believed; there is another after half of it.
    pub publish_lasts_s: u64,
    /// Responders of other processes that may sign answers: certificates of their keys are given out with the manifest, which needs
    /// `presign` and `publish_key`.
    pub delegates: Vec<Delegate>,
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
    /// How many threads of their own answer requests; 0: one for each core.
    pub threads: usize,
    /// Over how many CRLs the new certificates of an issuer are spread, up to 1024; 0: one CRL lists all of them. Those of
    /// certificates that were issued before go on being made, whatever this is.
    pub crl_shards: u16,
    /// The same, for issuers that differ.
    pub crl_shards_of: BTreeMap<IssuerName, u16>,
    /// How many bytes of memory CRLs may take while they are not being sent; all of them are in files.
    pub crl_memory_bytes: u64,
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
            presign: Vec::new(),
            presign_per_s: 2000,
            presign_pause_s: 600,
            publish_key: None,
            publish_over_http: false,
            publish_lasts_s: HOUR_S,
            delegates: Vec::new(),
            memory_bytes: 128 << 20,
            signings_at_once: 64,
            signings_queued: 4096,
            signing_timeout_s: 5,
            body_timeout_s: 10,
            threads: 0,
            crl_shards: 0,
            crl_shards_of: BTreeMap::new(),
            crl_memory_bytes: 64 << 20,
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

    /// Looks at every setting, before anything is built with them.
    pub fn check(&self) -> Findings {
        let mut found = Findings::new();
        // Both ends of the validity count: a second less than seven days is seven days.
        found.between("ocsp_validity_s", self.ocsp_validity_s, 8 * HOUR_S..=7 * DAY_S - 1);
        found.between("crl_validity_s", self.crl_validity_s, HOUR_S..=10 * DAY_S);
        if found.is_sound("ocsp_validity_s") {
            let half = self.ocsp_validity_s / 2;
            found.between("ocsp_refresh_s", self.ocsp_refresh_s, 1..=half - 1);
            found.between("ocsp_max_age_s", self.ocsp_max_age_s, 0..=half);
        }
        if found.is_sound("crl_validity_s") {
            let most = (12 * HOUR_S).min(self.crl_validity_s / 2);
            found.between("crl_interval_s", self.crl_interval_s, 0..=most);
            found.between("crl_max_age_s", self.crl_max_age_s, 0..=most);
        }
        found.between("presign_per_s", self.presign_per_s, 1..=100_000);
        found.between("presign_pause_s", self.presign_pause_s, 1..=HOUR_S);
        found.between("publish_lasts_s", self.publish_lasts_s, 10..=DAY_S);
        found.require(
            !self.publish_over_http || self.publish_key.is_some(),
            "publish_over_http",
            "is true, and there is no publish_key, without which nobody believes what is given out",
            "make a key, as docs/operations/responders.md says, and name it there",
        );
        self.check_delegates(&mut found);
        found.between("signings_at_once", self.signings_at_once, 1..=4096);
        found.between("signings_queued", self.signings_queued, 1..=1 << 20);
        found.between("signing_timeout_s", self.signing_timeout_s, 1..=60);
        found.between("body_timeout_s", self.body_timeout_s, 1..=60);
        found.between("threads", self.threads, 0..=256);
        found.between("memory_bytes", self.memory_bytes, 1 << 20..=1 << 50);
        found.between("crl_shards", self.crl_shards, 0..=u64::from(SHARDS_MAX));
        for (issuer, count) in &self.crl_shards_of {
            found.between(format!("crl_shards_of.{issuer}"), *count, 0..=u64::from(SHARDS_MAX));
        }
        found.between("crl_memory_bytes", self.crl_memory_bytes, 1 << 20..=1 << 50);
        found.between("crl_entries_max", self.crl_entries_max, 1..=50_000_000);
        found
    }

    fn check_delegates(&self, found: &mut Findings) {
        let count = self.delegates.len();
        let fix = format!("give at most {RESPONDERS_MAX}");
        found.require(count <= RESPONDERS_MAX, "delegates", format!("has {count} responders"), fix);
        found.require(
            count == 0 || (self.publish_key.is_some() && !self.presign.is_empty()),
            "delegates",
            "has responders, and their certificates are given out with answers that are signed in advance",
            "set presign and publish_key, too, as docs/operations/responders.md says",
        );
        let mut names = BTreeSet::new();
        for Delegate { name, .. } in self.delegates.iter().take(RESPONDERS_MAX) {
            let is_plain =
                |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-';
            let is_name = (1..=32).contains(&name.len()) && name.bytes().all(is_plain);
            let fix = "give 1 to 32 small letters, digits and hyphens";
            found.require(is_name, "delegates.name", format!("is {name:?}"), fix);
            let reason = format!("is {name:?} more than once");
            found.require(names.insert(name), "delegates.name", reason, "give each its own");
        }
    }

    /// How many threads answer requests.
    pub fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// Over how many CRLs each issuer's new certificates are spread.
    pub fn shard_counts(&self) -> ShardCounts {
        ShardCounts { usual: self.crl_shards, issuers: self.crl_shards_of.clone() }
    }

    /// The same, checked.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        self.check().into_result().map_err(ConfigError)?;
        Ok(Settings {
            ocsp_validity: Duration::from_secs(self.ocsp_validity_s),
            ocsp_refresh: Duration::from_secs(self.ocsp_refresh_s),
            ocsp_max_age: Duration::from_secs(self.ocsp_max_age_s),
            nonces: self.nonces,
            presign: self.presign.iter().map(|hash| hash.algorithm()).collect(),
            presign_per_s: self.presign_per_s,
            publish_over_http: self.publish_over_http,
            presign_pause: Duration::from_secs(self.presign_pause_s),
            memory_bytes: self.memory_bytes,
            signings_at_once: self.signings_at_once,
            signings_queued: self.signings_queued,
            signing_timeout: Duration::from_secs(self.signing_timeout_s),
            body_timeout: Duration::from_secs(self.body_timeout_s),
            crl_shards: self.shard_counts(),
            crl_memory_bytes: self.crl_memory_bytes,
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
    /// Each once.
    pub(crate) presign: BTreeSet<HashAlgorithm>,
    pub(crate) presign_per_s: u32,
    pub(crate) presign_pause: Duration,
    pub(crate) publish_over_http: bool,
    pub(crate) memory_bytes: u64,
    pub(crate) signings_at_once: usize,
    pub(crate) signings_queued: usize,
    pub(crate) signing_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) crl_shards: ShardCounts,
    pub(crate) crl_memory_bytes: u64,
    pub(crate) crl_validity: Duration,
    pub(crate) crl_interval: Duration,
    pub(crate) crl_max_age: Duration,
    pub(crate) crl_entries_max: usize,
}

/// The first setting with which the responder must not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(Finding);

/// Why there is no responder.
#[derive(Debug)]
pub enum StartError {
    /// A setting is out of its bounds.
    Config(ConfigError),
    /// The store cannot be read.
    Statuses(StatusError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Statuses(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Statuses(error) => error.source(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(config: &Config) -> Vec<String> {
        config.check().into_iter().map(|finding| finding.key).collect()
    }

    fn delegating(names: &[&str]) -> Config {
        let delegate = |name: &&str| Delegate { name: (*name).to_owned(), key: PathBuf::from("tokyo.pub") };
        Config {
            presign: vec![InAdvance::Sha1],
            publish_key: Some(PathBuf::from("answers.key")),
            delegates: names.iter().map(delegate).collect(),
            ..Config::default()
        }
    }

    #[test]
    fn both_sets_of_defaults_are_allowed() {
        assert!(keys(&Config::default()).is_empty() && Config::default().settings().is_ok());
        assert!(
            keys(&Config::development()).is_empty() && keys(&delegating(&["tokyo", "lima-2"])).is_empty()
        );
        let empty: Config = serde_json::from_str("{}").unwrap();
        assert_eq!(empty, Config::default());
    }

    #[test]
    fn unknown_keys_and_bad_values_stop_the_start() {
        assert!(serde_json::from_str::<Config>(r#"{"nonce": "answer"}"#).is_err());
        let issuer = IssuerName::try_from("rsa".to_owned()).unwrap();
        let answer: Config = serde_json::from_str(r#"{"nonces": "answer"}"#).unwrap();
        assert_eq!(answer.nonces, Nonces::Answer);
        for (bad, key) in [
            (Config { ocsp_validity_s: 7 * DAY_S, ..Config::default() }, "ocsp_validity_s"),
            (Config { ocsp_validity_s: 8 * HOUR_S - 1, ..Config::default() }, "ocsp_validity_s"),
            (Config { ocsp_refresh_s: 4 * DAY_S, ..Config::default() }, "ocsp_refresh_s"),
            (Config { ocsp_refresh_s: 0, ..Config::default() }, "ocsp_refresh_s"),
            (Config { ocsp_max_age_s: 5 * DAY_S, ..Config::default() }, "ocsp_max_age_s"),
            (Config { crl_validity_s: 11 * DAY_S, ..Config::default() }, "crl_validity_s"),
            (Config { crl_interval_s: DAY_S, ..Config::default() }, "crl_interval_s"),
            (Config { crl_max_age_s: HOUR_S, crl_validity_s: HOUR_S, ..Config::default() }, "crl_max_age_s"),
            (Config { signings_at_once: 0, ..Config::default() }, "signings_at_once"),
            (Config { presign: Vec::new(), ..delegating(&["tokyo"]) }, "delegates"),
            (Config { publish_key: None, ..delegating(&["tokyo"]) }, "delegates"),
            (delegating(&["tokyo", "tokyo"]), "delegates.name"),
            (delegating(&["Tokyo"]), "delegates.name"),
            (delegating(&[""]), "delegates.name"),
            (Config { crl_shards: 1025, ..Config::default() }, "crl_shards"),
            (Config { crl_shards_of: [(issuer, 1025)].into(), ..Config::default() }, "crl_shards_of.rsa"),
        ] {
            assert_eq!(keys(&bad), [key], "{bad:?}");
            assert!(bad.settings().unwrap_err().to_string().starts_with(key), "{bad:?}");
        }
    }

    #[test]
    fn all_mistakes_are_told_and_none_twice() {
        let bad = Config { ocsp_validity_s: 0, crl_validity_s: 0, body_timeout_s: 0, ..Config::default() };
        assert_eq!(keys(&bad), ["ocsp_validity_s", "crl_validity_s", "body_timeout_s"]);
    }
}
