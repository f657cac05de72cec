//! Proves that control which was shown is used again exactly as far as the profile lets it count, that control of a domain
//! counts for what is in it and for nothing else, and that pre-authorization leads to orders that are ready at once.

use std::time::Duration;

use ingam_authority::Error;
use ingam_protocol::acme::{
    Account, Authorization, AuthorizationStatus, ChallengeType, ErrorType, NewAuthorization, NewOrder,
    OrderStatus, UnreadIdentifier,
};
use ingam_protocol::profile::Profile;
use ingam_protocol::time::Clock as _;

use crate::world::{DAY, HOUR, Key, Process, World, caller, csr, new_order, refusal};

fn reusing(profile: &mut Profile) {
    profile.reuse_authorizations = true;
}

fn whole_domains(profile: &mut Profile) {
    reusing(profile);
    profile.identifiers.ancestors = true;
}

fn authorize(
    process: &Process,
    account: &Account,
    name: &str,
    whole_domain: bool,
) -> Result<Authorization, Error> {
    let identifier = UnreadIdentifier { subdomain_auth_allowed: whole_domain, ..UnreadIdentifier::dns(name) };
    let request = NewAuthorization { identifier, subdomain_auth_allowed: false };
    process.run(process.authority.authorization_create(account, request, &caller()))
}

/// An account that holds a valid authorization of a whole domain.
fn holder(process: &Process, domain: &str) -> (Account, Authorization) {
    let account = process.account();
    let made = authorize(process, &account, domain, true).unwrap();
    assert!(made.subdomains);
    process.answer_and_wait(&account, made.id, ChallengeType::Dns01);
    (account, made)
}

fn status(process: &Process, account: &Account, names: &[&str]) -> OrderStatus {
    process.order(account, names).status
}

#[test]
fn what_was_shown_is_not_asked_for_again() {
    let world = World::of_profile(reusing);
    let process = world.start();
    let account = process.account();
    let first = process.ready_order(&account, &["a.example.org"]);
    let second = process.order(&account, &["a.example.org", "b.example.org"]);
    assert_eq!(second.status, OrderStatus::Pending, "b was never shown");
    assert!(second.order.authorizations.contains(&first.order.authorizations[0]));
    assert_eq!(status(&process, &account, &["a.example.org"]), OrderStatus::Ready);
    assert_eq!(status(&process, &account, &["*.a.example.org"]), OrderStatus::Pending);
    assert_eq!(status(&process, &process.account(), &["a.example.org"]), OrderStatus::Pending);
    process.stop();
}

#[test]
fn it_counts_as_long_as_the_profile_says_and_the_order_ends_with_it() {
    let world = World::of_profile(reusing);
    let process = world.start();
    let account = process.account();
    let shown = world.clock.now();
    process.ready_order(&account, &["a.example.org"]);
    world.clock.advance(29 * DAY);
    let late = process.order(&account, &["a.example.org"]);
    assert_eq!(late.status, OrderStatus::Ready);
    assert_eq!(late.order.expires, shown.plus(30 * DAY), "before the seven days that orders have");
    world.clock.advance(DAY - HOUR);
    assert_eq!(status(&process, &account, &["a.example.org"]), OrderStatus::Pending, "an hour is not enough");
    process.stop();
}

#[test]
fn what_another_profile_would_not_have_asked_for_does_not_count() {
    let mut world = World::of_profile(reusing);
    let process = world.start();
    let account = process.account();
    process.ready_order(&account, &["a.example.org"]);
    process.stop();
    for change in [
        (|profile| profile.challenges = [ChallengeType::Http01].into()) as fn(&mut Profile),
        |profile| profile.valid_authorization_lifetime = Duration::from_secs(60),
        |profile| profile.reuse_authorizations = false,
    ] {
        let usual = world.policy.clone();
        world.change_profile(change);
        let process = world.start();
        assert_eq!(status(&process, &account, &["a.example.org"]), OrderStatus::Pending);
        process.stop();
        world.policy = usual;
    }
}

#[test]
fn what_was_given_up_is_not_used_again() {
    let world = World::of_profile(reusing);
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]);
    let id = order.order.authorizations[0];
    process.run(process.authority.authorization_deactivate(&account, id, &caller())).unwrap();
    assert_eq!(status(&process, &account, &["a.example.org"]), OrderStatus::Pending);
    process.stop();
}

#[test]
fn a_pre_authorized_name_makes_an_order_that_is_ready() {
    let world = World::of_profile(reusing);
    let process = world.start();
    let account = process.account();
    let made = authorize(&process, &account, "a.example.org", true).unwrap();
    assert!(!made.subdomains, "whole domains are not offered, and the answer shows it");
    process.answer_and_wait(&account, made.id, ChallengeType::Http01);
    let order = process.order(&account, &["a.example.org"]);
    assert_eq!((order.status, order.order.authorizations.as_slice()), (OrderStatus::Ready, &[made.id][..]));
    assert_eq!(authorize(&process, &account, "a.example.org", false).unwrap().id, made.id);
    process.stop();
}

#[test]
fn a_wildcard_is_not_authorized_ahead() {
    let world = World::of_profile(reusing);
    let process = world.start();
    let refused = refusal(authorize(&process, &process.account(), "*.example.org", false));
    assert_eq!(refused.error, ErrorType::Malformed);
    let refused = refusal(authorize(&process, &process.account(), "under_score.org", false));
    assert_eq!(refused.error, ErrorType::RejectedIdentifier);
    process.stop();
}

#[test]
fn a_domain_counts_for_what_is_in_it_alone() {
    let world = World::of_profile(whole_domains);
    let process = world.start();
    let (account, domain) = holder(&process, "example.org");
    assert!(domain.challenges.iter().all(|one| one.kind == ChallengeType::Dns01));
    for covered in ["example.org", "a.example.org", "a.b.example.org", "*.example.org", "*.a.example.org"] {
        assert_eq!(status(&process, &account, &[covered]), OrderStatus::Ready, "{covered}");
    }
    for other in ["org.example", "anexample.org", "example.net"] {
        assert_eq!(status(&process, &account, &[other]), OrderStatus::Pending, "{other}");
    }
    let names = ["a.example.org", "*.b.example.org"];
    let order = process.order(&account, &names);
    let view = process.finalize(&account, order.order.id, &csr(&Key::new(), &names)).unwrap();
    assert_eq!(view.status, OrderStatus::Valid);
    // CAA belongs to each name itself, wherever control was shown.
    let asked: Vec<_> = world.validation.script.queries().into_iter().rev().take(2).collect();
    let mut asked: Vec<_> = asked.iter().map(|query| (query.name.as_str(), query.wildcard)).collect();
    asked.sort_unstable();
    assert_eq!(asked, [("a.example.org", false), ("b.example.org", true)]);
    process.stop();
}

#[test]
fn a_domain_that_is_not_offered_any_more_counts_no_more() {
    let mut world = World::of_profile(whole_domains);
    let process = world.start();
    let (account, _) = holder(&process, "example.org");
    process.stop();
    world.change_profile(|profile| profile.identifiers.ancestors = false);
    let process = world.start();
    assert_eq!(status(&process, &account, &["a.example.org"]), OrderStatus::Pending);
    process.stop();
}

#[test]
fn names_of_one_domain_share_its_authorization() {
    let world = World::of_profile(whole_domains);
    let process = world.start();
    let account = process.account();
    let within = |name: &str, domain: &str| UnreadIdentifier {
        ancestor_domain: Some(domain.to_owned()),
        ..UnreadIdentifier::dns(name)
    };
    let wish = |identifiers| NewOrder { identifiers, ..new_order(&[]) };
    let both = vec![within("a.example.org", "example.org"), within("b.example.org", "example.org")];
    let order = process.try_order(&account, wish(both)).unwrap();
    assert_eq!(order.order.authorizations[0], order.order.authorizations[1]);
    let id = order.order.authorizations[0];
    assert_eq!(process.authorization_status(&account, id), AuthorizationStatus::Pending);
    process.answer_and_wait(&account, id, ChallengeType::Dns01);
    assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Ready);

    for elsewhere in ["example.net", "a.a.example.org", "org"] {
        let refused = refusal(process.try_order(&account, wish(vec![within("a.example.org", elsewhere)])));
        assert_eq!(refused.error, ErrorType::Malformed, "{elsewhere}");
        assert_eq!(refused.subproblems.len(), 1);
    }
    process.stop();
}

#[test]
fn a_ready_order_is_held_to_the_profile_as_it_is_at_finalize() {
    for change in
        [(|profile| profile.challenges = [ChallengeType::Http01].into()) as fn(&mut Profile), |profile| {
            profile.valid_authorization_lifetime = Duration::from_secs(60)
        }]
    {
        let mut world = World::of_profile(reusing);
        let process = world.start();
        let account = process.account();
        let order = process.ready_order(&account, &["a.example.org"]);
        process.stop();
        world.change_profile(change);
        world.clock.advance(HOUR);
        let process = world.start();
        let request = csr(&Key::new(), &["a.example.org"]);
        let refused = refusal(process.finalize(&account, order.order.id, &request));
        assert_eq!(refused.error, ErrorType::OrderNotReady, "{}", refused.detail);
        process.stop();
    }
}

#[test]
fn an_order_ends_when_control_stops_to_count_for_its_profile() {
    let mut world = World::of_profile(reusing);
    let process = world.start();
    let account = process.account();
    let shown = world.clock.now();
    process.ready_order(&account, &["a.example.org"]);
    process.stop();
    world.change_profile(|profile| profile.valid_authorization_lifetime = 10 * DAY);
    world.clock.advance(9 * DAY);
    let process = world.start();
    let order = process.order(&account, &["a.example.org"]);
    assert_eq!((order.status, order.order.expires), (OrderStatus::Ready, shown.plus(10 * DAY)));
    process.stop();
}
