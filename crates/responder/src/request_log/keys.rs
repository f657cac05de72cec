//! The keys of segments and holds, in one file that never leaves the folder.
//!
//! ```text
//! head, 256 bytes: magic 8 | newest time seen, ms u64 | ... | checksum 16
//! slots of 256 bytes, each empty (zeros) or
//!   version u8 = 1 | kind u8 | state u8 | ending u8 | 0 4 | id 16 | first ms u64 | destroy by ms u64 | key 32 |
//!   records u64 | requests u64 | dropped u64 | receipt id 16 | destroyed ms u64 | ... | checksum 16
//! ```
//!
//! A key is destroyed by writing zeros over it in its place: that takes no room on a full disk, and leaves no older copy of
//! the file behind, as writing a new one would. A slot lies within one sector, so a power cut leaves the old one or the new
//! one; what is neither counts as destroyed, and is zeros after the next start.

use std::sync::Arc;
use std::time::Duration;

use ingam_journal::files::{File, Files};
use ingam_protocol::{Id, Timestamp};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::error::Error;
use super::sealed::Counts;

/// Its name in the folder.
pub(super) const KEYS_FILE: &str = "keys";
const MAGIC: &[u8; 8] = b"INGAMRQK";
const VERSION: u8 = 1;
pub(super) const SLOT_BYTES: usize = 256;
const CHECKSUM_BYTES: usize = 16;
/// At most so many keys: an hour's segment each, for years, or a process that starts again and again.
const SLOTS_MAX: usize = 1 << 16;

/// What a key opens. The numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Segment = 1,
    Hold = 2,
}

/// How a hold or a segment came to its end. The numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ending {
    /// Its time was over.
    Time = 1,
    /// Somebody closed it.
    Closed = 2,
    /// It was of no use: its file was never there, or no segment.
    Useless = 3,
}

/// What a receipt tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Destroyed {
    pub(super) receipt: Id,
    pub(super) at: Timestamp,
    pub(super) ending: Ending,
    pub(super) contents: Contents,
}

/// How much a file had in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// How many records there were, and for how many requests they stood.
    pub(super) records: u64,
    pub(super) requests: u64,
    /// How many requests more came in its time, and were not in it.
    pub(super) dropped: u64,
}

impl Contents {
    pub(super) fn add(&mut self, counts: Counts) {
        self.records += u64::from(counts.records);
        self.requests += counts.requests;
        self.dropped += counts.dropped;
    }
}

/// One key, or what is left of it until its receipt is on record.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) kind: Kind,
    pub(super) id: Id,
    /// The time of the first record; of a hold, when it was opened.
    pub(super) first: Timestamp,
    /// When the key goes.
    pub(super) destroy_by: Timestamp,
    pub(super) state: State,
}

#[derive(Clone)]
pub(super) enum State {
    /// The key, and how much lies under it once nothing is added any more.
    Live(Zeroizing<[u8; 32]>, Option<Contents>),
    Destroyed(Destroyed),
}

impl Slot {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(SLOT_BYTES));
        let (state, ending) = match &self.state {
            State::Live(_, None) => (1, 0),
            State::Live(_, Some(_)) => (1, 1),
            State::Destroyed(gone) => (2, gone.ending as u8),
        };
        bytes.extend_from_slice(&[VERSION, self.kind as u8, state, ending, 0, 0, 0, 0]);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.first.unix_ms().to_be_bytes());
        bytes.extend_from_slice(&self.destroy_by.unix_ms().to_be_bytes());
        let (key, contents) = match &self.state {
            State::Live(key, contents) => (key.as_slice(), contents.unwrap_or_default()),
            State::Destroyed(gone) => (&[0; 32][..], gone.contents),
        };
        bytes.extend_from_slice(key);
        for number in [contents.records, contents.requests, contents.dropped] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        if let State::Destroyed(gone) = &self.state {
            bytes.extend_from_slice(gone.receipt.as_bytes());
            bytes.extend_from_slice(&gone.at.unix_ms().to_be_bytes());
        }
        seal_slot(&mut bytes);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Fields(checked(bytes)?);
        let [version, kind, state, ending, ..] = rest.array::<8>()?;
        let id = Id::from_bytes(rest.array()?);
        let (first, destroy_by) = (rest.time()?, rest.time()?);
        let key = Zeroizing::new(rest.array::<32>()?);
        let kind = [Kind::Segment, Kind::Hold].into_iter().find(|known| *known as u8 == kind)?;
        let contents =
            Contents { records: rest.number()?, requests: rest.number()?, dropped: rest.number()? };
        let endings = [Ending::Time, Ending::Closed, Ending::Useless];
        let state = match (version, state) {
            (VERSION, 1) => State::Live(key, (ending == 1).then_some(contents)),
            (VERSION, 2) => State::Destroyed(Destroyed {
                receipt: Id::from_bytes(rest.array()?),
                at: rest.time()?,
                ending: endings.into_iter().find(|known| *known as u8 == ending)?,
                contents,
            }),
            _ => return None,
        };
        Some(Self { kind, id, first, destroy_by, state })
    }
}

/// Fills up to a slot, the checksum last.
fn seal_slot(bytes: &mut Vec<u8>) {
    bytes.resize(SLOT_BYTES - CHECKSUM_BYTES, 0);
    let checksum = digest(&SHA256, bytes);
    bytes.extend(checksum.as_ref().iter().take(CHECKSUM_BYTES));
}

/// The bytes before a checksum that is right.
fn checked(slot: &[u8]) -> Option<&[u8]> {
    let (bytes, checksum) = slot.split_at_checked(SLOT_BYTES - CHECKSUM_BYTES)?;
    digest(&SHA256, bytes).as_ref().starts_with(checksum).then_some(bytes)
}

/// A cursor over fields of a fixed size.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn time(&mut self) -> Option<Timestamp> {
        self.number().map(Timestamp::from_unix_ms)
    }
}

/// The open file.
pub(super) struct Keys {
    files: Arc<dyn Files>,
    /// `None` until the first key is made.
    file: Option<Arc<dyn File>>,
    /// As on disk; an empty one is free.
    slots: Vec<Option<Slot>>,
    /// The newest time that was seen, as on disk.
    seen: Timestamp,
}

impl Keys {
    /// Opens the file, if there is one. What is damaged in it is destroyed.
    pub(super) fn open(files: Arc<dyn Files>) -> Result<Self, Error> {
        let doing = "opening the keys of the request log";
        let mut keys = Self { files, file: None, slots: Vec::new(), seen: Timestamp::default() };
        let names = keys.files.list().map_err(Error::file(doing))?;
        if !names.iter().any(|name| name == KEYS_FILE) {
            return Ok(keys);
        }
        let file = keys.files.open(KEYS_FILE).map_err(Error::file(doing))?;
        let length = file.length().map_err(Error::file(doing))?;
        let slots = usize::try_from(length).unwrap_or(usize::MAX) / SLOT_BYTES;
        keys.file = Some(file.clone());
        let mut buffer = Zeroizing::new([0; SLOT_BYTES]);
        for place in 0..slots.min(SLOTS_MAX + 1) {
            file.read_at(offset(place), buffer.as_mut_slice()).map_err(Error::file(doing))?;
            if place == 0 {
                keys.seen = read_head(buffer.as_slice())?;
                continue;
            }
            if buffer.first().is_some_and(|version| *version > VERSION)
                && checked(buffer.as_slice()).is_some()
            {
                return Err(Error::Newer("the request log's file of keys"));
            }
            let slot = Slot::decode(buffer.as_slice());
            if slot.is_none() && buffer.iter().any(|byte| *byte != 0) {
                keys.write(place, &[0; SLOT_BYTES])?;
            }
            keys.slots.push(slot);
        }
        // What is behind the last whole slot was never a key that anything lies under.
        file.set_length(offset(keys.slots.len() + 1)).map_err(Error::file(doing))?;
        Ok(keys)
    }

    /// Each slot that is taken, with its place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(place, slot)| Some((place, slot.as_ref()?)))
    }

    pub(super) fn slot(&self, place: usize) -> Option<&Slot> {
        self.slots.get(place)?.as_ref()
    }

    /// The place of the live key of this name.
    pub(super) fn find(&self, kind: Kind, id: Id) -> Option<usize> {
        let is_it = |slot: &Slot| slot.kind == kind && slot.id == id && matches!(slot.state, State::Live(..));
        self.iter().find(|(_, slot)| is_it(slot)).map(|(place, _)| place)
    }

    /// Puts a key in; it is on disk when this returns.
    pub(super) fn add(&mut self, slot: Slot) -> Result<usize, Error> {
        self.ensure_file()?;
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        if free >= SLOTS_MAX {
            return Err(Error::Refused(
                "the request log has too many keys: look why none is destroyed".to_owned(),
            ));
        }
        self.write(free + 1, &slot.encode())?;
        match self.slots.get_mut(free) {
            Some(place) => *place = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        Ok(free)
    }

    /// Changes a slot; it is on disk when this returns.
    pub(super) fn update(&mut self, place: usize, slot: Slot) -> Result<(), Error> {
        self.write(place + 1, &slot.encode())?;
        if let Some(known) = self.slots.get_mut(place) {
            *known = Some(slot);
        }
        Ok(())
    }

    /// Frees a slot: zeros are on disk when this returns.
    pub(super) fn clear(&mut self, place: usize) -> Result<(), Error> {
        self.write(place + 1, &[0; SLOT_BYTES])?;
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = None;
        }
        Ok(())
    }

    /// The newest time that was noted.
    pub(super) fn seen(&self) -> Timestamp {
        self.seen
    }

    /// Notes the time, if there is anything to keep it for.
    pub(super) fn see(&mut self, now: Timestamp) -> Result<(), Error> {
        if self.file.is_some() {
            self.write(0, &head(now))?;
            self.seen = now;
        }
        Ok(())
    }

    /// Everything goes so much earlier.
    pub(super) fn bring_forward(&mut self, by: Duration) -> Result<(), Error> {
        for place in 0..self.slots.len() {
            if let Some(slot) = self.slot(place).cloned() {
                self.update(place, Slot { destroy_by: slot.destroy_by.minus(by), ..slot })?;
            }
        }
        Ok(())
    }

    fn ensure_file(&mut self) -> Result<(), Error> {
        if self.file.is_some() {
            return Ok(());
        }
        let doing = "making the file of the request log's keys";
        self.file = Some(self.files.create(KEYS_FILE).map_err(Error::file(doing))?);
        let written = self.write(0, &head(self.seen));
        let synced = written.and_then(|()| self.files.sync_directory().map_err(Error::file(doing)));
        synced.inspect_err(|_| self.file = None)
    }

    fn write(&self, place: usize, bytes: &[u8]) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        let doing = "writing the keys of the request log";
        file.write_at(offset(place), bytes).map_err(Error::file(doing))?;
        file.sync().map_err(Error::file(doing))
    }
}

fn offset(place: usize) -> u64 {
    u64::try_from(place * SLOT_BYTES).unwrap_or(u64::MAX)
}

fn head(seen: Timestamp) -> Vec<u8> {
    let mut bytes = [MAGIC.as_slice(), &seen.unix_ms().to_be_bytes()].concat();
    seal_slot(&mut bytes);
    bytes
}

/// The newest time that was seen. A head that a power cut tore says nothing.
fn read_head(bytes: &[u8]) -> Result<Timestamp, Error> {
    let Some(mut rest) = checked(bytes).map(Fields) else { return Ok(Timestamp::default()) };
    match (rest.array::<8>(), rest.time()) {
        (Some(magic), Some(seen)) if magic == *MAGIC => Ok(seen),
        _ => Err(Error::Damaged("the request log's file of keys", "it does not begin as it should")),
    }
}

#[cfg(test)]
mod tests {
    use ingam_journal::simulated::SimulatedDisk;

    use super::*;

    fn slot(number: u8) -> Slot {
        Slot {
            kind: Kind::Segment,
            id: Id::from_bytes([number; 16]),
            first: Timestamp::from_unix_s(100),
            destroy_by: Timestamp::from_unix_s(1000),
            state: State::Live(Zeroizing::new([number; 32]), None),
        }
    }

    fn open(disk: &SimulatedDisk) -> Keys {
        Keys::open(Arc::new(disk.clone())).unwrap()
    }

    fn has(disk: &SimulatedDisk, number: u8) -> bool {
        disk.contents(KEYS_FILE).unwrap().windows(20).any(|window| window == [number; 20])
    }

    #[test]
    fn keys_are_there_again_and_destroyed_ones_are_not() {
        let disk = SimulatedDisk::new();
        let mut keys = open(&disk);
        assert!(disk.contents(KEYS_FILE).is_none(), "nobody needs it yet");
        let places: Vec<usize> = (1..4).map(|number| keys.add(slot(number)).unwrap()).collect();
        keys.see(Timestamp::from_unix_s(500)).unwrap();
        let gone = Destroyed {
            receipt: Id::from_bytes([9; 16]),
            at: Timestamp::from_unix_s(700),
            ending: Ending::Time,
            contents: Contents { records: 1, requests: 2, dropped: 3 },
        };
        keys.update(places[1], Slot { state: State::Destroyed(gone), ..slot(2) }).unwrap();
        let mut keys = open(&disk);
        assert_eq!(keys.seen(), Timestamp::from_unix_s(500));
        assert!(matches!(&keys.slot(1).unwrap().state, State::Destroyed(found) if *found == gone));
        assert!(has(&disk, 1) && !has(&disk, 2) && has(&disk, 3));
        keys.clear(1).unwrap();
        assert_eq!(keys.add(slot(4)).unwrap(), 1, "a free place is taken first");
        assert_eq!(keys.find(Kind::Segment, Id::from_bytes([4; 16])), Some(1));
        keys.bring_forward(Duration::from_secs(400)).unwrap();
        assert_eq!(open(&disk).slot(0).unwrap().destroy_by, Timestamp::from_unix_s(600));
    }

    #[test]
    fn a_damaged_key_is_none_and_does_not_stay() {
        let disk = SimulatedDisk::new();
        let mut keys = open(&disk);
        for number in 1..3 {
            keys.add(slot(number)).unwrap();
        }
        let mut bytes = disk.contents(KEYS_FILE).unwrap();
        bytes[SLOT_BYTES + 10] ^= 1;
        bytes.extend_from_slice(&[5; 100]);
        disk.set_contents(KEYS_FILE, bytes);
        let keys = open(&disk);
        assert_eq!(keys.iter().count(), 1);
        assert!(!has(&disk, 1) && !has(&disk, 5) && has(&disk, 2));
    }

    #[test]
    fn a_key_is_destroyed_on_a_full_disk() {
        let disk = SimulatedDisk::new();
        let mut keys = open(&disk);
        keys.add(slot(1)).unwrap();
        disk.set_room(Some(0));
        assert!(keys.add(slot(2)).is_err());
        keys.clear(0).unwrap();
        assert!(!has(&disk, 1));
    }
}
