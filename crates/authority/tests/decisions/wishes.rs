//! Proves what orders can wish for: addresses, dates, profiles with bounds of their own; and that what a profile does not
//! allow is refused by name, at newOrder or at finalize.

use ingam_protocol::acme::{AccountUpdate, ErrorType, NewOrder, OrderStatus};
use ingam_protocol::identifier::Domain;
use ingam_protocol::key::KeyType;
use ingam_protocol::profile::Accounts;
use ingam_protocol::time::Clock as _;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::world::{DAY, HOUR, Key, World, caller, csr, new_order, refusal};

#[test]
fn an_address_is_shown_where_it_answers_and_stands_in_the_certificate() {
    let world = World::of_profile(|profile| profile.identifiers.addresses = true);
    let process = world.start();
    let account = process.account();
    let names = ["2600::1", "192.0.3.1", "a.example.org"];
    let order = process.order(&account, &names);
    for id in &order.order.authorizations {
        let found = process.authority.authorization_of(&account, *id).unwrap().unwrap();
        let kinds: Vec<&str> = found.challenges.iter().map(|one| one.kind.name()).collect();
        let by_address = found.host.name().is_none();
        let expected: &[&str] =
            if by_address { &["http-01", "tls-alpn-01"] } else { &["http-01", "dns-01", "tls-alpn-01"] };
        assert_eq!(kinds, expected);
        process.answer_and_wait(&account, *id, found.challenges[0].kind);
    }
    let key = Key::new();
    let view = process.finalize(&account, order.order.id, &csr(&key, &names)).unwrap();
    assert_eq!(view.status, OrderStatus::Valid);
    let asked: Vec<String> =
        world.validation.script.queries().iter().map(|query| query.name.to_string()).collect();
    assert_eq!(asked, ["a.example.org", "a.example.org"], "an address has no CAA");
    process.stop();
}

#[test]
fn addresses_are_refused_unless_the_profile_has_them() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let refused = refusal(process.try_order(&account, new_order(&["192.0.3.1", "a.example.org"])));
    assert_eq!(refused.error, ErrorType::RejectedIdentifier);
    let only = &refused.subproblems[..];
    assert_eq!((only.len(), only[0].kind.as_str(), only[0].identifier.as_str()), (1, "ip", "192.0.3.1"));
    process.stop();
}

#[test]
fn wished_dates_are_kept_to_the_second() {
    let world = World::of_profile(|profile| profile.validity_min = Some(DAY));
    let process = world.start();
    let account = process.account();
    let now = world.clock.now();
    let (from, until) = (now.plus(HOUR), now.plus(10 * DAY));
    let wish = NewOrder {
        not_before: Some(from.to_rfc3339()),
        not_after: Some(until.to_rfc3339()),
        ..new_order(&["a.example.org"])
    };
    let order = process.try_order(&account, wish).unwrap();
    let order = process.make_ready(&account, &order);
    let view = process.finalize(&account, order.order.id, &csr(&Key::new(), &["a.example.org"])).unwrap();
    let serial = view.order.certificate.as_ref().unwrap();
    let found = process.authority.certificate(&account, view.issuer.as_ref().unwrap(), serial).unwrap();
    let der = found.unwrap().der;
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let dates = (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
    assert_eq!(dates, (from.unix_s().cast_signed(), until.unix_s().cast_signed()));
    process.stop();
}

#[test]
fn dates_out_of_bounds_are_refused() {
    let world = World::of_profile(|profile| profile.validity_min = Some(DAY));
    let process = world.start();
    let account = process.account();
    let now = world.clock.now();
    let at = |time: ingam_protocol::Timestamp| Some(time.to_rfc3339());
    let second = HOUR / 3600;
    for (why, not_before, not_after) in [
        ("no time", Some("tomorrow".to_owned()), None),
        ("earlier than the profile puts it back", at(now.minus(HOUR + second)), None),
        ("too far ahead", at(now.plus(2 * DAY + second)), None),
        ("too short", None, at(now.plus(HOUR))),
        ("too long", None, at(now.plus(90 * DAY))),
        ("backwards", at(now.plus(DAY)), at(now)),
    ] {
        let wish = NewOrder { not_before, not_after, ..new_order(&["a.example.org"]) };
        assert_eq!(refusal(process.try_order(&account, wish)).error, ErrorType::Malformed, "{why}");
    }
    process.stop();
}

#[test]
fn a_wish_that_time_has_overtaken_is_refused_at_finalize() {
    let world = World::of_profile(|profile| profile.validity_min = Some(DAY));
    let process = world.start();
    let account = process.account();
    let wish = NewOrder { not_before: Some(world.clock.now().to_rfc3339()), ..new_order(&["a.example.org"]) };
    let order = process.try_order(&account, wish).unwrap();
    process.make_ready(&account, &order);
    world.clock.advance(2 * DAY + HOUR);
    let refused = refusal(process.finalize(&account, order.order.id, &csr(&Key::new(), &["a.example.org"])));
    assert!(refused.detail.contains("notBefore"), "{}", refused.detail);
    process.stop();
}

#[test]
fn a_profile_keeps_to_its_domains() {
    let world = World::of_profile(|profile| {
        profile.identifiers.below = [Domain::parse("corp.example").unwrap()].into();
        profile.identifiers.wildcards = false;
    });
    let process = world.start();
    let account = process.account();
    assert_eq!(process.order(&account, &["corp.example", "a.corp.example"]).status, OrderStatus::Pending);
    let refused = refusal(process.try_order(&account, new_order(&["a.example.org", "*.corp.example"])));
    let mut why: Vec<_> = refused.subproblems.iter().map(|one| one.detail.as_str()).collect();
    why.sort_unstable();
    assert_eq!(why, ["this profile has no wildcards", "this profile is for other domains"]);
    process.stop();
}

#[test]
fn a_profile_takes_its_kinds_of_keys_alone() {
    let world = World::of_profile(|profile| profile.key_types = [KeyType::Rsa].into());
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]);
    let refused = refusal(process.finalize(&account, order.order.id, &csr(&Key::new(), &["a.example.org"])));
    assert_eq!(refused.error, ErrorType::BadCsr);
    assert!(refused.detail.contains("rsa"), "{}", refused.detail);
    assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Ready, "nothing was lost");
    process.stop();
}

#[test]
fn a_profile_for_listed_accounts_is_for_nobody_else() {
    let mut world = World::new();
    let process = world.start();
    let (account, other) = (process.account(), process.account());
    let order = process.ready_order(&other, &["a.example.org"]);
    process.stop();
    world.change_profile(|profile| profile.accounts = Accounts::Listed([account.id].into()));
    let process = world.start();
    assert_eq!(process.order(&account, &["a.example.org"]).status, OrderStatus::Pending);
    let refused = refusal(process.try_order(&other, new_order(&["a.example.org"])));
    assert_eq!(refused.error, ErrorType::Unauthorized);
    // What was ordered before the list was made is looked at again.
    let refused = refusal(process.finalize(&other, order.order.id, &csr(&Key::new(), &["a.example.org"])));
    assert_eq!(refused.error, ErrorType::Unauthorized);
    process.stop();
}

#[test]
fn changed_terms_are_agreed_to_before_the_next_order() {
    let mut world = World::new();
    let process = world.start();
    let account = process.account_with(&Key::new(), &[]);
    process.stop();
    world.policy.terms_of_service = Some("https://ca.test/terms".to_owned());
    world.policy.terms_since = Some(world.clock.now().plus(DAY));
    let process = world.start();
    assert_eq!(process.order(&account, &["a.example.org"]).status, OrderStatus::Pending, "not in force yet");
    world.clock.advance(DAY);
    let refused = refusal(process.try_order(&account, new_order(&["a.example.org"])));
    assert_eq!(refused.error, ErrorType::UserActionRequired);
    let update = AccountUpdate { contact: None, status: None, terms_of_service_agreed: Some(true) };
    let account = process.run(process.authority.account_update(&account, update, &caller())).unwrap();
    assert_eq!(process.order(&account, &["a.example.org"]).status, OrderStatus::Pending);
    process.stop();
}

#[test]
fn what_became_too_short_or_is_not_offered_any_more_is_refused_and_no_fault() {
    let mut world = World::of_profile(|profile| profile.validity_min = Some(DAY));
    let process = world.start();
    let account = process.account();
    let until = world.clock.now().plus(DAY);
    let wish = NewOrder { not_after: Some(until.to_rfc3339()), ..new_order(&["a.example.org"]) };
    let order = process.try_order(&account, wish).unwrap();
    process.make_ready(&account, &order);
    let wild = process.ready_order(&account, &["*.example.org"]);
    world.clock.advance(2 * HOUR);
    let refused = refusal(process.finalize(&account, order.order.id, &csr(&Key::new(), &["a.example.org"])));
    assert!(refused.detail.contains("notAfter"), "{}", refused.detail);
    process.stop();
    world.change_profile(|profile| profile.identifiers.wildcards = false);
    let process = world.start();
    let refused = refusal(process.finalize(&account, wild.order.id, &csr(&Key::new(), &["*.example.org"])));
    assert_eq!(refused.error, ErrorType::RejectedIdentifier);
    process.stop();
}
