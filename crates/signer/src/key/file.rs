//! A key in this process's memory. ring signs with it.

use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    RsaKeyPair,
};

use super::private::system_random;
use super::{Algorithm, PrivateKey};
use crate::Error;

/// A key in memory, ready to sign.
pub(super) struct MemoryKey {
    algorithm: Algorithm,
    pair: Pair,
    random: SystemRandom,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl MemoryKey {
    /// Loads a key; ring checks that its parts belong together.
    ///
    /// # Errors
    /// [`Error::Load`] if it is neither P-256, P-384 nor RSA of 2048 to 4096 bits.
    pub(super) fn load(key: &PrivateKey) -> Result<Self, Error> {
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

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn public_key(&self) -> &[u8] {
        match &self.pair {
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
            Pair::Rsa(pair) => pair.public_key().as_ref(),
        }
    }

    /// Signs.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if ring could not.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
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
}
