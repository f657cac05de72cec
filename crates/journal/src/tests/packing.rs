//! Segments are packed, and destroyed, while everything else goes on.
//!
//! Not a failure: after a fault a segment may be there in either form, and a packed one may have to be packed again.

use super::*;
use ingam_protocol::time::random_array;

#[test]
fn nothing_of_a_record_is_readable_in_any_file() {
    let disk = SimulatedDisk::new();
    let journal = open_with(&disk, small_segments());
    let mut maker = Maker::new(1);
    let mut records = maker.issued(30);
    for record in &mut records {
        record.parts[0].bytes = b"a name that is looked for, a name that is looked for".to_vec();
    }
    journal.append(&records).unwrap();
    let is_readable = || {
        let all = files(&disk);
        all.iter().any(|(_, bytes)| bytes.windows(10).any(|window| window == b"looked for"))
    };
    assert!(!is_readable());
    while journal.pack_next().unwrap() {}
    assert!(!is_readable());
    assert_eq!(read(&journal, Class::Issuance), records);
}

#[test]
fn packed_segments_are_smaller_and_read_the_same() {
    let disk = SimulatedDisk::new();
    let config = JournalConfig { segment_bytes_max: 600_000, ..JournalConfig::default() };
    let journal = open_with(&disk, config.clone());
    let mut maker = Maker::new(1);
    let records: Vec<Record> = (0..40).map(|_| maker.record(RecordType::CertificateIssued, 30_000)).collect();
    for some in records.chunks(7) {
        journal.append(some).unwrap();
    }
    journal.close_ended(maker.now.plus(31 * DAY)).unwrap();
    let before = (journal.segments(), journal.bytes(), journal.verify().unwrap());
    let mut reader = journal.records(Class::Issuance);
    let mut seen = vec![reader.next().unwrap().unwrap()];
    while journal.pack_next().unwrap() {}
    seen.extend(reader.map(Result::unwrap));
    assert_eq!(seen, records, "who had begun to read goes on");
    assert!(journal.bytes() * 2 < before.1, "{} of {}", journal.bytes(), before.1);
    for journal in [journal, open_with(&disk, config)] {
        assert_eq!(read(&journal, Class::Issuance), records);
        assert_eq!(journal.verify().unwrap(), before.2);
        let segments = journal.segments();
        assert!(segments.iter().all(|segment| segment.closed == (segment.form == Form::Packed)));
        for (now, then) in segments.iter().zip(&before.0) {
            assert_eq!((&now.name, now.bytes, now.head), (&then.name, then.bytes, then.head));
        }
        // A place from before packing is one after it.
        let place = {
            let mut records = journal.records_of(before.0[0].clone());
            records.next().unwrap().unwrap();
            records.place()
        };
        let next = journal.records_of_from(before.0[0].clone(), place).next().unwrap().unwrap();
        assert_eq!(next, records[1]);
        assert_eq!(
            journal.segments().len(),
            disk.list().unwrap().len() - 1,
            "one file a segment, and the keys"
        );
    }
}

#[test]
fn what_the_first_version_wrote_is_read_goes_on_and_is_sealed_when_it_is_packed() {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    let (old, new) = (maker.issued(30), maker.issued(30));
    open_with(&disk, plain_segments()).append(&old).unwrap();
    let journal = open_with(&disk, small_segments());
    assert_eq!(read(&journal, Class::Issuance), old);
    journal.append(&new).unwrap();
    assert!(journal.segments().last().is_some_and(|last| last.form == Form::Sealed));
    while journal.pack_next().unwrap() {}
    for journal in [journal, open_with(&disk, small_segments())] {
        assert_eq!(read(&journal, Class::Issuance), [old.as_slice(), &new].concat());
        assert!(journal.segments().iter().all(|segment| segment.form != Form::Plain));
        journal.verify().unwrap();
    }
}

#[test]
fn a_destroyed_segment_is_gone_in_every_copy_and_the_rest_stays() {
    let disk = SimulatedDisk::new();
    let journal = open_with(&disk, small_segments());
    let mut maker = Maker::new(1);
    journal.append(&maker.issued(50)).unwrap();
    journal.pack_next().unwrap();
    let copies = files(&disk);
    let before = journal.segments();
    let gone = |sequence| journal.destroy(Class::Issuance, sequence).unwrap();
    assert_eq!([gone(1), gone(3)], [before[0].clone(), before[2].clone()]);
    assert!(matches!(journal.destroy(Class::Issuance, 1), Err(Error::NoSuchSegment { .. })));
    let last = before.last().unwrap();
    assert!(matches!(journal.destroy(Class::Issuance, last.sequence), Err(Error::NoSuchSegment { .. })));
    let left = read(&journal, Class::Issuance);
    assert_eq!(left.len() as u64, 50 - before[0].records - before[2].records);
    // A copy that is put back opens no more, and is removed.
    for (name, bytes) in copies {
        if disk.contents(&name).is_none() {
            disk.set_contents(&name, bytes);
        }
    }
    let journal = open_with(&disk, small_segments());
    assert_eq!(read(&journal, Class::Issuance), left);
    assert_eq!(files(&disk).len(), before.len() - 2);
    journal.verify().unwrap();
}

#[test]
fn the_last_segment_of_a_class_that_gets_no_more_records_goes_too() {
    let disk = SimulatedDisk::new();
    let journal = open(&disk);
    let mut maker = Maker::new(1);
    journal.append(&maker.issued(3)).unwrap();
    journal.close_ended(maker.now.plus(31 * DAY)).unwrap();
    let head = journal.segments()[0].head;
    journal.destroy(Class::Issuance, 1).unwrap();
    for journal in [journal, open(&disk)] {
        let [left] = journal.segments().try_into().unwrap();
        assert_eq!((left.sequence, left.first_index, left.records, left.head), (2, 3, 0, head));
        assert!(read(&journal, Class::Issuance).is_empty());
    }
    let journal = open(&disk);
    maker.now = maker.now.plus(90 * DAY);
    let new = maker.issued(2);
    journal.append(&new).unwrap();
    assert_eq!(read(&open(&disk), Class::Issuance), new);
    assert_eq!(journal.segments().last().unwrap().first_index, 3);
}

#[test]
fn a_journal_whose_keys_are_lost_says_so() {
    let disk = SimulatedDisk::new();
    open(&disk).append(&Maker::new(1).issued(3)).unwrap();
    disk.remove("keys").unwrap();
    let error = try_open(&disk, JournalConfig::default()).unwrap_err();
    assert_eq!(error.code(), "journal_key_lost");
    assert!(error.to_string().contains("put back the folder of these keys"), "{error}");
}

/// What is done beside appends: a number picks it.
fn something(journal: &Journal, number: u8) {
    let _may_fail = match number % 3 {
        0 => journal.pack_next().map(drop),
        1 => journal
            .segments()
            .first()
            .map_or(Ok(()), |first| journal.destroy(first.class, first.sequence).map(drop)),
        _ => Ok(()),
    };
}

#[test]
fn a_power_cut_while_packing_and_destroying_loses_nothing_else() {
    for seed in seeds(250, 4) {
        let random = SeededRandom::new(seed);
        let mut maker = Maker::new(seed);
        let disk = SimulatedDisk::new();
        let config = JournalConfig { plain: seed % 5 == 0, ..small_segments() };
        let records = maker.issued(60);
        let journal = open_with(&disk, config);
        journal.append(&records).unwrap();
        drop(journal);
        for cut in 0..4 {
            let [stop] = random_array(&random);
            disk.stop_after(u64::from(stop));
            if let Ok(journal) = try_open(&disk, small_segments()) {
                for _ in 0..6 {
                    let [number] = random_array(&random);
                    something(&journal, number);
                }
            }
            disk.power_cut(&random);
            let journal = open_with(&disk, small_segments());
            let left = read(&journal, Class::Issuance);
            assert_eq!(left, records[records.len() - left.len()..], "seed {seed}, cut {cut}");
            let report = journal.verify().unwrap().classes.remove(0);
            assert_eq!(report.first_index + report.records, records.len() as u64, "seed {seed}, cut {cut}");
            assert_eq!(journal.segments().len(), files(&disk).len(), "seed {seed}, cut {cut}");
        }
    }
}

#[test]
fn any_one_operation_may_fail_while_packing() {
    for number in 0.. {
        let disk = SimulatedDisk::new();
        let journal = open_with(&disk, small_segments());
        let records = Maker::new(1).issued(20);
        journal.append(&records).unwrap();
        disk.fail_after(number, std::io::ErrorKind::StorageFull);
        let mut failed = false;
        for _ in 0..5 {
            failed |= journal.pack_next().is_err();
        }
        disk.heal();
        journal.close_ended(Timestamp::from_unix_s(NOW)).unwrap();
        while journal.pack_next().unwrap() {}
        for journal in [journal, open_with(&disk, small_segments())] {
            assert_eq!(read(&journal, Class::Issuance), records, "{number}");
            assert!(
                journal.segments().iter().all(|segment| segment.closed == (segment.form == Form::Packed))
            );
        }
        if !failed {
            assert!(number > 30);
            return;
        }
    }
}

#[test]
fn a_packed_segment_stays_where_its_first_form_is_damaged() {
    let disk = SimulatedDisk::new();
    let records = Maker::new(1).issued(30);
    let journal = open_with(&disk, small_segments());
    journal.append(&records).unwrap();
    let (name, whole) = files(&disk).remove(0);
    journal.pack_next().unwrap();
    drop(journal);
    let packed = files(&disk).into_iter().find(|(name, _)| name.ends_with(".pack")).unwrap();
    // As a crash between packing and removing leaves it, and then a bad sector in the header, or at the end.
    for damaged in [0, whole.len() - 3] {
        let mut bytes = whole.clone();
        bytes[damaged] ^= 1;
        disk.set_contents(&name, bytes);
        disk.set_contents(&packed.0, packed.1.clone());
        let error = try_open(&disk, small_segments()).unwrap_err();
        assert!(error.to_string().contains("its packed form lies beside it"), "{error}");
        assert_eq!(disk.contents(&packed.0), Some(packed.1.clone()));
        disk.remove(&name).unwrap();
        assert_eq!(read(&open_with(&disk, small_segments()), Class::Issuance), records);
    }
}

#[test]
fn nothing_is_packed_or_destroyed_while_somebody_copies() {
    let disk = SimulatedDisk::new();
    let journal = open_with(&disk, small_segments());
    journal.append(&Maker::new(1).issued(30)).unwrap();
    let before = files(&disk);
    {
        let _still = journal.keep_still();
        assert!(!journal.pack_next().unwrap());
        assert!(matches!(journal.destroy(Class::Issuance, 1), Err(Error::Still)));
        assert_eq!(files(&disk), before);
    }
    assert!(journal.pack_next().unwrap());
    journal.destroy(Class::Issuance, 1).unwrap();
}
