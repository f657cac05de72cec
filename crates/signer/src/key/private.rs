//! Private keys as bytes: made, carried, wiped.

use std::fmt;

use ingam_protocol::Random;
use zeroize::Zeroizing;

use super::KeyKind;
use crate::crypto::generate_rsa;
use crate::crypto::rand::SystemRandom;
use crate::crypto::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm};
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
    /// [`Error::Refused`] for a kind that this build does not have; [`Error::Unavailable`] if it cannot be made.
    pub fn generate(kind: KeyKind, random: &dyn Random) -> Result<Self, Error> {
        match kind {
            KeyKind::EcdsaP256 => Self::generate_ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyKind::EcdsaP384 => Self::generate_ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyKind::Rsa2048 => generate_rsa(2048, random).map(Self::from_pkcs8),
            KeyKind::Rsa3072 => generate_rsa(3072, random).map(Self::from_pkcs8),
            KeyKind::Rsa4096 => generate_rsa(4096, random).map(Self::from_pkcs8),
            #[cfg(feature = "aws-lc-rs")]
            KeyKind::EcdsaP521 => Self::generate_ecdsa(&signature::ECDSA_P521_SHA512_ASN1_SIGNING),
            #[cfg(feature = "aws-lc-rs")]
            KeyKind::MlDsa44 => Self::generate_ml_dsa(&signature::ML_DSA_44_SIGNING),
            #[cfg(feature = "aws-lc-rs")]
            KeyKind::MlDsa65 => Self::generate_ml_dsa(&signature::ML_DSA_65_SIGNING),
            #[cfg(feature = "aws-lc-rs")]
            KeyKind::MlDsa87 => Self::generate_ml_dsa(&signature::ML_DSA_87_SIGNING),
            #[cfg(not(feature = "aws-lc-rs"))]
            _ => Err(Error::Refused(format!(
                "a key of the kind {} needs a program built with the feature aws-lc-rs",
                kind.name()
            ))),
        }
    }

    fn generate_ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Result<Self, Error> {
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &system_random())
            .map_err(|_| Error::Unavailable("the system gave no randomness for a new key".to_owned()))?;
        Ok(Self::from_pkcs8(made.as_ref().to_vec()))
    }

    #[cfg(feature = "aws-lc-rs")]
    fn generate_ml_dsa(algorithm: &'static signature::PqdsaSigningAlgorithm) -> Result<Self, Error> {
        let made = signature::PqdsaKeyPair::generate(algorithm).and_then(|pair| pair.to_pkcs8v1());
        made.map(|der| Self::from_pkcs8(der.as_ref().to_vec()))
            .map_err(|_| Error::Unavailable("no ML-DSA key could be made".to_owned()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(hidden)")
    }
}

/// The system's randomness, which ring and aws-lc-rs want for ECDSA keys and nonces.
///
/// Their trait for randomness is sealed, so that [`Random`] cannot stand in. A nonce that repeats gives the key away:
/// this is no place for a test's own sequence anyway.
#[cfg_attr(
    not(feature = "aws-lc-rs"),
    expect(clippy::disallowed_methods, reason = "ring accepts no other source than its own")
)]
pub(super) fn system_random() -> SystemRandom {
    SystemRandom::new()
}
