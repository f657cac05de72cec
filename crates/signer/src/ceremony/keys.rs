//! The keys of a ceremony: where they are, how they are made and opened.

use std::fmt;
use std::path::{Path, PathBuf};

use ingam_protocol::Random;

use crate::key::Key;
use crate::sealing::Cost;
use crate::storage::{self, Unlocking, broken};
use crate::{CaKey, Error, KeyKind, KeyLocation, Passphrase, PrivateKey};

/// How a passphrase that is missing or wrong can be given, for the words of an error.
const PASSPHRASE_GIVEN_BY: &str = "passphrase_file, or on a terminal";

/// Where a key is, and what its passphrase or PIN is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// A file, or a name on a token.
    location: KeyLocation,
    /// The file with its passphrase, or with the token's PIN; `None`: a person is asked.
    passphrase_file: Option<PathBuf>,
}

impl KeyPlace {
    /// Reads a place; paths are relative to `folder`.
    ///
    /// # Errors
    /// [`Error::Load`] if it is neither a path nor a PKCS #11 URI.
    pub(super) fn read(
        location: &str,
        folder: &Path,
        passphrase_file: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let location = match location.parse()? {
            KeyLocation::File(path) => KeyLocation::File(folder.join(path)),
            token @ KeyLocation::Token(_) => token,
        };
        Ok(Self { location, passphrase_file })
    }

    /// The file with its passphrase or PIN, if one is named.
    pub fn passphrase_file(&self) -> Option<&Path> {
        self.passphrase_file.as_deref()
    }

    /// Whether the key is on a token.
    pub fn is_on_token(&self) -> bool {
        matches!(self.location, KeyLocation::Token(_))
    }

    /// Its file, unless it is on a token.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.location {
            KeyLocation::File(path) => Some(path),
            KeyLocation::Token(_) => None,
        }
    }

    /// Opens the key that is there.
    ///
    /// # Errors
    /// [`Error::Load`] says what is wrong with it, or that its passphrase or PIN is.
    pub(super) fn open(&self, passphrases: &mut dyn Passphrases) -> Result<Opened, Error> {
        let path = match &self.location {
            KeyLocation::Token(token) => {
                let pin = self.pin(passphrases)?;
                let key = Key::of(&CaKey::OnToken(token.open(Some(&pin))?))?;
                return Ok(Opened { key, guard: Guard::Token });
            }
            KeyLocation::File(path) => path,
        };
        let text = storage::read(path)?;
        let is_encrypted = storage::is_encrypted(&text)
            .ok_or_else(|| broken(path, "holds no private key: name the key's file"))?;
        let passphrase = if is_encrypted { Some(passphrases.existing(self)?) } else { None };
        let unlocking = Unlocking { passphrase: passphrase.as_ref(), given_by: PASSPHRASE_GIVEN_BY };
        let key = Key::load(&storage::unlock_key(path, &text, unlocking)?)?;
        Ok(Opened { key, guard: if is_encrypted { Guard::Passphrase } else { Guard::Nothing } })
    }

    /// What a key that is made here will need: a new passphrase for a file, the PIN of a token.
    pub(super) fn secret_of_new(&self, passphrases: &mut dyn Passphrases) -> Result<Passphrase, Error> {
        if self.is_on_token() { self.pin(passphrases) } else { passphrases.new_one(self) }
    }

    /// Has the token make a key, if this is a place on one. The token refuses a name that is taken.
    ///
    /// # Errors
    /// As `TokenKey::generate`.
    pub(super) fn make_on_token(&self, kind: KeyKind, pin: &Passphrase) -> Result<Option<Key>, Error> {
        match &self.location {
            KeyLocation::File(_) => Ok(None),
            KeyLocation::Token(token) => Key::of(&CaKey::OnToken(token.generate(kind, Some(pin))?)).map(Some),
        }
    }

    fn pin(&self, passphrases: &mut dyn Passphrases) -> Result<Passphrase, Error> {
        if let KeyLocation::Token(token) = &self.location
            && let Some(pin) = token.pin()?
        {
            return Ok(pin);
        }
        passphrases.existing(self)
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

/// A key that was there.
pub(super) struct Opened {
    pub(super) key: Key,
    pub(super) guard: Guard,
}

/// What a key was guarded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    Passphrase,
    Token,
    Nothing,
}

/// Where passphrases and PINs come from.
pub trait Passphrases {
    /// That of a key that is there, or of the token that it is on.
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

/// The kind of key with this name.
pub(super) fn kind_of(name: &str) -> Option<KeyKind> {
    KeyKind::ALL.into_iter().find(|kind| kind.name() == name)
}

/// A key as its file holds it: always encrypted.
pub(super) fn sealed(
    key: &PrivateKey,
    passphrase: &Passphrase,
    random: &dyn Random,
) -> Result<Vec<u8>, Error> {
    storage::sealed_key_to_pem(key, passphrase, Cost::FULL, random).map(String::into_bytes)
}
