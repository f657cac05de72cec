//! Holding a journal and its log against a checkpoint that was kept elsewhere. Reads only, and in bounded memory: what it knows
//! of each segment and of each receipt, and a piece of a file for each class.
//!
//! ```text
//! leaves ──▶ root of the checkpoint's size: as signed?
//!    └─────▶ by class: the next index? ──▶ journal: a record there, with this commitment, and a body that is what it says?
//!                                              └─ none ──▶ a receipt for the segment? ──▶ its time over by the leaf's days?
//! ```
//!
//! Leaves are read twice: before anything is explained by a receipt, it is seen whether they bear it out.
//!
//! What the log knew last is found whatever was done to the files. What came behind the checkpoint is read as well, but nobody
//! outside would know if it were not there.

mod reader;
mod receipts;

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
pub use receipts::Receipt;
use receipts::Receipts;

/// At most so many findings are told; the others are counted.
pub const FINDINGS_MAX: u64 = 1000;

/// Two years, in days, by which records outlive what they are about.
const AFTER_END_DAYS: u64 = 2 * 366;

/// What a checkpoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// What removals are judged by, apart from what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Today, counted from 1970-01-01.
    pub today: u32,
    /// The floor that `issuance` has by the operator's statement, in days; `None` where nobody said, and then it is the schedule's.
    /// What receipts claim lowers nothing.
    pub issuance_floor_days: Option<u64>,
}

impl Terms {
    fn floor(&self, class: Class) -> u64 {
        let stated = self.issuance_floor_days.filter(|_| class == Class::Issuance);
        stated.unwrap_or(u64::MAX).min(floor_days(class))
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
    terms: Terms,
    receipt: &dyn Fn(&Record) -> Option<Receipt>,
    tell: &mut dyn FnMut(&str),
) -> Result<AuditReport, LogError> {
    let mut teller = Teller { tell, findings: 0 };
    let source = Source { files: journal.0, keys: journal.1 };
    let pieces = Pieces::list(&source, &mut teller)?;
    let mut receipts = Receipts::read(&source, &pieces, terms, receipt)?;
    let leaves_on_disk = Leaves::open(log, claim)?;
    leaves_on_disk.each(&mut |leaf| receipts.see(leaf))?;
    receipts.seen(&mut teller);
    let mut classes: BTreeMap<Class, ClassAudit> = BTreeMap::new();
    for class in Class::ALL {
        classes.insert(class, ClassAudit::new(class, Reader::new(source.clone(), pieces.of(class))));
    }
    let mut report = AuditReport::default();
    leaves(&leaves_on_disk, claim, &receipts, &mut classes, &mut report, &mut teller)?;
    for class in classes.values_mut() {
        class.end(&mut report, &mut teller)?;
    }
    receipts.judge(&mut report, &mut teller);
    report.findings = teller.findings;
    Ok(report)
}

/// The leaves on disk, as far as the checkpoint or the log's own last head covers them.
struct Leaves {
    file: Arc<dyn File>,
    /// How many are there, whoever covers them.
    whole: u64,
    head: Option<Head>,
    last: u64,
}

impl Leaves {
    fn open(log: &dyn Files, claim: Claim) -> Result<Self, LogError> {
        let file = log.open(LEAVES).map_err(failed("opening", LEAVES))?;
        let whole = file.length().map_err(failed("measuring", LEAVES))? / to_u64(ENTRY_BYTES);
        let head = log.open(HEADS).ok().and_then(|heads| Head::newest(heads.as_ref()).ok().flatten());
        let last = whole.min(claim.size.max(head.as_ref().map_or(0, |head| head.size)));
        Ok(Self { file, whole, head, last })
    }

    /// Every leaf that can be read as one.
    fn each(&self, each: &mut dyn FnMut(&Leaf)) -> Result<(), LogError> {
        let mut at = 0;
        while at < self.last {
            let count = (self.last - at).min(CHUNK_LEAVES);
            for bytes in read_entries(self.file.as_ref(), at, count)?.chunks_exact(ENTRY_BYTES) {
                if let Ok(leaf) = Leaf::decode(bytes.get(..LEAF_BYTES).unwrap_or_default()) {
                    each(&leaf);
                }
            }
            at += count;
        }
        Ok(())
    }
}

/// Reads the leaves through.
fn leaves(
    on_disk: &Leaves,
    claim: Claim,
    receipts: &Receipts,
    classes: &mut BTreeMap<Class, ClassAudit>,
    report: &mut AuditReport,
    teller: &mut Teller<'_>,
) -> Result<(), LogError> {
    let Leaves { file, whole, head, last } = on_disk;
    let (whole, last) = (*whole, *last);
    let signed = head.as_ref().map_or(0, |head| head.size);
    report.leaves_behind = whole.saturating_sub(claim.size);
    if whole < claim.size {
        let size = claim.size;
        teller.tell(format_args!(
            "log: {whole} leaves are there of the {size} that the checkpoint covers: truncated"
        ));
    }
    let mut frontier = Frontier::default();
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

fn date(day: u64) -> String {
    let time = ingam_protocol::time::Timestamp::from_unix_s(day.saturating_mul(86_400));
    time.to_rfc3339().chars().take(10).collect()
}

/// What is wrong with records one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Altered,
    Gone,
    /// Gone, and its time is over: the receipt may be about to come.
    Due,
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
            // A log that begins after others of its class went knows nothing of those, and their receipts may have gone, too.
            let began_behind = self.next == 0 && self.reader.first_index > Some(0);
            if !began_behind && !receipts.cover(self.class, self.next, index) {
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
                // A segment without records holds the place of those that were before it, and says what the chain was.
                let ends = self.reader.last.filter(|(first, _)| *first > index);
                let is_end = matches!(other, Step::End) && ends.is_none() && !self.reader.went;
                if matches!(other, Step::End)
                    && let Some((first, head)) = ends
                    && first == index + 1
                    && self.chain.is_some_and(|chain| chain != head)
                {
                    let class = self.class.name();
                    teller.tell(format_args!(
                        "{class}: the last segment does not go on where the log says that the one before ended"
                    ));
                }
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
        if let Some(known) = receipts.of(self.class, index) {
            receipts.went(known, leaf);
            let receipt = &known.receipt;
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
        if !is_end && receipts.long_ago(leaf) {
            report.removed_long_ago += 1;
            return;
        }
        let wrong = match is_end {
            true => Wrong::Truncated,
            false if receipts.is_due(leaf) => Wrong::Due,
            false => Wrong::Gone,
        };
        self.wrong(wrong, index, teller);
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
            Wrong::Due => {
                "not there after their time, and no receipt says that a rule removed them: run again if the CA runs or \
                 was stopped in a removal, as the receipt comes last; else deleted"
            }
            Wrong::Truncated => "not there, and nothing of the class comes behind: truncated",
            Wrong::Unlogged => {
                "in the journal, and the log has no leaf for them: put in, or the leaves were taken out"
            }
        };
        match &self.reader.damage {
            Some(damage) if matches!(what, Wrong::Gone | Wrong::Due | Wrong::Truncated) => {
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
