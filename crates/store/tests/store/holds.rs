//! Proves that a hold is in force from its opening until it is released or its end passes, that a renewal moves that end
//! while it is in force and never later, that what ended stays listed, and whom and what each scope is about.

use std::collections::BTreeSet;
use std::time::Duration;

use ingam_protocol::record::{Class, RecordType};
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Id, Timestamp};
use ingam_store::{
    HOLDS_OPEN_MAX, Hold, HoldChange, HoldOpened, HoldReleased, HoldRenewal, HoldRenewed, HoldScope,
    RecordQuery, Store,
};

use crate::made::{DAY, id, insert_account, issue, issuer, on_both, operator, record, start, wanted};

fn hold(scope: HoldScope, random: &SeededRandom) -> Hold {
    Hold {
        id: id(random),
        case: "2026-11-court".to_owned(),
        owner: "legal".to_owned(),
        reason: "a demand".to_owned(),
        scope,
        opened: start(),
        by: operator(0),
        ends: start().plus(30 * DAY),
        renewals: Vec::new(),
        released: None,
    }
}

async fn open(store: &Store, hold: &Hold, random: &SeededRandom) {
    let told = vec![record(RecordType::HoldChanged, hold.id, random)];
    assert_eq!(store.hold_open(hold.clone(), told).await.unwrap(), HoldOpened::Yes);
}

fn renewal(at: Timestamp, ends: Timestamp) -> HoldRenewal {
    HoldRenewal { at, by: operator(1), reason: "still needed".to_owned(), ends }
}

fn released(at: Timestamp) -> HoldReleased {
    HoldReleased { at, by: operator(1), reason: "done".to_owned() }
}

fn told(store: &Store) -> usize {
    let kinds = BTreeSet::from([RecordType::HoldChanged]);
    store.records_find(&RecordQuery { kinds, ..RecordQuery::default() }, 100).unwrap().records.len()
}

#[test]
fn a_hold_lasts_until_its_end_and_no_longer_unless_it_is_renewed_in_time() {
    on_both(async |store, random| {
        let held = hold(HoldScope::Everything, random);
        open(store, &held, random).await;
        let before_end = start().plus(30 * DAY).minus(Duration::from_millis(1));
        assert_eq!(store.holds_in_force(before_end).unwrap(), std::slice::from_ref(&held));
        assert!(store.holds_in_force(start().plus(30 * DAY)).unwrap().is_empty());

        let later = start().plus(60 * DAY);
        let id = held.id;
        let made = record(RecordType::HoldChanged, id, random);
        let renewed = store.hold_renew(id, renewal(before_end, later), move |hold| {
            assert_eq!(hold.told(HoldChange::Renewed)["hold"]["renewals"][0]["by"], "uid:1");
            vec![made]
        });
        let HoldRenewed::Yes(renewed) = renewed.await.unwrap() else { panic!("it was in force") };
        assert_eq!((renewed.ends, renewed.renewals.len()), (later, 1));
        assert_eq!(store.holds_in_force(start().plus(59 * DAY)).unwrap().len(), 1);

        // Lapsed: it is not taken up again, and stays listed.
        let again =
            store.hold_renew(id, renewal(later, later.plus(DAY)), |_| panic!("nothing is told")).await;
        assert_eq!(again.unwrap(), HoldRenewed::Over(renewed.clone()));
        assert!(renewed.is_lapsed(later) && !renewed.is_in_force(later));
        assert_eq!(store.hold_list(None, 10).unwrap(), [renewed]);
        assert_eq!(told(store), 2);
    });
}

#[test]
fn a_released_hold_keeps_nothing_and_stays_listed() {
    on_both(async |store, random| {
        let (first, second) = (hold(HoldScope::Everything, random), hold(HoldScope::Everything, random));
        open(store, &first, random).await;
        open(store, &second, random).await;
        let made = record(RecordType::HoldChanged, first.id, random);
        let done = store.hold_release(first.id, released(start().plus(DAY)), move |_| vec![made]).await;
        let HoldRenewed::Yes(done) = done.unwrap() else { panic!("it was in force") };
        assert_eq!(done.end(), start().plus(DAY));
        assert_eq!(store.holds_in_force(start().plus(DAY)).unwrap(), std::slice::from_ref(&second));
        assert_eq!(store.hold_by_id(first.id).unwrap(), Some(done.clone()));
        let twice = store.hold_release(first.id, released(start().plus(2 * DAY)), |_| panic!()).await;
        assert_eq!(twice.unwrap(), HoldRenewed::Over(done));
        let nobody = store.hold_release(id(random), released(start()), |_| panic!()).await.unwrap();
        assert_eq!(nobody, HoldRenewed::Missing);
        let all: Vec<Id> = store.hold_list(None, 10).unwrap().iter().map(|hold| hold.id).collect();
        assert_eq!(BTreeSet::from_iter(all.clone()), BTreeSet::from([first.id, second.id]));
        assert_eq!(store.hold_list(Some(all[0]), 10).unwrap()[0].id, all[1]);
        assert_eq!(told(store), 3);
    });
}

#[test]
fn a_scope_is_about_what_it_names() {
    on_both(async |store, random| {
        let (one, other) = (insert_account(store, random).await, insert_account(store, random).await);
        let (_, serial) = issue(store, wanted(one.id, random), random).await;
        let account = store.hold_account(&issuer(), &serial).unwrap();
        assert_eq!(account, Some(one.id));
        open(store, &hold(HoldScope::Subject { subject: one.id }, random), random).await;
        let certificate = HoldScope::Certificate { issuer: issuer(), serial, account };
        open(store, &hold(certificate, random), random).await;
        assert_eq!(store.holds_on(one.id, start()).unwrap().len(), 2);
        assert!(store.holds_on(other.id, start()).unwrap().is_empty());
        let class = HoldScope::Class { class: Class::Issuance, from: None, until: Some(start()) };
        open(store, &hold(class.clone(), random), random).await;
        assert_eq!(store.holds_on(other.id, start()).unwrap().len(), 1);

        assert!(class.touches(Class::Issuance, Some(start().minus(DAY)), Some(start().plus(DAY))));
        assert!(class.touches(Class::Issuance, None, None));
        assert!(!class.touches(Class::Issuance, Some(start()), Some(start().plus(DAY))));
        assert!(!class.touches(Class::AccessLog, None, None));
        assert!(HoldScope::Everything.touches(Class::Aggregate, None, None));
    });
}

#[test]
fn there_are_never_too_many_in_force_and_lapsed_ones_make_room() {
    on_both(async |store, random| {
        for _ in 0..HOLDS_OPEN_MAX {
            let opened = store.hold_open(hold(HoldScope::Everything, random), Vec::new()).await;
            assert_eq!(opened.unwrap(), HoldOpened::Yes);
        }
        let one_more = hold(HoldScope::Everything, random);
        let told_of = vec![record(RecordType::HoldChanged, one_more.id, random)];
        assert_eq!(store.hold_open(one_more, told_of).await.unwrap(), HoldOpened::Full);
        assert_eq!(told(store), 0);
        let now = start().plus(31 * DAY);
        let later = Hold { opened: now, ends: now.plus(DAY), ..hold(HoldScope::Everything, random) };
        open(store, &later, random).await;
        assert_eq!(store.holds_in_force(now).unwrap(), [later]);
    });
}
