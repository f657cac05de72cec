//! How long the CRLs of millions of revoked certificates take, and how much memory: from a real store, by a real key,
//! into files, and given out.
//!
//! `cargo bench -p ingam-responder --bench shards -- CERTIFICATES SHARDS FOLDER`: 10 million certificates in 128 shards
//! take some 2 GB of disk in the folder, which has to be empty. Without arguments, little is made, in a folder that goes.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing better to do")]
#![allow(clippy::print_stdout, reason = "a benchmark tells its result")]

mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_responder::{Config, Responder, StoredStatuses};

use world::{fill, open, signer, start};

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
    let since = Instant::now();
    fill(&folder, certificates, shards, true);
    report("the store was filled", since);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run(&folder, shards));
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
