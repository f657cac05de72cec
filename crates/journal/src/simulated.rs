//! A disk in memory that tests can break: its power can be cut, its operations can fail, it can be full.
//!
//! It promises what POSIX promises and nothing more: what was not synced may be there or not, in any combination, and
//! a write may be there in part. Public, as the tests of other crates need it too.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ingam_protocol::time::{Random, random_array};

use crate::files::{File, Files, check_name};

/// The disk. A clone is another way to the same one: tests keep one clone and give the other to what they break.
#[derive(Clone, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Counts the power cuts; a handle of an earlier generation belongs to a process that is dead.
    generation: u64,
    /// What a look at the directory shows.
    names: BTreeMap<String, u64>,
    /// What of it outlives a power cut for certain.
    names_synced: BTreeMap<String, u64>,
    contents: BTreeMap<u64, Contents>,
    next_number: u64,
    operations: u64,
    fault: Option<Fault>,
    room: Option<u64>,
    free: Option<u64>,
}

/// One file, whatever its name is now.
#[derive(Default)]
struct Contents {
    /// What a read shows.
    now: Vec<u8>,
    /// What outlives a power cut for certain, before `changes`.
    synced: Vec<u8>,
    changes: Vec<(Change, Fate)>,
}

enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLength(usize),
}

/// What a power cut does with a change.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Not synced yet: may go or stay.
    Pending,
    /// A sync failed over it: may go or stay, and no later sync makes it certain.
    Doubtful,
    /// Synced, but kept in the list behind something doubtful.
    Certain,
}

struct Fault {
    /// The number of the operation that fails.
    at: u64,
    kind: io::ErrorKind,
    /// Whether every later operation fails too.
    onward: bool,
}

impl SimulatedDisk {
    /// An empty disk that works.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations were asked of the disk and its files so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Lets the operation after the next `count` ones fail with `kind`, and only that one. A write that fails leaves
    /// half of its bytes; a sync that fails leaves everything it was about in doubt for ever.
    pub fn fail_after(&self, count: u64, kind: io::ErrorKind) {
        let mut state = self.lock();
        state.fault = Some(Fault { at: state.operations + count, kind, onward: false });
    }

    /// Lets everything after the next `count` operations fail: the power goes at that point. To be followed by
    /// [`SimulatedDisk::power_cut`].
    pub fn stop_after(&self, count: u64) {
        let mut state = self.lock();
        state.fault = Some(Fault { at: state.operations + count, kind: io::ErrorKind::Other, onward: true });
    }

    /// Ends every fault that was asked for.
    pub fn heal(&self) {
        self.lock().fault = None;
    }

    /// Limits what all files together may hold, in bytes; beyond it writes fail with
    /// [`io::ErrorKind::StorageFull`]. `None` is no limit.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.lock().room = bytes;
    }

    /// What the disk says is free, whatever it holds; `None` is that it does not know.
    pub fn set_free(&self, bytes: Option<u64>) {
        self.lock().free = bytes;
    }

    /// Cuts the power and brings it back. Of what was not synced any subset survives, writes in part too; every handle
    /// given out before fails from now on, and faults asked for are over.
    pub fn power_cut(&self, random: &dyn Random) {
        let mut state = self.lock();
        state.generation += 1;
        state.fault = None;
        // Whole runs of "nothing reached the disk" and "everything did" are as telling as a mixture.
        let [mood] = random_array(random);
        let survives = |random: &dyn Random| match mood % 4 {
            0 => false,
            1 => true,
            _ => random_array::<1>(random) < [128],
        };
        for contents in state.contents.values_mut() {
            contents.settle(random, &survives);
        }
        let all: BTreeSet<String> = state.names.keys().chain(state.names_synced.keys()).cloned().collect();
        let mut names = BTreeMap::new();
        for name in all {
            let source = if survives(random) { &state.names } else { &state.names_synced };
            if let Some(number) = source.get(&name) {
                names.insert(name, *number);
            }
        }
        state.contents.retain(|number, _| names.values().any(|kept| kept == number));
        state.names_synced = names.clone();
        state.names = names;
    }

    /// The bytes of a file as a read would show them; `None` if there is no such file. Counts as no operation.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        let number = state.names.get(name)?;
        state.contents.get(number).map(|contents| contents.now.clone())
    }

    /// Puts a file of these bytes there, synced, in place of what there was under that name: for tests that damage a
    /// file by hand. Open handles see the new bytes. Counts as no operation.
    pub fn set_contents(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.lock();
        let number = match state.names.get(name) {
            Some(number) => *number,
            None => state.add(name),
        };
        state.names_synced.insert(name.to_owned(), number);
        state.contents.insert(number, Contents { now: bytes.clone(), synced: bytes, changes: Vec::new() });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, state: &State, number: u64) -> Arc<dyn File> {
        Arc::new(SimulatedFile { disk: self.clone(), number, generation: state.generation })
    }
}

impl std::fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("SimulatedDisk").field("names", &state.names).finish_non_exhaustive()
    }
}

impl State {
    /// Counts an operation and says whether it is one that has to fail.
    fn operation(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        match &self.fault {
            Some(fault) if fault.at == number || (fault.onward && fault.at < number) => {
                Err(io::Error::new(fault.kind, "a fault that was asked for"))
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, name: &str) -> u64 {
        self.next_number += 1;
        self.names.insert(name.to_owned(), self.next_number);
        self.contents.insert(self.next_number, Contents::default());
        self.next_number
    }

    /// Whether the file may grow to `length` bytes.
    fn has_room(&self, number: u64, length: usize) -> bool {
        let others = self.names.values().filter(|other| **other != number);
        let others: usize =
            others.filter_map(|other| self.contents.get(other)).map(|file| file.now.len()).sum();
        self.room.is_none_or(|room| u64::try_from(others + length).is_ok_and(|bytes| bytes <= room))
    }
}

impl Contents {
    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change, None);
        self.changes.push((change, Fate::Pending));
    }

    fn sync(&mut self) {
        for (_, fate) in &mut self.changes {
            if *fate == Fate::Pending {
                *fate = Fate::Certain;
            }
        }
        // Nothing doubtful in front: what is certain need not be remembered change by change.
        let certain = self.changes.iter().take_while(|(_, fate)| *fate == Fate::Certain).count();
        for (change, _) in self.changes.drain(..certain) {
            apply(&mut self.synced, &change, None);
        }
    }

    /// Decides what is left after a power cut.
    fn settle(&mut self, random: &dyn Random, survives: &dyn Fn(&dyn Random) -> bool) {
        for (change, fate) in self.changes.drain(..) {
            if fate == Fate::Certain || survives(random) {
                let torn = fate != Fate::Certain && random_array::<1>(random) < [64];
                let part = u64::from_le_bytes(random_array(random));
                apply(&mut self.synced, &change, torn.then_some(part));
            }
        }
        self.now = self.synced.clone();
    }
}

/// Does the change; with `torn`, a write only up to a place that the number picks.
fn apply(bytes: &mut Vec<u8>, change: &Change, torn: Option<u64>) {
    match change {
        Change::SetLength(length) => bytes.resize(*length, 0),
        Change::Write { offset, bytes: written } => {
            let length = u64::try_from(written.len()).unwrap_or(u64::MAX);
            let kept = torn.map_or(written.len(), |part| usize::try_from(part % (length + 1)).unwrap_or(0));
            let end = offset + kept;
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            if let (Some(target), Some(source)) = (bytes.get_mut(*offset..end), written.get(..kept)) {
                target.copy_from_slice(source);
            }
        }
    }
}

impl Files for SimulatedDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        check_name(name)?;
        let mut state = self.lock();
        state.operation()?;
        let number = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(&state, number))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        check_name(name)?;
        let mut state = self.lock();
        state.operation()?;
        let number = match state.names.get(name) {
            Some(number) => *number,
            None => state.add(name),
        };
        Ok(self.handle(&state, number))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        state.operation()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        let mut state = self.lock();
        state.operation()?;
        state.names.remove(name).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.operation()?;
        state.names_synced = state.names.clone();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(self.lock().free)
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    number: u64,
    generation: u64,
}

impl SimulatedFile {
    /// Runs `work` on the file's contents; on a fault that was asked for, `failed` first.
    fn with<T>(
        &self,
        failed: impl FnOnce(&mut Contents),
        work: impl FnOnce(&mut Contents) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.disk.lock();
        if self.generation != state.generation {
            return Err(io::Error::other("the handle is from before the power cut"));
        }
        let verdict = state.operation();
        let contents = state.contents.get_mut(&self.number).ok_or(io::ErrorKind::NotFound)?;
        if let Err(fault) = verdict {
            failed(contents);
            return Err(fault);
        }
        work(contents)
    }

    fn check_room(&self, length: usize) -> io::Result<()> {
        let state = self.disk.lock();
        let now = state.contents.get(&self.number).map_or(0, |contents| contents.now.len());
        if length > now && !state.has_room(self.number, length) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl File for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        self.with(|_| (), |contents| u64::try_from(contents.now.len()).map_err(io::Error::other))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = position(offset)?;
        self.with(
            |_| (),
            |contents| {
                let end = start.checked_add(buffer.len()).ok_or(io::ErrorKind::InvalidInput)?;
                let bytes = contents.now.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(bytes);
                Ok(())
            },
        )
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = position(offset)?;
        let half = bytes.split_at(bytes.len() / 2).0.to_vec();
        let room = self.check_room(offset + bytes.len());
        self.with(
            |contents| contents.change(Change::Write { offset, bytes: half }),
            |contents| {
                room?;
                contents.change(Change::Write { offset, bytes: bytes.to_vec() });
                Ok(())
            },
        )
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let length = position(length)?;
        let room = self.check_room(length);
        self.with(
            |_| (),
            |contents| {
                room?;
                contents.change(Change::SetLength(length));
                Ok(())
            },
        )
    }

    fn sync(&self) -> io::Result<()> {
        self.with(
            |contents| {
                for (_, fate) in &mut contents.changes {
                    if *fate == Fate::Pending {
                        *fate = Fate::Doubtful;
                    }
                }
            },
            |contents| {
                contents.sync();
                Ok(())
            },
        )
    }
}
