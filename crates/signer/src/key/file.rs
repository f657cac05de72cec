//! A key in this process's memory.

use super::private::system_random;
use super::{Algorithm, PrivateKey};
use crate::Error;
use crate::crypto::rand::SystemRandom;
use crate::crypto::signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use crate::crypto::{read_ecdsa, rsa_signature_len};

/// The curves, in the order in which they are tried.
const CURVES: &[(Algorithm, &signature::EcdsaSigningAlgorithm)] = &[
    (Algorithm::EcdsaP256Sha256, &signature::ECDSA_P256_SHA256_ASN1_SIGNING),
    (Algorithm::EcdsaP384Sha384, &signature::ECDSA_P384_SHA384_ASN1_SIGNING),
    #[cfg(feature = "aws-lc-rs")]
    (Algorithm::EcdsaP521Sha512, &signature::ECDSA_P521_SHA512_ASN1_SIGNING),
];
/// ML-DSA's parameter sets (FIPS 204, section 4).
#[cfg(feature = "aws-lc-rs")]
const ML_DSA: &[(Algorithm, &signature::PqdsaSigningAlgorithm)] = &[
    (Algorithm::MlDsa44, &signature::ML_DSA_44_SIGNING),
    (Algorithm::MlDsa65, &signature::ML_DSA_65_SIGNING),
    (Algorithm::MlDsa87, &signature::ML_DSA_87_SIGNING),
];

/// A key in memory, ready to sign.
pub(super) struct MemoryKey {
    algorithm: Algorithm,
    pair: Pair,
    random: SystemRandom,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    #[cfg(feature = "aws-lc-rs")]
    MlDsa(Box<signature::PqdsaKeyPair>),
}

impl MemoryKey {
    /// Loads a key; the library checks that its parts belong together.
    ///
    /// # Errors
    /// [`Error::Load`] if it is of no kind that this build has.
    pub(super) fn load(key: &PrivateKey) -> Result<Self, Error> {
        let random = system_random();
        for &(algorithm, signing) in CURVES {
            if let Some(pair) = read_ecdsa(signing, key.pkcs8(), &random) {
                return Ok(Self { algorithm, pair: Pair::Ecdsa(pair), random });
            }
        }
        #[cfg(feature = "aws-lc-rs")]
        for &(algorithm, signing) in ML_DSA {
            if let Ok(pair) = signature::PqdsaKeyPair::from_pkcs8(signing, key.pkcs8()) {
                return Ok(Self { algorithm, pair: Pair::MlDsa(Box::new(pair)), random });
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

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn public_key(&self) -> &[u8] {
        match &self.pair {
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            #[cfg(feature = "aws-lc-rs")]
            Pair::MlDsa(pair) => pair.public_key().as_ref(),
        }
    }

    /// Signs.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the library could not.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&self.random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| Error::Unavailable("ECDSA gave no signature".to_owned())),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; rsa_signature_len(pair)];
                pair.sign(&signature::RSA_PKCS1_SHA256, &self.random, message, &mut signature)
                    .map_err(|_| Error::Unavailable("RSA gave no signature".to_owned()))?;
                Ok(signature)
            }
            #[cfg(feature = "aws-lc-rs")]
            Pair::MlDsa(pair) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                pair.sign(message, &mut signature)
                    .map_err(|_| Error::Unavailable("ML-DSA gave no signature".to_owned()))?;
                Ok(signature)
            }
        }
    }
}
