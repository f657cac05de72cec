//! Keys of the CA: what kinds there are, and how each signs.
//!
//! A [`Key`] signs the same way wherever it is: in memory (`file`, from the bytes of a [`PrivateKey`]), or on a token that
//! never gives it away (`token`). [`CaKey`] is a key of the hierarchy before it is used.

mod file;
mod private;
mod token;

use std::fmt;
use std::sync::Arc;

use ingam_protocol::Random;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use self::file::MemoryKey;
pub use self::private::PrivateKey;
pub use self::token::TokenSigner;
use crate::crypto::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use crate::crypto::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use crate::{Error, TokenKey, memory};

/// What kind of key a CA has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// ECDSA on P-256, with SHA-256.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA on P-384, with SHA-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// RSA of 2048 bits, with SHA-256 as all RSA keys here. Made slowly: about a second.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA of 3072 bits. Made slowly: several seconds.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA of 4096 bits. Made slowly: up to a minute.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    /// ECDSA on P-521, with SHA-512; as what follows, for private profiles and in builds with aws-lc-rs alone.
    #[serde(rename = "ecdsa-p521")]
    EcdsaP521,
    /// ML-DSA-44 (FIPS 204, RFC 9881).
    #[serde(rename = "ml-dsa-44")]
    MlDsa44,
    /// ML-DSA-65.
    #[serde(rename = "ml-dsa-65")]
    MlDsa65,
    /// ML-DSA-87.
    #[serde(rename = "ml-dsa-87")]
    MlDsa87,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::EcdsaP521,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// Its name in configuration and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::EcdsaP521 => "ecdsa-p521",
            Self::MlDsa44 => "ml-dsa-44",
            Self::MlDsa65 => "ml-dsa-65",
            Self::MlDsa87 => "ml-dsa-87",
        }
    }

    /// Whether certificates of the public web may be signed with it: BR 6.1.5 knows no ML-DSA, and root programs take no
    /// P-521 (Mozilla's policy, section 5.1).
    pub fn is_public(self) -> bool {
        matches!(self, Self::EcdsaP256 | Self::EcdsaP384 | Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }

    /// Whether this build has it.
    pub fn is_available(self) -> bool {
        self.is_public() || cfg!(feature = "aws-lc-rs")
    }
}

/// How a key signs: what a CA may use and every client takes (BR 7.1.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// ecdsa-with-SHA256 on P-256 (RFC 5758, section 3.2).
    EcdsaP256Sha256,
    /// ecdsa-with-SHA384 on P-384.
    EcdsaP384Sha384,
    /// sha256WithRSAEncryption, PKCS #1 version 1.5 (RFC 4055, section 5).
    RsaSha256,
    /// ecdsa-with-SHA512 on P-521.
    #[cfg(feature = "aws-lc-rs")]
    EcdsaP521Sha512,
    /// id-ml-dsa-44 (RFC 9881, section 2), pure and with an empty context, as all three.
    #[cfg(feature = "aws-lc-rs")]
    MlDsa44,
    /// id-ml-dsa-65.
    #[cfg(feature = "aws-lc-rs")]
    MlDsa65,
    /// id-ml-dsa-87.
    #[cfg(feature = "aws-lc-rs")]
    MlDsa87,
}

impl Algorithm {
    /// All that this build has.
    pub(crate) const ALL: &[Self] = &[
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::RsaSha256,
        #[cfg(feature = "aws-lc-rs")]
        Self::EcdsaP521Sha512,
        #[cfg(feature = "aws-lc-rs")]
        Self::MlDsa44,
        #[cfg(feature = "aws-lc-rs")]
        Self::MlDsa65,
        #[cfg(feature = "aws-lc-rs")]
        Self::MlDsa87,
    ];

    /// DER of the AlgorithmIdentifier, as certificates, CRLs and OCSP answers carry it.
    pub(crate) fn identifier(self) -> &'static [u8] {
        match self {
            Self::EcdsaP256Sha256 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
            Self::EcdsaP384Sha384 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
            Self::RsaSha256 => b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
            #[cfg(feature = "aws-lc-rs")]
            Self::EcdsaP521Sha512 => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa44 => b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11",
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa65 => b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12",
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa87 => b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13",
        }
    }

    /// How a signature of this kind is verified.
    pub(crate) fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
            Self::RsaSha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            #[cfg(feature = "aws-lc-rs")]
            Self::EcdsaP521Sha512 => &signature::ECDSA_P521_SHA512_ASN1,
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa44 => &signature::ML_DSA_44,
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa65 => &signature::ML_DSA_65,
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa87 => &signature::ML_DSA_87,
        }
    }

    /// What kind of key signs like this; `public_key` is the contents of its BIT STRING.
    fn kind_of(self, public_key: &[u8]) -> KeyKind {
        match self {
            Self::EcdsaP256Sha256 => KeyKind::EcdsaP256,
            Self::EcdsaP384Sha384 => KeyKind::EcdsaP384,
            // The octets of the modulus, with at most 20 of frame and exponent around them.
            Self::RsaSha256 => match public_key.len() {
                512.. => KeyKind::Rsa4096,
                384.. => KeyKind::Rsa3072,
                _ => KeyKind::Rsa2048,
            },
            #[cfg(feature = "aws-lc-rs")]
            Self::EcdsaP521Sha512 => KeyKind::EcdsaP521,
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa44 => KeyKind::MlDsa44,
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa65 => KeyKind::MlDsa65,
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa87 => KeyKind::MlDsa87,
        }
    }

    /// Whether a signature is this public key's. An error is for what the CA itself made: nobody else's fault.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it does not verify.
    pub(crate) fn verify(self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Error> {
        UnparsedPublicKey::new(self.verification(), public_key)
            .verify(message, signature)
            .map_err(|_| Error::Unavailable("a signature was made that does not verify".to_owned()))
    }

    /// How rcgen calls it.
    fn for_encoder(self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::EcdsaP384Sha384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::RsaSha256 => &rcgen::PKCS_RSA_SHA256,
            #[cfg(feature = "aws-lc-rs")]
            Self::EcdsaP521Sha512 => &rcgen::PKCS_ECDSA_P521_SHA512,
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa44 => &rcgen::PKCS_ML_DSA_44,
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa65 => &rcgen::PKCS_ML_DSA_65,
            #[cfg(feature = "aws-lc-rs")]
            Self::MlDsa87 => &rcgen::PKCS_ML_DSA_87,
        }
    }
}

/// DER of the AlgorithmIdentifier of RSA keys: rsaEncryption with NULL (RFC 3279, section 2.3.1).
pub(crate) const RSA_ENCRYPTION: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// A key of the hierarchy: held in memory, or on a token, which only lends it.
#[derive(Clone, Debug, PartialEq)]
pub enum CaKey {
    /// Its bytes are here.
    Held(PrivateKey),
    /// It is on a token.
    OnToken(TokenSigner),
}

impl CaKey {
    /// The bytes of a key that is held here.
    pub fn held(&self) -> Option<&PrivateKey> {
        match self {
            Self::Held(key) => Some(key),
            Self::OnToken(_) => None,
        }
    }

    /// Where a key on a token is.
    pub fn on_token(&self) -> Option<&TokenKey> {
        match self {
            Self::Held(_) => None,
            Self::OnToken(signer) => Some(signer.location()),
        }
    }
}

impl From<PrivateKey> for CaKey {
    fn from(key: PrivateKey) -> Self {
        Self::Held(key)
    }
}

/// A private key ready to sign.
#[derive(Clone)]
pub(crate) struct Key(Backend);

#[derive(Clone)]
enum Backend {
    Memory(Arc<MemoryKey>),
    Token(TokenSigner),
}

impl Key {
    /// Makes a key of the hierarchy ready.
    ///
    /// # Errors
    /// As [`Key::load`].
    pub(crate) fn of(key: &CaKey) -> Result<Self, Error> {
        match key {
            CaKey::Held(key) => Self::load(key),
            CaKey::OnToken(signer) => Ok(Self(Backend::Token(signer.clone()))),
        }
    }

    /// Loads a key into memory; the library checks that its parts belong together.
    ///
    /// # Errors
    /// [`Error::Load`] if it is of no kind that this build has.
    pub(crate) fn load(key: &PrivateKey) -> Result<Self, Error> {
        let key = Arc::new(MemoryKey::load(key)?);
        memory::keep(std::slice::from_ref(key.as_ref()));
        Ok(Self(Backend::Memory(key)))
    }

    /// A key that is made for nothing but to stand in for one that signs in this way. With RSA, that takes about a second.
    ///
    /// # Errors
    /// As [`PrivateKey::generate`].
    pub(crate) fn throwaway(algorithm: Algorithm, random: &dyn Random) -> Result<Self, Error> {
        // No key at all counts as the shortest of its kind.
        Self::load(&PrivateKey::generate(algorithm.kind_of(&[]), random)?)
    }

    /// How it signs.
    pub(crate) fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Backend::Memory(key) => key.algorithm(),
            Backend::Token(signer) => signer.algorithm(),
        }
    }

    /// What kind of key it is; RSA keys of other lengths count as the next shorter kind.
    pub(crate) fn kind(&self) -> KeyKind {
        self.algorithm().kind_of(self.public_key())
    }

    /// Contents of the public key's BIT STRING.
    pub(crate) fn public_key(&self) -> &[u8] {
        match &self.0 {
            Backend::Memory(key) => key.public_key(),
            Backend::Token(signer) => signer.public_key(),
        }
    }

    /// Whether it could sign now: a key in memory can, one on a token while that is there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the token is away.
    pub(crate) async fn ready(&self) -> Result<(), Error> {
        match &self.0 {
            Backend::Memory(_) => Ok(()),
            Backend::Token(signer) => signer.ready().await,
        }
    }

    /// Signs. In memory, ECDSA on P-256 takes some 20 µs of CPU, RSA of 2048 bits some 600 µs: short enough not to leave
    /// an async runtime's thread for it, as handing over and waking up would cost as much as most signatures. A token's
    /// signature is made on a thread of the token's own, and waited for as long as `TokenSigner::sign` says.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no signature.
    pub(crate) async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.0 {
            Backend::Memory(key) => key.sign(message),
            Backend::Token(signer) => signer.sign(message).await,
        }
    }

    /// Whether [`Key::sign`] waits for nothing and takes microseconds.
    pub(crate) fn signs_at_once(&self) -> bool {
        matches!(self.0, Backend::Memory(_)) && self.kind() == KeyKind::EcdsaP256
    }

    /// [`Key::sign`] for who is on no thread of an async runtime, or may stop it: at the start, and in ceremonies.
    ///
    /// # Errors
    /// As [`Key::sign`].
    pub(crate) fn sign_blocking(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.0 {
            Backend::Memory(key) => key.sign(message),
            Backend::Token(signer) => signer.sign_blocking(message),
        }
    }

    /// Signs, and verifies the signature with the public key of the certificate in whose name it is given: a fault in
    /// the signer or in memory must not leave the house, where it could even reveal an RSA key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no signature or it does not verify.
    pub(crate) async fn sign_checked(&self, public_key: &[u8], message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.sign(message).await?;
        self.algorithm().verify(public_key, message, &signature)?;
        Ok(signature)
    }
}

impl Key {
    /// [`Key::sign_checked`] for who is on no thread of an async runtime, or may stop it.
    ///
    /// # Errors
    /// As [`Key::sign_checked`].
    pub(crate) fn sign_checked_blocking(&self, public_key: &[u8], message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.sign_blocking(message)?;
        self.algorithm().verify(public_key, message, &signature)?;
        Ok(signature)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.kind().name())
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.public_key()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm().for_encoder()
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.sign_blocking(message).map_err(|_| rcgen::Error::RemoteKeyError)
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
mod tests;
