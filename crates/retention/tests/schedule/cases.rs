//! Cases that were closed go, with their subjects, once a number says so and nobody is still to be told.

use ingam_protocol::{Id, Timestamp};
use ingam_retention::Config;
use ingam_store::{
    Case, CaseBasis, CaseChange, CaseClosed, CaseCounts, CaseKind, CaseNotice, CaseStep, CaseSubject,
    HoldReleased, HoldScope,
};

use crate::made::{DAY, id, operator, run, start};
use crate::world::{World, hold, open_hold};

const YEAR: u32 = 366;
const KEPT: u32 = 7 * YEAR;

fn keeping() -> Config {
    Config { retention_days: Some(KEPT), ..Config::default() }
}

fn day(days: u32) -> Timestamp {
    start().plus(DAY * days)
}

fn case(name: &str, closed: Option<u32>) -> Case {
    Case {
        name: name.to_owned(),
        kind: CaseKind::LegalDemand,
        basis: CaseBasis::Warrant,
        law: None,
        requester: Some("the court".to_owned()),
        reason: "a demand".to_owned(),
        by: operator(0),
        at: start(),
        answer_by: None,
        everybody: false,
        forbidden_until: None,
        objections: Vec::new(),
        disclosures: Vec::new(),
        holds: Vec::new(),
        counts: CaseCounts::default(),
        closed: closed.map(|days| CaseClosed { at: day(days), by: operator(0), reason: "over".to_owned() }),
    }
}

fn told(subject: Id, days: u32) -> CaseSubject {
    let (at, by, how) = (day(days), operator(0), Some("letter".to_owned()));
    let notice = Some(CaseNotice { at, by, how, reason: "told".to_owned(), delayed: false });
    CaseSubject { disclosed: Some(start()), notice, ..CaseSubject::new(subject) }
}

impl World {
    fn id(&self) -> Id {
        id(self.random.as_ref())
    }

    fn put(&self, case: Case, subjects: Vec<CaseSubject>) {
        let running = self.open(&keeping()).unwrap();
        assert!(run(running.open.store.case_insert(case, subjects, Vec::new())).unwrap());
        running.close();
    }

    /// Cases and subjects of cases that are there.
    fn cases(&self) -> (usize, usize) {
        let seen = self.look();
        (seen.rows_of("cases"), seen.rows_of("case_subjects"))
    }

    /// The same after a sweep on that day.
    fn swept(&self, days: u32, config: &Config) -> (usize, usize) {
        self.sweep_at(DAY * days, config);
        self.cases()
    }
}

#[test]
fn it_goes_with_its_subjects_when_its_time_is_over_and_not_without_a_number() {
    let world = World::empty();
    // One whose name begins another's: the subjects of the other are not its own.
    world.put(case("2026-1", Some(100)), vec![told(world.id(), 1), told(world.id(), 2)]);
    world.put(case("2026-17", None), vec![told(world.id(), 1)]);
    assert_eq!(world.swept(100 + KEPT - 1, &keeping()), (2, 3));
    assert_eq!(world.swept(100 + KEPT, &Config::default()), (2, 3), "for good without retention_days");
    let report = world.sweep_at(DAY * (100 + KEPT), &keeping());
    let rows: Vec<(&str, u64)> =
        report.rows.iter().filter(|rows| rows.what == "cases").map(|rows| (rows.table, rows.count)).collect();
    assert_eq!(rows, [("case_subjects", 2), ("cases", 1)]);
    assert_eq!(world.cases(), (1, 1));
    assert_eq!(world.swept(10 * KEPT, &keeping()), (1, 1), "it was never closed");
}

#[test]
fn two_years_past_its_end_are_the_least() {
    let world = World::empty();
    world.put(case("2026-1", Some(0)), Vec::new());
    let short = Config { retention_days: Some(1), ..Config::default() };
    assert_eq!(world.swept(2 * YEAR - 1, &short), (1, 0));
    assert_eq!(world.swept(2 * YEAR, &short), (0, 0));
}

#[test]
fn who_is_still_to_be_told_keeps_it_and_it_counts_from_the_last_notice() {
    let world = World::empty();
    let owed = world.id();
    let banned = Case { forbidden_until: Some(day(900)), ..case("2026-1", Some(100)) };
    let untold = CaseSubject { disclosed: Some(start()), ..CaseSubject::new(owed) };
    world.put(banned, vec![told(world.id(), 1), untold]);
    // Of these nobody is owed anything: whose data never left, and where it is no demand.
    let never_left = CaseSubject::new(world.id());
    world.put(case("2026-2", Some(100)), vec![never_left]);
    let fault = Case { kind: CaseKind::Fault, ..case("2026-3", Some(100)) };
    let left = CaseSubject { disclosed: Some(start()), ..CaseSubject::new(world.id()) };
    world.put(fault, vec![left]);
    assert_eq!(world.swept(2 * KEPT, &keeping()), (1, 2));

    let running = world.open(&keeping()).unwrap();
    let changed = running.open.store.case_change("2026-1".to_owned(), vec![owed], move |case, _| {
        let (subjects, holds) = (vec![told(owed, 2 * KEPT)], Vec::new());
        Ok::<_, ()>(CaseStep { case, subjects, holds, release: None, records: Vec::new() })
    });
    assert!(matches!(run(changed).unwrap(), CaseChange::Done(_)));
    running.close();
    assert_eq!(world.swept(3 * KEPT - 1, &keeping()), (1, 2));
    assert_eq!(world.swept(3 * KEPT, &keeping()), (0, 0));
}

#[test]
fn a_hold_keeps_the_cases_of_its_subject_and_no_others() {
    let world = World::empty();
    let (held, other) = (world.id(), world.id());
    world.put(case("2026-1", Some(0)), vec![told(other, 0), told(held, 0)]);
    world.put(case("2026-2", Some(0)), vec![told(other, 0)]);
    world.clock.set(day(KEPT));
    let hold = hold(HoldScope::Subject { subject: held }, day(KEPT), &world.random);
    let running = world.open(&keeping()).unwrap();
    run(open_hold(&running.open, &hold));
    running.close();
    let report = world.sweep_at(DAY * KEPT, &keeping());
    assert_eq!((world.cases(), report.held.get("cases")), ((1, 2), Some(&1)));
    let running = world.open(&keeping()).unwrap();
    let released = HoldReleased { at: day(KEPT), by: operator(0), reason: "over".to_owned() };
    run(running.open.store.hold_release(hold.id, released, |_| Vec::new())).unwrap();
    running.close();
    assert_eq!(world.swept(KEPT, &keeping()), (0, 0));
}

#[test]
fn one_about_everybody_goes_in_parts_and_itself_last() {
    let world = World::empty();
    let transfer = Case { kind: CaseKind::Transfer, everybody: true, ..case("2026-1", Some(0)) };
    let subjects = (0..1001).map(|_| told(world.id(), 0)).collect();
    world.put(transfer, subjects);
    let full = (0..1000).map(|_| told(world.id(), 0)).collect();
    world.put(case("2026-2", Some(0)), full);
    assert_eq!(world.swept(KEPT, &keeping()), (1, 1));
    assert_eq!(world.swept(KEPT, &keeping()), (0, 0));
}

#[test]
fn a_name_in_front_of_those_that_were_looked_at_is_seen_too() {
    let world = World::empty();
    world.put(case("b", Some(0)), Vec::new());
    world.clock.set(day(KEPT));
    let running = world.open(&keeping()).unwrap();
    let (store, retention) = (&running.open.store, &running.retention);
    run(async {
        retention.confirm().await.unwrap();
        assert_eq!(retention.sweep().await.unwrap().rows_gone(), 1);
        assert!(store.case_insert(case("a", Some(0)), Vec::new(), Vec::new()).await.unwrap());
        assert_eq!(retention.sweep().await.unwrap().rows_gone(), 1);
    });
    running.close();
}
