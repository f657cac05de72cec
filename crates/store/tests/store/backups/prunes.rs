//! Letting sets go that is broken off.

use ingam_journal::simulated::seeds;
use ingam_store::backup::{Pruned, prune};

use super::sets::{check_newest, folder};
use super::*;

/// Lets the first set go, and no other.
fn let_go(disk: &SimulatedDisk) -> Result<Pruned, Error> {
    prune(disk, Path::new(BACKUPS), &key(), start().plus(MINUTE / 2), start().plus(MINUTE * 2))
}

/// Whatever came of it: the younger set is whole, the older one is whole or none, and doing it again ends it.
fn judge(
    world: &World,
    disk: &SimulatedDisk,
    whole: &[Whole; 2],
    ended: &BTreeMap<String, Vec<u8>>,
    case: &str,
) {
    let [first, second] = whole;
    check_newest(world, disk, Some((2, second)), case);
    let copy = disk.copy();
    if world.restore(&copy, Some(1)).is_ok() {
        assert!(restored(&copy) == *first, "{case}: the older set is there by half");
    }
    let_go(disk).unwrap_or_else(|error| panic!("{case}: again: {}", told(&error)));
    disk.power_cut(&dice(1, 1));
    check_newest(world, disk, Some((2, second)), case);
    let left = folder(disk).into_keys().filter(|path| !path.ends_with(".new")).collect::<Vec<_>>();
    assert_eq!(left, ended.keys().cloned().collect::<Vec<_>>(), "{case}: something of the older set is left");
    assert_eq!(world.back_up(disk, 1).unwrap().number, 3, "{case}");
    check_newest(world, disk, Some((3, second)), case);
}

#[test]
fn the_power_is_cut_and_the_disk_fails_at_each_operation_of_letting_sets_go() {
    let world = World::new();
    let whole = world.expected();
    let base = world.disk(true);
    world.back_up(&base, 1).unwrap();
    let done = base.copy();
    let before = done.operations();
    let gone = let_go(&done).unwrap();
    assert!(gone.sets == 1 && gone.objects > 0, "{gone:?}");
    let (total, ended) = (done.operations() - before, folder(&done));
    for seed in seeds(1, total) {
        for at in 0..=total {
            let disk = base.copy();
            disk.stop_after(at);
            let is_done = let_go(&disk).is_ok();
            disk.power_cut(&dice(seed, at));
            let case = format!("seed {seed}, cut at {at}");
            let names_it = world.restore(&disk.copy(), Some(1)).is_ok();
            assert!(!(is_done && names_it), "{case}: a set that was let go is there again");
            judge(&world, &disk, &whole, &ended, &case);

            let disk = base.copy();
            let kind = kind(seed + at);
            disk.fail_after(at, kind);
            let outcome = let_go(&disk);
            disk.heal();
            assert!(outcome.is_err() || at >= total, "{case}: {kind:?} was not told");
            judge(&world, &disk, &whole, &ended, &format!("seed {seed}, {kind:?} at {at}"));
        }
    }
}
