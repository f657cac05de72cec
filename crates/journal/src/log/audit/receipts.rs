//! The receipts of removals, and what the leaves say of what they are for.
//!
//! A receipt is a record like others, so whoever can write records can write one. It explains no more than what the leaves bear
//! out: they have to cover its records, and their days have to ask for the removal.

use std::cell::Cell;
use std::collections::BTreeMap;

use ingam_protocol::record::{Class, Record};

use super::super::leaf::Leaf;
use super::reader::{self, Pieces};
use super::{AuditReport, Teller, Terms, date, due, floor_days};
use crate::Head as ChainHead;
use crate::log::LogError;
use crate::reader::Source;

/// What a receipt says of a segment that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The class of its records.
    pub class: Class,
    /// The index of its first record.
    pub first_index: u64,
    /// How many records it had.
    pub records: u64,
    /// The head of the class's chain behind them.
    pub head: Option<ChainHead>,
    /// The day of its latest record.
    pub latest_day: u32,
    /// The floor that the rule had, in days.
    pub floor_days: Option<u64>,
    /// The day of the removal.
    pub day: u32,
}

impl Receipt {
    pub(super) fn end(&self) -> u64 {
        self.first_index.saturating_add(self.records)
    }

    /// The day from which a leaf's record may be removed, if it were alone. A receipt may claim a higher floor than the preset's,
    /// and then goes by that; a lower one is a matter of the preset alone.
    fn due(&self, terms: &Terms, leaf: &Leaf) -> u64 {
        let schedule = floor_days(self.class);
        let claimed = self.floor_days.unwrap_or(schedule);
        due(self.class, claimed.max(terms.floor(self.class)).min(schedule), leaf.day, leaf.end_day)
    }

    /// Whether it goes by a lower floor than the schedule has.
    fn is_lower(&self) -> bool {
        self.class == Class::Issuance && self.floor_days.is_some_and(|days| days < floor_days(self.class))
    }
}

/// The receipts that are there, and what went by them.
pub(super) struct Receipts {
    terms: Terms,
    /// By class and first index.
    known: BTreeMap<(Class, u64), Known>,
    /// Receipts of that day and before may be gone by rule themselves.
    gone_until: Option<u64>,
    /// Which records of `retention` are there, by the segments that they are in.
    present: Vec<(u64, u64)>,
    /// What the leaves on disk cover of each class: the first index, and the one behind the last.
    covered: BTreeMap<Class, (u64, u64)>,
    /// The chain of `retention` by its leaves; unknown behind records that have none.
    chain: Option<ChainHead>,
}

/// A receipt, and what is known of its records.
pub(super) struct Known {
    pub(super) receipt: Receipt,
    /// The index of the receipt itself.
    place: u64,
    leaves: Seen,
    gone: Cell<Gone>,
}

/// What all leaves on disk say of its records, whether they are there or gone.
#[derive(Default)]
struct Seen {
    count: u64,
    latest_day: u32,
    /// Whether they end with another head than it says.
    is_other: bool,
}

/// What the leaves say of the records of a segment that is gone.
#[derive(Clone, Copy, Default)]
struct Gone {
    count: u64,
    earliest_day: u32,
    /// From when on the last of them may go, and which one that is.
    due: u64,
    last: u64,
}

impl Receipts {
    /// Reads the receipts; what they are for is seen once [`Receipts::see`] was told of every leaf.
    pub(super) fn read(
        source: &Source,
        pieces: &Pieces,
        terms: Terms,
        receipt: &dyn Fn(&Record) -> Option<Receipt>,
    ) -> Result<Self, LogError> {
        let mut known = BTreeMap::new();
        let present = reader::each_record(source, pieces.of(Class::Retention), &mut |place, record| {
            let Some(receipt) = receipt(record).filter(|receipt| receipt.records > 0) else { return };
            let (key, gone) = ((receipt.class, receipt.first_index), Cell::default());
            known.insert(key, Known { receipt, place, leaves: Seen::default(), gone });
        })?;
        let chain = Some(ChainHead::first(Class::Retention));
        Ok(Self { terms, known, gone_until: None, present, covered: BTreeMap::new(), chain })
    }

    /// Takes notice of a leaf. One that is out of order is passed over: it is told elsewhere.
    pub(super) fn see(&mut self, leaf: &Leaf) {
        let (class, index) = (leaf.class, leaf.index);
        let first = self.covered.get(&class).map_or(index, |(first, _)| *first);
        let next = self.covered.get(&class).map_or(0, |(_, next)| *next);
        if index < next {
            return;
        }
        self.covered.insert(class, (first, index.saturating_add(1)));
        if class == Class::Retention {
            let chain = self.chain.filter(|_| index == next);
            self.chain = chain.map(|chain| chain.next(&leaf.commitment));
        }
        let found = self.known.range_mut((class, 0)..=(class, index)).next_back();
        let Some((_, Known { receipt, leaves, .. })) = found.filter(|(_, known)| index < known.receipt.end())
        else {
            return;
        };
        leaves.count += 1;
        leaves.latest_day = leaves.latest_day.max(leaf.day);
        if class == Class::Retention && index.saturating_add(1) == receipt.end() {
            // In front of leaves that are not there nobody knows the chain; the leaves themselves are as they were signed.
            leaves.is_other = self.chain.is_some_and(|chain| receipt.head != Some(chain));
        }
    }

    /// Holds the receipts against what the leaves said, before anything is explained by them.
    pub(super) fn seen(&mut self, teller: &mut Teller<'_>) {
        for known in self.known.values() {
            if let Some(until) = self.explains_receipts(known) {
                self.gone_until = self.gone_until.max(Some(until));
            }
            let Receipt { class, first_index, day, .. } = &known.receipt;
            let (name, last) = (class.name(), known.receipt.end().saturating_sub(1));
            if *day > self.terms.today {
                let day = date(u64::from(*day));
                teller.tell(format_args!(
                    "{name}: the receipt for records {first_index} to {last} is of {day}, and that day has not come: forged, or \
                     the clock is wrong"
                ));
            }
            if self.lacks_leaves(known) {
                teller.tell(format_args!(
                    "{name}: there is a receipt for records {first_index} to {last}, and the log does not have a leaf for each of \
                     them: it is for records that never were, or that went before they had a leaf"
                ));
            }
        }
        let lower = self.known.values().filter(|known| known.receipt.is_lower()).count();
        if self.terms.issuance_floor_days.is_none() && lower > 0 {
            teller.tell(format_args!(
                "issuance: receipts, {lower} of them, go by a floor below seven years; if the operator's own statement \
                 promises two years, say --preset two-years"
            ));
        }
    }

    /// Until which day receipts may be gone by this one. It has to be for records that all have a leaf, as it says, and are gone.
    fn explains_receipts(&self, known: &Known) -> Option<u64> {
        let Known { receipt, leaves, .. } = known;
        let is_so = receipt.class == Class::Retention
            && leaves.count == receipt.records
            && leaves.latest_day == receipt.latest_day
            && !leaves.is_other
            && receipt.day <= self.terms.today
            && !self.present.iter().any(|(first, end)| *first < receipt.end() && receipt.first_index < *end);
        let floor = floor_days(Class::Retention);
        let latest = u64::from(receipt.day).saturating_sub(floor).min(u64::from(receipt.latest_day));
        is_so.then_some(latest)
    }

    /// Whether it is for records that should have a leaf and have none. Records in front of a class's first leaf may have gone
    /// before the log began. Those behind its last one may be newer than the leaves, but only if the receipt is so, too: a
    /// removal comes long after what it removes.
    fn lacks_leaves(&self, known: &Known) -> bool {
        let Known { receipt, place, leaves, .. } = known;
        let Some((first, end)) = self.covered.get(&receipt.class) else { return false };
        let has_leaf = self.covered.get(&Class::Retention).is_some_and(|(_, end)| place < end);
        let until = if has_leaf { receipt.end() } else { receipt.end().min(*end) };
        until.saturating_sub(receipt.first_index.max(*first)) > leaves.count
    }

    /// The receipt for the segment that this record was in.
    pub(super) fn of(&self, class: Class, index: u64) -> Option<&Known> {
        let (_, known) = self.known.range((class, 0)..=(class, index)).next_back()?;
        (index < known.receipt.end()).then_some(known)
    }

    /// Whether the records of these indexes are all covered.
    pub(super) fn cover(&self, class: Class, first: u64, end: u64) -> bool {
        let mut at = first;
        while at < end {
            let Some(known) = self.of(class, at) else { return false };
            at = known.receipt.end();
        }
        true
    }

    /// Notes that the record of this leaf is gone by its receipt.
    pub(super) fn went(&self, known: &Known, leaf: &Leaf) {
        let mut gone = known.gone.get();
        let due = known.receipt.due(&self.terms, leaf);
        if gone.count == 0 || due > gone.due {
            (gone.due, gone.last) = (due, leaf.index);
        }
        gone.earliest_day = if gone.count == 0 { leaf.day } else { gone.earliest_day.min(leaf.day) };
        gone.count += 1;
        known.gone.set(gone);
    }

    /// Whether the record of this leaf could go so long ago that its receipt could go, too.
    pub(super) fn long_ago(&self, leaf: &Leaf) -> bool {
        self.gone_until.is_some_and(|day| day >= self.due(leaf))
    }

    /// Whether the record of this leaf may have gone by rule, if it had its receipt.
    pub(super) fn is_due(&self, leaf: &Leaf) -> bool {
        let ceiling = leaf.class.retention().ceiling.map(|ceiling| ceiling.as_secs() / 86_400);
        let due = self.due(leaf);
        let due = ceiling.map_or(due, |ceiling| due.min(u64::from(leaf.day) + ceiling));
        let ends = leaf.class.retention().floor.is_some() || ceiling.is_some();
        ends && due <= u64::from(self.terms.today)
    }

    fn due(&self, leaf: &Leaf) -> u64 {
        due(leaf.class, self.terms.floor(leaf.class), leaf.day, leaf.end_day)
    }

    /// Holds the days of removals against those of the leaves. A class with a ceiling goes by it, whatever else asks for more.
    pub(super) fn judge(&self, report: &mut AuditReport, teller: &mut Teller<'_>) {
        for Known { receipt, gone, .. } in self.known.values() {
            let Gone { count, earliest_day, due, last } = gone.get();
            let ceiling = receipt.class.retention().ceiling.map(|ceiling| ceiling.as_secs() / 86_400);
            let due = ceiling.map_or(due, |ceiling| due.min(u64::from(earliest_day) + ceiling));
            if receipt.day > self.terms.today {
                // It was told.
                continue;
            }
            if u64::from(receipt.day) >= due {
                report.removed += count;
                continue;
            }
            let (class, day, due) = (receipt.class.name(), date(u64::from(receipt.day)), date(due));
            let (start, end) = (receipt.first_index, receipt.end().saturating_sub(1));
            teller.tell(format_args!(
                "{class}: records {start} to {end} were removed on {day}, too early: record {last} had to stay until {due}"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_for_records_in_front_of_the_log_vouches_for_none() {
        let gone_until = |first_index: u64| {
            let receipt = Receipt {
                class: Class::Retention,
                first_index,
                records: 8 - first_index,
                head: None,
                latest_day: 5000,
                floor_days: None,
                day: 9000,
            };
            let known = Known { receipt, place: 9, leaves: Seen::default(), gone: Cell::default() };
            let mut receipts = Receipts {
                terms: Terms { today: 9000, issuance_floor_days: None },
                known: BTreeMap::from([((Class::Retention, first_index), known)]),
                gone_until: None,
                present: vec![(8, 10)],
                covered: BTreeMap::new(),
                chain: Some(ChainHead::first(Class::Retention)),
            };
            for index in 5..10 {
                receipts.see(&Leaf {
                    class: Class::Retention,
                    index,
                    day: 5000,
                    end_day: 0,
                    commitment: [0; 32],
                });
            }
            receipts.seen(&mut Teller { tell: &mut |_| {}, findings: 0 });
            receipts.gone_until
        };
        assert_eq!(gone_until(5), Some(5000));
        assert_eq!(gone_until(4), None, "a record of it has no leaf");
    }
}
