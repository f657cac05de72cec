//! OCSP beside nginx, in one run: `scripts/bench-ocsp` builds what it needs.
//!
//! Both serve on as many threads, in turn, round after round; what is told is the median of the rounds. nginx serves one static
//! file, as long as an answer; the responder (crates/responder/examples/serve.rs) serves the threads of the real server over
//! certificates that are all good, each asked for once before, so that its answer is in memory. Every answer is held against what
//! it has to be, byte for byte. CPU time is user plus system time of all processes of the server asked.

mod load;
mod report;
mod tables;
mod target;

use std::path::PathBuf;
use std::time::Duration;

use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

use crate::cpu;
use crate::ocsp::load::{Figures, Load};
use crate::ocsp::report::Report;
use crate::ocsp::tables::Tables;
use crate::ocsp::target::{Live, Nginx, Responding, Target};

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// For how many certificates answers are in memory.
    pub certificates: u32,
    pub rounds: usize,
    /// How long one server is asked in one round.
    pub round: Duration,
    /// Threads of each server.
    pub threads: usize,
    /// The scenarios whose names have this in them.
    pub only: String,
    /// Puts hyper's way beside ours.
    pub with_hyper: bool,
    /// Folders of answers that were signed in advance; with one, they are asked for in the place of what is in memory.
    pub tables: Vec<PathBuf>,
}

impl Default for Plan {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            certificates: 100_000,
            rounds: 5,
            round: Duration::from_millis(1500),
            threads,
            only: String::new(),
            with_hyper: false,
            tables: Vec::new(),
        }
    }
}

/// A way of asking.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub by: By,
    pub connections: usize,
    /// Requests that are sent at once on each.
    pub depth: usize,
    /// Connections beside them that ask much and read slowly.
    pub slow: usize,
    /// The aim: at most this part of nginx's CPU time.
    pub aim: f64,
}

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Get,
    Post,
    /// HTTP/1.0, as nginx asks for what it staples: the server ends the connection.
    OldGet,
    /// HTTP/1.1 with `Connection: close`.
    LoneGet,
}

const SCENARIOS: [Scenario; 7] = [
    Scenario { name: "GET, keep-alive", by: By::Get, connections: 64, depth: 1, slow: 0, aim: 0.9 },
    Scenario { name: "POST, keep-alive", by: By::Post, connections: 64, depth: 1, slow: 0, aim: 0.9 },
    Scenario { name: "GET, pipelined by 16", by: By::Get, connections: 32, depth: 16, slow: 0, aim: 0.35 },
    Scenario {
        name: "GET, a connection each",
        by: By::LoneGet,
        connections: 64,
        depth: 1,
        slow: 0,
        aim: 1.0,
    },
    Scenario { name: "GET by HTTP/1.0", by: By::OldGet, connections: 64, depth: 1, slow: 0, aim: 1.0 },
    Scenario { name: "GET, 1,000 connections", by: By::Get, connections: 900, depth: 1, slow: 100, aim: 1.1 },
    Scenario {
        name: "GET, 10,000 connections",
        by: By::Get,
        connections: 9_000,
        depth: 1,
        slow: 1_000,
        aim: 1.1,
    },
];

/// With a nonce, so that each answer is signed; the aim is a part of ring's own rate, at least.
const LIVE: [Scenario; 2] = [
    Scenario { name: "live P-256, POST", by: By::Post, connections: 64, depth: 1, slow: 0, aim: 0.8 },
    Scenario {
        name: "live P-256, POST, pipelined by 16",
        by: By::Post,
        connections: 32,
        depth: 16,
        slow: 0,
        aim: 0.8,
    },
];

/// Runs every scenario and prints the table; whether every answer came and was right.
pub fn run(plan: &Plan) -> bool {
    if !plan.tables.is_empty() {
        return run_tables(plan);
    }
    let ours = Responding::start("ignore", plan.threads, plan.certificates);
    let hyper = plan.with_hyper.then(|| Responding::start("hyper", plan.threads, plan.certificates));
    let nginx = Nginx::start(plan.threads, ours.answer_bytes());
    let mut targets: Vec<&dyn Target> = vec![&nginx, &ours];
    targets.extend(hyper.as_ref().map(|hyper| hyper as &dyn Target));
    let memory = format!("{} certificates in memory", plan.certificates);
    let mut report = Report::new(plan, &memory, ours.answer_bytes());
    run_beside(plan, &targets, &mut report);
    drop((ours, hyper));
    run_live(plan, &mut report);
    report.is_sound()
}

/// The whole program as a responder without keys, for each folder of answers, beside nginx.
fn run_tables(plan: &Plan) -> bool {
    let ours: Vec<_> = plan.tables.iter().map(|folder| Tables::start(folder, plan.threads)).collect();
    let bytes = ours.first().map_or(0, Tables::answer_bytes);
    let nginx = Nginx::start(plan.threads, bytes);
    let mut targets: Vec<&dyn Target> = vec![&nginx];
    targets.extend(ours.iter().map(|ours| ours as &dyn Target));
    let mut report = Report::new(plan, "answers in tables", bytes);
    run_beside(plan, &targets, &mut report);
    report.is_sound()
}

/// Every scenario, the servers in turn.
fn run_beside(plan: &Plan, targets: &[&dyn Target], report: &mut Report) {
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(&plan.only)) {
        let needed = (scenario.connections + scenario.slow + 200) as u64;
        if target::open_files_max() < needed {
            println!("{}: left out, as it needs {needed} open files (ulimit -n)", scenario.name);
            continue;
        }
        let mut loads: Vec<Load> = targets.iter().map(|target| Load::new(scenario, *target)).collect();
        let mut rounds: Vec<Vec<Figures>> = targets.iter().map(|_| Vec::new()).collect();
        for _ in 0..plan.rounds {
            for (at, load) in loads.iter_mut().enumerate() {
                rounds[at].push(load.run(plan.round, targets[at]));
            }
        }
        report.add(scenario, targets, &rounds);
    }
}

/// Answers with nonces, beside ring's bare signatures: both by CPU time.
fn run_live(plan: &Plan, report: &mut Report) {
    let wanted: Vec<_> = LIVE.iter().filter(|scenario| scenario.name.contains(&plan.only)).collect();
    if wanted.is_empty() {
        return;
    }
    let target = Live(Responding::start("answer", plan.threads, 1));
    for scenario in wanted {
        let mut load = Load::new(scenario, &target);
        let mut bare = Vec::new();
        let mut rounds = Vec::new();
        for _ in 0..plan.rounds {
            bare.push(signature_us(plan.threads));
            rounds.push(load.run(plan.round, &target));
        }
        bare.sort_by(f64::total_cmp);
        report.live(scenario, bare[bare.len() / 2], &rounds);
    }
}

/// CPU microseconds of a P-256 signature by ring over as many bytes as are signed for an answer, on so many threads at once:
/// cores that share their units sign more slowly together.
#[allow(clippy::disallowed_methods, reason = "there is no server here that would have made one")]
fn signature_us(threads: usize) -> f64 {
    const COUNT: u32 = 10_000;
    let sign = || {
        let random = ring::rand::SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).expect("a key");
        let thread = u32::try_from(rustix::thread::gettid().as_raw_pid()).expect("a thread's number");
        let before = cpu::on_cpu_of_thread(thread);
        for number in 0..COUNT {
            let mut signed = [7; 200];
            signed[..4].copy_from_slice(&number.to_be_bytes());
            key.sign(&random, &signed).expect("a signature");
        }
        cpu::on_cpu_of_thread(thread) - before
    };
    let spent: Duration = std::thread::scope(|scope| {
        let signing: Vec<_> = (0..threads).map(|_| scope.spawn(sign)).collect();
        signing.into_iter().map(|thread| thread.join().expect("a thread")).sum()
    });
    cpu::milliseconds(spent) * 1e3 / f64::from(COUNT) / threads as f64
}
