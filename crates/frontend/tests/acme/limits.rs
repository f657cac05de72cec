//! Proves what a client sees of rate limits: the form of a refusal, the dry run, the way out of a pause, and the guard in
//! front of everything. That limits let through what they promise is proved where they are counted, in the authority.

use std::time::Duration;

use axum::http::Method;
use ingam_authority::PauseRule;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::limit::{Limit, LimitName};
use serde_json::{Value, json};

use crate::answer::{Answer, plain};
use crate::client::{Key, ask, path, register};
use crate::world::{DAY, HOUR, PUBLIC_URL, Process, World, hierarchy};

const HELP: &str = "https://www.ca.test/rate-limits";

fn world(limits: &[(LimitName, u32)]) -> World {
    let mut world = World::new(hierarchy(), 1);
    let limit = |count: u32| Limit::new(count, HOUR, count).unwrap();
    let rate_limits = &mut world.policy.rate_limits;
    rate_limits.limits = limits.iter().map(|(name, count)| (*name, limit(*count))).collect();
    rate_limits.help = Some(HELP.to_owned());
    rate_limits.unpause_url = ingam_frontend::unpause_url(PUBLIC_URL);
    world
}

fn wish(name: &str) -> Value {
    json!({ "identifiers": [{ "type": "dns", "value": name }] })
}

/// A refusal by a limit, with everything that is promised of it.
#[track_caller]
fn assert_limited(answer: &Answer, limit: &str, subject: &str, wait: &str) {
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (429, "rateLimited"), "{answer:?}");
    assert_eq!(answer.header("retry-after"), wait, "{answer:?}");
    let help = format!("<{HELP}>;rel=\"help\"");
    assert!(answer.links().contains(&help.as_str()), "{answer:?}");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    for part in [limit, subject, HELP, "try again in"] {
        assert!(detail.contains(part), "{part}: {detail}");
    }
}

#[test]
fn a_refusal_tells_which_limit_whose_how_much_and_until_when() {
    let world = world(&[(LimitName::NewOrdersPerAccount, 2)]);
    let process = world.start();
    let key = Key::new();
    let kid = register(&process, &key);
    let order = || ask(&process, &key, Some(&kid), "/new-order", &wish("a.example.org"));
    for _ in 0..2 {
        assert_eq!(order().status, 201);
    }
    let refused = order();
    assert_limited(&refused, "new_orders_per_account", "the account", "1800");
    assert!(refused.json()["detail"].as_str().unwrap().contains("2 in 1 hour"), "{refused:?}");
    world.clock.advance(Duration::from_secs(1800));
    assert_eq!(order().status, 201);
    process.stop();
}

#[test]
fn a_dry_run_answers_with_every_limit_and_makes_no_order() {
    let world = world(&[(LimitName::NewOrdersPerAccount, 2), (LimitName::CertificatesPerExactSet, 5)]);
    let process = world.start();
    let key = Key::new();
    let kid = register(&process, &key);
    let directory = plain(&process, Method::GET, "/dir").json();
    let target = path(directory["newOrderDryRun"].as_str().unwrap()).to_owned();
    let run = |name: &str| ask(&process, &key, Some(&kid), &target, &wish(name)).json();
    ask(&process, &key, Some(&kid), "/new-order", &wish("a.example.org"));
    for _ in 0..3 {
        let told = run("a.example.org");
        assert_eq!((&told["wouldSucceed"], &told["problems"]), (&json!(true), &json!([])));
        assert_eq!(told["limits"][0]["limit"], "new_orders_per_account");
        assert_eq!((&told["limits"][0]["remaining"], &told["limits"][0]["of"]), (&json!(1), &json!(2)));
        assert_eq!(told["limits"][0]["wouldRefuse"], false);
        assert_eq!(told["limits"][1]["limit"], "certificates_per_exact_set");
    }
    ask(&process, &key, Some(&kid), "/new-order", &wish("a.example.org"));
    let told = run("a.example.org");
    assert_eq!(told["wouldSucceed"], false);
    assert_eq!(told["limits"][0]["wouldRefuse"], true);
    assert_eq!(told["limits"][0]["nextAt"], "2026-11-21T10:30:00Z");
    let told = run("www.ca.test");
    assert_eq!(told["problems"][0]["type"], "urn:ietf:params:acme:error:rejectedIdentifier");
    let orders = ask(&process, &key, Some(&kid), &format!("{}/orders", path(&kid)), &Value::Null).json();
    assert_eq!(orders["orders"].as_array().unwrap().len(), 2);
    let unsigned = ask(&process, &key, None, &target, &wish("a.example.org"));
    assert_eq!(unsigned.problem(), "malformed", "it is asked by an account");
    process.stop();
}

fn fail_once(process: &Process, key: &Key, kid: &str) {
    let order = ask(process, key, Some(kid), "/new-order", &wish("zombie.example.org")).json();
    let authorization = path(order["authorizations"][0].as_str().unwrap()).to_owned();
    let shown = ask(process, key, Some(kid), &authorization, &Value::Null).json();
    let challenge = path(shown["challenges"][0]["url"].as_str().unwrap()).to_owned();
    ask(process, key, Some(kid), &challenge, &json!({}));
    process.until("the check has ended", || process.store.challenges_open(1).unwrap().is_empty());
}

#[test]
fn a_paused_account_is_told_the_way_out_and_takes_it() {
    let mut world = world(&[]);
    let rule = PauseRule { failures: 2, over: DAY, forgotten_after: 30 * DAY };
    world.policy.rate_limits.pauses = Some(rule);
    let process = world.start();
    let zombie = DnsName::parse("zombie.example.org").unwrap();
    world.validation.set_controlled(&zombie, false);
    let key = Key::new();
    let kid = register(&process, &key);
    fail_once(&process, &key, &kid);
    world.clock.advance(DAY);
    fail_once(&process, &key, &kid);
    let order = || ask(&process, &key, Some(&kid), "/new-order", &wish("zombie.example.org"));
    let refused = order();
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (429, "rateLimited"));
    assert_eq!(refused.header("retry-after"), (30 * DAY).as_secs().to_string());
    let problem = refused.json();
    let target = plain(&process, Method::GET, "/dir").json()["meta"]["unpause"].as_str().unwrap().to_owned();
    assert!(problem["detail"].as_str().unwrap().contains(&target), "{problem}");
    let named = json!({ "type": "dns", "value": "zombie.example.org" });
    assert_eq!(problem["subproblems"][0]["identifier"], named);
    let unpause = |wish: Value| ask(&process, &key, Some(&kid), path(&target), &wish);
    let other = unpause(json!({ "identifiers": [{ "type": "dns", "value": "a.example.org" }] }));
    assert_eq!(other.json(), json!({ "unpaused": [], "more": false }));
    assert_eq!(order().status, 429);
    assert_eq!(
        unpause(json!({ "identifiers": [{ "type": "dns", "value": "no name" }] })).problem(),
        "malformed"
    );
    assert_eq!(unpause(json!({})).json(), json!({ "unpaused": ["zombie.example.org"], "more": false }));
    assert_eq!(order().status, 201);
    process.stop();
}

#[test]
fn whoever_sends_too_much_is_refused_before_anything_is_read() {
    let world = world(&[(LimitName::RequestsPerAddress, 3)]);
    let process = world.start();
    let nonce = || plain(&process, Method::HEAD, "/new-nonce");
    for _ in 0..3 {
        assert_eq!(nonce().status, 200);
    }
    assert_eq!(nonce().status, 429);
    let key = Key::new();
    let header = crate::client::protected(&key, None, "AA", "/new-account");
    let refused = crate::answer::post(&process, "/new-account", key.sign(&header, b"{}").to_string());
    assert_limited(&refused, "requests_per_address", "the address", "1200");
    assert!(!refused.header("replay-nonce").is_empty(), "every answer to a POST has one");
    assert_eq!(plain(&process, Method::GET, "/dir").status, 200, "the directory costs nothing");
    world.clock.advance(HOUR);
    register(&process, &key);
    process.stop();
}
