//! Contacts of subscribers: sealed under a key for each subject, so that destroying that key erases them everywhere. The MAC
//! keys that accounts are bound with ([`crate::ExternalKey`]) are sealed in the same way, each as a subject of its own.
//!
//! ```text
//! contact.key (the key-encryption key) ──AES-256-GCM──▶ subjects: one entry of 76 bytes for each subject
//! subject's key ──AES-256-GCM, bound to table, row and column──▶ the sealed column in the engine, parts of records
//! ```
//!
//! Both files lie outside the engine, whose old pages outlive a deletion, and belong into no backup together with it. A
//! key that is destroyed is left out of a new generation of both, under another key-encryption key (`generation`).

mod generation;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ingam_journal::files::Files;
use ingam_protocol::Id;
use ingam_protocol::time::{Random, random_array};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::error::Error;
use generation::{Generation, wipe};

const KEY_BYTES: usize = 32;

type Key = Zeroizing<[u8; KEY_BYTES]>;

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
    files: Arc<dyn Files>,
    random: Arc<dyn Random>,

    /// Changed by whoever has `on_disk`, after the disk has it.
    keys: RwLock<HashMap<Id, Key>>,
    on_disk: Mutex<OnDisk>,
    /// Whose keys are to go with the next rewriting: those who ask meanwhile share it.
    doomed: Mutex<BTreeSet<Id>>,
}

struct OnDisk {
    /// The generation in force.
    current: Generation,
    /// Generations of which files may still be there; none of them may be in force once this is empty.
    leftover: BTreeSet<u64>,
    /// Whether a generation above the current one may be found whole at the next start, as writing it failed near its
    /// end: then nothing is added to the current one.
    in_doubt: bool,
    /// The number of the next generation: above all that were ever seen.
    next: u64,
}

impl SubjectKeys {
    /// Opens the newest whole generation of keys in `files`, and makes the first where there is none. What is left of
    /// others is overwritten and removed. Blocks.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be read or written, [`Error::Seal`] if the key file does not open the entries.
    pub fn open(files: Arc<dyn Files>, random: Arc<dyn Random>) -> Result<Self, Error> {
        let found = generation::open_newest(files.as_ref(), random.as_ref())?;
        let mut on_disk =
            OnDisk { current: found.current, leftover: found.others, in_doubt: false, next: found.next };
        if let Err(error) = on_disk.clear(files.as_ref()) {
            // A start needs none of them: the next erasure, or the next start, tries again.
            tracing::error!(
                code = error.code(),
                error = &error as &dyn std::error::Error,
                "an earlier generation of the keys of contacts could not be removed"
            );
        }
        let keys = RwLock::new(found.keys);
        Ok(Self { files, random, keys, on_disk: Mutex::new(on_disk), doomed: Mutex::default() })
    }

    /// Makes a key for the subject if there is none, and comes back when it is on disk. Blocks.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Seal`].
    pub fn ensure(&self, subject: Id) -> Result<(), Error> {
        if self.has(subject) {
            return Ok(());
        }
        let mut on_disk = self.on_disk();
        if self.has(subject) {
            return Ok(());
        }
        if on_disk.in_doubt {
            on_disk.clear(self.files.as_ref())?;
        }
        let key = Zeroizing::new(random_array::<KEY_BYTES>(self.random.as_ref()));
        on_disk.current.append(subject, &key, self.random.as_ref())?;
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(subject, key);
        Ok(())
    }

    /// Destroys the keys of these subjects, and comes back when no file holds any of them. Those that have none are
    /// passed over. All others are written anew, under another key-encryption key; callers at the same time share that.
    /// Blocks, for about two seconds with a million subjects.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Seal`]: then each key is either there whole or gone, and the call is to be repeated.
    pub fn destroy(&self, subjects: &[Id]) -> Result<(), Error> {
        self.doomed().extend(subjects);
        let mut on_disk = self.on_disk();
        // Whoever was at work before may have taken them along; if that failed, they are here again.
        let doomed = std::mem::take(&mut *self.doomed());
        let destroyed = self.rewrite_without(&mut on_disk, &doomed);
        if destroyed.is_err() {
            self.doomed().extend(doomed);
        }
        destroyed
    }

    fn rewrite_without(&self, on_disk: &mut OnDisk, doomed: &BTreeSet<Id>) -> Result<(), Error> {
        let any = doomed.iter().any(|subject| self.has(*subject));
        if any {
            // Others read keys meanwhile; nobody adds any, as that takes `on_disk`.
            let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
            let kept = keys.iter().filter(|(subject, _)| !doomed.contains(subject));
            on_disk.replace(self.files.as_ref(), self.random.as_ref(), kept)?;
            drop(keys);
            let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            keys.retain(|subject, _| !doomed.contains(subject));
        }
        // Only now is it gone: until then an earlier generation opens it.
        on_disk.clear(self.files.as_ref())
    }

    /// Whether the subject has a key.
    pub fn has(&self, subject: Id) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).contains_key(&subject)
    }

    /// How many subjects have a key.
    pub fn count(&self) -> usize {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Seals `plain` for this place: nonce and ciphertext. The subject must have a key.
    ///
    /// # Errors
    /// [`Error::Seal`] if it has none.
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let key = self.key(place.subject)?;
        let nonce = random_array::<NONCE_LEN>(self.random.as_ref());
        let mut sealed = plain.to_vec();
        seal(&cipher(&key)?, nonce, &place.bound(), &mut sealed)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`SubjectKeys::seal`] sealed for the same place.
    ///
    /// # Errors
    /// [`Error::Seal`] if the subject has no key any more or the value was moved or changed.
    pub fn open_sealed(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let key = self.key(place.subject)?;
        open(&cipher(&key)?, &place.bound(), sealed).ok_or(Error::Seal("opening sealed data"))
    }

    /// Where keys and nonces come from.
    pub(crate) fn random(&self) -> &dyn Random {
        self.random.as_ref()
    }

    fn key(&self, subject: Id) -> Result<Key, Error> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(&subject).cloned().ok_or(Error::Seal("finding the subject's key"))
    }

    fn on_disk(&self) -> MutexGuard<'_, OnDisk> {
        self.on_disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doomed(&self) -> MutexGuard<'_, BTreeSet<Id>> {
        self.doomed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnDisk {
    /// Puts a new generation with these keys in force.
    fn replace<'a>(
        &mut self,
        files: &dyn Files,
        random: &dyn Random,
        keys: impl Iterator<Item = (&'a Id, &'a Key)>,
    ) -> Result<(), Error> {
        let number = self.next;
        self.next += 1;
        self.leftover.insert(number);
        let entries = match generation::write_entries(files, number, random, keys) {
            Ok(entries) => entries,
            Err(error) => {
                // Entries without a key file are nothing; a full disk needs their room.
                if wipe(files, number).is_ok() {
                    self.leftover.remove(&number);
                }
                return Err(error);
            }
        };
        self.in_doubt = true;
        let new = entries.put_in_force(files)?;
        self.in_doubt = false;
        self.leftover.remove(&number);
        let old = std::mem::replace(&mut self.current, new);
        self.leftover.insert(old.number);
        Ok(())
    }

    /// Overwrites and removes everything that is not in force.
    fn clear(&mut self, files: &dyn Files) -> Result<(), Error> {
        while let Some(number) = self.leftover.last().copied() {
            wipe(files, number)?;
            self.leftover.remove(&number);
        }
        self.in_doubt = false;
        Ok(())
    }
}

fn cipher(key: &[u8; KEY_BYTES]) -> Result<LessSafeKey, Error> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| Error::Seal("loading a sealing key"))
}

fn seal(cipher: &LessSafeKey, nonce: [u8; NONCE_LEN], bound: &[u8], data: &mut Vec<u8>) -> Result<(), Error> {
    cipher
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), data)
        .map_err(|_| Error::Seal("sealing data"))
}

fn open(cipher: &LessSafeKey, bound: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut data = Zeroizing::new(ciphertext.to_vec());
    let length =
        cipher.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(bound), &mut data).ok()?.len();
    data.truncate(length);
    Some(data)
}

#[cfg(test)]
mod tests;
