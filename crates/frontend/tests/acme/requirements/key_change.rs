//! RFC 8555, section 7.3.5: every check of a key change, and that the new key counts with the very next request.

use axum::body::Body;
use axum::http::Request;
use ingam_protocol::bytes::base64url;
use serde_json::{Value, json};

use super::scene::Scene;
use super::{Row, hold, row};
use crate::answer::post;
use crate::client::{Key, ask, key_change, nonce, path, protected, register};
use crate::keys::OtherKey;
use crate::world::PUBLIC_URL;

/// The inner JWS's protected header for a new key.
fn inner_header(new: &Key) -> Value {
    json!({ "alg": "ES256", "jwk": new.jwk(), "url": format!("{PUBLIC_URL}/key-change") })
}

fn inner_payload(scene: &Scene) -> Value {
    json!({ "account": scene.kid, "oldKey": scene.key.jwk() })
}

/// A key change to `other` with its inner JWS made from a changed header and payload.
fn inner(scene: &Scene, change: impl FnOnce(&mut Value, &mut Value)) -> Request<Body> {
    let (mut header, mut payload) = (inner_header(&scene.other), inner_payload(scene));
    change(&mut header, &mut payload);
    outer(scene, &scene.other.sign(&header, payload.to_string().as_bytes()))
}

fn outer(scene: &Scene, inner: &Value) -> Request<Body> {
    scene.by_account("/key-change", inner.to_string().as_bytes())
}

const ROWS: &[Row] = &[
    row(
        "an outer JWS with a jwk",
        |scene| {
            let inner = key_change(&scene.key, &scene.other, &scene.kid);
            scene.by_key(&scene.key, "/key-change", inner.to_string().as_bytes())
        },
        400,
        "malformed",
    ),
    row("an inner JWS that is none", |scene| scene.by_account("/key-change", b"{}"), 400, "malformed"),
    row("no inner JWS", |scene| scene.by_account("/key-change", b""), 400, "malformed"),
    row(
        "an inner JWS in general form",
        |scene| {
            let inner = key_change(&scene.key, &scene.other, &scene.kid);
            let one = json!({ "protected": inner["protected"], "signature": inner["signature"] });
            outer(scene, &json!({ "payload": inner["payload"], "signatures": [one] }))
        },
        400,
        "malformed",
    ),
    row(
        "an inner JWS with a kid for a jwk",
        |scene| {
            inner(scene, |header, _| {
                header.as_object_mut().unwrap().remove("jwk");
                header["kid"] = json!(scene.kid);
            })
        },
        400,
        "malformed",
    ),
    row(
        "an inner JWS with both",
        |scene| inner(scene, |header, _| header["kid"] = json!(scene.kid)),
        400,
        "malformed",
    ),
    row(
        "an inner JWS with neither",
        |scene| {
            inner(scene, |header, _| {
                header.as_object_mut().unwrap().remove("jwk");
            })
        },
        400,
        "malformed",
    ),
    row(
        "an inner JWS that another key signed",
        |scene| {
            let header = inner_header(&scene.other);
            outer(scene, &scene.key.sign(&header, inner_payload(scene).to_string().as_bytes()))
        },
        400,
        "malformed",
    ),
    row(
        "an inner JWS with another algorithm",
        |scene| inner(scene, |header, _| header["alg"] = json!("RS256")),
        400,
        "badSignatureAlgorithm",
    ),
    row(
        "an inner JWS with another url",
        |scene| {
            inner(scene, |header, _| {
                header["url"] = json!(format!("{PUBLIC_URL}/new-account"));
            })
        },
        400,
        "malformed",
    ),
    row(
        "an inner JWS without a url",
        |scene| {
            inner(scene, |header, _| {
                header.as_object_mut().unwrap().remove("url");
            })
        },
        400,
        "malformed",
    ),
    row(
        "an inner JWS with a nonce",
        |scene| {
            inner(scene, |header, _| {
                header["nonce"] = json!(nonce(&scene.process));
            })
        },
        400,
        "malformed",
    ),
    row(
        "an inner payload that is no object",
        |scene| inner(scene, |_, payload| *payload = json!([scene.kid, scene.key.jwk()])),
        400,
        "malformed",
    ),
    row(
        "an inner payload without an account",
        |scene| {
            inner(scene, |_, payload| {
                payload.as_object_mut().unwrap().remove("account");
            })
        },
        400,
        "malformed",
    )
    .saying("is missing"),
    row(
        "an inner payload without an old key",
        |scene| {
            inner(scene, |_, payload| {
                payload.as_object_mut().unwrap().remove("oldKey");
            })
        },
        400,
        "malformed",
    )
    .saying("is missing"),
    row(
        "another account inside",
        |scene| {
            inner(scene, |_, payload| {
                payload["account"] = json!(register(&scene.process, &Key::new()));
            })
        },
        400,
        "malformed",
    ),
    row(
        "no account's URL inside",
        |scene| inner(scene, |_, payload| payload["account"] = json!("x")),
        400,
        "malformed",
    ),
    row(
        "another old key inside",
        |scene| inner(scene, |_, payload| payload["oldKey"] = Key::new().jwk()),
        400,
        "malformed",
    ),
    row(
        "the new key for the old one",
        |scene| inner(scene, |_, payload| payload["oldKey"] = scene.other.jwk()),
        400,
        "malformed",
    ),
    row(
        "an old key that is none",
        |scene| inner(scene, |_, payload| payload["oldKey"] = json!({ "kty": "EC" })),
        400,
        "malformed",
    ),
    row(
        "an old key in an array",
        |scene| inner(scene, |_, payload| payload["oldKey"] = json!([])),
        400,
        "malformed",
    )
    .saying("must be an object"),
    row(
        "a new key that is weak",
        |scene| {
            let header = json!({
                "alg": "RS256",
                "jwk": { "kty": "RSA", "n": base64url(&[0xa5; 128]), "e": "AQAB" },
                "url": format!("{PUBLIC_URL}/key-change"),
            });
            outer(scene, &scene.other.sign(&header, inner_payload(scene).to_string().as_bytes()))
        },
        400,
        "badPublicKey",
    )
    .saying("1024 bits"),
    row(
        "the key that the account has",
        |scene| outer(scene, &key_change(&scene.key, &scene.key, &scene.kid)),
        409,
        "malformed",
    ),
    row("a change that is right", |scene| inner(scene, |_, _| {}), 200, ""),
    row("the same change by the old key", |scene| inner(scene, |_, _| {}), 400, "malformed"),
];

#[test]
fn every_check_of_a_key_change_is_made() {
    hold(Scene::new(), ROWS);
}

/// The refusal says whose the key is: by that account's URL.
#[test]
fn a_key_that_has_an_account_is_a_conflict() {
    let scene = Scene::new();
    let others = register(&scene.process, &scene.other);
    let refused = scene.ask("/key-change", &key_change(&scene.key, &scene.other, &scene.kid));
    assert_eq!((refused.status.as_u16(), refused.header("location")), (409, others.as_str()));
    assert_eq!(scene.ask(scene.account(), &Value::Null).status, 200, "nothing has changed");
    // The key of an account that has ended is taken as well.
    ask(&scene.process, &scene.other, Some(&others), path(&others), &json!({ "status": "deactivated" }));
    let refused = scene.ask("/key-change", &key_change(&scene.key, &scene.other, &scene.kid));
    assert_eq!((refused.status.as_u16(), refused.header("location")), (409, others.as_str()));
    scene.process.stop();
}

#[test]
fn the_new_key_counts_with_the_next_request() {
    let scene = Scene::new();
    let order = scene.order(&["a.example.org"]);
    // Made and signed before the change, sent after it.
    let early = scene.key.sign(&scene.header(&order.path), b"");
    let changed = scene.done("/key-change", &key_change(&scene.key, &scene.other, &scene.kid));
    assert_eq!(changed.header("location"), scene.kid);
    assert_eq!(scene.post(&order.path, &early).problem(), "malformed", "the old key's signature");
    assert_eq!(scene.ask(&order.path, &Value::Null).problem(), "malformed");
    let read = ask(&scene.process, &scene.other, Some(&scene.kid), &order.path, &Value::Null);
    assert_eq!(read.status, 200, "{read:?}");
    let found =
        ask(&scene.process, &scene.other, None, "/new-account", &json!({ "onlyReturnExisting": true }));
    assert_eq!((found.status.as_u16(), found.header("location")), (200, scene.kid.as_str()));
    let forgotten =
        ask(&scene.process, &scene.key, None, "/new-account", &json!({ "onlyReturnExisting": true }));
    assert_eq!(forgotten.problem(), "accountDoesNotExist");
    scene.process.stop();
}

/// From one kind of key to another, and on.
#[test]
fn a_key_change_may_change_the_kind_of_key() {
    let scene = Scene::new();
    let new = OtherKey::es512(5);
    let header = json!({ "alg": "ES512", "jwk": new.jwk(), "url": format!("{PUBLIC_URL}/key-change") });
    let inner = new.sign(&header, inner_payload(&scene).to_string().as_bytes());
    assert_eq!(scene.ask("/key-change", &inner).status, 200);

    let body = json!({ "account": scene.kid, "oldKey": new.jwk() });
    let inner = scene.other.sign(&inner_header(&scene.other), body.to_string().as_bytes());
    let mut header = protected(&scene.other, Some(&scene.kid), &nonce(&scene.process), "/key-change");
    header["alg"] = json!("ES512");
    let outer = new.sign(&header, inner.to_string().as_bytes());
    assert_eq!(post(&scene.process, "/key-change", outer.to_string()).status, 200);
    let read = ask(&scene.process, &scene.other, Some(&scene.kid), scene.account(), &Value::Null);
    assert_eq!(read.status, 200);
    scene.process.stop();
}
