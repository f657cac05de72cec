//! Backups that are broken off.

use std::io;

use ingam_journal::simulated::seeds;

use super::*;

/// What is in the folder of backups.
pub(super) fn folder(disk: &SimulatedDisk) -> BTreeMap<String, Vec<u8>> {
    disk.everything().into_iter().filter(|(path, _)| path.starts_with("backups/")).collect()
}

/// The newest set is of this number, and restores to its moment; without one there is none.
pub(super) fn check_newest(world: &World, disk: &SimulatedDisk, expected: Option<(u64, &Whole)>, case: &str) {
    let copy = disk.copy();
    match (world.restore(&copy, None), expected) {
        (Ok(found), Some((number, whole))) => {
            assert_eq!(found.number, number, "{case}");
            assert!(restored(&copy) == *whole, "{case}: set {number} is another one");
        }
        (Err(_), None) => {}
        (Ok(found), None) => panic!("{case}: there is a set {}", found.number),
        (Err(error), Some((number, _))) => panic!("{case}: set {number}: {}", told(&error)),
    }
}

/// Whatever came of the backup of the second moment: what was acknowledged is there, nothing is there by half, and the next
/// one works. What earlier sets have stays as it was.
fn judge(
    world: &World,
    base: &SimulatedDisk,
    disk: &SimulatedDisk,
    is_made: bool,
    whole: &[Whole; 2],
    case: &str,
) {
    let is_kept = |earlier: &SimulatedDisk| {
        let now = folder(disk);
        folder(earlier).iter().all(|(path, bytes)| path.ends_with(".new") || now.get(path) == Some(bytes))
    };
    assert!(is_kept(base), "{case}: an earlier set has changed");
    let has = |disk: &SimulatedDisk, number: u64| {
        disk.contents(&format!("{BACKUPS}/sets/{number:06}.json")).is_some()
    };
    let [first, second] = whole;
    let had_one = has(base, 1);
    let number = 1 + u64::from(had_one);
    let is_there = has(disk, number);
    assert!(is_there || !is_made, "{case}: a set that was acknowledged is gone");
    let newest = if is_there { Some((number, second)) } else { had_one.then_some((1, first)) };
    check_newest(world, disk, newest, case);
    let before = disk.copy();
    let again = world.back_up(disk, 1).unwrap_or_else(|error| panic!("{case}: again: {}", told(&error)));
    disk.power_cut(&dice(1, 1));
    let newest = number + u64::from(is_there);
    assert_eq!(again.number, newest, "{case}");
    check_newest(world, disk, Some((newest, second)), case);
    // Without the set, its objects belong to nothing, and are written over.
    assert!(is_kept(if is_there { &before } else { base }), "{case}: an earlier set has changed");
}

fn operations(world: &World, disk: &SimulatedDisk) -> u64 {
    let copy = with_folder(disk);
    let before = copy.operations();
    world.back_up(&copy, 1).unwrap();
    copy.operations() - before
}

/// A copy, in which the folder of backups is there although nothing may be in it.
fn with_folder(disk: &SimulatedDisk) -> SimulatedDisk {
    let copy = disk.copy();
    Folders::files(&copy, Path::new(BACKUPS)).unwrap();
    copy
}

#[test]
fn the_power_is_cut_at_each_operation_of_a_backup() {
    let world = World::new();
    let whole = world.expected();
    let mut cuts = 0;
    for has_set in [true, false] {
        let base = world.disk(has_set);
        let total = operations(&world, &base);
        for seed in seeds(1, total) {
            for at in 0..=total {
                let disk = with_folder(&base);
                disk.stop_after(at);
                let is_made = world.back_up(&disk, 1).is_ok();
                disk.power_cut(&dice(seed, at));
                judge(&world, &base, &disk, is_made, &whole, &format!("seed {seed}, {has_set}, cut at {at}"));
                cuts += 1;
            }
        }
    }
    println!("{cuts} cuts");
}

#[test]
fn any_one_operation_of_a_backup_may_fail() {
    let world = World::new();
    let whole = world.expected();
    for has_set in [true, false] {
        let base = world.disk(has_set);
        let total = operations(&world, &base);
        for (seed, at) in seeds(1, total).flat_map(|seed| (0..total).map(move |at| (seed, at))) {
            let kind = kind(seed + at);
            let case = format!("seed {seed}, {kind:?} at {at}, {has_set}");
            let disk = with_folder(&base);
            let before = folder(&disk);
            disk.fail_after(at, kind);
            let made = world.back_up(&disk, 1);
            disk.heal();
            if let Err(error) = &made {
                assert!(told(error).contains("a fault that was asked for"), "{case}: {}", told(error));
                let lists = |path: &&String| path.ends_with(".json");
                let after = folder(&disk);
                let is_named = after.keys().filter(lists).count() > before.keys().filter(lists).count();
                assert!(is_named || after == before, "{case}: something is left: {:?}", after.keys());
            }
            disk.power_cut(&dice(seed, at));
            judge(&world, &base, &disk, made.is_ok(), &whole, &case);
        }
    }
}

#[test]
fn a_full_disk_takes_no_backup_and_keeps_nothing_of_it() {
    let world = World::new();
    let whole = world.expected();
    let base = world.disk(true);
    let before = folder(&base);
    let used: usize = base.everything().values().map(Vec::len).sum();
    let mut refused = 0;
    for room in (0..).map(|step| step * 4000) {
        let disk = base.copy();
        disk.set_room(Some((used + room) as u64));
        let made = world.back_up(&disk, 1);
        disk.set_room(None);
        if let Err(error) = &made {
            assert!(
                told(error).contains(&io::Error::from(io::ErrorKind::StorageFull).to_string()),
                "{}",
                told(error)
            );
            assert_eq!(folder(&disk), before, "{room}");
            refused += 1;
        }
        judge(&world, &base, &disk, made.is_ok(), &whole, &format!("{room} bytes of room"));
        if made.is_ok() {
            break;
        }
    }
    assert!(refused > 3, "only {refused} were refused");
}
