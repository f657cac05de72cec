//! Proves that an order waits for a signer that is not there: nothing is lost, nothing is signed that may not be any more, and
//! no serial number is used up.

use ingam_protocol::acme::{ErrorType, OrderStatus};
use ingam_protocol::record::RecordType;
use ingam_store::StatusState;

use crate::world::{DAY, Key, Process, Step, World, caller, csr};

const NAME: &str = "a.example.org";

fn resume(process: &Process) -> (usize, usize) {
    process.run(process.authority.issuances_resume()).unwrap()
}

/// An order that was finalized while the signer was away.
fn waiting(process: &Process) -> (ingam_protocol::acme::Account, ingam_protocol::Id) {
    let account = process.account();
    let id = process.ready_order(&account, &[NAME]).order.id;
    process.signer.break_at(Step::Away);
    let view = process.finalize(&account, id, &csr(&Key::new(), &[NAME])).unwrap();
    assert_eq!(view.status, OrderStatus::Processing);
    (account, id)
}

#[test]
fn an_order_waits_and_goes_on() {
    let world = World::new();
    let process = world.start();
    let (account, id) = waiting(&process);
    process.run(process.authority.signer_missed());
    assert!(!process.run(process.authority.signer_is_there()));
    // Nobody gets ahead by asking again, and nothing comes of looking while it is away.
    let again = process.finalize(&account, id, &csr(&Key::new(), &[NAME])).unwrap();
    assert_eq!(again.status, OrderStatus::Processing);
    assert_eq!(resume(&process), (0, 0));
    assert_eq!(process.order_status(&account, id), OrderStatus::Processing);
    assert_eq!(process.records_of(RecordType::IssuanceWaits).len(), 1);
    assert!(process.records_of(RecordType::CertificatePrepared).is_empty(), "no serial number is used up");

    process.signer.break_at(Step::Never);
    assert!(process.run(process.authority.signer_is_there()));
    assert_eq!(resume(&process), (1, 0));
    let view = process.order_view(&account, id);
    assert_eq!(view.status, OrderStatus::Valid);
    assert_eq!(view.order.waiting, None);
    assert_eq!((process.certificates(), process.signer.signed().len()), (1, 1));
    assert_eq!(resume(&process), (0, 0));
    process.stop();
}

#[test]
fn it_waits_through_a_power_cut() {
    let world = World::new();
    let process = world.start();
    let (account, id) = waiting(&process);
    world.crash(process);
    let process = world.start();
    assert_eq!(process.order_status(&account, id), OrderStatus::Processing);
    assert_eq!(process.resume_at_start(), (1, 0));
    assert_eq!(process.order_status(&account, id), OrderStatus::Valid);
    process.stop();
}

/// The signer goes after it has prepared: it is not asked, and the same bytes are signed when it is back, without waiting for
/// any lease.
#[test]
fn a_signer_that_goes_before_it_is_asked_costs_nothing() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let id = process.ready_order(&account, &[NAME]).order.id;
    process.signer.break_at(Step::Going);
    let view = process.finalize(&account, id, &csr(&Key::new(), &[NAME])).unwrap();
    assert_eq!((view.status, view.order.asked), (OrderStatus::Processing, None));
    let claim = view.order.claim.unwrap();
    assert_eq!(process.status(&claim.serial).unwrap().state, StatusState::Reserved);
    process.run(process.authority.signer_missed());
    for step in [Step::Going, Step::Away] {
        process.signer.break_at(step);
        resume(&process);
        assert_eq!(process.order_status(&account, id), OrderStatus::Processing, "{step:?}");
    }
    process.signer.break_at(Step::Never);
    assert_eq!(resume(&process), (1, 0));
    let view = process.order_view(&account, id);
    assert_eq!((view.status, view.order.certificate), (OrderStatus::Valid, Some(claim.serial)));
    assert_eq!(process.signer.signed().len(), 1);
    process.stop();
}

/// Who may have a certificate is decided when it is made.
#[test]
fn what_does_not_count_any_more_ends_the_order() {
    type Change = fn(&World, &Process, &ingam_protocol::acme::Account, ingam_protocol::Id);
    let changes: [(Change, ErrorType); 3] = [
        (
            |world, _, _, _| {
                world.validation.fail_caa(NAME);
            },
            ErrorType::Caa,
        ),
        (
            |_, process, account, id| {
                let authorization = process.order_view(account, id).order.authorizations[0];
                let who = caller();
                let given_up = process.authority.authorization_deactivate(account, authorization, &who);
                process.run(given_up).unwrap().unwrap();
            },
            ErrorType::OrderNotReady,
        ),
        (|world, _, _, _| world.clock.advance(8 * DAY), ErrorType::OrderNotReady),
    ];
    for (change, error) in changes {
        let world = World::new();
        let process = world.start();
        let (account, id) = waiting(&process);
        change(&world, &process, &account, id);
        process.signer.break_at(Step::Never);
        assert_eq!(resume(&process), (0, 1));
        let view = process.order_view(&account, id);
        assert_eq!((view.status, view.error.unwrap().error), (OrderStatus::Invalid, error));
        assert!(process.signer.signed().is_empty());
        assert!(process.store.issuances_open(None, 1).unwrap().is_empty());
        process.stop();
    }
}
