//! Account keys and JWS in flattened JSON (RFC 7515, RFC 8555 6.2), right by default and wrong where a test asks.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Map, Value, json};

/// base64url without padding, as JOSE and ACME want it.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key that can sign ACME requests.
pub enum Key {
    /// ECDSA on P-256: `ES256`.
    Es256(EcdsaKeyPair),
    /// RSA with PKCS#1 v1.5 and SHA-256: `RS256`.
    Rs256(Box<RsaKeyPair>),
    /// Ed25519: `EdDSA`.
    EdDsa(Ed25519KeyPair),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.algorithm())
    }
}

impl Key {
    /// A new P-256 key.
    pub fn es256() -> Self {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random())
            .expect("ring makes P-256 keys");
        Self::es256_from(document.as_ref())
    }

    /// A P-256 key from PKCS#8 DER, such as the key of a certificate.
    pub fn es256_from(pkcs8: &[u8]) -> Self {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random());
        Self::Es256(pair.expect("a P-256 key in PKCS#8"))
    }

    /// A new Ed25519 key.
    pub fn eddsa() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&random()).expect("ring makes Ed25519 keys");
        Self::EdDsa(Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("ring reads what it wrote"))
    }

    /// An RSA key from PKCS#8 DER; ring makes none itself, see [`crate::openssl::rsa_key`].
    pub fn rs256_from(pkcs8: &[u8]) -> Self {
        Self::Rs256(Box::new(RsaKeyPair::from_pkcs8(pkcs8).expect("an RSA key in PKCS#8")))
    }

    /// The name of the signature algorithm in a protected header.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    /// The public key as a JWK.
    pub fn jwk(&self) -> Value {
        match self {
            Self::Es256(pair) => {
                // ring gives the point uncompressed: 04, x, y.
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": base64url(x), "y": base64url(y)})
            }
            Self::Rs256(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": base64url(public.n), "e": base64url(public.e)})
            }
            Self::EdDsa(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key())})
            }
        }
    }

    /// The JWK thumbprint (RFC 7638). serde_json sorts members, which is the order the RFC asks for.
    pub fn thumbprint(&self) -> String {
        base64url(digest::digest(&digest::SHA256, self.jwk().to_string().as_bytes()))
    }

    /// Signs bytes, in the form that JOSE wants.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256(pair) => {
                pair.sign(&random(), message).expect("P-256 signs anything").as_ref().to_vec()
            }
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random(), message, &mut signature).expect("RSA signs anything");
                signature
            }
            Self::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// A JWS of this protected header and payload; `None` is the empty payload of a POST-as-GET.
pub fn signed(key: &Key, protected: &Map<String, Value>, payload: Option<&Value>) -> Value {
    let protected = base64url(Value::Object(protected.clone()).to_string());
    let payload = payload.map(|value| base64url(value.to_string())).unwrap_or_default();
    let signature = base64url(key.sign(format!("{protected}.{payload}").as_bytes()));
    json!({"protected": protected, "payload": payload, "signature": signature})
}

/// The system's randomness, for keys and signatures.
#[expect(clippy::disallowed_methods, reason = "this is a client of the CA, which has a source of its own")]
fn random() -> SystemRandom {
    SystemRandom::new()
}
