//! Proves that limits let through exactly what they promise: at once, over time, by an operator's exception and in a dry run;
//! and that an account whose checks go on failing is paused until it says that it is there.

use std::collections::BTreeMap;
use std::time::Duration;

use ingam_authority::operator::OwnLimit;
use ingam_authority::{AccountFound, Caller, PauseRule, Refusal};
use ingam_protocol::Id;
use ingam_protocol::acme::{
    Account, AccountUpdate, ChallengeType, ErrorType, NewAccount, NewAuthorization, NewOrder, Order,
    OrderStatus, Replaced, UnreadIdentifier,
};
use ingam_protocol::identifier::DnsName;
use ingam_protocol::limit::{Favoured, Limit, LimitName};
use ingam_protocol::record::RecordType;
use ingam_protocol::time::Clock;
use ingam_store::{AbandonedBy, Admission, Admitted};

use crate::world::operator::{act, failed};
use crate::world::{DAY, HOUR, Key, LEASE, Process, Step, World, caller, csr, refusal};

/// A world with these limits, each for an hour.
fn limited(limits: &[(LimitName, u32)]) -> World {
    let mut world = World::new();
    let limit = |count: u32| Limit::new(count, HOUR, count).unwrap();
    world.policy.rate_limits.limits =
        limits.iter().map(|(name, count)| (*name, limit(*count))).collect::<BTreeMap<_, _>>();
    world.policy.rate_limits.unpause_url = "https://ca.test/unpause".to_owned();
    world
}

fn wish(names: &[&str]) -> NewOrder {
    NewOrder {
        identifiers: names.iter().map(|name| UnreadIdentifier::dns(*name)).collect(),
        not_before: None,
        not_after: None,
        profile: None,
        replaces: None,
    }
}

fn order_refused(process: &Process, account: &Account, names: &[&str]) -> Refusal {
    refusal(process.run(process.authority.order_create(account, wish(names), &caller())))
}

/// A refusal by this limit, which says when to come back.
#[track_caller]
fn assert_limited(refused: &Refusal, limit: LimitName, wait: Duration) {
    assert_eq!(refused.error, ErrorType::RateLimited, "{refused:?}");
    assert!(refused.detail.contains(limit.name()), "{}", refused.detail);
    assert_eq!(refused.retry_after, Some(wait), "{}", refused.detail);
}

#[test]
fn fifty_orders_at_once_are_as_many_as_the_limit_lets_through() {
    let world = limited(&[(LimitName::NewOrdersPerAccount, 10)]);
    let process = world.start();
    let account = process.account();
    let outcomes = process.run(async {
        let mut orders = tokio::task::JoinSet::new();
        for number in 0..50 {
            let (authority, account) = (process.authority.clone(), account.clone());
            orders.spawn(async move {
                let name = format!("n{number}.example.org");
                authority.order_create(&account, wish(&[&name]), &caller()).await
            });
        }
        orders.join_all().await
    });
    let (made, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (10, 40));
    for outcome in refused {
        assert_limited(&refusal(outcome), LimitName::NewOrdersPerAccount, HOUR / 10);
    }
    assert_eq!(process.authority.orders(&account, None).unwrap().0.len(), 10);
    // Somebody else is not hindered, and one more comes with time.
    let other = process.account();
    process.order(&other, &["a.example.org"]);
    world.clock.advance(HOUR / 10);
    process.order(&account, &["a.example.org"]);
    assert_limited(
        &order_refused(&process, &account, &["a.example.org"]),
        LimitName::NewOrdersPerAccount,
        HOUR / 10,
    );
    process.stop();
}

#[test]
fn new_accounts_are_counted_by_address_and_those_that_are_there_are_found() {
    let world = limited(&[(LimitName::NewAccountsPerAddress, 2), (LimitName::NewAccountsPerRange, 1)]);
    let process = world.start();
    let from = |address: &str, key: &Key| {
        let who = Caller { address: address.parse().unwrap(), ..caller() };
        let request = NewAccount {
            contact: Some(vec!["mailto:a@example.org".to_owned()]),
            terms_of_service_agreed: false,
            only_return_existing: false,
            external_account_binding: None,
        };
        process.run(process.authority.account_create(key.public(), request, &who))
    };
    let (first, second, third) = (Key::new(), Key::new(), Key::new());
    from("192.0.2.1", &first).unwrap();
    from("192.0.2.1", &second).unwrap();
    assert_limited(&refusal(from("192.0.2.1", &third)), LimitName::NewAccountsPerAddress, HOUR / 2);
    assert!(matches!(from("192.0.2.1", &first).unwrap(), AccountFound::Existing(_)));
    from("192.0.2.2", &third).unwrap();
    from("2001:db8:1::1", &Key::new()).unwrap();
    let refused = refusal(from("2001:db8:1:ffff::2", &Key::new()));
    assert_limited(&refused, LimitName::NewAccountsPerRange, HOUR);
    from("2001:db8:2::1", &Key::new()).unwrap();
    process.stop();
}

#[test]
fn certificates_are_counted_by_registered_domain_when_they_are_claimed() {
    let world = limited(&[(LimitName::CertificatesPerRegisteredDomain, 2)]);
    let process = world.start();
    let (one, other) = (process.account(), process.account());
    // Orders alone use nothing up: somebody who has no control of a name hinders nobody.
    let early: Vec<_> = (0..5).map(|_| process.order(&other, &["a.example.org"])).collect();
    process.certificate(&one, &Key::new(), "a.example.org");
    let order = process.ready_order(&one, &["b.example.org", "www.example.com"]);
    let late = process.make_ready(&other, &early[0]);
    let request = csr(&Key::new(), &["b.example.org", "www.example.com"]);
    assert_eq!(process.finalize(&one, order.order.id, &request).unwrap().status, OrderStatus::Valid);
    let limit = LimitName::CertificatesPerRegisteredDomain;
    let refused = order_refused(&process, &one, &["c.d.example.org"]);
    assert_limited(&refused, limit, HOUR / 2);
    assert!(refused.detail.contains("reached for example.org: 2 in 1 hour"), "{}", refused.detail);
    // One that was made before meets the limit at its end, and is still ready when there is room again.
    let request = csr(&Key::new(), &["a.example.org"]);
    assert_limited(&refusal(process.finalize(&other, late.order.id, &request)), limit, HOUR / 2);
    assert_eq!(process.order_status(&other, late.order.id), OrderStatus::Ready);
    process.order(&one, &["www.example.com"]);
    world.clock.advance(HOUR / 2);
    assert_eq!(process.finalize(&other, late.order.id, &request).unwrap().status, OrderStatus::Valid);
    process.stop();
}

#[test]
fn exactly_the_same_names_are_a_limit_of_their_own() {
    let world = limited(&[(LimitName::CertificatesPerExactSet, 1)]);
    let process = world.start();
    let (one, other) = (process.account(), process.account());
    process.certificate(&one, &Key::new(), "a.example.org");
    for account in [&one, &other] {
        let refused = order_refused(&process, account, &["A.example.org", "a.example.org"]);
        assert_limited(&refused, LimitName::CertificatesPerExactSet, HOUR);
    }
    process.order(&one, &["a.example.org", "b.example.org"]);
    process.stop();
}

#[test]
fn a_renewal_is_free_of_the_limits_on_certificates() {
    let world = limited(&[(LimitName::CertificatesPerExactSet, 1)]);
    let process = world.start();
    let account = process.account();
    let (first, _) = process.certificate(&account, &Key::new(), "a.example.org");
    order_refused(&process, &account, &["a.example.org"]);
    let renewal = Order {
        id: Id::new(world.clock.now(), world.random.as_ref()),
        replaces: Some(Replaced {
            issuer: first.issuer.clone().unwrap(),
            serial: first.order.certificate.clone().unwrap(),
            renews: true,
        }),
        waiting: None,
        claim: None,
        asked: None,
        precertificate: None,
        certificate: None,
        ..first.order
    };
    let record = process.records().pop().unwrap();
    let inserted = process.store.order_insert(renewal.clone(), Vec::new(), record, Admission::default());
    assert_eq!(process.run(inserted).unwrap(), Admitted::Yes);
    let request = csr(&Key::new(), &["a.example.org"]);
    assert_eq!(process.finalize(&account, renewal.id, &request).unwrap().status, OrderStatus::Valid);
    order_refused(&process, &account, &["a.example.org"]);
    process.stop();
}

#[test]
fn an_authorization_ahead_of_an_order_counts_as_one() {
    let world = limited(&[(LimitName::NewOrdersPerAccount, 2)]);
    let process = world.start();
    let account = process.account();
    process.order(&account, &["a.example.org"]);
    let ahead = |name: &str| {
        let identifier = UnreadIdentifier::dns(name);
        let request = NewAuthorization { identifier, subdomain_auth_allowed: false };
        process.run(process.authority.authorization_create(&account, request, &caller()))
    };
    ahead("b.example.org").unwrap();
    let refused = refusal(ahead("c.example.org"));
    assert_limited(&refused, LimitName::NewOrdersPerAccount, HOUR / 2);
    process.stop();
}

#[test]
fn a_refused_order_spends_nothing_of_its_other_limits() {
    let world = limited(&[(LimitName::NewOrdersPerAccount, 2), (LimitName::CertificatesPerExactSet, 1)]);
    let process = world.start();
    let account = process.account();
    process.certificate(&account, &Key::new(), "a.example.org");
    for _ in 0..10 {
        let refused = order_refused(&process, &account, &["a.example.org"]);
        assert_limited(&refused, LimitName::CertificatesPerExactSet, HOUR);
    }
    process.order(&account, &["b.example.org"]);
    let refused = order_refused(&process, &account, &["b.example.org"]);
    assert_limited(&refused, LimitName::NewOrdersPerAccount, HOUR / 2);
    process.stop();
}

#[test]
fn what_an_abandoned_order_spent_is_put_back_once() {
    let world = limited(&[(LimitName::CertificatesPerExactSet, 1)]);
    let mut process = world.start();
    let account = process.account();
    process.signer.break_at(Step::Issue);
    let order = process.ready_order(&account, &["a.example.org"]);
    let _ = process.finalize(&account, order.order.id, &csr(&Key::new(), &["a.example.org"]));
    assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Invalid);
    process.signer.break_at(Step::Never);

    // The same for one whose holder died, whoever finds it, however often.
    let order = process.ready_order(&account, &["a.example.org"]);
    process.claim_and_stop(&account, order.order.id, &csr(&Key::new(), &["a.example.org"]));
    assert_limited(
        &order_refused(&process, &account, &["a.example.org"]),
        LimitName::CertificatesPerExactSet,
        HOUR,
    );
    process.kill_tasks();
    world.clock.advance(LEASE);
    let failure =
        ingam_protocol::acme::Failure { error: ErrorType::ServerInternal, detail: "gone".to_owned() };
    let by = AbandonedBy::Finder { over_by: world.clock.now() };
    for _ in 0..2 {
        let record = process.records().pop().unwrap();
        let abandoned =
            process.store.order_abandon(order.order.id, by, failure.clone(), world.clock.now(), record);
        let _ = process.run(abandoned).unwrap();
    }
    process.certificate(&account, &Key::new(), "a.example.org");
    order_refused(&process, &account, &["a.example.org"]);
    process.stop();
}

#[test]
fn checks_of_one_name_fail_as_often_as_the_limit_says_and_good_ones_cost_nothing() {
    let limit = LimitName::FailedValidations;
    let world = limited(&[(limit, 2)]);
    let process = world.start();
    let account = process.account();
    for _ in 0..5 {
        process.ready_order(&account, &["good.example.org"]);
    }
    world.validation.fail("bad.example.org");
    let orders: Vec<_> = (0..3).map(|_| process.order(&account, &["bad.example.org"])).collect();
    // Two are under way: a third may fail, too, and has to wait.
    world.validation.hold(ChallengeType::Http01);
    let authorization = |number: usize| orders[number].order.authorizations[0];
    for number in 0..2 {
        process.answer(&account, authorization(number), ChallengeType::Http01);
    }
    let (authority, who) = (&process.authority, caller());
    let third = authority.challenge_answer(&account, authorization(2), ChallengeType::Http01, &who);
    assert_limited(&refusal(process.run(third)), limit, HOUR / 2);
    world.validation.release();
    process.until("the checks have ended", || process.store.challenges_open(1).unwrap().is_empty());
    let refused = order_refused(&process, &account, &["good.example.org", "bad.example.org"]);
    assert_limited(&refused, limit, HOUR / 2);
    assert!(refused.detail.contains("bad.example.org with the account"), "{}", refused.detail);
    let other = process.account();
    process.order(&other, &["bad.example.org"]);
    process.order(&account, &["good.example.org"]);
    world.clock.advance(HOUR / 2);
    process.answer_and_wait(&account, authorization(2), ChallengeType::Http01);
    process.stop();
}

#[test]
fn limits_outlive_the_process_and_full_buckets_are_forgotten() {
    let world = limited(&[(LimitName::NewOrdersPerAccount, 1), (LimitName::NewAccountsPerAddress, 2)]);
    let process = world.start();
    let account = process.account();
    process.order(&account, &["a.example.org"]);
    world.crash(process);
    let process = world.start();
    order_refused(&process, &account, &["a.example.org"]);
    assert_eq!(process.rows("limit_buckets"), 2);
    process.run(process.authority.limits_sweep()).unwrap();
    assert_eq!(process.rows("limit_buckets"), 2);
    world.clock.advance(HOUR / 2);
    process.run(process.authority.limits_sweep()).unwrap();
    assert_eq!(process.rows("limit_buckets"), 1, "the address is gone");
    world.clock.advance(HOUR / 2);
    process.run(process.authority.limits_sweep()).unwrap();
    assert_eq!(process.rows("limit_buckets"), 0);
    process.order(&account, &["a.example.org"]);
    process.stop();
}

fn own(world: &World, limit: LimitName, favoured: Favoured, count: u32) -> OwnLimit {
    OwnLimit { limit, favoured, count, period: None, burst: None, until: world.clock.now().plus(DAY) }
}

#[test]
fn an_exception_holds_at_once_and_ends_by_its_date() {
    let limit = LimitName::NewOrdersPerAccount;
    let world = limited(&[(limit, 1)]);
    let process = world.start();
    let account = process.account();
    process.order(&account, &["a.example.org"]);
    order_refused(&process, &account, &["a.example.org"]);
    let favoured = Favoured::Account(account.id);
    let put = |count| {
        let wish = own(&world, limit, favoured.clone(), count);
        process.run(process.authority.limit_override_put(&act("limit.override"), wish)).unwrap()
    };
    put(3);
    for _ in 0..3 {
        process.order(&account, &["a.example.org"]);
    }
    assert_limited(&order_refused(&process, &account, &["a.example.org"]), limit, HOUR / 3);
    assert_eq!(process.records_of(RecordType::OrderCreated).len(), 4);
    world.clock.advance(DAY);
    process.order(&account, &["a.example.org"]);
    assert_limited(&order_refused(&process, &account, &["a.example.org"]), limit, HOUR);

    // A new one begins with nothing spent; taken back, the ordinary limit is where it was.
    put(2);
    process.order(&account, &["a.example.org"]);
    let forget = || {
        let act = act("limit.override");
        process.run(process.authority.limit_override_forget(&act, limit, favoured.clone()))
    };
    forget().unwrap();
    assert_limited(&order_refused(&process, &account, &["a.example.org"]), limit, HOUR);
    assert_eq!(failed(forget()), "not found");
    process.stop();
}

#[test]
fn an_accounts_own_limit_on_a_domain_leaves_that_of_everybody_alone() {
    let limit = LimitName::CertificatesPerRegisteredDomain;
    let world = limited(&[(limit, 1)]);
    let process = world.start();
    let (one, other) = (process.account(), process.account());
    process.certificate(&other, &Key::new(), "a.example.org");
    let put = |favoured, count| {
        let wish = own(&world, limit, favoured, count);
        process.run(process.authority.limit_override_put(&act("limit.override"), wish))
    };
    put(Favoured::Account(one.id), 2).unwrap();
    process.certificate(&one, &Key::new(), "b.example.org");
    process.certificate(&one, &Key::new(), "c.example.org");
    order_refused(&process, &one, &["d.example.org"]);
    order_refused(&process, &other, &["d.example.org"]);
    let domain = |name: &str| Favoured::Domain(DnsName::parse(name).unwrap());
    put(domain("example.org"), 5).unwrap();
    process.certificate(&other, &Key::new(), "d.example.org");
    order_refused(&process, &one, &["d.example.org"]);

    assert_eq!(failed(put(domain("www.example.org"), 5)), "invalid");
    assert_eq!(failed(put(domain("co.uk"), 5)), "invalid");
    assert_eq!(failed(put(domain("example.org"), 0)), "invalid");
    assert_eq!(failed(put(Favoured::Account(Id::from_bytes([1; 16])), 5)), "not found");
    let off = own(&world, LimitName::NewOrdersPerAccount, Favoured::Account(one.id), 5);
    let off = process.run(process.authority.limit_override_put(&act("limit.override"), off));
    assert_eq!(failed(off), "invalid");
    let shown = process.authority.limits_of(&domain("example.org")).unwrap();
    assert_eq!((shown.limits[0].left.remaining, shown.overrides.len()), (4, 1));
    assert_eq!(process.authority.limit_overrides(None, 10).unwrap().items.len(), 2);
    process.stop();
}

#[test]
fn a_dry_run_tells_the_nearest_limit_and_spends_nothing() {
    let world = limited(&[
        (LimitName::NewOrdersPerAccount, 9),
        (LimitName::CertificatesPerExactSet, 2),
        (LimitName::FailedValidations, 5),
    ]);
    let process = world.start();
    let account = process.account();
    process.certificate(&account, &Key::new(), "a.example.org");
    let rows = process.rows("limit_buckets");
    for _ in 0..20 {
        let found = process.authority.order_dry_run(&account, &wish(&["a.example.org"])).unwrap();
        let told: Vec<_> =
            found.limits.iter().map(|one| (one.limit, one.left.remaining, one.in_force.burst())).collect();
        assert_eq!(
            told,
            [
                (LimitName::CertificatesPerExactSet, 1, 2),
                (LimitName::FailedValidations, 5, 5),
                (LimitName::NewOrdersPerAccount, 8, 9),
            ]
        );
        assert!(found.refusals.is_empty());
    }
    assert_eq!(process.rows("limit_buckets"), rows);
    assert_eq!(process.authority.orders(&account, None).unwrap().0.len(), 1, "no order was made");
    let found = process.authority.order_dry_run(&account, &wish(&["not a name"])).unwrap();
    assert_eq!(found.refusals[0].error, ErrorType::RejectedIdentifier);
    assert_eq!(found.limits.len(), 1, "what is known of any order");
    process.stop();
}

const RULE: PauseRule =
    PauseRule { failures: 3, over: DAY, forgotten_after: Duration::from_secs(90 * 24 * 60 * 60) };

fn fail_once(process: &Process, account: &Account, name: &str) {
    let order = process.order(account, &[name]);
    process.answer_and_wait(account, order.order.authorizations[0], ChallengeType::Http01);
}

/// An account whose checks of `zombie.example.org` failed for a day.
fn zombie(world: &World, process: &Process) -> Account {
    let account = process.account();
    world.validation.fail("zombie.example.org");
    for _ in 0..3 {
        fail_once(process, &account, "zombie.example.org");
    }
    // Often, and not for long enough yet.
    world.clock.advance(DAY);
    fail_once(process, &account, "zombie.example.org");
    account
}

#[test]
fn a_zombie_is_paused_and_lets_itself_go() {
    let mut world = limited(&[]);
    world.policy.rate_limits.pauses = Some(RULE);
    let process = world.start();
    let account = zombie(&world, &process);
    let refused = order_refused(&process, &account, &["a.example.org", "zombie.example.org"]);
    assert_eq!(refused.error, ErrorType::RateLimited);
    assert!(refused.detail.contains("https://ca.test/unpause"), "{}", refused.detail);
    assert_eq!(refused.subproblems.len(), 1);
    assert_eq!(refused.subproblems[0].identifier, "zombie.example.org");
    assert_eq!(refused.retry_after, Some(RULE.forgotten_after));
    let found = process.authority.order_dry_run(&account, &wish(&["zombie.example.org"])).unwrap();
    assert_eq!(found.refusals.len(), 1);
    // Other names, and other accounts, are not hindered.
    process.order(&account, &["a.example.org"]);
    process.order(&process.account(), &["zombie.example.org"]);

    let unpause = |names: &[&str]| {
        let wanted = wish(names).identifiers;
        process.run(process.authority.unpause(&account, &wanted, &caller())).unwrap().names
    };
    assert_eq!(unpause(&["a.example.org"]), [""; 0]);
    assert_eq!(process.records_of(RecordType::PausesLifted).len(), 0, "nothing was changed");
    order_refused(&process, &account, &["zombie.example.org"]);
    assert_eq!(unpause(&["Zombie.example.org"]), ["zombie.example.org"]);
    assert_eq!(process.records_of(RecordType::PausesLifted).len(), 1);
    // Counting begins anew.
    fail_once(&process, &account, "zombie.example.org");
    process.order(&account, &["zombie.example.org"]);
    process.stop();
}

#[test]
fn a_success_and_time_forget_failures_and_operators_let_go() {
    let mut world = limited(&[]);
    world.policy.rate_limits.pauses = Some(RULE);
    let process = world.start();
    let account = process.account();
    world.validation.fail("zombie.example.org");
    for _ in 0..5 {
        fail_once(&process, &account, "zombie.example.org");
    }
    world.validation.succeed("zombie.example.org");
    process.ready_order(&account, &["zombie.example.org"]);
    assert_eq!(process.rows("pauses"), 0);
    world.clock.advance(DAY);
    world.validation.fail("zombie.example.org");
    fail_once(&process, &account, "zombie.example.org");
    process.order(&account, &["zombie.example.org"]);

    let paused = zombie(&world, &process);
    let shown = process.authority.limits_of(&Favoured::Account(paused.id)).unwrap();
    assert_eq!((shown.pauses.len(), shown.pauses[0].failures), (1, 4));
    let unpause = || {
        let names = Vec::new();
        process.run(process.authority.account_unpause(&act("limit.unpause"), paused.id, names))
    };
    assert_eq!(unpause().unwrap(), ["zombie.example.org"]);
    assert_eq!(failed(unpause()), "not found");
    process.order(&paused, &["zombie.example.org"]);

    // A pause ends by itself, late; that of an account that has ended goes with the next sweep.
    let (forgotten, ended) = (zombie(&world, &process), zombie(&world, &process));
    let update = AccountUpdate {
        contact: None,
        status: Some("deactivated".to_owned()),
        terms_of_service_agreed: None,
    };
    process.run(process.authority.account_update(&ended, update, &caller())).unwrap();
    let before = process.rows("pauses");
    process.run(process.authority.limits_sweep()).unwrap();
    assert_eq!(process.rows("pauses"), before - 1);
    order_refused(&process, &forgotten, &["zombie.example.org"]);
    world.clock.advance(RULE.forgotten_after);
    process.order(&forgotten, &["zombie.example.org"]);
    process.run(process.authority.limits_sweep()).unwrap();
    assert_eq!(process.rows("pauses"), 0);
    process.stop();
}
