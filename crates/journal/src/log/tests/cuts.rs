//! The power is cut, or the disk fails, at each operation.

use std::io;

use super::*;
use crate::simulated::seeds;

/// What was signed, as far as that was answered.
struct World {
    journal: Journal,
    journal_disk: SimulatedDisk,
    log_disk: SimulatedDisk,
    random: SeededRandom,
    signed: Vec<Claim>,
    has_key: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let journal_disk = SimulatedDisk::new();
        Self {
            journal: journal_on(&journal_disk),
            journal_disk,
            log_disk: SimulatedDisk::new(),
            random: SeededRandom::new(seed),
            signed: Vec::new(),
            has_key: false,
        }
    }

    /// Opens the log and signs a few heads, until something fails.
    fn work(&mut self, rounds: usize) -> Result<(), LogError> {
        let log = Log::open(&self.log_disk, !self.has_key)?;
        self.has_key = true;
        for _ in 0..rounds {
            self.journal.append(&records(&self.random, 100)).unwrap();
            log.grow(&self.journal, NOW)?;
            // Signed means that somebody may have it, once it is on disk.
            self.signed.push(seal(&log)?);
            let head = log.head();
            log.seal(head.size, head.root, format!("{} and cosigned", head.note))?;
        }
        Ok(())
    }

    /// Everything signed is there, nothing contradicts it, and the log goes on.
    fn check(&mut self, case: &str) {
        let log = Log::open(&self.log_disk, !self.has_key).unwrap_or_else(|error| panic!("{case}: {error}"));
        self.has_key = true;
        grow(&log, &self.journal);
        let last = seal(&log).unwrap_or_else(|error| panic!("{case}: {error}"));
        for claim in &self.signed {
            assert!(claim.size <= last.size, "{case}: a smaller tree");
            assert_eq!(root_of_bundles(&log, claim.size), claim.root, "{case}: {}", claim.size);
            assert_eq!(log.stored.root(claim.size).unwrap(), claim.root, "{case}: {}", claim.size);
        }
        self.signed.push(last);
        let mut said = String::new();
        let tell = &mut |line: &str| said.push_str(line);
        let report = audit(
            (files(&self.journal_disk), keys(&self.journal_disk)),
            &self.log_disk,
            last,
            audits::on(NOW),
            &|_| None,
            tell,
        )
        .unwrap();
        assert_eq!((report.findings, said.as_str()), (0, ""), "{case}");
        assert_eq!((report.records, report.behind), (last.size, 0), "{case}");
    }
}

fn operations_of(rounds: usize) -> u64 {
    let mut world = World::new(1);
    world.work(rounds).unwrap();
    world.log_disk.operations()
}

#[test]
fn the_power_is_cut_at_each_operation() {
    let total = operations_of(4);
    for at in 0..total {
        for seed in seeds(2, total) {
            let mut world = World::new(1);
            world.log_disk.stop_after(at);
            let _ = world.work(4);
            world.log_disk.power_cut(&SeededRandom::new(seed * 1000 + at));
            world.check(&format!("cut at {at}, {seed}"));
        }
    }
}

#[test]
fn the_power_is_cut_while_it_is_opened_after_a_cut() {
    let total = operations_of(4);
    for seed in seeds(1, 20 * total.div_ceil(13)) {
        for at in (seed % 13..total).step_by(13) {
            for then in (seed % 3..30).step_by(3) {
                let mut world = World::new(1);
                world.log_disk.stop_after(at);
                let _ = world.work(4);
                world.log_disk.power_cut(&SeededRandom::new(seed * 1000 + at));
                world.log_disk.stop_after(then);
                let _ = world.work(1);
                world.log_disk.power_cut(&SeededRandom::new(seed * 1000 + then));
                world.check(&format!("seed {seed}, cut at {at}, and then at {then}"));
            }
        }
    }
}

#[test]
fn one_operation_fails_and_then_the_power() {
    for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
        let total = operations_of(4);
        for (at, seed) in seeds(1, total).flat_map(|seed| (0..total).map(move |at| (at, seed))) {
            let mut world = World::new(1);
            world.log_disk.fail_after(at, kind);
            let _ = world.work(4);
            world.log_disk.heal();
            // Opened again, as its task does, and only then is the power cut.
            world.work(1).unwrap();
            world.log_disk.power_cut(&SeededRandom::new(seed * 1000 + at));
            world.check(&format!("{kind:?} at {at}, seed {seed}"));
        }
    }
}

#[test]
fn after_a_failed_write_the_log_refuses_until_it_is_opened_again() {
    let mut world = World::new(2);
    world.work(1).unwrap();
    let log = Log::open(&world.log_disk, false).unwrap();
    world.journal.append(&records(&world.random, 10)).unwrap();
    world.log_disk.fail_after(0, io::ErrorKind::StorageFull);
    assert_eq!(log.grow(&world.journal, NOW).unwrap_err().code(), "log_full");
    assert_eq!(log.grow(&world.journal, NOW).unwrap_err().code(), "log_broken");
    let head = log.head();
    assert_eq!(log.seal(head.size, head.root, String::new()).unwrap_err().code(), "log_broken");
    world.check("opened again");
}
