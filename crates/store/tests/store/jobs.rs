//! Proves that a revocation job takes each certificate off as it revokes it, in one transaction: whenever it is held, given
//! up, or its power is cut, what is off is revoked, what is on is not, and the counts fit.
//!
//! What is not a failure: a step whose answer was lost with the power, done or not, as long as it is so as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use ingam_journal::simulated::seeds;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{SeededRandom, random_array};
use ingam_protocol::{Id, Reason, Serial};
use ingam_store::{
    JobItem, JobState, RecordQuery, RevocationJob, RevocationOutcome, RevocationRequest, StatusState, Store,
};
use serde_json::value::RawValue;

use crate::made::{
    Disks, MINUTE, Open, about, id, insert_account, issue, issuer, on_both, operator, record, run, start,
    wanted,
};

pub(crate) fn job(random: &SeededRandom, state: JobState) -> RevocationJob {
    RevocationJob {
        id: id(random),
        selection: RawValue::from_string("{}".to_owned()).unwrap(),
        revocation_reason: Reason::Superseded,
        per_second: 10,
        by: operator(1),
        at: start(),
        reason: "why".to_owned(),
        state,
        total: 0,
        revoked: 0,
        skipped: 0,
        ended: None,
    }
}

/// Certificates on record, each with the order that it came from.
async fn certificates(store: &Store, count: usize, random: &SeededRandom) -> Vec<(Id, Serial)> {
    let account = insert_account(store, random).await.id;
    let mut made = Vec::new();
    for _ in 0..count {
        made.push(issue(store, wanted(account, random), random).await);
    }
    made
}

fn of_issuer(certificates: &[(Id, Serial)]) -> Vec<(ingam_protocol::profile::IssuerName, Serial)> {
    certificates.iter().map(|(_, serial)| (issuer(), serial.clone())).collect()
}

/// A job over these certificates that runs.
async fn begin(store: &Store, certificates: &[(Id, Serial)], random: &SeededRandom) -> Id {
    let job = job(random, JobState::Gathering);
    assert!(store.revocation_job_insert(job.clone(), Vec::new()).await.unwrap());
    store.revocation_items_insert(job.id, of_issuer(certificates)).await.unwrap();
    turn(store, job.id, &[JobState::Gathering], JobState::Running, random).await.unwrap();
    job.id
}

async fn turn(
    store: &Store,
    id: Id,
    from: &'static [JobState],
    to: JobState,
    random: &SeededRandom,
) -> Option<RevocationJob> {
    let told = vec![record(RecordType::RevocationJobChanged, id, random)];
    store.revocation_job_turn(id, from, to, start().plus(MINUTE), told).await.unwrap()
}

/// Prepares a step on these: each with a record about its order.
fn items(
    serials: &[(ingam_protocol::profile::IssuerName, Serial)],
    known: &[(Id, Serial)],
    random: &SeededRandom,
) -> Vec<JobItem> {
    let item = |(issuer, serial): &(ingam_protocol::profile::IssuerName, Serial)| {
        let (order, _) = known.iter().find(|(_, own)| own == serial).unwrap();
        let records = vec![record(RecordType::CertificateRevoked, *order, random)];
        JobItem { issuer: issuer.clone(), serial: serial.clone(), records }
    };
    serials.iter().map(item).collect()
}

async fn step(
    store: &Store,
    id: Id,
    known: &[(Id, Serial)],
    limit: usize,
    random: &SeededRandom,
) -> Result<Option<RevocationJob>, ingam_store::Error> {
    let items = items(&store.revocation_items(id, limit)?, known, random);
    let done = record(RecordType::RevocationJobChanged, id, random);
    store.revocation_job_step(id, items, start().plus(MINUTE), done).await
}

fn is_revoked(store: &Store, serial: &Serial) -> bool {
    let status = store.statuses().status(&issuer(), serial).unwrap().unwrap();
    match status.state {
        StatusState::Good => false,
        StatusState::Revoked { .. } => true,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn revoke(store: &Store, serial: &Serial, random: &SeededRandom) -> RevocationOutcome {
    let request = RevocationRequest {
        issuer: issuer(),
        serial: serial.clone(),
        reason: Reason::KeyCompromise,
        at: start(),
        block_key: None,
        operator: None,
    };
    let told = vec![record(RecordType::CertificateRevoked, id(random), random)];
    store.certificate_revoke(request, told).await.unwrap()
}

fn told_of(store: &Store, kind: RecordType) -> Vec<Id> {
    let query = RecordQuery { kinds: BTreeSet::from([kind]), ..RecordQuery::default() };
    store.records_find(&query, 10_000).unwrap().records.iter().map(about).collect()
}

fn open_ids(store: &Store) -> Vec<(Id, JobState)> {
    store.revocation_jobs_open().unwrap()
}

#[test]
fn a_step_revokes_and_takes_off() {
    on_both(async |store, random| {
        let known = certificates(store, 7, random).await;
        let id = begin(store, &known, random).await;
        let generation = store.statuses().generation();
        assert_eq!(store.revocation_job_by_id(id).unwrap().unwrap().total, 7);
        assert_eq!(open_ids(store), [(id, JobState::Running)]);
        // One that its subscriber revokes meanwhile, and whose reason stays.
        let last = store.revocation_items(id, 7).unwrap().pop().unwrap().1;
        assert_eq!(revoke(store, &last, random).await, RevocationOutcome::Revoked);
        let after = step(store, id, &known, 3, random).await.unwrap().unwrap();
        assert_eq!((after.state, after.revoked, after.skipped), (JobState::Running, 3, 0));
        assert_eq!(store.revocation_items(id, 10).unwrap().len(), 4);
        assert!(store.statuses().generation() > generation, "answers in memory are looked at again");
        let after = step(store, id, &known, 10, random).await.unwrap().unwrap();
        assert_eq!((after.state, after.revoked, after.skipped), (JobState::Done, 6, 1));
        assert_eq!(after.ended, Some(start().plus(MINUTE)));
        assert_eq!(store.revocation_items(id, 10).unwrap(), []);
        assert_eq!(open_ids(store), []);
        assert!(known.iter().all(|(_, serial)| is_revoked(store, serial)));
        let status = store.statuses().status(&issuer(), &last).unwrap().unwrap().state;
        assert_eq!(status, StatusState::Revoked { at: start(), reason: Reason::KeyCompromise });
        // The six of the job, each once, and the one by its subscriber; the turn to running, and the end.
        assert_eq!(told_of(store, RecordType::CertificateRevoked).len(), 7);
        assert_eq!(told_of(store, RecordType::RevocationJobChanged).len(), 2);
        assert!(step(store, id, &known, 10, random).await.unwrap().is_none(), "it is over");
        assert_eq!(told_of(store, RecordType::RevocationJobChanged).len(), 2);
    });
}

#[test]
fn between_being_held_and_taken_up_nothing_is_revoked() {
    on_both(async |store, random| {
        let known = certificates(store, 4, random).await;
        let id = begin(store, &known, random).await;
        step(store, id, &known, 1, random).await.unwrap().unwrap();
        // What was prepared before it was held is not done after it.
        let prepared = items(&store.revocation_items(id, 2).unwrap(), &known, random);
        turn(store, id, &[JobState::Running], JobState::Paused, random).await.unwrap();
        let done = record(RecordType::RevocationJobChanged, id, random);
        let late = store.revocation_job_step(id, prepared, start(), done).await.unwrap();
        assert!(late.is_none());
        assert!(step(store, id, &known, 1, random).await.unwrap().is_none());
        assert_eq!(known.iter().filter(|(_, serial)| is_revoked(store, serial)).count(), 1);
        assert_eq!(open_ids(store), [(id, JobState::Paused)]);
        assert!(turn(store, id, &[JobState::Running], JobState::Paused, random).await.is_none());
        turn(store, id, &[JobState::Paused], JobState::Running, random).await.unwrap();
        let after = step(store, id, &known, 10, random).await.unwrap().unwrap();
        assert_eq!((after.state, after.revoked), (JobState::Done, 4));
        assert!(turn(store, id, &[JobState::Running], JobState::Cancelled, random).await.is_none());
        assert_eq!(told_of(store, RecordType::RevocationJobChanged).len(), 4, "refused turns left none");
    });
}

#[test]
fn a_job_given_up_lets_go_of_its_own_certificates_in_pieces() {
    on_both(async |store, random| {
        let known = certificates(store, 5, random).await;
        let [given_up, other] = [begin(store, &known, random).await, begin(store, &known[..2], random).await];
        assert!(!store.revocation_items_clear(given_up, 10).await.unwrap(), "it runs");
        assert_eq!(store.revocation_items(given_up, 10).unwrap().len(), 5);
        step(store, given_up, &known, 1, random).await.unwrap().unwrap();
        turn(store, given_up, &[JobState::Running], JobState::Cancelled, random).await.unwrap();
        assert!(step(store, given_up, &known, 1, random).await.unwrap().is_none());
        assert!(open_ids(store).contains(&(given_up, JobState::Cancelled)), "there is something to clear");
        assert!(store.revocation_items_clear(given_up, 3).await.unwrap());
        assert_eq!(store.revocation_items(given_up, 10).unwrap().len(), 1);
        assert!(!store.revocation_items_clear(given_up, 3).await.unwrap());
        assert_eq!(store.revocation_items(given_up, 10).unwrap(), []);
        assert_eq!(open_ids(store), [(other, JobState::Running)]);
        assert_eq!(store.revocation_items(other, 10).unwrap().len(), 2, "another's are none of its own");
        assert_eq!(known.iter().filter(|(_, serial)| is_revoked(store, serial)).count(), 1);
    });
}

#[test]
fn a_certificate_of_two_jobs_is_revoked_by_one_of_them() {
    on_both(async |store, random| {
        let known = certificates(store, 3, random).await;
        let (one, two) = (begin(store, &known, random).await, begin(store, &known, random).await);
        let (one, two) =
            tokio::join!(step(store, one, &known, 10, random), step(store, two, &known, 10, random));
        let (one, two) = (one.unwrap().unwrap(), two.unwrap().unwrap());
        assert_eq!((one.state, two.state), (JobState::Done, JobState::Done));
        assert_eq!((one.revoked + two.revoked, one.skipped + two.skipped), (3, 3));
        assert_eq!(told_of(store, RecordType::CertificateRevoked).len(), 3);
    });
}

#[test]
fn certificates_are_put_down_while_the_job_gathers_and_count_once() {
    on_both(async |store, random| {
        let known = certificates(store, 3, random).await;
        let planned = job(random, JobState::Gathering);
        assert!(store.revocation_job_insert(planned.clone(), Vec::new()).await.unwrap());
        let twice = [of_issuer(&known), of_issuer(&known[..1])].concat();
        store.revocation_items_insert(planned.id, twice).await.unwrap();
        store.revocation_items_insert(planned.id, of_issuer(&known)).await.unwrap();
        assert_eq!(store.revocation_job_by_id(planned.id).unwrap().unwrap().total, 3);
        assert!(step(store, planned.id, &known, 1, random).await.unwrap().is_none(), "it only gathers");
        turn(store, planned.id, &[JobState::Gathering], JobState::Running, random).await.unwrap();
        let late = certificates(store, 1, random).await;
        store.revocation_items_insert(planned.id, of_issuer(&late)).await.unwrap();
        store.revocation_items_insert(id(random), of_issuer(&late)).await.unwrap();
        assert_eq!(store.revocation_job_by_id(planned.id).unwrap().unwrap().total, 3);
        assert_eq!(store.revocation_items(planned.id, 10).unwrap().len(), 3);
    });
}

/// Those who do the work look at open jobs alone, however many there have been; more open ones than they look at are not
/// taken.
#[test]
fn open_jobs_are_bounded_and_closed_ones_are_not_looked_at() {
    on_both(async |store, random| {
        let mut open = BTreeSet::new();
        loop {
            let (over, planned) = (job(random, JobState::Done), job(random, JobState::Gathering));
            assert!(store.revocation_job_insert(over, Vec::new()).await.unwrap());
            if !store.revocation_job_insert(planned.clone(), Vec::new()).await.unwrap() {
                assert!(store.revocation_job_by_id(planned.id).unwrap().is_none());
                break;
            }
            open.insert(planned.id);
        }
        assert_eq!(open.len(), ingam_store::JOBS_OPEN_MAX);
        let found: BTreeSet<_> = open_ids(store).into_iter().map(|(id, _)| id).collect();
        assert_eq!(found, open);
        let first = *open.first().unwrap();
        turn(store, first, &[JobState::Gathering], JobState::Done, random).await.unwrap();
        assert!(store.revocation_job_insert(job(random, JobState::Gathering), Vec::new()).await.unwrap());
        let mut paged: Vec<Id> = Vec::new();
        loop {
            let page = store.revocation_jobs(paged.last().copied(), 7).unwrap();
            if page.is_empty() {
                break;
            }
            paged.extend(page.iter().map(|job| job.id));
        }
        let distinct: BTreeSet<_> = paged.iter().copied().collect();
        assert_eq!((paged.len(), distinct.len()), (2 * open.len() + 2, 2 * open.len() + 2));
    });
}

/// Every certificate of the job is revoked and off it, or good and on it; numbers and records say the same.
fn check(open: &Open, id: Id, known: &[(Id, Serial)], context: &str) -> RevocationJob {
    let store = &open.store;
    let job = store.revocation_job_by_id(id).unwrap().unwrap();
    let left: BTreeSet<_> =
        store.revocation_items(id, 1000).unwrap().into_iter().map(|(_, serial)| serial).collect();
    let records: Vec<Record> = open.records();
    let told = |kind, of| records.iter().filter(|one| one.kind == kind && about(one) == of).count();
    for (order, serial) in known {
        let revoked = is_revoked(store, serial);
        assert!(revoked != left.contains(serial), "{context}: {serial} by half");
        assert_eq!(told(RecordType::CertificateRevoked, *order), usize::from(revoked), "{context}");
    }
    assert_eq!(job.revoked + job.skipped + left.len() as u64, job.total, "{context}");
    assert_eq!(job.skipped, 0, "{context}: nobody else revokes here");
    assert_eq!(job.state == JobState::Done, left.is_empty(), "{context}");
    let is_open = open_ids(store).iter().any(|(open, _)| *open == id);
    assert_eq!(is_open, !left.is_empty(), "{context}: what is to be taken up");
    assert_eq!(told(RecordType::RevocationJobChanged, id), 1 + usize::from(left.is_empty()), "{context}");
    job
}

/// How often the power went between the first and the last certificate.
fn life(seed: u64) -> usize {
    let random = Arc::new(SeededRandom::new(seed));
    let disks = Disks::default();
    let open = disks.open(&random).unwrap();
    let known = run(certificates(&open.store, 12, &random));
    let id = run(begin(&open.store, &known, &random));
    open.close();
    let (mut answered, mut halfway) = (0, 0);
    for cut in 0..40 {
        let context = format!("seed {seed}, cut {cut}");
        let [before, after, limit] = random_array(random.as_ref());
        // In the opening now and then, else at one of the next steps.
        if before < 32 {
            disks.tables.stop_after(u64::from(after));
        }
        if let Ok(open) = disks.open(&random) {
            if before >= 32 {
                disks.tables.stop_after(u64::from(after % 8));
            }
            run(async {
                let limit = usize::from(limit % 2) + 1;
                while let Ok(Some(job)) = step(&open.store, id, &known, limit, &random).await {
                    answered = job.revoked;
                    if job.state == JobState::Done {
                        break;
                    }
                }
            });
            disks.each().iter().for_each(|disk| disk.stop_after(0));
            open.close();
        }
        disks.power_cut(&random);
        let open = disks.open(&random).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        let job = check(&open, id, &known, &context);
        assert!(job.revoked >= answered, "{context}: {} of {answered} answered for", job.revoked);
        answered = job.revoked;
        open.close();
        halfway += usize::from((1..job.total).contains(&job.revoked));
        if job.state == JobState::Done {
            return halfway;
        }
    }
    panic!("seed {seed}: it never came to its end");
}

#[test]
fn power_cuts_leave_each_certificate_revoked_and_off_or_good_and_on() {
    let seeds = seeds(40, 1);
    let lives = seeds.end - seeds.start;
    let halfway: usize = seeds.map(life).sum();
    assert!(halfway as u64 * 2 > lives * 3, "only {halfway} cuts came halfway: this proves little");
}
