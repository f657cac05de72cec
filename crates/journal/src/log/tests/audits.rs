//! Whatever is done to journal or log, a checkpoint that was kept finds it.

use proptest::prelude::*;

use super::*;

/// A journal, its log, and a checkpoint over all of it.
pub(super) struct World {
    pub(super) journal: SimulatedDisk,
    pub(super) log: SimulatedDisk,
    records: Vec<Record>,
    pub(super) claim: Claim,
}

impl World {
    pub(super) fn new(seed: u64, count: usize) -> Self {
        let (journal_disk, log_disk) = (SimulatedDisk::new(), SimulatedDisk::new());
        let (journal, random) = (journal_on(&journal_disk), SeededRandom::new(seed));
        let log = Log::open(&log_disk, true).unwrap();
        let records = records(&random, count);
        for some in records.chunks(17) {
            journal.append(some).unwrap();
            log.grow(&journal, NOW).unwrap();
        }
        // In either form.
        while seed.is_multiple_of(2) && journal.pack_next().unwrap() {}
        let claim = seal(&log).unwrap();
        Self { journal: journal_disk, log: log_disk, records, claim }
    }

    pub(super) fn audit(&self) -> (AuditReport, Vec<String>) {
        audit_with(&self.journal, &self.log, self.claim, on(NOW), &|_| None)
    }

    /// The journal as if these had been its records.
    fn forge(&mut self, records: &[Record]) {
        self.journal = SimulatedDisk::new();
        let journal = journal_on(&self.journal);
        for some in records.chunks(17) {
            journal.append(some).unwrap();
        }
    }

    fn segments(&self) -> Vec<String> {
        self.journal.list().unwrap().into_iter().filter(|name| crate::segment::Name::is_one(name)).collect()
    }

    /// Changes leaves and puts the checksums right.
    fn forge_leaves(&self, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let bytes = self.log.contents("leaves").unwrap();
        let mut leaves: Vec<Vec<u8>> =
            bytes.chunks(ENTRY_BYTES).map(|entry| entry[..LEAF_BYTES].to_vec()).collect();
        change(&mut leaves);
        let entry = |leaf: &Vec<u8>| [&leaf[..], &crc32fast::hash(leaf).to_be_bytes()].concat();
        self.log.set_contents("leaves", leaves.iter().flat_map(entry).collect());
    }
}

/// The terms of a day, with no word on the preset.
pub(super) fn on(today: Timestamp) -> Terms {
    Terms { today: leaf::day(today), issuance_floor_days: None }
}

pub(super) fn audit_with(
    journal: &SimulatedDisk,
    log: &SimulatedDisk,
    claim: Claim,
    terms: Terms,
    receipt: &dyn Fn(&Record) -> Option<Receipt>,
) -> (AuditReport, Vec<String>) {
    let mut lines = Vec::new();
    let tell = &mut |line: &str| lines.push(line.to_owned());
    let report = audit((files(journal), keys(journal)), log, claim, terms, receipt, tell).unwrap();
    assert_eq!(report.findings, lines.len() as u64);
    (report, lines)
}

/// One way to tamper.
fn tamper(world: &mut World, way: usize, random: &SeededRandom) -> String {
    let segments = world.segments();
    let segment = segments[number(random, segments.len())].clone();
    let count = world.records.len();
    let (at, other) = (number(random, count), number(random, count));
    match way {
        0 => {
            world.journal.remove(&segment).unwrap();
            format!("{segment} deleted")
        }
        1 => {
            let mut bytes = world.journal.contents(&segment).unwrap();
            let at = number(random, bytes.len());
            bytes[at] ^= 1 << number(random, 8);
            world.journal.set_contents(&segment, bytes);
            format!("{segment} altered at {at}")
        }
        2 => {
            let bytes = world.journal.contents(&segment).unwrap();
            let at = number(random, bytes.len());
            world.journal.set_contents(&segment, bytes[..at].to_vec());
            format!("{segment} truncated to {at}")
        }
        3 => {
            let another = &segments[number(random, segments.len())];
            if *another == segment {
                return String::new();
            }
            let (one, two) = (world.journal.contents(&segment), world.journal.contents(another));
            world.journal.set_contents(&segment, two.unwrap());
            world.journal.set_contents(another, one.unwrap());
            format!("{segment} and {another} swapped")
        }
        4 => {
            let mut records = world.records.clone();
            records[at].salt[3] ^= 1;
            world.forge(&records);
            format!("record {at} altered")
        }
        5 => {
            let mut records = world.records.clone();
            records.remove(at);
            world.forge(&records);
            format!("record {at} deleted")
        }
        6 => {
            let mut records = world.records.clone();
            if records[at].class() != records[other].class() || at == other {
                return String::new();
            }
            records.swap(at, other);
            world.forge(&records);
            format!("records {at} and {other} swapped")
        }
        7 => {
            let records = world.records[..at].to_vec();
            world.forge(&records);
            format!("truncated to {at} records")
        }
        8 => {
            let mut records = world.records.clone();
            let new = super::records(&SeededRandom::new(99), 1).remove(0);
            records.insert(at, new);
            // Behind the last of its class it is only what comes behind the checkpoint.
            if !world.records[at..].iter().any(|later| later.class() == records[at].class()) {
                return String::new();
            }
            world.forge(&records);
            format!("a record put in at {at}")
        }
        9 => {
            world.forge_leaves(|leaves| drop(leaves.remove(at)));
            format!("leaf {at} deleted")
        }
        10 => {
            world.forge_leaves(|leaves| leaves[at][10 + other % 40] ^= 1);
            format!("leaf {at} altered")
        }
        11 if at != other => {
            world.forge_leaves(|leaves| leaves.swap(at, other));
            format!("leaves {at} and {other} swapped")
        }
        12 => {
            world.forge_leaves(|leaves| leaves.truncate(at));
            format!("leaves truncated to {at}")
        }
        // Behind the last one it would be one that the checkpoint does not cover.
        13 if at + 1 < count => {
            world.forge_leaves(|leaves| leaves.insert(at, leaves[other].clone()));
            format!("a leaf put in at {at}")
        }
        14 => {
            // Both, so that they agree with each other.
            let mut records = world.records.clone();
            records[at].salt[3] ^= 1;
            world.forge(&records);
            let log = SimulatedDisk::new();
            let forged = Log::open(&log, true).unwrap();
            grow(&forged, &journal_on(&world.journal));
            seal(&forged).unwrap();
            world.log = log;
            format!("record {at} altered, and the log made anew")
        }
        _ => String::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_is_found(seed in any::<u64>(), count in 20_usize..120) {
        let (report, lines) = World::new(seed, count).audit();
        prop_assert_eq!(&lines, &Vec::<String>::new());
        prop_assert_eq!((report.records, report.behind, report.removed), (count as u64, 0, 0));
        for way in 0..15 {
            let mut world = World::new(seed, count);
            let done = tamper(&mut world, way, &SeededRandom::new(seed ^ way as u64));
            if !done.is_empty() {
                let (report, _) = world.audit();
                prop_assert!(report.findings > 0, "{}", done);
            }
        }
    }
}

#[test]
fn every_segment_counts_and_every_record() {
    let world = World::new(3, 60);
    for name in world.segments() {
        let world = World::new(3, 60);
        world.journal.remove(&name).unwrap();
        let (report, lines) = world.audit();
        assert!(report.findings > 0, "{name}");
        assert!(
            lines.iter().any(|line| line.contains("deleted") || line.contains("truncated")),
            "{name}: {lines:?}"
        );
    }
    for at in 0..60 {
        let mut world = World::new(3, 60);
        let mut records = world.records.clone();
        records[at].parts[0].bytes.push(b' ');
        world.forge(&records);
        let (report, lines) = world.audit();
        assert_eq!(report.records, 59, "{at}: {lines:?}");
        assert!(
            lines.iter().any(|line| line.contains("record") && line.contains("altered")),
            "{at}: {lines:?}"
        );
        let mut world = World::new(3, 60);
        let mut records = world.records.clone();
        let gone = records.remove(at);
        world.forge(&records);
        let (_, lines) = world.audit();
        assert!(lines.iter().any(|line| line.starts_with(gone.class().name())), "{at}: {lines:?}");
    }
}

#[test]
fn what_comes_behind_the_checkpoint_is_told_and_is_no_finding() {
    let world = World::new(4, 50);
    journal_on(&world.journal).append(&records(&SeededRandom::new(77), 9)).unwrap();
    let (report, lines) = world.audit();
    assert_eq!((report.records, report.behind, report.findings), (50, 9, 0), "{lines:?}");
    let log = Log::open(&world.log, false).unwrap();
    grow(&log, &journal_on(&world.journal));
    seal(&log).unwrap();
    let (report, _) = world.audit();
    assert_eq!((report.behind, report.leaves_behind, report.findings), (9, 9, 0), "an older checkpoint");
}
