//! Backups are small, go when they may, and show a moment between two answers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ingam_journal::Form;
use ingam_journal::folders::FileSystem;
use ingam_protocol::acme::Contact;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Id, Reason, Serial, Timestamp};
use ingam_store::backup::{
    BackupPlan, Identity, Made, Pruned, RestorePlan, Restored, SigningKey, make, prune, restore,
};
use ingam_store::{
    CertificateIndex, Config, Error, IssuedBetween, RevocationRequest, StatusState, Store, StoreProcess,
};
use tempfile::TempDir;

use crate::made::{DAY, account, insert_account, issue, issuer, key, record, run, start, wanted};

/// A CA's state folder with a store that is open, and a folder for its backups.
struct Place {
    folder: TempDir,
    store: Store,
    threads: StoreProcess,
    random: Arc<SeededRandom>,
    identity: Identity,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["state", "backups"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let random = Arc::new(SeededRandom::new(5));
        let state = folder.path().join("state");
        let (store, threads) = Store::open(&state, &Config::default(), random.clone()).unwrap();
        let identity = Identity::new(random.as_ref());
        Self { folder, store, threads, random, identity }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn backups(&self) -> PathBuf {
        self.folder.path().join("backups")
    }

    fn key(&self) -> SigningKey {
        SigningKey::open(&FileSystem, &self.state(), self.random.as_ref()).unwrap()
    }

    /// A set that shows so many days after the start.
    fn back_up(&self, days: u32) -> Result<Made, Error> {
        let _still = self.store.keep_still();
        let snapshot = run(self.store.snapshot()).unwrap();
        let plan = BackupPlan {
            disk: &FileSystem,
            state: &self.state(),
            parts: &["journal-keys".to_owned()],
            folder: &self.backups(),
            recipient: self.identity.recipient(),
            key: &self.key(),
            now: day(days),
            random: self.random.as_ref(),
        };
        make(&plan, &snapshot)
    }

    fn prune(&self, oldest: u32) -> Result<Pruned, Error> {
        prune(&FileSystem, &self.backups(), &self.key(), day(oldest), day(1000))
    }

    fn restore(&self, to: &Path, set: Option<u64>) -> Result<Restored, Error> {
        restore(&RestorePlan {
            disk: &FileSystem,
            from: &self.backups(),
            identity: &self.identity,
            signer: None,
            to,
            at: None,
            set,
            config: &Config::default(),
            now: day(1000),
            random: self.random.as_ref(),
        })
    }

    /// A set, restored and opened.
    fn opened(&self, name: &str, set: Option<u64>) -> (Store, StoreProcess) {
        let to = self.folder.path().join(name);
        self.restore(&to, set).unwrap();
        Store::open(&to, &Config::default(), self.random.clone()).unwrap()
    }

    fn names(&self, of: &str) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.backups().join(of)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn put_account(&self) -> Id {
        run(insert_account(&self.store, &self.random)).id
    }

    fn close(self) {
        drop(self.store);
        self.threads.close();
    }
}

fn day(days: u32) -> Timestamp {
    start().plus(DAY * days)
}

#[test]
fn a_closed_segment_that_an_earlier_set_has_is_not_read_again() {
    let place = Place::new();
    place.put_account();
    // A record of another period closes the segment before.
    let late = Record::new(RecordType::AccountUpdated, day(90), b"{}".to_vec(), place.random.as_ref());
    run(place.store.statuses().records_append(vec![late])).unwrap();
    let journal = place.threads.journal().clone();
    let packed = || {
        let closed: Vec<_> = journal.segments().into_iter().filter(|segment| segment.closed).collect();
        (!closed.is_empty() && closed.iter().all(|segment| segment.form == Form::Packed)).then_some(closed)
    };
    let closed = loop {
        match packed() {
            Some(closed) => break closed,
            None => std::thread::yield_now(),
        }
    };
    let first = place.back_up(91).unwrap();
    let objects = place.names("objects");
    let away = place.folder.path().join("away");
    std::fs::create_dir(&away).unwrap();
    for segment in &closed {
        let name = segment.file_name();
        std::fs::rename(place.state().join("journal").join(&name), away.join(&name)).unwrap();
    }
    place.put_account();
    let second = place.back_up(92).unwrap();
    assert_eq!(second.files, first.files);
    assert!(second.known > closed.len() as u64, "{second:?}");
    assert!(place.names("objects").is_superset(&objects));
    for segment in &closed {
        let name = segment.file_name();
        std::fs::rename(away.join(&name), place.state().join("journal").join(&name)).unwrap();
    }
    // Both have it.
    for set in [1, 2] {
        let (store, threads) = place.opened(&format!("set-{set}"), Some(set));
        threads.journal().verify().unwrap();
        assert_eq!(store.accounts(Id::from_bytes([0; 16]), 10).unwrap().len(), usize::try_from(set).unwrap());
        drop(store);
        threads.close();
    }
    place.close();
}

#[test]
fn old_sets_go_with_what_they_alone_have_and_younger_ones_stay_whole() {
    let place = Place::new();
    for days in [0, 10, 20, 30] {
        place.put_account();
        place.back_up(days).unwrap();
    }
    let (lists, objects) = (place.names("sets"), place.names("objects"));
    assert_eq!(place.prune(0).unwrap(), Pruned::default(), "none is older than the first");
    assert_eq!((place.names("sets"), place.names("objects")), (lists, objects.clone()));

    let pruned = place.prune(15).unwrap();
    assert_eq!(pruned.sets, 2);
    let left = place.names("objects");
    assert_eq!(pruned.objects, (objects.len() - left.len()) as u64);
    assert!(pruned.objects > 0 && left.is_subset(&objects));
    let expected = ["000003.json", "000004.json", "gone.json"].map(ToOwned::to_owned);
    assert_eq!(place.names("sets"), BTreeSet::from(expected));
    assert!(place.restore(&place.folder.path().join("first"), Some(1)).is_err());
    for (set, accounts) in [(3, 3), (4, 4)] {
        let (store, threads) = place.opened(&format!("set-{set}"), Some(set));
        assert_eq!(store.accounts(Id::from_bytes([0; 16]), 10).unwrap().len(), accounts);
        drop(store);
        threads.close();
    }

    // The newest stays, however old it is, and the next one goes on behind it.
    assert_eq!(place.prune(900).unwrap().sets, 1);
    place.put_account();
    let made = place.back_up(40).unwrap();
    assert_eq!(made.number, 5);
    let restored = place.restore(&place.folder.path().join("newest"), None).unwrap();
    assert_eq!((restored.number, restored.newer), (5, 0));
    assert_eq!(place.restore(&place.folder.path().join("older"), Some(4)).unwrap().newer, 1);
    place.close();
}

#[test]
fn pruning_that_was_broken_off_is_brought_to_its_end_and_what_it_says_cannot_be_changed() {
    let place = Place::new();
    for days in [0, 10, 20] {
        place.put_account();
        place.back_up(days).unwrap();
    }
    let keep = |name: &str| {
        let folder = place.backups().join(name);
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect::<Vec<_>>()
    };
    let before = [keep("sets"), keep("objects")].concat();
    place.prune(15).unwrap();
    let after = [keep("sets"), keep("objects")].concat();
    // As if the power had gone behind the first write: the files of the old sets are still there.
    before.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    let restored = place.restore(&place.folder.path().join("between"), None).unwrap();
    assert_eq!(restored.number, 3);
    assert!(place.restore(&place.folder.path().join("gone"), Some(1)).is_err(), "it does not count any more");
    assert_eq!(place.prune(15).unwrap().sets, 0);
    assert_eq!([keep("sets"), keep("objects")].concat().len(), after.len());

    // Without the CA's word for it, no set may be missing.
    let gone = place.backups().join("sets/gone.json");
    let word = std::fs::read(&gone).unwrap();
    std::fs::remove_file(&gone).unwrap();
    assert!(place.restore(&place.folder.path().join("wordless"), None).is_err());
    let mut changed = word.clone();
    changed[30] ^= 1;
    std::fs::write(&gone, changed).unwrap();
    assert!(place.restore(&place.folder.path().join("changed"), None).is_err());
    assert!(place.back_up(30).is_err());
    std::fs::write(&gone, word).unwrap();
    place.back_up(30).unwrap();

    // Nothing goes while what would stay is not whole.
    let newest = std::fs::read_dir(place.backups().join("objects")).unwrap().next().unwrap().unwrap();
    std::fs::write(newest.path(), b"short").unwrap();
    let sets = place.names("sets");
    assert!(place.prune(25).is_err());
    assert_eq!(place.names("sets"), sets);
    place.close();
}

/// What was answered, and so has to be in every backup that is begun later.
#[derive(Clone, Debug)]
enum Fact {
    Account(Id),
    Key(Id, [u8; 32]),
    Contacts(Id),
    Ended(Id),
    Issued(Id, Serial),
    Revoked(Serial),
}

/// One who does one thing after another until it is told to stop, and notes each once it was answered.
async fn busy(store: Store, random: SeededRandom, facts: Arc<Mutex<Vec<Fact>>>, stop: Arc<AtomicBool>) {
    let note = |fact| facts.lock().unwrap().push(fact);
    let told = |kind, about| record(kind, about, &random);
    while !stop.load(Ordering::Relaxed) {
        let subject = account(&random);
        let made = told(RecordType::AccountCreated, subject.id);
        store.account_insert(subject.clone(), &[], made, Vec::new()).await.unwrap().unwrap();
        note(Fact::Account(subject.id));
        for _ in 0..2 {
            let (order, serial) = issue(&store, wanted(subject.id, &random), &random).await;
            note(Fact::Issued(order, serial.clone()));
            let request = RevocationRequest {
                issuer: issuer(),
                serial: serial.clone(),
                reason: Reason::Superseded,
                at: start(),
                block_key: None,
                operator: None,
            };
            let records = vec![told(RecordType::CertificateRevoked, subject.id)];
            store.certificate_revoke(request, records).await.unwrap();
            note(Fact::Revoked(serial));
        }
        let new = key(&random);
        let changed = told(RecordType::AccountKeyChanged, subject.id);
        store.account_key_change(subject.id, subject.key.clone(), new.clone(), changed).await.unwrap();
        note(Fact::Key(subject.id, new.thumbprint()));
        let contacts = [Contact::parse("mailto:someone@example.org").unwrap()];
        let updated = told(RecordType::AccountUpdated, subject.id);
        store.account_update(subject.id, Some(&contacts), None, updated).await.unwrap();
        note(Fact::Contacts(subject.id));
        let ended = told(RecordType::AccountDeactivated, subject.id);
        store.account_deactivate(subject.id, start(), ended).await.unwrap();
        note(Fact::Ended(subject.id));
    }
}

/// Every fact is there, and nothing is there by half.
fn check(store: &Store, threads: &StoreProcess, facts: &[Fact]) {
    let account = |id: &Id| store.account_by_id(*id).unwrap().unwrap();
    let status = |serial: &Serial| store.statuses().status(&issuer(), serial).unwrap().unwrap().state;
    for fact in facts {
        match fact {
            Fact::Account(id) => assert_eq!(account(id).id, *id),
            Fact::Key(id, thumbprint) => assert_eq!(account(id).key.thumbprint(), *thumbprint),
            // Whose contacts were given may have ended since; then that is there whole.
            Fact::Contacts(id) => {
                let has = store.subject_by_id(*id).unwrap().is_some();
                assert_eq!(has, account(id).deactivated.is_none());
            }
            Fact::Ended(id) => assert!(account(id).deactivated.is_some()),
            Fact::Issued(order, serial) => {
                let order = store.order_by_id(*order).unwrap().unwrap();
                assert_eq!(order.certificate.as_ref(), Some(serial));
            }
            Fact::Revoked(serial) => assert!(status(serial).is_revoked()),
        }
    }
    for one in store.accounts(Id::from_bytes([0; 16]), usize::MAX).unwrap() {
        assert_eq!(store.account_by_key(&one.key).unwrap(), Some(one));
    }
    let all = CertificateIndex::Time;
    let found = store.certificates_find(&all, IssuedBetween::default(), None, usize::MAX).unwrap().found;
    let serials: BTreeSet<Serial> = found.into_iter().map(|(_, serial)| serial).collect();
    let orders = store.orders(Id::from_bytes([0; 16]), usize::MAX).unwrap();
    let issued: BTreeSet<Serial> = orders.iter().filter_map(|order| order.certificate.clone()).collect();
    assert_eq!(serials, issued);
    assert!(
        orders
            .iter()
            .all(|order| order.certificate.is_some() || order.failure.is_some() || order.claim.is_none())
    );
    assert_eq!(store.issuances_open(None, 10).unwrap().len(), 0);
    for serial in &serials {
        let row = store.certificate_by_serial(&issuer(), serial).unwrap().unwrap();
        assert!(orders.iter().any(|order| order.id == row.order));
        assert!(matches!(status(serial), StatusState::Good | StatusState::Revoked { .. }));
    }
    // What is a row is on record.
    threads.journal().verify().unwrap();
    let query = ingam_store::RecordQuery::default();
    let records = store.records_find(&query, 100_000).unwrap().records;
    let count = |kind| records.iter().filter(|record| record.kind == kind).count();
    assert_eq!(count(RecordType::CertificateIssued), serials.len());
    let accounts = store.accounts(Id::from_bytes([0; 16]), usize::MAX).unwrap();
    assert_eq!(count(RecordType::AccountCreated), accounts.len());
    let ended = accounts.iter().filter(|account| account.deactivated.is_some()).count();
    assert_eq!(count(RecordType::AccountDeactivated), ended);
}

#[test]
fn backups_under_load_have_everything_that_was_answered_and_nothing_by_half() {
    let place = Place::new();
    let (facts, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let workers: Vec<_> = (0..4_u64)
        .map(|number| {
            let work =
                busy(place.store.clone(), SeededRandom::new(100 + number), facts.clone(), stop.clone());
            std::thread::spawn(move || run(work))
        })
        .collect();
    let mut known = Vec::new();
    for number in 1..=6_u32 {
        // Each has more than the one before.
        let before = known.last().map_or(0, Vec::len);
        while facts.lock().unwrap().len() < before + 20 {
            std::thread::yield_now();
        }
        known.push(facts.lock().unwrap().clone());
        assert_eq!(place.back_up(number).unwrap().number, u64::from(number));
    }
    stop.store(true, Ordering::Relaxed);
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let mut given_up = 0;
    let copied = place.folder.path().join("state/contacts");
    for (number, facts) in (1..).zip(&known) {
        let to = place.folder.path().join(format!("set-{number}"));
        given_up += place.restore(&to, Some(number)).unwrap().given_up.orders;
        std::fs::create_dir(to.join("contacts")).unwrap();
        for entry in std::fs::read_dir(&copied).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join("contacts").join(entry.file_name())).unwrap();
        }
        let (store, threads) = Store::open(&to, &Config::default(), place.random.clone()).unwrap();
        check(&store, &threads, facts);
        drop(store);
        threads.close();
    }
    assert!(given_up > 0, "no set shows a moment in the middle of something");
    place.close();
}
