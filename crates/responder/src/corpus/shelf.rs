//! All tables of one issuer and one hash algorithm: those of a whole pass, and what has come since.

use std::sync::Arc;

use ingam_protocol::{Serial, Timestamp};

use super::entry::{Entry, sortable};
use super::table::{Table, merged};

/// A table of newer entries is merged into the one before it while that has less than so many times its entries.
const RATIO: usize = 4;

/// Tables as they are at one moment. Nothing in it ever changes: another takes its place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    /// Side by side, in the order of their serial numbers.
    pub(crate) base: Vec<Arc<Table>>,
    /// On top of those and of each other, the newest first. Their entries count, whatever is below.
    pub(crate) newer: Vec<Arc<Table>>,
}

impl Shelf {
    /// The newest entry of a serial number, with the table that it is in.
    pub(crate) fn find(&self, serial: &Serial) -> Option<(&Arc<Table>, Entry)> {
        let in_newer = self.newer.iter().find_map(|table| Some((table, table.find(serial)?)));
        in_newer.or_else(|| {
            let wanted = sortable(serial);
            let behind = self
                .base
                .partition_point(|table| table.first().is_some_and(|first| first <= wanted.as_slice()));
            let table = self.base.get(behind.checked_sub(1)?)?;
            Some((table, table.find(serial)?))
        })
    }

    /// With a table on top. It is merged with those below that are not much larger, but for the last `kept` ones: whoever goes
    /// through everything folds those in.
    pub(crate) fn with_newer(&self, table: Table, kept: usize, now: Timestamp) -> Self {
        let mut newer = self.newer.clone();
        let mut top = table;
        while newer.len() > kept {
            let Some(below) = newer.first().filter(|below| below.len() < top.len().saturating_mul(RATIO))
            else {
                break;
            };
            let Some(both) = merged(&top, below, now) else { break };
            top = both;
            newer.remove(0);
        }
        newer.insert(0, Arc::new(top));
        Self { base: self.base.clone(), newer }
    }

    /// Without the oldest `count` of the newer tables, which the base has taken in.
    pub(crate) fn without_oldest(&self, count: usize) -> Self {
        let mut newer = self.newer.clone();
        newer.truncate(newer.len().saturating_sub(count));
        Self { base: self.base.clone(), newer }
    }
}
