//! `ingam-bench`: whole issuances and OCSP queries against the running process, and what each costs.
//!
//! It starts `ingam dev` itself, from the same profile folder (so: `cargo run --release -p ingam-tests --bin
//! ingam-bench`, after `cargo build --release --workspace`), on an empty state folder with its usual durability.
//! Keys and CSRs are made before the clock runs. The server's CPU time is user plus system time of its process, in
//! which one certificate includes every request for it, the validation and the syncs; the client's own is told apart.
//! Both share the machine, so rates are what client and server reach together.

mod cpu;
mod issuance;
mod mixed;
mod ocsp;
mod queries;
mod table;
mod validation;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ingam_tests::pebble::Pebble;
use ingam_tests::server::Server;
use ingam_tests::site::Site;

use crate::issuance::Issued;
use crate::table::Table;

const USAGE: &str = "\
Usage: ingam-bench [FLAGS]

  --clients N        ACME clients at once (16)
  --certificates N   certificates to issue, after a warm-up of a tenth (2000)
  --connections N    OCSP connections at once (32)
  --queries N        OCSP queries, after one of each certificate (200000)
  --rsa              order from the RSA issuer, by the profile classic-rsa
  --dns              prove names by dns-01 in place of http-01
  --mixed            as many orders of a mixed load instead: 70 % renewals with ARI, 20 % new, 10 % failing
  --validation       instead: http-01 by one perspective, and issuances of a CA with five
  --ocsp             instead: the responder beside nginx (scripts/bench-ocsp); with it:
  --in-memory N        certificates whose answers are in memory (100000)
  --rounds N           rounds, of which the median counts (5)
  --round-ms N         how long each server is asked in a round (1500)
  --threads N          threads of each server (one for each core)
  --only TEXT          the scenarios whose names have this in them
  --hyper              hyper's way beside ours
  --tables FOLDER      instead of memory: the whole program over answers in this folder (again for more)
  --pebble           the same issuances from Debian's pebble too, for comparison
  --pebble-only      pebble alone

  --directory URL    use a CA that runs already, with all four of:
  --tls-ca FILE        the PEM that verifies its directory
  --http-port N        where it connects to for http-01
  --pid N              its process, for the CPU time
";

/// What is to be measured.
#[derive(Debug, Clone)]
struct Plan {
    clients: usize,
    certificates: usize,
    connections: usize,
    queries: usize,
    is_rsa: bool,
    by_dns: bool,
    is_mixed: bool,
    of_validation: bool,
    with_ingam: bool,
    with_pebble: bool,
    running: Running,
    of_ocsp: bool,
    ocsp: ocsp::Plan,
}

/// A CA that was started by somebody else; complete or empty.
#[derive(Debug, Clone, Default)]
struct Running {
    directory: Option<String>,
    tls_ca: Option<PathBuf>,
    http_port: Option<u16>,
    pid: Option<u32>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let plan = match plan(std::env::args().skip(1)) {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(sentence) => {
            eprintln!("{sentence}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if cfg!(debug_assertions) {
        eprintln!("This is a debug build: its figures say nothing. Use `--release`.");
    }
    match measure(&plan).await {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs every part of the plan and prints its table as soon as it is there. Whether all of our issuances succeeded;
/// what Pebble could not do, the table tells (its locks can block each other for good under load).
async fn measure(plan: &Plan) -> bool {
    if plan.of_ocsp {
        return ocsp::run(&plan.ocsp);
    }
    if plan.is_mixed {
        return measure_mixed(plan).await;
    }
    if plan.of_validation {
        return validation::run(plan).await;
    }
    let mut table = Table::new();
    let mut issued = None;
    // The server lives until the queries are done.
    let mut ours = None;
    if let Some((site, pid)) = running(plan) {
        issued = Some((issuance::run(plan, &site, pid, plan.is_rsa).await, pid));
    } else if plan.with_ingam {
        let server = Server::start().await;
        issued = Some((issuance::run(plan, &server.site(), server.pid(), plan.is_rsa).await, server.pid()));
        ours = Some(server);
    }
    if let Some((issued, _)) = &issued {
        table.column("ingam", issued);
    }
    if plan.with_pebble {
        let pebble = Pebble::start().await;
        // Pebble has one issuer, an RSA one, and no profiles.
        table.column("pebble", &issuance::run(plan, &pebble.site(), pebble.pid(), false).await);
    }
    table.print(plan);
    let Some((Issued { chains, failures, .. }, pid)) = &issued else { return true };
    if !chains.is_empty() {
        queries::run(plan, chains, *pid).await.print();
    }
    drop(ours);
    failures.is_empty()
}

/// The mixed load, against the CA that the flags name or one of our own.
async fn measure_mixed(plan: &Plan) -> bool {
    let mixed = match running(plan) {
        Some((site, pid)) => mixed::run(plan, &site, pid).await,
        None => {
            let server = Server::start().await;
            mixed::run(plan, &server.site(), server.pid()).await
        }
    };
    mixed.print(plan);
    mixed.failures.is_empty()
}

/// The CA that the flags name, if they name one.
fn running(plan: &Plan) -> Option<(Site, u32)> {
    let Running { directory, tls_ca, http_port, pid } = plan.running.clone();
    let site = Site {
        directory: directory?,
        tls_ca: tls_ca?,
        http_port: http_port?,
        tls_alpn_port: 0,
        dns_port: 0,
        dns_management_port: 0,
    };
    Some((site, pid?))
}

/// Reads the command line; `None` means that help was asked for.
fn plan(mut words: impl Iterator<Item = String>) -> Result<Option<Plan>, String> {
    let mut plan = Plan {
        clients: 16,
        certificates: 2000,
        connections: 32,
        queries: 200_000,
        is_rsa: false,
        by_dns: false,
        is_mixed: false,
        of_validation: false,
        with_ingam: true,
        with_pebble: false,
        running: Running::default(),
        of_ocsp: false,
        ocsp: ocsp::Plan::default(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value."));
        match word.as_str() {
            "--clients" => plan.clients = number(&word, &value()?)?,
            "--certificates" => plan.certificates = number(&word, &value()?)?,
            "--connections" => plan.connections = number(&word, &value()?)?,
            "--queries" => plan.queries = number(&word, &value()?)?,
            "--rsa" => plan.is_rsa = true,
            "--dns" => plan.by_dns = true,
            "--mixed" => plan.is_mixed = true,
            "--validation" => plan.of_validation = true,
            "--ocsp" => plan.of_ocsp = true,
            "--in-memory" => plan.ocsp.certificates = number(&word, &value()?)?,
            "--rounds" => plan.ocsp.rounds = number(&word, &value()?)?,
            "--round-ms" => plan.ocsp.round = Duration::from_millis(number(&word, &value()?)?),
            "--threads" => plan.ocsp.threads = number(&word, &value()?)?,
            "--only" => plan.ocsp.only = value()?,
            "--tables" => plan.ocsp.tables.push(value()?.into()),
            "--hyper" => plan.ocsp.with_hyper = true,
            "--pebble" => plan.with_pebble = true,
            "--pebble-only" => (plan.with_pebble, plan.with_ingam) = (true, false),
            "--directory" => plan.running.directory = Some(value()?),
            "--tls-ca" => plan.running.tls_ca = Some(value()?.into()),
            "--http-port" => plan.running.http_port = Some(number(&word, &value()?)?),
            "--pid" => plan.running.pid = Some(number(&word, &value()?)?),
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("There is no flag {word}.")),
        }
    }
    let Running { directory, tls_ca, http_port, pid } = &plan.running;
    let given = [directory.is_some(), tls_ca.is_some(), http_port.is_some(), pid.is_some()];
    if given.contains(&true) && given.contains(&false) {
        return Err("--directory, --tls-ca, --http-port and --pid go together.".to_owned());
    }
    let ocsp = &plan.ocsp;
    if ocsp.certificates == 0 || ocsp.rounds == 0 || ocsp.round.is_zero() || ocsp.threads == 0 {
        return Err("Every number is at least 1.".to_owned());
    }
    if plan.clients == 0 || plan.certificates == 0 || plan.connections == 0 || plan.queries == 0 {
        return Err("Every number is at least 1.".to_owned());
    }
    if plan.by_dns && directory.is_some() {
        return Err("--dns needs the test DNS of a server that ingam-bench starts itself.".to_owned());
    }
    Ok(Some(plan))
}

fn number<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{flag} needs a number, not {text:?}."))
}
