//! CAA: every way in which records permit or forbid, and that nothing unknown permits.

use ingam_protocol::acme::{ChallengeType, ErrorType};
use trust_dns_resolver::proto::op::ResponseCode;
use trust_dns_resolver::proto::rr::RecordType;

use super::property::permits;
use super::*;
use crate::Validation as _;
use crate::testing::{ACCOUNT, Reply, World, name, query};

fn issuers() -> Vec<String> {
    vec!["ca.example".into(), "other-brand.example".into()]
}

fn property(critical: bool, tag: &str, value: &str) -> Property {
    Property { critical, tag: tag.into(), value: value.into() }
}

fn allowed(properties: &[(bool, &str, &str)], wildcard: bool) -> bool {
    let properties: Vec<Property> =
        properties.iter().map(|(critical, tag, value)| property(*critical, tag, value)).collect();
    decide(&properties, &issuers(), &query("www.example.org", wildcard)).is_ok()
}

#[test]
fn values_that_permit() {
    let account = format!("ca.example; accounturi={ACCOUNT}");
    let both = format!("ca.example;accounturi={ACCOUNT};validationmethods=dns-01,http-01");
    for value in [
        "ca.example",
        "CA.Example",
        " \tca.example\t ",
        "other-brand.example",
        "ca.example;",
        "ca.example; ",
        "ca.example; unknown=1",
        "ca.example; a=b; c=d",
        "ca.example ; a = b ;c= d ",
        "ca.example; empty=",
        "ca.example; validationmethods=http-01",
        "ca.example; validationmethods=dns-01,http-01",
        "ca.example; x=a=b",
        account.as_str(),
        both.as_str(),
    ] {
        assert_eq!(permits(value.as_bytes(), &issuers(), &query("a.example", false)), Ok(()), "{value}");
    }
}

#[test]
fn values_that_do_not_permit() {
    let twice = format!("ca.example; accounturi={ACCOUNT}; accounturi={ACCOUNT}");
    for value in [
        "",
        ";",
        " ",
        " ; ",
        "; accounturi=x",
        "elsewhere.example",
        "ca.example.",
        "ca.example.org",
        "xca.example",
        "%%%%%",
        "ca.example,other",
        "ca example",
        "ca..example",
        "-ca.example",
        "ca-.example",
        "ca.example\n",
        "ca.example; accounturi",
        "ca.example; =x",
        "ca.example; a b=c",
        "ca.example; a=b c",
        "ca.example; a=b;",
        "ca.example;;",
        "ca.example; -a=b",
        "ca.example; a-=b",
        "ca.example; a=\u{e9}",
        "ca.example; accounturi=https://ca.example/account/2",
        "ca.example; accounturi=",
        "ca.example; accounturi=https://ca.example/account/1/",
        "ca.example; ACCOUNTURI=https://ca.example/account/2",
        "ca.example; accounturi=HTTPS://ca.example/account/1",
        "ca.example; validationmethods=dns-01",
        "ca.example; validationmethods=",
        "ca.example; validationmethods=,http-01",
        "ca.example; validationmethods=http-01,",
        "ca.example; validationmethods=HTTP-01",
        "ca.example; validationmethods=http-01!",
        "ca.example; validationmethods=http-01; validationmethods=http-01",
        "ca.example; validationmethods=http-01; ValidationMethods=dns-01",
        twice.as_str(),
    ] {
        assert!(permits(value.as_bytes(), &issuers(), &query("a.example", false)).is_err(), "{value}");
    }
    assert!(permits(b"ca.example; a=\xff", &issuers(), &query("a.example", false)).is_err());
}

#[test]
fn sets_of_records_decide_together() {
    type Case = (&'static [(bool, &'static str, &'static str)], bool, bool);
    let cases: &[Case] = &[
        // Records, permitted for the name, permitted for the wildcard.
        (&[(false, "issue", "ca.example")], true, true),
        (&[(false, "issue", "elsewhere.example")], false, false),
        (&[(false, "issue", ";")], false, false),
        (&[(false, "issue", ";"), (false, "issue", "ca.example")], true, true),
        (&[(false, "issue", "%%%"), (false, "issue", "ca.example")], true, true),
        (&[(false, "issue", "elsewhere.example"), (false, "issue", "ca.example")], true, true),
        (&[(false, "issuewild", "ca.example")], true, true),
        (&[(false, "issuewild", ";")], true, false),
        (&[(false, "issue", "ca.example"), (false, "issuewild", ";")], true, false),
        (&[(false, "issue", ";"), (false, "issuewild", "ca.example")], false, true),
        (&[(false, "issue", "ca.example"), (false, "issuewild", "elsewhere.example")], true, false),
        (&[(false, "iodef", "mailto:a@example.org")], true, true),
        (&[(true, "iodef", "mailto:a@example.org")], true, true),
        (&[(true, "issue", "ca.example")], true, true),
        (&[(false, "unknown", "x")], true, true),
        (&[(true, "unknown", "x")], false, false),
        (&[(true, "issuemail", "x"), (false, "issue", "ca.example")], false, false),
    ];
    for (records, for_name, for_wildcard) in cases {
        assert_eq!(allowed(records, false), *for_name, "{records:?}");
        assert_eq!(allowed(records, true), *for_wildcard, "{records:?} for a wildcard");
    }
}

#[test]
fn refusals_quote_printable_text_alone() {
    let words =
        decide(&[property(false, "issue", "evil\x1b[2J\u{202e}")], &issuers(), &query("a.example", false));
    let words = words.unwrap_err();
    assert!(words.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{words}");
    assert!(words.contains("is malformed; to permit this CA add 0 issue \"ca.example\""), "{words}");
}

async fn check(world: &World, text: &str) -> crate::CaaOutcome {
    let short = |config: &mut crate::Config| {
        config.lookup_timeout_ms = 1500;
        config.lookup_tries = 2;
    };
    world.perspective(short).check_caa(query(text, false)).await
}

#[tokio::test]
async fn the_climb_ends_at_the_first_records() {
    let world = World::new().await;
    world.caa("example", 0, "issue", "elsewhere.example").caa("b.example", 0, "issue", "ca.example");
    world.a("a.b.example", "127.0.0.1");
    let outcome = check(&world, "www.a.b.example").await;
    assert_eq!(outcome.result.unwrap().found_at(), Some("b.example"));
    let climb: Vec<(&str, &str)> = outcome
        .evidence
        .lookups
        .iter()
        .map(|lookup| (lookup.name.as_str(), lookup.response.as_str()))
        .collect();
    assert_eq!(
        climb,
        [("www.a.b.example", "NXDOMAIN"), ("a.b.example", "NOERROR"), ("b.example", "NOERROR")]
    );
    assert_eq!(outcome.evidence.lookups[2].values, ["0 issue ca.example"]);

    let failure = check(&world, "c.example").await.result.unwrap_err();
    assert_eq!(failure.error, ErrorType::Caa);
    assert!(failure.detail.contains("at example forbid"), "{}", failure.detail);
}

#[tokio::test]
async fn no_records_up_to_the_root_permit() {
    let world = World::new().await;
    let outcome = check(&world, "www.example.org").await;
    let permitted = outcome.result.unwrap();
    assert_eq!((permitted.found_at(), permitted.name()), (None, &name("www.example.org")));
    assert_eq!(outcome.evidence.lookups.len(), 3);
    assert_eq!(world.asked("org"), 1);
    assert_eq!(world.asked(""), 0);
}

#[tokio::test]
async fn aliases_are_followed_but_their_targets_are_not_climbed() {
    let world = World::new().await;
    world.cname("alias.example", "target.elsewhere.example").caa("target.elsewhere.example", 0, "issue", ";");
    assert_eq!(check(&world, "alias.example").await.result.unwrap_err().error, ErrorType::Caa);

    let world = World::new().await;
    world.cname("alias.example", "target.elsewhere.test").a("target.elsewhere.test", "127.0.0.1");
    world.caa("elsewhere.test", 0, "issue", ";").caa("example", 0, "issue", "ca.example");
    assert_eq!(check(&world, "alias.example").await.result.unwrap().found_at(), Some("example"));
    assert_eq!(world.asked("elsewhere.test"), 0);
}

#[tokio::test]
async fn what_is_unknown_never_permits() {
    for (reply, words) in [
        (Reply::Code(ResponseCode::ServFail), "SERVFAIL"),
        (Reply::Code(ResponseCode::Refused), "REFUSED"),
        (Reply::Code(ResponseCode::FormErr), "FORMERR"),
        (Reply::Code(ResponseCode::Unknown(11)), "looking up CAA"),
        (Reply::Silence, "no answer in time"),
        (Reply::Truncated, "truncated"),
        (Reply::Referral, "referral"),
        (Reply::Garbage, "looking up CAA"),
        (Reply::OtherName, "looking up CAA"),
    ] {
        let world = World::new().await;
        // The records that would forbid are above the name whose lookup fails.
        world.reply("www.example.org", RecordType::CAA, reply.clone());
        let outcome = check(&world, "www.example.org").await;
        match (&reply, &outcome.result) {
            (_, Err(failure)) => {
                assert_eq!(failure.error, ErrorType::Dns, "{reply:?}");
                assert!(failure.detail.contains(words), "{reply:?}: {}", failure.detail);
            }
            (_, Ok(_)) => panic!("{reply:?} permits"),
        }
        let world = World::new().await;
        world.reply("example.org", RecordType::CAA, Reply::Code(ResponseCode::ServFail));
        assert!(check(&world, "www.example.org").await.result.is_err());
    }
}

#[tokio::test]
async fn aliases_without_end_never_permit() {
    let world = World::new().await;
    world.cname("www.example.org", "a.example.org").cname("a.example.org", "www.example.org");
    assert_eq!(check(&world, "www.example.org").await.result.unwrap_err().error, ErrorType::Dns);
    // The same in separate answers.
    let world = World::new().await;
    world.reply("www.example.org", None, Reply::AliasAlone("a.example.org"));
    world.reply("a.example.org", None, Reply::AliasAlone("www.example.org"));
    let failure = check(&world, "www.example.org").await.result.unwrap_err();
    assert!(failure.detail.contains("without end"), "{failure}");
    assert!(world.asked("www.example.org") <= 8);
}

#[tokio::test]
async fn aliases_in_separate_answers_are_followed() {
    let world = World::new().await;
    world.reply("www.example.org", None, Reply::AliasAlone("a.example.test"));
    world.caa("a.example.test", 0, "issue", ";").caa("example.org", 0, "issue", "ca.example");
    assert_eq!(check(&world, "www.example.org").await.result.unwrap_err().error, ErrorType::Caa);
}

#[tokio::test]
async fn methods_are_those_of_the_question() {
    let world = World::new().await;
    world.caa("a.example", 0, "issue", "ca.example; validationmethods=dns-01");
    let perspective = world.perspective(|_| {});
    let mut question = query("a.example", true);
    assert!(perspective.check_caa(question.clone()).await.result.is_err());
    question.challenge = ChallengeType::Dns01;
    let permitted = perspective.check_caa(question).await.result.unwrap();
    assert!(permitted.is_wildcard());
    assert_eq!(permitted.challenge(), ChallengeType::Dns01);
}
