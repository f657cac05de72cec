//! What several perspectives cost: http-01 by one of them, as its coordinator asks for it over mutual TLS, beside a bare DNS
//! lookup and a bare GET; and whole issuances of a CA with five.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use ingam_tests::challenge::WebAnswers;
use ingam_tests::http::Connection;
use ingam_tests::names::Names;
use ingam_tests::perspective::{FIVE_REGIONS, Perspectives, Place, ground};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cpu::{self, milliseconds};
use crate::{Plan, issuance};

const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
const KEY_AUTHORIZATION: &str =
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

/// Runs all three, and prints each as soon as it is there. Whether everything succeeded.
pub async fn run(plan: &Plan) -> bool {
    let count = plan.certificates;
    println!("http-01 by one perspective, {count} times over {} connections of mutual TLS", plan.clients);
    one_perspective(plan).await;
    with_five(plan).await
}

async fn one_perspective(plan: &Plan) {
    let (home, ports, ca) = ground();
    let place = Place::start(home.path(), "place-0", &ca, &ports).await;
    let web = WebAnswers::listen(ports.http).await;
    web.set(TOKEN, KEY_AUTHORIZATION.to_owned());
    let tls = ca.person("coordinator").tls(&ca.path);
    let url = format!("{}/dcv", place.url());
    let each = plan.certificates.div_ceil(plan.clients);
    // The first of each connection is the handshake, and not measured.
    let mut connections = Vec::new();
    for _ in 0..plan.clients {
        let mut connection = Connection::to(&url, Some(tls.clone()));
        ask(&mut connection, &url).await;
        connections.push(connection);
    }
    let (before, begun) = (cpu::used(place.pid()), Instant::now());
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let url = url.clone();
        tasks.spawn(async move {
            for _ in 0..each {
                ask(&mut connection, &url).await;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    let (used, elapsed) = (cpu::used(place.pid()).saturating_sub(before), begun.elapsed());
    let count = (each * plan.clients) as f64;
    println!("  CPU of the perspective, each    {:>8.3} ms", milliseconds(used) / count);
    println!("  a second, everybody on all cores {:>7.0}", count / elapsed.as_secs_f64());
    let bare = bare(place.names.clone(), ports.http, each * plan.clients);
    println!(
        "  beside: a DNS lookup and a GET   {:>7.3} ms, bare, in a thread of this process\n",
        bare / count
    );
}

async fn ask(connection: &mut Connection, url: &str) {
    let body = json!({"domain_or_ip_target": "bench.perspectives.test", "dcv_check_parameters":
        {"validation_method": "acme-http-01", "token": TOKEN, "key_authorization": KEY_AUTHORIZATION}});
    let request = Request::post(url).body(Full::new(Bytes::from(body.to_string()))).expect("a request");
    let answer = connection.send(request).await.expect("an answer").expect(200);
    assert_eq!(answer.json()["check_passed"], true, "{answer}");
}

/// Milliseconds of CPU that so many lookups and GETs take, each on new sockets, without a limit or a check.
fn bare(names: Names, http_port: u16, count: usize) -> f64 {
    let thread = std::thread::spawn(move || {
        let id = rustix::thread::gettid().as_raw_nonzero().get();
        let id = u32::try_from(id).expect("a thread's id");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            for _ in 0..count {
                look(&names, http_port).await;
            }
        });
        cpu::used_by_thread(id)
    });
    milliseconds(thread.join().expect("the thread ends"))
}

async fn look(names: &Names, http_port: u16) {
    // bench.perspectives.test, A, recursion desired.
    let mut question = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in ["bench", "perspectives", "test"] {
        question.push(u8::try_from(label.len()).expect("a short label"));
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.send_to(&question, names.address).await.expect("a question");
    let mut answer = [0; 512];
    socket.recv(&mut answer).await.expect("an answer");
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", http_port)).await.expect("a connection");
    let request = format!(
        "GET /.well-known/acme-challenge/{TOKEN} HTTP/1.1\r\nHost: bench.perspectives.test\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    assert!(answer.ends_with(KEY_AUTHORIZATION.as_bytes()));
}

async fn with_five(plan: &Plan) -> bool {
    let all = Perspectives::start(&FIVE_REGIONS).await;
    let pids: Vec<u32> = all.places.iter().map(Place::pid).collect();
    let places = || pids.iter().map(|pid| cpu::used(*pid)).sum::<Duration>();
    let before = places();
    let issued = issuance::run(plan, &all.server.site(), all.server.pid(), plan.is_rsa).await;
    let count = issued.chains.len().max(1) as f64;
    // The warm-up, a tenth, is in the perspectives' figure and not in the CA's.
    let of_places = milliseconds(places().saturating_sub(before)) / (count * 1.1);
    let of_server = milliseconds(issued.server_cpu) / count;
    println!(
        "whole issuances by http-01, with CAA at the challenge and at finalize, all from five perspectives"
    );
    println!("  certificates a second            {:>7.0}", count / issued.elapsed.as_secs_f64());
    println!("  CPU of the CA a certificate      {of_server:>7.2} ms");
    println!("  CPU of each perspective          {:>7.2} ms", of_places / pids.len() as f64);
    println!("  certificates a second on one core for all of them {:>7.0}", 1e3 / (of_server + of_places));
    issued.failures.iter().for_each(|failure| println!("  failed: {failure}"));
    issued.failures.is_empty()
}
