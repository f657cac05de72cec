//! The keys of segments, in one file that lies apart from them: destroying a key destroys what lies under it, wherever
//! copies of the segment are that have no copy of this file beside them.
//!
//! ```text
//! file "keys": slots of 64 bytes, each
//!    0   1  state: 0 = empty, 1 = live, 2 = destroyed
//!    1   1  version = 1
//!    2   2  zeros
//!    4  16  id
//!   20  32  key, zeros once it is destroyed
//!   52   8  zeros
//!   60   4  CRC-32 of bytes 0 to 59
//! ```
//!
//! A key is destroyed by writing over it in its place: that takes no room on a full disk and leaves no older copy of the
//! file behind. A slot lies within one sector; where a power cut tears one all the same, the state in front says which
//! way it went: a key that was being made was never used, and one that was being destroyed counts as destroyed. A
//! destroyed key's id stays until its segment's file is gone, so that opening can tell destroyed from lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ingam_protocol::time::{Random, random_array};
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use zeroize::Zeroizing;

use crate::error::{Error, while_doing};
use crate::files::{File, Files};
use crate::segment::to_u64;

/// Its name in its directory.
const KEYS_FILE: &str = "keys";
const VERSION: u8 = 1;
const SLOT_BYTES: usize = 64;
const KEY_BYTES: usize = 32;
const LIVE: u8 = 1;
const DESTROYED: u8 = 2;
/// At most so many slots: 64 MiB each, that is 64 TiB of records.
const SLOTS_MAX: usize = 1 << 20;

/// The name of a key, which the header of its segment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyId(pub(crate) [u8; 16]);

type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// The keys of all segments of a journal.
pub struct SegmentKeys {
    random: Arc<dyn Random>,
    state: Mutex<State>,
}

struct State {
    file: Arc<dyn File>,
    /// By name: its slot, and the key unless it is destroyed.
    keys: HashMap<KeyId, (usize, Option<KeyBytes>)>,
    free: Vec<usize>,
    slots: usize,
}

impl SegmentKeys {
    /// Opens the keys in this directory, where no segment lies; an empty one has no keys yet.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupt`] if a slot says nothing that this version knows.
    pub fn open(files: &dyn Files, random: Arc<dyn Random>) -> Result<Self, Error> {
        let file = match files.open(KEYS_FILE) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let file = files.create(KEYS_FILE).map_err(while_doing("creating", KEYS_FILE))?;
                file.sync().map_err(while_doing("syncing", KEYS_FILE))?;
                file
            }
            other => other.map_err(while_doing("opening", KEYS_FILE))?,
        };
        files.sync_directory().map_err(while_doing("syncing the directory of", KEYS_FILE))?;
        let length = file.length().map_err(while_doing("measuring", KEYS_FILE))?;
        let slots = usize::try_from(length.div_ceil(to_u64(SLOT_BYTES))).unwrap_or(usize::MAX);
        if slots > SLOTS_MAX {
            return Err(Error::corrupt(KEYS_FILE, length, "there are too many keys"));
        }
        let mut bytes = Zeroizing::new(vec![0; usize::try_from(length).unwrap_or(usize::MAX)]);
        file.read_at(0, &mut bytes).map_err(while_doing("reading", KEYS_FILE))?;
        // What a power cut left of the last slot is read as a whole one.
        bytes.resize(slots * SLOT_BYTES, 0);
        let mut state = State { file, keys: HashMap::new(), free: Vec::new(), slots };
        for (at, slot) in bytes.chunks_exact(SLOT_BYTES).enumerate() {
            state.take_in(at, slot)?;
        }
        Ok(Self { random, state: Mutex::new(state) })
    }

    /// Makes a key; it is on disk when this returns.
    pub(crate) fn make(&self) -> Result<KeyId, Error> {
        let id = KeyId(random_array(self.random.as_ref()));
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        self.random.fill(key.as_mut_slice());
        let mut state = self.lock();
        let at = state.free.last().copied().unwrap_or(state.slots);
        if at >= SLOTS_MAX {
            return Err(Error::corrupt(
                KEYS_FILE,
                to_u64(at * SLOT_BYTES),
                "there is no room for another key",
            ));
        }
        state.write(at, &encode(LIVE, id, Some(&key)))?;
        state.free.pop();
        state.slots = state.slots.max(at + 1);
        state.keys.insert(id, (at, Some(key)));
        Ok(id)
    }

    /// The key of that name; none if it is not there or was destroyed.
    pub(crate) fn key(&self, id: KeyId) -> Option<Key> {
        let state = self.lock();
        let (_, key) = state.keys.get(&id)?;
        Key::new(key.as_ref()?)
    }

    /// Whether it was here and was destroyed.
    pub(crate) fn is_destroyed(&self, id: KeyId) -> bool {
        self.lock().keys.get(&id).is_some_and(|(_, key)| key.is_none())
    }

    /// Destroys a key: when this returns, nothing opens what lies under it. It may be repeated.
    pub(crate) fn destroy(&self, id: KeyId) -> Result<(), Error> {
        let mut state = self.lock();
        let Some((at, _)) = state.keys.get(&id) else { return Ok(()) };
        let at = *at;
        state.write(at, &encode(DESTROYED, id, None))?;
        state.keys.insert(id, (at, None));
        Ok(())
    }

    /// Lets the slot of a destroyed key be used again: nothing lies under it any more.
    pub(crate) fn forget(&self, id: KeyId) {
        let mut state = self.lock();
        if let Some((at, None)) = state.keys.get(&id) {
            let at = *at;
            state.keys.remove(&id);
            state.free.push(at);
        }
    }

    /// Forgets every destroyed key but these, which files that are still there name.
    pub(crate) fn forget_all_but(&self, named: &[KeyId]) {
        let gone: Vec<KeyId> = {
            let state = self.lock();
            let gone = state.keys.iter().filter(|(id, (_, key))| key.is_none() && !named.contains(id));
            gone.map(|(id, _)| *id).collect()
        };
        for id in gone {
            self.forget(id);
        }
    }

    /// Where nonces come from.
    pub(crate) fn random(&self) -> &dyn Random {
        self.random.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for SegmentKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentKeys").finish_non_exhaustive()
    }
}

impl State {
    /// Reads a slot at opening. A destruction that was torn is finished.
    fn take_in(&mut self, at: usize, slot: &[u8]) -> Result<(), Error> {
        let whole = slot
            .split_last_chunk()
            .is_some_and(|(covered, crc)| u32::from_be_bytes(*crc) == crc32fast::hash(covered));
        let [state, version, ..] = *slot else { return Ok(()) };
        let (Some(id), Some(key)) = (array(slot, 4), array(slot, 20)) else { return Ok(()) };
        let (id, key) = (KeyId(id), Zeroizing::new(key));
        match state {
            LIVE | DESTROYED if whole && version != VERSION => {
                return Err(Error::Newer {
                    file: KEYS_FILE.to_owned(),
                    what: "slot version",
                    found: version.into(),
                });
            }
            LIVE if whole => {
                self.keys.insert(id, (at, Some(key)));
            }
            DESTROYED => {
                if !whole {
                    self.write(at, &encode(DESTROYED, id, None))?;
                }
                self.keys.insert(id, (at, None));
            }
            // Never used: a key is named only after its sync.
            _ => self.free.push(at),
        }
        Ok(())
    }

    fn write(&self, at: usize, slot: &[u8]) -> Result<(), Error> {
        self.file.write_at(to_u64(at * SLOT_BYTES), slot).map_err(while_doing("writing", KEYS_FILE))?;
        self.file.sync().map_err(while_doing("syncing", KEYS_FILE))
    }
}

fn encode(state: u8, id: KeyId, key: Option<&[u8; KEY_BYTES]>) -> Zeroizing<Vec<u8>> {
    let mut slot = Zeroizing::new(Vec::with_capacity(SLOT_BYTES));
    slot.extend_from_slice(&[state, VERSION, 0, 0]);
    slot.extend_from_slice(&id.0);
    slot.extend_from_slice(key.unwrap_or(&[0; KEY_BYTES]));
    slot.extend_from_slice(&[0; 8]);
    let crc = crc32fast::hash(&slot);
    slot.extend_from_slice(&crc.to_be_bytes());
    slot
}

fn array<const N: usize>(slot: &[u8], at: usize) -> Option<[u8; N]> {
    slot.get(at..at + N)?.try_into().ok()
}

/// A key that is ready for use.
#[derive(Clone)]
pub(crate) struct Key(Arc<LessSafeKey>);

impl Key {
    fn new(bytes: &[u8; KEY_BYTES]) -> Option<Self> {
        Some(Self(Arc::new(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).ok()?))))
    }

    pub(crate) fn cipher(&self) -> &LessSafeKey {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::time::SeededRandom;

    use super::*;
    use crate::simulated::{SimulatedDisk, seeds};

    fn open(disk: &SimulatedDisk, seed: u64) -> SegmentKeys {
        SegmentKeys::open(disk, Arc::new(SeededRandom::new(seed))).unwrap()
    }

    #[test]
    fn a_key_is_there_until_it_is_destroyed_and_its_slot_is_used_again() {
        let disk = SimulatedDisk::new();
        let keys = open(&disk, 1);
        let (first, second) = (keys.make().unwrap(), keys.make().unwrap());
        keys.destroy(first).unwrap();
        for keys in [&keys, &open(&disk, 2)] {
            assert!(keys.key(first).is_none() && keys.is_destroyed(first));
            assert!(keys.key(second).is_some() && !keys.is_destroyed(second));
        }
        let bytes = disk.contents(KEYS_FILE).unwrap();
        assert_eq!(bytes[20..52], [0; 32]);
        keys.forget_all_but(&[]);
        let third = keys.make().unwrap();
        assert_eq!(disk.contents(KEYS_FILE).unwrap().len(), bytes.len(), "the slot is used again");
        assert!(!keys.is_destroyed(first) && keys.key(third).is_some());
    }

    #[test]
    fn a_power_cut_anywhere_keeps_what_was_answered_for() {
        for seed in seeds(300, 1) {
            let disk = SimulatedDisk::new();
            let random = SeededRandom::new(seed);
            let keys = open(&disk, seed);
            let (kept, gone) = (keys.make().unwrap(), keys.make().unwrap());
            disk.stop_after(seed % 6);
            let destroyed = keys.destroy(gone).is_ok();
            let made = keys.make().ok();
            disk.power_cut(&random);
            let keys = open(&disk, seed + 1);
            assert!(keys.key(kept).is_some(), "{seed}");
            assert!(!destroyed || keys.key(gone).is_none(), "{seed}");
            assert!(keys.key(gone).is_some() != keys.is_destroyed(gone), "{seed}: lost is not destroyed");
            assert!(made.is_none_or(|id| keys.key(id).is_some()), "{seed}");
        }
    }
}
