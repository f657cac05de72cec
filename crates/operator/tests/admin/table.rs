//! Proves who may do what: every act by every role and by somebody without any, against the table below, which is what the
//! operators were promised. What is allowed is done and on record as it has to be; what is refused changes nothing and is
//! on record as refused.

use std::collections::{BTreeMap, BTreeSet};

use ingam_operator::acts::{self, Danger, Kind};
use ingam_protocol::operator::Role;
use ingam_protocol::record::{Class, RecordType};
use serde_json::json;

use crate::acts::{CASES, Case, NO_ACT, routes};
use crate::client::get;
use crate::world::{Told, World};

/// Act; Administrator, Revoker, aUditor, Support; what it does: Read, Personal data, Change; whether it needs a reason; and
/// `2` if it can need two people.
const TABLE: &str = "
    status.show        ARUS  R  -
    account.list       ARUS  R  -
    account.show       ARUS  R  -
    account.contacts   A-U-  P  reason
    order.list         ARUS  R  -
    order.show         ARUS  R  -
    authz.list         ARUS  R  -
    authz.show         ARUS  R  -
    validation.try     AR--  C  -
    cert.list          ARUS  R  -
    cert.show          ARUS  R  -
    cert.evidence      A-U-  P  -
    cert.revoke        AR--  C  reason
    ocsp.export        ARU-  R  -
    checkpoint.cosign  A---  C  -
    revocation.plan    ARU-  R  -
    revocation.start   AR--  C  reason 2
    revocation.list    ARU-  R  -
    revocation.show    ARU-  R  -
    revocation.hold    AR--  C  reason
    incident.list      ARU-  R  -
    incident.show      ARU-  R  -
    incident.open      AR--  C  -
    incident.add       AR--  C  -
    incident.explain   AR--  C  -
    eab.list           ARUS  R  -
    eab.show           ARUS  R  -
    eab.create         A---  C  -
    eab.withdraw       AR--  C  reason
    key.list           ARU-  R  -
    key.block          AR--  C  reason
    key.unblock        A---  C  reason 2
    name.list          ARU-  R  -
    name.rule          AR--  C  reason
    limit.show         ARUS  R  -
    limit.override     A---  C  reason
    limit.unpause      A---  C  reason
    log.search         A-U-  P  reason
    log.follow         A-U-  P  reason
    subject.list       A-U-  P  reason
    subject.report     A-U-  P  reason
    subject.correct    A---  C  reason
    subject.erase      A---  C  reason
    subject.object     A---  C  reason
    subject.told       A---  C  reason
    role.list          A-U-  R  -
    role.grant         A---  C  reason 2
    role.take          A---  C  reason 2
    approval.list      ARU-  R  -
    ocsp.log           ARU-  R  -
    ocsp.counts        ARU-  R  -
    hold.list          A-U-  P  -
    hold.requests      A-U-  P  reason
    hold.open          A---  C  reason
    hold.renew         A---  C  reason
    hold.close         A---  C  reason
    retention.show     ARU-  R  -
    retention.due      ARU-  R  -
    retention.sweep    A---  C  reason
    record_hold.list   A-U-  P  -
    record_hold.open   A---  C  reason
    record_hold.renew  A---  C  reason
    record_hold.release A---  C  reason
    case.list          A-U-  P  -
    case.show          A-U-  P  -
    case.due           A-U-  P  -
    case.report        ARU-  R  -
    case.open          A---  C  reason
    case.hold          A---  C  reason
    case.disclose      A---  C  reason 2
    case.notify        A---  C  reason
    case.object        A---  C  reason
    case.close         A---  C  reason
    reload             A---  C  reason
    backup             A---  C  reason
";

/// A row of the table above.
struct Row {
    roles: BTreeSet<Role>,
    kind: Kind,
    needs_reason: bool,
    is_dangerous: bool,
}

fn table() -> BTreeMap<&'static str, Row> {
    let rows = TABLE.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
        let mut words = line.split_whitespace();
        let (name, roles, kind) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let letters =
            [('A', Role::Administrator), ('R', Role::Revoker), ('U', Role::Auditor), ('S', Role::Support)];
        let roles =
            letters.iter().filter(|(letter, _)| roles.contains(*letter)).map(|(_, role)| *role).collect();
        let kind = match kind {
            "R" => Kind::Read,
            "P" => Kind::PersonalRead,
            _ => Kind::Change,
        };
        let rest: Vec<_> = words.collect();
        let (needs_reason, is_dangerous) = (rest.contains(&"reason"), rest.contains(&"2"));
        (name, Row { roles, kind, needs_reason, is_dangerous })
    });
    rows.collect()
}

#[test]
fn the_rules_are_those_of_the_table() {
    let mut table = table();
    for rule in acts::all() {
        let row = table.remove(rule.name).unwrap_or_else(|| panic!("{rule} is new: who may?"));
        assert_eq!(rule.roles.iter().copied().collect::<BTreeSet<_>>(), row.roles, "{rule}");
        assert_eq!((rule.kind, rule.needs_reason), (row.kind, row.needs_reason), "{rule}");
        let danger = match rule.name {
            "revocation.start" => Some(Danger::MassRevocation),
            "role.grant" | "role.take" => Some(Danger::RoleChange),
            "key.unblock" => Some(Danger::KeyUnblock),
            "case.disclose" => Some(Danger::Disclosure),
            _ => None,
        };
        assert_eq!((rule.danger, danger.is_some()), (danger, row.is_dangerous), "{rule}");
    }
    assert!(table.is_empty(), "promised, and not there: {:?}", table.keys());
}

/// Nothing is left out: every route of the document is tried below, every act is reached by one.
#[test]
fn every_route_and_every_act_is_among_the_cases() {
    let tried: BTreeSet<_> = CASES.iter().map(|case| case.route).chain(NO_ACT).collect();
    let routes = routes();
    let told: BTreeSet<_> = routes.iter().map(|(method, path)| (method.as_str(), path.as_str())).collect();
    assert_eq!(tried, told);
    let reached: BTreeSet<_> = CASES.iter().map(|case| case.act).collect();
    let all: BTreeSet<_> = acts::all().map(|rule| rule.name).collect();
    assert_eq!(reached, all);
}

/// All that is on record of an act, but its name and what came of it.
fn check_act(told: &Told, case: &Case, who: &str, roles: &[Role], outcome: &str, request_id: &str) {
    assert_eq!(told.class, Class::AccessLog);
    let payload = &told.payload;
    assert_eq!(payload["act"], case.act, "{payload}");
    assert_eq!(payload["operator"], who, "{payload}");
    assert_eq!(payload["roles"], json!(roles), "{payload}");
    assert_eq!(payload["from"], "unix", "{payload}");
    assert_eq!(payload["client"], "ingam/test", "{payload}");
    assert_eq!(payload["request_id"], request_id, "{payload}");
    assert_eq!(payload["outcome"], outcome, "{payload}");
}

/// The act by somebody who may.
fn allowed(world: &World, case: &Case, roles: &[Role], row: &Row) {
    let ask = (case.ask)(world).with("user-agent", "ingam/test");
    let who = world.somebody(roles);
    let before = world.rows();
    if case.act == "log.follow" {
        // Its answer has no end as long as the process has none: see `follow`.
        world.stop_host();
    }
    let (answer, mut told) = world.told(|| world.send(who, &ask));
    if case.act == "subject.erase" {
        // The receipt comes behind the act: once the key is gone.
        told.sort_by_key(|told| told.kind == RecordType::OperatorActed);
    }
    let context = format!("{} by {roles:?}: {} {}", case.act, answer.status, answer.text());
    assert_eq!(answer.status, case.done, "{context}");
    let id = answer.headers["x-request-id"].to_str().unwrap();
    let kinds: Vec<_> = told.iter().map(|told| told.kind).collect();
    match row.kind {
        Kind::Read => assert_eq!((kinds, world.rows() == before), (vec![], true), "{context}"),
        Kind::PersonalRead => {
            assert_eq!(
                (kinds, world.rows() == before),
                (vec![RecordType::PersonalDataRead], true),
                "{context}"
            );
            check_act(&told[0], case, &who.to_string(), roles, "done", id);
            assert_eq!(told[0].payload["reason"], "ticket 12");
        }
        Kind::Change => {
            let (last, others) = told.split_last().unwrap();
            assert!(last.kind == RecordType::OperatorActed, "{context}: {kinds:?}");
            check_act(last, case, &who.to_string(), roles, "done", id);
            if row.needs_reason {
                assert_eq!(last.payload["reason"], "ticket 12", "{context}");
            }
            // A checkpoint on record would make the next one.
            let is_recorded = case.act != "checkpoint.cosign";
            assert!(!others.is_empty() || !is_recorded, "{context}: what was changed is on record too");
            for one in others {
                assert_ne!(one.class, Class::AccessLog, "{context}: {one:?}");
            }
            // These change nothing that lies in rows: one knocks at doors, one reads a file; backups, checkpoints and holds are files.
            let leaves_rows = ["validation.try", "reload", "backup", "checkpoint.cosign"].contains(&case.act)
                || case.act.starts_with("hold.");
            assert!(world.rows() != before || leaves_rows, "{context}: nothing was changed");
            let expected = match case.act {
                "role.grant" | "role.take" => Class::PermissionChange,
                "name.rule" | "limit.override" | "reload" | "backup" => Class::CaLifecycle,
                "validation.try" => Class::Working,
                "hold.open" | "hold.renew" | "hold.close" | "retention.sweep" => Class::Retention,
                act if act.starts_with("record_hold.") => Class::Retention,
                act if act.starts_with("case.") => Class::Retention,
                "subject.correct" => Class::Issuance,
                act if act.starts_with("subject.") => Class::Retention,
                _ => Class::Issuance,
            };
            assert!(others.iter().all(|one| one.class == expected), "{context}: {others:?}");
        }
    }
}

/// The act by somebody who may not.
fn refused(world: &World, case: &Case, roles: &[Role]) {
    let ask = (case.ask)(world).with("user-agent", "ingam/test");
    let who = world.somebody(roles);
    let before = world.rows();
    let (answer, told) = world.told(|| world.send(who, &ask));
    let context = format!("{} by {roles:?}: {}", case.act, answer.text());
    assert_eq!(answer.problem(), (403, "role-needed".to_owned()), "{context}");
    let kinds: Vec<_> = told.iter().map(|told| told.kind).collect();
    assert_eq!(kinds, [RecordType::OperatorActed], "{context}");
    let id = answer.headers["x-request-id"].to_str().unwrap();
    check_act(&told[0], case, &who.to_string(), roles, "refused", id);
    assert!(told[0].payload["detail"].as_str().unwrap().contains(case.act), "{context}");
    assert!(world.rows() == before, "{context}: something was changed");
}

/// Who somebody can be: of one role, or of none.
fn everybody() -> Vec<Vec<Role>> {
    std::iter::once(Vec::new()).chain(Role::ALL.map(|role| vec![role])).collect()
}

#[test]
fn every_act_by_every_role_is_allowed_or_refused_as_stated_and_recorded() {
    let table = table();
    let mut world = World::new();
    // Somebody always is: whoever is taken is not the last.
    world.somebody(&[Role::Administrator]);
    for case in &CASES {
        let row = &table[case.act];
        for roles in everybody() {
            if roles.iter().any(|role| row.roles.contains(role)) {
                allowed(&world, case, &roles, row);
            } else {
                refused(&world, case, &roles);
            }
            if case.act == "log.follow" {
                world.stop();
                world = World::new();
            }
        }
    }
    world.stop();
}

/// Rights add up, and what one role allows the other does not take away.
#[test]
fn whoever_has_two_roles_may_what_either_allows() {
    let table = table();
    let world = World::new();
    let roles = [Role::Revoker, Role::Auditor];
    for case in CASES.iter().filter(|case| case.act != "log.follow") {
        let row = &table[case.act];
        if roles.iter().any(|role| row.roles.contains(role)) {
            allowed(&world, case, &roles, row);
        } else {
            refused(&world, case, &roles);
        }
    }
    world.stop();
}

/// A role that was taken counts no more from the next request on; nothing is remembered of it.
#[test]
fn a_taken_role_counts_no_more() {
    let world = World::new();
    let (boss, somebody) = (world.somebody(&[Role::Administrator]), world.somebody(&[Role::Auditor]));
    assert_eq!(world.send(somebody, &get("/v1/roles")).status, 200);
    let body = json!({ "principal": somebody.to_string(), "role": "auditor", "reason": "ticket 12" });
    assert_eq!(world.send(boss, &crate::client::post("/v1/roles/take", body)).status, 200);
    assert_eq!(world.send(somebody, &get("/v1/roles")).problem().0, 403);
    let own = json!({ "principal": boss.to_string(), "role": "administrator", "reason": "ticket 12" });
    let last = world.send(boss, &crate::client::post("/v1/roles/take", own));
    assert_eq!(last.problem(), (409, "conflict".to_owned()));
    world.stop();
}
