//! Proves what becomes of an order whose certificate goes through transparency logs: one precertificate and one certificate of
//! the same serial number, which counts as issued from the first signature on, whatever happens between the two.

use std::time::Duration;

use ingam_protocol::acme::{Account, AccountUpdate, OrderStatus};
use ingam_protocol::profile::{Profile, Transparency};
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, transparency};
use ingam_store::StatusState;

use crate::crash::recorded;
use crate::world::{HOUR, Key, LEASE, Process, Step, World, caller, csr};

const NAME: &str = "a.example.org";

fn world() -> World {
    World::of_profile(|profile| profile.transparency = Transparency::Required)
}

fn finalize(process: &Process) -> (Account, Id, OrderStatus) {
    let account = process.account();
    let id = process.ready_order(&account, &[NAME]).order.id;
    // A signature that is lost is a fault to whoever waits for it; the order says what came of it.
    let _ = process.finalize(&account, id, &csr(&Key::new(), &[NAME]));
    let status = process.order_status(&account, id);
    (account, id, status)
}

fn resume(process: &Process) -> (usize, usize) {
    process.run(process.authority.issuances_resume()).unwrap()
}

/// The order has failed, and its serial number is revoked.
fn assert_given_up(process: &Process, account: &Account, id: Id) {
    let view = process.order_view(account, id);
    assert_eq!(view.status, OrderStatus::Invalid);
    let serial = view.order.claim.unwrap().serial;
    assert!(matches!(process.status(&serial).unwrap().state, StatusState::Revoked { .. }));
    assert!(process.store.issuances_open(None, 1).unwrap().is_empty());
    assert_eq!(process.certificates(), 0);
}

#[test]
fn a_certificate_comes_after_its_precertificate_and_with_scts() {
    let world = world();
    let process = world.start();
    let (account, id, status) = finalize(&process);
    assert_eq!(status, OrderStatus::Valid);
    let view = process.order_view(&account, id);
    let claim = view.order.claim.unwrap();
    let serial = view.order.certificate.unwrap();
    assert_eq!(claim.serial, serial);
    let [first, second] = process.signer.signed().clone().try_into().unwrap();
    assert_eq!((&first.serial, &second.serial), (&serial, &serial));
    assert!(transparency::is_precertificate(&first.tbs).unwrap());
    assert!(recorded(&process).contains(&first.tbs));
    let issuer = view.issuer.unwrap();
    let found = process.authority.certificate(&account, &issuer, &serial).unwrap().unwrap();
    let tbs = transparency::tbs_of(&found.der).unwrap();
    assert_eq!(tbs, second.tbs);
    assert_eq!(transparency::scts_of(tbs).unwrap().scts().len(), 2);
    assert_eq!(transparency::without_scts(tbs).unwrap(), transparency::without_poison(&first.tbs).unwrap());
    assert_eq!(process.status(&serial).unwrap().state, StatusState::Good);
    assert_eq!(world.logs.seen(), (1, 1));
    let kinds = [
        RecordType::CertificatePrepared,
        RecordType::SignatureAsked,
        RecordType::PrecertificateIssued,
        RecordType::CertificateAsked,
        RecordType::CertificateIssued,
    ];
    let told: Vec<_> =
        process.records().iter().map(|record| record.kind).filter(|kind| kinds.contains(kind)).collect();
    assert_eq!(told, kinds, "each once and in this order");
    process.stop();
}

#[test]
fn logs_that_are_down_are_asked_again() {
    let world = world();
    let process = world.start();
    world.logs.set_down(true);
    let (account, id, status) = finalize(&process);
    assert_eq!(status, OrderStatus::Processing);
    let serial = process.order_view(&account, id).order.claim.unwrap().serial;
    assert_eq!(
        process.status(&serial).unwrap().state,
        StatusState::Good,
        "its precertificate is in the world"
    );
    let at = |s: u64, asked: usize| {
        assert_eq!(world.logs.seen().0, asked, "before {s} s");
        world.clock.advance(Duration::from_secs(s));
        resume(&process);
    };
    // After 5 seconds at first, and then after half as long again as it has waited, before a lease would have run out.
    at(4, 1);
    at(1, 1);
    at(5, 2);
    at(4, 3);
    at(1, 3);
    assert_eq!(process.order_status(&account, id), OrderStatus::Processing);
    at(100, 4);
    at(57, 5);
    assert_eq!(world.logs.seen().0, 5);
    world.logs.set_down(false);
    at(1, 5);
    assert_eq!(world.logs.seen().0, 6);
    assert_eq!(process.order_status(&account, id), OrderStatus::Valid);
    assert_eq!((process.certificates(), process.signer.signed().len()), (1, 2));
    process.stop();
}

#[test]
fn logs_that_stay_down_end_the_order_and_its_serial_number() {
    let world = world();
    let process = world.start();
    world.logs.set_down(true);
    let (account, id, _) = finalize(&process);
    world.clock.advance(HOUR + LEASE);
    assert_eq!(resume(&process), (1, 0));
    assert_given_up(&process, &account, id);
    process.stop();
}

/// The process dies while logs are asked, with what they promised: a new one asks anew, and signs one certificate.
#[test]
fn a_process_that_died_between_the_two_is_followed_by_one_that_goes_on() {
    let world = world();
    let process = world.start();
    world.logs.set_down(true);
    let (account, id, _) = finalize(&process);
    world.crash(process);
    world.logs.set_down(false);
    let process = world.start();
    assert_eq!(process.resume_at_start(), (1, 0));
    assert_eq!(process.order_status(&account, id), OrderStatus::Valid);
    assert_eq!(process.signer.signed().len(), 1, "the precertificate is not signed again");
    process.stop();
}

#[test]
fn a_signer_that_goes_between_the_two_is_waited_for() {
    let world = world();
    let process = world.start();
    world.logs.set_down(true);
    let (account, id, _) = finalize(&process);
    world.logs.set_down(false);
    for step in [Step::Away, Step::Going] {
        process.signer.break_at(step);
        world.clock.advance(LEASE);
        resume(&process);
        assert_eq!(process.order_status(&account, id), OrderStatus::Processing, "{step:?}");
        process.run(process.authority.signer_missed());
    }
    process.signer.break_at(Step::Never);
    resume(&process);
    assert_eq!(process.order_status(&account, id), OrderStatus::Valid);
    process.stop();
}

#[test]
fn a_signature_that_is_lost_ends_the_order_whichever_of_the_two_it_is() {
    for (step, signed) in [(Step::Answer, 1), (Step::SecondAnswer, 2)] {
        let world = world();
        let process = world.start();
        process.signer.break_at(step);
        let (account, id, _) = finalize(&process);
        assert_given_up(&process, &account, id);
        process.signer.break_at(Step::Never);
        assert_eq!(resume(&process), (0, 0));
        assert_eq!(process.signer.signed().len(), signed);
        process.stop();
    }
}

#[test]
fn what_was_blocked_between_the_two_is_not_finished() {
    let world = world();
    let process = world.start();
    world.logs.set_down(true);
    let (account, id, _) = finalize(&process);
    world.logs.set_down(false);
    let update = AccountUpdate {
        contact: None,
        status: Some("deactivated".to_owned()),
        terms_of_service_agreed: None,
    };
    process.run(process.authority.account_update(&account, update, &caller())).unwrap();
    world.clock.advance(LEASE);
    resume(&process);
    assert_eq!(process.order_view(&account, id).status, OrderStatus::Invalid);
    assert_given_up(&process, &account, id);
    process.stop();
}

#[test]
fn what_becomes_of_its_profile_does_not_matter_to_a_precertificate() {
    let changes: [fn(&mut Profile); 2] =
        [|profile| profile.name = "other".to_owned().try_into().unwrap(), |profile| profile.validity = HOUR];
    for change in changes {
        let mut world = world();
        let process = world.start();
        world.logs.set_down(true);
        let (account, id, _) = finalize(&process);
        process.stop();
        world.change_profile(change);
        world.logs.set_down(false);
        let process = world.start();
        process.resume_at_start();
        assert_eq!(process.order_status(&account, id), OrderStatus::Valid, "it counts as issued since then");
        process.stop();
    }
}

/// The machine was off, or the token out, for longer than logs are waited for: they are asked before anything is given up.
#[test]
fn an_hour_in_which_nobody_asked_logs_is_not_held_against_them() {
    let world = world();
    let process = world.start();
    world.logs.set_down(true);
    let (account, id, _) = finalize(&process);
    process.stop();
    world.clock.advance(2 * HOUR);
    world.logs.set_down(false);
    let process = world.start();
    assert_eq!(process.resume_at_start(), (1, 0));
    assert_eq!(process.order_status(&account, id), OrderStatus::Valid);
    process.stop();
}

/// Orders wait for a ledger that cannot be written as for a signer that is away.
#[test]
fn a_signer_that_cannot_write_between_the_two_is_waited_for() {
    let world = world();
    let process = world.start();
    process.signer.break_at(Step::Finish);
    let (account, id, status) = finalize(&process);
    assert_eq!(status, OrderStatus::Processing);
    process.signer.break_at(Step::Never);
    assert_eq!(resume(&process), (1, 0));
    assert_eq!(process.order_status(&account, id), OrderStatus::Valid);
    process.stop();
}
