//! Proves that limits are met as a whole or not at all, on both engines, that what was spent is put back once, and that
//! what is full is forgotten.

use std::net::Ipv4Addr;
use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::acme::Verdict;
use ingam_protocol::limit::{Favoured, Limit, LimitName, LimitSubject};
use ingam_protocol::record::RecordType;
use ingam_store::{
    AbandonedBy, AccountInserted, Admission, Admitted, Answered, Claimed, Demand, LimitOverride, Store,
};

use crate::made::{
    DAY, account, claim, failure, finished, insert_account, on_both, open_challenge, operator, order, record,
    start,
};
use crate::operations::insert_ready_order;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn demand(limit: LimitName, subject: LimitSubject, count: u32) -> Demand {
    Demand {
        limit,
        subject,
        ordinary: Limit::new(count, HOUR, count).unwrap(),
        favoured: Vec::new(),
        spends: true,
    }
}

fn remaining(store: &Store, demand: &Demand, now: Timestamp) -> u32 {
    store.limits_standing(std::slice::from_ref(demand), now).unwrap()[0].left.remaining
}

#[test]
fn a_request_meets_all_of_its_demands_or_none() {
    on_both(async |store, random| {
        let owner = insert_account(store, random).await;
        let per_account = demand(LimitName::NewOrdersPerAccount, LimitSubject::Account(owner.id), 2);
        let domain = LimitSubject::Domain("example.org".to_owned());
        let per_domain = demand(LimitName::CertificatesPerRegisteredDomain, domain, 1);
        let insert = async |demands: Vec<Demand>| {
            let (order, authorization) = order(owner.id, random);
            let told = record(RecordType::OrderCreated, order.id, random);
            let admission = Admission { demands, to_be_shown: None };
            let inserted = store.order_insert(order.clone(), vec![authorization], told, admission).await;
            (inserted.unwrap(), store.order_by_id(order.id).unwrap().is_some())
        };
        let both = vec![per_account.clone(), per_domain.clone()];
        assert_eq!(insert(both.clone()).await, (Admitted::Yes, true));
        let (refused, is_there) = insert(both.clone()).await;
        let Admitted::Limited(limited) = refused else { panic!("{refused:?}") };
        assert_eq!((limited.limit, limited.next_at), (per_domain.limit, start().plus(HOUR)));
        assert!(!is_there);
        assert_eq!(remaining(store, &per_account, start()), 1, "a refused request spends nothing");
        // One that only has to be there is not spent.
        let looked_at = Demand { spends: false, ..per_account.clone() };
        for _ in 0..5 {
            assert_eq!(insert(vec![looked_at.clone()]).await.0, Admitted::Yes);
        }
        assert_eq!(remaining(store, &per_account, start()), 1);
        assert_eq!(insert(vec![per_account.clone()]).await.0, Admitted::Yes);
        assert!(matches!(insert(vec![looked_at]).await.0, Admitted::Limited(_)));
    });
}

#[test]
fn accounts_at_once_are_as_many_as_there_are_places() {
    on_both(async |store, random| {
        let subject = LimitSubject::Address(Ipv4Addr::new(192, 0, 2, 1));
        let place = demand(LimitName::NewAccountsPerAddress, subject, 3);
        let inserts = (0..20).map(|_| {
            let account = account(random);
            let told = record(RecordType::AccountCreated, account.id, random);
            store.account_insert(account, &[], told, vec![place.clone()])
        });
        let outcomes = futures_util::future::join_all(inserts).await;
        let made = outcomes.into_iter().filter(|one| matches!(one, Ok(Ok(AccountInserted::New)))).count();
        assert_eq!(made, 3);
        assert_eq!(store.limit_buckets_sweep(None, start()).await.unwrap(), None);
        assert_eq!(remaining(store, &place, start()), 0, "what is not full is remembered");
    });
}

#[test]
fn an_abandoned_order_puts_back_what_it_spent_once() {
    on_both(async |store, random| {
        let owner = insert_account(store, random).await;
        let set = demand(LimitName::CertificatesPerExactSet, LimitSubject::ExactSet([1; 32]), 2);
        let order = insert_ready_order(store, owner.id, random).await;
        let about = |kind| record(kind, order.id, random);
        let claim = claim(random);
        let claimed = store
            .order_claim(
                order.id,
                claim.clone(),
                start(),
                about(RecordType::CertificatePrepared),
                vec![set.clone()],
            )
            .await;
        assert!(matches!(claimed.unwrap(), Claimed::Yes));
        assert_eq!(remaining(store, &set, start()), 1);
        for _ in 0..2 {
            let by = AbandonedBy::Holder(claim.token);
            let told = about(RecordType::IssuanceAbandoned);
            let _ = store.order_abandon(order.id, by, failure(), start(), told).await.unwrap();
        }
        assert_eq!(remaining(store, &set, start()), 2);
    });
}

#[test]
fn a_check_costs_nothing_once_it_has_succeeded() {
    on_both(async |store, random| {
        let owner = insert_account(store, random).await;
        let subject = LimitSubject::AccountAndName(owner.id, "a.example.org".to_owned());
        let checks = demand(LimitName::FailedValidations, subject, 1);
        let (first, second) = (order(owner.id, random), order(owner.id, random));
        for (order, authorization) in [&first, &second] {
            let told = record(RecordType::OrderCreated, order.id, random);
            let new = vec![authorization.clone()];
            store.order_insert(order.clone(), new, told, Admission::default()).await.unwrap();
        }
        let answer = async |open| {
            let told = record(RecordType::ChallengeAnswered, owner.id, random);
            store.challenge_answer(open, start(), told, vec![checks.clone()]).await.unwrap()
        };
        let (one, other) = (open_challenge(&first.1), open_challenge(&second.1));
        assert!(matches!(answer(one).await, Answered::Check(_)));
        assert!(matches!(answer(other).await, Answered::Limited(_)));
        let told = record(RecordType::ValidationFinished, owner.id, random);
        store.challenge_finish(one, finished(Verdict::Valid), told, None).await.unwrap();
        assert_eq!(store.failed_names(owner.id).unwrap(), ["a.example.org"]);
        assert!(matches!(answer(other).await, Answered::Check(_)));
        let told = record(RecordType::ValidationFinished, owner.id, random);
        let failed = Verdict::Invalid(ingam_protocol::acme::Failure {
            error: ingam_protocol::acme::ErrorType::Connection,
            detail: "refused".to_owned(),
        });
        store.challenge_finish(other, finished(failed), told, None).await.unwrap();
        assert_eq!(remaining(store, &checks, start()), 0);
        assert_eq!(remaining(store, &checks, start().plus(HOUR)), 1);
        store.limit_buckets_sweep(None, start().plus(HOUR)).await.unwrap();
        assert_eq!(store.failed_names(owner.id).unwrap(), [""; 0]);
    });
}

#[test]
fn an_exception_counts_in_a_bucket_of_its_own_until_it_ends() {
    on_both(async |store, random| {
        let owner = insert_account(store, random).await;
        let favoured = Favoured::Account(owner.id);
        let subject = LimitSubject::Account(owner.id);
        let mut place = demand(LimitName::NewOrdersPerAccount, subject.clone(), 1);
        place.favoured = vec![(favoured.clone(), subject)];
        assert_eq!(remaining(store, &place, start()), 1);
        let own = LimitOverride {
            limit: place.limit,
            favoured: favoured.clone(),
            in_force: Limit::new(50, HOUR, 5).unwrap(),
            until: start().plus(DAY),
            by: operator(7),
            at: start(),
            reason: "ticket 12".to_owned(),
        };
        store.limit_override_put(own.clone(), Vec::new()).await.unwrap();
        assert_eq!(remaining(store, &place, start()), 5);
        let standing = &store.limits_standing(std::slice::from_ref(&place), start()).unwrap()[0];
        assert_eq!(standing.until, Some(start().plus(DAY)));
        assert_eq!(remaining(store, &place, start().plus(DAY)), 1);
        assert_eq!(store.limit_overrides(None, 10).unwrap(), std::slice::from_ref(&own));
        assert_eq!(store.limit_overrides(Some(&own.place()), 10).unwrap(), []);
        assert!(store.limit_override_delete(place.limit, favoured.clone(), Vec::new()).await.unwrap());
        assert!(!store.limit_override_delete(place.limit, favoured, Vec::new()).await.unwrap());
        assert_eq!(remaining(store, &place, start()), 1);
    });
}
