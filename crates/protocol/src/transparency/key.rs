//! A log's key and name.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Entry, Error, Sct};

/// Contents of prime256v1, 1.2.840.10045.3.1.7 (RFC 5480, section 2.1.1.1).
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// sha256 with ecdsa, and sha256 with rsa (RFC 5246, section 7.4.1.4.1), which are all that logs have (RFC 6962, section 2.1.4).
pub(super) const SHA256_ECDSA: [u8; 2] = [4, 3];
pub(super) const SHA256_RSA: [u8; 2] = [4, 1];

/// The name of a log: SHA-256 of its key's SubjectPublicKeyInfo (RFC 6962, section 3.2). Shown as base64, as lists of logs do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub [u8; 32]);

impl LogId {
    /// Reads base64 with padding; `None` for anything else, and for other lengths.
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The public key of a log.
#[derive(Clone, PartialEq, Eq)]
pub struct LogKey {
    id: LogId,
    spki: Vec<u8>,
    /// The contents of its BIT STRING.
    bits: Vec<u8>,
    is_ecdsa: bool,
}

impl LogKey {
    /// Reads a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`Error::Key`] if it is neither a P-256 key nor an RSA key of 2048 bits or more.
    pub fn from_spki(spki: &[u8]) -> Result<Self, Error> {
        let (rest, info) = SubjectPublicKeyInfo::from_der(spki).map_err(|_| Error::Key)?;
        if !rest.is_empty() || info.subject_public_key.unused_bits != 0 {
            return Err(Error::Key);
        }
        let is_ecdsa = match info.parsed().map_err(|_| Error::Key)? {
            PublicKey::EC(point) => {
                let is_p256 = info.algorithm.parameters.as_ref().is_some_and(|curve| curve.data == P256);
                if !is_p256 || point.data().len() != 65 {
                    return Err(Error::Key);
                }
                true
            }
            PublicKey::RSA(key) if (2048..=8192).contains(&key.key_size()) => false,
            _ => return Err(Error::Key),
        };
        let name = digest(&SHA256, spki);
        let id = name.as_ref().try_into().map(LogId).map_err(|_| Error::Key)?;
        let bits = info.subject_public_key.data.to_vec();
        Ok(Self { id, spki: spki.to_vec(), bits, is_ecdsa })
    }

    /// The log's name.
    pub fn id(&self) -> LogId {
        self.id
    }

    /// The SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// That this log promised to show this entry.
    ///
    /// # Errors
    /// [`Error::OtherLog`] if the SCT names another; [`Error::Signature`] if the signature is not one of this key.
    pub fn verify(&self, sct: &Sct, entry: &Entry) -> Result<(), Error> {
        if sct.log != self.id {
            return Err(Error::OtherLog);
        }
        self.verify_bytes(sct.algorithm, &entry.signed(sct)?, &sct.signature)
    }

    /// That this key signed these bytes: a tree head (RFC 6962, section 3.5), or what an SCT covers.
    ///
    /// # Errors
    /// [`Error::Signature`] if it did not, or with another algorithm.
    pub fn verify_bytes(&self, algorithm: [u8; 2], bytes: &[u8], signature: &[u8]) -> Result<(), Error> {
        let (expected, how): (_, &'static dyn VerificationAlgorithm) = match self.is_ecdsa {
            true => (SHA256_ECDSA, &ECDSA_P256_SHA256_ASN1),
            false => (SHA256_RSA, &RSA_PKCS1_2048_8192_SHA256),
        };
        if algorithm != expected {
            return Err(Error::Signature);
        }
        UnparsedPublicKey::new(how, &self.bits).verify(bytes, signature).map_err(|_| Error::Signature)
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({})", self.id)
    }
}
