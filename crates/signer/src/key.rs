//! Private keys: made, carried, and used. ring makes the elliptic ones and does all the signing.

use std::fmt;

use ingam_protocol::Random;
use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair as _, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm,
};
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::Error;

/// What kind of key an issuing CA has. Its certificates are signed with it and SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// ECDSA on P-256.
    EcdsaP256,
    /// RSA of 2048 bits. Made slowly: about a second.
    Rsa2048,
}

impl KeyKind {
    /// Its name in configuration and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::Rsa2048 => "rsa-2048",
        }
    }
}

/// How a key signs. ring's three that a CA may use and every client takes (BR 7.1.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// ecdsa-with-SHA256 on P-256 (RFC 5758, section 3.2).
    EcdsaP256Sha256,
    /// ecdsa-with-SHA384 on P-384: roots only.
    EcdsaP384Sha384,
    /// sha256WithRSAEncryption, PKCS #1 version 1.5 (RFC 4055, section 5).
    RsaSha256,
}

impl Algorithm {
    /// DER of the AlgorithmIdentifier, as certificates, CRLs and OCSP answers carry it.
    pub(crate) fn identifier(self) -> &'static [u8] {
        match self {
            Self::EcdsaP256Sha256 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
            Self::EcdsaP384Sha384 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
            Self::RsaSha256 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
        }
    }

    /// How a signature of this kind is verified.
    pub(crate) fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
            Self::RsaSha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        }
    }

    /// How rcgen calls it.
    fn for_encoder(self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::EcdsaP384Sha384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::RsaSha256 => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

/// DER of the AlgorithmIdentifier of RSA keys: rsaEncryption with NULL (RFC 3279, section 2.3.1).
pub(crate) const RSA_ENCRYPTION: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// A private key as PKCS #8 (RFC 5208), unencrypted; its bytes are wiped when it is dropped, and `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(Zeroizing<Vec<u8>>);

impl PrivateKey {
    /// Takes DER of a PKCS #8 PrivateKeyInfo; whether it is one shows when it is used.
    pub fn from_pkcs8(der: Vec<u8>) -> Self {
        Self(Zeroizing::new(der))
    }

    /// DER of the PKCS #8 PrivateKeyInfo. Whoever copies it has to wipe the copy.
    pub fn pkcs8(&self) -> &[u8] {
        &self.0
    }

    /// Makes a key for an issuing CA.
    pub(crate) fn generate(kind: KeyKind, random: &dyn Random) -> Result<Self, Error> {
        match kind {
            KeyKind::EcdsaP256 => Self::generate_ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyKind::Rsa2048 => Self::generate_rsa(random),
        }
    }

    /// Makes a P-384 key: for roots.
    pub(crate) fn generate_p384() -> Result<Self, Error> {
        Self::generate_ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING)
    }

    fn generate_ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Result<Self, Error> {
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &system_random())
            .map_err(|_| Error::Unavailable("the system gave no randomness for a new key".to_owned()))?;
        Ok(Self::from_pkcs8(made.as_ref().to_vec()))
    }

    fn generate_rsa(random: &dyn Random) -> Result<Self, Error> {
        let failed =
            |what: &dyn fmt::Display| Error::Unavailable(format!("no RSA key could be made: {what}"));
        let made =
            rsa::RsaPrivateKey::new(&mut RandomSource(random), 2048).map_err(|error| failed(&error))?;
        let encoded = made.to_pkcs8_der().map_err(|error| failed(&error))?;
        Ok(Self::from_pkcs8(encoded.as_bytes().to_vec()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(hidden)")
    }
}

/// [`Random`] as the `rsa` crate wants it.
struct RandomSource<'a>(&'a dyn Random);

impl rand_core::RngCore for RandomSource<'_> {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, destination: &mut [u8]) {
        self.0.fill(destination);
    }

    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.fill(destination);
        Ok(())
    }
}

/// `Random` promises unpredictable bytes in earnest; a seeded one gives a seeded key, which is what a test asks for.
impl rand_core::CryptoRng for RandomSource<'_> {}

/// The system's randomness, which ring wants for ECDSA keys and nonces.
///
/// ring's trait for randomness is sealed, so that [`Random`] cannot stand in. A nonce that repeats gives the key away:
/// this is no place for a test's own sequence anyway.
#[expect(clippy::disallowed_methods, reason = "ring accepts no other source than its own")]
fn system_random() -> SystemRandom {
    SystemRandom::new()
}

/// A private key ready to sign.
pub(crate) struct Key {
    algorithm: Algorithm,
    pair: Pair,
    random: SystemRandom,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    /// Loads a key; ring checks that its parts belong together.
    ///
    /// # Errors
    /// [`Error::Load`] if it is neither P-256, P-384 nor RSA of 2048 to 4096 bits.
    pub(crate) fn load(key: &PrivateKey) -> Result<Self, Error> {
        let random = system_random();
        for (algorithm, signing) in [
            (Algorithm::EcdsaP256Sha256, &ECDSA_P256_SHA256_ASN1_SIGNING),
            (Algorithm::EcdsaP384Sha384, &ECDSA_P384_SHA384_ASN1_SIGNING),
        ] {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(signing, key.pkcs8(), &random) {
                return Ok(Self { algorithm, pair: Pair::Ecdsa(pair), random });
            }
        }
        match RsaKeyPair::from_pkcs8(key.pkcs8()) {
            Ok(pair) => Ok(Self { algorithm: Algorithm::RsaSha256, pair: Pair::Rsa(pair), random }),
            Err(rejected) => Err(Error::Load(
                format!(
                    "the private key is no PKCS #8 key on P-256, P-384 or RSA of 2048 to 4096 bits ({rejected})"
                ),
                None,
            )),
        }
    }

    /// How it signs.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Contents of the public key's BIT STRING.
    pub(crate) fn public_key(&self) -> &[u8] {
        match &self.pair {
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair) => pair.public_key().as_ref(),
        }
    }

    /// Signs. ECDSA on P-256 takes some 20 µs of CPU, RSA of 2048 bits some 600 µs: short enough not to leave an async
    /// runtime's thread for it, as handing over and waking up would cost as much as most signatures.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if ring could not.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&self.random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| Error::Unavailable("ECDSA gave no signature".to_owned())),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &self.random, message, &mut signature)
                    .map_err(|_| Error::Unavailable("RSA gave no signature".to_owned()))?;
                Ok(signature)
            }
        }
    }

    /// Signs, and verifies the signature with the public key of the certificate in whose name it is given: a fault in
    /// the signer or in memory must not leave the house, where it could even reveal an RSA key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no signature or it does not verify.
    pub(crate) fn sign_checked(&self, public_key: &[u8], message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.sign(message)?;
        UnparsedPublicKey::new(self.algorithm.verification(), public_key)
            .verify(message, &signature)
            .map_err(|_| Error::Unavailable("a signature was made that does not verify".to_owned()))?;
        Ok(signature)
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.public_key()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm.for_encoder()
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        // The fully qualified call is the inherent method, not this one.
        Key::sign(self, message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// The key identifier of a public key: the leftmost 160 bits of SHA-256 over the contents of its BIT STRING
/// (RFC 7093, section 2, method 1).
pub(crate) fn key_identifier(public_key: &[u8]) -> [u8; 20] {
    leftmost_160_bits(&SHA256, public_key)
}

/// SHA-1 over the contents of a public key's BIT STRING: a ResponderID byKey (RFC 6960, section 4.2.1). Not a
/// signature: the rule against SHA-1 does not touch it.
pub(crate) fn responder_key_hash(public_key: &[u8]) -> [u8; 20] {
    leftmost_160_bits(&SHA1_FOR_LEGACY_USE_ONLY, public_key)
}

fn leftmost_160_bits(algorithm: &'static digest::Algorithm, bytes: &[u8]) -> [u8; 20] {
    let mut leftmost = [0; 20];
    for (target, source) in leftmost.iter_mut().zip(digest::digest(algorithm, bytes).as_ref()) {
        *target = *source;
    }
    leftmost
}

/// Contents of the BIT STRING of a SubjectPublicKeyInfo; `None` if it is none, or if bytes follow it.
pub(crate) fn public_key_of(public_key_info: &[u8]) -> Option<Vec<u8>> {
    match SubjectPublicKeyInfo::from_der(public_key_info) {
        Ok(([], info)) => Some(info.subject_public_key.data.into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::time::SeededRandom;

    use super::*;

    #[test]
    fn every_kind_signs_and_its_signature_verifies() {
        let random = SeededRandom::new(1);
        let keys = [
            (PrivateKey::generate(KeyKind::EcdsaP256, &random).unwrap(), Algorithm::EcdsaP256Sha256),
            (PrivateKey::generate(KeyKind::Rsa2048, &random).unwrap(), Algorithm::RsaSha256),
            (PrivateKey::generate_p384().unwrap(), Algorithm::EcdsaP384Sha384),
        ];
        for (key, algorithm) in keys {
            let loaded = Key::load(&key).unwrap();
            assert_eq!(loaded.algorithm(), algorithm);
            let public_key = loaded.public_key().to_vec();
            loaded.sign_checked(&public_key, b"a message").unwrap();
        }
    }

    #[test]
    fn a_signature_that_does_not_fit_the_certificate_stays_here() {
        let random = SeededRandom::new(2);
        let key = Key::load(&PrivateKey::generate(KeyKind::EcdsaP256, &random).unwrap()).unwrap();
        let other = Key::load(&PrivateKey::generate(KeyKind::EcdsaP256, &random).unwrap()).unwrap();
        assert!(matches!(key.sign_checked(other.public_key(), b"a message"), Err(Error::Unavailable(_))));
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        let key = PrivateKey::from_pkcs8(b"secret".to_vec());
        assert!(matches!(Key::load(&key), Err(Error::Load(..))));
        assert!(!format!("{key:?}").contains("115"));
    }
}
