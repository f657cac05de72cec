//! Seven days, and not a trace after them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ingam_protocol::Clock;
use ingam_protocol::record::RecordType;

use super::super::{Config, Mode, Selection};
use super::world::*;

#[tokio::test]
async fn at_six_days_and_23_hours_a_segment_is_there_and_at_seven_neither_key_nor_file() {
    for mode in [Mode::Full, Mode::Truncated] {
        let world = World::new(mode);
        world.ask().await;
        world.assert_nobody_is_found();
        let begun = world.clock.now();
        world.clock.set(start().plus(6 * DAY + 23 * HOUR));
        world.log.tick().await.unwrap();
        assert_eq!(world.names(".requests").len(), 1);
        assert!(world.disk.contents("keys").unwrap()[256..].iter().any(|byte| *byte != 0));
        world.clock.set(start().plus(7 * DAY));
        world.log.tick().await.unwrap();
        assert!(world.names(".requests").is_empty());
        assert!(world.disk.contents("keys").unwrap()[256..].iter().all(|byte| *byte == 0));
        world.assert_nobody_is_found();
        let receipts = world.recorded(RecordType::RequestSegmentDestroyed);
        let [receipt] = receipts.as_slice() else { panic!("{receipts:?}") };
        assert_eq!(receipt["records"], 2);
        assert_eq!(receipt["rule"], "ocsp_request_log");
        assert_eq!(receipt["first"], start().unix_ms());
        assert!(begun < world.clock.now());
        // Twice is harmless.
        world.log.tick().await.unwrap();
        assert_eq!(world.recorded(RecordType::RequestSegmentDestroyed).len(), 1);
    }
}

#[tokio::test]
async fn what_is_over_goes_at_the_start_whatever_the_mode_is_then() {
    let mut world = World::new(Mode::Full);
    world.ask().await;
    world.config.mode = Mode::Off;
    world.clock.set(start().plus(8 * DAY));
    world.restart();
    world.log.tick().await.unwrap();
    assert!(world.names(".requests").is_empty());
    assert_eq!(
        world.recorded(RecordType::RequestSegmentDestroyed)[0]["records"],
        2,
        "counted before it went"
    );
    assert!(!world.log.is_on());
    world.note_from(PLANTED, 1);
    world.wait(HOUR).await;
    assert!(world.names(".requests").is_empty());
}

#[tokio::test]
async fn a_shorter_time_holds_for_what_is_there() {
    let mut world = World::new(Mode::Full);
    world.ask().await;
    world.config.keep_s = 24 * 60 * 60;
    world.restart();
    world.wait(DAY).await;
    assert!(world.names(".requests").is_empty());
}

#[tokio::test]
async fn each_hour_has_a_segment_of_its_own_and_each_goes_by_itself() {
    let world = World::new(Mode::Full);
    for _ in 0..4 {
        world.ask().await;
        world.wait(HOUR).await;
    }
    assert_eq!(world.names(".requests").len(), 4);
    world.clock.set(start().plus(7 * DAY + 90 * Duration::from_secs(60)));
    world.log.tick().await.unwrap();
    assert_eq!(world.names(".requests").len(), 2);
    assert_eq!(world.recorded(RecordType::RequestSegmentDestroyed).len(), 2);
    world.assert_nobody_is_found();
}

#[tokio::test]
async fn a_receipt_waits_for_the_store_and_the_segment_does_not() {
    let world = World::new(Mode::Full);
    world.ask().await;
    world.store.fails.store(true, Ordering::SeqCst);
    world.clock.set(start().plus(7 * DAY));
    assert_eq!(world.log.tick().await.unwrap_err().code(), "request_log_record");
    assert!(world.names(".requests").is_empty());
    world.store.fails.store(false, Ordering::SeqCst);
    world.log.tick().await.unwrap();
    assert_eq!(world.recorded(RecordType::RequestSegmentDestroyed).len(), 1);
}

#[tokio::test]
async fn a_full_disk_loses_records_and_keeps_no_segment_longer() {
    let world = World::new(Mode::Full);
    world.ask().await;
    world.disk.set_room(Some(0));
    for _ in 0..5 {
        world.note_from(PLANTED, 3);
        world.clock.advance(Duration::from_secs(6));
        assert_eq!(world.log.tick().await.unwrap_err().code(), "request_log_disk_full");
    }
    world.assert_nobody_is_found();
    // The disk is still full.
    world.clock.set(start().plus(7 * DAY));
    let _ = world.log.tick().await;
    assert!(world.names(".requests").is_empty());
    assert!(world.disk.contents("keys").unwrap()[256..].iter().all(|byte| *byte == 0));
    world.disk.set_room(None);
    world.wait(Duration::from_secs(6)).await;
    assert!(world.names(".requests").is_empty(), "what had waited for seven days is not written any more");
    world.ask().await;
    assert_eq!(world.names(".requests").len(), 1);
    assert_eq!(world.recorded(RecordType::RequestSegmentDestroyed).len(), 1);
}

#[tokio::test]
async fn what_cannot_be_written_is_lost_and_counted() {
    let world = World::with(Config { mode: Mode::Full, bytes_max: 1 << 16, ..Config::default() });
    for round in 0..300_u16 {
        for number in 0..200_u8 {
            world.note_from(
                &format!("2001:db8:{round:x}:{number:x}::{round:x}"),
                number ^ round.to_be_bytes()[1],
            );
        }
        world.clock.advance(Duration::from_secs(1));
        let _ = world.log.tick().await;
    }
    let condition = world.log.condition();
    assert!(condition.bytes.0 <= 1 << 16, "{condition:?}");
    assert!(condition.dropped_at.is_some());
    let (seen, lost) = condition.requests;
    assert!(seen == 60_000 && lost > 0 && lost < seen, "{condition:?}");
}

#[tokio::test]
async fn a_clock_that_is_put_back_keeps_nothing_longer() {
    let mut world = World::new(Mode::Full);
    world.ask().await;
    world.wait(2 * DAY).await;
    // Two days back, while the process runs, and again while it does not.
    world.clock.set(start());
    world.log.tick().await.unwrap();
    world.clock.set(start().minus(3 * DAY));
    world.restart();
    // Seen from now, five of the seven days are left since two of them passed.
    world.wait(5 * DAY - HOUR).await;
    assert_eq!(world.names(".requests").len(), 1);
    world.wait(HOUR).await;
    assert!(world.names(".requests").is_empty());
}

#[tokio::test]
async fn after_a_power_cut_at_any_point_nothing_is_in_clear_and_all_goes_in_time() {
    for point in 0..60 {
        let mut world = World::new(Mode::Full);
        world.log.hold_open(world.new_hold(world.of_serial(1)), Vec::new()).await.unwrap();
        world.disk.stop_after(point);
        for _ in 0..2 {
            world.note_from(PLANTED, 1);
            world.clock.advance(HOUR);
            let _ = world.log.tick().await;
        }
        world.disk.power_cut(world.random.as_ref());
        world.assert_nobody_is_found();
        world.restart();
        world.ask().await;
        world.clock.set(start().plus(7 * DAY + 3 * HOUR));
        world.log.tick().await.unwrap();
        assert!(world.names(".requests").is_empty(), "{point}");
        world.assert_nobody_is_found();
        // The hold is there, or it never was; it goes in its time.
        world.wait(30 * DAY).await;
        assert!(world.names(".held").is_empty(), "{point}");
        assert!(world.disk.contents("keys").unwrap()[256..].iter().all(|byte| *byte == 0), "{point}");
    }
}

#[tokio::test]
async fn a_torn_end_leaves_the_rest_to_be_read() {
    let mut world = World::new(Mode::Full);
    world.ask().await;
    world.ask().await;
    let [name] = &world.names(".requests")[..] else { panic!("one segment") };
    let whole = world.disk.contents(name).unwrap();
    world.disk.set_contents(name, whole[..whole.len() - 10].to_vec());
    world.restart();
    let everything = Selection { from: Some(start().minus(DAY)), ..Selection::default() };
    let hold = world.log.hold_open(world.new_hold(everything), Vec::new()).await.unwrap();
    let found = world.log.hold_requests(hold.id, 0, 100).await.unwrap();
    assert_eq!(found.requests.len(), 2);
}

#[tokio::test]
async fn hours_are_counted_without_people() {
    let world = World::new(Mode::Full);
    for _ in 0..20 {
        world.note_from(PLANTED, 1);
    }
    world.log.tick().await.unwrap();
    world.wait(HOUR).await;
    let counted = world.recorded(RecordType::OcspRequestsCounted);
    let [hour] = counted.as_slice() else { panic!("{counted:?}") };
    assert_eq!(hour["requests"], 20);
    assert_eq!(hour["issuers"][0]["issuer"], "e1");
    assert_eq!(hour["issuers"][0]["clients"]["other"], 20);
    world.assert_nobody_is_found();
}

#[tokio::test]
async fn the_end_of_a_process_writes_what_waits() {
    let world = World::new(Mode::Full);
    (0..20).for_each(|_| world.note_from(PLANTED, 1));
    world.log.run(std::future::ready(())).await;
    assert_eq!(world.names(".requests").len(), 1);
    assert_eq!(world.recorded(RecordType::OcspRequestsCounted).len(), 1);
    assert_eq!(world.log.condition().requests, (20, 0));
}
