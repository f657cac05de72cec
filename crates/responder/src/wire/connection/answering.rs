//! What was read, request by request: answered at once, asked for elsewhere, refused, or handed over.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::StatusCode;
use ingam_protocol::ocsp::REQUEST_BYTES_MAX;
use ingam_protocol::proxy::line;
use ingam_protocol::proxy::preface::{self, BadPreface, Reading};
use ingam_protocol::request_head::{self, HEAD_BYTES_MAX, Head, Unsound, Version};

use super::{Connection, State, Waiting};
use crate::http::Client;
use crate::wire::desk::{After, Desk, Found, OUTPUT_BYTES, Question};
use crate::wire::general::{self, Asked, Sent};

/// Where a look at the input led.
pub(super) struct Look {
    /// So much of it is done with.
    pub(super) used: usize,
    pub(super) ask: Option<Box<Asked>>,
    pub(super) waiting: Waiting,
    /// The next request can be answered without waiting, but others come first.
    pub(super) is_later: bool,
}

/// What became of a request.
enum Answered {
    /// Its answer is on the desk, or it was refused.
    Done,
    /// The runtime has to be asked.
    Ask(Box<Asked>),
    /// Nothing yet: others come first.
    Later,
}

impl Connection {
    /// Answers every whole request of `input`, until something has to be waited for.
    pub(super) fn look(&mut self, input: &[u8], desk: &mut Desk) -> Look {
        let mut look = Look { used: 0, ask: None, waiting: Waiting::Request, is_later: false };
        if input.len() < self.needed {
            look.waiting = Waiting::Body;
            return look;
        }
        self.needed = 0;
        if self.is_announced && !self.take_announcement(input, &mut look) {
            return look;
        }
        while self.state == State::Reading {
            let rest = input.get(look.used..).unwrap_or_default();
            if rest.is_empty() || !self.look_at_one(rest, &mut look, desk) {
                break;
            }
        }
        if look.ask.is_some() {
            self.has_work = look.used < input.len();
            look.waiting = Waiting::Reply;
        } else if look.is_later {
            self.has_work = true;
            look.waiting = Waiting::Head;
        } else if self.state == State::Parting {
            look.waiting = Waiting::Parting;
        }
        look
    }

    /// Reads who opened the connection, which its input begins with; whether that was all there.
    fn take_announcement(&mut self, input: &[u8], look: &mut Look) -> bool {
        look.waiting = Waiting::Head;
        match announced(input) {
            Ok(Some((told, bytes))) => {
                self.is_announced = false;
                self.opener = told.unwrap_or(self.opener);
                look.used = bytes;
                true
            }
            Ok(None) => false,
            Err(bad) => {
                self.state = State::Unsaid(bad.0);
                false
            }
        }
    }

    /// Looks at the request that `rest` begins with; whether to go on behind it.
    fn look_at_one(&mut self, rest: &[u8], look: &mut Look, desk: &mut Desk) -> bool {
        if desk.output.len() >= OUTPUT_BYTES {
            self.has_work = true;
            return false;
        }
        if look.used == 0 && self.searched > 0 && !self.is_worth_reading(rest) {
            look.waiting = Waiting::Head;
            return false;
        }
        let head = match request_head::read(rest) {
            Ok(Some(head)) => head,
            Ok(None) => {
                self.searched = rest.len();
                look.waiting = Waiting::Head;
                return false;
            }
            Err(unsound) => {
                self.refuse(unsound, desk);
                look.used += rest.len();
                return false;
            }
        };
        look.waiting = Waiting::Request;
        if head.is_chunked || head.is_expecting || head.version == Version::Http2 {
            self.state = State::HandingOver;
            return false;
        }
        let body = head.content_length.unwrap_or(0);
        let length = usize::try_from(body).ok().filter(|length| *length <= REQUEST_BYTES_MAX);
        let Some(length) = length else {
            // It is refused unread, and with it whatever comes behind it.
            look.ask = self.ask(&head, Sent::TooLong(body), desk);
            look.used += rest.len();
            self.has_unread = true;
            if look.ask.is_some() {
                self.state = State::Asking(After::Close);
            }
            return false;
        };
        let Some(body) = rest.get(head.bytes..head.bytes + length) else {
            self.searched = 0;
            self.needed = head.bytes + length;
            look.waiting = Waiting::Body;
            return false;
        };
        self.searched = 0;
        match self.answer(&head, body, desk) {
            Answered::Done => {}
            Answered::Ask(request) => look.ask = Some(request),
            Answered::Later => {
                look.is_later = true;
                return false;
            }
        }
        look.used += head.bytes + length;
        true
    }

    /// Whether a head that was not whole the last time may be so now, or is too long.
    fn is_worth_reading(&mut self, input: &[u8]) -> bool {
        let is = request_head::may_be_whole(input, self.searched) || input.len() > HEAD_BYTES_MAX;
        self.searched = input.len();
        is
    }

    /// Answers a request without waiting, or says what to ask for.
    fn answer(&mut self, head: &Head<'_>, body: &[u8], desk: &mut Desk) -> Answered {
        let after = match (head.is_kept && !desk.is_stopping, head.version) {
            (false, _) => After::Close,
            (true, Version::Http10) => After::OpenAsAsked,
            (true, _) => After::Open,
        };
        let question = match head.method {
            b"GET" if !head.is_conditional => head.target.strip_prefix(b"/ocsp/").map(Question::Get),
            b"POST" if matches!(head.target, b"/ocsp" | b"/ocsp/") => Some(Question::Post(body)),
            _ => None,
        };
        let client = desk.responder.is_logging().then(|| Client {
            address: self.client(head, desk),
            user_agent: head
                .fields()
                .find(|(name, _)| is_named(name, "user-agent"))
                .map_or(b"", |field| field.1),
        });
        match question.map_or(Found::Nothing, |question| desk.find(question, client)) {
            Found::Answer(answer) => {
                desk.put(&answer, after);
                if after == After::Close {
                    self.state = State::Closing;
                }
                return Answered::Done;
            }
            Found::Later => return Answered::Later,
            Found::Nothing => {}
        }
        let Some(request) = self.ask(head, Sent::Whole(Bytes::copy_from_slice(body)), desk) else {
            return Answered::Done;
        };
        self.state = State::Asking(after);
        Answered::Ask(request)
    }

    /// The request as the runtime's side takes it; otherwise a refusal.
    fn ask(&mut self, head: &Head<'_>, body: Sent, desk: &mut Desk) -> Option<Box<Asked>> {
        let request = general::request(head, body);
        if request.is_none() {
            self.refuse(Unsound::Malformed, desk);
        }
        let client = self.client(head, desk);
        request.map(|request| Box::new(Asked { request, client }))
    }

    /// Who sent a request, by the rules for proxies.
    fn client(&self, head: &Head<'_>, desk: &Desk) -> IpAddr {
        let client = desk.front.client(self.opener, |name| {
            let lines = head.fields().filter(|(own, _)| is_named(own, name));
            lines.map(|(_, value)| line(value)).collect()
        });
        client.ip()
    }

    fn refuse(&mut self, unsound: Unsound, desk: &mut Desk) {
        let (status, sentence) = match unsound {
            Unsound::Malformed => (
                StatusCode::BAD_REQUEST,
                "This is no request of HTTP/1 (RFC 9112) that can be read in one way.\n",
            ),
            Unsound::TooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request is too large.\n")
            }
        };
        self.part_with(status, sentence, desk);
    }

    pub(super) fn part_with(&mut self, status: StatusCode, sentence: &str, desk: &mut Desk) {
        let mut refusal = Vec::new();
        general::write_refusal(status, sentence, desk.date(), &mut refusal);
        desk.output.extend_from_slice(&refusal);
        self.state = State::Parting;
    }
}

/// Who opened a connection by the PROXY protocol, and how long that header is; `None` if its end is still to come.
fn announced(input: &[u8]) -> Result<Option<(Option<SocketAddr>, usize)>, BadPreface> {
    let mut bytes = 0;
    while let Some(begin) = input.get(..bytes) {
        match preface::read(begin)? {
            Reading::Whole(told) => return Ok(Some((told, bytes))),
            Reading::More(more) => bytes += more,
        }
    }
    Ok(None)
}

fn is_named(name: &[u8], wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted.as_bytes())
}
