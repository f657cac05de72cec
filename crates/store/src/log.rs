//! Reading the records back: those in the journal, and those on their way there.

use std::collections::{BTreeMap, BTreeSet};

use ingam_journal::SegmentInfo;
use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::{Id, Timestamp};

use crate::error::Error;
use crate::open::Store;
use crate::table::OUTBOX;
use crate::transaction::read_range;

/// At most this many segments are read for one question, the newest.
const SEGMENTS_MAX: usize = 64;

/// At most this many records that wait in the outbox are looked at: the newest for a question, the oldest by whoever
/// follows.
const OUTBOX_MAX: usize = 65_536;

/// Which records are wanted.
#[derive(Clone, Debug, Default)]
pub struct RecordQuery {
    /// Of these classes; of all, if there is none.
    pub classes: BTreeSet<Class>,
    /// Of these types; of all, if there is none.
    pub kinds: BTreeSet<RecordType>,
    /// Not before this.
    pub from: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// About this account.
    pub subject: Option<Id>,
    /// With this text in an open part.
    pub text: Option<String>,
}

impl RecordQuery {
    fn spans(&self, earliest: Option<Timestamp>, latest: Option<Timestamp>) -> bool {
        self.from.is_none_or(|from| latest.is_none_or(|latest| latest >= from))
            && self.until.is_none_or(|until| earliest.is_none_or(|earliest| earliest < until))
    }

    fn wants(&self, record: &Record) -> bool {
        (self.classes.is_empty() || self.classes.contains(&record.class()))
            && (self.kinds.is_empty() || self.kinds.contains(&record.kind))
            && self.from.is_none_or(|from| record.time >= from)
            && self.until.is_none_or(|until| record.time < until)
            && self.subject.is_none_or(|subject| record.subject == Some(subject))
            && self.text.as_ref().is_none_or(|text| holds(record, text))
    }
}

fn holds(record: &Record, text: &str) -> bool {
    let wanted = text.as_bytes();
    let open = record.parts.iter().filter(|part| part.seal == ingam_protocol::record::Seal::Open);
    open.into_iter().any(|part| {
        wanted.is_empty()
            || part.bytes.windows(wanted.len()).any(|window| window.eq_ignore_ascii_case(wanted))
    })
}

/// The newest records that fit, oldest first.
#[derive(Clone, Debug, Default)]
pub struct RecordsFound {
    /// The records.
    pub records: Vec<Record>,
    /// Whether older ones that fit may be there: the limit was reached, or not everything was looked at.
    pub more: bool,
}

impl Store {
    /// The newest records that fit, at most `limit` of them. Reads files from their beginning: blocks, for long where
    /// much is looked at.
    ///
    /// # Errors
    /// [`Error`] if engine or journal fail.
    pub fn records_find(&self, query: &RecordQuery, limit: usize) -> Result<RecordsFound, Error> {
        let mut found = Newest::new(limit);
        // The outbox first: what moves into the journal meanwhile is found there, and its id makes it one.
        let waiting = self.engine().range_last(OUTBOX, &[], None, OUTBOX_MAX);
        let waiting = waiting.map_err(|cause| Error::Engine("reading the end of the outbox", cause))?;
        found.dropped = waiting.len() == OUTBOX_MAX;
        for (_, bytes) in waiting {
            let record = decode(&bytes)?;
            if query.wants(&record) {
                found.add(record);
            }
        }
        let mut segments = self.journal().segments();
        segments.retain(|segment| {
            (query.classes.is_empty() || query.classes.contains(&segment.class))
                && query.spans(segment.earliest, segment.latest)
        });
        segments.sort_by_key(|segment| std::cmp::Reverse(segment.latest));
        let left_out = segments.len() > SEGMENTS_MAX;
        for segment in segments.into_iter().take(SEGMENTS_MAX) {
            // Segments come newest first: once this one's latest is older than all that was found, so are the others'.
            if found.is_full_from(segment.latest) {
                found.dropped = true;
                break;
            }
            for record in self.journal().records_of(segment) {
                let record = record.map_err(failed)?;
                if query.wants(&record) {
                    found.add(record);
                }
            }
        }
        let more = found.dropped || left_out;
        Ok(RecordsFound { records: found.into_records(), more })
    }

    /// The records of these names, wherever they are; those are left out that are not there. Only segments are read that hold
    /// records of the times that the names tell, each once. Blocks.
    ///
    /// # Errors
    /// [`Error`] if engine or journal fail.
    pub fn records_by_id(&self, class: Class, ids: &BTreeSet<Id>) -> Result<BTreeMap<Id, Record>, Error> {
        let mut found = BTreeMap::new();
        if ids.is_empty() {
            return Ok(found);
        }
        // The outbox first, as above.
        let waiting = self.engine().range_last(OUTBOX, &[], None, OUTBOX_MAX);
        for (_, bytes) in waiting.map_err(|cause| Error::Engine("reading the end of the outbox", cause))? {
            let record = decode(&bytes)?;
            if record.class() == class && ids.contains(&record.id) {
                found.insert(record.id, record);
            }
        }
        let holds_one = |segment: &SegmentInfo, found: &BTreeMap<Id, Record>| {
            let mut left = ids.iter().filter(|id| !found.contains_key(*id)).map(Id::time);
            segment.class == class
                && left.any(|time| {
                    segment.earliest.is_some_and(|earliest| earliest <= time)
                        && segment.latest.is_some_and(|latest| time <= latest)
                })
        };
        let mut segments = self.journal().segments();
        segments.retain(|segment| holds_one(segment, &found));
        for segment in segments.into_iter().take(SEGMENTS_MAX) {
            if !holds_one(&segment, &found) {
                continue;
            }
            for record in self.journal().records_of(segment) {
                let record = record.map_err(failed)?;
                if ids.contains(&record.id) {
                    found.insert(record.id, record);
                }
                if found.len() == ids.len() {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// The place behind everything that there is now, for [`Store::records_since`]. Blocks.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn records_end(&self) -> Result<RecordsPlace, Error> {
        let mut place = RecordsPlace::default();
        // The outbox first here too: what moves in between is known twice rather than not at all.
        for (_, bytes) in read_range(self.engine(), OUTBOX, &[], None, OUTBOX_MAX)? {
            place.from_outbox.insert(decode(&bytes)?.id);
        }
        let segments = self.journal().segments();
        place.segments = segments.into_iter().map(|segment| (segment.name, segment.bytes)).collect();
        Ok(place)
    }

    /// Records that fit and came since the place, each once, at most `limit`; the place moves behind them. Reads what is
    /// new and no more. Blocks.
    ///
    /// # Errors
    /// [`Error`] if engine or journal fail.
    pub fn records_since(
        &self,
        place: &mut RecordsPlace,
        query: &RecordQuery,
        limit: usize,
    ) -> Result<Vec<Record>, Error> {
        let waiting = read_range(self.engine(), OUTBOX, &[], None, OUTBOX_MAX)?;
        let waiting: Vec<Record> =
            waiting.iter().map(|(_, bytes)| decode(bytes)).collect::<Result<_, _>>()?;
        let ids: BTreeSet<Id> = waiting.iter().map(|record| record.id).collect();
        place.from_journal.retain(|id| ids.contains(id));
        let mut found = Vec::new();
        for segment in self.journal().segments() {
            let name = segment.name.clone();
            let (from, end) = (place.segments.get(&name).copied().unwrap_or_default(), segment.bytes);
            if from >= end {
                continue;
            }
            let mut records = self.journal().records_of_from(segment, from);
            while let Some(record) = records.next() {
                let record = record.map_err(failed)?;
                place.segments.insert(name.clone(), records.place());
                if place.met_in_journal(record.id) && query.wants(&record) {
                    found.push(record);
                }
                if found.len() >= limit {
                    return Ok(found);
                }
            }
            place.segments.insert(name, end);
        }
        // What is in the journal and was not waiting any more when that was read has been met there.
        place.from_outbox.retain(|id| ids.contains(id));
        for record in waiting {
            if found.len() >= limit {
                break;
            }
            if place.met_in_outbox(record.id) && query.wants(&record) {
                found.push(record);
            }
        }
        Ok(found)
    }
}

fn decode(bytes: &[u8]) -> Result<Record, Error> {
    Record::decode(bytes).map_err(|cause| Error::Row("a record of the outbox", Box::new(cause)))
}

fn failed(cause: ingam_journal::Error) -> Error {
    Error::Journal("reading records", cause)
}

/// How far somebody has followed the records.
#[derive(Clone, Debug, Default)]
pub struct RecordsPlace {
    /// Of each segment how many bytes were read.
    segments: BTreeMap<String, u64>,
    /// What was met in the outbox: it will be in the journal.
    from_outbox: BTreeSet<Id>,
    /// What was met in the journal: it may still be in the outbox for a moment.
    from_journal: BTreeSet<Id>,
}

impl RecordsPlace {
    /// Whether a record of the journal is new.
    fn met_in_journal(&mut self, id: Id) -> bool {
        let is_known = self.from_outbox.remove(&id);
        self.from_journal.insert(id) && !is_known
    }

    /// Whether a record of the outbox is new.
    fn met_in_outbox(&mut self, id: Id) -> bool {
        !self.from_journal.contains(&id) && self.from_outbox.insert(id)
    }
}

/// The newest of what is added, each once.
struct Newest {
    limit: usize,
    records: BTreeMap<(Timestamp, Id), Record>,
    dropped: bool,
}

impl Newest {
    fn new(limit: usize) -> Self {
        Self { limit, records: BTreeMap::new(), dropped: false }
    }

    fn add(&mut self, record: Record) {
        self.records.insert((record.time, record.id), record);
        if self.records.len() > self.limit {
            self.records.pop_first();
            self.dropped = true;
        }
    }

    /// Whether nothing that is not newer than `latest` can come in any more.
    fn is_full_from(&self, latest: Option<Timestamp>) -> bool {
        self.records.len() >= self.limit
            && self
                .records
                .first_key_value()
                .is_some_and(|((time, _), _)| latest.is_some_and(|latest| latest < *time))
    }

    fn into_records(self) -> Vec<Record> {
        self.records.into_values().collect()
    }
}
