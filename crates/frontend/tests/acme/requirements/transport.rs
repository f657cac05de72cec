//! RFC 8555, sections 6.1 to 6.3 and 7.1: how requests come, before anybody reads what they say.

use axum::body::Body;
use axum::http::{Method, Request};

use super::scene::Scene;
use super::{Row, hold, row};
use crate::answer::jose;
use crate::client::Key;

fn method(scene: &Scene, method: Method, path: &str) -> Request<Body> {
    let mut request = scene.by_account(path, b"");
    *request.method_mut() = method;
    request
}

fn typed(scene: &Scene, media_type: Option<&str>) -> Request<Body> {
    let mut request = scene.by_account(scene.account(), b"");
    let headers = request.headers_mut();
    headers.remove("content-type");
    if let Some(media_type) = media_type {
        headers.insert("content-type", media_type.parse().unwrap());
    }
    request
}

const METHOD_ROWS: &[Row] = &[
    row("GET of newAccount", |scene| method(scene, Method::GET, "/new-account"), 405, "malformed"),
    row("GET of newOrder", |scene| method(scene, Method::GET, "/new-order"), 405, "malformed"),
    row("GET of an account", |scene| method(scene, Method::GET, scene.account()), 405, "malformed"),
    row(
        "GET of an order",
        |scene| method(scene, Method::GET, &scene.order(&["a.example.org"]).path),
        405,
        "malformed",
    ),
    row(
        "GET of an authorization",
        |scene| method(scene, Method::GET, &scene.order(&["a.example.org"]).authorizations[0]),
        405,
        "malformed",
    ),
    row(
        "GET of a certificate",
        |scene| method(scene, Method::GET, &scene.certificate(&Key::new(), &["a.example.org"]).0),
        405,
        "malformed",
    ),
    row("PUT of an account", |scene| method(scene, Method::PUT, scene.account()), 405, "malformed"),
    row("DELETE of an account", |scene| method(scene, Method::DELETE, scene.account()), 405, "malformed"),
    row("POST to the directory", |scene| jose("/dir", scene.jws().to_string()), 405, "malformed"),
    row("POST to newNonce", |scene| jose("/new-nonce", scene.jws().to_string()), 405, "malformed"),
    row("POST to nothing", |scene| jose("/nothing", scene.jws().to_string()), 404, "malformed"),
];

#[test]
fn each_resource_has_its_method() {
    hold(Scene::new(), METHOD_ROWS);
}

const BODY_ROWS: &[Row] = &[
    row("a body of its type", |scene| typed(scene, Some("application/jose+json")), 200, ""),
    row(
        "a body of its type with parameters",
        |scene| typed(scene, Some("application/jose+json; charset=utf-8")),
        200,
        "",
    ),
    row("a body of no type", |scene| typed(scene, None), 415, "malformed"),
    row("a body said to be JSON", |scene| typed(scene, Some("application/json")), 415, "malformed"),
    row("a body said to be compact", |scene| typed(scene, Some("application/jose")), 415, "malformed"),
    row(
        "a body said to be a form",
        |scene| typed(scene, Some("application/x-www-form-urlencoded")),
        415,
        "malformed",
    ),
    row("a body of 1 MB", |_| jose("/new-order", vec![b' '; 1 << 20]), 413, "malformed"),
    row(
        "a body of 1 MB that is a JWS",
        |scene| {
            let padding = " ".repeat(1 << 20);
            jose(scene.account(), scene.jws().to_string() + &padding)
        },
        413,
        "malformed",
    ),
];

#[test]
fn a_body_is_of_one_type_and_of_bounded_size() {
    hold(Scene::new(), BODY_ROWS);
}

/// RFC 8555, section 6.3: reading takes an empty payload, and an empty object is none.
const READING_ROWS: &[Row] = &[
    row(
        "an order with an empty object",
        |scene| scene.by_account(&scene.order(&["a.example.org"]).path, b"{}"),
        400,
        "malformed",
    ),
    row(
        "an order with an empty string",
        |scene| scene.by_account(&scene.order(&["a.example.org"]).path, b"\"\""),
        400,
        "malformed",
    ),
    row("an order read", |scene| scene.by_account(&scene.order(&["a.example.org"]).path, b""), 200, ""),
    row(
        "a certificate with an empty object",
        |scene| scene.by_account(&scene.certificate(&Key::new(), &["a.example.org"]).0, b"{}"),
        400,
        "malformed",
    ),
    row(
        "a certificate read",
        |scene| scene.by_account(&scene.certificate(&Key::new(), &["a.example.org"]).0, b""),
        200,
        "",
    ),
    row(
        "an order by a jwk",
        |scene| scene.by_key(&scene.key, &scene.order(&["a.example.org"]).path, b""),
        400,
        "malformed",
    ),
    row(
        "a certificate by a jwk",
        |scene| scene.by_key(&scene.key, &scene.certificate(&Key::new(), &["a.example.org"]).0, b""),
        400,
        "malformed",
    ),
];

#[test]
fn reading_is_post_as_get() {
    hold(Scene::new(), READING_ROWS);
}
