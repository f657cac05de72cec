//! RFC 8555, section 6.2; BR 6.1.1.3, 6.1.5, 6.1.6: which keys an account may have. Each refusal names the check.

use axum::body::Body;
use axum::http::Request;
use ingam_protocol::bytes::{base64url, from_base64url};
use serde_json::{Value, json};

use super::scene::Scene;
use super::{Row, hold, row};
use crate::answer::jose;
use crate::client::{nonce, protected};
use crate::keys::OtherKey;

/// A modulus of 2048 bits whose factors are next to each other.
const CLOSE_FACTORS: &str = concat!(
    "kAAAX1xkxrFMiJ8iaaEX_7RXwynJLuL6bhOAXbNxhvdqTDCbw_uI8tDT3O-jPZFolBCejusYRVZ6YN_YAuZnPvAHaK",
    "ZH45Iti34coMix9vh5QEBcKdGf9S7tFgg3d7rKe1DCY2PwZCQPdYH5W0Eb96tQI4xnaUiG7x3lndTT3-Fj8h5RDLJR",
    "mYlGmLskwRikBe6_8_3AwvnzhhmVH2UqgDL7qQgnCBq3fAEKdwMfN9w77E4ePoZn7SOKTDoCKyUuA27FH30mnDAyG8",
    "Kgl9RYlGWTsiQDnkgVd2irJldt24ULZv8zLi4JMdmQb_diY0ASNxZfbZlsPXsp_VwVXqZkww",
);

/// A modulus of 2048 bits with the fingerprint of CVE-2017-15361.
const ROCA: &str = concat!(
    "wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAhRNadlSiRLOtog2ncyT5VEiZmYxDGqlBI0eZQ",
);

/// newAccount with this JWK, which signed nothing: a bad key is refused before its signature counts.
fn with_jwk(scene: &Scene, algorithm: &str, jwk: &Value) -> Request<Body> {
    let mut header = protected(&scene.other, None, &nonce(&scene.process), "/new-account");
    header["alg"] = json!(algorithm);
    header["jwk"] = jwk.clone();
    jose("/new-account", scene.other.sign(&header, b"{}").to_string())
}

fn rsa(scene: &Scene, modulus: &[u8], exponent: &[u8]) -> Request<Body> {
    rsa_text(scene, &base64url(modulus), &base64url(exponent))
}

fn rsa_text(scene: &Scene, modulus: &str, exponent: &str) -> Request<Body> {
    with_jwk(scene, "RS256", &json!({ "kty": "RSA", "n": modulus, "e": exponent }))
}

/// A number of so many octets with both ends set.
fn number(octets: usize, last: u8) -> Vec<u8> {
    let mut number = vec![0xa5; octets];
    number[octets - 1] = last;
    number
}

fn ec(scene: &Scene, algorithm: &str, curve: &str, x: &[u8], y: &[u8]) -> Request<Body> {
    let jwk = json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) });
    with_jwk(scene, algorithm, &jwk)
}

/// The JWK of a sound key on P-521, with a member changed.
fn p521(scene: &Scene, member: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Request<Body> {
    let mut jwk = OtherKey::es512(7).jwk();
    let octets = from_base64url(jwk[member].as_str().unwrap()).unwrap();
    jwk[member] = json!(base64url(&change(octets)));
    with_jwk(scene, "ES512", &jwk)
}

fn last_bit_turned(mut octets: Vec<u8>) -> Vec<u8> {
    *octets.last_mut().unwrap() ^= 1;
    octets
}

const RSA_ROWS: &[Row] = &[
    row("RSA of 1024 bits", |scene| rsa(scene, &number(128, 0xa7), &[1, 0, 1]), 400, "badPublicKey")
        .saying("1024 bits"),
    row("RSA of 2040 bits", |scene| rsa(scene, &number(255, 0xa7), &[1, 0, 1]), 400, "badPublicKey")
        .saying("2040 bits"),
    row("RSA of 4104 bits", |scene| rsa(scene, &number(513, 0xa7), &[1, 0, 1]), 400, "badPublicKey")
        .saying("4104 bits"),
    row("an RSA exponent of 3", |scene| rsa(scene, &number(256, 0xa7), &[3]), 400, "badPublicKey")
        .saying("exponent"),
    row("an RSA exponent of 1", |scene| rsa(scene, &number(256, 0xa7), &[1]), 400, "badPublicKey")
        .saying("exponent"),
    row("an even RSA modulus", |scene| rsa(scene, &number(256, 0xa6), &[1, 0, 1]), 400, "badPublicKey")
        .saying("divisible by 2"),
    row(
        "an RSA modulus with a small factor",
        |scene| rsa(scene, &[0xff; 256], &[1, 0, 1]),
        400,
        "badPublicKey",
    )
    .saying("divisible by 3"),
    row(
        "an RSA modulus with close factors",
        |scene| rsa_text(scene, CLOSE_FACTORS, "AQAB"),
        400,
        "badPublicKey",
    )
    .saying("Fermat"),
    row(
        "an RSA modulus with the ROCA fingerprint",
        |scene| rsa_text(scene, ROCA, "AQAB"),
        400,
        "badPublicKey",
    )
    .saying("ROCA"),
    row(
        "an RSA modulus that is padded",
        |scene| rsa_text(scene, &format!("{ROCA}="), "AQAB"),
        400,
        "badPublicKey",
    )
    .saying("base64url"),
    row(
        "an RSA exponent that is a number",
        |scene| with_jwk(scene, "RS256", &json!({ "kty": "RSA", "n": ROCA, "e": 65537 })),
        400,
        "badPublicKey",
    )
    .saying("\\\"e\\\""),
    row(
        "an RSA key without its modulus",
        |scene| with_jwk(scene, "RS256", &json!({ "kty": "RSA", "e": "AQAB" })),
        400,
        "badPublicKey",
    )
    .saying("\\\"n\\\""),
];

#[test]
fn weak_rsa_keys_have_no_account() {
    hold(Scene::new(), RSA_ROWS);
}

const CURVE_ROWS: &[Row] = &[
    row("a point off P-256", |scene| ec(scene, "ES256", "P-256", &[1; 32], &[2; 32]), 400, "badPublicKey")
        .saying("does not lie on P-256"),
    row("a point off P-384", |scene| ec(scene, "ES384", "P-384", &[1; 48], &[2; 48]), 400, "badPublicKey")
        .saying("does not lie on P-384"),
    row("a point off P-521", |scene| p521(scene, "y", last_bit_turned), 400, "badPublicKey")
        .saying("does not lie on P-521"),
    row(
        "the origin for a point",
        |scene| ec(scene, "ES256", "P-256", &[0; 32], &[0; 32]),
        400,
        "badPublicKey",
    )
    .saying("does not lie on P-256"),
    row(
        "a coordinate without its leading zero",
        |scene| p521(scene, "x", |octets| octets[1..].to_vec()),
        400,
        "badPublicKey",
    )
    .saying("not those of a point on P-521"),
    row(
        "a coordinate with a zero more",
        |scene| p521(scene, "x", |octets| [vec![0], octets].concat()),
        400,
        "badPublicKey",
    )
    .saying("not those of a point on P-521"),
    row("a coordinate above the field", |scene| p521(scene, "x", |_| vec![0xff; 66]), 400, "badPublicKey")
        .saying("does not lie on P-521"),
    row(
        "a point of P-384 said to be on P-256",
        |scene| {
            let jwk = OtherKey::es384().jwk();
            with_jwk(scene, "ES256", &json!({ "kty": "EC", "crv": "P-256", "x": jwk["x"], "y": jwk["y"] }))
        },
        400,
        "badPublicKey",
    )
    .saying("not those of a point on P-256"),
    row(
        "a curve that is not offered",
        |scene| ec(scene, "ES256", "secp256k1", &[1; 32], &[2; 32]),
        400,
        "badPublicKey",
    )
    .saying("not supported"),
    row(
        "X25519",
        |scene| with_jwk(scene, "EdDSA", &json!({ "kty": "OKP", "crv": "X25519", "x": base64url(&[9; 32]) })),
        400,
        "badPublicKey",
    )
    .saying("not supported"),
    row(
        "an Ed25519 point of small order",
        |scene| {
            let x = [&[1][..], &[0; 31]].concat();
            with_jwk(scene, "EdDSA", &json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(&x) }))
        },
        400,
        "badPublicKey",
    )
    .saying("small order"),
    row(
        "an Ed25519 key of 31 bytes",
        |scene| {
            with_jwk(scene, "EdDSA", &json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(&[9; 31]) }))
        },
        400,
        "badPublicKey",
    )
    .saying("32 bytes"),
    row(
        "a symmetric key",
        |scene| with_jwk(scene, "ES256", &json!({ "kty": "oct", "k": "AQ" })),
        400,
        "badPublicKey",
    )
    .saying("private parts"),
    row(
        "a key with its private part",
        |scene| {
            let mut jwk = scene.other.jwk();
            jwk["d"] = json!("AQ");
            with_jwk(scene, "ES256", &jwk)
        },
        400,
        "badPublicKey",
    )
    .saying("private parts"),
    row("a key without its type", |scene| with_jwk(scene, "ES256", &json!({})), 400, "badPublicKey")
        .saying("\\\"kty\\\""),
    row("a jwk that is an array", |scene| with_jwk(scene, "ES256", &json!([])), 400, "malformed")
        .saying("must be an object"),
    row(
        "a jwk with a member twice",
        |scene| {
            let header = protected(&scene.other, None, &nonce(&scene.process), "/new-account").to_string();
            let header = header.replacen("\"kty\"", "\"kty\":\"EC\",\"kty\"", 1);
            let mut jws = scene.other.sign(&json!({}), b"{}");
            jws["protected"] = json!(base64url(header.as_bytes()));
            jose("/new-account", jws.to_string())
        },
        400,
        "malformed",
    )
    .saying("twice"),
];

#[test]
fn points_that_are_none_have_no_account() {
    hold(Scene::new(), CURVE_ROWS);
}
