//! Every durable commit is there whole after the power was cut, what is there beyond is a prefix of what was committed
//! later, and any one failing operation loses nothing that was answered for.
//!
//! Not a failure: a commit that returned an error may be in or not.

use std::collections::BTreeMap;

use ingam_journal::files::Files;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::time::{SeededRandom, random_array};
use redb::ReadableTableMetadata as _;

use super::*;
use crate::engine::contract;

fn on_simulated(disk: &SimulatedDisk, name: &str) -> Result<RedbEngine, EngineError> {
    let io = |error| EngineError::from_io(OPENING, error);
    let file = disk.create(name).map_err(io)?;
    let log = disk.create(&format!("{name}.log")).map_err(io)?;
    disk.sync_directory().map_err(io)?;
    // A short log, so that redb's file has to follow often.
    let config = RedbConfig { log_bytes_max: 20_000, ..RedbConfig::default() };
    RedbEngine::with_backend(FileStorage::new(file), log, config)
}

#[test]
fn keeps_the_contract_on_a_real_disk() {
    for log_bytes_max in [0, 4 << 20] {
        let folder = tempfile::tempdir().unwrap();
        let config = RedbConfig { log_bytes_max, ..RedbConfig::default() };
        contract::run(&|name| Box::new(RedbEngine::open(&folder.path().join(name), config).unwrap()));
    }
}

#[test]
fn keeps_the_contract_on_a_simulated_disk() {
    let disk = SimulatedDisk::new();
    contract::run(&|name| Box::new(on_simulated(&disk, name).unwrap()));
}

#[test]
fn a_second_opening_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redb");
    let _first = RedbEngine::open(&path, RedbConfig::default()).unwrap();
    assert_eq!(RedbEngine::open(&path, RedbConfig::default()).unwrap_err().code(), "engine_busy");
    assert_eq!(Disk::open(folder.path()).unwrap().list().unwrap(), ["redb", "redb.log"]);
}

#[test]
fn a_file_that_is_not_redbs_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redb");
    std::fs::write(&path, vec![0x5a; 100_000]).unwrap();
    let error = RedbEngine::open(&path, RedbConfig::default()).unwrap_err();
    assert!(["engine_corrupt", "engine_io"].contains(&error.code()), "{error:?}");
}

#[test]
fn a_full_disk_is_told_from_a_broken_one() {
    for (kind, code) in [(io::ErrorKind::StorageFull, "engine_full"), (io::ErrorKind::Other, "engine_io")] {
        let disk = SimulatedDisk::new();
        let engine = on_simulated(&disk, "redb").unwrap();
        let mut batch = Batch::new();
        batch.put(TABLES[0], b"a", b"1");
        engine.commit(&batch, Durability::Durable).unwrap();
        disk.fail_after(0, kind);
        batch.put(TABLES[0], b"a", b"2");
        assert_eq!(engine.commit(&batch, Durability::Durable).unwrap_err().code(), code);
        drop(engine);
        let value = on_simulated(&disk, "redb").unwrap().get(TABLES[0], b"a").unwrap();
        assert!([Some(b"1".to_vec()), Some(b"2".to_vec())].contains(&value));
    }
}

#[test]
fn any_one_operation_may_fail() {
    for number in 0..120 {
        let random = SeededRandom::new(number);
        let disk = SimulatedDisk::new();
        let engine = on_simulated(&disk, "redb").unwrap();
        disk.fail_after(number, io::ErrorKind::Other);
        let mut possible = vec![World::new()];
        for step_number in 0..60 {
            let (batch, world) = step(step_number, possible.last().unwrap(), &random);
            let result = engine.commit(&batch, Durability::Durable);
            possible.push(world);
            if result.is_err() {
                break;
            }
            possible.drain(..possible.len() - 1);
        }
        if possible.len() > 1 {
            assert_eq!(engine.commit(&Batch::new(), Durability::Durable).unwrap_err().code(), "engine_io");
        }
        drop(engine);
        disk.power_cut(&random);
        let engine = on_simulated(&disk, "redb").unwrap();
        assert!(possible.contains(&everything(&engine)), "operation {number}");
    }
}

#[test]
fn a_log_that_is_needed_and_missing_is_an_error() {
    let disk = SimulatedDisk::new();
    let engine = on_simulated(&disk, "redb").unwrap();
    let mut batch = Batch::new();
    batch.put(TABLES[0], b"a", b"1");
    engine.commit(&batch, Durability::Durable).unwrap();
    drop(engine);
    disk.remove("redb.log").unwrap();
    let engine = on_simulated(&disk, "redb").unwrap();
    assert_eq!(engine.get(TABLES[0], b"a").unwrap(), Some(b"1".to_vec()), "not needed after an orderly end");
    engine.commit(&batch, Durability::Durable).unwrap();
    disk.stop_after(0);
    drop(engine);
    disk.power_cut(&SeededRandom::new(1));
    disk.remove("redb.log").unwrap();
    assert_eq!(on_simulated(&disk, "redb").unwrap_err().code(), "engine_corrupt");
}

const TABLES: [Table; 3] = [Table::new("one"), Table::new("two"), Table::new("three")];
const COUNT: Table = Table::new("count");

type World = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// A random batch that also writes its number, and what the tables hold after it.
fn step(number: u32, before: &World, random: &SeededRandom) -> (Batch, World) {
    let mut batch = Batch::new();
    let mut world = before.clone();
    batch.put(COUNT, b"count", number.to_be_bytes());
    world.insert((COUNT, b"count".to_vec()), number.to_be_bytes().to_vec());
    let [changes] = random_array(random);
    for _ in 0..=changes % 8 {
        let [table, key, kind, size, size_high] = random_array(random);
        let table = TABLES[usize::from(table) % TABLES.len()];
        let key = vec![key % 32];
        if kind < 64 {
            batch.delete(table, key.clone());
            world.remove(&(table, key));
        } else {
            let value = vec![kind; usize::from(size) * usize::from(size_high % 16)];
            batch.put(table, key.clone(), value.clone());
            world.insert((table, key), value);
        }
    }
    (batch, world)
}

fn everything(engine: &dyn Engine) -> World {
    let of = |table| {
        let pairs = engine.range(table, b"", None, usize::MAX).unwrap();
        pairs.into_iter().map(move |(key, value)| ((table, key), value))
    };
    TABLES.into_iter().chain([COUNT]).flat_map(of).collect()
}

/// Every durable batch is there whole, and what is there beyond is a prefix of what was committed later. Packing, now and
/// then, changes nothing of it.
#[test]
fn what_was_durable_outlives_power_cuts() {
    for seed in 0..60 {
        let random = SeededRandom::new(seed);
        let disk = SimulatedDisk::new();
        drop(on_simulated(&disk, "redb").unwrap());
        // What the tables held after each batch that may be in, from the last durable one on.
        let mut possible = vec![World::new()];
        let mut number = 0;
        for cut in 0..4 {
            let [stop, stop_high] = random_array(&random);
            disk.stop_after(u64::from(stop) + 256 * u64::from(stop_high % 2));
            let engine = on_simulated(&disk, "redb");
            while let Ok(engine) = &engine {
                number += 1;
                let (batch, world) = step(number, possible.last().unwrap(), &random);
                let [durable] = random_array(&random);
                let durability = if durable < 128 { Durability::Durable } else { Durability::Relaxed };
                let result = engine.commit(&batch, durability);
                possible.push(world);
                if result.is_err() {
                    break;
                }
                if durability == Durability::Durable {
                    possible.drain(..possible.len() - 1);
                }
                let [packs, table, from, bytes] = random_array(&random);
                if packs < 64 {
                    let table = TABLES[usize::from(table) % TABLES.len()];
                    if engine.pack(table, &[from % 32], None, usize::from(bytes) * 64).is_err() {
                        break;
                    }
                }
            }
            drop(engine);
            disk.power_cut(&random);
            let engine = on_simulated(&disk, "redb").unwrap();
            let world = everything(&engine);
            assert!(possible.contains(&world), "seed {seed}, cut {cut}");
            possible = vec![world];
        }
    }
}

/// Rows that came one behind the other and were longer for a while, as orders are, leave most of their pages empty.
#[test]
fn packed_rows_fill_their_pages() {
    let folder = tempfile::tempdir().unwrap();
    let engine = RedbEngine::open(&folder.path().join("redb"), RedbConfig::default()).unwrap();
    for number in 0..2000_u32 {
        for bytes in [300, 4800, 700] {
            let mut batch = Batch::new();
            batch.put(TABLES[0], number.to_be_bytes(), vec![7; bytes]);
            engine.commit(&batch, Durability::Relaxed).unwrap();
        }
    }
    let filled = || {
        let open = engine.table(TABLES[0]).unwrap().unwrap();
        let stats = open.stats().unwrap();
        stats.stored_bytes() * 100 / (stats.leaf_pages() * 4096)
    };
    let before = filled();
    let mut from = Vec::new();
    while let Some(next) = engine.pack(TABLES[0], &from, None, 100_000).unwrap() {
        from = next;
    }
    assert!(before < 50 && filled() > 80, "{before} % and then {} %", filled());
}
