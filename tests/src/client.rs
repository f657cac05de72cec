//! An ACME client (RFC 8555) which is quick under load, and which can be made to send what no good client sends.
//!
//! The usual steps are methods of [`Client`]; every one is built on [`Client::request`], whose [`Sending`] lets a test
//! change each part before it leaves. The usual steps repeat a request once after `badNonce`, as the RFC wants
//! (6.5); [`Sending::send`] repeats nothing.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::Error;
use crate::certificate::Chain;
use crate::challenge::Prover;
use crate::http::{Answer, Connection};
use crate::jws::{Key, base64url, signed};
use crate::site::Site;

/// The media type of every ACME request with a body.
pub const JOSE: &str = "application/jose+json";
/// How long an authorization or an order may take to be decided.
const DECIDED_WITHIN: Duration = Duration::from_secs(30);
const FIRST_POLL_AFTER: Duration = Duration::from_millis(5);
const POLL_EVERY_MOST: Duration = Duration::from_millis(250);

/// One client with one account key, one connection, and the nonces it was given.
pub struct Client {
    connection: Connection,
    directory: Value,
    key: Key,
    account: Option<String>,
    nonces: Vec<String>,
    requests: u64,
    timings: Option<Vec<Timing>>,
}

/// How long one request took.
#[derive(Debug, Clone)]
pub struct Timing {
    /// The path of its URL.
    pub path: String,
    /// From its first byte to the last of its answer.
    pub took: Duration,
}

/// An order as it was last seen.
#[derive(Debug, Clone)]
pub struct Order {
    /// The order's URL.
    pub url: String,
    /// The order object.
    pub object: Value,
}

impl Order {
    /// The order's status.
    pub fn status(&self) -> &str {
        self.object["status"].as_str().unwrap_or("")
    }

    /// The URLs of its authorizations.
    pub fn authorizations(&self) -> Vec<String> {
        let urls = self.object["authorizations"].as_array().cloned().unwrap_or_default();
        urls.iter().filter_map(|url| url.as_str().map(str::to_owned)).collect()
    }

    /// The URL of its certificate, once there is one.
    pub fn certificate(&self) -> Option<&str> {
        self.object["certificate"].as_str()
    }

    /// The URL that finalizes it.
    #[track_caller]
    pub fn finalize(&self) -> &str {
        self.object["finalize"].as_str().unwrap_or_else(|| panic!("{} has no finalize URL", self.object))
    }
}

/// A key and the CSR for it, made before anything is measured.
pub struct CertificateRequest {
    /// The certificate's key.
    pub key: KeyPair,
    /// The CSR in DER.
    pub der: Vec<u8>,
}

impl CertificateRequest {
    /// A new P-256 key and a CSR of these names, without a subject.
    pub fn of(names: &[&str]) -> Self {
        Self::with_key(KeyPair::generate().expect("rcgen makes P-256 keys"), names)
    }

    /// A CSR of these names for this key.
    pub fn with_key(key: KeyPair, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("DNS names");
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key).expect("a CSR that rcgen can write");
        Self { der: csr.der().to_vec(), key }
    }
}

impl Client {
    /// Fetches the directory; no account yet.
    pub async fn new(site: &Site, key: Key) -> Result<Self, Error> {
        let mut connection = Connection::to(&site.directory, Some(site.tls()));
        let answer = connection.get(&site.directory).await?;
        if answer.status != 200 {
            return Err(Error::answered("reading the directory", answer));
        }
        Ok(Self {
            connection,
            directory: answer.json(),
            key,
            account: None,
            nonces: Vec::new(),
            requests: 0,
            timings: None,
        })
    }

    /// A client with a new ES256 key and an account of it.
    pub async fn registered(site: &Site) -> Result<Self, Error> {
        let mut client = Self::new(site, Key::es256()).await?;
        client.register().await?;
        Ok(client)
    }

    /// Begins anew with the same key and account, as after a restart of the CA: another connection, no nonces.
    pub async fn reconnect(&mut self, site: &Site) -> Result<(), Error> {
        self.connection = Connection::to(&site.directory, Some(site.tls()));
        self.nonces.clear();
        let answer = self.connection.get(&site.directory).await?;
        if answer.status != 200 {
            return Err(Error::answered("reading the directory", answer));
        }
        self.directory = answer.json();
        Ok(())
    }

    /// The directory object.
    pub fn directory(&self) -> &Value {
        &self.directory
    }

    /// The URL of a resource in the directory, such as `newOrder`.
    #[track_caller]
    pub fn resource(&self, name: &str) -> String {
        let url = self.directory[name].as_str();
        url.unwrap_or_else(|| panic!("the directory has no {name}: {}", self.directory)).to_owned()
    }

    /// The account key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Puts another key in the place of the account key, as after a rollover.
    pub fn set_key(&mut self, key: Key) {
        self.key = key;
    }

    /// The account's URL.
    #[track_caller]
    pub fn account(&self) -> String {
        self.account.clone().expect("this client has an account")
    }

    /// Uses this account URL as `kid` from now on.
    pub fn set_account(&mut self, url: Option<String>) {
        self.account = url;
    }

    /// How many signed requests have left so far.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Notes from now on how long each request takes.
    pub fn time_requests(&mut self) {
        self.timings = Some(Vec::new());
    }

    /// What was noted since [`Client::time_requests`].
    pub fn timings(&self) -> &[Timing] {
        self.timings.as_deref().unwrap_or_default()
    }

    /// Sends a request as it is, and notes how long that takes.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let path = request.uri().path().to_owned();
        let begun = Instant::now();
        let answer = self.connection.send(request).await?;
        if let Some(timings) = &mut self.timings {
            timings.push(Timing { path, took: begun.elapsed() });
        }
        Ok(answer)
    }

    /// The connection, for requests that are not ACME's.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// A fresh nonce that this client will not use by itself.
    pub async fn nonce(&mut self) -> Result<String, Error> {
        if let Some(nonce) = self.nonces.pop() {
            return Ok(nonce);
        }
        let url = self.resource("newNonce");
        let request = Request::head(&url).body(Full::default()).expect("a request");
        let answer = self.send(request).await?;
        match answer.header("replay-nonce") {
            "" => Err(Error::answered("asking for a nonce", answer)),
            nonce => Ok(nonce.to_owned()),
        }
    }

    /// A signed request that a test may still change; by default a POST-as-GET.
    pub fn request(&mut self, url: &str) -> Sending<'_> {
        Sending {
            client: self,
            url: url.to_owned(),
            payload: None,
            identity: Identity::Account,
            changes: Vec::new(),
            signer: None,
            signature: None,
            content_type: JOSE.to_owned(),
            method: Method::POST,
            body: None,
        }
    }

    /// A POST with a payload, repeated once after `badNonce`.
    pub async fn post(&mut self, url: &str, payload: &Value) -> Result<Answer, Error> {
        let answer = self.request(url).payload(payload.clone()).send().await?;
        if answer.problem() != "badNonce" {
            return Ok(answer);
        }
        self.request(url).payload(payload.clone()).send().await
    }

    /// A POST-as-GET (RFC 8555 6.3), repeated once after `badNonce`.
    pub async fn read(&mut self, url: &str) -> Result<Answer, Error> {
        let answer = self.request(url).send().await?;
        if answer.problem() != "badNonce" {
            return Ok(answer);
        }
        self.request(url).send().await
    }

    /// Makes an account of this client's key, or finds the one there is; the account's URL.
    pub async fn register(&mut self) -> Result<String, Error> {
        let answer = self.new_account(json!({"termsOfServiceAgreed": true})).await?;
        self.account_from("making an account", answer)
    }

    /// Finds the account of this client's key without making one (RFC 8555 7.3.1); the account's URL.
    pub async fn find_account(&mut self) -> Result<String, Error> {
        let answer = self.new_account(json!({"onlyReturnExisting": true})).await?;
        self.account_from("looking an account up by its key", answer)
    }

    /// The answer to newAccount with this payload, repeated once after `badNonce`.
    pub async fn new_account(&mut self, payload: Value) -> Result<Answer, Error> {
        let url = self.resource("newAccount");
        let answer = self.request(&url).payload(payload.clone()).with_jwk().send().await?;
        if answer.problem() != "badNonce" {
            return Ok(answer);
        }
        self.request(&url).payload(payload).with_jwk().send().await
    }

    fn account_from(&mut self, doing: &str, answer: Answer) -> Result<String, Error> {
        match (answer.status, answer.header("location")) {
            (200 | 201, url) if !url.is_empty() => {
                let url = url.to_owned();
                self.account = Some(url.clone());
                Ok(url)
            }
            _ => Err(Error::answered(doing, answer)),
        }
    }

    /// A new order for DNS names.
    pub async fn order(&mut self, names: &[&str]) -> Result<Order, Error> {
        self.order_with(names, json!({})).await
    }

    /// A new order for DNS names and IP addresses, with further members such as `profile`.
    pub async fn order_with(&mut self, names: &[&str], further: Value) -> Result<Order, Error> {
        let mut payload = further;
        payload["identifiers"] =
            names.iter().map(|name| json!({"type": kind(name), "value": name})).collect::<Value>();
        let answer = self.post(&self.resource("newOrder"), &payload).await?;
        match (answer.status, answer.header("location")) {
            (201, url) if !url.is_empty() => Ok(Order { url: url.to_owned(), object: answer.json() }),
            _ => Err(Error::answered("making an order", answer)),
        }
    }

    /// The order as it is now.
    pub async fn order_at(&mut self, url: &str) -> Result<Order, Error> {
        let answer = self.read(url).await?;
        match answer.status {
            200 => Ok(Order { url: url.to_owned(), object: answer.json() }),
            _ => Err(Error::answered("reading an order", answer)),
        }
    }

    /// Answers one challenge of each pending authorization and waits until the order is ready (or valid).
    pub async fn prove(&mut self, order: &Order, prover: &Prover) -> Result<Order, Error> {
        for url in order.authorizations() {
            self.begin(&url, prover).await?;
        }
        let order = self.poll(&order.url, &["pending"]).await?;
        match order.status() {
            "ready" | "processing" | "valid" => Ok(order),
            _ => {
                let answer = self.read(&order.authorizations()[0]).await?;
                Err(Error::answered(format!("proving the names of {}", order.object), answer))
            }
        }
    }

    /// Sets the answer to one challenge of this authorization up, and tells the server to look.
    pub async fn begin(&mut self, url: &str, prover: &Prover) -> Result<Answer, Error> {
        let answer = self.read(url).await?;
        if answer.status != 200 {
            return Err(Error::answered("reading an authorization", answer));
        }
        let authorization = answer.json();
        if authorization["status"] == "valid" {
            return Ok(answer);
        }
        let Some(challenge) = challenge_of(&authorization, prover.kind()) else {
            return Err(Error::answered(format!("looking for a {} challenge", prover.kind()), answer));
        };
        let name = authorization["identifier"]["value"].as_str().unwrap_or("").to_owned();
        let token = challenge["token"].as_str().unwrap_or("").to_owned();
        prover.set(&name, &token, &self.key.thumbprint()).await?;
        let answer = self.post(challenge["url"].as_str().unwrap_or(""), &json!({})).await?;
        match answer.status {
            200 => Ok(answer),
            _ => Err(Error::answered("answering a challenge", answer)),
        }
    }

    /// Reads an order until its status is none of these.
    pub async fn poll(&mut self, url: &str, until_not: &[&str]) -> Result<Order, Error> {
        let deadline = Instant::now() + DECIDED_WITHIN;
        let mut pause = FIRST_POLL_AFTER;
        loop {
            sleep(pause).await;
            let order = self.order_at(url).await?;
            if !until_not.contains(&order.status()) {
                return Ok(order);
            }
            if Instant::now() > deadline {
                let late = format!("{} after {DECIDED_WITHIN:?}", order.object);
                return Err(Error::connection("waiting for an order", late));
            }
            pause = (pause * 2).min(POLL_EVERY_MOST);
        }
    }

    /// Finalizes a ready order and waits until it is valid.
    pub async fn finalize(&mut self, order: &Order, csr: &[u8]) -> Result<Order, Error> {
        let answer = self.post(order.finalize(), &json!({"csr": base64url(csr)})).await?;
        if answer.status != 200 {
            return Err(Error::answered("finalizing an order", answer));
        }
        let mut order = Order { url: order.url.clone(), object: answer.json() };
        if order.status() == "processing" {
            order = self.poll(&order.url, &["processing"]).await?;
        }
        match order.status() {
            "valid" => Ok(order),
            _ => Err(Error::answered("waiting for a certificate", answer)),
        }
    }

    /// The certificate of a valid order, with its chain.
    pub async fn certificate(&mut self, order: &Order) -> Result<Chain, Error> {
        let url = order.certificate().unwrap_or("").to_owned();
        let answer = self.read(&url).await?;
        match answer.status {
            200 => Ok(Chain::from_pem(&answer.body)),
            _ => Err(Error::answered("fetching a certificate", answer)),
        }
    }

    /// A whole issuance: order, proof, finalize, certificate.
    pub async fn issue(
        &mut self,
        names: &[&str],
        request: &CertificateRequest,
        prover: &Prover,
    ) -> Result<(Order, Chain), Error> {
        let order = self.order(names).await?;
        let order = self.prove(&order, prover).await?;
        let order = self.finalize(&order, &request.der).await?;
        let chain = self.certificate(&order).await?;
        Ok((order, chain))
    }

    /// Revokes a certificate by the account key; the answer, whatever it is.
    pub async fn revoke(&mut self, certificate: &[u8], reason: Option<u8>) -> Result<Answer, Error> {
        self.post(&self.resource("revokeCert"), &revocation(certificate, reason)).await
    }
}

/// The type of an identifier of this value.
fn kind(value: &str) -> &'static str {
    if value.parse::<IpAddr>().is_ok() { "ip" } else { "dns" }
}

/// The payload of a revocation (RFC 8555 7.6).
pub fn revocation(certificate: &[u8], reason: Option<u8>) -> Value {
    match reason {
        None => json!({"certificate": base64url(certificate)}),
        Some(reason) => json!({"certificate": base64url(certificate), "reason": reason}),
    }
}

/// The challenge of this type in an authorization object.
pub fn challenge_of(authorization: &Value, kind: &str) -> Option<Value> {
    authorization["challenges"].as_array()?.iter().find(|challenge| challenge["type"] == kind).cloned()
}

/// How a request says whose it is.
enum Identity {
    /// `kid`, the account's URL.
    Account,
    /// `jwk`, the key itself.
    Key,
}

/// A request before it leaves, with every part open to change.
pub struct Sending<'a> {
    client: &'a mut Client,
    url: String,
    payload: Option<Value>,
    identity: Identity,
    changes: Vec<(String, Option<Value>)>,
    signer: Option<&'a Key>,
    signature: Option<String>,
    content_type: String,
    method: Method,
    body: Option<Bytes>,
}

impl<'a> Sending<'a> {
    /// The payload; without this call it is empty, which makes a POST-as-GET.
    pub fn payload(mut self, payload: Value) -> Self {
        self.payload = Some(payload);
        self
    }

    /// Sends the key itself (`jwk`) in place of the account's URL (`kid`).
    pub fn with_jwk(mut self) -> Self {
        self.identity = Identity::Key;
        self
    }

    /// Signs with this key in place of the account key; `jwk`, where it is sent, is this key's.
    pub fn signed_by(mut self, key: &'a Key) -> Self {
        self.signer = Some(key);
        self
    }

    /// Sets a member of the protected header, whatever it would have been.
    pub fn header(mut self, name: &str, value: Value) -> Self {
        self.changes.push((name.to_owned(), Some(value)));
        self
    }

    /// Leaves a member of the protected header out.
    pub fn without(mut self, name: &str) -> Self {
        self.changes.push((name.to_owned(), None));
        self
    }

    /// Sends this text as the signature.
    pub fn signature(mut self, signature: &str) -> Self {
        self.signature = Some(signature.to_owned());
        self
    }

    /// Sends this media type.
    pub fn content_type(mut self, content_type: &str) -> Self {
        self.content_type = content_type.to_owned();
        self
    }

    /// Uses this method.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sends these bytes as the body, in place of the JWS.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The JWS as it would be sent, for tests that break it further and hand it back to [`Sending::body`].
    pub async fn jws(&mut self) -> Result<Value, Error> {
        let nonce = match self.changes.iter().any(|(name, _)| name == "nonce") {
            true => String::new(),
            false => self.client.nonce().await?,
        };
        let key = self.signer.unwrap_or(&self.client.key);
        let mut protected = Map::new();
        protected.insert("alg".into(), key.algorithm().into());
        protected.insert("nonce".into(), nonce.into());
        protected.insert("url".into(), self.url.clone().into());
        match (&self.identity, &self.client.account) {
            (Identity::Account, Some(account)) => protected.insert("kid".into(), account.clone().into()),
            _ => protected.insert("jwk".into(), key.jwk()),
        };
        for (name, value) in self.changes.drain(..) {
            match value {
                Some(value) => protected.insert(name, value),
                None => protected.remove(&name),
            };
        }
        let mut jws = signed(key, &protected, self.payload.as_ref());
        if let Some(signature) = &self.signature {
            jws["signature"] = signature.as_str().into();
        }
        Ok(jws)
    }

    /// Sends it once and keeps the nonce that came with the answer.
    pub async fn send(mut self) -> Result<Answer, Error> {
        let body = match self.body.take() {
            Some(body) => body,
            None => Bytes::from(self.jws().await?.to_string()),
        };
        let request = Request::builder()
            .method(self.method)
            .uri(&self.url)
            .header(CONTENT_TYPE, self.content_type)
            .body(Full::new(body))
            .expect("a request");
        self.client.requests += 1;
        let answer = self.client.send(request).await?;
        let nonce = answer.header("replay-nonce");
        if !nonce.is_empty() {
            self.client.nonces.push(nonce.to_owned());
        }
        Ok(answer)
    }
}

/// The bytes of a base64url text; fails the test if it is none.
#[track_caller]
pub fn from_base64url(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap_or_else(|error| panic!("{text:?} is no base64url: {error}"))
}
