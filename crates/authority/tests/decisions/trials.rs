//! Proves that a trial looks as a challenge does, and leaves nothing behind but its record and what it took of its limit.

use std::collections::BTreeMap;
use std::time::Duration;

use ingam_authority::Error;
use ingam_protocol::acme::{Account, ChallengeType, ErrorType, UnreadIdentifier, ValidationTrial};
use ingam_protocol::bytes::base64url;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::limit::{Limit, LimitName};
use ingam_protocol::record::RecordType;

use crate::world::{Process, World, caller, refusal};

fn wish(name: &str, challenge: ChallengeType) -> ValidationTrial {
    let challenge = challenge.name().to_owned();
    ValidationTrial { identifier: UnreadIdentifier::of(name), challenge, token: None, profile: None }
}

fn attempt(
    process: &Process,
    account: &Account,
    wish: ValidationTrial,
) -> Result<ingam_authority::Trial, Error> {
    process.run(process.authority.validation_try(account, wish, &caller()))
}

#[test]
fn a_trial_is_a_look_and_nothing_else() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let trial = attempt(&process, &account, wish("*.example.org", ChallengeType::Dns01)).unwrap();
    assert!(trial.would_validate());
    let own = base64url(&account.key.thumbprint());
    assert_eq!(trial.key_authorization, format!("{}.{own}", trial.token));
    let [looked] = world.validation.script.attempts().try_into().unwrap();
    assert_eq!((looked.host.to_string().as_str(), looked.beyond_the_name), ("example.org", true));
    assert_eq!((looked.token, looked.key_authorization), (trial.token.clone(), trial.key_authorization));
    let [asked] = world.validation.script.queries().try_into().unwrap();
    assert!(asked.wildcard && asked.challenge == ChallengeType::Dns01);
    // The same each time, and another for another account.
    let again = attempt(&process, &account, wish("*.example.org", ChallengeType::Dns01)).unwrap();
    let other = attempt(&process, &process.account(), wish("*.example.org", ChallengeType::Dns01)).unwrap();
    assert!(again.token == trial.token && other.token != trial.token);

    let told: Vec<_> = process.records().iter().map(|record| record.kind).collect();
    assert_eq!(told.iter().filter(|kind| **kind == RecordType::ValidationTried).count(), 3);
    assert!(
        !told.contains(&RecordType::ValidationFinished) && !told.contains(&RecordType::AuthorizationCreated)
    );
    process.stop();
}

#[test]
fn owners_of_caa_records_do_not_hear_of_trials() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    world.validation.fail_caa("a.example.org");
    world.validation.script.want_caa_reports(&DnsName::parse("example.org").unwrap());
    let trial = attempt(&process, &account, wish("a.example.org", ChallengeType::Http01)).unwrap();
    assert!(!trial.would_validate() && trial.control.failure.is_none());
    assert_eq!(trial.caa.unwrap().failure.unwrap().error, ErrorType::Caa);
    assert!(world.validation.script.reported().is_empty());
    process.stop();
}

#[test]
fn a_trial_takes_of_its_limit_unless_it_is_refused() {
    let mut world = World::new();
    let limit = Limit::new(1, Duration::from_secs(3600), 1).unwrap();
    world.policy.rate_limits.limits = BTreeMap::from([(LimitName::ValidationTrialsPerAccount, limit)]);
    let process = world.start();
    let account = process.account();
    let short =
        ValidationTrial { token: Some("short".to_owned()), ..wish("a.example.org", ChallengeType::Dns01) };
    for (refused, error) in [
        (wish("*.example.org", ChallengeType::Http01), ErrorType::Malformed),
        (wish("192.0.2.1", ChallengeType::Dns01), ErrorType::RejectedIdentifier),
        (wish("a.example.org", ChallengeType::DnsPersist01), ErrorType::Malformed),
        (short, ErrorType::Malformed),
    ] {
        let refusal = refusal(attempt(&process, &account, refused));
        assert_eq!(refusal.error, error, "{}", refusal.detail);
    }
    let trial = || attempt(&process, &account, wish("a.example.org", ChallengeType::Dns01));
    trial().unwrap();
    assert_eq!(refusal(trial()).error, ErrorType::RateLimited);
    assert_eq!(world.validation.script.attempts().len(), 1, "what is refused knocks at no door");
    world.clock.advance(Duration::from_secs(3600));
    trial().unwrap();
    process.stop();
}
