//! RFC 8555, section 7.4: from a ready order to exactly one certificate, by a request that fits it.

use axum::body::Body;
use axum::http::Request;
use ingam_protocol::bytes::{base64url, from_base64url};
use ingam_protocol::profile::MustStaple;
use p521::ecdsa::SigningKey;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, SanType};
use serde_json::{Value, json};

use super::scene::Scene;
use super::{Row, hold, row};
use crate::client::{Key, leaf, nonce, path};
use crate::keys::{OtherKey, csr_of_p521};
use crate::world::PUBLIC_URL;

const NAMES: [&str; 2] = ["a.example.org", "b.example.org"];

/// finalize of a new order of [`NAMES`], all of which are shown.
fn finalize(scene: &Scene, payload: &Value) -> Request<Body> {
    scene.by_account(&scene.ready(&NAMES).finalize(), payload.to_string().as_bytes())
}

fn with_csr(scene: &Scene, der: &[u8]) -> Request<Body> {
    finalize(scene, &json!({ "csr": base64url(der) }))
}

/// A CSR for these names by a new key, with something changed.
fn csr(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    change(&mut params);
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

const FORM_ROWS: &[Row] = &[
    row(
        "finalize as POST-as-GET",
        |scene| scene.by_account(&scene.ready(&NAMES).finalize(), b""),
        400,
        "malformed",
    ),
    row("finalize without a CSR", |scene| finalize(scene, &json!({})), 400, "malformed").saying("is missing"),
    row("a CSR that is a number", |scene| finalize(scene, &json!({ "csr": 1 })), 400, "malformed")
        .saying("must be a string"),
    row(
        "a CSR in an array",
        |scene| finalize(scene, &json!([base64url(&csr(&NAMES, |_| {}))])),
        400,
        "malformed",
    ),
    row("a padded CSR", |scene| finalize(scene, &json!({ "csr": "AAA=" })), 400, "malformed"),
    row(
        "a CSR in PEM",
        |scene| finalize(scene, &json!({ "csr": "-----BEGIN CERTIFICATE REQUEST-----" })),
        400,
        "malformed",
    ),
    row("an empty CSR", |scene| finalize(scene, &json!({ "csr": "" })), 400, "badCSR"),
    row("a CSR that is no DER", |scene| with_csr(scene, b"no request"), 400, "badCSR"),
    row(
        "bytes behind the CSR",
        |scene| with_csr(scene, &[csr(&NAMES, |_| {}), vec![0]].concat()),
        400,
        "badCSR",
    ),
    row(
        "a CSR with a broken signature",
        |scene| {
            let mut der = csr(&NAMES, |_| {});
            *der.last_mut().unwrap() ^= 1;
            with_csr(scene, &der)
        },
        400,
        "badCSR",
    )
    .saying("signature"),
    row(
        "an order that is not ready",
        |scene| {
            let order = scene.order(&NAMES);
            let wish = json!({ "csr": base64url(&csr(&NAMES, |_| {})) });
            scene.by_account(&order.finalize(), wish.to_string().as_bytes())
        },
        403,
        "orderNotReady",
    ),
];

#[test]
fn finalize_takes_one_request_in_der() {
    hold(Scene::new(), FORM_ROWS);
}

/// A CSR that asks for these TLS features (RFC 7633).
fn with_features(scene: &Scene, features: &[u8]) -> Request<Body> {
    let extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], features.to_vec());
    with_csr(scene, &csr(&NAMES, |params| params.custom_extensions.push(extension)))
}

const MUST_STAPLE: &[u8] = b"\x30\x03\x02\x01\x05";

#[test]
fn must_staple_is_the_profiles_to_offer() {
    const REFUSED: &[Row] = &[row(
        "must-staple that no profile offers",
        |scene| with_features(scene, MUST_STAPLE),
        400,
        "badCSR",
    )
    .saying("does not offer: leave it out")];
    hold(Scene::new(), REFUSED);
    const OFFERED: &[Row] = &[
        row("must-staple that the profile offers", |scene| with_features(scene, MUST_STAPLE), 200, ""),
        row("another TLS feature", |scene| with_features(scene, b"\x30\x03\x02\x01\x11"), 400, "badCSR")
            .saying("status_request"),
    ];
    hold(Scene::profiled(|profile| profile.contents.must_staple = MustStaple::Requested), OFFERED);
}

const CONTENT_ROWS: &[Row] = &[
    row("a CSR with a name less", |scene| with_csr(scene, &csr(&NAMES[..1], |_| {})), 400, "badCSR")
        .saying("missing b.example.org"),
    row(
        "a CSR with a name more",
        |scene| with_csr(scene, &csr(&[NAMES[0], NAMES[1], "c.example.org"], |_| {})),
        400,
        "badCSR",
    )
    .saying("not ordered c.example.org"),
    row(
        "a CSR with a wildcard for a name",
        |scene| with_csr(scene, &csr(&[NAMES[0], "*.example.org"], |_| {})),
        400,
        "badCSR",
    ),
    row("a CSR without names", |scene| with_csr(scene, &csr(&[], |_| {})), 400, "badCSR"),
    row(
        "a common name beside the names",
        |scene| {
            with_csr(
                scene,
                &csr(&NAMES, |params| params.distinguished_name.push(DnType::CommonName, "c.example.org")),
            )
        },
        400,
        "badCSR",
    )
    .saying("common name"),
    row(
        "a mail address among the names",
        |scene| {
            let mail = SanType::Rfc822Name("a@example.org".to_owned().try_into().unwrap());
            with_csr(scene, &csr(&NAMES, |params| params.subject_alt_names.push(mail)))
        },
        400,
        "badCSR",
    ),
    row(
        "the account's key in the CSR",
        |scene| {
            let names = NAMES.map(str::to_owned);
            finalize(scene, &json!({ "csr": scene.key.csr(&names) }))
        },
        400,
        "badCSR",
    )
    .saying("account"),
    row(
        "an Ed25519 key in the CSR",
        |scene| {
            let params = CertificateParams::new(NAMES.map(str::to_owned)).unwrap();
            let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
            with_csr(scene, params.serialize_request(&pair).unwrap().der())
        },
        400,
        "badCSR",
    )
    .saying("Ed25519"),
    row(
        "a key on P-521 with a broken signature",
        |scene| {
            let mut der = csr_of_p521(&p521_key(9), &NAMES);
            *der.last_mut().unwrap() ^= 1;
            with_csr(scene, &der)
        },
        400,
        "badCSR",
    )
    .saying("signature"),
    row(
        "a common name that is one of the names",
        |scene| {
            with_csr(
                scene,
                &csr(&NAMES, |params| params.distinguished_name.push(DnType::CommonName, NAMES[1])),
            )
        },
        200,
        "",
    )
    .saying("valid"),
    row(
        "a key on P-384",
        |scene| {
            let mut params = CertificateParams::new(NAMES.map(str::to_owned)).unwrap();
            params.distinguished_name = DistinguishedName::new();
            let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
            with_csr(scene, params.serialize_request(&pair).unwrap().der())
        },
        200,
        "",
    )
    .saying("valid"),
];

#[test]
fn a_request_has_exactly_what_was_ordered() {
    hold(Scene::new(), CONTENT_ROWS);
}

fn p521_key(number: u8) -> SigningKey {
    let OtherKey::Es512(key) = OtherKey::es512(number) else { unreachable!("it makes this kind") };
    *key
}

/// A key on P-521 comes into the certificate bit by bit, past the lint, and revokes it.
#[test]
fn a_key_on_p_521_has_a_certificate_and_revokes_it() {
    let scene = Scene::new();
    let order = scene.ready(&NAMES);
    let key = p521_key(11);
    let request = csr_of_p521(&key, &NAMES);
    let answer = scene.done(&order.finalize(), &json!({ "csr": base64url(&request) }));
    assert_eq!(answer.json()["status"], "valid");
    let chain = scene.done(path(answer.json()["certificate"].as_str().unwrap()), &Value::Null);
    let der = from_base64url(&leaf(&chain)).unwrap();
    let point = crate::keys::point_of(&key);
    assert!(der.windows(point.len()).any(|window| window == point), "the key is in it");

    let key = OtherKey::Es512(Box::new(key));
    let (at, nonce) = ("/revoke-cert", nonce(&scene.process));
    let header =
        json!({ "alg": "ES512", "jwk": key.jwk(), "nonce": nonce, "url": format!("{PUBLIC_URL}{at}") });
    let wish = json!({ "certificate": base64url(&der), "reason": 1 });
    assert_eq!(scene.post(at, &key.sign(&header, wish.to_string().as_bytes())).status, 200);
    let order = scene.ready(&NAMES);
    assert_eq!(scene.ask(&order.finalize(), &json!({ "csr": base64url(&request) })).problem(), "badCSR");
    scene.process.stop();
}

/// RFC 8555, section 7.4: the certificate comes at once, or the order is processing and says when to ask again.
#[test]
fn an_order_is_processing_until_its_certificate_is_there() {
    let scene = Scene::changed(|world| world.policy.finalize_wait = std::time::Duration::ZERO);
    let order = scene.ready(&NAMES);
    scene.world.signer.gate.close(true);
    let csr = |key: &Key| json!({ "csr": key.csr(&order.names) });
    let key = Key::new();
    for request in [csr(&key), csr(&key), csr(&Key::new())] {
        let answer = scene.done(&order.finalize(), &request);
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &json!("processing")));
        assert_eq!(answer.header("location"), format!("https://ca.test{}", order.path));
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        assert!(answer.json().get("certificate").is_none());
    }
    scene.world.signer.gate.close(false);
    scene.process.until("the certificate is there", || scene.process.tasks() == 0);
    let valid = scene.done(&order.path, &Value::Null);
    assert_eq!((&valid.json()["status"], valid.header("retry-after")), (&json!("valid"), ""));
    let again = scene.done(&order.finalize(), &csr(&Key::new()));
    assert_eq!(again.json(), valid.json(), "a finalize that comes late only looks");
    assert_eq!(scene.world.signer.signed().len(), 1);
    scene.process.stop();
}
