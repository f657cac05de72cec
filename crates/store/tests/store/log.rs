//! Proves that records are read back as they were written, each once and the newest first to be kept, wherever they are at
//! that moment: in the outbox, in the journal, or on the way; and that whoever follows them misses none.
//!
//! What is not a failure: a record that is being written while somebody looks comes with this look or the next.

use std::collections::BTreeSet;
use std::sync::Arc;

use ingam_protocol::record::{Class, Part, Record, RecordType, Seal};
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Id, Timestamp};
use ingam_store::{RecordQuery, RecordsFound, Store};

use crate::made::{Disks, Open, id, on_both, run, start};

/// A record of that many milliseconds after the start.
fn told(kind: RecordType, ms: u64, payload: &str, random: &SeededRandom) -> Record {
    let at = Timestamp::from_unix_ms(start().unix_ms() + ms);
    Record::new(kind, at, payload.as_bytes().to_vec(), random)
}

async fn append(store: &Store, records: &[Record]) {
    store.statuses().records_append(records.to_vec()).await.unwrap();
}

fn ids(records: &[Record]) -> Vec<Id> {
    records.iter().map(|record| record.id).collect()
}

fn find(store: &Store, query: &RecordQuery, limit: usize) -> (Vec<Id>, bool) {
    let RecordsFound { records, more } = store.records_find(query, limit).unwrap();
    let mut sorted = records.clone();
    sorted.sort_by_key(|record| (record.time, record.id));
    assert_eq!(records, sorted, "oldest first");
    (ids(&records), more)
}

/// Waits until the archiver has moved everything.
fn archived(open: &Open, count: u64) {
    let moved = || open.threads.journal().segments().iter().map(|segment| segment.records).sum::<u64>();
    while moved() < count {
        std::thread::yield_now();
    }
}

#[test]
fn what_is_asked_for_is_found_in_the_outbox_and_in_the_journal() {
    let random = Arc::new(SeededRandom::new(5));
    let open = Disks::default().open(&random).unwrap();
    let subject = id(random.as_ref());
    let mut sealed = told(RecordType::AccountCreated, 4, r#"{"address":"192.0.2.1"}"#, &random);
    sealed.parts.push(Part { seal: Seal::Subject, bytes: b"sealed Words".to_vec() });
    let all = [
        told(RecordType::CertificateIssued, 0, r#"{"serial":"0a"}"#, &random).about(subject),
        told(RecordType::OperatorActed, 1, r#"{"act":"cert.revoke"}"#, &random),
        told(RecordType::CertificateRevoked, 2, r#"{"serial":"0A"}"#, &random).about(subject),
        told(RecordType::RoleGranted, 3, r#"{"role":"auditor"}"#, &random),
        sealed,
        told(RecordType::CertificateIssued, 5, r#"{"serial":"0b"}"#, &random),
    ];
    run(append(&open.store, &all));
    let query = RecordQuery::default;
    let look = |context: &str| {
        let check = |query: &RecordQuery, expected: &[usize]| {
            let expected: Vec<_> = expected.iter().map(|index| all[*index].id).collect();
            assert_eq!(find(&open.store, query, 100), (expected, false), "{context}: {query:?}");
        };
        check(&query(), &[0, 1, 2, 3, 4, 5]);
        check(&RecordQuery { classes: [Class::Issuance].into(), ..query() }, &[0, 2, 4, 5]);
        let classes = [Class::AccessLog, Class::PermissionChange].into();
        check(&RecordQuery { classes, ..query() }, &[1, 3]);
        check(&RecordQuery { classes: [Class::Retention].into(), ..query() }, &[]);
        let kinds = [RecordType::CertificateIssued, RecordType::RoleGranted].into();
        check(&RecordQuery { kinds, ..query() }, &[0, 3, 5]);
        check(&RecordQuery { subject: Some(subject), ..query() }, &[0, 2]);
        check(&RecordQuery { text: Some("0a".to_owned()), ..query() }, &[0, 2]);
        check(&RecordQuery { text: Some(String::new()), ..query() }, &[0, 1, 2, 3, 4, 5]);
        check(&RecordQuery { text: Some("words".to_owned()), ..query() }, &[]);
        check(&RecordQuery { text: Some("192.0.2.1".to_owned()), ..query() }, &[4]);
        let (from, until) = (Some(all[1].time), Some(all[4].time));
        check(&RecordQuery { from, until, ..query() }, &[1, 2, 3]);
        check(&RecordQuery { from: until, until: from, ..query() }, &[]);
        for limit in 1..=all.len() {
            let newest = ids(&all[all.len() - limit..]);
            assert_eq!(find(&open.store, &query(), limit), (newest, limit < all.len()), "{context}");
        }
    };
    look("in the outbox");
    archived(&open, 6);
    look("in the journal");
    open.close();
}

/// Clocks are set back: the newest are the newest by their own time, not by when they were written.
#[test]
fn the_newest_are_so_by_their_time() {
    on_both(async |store, random| {
        let all: Vec<_> = [50, 10, 40, 20, 30, 20]
            .into_iter()
            .map(|ms| told(RecordType::OcspSigned, ms, "{}", random))
            .collect();
        append(store, &all).await;
        assert_eq!(find(store, &RecordQuery::default(), 2), (vec![all[2].id, all[0].id], true));
        let same: BTreeSet<_> = find(store, &RecordQuery::default(), 5).0.into_iter().collect();
        assert_eq!(same.len(), 5);
        assert!(!same.contains(&all[1].id), "the oldest goes first");
    });
}

#[test]
fn records_on_their_way_come_once_and_none_is_missed() {
    let random = Arc::new(SeededRandom::new(5));
    let open = Disks::default().open(&random).unwrap();
    let mut written = Vec::new();
    let moved = || open.threads.journal().segments().iter().map(|segment| segment.records).sum::<u64>();
    let (mut moves, mut before) = (0, 0);
    for ms in 0.. {
        let record = told(RecordType::OcspSigned, ms, "{}", &random);
        written.push(record.id);
        run(append(&open.store, &[record]));
        let (found, more) = find(&open.store, &RecordQuery::default(), 100_000);
        assert_eq!((&found, more), (&written, false));
        let newest = written.len().saturating_sub(3);
        assert_eq!(find(&open.store, &RecordQuery::default(), 3).0, written[newest..]);
        let now = moved();
        moves += u32::from(now > before);
        before = now;
        if moves == 2 {
            break;
        }
        // Looks are to fall on both sides of a move, and not to grow with each other.
        std::thread::yield_now();
    }
    open.close();
}

/// The journal's disk is full: everything waits. The newest are those that people look for.
#[test]
fn the_newest_are_found_however_many_wait() {
    let random = Arc::new(SeededRandom::new(5));
    let disks = Disks::default();
    disks.journal.set_room(Some(0));
    let open = disks.open(&random).unwrap();
    let mut last = Vec::new();
    for batch in 0..67 {
        last = (0..1000).map(|n| told(RecordType::OcspSigned, batch * 1000 + n, "{}", &random)).collect();
        run(append(&open.store, &last));
    }
    let (found, more) = find(&open.store, &RecordQuery::default(), 3);
    assert_eq!((found, more), (ids(&last[997..]), true));
    let nowhere = RecordQuery { text: Some("unheard-of".to_owned()), ..RecordQuery::default() };
    assert_eq!(find(&open.store, &nowhere, 3), (Vec::new(), true), "not everything was looked at");
    open.close();
}

#[test]
fn records_are_found_by_their_names() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let random = Arc::new(SeededRandom::new(5));
    let open = Disks::default().open(&random).unwrap();
    // Over several segments of the journal, whose period is thirty days.
    let all: Vec<Record> =
        (0..5).map(|n| told(RecordType::CertificateIssued, n * 40 * DAY_MS, "{}", &random)).collect();
    let other = told(RecordType::RoleGranted, 0, "{}", &random);
    run(append(&open.store, &all));
    run(append(&open.store, std::slice::from_ref(&other)));
    let nowhere = told(RecordType::CertificateIssued, 80 * DAY_MS, "{}", &random);
    let look = |wanted: &[&Record]| -> Vec<Id> {
        let wanted = wanted.iter().map(|record| record.id).collect();
        open.store.records_by_id(Class::Issuance, &wanted).unwrap().into_keys().collect()
    };
    let check = || {
        assert_eq!(look(&[&all[1], &all[4], &nowhere]), [all[1].id, all[4].id]);
        assert_eq!(look(&[&nowhere]), []);
        assert_eq!(look(&[]), []);
    };
    check();
    archived(&open, 6);
    check();
    assert_eq!(look(&[&other]), [], "it is of another class");
    open.close();
}

#[test]
fn whoever_follows_sees_what_comes_once_each() {
    let random = Arc::new(SeededRandom::new(5));
    for limit in [1, 3, 1000] {
        let open = Disks::default().open(&random).unwrap();
        let old: Vec<_> = (0..20).map(|ms| told(RecordType::OcspSigned, ms, "{}", &random)).collect();
        run(append(&open.store, &old));
        if limit == 3 {
            archived(&open, 20);
        }
        let mut place = open.store.records_end().unwrap();
        let (mut written, mut followed) = (Vec::new(), Vec::new());
        let query = RecordQuery { kinds: [RecordType::OcspSigned].into(), ..RecordQuery::default() };
        let mut look = |followed: &mut Vec<Id>| {
            let found = open.store.records_since(&mut place, &query, limit).unwrap();
            assert!(found.len() <= limit);
            followed.extend(ids(&found));
            found.len()
        };
        let moved = || open.threads.journal().segments().iter().map(|segment| segment.records).sum::<u64>();
        for ms in 100.. {
            let unasked = told(RecordType::CrlSigned, ms, "{}", &random);
            let wanted = told(RecordType::OcspSigned, ms, "{}", &random);
            written.push(wanted.id);
            run(append(&open.store, &[unasked, wanted]));
            if ms % 3 == 0 {
                look(&mut followed);
            }
            if moved() > 40 {
                break;
            }
        }
        while look(&mut followed) > 0 {}
        archived(&open, 20 + 2 * written.len() as u64);
        while look(&mut followed) > 0 {}
        let set: BTreeSet<_> = followed.iter().copied().collect();
        assert_eq!(set.len(), followed.len(), "by {limit}: one came twice");
        assert_eq!(set, written.iter().copied().collect(), "by {limit}");
        open.close();
    }
}

/// One look costs what came since, not what there is: years of records are not read again and again.
#[test]
fn a_look_reads_what_is_new() {
    let random = Arc::new(SeededRandom::new(5));
    let disks = Disks::default();
    let open = disks.open(&random).unwrap();
    let long = format!("\"{}\"", "x".repeat(100_000));
    for ms in 0..40 {
        run(append(&open.store, &[told(RecordType::OcspSigned, ms, &long, &random)]));
    }
    archived(&open, 40);
    let mut place = open.store.records_end().unwrap();
    let before = disks.journal.operations();
    for _ in 0..100 {
        assert_eq!(open.store.records_since(&mut place, &RecordQuery::default(), 10).unwrap(), []);
    }
    assert_eq!(disks.journal.operations(), before, "nothing came, and the journal was read");
    let late = told(RecordType::OcspSigned, 0, "{}", &random);
    run(append(&open.store, std::slice::from_ref(&late)));
    assert_eq!(open.store.records_since(&mut place, &RecordQuery::default(), 10).unwrap(), [late]);
    archived(&open, 41);
    assert_eq!(open.store.records_since(&mut place, &RecordQuery::default(), 10).unwrap(), []);
    assert!(disks.journal.operations() - before < 20, "the journal was read from its beginning");
    open.close();
}

/// The journal cannot be written for a while: who follows has seen the records in the outbox, and not again later.
#[test]
fn following_goes_on_through_a_full_disk() {
    let random = Arc::new(SeededRandom::new(5));
    let disks = Disks::default();
    let open = disks.open(&random).unwrap();
    let mut place = open.store.records_end().unwrap();
    disks.journal.set_room(Some(0));
    let first: Vec<_> = (0..50).map(|ms| told(RecordType::OcspSigned, ms, "{}", &random)).collect();
    run(append(&open.store, &first));
    let mut followed = Vec::new();
    for _ in 0..30 {
        followed.extend(ids(&open.store.records_since(&mut place, &RecordQuery::default(), 7).unwrap()));
    }
    assert_eq!(followed, ids(&first));
    disks.journal.set_room(None);
    archived(&open, 50);
    assert_eq!(open.store.records_since(&mut place, &RecordQuery::default(), 7).unwrap(), []);
    let second = told(RecordType::OcspSigned, 60_000, "{}", &random);
    run(append(&open.store, std::slice::from_ref(&second)));
    assert_eq!(open.store.records_since(&mut place, &RecordQuery::default(), 7).unwrap(), [second]);
    open.close();
}
