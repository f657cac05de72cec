//! Private keys as bytes: made, carried, wiped.

use std::fmt;

use ingam_protocol::Random;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
};
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core;
use zeroize::Zeroizing;

use super::KeyKind;
use crate::{Error, memory};

/// A private key as PKCS #8 (RFC 5208), unencrypted; its bytes are wiped when it is dropped, and `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(Zeroizing<Vec<u8>>);

impl PrivateKey {
    /// Takes DER of a PKCS #8 PrivateKeyInfo; whether it is one shows when it is used.
    pub fn from_pkcs8(der: Vec<u8>) -> Self {
        memory::keep(&der);
        Self(Zeroizing::new(der))
    }

    /// DER of the PKCS #8 PrivateKeyInfo. Whoever copies it has to wipe the copy.
    pub fn pkcs8(&self) -> &[u8] {
        &self.0
    }

    /// Makes a key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if that fails.
    pub fn generate(kind: KeyKind, random: &dyn Random) -> Result<Self, Error> {
        match kind {
            KeyKind::EcdsaP256 => Self::generate_ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyKind::EcdsaP384 => Self::generate_ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyKind::Rsa2048 => Self::generate_rsa(2048, random),
            KeyKind::Rsa3072 => Self::generate_rsa(3072, random),
            KeyKind::Rsa4096 => Self::generate_rsa(4096, random),
        }
    }

    fn generate_ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Result<Self, Error> {
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &system_random())
            .map_err(|_| Error::Unavailable("the system gave no randomness for a new key".to_owned()))?;
        Ok(Self::from_pkcs8(made.as_ref().to_vec()))
    }

    fn generate_rsa(bits: usize, random: &dyn Random) -> Result<Self, Error> {
        let failed =
            |what: &dyn fmt::Display| Error::Unavailable(format!("no RSA key could be made: {what}"));
        let made =
            rsa::RsaPrivateKey::new(&mut RandomSource(random), bits).map_err(|error| failed(&error))?;
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
pub(super) fn system_random() -> SystemRandom {
    SystemRandom::new()
}
