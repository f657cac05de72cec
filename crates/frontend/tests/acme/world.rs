//! A CA on three disks in memory, behind its front end: made once, started as often as a test likes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ingam_authority::linter::Linters;
use ingam_authority::{
    Authority, Catalog, Parts, Policy, PublicRules, RateLimits, RenewalPolicy, Restrictions,
};
use ingam_frontend::{Config, Frontend, account_url_prefix};
use ingam_journal::files::Files;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::Timestamp;
use ingam_protocol::crl::ShardCounts;
use ingam_protocol::identifier::Domain;
use ingam_protocol::profile::{IssuerName, Profile, ProfileName};
use ingam_protocol::public_suffix::PublicSuffixes;
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_signer::hierarchy::{Hierarchy, IssuerPlan, Plan};
use ingam_signer::{IssuerUrls, KeyKind, Ledger, LocalSigner};
use ingam_store::engine::Engine;
use ingam_store::engine::redb::{FileStorage, RedbConfig, RedbEngine};
use ingam_store::{Store, StoreProcess};
use tokio::runtime::Runtime;

use crate::pretend::{TestSigner, TestValidation};

pub(crate) const PUBLIC_URL: &str = "https://ca.test";
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What outlives a process.
pub(crate) struct World {
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) random: Arc<SeededRandom>,
    pub(crate) validation: Arc<TestValidation>,
    pub(crate) signer: Arc<TestSigner>,
    pub(crate) policy: Policy,
    pub(crate) config: Config,
    disks: [SimulatedDisk; 3],
}

/// What ends with a process.
pub(crate) struct Process {
    pub(crate) router: Router,
    pub(crate) authority: Arc<Authority>,
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) threads: StoreProcess,
    runtime: Runtime,
}

pub(crate) fn issuer() -> IssuerName {
    "ecdsa".to_owned().try_into().unwrap()
}

/// One hierarchy for all worlds: it is only read.
pub(crate) fn hierarchy() -> Hierarchy {
    let plan = Plan {
        is_public: true,
        publication: "http://localhost:14080".to_owned(),
        country: "XX".to_owned(),
        organization: "Ingam Tests".to_owned(),
        root: "root".to_owned().try_into().unwrap(),
        issuers: vec![IssuerPlan { name: issuer(), key: KeyKind::EcdsaP256 }],
    };
    Hierarchy::create(&plan, &FixedClock::new(start()), &SeededRandom::new(1)).unwrap()
}

pub(crate) fn start() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

fn policy() -> Policy {
    let profile = Profile {
        description: "ninety days".to_owned(),
        pending_authorization_lifetime: 2 * DAY,
        valid_authorization_lifetime: 30 * DAY,
        names_max: 3,
        reuse_authorizations: false,
        ..Profile::usual(ProfileName::try_from("classic".to_owned()).unwrap(), issuer())
    };
    let name = profile.name.clone();
    Policy {
        catalog: Catalog::new(vec![profile], &name).unwrap(),
        account_url_prefix: account_url_prefix(PUBLIC_URL),
        terms_of_service: None,
        terms_since: None,
        public_rules: PublicRules::default(),
        external_account_required: false,
        account_hash_prefix: "https://ca.test/account-hash/".to_owned(),
        restrictions: Restrictions {
            refused: vec![Domain::parse("ca.test").unwrap()],
            ..Restrictions::default()
        },
        // Never waited for: a task that ends, ends long before.
        finalize_wait: Duration::from_secs(60),
        lease: Duration::from_secs(60),
        checks_max: 8,
        checks_waiting_max: 100,
        contacts_max: 2,
        renewal: RenewalPolicy::default(),
        public_suffixes: PublicSuffixes::built_in(),
        rate_limits: RateLimits::default(),
        crl_shards: ShardCounts::default(),
        weak_keys: Arc::default(),
        linters: Linters::default(),
    }
}

fn config() -> Config {
    Config {
        public_url: PUBLIC_URL.to_owned(),
        website: Some("https://www.ca.test".to_owned()),
        caa_identities: vec!["ca.test".to_owned()],
        body_bytes_max: 64 * 1024,
        body_timeout: Duration::from_secs(10),
        certificates_by_get: false,
        hsts_max_age_s: None,
        privacy: None,
    }
}

impl World {
    pub(crate) fn new(hierarchy: Hierarchy, seed: u64) -> Self {
        let clock = Arc::new(FixedClock::new(start()));
        let random = Arc::new(SeededRandom::new(seed));
        let urls = IssuerUrls {
            ocsp: "http://ca.test/ocsp".to_owned(),
            issuer: "http://ca.test/issuer".to_owned(),
            crl: "http://ca.test/crl".to_owned(),
        };
        let urls = BTreeMap::from([(issuer(), urls)]);
        let ledger = Ledger::open(Arc::new(SimulatedDisk::new()), clock.clone()).unwrap();
        let signer = LocalSigner::new(hierarchy, urls, ledger, clock.clone(), random.clone()).unwrap();
        Self {
            clock,
            random,
            validation: Arc::default(),
            signer: Arc::new(TestSigner::new(signer)),
            policy: policy(),
            config: config(),
            disks: [SimulatedDisk::new(), SimulatedDisk::new(), SimulatedDisk::new()],
        }
    }

    /// A new process on the same disks, which has taken up what the one before it left.
    pub(crate) fn start(&self) -> Process {
        let [tables, journal, keys] = &self.disks;
        let engine = open_tables(tables);
        let (store, threads) = Store::assemble(ingam_store::Parts {
            engine: engine.clone(),
            journal: Arc::new(journal.clone()),
            journal_keys: Arc::new(journal.clone()),
            keys: Arc::new(keys.clone()),
            random: self.random.clone(),
        })
        .unwrap();
        let parts = Parts {
            store: store.clone(),
            validation: self.validation.clone(),
            reports: Arc::new(ingam_validation::scripted::Scripted::default()),
            signer: self.signer.clone(),
            transparency: None,
            clock: self.clock.clone(),
            random: self.random.clone(),
        };
        let authority = Authority::new(parts, self.policy.clone());
        let frontend = Frontend::new(authority.clone(), self.random.clone(), self.config.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let process = Process { router: frontend.router(), authority, store, engine, threads, runtime };
        process.resume_at_start();
        process.run(async { process.authority.challenges_resume() }).unwrap();
        process
    }

    /// The power goes: tasks end where they stand, and what no sync covered may be gone.
    pub(crate) fn crash(&self, process: Process) {
        for disk in &self.disks {
            disk.stop_after(0);
        }
        // Its threads end before the power is back: the dead write nothing.
        process.stop();
        for disk in &self.disks {
            disk.power_cut(self.random.as_ref());
        }
    }
}

fn open_tables(disk: &SimulatedDisk) -> Arc<dyn Engine> {
    let file = disk.create("store.redb").unwrap();
    let log = disk.create("store.redb.log").unwrap();
    disk.sync_directory().unwrap();
    // A short log, so that redb's own file has to follow now and then.
    let config = RedbConfig { log_bytes_max: 60_000, ..RedbConfig::default() };
    Arc::new(RedbEngine::with_backend(FileStorage::new(file), log, config).unwrap())
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

    /// How many tasks have begun and not ended.
    pub(crate) fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
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

    /// An orderly end: tasks end where they stand, and the store is closed.
    pub(crate) fn stop(self) {
        let Self { router, authority, store, engine, threads, runtime } = self;
        drop(runtime);
        threads.close();
        drop((router, authority, store, engine));
    }
}
