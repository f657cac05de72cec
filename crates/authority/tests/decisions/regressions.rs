//! Faults that were there once, each with the sequence that showed it: one order keeping others from being taken up, and a
//! proven compromise that left its key usable.
use ingam_authority::RevokedBy;
use ingam_protocol::acme::{ErrorType, OrderStatus};

use crate::world::{Key, World, caller, csr, refusal, revocation};

#[test]
fn withdrawn_profile_stops_resume() {
    let mut world = World::new();
    let mut process = world.start();
    let account = process.account();
    let mut ids = Vec::new();
    for (name, profile) in [("a.example.org", "short"), ("b.example.org", "classic")] {
        let order = process.order_of_profile(&account, &[name], Some(profile));
        process.make_ready(&account, &order);
        process.claim_and_stop(&account, order.order.id, &csr(&Key::new(), &[name]));
        process.kill_tasks();
        ids.push(order.order.id);
        world.clock.advance(crate::world::LEASE);
    }
    process.stop();
    world.withdraw_short_profile();
    let process = world.start();
    process.resume_at_start();
    assert_eq!(process.order_status(&account, ids[1]), OrderStatus::Valid);
    assert_eq!(process.order_status(&account, ids[0]), OrderStatus::Invalid);
    process.stop();
}

#[test]
fn signer_down_stops_resume() {
    let world = World::new();
    let mut process = world.start();
    let account = process.account();
    let mut ids = Vec::new();
    for name in ["a.example.org", "b.example.org"] {
        let order = process.ready_order(&account, &[name]);
        process.claim_and_stop(&account, order.order.id, &csr(&Key::new(), &[name]));
        process.kill_tasks();
        ids.push(order.order.id);
    }
    process.stop();
    let process = world.start();
    process.signer.break_at(crate::world::Step::Issue);
    process.resume_at_start();
    for id in ids {
        assert_eq!(process.order_status(&account, id), OrderStatus::Invalid);
    }
    process.stop();
}

#[test]
fn proven_compromise_after_unproven_one_blocks_the_key() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let key = Key::new();
    let (_, der) = process.certificate(&account, &key, "a.example.org");
    let by = |by, reason| {
        process.run(process.authority.certificate_revoke(by, revocation(&der, reason), &caller()))
    };
    by(RevokedBy::Account(account.clone()), 1).unwrap();
    assert_eq!(refusal(by(RevokedBy::Key(key.public()), 1)).error, ErrorType::AlreadyRevoked);
    assert_eq!(refusal(process.try_account(&key, &[])).error, ErrorType::BadPublicKey);
    process.stop();
}
