//! Random sequences of requests, of which each is likely enough to make sense.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use ingam_protocol::bytes::base64url;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::renewal::CertificateId;
use ingam_protocol::time::{SeededRandom, random_array};
use ingam_protocol::{Id, Serial};
use ingam_signer::{Hierarchy, Signer as _};
use serde_json::{Value, json};

use super::watch::{Tally, Watch};
use crate::answer::{Answer, post, send};
use crate::client::{Key, ask, key_change, nonce, path, protected};
use crate::world::{DAY, HOUR, PUBLIC_URL, Process, World, issuer};

const NAMES: [&str; 4] = ["a.example.org", "b.example.org", "*.b.example.org", "c.example.net"];
const KINDS: [&str; 3] = ["http-01", "dns-01", "tls-alpn-01"];

/// Keys that all sequences share.
pub(super) struct Keys {
    accounts: Vec<Key>,
    certificates: Vec<Key>,
}

impl Keys {
    pub(super) fn new() -> Self {
        let make = |count: usize| std::iter::repeat_with(Key::new).take(count).collect();
        Self { accounts: make(5), certificates: make(4) }
    }
}

/// Who is asking: an account that was made, and which key it has now.
#[derive(Clone)]
struct Client {
    kid: String,
    key: usize,
}

struct Order {
    client: usize,
    url: String,
    names: Vec<String>,
    authorizations: Vec<String>,
}

struct Certificate {
    client: usize,
    key: usize,
    serial: Serial,
}

struct Sequence<'a> {
    world: World,
    keys: &'a Keys,
    random: SeededRandom,
    process: Option<Process>,
    clients: Vec<Client>,
    orders: Vec<Order>,
    certificates: Vec<Certificate>,
    watch: Watch,
}

/// Runs the sequence that belongs to the seed and looks at everything after each request.
pub(super) fn run(hierarchy: &Hierarchy, keys: &Keys, seed: u64, requests: usize) -> Tally {
    let mut world = World::new(hierarchy.clone(), seed);
    if seed.is_multiple_of(2) {
        // Only a finalize that waits for nothing gets past a signer that hangs.
        world.policy.finalize_wait = Duration::ZERO;
    }
    let process = Some(world.start());
    let mut sequence = Sequence {
        world,
        keys,
        random: SeededRandom::new(seed ^ 0x5eed),
        process,
        clients: Vec::new(),
        orders: Vec::new(),
        certificates: Vec::new(),
        watch: Watch::default(),
    };
    for _ in 0..requests {
        sequence.step();
        sequence.look();
    }
    // What hangs comes late, if the process does not end before it.
    sequence.world.signer.gate.close(false);
    sequence.world.validation.gate.close(false);
    sequence.look();
    sequence.restart(true);
    sequence.look();
    sequence.process.take().unwrap().stop();
    sequence.watch.tally()
}

impl Sequence<'_> {
    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    /// A number below `end`.
    fn below(&self, end: usize) -> usize {
        usize::from(u16::from_le_bytes(random_array(&self.random))) % end.max(1)
    }

    fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn look(&mut self) {
        let (world, process) = (&self.world, self.process.as_ref().unwrap());
        process.until("everything rests that does not hang", || {
            process.tasks() == world.signer.gate.waiting() + world.validation.gate.waiting()
        });
        self.watch.look(world, process);
    }

    fn step(&mut self) {
        if self.clients.is_empty() {
            return self.new_account();
        }
        match self.below(100) {
            0..4 => self.new_account(),
            4..16 => self.new_order(),
            16..38 => self.answer_challenge(),
            38..58 => self.finalize(),
            58..67 => self.revoke(),
            67..69 => self.deactivate_authorization(),
            69..71 => self.update_account(),
            71..73 => self.key_change(),
            73..77 => self.read(),
            77..80 => self.garbage(),
            80..84 => self.advance(),
            84..88 => self.restart(false),
            88..93 => self.hang_or_break(),
            93..97 => self.take_up(),
            _ => self.sign_late(),
        }
    }

    /// A request of a client, whose answer may be a refusal but no fault of ours, unless the signer was broken.
    fn ask(&self, client: usize, path: &str, payload: &Value) -> Answer {
        let Client { kid, key } = &self.clients[client];
        let answer = ask(self.process(), &self.keys.accounts[*key], Some(kid), path, payload);
        let excused = self.world.signer.is_broken() && path.ends_with("/finalize");
        assert!(excused || !answer.status.is_server_error(), "{path}: {answer:?}");
        answer
    }

    fn new_account(&mut self) {
        let key = self.below(self.keys.accounts.len());
        let contact = if self.chance(50) { vec!["mailto:someone@example.org"] } else { vec![] };
        let payload = json!({
            "termsOfServiceAgreed": true,
            "contact": contact,
            "onlyReturnExisting": self.chance(10),
        });
        let answer = ask(self.process(), &self.keys.accounts[key], None, "/new-account", &payload);
        let taken = self.clients.iter().find(|client| client.key == key);
        match (answer.status.as_u16(), taken) {
            (201, None) => self.clients.push(Client { kid: answer.header("location").to_owned(), key }),
            (200, Some(client)) => assert_eq!(answer.header("location"), client.kid),
            (400, None) => assert_eq!(answer.problem(), "accountDoesNotExist"),
            (401, Some(_)) => assert_eq!(answer.problem(), "unauthorized", "a deactivated one"),
            _ => panic!("{answer:?}"),
        }
    }

    fn new_order(&mut self) {
        let client = self.below(self.clients.len());
        let mut names: Vec<String> = Vec::new();
        for _ in 0..=self.below(5) / 3 {
            names.push(NAMES[self.below(NAMES.len())].to_owned());
        }
        names.sort();
        names.dedup();
        if self.chance(5) {
            names.push("not a name".to_owned());
        }
        let identifiers: Vec<_> = names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let mut wish = json!({ "identifiers": identifiers });
        if self.chance(30)
            && let Some(certificate) = self.certificates.get(self.below(self.certificates.len()))
        {
            let key_identifier = self.world.signer.issuers()[0].key_identifier.clone();
            let id = CertificateId { key_identifier, serial: certificate.serial.clone() };
            wish["replaces"] = json!(id.to_string());
        }
        let answer = self.ask(client, "/new-order", &wish);
        if answer.status == 201 {
            let body = answer.json();
            assert_eq!(body.get("replaces"), wish.get("replaces"));
            assert_eq!(body["status"], "pending");
            let authorizations = body["authorizations"].as_array().unwrap().iter();
            self.orders.push(Order {
                client,
                url: answer.header("location").to_owned(),
                names,
                authorizations: authorizations.map(|url| url.as_str().unwrap().to_owned()).collect(),
            });
        }
    }

    /// One of the orders, mostly a late one.
    fn some_order(&self) -> Option<&Order> {
        let back = self.below(if self.chance(70) { 2 } else { self.orders.len() });
        self.orders.iter().rev().nth(back)
    }

    /// The one who is entitled, or now and then somebody else.
    fn client_for(&self, owner: usize) -> usize {
        if self.chance(95) { owner } else { self.below(self.clients.len()) }
    }

    fn answer_challenge(&mut self) {
        let Some(order) = self.some_order() else { return };
        let (client, authorizations) = (self.client_for(order.client), order.authorizations.clone());
        for name in NAMES {
            let name = DnsName::parse(name.trim_start_matches("*.")).unwrap();
            self.world.validation.set_controlled(&name, self.chance(92));
            self.world.validation.set_permitted(&name, self.chance(97));
        }
        for authorization in authorizations {
            if self.chance(10) {
                continue;
            }
            let kind = KINDS[if self.chance(85) { 1 } else { self.below(KINDS.len()) }];
            let id = authorization.rsplit('/').next().unwrap();
            let payload = if self.chance(95) { json!({}) } else { Value::Null };
            let answer = self.ask(client, &format!("/challenge/{id}/{kind}"), &payload);
            if answer.status.is_success() {
                assert!(answer.links().iter().any(|link| link.ends_with("rel=\"up\"")), "{answer:?}");
            }
        }
    }

    fn finalize(&mut self) {
        let Some(order) = self.some_order() else { return };
        let (client, url, mut names) =
            (self.client_for(order.client), order.url.clone(), order.names.clone());
        let own = client == order.client;
        let key = self.below(self.keys.certificates.len());
        if self.chance(8) {
            names.push("stranger.example.org".to_owned());
        }
        let csr =
            if self.chance(3) { base64url(b"no request") } else { self.keys.certificates[key].csr(&names) };
        let answer = self.ask(client, &format!("{}/finalize", path(&url)), &json!({ "csr": csr }));
        assert!(own || !answer.status.is_success(), "somebody else's order");
        self.remember_certificate(&url, client, key);
    }

    /// Whether it came at once or later: a certificate is one that a client can have.
    fn remember_certificate(&mut self, url: &str, client: usize, key: usize) {
        let id: Id = url.rsplit('/').next().unwrap().parse().unwrap();
        let order = self.process().store.order_by_id(id).unwrap().unwrap();
        if let Some(claim) = order.claim
            && !self.certificates.iter().any(|certificate| certificate.serial == claim.serial)
        {
            self.certificates.push(Certificate { client, key, serial: claim.serial });
        }
    }

    fn revoke(&mut self) {
        let Some(certificate) = self.certificates.get(self.below(self.certificates.len())) else { return };
        let row = self.process().store.certificate_by_serial(&issuer(), &certificate.serial).unwrap();
        let Some(row) = row else { return };
        let reason = [0, 1, 1, 3, 4, 5, 9, 42][self.below(8)];
        let payload = json!({ "certificate": base64url(&row.der), "reason": reason });
        let before = self.process().store.statuses().generation();
        let answer = if self.chance(50) {
            self.ask(self.client_for(certificate.client), "/revoke-cert", &payload)
        } else {
            let key = &self.keys.certificates[if self.chance(80) { certificate.key } else { 0 }];
            ask(self.process(), key, None, "/revoke-cert", &payload)
        };
        let raised = self.process().store.statuses().generation() > before;
        assert_eq!(raised, answer.status == 200, "what was answered is what was done: {answer:?}");
    }

    fn deactivate_authorization(&mut self) {
        let Some(order) = self.some_order() else { return };
        let url = order.authorizations[self.below(order.authorizations.len())].clone();
        let answer = self.ask(self.client_for(order.client), path(&url), &json!({ "status": "deactivated" }));
        assert!(["", "malformed", "unauthorized"].contains(&answer.problem().as_str()), "{answer:?}");
    }

    fn update_account(&mut self) {
        let client = self.below(self.clients.len());
        let payload = if self.chance(30) {
            json!({ "status": "deactivated" })
        } else {
            json!({ "contact": ["mailto:other@example.org"] })
        };
        self.ask(client, path(&self.clients[client].kid), &payload);
    }

    fn key_change(&mut self) {
        let client = self.below(self.clients.len());
        let Client { kid, key } = &self.clients[client];
        let new = self.below(self.keys.accounts.len());
        let body = key_change(&self.keys.accounts[*key], &self.keys.accounts[new], kid);
        let answer = self.ask(client, "/key-change", &body);
        let taken = self.clients.iter().any(|other| other.key == new);
        match answer.status.as_u16() {
            200 => {
                assert!(!taken);
                self.clients[client].key = new;
            }
            409 => assert!(taken),
            status => assert!([400, 401].contains(&status), "{answer:?}"),
        }
    }

    /// POST-as-GET of anything, which changes nothing.
    fn read(&mut self) {
        let client = self.below(self.clients.len());
        let kid = self.clients[client].kid.clone();
        let mut paths = vec![path(&kid).to_owned(), format!("{}/orders", path(&kid))];
        if let Some(order) = self.some_order() {
            paths.push(path(&order.url).to_owned());
            paths.push(path(&order.authorizations[0]).to_owned());
        }
        if let Some(certificate) = self.certificates.last() {
            paths.push(format!("/certificate/{}/{}", issuer(), certificate.serial));
        }
        for path in paths {
            let answer = self.ask(client, &path, &Value::Null);
            if path.starts_with("/certificate/") && answer.status == 200 {
                let serial: Serial = Serial::from_hex(path.rsplit('/').next().unwrap()).unwrap();
                let row = self.process().store.certificate_by_serial(&issuer(), &serial).unwrap();
                assert!(row.is_some() && answer.body.starts_with(b"-----BEGIN CERTIFICATE-----"));
            }
        }
    }

    /// Requests that no client should send.
    fn garbage(&mut self) {
        let client = &self.clients[self.below(self.clients.len())];
        let (process, key) = (self.process(), &self.keys.accounts[client.key]);
        let paths = ["/new-account", "/new-order", "/revoke-cert", "/key-change", path(&client.kid)];
        let target = paths[self.below(paths.len())];
        let answer = match self.below(6) {
            0 => {
                let mut bytes = vec![0; self.below(2000)];
                ingam_protocol::Random::fill(&self.random, &mut bytes);
                post(process, target, bytes)
            }
            1 => {
                let header = protected(key, Some(&client.kid), "AAAA", target);
                post(process, target, key.sign(&header, b"{}").to_string())
            }
            2 => {
                let header = protected(key, Some(&client.kid), &nonce(process), "/elsewhere");
                post(process, target, key.sign(&header, b"{}").to_string())
            }
            3 => {
                let header = protected(key, Some(&client.kid), &nonce(process), target);
                let mut body = key.sign(&header, b"{\"status\":\"deactivated\"}");
                body["signature"] = json!(base64url(&[7; 64]));
                post(process, target, body.to_string())
            }
            4 => ask(process, key, Some(&format!("{PUBLIC_URL}/account/x")), target, &json!([1, "two"])),
            _ => {
                let method = [Method::GET, Method::DELETE, Method::PUT][self.below(3)].clone();
                send(process, Request::builder().method(method).uri(target).body(Body::empty()).unwrap())
            }
        };
        assert!(answer.status.is_client_error(), "{answer:?}");
    }

    fn advance(&mut self) {
        let by = [Duration::from_secs(61), HOUR, DAY, 3 * DAY, 8 * DAY, 31 * DAY];
        // Mostly short: a clock that always runs ends everything before it has begun.
        let most = if self.chance(80) { 3 } else { by.len() };
        self.world.clock.advance(by[self.below(most)]);
    }

    /// The process ends, in good order or by the power, and another one goes on.
    fn restart(&mut self, in_order: bool) {
        let process = self.process.take().unwrap();
        if in_order || self.chance(50) {
            process.stop();
        } else {
            self.world.crash(process);
        }
        // What hung or was broken was a part of the old process.
        self.world.signer.gate.close(false);
        self.world.signer.set_broken(false);
        self.world.validation.gate.close(false);
        self.process = Some(self.world.start());
    }

    fn hang_or_break(&mut self) {
        let close = self.chance(60);
        match self.below(3) {
            0 if self.world.policy.finalize_wait.is_zero() => self.world.signer.gate.close(close),
            1 => self.world.validation.gate.close(close),
            _ => self.world.signer.set_broken(close),
        }
    }

    /// What a job does now and then, sometimes to find that leases have run out.
    fn take_up(&mut self) {
        if self.chance(50) {
            self.world.clock.advance(Duration::from_secs(61));
        }
        if !self.world.signer.is_broken() {
            let process = self.process();
            process.run(process.authority.issuances_resume()).unwrap();
        }
    }

    /// A signature that takes longer than its lease, which somebody notices.
    fn sign_late(&mut self) {
        if !self.world.policy.finalize_wait.is_zero() {
            return;
        }
        self.world.signer.gate.close(true);
        self.finalize();
        self.look();
        self.world.clock.advance(Duration::from_secs(61));
        self.take_up();
        self.look();
        self.world.signer.gate.close(false);
    }
}
