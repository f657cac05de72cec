//! A CA's statuses in a real store, on disks that lose their power: issuances in all their stages.

use std::sync::Arc;
use std::time::Duration;

use ingam_journal::files::Files;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::acme::{
    Account, Authorization, Challenge, ChallengeType, Claim, ErrorType, Failure, Finished, Order, Verdict,
};
use ingam_protocol::identifier::DnsName;
use ingam_protocol::key::PublicKey;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{FixedClock, Random, SeededRandom, random_array};
use ingam_protocol::{Id, Reason, Serial, Timestamp};
use ingam_store::engine::redb::{FileStorage, RedbConfig, RedbEngine};
use ingam_store::{
    AbandonedBy, AccountInserted, Admission, Admitted, Claimed, NewCertificate, Parts, RevocationOutcome,
    RevocationRequest, Stale, Store, StoreProcess,
};
use serde_json::value::RawValue;

use super::world::{DAY, issuer_name, start};
use crate::stored::StoredStatuses;

/// An issuance that was begun.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) issuer: &'static str,
    pub(super) serial: Serial,
    pub(super) not_after: Timestamp,
    order: Id,
    token: Id,
}

/// What an issuance does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The signer is about to be asked.
    Ask,
    /// The signature under a precertificate comes in.
    Precertify,
    /// The signature under a certificate comes in.
    Complete,
    /// It is given up.
    GiveUp,
}

/// The store of one CA.
pub(super) struct StoreOfTests {
    disks: [SimulatedDisk; 3],
    random: Arc<SeededRandom>,
    account: Id,
    open: Option<(Store, StoreProcess)>,
}

impl StoreOfTests {
    /// An empty one with an account.
    pub(super) async fn new(seed: u64) -> Self {
        let random = Arc::new(SeededRandom::new(seed));
        let account = account(random.as_ref());
        let mut made = Self { disks: Default::default(), account: account.id, random, open: None };
        made.open();
        let told = made.record(RecordType::AccountCreated);
        let inserted = made.store().account_insert(account, &[], told, Vec::new()).await.unwrap().unwrap();
        assert_eq!(inserted, AccountInserted::New);
        made
    }

    fn store(&self) -> &Store {
        &self.open.as_ref().unwrap().0
    }

    fn open(&mut self) {
        let [tables, journal, keys] = &self.disks;
        let (file, log) = (tables.create("store.redb").unwrap(), tables.create("store.redb.log").unwrap());
        tables.sync_directory().unwrap();
        let engine = RedbEngine::with_backend(FileStorage::new(file), log, RedbConfig::default()).unwrap();
        let parts = Parts {
            engine: Arc::new(engine),
            journal: Arc::new(journal.clone()),
            journal_keys: Arc::new(journal.clone()),
            keys: Arc::new(keys.clone()),
            random: self.random.clone(),
        };
        self.open = Some(Store::assemble(parts).unwrap());
    }

    /// The power goes and comes back. Nobody may hold statuses of it any more.
    pub(super) fn cut_power(&mut self) {
        self.disks.iter().for_each(|disk| disk.stop_after(0));
        self.close();
        self.disks.iter().for_each(|disk| disk.power_cut(self.random.as_ref()));
        self.open();
    }

    fn close(&mut self) {
        if let Some((store, threads)) = self.open.take() {
            // It blocks, which this thread must not while it runs a test.
            std::thread::spawn(|| threads.close()).join().unwrap();
            drop(store);
        }
    }

    /// As a responder is handed them.
    pub(super) fn statuses(&self, clock: &Arc<FixedClock>) -> Arc<StoredStatuses> {
        Arc::new(StoredStatuses::new(self.store().statuses(), clock.clone(), self.random.clone()))
    }

    /// A serial number that nothing else has.
    pub(super) fn serial(&self) -> Serial {
        Serial::new(self.random.as_ref())
    }

    /// Claims a new order: a serial number is set aside.
    pub(super) async fn begin(&self, issuer: &'static str, now: Timestamp, life: Duration) -> Begun {
        let (order, authorization) = self.order(now);
        let id = order.id;
        let told = self.record(RecordType::OrderCreated);
        let inserted = self.store().order_insert(order, vec![authorization], told, Admission::default());
        assert_eq!(inserted.await.unwrap(), Admitted::Yes);
        let (serial, not_after) = (self.serial(), now.whole_second().plus(life));
        let claim = Claim {
            token: self.id(),
            lease_until: now.plus(1000 * DAY),
            serial: serial.clone(),
            issuer: issuer_name(issuer),
            not_after,
            key_thumbprint: random_array::<32>(self.random.as_ref()).as_slice().into(),
            key_spki_hash: None,
            tbs: vec![0x30; 100].into(),
            looked_at: None,
            quorum: None,
            record: None,
        };
        let token = claim.token;
        let told = self.record(RecordType::CertificatePrepared);
        let claimed = self.store().order_claim(id, claim, now, told, Vec::new()).await.unwrap();
        assert!(matches!(claimed, Claimed::Yes));
        Begun { issuer, serial, not_after, order: id, token }
    }

    /// Does what comes next; what the order is not at any more comes too late.
    pub(super) async fn go_on(&self, begun: &Begun, deed: Deed, now: Timestamp) -> Result<(), Stale> {
        let (store, told, late) = (self.store(), |kind| self.record(kind), RecordType::IssuanceAbandoned);
        let Begun { order, token, .. } = *begun;
        let der = ingam_protocol::Bytes::from(vec![0x30; 100]);
        let done = match deed {
            Deed::Ask => store.order_ask(order, token, now, told(RecordType::SignatureAsked)).await,
            Deed::Precertify => {
                let record = told(RecordType::PrecertificateIssued);
                store.order_precertify(order, token, der, now.plus(1000 * DAY), record, told(late)).await
            }
            Deed::Complete => {
                let signed = NewCertificate { der, not_before: now, issued: now };
                let record = told(RecordType::CertificateIssued);
                store.order_complete(order, token, signed, record, told(late)).await
            }
            Deed::GiveUp => {
                let detail = "it could not be made".to_owned();
                let failure = Failure { error: ErrorType::ServerInternal, detail };
                store.order_abandon(order, AbandonedBy::Holder(token), failure, now, told(late)).await
            }
        };
        done.unwrap()
    }

    pub(super) async fn revoke(&self, begun: &Begun, at: Timestamp, reason: Reason) -> RevocationOutcome {
        let request = RevocationRequest {
            issuer: issuer_name(begun.issuer),
            serial: begun.serial.clone(),
            reason,
            at,
            block_key: None,
            operator: None,
        };
        let told = vec![self.record(RecordType::CertificateRevoked)];
        self.store().certificate_revoke(request, told).await.unwrap()
    }

    /// An order for one name, proved.
    fn order(&self, now: Timestamp) -> (Order, Authorization) {
        let name = DnsName::parse("a.example.org").unwrap();
        let validation_record = RawValue::from_string("[]".to_owned()).unwrap();
        let finished = Finished {
            at: now,
            verdict: Verdict::Valid,
            validation_record,
            until: None,
            quorum: None,
            record: None,
        };
        let challenge = Challenge {
            kind: ChallengeType::Dns01,
            token: "token".to_owned(),
            answered: Some(now),
            finished: Some(finished),
        };
        let authorization = Authorization {
            id: self.id(),
            account: self.account,
            host: name.clone().into(),
            wildcard: false,
            subdomains: false,
            public: false,
            created: now,
            pending_until: now.plus(DAY),
            valid_for_ms: 24 * 60 * 60 * 1000,
            challenges: vec![challenge],
            deactivated: None,
        };
        let order = Order {
            id: self.id(),
            account: self.account,
            created: now,
            expires: now.plus(DAY),
            identifiers: vec![ingam_protocol::identifier::Identifier::Dns(name)],
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

    fn id(&self) -> Id {
        Id::new(start(), self.random.as_ref())
    }

    fn record(&self, kind: RecordType) -> Record {
        Record::new(kind, start(), b"{}".to_vec(), self.random.as_ref())
    }
}

impl Drop for StoreOfTests {
    fn drop(&mut self) {
        self.close();
    }
}

fn account(random: &dyn Random) -> Account {
    // Every second array of bytes is a key.
    let keys = std::iter::repeat_with(|| {
        let x = ingam_protocol::bytes::base64url(&random_array::<32>(random));
        let jwk = serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        PublicKey::from_jwk(jwk.as_object().unwrap()).ok()
    });
    Account {
        id: Id::new(start(), random),
        key: keys.flatten().next().unwrap(),
        created: start(),
        terms_agreed: None,
        deactivated: None,
        external: None,
        earlier_keys: Vec::new(),
    }
}
