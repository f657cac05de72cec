//! A CA on four disks in memory: made once, started as often as a test likes.
//!
//! [`World`] is what outlives a process: disks, clock, network, the hierarchy's keys. [`Process`] is what does not.

mod flow;
mod logs;
pub(crate) mod operator;
mod signer;
mod validation;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ingam_authority::linter::Linters;
use ingam_authority::{
    Authority, Caller, Catalog, Parts, Policy, PublicRules, RateLimits, RenewalPolicy, Restrictions,
};
use ingam_journal::Journal;
use ingam_journal::files::Files;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::crl::ShardCounts;
use ingam_protocol::jws::JwsText;
use ingam_protocol::profile::{IssuerName, Profile, ProfileName};
use ingam_protocol::public_suffix::PublicSuffixes;
use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::{Serial, Timestamp};
use ingam_signer::hierarchy::{Hierarchy, IssuerPlan, Plan};
use ingam_signer::{IssuerUrls, KeyKind, Ledger, LocalSigner, Signer};
use ingam_store::engine::redb::{FileStorage, RedbConfig, RedbEngine};
use ingam_store::engine::{Engine, Table};
use ingam_store::{StatusRow, Store, StoreProcess};
use tokio::runtime::Runtime;

pub(crate) use flow::{Key, csr, new_order, refusal, revocation};
pub(crate) use logs::TestLogs;
pub(crate) use signer::{Signed, Step, TestSigner};
pub(crate) use validation::TestValidation;

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a claim on an order holds in these tests.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// What outlives a process.
pub(crate) struct World {
    pub(crate) tables: SimulatedDisk,
    pub(crate) journal: SimulatedDisk,
    pub(crate) keys: SimulatedDisk,
    pub(crate) ledger: SimulatedDisk,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) random: Arc<SeededRandom>,
    pub(crate) validation: Arc<TestValidation>,
    pub(crate) logs: Arc<TestLogs>,
    pub(crate) policy: Policy,
    hierarchy: Hierarchy,
    /// Issuers that end earlier than their certificates say.
    pub(crate) ends: BTreeMap<IssuerName, Timestamp>,
}

/// What ends with a process.
pub(crate) struct Process {
    pub(crate) authority: Arc<Authority>,
    pub(crate) signer: Arc<TestSigner>,
    pub(crate) store: Store,
    runtime: Runtime,
    engine: Arc<dyn Engine>,
    threads: StoreProcess,
}

pub(crate) fn issuer() -> IssuerName {
    "ecdsa".to_owned().try_into().unwrap()
}

fn profile() -> Profile {
    Profile {
        description: "for tests".to_owned(),
        pending_authorization_lifetime: 2 * DAY,
        valid_authorization_lifetime: 30 * DAY,
        names_max: 10,
        reuse_authorizations: false,
        ..Profile::usual(ProfileName::try_from("classic".to_owned()).unwrap(), issuer())
    }
}

fn policy() -> Policy {
    let profile = profile();
    let name = profile.name.clone();
    let private =
        Profile { name: "private".to_owned().try_into().unwrap(), is_public: false, ..profile.clone() };
    let short = Profile { name: "short".to_owned().try_into().unwrap(), ..profile.clone() };
    Policy {
        catalog: Catalog::new(vec![profile, private, short], &name).unwrap(),
        account_url_prefix: "https://ca.test/account/".to_owned(),
        terms_of_service: None,
        terms_since: None,
        public_rules: PublicRules::default(),
        external_account_required: false,
        account_hash_prefix: "https://ca.test/account-hash/".to_owned(),
        restrictions: Restrictions::default(),
        // Never waited for: a task that ends, ends long before.
        finalize_wait: Duration::from_secs(60),
        lease: LEASE,
        checks_max: 4,
        checks_waiting_max: 100,
        contacts_max: 4,
        renewal: RenewalPolicy::default(),
        public_suffixes: PublicSuffixes::built_in(),
        rate_limits: RateLimits::default(),
        crl_shards: ShardCounts::default(),
        weak_keys: Arc::default(),
        linters: Linters::default(),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of_issuers(&["ecdsa"])
    }

    /// With these issuing CAs, of which the profiles name one.
    pub(crate) fn of_issuers(issuers: &[&str]) -> Self {
        let clock = Arc::new(FixedClock::new(Timestamp::from_unix_s(1_795_255_200)));
        let random = Arc::new(SeededRandom::new(1));
        let name = |text: &str| IssuerName::try_from(text.to_owned()).unwrap();
        let plan = Plan {
            is_public: true,
            publication: "http://localhost:14080".to_owned(),
            country: "XX".to_owned(),
            organization: "Ingam Tests".to_owned(),
            root: name("root"),
            issuers: issuers
                .iter()
                .map(|text| IssuerPlan { name: name(text), key: KeyKind::EcdsaP256 })
                .collect(),
        };
        let hierarchy = Hierarchy::create(&plan, clock.as_ref(), random.as_ref()).unwrap();
        Self {
            tables: SimulatedDisk::new(),
            journal: SimulatedDisk::new(),
            keys: SimulatedDisk::new(),
            ledger: SimulatedDisk::new(),
            logs: Arc::new(TestLogs::new(clock.clone())),
            clock,
            random,
            validation: Arc::default(),
            policy: policy(),
            hierarchy,
            ends: BTreeMap::new(),
        }
    }

    /// The same world, whose finalize answers before the certificate is there.
    pub(crate) fn hasty() -> Self {
        let mut world = Self::new();
        world.policy.finalize_wait = Duration::ZERO;
        world
    }

    /// The same world with one profile, which is the usual one of these tests but for what `change` makes of it.
    pub(crate) fn of_profile(change: impl FnOnce(&mut Profile)) -> Self {
        let mut world = Self::new();
        world.change_profile(change);
        world
    }

    /// An operator changed the profile; it counts from the next start on.
    pub(crate) fn change_profile(&mut self, change: impl FnOnce(&mut Profile)) {
        let mut profile = Profile::clone(self.policy.catalog.default_profile());
        change(&mut profile);
        let name = profile.name.clone();
        self.policy.catalog = Catalog::new(vec![profile], &name).unwrap();
    }

    /// An operator took the profile `short` out of the configuration.
    pub(crate) fn withdraw_short_profile(&mut self) {
        let classic = profile();
        let name = classic.name.clone();
        self.policy.catalog = Catalog::new(vec![classic], &name).unwrap();
    }

    /// A new process on the same disks. Takes nothing up by itself.
    pub(crate) fn start(&self) -> Process {
        let engine = open_tables(&self.tables);
        let (store, threads) = Store::assemble(ingam_store::Parts {
            engine: engine.clone(),
            journal: Arc::new(self.journal.clone()),
            journal_keys: Arc::new(self.journal.clone()),
            keys: Arc::new(self.keys.clone()),
            random: self.random.clone(),
        })
        .unwrap();
        let signer = Arc::new(TestSigner::new(self.local_signer(), &self.ends));
        let authority = Authority::new(
            Parts {
                store: store.clone(),
                validation: self.validation.clone(),
                reports: self.validation.clone(),
                signer: signer.clone(),
                transparency: Some(self.logs.clone()),
                clock: self.clock.clone(),
                random: self.random.clone(),
            },
            self.policy.clone(),
        );
        Process { authority, signer, store, runtime: runtime(), engine, threads }
    }

    fn local_signer(&self) -> LocalSigner {
        let urls = IssuerUrls {
            ocsp: "http://ca.test/ocsp".to_owned(),
            issuer: "http://ca.test/issuer".to_owned(),
            crl: "http://ca.test/crl".to_owned(),
        };
        let ledger = Ledger::open(Arc::new(self.ledger.clone()), self.clock.clone()).unwrap();
        let names = self.hierarchy.intermediates.iter().map(|intermediate| intermediate.name.clone());
        let urls = names.map(|name| (name, urls.clone())).collect();
        let (clock, random) = (self.clock.clone(), self.random.clone());
        LocalSigner::new(self.hierarchy.clone(), urls, ledger, clock, random).unwrap()
    }

    /// Every disk, by its name.
    pub(crate) fn disks(&self) -> [(&'static str, &SimulatedDisk); 4] {
        let (tables, journal) = (("tables", &self.tables), ("journal", &self.journal));
        [tables, journal, ("keys", &self.keys), ("ledger", &self.ledger)]
    }

    /// The power goes: tasks end where they stand, and what no sync covered may be gone.
    pub(crate) fn crash(&self, process: Process) {
        let disks = self.disks().map(|(_, disk)| disk);
        disks.iter().for_each(|disk| disk.stop_after(0));
        // Its threads end before the power is back: the dead write nothing.
        process.stop();
        disks.iter().for_each(|disk| disk.power_cut(self.random.as_ref()));
    }
}

pub(crate) fn open_tables(disk: &SimulatedDisk) -> Arc<dyn Engine> {
    let file = disk.create("store.redb").unwrap();
    let log = disk.create("store.redb.log").unwrap();
    disk.sync_directory().unwrap();
    Arc::new(RedbEngine::with_backend(FileStorage::new(file), log, RedbConfig::default()).unwrap())
}

/// One thread: what runs when is up to the test alone, but for the store's own threads.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl Process {
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// What a start does with orders that an earlier process had left; gives how many were taken up and given up.
    pub(crate) fn resume_at_start(&self) -> (usize, usize) {
        self.run(async {
            self.authority.issuances_release().await.unwrap();
            self.authority.issuances_resume().await.unwrap()
        })
    }

    /// Lets background tasks run until `done` holds.
    pub(crate) fn until(&self, what: &str, done: impl Fn() -> bool) {
        let wait = async {
            while !done() {
                tokio::task::yield_now().await;
            }
        };
        let outcome = self.run(async { tokio::time::timeout(Duration::from_secs(30), wait).await });
        assert!(outcome.is_ok(), "it never came to this: {what}");
    }

    /// Every task in the background dies where it stands; the store and its threads live on.
    pub(crate) fn kill_tasks(&mut self) {
        self.runtime = runtime();
    }

    /// An orderly end: the store is closed.
    pub(crate) fn stop(self) {
        let Self { authority, signer, store, runtime, engine, threads } = self;
        drop(runtime);
        threads.close();
        drop((authority, signer, store, engine));
    }

    /// The journal that the store's records come into.
    pub(crate) fn journal(&self) -> Arc<Journal> {
        self.threads.journal().clone()
    }

    /// Every record there is, in the order of writing, each once: the journal's, then the outbox's.
    pub(crate) fn records(&self) -> Vec<Record> {
        // Outbox first: the archiver may move a record in between, and this way it is seen twice rather than never.
        let outbox = self.engine.range(Table::new("outbox"), &[], None, usize::MAX).unwrap();
        let archived = self.threads.journal().records(Class::Issuance).map(Result::unwrap);
        let waiting = outbox.iter().map(|(_, bytes)| Record::decode(bytes).unwrap());
        let mut seen = BTreeSet::new();
        archived.chain(waiting).filter(|record| seen.insert(record.id)).collect()
    }

    pub(crate) fn records_of(&self, kind: RecordType) -> Vec<Record> {
        self.records().into_iter().filter(|record| record.kind == kind).collect()
    }

    pub(crate) fn status(&self, serial: &Serial) -> Option<StatusRow> {
        self.store.statuses().status(&issuer(), serial).unwrap()
    }

    /// How many certificates are on record, of whatever order.
    pub(crate) fn certificates(&self) -> usize {
        self.rows("certificates")
    }

    /// How many rows a table of the store has.
    pub(crate) fn rows(&self, table: &'static str) -> usize {
        self.engine.range(Table::new(table), &[], None, usize::MAX).unwrap().len()
    }

    /// The DER of the one issuer's certificate.
    pub(crate) fn issuer_certificate(&self) -> Vec<u8> {
        self.signer.issuers()[0].certificate.clone()
    }
}

/// A request as the front end would have read it.
pub(crate) fn caller() -> Caller {
    caller_with("e30")
}

/// The same, with this payload (base64url).
pub(crate) fn caller_with(payload: &str) -> Caller {
    Caller {
        address: [192, 0, 2, 1].into(),
        user_agent: Some("test/1".to_owned()),
        request_id: "0123456789abcdef".to_owned(),
        url: "https://ca.test/any".to_owned(),
        jws: JwsText { protected: "e30".to_owned(), payload: payload.to_owned(), signature: "AA".to_owned() },
    }
}
