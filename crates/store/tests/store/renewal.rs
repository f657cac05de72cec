//! Proves which order has a certificate that orders are to replace, however many ask at once, and what the store says of a
//! certificate's renewal as incidents and revocation jobs come and go.

use ingam_protocol::acme::{Order, Replaced, Verdict};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::RecordType;
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Id, Reason, Serial};
use ingam_store::{
    AbandonedBy, Admission, Admitted, Claimed, JobState, RenewalFacts, RevocationRequest, Store,
};

use crate::jobs::job;
use crate::made::{
    DAY, MINUTE, claim, failure, finished, insert_account, issue, issuer, on_both, order, record, start,
    wanted,
};
use crate::people::open;

async fn issued(store: &Store, random: &SeededRandom) -> (Id, Serial) {
    let account = insert_account(store, random).await.id;
    (account, issue(store, wanted(account, random), random).await.1)
}

/// An order that can be claimed, and is to replace this certificate.
async fn replace(store: &Store, account: Id, serial: &Serial, random: &SeededRandom) -> (Order, Admitted) {
    let (mut order, mut authorization) = order(account, random);
    authorization.challenges[0].answered = Some(start());
    authorization.challenges[0].finished = Some(finished(Verdict::Valid));
    order.replaces = Some(Replaced { issuer: issuer(), serial: serial.clone(), renews: true });
    let told = record(RecordType::OrderCreated, order.id, random);
    let inserted = store.order_insert(order.clone(), vec![authorization], told, Admission::default()).await;
    (order, inserted.unwrap())
}

#[test]
fn a_certificate_is_replaced_by_one_order_that_is_not_invalid() {
    on_both(async |store, random| {
        let (account, serial) = issued(store, random).await;
        let (first, inserted) = replace(store, account, &serial, random).await;
        assert_eq!(inserted, Admitted::Yes);
        let (second, inserted) = replace(store, account, &serial, random).await;
        assert_eq!(inserted, Admitted::Replaced(first.id));
        assert!(store.order_by_id(second.id).unwrap().is_none(), "nothing of it is there");
        assert!(!store.orders_by_account(account, None, 10).unwrap().contains(&second.id));

        // The first one fails for good: the certificate can be replaced again.
        let claim = claim(random);
        let told = |kind| record(kind, first.id, random);
        let prepared = told(RecordType::CertificatePrepared);
        let claimed = store.order_claim(first.id, claim.clone(), start(), prepared, Vec::new()).await;
        assert!(matches!(claimed.unwrap(), Claimed::Yes));
        let (_, inserted) = replace(store, account, &serial, random).await;
        assert_eq!(inserted, Admitted::Replaced(first.id), "processing");
        let holder = AbandonedBy::Holder(claim.token);
        let abandoned = store
            .order_abandon(first.id, holder, failure(), start(), told(RecordType::IssuanceAbandoned))
            .await;
        abandoned.unwrap().unwrap();
        let (third, inserted) = replace(store, account, &serial, random).await;
        assert_eq!(inserted, Admitted::Yes);
        let found = store.order_replacing(&issuer(), &serial).unwrap();
        assert_eq!(found.map(|order| order.id), Some(third.id));
        assert!(store.order_replacing(&issuer(), &Serial::new(random)).unwrap().is_none());
    });
}

#[test]
fn of_orders_at_once_one_has_the_certificate() {
    on_both(async |store, random| {
        let (account, serial) = issued(store, random).await;
        let (one, two, three) = tokio::join!(
            replace(store, account, &serial, random),
            replace(store, account, &serial, random),
            replace(store, account, &serial, random),
        );
        let outcomes = [one.1, two.1, three.1];
        let new = outcomes.iter().filter(|outcome| **outcome == Admitted::Yes).count();
        assert_eq!(new, 1, "{outcomes:?}");
    });
}

fn facts(store: &Store, serial: &Serial) -> RenewalFacts {
    store.renewal_by_certificate(&issuer(), serial).unwrap().unwrap()
}

fn listed(serial: &Serial) -> Vec<(IssuerName, Serial)> {
    vec![(issuer(), serial.clone())]
}

#[test]
fn an_incident_ends_a_certificate_early_and_says_why() {
    on_both(async |store, random| {
        let (_, serial) = issued(store, random).await;
        assert_eq!(store.renewal_by_certificate(&issuer(), &Serial::new(random)).unwrap(), None);
        let before = facts(store, &serial);
        assert_eq!((before.validity.not_before, before.ends_early, before.incident), (start(), false, None));
        assert_eq!(before.validity.not_after, start().plus(90 * DAY));
        for name in ["first", "second"] {
            assert!(open(store, name, random).await);
            store.incident_grow(name.to_owned(), listed(&serial), Vec::new()).await.unwrap().unwrap();
            let found = facts(store, &serial);
            assert!(found.ends_early);
            assert_eq!(found.incident.unwrap().name, name, "the last one it was put into");
        }
        let url = Some("https://ca.example/second".to_owned());
        let explained = store.incident_explain("second".to_owned(), url.clone(), Vec::new()).await.unwrap();
        assert_eq!(explained.unwrap().explanation_url, url);
        assert_eq!(facts(store, &serial).incident.unwrap().explanation_url, url);
        let nowhere = store.incident_explain("third".to_owned(), url, Vec::new()).await.unwrap();
        assert_eq!(nowhere, None);
    });
}

#[test]
fn a_job_ends_what_it_has_still_to_revoke_early() {
    on_both(async |store, random| {
        let (account, serial) = issued(store, random).await;
        let other = issue(store, wanted(account, random), random).await.1;
        let job = job(random, JobState::Gathering);
        assert!(store.revocation_job_insert(job.clone(), Vec::new()).await.unwrap());
        store.revocation_items_insert(job.id, listed(&serial)).await.unwrap();
        assert!(facts(store, &serial).ends_early);
        assert!(!facts(store, &other).ends_early, "it is in no job");
        // Given up before its certificates are taken off: they are not due any more.
        let from = &[JobState::Gathering];
        store
            .revocation_job_turn(job.id, from, JobState::Cancelled, start().plus(MINUTE), Vec::new())
            .await
            .unwrap();
        assert!(!facts(store, &serial).ends_early);
    });
}

#[test]
fn a_revoked_certificate_ends_early() {
    on_both(async |store, random| {
        let (_, serial) = issued(store, random).await;
        let request = RevocationRequest {
            issuer: issuer(),
            serial: serial.clone(),
            reason: Reason::Superseded,
            at: start(),
            block_key: None,
            operator: None,
        };
        store.certificate_revoke(request, Vec::new()).await.unwrap();
        assert!(facts(store, &serial).ends_early);
    });
}
