//! Proves who is told what of the process: that it lives and whether it is ready to anybody who gets this far, what is
//! lacking to those with a role alone; and that a configuration with mistakes changes nothing and names each of them.

use std::sync::atomic::Ordering;

use ingam_operator::acts;
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::RecordType;
use serde_json::json;

use crate::acts::why;
use crate::client::{DOCUMENT, get, post};
use crate::world::World;

#[test]
fn everybody_is_told_who_they_are_and_what_they_may() {
    let world = World::new();
    for role in Role::ALL {
        let somebody = world.somebody(&[role]);
        let (answer, told) = world.told(|| world.send(somebody, &get("/v1/whoami")));
        let may: Vec<_> =
            acts::all().filter(|rule| rule.roles.contains(&role)).map(|rule| rule.name).collect();
        assert_eq!(
            answer.json(),
            json!({ "principal": somebody.to_string(), "roles": [role.name()], "acts": may })
        );
        assert_eq!(told, []);
    }
    let stranger = Principal::Certificate([0xab; 32]);
    let answer = world.send(stranger, &get("/v1/whoami")).json();
    assert_eq!(answer, json!({ "principal": format!("cert:{}", "ab".repeat(32)), "roles": [], "acts": [] }));
    world.stop();
}

#[test]
fn readiness_is_for_everybody_and_its_reasons_for_those_with_a_role() {
    let world = World::new();
    let (support, nobody) = (world.somebody(&[Role::Support]), world.somebody(&[]));
    for ready in [true, false] {
        world.host.ready.store(ready, Ordering::SeqCst);
        let status = if ready { 200 } else { 503 };
        for (who, report) in
            [(support, json!({ "ready": ready, "issuers": ["ecdsa"] })), (nobody, json!({ "ready": ready }))]
        {
            let (answer, told) = world.told(|| world.send(who, &get("/readyz")));
            assert_eq!((answer.status.as_u16(), answer.json(), told), (status, report, Vec::new()));
            assert_eq!(world.send(who, &get("/livez")).text(), "ok\n");
        }
    }
    assert_eq!(world.send(nobody, &get("/v1/status")).problem().0, 403);
    world.stop();
}

#[test]
fn a_configuration_with_mistakes_is_refused_with_each_of_them() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    let mistakes = vec!["limits.orders: not a number".to_owned(), "profiles: none".to_owned()];
    *world.host.mistakes.lock().unwrap() = mistakes.clone();
    let (answer, told) = world.told(|| world.send(boss, &post("/v1/reload", why())));
    assert_eq!(answer.problem(), (422, "invalid".to_owned()));
    assert_eq!(answer.json()["findings"], json!(mistakes));
    assert_eq!((told.len(), told[0].kind), (1, RecordType::OperatorActed));
    assert_eq!(told[0].payload["outcome"], "refused");
    world.host.mistakes.lock().unwrap().clear();
    let (answer, told) = world.told(|| world.send(boss, &post("/v1/reload", why())));
    assert_eq!(answer.json(), json!({ "changed": ["limits"], "needs_restart": [] }));
    assert_eq!(told.len(), 2);
    world.stop();
}

#[test]
fn the_document_is_served_as_it_is() {
    let world = World::new();
    let nobody = world.somebody(&[]);
    let served = world.send(nobody, &get("/openapi.json"));
    assert_eq!(
        (served.headers["content-type"].to_str().unwrap(), served.json()),
        ("application/json", DOCUMENT.clone())
    );
    world.stop();
}
