//! RFC 8555 7.5 and 8, RFC 8737: what a challenge becomes, and what its error tells the person who has to mend it.

use std::time::Duration;

use ingam_tests::challenge::{Prover, WebAnswers, Zone};
use ingam_tests::client::{Client, Order, challenge_of};
use ingam_tests::jws::base64url;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{kept_out, refused_as_one_of, start, web};

/// Takes one challenge up without setting an answer, and waits until the authorization is decided.
async fn let_fail(client: &mut Client, name: &str, kind: &str) -> Value {
    let order = client.order(&[name]).await.expect("an order");
    let url = order.authorizations()[0].clone();
    let authorization = client.read(&url).await.expect("an answer").expect(200).json();
    let challenge = challenge_of(&authorization, kind).expect("a challenge of this type");
    client.post(challenge["url"].as_str().expect("a URL"), &json!({})).await.expect("an answer").expect(200);
    let failed = client.poll(&order.url, &["pending"]).await.expect("the order is decided");
    assert_eq!(failed.status(), "invalid", "one failed challenge ends the order (7.1.6): {}", failed.object);
    let authorization = client.read(&url).await.expect("an answer").expect(200).json();
    assert_eq!(authorization["status"], "invalid", "{authorization}");
    let challenge = challenge_of(&authorization, kind).expect("the challenge that failed is still shown");
    assert_eq!(challenge["status"], "invalid", "{challenge}");

    let answer = client.post(order.finalize(), &json!({"csr": "AAAA"})).await.expect("an answer");
    refused_as_one_of(answer, &["orderNotReady", "badCSR", "malformed"]);
    challenge["error"].clone()
}

/// Asserts the error's type, and that its detail names each of these.
#[track_caller]
fn helps(error: &Value, problems: &[&str], mentions: &[&str]) {
    let kind = error["type"].as_str().unwrap_or("").trim_start_matches("urn:ietf:params:acme:error:");
    assert!(problems.contains(&kind), "this should be one of {problems:?}: {error}");
    let detail = error["detail"].as_str().unwrap_or("");
    for mention in mentions {
        assert!(detail.contains(mention), "the detail tells about {mention}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_01_that_fails() {
    let (server, mut client) = start().await;
    let name = "nobody-listens.example.org";
    let error = let_fail(&mut client, name, "http-01").await;
    helps(&error, &["connection"], &[name]);

    let answers = WebAnswers::listen(server.ports().http).await;
    let name = "not-found.example.org";
    let error = let_fail(&mut client, name, "http-01").await;
    helps(&error, &["unauthorized", "incorrectResponse", "connection"], &[name, "404"]);

    let name = "somebody-else.example.org";
    let order = client.order(&[name]).await.expect("an order");
    let url = order.authorizations()[0].clone();
    let authorization = client.read(&url).await.expect("an answer").json();
    let challenge = challenge_of(&authorization, "http-01").expect("http-01 is on offer");
    let token = challenge["token"].as_str().expect("a token");
    answers.set(token, format!("{token}.anotherThumbprint"));
    client.post(challenge["url"].as_str().expect("a URL"), &json!({})).await.expect("an answer").expect(200);
    assert_eq!(
        client.poll(&order.url, &["pending"]).await.expect("the order is decided").status(),
        "invalid"
    );
    let authorization = client.read(&url).await.expect("an answer").json();
    let challenge = challenge_of(&authorization, "http-01").expect("the challenge is still shown");
    helps(&challenge["error"], &["unauthorized", "incorrectResponse"], &[name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_01_that_fails() {
    let (server, mut client) = start().await;
    let zone = Zone::managed_at(server.ports().dns_management);

    let error = let_fail(&mut client, "no-record.example.org", "dns-01").await;
    helps(&error, &["dns", "unauthorized"], &["_acme-challenge.no-record.example.org"]);

    zone.set_txt("_acme-challenge.wrong.example.org.", "something else").await.expect("the record is set");
    let error = let_fail(&mut client, "wrong.example.org", "dns-01").await;
    helps(&error, &["unauthorized", "incorrectResponse"], &["_acme-challenge.wrong.example.org"]);

    zone.set_servfail("_acme-challenge.broken.example.org.").await.expect("the failure is set");
    let error = let_fail(&mut client, "broken.example.org", "dns-01").await;
    helps(&error, &["dns"], &["_acme-challenge.broken.example.org"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_alpn_01_that_fails() {
    let (_server, mut client) = start().await;
    let error = let_fail(&mut client, "no-tls.example.org", "tls-alpn-01").await;
    helps(&error, &["connection", "tls"], &["no-tls.example.org"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_comes_true() {
    let (server, mut client) = start().await;
    let mut other = Client::registered(&server.site()).await.expect("an account");
    let prover = web(&server).await;

    let order = client.order(&["true.example.org"]).await.expect("an order");
    let url = order.authorizations()[0].clone();
    let authorization = client.read(&url).await.expect("an answer").json();
    let challenge = challenge_of(&authorization, "http-01").expect("http-01 is on offer");
    let challenge_url = challenge["url"].as_str().expect("a URL").to_owned();
    kept_out(other.post(&challenge_url, &json!({})).await.expect("an answer"));

    let ready = client.prove(&order, &prover).await.expect("a proof");
    assert_eq!(ready.status(), "ready");
    let authorization = client.read(&url).await.expect("an answer").expect(200).json();
    assert_eq!(authorization["status"], "valid");
    assert!(
        authorization["expires"].is_string(),
        "a valid authorization says how long (7.1.4): {authorization}"
    );
    let challenge = challenge_of(&authorization, "http-01").expect("the challenge is shown");
    assert_eq!(challenge["status"], "valid");
    assert!(challenge["validated"].is_string(), "{challenge}");
    assert!(challenge.get("error").is_none(), "{challenge}");

    // Telling the server again changes nothing.
    let answer = client.post(&challenge_url, &json!({})).await.expect("an answer").expect(200);
    assert_eq!(answer.json()["status"], "valid");
    let up = answer.header_all("link").iter().any(|link| link.contains("rel=\"up\"") && link.contains(&url));
    assert!(up, "a challenge links to its authorization (7.5.1): {answer}");
    assert_eq!(client.order_at(&order.url).await.expect("the order").status(), "ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_given_back() {
    let (server, mut client) = start().await;
    let prover = web(&server).await;
    let order = client.order(&["given.example.org", "back.example.org"]).await.expect("an order");
    let url = order.authorizations()[0].clone();
    let answer = client.post(&url, &json!({"status": "deactivated"})).await.expect("an answer").expect(200);
    assert_eq!(answer.json()["status"], "deactivated");
    assert_eq!(client.order_at(&order.url).await.expect("the order").status(), "invalid");
    client.post(&url, &json!({"status": "valid"})).await.expect("an answer").refused(400, "malformed");

    // A valid one can be given back too, and is not used for the next order.
    let order = client.order(&["used.example.org"]).await.expect("an order");
    client.prove(&order, &prover).await.expect("a proof");
    let url = order.authorizations()[0].clone();
    client.post(&url, &json!({"status": "deactivated"})).await.expect("an answer").expect(200);
    let next = client.order(&["used.example.org"]).await.expect("an order");
    assert_eq!(next.status(), "pending", "{}", next.object);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_challenges_of_one_name_at_once() {
    let (server, mut client) = start().await;
    let zone = Prover::Dns(Zone::managed_at(server.ports().dns_management));
    let order = client.order(&["both.example.org"]).await.expect("an order");
    let url = order.authorizations()[0].clone();
    let authorization = client.read(&url).await.expect("an answer").json();
    client.begin(&url, &zone).await.expect("dns-01 is taken up");
    // Whatever comes of the second, the authorization is decided once and stays as it was decided.
    let second = challenge_of(&authorization, "http-01").expect("http-01 is on offer");
    let answer = client.post(second["url"].as_str().expect("a URL"), &json!({})).await.expect("an answer");
    assert!(answer.status < 500, "{answer}");
    let decided = client.poll(&order.url, &["pending"]).await.expect("the order is decided");
    sleep(Duration::from_millis(500)).await;
    let later = client.order_at(&order.url).await.expect("the order");
    assert_eq!(later.status(), decided.status(), "a decided order stays decided");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_name_the_account() {
    let (server, mut client) = start().await;
    let zone = Zone::managed_at(server.ports().dns_management);
    let account = client.account();

    // dns-account-01: the digest of the key authorization, at a label of the account's own.
    let order = client.order(&["own-label.example.org"]).await.expect("an order");
    let challenge = challenge(&mut client, &order, "dns-account-01").await;
    let token = challenge["token"].as_str().expect("a token");
    let key_authorization = format!("{token}.{}", client.key().thumbprint());
    let label = base32(&sha256(account.as_bytes())[..10]);
    let host = format!("_{label}._acme-challenge.own-label.example.org.");
    zone.set_txt(&host, &base64url(sha256(key_authorization.as_bytes()))).await.expect("a record");
    assert_eq!(answer(&mut client, &order, &challenge).await, "ready");

    // dns-persist-01: a record that stays, and names CA and account; wildcards need its word.
    let order = client.order(&["*.stays.example.org"]).await.expect("an order");
    let challenge = self::challenge(&mut client, &order, "dns-persist-01").await;
    assert!(challenge["token"].is_string(), "older clients stop without one: {challenge}");
    let issuer = client.directory()["meta"]["caaIdentities"][0].as_str().expect("a name").to_owned();
    let record = format!("{issuer}; accounturi={account}; policy=wildcard");
    zone.set_txt("_validation-persist.stays.example.org.", &record).await.expect("a record");
    assert_eq!(answer(&mut client, &order, &challenge).await, "ready");
}

async fn challenge(client: &mut Client, order: &Order, kind: &str) -> Value {
    let authorization = client.read(&order.authorizations()[0]).await.expect("an answer").expect(200).json();
    challenge_of(&authorization, kind).unwrap_or_else(|| panic!("there is no {kind}: {authorization}"))
}

/// The order's status once the challenge was looked at.
async fn answer(client: &mut Client, order: &Order, challenge: &Value) -> String {
    let url = challenge["url"].as_str().expect("a URL");
    client.post(url, &json!({})).await.expect("an answer").expect(200);
    let decided = client.poll(&order.url, &["pending"]).await.expect("the order is decided");
    decided.status().to_owned()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

/// RFC 4648, section 6, in lower case and without padding.
fn base32(bytes: &[u8]) -> String {
    let bits: Vec<bool> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1 == 1)).collect();
    let letter = |five: &[bool]| five.iter().fold(0, |value, bit| value * 2 + usize::from(*bit));
    bits.chunks(5).map(|five| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[letter(five)])).collect()
}
