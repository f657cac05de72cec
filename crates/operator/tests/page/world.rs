//! A CA with a store of its own, a clock that stands still, and a process around it that says what it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use bytes::Bytes;
use ingam_authority::linter::Linters;
use ingam_authority::operator::Act;
use ingam_authority::{
    Authority, Catalog, Parts, Policy, PublicRules, RateLimits, RenewalPolicy, Restrictions,
};
use ingam_journal::simulated::SimulatedDisk;
use ingam_operator::api::Reload;
use ingam_operator::{Host, LastError, Operator, PublishedFile, PublishedPaths};
use ingam_protocol::acme::{
    Account, Authorization, Challenge, ChallengeType, Claim, Finished, Order, Verdict,
};
use ingam_protocol::crl::ShardCounts;
use ingam_protocol::identifier::Identifier;
use ingam_protocol::key::PublicKey;
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::public_suffix::PublicSuffixes;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{FixedClock, Random, SeededRandom, random_array};
use ingam_protocol::{Id, Reason, Serial, Timestamp};
use ingam_responder::request_log::{self, RequestLog};
use ingam_signer::hierarchy::{Hierarchy, IssuerPlan, Plan};
use ingam_signer::{IssuerUrls, KeyKind, Ledger, LocalSigner};
use ingam_store::{
    Admission, Admitted, Grant, NewCertificate, OpenChallenge, RevocationRequest, Store, StoreProcess,
};
use ingam_validation::scripted::Scripted;
use serde_json::Value;
use serde_json::value::RawValue;
use tempfile::TempDir;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Who looks at the page.
pub(crate) const VISITOR: Principal = Principal::User(1000);

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

pub(crate) fn issuer() -> IssuerName {
    "ecdsa".to_owned().try_into().unwrap()
}

/// A process that says of itself what a test gave it to say.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) report: Value,
    pub(crate) errors: Vec<LastError>,
}

#[async_trait]
impl Host for Said {
    async fn status(&self) -> Value {
        self.report.clone()
    }

    async fn is_ready(&self) -> bool {
        true
    }

    fn last_errors(&self) -> Vec<LastError> {
        self.errors.clone()
    }

    async fn reload(&self, _: &Act) -> Result<Reload, Vec<String>> {
        Err(vec!["nothing to read".to_owned()])
    }

    async fn ocsp_answer(&self, _: &[u8]) -> Bytes {
        Bytes::new()
    }

    async fn published_paths(&self) -> PublishedPaths {
        PublishedPaths::default()
    }

    async fn published(&self, _: &str) -> Option<PublishedFile> {
        None
    }

    async fn stopped(&self) {
        std::future::pending().await
    }
}

/// A CA. Its store goes with it.
pub(crate) struct World {
    pub(crate) store: Store,
    authority: Arc<Authority>,
    random: Arc<SeededRandom>,
    threads: Option<StoreProcess>,
    _folder: TempDir,
}

/// A certificate to be in the store.
pub(crate) struct Issued<'a> {
    pub(crate) names: Vec<String>,
    /// How long ago it was signed.
    pub(crate) ago: Duration,
    /// How long it is valid from then on.
    pub(crate) valid: Duration,
    pub(crate) issuer: &'a str,
    pub(crate) revoked: Option<Reason>,
}

impl World {
    pub(crate) fn new() -> Self {
        let (clock, random) = (Arc::new(FixedClock::new(now())), Arc::new(SeededRandom::new(1)));
        let folder = tempfile::tempdir().unwrap();
        let config = ingam_store::Config::default();
        let (store, threads) = Store::open(folder.path(), &config, random.clone()).unwrap();
        let urls = IssuerUrls {
            ocsp: "http://ca.test/ocsp".to_owned(),
            issuer: "http://ca.test/issuer".to_owned(),
            crl: "http://ca.test/crl".to_owned(),
        };
        let urls = BTreeMap::from([(issuer(), urls)]);
        let hierarchy = hierarchy(clock.as_ref(), random.as_ref());
        let ledger = Ledger::open(Arc::new(SimulatedDisk::new()), clock.clone()).unwrap();
        let signer = LocalSigner::new(hierarchy, urls, ledger, clock.clone(), random.clone()).unwrap();
        let parts = Parts {
            store: store.clone(),
            validation: Arc::new(Scripted::default()),
            reports: Arc::new(Scripted::default()),
            signer: Arc::new(signer),
            transparency: None,
            clock,
            random: random.clone(),
        };
        let authority = Authority::new(parts, policy());
        Self { store, authority, random, threads: Some(threads), _folder: folder }
    }

    /// The admin API of this CA, in a process that says `said`.
    pub(crate) fn router(&self, said: Said) -> Router {
        let host = Arc::new(said);
        let log = request_log::Parts {
            files: None,
            receipts: Arc::new(self.store.statuses()),
            clock: self.authority.clock().clone(),
            random: self.random.clone(),
            issuers: Vec::new(),
            threads: 1,
        };
        let retention = ingam_retention::Parts {
            store: self.store.clone(),
            journal: self.threads.as_ref().unwrap().journal().clone(),
            clock: self.authority.clock().clone(),
            random: self.random.clone(),
        };
        let schedule = ingam_retention::Schedule::new(
            ingam_retention::Config::default(),
            ingam_retention::Reliance::default(),
        );
        let retention = ingam_retention::Retention::new(retention, schedule);
        let parts = ingam_operator::Parts {
            retention,
            authority: self.authority.clone(),
            request_log: RequestLog::open(&request_log::Config::default(), log).unwrap(),
            host,
            random: self.random.clone(),
        };
        Operator::new(parts, BTreeSet::new()).router()
    }

    pub(crate) fn id(&self, at: Timestamp) -> Id {
        Id::new(at, self.random.as_ref())
    }

    /// Gives the visitor a role.
    pub(crate) async fn grant(&self, role: Role) {
        let reason = "for the test".to_owned();
        let grant = Grant { principal: VISITOR, role, label: None, by: None, at: now(), reason };
        assert!(self.store.role_grant(grant, Vec::new()).await.unwrap());
    }

    /// Puts a certificate into the store, by the way that issuance goes.
    pub(crate) async fn issue(&self, issued: Issued<'_>) {
        let random = self.random.as_ref();
        let at = now().minus(issued.ago);
        let record = |kind| Record::new(kind, at, b"{}".to_vec(), random);
        let account = Account {
            id: self.id(at),
            key: some_key(random),
            created: at,
            terms_agreed: None,
            deactivated: None,
            external: None,
            earlier_keys: Vec::new(),
        };
        let account_id = account.id;
        let inserted =
            self.store.account_insert(account, &[], record(RecordType::AccountCreated), Vec::new()).await;
        inserted.unwrap().unwrap();
        let (order, authorizations) = self.order(account_id, &issued.names, at);
        let open: Vec<_> = authorizations.iter().map(|authorization| authorization.id).collect();
        let created = record(RecordType::OrderCreated);
        let made =
            self.store.order_insert(order.clone(), authorizations, created, Admission::default()).await;
        assert_eq!(made.unwrap(), Admitted::Yes);
        for authorization in open {
            let open = OpenChallenge { authorization, challenge: ChallengeType::Dns01 };
            let answered = record(RecordType::ChallengeAnswered);
            self.store.challenge_answer(open, at, answered, Vec::new()).await.unwrap();
            let validation_record = RawValue::from_string("[]".to_owned()).unwrap();
            let finished = Finished {
                at,
                verdict: Verdict::Valid,
                validation_record,
                until: None,
                quorum: None,
                record: None,
            };
            let checked = record(RecordType::ValidationFinished);
            self.store.challenge_finish(open, finished, checked, None).await.unwrap();
        }
        let claim = Claim {
            token: self.id(at),
            lease_until: at.plus(DAY),
            serial: Serial::new(random),
            issuer: issued.issuer.to_owned().try_into().unwrap(),
            not_after: at.plus(issued.valid),
            key_thumbprint: random_array::<32>(random).as_slice().into(),
            key_spki_hash: None,
            tbs: vec![0x30; 300].into(),
            looked_at: None,
            quorum: None,
            record: None,
        };
        let prepared = record(RecordType::CertificatePrepared);
        self.store.order_claim(order.id, claim.clone(), at, prepared, Vec::new()).await.unwrap();
        let asked = self.store.order_ask(order.id, claim.token, at, record(RecordType::SignatureAsked));
        asked.await.unwrap().unwrap();
        let certificate = NewCertificate { der: vec![0x30; 400].into(), not_before: at, issued: at };
        let (done, late) = (record(RecordType::CertificateIssued), record(RecordType::IssuanceAbandoned));
        let completed = self.store.order_complete(order.id, claim.token, certificate, done, late);
        completed.await.unwrap().unwrap();
        if let Some(reason) = issued.revoked {
            let request = RevocationRequest {
                issuer: claim.issuer,
                serial: claim.serial,
                reason,
                at,
                block_key: None,
                operator: None,
            };
            self.store.certificate_revoke(request, Vec::new()).await.unwrap();
        }
    }

    fn order(&self, account: Id, names: &[String], at: Timestamp) -> (Order, Vec<Authorization>) {
        let identifiers: Vec<_> = names.iter().map(|name| Identifier::parse_dns(name).unwrap()).collect();
        let challenges = vec![Challenge {
            kind: ChallengeType::Dns01,
            token: "token".to_owned(),
            answered: None,
            finished: None,
        }];
        let authorizations: Vec<_> = identifiers
            .iter()
            .map(|identifier| Authorization {
                id: self.id(at),
                account,
                host: identifier.host(),
                wildcard: identifier.is_wildcard(),
                subdomains: false,
                public: false,
                created: at,
                pending_until: at.plus(DAY),
                valid_for_ms: 30 * 24 * 60 * 60 * 1000,
                challenges: challenges.clone(),
                deactivated: None,
            })
            .collect();
        let order = Order {
            id: self.id(at),
            account,
            created: at,
            expires: at.plus(DAY),
            identifiers,
            profile: "classic".to_owned().try_into().unwrap(),
            authorizations: authorizations.iter().map(|authorization| authorization.id).collect(),
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
        (order, authorizations)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Closing blocks, which a thread of the runtime must not.
        let threads = self.threads.take().unwrap();
        std::thread::spawn(|| threads.close()).join().unwrap();
    }
}

fn hierarchy(clock: &FixedClock, random: &SeededRandom) -> Hierarchy {
    let plan = Plan {
        country: "XX".to_owned(),
        organization: "Ingam Tests".to_owned(),
        root: "root".to_owned().try_into().unwrap(),
        is_public: true,
        publication: "http://localhost:14080".to_owned(),
        issuers: vec![IssuerPlan { name: issuer(), key: KeyKind::EcdsaP256 }],
    };
    Hierarchy::create(&plan, clock, random).unwrap()
}

fn policy() -> Policy {
    let profile = Profile {
        description: "for tests".to_owned(),
        backdate: Duration::ZERO,
        pending_authorization_lifetime: 2 * DAY,
        valid_authorization_lifetime: 30 * DAY,
        ..Profile::usual("classic".to_owned().try_into().unwrap(), issuer())
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
        rate_limits: RateLimits::default(),
        crl_shards: ShardCounts::default(),
        weak_keys: Arc::default(),
        linters: Linters::default(),
    }
}

/// An Ed25519 key that nobody has the other half of: every second array of bytes is one.
fn some_key(random: &dyn Random) -> PublicKey {
    let tries = std::iter::repeat_with(|| {
        let x = ingam_protocol::bytes::base64url(&random_array::<32>(random));
        let jwk = serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        PublicKey::from_jwk(jwk.as_object().unwrap()).ok()
    });
    tries.flatten().next().unwrap()
}
