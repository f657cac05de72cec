//! Which keys a subscriber's certificate may hold (BR 6.1.5, 6.1.6, 7.1.3.1).
//!
//! Weak and compromised keys are refused long before. This is about form: exactly one encoding for each kind.

use ingam_protocol::der::Reader;
use ingam_protocol::key::KeyType;
use ingam_protocol::profile::Profile;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Finding, Verdict, require};
use crate::key::RSA_ENCRYPTION;

/// What matters of the key to the rest of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With a modulus of so many bits.
    Rsa(usize),
    /// Of a kind whose keys are all of one length.
    Fixed(KeyType),
}

impl Kind {
    /// Whether certificates for the public may have such keys (BR 6.1.5).
    pub(super) fn is_public(self) -> bool {
        match self {
            Self::Rsa(_) => KeyType::Rsa,
            Self::Fixed(kind) => kind,
        }
        .is_public()
    }
}

/// How a SubjectPublicKeyInfo begins that has an uncompressed point (RFC 5480, section 2) or an ML-DSA key (RFC 9881, section 4),
/// and how long it is, in bytes.
const FIXED: [(KeyType, &[u8], usize); 6] = [
    (KeyType::EcdsaP256, b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04", 91),
    (KeyType::EcdsaP384, b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04", 120),
    (KeyType::EcdsaP521, b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00\x04", 158),
    (KeyType::MlDsa44, b"\x30\x82\x05\x32\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11\x03\x82\x05\x21\x00", 1334),
    (KeyType::MlDsa65, b"\x30\x82\x07\xb2\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12\x03\x82\x07\xa1\x00", 1974),
    (KeyType::MlDsa87, b"\x30\x82\x0a\x32\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13\x03\x82\x0a\x21\x00", 2614),
];

/// What is said of a key of no such kind.
const UNKNOWN: &str = "neither RSA nor an uncompressed point on P-256, P-384 or P-521, nor an ML-DSA key";

/// Checks that the key is RSA of 2048 to 4096 bits, on P-256, P-384 or P-521, or of ML-DSA, and encoded the one right way.
pub(super) fn check(key: &SubjectPublicKeyInfo<'_>) -> Verdict<Kind> {
    let is_this = |start: &[u8], length| key.raw.len() == length && key.raw.starts_with(start);
    if let Some((kind, ..)) = FIXED.iter().find(|(_, start, length)| is_this(start, *length)) {
        return Ok(Kind::Fixed(*kind));
    }
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let algorithm_in_place = key.raw.get(4..4 + RSA_ENCRYPTION.len()) == Some(RSA_ENCRYPTION);
            require("subject_key_rsa", algorithm_in_place, "rsaEncryption needs NULL as its parameters")?;
            let mut numbers = Reader::new(&key.subject_public_key.data);
            let framed = numbers.sequence().and_then(|mut pair| {
                pair.integer()?;
                pair.integer()?;
                pair.finish()?;
                numbers.finish()
            });
            require("subject_key_rsa", framed.is_ok(), "no SEQUENCE of two INTEGERs")?;
            check_rsa(rsa.modulus, rsa.exponent).map(Kind::Rsa)
        }
        _ => Err(Finding::new("subject_key", UNKNOWN)),
    }
}

/// Checks that the profile takes such a key.
pub(super) fn check_profile(kind: Kind, profile: &Profile) -> Verdict {
    let takes = match kind {
        Kind::Rsa(bits) => {
            let is_size = profile.rsa_bits.iter().any(|allowed| usize::from(*allowed) == bits);
            profile.key_types.contains(&KeyType::Rsa) && is_size
        }
        Kind::Fixed(kind) => profile.key_types.contains(&kind),
    };
    let found = "no key of this kind is in a certificate for the public (BR 6.1.5)";
    require("subject_key_public", kind.is_public() || !profile.is_public, found)?;
    require("subject_key_allowed", takes, "the profile takes no keys of this kind or size")
}

/// How many bits the modulus has.
fn check_rsa(modulus: &[u8], exponent: &[u8]) -> Verdict<usize> {
    // A modulus of a multiple of eight bits begins with a zero octet, for the sign, and then with a set bit.
    let bits = match modulus.split_first() {
        Some((0x00, digits)) if digits.first().is_some_and(|first| *first >= 0x80) => digits.len() * 8,
        _ => 0,
    };
    let found = "the modulus has not 2048 to 4096 bits, or no multiple of eight";
    require("subject_key_rsa", (2048..=4096).contains(&bits), found)?;
    let odd =
        modulus.last().is_some_and(|last| last & 1 == 1) && exponent.last().is_some_and(|last| last & 1 == 1);
    require("subject_key_rsa", odd, "modulus and exponent must be odd")?;
    // BR 6.1.6: from 2^16 + 1 to 2^256 - 1. A zero octet may stand in front for the sign.
    let value = match exponent.split_first() {
        Some((0x00, digits)) => digits,
        _ => exponent,
    };
    let fits = (3..=32).contains(&value.len());
    require("subject_key_rsa", fits, "the exponent is not between 65537 and 2^256 - 1")?;
    Ok(bits)
}
