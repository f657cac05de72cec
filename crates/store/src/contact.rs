//! Contacts of subscribers: sealed under a key for each subject, so that destroying that key erases them everywhere. The MAC
//! keys that accounts are bound with ([`crate::ExternalKey`]) are sealed in the same way, each as a subject of its own.
//!
//! ```text
//! contact.key (32 bytes, the key-encryption key) ──AES-256-GCM──▶ subjects: one entry of 76 bytes for each subject
//! subject's key ──AES-256-GCM, bound to table, row and column──▶ the sealed column in the engine, parts of records
//! ```
//!
//! Both files lie outside the engine, whose old pages outlive a deletion, and belong into no backup together with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ingam_journal::files::{File, Files};
use ingam_protocol::Id;
use ingam_protocol::time::{Random, random_array};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::error::Error;

const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Subject, nonce, sealed key.
const ENTRY_BYTES: usize = 16 + NONCE_LEN + KEY_BYTES + TAG_BYTES;

/// Where a sealed value lies: a value moved to another place does not open there.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table, or the kind of record.
    pub table: &'a str,
    /// The column, or the part.
    pub column: &'a str,
    /// The row: the account, or the MAC key.
    pub subject: Id,
}

impl Place<'_> {
    fn bound(&self) -> Vec<u8> {
        let mut bound = Vec::new();
        for part in [self.table.as_bytes(), self.column.as_bytes(), self.subject.as_bytes()] {
            bound.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            bound.extend_from_slice(part);
        }
        bound
    }
}

/// The keys of all subjects.
pub struct SubjectKeys {
    random: Arc<dyn Random>,
    wrapping: Zeroizing<[u8; KEY_BYTES]>,
    entries: Mutex<Entries>,
}

struct Entries {
    file: Arc<dyn File>,
    /// Where the next entry goes.
    end: u64,
    keys: HashMap<Id, Zeroizing<[u8; KEY_BYTES]>>,
}

impl SubjectKeys {
    /// Opens `contact.key` and `subjects` in `files`, and makes them where they are missing.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be read or written, [`Error::Seal`] if the key file does not open the entries.
    pub fn open(files: &dyn Files, random: Arc<dyn Random>) -> Result<Self, Error> {
        let failed = |what: &str| {
            let what = format!("opening the {what} of contacts");
            move |error| Error::File(what.clone(), error)
        };
        let key_file = files.create("contact.key").map_err(failed("key file"))?;
        let file = files.create("subjects").map_err(failed("subjects' keys"))?;
        let entry_bytes = ENTRY_BYTES as u64;
        // An entry cut short by a crash was never used: its key was given out only after the sync.
        let end = file.length().map_err(failed("subjects' keys"))? / entry_bytes * entry_bytes;
        let mut wrapping = Zeroizing::new([0; KEY_BYTES]);
        if end == 0 {
            // Nothing lies under the key yet: whatever a crash left of it is written anew.
            random.fill(wrapping.as_mut_slice());
            key_file.set_length(0).map_err(failed("key file"))?;
            key_file.write_at(0, wrapping.as_slice()).map_err(failed("key file"))?;
            key_file.sync().map_err(failed("key file"))?;
        } else if key_file.length().map_err(failed("key file"))? == KEY_BYTES as u64 {
            key_file.read_at(0, wrapping.as_mut_slice()).map_err(failed("key file"))?;
        } else {
            return Err(Error::Seal("opening the key file of contacts: it has not 32 bytes"));
        }
        files.sync_directory().map_err(failed("directory"))?;
        let mut keys = HashMap::new();
        let mut offset = 0;
        while offset < end {
            let mut entry = [0; ENTRY_BYTES];
            file.read_at(offset, &mut entry).map_err(failed("subjects' keys"))?;
            match unwrap_entry(&wrapping, &entry) {
                Some((subject, key)) => keys.insert(subject, key),
                None if offset + entry_bytes == end => break,
                None => {
                    return Err(Error::Seal(
                        "opening the subjects' keys: contact.key is not the one they were sealed with",
                    ));
                }
            };
            offset += entry_bytes;
        }
        Ok(Self { random, wrapping, entries: Mutex::new(Entries { file, end: offset, keys }) })
    }

    /// Makes a key for the subject if there is none, and comes back when it is on disk. Blocks.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Seal`].
    pub fn ensure(&self, subject: Id) -> Result<(), Error> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.keys.contains_key(&subject) {
            return Ok(());
        }
        let key = Zeroizing::new(random_array::<KEY_BYTES>(self.random.as_ref()));
        let nonce = random_array::<NONCE_LEN>(self.random.as_ref());
        let mut entry = [subject.as_bytes().as_slice(), &nonce].concat();
        let mut wrapped = key.to_vec();
        seal(&self.wrapping, nonce, subject.as_bytes(), &mut wrapped)?;
        entry.extend_from_slice(&wrapped);
        let failed = |error| Error::File("writing a subject's key".to_owned(), error);
        entries.file.write_at(entries.end, &entry).map_err(failed)?;
        entries.file.sync().map_err(failed)?;
        entries.end += entry.len() as u64;
        entries.keys.insert(subject, key);
        Ok(())
    }

    /// Seals `plain` for this place: nonce and ciphertext. The subject must have a key.
    ///
    /// # Errors
    /// [`Error::Seal`] if it has none.
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let key = self.key(place.subject)?;
        let nonce = random_array::<NONCE_LEN>(self.random.as_ref());
        let mut sealed = plain.to_vec();
        seal(&key, nonce, &place.bound(), &mut sealed)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`SubjectKeys::seal`] sealed for the same place.
    ///
    /// # Errors
    /// [`Error::Seal`] if the subject has no key any more or the value was moved or changed.
    pub fn open_sealed(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let key = self.key(place.subject)?;
        open(&key, &place.bound(), sealed).ok_or(Error::Seal("opening sealed data"))
    }

    fn key(&self, subject: Id) -> Result<Zeroizing<[u8; KEY_BYTES]>, Error> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.keys.get(&subject).cloned().ok_or(Error::Seal("finding the subject's key"))
    }
}

fn unwrap_entry(
    wrapping: &[u8; KEY_BYTES],
    entry: &[u8; ENTRY_BYTES],
) -> Option<(Id, Zeroizing<[u8; KEY_BYTES]>)> {
    let (subject, sealed) = entry.split_first_chunk::<16>()?;
    let plain = open(wrapping, subject, sealed)?;
    let key = plain.as_slice().try_into().ok()?;
    Some((Id::from_bytes(*subject), Zeroizing::new(key)))
}

fn cipher(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, Error> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| Error::Seal("loading a sealing key"))
}

fn seal(
    key: &[u8; KEY_BYTES],
    nonce: [u8; NONCE_LEN],
    bound: &[u8],
    data: &mut Vec<u8>,
) -> Result<(), Error> {
    cipher(key)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), data)
        .map_err(|_| Error::Seal("sealing data"))
}

fn open(key: &[u8; KEY_BYTES], bound: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut data = Zeroizing::new(ciphertext.to_vec());
    let length = cipher(key)
        .ok()?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), &mut data)
        .ok()?
        .len();
    data.truncate(length);
    Some(data)
}

#[cfg(test)]
mod tests {
    use ingam_journal::simulated::SimulatedDisk;
    use ingam_protocol::Timestamp;
    use ingam_protocol::time::SeededRandom;

    use super::*;

    fn subject(seed: u64) -> Id {
        Id::new(Timestamp::from_unix_s(1), &SeededRandom::new(seed))
    }

    fn place(subject: Id) -> Place<'static> {
        Place { table: "contacts", column: "contact", subject }
    }

    #[test]
    fn sealed_data_opens_in_its_place_alone_and_after_reopening() {
        let disk = SimulatedDisk::new();
        let keys = SubjectKeys::open(&disk, Arc::new(SeededRandom::new(1))).unwrap();
        keys.ensure(subject(1)).unwrap();
        keys.ensure(subject(2)).unwrap();
        let sealed = keys.seal(place(subject(1)), b"mailto:a@example.org").unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"example"));

        let reopened = SubjectKeys::open(&disk, Arc::new(SeededRandom::new(2))).unwrap();
        assert_eq!(
            reopened.open_sealed(place(subject(1)), &sealed).unwrap().as_slice(),
            b"mailto:a@example.org"
        );
        assert!(reopened.open_sealed(place(subject(2)), &sealed).is_err());
        let elsewhere = Place { column: "name", ..place(subject(1)) };
        assert!(reopened.open_sealed(elsewhere, &sealed).is_err());
        assert!(reopened.seal(place(subject(3)), b"").is_err());
    }

    #[test]
    fn a_power_cut_leaves_every_key_that_was_used() {
        for seed in 0..50 {
            let disk = SimulatedDisk::new();
            let keys = SubjectKeys::open(&disk, Arc::new(SeededRandom::new(seed))).unwrap();
            keys.ensure(subject(1)).unwrap();
            let sealed = keys.seal(place(subject(1)), b"x").unwrap();
            disk.power_cut(&SeededRandom::new(seed));
            let reopened = SubjectKeys::open(&disk, Arc::new(SeededRandom::new(seed))).unwrap();
            assert!(reopened.open_sealed(place(subject(1)), &sealed).is_ok(), "{seed}");
        }
    }
}
