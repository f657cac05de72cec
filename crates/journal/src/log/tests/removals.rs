//! What went by rule is explained, and a forged receipt explains nothing else.

use std::sync::Mutex;

use ingam_protocol::record::Class;

use super::audits::{World, audit_with, on};
use super::*;
use crate::SegmentInfo;
use crate::files::File;

/// Seven years, as the schedule counts them.
const SEVEN: u32 = 7 * 366;

fn days_on(days: u32) -> Timestamp {
    NOW.plus(DAY * days)
}

/// What a true receipt says.
fn receipt_of(info: &SegmentInfo, now: Timestamp) -> Receipt {
    Receipt {
        class: info.class,
        first_index: info.first_index,
        records: info.records,
        head: Some(info.head),
        latest_day: leaf::day(info.latest.unwrap()),
        floor_days: None,
        day: leaf::day(now),
    }
}

/// The record of the receipt with this number.
fn receipt_record(number: usize, now: Timestamp, random: &SeededRandom) -> Record {
    Record::new(RecordType::RequestHoldChanged, now, format!("receipt {number}").into_bytes(), random)
}

fn number_of(record: &Record) -> Option<usize> {
    std::str::from_utf8(&record.parts[0].bytes).ok()?.strip_prefix("receipt ")?.parse().ok()
}

/// Destroys the first segment of `issuance`; gives what a true receipt says that was written so many days after now.
fn destroy_first(world: &World, days: u32) -> (Receipt, u64) {
    let journal = journal_on(&world.journal);
    let info = journal.destroy(Class::Issuance, 1).unwrap();
    journal.append(&[receipt_record(0, NOW, &SeededRandom::new(123))]).unwrap();
    (receipt_of(&info, days_on(days)), info.records)
}

fn told(world: &World, terms: Terms, receipt: &Receipt) -> (AuditReport, Vec<String>) {
    let read = |record: &Record| number_of(record).map(|_| receipt.clone());
    audit_with(&world.journal, &world.log, world.claim, terms, &read)
}

#[test]
fn a_removal_is_explained_by_its_receipt_and_the_days_of_the_leaves() {
    let world = World::new(9, 60);
    let (receipt, gone) = destroy_first(&world, SEVEN);
    let then = on(days_on(SEVEN));
    let (report, lines) = told(&world, then, &receipt);
    assert_eq!((report.removed, report.records, lines.len()), (gone, 60 - gone, 0), "{lines:?}");
    // None, one that is early by a day, and one for other records.
    let (report, lines) = world.audit();
    assert_eq!((report.findings, report.removed), (1, 0));
    assert!(
        lines[0].starts_with("issuance: records 0 to") && lines[0].ends_with("them: deleted"),
        "{lines:?}"
    );
    let (report, lines) = told(&world, then, &Receipt { day: receipt.day - 1, ..receipt.clone() });
    assert_eq!((report.findings, report.removed), (1, 0));
    assert!(lines[0].contains("too early") && lines[0].contains("2033-11-26"), "{lines:?}");
    let (report, lines) =
        told(&world, then, &Receipt { head: Some(crate::Head([1; 32])), ..receipt.clone() });
    assert!(report.findings == 1 && lines[0].contains("is for other records"), "{lines:?}");
    let (report, lines) = told(&world, then, &Receipt { records: receipt.records - 1, ..receipt.clone() });
    assert!(report.findings >= 1, "{lines:?}");
}

#[test]
fn a_receipt_of_a_day_that_has_not_come_explains_nothing() {
    let world = World::new(9, 60);
    let (receipt, _) = destroy_first(&world, SEVEN);
    let (report, lines) = told(&world, on(days_on(SEVEN - 1)), &receipt);
    assert_eq!((report.findings, report.removed), (1, 0), "{lines:?}");
    assert!(lines[0].contains("is of 2033-11-26, and that day has not come"), "{lines:?}");
}

#[test]
fn a_lower_floor_is_for_the_auditor_to_name() {
    let world = World::new(9, 60);
    let (receipt, _) = destroy_first(&world, 0);
    let stated = |floor, days, claimed| {
        let receipt = Receipt { floor_days: Some(claimed), day: leaf::day(days_on(days)), ..receipt.clone() };
        let terms = Terms { issuance_floor_days: floor, ..on(days_on(SEVEN)) };
        told(&world, terms, &receipt)
    };
    // Some of it ended after 90 days.
    assert_eq!(stated(Some(732), 90 + 732, 732).0.findings, 0);
    assert_eq!(stated(Some(732), 732, 732).0.findings, 1);
    assert_eq!(stated(Some(732), 1000, 30).0.findings, 0, "no floor is lower than the preset's");
    assert_eq!(stated(Some(732), 731, 30).0.findings, 1);
    assert_eq!(stated(Some(732), 1000, 2562).0.findings, 1, "a receipt is held to the rule that it names");
    let (_, lines) = stated(Some(2562), 1000, 732);
    assert!(lines.len() == 1 && lines[0].contains("too early"), "{lines:?}");
    let (_, lines) = stated(None, 1000, 732);
    assert!(lines.len() == 2 && lines[0].contains("--preset two-years"), "{lines:?}");
    assert!(lines[1].contains("too early"), "{lines:?}");
}

/// A CA of fourteen years: all of `issuance` went after seven, and of the receipts those went for which the last one is.
struct Aged {
    journal: SimulatedDisk,
    log: SimulatedDisk,
    receipts: Vec<Receipt>,
    claim: Claim,
}

impl Aged {
    fn new() -> Self {
        Self::with(true)
    }

    /// The receipts of receipts may be for what did not go.
    fn with(goes: bool) -> Self {
        let (journal_disk, log_disk) = (SimulatedDisk::new(), SimulatedDisk::new());
        let (journal, random) = (journal_on(&journal_disk), SeededRandom::new(8));
        let log = Log::open(&log_disk, true).unwrap();
        let issued = |_| Record::new(RecordType::CertificateIssued, NOW, vec![b' '; 90], &random);
        for _ in 0..4 {
            journal.append(&(0..10).map(issued).collect::<Vec<_>>()).unwrap();
        }
        grow(&log, &journal);
        let mut receipts = Vec::new();
        for (class, days) in [(Class::Issuance, SEVEN), (Class::Retention, 2 * SEVEN)] {
            let now = days_on(days);
            journal.close_ended(now).unwrap();
            let gone = journal.segments().into_iter().filter(|info| info.class == class && info.records > 0);
            for info in gone.collect::<Vec<_>>() {
                if goes || class == Class::Issuance {
                    journal.destroy(class, info.sequence).unwrap();
                }
                let record = receipt_record(receipts.len(), now, &random);
                receipts.push(receipt_of(&info, now));
                journal.append(&[record]).unwrap();
            }
            grow(&log, &journal);
        }
        let claim = seal(&log).unwrap();
        Self { journal: journal_disk, log: log_disk, receipts, claim }
    }

    fn audit(&self) -> (AuditReport, Vec<String>) {
        let read = |record: &Record| self.receipts.get(number_of(record)?).cloned();
        audit_with(&self.journal, &self.log, self.claim, on(days_on(2 * SEVEN)), &read)
    }

    /// Changes what the receipts of receipts say.
    fn forge(&mut self, forge: fn(&mut Receipt)) {
        self.receipts.iter_mut().filter(|receipt| receipt.class == Class::Retention).for_each(forge);
    }
}

#[test]
fn what_went_with_its_receipts_long_ago_is_not_missed() {
    let aged = Aged::new();
    let (report, lines) = aged.audit();
    assert_eq!(lines, Vec::<String>::new(), "an empty segment holds the end of the class");
    assert_eq!((report.removed_long_ago, report.findings), (40, 0));
    assert!(report.removed > 0);
    let empty = aged.journal.list().unwrap().into_iter().find(|name| name.contains("issuance")).unwrap();
    aged.journal.remove(&empty).unwrap();
    let (report, lines) = aged.audit();
    assert_eq!((report.removed_long_ago, report.findings), (0, 1), "{lines:?}");
    assert!(
        lines[0].starts_with("issuance: records 0 to 39") && lines[0].ends_with("truncated"),
        "{lines:?}"
    );
}

#[test]
fn an_empty_segment_goes_on_where_the_leaves_end() {
    let aged = Aged::new();
    // Another CA's, which had as many other records.
    let (other, random) = (SimulatedDisk::new(), SeededRandom::new(99));
    let journal = journal_on(&other);
    let issued = |_| Record::new(RecordType::CertificateIssued, NOW, vec![b' '; 90], &random);
    for _ in 0..4 {
        journal.append(&(0..10).map(issued).collect::<Vec<_>>()).unwrap();
    }
    journal.close_ended(days_on(SEVEN)).unwrap();
    for info in journal.segments() {
        journal.destroy(info.class, info.sequence).unwrap();
    }
    let (_, lines) = audit_with(&other, &aged.log, aged.claim, on(NOW), &|_| None);
    assert!(
        lines.iter().any(|line| line.starts_with("issuance: the last segment does not go on")),
        "{lines:?}"
    );
}

#[test]
fn a_forged_receipt_explains_no_other_removal() {
    type Forge = fn(&mut Receipt);
    let forgeries: [(&str, Forge); 7] = [
        ("for records that never were", |receipt| receipt.first_index = 1_000_000),
        ("for more than there were", |receipt| receipt.records += 1_000_000),
        ("for less", |receipt| receipt.records -= 1),
        ("of a later day", |receipt| receipt.latest_day += 1),
        ("with another head", |receipt| receipt.head = Some(crate::Head([1; 32]))),
        ("too early", |receipt| receipt.day -= 1),
        ("in time to come", |receipt| receipt.day += 1),
    ];
    for (what, forge) in forgeries {
        let mut aged = Aged::new();
        aged.forge(forge);
        let (report, lines) = aged.audit();
        assert_eq!(report.removed_long_ago, 0, "{what}: {lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("issuance: records 0 to 39")), "{what}: {lines:?}");
    }
    let mut aged = Aged::new();
    aged.forge(|receipt| receipt.first_index = 1_000_000);
    let (_, lines) = aged.audit();
    assert!(lines.iter().any(|line| line.contains("does not have a leaf for each")), "{lines:?}");
    // For records that are there, when a receipt of what else went would be among them.
    let aged = Aged::with(false);
    let read = |record: &Record| {
        aged.receipts.get(number_of(record)?).filter(|receipt| receipt.class == Class::Retention).cloned()
    };
    let (report, lines) = audit_with(&aged.journal, &aged.log, aged.claim, on(days_on(2 * SEVEN)), &read);
    assert_eq!(report.removed_long_ago, 0, "{lines:?}");
    assert!(lines.len() == 1 && lines[0].starts_with("issuance: records 0 to 39"), "{lines:?}");
}

#[test]
fn a_receipt_newer_than_the_leaves_may_be_for_what_is_newer_too() {
    let world = World::new(4, 50);
    let journal = journal_on(&world.journal);
    journal.append(&[receipt_record(0, NOW, &SeededRandom::new(5))]).unwrap();
    let newer = Receipt {
        class: Class::Issuance,
        first_index: 1000,
        records: 3,
        head: None,
        latest_day: 0,
        floor_days: None,
        day: leaf::day(NOW),
    };
    assert_eq!(told(&world, on(NOW), &newer).1, Vec::<String>::new());
    let log = Log::open(&world.log, false).unwrap();
    grow(&log, &journal);
    seal(&log).unwrap();
    assert_eq!(told(&world, on(NOW), &newer).0.findings, 1, "it has a leaf itself");
}

#[test]
fn a_log_that_begins_after_a_restore_does_not_ask_for_what_went_before() {
    let aged = Aged::new();
    let (journal, random) = (journal_on(&aged.journal), SeededRandom::new(77));
    let now = days_on(2 * SEVEN);
    journal.append(&[Record::new(RecordType::CertificateIssued, now, Vec::new(), &random)]).unwrap();
    let disk = SimulatedDisk::new();
    let log = Log::open(&disk, true).unwrap();
    grow(&log, &journal);
    let claim = seal(&log).unwrap();
    let (report, lines) = Aged { log: disk, claim, ..aged }.audit();
    assert_eq!((report.records, lines), (claim.size, Vec::new()));
}

#[test]
fn what_may_be_a_removal_under_way_is_to_be_looked_at_again() {
    let world = World::new(9, 60);
    destroy_first(&world, SEVEN);
    let none = |today| audit_with(&world.journal, &world.log, world.claim, on(today), &|_| None).1;
    let lines = none(days_on(SEVEN));
    assert!(lines.len() == 1 && lines[0].contains("run again"), "{lines:?}");
    let lines = none(days_on(SEVEN - 1));
    assert!(lines.len() == 1 && !lines[0].contains("run again"), "{lines:?}");
}

/// A journal of which a segment goes once it was looked at.
struct Going {
    disk: SimulatedDisk,
    name: Mutex<Option<String>>,
}

impl Files for Going {
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file = self.disk.open(name)?;
        if let Some(going) = self.name.lock().unwrap().take_if(|going| going == name) {
            self.disk.remove(&going)?;
        }
        Ok(file)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.disk.create(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }
}

#[test]
fn a_segment_that_goes_meanwhile_does_not_end_the_run() {
    let world = World::new(9, 60);
    let journal = journal_on(&world.journal);
    let last = journal.segments().into_iter().rfind(|info| info.class == Class::Issuance).unwrap();
    let keys = keys(&world.journal);
    let going = Arc::new(Going { disk: world.journal.clone(), name: Mutex::new(Some(last.name)) });
    let (mut lines, terms) = (Vec::new(), on(days_on(SEVEN)));
    let tell = &mut |line: &str| lines.push(line.to_owned());
    audit((going, keys), &world.log, world.claim, terms, &|_| None, tell).unwrap();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("run again")), "{lines:?}");
}
