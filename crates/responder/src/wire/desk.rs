//! What a thread has for all of its connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingam_protocol::Timestamp;
use ingam_protocol::ocsp::{GetDecoder, REQUEST_BYTES_MAX};
use ingam_protocol::request_head::HEAD_BYTES_MAX;

use crate::date::imf_fixdate;
use crate::http::Responder;
use crate::ocsp::KeptAnswer;
use crate::wire::WireLimits;

/// How much is read at once.
pub(super) const READ_BYTES: usize = 16 * 1024;
/// What is held of a connection at most: the longest request, and the empty line that may come before it (RFC 9112, section 2.2).
pub(super) const HELD_BYTES_MAX: usize = 2 + HEAD_BYTES_MAX + REQUEST_BYTES_MAX;
/// Answers are written when there are so many bytes of them, before more requests are looked at.
pub(super) const OUTPUT_BYTES: usize = 16 * 1024;

/// See the module.
pub(crate) struct Desk {
    pub(super) responder: Responder,
    pub(super) limits: WireLimits,
    pub(super) body_timeout: Duration,
    pub(super) is_stopping: bool,

    /// What is read of a connection comes here, behind what was held of it.
    pub(super) input: Vec<u8>,
    /// Answers that will be written together.
    pub(super) output: Vec<u8>,
    decoder: GetDecoder,

    /// Set by [`Desk::look_at_clocks`], so that not every request asks for the time.
    pub(super) now: Timestamp,
    pub(super) moment: Instant,
    /// Beginnings of an answer with status 200, for this second.
    starts: Starts,
}

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// More requests, as is usual.
    Open,
    /// More requests, which a client of HTTP/1.0 has to be told.
    OpenAsAsked,
    /// Nothing.
    Close,
}

/// A status line and a `Date`, without the end of that field's line.
struct Starts {
    second: u64,
    bytes: Vec<u8>,
    date: String,
}

impl Desk {
    pub(crate) fn new(responder: Responder, limits: WireLimits) -> Self {
        let now = responder.clock().now();
        let body_timeout = responder.body_timeout();
        Self {
            responder,
            limits,
            body_timeout,
            is_stopping: false,
            input: vec![0; HELD_BYTES_MAX + READ_BYTES],
            output: Vec::with_capacity(2 * OUTPUT_BYTES),
            decoder: GetDecoder::default(),
            now,
            moment: Instant::now(),
            starts: Starts::at(now),
        }
    }

    /// Takes the time of what is done from now on.
    pub(crate) fn look_at_clocks(&mut self) {
        self.now = self.responder.clock().now();
        self.moment = Instant::now();
        if self.now.unix_s() != self.starts.second {
            self.starts = Starts::at(self.now);
        }
    }

    /// Now, as headers have it.
    pub(super) fn date(&self) -> &str {
        &self.starts.date
    }

    /// The kept answer to a request by GET, from what follows `/ocsp/` in its target.
    pub(super) fn kept_by_get(&mut self, encoded: &[u8]) -> Option<Arc<KeptAnswer>> {
        let der = self.decoder.decode(encoded)?;
        self.responder.kept_now(der, self.now)
    }

    /// The kept answer to a request by POST.
    pub(super) fn kept_by_post(&self, der: &[u8]) -> Option<Arc<KeptAnswer>> {
        self.responder.kept_now(der, self.now)
    }

    /// Puts a kept answer behind those that will be written.
    pub(super) fn put(&mut self, kept: &KeptAnswer, after: After) {
        self.output.extend_from_slice(&self.starts.bytes);
        self.output.extend_from_slice(after.line());
        self.output.extend_from_slice(&kept.wire);
    }
}

impl Starts {
    fn at(now: Timestamp) -> Self {
        let date = imf_fixdate(now);
        let bytes = format!("HTTP/1.1 200 OK\r\ndate: {date}").into_bytes();
        Self { second: now.unix_s(), bytes, date }
    }
}

impl After {
    /// The end of the line before, and what has to be said.
    pub(super) fn line(self) -> &'static [u8] {
        match self {
            Self::Open => b"\r\n",
            Self::OpenAsAsked => b"\r\nconnection: keep-alive\r\n",
            Self::Close => b"\r\nconnection: close\r\n",
        }
    }
}
