//! Opening: what was signed has to be there; what lies behind it is taken as far as it is whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};

use ingam_protocol::record::Class;

use super::heads::{HEADS, Head};
use super::leaf::{ENTRY_BYTES, Leaf, LeafError, entry_leaf};
use super::store::{CHUNK_LEAVES, LEAVES, LEVELS, Log, State, Stored, level_name};
use super::{LogError, failed};
use crate::files::{File, Files};
use crate::segment::to_u64;

impl Log {
    /// Opens the log in this folder. `may_be_new` says whether there may be none yet: not where its key is there already.
    ///
    /// Leaves behind the last head are kept as far as they are whole, in their order: a head that was damaged may have covered
    /// them, and a next one has to have the same root then. Takes as long for many leaves as for few.
    ///
    /// # Errors
    /// [`LogError::Lost`] if what was signed is not there, or something else is; [`LogError::Newer`], [`LogError::Io`].
    pub fn open(files: &dyn Files, may_be_new: bool) -> Result<Self, LogError> {
        let names = files.list().map_err(failed("listing", ""))?;
        let open = |name: &str| files.create(name).map_err(failed("opening", name));
        let has_leaves = names.iter().any(|name| name == LEAVES)
            && open(LEAVES)?.length().map_err(failed("measuring", LEAVES))? > 0;
        let heads = open(HEADS)?;
        let head = match Head::newest(heads.as_ref())? {
            Some(head) => head,
            None if may_be_new && !has_leaves => Head::first(),
            None => return Err(LogError::Lost { what: "none of its heads is there, or can be read".into() }),
        };
        // Also after a failed sync: what is read here may not be on the disk yet, and is relied upon from now on.
        head.write(heads.as_ref())?;
        files.sync_directory().map_err(failed("syncing", ""))?;
        let leaves = open(LEAVES)?;
        let levels = (1..=LEVELS).map(|level| open(&level_name(level))).collect::<Result<Vec<_>, _>>()?;
        files.sync_directory().map_err(failed("syncing", ""))?;
        let (size, next) = recover_leaves(leaves.as_ref(), &head)?;
        let stored = Stored { leaves, levels };
        recover_levels(&stored, &head, size)?;
        let state = State { size, next, places: BTreeMap::new(), broken: false };
        Ok(Self { stored, heads, state: Mutex::new(state), published: RwLock::new(Arc::new(head)) })
    }
}

/// Cuts off what is not whole, and makes certain that the rest is on the disk. Gives how many leaves there are, and where each
/// class goes on.
fn recover_leaves(leaves: &dyn File, head: &Head) -> Result<(u64, BTreeMap<Class, u64>), LogError> {
    let entry = to_u64(ENTRY_BYTES);
    let length = leaves.length().map_err(failed("measuring", LEAVES))?;
    let whole = length / entry;
    if whole < head.size {
        return Err(LogError::Lost {
            what: format!("{whole} leaves are there of the {} that its last checkpoint covers", head.size),
        });
    }
    let (mut size, mut next) = (head.size, head.next.clone());
    'chunks: while size < whole {
        let count = (whole - size).min(CHUNK_LEAVES);
        let mut buffer = vec![0; usize::try_from(count * entry).unwrap_or(usize::MAX)];
        leaves.read_at(size * entry, &mut buffer).map_err(failed("reading", LEAVES))?;
        let start = size;
        for bytes in buffer.chunks_exact(ENTRY_BYTES) {
            let leaf = match entry_leaf(bytes).map(Leaf::decode) {
                Some(Ok(leaf)) => leaf,
                Some(Err(LeafError::Newer)) => return Err(LogError::Newer),
                Some(Err(LeafError::Malformed)) | None => break,
            };
            if next.get(&leaf.class).is_some_and(|next| leaf.index < *next) {
                break;
            }
            next.insert(leaf.class, leaf.index + 1);
            size += 1;
        }
        let kept = usize::try_from((size - start) * entry).unwrap_or(usize::MAX);
        // The same bytes again: a sync that failed before may have dropped them.
        leaves
            .write_at(start * entry, buffer.get(..kept).unwrap_or_default())
            .map_err(failed("writing", LEAVES))?;
        if size < start + count {
            break 'chunks;
        }
    }
    if length != size * entry {
        tracing::warn!(from = size, to = whole, "cut leaves off the log that were not finished");
        leaves.set_length(size * entry).map_err(failed("cutting", LEAVES))?;
    }
    leaves.sync().map_err(failed("syncing", LEAVES))?;
    Ok((size, next))
}

/// Sees to it that the hashes above the leaves are there, and that they lead to the root that was signed.
fn recover_levels(stored: &Stored, head: &Head, size: u64) -> Result<(), LogError> {
    let is_there = || -> Result<bool, LogError> {
        for (at, file) in stored.levels.iter().enumerate() {
            let length = file.length().map_err(failed("measuring", &level_name(at + 1)))?;
            if length < (head.size >> (8 * (at + 1))) * 32 {
                return Ok(false);
            }
        }
        Ok(stored.root(head.size)? == head.root)
    };
    if is_there()? {
        return stored.extend_levels(head.size, size);
    }
    tracing::warn!(leaves = size, "the hashes of the log are made anew from its leaves");
    stored.extend_levels(0, size)?;
    if stored.root(head.size)? == head.root {
        return Ok(());
    }
    Err(LogError::Lost {
        what: format!("its first {} leaves do not have the root that its last checkpoint says", head.size),
    })
}
