//! Proves that a full disk makes errors and no losses, and that a store of a newer version is left alone.

use std::sync::Arc;

use ingam_protocol::acme::Account;
use ingam_protocol::record::RecordType;
use ingam_protocol::time::SeededRandom;
use ingam_store::engine::redb::{RedbConfig, RedbEngine};
use ingam_store::engine::sled::SledEngine;
use ingam_store::engine::{Batch, Durability, Engine, Table};
use ingam_store::{Config, EngineChoice, Error, Store};

use crate::facts::{Answered, check};
use crate::made::{Disks, Open, account, contacts, id, record, run};

fn insert(open: &Open, random: &SeededRandom, answered: &mut Answered) -> Result<Account, Error> {
    let account = account(random);
    let told = record(RecordType::AccountCreated, account.id, random);
    run(open.store.account_insert(account.clone(), &contacts(), told, Vec::new()))?.unwrap();
    answered.records.push((RecordType::AccountCreated, account.id));
    answered.contacts.insert(account.id);
    Ok(account)
}

/// A record that takes room.
fn fill(open: &Open, random: &SeededRandom, answered: &mut Answered) -> Result<(), Error> {
    let id = id(random);
    let mut told = record(RecordType::OcspSigned, id, random);
    told.parts[0].bytes.extend(std::iter::repeat_n(b' ', 50_000));
    run(open.store.statuses().records_append(vec![told]))?;
    answered.records.push((RecordType::OcspSigned, id));
    Ok(())
}

#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    // Which of the three disks is full.
    for full in 0..3 {
        let random = Arc::new(SeededRandom::new(1));
        let disks = Disks::default();
        let mut answered = Answered::default();
        let open = disks.open(&random).unwrap();
        for _ in 0..5 {
            insert(&open, &random, &mut answered).unwrap();
        }
        disks.each()[full].set_room(Some(0));
        let mut errors = 0;
        for _ in 0..200 {
            // Files have some room of their own; sooner or later they have to grow.
            let results =
                [insert(&open, &random, &mut answered).err(), fill(&open, &random, &mut answered).err()];
            errors += results.iter().flatten().count();
            if errors >= 3 {
                break;
            }
        }
        let journal_alone = full == 1;
        assert_eq!(
            errors > 0,
            !journal_alone,
            "disk {full}: records may wait in the outbox, and nothing else"
        );
        open.close();

        disks.each()[full].set_room(None);
        let open = disks.open(&random).unwrap();
        check(&open, &answered, &format!("disk {full}"));
        let made = insert(&open, &random, &mut answered).unwrap();
        assert_eq!(open.store.account_by_id(made.id).unwrap(), Some(made));
        check(&open, &answered, &format!("disk {full} with room again"));
        open.close();
        let open = disks.open(&random).unwrap();
        assert!(!open.records().is_empty());
        open.threads.journal().verify().unwrap();
        check(&open, &answered, &format!("disk {full} at last"));
        open.close();
    }
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let random = Arc::new(SeededRandom::new(1));
    let disks = Disks::default();
    let mut answered = Answered::default();
    let open = disks.open(&random).unwrap();
    insert(&open, &random, &mut answered).unwrap();
    let mut batch = Batch::new();
    batch.put(Table::new("meta"), b"format_version", 4_u64.to_be_bytes());
    open.engine.as_ref().unwrap().commit(&batch, Durability::Durable).unwrap();
    open.close();
    let before: Vec<_> = ["contact.key", "subjects"].map(|name| disks.keys.contents(name)).into();

    match disks.open(&random) {
        Err(Error::Newer(4)) => {}
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("a newer store was opened"),
    }
    let after: Vec<_> = ["contact.key", "subjects"].map(|name| disks.keys.contents(name)).into();
    assert_eq!(after, before);
}

#[test]
fn every_engine_refuses_a_newer_version() {
    for engine in [EngineChoice::Redb, EngineChoice::Sled] {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { engine, ..Config::default() };
        let open = || Store::open(folder.path(), &config, Arc::new(SeededRandom::new(1)));
        let (store, threads) = open().unwrap();
        threads.close();
        drop(store);
        let mut batch = Batch::new();
        batch.put(Table::new("meta"), b"format_version", 9_u64.to_be_bytes());
        match engine {
            EngineChoice::Redb => {
                let path = folder.path().join("store.redb");
                let opened = RedbEngine::open(&path, RedbConfig::default()).unwrap();
                opened.commit(&batch, Durability::Durable).unwrap();
            }
            EngineChoice::Sled => {
                let path = folder.path().join("store.sled");
                let opened = SledEngine::open(&path).unwrap();
                opened.commit(&batch, Durability::Durable).unwrap();
            }
        }
        assert!(matches!(open(), Err(Error::Newer(9))), "{engine:?}");
    }
}
/// A power cut during the very first opening of the keys leaves something that opens, as nothing was sealed yet.
#[test]
fn keys_open_after_a_power_cut_in_their_first_opening() {
    use ingam_journal::simulated::SimulatedDisk;
    use ingam_store::contact::SubjectKeys;
    for seed in 0..200 {
        let random = Arc::new(SeededRandom::new(seed));
        let disk = SimulatedDisk::new();
        disk.stop_after(seed % 8);
        let _ = SubjectKeys::open(Arc::new(disk.clone()), random.clone());
        disk.power_cut(random.as_ref());
        let opened = SubjectKeys::open(Arc::new(disk.clone()), random.clone());
        assert!(opened.is_ok(), "seed {seed}: {:?}", opened.err());
    }
}
