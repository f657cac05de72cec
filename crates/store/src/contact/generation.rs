//! The files of the subjects' keys, in generations: each destruction writes a new one and then overwrites the old.
//!
//! ```text
//! generation 0:  contact.key    the key-encryption key, 32 bytes      subjects    entries
//! generation N:  contact.key.N  magic 8 | N u64 | count u64 | key-encryption key 32 | SHA-256 of these 32
//!                subjects.N     entries; the first `count` were there from the beginning, others came since
//! an entry:      subject 16 | nonce 12 | the subject's key, sealed 48
//! ```
//!
//! The highest whole generation counts. One is whole once its key file is: that is written last, after its entries and
//! their name are on disk. Nothing is renamed, so that a power cut finds the old generation, or the new one, or both.
//! What does not count is overwritten with zeros, the key-encryption key first, and then removed.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use ingam_journal::files::{File, Files};
use ingam_protocol::Id;
use ingam_protocol::time::{Random, random_array};
use ring::aead::{LessSafeKey, NONCE_LEN};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::{KEY_BYTES, Key, cipher, open, seal};
use crate::error::Error;

const TAG_BYTES: usize = 16;
/// Subject, nonce, sealed key.
const ENTRY_BYTES: usize = 16 + NONCE_LEN + KEY_BYTES + TAG_BYTES;
const ENTRY: u64 = ENTRY_BYTES as u64;

const MAGIC: [u8; 8] = *b"ingamkek";
const DIGEST_BYTES: usize = 32;
const KEY_FILE_BYTES: usize = MAGIC.len() + 8 + 8 + KEY_BYTES + DIGEST_BYTES;

/// How many entries are read or written at once: about a megabyte.
const ENTRIES_AT_ONCE: usize = 14_000;

/// The generation whose files have no number in their names.
const FIRST: u64 = 0;

/// The entries of one generation, and what opens them.
pub(super) struct Generation {
    pub(super) number: u64,
    wrapping: LessSafeKey,
    entries: Arc<dyn File>,
    /// Where the next entry goes.
    end: u64,
}

/// What opening found.
pub(super) struct Newest {
    pub(super) current: Generation,
    pub(super) keys: HashMap<Id, Key>,
    /// Other generations that have left files.
    pub(super) others: BTreeSet<u64>,
    /// A number above all of them.
    pub(super) next: u64,
}

fn key_name(number: u64) -> String {
    if number == FIRST { "contact.key".to_owned() } else { format!("contact.key.{number}") }
}

fn entries_name(number: u64) -> String {
    if number == FIRST { "subjects".to_owned() } else { format!("subjects.{number}") }
}

/// The generation that a file is of, if it is of one.
fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_prefix("contact.key").or_else(|| name.strip_prefix("subjects"))?;
    if number.is_empty() {
        return Some(FIRST);
    }
    let digits = number.strip_prefix('.')?;
    // A number has one way to be written, and there is room above it.
    let number: u64 = digits.parse().ok().filter(|number| (1..u64::MAX).contains(number))?;
    (number.to_string() == digits).then_some(number)
}

fn failed(what: &str) -> impl Fn(io::Error) -> Error + use<> {
    let what = format!("{what} of contacts");
    move |cause| Error::File(what.clone(), cause)
}

/// Opens the highest whole generation, and makes the first where there is none.
pub(super) fn open_newest(files: &dyn Files, random: &dyn Random) -> Result<Newest, Error> {
    let names = files.list().map_err(failed("listing the keys"))?;
    let mut numbers: BTreeSet<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    let highest = numbers.last().copied().unwrap_or(FIRST);
    let mut whole = None;
    for number in numbers.iter().rev().copied().filter(|number| *number != FIRST) {
        if let Some((wrapping, count)) = read_key_file(files, number)? {
            whole = Some(open_entries(files, number, wrapping, count)?);
            break;
        }
    }
    let (current, keys) = match whole {
        Some(opened) => opened,
        None => open_first(files, random, highest == FIRST)?,
    };
    numbers.remove(&current.number);
    let next = highest.saturating_add(1);
    Ok(Newest { current, keys, others: numbers, next })
}

/// The key-encryption key of a generation and how many entries it began with; nothing unless its file is whole.
fn read_key_file(files: &dyn Files, number: u64) -> Result<Option<(Key, u64)>, Error> {
    let reading = failed("opening the key file");
    let file = match files.open(&key_name(number)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(reading(error)),
    };
    if file.length().map_err(&reading)? != KEY_FILE_BYTES as u64 {
        return Ok(None);
    }
    let mut bytes = Zeroizing::new([0; KEY_FILE_BYTES]);
    file.read_at(0, bytes.as_mut_slice()).map_err(&reading)?;
    let read = || {
        let (told, check) = bytes.split_last_chunk::<DIGEST_BYTES>()?;
        let rest = told.strip_prefix(&MAGIC)?;
        let (of, rest) = rest.split_first_chunk()?;
        let (count, key) = rest.split_first_chunk()?;
        let is_whole = digest(&SHA256, told).as_ref() == check && u64::from_be_bytes(*of) == number;
        let key = Zeroizing::new(<[u8; KEY_BYTES]>::try_from(key).ok()?);
        is_whole.then_some((key, u64::from_be_bytes(*count)))
    };
    Ok(read())
}

fn key_file(number: u64, count: u64, key: &Key) -> Zeroizing<Vec<u8>> {
    // With room for all of it: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES));
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(key.as_slice());
    let check = digest(&SHA256, &bytes);
    bytes.extend_from_slice(check.as_ref());
    bytes
}

/// The first generation, which is made where `may_be_made`.
fn open_first(
    files: &dyn Files,
    random: &dyn Random,
    may_be_made: bool,
) -> Result<(Generation, HashMap<Id, Key>), Error> {
    let key_of = failed("opening the key file");
    let entries_of = failed("opening the subjects' keys");
    let key_file = files.create(&key_name(FIRST)).map_err(&key_of)?;
    let file = files.create(&entries_name(FIRST)).map_err(&entries_of)?;
    let is_empty = file.length().map_err(&entries_of)? < ENTRY;
    let mut wrapping = Zeroizing::new([0; KEY_BYTES]);
    if is_empty && !may_be_made {
        return Err(Error::Seal(
            "opening the key file of contacts: there was a later one, and it is damaged: restore the folder contacts",
        ));
    } else if is_empty {
        // Nothing lies under the key yet: whatever a crash left of it is written anew.
        random.fill(wrapping.as_mut_slice());
        key_file.set_length(0).map_err(&key_of)?;
        key_file.write_at(0, wrapping.as_slice()).map_err(&key_of)?;
        key_file.sync().map_err(&key_of)?;
    } else if key_file.length().map_err(&key_of)? == KEY_BYTES as u64 {
        key_file.read_at(0, wrapping.as_mut_slice()).map_err(&key_of)?;
    } else {
        return Err(Error::Seal("opening the key file of contacts: it has not 32 bytes"));
    }
    files.sync_directory().map_err(failed("opening the directory"))?;
    open_entries(files, FIRST, wrapping, 0)
}

/// Reads the entries of a generation, at least `count`.
fn open_entries(
    files: &dyn Files,
    number: u64,
    wrapping: Key,
    count: u64,
) -> Result<(Generation, HashMap<Id, Key>), Error> {
    let reading = failed("opening the subjects' keys");
    let file = files.open(&entries_name(number)).map_err(&reading)?;
    let wrapping = cipher(&wrapping)?;
    // An entry cut short by a crash was never used: its key was given out only after the sync.
    let end = file.length().map_err(&reading)? / ENTRY * ENTRY;
    let mut keys = HashMap::with_capacity(usize::try_from(end / ENTRY).unwrap_or_default());
    let mut buffer = vec![0; ENTRY_BYTES * ENTRIES_AT_ONCE];
    let mut offset = 0;
    'reading: while offset < end {
        let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buffer.len());
        let some = buffer.get_mut(..length).unwrap_or_default();
        file.read_at(offset, some).map_err(&reading)?;
        for entry in some.chunks_exact(ENTRY_BYTES) {
            match unwrap_entry(&wrapping, entry) {
                Some((subject, key)) => keys.insert(subject, key),
                None if offset + ENTRY == end => break 'reading,
                None => {
                    return Err(Error::Seal(
                        "opening the subjects' keys: contact.key is not the one they were sealed with",
                    ));
                }
            };
            offset += ENTRY;
        }
    }
    if offset / ENTRY < count {
        return Err(Error::Seal("opening the subjects' keys: some are missing: restore the folder contacts"));
    }
    Ok((Generation { number, wrapping, entries: file, end: offset }, keys))
}

fn unwrap_entry(wrapping: &LessSafeKey, entry: &[u8]) -> Option<(Id, Key)> {
    let (subject, sealed) = entry.split_first_chunk::<16>()?;
    let plain = open(wrapping, subject, sealed)?;
    let key = plain.as_slice().try_into().ok()?;
    Some((Id::from_bytes(*subject), Zeroizing::new(key)))
}

fn wrap_entry(
    wrapping: &LessSafeKey,
    subject: Id,
    key: &Key,
    random: &dyn Random,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let nonce = random_array::<NONCE_LEN>(random);
    let mut wrapped = Vec::with_capacity(KEY_BYTES + TAG_BYTES);
    wrapped.extend_from_slice(key.as_slice());
    seal(wrapping, nonce, subject.as_bytes(), &mut wrapped)?;
    out.extend_from_slice(subject.as_bytes());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&wrapped);
    Ok(())
}

impl Generation {
    /// Adds an entry; back when it is on disk.
    pub(super) fn append(&mut self, subject: Id, key: &Key, random: &dyn Random) -> Result<(), Error> {
        let writing = |cause| Error::File("writing a subject's key".to_owned(), cause);
        let mut entry = Vec::with_capacity(ENTRY_BYTES);
        wrap_entry(&self.wrapping, subject, key, random, &mut entry)?;
        self.entries.write_at(self.end, &entry).map_err(writing)?;
        self.entries.sync().map_err(writing)?;
        self.end += ENTRY;
        Ok(())
    }
}

/// The entries of a generation that has no key file yet: nothing counts of it.
pub(super) struct Entries {
    generation: Generation,
    wrapping: Key,
}

/// Writes the entries of a new generation, under a new key-encryption key; back when they and their name are on disk.
pub(super) fn write_entries<'a>(
    files: &dyn Files,
    number: u64,
    random: &dyn Random,
    keys: impl Iterator<Item = (&'a Id, &'a Key)>,
) -> Result<Entries, Error> {
    let writing = failed("writing the keys anew that stay");
    let wrapping: Key = Zeroizing::new(random_array(random));
    let cipher = cipher(&wrapping)?;
    let file = files.create(&entries_name(number)).map_err(&writing)?;
    file.set_length(0).map_err(&writing)?;
    let mut buffer = Vec::with_capacity(ENTRY_BYTES * ENTRIES_AT_ONCE);
    let mut end = 0;
    for (subject, key) in keys {
        wrap_entry(&cipher, *subject, key, random, &mut buffer)?;
        if buffer.len() >= ENTRY_BYTES * ENTRIES_AT_ONCE {
            file.write_at(end, &buffer).map_err(&writing)?;
            end += buffer.len() as u64;
            buffer.clear();
        }
    }
    file.write_at(end, &buffer).map_err(&writing)?;
    end += buffer.len() as u64;
    file.sync().map_err(&writing)?;
    files.sync_directory().map_err(&writing)?;
    let generation = Generation { number, wrapping: cipher, entries: file, end };
    Ok(Entries { generation, wrapping })
}

impl Entries {
    /// Writes the key file: from its sync on, this generation is the one that counts.
    pub(super) fn put_in_force(self, files: &dyn Files) -> Result<Generation, Error> {
        let writing = failed("writing a new key file");
        let Self { generation, wrapping } = self;
        let bytes = key_file(generation.number, generation.end / ENTRY, &wrapping);
        let file = files.create(&key_name(generation.number)).map_err(&writing)?;
        file.set_length(0).map_err(&writing)?;
        file.write_at(0, &bytes).map_err(&writing)?;
        file.sync().map_err(&writing)?;
        files.sync_directory().map_err(&writing)?;
        Ok(generation)
    }
}

/// Overwrites the files of a generation and removes them; one that is not there is passed over.
pub(super) fn wipe(files: &dyn Files, number: u64) -> Result<(), Error> {
    let wiping = failed("removing earlier keys");
    // The key first: without it the entries say nothing.
    for name in [key_name(number), entries_name(number)] {
        let file = match files.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(wiping(error)),
        };
        let (zeros, end) = (vec![0; 1 << 20], file.length().map_err(&wiping)?);
        let mut offset = 0;
        while offset < end {
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX).min(zeros.len());
            file.write_at(offset, zeros.get(..length).unwrap_or_default()).map_err(&wiping)?;
            offset += length as u64;
        }
        file.sync().map_err(&wiping)?;
        drop(file);
        match files.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wiping(error)),
            _ => {}
        }
    }
    files.sync_directory().map_err(&wiping)
}
