//! RFC 8555, sections 7.1.4, 7.1.5, 7.5 and 8: authorizations and challenges as clients meet them.

use axum::body::Body;
use axum::http::Request;
use ingam_protocol::bytes::from_base64url;
use ingam_protocol::identifier::DnsName;
use serde_json::{Value, json};

use super::scene::{Scene, challenge_of};
use super::{Row, hold, row};

/// A request to a new authorization.
fn authorization(scene: &Scene, payload: &[u8]) -> Request<Body> {
    scene.by_account(&scene.order(&["a.example.org"]).authorizations[0], payload)
}

/// A request to a new challenge.
fn challenge(scene: &Scene, payload: &[u8]) -> Request<Body> {
    scene.by_account(&challenge_of(&scene.order(&["a.example.org"]).authorizations[0], "dns-01"), payload)
}

const ROWS: &[Row] = &[
    row("an authorization read", |scene| authorization(scene, b""), 200, "").saying("pending"),
    row("an authorization with an empty object", |scene| authorization(scene, b"{}"), 400, "malformed"),
    row(
        "an authorization made valid",
        |scene| authorization(scene, b"{\"status\":\"valid\"}"),
        400,
        "malformed",
    ),
    row(
        "an authorization's status that is a number",
        |scene| authorization(scene, b"{\"status\":1}"),
        400,
        "malformed",
    )
    .saying("must be a string"),
    row(
        "an authorization with an array",
        |scene| authorization(scene, b"[\"deactivated\"]"),
        400,
        "malformed",
    ),
    row("an authorization given up", |scene| authorization(scene, b"{\"status\":\"deactivated\"}"), 200, "")
        .saying("deactivated"),
    row(
        "an authorization with a jwk",
        |scene| {
            let order = scene.order(&["a.example.org"]);
            scene.by_key(&scene.key, &order.authorizations[0], b"")
        },
        400,
        "malformed",
    ),
    row("a challenge read", |scene| challenge(scene, b""), 200, "").saying("pending"),
    row("a challenge answered", |scene| challenge(scene, b"{}"), 200, "").saying("processing"),
    row(
        "a challenge answered as older clients do",
        |scene| challenge(scene, b"{\"keyAuthorization\":\"x.y\"}"),
        200,
        "",
    ),
    row("a challenge answered with an array", |scene| challenge(scene, b"[]"), 400, "malformed"),
    row("a challenge answered with a string", |scene| challenge(scene, b"\"{}\""), 400, "malformed"),
    row("a challenge answered with null", |scene| challenge(scene, b"null"), 400, "malformed"),
    row(
        "a challenge of a kind that is not offered",
        |scene| {
            let order = scene.order(&["a.example.org"]);
            scene.by_account(&challenge_of(&order.authorizations[0], "email-reply-00"), b"{}")
        },
        404,
        "malformed",
    ),
    row(
        "a challenge that a wildcard has not",
        |scene| {
            let order = scene.order(&["*.example.org"]);
            scene.by_account(&challenge_of(&order.authorizations[0], "http-01"), b"{}")
        },
        404,
        "malformed",
    ),
];

#[test]
fn authorizations_and_challenges_take_what_they_should() {
    hold(Scene::new(), ROWS);
}

/// RFC 8555, sections 7.1.4, 7.1.5 and 8.
#[test]
fn an_authorization_shows_every_way_and_a_token_for_each() {
    let scene = Scene::new();
    let order = scene.order(&["a.example.org"]);
    let at = &order.authorizations[0];
    let authorization = scene.done(at, &Value::Null).json();
    assert_eq!(authorization["status"], "pending");
    assert_eq!(authorization["identifier"], json!({ "type": "dns", "value": "a.example.org" }));
    assert!(authorization["expires"].as_str().unwrap().ends_with('Z'));
    assert!(authorization.get("wildcard").is_none());
    let mut tokens = Vec::new();
    for challenge in authorization["challenges"].as_array().unwrap() {
        assert_eq!(challenge["status"], "pending");
        let url = format!("https://ca.test{}", challenge_of(at, challenge["type"].as_str().unwrap()));
        assert_eq!(challenge["url"], url);
        // 128 bits at least, of the base64url alphabet and without padding (section 8.3).
        let token = challenge["token"].as_str().unwrap();
        assert!(from_base64url(token).unwrap().len() >= 16);
        tokens.push(token.to_owned());
        assert!(challenge.get("validated").is_none() && challenge.get("error").is_none());
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), authorization["challenges"].as_array().unwrap().len(), "each has its own");

    let order = scene.order(&["*.example.org"]);
    let wildcard = scene.done(&order.authorizations[0], &Value::Null).json();
    assert_eq!(wildcard["identifier"], json!({ "type": "dns", "value": "example.org" }));
    assert_eq!(wildcard["wildcard"], true);
    let kinds = wildcard["challenges"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap());
    assert!(kinds.clone().all(|kind| kind.starts_with("dns-")) && kinds.count() > 0);
    scene.process.stop();
}

/// RFC 8555, sections 7.1.6, 7.5.1 and 8.2.
#[test]
fn a_challenge_is_processing_with_retry_after_until_it_is_decided() {
    let scene = Scene::new();
    scene.world.validation.gate.close(true);
    let order = scene.order(&["a.example.org"]);
    let at = challenge_of(&order.authorizations[0], "http-01");
    let up = format!("<https://ca.test{}>;rel=\"up\"", order.authorizations[0]);
    for payload in [json!({}), json!({}), Value::Null] {
        let answer = scene.done(&at, &payload);
        assert_eq!(answer.json()["status"], "processing");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        assert!(answer.links().contains(&up.as_str()), "{answer:?}");
    }
    let pending = scene.done(&order.authorizations[0], &Value::Null);
    assert_eq!(pending.json()["status"], "pending");
    assert!(pending.header("retry-after").parse::<u64>().unwrap() > 0);

    scene.world.validation.gate.close(false);
    scene.process.until("the check has ended", || scene.process.tasks() == 0);
    let decided = scene.done(&order.authorizations[0], &Value::Null);
    assert_eq!(decided.header("retry-after"), "");
    let authorization = decided.json();
    assert_eq!(authorization["status"], "valid");
    let challenges = authorization["challenges"].as_array().unwrap();
    assert_eq!(challenges.len(), 1, "the one that was fulfilled (section 7.1.4)");
    assert_eq!((&challenges[0]["type"], &challenges[0]["status"]), (&json!("http-01"), &json!("valid")));
    assert!(challenges[0]["validated"].as_str().unwrap().ends_with('Z'));
    let order = scene.done(&order.path, &Value::Null).json();
    assert_eq!(order["status"], "ready");
    scene.process.stop();
}

/// RFC 8555, sections 7.1.6 and 7.5.1.
#[test]
fn a_challenge_that_fails_shows_its_error() {
    let scene = Scene::new();
    let name = DnsName::parse("a.example.org").unwrap();
    scene.world.validation.set_controlled(&name, false);
    let order = scene.order(&["a.example.org"]);
    let at = challenge_of(&order.authorizations[0], "http-01");
    scene.done(&at, &json!({}));
    scene.process.until("the check has ended", || scene.process.tasks() == 0);
    let challenge = scene.done(&at, &Value::Null).json();
    assert_eq!(challenge["status"], "invalid");
    assert_eq!(challenge["error"]["type"], "urn:ietf:params:acme:error:connection");
    assert!(!challenge["error"]["detail"].as_str().unwrap().is_empty());
    assert_eq!(scene.done(&order.authorizations[0], &Value::Null).json()["status"], "invalid");
    let order = scene.done(&order.path, &Value::Null).json();
    assert_eq!(order["status"], "invalid");
    assert_eq!(order["error"]["type"], "urn:ietf:params:acme:error:connection");
    scene.process.stop();
}

/// RFC 8555, section 7.5.2.
#[test]
fn an_authorization_that_is_given_up_ends_its_order() {
    let scene = Scene::new();
    let order = scene.ready(&["a.example.org"]);
    let ended = scene.done(&order.authorizations[0], &json!({ "status": "deactivated" }));
    assert_eq!(ended.json()["status"], "deactivated");
    assert_eq!(scene.done(&order.path, &Value::Null).json()["status"], "invalid");
    let csr = json!({ "csr": crate::client::Key::new().csr(&order.names) });
    assert_eq!(scene.ask(&order.finalize(), &csr).problem(), "orderNotReady");
    scene.process.stop();
}
