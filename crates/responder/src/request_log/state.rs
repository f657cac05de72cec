//! What is behind the queue: the segment that is written, the keys, the holds. Everything here may wait for the disk.

mod holds;
mod sweep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ingam_journal::files::Files;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::time::{Random, random_array};
use ingam_protocol::{Id, Timestamp};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::block::Block;
use super::config::Config;
use super::counts::hour_of;
use super::error::Error;
use super::hold::OpenHold;
use super::keys::{Contents, Ending, KEYS_FILE, Keys, Kind, Slot, State as KeyState};
use super::noted::Entry;
use super::sealed::{Counts, FrameKind, Sealed, to_u64};

/// A segment goes so long before its time is over, so that it is gone when it is: a sweep comes every second, and a record
/// can be older than the one that began its segment by as long as it waited.
const EARLY: Duration = Duration::from_secs(60);
/// Holds get what they need of a segment so long before it goes.
const COPIED_BEFORE: Duration = Duration::from_secs(60 * 60);
/// A block is written once it has so many bytes, or is so old.
const BLOCK_BYTES: usize = 256 << 10;
const BLOCK_AGE: Duration = Duration::from_secs(5);
/// A block that cannot be written takes no more records than this.
const BLOCK_BYTES_MAX: usize = 512 << 10;
/// By how much the wall clock may fall behind before it counts as put back.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);
/// How often the time is noted.
const SEEN_EVERY: Duration = Duration::from_secs(60);

/// The segment that is written to.
struct Current {
    place: usize,
    hour: u64,
    sealed: Sealed,
    contents: Contents,
}

/// Everything behind the queue.
pub(super) struct State {
    files: Arc<dyn Files>,
    random: Arc<dyn Random>,

    keep: Duration,
    bytes_max: u64,

    keys: Keys,
    current: Option<Current>,
    block: Block,
    /// How many requests came and are in no segment, since the last frame.
    unwritten: u64,
    pub(super) holds: BTreeMap<Id, OpenHold>,
    /// How many bytes segments and holds have.
    pub(super) bytes: u64,
    /// The wall clock, and the clock that never jumps, at one moment.
    mark: (Timestamp, Instant),
}

impl State {
    /// Opens the folder. What no key opens goes.
    pub(super) fn open(
        files: Arc<dyn Files>,
        random: Arc<dyn Random>,
        config: &Config,
        issuers: &[IssuerName],
        now: Timestamp,
    ) -> Result<Self, Error> {
        let keys = Keys::open(files.clone())?;
        let mut state = Self {
            files,
            random,
            keep: config.keep(),
            bytes_max: config.bytes_max,
            block: Block::new(issuers),
            keys,
            current: None,
            unwritten: 0,
            holds: BTreeMap::new(),
            bytes: 0,
            mark: (now, Instant::now()),
        };
        let behind = state.keys.seen().since(now);
        if behind > CLOCK_TOLERANCE {
            state.keys.bring_forward(behind)?;
            // So that the next start does not do it again.
            state.keys.see(now)?;
        }
        state.remove_orphans()?;
        state.load_holds(now)?;
        state.shorten()?;
        Ok(state)
    }

    /// Removes files without a key, and the keys of segments without a file.
    fn remove_orphans(&mut self) -> Result<(), Error> {
        let doing = "looking into the folder of the request log";
        let names = self.files.list().map_err(Error::file(doing))?;
        let live: BTreeMap<String, usize> = self
            .keys
            .iter()
            .filter(|(_, slot)| matches!(slot.state, KeyState::Live(..)))
            .map(|(place, slot)| (file_name(slot), place))
            .collect();
        let mut has_changed = false;
        for name in names.iter().filter(|name| *name != KEYS_FILE && !live.contains_key(*name)) {
            self.files.remove(name).map_err(Error::file("removing what no key opens"))?;
            has_changed = true;
        }
        if has_changed {
            self.files.sync_directory().map_err(Error::file("removing what no key opens"))?;
        }
        for (name, place) in live {
            if names.contains(&name) {
                let file = self.files.open(&name).map_err(Error::file(doing))?;
                self.bytes += file.length().map_err(Error::file(doing))?;
            } else {
                // A crash came between key and file.
                self.destroy(place, Ending::Useless, self.mark.0)?;
            }
        }
        Ok(())
    }

    fn load_holds(&mut self, now: Timestamp) -> Result<(), Error> {
        for (place, slot) in self.live(Kind::Hold) {
            match OpenHold::load(self.sealed(&slot)?)? {
                Some(open) => drop(self.holds.insert(slot.id, open)),
                // A crash came before it was written what it is for.
                None => self.destroy(place, Ending::Useless, now)?,
            }
        }
        Ok(())
    }

    /// If the configuration has a shorter time now, segments that are there have it, too.
    fn shorten(&mut self) -> Result<(), Error> {
        for (place, slot) in self.live(Kind::Segment) {
            let destroy_by = self.destroy_by(slot.first);
            if destroy_by < slot.destroy_by {
                self.keys.update(place, Slot { destroy_by, ..slot })?;
            }
        }
        Ok(())
    }

    fn destroy_by(&self, first: Timestamp) -> Timestamp {
        first.plus(self.keep.saturating_sub(EARLY))
    }

    /// The live keys of a kind, those first that go first.
    fn live(&self, kind: Kind) -> Vec<(usize, Slot)> {
        let is_it = |slot: &Slot| slot.kind == kind && matches!(slot.state, KeyState::Live(..));
        let mut live: Vec<(usize, Slot)> = self
            .keys
            .iter()
            .filter(|(_, slot)| is_it(slot))
            .map(|(place, slot)| (place, slot.clone()))
            .collect();
        live.sort_by_key(|(_, slot)| (slot.destroy_by, slot.first, slot.id));
        live
    }

    /// The file of a live key, from its beginning.
    fn sealed(&self, slot: &Slot) -> Result<Sealed, Error> {
        match &slot.state {
            KeyState::Live(key, _) => {
                Sealed::open(self.files.as_ref(), &file_name(slot), slot.id, key.clone())
            }
            KeyState::Destroyed(_) => Err(Error::Damaged("a key of the request log", "it is destroyed")),
        }
    }

    /// Whether more fits.
    fn check_room(&self, more: usize) -> Result<(), Error> {
        if self.bytes.saturating_add(to_u64(more)) > self.bytes_max { Err(Error::Full) } else { Ok(()) }
    }

    /// Takes a record in. If a full block cannot be written, it is lost, and that is counted.
    pub(super) fn take(&mut self, entry: &Entry) -> Result<(), Error> {
        let is_other_hour = self.block.first.is_some_and(|first| hour_of(first) != hour_of(entry.at));
        let written = match is_other_hour || self.block.bytes().len() >= BLOCK_BYTES {
            true => self.write_block(),
            false => Ok(()),
        };
        if written.is_err() && (is_other_hour || self.block.bytes().len() >= BLOCK_BYTES_MAX) {
            self.unwritten += u64::from(entry.weight);
            return written;
        }
        self.block.push(entry);
        written
    }

    /// Counts requests that are in no record.
    pub(super) fn miss(&mut self, requests: u64) {
        self.unwritten += requests;
    }

    /// How many requests are in no record since the last frame.
    pub(super) fn unwritten(&self) -> u64 {
        self.unwritten
    }

    /// Writes the block if it is old enough, or whatever is in it.
    pub(super) fn write_due(&mut self, now: Timestamp, all: bool) -> Result<(), Error> {
        match self.block.first {
            // It has waited for room for as long as it might have been kept.
            Some(first) if self.destroy_by(first) <= now => {
                self.unwritten += self.block.requests;
                self.block.clear();
                Ok(())
            }
            Some(first) if all || hour_of(first) != hour_of(now) || now.since(first) >= BLOCK_AGE => {
                self.write_block()
            }
            _ => Ok(()),
        }
    }

    fn write_block(&mut self) -> Result<(), Error> {
        let Some(first) = self.block.first else { return Ok(()) };
        self.check_room(self.block.bytes().len())?;
        let hour = hour_of(first);
        if self.current.as_ref().is_some_and(|current| current.hour != hour) {
            self.close_segment()?;
        }
        if self.current.is_none() {
            self.current = Some(self.begin_segment(first)?);
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        let (records, requests) = (self.block.records, self.block.requests);
        let counts = Counts { records, requests, dropped: self.unwritten };
        let before = current.sealed.bytes();
        current.sealed.append(FrameKind::Records, counts, self.block.bytes(), self.random.as_ref())?;
        current.contents.add(counts);
        self.bytes += current.sealed.bytes() - before;
        self.unwritten = 0;
        self.block.clear();
        Ok(())
    }

    fn begin_segment(&mut self, first: Timestamp) -> Result<Current, Error> {
        let (id, destroy_by) = (Id::new(first, self.random.as_ref()), self.destroy_by(first));
        let (place, sealed) = self.make(Kind::Segment, id, first, destroy_by)?;
        Ok(Current { place, hour: hour_of(first), sealed, contents: Contents::default() })
    }

    /// Makes a key, then its file.
    fn make(
        &mut self,
        kind: Kind,
        id: Id,
        first: Timestamp,
        destroy_by: Timestamp,
    ) -> Result<(usize, Sealed), Error> {
        let key = Zeroizing::new(random_array::<32>(self.random.as_ref()));
        let slot = Slot { kind, id, first, destroy_by, state: KeyState::Live(key.clone(), None) };
        let name = file_name(&slot);
        let place = self.keys.add(slot)?;
        match Sealed::create(self.files.as_ref(), &name, id, first, key) {
            Ok(sealed) => {
                self.bytes += sealed.bytes();
                Ok((place, sealed))
            }
            Err(error) => {
                // Nothing lies under it: no receipt is owed.
                let _ = self.files.remove(&name);
                self.keys.clear(place)?;
                Err(error)
            }
        }
    }

    /// Ends the segment that is written to, and notes how much is in it.
    pub(super) fn close_segment(&mut self) -> Result<(), Error> {
        let Some(current) = self.current.take() else { return Ok(()) };
        let Some(slot) = self.keys.slot(current.place).cloned() else { return Ok(()) };
        let KeyState::Live(key, _) = &slot.state else { return Ok(()) };
        let state = KeyState::Live(key.clone(), Some(current.contents));
        self.keys.update(current.place, Slot { state, ..slot })
    }

    /// The first record of each segment, and when that goes; those first that go first.
    pub(super) fn segments(&self) -> Vec<(Timestamp, Timestamp)> {
        self.live(Kind::Segment).into_iter().map(|(_, slot)| (slot.first, slot.destroy_by)).collect()
    }
}

fn file_name(slot: &Slot) -> String {
    match slot.kind {
        Kind::Segment => format!("{}.requests", slot.id),
        Kind::Hold => format!("{}.held", slot.id),
    }
}
