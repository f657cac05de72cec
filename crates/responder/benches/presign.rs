//! What it costs to sign an answer in advance: reading the status from a real store, signing with a real key, holding the answer against the
//! table's entry, putting the signature on record, writing tables and manifests. All of the process's CPU time counts.
//!
//! `cargo bench -p ingam-responder --bench presign -- CERTIFICATES`. A hundred million certificates every three days are 386 a second.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nothing better to do")]
#![allow(clippy::print_stdout, reason = "a benchmark tells its result")]

mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_responder::{Config, InAdvance, Publication, Responder, StoredStatuses};
use rustix::time::{ClockId, clock_gettime};

use world::{fill, open, signer, start};

/// Signatures a second for a hundred million certificates every three days.
const NEEDED_PER_S: f64 = 100_000_000.0 / (3.0 * 86_400.0);

fn cpu_s() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let nanoseconds = i32::try_from(spent.tv_nsec).unwrap();
    let seconds = i32::try_from(spent.tv_sec).unwrap();
    f64::from(seconds) + f64::from(nanoseconds) / 1e9
}

fn main() {
    let count = std::env::args().filter_map(|word| word.parse::<u32>().ok()).next().unwrap_or(20_000);
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), u64::from(count), 1, false);
    tokio::runtime::Runtime::new().unwrap().block_on(run(folder.path(), count));
}

async fn run(folder: &Path, count: u32) {
    let clock = Arc::new(FixedClock::new(start()));
    let signer = signer(&clock);
    let (store, process) = open(folder);
    let statuses = StoredStatuses::new(store.statuses(), clock.clone(), Arc::new(SeededRandom::new(4)));
    let config = Config { presign: vec![InAdvance::Sha1], presign_per_s: 100_000, ..Config::default() };
    let crls = folder.join("crls");
    let responder = Responder::new(&config, &crls, Arc::new(statuses), signer, clock).unwrap();
    let publication = Publication::new(folder.join("answers"), None, Duration::from_secs(3600)).unwrap();
    let recording = tokio::spawn({
        let responder = responder.clone();
        async move { responder.run_recorder(std::future::pending()).await }
    });
    let before = cpu_s();
    let signing = tokio::spawn({
        let responder = responder.clone();
        async move { responder.run_presigning(publication, std::future::pending()).await }
    });
    // It is told at the end of the pass.
    while responder.oldest_answers().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let each_us = (cpu_s() - before) * 1e6 / f64::from(count);
    println!(
        "{count} answers: {each_us:.1} us of CPU time each; {NEEDED_PER_S:.0} a second take {:.2} % of a core",
        NEEDED_PER_S * each_us / 1e4
    );
    signing.abort();
    recording.abort();
    drop(process);
}
