//! RFC 8555, sections 6.2, 6.4 and 6.5: who signed, for which URL, and that nothing is heard twice.

use axum::body::Body;
use axum::http::Request;
use ingam_protocol::bytes::base64url;
use serde_json::{Value, json};

use super::forms::{header_text, remove};
use super::scene::Scene;
use super::{Row, hold, row};
use crate::client::{nonce, path, protected};

fn headed_without(scene: &Scene, member: &str) -> Request<Body> {
    let mut header = scene.header(scene.account());
    remove(&mut header, member);
    scene.headed(&header)
}

fn headed_with(scene: &Scene, member: &str, value: Value) -> Request<Body> {
    scene.headed(&scene.header_with(scene.account(), member, value))
}

/// The members of the protected header.
const HEADER_ROWS: &[Row] = &[
    row("an unknown header member", |scene| headed_with(scene, "typ", json!("JOSE")), 200, ""),
    row("crit", |scene| headed_with(scene, "crit", json!(["exp"])), 400, "malformed"),
    row("an empty crit", |scene| headed_with(scene, "crit", json!([])), 400, "malformed"),
    row("b64 that is false", |scene| headed_with(scene, "b64", json!(false)), 400, "malformed"),
    row("b64 that is true", |scene| headed_with(scene, "b64", json!(true)), 400, "malformed"),
    row("both jwk and kid", |scene| headed_with(scene, "jwk", scene.key.jwk()), 400, "malformed"),
    row("neither jwk nor kid", |scene| headed_without(scene, "kid"), 400, "malformed"),
    row("a kid that is an object", |scene| headed_with(scene, "kid", json!({})), 400, "malformed")
        .saying("must be a string"),
    row("no alg", |scene| headed_without(scene, "alg"), 400, "malformed"),
    row("no url", |scene| headed_without(scene, "url"), 400, "malformed"),
    row("no nonce", |scene| headed_without(scene, "nonce"), 400, "badNonce"),
    row(
        "a nonce that is no base64url",
        |scene| headed_with(scene, "nonce", json!("not base64url!")),
        400,
        "malformed",
    ),
    row("an empty nonce", |scene| headed_with(scene, "nonce", json!("")), 400, "badNonce"),
    row("a nonce that is padded", |scene| headed_with(scene, "nonce", json!("AAA=")), 400, "malformed"),
    row(
        "a nonce of nobody's",
        |scene| headed_with(scene, "nonce", json!(base64url(&[7; 28]))),
        400,
        "badNonce",
    ),
    row("another path in url", |scene| scene.headed(&scene.header("/new-order")), 401, "unauthorized"),
    row(
        "another host in url",
        |scene| {
            let url = format!("https://elsewhere.test{}", scene.account());
            headed_with(scene, "url", json!(url))
        },
        401,
        "unauthorized",
    ),
    row(
        "another scheme in url",
        |scene| {
            let url = scene.kid.replace("https:", "http:");
            headed_with(scene, "url", json!(url))
        },
        401,
        "unauthorized",
    ),
    row(
        "a query in url that was not sent",
        |scene| scene.headed(&scene.header(&format!("{}?a=b", scene.account()))),
        401,
        "unauthorized",
    ),
    row(
        "a url without its host",
        |scene| headed_with(scene, "url", json!(scene.account())),
        401,
        "unauthorized",
    ),
    row(
        "a header member twice",
        |scene| {
            let header = scene.header(scene.account()).to_string();
            header_text(scene, &header.replacen('{', "{\"alg\":\"ES256\",", 1))
        },
        400,
        "malformed",
    )
    .saying("twice"),
    row("a header that is an array", |scene| header_text(scene, "[]"), 400, "malformed"),
    row(
        "a header in an array",
        |scene| {
            let header = scene.header(scene.account());
            header_text(
                scene,
                &json!([header["alg"], null, header["kid"], header["nonce"], header["url"]]).to_string(),
            )
        },
        400,
        "malformed",
    ),
    row(
        "bytes behind the header",
        |scene| {
            let header = scene.header(scene.account()).to_string();
            header_text(scene, &(header + "x"))
        },
        400,
        "malformed",
    ),
    row(
        "an unknown account",
        |scene| {
            let kid = "https://ca.test/account/AAAAAAAAAAAAAAAAAAAAAA";
            headed_with(scene, "kid", json!(kid))
        },
        400,
        "accountDoesNotExist",
    ),
    row(
        "an account of another CA",
        |scene| {
            let kid = scene.kid.replace("ca.test", "elsewhere.test");
            headed_with(scene, "kid", json!(kid))
        },
        400,
        "accountDoesNotExist",
    ),
    row(
        "a kid that is an order",
        |scene| {
            let order = scene.order(&["kid.example.org"]);
            let kid = format!("https://ca.test{}", order.path);
            headed_with(scene, "kid", json!(kid))
        },
        400,
        "accountDoesNotExist",
    ),
    row(
        "a kid with something behind it",
        |scene| headed_with(scene, "kid", json!(format!("{}/", scene.kid))),
        400,
        "accountDoesNotExist",
    ),
];

#[test]
fn the_protected_header_says_who_and_where_and_when() {
    hold(Scene::new(), HEADER_ROWS);
}

/// RFC 8555, section 6.5: what is refused for its nonce or before it uses nothing up, what was accepted uses it up.
#[test]
fn a_nonce_is_used_once() {
    let scene = Scene::new();
    let one = nonce(&scene.process);
    let body = |path_of: &str| {
        scene.key.sign(&protected(&scene.key, Some(&scene.kid), &one, path_of), b"").to_string()
    };
    let elsewhere = scene.post(path(&scene.kid), &serde_json::from_str(&body("/new-order")).unwrap());
    assert_eq!(elsewhere.problem(), "unauthorized");
    let first = scene.post(path(&scene.kid), &serde_json::from_str(&body(path(&scene.kid))).unwrap());
    assert_eq!(first.status, 200);
    let again = scene.post(path(&scene.kid), &serde_json::from_str(&body(path(&scene.kid))).unwrap());
    assert_eq!((again.status.as_u16(), again.problem().as_str()), (400, "badNonce"));
    let fresh = again.header("replay-nonce").to_owned();
    let header = protected(&scene.key, Some(&scene.kid), &fresh, path(&scene.kid));
    assert_eq!(scene.post(path(&scene.kid), &scene.key.sign(&header, b"")).status, 200);
    scene.process.stop();
}
