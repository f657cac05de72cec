//! Proves that a store of format 1 is one of this format after its opening, with everything in it, found by every
//! index and in rows of this format; that a copy which the older program could read lies beside it; and that whatever stops this on the way, the next
//! opening goes on.
//!
//! What is not a failure: a second copy where the first opening ended between its copy and its first change.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use ingam_protocol::acme::{Claim, FinalBytes, Order, Precertificate};
use ingam_protocol::identifier::{DnsName, Identifier};
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Id, Serial, Timestamp};
use ingam_store::engine::redb::{RedbConfig, RedbEngine};
use ingam_store::engine::sled::SledEngine;
use ingam_store::engine::{Batch, Durability, Engine, Table};
use ingam_store::{
    CertificateIndex, CertificateRow, Config, EngineChoice, Error, IssuedBetween, Store, table_classes,
};

use crate::made::{Disks, certificate, claim, contacts, insert_account, issuer, order, run, start};

const ENGINES: [EngineChoice; 2] = [EngineChoice::Redb, EngineChoice::Sled];

/// More than a migration looks at in one go.
const CERTIFICATES: usize = 1100;

/// The tables that format 1 had.
const FORMAT_1: [&str; 15] = [
    "meta",
    "accounts",
    "accounts_by_key",
    "contacts",
    "orders",
    "orders_by_account",
    "authorizations",
    "authorizations_by_identifier",
    "challenges_open",
    "issuances_open",
    "certificates",
    "statuses",
    "revoked",
    "keys_blocked",
    "outbox",
];

fn raw(folder: &Path, engine: EngineChoice) -> Box<dyn Engine> {
    match engine {
        EngineChoice::Redb => {
            Box::new(RedbEngine::open(&folder.join("store.redb"), RedbConfig::default()).unwrap())
        }
        EngineChoice::Sled => Box::new(SledEngine::open(&folder.join("store.sled")).unwrap()),
    }
}

fn open(folder: &Path, engine: EngineChoice) -> Result<(Store, ingam_store::StoreProcess), Error> {
    Store::open(folder, &Config { engine, ..Config::default() }, Arc::new(SeededRandom::new(9)))
}

type Rows = BTreeMap<(&'static str, Vec<u8>), Vec<u8>>;

/// Everything that lies in the tables.
fn rows(engine: &dyn Engine) -> Rows {
    let tables = table_classes().map(|(name, _)| name);
    tables
        .flat_map(|name| {
            let pairs = engine.range(Table::new(name), &[], None, usize::MAX).unwrap();
            pairs.into_iter().map(move |(key, value)| ((name, key), value))
        })
        .collect()
}

fn format_of(engine: &dyn Engine) -> u64 {
    let row = engine.get(Table::new("meta"), b"format_version").unwrap().unwrap();
    u64::from_be_bytes(row.try_into().unwrap())
}

/// A certificate of the older store.
struct Old {
    account: Id,
    serial: Serial,
    thumbprint: [u8; 32],
    issued: Timestamp,
    names: Vec<Identifier>,
    order: Order,
    row: CertificateRow,
}

/// What the older program left of one certificate: rows as it wrote them, and no index.
fn old_certificate(account: Id, number: usize, random: &SeededRandom, batch: &mut Batch) -> Old {
    let (mut order, _): (Order, _) = order(account, random);
    let name = format!("n{}.example.org", number % 7);
    order.identifiers = match number % 3 {
        0 => vec![Identifier::parse_dns(&name).unwrap()],
        1 => vec![Identifier::parse_dns(&format!("*.{name}")).unwrap()],
        _ => [format!("a.{name}"), name].map(|name| Identifier::parse_dns(&name).unwrap()).into(),
    };
    let claim: Claim = claim(random);
    let issued = Timestamp::from_unix_ms(start().unix_ms() + number as u64 * 7);
    let row = CertificateRow {
        der: certificate().der,
        order: order.id,
        account,
        issued,
        not_before: start(),
        not_after: claim.not_after,
        key_thumbprint: claim.key_thumbprint.clone(),
    };
    let key = [b"ecdsa".as_slice(), &[0], claim.serial.as_bytes()].concat();
    // version 1, good, no reason, no time; notAfter; generation 0.
    let status = [&[1, 2, 0], &[0; 8][..], &claim.not_after.unix_s().to_be_bytes(), &[0; 8]].concat();
    let serial = claim.serial.clone();
    order.claim = Some(claim.clone());
    let precertificate = vec![0x31; 300].into();
    let bytes = FinalBytes { tbs: vec![0x32; 300].into(), asked: issued };
    order.precertificate = Some(Precertificate { der: precertificate, certificate: Some(bytes) });
    order.certificate = Some(serial);
    let old = Old {
        account,
        serial: claim.serial.clone(),
        thumbprint: claim.key_thumbprint[..].try_into().unwrap(),
        issued,
        names: order.identifiers.clone(),
        order: order.clone(),
        row: row.clone(),
    };
    let json = serde_json::json!({
        "der": row.der, "order": row.order, "account": row.account, "issued": row.issued,
        "not_before": row.not_before, "not_after": row.not_after, "key_thumbprint": row.key_thumbprint,
    });
    batch.put(Table::new("certificates"), key.clone(), json.to_string().into_bytes());
    batch.put(Table::new("statuses"), key, status);
    batch.put(Table::new("orders"), *order.id.as_bytes(), serde_json::to_vec(&order).unwrap());
    let pair = [account.as_bytes().as_slice(), order.id.as_bytes()].concat();
    batch.put(Table::new("orders_by_account"), pair, Vec::new());
    old
}

/// Makes of tables that this program has just made some that format 1 would have left.
fn make_old(engine: &dyn Engine, account: Id, count: usize, random: &SeededRandom) -> Vec<Old> {
    let mut batch = Batch::new();
    for (table, key) in rows(engine).into_keys().filter(|(table, _)| !FORMAT_1.contains(table)) {
        batch.delete(Table::new(table), key);
    }
    let made = (0..count).map(|number| old_certificate(account, number, random, &mut batch)).collect();
    batch.put(Table::new("meta"), b"format_version", 1_u64.to_be_bytes());
    engine.commit(&batch, Durability::Durable).unwrap();
    made
}

/// An older store in this folder, with an account that has contacts.
fn old_store(folder: &Path, engine: EngineChoice, count: usize) -> (Vec<Old>, Id) {
    let random = SeededRandom::new(9);
    let (store, threads) = open(folder, engine).unwrap();
    let account = run(insert_account(&store, &random)).id;
    threads.close();
    drop(store);
    (make_old(raw(folder, engine).as_ref(), account, count, &random), account)
}

fn find(store: &Store, index: &CertificateIndex) -> BTreeSet<Serial> {
    let mut found = BTreeSet::new();
    let mut after = None;
    loop {
        let page = store.certificates_find(index, IssuedBetween::default(), after.as_deref(), 1000).unwrap();
        for (_, serial) in page.found {
            assert!(found.insert(serial), "one comes twice");
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

/// Every index leads to what was there before there were any.
fn check(store: &Store, old: &[Old], context: &str) {
    let expect = |index: CertificateIndex, fits: &dyn Fn(&Old) -> bool| {
        let expected: BTreeSet<_> =
            old.iter().filter(|one| fits(one)).map(|one| one.serial.clone()).collect();
        assert_eq!(find(store, &index), expected, "{context}: {index:?}");
    };
    expect(CertificateIndex::Time, &|_| true);
    expect(CertificateIndex::Account(old[0].account), &|_| true);
    expect(CertificateIndex::Key(old[0].thumbprint), &|one| one.thumbprint == old[0].thumbprint);
    let name = DnsName::parse("n3.example.org").unwrap();
    expect(CertificateIndex::Name(name.clone().into()), &|one| {
        one.names.iter().any(|own| own.name() == Some(&name))
    });
    let below = |one: &Old| {
        let covers = |own: &Identifier| {
            own.to_string().ends_with(".n3.example.org") && own.to_string() != "n3.example.org"
        };
        one.names.iter().any(covers)
    };
    expect(CertificateIndex::Below(name), &below);
    let issued = IssuedBetween { from: Some(old[1].issued), until: Some(old[2].issued) };
    let page = store.certificates_find(&CertificateIndex::Time, issued, None, 10).unwrap();
    let serials: BTreeSet<_> = page.found.into_iter().map(|(_, serial)| serial).collect();
    let at_once = old.iter().filter(|one| one.issued == old[1].issued).map(|one| one.serial.clone());
    assert_eq!(serials, at_once.collect(), "{context}: to the millisecond");
    let issuer = issuer();
    for one in old {
        let row = store.certificate_by_serial(&issuer, &one.serial).unwrap();
        assert_eq!(row.as_ref(), Some(&one.row), "{context}");
        let mut order = one.order.clone();
        order.complete(one.serial.clone());
        let found = store.order_by_id(order.id).unwrap().unwrap();
        assert_eq!(serde_json::to_value(found).unwrap(), serde_json::to_value(order).unwrap(), "{context}");
    }
}

/// Whether all rows of certificates are in this version's form, and no order whose certificate is on record has bytes to sign.
fn is_packed(engine: &dyn Engine) -> bool {
    let all = |table: &'static str| engine.range(Table::new(table), &[], None, usize::MAX).unwrap();
    let orders = all("orders");
    all("certificates").iter().all(|(_, row)| row[0] != b'{')
        && orders
            .iter()
            .all(|(_, row)| serde_json::from_slice::<Order>(row).unwrap().claim.unwrap().tbs.is_empty())
}

/// The names and bytes of all files below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn an_older_store_is_brought_to_this_format_after_a_copy() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().unwrap();
        let (old, account) = old_store(folder.path(), engine, CERTIFICATES);
        let before = rows(raw(folder.path(), engine).as_ref());
        let keys = files(&folder.path().join("contacts"));
        let (store, threads) = open(folder.path(), engine).unwrap();
        check(&store, &old, &format!("{engine:?}"));
        assert_eq!(store.account_contacts(account).unwrap(), contacts());
        threads.close();
        drop(store);

        let after = rows(raw(folder.path(), engine).as_ref());
        assert_eq!(format_of(raw(folder.path(), engine).as_ref()), 3);
        assert!(is_packed(raw(folder.path(), engine).as_ref()), "{engine:?}");
        // Nothing else that the older program wrote is another, but for the number of the format and what was archived.
        let is_kept = |(table, key): &(&str, Vec<u8>)| {
            let changes = ["certificates", "orders", "outbox"];
            FORMAT_1.contains(table) && !changes.contains(table) && key != b"format_version"
        };
        let kept = |rows: &Rows| -> Rows {
            rows.iter().filter(|(key, _)| is_kept(key)).map(|(key, row)| (key.clone(), row.clone())).collect()
        };
        assert_eq!(kept(&after), kept(&before), "{engine:?}");

        let copy = folder.path().join("before-format-2");
        assert_eq!(rows(raw(&copy, engine).as_ref()), before, "{engine:?}: what the older program reads");
        assert!(!copy.join("contacts").exists(), "{engine:?}: a copy of the keys would outlive an erasure");
        assert_eq!(
            files(&folder.path().join("contacts")),
            keys,
            "{engine:?}: they are as the older program left them"
        );
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o700);

        // Once is enough.
        let (store, threads) = open(folder.path(), engine).unwrap();
        check(&store, &old, &format!("{engine:?} again"));
        threads.close();
        drop(store);
        assert_eq!(rows(raw(folder.path(), engine).as_ref()), after, "{engine:?}: changed again");
        assert!(!folder.path().join("before-format-2.1").exists());
    }
}

/// The older process was killed: what it had answered for lies in the log alone.
#[test]
fn what_lies_in_the_log_alone_is_copied_and_brought_along() {
    let lived = tempfile::tempdir().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (old, _) = old_store(lived.path(), EngineChoice::Redb, 3);
    let running = raw(lived.path(), EngineChoice::Redb);
    let mut batch = Batch::new();
    let late = old_certificate(old[0].account, 3, &SeededRandom::new(10), &mut batch);
    running.commit(&batch, Durability::Durable).unwrap();
    for (name, bytes) in files(lived.path()) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let before = rows(running.as_ref());
    let old: Vec<_> = old.into_iter().chain([late]).collect();
    let (store, threads) = open(folder.path(), EngineChoice::Redb).unwrap();
    check(&store, &old, "killed");
    threads.close();
    let copy = raw(&folder.path().join("before-format-2"), EngineChoice::Redb);
    assert_eq!(rows(copy.as_ref()), before);
}

#[test]
fn a_copy_that_was_broken_off_is_made_anew_and_one_that_cannot_be_made_stops_the_opening() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().unwrap();
        let (old, _) = old_store(folder.path(), engine, 10);
        let before = rows(raw(folder.path(), engine).as_ref());
        let unfinished = folder.path().join("before-format-2.new");
        std::fs::write(&unfinished, "in the way").unwrap();
        assert!(matches!(open(folder.path(), engine), Err(Error::File(..))), "{engine:?}");
        assert_eq!(rows(raw(folder.path(), engine).as_ref()), before, "{engine:?}: nothing was done");
        std::fs::remove_file(&unfinished).unwrap();
        std::fs::create_dir(&unfinished).unwrap();
        std::fs::write(unfinished.join("store.redb"), "half of it").unwrap();
        let (store, threads) = open(folder.path(), engine).unwrap();
        check(&store, &old, &format!("{engine:?}"));
        threads.close();
        drop(store);
        assert!(!unfinished.exists());
        let copy = folder.path().join("before-format-2");
        assert_eq!(rows(raw(&copy, engine).as_ref()), before, "{engine:?}");
    }
}

/// Whoever went back to the copy and issued more has a copy of that too before it is brought along again.
#[test]
fn a_store_that_was_put_back_is_copied_again() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().unwrap();
        let (old, _) = old_store(folder.path(), engine, 10);
        let first = rows(raw(folder.path(), engine).as_ref());
        let (store, threads) = open(folder.path(), engine).unwrap();
        threads.close();
        drop(store);
        // As of the older program, with one more certificate since.
        let tables = raw(folder.path(), engine);
        let made = make_old(tables.as_ref(), old[0].account, 11, &SeededRandom::new(11));
        let second = rows(tables.as_ref());
        drop(tables);
        let old: Vec<_> = old.into_iter().chain(made).collect();
        let (store, threads) = open(folder.path(), engine).unwrap();
        check(&store, &old, &format!("{engine:?}"));
        threads.close();
        drop(store);
        let copy = |name: &str| rows(raw(&folder.path().join(name), engine).as_ref());
        assert_eq!(copy("before-format-2"), first, "{engine:?}: the older copy stays");
        assert_eq!(copy("before-format-2.1"), second, "{engine:?}");
    }
}

/// The power went after the first change: the copy is from before it, and one of now would not be.
#[test]
fn a_migration_that_goes_on_makes_no_copy_of_what_it_has_half_changed() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().unwrap();
        let (old, _) = old_store(folder.path(), engine, 10);
        let mut batch = Batch::new();
        batch.put(Table::new("meta"), b"migration_from", 1_u64.to_be_bytes());
        raw(folder.path(), engine).commit(&batch, Durability::Durable).unwrap();
        let (store, threads) = open(folder.path(), engine).unwrap();
        check(&store, &old, &format!("{engine:?}"));
        threads.close();
        drop(store);
        assert!(!folder.path().join("before-format-2").exists());
        let tables = raw(folder.path(), engine);
        assert_eq!(tables.get(Table::new("meta"), b"migration_from").unwrap(), None, "it is over");
    }
}

/// Broken off at every place: the number of the format says 3 only where every index and row is of it.
#[test]
fn a_migration_that_was_broken_off_goes_on() {
    let random = Arc::new(SeededRandom::new(9));
    let mut broken_off = 0;
    for seed in 0..30_u64 {
        let disks = Disks::default();
        let opened = disks.open(&random).unwrap();
        let account = run(insert_account(&opened.store, &random)).id;
        let engine = opened.engine.clone().unwrap();
        opened.close();
        let old = make_old(engine.as_ref(), account, CERTIFICATES, &random);
        drop(engine);
        disks.tables.stop_after(seed * 5);
        let cut = SeededRandom::new(seed);
        match disks.open(&random) {
            Ok(opened) => opened.close(),
            Err(_) => broken_off += 1,
        }
        disks.power_cut(&cut);
        // Looked at without the store, which would go on at once.
        let tables = disks.tables().unwrap();
        let format = format_of(tables.as_ref());
        let indexed = tables.range(Table::new("certificates_by_time"), &[], None, usize::MAX).unwrap().len();
        let is_whole = indexed == old.len() && is_packed(tables.as_ref());
        assert!(format == 1 || is_whole, "seed {seed}: format {format} with {indexed} rows");
        drop(tables);
        let opened = disks.open(&random).unwrap();
        check(&opened.store, &old, &format!("seed {seed}"));
        opened.close();
    }
    assert!(broken_off > 10, "only {broken_off} were broken off: this proves little");
}

#[test]
fn a_newer_store_is_refused_and_no_row_of_it_is_another() {
    for engine in ENGINES {
        let folder = tempfile::tempdir().unwrap();
        old_store(folder.path(), engine, 10);
        let tables = raw(folder.path(), engine);
        let mut batch = Batch::new();
        batch.put(Table::new("meta"), b"format_version", 4_u64.to_be_bytes());
        tables.commit(&batch, Durability::Durable).unwrap();
        drop(tables);
        let before = rows(raw(folder.path(), engine).as_ref());
        let names: BTreeSet<_> = files(folder.path()).into_keys().collect();
        assert!(matches!(open(folder.path(), engine), Err(Error::Newer(4))), "{engine:?}");
        assert_eq!(rows(raw(folder.path(), engine).as_ref()), before, "{engine:?}");
        assert!(
            !folder.path().join("before-format-2").exists()
                && !folder.path().join("before-format-5").exists()
        );
        if engine == EngineChoice::Redb {
            assert_eq!(files(folder.path()).into_keys().collect::<BTreeSet<_>>(), names);
        }
    }
}
