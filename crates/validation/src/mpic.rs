//! Open MPIC: how perspectives are asked and answer over HTTPS, whoever made them.
//!
//! ```text
//! Attempt ──▶ request ──▶ POST /dcv ──▶ service ──▶ Sought, LocalPerspective ──▶ answer ──▶ heard ──▶ Heard
//! CaaQuery ─▶ request ──▶ POST /caa ──▶ service ──▶                             ──▶ answer ──▶ heard ──▶ Heard
//! ```
//!
//! - [`wire`]: the messages, as open-mpic-core 6 has them. The member `ingam` of each carries what Open MPIC has no member
//!   for: the whole attempt on the way there, the whole evidence on the way back. Other makers ignore it.
//! - [`request`]: what we ask. [`heard`]: what an answer comes to.
//! - [`service`]: how we answer, to our own coordinator and to another's.
//!
//! Bodies have a limit both ways, and nothing that arrives counts for more than what it says.

#[cfg(any(test, feature = "damage"))]
pub mod damage;
pub(crate) mod heard;
pub(crate) mod request;
pub(crate) mod service;
pub(crate) mod wire;

pub use service::{Reply, Service};

use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::acme::ErrorType;
use serde_json::Value;

use crate::evidence::Evidence;
use crate::outcome::Failure;
use crate::quote::printable;

/// The most bytes of a request and of an answer.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// What a perspective said about a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Until when control may be relied on, if its owner says so; or why it does not agree.
    pub result: Result<Option<Timestamp>, Failure>,
    /// What it says that it saw, where it is one of ours.
    pub evidence: Option<Evidence>,
    /// `details` of its answer, where it is another maker's; or why there is no evidence.
    pub details: Option<Value>,
}

/// The most characters of why a perspective could not be asked, without the dots behind what was cut.
const REASON_MAX: usize = 509;

/// Why a perspective's word could not be had. The words are printable, short, and for the operator: they can have addresses and
/// whatever the other side said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    why: String,
    /// Whether it was asked, and merely took longer than it may.
    is_late: bool,
}

impl Unreached {
    /// With these words, made fit for a record.
    pub fn new(words: &str) -> Self {
        Self { why: printable(words.as_bytes(), REASON_MAX), is_late: false }
    }

    /// It did not answer within the time that it was given.
    pub(crate) fn late(wait: Duration) -> Self {
        Self { why: format!("no answer within {} seconds", wait.as_secs_f32()), is_late: true }
    }

    /// Whether it was asked, and merely took longer than it may.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late
    }

    /// What anybody may know of it.
    pub(crate) fn failure(&self) -> Failure {
        let detail = match self.is_late {
            true => format!("this perspective could not be asked: {}", self.why),
            false => "this perspective could not be asked".to_owned(),
        };
        Failure::new(ErrorType::ServerInternal, detail)
    }
}

impl std::fmt::Display for Unreached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Unreached {}

#[cfg(test)]
mod tests;
