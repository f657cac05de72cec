//! The monitor over a CA of which each part can be made to say something else than the record. Every kind of disagreement
//! is made, seen, told once its budget is over and no sooner, and forgotten once it is put right.

mod world;

use ingam_protocol::crl::Entry;
use ingam_protocol::ocsp::{CertStatus, ErrorStatus};
use ingam_protocol::renewal::Window;
use ingam_protocol::{Reason, Serial};

use super::*;
use world::{HOUR, SECOND, World, now};

/// What outlived its budget so far.
fn overdue(world: &World) -> Vec<(Kind, usize)> {
    world.monitor.condition().overdue.kinds.into_iter().collect()
}

fn revoked() -> CertStatus {
    CertStatus::Revoked { at: now(), reason: Reason::Superseded }
}

#[tokio::test]
async fn what_agrees_is_told_by_nobody() {
    let world = World::new().await;
    let mut progress = world.monitor.progress();
    let [good, bad] = [world.issue(1, "rsa"), world.issue(2, "ecdsa")];
    world.revoke(&bad, revoked());
    world.advance(10 * SECOND);
    world.monitor.round(&mut progress).await;
    assert_eq!(overdue(&world), []);
    assert_eq!(progress.open.next_due(), None, "not even for the moment");
    let asked = world.asked();
    assert!(asked.contains(&good) && asked.contains(&bad), "both were issued just now: {asked:?}");
    assert_eq!(world.monitor.condition().last_round, now().plus(10 * SECOND));
    // The next round has nothing new, and takes some by chance.
    for _ in 0..20 {
        world.advance(SECOND);
        world.monitor.round(&mut progress).await;
    }
    let asked = world.asked();
    assert!(asked.contains(&good) && asked.contains(&bad), "{asked:?}");
    assert_eq!(overdue(&world), []);
}

/// Breaks one part, and holds that the kind of disagreement is told after its budget and forgotten once it is right again.
async fn sees(kind: Kind, budget: Duration, breaking: impl Fn(&World, &Certificate)) {
    let world = World::new().await;
    let mut progress = world.monitor.progress();
    let certificate = world.issue(1, "rsa");
    world.advance(10 * SECOND);
    world.monitor.round(&mut progress).await;
    assert_eq!((overdue(&world), progress.open.next_due()), (Vec::new(), None), "{kind:?}");

    breaking(&world, &certificate);
    world.touch(&certificate);
    world.monitor.round(&mut progress).await;
    if budget > Duration::ZERO {
        assert_eq!(overdue(&world), [], "{kind:?} is young");
        assert_eq!(progress.open.next_due(), Some(world.now().plus(budget)));
        world.advance(budget - Duration::from_millis(1));
        world.monitor.round(&mut progress).await;
        assert_eq!(overdue(&world), [], "{kind:?} is still young");
        world.advance(Duration::from_millis(1));
        world.monitor.round(&mut progress).await;
    }
    assert_eq!(overdue(&world), [(kind, 1)]);
    assert_eq!(world.monitor.condition().overdue.oldest, Some(world.now().minus(budget)));

    world.mend();
    world.monitor.round(&mut progress).await;
    assert_eq!((overdue(&world), world.monitor.condition().overdue.oldest), (Vec::new(), None), "{kind:?}");
}

#[tokio::test]
async fn an_answer_that_tells_another_status_is_seen() {
    let budget = 2 * SECOND;
    let says = |status| move |world: &World, one: &Certificate| world.answer_as(one, status);
    sees(Kind::OcspStatus, budget, says(Some(revoked()))).await;
    sees(Kind::OcspStatus, budget, says(None)).await;
    // A revocation that the responder does not see, and one for another reason or of another time.
    let stale = |told: CertStatus| {
        move |world: &World, one: &Certificate| {
            world.revoke(one, revoked());
            world.answer_as(one, Some(told));
        }
    };
    sees(Kind::OcspStatus, budget, stale(CertStatus::Good)).await;
    let compromised = CertStatus::Revoked { at: now(), reason: Reason::KeyCompromise };
    sees(Kind::OcspStatus, budget, stale(compromised)).await;
    let earlier = CertStatus::Revoked { at: now().minus(SECOND), reason: Reason::Superseded };
    sees(Kind::OcspStatus, budget, stale(earlier)).await;
    // Good for what was never issued: only set aside.
    let invented = |world: &World, one: &Certificate| {
        world.set_aside(one);
        world.answer_as(one, Some(CertStatus::Good));
    };
    sees(Kind::OcspStatus, budget, invented).await;
}

#[tokio::test]
async fn an_answer_that_is_none_is_seen() {
    let silence = 60 * SECOND;
    let kind = Kind::OcspAnswer;
    sees(kind, silence, |world, _| world.broken().refused = Some(ErrorStatus::TryLater)).await;
    sees(kind, silence, |world, _| world.broken().unreachable = true).await;
    sees(kind, silence, |world, _| world.broken().damaged = true).await;
    sees(kind, silence, |world, _| world.broken().signed_by_another = true).await;
    sees(kind, silence, |world, _| world.broken().about_another = true).await;
    sees(kind, silence, |world, _| world.broken().answered_ago = Some(8 * 24 * HOUR)).await;
}

#[tokio::test]
async fn a_list_that_lacks_something_or_has_too_much_is_seen() {
    // 60 seconds, and the 5 from one look of the responder to the next.
    let budget = 65 * SECOND;
    sees(Kind::CrlEntry, budget, |world, one| {
        world.revoke(one, revoked());
        world.broken().listed = Some(Vec::new());
    })
    .await;
    let entry =
        |one: &Certificate, reason, revoked_at| Entry { serial: one.serial.clone(), revoked_at, reason };
    sees(Kind::CrlEntry, budget, |world, one| {
        world.broken().listed = Some(vec![entry(one, Reason::Superseded, now())]);
    })
    .await;
    sees(Kind::CrlEntry, budget, |world, one| {
        world.revoke(one, revoked());
        world.broken().listed = Some(vec![entry(one, Reason::KeyCompromise, now())]);
    })
    .await;
    sees(Kind::CrlEntry, budget, |world, one| {
        world.revoke(one, revoked());
        world.broken().listed = Some(vec![entry(one, Reason::Superseded, now().plus(SECOND))]);
    })
    .await;
}

#[tokio::test]
async fn a_list_that_is_none_is_seen() {
    let silence = 60 * SECOND;
    let kind = Kind::CrlList;
    sees(kind, silence, |world, _| world.broken().list_unreachable = true).await;
    sees(kind, silence, |world, _| world.broken().list_of_another = true).await;
    sees(kind, silence, |world, _| world.broken().listed_ago = Some(8 * 24 * HOUR)).await;
}

#[tokio::test]
async fn a_window_in_the_wrong_place_is_seen_at_once() {
    let kind = Kind::RenewalWindow;
    let at_once = Duration::ZERO;
    let window = |from, until| Window { start: from, end: until };
    sees(kind, at_once, move |world, _| {
        world.broken().window = Some(Ok(Some(window(now().minus(2 * HOUR), now().minus(HOUR)))));
    })
    .await;
    sees(kind, at_once, move |world, one| {
        world.revoke(one, revoked());
        world.broken().window = Some(Ok(Some(window(now().plus(HOUR), now().plus(2 * HOUR)))));
    })
    .await;
    sees(kind, at_once, |world, _| world.broken().window = Some(Ok(None))).await;
    sees(kind, at_once, |world, _| world.broken().window = Some(Err("the store is gone".to_owned()))).await;
    sees(kind, at_once, move |world, one| {
        world.set_aside(one);
        world.broken().window = Some(Ok(Some(window(now().plus(HOUR), now().plus(2 * HOUR)))));
    })
    .await;
}

#[tokio::test]
async fn many_changes_wait_their_turn_and_none_is_left_out() {
    let world = World::new().await;
    let mut progress = world.monitor.progress();
    let issued: Vec<Certificate> = (1..=20).map(|number| world.issue(number, "rsa")).collect();
    for certificate in &issued {
        world.revoke(certificate, revoked());
    }
    world.advance(10 * SECOND);
    // Six in each round, one list for all of them.
    for number in 0..8 {
        world.monitor.round(&mut progress).await;
        let pause = world.monitor.pause(&progress, Duration::ZERO);
        assert_eq!(pause, if number < 6 { PAUSE_MIN } else { 10 * SECOND }, "after round {number}");
        world.advance(SECOND);
    }
    let asked = world.asked();
    let missed: Vec<&Serial> =
        issued.iter().filter(|one| !asked.contains(one)).map(|one| &one.serial).collect();
    assert!(missed.is_empty(), "{missed:?}");
    assert!(world.lists_fetched() <= 2 * 8, "{}", world.lists_fetched());
}

#[tokio::test]
async fn what_changes_while_it_is_looked_at_is_no_disagreement() {
    let world = World::new().await;
    let mut progress = world.monitor.progress();
    let certificate = world.issue(1, "rsa");
    world.advance(10 * SECOND);
    world.broken().revoked_while_asked = true;
    world.monitor.round(&mut progress).await;
    assert_eq!(progress.open.next_due(), None, "a record that moves is no witness");
    assert!(progress.left.contains(&certificate), "it is looked at again");
    world.monitor.round(&mut progress).await;
    assert_eq!((overdue(&world), progress.open.next_due()), (Vec::new(), None));
}

#[tokio::test]
async fn what_cannot_be_read_now_is_looked_at_later() {
    let world = World::new().await;
    let mut progress = world.monitor.progress();
    let issued: BTreeSet<Certificate> = (1..=3).map(|number| world.issue(number, "rsa")).collect();
    world.advance(10 * SECOND);
    world.broken().shards_unread = true;
    world.monitor.round(&mut progress).await;
    assert!(world.asked().is_empty());
    assert_eq!(world.monitor.condition().last_round, now(), "no round came to its end");
    world.mend();
    // Some that were left by the round before take all places of this one.
    progress.left = (10..=16).map(|number| world.issue(number, "ecdsa")).collect();
    world.monitor.round(&mut progress).await;
    world.monitor.round(&mut progress).await;
    assert!(world.asked().is_superset(&issued));
}

#[tokio::test]
async fn what_has_ended_is_nobodys_business_any_more() {
    let world = World::new().await;
    let mut progress = world.monitor.progress();
    let certificate = world.issue(1, "rsa");
    world.answer_as(&certificate, Some(revoked()));
    world.advance(10 * SECOND);
    world.monitor.round(&mut progress).await;
    assert!(progress.open.next_due().is_some());
    world.advance(91 * 24 * HOUR);
    world.monitor.round(&mut progress).await;
    assert_eq!((overdue(&world), progress.open.next_due()), (Vec::new(), None));
}

#[tokio::test]
async fn pauses_are_as_long_as_asked_for_and_longer_after_long_rounds() {
    let world = World::new().await;
    let mut progress = world.monitor.progress();
    let pause = |progress: &Progress, worked| world.monitor.pause(progress, worked);
    assert_eq!(pause(&progress, Duration::ZERO), 10 * SECOND);
    assert_eq!(pause(&progress, 2 * SECOND), 38 * SECOND);
    let certificate = world.issue(1, "rsa");
    progress.open.note(&certificate, vec![Found::new(Kind::OcspStatus, "it is so")], world.now());
    assert_eq!(pause(&progress, Duration::ZERO), 2 * SECOND, "its budget is over then");
    world.advance(HOUR);
    assert_eq!(pause(&progress, Duration::ZERO), PAUSE_MIN);
}
