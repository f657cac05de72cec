//! The library that makes and uses keys of the CA: ring, or with the feature `aws-lc-rs` the library of that name, which has
//! ring's interface but for the little below, and more kinds of keys.
//!
//! In such a build ring still digests and verifies what comes from outside, in other crates; every signature of the CA,
//! and every look at one, is aws-lc-rs's.

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc_rs::{digest, rand, signature};
use ingam_protocol::Random;
#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) use ring::{digest, rand, signature};
use signature::{EcdsaKeyPair, EcdsaSigningAlgorithm, RsaKeyPair};

use crate::Error;

/// Reads a key on a curve; `None` if it is none on that one.
pub(crate) fn read_ecdsa(
    algorithm: &'static EcdsaSigningAlgorithm,
    pkcs8: &[u8],
    random: &rand::SystemRandom,
) -> Option<EcdsaKeyPair> {
    #[cfg(feature = "aws-lc-rs")]
    {
        // It takes its own randomness.
        let _ = random;
        EcdsaKeyPair::from_pkcs8(algorithm, pkcs8).ok()
    }
    #[cfg(not(feature = "aws-lc-rs"))]
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, random).ok()
}

/// How many octets an RSA signature has.
pub(crate) fn rsa_signature_len(pair: &RsaKeyPair) -> usize {
    #[cfg(feature = "aws-lc-rs")]
    return pair.public_modulus_len();
    #[cfg(not(feature = "aws-lc-rs"))]
    pair.public().modulus_len()
}

/// Makes an RSA key, of 2048, 3072 or 4096 bits; DER of PKCS #8.
///
/// # Errors
/// [`Error::Unavailable`] if it cannot be made.
#[cfg(feature = "aws-lc-rs")]
pub(crate) fn generate_rsa(bits: usize, _random: &dyn Random) -> Result<Vec<u8>, Error> {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    let size = match bits {
        ..=2048 => KeySize::Rsa2048,
        2049..=3072 => KeySize::Rsa3072,
        _ => KeySize::Rsa4096,
    };
    let made = RsaKeyPair::generate(size).and_then(|pair| AsDer::<Pkcs8V1Der<'_>>::as_der(&pair));
    made.map(|der| der.as_ref().to_vec())
        .map_err(|_| Error::Unavailable("no RSA key could be made".to_owned()))
}

/// Makes an RSA key, of 2048, 3072 or 4096 bits; DER of PKCS #8. ring makes none.
///
/// # Errors
/// [`Error::Unavailable`] if it cannot be made.
#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) fn generate_rsa(bits: usize, random: &dyn Random) -> Result<Vec<u8>, Error> {
    use rsa::pkcs8::EncodePrivateKey as _;
    let failed =
        |what: &dyn std::fmt::Display| Error::Unavailable(format!("no RSA key could be made: {what}"));
    let made = rsa::RsaPrivateKey::new(&mut RandomSource(random), bits).map_err(|error| failed(&error))?;
    let encoded = made.to_pkcs8_der().map_err(|error| failed(&error))?;
    Ok(encoded.as_bytes().to_vec())
}

/// [`Random`] as the `rsa` crate wants it.
#[cfg(not(feature = "aws-lc-rs"))]
struct RandomSource<'a>(&'a dyn Random);

#[cfg(not(feature = "aws-lc-rs"))]
impl rsa::rand_core::RngCore for RandomSource<'_> {
    fn next_u32(&mut self) -> u32 {
        rsa::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rsa::rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, destination: &mut [u8]) {
        self.0.fill(destination);
    }

    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.0.fill(destination);
        Ok(())
    }
}

/// `Random` promises unpredictable bytes in earnest; a seeded one gives a seeded key, which is what a test asks for.
#[cfg(not(feature = "aws-lc-rs"))]
impl rsa::rand_core::CryptoRng for RandomSource<'_> {}
