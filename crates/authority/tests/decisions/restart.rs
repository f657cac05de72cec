//! Proves that a process which died is followed by one that goes on: checks of challenges and issuances are taken up
//! from what is on record, whatever moment the power went at.

use ingam_protocol::acme::{ChallengeStatus, ChallengeType, OrderStatus};
use ingam_protocol::record::RecordType;
use ingam_store::StatusState;

use crate::world::{Key, Step, World, csr};

#[test]
fn open_challenges_are_checked_again() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let order = process.order(&account, &["good.example.org", "bad.example.org"]);
    let [bad, good] = order.order.authorizations[..] else { panic!("two names") };
    world.validation.hold(ChallengeType::Http01);
    world.validation.fail("bad.example.org");
    for authorization in [bad, good] {
        process.answer(&account, authorization, ChallengeType::Http01);
    }
    world.crash(process);
    world.validation.release();

    let process = world.start();
    assert_eq!(process.challenge_status(&account, good, ChallengeType::Http01), ChallengeStatus::Processing);
    let resumed = process.run(async { process.authority.challenges_resume() }).unwrap();
    assert_eq!(resumed, 2);
    process.until("nothing is open", || process.store.challenges_open(1).unwrap().is_empty());
    assert_eq!(process.challenge_status(&account, good, ChallengeType::Http01), ChallengeStatus::Valid);
    assert_eq!(process.challenge_status(&account, bad, ChallengeType::Http01), ChallengeStatus::Invalid);
    assert_eq!(process.records_of(RecordType::ValidationFinished).len(), 2);
    assert_eq!(process.run(async { process.authority.challenges_resume() }).unwrap(), 0);
    process.stop();
}

#[test]
fn a_claimed_order_is_finished_with_the_same_bytes_without_waiting_for_its_lease() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]);
    let id = order.order.id;
    let claim = process.claim_and_stop(&account, id, &csr(&Key::new(), &["a.example.org"]));
    world.crash(process);

    let process = world.start();
    assert_eq!(process.order_status(&account, id), OrderStatus::Processing);
    assert_eq!(process.resume_at_start(), (1, 0));
    let view = process.order_view(&account, id);
    assert_eq!(view.status, OrderStatus::Valid);
    assert_eq!(view.order.certificate, Some(claim.serial));
    let signed = process.signer.signed().clone();
    assert_eq!(signed.len(), 1);
    assert_eq!(signed[0].tbs[..], claim.tbs[..]);
    process.stop();
}

#[test]
fn an_order_whose_signer_had_been_asked_fails_at_the_start() {
    for step in [Step::Hold, Step::Answer] {
        let world = World::hasty();
        let process = world.start();
        let account = process.account();
        let order = process.ready_order(&account, &["a.example.org"]);
        let id = order.order.id;
        process.signer.break_at(Step::Hold);
        process.finalize(&account, id, &csr(&Key::new(), &["a.example.org"])).unwrap();
        process.until("the signer was asked", || {
            process.store.order_by_id(id).unwrap().unwrap().asked.is_some()
        });
        if step == Step::Answer {
            // The signer signs, and nobody is there any more to hear of it.
            process.signer.release();
            process.until("the key was used", || !process.signer.signed().is_empty());
        }
        let serial = process.order_view(&account, id).order.claim.unwrap().serial;
        world.crash(process);

        let process = world.start();
        let before = process.order_status(&account, id);
        if before == OrderStatus::Processing {
            assert_eq!(process.resume_at_start(), (0, 1));
            assert_eq!(process.order_status(&account, id), OrderStatus::Invalid);
            assert!(matches!(process.status(&serial).unwrap().state, StatusState::Revoked { .. }));
            assert_eq!(process.certificates(), 0);
        } else {
            // The signature had reached the disk before the power went, and then it counts.
            assert_eq!((step, before), (Step::Answer, OrderStatus::Valid));
            assert_eq!(process.status(&serial).unwrap().state, StatusState::Good);
        }
        assert!(process.signer.signed().is_empty(), "nothing is signed twice");
        process.stop();
    }
}

#[test]
fn what_is_finished_stays_as_it_is() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let (view, der) = process.certificate(&account, &Key::new(), "a.example.org");
    let before: Vec<_> = process.records().iter().map(|record| record.id).collect();
    process.stop();

    let process = world.start();
    assert_eq!(process.resume_at_start(), (0, 0));
    assert_eq!(process.run(async { process.authority.challenges_resume() }).unwrap(), 0);
    let serial = view.order.certificate.unwrap();
    let found = process.authority.certificate(&account, &view.issuer.unwrap(), &serial).unwrap().unwrap();
    assert_eq!(found.der, der);
    let after: Vec<_> = process.records().iter().map(|record| record.id).collect();
    assert_eq!(after, before, "records move from the outbox to the journal, each once and in their order");
    process.stop();
}
