//! Signed requests (RFC 8555, section 6.2): the flattened JWS of RFC 7515 and nothing else.
//!
//! ```text
//! bytes --Jws::parse--> Jws (header readable, payload not) --verify(key)--> Verified (payload readable)
//! ```

use std::fmt;

use ring::digest::{SHA512, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bytes::{Bytes, from_base64url};
use crate::json::{BadJson, Object};
use crate::key::{BadKey, Curve, KeyParts, PublicKey, p521};

/// A signature algorithm (RFC 7518, section 3.1; RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them: what `badSignatureAlgorithm` lists (RFC 8555, section 6.2).
    pub const ALL: [Self; 5] = [Self::Rs256, Self::Es256, Self::Es384, Self::Es512, Self::EdDsa];

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The one algorithm that a key of this kind signs with; ML-DSA keys are for certificates, and sign no requests here.
    fn of(key: &PublicKey) -> Option<Self> {
        match key.parts() {
            KeyParts::Rsa { .. } => Some(Self::Rs256),
            KeyParts::Ec { curve: Curve::P256, .. } => Some(Self::Es256),
            KeyParts::Ec { curve: Curve::P384, .. } => Some(Self::Es384),
            KeyParts::Ec { curve: Curve::P521, .. } => Some(Self::Es512),
            KeyParts::Ed25519(_) => Some(Self::EdDsa),
            KeyParts::MlDsa { .. } => None,
        }
    }

    /// Its name in a protected header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Who signed: `jwk` or `kid`, exactly one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReference {
    /// The key itself, well formed and checked.
    Key(PublicKey),
    /// The URL of an account.
    Account(String),
}

/// A request whose form is right and whose signature nobody has looked at yet: its payload cannot be read.
#[derive(Clone, Debug)]
pub struct Jws {
    /// How it says it is signed.
    pub algorithm: Algorithm,
    /// Who says to have signed it.
    pub key: KeyReference,
    /// The `nonce` of the protected header, base64url; the JWS inside a key change has none.
    pub nonce: Option<String>,
    /// The `url` of the protected header.
    pub url: String,
    /// The request as it came, for the record.
    pub text: JwsText,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// The three members of a flattened JWS as they came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwsText {
    /// Base64url of the protected header.
    pub protected: String,
    /// Base64url of the payload; empty for POST-as-GET.
    pub payload: String,
    /// Base64url of the signature.
    pub signature: String,
}

/// A payload whose signature was verified; only [`Jws::verify`] makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    payload: Vec<u8>,
}

impl Verified {
    /// The payload's bytes; empty for POST-as-GET (RFC 8555, section 6.3).
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// Why a request's JWS is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwsError {
    /// Its form is wrong; the words say how.
    Malformed(String),
    /// The algorithm is none of [`Algorithm::ALL`], or not one for the key.
    Algorithm(String),
    /// The key in `jwk` is refused.
    Key(BadKey),
    /// The signature is not that of the key over the request.
    Signature,
}

impl JwsError {
    pub(crate) fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }
}

impl fmt::Display for JwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) | Self::Algorithm(why) => f.write_str(why),
            Self::Key(bad) => write!(f, "{bad}"),
            Self::Signature => {
                f.write_str("the signature of the request does not verify under the key it names")
            }
        }
    }
}

impl std::error::Error for JwsError {}

/// The outer members; others are ignored (RFC 7515, section 7.2.1).
#[derive(Deserialize)]
struct Flattened {
    protected: Option<String>,
    payload: Option<String>,
    signature: Option<String>,
}

#[derive(Deserialize)]
struct ProtectedHeader {
    alg: Option<String>,
    jwk: Option<Map<String, Value>>,
    kid: Option<String>,
    nonce: Option<String>,
    url: Option<String>,
}

/// What the three members of a flattened JWS stand for.
pub(crate) struct JwsParts {
    pub(crate) protected: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl JwsText {
    /// Reads a flattened JWS, whatever is in it.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, JwsError> {
        let no_jws = |bad| JwsError::malformed(format!("the body is no JWS in flattened JSON form: {bad}"));
        let outer = Object::parse(body).map_err(no_jws)?;
        if outer.has("header") {
            return Err(JwsError::malformed(
                "the JWS has an unprotected \"header\": put everything into \"protected\"",
            ));
        }
        if outer.has("signatures") {
            return Err(JwsError::malformed(
                "the JWS has \"signatures\": use the flattened form with one \"signature\"",
            ));
        }
        let outer: Flattened = outer.read().map_err(no_jws)?;
        let member = |value: Option<String>, name| {
            value.ok_or_else(|| JwsError::malformed(format!("the JWS has no member \"{name}\"")))
        };
        Ok(Self {
            protected: member(outer.protected, "protected")?,
            payload: member(outer.payload, "payload")?,
            signature: member(outer.signature, "signature")?,
        })
    }

    pub(crate) fn decode(&self) -> Result<JwsParts, JwsError> {
        let decode = |encoded: &str, name| {
            from_base64url(encoded)
                .ok_or_else(|| JwsError::malformed(format!("\"{name}\" is not base64url without padding")))
        };
        Ok(JwsParts {
            protected: decode(&self.protected, "protected")?,
            payload: decode(&self.payload, "payload")?,
            signature: decode(&self.signature, "signature")?,
        })
    }

    /// What is signed (RFC 7515, section 5.1).
    pub(crate) fn signing_input(&self) -> String {
        format!("{}.{}", self.protected, self.payload)
    }
}

/// Reads a protected header, which has nothing that ACME does not use.
pub(crate) fn read_header(protected: &[u8]) -> Result<Object, JwsError> {
    let header = Object::parse(protected).map_err(no_header)?;
    if header.has("crit") || header.has("b64") {
        return Err(JwsError::malformed(
            "the protected header has \"crit\" or \"b64\", which ACME does not use: leave them out",
        ));
    }
    Ok(header)
}

/// A protected header that is none.
pub(crate) fn no_header(bad: BadJson) -> JwsError {
    JwsError::malformed(format!("the protected header is not what it should be: {bad}"))
}

impl Jws {
    /// Reads a flattened JWS: strict base64url, one signature, a whole protected header. No signature is checked here,
    /// so this is cheap; a key in `jwk` is checked for weaknesses.
    ///
    /// # Errors
    /// [`JwsError`], with words for the client.
    pub fn parse(body: &[u8]) -> Result<Self, JwsError> {
        Self::from_text(JwsText::parse(body)?)
    }

    fn from_text(text: JwsText) -> Result<Self, JwsError> {
        let JwsParts { protected, payload, signature } = text.decode()?;
        let header: ProtectedHeader = read_header(&protected)?.read().map_err(no_header)?;
        let name = header.alg.ok_or_else(|| JwsError::malformed("the protected header has no \"alg\""))?;
        let algorithm = Algorithm::from_name(&name).ok_or_else(|| {
            JwsError::Algorithm(format!(
                "this \"alg\" is not accepted: use one of {}",
                Algorithm::ALL.map(Algorithm::name).join(", ")
            ))
        })?;
        let url = header.url.ok_or_else(|| JwsError::malformed("the protected header has no \"url\""))?;
        let key = match (header.jwk, header.kid) {
            (Some(jwk), None) => KeyReference::Key(PublicKey::from_jwk(&jwk).map_err(JwsError::Key)?),
            (None, Some(kid)) => KeyReference::Account(kid),
            (Some(_), Some(_)) => {
                return Err(JwsError::malformed(
                    "the protected header has both \"jwk\" and \"kid\": send one",
                ));
            }
            (None, None) => {
                return Err(JwsError::malformed("the protected header has neither \"jwk\" nor \"kid\""));
            }
        };
        // RFC 8555, section 6.5.2: one that could never have been given out is no matter of a fresh one.
        if header.nonce.as_deref().is_some_and(|nonce| from_base64url(nonce).is_none()) {
            return Err(JwsError::malformed(
                "the \"nonce\" is not base64url without padding: send what Replay-Nonce held",
            ));
        }
        Ok(Self { algorithm, key, nonce: header.nonce, url, text, payload, signature })
    }

    /// Checks the signature under `key` and opens the payload.
    ///
    /// # Errors
    /// [`JwsError::Algorithm`] if the algorithm is not one for this key, [`JwsError::Signature`] if the signature is
    /// wrong. ECDSA signatures must have the fixed length of RFC 7518, section 3.4.
    pub fn verify(&self, key: &PublicKey) -> Result<Verified, JwsError> {
        let input = self.text.signing_input();
        let (input, signature) = (input.as_bytes(), self.signature.as_slice());
        let is_signed = match (self.algorithm, key.parts()) {
            (Algorithm::Rs256, KeyParts::Rsa { modulus, exponent }) => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, input, signature).is_ok()
            }
            (Algorithm::Es256, KeyParts::Ec { curve: Curve::P256, point }) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(input, signature).is_ok()
            }
            (Algorithm::Es384, KeyParts::Ec { curve: Curve::P384, point }) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(input, signature).is_ok()
            }
            (Algorithm::Es512, KeyParts::Ec { curve: Curve::P521, point }) => {
                p521::is_signed_fixed(&point, digest(&SHA512, input).as_ref(), signature)
            }
            (Algorithm::EdDsa, KeyParts::Ed25519(x)) => {
                UnparsedPublicKey::new(&ED25519, x).verify(input, signature).is_ok()
            }
            _ => {
                return Err(JwsError::Algorithm(format!(
                    "the \"alg\" is not one for this kind of key, which signs with {}",
                    Algorithm::of(key).map_or("none of them", Algorithm::name)
                )));
            }
        };
        if !is_signed {
            return Err(JwsError::Signature);
        }
        Ok(Verified { payload: self.payload.clone() })
    }

    /// The signature's bytes as the record keeps them.
    pub fn signature(&self) -> Bytes {
        self.signature.as_slice().into()
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;
    use crate::bytes::base64url;

    struct Signer(EcdsaKeyPair, SystemRandom);

    impl Signer {
        #[allow(
            clippy::disallowed_methods,
            reason = "a test's own key may come from the system's randomness"
        )]
        fn new() -> Self {
            let random = SystemRandom::new();
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
                .unwrap();
            Self(pair, random)
        }

        fn jwk(&self) -> String {
            let point = self.0.public_key().as_ref();
            let (x, y) = (base64url(&point[1..33]), base64url(&point[33..]));
            format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#)
        }

        fn sign(&self, protected: &str, payload: &str) -> String {
            let (protected, payload) = (base64url(protected.as_bytes()), base64url(payload.as_bytes()));
            let signature = self.0.sign(&self.1, format!("{protected}.{payload}").as_bytes()).unwrap();
            let signature = base64url(signature.as_ref());
            format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#)
        }
    }

    fn key_of(jws: &Jws) -> &PublicKey {
        match &jws.key {
            KeyReference::Key(key) => key,
            KeyReference::Account(_) => panic!("a jwk was sent"),
        }
    }

    #[test]
    fn a_good_request_opens_and_a_changed_one_does_not() {
        let signer = Signer::new();
        let protected =
            format!(r#"{{"alg":"ES256","jwk":{},"nonce":"bm8","url":"https://ca/x"}}"#, signer.jwk());
        let body = signer.sign(&protected, "{}");
        let jws = Jws::parse(body.as_bytes()).unwrap();
        assert_eq!(jws.verify(key_of(&jws)).unwrap().payload(), b"{}");

        let changed = body.replace(&base64url(b"{}"), &base64url(b"[]"));
        let jws = Jws::parse(changed.as_bytes()).unwrap();
        assert_eq!(jws.verify(key_of(&jws)).unwrap_err(), JwsError::Signature);
    }

    #[test]
    fn an_algorithm_that_is_not_the_keys_is_refused() {
        let signer = Signer::new();
        for algorithm in ["RS256", "ES384", "EdDSA"] {
            let protected = format!(r#"{{"alg":"{algorithm}","jwk":{},"url":"u"}}"#, signer.jwk());
            let jws = Jws::parse(signer.sign(&protected, "").as_bytes()).unwrap();
            assert!(matches!(jws.verify(key_of(&jws)), Err(JwsError::Algorithm(_))), "{algorithm}");
        }
        for algorithm in ["none", "HS256", "ES512K", ""] {
            let protected = format!(r#"{{"alg":"{algorithm}","kid":"k","url":"u"}}"#);
            let parsed = Jws::parse(signer.sign(&protected, "").as_bytes());
            assert!(matches!(parsed, Err(JwsError::Algorithm(_))), "{algorithm}");
        }
    }

    #[test]
    fn der_signatures_are_refused() {
        let signer = Signer::new();
        let protected = format!(r#"{{"alg":"ES256","jwk":{},"url":"u"}}"#, signer.jwk());
        let mut outer: Value = serde_json::from_str(&signer.sign(&protected, "")).unwrap();
        outer["signature"] = Value::String(base64url(&[0x30; 70]));
        let jws = Jws::parse(outer.to_string().as_bytes()).unwrap();
        assert_eq!(jws.verify(key_of(&jws)).unwrap_err(), JwsError::Signature);
    }

    #[test]
    fn every_other_form_is_refused() {
        let encoded = |header: &str| base64url(header.as_bytes());
        let good = encoded(r#"{"alg":"ES256","kid":"k","url":"u","nonce":"bm8"}"#);
        let bodies = [
            String::new(),
            "{".to_owned(),
            "[]".to_owned(),
            "null".to_owned(),
            format!(r#"{{"protected":"{good}","payload":""}}"#),
            format!(r#"{{"protected":"{good}","payload":"","signature":"","header":{{}}}}"#),
            format!(r#"{{"protected":"{good}","payload":"","signature":"","signatures":[]}}"#),
            format!(r#"{{"protected":"{good}","protected":"{good}","payload":"","signature":""}}"#),
            format!(r#"{{"protected":"{good}=","payload":"","signature":""}}"#),
            format!(r#"{{"protected":"{good}","payload":" ","signature":""}}"#),
            format!(r#"{{"protected":"{good}","payload":"","signature":"AA\n"}}"#),
            format!(r#"{{"protected":"{}","payload":"","signature":""}}"#, encoded("[]")),
            format!(
                r#"{{"protected":"{}","payload":"","signature":""}}"#,
                encoded(r#"{"alg":"ES256","url":"u"}"#)
            ),
            format!(
                r#"{{"protected":"{}","payload":"","signature":""}}"#,
                encoded(r#"{"alg":"ES256","kid":"k"}"#)
            ),
            format!(
                r#"{{"protected":"{}","payload":"","signature":""}}"#,
                encoded(r#"{"alg":"ES256","kid":"k","url":"u","crit":["b64"]}"#)
            ),
            format!(
                r#"{{"protected":"{}","payload":"","signature":""}}"#,
                encoded(r#"{"alg":"ES256","kid":"k","jwk":{},"url":"u"}"#)
            ),
        ];
        for body in bodies {
            assert!(matches!(Jws::parse(body.as_bytes()), Err(JwsError::Malformed(_))), "{body}");
        }
    }
}
