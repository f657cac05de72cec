//! An ACME client of few lines: keys, signed requests, certificate requests.

use axum::http::Method;
use ingam_protocol::bytes::base64url;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::answer::{Answer, plain, post};
use crate::world::{PUBLIC_URL, Process};

/// A key on P-256, for accounts and certificates alike.
pub(crate) struct Key {
    signing: EcdsaKeyPair,
    requesting: KeyPair,
    random: SystemRandom,
}

impl Key {
    #[allow(clippy::disallowed_methods, reason = "ring makes and uses keys with its own randomness alone")]
    pub(crate) fn new() -> Self {
        let requesting = KeyPair::generate().unwrap();
        let random = SystemRandom::new();
        let pkcs8 = requesting.serialize_der();
        let signing = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &random).unwrap();
        Self { signing, requesting, random }
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.signing.public_key().as_ref();
        let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
    }

    /// A flattened JWS.
    pub(crate) fn sign(&self, protected: &Value, payload: &[u8]) -> Value {
        flattened(protected, payload, |input| {
            self.signing.sign(&self.random, input).unwrap().as_ref().to_vec()
        })
    }

    /// Base64url of a CSR for these names.
    pub(crate) fn csr(&self, names: &[String]) -> String {
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        base64url(params.serialize_request(&self.requesting).unwrap().der())
    }
}

/// A flattened JWS (RFC 7515, section 7.2.2), by whatever signs.
pub(crate) fn flattened(protected: &Value, payload: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Value {
    let (protected, payload) = (base64url(protected.to_string().as_bytes()), base64url(payload));
    let signature = base64url(&sign(format!("{protected}.{payload}").as_bytes()));
    json!({ "protected": protected, "payload": payload, "signature": signature })
}

/// The path of a URL of this CA.
pub(crate) fn path(url: &str) -> &str {
    url.strip_prefix(PUBLIC_URL).unwrap()
}

pub(crate) fn nonce(process: &Process) -> String {
    plain(process, Method::HEAD, "/new-nonce").header("replay-nonce").to_owned()
}

/// A protected header that names the account, or with `None` the key itself.
pub(crate) fn protected(key: &Key, kid: Option<&str>, nonce: &str, path: &str) -> Value {
    let mut header = json!({ "alg": "ES256", "nonce": nonce, "url": format!("{PUBLIC_URL}{path}") });
    match kid {
        Some(kid) => header["kid"] = json!(kid),
        None => header["jwk"] = key.jwk(),
    }
    header
}

/// A signed request with a fresh nonce. `Value::Null` is POST-as-GET.
pub(crate) fn ask(process: &Process, key: &Key, kid: Option<&str>, path: &str, payload: &Value) -> Answer {
    let payload = if payload.is_null() { Vec::new() } else { payload.to_string().into_bytes() };
    let header = protected(key, kid, &nonce(process), path);
    post(process, path, key.sign(&header, &payload).to_string())
}

/// Makes an account and gives its URL.
pub(crate) fn register(process: &Process, key: &Key) -> String {
    let answer = ask(process, key, None, "/new-account", &json!({ "termsOfServiceAgreed": true }));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.header("location").to_owned()
}

/// The body of a key change: signed by the new key inside.
pub(crate) fn key_change(old: &Key, new: &Key, kid: &str) -> Value {
    let header = json!({ "alg": "ES256", "jwk": new.jwk(), "url": format!("{PUBLIC_URL}/key-change") });
    new.sign(&header, json!({ "account": kid, "oldKey": old.jwk() }).to_string().as_bytes())
}

/// The first certificate of a chain in PEM: its DER in base64url.
pub(crate) fn leaf(chain: &Answer) -> String {
    let text = String::from_utf8(chain.body.clone()).unwrap();
    let begin = text.split("-----").nth(2).unwrap();
    let standard: String = begin.chars().filter(|c| !c.is_whitespace()).collect();
    standard.trim_end_matches('=').replace('+', "-").replace('/', "_")
}
