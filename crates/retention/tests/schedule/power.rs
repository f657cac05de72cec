//! A sweep that is broken off anywhere.

use ingam_journal::simulated::seeds;
use ingam_protocol::record::Class;
use ingam_protocol::time::SeededRandom;
use ingam_retention::Config;

use crate::made::{DAY, run, start};
use crate::world::{Seen, World};

/// When almost everything is due.
const LATE: u32 = 8 * 366;

/// Breaks the sweep off after so many operations of one of the disks, and says whether that was before its end.
fn broken_off(world: &World, disk: usize, operations: u64, config: &Config) -> bool {
    world.clock.set(start().plus(DAY * LATE));
    let running = world.open(config).unwrap();
    run(running.retention.confirm()).unwrap();
    world.disks.each()[disk].stop_after(operations);
    let outcome = run(running.retention.sweep());
    running.close();
    outcome.is_err()
}

/// No segment is missing without a receipt, or the intent of one.
fn no_gap_is_unexplained(world: &World, context: &str) {
    let open = world.disks.open(&world.random).unwrap();
    let seen = Seen::of(&open);
    let going = open.store.segments_going(100).unwrap();
    for (class, there) in &seen.segments {
        for sequence in 1..*there.last().unwrap() {
            let receipts = seen.receipts.iter().filter(|one| **one == (class.name().to_owned(), sequence));
            let receipts = receipts.count();
            let is_going = going.iter().any(|one| one.class == *class && one.sequence == sequence);
            match there.contains(&sequence) {
                true => assert_eq!(receipts, 0, "{context}: {class:?} {sequence} is there"),
                false => assert_eq!(receipts + usize::from(is_going), 1, "{context}: {class:?} {sequence}"),
            }
        }
    }
    for (first, second) in
        [("certificates", "certificates_by_time"), ("certificates", "certificates_by_account")]
    {
        assert_eq!(seen.rows_of(first), seen.rows_of(second), "{context}");
    }
    open.close();
}

/// How many records of each class but the receipts' own, and rows of each table; and the receipts.
type End = (Vec<(Class, usize)>, Vec<(&'static str, usize)>, Vec<(String, u64)>);

/// What has to be the same in the end, however it came about.
fn end(seen: &Seen) -> End {
    let records = seen.records.iter().filter(|(class, _)| **class != Class::Retention);
    let rows = seen.rows.iter().filter(|(table, _)| !["meta", "outbox"].contains(*table));
    (
        records.map(|(class, records)| (*class, records.len())).collect(),
        rows.map(|(table, rows)| (*table, *rows)).collect(),
        seen.receipts.clone(),
    )
}

#[test]
fn a_sweep_that_is_broken_off_is_brought_to_the_same_end() {
    let config = Config::default();
    let (filled, _) = World::filled();
    let whole = filled.copy();
    whole.sweep_at(DAY * LATE, &config);
    let expected = end(&whole.look());
    assert!(expected.2.len() >= 4, "{expected:?}");
    for (disk, seed) in
        (0..filled.disks.each().len()).flat_map(|disk| seeds(1, 100).map(move |seed| (disk, seed)))
    {
        let (mut operations, mut cuts) = (0, 0);
        loop {
            let context = format!("disk {disk}, after {operations} operations, seed {seed}");
            let world = filled.copy();
            let was_cut = broken_off(&world, disk, operations, &config);
            world.disks.power_cut(&SeededRandom::new(seed * 10_000 + operations));
            no_gap_is_unexplained(&world, &context);
            world.sweep_at(DAY * LATE, &config);
            no_gap_is_unexplained(&world, &context);
            assert_eq!(end(&world.look()), expected, "{context}");
            if !was_cut {
                break;
            }
            cuts += 1;
            operations += 1;
        }
        println!("disk {disk}: {cuts} cuts");
        // The keys of subjects have no part in it.
        assert!(cuts > 0 || disk == 2, "disk {disk}");
    }
}
