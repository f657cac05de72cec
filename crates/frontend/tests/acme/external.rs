//! Proves each check of a binding to an external account (RFC 8555, section 7.3.4), with requests as they come over the
//! wire: what is in order makes an account that shows its binding, anything else is refused, and nobody learns which keys
//! there are.

use axum::http::Method;
use ingam_authority::operator::{Act, NewExternalKey};
use ingam_protocol::Id;
use ingam_protocol::bytes::base64url;
use ingam_protocol::external::MacKey;
use ingam_protocol::operator::Principal;
use ingam_protocol::time::SeededRandom;
use ring::hmac;
use serde_json::{Value, json};

use crate::answer::{Answer, plain};
use crate::client::{Key, ask, path, register};
use crate::world::{PUBLIC_URL, Process, World, hierarchy};

/// A key that an operator gave out, in the hands of whoever got it.
struct Holder {
    id: Id,
    secret: MacKey,
}

fn act(name: &'static str) -> Act {
    Act {
        act: name,
        operator: Principal::User(1),
        roles: Vec::new(),
        asked_by: None,
        from: "unix".to_owned(),
        client: None,
        request_id: "0000000000000000".to_owned(),
        what: Value::Null,
        reason: Some("ended".to_owned()),
    }
}

fn holder(process: &Process) -> Holder {
    let new = NewExternalKey { holder: "contract 4711".to_owned(), ..NewExternalKey::default() };
    let (key, secret) = process.run(process.authority.external_key_make(&act("eab.create"), new)).unwrap();
    Holder { id: key.id, secret }
}

impl Holder {
    fn header(&self) -> Value {
        json!({ "alg": "HS256", "kid": self.id, "url": format!("{PUBLIC_URL}/new-account") })
    }

    fn sign(&self, header: &Value, payload: &Value) -> Value {
        let algorithm = match header["alg"].as_str() {
            Some("HS384") => hmac::HMAC_SHA384,
            Some("HS512") => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let encoded = |value: &Value| base64url(value.to_string().as_bytes());
        let (protected, payload) = (encoded(header), encoded(payload));
        let key = hmac::Key::new(algorithm, self.secret.expose());
        let mac = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
        json!({ "protected": protected, "payload": payload, "signature": base64url(mac.as_ref()) })
    }

    fn binding(&self, account: &Key) -> Value {
        self.sign(&self.header(), &account.jwk())
    }
}

fn new_account(process: &Process, key: &Key, binding: &Value) -> Answer {
    let wish = json!({ "termsOfServiceAgreed": true, "externalAccountBinding": binding });
    ask(process, key, None, "/new-account", &wish)
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.problem())
}

fn detail(answer: &Answer) -> String {
    answer.json()["detail"].as_str().unwrap().to_owned()
}

/// A CA that makes accounts for holders of its keys alone.
fn demanding() -> (World, Process) {
    let mut world = World::new(hierarchy(), 1);
    world.policy.external_account_required = true;
    let process = world.start();
    (world, process)
}

#[test]
fn an_account_without_a_binding_is_refused_where_one_is_required() {
    let (_world, process) = demanding();
    let meta = &plain(&process, Method::GET, "/dir").json()["meta"];
    assert_eq!(meta["externalAccountRequired"], true);
    let without = json!({ "termsOfServiceAgreed": true });
    let null = json!({ "termsOfServiceAgreed": true, "externalAccountBinding": null });
    for wish in [without, null] {
        let answer = ask(&process, &Key::new(), None, "/new-account", &wish);
        assert_eq!(refused(&answer), (403, "externalAccountRequired".to_owned()));
        assert!(detail(&answer).contains("ask its operators"), "{answer:?}");
    }
    let absent = ask(&process, &Key::new(), None, "/new-account", &json!({ "onlyReturnExisting": true }));
    assert_eq!(absent.problem(), "accountDoesNotExist", "whoever only looks is told what is there");
    process.stop();
}

#[test]
fn a_bound_account_shows_its_binding_wherever_it_is_read() {
    for algorithm in ["HS256", "HS384", "HS512"] {
        let (_world, process) = demanding();
        let (holder, key) = (holder(&process), Key::new());
        let mut header = holder.header();
        header["alg"] = json!(algorithm);
        let binding = holder.sign(&header, &key.jwk());
        let made = new_account(&process, &key, &binding);
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.json()["externalAccountBinding"], binding);
        let kid = made.header("location").to_owned();
        let read = ask(&process, &key, Some(&kid), path(&kid), &Value::Null);
        assert_eq!(read.json()["externalAccountBinding"], binding);
        let found = ask(&process, &key, None, "/new-account", &json!({ "onlyReturnExisting": true }));
        assert_eq!((found.status.as_u16(), &found.json()["externalAccountBinding"]), (200, &binding));
        // No update changes it.
        let update = json!({ "externalAccountBinding": {}, "contact": [] });
        let updated = ask(&process, &key, Some(&kid), path(&kid), &update);
        assert_eq!((updated.status.as_u16(), &updated.json()["externalAccountBinding"]), (200, &binding));
        process.stop();
    }
}

#[test]
fn a_binding_is_checked_where_none_is_required() {
    let world = World::new(hierarchy(), 1);
    let process = world.start();
    let (holder, key) = (holder(&process), Key::new());
    let other = Key::new();
    assert_eq!(refused(&new_account(&process, &key, &holder.binding(&other))), (400, "malformed".to_owned()));
    let made = new_account(&process, &key, &holder.binding(&key));
    assert_eq!((made.status.as_u16(), made.json()["externalAccountBinding"].is_object()), (201, true));
    let free = ask(&process, &other, None, "/new-account", &json!({}));
    assert_eq!((free.status.as_u16(), free.json().get("externalAccountBinding")), (201, None));
    process.stop();
}

#[test]
fn every_binding_that_is_not_in_order_is_malformed() {
    let (_world, process) = demanding();
    let (holder, key) = (holder(&process), Key::new());
    let good = holder.binding(&key);
    let with = |name: &str, value: Value| {
        let mut header = holder.header();
        header[name] = value;
        holder.sign(&header, &key.jwk())
    };
    let without = |name: &str| {
        let mut header = holder.header();
        header.as_object_mut().unwrap().remove(name);
        holder.sign(&header, &key.jwk())
    };
    let changed = |name: &str, value: Value| {
        let mut binding = good.clone();
        binding[name] = value;
        binding
    };
    let mut private = key.jwk();
    private["y"] = json!("AA");
    let padded = format!("{}=", good["signature"].as_str().unwrap());
    let wrong = [
        ("another url", with("url", json!(format!("{PUBLIC_URL}/new-order")))),
        ("the directory's url", with("url", json!(format!("{PUBLIC_URL}/dir")))),
        ("no url", without("url")),
        ("no kid", without("kid")),
        ("a kid that is no string", with("kid", json!(7))),
        ("no alg", without("alg")),
        ("a nonce", with("nonce", json!("n"))),
        ("a jwk", with("jwk", key.jwk())),
        ("crit", with("crit", json!(["exp"]))),
        ("no MAC", with("alg", json!("none"))),
        ("a signature's algorithm", with("alg", json!("ES256"))),
        ("another RSA one", with("alg", json!("RS256"))),
        ("another account's key", holder.binding(&Key::new())),
        ("no key", holder.sign(&holder.header(), &json!({}))),
        ("no point of the curve", holder.sign(&holder.header(), &private)),
        ("padding", changed("signature", json!(padded))),
        ("an unprotected header", changed("header", json!({}))),
        ("the general form", json!({ "payload": good["payload"], "signatures": [good] })),
        ("no signature", changed("signature", Value::Null)),
        ("a string", json!("binding")),
        ("a list", json!([good])),
        ("a number", json!(1)),
        ("nothing in it", json!({})),
    ];
    for (what, binding) in wrong {
        let answer = new_account(&process, &key, &binding);
        assert_eq!(refused(&answer), (400, "malformed".to_owned()), "{what}");
        assert!(detail(&answer).contains("externalAccountBinding"), "{what}: {answer:?}");
    }
    assert_eq!(new_account(&process, &key, &good).status, 201, "none of them used the key up");
    process.stop();
}

/// Whoever guesses learns nothing from the answers: they are the same to the letter.
#[test]
fn an_unknown_key_and_a_wrong_mac_are_answered_alike() {
    let (_world, process) = demanding();
    let (used, ended, fresh) = (holder(&process), holder(&process), holder(&process));
    let first = Key::new();
    assert_eq!(new_account(&process, &first, &used.binding(&first)).status, 201);
    let end = act("eab.withdraw");
    process.run(process.authority.external_key_withdraw(&end, ended.id)).unwrap();

    let secret = || MacKey::new(&SeededRandom::new(99));
    let guesses = [
        Holder { id: Id::from_bytes([7; 16]), secret: secret() },
        Holder { id: used.id, secret: secret() },
        Holder { id: ended.id, secret: secret() },
        Holder { id: fresh.id, secret: secret() },
        Holder { id: fresh.id, secret: used.secret.clone() },
    ];
    let mut told = Vec::new();
    for guess in &guesses {
        let key = Key::new();
        let answer = new_account(&process, &key, &guess.binding(&key));
        assert_eq!(refused(&answer), (403, "unauthorized".to_owned()));
        told.push(detail(&answer));
    }
    for kid in ["", "no id", "AAAA"] {
        let (key, mut header) = (Key::new(), fresh.header());
        header["kid"] = json!(kid);
        let answer = new_account(&process, &key, &fresh.sign(&header, &key.jwk()));
        assert_eq!(refused(&answer), (403, "unauthorized".to_owned()));
        told.push(detail(&answer));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    process.stop();
}

#[test]
fn a_key_that_cannot_be_used_says_why_to_its_holder() {
    let (_world, process) = demanding();
    let (used, ended) = (holder(&process), holder(&process));
    let first = Key::new();
    let made = new_account(&process, &first, &used.binding(&first));
    assert_eq!(made.status, 201);
    let again = new_account(&process, &first, &used.binding(&first));
    assert_eq!((again.status.as_u16(), again.header("location")), (200, made.header("location")));

    let second = Key::new();
    let answer = new_account(&process, &second, &used.binding(&second));
    assert_eq!(refused(&answer), (403, "unauthorized".to_owned()));
    assert!(detail(&answer).contains("has an account already"), "{answer:?}");
    let end = act("eab.withdraw");
    process.run(process.authority.external_key_withdraw(&end, ended.id)).unwrap();
    let answer = new_account(&process, &second, &ended.binding(&second));
    assert_eq!(refused(&answer), (403, "unauthorized".to_owned()));
    assert!(detail(&answer).contains("was withdrawn"), "{answer:?}");
    process.stop();
}

#[test]
fn accounts_from_before_go_on_and_ended_ones_stay_ended() {
    let mut world = World::new(hierarchy(), 1);
    let process = world.start();
    let (key, ended) = (Key::new(), Key::new());
    let kid = register(&process, &key);
    let gone = register(&process, &ended);
    let end = ask(&process, &ended, Some(&gone), path(&gone), &json!({ "status": "deactivated" }));
    assert_eq!(end.status, 200);
    process.stop();

    world.policy.external_account_required = true;
    let process = world.start();
    let found = ask(&process, &key, None, "/new-account", &json!({}));
    assert_eq!((found.status.as_u16(), found.header("location")), (200, kid.as_str()));
    // RFC 8555, section 7.3: an account that is there is given back, whatever the rest of the request says.
    let holder = holder(&process);
    let bound = new_account(&process, &key, &holder.binding(&key));
    assert_eq!((bound.status.as_u16(), bound.json().get("externalAccountBinding")), (200, None));
    let order = json!({ "identifiers": [{ "type": "dns", "value": "a.example.org" }] });
    assert_eq!(ask(&process, &key, Some(&kid), "/new-order", &order).status, 201);

    let answer = new_account(&process, &ended, &holder.binding(&ended));
    assert_eq!(refused(&answer), (401, "unauthorized".to_owned()));
    process.stop();
}

#[test]
fn an_order_beyond_the_key_has_a_subproblem_for_each_name() {
    let (_world, process) = demanding();
    let new = NewExternalKey {
        holder: "contract 4711".to_owned(),
        names: vec![ingam_protocol::identifier::Domain::parse("example.org").unwrap()],
        ..NewExternalKey::default()
    };
    let (made, secret) = process.run(process.authority.external_key_make(&act("eab.create"), new)).unwrap();
    let (holder, key) = (Holder { id: made.id, secret }, Key::new());
    let kid = new_account(&process, &key, &holder.binding(&key)).header("location").to_owned();
    let name = |value: &str| json!({ "type": "dns", "value": value });
    let order = |names: &[&str]| {
        let identifiers: Vec<Value> = names.iter().map(|value| name(value)).collect();
        ask(&process, &key, Some(&kid), "/new-order", &json!({ "identifiers": identifiers }))
    };
    let answer = order(&["a.example.net", "a.example.org", "*.example.com"]);
    assert_eq!(refused(&answer), (400, "rejectedIdentifier".to_owned()));
    let told = answer.json()["subproblems"].as_array().unwrap().clone();
    assert_eq!(told.len(), 2);
    for (subproblem, value) in told.iter().zip(["a.example.net", "*.example.com"]) {
        assert_eq!(subproblem["identifier"], name(value));
        assert!(subproblem["detail"].as_str().unwrap().contains("permits only example.org"), "{subproblem}");
    }
    assert_eq!(order(&["a.example.org", "*.example.org"]).status, 201);
    process.stop();
}
