//! Whole issuances by clients that work at once, each with an account and a connection of its own.

use std::time::Duration;

use ingam_tests::Error;
use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers, Zone};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::site::Site;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::{Plan, cpu};

/// What came of it.
pub struct Issued {
    /// The certificates, of the measured part.
    pub chains: Vec<Chain>,
    /// How long it took until the last of them.
    pub elapsed: Duration,
    /// CPU time of the server.
    pub server_cpu: Duration,
    /// CPU time of the clients and of what answered the validation.
    pub client_cpu: Duration,
    /// How long each took from newOrder to the certificate; sorted.
    pub latencies: Vec<Duration>,
    /// Signed requests, polling included.
    pub requests: u64,
    /// Why clients gave up, for those that did.
    pub failures: Vec<String>,
}

/// What one or all of the workers did.
struct Work {
    chains: Vec<Chain>,
    latencies: Vec<Duration>,
    requests: u64,
    last: Instant,
    failures: Vec<String>,
}

/// One client, and what it is to order.
struct Worker {
    client: Client,
    orders: Vec<(String, CertificateRequest)>,
}

/// Issues a tenth as a warm-up, and then what the plan says.
pub async fn run(plan: &Plan, site: &Site, pid: u32, is_rsa: bool) -> Issued {
    let prover = match plan.by_dns {
        true => Prover::Dns(Zone::managed_at(site.dns_management_port)),
        false => Prover::Http(WebAnswers::listen(site.http_port).await),
    };
    let each = plan.certificates.div_ceil(plan.clients);
    let warm = workers(plan, site, "warm", each.div_ceil(10)).await;
    load(warm, &prover, is_rsa).await;

    let workers = workers(plan, site, "bench", each).await;
    let before: u64 = workers.iter().map(|worker| worker.client.requests()).sum();
    let (server, own, begun) = (cpu::used(pid), cpu::own(), Instant::now());
    let mut work = load(workers, &prover, is_rsa).await;
    let (server_cpu, client_cpu) = (cpu::used(pid) - server, cpu::own() - own);
    work.latencies.sort();
    Issued {
        chains: work.chains,
        elapsed: work.last - begun,
        server_cpu,
        client_cpu,
        latencies: work.latencies,
        requests: work.requests - before,
        failures: work.failures,
    }
}

/// Clients with their accounts, keys and CSRs.
async fn workers(plan: &Plan, site: &Site, label: &str, each: usize) -> Vec<Worker> {
    let mut workers = Vec::new();
    for number in 0..plan.clients {
        let client = Client::registered(site).await.expect("an account");
        let orders = (0..each).map(|order| {
            let name = format!("{label}-{number}-{order}.example.org");
            let request = CertificateRequest::of(&[&name]);
            (name, request)
        });
        workers.push(Worker { client, orders: orders.collect() });
    }
    workers
}

async fn load(workers: Vec<Worker>, prover: &Prover, is_rsa: bool) -> Work {
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(work(worker, prover.clone(), is_rsa));
    }
    let mut sum = Work::begun();
    for mine in tasks.join_all().await {
        sum.chains.extend(mine.chains);
        sum.latencies.extend(mine.latencies);
        sum.requests += mine.requests;
        sum.last = sum.last.max(mine.last);
        sum.failures.extend(mine.failures);
    }
    sum
}

impl Work {
    fn begun() -> Self {
        let (chains, latencies, failures) = (Vec::new(), Vec::new(), Vec::new());
        Self { chains, latencies, requests: 0, last: Instant::now(), failures }
    }
}

/// Issues what this worker is to order, up to its first failure.
async fn work(mut worker: Worker, prover: Prover, is_rsa: bool) -> Work {
    let mut work = Work::begun();
    for (name, request) in &worker.orders {
        let begun = Instant::now();
        match issue(&mut worker.client, name, request, &prover, is_rsa).await {
            Ok(chain) => work.chains.push(chain),
            Err(error) => {
                work.failures.push(error.to_string());
                break;
            }
        }
        work.last = Instant::now();
        work.latencies.push(work.last - begun);
    }
    work.requests = worker.client.requests();
    work
}

async fn issue(
    client: &mut Client,
    name: &str,
    request: &CertificateRequest,
    prover: &Prover,
    is_rsa: bool,
) -> Result<Chain, Error> {
    let further = if is_rsa { json!({"profile": "classic-rsa"}) } else { json!({}) };
    let order = client.order_with(&[name], further).await?;
    let order = client.prove(&order, prover).await?;
    let order = client.finalize(&order, &request.der).await?;
    client.certificate(&order).await
}
