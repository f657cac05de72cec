//! What an append has answered for is there afterwards, in order and unchanged, whatever happens to the disk; and what
//! was changed behind the journal's back is found.
//!
//! Not a failure: records of an append that was not answered may be there or not, each whole.

use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::time::{SeededRandom, Timestamp};

use crate::files::{Disk, Files, ReadOnlyDisk};
use crate::simulated::SimulatedDisk;
use crate::{Journal, JournalConfig};

mod damage;
mod faults;
mod order;

/// A Saturday, ten in the morning.
const NOW: u64 = 1_795_255_200;

const DAY: Duration = Duration::from_secs(86_400);

/// Makes records that are all different.
struct Maker {
    random: SeededRandom,
    now: Timestamp,
}

impl Maker {
    fn new(seed: u64) -> Self {
        Self { random: SeededRandom::new(seed), now: Timestamp::from_unix_s(NOW) }
    }

    fn record(&mut self, kind: RecordType, bytes: usize) -> Record {
        self.now = self.now.plus(Duration::from_millis(1));
        Record::new(kind, self.now, vec![b' '; bytes], &self.random)
    }

    fn issued(&mut self, count: usize) -> Vec<Record> {
        (0..count).map(|index| self.record(RecordType::CertificateIssued, 50 + index)).collect()
    }
}

fn open(disk: &SimulatedDisk) -> Journal {
    open_with(disk, JournalConfig::default())
}

fn open_with(disk: &SimulatedDisk, config: JournalConfig) -> Journal {
    Journal::open(Arc::new(disk.clone()), config).unwrap()
}

fn small_segments() -> JournalConfig {
    JournalConfig { segment_bytes_max: 1000, ..JournalConfig::default() }
}

fn read(journal: &Journal, class: Class) -> Vec<Record> {
    journal.records(class).collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_journal_in_use_is_read_without_a_byte_being_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut maker = Maker::new(2);
    let records = maker.issued(20);
    let journal = Journal::open(Arc::new(Disk::open(folder.path()).unwrap()), small_segments()).unwrap();
    journal.append(&records).unwrap();
    // An append that is under way: opening for writing would cut it off.
    let last = journal.segments().pop().unwrap();
    let path = folder.path().join(&last.name);
    let unfinished = [std::fs::read(&path).unwrap(), vec![7; 30]].concat();
    std::fs::write(&path, &unfinished).unwrap();

    let files = Arc::new(ReadOnlyDisk::open(folder.path()).unwrap());
    let reader = Journal::open(files.clone(), JournalConfig::default()).unwrap();
    assert_eq!(read(&reader, Class::Issuance), records);
    assert!(reader.append(&maker.issued(1)).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), unfinished);
    assert!(files.create("another").is_err());
    assert!(ReadOnlyDisk::open(folder.path().join("missing")).is_err());
}

#[test]
fn a_journal_on_a_real_disk_goes_on_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let files: Arc<dyn Files> = Arc::new(Disk::open(folder.path().join("journal")).unwrap());
    let mut maker = Maker::new(1);
    let (first, second) = (maker.issued(20), maker.issued(20));
    let journal = Journal::open(files.clone(), small_segments()).unwrap();
    journal.append(&first).unwrap();
    drop(journal);
    let journal = Journal::open(files, small_segments()).unwrap();
    journal.append(&second).unwrap();
    assert_eq!(read(&journal, Class::Issuance), [first, second].concat());
    let report = journal.verify().unwrap();
    assert_eq!((report.classes.len(), report.classes[0].records), (1, 40));
    assert!(report.classes[0].segments > 2 && report.classes[0].gaps.is_empty());
}
