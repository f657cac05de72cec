//! The journal as its callers see it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use ingam_protocol::record::{Class, Record};
use ingam_protocol::time::Timestamp;

use crate::append::{append_class, create, remove};
use crate::body::Opened;
use crate::chain::Head;
use crate::error::{Error, while_doing};
use crate::files::{File, Files};
use crate::keys::{Key, SegmentKeys};
use crate::pack::pack;
use crate::reader::{Records, Source};
use crate::recent::Recent;
use crate::recover::recover;
use crate::segment::{Header, Name, Tally};
use crate::verify::{VerifyReport, verify};

/// At most this many records are one append.
pub const APPEND_RECORDS_MAX: usize = 4096;

/// So many of the last records of a class are known by name, in appends and in readers: a record that comes again
/// within this distance is kept once.
pub const RECENT_IDS_MAX: usize = 32_768;

/// How records are cut into segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// How much time one segment covers, of a class that `periods` does not name. What has to be gone by a certain
    /// time goes by whole segments, so this should be a small part of how long the class is kept.
    pub period: Duration,
    /// The same for some classes.
    pub periods: BTreeMap<Class, Duration>,
    /// A segment gets no further record once it has this many bytes.
    pub segment_bytes_max: u64,
    /// Whether segments are written as the first version did.
    #[cfg(test)]
    pub(crate) plain: bool,
}

impl Default for JournalConfig {
    /// Thirty days, one day for the log of OCSP requests, 64 MiB.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            period: 30 * DAY,
            periods: BTreeMap::from([(Class::OcspRequestLog, DAY)]),
            segment_bytes_max: 64 << 20,
            #[cfg(test)]
            plain: false,
        }
    }
}

impl JournalConfig {
    /// Whether new segments are sealed: always, but where tests make what an older version left.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests decide"))]
    pub(crate) fn is_sealed(&self) -> bool {
        #[cfg(test)]
        return !self.plain;
        #[cfg(not(test))]
        true
    }

    /// The length of the class's periods in milliseconds, at least one.
    pub(crate) fn period_ms(&self, class: Class) -> u64 {
        let period = self.periods.get(&class).unwrap_or(&self.period);
        u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// How a segment's file is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As the first version wrote it: open.
    Plain,
    /// Sealed, append by append.
    Sealed,
    /// Sealed and compressed: it gets no further records.
    Packed,
}

/// What is known of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The class of its records.
    pub class: Class,
    /// Its number within the class.
    pub sequence: u64,
    /// Its name, and that of its file as long as it is not packed.
    pub name: String,
    /// How its file is made.
    pub form: Form,
    /// Where its period begins. Records that came late are from before.
    pub period_start: Timestamp,
    /// Where its period ends: every record in it is from before.
    pub period_end: Timestamp,
    /// How many records of the class lie in earlier segments.
    pub first_index: u64,
    /// How many records it has, erased ones included.
    pub records: u64,
    /// How many bytes its stream has, with the header: the place behind its last record.
    pub bytes: u64,
    /// How many bytes its file has.
    pub file_bytes: u64,
    /// Whether it gets no further records.
    pub closed: bool,
    /// The time of its earliest record.
    pub earliest: Option<Timestamp>,
    /// The time of its latest record.
    pub latest: Option<Timestamp>,
    /// When the last of the things ends that its records are about.
    pub end_of_life: Option<Timestamp>,
    /// The head of the chain after its last record.
    pub head: Head,
}

impl SegmentInfo {
    /// The name of its file.
    pub fn file_name(&self) -> String {
        if self.form == Form::Packed { Name::packed(&self.name) } else { self.name.clone() }
    }

    pub(crate) fn new(header: &Header, tally: &Tally, file_bytes: u64, form: Form, closed: bool) -> Self {
        Self {
            class: header.class,
            sequence: header.sequence,
            name: header.name(),
            form,
            period_start: header.period_start,
            period_end: Timestamp::from_unix_ms(header.period_end_ms()),
            first_index: header.first_index,
            records: tally.records,
            bytes: tally.bytes,
            file_bytes,
            closed,
            earliest: tally.earliest,
            latest: tally.latest,
            end_of_life: tally.end_of_life,
            head: tally.head,
        }
    }
}

/// The archive of records in one directory.
///
/// Any number of threads may read while one appends; appends wait for each other. That no second process appends is for
/// the caller to see to.
pub struct Journal {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) keys: Arc<SegmentKeys>,
    pub(crate) config: JournalConfig,
    state: Mutex<State>,
    /// Held to write by what makes another file of a closed segment, or none.
    still: RwLock<()>,
}

/// As long as it is held, the files of closed segments stay as they are.
#[derive(Debug)]
pub struct Still<'a> {
    _held: RwLockReadGuard<'a, ()>,
}

/// What is in memory, which is what is on disk and synced.
pub(crate) struct State {
    pub(crate) classes: BTreeMap<Class, ClassState>,
    /// The segments that could not be packed.
    unpackable: BTreeSet<String>,
    /// True while an append is at work, and for good once one left the disk in a state that is not known.
    broken: bool,
}

/// One class: its segments, and where its chain goes on.
pub(crate) struct ClassState {
    pub(crate) closed: Vec<SegmentInfo>,
    pub(crate) open: Option<OpenSegment>,
    pub(crate) next_sequence: u64,
    /// The index of the first record of the next segment, and the head it begins with.
    pub(crate) next_index: u64,
    pub(crate) head: Head,
    pub(crate) recent: Recent,
}

/// The segment in use.
pub(crate) struct OpenSegment {
    pub(crate) header: Header,
    pub(crate) name: String,
    pub(crate) file: Arc<dyn File>,
    /// None in a segment of the first version.
    pub(crate) key: Option<Key>,
    /// Of what is synced.
    pub(crate) tally: Tally,
    /// How many bytes of the file that is.
    pub(crate) file_bytes: u64,
}

impl OpenSegment {
    fn info(&self) -> SegmentInfo {
        let form = if self.key.is_some() { Form::Sealed } else { Form::Plain };
        SegmentInfo::new(&self.header, &self.tally, self.file_bytes, form, false)
    }
}

impl ClassState {
    pub(crate) fn new(class: Class) -> Self {
        Self {
            closed: Vec::new(),
            open: None,
            next_sequence: 1,
            next_index: 0,
            head: Head::first(class),
            recent: Recent::new(RECENT_IDS_MAX),
        }
    }

    /// All segments, in order.
    pub(crate) fn segments(&self) -> Vec<SegmentInfo> {
        let open = self.open.as_ref().map(OpenSegment::info);
        self.closed.iter().cloned().chain(open).collect()
    }
}

impl Journal {
    /// Opens the journal in this directory; an empty one is a journal without records.
    ///
    /// What a power cut left of an append that was not answered is cut off. Everything else has to be as it was written,
    /// as far as this looks: headers, how the chain goes on from segment to segment, and the frames of each class's
    /// last segments. [`Journal::verify`] looks at the rest. What lies under a destroyed key is removed.
    ///
    /// # Errors
    /// [`Error::KeyLost`], [`Error::Corrupt`] and [`Error::Record`] for what is not as it was written, [`Error::Newer`] for what a newer
    /// version wrote, [`Error::Io`].
    pub fn open(files: Arc<dyn Files>, keys: Arc<SegmentKeys>, config: JournalConfig) -> Result<Self, Error> {
        let classes = recover(files.as_ref(), &keys)?;
        Ok(Self {
            files,
            keys,
            config,
            state: Mutex::new(State { classes, unpackable: BTreeSet::new(), broken: false }),
            still: RwLock::default(),
        })
    }

    /// Adds the records, each to its class, in this order; they are durable when this returns. A record that is among
    /// the last [`RECENT_IDS_MAX`] of its class already is skipped, so an append may be repeated.
    ///
    /// After an error some of the records may be in, whole and durable, and others not; the caller repeats the append.
    /// What was not answered for is cut off the files at once. Only where that fails too is the journal broken, and
    /// refuses everything until it is opened again: it would have to write behind bytes of which it does not know
    /// whether they will be there.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::TooLarge`], [`Error::Io`], [`Error::Broken`].
    pub fn append(&self, records: &[Record]) -> Result<(), Error> {
        if records.len() > APPEND_RECORDS_MAX {
            return Err(Error::TooMany { records: records.len() });
        }
        let mut by_class: BTreeMap<Class, Vec<&Record>> = BTreeMap::new();
        for record in records {
            by_class.entry(record.class()).or_default().push(record);
        }
        self.change(|journal, classes| {
            for (class, records) in by_class {
                let state = classes.entry(class).or_insert_with(|| ClassState::new(class));
                append_class(journal, class, state, &records)?;
            }
            Ok(())
        })
    }

    /// Closes every segment whose period is over at `now`, so that a class which gets no more records can go too. What could
    /// not be packed is tried again from then on.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Broken`].
    pub fn close_ended(&self, now: Timestamp) -> Result<(), Error> {
        self.state().unpackable.clear();
        self.change(|_, classes| {
            for state in classes.values_mut() {
                if state.open.as_ref().is_some_and(|open| open.header.period_end_ms() <= now.unix_ms()) {
                    crate::append::close(self, state)?;
                }
            }
            Ok(())
        })
    }

    /// Destroys a segment that gets no further records: its key, then its file. When this returns, or fails after the key is
    /// gone, its records are gone for good, in every copy of the file. The chain keeps their place, as the next segment's
    /// header has its head and index; where it is the last of its class, an empty one is begun behind it. Whether they
    /// may go is for the caller to know.
    ///
    /// # Errors
    /// [`Error::NoSuchSegment`] if there is no closed one of that number; [`Error::Io`], after which it is there or not,
    /// and the call may be repeated; [`Error::Still`] while somebody copies; [`Error::Broken`].
    pub fn destroy(&self, class: Class, sequence: u64) -> Result<SegmentInfo, Error> {
        let Ok(_moving) = self.still.try_write() else { return Err(Error::Still) };
        let none = || Error::NoSuchSegment { class, sequence };
        let mut destroyed = None;
        self.change(|journal, classes| {
            let harmless = |error| Failure { error, undone: true };
            let state = classes.get_mut(&class).ok_or_else(|| harmless(none()))?;
            let at = state.closed.iter().position(|segment| segment.sequence == sequence);
            let at = at.ok_or_else(|| harmless(none()))?;
            if at + 1 == state.closed.len() && state.open.is_none() {
                let end = state.closed.last().map_or(Timestamp::from_unix_ms(0), |last| last.period_end);
                state.open = Some(create(journal, class, state, end)?);
            }
            let Some(info) = state.closed.get(at).cloned() else { return Ok(()) };
            journal.remove_segment(&info).map_err(harmless)?;
            state.closed.remove(at);
            destroyed = Some(info);
            Ok(())
        })?;
        destroyed.ok_or_else(none)
    }

    fn remove_segment(&self, info: &SegmentInfo) -> Result<(), Error> {
        let key = match Opened::segment(self.files.as_ref(), &self.keys, &info.name) {
            Ok(opened) => opened.header.key,
            // An earlier call came so far.
            Err(Error::KeyDestroyed { .. }) => None,
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(key) = key {
            self.keys.destroy(key)?;
        }
        for name in [info.name.clone(), Name::packed(&info.name)] {
            remove(self.files.as_ref(), &name).map_err(while_doing("removing", &name))?;
        }
        // The key's slot is used again after the next opening: a copy of all files that is made meanwhile has either the key
        // or the note of its end.
        self.files.sync_directory().map_err(while_doing("syncing the directory", ""))
    }

    /// Keeps the files of closed segments as they are, for whoever copies them: none is packed or destroyed as long as what
    /// this gives is held. Waits for the end of what is under way.
    pub fn keep_still(&self) -> Still<'_> {
        Still { _held: self.still.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Compresses the oldest closed segment that is not packed yet. Reads and appends go on meanwhile; the segment is there
    /// in one form or the other at any moment, and the packed one was read back before it counts. Whether one was packed:
    /// none is while somebody [copies](Journal::keep_still), and none that failed before.
    ///
    /// # Errors
    /// [`Error::Io`], and what is wrong with the segment; it stays as it is then, until [`Journal::close_ended`] is called.
    pub fn pack_next(&self) -> Result<bool, Error> {
        let Ok(_moving) = self.still.try_write() else { return Ok(false) };
        let waiting = |state: &State| {
            let segments = state.classes.values().flat_map(|class| class.closed.iter());
            let fit =
                segments.filter(|info| info.form != Form::Packed && !state.unpackable.contains(&info.name));
            fit.min_by_key(|info| info.latest).cloned()
        };
        let Some(info) = waiting(&self.state()) else { return Ok(false) };
        let file_bytes = pack(self, &info).inspect_err(|_| {
            self.state().unpackable.insert(info.name.clone());
        })?;
        self.change(|journal, classes| {
            let segments = classes.get_mut(&info.class).map(|state| &mut state.closed);
            let known =
                segments.and_then(|segments| segments.iter_mut().find(|other| other.name == info.name));
            let harmless = |error| Failure { error, undone: true };
            // Where it was destroyed meanwhile, its packed form goes too.
            let unwanted = if known.is_some() { info.name.clone() } else { Name::packed(&info.name) };
            let files = journal.files.as_ref();
            remove(files, &unwanted).map_err(while_doing("removing", &unwanted)).map_err(harmless)?;
            if let Some(known) = known {
                (known.form, known.file_bytes) = (Form::Packed, file_bytes);
            }
            files.sync_directory().map_err(while_doing("syncing the directory", "")).map_err(harmless)
        })?;
        Ok(true)
    }

    /// The records of the class, oldest first, as they are now: what is appended later is not among them. Erased
    /// records are passed over, a record that was kept twice comes once.
    pub fn records(&self, class: Class) -> Records {
        let segments = self.state().classes.get(&class).map(ClassState::segments).unwrap_or_default();
        Records::new(self.source(), segments)
    }

    /// The records of one segment, as far as it was written when it was listed.
    pub fn records_of(&self, segment: SegmentInfo) -> Records {
        Records::new(self.source(), vec![segment])
    }

    /// The same from a place on, which [`Records::place`] or an earlier listing's [`SegmentInfo::bytes`] gave.
    pub fn records_of_from(&self, segment: SegmentInfo, place: u64) -> Records {
        Records::from(self.source(), vec![segment], place)
    }

    /// All segments, by class and in order.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.state().classes.values().flat_map(ClassState::segments).collect()
    }

    pub(crate) fn source(&self) -> Source {
        Source { files: self.files.clone(), keys: self.keys.clone() }
    }

    /// How many bytes all files have together. Waits for an append that is under way.
    pub fn bytes(&self) -> u64 {
        let state = self.state();
        let open = |class: &ClassState| class.open.as_ref().map_or(0, |open| open.file_bytes);
        let closed = |class: &ClassState| class.closed.iter().map(|segment| segment.file_bytes).sum::<u64>();
        state.classes.values().map(|class| closed(class) + open(class)).sum()
    }

    /// The time of the newest record, over all classes. Waits for an append that is under way.
    pub fn newest(&self) -> Option<Timestamp> {
        let state = self.state();
        let of = |class: &ClassState| {
            let open = class.open.as_ref().and_then(|open| open.tally.latest);
            class.closed.iter().map(|segment| segment.latest).chain([open]).max().flatten()
        };
        state.classes.values().filter_map(of).max()
    }

    /// Reads everything and checks it: headers, checksums, commitments, the chain through all segments of each class,
    /// and that the files are what this journal wrote and found when it was opened. Appends go on meanwhile; what they
    /// add is not looked at.
    ///
    /// # Errors
    /// The first thing that is wrong, as [`Error::Corrupt`], [`Error::Record`] or [`Error::Newer`]; [`Error::Io`].
    pub fn verify(&self) -> Result<VerifyReport, Error> {
        let segments: Vec<_> =
            self.state().classes.iter().map(|(class, state)| (*class, state.segments())).collect();
        verify(&self.source(), &segments)
    }

    /// Runs a change under the lock; the work has to undo what it could not finish, or say that it could not.
    fn change(
        &self,
        work: impl FnOnce(&Self, &mut BTreeMap<Class, ClassState>) -> Result<(), Failure>,
    ) -> Result<(), Error> {
        let mut state = self.state();
        if state.broken {
            return Err(Error::Broken);
        }
        // Stays so if the work panics.
        state.broken = true;
        let result = work(self, &mut state.classes);
        state.broken = matches!(result, Err(Failure { undone: false, .. }));
        result.map_err(|failure| failure.error)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves `broken` behind, which says more than the poison does.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A change that failed.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Whether memory and disk are again what they were after the last sync that succeeded.
    pub(crate) undone: bool,
}
