//! What happens to people's data in a history, and what of it no rebuild may lose, whatever is left to it.

use ingam_authority::operator::{
    CaseKind, NewCase, NewDisclosure, NewHold, NewScope, ObjectionOutcome, Telling,
};
use ingam_authority::subject::ErasureWish;
use ingam_journal::files::Files as _;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::acme::{Account, AccountUpdate, Contact};
use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::time::Clock as _;
use ingam_store::{PrivacyVersion, SegmentGoing};
use serde_json::json;
use serde_json::value::RawValue;

use super::{Anew, Dice, Made, anew, anew_with, assemble, assemble_with, new_account, rows, sent, world};
use crate::world::operator::act;
use crate::world::{DAY, Process, World};

fn hold(world: &World, scope: NewScope) -> NewHold {
    let ends = world.clock.now().plus(30 * DAY);
    NewHold { case: "a case".to_owned(), owner: "legal".to_owned(), scope, ends }
}

fn version(number: u64, world: &World) -> PrivacyVersion {
    let raw = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    PrivacyVersion {
        number,
        at: world.clock.now().whole_second(),
        digest: "00ff".to_owned(),
        facts: raw(r#"{"z":1,"a":[2]}"#),
        changes: raw(r#"[{"text":"another"}]"#),
        asks_consent: number.is_multiple_of(2),
    }
}

/// One thing that is done to somebody's data.
pub(super) fn step(
    world: &World,
    process: &Process,
    made: &mut Made,
    dice: &Dice,
    which: usize,
) -> Option<&'static str> {
    let (authority, now) = (&process.authority, world.clock.now());
    let account = dice.one(&made.accounts)?.0.clone();
    Some(match which {
        0 | 1 => {
            let scope = match dice.below(4) {
                0 => NewScope::Certificate(dice.one(&made.issued)?.3.clone()),
                1 => NewScope::Class { class: Class::Working, from: Some(now), until: None },
                _ => NewScope::Subject(account.id),
            };
            let opened = process.run(authority.hold_open(&act("record_hold.open"), hold(world, scope)));
            made.holds.push(opened.unwrap().id);
            "hold"
        }
        2 => {
            let id = *dice.one(&made.holds)?;
            let ends = now.plus(60 * DAY);
            let _ = process.run(authority.hold_renew(&act("record_hold.renew"), id, ends));
            "hold renewed"
        }
        3 => {
            let id = *dice.one(&made.holds)?;
            let _ = process.run(authority.hold_release(&act("record_hold.release"), id));
            "hold released"
        }
        4 | 5 => {
            let contacts: Vec<Contact> = (0..dice.below(3))
                .map(|number| Contact::parse(&format!("mailto:right{number}@example.net")).unwrap())
                .collect();
            let _ = process.run(authority.subject_correct(&act("subject.correct"), account.id, &contacts));
            "correction"
        }
        6 | 7 => {
            let close = dice.below(4) == 0;
            if dice.below(2) == 0 {
                let _ = process.run(authority.subject_erase(&act("subject.erase"), account.id, close));
            } else {
                let wish = ErasureWish { contact: true, close };
                let _ = process.run(authority.subject_erase_own(&account, wish, &sent(&json!({}))));
            }
            "erasure"
        }
        8 => {
            process.run(authority.erasures_sweep()).unwrap();
            "keys destroyed"
        }
        9 | 10 => {
            let objects = dice.below(3) > 0;
            let _ = process.run(authority.subject_object(&act("subject.object"), account.id, objects));
            let _ = process.run(authority.subject_told(&act("subject.told"), account.id));
            "objection"
        }
        11 => {
            let name = format!("case-{}", made.cases.len());
            let everybody = dice.below(4) == 0;
            let kind = if everybody { CaseKind::Transfer } else { CaseKind::Emergency };
            let new = NewCase {
                name: name.clone(),
                kind,
                basis: None,
                law: Some("Article 1".to_owned()),
                requester: Some("a court".to_owned()),
                answer_by: Some(now.plus(60 * DAY)),
                forbidden_until: None,
                subjects: made
                    .accounts
                    .iter()
                    .filter(|_| !everybody)
                    .take(3)
                    .map(|(one, _)| one.id)
                    .collect(),
                everybody,
            };
            process.run(authority.case_open(&act("case.open"), new)).unwrap();
            made.cases.push(name);
            "case"
        }
        12 | 13 => {
            let name = dice.one(&made.cases)?.clone();
            let name = name.as_str();
            match dice.below(5) {
                0 => {
                    let (owner, ends) = ("legal".to_owned(), now.plus(30 * DAY));
                    let _ = process.run(authority.case_hold(&act("case.hold"), name, owner, ends));
                }
                1 => {
                    let fields = vec!["contacts".to_owned()];
                    let new = NewDisclosure { recipient: None, subjects: Vec::new(), fields, sha256: None };
                    let _ = process.run(authority.case_disclose(&act("case.disclose"), name, new));
                }
                2 => {
                    let telling = [Telling::Told("mail".to_owned()), Telling::Futile][dice.below(2)].clone();
                    let whom = if dice.below(2) == 0 { vec![account.id] } else { Vec::new() };
                    let _ = process.run(authority.case_notify(&act("case.notify"), name, whom, telling));
                }
                3 => {
                    for outcome in [ObjectionOutcome::Pending, ObjectionOutcome::Rejected] {
                        let _ = process.run(authority.case_object(&act("case.object"), name, outcome));
                    }
                }
                _ => drop(process.run(authority.case_close(&act("case.close"), name))),
            }
            "case goes on"
        }
        _ => {
            made.pages += 1;
            let version = version(made.pages, world);
            let told = version.told().unwrap();
            let record = Record::new(RecordType::ConfigurationChanged, now, told, world.random.as_ref());
            assert!(process.run(process.store.privacy_version_insert(version, vec![record])).unwrap());
            process.run(process.store.swept_at_put(now)).unwrap();
            "page"
        }
    })
}

/// How many kinds of things [`step`] knows.
pub(super) const STEPS: usize = 15;

/// The tables that [`step`] puts something into.
pub(super) const TABLES: [&str; 8] = [
    "subjects",
    "erasures_open",
    "cases",
    "case_subjects",
    "privacy_versions",
    "holds",
    "holds_open",
    "segments_going",
];

/// A segment that is about to go.
pub(super) fn leave_going(world: &World, process: &Process) {
    let going = SegmentGoing {
        class: Class::Aggregate,
        sequence: 7,
        first_index: 70,
        records: 7,
        head: "00".to_owned(),
        earliest: None,
        latest: Some(world.clock.now()),
        end_of_life: None,
        rule: json!({}),
    };
    assert_eq!(process.run(process.store.segment_intend(going, world.clock.now())).unwrap(), None);
}

fn copy(disk: &SimulatedDisk) -> SimulatedDisk {
    let copy = SimulatedDisk::new();
    for name in disk.list().unwrap() {
        let contents = disk.contents(&name).unwrap();
        copy.set_contents(&name, contents);
    }
    copy
}

fn contacts(world: &World, anew: &Anew, account: &Account) -> Vec<String> {
    let (store, threads) = assemble(world, anew.new.clone());
    let contacts = store.account_contacts(account.id).unwrap();
    drop(store);
    threads.close();
    contacts.iter().map(|contact| contact.expose().to_owned()).collect()
}

fn update(process: &Process, account: &Account, contact: &str) {
    let contact = vec![contact.to_owned()];
    let payload = json!({ "contact": contact });
    let update = AccountUpdate { contact: Some(contact), status: None, terms_of_service_agreed: None };
    process.run(process.authority.account_update(account, update, &sent(&payload))).unwrap();
}

#[test]
fn without_the_old_store_what_was_erased_stays_so_and_what_is_held_stays_held() {
    let world = world();
    let process = world.start();
    let authority = process.authority.clone();
    let made = || new_account(&process, &["mailto:old@example.net".to_owned()], None).unwrap().0;
    let (erased, closed, anew_given, objecting, held) = (made(), made(), made(), made(), made());
    let before = copy(&world.keys);
    world.clock.advance(DAY);

    let scope = NewScope::Subject(held.id);
    let hold = process.run(authority.hold_open(&act("record_hold.open"), hold(&world, scope))).unwrap();
    process.run(authority.subject_object(&act("subject.object"), objecting.id, true)).unwrap();
    process.run(authority.subject_object(&act("subject.object"), anew_given.id, true)).unwrap();
    let wish = ErasureWish { contact: true, close: false };
    process.run(authority.subject_erase_own(&erased, wish, &sent(&json!({})))).unwrap();
    process.run(authority.subject_erase(&act("subject.erase"), closed.id, true)).unwrap();
    process.run(authority.subject_erase(&act("subject.erase"), anew_given.id, false)).unwrap();
    world.clock.advance(DAY);
    update(&process, &anew_given, "mailto:new@example.net");
    assert!(process.run(authority.subject_erase(&act("subject.erase"), held.id, false)).is_err());
    drop(authority);
    process.stop();

    let found = anew(&world, false);
    let (store, threads) = assemble(&world, found.new.clone());
    assert_eq!(store.holds_in_force(world.clock.now()).unwrap(), [hold], "the next sweep asks it");
    let objected = |account: &Account| {
        let row = store.subject_by_id(account.id).unwrap();
        row.and_then(|row| row.mail_objected)
    };
    assert!(objected(&objecting).is_some());
    assert_eq!(objected(&anew_given), None, "it went with the contacts that it was about");
    let deactivated = store.account_by_id(closed.id).unwrap().unwrap().deactivated;
    assert_eq!(deactivated, Some(world.clock.now().minus(DAY)));
    let swept = store.swept_at().unwrap();
    assert_eq!(swept, Some(world.clock.now()), "the newest record; the rebuild's own do not count");
    drop(store);
    threads.close();
    assert_eq!(contacts(&world, &found, &erased), Vec::<String>::new());
    assert_eq!(contacts(&world, &found, &anew_given), ["mailto:new@example.net"]);
    assert_eq!(contacts(&world, &found, &held), ["mailto:old@example.net"]);
    assert_eq!(rows(found.new.as_ref(), "erasures_open").len(), 0);

    // The keys are a copy from before the erasures: they go once more.
    let found = anew_with(&world, &before, false);
    let of = |table| rows(found.new.as_ref(), table).into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let ids =
        |accounts: &[&Account]| accounts.iter().map(|one| one.id.as_bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(of("contacts"), ids(&[&objecting, &held]));
    assert_eq!(of("subjects"), ids(&[&objecting, &held]));
    let mut gone = of("erasures_open");
    gone.sort();
    let mut expected = ids(&[&erased, &closed, &anew_given]);
    expected.sort();
    assert_eq!(gone, expected);
    let (store, threads) = assemble_with(&world, &before, found.new.clone());
    assert!(!store.subject_erasure_is_open(erased.id).unwrap(), "the start has destroyed it again");
    drop(store);
    threads.close();
}
