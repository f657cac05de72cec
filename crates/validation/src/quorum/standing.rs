//! Whether a remote perspective answers, as seen from here.

use std::sync::{Mutex, PoisonError};

use ingam_protocol::Timestamp;

/// What is known of a perspective's answering.
#[derive(Debug, Default)]
pub struct Standing(Mutex<State>);

#[derive(Clone, Debug, Default)]
struct State {
    answered: Option<Timestamp>,
    trouble: Option<Trouble>,
}

/// Why it does not answer, and since when.
#[derive(Clone, Debug)]
struct Trouble {
    since: Timestamp,
    why: String,
}

/// How a perspective stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reachable {
    /// Its name.
    pub name: String,
    /// When it answered last; none if it never did.
    pub answered: Option<Timestamp>,
    /// Since when it has not answered, though it was asked, and why the last time; none if it answers.
    pub trouble: Option<(Timestamp, String)>,
}

impl Standing {
    /// Notes that it answered, or why not.
    pub(super) fn note(&self, now: Timestamp, trouble: Option<String>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            None => *state = State { answered: Some(now), trouble: None },
            Some(why) => {
                let since = state.trouble.as_ref().map_or(now, |trouble| trouble.since);
                state.trouble = Some(Trouble { since, why });
            }
        }
    }

    /// Since when it has answered nothing, though it was asked.
    pub(super) fn silent_since(&self) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trouble.as_ref().map(|trouble| trouble.since)
    }

    pub(super) fn reachable(&self, name: &str) -> Reachable {
        let State { answered, trouble } = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let trouble = trouble.map(|Trouble { since, why }| (since, why));
        Reachable { name: name.to_owned(), answered, trouble }
    }
}
