//! Proves that a key of the operators' has one account at most, that its end counts in the same transaction, and that its
//! MAC key comes back and lies nowhere in the clear.

use std::sync::Arc;

use ingam_journal::files::Files;
use ingam_protocol::Id;
use ingam_protocol::acme::{Account, ExternalAccount};
use ingam_protocol::bytes::{base64url, hex};
use ingam_protocol::external::MacKey;
use ingam_protocol::jws::JwsText;
use ingam_protocol::record::RecordType;
use ingam_protocol::time::SeededRandom;
use ingam_store::{
    AccountInserted, Bound, Claimed, ExternalKey, KeyUnusable, KeyWithdrawn, Store, Unbound, Withdrawal,
};

use crate::made::{
    DAY, Disks, account, claim, contacts, id, key, on_both, operator, ready_order, record, run, start,
};

pub(crate) fn external_key(random: &SeededRandom) -> ExternalKey {
    ExternalKey {
        id: id(random),
        holder: "contract 4711".to_owned(),
        profiles: Vec::new(),
        names: Vec::new(),
        expires: Some(start().plus(DAY)),
        by: operator(1),
        at: start(),
        bound: None,
        withdrawn: None,
    }
}

/// A key on record.
async fn insert(store: &Store, random: &SeededRandom) -> (ExternalKey, MacKey) {
    let (key, secret) = (external_key(random), MacKey::new(random));
    let told = record(RecordType::ExternalKeyMade, key.id, random);
    store.external_key_insert(key.clone(), &secret, vec![told]).await.unwrap();
    (key, secret)
}

/// An account that wants to be bound.
pub(crate) fn wants(external: Id, random: &SeededRandom) -> Account {
    let text = |text: &str| text.to_owned();
    let binding = JwsText { protected: text("e30"), payload: text("e30"), signature: text("AA") };
    Account { external: Some(ExternalAccount { key: external, binding }), ..account(random) }
}

pub(crate) async fn make(
    store: &Store,
    account: &Account,
    random: &SeededRandom,
) -> Result<AccountInserted, Unbound> {
    let told = record(RecordType::AccountCreated, account.id, random);
    store.account_insert(account.clone(), &contacts(), told, Vec::new()).await.unwrap()
}

async fn withdraw(store: &Store, key: Id, random: &SeededRandom) -> KeyWithdrawn {
    let withdrawal = Withdrawal { by: operator(2), at: start(), reason: "ended".to_owned() };
    let told = record(RecordType::ExternalKeyWithdrawn, key, random);
    store.external_key_withdraw(key, withdrawal, vec![told]).await.unwrap()
}

fn why(outcome: Result<AccountInserted, Unbound>) -> KeyUnusable {
    outcome.unwrap_err().why
}

#[test]
fn a_key_has_one_account() {
    on_both(async |store, random| {
        let (key, secret) = insert(store, random).await;
        assert_eq!(store.external_key_by_id(key.id).unwrap(), Some(key.clone()));
        assert_eq!(store.external_mac_key(key.id).unwrap(), Some(secret));
        let first = wants(key.id, random);
        assert_eq!(make(store, &first, random).await, Ok(AccountInserted::New));
        let bound = Bound { account: first.id, at: first.created };
        assert_eq!(store.external_key_by_id(key.id).unwrap().unwrap().bound, Some(bound));
        assert_eq!(store.account_by_id(first.id).unwrap(), Some(first.clone()));

        let second = wants(key.id, random);
        assert_eq!(make(store, &second, random).await, Err(Unbound { key: key.id, why: KeyUnusable::Bound }));
        assert_eq!(store.account_by_id(second.id).unwrap(), None);
        assert_eq!(store.account_by_key(&second.key).unwrap(), None);
        assert_eq!(store.account_contacts(second.id).unwrap(), []);
        let same = Account { key: first.key.clone(), ..wants(key.id, random) };
        assert_eq!(
            make(store, &same, random).await,
            Ok(AccountInserted::Taken(first)),
            "itself, found again"
        );
    });
}

/// All are queued before the first is answered: they share a sync, and see each other.
#[test]
fn of_many_accounts_with_one_key_at_once_one_is_made() {
    on_both(async |store, random| {
        for _ in 0..10 {
            let (key, _) = insert(store, random).await;
            let accounts: Vec<_> = (0..8).map(|_| wants(key.id, random)).collect();
            let inserts = accounts.iter().map(|account| make(store, account, random));
            let outcomes = futures_util::future::join_all(inserts).await;
            let made: Vec<_> = (accounts.iter().zip(&outcomes))
                .filter(|(_, outcome)| outcome.is_ok())
                .map(|(account, _)| account.id)
                .collect();
            let bound = store.external_key_by_id(key.id).unwrap().unwrap().bound.unwrap();
            assert_eq!(made, [bound.account]);
            let there = accounts.iter().filter(|account| store.account_by_id(account.id).unwrap().is_some());
            assert_eq!(there.count(), 1);
        }
    });
}

#[test]
fn an_ended_key_binds_nobody() {
    on_both(async |store, random| {
        let (key, _) = insert(store, random).await;
        let late = Account { created: start().plus(DAY), ..wants(key.id, random) };
        assert_eq!(why(make(store, &late, random).await), KeyUnusable::Expired);
        assert!(matches!(withdraw(store, key.id, random).await, KeyWithdrawn::Yes(_)));
        assert_eq!(why(make(store, &wants(key.id, random), random).await), KeyUnusable::Withdrawn);
        assert_eq!(withdraw(store, key.id, random).await, KeyWithdrawn::Before);
        assert_eq!(withdraw(store, id(random), random).await, KeyWithdrawn::Missing);
        assert_eq!(why(make(store, &wants(id(random), random), random).await), KeyUnusable::Missing);
        let ended = store.external_key_by_id(key.id).unwrap().unwrap();
        assert_eq!((ended.withdrawn.unwrap().by, ended.bound), (operator(2), None));
    });
}

/// Whoever withdrew a key and was answered sees nothing claimed by its account after that.
#[test]
fn an_account_of_a_withdrawn_key_claims_nothing() {
    on_both(async |store, random| {
        let (key, _) = insert(store, random).await;
        let account = wants(key.id, random);
        make(store, &account, random).await.unwrap();
        let claimed = async |order| {
            let told = record(RecordType::CertificatePrepared, order, random);
            store.order_claim(order, claim(random), start(), told, Vec::new()).await.unwrap()
        };
        let before = ready_order(store, account.id, "a.example.org", random).await;
        assert!(matches!(claimed(before).await, Claimed::Yes));
        let order = ready_order(store, account.id, "a.example.org", random).await;
        withdraw(store, key.id, random).await;
        let refused = claimed(order).await;
        assert!(matches!(refused, Claimed::ExternalKeyWithdrawn(id) if id == key.id), "{refused:?}");
    });
}

#[test]
fn keys_come_once_each_in_pages_of_any_length() {
    on_both(async |store, random| {
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(insert(store, random).await.0.id);
        }
        all.sort_unstable();
        for limit in 2..=6 {
            let mut found: Vec<Id> = Vec::new();
            loop {
                let from = found.last().copied().unwrap_or(Id::from_bytes([0; 16]));
                let page = store.external_keys(from, limit).unwrap();
                // A page begins with the key that it is asked from.
                let new: Vec<Id> = page.iter().map(|key| key.id).filter(|id| !found.contains(id)).collect();
                if new.is_empty() {
                    break;
                }
                found.extend(new);
            }
            assert_eq!(found, all, "by {limit}");
        }
    });
}

#[test]
fn a_mac_key_lies_nowhere_in_the_clear_and_survives_a_power_cut() {
    let (disks, random) = (Disks::default(), Arc::new(SeededRandom::new(7)));
    let open = disks.open(&random).unwrap();
    let (key, secret) = run(insert(&open.store, &random));
    run(make(&open.store, &wants(key.id, &random), &random)).unwrap();
    open.close();
    disks.power_cut(&random);
    let bytes = secret.expose();
    let traces = [bytes.to_vec(), secret.text().as_bytes().to_vec(), hex(bytes).into_bytes()];
    let shifted = [1, 2].map(|skip| base64url(&bytes[skip..]).into_bytes());
    for disk in disks.each() {
        for name in disk.list().unwrap() {
            let contents = disk.contents(&name).unwrap();
            for trace in traces.iter().chain(&shifted) {
                // The ends of an encoding depend on what stands beside it.
                let trace = &trace[2..trace.len() - 2];
                assert!(!contents.windows(trace.len()).any(|window| window == trace), "{name}");
            }
        }
    }
    let open = disks.open(&random).unwrap();
    assert_eq!(open.store.external_mac_key(key.id).unwrap(), Some(secret));
    assert_eq!(open.store.external_mac_key(id(random.as_ref())).unwrap(), None);
    open.close();
}

/// A row of an account as an earlier version wrote it.
#[test]
fn an_account_without_the_member_is_bound_to_nothing() {
    let random = SeededRandom::new(7);
    let account = Account { key: key(&random), ..account(&random) };
    let row = serde_json::to_value(&account).unwrap();
    assert!(row.get("external").is_none(), "{row}");
    assert_eq!(serde_json::from_value::<Account>(row).unwrap().external, None);
}
