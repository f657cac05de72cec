//! Holding a journal and its log against a checkpoint that was kept elsewhere. Reads only, and in bounded memory: what it knows
//! of each segment and of each receipt, and a piece of a file for each class.
//!
//! ```text
//! leaves ──▶ root of the checkpoint's size: as signed?
//!    └─────▶ by class: the next index? ──▶ journal: a record there, with this commitment, and a body that is what it says?
//!                                              └─ none ──▶ a receipt for the segment? ──▶ its time over by the leaf's days?
//! ```
//!
//! What the log knew last is found whatever was done to the files. What came behind the checkpoint is read as well, but nobody
//! outside would know if it were not there.

mod reader;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ingam_protocol::record::{Class, Record};

use super::heads::{HEADS, Head};
use super::leaf::LEAF_VERSION;
use super::leaf::{ENTRY_BYTES, LEAF_BYTES, Leaf, LeafError, entry_leaf};
use super::store::{CHUNK_LEAVES, LEAVES};
use super::tree::{Frontier, Hash, leaf_hash};
use super::{LogError, failed};
use crate::Head as ChainHead;
use crate::SegmentKeys;
use crate::files::{File, Files};
use crate::reader::Source;
use crate::segment::to_u64;
use reader::{Pieces, Reader, Step};

/// At most so many findings are told; the others are counted.
pub const FINDINGS_MAX: u64 = 1000;

/// Two years, in days, by which records outlive what they are about.
const AFTER_END_DAYS: u64 = 2 * 366;

/// The shortest time that a preset may have for `issuance` instead of its floor, in days: two years.
const ISSUANCE_PRESET_DAYS: u64 = 730;

/// What a checkpoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

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
    fn end(&self) -> u64 {
        self.first_index.saturating_add(self.records)
    }

    /// The day from which a leaf's record may be removed, if it were alone.
    fn due(&self, day: u32, end_day: u32) -> u64 {
        let preset = self.floor_days.filter(|days| {
            self.class == Class::Issuance && *days >= ISSUANCE_PRESET_DAYS && *days < floor_days(self.class)
        });
        due(self.class, preset.unwrap_or(floor_days(self.class)), day, end_day)
    }
}

fn floor_days(class: Class) -> u64 {
    class.retention().floor.map_or(0, |floor| floor.as_secs() / 86_400)
}

/// What is said of a CA counts from its end for as long as it does for others from the record.
fn due(class: Class, floor: u64, day: u32, end_day: u32) -> u64 {
    let after = if class == Class::CaLifecycle { floor_days(class) } else { AFTER_END_DAYS };
    let after_end = if end_day == 0 { 0 } else { u64::from(end_day) + after };
    (u64::from(day) + floor).max(after_end)
}

/// What was seen. Everything is in order if `findings` is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// How many records that the checkpoint covers are there, as they were, erased ones included.
    pub records: u64,
    /// How many of them are erased.
    pub erased: u64,
    /// How many were removed with a receipt, after their time.
    pub removed: u64,
    /// How many were removed after their time so long ago that the receipt's own time is over, and the receipt gone.
    pub removed_long_ago: u64,
    /// How many records the journal has that the checkpoint does not cover.
    pub behind: u64,
    /// How many leaves the log has that the checkpoint does not cover.
    pub leaves_behind: u64,
    /// How much is wrong.
    pub findings: u64,
}

/// Tells everything that is wrong with a journal and its log, one line each. `receipt` reads a record as a receipt, if it is one.
///
/// # Errors
/// [`LogError`] where something could not be read at all: the folder, or what a newer version wrote.
pub fn audit(
    journal: (Arc<dyn Files>, Arc<SegmentKeys>),
    log: &dyn Files,
    claim: Claim,
    receipt: &dyn Fn(&Record) -> Option<Receipt>,
    tell: &mut dyn FnMut(&str),
) -> Result<AuditReport, LogError> {
    let mut teller = Teller { tell, findings: 0 };
    let source = Source { files: journal.0, keys: journal.1 };
    let pieces = Pieces::list(&source, &mut teller)?;
    let receipts = Receipts::read(&source, &pieces, receipt)?;
    let mut classes: BTreeMap<Class, ClassAudit> = BTreeMap::new();
    for class in Class::ALL {
        classes.insert(class, ClassAudit::new(class, Reader::new(source.clone(), pieces.of(class))));
    }
    let mut report = AuditReport::default();
    leaves(log, claim, &receipts, &mut classes, &mut report, &mut teller)?;
    for class in classes.values_mut() {
        class.end(&mut report, &mut teller)?;
    }
    receipts.judge(&mut report, &mut teller);
    report.findings = teller.findings;
    Ok(report)
}

/// Reads the leaves through.
fn leaves(
    log: &dyn Files,
    claim: Claim,
    receipts: &Receipts,
    classes: &mut BTreeMap<Class, ClassAudit>,
    report: &mut AuditReport,
    teller: &mut Teller<'_>,
) -> Result<(), LogError> {
    let file = log.open(LEAVES).map_err(failed("opening", LEAVES))?;
    let whole = file.length().map_err(failed("measuring", LEAVES))? / to_u64(ENTRY_BYTES);
    let head = log.open(HEADS).ok().and_then(|heads| Head::newest(heads.as_ref()).ok().flatten());
    let signed = head.as_ref().map_or(0, |head| head.size);
    report.leaves_behind = whole.saturating_sub(claim.size);
    if whole < claim.size {
        let size = claim.size;
        teller.tell(format_args!(
            "log: {whole} leaves are there of the {size} that the checkpoint covers: truncated"
        ));
    }
    let mut frontier = Frontier::default();
    let last = whole.min(claim.size.max(signed));
    loop {
        let size = frontier.size();
        if size == claim.size && frontier.root() != claim.root {
            teller.tell(format_args!(
                "log: the first {size} leaves do not have the checkpoint's root: one was altered, put in, taken out or moved"
            ));
        }
        if head.as_ref().is_some_and(|head| head.size == size && head.root != frontier.root()) {
            teller.tell(format_args!(
                "log: the first {size} leaves do not have the root that its own last head says"
            ));
        }
        if size >= last {
            return Ok(());
        }
        let count = (last - size).min(CHUNK_LEAVES).min(next_stop(size, [claim.size, signed]) - size);
        for bytes in read_entries(file.as_ref(), size, count)?.chunks_exact(ENTRY_BYTES) {
            let number = frontier.size();
            let raw = bytes.get(..LEAF_BYTES).unwrap_or_default();
            frontier.push(leaf_hash(raw));
            if entry_leaf(bytes).is_none() {
                teller.tell(format_args!("log: leaf {number} is damaged on disk"));
            }
            match Leaf::decode(raw) {
                Ok(leaf) if number < claim.size => {
                    if let Some(class) = classes.get_mut(&leaf.class) {
                        class.leaf(number, &leaf, receipts, report, teller)?;
                    }
                }
                // What no checkpoint covers that the outside has is judged by the root of the log's own head alone.
                Ok(_) => {}
                Err(LeafError::Newer) if raw.first().is_some_and(|version| *version > LEAF_VERSION) => {
                    return Err(LogError::Newer);
                }
                Err(_) => teller.tell(format_args!("log: leaf {number} is none")),
            }
        }
    }
}

/// The next size at which a root is looked at.
fn next_stop(size: u64, stops: [u64; 2]) -> u64 {
    stops.into_iter().filter(|stop| *stop > size).min().unwrap_or(u64::MAX)
}

fn read_entries(file: &dyn File, start: u64, count: u64) -> Result<Vec<u8>, LogError> {
    let entry = to_u64(ENTRY_BYTES);
    let mut buffer = vec![0; usize::try_from(count * entry).unwrap_or(usize::MAX)];
    file.read_at(start * entry, &mut buffer).map_err(failed("reading", LEAVES))?;
    Ok(buffer)
}

/// Says what is wrong, as long as it is not too much.
pub(crate) struct Teller<'a> {
    tell: &'a mut dyn FnMut(&str),
    findings: u64,
}

impl Teller<'_> {
    pub(crate) fn tell(&mut self, what: fmt::Arguments<'_>) {
        self.findings += 1;
        if self.findings <= FINDINGS_MAX {
            (self.tell)(&what.to_string());
        }
    }
}

/// The receipts that are there, and what went by them.
struct Receipts {
    /// By class and first index.
    known: BTreeMap<(Class, u64), (Receipt, Cell<Gone>)>,
    /// Receipts of that day and before may be gone by rule themselves.
    gone_until: Option<u32>,
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
    fn read(
        source: &Source,
        pieces: &Pieces,
        receipt: &dyn Fn(&Record) -> Option<Receipt>,
    ) -> Result<Self, LogError> {
        let mut receipts = Self { known: BTreeMap::new(), gone_until: None };
        reader::each_record(source, pieces.of(Class::Retention), &mut |record| {
            let Some(receipt) = receipt(record).filter(|receipt| receipt.records > 0) else { return };
            if receipt.class == Class::Retention {
                receipts.gone_until = receipts.gone_until.max(Some(receipt.latest_day));
            }
            receipts.known.insert((receipt.class, receipt.first_index), (receipt, Cell::default()));
        })?;
        Ok(receipts)
    }

    /// The receipt for the segment that this record was in.
    fn of(&self, class: Class, index: u64) -> Option<&(Receipt, Cell<Gone>)> {
        let (_, found) = self.known.range((class, 0)..=(class, index)).next_back()?;
        (index < found.0.end()).then_some(found)
    }

    /// Whether the records of these indexes are all covered.
    fn cover(&self, class: Class, first: u64, end: u64) -> bool {
        let mut at = first;
        while at < end {
            let Some((receipt, _)) = self.of(class, at) else { return false };
            at = receipt.end();
        }
        true
    }

    /// Holds the days of removals against those of the leaves. A class with a ceiling goes by it, whatever else asks for more.
    fn judge(&self, report: &mut AuditReport, teller: &mut Teller<'_>) {
        for (receipt, gone) in self.known.values() {
            let Gone { count, earliest_day, due, last } = gone.get();
            let ceiling = receipt.class.retention().ceiling.map(|ceiling| ceiling.as_secs() / 86_400);
            let due = ceiling.map_or(due, |ceiling| due.min(u64::from(earliest_day) + ceiling));
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

fn date(day: u64) -> String {
    let time = ingam_protocol::time::Timestamp::from_unix_s(day.saturating_mul(86_400));
    time.to_rfc3339().chars().take(10).collect()
}

/// What is wrong with records one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Altered,
    Gone,
    Truncated,
    Unlogged,
}

/// One class, as the leaves come.
struct ClassAudit {
    class: Class,
    reader: Reader,
    /// The record of the journal that comes next, if it was read already.
    ahead: Option<Step>,
    /// The index that the next leaf should have.
    next: u64,
    /// The class's chain by what the leaves say; unknown behind records that have none.
    chain: Option<ChainHead>,
    /// What is wrong with the last records, as one finding.
    run: Option<(Wrong, u64, u64)>,
}

impl ClassAudit {
    fn new(class: Class, reader: Reader) -> Self {
        Self { class, reader, ahead: None, next: 0, chain: Some(ChainHead::first(class)), run: None }
    }

    fn leaf(
        &mut self,
        number: u64,
        leaf: &Leaf,
        receipts: &Receipts,
        report: &mut AuditReport,
        teller: &mut Teller<'_>,
    ) -> Result<(), LogError> {
        let (class, index) = (self.class.name(), leaf.index);
        if index < self.next {
            teller.tell(format_args!(
                "log: leaf {number} is for record {index} of {class}, which had one already: reordered, or put in"
            ));
            return Ok(());
        }
        if index > self.next {
            if !receipts.cover(self.class, self.next, index) {
                let (first, last) = (self.next, index - 1);
                teller.tell(format_args!(
                    "log: records {first} to {last} of {class} have no leaf in front of leaf {number}, and no receipt"
                ));
            }
            self.chain = None;
        }
        self.next = index + 1;
        let step = self.step_to(index, teller)?;
        if let Step::Record { index: found, begins: Some(previous), .. } = &step
            && *found == index
        {
            if self.chain.is_some_and(|chain| chain != *previous) {
                teller.tell(format_args!(
                    "{class}: the segment of record {index} does not go on where the log says that the one before ended"
                ));
            }
            self.chain = Some(*previous);
        }
        self.chain = self.chain.map(|chain| chain.next(&leaf.commitment));
        match step {
            Step::Record { index: found, commitment, erased, .. } if found == index => {
                if commitment == leaf.commitment {
                    report.records += 1;
                    report.erased += u64::from(erased);
                } else {
                    self.wrong(Wrong::Altered, index, teller);
                }
            }
            other => {
                let is_end = matches!(other, Step::End);
                self.ahead = Some(other);
                self.gone(leaf, is_end, receipts, report, teller);
            }
        }
        Ok(())
    }

    /// Judges a record that is not there.
    fn gone(
        &mut self,
        leaf: &Leaf,
        is_end: bool,
        receipts: &Receipts,
        report: &mut AuditReport,
        teller: &mut Teller<'_>,
    ) {
        let index = leaf.index;
        if let Some((receipt, gone)) = receipts.of(self.class, index) {
            let mut seen = gone.get();
            let due = receipt.due(leaf.day, leaf.end_day);
            if seen.count == 0 || due > seen.due {
                (seen.due, seen.last) = (due, index);
            }
            seen.earliest_day = if seen.count == 0 { leaf.day } else { seen.earliest_day.min(leaf.day) };
            seen.count += 1;
            gone.set(seen);
            if index + 1 == receipt.end()
                && receipt.head.zip(self.chain).is_some_and(|(head, chain)| head != chain)
            {
                let (class, first) = (self.class.name(), receipt.first_index);
                teller.tell(format_args!(
                    "{class}: the receipt for records {first} to {index} is for other records than the log has there"
                ));
            }
            return;
        }
        let long_ago = receipts.gone_until.is_some_and(|day| {
            u64::from(day) >= due(self.class, floor_days(self.class), leaf.day, leaf.end_day)
        });
        if long_ago && !is_end {
            report.removed_long_ago += 1;
            return;
        }
        self.wrong(if is_end { Wrong::Truncated } else { Wrong::Gone }, index, teller);
    }

    /// The next record of the journal from this index on. Records in front of it are in the journal and have no leaf.
    fn step_to(&mut self, index: u64, teller: &mut Teller<'_>) -> Result<Step, LogError> {
        loop {
            let step = match self.ahead.take() {
                Some(step) => step,
                None => self.reader.next(teller)?,
            };
            match step {
                Step::Record { index: found, .. } if found < index => {
                    self.wrong(Wrong::Unlogged, found, teller);
                }
                step => return Ok(step),
            }
        }
    }

    /// Notes what is wrong with a record; neighbours become one finding.
    fn wrong(&mut self, what: Wrong, index: u64, teller: &mut Teller<'_>) {
        match &mut self.run {
            Some((known, _, last)) if *known == what && *last + 1 == index => *last = index,
            _ => {
                self.flush(teller);
                self.run = Some((what, index, index));
            }
        }
    }

    fn flush(&mut self, teller: &mut Teller<'_>) {
        let Some((what, first, last)) = self.run.take() else { return };
        let class = self.class.name();
        let which = if first == last {
            format!("record {first} is")
        } else {
            format!("records {first} to {last} are")
        };
        let why = match what {
            Wrong::Altered => "not what the log says: altered, or moved from another place",
            Wrong::Gone => "not there, and no receipt says that a rule removed them: deleted",
            Wrong::Truncated => "not there, and nothing of the class comes behind: truncated",
            Wrong::Unlogged => {
                "in the journal, and the log has no leaf for them: put in, or the leaves were taken out"
            }
        };
        match &self.reader.damage {
            Some(damage) if matches!(what, Wrong::Gone | Wrong::Truncated) => {
                teller.tell(format_args!("{class}: {which} {why} ({damage})"));
            }
            _ => teller.tell(format_args!("{class}: {which} {why}")),
        }
    }

    /// Reads what the checkpoint does not cover.
    fn end(&mut self, report: &mut AuditReport, teller: &mut Teller<'_>) -> Result<(), LogError> {
        self.flush(teller);
        loop {
            let step = match self.ahead.take() {
                Some(step) => step,
                None => self.reader.next(teller)?,
            };
            match step {
                Step::Record { .. } => report.behind += 1,
                Step::End => return Ok(()),
            }
        }
    }
}
