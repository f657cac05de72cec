//! How a log behaves.

use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::transparency::{Entry, Sct};
use serde::{Deserialize, Serialize};

use super::reply::{Reaction, Reply, text};

/// How far a log that lies about the time goes ahead of it.
const AHEAD: Duration = Duration::from_secs(60 * 60);

/// How far one that is behind is.
const BEHIND: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The size of an answer that is too large.
const HUGE_BYTES: usize = 1 << 20;

/// What a log does instead of giving a good SCT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mood {
    /// It does give one.
    #[default]
    Good,
    /// It answers 500.
    Fails,
    /// It refuses, with 403.
    Refuses,
    /// It sends the client elsewhere, with 302.
    Redirects,
    /// It ends the connection without an answer.
    Closes,
    /// It answers 200 with what is no JSON.
    Garbage,
    /// It answers 200 with a megabyte of spaces.
    Huge,
    /// Its signature has a wrong bit.
    WrongSignature,
    /// The SCT names another log.
    WrongLog,
    /// The signature is over another certificate.
    OtherCertificate,
    /// The SCT is an hour ahead.
    Future,
    /// The SCT is more than a year old.
    Past,
    /// The SCT of a log of static-ct-api does not say at which place it is.
    NoIndex,
}

/// A mood, and how long everything takes in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manner {
    /// What it does.
    pub mood: Mood,
    /// How long it waits before it does anything.
    pub delay_ms: u64,
}

impl From<Mood> for Manner {
    fn from(mood: Mood) -> Self {
        Self { mood, delay_ms: 0 }
    }
}

impl Mood {
    /// What happens to a submission that is not even read; `None` if it is.
    pub(super) fn instead(self) -> Option<Reaction> {
        let good = |body: Vec<u8>| Reply { status: 200, content_type: "application/json", body };
        let reply = match self {
            Self::Closes => return Some(Reaction::Close),
            Self::Fails => text(500, "the log is broken, as it was told to be"),
            Self::Refuses => text(403, "the log refuses, as it was told to do"),
            Self::Redirects => text(302, "the log is elsewhere, as it was told to say"),
            Self::Garbage => good(b"<html>not an SCT</html>".to_vec()),
            Self::Huge => good(vec![b' '; HUGE_BYTES]),
            _ => return None,
        };
        Some(Reaction::Reply(reply))
    }

    pub(super) fn timestamp(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Future => now.plus(AHEAD),
            Self::Past => now.minus(BEHIND),
            _ => now,
        }
    }

    /// What the signature covers.
    pub(super) fn about(self, entry: &Entry) -> Entry {
        match self {
            Self::OtherCertificate => Entry::Certificate(vec![0x30, 0]),
            _ => entry.clone(),
        }
    }

    /// The SCT as it is given.
    pub(super) fn damaged(self, mut sct: Sct) -> Sct {
        match self {
            Self::WrongSignature => {
                if let Some(last) = sct.signature.last_mut() {
                    *last ^= 1;
                }
            }
            Self::WrongLog => sct.log.0[0] ^= 1,
            _ => {}
        }
        sct
    }
}
