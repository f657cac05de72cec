//! A store with something of everything, made at `start`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ingam_journal::files::Files;
use ingam_protocol::acme::Verdict;
use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::{Id, Reason, Serial, Timestamp};
use ingam_retention::{Config, Parts, Reliance, Report, Retention, Schedule};
use ingam_store::engine::Table;
use ingam_store::{
    AbandonedBy, Admission, Approval, Hold, HoldOpened, HoldScope, Incident, JobState, RevocationJob,
    RevocationRequest, table_classes,
};
use serde_json::value::RawValue;

use crate::made::{
    DAY, Disks, Open, account, claim, contacts, failure, finished, id, insert_account, issue, issuer,
    operator, order, record, run, start, wanted,
};

/// For how long something is relied upon here.
pub(crate) fn reliance() -> Reliance {
    Reliance { reuse: 30 * DAY, lifetime: 90 * DAY, authorities_end: Some(start().plus(10 * 365 * DAY)) }
}

/// What there is to know of the world by name.
pub(crate) struct Made {
    pub(crate) subject: Id,
    pub(crate) serial: Serial,
    pub(crate) stranger: Id,
    /// The record of each class that was made first.
    pub(crate) records: BTreeMap<Class, Id>,
}

/// Everything that a sweep works on.
pub(crate) struct World {
    pub(crate) disks: Disks,
    pub(crate) random: Arc<SeededRandom>,
    pub(crate) clock: Arc<FixedClock>,
}

/// A world that is open, with a sweep by a schedule.
pub(crate) struct Running {
    pub(crate) open: Open,
    pub(crate) retention: Arc<Retention>,
}

impl World {
    /// With nothing in it.
    pub(crate) fn empty() -> Self {
        Self {
            disks: Disks::default(),
            random: Arc::new(SeededRandom::new(11)),
            clock: Arc::new(FixedClock::new(start())),
        }
    }

    /// With something of everything in it.
    pub(crate) fn filled() -> (Self, Made) {
        let world = Self::empty();
        let open = world.disks.open(&world.random).unwrap();
        let made = run(fill(&open, &world.random));
        // What is in the outbox moves into the journal.
        open.close();
        (world, made)
    }

    /// A copy of its disks as they are.
    pub(crate) fn copy(&self) -> Self {
        let disks = Disks::default();
        for (from, to) in self.disks.each().into_iter().zip(disks.each()) {
            for name in from.list().unwrap() {
                to.set_contents(&name, from.contents(&name).unwrap());
            }
        }
        let clock = Arc::new(FixedClock::new(start()));
        Self { disks, random: Arc::new(SeededRandom::new(12)), clock }
    }

    pub(crate) fn open(&self, config: &Config) -> Result<Running, ingam_store::Error> {
        let open = self.disks.open(&self.random)?;
        let parts = Parts {
            store: open.store.clone(),
            journal: open.threads.journal().clone(),
            clock: self.clock.clone(),
            random: self.random.clone(),
        };
        let retention = Retention::new(parts, Schedule::new(config.clone(), reliance()));
        Ok(Running { open, retention })
    }

    /// Opens it so long after the start, sweeps by a clock that an operator has looked at, and closes it.
    pub(crate) fn sweep_at(&self, after: Duration, config: &Config) -> Report {
        self.clock.set(start().plus(after));
        let running = self.open(config).unwrap();
        let report = run(async {
            running.retention.confirm().await.unwrap();
            running.retention.sweep().await.unwrap()
        });
        running.close();
        report
    }

    /// What is there now.
    pub(crate) fn look(&self) -> Seen {
        let open = self.disks.open(&self.random).unwrap();
        let seen = Seen::of(&open);
        open.close();
        seen
    }
}

impl Running {
    pub(crate) fn close(self) {
        drop(self.retention);
        self.open.close();
    }
}

/// What is there: all records of the journal, all rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) records: BTreeMap<Class, BTreeSet<Id>>,
    pub(crate) rows: BTreeMap<&'static str, usize>,
    /// The numbers of the segments that are there.
    pub(crate) segments: BTreeMap<Class, Vec<u64>>,
    /// The receipts of destroyed segments: class, number, head.
    pub(crate) receipts: Vec<(String, u64)>,
}

impl Seen {
    pub(crate) fn of(open: &Open) -> Self {
        let journal = open.threads.journal();
        let engine = open.engine.as_ref().unwrap();
        let mut seen = Self {
            records: BTreeMap::new(),
            rows: BTreeMap::new(),
            segments: BTreeMap::new(),
            receipts: Vec::new(),
        };
        let waiting = engine.range(Table::new("outbox"), &[], None, usize::MAX).unwrap();
        let waiting = waiting.iter().map(|(_, bytes)| Record::decode(bytes).unwrap());
        let archived = Class::ALL.into_iter().flat_map(|class| journal.records(class).map(Result::unwrap));
        for record in waiting.chain(archived) {
            if seen.records.entry(record.class()).or_default().insert(record.id)
                && record.kind == RecordType::SegmentDestroyed
            {
                let payload: serde_json::Value = serde_json::from_slice(&record.parts[0].bytes).unwrap();
                let Some(sequence) = payload["sequence"].as_u64() else { continue };
                seen.receipts.push((payload["class"].as_str().unwrap().to_owned(), sequence));
            }
        }
        for (name, _) in table_classes() {
            let rows = engine.range(Table::new(name), &[], None, usize::MAX).unwrap().len();
            seen.rows.insert(name, rows);
        }
        for info in journal.segments() {
            seen.segments.entry(info.class).or_default().push(info.sequence);
        }
        seen.receipts.sort();
        seen
    }

    pub(crate) fn has(&self, class: Class, record: Id) -> bool {
        self.records.get(&class).is_some_and(|records| records.contains(&record))
    }

    /// The classes whose first record is there.
    pub(crate) fn classes(&self, made: &Made) -> BTreeSet<Class> {
        made.records.iter().filter(|(class, id)| self.has(**class, **id)).map(|(class, _)| *class).collect()
    }

    pub(crate) fn rows_of(&self, table: &str) -> usize {
        self.rows[table]
    }
}

pub(crate) fn hold(scope: HoldScope, opened: Timestamp, random: &SeededRandom) -> Hold {
    Hold {
        id: Id::new(opened, random),
        case: "2026-court".to_owned(),
        owner: "legal".to_owned(),
        reason: "a demand".to_owned(),
        scope,
        opened,
        by: operator(0),
        ends: opened.plus(365 * DAY),
        renewals: Vec::new(),
        released: None,
    }
}

async fn fill(open: &Open, random: &SeededRandom) -> Made {
    let store = &open.store;
    let told = |kind, about| record(kind, about, random);
    let subject = insert_account(store, random).await;
    let stranger = account(random);
    let made = told(RecordType::AccountCreated, stranger.id);
    store.account_insert(stranger.clone(), &contacts(), made, Vec::new()).await.unwrap().unwrap();
    let ended = told(RecordType::AccountDeactivated, stranger.id);
    store.account_deactivate(stranger.id, start(), ended).await.unwrap().unwrap();
    // As the server does beside each sweep.
    store.erasures_sweep(start()).await.unwrap();

    // A certificate, one that is revoked, and one whose making was given up.
    let (_, serial) = issue(store, wanted(subject.id, random), random).await;
    let (_, revoked) = issue(store, wanted(subject.id, random), random).await;
    let request = RevocationRequest {
        issuer: issuer(),
        serial: revoked.clone(),
        reason: Reason::Superseded,
        at: start(),
        block_key: None,
        operator: None,
    };
    let records = vec![told(RecordType::CertificateRevoked, subject.id).ending(start().plus(90 * DAY))];
    store.certificate_revoke(request, records).await.unwrap();
    abandoned(open, subject.id, random).await;

    // An order and an authorization that nothing came of.
    let (in_hand, authorization) = order(subject.id, random);
    let made = told(RecordType::OrderCreated, in_hand.id);
    store.order_insert(in_hand, vec![authorization], made, Admission::default()).await.unwrap();

    let incident = Incident {
        name: "2026-11-leak".to_owned(),
        summary: "keys".to_owned(),
        by: operator(0),
        at: start(),
        certificates: 0,
        explanation_url: None,
    };
    store.incident_insert(incident, Vec::new()).await.unwrap();
    store.incident_grow("2026-11-leak".to_owned(), vec![(issuer(), revoked)], Vec::new()).await.unwrap();
    store.revocation_job_insert(job(random), Vec::new()).await.unwrap();
    let approval = Approval {
        id: id(random),
        act: "role.grant".to_owned(),
        request: RawValue::from_string("{}".to_owned()).unwrap(),
        by: operator(1),
        at: start(),
        expires: start().plus(DAY),
        reason: "why".to_owned(),
        decision: None,
    };
    store.approval_insert(approval, Vec::new()).await.unwrap();

    // A record of each type.
    let records: Vec<Record> = RecordType::ALL.into_iter().map(|kind| told(kind, subject.id)).collect();
    let mut first = BTreeMap::new();
    for record in &records {
        first.entry(record.class()).or_insert(record.id);
    }
    store.statuses().records_append(records).await.unwrap();
    Made { subject: subject.id, serial, stranger: stranger.id, records: first }
}

/// An order that was given up after the signer was asked.
async fn abandoned(open: &Open, account: Id, random: &SeededRandom) {
    let told = |kind, about| record(kind, about, random);
    let (order, mut authorization) = order(account, random);
    authorization.challenges[0].finished = Some(finished(Verdict::Valid));
    let (store, claim) = (&open.store, claim(random));
    let made = told(RecordType::OrderCreated, order.id);
    store.order_insert(order.clone(), vec![authorization], made, Admission::default()).await.unwrap();
    let prepared = told(RecordType::CertificatePrepared, order.id);
    store.order_claim(order.id, claim.clone(), start(), prepared, Vec::new()).await.unwrap();
    let asked = told(RecordType::SignatureAsked, order.id);
    store.order_ask(order.id, claim.token, start(), asked).await.unwrap().unwrap();
    let by = AbandonedBy::Holder(claim.token);
    let given_up = told(RecordType::IssuanceAbandoned, order.id);
    store.order_abandon(order.id, by, failure(), start(), given_up).await.unwrap().unwrap();
}

fn job(random: &SeededRandom) -> RevocationJob {
    RevocationJob {
        id: id(random),
        selection: RawValue::from_string("{}".to_owned()).unwrap(),
        revocation_reason: Reason::Superseded,
        per_second: 10,
        by: operator(1),
        at: start(),
        reason: "why".to_owned(),
        state: JobState::Done,
        total: 0,
        revoked: 0,
        skipped: 0,
        ended: Some(start()),
    }
}

/// Opens a hold, and says nothing of it on record.
pub(crate) async fn open_hold(open: &Open, hold: &Hold) {
    assert_eq!(open.store.hold_open(hold.clone(), Vec::new()).await.unwrap(), HoldOpened::Yes);
}
