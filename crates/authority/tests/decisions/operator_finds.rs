//! Proves that accounts, orders and certificates which operators look for come once each, in pages of any length, whatever
//! else is asked of them; and that what waits, and what was begun, is listed in pages that stay short in bytes too.

use std::collections::BTreeSet;
use std::time::Duration;

use ingam_authority::operator::{CertificateFilter, Found, IssuedBetween, NewApproval, OrderFilter};
use ingam_protocol::Id;
use ingam_protocol::acme::{Account, AccountStatus, AccountUpdate, ChallengeType, OrderStatus};
use ingam_protocol::identifier::{DnsName, Host};
use ingam_protocol::{Reason, Timestamp};
use ingam_store::{JobState, RevocationJob};
use serde_json::value::RawValue;

use crate::world::operator::{act, failed};
use crate::world::{DAY, HOUR, Key, Process, World, caller, csr};

/// All of it, page by page.
fn all<T>(find: impl Fn(Option<Vec<u8>>) -> Found<T>, limit: usize) -> Vec<T> {
    let (mut items, mut after) = (Vec::new(), None);
    for _ in 0..1000 {
        let page = find(after);
        assert!(page.items.len() <= limit);
        items.extend(page.items);
        after = page.next;
        if after.is_none() {
            return items;
        }
    }
    panic!("pages without end");
}

fn id_of(place: Option<Vec<u8>>) -> Option<Id> {
    place.map(|place| Id::from_bytes(place.try_into().unwrap()))
}

fn deactivate(process: &Process, account: &Account) {
    let update = AccountUpdate {
        status: Some("deactivated".to_owned()),
        contact: None,
        terms_of_service_agreed: None,
    };
    process.run(process.authority.account_update(account, update, &caller())).unwrap();
}

#[test]
fn accounts_come_once_each() {
    let world = World::new();
    let process = world.start();
    let mut made = Vec::new();
    for number in 0..9 {
        made.push(process.account());
        // Some of the same millisecond.
        if number % 3 == 2 {
            world.clock.advance(HOUR);
        }
    }
    deactivate(&process, &made[1]);
    deactivate(&process, &made[8]);
    let ids = |accounts: &[&Account]| accounts.iter().map(|account| account.id).collect::<BTreeSet<_>>();
    let check = |status, from: Option<Timestamp>, until, expected: BTreeSet<Id>| {
        for limit in 1..=10 {
            let find = |after| {
                let made = IssuedBetween { from, until };
                process.authority.accounts(status, made, id_of(after), limit).unwrap()
            };
            let found: Vec<_> = all(find, limit).into_iter().map(|view| view.account.id).collect();
            assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), expected, "by {limit}");
            assert_eq!(found.len(), expected.len(), "by {limit}: one comes twice");
            assert!(found.is_sorted(), "oldest first");
        }
    };
    let everybody: Vec<_> = made.iter().collect();
    check(None, None, None, ids(&everybody));
    check(Some(AccountStatus::Deactivated), None, None, ids(&[&made[1], &made[8]]));
    check(Some(AccountStatus::Valid), Some(made[3].created), None, ids(&everybody[3..8]));
    check(None, Some(made[3].created), Some(made[6].created), ids(&everybody[3..6]));
    check(None, None, Some(made[0].created), BTreeSet::new());
    assert_eq!(process.authority.account_view(made[1].id).unwrap().account.id, made[1].id);
    let nobody = Id::new(made[0].created, world.random.as_ref());
    assert_eq!(failed(process.authority.account_view(nobody)), "not found");
    assert!(process.authority.account_of_key(&[0; 32]).unwrap().is_none());
    process.stop();
}

#[test]
fn orders_come_once_each() {
    let world = World::new();
    let process = world.start();
    let (one, two) = (process.account(), process.account());
    let mut made = Vec::new();
    for number in 0..8 {
        let account = if number % 2 == 0 { &one } else { &two };
        let names: &[&str] =
            if number < 4 { &["a.example.org", "*.b.example.org"] } else { &["c.example.org"] };
        made.push((account.id, process.order(account, names)));
        if number % 3 == 2 {
            world.clock.advance(HOUR);
        }
    }
    let ready = &made[6].1;
    for id in &ready.order.authorizations {
        process.answer_and_wait(&one, *id, ChallengeType::Dns01);
    }
    let check = |filter: OrderFilter, expected: &[usize]| {
        let expected: BTreeSet<_> = expected.iter().map(|index| made[*index].1.order.id).collect();
        for limit in 1..=9 {
            let find = |after| process.authority.orders_find(&filter, id_of(after), limit).unwrap();
            let found: Vec<_> = all(find, limit).into_iter().map(|view| view.order.id).collect();
            assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), expected, "{filter:?} by {limit}");
            assert_eq!(found.len(), expected.len(), "{filter:?} by {limit}: one comes twice");
        }
    };
    let any = OrderFilter::default;
    let dns = |name: &str| Some(DnsName::parse(name).unwrap());
    check(any(), &[0, 1, 2, 3, 4, 5, 6, 7]);
    check(OrderFilter { account: Some(one.id), ..any() }, &[0, 2, 4, 6]);
    check(OrderFilter { name: dns("b.example.org").map(Host::from), ..any() }, &[0, 1, 2, 3]);
    check(
        OrderFilter { name: dns("c.example.org").map(Host::from), account: Some(two.id), ..any() },
        &[5, 7],
    );
    check(OrderFilter { status: Some(OrderStatus::Ready), ..any() }, &[6]);
    check(OrderFilter { status: Some(OrderStatus::Ready), account: Some(two.id), ..any() }, &[]);
    let (from, until) = (Some(made[3].1.order.created), Some(made[6].1.order.created));
    check(OrderFilter { from, until, ..any() }, &[3, 4, 5]);
    check(OrderFilter { from, until, account: Some(one.id), ..any() }, &[4]);
    world.clock.advance(8 * DAY);
    check(OrderFilter { status: Some(OrderStatus::Invalid), ..any() }, &[0, 1, 2, 3, 4, 5, 6, 7]);
    let nothing = Id::new(made[0].1.order.created, world.random.as_ref());
    assert_eq!(failed(process.authority.any_order(nothing)), "not found");
    assert_eq!(failed(process.authority.any_authorization(nothing)), "not found");
    process.stop();
}

#[test]
fn certificates_come_once_each_with_what_has_become_of_them() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let key = Key::new();
    let issue = |names: &[&str]| {
        let order = process.ready_order(&account, names);
        let view = process.finalize(&account, order.order.id, &csr(&key, names)).unwrap();
        world.clock.advance(HOUR);
        view.order.certificate.unwrap()
    };
    let made = [
        issue(&["a.example.org", "b.example.org", "*.example.org"]),
        issue(&["a.b.example.org"]),
        issue(&["example.org"]),
        issue(&["a.example.org"]),
    ];
    let revoke = act("cert.revoke");
    process.run(process.authority.revoke_for_operator(&revoke, &made[1], Reason::Superseded, false)).unwrap();
    let check = |filter: CertificateFilter, expected: &[usize]| {
        let expected: BTreeSet<_> = expected.iter().map(|index| made[*index].clone()).collect();
        for limit in 1..=5 {
            let find = |after: Option<Vec<u8>>| {
                process.authority.certificates_find(&filter, after.as_deref(), limit).unwrap()
            };
            let found: Vec<_> = all(find, limit).into_iter().map(|found| found.serial).collect();
            assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), expected, "{filter:?} by {limit}");
            assert_eq!(found.len(), expected.len(), "{filter:?} by {limit}: one comes twice");
        }
    };
    let any = CertificateFilter::default;
    let dns = |name: &str| Some(DnsName::parse(name).unwrap());
    check(any(), &[0, 1, 2, 3]);
    check(CertificateFilter { status: Some("revoked"), ..any() }, &[1]);
    check(CertificateFilter { status: Some("good"), below: dns("example.org"), ..any() }, &[0, 3]);
    check(
        CertificateFilter { below: dns("example.org"), name: dns("a.example.org").map(Host::from), ..any() },
        &[0, 3],
    );
    let third = process.authority.certificate_of_serial(&made[2]).unwrap();
    check(CertificateFilter { expires_until: Some(third.row.not_after), ..any() }, &[0, 1]);
    check(CertificateFilter { serials: Some(vec![made[0].clone(); 3]), ..any() }, &[0]);
    world.clock.advance(91 * DAY);
    check(CertificateFilter { status: Some("expired"), ..any() }, &[0, 2, 3]);
    check(CertificateFilter { status: Some("revoked"), ..any() }, &[1]);
    process.stop();
}

/// What was sent once comes back with every list: a page of it ends before it is too long to send.
#[test]
fn lists_of_what_can_be_long_come_in_pages_that_are_not() {
    let world = World::new();
    let process = world.start();
    let long = RawValue::from_string(format!("\"{}\"", "x".repeat(900_000))).unwrap();
    let (mut waiting, mut jobs) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..25 {
        let new = NewApproval { act: "revocation.start", request: long.clone(), lifetime: DAY };
        let asked = process.run(process.authority.approval_ask(&act("revocation.start"), new)).unwrap();
        waiting.insert(asked.id);
        let job = RevocationJob {
            id: Id::new(asked.at, world.random.as_ref()),
            selection: long.clone(),
            revocation_reason: Reason::Superseded,
            per_second: 1,
            by: asked.by,
            at: asked.at,
            reason: String::new(),
            state: JobState::Cancelled,
            total: 0,
            revoked: 0,
            skipped: 0,
            ended: None,
        };
        jobs.insert(job.id);
        assert!(process.run(process.store.revocation_job_insert(job, Vec::new())).unwrap());
        world.clock.advance(Duration::from_millis(1));
    }
    for limit in [1, 7, 1000] {
        let bytes_max = 20 << 20;
        let find = |after| {
            let page = process.authority.approvals(id_of(after), limit).unwrap();
            assert!(page.items.iter().map(|item| item.request.get().len()).sum::<usize>() < bytes_max);
            page
        };
        let found: Vec<_> = all(find, limit).into_iter().map(|approval| approval.id).collect();
        assert_eq!((found.len(), found.into_iter().collect::<BTreeSet<_>>()), (25, waiting.clone()));
        let find = |after| {
            let page = process.authority.revocation_jobs(id_of(after), limit).unwrap();
            assert!(page.items.iter().map(|item| item.selection.get().len()).sum::<usize>() < bytes_max);
            page
        };
        let found: Vec<_> = all(find, limit).into_iter().map(|job| job.id).collect();
        assert_eq!((found.len(), found.into_iter().collect::<BTreeSet<_>>()), (25, jobs.clone()));
    }
    process.stop();
}
