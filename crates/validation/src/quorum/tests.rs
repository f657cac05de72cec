//! How many perspectives have to agree, and what is told and kept if they do not. Time stands still: what hangs is cut off
//! without anybody waiting.

use std::path::PathBuf;

use ingam_protocol::acme::ChallengeType;
use ingam_protocol::corroboration::Registry::{Afrinic, Apnic, Arin, Lacnic, RipeNcc};
use ingam_protocol::time::FixedClock;

use super::*;
use crate::evidence::Hop;
use crate::scripted::Scripted;
use crate::testing::{attempt, name, query};

const ALL: [Registry; 5] = [Apnic, RipeNcc, Arin, Lacnic, Afrinic];

/// What a perspective does when it is asked.
#[derive(Clone, Debug)]
enum Doing {
    Agrees,
    AgreesUntil(u64),
    Fails(ErrorType, &'static str),
    IsDown,
    Hangs,
    /// Agrees, with evidence of this perspective that has so many hops of a kilobyte.
    Shows(&'static str, usize),
    /// Agrees, with so many bytes of details.
    Tells(usize),
}

use Doing::{Agrees, AgreesUntil, Fails, Hangs, IsDown, Shows, Tells};

const DECEIVED: Doing = Fails(ErrorType::Unauthorized, "HTTP: the file is not what was asked for");

struct Actor(Doing);

impl Actor {
    async fn answer(&self) -> Result<Heard, Unreached> {
        let (mut evidence, mut details) = (None, None);
        let result = match self.0 {
            Agrees => Ok(None),
            Shows(perspective, hops) => {
                let host = name("www.example.org").into();
                let hop = Hop::new(Some("x".repeat(1_000)), &host, 80);
                let look = Evidence::new(perspective, host, ChallengeType::Http01, Timestamp::default());
                evidence = Some(Evidence { hops: vec![hop; hops], ..look });
                Ok(None)
            }
            Tells(bytes) => {
                details = Some(json!("x".repeat(bytes)));
                Ok(None)
            }
            AgreesUntil(second) => Ok(Some(Timestamp::from_unix_s(second))),
            Fails(error, detail) => Err(Failure::new(error, detail)),
            IsDown => return Err(Unreached::new("connection refused")),
            Hangs => std::future::pending().await,
        };
        Ok(Heard { result, evidence, details })
    }
}

#[async_trait]
impl Perspective for Actor {
    async fn validate(&self, _: &Attempt) -> Result<Heard, Unreached> {
        self.answer().await
    }

    async fn check_caa(&self, _: &CaaQuery) -> Result<Heard, Unreached> {
        self.answer().await
    }

    async fn knock(&self) -> Result<(), Unreached> {
        self.answer().await.map(drop)
    }
}

/// Perspectives that do these things, one in each region in turn, with a primary that says yes.
struct Stage {
    primary: Arc<Scripted>,
    clock: Arc<FixedClock>,
    all: MultiPerspective,
}

impl Stage {
    fn new(doing: &[Doing], registries: &[Registry]) -> Self {
        let primary = Arc::new(Scripted::default());
        let members = doing.iter().enumerate().map(|(index, doing)| Member {
            name: format!("place-{index}"),
            registry: Some(registries[index % registries.len()]),
            perspective: Arc::new(Actor(doing.clone())),
        });
        let clock = Arc::new(FixedClock::new(Timestamp::from_unix_s(1_000)));
        let all = MultiPerspective::of(&Config::default(), primary.clone(), members.collect(), clock.clone());
        Self { primary, clock, all }
    }

    async fn outcome(&self) -> Outcome {
        self.all.validate(attempt("www.example.org", ChallengeType::Http01)).await
    }

    /// Whether it is validated; CAA has to come to the same.
    async fn stands(&self) -> bool {
        let stands = self.outcome().await.result.is_ok();
        let caa = self.all.check_caa(query("www.example.org", false)).await;
        assert_eq!(caa.result.is_ok(), stands);
        stands
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_may_fail_as_the_requirements_let() {
    for (remotes, allowed) in [(1, 0), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2), (9, 2), (32, 2)] {
        for failing in 0..=remotes.min(4) {
            for way in [DECEIVED, IsDown, Hangs] {
                let doing: Vec<Doing> =
                    (0..remotes).map(|index| if index < failing { way.clone() } else { Agrees }).collect();
                let registries_met = remotes - failing >= 2;
                let stands = Stage::new(&doing, &ALL).stands().await;
                let expected = failing <= allowed && registries_met;
                assert_eq!(stands, expected, "{failing} of {remotes}: {way:?}");
            }
        }
    }
}

#[tokio::test]
async fn without_remotes_the_primary_counts_alone() {
    let outcome = Stage::new(&[], &ALL).outcome().await;
    assert_eq!(outcome.corroboration.unwrap().line, "0/0");
    outcome.result.unwrap();
}

#[tokio::test]
async fn whoever_deceives_the_primary_alone_gains_nothing() {
    let stage = Stage::new(&[DECEIVED, DECEIVED, DECEIVED, DECEIVED, DECEIVED], &ALL);
    let failure = stage.outcome().await.result.unwrap_err();
    assert_eq!(failure.error, ErrorType::Unauthorized);
    assert!(failure.detail.contains("(0/5 agree)"), "{failure}");
}

#[tokio::test]
async fn the_primary_always_has_to_agree() {
    let stage = Stage::new(&[Agrees, Agrees, Agrees, Agrees, Agrees], &ALL);
    let own = Failure::new(ErrorType::Connection, "its own words");
    stage.primary.fail(&name("www.example.org"), Some(own.clone()));
    let outcome = stage.outcome().await;
    assert_eq!(outcome.result.unwrap_err(), own);
    let seen = outcome.corroboration.unwrap();
    assert_eq!(
        (seen.line.as_str(), seen.answers.len()),
        ("5/5", 5),
        "what the others saw is kept all the same"
    );
}

#[tokio::test]
async fn those_that_agree_lie_in_two_regions() {
    let five = [Agrees, Agrees, Agrees, Agrees, Agrees];
    let outcome = Stage::new(&five, &[Apnic]).outcome().await;
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.error, ErrorType::ServerInternal);
    assert!(failure.detail.contains("regions of 1 of the registries, where 2 are needed"), "{failure}");
    // The one in another region is the one that was deceived: enough agree, and all in one region.
    let stage = Stage::new(&[Agrees, Agrees, Agrees, Agrees, DECEIVED], &[Apnic, Apnic, Apnic, Apnic, Arin]);
    let outcome = stage.outcome().await;
    assert_eq!(outcome.corroboration.unwrap().quorum, Quorum { remotes: 5, agreed: 4, registries: 1 });
    assert_eq!(outcome.result.unwrap_err().error, ErrorType::Unauthorized);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_is_cut_off_in_time_and_told() {
    let stage = Stage::new(&[Agrees, Hangs, Agrees, Agrees, Agrees], &ALL);
    let begun = Instant::now();
    let outcome = stage.outcome().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(25));
    assert_eq!(outcome.result.unwrap().quorum().unwrap().to_string(), "4/5");
    let answer = &outcome.corroboration.unwrap().answers[1];
    let failure = answer.failure.as_ref().unwrap();
    assert_eq!(failure.detail, "this perspective could not be asked: no answer within 25 seconds");
    assert_eq!(answer.details, Some(json!({ "unreached": "no answer within 25 seconds" })));
    // It is never waited for longer than the primary may take.
    let config = Config { total_timeout_ms: 3_000, ..Config::default() };
    assert_eq!(config.remote_timeout(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn what_is_silent_for_long_is_waited_for_less() {
    let stage = Stage::new(&[Agrees, Hangs, Agrees, Agrees, Agrees], &ALL);
    let took = async || {
        let begun = Instant::now();
        stage.outcome().await.result.unwrap();
        begun.elapsed()
    };
    // A site that is slow on purpose has every question run out of time, and makes nobody silent.
    for _ in 0..3 {
        assert_eq!(took().await, Duration::from_secs(25));
        stage.clock.advance(SILENT_FOR);
    }
    assert!(stage.all.standings().iter().all(|standing| standing.trouble.is_none()));
    stage.all.knock().await;
    assert_eq!(took().await, Duration::from_secs(25));
    stage.clock.advance(SILENT_FOR - Duration::from_secs(1));
    assert_eq!(took().await, Duration::from_secs(25));
    stage.clock.advance(Duration::from_secs(1));
    assert_eq!(took().await, Duration::from_secs(5));
    // Whatever it answers, it is there again.
    stage.all.remotes[1].1.note(stage.clock.now(), None);
    assert_eq!(took().await, Duration::from_secs(25));
}

#[tokio::test]
async fn every_answer_is_kept_by_itself() {
    let stage = Stage::new(&[Agrees, DECEIVED, IsDown, Agrees, Agrees], &ALL);
    let outcome = stage.outcome().await;
    let seen = outcome.corroboration.unwrap();
    let kept: Vec<(&str, Option<Registry>, bool)> = seen
        .answers
        .iter()
        .map(|answer| (answer.perspective.as_str(), answer.registry, answer.agrees()))
        .collect();
    let expected = [
        ("place-0", Some(Apnic), true),
        ("place-1", Some(RipeNcc), false),
        ("place-2", Some(Arin), false),
        ("place-3", Some(Lacnic), true),
        ("place-4", Some(Afrinic), true),
    ];
    assert_eq!(kept, expected);
    assert_eq!(seen.line, "3/5");
    assert!(seen.answers.iter().all(|answer| answer.asked == Timestamp::from_unix_s(1_000)));
    let text = serde_json::to_string(&seen).unwrap();
    assert_eq!(serde_json::from_str::<Corroboration>(&text).unwrap(), seen);
}

#[tokio::test]
async fn one_perspective_under_two_names_counts_once() {
    let stage = Stage::new(&[Shows("tokyo-1", 1), Shows("seoul-2", 1), Shows("tokyo-1", 1)], &ALL);
    let outcome = stage.outcome().await;
    let seen = outcome.corroboration.unwrap();
    let agree: Vec<bool> = seen.answers.iter().map(RemoteAnswer::agrees).collect();
    assert_eq!((seen.line.as_str(), agree), ("2/3", vec![true, true, false]));
    let failure = seen.answers[2].failure.as_ref().unwrap();
    assert_eq!(
        failure.detail,
        "its evidence is that of \"tokyo-1\", which has answered already and counts once"
    );
    assert!(seen.answers[2].evidence.is_some(), "kept all the same");
    assert!(!Stage::new(&[Shows("a", 1), Shows("a", 1), Shows("a", 1)], &ALL).stands().await);
    assert!(Stage::new(&[Shows("a", 1), Shows("b", 1), Shows("c", 1)], &ALL).stands().await);
    // What gives no name of its own is known by the configuration alone.
    assert!(Stage::new(&[Agrees, Agrees, Tells(1)], &ALL).stands().await);
}

#[tokio::test]
async fn all_that_answers_keep_together_has_a_limit() {
    let few = Stage::new(&[Shows("a", 60), Tells(16_000)], &ALL).outcome().await.corroboration.unwrap();
    assert_eq!(few.answers[0].evidence.as_ref().unwrap().hops.len(), 60);
    assert!(few.answers[1].details.as_ref().unwrap().is_string());
    let names: [&str; 31] = std::array::from_fn(|index| &*format!("place-{index}").leak());
    let mut doing: Vec<Doing> = names.into_iter().map(|name| Shows(name, 60)).collect();
    doing.push(Tells(32 * 1024));
    let many = Stage::new(&doing, &ALL).outcome().await.corroboration.unwrap();
    assert_eq!(many.line, "32/32", "they agree all the same");
    for answer in &many.answers {
        let left_out = answer.details.as_ref().unwrap()["left_out_bytes"].as_u64().unwrap();
        assert!(answer.evidence.is_none() && left_out > 32 * 1024, "{left_out}");
    }
    doing[0] = Shows("small", 20);
    let many = Stage::new(&doing, &ALL).outcome().await.corroboration.unwrap();
    assert!(many.answers[0].evidence.is_some());
    assert!(json!(many).to_string().len() < 1024 * 1024);
}

#[tokio::test]
async fn owners_are_told_what_to_do() {
    let other = Fails(ErrorType::Dns, "DNS: NXDOMAIN looking up TXT");
    let detail = async |doing: &[Doing]| Stage::new(doing, &ALL).outcome().await.result.unwrap_err();
    let failure = detail(&[other.clone(), DECEIVED, Agrees, DECEIVED, Agrees]).await;
    assert_eq!(failure.error, ErrorType::Unauthorized, "what most of them say");
    assert_eq!(
        failure.detail,
        "From 3 of 5 places the answer was another: from place-0: DNS: NXDOMAIN looking up TXT; from place-1: HTTP: the file \
         is not what was asked for; from place-3: HTTP: the file is not what was asked for (2/5 agree); check that your DNS \
         and firewall give the whole Internet the same answer"
    );
    let failure = detail(&[IsDown, Agrees, IsDown, Agrees, Agrees]).await;
    assert_eq!(failure.error, ErrorType::ServerInternal);
    assert!(
        failure.detail.starts_with("From 2 of 5 places there was no answer: from place-0: "),
        "{failure}"
    );
    assert!(failure.detail.ends_with("not about your site; try again later"), "{failure}");
    let long = Fails(ErrorType::Dns, Box::leak("x".repeat(500).into_boxed_str()));
    let failure = detail(&[long.clone(), long.clone(), long.clone(), long.clone(), long]).await;
    assert!(failure.detail.contains("; and from 2 more (0/5"), "{failure}");
    assert!(failure.detail.len() < 700, "{}", failure.detail.len());
}

#[tokio::test]
async fn the_earliest_end_counts() {
    let stage = Stage::new(&[Agrees, AgreesUntil(5_000), AgreesUntil(4_000)], &ALL);
    assert_eq!(stage.outcome().await.result.unwrap().until(), Some(Timestamp::from_unix_s(4_000)));
}

#[tokio::test]
async fn who_does_not_answer_is_known_before_the_first_question() {
    let stage = Stage::new(&[Agrees, IsDown], &ALL);
    stage.all.knock().await;
    let [good, down] = stage.all.standings().try_into().unwrap();
    assert_eq!((good.answered, good.trouble), (Some(Timestamp::from_unix_s(1_000)), None));
    assert_eq!(down.answered, None);
    assert_eq!(down.trouble.unwrap().1, "connection refused");
}

#[tokio::test]
async fn why_a_perspective_cannot_be_asked_is_on_record_and_told_to_no_subscriber() {
    let stage = Stage::new(&[IsDown, IsDown, Agrees], &ALL);
    let outcome = stage.outcome().await;
    let seen = outcome.corroboration.unwrap();
    assert_eq!(seen.answers[0].failure.as_ref().unwrap().detail, "this perspective could not be asked");
    assert_eq!(seen.answers[0].details, Some(json!({ "unreached": "connection refused" })));
    let detail = outcome.result.unwrap_err().detail;
    assert!(!detail.contains("refused"), "{detail}");
    assert_eq!(stage.all.standings()[0].trouble.as_ref().unwrap().1, "connection refused");
    let long = Unreached::new(&"\u{1b}x".repeat(1_000)).to_string();
    assert!(long.len() == 512 && long.starts_with("?x"), "{long}");
}

#[tokio::test]
async fn no_queue_grows_without_bound() {
    let mut stage = Stage::new(&[Agrees, Agrees], &ALL);
    stage.all.places = Semaphore::new(0);
    let failure = stage.outcome().await.result.unwrap_err();
    assert_eq!(failure.error, ErrorType::ServerInternal);
    assert!(!stage.stands().await);
    assert!(stage.primary.attempts().is_empty());
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let mut config = Config::default();
    config.remotes = vec![crate::config::RemoteConfig {
        name: "seoul-2".into(),
        url: "https://seoul-2.example:8443".into(),
        ..Default::default()
    }];
    let refused = |config: &Config| {
        let clock = Arc::new(FixedClock::new(Timestamp::default()));
        let built = MultiPerspective::new(config, Arc::new(Scripted::default()), clock);
        built.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refused(&config), "corroboration.server_ca is missing: name a PEM file");
    config.corroboration.server_ca = Some(PathBuf::from("/nowhere/ca.pem"));
    assert!(refused(&config).starts_with("corroboration.server_ca is /nowhere/ca.pem, which cannot be read"));
}
