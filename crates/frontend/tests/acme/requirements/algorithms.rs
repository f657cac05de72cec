//! RFC 8555, section 6.2; RFC 7518, section 3; RFC 8037: which algorithms sign, each with its own kind of key alone.

use axum::body::Body;
use axum::http::Request;
use ingam_protocol::bytes::{base64url, from_base64url};
use serde_json::{Value, json};

use super::scene::Scene;
use super::{Row, hold, row};
use crate::answer::{jose, post};
use crate::client::{flattened, nonce, path};
use crate::keys::OtherKey;
use crate::world::{PUBLIC_URL, Process};

/// The account's request with this for an algorithm, signed all the same.
fn said(scene: &Scene, algorithm: &str) -> Request<Body> {
    scene.headed(&scene.header_with(scene.account(), "alg", json!(algorithm)))
}

/// Under "none", as RFC 7515, appendix A.5, writes it: with nothing for a signature.
fn unsecured(scene: &Scene) -> Request<Body> {
    let header = scene.header_with(scene.account(), "alg", json!("none"));
    jose(scene.account(), flattened(&header, b"", |_| Vec::new()).to_string())
}

/// A MAC under the public key, which everybody knows.
fn mac(scene: &Scene) -> Request<Body> {
    let header = scene.header_with(scene.account(), "alg", json!("HS256"));
    let known = scene.key.jwk().to_string();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, known.as_bytes());
    let sign = |input: &[u8]| ring::hmac::sign(&key, input).as_ref().to_vec();
    jose(scene.account(), flattened(&header, b"", sign).to_string())
}

const REFUSED_ROWS: &[Row] = &[
    row("no algorithm at all", unsecured, 400, "badSignatureAlgorithm"),
    row("a MAC under the public key", mac, 400, "badSignatureAlgorithm"),
    row("PS256", |scene| said(scene, "PS256"), 400, "badSignatureAlgorithm"),
    row("RS512", |scene| said(scene, "RS512"), 400, "badSignatureAlgorithm"),
    row("ES256K", |scene| said(scene, "ES256K"), 400, "badSignatureAlgorithm"),
    row("an algorithm in lower case", |scene| said(scene, "es256"), 400, "badSignatureAlgorithm"),
    row("an empty algorithm", |scene| said(scene, ""), 400, "badSignatureAlgorithm"),
    row("RS256 of a key on P-256", |scene| said(scene, "RS256"), 400, "badSignatureAlgorithm")
        .saying("ES256"),
    row("ES384 of a key on P-256", |scene| said(scene, "ES384"), 400, "badSignatureAlgorithm")
        .saying("ES256"),
    row("ES512 of a key on P-256", |scene| said(scene, "ES512"), 400, "badSignatureAlgorithm")
        .saying("ES256"),
    row("EdDSA of a key on P-256", |scene| said(scene, "EdDSA"), 400, "badSignatureAlgorithm")
        .saying("ES256"),
    row(
        "an alg that is a number",
        |scene| scene.headed(&scene.header_with(scene.account(), "alg", json!(256))),
        400,
        "malformed",
    ),
];

#[test]
fn other_algorithms_and_those_of_other_keys_are_refused() {
    hold(Scene::new(), REFUSED_ROWS);
}

/// RFC 8555, section 6.2: the refusal says what would do.
#[test]
fn the_refusal_of_an_algorithm_lists_those_that_do() {
    let scene = Scene::new();
    let request = said(&scene, "HS512");
    let answer = crate::answer::send(&scene.process, request);
    assert_eq!(answer.json()["algorithms"], json!(["RS256", "ES256", "ES384", "ES512", "EdDSA"]));
    scene.process.stop();
}

/// A request by a key of any kind: with `None` for an account it brings itself along.
fn request(process: &Process, key: &OtherKey, kid: Option<&str>, path: &str, payload: &[u8]) -> Value {
    let url = format!("{PUBLIC_URL}{path}");
    let mut header = json!({ "alg": key.algorithm(), "nonce": nonce(process), "url": url });
    match kid {
        Some(kid) => header["kid"] = json!(kid),
        None => header["jwk"] = key.jwk(),
    }
    key.sign(&header, payload)
}

/// ES256 is what all other tests sign with.
#[test]
fn every_algorithm_that_is_offered_has_accounts() {
    let scene = Scene::new();
    let process = &scene.process;
    let keys = [OtherKey::es384(), OtherKey::es512(3), OtherKey::ed_dsa(), OtherKey::rs256()];
    for key in &keys {
        let algorithm = key.algorithm();
        let made =
            post(process, "/new-account", request(process, key, None, "/new-account", b"{}").to_string());
        assert_eq!(made.status, 201, "{algorithm}: {made:?}");
        let kid = made.header("location").to_owned();
        let found =
            post(process, "/new-account", request(process, key, None, "/new-account", b"{}").to_string());
        assert_eq!((found.status.as_u16(), found.header("location")), (200, kid.as_str()), "{algorithm}");
        let read = post(process, path(&kid), request(process, key, Some(&kid), path(&kid), b"").to_string());
        assert_eq!(read.status, 200, "{algorithm}: {read:?}");

        let mut forged = request(process, key, Some(&kid), path(&kid), b"");
        let mut signature = from_base64url(forged["signature"].as_str().unwrap()).unwrap();
        signature[40] ^= 1;
        forged["signature"] = json!(base64url(&signature));
        assert_eq!(post(process, path(&kid), forged.to_string()).problem(), "malformed", "{algorithm}");
        for other in keys.iter().filter(|other| other.algorithm() != algorithm) {
            let refused = request(process, other, Some(&kid), path(&kid), b"");
            let answer = post(process, path(&kid), refused.to_string());
            assert_eq!(answer.problem(), "badSignatureAlgorithm", "{algorithm} by {}", other.algorithm());
        }
    }
    scene.process.stop();
}
