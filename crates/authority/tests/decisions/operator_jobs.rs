//! Proves that many certificates are revoked as they were counted or not at all, at the rate that was asked for, whatever
//! else runs, and that a job which is held, given up or broken off by a power cut is so exactly where it was.
//!
//! Time for the runner is what a test says has passed; nothing waits. What is not a failure: which certificate of a job
//! comes first.

use std::collections::BTreeSet;
use std::time::Duration;

use ingam_authority::operator::{
    CertificateFilter, IssuedBetween, JobRunner, JobState, PlannedJob, RevocationJob, Selection,
};
use ingam_protocol::acme::Account;
use ingam_protocol::identifier::{DnsName, Host};
use ingam_protocol::record::{Class, RecordType};
use ingam_protocol::{Id, Reason, Serial};
use ingam_store::StatusState;
use serde_json::json;

use crate::world::operator::{Told, act, acted, failed, kinds};
use crate::world::{HOUR, Key, Process, World, csr, issuer};

use RecordType::{CertificateRevoked, OperatorActed, RevocationJobChanged};

const HALF_A_SECOND: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);

fn of_account(account: &Account) -> Selection {
    let filter = CertificateFilter { account: Some(account.id), ..CertificateFilter::default() };
    Selection { filter, incident: None }
}

fn of(filter: CertificateFilter) -> Selection {
    Selection { filter, incident: None }
}

fn planned(selection: Selection, per_second: u32, expected: u64) -> PlannedJob {
    let told = serde_json::value::to_raw_value(&json!({ "account": "as it was asked" })).unwrap();
    PlannedJob { selection, told, reason: Reason::Superseded, per_second, expected }
}

fn issue(process: &Process, account: &Account, count: usize) -> Vec<Serial> {
    let key = Key::new();
    let one = |number| process.certificate(account, &key, &format!("n{number}.example.org")).0;
    (0..count).map(|number| one(number).order.certificate.unwrap()).collect()
}

fn is_revoked(process: &Process, serial: &Serial) -> bool {
    matches!(process.status(serial).unwrap().state, StatusState::Revoked { .. })
}

fn revoked(process: &Process, serials: &[Serial]) -> usize {
    serials.iter().filter(|serial| is_revoked(process, serial)).count()
}

fn count(process: &Process, selection: &Selection) -> u64 {
    process.authority.revocation_plan(selection).unwrap().count
}

fn start(process: &Process, selection: Selection, per_second: u32) -> RevocationJob {
    let expected = count(process, &selection);
    let job = planned(selection, per_second, expected);
    process.run(process.authority.revocation_job_start(act("revocation.start"), job)).unwrap()
}

fn runner(process: &Process) -> JobRunner {
    let mut runner = JobRunner::new(process.authority.clone());
    runner.look().unwrap();
    runner
}

fn tick(process: &Process, runner: &mut JobRunner, elapsed: Duration) {
    process.run(runner.tick(elapsed)).unwrap();
}

fn turn(process: &Process, id: Id, to: JobState) -> (Result<JobState, &'static str>, Vec<Told>) {
    let hold = act("revocation.hold");
    let (turned, told) = process.acts(process.authority.revocation_job_turn(&hold, id, to));
    match turned {
        Ok(job) => (Ok(job.state), told),
        refused => (Err(failed(refused)), told),
    }
}

#[test]
fn a_plan_counts_what_would_be_revoked_and_changes_nothing() {
    let world = World::new();
    let process = world.start();
    let (account, other) = (process.account(), process.account());
    let mut serials = issue(&process, &account, 3);
    serials.extend(issue(&process, &other, 1));
    let revoke = act("cert.revoke");
    let gone = process.authority.revoke_for_operator(&revoke, &serials[0], Reason::Superseded, false);
    process.run(gone).unwrap();
    let plan_of = |selection: &Selection| {
        let (plan, told) = process.acts(async { process.authority.revocation_plan(selection).unwrap() });
        assert_eq!(told, []);
        let sample: BTreeSet<_> = plan.sample.iter().map(|found| found.serial.clone()).collect();
        assert_eq!(sample.len() as u64, plan.count, "some of them, here all");
        assert!(!sample.contains(&serials[0]), "what is revoked already is none of them");
        (plan.count, plan.already_revoked, plan.expired, plan.missing, plan.accounts.len())
    };
    assert_eq!(plan_of(&of_account(&account)), (2, 1, 0, 0, 1));
    let never = Serial::new(world.random.as_ref());
    let listed = [serials.clone(), serials[..2].to_vec(), vec![never]].concat();
    let by_serials = of(CertificateFilter { serials: Some(listed), ..CertificateFilter::default() });
    assert_eq!(plan_of(&by_serials), (3, 1, 0, 1, 2), "each once");
    world.clock.advance(100 * 24 * HOUR);
    assert_eq!(plan_of(&by_serials), (0, 1, 3, 1, 0), "what has ended needs no revocation");
    let everything = Selection::default();
    assert_eq!(failed(process.authority.revocation_plan(&everything)), "invalid");
    let nowhere = Selection { incident: Some("unheard-of".to_owned()), ..Selection::default() };
    assert_eq!(failed(process.authority.revocation_plan(&nowhere)), "not found");
    process.stop();
}

#[test]
fn with_another_count_than_expected_nothing_is_revoked() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let serials = issue(&process, &account, 3);
    let selection = of_account(&account);
    let counted = count(&process, &selection);
    // Somebody revokes one between the count and the start; or one more is issued.
    let revoke = act("cert.revoke");
    let gone = process.authority.revoke_for_operator(&revoke, &serials[0], Reason::Superseded, false);
    process.run(gone).unwrap();
    for expected in [counted, counted - 2, 0, u64::MAX] {
        let begin = act("revocation.start");
        let job = planned(selection.clone(), 100, expected);
        let (refused, told) = process.acts(process.authority.revocation_job_start(begin, job));
        assert_eq!(failed(refused), "conflict", "{expected}");
        assert_eq!(kinds(&told), [RevocationJobChanged, RevocationJobChanged], "begun, and given up");
        let states: BTreeSet<_> = told.iter().map(|told| told.payload["state"].clone().to_string()).collect();
        assert_eq!(states, BTreeSet::from(["\"gathering\"".to_owned(), "\"cancelled\"".to_owned()]));
    }
    let mut runner = runner(&process);
    for _ in 0..10 {
        tick(&process, &mut runner, SECOND);
    }
    assert!(runner.is_idle(), "what had been put down is cleared");
    assert_eq!(revoked(&process, &serials), 1);
    assert!(process.store.revocation_jobs_open().unwrap().is_empty());
    let jobs = process.authority.revocation_jobs(None, 100).unwrap();
    assert_eq!((jobs.items.len(), jobs.next), (4, None));
    for job in jobs.items {
        assert_eq!((job.state, job.revoked), (JobState::Cancelled, 0));
        assert_eq!(process.store.revocation_items(job.id, 10).unwrap(), []);
    }
    let empty = planned(Selection::default(), 100, 2);
    let (refused, told) =
        process.acts(process.authority.revocation_job_start(act("revocation.start"), empty));
    assert_eq!((failed(refused), told), ("invalid", Vec::new()));
    process.stop();
}

#[test]
fn a_job_revokes_at_its_rate_and_leaves_its_records() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let serials = issue(&process, &account, 7);
    let begin = act("revocation.start");
    let job = planned(of_account(&account), 2, 7);
    let (job, told) = process.acts(process.authority.revocation_job_start(begin, job));
    let job = job.unwrap();
    assert_eq!((job.state, job.total, job.revoked), (JobState::Running, 7, 0));
    assert_eq!(kinds(&told), [RevocationJobChanged, RevocationJobChanged, OperatorActed]);
    assert_eq!(told[0].payload["selection"], json!({ "account": "as it was asked" }));
    assert_eq!((told[0].class, told[2].class), (Class::Issuance, Class::AccessLog));
    assert_eq!(told[2].payload, acted("revocation.start", ingam_authority::operator::Outcome::Done));

    world.clock.advance(HOUR);
    let mut runner = runner(&process);
    let steps = [
        (Duration::ZERO, 1),
        (Duration::ZERO, 1),
        (HALF_A_SECOND, 2),
        (HALF_A_SECOND / 2, 2),
        (HALF_A_SECOND / 2, 3),
        (SECOND, 5),
    ];
    for (elapsed, so_far) in steps {
        let ((), told) = process.acts(async { runner.tick(elapsed).await.unwrap() });
        assert_eq!(revoked(&process, &serials), so_far, "after {elapsed:?} more");
        assert!(told.iter().all(|told| told.kind == CertificateRevoked));
    }
    assert!(!runner.is_idle());
    // However long it slept: never more than a second's worth at once.
    let ((), told) = process.acts(async { runner.tick(HOUR).await.unwrap() });
    assert_eq!(revoked(&process, &serials), 7);
    assert_eq!(kinds(&told), [CertificateRevoked, CertificateRevoked, RevocationJobChanged]);
    let one = &told[0];
    assert_eq!(one.payload["right"], "operator");
    assert_eq!(one.payload["operator"], "uid:7");
    assert_eq!(one.payload["comment"], "ticket 12");
    assert_eq!(one.payload["reason"], "superseded");
    assert_eq!(one.record.subject, Some(account.id));
    assert!(one.record.end_of_life.is_some());
    assert_eq!(told[2].payload["state"], "done");
    assert!(runner.is_idle());
    let done = process.authority.revocation_job(job.id).unwrap();
    assert_eq!((done.state, done.revoked, done.skipped), (JobState::Done, 7, 0));
    let told = process.told();
    let revoked: Vec<_> = told.iter().filter(|told| told.kind == CertificateRevoked).collect();
    assert_eq!(revoked.len(), 7, "each once");
    process.stop();
}

#[test]
fn two_jobs_run_side_by_side_each_at_its_rate() {
    let world = World::new();
    let process = world.start();
    let (one, two) = (process.account(), process.account());
    let (first, second) = (issue(&process, &one, 6), issue(&process, &two, 6));
    let slow = start(&process, of_account(&one), 1);
    let fast = start(&process, of_account(&two), 3);
    // A third job over what the others do too: what they have done it passes over.
    let listed = [first.clone(), second.clone()].concat();
    let both = of(CertificateFilter { serials: Some(listed), ..CertificateFilter::default() });
    let third = start(&process, both, 1);
    turn(&process, third.id, JobState::Paused).0.unwrap();
    let mut runner = runner(&process);
    let mut seen = Vec::new();
    for _ in 0..4 {
        tick(&process, &mut runner, SECOND);
        seen.push((revoked(&process, &first), revoked(&process, &second)));
    }
    // The first second has what was allowed from the start, and no more than a second's worth.
    assert_eq!(seen, [(1, 3), (2, 6), (3, 6), (4, 6)]);
    let state = |id| process.authority.revocation_job(id).unwrap().state;
    assert_eq!(
        (state(slow.id), state(fast.id), state(third.id)),
        (JobState::Running, JobState::Done, JobState::Paused)
    );
    turn(&process, third.id, JobState::Running).0.unwrap();
    runner.look().unwrap();
    for _ in 0..12 {
        tick(&process, &mut runner, SECOND);
    }
    assert!(runner.is_idle());
    let (slow, third) = [slow.id, third.id].map(|id| process.authority.revocation_job(id).unwrap()).into();
    assert_eq!((slow.state, third.state), (JobState::Done, JobState::Done));
    assert_eq!((slow.revoked + third.revoked, third.revoked + third.skipped), (6, 12));
    let told = process.told();
    assert_eq!(told.iter().filter(|told| told.kind == CertificateRevoked).count(), 12, "each once");
    process.stop();
}

#[test]
fn a_job_is_held_taken_up_and_given_up_on_record() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let serials = issue(&process, &account, 5);
    let job = start(&process, of_account(&account), 1);
    let mut runner = runner(&process);
    tick(&process, &mut runner, Duration::ZERO);

    assert_eq!(turn(&process, job.id, JobState::Running), (Err("conflict"), Vec::new()));
    let (state, told) = turn(&process, job.id, JobState::Paused);
    assert_eq!((state, kinds(&told)), (Ok(JobState::Paused), vec![RevocationJobChanged, OperatorActed]));
    assert_eq!(told[0].payload["state"], "paused");
    assert_eq!(told[0].payload["reason"], "ticket 12");
    assert_eq!(told[1].payload, acted("revocation.hold", ingam_authority::operator::Outcome::Done));
    // The runner has not looked again yet: the store knows better.
    for _ in 0..3 {
        tick(&process, &mut runner, SECOND);
    }
    assert_eq!(revoked(&process, &serials), 1);
    assert_eq!(turn(&process, job.id, JobState::Paused), (Err("conflict"), Vec::new()));
    let (state, told) = turn(&process, job.id, JobState::Running);
    assert_eq!((state, kinds(&told)), (Ok(JobState::Running), vec![RevocationJobChanged, OperatorActed]));
    runner.look().unwrap();
    tick(&process, &mut runner, SECOND);
    assert_eq!(revoked(&process, &serials), 2);
    let (state, told) = turn(&process, job.id, JobState::Cancelled);
    assert_eq!((state, kinds(&told)), (Ok(JobState::Cancelled), vec![RevocationJobChanged, OperatorActed]));
    runner.look().unwrap();
    for _ in 0..3 {
        tick(&process, &mut runner, SECOND);
    }
    assert_eq!(revoked(&process, &serials), 2, "what was revoked stays so, and the rest as it was");
    assert!(runner.is_idle());
    assert_eq!(process.store.revocation_items(job.id, 10).unwrap(), []);
    for to in [JobState::Running, JobState::Paused, JobState::Cancelled, JobState::Done, JobState::Gathering]
    {
        assert_eq!(turn(&process, job.id, to), (Err("conflict"), Vec::new()), "{to:?}");
    }
    let nobody = Id::new(job.at, world.random.as_ref());
    assert_eq!(turn(&process, nobody, JobState::Paused), (Err("not found"), Vec::new()));
    process.stop();
}

#[test]
fn a_job_goes_on_after_a_power_cut_and_one_that_gathered_is_given_up() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let serials = issue(&process, &account, 6);
    let job = start(&process, of_account(&account), 2);
    let mut before = runner(&process);
    tick(&process, &mut before, SECOND);
    assert_eq!(revoked(&process, &serials), 2);
    // What a process leaves that dies while it gathers.
    let gathering = RevocationJob {
        id: Id::new(job.at, world.random.as_ref()),
        state: JobState::Gathering,
        total: 0,
        revoked: 0,
        ..job.clone()
    };
    assert!(process.run(process.store.revocation_job_insert(gathering.clone(), Vec::new())).unwrap());
    let put_down = vec![(issuer(), serials[5].clone())];
    process.run(process.store.revocation_items_insert(gathering.id, put_down)).unwrap();
    drop(before);
    world.crash(process);

    let process = world.start();
    let (settled, told) = process.acts(process.authority.revocation_jobs_settle());
    settled.unwrap();
    assert_eq!((kinds(&told), &told[0].payload["state"]), (vec![RevocationJobChanged], &json!("cancelled")));
    let mut after = runner(&process);
    for _ in 0..4 {
        tick(&process, &mut after, SECOND);
    }
    assert_eq!(revoked(&process, &serials), 6);
    assert!(after.is_idle());
    let done = process.authority.revocation_job(job.id).unwrap();
    assert_eq!((done.state, done.revoked, done.skipped), (JobState::Done, 6, 0));
    let given_up = process.authority.revocation_job(gathering.id).unwrap();
    assert_eq!((given_up.state, given_up.revoked), (JobState::Cancelled, 0));
    assert_eq!(process.records_of(CertificateRevoked).len(), 6, "each once");
    let (settled, told) = process.acts(process.authority.revocation_jobs_settle());
    assert_eq!((settled.is_ok(), told), (true, Vec::new()));
    process.stop();
}

/// Whoever asked is gone before the answer: what was begun is not left half put down.
#[test]
fn a_start_goes_on_without_whoever_asked() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    issue(&process, &account, 2);
    let work =
        process.authority.revocation_job_start(act("revocation.start"), planned(of_account(&account), 1, 2));
    let asked = async {
        let mut work = Box::pin(work);
        // Polled once, and dropped.
        std::future::poll_fn(|context| {
            assert!(work.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(())
        })
        .await;
    };
    process.run(asked);
    process.until("the job runs", || {
        let open = process.store.revocation_jobs_open().unwrap();
        open.iter().any(|(_, state)| *state == JobState::Running)
    });
    process.stop();
}

#[test]
fn a_selection_is_what_all_its_conditions_hold_for() {
    let world = World::new();
    let process = world.start();
    let (account, other) = (process.account(), process.account());
    let (key, second_key) = (Key::new(), Key::new());
    let issue = |account: &Account, key: &Key, names: &[&str]| {
        let order = process.ready_order(account, names);
        let view = process.finalize(account, order.order.id, &csr(key, names)).unwrap();
        world.clock.advance(HOUR);
        view.order.certificate.unwrap()
    };
    let started = process.authority.clock().now();
    let all = [
        issue(&account, &key, &["a.example.org", "b.example.org"]),
        issue(&account, &second_key, &["*.a.example.org"]),
        issue(&other, &key, &["example.org"]),
        issue(&other, &second_key, &["a.example.net"]),
    ];
    let incident = act("incident.open");
    process.run(process.authority.incident_open(&incident, "leak", "keys".to_owned(), None)).unwrap();
    let gathered = vec![all[0].clone(), all[3].clone()];
    process.run(process.authority.incident_add(&incident, "leak", gathered)).unwrap();
    let any = CertificateFilter::default;
    let dns = |name: &str| Some(DnsName::parse(name).unwrap());
    let check = |selection: Selection, expected: &[usize]| {
        let plan = process.authority.revocation_plan(&selection).unwrap();
        let found: BTreeSet<_> = plan.sample.iter().map(|found| found.serial.clone()).collect();
        let wanted = expected.iter().map(|index| all[*index].clone()).collect();
        assert_eq!(found, wanted, "{selection:?}");
        assert_eq!(plan.count, expected.len() as u64, "{selection:?}: each once");
    };
    let thumbprint = Some(key.public().thumbprint());
    check(of(CertificateFilter { account: Some(account.id), ..any() }), &[0, 1]);
    check(of(CertificateFilter { key: thumbprint, ..any() }), &[0, 2]);
    check(of(CertificateFilter { key: thumbprint, account: Some(other.id), ..any() }), &[2]);
    check(of(CertificateFilter { name: dns("a.example.org").map(Host::from), ..any() }), &[0, 1]);
    check(of(CertificateFilter { name: dns("example.net").map(Host::from), ..any() }), &[]);
    check(of(CertificateFilter { below: dns("example.org"), ..any() }), &[0, 1]);
    check(of(CertificateFilter { below: dns("a.example.org"), ..any() }), &[1]);
    check(of(CertificateFilter { issuer: Some(issuer()), ..any() }), &[0, 1, 2, 3]);
    let unknown = Some("rsa".to_owned().try_into().unwrap());
    check(of(CertificateFilter { issuer: unknown, ..any() }), &[]);
    let (from, until) = (Some(started.plus(HOUR)), Some(started.plus(3 * HOUR)));
    check(of(CertificateFilter { issued: IssuedBetween { from, until }, ..any() }), &[1, 2]);
    check(of(CertificateFilter { serials: Some(Vec::new()), ..any() }), &[]);
    check(of(CertificateFilter { serials: Some(all[1..].to_vec()), key: thumbprint, ..any() }), &[2]);
    let of_incident = |filter| Selection { filter, incident: Some("leak".to_owned()) };
    check(of_incident(any()), &[0, 3]);
    check(of_incident(CertificateFilter { account: Some(other.id), ..any() }), &[3]);
    check(of_incident(CertificateFilter { serials: Some(all[..2].to_vec()), ..any() }), &[0]);
    process.stop();
}
