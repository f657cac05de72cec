//! The ledger on a disk in memory whose power is cut: whatever is lost, nothing is signed twice.

use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::time::{FixedClock, SeededRandom};

use super::frame::Damage;
use super::index::{DAYS_KEPT, FRAMES_TO_PREPARE};
use super::*;

const ISSUER: [u8; 32] = [7; 32];

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::new(Timestamp::from_unix_s(1_795_255_200)))
}

fn open(disk: &SimulatedDisk, clock: &Arc<FixedClock>) -> Result<Ledger, Error> {
    Ledger::open(Arc::new(disk.clone()), clock.clone())
}

fn serial(number: u64) -> Serial {
    Serial::from_be_bytes(&number.to_be_bytes()).unwrap()
}

fn subject<'a>(serial: &'a Serial, tbs: &'a [u8]) -> Subject<'a> {
    Subject { issuer: &ISSUER, kind: Kind::Certificate, serial, tbs }
}

fn refusal(outcome: Result<impl std::fmt::Debug, Error>) -> String {
    match outcome.unwrap_err() {
        Error::Refused(why) => why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn bytes_are_used_once() {
    let (disk, clock) = (SimulatedDisk::new(), clock());
    let ledger = open(&disk, &clock).unwrap();
    let one = serial(1);
    assert!(refusal(ledger.use_up(subject(&one, b"a")).await).contains("not prepared"));
    let id = ledger.prepare(subject(&one, b"a"), None).await.unwrap();
    assert_eq!(ledger.prepare(subject(&one, b"a"), None).await.unwrap(), id, "until it is used");
    assert!(refusal(ledger.use_up(subject(&one, b"b")).await).contains("not prepared"));
    // The bytes that were prepared last are the ones.
    assert_ne!(ledger.prepare(subject(&one, b"b"), None).await.unwrap(), id);
    assert!(refusal(ledger.use_up(subject(&one, b"a")).await).contains("not prepared"));
    assert_eq!(ledger.prepare(subject(&one, b"a"), None).await.unwrap(), id);
    assert!(!ledger.was_used(subject(&one, b"a")));
    ledger.use_up(subject(&one, b"a")).await.unwrap();
    assert!(ledger.was_used(subject(&one, b"a")) && !ledger.was_used(subject(&one, b"b")));
    for outcome in
        [ledger.use_up(subject(&one, b"a")).await, ledger.prepare(subject(&one, b"a"), None).await.map(drop)]
    {
        assert!(refusal(outcome).contains("never signed again"));
    }
}

#[tokio::test]
async fn precertificate_and_certificate_are_two() {
    let (disk, clock) = (SimulatedDisk::new(), clock());
    let ledger = open(&disk, &clock).unwrap();
    let one = serial(1);
    let precertificate = Subject { kind: Kind::Precertificate, ..subject(&one, b"poisoned") };
    let first = ledger.prepare(precertificate, None).await.unwrap();
    ledger.use_up(precertificate).await.unwrap();
    let second = ledger.prepare(subject(&one, b"with SCTs"), Some(precertificate)).await.unwrap();
    assert_ne!(first, second);
    ledger.use_up(subject(&one, b"with SCTs")).await.unwrap();
    let other = Subject { issuer: &[8; 32], ..subject(&one, b"of another issuer") };
    ledger.prepare(other, None).await.unwrap();
    ledger.use_up(other).await.unwrap();
}

#[tokio::test]
async fn a_certificate_beside_its_precertificate_is_the_one_that_belongs_to_it() {
    let (disk, clock) = (SimulatedDisk::new(), clock());
    let ledger = open(&disk, &clock).unwrap();
    let (one, two) = (serial(1), serial(2));
    let precertificate = Subject { kind: Kind::Precertificate, ..subject(&one, b"poisoned") };
    ledger.prepare(precertificate, None).await.unwrap();
    let early = ledger.prepare(subject(&one, b"with SCTs"), Some(precertificate)).await;
    assert!(refusal(early).contains("no signed precertificate"));
    ledger.use_up(precertificate).await.unwrap();
    let stranger = ledger.prepare(subject(&one, b"of other names"), None).await;
    assert!(refusal(stranger).contains("draw another serial number"));
    ledger.prepare(subject(&two, b"without logs"), None).await.unwrap();
    let late = Subject { kind: Kind::Precertificate, ..subject(&two, b"poisoned") };
    assert!(refusal(ledger.prepare(late, None).await).contains("draw another serial number"));
    ledger.prepare(subject(&one, b"with SCTs"), Some(precertificate)).await.unwrap();
}

#[tokio::test]
async fn what_was_used_stays_used_when_the_clock_goes_back_over_midnight() {
    let (disk, clock) = (SimulatedDisk::new(), clock());
    let ledger = open(&disk, &clock).unwrap();
    let (one, two) = (serial(1), serial(2));
    clock.advance(DAY);
    ledger.prepare(subject(&one, b"a"), None).await.unwrap();
    ledger.prepare(subject(&two, b"a"), None).await.unwrap();
    clock.set(clock.now().minus(DAY));
    ledger.use_up(subject(&one, b"a")).await.unwrap();
    assert!(refusal(ledger.use_up(subject(&one, b"a")).await).contains("never signed again"));
    // Other bytes take their place, though they are in an earlier file.
    ledger.prepare(subject(&two, b"b"), None).await.unwrap();
    ledger.use_up(subject(&two, b"b")).await.unwrap();
    drop(ledger);
    let again = open(&disk, &clock).unwrap();
    for (serial, tbs) in [(&one, b"a"), (&two, b"b")] {
        assert!(refusal(again.use_up(subject(serial, tbs)).await).contains("never signed again"));
    }
}

/// A clock that was years ahead for a moment takes none of the days away that count.
#[tokio::test]
async fn a_clock_that_was_ahead_makes_nothing_forgotten() {
    let (disk, clock) = (SimulatedDisk::new(), clock());
    let ledger = open(&disk, &clock).unwrap();
    let use_one = async |number| {
        let serial = serial(number);
        ledger.prepare(subject(&serial, b"a"), None).await.unwrap();
        ledger.use_up(subject(&serial, b"a")).await.unwrap();
    };
    for number in 1..=4 {
        use_one(number).await;
        clock.advance(DAY);
    }
    let real = clock.now();
    clock.advance(1000 * DAY);
    use_one(5).await;
    clock.set(real);
    use_one(6).await;
    drop(ledger);
    let again = open(&disk, &clock).unwrap();
    for number in 1..=6 {
        assert!(again.was_used(subject(&serial(number), b"a")), "{number}");
    }
}

#[tokio::test]
async fn a_full_day_lets_what_was_prepared_be_used() {
    let (disk, clock) = (SimulatedDisk::new(), clock());
    let ledger = open(&disk, &clock).unwrap();
    let (one, two) = (serial(1), serial(2));
    ledger.prepare(subject(&one, b"a"), None).await.unwrap();
    ledger.index().days.first_entry().unwrap().get_mut().frames = FRAMES_TO_PREPARE;
    let full = ledger.prepare(subject(&two, b"a"), None).await.unwrap_err();
    assert!(matches!(&full, Error::Unavailable(why) if why.contains("full")), "{full}");
    ledger.use_up(subject(&one, b"a")).await.unwrap();
    clock.advance(DAY);
    ledger.prepare(subject(&two, b"a"), None).await.unwrap();
}

#[tokio::test]
async fn of_many_at_once_one_may_sign() {
    let (disk, clock) = (SimulatedDisk::new(), clock());
    let ledger = Arc::new(open(&disk, &clock).unwrap());
    let one = serial(1);
    ledger.prepare(subject(&one, b"a"), None).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (ledger, serial) = (ledger.clone(), one.clone());
        tasks.spawn(async move { ledger.use_up(subject(&serial, b"a")).await.is_ok() });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|may| *may).count(), 1);
}

#[tokio::test]
async fn what_was_used_is_known_after_a_power_cut() {
    let random = SeededRandom::new(5);
    for seed in 0..60 {
        let (disk, clock) = (SimulatedDisk::new(), clock());
        let ledger = open(&disk, &clock).unwrap();
        disk.stop_after(seed);
        let mut used = Vec::new();
        for number in 1..=12 {
            let serial = serial(number);
            // Every third is never used: its frame need not outlive the cut.
            if ledger.prepare(subject(&serial, b"a"), None).await.is_ok()
                && number % 3 != 0
                && ledger.use_up(subject(&serial, b"a")).await.is_ok()
            {
                used.push(serial);
            }
        }
        drop(ledger);
        disk.power_cut(&random);
        let again = open(&disk, &clock).unwrap();
        for serial in &used {
            assert!(again.was_used(subject(serial, b"a")), "{seed}: {serial} could be signed twice");
        }
        // It goes on behind what was torn, and opens once more.
        let next = serial(100);
        again.prepare(subject(&next, b"a"), None).await.unwrap();
        again.use_up(subject(&next, b"a")).await.unwrap();
        drop(again);
        disk.power_cut(&random);
        let third = open(&disk, &clock).unwrap();
        assert!(third.was_used(subject(&next, b"a")), "{seed}");
        assert!(used.iter().all(|serial| third.was_used(subject(serial, b"a"))), "{seed}");
    }
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_signed() {
    let (disk, clock) = (SimulatedDisk::new(), clock());
    let ledger = open(&disk, &clock).unwrap();
    let (one, two) = (serial(1), serial(2));
    for serial in [&one, &two] {
        ledger.prepare(subject(serial, b"a"), None).await.unwrap();
    }
    ledger.use_up(subject(&one, b"a")).await.unwrap();
    disk.fail_after(0, io::ErrorKind::StorageFull);
    for _ in 0..2 {
        let refused = ledger.use_up(subject(&two, b"a")).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Unavailable(what) if what.contains("start the signer again")),
            "{refused}"
        );
    }
    drop(ledger);
    let again = open(&disk, &clock).unwrap();
    assert!(again.was_used(subject(&one, b"a")));
}

#[tokio::test]
async fn a_frame_that_was_durable_and_is_gone_stops_the_start() {
    let (disk, clock) = (SimulatedDisk::new(), clock());
    let ledger = open(&disk, &clock).unwrap();
    for number in 1..=3 {
        let serial = serial(number);
        ledger.prepare(subject(&serial, b"a"), None).await.unwrap();
        ledger.use_up(subject(&serial, b"a")).await.unwrap();
    }
    drop(ledger);
    let name = name_of(day_of(clock.now()));
    let whole = disk.contents(&name).unwrap();
    for damage in [vec![0; FRAME_BYTES], vec![0xff; 16]] {
        let mut bytes = whole.clone();
        bytes[FRAME_BYTES..FRAME_BYTES + damage.len()].copy_from_slice(&damage);
        disk.set_contents(&name, bytes);
        let error = open(&disk, &clock).err().unwrap().to_string();
        assert!(error.contains(&name) && error.contains("signer.md"), "{error}");
    }
    let mut newer = whole.clone();
    newer[2] = 2;
    let crc = crc32fast::hash(&newer[..124]).to_be_bytes();
    newer[124..128].copy_from_slice(&crc);
    disk.set_contents(&name, newer);
    assert!(open(&disk, &clock).err().unwrap().to_string().contains("newer"));
}

#[tokio::test]
async fn days_go_when_nothing_of_them_can_be_signed() {
    let (disk, clock) = (SimulatedDisk::new(), clock());
    let ledger = open(&disk, &clock).unwrap();
    let first = serial(1);
    ledger.prepare(subject(&first, b"a"), None).await.unwrap();
    ledger.use_up(subject(&first, b"a")).await.unwrap();
    for day in 1..=7 {
        clock.advance(DAY);
        let serial = serial(1 + day);
        ledger.prepare(subject(&serial, b"a"), None).await.unwrap();
        ledger.use_up(subject(&serial, b"a")).await.unwrap();
        assert_eq!(ledger.was_used(subject(&first, b"a")), day <= DAYS_KEPT, "{day}");
    }
    drop(ledger);
    assert_eq!(disk.list().unwrap().len(), 6);
    let again = open(&disk, &clock).unwrap();
    let (third, last) = (serial(3), serial(8));
    assert!(again.was_used(subject(&third, b"a")) && again.was_used(subject(&last, b"a")));
}

#[test]
fn what_is_no_frame_is_not_read_as_one() {
    let serial = serial(9);
    let mut frame = Frame::new(Act::Used, Timestamp::from_unix_s(1), subject(&serial, b"a"));
    let bytes = frame.encode(7);
    frame.synced = 7;
    assert_eq!(Frame::read(&bytes), Ok(Some(frame)));
    for place in 0..FRAME_BYTES {
        let mut bad = bytes;
        bad[place] ^= 1;
        assert_eq!(Frame::read(&bad), Err(Damage::Torn), "{place}");
    }
    assert_eq!(Frame::read(&bytes[..100]), Err(Damage::Torn));
    assert_eq!(Frame::read(&[0; FRAME_BYTES]), Ok(None));
}
