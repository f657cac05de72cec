//! Proves that rows that have come to rest are packed up to the moment that was asked for and once, and that whoever reads
//! sees the same before, after, and after a power cut.

use std::sync::Arc;

use ingam_protocol::Id;
use ingam_protocol::time::SeededRandom;
use ingam_store::engine::{Engine, Pair, Table};

use crate::made::{DAY, Disks, insert_account, issue, run, start, wanted};

const TABLES: [&str; 5] =
    ["orders", "authorizations", "certificates", "certificates_by_time", "certificate_dictionaries"];

fn rows(engine: &dyn Engine) -> [Vec<Pair>; 5] {
    TABLES.map(|table| engine.range(Table::new(table), &[], None, usize::MAX).unwrap())
}

fn mark(engine: &dyn Engine, table: &str) -> Option<Vec<u8>> {
    engine.get(Table::new("meta"), format!("packed/{table}").as_bytes()).unwrap()
}

#[test]
fn what_was_packed_is_read_as_before_and_not_packed_again() {
    let random = Arc::new(SeededRandom::new(21));
    let disks = Disks::default();
    let opened = disks.open(&random).unwrap();
    let account = run(insert_account(&opened.store, &random)).id;
    for _ in 0..60 {
        run(issue(&opened.store, wanted(account, random.as_ref()), &random));
    }
    let engine = opened.engine.clone().unwrap();
    let before = rows(engine.as_ref());
    assert!(before.iter().take(4).all(|table| table.len() == 60));
    for until in [start(), start().plus(DAY)] {
        assert!(run(opened.store.rows_pack(until)).unwrap(), "all of it");
        assert_eq!(rows(engine.as_ref()), before);
        let reached = Id::first_of(until).as_bytes().to_vec();
        assert_eq!(mark(engine.as_ref(), "orders"), Some(reached));
    }
    // An earlier moment, as of a clock that went back, changes nothing.
    assert!(run(opened.store.rows_pack(start())).unwrap());
    assert_eq!(
        mark(engine.as_ref(), "authorizations"),
        Some(Id::first_of(start().plus(DAY)).as_bytes().to_vec())
    );
    drop(engine);
    opened.close();
    disks.power_cut(&random);
    let opened = disks.open(&random).unwrap();
    assert_eq!(rows(opened.engine.as_deref().unwrap()), before);
    opened.close();
}
