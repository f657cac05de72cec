//! Proves what becomes of a claimed order whose worker is not heard of any more: before the signer was asked, the same
//! bytes are signed once, by somebody else; afterwards, the order fails and its serial number is revoked, and a
//! signature that comes late is recorded and never delivered.

use std::time::Duration;

use ingam_protocol::acme::{Account, Claim, OrderStatus};
use ingam_protocol::crl::Scope;
use ingam_protocol::record::RecordType;
use ingam_protocol::time::Clock as _;
use ingam_protocol::{Id, Timestamp};
use ingam_store::StatusState;

use crate::world::{Key, LEASE, Process, Step, World, csr, issuer};

const SECOND: Duration = Duration::from_secs(1);

/// An order for a.example.org, claimed by somebody who died before the signer was asked.
fn claimed_by_a_dead_worker(world: &World) -> (Process, Account, Id, Claim) {
    let mut process = world.start();
    let account = process.account();
    let id = process.ready_order(&account, &["a.example.org"]).order.id;
    let claim = process.claim_and_stop(&account, id, &csr(&Key::new(), &["a.example.org"]));
    process.kill_tasks();
    (process, account, id, claim)
}

#[test]
fn before_the_signer_was_asked_the_same_bytes_are_signed_once() {
    let world = World::new();
    let (process, account, id, claim) = claimed_by_a_dead_worker(&world);
    assert_eq!(process.status(&claim.serial).unwrap().state, StatusState::Reserved);

    world.clock.advance(LEASE - SECOND);
    assert_eq!(process.run(process.authority.issuances_resume()).unwrap(), (0, 0));
    assert_eq!(process.order_status(&account, id), OrderStatus::Processing);
    world.clock.advance(SECOND);
    assert_eq!(process.run(process.authority.issuances_resume()).unwrap(), (1, 0));

    let view = process.order_view(&account, id);
    assert_eq!(view.status, OrderStatus::Valid);
    assert_eq!(view.order.certificate.as_ref(), Some(&claim.serial));
    let new_claim = view.order.claim.unwrap();
    assert_ne!(new_claim.token, claim.token, "whoever had the old lease has nothing any more");
    let signed = process.signer.signed().clone();
    assert_eq!(signed.len(), 1);
    assert_eq!(signed[0].tbs[..], claim.tbs[..]);
    assert_eq!(process.run(process.authority.issuances_resume()).unwrap(), (0, 0));
    process.stop();
}

#[test]
fn a_second_finalize_does_not_take_an_order_from_its_lease() {
    let world = World::new();
    let (process, account, id, _) = claimed_by_a_dead_worker(&world);
    world.clock.advance(2 * LEASE);
    let view = process.finalize(&account, id, &csr(&Key::new(), &["a.example.org"])).unwrap();
    assert_eq!(view.status, OrderStatus::Processing);
    assert!(process.signer.signed().is_empty());
    process.stop();
}

/// Bytes that lie too far back are not signed any more, and as nobody was asked, nothing has to be revoked.
#[test]
fn bytes_that_have_grown_old_are_given_up() {
    let world = World::new();
    let (process, account, id, _) = claimed_by_a_dead_worker(&world);
    world.clock.advance(49 * crate::world::HOUR);
    process.run(process.authority.issuances_resume()).unwrap();
    let view = process.order_view(&account, id);
    assert_eq!(view.status, OrderStatus::Invalid);
    assert!(process.signer.signed().is_empty());
    let serial = view.order.claim.unwrap().serial;
    assert_eq!(process.status(&serial).unwrap().state, StatusState::Reserved);
    assert!(process.store.issuances_open(None, 1).unwrap().is_empty());
    process.stop();
}

/// A process that dies again and again makes nothing younger: the age of CAA counts from the look at it.
#[test]
fn being_taken_up_makes_no_answer_younger() {
    let world = World::new();
    let (process, account, id, _) = claimed_by_a_dead_worker(&world);
    for _ in 0..2 {
        world.clock.advance(5 * crate::world::HOUR);
        let now = world.clock.now();
        let token = Id::new(now, world.random.as_ref());
        let taken = process.store.order_readopt(id, token, now.plus(LEASE), now);
        assert!(process.run(taken).unwrap().is_ok(), "its worker died before anything else");
    }
    world.clock.advance(LEASE);
    process.run(process.authority.issuances_resume()).unwrap();
    assert_eq!(process.order_status(&account, id), OrderStatus::Invalid);
    assert!(process.signer.signed().is_empty());
    process.stop();
}

/// What was shown may have been taken back since.
#[test]
fn control_that_was_given_up_is_not_signed_for() {
    let world = World::new();
    let (process, account, id, _) = claimed_by_a_dead_worker(&world);
    let authorization = process.order_view(&account, id).order.authorizations[0];
    let who = crate::world::caller();
    let given_up = process.authority.authorization_deactivate(&account, authorization, &who);
    process.run(given_up).unwrap().unwrap();
    world.clock.advance(LEASE);
    process.run(process.authority.issuances_resume()).unwrap();
    assert_eq!(process.order_status(&account, id), OrderStatus::Invalid);
    assert!(process.signer.signed().is_empty());
    process.stop();
}

#[test]
fn after_the_signer_was_asked_the_order_fails_and_a_late_signature_is_not_delivered() {
    let world = World::hasty();
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]);
    let id = order.order.id;
    process.signer.break_at(Step::Hold);
    process.finalize(&account, id, &csr(&Key::new(), &["a.example.org"])).unwrap();
    process.until("the signer was asked", || process.store.order_by_id(id).unwrap().unwrap().asked.is_some());
    let serial = process.order_view(&account, id).order.claim.unwrap().serial;
    assert_eq!(process.status(&serial).unwrap().state, StatusState::Asked);
    assert_eq!(process.run(process.authority.issuances_resume()).unwrap(), (0, 0));

    world.clock.advance(LEASE);
    let generation = process.store.statuses().generation();
    assert_eq!(process.run(process.authority.issuances_resume()).unwrap(), (0, 1));
    assert_eq!(process.order_status(&account, id), OrderStatus::Invalid);
    let revoked = process.status(&serial).unwrap();
    assert!(matches!(revoked.state, StatusState::Revoked { .. }), "{revoked:?}");
    assert!(process.store.statuses().generation() > generation, "every kept answer is looked at again");
    let (listed, _) =
        process.store.statuses().revoked(&issuer(), Scope::Complete, None, Timestamp::default(), 10).unwrap();
    assert!(listed.iter().any(|entry| entry.serial == serial), "the next CRL has it");

    process.signer.release();
    process.until("the late signature is on record", || {
        process.records_of(RecordType::IssuanceAbandoned).len() == 2
    });
    let late = process.records_of(RecordType::IssuanceAbandoned).pop().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&late.parts[0].bytes).unwrap();
    assert!(told["certificate"].is_string(), "the certificate itself is kept: {told}");
    assert_eq!(process.signer.signed().len(), 1);
    assert_eq!(process.order_status(&account, id), OrderStatus::Invalid);
    assert_eq!(process.status(&serial).unwrap(), revoked);
    assert!(process.authority.certificate(&account, &issuer(), &serial).unwrap().is_none());
    assert_eq!(process.certificates(), 0);
    assert!(process.records_of(RecordType::CertificateIssued).is_empty());
    process.stop();
}

/// A signature that comes before anybody has looked counts: only who takes an order up ends its old lease.
#[test]
fn a_signature_after_the_lease_that_nobody_took_up_still_counts() {
    let world = World::hasty();
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]);
    let id = order.order.id;
    process.signer.break_at(Step::Hold);
    process.finalize(&account, id, &csr(&Key::new(), &["a.example.org"])).unwrap();
    world.clock.advance(2 * LEASE);
    process.signer.release();
    process.until("the order is valid", || process.order_status(&account, id) == OrderStatus::Valid);
    assert_eq!(process.run(process.authority.issuances_resume()).unwrap(), (0, 0));
    process.stop();
}
