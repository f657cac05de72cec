//! Accounts, orders and what goes with them, as the authority would make them; and stores to put them into.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ingam_journal::files::Files;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::acme::ErrorType;
use ingam_protocol::acme::{
    Account, Authorization, Challenge, ChallengeType, Claim, Contact, Failure, Finished, Order, Verdict,
};
use ingam_protocol::identifier::{DnsName, Identifier};
use ingam_protocol::key::PublicKey;
use ingam_protocol::operator::Principal;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::time::{Random, SeededRandom, random_array};
use ingam_protocol::{Id, Serial, Timestamp};
use ingam_store::engine::redb::{FileStorage, RedbConfig, RedbEngine};
use ingam_store::engine::{Engine, Table};
use ingam_store::{
    AccountInserted, Admission, Admitted, Claimed, Config, EngineChoice, Error, NewCertificate,
    OpenChallenge, Parts, Store, StoreProcess,
};
use serde_json::value::RawValue;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn start() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

pub(crate) fn issuer() -> IssuerName {
    "ecdsa".to_owned().try_into().unwrap()
}

pub(crate) fn id(random: &dyn Random) -> Id {
    Id::new(start(), random)
}

pub(crate) fn account(random: &dyn Random) -> Account {
    Account {
        id: id(random),
        key: key(random),
        created: start(),
        terms_agreed: None,
        deactivated: None,
        external: None,
        earlier_keys: Vec::new(),
    }
}

/// An Ed25519 key that nobody has the other half of: every second array of bytes is one.
pub(crate) fn key(random: &dyn Random) -> PublicKey {
    let tries = std::iter::repeat_with(|| {
        let x = ingam_protocol::bytes::base64url(&random_array::<32>(random));
        let jwk = serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        PublicKey::from_jwk(jwk.as_object().unwrap()).ok()
    });
    tries.flatten().next().unwrap()
}

pub(crate) fn contacts() -> Vec<Contact> {
    vec![Contact::parse("mailto:someone@example.org").unwrap()]
}

/// An order for one name and its pending authorization.
pub(crate) fn order(account: Id, random: &dyn Random) -> (Order, Authorization) {
    let authorization = Authorization {
        id: id(random),
        account,
        host: DnsName::parse("a.example.org").unwrap().into(),
        wildcard: false,
        subdomains: false,
        public: false,
        created: start(),
        pending_until: start().plus(DAY),
        valid_for_ms: 30 * 24 * 60 * 60 * 1000,
        challenges: [ChallengeType::Http01, ChallengeType::Dns01]
            .map(|kind| Challenge { kind, token: "token".to_owned(), answered: None, finished: None })
            .to_vec(),
        deactivated: None,
    };
    let order = Order {
        id: id(random),
        account,
        created: start(),
        expires: start().plus(DAY),
        identifiers: vec![Identifier::parse_dns("a.example.org").unwrap()],
        profile: "classic".to_owned().try_into().unwrap(),
        authorizations: vec![authorization.id],
        not_before: None,
        not_after: None,
        replaces: None,
        waiting: None,
        claim: None,
        asked: None,
        precertificate: None,
        certificate: None,
        failure: None,
    };
    (order, authorization)
}

pub(crate) fn open_challenge(authorization: &Authorization) -> OpenChallenge {
    OpenChallenge { authorization: authorization.id, challenge: ChallengeType::Dns01 }
}

pub(crate) fn finished(verdict: Verdict) -> Finished {
    let validation_record = RawValue::from_string("[]".to_owned()).unwrap();
    Finished { at: start(), verdict, validation_record, until: None, quorum: None, record: None }
}

pub(crate) fn failure() -> Failure {
    Failure { error: ErrorType::ServerInternal, detail: "it could not be made".to_owned() }
}

pub(crate) fn claim(random: &dyn Random) -> Claim {
    claim_of(Serial::new(random), random)
}

fn claim_of(serial: Serial, random: &dyn Random) -> Claim {
    Claim {
        token: id(random),
        lease_until: start().plus(MINUTE),
        serial,
        issuer: issuer(),
        not_after: start().plus(90 * DAY),
        key_thumbprint: random_array::<32>(random).as_slice().into(),
        key_spki_hash: None,
        tbs: vec![0x30; 300].into(),
        looked_at: None,
        quorum: None,
        record: None,
    }
}

pub(crate) fn certificate() -> NewCertificate {
    NewCertificate { der: vec![0x30; 400].into(), not_before: start(), issued: start() }
}

/// What a certificate is to be made of.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) account: Id,
    pub(crate) issuer: IssuerName,
    pub(crate) thumbprint: [u8; 32],
    pub(crate) names: Vec<Identifier>,
    pub(crate) issued: Timestamp,
}

/// Certificates of this account for `a.example.org`, each with a key of its own.
pub(crate) fn wanted(account: Id, random: &dyn Random) -> Wanted {
    let names = vec![Identifier::parse_dns("a.example.org").unwrap()];
    Wanted { account, issuer: issuer(), thumbprint: random_array(random), names, issued: start() }
}

/// An order for this name that can be claimed.
pub(crate) async fn ready_order(store: &Store, account: Id, name: &str, random: &SeededRandom) -> Id {
    insert_ready(store, account, vec![Identifier::parse_dns(name).unwrap()], random).await
}

async fn insert_ready(store: &Store, account: Id, names: Vec<Identifier>, random: &SeededRandom) -> Id {
    let (mut order, mut authorization) = order(account, random);
    order.identifiers = names;
    authorization.challenges[0].answered = Some(start());
    authorization.challenges[0].finished = Some(finished(Verdict::Valid));
    let told = record(RecordType::OrderCreated, order.id, random);
    let made = store.order_insert(order.clone(), vec![authorization], told, Admission::default()).await;
    assert_eq!(made.unwrap(), Admitted::Yes);
    order.id
}

/// A certificate on record, and the order that it came from.
pub(crate) async fn issue(store: &Store, wanted: Wanted, random: &SeededRandom) -> (Id, Serial) {
    let serial = Serial::new(random);
    (issue_as(store, wanted, serial.clone(), random).await, serial)
}

/// The same, with this serial number.
pub(crate) async fn issue_as(store: &Store, wanted: Wanted, serial: Serial, random: &SeededRandom) -> Id {
    let order = insert_ready(store, wanted.account, wanted.names, random).await;
    let told = |kind| record(kind, order, random);
    let thumbprint = wanted.thumbprint.as_slice().into();
    let claim = Claim { issuer: wanted.issuer, key_thumbprint: thumbprint, ..claim_of(serial, random) };
    let token = claim.token;
    let claimed =
        store.order_claim(order, claim, start(), told(RecordType::CertificatePrepared), Vec::new()).await;
    assert!(matches!(claimed.unwrap(), Claimed::Yes));
    store.order_ask(order, token, start(), told(RecordType::SignatureAsked)).await.unwrap().unwrap();
    let signed = NewCertificate { issued: wanted.issued, ..certificate() };
    let (issued, late) = (told(RecordType::CertificateIssued), told(RecordType::IssuanceAbandoned));
    store.order_complete(order, token, signed, issued, late).await.unwrap().unwrap();
    order
}

/// Somebody who runs the CA.
pub(crate) fn operator(uid: u32) -> Principal {
    Principal::User(uid)
}

/// A record that says which operation wrote it, about what.
pub(crate) fn record(kind: RecordType, about: Id, random: &dyn Random) -> Record {
    let payload = serde_json::json!({ "about": about }).to_string().into_bytes();
    Record::new(kind, start(), payload, random)
}

/// What the record says it is about.
pub(crate) fn about(record: &Record) -> Id {
    let told: serde_json::Value = serde_json::from_slice(&record.parts[0].bytes).unwrap();
    told["about"].as_str().unwrap().parse().unwrap()
}

/// A store that is open.
pub(crate) struct Open {
    pub(crate) store: Store,
    pub(crate) threads: StoreProcess,
    /// For a look at what lies in it; on sled there is none.
    pub(crate) engine: Option<Arc<dyn Engine>>,
}

/// The three places of a store, on disks that break.
#[derive(Default)]
pub(crate) struct Disks {
    pub(crate) tables: SimulatedDisk,
    pub(crate) journal: SimulatedDisk,
    pub(crate) keys: SimulatedDisk,
}

impl Disks {
    pub(crate) fn each(&self) -> [&SimulatedDisk; 3] {
        [&self.tables, &self.journal, &self.keys]
    }

    /// The tables without a store over them.
    pub(crate) fn tables(&self) -> Result<Arc<dyn Engine>, Error> {
        let failed = |error| Error::File("opening the tables".to_owned(), error);
        let file = self.tables.create("store.redb").map_err(failed)?;
        let log = self.tables.create("store.redb.log").map_err(failed)?;
        self.tables.sync_directory().map_err(failed)?;
        // A short log, so that redb's own file has to follow now and then.
        let config = RedbConfig { log_bytes_max: 30_000, ..RedbConfig::default() };
        let engine = RedbEngine::with_backend(FileStorage::new(file), log, config);
        Ok(Arc::new(engine.map_err(|cause| Error::Engine("opening", cause))?))
    }

    pub(crate) fn open(&self, random: &Arc<SeededRandom>) -> Result<Open, Error> {
        let engine = self.tables()?;
        let (store, threads) = Store::assemble(Parts {
            engine: engine.clone(),
            journal: Arc::new(self.journal.clone()),
            journal_keys: Arc::new(self.journal.clone()),
            keys: Arc::new(self.keys.clone()),
            random: random.clone(),
        })?;
        Ok(Open { store, threads, engine: Some(engine) })
    }

    /// The power goes and comes back. What was open has to be closed before: the dead write nothing.
    pub(crate) fn power_cut(&self, random: &SeededRandom) {
        self.each().iter().for_each(|disk| disk.power_cut(random));
    }
}

impl Open {
    pub(crate) fn close(self) {
        let Self { store, threads, engine } = self;
        threads.close();
        drop((store, engine));
    }

    /// Every record of the journal and the outbox, in the order of writing, each once.
    pub(crate) fn records(&self) -> Vec<Record> {
        let engine = self.engine.as_ref().unwrap();
        // Outbox first: the archiver may move a record in between, and this way it is seen twice rather than never.
        let outbox = engine.range(Table::new("outbox"), &[], None, usize::MAX).unwrap();
        let archived = self.threads.journal().records(Class::Issuance).map(Result::unwrap);
        let waiting = outbox.iter().map(|(_, bytes)| Record::decode(bytes).unwrap());
        let mut seen = BTreeSet::new();
        archived.chain(waiting).filter(|record| seen.insert(record.id)).collect()
    }
}

/// Runs what is to be run on this thread; the store's threads are its own.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// Runs the test on a store of each engine.
pub(crate) fn on_both(test: impl AsyncFn(&Store, &SeededRandom)) {
    for engine in [EngineChoice::Redb, EngineChoice::Sled] {
        println!("on {engine:?}");
        let folder = tempfile::tempdir().unwrap();
        let random = Arc::new(SeededRandom::new(7));
        let config = Config { engine, ..Config::default() };
        let (store, threads) = Store::open(folder.path(), &config, random.clone()).unwrap();
        run(test(&store, &random));
        threads.close();
    }
}

/// An account with contacts, on record.
pub(crate) async fn insert_account(store: &Store, random: &SeededRandom) -> Account {
    let account = account(random);
    let record = record(RecordType::AccountCreated, account.id, random);
    let inserted =
        store.account_insert(account.clone(), &contacts(), record, Vec::new()).await.unwrap().unwrap();
    assert_eq!(inserted, AccountInserted::New);
    account
}
