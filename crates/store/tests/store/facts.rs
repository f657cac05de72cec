//! What a store was told, and what it has to hold afterwards.

use std::collections::{BTreeMap, BTreeSet};

use ingam_protocol::acme::{Account, Authorization, ChallengeStatus, Order};
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Serial};
use ingam_store::StatusState;
use ingam_store::engine::{Engine, Table};
use serde::de::DeserializeOwned;

use crate::made::{Open, about, issuer};

/// What was answered for: has to be there, whatever happens.
#[derive(Default)]
pub(crate) struct Answered {
    /// Records, by what they say and about what.
    pub(crate) records: Vec<(RecordType, Id)>,
    pub(crate) generation: u64,
    pub(crate) crl_number: u64,
    /// Accounts whose contacts can be read.
    pub(crate) contacts: BTreeSet<Id>,
}

fn rows<T: DeserializeOwned>(engine: &dyn Engine, table: &'static str) -> Vec<T> {
    let pairs = engine.range(Table::new(table), &[], None, usize::MAX).unwrap();
    pairs.iter().map(|(_, value)| serde_json::from_slice(value).unwrap()).collect()
}

fn keys(engine: &dyn Engine, table: &'static str) -> Vec<Vec<u8>> {
    let pairs = engine.range(Table::new(table), &[], None, usize::MAX).unwrap();
    pairs.into_iter().map(|(key, _)| key).collect()
}

/// How often each operation left its record, by what it is about.
type Counts = BTreeMap<(RecordType, Id), usize>;

/// Looks at everything: what was answered is there, once, and nothing is there by half.
pub(crate) fn check(open: &Open, answered: &Answered, context: &str) {
    let engine = open.engine.as_ref().unwrap().as_ref();
    let mut counts = Counts::new();
    for record in open.records() {
        *counts.entry((record.kind, about(&record))).or_default() += 1;
    }
    let mut owed = Counts::new();
    for told in &answered.records {
        *owed.entry(*told).or_default() += 1;
    }
    for (told, times) in owed {
        let found = counts.get(&told).copied().unwrap_or_default();
        // One more may be there than was answered for: its answer was lost with the power.
        assert!((times..=times + 1).contains(&found), "{context}: {told:?} {found} times, not {times}");
    }
    let statuses = open.store.statuses();
    assert!(statuses.generation() >= answered.generation, "{context}: the generation went back");
    for account in &answered.contacts {
        assert!(!open.store.account_contacts(*account).unwrap().is_empty(), "{context}: contacts are gone");
    }
    let count = |kind, of| counts.get(&(kind, of)).copied().unwrap_or_default();
    accounts_are_whole(engine, &count, context);
    orders_are_whole(open, engine, &count, context);
    challenges_are_whole(engine, context);
}

fn accounts_are_whole(engine: &dyn Engine, count: &dyn Fn(RecordType, Id) -> usize, context: &str) {
    let accounts: Vec<Account> = rows(engine, "accounts");
    assert_eq!(keys(engine, "accounts_by_key").len(), accounts.len(), "{context}");
    for account in accounts {
        assert_eq!(count(RecordType::AccountCreated, account.id), 1, "{context}: state and record");
        let index = engine.get(Table::new("accounts_by_key"), &account.key.thumbprint()).unwrap();
        assert_eq!(index.as_deref(), Some(account.id.as_bytes().as_slice()), "{context}");
        let ended = usize::from(account.deactivated.is_some());
        assert_eq!(count(RecordType::AccountDeactivated, account.id), ended, "{context}: state and record");
    }
}

fn orders_are_whole(
    open: &Open,
    engine: &dyn Engine,
    count: &dyn Fn(RecordType, Id) -> usize,
    context: &str,
) {
    let orders: Vec<Order> = rows(engine, "orders");
    let certificates = keys(engine, "certificates");
    let revoked = keys(engine, "revoked").len();
    let mut open_orders = BTreeSet::new();
    let (mut claimed, mut issued, mut ended) = (0, 0, 0);
    for order in &orders {
        let context = format!("{context}, order {}", order.id);
        let told = |kind| count(kind, order.id);
        assert_eq!(told(RecordType::OrderCreated), 1, "{context}");
        let row = |serial: &Serial| open.store.certificate_by_serial(&issuer(), serial).unwrap();
        assert_eq!(told(RecordType::CertificatePrepared), usize::from(order.claim.is_some()), "{context}");
        assert_eq!(told(RecordType::SignatureAsked), usize::from(order.asked.is_some()), "{context}");
        assert_eq!(
            told(RecordType::CertificateIssued),
            usize::from(order.certificate.is_some()),
            "{context}"
        );
        assert_eq!(told(RecordType::IssuanceAbandoned), usize::from(order.failure.is_some()), "{context}");
        let Some(claim) = &order.claim else { continue };
        claimed += 1;
        let state = open.store.statuses().status(&issuer(), &claim.serial).unwrap().unwrap().state;
        let by_holder = told(RecordType::CertificateRevoked) > 0;
        match state {
            StatusState::Reserved => assert!(order.asked.is_none(), "{context}"),
            StatusState::Asked => assert!(order.asked.is_some() && order.failure.is_none(), "{context}"),
            StatusState::Good => assert!(order.certificate.is_some() && !by_holder, "{context}"),
            StatusState::Revoked { .. } => {
                ended += 1;
                let abandoned = order.failure.is_some() && order.asked.is_some();
                assert!(abandoned || by_holder, "{context}");
            }
        }
        assert_eq!(order.certificate.is_some(), row(&claim.serial).is_some(), "{context}");
        issued += usize::from(order.certificate.is_some());
        if order.certificate.is_none() && order.failure.is_none() {
            open_orders.insert(order.id);
        }
    }
    assert_eq!(keys(engine, "orders_by_account").len(), orders.len(), "{context}");
    assert_eq!((certificates.len(), keys(engine, "statuses").len()), (issued, claimed), "{context}");
    assert_eq!(revoked, ended, "{context}: the list of what is revoked");
    let found = open.store.issuances_open(None, usize::MAX).unwrap();
    let found: BTreeSet<_> = found.iter().map(|order| order.id).collect();
    assert_eq!(found, open_orders, "{context}: what is to be taken up");
}

fn challenges_are_whole(engine: &dyn Engine, context: &str) {
    let authorizations: Vec<Authorization> = rows(engine, "authorizations");
    let processing: BTreeSet<_> = authorizations
        .iter()
        .flat_map(|authorization| {
            let checked = authorization.challenges.iter();
            let checked = checked.filter(|one| one.status() == ChallengeStatus::Processing);
            checked.map(|one| [authorization.id.as_bytes().as_slice(), one.kind.name().as_bytes()].concat())
        })
        .collect();
    let open: BTreeSet<_> = keys(engine, "challenges_open").into_iter().collect();
    assert_eq!(open, processing, "{context}: what is to be checked again");
}
