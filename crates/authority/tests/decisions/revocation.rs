//! Proves who may revoke what (RFC 8555, section 7.6), that the first reason stays but for a proven compromise, and
//! that a key whose holder proved it compromised is never taken again.

use ingam_authority::RevokedBy;
use ingam_protocol::acme::ErrorType;
use ingam_protocol::record::RecordType;
use ingam_protocol::{Reason, Serial};
use ingam_store::StatusState;

use crate::world::{DAY, HOUR, Key, Process, World, caller, csr, issuer, refusal, revocation};

fn revoke(process: &Process, by: RevokedBy, der: &[u8], reason: i64) -> Result<(), ErrorType> {
    let outcome = process.run(process.authority.certificate_revoke(by, revocation(der, reason), &caller()));
    match outcome {
        Ok(()) => Ok(()),
        refused => Err(refusal(refused).error),
    }
}

fn reason(process: &Process, serial: &Serial) -> Option<Reason> {
    match process.status(serial).unwrap().state {
        StatusState::Revoked { reason, .. } => Some(reason),
        _ => None,
    }
}

#[test]
fn the_account_that_ordered_it_revokes_it_once() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let (view, der) = process.certificate(&account, &Key::new(), "a.example.org");
    let serial = view.order.certificate.unwrap();
    world.clock.advance(HOUR);
    let generation = process.store.statuses().generation();

    let by = RevokedBy::Account(account.clone());
    assert_eq!(revoke(&process, by.clone(), &der, 4), Ok(()));
    assert_eq!(reason(&process, &serial), Some(Reason::Superseded));
    assert!(process.store.statuses().generation() > generation);
    let record = process.records_of(RecordType::CertificateRevoked).pop().unwrap();
    assert_eq!(record.end_of_life, Some(view.order.claim.unwrap().not_after));

    world.clock.advance(HOUR);
    let before = process.status(&serial);
    for other in [0, 1, 4] {
        assert_eq!(revoke(&process, by.clone(), &der, other), Err(ErrorType::AlreadyRevoked));
    }
    assert_eq!(process.status(&serial), before, "the first date and reason stay");
    assert_eq!(process.records_of(RecordType::CertificateRevoked).len(), 1);
    // A revoked certificate can still be downloaded by its account.
    assert!(process.authority.certificate(&account, &issuer(), &serial).unwrap().is_some());
    process.stop();
}

#[test]
fn a_foreign_account_or_key_revokes_nothing() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let (view, der) = process.certificate(&account, &Key::new(), "a.example.org");
    let serial = view.order.certificate.unwrap();
    let foreign = [RevokedBy::Account(process.account()), RevokedBy::Key(Key::new().public())];
    for by in foreign {
        assert_eq!(revoke(&process, by.clone(), &der, 1), Err(ErrorType::Unauthorized));
    }
    assert_eq!(process.status(&serial).unwrap().state, StatusState::Good);
    process.stop();
}

/// Whoever shows control of every name may revoke, for as long as that holds.
#[test]
fn an_account_that_holds_all_authorizations_revokes() {
    let world = World::new();
    let process = world.start();
    let owner = process.account();
    let order = process.ready_order(&owner, &["a.example.org", "*.b.example.org"]);
    let request = csr(&Key::new(), &["a.example.org", "*.b.example.org"]);
    let view = process.finalize(&owner, order.order.id, &request).unwrap();
    let serial = view.order.certificate.unwrap();
    let der = process.authority.certificate(&owner, &issuer(), &serial).unwrap().unwrap().der;

    let other = process.account();
    let by = RevokedBy::Account(other.clone());
    process.ready_order(&other, &["a.example.org", "b.example.org"]);
    assert_eq!(revoke(&process, by.clone(), &der, 4), Err(ErrorType::Unauthorized), "not the wildcard");
    let wildcard = process.ready_order(&other, &["*.b.example.org"]).order.authorizations[0];
    process.run(process.authority.authorization_deactivate(&other, wildcard, &caller())).unwrap();
    assert_eq!(revoke(&process, by.clone(), &der, 4), Err(ErrorType::Unauthorized), "given up");
    process.ready_order(&other, &["*.b.example.org"]);
    world.clock.advance(31 * DAY);
    assert_eq!(revoke(&process, by.clone(), &der, 4), Err(ErrorType::Unauthorized), "expired");
    process.ready_order(&other, &["a.example.org", "*.b.example.org"]);
    assert_eq!(revoke(&process, by, &der, 4), Ok(()));
    assert_eq!(reason(&process, &serial), Some(Reason::Superseded));
    process.stop();
}

#[test]
fn what_is_not_ours_to_the_last_bit_is_not_revoked() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let (view, der) = process.certificate(&account, &Key::new(), "a.example.org");
    let by = RevokedBy::Account(account);
    let mut changed = der.clone();
    *changed.last_mut().unwrap() ^= 1;
    for not_ours in [changed, [der.as_slice(), &[0]].concat(), process.issuer_certificate(), Vec::new()] {
        assert_eq!(revoke(&process, by.clone(), &not_ours, 0), Err(ErrorType::Malformed));
    }
    for number in [-1, 2, 6, 7, 8, 9, 10, 256, 257] {
        assert_eq!(revoke(&process, by.clone(), &der, number), Err(ErrorType::BadRevocationReason));
    }
    let serial = view.order.certificate.unwrap();
    assert_eq!(process.status(&serial).unwrap().state, StatusState::Good);
    process.stop();
}

#[test]
fn a_compromised_key_is_blocked_for_certificates_and_accounts() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let key = Key::new();
    let (view, der) = process.certificate(&account, &key, "a.example.org");
    assert_eq!(revoke(&process, RevokedBy::Key(key.public()), &der, 1), Ok(()));
    assert_eq!(reason(&process, &view.order.certificate.unwrap()), Some(Reason::KeyCompromise));
    assert_eq!(process.records_of(RecordType::KeyBlocked).len(), 1);

    let order = process.ready_order(&account, &["b.example.org"]);
    let request = csr(&key, &["b.example.org"]);
    assert_eq!(refusal(process.finalize(&account, order.order.id, &request)).error, ErrorType::BadCsr);
    assert_eq!(refusal(process.try_account(&key, &[])).error, ErrorType::BadPublicKey);
    let changed = process.run(process.authority.account_key_change(&account, key.public(), &caller()));
    assert_eq!(refusal(changed).error, ErrorType::BadPublicKey);

    // After a restart it is still so.
    process.stop();
    let process = world.start();
    assert_eq!(refusal(process.try_account(&key, &[])).error, ErrorType::BadPublicKey);
    let other = csr(&Key::new(), &["b.example.org"]);
    assert!(process.finalize(&account, order.order.id, &other).is_ok(), "the order itself is not to blame");
    process.stop();
}

#[test]
fn without_a_proof_of_compromise_the_key_stays_usable() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let key = Key::new();
    let (_, by_account) = process.certificate(&account, &key, "a.example.org");
    assert_eq!(revoke(&process, RevokedBy::Account(account.clone()), &by_account, 1), Ok(()));
    let (_, by_key) = process.certificate(&account, &key, "b.example.org");
    assert_eq!(revoke(&process, RevokedBy::Key(key.public()), &by_key, 4), Ok(()));
    assert!(process.records_of(RecordType::KeyBlocked).is_empty());
    process.certificate(&account, &key, "c.example.org");
    process.stop();
}

/// BR 4.9.1.1: whoever holds the key may say later that it is compromised; the date stays the earlier one.
#[test]
fn a_revoked_certificate_is_revoked_again_for_a_proven_compromise() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let key = Key::new();
    let (view, der) = process.certificate(&account, &key, "a.example.org");
    let serial = view.order.certificate.unwrap();
    assert_eq!(revoke(&process, RevokedBy::Account(account.clone()), &der, 4), Ok(()));
    let first = process.status(&serial).unwrap();
    world.clock.advance(DAY);

    let by = RevokedBy::Key(key.public());
    assert_eq!(revoke(&process, by.clone(), &der, 0), Err(ErrorType::AlreadyRevoked));
    assert_eq!(revoke(&process, by.clone(), &der, 1), Ok(()));
    let second = process.status(&serial).unwrap();
    let (StatusState::Revoked { at: before, .. }, StatusState::Revoked { at, reason }) =
        (first.state, second.state)
    else {
        panic!("{first:?} {second:?}")
    };
    assert_eq!((at, reason), (before, Reason::KeyCompromise));
    assert!(second.generation > first.generation);
    assert_eq!(refusal(process.try_account(&key, &[])).error, ErrorType::BadPublicKey);
    assert_eq!(revoke(&process, by, &der, 1), Err(ErrorType::AlreadyRevoked));
    process.stop();
}
