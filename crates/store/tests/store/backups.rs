//! Proves that a backup that was acknowledged restores wholly, whenever the power goes or the disk fails afterwards or in the
//! next one, or while older ones are let go; that no half of a set is ever taken for a whole one; and that what a restore leaves that was broken off anywhere
//! does not start, and can be restored again.
//!
//! Not a failure: a backup that was not acknowledged may be there, as long as it is there wholly.

mod prunes;
mod restores;
mod sets;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ingam_journal::folders::{Folders, Kind};
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{SeededRandom, random_array};
use ingam_store::backup::{
    BackupPlan, Identity, Made, RestorePlan, Restored, SigningKey, Snapshot, make, refuse_half_restored,
    restore,
};
use ingam_store::engine::redb::{RedbConfig, RedbEngine};
use ingam_store::engine::{Engine, Pair, Table};
use ingam_store::{AbandonedBy, Admission, Config, Error, Parts, Store, table_classes};

use crate::made::{
    MINUTE, Open, claim, failure, insert_account, issue, order, ready_order, record, run, start, wanted,
};

const CA: &str = "/ca";
const BACKUPS: &str = "/backups";
const NEW: &str = "/new";

/// What of a state folder goes along as it is.
const PARTS: [&str; 6] = ["hierarchy.json", "journal-keys", "keys", "ledger", "log", "roots"];

/// A CA at two moments, one after the other.
struct World {
    moments: [Moment; 2],
    identity: Identity,
}

/// Everything that a backup of the moment has, and nothing else but `contacts/`.
struct Moment {
    state: SimulatedDisk,
    /// The store's own, which no backup reads: it has a snapshot.
    tables: SimulatedDisk,
    snapshot: Snapshot,
    rows: Rows,
    /// The snapshot is of this store.
    _open: Open,
}

/// Rows of each table. Of the outbox those that a restore did not add about itself: they name the set.
type Rows = BTreeMap<&'static str, Vec<Pair>>;

/// What is in a state folder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Whole {
    rows: Rows,
    files: BTreeMap<String, Vec<u8>>,
}

/// What signs lists. It lies in no part here: it is the same for whoever asks.
fn key() -> SigningKey {
    SigningKey::open(&SimulatedDisk::new(), Path::new(""), &SeededRandom::new(1)).unwrap()
}

impl World {
    fn new() -> Self {
        let random = Arc::new(SeededRandom::new(3));
        let first = Moment::after(None, "first", &random);
        let second = Moment::after(Some(&first), "second", &random);
        Self { moments: [first, second], identity: Identity::new(random.as_ref()) }
    }

    /// A disk with the state of the second moment, and the set of the first one if there is one.
    fn disk(&self, has_set: bool) -> SimulatedDisk {
        let [first, second] = &self.moments;
        let disk = second.state.copy();
        Folders::files(&disk, Path::new(BACKUPS)).unwrap();
        if has_set {
            let earlier = first.state.copy();
            Folders::files(&earlier, Path::new(BACKUPS)).unwrap();
            self.back_up(&earlier, 0).unwrap();
            for (path, bytes) in
                earlier.everything().into_iter().filter(|(path, _)| path.starts_with("backups/"))
            {
                disk.set_contents(&path, bytes);
            }
        }
        disk
    }

    fn back_up(&self, disk: &SimulatedDisk, moment: usize) -> Result<Made, Error> {
        let random = SeededRandom::new(disk.operations());
        let key = key();
        make(
            &BackupPlan {
                disk,
                state: Path::new(CA),
                parts: &PARTS.map(str::to_owned),
                folder: Path::new(BACKUPS),
                recipient: self.identity.recipient(),
                key: &key,
                now: start().plus(MINUTE * u32::try_from(moment).unwrap()),
                random: &random,
            },
            &self.moments[moment].snapshot,
        )
    }

    fn restore(&self, disk: &SimulatedDisk, set: Option<u64>) -> Result<Restored, Error> {
        restore(&RestorePlan {
            disk,
            from: Path::new(BACKUPS),
            identity: &self.identity,
            signer: None,
            to: Path::new(NEW),
            at: None,
            set,
            config: &Config::default(),
            now: start().plus(MINUTE * 60),
            // The same records each time.
            random: &SeededRandom::new(9),
        })
    }

    /// What each moment restores to, when nothing goes wrong.
    fn expected(&self) -> [Whole; 2] {
        let disk = self.disk(true);
        self.back_up(&disk, 1).unwrap();
        [1, 2].map(|set| {
            let disk = disk.copy();
            self.restore(&disk, Some(set)).unwrap();
            restored(&disk)
        })
    }
}

impl Moment {
    fn after(earlier: Option<&Self>, name: &str, random: &Arc<SeededRandom>) -> Self {
        let (disk, tables) =
            earlier.map_or_else(Default::default, |one| (one.state.copy(), one.tables.copy()));
        // What happens first is in the journal, what happens then still in the outbox.
        let open = open(&disk, &tables, random);
        run(live(&open.store, random));
        open.close();
        let open = self::open(&disk, &tables, random);
        run(live(&open.store, random));
        for part in ["hierarchy.json", "keys/ecdsa.pem", "ledger/0001", "log/leaves", "log/heads/1"] {
            disk.set_contents(&format!("{CA}/{part}"), format!("{part} {name} ").repeat(400).into_bytes());
        }
        disk.set_contents(&format!("{CA}/roots/root.pem"), b"never changes".to_vec());
        Self {
            snapshot: run(open.store.snapshot()).unwrap(),
            rows: rows(open.engine.as_ref().unwrap().as_ref()),
            state: disk.copy(),
            tables: tables.copy(),
            _open: open,
        }
    }
}

fn open(disk: &SimulatedDisk, tables: &SimulatedDisk, random: &Arc<SeededRandom>) -> Open {
    let files = |name: &str| Folders::files(disk, &Path::new(CA).join(name)).unwrap();
    let path = Path::new("store.redb");
    let engine: Arc<dyn Engine> = Arc::new(RedbEngine::open_in(tables, path, RedbConfig::default()).unwrap());
    let parts = Parts {
        engine: engine.clone(),
        journal: files("journal"),
        journal_keys: files("journal-keys"),
        keys: files("contacts"),
        random: random.clone(),
    };
    let (store, threads) = Store::assemble(parts).unwrap();
    Open { store, threads, engine: Some(engine) }
}

/// Something of every kind is done: accounts with contacts, certificates, revoked ones, orders in each state.
async fn live(store: &Store, random: &SeededRandom) {
    let account = insert_account(store, random).await.id;
    for _ in 0..3 {
        issue(store, wanted(account, random), random).await;
    }
    let (pending, authorization) = order(account, random);
    let told = record(RecordType::OrderCreated, pending.id, random);
    store.order_insert(pending, vec![authorization], told, Admission::default()).await.unwrap();
    for ending in 0..3 {
        let order = ready_order(store, account, "b.example.org", random).await;
        let told = |kind| record(kind, order, random);
        let claim = claim(random);
        let token = claim.token;
        store
            .order_claim(order, claim, start(), told(RecordType::CertificatePrepared), Vec::new())
            .await
            .unwrap();
        if ending > 0 {
            store.order_ask(order, token, start(), told(RecordType::SignatureAsked)).await.unwrap().unwrap();
        }
        if ending > 1 {
            let by = AbandonedBy::Holder(token);
            let told = told(RecordType::IssuanceAbandoned);
            store.order_abandon(order, by, failure(), start(), told).await.unwrap().unwrap();
        }
    }
}

fn rows(engine: &dyn Engine) -> Rows {
    let of_restore =
        |row: &Pair| Record::decode(&row.1).is_ok_and(|record| record.kind == RecordType::StoreRestored);
    table_classes()
        .map(|(name, _)| {
            let mut rows = engine.range(Table::new(name), &[], None, usize::MAX).unwrap();
            rows.retain(|row| name != "outbox" || !of_restore(row));
            (name, rows)
        })
        .collect()
}

/// What is in the new state folder. The disk stays as it is.
fn restored(disk: &SimulatedDisk) -> Whole {
    let copy = disk.copy();
    let path = Path::new(NEW).join("store.redb");
    let rows = rows(&RedbEngine::open_in(&copy, &path, RedbConfig::default()).unwrap());
    let files = disk.everything().into_iter().filter_map(|(path, bytes)| {
        let name = path.strip_prefix("new/")?;
        (!name.starts_with("store.redb")).then(|| (name.to_owned(), bytes))
    });
    Whole { rows, files: files.collect() }
}

/// Whether a CA starts in the new folder, as `ingam serve` does it; the disk stays as it is.
fn starts(disk: &SimulatedDisk) -> bool {
    let copy = disk.copy();
    // Copies have no empty folders.
    if disk.kind(&Path::new(NEW).join("restoring.new")).unwrap() == Some(Kind::Folder) {
        assert!(refuse_half_restored(disk, Path::new(NEW)).is_err());
        return false;
    }
    if copy.contents(&format!("{NEW}/hierarchy.json")).is_none() {
        return false;
    }
    let random = Arc::new(SeededRandom::new(5));
    match Store::open_in(&copy, Path::new(NEW), &Config::default(), random) {
        Ok((_, threads)) => {
            threads.close();
            true
        }
        Err(_) => false,
    }
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

/// How an operation fails: each in both ways, one after the other.
fn kind(number: u64) -> io::ErrorKind {
    if number.is_multiple_of(2) { io::ErrorKind::Other } else { io::ErrorKind::StorageFull }
}

/// A source of chance for what a power cut leaves.
fn dice(seed: u64, at: u64) -> SeededRandom {
    let random = SeededRandom::new(seed * 1_000_003 + at);
    let _: [u8; 8] = random_array(&random);
    random
}

#[test]
fn a_restored_folder_has_the_rows_and_files_of_its_moment() {
    let world = World::new();
    for (moment, whole) in world.moments.iter().zip(world.expected()) {
        for name in ["accounts", "contacts", "certificates", "certificates_by_time", "approvals", "roles"] {
            assert_eq!(whole.rows[name], moment.rows[name], "{name}");
        }
        assert!(whole.rows["certificates"].len() >= 3 && !whole.rows["contacts"].is_empty());
        assert!(whole.rows["orders"].len() == moment.rows["orders"].len());
        let state = moment.state.everything();
        for (path, bytes) in &state {
            let Some(name) = path.strip_prefix("ca/").filter(|name| !name.starts_with("contacts")) else {
                continue;
            };
            let name = name.replacen("log/", &format!("log.before-restore-{}/", start().unix_s() + 3600), 1);
            // The open segments of the journal may have grown since.
            let there = whole.files.get(&name).unwrap_or_else(|| panic!("{name} is missing"));
            match name.starts_with("journal/") {
                true => assert!(bytes.starts_with(there) && !there.is_empty(), "{name}"),
                false => assert_eq!(there, bytes, "{name}"),
            }
        }
        let contacts = state.keys().filter(|path| path.starts_with("ca/contacts/")).count();
        assert_eq!(whole.files.len(), state.len() - contacts, "{:?}", whole.files.keys());
        assert!(whole.files.keys().any(|name| name.starts_with("journal/")), "{:?}", whole.files.keys());
    }
}
