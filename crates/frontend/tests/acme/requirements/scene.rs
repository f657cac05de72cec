//! What a row's request is made from: a CA, an account with its key, and short ways to what an account can have.

use axum::body::Body;
use axum::http::Request;
use ingam_authority::Catalog;
use ingam_protocol::bytes::base64url;
use ingam_protocol::profile::Profile;
use serde_json::{Value, json};

use crate::answer::{Answer, jose, post};
use crate::client::{Key, ask, leaf, nonce, path, protected, register};
use crate::world::{Process, World, hierarchy};

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) process: Process,
    /// The account's key.
    pub(super) key: Key,
    /// The account's URL.
    pub(super) kid: String,
    /// A key without an account.
    pub(super) other: Key,
}

/// An order as the client has it.
pub(super) struct Ordered {
    pub(super) path: String,
    pub(super) names: Vec<String>,
    pub(super) authorizations: Vec<String>,
}

impl Ordered {
    pub(super) fn finalize(&self) -> String {
        format!("{}/finalize", self.path)
    }
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::changed(|_| {})
    }

    /// A CA that is set up otherwise.
    pub(super) fn changed(change: impl FnOnce(&mut World)) -> Self {
        let mut world = World::new(hierarchy(), 1);
        change(&mut world);
        Self::of(world)
    }

    /// A CA of one's own making.
    pub(super) fn of(world: World) -> Self {
        let process = world.start();
        let key = Key::new();
        let kid = register(&process, &key);
        Self { world, process, key, kid, other: Key::new() }
    }

    /// A CA whose one profile is another.
    pub(super) fn profiled(change: impl FnOnce(&mut Profile)) -> Self {
        Self::changed(|world| {
            let mut profile = Profile::clone(world.policy.catalog.default_profile());
            change(&mut profile);
            let name = profile.name.clone();
            world.policy.catalog = Catalog::new(vec![profile], &name).unwrap();
        })
    }

    /// The path of the account.
    pub(super) fn account(&self) -> &str {
        path(&self.kid)
    }

    /// A protected header of the account's for this path, with a fresh nonce.
    pub(super) fn header(&self, path: &str) -> Value {
        protected(&self.key, Some(&self.kid), &nonce(&self.process), path)
    }

    /// The same with one member in place of another, or beside them.
    pub(super) fn header_with(&self, path: &str, member: &str, value: Value) -> Value {
        let mut header = self.header(path);
        header[member] = value;
        header
    }

    /// A JWS of the account's: POST-as-GET to itself.
    pub(super) fn jws(&self) -> Value {
        self.key.sign(&self.header(self.account()), b"")
    }

    /// A request by the account, with a header of one's own making.
    pub(super) fn headed(&self, header: &Value) -> Request<Body> {
        jose(self.account(), self.key.sign(header, b"").to_string())
    }

    /// A request by the account with any payload, be it JSON or not.
    pub(super) fn by_account(&self, path: &str, payload: &[u8]) -> Request<Body> {
        jose(path, self.key.sign(&self.header(path), payload).to_string())
    }

    /// A request that brings the key along.
    pub(super) fn by_key(&self, key: &Key, path: &str, payload: &[u8]) -> Request<Body> {
        let header = protected(key, None, &nonce(&self.process), path);
        jose(path, key.sign(&header, payload).to_string())
    }

    /// A request by the account that has to go well. `Value::Null` is POST-as-GET.
    pub(super) fn done(&self, path: &str, payload: &Value) -> Answer {
        let answer = self.ask(path, payload);
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        answer
    }

    /// A request by the account.
    pub(super) fn ask(&self, path: &str, payload: &Value) -> Answer {
        ask(&self.process, &self.key, Some(&self.kid), path, payload)
    }

    /// A new order of the account's.
    pub(super) fn order(&self, names: &[&str]) -> Ordered {
        self.order_of(&self.key, &self.kid, names)
    }

    /// A new order of any account's.
    pub(super) fn order_of(&self, key: &Key, kid: &str, names: &[&str]) -> Ordered {
        let answer = ask(&self.process, key, Some(kid), "/new-order", &wish(names));
        assert_eq!(answer.status, 201, "{answer:?}");
        let authorizations = answer.json()["authorizations"].as_array().unwrap().clone();
        Ordered {
            path: path(answer.header("location")).to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            authorizations: authorizations.iter().map(|url| path(url.as_str().unwrap()).to_owned()).collect(),
        }
    }

    /// Shows control of all of an order's names.
    pub(super) fn prove(&self, key: &Key, kid: &str, order: &Ordered) {
        for authorization in &order.authorizations {
            let challenge = challenge_of(authorization, "dns-01");
            assert_eq!(ask(&self.process, key, Some(kid), &challenge, &json!({})).status, 200);
        }
        self.process.until("all checks have ended", || self.process.tasks() == 0);
    }

    /// An order of the account's that can be finalized.
    pub(super) fn ready(&self, names: &[&str]) -> Ordered {
        let order = self.order(names);
        self.prove(&self.key, &self.kid, &order);
        order
    }

    /// A certificate of the account's for this key: the path where it is, and its DER in base64url.
    pub(super) fn certificate(&self, key: &Key, names: &[&str]) -> (String, String) {
        let order = self.ready(names);
        let answer = self.done(&order.finalize(), &json!({ "csr": key.csr(&order.names) }));
        let url = answer.json()["certificate"].as_str().unwrap().to_owned();
        let chain = self.done(path(&url), &Value::Null);
        (path(&url).to_owned(), leaf(&chain))
    }

    /// The same answer as for `ask`, with a body made elsewhere.
    pub(super) fn post(&self, path: &str, body: &Value) -> Answer {
        post(&self.process, path, body.to_string())
    }
}

/// The payload of an order of these names.
pub(super) fn wish(names: &[&str]) -> Value {
    let identifiers: Vec<_> = names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
    json!({ "identifiers": identifiers })
}

/// The path of an authorization's challenge.
pub(super) fn challenge_of(authorization: &str, kind: &str) -> String {
    format!("/challenge/{}/{kind}", authorization.rsplit('/').next().unwrap())
}

/// Base64url of JSON.
pub(super) fn encoded(json: &Value) -> String {
    base64url(json.to_string().as_bytes())
}
