//! redb behind [`Engine`]: one file, copy on write, safe to pull the plug on.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use ingam_journal::files::{File, sync_directory_at};
use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadOnlyTable, ReadableDatabase, StorageBackend, StorageError, TableDefinition,
    TableError, WriteTransaction,
};

use super::{Batch, Durability, Engine, EngineError, Pair, Table, catch_damage, is_empty_range};

/// How redb is driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RedbConfig {
    /// At most this many bytes of pages are kept in memory.
    pub cache_bytes: usize,
    /// Whether durable commits save what is needed to open at once after a crash. Without it such an opening reads
    /// the whole file, and a commit costs less.
    pub quick_repair: bool,
}

impl Default for RedbConfig {
    fn default() -> Self {
        Self { cache_bytes: 128 << 20, quick_repair: true }
    }
}

/// An open redb file.
#[derive(Debug)]
pub struct RedbEngine {
    database: Database,
    quick_repair: bool,
}

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

const OPENING: &str = "opening the redb file";
const READING: &str = "reading from redb";
const COMMITTING: &str = "committing to redb";

impl RedbEngine {
    /// Opens the file at `path`, which is made (with mode 0600, in a directory that must be there) if it is not
    /// there, and locks it against other processes for as long as the engine lives.
    ///
    /// # Errors
    /// [`EngineError::Busy`] if somebody else has it, [`EngineError::Corrupt`] if it is damaged or another kind of
    /// file, [`EngineError::Io`] and [`EngineError::Full`].
    pub fn open(path: &Path, config: RedbConfig) -> Result<Self, EngineError> {
        if !path.exists() {
            Self::create(path, config)?;
        }
        Self::open_file(path, config)
    }

    /// Makes an empty database under another name and then gives it its own: a power cut while redb writes its first
    /// pages leaves what redb itself takes for a foreign file.
    fn create(path: &Path, config: RedbConfig) -> Result<(), EngineError> {
        let io = |error| EngineError::from_io(OPENING, error);
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let unfinished = Path::new(&unfinished);
        match std::fs::remove_file(unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let engine = Self::open_file(unfinished, config)?;
        engine.commit(&Batch::new(), Durability::Durable)?;
        drop(engine);
        std::fs::rename(unfinished, path).map_err(io)?;
        sync_directory_at(path.parent().unwrap_or(Path::new(""))).map_err(io)
    }

    fn open_file(path: &Path, config: RedbConfig) -> Result<Self, EngineError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| EngineError::from_io(OPENING, error))?;
        let backend = FileBackend::new(file).map_err(|error| from_database(OPENING, error))?;
        Self::with_backend(backend, config)
    }

    /// Opens what is in the backend, or begins anew where that is empty. If a power cut ends the very first opening,
    /// the backend may hold what no later opening takes.
    ///
    /// # Errors
    /// As [`RedbEngine::open`].
    pub fn with_backend(backend: impl StorageBackend, config: RedbConfig) -> Result<Self, EngineError> {
        catch_damage(OPENING, || {
            let database = Database::builder()
                .set_cache_size(config.cache_bytes)
                .create_with_backend(backend)
                .map_err(|error| from_database(OPENING, error))?;
            Ok(Self { database, quick_repair: config.quick_repair })
        })
    }

    /// The table as it is now; `None` while nobody has written to it.
    fn table(
        &self,
        table: Table,
    ) -> Result<Option<ReadOnlyTable<&'static [u8], &'static [u8]>>, EngineError> {
        let transaction = self.database.begin_read().map_err(|error| from_redb(READING, error.into()))?;
        match transaction.open_table(definition(table)) {
            Ok(open) => Ok(Some(open)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(from_redb(READING, error.into())),
        }
    }

    fn apply(transaction: &WriteTransaction, batch: &Batch) -> Result<(), redb::Error> {
        for (table, changes) in batch.tables() {
            let mut open = transaction.open_table(definition(table))?;
            for (key, value) in changes {
                match value {
                    Some(value) => drop(open.insert(key, value)?),
                    None => drop(open.remove(key)?),
                }
            }
        }
        Ok(())
    }
}

fn definition(table: Table) -> Definition {
    TableDefinition::new(table.name())
}

fn bounds<'a>(from: &'a [u8], to: Option<&'a [u8]>) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded))
}

/// What redb gives for an entry of a range.
type Found<'a> =
    Result<(redb::AccessGuard<'a, &'static [u8]>, redb::AccessGuard<'a, &'static [u8]>), StorageError>;

fn pair(found: Found<'_>) -> Result<Pair, EngineError> {
    let (key, value) = found.map_err(|error| from_redb(READING, error.into()))?;
    Ok((key.value().to_vec(), value.value().to_vec()))
}

impl Engine for RedbEngine {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let Some(open) = self.table(table)? else { return Ok(None) };
        let found = open.get(key).map_err(|error| from_redb(READING, error.into()))?;
        Ok(found.map(|value| value.value().to_vec()))
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
        let Some(open) = self.table(table)? else { return Ok(Vec::new()) };
        let found =
            open.range::<&[u8]>(bounds(from, to)).map_err(|error| from_redb(READING, error.into()))?;
        found.take(limit).map(pair).collect()
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
        let Some(open) = self.table(table)? else { return Ok(Vec::new()) };
        let found =
            open.range::<&[u8]>(bounds(from, to)).map_err(|error| from_redb(READING, error.into()))?;
        found.rev().take(limit).map(pair).collect()
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError> {
        batch.check()?;
        let run = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            match durability {
                Durability::Durable => {
                    transaction.set_durability(redb::Durability::Immediate)?;
                    transaction.set_quick_repair(self.quick_repair);
                }
                Durability::Relaxed => transaction.set_durability(redb::Durability::None)?,
            }
            // Dropped on an error, the transaction takes back what was done so far.
            Self::apply(&transaction, batch)?;
            transaction.commit()?;
            Ok(())
        };
        run().map_err(|error| from_redb(COMMITTING, error))
    }
}

fn from_redb(doing: &'static str, error: redb::Error) -> EngineError {
    match error {
        redb::Error::Io(error) => EngineError::from_io(doing, error),
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => EngineError::Busy { doing },
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
            EngineError::Io { doing, source: error.into() }
        }
        other => EngineError::Corrupt { doing, source: other.into() },
    }
}

fn from_database(doing: &'static str, error: DatabaseError) -> EngineError {
    from_redb(doing, error.into())
}

/// The journal's file layer as redb's: for tests on a disk that breaks. Takes no lock.
pub struct FileStorage(Arc<dyn File>);

impl FileStorage {
    /// Over this file, which is empty or holds a redb database.
    pub fn new(file: Arc<dyn File>) -> Self {
        Self(file)
    }
}

impl fmt::Debug for FileStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileStorage")
    }
}

impl StorageBackend for FileStorage {
    fn len(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_length(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ingam_journal::files::Files;
    use ingam_journal::simulated::SimulatedDisk;
    use ingam_protocol::time::{SeededRandom, random_array};

    use super::super::contract;
    use super::*;

    fn on_simulated(disk: &SimulatedDisk, name: &str) -> Result<RedbEngine, EngineError> {
        let file = disk.create(name).map_err(|error| EngineError::from_io(OPENING, error))?;
        disk.sync_directory().map_err(|error| EngineError::from_io(OPENING, error))?;
        RedbEngine::with_backend(FileStorage::new(file), RedbConfig::default())
    }

    #[test]
    fn keeps_the_contract_on_a_real_disk() {
        for quick_repair in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let config = RedbConfig { quick_repair, ..RedbConfig::default() };
            contract::run(&|name| Box::new(RedbEngine::open(&folder.path().join(name), config).unwrap()));
        }
    }

    #[test]
    fn keeps_the_contract_on_a_simulated_disk() {
        let disk = SimulatedDisk::new();
        contract::run(&|name| Box::new(on_simulated(&disk, name).unwrap()));
    }

    #[test]
    fn a_second_opening_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("redb");
        let _first = RedbEngine::open(&path, RedbConfig::default()).unwrap();
        assert_eq!(RedbEngine::open(&path, RedbConfig::default()).unwrap_err().code(), "engine_busy");
        let names: Vec<_> = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["redb"]);
    }

    #[test]
    fn a_file_that_is_not_redbs_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("redb");
        std::fs::write(&path, vec![0x5a; 100_000]).unwrap();
        let error = RedbEngine::open(&path, RedbConfig::default()).unwrap_err();
        assert!(["engine_corrupt", "engine_io"].contains(&error.code()), "{error:?}");
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        for (kind, code) in [(io::ErrorKind::StorageFull, "engine_full"), (io::ErrorKind::Other, "engine_io")]
        {
            let disk = SimulatedDisk::new();
            let engine = on_simulated(&disk, "redb").unwrap();
            let mut batch = Batch::new();
            batch.put(TABLES[0], b"a", b"1");
            engine.commit(&batch, Durability::Durable).unwrap();
            disk.fail_after(0, kind);
            batch.put(TABLES[0], b"a", b"2");
            assert_eq!(engine.commit(&batch, Durability::Durable).unwrap_err().code(), code);
            drop(engine);
            let value = on_simulated(&disk, "redb").unwrap().get(TABLES[0], b"a").unwrap();
            assert!([Some(b"1".to_vec()), Some(b"2".to_vec())].contains(&value));
        }
    }

    const TABLES: [Table; 3] = [Table::new("one"), Table::new("two"), Table::new("three")];
    const COUNT: Table = Table::new("count");

    type World = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

    /// A random batch that also writes its number, and what the tables hold after it.
    fn step(number: u32, before: &World, random: &SeededRandom) -> (Batch, World) {
        let mut batch = Batch::new();
        let mut world = before.clone();
        batch.put(COUNT, b"count", number.to_be_bytes());
        world.insert((COUNT, b"count".to_vec()), number.to_be_bytes().to_vec());
        let [changes] = random_array(random);
        for _ in 0..=changes % 8 {
            let [table, key, kind, size, size_high] = random_array(random);
            let table = TABLES[usize::from(table) % TABLES.len()];
            let key = vec![key % 32];
            if kind < 64 {
                batch.delete(table, key.clone());
                world.remove(&(table, key));
            } else {
                let value = vec![kind; usize::from(size) * usize::from(size_high % 16)];
                batch.put(table, key.clone(), value.clone());
                world.insert((table, key), value);
            }
        }
        (batch, world)
    }

    fn everything(engine: &dyn Engine) -> World {
        let of = |table| {
            let pairs = engine.range(table, b"", None, usize::MAX).unwrap();
            pairs.into_iter().map(move |(key, value)| ((table, key), value))
        };
        TABLES.into_iter().chain([COUNT]).flat_map(of).collect()
    }

    /// Every durable batch is there whole, and what is there beyond is a prefix of what was committed later.
    #[test]
    fn what_was_durable_outlives_power_cuts() {
        for seed in 0..60 {
            let random = SeededRandom::new(seed);
            let disk = SimulatedDisk::new();
            drop(on_simulated(&disk, "redb").unwrap());
            // What the tables held after each batch that may be in, from the last durable one on.
            let mut possible = vec![World::new()];
            let mut number = 0;
            for cut in 0..4 {
                let [stop, stop_high] = random_array(&random);
                disk.stop_after(u64::from(stop) + 256 * u64::from(stop_high % 2));
                let engine = on_simulated(&disk, "redb");
                while let Ok(engine) = &engine {
                    number += 1;
                    let (batch, world) = step(number, possible.last().unwrap(), &random);
                    let [durable] = random_array(&random);
                    let durability = if durable < 128 { Durability::Durable } else { Durability::Relaxed };
                    let result = engine.commit(&batch, durability);
                    possible.push(world);
                    if result.is_err() {
                        break;
                    }
                    if durability == Durability::Durable {
                        possible.drain(..possible.len() - 1);
                    }
                }
                drop(engine);
                disk.power_cut(&random);
                let engine = on_simulated(&disk, "redb").unwrap();
                let world = everything(&engine);
                assert!(possible.contains(&world), "seed {seed}, cut {cut}");
                possible = vec![world];
            }
        }
    }
}
