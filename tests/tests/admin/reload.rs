//! The configuration read again: what is put in force at once, what waits for a restart, and mistakes, which change nothing.

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::jws::Key;
use ingam_tests::server::Server;
use rustix::process::Signal;
use serde_json::Value;

use crate::until;

fn profile(name: &str, description: &str) -> String {
    format!("[profiles.{name}]\ndescription = \"{description}\"\nissuer = \"ecdsa\"\nvalidity_s = 604800\n")
}

/// The profiles as the ACME directory tells them now.
async fn profiles(server: &Server) -> Value {
    let client = Client::new(&server.site(), Key::es256()).await.expect("a directory");
    client.directory()["meta"]["profiles"].clone()
}

/// The weights of the issuers of `classic`.
fn weights(ecdsa: u16, rsa: u16) -> String {
    format!("[profiles.classic]\nissuer = \"\"\nissuers = {{ ecdsa = {ecdsa}, rsa = {rsa} }}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_issuer_takes_over_without_a_restart() {
    let mut server = Server::start().await;
    let web = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let mut chains = Vec::new();
    for (ecdsa, rsa, signer) in [(1, 0, "ecdsa"), (0, 1, "rsa")] {
        server.reconfigure(&weights(ecdsa, rsa));
        server.admin_json(&["reload", "--reason", "another issuer"]).await;
        let name = format!("{signer}.example.org");
        let request = CertificateRequest::of(&[&name]);
        let (_, chain) = client.issue(&[&name], &request, &web).await.expect("a certificate");
        assert!(chain.issuer_url().ends_with(&format!("/{signer}.crt")), "{}", chain.issuer_url());
        server.openssl().verify(&chain, &[&name]).await;
        chains.push(chain);
    }
    // Whoever stands by still answers for what it signed.
    for chain in &chains {
        server.openssl().status(chain).await.is_good();
    }
    server.reconfigure(&weights(0, 0));
    let told = server.admin(&["reload", "--reason", "nobody"]).await;
    assert!(
        told.stderr.contains("profiles.classic.issuers") && told.stderr.contains("nobody signs"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_change_at_once_and_mistakes_change_nothing() {
    let mut server = Server::start().await;
    let usual = profiles(&server).await;
    assert!(usual["short"].is_null(), "{usual}");

    server.reconfigure(&profile("short", "7 days"));
    assert_eq!(profiles(&server).await, usual, "nothing changes before the process is told");
    server.signal(Signal::HUP);
    until("the directory has the new profile", async || profiles(&server).await["short"] == "7 days").await;
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let further = serde_json::json!({"profile": "short"});
    client.order_with(&["short.example.org"], further).await.expect("an order of the new profile");

    server.reconfigure(&profile("short", "one week"));
    let reload = server.admin_json(&["reload", "--reason", "plainer words"]).await;
    assert_eq!(reload["changed"], serde_json::json!(["profiles.short.description"]));
    assert_eq!(reload["needs_restart"], serde_json::json!([]));
    assert_eq!(profiles(&server).await["short"], "one week", "it is in force once the command has ended");

    // A mistake keeps everything else in the file from being put in force.
    let broken = format!("{}\n[limits]\nbody_bytes_max = 0\nno_such_key = 1\n", profile("other", "another"));
    server.reconfigure(&broken);
    let told = server.admin(&["reload", "--reason", "a mistake"]).await;
    assert_eq!(told.status.code(), Some(2), "{told}");
    for key in ["limits.body_bytes_max", "limits.no_such_key", "nothing was changed"] {
        assert!(told.stderr.contains(key), "every mistake is told, {key} too: {told}");
    }
    server.signal(Signal::HUP);
    until("the log has the mistakes", async || server.errors().contains("limits.no_such_key")).await;
    let now = profiles(&server).await;
    assert!(now["other"].is_null() && now["short"] == "one week", "{now}");
    let records = server
        .admin_json(&["log", "search", "--class", "access_log", "--text", "\"reload\"", "--reason", "a test"])
        .await;
    let outcomes: Vec<&Value> = records["items"]
        .as_array()
        .expect("records")
        .iter()
        .map(|record| &record["payload"]["outcome"])
        .collect();
    assert_eq!(outcomes, ["done", "refused"], "{records}");

    // What cannot change without a restart is named, and what can is in force nevertheless.
    server.reconfigure(&format!("{}\n[responder]\nocsp_max_age_s = 100\n", profile("other", "another")));
    let reload = server.admin_json(&["reload", "--reason", "two things"]).await;
    assert_eq!(reload["needs_restart"], serde_json::json!(["responder.ocsp_max_age_s"]));
    let now = profiles(&server).await;
    assert!(now["short"].is_null() && now["other"] == "another", "{now}");
    server.restart().await;
    let reload = server.admin_json(&["reload", "--reason", "nothing is left"]).await;
    assert_eq!(
        (&reload["changed"], &reload["needs_restart"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
    let lifecycle =
        server.admin_json(&["log", "search", "--type", "configuration_changed", "--reason", "a test"]).await;
    assert!(lifecycle["items"].as_array().expect("records").len() >= 3, "changes are on record: {lifecycle}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_list_keeps_the_old_one() {
    let mut server = Server::start().await;
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("blocked");
    let write = |text: &str| std::fs::write(&list, text).expect("a writable folder");
    write("www.bank.example # asked for\n");
    server.reconfigure(&format!("[issuance]\nnames_blocked_file = {:?}\n", list.display().to_string()));
    server.admin(&["reload", "--reason", "a list"]).await.succeeded();
    let order = |name: &str| serde_json::json!({"identifiers": [{"type": "dns", "value": name}]});
    let url = client.resource("newOrder");
    let answer = client.post(&url, &order("www.bank.example")).await.expect("an answer");
    let status = answer.status;
    answer.refused(status, "rejectedIdentifier");

    write("www.shop.example\nno name\n");
    let told = server.admin(&["reload", "--reason", "a slip"]).await;
    assert_eq!(told.status.code(), Some(2), "{told}");
    assert!(told.stderr.contains("line 2 has \"no name\""), "{told}");
    client.order(&["www.shop.example"]).await.expect("an order, as the list is the old one");
    let answer = client.post(&url, &order("www.bank.example")).await.expect("an answer");
    let status = answer.status;
    answer.refused(status, "rejectedIdentifier");

    write("*.shop.example\n");
    let reload = server.admin_json(&["reload", "--reason", "put right"]).await;
    assert_eq!(reload["changed"], serde_json::json!(["issuance.names_blocked_file"]));
    client.order(&["www.bank.example"]).await.expect("an order, as it is blocked no more");
    let answer = client.post(&url, &order("www.shop.example")).await.expect("an answer");
    let status = answer.status;
    answer.refused(status, "rejectedIdentifier");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_refused_count_at_the_next_order() {
    let mut server = Server::start().await;
    let mut client = Client::registered(&server.site()).await.expect("an account");
    client.order(&["www.forbidden.example"]).await.expect("an order, as nobody has forbidden it yet");
    server.reconfigure("[issuance]\nnames_refused = [\"forbidden.example\"]\n");
    server.admin(&["reload", "--reason", "sued over"]).await.succeeded();
    let order = serde_json::json!({"identifiers": [{"type": "dns", "value": "www.forbidden.example"}]});
    let url = client.resource("newOrder");
    let answer = client.post(&url, &order).await.expect("an answer");
    let status = answer.status;
    let problem = answer.refused(status, "rejectedIdentifier");
    assert!(problem["detail"].as_str().unwrap_or("").contains("forbidden.example"), "{problem}");
    client.order(&["www.allowed.example"]).await.expect("other names are as before");
    server.reconfigure("");
    server.admin(&["reload", "--reason", "settled"]).await.succeeded();
    client.order(&["www.forbidden.example"]).await.expect("an order, as it is allowed again");
}
