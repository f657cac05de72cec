//! A disk in memory that tests can break: its power can be cut, its operations can fail, it can be full.
//!
//! It promises what POSIX promises and nothing more: what was not synced may be there or not, in any combination, and
//! a write may be there in part. Public, as the tests of other crates need it too.
//!
//! As [`Files`](crate::files::Files) it is one directory, as [`Folders`](crate::folders::Folders) it has others in it.
//! [`seeds`] says how often tests cut its power.

mod contents;
mod layers;
mod names;
mod seeds;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ingam_protocol::time::{Random, random_array};

use contents::Contents;
use names::{Names, Node, Place, ROOT};
pub use seeds::seeds;

/// The disk. A clone is another way to the same one: tests keep one clone and give the other to what they break.
#[derive(Clone, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Counts the power cuts; a handle of an earlier generation belongs to a process that is dead.
    generation: u64,
    names: Names,
    contents: BTreeMap<Node, Contents>,
    /// The number that was given last.
    last: Node,
    operations: u64,
    fault: Option<Fault>,
    room: Option<u64>,
    free: Option<u64>,
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
        let named = state.names.settle(random, &survives);
        state.contents.retain(|node, _| named.contains(node));
    }

    /// The bytes of a file as a read would show them; `None` if there is no such file. Counts as no operation.
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        let node = state.names.node(Path::new(path)).ok()?;
        state.contents.get(&node).map(|contents| contents.now.clone())
    }

    /// Puts a file of these bytes there, synced, in place of what there was under that name, and folders in front of it: for
    /// tests that damage a file by hand. Open handles see the new bytes. Counts as no operation.
    pub fn set_contents(&self, path: &str, bytes: Vec<u8>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (mut folder, mut parts) = (ROOT, path.split('/').filter(|part| !part.is_empty()).peekable());
        while let Some(name) = parts.next() {
            let place = Place { folder, name: name.to_owned() };
            let found = state.names.find(&place);
            match parts.peek() {
                Some(_) => folder = found.unwrap_or_else(|_| state.add_folder(place)),
                None => {
                    let node = found.unwrap_or_else(|_| state.add(place));
                    state.names.sync_all();
                    state.contents.insert(node, Contents::synced(bytes));
                    return;
                }
            }
        }
    }

    /// Every file by its path, from the root on, with its bytes. Counts as no operation.
    pub fn everything(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.lock();
        let (mut found, mut next) = (BTreeMap::new(), vec![(String::new(), ROOT)]);
        while let Some((path, folder)) = next.pop() {
            for (name, node) in state.names.list(folder).into_iter().flatten() {
                let path = format!("{path}{name}");
                match state.contents.get(node) {
                    Some(contents) => drop(found.insert(path, contents.now.clone())),
                    None => next.push((format!("{path}/"), *node)),
                }
            }
        }
        found
    }

    /// Another disk with the same files on it, all of them synced.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        self.everything().into_iter().for_each(|(path, bytes)| copy.set_contents(&path, bytes));
        copy
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SimulatedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: Vec<_> = self.everything().into_keys().collect();
        f.debug_struct("SimulatedDisk").field("files", &files).finish_non_exhaustive()
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

    fn add(&mut self, place: Place) -> Node {
        self.last += 1;
        self.names.put(place, self.last);
        self.contents.insert(self.last, Contents::default());
        self.last
    }

    fn add_folder(&mut self, place: Place) -> Node {
        self.last += 1;
        self.names.put_folder(place, self.last);
        self.last
    }

    /// Whether the file may grow to `length` bytes.
    fn has_room(&self, node: Node, length: usize) -> bool {
        let Some(room) = self.room else { return true };
        let named = self.names.named();
        let others = named.into_iter().filter(|other| *other != node);
        let others: usize =
            others.filter_map(|other| self.contents.get(&other)).map(|file| file.now.len()).sum();
        u64::try_from(others + length).is_ok_and(|bytes| bytes <= room)
    }
}
