//! Asking: one thread with all connections, cheap enough to leave the machine to the server.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::cpu;
use crate::ocsp::target::Target;
use crate::ocsp::{By, Scenario};

/// How many bytes a slow reader reads at once, and how often.
const SLOW_BYTES: usize = 512;
const SLOW_PAUSE: Duration = Duration::from_millis(200);
/// How many different requests are made beforehand at most.
const REQUESTS_MAX: u32 = 200_000;

/// What one round came to.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub answers: u64,
    /// Answers that were wrong, and connections that ended.
    pub losses: u64,
    pub elapsed: Duration,
    pub server_cpu: Duration,
    pub p50: Duration,
    pub p99: Duration,
    pub resident_bytes: u64,
}

/// All requests of a scenario to one server.
pub struct Load {
    scenario: Scenario,
    requests: Vec<Vec<u8>>,
    next: u32,
}

struct Client {
    stream: TcpStream,
    /// The number of the first request under way.
    first: u32,
    /// How many of them were answered.
    answered: usize,
    sent_at: Instant,
    is_sent: bool,
    partial: Vec<u8>,
}

struct Round<'a> {
    load: &'a mut Load,
    target: &'a dyn Target,
    poll: Poll,
    clients: Vec<Client>,
    latencies: Vec<u32>,
    figures: Figures,
    buffer: Vec<u8>,
}

impl Load {
    pub fn new(scenario: &Scenario, target: &dyn Target) -> Self {
        let count = target.count().min(REQUESTS_MAX);
        // Far apart, so that neighbours in time are none in memory.
        let step = target.count() / count.max(1);
        let requests = (0..count).map(|number| target.request(scenario.by, number * step)).collect();
        Self { scenario: *scenario, requests, next: 0 }
    }

    /// The number of the next request.
    fn take(&mut self, count: usize) -> u32 {
        let all = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
        let first = self.next;
        self.next = (first + u32::try_from(count).unwrap_or(1)) % all;
        first
    }

    /// Asks for so long.
    pub fn run(&mut self, time: Duration, target: &dyn Target) -> Figures {
        let scenario = self.scenario;
        let mut slow: Vec<_> = (0..scenario.slow).map(|_| SlowReader::new(self, target)).collect();
        let poll = Poll::new().expect("a poll");
        let mut round = Round {
            load: self,
            target,
            poll,
            clients: Vec::new(),
            latencies: Vec::with_capacity(1 << 18),
            figures: Figures::default(),
            buffer: vec![0; 1 << 18],
        };
        for key in 0..scenario.connections {
            let client = round.connect(key);
            round.clients.push(client);
        }
        let mut events = Events::with_capacity(1024);
        // What connecting costs, and the first answers, are not counted where connections are kept.
        let warm = Instant::now() + time / 5;
        let mut begun = None;
        let mut slow_at = Instant::now();
        loop {
            round.poll.poll(&mut events, Some(Duration::from_millis(50))).expect("events");
            for event in &events {
                round.event(event);
            }
            let now = Instant::now();
            if slow_at <= now {
                slow_at = now + SLOW_PAUSE;
                slow.iter_mut().for_each(SlowReader::read_little);
            }
            match begun {
                None if now >= warm && round.figures.answers > 3 * scenario.connections as u64 => {
                    round.latencies.clear();
                    round.figures = Figures { losses: round.figures.losses, ..Figures::default() };
                    begun = Some((now, cpu::used_by_family(target.pid())));
                }
                Some((begun, cpu)) if now >= begun + time => {
                    let mut figures = std::mem::take(&mut round.figures);
                    figures.elapsed = begun.elapsed();
                    figures.server_cpu = cpu::used_by_family(target.pid()) - cpu;
                    figures.resident_bytes = cpu::resident_bytes(target.pid());
                    round.latencies.sort_unstable();
                    figures.p50 = percentile(&round.latencies, 50);
                    figures.p99 = percentile(&round.latencies, 99);
                    return figures;
                }
                _ => {}
            }
        }
    }
}

fn percentile(sorted: &[u32], percent: usize) -> Duration {
    let at = sorted.len() * percent / 100;
    Duration::from_nanos(sorted.get(at).copied().unwrap_or_default().into())
}

impl Round<'_> {
    fn is_lone(&self) -> bool {
        matches!(self.load.scenario.by, By::OldGet | By::LoneGet)
    }

    fn connect(&mut self, key: usize) -> Client {
        let mut stream = TcpStream::connect(self.target.address()).expect("a connection");
        let _ = stream.set_nodelay(true);
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(key), both).expect("a poll");
        Client {
            stream,
            first: self.load.take(self.load.scenario.depth),
            answered: 0,
            sent_at: Instant::now(),
            is_sent: false,
            partial: Vec::new(),
        }
    }

    fn event(&mut self, event: &Event) {
        let Token(key) = event.token();
        if !self.clients[key].is_sent {
            if !event.is_writable() {
                return;
            }
            self.send(key);
        }
        loop {
            match self.clients[key].stream.read(&mut self.buffer) {
                Ok(0) => return self.ended(key),
                Ok(count) => {
                    self.received(key, count);
                    if count < self.buffer.len() && !event.is_read_closed() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.ended(key),
            }
        }
    }

    fn send(&mut self, key: usize) {
        let (is_lone, depth, all) = (self.is_lone(), self.load.scenario.depth, self.load.requests.len());
        let client = &mut self.clients[key];
        client.is_sent = true;
        if !is_lone {
            // How long connecting takes is part of a request that has a connection of its own.
            client.sent_at = Instant::now();
        }
        let first = client.first as usize;
        let is_written = if depth == 1 {
            let request = &self.load.requests[first % all];
            client.stream.write(request).ok() == Some(request.len())
        } else {
            let numbers = (first..first + depth).map(|at| at % all);
            let requests: Vec<u8> = numbers.flat_map(|at| self.load.requests[at].iter().copied()).collect();
            client.stream.write(&requests).ok() == Some(requests.len())
        };
        if !is_written {
            self.figures.losses += 1;
        }
    }

    fn received(&mut self, key: usize, count: usize) {
        let client = &mut self.clients[key];
        let depth = self.load.scenario.depth;
        let mut partial = std::mem::take(&mut client.partial);
        let mut rest = if partial.is_empty() {
            &self.buffer[..count]
        } else {
            partial.extend_from_slice(&self.buffer[..count]);
            &partial[..]
        };
        while client.answered < depth {
            let number = (client.first as usize + client.answered) % self.load.requests.len();
            let step = self.target.count() / u32::try_from(self.load.requests.len()).unwrap_or(1);
            let Some(head) = head_bytes(rest) else { break };
            let number = u32::try_from(number).unwrap_or_default() * step;
            let Some((body, is_right)) = self.target.judge(number, &rest[head..]) else { break };
            if !is_right || !rest.get(8..).is_some_and(|rest| rest.starts_with(b" 200 OK\r\n")) {
                self.figures.losses += 1;
            }
            rest = &rest[head + body..];
            client.answered += 1;
            self.figures.answers += 1;
        }
        client.partial = rest.to_vec();
        if client.answered == depth && !matches!(self.load.scenario.by, By::OldGet | By::LoneGet) {
            self.latencies.push(u32::try_from(client.sent_at.elapsed().as_nanos()).unwrap_or(u32::MAX));
            client.answered = 0;
            client.first = self.load.take(depth);
            self.send(key);
        }
    }

    /// The server has ended a connection.
    fn ended(&mut self, key: usize) {
        let client = &self.clients[key];
        if !self.is_lone() || client.answered != 1 {
            self.figures.losses += 1;
        }
        self.latencies.push(u32::try_from(client.sent_at.elapsed().as_nanos()).unwrap_or(u32::MAX));
        self.clients[key] = self.connect(key);
    }
}

/// How long the head is; heads of one server have one length, but who knows.
fn head_bytes(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// Asks for much and reads little.
struct SlowReader {
    stream: TcpStream,
    requests: Vec<u8>,
    written: usize,
}

impl SlowReader {
    fn new(load: &mut Load, target: &dyn Target) -> Self {
        let stream = std::net::TcpStream::connect(target.address()).expect("a connection");
        stream.set_nonblocking(true).expect("a socket");
        let first = load.take(64) as usize;
        let all = load.requests.len();
        let requests = (0..64).flat_map(|at| load.requests[(first + at) % all].iter().copied()).collect();
        Self { stream: TcpStream::from_std(stream), requests, written: 0 }
    }

    fn read_little(&mut self) {
        let rest = &self.requests[self.written..];
        if !rest.is_empty() {
            self.written += self.stream.write(rest).unwrap_or(0);
        }
        let mut little = [0; SLOW_BYTES];
        let _ = self.stream.read(&mut little);
    }
}
