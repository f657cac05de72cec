//! Proves what RFC 9773 asks of the front end: where renewal information is, who may ask, what the answer says in body and
//! headers, and how orders name what they replace.

use axum::http::Method;
use ingam_protocol::acme::OrderStatus;
use ingam_protocol::renewal::CertificateId;
use ingam_protocol::{Id, Serial, Timestamp};
use ingam_signer::Signer as _;
use serde_json::{Value, json};

use crate::answer::{Answer, plain};
use crate::client::{Key, ask, path, register};
use crate::world::{DAY, HOUR, PUBLIC_URL, Process, World, hierarchy};

fn order_of(process: &Process, key: &Key, kid: &str, replaces: Option<&Value>) -> Answer {
    let mut wish = json!({ "identifiers": [{ "type": "dns", "value": "a.example.org" }] });
    if let Some(replaces) = replaces {
        wish["replaces"] = replaces.clone();
    }
    ask(process, key, Some(kid), "/new-order", &wish)
}

/// A certificate's name, as clients make it.
fn issued(world: &World, process: &Process, key: &Key, kid: &str, order: &Answer) -> String {
    let at = |url: &Value| path(url.as_str().unwrap()).to_owned();
    let url = path(order.header("location")).to_owned();
    let show = |path: &str| ask(process, key, Some(kid), path, &Value::Null).json();
    let authorization = at(&order.json()["authorizations"][0]);
    let challenge = at(&show(&authorization)["challenges"][1]["url"]);
    assert_eq!(ask(process, key, Some(kid), &challenge, &json!({})).status, 200);
    let id: Id = url.rsplit('/').next().unwrap().parse().unwrap();
    let now = process.authority.clock().now();
    process.until("the order is ready", || {
        let order = process.store.order_by_id(id).unwrap().unwrap();
        process.store.order_status(&order, now).unwrap() == OrderStatus::Ready
    });
    let csr = json!({ "csr": Key::new().csr(&["a.example.org".to_owned()]) });
    let valid = ask(process, key, Some(kid), &format!("{url}/finalize"), &csr).json();
    assert_eq!(valid["status"], "valid", "{valid}");
    let serial = valid["certificate"].as_str().unwrap().rsplit('/').next().and_then(Serial::from_hex);
    let key_identifier = world.signer.issuers()[0].key_identifier.clone();
    CertificateId { key_identifier, serial: serial.unwrap() }.to_string()
}

fn renewal(process: &Process, name: &str) -> Answer {
    plain(process, Method::GET, &format!("/renewal-info/{name}"))
}

fn moment(value: &Value) -> Timestamp {
    Timestamp::from_rfc3339(value.as_str().unwrap()).unwrap()
}

#[test]
fn anybody_may_ask_when_to_renew() {
    let world = World::new(hierarchy(), 1);
    let process = world.start();
    let key = Key::new();
    let kid = register(&process, &key);
    let name = issued(&world, &process, &key, &kid, &order_of(&process, &key, &kid, None));
    let directory = plain(&process, Method::GET, "/dir").json();
    assert_eq!(directory["renewalInfo"], format!("{PUBLIC_URL}/renewal-info"));

    let answer = renewal(&process, &name);
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.header("retry-after"), "21600");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert!(answer.header("replay-nonce").is_empty());
    let told = answer.json();
    assert_eq!(told.as_object().unwrap().len(), 1, "nothing but the window: {told}");
    let (start, end) = (moment(&told["suggestedWindow"]["start"]), moment(&told["suggestedWindow"]["end"]));
    let now = process.authority.clock().now();
    assert!(now.plus(50 * DAY) < start && start < end && end < now.plus(70 * DAY), "{told}");
    let head = plain(&process, Method::HEAD, &format!("/renewal-info/{name}"));
    assert_eq!((head.status.as_u16(), head.header("retry-after")), (200, "21600"));
    world.clock.advance(start.since(now) - 3 * HOUR);
    assert_eq!(renewal(&process, &name).header("retry-after"), "10800");

    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = plain(&process, method.clone(), &format!("/renewal-info/{name}"));
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    process.stop();
}

#[test]
fn what_names_no_certificate_is_400_and_what_names_none_of_ours_404() {
    let world = World::new(hierarchy(), 1);
    let process = world.start();
    for name in ["aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", "AA.AQ"] {
        let answer = renewal(&process, name);
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (404, "malformed"), "{name}");
    }
    let long = "A".repeat(5000);
    for name in
        [".", "a", "AA.", ".AQ", "AA.AQ.AQ", "AA.AA", "AA.gQ", "AA=.AQ", "AA.AQ%0A", "%C3%A4.AQ", &long]
    {
        let answer = renewal(&process, name);
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "malformed"), "{name}");
    }
    for nothing in ["/renewal-info", "/renewal-info/", "/renewal-info/AA.AQ/x"] {
        assert_eq!(plain(&process, Method::GET, nothing).status, 404, "{nothing}");
    }
    process.stop();
}

#[test]
fn an_order_shows_what_it_replaces_and_a_second_one_is_a_conflict() {
    let world = World::new(hierarchy(), 1);
    let process = world.start();
    let key = Key::new();
    let kid = register(&process, &key);
    let first = order_of(&process, &key, &kid, None);
    assert!(first.json().get("replaces").is_none());
    let name = issued(&world, &process, &key, &kid, &first);

    for (bad, problem) in
        [("AA", "malformed"), ("AA.AQ", "malformed"), ("", "malformed"), (&format!("{name}."), "malformed")]
    {
        let refused = order_of(&process, &key, &kid, Some(&json!(bad)));
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (400, problem), "{bad}");
    }
    assert_eq!(order_of(&process, &key, &kid, Some(&json!(7))).problem(), "malformed");
    let other = Key::new();
    let other_kid = register(&process, &other);
    let foreign = order_of(&process, &other, &other_kid, Some(&json!(name)));
    assert_eq!((foreign.status.as_u16(), foreign.problem().as_str()), (403, "unauthorized"));

    let order = order_of(&process, &key, &kid, Some(&json!(name)));
    assert_eq!((order.status.as_u16(), &order.json()["replaces"]), (201, &json!(name)));
    let again = ask(&process, &key, Some(&kid), path(order.header("location")), &Value::Null);
    assert_eq!(again.json()["replaces"], json!(name));
    let conflict = order_of(&process, &key, &kid, Some(&json!(name)));
    assert_eq!((conflict.status.as_u16(), conflict.problem().as_str()), (409, "alreadyReplaced"));
    assert!(conflict.header("location").is_empty(), "that is for accounts");
    // The new one can be replaced in its turn.
    let next = issued(&world, &process, &key, &kid, &order);
    assert_ne!(next, name);
    let order = order_of(&process, &key, &kid, Some(&json!(next)));
    assert_eq!((order.status.as_u16(), &order.json()["replaces"]), (201, &json!(next)));
    process.stop();
}
