//! Keys of subjects: sealed data opens in its place alone; a destroyed key is gone from every file; a power cut at any
//! operation leaves each key whole or gone, and those of others always there.

use ingam_journal::simulated::{SimulatedDisk, seeds};
use ingam_protocol::Timestamp;
use ingam_protocol::time::SeededRandom;

use super::*;

fn subject(seed: u64) -> Id {
    Id::new(Timestamp::from_unix_s(1), &SeededRandom::new(seed))
}

fn place(subject: Id) -> Place<'static> {
    Place { table: "contacts", column: "contact", subject }
}

fn open_keys(disk: &SimulatedDisk, seed: u64) -> Result<SubjectKeys, Error> {
    SubjectKeys::open(Arc::new(disk.clone()), Arc::new(SeededRandom::new(seed)))
}

/// Keys of `count` subjects, with something sealed for each.
fn filled(disk: &SimulatedDisk, count: u64) -> (SubjectKeys, Vec<Vec<u8>>) {
    let keys = open_keys(disk, 1).unwrap();
    let seal = |one| {
        keys.ensure(subject(one)).unwrap();
        keys.seal(place(subject(one)), b"mailto:a@example.org").unwrap()
    };
    let sealed = (0..count).map(seal).collect();
    (keys, sealed)
}

fn opens(keys: &SubjectKeys, one: u64, sealed: &[Vec<u8>]) -> bool {
    keys.open_sealed(place(subject(one)), &sealed[usize::try_from(one).unwrap()]).is_ok()
}

/// The files of the disk, by name.
fn files_of(disk: &SimulatedDisk) -> Vec<(String, Vec<u8>)> {
    let names = Files::list(disk).unwrap();
    names.into_iter().map(|name| (name.clone(), disk.contents(&name).unwrap())).collect()
}

#[test]
fn sealed_data_opens_in_its_place_alone_and_after_reopening() {
    let disk = SimulatedDisk::new();
    let (_, sealed) = filled(&disk, 3);
    assert!(!sealed[1].windows(7).any(|window| window == b"example"));

    let reopened = open_keys(&disk, 2).unwrap();
    assert_eq!(
        reopened.open_sealed(place(subject(1)), &sealed[1]).unwrap().as_slice(),
        b"mailto:a@example.org"
    );
    assert!(reopened.open_sealed(place(subject(2)), &sealed[1]).is_err());
    let elsewhere = Place { column: "name", ..place(subject(1)) };
    assert!(reopened.open_sealed(elsewhere, &sealed[1]).is_err());
    assert!(reopened.seal(place(subject(3)), b"").is_err());
}

#[test]
fn a_power_cut_leaves_every_key_that_was_used() {
    for seed in seeds(50, 1) {
        let disk = SimulatedDisk::new();
        let (_, sealed) = filled(&disk, 1);
        disk.power_cut(&SeededRandom::new(seed));
        assert!(opens(&open_keys(&disk, seed).unwrap(), 0, &sealed), "{seed}");
    }
}

#[test]
fn a_destroyed_key_is_gone_from_every_file_and_a_new_one_is_another() {
    let disk = SimulatedDisk::new();
    let (keys, sealed) = filled(&disk, 5);
    let before = files_of(&disk);
    keys.destroy(&[subject(1), subject(3), subject(99)]).unwrap();
    for keys in [&keys, &open_keys(&disk, 2).unwrap()] {
        let left: Vec<u64> = (0..5).filter(|one| opens(keys, *one, &sealed)).collect();
        assert_eq!(left, [0, 2, 4]);
    }
    let after = files_of(&disk);
    assert_eq!(
        after.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["contact.key.1", "subjects.1"]
    );
    // Nothing of what lay in the old files is in the new ones: neither the key that opened all, nor an entry.
    for (name, old) in &before {
        for piece in old.chunks(16).filter(|piece| piece.len() == 16 && *piece != subject(0).as_bytes()) {
            let subjects = [0, 2, 4].map(|one| *subject(one).as_bytes());
            let is_name = subjects.iter().any(|id| id == piece);
            let is_there = after.iter().any(|(_, new)| new.windows(16).any(|window| window == piece));
            assert!(is_name || !is_there, "a piece of {name}");
        }
    }

    keys.ensure(subject(1)).unwrap();
    assert!(!opens(&keys, 1, &sealed), "the new key opens nothing that the old one sealed");
    let anew = keys.seal(place(subject(1)), b"mailto:b@example.org").unwrap();
    assert!(open_keys(&disk, 3).unwrap().open_sealed(place(subject(1)), &anew).is_ok());
}

#[test]
fn nothing_is_written_where_nobody_has_a_key() {
    let disk = SimulatedDisk::new();
    let (keys, _) = filled(&disk, 2);
    let before = files_of(&disk);
    keys.destroy(&[subject(7)]).unwrap();
    keys.destroy(&[]).unwrap();
    assert_eq!(files_of(&disk), before);
}

/// The power goes at each operation of a destruction, of the first one from the files without a number and of a later one.
#[test]
fn a_power_cut_at_any_operation_leaves_a_key_whole_or_gone_and_others_there() {
    for earlier in 0..2 {
        let mut answered = false;
        let mut cuts = 0;
        while !answered {
            // A destruction has more than ten operations.
            for seed in seeds(8, 10) {
                let disk = SimulatedDisk::new();
                let (keys, sealed) = filled(&disk, 4);
                if earlier == 1 {
                    keys.destroy(&[subject(3)]).unwrap();
                }
                disk.stop_after(cuts);
                answered = keys.destroy(&[subject(1)]).is_ok();
                // Whoever goes on gets no answer that a start takes back.
                let added = keys.ensure(subject(50)).is_ok();
                disk.power_cut(&SeededRandom::new(seed));
                let context = format!("{earlier} earlier, cut {cuts}, seed {seed}");

                let reopened = open_keys(&disk, 9).expect(&context);
                assert!(opens(&reopened, 0, &sealed) && opens(&reopened, 2, &sealed), "{context}");
                assert!(!added || reopened.has(subject(50)), "{context}");
                assert!(!answered || !reopened.has(subject(1)), "{context}: it was answered");
                // The question is put again at the start: then it is gone, and no file but those in force is left.
                reopened.destroy(&[subject(1)]).expect(&context);
                assert!(!reopened.has(subject(1)), "{context}");
                assert_eq!(files_of(&disk).len(), 2, "{context}");
                let again = open_keys(&disk, 10).expect(&context);
                assert!(opens(&again, 0, &sealed) && opens(&again, 2, &sealed), "{context}");
                assert!(!opens(&again, 1, &sealed), "{context}");
            }
            cuts += 1;
        }
        assert!(cuts > 10, "{cuts} operations");
    }
}

/// One operation fails, the process goes on, and the power goes later.
#[test]
fn a_failed_operation_loses_no_key_that_is_made_afterwards() {
    for kind in [std::io::ErrorKind::Other, std::io::ErrorKind::StorageFull] {
        for at in 0..40 {
            for seed in seeds(4, 40) {
                let context = format!("{kind:?} at {at}, seed {seed}");
                let disk = SimulatedDisk::new();
                let (keys, sealed) = filled(&disk, 3);
                disk.fail_after(at, kind);
                let answered = keys.destroy(&[subject(1)]).is_ok();
                disk.heal();
                keys.ensure(subject(60)).expect(&context);
                let made = keys.seal(place(subject(60)), b"x").unwrap();
                let again = if seed % 2 == 0 { keys.destroy(&[subject(1)]).is_ok() } else { answered };
                disk.power_cut(&SeededRandom::new(seed));
                let reopened = open_keys(&disk, 9).expect(&context);
                assert!(reopened.open_sealed(place(subject(60)), &made).is_ok(), "{context}");
                assert!(opens(&reopened, 0, &sealed) && opens(&reopened, 2, &sealed), "{context}");
                assert!(!again || !opens(&reopened, 1, &sealed), "{context}");
            }
        }
    }
}

#[test]
fn a_damaged_key_file_is_refused_and_not_made_anew() {
    let disk = SimulatedDisk::new();
    let (keys, _) = filled(&disk, 3);
    keys.destroy(&[subject(1)]).unwrap();
    for (name, place) in [("contact.key.1", 30), ("subjects.1", 20)] {
        let bytes = disk.contents(name).unwrap();
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        disk.set_contents(name, damaged);
        assert!(matches!(open_keys(&disk, 2), Err(Error::Seal(_))), "{name}");
        disk.set_contents(name, bytes);
    }
    let bytes = disk.contents("subjects.1").unwrap();
    disk.set_contents("subjects.1", bytes[..76].to_vec());
    assert!(matches!(open_keys(&disk, 2), Err(Error::Seal(_))), "an entry is missing");
    disk.set_contents("subjects.1", [bytes.as_slice(), &[1; 40]].concat());
    assert_eq!(open_keys(&disk, 2).unwrap().count(), 2, "a torn tail was never used");
}

#[test]
fn those_who_ask_at_the_same_time_are_all_answered() {
    let disk = SimulatedDisk::new();
    let (keys, sealed) = filled(&disk, 40);
    let before = disk.operations();
    std::thread::scope(|scope| {
        for one in 0..39 {
            let keys = &keys;
            scope.spawn(move || keys.destroy(&[subject(one)]).unwrap());
        }
    });
    assert!(disk.operations() - before < 39 * 25, "some share one rewriting, or none does more than one");
    let left: Vec<u64> = (0..40).filter(|one| opens(&open_keys(&disk, 2).unwrap(), *one, &sealed)).collect();
    assert_eq!(left, [39]);
}

/// Puts keys of so many more subjects beside those on disk; the next destruction writes them.
fn grow(keys: &SubjectKeys, count: u64) {
    let random = SeededRandom::new(77);
    let mut known = keys.keys.write().unwrap();
    for _ in 0..count {
        known.insert(Id::from_bytes(random_array(&random)), Zeroizing::new(random_array(&random)));
    }
}

#[test]
fn very_many_are_written_and_read_in_few_operations() {
    let disk = SimulatedDisk::new();
    let (keys, sealed) = filled(&disk, 3);
    grow(&keys, 40_000);
    let before = disk.operations();
    keys.destroy(&[subject(1)]).unwrap();
    assert!(disk.operations() - before < 40, "{}", disk.operations() - before);
    let before = disk.operations();
    let reopened = open_keys(&disk, 2).unwrap();
    assert!(disk.operations() - before < 40, "{}", disk.operations() - before);
    assert_eq!(reopened.count(), 40_002);
    assert!(opens(&reopened, 0, &sealed) && opens(&reopened, 2, &sealed) && !opens(&reopened, 1, &sealed));
}
