//! Proves that each act of an operator does what it says, counts at once for subscribers, and leaves exactly its records:
//! of the right class, with who, as what, from where, what, why and what came of it; and none where nothing was done.

use ingam_authority::Error;
use ingam_authority::operator::{
    Decided, KEYS_AT_ONCE_MAX, KeyBlocking, KeyName, KeysBlocked, NameVerdict, NewApproval, Outcome,
};
use ingam_protocol::acme::{Account, ErrorType, NewOrder, OrderStatus, UnreadIdentifier};
use ingam_protocol::bytes::hex;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::{Class, RecordType};
use ingam_protocol::{Id, Reason, Serial};
use ingam_store::StatusState;
use serde_json::json;
use serde_json::value::RawValue;

use crate::world::operator::{act, acted, failed, kinds};
use crate::world::{DAY, HOUR, Key, Process, World, caller, csr, refusal};

use RecordType::{
    ApprovalChanged, CertificateRevoked, ConfigurationChanged, IncidentChanged, KeyBlocked, KeyUnblocked,
    NameRuleChanged, OperatorActed, PersonalDataRead, RoleGranted, RoleTaken,
};

fn dns(name: &str) -> DnsName {
    DnsName::parse(name).unwrap()
}

/// A certificate and its serial number.
fn issued(process: &Process, account: &Account, key: &Key, name: &str) -> Serial {
    process.certificate(account, key, name).0.order.certificate.unwrap()
}

fn revoked(process: &Process, serial: &Serial) -> Option<(ingam_protocol::Timestamp, Reason)> {
    match process.status(serial).unwrap().state {
        StatusState::Revoked { at, reason } => Some((at, reason)),
        _ => None,
    }
}

#[test]
fn a_certificate_is_revoked_once_and_on_record() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let serial = issued(&process, &account, &Key::new(), "a.example.org");
    world.clock.advance(HOUR);
    let generation = process.store.statuses().generation();
    let revoke = || process.authority.certificate_of_serial(&serial).unwrap().status.name();
    assert_eq!(revoke(), "good");

    let act_of = act("cert.revoke");
    let (found, told) =
        process.acts(process.authority.revoke_for_operator(&act_of, &serial, Reason::Superseded, false));
    let found = found.unwrap();
    assert_eq!(found.status.name(), "revoked");
    assert_eq!(revoked(&process, &serial).unwrap().1, Reason::Superseded);
    assert!(process.store.statuses().generation() > generation);
    assert_eq!(kinds(&told), [CertificateRevoked, OperatorActed]);
    assert_eq!((told[0].class, told[1].class), (Class::Issuance, Class::AccessLog));
    assert_eq!(told[0].record.subject, Some(account.id));
    assert_eq!(told[0].record.end_of_life, Some(found.row.not_after), "kept for as long as it has to be");
    assert_eq!(
        told[0].payload,
        json!({
            "issuer": "ecdsa", "serial": serial.to_string(), "reason": "superseded", "right": "operator",
            "operator": "uid:7", "comment": "ticket 12",
        })
    );
    assert_eq!(told[1].payload, acted("cert.revoke", Outcome::Done));

    let before = process.status(&serial);
    for reason in [Reason::Superseded, Reason::Unspecified, Reason::KeyCompromise] {
        let (again, told) =
            process.acts(process.authority.revoke_for_operator(&act_of, &serial, reason, false));
        assert_eq!((failed(again), told), ("conflict", Vec::new()));
    }
    assert_eq!(process.status(&serial), before, "the first date and reason stay");
    let (missing, told) = process.acts(process.authority.revoke_for_operator(
        &act_of,
        &Serial::new(world.random.as_ref()),
        Reason::Superseded,
        true,
    ));
    assert_eq!((failed(missing), told), ("not found", Vec::new()));
    process.stop();
}

#[test]
fn a_key_is_blocked_with_its_certificate_and_a_compromise_comes_on_top() {
    let world = World::new();
    let process = world.start();
    let (account, key) = (process.account(), Key::new());
    let serial = issued(&process, &account, &key, "a.example.org");
    let other = issued(&process, &account, &key, "b.example.org");
    let act_of = act("cert.revoke");
    let revoke = |serial: &Serial, reason, block| {
        process.acts(process.authority.revoke_for_operator(&act_of, serial, reason, block))
    };
    revoke(&serial, Reason::Superseded, false).0.unwrap();
    let (at, _) = revoked(&process, &serial).unwrap();
    world.clock.advance(DAY);

    // For another reason the key is blocked, and the certificate stays what it is.
    let (again, told) = revoke(&serial, Reason::CessationOfOperation, true);
    assert_eq!((failed(again), kinds(&told)), ("conflict", vec![KeyBlocked]));
    assert_eq!(revoked(&process, &serial), Some((at, Reason::Superseded)));
    assert!(process.authority.key_is_blocked(&key.public()).unwrap());

    let (again, told) = revoke(&serial, Reason::KeyCompromise, true);
    again.unwrap();
    assert_eq!(kinds(&told), [CertificateRevoked, OperatorActed], "the key was blocked before");
    assert_eq!(revoked(&process, &serial), Some((at, Reason::KeyCompromise)), "the earlier date");
    let (again, told) = revoke(&serial, Reason::KeyCompromise, true);
    assert_eq!((failed(again), told), ("conflict", Vec::new()));

    assert_eq!(refusal(process.try_account(&key, &[])).error, ErrorType::BadPublicKey);
    let order = process.ready_order(&account, &["c.example.org"]);
    let request = csr(&key, &["c.example.org"]);
    assert_eq!(refusal(process.finalize(&account, order.order.id, &request)).error, ErrorType::BadCsr);
    let unblock = act("key.unblock");
    process.run(process.authority.key_unblock(&unblock, key.public().thumbprint())).unwrap();
    let (fresh, told) = revoke(&other, Reason::KeyCompromise, true);
    fresh.unwrap();
    assert_eq!(kinds(&told), [CertificateRevoked, KeyBlocked, OperatorActed]);
    assert_eq!(told[1].record.subject, Some(account.id));
    process.stop();
}

#[test]
fn a_blocked_key_serves_no_account_and_no_certificate_until_it_is_let_go() {
    let world = World::new();
    let process = world.start();
    let key = Key::new();
    let account = process.account_with(&key, &[]);
    let thumbprint = key.public().thumbprint();
    let view = |process: &Process| process.authority.account_of_key(&thumbprint).unwrap().unwrap();
    assert!(!view(&process).key_blocked);

    let block = act("key.block");
    let (blocked, told) =
        process.acts(process.authority.key_block(&block, compromised(KeyName::Thumbprint, thumbprint)));
    assert_eq!(blocked.unwrap().by, Some(Principal::User(7)));
    assert_eq!(kinds(&told), [KeyBlocked, OperatorActed]);
    assert_eq!((told[0].class, told[1].class), (Class::Issuance, Class::AccessLog));
    assert_eq!(told[0].payload["operator"], "uid:7");
    assert_eq!(told[0].payload["reason"], "ticket 12");
    assert_eq!(told[1].payload, acted("key.block", Outcome::Done));
    let (again, told) =
        process.acts(process.authority.key_block(&block, compromised(KeyName::Thumbprint, thumbprint)));
    assert_eq!((failed(again), told), ("conflict", Vec::new()));

    assert!(
        process.authority.key_is_blocked(&account.key).unwrap(),
        "what the front end asks at each request"
    );
    assert!(view(&process).key_blocked);
    assert_eq!(refusal(process.try_account(&key, &[])).error, ErrorType::BadPublicKey);
    let other = process.account();
    let change = process.run(process.authority.account_key_change(&other, key.public(), &caller()));
    assert_eq!(refusal(change).error, ErrorType::BadPublicKey);
    let order = process.ready_order(&other, &["a.example.org"]);
    let request = csr(&key, &["a.example.org"]);
    assert_eq!(refusal(process.finalize(&other, order.order.id, &request)).error, ErrorType::BadCsr);

    let unblock = act("key.unblock");
    let (let_go, told) = process.acts(process.authority.key_unblock(&unblock, thumbprint));
    let_go.unwrap();
    assert_eq!(kinds(&told), [KeyUnblocked, OperatorActed]);
    assert_eq!(told[1].payload, acted("key.unblock", Outcome::Done));
    let (again, told) = process.acts(process.authority.key_unblock(&unblock, thumbprint));
    assert_eq!((failed(again), told), ("not found", Vec::new()));
    assert!(!view(&process).key_blocked);
    assert!(process.finalize(&other, order.order.id, &request).is_ok());
    process.stop();
}

fn compromised(named_by: KeyName, hash: [u8; 32]) -> KeyBlocking {
    KeyBlocking { named_by, hash, reason: Reason::KeyCompromise, source: Some("a list".to_owned()) }
}

/// Of many keys only the hashes are known; each refuses its key wherever that turns up.
#[test]
fn keys_are_blocked_by_their_hashes_alone_and_many_at_once() {
    let world = World::new();
    let process = world.start();
    let (theirs, mine) = (Key::new(), Key::new());
    let account = process.account_with(&mine, &[]);
    let order = process.ready_order(&account, &["a.example.org"]);
    let hashes = [theirs.public().spki_hash(), mine.public().spki_hash(), [3; 32]];
    let import = act("key.block");
    let blocking = |hashes: &[[u8; 32]]| {
        let source = Some("a list".to_owned());
        process.acts(process.authority.keys_block(&import, hashes, Reason::KeyCompromise, source))
    };

    let (blocked, told) = blocking(&hashes[..1]);
    assert_eq!(blocked.unwrap(), KeysBlocked { new: 1, known: 0 });
    assert_eq!(kinds(&told), [KeyBlocked, OperatorActed]);
    assert_eq!(told[0].payload["spki_sha256"], json!([hex(&hashes[0])]));
    assert_eq!(told[0].payload["source"], "a list");
    assert_eq!(refusal(process.try_account(&theirs, &[])).error, ErrorType::BadPublicKey);
    let change = process.run(process.authority.account_key_change(&account, theirs.public(), &caller()));
    assert_eq!(refusal(change).error, ErrorType::BadPublicKey);
    let request = csr(&theirs, &["a.example.org"]);
    let refused = refusal(process.finalize(&account, order.order.id, &request));
    assert_eq!(refused.error, ErrorType::BadCsr);
    assert!(refused.detail.contains("make a new one"), "{}", refused.detail);

    let (blocked, _) = blocking(&hashes);
    assert_eq!(blocked.unwrap(), KeysBlocked { new: 2, known: 1 });
    assert!(process.authority.key_is_blocked(&mine.public()).unwrap());
    let one = compromised(KeyName::SpkiSha256, hashes[0]);
    let (again, told) = process.acts(process.authority.key_block(&import, one));
    assert_eq!((failed(again), told), ("conflict", Vec::new()));
    let listed = process.authority.key_blocks(None, 10).unwrap().items;
    let mut known: Vec<_> = listed.iter().map(|block| block.hash.to_vec()).collect();
    known.sort_unstable();
    let mut expected = hashes.map(|hash| hash.to_vec());
    expected.sort_unstable();
    assert_eq!(known, expected);
    assert!(listed.iter().all(|block| block.source.as_deref() == Some("a list")));

    let unblock = act("key.unblock");
    process.acts(process.authority.key_unblock(&unblock, hashes[0])).0.unwrap();
    process.acts(process.authority.key_unblock(&unblock, hashes[1])).0.unwrap();
    assert!(process.finalize(&account, order.order.id, &request).is_ok());
    for (hashes, why) in [(vec![], "none"), (vec![[1; 32]; KEYS_AT_ONCE_MAX + 1], "too many")] {
        assert_eq!(failed(blocking(&hashes).0), "invalid", "{why}");
    }
    process.stop();
}

fn order_refused(process: &Process, account: &Account, names: &[&str]) -> (ErrorType, Vec<String>) {
    let identifiers = names.iter().map(|name| UnreadIdentifier::dns(*name)).collect();
    let request = NewOrder { identifiers, not_before: None, not_after: None, profile: None, replaces: None };
    let refused = refusal(process.run(process.authority.order_create(account, request, &caller())));
    let names = refused.subproblems.iter().map(|sub| sub.identifier.clone());
    (refused.error, names.collect())
}

#[test]
fn a_rule_on_a_name_holds_at_new_order_and_at_finalize() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let early = process.ready_order(&account, &["www.shop.example.org", "other.example.net"]);
    let wildcard = process.ready_order(&account, &["*.example.org"]);
    let rule = act("name.rule");
    let put = |name: &str, verdict, exact| {
        process.acts(process.authority.name_rule_put(&rule, dns(name), verdict, exact))
    };
    let (made, told) = put("shop.example.org", NameVerdict::Block, false);
    assert_eq!(made.unwrap().by, Principal::User(7));
    assert_eq!(kinds(&told), [NameRuleChanged, OperatorActed]);
    assert_eq!((told[0].class, told[1].class), (Class::CaLifecycle, Class::AccessLog));
    assert_eq!(told[0].payload["rule"]["verdict"], "block");
    assert_eq!(told[0].payload["rule"]["reason"], "ticket 12");
    assert_eq!(told[1].payload, acted("name.rule", Outcome::Done));

    let names = ["a.shop.example.org", "fine.example.org", "*.shop.example.org", "shop.example.org"];
    let (error, refused) = order_refused(&process, &account, &names);
    assert_eq!(error, ErrorType::RejectedIdentifier);
    assert_eq!(refused, ["a.shop.example.org", "*.shop.example.org", "shop.example.org"]);
    assert_eq!(order_refused(&process, &account, &["*.example.org"]).0, ErrorType::RejectedIdentifier);
    let finalize = |order: &ingam_authority::OrderView, names: &[&str]| {
        process.finalize(&account, order.order.id, &csr(&Key::new(), names))
    };
    let both = ["www.shop.example.org", "other.example.net"];
    for (order, names) in [(&early, &both[..]), (&wildcard, &["*.example.org"])] {
        let refused = refusal(finalize(order, names));
        assert_eq!(refused.error, ErrorType::RejectedIdentifier);
        assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Ready, "it can wait");
    }

    // A nearer rule lets one name be, but not what it says nothing of.
    put("www.shop.example.org", NameVerdict::Allow, true).0.unwrap();
    assert!(finalize(&early, &both).is_ok());
    assert!(finalize(&wildcard, &["*.example.org"]).is_err());
    let below_it = order_refused(&process, &account, &["*.www.shop.example.org"]);
    assert_eq!(below_it.0, ErrorType::RejectedIdentifier);

    let forget = |name: &str| process.acts(process.authority.name_rule_forget(&rule, dns(name)));
    let (gone, told) = forget("shop.example.org");
    gone.unwrap();
    assert_eq!(kinds(&told), [NameRuleChanged, OperatorActed]);
    assert_eq!(told[0].payload["rule"], json!(null));
    let (again, told) = forget("shop.example.org");
    assert_eq!((failed(again), told), ("not found", Vec::new()));
    assert!(finalize(&wildcard, &["*.example.org"]).is_ok());
    process.stop();
}

#[test]
fn an_incident_gathers_certificates_and_says_what_it_could_not() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let serials: Vec<_> =
        ["a.example.org", "b.example.org"].map(|name| issued(&process, &account, &Key::new(), name)).into();
    let open = act("incident.open");
    let (opened, told) =
        process.acts(process.authority.incident_open(&open, "leak-1", "keys leaked".to_owned(), None));
    assert_eq!(opened.unwrap().certificates, 0);
    assert_eq!(kinds(&told), [IncidentChanged, OperatorActed]);
    assert_eq!(told[0].class, Class::Issuance);
    assert_eq!(told[0].payload["summary"], "keys leaked");
    for bad in ["", "a b", "a/b", "\u{e4}", "a\0b", &"x".repeat(65)] {
        let (refused, told) = process.acts(process.authority.incident_open(&open, bad, String::new(), None));
        assert_eq!((failed(refused), told), ("invalid", Vec::new()), "{bad:?}");
    }
    let (taken, told) = process.acts(process.authority.incident_open(&open, "leak-1", String::new(), None));
    assert_eq!((failed(taken), told), ("conflict", Vec::new()));

    let add = act("incident.add");
    let never = Serial::new(world.random.as_ref());
    let wanted = vec![serials[0].clone(), serials[0].clone(), never, serials[1].clone()];
    let (grown, told) = process.acts(process.authority.incident_add(&add, "leak-1", wanted));
    let grown = grown.unwrap();
    assert_eq!((grown.added, grown.known, grown.missing), (2, 1, 1));
    assert_eq!(kinds(&told), [IncidentChanged, OperatorActed]);
    assert_eq!(told[1].payload, acted("incident.add", Outcome::Done));
    let (unknown, told) = process.acts(process.authority.incident_add(&add, "leak-2", serials));
    assert_eq!((failed(unknown), told), ("not found", Vec::new()));
    assert_eq!(process.authority.incident("leak-1").unwrap().certificates, 2);
    process.stop();
}

#[test]
fn rights_change_on_record_and_the_last_administrator_stays() {
    let world = World::new();
    let process = world.start();
    let (first, somebody) = (Principal::User(0), Principal::User(8));
    let (made, told) = process.acts(process.authority.administrators_ensure(&[first, first]));
    assert_eq!((made.unwrap(), kinds(&told)), (1, vec![RoleGranted]));
    assert_eq!(told[0].class, Class::PermissionChange);
    let (made, told) = process.acts(process.authority.administrators_ensure(&[first]));
    assert_eq!((made.unwrap(), told), (0, Vec::new()));

    let grant = act("role.grant");
    let label = Some("Someone".to_owned());
    let (granted, told) =
        process.acts(process.authority.role_grant(&grant, somebody, Role::Auditor, label.clone()));
    assert_eq!(granted.unwrap().by, Some(Principal::User(7)));
    assert_eq!(kinds(&told), [RoleGranted, OperatorActed]);
    assert_eq!((told[0].class, told[1].class), (Class::PermissionChange, Class::AccessLog));
    assert_eq!(told[0].payload["principal"], "uid:8");
    assert_eq!(told[0].payload["reason"], "ticket 12");
    assert_eq!(told[1].payload, acted("role.grant", Outcome::Done));
    let (again, told) = process.acts(process.authority.role_grant(&grant, somebody, Role::Auditor, label));
    assert_eq!((failed(again), told), ("conflict", Vec::new()));

    let take = act("role.take");
    let (last, told) = process.acts(process.authority.role_take(&take, first, Role::Administrator));
    assert_eq!((failed(last), told), ("conflict", Vec::new()));
    let (missing, told) = process.acts(process.authority.role_take(&take, somebody, Role::Support));
    assert_eq!((failed(missing), told), ("not found", Vec::new()));
    let (taken, told) = process.acts(process.authority.role_take(&take, somebody, Role::Auditor));
    taken.unwrap();
    assert_eq!(kinds(&told), [RoleTaken, OperatorActed]);
    assert_eq!(
        told[0].payload,
        json!({
            "principal": "uid:8", "role": "auditor", "by": "uid:7", "reason": "ticket 12",
        })
    );
    process.stop();
}

#[test]
fn an_act_that_waits_is_decided_by_somebody_else_in_its_time() {
    let world = World::new();
    let process = world.start();
    let ask = || {
        let request = RawValue::from_string(r#"{"role":"auditor"}"#.to_owned()).unwrap();
        let new = NewApproval { act: "role.grant", request, lifetime: DAY };
        let (asked, told) = process.acts(process.authority.approval_ask(&act("role.grant"), new));
        assert_eq!(kinds(&told), [OperatorActed, ApprovalChanged]);
        assert_eq!(told[0].payload, acted("role.grant", Outcome::Waiting));
        assert_eq!(told[1].payload["request"], json!({ "role": "auditor" }), "what exactly is to be done");
        asked.unwrap().id
    };
    let second = || ingam_authority::operator::Act { operator: Principal::User(8), ..act("role.grant") };
    let decide = |by: &ingam_authority::operator::Act, id: Id, decided| {
        process.acts(process.authority.approval_decide(by, id, decided))
    };
    let id = ask();
    let (own, told) = decide(&act("role.grant"), id, Decided::Approved);
    assert_eq!((failed(own), told), ("conflict", Vec::new()));
    let (yes, told) = decide(&second(), id, Decided::Approved);
    assert!(yes.unwrap().decision.unwrap().approved);
    assert_eq!(kinds(&told), [OperatorActed, ApprovalChanged]);
    assert_eq!(told[1].payload["decision"]["by"], "uid:8");
    assert_eq!(told[1].payload["asked_by"], "uid:7");
    for decided in [Decided::Approved, Decided::Refused] {
        let (again, told) = decide(&second(), id, decided);
        assert_eq!((failed(again), told), ("conflict", Vec::new()));
    }
    let (own, told) = decide(&act("role.grant"), ask(), Decided::Refused);
    assert!(!own.unwrap().decision.unwrap().approved, "taken back by whoever asked");
    assert_eq!(told.len(), 2);
    let id = ask();
    world.clock.advance(DAY);
    let (late, told) = decide(&second(), id, Decided::Approved);
    assert_eq!((failed(late), told), ("conflict", Vec::new()));
    process.stop();
}

#[test]
fn personal_data_is_on_record_before_it_is_given_out() {
    let world = World::new();
    let process = world.start();
    let account = process.account_with(&Key::new(), &["mailto:someone@example.org"]);
    let read = act("account.contacts");
    let (contacts, told) = process.acts(process.authority.contacts_for_operator(&read, account.id));
    assert_eq!(contacts.unwrap()[0].expose(), "mailto:someone@example.org");
    assert_eq!(kinds(&told), [PersonalDataRead]);
    assert_eq!((told[0].class, told[0].record.subject), (Class::AccessLog, Some(account.id)));
    assert_eq!(told[0].payload, acted("account.contacts", Outcome::Done));
    let nobody = Id::new(account.created, world.random.as_ref());
    let (missing, told) = process.acts(process.authority.contacts_for_operator(&read, nobody));
    assert_eq!((failed(missing), told), ("not found", Vec::new()));

    // The store cannot take the record: nothing is given out.
    world.tables.stop_after(0);
    let refused = process.run(process.authority.contacts_for_operator(&read, account.id));
    assert!(matches!(refused, Err(ingam_authority::operator::ActError::Fault(_))));
    let search = process.run(process.authority.log_search(&act("log.search"), Default::default(), 10));
    assert!(matches!(search, Err(ingam_authority::operator::ActError::Fault(_))));
    world.crash(process);
}

#[test]
fn what_came_of_an_act_that_changed_nothing_is_on_record_too() {
    let world = World::new();
    let process = world.start();
    for outcome in [Outcome::Refused, Outcome::Failed] {
        let ended = act("cert.revoke");
        let (ended, told) = process.acts(process.authority.act_ended(&ended, outcome, Some("because")));
        ended.unwrap();
        let mut expected = acted("cert.revoke", outcome);
        expected["detail"] = json!("because");
        assert_eq!((kinds(&told), &told[0].payload), (vec![OperatorActed], &expected));
    }
    let changed = json!({ "changed": ["limits"] });
    let reload = act("reload");
    let (done, told) = process.acts(process.authority.configuration_changed(Some(&reload), &changed));
    done.unwrap();
    assert_eq!(kinds(&told), [ConfigurationChanged, OperatorActed]);
    assert_eq!((told[0].class, &told[0].payload), (Class::CaLifecycle, &changed));
    let (done, told) = process.acts(process.authority.configuration_changed(None, &changed));
    let outcome: Result<(), Error> = done;
    assert_eq!((outcome.is_ok(), kinds(&told)), (true, vec![ConfigurationChanged]));
    process.stop();
}
