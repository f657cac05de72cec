//! OCSP queries by GET over kept-alive connections, one at a time on each.
//!
//! The connection is a plain socket with just enough HTTP: on a shared machine every microsecond of the client is
//! one that the server does not have.

use std::sync::Arc;
use std::time::Duration;

use ingam_tests::certificate::Chain;
use ingam_tests::http::Place;
use ingam_tests::ocsp::{self, Hash};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Plan;
use crate::cpu::{self, milliseconds, percentile};

/// No answer is longer than this; a shorter one than [`AUTHORITATIVE_MIN`] says nothing about a certificate.
const ANSWER_MAX: usize = 16 * 1024;
const AUTHORITATIVE_MIN: usize = 100;

/// What the queries came to: once for each certificate, and then many times.
pub struct Answers {
    connections: usize,
    first: Pass,
    again: Pass,
}

struct Pass {
    count: usize,
    elapsed: Duration,
    server_cpu: Duration,
    client_cpu: Duration,
    latencies: Vec<Duration>,
}

/// Asks for every certificate once, and then as often as the plan says.
pub async fn run(plan: &Plan, chains: &[Chain], pid: u32) -> Answers {
    let place = Place::of(&chains[0].ocsp_url());
    let requests: Vec<Vec<u8>> = chains.iter().map(|chain| request_bytes(chain, &place)).collect();
    let requests = Arc::new(requests);
    let first = pass(plan, &place, &requests, requests.len(), pid).await;
    let again = pass(plan, &place, &requests, plan.queries, pid).await;
    Answers { connections: plan.connections, first, again }
}

/// A whole HTTP request for the status of one certificate.
fn request_bytes(chain: &Chain, place: &Place) -> Vec<u8> {
    let url = ocsp::get_url(&chain.ocsp_url(), &ocsp::request_for(chain, Hash::Sha1));
    let path = Place::of(&url).path;
    format!("GET {path} HTTP/1.1\r\nHost: {}:{}\r\n\r\n", place.host, place.port).into_bytes()
}

async fn pass(plan: &Plan, place: &Place, requests: &Arc<Vec<Vec<u8>>>, total: usize, pid: u32) -> Pass {
    let each = total.div_ceil(plan.connections);
    let mut sockets = Vec::new();
    for _ in 0..plan.connections {
        let socket =
            TcpStream::connect((place.host.as_str(), place.port)).await.expect("the responder listens");
        socket.set_nodelay(true).expect("a socket");
        sockets.push(socket);
    }
    let (server, own, begun) = (cpu::used(pid), cpu::own(), Instant::now());
    let mut tasks = JoinSet::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        tasks.spawn(ask(socket, Arc::clone(requests), number * each, each));
    }
    let mut latencies: Vec<Duration> = tasks.join_all().await.concat();
    let (elapsed, server_cpu, client_cpu) = (begun.elapsed(), cpu::used(pid) - server, cpu::own() - own);
    latencies.sort();
    Pass { count: latencies.len(), elapsed, server_cpu, client_cpu, latencies }
}

/// Asks `count` times over one connection, round the requests from `first` on.
async fn ask(
    mut socket: TcpStream,
    requests: Arc<Vec<Vec<u8>>>,
    first: usize,
    count: usize,
) -> Vec<Duration> {
    let mut latencies = Vec::with_capacity(count);
    let mut buffer = vec![0; ANSWER_MAX];
    for number in 0..count {
        let request = &requests[(first + number) % requests.len()];
        let begun = Instant::now();
        socket.write_all(request).await.expect("the connection is kept open");
        let body = read_answer(&mut socket, &mut buffer).await;
        latencies.push(begun.elapsed());
        assert!(body >= AUTHORITATIVE_MIN, "an answer of {body} bytes says nothing about a certificate");
    }
    latencies
}

/// Reads one answer, asserts status 200, and gives the length of its body.
async fn read_answer(socket: &mut TcpStream, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    loop {
        let read = socket.read(&mut buffer[filled..]).await.expect("the connection is kept open");
        assert!(read > 0, "the responder closed a kept-alive connection, or the answer is too long");
        filled += read;
        let Some(head) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = std::str::from_utf8(&buffer[..head]).expect("a header in ASCII");
        assert!(text.starts_with("HTTP/1.1 200"), "every OCSP answer has status 200: {text}");
        let body = content_length(text);
        if filled >= head + 4 + body {
            return body;
        }
    }
}

fn content_length(head: &str) -> usize {
    let value = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    value.and_then(|value| value.parse().ok()).expect("every OCSP answer has a Content-Length")
}

impl Answers {
    /// Prints all of it.
    pub fn print(&self) {
        println!(
            "OCSP: GET, SHA-1 CertIDs, {} kept-alive connections, one query at a time on each",
            self.connections
        );
        println!("  {:<32}{:>12}{:>12}", "", "each once", "again");
        self.row("answers", |pass| pass.count.to_string());
        self.row("answers/s", |pass| format!("{:.0}", pass.count as f64 / pass.elapsed.as_secs_f64()));
        self.row("server CPU, µs/answer", |pass| per_answer(pass.server_cpu, pass.count));
        self.row("client CPU, µs/answer", |pass| per_answer(pass.client_cpu, pass.count));
        for (share, label) in [(0.5, "p50"), (0.9, "p90"), (0.99, "p99")] {
            self.row(&format!("latency {label}, µs"), |pass| {
                format!("{:.0}", milliseconds(percentile(&pass.latencies, share)) * 1e3)
            });
        }
    }

    fn row(&self, label: &str, cell: impl Fn(&Pass) -> String) {
        println!("  {label:<32}{:>12}{:>12}", cell(&self.first), cell(&self.again));
    }
}

fn per_answer(cpu: Duration, count: usize) -> String {
    format!("{:.1}", milliseconds(cpu) * 1e3 / count as f64)
}
