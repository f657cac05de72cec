//! What is in force is on record at any moment, wherever the sweep that takes the older record of it is broken off.

use ingam_journal::Journal;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::acme::Account;
use ingam_protocol::operator::Role;
use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Bytes, Id, Reason};
use ingam_retention::{Config, SegmentFate};
use ingam_store::contact::SubjectKeys;
use ingam_store::engine::Table;
use ingam_store::rebuild::{RebuildParts, rebuild_into};
use ingam_store::{Grant, KeyBlock, KeyName, Store};
use serde_json::json;

use crate::made::{DAY, Disks, Open, account, contacts, operator, run, start};
use crate::world::World;

/// Every class but that of receipts has had its time.
const LATE: u32 = 7 * 366 + 31;

/// The tables that something is in.
const TABLES: [&str; 3] = ["accounts", "keys_blocked", "roles"];

async fn fill(store: &Store, random: &SeededRandom) -> Account {
    let told =
        |kind, said: serde_json::Value| Record::new(kind, start(), said.to_string().into_bytes(), random);
    let account = account(random);
    let key: serde_json::Value = serde_json::from_str(&account.key.to_jwk()).unwrap();
    let made = told(RecordType::AccountCreated, json!({ "account": account.id, "key": key }));
    let (made, contacts) = (made.about(account.id), contacts());
    store.account_insert(account.clone(), &contacts, made, Vec::new()).await.unwrap().unwrap();
    let hash = Bytes::from(vec![9; 32]);
    let block = KeyBlock {
        hash: hash.clone(),
        named_by: KeyName::Thumbprint,
        at: start(),
        reason: Reason::KeyCompromise,
        serial: None,
        by: Some(operator(0)),
        comment: Some("why".to_owned()),
        source: None,
    };
    let said = json!({ "operator": operator(0), "reason": "why", "thumbprint": hash });
    assert!(store.key_block_insert(block, vec![told(RecordType::KeyBlocked, said)]).await.unwrap());
    let grant = Grant {
        principal: operator(3),
        role: Role::Auditor,
        label: None,
        by: Some(operator(0)),
        at: start(),
        reason: "why".to_owned(),
    };
    let said = serde_json::to_value(&grant).unwrap();
    assert!(store.role_grant(grant, vec![told(RecordType::RoleGranted, said)]).await.unwrap());
    account
}

/// The rows of a store that is made anew from the disks as they are, with what waits in the old one.
fn anew(world: &World, open: &Open) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    let journal: &Journal = open.threads.journal();
    let new = Disks::default().tables().unwrap();
    let keys = SubjectKeys::open(std::sync::Arc::new(copy(&world.disks.keys)), world.random.clone()).unwrap();
    let rebuilt = rebuild_into(&RebuildParts {
        journal,
        new: new.as_ref(),
        old: None,
        keys: Some(&keys),
        reason: "a test",
        now: start(),
        random: world.random.as_ref(),
    })
    .unwrap();
    assert_eq!((rebuilt.unreadable, rebuilt.orphans), (0, 0), "{:?}", rebuilt.examples);
    TABLES.map(|table| new.range(Table::new(table), &[], None, usize::MAX).unwrap()).to_vec()
}

fn copy(disk: &SimulatedDisk) -> SimulatedDisk {
    use ingam_journal::files::Files as _;
    let copy = SimulatedDisk::new();
    for name in disk.list().unwrap() {
        copy.set_contents(&name, disk.contents(&name).unwrap());
    }
    copy
}

/// All that is in the outbox comes into the journal with the end of the process; then the store is made anew.
fn settled(world: &World) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    world.disks.open(&world.random).unwrap().close();
    let open = world.disks.open(&world.random).unwrap();
    let rows = anew(world, &open);
    open.close();
    rows
}

#[test]
fn what_is_in_force_is_on_record_wherever_the_sweep_is_broken_off() {
    let filled = World::empty();
    let open = filled.disks.open(&filled.random).unwrap();
    let made: Id = run(fill(&open.store, &filled.random)).id;
    open.close();
    let expected = settled(&filled);
    assert_eq!(expected.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(expected[0][0].0, made.as_bytes());
    for disk in 0..filled.disks.each().len() {
        let mut operations = 0;
        loop {
            let context = format!("disk {disk}, after {operations} operations");
            let world = filled.copy();
            world.clock.set(start().plus(DAY * LATE));
            let running = world.open(&Config::default()).unwrap();
            run(running.retention.confirm()).unwrap();
            world.disks.each()[disk].stop_after(operations);
            let was_cut = run(running.retention.sweep()).is_err();
            running.close();
            world.disks.power_cut(&SeededRandom::new(operations));
            assert_eq!(settled(&world), expected, "{context}");
            world.sweep_at(DAY * LATE, &Config::default());
            assert_eq!(settled(&world), expected, "{context}");
            let open = world.disks.open(&world.random).unwrap();
            for class in [Class::Issuance, Class::PermissionChange] {
                for record in open.threads.journal().records(class) {
                    assert_eq!(record.unwrap().time, start().plus(DAY * LATE), "{context}");
                }
            }
            open.close();
            if !was_cut {
                break;
            }
            operations += 1;
        }
        println!("disk {disk}: {operations} cuts");
        assert!(operations > 0 || disk == 2, "disk {disk}");
    }
}

#[test]
fn a_dry_run_says_how_much_is_carried_over() {
    let world = World::empty();
    let open = world.disks.open(&world.random).unwrap();
    run(fill(&open.store, &world.random));
    open.close();
    world.clock.set(start().plus(DAY * LATE));
    let running = world.open(&Config::default()).unwrap();
    let dry = running.retention.dry_run().unwrap();
    run(running.retention.confirm()).unwrap();
    let swept = run(running.retention.sweep()).unwrap();
    let carried = |report: &ingam_retention::Report| -> Vec<_> {
        let gone = report.segments.iter().filter(|segment| segment.fate == SegmentFate::Goes);
        gone.map(|segment| (segment.class, segment.in_force)).collect()
    };
    assert_eq!(carried(&dry), [(Class::Issuance, 2), (Class::PermissionChange, 1)]);
    assert_eq!(carried(&dry), carried(&swept));
    let again = run(running.retention.sweep()).unwrap();
    assert_eq!(carried(&again), []);
    running.close();
}
