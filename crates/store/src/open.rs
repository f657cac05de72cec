//! Opening and closing the store, and the handle of the authority.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::thread::JoinHandle;

use ingam_journal::files::Files;
use ingam_journal::folders::{FileSystem, Folders};
use ingam_journal::{Journal, JournalConfig, SegmentKeys};
use ingam_protocol::time::Random;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tracing::Instrument;

use crate::archive::{Archiver, ArchiverTurn, Call};
use crate::backup::refuse_half_restored;
use crate::committer::{Committer, Queue};
use crate::contact::SubjectKeys;
use crate::engine::redb::{RedbConfig, RedbEngine};
use crate::engine::sled::SledEngine;
use crate::engine::{Batch, Durability, Engine};
use crate::error::Error;
use crate::migration::{copy_before, migrate};
use crate::room::is_short;
use crate::status::{FEED_MAX, StatusChange, StatusStore};
use crate::subject::{destroy_again, take_up};
use crate::table::{CLASSES, FORMAT_VERSION, META, META_FORMAT, META_GENERATION, META_MIGRATION, OUTBOX};
use crate::transaction::{Transaction, decode_counter};

/// How the store is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which engine holds the tables.
    pub engine: EngineChoice,
    /// At most this many MiB of the engine's pages are kept in memory.
    pub cache_mib: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { engine: EngineChoice::Redb, cache_mib: 128 }
    }
}

/// An engine by its name in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// One file, copy on write; the default.
    Redb,
    /// A log-structured tree; for development, or where loss on power failure is accepted.
    Sled,
}

/// The authority's handle: cheap to clone, every change a named transaction.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    queue: Queue,
    generation: Arc<AtomicU64>,
    feed: broadcast::Sender<StatusChange>,
    subject_keys: Arc<SubjectKeys>,
    journal: Arc<Journal>,
    archiver: ArchiverTurn,
}

impl Store {
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn journal_arc(&self) -> &Arc<Journal> {
        &self.journal
    }

    pub(crate) fn engine_shared(&self) -> Arc<dyn Engine> {
        self.engine.clone()
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    pub(crate) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(crate) fn subject_keys(&self) -> &Arc<SubjectKeys> {
        &self.subject_keys
    }

    /// Runs one transaction; back when it is durable.
    pub(crate) async fn run<T, F>(&self, body: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        // What is waited for: the committer runs it on its own thread, with whatever has queued beside it.
        self.queue.run(body).instrument(tracing::debug_span!("store")).await
    }

    /// Comes back when all that was on record before is in the journal, and durable there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the journal takes no records now; they stay in the outbox.
    pub(crate) async fn records_archived(&self) -> Result<(), Error> {
        self.archiver.move_all().await
    }

    /// The responder's handle on the same store.
    pub fn statuses(&self) -> StatusStore {
        StatusStore {
            engine: self.engine.clone(),
            queue: self.queue.clone(),
            generation: self.generation.clone(),
            feed: self.feed.clone(),
        }
    }
}

/// The threads behind the handles: whoever opened the store closes it with this.
pub struct StoreProcess {
    queue: Queue,
    committer: JoinHandle<()>,
    archiver: JoinHandle<()>,
    archiver_turn: ArchiverTurn,
    journal: Arc<Journal>,
}

impl StoreProcess {
    /// Moves what is in the outbox into the journal, finishes what has queued, and closes the files. Handles that are
    /// still held get [`Error::Unavailable`] from now on. Blocks.
    pub fn close(self) {
        // The archiver's last deletions go through the committer, so it ends first.
        let told = self.archiver_turn.0.send(Call::Stop);
        let archiver = self.archiver.join();
        self.queue.stop();
        let committer = self.committer.join();
        if told.is_err() || archiver.is_err() || committer.is_err() {
            tracing::error!(code = "store_thread", "a thread of the store had ended before its time");
        }
    }

    /// The journal that the archiver fills, for readers.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }
}

/// Where the parts of a store lie, and on which disk: tests put them on one that breaks.
pub struct Parts {
    /// The tables.
    pub engine: Arc<dyn Engine>,
    /// The journal's directory.
    pub journal: Arc<dyn Files>,
    /// The directory of the keys of the journal's segments.
    pub journal_keys: Arc<dyn Files>,
    /// The directory of the keys of personal data.
    pub keys: Arc<dyn Files>,
    /// Where keys and nonces come from.
    pub random: Arc<dyn Random>,
}

impl Store {
    /// Opens the store in a directory that is there, and makes what is missing in it: `store.redb` or `store.sled/`,
    /// `journal/`, `journal-keys/`, `contacts/`. One of an older format is copied to `before-format-N/`, or `before-format-N.1/` and so
    /// on beside an earlier copy, and brought to this one. Only one process may have it open. Blocks.
    ///
    /// # Errors
    /// [`Error`], which names the part that does not open.
    pub fn open(
        directory: &Path,
        config: &Config,
        random: Arc<dyn Random>,
    ) -> Result<(Self, StoreProcess), Error> {
        Self::open_in(&FileSystem, directory, config, random)
    }

    /// The same on any file layer.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_in(
        disk: &dyn Folders,
        directory: &Path,
        config: &Config,
        random: Arc<dyn Random>,
    ) -> Result<(Self, StoreProcess), Error> {
        refuse_half_restored(disk, directory)?;
        let mut engine = open_engine(disk, directory, config)?;
        let format = counter(engine.as_ref(), META_FORMAT)?;
        let is_copied = counter(engine.as_ref(), META_MIGRATION)? == format;
        if (1..FORMAT_VERSION).contains(&format) && !is_copied {
            // Files are copied while nobody has them open.
            drop(engine);
            let copy = copy_before(disk, directory, format)?;
            tracing::warn!(copy = %copy.display(), "the store is of an older format: this is a copy of it as it was");
            engine = open_engine(disk, directory, config)?;
        }
        Self::assemble(Parts {
            engine,
            journal: files_of(disk, &directory.join("journal"))?,
            journal_keys: files_of(disk, &directory.join("journal-keys"))?,
            keys: files_of(disk, &directory.join("contacts"))?,
            random,
        })
    }

    /// Puts a store together from its parts and starts its threads. Blocks.
    ///
    /// # Errors
    /// [`Error`], which names the part that does not open.
    pub fn assemble(parts: Parts) -> Result<(Self, StoreProcess), Error> {
        let Parts { engine, journal, journal_keys, keys, random } = parts;
        let folders = vec![journal.clone(), journal_keys.clone(), keys.clone()];
        let is_new = check_format(&engine)?;
        let generation = Arc::new(AtomicU64::new(counter(engine.as_ref(), META_GENERATION)?));
        let mut outbox_next = outbox_next(engine.as_ref())?;
        let segment_keys = SegmentKeys::open(journal_keys.as_ref(), random.clone())
            .map_err(|cause| Error::Journal("opening the keys of the journal", cause))?;
        let journal = Journal::open(journal, Arc::new(segment_keys), JournalConfig::default())
            .map_err(|cause| Error::Journal("opening the journal", cause))?;
        let journal = Arc::new(journal);
        if is_new && !journal.segments().is_empty() {
            return Err(Error::Lost);
        }
        if is_new {
            write_format(engine.as_ref())?;
        }
        let subject_keys = Arc::new(SubjectKeys::open(keys, random)?);

        match take_up(engine.as_ref(), &subject_keys, &mut outbox_next) {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(count, "keys were destroyed whose erasure an earlier process had begun")
            }
            // A CA with a full disk has to come up; the sweep goes on trying, and nothing is sealed under them meanwhile.
            Err(error) => tracing::error!(
                code = error.code(),
                error = &error as &dyn std::error::Error,
                "keys that are to be destroyed are still there: it is tried again"
            ),
        }
        match destroy_again(engine.as_ref(), &subject_keys, &journal) {
            Ok(0) => {}
            Ok(count) => tracing::warn!(
                code = "keys_back",
                count,
                "keys of contacts that were erased were there again, as of an old copy of contacts/ that was put back: they are \
                 destroyed once more; delete that copy"
            ),
            Err(error) => tracing::error!(
                code = error.code(),
                error = &error as &dyn std::error::Error,
                "it is not known whether keys of contacts that were erased are there again: the next start looks once more"
            ),
        }

        let (feed, _) = broadcast::channel(FEED_MAX);
        let (committer, queue) =
            Committer::new(engine.clone(), generation.clone(), feed.clone(), outbox_next);
        queue.vitals().looked_at_room(is_short(&folders));
        let archiver =
            Archiver { engine: engine.clone(), queue: queue.clone(), journal: journal.clone(), folders };
        let (turn, turns) = mpsc::channel();
        let turn = ArchiverTurn(turn);
        let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(body)
                .map_err(|cause| Error::File("starting a thread of the store".to_owned(), cause))
        };
        let committer = spawn("committer", Box::new(move || committer.run()))?;
        let archiver = spawn("archiver", Box::new(move || archiver.run(&turns)))?;
        let journal_of = journal.clone();
        let archiver_turn = turn.clone();
        let process = StoreProcess { queue: queue.clone(), committer, archiver, archiver_turn, journal };
        let store =
            Self { engine, queue, generation, feed, subject_keys, journal: journal_of, archiver: turn };
        Ok((store, process))
    }
}

/// The files of a folder, which is made if it is not there.
pub(crate) fn files_of(disk: &dyn Folders, folder: &Path) -> Result<Arc<dyn Files>, Error> {
    let failed = |cause| Error::File(format!("opening the folder {}", folder.display()), cause);
    disk.files(folder).map_err(failed)
}

/// The engine in a folder. sled is on the file system of the machine, whatever the layer.
pub(crate) fn open_engine(
    disk: &dyn Folders,
    directory: &Path,
    config: &Config,
) -> Result<Arc<dyn Engine>, Error> {
    match config.engine {
        EngineChoice::Redb => {
            let cache_bytes = usize::try_from(config.cache_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20);
            let redb = RedbConfig { cache_bytes, ..RedbConfig::default() };
            let engine = RedbEngine::open_in(disk, &directory.join("store.redb"), redb);
            Ok(Arc::new(engine.map_err(|cause| Error::Engine("opening store.redb", cause))?))
        }
        EngineChoice::Sled => {
            let engine = SledEngine::open(&directory.join("store.sled"));
            Ok(Arc::new(engine.map_err(|cause| Error::Engine("opening store.sled", cause))?))
        }
    }
}

pub(crate) fn counter(engine: &dyn Engine, name: &[u8]) -> Result<u64, Error> {
    decode_counter(engine.get(META, name).map_err(|cause| Error::Engine("reading a counter", cause))?)
}

/// Whether the store is new; an older one is brought to this version's format, a newer one refused.
fn check_format(engine: &Arc<dyn Engine>) -> Result<bool, Error> {
    match counter(engine.as_ref(), META_FORMAT)? {
        0 => Ok(true),
        FORMAT_VERSION => Ok(false),
        older @ 1..FORMAT_VERSION => migrate(engine, older).map(|()| false),
        newer => Err(Error::Newer(newer)),
    }
}

fn write_format(engine: &dyn Engine) -> Result<(), Error> {
    let mut batch = Batch::new();
    batch.put(META, META_FORMAT, FORMAT_VERSION.to_be_bytes());
    let written = engine.commit(&batch, Durability::Durable);
    written.map_err(|cause| Error::Engine("writing the format version", cause))
}

pub(crate) fn outbox_next(engine: &dyn Engine) -> Result<u64, Error> {
    let last = engine
        .range_last(OUTBOX, &[], None, 1)
        .map_err(|cause| Error::Engine("reading the end of the outbox", cause))?;
    match last.into_iter().next() {
        None => Ok(0),
        Some((key, _)) => decode_counter(Some(key)).map(|last| last + 1),
    }
}

/// The names of all tables and the retention class of what each holds.
pub fn table_classes() -> impl Iterator<Item = (&'static str, ingam_protocol::record::Class)> {
    CLASSES.iter().map(|(table, class)| (table.name(), *class))
}
