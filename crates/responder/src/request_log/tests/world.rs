//! A log on a simulated disk, with a clock that stands, and a store that keeps receipts or refuses them.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ingam_journal::files::Files;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::{Clock, Serial, Timestamp};
use serde_json::Value;

use super::super::{Config, Mode, NewHold, Noted, Outcome, Parts, Receipts, RequestLog, Selection};

pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Whom nobody may find.
pub(super) const PLANTED: &str = "203.0.113.77";
pub(super) const PLANTED_V6: &str = "2001:db8:77:77:1:2:3:4";
pub(super) const AGENT: &str = "PlantedClient/7.7 (somebody)";

pub(super) fn start() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

/// A store, as far as receipts see it.
#[derive(Default)]
pub(super) struct Store {
    pub(super) records: Mutex<Vec<Record>>,
    pub(super) fails: AtomicBool,
}

#[async_trait]
impl Receipts for Store {
    async fn append(&self, records: Vec<Record>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        if self.fails.load(Ordering::SeqCst) {
            return Err("the store is away".into());
        }
        self.records.lock().unwrap().extend(records);
        Ok(())
    }
}

pub(super) struct World {
    pub(super) disk: SimulatedDisk,
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<FixedClock>,
    pub(super) random: Arc<SeededRandom>,
    pub(super) log: Arc<RequestLog>,
    pub(super) config: Config,
}

impl World {
    pub(super) fn new(mode: Mode) -> Self {
        Self::with(Config { mode, ..Config::default() })
    }

    pub(super) fn with(config: Config) -> Self {
        let (disk, store) = (SimulatedDisk::new(), Arc::new(Store::default()));
        let (clock, random) = (Arc::new(FixedClock::new(start())), Arc::new(SeededRandom::new(7)));
        let log = open(&config, &disk, &store, &clock, &random);
        Self { disk, store, clock, random, log, config }
    }

    /// Another process on the same disk; the one before had no time to end.
    pub(super) fn restart(&mut self) {
        self.log = open(&self.config, &self.disk, &self.store, &self.clock, &self.random);
    }

    pub(super) fn note_from(&self, address: &str, serial: u8) {
        self.log.note(&Noted {
            address: address.parse().unwrap(),
            user_agent: AGENT.as_bytes(),
            issuer: Some(0),
            serial: &[serial; 16],
            outcome: Outcome::Good,
            at: self.clock.now(),
        });
    }

    /// Both planted addresses ask, and it is written.
    pub(super) async fn ask(&self) {
        self.note_from(PLANTED, 1);
        self.note_from(PLANTED_V6, 2);
        self.log.tick().await.unwrap();
        self.clock.advance(Duration::from_secs(6));
        self.log.tick().await.unwrap();
    }

    pub(super) async fn wait(&self, for_long: Duration) {
        self.clock.advance(for_long);
        self.log.tick().await.unwrap();
    }

    pub(super) fn names(&self, ending: &str) -> Vec<String> {
        let names = self.disk.list().unwrap();
        names.into_iter().filter(|name| name.ends_with(ending)).collect()
    }

    /// Every byte below the folder, and all that went on record.
    fn everything(&self) -> Vec<Vec<u8>> {
        let files = self.disk.list().unwrap().into_iter().map(|name| self.disk.contents(&name).unwrap());
        let records = self.store.records.lock().unwrap();
        files.chain(records.iter().map(Record::encode)).collect()
    }

    /// No planted address is anywhere, however it could be written.
    pub(super) fn assert_nobody_is_found(&self) {
        let [v4, v6]: [IpAddr; 2] = [PLANTED, PLANTED_V6].map(|text| text.parse().unwrap());
        let (IpAddr::V4(v4), IpAddr::V6(v6)) = (v4, v6) else { panic!("one of each") };
        let (v4, v6) = (v4.octets(), v6.octets());
        for needle in [PLANTED.as_bytes(), PLANTED_V6.as_bytes(), AGENT.as_bytes(), &v4[..], &v6[..]] {
            for bytes in self.everything() {
                assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{needle:?}");
            }
        }
    }

    /// What is on record of this kind.
    pub(super) fn recorded(&self, kind: RecordType) -> Vec<Value> {
        let records = self.store.records.lock().unwrap();
        let of_kind = records.iter().filter(|record| record.kind == kind);
        of_kind.map(|record| serde_json::from_slice(&record.parts[0].bytes).unwrap()).collect()
    }

    pub(super) fn new_hold(&self, selection: Selection) -> NewHold {
        NewHold {
            selection,
            owner: "ann".to_owned(),
            reason: "case 12".to_owned(),
            ends: self.clock.now().plus(30 * DAY),
        }
    }

    pub(super) fn of_serial(&self, serial: u8) -> Selection {
        Selection { serials: vec![Serial::from_be_bytes(&[serial; 16]).unwrap()], ..Selection::default() }
    }

    pub(super) fn of_network(&self, network: &str) -> Selection {
        Selection { networks: vec![network.parse().unwrap()], ..Selection::default() }
    }
}

fn open(
    config: &Config,
    disk: &SimulatedDisk,
    store: &Arc<Store>,
    clock: &Arc<FixedClock>,
    random: &Arc<SeededRandom>,
) -> Arc<RequestLog> {
    let parts = Parts {
        files: Some(Arc::new(disk.clone())),
        receipts: store.clone(),
        clock: clock.clone(),
        random: random.clone(),
        issuers: vec![IssuerName::try_from("e1".to_owned()).unwrap()],
        threads: 1,
    };
    RequestLog::open(config, parts).unwrap()
}
