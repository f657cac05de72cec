//! RFC 8555, section 7.4.2: downloading a certificate.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::Value;

use super::scene::Scene;
use super::{Row, hold, row};
use crate::answer::plain;
use crate::client::{Key, ask, register};
use crate::world::PUBLIC_URL;

/// A certificate asked for with this `Accept`.
fn accepting(scene: &Scene, media_type: &str) -> Request<Body> {
    let mut request = scene.by_account(&scene.certificate(&Key::new(), &["a.example.org"]).0, b"");
    request.headers_mut().insert("accept", media_type.parse().unwrap());
    request
}

const ROWS: &[Row] = &[
    row("a chain in PEM", |scene| accepting(scene, "application/pem-certificate-chain"), 200, ""),
    row("anything", |scene| accepting(scene, "*/*"), 200, ""),
    row(
        "a chain among others",
        |scene| accepting(scene, "text/html, application/pem-certificate-chain;q=0.1"),
        200,
        "",
    ),
    row("DER", |scene| accepting(scene, "application/pkix-cert"), 406, "malformed"),
    row(
        "a certificate that is not there",
        |scene| scene.by_account("/certificate/ecdsa/4001", b""),
        404,
        "malformed",
    ),
    row(
        "a certificate of an issuer that is not there",
        |scene| scene.by_account("/certificate/nobody/4001", b""),
        404,
        "malformed",
    ),
];

#[test]
fn a_certificate_comes_in_pem() {
    hold(Scene::new(), ROWS);
}

#[test]
fn the_chain_begins_with_the_leaf_and_ends_below_the_root() {
    let scene = Scene::new();
    let (at, leaf) = scene.certificate(&Key::new(), &["a.example.org"]);
    let answer = scene.done(&at, &Value::Null);
    assert_eq!(answer.header("content-type"), "application/pem-certificate-chain");
    assert!(answer.links().contains(&"<https://ca.test/issuer/ecdsa>;rel=\"up\""), "{answer:?}");
    let text = String::from_utf8(answer.body).unwrap();
    // The one issuing CA, which the root signed; the root itself is for the client to have.
    assert_eq!(text.matches("-----BEGIN CERTIFICATE-----").count(), 2);
    assert_eq!(text.matches("-----END CERTIFICATE-----\n").count(), 2);
    assert!(!leaf.is_empty() && !text.contains('\r'));
    scene.process.stop();
}

/// By whatever way a client follows the link, and for anybody.
#[test]
fn the_link_up_leads_to_the_issuers_certificate() {
    let scene = Scene::new();
    let (at, _) = scene.certificate(&Key::new(), &["a.example.org"]);
    let chain = String::from_utf8(scene.done(&at, &Value::Null).body).unwrap();
    let signed = scene.done("/issuer/ecdsa", &Value::Null);
    let asked = plain(&scene.process, Method::GET, "/issuer/ecdsa");
    assert_eq!((asked.status.as_u16(), asked.header("content-type")), (200, "application/pkix-cert"));
    assert!(chain.ends_with(&ingam_protocol::pem::certificate(&asked.body)), "the chain's second");
    assert_eq!(
        (signed.status.as_u16(), signed.header("content-type")),
        (200, "application/pem-certificate-chain")
    );
    assert!(chain.ends_with(std::str::from_utf8(&signed.body).unwrap()), "the chain's second");
    assert_eq!(plain(&scene.process, Method::GET, "/issuer/nobody").status, 404);
    scene.process.stop();
}

#[test]
fn a_certificate_is_its_accounts() {
    let scene = Scene::new();
    let (at, _) = scene.certificate(&Key::new(), &["a.example.org"]);
    let others = register(&scene.process, &scene.other);
    let foreign = ask(&scene.process, &scene.other, Some(&others), &at, &Value::Null);
    assert_eq!((foreign.status.as_u16(), foreign.problem().as_str()), (404, "malformed"));
    assert!(others.starts_with(PUBLIC_URL));
    scene.process.stop();
}
