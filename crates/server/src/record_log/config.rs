//! What an operator may say about the log of records.

use std::time::Duration;

use ingam_protocol::Findings;
use ingam_protocol::note::{KeyKind, KeyName, VerifierKey};
use serde::{Deserialize, Serialize};

/// So many witnesses are asked at most: each has a line in the checkpoint.
const WITNESSES_MAX: usize = 16;

/// How the log calls itself, how often it signs, and who else signs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The log's name in checkpoints, and its key's: host and path of `urls.public_url`, and `/log`, if it is not given.
    pub(crate) origin: Option<String>,
    /// From one checkpoint to the next, in seconds, while records come.
    pub(crate) checkpoint_period_s: u64,
    /// Who cosigns checkpoints.
    pub(crate) witnesses: Vec<Witness>,
}

/// A witness (c2sp.org/tlog-witness).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Witness {
    /// Its verifier key, as `name+hash+key`.
    pub(crate) key: String,
    /// Where it takes checkpoints: what is in front of `/add-checkpoint`. None: its cosignatures are handed in.
    #[serde(default)]
    pub(crate) url: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { origin: None, checkpoint_period_s: 10, witnesses: Vec::new() }
    }
}

impl Config {
    /// Every value that makes no sense; keys are those here.
    pub(crate) fn check(&self) -> Findings {
        let mut found = Findings::new();
        found.between("checkpoint_period_s", self.checkpoint_period_s, 1..=3600);
        let is_name = self.origin.as_ref().is_none_or(|origin| origin.parse::<KeyName>().is_ok());
        let fix = "write host and path, as ca.example/log";
        found.require(is_name, "origin", "is no name: it is empty, or has a space or a plus sign in it", fix);
        let count = self.witnesses.len();
        found.require(
            count <= WITNESSES_MAX,
            "witnesses",
            format!("has {count} witnesses, and at most {WITNESSES_MAX} sign a checkpoint"),
            "take some out",
        );
        let keys: Vec<Option<VerifierKey>> = self.witnesses.iter().map(Witness::verifier).collect();
        for (at, witness) in self.witnesses.iter().enumerate() {
            let key = keys.get(at).cloned().flatten();
            found.require(
                key.is_some(),
                "witnesses",
                format!("has {}, which is no key of a witness with Ed25519", witness.key),
                "write what the witness publishes as its verifier key, as name+hash+key",
            );
            let is_there_twice = key.is_some() && keys.iter().filter(|other| **other == key).count() > 1;
            found.require(!is_there_twice, "witnesses", format!("has {} twice", witness.key), "take one out");
            let is_url = |url: &String| ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
            found.require(
                witness.url.as_ref().is_none_or(is_url),
                "witnesses",
                "has a url that is neither http nor https",
                "write the witness's submission prefix, as https://witness.example",
            );
        }
        found
    }

    /// The log's name, where the CA is at this URL.
    ///
    /// `restored` is when the state folder was last restored from a backup, in seconds since the epoch: the log before that
    /// may have gone further than the backup knew, so this is another one, and is called so.
    pub(crate) fn origin(&self, public_url: &str, restored: Option<u64>) -> String {
        let of_url = || {
            let rest = public_url.split_once("://").map_or(public_url, |(_, rest)| rest);
            format!("{}/log", rest.trim_end_matches('/'))
        };
        let name = self.origin.clone().unwrap_or_else(of_url);
        restored.map_or(name.clone(), |restored| format!("{name}/{restored}"))
    }

    /// How long it waits between two checkpoints.
    pub(crate) fn period(&self) -> Duration {
        Duration::from_secs(self.checkpoint_period_s.max(1))
    }
}

impl Witness {
    /// Its key, if it is one; rules tell where it is none.
    pub(crate) fn verifier(&self) -> Option<VerifierKey> {
        self.key.parse().ok().filter(|key: &VerifierKey| key.kind() == KeyKind::Witness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_called_by_where_the_ca_is() {
        let config = Config::default();
        assert_eq!(config.origin("https://ca.example", None), "ca.example/log");
        assert_eq!(config.origin("https://ca.example:14000/acme/", None), "ca.example:14000/acme/log");
        let named = Config { origin: Some("other.example/log2".into()), ..config };
        assert_eq!(named.origin("https://ca.example", None), "other.example/log2");
        assert_eq!(named.origin("https://ca.example", Some(7)), "other.example/log2/7", "after a restore");
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let told = |text: &str| -> Vec<String> {
            let config: Config = toml::from_str(text).unwrap();
            config.check().into_iter().map(|finding| finding.key).collect()
        };
        let key = "witness.example+3be9d2be+BB4Jfh1MnUO7Z7tLqSe4BpK1FW6kYzpZT1oVt4v9gRZs";
        assert_eq!(told(""), Vec::<String>::new());
        assert_eq!(told("checkpoint_period_s = 0"), ["checkpoint_period_s"]);
        assert_eq!(told("origin = 'a b'"), ["origin"]);
        assert_eq!(told(&format!("[[witnesses]]\nkey = '{key}'")), ["witnesses"], "its hash is wrong");
        assert_eq!(
            told("[[witnesses]]\nkey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'"),
            ["witnesses"],
            "the key of a log"
        );
        assert!(toml::from_str::<Config>("[[witnesses]]\nurl = 'x'").is_err());
    }
}
