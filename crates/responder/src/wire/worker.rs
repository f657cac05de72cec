//! A thread that answers: its poll, its sockets, its connections, and their time limits.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use ingam_protocol::proxy::UNSAID;
use mio::event::Event;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::net::SendFlags;
use slab::Slab;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::http::Responder;
use crate::wire::WireLimits;
use crate::wire::connection::{Connection, Next, Overtime, Stream};
use crate::wire::desk::Desk;
use crate::wire::general::{self, Asked};
use crate::wire::letters::{Address, Letterbox, Letters};
use crate::wire::places::{Place, Places};
use crate::wire::threads::{Handed, WireSetup};

/// How many events are taken from the kernel at once.
const EVENTS_MAX: usize = 1024;
/// How often connections are looked at for their time limits.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait when there is no place, or the system has no room, for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How many connections are accepted before others have their turn.
const ACCEPTED_AT_ONCE: usize = 64;

const LETTERS: Token = Token(usize::MAX);
/// The first listening socket; the others count down from it.
const FIRST_LISTENER: usize = usize::MAX - 1;

impl Stream for mio::net::TcpStream {
    fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)?)
    }

    fn finish(&mut self) {
        // Where the other end has gone there is nobody to tell.
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Gives a connection its turn. A fault of ours ends this one connection, and no other.
fn turn(open: &mut Open, desk: &mut Desk) -> Next {
    let turned = catch_unwind(AssertUnwindSafe(|| open.connection.turn(&mut open.stream, desk)));
    turned.unwrap_or_else(|_| {
        tracing::error!(
            "a connection was broken off by a fault of this program: please report what it was asked"
        );
        desk.clear_up();
        Next::Close
    })
}

struct Open {
    stream: mio::net::TcpStream,
    connection: Connection,
    number: u64,
    place: Place,
    /// It waits for its next turn.
    is_queued: bool,
}

/// See the module.
pub(super) struct Worker {
    responder: Responder,
    runtime: Handle,
    handed: mpsc::Sender<Handed>,
    limits: Arc<dyn Fn() -> WireLimits + Send + Sync>,
    places: Places,

    poll: Poll,
    letterbox: Arc<Letterbox>,
    listeners: Vec<mio::net::TcpListener>,
    desk: Desk,
    open: Slab<Open>,
    /// The number of the next connection.
    next_number: u64,
    /// Those that came just now. Their first turn is the last in a round: what they ask is often there by then, and is answered
    /// without any event.
    arrived: Vec<Open>,
    /// Those that have more to do without any event, each once, in the order in which they have waited.
    again: VecDeque<usize>,
    /// When to accept again, where that had to be broken off.
    accept_at: Option<Instant>,
    look_at: Instant,
}

impl Worker {
    pub(super) fn new(
        responder: Responder,
        sockets: Vec<TcpListener>,
        setup: &WireSetup,
        runtime: Handle,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), LETTERS)?;
        let mut listeners = Vec::with_capacity(sockets.len());
        for (number, socket) in sockets.into_iter().enumerate() {
            let mut listener = mio::net::TcpListener::from_std(socket);
            poll.registry().register(&mut listener, Token(FIRST_LISTENER - number), Interest::READABLE)?;
            listeners.push(listener);
        }
        let desk = Desk::new(responder.clone(), (setup.limits)(), setup.front.clone());
        Ok(Self {
            responder,
            runtime,
            handed: setup.handed.clone(),
            limits: Arc::clone(&setup.limits),
            places: setup.places.clone(),
            poll,
            letterbox: Arc::new(Letterbox::new(waker)),
            listeners,
            desk,
            open: Slab::new(),
            next_number: 0,
            arrived: Vec::new(),
            again: VecDeque::new(),
            accept_at: None,
            look_at: Instant::now() + LOOK_INTERVAL,
        })
    }

    pub(super) fn letterbox(&self) -> Arc<Letterbox> {
        Arc::clone(&self.letterbox)
    }

    /// Serves until it is told to end.
    pub(super) fn run(mut self) {
        let runtime = self.runtime.clone();
        // What is signed here has time limits of the runtime, and goes on there where it has to wait.
        let _entered = runtime.enter();
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let timeout = if self.again.is_empty() {
                let until = self.accept_at.map_or(self.look_at, |at| at.min(self.look_at));
                until.saturating_duration_since(self.desk.moment)
            } else {
                Duration::ZERO
            };
            match self.poll.poll(&mut events, Some(timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "a thread that answers OCSP requests cannot wait for them any more, and ends");
                    return;
                }
            }
            self.desk.begin_round();
            self.turn_again();
            for event in &events {
                self.event(event);
            }
            if self.accept_at.is_some_and(|at| at <= self.desk.moment) {
                self.accept_at = None;
                for number in 0..self.listeners.len() {
                    self.accept(number);
                }
            }
            for open in std::mem::take(&mut self.arrived) {
                self.begin(open);
            }
            if self.look_at <= self.desk.moment {
                self.look_at = self.desk.moment + LOOK_INTERVAL;
                self.look_at_limits();
            }
            if !self.take_letters() {
                return;
            }
        }
    }

    /// Gives those their turns who wait for one: they have waited for longer than those whose events came just now. Whoever has had much
    /// signed is the last in the next round, and whoever nothing more could be signed for, the first.
    fn turn_again(&mut self) {
        for _ in 0..self.again.len() {
            if self.desk.signings_left == 0 {
                break;
            }
            let Some(key) = self.again.pop_front() else { break };
            if let Some(open) = self.open.get_mut(key) {
                open.is_queued = false;
                self.turn(key);
            }
        }
        self.desk.queued = self.again.len();
    }

    fn event(&mut self, event: &Event) {
        let Token(key) = event.token();
        if let Some(open) = self.open.get_mut(key) {
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                open.connection.readable(event.is_read_closed());
            }
            if !open.is_queued {
                self.turn(key);
            }
        } else if let Some(number) = FIRST_LISTENER.checked_sub(key) {
            self.accept(number);
        }
    }

    /// Accepts on a listening socket until nobody waits there.
    fn accept(&mut self, number: usize) {
        for _ in 0..ACCEPTED_AT_ONCE {
            let Some(listener) = self.listeners.get(number) else { return };
            // Above the limit, connections wait in the kernel's queue.
            let Some(place) = self.places.take() else {
                self.places.waits.increment(1);
                self.accept_at = Some(self.desk.moment + ACCEPT_PAUSE);
                return;
            };
            match listener.accept() {
                Ok((stream, peer)) => {
                    let connection = Connection::new(peer, &self.desk);
                    let number = self.next_number;
                    self.next_number += 1;
                    self.arrived.push(Open { stream, connection, number, place, is_queued: false });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.places.failures.increment(1);
                    tracing::debug!(%error, "a connection could not be accepted");
                    self.accept_at = Some(self.desk.moment + ACCEPT_PAUSE);
                    return;
                }
            }
        }
        self.accept_at = Some(self.desk.moment);
    }

    /// Gives a connection its first turn, after which it is waited for where that was not its last.
    fn begin(&mut self, mut open: Open) {
        let next = turn(&mut open, &mut self.desk);
        match next {
            Next::Close => return,
            Next::Unsaid(why) => return self.complain(open.stream.peer_addr().ok(), why),
            _ => {}
        }
        let entry = self.open.vacant_entry();
        let key = entry.key();
        let both = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut open.stream, Token(key), both).is_ok() {
            // What came meanwhile is told as an event.
            entry.insert(open);
            self.follow(key, next);
        }
    }

    fn turn(&mut self, key: usize) {
        let Some(open) = self.open.get_mut(key) else { return };
        let next = turn(open, &mut self.desk);
        self.follow(key, next);
    }

    fn follow(&mut self, key: usize, next: Next) {
        match next {
            Next::Wait => {}
            Next::Again => self.queue(key),
            Next::Ask(question) => self.ask(key, question),
            Next::HandOver => self.hand_over(key),
            Next::Unsaid(why) => self.leave_unsaid(key, why),
            // The kernel takes it out of the poll with its last handle.
            Next::Close => drop(self.open.try_remove(key)),
        }
    }

    fn queue(&mut self, key: usize) {
        if let Some(open) = self.open.get_mut(key).filter(|open| !open.is_queued) {
            open.is_queued = true;
            self.again.push_back(key);
            self.desk.queued = self.again.len();
        }
    }

    /// Ends the connection of a trusted proxy that did not say for whom it came, and had to.
    fn leave_unsaid(&mut self, key: usize, why: &str) {
        if let Some(open) = self.open.try_remove(key) {
            self.complain(open.stream.peer_addr().ok(), why);
        }
    }

    fn complain(&self, proxy: Option<SocketAddr>, why: &str) {
        self.places.unsaid.increment(1);
        let proxy = proxy.map(|address| address.ip().to_string()).unwrap_or_default();
        tracing::warn!(proxy, why, "{UNSAID}");
    }

    /// Has a request answered on the runtime.
    fn ask(&self, key: usize, question: Box<Asked>) {
        let Some(open) = self.open.get(key) else { return };
        let address = Address { key, number: open.number };
        let (responder, letterbox) = (self.responder.clone(), Arc::clone(&self.letterbox));
        self.runtime.spawn(async move {
            let replying = AssertUnwindSafe(general::reply(&responder, *question)).catch_unwind();
            let reply = replying.await.ok();
            letterbox.reply(address, reply);
        });
    }

    fn hand_over(&mut self, key: usize) {
        let Some(mut open) = self.open.try_remove(key) else { return };
        if self.poll.registry().deregister(&mut open.stream).is_err() {
            return;
        }
        let peer = open.connection.opener();
        let stream = std::net::TcpStream::from(OwnedFd::from(open.stream));
        let handed = Handed { stream, peer, read: open.connection.into_held(), place: open.place };
        // Where nobody takes it, it ends.
        let _ = self.handed.try_send(handed);
    }

    /// Does what other threads left word of; whether to go on at all.
    fn take_letters(&mut self) -> bool {
        let Letters { replies, is_stopping, is_abandoned } = self.letterbox.take();
        for (address, reply) in replies {
            let Some(open) = self.open.get_mut(address.key).filter(|open| open.number == address.number)
            else {
                continue;
            };
            match reply {
                Some(reply) => {
                    open.connection.reply(reply, &self.desk);
                    self.turn(address.key);
                }
                None => self.follow(address.key, Next::Close),
            }
        }
        if is_stopping && !self.desk.is_stopping {
            self.desk.is_stopping = true;
            self.listeners = Vec::new();
            self.accept_at = None;
            self.open.retain(|_, open| !open.connection.is_idle());
        }
        let is_done = is_stopping && self.open.is_empty();
        !is_abandoned && !is_done
    }

    fn look_at_limits(&mut self) {
        self.desk.limits = (self.limits)();
        let (mut to_turn, mut unsaid) = (Vec::new(), Vec::new());
        self.open.retain(|key, open| match open.connection.overtime(&mut self.desk) {
            Overtime::None => true,
            Overtime::Turn => {
                to_turn.push(key);
                true
            }
            Overtime::Close => false,
            Overtime::Unsaid(why) => {
                unsaid.push((open.stream.peer_addr().ok(), why));
                false
            }
        });
        for (proxy, why) in unsaid {
            self.complain(proxy, why);
        }
        for key in to_turn {
            self.turn(key);
        }
    }
}
