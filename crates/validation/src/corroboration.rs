//! What remote perspectives saw, answer by answer (BR 3.2.2.9, 5.4.1).

use ingam_protocol::Timestamp;
use ingam_protocol::corroboration::{Quorum, Registry};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::evidence::Evidence;
use crate::outcome::Failure;

/// What all remote perspectives answered, and what that comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corroboration {
    /// How many agreed.
    pub quorum: Quorum,
    /// The same as the line that records have: `4/5`.
    pub line: String,
    /// Each remote perspective's answer, in the order of the configuration.
    pub answers: Vec<RemoteAnswer>,
}

/// What one remote perspective answered, or that it did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteAnswer {
    /// Its configured name.
    pub perspective: String,
    /// The registry in whose region it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
    /// When it was asked.
    pub asked: Timestamp,
    /// When its answer was there, or was not waited for any more.
    pub answered: Timestamp,
    /// Why it does not agree, in its own words or in ours if it did not answer; none if it agrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What it saw, where it is one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// `details` of its answer, where it is another maker's: as Open MPIC has them, at most 16 KiB. Where there is nothing else,
    /// why: `{"unreached": "…"}`, `{"left_out": true}` or `{"left_out_bytes": 1}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

impl RemoteAnswer {
    /// Whether it came to the same as the primary perspective has to.
    pub fn agrees(&self) -> bool {
        self.failure.is_none()
    }
}
