//! The journal as its callers see it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ingam_protocol::record::{Class, Record};
use ingam_protocol::time::Timestamp;

use crate::append::append_class;
use crate::chain::Head;
use crate::error::{Error, while_doing};
use crate::files::{File, Files};
use crate::reader::Records;
use crate::recent::Recent;
use crate::recover::recover;
use crate::segment::{Header, Tally};
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
}

impl Default for JournalConfig {
    /// Thirty days, one day for the log of OCSP requests, 64 MiB.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            period: 30 * DAY,
            periods: BTreeMap::from([(Class::OcspRequestLog, DAY)]),
            segment_bytes_max: 64 << 20,
        }
    }
}

impl JournalConfig {
    /// The length of the class's periods in milliseconds, at least one.
    pub(crate) fn period_ms(&self, class: Class) -> u64 {
        let period = self.periods.get(&class).unwrap_or(&self.period);
        u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

/// What is known of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The class of its records.
    pub class: Class,
    /// Its number within the class.
    pub sequence: u64,
    /// Its file.
    pub name: String,
    /// Where its period begins. Records that came late are from before.
    pub period_start: Timestamp,
    /// Where its period ends: every record in it is from before.
    pub period_end: Timestamp,
    /// How many records of the class lie in earlier segments.
    pub first_index: u64,
    /// How many records it has, erased ones included.
    pub records: u64,
    /// How many bytes the file has.
    pub bytes: u64,
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
    pub(crate) fn new(header: &Header, tally: &Tally, closed: bool) -> Self {
        Self {
            class: header.class,
            sequence: header.sequence,
            name: header.name(),
            period_start: header.period_start,
            period_end: Timestamp::from_unix_ms(header.period_end_ms()),
            first_index: header.first_index,
            records: tally.records,
            bytes: tally.bytes,
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
    pub(crate) config: JournalConfig,
    state: Mutex<State>,
}

/// What is in memory, which is what is on disk and synced.
pub(crate) struct State {
    pub(crate) classes: BTreeMap<Class, ClassState>,
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
    /// Of what is synced.
    pub(crate) tally: Tally,
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
        let open = self.open.as_ref().map(|open| SegmentInfo::new(&open.header, &open.tally, false));
        self.closed.iter().cloned().chain(open).collect()
    }
}

impl Journal {
    /// Opens the journal in this directory; an empty one is a journal without records.
    ///
    /// What a power cut left of an append that was not answered is cut off. Everything else has to be as it was written,
    /// as far as this looks: headers, how the chain goes on from segment to segment, and the frames of each class's
    /// last segments. [`Journal::verify`] looks at the rest.
    ///
    /// # Errors
    /// [`Error::Corrupt`] and [`Error::Record`] for what is not as it was written, [`Error::Newer`] for what a newer
    /// version wrote, [`Error::Io`].
    pub fn open(files: Arc<dyn Files>, config: JournalConfig) -> Result<Self, Error> {
        let classes = recover(files.as_ref())?;
        Ok(Self { files, config, state: Mutex::new(State { classes, broken: false }) })
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

    /// Closes every segment whose period is over at `now`, so that a class which gets no more records can go too.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Broken`].
    pub fn close_ended(&self, now: Timestamp) -> Result<(), Error> {
        self.change(|_, classes| {
            for state in classes.values_mut() {
                if state.open.as_ref().is_some_and(|open| open.header.period_end_ms() <= now.unix_ms()) {
                    crate::append::close(state)?;
                }
            }
            Ok(())
        })
    }

    /// Destroys a segment that gets no further records; its records are gone for good when this returns. The chain keeps
    /// their place: the next segment's header has its head and index. Whether they may go is for the caller to know.
    ///
    /// # Errors
    /// [`Error::NoSuchSegment`] if there is no closed one of that number, or it is the last of its class, whose number
    /// the next one counts from; [`Error::Io`], after which it is there or not, and the call may be repeated.
    pub fn destroy(&self, class: Class, sequence: u64) -> Result<SegmentInfo, Error> {
        let mut destroyed = None;
        self.change(|journal, classes| {
            let state = classes.get_mut(&class);
            let found = state.and_then(|state| {
                let at = state.closed.iter().position(|segment| segment.sequence == sequence)?;
                (at + 1 < state.closed.len() || state.open.is_some()).then_some((state, at))
            });
            let Some((state, at)) = found else {
                return Err(Failure { error: Error::NoSuchSegment { class, sequence }, undone: true });
            };
            let Some(info) = state.closed.get(at) else { return Ok(()) };
            let gone = match journal.files.remove(&info.name) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                other => other,
            };
            gone.and_then(|()| journal.files.sync_directory())
                .map_err(while_doing("removing", &info.name))
                .map_err(|error| Failure { error, undone: true })?;
            destroyed = Some(state.closed.remove(at));
            Ok(())
        })?;
        destroyed.ok_or(Error::NoSuchSegment { class, sequence })
    }

    /// The records of the class, oldest first, as they are now: what is appended later is not among them. Erased
    /// records are passed over, a record that was kept twice comes once.
    pub fn records(&self, class: Class) -> Records {
        let segments = self.state().classes.get(&class).map(ClassState::segments).unwrap_or_default();
        Records::new(self.files.clone(), segments)
    }

    /// The records of one segment, as far as it was written when it was listed.
    pub fn records_of(&self, segment: SegmentInfo) -> Records {
        Records::new(self.files.clone(), vec![segment])
    }

    /// The same from a place on, which [`Records::place`] or an earlier listing's [`SegmentInfo::bytes`] gave.
    pub fn records_of_from(&self, segment: SegmentInfo, place: u64) -> Records {
        Records::from(self.files.clone(), vec![segment], place)
    }

    /// All segments, by class and in order.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.state().classes.values().flat_map(ClassState::segments).collect()
    }

    /// How many bytes all segments have together. Waits for an append that is under way.
    pub fn bytes(&self) -> u64 {
        let state = self.state();
        let open = |class: &ClassState| class.open.as_ref().map_or(0, |open| open.tally.bytes);
        let closed = |class: &ClassState| class.closed.iter().map(|segment| segment.bytes).sum::<u64>();
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
        verify(self.files.as_ref(), &segments)
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
