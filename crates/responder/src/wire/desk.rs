//! What a thread has for all of its connections.

use std::time::{Duration, Instant};

use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use ingam_protocol::Timestamp;
use ingam_protocol::ocsp::{GetDecoder, REQUEST_BYTES_MAX};
use ingam_protocol::proxy::Front;
use ingam_protocol::request_head::HEAD_BYTES_MAX;

use crate::date::imf_fixdate;
use crate::http::{Client, Responder};
use crate::ocsp::{Answer, OCSP_RESPONSE, Ready, write_field};
use crate::reply::{NOT_CACHED, NOT_STORED};
use crate::request_log::Outcome;
use crate::wire::WireLimits;

/// How much is read at once.
pub(super) const READ_BYTES: usize = 16 * 1024;
/// What is held of a connection at most: the longest request, and the empty line that may come before it (RFC 9112, section 2.2).
pub(super) const HELD_BYTES_MAX: usize = 2 + HEAD_BYTES_MAX + REQUEST_BYTES_MAX;
/// Room for what was held and what is read.
const INPUT_BYTES: usize = HELD_BYTES_MAX + READ_BYTES;
/// Answers are written when there are so many bytes of them, before more requests are looked at.
pub(super) const OUTPUT_BYTES: usize = 16 * 1024;

/// So many answers are signed by a thread in a round, or looked for in the store: a millisecond, about.
pub(super) const SIGNINGS_MAX: usize = 64;
/// So many of them for one connection in its turn.
pub(super) const SHARE_MAX: usize = 16;
/// While so many connections wait for their next turn, what there is no time for is asked of the runtime, which bounds what it signs.
pub(super) const QUEUED_MAX: usize = 256;

/// See the module.
pub(crate) struct Desk {
    pub(super) responder: Responder,
    pub(super) front: Front,
    pub(super) limits: WireLimits,
    pub(super) body_timeout: Duration,
    pub(super) is_stopping: bool,

    /// What is read of a connection comes here, behind what was held of it.
    pub(super) input: Vec<u8>,
    /// Answers that will be written together.
    pub(super) output: Vec<u8>,
    decoder: GetDecoder,

    signs_at_once: bool,
    /// How many answers may still be signed in this round.
    pub(super) signings_left: usize,
    /// The same for the connection whose turn it is.
    share_left: usize,
    /// How many connections wait for their next turn.
    pub(super) queued: usize,

    /// Set by [`Desk::begin_round`], so that not every request asks for the time.
    pub(super) now: Timestamp,
    pub(super) moment: Instant,
    /// Beginnings of an answer with status 200, for this second.
    starts: Starts,
}

/// A question about certificates.
#[derive(Clone, Copy)]
pub(super) enum Question<'a> {
    /// By GET: what follows `/ocsp/` in the target.
    Get(&'a [u8]),
    /// By POST: the body.
    Post(&'a [u8]),
}

/// What can be said to it without waiting.
pub(super) enum Found {
    /// This.
    Answer(Ready),
    /// Something in the next round, after others had their turn.
    Later,
    /// Nothing.
    Nothing,
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
    pub(crate) fn new(responder: Responder, limits: WireLimits, front: Front) -> Self {
        let now = responder.clock().now();
        let body_timeout = responder.body_timeout();
        Self {
            responder,
            front,
            limits,
            body_timeout,
            is_stopping: false,
            input: vec![0; INPUT_BYTES],
            output: Vec::with_capacity(2 * OUTPUT_BYTES),
            decoder: GetDecoder::default(),
            signs_at_once: false,
            signings_left: SIGNINGS_MAX,
            share_left: SHARE_MAX,
            queued: 0,
            now,
            moment: Instant::now(),
            starts: Starts::at(now),
        }
    }

    /// Takes the time of what is done from now on, and lets as many answers be signed as in each round.
    pub(crate) fn begin_round(&mut self) {
        self.signs_at_once = self.responder.signs_at_once();
        self.signings_left = SIGNINGS_MAX;
        self.now = self.responder.clock().now();
        self.moment = Instant::now();
        if self.now.unix_s() != self.starts.second {
            self.starts = Starts::at(self.now);
        }
    }

    /// Lets as many answers be signed as in each turn.
    pub(super) fn begin_turn(&mut self) {
        self.share_left = SHARE_MAX;
    }

    /// Puts everything back in its place, after a turn was broken off.
    pub(super) fn clear_up(&mut self) {
        self.input.resize(INPUT_BYTES, 0);
        self.output.clear();
        self.decoder = GetDecoder::default();
    }

    /// Now, as headers have it.
    pub(super) fn date(&self) -> &str {
        &self.starts.date
    }

    /// What can be said to a question without waiting; the request log is told of it where a client is named.
    pub(super) fn find(&mut self, question: Question<'_>, client: Option<Client<'_>>) -> Found {
        let der = match question {
            Question::Get(encoded) => match self.decoder.decode(encoded) {
                Some(der) => der,
                None => return Found::Nothing,
            },
            Question::Post(der) => der,
        };
        let mut answer = self.responder.kept_now(der, self.now);
        if answer.is_none() && self.signs_at_once {
            if self.signings_left == 0 || self.share_left == 0 {
                return if self.queued < QUEUED_MAX { Found::Later } else { Found::Nothing };
            }
            self.signings_left -= 1;
            self.share_left -= 1;
            answer = self.responder.signed_now(der, self.now).map(Ready::Given);
        }
        let Some(answer) = answer else { return Found::Nothing };
        if let Some(client) = client {
            self.responder.note_given(client, der, Outcome::from(&answer));
        }
        Found::Answer(answer)
    }

    /// Puts an answer behind those that will be written.
    pub(super) fn put(&mut self, ready: &Ready, after: After) {
        self.output.extend_from_slice(&self.starts.bytes);
        self.output.extend_from_slice(after.line());
        let (answer, cache_control) = match ready {
            Ready::InAdvance(signed) => return self.responder.write(signed, &mut self.output),
            Ready::Given(Answer::Kept(kept)) => return self.output.extend_from_slice(&kept.wire),
            Ready::Given(answer @ Answer::Live(..)) => (answer, NOT_STORED),
            Ready::Given(answer @ Answer::Refused(_)) => (answer, NOT_CACHED),
        };
        let body = answer.body();
        write_field(&mut self.output, &CONTENT_TYPE, &OCSP_RESPONSE);
        write_field(&mut self.output, &CACHE_CONTROL, &cache_control);
        write_field(&mut self.output, &CONTENT_LENGTH, &HeaderValue::from(body.len()));
        self.output.extend_from_slice(b"\r\n");
        self.output.extend_from_slice(&body);
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
