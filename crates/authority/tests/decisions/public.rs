//! Proves that rules with dates are held to the second, for profiles that are for the public and for no others, in a process
//! that was started before; and that the records say who saw what.

use std::time::Duration;

use ingam_authority::{PublicRules, Remotes};
use ingam_protocol::acme::{
    Account, AuthorizationStatus, ChallengeStatus, ChallengeType, ErrorType, NewOrder, OrderStatus,
    UnreadIdentifier, ValidationTrial,
};
use ingam_protocol::corroboration::Quorum;
use ingam_protocol::record::RecordType;
use ingam_protocol::time::Clock as _;
use ingam_protocol::{Id, Timestamp};
use serde_json::{Value, json};

use crate::world::{DAY, HOUR, Key, Process, World, caller, csr, new_order, refusal};

const SECOND: Duration = Duration::from_secs(1);

fn moment(text: &str) -> Timestamp {
    Timestamp::from_rfc3339(text).unwrap()
}

fn quorum(agreed: u8, remotes: u8) -> Quorum {
    Quorum { remotes, agreed, registries: 2 }
}

/// A world with so many remotes, all of which agree.
fn corroborating(count: u8) -> World {
    let mut world = World::new();
    let corroboration = Some(Remotes { count, registries: 2 });
    world.policy.public_rules = PublicRules { lengths: true, corroboration };
    world.validation.script.corroborate(Some(quorum(count, count)));
    world
}

/// The same world with a profile that is good for long, and lets shown control be used again.
fn lasting(days: u32) -> World {
    let mut world = corroborating(5);
    world.change_profile(|profile| {
        profile.validity = days * DAY;
        profile.valid_authorization_lifetime = 200 * DAY;
        profile.reuse_authorizations = true;
    });
    world
}

fn go_to(world: &World, text: &str) {
    world.clock.advance(moment(text).since(world.clock.now()));
}

fn shown_failure(process: &Process, account: &Account, order: Id) -> (ErrorType, String) {
    let failure = process.order_view(account, order).error.unwrap();
    (failure.error, failure.detail)
}

#[test]
fn a_trial_says_what_the_public_would_lack() {
    let world = corroborating(5);
    let process = world.start();
    let account = process.account();
    let wish = || ValidationTrial {
        identifier: UnreadIdentifier::of("a.example.org"),
        challenge: "dns-01".to_owned(),
        token: None,
        profile: None,
    };
    let attempt = || process.run(process.authority.validation_try(&account, wish(), &caller()));
    assert!(attempt().unwrap().would_validate());
    world.validation.script.corroborate(Some(Quorum { registries: 1, ..quorum(5, 5) }));
    let trial = attempt().unwrap();
    let failure = trial.control.failure.unwrap();
    assert_eq!(failure.error, ErrorType::ServerInternal);
    assert!(failure.detail.contains("regions"), "{}", failure.detail);
    process.stop();

    let world = corroborating(3);
    let process = world.start();
    let refused = refusal(process.run(process.authority.validation_try(&account, wish(), &caller())));
    assert!(refused.detail.contains("3 remote perspectives"), "{}", refused.detail);
    process.stop();
}

#[test]
fn one_more_remote_is_needed_from_the_first_second_of_the_day() {
    let world = corroborating(4);
    let process = world.start();
    let (account, key) = (process.account(), Key::new());
    go_to(&world, "2026-12-14T23:59:59Z");
    process.certificate(&account, &key, "a.example.org");
    let ready = process.ready_order(&account, &["b.example.org"]);
    let pending = process.order(&account, &["c.example.org"]);
    world.clock.advance(SECOND);

    let refused = refusal(process.try_order(&account, new_order(&["d.example.org"])));
    assert_eq!((refused.error, refused.retry_after), (ErrorType::ServerInternal, Some(HOUR)));
    for word in ["4 remote perspectives", "5", "2026-12-15", "BR 3.2.2.9"] {
        assert!(refused.detail.contains(word), "{}", refused.detail);
    }
    let refused = refusal(process.finalize(&account, ready.order.id, &csr(&key, &["b.example.org"])));
    assert_eq!(refused.error, ErrorType::ServerInternal);
    assert_eq!(process.order_status(&account, ready.order.id), OrderStatus::Ready);
    // The client's challenge is not spent for what we lack.
    let id = pending.order.authorizations[0];
    let who = caller();
    let answer = process.authority.challenge_answer(&account, id, ChallengeType::Dns01, &who);
    assert_eq!(refusal(process.run(answer)).error, ErrorType::ServerInternal);
    assert_eq!(process.challenge_status(&account, id, ChallengeType::Dns01), ChallengeStatus::Pending);
    let private = process.order_of_profile(&account, &["d.example.org"], Some("private"));
    process.make_ready(&account, &private);
}

#[test]
fn two_registries_are_needed() {
    let mut world = corroborating(5);
    let one = Some(Remotes { count: 5, registries: 1 });
    world.policy.public_rules.corroboration = one;
    let process = world.start();
    let refused = refusal(process.try_order(&process.account(), new_order(&["a.example.org"])));
    assert!(refused.detail.contains("1 registries' regions, 2 are needed since 2026-03-15"), "{refused:?}");
}

#[test]
fn a_private_ca_and_a_single_perspective_where_that_is_enough_go_on() {
    let mut world = corroborating(0);
    world.validation.script.corroborate(None);
    let process = world.start();
    let account = process.account();
    let order = process.order_of_profile(&account, &["a.example.org"], Some("private"));
    process.make_ready(&account, &order);
    process.stop();
    world.policy.public_rules.corroboration = None;
    let process = world.start();
    process.ready_order(&account, &["a.example.org"]);
}

#[test]
fn what_too_few_saw_does_not_count() {
    let world = corroborating(5);
    let process = world.start();
    let account = process.account();
    for (quorum, word) in [
        (Some(quorum(3, 5)), "3/5 remote perspectives agree"),
        (Some(quorum(3, 3)), "3 remote perspectives looked, 4 are needed since 2026-06-15"),
        (Some(Quorum { registries: 1, ..quorum(5, 5) }), "in 1 registries' regions"),
        (None, "0 remote perspectives looked"),
    ] {
        world.validation.script.corroborate(quorum);
        let order = process.order(&account, &["a.example.org"]);
        let id = order.order.authorizations[0];
        process.answer_and_wait(&account, id, ChallengeType::Dns01);
        assert_eq!(process.authorization_status(&account, id), AuthorizationStatus::Invalid);
        let (error, detail) = shown_failure(&process, &account, order.order.id);
        assert_eq!(error, ErrorType::ServerInternal);
        assert!(detail.contains(word), "{detail}");
    }
    world.validation.script.corroborate(Some(quorum(4, 5)));
    process.ready_order(&account, &["a.example.org"]);
}

#[test]
fn caa_counts_as_several_saw_it() {
    let world = corroborating(5);
    let process = world.start();
    let (account, key) = (process.account(), Key::new());
    let order = process.ready_order(&account, &["a.example.org"]).order.id;
    let request = csr(&key, &["a.example.org"]);
    world.validation.script.corroborate_caa(Some(quorum(3, 5)));
    let refused = refusal(process.finalize(&account, order, &request));
    assert_eq!((refused.error, refused.retry_after), (ErrorType::ServerInternal, Some(HOUR)));
    assert!(refused.detail.contains("3/5"), "{refused:?}");
    // The same at the end of a check.
    let unseen = process.order(&account, &["b.example.org"]);
    process.answer_and_wait(&account, unseen.order.authorizations[0], ChallengeType::Dns01);
    assert_eq!(shown_failure(&process, &account, unseen.order.id).0, ErrorType::ServerInternal);
    world.validation.script.corroborate_caa(Some(quorum(4, 5)));
    assert_eq!(process.finalize(&account, order, &request).unwrap().status, OrderStatus::Valid);
}

#[test]
fn what_one_place_saw_for_a_private_profile_counts_for_no_public_one() {
    let mut world = corroborating(5);
    let classic = (**world.policy.catalog.default_profile()).clone();
    let reusing = |name: &str, is_public| ingam_protocol::profile::Profile {
        name: name.to_owned().try_into().unwrap(),
        reuse_authorizations: true,
        is_public,
        ..classic.clone()
    };
    let profiles = vec![reusing("classic", true), reusing("private", false)];
    world.policy.catalog = ingam_authority::Catalog::new(profiles, &classic.name).unwrap();
    world.validation.script.corroborate(None);
    let process = world.start();
    let account = process.account();
    let private = process.order_of_profile(&account, &["a.example.org"], Some("private"));
    process.make_ready(&account, &private);
    world.validation.script.corroborate(Some(quorum(5, 5)));
    let again = process.order_of_profile(&account, &["a.example.org"], Some("private"));
    assert_eq!(again.status, OrderStatus::Ready);
    let public = process.order(&account, &["a.example.org"]);
    assert_eq!(public.status, OrderStatus::Pending, "it has to be shown to several");
    process.make_ready(&account, &public);
    let again = process.order(&account, &["a.example.org"]);
    assert_eq!(again.status, OrderStatus::Ready);
}

/// The number that was asked for when it was shown is what counts.
#[test]
fn control_that_was_shown_to_enough_then_counts_on() {
    let mut world = lasting(90);
    world.validation.script.corroborate(Some(quorum(4, 4)));
    world.policy.public_rules.corroboration = Some(Remotes { count: 4, registries: 2 });
    let process = world.start();
    let account = process.account();
    process.ready_order(&account, &["a.example.org"]);
    process.stop();
    world.policy.public_rules.corroboration = Some(Remotes { count: 5, registries: 2 });
    let process = world.start();
    go_to(&world, "2026-12-15T00:00:00Z");
    assert_eq!(process.order(&account, &["a.example.org"]).status, OrderStatus::Ready);
}

#[test]
fn an_order_of_the_day_before_gets_no_certificate_that_is_too_long() {
    let world = lasting(200);
    let process = world.start();
    let (account, key) = (process.account(), Key::new());
    go_to(&world, "2027-03-14T23:59:59Z");
    process.certificate(&account, &key, "a.example.org");
    let order = process.ready_order(&account, &["b.example.org"]).order.id;
    world.clock.advance(SECOND);
    let refused = refusal(process.finalize(&account, order, &csr(&key, &["b.example.org"])));
    assert_eq!(refused.error, ErrorType::ServerInternal);
    for word in ["\"classic\"", "17280000 seconds", "at most 100 days since 2027-03-15", "BR 6.3.2"] {
        assert!(refused.detail.contains(word), "{}", refused.detail);
    }
    assert_eq!(process.order_status(&account, order), OrderStatus::Ready);
    let refused = refusal(process.try_order(&account, new_order(&["c.example.org"])));
    assert_eq!(refused.error, ErrorType::ServerInternal);
    assert_eq!(process.certificates(), 1);
}

/// A profile that lets orders wish may have been made for less than it would give by itself.
#[test]
fn a_shorter_wish_is_held_to_what_it_wishes() {
    let mut world = lasting(200);
    world.change_profile(|profile| profile.validity_min = Some(DAY));
    let process = world.start();
    let account = process.account();
    go_to(&world, "2027-03-15T00:00:00Z");
    let wish = |days: u32| NewOrder {
        not_before: Some(world.clock.now().to_rfc3339()),
        not_after: Some(world.clock.now().plus(days * DAY).minus(SECOND).to_rfc3339()),
        ..new_order(&["a.example.org"])
    };
    assert!(process.try_order(&account, wish(100)).is_ok());
    assert_eq!(refusal(process.try_order(&account, wish(101))).error, ErrorType::ServerInternal);
}

#[test]
fn what_was_claimed_the_day_before_is_not_signed_the_day_after() {
    let world = lasting(200);
    let mut process = world.start();
    let (account, key) = (process.account(), Key::new());
    go_to(&world, "2027-03-14T23:59:00Z");
    let order = process.ready_order(&account, &["a.example.org"]).order.id;
    process.claim_and_stop(&account, order, &csr(&key, &["a.example.org"]));
    process.kill_tasks();
    world.clock.advance(HOUR);
    process.resume_at_start();
    assert_eq!(process.order_status(&account, order), OrderStatus::Invalid);
    assert_eq!(process.certificates(), 0);
    let abandoned = process.records_of(RecordType::IssuanceAbandoned);
    assert!(text(&abandoned[0].parts[0].bytes)["why"].as_str().unwrap().contains("longer than the rules"));
}

#[test]
fn shown_control_ends_with_the_day_that_makes_it_too_old() {
    let world = lasting(90);
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]);
    assert_eq!(order.status, OrderStatus::Ready);
    go_to(&world, "2027-03-14T22:59:59Z");
    let again = process.order(&account, &["a.example.org"]);
    assert_eq!(again.status, OrderStatus::Ready);
    assert_eq!(again.order.expires, moment("2027-03-15T00:00:00Z"));
    go_to(&world, "2027-03-15T00:00:00Z");
    assert_eq!(process.order(&account, &["a.example.org"]).status, OrderStatus::Pending);
}

#[test]
fn a_record_that_stays_counts_for_ten_days() {
    let mut world = lasting(90);
    world.change_profile(|profile| {
        profile.challenges.insert(ChallengeType::DnsPersist01);
    });
    let process = world.start();
    let account = process.account();
    let order = process.order(&account, &["a.example.org"]);
    process.answer_and_wait(&account, order.order.authorizations[0], ChallengeType::DnsPersist01);
    world.clock.advance(10 * DAY - HOUR - SECOND);
    assert_eq!(process.order(&account, &["a.example.org"]).status, OrderStatus::Ready);
    world.clock.advance(HOUR + SECOND);
    assert_eq!(process.order(&account, &["a.example.org"]).status, OrderStatus::Pending);
}

/// Where the rules are off, as in development, nothing ends before the profile lets it.
#[test]
fn nothing_is_held_where_the_rules_are_off() {
    let mut world = lasting(398);
    world.policy.public_rules = PublicRules::default();
    world.validation.script.corroborate(None);
    let process = world.start();
    let account = process.account();
    go_to(&world, "2027-03-15T00:00:00Z");
    process.certificate(&account, &Key::new(), "a.example.org");
    world.clock.advance(150 * DAY);
    assert_eq!(process.order(&account, &["a.example.org"]).status, OrderStatus::Ready);
}

fn text(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn records_say_what_was_shown_how_and_to_whom() {
    let mut world = corroborating(5);
    world.validation.script.corroborate(Some(quorum(4, 5)));
    world.change_profile(|profile| profile.identifiers.wildcards = true);
    let process = world.start();
    let (account, key) = (process.account(), Key::new());
    let names = ["*.example.org", "www.example.net"];
    let order = process.ready_order(&account, &names);
    process.finalize(&account, order.order.id, &csr(&key, &names)).unwrap();

    let checked = process.records_of(RecordType::ValidationFinished);
    let payloads: Vec<Value> = checked.iter().map(|record| text(&record.parts[0].bytes)).collect();
    let wildcard = payloads.iter().find(|payload| payload["identifier"] == "*.example.org").unwrap();
    let plain = payloads.iter().find(|payload| payload["identifier"] == "www.example.net").unwrap();
    let method = json!({ "challenge": "dns-01", "section": "3.2.2.4.7" });
    for payload in [wildcard, plain] {
        assert_eq!(payload["method"], method);
        assert_eq!(payload["corroboration"]["line"], "4/5");
        assert_eq!(payload["corroboration"]["answers"].as_array().unwrap().len(), 5);
        assert_eq!(payload["caa"]["corroboration"]["line"], "4/5");
    }
    assert_eq!(wildcard["authorization_domain"], "example.org");
    assert_eq!(plain.get("authorization_domain"), None);

    let prepared = process.records_of(RecordType::CertificatePrepared);
    let claim = process.store.order_by_id(order.order.id).unwrap().unwrap().claim.unwrap();
    assert_eq!(claim.record, Some(prepared[0].id));
    let prepared = text(&prepared[0].parts[0].bytes);
    assert_eq!(prepared["authorizations"].as_array().unwrap().len(), 2);
    let shown = prepared["authorizations"].as_array().unwrap();
    let shown = shown.iter().find(|one| one["identifier"] == "*.example.org").unwrap();
    assert_eq!(shown["authorization_domain"], "example.org");
    assert_eq!(shown["method"], method);
    let record = checked.iter().find(|record| record.id.to_string() == shown["validation"]);
    assert_eq!(text(&record.unwrap().parts[0].bytes)["identifier"], "*.example.org");
    assert_eq!(prepared["caa"].as_array().unwrap().len(), 2);
    assert_eq!(prepared["caa"][0]["corroboration"]["line"], "4/5");
}
