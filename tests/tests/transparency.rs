//! Certificate transparency of the real process: the logs for tests that `ingam dev` runs, and the list that is read again.
//!
//! How logs are asked, and what becomes of those that fail, is told in crates/transparency/tests. Not a failure: how long it takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use ingam_protocol::transparency::{Entry, LogKey, issuer_key_hash, scts_of, tbs_of};
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::http::{Answer, Connection, fetch};
use ingam_tests::server::{Server, Setup};
use serde_json::{Value, json};

/// A profile whose certificates go to logs.
const LOGGED: &str = "[profiles.logged]\ndescription = \"in logs\"\nissuer = \"ecdsa\"\nvalidity_s = 7776000\n\
                      transparency = \"required\"\n";

fn url(server: &Server, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", server.ports().ct_log)
}

async fn get(server: &Server, path: &str) -> Value {
    fetch(&url(server, path)).await.expect("an answer").expect(200).json()
}

async fn post(server: &Server, path: &str, body: &Value) -> Result<Answer, ingam_tests::error::Error> {
    let url = url(server, path);
    let request = Request::post(&url).body(Full::new(Bytes::from(body.to_string()))).expect("a request");
    Connection::to(&url, None).send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_for_tests_take_what_this_ca_issues() {
    let mut server = Server::start().await;
    let list = get(&server, "/log-list.json").await;
    let of = |operator: usize, kind: &str| list["operators"][operator][kind].as_array().map_or(0, Vec::len);
    assert_eq!([of(0, "logs"), of(0, "tiled_logs"), of(1, "logs"), of(1, "tiled_logs")], [1, 1, 1, 0]);
    let first = list["operators"][0]["logs"][0]["url"].as_str().expect("a URL").to_owned();
    assert_eq!(first, url(&server, "/a/"));

    let mut client = Client::registered(&server.site()).await.expect("an account");
    let web = WebAnswers::listen(server.ports().http).await;
    let names = ["logged.example.org"];
    let request = CertificateRequest::of(&names);
    let (_, chain) = client.issue(&names, &request, &Prover::Http(web)).await.expect("a certificate");
    let chain = [chain.leaf(), chain.issuer()].map(|der| STANDARD.encode(der));
    let chain = json!({ "chain": chain });
    for log in ["a", "b", "c"] {
        let sct = post(&server, &format!("/{log}/ct/v1/add-chain"), &chain).await.expect("an answer");
        let sct = sct.expect(200).json();
        assert_eq!(sct["extensions"].as_str().expect("extensions").is_empty(), log != "c", "{sct}");
    }
    assert_eq!(get(&server, "/a/ct/v1/get-sth").await["tree_size"], 1);
    let note = fetch(&url(&server, "/c/checkpoint")).await.expect("an answer").expect(200).text();
    assert!(note.starts_with(&format!("127.0.0.1:{}/c\n1\n", server.ports().ct_log)), "{note}");
    let refused = post(&server, "/a/ct/v1/add-pre-chain", &chain).await.expect("an answer").expect(400);
    assert!(refused.text().contains("has the poison"), "{refused}");

    let closing = json!({ "log": "b", "mood": "closes" });
    post(&server, "/set-manner", &closing).await.expect("an answer").expect(200);
    assert!(post(&server, "/b/ct/v1/add-chain", &chain).await.is_err(), "it closes");
    let metrics = format!("http://localhost:{}/metrics", server.ports().metrics);
    let metrics = fetch(&metrics).await.expect("metrics").expect(200).text();
    assert!(metrics.contains("ingam_transparency_list_timestamp_seconds 1"), "{metrics}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_again_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log_list.json");
    // Another CA's logs for tests: a list is a list.
    let mut other = Server::start().await;
    let mut list = get(&other, "/log-list.json").await;
    let write = |list: &Value| std::fs::write(&path, list.to_string()).expect("a file");
    write(&list);
    let further_config = format!("[transparency]\nlog_list = {:?}\n{LOGGED}", path.display().to_string());
    let mut server = Server::start_with(Setup { further_config, ..Setup::new() }).await;

    let reload = server.admin_json(&["reload", "--reason", "the same list"]).await;
    assert_eq!(reload["changed"], json!([]));
    let made = list["log_list_timestamp"].as_str().expect("a moment").to_owned();
    list["log_list_timestamp"] = json!(made.replace('Z', "-00:01"));
    write(&list);
    let reload = server.admin_json(&["reload", "--reason", "another list"]).await;
    assert_eq!(reload["changed"], json!(["transparency.log_list"]));
    for (member, value, words) in [
        ("log_list_timestamp", json!("2026-01-01T00:00:00Z"), "70 days"),
        ("operators", json!([list["operators"][0]]), "are needed"),
        ("operators", json!(null), "it is no such list"),
    ] {
        let mut bad = list.clone();
        bad[member] = value;
        write(&bad);
        let told = server.admin(&["reload", "--reason", "a bad list"]).await;
        assert!(told.status.code() == Some(2) && told.stderr.contains(words), "{words}: {told}");
    }
    server.stop().await;
    other.stop().await;
}

/// The whole way: a precertificate in the logs, their SCTs in the certificate, each signed by the log that it names, and the
/// certificate in the logs afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_a_profile_that_wants_logs_carry_what_these_promised() {
    let mut server = Server::start_with(Setup { further_config: LOGGED.to_owned(), ..Setup::new() }).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let name = "logged.example.org";
    let order = client.order_with(&[name], json!({ "profile": "logged" })).await.expect("an order");
    let order = client.prove(&order, &prover).await.expect("control");
    let order = client.finalize(&order, &CertificateRequest::of(&[name]).der).await.expect("a certificate");
    let chain = client.certificate(&order).await.expect("its chain");

    let list = get(&server, "/log-list.json").await;
    let operators = list["operators"].as_array().expect("operators");
    let logs = operators.iter().flat_map(|operator| {
        let of = |kind: &str| operator[kind].as_array().cloned().unwrap_or_default();
        [of("logs"), of("tiled_logs")].concat()
    });
    let keys: Vec<LogKey> = logs
        .map(|log| STANDARD.decode(log["key"].as_str().expect("a key")).expect("base64"))
        .map(|spki| LogKey::from_spki(&spki).expect("a log's key"))
        .collect();
    let scts = scts_of(tbs_of(chain.leaf()).expect("a certificate")).expect("SCTs");
    assert_eq!(scts.scts().len(), 2);
    let issuer_key_hash = issuer_key_hash(chain.issuer()).expect("a certificate");
    let entry = Entry::embedded(chain.leaf(), issuer_key_hash).expect("an entry");
    for sct in scts.scts() {
        let key = keys.iter().find(|key| key.id() == sct.log).expect("a log of the list");
        key.verify(sct, &entry).expect("the log's own signature");
    }
    let metrics = format!("http://localhost:{}/metrics", server.ports().metrics);
    let metrics = fetch(&metrics).await.expect("metrics").expect(200).text();
    assert!(metrics.contains("ingam_transparency_submissions_total"), "{metrics}");
    // The record of the precertificate is there for auditors.
    let records =
        server.admin_json(&["log", "search", "--type", "precertificate_issued", "--reason", "a test"]).await;
    assert_eq!(records["items"].as_array().map(Vec::len), Some(1), "{records}");
    server.stop().await;
}
