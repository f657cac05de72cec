//! RFC 8555, section 7.4.2: downloading a certificate.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use ingam_protocol::Findings;
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_signer::hierarchy::Protection;
use ingam_signer::{Hierarchy, Passphrase, ceremony};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use super::scene::Scene;
use super::{Row, hold, row};
use crate::answer::plain;
use crate::client::{Key, ask, register};
use crate::world::{PUBLIC_URL, World, hierarchy, start};

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

/// How long the cross-certificate of [`two_roots`] lasts.
const CROSS_VALIDITY: Duration = Duration::from_secs(10 * 86_400);

/// A hierarchy whose root another, older root has certified too.
fn two_roots() -> Hierarchy {
    let folder = tempfile::tempdir().unwrap();
    let made = hierarchy();
    made.save(folder.path(), &Protection::default(), &SeededRandom::new(1)).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut old = CertificateParams::default();
    old.distinguished_name.push(DnType::CommonName, "The old root");
    old.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    old.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    old.not_before = start().to_date_time();
    old.not_after = start().plus(CROSS_VALIDITY).to_date_time();
    let old_root = old.self_signed(&key).unwrap();
    std::fs::write(folder.path().join("old-root.pem"), old_root.pem()).unwrap();
    std::fs::write(folder.path().join("old-root.key"), key.serialize_pem()).unwrap();
    cross_certify(folder.path());
    let files = ["old-root.pem", "cross.pem"].map(|name| folder.path().join(name));
    made.add_chains(folder.path(), &files).unwrap().take_up().unwrap();
    Hierarchy::load(folder.path(), None).unwrap()
}

/// Has the old root certify the hierarchy's own.
fn cross_certify(folder: &Path) {
    let file = serde_json::from_value(json!({
        "kind": "cross-certificate",
        "public": false,
        "present": ["a test"],
        "issuer": { "certificate": "old-root.pem", "key": "old-root.key" },
        "certificate": { "existing": "roots/root.pem", "validity_days": 9, "file": "cross.pem" },
    }));
    let mut found = Findings::new();
    let plan = ceremony::Plan::of(&file.unwrap(), folder, &mut found);
    let setting = &mut ceremony::Setting {
        clock: &FixedClock::new(start()),
        random: &SeededRandom::new(2),
        passphrases: &mut Nobody,
        program: "a test",
        input: b"",
        input_name: "",
        folder,
        transcript: &folder.join("transcript"),
        is_rehearsal: false,
    };
    ceremony::hold(&plan.unwrap(), setting).unwrap().write().unwrap();
}

/// No key here is encrypted.
struct Nobody;

impl ceremony::Passphrases for Nobody {
    fn existing(&mut self, _: &ceremony::KeyPlace) -> Result<Passphrase, ingam_signer::Error> {
        unreachable!()
    }

    fn new_one(&mut self, _: &ceremony::KeyPlace) -> Result<Passphrase, ingam_signer::Error> {
        unreachable!()
    }
}

/// Section 7.4.2: further chains are named by links, and begin with the same leaf.
#[test]
fn every_chain_names_the_others() {
    let scene = Scene::of(World::new(two_roots(), 1));
    let (at, _) = scene.certificate(&Key::new(), &["a.example.org"]);
    let (usual, other) = (format!("{PUBLIC_URL}{at}"), format!("{PUBLIC_URL}{at}/1"));
    let alternate = |url: &str| format!("<{url}>;rel=\"alternate\"");
    let first = scene.done(&at, &Value::Null);
    assert!(first.links().contains(&alternate(&other).as_str()), "{first:?}");
    let second = scene.done(&format!("{at}/1"), &Value::Null);
    assert_eq!(second.header("content-type"), "application/pem-certificate-chain");
    assert!(second.links().contains(&alternate(&usual).as_str()), "{second:?}");
    assert!(!second.links().contains(&alternate(&other).as_str()), "no chain names itself: {second:?}");
    let [first, second] = [first, second].map(|answer| String::from_utf8(answer.body).unwrap());
    // The leaf and its issuer are the same; the cross-certificate comes behind.
    assert!(
        second.starts_with(&first) && second.matches("-----BEGIN CERTIFICATE-----").count() == 3,
        "{second}"
    );
    for unknown in ["0", "2", "x", "-1", "99999999999999999999"] {
        let answer =
            ask(&scene.process, &scene.key, Some(&scene.kid), &format!("{at}/{unknown}"), &Value::Null);
        assert_eq!(answer.status, 404, "{unknown}");
    }
    assert_eq!(plain(&scene.process, Method::GET, &format!("{at}/1")).status, 405);
    // A chain with a certificate that has ended is offered no more.
    scene.world.clock.advance(CROSS_VALIDITY);
    let first = scene.done(&at, &Value::Null);
    assert!(!first.links().iter().any(|link| link.contains("alternate")), "{first:?}");
    let gone = ask(&scene.process, &scene.key, Some(&scene.kid), &format!("{at}/1"), &Value::Null);
    assert_eq!(gone.status, 404);
    scene.process.stop();
}
