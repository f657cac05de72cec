//! Which identifiers get certificates: what the configuration says, what operators say, and the reasons that clients read.

use std::sync::Arc;

use ingam_authority::operator::{Act, NameVerdict};
use ingam_authority::{Refusal, Restrictions};
use ingam_protocol::acme::{
    Account, ChallengeType, ErrorType, Finished, NewOrder, UnreadIdentifier, Verdict,
};
use ingam_protocol::bytes::base64url;
use ingam_protocol::identifier::{DnsName, Domain};
use ingam_protocol::name_list::NameList;

use crate::world::operator::act;
use crate::world::{Key, Process, World, caller, csr, refusal};

fn domains(names: &[&str]) -> Vec<Domain> {
    names.iter().map(|name| Domain::parse(name).unwrap()).collect()
}

fn list(text: &str) -> Arc<NameList> {
    Arc::new(NameList::parse(text).unwrap())
}

/// A public CA's, with one name blocked.
fn public() -> Restrictions {
    Restrictions {
        refused: domains(&["secret.example.org"]),
        public_rules: true,
        special_use_allowed: domains(&["internal"]),
        own: ["acme.ca.example.org", "ca.example.org"].map(|name| DnsName::parse(name).unwrap()).into(),
        blocked: list("bank.example.net\n*.casino.example.net\n"),
        ..Restrictions::default()
    }
}

fn started(restrictions: Restrictions) -> (World, Process, Account) {
    let mut world = World::new();
    world.policy.restrictions = restrictions;
    let process = world.start();
    let account = process.account();
    (world, process, account)
}

fn ask(process: &Process, account: &Account, names: &[&str]) -> Result<(), Refusal> {
    let request = NewOrder {
        identifiers: names.iter().map(|name| UnreadIdentifier::dns(*name)).collect(),
        not_before: None,
        not_after: None,
        profile: None,
        replaces: None,
    };
    let outcome = process.run(process.authority.order_create(account, request, &caller()));
    if outcome.is_ok() { Ok(()) } else { Err(refusal(outcome)) }
}

fn why(process: &Process, account: &Account, name: &str) -> Option<String> {
    let refusal = ask(process, account, &[name]).err()?;
    assert_eq!(refusal.error, ErrorType::RejectedIdentifier, "{name}");
    assert_eq!(refusal.subproblems.len(), 1, "{name}");
    Some(refusal.subproblems[0].detail.clone())
}

#[test]
fn a_public_ca_says_why_not() {
    let (_world, process, account) = started(public());
    for (name, words) in [
        ("a.secret.example.org", "no certificates for secret.example.org and names below it"),
        ("host.internal", "names under internal are of special use"),
        ("1.2.0.192.in-addr.arpa", "names under in-addr.arpa are of special use"),
        ("*.co.uk", "would cover every domain that is registered under co.uk"),
        ("co.uk", "co.uk is a public suffix, under which anybody can register: ask for a name below it"),
        ("acme.ca.example.org", "acme.ca.example.org is a name of this CA itself"),
        ("*.example.org", "would cover ca.example.org, a name of this CA itself"),
        ("*.ca.example.org", "would cover acme.ca.example.org, a name of this CA itself"),
        ("bank.example.net", "issues no certificates for bank.example.net"),
        ("*.example.net", "would cover a name that this CA issues no certificates for"),
        ("www.casino.example.net", "issues no certificates for www.casino.example.net"),
        ("*.casino.example.net", "issues no certificates for *.casino.example.net"),
    ] {
        let told = why(&process, &account, name).unwrap_or_else(|| panic!("{name} was not refused"));
        assert!(told.contains(words), "{name}: {told}");
    }
    // Guests of a company have names of their own, and so may the company (the private part of the list).
    for name in ["example.co.uk", "*.example.co.uk", "github.io", "*.github.io", "someone.github.io"] {
        assert_eq!(why(&process, &account, name), None, "{name}");
    }
    for name in ["www.bank.example.net", "*.bank.example.net", "www.ca.example.org", "example.org"] {
        assert_eq!(why(&process, &account, name), None, "{name}");
    }
    process.stop();
}

#[test]
fn private_profiles_may_have_names_of_special_use_and_public_suffixes() {
    let mut world = World::of_profile(|profile| profile.is_public = false);
    world.policy.restrictions = public();
    let process = world.start();
    let account = process.account();
    for name in ["host.internal", "*.host.internal", "co.uk", "*.co.uk"] {
        assert_eq!(why(&process, &account, name), None, "{name}");
    }
    for name in ["host.local", "1.2.0.192.in-addr.arpa"] {
        assert!(why(&process, &account, name).unwrap().contains("of special use"), "{name}");
    }
    process.stop();
}

#[test]
fn nobody_speaks_for_a_public_suffix() {
    let mut world = World::of_profile(|profile| profile.identifiers.ancestors = true);
    world.policy.restrictions = public();
    let process = world.start();
    let account = process.account();
    let order = |ancestor: &str| {
        let identifier = UnreadIdentifier {
            ancestor_domain: Some(ancestor.to_owned()),
            ..UnreadIdentifier::dns("www.example.co.uk")
        };
        let request = NewOrder {
            identifiers: vec![identifier],
            not_before: None,
            not_after: None,
            profile: None,
            replaces: None,
        };
        process.run(process.authority.order_create(&account, request, &caller()))
    };
    order("example.co.uk").unwrap();
    let refused = refusal(order("co.uk"));
    assert!(refused.detail.contains("\"ancestorDomain\" is a public suffix"), "{}", refused.detail);
    process.stop();
}

#[test]
fn several_bad_names_are_told_one_by_one() {
    let (_world, process, account) = started(public());
    let refusal =
        ask(&process, &account, &["co.uk", "www.example.org", "x.local", "bank.example.net"]).unwrap_err();
    assert_eq!(refusal.error, ErrorType::RejectedIdentifier);
    let told: Vec<_> = refusal.subproblems.iter().map(|one| (one.identifier.as_str(), one.error)).collect();
    let rejected = ErrorType::RejectedIdentifier;
    assert_eq!(told, [("co.uk", rejected), ("x.local", rejected), ("bank.example.net", rejected)]);
    process.stop();
}

#[test]
fn with_a_list_of_allowed_names_there_are_no_others() {
    let allowed = Some(list("example.org\n*.apps.example.org\nacme.ca.example.org\n"));
    let (_world, process, account) = started(Restrictions { allowed, ..public() });
    for name in ["example.org", "apps.example.org", "a.b.apps.example.org", "*.apps.example.org"] {
        assert_eq!(why(&process, &account, name), None, "{name}");
    }
    for name in ["www.example.org", "example.com", "*.example.org"] {
        let told = why(&process, &account, name).unwrap();
        assert!(told.contains("names on its list alone"), "{name}: {told}");
    }
    assert_eq!(why(&process, &account, "acme.ca.example.org"), None, "its own name, by its operator's word");
    process.stop();
}

#[test]
fn a_rule_lets_a_name_of_the_ca_itself_through_and_nothing_that_is_configured() {
    let (_world, process, account) = started(public());
    let rule: Act = act("name.rule");
    for name in ["acme.ca.example.org", "a.secret.example.org", "host.internal", "co.uk", "bank.example.net"]
    {
        let name = DnsName::parse(name).unwrap();
        let made = process.authority.name_rule_put(&rule, name, NameVerdict::Allow, true);
        process.run(made).unwrap();
    }
    assert_eq!(why(&process, &account, "acme.ca.example.org"), None);
    for name in ["ca.example.org", "a.secret.example.org", "host.internal", "co.uk", "bank.example.net"] {
        assert!(why(&process, &account, name).is_some(), "{name}");
    }
    process.stop();
}

#[test]
fn what_is_blocked_later_stops_a_ready_order() {
    let (world, process, account) = started(Restrictions::default());
    let ready = process.ready_order(&account, &["www.example.org"]);
    let mut policy = world.policy.clone();
    policy.restrictions.blocked = list("www.example.org");
    process.authority.policy_replace(policy);
    let request = csr(&Key::new(), &["www.example.org"]);
    let refused = refusal(process.finalize(&account, ready.order.id, &request));
    assert_eq!(refused.error, ErrorType::RejectedIdentifier);
    process.authority.policy_replace(world.policy.clone());
    process.finalize(&account, ready.order.id, &request).unwrap();
    process.stop();
}

#[test]
fn a_check_knows_every_key_that_the_account_had() {
    let (world, process, account) = started(Restrictions::default());
    let thumbprint = |key: &Key| base64url(&key.public().thumbprint());
    let (second, third) = (Key::new(), Key::new());
    let first = base64url(&account.key.thumbprint());
    let account =
        process.run(process.authority.account_key_change(&account, second.public(), &caller())).unwrap();
    let account =
        process.run(process.authority.account_key_change(&account, third.public(), &caller())).unwrap();
    let order = process.order(&account, &["www.example.org"]);
    process.answer_and_wait(&account, order.order.authorizations[0], ChallengeType::Dns01);
    let attempt = &world.validation.script.attempts()[0];
    assert_eq!(attempt.thumbprints, [thumbprint(&third), thumbprint(&second), first]);
    assert_eq!(attempt.account_hash_prefix, "https://ca.test/account-hash/");
    let authorization =
        process.authority.authorization_of(&account, order.order.authorizations[0]).unwrap().unwrap();
    let finished: Option<&Finished> = authorization.valid_challenge().and_then(|one| one.finished.as_ref());
    assert_eq!(finished.map(|one| (&one.verdict, one.until)), Some((&Verdict::Valid, None)));
    process.stop();
}
