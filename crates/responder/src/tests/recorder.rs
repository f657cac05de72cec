//! Every signature is recorded, in batches; none is made when it could not be.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ingam_protocol::Reason;
use ingam_protocol::ocsp::{CertStatus, ErrorStatus};
use tokio::time::sleep;

use super::world::*;
use crate::config::{Config, Nonces};
use crate::statuses::{Signed, SigningEvent};

#[tokio::test(start_paused = true)]
async fn every_signature_is_recorded_once() {
    let world = World::new(&Config { nonces: Nonces::Answer, ..Config::default() });
    world.statuses.issue(1);
    world.statuses.issue(2);
    world.statuses.revoke(2, start(), Reason::KeyCompromise);
    world.status_of(1).await.unwrap();
    world.status_of(1).await.unwrap();
    world.post(&request(&[world.cert_id(&serial(1)), world.cert_id(&serial(2))], Some(b"nonce"))).await;
    world.get("/crl/e1.crl").await;
    world.responder.run_recorder(sleep(Duration::from_secs(3))).await;
    let ocsp = |number, status| SigningEvent {
        issuer: issuer_name("e1"),
        at: start(),
        next_update: start().plus(7 * DAY - Duration::from_secs(1)),
        signed: Signed::Ocsp { serial: serial(number), status },
    };
    let expected = [
        ocsp(1, CertStatus::Good),
        ocsp(1, CertStatus::Good),
        ocsp(2, CertStatus::Revoked { at: start(), reason: Reason::KeyCompromise }),
        SigningEvent {
            issuer: issuer_name("e1"),
            at: start(),
            next_update: start().plus(7 * DAY),
            signed: Signed::Crl { shard: None, number: 1, entries: 1 },
        },
    ];
    assert_eq!(*world.statuses.events.lock().unwrap(), expected);
    assert_eq!(*world.statuses.batches.lock().unwrap(), [4]);
}

#[tokio::test(start_paused = true)]
async fn batches_are_bounded_and_the_rest_is_recorded_at_the_end() {
    let world = World::new(&Config::default());
    for number in 0..=255 {
        world.statuses.issue(number);
        world.status_of(number).await.unwrap();
    }
    for number in 0..44 {
        world.statuses.revoke(number, start(), Reason::Superseded);
        world.status_of(number).await.unwrap();
    }
    world.responder.run_recorder(std::future::ready(())).await;
    assert_eq!(*world.statuses.batches.lock().unwrap(), [256, 44]);
    // Nothing is signed after the end; what was signed before is still known.
    assert!(world.status_of(0).await.is_ok());
    world.statuses.revoke(200, start(), Reason::Superseded);
    assert_eq!(world.status_of(200).await, Err(ErrorStatus::TryLater));
    world.responder.run_recorder(std::future::pending()).await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_could_not_be_recorded_is_tried_again() {
    let world = World::new(&Config::default());
    world.statuses.issue(1);
    world.status_of(1).await.unwrap();
    world.statuses.is_broken.store(true, Ordering::SeqCst);
    let heal = async {
        sleep(Duration::from_secs(5)).await;
        world.statuses.is_broken.store(false, Ordering::SeqCst);
        sleep(Duration::from_secs(5)).await;
    };
    world.responder.run_recorder(heal).await;
    assert_eq!(world.statuses.events.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn nothing_is_signed_that_could_not_be_recorded() {
    let world = World::new(&Config { nonces: Nonces::Answer, ..Config::default() });
    for number in 0..=150 {
        world.statuses.issue(number);
    }
    // Nobody empties the queue; each request asks for 150 signatures' worth of events.
    let ids: Vec<_> = (1..=150).map(|number| world.cert_id(&serial(number))).collect();
    let many = request(&ids, None);
    let mut answered = 0;
    loop {
        let (_, body) = world.post(&many).await;
        match world.read(&body) {
            Ok(_) => answered += 1,
            Err(error) => break assert_eq!(error, ErrorStatus::TryLater),
        }
    }
    assert_eq!(answered, 65_536 / 150);
}
