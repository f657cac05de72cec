//! ML-DSA (FIPS 204) as certificates have it (RFC 9881): which keys there are, and verifying under them. Nothing here signs.
//!
//! Keys are read in every build that can verify under them: ring cannot, and a key is nothing that nobody was seen to hold.

use super::{BadKey, KeyFlaw, KeyType, malformed};

/// The AlgorithmIdentifier of each set, for keys and for signatures alike: without parameters (RFC 9881, section 2).
const ML_DSA_44: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11";
const ML_DSA_65: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12";
const ML_DSA_87: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13";

/// So many octets at the front of a key are a seed (FIPS 204, algorithm 22); what follows is made from the private key.
const SEED_BYTES: usize = 32;

/// A parameter set of ML-DSA (FIPS 204, section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MlDsa {
    /// ML-DSA-44.
    Set44,
    /// ML-DSA-65.
    Set65,
    /// ML-DSA-87.
    Set87,
}

impl MlDsa {
    const ALL: [Self; 3] = [Self::Set44, Self::Set65, Self::Set87];

    /// The set of this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.name() == name)
    }

    /// The set with this AlgorithmIdentifier, whole.
    pub(super) fn of_algorithm(der: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.algorithm() == der)
    }

    /// The set with these contents of its OBJECT IDENTIFIER.
    pub(crate) fn of_identifier(contents: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.algorithm().get(4..) == Some(contents))
    }

    /// Its name, as in FIPS 204 and RFC 9964.
    pub fn name(self) -> &'static str {
        match self {
            Self::Set44 => "ML-DSA-44",
            Self::Set65 => "ML-DSA-65",
            Self::Set87 => "ML-DSA-87",
        }
    }

    pub(crate) fn key_type(self) -> KeyType {
        match self {
            Self::Set44 => KeyType::MlDsa44,
            Self::Set65 => KeyType::MlDsa65,
            Self::Set87 => KeyType::MlDsa87,
        }
    }

    pub(super) fn algorithm(self) -> &'static [u8] {
        match self {
            Self::Set44 => ML_DSA_44,
            Self::Set65 => ML_DSA_65,
            Self::Set87 => ML_DSA_87,
        }
    }

    /// How many octets a key has (FIPS 204, table 2).
    fn key_bytes(self) -> usize {
        match self {
            Self::Set44 => 1312,
            Self::Set65 => 1952,
            Self::Set87 => 2592,
        }
    }

    /// Refuses what is no key of this set. Any octets of the right length are the encoding of one (FIPS 204, algorithm 23), but
    /// for one whose vector is zero everybody can sign: no secret is in what is verified.
    pub(super) fn check(self, key: &[u8]) -> Result<(), BadKey> {
        if key.len() != self.key_bytes() {
            let (name, length) = (self.name(), self.key_bytes());
            return Err(malformed(format!("an {name} key has {length} bytes, and this one {}", key.len())));
        }
        if key.iter().skip(SEED_BYTES).all(|octet| *octet == 0) {
            let why = "the ML-DSA key is zero, so that everybody can sign for it: make a new one";
            return Err(BadKey::new(KeyFlaw::MlDsaZero, why));
        }
        Ok(())
    }

    /// Whether `signature` is that of the key over the message: pure ML-DSA with an empty context (RFC 9881, section 3).
    #[cfg(feature = "aws-lc-rs")]
    pub(crate) fn is_signed(self, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        use aws_lc_rs::signature;
        let algorithm = match self {
            Self::Set44 => &signature::ML_DSA_44,
            Self::Set65 => &signature::ML_DSA_65,
            Self::Set87 => &signature::ML_DSA_87,
        };
        signature::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    }

    /// Whether `signature` is that of the key over the message. ring cannot tell, so that it is none.
    #[cfg(not(feature = "aws-lc-rs"))]
    pub(crate) fn is_signed(self, _key: &[u8], _message: &[u8], _signature: &[u8]) -> bool {
        false
    }
}
