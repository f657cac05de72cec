//! One connection, without its socket and without waiting.

mod answering;

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use ingam_protocol::ocsp::REQUEST_BYTES_MAX;
use ingam_protocol::request_head::HEAD_BYTES_MAX;

use crate::wire::desk::{After, Desk, HELD_BYTES_MAX, OUTPUT_BYTES, READ_BYTES};
use crate::wire::general::{Asked, Reply};

/// How often a connection is read from or written to before others have their turn.
const ROUNDS_MAX: usize = 16;
/// How long a client that was refused may take to notice.
const PARTING: Duration = Duration::from_secs(2);
/// How many bytes a second of a long body a client has to take, seen as a whole: it is kept for as long.
const TAKEN_PER_S: u64 = 16 * 1024;
/// Memory that a connection held for a long request is given back when it is over.
const SPARE_BYTES: usize = 1024;

/// The other end, without blocking.
pub(crate) trait Stream: Read + Write {
    /// Writes what is followed by the end of the connection at once: both can go in one packet.
    fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Says that nothing more will be written.
    fn finish(&mut self);
}

/// What comes next for a connection.
pub(crate) enum Next {
    /// Nothing, until it can be read or written again.
    Wait,
    /// Another turn, after others had theirs.
    Again,
    /// A reply to this, to be given to [`Connection::reply`].
    Ask(Box<Asked>),
    /// Somebody else goes on with it, from [`Connection::into_held`].
    HandOver,
    /// Nothing any more, as a trusted proxy did not say for whom it came; why, in words.
    Unsaid(&'static str),
    /// Nothing any more.
    Close,
}

/// What a connection is at, once everything that was answered is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Reading requests.
    Reading,
    /// Waiting for a reply, after which so is done.
    Asking(After),
    /// Ending.
    Closing,
    /// Ending after a refusal, whose sender may not have read it: what still comes is read and passed over, or the kernel would
    /// take the refusal back.
    Parting,
    HandingOver,
    /// See [`Next::Unsaid`].
    Unsaid(&'static str),
}

/// Whether a connection has waited for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overtime {
    /// No.
    None,
    /// Yes, and a turn tells its client so.
    Turn,
    /// Yes: it ends.
    Close,
    /// The same, for a trusted proxy that did not say for whom it came.
    Unsaid(&'static str),
}

/// For what a connection waits; each has its time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    FirstRequest,
    Request,
    Head,
    Body,
    Sending,
    Reply,
    Parting,
}

/// See the module.
pub(crate) struct Connection {
    /// Who opened it, by the word of a proxy that is trusted; else who is at the other end.
    opener: SocketAddr,
    /// It begins with the PROXY protocol, which was not read yet.
    is_announced: bool,
    state: State,
    /// What was read and is no whole request yet, or was not looked at yet.
    held: Vec<u8>,
    /// How much of it was looked through for the end of a head.
    searched: usize,
    /// How long it has to be for its first request to be whole, once that is known: before, it is not looked at again.
    needed: usize,
    /// Whether there may be whole requests in it.
    has_work: bool,
    /// Nothing can be read until the next event.
    is_drained: bool,
    /// The client says nothing more, and its end may come without an event.
    is_half_closed: bool,
    /// There is a body that nobody will read.
    has_unread: bool,
    /// What could not be sent yet, and how much of it was.
    unsent: Vec<u8>,
    sent: usize,
    /// A long body, sent after it.
    body: Bytes,
    /// Until when it has to be sent.
    body_due: Instant,
    waiting: Waiting,
    /// What it waits for once everything is sent.
    then: Waiting,
    since: Instant,
}

impl Connection {
    pub(crate) fn new(peer: SocketAddr, desk: &Desk) -> Self {
        Self {
            opener: peer,
            is_announced: desk.front.is_announced(peer.ip()),
            state: State::Reading,
            held: Vec::new(),
            searched: 0,
            needed: 0,
            has_work: false,
            is_drained: false,
            is_half_closed: false,
            has_unread: false,
            unsent: Vec::new(),
            sent: 0,
            body: Bytes::new(),
            body_due: desk.moment,
            waiting: Waiting::FirstRequest,
            then: Waiting::FirstRequest,
            since: desk.moment,
        }
    }

    /// Who opened it, by the word of a proxy that is trusted; else who is at the other end.
    pub(crate) fn opener(&self) -> SocketAddr {
        self.opener
    }

    /// What was read and nobody has answered, for whoever goes on with it.
    pub(crate) fn into_held(self) -> Vec<u8> {
        self.held
    }

    /// Notes that it can be read, or that the client says nothing more.
    pub(crate) fn readable(&mut self, is_half_closed: bool) {
        self.is_drained = false;
        self.is_half_closed |= is_half_closed;
    }

    /// Whether it is between two requests, so that its end interrupts nothing.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.waiting, Waiting::Request | Waiting::FirstRequest)
    }

    /// Does what can be done without waiting.
    pub(crate) fn turn<S: Stream>(&mut self, stream: &mut S, desk: &mut Desk) -> Next {
        desk.begin_turn();
        for _ in 0..ROUNDS_MAX {
            match self.send(stream, desk.moment) {
                Ok(true) => {}
                Ok(false) => return Next::Wait,
                Err(_) => return Next::Close,
            }
            match self.state {
                State::Reading => {}
                State::Asking(_) => return Next::Wait,
                State::Closing => return Next::Close,
                State::HandingOver => return Next::HandOver,
                State::Unsaid(why) => return Next::Unsaid(why),
                State::Parting => return self.part(stream, desk),
            }
            match self.read_and_answer(stream, desk) {
                Ok(Some(next)) => return next,
                Ok(None) => {}
                Err(_) => return Next::Close,
            }
        }
        Next::Again
    }

    /// Sends what is left of answers; whether nothing is left.
    fn send<S: Stream>(&mut self, stream: &mut S, moment: Instant) -> io::Result<bool> {
        loop {
            let rest = self.unsent.get(self.sent..).unwrap_or_default();
            let rest = if rest.is_empty() { &self.body } else { rest };
            if rest.is_empty() {
                if self.waiting == Waiting::Sending {
                    self.unsent = Vec::new();
                    self.sent = 0;
                    self.wait_for(self.then, moment);
                }
                return Ok(true);
            }
            match stream.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.wait_for(Waiting::Sending, moment);
                    self.since = moment;
                    if self.sent < self.unsent.len() {
                        self.sent += count;
                    } else {
                        drop(self.body.split_to(count));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait_for(Waiting::Sending, moment);
                    return Ok(false);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads once, if there is nothing else to do, and answers what is whole.
    fn read_and_answer<S: Stream>(&mut self, stream: &mut S, desk: &mut Desk) -> io::Result<Option<Next>> {
        let held = self.held.len();
        let mut filled = held;
        if !self.has_work {
            if self.is_drained {
                return Ok(Some(Next::Wait));
            }
            let room = desk.input.get_mut(held..).unwrap_or_default();
            let room = room.get_mut(..READ_BYTES).unwrap_or_default();
            match stream.read(room) {
                Ok(0) if self.is_announced && held > 0 => {
                    return Ok(Some(Next::Unsaid("its PROXY protocol header was cut off")));
                }
                // What was asked is answered.
                Ok(0) => return Ok(Some(Next::Close)),
                Ok(count) => {
                    // What comes later is an event of its own.
                    self.is_drained = count < READ_BYTES && !self.is_half_closed;
                    filled += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_drained = true;
                    return Ok(Some(Next::Wait));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        self.has_work = false;
        let mut input = std::mem::take(&mut desk.input);
        if let Some(room) = input.get_mut(..held) {
            room.copy_from_slice(&self.held);
        }
        let look = self.look(input.get(..filled).unwrap_or_default(), desk);
        self.hold(input.get(look.used..filled).unwrap_or_default(), look.used);
        desk.input = input;
        self.send_answers(stream, desk)?;
        self.then = look.waiting;
        self.wait_for(look.waiting, desk.moment);
        if look.waiting == Waiting::Request || look.used > 0 {
            self.since = desk.moment;
        }
        Ok(if look.is_later { Some(Next::Again) } else { look.ask.map(Next::Ask) })
    }

    /// Writes the answers that are on the desk; what cannot be sent now is kept.
    fn send_answers<S: Stream>(&mut self, stream: &mut S, desk: &mut Desk) -> io::Result<()> {
        if desk.output.is_empty() {
            return Ok(());
        }
        let result = match self.state {
            State::Closing => stream.write_last(&desk.output),
            _ => stream.write(&desk.output),
        };
        let count = match result {
            Ok(count) => count,
            Err(ref error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(_) => desk.output.len(),
        };
        if count < desk.output.len() {
            self.unsent.extend_from_slice(desk.output.get(count..).unwrap_or_default());
        }
        desk.output.clear();
        match result {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Holds what is no whole request, of which the first `used` bytes are gone by now.
    fn hold(&mut self, rest: &[u8], used: usize) {
        if rest.is_empty() {
            if self.held.capacity() > SPARE_BYTES {
                self.held = Vec::new();
            } else {
                self.held.clear();
            }
        } else if used == 0 && rest.len() >= self.held.len() {
            let known = self.held.len();
            self.held.extend_from_slice(rest.get(known..).unwrap_or_default());
        } else {
            self.held.clear();
            self.held.extend_from_slice(rest);
        }
    }

    /// Takes the reply that was asked for; a turn should follow.
    pub(crate) fn reply(&mut self, reply: Reply, desk: &Desk) {
        let State::Asking(after) = self.state else { return };
        let ends = reply.ends_connection() || desk.is_stopping;
        let after = if ends { After::Close } else { after };
        reply.write_head(desk.date(), after, &mut self.unsent);
        if reply.body.len() <= OUTPUT_BYTES {
            self.unsent.extend_from_slice(&reply.body);
        } else {
            self.body_due =
                desk.moment + desk.limits.idle + Duration::from_secs(reply.body.len() as u64 / TAKEN_PER_S);
            self.body = reply.body;
        }
        self.state = match after {
            After::Open | After::OpenAsAsked => State::Reading,
            After::Close if self.has_unread => State::Parting,
            After::Close => State::Closing,
        };
        self.then = Waiting::Request;
        self.wait_for(Waiting::Sending, desk.moment);
    }

    /// Reads until the client has noticed that this is the end.
    fn part<S: Stream>(&mut self, stream: &mut S, desk: &mut Desk) -> Next {
        self.held = Vec::new();
        self.then = Waiting::Parting;
        self.wait_for(Waiting::Parting, desk.moment);
        stream.finish();
        for _ in 0..ROUNDS_MAX {
            match stream.read(&mut desk.input) {
                Ok(0) => return Next::Close,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Next::Wait,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Next::Close,
            }
        }
        Next::Again
    }

    fn wait_for(&mut self, waiting: Waiting, moment: Instant) {
        if self.waiting != waiting {
            self.waiting = waiting;
            self.since = moment;
        }
    }

    /// What to do about its time limits.
    pub(crate) fn overtime(&mut self, desk: &mut Desk) -> Overtime {
        let limit = match self.waiting {
            Waiting::FirstRequest | Waiting::Head => desk.limits.header,
            Waiting::Request | Waiting::Sending => desk.limits.idle,
            Waiting::Body => desk.body_timeout,
            Waiting::Parting => PARTING,
            // The reply's own parts have their limits.
            Waiting::Reply => return Overtime::None,
        };
        let is_body_late = !self.body.is_empty() && desk.moment >= self.body_due;
        if desk.moment.saturating_duration_since(self.since) < limit && !is_body_late {
            return Overtime::None;
        }
        if self.is_announced {
            return Overtime::Unsaid("its PROXY protocol header took too long");
        }
        if self.waiting != Waiting::Body {
            return Overtime::Close;
        }
        self.part_with(StatusCode::REQUEST_TIMEOUT, "The request did not arrive in time.\n", desk);
        self.unsent.append(&mut desk.output);
        self.wait_for(Waiting::Sending, desk.moment);
        Overtime::Turn
    }
}

const _: () = assert!(HELD_BYTES_MAX >= HEAD_BYTES_MAX + REQUEST_BYTES_MAX);
