//! Reading the records back: those in the journal, and those on their way there.

use std::collections::BTreeSet;

use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::{Id, Timestamp};

use crate::error::Error;
use crate::open::Store;
use crate::table::OUTBOX;
use crate::transaction::read_range;

/// At most this many segments of one class are read for one question.
const SEGMENTS_MAX: usize = 64;

/// At most this many records that wait in the outbox are looked at.
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
        for (_, bytes) in read_range(self.engine(), OUTBOX, &[], None, OUTBOX_MAX)? {
            let record = Record::decode(&bytes)
                .map_err(|cause| Error::Row("a record of the outbox", Box::new(cause)))?;
            if query.wants(&record) {
                found.add(record);
            }
        }
        let failed = |cause| Error::Journal("reading records", cause);
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
}

/// The newest of what is added, each once.
struct Newest {
    limit: usize,
    records: std::collections::BTreeMap<(Timestamp, Id), Record>,
    dropped: bool,
}

impl Newest {
    fn new(limit: usize) -> Self {
        Self { limit, records: std::collections::BTreeMap::new(), dropped: false }
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
