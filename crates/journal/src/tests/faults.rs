//! The disk breaks: its power is cut, any one operation fails, it is full.

use super::*;
use ingam_protocol::id::Id;
use ingam_protocol::time::random_array;
use std::io;

/// What was asked of a journal, and what it has answered for.
#[derive(Default)]
struct Expected {
    /// Every record that was ever given to an append, in order.
    asked: Vec<Record>,
    /// How many of them, from the front, have been answered for.
    answered: usize,
}

impl Expected {
    /// Appends, repeating first what was not answered for, as the archiver does.
    fn append(&mut self, journal: &Journal, new: Vec<Record>) -> bool {
        self.asked.extend(new);
        let done = journal.append(&self.asked[self.answered..]).is_ok();
        if done {
            self.answered = self.asked.len();
        }
        done
    }

    /// Everything answered for is there, in order; of the rest, whole records from the front.
    fn check(&self, journal: &Journal, case: &str) {
        journal.verify().unwrap_or_else(|error| panic!("{case}: {error}"));
        for class in [Class::Issuance, Class::CaLifecycle] {
            let of_class = |records: &[Record]| -> Vec<Record> {
                records.iter().filter(|record| record.class() == class).cloned().collect()
            };
            let there = read(journal, class);
            let answered = of_class(&self.asked[..self.answered]);
            let asked = of_class(&self.asked);
            assert!(there.len() >= answered.len(), "{case}: {} of {} are lost", answered.len(), there.len());
            assert_eq!(there, asked[..there.len()], "{case}");
        }
    }
}

fn batch(maker: &mut Maker, random: &SeededRandom) -> Vec<Record> {
    let [count, kinds, day] = random_array(random);
    if day < 40 {
        maker.now = maker.now.plus(DAY);
    }
    (0..1 + usize::from(count % 8))
        .map(|index| {
            let lifecycle = kinds >> index & 1 == 1 && kinds > 128;
            let kind = if lifecycle { RecordType::Started } else { RecordType::CertificateIssued };
            let [bytes] = random_array(random);
            maker.record(kind, usize::from(bytes))
        })
        .collect()
}

fn config() -> JournalConfig {
    JournalConfig { period: 2 * DAY, segment_bytes_max: 1500, ..JournalConfig::default() }
}

#[test]
fn what_was_answered_for_outlives_power_cuts() {
    for seed in seeds(250, 4) {
        let random = SeededRandom::new(seed);
        let mut maker = Maker::new(seed);
        let disk = SimulatedDisk::new();
        let mut expected = Expected::default();
        for cut in 0..4 {
            let case = format!("seed {seed}, cut {cut}");
            let [stop] = random_array(&random);
            disk.stop_after(u64::from(stop));
            // Opening may be cut short too; it is not what is measured, and it must not do harm.
            if let Ok(journal) = try_open(&disk, config()) {
                while expected.append(&journal, batch(&mut maker, &random)) {
                    let [enough] = random_array(&random);
                    if enough < 8 {
                        break;
                    }
                }
            }
            disk.power_cut(&random);
            let journal = open_with(&disk, config());
            expected.check(&journal, &case);
            assert!(expected.append(&journal, batch(&mut maker, &random)), "{case}");
            expected.check(&journal, &case);
        }
    }
}

#[test]
fn any_one_operation_may_fail() {
    for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
        let mut reached = true;
        let mut number = 0;
        while reached {
            let random = SeededRandom::new(7);
            let mut maker = Maker::new(7);
            let disk = SimulatedDisk::new();
            let journal = open_with(&disk, config());
            let mut expected = Expected::default();
            disk.fail_after(number, kind);
            let failures = (0..12).filter(|_| !expected.append(&journal, batch(&mut maker, &random))).count();
            // One fault is one failed append: it was undone, and the next append repeats it.
            assert!(failures <= 1, "{kind}, operation {number}");
            reached = failures == 1;
            disk.heal();
            let case = format!("{kind}, operation {number}");
            expected.check(&journal, &case);
            drop(journal);
            disk.power_cut(&random);
            let journal = open_with(&disk, config());
            expected.check(&journal, &case);
            assert!(expected.append(&journal, batch(&mut maker, &random)), "{case}");
            expected.check(&journal, &case);
            number += 1;
        }
        assert!(number > 50, "the faults did not reach far: {number}");
    }
}

#[test]
fn any_operation_of_an_opening_may_fail() {
    let mut maker = Maker::new(3);
    let random = SeededRandom::new(3);
    let disk = SimulatedDisk::new();
    let mut expected = Expected::default();
    let journal = open_with(&disk, config());
    for _ in 0..12 {
        assert!(expected.append(&journal, batch(&mut maker, &random)));
    }
    for number in 0.. {
        disk.fail_after(number, io::ErrorKind::Other);
        let opened = try_open(&disk, config());
        if let Ok(journal) = opened {
            disk.heal();
            expected.check(&journal, "opened");
            assert!(number > 5);
            return;
        }
    }
}

#[test]
fn an_append_that_cannot_be_undone_breaks_the_journal_until_it_is_opened_again() {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    let mut expected = Expected::default();
    let journal = open(&disk);
    assert!(expected.append(&journal, maker.issued(3)));
    disk.stop_after(1);
    assert!(!expected.append(&journal, maker.issued(3)));
    disk.heal();
    assert!(matches!(journal.append(&maker.issued(1)), Err(Error::Broken)));
    assert!(matches!(journal.close_ended(maker.now), Err(Error::Broken)));
    expected.check(&journal, "reading goes on");
    let journal = open(&disk);
    assert!(expected.append(&journal, Vec::new()));
    expected.check(&journal, "opened again");
    assert_eq!(read(&journal, Class::Issuance).len(), 6);
}

#[test]
fn a_full_disk_refuses_and_goes_on_once_there_is_room() {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    let mut expected = Expected::default();
    let journal = open_with(&disk, config());
    disk.set_room(Some(4000));
    while expected.append(&journal, maker.issued(3)) {}
    let refused = journal.append(&expected.asked[expected.answered..]).unwrap_err();
    assert_eq!(refused.code(), "journal_full");
    expected.check(&journal, "full");
    disk.set_room(None);
    assert!(expected.append(&journal, maker.issued(3)));
    assert_eq!(read(&journal, Class::Issuance), expected.asked);
    let ids: std::collections::HashSet<Id> = expected.asked.iter().map(|record| record.id).collect();
    assert_eq!(journal.verify().unwrap().classes[0].records, ids.len() as u64);
}
