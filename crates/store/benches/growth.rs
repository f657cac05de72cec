//! How the store lives with many: durable transactions a second beside the disk's own syncs, the archiver's pace, and
//! what millions of certificates take on disk, at start and at a look-up.
//!
//! `cargo bench -p ingam-store --bench growth -- writers FOLDER`, `… -- archiver FOLDER` or
//! `… -- certificates FOLDER ENGINE COUNT...` with `redb` or `sled`; the folder decides which disk is measured. Not a test:
//! nothing here fails for being slow. Certificates are synthetic: rows of the length and shape that an issuance for one
//! name leaves, written past the committer and in bulk.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingam_journal::files::{Disk, File, Files};
use ingam_protocol::acme::Account;
use ingam_protocol::key::PublicKey;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{Random, SeededRandom, random_array};
use ingam_protocol::{Bytes, Id, Serial, Timestamp};
use ingam_store::engine::redb::{RedbConfig, RedbEngine};
use ingam_store::engine::sled::SledEngine;
use ingam_store::engine::{Batch, Durability, Engine, Table};
use ingam_store::{CertificateRow, Config, EngineChoice, Store, StoreProcess};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

type Outcome<T> = Result<T, Box<dyn Error>>;

const BEGIN_S: u64 = 1_795_255_200;
/// How long each rate is taken.
const WHILE: Duration = Duration::from_secs(5);

#[allow(clippy::print_stdout, reason = "printing is what this program is for")]
fn report(line: &str) {
    println!("{line}");
}

/// CPU time of the process so far.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// How many bytes everything below a folder has on the disk.
fn on_disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => on_disk(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

fn resident_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// What the disk can do: a write of that length into a file that has its blocks already, as the store's log has, and a sync.
fn syncs(folder: &Path, bytes: usize) -> Outcome<f64> {
    let disk = Disk::open(folder.join("syncs"))?;
    let file: Arc<dyn File> = disk.create("file")?;
    const BLOCKS: u64 = 4 << 20;
    file.write_at(0, &vec![0; usize::try_from(BLOCKS)?])?;
    file.sync()?;
    let data = vec![7; bytes];
    let (begin, mut at, mut count) = (Instant::now(), 0, 0_u32);
    while begin.elapsed() < WHILE {
        file.write_at(at, &data)?;
        file.sync()?;
        at = (at + u64::try_from(bytes)?) % (BLOCKS / 2);
        count += 1;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}

fn random(seed: u64) -> Arc<SeededRandom> {
    Arc::new(SeededRandom::new(seed))
}

/// A record of about the length that an account's has: the request is the larger part.
fn record(kind: RecordType, random: &dyn Random, bytes: usize) -> Record {
    let mut noise = vec![0; bytes * 3 / 4];
    random.fill(&mut noise);
    let text = format!("{{\"request\":\"{}\"}}", ingam_protocol::bytes::base64url(&noise));
    Record::new(kind, Timestamp::from_unix_s(BEGIN_S), text.into_bytes(), random)
}

fn accounts(count: usize, random: &dyn Random) -> Outcome<Vec<Account>> {
    #[allow(clippy::disallowed_methods, reason = "ring makes keys by its own source alone")]
    let system = ring::rand::SystemRandom::new();
    (0..count)
        .map(|_| {
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &system).map_err(|_| "no key")?;
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &system).map_err(|_| "no key")?;
            let (_, point) = pair.public_key().as_ref().split_first().ok_or("no point")?;
            let (x, y) = point.split_at(32);
            let encode = ingam_protocol::bytes::base64url;
            let jwk = serde_json::json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
            let key = PublicKey::from_jwk(jwk.as_object().ok_or("no object")?)
                .map_err(|_| "the key is not accepted")?;
            let created = Timestamp::from_unix_s(BEGIN_S);
            Ok(Account {
                id: Id::new(created, random),
                key,
                created,
                deactivated: None,
                terms_agreed: None,
                external: None,
                earlier_keys: Vec::new(),
            })
        })
        .collect()
}

/// Durable transactions a second: an account, its index, and a record of 1.8 KiB.
fn writers(folder: &Path) -> Outcome<()> {
    let (store, threads) = Store::open(folder, &Config::default(), random(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for count in [1_usize, 16, 256] {
        let alone = syncs(folder, 2_500)?;
        let random = random(u64::try_from(count)?);
        let many = accounts(count * 400, random.as_ref())?;
        let spent = cpu();
        let begin = Instant::now();
        let tasks: Vec<_> = many
            .chunks(400)
            .map(|own| {
                let (store, own, random) = (store.clone(), own.to_vec(), random.clone());
                runtime.spawn(async move {
                    let mut done = 0_u32;
                    for account in own {
                        let record = record(RecordType::AccountCreated, random.as_ref(), 1_800);
                        if begin.elapsed() > WHILE
                            || store.account_insert(account, &[], record, Vec::new()).await.is_err()
                        {
                            break;
                        }
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += runtime.block_on(task)?;
        }
        let rate = f64::from(done) / begin.elapsed().as_secs_f64();
        let spent = cpu().saturating_sub(spent).as_secs_f64() * 1e6 / f64::from(done);
        report(&format!(
            "{count:>3} writers: {rate:>7.0} transactions/s, {spent:>4.0} us CPU each; the disk alone {alone:>6.0} syncs/s: ratio {:.2}",
            rate / alone
        ));
    }
    drop(store);
    threads.close();
    Ok(())
}

/// The records of one issuance: eight, of the lengths that one for a single name has.
fn issuance(random: &dyn Random) -> Vec<Record> {
    use RecordType as Kind;
    let lengths = [
        (Kind::OrderCreated, 1_700),
        (Kind::ChallengeAnswered, 900),
        (Kind::ValidationFinished, 1_600),
        (Kind::CertificatePrepared, 3_400),
        (Kind::SignatureAsked, 200),
        (Kind::PrecertificateIssued, 1_300),
        (Kind::CertificateAsked, 1_400),
        (Kind::CertificateIssued, 1_400),
    ];
    lengths.into_iter().map(|(kind, bytes)| record(kind, random, bytes)).collect()
}

/// How fast records leave the outbox, into sealed segments that are packed on the way.
fn archiver(folder: &Path) -> Outcome<()> {
    const ISSUANCES: usize = 60_000;
    let (store, threads) = Store::open(folder, &Config::default(), random(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let random = random(2);
    let statuses = store.statuses();
    let (begin, spent) = (Instant::now(), cpu());
    let mut making = Duration::ZERO;
    for _ in 0..ISSUANCES / 500 {
        let before = cpu();
        let records: Vec<Record> = (0..500).flat_map(|_| issuance(random.as_ref())).collect();
        making += cpu().saturating_sub(before);
        for some in records.chunks(400) {
            runtime.block_on(statuses.records_append(some.to_vec()))?;
        }
    }
    let (put, waiting) = (begin.elapsed(), store.outbox()?);
    report(&format!("{ISSUANCES} issuances put in {put:.1?}; waiting then: {waiting:?}"));
    drop((statuses, store));
    let journal = threads.journal().clone();
    threads.close();
    let (took, spent) = (begin.elapsed(), cpu().saturating_sub(spent).saturating_sub(making));
    while journal.pack_next()? {}
    let count = f64::from(u32::try_from(ISSUANCES)?);
    report(&format!(
        "{:.0} issuances/s archived, {:.0} us CPU each for store and journal together; {} MB in the journal",
        count / took.as_secs_f64(),
        spent.as_secs_f64() * 1e6 / count,
        journal.bytes() / 1_000_000
    ));
    Ok(())
}

/// Rows as the store writes them for a certificate for one name; gives their bytes.
fn certificate(number: u64, issuer: &IssuerName, random: &dyn Random, batch: &mut Batch) -> Outcome<u64> {
    let serial = Serial::new(random);
    let mut der = vec![0; 750];
    random.fill(&mut der);
    let issued = Timestamp::from_unix_ms(BEGIN_S * 1000 + number * 50);
    let row = CertificateRow {
        der: Bytes::from(der),
        order: Id::new(issued, random),
        account: Id::from_bytes({
            let mut account = [9; 16];
            account[..8].copy_from_slice(&(number % 50_000).to_be_bytes());
            account
        }),
        issued,
        not_before: issued,
        not_after: issued.plus(Duration::from_secs(90 * 86_400)),
        key_thumbprint: random_array::<32>(random).as_slice().into(),
    };
    let key = [issuer.as_str().as_bytes(), &[0], serial.as_bytes()].concat();
    let timed = [issued.unix_ms().to_be_bytes().as_slice(), &key].concat();
    let mut status = vec![1, 2, 0];
    status.extend_from_slice(&0_u64.to_be_bytes());
    status.extend_from_slice(&row.not_after.unix_s().to_be_bytes());
    status.extend_from_slice(&0_u64.to_be_bytes());
    let name = format!("example.site-{}.www\0", number % 5_000_000);
    let rows = [
        ("certificates", key.clone(), serde_json::to_vec(&row)?),
        ("statuses", key, status),
        ("certificates_by_time", timed.clone(), Vec::new()),
        ("certificates_by_account", [row.account.as_bytes().as_slice(), &timed].concat(), Vec::new()),
        ("certificates_by_key", [row.key_thumbprint.as_ref(), &timed].concat(), Vec::new()),
        ("certificates_by_name", [name.as_bytes(), &timed].concat(), Vec::new()),
    ];
    let mut bytes = 0;
    for (table, key, value) in rows {
        bytes += u64::try_from(key.len() + value.len())?;
        batch.put(Table::new(table), key, value);
    }
    Ok(bytes)
}

/// The median of look-ups of known and unknown serial numbers, in microseconds.
fn look_up(store: &Store, issuer: &IssuerName, known: &[Serial]) -> Outcome<(f64, f64, f64)> {
    let unknown: Vec<Serial> = (0..known.len())
        .map(|at| Serial::new(&SeededRandom::new(7_000_000 + u64::try_from(at).unwrap_or(0))))
        .collect();
    let statuses = store.statuses();
    let median = |look: &dyn Fn(&Serial) -> Outcome<bool>, serials: &[Serial], there: bool| -> Outcome<f64> {
        let mut times = Vec::with_capacity(serials.len());
        for serial in serials {
            let begin = Instant::now();
            if look(serial)? != there {
                return Err("a look-up found what is not there, or not what is".into());
            }
            times.push(begin.elapsed());
        }
        times.sort_unstable();
        Ok(times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e6)
    };
    let status = |serial: &Serial| Ok(statuses.status(issuer, serial)?.is_some());
    let row = |serial: &Serial| Ok(store.certificate_by_serial(issuer, serial)?.is_some());
    Ok((median(&status, known, true)?, median(&status, &unknown, false)?, median(&row, known, true)?))
}

fn open_engine(folder: &Path, choice: EngineChoice) -> Outcome<Arc<dyn Engine>> {
    Ok(match choice {
        EngineChoice::Redb => Arc::new(RedbEngine::open(
            &folder.join("store.redb"),
            RedbConfig { log_bytes_max: 64 << 20, cache_bytes: 2 << 30 },
        )?),
        EngineChoice::Sled => Arc::new(SledEngine::open(&folder.join("store.sled"))?),
    })
}

fn start(folder: &Path, config: &Config) -> Outcome<(Store, StoreProcess, Duration)> {
    let begin = Instant::now();
    let (store, threads) = Store::open(folder, config, random(3))?;
    Ok((store, threads, begin.elapsed()))
}

fn certificates(folder: &Path, choice: EngineChoice, counts: &[u64]) -> Outcome<()> {
    let issuer = IssuerName::try_from("ecdsa".to_owned()).map_err(|_| "an issuer's name")?;
    let config = Config { engine: choice, ..Config::default() };
    // What a store has that was begun by the store itself.
    start(folder, &config)?.1.close();
    let (mut done, mut raw) = (0_u64, 0_u64);
    for count in counts {
        let engine = open_engine(folder, choice)?;
        let source = random(11 + done);
        let (begin, from) = (Instant::now(), done);
        while done < *count {
            let mut batch = Batch::new();
            for _ in 0..20_000.min(*count - done) {
                raw += certificate(done, &issuer, source.as_ref(), &mut batch)?;
                done += 1;
            }
            engine.commit(&batch, Durability::Relaxed)?;
        }
        engine.commit(&Batch::new(), Durability::Durable)?;
        drop(engine);
        let filled = begin.elapsed();
        let known = every_so_often(folder, choice, &issuer)?;
        let (store, threads, opened) = start(folder, &config)?;
        let resident = resident_mib();
        let (good, unknown, row) = look_up(&store, &issuer, &known)?;
        drop(store);
        threads.close();
        let disk = on_disk(folder);
        #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
        let ratio = disk as f64 / raw as f64;
        report(&format!(
            "{choice:?} {done} certificates: {} MB raw, {} MB on disk, ratio {ratio:.2}; start {opened:.2?}, resident {resident} MiB; median us of status {good:.1}, of one never issued {unknown:.1}, of a certificate {row:.1}; {} filled in {filled:.0?}",
            raw / 1_000_000,
            disk / 1_000_000,
            done - from
        ));
    }
    Ok(())
}

/// Some ten thousand serial numbers, from everywhere in the table.
fn every_so_often(folder: &Path, choice: EngineChoice, issuer: &IssuerName) -> Outcome<Vec<Serial>> {
    let engine = open_engine(folder, choice)?;
    let prefix = [issuer.as_str().as_bytes(), &[0]].concat();
    let mut known = Vec::new();
    let source = SeededRandom::new(5);
    for _ in 0..10_000 {
        let from = [prefix.as_slice(), &random_array::<8>(&source)].concat();
        for (key, _) in engine.range(Table::new("statuses"), &from, None, 1)? {
            known.extend(key.get(prefix.len()..).and_then(Serial::from_be_bytes));
        }
    }
    Ok(known)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let usage = "writers FOLDER | archiver FOLDER | certificates FOLDER redb|sled COUNT...";
    let [what, folder, rest @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    let folder = PathBuf::from(folder).join(format!("ingam-growth-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = match (what.as_str(), rest) {
        ("writers", []) => writers(&folder),
        ("archiver", []) => archiver(&folder),
        ("certificates", [engine, counts @ ..]) => {
            let choice = if engine == "sled" { EngineChoice::Sled } else { EngineChoice::Redb };
            let counts = counts.iter().map(|count| count.parse()).collect::<Result<Vec<u64>, _>>()?;
            certificates(&folder, choice, &counts)
        }
        _ => Err(usage.into()),
    };
    std::fs::remove_dir_all(&folder)?;
    outcome
}
