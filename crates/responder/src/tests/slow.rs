//! The request log on a disk that does not come back, and on one that is full: every request is answered meanwhile, and what
//! no record stands for is counted, exactly.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::Full;
use ingam_journal::files::{File, Files};
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::SeededRandom;
use ingam_signer::Signer as _;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::world::*;
use crate::config::Config;
use crate::http::Responder;
use crate::request_log::{self, Mode, Parts, Receipts, RequestLog};

/// As few as the configuration allows.
pub(crate) const QUEUE: usize = 1024;
/// Far longer than any of this takes: only what waits for the disk comes so far.
pub(crate) const TOO_LONG: Duration = Duration::from_secs(60);

/// What is written to the disk waits here until it may go on.
#[derive(Default)]
pub(crate) struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
    /// Told when somebody begins to wait.
    pub(crate) waiting: Notify,
}

impl Gate {
    fn pass(&self) {
        let mut is_closed = self.is_closed.lock().unwrap();
        while *is_closed {
            self.waiting.notify_one();
            is_closed = self.opened.wait(is_closed).unwrap();
        }
    }

    pub(crate) fn close(&self, is_closed: bool) {
        *self.is_closed.lock().unwrap() = is_closed;
        self.opened.notify_all();
    }
}

/// A disk behind a gate: whoever writes to it, or makes a file, waits there.
struct SlowDisk {
    disk: SimulatedDisk,
    gate: Arc<Gate>,
}

impl SlowDisk {
    fn behind(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(SlowFile { file, gate: self.gate.clone() })
    }
}

impl Files for SlowDisk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.disk.open(name).map(|file| self.behind(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        self.gate.pass();
        self.disk.create(name).map(|file| self.behind(file))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.gate.pass();
        self.disk.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.gate.pass();
        self.disk.sync_directory()
    }
}

struct SlowFile {
    file: Arc<dyn File>,
    gate: Arc<Gate>,
}

impl File for SlowFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.gate.pass();
        self.file.write_at(offset, bytes)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.gate.pass();
        self.file.set_length(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync()
    }
}

#[derive(Default)]
struct Kept(Mutex<Vec<Record>>);

#[async_trait]
impl Receipts for Kept {
    async fn append(&self, records: Vec<Record>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0.lock().unwrap().extend(records);
        Ok(())
    }
}

/// A responder with a log on such a disk.
pub(crate) struct Slow {
    pub(crate) world: World,
    pub(crate) responder: Responder,
    pub(crate) log: Arc<RequestLog>,
    disk: SimulatedDisk,
    pub(crate) gate: Arc<Gate>,
    receipts: Arc<Kept>,
}

impl Slow {
    pub(crate) fn new() -> Self {
        let world = World::new(&Config::default());
        world.statuses.issue(1);
        let (disk, gate, receipts) = (SimulatedDisk::new(), Arc::new(Gate::default()), Arc::default());
        let parts = Parts {
            files: Some(Arc::new(SlowDisk { disk: disk.clone(), gate: gate.clone() })),
            receipts: Arc::<Kept>::clone(&receipts),
            clock: world.clock.clone(),
            random: Arc::new(SeededRandom::new(1)),
            issuers: world.signer.issuers().iter().map(|issuer| issuer.name.clone()).collect(),
            threads: 1,
        };
        let config =
            request_log::Config { mode: Mode::Full, queue_records: QUEUE, ..request_log::Config::default() };
        let log = RequestLog::open(&config, parts).unwrap();
        let responder = world.responder.clone().logging_to(log.clone());
        Self { world, responder, log, disk, gate, receipts }
    }

    /// Lets the disk say nothing while `asking` asks a hundred times more often than there is room for, and tells how often there was an
    /// answer: as often as it asked, and those hundred are counted as lost once the disk is back.
    pub(crate) async fn while_the_disk_is_silent(&self, asking: impl Future<Output = usize>) {
        assert_eq!(self.ask(1).await, 1);
        self.log.tick().await.unwrap();
        self.gate.close(true);
        self.world.clock.advance(Duration::from_secs(6));
        let log = self.log.clone();
        let writing = tokio::spawn(async move { log.tick().await });
        self.gate.waiting.notified().await;
        // The log waits for the disk, and the queue runs over.
        let answered = asking.await;
        let has_waited = !writing.is_finished();
        self.gate.close(false);
        assert_eq!(answered, QUEUE + 100, "each request is answered while the disk says nothing");
        assert!(has_waited, "the log waits for the disk all the time");
        writing.await.unwrap().unwrap();
        self.wait(Duration::from_secs(6)).await.unwrap();
        self.wait(Duration::from_secs(6)).await.unwrap();
        let condition = self.log.condition();
        assert_eq!(condition.requests, (1 + QUEUE as u64 + 100, 100), "{condition:?}");
    }

    /// Asks so often, on threads of the runtime, and gives how often there was an answer in time.
    pub(crate) async fn ask(&self, times: usize) -> usize {
        let body = request(&[self.world.cert_id(&serial(1))], None);
        let responder = self.responder.clone();
        let asking = tokio::spawn(async move {
            let mut answered = 0;
            for _ in 0..times {
                let request = http::Request::post("/ocsp").header("user-agent", "x".repeat(100));
                let request = request.body(Full::new(body.clone().into())).unwrap();
                let address = Some(IpAddr::from([192, 0, 2, 77]));
                answered += usize::from(responder.handle_from(address, request).await.status() == 200);
            }
            answered
        });
        timeout(TOO_LONG, asking).await.map_or(0, Result::unwrap)
    }

    pub(crate) async fn wait(&self, for_long: Duration) -> Result<(), request_log::Error> {
        self.world.clock.advance(for_long);
        self.log.tick().await
    }

    /// For how many requests the records stood that went after seven days, and how many more it says there were.
    async fn receipts(&self) -> (u64, u64) {
        self.wait(7 * DAY).await.unwrap();
        let records = self.receipts.0.lock().unwrap();
        let of_segments = records.iter().filter(|record| record.kind == RecordType::RequestSegmentDestroyed);
        let numbers = of_segments.map(|record| {
            let told: serde_json::Value = serde_json::from_slice(&record.parts[0].bytes).unwrap();
            (told["requests"].as_u64().unwrap(), told["dropped"].as_u64().unwrap())
        });
        numbers.fold((0, 0), |(noted, dropped), (more, lost)| (noted + more, dropped + lost))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_for_a_disk_that_does_not_come_back() {
    let slow = Slow::new();
    slow.while_the_disk_is_silent(slow.ask(QUEUE + 100)).await;
    let condition = slow.log.condition();
    assert!(condition.dropped_at.is_some() && condition.queue.0 == 0, "{condition:?}");
    assert_eq!(slow.receipts().await, (1 + QUEUE as u64, 100), "what was left out is told for years");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_for_a_full_disk_and_what_it_lost_is_counted() {
    let slow = Slow::new();
    slow.disk.set_room(Some(0));
    for _ in 0..8 {
        assert_eq!(slow.ask(QUEUE).await, QUEUE, "each request is answered while the disk is full");
        let error = slow.wait(Duration::from_secs(6)).await.unwrap_err();
        assert_eq!(error.code(), "request_log_disk_full");
    }
    let condition = slow.log.condition();
    let (seen, lost) = condition.requests;
    assert!(seen == 8 * QUEUE as u64 && lost > 0 && lost < seen, "{condition:?}");
    assert!(condition.dropped_at.is_some(), "{condition:?}");
    slow.disk.set_room(None);
    slow.wait(Duration::from_secs(6)).await.unwrap();
    assert_eq!(
        slow.receipts().await,
        (seen - lost, lost),
        "what had waited is written, and the rest is told"
    );
}
