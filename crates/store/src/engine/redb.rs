//! redb behind [`Engine`]: one file, copy on write, safe to pull the plug on; with a log in front that makes commits
//! cheap.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use ingam_journal::files::{Disk, File, Files, sync_directory_at};
use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend,
    StorageError, TableDefinition, TableError, WriteTransaction,
};

use super::log::{self, Log};
use super::{Batch, Durability, Engine, EngineError, Pair, Snapshot, Table, catch_damage, is_empty_range};

/// How redb is driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RedbConfig {
    /// At most this many bytes of pages are kept in memory.
    pub cache_bytes: usize,
    /// Once the log has this many bytes, redb's own file follows. The more, the rarer that is, the longer the commit
    /// takes that does it, and the longer an opening after a crash.
    pub log_bytes_max: u64,
}

impl Default for RedbConfig {
    fn default() -> Self {
        Self { cache_bytes: 128 << 20, log_bytes_max: 4 << 20 }
    }
}

/// An open redb file with its log, which lies beside it and is called the same with `.log` behind. Neither is worth
/// anything without the other, except after an orderly end, when everything is in redb's file.
pub struct RedbEngine {
    database: Database,
    /// Held for the whole of a commit.
    log: Mutex<CommitLog>,
    log_bytes_max: u64,
}

struct CommitLog {
    log: Log,
    /// Once a commit failed, log and memory may differ, so nothing more is committed.
    failed: bool,
}

/// Where redb's file says how it and the log fit together.
const STATE: TableDefinition<'static, &'static str, u64> = TableDefinition::new("ingam engine");
/// The epoch in which the log was last opened; not there after an orderly end, when nothing in the log is needed.
const EPOCH: &str = "epoch";
/// The sequence of the last frame of the log that redb's file holds.
const APPLIED: &str = "applied";

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
type OpenTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

const OPENING: &str = "opening the redb file";
const READING: &str = "reading from redb";
const COMMITTING: &str = "committing to redb";
const PACKING: &str = "packing rows in redb";

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
        // The lock on redb's file comes first: nobody else has the log then.
        let backend = Self::backend(path)?;
        let io = |error| EngineError::from_io(OPENING, error);
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".log");
        let name = name.into_string().map_err(|_| io(io::ErrorKind::InvalidFilename.into()))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let disk = Disk::open(parent).map_err(io)?;
        let log = disk.create(&name).map_err(io)?;
        disk.sync_directory().map_err(io)?;
        Self::with_backend(backend, log, config)
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
        drop(open_database(Self::backend(unfinished)?, config)?);
        std::fs::rename(unfinished, path).map_err(io)?;
        sync_directory_at(path.parent().unwrap_or(Path::new(""))).map_err(io)
    }

    fn backend(path: &Path) -> Result<FileBackend, EngineError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| EngineError::from_io(OPENING, error))?;
        FileBackend::new(file).map_err(|error| from_database(OPENING, error))
    }

    /// Opens what is in the backend and the log, or begins anew where the backend is empty. The log's name has to be
    /// synced. If a power cut ends the very first opening, the backend may hold what no later opening takes.
    ///
    /// # Errors
    /// As [`RedbEngine::open`].
    pub fn with_backend(
        backend: impl StorageBackend,
        log: Arc<dyn File>,
        config: RedbConfig,
    ) -> Result<Self, EngineError> {
        let database = open_database(backend, config)?;
        let log = recover(&database, log).map_err(|failure| failure.at(OPENING))?;
        Ok(Self {
            database,
            log: Mutex::new(CommitLog { log, failed: false }),
            log_bytes_max: config.log_bytes_max,
        })
    }

    /// The table as it is now; `None` while nobody has written to it.
    fn table(&self, table: Table) -> Result<Option<OpenTable>, EngineError> {
        let transaction = self.database.begin_read().map_err(|error| from_redb(READING, error.into()))?;
        table_in(&transaction, table)
    }

    fn apply(&self, batch: &Batch) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(redb::Durability::None)?;
        // Dropped on an error, the transaction takes back what was done so far.
        for (table, changes) in batch.tables() {
            let mut open = transaction.open_table(definition(table))?;
            for (key, value) in changes {
                match value {
                    Some(value) => drop(open.insert(key, value)?),
                    None => drop(open.remove(key)?),
                }
            }
        }
        Ok(transaction.commit()?)
    }

    /// redb halves a page that is full, so pages that are filled from one end stay half empty, as do those of rows that were long
    /// for a while. A cursor that inserts one behind the other fills them.
    fn pack_some(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        bytes: usize,
    ) -> Result<Option<Vec<u8>>, redb::Error> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(redb::Durability::None)?;
        let mut next = None;
        {
            let mut open = transaction.open_table(definition(table))?;
            let (mut rows, mut seen) = (Vec::new(), 0);
            for found in open.range::<&[u8]>(bounds(from, to))? {
                let (key, value) = found?;
                if seen >= bytes {
                    next = Some(key.value().to_vec());
                    break;
                }
                seen += key.value().len() + value.value().len();
                rows.push((key.value().to_vec(), value.value().to_vec()));
            }
            if let [(first, _), .., (last, _)] = rows.as_slice() {
                let (first, last) = (first.as_slice(), last.as_slice());
                open.retain_in::<&[u8], _>(first..=last, |_, _| false)?;
                let mut cursor = open.lower_bound_mut(Bound::Included(first))?;
                for (key, value) in &rows {
                    cursor.insert_before(key.as_slice(), value.as_slice())?;
                }
                cursor.close()?;
            }
        }
        transaction.commit()?;
        Ok(next)
    }

    /// Brings redb's file up to the last commit, and begins the log from the front; with `is_last` for an orderly end.
    fn checkpoint(&self, log: &mut Log, is_last: bool) -> Result<(), redb::Error> {
        let transaction = durable(&self.database)?;
        {
            let mut state = transaction.open_table(STATE)?;
            state.insert(APPLIED, log.sequence())?;
            if is_last {
                state.remove(EPOCH)?;
            }
        }
        transaction.commit()?;
        log.restart();
        Ok(())
    }

    fn lock(&self) -> Result<MutexGuard<'_, CommitLog>, EngineError> {
        match self.log.lock() {
            Ok(guard) if !guard.failed => Ok(guard),
            // Poisoned: a commit panicked, which is a failure too.
            _ => Err(EngineError::Io {
                doing: COMMITTING,
                source: "an earlier commit failed; the engine has to be opened again".into(),
            }),
        }
    }
}

fn table_in(transaction: &ReadTransaction, table: Table) -> Result<Option<OpenTable>, EngineError> {
    match transaction.open_table(definition(table)) {
        Ok(open) => Ok(Some(open)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(from_redb(READING, error.into())),
    }
}

/// A transaction that reads sees what was committed before it began. While it is there, redb keeps the pages that it sees.
struct RedbSnapshot(ReadTransaction);

impl Snapshot for RedbSnapshot {
    fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError> {
        let Some(open) = table_in(&self.0, table)? else { return Ok(Vec::new()) };
        let found =
            open.range::<&[u8]>(bounds(from, None)).map_err(|error| from_redb(READING, error.into()))?;
        found.take(limit).map(pair).collect()
    }
}

/// A transaction that is durable when it is committed, and after which an opening need not read the whole file.
fn durable(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(redb::Durability::Immediate)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn open_database(backend: impl StorageBackend, config: RedbConfig) -> Result<Database, EngineError> {
    catch_damage(OPENING, || {
        Database::builder()
            .set_cache_size(config.cache_bytes)
            .create_with_backend(backend)
            .map_err(|error| from_database(OPENING, error))
    })
}

/// Either side of a step that goes through redb and the log.
enum Failure {
    Redb(redb::Error),
    Log(EngineError),
}

impl Failure {
    fn at(self, doing: &'static str) -> EngineError {
        match self {
            Self::Redb(error) => from_redb(doing, error),
            Self::Log(error) => error,
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

/// Opens the log and makes durable in redb what it has beyond redb's file. Where redb knows no epoch, there is nothing,
/// and the log is made anew.
fn recover(database: &Database, file: Arc<dyn File>) -> Result<Log, Failure> {
    let transaction = durable(database)?;
    let log = {
        let mut state = transaction.open_table(STATE)?;
        let epoch = state.get(EPOCH)?.map(|epoch| epoch.value());
        let applied = state.get(APPLIED)?.map_or(0, |applied| applied.value());
        let log = match epoch {
            None => Log::create(file, applied),
            Some(epoch) => Log::open(file, epoch, applied, &mut |body| replay(&transaction, body)),
        };
        let log = log.map_err(Failure::Log)?;
        state.insert(EPOCH, log.epoch())?;
        state.insert(APPLIED, log.sequence())?;
        log
    };
    transaction.commit()?;
    Ok(log)
}

fn replay(transaction: &WriteTransaction, body: &[u8]) -> Result<(), EngineError> {
    let changes = log::decode(body).ok_or_else(|| EngineError::Corrupt {
        doing: OPENING,
        source: "a frame of the log is none of ours".into(),
    })?;
    let apply = || -> Result<(), redb::Error> {
        for (table, key, value) in changes {
            let mut open = transaction.open_table(TableDefinition::<&[u8], &[u8]>::new(table))?;
            match value {
                Some(value) => drop(open.insert(key, value)?),
                None => drop(open.remove(key)?),
            }
        }
        Ok(())
    };
    apply().map_err(|error| from_redb(OPENING, error))
}

impl Drop for RedbEngine {
    fn drop(&mut self) {
        // An orderly end leaves everything in redb's file. Without it the next opening does the same.
        if let Ok(mut guard) = self.lock()
            && let Err(error) = self.checkpoint(&mut guard.log, true)
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "redb's log is left to the next opening"
            );
        }
    }
}

impl fmt::Debug for RedbEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbEngine").field("log_bytes_max", &self.log_bytes_max).finish_non_exhaustive()
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
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, EngineError> {
        let transaction = self.database.begin_read().map_err(|error| from_redb(READING, error.into()))?;
        Ok(Box::new(RedbSnapshot(transaction)))
    }

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

    fn pack(
        &self,
        table: Table,
        from: &[u8],
        to: Option<&[u8]>,
        bytes: usize,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        if is_empty_range(from, to, bytes) {
            return Ok(None);
        }
        let mut guard = self.lock()?;
        let CommitLog { log, failed } = &mut *guard;
        *failed = true;
        // The file follows at once: pages that were left behind are free for what comes only then.
        let next = self
            .pack_some(table, from, to, bytes)
            .and_then(|next| self.checkpoint(log, false).map(|()| next))
            .map_err(|error| from_redb(PACKING, error))?;
        *failed = false;
        Ok(next)
    }

    fn commit(&self, batch: &Batch, durability: Durability) -> Result<(), EngineError> {
        batch.check()?;
        let mut guard = self.lock()?;
        let CommitLog { log, failed } = &mut *guard;
        if !batch.is_empty() {
            log.append(batch);
        }
        // Stays so unless everything below is done. The log comes first: what is seen in redb is durable already.
        *failed = true;
        if durability == Durability::Durable || log.is_waiting_long() {
            log.sync()?;
        }
        if !batch.is_empty() {
            self.apply(batch).map_err(|error| from_redb(COMMITTING, error))?;
        }
        *failed = false;
        if log.bytes() >= self.log_bytes_max
            && let Err(error) = self.checkpoint(log, false)
        {
            // This commit is in and durable; it is the next one that cannot be.
            *failed = true;
            let error = from_redb(COMMITTING, error);
            tracing::error!(
                code = error.code(),
                error = &error as &dyn std::error::Error,
                "redb's file could not follow its log: no more commits until the engine is opened again"
            );
        }
        Ok(())
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
mod tests;
