//! External account binding (RFC 8555, section 7.3.4): the JWS inside newAccount by which the holder of a key that the CA
//! gave out says that an ACME account is theirs. It is made with a MAC, so it is no [`crate::jws::Jws`].
//!
//! ```text
//! bytes --Binding::parse--> Binding (who, for which account key, at which URL) --verify(MAC key)--> yes or no
//! ```

use std::fmt;

use ring::hmac;
use serde::Deserialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::bytes::base64url;
use crate::json::Object;
use crate::jws::{JwsError, JwsParts, JwsText, no_header, read_header};
use crate::key::PublicKey;
use crate::time::Random;

/// At most this many bytes are a binding: it holds one JWK and a short header.
const BINDING_BYTES_MAX: usize = 8192;

/// A MAC algorithm (RFC 7518, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl MacAlgorithm {
    /// The algorithms that a binding may have.
    pub const NAMES: [&'static str; 3] = ["HS256", "HS384", "HS512"];

    fn from_name(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            "HS384" => Some(Self::Hs384),
            "HS512" => Some(Self::Hs512),
            _ => None,
        }
    }

    fn of_ring(self) -> hmac::Algorithm {
        match self {
            Self::Hs256 => hmac::HMAC_SHA256,
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
        }
    }
}

/// A key that the CA shares with whom it gave it to: secret, so `Debug` does not show it, and its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct MacKey(Zeroizing<Vec<u8>>);

impl MacKey {
    /// As long as the longest of the three MACs, which RFC 7518, section 3.2, asks for.
    pub const BYTES: usize = 64;

    /// A new one. Its first bit is zero, so that its text never begins with a hyphen, which command lines take for an
    /// option; 511 unpredictable bits are left.
    pub fn new(random: &dyn Random) -> Self {
        let mut bytes = Zeroizing::new(vec![0; Self::BYTES]);
        random.fill(&mut bytes);
        if let Some(first) = bytes.first_mut() {
            *first &= 0x7f;
        }
        Self(bytes)
    }

    /// From its bytes, as they were sealed; `None` if there are not [`MacKey::BYTES`] of them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == Self::BYTES).then(|| Self(Zeroizing::new(bytes.to_vec())))
    }

    /// Its bytes, to be sealed.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Its text, as ACME clients take it: base64url without padding.
    pub fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url(&self.0))
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(hidden)")
    }
}

#[derive(Deserialize)]
struct BindingHeader {
    alg: Option<String>,
    kid: Option<String>,
    url: Option<String>,
}

/// A binding whose form is right and whose MAC nobody has looked at yet.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The `kid` of the protected header: which MAC key it says to be made with.
    pub key_id: String,
    /// The `url` of the protected header.
    pub url: String,
    /// The payload: the key of the account that is to be bound.
    pub account_key: PublicKey,
    /// The binding as it came, for the account resource.
    pub text: JwsText,
    algorithm: MacAlgorithm,
    mac: Vec<u8>,
}

impl Binding {
    /// Reads a binding: a flattened JWS with `alg`, `kid` and `url` and without `nonce`, over a JWK.
    ///
    /// # Errors
    /// [`JwsError`], with words for the client.
    pub fn parse(body: &[u8]) -> Result<Self, JwsError> {
        if body.len() > BINDING_BYTES_MAX {
            return Err(JwsError::malformed(format!("it has more than {BINDING_BYTES_MAX} bytes")));
        }
        let text = JwsText::parse(body)?;
        let JwsParts { protected, payload, signature } = text.decode()?;
        let header = read_header(&protected)?;
        if header.has("nonce") {
            return Err(JwsError::malformed("the protected header has a \"nonce\": leave it out"));
        }
        if header.has("jwk") {
            return Err(JwsError::malformed(
                "the protected header has a \"jwk\": the account's key is the payload",
            ));
        }
        let header: BindingHeader = header.read().map_err(no_header)?;
        let name = header.alg.ok_or_else(|| JwsError::malformed("the protected header has no \"alg\""))?;
        let algorithm = MacAlgorithm::from_name(&name).ok_or_else(|| {
            let names = MacAlgorithm::NAMES.join(", ");
            JwsError::Algorithm(format!("this \"alg\" is not accepted: use one of {names}"))
        })?;
        let key_id = header.kid.ok_or_else(|| JwsError::malformed("the protected header has no \"kid\""))?;
        let url = header.url.ok_or_else(|| JwsError::malformed("the protected header has no \"url\""))?;
        let jwk: Map<String, Value> = Object::parse(&payload)
            .and_then(Object::read)
            .map_err(|bad| JwsError::malformed(format!("the payload is not the account's JWK: {bad}")))?;
        let account_key = PublicKey::from_jwk(&jwk).map_err(JwsError::Key)?;
        Ok(Self { key_id, url, account_key, text, algorithm, mac: signature })
    }

    /// Whether it was made with this key. Takes as long for a wrong MAC as for a right one.
    #[must_use]
    pub fn verify(&self, key: &MacKey) -> bool {
        let key = hmac::Key::new(self.algorithm.of_ring(), key.expose());
        hmac::verify(&key, self.text.signing_input().as_bytes(), &self.mac).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SeededRandom;

    const HEADER: &str = r#"{"alg":"HS256","kid":"kid-1","url":"https://ca.test/new-account"}"#;
    const JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn key() -> MacKey {
        MacKey::new(&SeededRandom::new(1))
    }

    fn made(algorithm: hmac::Algorithm, header: &str, payload: &str, key: &MacKey) -> String {
        let (protected, payload) = (base64url(header.as_bytes()), base64url(payload.as_bytes()));
        let key = hmac::Key::new(algorithm, key.expose());
        let mac = base64url(hmac::sign(&key, format!("{protected}.{payload}").as_bytes()).as_ref());
        format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{mac}"}}"#)
    }

    fn parsed(header: &str, payload: &str) -> Result<Binding, JwsError> {
        Binding::parse(made(hmac::HMAC_SHA256, header, payload, &key()).as_bytes())
    }

    #[test]
    fn each_algorithm_verifies_under_its_key_alone() {
        let algorithms = [hmac::HMAC_SHA256, hmac::HMAC_SHA384, hmac::HMAC_SHA512];
        for (name, algorithm) in MacAlgorithm::NAMES.into_iter().zip(algorithms) {
            let header = HEADER.replace("HS256", name);
            let binding = Binding::parse(made(algorithm, &header, JWK, &key()).as_bytes()).unwrap();
            assert_eq!(
                (binding.key_id.as_str(), binding.url.as_str()),
                ("kid-1", "https://ca.test/new-account")
            );
            assert!(binding.verify(&key()), "{name}");
            assert!(!binding.verify(&MacKey::new(&SeededRandom::new(2))), "{name}");
        }
    }

    /// Made by `openssl dgst -mac HMAC`, which knows nothing of this file, with a key of 64 bytes 0x00 to 0x3f.
    #[test]
    fn a_binding_of_another_make_verifies() {
        let bytes: Vec<u8> = (0..64).collect();
        let text = format!(
            r#"{{"protected":"{}","payload":"{}","signature":"5trvoz4kG4NjMGrakqNDIEdHzVJvAAzH079s_sSmM3A"}}"#,
            base64url(HEADER.as_bytes()),
            base64url(JWK.as_bytes())
        );
        assert!(Binding::parse(text.as_bytes()).unwrap().verify(&MacKey::from_bytes(&bytes).unwrap()));
    }

    /// The algorithm is part of what the MAC is over: one made with another does not pass for it, and none is cut short.
    #[test]
    fn a_mac_of_another_algorithm_or_length_does_not_verify() {
        let other = made(hmac::HMAC_SHA512, HEADER, JWK, &key());
        assert!(!Binding::parse(other.as_bytes()).unwrap().verify(&key()));
        let mut cut: Value = serde_json::from_str(&made(hmac::HMAC_SHA256, HEADER, JWK, &key())).unwrap();
        for length in [0, 1, 4, 31] {
            cut["signature"] = base64url(&vec![0; length]).into();
            assert!(!Binding::parse(cut.to_string().as_bytes()).unwrap().verify(&key()), "{length}");
        }
    }

    #[test]
    fn every_other_form_is_refused() {
        let with = |more: &str| HEADER.replace('}', &format!(",{more}}}"));
        let without = |member: &str| {
            let mut header: Value = serde_json::from_str(HEADER).unwrap();
            header.as_object_mut().unwrap().remove(member);
            header.to_string()
        };
        for header in [
            with(r#""nonce":"n""#),
            with(r#""nonce":null"#),
            with(&format!(r#""jwk":{JWK}"#)),
            with(r#""crit":[]"#),
            with(r#""b64":false"#),
            with(r#""kid":"other""#),
            without("alg"),
            without("kid"),
            without("url"),
            "[]".to_owned(),
        ] {
            assert!(matches!(parsed(&header, JWK), Err(JwsError::Malformed(_))), "{header}");
        }
        for payload in ["", "{}", "[]", "\"x\"", r#"{"kty":"oct","k":"AAAA"}"#] {
            assert!(parsed(HEADER, payload).is_err(), "{payload}");
        }
        for algorithm in ["none", "ES256", "HS1", "hs256", ""] {
            let header = HEADER.replace("HS256", algorithm);
            assert!(matches!(parsed(&header, JWK), Err(JwsError::Algorithm(_))), "{algorithm}");
        }
        for body in ["", "null", "[]", "{}", r#"{"protected":"","payload":"","signatures":[]}"#] {
            assert!(matches!(Binding::parse(body.as_bytes()), Err(JwsError::Malformed(_))), "{body}");
        }
        let long = with(&format!(r#""x":"{}""#, "y".repeat(BINDING_BYTES_MAX)));
        assert!(matches!(parsed(&long, JWK), Err(JwsError::Malformed(_))));
    }

    #[test]
    fn a_key_is_hidden_and_its_text_suits_a_command_line() {
        for seed in 0..200 {
            let key = MacKey::new(&SeededRandom::new(seed));
            assert!(!key.text().starts_with('-'), "{seed}");
            assert_eq!(key.text().len(), 86);
            assert_eq!(MacKey::from_bytes(key.expose()), Some(key));
        }
        assert_eq!(format!("{:?}", key()), "MacKey(hidden)");
        assert_eq!(MacKey::from_bytes(&[0; 32]), None);
    }
}
