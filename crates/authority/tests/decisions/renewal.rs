//! Proves when clients are told to renew a certificate, and which orders may take its place: one at a time, of the account that
//! has it, for at least one of its identifiers (RFC 9773, sections 4 and 5).

use std::time::Duration;

use ingam_authority::operator::Outcome;
use ingam_authority::{Error, OrderView, RenewalView};
use ingam_protocol::acme::{Account, ChallengeType, ErrorType, NewOrder, OrderStatus, UnreadIdentifier};
use ingam_protocol::bytes::base64url;
use ingam_protocol::limit::{Limit, LimitName};
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Reason, Serial, Timestamp};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::world::operator::{act, acted, failed, kinds};
use crate::world::{DAY, HOUR, Key, Process, World, caller, csr, refusal};

/// A certificate's name as any client makes it: out of the certificate alone.
fn name_of(der: &[u8]) -> String {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let key = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
        _ => None,
    });
    format!("{}.{}", base64url(key.unwrap().0), base64url(certificate.raw_serial()))
}

/// A certificate on record: its serial number and its name.
fn issued(process: &Process, account: &Account, name: &str) -> (Serial, String) {
    let (view, der) = process.certificate(account, &Key::new(), name);
    (view.order.certificate.unwrap(), name_of(&der))
}

fn wish(names: &[&str], replaces: &str) -> NewOrder {
    NewOrder {
        identifiers: names.iter().map(|name| UnreadIdentifier::dns(*name)).collect(),
        not_before: None,
        not_after: None,
        profile: None,
        replaces: Some(replaces.to_owned()),
    }
}

fn replace(process: &Process, account: &Account, names: &[&str], replaces: &str) -> Result<OrderView, Error> {
    process.run(process.authority.order_create(account, wish(names, replaces), &caller()))
}

fn told(process: &Process, name: &str) -> RenewalView {
    process.authority.renewal(name).unwrap().unwrap()
}

fn now(process: &Process) -> Timestamp {
    process.authority.clock().now()
}

#[test]
fn a_window_comes_closer_and_is_asked_for_more_often() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let (_, name) = issued(&process, &account, "a.example.org");
    let first = told(&process, &name);
    assert_eq!((first.check_after, first.fresh_for), (6 * HOUR, Duration::from_secs(300)));
    assert_eq!(first.explanation_url, None);
    // 90 days, signed an hour after their beginning: two thirds are over after 60 days.
    let ahead = first.window.start.since(now(&process));
    assert!((56 * DAY..62 * DAY).contains(&ahead), "{first:?}");

    let steps: [(Duration, Duration); 4] = [
        (ahead - 2 * HOUR, 2 * HOUR),
        (2 * HOUR - Duration::from_secs(60), Duration::from_secs(300)),
        // Past its end, and past the end of the certificate.
        (10 * DAY, Duration::from_secs(300)),
        (30 * DAY, 6 * HOUR),
    ];
    for (advance, check_after) in steps {
        world.clock.advance(advance);
        let then = told(&process, &name);
        assert_eq!((then.window, then.check_after), (first.window, check_after), "after {advance:?}");
    }
    process.stop();
}

#[test]
fn names_of_nothing_are_told_apart_from_what_are_no_names() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let (_, name) = issued(&process, &account, "a.example.org");
    let (key, serial) = name.split_once('.').unwrap();
    let other_serial = base64url(Serial::new(world.random.as_ref()).as_bytes());
    for unknown in [format!("{key}.{other_serial}"), format!("{}.{serial}", base64url(&[7; 20]))] {
        assert_eq!(process.authority.renewal(&unknown).unwrap(), None, "{unknown}");
        let refused = refusal(replace(&process, &account, &["a.example.org"], &unknown));
        assert_eq!(refused.error, ErrorType::Malformed);
        assert!(refused.detail.contains("has not issued"), "{}", refused.detail);
    }
    for bad in ["", ".", key, &format!("{name}="), &format!("{key}.{serial}.{serial}"), "\u{e4}.\u{e4}"] {
        assert_eq!(refusal(process.authority.renewal(bad)).error, ErrorType::Malformed, "{bad:?}");
        let refused = refusal(replace(&process, &account, &["a.example.org"], bad));
        assert_eq!(refused.error, ErrorType::Malformed, "{bad:?}");
        assert!(refused.detail.contains("RFC 9773"), "{}", refused.detail);
    }
    process.stop();
}

#[test]
fn a_chain_of_renewals_each_takes_the_place_of_the_one_before() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let (mut serial, mut name) = issued(&process, &account, "a.example.org");
    for _ in 0..3 {
        let before = told(&process, &name);
        let order = replace(&process, &account, &["a.example.org", "b.example.org"], &name).unwrap();
        assert_eq!(order.replaces.as_ref(), Some(&name), "as it was sent");
        assert_eq!(order.order.replaces.as_ref().unwrap().serial, serial);
        let id = order.order.id;
        process.make_ready(&account, &order);
        let key = Key::new();
        let view = process.finalize(&account, id, &csr(&key, &["a.example.org", "b.example.org"])).unwrap();
        assert_eq!((view.status, view.replaces.as_ref()), (OrderStatus::Valid, Some(&name)));
        assert_eq!(process.order_view(&account, id).replaces.as_ref(), Some(&name));
        assert_eq!(told(&process, &name), before, "the one before keeps its window");

        let new = view.order.certificate.clone().unwrap();
        let summary = |serial: &Serial| {
            let found = process.authority.certificate_of_serial(serial).unwrap();
            process.authority.renewal_summary(&found).unwrap()
        };
        assert_eq!(summary(&serial).replaced_by.unwrap().id, id);
        assert_eq!(summary(&new).replaces, Some(serial));
        let again = refusal(replace(&process, &account, &["a.example.org"], &name));
        assert_eq!(again.error, ErrorType::AlreadyReplaced);
        assert!(again.detail.contains(&id.to_string()), "{}", again.detail);

        let found = process.authority.certificate(&account, view.issuer.as_ref().unwrap(), &new).unwrap();
        (serial, name) = (new, name_of(&found.unwrap().der));
    }
    process.stop();
}

#[test]
fn only_its_own_account_replaces_a_certificate_and_only_for_what_it_is_for() {
    let world = World::new();
    let process = world.start();
    let (account, other) = (process.account(), process.account());
    let (_, name) = issued(&process, &account, "a.example.org");
    let foreign = refusal(replace(&process, &other, &["a.example.org"], &name));
    assert_eq!(foreign.error, ErrorType::Unauthorized);
    let unrelated = refusal(replace(&process, &account, &["b.example.org", "*.a.example.org"], &name));
    assert_eq!(unrelated.error, ErrorType::Malformed);
    assert!(unrelated.detail.contains("no identifier in common"), "{}", unrelated.detail);
    let orders = process.authority.orders(&account, None).unwrap().0;
    assert_eq!(orders.len(), 1, "what was refused is not there");
    assert!(replace(&process, &account, &["A.example.ORG"], &name).is_ok());
    process.stop();
}

#[test]
fn of_many_orders_at_once_one_replaces_the_certificate() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let (_, name) = issued(&process, &account, "a.example.org");
    let who = caller();
    let outcomes = process.run(async {
        let ask = || process.authority.order_create(&account, wish(&["a.example.org"], &name), &who);
        let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
        [a, b, c, d]
    });
    let (made, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (1, 3));
    for outcome in refused {
        assert_eq!(refusal(outcome).error, ErrorType::AlreadyReplaced);
    }
    assert_eq!(process.authority.orders(&account, None).unwrap().0.len(), 2);
    process.stop();
}

#[test]
fn what_an_invalid_order_was_to_replace_can_be_replaced_again() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let (serial, name) = issued(&process, &account, "a.example.org");
    let again = || replace(&process, &account, &["a.example.org"], &name);
    let invalid = |id: Id| assert_eq!(process.order_status(&account, id), OrderStatus::Invalid);

    // Its challenge fails.
    let first = again().unwrap().order;
    process
        .run(process.authority.authorization_deactivate(&account, first.authorizations[0], &caller()))
        .unwrap();
    invalid(first.id);
    let found = process.authority.certificate_of_serial(&serial).unwrap();
    assert!(process.authority.renewal_summary(&found).unwrap().replaced_by.is_none());
    // Its time is over.
    let second = again().unwrap().order;
    process.answer_and_wait(&account, second.authorizations[0], ChallengeType::Dns01);
    assert_eq!(refusal(again()).error, ErrorType::AlreadyReplaced);
    world.clock.advance(8 * DAY);
    invalid(second.id);
    assert!(again().is_ok());
    process.stop();
}

#[test]
fn windows_of_what_ends_early_are_pulled_forward() {
    let mut world = World::new();
    world.policy.renewal.explanation_url = Some("https://ca.example/renewal".to_owned());
    let process = world.start();
    let account = process.account();
    let (in_incident, incident_name) = issued(&process, &account, "a.example.org");
    let (revoked, revoked_name) = issued(&process, &account, "b.example.org");
    let (_, other_name) = issued(&process, &account, "c.example.org");
    let other = told(&process, &other_name);
    let is_over = |name: &str, url: &str| {
        let told = told(&process, name);
        assert!(told.window.start < told.window.end && told.window.end < now(&process), "{told:?}");
        assert_eq!(told.explanation_url.as_deref(), Some(url));
        assert_eq!(told.check_after, Duration::from_secs(300));
    };

    let open = act("incident.open");
    let opened = process.authority.incident_open(&open, "leak", "keys leaked".to_owned(), None);
    process.run(opened).unwrap();
    process.run(process.authority.incident_add(&act("incident.add"), "leak", vec![in_incident])).unwrap();
    is_over(&incident_name, "https://ca.example/renewal");
    let explain = |url: Option<&str>| {
        let url = url.map(str::to_owned);
        process.acts(process.authority.incident_explain(&act("incident.explain"), "leak", url))
    };
    let (explained, records) = explain(Some("https://ca.example/leak"));
    assert_eq!(explained.unwrap().explanation_url.as_deref(), Some("https://ca.example/leak"));
    assert_eq!(kinds(&records), [RecordType::IncidentChanged, RecordType::OperatorActed]);
    assert_eq!(records[0].payload["explanation_url"], "https://ca.example/leak");
    assert_eq!(records[1].payload, acted("incident.explain", Outcome::Done));
    is_over(&incident_name, "https://ca.example/leak");
    for bad in ["", "ca.example", "ftp://ca.example/", "https://", "https:///x", "https://ca.example/\u{e4}"]
    {
        let (refused, records) = explain(Some(bad));
        assert_eq!((failed(refused), records), ("invalid", Vec::new()), "{bad:?}");
        let opened = process.authority.incident_open(&open, "new", String::new(), Some(bad.to_owned()));
        assert_eq!(failed(process.run(opened)), "invalid", "{bad:?}");
    }
    let missing = process.run(process.authority.incident_explain(&open, "other", None));
    assert_eq!(failed(missing), "not found");
    explain(None).0.unwrap();
    is_over(&incident_name, "https://ca.example/renewal");

    let revoke = act("cert.revoke");
    let done = process.authority.revoke_for_operator(&revoke, &revoked, Reason::Superseded, false);
    process.run(done).unwrap();
    is_over(&revoked_name, "https://ca.example/renewal");
    assert_eq!(told(&process, &other_name), other, "nothing happened to it");
    // What was revoked is replaced like anything else.
    assert!(replace(&process, &account, &["b.example.org"], &revoked_name).is_ok());
    process.stop();
}

#[test]
fn only_a_first_renewal_of_nothing_but_the_same_takes_nothing_of_limits() {
    let mut world = World::new();
    let one = Limit::new(2, HOUR, 2).unwrap();
    world.policy.rate_limits.limits = [(LimitName::NewOrdersPerAccount, one)].into();
    let process = world.start();
    let account = process.account();
    let (_, first) = issued(&process, &account, "a.example.org");
    let (_, second) = issued(&process, &account, "b.example.org");
    let refused = refusal(replace(&process, &account, &["a.example.org", "c.example.org"], &first));
    assert_eq!(refused.error, ErrorType::RateLimited, "it is for more than it replaces");
    let renewed = replace(&process, &account, &["a.example.org"], &first).unwrap();
    let id = renewed.order.authorizations[0];
    process.run(process.authority.authorization_deactivate(&account, id, &caller())).unwrap();
    let refused = refusal(replace(&process, &account, &["a.example.org"], &first));
    assert_eq!(refused.error, ErrorType::RateLimited, "it was begun before");
    assert!(replace(&process, &account, &["b.example.org"], &second).is_ok());
    process.stop();
}
