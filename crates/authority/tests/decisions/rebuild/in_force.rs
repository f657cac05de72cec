//! What is in force outlives the records of it: it is carried over before they go, and is there in a store that is made anew.

use std::sync::Arc;

use ingam_authority::RevokedBy;
use ingam_authority::operator::{KeyBlocking, KeyName, NewHold, NewScope};
use ingam_authority::subject::ErasureWish;
use ingam_journal::Journal;
use ingam_protocol::acme::{Account, AccountUpdate};
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::{Class, Record, RecordType, Seal};
use ingam_protocol::time::{Clock as _, SeededRandom};
use ingam_protocol::{Id, Reason, Timestamp};
use ingam_retention::{Config, Reliance, Report, Retention, Schedule};
use ingam_store::Store;
use serde_json::json;

use super::{Anew, Dice, Made, STEPS, anew_of, assemble, compare, new_account, rows, sent, step, world};
use crate::world::operator::act;
use crate::world::{DAY, HOUR, Key, Process, World, revocation};

const YEAR: u32 = 366;

/// Every class goes, once its floor is over.
fn schedule(start: Timestamp) -> Schedule {
    let config = Config { retention_days: Some(7 * YEAR), ..Config::default() };
    let lifetime = 90 * DAY;
    let reliance = Reliance { reuse: 30 * DAY, lifetime, authorities_end: Some(start) };
    Schedule::new(config, reliance)
}

fn retention(world: &World, store: &Store, journal: Arc<Journal>, start: Timestamp) -> Arc<Retention> {
    let parts = ingam_retention::Parts {
        store: store.clone(),
        journal,
        clock: world.clock.clone(),
        random: world.random.clone(),
    };
    Retention::new(parts, schedule(start))
}

/// A sweep by a clock that somebody has looked at. What is in the outbox comes into the journal before, by a restart.
fn sweep(world: &World, process: Process, start: Timestamp) -> (Process, Report) {
    process.stop();
    let process = world.start();
    process.run(process.authority.erasures_sweep()).unwrap();
    let retention = retention(world, &process.store, process.journal(), start);
    let report = process.run(async {
        retention.confirm().await.unwrap();
        let dry = retention.dry_run().unwrap();
        let report = retention.sweep().await.unwrap();
        assert!(carried(&dry) >= carried(&report), "{dry:?} {report:?}");
        report
    });
    (process, report)
}

fn carried(report: &Report) -> u64 {
    report.segments.iter().map(|segment| segment.in_force).sum()
}

/// The store made anew, after the sweep that follows its start.
fn anew_and_swept(world: &World, start: Timestamp) -> Anew {
    let anew = anew_of(world, &world.keys, true);
    assert_eq!(anew.rebuilt.unreadable, 0, "{:?}", anew.rebuilt.examples);
    let (store, threads) = assemble(world, anew.new.clone());
    let retention = retention(world, &store, threads.journal().clone(), start);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(retention.sweep()).unwrap();
    drop((retention, store));
    threads.close();
    anew
}

fn records(journal: &Journal, class: Class) -> Vec<Record> {
    journal.records(class).map(Result::unwrap).collect()
}

fn open_parts(record: &Record) -> String {
    let open = record.parts.iter().filter(|part| part.seal == Seal::Open);
    open.map(|part| String::from_utf8_lossy(&part.bytes).into_owned()).collect()
}

/// How many accounts, keys, rules, roles and so on the store has.
fn in_force(anew: &Anew) -> [usize; 8] {
    [
        "accounts",
        "contacts",
        "external_keys",
        "keys_blocked",
        "roles",
        "name_rules",
        "limit_overrides",
        "privacy_versions",
    ]
    .map(|table| rows(anew.old.as_ref(), table).len())
}

#[test]
fn at_seven_years_and_a_day_and_at_fourteen_a_store_made_anew_has_what_is_in_force() {
    let mut seen = [0; 8];
    for seed in 0..4 {
        let world = world();
        let start = world.clock.now();
        let mut process = world.start();
        let mut made = Made::default();
        let dice = Dice(SeededRandom::new(100 + seed));
        made.accounts.extend(new_account(&process, &["mailto:first@example.net".to_owned()], None));
        for _ in 0..STEPS {
            step(&world, &process, &mut made, &dice);
        }
        // In another segment, with the same people and other certificates.
        made.issued.clear();
        world.clock.set(start.plus(40 * DAY));
        for _ in 0..STEPS / 2 {
            step(&world, &process, &mut made, &dice);
        }
        for days in [7 * YEAR + 1, 7 * YEAR + 60, 14 * YEAR + 100] {
            world.clock.set(start.plus(DAY * days + 4 * HOUR));
            let (swept, report) = sweep(&world, process, start);
            assert!(report.segments_gone() > 0 && carried(&report) > 0, "day {days}");
            let (swept, again) = sweep(&world, swept, start);
            assert_eq!(carried(&again), 0, "once is enough");
            swept.stop();
            let anew = anew_and_swept(&world, start);
            compare(&anew);
            let there = in_force(&anew);
            seen.iter_mut().zip(there).for_each(|(seen, there)| *seen += there);
            process = world.start();
        }
        let journal = process.journal();
        journal.verify().unwrap();
        for class in Class::ALL {
            for record in records(&journal, class) {
                assert!(record.time > start.plus(DAY * 7 * YEAR), "{record:?}");
                let open = open_parts(&record);
                assert!(!open.contains("mailto:"), "{open}");
            }
        }
        drop(journal);
        process.stop();
    }
    assert!(seen.iter().all(|rows| *rows > 0), "nothing was compared of some: {seen:?}");
}

/// A world with one account that has contacts, and its start.
fn peopled() -> (World, Process, Account, Key, Timestamp) {
    let world = world();
    let process = world.start();
    let (account, key) = new_account(&process, &["mailto:first@example.net".to_owned()], None).unwrap();
    let start = world.clock.now();
    (world, process, account, key, start)
}

fn account_in(anew: &Anew, id: Id) -> Option<Account> {
    let rows = rows(anew.new.as_ref(), "accounts");
    let mut accounts = rows.iter().map(|(_, row)| serde_json::from_slice::<Account>(row).unwrap());
    accounts.find(|account| account.id == id)
}

fn deactivate(process: &Process, account: &Account) {
    let status = Some("deactivated".to_owned());
    let update = AccountUpdate { contact: None, status, terms_of_service_agreed: None };
    process.run(process.authority.account_update(account, update, &sent(&json!({})))).unwrap();
}

#[test]
fn the_records_of_an_account_stay_until_two_years_past_its_end_and_then_they_go() {
    let (world, mut process, account, _, start) = peopled();
    let about = |process: &Process| {
        let records = records(&process.journal(), Class::Issuance);
        records.into_iter().filter(|record| record.subject == Some(account.id)).count()
    };
    for days in [7 * YEAR + 40, 14 * YEAR + 80] {
        world.clock.set(start.plus(DAY * days));
        process = sweep(&world, process, start).0;
        assert_eq!(about(&process), 1, "day {days}: it has not ended");
    }
    // It ends shortly before the record of it goes once more.
    let ended = start.plus(DAY * (21 * YEAR + 70));
    world.clock.set(ended);
    deactivate(&process, &account);
    world.clock.set(start.plus(DAY * (21 * YEAR + 130)));
    process = sweep(&world, process, start).0;
    world.clock.set(ended.plus(DAY * 2 * YEAR));
    process = sweep(&world, process, start).0;
    assert!(about(&process) > 0);
    process.stop();
    let found = account_in(&anew_and_swept(&world, start), account.id);
    assert_eq!(found.and_then(|account| account.deactivated), Some(ended));

    process = world.start();
    // Its row goes seven years past the end, and what tells of it at the same time: nothing carries it on.
    world.clock.set(ended.plus(DAY * (7 * YEAR + 31)));
    process = sweep(&world, process, start).0;
    assert_eq!(process.rows("accounts"), 0);
    world.clock.set(ended.plus(DAY * (7 * YEAR + 100)));
    process = sweep(&world, process, start).0;
    assert_eq!(about(&process), 0);
    process.stop();
    assert_eq!(account_in(&anew_and_swept(&world, start), account.id), None);
}

#[test]
fn contacts_are_carried_under_their_key_and_go_with_it() {
    let (world, mut process, account, _, start) = peopled();
    let (other, _) = new_account(&process, &["mailto:other@example.net".to_owned()], None).unwrap();
    process.run(process.authority.subject_object(&act("subject.object"), account.id, true)).unwrap();
    world.clock.set(start.plus(DAY * (7 * YEAR + 40)));
    process = sweep(&world, process, start).0;
    let carried_in = |process: &Process| {
        let mut records = records(&process.journal(), Class::Issuance);
        records.retain(|record| record.kind == RecordType::IssuanceCarried);
        records
    };
    // Two are told of by their making, and one by its objection, too.
    assert_eq!(carried_in(&process).iter().map(|record| record.parts.len()).collect::<Vec<_>>(), [2, 2, 2]);
    let wish = ErasureWish { contact: true, close: false };
    process.run(process.authority.subject_erase_own(&other, wish, &sent(&json!({})))).unwrap();
    process.stop();

    let found = anew_and_swept(&world, start);
    let (store, threads) = assemble(&world, found.new.clone());
    let contacts = |id: Id| store.account_contacts(id).unwrap();
    assert_eq!(
        contacts(account.id).iter().map(|one| one.expose()).collect::<Vec<_>>(),
        ["mailto:first@example.net"]
    );
    assert_eq!(contacts(other.id).len(), 0, "erased since");
    let row = store.subject_by_id(account.id).unwrap().unwrap();
    assert_eq!((row.since, row.mail_objected), (account.created, Some(start)));
    assert!(account_in(&found, other.id).is_some());
    drop(store);
    threads.close();

    // What was erased is not carried over again.
    let mut process = world.start();
    world.clock.set(start.plus(DAY * (14 * YEAR + 100)));
    process = sweep(&world, process, start).0;
    let mut parts = carried_in(&process).iter().map(|record| record.parts.len()).collect::<Vec<_>>();
    parts.sort_unstable();
    assert_eq!(parts, [1, 2]);
    process.stop();
}

#[test]
fn a_key_stays_blocked_when_the_certificate_that_names_it_is_gone() {
    let (world, mut process, account, _, start) = peopled();
    let key = Key::new();
    let (view, der) = process.certificate(&account, &key, "a.example.org");
    assert!(view.order.certificate.is_some());
    world.clock.set(start.plus(40 * DAY));
    let by = RevokedBy::Key(key.public());
    process.run(process.authority.certificate_revoke(by, revocation(&der, 1), &sent(&json!({})))).unwrap();
    // The segment with the certificate goes, that of its revocation stays; then that goes, too.
    for days in [7 * YEAR + 1, 7 * YEAR + 80, 14 * YEAR + 160] {
        world.clock.set(start.plus(DAY * days + HOUR));
        process = sweep(&world, process, start).0;
        assert_eq!(process.rows("certificates"), 0);
        assert!(process.store.key_is_blocked(&key.public()).unwrap());
    }
    process.stop();
    let anew = anew_and_swept(&world, start);
    assert_eq!(rows(anew.old.as_ref(), "keys_blocked"), rows(anew.new.as_ref(), "keys_blocked"));
    assert_eq!(rows(anew.new.as_ref(), "keys_blocked").len(), 1);
}

#[test]
fn what_was_taken_back_stays_so_where_a_hold_keeps_what_gave_it() {
    let (world, mut process, _, _, start) = peopled();
    let authority = process.authority.clone();
    let somebody = Principal::User(100);
    process.run(authority.role_grant(&act("role.grant"), somebody, Role::Auditor, None)).unwrap();
    let hash = [7; 32];
    let blocking =
        KeyBlocking { named_by: KeyName::SpkiSha256, hash, reason: Reason::KeyCompromise, source: None };
    process.run(authority.key_block(&act("key.block"), blocking)).unwrap();
    world.clock.set(start.plus(40 * DAY));
    process.run(authority.role_take(&act("role.take"), somebody, Role::Auditor)).unwrap();
    process.run(authority.key_unblock(&act("key.unblock"), hash)).unwrap();

    // The first segment of each class is held, the second goes.
    world.clock.set(start.plus(DAY * (7 * YEAR + 80)));
    for class in [Class::PermissionChange, Class::Issuance] {
        let scope = NewScope::Class { class, from: None, until: Some(start.plus(20 * DAY)) };
        let hold = NewHold {
            case: "a case".to_owned(),
            owner: "legal".to_owned(),
            scope,
            ends: world.clock.now().plus(30 * DAY),
        };
        process.run(authority.hold_open(&act("record_hold.open"), hold)).unwrap();
    }
    drop(authority);
    process = sweep(&world, process, start).0;
    let kinds = |class| records(&process.journal(), class).iter().map(|one| one.kind).collect::<Vec<_>>();
    let permissions = kinds(Class::PermissionChange);
    assert_eq!(permissions, [RecordType::RoleGranted, RecordType::PermissionCarried]);
    assert!(!kinds(Class::Issuance).contains(&RecordType::KeyUnblocked));
    process.stop();
    let anew = anew_and_swept(&world, start);
    assert_eq!(rows(anew.new.as_ref(), "roles"), rows(anew.old.as_ref(), "roles"));
    assert_eq!(rows(anew.new.as_ref(), "roles").len(), 0);
    assert_eq!(rows(anew.new.as_ref(), "keys_blocked").len(), 0);
}

#[test]
fn only_what_a_segment_tells_of_is_carried_over_with_it() {
    let (world, process, _, _, start) = peopled();
    world.clock.set(start.plus(40 * DAY));
    for _ in 0..20 {
        new_account(&process, &[], None).unwrap();
    }
    let late = world.clock.now();
    world.clock.set(start.plus(DAY * (7 * YEAR + 1) + HOUR));
    let (process, report) = sweep(&world, process, start);
    let carried: Vec<_> = report.segments.iter().map(|one| (one.class, one.in_force)).collect();
    assert_eq!(carried, [(Class::Issuance, 1)]);
    world.clock.set(late.plus(DAY * (7 * YEAR + 1)));
    let (process, report) = sweep(&world, process, start);
    let carried: Vec<_> = report.segments.iter().map(|one| (one.class, one.in_force)).collect();
    assert_eq!(carried, [(Class::Issuance, 20)]);
    process.stop();
}
