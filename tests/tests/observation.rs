//! What an operator sees of what clients do: Prometheus metrics, and a log in which a refused client's words lead to
//! its request.
//!
//! The metrics' names and labels are what dashboards are built on, so they are written out here. Not a failure:
//! further metrics and labels, and how log lines are worded.

use std::collections::BTreeSet;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client, challenge_of};
use ingam_tests::http::fetch;
use ingam_tests::ocsp::{self, Hash};
use ingam_tests::server::Server;
use serde_json::{Value, json};

/// The sum of all samples of this name whose labels hold each of these.
fn sample(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let lines = metrics.lines().filter(|line| {
        let rest = line.strip_prefix(name).unwrap_or("");
        rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
    });
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_happened() {
    let server = Server::start().await;
    let url = format!("http://localhost:{}/metrics", server.ports().metrics);
    let before = fetch(&url).await.expect("metrics").expect(200);
    assert!(before.header("content-type").starts_with("text/plain"), "Prometheus reads it: {before}");

    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let request = CertificateRequest::of(&["counted.example.org"]);
    let (_, chain) = client.issue(&["counted.example.org"], &request, &prover).await.expect("a certificate");
    let order = client.order(&["failed.example.org"]).await.expect("an order");
    let authorization = client.read(&order.authorizations()[0]).await.expect("an answer").json();
    let challenge = challenge_of(&authorization, "dns-01").expect("dns-01 is on offer");
    client.post(challenge["url"].as_str().expect("a URL"), &json!({})).await.expect("an answer").expect(200);
    client.poll(&order.url, &["pending"]).await.expect("the order is decided");

    let (responder, status) = (chain.ocsp_url(), ocsp::request_for(&chain, Hash::Sha1));
    let unknown = ocsp::request(chain.issuer(), &[1], Hash::Sha1);
    let mut connection = ocsp::connect(&responder);
    ocsp::get(&mut connection, &responder, &status).await.expect("an answer");
    client.revoke(chain.leaf(), None).await.expect("an answer").expect(200);
    ocsp::get(&mut connection, &responder, &status).await.expect("an answer");
    ocsp::get(&mut connection, &responder, &unknown).await.expect("an answer");

    let metrics = fetch(&url).await.expect("metrics").expect(200).text();
    let counted: [(&str, &[&str], f64); 9] = [
        ("ingam_http_requests_total", &["route=\"/new-order\"", "method=\"POST\"", "status=\"201\""], 2.0),
        ("ingam_http_requests_total", &["route=\"/revoke-cert\"", "status=\"200\""], 1.0),
        ("ingam_orders_total", &["outcome=\"issued\""], 1.0),
        ("ingam_validations_total", &["type=\"http-01\"", "result=\"valid\""], 1.0),
        ("ingam_validations_total", &["type=\"dns-01\""], 1.0),
        ("ingam_signatures_total", &["kind=\"certificate\"", "issuer=\"ecdsa\""], 1.0),
        ("ingam_ocsp_responses_total", &["status=\"good\""], 1.0),
        ("ingam_ocsp_responses_total", &["status=\"revoked\""], 1.0),
        ("ingam_ocsp_responses_total", &["status=\"unauthorized\""], 1.0),
    ];
    for (name, labels, expected) in counted {
        assert_eq!(sample(&metrics, name, labels), expected, "{name} with {labels:?} in\n{metrics}");
    }
    let commits = sample(&metrics, "ingam_store_commit_seconds_count", &[]);
    assert!(commits >= 8.0, "each step of all that was durable: {commits} in\n{metrics}");
    assert!(!metrics.contains("example.org"), "metrics name nobody's domain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_and_the_log_show_the_same_request_id() {
    let server = Server::start().await;
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let url = client.resource("newOrder");
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        let answer = client.post(&url, &json!({"identifiers": []})).await.expect("an answer");
        let document = answer.refused(400, "malformed");
        let log = format!("{}{}", server.output(), server.errors());
        let id = texts(&document).into_iter().find(|text| text.len() >= 8 && log.contains(text.as_str()));
        let id = id.unwrap_or_else(|| panic!("no member of the problem is in the log: {document}"));
        assert!(seen.insert(id), "each request has an id of its own");
    }
    // Standard error is no terminal here, so every line is JSON, for machines to read.
    for line in server.errors().lines() {
        assert!(
            serde_json::from_str::<Value>(line).is_ok_and(|entry| entry.is_object()),
            "a line of the log: {line}"
        );
    }
}

/// The texts of a problem that may be an id, and what is left of them without a URN's prefix.
fn texts(document: &Value) -> Vec<String> {
    let members = document.as_object().expect("an object").iter();
    let others = members.filter(|(name, _)| !["type", "title", "detail", "status"].contains(&name.as_str()));
    let values = others.filter_map(|(_, value)| value.as_str());
    values.map(|text| text.rsplit(':').next().unwrap_or(text).to_owned()).collect()
}
