//! Answers that are signed before anybody asks: they are there, they are true, and they are signed anew in time.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ingam_protocol::Reason;
use ingam_protocol::ocsp::CertStatus;

use super::world::*;
use crate::{Config, InAdvance, Publication};

pub(super) fn config() -> Config {
    Config { presign: vec![InAdvance::Sha1, InAdvance::Sha256], presign_pause_s: 60, ..Config::default() }
}

/// Waits for what somebody else does, on paused time; fails if it is not done within ten minutes of that.
pub(super) async fn until(what: &str, is_done: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if is_done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}

/// Runs `story` while answers are signed in advance.
pub(super) async fn with_presigning(world: &World, story: impl Future<Output = ()>) {
    let folder = world.folder.path().join("answers");
    with_publication(world, Publication::new(folder, None, HOUR).unwrap(), story).await;
}

/// The same, with answers published so.
pub(super) async fn with_publication(
    world: &World,
    publication: Publication,
    story: impl Future<Output = ()>,
) {
    let (responder, recorder) = (world.responder.clone(), world.responder.clone());
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let stopped = |mut stopping: tokio::sync::watch::Receiver<bool>| async move {
        let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
    };
    let presigning = tokio::spawn({
        let stopped = stopped(stopping.clone());
        async move { responder.run_presigning(publication, stopped).await }
    });
    let recording = tokio::spawn({
        let stopped = stopped(stopping);
        async move { recorder.run_recorder(stopped).await }
    });
    story.await;
    stop.send(true).unwrap();
    presigning.await.unwrap();
    recording.await.unwrap();
}

/// Asks by SHA-1 and by SHA-256, and gives what both say.
async fn asked(world: &World, number: u8) -> ReadSingle {
    let by_sha256 = world.cert_id_of(0, SHA256_OID, true, &serial(number));
    let (_, body) = world.ask(&request(&[by_sha256], None)).await;
    let second = world.read(&body).unwrap().single.remove(0);
    let first = world.status_of(number).await.unwrap();
    assert_eq!(
        (first.revoked, first.this_update, first.next_update),
        (second.revoked, second.this_update, second.next_update)
    );
    first
}

#[tokio::test(start_paused = true)]
async fn what_is_issued_is_signed_before_anybody_asks() {
    let world = World::new(&config());
    world.statuses.issue(1);
    with_presigning(&world, async {
        // That which was there, by a pass; that which comes, at once.
        until("the pass", || world.signed() == 2).await;
        world.statuses.issue(2);
        until("the change", || world.signed() == 4).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let reads = world.statuses.reads.load(Ordering::SeqCst);
        for number in [1, 2] {
            assert_eq!(asked(&world, number).await.revoked, None);
        }
        assert_eq!(world.signed(), 4, "nothing was signed for those who asked");
        assert_eq!(world.statuses.reads.load(Ordering::SeqCst), reads, "and the store was not asked");
        assert_eq!(world.status_of(3).await.unwrap_err(), ingam_protocol::ocsp::ErrorStatus::Unauthorized);
    })
    .await;
    assert_eq!(world.statuses.events.lock().unwrap().len(), 4, "each signature is on record");
}

#[tokio::test(start_paused = true)]
async fn a_revocation_is_told_at_once_and_then_from_the_table() {
    let world = World::new(&config());
    world.statuses.issue(1);
    with_presigning(&world, async {
        until("the pass", || world.signed() == 2).await;
        assert_eq!(asked(&world, 1).await.revoked, None);
        world.statuses.revoke(1, start(), Reason::KeyCompromise);
        // Whoever asks now does not wait for the table.
        assert!(asked(&world, 1).await.revoked.is_some());
        until("the change", || world.signed() == 6).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(asked(&world, 1).await.revoked, Some((start().unix_s(), 1)));
        assert_eq!(world.signed(), 6);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn old_answers_are_signed_anew_and_those_of_ended_certificates_are_not() {
    let world = World::new(&config());
    for number in 1..=20 {
        world.statuses.issue(number);
    }
    world.statuses.set("e1", &serial(21), CertStatus::Good, start().plus(DAY));
    with_presigning(&world, async {
        until("the pass", || world.signed() == 42).await;
        // Between three quarters and the whole of three days.
        world.clock.set(start().plus(2 * DAY));
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(world.signed(), 42, "none is due yet");
        world.clock.set(start().plus(3 * DAY));
        until("the next pass", || world.signed() == 82).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!(world.signed(), 82);
        assert_eq!(asked(&world, 7).await.this_update, start().plus(3 * DAY).unix_s());
        // The last answer about what has ended is given out as long as it is valid, and then none.
        assert_eq!(asked(&world, 21).await.this_update, start().unix_s());
        world.clock.set(start().plus(7 * DAY));
        assert!(world.status_of(21).await.is_err());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn changes_that_went_by_unseen_are_never_told_wrongly() {
    let world = World::new(&config());
    for number in 1..=60 {
        world.statuses.issue(number);
    }
    with_presigning(&world, async {
        until("the pass", || world.signed() == 120).await;
        // More than the feed of these tests holds, at once.
        for number in 1..=60 {
            world.statuses.revoke(number, start(), Reason::Superseded);
        }
        for number in 1..=60 {
            assert_eq!(world.status_of(number).await.unwrap().revoked, Some((start().unix_s(), 4)));
        }
        tokio::time::sleep(Duration::from_secs(120)).await;
        let (reads, signed) = (world.statuses.reads.load(Ordering::SeqCst), world.signed());
        for number in 1..=60 {
            assert_eq!(asked(&world, number).await.revoked, Some((start().unix_s(), 4)));
        }
        assert_eq!((world.statuses.reads.load(Ordering::SeqCst), world.signed()), (reads, signed));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_signer_no_old_status_is_told_and_it_is_made_up_for() {
    let world = World::new(&config());
    world.statuses.issue(1);
    world.statuses.issue(2);
    with_presigning(&world, async {
        until("the pass", || world.signed() == 4).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.signer.is_broken.store(true, Ordering::SeqCst);
        world.statuses.revoke(1, start(), Reason::KeyCompromise);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(world.status_of(1).await.unwrap_err(), ingam_protocol::ocsp::ErrorStatus::TryLater);
        assert_eq!(asked(&world, 2).await.revoked, None, "others are not concerned");
        world.signer.is_broken.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let signed = world.signed();
        assert!(asked(&world, 1).await.revoked.is_some());
        assert_eq!(world.signed(), signed, "it was signed before anybody asked");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_put_back_makes_no_answer_begin_in_the_future() {
    let world = World::new(&config());
    world.statuses.issue(1);
    world.clock.set(start().plus(HOUR));
    with_presigning(&world, async {
        until("the pass", || world.signed() == 2).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(asked(&world, 1).await.this_update, start().plus(HOUR).unix_s());
        world.clock.set(start());
        assert_eq!(asked(&world, 1).await.this_update, start().unix_s());
        tokio::time::sleep(Duration::from_secs(120)).await;
        let signed = world.signed();
        assert_eq!(asked(&world, 1).await.this_update, start().unix_s());
        assert_eq!(world.signed(), signed, "both were signed anew in advance");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_read_when_it_changed_is_not_told_as_it_was() {
    let world = World::new(&config());
    world.statuses.issue(1);
    with_presigning(&world, async {
        until("the pass", || world.signed() == 2).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.statuses.is_broken.store(true, Ordering::SeqCst);
        world.statuses.revoke(1, start(), Reason::KeyCompromise);
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.statuses.is_broken.store(false, Ordering::SeqCst);
        assert_eq!(asked(&world, 1).await.revoked, Some((start().unix_s(), 1)));
        tokio::time::sleep(Duration::from_secs(120)).await;
        let signed = world.signed();
        assert_eq!(asked(&world, 1).await.revoked, Some((start().unix_s(), 1)));
        assert_eq!(world.signed(), signed, "it was made up for in advance");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_precertificate_and_its_certificate_are_signed_for_once() {
    let world = World::new(&config());
    with_presigning(&world, async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for _ in 0..2 {
            world.statuses.issue(1);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(world.signed(), 2, "once by each hash");
    })
    .await;
}
