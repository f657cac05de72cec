//! Proves what every domain operation promises, on redb and on sled by the same tests: each row of a table of two.
//! A test that fails on one engine alone says which.

use std::sync::Arc;

use ingam_protocol::acme::{AuthorizationStatus, ChallengeStatus, OrderStatus, Verdict};
use ingam_protocol::crl::{Entry, Scope};
use ingam_protocol::record::RecordType;
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Id, Reason, Timestamp};
use ingam_store::{
    AbandonedBy, AccountInserted, Admission, Admitted, Answered, Claimed, Config, EngineChoice,
    RevocationOutcome, RevocationRequest, Settled, Stale, StatusState, Store,
};

use crate::made::{
    DAY, MINUTE, account, certificate, claim, contacts, failure, finished, id, insert_account, issuer, key,
    on_both, open_challenge, order, record, run, start,
};
use crate::rules::block;

/// An order that can be claimed.
pub(crate) async fn insert_ready_order(
    store: &Store,
    account: Id,
    random: &SeededRandom,
) -> ingam_protocol::acme::Order {
    let (order, authorization) = order(account, random);
    let open = open_challenge(&authorization);
    let about = |kind| record(kind, order.id, random);
    let told = about(RecordType::OrderCreated);
    let made = store.order_insert(order.clone(), vec![authorization], told, Admission::default()).await;
    assert_eq!(made.unwrap(), Admitted::Yes);
    store.challenge_answer(open, start(), about(RecordType::ChallengeAnswered), Vec::new()).await.unwrap();
    let settled = store
        .challenge_finish(open, finished(Verdict::Valid), about(RecordType::ValidationFinished), None)
        .await;
    assert_eq!(settled.unwrap(), Settled::Now);
    order
}

#[test]
fn one_key_is_one_account() {
    on_both(async |store, random| {
        let first = insert_account(store, random).await;
        let mut second = account(random);
        second.key = first.key.clone();
        let again = record(RecordType::AccountCreated, second.id, random);
        let taken = store.account_insert(second.clone(), &[], again, Vec::new()).await.unwrap().unwrap();
        assert_eq!(taken, AccountInserted::Taken(first.clone()));
        assert_eq!(store.account_by_id(second.id).unwrap(), None);
        assert_eq!(store.account_by_key(&first.key).unwrap(), Some(first.clone()));
        let shown: Vec<_> = store.account_contacts(first.id).unwrap();
        assert_eq!(shown, contacts());
    });
}

#[test]
fn two_accounts_with_one_key_at_once_are_one() {
    on_both(async |store, random| {
        let (first, mut second) = (account(random), account(random));
        second.key = first.key.clone();
        let insert = |account: &ingam_protocol::acme::Account| {
            let record = record(RecordType::AccountCreated, account.id, random);
            store.account_insert(account.clone(), &[], record, Vec::new())
        };
        let (one, other) = tokio::join!(insert(&first), insert(&second));
        let outcomes = [one.unwrap().unwrap(), other.unwrap().unwrap()];
        let new = outcomes.iter().filter(|outcome| **outcome == AccountInserted::New).count();
        assert_eq!(new, 1, "{outcomes:?}");
        assert!(store.account_by_key(&first.key).unwrap().is_some());
    });
}

#[test]
fn a_key_change_takes_nobody_elses_key_and_starts_from_the_key_in_force() {
    on_both(async |store, random| {
        let (one, other) = (insert_account(store, random).await, insert_account(store, random).await);
        let new = key(random);
        let change = async |old: &_, new: &_| {
            let record = record(RecordType::AccountKeyChanged, one.id, random);
            store.account_key_change(one.id, Clone::clone(old), Clone::clone(new), record).await.unwrap()
        };
        assert_eq!(change(&one.key, &other.key).await, Some(AccountInserted::Taken(other.clone())));
        assert_eq!(change(&new, &other.key).await, None, "not its key");
        assert_eq!(change(&one.key, &new).await, Some(AccountInserted::New));
        assert_eq!(change(&one.key, &key(random)).await, None, "not its key any more");
        assert_eq!(store.account_by_key(&one.key).unwrap(), None);
        assert_eq!(store.account_by_key(&new).unwrap().map(|account| account.id), Some(one.id));
        assert_eq!(store.account_by_key(&other.key).unwrap(), Some(other.clone()));
        // To the key that it has already: that one is taken, by itself.
        assert!(matches!(change(&new, &new).await, Some(AccountInserted::Taken(own)) if own.id == one.id));
    });
}

#[test]
fn a_deactivated_account_changes_no_more_and_makes_nothing() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await;
        let record = |kind| record(kind, account.id, random);
        let ended =
            store.account_deactivate(account.id, start(), record(RecordType::AccountDeactivated)).await;
        assert!(ended.unwrap().unwrap().deactivated.is_some());
        assert!(store.account_contacts(account.id).unwrap().is_empty(), "contacts go at once");
        let again =
            store.account_deactivate(account.id, start(), record(RecordType::AccountDeactivated)).await;
        assert_eq!(again.unwrap(), None);
        let all = contacts();
        let updated =
            store.account_update(account.id, Some(&all), None, record(RecordType::AccountUpdated)).await;
        assert_eq!(updated.unwrap(), None);
        assert!(store.account_contacts(account.id).unwrap().is_empty());
        let changed = store
            .account_key_change(
                account.id,
                account.key.clone(),
                key(random),
                record(RecordType::AccountKeyChanged),
            )
            .await;
        assert_eq!(changed.unwrap(), None);
        let (order, authorization) = order(account.id, random);
        let made = store
            .order_insert(
                order.clone(),
                vec![authorization],
                record(RecordType::OrderCreated),
                Admission::default(),
            )
            .await;
        assert_eq!(made.unwrap(), Admitted::Missing);
        assert!(store.order_by_id(order.id).unwrap().is_none());
        // Its key is still its key: nobody makes a second account with it.
        assert!(store.account_by_key(&account.key).unwrap().is_some());
    });
}

#[test]
fn a_challenge_is_answered_once_and_its_first_end_counts() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await;
        let (order, authorization) = order(account.id, random);
        let open = open_challenge(&authorization);
        let about = |kind| record(kind, order.id, random);
        store
            .order_insert(
                order.clone(),
                vec![authorization.clone()],
                about(RecordType::OrderCreated),
                Admission::default(),
            )
            .await
            .unwrap();
        let answer = async || {
            store
                .challenge_answer(open, start(), about(RecordType::ChallengeAnswered), Vec::new())
                .await
                .unwrap()
        };
        assert!(matches!(answer().await, Answered::Check(_)));
        assert!(matches!(answer().await, Answered::Nothing(_)));
        assert_eq!(store.challenges_open(10).unwrap(), [open]);
        let finish = async |verdict| {
            store
                .challenge_finish(open, finished(verdict), about(RecordType::ValidationFinished), None)
                .await
                .unwrap()
        };
        assert_eq!(finish(Verdict::Invalid(failure())).await, Settled::Now);
        assert_eq!(finish(Verdict::Valid).await, Settled::Before);
        assert!(store.challenges_open(10).unwrap().is_empty());
        let after = store.authorization_by_id(authorization.id).unwrap().unwrap();
        assert_eq!(after.status(start()), AuthorizationStatus::Invalid);
        let checked = after.challenges.iter().find(|challenge| challenge.kind == open.challenge).unwrap();
        assert_eq!(checked.status(), ChallengeStatus::Invalid);
        assert_eq!(store.order_status(&order, start()).unwrap(), OrderStatus::Invalid);
    });
}

#[test]
fn an_order_is_claimed_once() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await;
        let order = insert_ready_order(store, account.id, random).await;
        let take = |claim: &ingam_protocol::acme::Claim| {
            let record = record(RecordType::CertificatePrepared, order.id, random);
            store.order_claim(order.id, claim.clone(), start(), record, Vec::new())
        };
        let claims = [claim(random), claim(random)];
        let (one, other) = tokio::join!(take(&claims[0]), take(&claims[1]));
        assert!(matches!(one.unwrap(), Claimed::Yes));
        assert!(matches!(other.unwrap(), Claimed::No(OrderStatus::Processing)));
        let kept = store.order_by_id(order.id).unwrap().unwrap().claim.unwrap();
        assert_eq!((kept.token, &kept.serial), (claims[0].token, &claims[0].serial));
        let status = |serial| store.statuses().status(&issuer(), serial).unwrap();
        assert_eq!(status(&claims[0].serial).unwrap().state, StatusState::Reserved);
        assert_eq!(status(&claims[1].serial), None, "the other serial number was never set aside");
        assert_eq!(store.issuances_open(None, 10).unwrap().len(), 1);
        let missing =
            store.order_claim(id(random), claim(random), start(), record_of(random), Vec::new()).await;
        assert!(matches!(missing.unwrap(), Claimed::Missing));
    });
}

fn record_of(random: &SeededRandom) -> ingam_protocol::record::Record {
    record(RecordType::CertificatePrepared, id(random), random)
}

#[test]
fn a_serial_number_is_set_aside_for_one_order_alone() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await;
        let first = insert_ready_order(store, account.id, random).await;
        let second = insert_ready_order(store, account.id, random).await;
        let claim = claim(random);
        store.order_claim(first.id, claim.clone(), start(), record_of(random), Vec::new()).await.unwrap();
        assert!(store.order_claim(second.id, claim, start(), record_of(random), Vec::new()).await.is_err());
        let untouched = store.order_by_id(second.id).unwrap().unwrap();
        assert_eq!(store.order_status(&untouched, start()).unwrap(), OrderStatus::Ready);
    });
}

#[test]
fn what_was_blocked_since_the_claim_is_not_asked_for() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await;
        let order = insert_ready_order(store, account.id, random).await;
        let claim = claim(random);
        let about = |kind| record(kind, order.id, random);
        let prepared = about(RecordType::CertificatePrepared);
        store.order_claim(order.id, claim.clone(), start(), prepared, Vec::new()).await.unwrap();
        let told = vec![about(RecordType::KeyBlocked)];
        assert!(store.key_block_insert(block(account.key.thumbprint(), "lost"), told).await.unwrap());
        let asked = store.order_ask(order.id, claim.token, start(), about(RecordType::SignatureAsked)).await;
        assert_eq!(asked.unwrap(), Err(Stale));
        let status = store.statuses().status(&issuer(), &claim.serial).unwrap().unwrap();
        assert_eq!(status.state, StatusState::Reserved, "nothing was signed");
    });
}

#[test]
fn a_step_with_a_stale_token_does_nothing() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await;
        let order = insert_ready_order(store, account.id, random).await;
        let claim = claim(random);
        let about = |kind| record(kind, order.id, random);
        store
            .order_claim(order.id, claim.clone(), start(), about(RecordType::CertificatePrepared), Vec::new())
            .await
            .unwrap();
        let ask = async |token| {
            store.order_ask(order.id, token, start(), about(RecordType::SignatureAsked)).await.unwrap()
        };
        let complete = async |token| {
            let (issued, late) = (about(RecordType::CertificateIssued), about(RecordType::IssuanceAbandoned));
            store.order_complete(order.id, token, certificate(), issued, late).await.unwrap()
        };
        let old = claim.token;
        assert_eq!(complete(old).await, Err(Stale), "nobody was asked");
        let new = id(random);
        let readopt = async |over_by: Timestamp| {
            let until = start().plus(2 * MINUTE);
            store.order_readopt(order.id, new, until, over_by).await.unwrap().map(|order| order.id)
        };
        assert_eq!(readopt(start()).await, Err(Stale), "the lease has not run out");
        assert_eq!(readopt(start().plus(MINUTE)).await, Ok(order.id));
        assert_eq!(ask(old).await, Err(Stale));
        assert_eq!(ask(new).await, Ok(()));
        assert_eq!(ask(new).await, Err(Stale), "once is all");
        assert_eq!(readopt(start().plus(DAY)).await, Err(Stale), "nobody takes it up once it was asked for");
        assert_eq!(complete(old).await, Err(Stale));
        let by = AbandonedBy::Holder(old);
        let abandoned =
            store.order_abandon(order.id, by, failure(), start(), about(RecordType::IssuanceAbandoned)).await;
        assert_eq!(abandoned.unwrap(), Err(Stale));
        assert_eq!(complete(new).await, Ok(()));
        assert_eq!(complete(new).await, Err(Stale));
        let status = store.statuses().status(&issuer(), &claim.serial).unwrap().unwrap();
        assert_eq!(status.state, StatusState::Good);
        assert!(store.certificate_by_serial(&issuer(), &claim.serial).unwrap().is_some());
        assert!(store.issuances_open(None, 10).unwrap().is_empty());
    });
}

#[test]
fn an_abandoned_order_stays_so_and_its_serial_number_is_revoked() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await;
        let order = insert_ready_order(store, account.id, random).await;
        let claim = claim(random);
        let about = |kind| record(kind, order.id, random);
        store
            .order_claim(order.id, claim.clone(), start(), about(RecordType::CertificatePrepared), Vec::new())
            .await
            .unwrap();
        store
            .order_ask(order.id, claim.token, start(), about(RecordType::SignatureAsked))
            .await
            .unwrap()
            .unwrap();
        let abandon = async |over_by| {
            let by = AbandonedBy::Finder { over_by };
            let record = about(RecordType::IssuanceAbandoned);
            store.order_abandon(order.id, by, failure(), start(), record).await.unwrap()
        };
        assert_eq!(abandon(start()).await, Err(Stale), "the lease has not run out");
        assert_eq!(abandon(start().plus(MINUTE)).await, Ok(()));
        assert_eq!(abandon(start().plus(MINUTE)).await, Err(Stale));
        let (issued, late) = (about(RecordType::CertificateIssued), about(RecordType::IssuanceAbandoned));
        let completed = store.order_complete(order.id, claim.token, certificate(), issued, late).await;
        assert_eq!(completed.unwrap(), Err(Stale));
        assert!(store.certificate_by_serial(&issuer(), &claim.serial).unwrap().is_none());
        let status = store.statuses().status(&issuer(), &claim.serial).unwrap().unwrap();
        assert!(matches!(status.state, StatusState::Revoked { .. }));
        let after = store.order_by_id(order.id).unwrap().unwrap();
        assert_eq!(store.order_status(&after, start()).unwrap(), OrderStatus::Invalid);
    });
}

#[test]
fn a_certificate_is_revoked_once_and_a_proven_compromise_comes_on_top() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await;
        let order = insert_ready_order(store, account.id, random).await;
        let claim = claim(random);
        let about = |kind| record(kind, order.id, random);
        let revoke = async |reason, after: u32, block_key| {
            let request = RevocationRequest {
                issuer: issuer(),
                serial: claim.serial.clone(),
                reason,
                at: start().plus(MINUTE * after),
                block_key,
                operator: None,
            };
            store.certificate_revoke(request, vec![about(RecordType::CertificateRevoked)]).await.unwrap()
        };
        assert_eq!(revoke(Reason::Superseded, 0, None).await, RevocationOutcome::Missing);
        store
            .order_claim(order.id, claim.clone(), start(), about(RecordType::CertificatePrepared), Vec::new())
            .await
            .unwrap();
        assert_eq!(revoke(Reason::Superseded, 0, None).await, RevocationOutcome::Missing, "not issued");
        store
            .order_ask(order.id, claim.token, start(), about(RecordType::SignatureAsked))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(revoke(Reason::Superseded, 0, None).await, RevocationOutcome::Missing, "not issued");
        let (issued, late) = (about(RecordType::CertificateIssued), about(RecordType::IssuanceAbandoned));
        store.order_complete(order.id, claim.token, certificate(), issued, late).await.unwrap().unwrap();

        let statuses = store.statuses();
        let state = || statuses.status(&issuer(), &claim.serial).unwrap().unwrap().state;
        let before = statuses.generation();
        assert_eq!(revoke(Reason::Superseded, 1, None).await, RevocationOutcome::Revoked);
        assert_eq!(revoke(Reason::CessationOfOperation, 2, None).await, RevocationOutcome::Already);
        assert_eq!(revoke(Reason::KeyCompromise, 3, None).await, RevocationOutcome::Already, "not proven");
        let at = start().plus(MINUTE);
        assert_eq!(state(), StatusState::Revoked { at, reason: Reason::Superseded });
        assert_eq!(statuses.generation(), before + 1);

        let thumbprint = [9; 32];
        assert!(!store.key_blocked(&thumbprint).unwrap());
        let proven = revoke(Reason::KeyCompromise, 4, Some(thumbprint)).await;
        assert_eq!(proven, RevocationOutcome::Revoked);
        assert_eq!(state(), StatusState::Revoked { at, reason: Reason::KeyCompromise });
        assert!(store.key_blocked(&thumbprint).unwrap());
        assert_eq!(statuses.generation(), before + 2);
        let revoked =
            |ended_before| statuses.revoked(&issuer(), Scope::Complete, None, ended_before, 10).unwrap();
        let entry = Entry { serial: claim.serial.clone(), revoked_at: at, reason: Reason::KeyCompromise };
        assert_eq!(revoked(start()), (vec![entry], None));
        let (ended, _) = revoked(start().plus(91 * DAY));
        assert!(ended.is_empty(), "what has ended goes from the list");
    });
}

#[test]
fn a_blocked_key_makes_no_account_and_no_certificate() {
    on_both(async |store, random| {
        let owner = insert_account(store, random).await;
        let blocked = key(random);
        let order = insert_ready_order(store, owner.id, random).await;
        let claim = claim(random);
        let about = |kind| record(kind, order.id, random);
        store
            .order_claim(order.id, claim.clone(), start(), about(RecordType::CertificatePrepared), Vec::new())
            .await
            .unwrap();
        store
            .order_ask(order.id, claim.token, start(), about(RecordType::SignatureAsked))
            .await
            .unwrap()
            .unwrap();
        let (issued, late) = (about(RecordType::CertificateIssued), about(RecordType::IssuanceAbandoned));
        store.order_complete(order.id, claim.token, certificate(), issued, late).await.unwrap().unwrap();
        let request = RevocationRequest {
            issuer: issuer(),
            serial: claim.serial.clone(),
            reason: Reason::KeyCompromise,
            at: start(),
            block_key: Some(blocked.thumbprint()),
            operator: None,
        };
        store.certificate_revoke(request, vec![]).await.unwrap();

        let mut account = account(random);
        account.key = blocked.clone();
        let record = record(RecordType::AccountCreated, account.id, random);
        let refused = store.account_insert(account, &[], record, Vec::new()).await.unwrap();
        assert_eq!(refused, Ok(AccountInserted::Blocked));
        let changed = store
            .account_key_change(
                owner.id,
                owner.key.clone(),
                blocked.clone(),
                about(RecordType::AccountKeyChanged),
            )
            .await;
        assert_eq!(changed.unwrap(), Some(AccountInserted::Blocked));
        let another = insert_ready_order(store, owner.id, random).await;
        let mut bad = crate::made::claim(random);
        bad.key_thumbprint = blocked.thumbprint().as_slice().into();
        let refused = store.order_claim(another.id, bad, start(), record_of(random), Vec::new()).await;
        assert!(matches!(refused.unwrap(), Claimed::KeyBlocked));
    });
}

#[test]
fn orders_and_open_issuances_come_in_pages() {
    on_both(async |store, random| {
        let (one, other) = (insert_account(store, random).await, insert_account(store, random).await);
        let mut made = Vec::new();
        for number in 0..25 {
            let owner = if number % 5 == 0 { &other } else { &one };
            let order = insert_ready_order(store, owner.id, random).await;
            store.order_claim(order.id, claim(random), start(), record_of(random), Vec::new()).await.unwrap();
            made.push((owner.id, order.id));
        }
        made.sort();
        for owner in [one.id, other.id] {
            let mut paged = Vec::new();
            loop {
                let page = store.orders_by_account(owner, paged.last().copied(), 7).unwrap();
                assert!(page.len() <= 7);
                if page.is_empty() {
                    break;
                }
                paged.extend(page);
            }
            let own: Vec<_> = made.iter().filter(|(of, _)| *of == owner).map(|(_, order)| *order).collect();
            assert_eq!(paged, own);
        }
        let mut open = Vec::new();
        loop {
            let page = store.issuances_open(open.last().copied(), 10).unwrap();
            open.extend(page.iter().map(|order| order.id));
            if page.len() < 10 {
                break;
            }
        }
        let mut all: Vec<_> = made.iter().map(|(_, order)| *order).collect();
        all.sort();
        assert_eq!(open, all);
    });
}

#[test]
fn both_engines_are_there_again_after_closing() {
    for engine in [EngineChoice::Redb, EngineChoice::Sled] {
        let folder = tempfile::tempdir().unwrap();
        let random = Arc::new(SeededRandom::new(7));
        let config = Config { engine, ..Config::default() };
        let (store, threads) = Store::open(folder.path(), &config, random.clone()).unwrap();
        assert!(Store::open(folder.path(), &config, random.clone()).is_err(), "one process at a time");
        let account = run(insert_account(&store, &random));
        threads.close();
        let late = record(RecordType::AccountCreated, account.id, random.as_ref());
        let refused = run(store.account_insert(account.clone(), &[], late, Vec::new()));
        assert_eq!(refused.unwrap_err().code(), "store_unavailable");
        drop(store);
        let (store, threads) = Store::open(folder.path(), &config, random).unwrap();
        assert_eq!(store.account_by_id(account.id).unwrap(), Some(account.clone()));
        assert_eq!(store.account_contacts(account.id).unwrap(), contacts());
        let archived: Vec<_> =
            threads.journal().records(ingam_protocol::record::Class::Issuance).map(Result::unwrap).collect();
        assert_eq!(archived.len(), 1, "closing moved the record into the journal");
        threads.close();
        drop(store);
    }
}
