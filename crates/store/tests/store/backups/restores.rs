//! Restores that are broken off.

use ingam_journal::simulated::seeds;

use super::*;

/// A disk with two sets on it, and what the second one restores to.
fn base() -> (World, SimulatedDisk, Whole) {
    let world = World::new();
    let disk = world.disk(true);
    world.back_up(&disk, 1).unwrap();
    let [_, second] = world.expected();
    (world, disk.copy(), second)
}

fn operations(world: &World, base: &SimulatedDisk) -> u64 {
    let copy = base.copy();
    world.restore(&copy, None).unwrap();
    copy.operations()
}

/// Whatever came of a restore: what starts is whole, and what is not whole is restored again, or says what to do before.
fn judge(world: &World, disk: &SimulatedDisk, is_done: bool, whole: &Whole, case: &str) -> bool {
    let starts = starts(disk);
    assert!(starts || !is_done, "{case}: it was acknowledged, and does not start");
    if starts {
        assert!(restored(disk) == *whole, "{case}: something starts that is not whole");
        return false;
    }
    let mut had_to_be_deleted = false;
    if let Err(error) = world.restore(disk, None) {
        assert!(matches!(error, Error::HalfRestored(_)), "{case}: {}", told(&error));
        assert!(told(&error).contains("delete everything in it, and restore again"), "{case}");
        assert!(!self::starts(disk), "{case}: what was refused starts afterwards");
        had_to_be_deleted = true;
        for name in Folders::list(disk, Path::new(NEW)).unwrap() {
            disk.remove_all(&Path::new(NEW).join(name)).unwrap();
        }
        world.restore(disk, None).unwrap_or_else(|error| panic!("{case}: deleted: {}", told(&error)));
    }
    disk.power_cut(&dice(1, 1));
    assert!(self::starts(disk), "{case}: restored again");
    assert!(restored(disk) == *whole, "{case}: restored again");
    had_to_be_deleted
}

#[test]
fn the_power_is_cut_at_each_operation_of_a_restore() {
    let (world, base, whole) = base();
    let total = operations(&world, &base);
    let (mut cuts, mut deleted) = (0, 0);
    for seed in seeds(1, total) {
        for at in 0..=total {
            let disk = base.copy();
            disk.stop_after(at);
            let is_done = world.restore(&disk, None).is_ok();
            disk.power_cut(&dice(seed, at));
            let case = format!("seed {seed}, cut at {at}");
            deleted += usize::from(judge(&world, &disk, is_done, &whole, &case));
            cuts += 1;
        }
    }
    assert!(deleted > 0, "no cut fell between the first thing in its place and the last");
    println!("{cuts} cuts");
}

#[test]
fn any_one_operation_of_a_restore_may_fail() {
    let (world, base, whole) = base();
    let total = operations(&world, &base);
    for (seed, at) in seeds(1, total).flat_map(|seed| (0..total).map(move |at| (seed, at))) {
        let kind = kind(seed + at);
        let disk = base.copy();
        disk.fail_after(at, kind);
        let done = world.restore(&disk, None);
        disk.heal();
        let case = format!("seed {seed}, {kind:?} at {at}");
        if let Err(error) = &done {
            assert!(told(error).contains("a fault that was asked for"), "{case}: {}", told(error));
        }
        disk.power_cut(&dice(seed, at));
        judge(&world, &disk, done.is_ok(), &whole, &case);
    }
}

#[test]
fn what_is_in_a_folder_is_never_written_over() {
    let (world, base, _) = base();
    base.set_contents(&format!("{NEW}/keys/another.pem"), b"of somebody else".to_vec());
    let before = base.everything();
    let refused = world.restore(&base, None).unwrap_err();
    assert!(told(&refused).contains("is not empty: keys is in it"), "{}", told(&refused));
    assert_eq!(base.everything(), before);
}
