//! Files are changed behind the journal's back.

use super::*;
use crate::Gap;
use crate::segment::{FRAME_BYTES, FrameKind, HEADER_BYTES, encode_frame};
use ingam_protocol::record::commitment;

#[test]
fn a_last_frame_cut_anywhere_is_cut_off() {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    let (kept, cut) = (maker.issued(3), maker.issued(1));
    let journal = open(&disk);
    journal.append(&kept).unwrap();
    let start = files(&disk)[0].1.len();
    journal.append(&cut).unwrap();
    let (name, whole) = files(&disk).remove(0);
    for length in start..whole.len() {
        disk.set_contents(&name, whole[..length].to_vec());
        let journal = open(&disk);
        assert_eq!(read(&journal, Class::Issuance), kept, "{length}");
        assert_eq!(disk.contents(&name).unwrap().len(), start);
        journal.append(&cut).unwrap();
        assert_eq!(disk.contents(&name).unwrap().len(), whole.len(), "the repeated append is the same again");
        assert_eq!(read(&open(&disk), Class::Issuance), [kept.as_slice(), &cut].concat());
        journal.verify().unwrap();
    }
}

#[test]
fn a_header_cut_anywhere_is_a_segment_that_was_not_begun() {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    open(&disk).append(&maker.issued(1)).unwrap();
    let (name, whole) = files(&disk).remove(0);
    let record = maker.issued(1);
    for length in 0..HEADER_BYTES {
        disk.set_contents(&name, whole[..length].to_vec());
        let journal = open(&disk);
        assert!(journal.segments().is_empty());
        journal.append(&record).unwrap();
        assert_eq!(read(&open(&disk), Class::Issuance), record);
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    for (config, pack) in [(plain_segments(), false), (small_segments(), false), (small_segments(), true)] {
        flip_everywhere(config, pack);
    }
}

fn flip_everywhere(config: JournalConfig, pack: bool) {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    let journal = open_with(&disk, config);
    for _ in 0..4 {
        journal.append(&maker.issued(2)).unwrap();
    }
    journal.append(&[maker.record(RecordType::Started, 10)]).unwrap();
    journal.verify().unwrap();
    while pack && journal.pack_next().unwrap() {}
    let all = files(&disk);
    assert!(all.len() >= 3);
    assert_eq!(all.iter().any(|(name, _)| name.ends_with(".pack")), pack);
    for (name, whole) in &all {
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            disk.set_contents(name, flipped);
            let error = journal.verify().unwrap_err();
            assert!(error.to_string().contains(name), "{name} {at}: {error}");
        }
        disk.set_contents(name, whole.clone());
    }
    journal.verify().unwrap();
}

#[test]
fn damage_in_front_of_a_later_append_is_no_torn_tail() {
    for config in [plain_segments(), small_segments()] {
        damage_the_first_append(config);
    }
}

fn damage_the_first_append(config: JournalConfig) {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    let journal = open_with(&disk, config);
    journal.append(&maker.issued(2)).unwrap();
    let synced = files(&disk)[0].1.len();
    journal.append(&maker.issued(2)).unwrap();
    drop(journal);
    let (name, whole) = files(&disk).remove(0);
    for at in HEADER_BYTES..synced {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        disk.set_contents(&name, flipped);
        let error = try_open(&disk, JournalConfig::default()).unwrap_err();
        assert_eq!(error.code(), "journal_corrupt", "{at}");
    }
}

#[test]
fn a_cut_or_missing_end_of_an_earlier_segment_is_damage() {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    open_with(&disk, small_segments()).append(&maker.issued(20)).unwrap();
    let (name, whole) = files(&disk).remove(0);
    for length in [HEADER_BYTES, 300, whole.len() - 1] {
        disk.set_contents(&name, whole[..length].to_vec());
        let error = try_open(&disk, small_segments()).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { file, .. } if *file == name), "{length}: {error}");
    }
}

#[test]
fn an_erased_body_leaves_the_chain_whole() {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    let records = maker.issued(12);
    let journal = open_with(&disk, plain_segments());
    journal.append(&records).unwrap();
    let before = journal.verify().unwrap();
    // The second record of the first segment, body and checksum rewritten by hand.
    let (name, mut bytes) = files(&disk).remove(0);
    let start = HEADER_BYTES + FRAME_BYTES + records[0].encode().len();
    let encoded = records[1].encode();
    let mut frame = Vec::new();
    let zeros = vec![0; encoded.len()];
    encode_frame(&mut frame, HEADER_BYTES as u64, FrameKind::Erased, &commitment(&encoded), &zeros);
    bytes[start..start + frame.len()].copy_from_slice(&frame);
    disk.set_contents(&name, bytes.clone());
    for journal in [journal, open_with(&disk, plain_segments())] {
        let mut left = records.clone();
        left.remove(1);
        assert_eq!(read(&journal, Class::Issuance), left);
        let after = journal.verify().unwrap();
        assert_eq!(after.classes[0].erased, 1);
        assert_eq!((after.classes[0].head, after.classes[0].records), (before.classes[0].head, 12));
    }
    // Erased with another commitment, and not erased at all.
    let mut changed = Vec::new();
    encode_frame(&mut changed, HEADER_BYTES as u64, FrameKind::Erased, &[7; 32], &zeros);
    let mut unerased = Vec::new();
    encode_frame(&mut unerased, HEADER_BYTES as u64, FrameKind::Erased, &commitment(&encoded), &encoded);
    for frame in [changed, unerased] {
        bytes[start..start + frame.len()].copy_from_slice(&frame);
        disk.set_contents(&name, bytes.clone());
        assert_eq!(open_with(&disk, plain_segments()).verify().unwrap_err().code(), "journal_corrupt");
    }
}

#[test]
fn a_replaced_record_breaks_the_chain_even_with_right_checksums() {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    let records = maker.issued(12);
    let journal = open_with(&disk, plain_segments());
    journal.append(&records).unwrap();
    let (name, mut bytes) = files(&disk).remove(0);
    let mut other = records[0].clone();
    other.parts[0].bytes[0] ^= 1;
    let mut frame = Vec::new();
    let encoded = other.encode();
    encode_frame(&mut frame, HEADER_BYTES as u64, FrameKind::Record, &commitment(&encoded), &encoded);
    bytes[HEADER_BYTES..HEADER_BYTES + frame.len()].copy_from_slice(&frame);
    disk.set_contents(&name, bytes);
    assert_eq!(journal.verify().unwrap_err().code(), "journal_corrupt");
    assert_eq!(open_with(&disk, plain_segments()).verify().unwrap_err().code(), "journal_corrupt");
}

#[test]
fn missing_segments_are_reported_and_exchanged_ones_refused() {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    open_with(&disk, small_segments()).append(&maker.issued(50)).unwrap();
    let all = files(&disk);
    for gone in [0, 1, 3] {
        disk.remove(&all[gone].0).unwrap();
    }
    let journal = open_with(&disk, small_segments());
    let report = journal.verify().unwrap().classes.remove(0);
    let gap = |first_sequence, last_sequence| Gap { first_sequence, last_sequence };
    assert_eq!(report.gaps, [gap(1, 2), gap(4, 4)]);
    assert!(report.first_index > 0);
    // The same number and name, but from another journal.
    let other = SimulatedDisk::new();
    open_with(&other, small_segments()).append(&Maker::new(2).issued(50)).unwrap();
    disk.set_contents(&all[2].0, other.contents(&all[2].0).unwrap());
    disk.set_contents(&all[3].0, all[3].1.clone());
    assert_eq!(try_open(&disk, small_segments()).unwrap_err().code(), "journal_corrupt");
}

#[test]
fn other_files_are_left_alone_and_newer_ones_refused() {
    let disk = SimulatedDisk::new();
    let mut maker = Maker::new(1);
    open(&disk).append(&maker.issued(1)).unwrap();
    disk.set_contents("notes.txt", b"mine".to_vec());
    assert_eq!(open(&disk).segments().len(), 1);
    let (name, mut bytes) = files(&disk).remove(0);
    bytes[9] = 3;
    disk.set_contents(&name.replace("issuance", "future"), bytes.clone());
    let refused = || try_open(&disk, JournalConfig::default()).unwrap_err();
    assert_eq!(refused().code(), "journal_newer");
    disk.remove(&name.replace("issuance", "future")).unwrap();
    disk.set_contents(&name, bytes);
    assert_eq!(refused().code(), "journal_newer");
}
