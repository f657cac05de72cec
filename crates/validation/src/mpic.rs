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

use ingam_protocol::Timestamp;
use serde_json::Value;

use crate::evidence::Evidence;
use crate::outcome::Failure;

/// The most bytes of a request and of an answer.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// What a perspective said about a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Until when control may be relied on, if its owner says so; or why it does not agree.
    pub result: Result<Option<Timestamp>, Failure>,
    /// What it says that it saw, where it is one of ours.
    pub evidence: Option<Evidence>,
    /// `details` of its answer, where it is another maker's.
    pub details: Option<Value>,
}

/// Why a perspective's word could not be had; the words are printable, and short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached(pub(crate) String);

impl Unreached {
    /// With these words, made fit for a record.
    pub fn new(words: &str) -> Self {
        Self(crate::quote::printable(words.as_bytes(), heard::WORDS_MAX))
    }
}

impl std::fmt::Display for Unreached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreached {}

#[cfg(test)]
mod tests;
