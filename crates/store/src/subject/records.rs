//! Records about one subject, page by page.

use std::collections::BTreeSet;

use ingam_journal::SegmentInfo;
use ingam_protocol::Id;
use ingam_protocol::record::{Class, Record};

use super::ROWS_PER_READ;
use crate::error::Error;
use crate::open::Store;
use crate::table::OUTBOX;
use crate::transaction::read_range;

/// At most this many records are looked at for one page; a page can be short because of it.
const LOOKED_AT_MAX: usize = 20_000;

/// A page ends once it has about this many bytes.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// Some of a subject's records.
#[derive(Debug)]
pub struct RecordsOf {
    /// Those that were found, each once: first what has not come into the journal yet, then the journal, class by class. What
    /// moves there between two pages comes in both, under one id.
    pub records: Vec<Record>,
    /// Where the rest begins; nothing at the end.
    pub next: Option<Vec<u8>>,
}

/// How far somebody has read.
#[derive(Clone, Copy)]
enum Place {
    /// From this row of the outbox on.
    Outbox(u64),
    /// From this place in a segment on.
    Journal { class: u8, sequence: u64, place: u64 },
}

/// How far a look into a segment came.
enum Looked {
    /// To its end.
    End,
    /// The page is full: where to go on.
    Full(Place),
    /// No record begins at the place that was given.
    Nowhere,
}

impl Place {
    fn encode(self) -> Vec<u8> {
        match self {
            Self::Outbox(row) => [&[0], row.to_be_bytes().as_slice()].concat(),
            Self::Journal { class, sequence, place } => {
                [&[1, class], sequence.to_be_bytes().as_slice(), &place.to_be_bytes()].concat()
            }
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
        match bytes {
            [0, row @ ..] => number(row).map(Self::Outbox),
            [1, class, rest @ ..] => {
                let (sequence, place) = rest.split_at_checked(8)?;
                Some(Self::Journal { class: *class, sequence: number(sequence)?, place: number(place)? })
            }
            _ => None,
        }
    }
}

/// A page that is being filled.
struct Page {
    found: Vec<Record>,
    ids: BTreeSet<Id>,
    limit: usize,
    bytes: usize,
    looked_at: usize,
}

impl Page {
    fn look(&mut self, record: Record, wanted: impl Fn(&Record) -> bool) {
        self.looked_at += 1;
        if wanted(&record) && self.ids.insert(record.id) {
            self.bytes += record.parts.iter().map(|part| part.bytes.len()).sum::<usize>();
            self.found.push(record);
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= self.limit || self.bytes >= PAGE_BYTES_MAX || self.looked_at >= LOOKED_AT_MAX
    }
}

impl Store {
    /// Records about a subject, of these classes, at most `limit`, from the place on that the page before gave. Reads files:
    /// blocks. `None` if no page gave that place: it comes from a client, and what is found there says nothing of the journal.
    ///
    /// # Errors
    /// [`Error`] if engine or journal fail.
    pub fn records_about(
        &self,
        subject: Id,
        classes: &[Class],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<RecordsOf>, Error> {
        let wanted = |record: &Record| record.subject == Some(subject) && classes.contains(&record.class());
        let mut page = Page { found: Vec::new(), ids: BTreeSet::new(), limit, bytes: 0, looked_at: 0 };
        let mut place = match after {
            None => Place::Outbox(0),
            Some(after) => match Place::decode(after) {
                Some(place) => place,
                None => return Ok(None),
            },
        };
        while let Place::Outbox(row) = place {
            let rows = read_range(self.engine(), OUTBOX, &row.to_be_bytes(), None, ROWS_PER_READ)?;
            let is_end = rows.len() < ROWS_PER_READ;
            for (key, bytes) in rows {
                let record = Record::decode(&bytes)
                    .map_err(|cause| Error::Row("a record of the outbox", Box::new(cause)))?;
                page.look(record, wanted);
                let read = crate::transaction::decode_counter(Some(key))?;
                place = Place::Outbox(read.saturating_add(1));
                if page.is_full() {
                    return Ok(Some(RecordsOf { records: page.found, next: Some(place.encode()) }));
                }
            }
            if is_end {
                place = Place::Journal { class: 0, sequence: 0, place: 0 };
            }
        }
        let Place::Journal { class, sequence, place } = place else { return Ok(None) };
        let mut segments = self.journal().segments();
        segments.retain(|segment| {
            classes.contains(&segment.class)
                && (segment.class.number(), segment.sequence) >= (class, sequence)
                // Nothing is about an account before there was one.
                && segment.latest.is_none_or(|latest| latest >= subject.time())
        });
        segments.sort_by_key(|segment| (segment.class.number(), segment.sequence));
        for segment in segments {
            let is_first = (segment.class.number(), segment.sequence) == (class, sequence);
            let from = if is_first { place } else { 0 };
            match self.look_into(segment, from, &mut page, wanted)? {
                Looked::End => {}
                Looked::Full(next) => {
                    return Ok(Some(RecordsOf { records: page.found, next: Some(next.encode()) }));
                }
                Looked::Nowhere => return Ok(None),
            }
        }
        Ok(Some(RecordsOf { records: page.found, next: None }))
    }

    /// Looks at the records of one segment from a place on.
    fn look_into(
        &self,
        segment: SegmentInfo,
        from: u64,
        page: &mut Page,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<Looked, Error> {
        let (class, sequence) = (segment.class.number(), segment.sequence);
        let mut records = self.journal().records_of_from(segment, from);
        let mut is_first = true;
        while let Some(record) = records.next() {
            let record = match record {
                Ok(record) => record,
                Err(ingam_journal::Error::Corrupt { .. } | ingam_journal::Error::Record { .. })
                    if is_first && from > 0 =>
                {
                    return Ok(Looked::Nowhere);
                }
                Err(cause) => return Err(Error::Journal("reading records", cause)),
            };
            is_first = false;
            page.look(record, &wanted);
            if page.is_full() {
                return Ok(Looked::Full(Place::Journal { class, sequence, place: records.place() }));
            }
        }
        Ok(Looked::End)
    }
}
