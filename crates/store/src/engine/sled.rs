//! sled behind [`Engine`]: a directory of its own, for development and for operators who accept loss on power failure.
//!
//! What sled 0.34 calls a flush leaves the disk's own cache, and new files, to chance; hence every durable commit ends
//! with syncs of ours. All tables share one tree, as only a batch on one tree is atomic across a crash.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, mpsc};
use std::time::Duration;

use ingam_journal::files::sync_directory_at;

use super::{Batch, Durability, Engine, EngineError, Pair, Table, catch_damage, is_empty_range};

/// An open sled directory.
pub struct SledEngine {
    tree: sled::Db,
    log: File,
    blobs: PathBuf,
    /// Names in `blobs` that were synced already.
    synced: Mutex<BTreeSet<OsString>>,
    /// Written by commits, so that a read of many pairs sees all of a batch or nothing. True once a commit failed:
    /// what is in memory may then differ from what an opening would find, so everything is refused.
    failed: RwLock<bool>,
}

const OPENING: &str = "opening the sled directory";
const READING: &str = "reading from sled";
const COMMITTING: &str = "committing to sled";

/// sled's default is a gigabyte.
const CACHE_BYTES: u64 = 128 << 20;

/// How often files that are in use are tried again, and how long after.
const BUSY_TRIES_MAX: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

impl SledEngine {
    /// Opens the directory at `path`, which is made (with mode 0700) if it is not there, and locks it against other
    /// processes for as long as the engine lives. Reads all of it.
    ///
    /// # Errors
    /// [`EngineError::Busy`] if somebody else has it, [`EngineError::Corrupt`] if it is damaged or of another version
    /// of sled, [`EngineError::Io`] and [`EngineError::Full`].
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let io = |error| EngineError::from_io(OPENING, error);
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let tree = open_tree(path)?;
        let blobs = path.join("blobs");
        // sled has just made these names and syncs none of them.
        for name in ["conf", "db"] {
            File::open(path.join(name)).and_then(|file| file.sync_all()).map_err(io)?;
        }
        for directory in [Some(path), path.parent()].into_iter().flatten() {
            sync_directory_at(directory).map_err(io)?;
        }
        let log = File::open(path.join("db")).map_err(io)?;
        Ok(Self { tree, log, blobs, synced: Mutex::default(), failed: RwLock::new(false) })
    }

    /// Everything that sled's own flush does not do.
    fn sync(&self) -> io::Result<()> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        let mut present = BTreeSet::new();
        // Large values lie in files of their own, which the log names: they have to be there before it does.
        for entry in std::fs::read_dir(&self.blobs)? {
            present.insert(entry?.file_name());
        }
        let mut grown = false;
        for name in present.difference(&synced) {
            match File::open(self.blobs.join(name)) {
                Ok(file) => file.sync_all()?,
                // sled's own thread has tidied it away in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            grown = true;
        }
        if grown {
            sync_directory_at(&self.blobs)?;
        }
        *synced = present;
        self.log.sync_data()
    }

    fn write(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError> {
        let mut changes = sled::Batch::default();
        for (table, key, value) in batch.iter() {
            match value {
                Some(value) => changes.insert(full_key(table, key), value),
                None => changes.remove(full_key(table, key)),
            }
        }
        self.tree.apply_batch(changes).map_err(|error| from_sled(COMMITTING, error))?;
        if durability == Durability::Durable {
            // The blocking flush; the asynchronous one can wait for itself for ever.
            self.tree.flush().map_err(|error| from_sled(COMMITTING, error))?;
            self.sync().map_err(|error| EngineError::from_io(COMMITTING, error))?;
        }
        Ok(())
    }

    /// Runs a read between commits.
    fn read<T>(&self, work: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, EngineError> {
        let failed = self.failed.read().unwrap_or_else(PoisonError::into_inner);
        if *failed {
            return Err(has_failed(READING));
        }
        catch_damage(READING, || work().map_err(|error| from_sled(READING, error)))
    }
}

/// The table's length-prefixed name, then the key: no table's keys lie among another's.
fn full_key(table: Table, key: &[u8]) -> Vec<u8> {
    let name = table.name().as_bytes();
    let mut full = Vec::with_capacity(1 + name.len() + key.len());
    full.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
    full.extend_from_slice(name);
    full.extend_from_slice(key);
    full
}

/// The first key behind all keys of the table. The last byte of a name is never 255, as it is UTF-8.
fn end_of(table: Table) -> Vec<u8> {
    let mut end = full_key(table, &[]);
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

fn range_of(table: Table, from: &[u8], to: Option<&[u8]>) -> std::ops::Range<Vec<u8>> {
    full_key(table, from)..to.map_or_else(|| end_of(table), |to| full_key(table, to))
}

fn pair(table: Table, found: sled::Result<(sled::IVec, sled::IVec)>) -> sled::Result<Pair> {
    let (key, value) = found?;
    Ok((key.get(1 + table.name().len()..).unwrap_or_default().to_vec(), value.to_vec()))
}

/// Opens sled itself. Threads of its own may hold its files for a moment after the last handle in this process is gone, so
/// files that are in use are tried again a few times.
fn open_tree(path: &Path) -> Result<sled::Db, EngineError> {
    // Nobody sends: it is a wait that no clock of the CA's has to do with.
    let (_held, silence) = mpsc::channel::<()>();
    let mut tries = 0;
    loop {
        let opened = catch_damage(OPENING, || {
            let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES);
            config.open().map_err(|error| from_sled(OPENING, error))
        });
        match opened {
            Err(EngineError::Busy { .. }) if tries < BUSY_TRIES_MAX => {
                tries += 1;
                let _ = silence.recv_timeout(BUSY_PAUSE);
            }
            opened => return opened,
        }
    }
}

impl Engine for SledEngine {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.read(|| Ok(self.tree.get(full_key(table, key))?.map(|value| value.to_vec())))
    }

    fn range(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, EngineError> {
        if is_empty_range(from, to, limit) {
            return Ok(Vec::new());
        }
        self.read(|| {
            self.tree.range(range_of(table, from, to)).take(limit).map(|found| pair(table, found)).collect()
        })
    }

    fn range_last(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, EngineError> {
        if is_empty_range(from, to, limit) {
            return Ok(Vec::new());
        }
        self.read(|| {
            let found = self.tree.range(range_of(table, from, to)).rev();
            found.take(limit).map(|found| pair(table, found)).collect()
        })
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError> {
        batch.check()?;
        let mut failed = self.failed.write().unwrap_or_else(PoisonError::into_inner);
        if *failed {
            return Err(has_failed(COMMITTING));
        }
        let result = catch_damage(COMMITTING, || self.write(batch, durability));
        *failed = result.is_err();
        result
    }
}

fn has_failed(doing: &'static str) -> EngineError {
    EngineError::Io { doing, source: "an earlier commit failed; the engine has to be opened again".into() }
}

fn from_sled(doing: &'static str, error: sled::Error) -> EngineError {
    match error {
        // sled says so in words alone.
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            EngineError::Busy { doing }
        }
        sled::Error::Io(error) => EngineError::from_io(doing, error),
        other => EngineError::Corrupt { doing, source: other.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::super::contract;
    use super::*;

    #[test]
    fn keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        contract::run(&|name| Box::new(SledEngine::open(&folder.path().join(name)).unwrap()));
    }

    #[test]
    fn a_second_opening_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _first = SledEngine::open(folder.path()).unwrap();
        assert_eq!(SledEngine::open(folder.path()).err().unwrap().code(), "engine_busy");
    }

    #[test]
    fn a_value_in_a_file_of_its_own_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::new("large");
        let value = vec![7; 1 << 20];
        {
            let engine = SledEngine::open(folder.path()).unwrap();
            let mut batch = Batch::new();
            batch.put(table, b"key", value.clone());
            engine.commit(&batch, Durability::Durable).unwrap();
        }
        let engine = SledEngine::open(folder.path()).unwrap();
        assert_eq!(engine.get(table, b"key").unwrap(), Some(value));
    }

    #[test]
    fn files_that_are_not_sleds_are_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("conf"), vec![0xff; 300]).unwrap();
        assert_eq!(SledEngine::open(folder.path()).err().unwrap().code(), "engine_corrupt");
    }
}
