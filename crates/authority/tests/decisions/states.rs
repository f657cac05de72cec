//! Proves that orders, authorizations and challenges pass through the states of RFC 8555, section 7.1.6, by what
//! happens to them and by the clock alone, and that nothing leaves a state that has no way out.

use ingam_protocol::acme::{
    AccountUpdate, AuthorizationStatus, ChallengeStatus, ChallengeType, ErrorType, OrderStatus,
};

use crate::world::{DAY, HOUR, Key, Step, World, caller, csr, refusal};

#[test]
fn an_order_walks_from_pending_to_valid() {
    let world = World::hasty();
    let process = world.start();
    let account = process.account();
    let order = process.order(&account, &["a.example.org", "b.example.org"]);
    let id = order.order.id;
    let [first, second] = order.order.authorizations[..] else { panic!("one authorization for each name") };
    assert_eq!(order.status, OrderStatus::Pending);

    process.answer_and_wait(&account, first, ChallengeType::Http01);
    assert_eq!(process.order_status(&account, id), OrderStatus::Pending, "one name is still open");
    process.answer_and_wait(&account, second, ChallengeType::TlsAlpn01);
    assert_eq!(process.order_status(&account, id), OrderStatus::Ready);

    process.signer.break_at(Step::Hold);
    let request = csr(&Key::new(), &["a.example.org", "b.example.org"]);
    assert_eq!(process.finalize(&account, id, &request).unwrap().status, OrderStatus::Processing);
    // Neither its own end nor that of its authorizations ends a claimed order.
    world.clock.advance(31 * DAY);
    assert_eq!(process.order_status(&account, id), OrderStatus::Processing);
    world.clock.advance(DAY);
    assert_eq!(process.order_status(&account, id), OrderStatus::Processing);
    process.stop();

    let world = World::hasty();
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]);
    process.signer.break_at(Step::Hold);
    let id = order.order.id;
    process.finalize(&account, id, &csr(&Key::new(), &["a.example.org"])).unwrap();
    process.signer.release();
    process.until("the order is valid", || process.order_status(&account, id) == OrderStatus::Valid);
    world.clock.advance(400 * DAY);
    assert_eq!(process.order_status(&account, id), OrderStatus::Valid, "no time ends a valid order");
    process.stop();
}

#[test]
fn a_failed_challenge_ends_challenge_authorization_and_order() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    world.validation.fail("bad.example.org");
    let order = process.order(&account, &["bad.example.org", "good.example.org"]);
    let bad = order.order.authorizations[0];
    process.answer_and_wait(&account, bad, ChallengeType::Http01);

    assert_eq!(process.challenge_status(&account, bad, ChallengeType::Http01), ChallengeStatus::Invalid);
    assert_eq!(process.authorization_status(&account, bad), AuthorizationStatus::Invalid);
    let view = process.order_view(&account, order.order.id);
    assert_eq!(view.status, OrderStatus::Invalid);
    let error = view.error.unwrap();
    assert_eq!(error.error, ErrorType::Connection);
    assert!(error.detail.contains("bad.example.org"), "{}", error.detail);

    // Another way is not taken up any more, and the network's change of mind comes too late.
    world.validation.succeed("bad.example.org");
    process.answer(&account, bad, ChallengeType::Dns01);
    assert_eq!(process.challenge_status(&account, bad, ChallengeType::Dns01), ChallengeStatus::Pending);
    assert_eq!(process.authorization_status(&account, bad), AuthorizationStatus::Invalid);
    let refused = refusal(process.finalize(&account, order.order.id, b""));
    assert_eq!(refused.error, ErrorType::OrderNotReady);
    process.stop();
}

#[test]
fn caa_that_forbids_fails_the_challenge() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    world.validation.fail_caa("a.example.org");
    let order = process.order(&account, &["a.example.org"]);
    process.answer_and_wait(&account, order.order.authorizations[0], ChallengeType::Dns01);
    let view = process.order_view(&account, order.order.id);
    assert_eq!(view.status, OrderStatus::Invalid);
    assert_eq!(view.error.unwrap().error, ErrorType::Caa);
    process.stop();
}

#[test]
fn a_challenge_is_processing_while_it_is_checked_even_past_its_authorizations_end() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    world.validation.hold(ChallengeType::Http01);
    let order = process.order(&account, &["a.example.org"]);
    let authorization = order.order.authorizations[0];
    let kind = ChallengeType::Http01;
    assert_eq!(process.challenge_status(&account, authorization, kind), ChallengeStatus::Pending);
    process.answer(&account, authorization, kind);
    assert_eq!(process.challenge_status(&account, authorization, kind), ChallengeStatus::Processing);
    world.clock.advance(3 * DAY);
    assert_eq!(process.authorization_status(&account, authorization), AuthorizationStatus::Pending);

    world.validation.release();
    process.until("the check has ended", || {
        process.challenge_status(&account, authorization, kind) == ChallengeStatus::Valid
    });
    assert_eq!(process.authorization_status(&account, authorization), AuthorizationStatus::Valid);
    assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Ready);
    process.stop();
}

#[test]
fn time_ends_what_nobody_finishes() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let pending = process.order(&account, &["pending.example.org"]);
    let ready = process.ready_order(&account, &["ready.example.org"]);
    let authorization = pending.order.authorizations[0];

    world.clock.advance(2 * DAY - HOUR);
    assert_eq!(process.authorization_status(&account, authorization), AuthorizationStatus::Pending);
    world.clock.advance(HOUR);
    assert_eq!(process.authorization_status(&account, authorization), AuthorizationStatus::Invalid);
    let view = process.order_view(&account, pending.order.id);
    assert_eq!(view.status, OrderStatus::Invalid);
    assert_eq!(view.error.unwrap().error, ErrorType::Unauthorized);
    process.answer(&account, authorization, ChallengeType::Http01);
    assert!(world.validation.script.attempts().len() == 1, "nothing is checked after the end");

    assert_eq!(process.order_status(&account, ready.order.id), OrderStatus::Ready);
    world.clock.advance(5 * DAY);
    let view = process.order_view(&account, ready.order.id);
    assert_eq!(view.status, OrderStatus::Invalid, "the order's own end");
    assert_eq!(view.error.unwrap().error, ErrorType::Malformed);
    let valid = ready.order.authorizations[0];
    assert_eq!(process.authorization_status(&account, valid), AuthorizationStatus::Valid);
    world.clock.advance(23 * DAY);
    assert_eq!(process.authorization_status(&account, valid), AuthorizationStatus::Expired);
    let refused =
        refusal(process.finalize(&account, ready.order.id, &csr(&Key::new(), &["ready.example.org"])));
    assert_eq!(refused.error, ErrorType::OrderNotReady);
    assert_eq!(process.certificates(), 0);
    process.stop();
}

#[test]
fn a_deactivated_authorization_ends_pending_and_ready_orders() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let pending = process.order(&account, &["pending.example.org"]);
    let ready = process.ready_order(&account, &["ready.example.org"]);
    for order in [&pending, &ready] {
        let authorization = order.order.authorizations[0];
        let given_up =
            process.run(process.authority.authorization_deactivate(&account, authorization, &caller()));
        assert!(given_up.unwrap().is_some());
        assert_eq!(process.authorization_status(&account, authorization), AuthorizationStatus::Deactivated);
        let view = process.order_view(&account, order.order.id);
        assert_eq!(view.status, OrderStatus::Invalid);
        assert_eq!(view.error.unwrap().error, ErrorType::Unauthorized);
    }
    let request = csr(&Key::new(), &["ready.example.org"]);
    let refused = refusal(process.finalize(&account, ready.order.id, &request));
    assert_eq!(refused.error, ErrorType::OrderNotReady);
    process.stop();
}

#[test]
fn a_check_that_ends_after_its_authorization_was_given_up_does_not_count() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    world.validation.hold(ChallengeType::Dns01);
    let order = process.order(&account, &["a.example.org"]);
    let authorization = order.order.authorizations[0];
    process.answer(&account, authorization, ChallengeType::Dns01);
    process.run(process.authority.authorization_deactivate(&account, authorization, &caller())).unwrap();
    world.validation.release();
    process.until("nothing is open", || process.store.challenges_open(1).unwrap().is_empty());
    assert_eq!(process.authorization_status(&account, authorization), AuthorizationStatus::Deactivated);
    assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Invalid);
    process.stop();
}

#[test]
fn nobody_elses_order_or_authorization_is_there() {
    let world = World::new();
    let process = world.start();
    let (owner, other) = (process.account(), process.account());
    let order = process.ready_order(&owner, &["a.example.org"]);
    let authorization = order.order.authorizations[0];
    assert!(process.authority.order(&other, order.order.id).unwrap().is_none());
    assert!(process.authority.authorization_of(&other, authorization).unwrap().is_none());
    let request = csr(&Key::new(), &["a.example.org"]);
    let who = caller();
    let finalized = process.authority.order_finalize(&other, order.order.id, &request, &who);
    assert!(process.run(finalized).unwrap().is_none());
    let given_up = process.authority.authorization_deactivate(&other, authorization, &who);
    assert!(process.run(given_up).unwrap().is_none());
    assert_eq!(process.order_status(&owner, order.order.id), OrderStatus::Ready);
    process.stop();
}

#[test]
fn a_deactivated_account_gets_nothing_more() {
    let world = World::new();
    let process = world.start();
    let key = Key::new();
    let account = process.account_with(&key, &[]);
    let pending = process.order(&account, &["pending.example.org"]);
    let ready = process.ready_order(&account, &["ready.example.org"]);
    let update = AccountUpdate {
        contact: None,
        status: Some("deactivated".to_owned()),
        terms_of_service_agreed: None,
    };
    process.run(process.authority.account_update(&account, update, &caller())).unwrap();

    // The account as requests that came in earlier still hold it.
    let refused =
        refusal(process.finalize(&account, ready.order.id, &csr(&Key::new(), &["ready.example.org"])));
    assert_eq!(refused.error, ErrorType::Unauthorized);
    let (who, authorization) = (caller(), pending.order.authorizations[0]);
    let answered = process.authority.challenge_answer(&account, authorization, ChallengeType::Http01, &who);
    assert!(process.run(answered).unwrap().is_none());
    let again = refusal(process.try_account(&key, &[]));
    assert_eq!(again.error, ErrorType::Unauthorized, "the key does not make a second account");
    assert_eq!(process.certificates(), 0);
    assert!(process.signer.signed().is_empty());
    process.stop();
}

/// RFC 8555, section 7.1.6, draws no way out of `invalid`: not even for a check that was under way.
#[test]
fn an_authorization_that_failed_one_way_does_not_become_valid_another_way() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let order = process.order(&account, &["a.example.org"]);
    let authorization = order.order.authorizations[0];
    world.validation.hold(ChallengeType::Dns01);
    process.answer(&account, authorization, ChallengeType::Dns01);
    world.validation.fail("a.example.org");
    process.answer_and_wait(&account, authorization, ChallengeType::Http01);
    assert_eq!(process.authorization_status(&account, authorization), AuthorizationStatus::Invalid);

    world.validation.succeed("a.example.org");
    world.validation.release();
    process.until("nothing is open", || process.store.challenges_open(1).unwrap().is_empty());
    assert_eq!(process.authorization_status(&account, authorization), AuthorizationStatus::Invalid);
    assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Invalid);
    process.stop();
}

#[test]
fn an_authorization_that_has_ended_is_not_deactivated() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let invalid = process.order(&account, &["a.example.org"]).order.authorizations[0];
    let expired = process.ready_order(&account, &["b.example.org"]).order.authorizations[0];
    world.clock.advance(30 * DAY);
    for (authorization, status) in
        [(invalid, AuthorizationStatus::Invalid), (expired, AuthorizationStatus::Expired)]
    {
        process.run(process.authority.authorization_deactivate(&account, authorization, &caller())).unwrap();
        assert_eq!(process.authorization_status(&account, authorization), status);
    }
    process.stop();
}
