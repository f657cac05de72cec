//! Logs that are slow, broken or lying: what they give does not count, and others are asked.

use std::time::Duration;

use ingam_protocol::transparency::{Entry, issuer_key_hash};
use ingam_transparency::local_log::Mood;
use ingam_transparency::{Config, Error, Failure, Submission, Transparency};
use tokio::time::Instant;

use crate::ca::World;

/// Every way in which a log can fail but for being slow, and how that is told.
const BAD: [(Mood, &str); 12] = [
    (Mood::Fails, "answers 500"),
    (Mood::Refuses, "answers 403"),
    (Mood::Redirects, "answers 302"),
    (Mood::Closes, "cannot be reached"),
    (Mood::Garbage, "is not the JSON"),
    (Mood::Huge, "too long"),
    (Mood::WrongSignature, "the signature is not"),
    (Mood::WrongLog, "names another log"),
    (Mood::OtherCertificate, "the signature is not"),
    (Mood::Future, "from the future"),
    (Mood::Past, "older than the precertificate"),
    (Mood::NoIndex, "at which place"),
];

#[tokio::test(start_paused = true)]
async fn two_operators_promise_what_is_verified() {
    let world = World::new();
    for number in 0..8 {
        let submission = world.ca.submission(&format!("{number}.example"), 90);
        let scts = world.service.scts(&submission).await.unwrap();
        let givers = world.givers(&scts);
        assert!(givers.len() == 2 && givers.contains(&"b"), "{givers:?}");
        for sct in scts.scts() {
            let log = world.logs.logs().iter().find(|log| log.key().id() == sct.log).unwrap();
            let hash = issuer_key_hash(&world.ca.issuer).unwrap();
            let precertificate = world.ca.precertificate("another.example", 90);
            let other = Entry::submitted(&precertificate, hash).unwrap();
            assert!(log.key().verify(sct, submission.entry()).is_ok());
            assert!(log.key().verify(sct, &other).is_err());
        }
    }
    let scts = world.service.scts(&world.ca.submission("long.example", 181)).await.unwrap();
    assert_eq!(world.givers(&scts), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_fails_or_lies_is_replaced() {
    for (mood, words) in BAD {
        // c is the one whose SCTs have an index to leave out.
        let world = World::with(Config::default(), &[("c", "Aaron"), ("b", "Berta"), ("d", "Dora")]);
        world.set("c", mood);
        for number in 0..4 {
            let submission = world.ca.submission(&format!("{number}.example"), 90);
            let scts =
                world.service.scts(&submission).await.unwrap_or_else(|error| panic!("{mood:?}: {error}"));
            assert_eq!(world.givers(&scts), ["b", "d"], "{mood:?}");
        }
        world.set("d", Mood::Fails);
        let error = world.service.scts(&world.ca.submission("e.example", 90)).await.unwrap_err();
        assert_eq!(error.code(), "transparency_too_few_scts");
        assert!(error.to_string().contains(words), "{mood:?}: {error}");
        let Error::TooFew { given, failed, .. } = &error else { panic!("{error}") };
        assert_eq!((*given, failed.len()), (1, 2), "{mood:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_log_gets_company_and_is_not_waited_for() {
    let world = World::with(Config::default(), &[("a", "Aaron"), ("b", "Berta"), ("d", "Dora")]);
    world.delay("a", 4000);
    for number in 0..8 {
        let begun = Instant::now();
        let submission = world.ca.submission(&format!("{number}.example"), 90);
        let scts = world.service.scts(&submission).await.unwrap();
        assert_eq!(world.givers(&scts), ["b", "d"]);
        assert!(begun.elapsed() <= Duration::from_millis(600), "{:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_has_its_own_time_and_all_of_them_the_total() {
    let config = Config { total_timeout_ms: 12_000, ..Config::default() };
    let world = World::with(config, &[("a", "Aaron"), ("b", "Berta")]);
    world.delay("a", 60_000);
    let begun = Instant::now();
    let error = world.service.scts(&world.ca.submission("a.example", 90)).await.unwrap_err();
    let Error::TooFew { given: 1, failed, .. } = error else { panic!("{error}") };
    assert_eq!(failed, [("Test log a".to_owned(), Failure::Late)]);
    assert_eq!(begun.elapsed().as_secs(), 5);

    let many: Vec<(String, String)> = (0..20).map(|n| (format!("l{n}"), format!("Operator {n}"))).collect();
    let many: Vec<(&str, &str)> =
        many.iter().map(|(name, operator)| (name.as_str(), operator.as_str())).collect();
    let world = World::with(Config { total_timeout_ms: 6000, ..Config::default() }, &many);
    many.iter().for_each(|(name, _)| world.delay(name, 60_000));
    let begun = Instant::now();
    assert!(matches!(
        world.service.scts(&world.ca.submission("b.example", 90)).await,
        Err(Error::TooFew { given: 0, .. })
    ));
    assert_eq!(begun.elapsed().as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn with_all_logs_down_it_ends_at_once() {
    let world = World::new();
    for log in ["a", "b", "c"] {
        world.set(log, Mood::Closes);
    }
    let begun = Instant::now();
    let error = world.service.scts(&world.ca.submission("a.example", 90)).await.unwrap_err();
    assert!(matches!(error, Error::TooFew { given: 0, .. }), "{error}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn one_operator_is_not_enough() {
    let world = World::with(Config::default(), &[("a", "Aaron"), ("b", "Aaron"), ("c", "Aaron")]);
    let error = world.service.scts(&world.ca.submission("a.example", 90)).await.unwrap_err();
    assert!(matches!(error, Error::NoLogs { found: 3, .. }), "{error}");
    assert!(error.to_string().ends_with("refresh the list of logs"), "{error}");

    let world = World::new();
    world.set("b", Mood::Fails);
    for days in [90, 200] {
        let error = world.service.scts(&world.ca.submission("a.example", days)).await.unwrap_err();
        assert!(matches!(error, Error::TooFew { operators: 1, .. }), "{days}: {error}");
    }
    let total: u64 = world.logs.logs().iter().map(|log| log.size()).sum();
    assert!(total <= 3, "a second SCT of Aaron is of no use to 90 days: {total}");
}

#[tokio::test(start_paused = true)]
async fn logs_are_asked_by_chance_and_no_more_than_needed() {
    let logs = [("a", "Aaron"), ("b", "Berta"), ("c", "Aaron"), ("d", "Dora"), ("e", "Berta"), ("f", "Dora")];
    let world = World::with(Config::default(), &logs);
    for number in 0..60 {
        let submission = world.ca.submission(&format!("{number}.example"), 90);
        assert_eq!(world.service.scts(&submission).await.unwrap().scts().len(), 2);
    }
    let sizes: Vec<u64> = world.logs.logs().iter().map(|log| log.size()).collect();
    assert_eq!(sizes.iter().sum::<u64>(), 120, "{sizes:?}");
    assert!(sizes.iter().all(|size| (8..=34).contains(size)), "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn at_most_so_many_are_asked() {
    let many: Vec<(String, String)> = (0..10).map(|n| (format!("l{n}"), format!("Operator {n}"))).collect();
    let many: Vec<(&str, &str)> =
        many.iter().map(|(name, operator)| (name.as_str(), operator.as_str())).collect();
    let world = World::with(Config { logs_max: 4, ..Config::default() }, &many);
    many.iter().for_each(|(name, _)| world.set(name, Mood::Fails));
    let error = world.service.scts(&world.ca.submission("a.example", 90)).await.unwrap_err();
    let Error::TooFew { failed, .. } = error else { panic!("{error}") };
    assert_eq!(failed.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_failed_often_is_asked_last_for_a_while() {
    let world = World::with(Config::default(), &[("a", "Aaron"), ("b", "Berta"), ("d", "Dora")]);
    world.set("a", Mood::Fails);
    for number in 0..12 {
        world.service.scts(&world.ca.submission(&format!("{number}.example"), 90)).await.unwrap();
    }
    world.set("a", Mood::Good);
    for number in 20..32 {
        world.service.scts(&world.ca.submission(&format!("{number}.example"), 90)).await.unwrap();
    }
    assert_eq!(world.logs.log("a").unwrap().size(), 0, "it rests");
    // If it is needed, it is asked nevertheless.
    world.set("b", Mood::Fails);
    let scts = world.service.scts(&world.ca.submission("needed.example", 90)).await.unwrap();
    assert_eq!(world.givers(&scts), ["a", "d"]);
    world.set("b", Mood::Good);
    world.clock.advance(Duration::from_secs(16 * 60));
    let mut of_a = 0;
    for number in 40..52 {
        let scts = world.service.scts(&world.ca.submission(&format!("{number}.example"), 90)).await.unwrap();
        of_a += world.givers(&scts).iter().filter(|name| **name == "a").count();
    }
    assert!(of_a > 0, "it is back");
}

#[tokio::test(start_paused = true)]
async fn the_same_precertificate_may_come_again() {
    let world = World::with(Config::default(), &[("a", "Aaron"), ("b", "Berta")]);
    let submission = world.ca.submission("a.example", 90);
    let first = world.service.scts(&submission).await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    let second = world.service.scts(&submission).await.unwrap();
    assert_eq!(world.givers(&first), world.givers(&second));
    assert!(first.scts().iter().all(|sct| second.scts().contains(sct)), "logs repeat themselves");
    assert_eq!(world.logs.log("a").unwrap().size(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_precertificate_gets_none() {
    let world = World::new();
    let certificate = world.ca.certificate("a.example", 90, Vec::new());
    let submission = Submission::new(certificate.clone(), world.ca.chain()).unwrap();
    assert!(matches!(world.service.scts(&submission).await, Err(Error::Submission(_))));
    assert!(Submission::new(certificate.clone(), Vec::new()).is_err(), "no issuer");
    assert!(Submission::new(b"no certificate".to_vec(), world.ca.chain()).is_err());
    assert!(Submission::new(certificate, vec![world.ca.root.clone(); 9]).is_err(), "too long");
}
