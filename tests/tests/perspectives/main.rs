//! A CA with five perspectives, each a process of its own with another view of the DNS: what a hijacker can show to some of
//! them, and what comes of it; what is on record; perspectives that are gone or hang; who may ask one; and another maker's
//! perspective and coordinator, those of open-mpic-core.
//!
//! Not a failure: the wording of sentences, as long as they name places and say what they saw; how long a validation takes,
//! within the time that perspectives are given.

mod doors;
mod hijack;
mod open_mpic;

use ingam_tests::Error;
use ingam_tests::client::{CertificateRequest, Client, Order, challenge_of};
use ingam_tests::jws::base64url;
use ingam_tests::perspective::Perspectives;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

/// Which views of the DNS are meant: the primary's is 0.
const EVERYBODY: [usize; 6] = [0, 1, 2, 3, 4, 5];

/// Orders a name and has dns-01 looked at, with the right record in these views alone; the order and its authorization then.
async fn proven(all: &Perspectives, client: &mut Client, name: &str, honest: &[usize]) -> (Order, Value) {
    let order = client.order(&[name]).await.expect("an order");
    let url = order.authorizations()[0].clone();
    let authorization = client.read(&url).await.expect("an authorization").json();
    let challenge = challenge_of(&authorization, "dns-01").expect("dns-01 is offered");
    let token = challenge["token"].as_str().expect("a token");
    let key_authorization = format!("{token}.{}", client.key().thumbprint());
    let value = base64url(digest(&SHA256, key_authorization.as_bytes()));
    let views = all.views();
    for view in honest.iter().filter_map(|index| views.get(*index)) {
        view.txt(&format!("_acme-challenge.{name}"), &value);
    }
    let answer = client.post(challenge["url"].as_str().expect("a URL"), &json!({})).await.expect("an answer");
    answer.expect(200);
    let order = client.poll(&order.url, &["pending"]).await.expect("a decision");
    let authorization = client.read(&url).await.expect("an authorization").json();
    (order, authorization)
}

/// The error of its dns-01.
fn error(authorization: &Value) -> (String, String) {
    let error = &challenge_of(authorization, "dns-01").expect("dns-01 is there")["error"];
    let text = |name: &str| error[name].as_str().unwrap_or("").to_owned();
    (text("type").replace("urn:ietf:params:acme:error:", ""), text("detail"))
}

async fn finalized(client: &mut Client, order: &Order, name: &str) -> Result<Order, Error> {
    client.finalize(order, &CertificateRequest::of(&[name]).der).await
}

/// The newest record with this type and text, whole.
async fn record(all: &Perspectives, kind: &str, text: &str) -> Value {
    let search = ["log", "search", "--type", kind, "--text", text, "--limit", "10", "--reason", "a test"];
    let found = all.server.admin_json(&search).await;
    let items = found["items"].as_array().cloned().unwrap_or_default();
    items.last().unwrap_or_else(|| panic!("no record of {kind} has {text}: {found}")).clone()
}
