//! When answers are made, kept, replaced and refused; and that no answer outlives a revocation.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ingam_protocol::Reason;
use ingam_protocol::ocsp::{CertStatus, ErrorStatus};
use ingam_protocol::time::Clock;

use super::world::*;
use crate::config::{Config, Nonces};

fn world() -> World {
    let world = World::new(&Config::default());
    world.statuses.issue(1);
    world
}

#[tokio::test]
async fn an_answer_is_valid_for_seven_days_and_signed_once() {
    let world = world();
    world.clock.advance(Duration::from_millis(700));
    let first = world.status_of(1).await.unwrap();
    assert_eq!(first.revoked, None);
    assert_eq!(first.this_update, start().unix_s());
    assert_eq!(first.next_update, start().unix_s() + 7 * 86_400 - 1);
    world.clock.advance(3 * DAY - HOUR);
    assert_eq!(world.status_of(1).await.unwrap(), first);
    assert_eq!(world.signed(), 1);
}

#[tokio::test]
async fn an_answer_of_three_days_is_signed_anew() {
    let world = world();
    let first = world.status_of(1).await.unwrap();
    world.clock.advance(3 * DAY);
    let second = world.status_of(1).await.unwrap();
    assert_eq!(second.this_update, first.this_update + 3 * 86_400);
    assert_eq!(world.signed(), 2);
}

#[tokio::test]
async fn no_answer_outlives_the_certificate_that_signs_it() {
    let world = world();
    let ends = start().plus(10 * HOUR);
    *world.signer.ocsp_ends.lock().unwrap() = ends;
    assert_eq!(world.status_of(1).await.unwrap().next_update, ends.unix_s());
    // Half of its short life has passed: a new one, under the next certificate.
    *world.signer.ocsp_ends.lock().unwrap() = start().plus(100 * DAY);
    world.clock.advance(5 * HOUR);
    let second = world.status_of(1).await.unwrap();
    assert_eq!(second.next_update, start().plus(5 * HOUR + 7 * DAY).unix_s() - 1);
    // One that ends at once is not used.
    *world.signer.ocsp_ends.lock().unwrap() = world.clock.now();
    world.statuses.issue(2);
    assert_eq!(world.status_of(2).await, Err(ErrorStatus::TryLater));
}

#[tokio::test]
async fn a_revocation_is_seen_at_once() {
    let world = world();
    world.statuses.issue(2);
    assert_eq!(world.status_of(1).await.unwrap().revoked, None);
    assert_eq!(world.status_of(2).await.unwrap().revoked, None);
    world.clock.advance(HOUR);
    world.statuses.revoke(1, world.clock.now(), Reason::KeyCompromise);
    world.statuses.revoke(2, world.clock.now(), Reason::Unspecified);
    let at = world.clock.now().unix_s();
    assert_eq!(world.status_of(1).await.unwrap().revoked, Some((at, 1)));
    assert_eq!(world.status_of(2).await.unwrap().revoked, Some((at, 0)));
    // Another reason later is another answer.
    world.statuses.revoke(2, start(), Reason::Superseded);
    assert_eq!(world.status_of(2).await.unwrap().revoked, Some((start().unix_s(), 4)));
}

#[tokio::test]
async fn other_changes_cost_a_read_and_no_signature() {
    let world = world();
    world.status_of(1).await.unwrap();
    let reads = world.statuses.reads.load(Ordering::SeqCst);
    world.status_of(1).await.unwrap();
    assert_eq!(world.statuses.reads.load(Ordering::SeqCst), reads);
    world.statuses.issue(7);
    world.status_of(1).await.unwrap();
    world.status_of(1).await.unwrap();
    assert_eq!(world.statuses.reads.load(Ordering::SeqCst), reads + 1);
    assert_eq!(world.signed(), 1);
}

#[tokio::test]
async fn an_expired_certificate_has_its_last_answer_and_then_none() {
    let world = world();
    world.statuses.set("e1", &serial(3), CertStatus::Good, start().plus(DAY));
    world.statuses.set("e1", &serial(4), CertStatus::Good, start().plus(DAY));
    let last = world.status_of(3).await.unwrap();
    // Its last second is still its life.
    world.clock.advance(DAY);
    assert!(world.status_of(3).await.is_ok());
    world.clock.advance(6 * DAY - Duration::from_secs(1));
    assert_eq!(world.status_of(3).await.unwrap(), last);
    world.statuses.issue(9);
    assert_eq!(world.status_of(3).await.unwrap(), last);
    assert_eq!(world.status_of(4).await, Err(ErrorStatus::Unauthorized));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.status_of(3).await, Err(ErrorStatus::Unauthorized));
    assert_eq!(world.signed(), 1);
}

#[tokio::test]
async fn an_expired_certificate_gets_no_answer_of_its_own_but_its_last() {
    let world = World::new(&Config { nonces: Nonces::Answer, ..Config::default() });
    world.statuses.set("e1", &serial(3), CertStatus::Good, start().plus(DAY));
    let last = world.status_of(3).await.unwrap();
    world.clock.advance(2 * DAY);
    let (_, body) = world.post(&request(&[world.cert_id(&serial(3))], Some(b"nonce"))).await;
    let read = world.read(&body).unwrap();
    assert_eq!((read.nonce, &read.single[0]), (None, &last));
    assert_eq!(read.produced_at, start().unix_s());
}

#[tokio::test]
async fn without_a_signer_or_a_store_clients_are_asked_to_come_back() {
    let world = world();
    world.statuses.issue(2);
    let first = world.status_of(1).await.unwrap();
    world.signer.is_broken.store(true, Ordering::SeqCst);
    assert_eq!(world.status_of(2).await, Err(ErrorStatus::TryLater));
    // An answer that should be replaced still serves until half of its life has passed.
    world.clock.advance(3 * DAY);
    assert_eq!(world.status_of(1).await.unwrap(), first);
    world.clock.advance(DAY / 2);
    assert_eq!(world.status_of(1).await, Err(ErrorStatus::TryLater));
    world.signer.is_broken.store(false, Ordering::SeqCst);
    assert!(world.status_of(1).await.is_ok());

    world.statuses.is_broken.store(true, Ordering::SeqCst);
    assert!(world.status_of(1).await.is_ok(), "its status is known to be the same");
    assert_eq!(world.status_of(2).await, Err(ErrorStatus::TryLater));
    world.statuses.issue(9);
    assert_eq!(world.status_of(1).await, Err(ErrorStatus::TryLater), "its status may have changed");
}

#[tokio::test]
async fn a_revocation_without_a_signer_silences_the_answer_before_it() {
    let world = world();
    world.status_of(1).await.unwrap();
    world.statuses.revoke(1, start(), Reason::KeyCompromise);
    world.signer.is_broken.store(true, Ordering::SeqCst);
    assert_eq!(world.status_of(1).await, Err(ErrorStatus::TryLater));
}

#[tokio::test]
async fn a_hundred_who_ask_at_once_share_a_signature() {
    let world = Arc::new(world());
    world.close_gate();
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.status_of(1).await })
        })
        .collect();
    world.until_asked(1).await;
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    world.signer.gate.add_permits(1);
    for asked in asking {
        assert!(asked.await.unwrap().is_ok());
    }
    assert_eq!(world.signed(), 1);
}

#[tokio::test]
async fn who_hangs_up_does_not_leave_others_waiting() {
    let world = Arc::new(world());
    world.close_gate();
    let first = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.status_of(1).await })
    };
    world.until_asked(1).await;
    let second = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.status_of(1).await })
    };
    tokio::task::yield_now().await;
    first.abort();
    world.signer.gate.add_permits(1);
    assert!(second.await.unwrap().is_ok());
    assert_eq!(world.signed(), 1);
}

#[tokio::test]
async fn a_revocation_during_a_signature_is_seen_by_all_who_wait() {
    let world = Arc::new(world());
    world.close_gate();
    let ask = || {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.status_of(1).await })
    };
    let before = ask();
    world.until_asked(1).await;
    world.statuses.revoke(1, start(), Reason::KeyCompromise);
    let after = ask();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    world.signer.gate.add_permits(100);
    for asked in [before, after] {
        assert_eq!(asked.await.unwrap().unwrap().revoked, Some((start().unix_s(), 1)));
    }
    assert_eq!(world.signed(), 2);
}

#[tokio::test]
async fn a_revocation_during_a_live_signature_is_seen_too() {
    let world = Arc::new(World::new(&Config { nonces: Nonces::Answer, ..Config::default() }));
    world.statuses.issue(1);
    world.close_gate();
    let asked = {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let (_, body) = world.post(&request(&[world.cert_id(&serial(1))], Some(b"nonce"))).await;
            world.read(&body).unwrap()
        })
    };
    world.until_asked(1).await;
    world.statuses.revoke(1, start(), Reason::KeyCompromise);
    world.signer.gate.add_permits(100);
    assert_eq!(asked.await.unwrap().single[0].revoked, Some((start().unix_s(), 1)));
}

#[tokio::test]
async fn a_revocation_while_a_refresh_fails_is_seen_too() {
    let world = Arc::new(world());
    world.status_of(1).await.unwrap();
    world.clock.advance(3 * DAY);
    world.close_gate();
    world.signer.is_broken.store(true, Ordering::SeqCst);
    let asked = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.status_of(1).await })
    };
    world.until_asked(2).await;
    world.statuses.revoke(1, start(), Reason::KeyCompromise);
    world.signer.gate.add_permits(100);
    assert_eq!(asked.await.unwrap(), Err(ErrorStatus::TryLater));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_good_answer_follows_a_revocation_under_load() {
    let world = Arc::new(world());
    for number in 10..30 {
        world.statuses.issue(number);
        let asking: Vec<_> = (0..4)
            .map(|_| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    // Each asker goes on until it was told, so that requests lie on both sides of the revocation.
                    for _ in 0..100_000 {
                        if world.status_of(number).await.unwrap().revoked.is_some() {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                    panic!("never told");
                })
            })
            .collect();
        tokio::task::yield_now().await;
        world.statuses.revoke(number, start(), Reason::Superseded);
        let after = world.status_of(number).await.unwrap();
        assert!(after.revoked.is_some(), "an answer from before the revocation was given out after it");
        for asked in asking {
            asked.await.unwrap();
        }
    }
}

#[tokio::test]
async fn signatures_are_bounded() {
    let config = Config { signings_at_once: 1, signings_queued: 2, ..Config::default() };
    let world = Arc::new(World::new(&config));
    for number in 1..=9 {
        world.statuses.issue(number);
    }
    world.close_gate();
    let ask = |number| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.status_of(number).await })
    };
    let (first, second) = (ask(1), ask(2));
    world.until_asked(1).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(3).await.unwrap(), Err(ErrorStatus::TryLater));
    assert_eq!(world.signer.asked.load(Ordering::SeqCst), 1, "one at a time");
    world.signer.gate.add_permits(10);
    assert!(first.await.unwrap().is_ok() && second.await.unwrap().is_ok());
    assert!(world.status_of(3).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_signer_that_hangs_is_given_up() {
    let world = world();
    world.close_gate();
    assert_eq!(world.status_of(1).await, Err(ErrorStatus::TryLater));
}
