//! Nothing breaks: records go to their classes and segments, once each, and come back in order.

use super::*;
use crate::{APPEND_RECORDS_MAX, Error};
use ingam_protocol::record::RECORD_BYTES_MAX;

#[test]
fn records_come_back_in_order_and_by_class() {
    let disk = SimulatedDisk::new();
    let journal = open(&disk);
    assert!(read(&journal, Class::Issuance).is_empty());
    assert!(journal.segments().is_empty());
    journal.append(&[]).unwrap();
    let mut maker = Maker::new(1);
    let started = maker.record(RecordType::Started, 10);
    let mut records = maker.issued(5);
    records.insert(2, started.clone());
    journal.append(&records).unwrap();
    records.remove(2);
    for journal in [journal, open(&disk)] {
        assert_eq!(read(&journal, Class::Issuance), records);
        assert_eq!(read(&journal, Class::CaLifecycle), std::slice::from_ref(&started));
        assert!(read(&journal, Class::AccessLog).is_empty());
        let report = journal.verify().unwrap();
        assert_eq!(report.classes.iter().map(|class| class.records).collect::<Vec<_>>(), [5, 1]);
    }
}

#[test]
fn a_segment_ends_with_its_period() {
    let disk = SimulatedDisk::new();
    let config = JournalConfig { period: DAY, ..JournalConfig::default() };
    let journal = open_with(&disk, config.clone());
    let mut maker = Maker::new(1);
    let mut all = Vec::new();
    let mut expected = Vec::new();
    for day in 0..4 {
        let mut records = maker.issued(3);
        if day == 2 {
            // Late, but from the day before: it stays with those that it came with.
            records[1].time = records[1].time.minus(DAY);
        }
        journal.append(&records).unwrap();
        let (start, end) = (Timestamp::from_unix_s(NOW / 86_400 * 86_400 + day * 86_400), DAY);
        let earliest = records.iter().map(|record| record.time).min();
        expected.push((day + 1, start, start.plus(end), 3, day < 3, earliest));
        all.extend(records);
        maker.now = maker.now.plus(DAY);
    }
    for journal in [journal, open_with(&disk, config)] {
        let segments = journal.segments();
        let seen: Vec<_> = segments
            .iter()
            .map(|info| {
                (info.sequence, info.period_start, info.period_end, info.records, info.closed, info.earliest)
            })
            .collect();
        assert_eq!(seen, expected);
        assert_eq!(segments[2].name, "issuance-20261123-00000003.seg");
        assert_eq!(read(&journal, Class::Issuance), all);
        assert_eq!(journal.verify().unwrap().classes[0].head, segments[3].head);
    }
}

#[test]
fn a_clock_that_was_far_ahead_does_not_stop_segments_from_ending() {
    let disk = SimulatedDisk::new();
    let journal = open_with(&disk, JournalConfig { period: DAY, ..JournalConfig::default() });
    let mut maker = Maker::new(1);
    let mut ahead = maker.issued(1);
    ahead[0].time = ahead[0].time.plus(1000 * DAY);
    journal.append(&ahead).unwrap();
    journal.append(&maker.issued(1)).unwrap();
    maker.now = maker.now.plus(DAY);
    journal.append(&maker.issued(1)).unwrap();
    assert_eq!(journal.segments().len(), 3);
    journal.verify().unwrap();
}

#[test]
fn a_segment_ends_when_it_is_full_also_within_one_append() {
    let disk = SimulatedDisk::new();
    let journal = open_with(&disk, small_segments());
    let mut maker = Maker::new(1);
    let records = maker.issued(50);
    journal.append(&records).unwrap();
    assert!(journal.segments().len() > 5);
    assert!(journal.segments().iter().all(|info| info.bytes < 1600 && info.records > 0));
    let large = [maker.record(RecordType::CertificateIssued, 100_000)];
    journal.append(&large).unwrap();
    assert_eq!(read(&journal, Class::Issuance), [records.as_slice(), &large].concat());
    assert_eq!(journal.segments(), open_with(&disk, small_segments()).segments());
    journal.verify().unwrap();
}

#[test]
fn an_idle_class_is_closed_when_its_period_is_over() {
    let disk = SimulatedDisk::new();
    let journal = open(&disk);
    let mut maker = Maker::new(1);
    journal.append(&maker.issued(2)).unwrap();
    journal.close_ended(maker.now).unwrap();
    assert!(!journal.segments()[0].closed);
    journal.close_ended(maker.now.plus(31 * DAY)).unwrap();
    let segments = journal.segments();
    assert!(segments[0].closed && segments[0].latest == Some(maker.now));
    let journal = open(&disk);
    assert_eq!(journal.segments(), segments);
    journal.append(&maker.issued(1)).unwrap();
    assert_eq!(journal.segments()[1].first_index, 2);
    journal.verify().unwrap();
}

#[test]
fn a_record_that_comes_twice_is_kept_once() {
    let disk = SimulatedDisk::new();
    let journal = open_with(&disk, small_segments());
    let mut maker = Maker::new(1);
    let records = maker.issued(30);
    let twice = [records.as_slice(), &records[..5]].concat();
    journal.append(&twice).unwrap();
    journal.append(&records).unwrap();
    let after = journal.segments();
    drop(journal);
    let journal = open_with(&disk, small_segments());
    journal.append(&records).unwrap();
    assert_eq!(journal.segments(), after, "known again from several segments after reopening");
    let more = [&records[28..], &maker.issued(2)].concat();
    journal.append(&more).unwrap();
    assert_eq!(read(&journal, Class::Issuance), [&records[..28], &more].concat());
    journal.verify().unwrap();
}

#[test]
fn readers_see_what_was_there_when_they_began() {
    let disk = SimulatedDisk::new();
    let journal = open_with(&disk, small_segments());
    let mut maker = Maker::new(1);
    let first = maker.issued(20);
    journal.append(&first).unwrap();
    let mut reader = journal.records(Class::Issuance);
    let mut seen = vec![reader.next().unwrap().unwrap()];
    journal.append(&maker.issued(20)).unwrap();
    seen.extend(reader.map(Result::unwrap));
    assert_eq!(seen, first);
}

#[test]
fn readers_and_verification_run_beside_appends() {
    let disk = SimulatedDisk::new();
    let journal = open_with(&disk, small_segments());
    let mut maker = Maker::new(1);
    std::thread::scope(|scope| {
        let appending = scope.spawn(|| {
            for _ in 0..100 {
                journal.append(&maker.issued(3)).unwrap();
            }
        });
        let mut before = 0;
        while !appending.is_finished() {
            let now = read(&journal, Class::Issuance).len();
            assert!(now >= before && now.is_multiple_of(3), "half of an append was seen");
            journal.verify().unwrap();
            before = now;
        }
    });
    assert_eq!(read(&journal, Class::Issuance).len(), 300);
}

#[test]
fn too_much_is_refused_before_anything_is_done() {
    let disk = SimulatedDisk::new();
    let journal = open(&disk);
    let mut maker = Maker::new(1);
    let many = maker.issued(APPEND_RECORDS_MAX + 1);
    assert!(matches!(journal.append(&many), Err(Error::TooMany { .. })));
    let mut records = maker.issued(2);
    records[1].parts[0].bytes = vec![0; RECORD_BYTES_MAX];
    assert!(matches!(journal.append(&records), Err(Error::TooLarge { .. })));
    assert!(journal.segments().is_empty());
    journal.append(&records[..1]).unwrap();
    journal.append(&many[1..]).unwrap();
    assert_eq!(read(&journal, Class::Issuance).len(), APPEND_RECORDS_MAX + 1);
}
