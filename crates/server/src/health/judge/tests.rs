//! Each thing that a role can lack, with the moment from which on it is lacking.

use std::collections::{BTreeMap, BTreeSet};

use ingam_protocol::crl::ForeignList;
use ingam_protocol::health::{CertificateReport, ClockReport, CrlReport};
use ingam_protocol::profile::IssuerName;
use ingam_responder::{CrlCondition, SigningCondition, request_log};
use ingam_store::Outbox;

use ingam_protocol::transparency::policy::Needed;
use ingam_transparency::{Failure, Trouble};

use super::*;
use crate::health::facts::{Disk, ProfileFacts};
use crate::monitor::{Condition, Kind, Overdue};

const GIB: u64 = 1 << 30;
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

fn name(text: &str) -> IssuerName {
    IssuerName::try_from(text.to_owned()).unwrap()
}

/// A log of requests that lacks nothing.
fn quiet_log() -> request_log::Condition {
    request_log::Condition {
        mode: request_log::Mode::Full,
        keep: 7 * DAY,
        queue: (0, 1000),
        segments: Vec::new(),
        holds: 0,
        bytes: (0, 1000),
        requests: (10, 0),
        dropped_at: None,
        trouble: None,
        is_overdue: false,
    }
}

/// A CA that lacks nothing: one issuer with an OCSP certificate, one profile.
fn well() -> Facts {
    let crl = CrlReport {
        number: 1,
        this_update: now().minus(HOUR),
        next_update: now().minus(HOUR).plus(7 * DAY),
        entries: 0,
    };
    Facts {
        now: now(),
        clock: ClockReport::default(),
        renewal_trouble: None,
        signing_trouble: Vec::new(),
        certificates: vec![CertificateReport {
            kind: "https".to_owned(),
            name: "acme".to_owned(),
            not_before: now().minus(DAY),
            not_after: now().plus(89 * DAY),
        }],
        issuers: vec![IssuerReport {
            name: name("rsa"),
            key: "rsa-2048".to_owned(),
            not_before: now().minus(100 * DAY),
            not_after: now().plus(1000 * DAY),
            crl: Some(crl.clone()),
            ocsp_certificate_not_after: Some(now().plus(20 * DAY)),
            oldest_answer: Some(now().minus(2 * DAY)),
        }],
        profiles: vec![ProfileFacts {
            name: "classic".to_owned(),
            issuers: vec![name("rsa")],
            lasts: 90 * DAY,
        }],
        delegates: vec![(name("rsa"), Some(now().plus(20 * DAY)))],
        delegates_apart: vec![("tokyo".to_owned(), name("rsa"), Some(now().plus(20 * DAY)))],
        delegates_blocked: Vec::new(),
        crls: vec![CrlCondition { issuer: name("rsa"), current: Some(crl), failed: false }],
        offline_crls: vec![(
            "root".to_owned(),
            ForeignList { this_update: now().minus(100 * DAY), next_update: now().plus(265 * DAY) },
        )],
        signing: SigningCondition { failures: 0, last_failure: Timestamp::default() },
        monitor: Some(Condition { last_round: now().minus(SECOND), overdue: Overdue::default() }),
        answer_age_max: 7 * DAY / 2,
        queues: [
            ("checks", 10),
            ("validations", 10),
            ("ocsp_signatures", 10),
            ("signing_events", 10),
            ("transactions", 10),
        ]
        .map(|(name, max)| QueueReport::new(name, 7, max))
        .to_vec(),
        perspectives: five(None, 0),
        transparency: None,
        store: ingam_store::Condition {
            transactions: 0,
            transactions_max: 10,
            commit_failure: None,
            archive_failure: None,
            short_of_room: false,
            closed: false,
        },
        outbox: Seen::This(Outbox { records: 3, oldest: Some(now().minus(SECOND)), newest: None }),
        journal_bytes: Seen::This(1000),
        disk: Seen::This(Disk { free_bytes: 20 * GIB, bytes: 100 * GIB, store_bytes: 1000 }),
        request_log: Seen::This(quiet_log()),
        retention: ingam_retention::Condition::default(),
    }
}

/// All that is lacking, and whether it is failing.
fn lacking(facts: &Facts) -> BTreeSet<(Role, Code, Level)> {
    let roles = judge(facts, &Config::default());
    assert_eq!(roles.iter().map(|report| report.role).collect::<Vec<_>>(), Role::ALL);
    let lacks = roles.iter().flat_map(|report| report.lacks.iter().map(move |lack| (report.role, lack)));
    lacks
        .map(|(role, lack)| {
            assert!(Code::PLACES.contains(&(lack.code, role)), "{:?} has another role", lack.code);
            for sentence in [&lack.detail, &lack.fix] {
                assert!(!sentence.is_empty() && !sentence.ends_with('.'), "{sentence}");
            }
            (role, lack.code, lack.level)
        })
        .collect()
}

/// Asserts that the facts, once changed, lack exactly this.
#[track_caller]
fn lacks(code: Code, level: Option<Level>, change: impl FnOnce(&mut Facts)) {
    let mut facts = well();
    change(&mut facts);
    let role = Code::PLACES.into_iter().find(|(place, _)| *place == code).unwrap().1;
    let expected: BTreeSet<_> = level.map(|level| (role, code, level)).into_iter().collect();
    assert_eq!(lacking(&facts), expected, "{code:?}");
}

const WARNING: Option<Level> = Some(Level::Warning);
const FAILING: Option<Level> = Some(Level::Failing);

#[test]
fn a_well_ca_lacks_nothing() {
    assert_eq!(lacking(&well()), BTreeSet::new());
    assert!(judge(&well(), &Config::default()).iter().all(|role| role.ready));
}

#[test]
fn certificates_end() {
    let https = |end: Timestamp| move |facts: &mut Facts| facts.certificates[0].not_after = end;
    // A third of 90 days is sooner than no days at all, so 30 days it is.
    lacks(Code::HttpsRenewal, None, |_| {});
    lacks(Code::HttpsRenewal, WARNING, |facts| facts.renewal_trouble = Some("it is no PEM".to_owned()));
    lacks(Code::HttpsCertificate, None, https(now().plus(31 * DAY)));
    lacks(Code::HttpsCertificate, WARNING, https(now().plus(SECOND)));
    lacks(Code::HttpsCertificate, WARNING, https(now()));
    lacks(Code::HttpsCertificate, FAILING, https(now().minus(SECOND)));
    let delegate = |end: Option<Timestamp>| move |facts: &mut Facts| facts.delegates[0].1 = end;
    lacks(Code::OcspCertificate, None, delegate(Some(now().plus(10 * DAY).minus(HOUR))));
    lacks(Code::OcspCertificate, WARNING, delegate(Some(now().plus(9 * DAY))));
    lacks(Code::OcspCertificate, FAILING, delegate(Some(now().minus(SECOND))));
    lacks(Code::OcspCertificate, FAILING, delegate(None));
    // The CA itself answers without those, and so do they, from what was signed in advance.
    let apart = |end: Option<Timestamp>| move |facts: &mut Facts| facts.delegates_apart[0].2 = end;
    lacks(Code::OcspCertificate, None, apart(Some(now().plus(10 * DAY).minus(HOUR))));
    for end in [Some(now().plus(9 * DAY)), Some(now().minus(SECOND)), None] {
        lacks(Code::OcspCertificate, WARNING, apart(end));
    }
    lacks(Code::OcspCertificate, WARNING, |facts| facts.delegates_blocked = vec!["tokyo".to_owned()]);
}

#[test]
fn short_certificates_are_warned_of_at_a_third() {
    lacks(Code::HttpsCertificate, None, |facts| {
        facts.certificates[0].not_before = now().minus(4 * DAY);
        facts.certificates[0].not_after = now().plus(3 * DAY);
    });
    lacks(Code::HttpsCertificate, WARNING, |facts| {
        facts.certificates[0].not_before = now().minus(5 * DAY);
        facts.certificates[0].not_after = now().plus(2 * DAY);
    });
}

#[test]
fn issuers_end_for_their_profiles_first() {
    lacks(Code::NoIssuer, FAILING, |facts| facts.issuers.clear());
    lacks(Code::Signing, FAILING, |facts| {
        facts.signing_trouble = vec![(name("rsa"), "the signer is not there".to_owned())];
    });
    let end = |end: Timestamp| move |facts: &mut Facts| facts.issuers[0].not_after = end;
    lacks(Code::ProfileValidity, None, end(now().plus(121 * DAY)));
    lacks(Code::ProfileValidity, WARNING, end(now().plus(100 * DAY)));
    lacks(Code::ProfileValidity, FAILING, end(now().plus(89 * DAY)));
    let unused = |end: Timestamp| {
        move |facts: &mut Facts| {
            facts.profiles.clear();
            facts.issuers[0].not_after = end;
        }
    };
    lacks(Code::IssuerCertificate, WARNING, unused(now().plus(29 * DAY)));
    // Nobody misses it, nor its CRL, nor its OCSP certificate.
    lacks(Code::IssuerCertificate, WARNING, |facts| {
        unused(now().minus(SECOND))(facts);
        facts.crls[0].current = None;
        facts.delegates[0].1 = None;
    });
    let mut facts = well();
    facts.issuers[0].not_after = now().minus(SECOND);
    let expected = [Code::IssuerCertificate, Code::ProfileValidity];
    assert_eq!(lacking(&facts), expected.map(|code| (Role::Signer, code, Level::Failing)).into());
}

#[test]
fn an_issuer_that_is_too_old_matters_less_while_another_signs() {
    let two = |first: Duration, second: Duration| {
        move |facts: &mut Facts| {
            let other = IssuerReport {
                name: name("other"),
                not_after: now().plus(second),
                ..facts.issuers[0].clone()
            };
            facts.issuers[0].not_after = now().plus(first);
            facts.issuers.push(other);
            facts.profiles[0].issuers.push(name("other"));
        }
    };
    lacks(Code::ProfileValidity, None, two(121 * DAY, 400 * DAY));
    lacks(Code::ProfileValidity, WARNING, two(100 * DAY, 400 * DAY));
    lacks(Code::ProfileValidity, WARNING, two(89 * DAY, 400 * DAY));
    lacks(Code::ProfileValidity, WARNING, two(400 * DAY, 89 * DAY));
    let mut facts = well();
    two(400 * DAY, 5 * DAY)(&mut facts);
    let both = [Code::IssuerCertificate, Code::ProfileValidity];
    assert_eq!(lacking(&facts), both.map(|code| (Role::Signer, code, Level::Warning)).into());
    // The notice is the operator's to set.
    let mut facts = well();
    two(400 * DAY, 180 * DAY)(&mut facts);
    let is_told = |config: &Config| {
        judge(&facts, config)
            .iter()
            .any(|role| role.lacks.iter().any(|lack| lack.code == Code::ProfileValidity))
    };
    assert!(!is_told(&Config::default()));
    assert!(is_told(&Config { certificate_warning_days: 91, ..Config::default() }));
}

#[test]
fn the_clock_is_believed_up_to_a_point() {
    let jump = |ms: i64| move |facts: &mut Facts| facts.clock.jump_ms = ms;
    lacks(Code::ClockJump, None, jump(-5_000));
    lacks(Code::ClockJump, WARNING, jump(5_001));
    lacks(Code::ClockJump, FAILING, jump(-300_001));
    lacks(Code::ClockJump, FAILING, jump(i64::MIN));
    let behind = |ms: u64| move |facts: &mut Facts| facts.clock.behind_ms = ms;
    lacks(Code::ClockBehind, None, behind(5_000));
    lacks(Code::ClockBehind, WARNING, behind(5_001));
    lacks(Code::ClockBehind, FAILING, behind(300_001));
    let mut facts = well();
    behind(300_001)(&mut facts);
    let config = Config { clock_behind_fails: false, ..Config::default() };
    assert!(judge(&facts, &config).iter().all(|role| role.ready), "the operator knows");
}

#[test]
fn crls_age_and_go_missing() {
    fn aged(facts: &mut Facts, age: Duration) {
        let crl = facts.crls[0].current.as_mut().unwrap();
        (crl.this_update, crl.next_update) = (now().minus(age), now().minus(age).plus(7 * DAY));
    }
    lacks(Code::Crl, None, |facts| aged(facts, 7 * DAY / 2 + SECOND));
    lacks(Code::Crl, WARNING, |facts| aged(facts, 7 * DAY / 2 + HOUR));
    lacks(Code::Crl, WARNING, |facts| aged(facts, 7 * DAY));
    lacks(Code::Crl, FAILING, |facts| aged(facts, 7 * DAY + SECOND));
    lacks(Code::Crl, FAILING, |facts| facts.crls[0].current = None);
    lacks(Code::Crl, WARNING, |facts| facts.crls[0].failed = true);
    let ends_in =
        |left: Duration| move |facts: &mut Facts| facts.offline_crls[0].1.next_update = facts.now.plus(left);
    lacks(Code::Crl, None, ends_in(30 * DAY));
    lacks(Code::Crl, WARNING, ends_in(30 * DAY - SECOND));
    lacks(Code::Crl, WARNING, |facts| facts.offline_crls[0].1.next_update = facts.now.minus(SECOND));
}

#[test]
fn orders_that_wait_for_logs_are_told_and_stop_nothing() {
    let needed = Needed { scts: 2, operators: 2 };
    let failed = vec![("Log b".to_owned(), Failure::Late)];
    let why = ingam_transparency::Error::TooFew { needed, given: 2, operators: 1, failed };
    let since = |ago: Duration| {
        let trouble = Trouble { failures: 3, last: now().minus(ago), why: why.clone() };
        move |facts: &mut Facts| facts.transparency = Some(trouble)
    };
    lacks(Code::Transparency, WARNING, since(299 * SECOND));
    lacks(Code::Transparency, None, since(300 * SECOND));
    let mut facts = well();
    since(SECOND)(&mut facts);
    let told = &judge(&facts, &Config::default())[1].lacks[0].detail;
    assert_eq!(
        told,
        "transparency logs gave no SCTs 3 times in a row, the last 1 s ago: 2 transparency logs of 1 operators gave an SCT, \
         and 2 of 2 operators are needed; Log b: does not answer in time"
    );
}

#[test]
fn ocsp_fails_in_a_row_and_answers_age() {
    let failed = |failures, ago: Duration| {
        move |facts: &mut Facts| {
            facts.signing = SigningCondition { failures, last_failure: now().minus(ago) };
        }
    };
    lacks(Code::OcspSigning, WARNING, failed(1, SECOND));
    lacks(Code::OcspSigning, FAILING, failed(10, SECOND));
    lacks(Code::OcspSigning, WARNING, failed(10, 60 * SECOND));
    lacks(Code::OcspSigning, None, failed(10, 300 * SECOND));
    let oldest =
        |age: Duration| move |facts: &mut Facts| facts.issuers[0].oldest_answer = Some(now().minus(age));
    lacks(Code::OcspAnswerAge, None, oldest(7 * DAY / 2 + 60 * SECOND));
    lacks(Code::OcspAnswerAge, FAILING, oldest(7 * DAY / 2 + 61 * SECOND));
    lacks(Code::OcspAnswerAge, None, |facts| facts.issuers[0].oldest_answer = None);
}

#[test]
fn what_disagrees_with_the_record_fails_and_silence_is_warned_of() {
    let compared = |ago: Duration| {
        move |facts: &mut Facts| facts.monitor.as_mut().unwrap().last_round = now().minus(ago)
    };
    lacks(Code::StatusDisagreement, None, compared(2 * HOUR));
    lacks(Code::StatusDisagreement, WARNING, compared(2 * HOUR + SECOND));
    lacks(Code::StatusDisagreement, None, |facts| facts.monitor = None);
    let found = |facts: &mut Facts| {
        let kinds = BTreeMap::from([(Kind::OcspStatus, 2), (Kind::CrlEntry, 1)]);
        let overdue = Overdue { kinds, oldest: Some(now().minus(90 * SECOND)) };
        facts.monitor.as_mut().unwrap().overdue = overdue;
    };
    lacks(Code::StatusDisagreement, FAILING, found);
    let mut facts = well();
    found(&mut facts);
    let detail = &disagreement(&facts).unwrap().detail;
    assert!(detail.ends_with("(ocsp_status 2, crl_entry 1), the oldest for 90 s"), "{detail}");
}

#[test]
fn queues_are_warned_of_when_crowded() {
    let codes = [
        Code::ChecksQueue,
        Code::ValidationsQueue,
        Code::OcspQueue,
        Code::SigningEventsQueue,
        Code::TransactionsQueue,
    ];
    for (index, code) in codes.into_iter().enumerate() {
        lacks(code, WARNING, |facts| facts.queues[index].waiting = 8);
        lacks(code, WARNING, |facts| facts.queues[index].waiting = 10);
    }
}

#[test]
fn the_store_commits_and_is_read() {
    lacks(Code::Commit, FAILING, |facts| facts.store.commit_failure = Some("engine_full"));
    lacks(Code::Commit, FAILING, |facts| facts.store.closed = true);
    lacks(Code::Read, FAILING, |facts| facts.outbox = Seen::Failed("no such disk".to_owned()));
    lacks(Code::Read, WARNING, |facts| facts.outbox = Seen::Slow(SECOND));
    lacks(Code::Read, FAILING, |facts| facts.outbox = Seen::Slow(5 * SECOND));
}

#[test]
fn the_disk_fills() {
    let free = |free_bytes, bytes| {
        move |facts: &mut Facts| facts.disk = Seen::This(Disk { free_bytes, bytes, store_bytes: 0 })
    };
    lacks(Code::Disk, None, free(10 * GIB, 100 * GIB));
    lacks(Code::Disk, WARNING, free(10 * GIB - 1, 100 * GIB));
    lacks(Code::Disk, WARNING, free(5 * GIB - 1, 6 * GIB));
    lacks(Code::Disk, WARNING, free(256 << 20, GIB));
    lacks(Code::Disk, FAILING, free((256 << 20) - 1, GIB));
    lacks(Code::Disk, WARNING, |facts| facts.disk = Seen::Failed("gone".to_owned()));
    lacks(Code::Disk, WARNING, |facts| facts.disk = Seen::Slow(SECOND));
}

#[test]
fn records_reach_the_journal() {
    let failed = |code| move |facts: &mut Facts| facts.store.archive_failure = Some(code);
    lacks(Code::Archive, WARNING, failed("journal_full"));
    lacks(Code::Archive, FAILING, failed("journal_broken"));
    lacks(Code::Archive, FAILING, failed("archiver_ended"));
    lacks(Code::Archive, WARNING, |facts| facts.journal_bytes = Seen::Slow(SECOND));
    let waiting = |age: Duration| {
        move |facts: &mut Facts| {
            let oldest = Some(now().minus(age));
            facts.outbox = Seen::This(Outbox { records: 9, oldest, newest: None });
        }
    };
    lacks(Code::OutboxAge, None, waiting(59 * SECOND));
    lacks(Code::OutboxAge, WARNING, waiting(60 * SECOND));
    lacks(Code::OutboxAge, FAILING, waiting(HOUR));
    lacks(Code::Retention, None, |facts| facts.retention.failure = Some("store_commit"));
    lacks(Code::Retention, WARNING, |facts| facts.retention.overdue = true);
    lacks(Code::Retention, WARNING, |facts| facts.retention.leap = Some((now(), now().plus(DAY * 6))));
}

#[test]
fn durations_are_read_easily() {
    let told = [119, 120, 7_199, 7_200, 172_800].map(|seconds| lasting(Duration::from_secs(seconds)));
    assert_eq!(told, ["119 s", "2 min", "119 min", "2 h", "2 days"]);
}

/// Five remote perspectives, of which so many have not answered since then.
fn five(since: Option<Timestamp>, silent: usize) -> Vec<Reachable> {
    let perspective = |index| {
        let trouble = since.filter(|_| index < silent).map(|since| (since, "connection refused".to_owned()));
        Reachable { name: format!("place-{index}"), answered: Some(now()), trouble }
    };
    (0..5).map(perspective).collect()
}

#[test]
fn perspectives_that_do_not_answer_are_told_before_too_many_do() {
    let mut facts = well();
    let lack_of = |silent: usize, for_s: u32, facts: &mut Facts| {
        facts.perspectives = five(Some(now().minus(for_s * SECOND)), silent);
        lacking(facts)
    };
    assert_eq!(lack_of(5, 59, &mut facts), BTreeSet::new(), "a restart is no news");
    let one = (Role::Validation, Code::Perspectives, Level::Warning);
    assert_eq!(lack_of(1, 60, &mut facts), [one].into());
    let two = (Role::Validation, Code::Perspectives, Level::Failing);
    assert_eq!(lack_of(2, 60, &mut facts), [two].into());
    let told = &judge(&facts, &Config::default())[1].lacks[0].detail;
    assert_eq!(
        told,
        "2 of 5 remote perspectives do not answer (place-0, place-1), and 1 may fail; place-0: connection refused"
    );
}

#[test]
fn requests_that_are_kept_for_too_long_are_worse_than_those_that_are_not_kept() {
    let log = |change: fn(&mut request_log::Condition)| {
        let mut condition = quiet_log();
        change(&mut condition);
        move |facts: &mut Facts| facts.request_log = Seen::This(condition)
    };
    lacks(Code::RequestLog, FAILING, log(|condition| condition.is_overdue = true));
    lacks(Code::RequestLog, WARNING, log(|condition| condition.trouble = Some("request_log_full")));
    lacks(
        Code::RequestLog,
        WARNING,
        log(|condition| condition.dropped_at = Some(now().minus(4 * 60 * SECOND))),
    );
    lacks(Code::RequestLog, None, log(|condition| condition.dropped_at = Some(now().minus(HOUR))));
    lacks(Code::RequestLog, WARNING, |facts| facts.request_log = Seen::Slow(SECOND));
}
