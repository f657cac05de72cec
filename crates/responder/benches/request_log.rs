//! What it costs a thread that answers to note a request, and how much of that is copying and classifying. The thread that
//! writes runs beside it, as in a CA.
//!
//! `cargo bench -p ingam-responder --bench request_log`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot start has nothing better to do"
)]

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ingam_journal::files::Disk;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::Record;
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::{Clock, Timestamp};
use ingam_responder::request_log::{Config, Mode, Noted, Outcome, Parts, Receipts, RequestLog};

/// So many requests are noted at once, as an answering thread does in a fraction of a second.
const BURST: u32 = 20_000;
const BURSTS: u32 = 100;
const THREADS: usize = 2;
const AIM: Duration = Duration::from_nanos(400);

struct Nowhere;

#[async_trait]
impl Receipts for Nowhere {
    async fn append(&self, _: Vec<Record>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

fn open(mode: Mode, folder: &std::path::Path, clock: Arc<FixedClock>) -> Arc<RequestLog> {
    let parts = Parts {
        files: Some(Arc::new(Disk::open(folder).unwrap())),
        receipts: Arc::new(Nowhere),
        clock,
        random: Arc::new(SeededRandom::new(1)),
        issuers: vec![IssuerName::try_from("e1".to_owned()).unwrap()],
        threads: THREADS,
    };
    // No sample: every request is noted.
    let config = Config { mode, rate_max: 10_000_000, queue_records: 1 << 17, ..Config::default() };
    RequestLog::open(&config, parts).unwrap()
}

/// The CPU time of this thread: how long others had the core is not the log's affair.
fn cpu_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    spent.try_into().unwrap()
}

/// The time of one request, the best of all bursts and their mean.
fn note(
    log: &RequestLog,
    user_agent: &[u8],
    at: Timestamp,
    mut between: impl FnMut(),
) -> (Duration, Duration) {
    let (mut best, mut all) = (Duration::MAX, Duration::ZERO);
    for burst in 0..BURSTS {
        let since = cpu_time();
        for number in 0..BURST {
            let [a, b, c, d] = number.to_be_bytes();
            log.note(&Noted {
                address: IpAddr::from([198, 51, c, d]),
                user_agent,
                issuer: Some(0),
                serial: &[0x40, a, b, c, d, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17],
                outcome: Outcome::Good,
                at: at.plus(Duration::from_millis(burst.into())),
            });
        }
        let each = (cpu_time() - since) / BURST;
        best = best.min(each);
        all += each;
        between();
    }
    (best, all / BURSTS)
}

#[allow(clippy::print_stdout, reason = "a benchmark tells its result")]
fn main() {
    let firefox = b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:128.0) Gecko/20100101 Firefox/128.0";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let start = Timestamp::from_unix_s(1_795_255_200);
    let mut is_met = true;
    for mode in [Mode::Off, Mode::Truncated, Mode::Full] {
        for (what, agent) in [("a short user agent", &b"com.apple.trustd/3.0"[..]), ("a browser's", firefox)]
        {
            let folder = tempfile::tempdir().unwrap();
            let clock = Arc::new(FixedClock::new(start));
            let log = open(mode, folder.path(), clock.clone());
            // Alone, the queue emptied in between: what a record costs.
            let (best, mean) = note(&log, agent, start, || {
                clock.advance(Duration::from_millis(200));
                runtime.block_on(log.tick()).unwrap();
            });
            let noted = u64::from(BURST * BURSTS);
            assert_eq!(log.condition().requests, if mode == Mode::Off { (0, 0) } else { (noted, 0) });
            is_met &= mean < AIM;
            println!("{}, {what}: {} ns each, {} ns at best", mode.name(), mean.as_nanos(), best.as_nanos());
        }
    }
    // Two threads at once, and the one that writes beside them; what does not fit is counted.
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::new(start));
    let log = open(Mode::Full, folder.path(), clock.clone());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                clock.advance(Duration::from_millis(1));
                runtime.block_on(log.tick()).unwrap();
            }
        });
        let answering: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| note(&log, firefox, clock.now(), || ()))).collect();
        for thread in answering {
            let (best, mean) = thread.join().expect("it only counts");
            println!(
                "full, two threads and the writer: {} ns each, {} ns at best",
                mean.as_nanos(),
                best.as_nanos()
            );
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("of {} requests, {} found no room", log.condition().requests.0, log.condition().requests.1);
    println!("the aim of {} ns is {}", AIM.as_nanos(), if is_met { "met" } else { "NOT met" });
}
