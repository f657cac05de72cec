//! Keys of every kind that an account may have, and of kinds that none may have.

use ingam_protocol::bytes::base64url;
use ingam_protocol::der::{Writer, tag};
use ingam_protocol::time::SeededRandom;
use ingam_signer::{KeyKind, PrivateKey};
use p521::ecdsa::signature::Signer as _;
use rcgen::KeyPair;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

use crate::client::flattened;

/// A key that signs requests with an algorithm other than ES256, which [`crate::client::Key`] has.
pub(crate) enum OtherKey {
    Es384(EcdsaKeyPair, SystemRandom),
    Es512(Box<p521::ecdsa::SigningKey>),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>, SystemRandom),
}

impl OtherKey {
    #[allow(clippy::disallowed_methods, reason = "ring makes and uses keys with its own randomness alone")]
    pub(crate) fn es384() -> Self {
        let random = SystemRandom::new();
        let made = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_der();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &made, &random).unwrap();
        Self::Es384(pair, random)
    }

    /// From its private number, as that is shorter than making one.
    pub(crate) fn es512(number: u8) -> Self {
        let mut scalar = [0; 66];
        scalar[65] = number;
        Self::Es512(Box::new(p521::ecdsa::SigningKey::from_slice(&scalar).unwrap()))
    }

    pub(crate) fn ed_dsa() -> Self {
        let made = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_der();
        Self::EdDsa(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&made).unwrap())
    }

    /// RSA of 2048 bits: ring makes none, but the signer does.
    #[allow(clippy::disallowed_methods, reason = "ring makes and uses keys with its own randomness alone")]
    pub(crate) fn rs256() -> Self {
        let made = PrivateKey::generate(KeyKind::Rsa2048, &SeededRandom::new(2)).unwrap();
        let pair = RsaKeyPair::from_pkcs8(made.pkcs8()).unwrap();
        Self::Rs256(Box::new(pair), SystemRandom::new())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Es384(..) => "ES384",
            Self::Es512(_) => "ES512",
            Self::EdDsa(_) => "EdDSA",
            Self::Rs256(..) => "RS256",
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = |curve: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at(point.len() / 2);
            json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
        };
        match self {
            Self::Es384(pair, _) => point("P-384", pair.public_key().as_ref()),
            Self::Es512(key) => point("P-521", &point_of(key)),
            Self::EdDsa(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref()) })
            }
            Self::Rs256(pair, _) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({ "kty": "RSA", "n": base64url(&n), "e": base64url(&e) })
            }
        }
    }

    /// A flattened JWS.
    pub(crate) fn sign(&self, protected: &Value, payload: &[u8]) -> Value {
        flattened(protected, payload, |input| match self {
            Self::Es384(pair, random) => pair.sign(random, input).unwrap().as_ref().to_vec(),
            Self::Es512(key) => {
                let signature: p521::ecdsa::Signature = key.sign(input);
                signature.to_bytes().to_vec()
            }
            Self::EdDsa(pair) => pair.sign(input).as_ref().to_vec(),
            Self::Rs256(pair, random) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, random, input, &mut signature).unwrap();
                signature
            }
        })
    }
}

/// The uncompressed point of a key on P-521.
pub(crate) fn point_of(key: &p521::ecdsa::SigningKey) -> Vec<u8> {
    p521::ecdsa::VerifyingKey::from(key).to_encoded_point(false).as_bytes().to_vec()
}

/// DER of a CSR for these names by a key on P-521, which rcgen cannot make on ring.
pub(crate) fn csr_of_p521(key: &p521::ecdsa::SigningKey, names: &[&str]) -> Vec<u8> {
    let info = request_info(&point_of(key), names);
    let signature: p521::ecdsa::Signature = key.sign(&info);
    let mut request = Writer::new();
    request.wrap(tag::SEQUENCE, |request| {
        bits(request, signature.to_der().as_bytes());
        // ecdsa-with-SHA512 (RFC 5758, section 3.2).
        request.wrap(tag::SEQUENCE, |algorithm| {
            algorithm.object_identifier(b"\x2a\x86\x48\xce\x3d\x04\x03\x04")
        });
        request.raw(&info);
    });
    request.finish()
}

/// The CertificationRequestInfo (RFC 2986, section 4.1), written from its end to its beginning.
fn request_info(point: &[u8], names: &[&str]) -> Vec<u8> {
    let mut info = Writer::new();
    info.wrap(tag::SEQUENCE, |info| {
        info.wrap(tag::context(0), |attributes| {
            attributes.wrap(tag::SEQUENCE, |attribute| {
                attribute.wrap(0x31, |values| {
                    values.wrap(tag::SEQUENCE, |extensions| alternatives(extensions, names))
                });
                attribute.object_identifier(b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e");
            });
        });
        info.wrap(tag::SEQUENCE, |key| {
            bits(key, point);
            key.wrap(tag::SEQUENCE, |algorithm| {
                algorithm.object_identifier(b"\x2b\x81\x04\x00\x23");
                algorithm.object_identifier(b"\x2a\x86\x48\xce\x3d\x02\x01");
            });
        });
        info.wrap(tag::SEQUENCE, |_empty_subject| {});
        info.unsigned_integer(&[0]);
    });
    info.finish()
}

/// The extension subjectAltName.
fn alternatives(extensions: &mut Writer, names: &[&str]) {
    let mut list = Writer::new();
    list.wrap(tag::SEQUENCE, |list| {
        names.iter().rev().for_each(|name| list.value(0x82, name.as_bytes()));
    });
    extensions.wrap(tag::SEQUENCE, |extension| {
        extension.value(tag::OCTET_STRING, &list.finish());
        extension.object_identifier(b"\x55\x1d\x11");
    });
}

/// A BIT STRING of whole octets.
fn bits(writer: &mut Writer, octets: &[u8]) {
    writer.value(tag::BIT_STRING, &[&[0], octets].concat());
}
