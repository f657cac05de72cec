//! A rebuild that is broken off anywhere leaves the old store or the new one, whole; and a second one comes to the same end.

use std::io;
use std::path::Path;

use ingam_journal::folders::Folders;
use ingam_journal::simulated::seeds;
use ingam_protocol::record::Class;
use ingam_store::engine::redb::{RedbConfig, RedbEngine};
use ingam_store::rebuild::rebuild;
use ingam_store::{Config, Error};

use super::*;

const CA: &str = "/ca";
const ASIDE: &str = "/ca/store.before-rebuild-1";

/// Of the operations in which the new store is filled, one in so many is cut off with each seed; of those around the switch, all.
const STEP: usize = 11;
const AROUND_THE_SWITCH: u64 = 60;

type Rows = BTreeMap<&'static str, Vec<Pair>>;

/// A CA with a history and what it left in its outbox, and what becomes of it.
struct Ca {
    world: World,
    disk: SimulatedDisk,
    before: Rows,
    records: BTreeSet<Id>,
    /// The uninterrupted rebuild.
    rebuilt: Rebuilt,
    after: Rows,
    operations: u64,
}

fn engine(disk: &SimulatedDisk, folder: &str) -> Arc<dyn Engine> {
    let path = Path::new(folder).join("store.redb");
    Arc::new(RedbEngine::open_in(disk, &path, RedbConfig::default()).unwrap())
}

/// The rows of the store in a folder. The disk stays as it is.
fn all_rows(disk: &SimulatedDisk, folder: &str) -> Rows {
    let engine = engine(&disk.copy(), folder);
    TABLES.iter().map(|(table, _)| (*table, rows(engine.as_ref(), table))).collect()
}

/// Every record of the journal and the outbox.
fn records(disk: &SimulatedDisk) -> BTreeSet<Id> {
    let disk = disk.copy();
    let files = |name: &str| Folders::files(&disk, &Path::new(CA).join(name)).unwrap();
    let keys = SegmentKeys::open(files("journal-keys").as_ref(), Arc::new(SeededRandom::new(1))).unwrap();
    let journal = Journal::open(files("journal"), Arc::new(keys), JournalConfig::default()).unwrap();
    journal.verify().unwrap();
    let archived = Class::ALL.into_iter().flat_map(|class| journal.records(class).map(|one| one.unwrap().id));
    let waiting = rows(engine(&disk, CA).as_ref(), "outbox");
    let waiting = waiting.iter().map(|(_, bytes)| Record::decode(bytes).unwrap().id);
    archived.chain(waiting).collect()
}

impl Ca {
    fn new() -> Self {
        let world = world();
        let mut process = world.start();
        let mut made = Made::default();
        let dice = Dice(SeededRandom::new(2));
        made.accounts.extend(new_account(&process, &["mailto:first@example.net".to_owned()], None));
        for _ in 0..60 {
            step(&world, &process, &mut made, &dice);
        }
        leave_open(&world, &mut process);
        process.stop();
        let process = world.start();
        made.accounts.extend(new_account(&process, &["mailto:last@example.net".to_owned()], None));
        world.crash(process);

        let disk = SimulatedDisk::new();
        let bring = |from: &SimulatedDisk, folder: &dyn Fn(&str) -> &'static str| {
            for (name, bytes) in from.everything() {
                disk.set_contents(&format!("{CA}{}/{name}", folder(&name)), bytes);
            }
        };
        bring(&world.tables, &|_| "");
        bring(&world.journal, &|name| if name == "keys" { "/journal-keys" } else { "/journal" });
        bring(&world.keys, &|_| "/contacts");
        let whole = disk.copy();
        let rebuilt = rebuild_on(&whole, &world).unwrap();
        assert!(rebuilt.outbox_moved && rebuilt.certificates > 3, "{rebuilt:?}");
        Self {
            before: all_rows(&disk, CA),
            records: records(&disk),
            after: all_rows(&whole, CA),
            operations: whole.operations(),
            world,
            disk,
            rebuilt,
        }
    }

    fn rebuild(&self, disk: &SimulatedDisk) -> Result<Rebuilt, Error> {
        rebuild_on(disk, &self.world)
    }

    /// The operations after which something is to happen.
    fn moments(&self, seed: u64) -> impl Iterator<Item = u64> {
        let switch = self.operations.saturating_sub(AROUND_THE_SWITCH);
        (seed % STEP as u64..switch).step_by(STEP).chain(switch..=self.operations)
    }

    /// One of both stores is there, whole, starts, and has every record; a second rebuild comes to the same end.
    fn judge(&self, disk: &SimulatedDisk, is_done: bool, case: &str) {
        let now = all_rows(disk, CA);
        let is_new = now == self.after;
        assert!(is_new || !is_done, "{case}: it was acknowledged, and is not there");
        if is_new {
            assert!(
                all_but_outbox(&all_rows(disk, ASIDE)) == all_but_outbox(&self.before),
                "{case}: nothing is aside"
            );
        } else {
            assert!(
                all_but_outbox(&now) == all_but_outbox(&self.before),
                "{case}: neither the old store nor the new"
            );
        }
        let missing: Vec<_> = self.records.difference(&records(disk)).copied().collect();
        assert!(missing.is_empty(), "{case}: records are gone: {missing:?}");
        self.start(disk, case);
        self.again(disk, case);
    }

    fn start(&self, disk: &SimulatedDisk, case: &str) {
        let random = self.world.random.clone();
        let opened = Store::open_in(&disk.copy(), Path::new(CA), &Config::default(), random);
        let (store, threads) = opened.unwrap_or_else(|error| panic!("{case}: it does not start: {error:?}"));
        let accounts = store.accounts(Id::from_bytes([0; 16]), usize::MAX).unwrap();
        assert_eq!(accounts.len(), self.before["accounts"].len(), "{case}");
        drop(store);
        threads.close();
    }

    fn again(&self, disk: &SimulatedDisk, case: &str) {
        let again = self.rebuild(disk).unwrap_or_else(|error| panic!("{case}: again: {error:?}"));
        assert!(again.outbox_moved, "{case}");
        disk.power_cut(&SeededRandom::new(1));
        let anew =
            Anew { rebuilt: self.rebuilt.clone(), old: engine(&self.disk.copy(), CA), new: engine(disk, CA) };
        compare(&anew);
        drop(anew);
        self.start(disk, case);
    }
}

fn rebuild_on(disk: &SimulatedDisk, world: &World) -> Result<Rebuilt, Error> {
    // The same names of records each time.
    let random = Arc::new(SeededRandom::new(4));
    rebuild(disk, Path::new(CA), &Config::default(), "a test", world.clock.now(), random)
}

/// What waits in the outbox may have gone into the journal.
fn all_but_outbox(rows: &Rows) -> Rows {
    rows.iter().filter(|(table, _)| **table != "outbox").map(|(table, rows)| (*table, rows.clone())).collect()
}

/// Everything that an error says.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[test]
fn the_power_is_cut_at_the_operations_of_a_rebuild() {
    let ca = Ca::new();
    let mut cuts = 0;
    for seed in seeds(1, ca.moments(0).count() as u64) {
        for at in ca.moments(seed) {
            let disk = ca.disk.copy();
            disk.stop_after(at);
            let is_done = ca.rebuild(&disk).is_ok();
            disk.power_cut(&SeededRandom::new(seed * 1_000_003 + at));
            ca.judge(&disk, is_done, &format!("seed {seed}, cut at {at} of {}", ca.operations));
            cuts += 1;
        }
    }
    println!("{cuts} cuts");
}

#[test]
fn one_operation_of_a_rebuild_fails() {
    let ca = Ca::new();
    let each = ca.moments(0).count() as u64;
    for (kind, seed) in
        seeds(1, each).flat_map(|seed| [(io::ErrorKind::Other, seed), (io::ErrorKind::StorageFull, seed + 5)])
    {
        for at in ca.moments(seed) {
            let case = format!("{kind:?} at {at} of {}", ca.operations);
            let disk = ca.disk.copy();
            disk.fail_after(at, kind);
            let rebuilt = ca.rebuild(&disk);
            disk.heal();
            if let Err(error) = &rebuilt {
                assert!(told(error).contains("a fault that was asked for"), "{case}: {}", told(error));
            }
            assert!(
                rebuilt.as_ref().map_or(true, |rebuilt| rebuilt.outbox_moved),
                "{case}: it can be read again"
            );
            disk.power_cut(&SeededRandom::new(at));
            ca.judge(&disk, rebuilt.is_ok(), &case);
        }
    }
}

#[test]
fn a_store_that_is_damaged_is_set_aside() {
    let ca = Ca::new();
    let sound = ca.disk.contents(&format!("{CA}/store.redb")).unwrap();
    let damaged = [vec![0x5a; 100_000], sound[..sound.len() / 3].to_vec(), Vec::new()];
    for (number, damaged) in damaged.into_iter().enumerate() {
        let disk = ca.disk.copy();
        disk.set_contents(&format!("{CA}/store.redb"), damaged.clone());
        let rebuilt = ca.rebuild(&disk).unwrap_or_else(|error| panic!("{number}: {}", told(&error)));
        assert!(!rebuilt.outbox_moved, "{number}: the answer says that something may be missing");
        disk.power_cut(&SeededRandom::new(1));
        let aside = disk.contents(&format!("{ASIDE}/store.redb"));
        // What redb takes for its own it may have mended before it gave it up.
        assert!(aside.is_some_and(|aside| number > 0 || aside == damaged), "{number}");
        let now = all_rows(&disk, CA);
        assert_eq!(now["certificates"], ca.before["certificates"], "{number}");
        assert_eq!(now["accounts"].len() + 1, ca.before["accounts"].len(), "{number}: one was in the outbox");
    }
}

#[test]
fn a_full_disk_leaves_the_old_store_as_it_was() {
    let ca = Ca::new();
    let used: usize = ca.disk.everything().values().map(Vec::len).sum();
    let mut refused = 0;
    for room in (0..).map(|step| step * 200_000) {
        let disk = ca.disk.copy();
        disk.set_room(Some((used + room) as u64));
        let rebuilt = ca.rebuild(&disk);
        disk.set_room(None);
        let case = format!("{room} bytes of room");
        if let Err(error) = &rebuilt {
            let full = io::Error::from(io::ErrorKind::StorageFull).to_string();
            assert!(told(error).contains(&full), "{case}: {}", told(error));
            assert!(disk.contents(&format!("{ASIDE}/store.redb")).is_none(), "{case}: a part is aside");
            refused += 1;
        }
        ca.judge(&disk, rebuilt.is_ok(), &case);
        if rebuilt.is_ok() {
            break;
        }
    }
    assert!(refused > 1, "only {refused} were refused");
}
