//! Proves that an erasure takes contact data away for good: the row, the preferences, the key; that a hold keeps them; that
//! what a power cut leaves is taken up; that contacts which are given later are under another key; and that a store from before an
//! erasure does not open with the keys of after.

use std::sync::Arc;

use ingam_journal::files::Files;
use ingam_journal::simulated::seeds;
use ingam_protocol::acme::Contact;
use ingam_protocol::external::MacKey;
use ingam_protocol::record::{Class, RecordType};
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Id, Timestamp};
use ingam_store::engine::Table;
use ingam_store::{
    Corrected, Erased, Erasure, ErasureReason, Error, Hold, HoldReleased, HoldScope, Objected, Pass,
    RecordQuery, Store, Terms, Told,
};

use crate::external::{external_key, make, wants};
use crate::made::{DAY, Disks, Open, contacts, id, insert_account, on_both, operator, record, run, start};

fn erasure(subject: Id, random: &SeededRandom) -> Erasure {
    let records = vec![record(RecordType::SubjectAsked, subject, random)];
    Erasure { subject, close: None, at: start(), why: ErasureReason::SubjectAsked, records }
}

fn closing(subject: Id, random: &SeededRandom) -> Erasure {
    let ended = record(RecordType::AccountDeactivated, subject, random).about(subject);
    Erasure { close: Some(Box::new(ended)), ..erasure(subject, random) }
}

async fn erase(store: &Store, subject: Id, random: &SeededRandom) -> Result<Erased, Error> {
    store.subject_erase(erasure(subject, random)).await
}

fn hold(subject: Id, random: &SeededRandom) -> Hold {
    Hold {
        id: id(random),
        case: "2026-12".to_owned(),
        owner: "legal".to_owned(),
        reason: "a demand".to_owned(),
        scope: HoldScope::Subject { subject },
        opened: start(),
        by: operator(0),
        ends: start().plus(30 * DAY),
        renewals: Vec::new(),
        released: None,
    }
}

fn update(subject: Id, random: &SeededRandom) -> ingam_protocol::record::Record {
    record(RecordType::AccountUpdated, subject, random)
}

fn receipts(store: &Store) -> usize {
    let kinds = [RecordType::SubjectErased].into();
    store.records_find(&RecordQuery { kinds, ..RecordQuery::default() }, 100).unwrap().records.len()
}

fn sealed_record(store: &Store, subject: Id) -> Vec<u8> {
    run(store.subject_seal(subject, "record", b"a payload")).unwrap()
}

#[test]
fn erased_contacts_are_gone_and_the_account_goes_on() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await;
        let other = insert_account(store, random).await;
        let sealed = store.subject_seal(account.id, "record", b"a payload").await.unwrap();
        assert_eq!(store.subject_open(account.id, "record", &sealed).unwrap().as_slice(), b"a payload");
        let told = Told { at: start(), by: operator(1) };
        store.subject_told(account.id, told, Vec::new()).await.unwrap();

        let Erased::Yes(left) = erase(store, account.id, random).await.unwrap() else { panic!("not erased") };
        assert_eq!(*left, account);
        assert!(store.account_contacts(account.id).unwrap().is_empty());
        assert_eq!(store.subject_by_id(account.id).unwrap(), None);
        assert!(
            store.subject_open(account.id, "record", &sealed).is_none(),
            "records lie under the key, too"
        );
        assert!(!store.subject_erasure_is_open(account.id).unwrap());
        assert_eq!(store.account_contacts(other.id).unwrap(), contacts());
        assert_eq!(receipts(store), 1);

        // What is given later lies under another key.
        let given =
            store.account_update(account.id, Some(&contacts()), None, update(account.id, random)).await;
        assert!(given.unwrap().is_some());
        assert_eq!(store.account_contacts(account.id).unwrap(), contacts());
        assert!(store.subject_open(account.id, "record", &sealed).is_none());
        assert_eq!(store.subject_by_id(account.id).unwrap().unwrap().told, None);

        // Nothing to erase is no mistake, and neither is a second time.
        erase(store, account.id, random).await.unwrap();
        erase(store, account.id, random).await.unwrap();
        assert_eq!(erase(store, id(random), random).await.unwrap(), Erased::Missing);
    });
}

#[test]
fn an_account_can_end_with_it() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await;
        let Erased::Yes(left) = store.subject_erase(closing(account.id, random)).await.unwrap() else {
            panic!("not erased")
        };
        assert_eq!(left.deactivated, Some(start()));
        assert_eq!(store.account_by_id(account.id).unwrap().unwrap().deactivated, Some(start()));
        let corrected = store.subject_correct(account.id, &contacts(), start(), Vec::new()).await.unwrap();
        assert_eq!(corrected, Corrected::Closed);
        // A store that is made anew from the records ends it as well, at the same time.
        let ends = || {
            let kinds = [RecordType::AccountDeactivated].into();
            store.records_find(&RecordQuery { kinds, ..RecordQuery::default() }, 100).unwrap().records
        };
        assert_eq!(
            ends().iter().map(|end| (end.subject, end.time)).collect::<Vec<_>>(),
            [(Some(account.id), start())]
        );
        // Once, however often that is wished.
        store.subject_erase(closing(account.id, random)).await.unwrap();
        assert_eq!(ends().len(), 1);
        let open = insert_account(store, random).await;
        erase(store, open.id, random).await.unwrap();
        assert_eq!(ends().len(), 1);
    });
}

#[test]
fn a_hold_keeps_them_until_it_is_over() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await;
        let held = hold(account.id, random);
        store.hold_open(held.clone(), Vec::new()).await.unwrap();
        assert_eq!(erase(store, account.id, random).await.unwrap(), Erased::Held(vec![held.clone()]));
        assert_eq!(store.account_contacts(account.id).unwrap(), contacts());
        assert_eq!(receipts(store), 0);

        // An account that ends loses its contacts, and what lies under their key stays as long as it is held.
        let sealed = store.subject_seal(account.id, "record", b"a payload").await.unwrap();
        let told = record(RecordType::AccountDeactivated, account.id, random);
        store.account_deactivate(account.id, start(), told).await.unwrap();
        assert_eq!(store.erasures_sweep(start()).await.unwrap(), 0);
        assert!(store.subject_open(account.id, "record", &sealed).is_some());

        let released = HoldReleased { at: start(), by: operator(0), reason: "over".to_owned() };
        store.hold_release(held.id, released, |_| Vec::new()).await.unwrap();
        assert_eq!(store.erasures_sweep(start()).await.unwrap(), 1);
        assert!(store.subject_open(account.id, "record", &sealed).is_none());
        assert_eq!(receipts(store), 1);
        assert_eq!(store.erasures_sweep(start()).await.unwrap(), 0);
    });
}

/// A key for external accounts is a subject of its own before it is bound, and the hold on it goes on keeping it.
#[test]
fn a_hold_on_a_key_for_external_accounts_keeps_it_once_it_is_bound() {
    on_both(async |store, random| {
        let key = external_key(random);
        let told = record(RecordType::ExternalKeyMade, key.id, random);
        store.external_key_insert(key.clone(), &MacKey::new(random), vec![told]).await.unwrap();
        let bound = wants(key.id, random);
        make(store, &bound, random).await.unwrap();
        let told = record(RecordType::AccountDeactivated, bound.id, random);
        store.account_deactivate(bound.id, start(), told).await.unwrap().unwrap();

        let now = start().plus(30 * DAY);
        let held = Hold { ends: now.plus(DAY), ..hold(key.id, random) };
        store.hold_open(held, Vec::new()).await.unwrap();
        let terms = Terms {
            working: DAY,
            issuance: DAY,
            after_end: DAY,
            lifetime: DAY,
            access_log: DAY,
            retention: None,
        };
        let sweep = async |pass, now| {
            store.rows_sweep(pass, Vec::new(), terms, now, |_| Vec::new()).await.unwrap();
        };
        sweep(Pass::Accounts, now).await;
        assert_eq!(store.account_by_id(bound.id).unwrap(), None, "nobody holds the account");
        sweep(Pass::ExternalKeys, now).await;
        assert!(store.external_key_by_id(key.id).unwrap().is_some());
        sweep(Pass::ExternalKeys, now.plus(2 * DAY)).await;
        assert_eq!(store.external_key_by_id(key.id).unwrap(), None, "the hold is over");
    });
}

#[test]
fn the_key_of_withdrawn_contacts_goes_with_the_sweep_unless_others_were_given_meanwhile() {
    on_both(async |store, random| {
        let (gone, back) = (insert_account(store, random).await.id, insert_account(store, random).await.id);
        for account in [gone, back] {
            store.account_update(account, Some(&[]), None, update(account, random)).await.unwrap().unwrap();
            assert!(store.subject_erasure_is_open(account).unwrap());
        }
        store.account_update(back, Some(&contacts()), None, update(back, random)).await.unwrap().unwrap();
        assert_eq!(store.erasures_sweep(start()).await.unwrap(), 1);
        assert!(!store.subject_erasure_is_open(gone).unwrap());
        assert_eq!(store.account_contacts(back).unwrap(), contacts());
        store.account_update(gone, Some(&contacts()), None, update(gone, random)).await.unwrap().unwrap();
        assert_eq!(store.account_contacts(gone).unwrap(), contacts());
    });
}

#[test]
fn corrections_and_objections_stand_until_the_contacts_go() {
    on_both(async |store, random| {
        let account = insert_account(store, random).await.id;
        let right = [Contact::parse("mailto:right@example.org").unwrap()];
        assert_eq!(
            store.subject_correct(account, &right, start(), Vec::new()).await.unwrap(),
            Corrected::Yes
        );
        assert_eq!(store.account_contacts(account).unwrap(), right);
        let Objected::Yes(row) = store.subject_object(account, Some(start()), Vec::new()).await.unwrap()
        else {
            panic!("not noted")
        };
        assert_eq!((row.since, row.mail_objected), (start(), Some(start())));
        assert_eq!(store.subjects(Id::from_bytes([0; 16]), 10).unwrap(), [(account, row)]);
        store.subject_object(account, None, Vec::new()).await.unwrap();
        assert_eq!(store.subject_by_id(account).unwrap().unwrap().mail_objected, None);

        store.account_update(account, Some(&[]), None, update(account, random)).await.unwrap().unwrap();
        let nothing = store.subject_object(account, Some(start()), Vec::new()).await.unwrap();
        assert_eq!(nothing, Objected::Nothing);
        assert_eq!(store.subject_object(id(random), None, Vec::new()).await.unwrap(), Objected::Missing);
        assert!(store.subjects(Id::from_bytes([0; 16]), 10).unwrap().is_empty());
    });
}

#[test]
fn a_store_from_before_an_erasure_does_not_open_with_the_keys_of_after() {
    let random = Arc::new(SeededRandom::new(3));
    let disks = Disks::default();
    let open = disks.open(&random).unwrap();
    let account = run(insert_account(&open.store, &random));
    let other = run(insert_account(&open.store, &random));
    open.close();
    let copies = ["store.redb", "store.redb.log"].map(|name| (name, disks.tables.contents(name).unwrap()));

    let open = disks.open(&random).unwrap();
    run(erase(&open.store, account.id, &random)).unwrap();
    open.close();
    for (name, bytes) in copies {
        disks.tables.set_contents(name, bytes);
    }
    let open = disks.open(&random).unwrap();
    let row = open.engine.as_ref().unwrap().get(Table::new("contacts"), account.id.as_bytes()).unwrap();
    assert!(row.is_some(), "the copy has the row");
    assert!(open.store.account_contacts(account.id).unwrap().is_empty(), "and nothing opens it");
    assert_eq!(open.store.account_contacts(other.id).unwrap(), contacts());
    open.close();
}

/// An old copy of `contacts/` is put back: what was erased since is destroyed again by the start, and nothing else.
#[test]
fn keys_that_an_old_copy_brings_back_are_destroyed_again() {
    for is_archived in [true, false] {
        let random = Arc::new(SeededRandom::new(8));
        let disks = Disks::default();
        let open = disks.open(&random).unwrap();
        let [gone, other, back] = [(); 3].map(|()| run(insert_account(&open.store, &random)).id);
        let sealed = [gone, other, back].map(|subject| sealed_record(&open.store, subject));
        open.close();
        let names = disks.keys.list().unwrap();
        let copies: Vec<_> =
            names.into_iter().map(|name| (disks.keys.contents(&name).unwrap(), name)).collect();

        let open = disks.open(&random).unwrap();
        for subject in [gone, back] {
            run(erase(&open.store, subject, &random)).unwrap();
        }
        run(open.store.account_update(back, Some(&contacts()), None, update(back, &random))).unwrap();
        if is_archived {
            open.close();
        } else {
            // The receipts may be in the outbox yet.
            disks.journal.stop_after(0);
            open.close();
            disks.power_cut(&random);
        }
        for name in disks.keys.list().unwrap() {
            disks.keys.remove(&name).unwrap();
        }
        for (bytes, name) in copies {
            disks.keys.set_contents(&name, bytes);
        }

        let open = disks.open(&random).unwrap();
        let opens =
            |which: usize, subject| open.store.subject_open(subject, "record", &sealed[which]).is_some();
        assert!(!opens(0, gone), "its key is gone again");
        assert!(opens(1, other), "nobody erased that");
        assert_eq!(open.store.account_contacts(other).unwrap(), contacts());
        assert!(opens(2, back), "it has contacts, so this may be what they lie under");
        assert_eq!(receipts(&open.store), 2, "no receipt is written twice");
        open.close();
    }
}

/// A key without contacts that the sweep has to look at is left to it, as a hold may keep what lies under it.
#[test]
fn the_start_leaves_keys_to_the_sweep_that_are_held() {
    let random = Arc::new(SeededRandom::new(10));
    let disks = Disks::default();
    let open = disks.open(&random).unwrap();
    let account = run(insert_account(&open.store, &random)).id;
    run(erase(&open.store, account, &random)).unwrap();
    run(open.store.account_update(account, Some(&contacts()), None, update(account, &random))).unwrap();
    let sealed = sealed_record(&open.store, account);
    run(open.store.hold_open(hold(account, &random), Vec::new())).unwrap();
    run(open.store.account_update(account, Some(&[]), None, update(account, &random))).unwrap();
    open.close();
    let open = disks.open(&random).unwrap();
    assert!(open.store.subject_open(account, "record", &sealed).is_some());
    assert_eq!(run(open.store.erasures_sweep(start())).unwrap(), 0);
    open.close();
}

/// Everything about one erasure after a power cut: whole, or taken up and gone.
fn check(open: &Open, subject: Id, sealed: &[u8], answered: bool, context: &str) {
    let row = open.engine.as_ref().unwrap().get(Table::new("contacts"), subject.as_bytes()).unwrap();
    let opens = open.store.subject_open(subject, "record", sealed).is_some();
    assert!(
        !open.store.subject_erasure_is_open(subject).unwrap(),
        "{context}: the start ends what was begun"
    );
    if row.is_some() {
        assert!(!answered && opens, "{context}: whole, and unanswered");
        assert_eq!(open.store.account_contacts(subject).unwrap(), contacts(), "{context}");
        assert_eq!(receipts(&open.store), 0, "{context}");
    } else {
        assert!(!opens, "{context}: no row, and a key");
        assert_eq!(receipts(&open.store), 1, "{context}: one receipt");
    }
}

/// The power goes at each operation of each of the three disks.
#[test]
fn a_power_cut_at_any_operation_leaves_everything_or_nothing() {
    for which in [0, 2] {
        let (mut cut, mut answered) = (0, false);
        while !answered && cut < 200 {
            // An erasure has more than five operations on each.
            for seed in seeds(2, 5) {
                let context = format!("disk {which}, operation {cut}, seed {seed}");
                let random = Arc::new(SeededRandom::new(seed + 40));
                let disks = Disks::default();
                let open = disks.open(&random).unwrap();
                let account = run(insert_account(&open.store, &random)).id;
                let other = run(insert_account(&open.store, &random)).id;
                let sealed = sealed_record(&open.store, account);
                disks.each()[which].stop_after(cut);
                answered = run(erase(&open.store, account, &random)).is_ok();
                open.close();
                disks.power_cut(&random);

                let open = disks.open(&random).expect(&context);
                check(&open, account, &sealed, answered, &context);
                assert_eq!(open.store.account_contacts(other).unwrap(), contacts(), "{context}");
                open.close();
                let open = disks.open(&random).expect(&context);
                check(&open, account, &sealed, answered, &format!("{context}, again"));
                open.close();
            }
            cut += 1;
        }
        assert!(answered, "it goes through in the end");
    }
}

/// What was left is ended where the store is opened on a thread of a runtime, as servers do it.
#[test]
fn the_start_ends_it_on_a_thread_of_the_runtime() {
    let random = Arc::new(SeededRandom::new(9));
    let disks = Disks::default();
    let open = disks.open(&random).unwrap();
    let account = run(insert_account(&open.store, &random)).id;
    let sealed = sealed_record(&open.store, account);
    disks.keys.stop_after(0);
    assert!(run(erase(&open.store, account, &random)).is_err());
    open.close();
    disks.power_cut(&random);
    let open = run(async { disks.open(&random) }).unwrap();
    check(&open, account, &sealed, true, "begun");
    open.close();
}

/// While a key is to go and cannot, nothing is sealed under it.
#[test]
fn nothing_new_is_sealed_while_an_erasure_is_open() {
    let random = Arc::new(SeededRandom::new(5));
    let disks = Disks::default();
    let open = disks.open(&random).unwrap();
    let account = run(insert_account(&open.store, &random)).id;
    run(insert_account(&open.store, &random));
    disks.keys.set_room(Some(0));
    assert!(run(erase(&open.store, account, &random)).is_err(), "the disk is full");
    assert!(open.store.subject_erasure_is_open(account).unwrap());
    let given = run(open.store.account_update(account, Some(&contacts()), None, update(account, &random)));
    assert!(matches!(given, Err(Error::Unavailable(_))), "{given:?}");
    assert!(run(open.store.erasures_sweep(start())).is_err());
    disks.keys.set_room(None);
    assert_eq!(run(open.store.erasures_sweep(start())).unwrap(), 1);
    run(open.store.account_update(account, Some(&contacts()), None, update(account, &random))).unwrap();
    assert_eq!(open.store.account_contacts(account).unwrap(), contacts());
    open.close();
}

#[test]
fn a_subjects_records_are_found_page_by_page_wherever_they_are() {
    let random = Arc::new(SeededRandom::new(6));
    let disks = Disks::default();
    let open = disks.open(&random).unwrap();
    let (own, other) = (id(random.as_ref()), id(random.as_ref()));
    let mut expected = Vec::new();
    for number in 0..30_u64 {
        let mut told = record(RecordType::OrderCreated, own, random.as_ref());
        told.time = Timestamp::from_unix_ms(start().unix_ms() + number * 40 * 24 * 3600 * 1000);
        let told = told.about(if number % 3 == 0 { other } else { own });
        if number % 3 != 0 {
            expected.push(told.id);
        }
        run(open.store.statuses().records_append(vec![told])).unwrap();
    }
    open.close();
    let open = disks.open(&random).unwrap();
    let further = record(RecordType::OrderFailed, own, random.as_ref()).about(own);
    expected.push(further.id);
    run(open.store.statuses().records_append(vec![further])).unwrap();
    for limit in [1, 3, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        for _ in 0..200 {
            let page = open.store.records_about(own, &[Class::Issuance], after.as_deref(), limit).unwrap();
            let page = page.expect("a page gave that place");
            assert!(page.records.len() <= limit);
            found.extend(page.records.iter().map(|record| record.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(after, None, "it has an end");
        found.sort_unstable();
        found.dedup();
        let mut expected = expected.clone();
        expected.sort_unstable();
        assert_eq!(found, expected, "{limit} at once");
    }
    let none = open.store.records_about(own, &[Class::AccessLog], None, 100).unwrap().unwrap();
    assert!(none.records.is_empty());
    open.close();
}

/// Places come from clients: one that no page gave is none, and no fault.
#[test]
fn a_place_that_no_page_gave_is_no_page() {
    let random = Arc::new(SeededRandom::new(7));
    let disks = Disks::default();
    let open = disks.open(&random).unwrap();
    let own = id(random.as_ref());
    for _ in 0..3 {
        let told = record(RecordType::OrderCreated, own, random.as_ref()).about(own);
        run(open.store.statuses().records_append(vec![told])).unwrap();
    }
    open.close();
    let open = disks.open(&random).unwrap();
    let look = |after: &[u8]| open.store.records_about(own, &[Class::Issuance], Some(after), 1).unwrap();
    let first = open.store.records_about(own, &[Class::Issuance], None, 1).unwrap().unwrap();
    let given = first.next.unwrap();
    assert_eq!(look(&given).unwrap().records.len(), 1);
    let (head, place) = given.split_at(given.len() - 8);
    let place = u64::from_be_bytes(place.try_into().unwrap());
    for off in 1..200 {
        assert!(
            look(&[head, &(place + off).to_be_bytes()].concat()).is_none_or(|page| page.records.len() == 1)
        );
    }
    assert!(look(&[head, &(place + 1).to_be_bytes()].concat()).is_none(), "in the midst of a record");
    for odd in [&[][..], &[1, 2, 3], &[2; 18], &given[1..], &[given.as_slice(), &[0]].concat()] {
        assert!(look(odd).is_none(), "{odd:?}");
    }
    // Behind the end there is nothing, which is a page.
    assert!(look(&[head, &u64::MAX.to_be_bytes()].concat()).unwrap().records.is_empty());
    open.close();
}
