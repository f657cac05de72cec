//! The keys of a ceremony: where they are, how they are made and opened.

use std::fmt;
use std::path::{Path, PathBuf};

use ingam_protocol::Random;

use crate::key::{Algorithm, Key};
use crate::sealing::Cost;
use crate::storage::{self, Unlocking, broken};
use crate::{Error, KeyKind, Passphrase, PrivateKey};

/// How a passphrase that is missing or wrong can be given, for the words of an error.
const PASSPHRASE_GIVEN_BY: &str = "passphrase_file, or on a terminal";

/// Where a key is, and what its passphrase is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// The path of its file.
    location: PathBuf,
    /// The file with its passphrase; `None`: a person is asked.
    passphrase_file: Option<PathBuf>,
}

impl KeyPlace {
    /// Reads a place; paths are relative to `folder`. An error is a text for the operator.
    pub(super) fn read(
        location: &str,
        folder: &Path,
        passphrase_file: Option<PathBuf>,
    ) -> Result<Self, String> {
        if location.starts_with("pkcs11:") {
            return Err("names a token, which this version cannot use in ceremonies".to_owned());
        }
        Ok(Self { location: folder.join(location), passphrase_file })
    }

    /// The file with its passphrase, if one is named.
    pub fn passphrase_file(&self) -> Option<&Path> {
        self.passphrase_file.as_deref()
    }

    /// Its file.
    pub(super) fn file(&self) -> &Path {
        &self.location
    }

    /// Whether a key is there, or anything else that must not be written over.
    pub(super) fn is_taken(&self) -> bool {
        self.location.symlink_metadata().is_ok()
    }

    /// Opens the key that is there.
    ///
    /// # Errors
    /// [`Error::Load`] says what is wrong with it, or that its passphrase is.
    pub(super) fn open(&self, passphrases: &mut dyn Passphrases) -> Result<Opened, Error> {
        let text = storage::read(&self.location)?;
        let is_encrypted = storage::is_encrypted(&text)
            .ok_or_else(|| broken(&self.location, "holds no private key: name the key's file"))?;
        let passphrase = if is_encrypted { Some(passphrases.existing(self)?) } else { None };
        let unlocking = Unlocking { passphrase: passphrase.as_ref(), given_by: PASSPHRASE_GIVEN_BY };
        let key = Key::load(&storage::unlock_key(&self.location, &text, unlocking)?)?;
        Ok(Opened { key, is_encrypted })
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.display().fmt(f)
    }
}

/// A key that was there.
pub(super) struct Opened {
    pub(super) key: Key,
    pub(super) is_encrypted: bool,
}

/// Where passphrases come from.
pub trait Passphrases {
    /// That of a key that is there.
    ///
    /// # Errors
    /// [`Error`] if there is none, with how to give it.
    fn existing(&mut self, place: &KeyPlace) -> Result<Passphrase, Error>;

    /// One for a key that is going to be made.
    ///
    /// # Errors
    /// As [`Passphrases::existing`].
    fn new_one(&mut self, place: &KeyPlace) -> Result<Passphrase, Error>;
}

/// A kind of key that a ceremony can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewKey {
    EcdsaP256,
    EcdsaP384,
    Rsa2048,
}

impl NewKey {
    const ALL: [Self; 3] = [Self::EcdsaP256, Self::EcdsaP384, Self::Rsa2048];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(super) fn names() -> Vec<&'static str> {
        Self::ALL.into_iter().map(Self::name).collect()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => KeyKind::EcdsaP256.name(),
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Rsa2048 => KeyKind::Rsa2048.name(),
        }
    }

    /// Makes one, in memory.
    pub(super) fn make(self, random: &dyn Random) -> Result<PrivateKey, Error> {
        match self {
            Self::EcdsaP256 => PrivateKey::generate(KeyKind::EcdsaP256, random),
            Self::EcdsaP384 => PrivateKey::generate_p384(),
            Self::Rsa2048 => PrivateKey::generate(KeyKind::Rsa2048, random),
        }
    }
}

/// A key that was made for nothing but to stand in for one that signs in this way.
pub(super) fn throwaway(algorithm: Algorithm, random: &dyn Random) -> Result<Key, Error> {
    let kind = match algorithm {
        Algorithm::EcdsaP256Sha256 => NewKey::EcdsaP256,
        Algorithm::EcdsaP384Sha384 => NewKey::EcdsaP384,
        Algorithm::RsaSha256 => NewKey::Rsa2048,
    };
    Key::load(&kind.make(random)?)
}

/// A key as its file holds it: always encrypted.
pub(super) fn sealed(
    key: &PrivateKey,
    passphrase: &Passphrase,
    random: &dyn Random,
) -> Result<Vec<u8>, Error> {
    storage::sealed_key_to_pem(key, passphrase, Cost::FULL, random).map(String::into_bytes)
}
