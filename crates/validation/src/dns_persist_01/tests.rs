//! dns-persist-01 against records that let the account in, and others.

use ingam_protocol::Timestamp;
use ingam_protocol::acme::{ChallengeType, ErrorType};
use trust_dns_resolver::proto::op::ResponseCode;

use crate::label::{BoundTo, hashed_account_uri};
use crate::testing::{
    ACCOUNT, ACCOUNT_HASH_PREFIX, Reply, THUMBPRINT, World, attempt, attempt_address, clock, name,
};
use crate::{Attempt, Failure, Validation as _};

const HOST: &str = "_validation-persist.www.example.org";

/// A thumbprint that the account had once.
const EARLIER: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

fn asked(beyond_the_name: bool) -> Attempt {
    let attempt = attempt("www.example.org", ChallengeType::DnsPersist01);
    Attempt { beyond_the_name, thumbprints: vec![THUMBPRINT.into(), EARLIER.into()], ..attempt }
}

async fn check(records: &[&str], attempt: Attempt) -> Result<Option<Timestamp>, Failure> {
    let world = World::new().await;
    for record in records {
        world.txt(HOST, record.as_bytes());
    }
    let perspective = world.perspective(|config| config.caa_issuer_domains.push("other.ca.example".into()));
    let outcome = perspective.validate(attempt).await;
    assert_eq!(outcome.evidence.lookups[0].name, HOST);
    outcome.result.map(|validated| validated.until())
}

fn record(rest: &str) -> String {
    format!("ca.example; accounturi={ACCOUNT}{rest}")
}

/// What is wrong with one record alone.
async fn refused(record: &str, beyond_the_name: bool) -> String {
    let failure = check(&[record], asked(beyond_the_name)).await.unwrap_err();
    assert_eq!(failure.error, ErrorType::Unauthorized, "{record}");
    failure.detail
}

#[tokio::test]
async fn a_record_of_this_ca_and_account_will_do() {
    let hashed = |bound, thumbprint| hashed_account_uri(ACCOUNT_HASH_PREFIX, bound, thumbprint, ACCOUNT);
    let host = name("www.example.org");
    for account in [
        ACCOUNT.to_owned(),
        hashed(BoundTo::Domain(&host), THUMBPRINT),
        hashed(BoundTo::Any, THUMBPRINT),
        hashed(BoundTo::Domain(&host), EARLIER),
    ] {
        for record in [
            format!("ca.example; accounturi={account}"),
            format!("CA.example;accounturi={account}"),
            format!("other.ca.example; accounturi={account}; later=what-nobody-knows"),
            format!("ca.example; policy=other; accounturi={account}"),
        ] {
            assert_eq!(check(&[&record], asked(false)).await, Ok(None), "{record}");
        }
    }
}

#[tokio::test]
async fn other_accounts_domains_and_keys_will_not_do() {
    let host = name("www.example.org");
    for account in [
        "https://ca.example/account/2".to_owned(),
        ACCOUNT.to_uppercase(),
        format!("{ACCOUNT}/"),
        hashed_account_uri(ACCOUNT_HASH_PREFIX, BoundTo::Domain(&name("example.org")), THUMBPRINT, ACCOUNT),
        hashed_account_uri(ACCOUNT_HASH_PREFIX, BoundTo::Domain(&host), &THUMBPRINT.to_lowercase(), ACCOUNT),
        hashed_account_uri("https://other.example/", BoundTo::Domain(&host), THUMBPRINT, ACCOUNT),
        hashed_account_uri(ACCOUNT_HASH_PREFIX, BoundTo::Any, THUMBPRINT, "https://ca.example/account/2"),
    ] {
        let words = refused(&format!("ca.example; accounturi={account}"), false).await;
        assert!(words.contains("an accounturi that is not this account's"), "{words}");
    }
}

#[tokio::test]
async fn any_of_many_records_will_do() {
    let good = record("");
    let records = ["ca2.example; accounturi=https://ca2.example/1", "v=spf1 -all", "ca.example", &good];
    assert_eq!(check(&records, asked(false)).await, Ok(None));
}

#[tokio::test]
async fn what_is_wrong_is_told_with_what_would_do() {
    for (record, words) in [
        ("ca.example".to_owned(), "\"ca.example\" has no accounturi"),
        (record(";"), "is malformed"),
        (record("; policy"), "is malformed"),
        (record(&format!("; accounturi={ACCOUNT}")), "has the same parameter twice"),
        (record("; persistUntil=soon"), "no UNIX time in whole seconds"),
        (record("; persistUntil=+1900000000"), "no UNIX time in whole seconds"),
        (record("; persistUntil="), "no UNIX time in whole seconds"),
        (record("; persistUntil=99999999999999999999999"), "no UNIX time in whole seconds"),
        (record("; persistUntil=1735689600"), "ended at 2025-01-01T00:00:00Z"),
        ("ca2.example; accounturi=https://ca2.example/1".to_owned(), "is for this CA: add \"ca.example; "),
        ("\x1b[31m\u{202e}".to_owned(), "is malformed"),
    ] {
        let detail = refused(&record, false).await;
        assert!(detail.contains(words), "{detail}");
        assert!(
            detail.contains("; add \"ca.example; accounturi=https://ca.example/account-hash/sha-256/")
                || detail.contains(words),
            "{detail}"
        );
        assert!(detail.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && detail.len() < 800, "{detail}");
    }
}

#[tokio::test]
async fn wildcards_need_the_policy() {
    for good in ["; policy=wildcard", "; policy=WildCard"] {
        assert_eq!(check(&[&record(good)], asked(true)).await, Ok(None), "{good}");
    }
    for bad in ["", "; policy=", "; policy=wildcards", "; policy=specific"] {
        let words = refused(&record(bad), true).await;
        assert!(words.contains("no policy=wildcard") && words.ends_with("; policy=wildcard\""), "{words}");
    }
}

#[tokio::test]
async fn a_record_lasts_until_its_time() {
    let now = clock().now();
    let until = |seconds: u64| record(&format!("; persistUntil={}", now.unix_s() + seconds));
    let moment = |seconds: u64| Ok(Some(Timestamp::from_unix_s(now.unix_s() + seconds)));
    assert_eq!(check(&[&until(1)], asked(false)).await, moment(1));
    assert!(refused(&until(0), false).await.contains("ended at"));
    // Whoever has several meant the longest.
    assert_eq!(check(&[&until(5), &until(9), &until(7)], asked(false)).await, moment(9));
    assert_eq!(check(&[&until(5), &record("")], asked(false)).await, Ok(None));
    assert_eq!(check(&[&record(""), &until(5)], asked(false)).await, Ok(None));
}

#[tokio::test]
async fn no_record_is_told_with_the_one_to_add() {
    let failure = check(&[], asked(true)).await.unwrap_err();
    assert_eq!(failure.error, ErrorType::Dns);
    let begin = format!("DNS: NXDOMAIN looking up TXT for {HOST}: add \"ca.example; accounturi=");
    assert!(failure.detail.starts_with(&begin), "{failure}");
    let world = World::new().await;
    world.reply(HOST, None, Reply::Code(ResponseCode::ServFail));
    let failure = world.perspective(|_| {}).validate(asked(false)).await.result.unwrap_err();
    assert!(failure.error == ErrorType::Dns && failure.detail.contains("SERVFAIL"), "{failure}");
}

#[tokio::test]
async fn addresses_have_no_record() {
    let world = World::new().await;
    let attempt = attempt_address("127.0.0.1", ChallengeType::DnsPersist01);
    let failure = world.perspective(|_| {}).validate(attempt).await.result.unwrap_err();
    assert_eq!(failure.error, ErrorType::Malformed);
}
