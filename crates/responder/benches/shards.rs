//! How long the CRLs of millions of revoked certificates take, and how much memory: from a real store, by a real key,
//! into files, and given out.
//!
//! `cargo bench -p ingam-responder --bench shards -- CERTIFICATES SHARDS FOLDER`: 10 million certificates in 128 shards
//! take some 2 GB of disk in the folder, which has to be empty. Without arguments, little is made, in a folder that goes.
//! The store's tables are filled from below, as 10 million orders would take hours.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing better to do")]
#![allow(clippy::print_stdout, reason = "a benchmark tells its result")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::{Serial, Shard, Timestamp};
use ingam_responder::{Config, Responder, StoredStatuses};
use ingam_signer::hierarchy::{IssuerPlan, Plan};
use ingam_signer::{Hierarchy, IssuerUrls, KeyKind, LocalSigner};
use ingam_store::engine::redb::{RedbConfig, RedbEngine};
use ingam_store::engine::{Batch, Durability, Engine, Table};
use ingam_store::{Store, StoreProcess};

const STATUSES: Table = Table::new("statuses");
const REVOKED: Table = Table::new("revoked");
/// How many certificates are put into the store at once.
const BATCH: u64 = 100_000;

fn start() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

fn issuer() -> IssuerName {
    IssuerName::try_from("ecdsa".to_owned()).unwrap()
}

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (certificates, shards) = match numbers.as_slice() {
        [certificates, shards, ..] => (*certificates, u16::try_from(*shards).unwrap()),
        _ => (20_000, 8),
    };
    let passing = tempfile::tempdir().unwrap();
    let folder = std::env::args().skip(3).map(PathBuf::from).find(|path| path.is_dir());
    let folder = folder.unwrap_or_else(|| passing.path().to_owned());
    println!("{certificates} revoked certificates in {shards} shards");
    fill(&folder, certificates, shards);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(&folder, shards));
}

/// Puts revoked certificates into the store, in the order of their keys: a shard at a time.
fn fill(folder: &Path, certificates: u64, shards: u16) {
    // The store itself makes what else it needs.
    close(open(folder));
    let since = Instant::now();
    let engine = RedbEngine::open(&folder.join("store.redb"), RedbConfig::default()).unwrap();
    let random = SeededRandom::new(1);
    for shard in (0..shards).map(Shard) {
        let mut left = certificates / u64::from(shards);
        while left > 0 {
            let count = left.min(BATCH);
            let mut batch = Batch::new();
            for _ in 0..count {
                let serial = Serial::in_shard(&random, shard);
                let key = [issuer().as_str().as_bytes(), &[0], serial.as_bytes()].concat();
                batch.put(STATUSES, key.clone(), row());
                batch.put(REVOKED, key, row());
            }
            engine.commit(&batch, Durability::Relaxed).unwrap();
            left -= count;
        }
    }
    engine.commit(&Batch::new(), Durability::Durable).unwrap();
    drop(engine);
    report("the store was filled", since);
}

/// The row of a certificate that was revoked, as docs/decisions/0002 has it: version, state, reason, and three numbers.
fn row() -> Vec<u8> {
    let not_after = start().plus(Duration::from_secs(30 * 86_400));
    let numbers = [start().unix_s(), not_after.unix_s(), 1].map(u64::to_be_bytes);
    [&[1, 3, 4][..], &numbers.concat()].concat()
}

fn open(folder: &Path) -> (Store, StoreProcess) {
    let random = Arc::new(SeededRandom::new(2));
    Store::open(folder, &ingam_store::Config::default(), random).unwrap()
}

fn close((store, process): (Store, StoreProcess)) {
    drop(store);
    process.close();
}

fn signer(clock: &Arc<FixedClock>) -> Arc<LocalSigner> {
    let plan = Plan {
        is_public: true,
        publication: "http://localhost:14080".to_owned(),
        country: "XX".to_owned(),
        organization: "Ingam".to_owned(),
        root: IssuerName::try_from("root".to_owned()).unwrap(),
        issuers: vec![IssuerPlan { name: issuer(), key: KeyKind::EcdsaP256 }],
    };
    let random = Arc::new(SeededRandom::new(3));
    let hierarchy = Hierarchy::create(&plan, clock.as_ref(), random.as_ref()).unwrap();
    let urls = IssuerUrls {
        ocsp: "http://ca.example/ocsp".to_owned(),
        issuer: "http://ca.example/issuer/ecdsa.crt".to_owned(),
        crl: "http://ca.example/crl/ecdsa.crl".to_owned(),
    };
    let urls = BTreeMap::from([(issuer(), urls)]);
    let ledger =
        ingam_signer::Ledger::open(Arc::new(ingam_journal::simulated::SimulatedDisk::new()), clock.clone())
            .unwrap();
    Arc::new(LocalSigner::new(hierarchy, urls, ledger, clock.clone(), random).unwrap())
}

async fn run(folder: &Path, shards: u16) {
    let clock = Arc::new(FixedClock::new(start()));
    let signer = signer(&clock);
    let (store, process) = open(folder);
    let begin = || {
        let statuses = StoredStatuses::new(store.statuses(), clock.clone(), Arc::new(SeededRandom::new(4)));
        let config = Config { crl_shards: shards, ..Config::default() };
        Responder::new(&config, &folder.join("crls"), Arc::new(statuses), signer.clone(), clock.clone())
    };
    for what in ["all lists were read, signed and written", "after a restart, all were found to be current"] {
        forget_peak();
        let since = Instant::now();
        let responder = begin().unwrap();
        report("which shards are in use", since);
        let job = tokio::spawn({
            let responder = responder.clone();
            async move { responder.run_crls(std::future::pending()).await }
        });
        let made = loop {
            match responder.crls().remove(0).current {
                Some(made) if is_checked(&responder, shards).await => break made,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        report(what, since);
        println!("  {} entries, highest number {}", made.entries, made.number);
        job.abort();
        give_out(&responder, shards).await;
    }
    drop(process);
}

/// Whether the last list is given out without a wait.
async fn is_checked(responder: &Responder, shards: u16) -> bool {
    let uri = format!("/crl/ecdsa/{}.crl", shards - 1);
    let head = Request::head(uri).body(Empty::<Bytes>::new()).unwrap();
    responder.handle(head).await.status() == 200
}

async fn give_out(responder: &Responder, shards: u16) {
    forget_peak();
    let since = Instant::now();
    let mut bytes = 0;
    for shard in 0..shards {
        let get = Request::get(format!("/crl/ecdsa/{shard}.crl")).body(Empty::<Bytes>::new()).unwrap();
        bytes += responder.handle(get).await.into_body().collect().await.unwrap().to_bytes().len();
    }
    report("each list was given out once", since);
    println!("  {} MiB in all", bytes >> 20);
}

fn report(what: &str, since: Instant) {
    let peak = peak_mib().map_or(String::new(), |peak| format!(", at most {peak} MiB resident"));
    println!("{what}: {:.1} s{peak}", since.elapsed().as_secs_f64());
}

/// Has the system count the peak anew (Linux).
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// How much memory this process had at most, where the system tells (Linux).
fn peak_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib / 1024)
}
