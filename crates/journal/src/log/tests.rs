//! What the log signed stays as it was, whatever happens to its disk; and whatever is done to the journal or to the log behind
//! its back is found by whoever kept a checkpoint.
//!
//! Not a failure: leaves that no checkpoint covers may be there or not after a power cut.

mod audits;
mod cuts;
mod removals;

use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{Random, SeededRandom, Timestamp, random_array};

use super::audit::{AuditReport, Claim, Receipt, Terms, audit};
use super::leaf::ENTRY_BYTES;
use super::tree::{Frontier, Hash, leaf_hash};
use super::*;
use crate::files::Files;
use crate::simulated::SimulatedDisk;
use crate::{Journal, JournalConfig, SegmentKeys};

/// A Saturday, ten in the morning.
const NOW: Timestamp = Timestamp::from_unix_s(1_795_255_200);

const DAY: Duration = Duration::from_secs(86_400);

fn files(disk: &SimulatedDisk) -> Arc<dyn Files> {
    Arc::new(disk.clone())
}

fn journal_on(disk: &SimulatedDisk) -> Journal {
    let config = JournalConfig { segment_bytes_max: 1000, ..JournalConfig::default() };
    Journal::open(files(disk), keys(disk), config).unwrap()
}

/// The keys lie on the same disk.
fn keys(disk: &SimulatedDisk) -> Arc<SegmentKeys> {
    Arc::new(SegmentKeys::open(disk, Arc::new(SeededRandom::new(disk.operations()))).unwrap())
}

/// Records of several classes, all different; some are about things that end.
fn records(random: &SeededRandom, count: usize) -> Vec<Record> {
    let record = |at: usize| {
        let [kind, bytes, ends] = random_array(random);
        let kind = match kind % 5 {
            0 => RecordType::Started,
            1 => RecordType::OperatorActed,
            2 => RecordType::RequestHoldChanged,
            _ => RecordType::CertificateIssued,
        };
        let time = NOW.plus(Duration::from_millis(at as u64));
        let record = Record::new(kind, time, vec![b' '; usize::from(bytes)], random);
        if ends % 2 == 0 { record.ending(time.plus(90 * DAY)) } else { record }
    };
    (0..count).map(record).collect()
}

fn number(random: &dyn Random, below: usize) -> usize {
    usize::try_from(u64::from_be_bytes(random_array(random))).unwrap() % below.max(1)
}

fn grow(log: &Log, journal: &Journal) {
    while log.grow(journal, NOW).unwrap() > 0 {}
}

fn seal(log: &Log) -> Result<Claim, LogError> {
    let (size, root) = log.tip()?;
    log.seal(size, root, format!("{size}"))?;
    Ok(Claim { size, root })
}

/// The root over what the bundles say, made by nothing but them.
fn root_of_bundles(log: &Log, size: u64) -> Hash {
    let mut frontier = Frontier::default();
    for index in 0..size.div_ceil(TILE_WIDTH) {
        let width = (size - index * TILE_WIDTH).min(TILE_WIDTH);
        let bundle = log.entries(index, width).unwrap().unwrap();
        for entry in bundle.chunks(2 + LEAF_BYTES) {
            assert_eq!(entry[..2], [0, 50]);
            frontier.push(leaf_hash(&entry[2..]));
        }
    }
    assert_eq!(frontier.size(), size);
    frontier.root()
}

#[test]
fn every_record_has_a_leaf_and_the_tree_is_what_its_bundles_and_tiles_say() {
    let (disk, log_disk) = (SimulatedDisk::new(), SimulatedDisk::new());
    let (journal, random) = (journal_on(&disk), SeededRandom::new(5));
    let log = Log::open(&log_disk, true).unwrap();
    assert_eq!((log.head().size, log.tip().unwrap()), (0, (0, tree::empty_root())));
    let mut seen = Vec::new();
    for round in 0..6 {
        journal.append(&records(&random, 130)).unwrap();
        grow(&log, &journal);
        let claim = seal(&log).unwrap();
        assert_eq!(claim.size, 130 * (round + 1));
        assert_eq!(root_of_bundles(&log, claim.size), claim.root);
        seen.push(claim);
    }
    for old in &seen {
        assert_eq!(root_of_bundles(&log, old.size), old.root, "what was signed once is never another");
        assert!(log.consistency(old.size, 780).unwrap().len() < 16);
    }
    // 780 leaves: three full tiles and one of 12; above them one of 3.
    assert_eq!(log.tile(0, 2, 256).unwrap().unwrap().len(), 8192);
    let hash = |tile: Vec<u8>| tree::reduce(tile.chunks(32).map(|hash| hash.try_into().unwrap()).collect());
    let above = log.tile(1, 0, 3).unwrap().unwrap();
    assert_eq!(above[64..], hash(log.tile(0, 2, 256).unwrap().unwrap()));
    assert_eq!(log.tile(0, 3, 12).unwrap().unwrap().len(), 12 * 32);
    for (level, index, width) in
        [(0, 3, 13), (0, 4, 1), (1, 0, 4), (2, 0, 1), (9, 0, 1), (0, u64::MAX, 256), (0, 0, 0)]
    {
        assert_eq!(log.tile(level, index, width).unwrap(), None, "{level} {index} {width}");
    }
    assert_eq!(log.entries(3, 13).unwrap(), None);
    // Reopened, it goes on where it was, though the journal is read from its beginning again.
    let again = Log::open(&log_disk, false).unwrap();
    assert_eq!(again.head(), log.head());
    assert_eq!(again.grow(&journal, NOW).unwrap(), 0);
}

#[test]
fn nothing_that_was_signed_is_contradicted() {
    let (disk, log_disk) = (SimulatedDisk::new(), SimulatedDisk::new());
    let (journal, random) = (journal_on(&disk), SeededRandom::new(6));
    let log = Log::open(&log_disk, true).unwrap();
    journal.append(&records(&random, 10)).unwrap();
    grow(&log, &journal);
    let first = seal(&log).unwrap();
    journal.append(&records(&random, 10)).unwrap();
    grow(&log, &journal);
    let (size, root) = log.tip().unwrap();
    for (size, root) in [(first.size, root), (5, root), (size + 1, root)] {
        assert_eq!(log.seal(size, root, String::new()).unwrap_err().code(), "log_contradiction");
    }
    let long = "x".repeat(HEAD_NOTE_BYTES_MAX + 1);
    assert_eq!(log.seal(size, root, long).unwrap_err().code(), "log_too_long");
    // The same head with more signatures.
    log.seal(first.size, first.root, "more".into()).unwrap();
    assert_eq!(Log::open(&log_disk, false).unwrap().head().note, "more");
    log.seal(size, root, String::new()).unwrap();
}

#[test]
fn a_log_that_lost_what_it_signed_is_not_opened() {
    let (disk, log_disk) = (SimulatedDisk::new(), SimulatedDisk::new());
    let (journal, random) = (journal_on(&disk), SeededRandom::new(7));
    let log = Log::open(&log_disk, true).unwrap();
    journal.append(&records(&random, 600)).unwrap();
    grow(&log, &journal);
    seal(&log).unwrap();
    let leaves = log_disk.contents("leaves").unwrap();
    let refused = |what: &str| {
        let error = Log::open(&log_disk, false).unwrap_err();
        assert_eq!(error.code(), "log_lost", "{what}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(error.to_string().contains("has lost what it signed"), "{error}");
    };
    log_disk.set_contents("leaves", leaves[..leaves.len() - 1].to_vec());
    refused("599 leaves are there of the 600");
    log_disk.set_contents("leaves", Vec::new());
    refused("0 leaves are there of the 600");
    let mut altered = leaves.clone();
    altered[590 * ENTRY_BYTES + 20] ^= 1;
    let crc = crc32fast::hash(&altered[590 * ENTRY_BYTES..590 * ENTRY_BYTES + LEAF_BYTES]).to_be_bytes();
    altered[590 * ENTRY_BYTES + LEAF_BYTES..591 * ENTRY_BYTES].copy_from_slice(&crc);
    log_disk.set_contents("leaves", altered);
    refused("do not have the root");
    log_disk.set_contents("leaves", leaves.clone());
    // Hashes above the leaves are made anew.
    log_disk.set_contents("level-1", vec![0; 64]);
    assert_eq!(root_of_bundles(&Log::open(&log_disk, false).unwrap(), 600), log.head().root);
    log_disk.set_contents("level-1", Vec::new());
    Log::open(&log_disk, false).unwrap();
    assert_eq!(log_disk.contents("level-1").unwrap().len(), 64);
    let heads = log_disk.contents("heads").unwrap();
    log_disk.set_contents("heads", Vec::new());
    refused("none of its heads");
    assert_eq!(Log::open(&log_disk, true).unwrap_err().code(), "log_lost", "there are leaves");
    log_disk.remove("heads").unwrap();
    log_disk.remove("leaves").unwrap();
    refused("none of its heads");
    let mut newer = heads;
    newer[16 * 1024 + 9] = 2;
    log_disk.set_contents("heads", newer);
    assert_eq!(Log::open(&log_disk, false).unwrap_err().code(), "log_newer");
}

#[test]
fn a_damaged_head_costs_no_leaf_its_place() {
    let (disk, log_disk) = (SimulatedDisk::new(), SimulatedDisk::new());
    let (journal, random) = (journal_on(&disk), SeededRandom::new(8));
    let log = Log::open(&log_disk, true).unwrap();
    let mut claims = Vec::new();
    for _ in 0..2 {
        journal.append(&records(&random, 300)).unwrap();
        grow(&log, &journal);
        claims.push(seal(&log).unwrap());
    }
    let mut heads = log_disk.contents("heads").unwrap();
    heads[40] ^= 1;
    log_disk.set_contents("heads", heads);
    let log = Log::open(&log_disk, false).unwrap();
    assert_eq!(log.head().size, claims[0].size, "the head before it");
    assert_eq!(log.tip().unwrap(), (claims[1].size, claims[1].root), "and all leaves as they were");
}
