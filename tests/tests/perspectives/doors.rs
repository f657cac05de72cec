//! Who may ask a perspective, and how it lives and ends.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use ingam_tests::command::run;
use ingam_tests::http::{Answer, Connection, fetch};
use ingam_tests::operator::{ClientCa, Person};
use ingam_tests::perspective::{Place, ground};
use ingam_tests::server::binary;
use rustix::process::Signal;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};
use tokio::process::Command;

async fn post(
    place: &Place,
    person: &Person,
    trusted: &ClientCa,
    path: &str,
    body: &Value,
) -> Result<Answer, String> {
    let url = format!("{}{path}", place.url());
    let request = Request::post(&url).body(Full::new(Bytes::from(body.to_string()))).expect("a request");
    let mut connection = Connection::to(&url, Some(person.tls(&trusted.path)));
    connection.send(request).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn only_coordinators_with_the_right_certificate_may_ask() {
    let (home, ports, ca) = ground();
    let place = Place::start(home.path(), "place-0", &ca, &ports).await;
    let question = json!({"domain_or_ip_target": "free.perspectives.test"});
    let answer = post(&place, &ca.person("coordinator"), &ca, "/caa", &question).await.expect("an answer");
    assert_eq!(answer.expect(200).json()["check_passed"], true);
    // Of another CA; and with none at all.
    let others = ClientCa::new(home.path(), "others-ca");
    let refused = post(&place, &others.person("stranger"), &ca, "/caa", &question).await;
    assert!(refused.is_err(), "{refused:?}");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&ca.path).expect("a certificate")).expect("an anchor");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let url = format!("{}/livez", place.url());
    let mut nobody = Connection::to(&url, Some(std::sync::Arc::new(tls)));
    assert!(nobody.get(&url).await.is_err(), "a client without certificate gets no answer");
    let named = json!({"domain_or_ip_target": "free.perspectives.test", "dcv_check_parameters":
        {"validation_method": "website-change", "challenge_value": "x", "http_token_path": "y"}});
    let refused = post(&place, &ca.person("coordinator"), &ca, "/dcv", &named).await.expect("an answer");
    assert!(refused.expect(422).json()["errors"][0]["error_message"].as_str().unwrap().contains("it serves"));
}

#[tokio::test]
async fn it_is_watched_and_ends_as_a_ca_does() {
    let (home, ports, ca) = ground();
    let mut place = Place::start(home.path(), "place-0", &ca, &ports).await;
    let watched = |path: &str| format!("http://127.0.0.1:{}{path}", place.metrics);
    assert_eq!(fetch(&watched("/livez")).await.expect("an answer").expect(200).text(), "ok\n");
    let ready = fetch(&watched("/readyz")).await.expect("an answer").expect(200).json();
    assert_eq!(ready["roles"][0]["role"], "validation", "{ready}");
    let question = json!({"domain_or_ip_target": "free.perspectives.test"});
    post(&place, &ca.person("coordinator"), &ca, "/caa", &question).await.expect("an answer").expect(200);
    let metrics = fetch(&watched("/metrics")).await.expect("an answer").expect(200).text();
    assert!(metrics.contains("ingam_validations_total{type=\"caa\",result=\"valid\"} 1"), "{metrics}");
    // A new certificate, from another CA, is shown after SIGHUP.
    let renewed = ClientCa::new(home.path(), "renewed-ca");
    renewed.server("place-0");
    place.signal(Signal::HUP);
    let asked = async || post(&place, &ca.person("coordinator"), &renewed, "/caa", &question).await.is_ok();
    for _ in 0..200 {
        if asked().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(asked().await, "the new certificate is shown");
    place.signal(Signal::TERM);
    assert!(place.ended(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_configuration_is_judged_before_a_start() {
    let (home, ports, ca) = ground();
    let place = Place::start(home.path(), "place-0", &ca, &ports).await;
    let check = async || {
        let mut command = Command::new(binary());
        command.args(["check", "--role", "perspective", "--config"]).arg(home.path().join("place-0.toml"));
        run(&mut command, "").await
    };
    check().await.succeeded();
    ca.server("another");
    std::fs::copy(home.path().join("another.key"), home.path().join("place-0.key"))
        .expect("a writable folder");
    let found = check().await;
    assert_eq!(found.status.code(), Some(1), "{found}");
    assert!(found.said().contains("perspective.key") && found.said().contains("does not belong"), "{found}");
    // Nothing changes for one that runs: what cannot be used is not taken up.
    place.signal(Signal::HUP);
    let question = json!({"domain_or_ip_target": "free.perspectives.test"});
    post(&place, &ca.person("coordinator"), &ca, "/caa", &question).await.expect("an answer").expect(200);
}
