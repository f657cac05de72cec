//! RFC 8555, sections 7.1.3 and 7.4.1; RFC 8738; RFC 9444: what a profile may offer beside plain orders of names: addresses,
//! dates, authorizations ahead of orders and for whole domains.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use ingam_protocol::Clock;
use ingam_protocol::profile::Profile;
use serde_json::{Value, json};

use super::scene::{Scene, challenge_of, wish};
use super::{Row, hold, row};
use crate::answer::plain;
use crate::client::path;
use crate::world::{DAY, HOUR};

fn address(scene: &Scene, value: &str) -> Request<Body> {
    let wish = json!({ "identifiers": [{ "type": "ip", "value": value }] });
    scene.by_account("/new-order", wish.to_string().as_bytes())
}

fn with_addresses(profile: &mut Profile) {
    profile.identifiers.addresses = true;
}

const ADDRESS_ROWS: &[Row] = &[
    row("an address of version 4", |scene| address(scene, "192.0.3.1"), 201, "").saying("192.0.3.1"),
    row("an address of version 6", |scene| address(scene, "2600::1"), 201, "").saying("2600::1"),
    row(
        "an address of version 6 at length",
        |scene| address(scene, "2001:db8:0:0:0:0:0:1"),
        400,
        "rejectedIdentifier",
    ),
    row(
        "an address of version 6 in capitals",
        |scene| address(scene, "2001:DB8::1"),
        400,
        "rejectedIdentifier",
    ),
    row("an address in brackets", |scene| address(scene, "[2001:db8::1]"), 400, "rejectedIdentifier"),
    row("an address with a zone", |scene| address(scene, "fe80::1%eth0"), 400, "rejectedIdentifier"),
    row("an address with a leading zero", |scene| address(scene, "192.0.2.01"), 400, "rejectedIdentifier"),
    row("an address of three numbers", |scene| address(scene, "192.0.2"), 400, "rejectedIdentifier"),
    row("a range of addresses", |scene| address(scene, "192.0.2.0/24"), 400, "rejectedIdentifier"),
    row("a name said to be an address", |scene| address(scene, "a.example.org"), 400, "rejectedIdentifier"),
    row(
        "an address said to be a name",
        |scene| scene.by_account("/new-order", wish(&["192.0.3.1"]).to_string().as_bytes()),
        400,
        "rejectedIdentifier",
    ),
];

#[test]
fn addresses_have_one_form_each() {
    hold(Scene::profiled(with_addresses), ADDRESS_ROWS);
}

#[test]
fn addresses_are_refused_where_no_profile_has_them() {
    hold(
        Scene::new(),
        &[row(
            "an address that is not offered",
            |scene| address(scene, "192.0.3.1"),
            400,
            "rejectedIdentifier",
        )],
    );
}

/// RFC 8738, sections 4 to 7: by http-01 and tls-alpn-01 alone; no CAA and no wildcard.
#[test]
fn an_address_offers_no_way_by_the_dns() {
    let scene = Scene::profiled(with_addresses);
    let wish = json!({ "identifiers": [{ "type": "ip", "value": "2600::1" }] });
    let order = scene.done("/new-order", &wish).json();
    let at = path(order["authorizations"][0].as_str().unwrap()).to_owned();
    let authorization = scene.done(&at, &Value::Null).json();
    assert_eq!(authorization["identifier"], wish["identifiers"][0]);
    let challenges = authorization["challenges"].as_array().unwrap().iter();
    let mut kinds: Vec<_> = challenges.map(|one| one["type"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["http-01", "tls-alpn-01"]);
    assert_eq!(scene.ask(&challenge_of(&at, "dns-01"), &json!({})).status, 404);
    scene.process.stop();
}

/// newOrder with these dates.
fn dated(scene: &Scene, not_before: Value, not_after: Value) -> Request<Body> {
    let mut wish = wish(&["a.example.org"]);
    wish["notBefore"] = not_before;
    wish["notAfter"] = not_after;
    scene.by_account("/new-order", wish.to_string().as_bytes())
}

/// So long after now.
fn after(scene: &Scene, time: Duration) -> Value {
    json!(scene.world.clock.now().plus(time).to_rfc3339())
}

const DATE_ROWS: &[Row] = &[
    row("dates within bounds", |scene| dated(scene, after(scene, HOUR), after(scene, 10 * DAY)), 201, "")
        .saying("notAfter"),
    row("an end alone", |scene| dated(scene, Value::Null, after(scene, 10 * DAY)), 201, ""),
    row("dates that are none", |scene| dated(scene, json!("now"), Value::Null), 400, "malformed")
        .saying("RFC 3339"),
    row("dates that are numbers", |scene| dated(scene, json!(1), Value::Null), 400, "malformed")
        .saying("must be a string"),
    row("an end that is too near", |scene| dated(scene, Value::Null, after(scene, HOUR)), 400, "malformed")
        .saying("notAfter"),
    row(
        "an end that is too far",
        |scene| dated(scene, Value::Null, after(scene, 100 * DAY)),
        400,
        "malformed",
    )
    .saying("notAfter"),
    row(
        "a begin that is too far",
        |scene| dated(scene, after(scene, 10 * DAY), Value::Null),
        400,
        "malformed",
    )
    .saying("notBefore"),
];

#[test]
fn dates_are_kept_or_refused() {
    hold(Scene::profiled(|profile| profile.validity_min = Some(DAY)), DATE_ROWS);
}

#[test]
fn dates_are_refused_where_the_profile_fixes_them() {
    hold(
        Scene::new(),
        &[row(
            "dates that are not offered",
            |scene| dated(scene, Value::Null, after(scene, 10 * DAY)),
            400,
            "malformed",
        )
        .saying("notAfter")],
    );
}

fn ahead(scene: &Scene, identifier: &Value) -> Request<Body> {
    scene.by_account("/new-authz", json!({ "identifier": identifier }).to_string().as_bytes())
}

const AHEAD_ROWS: &[Row] = &[
    row("newAuthz with a jwk", |scene| scene.by_key(&scene.key, "/new-authz", b"{}"), 400, "malformed"),
    row("newAuthz as POST-as-GET", |scene| scene.by_account("/new-authz", b""), 400, "malformed"),
    row("newAuthz without an identifier", |scene| scene.by_account("/new-authz", b"{}"), 400, "malformed")
        .saying("is missing"),
    row("newAuthz for an array", |scene| ahead(scene, &json!(["dns", "a.example.org"])), 400, "malformed")
        .saying("must be an object"),
    row(
        "newAuthz for a wildcard",
        |scene| ahead(scene, &json!({ "type": "dns", "value": "*.example.org" })),
        400,
        "malformed",
    ),
    row(
        "newAuthz for an unknown type",
        |scene| ahead(scene, &json!({ "type": "email", "value": "a@example.org" })),
        400,
        "unsupportedIdentifier",
    ),
    row(
        "newAuthz for what no certificate is for",
        |scene| ahead(scene, &json!({ "type": "dns", "value": "localhost" })),
        400,
        "rejectedIdentifier",
    ),
    row(
        "newAuthz for a name",
        |scene| ahead(scene, &json!({ "type": "dns", "value": "a.example.org" })),
        201,
        "",
    )
    .saying("pending"),
];

#[test]
fn a_name_is_authorized_ahead() {
    hold(Scene::profiled(|profile| profile.reuse_authorizations = true), AHEAD_ROWS);
}

/// RFC 8555, section 7.4.1: what was authorized ahead makes an order that can be finalized at once.
#[test]
fn an_order_uses_what_was_authorized_ahead() {
    let scene = Scene::profiled(|profile| profile.reuse_authorizations = true);
    let identifier = json!({ "type": "dns", "value": "a.example.org" });
    let made = scene.done("/new-authz", &json!({ "identifier": identifier }));
    assert_eq!((made.status.as_u16(), &made.json()["identifier"]), (201, &identifier));
    let at = path(made.header("location")).to_owned();
    scene.done(&challenge_of(&at, "http-01"), &json!({}));
    scene.process.until("the check has ended", || scene.process.tasks() == 0);
    let order = scene.done("/new-order", &wish(&["a.example.org"])).json();
    assert_eq!(
        (&order["status"], &order["authorizations"][0]),
        (&json!("ready"), &json!(made.header("location")))
    );
    scene.process.stop();
}

/// RFC 9444: the domain's authorization says that it is for all below, and is for the names that an order asks for.
#[test]
fn a_domain_is_authorized_with_all_below() {
    let scene = Scene::profiled(|profile| {
        profile.reuse_authorizations = true;
        profile.identifiers.ancestors = true;
    });
    let directory = plain(&scene.process, Method::GET, "/dir").json();
    assert_eq!(directory["meta"]["subdomainAuthAllowed"], true);
    let mut wish = wish(&["a.b.example.org"]);
    wish["identifiers"][0]["ancestorDomain"] = json!("example.org");
    let order = scene.done("/new-order", &wish).json();
    let at = path(order["authorizations"][0].as_str().unwrap()).to_owned();
    let authorization = scene.done(&at, &Value::Null).json();
    assert_eq!(authorization["identifier"], json!({ "type": "dns", "value": "example.org" }));
    assert_eq!(authorization["subdomainAuthAllowed"], true);
    wish["identifiers"][0]["ancestorDomain"] = json!("example.net");
    let refused = scene.ask("/new-order", &wish);
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (400, "malformed"));
    scene.process.stop();
}
