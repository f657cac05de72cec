//! What the responder says of itself: its CRLs, its oldest answer, and whether it can sign.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ingam_protocol::health::{CrlReport, QueueReport};
use ingam_protocol::ocsp::ErrorStatus;
use ingam_protocol::time::Clock;
use ingam_protocol::{Reason, Timestamp};

use super::world::*;
use crate::condition::{CrlCondition, SigningCondition};
use crate::config::Config;

fn oldest(world: &World) -> Option<Timestamp> {
    world.responder.oldest_answers().get(&issuer_name("e1")).copied()
}

#[tokio::test]
async fn crls_are_described_and_failures_told() {
    let world = World::new(&Config::default());
    let unmade = CrlCondition { issuer: issuer_name("e1"), current: None, failed: false };
    assert_eq!(world.responder.crls()[0], unmade);
    world.statuses.issue(1);
    world.statuses.revoke(1, start(), Reason::Superseded);
    world.get("/crl/e1.crl").await;
    let first = CrlReport { number: 1, this_update: start(), next_update: start().plus(7 * DAY), entries: 1 };
    let made = CrlCondition { current: Some(first.clone()), ..unmade };
    assert_eq!(world.responder.crls()[0], made);
    assert_eq!(world.responder.crls()[1].current, None, "nobody asked for the other issuer's");

    world.signer.is_broken.store(true, Ordering::SeqCst);
    world.statuses.issue(2);
    world.statuses.revoke(2, start(), Reason::Superseded);
    world.clock.advance(HOUR);
    world.get("/crl/e1.crl").await;
    assert_eq!(world.responder.crls()[0], CrlCondition { failed: true, ..made });
    world.signer.is_broken.store(false, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(2));
    world.get("/crl/e1.crl").await;
    let again = &world.responder.crls()[0];
    assert_eq!((again.failed, again.current.as_ref().unwrap().entries), (false, 2));
}

#[tokio::test]
async fn failures_in_a_row_are_counted_until_a_signature_succeeds() {
    let world = World::new(&Config::default());
    world.statuses.issue(1);
    let never = SigningCondition { failures: 0, last_failure: Timestamp::default() };
    assert_eq!(world.responder.signing(), never);
    world.signer.is_broken.store(true, Ordering::SeqCst);
    world.clock.advance(HOUR);
    for _ in 0..2 {
        assert_eq!(world.status_of(1).await, Err(ErrorStatus::TryLater));
    }
    let failed = SigningCondition { failures: 2, last_failure: world.clock.now() };
    assert_eq!(world.responder.signing(), failed);
    world.signer.is_broken.store(false, Ordering::SeqCst);
    world.status_of(1).await.unwrap();
    assert_eq!(world.responder.signing().failures, 0);
}

#[tokio::test]
async fn the_oldest_answer_is_one_that_somebody_can_get() {
    let world = World::new(&Config::default());
    world.statuses.issue(1);
    assert_eq!(oldest(&world), None);
    world.status_of(1).await.unwrap();
    world.clock.advance(DAY);
    world.statuses.issue(2);
    world.status_of(2).await.unwrap();
    assert_eq!(oldest(&world), Some(start()));
    assert_eq!(world.responder.oldest_answers().len(), 1, "the other issuer has none");
    // Nobody asks about the first any more: once it would not be given out, it does not count.
    world.clock.advance(5 * DAY / 2);
    assert_eq!(oldest(&world), Some(start().plus(DAY)));
}

#[tokio::test]
async fn an_answer_that_cannot_be_replaced_counts_for_as_long_as_that_lasts() {
    let world = World::new(&Config::default());
    world.statuses.issue(1);
    world.status_of(1).await.unwrap();
    world.signer.is_broken.store(true, Ordering::SeqCst);
    world.clock.advance(4 * DAY);
    assert_eq!(oldest(&world), None, "nobody asked yet");
    assert_eq!(world.status_of(1).await, Err(ErrorStatus::TryLater));
    assert_eq!(oldest(&world), Some(start()));
    world.signer.is_broken.store(false, Ordering::SeqCst);
    world.status_of(1).await.unwrap();
    assert_eq!(oldest(&world), Some(start().plus(4 * DAY)));
}

#[tokio::test]
async fn what_waits_is_counted() {
    let world = World::new(&Config::default());
    world.statuses.issue(1);
    let config = Config::default();
    let [signatures, events] = world.responder.queues();
    let signatures_max = config.signings_at_once + config.signings_queued;
    assert_eq!(signatures, QueueReport::new("ocsp_signatures", 0, signatures_max));
    assert_eq!((events.name.as_str(), events.waiting), ("signing_events", 0));
    world.close_gate();
    let (der, responder) = (request(&[world.cert_id(&serial(1))], None), world.responder.clone());
    let asking = tokio::spawn(async move { responder.ocsp().answer(&der).await });
    world.until_asked(1).await;
    assert_eq!(world.responder.queues()[0].waiting, 1);
    world.signer.gate.add_permits(1);
    asking.await.unwrap();
    let [signatures, events] = world.responder.queues();
    assert_eq!((signatures.waiting, events.waiting), (0, 1), "signed, and not recorded yet");
}
