//! The whole CA as the store has it, looked at from outside, and everything that must hold of it and between two looks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ingam_protocol::acme::{
    Account, Authorization, AuthorizationStatus, ChallengeStatus, ChallengeType, Order, OrderStatus,
};
use ingam_protocol::bytes::{base64url, from_base64url};
use ingam_protocol::record::{Class, Record, RecordType, Seal};
use ingam_protocol::{Clock, Id, Serial};
use ingam_store::engine::Table;
use ingam_store::{CertificateRow, StatusRow, StatusState};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::world::{Process, World, issuer};

/// What is remembered from one look to the next.
#[derive(Default)]
pub(crate) struct Watch {
    seen: Picture,
    /// Records that were read before, as reading them again costs time.
    read: HashMap<Id, Told>,
}

/// What one look saw.
#[derive(Default)]
struct Picture {
    accounts: BTreeMap<Id, Account>,
    orders: BTreeMap<Id, (Order, OrderStatus)>,
    authorizations: BTreeMap<Id, (Authorization, AuthorizationStatus)>,
    certificates: BTreeMap<Serial, CertificateRow>,
    statuses: BTreeMap<Serial, StatusRow>,
    revoked: BTreeSet<Serial>,
    issuances_open: BTreeSet<Vec<u8>>,
    challenges_open: BTreeSet<Vec<u8>>,
    /// Which order was last to replace a certificate.
    replacements: BTreeMap<Serial, Id>,
    generation: u64,
    records: Vec<Id>,
}

/// What of a record matters here.
#[derive(Clone, Debug)]
struct Told {
    kind: RecordType,
    /// The serial number that it is about, in hexadecimal.
    serial: Option<String>,
    order: Option<Id>,
    certificate: Option<String>,
    /// The bytes that were to be signed.
    tbs: Option<String>,
}

/// What happened over a whole sequence; a sequence in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) valid: usize,
    pub(crate) failed: usize,
    pub(crate) revoked: usize,
    pub(crate) abandoned: usize,
    pub(crate) late: usize,
    pub(crate) replaced: usize,
}

fn rows<T: DeserializeOwned>(process: &Process, table: &'static str) -> Vec<(Vec<u8>, T)> {
    let pairs = process.engine.range(Table::new(table), &[], None, usize::MAX).unwrap();
    pairs.into_iter().map(|(key, value)| (key, serde_json::from_slice(&value).unwrap())).collect()
}

fn keys(process: &Process, table: &'static str) -> BTreeSet<Vec<u8>> {
    let pairs = process.engine.range(Table::new(table), &[], None, usize::MAX).unwrap();
    pairs.into_iter().map(|(key, _)| key).collect()
}

fn id(key: &[u8]) -> Id {
    Id::from_bytes(key.try_into().unwrap())
}

/// The serial number in a key of the tables of certificates.
fn serial(key: &[u8]) -> Serial {
    let name = issuer();
    let serial = key.strip_prefix(name.as_str().as_bytes()).and_then(|rest| rest.strip_prefix(&[0]));
    Serial::from_be_bytes(serial.unwrap()).unwrap()
}

impl Told {
    fn read(record: &Record) -> Self {
        let open = record.parts.iter().find(|part| part.seal == Seal::Open).unwrap();
        let told: Value = serde_json::from_slice(&open.bytes).unwrap();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let serial = text(&told["serial"]).or_else(|| text(&told["claim"]["serial"]));
        let order = told["order"].as_str().and_then(|order| order.parse().ok());
        let (certificate, tbs) = (text(&told["certificate"]), text(&told["claim"]["tbs"]));
        Self { kind: record.kind, serial, order, certificate, tbs }
    }
}

impl Watch {
    /// Looks at everything; panics at the first thing that must not be.
    pub(crate) fn look(&mut self, world: &World, process: &Process) {
        let now = self.picture(world, process);
        accounts_are_consistent(process, &now);
        orders_have_what_their_status_says(&now);
        self.certificates_have_their_history(&now);
        statuses_have_what_they_say(world, &now);
        what_is_open_can_be_taken_up(&now);
        certificates_are_replaced_once(&now);
        moved_forward(&self.seen, &now);
        self.seen = now;
    }

    fn picture(&mut self, world: &World, process: &Process) -> Picture {
        let now = world.clock.now();
        let statuses = process.store.statuses();
        let orders = rows::<Order>(process, "orders").into_iter().map(|(key, order)| {
            let status = process.store.order_status(&order, now).unwrap();
            (id(&key), (order, status))
        });
        let authorizations = rows::<Authorization>(process, "authorizations").into_iter();
        let status = |serial: &Serial| statuses.status(&issuer(), serial).unwrap().unwrap();
        let certificate = |serial: &Serial| {
            let row = process.store.certificate_by_serial(&issuer(), serial).unwrap().unwrap();
            (serial.clone(), row)
        };
        let replacements = process.engine.range(Table::new("replacements"), &[], None, usize::MAX).unwrap();
        Picture {
            accounts: rows(process, "accounts").into_iter().map(|(key, row)| (id(&key), row)).collect(),
            orders: orders.collect(),
            authorizations: authorizations
                .map(|(key, row)| {
                    let status = row.status(now);
                    (id(&key), (row, status))
                })
                .collect(),
            certificates: keys(process, "certificates").iter().map(|key| certificate(&serial(key))).collect(),
            statuses: keys(process, "statuses")
                .iter()
                .map(|key| (serial(key), status(&serial(key))))
                .collect(),
            revoked: keys(process, "revoked").iter().map(|key| serial(key)).collect(),
            issuances_open: keys(process, "issuances_open"),
            challenges_open: keys(process, "challenges_open"),
            replacements: replacements.into_iter().map(|(key, order)| (serial(&key), id(&order))).collect(),
            generation: statuses.generation(),
            records: self.records(process),
        }
    }

    /// The records in the order of writing, each once. What they say goes into `read`.
    fn records(&mut self, process: &Process) -> Vec<Id> {
        // Outbox first: the archiver may move a record in between, and this way it is seen twice rather than never.
        let outbox = process.engine.range(Table::new("outbox"), &[], None, usize::MAX).unwrap();
        let archived = process.threads.journal().records(Class::Issuance).map(Result::unwrap);
        let waiting = outbox.iter().map(|(_, bytes)| Record::decode(bytes).unwrap());
        let mut seen = BTreeSet::new();
        let mut order = Vec::new();
        for record in archived.chain(waiting) {
            if seen.insert(record.id) {
                order.push(record.id);
                self.read.entry(record.id).or_insert_with(|| Told::read(&record));
            }
        }
        order
    }

    fn certificates_have_their_history(&self, now: &Picture) {
        let mut steps: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
        for told in now.records.iter().map(|id| &self.read[id]) {
            if let Some(serial) = &told.serial {
                steps.entry(serial).or_default().push(told);
            }
        }
        let none = Vec::new();
        for (serial, row) in &now.certificates {
            let told = steps.get(serial.to_string().as_str()).unwrap_or(&none);
            let kinds: Vec<_> = told.iter().map(|told| told.kind).take(3).collect();
            let issued =
                [RecordType::CertificatePrepared, RecordType::SignatureAsked, RecordType::CertificateIssued];
            assert_eq!(kinds, issued, "the records before {serial} was good");
            assert!(told[..3].iter().all(|told| told.order == Some(row.order)), "{told:?}");
            assert_eq!(told[2].certificate.as_deref(), Some(base64url(&row.der).as_str()));
            let order = &now.orders[&row.order].0;
            assert_eq!(order.certificate.as_ref(), Some(serial), "whose order has another certificate");
            let tbs = from_base64url(told[0].tbs.as_deref().unwrap()).unwrap();
            assert!(row.der.windows(tbs.len()).any(|window| window == tbs), "other bytes were signed");
            assert!(order.claim.as_ref().unwrap().tbs.is_empty(), "the order keeps them twice");
        }
        for (serial, told) in &steps {
            let counts = |kind| told.iter().filter(|told| told.kind == kind).count();
            let serial = Serial::from_hex(serial).unwrap();
            assert_eq!(counts(RecordType::CertificatePrepared), 1, "{serial}");
            assert!(counts(RecordType::SignatureAsked) <= 1, "{serial} was asked for twice");
            let issued = usize::from(now.certificates.contains_key(&serial));
            assert_eq!(counts(RecordType::CertificateIssued), issued, "{serial}");
            let state = now.statuses[&serial].state;
            let revoked = matches!(state, StatusState::Revoked { .. });
            let why = counts(RecordType::CertificateRevoked) + counts(RecordType::IssuanceAbandoned);
            let asked = counts(RecordType::SignatureAsked) == 1;
            assert_eq!(revoked, asked && why > 0, "{serial} is {state:?}: {told:?}");
        }
        for serial in now.statuses.keys() {
            assert!(steps.contains_key(serial.to_string().as_str()), "no record speaks of {serial}");
        }
    }

    /// What has happened so far.
    pub(crate) fn tally(&self) -> Tally {
        let Picture { orders, statuses, certificates, replacements, records, .. } = &self.seen;
        let count = |wanted| orders.values().filter(|(_, status)| *status == wanted).count();
        let is_revoked = |serial: &&Serial| matches!(statuses[*serial].state, StatusState::Revoked { .. });
        let abandoned =
            records.iter().map(|id| &self.read[id]).filter(|told| told.kind == RecordType::IssuanceAbandoned);
        Tally {
            valid: count(OrderStatus::Valid),
            failed: count(OrderStatus::Invalid),
            revoked: certificates.keys().filter(is_revoked).count(),
            abandoned: abandoned.clone().filter(|told| told.certificate.is_none()).count(),
            late: abandoned.filter(|told| told.certificate.is_some()).count(),
            replaced: replacements.len(),
        }
    }
}

fn accounts_are_consistent(process: &Process, now: &Picture) {
    let index = process.engine.range(Table::new("accounts_by_key"), &[], None, usize::MAX).unwrap();
    let found: BTreeSet<_> = index.iter().map(|(key, owner)| (key.clone(), id(owner))).collect();
    let wanted: BTreeSet<_> =
        now.accounts.values().map(|account| (account.key.thumbprint().to_vec(), account.id)).collect();
    assert_eq!(found, wanted, "each account is found by its own key and by no other");
    for owner in keys(process, "contacts").iter().map(|key| id(key)) {
        assert!(now.accounts[&owner].deactivated.is_none(), "contacts outlive their account");
    }
    let listed = keys(process, "orders_by_account");
    assert_eq!(listed.len(), now.orders.len());
    for (order, _) in now.orders.values() {
        assert!(now.accounts.contains_key(&order.account));
        let key = [order.account.as_bytes().as_slice(), order.id.as_bytes()].concat();
        assert!(listed.contains(&key), "an order that its account does not list");
    }
}

fn orders_have_what_their_status_says(now: &Picture) {
    for (order, status) in now.orders.values() {
        let certificates: Vec<_> = now
            .certificates
            .iter()
            .filter(|(_, row)| row.order == order.id)
            .map(|(serial, _)| serial)
            .collect();
        match status {
            OrderStatus::Valid => {
                let claim = order.claim.as_ref().expect("a valid order was claimed");
                assert_eq!(certificates, [&claim.serial], "one certificate, and the one that was claimed");
                assert_eq!(order.certificate.as_ref(), Some(&claim.serial));
                assert!(order.asked.is_some());
                let state = now.statuses[&claim.serial].state;
                assert!(matches!(state, StatusState::Good | StatusState::Revoked { .. }), "{state:?}");
            }
            _ => assert!(certificates.is_empty(), "{status:?} with a certificate"),
        }
        assert_eq!(order.identifiers.len(), order.authorizations.len());
        for authorization in &order.authorizations {
            let (authorization, _) = &now.authorizations[authorization];
            assert_eq!(authorization.account, order.account);
        }
        let Some(claim) = &order.claim else {
            assert!(order.asked.is_none() && order.failure.is_none(), "nobody worked on it");
            continue;
        };
        if order.failure.is_some() && order.asked.is_some() {
            let state = now.statuses[&claim.serial].state;
            assert!(matches!(state, StatusState::Revoked { .. }), "asked for, failed, and {state:?}");
        }
    }
}

fn statuses_have_what_they_say(world: &World, now: &Picture) {
    let mut claims: BTreeMap<&Serial, Vec<&Order>> = BTreeMap::new();
    for (order, _) in now.orders.values() {
        if let Some(claim) = &order.claim {
            claims.entry(&claim.serial).or_default().push(order);
        }
    }
    assert_eq!(claims.keys().copied().collect::<Vec<_>>(), now.statuses.keys().collect::<Vec<_>>());
    let signed = world.signer.signed();
    for (serial, row) in &now.statuses {
        let [order] = claims[serial][..] else { panic!("{serial} was set aside for two orders") };
        let has_certificate = now.certificates.contains_key(serial);
        let is_revoked = matches!(row.state, StatusState::Revoked { .. });
        match row.state {
            StatusState::Reserved => assert!(order.asked.is_none() && !has_certificate),
            StatusState::Asked => assert!(order.asked.is_some() && !has_certificate),
            StatusState::Good => assert!(has_certificate, "good and never issued: {serial}"),
            StatusState::Revoked { .. } => assert!(order.asked.is_some()),
        }
        assert_eq!(now.revoked.contains(serial), is_revoked, "the list for the CRL: {serial}");
        assert!(row.generation <= now.generation);
        let times = signed.iter().filter(|one| *one == serial).count();
        assert!(times <= 1, "{serial} was signed {times} times");
        assert!(times == 0 || order.asked.is_some(), "{serial} was signed before it was asked for");
        assert!(!has_certificate || times == 1);
    }
    assert!(
        signed.iter().all(|serial| now.statuses.contains_key(serial)),
        "a signature that nobody knows of"
    );
}

fn what_is_open_can_be_taken_up(now: &Picture) {
    let processing = now.orders.values().filter(|(_, status)| *status == OrderStatus::Processing);
    let open_orders: BTreeSet<_> = processing.map(|(order, _)| order.id.as_bytes().to_vec()).collect();
    assert_eq!(now.issuances_open, open_orders, "what a restart would take up");
    let mut open = BTreeSet::new();
    for (authorization, status) in now.authorizations.values() {
        for challenge in &authorization.challenges {
            let key = [authorization.id.as_bytes().as_slice(), challenge.kind.name().as_bytes()].concat();
            let unfinished = challenge.status() == ChallengeStatus::Processing;
            let counts = !matches!(status, AuthorizationStatus::Invalid | AuthorizationStatus::Deactivated);
            assert!(unfinished || !now.challenges_open.contains(&key), "a check that has ended is open");
            assert!(!(unfinished && counts) || now.challenges_open.contains(&key), "a check is forgotten");
            open.insert(key);
        }
    }
    assert!(now.challenges_open.is_subset(&open));
}

/// A certificate is replaced by one order that is not invalid, of its own account (RFC 9773, section 5).
fn certificates_are_replaced_once(now: &Picture) {
    for (order, status) in now.orders.values() {
        let Some(replaced) = &order.replaces else { continue };
        assert_eq!(now.certificates[&replaced.serial].account, order.account);
        let last = now.replacements[&replaced.serial];
        assert!(last == order.id || *status == OrderStatus::Invalid, "{last} and {} replace it", order.id);
    }
    for (serial, id) in &now.replacements {
        let replaced = now.orders[id].0.replaces.as_ref();
        assert!(replaced.is_some_and(|replaced| replaced.serial == *serial));
    }
}

/// Whether the arrows of RFC 8555, section 7.1.6, lead from one state to the other, in any number of steps.
fn order_leads(from: OrderStatus, to: OrderStatus) -> bool {
    use OrderStatus as S;
    match from {
        S::Pending => true,
        S::Ready => to != S::Pending,
        S::Processing => matches!(to, S::Processing | S::Valid | S::Invalid),
        S::Valid | S::Invalid => to == from,
    }
}

fn authorization_leads(from: AuthorizationStatus, to: AuthorizationStatus) -> bool {
    use AuthorizationStatus as S;
    match from {
        S::Pending => true,
        S::Valid => matches!(to, S::Valid | S::Expired | S::Deactivated),
        S::Invalid | S::Deactivated | S::Expired => to == from,
    }
}

fn challenge_leads(from: ChallengeStatus, to: ChallengeStatus) -> bool {
    use ChallengeStatus as S;
    match from {
        S::Pending => true,
        S::Processing => to != S::Pending,
        S::Valid | S::Invalid => to == from,
    }
}

fn status_leads(from: StatusState, to: StatusState) -> bool {
    use StatusState as S;
    match (from, to) {
        (S::Reserved, _) => true,
        (S::Asked, _) => to != S::Reserved,
        (S::Good, _) => matches!(to, S::Good | S::Revoked { .. }),
        (S::Revoked { at, reason }, S::Revoked { at: later, reason: other }) => {
            at == later && (reason == other || other == ingam_protocol::Reason::KeyCompromise)
        }
        (S::Revoked { .. }, _) => false,
    }
}

fn moved_forward(before: &Picture, now: &Picture) {
    for (id, account) in &before.accounts {
        let later = &now.accounts[id];
        assert!(account.deactivated.is_none() || account == later, "a deactivated account changed");
    }
    for (id, (order, from)) in &before.orders {
        let (later, to) = &now.orders[id];
        assert!(order_leads(*from, *to), "order {id}: {from:?} became {to:?}");
        if let (Some(claim), Some(later)) = (&order.claim, &later.claim) {
            assert_eq!(claim.serial, later.serial, "another certificate for {id}");
            assert!(later.tbs == claim.tbs || *to == OrderStatus::Valid, "other bytes for {id}");
        }
    }
    for (id, (authorization, from)) in &before.authorizations {
        let (later, to) = &now.authorizations[id];
        assert!(authorization_leads(*from, *to), "authorization {id}: {from:?} became {to:?}");
        let status = |of: &Authorization, kind: ChallengeType| {
            of.challenges.iter().find(|challenge| challenge.kind == kind).map(|challenge| challenge.status())
        };
        for kind in authorization.challenges.iter().map(|challenge| challenge.kind) {
            let (from, to) = (status(authorization, kind).unwrap(), status(later, kind).unwrap());
            assert!(challenge_leads(from, to), "challenge {id} {kind}: {from:?} became {to:?}");
        }
    }
    for (serial, row) in &before.certificates {
        assert_eq!(row.der, now.certificates[serial].der, "certificate {serial} changed");
    }
    for (serial, row) in &before.statuses {
        let later = now.statuses[serial];
        assert!(status_leads(row.state, later.state), "{serial}: {row:?} became {later:?}");
        assert!(later.generation >= row.generation);
        if row.state == StatusState::Good && later.state != StatusState::Good {
            assert!(now.generation > before.generation, "a revocation that no cache would notice");
        }
    }
    assert!(now.generation >= before.generation, "the generation went back");
    let kept: BTreeSet<_> = now.records.iter().collect();
    let gone: Vec<_> = before.records.iter().filter(|id| !kept.contains(id)).collect();
    assert!(gone.is_empty(), "records are gone: {gone:?}");
    assert!(now.records.starts_with(&before.records), "records have changed places");
}
