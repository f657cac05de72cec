//! The log on disk: leaves, the hashes above them, and what was signed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ingam_protocol::record::Class;
use ingam_protocol::time::Timestamp;

use super::gather::{Place, gather};
use super::heads::Head;
use super::leaf::{ENTRY_BYTES, LEAF_BYTES, Leaf, entry_leaf};
use super::tree::{Hash, consistency, leaf_hash, node_hash, reduce, split};
use super::{LogError, TILE_WIDTH, failed};
use crate::Journal;
use crate::files::File;
use crate::segment::to_u64;

/// The file of leaves.
pub(crate) const LEAVES: &str = "leaves";

/// How many levels of tiles there are above the leaves, at most: a tree of 2^64 leaves has no more.
pub(crate) const LEVELS: usize = 7;

/// How many leaves are read at a time where many are.
pub(crate) const CHUNK_LEAVES: u64 = 4096;

/// The log of one journal. One process writes it, and one thread at a time; any number read.
pub struct Log {
    pub(crate) stored: Stored,
    pub(crate) heads: Arc<dyn File>,
    pub(crate) state: Mutex<State>,
    /// What was signed last, and is on disk.
    pub(crate) published: RwLock<Arc<Head>>,
}

/// Where the log goes on.
pub(crate) struct State {
    /// How many leaves are on disk.
    pub(crate) size: u64,
    /// The index of the next record of each class.
    pub(crate) next: BTreeMap<Class, u64>,
    /// Where in the journal the next records of each class are, as far as that is known.
    pub(crate) places: BTreeMap<Class, Place>,
    /// True while a write is at work, and for good once one failed.
    pub(crate) broken: bool,
}

impl Log {
    /// Adds leaves for records of the journal that have none, class by class, at most [`ROUND_LEAVES_MAX`](super::ROUND_LEAVES_MAX)
    /// of them; they are durable when this returns. Gives how many. `now` is for records that were erased before.
    ///
    /// # Errors
    /// [`LogError::Journal`], after which nothing is changed; [`LogError::Io`], after which the log has to be opened again.
    pub fn grow(&self, journal: &Journal, now: Timestamp) -> Result<u64, LogError> {
        let mut state = self.state();
        if state.broken {
            return Err(LogError::Broken);
        }
        let found = gather(journal, &state.next, &state.places, now)?;
        let added = to_u64(found.leaves.len());
        if added > 0 {
            // Stays so if anything below fails or panics.
            state.broken = true;
            self.append(state.size, &found.leaves)?;
            state.broken = false;
            state.size += added;
            for leaf in &found.leaves {
                state.next.insert(leaf.class, leaf.index + 1);
            }
        }
        state.places = found.places;
        Ok(added)
    }

    fn append(&self, size: u64, leaves: &[Leaf]) -> Result<(), LogError> {
        let mut bytes = Vec::with_capacity(leaves.len() * ENTRY_BYTES);
        leaves.iter().for_each(|leaf| leaf.write_entry(&mut bytes));
        let file = &self.stored.leaves;
        file.write_at(size * to_u64(ENTRY_BYTES), &bytes).map_err(failed("writing", LEAVES))?;
        file.sync().map_err(failed("syncing", LEAVES))?;
        self.stored.extend_levels(size, size + to_u64(leaves.len()))
    }

    /// How many leaves there are now, and the root over them: what a next head would say.
    ///
    /// # Errors
    /// [`LogError`] if the files cannot be read.
    pub fn tip(&self) -> Result<(u64, Hash), LogError> {
        let size = self.state().size;
        Ok((size, self.stored.root(size)?))
    }

    /// Puts a head on disk, with the note that says so: that of [`Log::tip`], or the one there is with more signatures.
    ///
    /// # Errors
    /// [`LogError::Contradiction`], [`LogError::TooLong`]; [`LogError::Io`], after which the log has to be opened again.
    pub fn seal(&self, size: u64, root: Hash, note: String) -> Result<(), LogError> {
        let mut state = self.state();
        if state.broken {
            return Err(LogError::Broken);
        }
        let last = self.head();
        let is_same = size == last.size && root == last.root;
        if !is_same && (size != state.size || size <= last.size) {
            return Err(LogError::Contradiction);
        }
        let next = if is_same { last.next.clone() } else { state.next.clone() };
        let head = Head { size, root, note, sequence: last.sequence + 1, next };
        state.broken = true;
        match head.write(self.heads.as_ref()) {
            // Nothing was written.
            Err(LogError::TooLong) => {
                state.broken = false;
                return Err(LogError::TooLong);
            }
            other => other?,
        }
        state.broken = false;
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(head);
        Ok(())
    }

    /// What was signed last.
    pub fn head(&self) -> Arc<Head> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The hashes of a tile, as far as a head covers them; `None` beyond that. A full tile has a width of [`TILE_WIDTH`].
    ///
    /// # Errors
    /// [`LogError`] if the files cannot be read, or are damaged.
    pub fn tile(&self, level: u32, index: u64, width: u64) -> Result<Option<Vec<u8>>, LogError> {
        let level = usize::try_from(level).unwrap_or(usize::MAX);
        let hashes = if level > LEVELS { 0 } else { self.head().size >> (8 * level) };
        let Some(start) = within(index, width, hashes) else { return Ok(None) };
        let hashes = self.stored.hashes(level, start, width)?;
        Ok(Some(hashes.concat()))
    }

    /// The leaves of a bundle, each behind its length in two bytes, as far as a head covers them; `None` beyond that.
    ///
    /// # Errors
    /// As [`Log::tile`].
    pub fn entries(&self, index: u64, width: u64) -> Result<Option<Vec<u8>>, LogError> {
        let Some(start) = within(index, width, self.head().size) else { return Ok(None) };
        let mut bundle = Vec::new();
        self.stored.each_leaf(start, width, |leaf| {
            bundle.extend_from_slice(&u16::try_from(LEAF_BYTES).unwrap_or(u16::MAX).to_be_bytes());
            bundle.extend_from_slice(leaf);
        })?;
        Ok(Some(bundle))
    }

    /// The proof that the tree of the last head begins with one of `old` leaves; nothing if it has no more.
    ///
    /// # Errors
    /// As [`Log::tile`].
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LogError> {
        if new > self.head().size {
            return Err(LogError::Contradiction);
        }
        consistency(old, new, |start, end| self.stored.range(start, end))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves `broken` behind, which says more than the poison does.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("head", &self.head()).finish_non_exhaustive()
    }
}

/// Where a tile begins, if all of it is within so many hashes.
fn within(index: u64, width: u64, hashes: u64) -> Option<u64> {
    let start = index.checked_mul(TILE_WIDTH)?;
    let is_there = (1..=TILE_WIDTH).contains(&width) && start.checked_add(width)? <= hashes;
    is_there.then_some(start)
}

/// The files of the tree.
pub(crate) struct Stored {
    pub(crate) leaves: Arc<dyn File>,
    /// The first is level 1.
    pub(crate) levels: Vec<Arc<dyn File>>,
}

/// The name of a level's file.
pub(crate) fn level_name(level: usize) -> String {
    format!("level-{level}")
}

impl Stored {
    /// Reads leaves, one after the other.
    pub(crate) fn each_leaf(
        &self,
        start: u64,
        count: u64,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), LogError> {
        let entry = to_u64(ENTRY_BYTES);
        let bytes = usize::try_from(count * entry).unwrap_or(usize::MAX);
        let mut buffer = vec![0; bytes];
        self.leaves.read_at(start * entry, &mut buffer).map_err(failed("reading", LEAVES))?;
        for (at, bytes) in (start..).zip(buffer.chunks_exact(ENTRY_BYTES)) {
            let damaged = || LogError::Corrupt { file: LEAVES.to_owned(), offset: at * entry };
            each(entry_leaf(bytes).ok_or_else(damaged)?);
        }
        Ok(())
    }

    /// Hashes of a level, at most as many as a tile has.
    pub(crate) fn hashes(&self, level: usize, start: u64, count: u64) -> Result<Vec<Hash>, LogError> {
        let mut hashes = Vec::new();
        let Some(file) = level.checked_sub(1).and_then(|at| self.levels.get(at)) else {
            self.each_leaf(start, count, |leaf| hashes.push(leaf_hash(leaf)))?;
            return Ok(hashes);
        };
        let mut buffer = vec![0; usize::try_from(count * 32).unwrap_or(usize::MAX)];
        file.read_at(start * 32, &mut buffer).map_err(failed("reading", &level_name(level)))?;
        for hash in buffer.chunks_exact(32) {
            hashes.push(hash.try_into().unwrap_or_default());
        }
        Ok(hashes)
    }

    /// The hash over the leaves from `start` up to `end`, which has to be a node of a tree of `end` leaves or more, or its right
    /// edge. Takes a read for each perfect tree in it.
    pub(crate) fn range(&self, start: u64, end: u64) -> Result<Hash, LogError> {
        let leaves = end.saturating_sub(start);
        if leaves.is_power_of_two() {
            let height = leaves.trailing_zeros();
            // The highest level that has hashes of trees no larger than this one; at most 2^7 of them make it up.
            let level = usize::try_from(height / 8).unwrap_or(usize::MAX).min(LEVELS);
            let width = leaves >> (8 * level);
            return Ok(reduce(self.hashes(level, start >> (8 * level), width)?));
        }
        let middle = start + split(leaves);
        Ok(node_hash(&self.range(start, middle)?, &self.range(middle, end)?))
    }

    /// The root over the first leaves.
    pub(crate) fn root(&self, size: u64) -> Result<Hash, LogError> {
        if size == 0 { Ok(super::tree::empty_root()) } else { self.range(0, size) }
    }

    /// Makes the hashes of every level for what became full between two sizes; durable when it returns.
    pub(crate) fn extend_levels(&self, from: u64, to: u64) -> Result<(), LogError> {
        for (at, file) in self.levels.iter().enumerate() {
            let (level, shift) = (at + 1, 8 * (at + 1));
            let (first, last) = (from >> shift, to >> shift);
            if first == last {
                break;
            }
            let name = level_name(level);
            let (mut bytes, mut written) = (Vec::new(), first);
            for tile in first..last {
                bytes.extend_from_slice(&reduce(self.hashes(at, tile * TILE_WIDTH, TILE_WIDTH)?));
                if to_u64(bytes.len()) == CHUNK_LEAVES * 32 || tile + 1 == last {
                    file.write_at(written * 32, &bytes).map_err(failed("writing", &name))?;
                    written = tile + 1;
                    bytes.clear();
                }
            }
            file.sync().map_err(failed("syncing", &name))?;
        }
        Ok(())
    }
}
