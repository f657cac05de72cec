//! What an append has answered for is there afterwards, in order and unchanged, whatever happens to the disk; and what
//! was changed behind the journal's back is found.
//!
//! Not a failure: records of an append that was not answered may be there or not, each whole.

use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::time::{SeededRandom, Timestamp};

use crate::files::{Disk, Files, ReadOnlyDisk};
use crate::simulated::{SimulatedDisk, seeds};
use crate::{Error, Form, Journal, JournalConfig, SegmentKeys};

mod damage;
mod faults;
mod folders;
mod order;
mod packing;

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
    try_open(disk, config).unwrap()
}

/// The keys lie on the same disk, so that its faults meet them too.
fn try_open(disk: &SimulatedDisk, config: JournalConfig) -> Result<Journal, Error> {
    Journal::open(Arc::new(disk.clone()), keys(disk, disk.operations())?, config)
}

fn keys(files: &dyn Files, seed: u64) -> Result<Arc<SegmentKeys>, Error> {
    SegmentKeys::open(files, Arc::new(SeededRandom::new(seed))).map(Arc::new)
}

/// As the first version of the layout has it.
fn plain_segments() -> JournalConfig {
    JournalConfig { plain: true, ..small_segments() }
}

/// The files of segments on a disk, with their contents.
fn files(disk: &SimulatedDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.list().unwrap().into_iter().filter(|name| name != "keys");
    names.map(|name| (name.clone(), disk.contents(&name).unwrap())).collect()
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
    let (segments, apart) = (folder.path().join("journal"), folder.path().join("keys"));
    let disk = |path: &std::path::Path| Arc::new(Disk::open(path).unwrap());
    let journal = Journal::open(disk(&segments), keys(&*disk(&apart), 1).unwrap(), small_segments()).unwrap();
    journal.append(&records).unwrap();
    // An append that is under way: opening for writing would cut it off.
    let last = journal.segments().pop().unwrap();
    let path = segments.join(&last.name);
    let unfinished = [std::fs::read(&path).unwrap(), vec![7; 30]].concat();
    std::fs::write(&path, &unfinished).unwrap();

    let files = Arc::new(ReadOnlyDisk::open(&segments).unwrap());
    let read_only = keys(&ReadOnlyDisk::open(&apart).unwrap(), 2).unwrap();
    let reader = Journal::open(files.clone(), read_only, JournalConfig::default()).unwrap();
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
    let apart = Disk::open(folder.path().join("keys")).unwrap();
    let mut maker = Maker::new(1);
    let (first, second) = (maker.issued(20), maker.issued(20));
    let journal = Journal::open(files.clone(), keys(&apart, 1).unwrap(), small_segments()).unwrap();
    journal.append(&first).unwrap();
    drop(journal);
    let journal = Journal::open(files, keys(&apart, 2).unwrap(), small_segments()).unwrap();
    journal.append(&second).unwrap();
    assert_eq!(read(&journal, Class::Issuance), [first, second].concat());
    let report = journal.verify().unwrap();
    assert_eq!((report.classes.len(), report.classes[0].records), (1, 40));
    assert!(report.classes[0].segments > 2 && report.classes[0].gaps.is_empty());
}
