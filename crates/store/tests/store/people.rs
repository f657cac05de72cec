//! Proves that the last administrator stays whoever else is taken at the same moment, that an act which waits is decided
//! once and in its time, and that an incident holds each certificate once; each with exactly the records of what was done.

use std::collections::BTreeSet;

use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Id, Serial, Timestamp};
use ingam_store::{
    Approval, ApprovalDecision, Grant, Incident, IncidentGrown, RecordQuery, RoleTaken, Store,
};
use serde_json::value::RawValue;

use crate::made::{DAY, MINUTE, id, insert_account, issue, issuer, on_both, operator, record, start, wanted};

/// How many records of this type there are.
fn count(store: &Store, kind: RecordType) -> usize {
    let query = RecordQuery { kinds: BTreeSet::from([kind]), ..RecordQuery::default() };
    store.records_find(&query, 1000).unwrap().records.len()
}

fn told(kind: RecordType, random: &SeededRandom) -> Vec<Record> {
    vec![record(kind, id(random), random)]
}

async fn grant(store: &Store, principal: Principal, role: Role, random: &SeededRandom) -> bool {
    let grant =
        Grant { principal, role, label: None, by: Some(operator(0)), at: start(), reason: "why".to_owned() };
    store.role_grant(grant, told(RecordType::RoleGranted, random)).await.unwrap()
}

async fn take(store: &Store, principal: Principal, role: Role, random: &SeededRandom) -> RoleTaken {
    store.role_take(principal, role, told(RecordType::RoleTaken, random)).await.unwrap()
}

#[test]
fn a_role_is_had_once_and_taken_once() {
    on_both(async |store, random| {
        let somebody = Principal::Certificate([7; 32]);
        assert_eq!(store.roles_of(somebody).unwrap(), BTreeSet::new());
        assert!(grant(store, somebody, Role::Auditor, random).await);
        assert!(!grant(store, somebody, Role::Auditor, random).await);
        assert!(grant(store, somebody, Role::Revoker, random).await);
        assert_eq!(store.roles_of(somebody).unwrap(), BTreeSet::from([Role::Auditor, Role::Revoker]));
        assert_eq!(store.roles_of(operator(7)).unwrap(), BTreeSet::new());
        assert_eq!(store.role_grants().unwrap().len(), 2);
        assert_eq!(take(store, operator(7), Role::Auditor, random).await, RoleTaken::Missing);
        assert_eq!(take(store, somebody, Role::Auditor, random).await, RoleTaken::Yes);
        assert_eq!(take(store, somebody, Role::Auditor, random).await, RoleTaken::Missing);
        assert_eq!(store.roles_of(somebody).unwrap(), BTreeSet::from([Role::Revoker]));
        assert_eq!((count(store, RecordType::RoleGranted), count(store, RecordType::RoleTaken)), (2, 1));
    });
}

#[test]
fn the_last_administrator_stays() {
    on_both(async |store, random| {
        // uid:1 and uid:10: one name begins like the other.
        let (one, ten) = (operator(1), operator(10));
        for principal in [one, ten] {
            assert!(grant(store, principal, Role::Administrator, random).await);
            assert!(grant(store, principal, Role::Support, random).await);
        }
        assert_eq!(take(store, ten, Role::Administrator, random).await, RoleTaken::Yes);
        assert_eq!(take(store, one, Role::Administrator, random).await, RoleTaken::LastAdministrator);
        assert_eq!(take(store, one, Role::Support, random).await, RoleTaken::Yes);
        assert_eq!(store.roles_of(one).unwrap(), BTreeSet::from([Role::Administrator]));
        assert_eq!(count(store, RecordType::RoleTaken), 2, "what was refused left no record of a role taken");
        assert!(grant(store, ten, Role::Administrator, random).await);
        assert_eq!(take(store, one, Role::Administrator, random).await, RoleTaken::Yes);
    });
}

/// Both are the one before the last when they are asked for: queued together, they share a sync.
#[test]
fn of_two_administrators_taken_at_once_one_stays() {
    on_both(async |store, random| {
        for _ in 0..20 {
            for principal in [operator(1), operator(2)] {
                grant(store, principal, Role::Administrator, random).await;
            }
            let (one, two) = tokio::join!(
                take(store, operator(1), Role::Administrator, random),
                take(store, operator(2), Role::Administrator, random),
            );
            let outcomes = BTreeSet::from([format!("{one:?}"), format!("{two:?}")]);
            assert_eq!(outcomes, BTreeSet::from(["Yes".to_owned(), "LastAdministrator".to_owned()]));
            assert_eq!(store.role_grants().unwrap().len(), 1);
        }
    });
}

fn approval(random: &SeededRandom) -> Approval {
    Approval {
        id: id(random),
        act: "role.grant".to_owned(),
        request: RawValue::from_string(r#"{"role":"auditor"}"#.to_owned()).unwrap(),
        by: operator(1),
        at: start(),
        expires: start().plus(DAY),
        reason: "why".to_owned(),
        decision: None,
    }
}

fn decision(approved: bool, at: Timestamp) -> ApprovalDecision {
    ApprovalDecision { approved, by: operator(2), at, reason: "looked at it".to_owned() }
}

async fn decide(store: &Store, id: Id, decision: ApprovalDecision, random: &SeededRandom) -> bool {
    store.approval_decide(id, decision, told(RecordType::ApprovalChanged, random)).await.unwrap()
}

#[test]
fn an_approval_is_decided_once_and_in_its_time() {
    on_both(async |store, random| {
        let waiting = approval(random);
        store.approval_insert(waiting.clone(), told(RecordType::ApprovalChanged, random)).await.unwrap();
        assert!(!decide(store, id(random), decision(true, start()), random).await, "an unknown one");
        assert!(!decide(store, waiting.id, decision(true, waiting.expires), random).await, "too late");
        assert_eq!(store.approval_by_id(waiting.id).unwrap().unwrap().decision, None);
        let in_time = waiting.expires.minus(MINUTE);
        assert!(decide(store, waiting.id, decision(false, in_time), random).await);
        assert!(!decide(store, waiting.id, decision(true, in_time), random).await, "a second word");
        let found = store.approval_by_id(waiting.id).unwrap().unwrap();
        assert_eq!(found.decision, Some(decision(false, in_time)));
        assert_eq!(found.request.get(), waiting.request.get(), "what is agreed to is what was asked for");
        assert_eq!(count(store, RecordType::ApprovalChanged), 2, "asked, and decided");
    });
}

#[test]
fn of_two_decisions_at_once_one_counts() {
    on_both(async |store, random| {
        for _ in 0..20 {
            let waiting = approval(random);
            store.approval_insert(waiting.clone(), Vec::new()).await.unwrap();
            let (yes, no) = tokio::join!(
                decide(store, waiting.id, decision(true, start()), random),
                decide(store, waiting.id, decision(false, start()), random),
            );
            assert!(yes != no, "both or none counted");
            let kept = store.approval_by_id(waiting.id).unwrap().unwrap().decision.unwrap();
            assert_eq!(kept.approved, yes);
        }
        assert_eq!(count(store, RecordType::ApprovalChanged), 20);
    });
}

#[test]
fn approvals_come_once_each_in_pages_of_any_length() {
    on_both(async |store, random| {
        let mut all: Vec<Id> = Vec::new();
        for _ in 0..5 {
            let waiting = approval(random);
            all.push(waiting.id);
            store.approval_insert(waiting, Vec::new()).await.unwrap();
        }
        all.sort_unstable();
        for limit in 1..=6 {
            let mut found: Vec<Id> = Vec::new();
            loop {
                let page = store.approvals(found.last().copied(), limit).unwrap();
                if page.is_empty() {
                    break;
                }
                found.extend(page.iter().map(|approval| approval.id));
            }
            assert_eq!(found, all, "by {limit}");
        }
    });
}

pub(crate) async fn open(store: &Store, name: &str, random: &SeededRandom) -> bool {
    let incident = Incident {
        name: name.to_owned(),
        summary: "keys were in a paste".to_owned(),
        by: operator(1),
        at: start(),
        certificates: 0,
        explanation_url: None,
    };
    store.incident_insert(incident, told(RecordType::IncidentChanged, random)).await.unwrap()
}

async fn grow(
    store: &Store,
    name: &str,
    serials: &[Serial],
    random: &SeededRandom,
) -> Option<(u64, u64, u64)> {
    let certificates = serials.iter().map(|serial| (issuer(), serial.clone())).collect();
    let told = told(RecordType::IncidentChanged, random);
    let grown = store.incident_grow(name.to_owned(), certificates, told).await.unwrap();
    grown.map(|IncidentGrown { added, known, missing }| (added, known, missing))
}

#[test]
fn an_incident_holds_each_certificate_once() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await.id;
        let mut serials = Vec::new();
        for _ in 0..5 {
            serials.push(issue(store, wanted(account, random), random).await.1);
        }
        assert_eq!(grow(store, "leak", &serials, random).await, None, "not open yet");
        assert!(open(store, "leak", random).await);
        assert!(!open(store, "leak", random).await);
        // Names that begin like the other's, on both sides of it.
        assert!(open(store, "leak-2", random).await && open(store, "lea", random).await);
        let never_issued = Serial::new(random);
        let first = [&serials[..3], &serials[..1], &[never_issued]].concat();
        assert_eq!(grow(store, "leak", &first, random).await, Some((3, 1, 1)));
        assert_eq!(grow(store, "leak", &serials, random).await, Some((2, 3, 0)));
        assert_eq!(grow(store, "leak-2", &serials[..1], random).await, Some((1, 0, 0)));
        assert_eq!(grow(store, "leak", &[], random).await, Some((0, 0, 0)));
        assert_eq!(store.incident_by_name("leak").unwrap().unwrap().certificates, 5);
        assert_eq!(store.incident_by_name("lea").unwrap().unwrap().certificates, 0);
        assert_eq!(count(store, RecordType::IncidentChanged), 3 + 4, "opened, and grown");
        serials.sort_unstable();
        for limit in 1..=6 {
            let mut found: Vec<Serial> = Vec::new();
            loop {
                let issuer = issuer();
                let after = found.last().map(|serial| (&issuer, serial));
                let page = store.incident_certificates("leak", after, limit).unwrap();
                if page.is_empty() {
                    break;
                }
                found.extend(page.into_iter().map(|(_, serial)| serial));
            }
            assert_eq!(found.len(), serials.len(), "by {limit}");
            assert_eq!(found.iter().collect::<BTreeSet<_>>(), serials.iter().collect(), "by {limit}");
            let mut names: Vec<String> = Vec::new();
            loop {
                let page = store.incidents(names.last().map(String::as_str), limit).unwrap();
                if page.is_empty() {
                    break;
                }
                names.extend(page.into_iter().map(|incident| incident.name));
            }
            assert_eq!(names, ["lea", "leak", "leak-2"], "by {limit}");
        }
    });
}

/// Two who put the same certificates into an incident at once: the count is that of the certificates.
#[test]
fn an_incident_that_grows_twice_at_once_counts_each_once() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await.id;
        let (_, serial) = issue(store, wanted(account, random), random).await;
        open(store, "leak", random).await;
        let (one, two) = tokio::join!(
            grow(store, "leak", std::slice::from_ref(&serial), random),
            grow(store, "leak", std::slice::from_ref(&serial), random),
        );
        assert_eq!(one.unwrap().0 + two.unwrap().0, 1);
        assert_eq!(store.incident_by_name("leak").unwrap().unwrap().certificates, 1);
    });
}
