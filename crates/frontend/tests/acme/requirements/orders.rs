//! RFC 8555, sections 7.1.3 and 7.4; draft-ietf-acme-profiles: what may be ordered, and what an order tells.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::scene::{Scene, wish};
use super::{Row, hold, row};
use crate::client::{Key, ask, path, register};
use crate::world::DAY;

/// newOrder for one name.
fn name(scene: &Scene, name: &str) -> Request<Body> {
    order(scene, &wish(&[name]))
}

fn order(scene: &Scene, payload: &Value) -> Request<Body> {
    scene.by_account("/new-order", payload.to_string().as_bytes())
}

const FORM_ROWS: &[Row] = &[
        row("newOrder with a jwk", |scene| scene.by_key(&scene.key, "/new-order", b"{}"), 400, "malformed"),
        row("newOrder as POST-as-GET", |scene| scene.by_account("/new-order", b""), 400, "malformed"),
        row("newOrder with an array", |scene| scene.by_account("/new-order", b"[[{\"type\":\"dns\",\"value\":\"a.example.org\"}]]"), 400, "malformed"),
        row("an order without identifiers", |scene| order(scene, &json!({})), 400, "malformed").saying("identifiers"),
        row("an order of no identifiers", |scene| order(scene, &json!({ "identifiers": [] })), 400, "malformed"),
        row("identifiers that are null", |scene| order(scene, &json!({ "identifiers": null })), 400, "malformed").saying("must be an array"),
        row("identifiers that are one", |scene| {
            order(scene, &json!({ "identifiers": { "type": "dns", "value": "a.example.org" } }))
        }, 400, "malformed").saying("must be an array"),
        row("an identifier's members in an array", |scene| {
            order(scene, &json!({ "identifiers": [["dns", "a.example.org"]] }))
        }, 400, "malformed").saying("must be an object"),
        row("an identifier that is a string", |scene| {
            order(scene, &json!({ "identifiers": ["a.example.org"] }))
        }, 400, "malformed").saying("must be an object"),
        row("an identifier without its type", |scene| {
            order(scene, &json!({ "identifiers": [{ "value": "a.example.org" }] }))
        }, 400, "malformed").saying("identifiers[0].type"),
        row("an identifier whose value is a number", |scene| {
            order(scene, &json!({ "identifiers": [{ "type": "dns", "value": 1 }] }))
        }, 400, "malformed").saying("identifiers[0].value"),
        row("an identifier with a member twice", |scene| {
            scene.by_account("/new-order", b"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.org\",\"value\":\"b.example.org\"}]}")
        }, 400, "malformed").saying("twice"),
        row("more identifiers than an order may have", |scene| {
            order(scene, &wish(&["a.example.org", "b.example.org", "c.example.org", "d.example.org"]))
        }, 400, "malformed"),
        row("a profile that is not offered", |scene| {
            let mut wish = wish(&["a.example.org"]);
            wish["profile"] = json!("nobody");
            order(scene, &wish)
        }, 400, "invalidProfile").saying("classic"),
        row("a profile that is a number", |scene| {
            let mut wish = wish(&["a.example.org"]);
            wish["profile"] = json!(1);
            order(scene, &wish)
        }, 400, "malformed").saying("must be a string"),
        row("a profile that is offered", |scene| {
            let mut wish = wish(&["a.example.org"]);
            wish["profile"] = json!("classic");
            order(scene, &wish)
        }, 201, ""),
        row("members that nobody knows", |scene| {
            let mut wish = wish(&["a.example.org"]);
            wish["status"] = json!("valid");
            wish["x"] = json!([{}]);
            order(scene, &wish)
        }, 201, ""),
];

#[test]
fn an_order_is_an_object_of_known_shape() {
    hold(Scene::new(), FORM_ROWS);
}

const NAME_ROWS: &[Row] = &[
    row("a name", |scene| name(scene, "a.example.org"), 201, ""),
    row("a name in capitals", |scene| name(scene, "A.Example.ORG"), 201, "").saying("a.example.org"),
    row("an A-label", |scene| name(scene, "xn--bcher-kva.example.org"), 201, ""),
    row("a wildcard", |scene| name(scene, "*.example.org"), 201, ""),
    row(
        "a type that nobody knows",
        |scene| order(scene, &json!({ "identifiers": [{ "type": "email", "value": "a@example.org" }] })),
        400,
        "unsupportedIdentifier",
    ),
    row("an empty name", |scene| name(scene, ""), 400, "rejectedIdentifier"),
    row("a single label", |scene| name(scene, "localhost"), 400, "rejectedIdentifier"),
    row("a trailing dot", |scene| name(scene, "a.example.org."), 400, "rejectedIdentifier"),
    row("two dots", |scene| name(scene, "a..example.org"), 400, "rejectedIdentifier"),
    row("an underscore", |scene| name(scene, "a_b.example.org"), 400, "rejectedIdentifier"),
    row("a U-label", |scene| name(scene, "b\u{fc}cher.example.org"), 400, "rejectedIdentifier"),
    row("an A-label of nothing", |scene| name(scene, "xn--.example.org"), 400, "rejectedIdentifier"),
    row(
        "a label of 64 characters",
        |scene| name(scene, &format!("{}.example.org", "a".repeat(64))),
        400,
        "rejectedIdentifier",
    ),
    row(
        "a name of 254 characters",
        |scene| name(scene, &format!("{}example.org", "abcdefghi.".repeat(25))),
        400,
        "rejectedIdentifier",
    ),
    row("an address as a name", |scene| name(scene, "192.0.2.1"), 400, "rejectedIdentifier"),
    row("a URL", |scene| name(scene, "https://a.example.org/"), 400, "rejectedIdentifier"),
    row("white space around a name", |scene| name(scene, " a.example.org"), 400, "rejectedIdentifier"),
    row("a wildcard that is not leftmost", |scene| name(scene, "a.*.example.org"), 400, "rejectedIdentifier"),
    row(
        "a wildcard that is part of a label",
        |scene| name(scene, "a*.example.org"),
        400,
        "rejectedIdentifier",
    ),
    row("two wildcards", |scene| name(scene, "*.*.example.org"), 400, "rejectedIdentifier"),
    row("a name of the CA's own", |scene| name(scene, "www.ca.test"), 400, "rejectedIdentifier"),
];

#[test]
fn names_are_checked_one_by_one() {
    hold(Scene::new(), NAME_ROWS);
}

/// RFC 8555, section 6.7.1.
#[test]
fn each_bad_identifier_has_a_problem_of_its_own() {
    let scene = Scene::new();
    let identifiers = json!([
        { "type": "dns", "value": "good.example.org" },
        { "type": "dns", "value": "a_b.example.org" },
        { "type": "email", "value": "a@example.org" },
    ]);
    let answer = scene.ask("/new-order", &json!({ "identifiers": identifiers }));
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "compound"));
    let problem = answer.json();
    let told = problem["subproblems"].as_array().unwrap().iter();
    let told: Vec<_> = told.map(|one| (one["type"].as_str().unwrap(), &one["identifier"])).collect();
    assert_eq!(
        told,
        [
            ("urn:ietf:params:acme:error:rejectedIdentifier", &identifiers[1]),
            ("urn:ietf:params:acme:error:unsupportedIdentifier", &identifiers[2]),
        ]
    );
    scene.process.stop();
}

/// RFC 8555, sections 7.1.3 and 7.4.
#[test]
fn a_new_order_tells_what_is_to_be_done() {
    let scene = Scene::new();
    let answer = scene.done("/new-order", &wish(&["b.example.org", "*.a.example.org", "B.example.org"]));
    assert_eq!(answer.status, 201);
    let order = answer.json();
    assert_eq!(order["status"], "pending");
    let names = json!([
        { "type": "dns", "value": "*.a.example.org" },
        { "type": "dns", "value": "b.example.org" },
    ]);
    assert_eq!(order["identifiers"], names, "each once");
    assert_eq!(order["authorizations"].as_array().unwrap().len(), 2);
    assert!(order["expires"].as_str().unwrap().ends_with('Z'));
    assert_eq!(order["finalize"], format!("{}/finalize", answer.header("location")));
    assert!(order.get("certificate").is_none() && order.get("error").is_none());
    let read = scene.done(path(answer.header("location")), &Value::Null);
    assert_eq!(read.json(), order);
    scene.process.stop();
}

/// RFC 8555, section 7.1: what is somebody else's is as if it were not there.
#[test]
fn nobody_reads_the_orders_of_others() {
    let scene = Scene::new();
    let kid = register(&scene.process, &scene.other);
    let theirs = scene.order_of(&scene.other, &kid, &["a.example.org"]);
    let csr = json!({ "csr": Key::new().csr(&theirs.names) });
    let challenge = super::scene::challenge_of(&theirs.authorizations[0], "dns-01");
    for (at, payload) in [
        (theirs.path.clone(), Value::Null),
        (theirs.finalize(), csr),
        (theirs.authorizations[0].clone(), Value::Null),
        (theirs.authorizations[0].clone(), json!({ "status": "deactivated" })),
        (challenge.clone(), Value::Null),
        (challenge, json!({})),
    ] {
        let answer = scene.ask(&at, &payload);
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (404, "malformed"), "{at}");
    }
    let untouched = ask(&scene.process, &scene.other, Some(&kid), &theirs.authorizations[0], &Value::Null);
    assert_eq!(untouched.json()["status"], "pending");
    scene.process.stop();
}

/// RFC 8555, section 7.1.2.1.
#[test]
fn orders_that_ended_badly_are_not_listed() {
    let scene = Scene::new();
    let (good, bad) = (scene.order(&["a.example.org"]), scene.order(&["b.example.org"]));
    let list = format!("{}/orders", scene.account());
    assert_eq!(scene.done(&list, &Value::Null).json()["orders"].as_array().unwrap().len(), 2);
    scene.done(&bad.authorizations[0], &json!({ "status": "deactivated" }));
    let url = format!("https://ca.test{}", good.path);
    assert_eq!(scene.done(&list, &Value::Null).json()["orders"], json!([url]));
    scene.process.stop();
}

/// RFC 8555, section 7.1.6: what nobody finalizes in time is invalid, and says why.
#[test]
fn an_order_ends_at_its_time() {
    let scene = Scene::new();
    let order = scene.order(&["a.example.org"]);
    scene.world.clock.advance(8 * DAY);
    let late = scene.done(&order.path, &Value::Null).json();
    assert_eq!(late["status"], "invalid");
    assert!(late["error"]["detail"].as_str().unwrap().contains("make a new order"), "{late}");
    assert_eq!(scene.done(&order.authorizations[0], &Value::Null).json()["status"], "invalid");
    let csr = json!({ "csr": Key::new().csr(&order.names) });
    assert_eq!(scene.ask(&order.finalize(), &csr).problem(), "orderNotReady");
    scene.process.stop();
}
