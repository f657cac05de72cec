//! Whole issuances by clients that work at once, each with an account and a connection of its own.

use std::time::Duration;

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
    /// How long it took.
    pub elapsed: Duration,
    /// CPU time of the server.
    pub server_cpu: Duration,
    /// CPU time of the clients and of what answered the validation.
    pub client_cpu: Duration,
    /// How long each took from newOrder to the certificate; sorted.
    pub latencies: Vec<Duration>,
    /// Signed requests, polling included.
    pub requests: u64,
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
    let (chains, mut latencies, requests) = load(workers, &prover, is_rsa).await;
    let (elapsed, server_cpu, client_cpu) = (begun.elapsed(), cpu::used(pid) - server, cpu::own() - own);
    latencies.sort();
    Issued { chains, elapsed, server_cpu, client_cpu, latencies, requests: requests - before }
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

async fn load(workers: Vec<Worker>, prover: &Prover, is_rsa: bool) -> (Vec<Chain>, Vec<Duration>, u64) {
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(work(worker, prover.clone(), is_rsa));
    }
    let (mut chains, mut latencies, mut requests) = (Vec::new(), Vec::new(), 0);
    for (mine, took, sent) in tasks.join_all().await {
        chains.extend(mine);
        latencies.extend(took);
        requests += sent;
    }
    (chains, latencies, requests)
}

async fn work(mut worker: Worker, prover: Prover, is_rsa: bool) -> (Vec<Chain>, Vec<Duration>, u64) {
    let further = if is_rsa { json!({"profile": "classic-rsa"}) } else { json!({}) };
    let (mut chains, mut latencies) = (Vec::new(), Vec::new());
    for (name, request) in &worker.orders {
        let begun = Instant::now();
        let client = &mut worker.client;
        let order = client.order_with(&[name], further.clone()).await.expect("an order");
        let order = client.prove(&order, &prover).await.expect("a proof");
        let order = client.finalize(&order, &request.der).await.expect("a valid order");
        chains.push(client.certificate(&order).await.expect("a certificate"));
        latencies.push(begun.elapsed());
    }
    (chains, latencies, worker.client.requests())
}
