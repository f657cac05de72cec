//! All tables of one issuer and one hash algorithm: those of a whole pass, and what has come since.

use std::ops::Range;
use std::sync::Arc;

use ingam_protocol::Serial;

use super::entry::{Entry, sortable};
use super::table::{SortableSerial, Table, merged};

/// A table of newer entries is merged into the one before it while that has less than so many times its entries.
const RATIO: usize = 4;

/// A merged table has so many entries at most: its file, some 400 MB, is still one that others take.
const MERGED_MAX: usize = 4 << 20;

/// Tables as they are at one moment. Nothing in it ever changes: another takes its place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    base: Vec<Arc<Table>>,
    /// The first serial number of each of the base's tables, in one piece: a search among thousands looks into one of them.
    firsts: Vec<SortableSerial>,
    newer: Vec<Arc<Table>>,
}

impl Shelf {
    /// `base` are tables side by side, in the order of their serial numbers; `newer` lie on top of those and of each other, the newest
    /// first: their entries count, whatever is below.
    pub(crate) fn new(base: Vec<Arc<Table>>, newer: Vec<Arc<Table>>) -> Self {
        // One without an entry tells nothing, and has no first.
        let base: Vec<Arc<Table>> = base.into_iter().filter(|table| table.first().is_some()).collect();
        let firsts = base.iter().filter_map(|table| table.first().copied()).collect();
        Self { base, firsts, newer }
    }

    /// The tables of a whole pass.
    pub(crate) fn base(&self) -> &[Arc<Table>] {
        &self.base
    }

    /// What has come since.
    pub(crate) fn newer(&self) -> &[Arc<Table>] {
        &self.newer
    }

    /// The newest entry of a serial number, with the table that it is in.
    pub(crate) fn find(&self, serial: &Serial) -> Option<(&Arc<Table>, Entry)> {
        let in_newer = self.newer.iter().find_map(|table| Some((table, table.find(serial)?)));
        in_newer.or_else(|| {
            let wanted = sortable(serial);
            let behind = self.firsts.partition_point(|first| *first <= wanted);
            let table = self.base.get(behind.checked_sub(1)?)?;
            Some((table, table.find(serial)?))
        })
    }

    /// With a table on top. It is merged with those below that are not much larger, but for the last `kept` ones: whoever goes
    /// through everything folds those in.
    pub(crate) fn with_newer(&self, table: Table, kept: usize) -> Self {
        let mut newer = self.newer.clone();
        let mut top = table;
        while newer.len() > kept {
            let fits = |below: &&Arc<Table>| {
                below.len() < top.len().saturating_mul(RATIO) && below.len() + top.len() <= MERGED_MAX
            };
            let Some(below) = newer.first().filter(fits) else { break };
            let Some(both) = merged(&top, below) else { break };
            top = both;
            newer.remove(0);
        }
        newer.insert(0, Arc::new(top));
        Self { newer, ..self.clone() }
    }

    /// With others in the place of these of the base's tables.
    pub(crate) fn with_base(&self, range: Range<usize>, tables: Vec<Arc<Table>>) -> Self {
        let mut base = self.base.clone();
        let end = range.end.min(base.len());
        base.splice(range.start.min(end)..end, tables);
        Self::new(base, self.newer.clone())
    }

    /// Without the oldest `count` of the newer tables, which the base has taken in.
    pub(crate) fn without_oldest(&self, count: usize) -> Self {
        let mut shelf = self.clone();
        shelf.newer.truncate(shelf.newer.len().saturating_sub(count));
        shelf
    }
}
