//! Proves that a store says how it fares: what waits, what failed last, and when a failure is over.

use std::sync::Arc;

use ingam_protocol::record::RecordType;
use ingam_protocol::time::SeededRandom;

use crate::made::{Disks, Open, id, record, run, start};

/// A record that takes room.
fn append(open: &Open, random: &SeededRandom) -> Result<(), ingam_store::Error> {
    let mut told = record(RecordType::OcspSigned, id(random), random);
    told.parts[0].bytes.extend(std::iter::repeat_n(b' ', 50_000));
    run(open.store.statuses().records_append(vec![told]))
}

/// Looks again and again; what is waited for comes from the store's own threads.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < 30, "{what} never happened");
        std::thread::yield_now();
    }
}

#[test]
fn a_store_that_works_says_so() {
    let random = Arc::new(SeededRandom::new(1));
    let open = Disks::default().open(&random).unwrap();
    append(&open, &random).unwrap();
    let condition = open.store.condition();
    assert_eq!((condition.transactions, condition.closed), (0, false));
    assert_eq!((condition.commit_failure, condition.archive_failure), (None, None));
    assert!(condition.transactions_max > 0);
    wait_until("the outbox was emptied", || open.store.outbox().unwrap().records == 0);
    assert_eq!(open.store.outbox().unwrap().oldest, None);
    assert!(open.threads.journal().bytes() > 50_000);
    open.close();
}

#[test]
fn a_journal_that_is_full_shows_in_the_outbox() {
    let random = Arc::new(SeededRandom::new(1));
    let disks = Disks::default();
    let open = disks.open(&random).unwrap();
    disks.journal.set_room(Some(0));
    for _ in 0..3 {
        append(&open, &random).unwrap();
    }
    let waiting = open.store.outbox().unwrap();
    assert_eq!((waiting.records, waiting.oldest, waiting.newest), (3, Some(start()), Some(start())));
    wait_until("a move failed", || open.store.condition().archive_failure == Some("journal_full"));
    disks.journal.set_room(None);
    wait_until("a move succeeded", || open.store.condition().archive_failure.is_none());
    assert_eq!(open.store.outbox().unwrap().records, 0);
    let store = open.store.clone();
    open.close();
    assert!(store.condition().closed);
    assert_eq!(store.condition().archive_failure, Some("archiver_ended"));
}

#[test]
fn a_commit_that_failed_is_known_until_the_store_is_opened_again() {
    let random = Arc::new(SeededRandom::new(1));
    let disks = Disks::default();
    let open = disks.open(&random).unwrap();
    disks.tables.set_room(Some(0));
    wait_until("a commit failed", || append(&open, &random).is_err());
    assert_eq!(open.store.condition().commit_failure, Some("engine_full"));
    assert!(append(&open, &random).is_err());
    assert!(open.store.condition().commit_failure.is_some());
    open.close();
    disks.tables.set_room(None);
    let open = disks.open(&random).unwrap();
    append(&open, &random).unwrap();
    assert_eq!(open.store.condition().commit_failure, None);
    open.close();
}
