//! Proves that orders of a profile with several issuers are shared out by weight, that one which stands by or ends too early
//! signs nothing, and that certificates may have what their profile says alone.

use std::collections::BTreeMap;
use std::time::Duration;

use ingam_authority::PublicRules;
use ingam_authority::error::Error;
use ingam_protocol::Timestamp;
use ingam_protocol::acme::{ErrorType, OrderStatus};
use ingam_protocol::profile::{IssuerName, Issuers, Purpose};
use ingam_protocol::time::Clock as _;

use crate::world::{DAY, Key, Process, World, csr, new_order, refusal};

fn name(text: &str) -> IssuerName {
    text.to_owned().try_into().unwrap()
}

fn weigh(world: &mut World, weights: &[(&str, u16)]) {
    let weights = weights.iter().map(|(text, weight)| (name(text), *weight)).collect();
    world.change_profile(|profile| profile.issuers = Issuers::weighted(weights).unwrap());
}

/// How many of so many new certificates each issuer signed.
fn shares(process: &Process, count: usize) -> BTreeMap<String, usize> {
    let (account, key) = (process.account(), Key::new());
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        let ready = process.ready_order(&account, &["a.example.org"]);
        process.finalize(&account, ready.order.id, &csr(&key, &["a.example.org"])).unwrap();
        let order = process.store.order_by_id(ready.order.id).unwrap().unwrap();
        *shares.entry(order.claim.unwrap().issuer.to_string()).or_default() += 1;
    }
    shares
}

#[test]
fn orders_are_shared_out_by_weight() {
    let mut world = World::of_issuers(&["ecdsa", "other", "standby"]);
    weigh(&mut world, &[("ecdsa", 1), ("other", 1), ("standby", 0)]);
    let process = world.start();
    let shares = shares(&process, 24);
    assert_eq!(shares.keys().collect::<Vec<_>>(), ["ecdsa", "other"]);
    assert!(shares.values().all(|share| *share >= 4), "{shares:?}");
    // The next order goes by other weights, in the same process.
    weigh(&mut world, &[("ecdsa", 0), ("other", 0), ("standby", 1)]);
    process.authority.policy_replace(world.policy.clone());
    assert_eq!(self::shares(&process, 3), [("standby".to_owned(), 3)].into());
    process.stop();
}

#[test]
fn an_issuer_that_ends_before_the_certificate_signs_no_more() {
    let mut world = World::of_issuers(&["ecdsa", "other"]);
    weigh(&mut world, &[("ecdsa", 1000), ("other", 1)]);
    // The last second of a certificate of ninety days that is signed now.
    let last = world.clock.now().plus(90 * DAY).minus(Duration::from_secs(3601));
    world.ends.insert(name("ecdsa"), last.minus(Duration::from_secs(1)));
    let process = world.start();
    assert_eq!(shares(&process, 4), [("other".to_owned(), 4)].into());
    process.stop();

    world.ends.insert(name("ecdsa"), last);
    let process = world.start();
    assert!(shares(&process, 4).contains_key("ecdsa"));
    process.stop();

    for issuer in ["ecdsa", "other"] {
        world.ends.insert(name(issuer), last.minus(Duration::from_secs(1)));
    }
    let process = world.start();
    let (account, key) = (process.account(), Key::new());
    let ready = process.ready_order(&account, &["a.example.org"]);
    match process.finalize(&account, ready.order.id, &csr(&key, &["a.example.org"])) {
        Err(Error::Fault(fault)) => assert_eq!(fault.code, "issuer_ends"),
        other => panic!("{other:?}"),
    }
    assert_eq!(process.order_status(&account, ready.order.id), OrderStatus::Ready, "nothing is lost");
    process.stop();
}

#[test]
fn an_issuer_whose_token_is_out_is_passed_over_while_another_signs() {
    let mut world = World::of_issuers(&["ecdsa", "other", "standby"]);
    weigh(&mut world, &[("ecdsa", 1000), ("other", 1), ("standby", 0)]);
    let process = world.start();
    process.signer.take_out([name("ecdsa")]);
    assert_eq!(shares(&process, 3), [("other".to_owned(), 3)].into());

    // With both out, the order waits for one of them, though a third is there that does not sign.
    process.signer.take_out([name("ecdsa"), name("other")]);
    let (account, key) = (process.account(), Key::new());
    let ready = process.ready_order(&account, &["a.example.org"]);
    process.finalize(&account, ready.order.id, &csr(&key, &["a.example.org"])).unwrap();
    assert_eq!(process.order_status(&account, ready.order.id), OrderStatus::Processing);
    assert!(process.run(process.authority.signer_is_there()));
    let token = || process.store.order_by_id(ready.order.id).unwrap().unwrap().claim.unwrap().token;
    let before = token();
    assert_eq!(process.run(process.authority.issuances_resume()).unwrap(), (0, 0));
    assert_eq!(token(), before, "nothing is written meanwhile");
    process.signer.take_out([]);
    assert_eq!(process.run(process.authority.issuances_resume()).unwrap(), (1, 0));
    assert_eq!(process.order_status(&account, ready.order.id), OrderStatus::Valid);
    process.stop();
}

#[test]
fn what_was_claimed_goes_on_once_its_issuer_stands_by() {
    let mut world = World::of_issuers(&["ecdsa", "other"]);
    weigh(&mut world, &[("ecdsa", 1), ("other", 0)]);
    let process = world.start();
    let (account, key) = (process.account(), Key::new());
    let ready = process.ready_order(&account, &["a.example.org"]);
    let claim = process.claim_and_stop(&account, ready.order.id, &csr(&key, &["a.example.org"]));
    process.stop();

    weigh(&mut world, &[("ecdsa", 0), ("other", 1)]);
    let process = world.start();
    assert_eq!(process.resume_at_start(), (1, 0));
    assert_eq!(process.order_status(&account, ready.order.id), OrderStatus::Valid);
    assert!(process.status(&claim.serial).is_some(), "by the issuer that it was recorded with");
    assert_eq!(shares(&process, 3), [("other".to_owned(), 3)].into());
    process.stop();
}

#[test]
fn clients_get_no_certificates_for_the_public_from_the_day_on() {
    let mut world = World::new();
    world.policy.public_rules = PublicRules { lengths: true, corroboration: None };
    let with_clients = |world: &mut World, is_public| {
        world.change_profile(|profile| {
            profile.is_public = is_public;
            profile.valid_authorization_lifetime = 30 * DAY;
            profile.contents.purposes = vec![Purpose::ServerAuth, Purpose::ClientAuth];
        });
    };
    with_clients(&mut world, true);
    let day = Timestamp::from_rfc3339("2027-03-15T00:00:00Z").unwrap();
    world.clock.advance(day.minus(Duration::from_secs(1)).since(world.clock.now()));
    let process = world.start();
    let (account, key) = (process.account(), Key::new());
    process.certificate(&account, &key, "a.example.org");
    let ready = process.ready_order(&account, &["b.example.org"]);
    world.clock.advance(Duration::from_secs(1));
    let refused = refusal(process.try_order(&account, new_order(&["c.example.org"])));
    assert_eq!(refused.error, ErrorType::ServerInternal);
    assert!(
        refused.detail.contains("client-auth") && refused.detail.contains("2027-03-15"),
        "{}",
        refused.detail
    );
    let refused = refusal(process.finalize(&account, ready.order.id, &csr(&key, &["b.example.org"])));
    assert_eq!(refused.error, ErrorType::ServerInternal);
    process.stop();

    with_clients(&mut world, false);
    let process = world.start();
    process.certificate(&account, &key, "d.example.org");
    process.stop();
}
