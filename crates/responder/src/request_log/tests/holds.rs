//! What a case needs is kept for it, and no longer.

use ingam_protocol::Clock;
use ingam_protocol::record::RecordType;

use super::super::{Error, Mode, Selection};
use super::world::*;

#[tokio::test]
async fn a_hold_outlives_the_segment_and_has_nothing_else() {
    let mut world = World::new(Mode::Full);
    world.ask().await;
    let hold = world.log.hold_open(world.new_hold(world.of_serial(1)), Vec::new()).await.unwrap();
    let before = world.log.hold_requests(hold.id, 0, 10).await.unwrap();
    assert_eq!(before.requests.len(), 1, "it is read from the segment");
    world.clock.set(start().plus(7 * DAY));
    world.log.tick().await.unwrap();
    assert!(world.names(".requests").is_empty());
    world.restart();
    let after = world.log.hold_requests(hold.id, 0, 10).await.unwrap();
    assert_eq!(after, before);
    assert_eq!(after.requests[0].origin.to_string(), format!("{PLANTED}/32"));
    assert_eq!(after.requests[0].user_agent, AGENT.as_bytes());
    world.assert_nobody_is_found();
    world.log.hold_close(hold.id, Vec::new()).await.unwrap();
    assert!(world.names(".held").is_empty());
    assert!(matches!(world.log.hold_requests(hold.id, 0, 10).await, Err(Error::NoHold)));
    let changes = world.recorded(RecordType::RequestHoldChanged);
    let told: Vec<_> = changes.iter().map(|change| (&change["change"], &change["ending"])).collect();
    assert_eq!(told[0].0, "opened");
    assert_eq!(told[1].0, "closed");
    assert_eq!((told[2].0.as_str(), told[2].1.as_str()), (Some("destroyed"), Some("closed")));
    assert_eq!(changes[0]["owner"], "ann");
}

#[tokio::test]
async fn a_hold_ends_with_its_time_unless_it_is_renewed() {
    let world = World::new(Mode::Full);
    world.ask().await;
    let hold = world.log.hold_open(world.new_hold(world.of_serial(1)), Vec::new()).await.unwrap();
    let other = world.log.hold_open(world.new_hold(world.of_serial(2)), Vec::new()).await.unwrap();
    world.wait(29 * DAY).await;
    let ends = world.clock.now().plus(10 * DAY);
    let renewed =
        world.log.hold_renew(hold.id, ends, "the court needs longer".to_owned(), Vec::new()).await.unwrap();
    assert_eq!((renewed.ends, renewed.renewals), (ends, 1));
    world.wait(2 * DAY).await;
    assert_eq!(world.log.holds(), [renewed]);
    assert!(world.log.hold(other.id).is_err());
    world.wait(9 * DAY).await;
    assert!(world.log.holds().is_empty() && world.names(".held").is_empty());
    assert_eq!(world.recorded(RecordType::RequestHoldChanged).len(), 5);
}

#[tokio::test]
async fn requests_are_selected_by_network_and_time_and_come_in_pages() {
    let world = World::new(Mode::Full);
    for _ in 0..3 {
        world.ask().await;
        world.wait(HOUR).await;
    }
    let hold =
        world.log.hold_open(world.new_hold(world.of_network("203.0.113.0/24")), Vec::new()).await.unwrap();
    world.clock.set(start().plus(7 * DAY + HOUR));
    world.log.tick().await.unwrap();
    // Two from the hold's own file, one from a segment.
    let page = world.log.hold_requests(hold.id, 0, 2).await.unwrap();
    assert_eq!((page.requests.len(), page.next), (2, Some(2)));
    let rest = world.log.hold_requests(hold.id, 2, 2).await.unwrap();
    assert_eq!((rest.requests.len(), rest.next), (1, None));
    assert!(page.requests[1].at < rest.requests[0].at);
    let later = Selection { from: Some(start().plus(2 * HOUR)), ..Selection::default() };
    let hold = world.log.hold_open(world.new_hold(later), Vec::new()).await.unwrap();
    assert_eq!(world.log.hold_requests(hold.id, 0, 10).await.unwrap().requests.len(), 2);
}

#[tokio::test]
async fn a_hold_of_a_truncated_log_finds_the_network_that_is_left() {
    let world = World::new(Mode::Truncated);
    world.ask().await;
    let hold =
        world.log.hold_open(world.new_hold(world.of_network("203.0.113.77/32")), Vec::new()).await.unwrap();
    let found = world.log.hold_requests(hold.id, 0, 10).await.unwrap();
    assert_eq!(found.requests[0].origin.to_string(), "203.0.113.0/24");
    assert!(found.requests[0].user_agent.is_empty());
}

#[tokio::test]
async fn a_hold_for_which_there_is_no_room_is_without_half_a_segment() {
    let world = World::new(Mode::Full);
    world.ask().await;
    let hold = world.log.hold_open(world.new_hold(world.of_serial(1)), Vec::new()).await.unwrap();
    world.clock.set(start().plus(7 * DAY - HOUR));
    world.disk.set_room(Some(0));
    assert!(world.log.tick().await.is_err());
    world.disk.set_room(None);
    world.log.tick().await.unwrap();
    world.clock.set(start().plus(7 * DAY));
    world.log.tick().await.unwrap();
    assert!(world.names(".requests").is_empty());
    assert_eq!(world.log.hold_requests(hold.id, 0, 10).await.unwrap().requests.len(), 1);
}

#[tokio::test]
async fn a_copy_that_breaks_off_anywhere_is_made_anew_and_has_everything_once() {
    for point in 0..24 {
        let world = World::new(Mode::Full);
        // A segment of two frames.
        world.ask().await;
        world.ask().await;
        let hold = world.log.hold_open(world.new_hold(world.of_serial(1)), Vec::new()).await.unwrap();
        world.clock.set(start().plus(7 * DAY - HOUR));
        world.disk.fail_after(point, std::io::ErrorKind::Other);
        let _ = world.log.tick().await;
        world.disk.heal();
        world.log.tick().await.unwrap();
        world.clock.set(start().plus(7 * DAY));
        world.log.tick().await.unwrap();
        let found = world.log.hold_requests(hold.id, 0, 10).await.unwrap();
        assert_eq!(found.requests.len(), 2, "{point}");
    }
}

#[tokio::test]
async fn senseless_holds_are_refused_with_a_way_out() {
    let world = World::new(Mode::Full);
    let all = world.new_hold(Selection::default());
    assert!(
        matches!(world.log.hold_open(all, Vec::new()).await, Err(Error::Refused(why)) if why.contains("give serial"))
    );
    let mut late = world.new_hold(world.of_serial(1));
    late.ends = start().plus(365 * DAY);
    assert!(
        matches!(world.log.hold_open(late, Vec::new()).await, Err(Error::Refused(why)) if why.contains("renewed"))
    );
    assert!(world.recorded(RecordType::RequestHoldChanged).is_empty());
}
