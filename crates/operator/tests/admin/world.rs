//! A CA on three disks in memory, behind its admin API.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use bytes::Bytes;
use ingam_authority::linter::Linters;
use ingam_authority::operator::Act;
use ingam_authority::{
    Authority, Caller, Catalog, Parts, PauseRule, Policy, PublicRules, RateLimits, RenewalPolicy,
    Restrictions,
};
use ingam_journal::files::Files;
use ingam_journal::simulated::SimulatedDisk;
use ingam_operator::acts::Danger;
use ingam_operator::api::{BackupMade, Reload};
use ingam_operator::{Host, Operator, PublishedFile, PublishedPaths};
use ingam_protocol::acme::{
    Account, ChallengeType, ErrorType, NewAccount, NewOrder, OrderStatus, UnreadIdentifier,
};
use ingam_protocol::crl::ShardCounts;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::jws::JwsText;
use ingam_protocol::key::PublicKey;
use ingam_protocol::limit::{Limit, LimitName};
use ingam_protocol::ocsp::{CertId, CertStatus, ResponseData, SingleResponse, parse_request, successful};
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::profile::{IssuerName, Profile, ProfileName};
use ingam_protocol::public_suffix::PublicSuffixes;
use ingam_protocol::record::{Class, Record, RecordType, Seal};
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::{Id, Serial, Timestamp};
use ingam_responder::request_log::{self, RequestLog};
use ingam_signer::hierarchy::{Hierarchy, IssuerPlan, Plan};
use ingam_signer::{IssuerUrls, KeyKind, Ledger, LocalSigner};
use ingam_store::engine::redb::{FileStorage, RedbConfig, RedbEngine};
use ingam_store::engine::{Engine, Table};
use ingam_store::{Grant, Store, StoreProcess, table_classes};
use ingam_validation::Failure;
use ingam_validation::scripted::Scripted;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An address and a contact that no answer may hold unless that is on record.
pub(crate) const ADDRESS: &str = "192.0.2.77";
pub(crate) const CONTACT: &str = "mailto:someone@example.org";

/// The process around the API, as a test wants it to be.
pub(crate) struct TestHost {
    pub(crate) ready: AtomicBool,
    pub(crate) mistakes: Mutex<Vec<String>>,
    stopped: watch::Sender<bool>,
    authority: Arc<Authority>,
}

#[async_trait]
impl Host for TestHost {
    async fn status(&self) -> Value {
        json!({ "ready": self.ready.load(Ordering::SeqCst), "issuers": ["ecdsa"] })
    }

    async fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    async fn checkpoint_cosign(&self, _: &str) -> Result<Vec<String>, ingam_operator::NotTaken> {
        Ok(vec!["witness.example".to_owned()])
    }

    async fn reload(&self, act: &Act) -> Result<Reload, Vec<String>> {
        let mistakes = self.mistakes.lock().unwrap().clone();
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let changed = json!({ "changed": ["limits"] });
        let recorded = self.authority.configuration_changed(Some(act), &changed).await;
        recorded.map_err(|error| vec![error.to_string()])?;
        Ok(Reload { changed: vec!["limits".to_owned()], needs_restart: Vec::new() })
    }

    async fn backup(&self, act: &Act, to: &str, _: Option<u32>) -> Result<BackupMade, String> {
        let recorded = self.authority.backup_made(act, &json!({ "to": to })).await;
        recorded.map_err(|error| error.to_string())?;
        Ok(BackupMade { number: 1, ..BackupMade::default() })
    }

    async fn ocsp_answer(&self, request: &[u8]) -> Bytes {
        // In the right form, and signed by nobody.
        let asked = parse_request(request).unwrap();
        let this_update = start();
        let single = |asked: CertId| SingleResponse {
            cert_id: asked.der,
            status: CertStatus::Good,
            this_update,
            next_update: this_update.plus(7 * DAY),
        };
        let responses = asked.cert_ids.into_iter().map(single).collect();
        let data =
            ResponseData { responder_key_hash: [7; 20], produced_at: this_update, responses, nonce: None };
        successful(&data.encode(), &[0x30, 0], &[7; 70], None).into()
    }

    async fn published_paths(&self) -> PublishedPaths {
        PublishedPaths { base: String::new(), paths: vec!["/roots.pem".to_owned()] }
    }

    async fn published(&self, path: &str) -> Option<PublishedFile> {
        (path == "/roots.pem").then(|| PublishedFile {
            body: Bytes::from(vec![7; 9 << 20]),
            content_type: "text/plain".to_owned(),
        })
    }

    async fn stopped(&self) {
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }
}

/// The name that nobody can show control of.
const FAILING: &str = "zombie.example.org";

/// A CA that runs.
pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) authority: Arc<Authority>,
    pub(crate) request_log: Arc<RequestLog>,
    pub(crate) host: Arc<TestHost>,
    pub(crate) store: Store,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) random: Arc<SeededRandom>,
    pub(crate) tables: SimulatedDisk,
    runtime: Runtime,
    engine: Arc<dyn Engine>,
    threads: StoreProcess,
    /// The number of the last name or user that was made up.
    last: Mutex<u32>,
}

/// A record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) kind: RecordType,
    pub(crate) class: Class,
    pub(crate) subject: Option<Id>,
    pub(crate) payload: Value,
}

fn issuer() -> IssuerName {
    "ecdsa".to_owned().try_into().unwrap()
}

pub(crate) fn start() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

fn policy() -> Policy {
    let profile = Profile {
        description: "for tests".to_owned(),
        pending_authorization_lifetime: 2 * DAY,
        valid_authorization_lifetime: 30 * DAY,
        names_max: 10,
        ..Profile::usual(ProfileName::try_from("classic".to_owned()).unwrap(), issuer())
    };
    let name = profile.name.clone();
    Policy {
        catalog: Catalog::new(vec![profile], &name).unwrap(),
        account_url_prefix: "https://ca.test/account/".to_owned(),
        terms_of_service: None,
        terms_since: None,
        public_rules: PublicRules::default(),
        external_account_required: false,
        account_hash_prefix: "https://ca.test/account-hash/".to_owned(),
        restrictions: Restrictions::default(),
        finalize_wait: Duration::from_secs(60),
        lease: Duration::from_secs(60),
        checks_max: 4,
        checks_waiting_max: 100,
        contacts_max: 4,
        renewal: RenewalPolicy::default(),
        public_suffixes: PublicSuffixes::built_in(),
        crl_shards: ShardCounts::default(),
        rate_limits: RateLimits {
            // So many that no test meets it.
            limits: [(LimitName::NewOrdersPerAccount, Limit::new(1_000_000, DAY, 1_000_000).unwrap())].into(),
            pauses: Some(PauseRule { failures: 1, over: Duration::ZERO, forgotten_after: 30 * DAY }),
            ..RateLimits::default()
        },
        weak_keys: Arc::default(),
        linters: Linters::default(),
    }
}

fn signer(clock: &Arc<FixedClock>, random: &Arc<SeededRandom>) -> LocalSigner {
    let plan = Plan {
        country: "XX".to_owned(),
        organization: "Ingam Tests".to_owned(),
        root: "root".to_owned().try_into().unwrap(),
        is_public: true,
        publication: "http://localhost:14080".to_owned(),
        issuers: vec![IssuerPlan { name: issuer(), key: KeyKind::EcdsaP256 }],
    };
    let hierarchy = Hierarchy::create(&plan, clock.as_ref(), random.as_ref()).unwrap();
    let urls = IssuerUrls {
        ocsp: "http://ca.test/ocsp".to_owned(),
        issuer: "http://ca.test/issuer".to_owned(),
        crl: "http://ca.test/crl".to_owned(),
    };
    let ledger = Ledger::open(Arc::new(SimulatedDisk::new()), clock.clone()).unwrap();
    let urls = BTreeMap::from([(issuer(), urls)]);
    LocalSigner::new(hierarchy, urls, ledger, clock.clone(), random.clone()).unwrap()
}

/// A network where one name fails.
fn validation() -> Arc<Scripted> {
    let validation = Scripted::default();
    let failure = Failure { error: ErrorType::Connection, detail: "connection refused".to_owned() };
    validation.fail(&DnsName::parse(FAILING).unwrap(), Some(failure));
    Arc::new(validation)
}

fn open_tables(disk: &SimulatedDisk) -> Arc<dyn Engine> {
    let file = disk.create("store.redb").unwrap();
    let log = disk.create("store.redb.log").unwrap();
    disk.sync_directory().unwrap();
    Arc::new(RedbEngine::with_backend(FileStorage::new(file), log, RedbConfig::default()).unwrap())
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_two_people([])
    }

    /// One where these acts need two people.
    pub(crate) fn with_two_people(dangers: impl IntoIterator<Item = Danger>) -> Self {
        let clock = Arc::new(FixedClock::new(start()));
        let random = Arc::new(SeededRandom::new(1));
        let tables = SimulatedDisk::new();
        let engine = open_tables(&tables);
        let (store, threads) = Store::assemble(ingam_store::Parts {
            engine: engine.clone(),
            journal: Arc::new(SimulatedDisk::new()),
            journal_keys: Arc::new(SimulatedDisk::new()),
            keys: Arc::new(SimulatedDisk::new()),
            random: random.clone(),
        })
        .unwrap();
        let parts = Parts {
            store: store.clone(),
            validation: validation(),
            reports: Arc::new(Scripted::default()),
            signer: Arc::new(signer(&clock, &random)),
            transparency: None,
            clock: clock.clone(),
            random: random.clone(),
        };
        let authority = Authority::new(parts, policy());
        let host = Arc::new(TestHost {
            ready: AtomicBool::new(true),
            mistakes: Mutex::default(),
            stopped: watch::Sender::new(false),
            authority: authority.clone(),
        });
        let two_people = dangers.into_iter().collect();
        let request_log = request_log(&store, &clock, &random);
        let retention = ingam_retention::Parts {
            store: store.clone(),
            journal: threads.journal().clone(),
            clock: clock.clone(),
            random: random.clone(),
        };
        let schedule = ingam_retention::Schedule::new(
            ingam_retention::Config::default(),
            ingam_retention::Reliance::default(),
        );
        let retention = ingam_retention::Retention::new(retention, schedule);
        let parts = ingam_operator::Parts {
            retention,
            authority: authority.clone(),
            request_log: request_log.clone(),
            host: host.clone(),
            random: random.clone(),
        };
        let operator = Operator::new(parts, two_people);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (router, last) = (operator.router(), Mutex::new(1000));
        Self {
            router,
            authority,
            request_log,
            host,
            store,
            clock,
            random,
            tables,
            runtime,
            engine,
            threads,
            last,
        }
    }

    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The process around it is told to stop.
    pub(crate) fn stop_host(&self) {
        self.host.stopped.send_replace(true);
    }

    pub(crate) fn stop(self) {
        let Self { router, authority, request_log, host, store, runtime, engine, threads, .. } = self;
        drop(router);
        drop(runtime);
        threads.close();
        drop((authority, request_log, host, store, engine));
    }

    /// A number that was not used before.
    pub(crate) fn next(&self) -> u32 {
        let mut last = self.last.lock().unwrap();
        *last += 1;
        *last
    }

    /// Somebody with exactly these roles.
    pub(crate) fn somebody(&self, roles: &[Role]) -> Principal {
        let principal = Principal::User(self.next());
        for role in roles {
            let grant = Grant {
                principal,
                role: *role,
                label: None,
                by: None,
                at: start(),
                reason: "for a test".to_owned(),
            };
            assert!(self.run(self.store.role_grant(grant, Vec::new())).unwrap());
        }
        principal
    }

    /// Every record of every class, each once.
    fn records(&self) -> Vec<Record> {
        // Outbox first: the archiver may move a record in between, and this way it is seen twice rather than never.
        let outbox = self.engine.range(Table::new("outbox"), &[], None, usize::MAX).unwrap();
        let archived = Class::ALL.into_iter().flat_map(|class| self.threads.journal().records(class));
        let waiting = outbox.iter().map(|(_, bytes)| Record::decode(bytes).unwrap());
        let mut seen = BTreeSet::new();
        archived.map(Result::unwrap).chain(waiting).filter(|record| seen.insert(record.id)).collect()
    }

    /// Runs something and gives the records that it left: those of the class `access_log` last.
    pub(crate) fn told<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<Told>) {
        let before: BTreeSet<_> = self.records().into_iter().map(|record| record.id).collect();
        let outcome = work();
        let new = self.records().into_iter().filter(|record| !before.contains(&record.id));
        let mut told: Vec<_> = new
            .map(|record| {
                let open = record.parts.iter().find(|part| part.seal == Seal::Open).unwrap();
                let payload = serde_json::from_slice(&open.bytes).unwrap();
                Told { kind: record.kind, class: record.class(), subject: record.subject, payload }
            })
            .collect();
        told.sort_by_key(|told| (told.class == Class::AccessLog, told.kind));
        (outcome, told)
    }

    /// Everything in the tables but records on their way.
    pub(crate) fn rows(&self) -> BTreeMap<(&'static str, Vec<u8>), Vec<u8>> {
        let tables = table_classes().map(|(name, _)| name).filter(|name| *name != "outbox");
        tables
            .flat_map(|name| {
                let pairs = self.engine.range(Table::new(name), &[], None, usize::MAX).unwrap();
                pairs.into_iter().map(move |(key, value)| ((name, key), value))
            })
            .collect()
    }
}

/// A log in which somebody from [`ADDRESS`] asked once.
fn request_log(store: &Store, clock: &Arc<FixedClock>, random: &Arc<SeededRandom>) -> Arc<RequestLog> {
    let parts = request_log::Parts {
        files: Some(Arc::new(SimulatedDisk::new())),
        receipts: Arc::new(store.statuses()),
        clock: clock.clone(),
        random: random.clone(),
        issuers: vec![issuer()],
        threads: 1,
    };
    let config = request_log::Config { mode: request_log::Mode::Full, ..request_log::Config::default() };
    let log = RequestLog::open(&config, parts).unwrap();
    log.note(&request_log::Noted {
        address: ADDRESS.parse().unwrap(),
        user_agent: b"curl/8.5.0",
        issuer: Some(0),
        serial: &[7; 16],
        outcome: request_log::Outcome::Good,
        at: start(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // A process that ends writes at once.
    runtime.block_on(log.run(std::future::ready(())));
    log
}

/// A subscriber's key.
pub(crate) fn new_key() -> PublicKey {
    PublicKey::from_spki(&KeyPair::generate().unwrap().subject_public_key_info()).unwrap()
}

/// What subscribers do.
impl World {
    pub(crate) fn account(&self) -> Account {
        let key = new_key();
        let request = NewAccount {
            contact: Some(vec![CONTACT.to_owned()]),
            terms_of_service_agreed: false,
            only_return_existing: false,
            external_account_binding: None,
        };
        let found = self.run(self.authority.account_create(key, request, &caller())).unwrap();
        found.account().clone()
    }

    /// An order of this account for a name of its own, and that name.
    pub(crate) fn order(&self, account: &Account) -> (ingam_protocol::acme::Order, String) {
        let name = format!("n{}.example.org", self.next());
        let identifiers = vec![UnreadIdentifier::dns(name.clone())];
        let request =
            NewOrder { identifiers, not_before: None, not_after: None, profile: None, replaces: None };
        let view = self.run(self.authority.order_create(account, request, &caller())).unwrap();
        (view.order, name)
    }

    /// An order of this account whose only name fails.
    pub(crate) fn fail_one(&self, account: &Account) {
        let identifiers = vec![UnreadIdentifier::dns(FAILING)];
        let request =
            NewOrder { identifiers, not_before: None, not_after: None, profile: None, replaces: None };
        let order = self.run(self.authority.order_create(account, request, &caller())).unwrap().order;
        self.run(async {
            let (id, kind) = (order.authorizations[0], ChallengeType::Dns01);
            self.authority.challenge_answer(account, id, kind, &caller()).await.unwrap().unwrap();
            while self.authority.order(account, order.id).unwrap().unwrap().status != OrderStatus::Invalid {
                tokio::task::yield_now().await;
            }
        });
    }

    /// A certificate of this account for a name of its own.
    pub(crate) fn certificate(&self, account: &Account) -> Serial {
        let (order, name) = self.order(account);
        let id = order.authorizations[0];
        self.run(async {
            let kind = ChallengeType::Dns01;
            self.authority.challenge_answer(account, id, kind, &caller()).await.unwrap().unwrap();
            while self.authority.order(account, order.id).unwrap().unwrap().status != OrderStatus::Ready {
                tokio::task::yield_now().await;
            }
        });
        let mut params = CertificateParams::new(vec![name]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let csr = params.serialize_request(&KeyPair::generate().unwrap()).unwrap();
        let who = caller();
        let done = self.authority.order_finalize(account, order.id, csr.der(), &who);
        self.run(done).unwrap().unwrap().order.certificate.unwrap()
    }
}

/// A request as the front end would have read it.
fn caller() -> Caller {
    Caller {
        address: ADDRESS.parse().unwrap(),
        user_agent: Some("subscriber/1".to_owned()),
        request_id: "0123456789abcdef".to_owned(),
        url: "https://ca.test/any".to_owned(),
        jws: JwsText { protected: "e30".to_owned(), payload: "e30".to_owned(), signature: "AA".to_owned() },
    }
}
