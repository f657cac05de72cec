//! What CRLs are made from: each list's part of what is revoked, where there are lists at all, and the numbers.

use std::collections::BTreeMap;

use ingam_protocol::crl::Scope;
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Serial, Shard, Timestamp};
use ingam_store::{RevocationOutcome, ShardsInUse, StatusStore, Store};

use crate::jobs::revoke;
use crate::made::{insert_account, issue_as, issuer, on_both, start, wanted};

const SCOPES: [Scope; 4] =
    [Scope::Unsharded, Scope::Shard(Shard(0)), Scope::Shard(Shard(7)), Scope::Shard(Shard(u16::MAX))];

fn new_serial(scope: Scope, random: &SeededRandom) -> Serial {
    scope.shard().map_or_else(|| Serial::new(random), |shard| Serial::in_shard(random, shard))
}

async fn revoke_one(store: &Store, serial: &Serial, random: &SeededRandom) {
    assert_eq!(revoke(store, serial, random).await, RevocationOutcome::Revoked);
}

/// All that is revoked in a scope, read in pages of two.
fn listed(statuses: &StatusStore, scope: Scope) -> Vec<Serial> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let (page, next) = statuses.revoked(&issuer(), scope, after.as_ref(), start(), 2).unwrap();
        assert!(page.len() <= 2);
        all.extend(page.into_iter().map(|entry| entry.serial));
        match next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

#[test]
fn each_list_has_its_part_of_what_is_revoked() {
    on_both(async |store, random| {
        let owner = insert_account(store, random).await.id;
        let statuses = store.statuses();
        let mut expected: BTreeMap<Scope, Vec<Serial>> = BTreeMap::new();
        for round in 0..5 {
            for scope in SCOPES {
                let serial = new_serial(scope, random);
                issue_as(store, wanted(owner, random), serial.clone(), random).await;
                // One in each scope stays good.
                if round > 0 {
                    let before = statuses.generation();
                    revoke_one(store, &serial, random).await;
                    expected.entry(scope).or_default().push(serial);
                    for other in SCOPES {
                        let last = statuses.revoked_generation(&issuer(), other.shard()).unwrap();
                        assert_eq!(last > before, other == scope, "{other:?} after {scope:?}");
                    }
                }
            }
        }
        for (scope, serials) in &mut expected {
            serials.sort();
            assert_eq!(listed(&statuses, *scope), *serials, "{scope:?}");
        }
        let mut all: Vec<Serial> = expected.into_values().flatten().collect();
        all.sort();
        assert_eq!(listed(&statuses, Scope::Complete), all);
        assert!(listed(&statuses, Scope::Shard(Shard(8))).is_empty());
        let (late, _) =
            statuses.revoked(&issuer(), Scope::Complete, None, Timestamp::from_unix_s(u64::MAX), 99).unwrap();
        assert!(late.is_empty(), "what has ended goes from the list");
    });
}

#[test]
fn what_changed_lately_is_found_and_any_other_by_chance() {
    on_both(async |store, random| {
        let owner = insert_account(store, random).await.id;
        let statuses = store.statuses();
        let mut serials = Vec::new();
        for scope in SCOPES.into_iter().flat_map(|scope| [scope; 3]) {
            let serial = new_serial(scope, random);
            issue_as(store, wanted(owner, random), serial.clone(), random).await;
            serials.push((scope, serial));
        }
        assert!(statuses.revoked_since(0, 99).unwrap().is_empty(), "issuing is no change of an answer");
        for (_, serial) in serials.iter().step_by(2) {
            revoke_one(store, serial, random).await;
        }
        let all = statuses.revoked_since(0, 99).unwrap();
        let found: Vec<&Serial> = all.iter().map(|(_, _, serial)| serial).collect();
        let revoked: Vec<&Serial> = serials.iter().step_by(2).map(|(_, serial)| serial).collect();
        assert_eq!(found, revoked, "in the order of the revocations");
        assert_eq!(all.last().unwrap().0, statuses.generation());
        let page = statuses.revoked_since(all[1].0, 2).unwrap();
        assert_eq!(page, all[2..4], "those behind a generation, and no more than asked for");
        assert!(statuses.revoked_since(u64::MAX, 2).unwrap().is_empty());

        for scope in SCOPES {
            let mut own: Vec<Serial> = serials
                .iter()
                .filter(|(other, _)| *other == scope)
                .map(|(_, serial)| serial.clone())
                .collect();
            own.sort();
            for _ in 0..20 {
                let from = new_serial(scope, random);
                let next = own.iter().find(|serial| **serial >= from).or(own.first());
                assert_eq!(statuses.serial_from(&issuer(), scope, &from).unwrap().as_ref(), next);
            }
            assert_eq!(statuses.serial_from(&issuer(), scope, &own[1]).unwrap().as_ref(), Some(&own[1]));
        }
        let nobody = statuses.serial_from(&issuer(), Scope::Shard(Shard(8)), &Serial::new(random));
        assert_eq!(nobody.unwrap(), None);
    });
}

#[test]
fn shards_are_known_by_the_serial_numbers_in_them() {
    on_both(async |store, random| {
        let owner = insert_account(store, random).await.id;
        let statuses = store.statuses();
        assert_eq!(statuses.shards(&issuer()).unwrap(), ShardsInUse::default());
        for shard in [7, 0, 7, u16::MAX, 300].map(Shard) {
            issue_as(store, wanted(owner, random), Serial::in_shard(random, shard), random).await;
        }
        let shards = [0, 7, 300, u16::MAX].map(Shard).to_vec();
        let found = statuses.shards(&issuer()).unwrap();
        assert_eq!(found, ShardsInUse { has_unsharded: false, shards: shards.clone() });
        issue_as(store, wanted(owner, random), Serial::new(random), random).await;
        let found = statuses.shards(&issuer()).unwrap();
        assert_eq!(found, ShardsInUse { has_unsharded: true, shards });
        let other = "other".to_owned().try_into().unwrap();
        assert_eq!(statuses.shards(&other).unwrap(), ShardsInUse::default());
    });
}

#[test]
fn crl_numbers_only_rise_and_belong_to_one_list() {
    on_both(async |store, _| {
        let statuses = store.statuses();
        let other = "other".to_owned().try_into().unwrap();
        for number in 1..=3 {
            assert_eq!(statuses.crl_number_next(&issuer(), None, 0).await.unwrap(), number);
        }
        assert_eq!(statuses.crl_number_next(&other, None, 0).await.unwrap(), 1);
        let shard = Some(Shard(3));
        assert_eq!(statuses.crl_number_next(&issuer(), shard, 0).await.unwrap(), 1);
        // A list is out that this store knows nothing of, as it came from a backup.
        assert_eq!(statuses.crl_number_next(&issuer(), shard, 40).await.unwrap(), 41);
        assert_eq!(statuses.crl_number_next(&issuer(), shard, 7).await.unwrap(), 42);
        assert!(statuses.crl_number_next(&issuer(), shard, u64::MAX).await.is_err());
        assert_eq!(statuses.crl_number_next(&issuer(), None, 0).await.unwrap(), 4);
    });
}
