//! A hold wins over the sweep for as long as it is in force, keeps what it is about, and nothing else where that is known.

use ingam_protocol::record::Class;
use ingam_retention::{Config, SegmentFate};
use ingam_store::{HoldReleased, HoldRenewal, HoldScope};

use crate::made::{DAY, issuer, operator, run, start};
use crate::world::{World, hold, open_hold};

const YEAR: u32 = 366;
const EIGHT_YEARS: u32 = 8 * YEAR;

/// A world with a hold that was opened at eight years, and what is there a moment later.
fn held(
    scope: impl FnOnce(&crate::world::Made) -> HoldScope,
) -> (World, crate::world::Made, ingam_protocol::Id) {
    let (world, made) = World::filled();
    let opened = start().plus(DAY * EIGHT_YEARS);
    world.clock.set(opened);
    let running = world.open(&Config::default()).unwrap();
    let hold = hold(scope(&made), opened, &world.random);
    run(open_hold(&running.open, &hold));
    running.close();
    (world, made, hold.id)
}

#[test]
fn everything_stays_until_it_is_released() {
    let (world, made, id) = held(|_| HoldScope::Everything);
    let before = world.look();
    let report = world.sweep_at(DAY * EIGHT_YEARS, &Config::default());
    assert_eq!((report.segments_gone(), report.rows_gone()), (0, 0), "{report:?}");
    assert!(report.segments.iter().all(|one| matches!(one.fate, SegmentFate::Held(by) if by.hold == id)));
    assert!(report.held["certificates"] == 2 && report.held["orders_claimed"] == 1, "{report:?}");
    let after = world.look();
    assert_eq!(before.records, after.records);

    // Renewed, it goes on; released, what it kept goes.
    world.clock.set(start().plus(DAY * (EIGHT_YEARS + 300)));
    let running = world.open(&Config::default()).unwrap();
    let now = start().plus(DAY * (EIGHT_YEARS + 300));
    let renewal =
        HoldRenewal { at: now, by: operator(0), reason: "on".to_owned(), ends: now.plus(365 * DAY) };
    run(running.open.store.hold_renew(id, renewal, |_| Vec::new())).unwrap();
    running.close();
    world.sweep_at(DAY * (EIGHT_YEARS + 500), &Config::default());
    assert_eq!(world.look().rows_of("certificates"), 2);
    let running = world.open(&Config::default()).unwrap();
    let at = start().plus(DAY * (EIGHT_YEARS + 500));
    let released = HoldReleased { at, by: operator(0), reason: "over".to_owned() };
    run(running.open.store.hold_release(id, released, |_| Vec::new())).unwrap();
    running.close();
    world.sweep_at(DAY * (EIGHT_YEARS + 500), &Config::default());
    let seen = world.look();
    assert_eq!(seen.rows_of("certificates"), 0);
    assert!(!seen.has(Class::Issuance, made.records[&Class::Issuance]));
    assert_eq!(seen.rows_of("holds"), 1, "it stays listed");
}

#[test]
fn a_hold_that_nobody_renewed_keeps_nothing() {
    let (world, _, _) = held(|_| HoldScope::Everything);
    world.sweep_at(DAY * (EIGHT_YEARS + 364), &Config::default());
    assert_eq!(world.look().rows_of("certificates"), 2);
    world.sweep_at(DAY * (EIGHT_YEARS + 365), &Config::default());
    assert_eq!(world.look().rows_of("certificates"), 0);
}

#[test]
fn a_certificate_is_kept_with_what_may_be_about_it() {
    let (world, made, _) = held(|made| HoldScope::Certificate {
        issuer: issuer(),
        serial: made.serial.clone(),
        account: Some(made.subject),
    });
    world.sweep_at(DAY * EIGHT_YEARS, &Config::default());
    let seen = world.look();
    // Its account's orders and certificates stay; the other account's row goes, and counts are about nobody.
    assert_eq!((seen.rows_of("certificates"), seen.rows_of("accounts")), (2, 1));
    assert!(seen.has(Class::Issuance, made.records[&Class::Issuance]));
    assert!(seen.has(Class::AccessLog, made.records[&Class::AccessLog]));
}

#[test]
fn a_subject_is_kept_alone_among_the_rows() {
    let (world, made, _) = held(|made| HoldScope::Subject { subject: made.stranger });
    world.sweep_at(DAY * EIGHT_YEARS, &Config::default());
    let seen = world.look();
    assert_eq!((seen.rows_of("certificates"), seen.rows_of("accounts")), (0, 2));
    assert!(seen.has(Class::Issuance, made.records[&Class::Issuance]), "segments are not read for it");
}

#[test]
fn a_class_of_some_time_is_kept_and_no_other() {
    let of = |from: u32, until: u32| {
        let at = |days: u32| Some(start().plus(DAY * days));
        HoldScope::Class { class: Class::AccessLog, from: at(from), until: at(until) }
    };
    let (world, made, _) = held(|_| of(0, 1));
    world.sweep_at(DAY * EIGHT_YEARS, &Config::default());
    let seen = world.look();
    assert!(seen.has(Class::AccessLog, made.records[&Class::AccessLog]));
    assert!(!seen.has(Class::PermissionChange, made.records[&Class::PermissionChange]));
    assert_eq!((seen.rows_of("approvals"), seen.rows_of("certificates")), (1, 0));

    let (world, made, _) = held(|_| of(100, 200));
    world.sweep_at(DAY * EIGHT_YEARS, &Config::default());
    assert!(!world.look().has(Class::AccessLog, made.records[&Class::AccessLog]));
}
