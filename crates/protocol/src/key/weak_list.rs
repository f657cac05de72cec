//! Keys that everybody can have: the lists that others publish, in their own formats. None comes with the program.
//!
//! | list | format |
//! |---|---|
//! | Debian's openssl-blacklist (`blacklist.RSA-2048`) | text; a line has the last 20 hexadecimal digits of the SHA-1 that `openssl rsa -noout -modulus \| sha1sum` prints |
//! | others of CVE-2008-0166, and of keys found in public | text; a line has the 64 digits of a SHA-256: of the SubjectPublicKeyInfo, or of an RSA key's modulus, an EC key's coordinate x, an Ed25519 key |
//! | badkeys (`blocklist.dat`) | 16 bytes for each key, ascending: the first 15 of that last SHA-256, and the number of a list |
//!
//! Lists of OpenSSH keys (openssh-blacklist) have MD5 fingerprints of another encoding, and are of no use here: the same
//! keys are in the others, under their moduli.

use std::fmt;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::{BadKey, KeyFlaw, Kind, PublicKey, sha256};
use crate::bytes::from_hex;

/// The part of a SHA-1 that Debian's lists keep.
type Tail = [u8; 10];

/// The part of a SHA-256 that is kept: as much as badkeys' lists have.
type Head = [u8; 15];

/// So long is an entry of badkeys' lists.
const BADKEYS_ENTRY_BYTES: usize = 16;

/// Keys that everybody can have, at 10 or 15 bytes a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeakKeys {
    /// Ascending once [`WeakKeys::sort`] was called.
    debian: Vec<Tail>,
    /// Likewise.
    known: Vec<Head>,
}

/// Why a file is no list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadList {
    /// The line of this number is no entry.
    Line(usize),
    /// It is not text, and not in badkeys' form either.
    NoText,
    /// It has no entry.
    Empty,
    /// All lists together have too many entries.
    TooLong,
}

impl fmt::Display for BadList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(
                f,
                "line {number} has neither the 20 hexadecimal digits of openssl-blacklist nor the 64 of a SHA-256"
            ),
            Self::NoText => f.write_str(
                "it is no text, and no ascending entries of 16 bytes as in badkeys' blocklist.dat",
            ),
            Self::Empty => f.write_str("it has no entry"),
            Self::TooLong => {
                write!(f, "all lists together have more than {} entries", WeakKeys::ENTRIES_MAX)
            }
        }
    }
}

impl std::error::Error for BadList {}

impl WeakKeys {
    /// How many bytes a list may have.
    pub const LIST_BYTES_MAX: u64 = 256 << 20;

    /// How many entries all lists may have together: 240 MB in memory at most.
    pub const ENTRIES_MAX: usize = 16_000_000;

    /// Whether there is no list.
    pub fn is_empty(&self) -> bool {
        self.debian.is_empty() && self.known.is_empty()
    }

    /// From the contents of files, each with its name.
    ///
    /// # Errors
    /// Which file is no list, and why.
    pub fn read<N>(lists: impl IntoIterator<Item = (N, Vec<u8>)>) -> Result<Self, (N, BadList)> {
        let mut all = Self::default();
        for (name, list) in lists {
            all.add(&list).map_err(|bad| (name, bad))?;
        }
        all.sort();
        Ok(all)
    }

    fn add(&mut self, list: &[u8]) -> Result<(), BadList> {
        let before = self.len();
        if list.is_ascii() && !list.contains(&0) {
            for (index, line) in list.split(|byte| *byte == b'\n').enumerate() {
                self.add_line(line.trim_ascii()).ok_or(BadList::Line(index + 1))?;
                self.check_length()?;
            }
        } else {
            self.add_entries(list)?;
        }
        if self.len() == before { Err(BadList::Empty) } else { Ok(()) }
    }

    /// `None` if the line is no entry.
    fn add_line(&mut self, line: &[u8]) -> Option<()> {
        if line.is_empty() || line.starts_with(b"#") {
            return Some(());
        }
        let bytes = from_hex(&std::str::from_utf8(line).ok()?.to_ascii_lowercase())?;
        if let Ok(tail) = Tail::try_from(bytes.as_slice()) {
            self.debian.push(tail);
        } else {
            let whole = <[u8; 32]>::try_from(bytes.as_slice()).ok()?;
            self.known.push(head(&whole));
        }
        Some(())
    }

    fn add_entries(&mut self, list: &[u8]) -> Result<(), BadList> {
        let (entries, rest) = list.as_chunks::<BADKEYS_ENTRY_BYTES>();
        let heads = entries.iter().map(|entry| head(entry));
        if !rest.is_empty() || !heads.clone().is_sorted() {
            return Err(BadList::NoText);
        }
        if self.len().saturating_add(entries.len()) > Self::ENTRIES_MAX {
            return Err(BadList::TooLong);
        }
        self.known.extend(heads);
        Ok(())
    }

    fn check_length(&self) -> Result<(), BadList> {
        if self.len() > Self::ENTRIES_MAX { Err(BadList::TooLong) } else { Ok(()) }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.debian.len().saturating_add(self.known.len())
    }

    fn sort(&mut self) {
        self.debian.sort_unstable();
        self.debian.dedup();
        self.debian.shrink_to_fit();
        self.known.sort_unstable();
        self.known.dedup();
        self.known.shrink_to_fit();
    }

    /// Refuses a key that is on a list (BR 6.1.1.3).
    ///
    /// # Errors
    /// [`KeyFlaw::DebianWeak`] or [`KeyFlaw::Listed`], by the kind of list.
    pub fn check(&self, key: &PublicKey) -> Result<(), BadKey> {
        let number = match &key.0 {
            Kind::Rsa { modulus, .. } => {
                if !self.debian.is_empty() && self.debian.binary_search(&debian_tail(modulus)).is_ok() {
                    let why = "the RSA key was made by a random number generator that had next to no randomness \
                               (CVE-2008-0166, Debian's OpenSSL): make a new one on a system of today";
                    return Err(BadKey::new(KeyFlaw::DebianWeak, why));
                }
                modulus.as_slice()
            }
            Kind::Ec { x, .. } => super::without_zeros(x),
            Kind::Ed25519 { x } => super::without_zeros(x),
            Kind::MlDsa { key, .. } => super::without_zeros(key),
        };
        if self.known.is_empty() {
            return Ok(());
        }
        let is_known = |hash: [u8; 32]| self.known.binary_search(&head(&hash)).is_ok();
        if is_known(sha256(number)) || is_known(key.spki_hash()) {
            let why = "the key is on a list of keys whose private part everybody can have: make a new one";
            return Err(BadKey::new(KeyFlaw::Listed, why));
        }
        Ok(())
    }
}

/// What Debian's lists have of a modulus: the end of the SHA-1 of what openssl prints of it.
fn debian_tail(modulus: &[u8]) -> Tail {
    let text: String = modulus.iter().map(|byte| format!("{byte:02X}")).collect();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("Modulus={text}\n").as_bytes());
    hash.as_ref().last_chunk().copied().unwrap_or_default()
}

fn head(hash: &[u8]) -> Head {
    hash.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
