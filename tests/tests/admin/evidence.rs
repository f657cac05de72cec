//! What a certificate rests on, from the running CA: everything that was seen for http-01 and dns-01, in words and as JSON;
//! of control that is used again, what was seen then; and that the look is on record.

use ingam_tests::challenge::{Prover, WebAnswers, Zone};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::server::Server;
use serde_json::Value;

use crate::{access_records, server_with_operators};

async fn evidence(server: &Server, serial: &str) -> Value {
    server.admin_json(&["evidence", serial, "--reason", "a yearly audit"]).await
}

fn record<'a>(evidence: &'a Value, id: &Value) -> &'a Value {
    let records = evidence["records"].as_array().expect("a list");
    &records.iter().find(|record| record["id"] == *id).expect("the record that is named")["payload"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_tells_what_it_rests_on() {
    let (server, _ca) = server_with_operators(|_| String::new()).await;
    let web = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let dns = Prover::Dns(Zone::managed_at(server.ports().dns_management));
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let name = "www.example.org";
    let request = CertificateRequest::of(&[name]);
    let first = client.issue(&[name], &request, &web).await.expect("a certificate").1.serial_hex();
    let wildcard = CertificateRequest::of(&["*.example.net"]);
    let other =
        client.issue(&["*.example.net"], &wildcard, &dns).await.expect("a certificate").1.serial_hex();

    let told = evidence(&server, &first).await;
    assert!(told.get("missing").is_none(), "{told}");
    let one = &told["identifiers"][0];
    assert_eq!((&one["challenge"], &one["section"]), (&"http-01".into(), &"3.2.2.4.19".into()));
    assert!(one.get("authorization_domain").is_none(), "{one}");
    let seen = record(&told, &one["validation"]);
    let hop = &seen["seen"]["hops"][0];
    let url = hop["url"].as_str().expect("a URL");
    assert!(
        url.starts_with("http://www.example.org") && url.contains("/.well-known/acme-challenge/"),
        "{url}"
    );
    assert_eq!((&hop["status"], &hop["address_used"]), (&200.into(), &"127.0.0.1".into()));
    assert!(hop["addresses_resolved"].as_array().expect("a list").contains(&"127.0.0.1".into()), "{hop}");
    assert_eq!(seen["caa"]["lookups"][0]["record_type"], "CAA");
    let prepared = record(&told, &told["prepared"]);
    assert_eq!(prepared["authorizations"][0]["validation"], one["validation"]);
    assert_eq!(prepared["caa"][0]["name"], name);

    let told = evidence(&server, &other).await;
    let one = &told["identifiers"][0];
    assert_eq!((&one["challenge"], &one["section"]), (&"dns-01".into(), &"3.2.2.4.7".into()));
    assert_eq!(one["authorization_domain"], "example.net");
    let lookups = record(&told, &one["validation"])["seen"]["lookups"].as_array().expect("a list");
    let txt = lookups.iter().find(|lookup| lookup["record_type"] == "TXT").expect("a look at TXT");
    assert_eq!(txt["name"], "_acme-challenge.example.net");
    assert_eq!(txt["values"].as_array().expect("a list").len(), 1);

    // Used again: another certificate, and the same record of what was seen.
    let order = client.order(&[name]).await.expect("an order");
    assert_eq!(order.status(), "ready");
    let again = client.finalize(&order, &CertificateRequest::of(&[name]).der).await.expect("a certificate");
    let again = client.certificate(&again).await.expect("a certificate").serial_hex();
    assert_ne!(again, first);
    let (old, new) = (evidence(&server, &first).await, evidence(&server, &again).await);
    assert_eq!(old["identifiers"][0]["validation"], new["identifiers"][0]["validation"]);
    assert_ne!(old["prepared"], new["prepared"]);

    let text = server.admin(&["evidence", &other, "--reason", "a yearly audit"]).await.succeeded().text();
    for words in [
        "dns-01 (BR 3.2.2.4.7)",
        "TXT _acme-challenge.example.net: NOERROR",
        "CAA before the signature",
        "key authorization",
        "issuance/validation_finished",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let looks = access_records(&server, "cert.evidence").await;
    let looks: Vec<_> = looks.iter().filter(|record| record["payload"]["act"] == "cert.evidence").collect();
    assert_eq!(looks.len(), 5, "{looks:?}");
    assert!(looks.iter().all(|record| record["payload"]["reason"] == "a yearly audit"), "{looks:?}");
}
