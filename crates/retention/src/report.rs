//! What a sweep did, or would do.

use std::collections::BTreeMap;

use ingam_protocol::record::Class;
use ingam_protocol::{Id, Timestamp};

/// What came of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The time that it went by.
    pub at: Timestamp,
    /// Whether nothing was changed: it says what would go.
    pub dry: bool,
    /// The segments that went, or would go, and those that a hold keeps; and of each class the one that goes next.
    pub segments: Vec<SegmentReport>,
    /// The rows that went, or would go, by what they were, class and table.
    pub rows: Vec<RowsReport>,
    /// How many things stay for a hold alone, by what they are.
    pub held: BTreeMap<&'static str, u64>,
}

impl Report {
    /// How many segments went, or would.
    pub fn segments_gone(&self) -> usize {
        self.segments.iter().filter(|segment| segment.fate == SegmentFate::Goes).count()
    }

    /// How many rows went, or would.
    pub fn rows_gone(&self) -> u64 {
        self.rows.iter().map(|rows| rows.count).sum()
    }
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentFate {
    /// It went, or would.
    Goes,
    /// Its time is over, and a hold keeps it.
    Held(KeptBy),
    /// It is the next of its class to go, at this time; or none of its class goes by time.
    Stays(Option<Timestamp>),
}

/// What keeps something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptBy {
    /// The hold.
    pub hold: Id,
}

/// A segment of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its class.
    pub class: Class,
    /// Its number within the class.
    pub sequence: u64,
    /// How many records it has.
    pub records: u64,
    /// When the last of them was.
    pub latest: Option<Timestamp>,
    /// What becomes of it.
    pub fate: SegmentFate,
    /// How many things that it tells of are still there: they are on record anew before it goes.
    pub in_force: u64,
}

/// Rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsReport {
    /// What they were: the name of the pass.
    pub what: &'static str,
    /// The class by which they went.
    pub class: Class,
    /// The table.
    pub table: &'static str,
    /// How many.
    pub count: u64,
}
