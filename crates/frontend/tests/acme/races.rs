//! Proves that requests at the same time come to what they come to one after the other, in whatever order: no order is
//! signed twice, no right outlives the moment that ended it, and the whole CA is consistent afterwards (`properties::watch`).
//!
//! All requests of a race are under way at once: each is signed before any is sent, and they take turns wherever one waits
//! for the store, the network or the signer. Not a failure: which of them wins.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::answer::{Answer, jose, send, send_all};
use crate::client::{Key, ask, key_change, leaf, nonce, path, protected, register};
use crate::properties::watch::Watch;
use crate::world::{Process, World, hierarchy};

/// A CA with an account that other things happen to, watched as a whole.
struct Race {
    world: World,
    process: Process,
    key: Key,
    kid: String,
    watch: Watch,
}

impl Race {
    fn new() -> Self {
        Self::changed(|_| {})
    }

    fn changed(change: impl FnOnce(&mut World)) -> Self {
        let mut world = World::new(hierarchy(), 1);
        change(&mut world);
        let process = world.start();
        let key = Key::new();
        let kid = register(&process, &key);
        Self { world, process, key, kid, watch: Watch::default() }
    }

    /// A request of the account's under this key, signed and not yet sent.
    fn signed(&self, key: &Key, path: &str, payload: &Value) -> Request<Body> {
        let header = protected(key, Some(&self.kid), &nonce(&self.process), path);
        let payload = if payload.is_null() { Vec::new() } else { payload.to_string().into_bytes() };
        jose(path, key.sign(&header, &payload).to_string())
    }

    fn ask(&self, path: &str, payload: &Value) -> Answer {
        ask(&self.process, &self.key, Some(&self.kid), path, payload)
    }

    /// An order that can be finalized, by its path.
    fn ready(&self, name: &str) -> String {
        let made = self.ask("/new-order", &wish(name));
        let authorization = made.json()["authorizations"][0].as_str().unwrap().to_owned();
        let challenge = format!("/challenge/{}/dns-01", authorization.rsplit('/').next().unwrap());
        assert_eq!(self.ask(&challenge, &json!({})).status, 200);
        self.rest();
        path(made.header("location")).to_owned()
    }

    fn rest(&self) {
        self.process.until("everything rests", || self.process.tasks() == 0);
    }

    /// Sends them all at once, waits until everything rests, and looks at the whole CA.
    fn run(&mut self, requests: Vec<Request<Body>>) -> Vec<Answer> {
        self.watch.look(&self.world, &self.process);
        let answers = send_all(&self.process, requests);
        self.rest();
        self.watch.look(&self.world, &self.process);
        answers
    }

    fn status(&self, order: &str) -> String {
        self.ask(order, &Value::Null).json()["status"].as_str().unwrap().to_owned()
    }
}

fn wish(name: &str) -> Value {
    json!({ "identifiers": [{ "type": "dns", "value": name }] })
}

fn csr(key: &Key, name: &str) -> Value {
    json!({ "csr": key.csr(&[name.to_owned()]) })
}

#[test]
fn fifty_orders_at_once_are_fifty_orders() {
    let mut race = Race::new();
    let order = |number| race.signed(&race.key, "/new-order", &wish(&format!("n{number}.example.org")));
    let requests = (0..50).map(order).collect();
    let answers = race.run(requests);
    let mut made: Vec<_> = answers.iter().map(|answer| answer.header("location").to_owned()).collect();
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 50, "each of its own");
    let listed = race.ask(&format!("{}/orders", path(&race.kid)), &Value::Null).json();
    let mut listed: Vec<_> =
        listed["orders"].as_array().unwrap().iter().map(|url| url.as_str().unwrap().to_owned()).collect();
    listed.sort();
    assert_eq!(listed, made);
    race.process.stop();
}

/// The same request twice at the same moment is one request and a replay.
#[test]
fn of_two_requests_with_one_nonce_one_is_heard() {
    let mut race = Race::new();
    let header = protected(&race.key, Some(&race.kid), &nonce(&race.process), "/new-order");
    let body = race.key.sign(&header, wish("a.example.org").to_string().as_bytes()).to_string();
    let answers = race.run((0..10).map(|_| jose("/new-order", body.clone())).collect());
    let heard = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.problem() == "badNonce").count();
    assert_eq!((heard, refused), (1, 9));
    race.process.stop();
}

#[test]
fn one_key_registered_ten_times_at_once_has_one_account() {
    let mut race = Race::new();
    let key = Key::new();
    let request = |_| {
        let header = protected(&key, None, &nonce(&race.process), "/new-account");
        jose("/new-account", key.sign(&header, b"{}").to_string())
    };
    let requests = (0..10).map(request).collect();
    let answers = race.run(requests);
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 9);
    assert!(answers.iter().all(|answer| answer.header("location") == answers[0].header("location")));
    race.process.stop();
}

#[test]
fn many_finalizes_at_once_give_one_certificate() {
    for finalize_wait in [std::time::Duration::ZERO, std::time::Duration::from_secs(60)] {
        let mut race = Race::changed(|world| world.policy.finalize_wait = finalize_wait);
        let order = race.ready("a.example.org");
        let at = format!("{order}/finalize");
        let keys: Vec<Key> = std::iter::repeat_with(Key::new).take(5).collect();
        let requests =
            keys.iter().map(|key| race.signed(&race.key, &at, &csr(key, "a.example.org"))).collect();
        let answers = race.run(requests);
        for answer in &answers {
            assert_eq!(answer.status, 200, "{answer:?}");
            let status = answer.json()["status"].clone();
            assert!(status == "processing" || status == "valid", "{status}");
        }
        assert_eq!(race.world.signer.signed().len(), 1);
        assert_eq!(race.status(&order), "valid");
        race.process.stop();
    }
}

/// Either the certificate was claimed before the account ended, and then it is there, or it is never signed.
#[test]
fn a_finalize_that_races_the_end_of_its_account_comes_before_or_never() {
    for finalize_first in [true, false] {
        let mut race = Race::new();
        let order = race.ready("a.example.org");
        let at = format!("{order}/finalize");
        let finalize = race.signed(&race.key, &at, &csr(&Key::new(), "a.example.org"));
        let end = race.signed(&race.key, path(&race.kid), &json!({ "status": "deactivated" }));
        let requests = if finalize_first { vec![finalize, end] } else { vec![end, finalize] };
        let mut answers = race.run(requests);
        if !finalize_first {
            answers.reverse();
        }
        assert_eq!(answers[1].status, 200, "the account has ended: {answers:?}");
        match (answers[0].status.as_u16(), race.world.signer.signed().len()) {
            (200, 1) => assert_eq!(answers[0].json()["status"], "valid"),
            (200, 0) => {
                assert_eq!(answers[0].json()["status"], "invalid", "claimed before, not signed after")
            }
            (401 | 403, 0) => assert_eq!(answers[0].problem(), "unauthorized"),
            other => panic!("{other:?}: {answers:?}"),
        }
        // With the very next request.
        assert_eq!(race.ask(&order, &Value::Null).status, 401);
        race.process.stop();
    }
}

#[test]
fn a_finalize_that_races_the_end_of_its_authorization_comes_before_or_never() {
    for finalize_first in [true, false] {
        let mut race = Race::new();
        let order = race.ready("a.example.org");
        let authorization = race.ask(&order, &Value::Null).json()["authorizations"][0].clone();
        let authorization = path(authorization.as_str().unwrap()).to_owned();
        let at = format!("{order}/finalize");
        let finalize = race.signed(&race.key, &at, &csr(&Key::new(), "a.example.org"));
        let end = race.signed(&race.key, &authorization, &json!({ "status": "deactivated" }));
        let requests = if finalize_first { vec![finalize, end] } else { vec![end, finalize] };
        let mut answers = race.run(requests);
        if !finalize_first {
            answers.reverse();
        }
        assert_eq!(answers[1].status, 200, "{answers:?}");
        let signed = race.world.signer.signed().len();
        match (answers[0].status.as_u16(), race.status(&order).as_str()) {
            (200, "valid") => assert_eq!(signed, 1),
            (403, "invalid") => assert_eq!((answers[0].problem().as_str(), signed), ("orderNotReady", 0)),
            other => panic!("{other:?}: {answers:?}"),
        }
        race.process.stop();
    }
}

/// Orders under the old key are heard before the change or not at all, and after it the old key is nobody's.
#[test]
fn a_key_change_that_races_orders_is_in_force_with_the_next_request() {
    let mut race = Race::new();
    let new = Key::new();
    let change = race.signed(&race.key, "/key-change", &key_change(&race.key, &new, &race.kid));
    let order =
        |key: &Key, number: usize| race.signed(key, "/new-order", &wish(&format!("n{number}.example.org")));
    let mut requests: Vec<_> = (0..5).map(|number| order(&race.key, number)).collect();
    requests.push(change);
    requests.extend((5..10).map(|number| order(&race.key, number)));
    requests.extend((10..15).map(|number| order(&new, number)));
    let answers = race.run(requests);
    assert_eq!(answers[5].status, 200, "{answers:?}");
    for answer in answers.iter().enumerate().filter(|(index, _)| *index != 5).map(|(_, answer)| answer) {
        let fits = answer.status == 201 || (answer.status == 400 && answer.problem() == "malformed");
        assert!(fits, "{answer:?}");
    }
    // Now that the change was answered.
    assert_eq!(race.ask("/new-order", &wish("late.example.org")).problem(), "malformed");
    let fresh = ask(&race.process, &new, Some(&race.kid), "/new-order", &wish("late.example.org"));
    assert_eq!(fresh.status, 201);
    race.process.stop();
}

/// Two changes at once, each signed by the key that was in force: one of them is too late.
#[test]
fn of_two_key_changes_at_once_one_counts() {
    let mut race = Race::new();
    let new = [Key::new(), Key::new()];
    let change = |key: &Key| race.signed(&race.key, "/key-change", &key_change(&race.key, key, &race.kid));
    let requests = new.iter().map(change).collect();
    let answers = race.run(requests);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    let counts =
        |key: &Key| ask(&race.process, key, Some(&race.kid), path(&race.kid), &Value::Null).status == 200;
    for (key, answer) in new.iter().zip(&answers) {
        assert_eq!(counts(key), answer.status == 200);
    }
    assert!(!counts(&race.key));
    race.process.stop();
}

/// Two accounts want one key: one has it, and the other is told who.
#[test]
fn of_two_accounts_that_change_to_one_key_one_has_it() {
    let mut race = Race::new();
    let (other, new) = (Key::new(), Key::new());
    let others = register(&race.process, &other);
    let first = race.signed(&race.key, "/key-change", &key_change(&race.key, &new, &race.kid));
    let header = protected(&other, Some(&others), &nonce(&race.process), "/key-change");
    let body = key_change(&other, &new, &others).to_string();
    let second = jose("/key-change", other.sign(&header, body.as_bytes()).to_string());
    let answers = race.run(vec![first, second]);
    let kids = [&race.kid, &others];
    let winner = answers.iter().position(|answer| answer.status == 200).unwrap();
    let loser = &answers[1 - winner];
    assert_eq!((loser.status.as_u16(), loser.header("location")), (409, kids[winner].as_str()));
    race.process.stop();
}

/// However often and by whoever at once: revoked once, with one reason.
#[test]
fn a_certificate_is_revoked_once() {
    let mut race = Race::new();
    let key = Key::new();
    let order = race.ready("a.example.org");
    let valid = race.ask(&format!("{order}/finalize"), &csr(&key, "a.example.org"));
    let chain = race.ask(path(valid.json()["certificate"].as_str().unwrap()), &Value::Null);
    let wish = json!({ "certificate": leaf(&chain), "reason": 4 });
    let by_account = |_| race.signed(&race.key, "/revoke-cert", &wish);
    let by_key = |_| {
        let header = protected(&key, None, &nonce(&race.process), "/revoke-cert");
        jose("/revoke-cert", key.sign(&header, wish.to_string().as_bytes()).to_string())
    };
    let requests = (0..5).map(by_account).chain((0..5).map(by_key)).collect();
    let answers = race.run(requests);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.problem() == "alreadyRevoked").count(), 9);
    race.process.stop();
}

/// A finalize with a key that is called compromised at the same moment comes before that or never.
#[test]
fn a_finalize_that_races_the_blocking_of_its_key_comes_before_or_never() {
    for finalize_first in [true, false] {
        let mut race = Race::new();
        let key = Key::new();
        let (first, second) = (race.ready("a.example.org"), race.ready("b.example.org"));
        let valid = race.ask(&format!("{first}/finalize"), &csr(&key, "a.example.org"));
        let chain = race.ask(path(valid.json()["certificate"].as_str().unwrap()), &Value::Null);
        let wish = json!({ "certificate": leaf(&chain), "reason": 1 });
        let header = protected(&key, None, &nonce(&race.process), "/revoke-cert");
        let block = jose("/revoke-cert", key.sign(&header, wish.to_string().as_bytes()).to_string());
        let finalize = race.signed(&race.key, &format!("{second}/finalize"), &csr(&key, "b.example.org"));
        let requests = if finalize_first { vec![finalize, block] } else { vec![block, finalize] };
        let mut answers = race.run(requests);
        if !finalize_first {
            answers.reverse();
        }
        assert_eq!(answers[1].status, 200, "{answers:?}");
        match (answers[0].status.as_u16(), race.status(&second).as_str()) {
            (200, "valid" | "invalid") => {}
            (400, "ready") => assert_eq!(answers[0].problem(), "badCSR"),
            other => panic!("{other:?}: {answers:?}"),
        }
        let order = race.ready("c.example.org");
        let late = race.ask(&format!("{order}/finalize"), &csr(&key, "c.example.org"));
        assert_eq!(late.problem(), "badCSR", "never again");
        let register = protected(&key, None, &nonce(&race.process), "/new-account");
        let refused = send(&race.process, jose("/new-account", key.sign(&register, b"{}").to_string()));
        assert_eq!(refused.problem(), "badPublicKey");
        race.process.stop();
    }
}
