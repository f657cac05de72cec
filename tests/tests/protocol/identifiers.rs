//! RFC 8738, RFC 9444 and profiles: certificates for addresses, for names of a domain that was shown once, and with dates and
//! pointers as the order and the profile have them.

use ingam_tests::challenge::{Prover, Zone};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::server::Server;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::{start, web};

#[tokio::test(flavor = "multi_thread")]
async fn an_address_and_a_name_in_one_certificate() {
    let (server, mut client) = start().await;
    let names = ["127.0.0.1", "with-address.example.org"];
    let request = CertificateRequest::of(&names);
    let prover = web(&server).await;
    let (order, chain) = client.issue(&names, &request, &prover).await.expect("a certificate");
    let identifiers = order.object["identifiers"].as_array().expect("a list");
    assert!(identifiers.contains(&json!({"type": "ip", "value": "127.0.0.1"})), "{}", order.object);
    assert_eq!(chain.names(), names);
    server.openssl().verify(&chain, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_beyond_the_policy_is_refused() {
    let (_server, mut client) = start().await;
    let payload = json!({"identifiers": [{"type": "ip", "value": "2001:DB8::1"}]});
    let answer = client.post(&client.resource("newOrder"), &payload).await.expect("an answer");
    let problem = answer.refused(400, "rejectedIdentifier");
    assert_eq!(problem["subproblems"][0]["identifier"]["type"], "ip", "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_shown_once_for_its_names() {
    let (server, mut client) = start().await;
    assert_eq!(client.directory()["meta"]["subdomainAuthAllowed"], true);
    let authorization = pre_authorize(&server, &mut client, "whole.example.org").await;
    assert_eq!(authorization["subdomainAuthAllowed"], true, "{authorization}");

    let names = ["*.deep.whole.example.org", "a.whole.example.org", "whole.example.org"];
    let order = client.order(&names).await.expect("an order");
    assert_eq!(order.status(), "ready", "{}", order.object);
    assert_eq!(order.authorizations().len(), 1, "one for all of them: {}", order.object);
    let request = CertificateRequest::of(&names);
    let order = client.finalize(&order, &request.der).await.expect("a certificate");
    assert_eq!(client.certificate(&order).await.expect("a chain").names(), names);

    let other = client.order(&["wholly.example.org"]).await.expect("an order");
    assert_eq!(other.status(), "pending", "this is another domain: {}", other.object);
}

/// Shows control of a whole domain, ahead of any order.
async fn pre_authorize(server: &Server, client: &mut Client, domain: &str) -> Value {
    let identifier = json!({"type": "dns", "value": domain, "subdomainAuthAllowed": true});
    let url = client.resource("newAuthz");
    let made = client.post(&url, &json!({"identifier": identifier})).await.expect("an answer").expect(201);
    let url = made.header("location").to_owned();
    let kinds = made.json()["challenges"].as_array().expect("a list").clone();
    assert!(kinds.iter().all(|one| one["type"].as_str().is_some_and(|kind| kind.starts_with("dns-"))));
    let zone = Prover::Dns(Zone::managed_at(server.ports().dns_management));
    client.begin(&url, &zone).await.expect("an answer");
    let authorization = client.poll(&url, &["pending"]).await.expect("the authorization");
    assert_eq!(authorization.object["status"], "valid", "{}", authorization.object);
    authorization.object
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_lived_certificate_points_to_its_crl_alone() {
    let (server, mut client) = start().await;
    let prover = web(&server).await;
    let names = ["short.example.org"];
    let order = client.order_with(&names, json!({"profile": "shortlived"})).await.expect("an order");
    let order = client.prove(&order, &prover).await.expect("a ready order");
    let order = client.finalize(&order, &CertificateRequest::of(&names).der).await.expect("a certificate");
    let chain = client.certificate(&order).await.expect("a chain");
    let leaf = chain.parsed();
    let validity = leaf.validity();
    assert_eq!(validity.not_after.timestamp() - validity.not_before.timestamp() + 1, 160 * 60 * 60);
    let has = |oid: &str| leaf.extensions().iter().any(|extension| extension.oid.to_id_string() == oid);
    assert!(has("2.5.29.31"), "a CRL distribution point");
    let ocsp =
        leaf.tbs_certificate.as_ref().windows(8).any(|octets| octets == b"\x2b\x06\x01\x05\x05\x07\x30\x01");
    assert!(!ocsp, "no pointer to OCSP");
    assert!(chain.issuer_url().ends_with(".crt"), "the issuer is still named");
    server.openssl().verify(&chain, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wished_dates_are_those_of_the_certificate() {
    let (server, mut client) = start().await;
    let prover = web(&server).await;
    let names = ["dated.example.org"];
    // An order ends in a week: a moment that the server itself knows, and that a certificate may end at.
    let until = client.order(&names).await.expect("an order").object["expires"].clone();
    let order = client.order_with(&names, json!({"notAfter": until})).await.expect("an order");
    assert_eq!(order.object["notAfter"], until, "{}", order.object);
    let order = client.prove(&order, &prover).await.expect("a ready order");
    let order = client.finalize(&order, &CertificateRequest::of(&names).der).await.expect("a certificate");
    let chain = client.certificate(&order).await.expect("a chain");
    let found = chain.parsed().validity().not_after.to_datetime();
    assert_eq!(json!(found.format(&Rfc3339).expect("a time")), until);
}
