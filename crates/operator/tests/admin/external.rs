//! Proves that a MAC key is in one answer, the one that makes it, and in no record; and that keys and their accounts are
//! found by each other and by what has become of them.

use ingam_protocol::acme::{Account, ExternalAccount};
use ingam_protocol::jws::JwsText;
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::{Id, Timestamp};
use serde_json::{Value, json};

use crate::client::{get, post};
use crate::world::{DAY, World, new_key, start};

fn make(world: &World, who: Principal, body: Value) -> Value {
    let answer = world.send(who, &post("/v1/external-keys", body));
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn id_of(key: &Value) -> &str {
    key["id"].as_str().unwrap()
}

/// Binds an account to a key, as the front end would.
fn bind(world: &World, key: &str) -> Id {
    let text = |text: &str| text.to_owned();
    let binding = JwsText { protected: text("e30"), payload: text("e30"), signature: text("AA") };
    let external = Some(ExternalAccount { key: key.parse().unwrap(), binding });
    let account = Account {
        id: Id::new(start(), world.random.as_ref()),
        key: new_key(),
        created: start(),
        terms_agreed: None,
        deactivated: None,
        external,
        earlier_keys: Vec::new(),
    };
    let told = Record::new(RecordType::AccountCreated, start(), b"{}".to_vec(), world.random.as_ref());
    world.run(world.store.account_insert(account.clone(), &[], told, Vec::new())).unwrap().unwrap();
    account.id
}

#[test]
fn a_mac_key_is_shown_once_and_is_in_no_record() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    let expires = start().plus(DAY);
    let wish = json!({
        "holder": " contract 4711 ", "profiles": ["classic"], "names": ["Example.org"], "expires": expires.to_rfc3339(),
    });
    let (made, told) = world.told(|| make(&world, boss, wish));
    let secret = made["mac_key"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 86);
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("mac_key");
    assert_eq!(
        shown,
        json!({
            "id": id_of(&made), "holder": "contract 4711", "status": "unused", "profiles": ["classic"],
            "names": ["example.org"], "by": boss.to_string(), "created": start().to_rfc3339(),
            "expires": expires.to_rfc3339(),
        })
    );
    assert!(told.iter().all(|told| !told.payload.to_string().contains(&secret)), "{told:?}");
    let path = format!("/v1/external-keys/{}", id_of(&made));
    assert_eq!(world.send(boss, &get(path.clone())).json(), shown);
    for uri in [path, "/v1/external-keys".to_owned(), "/v1/log?reason=ticket&limit=1000".to_owned()] {
        let text = world.send(boss, &get(uri)).text();
        assert!(text.contains("contract 4711") && !text.contains(&secret), "{text}");
    }
    world.stop();
}

#[test]
fn keys_are_found_by_status_and_accounts_by_their_key() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    let wish = |expires: Option<Timestamp>| match expires {
        Some(expires) => json!({ "holder": "a", "expires": expires.to_rfc3339() }),
        None => json!({ "holder": "a" }),
    };
    let keys = [None, None, Some(start().plus(DAY)), None].map(|expires| make(&world, boss, wish(expires)));
    let [unused, bound, expired, withdrawn] = keys.each_ref().map(id_of);
    let account = bind(&world, bound);
    let other = world.account();
    let end = post(format!("/v1/external-keys/{withdrawn}/withdraw"), json!({ "reason": "ended" }));
    let answer = world.send(boss, &end).json();
    assert_eq!((&answer["status"], &answer["withdrawal_reason"]), (&json!("withdrawn"), &json!("ended")));
    world.clock.advance(2 * DAY);
    let found = |uri: String| -> Vec<String> {
        let answer = world.send(boss, &get(uri)).json();
        answer["items"].as_array().unwrap().iter().map(|item| id_of(item).to_owned()).collect()
    };
    for (status, key) in
        [("unused", unused), ("bound", bound), ("expired", expired), ("withdrawn", withdrawn)]
    {
        assert_eq!(found(format!("/v1/external-keys?status={status}")), [key], "{status}");
    }
    let refused = world.send(boss, &get("/v1/external-keys?status=lost"));
    assert_eq!(refused.problem(), (422, "invalid".to_owned()));

    assert_eq!(found(format!("/v1/accounts?external_key={bound}")), [account.to_string()]);
    assert!(found(format!("/v1/accounts?external_key={unused}")).is_empty());
    assert!(found(format!("/v1/accounts?external_key={bound}&status=deactivated")).is_empty());
    let view = world.send(boss, &get(format!("/v1/accounts/{account}"))).json();
    assert_eq!(view["external_key"], bound);
    let view = world.send(boss, &get(format!("/v1/accounts/{}", other.id))).json();
    assert!(view.get("external_key").is_none());
    let thumbprint = view["key_thumbprint"].as_str().unwrap();
    assert!(found(format!("/v1/accounts?key={thumbprint}&external_key={bound}")).is_empty());
    world.stop();
}

#[test]
fn a_key_that_makes_no_sense_is_refused() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    let many: Vec<String> = (0..101).map(|number| format!("n{number}.example.org")).collect();
    let wrong = [
        json!({ "holder": "" }),
        json!({ "holder": "x".repeat(1001) }),
        json!({ "holder": "two\nlines" }),
        json!({ "holder": "a", "profiles": ["other"] }),
        json!({ "holder": "a", "profiles": ["No Profile"] }),
        json!({ "holder": "a", "names": ["a..b"] }),
        json!({ "holder": "a", "names": ["*.example.org"] }),
        json!({ "holder": "a", "names": many }),
        json!({ "holder": "a", "expires": start().to_rfc3339() }),
        json!({ "holder": "a", "expires": "tomorrow" }),
    ];
    for body in wrong {
        let answer = world.send(boss, &post("/v1/external-keys", body.clone()));
        assert_eq!(answer.problem(), (422, "invalid".to_owned()), "{body}");
    }
    let found = world.send(boss, &get("/v1/external-keys")).json();
    assert_eq!(found["items"], json!([]));
    world.stop();
}
