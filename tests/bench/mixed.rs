//! A mixed load, as a CA of some age has it: of ten orders seven renew a certificate (asking ARI first, naming what they
//! replace), two are for new names, and the validation of one fails. What is printed is how long each route takes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use ingam_tests::Error;
use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client, Order, challenge_of};
use ingam_tests::site::Site;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Plan;
use crate::cpu::{self, milliseconds, percentile};
use crate::table::SCALE;

/// What came of it.
pub struct Mixed {
    orders: usize,
    elapsed: Duration,
    server_cpu: Duration,
    /// By route, sorted.
    routes: BTreeMap<String, Vec<Duration>>,
    /// Why clients gave up, for those that did.
    pub failures: Vec<String>,
}

/// What a client does next.
#[derive(Clone, Copy)]
enum Deed {
    Renew,
    New,
    Fail,
}

/// Seven, two and one of ten, spread out.
const DEEDS: [Deed; 10] = [
    Deed::Renew,
    Deed::Renew,
    Deed::New,
    Deed::Renew,
    Deed::Renew,
    Deed::Fail,
    Deed::Renew,
    Deed::New,
    Deed::Renew,
    Deed::Renew,
];

struct Worker {
    client: Client,
    number: usize,
    /// What is renewed next: a name and its newest certificate.
    newest: (String, Chain),
    /// A CSR for each order, made before the clock runs.
    requests: Vec<(String, CertificateRequest)>,
}

/// Lets every client get its first certificate, and then does what the plan says.
pub async fn run(plan: &Plan, site: &Site, pid: u32) -> Mixed {
    let prover = Prover::Http(WebAnswers::listen(site.http_port).await);
    let each = plan.certificates.div_ceil(plan.clients);
    let mut workers = Vec::new();
    for number in 0..plan.clients {
        workers.push(worker(site, &prover, number, each).await.expect("a first certificate"));
    }
    let (server, begun) = (cpu::used(pid), Instant::now());
    let mut tasks = JoinSet::new();
    for worker in workers {
        tasks.spawn(work(worker, prover.clone()));
    }
    let mut mixed = Mixed {
        orders: 0,
        elapsed: Duration::ZERO,
        server_cpu: Duration::ZERO,
        routes: BTreeMap::new(),
        failures: Vec::new(),
    };
    for (worker, done, failure) in tasks.join_all().await {
        mixed.orders += done;
        mixed.failures.extend(failure);
        for timing in worker.client.timings() {
            mixed.routes.entry(route(&timing.path)).or_default().push(timing.took);
        }
    }
    mixed.elapsed = begun.elapsed();
    mixed.server_cpu = cpu::used(pid) - server;
    mixed.routes.values_mut().for_each(|took| took.sort());
    mixed
}

async fn worker(site: &Site, prover: &Prover, number: usize, each: usize) -> Result<Worker, Error> {
    let mut client = Client::registered(site).await?;
    let name = format!("fleet-{number}.example.org");
    let (_, chain) = client.issue(&[&name], &CertificateRequest::of(&[&name]), prover).await?;
    let requests = (0..each).map(|order| {
        let name = match DEEDS[order % DEEDS.len()] {
            Deed::Renew => name.clone(),
            Deed::New => format!("new-{number}-{order}.example.org"),
            Deed::Fail => format!("fails-{number}-{order}.example.org"),
        };
        let request = CertificateRequest::of(&[&name]);
        (name, request)
    });
    let requests = requests.collect();
    client.time_requests();
    Ok(Worker { client, number, newest: (name, chain), requests })
}

/// Works up to the first failure that was not wanted.
async fn work(mut worker: Worker, prover: Prover) -> (Worker, usize, Option<String>) {
    for order in 0..worker.requests.len() {
        let outcome = match DEEDS[order % DEEDS.len()] {
            Deed::Renew => renew(&mut worker, order, &prover).await,
            Deed::New => new(&mut worker, order, &prover).await,
            Deed::Fail => fail(&mut worker, order).await,
        };
        if let Err(error) = outcome {
            let failure = format!("client {}: {error}", worker.number);
            return (worker, order, Some(failure));
        }
    }
    let done = worker.requests.len();
    (worker, done, None)
}

/// Asks ARI when, and renews at once, naming what is replaced.
async fn renew(worker: &mut Worker, order: usize, prover: &Prover) -> Result<(), Error> {
    let Worker { client, newest: (name, chain), requests, .. } = worker;
    let replaces = chain.renewal_id();
    let url = format!("{}/{replaces}", client.resource("renewalInfo"));
    let answer = client.send(Request::get(&url).body(Full::new(Bytes::new())).expect("a request")).await?;
    if answer.status != 200 {
        return Err(Error::answered("asking for renewal information", answer));
    }
    let made = client.order_with(&[name.as_str()], json!({ "replaces": replaces })).await?;
    *chain = finish(client, made, &requests[order].1, prover).await?;
    Ok(())
}

async fn new(worker: &mut Worker, order: usize, prover: &Prover) -> Result<(), Error> {
    let Worker { client, requests, .. } = worker;
    let (name, request) = &requests[order];
    let made = client.order(&[name.as_str()]).await?;
    finish(client, made, request, prover).await.map(drop)
}

async fn finish(
    client: &mut Client,
    order: Order,
    request: &CertificateRequest,
    prover: &Prover,
) -> Result<Chain, Error> {
    let order = if order.status() == "ready" { order } else { client.prove(&order, prover).await? };
    let order = client.finalize(&order, &request.der).await?;
    client.certificate(&order).await
}

/// Says that the answer is in place, which it is not.
async fn fail(worker: &mut Worker, order: usize) -> Result<(), Error> {
    let Worker { client, requests, .. } = worker;
    let made = client.order(&[requests[order].0.as_str()]).await?;
    for url in made.authorizations() {
        let authorization = client.read(&url).await?.json();
        let challenge = challenge_of(&authorization, "http-01").unwrap_or_default();
        client.post(challenge["url"].as_str().unwrap_or(""), &json!({})).await?;
    }
    let ended = client.poll(&made.url, &["pending"]).await?;
    match ended.status() {
        "invalid" => Ok(()),
        other => Err(Error::connection("letting a validation fail", format!("the order is {other}"))),
    }
}

/// A path with its ids left out.
fn route(path: &str) -> String {
    let words: Vec<&str> = path.split('/').skip(1).collect();
    match words.as_slice() {
        ["order", _] => "order".to_owned(),
        ["order", _, last] => format!("order/{last}"),
        [first, ..] => (*first).to_owned(),
        [] => String::new(),
    }
}

impl Mixed {
    /// Prints all of it.
    pub fn print(&self, plan: &Plan) {
        println!("Mixed load: {} clients at once; 70 % renew with ARI, 20 % new, 10 % fail", plan.clients);
        let seconds = self.elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "orders of a run are few")]
        let orders = self.orders as f64;
        println!("  {} orders, {:.1} a second", self.orders, orders / seconds);
        println!("  server CPU, ms/order {:>8.2}", milliseconds(self.server_cpu) / orders);
        println!("  {:<20}{:>10}{:>10}{:>10}{:>10}", "route, ms", "requests", "p50", "p90", "p99");
        for (route, took) in &self.routes {
            let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| milliseconds(percentile(took, share)));
            println!("  {route:<20}{:>10}{p50:>10.2}{p90:>10.2}{p99:>10.2}", took.len());
        }
        if let Some(failure) = self.failures.first() {
            println!("{} clients gave up; one saw {failure}", self.failures.len());
        }
        println!("{SCALE}\n");
    }
}
