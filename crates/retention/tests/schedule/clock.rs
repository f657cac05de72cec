//! What is there and what is not, as years go by.

use std::collections::BTreeSet;

use ingam_protocol::record::Class;
use ingam_retention::{Config, Preset, SegmentFate};

use crate::made::{DAY, run};
use crate::world::{Made, Seen, World};

const YEAR: u32 = 366;

/// The classes that the journal has records of.
const ALL: [Class; 7] = [
    Class::Issuance,
    Class::CaLifecycle,
    Class::AccessLog,
    Class::PermissionChange,
    Class::Retention,
    Class::Working,
    Class::Aggregate,
];

fn without(gone: &[Class]) -> BTreeSet<Class> {
    ALL.into_iter().filter(|class| !gone.contains(class)).collect()
}

/// The rows of some tables: in hand, of certificates, of what certificates rest on, of operators.
fn rows(seen: &Seen) -> [usize; 8] {
    ["orders", "authorizations", "certificates", "statuses", "revoked", "incidents", "approvals", "accounts"]
        .map(|table| seen.rows_of(table))
}

fn check(world: &World, made: &Made, config: &Config, days: u32, gone: &[Class], rows_left: [usize; 8]) {
    let receipts_before = world.look().receipts;
    world.sweep_at(DAY * days, config);
    let seen = world.look();
    assert_eq!(seen.classes(made), without(gone), "day {days}");
    assert_eq!(rows(&seen), rows_left, "day {days}");
    // Every segment that went has its receipt, and what has one is not there.
    for (class, sequence) in seen.receipts.iter().filter(|receipt| !receipts_before.contains(receipt)) {
        let class = Class::from_name(class).unwrap();
        assert!(!seen.segments.get(&class).is_some_and(|there| there.contains(sequence)), "day {days}");
    }
    for class in gone {
        assert!(seen.receipts.contains(&(class.name().to_owned(), 1)), "day {days}: {class:?}");
    }
}

#[test]
fn seven_years_and_a_day() {
    use Class::{AccessLog, CaLifecycle, Issuance, PermissionChange, Working};
    let (world, made) = World::filled();
    let config = Config::default();
    let all = [4, 4, 2, 3, 2, 1, 1, 2];
    check(&world, &made, &config, 0, &[], all);
    check(&world, &made, &config, 6, &[], all);
    check(&world, &made, &config, 8, &[], all);
    check(&world, &made, &config, 90, &[Working], all);
    // What nothing came of had ended a day after it was made.
    let in_hand_gone = [3, 3, 2, 3, 2, 1, 1, 2];
    check(&world, &made, &config, 91, &[Working], in_hand_gone);
    check(&world, &made, &config, YEAR + 1, &[Working], in_hand_gone);
    let acts_gone = [3, 3, 2, 3, 2, 1, 0, 2];
    check(&world, &made, &config, 2 * YEAR + 1, &[Working, AccessLog], acts_gone);
    check(&world, &made, &config, 5 * YEAR, &[Working, AccessLog, PermissionChange], acts_gone);
    let almost = 7 * YEAR - 1;
    check(&world, &made, &config, almost, &[Working, AccessLog, PermissionChange], acts_gone);
    // What was shown was valid for thirty days, and stays for seven years from their end.
    let gone = [Working, AccessLog, PermissionChange, Issuance];
    check(&world, &made, &config, 7 * YEAR + 1, &gone, [0, 3, 0, 0, 0, 0, 0, 1]);
    check(&world, &made, &config, 7 * YEAR + 31, &gone, [0, 0, 0, 0, 0, 0, 0, 1]);
    check(&world, &made, &config, 10 * YEAR + 1, &gone, [0, 0, 0, 0, 0, 0, 0, 1]);
    // Seven years after the last CA certificate.
    let gone = [Working, AccessLog, PermissionChange, Issuance, CaLifecycle];
    check(&world, &made, &config, 10 * 365 + 7 * YEAR - 1, &gone[..4], [0, 0, 0, 0, 0, 0, 0, 1]);
    check(&world, &made, &config, 10 * 365 + 7 * YEAR + 1, &gone, [0, 0, 0, 0, 0, 0, 0, 1]);
    // The account that has not ended, the receipts and the counts are what is left; every index is empty.
    let left = world.look();
    let tables: BTreeSet<&str> =
        left.rows.iter().filter(|(_, rows)| **rows > 0).map(|(table, _)| *table).collect();
    assert_eq!(tables, BTreeSet::from(["accounts", "accounts_by_key", "contacts", "meta", "subjects"]));
    assert_eq!(["contacts", "subjects"].map(|table| left.rows_of(table)), [1, 1], "of who has an account");
}

#[test]
fn two_years_and_a_day() {
    use Class::{AccessLog, Issuance, PermissionChange, Working};
    let (world, made) = World::filled();
    let config = Config {
        preset: Preset::TwoYears,
        statement_url: Some("https://ca.example/privacy".to_owned()),
        retention_days: Some(7 * YEAR),
        ..Config::default()
    };
    check(&world, &made, &config, YEAR + 1, &[Working], [3, 3, 2, 3, 2, 1, 1, 2]);
    // The certificates had ended after ninety days, and a check could be relied upon for thirty and ninety.
    check(&world, &made, &config, 2 * YEAR + 1, &[Working, AccessLog], [3, 3, 2, 3, 2, 1, 0, 2]);
    check(&world, &made, &config, 2 * YEAR + 91, &[Working, AccessLog], [0, 3, 0, 0, 0, 0, 0, 1]);
    check(&world, &made, &config, 2 * YEAR + 119, &[Working, AccessLog], [0, 3, 0, 0, 0, 0, 0, 1]);
    let gone = [Working, AccessLog, Issuance];
    check(&world, &made, &config, 2 * YEAR + 121, &gone, [0, 0, 0, 0, 0, 0, 0, 1]);
    let gone = [Working, AccessLog, Issuance, PermissionChange];
    check(&world, &made, &config, 5 * YEAR + 1, &gone, [0, 0, 0, 0, 0, 0, 0, 1]);
    // Receipts go, too, where a number says so; their own receipts are there.
    world.sweep_at(DAY * (7 * YEAR + 1), &config);
    let seen = world.look();
    assert!(!seen.has(Class::Retention, made.records[&Class::Retention]));
    assert!(seen.receipts.contains(&("retention".to_owned(), 1)));
}

#[test]
fn a_dry_run_says_what_a_sweep_does_and_twice_is_harmless() {
    let (world, _) = World::filled();
    let config = Config::default();
    world.clock.set(crate::made::start().plus(DAY * (7 * YEAR + 1)));
    let running = world.open(&config).unwrap();
    let dry = running.retention.dry_run().unwrap();
    run(running.retention.confirm()).unwrap();
    let swept = run(running.retention.sweep()).unwrap();
    let segments = |report: &ingam_retention::Report| -> Vec<_> {
        let gone = report.segments.iter().filter(|segment| segment.fate == SegmentFate::Goes);
        gone.map(|segment| (segment.class, segment.sequence)).collect()
    };
    assert_eq!(segments(&dry), segments(&swept));
    assert!(dry.segments_gone() >= 4, "{dry:?}");
    // Accounts go once their orders are gone: what goes after others is not foreseen.
    for rows in &dry.rows {
        assert!(swept.rows.contains(rows), "{rows:?}");
    }
    assert!(!dry.rows.is_empty());
    let again = run(running.retention.sweep()).unwrap();
    assert_eq!((again.segments_gone(), again.rows_gone()), (0, 0), "{again:?}");
    let nothing = running.retention.dry_run().unwrap();
    assert_eq!((nothing.segments_gone(), nothing.rows_gone()), (0, 0));
    assert_eq!(running.retention.condition().failure, None);
    let before = Seen::of(&running.open);
    running.close();
    let after = world.look();
    assert_eq!(
        (before.receipts, before.rows.get("certificates")),
        (after.receipts, after.rows.get("certificates"))
    );
    let reopened = world.open(&config).unwrap();
    reopened.open.threads.journal().verify().unwrap();
    reopened.close();
}
