//! What an operator may say about transparency.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use ingam_protocol::transparency::policy::{self, Needed};
use ingam_protocol::{Findings, Timestamp};
use serde::{Deserialize, Serialize};

use crate::list::{Log, LogList, State};

/// How far ahead of the clock a list may have been made.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The section `[transparency]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The list of logs: Chrome's, version 3 of its JSON, kept up to date by the operator and read again at each reload.
    /// Without it no log is asked.
    pub log_list: Option<PathBuf>,
    /// In which states of the list logs are asked: `usable`, `qualified`. Browsers that are older than a qualified log's
    /// entry in their list do not count its SCTs.
    pub states: BTreeSet<State>,
    /// How long one log may take to answer.
    pub log_timeout_ms: u64,
    /// After how long without enough SCTs one more log is asked; one that fails is replaced at once.
    pub stagger_ms: u64,
    /// How long getting all SCTs of a certificate may take.
    pub total_timeout_ms: u64,
    /// The most logs that are asked for a certificate.
    pub logs_max: usize,
    /// How long a log that failed three times in a row is asked last; doubles with each further failure, up to 16 times this.
    pub rest_s: u64,
    /// How many certificates may wait for being shown to logs.
    pub publications_waiting_max: usize,
    /// How often a log is tried before a certificate is not shown to it.
    pub publication_attempts_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log_list: None,
            states: BTreeSet::from([State::Usable]),
            log_timeout_ms: 5000,
            stagger_ms: 500,
            total_timeout_ms: 20_000,
            logs_max: 16,
            rest_s: 60,
            publications_waiting_max: 4096,
            publication_attempts_max: 5,
        }
    }
}

impl Config {
    /// What is wrong with the values themselves; keys are named as in this section.
    pub fn check(&self) -> Findings {
        let mut found = Findings::new();
        found.require(!self.states.is_empty(), "states", "is empty", "name \"usable\"");
        found.between("log_timeout_ms", self.log_timeout_ms, 100..=60_000);
        found.between("stagger_ms", self.stagger_ms, 10..=60_000);
        found.between("total_timeout_ms", self.total_timeout_ms, 100..=120_000);
        found.between("logs_max", self.logs_max, 3..=64);
        found.between("rest_s", self.rest_s, 1..=3600);
        found.between("publications_waiting_max", self.publications_waiting_max, 1..=100_000);
        found.between("publication_attempts_max", self.publication_attempts_max, 1..=20);
        if found.is_sound("total_timeout_ms") && found.is_sound("log_timeout_ms") {
            found.require(
                self.log_timeout_ms <= self.total_timeout_ms,
                "total_timeout_ms",
                format!("is less than log_timeout_ms ({})", self.log_timeout_ms),
                "set it to as much at least: one log may take that long",
            );
        }
        found
    }

    /// What is wrong with a list for certificates that are valid for these times, each with the name of its profile.
    /// Errors are what leaves a profile without certificates.
    pub fn check_list(&self, list: &LogList, now: Timestamp, profiles: &[(String, Duration)]) -> Findings {
        let mut found = Findings::new();
        let refresh = "refresh it, as docs/operations/transparency.md says";
        if now.since(list.made_at) > policy::LIST_AGE_MAX {
            let reason = format!(
                "is of {}: browsers trust no list of more than {} days",
                list.made_at,
                policy::LIST_AGE_MAX.as_secs() / 86_400
            );
            found.error("log_list", reason, refresh);
        }
        if list.made_at > now.plus(DAY) {
            let fix = "put the clock or the list right";
            found.error("log_list", format!("is of {}, which is to come", list.made_at), fix);
        }
        for (profile, validity) in profiles {
            let not_after = now.plus(*validity);
            let needed = policy::needed_for(*validity);
            let fitting = self.fitting(list, not_after);
            if !suffices(&fitting, needed) {
                let reason = format!(
                    "has {} logs of {} operators for certificates of the profile {profile}, which end at {not_after}: {} of \
                     {} are needed",
                    fitting.len(),
                    operators(&fitting).len(),
                    needed.scts,
                    needed.operators
                );
                found.error("log_list", reason, refresh);
                break;
            }
        }
        found
    }

    /// The logs that may be asked for a certificate that ends at this second.
    pub(crate) fn fitting<'a>(&self, list: &'a LogList, not_after: Timestamp) -> Vec<&'a Log> {
        let fits = |log: &&Log| self.states.contains(&log.state) && log.takes(not_after);
        list.logs.iter().filter(fits).collect()
    }
}

fn operators<'a>(logs: &[&'a Log]) -> BTreeSet<&'a str> {
    logs.iter().map(|log| log.operator.as_str()).collect()
}

/// Whether these logs can give what is needed.
pub(crate) fn suffices(logs: &[&Log], needed: Needed) -> bool {
    logs.len() >= needed.scts && operators(logs).len() >= needed.operators
}
