//! How each act is asked for: a request for a thing that is there, made for it alone.

use ingam_authority::operator::CertificateFilter;
use ingam_authority::operator::{
    Act, Case as LegalCase, CaseBasis, CaseKind, Decided, JobState, KeyBlocking, KeyName, NameVerdict,
    NewApproval, NewCase, NewExternalKey, OwnLimit, PlannedJob, Selection as Certificates, Telling,
};
use ingam_protocol::bytes::{base64url, hex};
use ingam_protocol::identifier::DnsName;
use ingam_protocol::limit::{Favoured, LimitName};
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::Class;
use ingam_protocol::time::random_array;
use ingam_protocol::{Id, Reason};
use ingam_responder::request_log::{NewHold, Selection, network};
use ingam_store::{Approval, Hold, HoldReleased, HoldScope};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::client::{Ask, DOCUMENT, get, post};
use crate::world::{ADDRESS, CONTACT, DAY, World, start};

/// A way to ask for an act.
pub(crate) struct Case {
    /// The act's name.
    pub(crate) act: &'static str,
    /// The route, as the OpenAPI document has it.
    pub(crate) route: (&'static str, &'static str),
    /// The status of an answer that says it was done.
    pub(crate) done: u16,
    /// Makes what the request needs, and the request.
    pub(crate) ask: fn(&World) -> Ask,
}

/// What is done before the test begins, by nobody who takes part in it.
fn setup(name: &'static str) -> Act {
    Act {
        act: name,
        operator: Principal::User(1),
        roles: vec![Role::Administrator],
        asked_by: None,
        from: "unix".to_owned(),
        client: None,
        request_id: "0000000000000000".to_owned(),
        what: Value::Null,
        reason: Some("made for a test".to_owned()),
    }
}

pub(crate) fn why() -> Value {
    json!({ "reason": "ticket 12" })
}

pub(crate) fn thumbprint(world: &World) -> [u8; 32] {
    random_array(world.random.as_ref())
}

fn compromised(thumbprint: [u8; 32]) -> KeyBlocking {
    let (named_by, reason) = (KeyName::Thumbprint, Reason::KeyCompromise);
    KeyBlocking { named_by, hash: thumbprint, reason, source: None }
}

pub(crate) fn blocked_key(world: &World) -> String {
    let thumbprint = thumbprint(world);
    world.run(world.authority.key_block(&setup("key.block"), compromised(thumbprint))).unwrap();
    base64url(&thumbprint)
}

pub(crate) fn external_key(world: &World) -> Id {
    let new = NewExternalKey { holder: "contract 4711".to_owned(), ..NewExternalKey::default() };
    world.run(world.authority.external_key_make(&setup("eab.create"), new)).unwrap().0.id
}

pub(crate) fn incident(world: &World) -> String {
    let name = format!("leak-{}", world.next());
    world
        .run(world.authority.incident_open(&setup("incident.open"), &name, "keys".to_owned(), None))
        .unwrap();
    name
}

/// A case of this kind, about a new account.
pub(crate) fn case_of(world: &World, kind: CaseKind) -> (LegalCase, Id) {
    let subject = world.account().id;
    let new = NewCase {
        name: format!("case-{}", world.next()),
        kind,
        basis: (kind == CaseKind::LegalDemand).then_some(CaseBasis::Warrant),
        law: Some("Act 12, no. 4711".to_owned()),
        requester: Some("a court".to_owned()),
        answer_by: Some(world.authority.clock().now().plus(60 * DAY)),
        forbidden_until: None,
        subjects: vec![subject],
        everybody: false,
    };
    (world.run(world.authority.case_open(&setup("case.open"), new)).unwrap(), subject)
}

/// A case about nobody.
pub(crate) fn fault_case(world: &World) {
    let new = NewCase {
        name: format!("case-{}", world.next()),
        kind: CaseKind::Fault,
        basis: None,
        law: None,
        requester: None,
        answer_by: None,
        forbidden_until: None,
        subjects: Vec::new(),
        everybody: false,
    };
    world.run(world.authority.case_open(&setup("case.open"), new)).unwrap();
}

/// A legal demand whose subject was told.
pub(crate) fn told_case(world: &World) -> String {
    let (case, _) = case_of(world, CaseKind::LegalDemand);
    let telling = Telling::Told("letter".to_owned());
    world.run(world.authority.case_notify(&setup("case.notify"), &case.name, Vec::new(), telling)).unwrap();
    case.name
}

pub(crate) fn legal_demand(world: &World) -> String {
    case_of(world, CaseKind::LegalDemand).0.name
}

pub(crate) fn ruled_name(world: &World) -> String {
    let name = DnsName::parse(&format!("r{}.example.net", world.next())).unwrap();
    let rule = setup("name.rule");
    world.run(world.authority.name_rule_put(&rule, name.clone(), NameVerdict::Block, false)).unwrap();
    name.to_string()
}

/// Gives an account a limit of its own.
pub(crate) fn own_limit(world: &World, account: Id) {
    let wish = OwnLimit {
        limit: LimitName::NewOrdersPerAccount,
        favoured: Favoured::Account(account),
        count: 900_000,
        period: None,
        burst: None,
        until: world.authority.clock().now().plus(DAY),
    };
    world.run(world.authority.limit_override_put(&setup("limit.override"), wish)).unwrap();
}

/// An account that is paused for a name.
fn paused(world: &World) -> Id {
    let account = world.account();
    world.fail_one(&account);
    account.id
}

/// A job that is in this state.
fn job(world: &World, state: JobState) -> Id {
    let serials = Some(vec![world.certificate(&world.account())]);
    let filter = CertificateFilter { serials, ..CertificateFilter::default() };
    let planned = PlannedJob {
        selection: Certificates { filter, incident: None },
        told: to_raw_value(&json!({})).unwrap(),
        reason: Reason::Superseded,
        per_second: 1,
        expected: 1,
    };
    let start = world.authority.revocation_job_start(setup("revocation.start"), planned);
    let job = world.run(start).unwrap();
    if state != JobState::Running {
        let hold = setup("revocation.hold");
        world.run(world.authority.revocation_job_turn(&hold, job.id, state)).unwrap();
    }
    job.id
}

/// A hold on records, which keeps nothing that is swept here; the oldest are released once there are many.
fn record_hold(world: &World) -> Id {
    let by = Principal::User(world.next());
    let in_force = world.store.holds_in_force(start()).unwrap();
    if let Some(oldest) = in_force.first().filter(|_| in_force.len() > 50) {
        let released = HoldReleased { at: start(), by, reason: "enough".to_owned() };
        world.run(world.store.hold_release(oldest.id, released, |_| Vec::new())).unwrap();
    }
    let hold = Hold {
        id: Id::new(start(), world.random.as_ref()),
        case: "a case".to_owned(),
        owner: "legal".to_owned(),
        reason: "ticket 11".to_owned(),
        scope: HoldScope::Class { class: Class::Aggregate, from: None, until: None },
        opened: start(),
        by,
        ends: start().plus(30 * DAY),
        renewals: Vec::new(),
        released: None,
    };
    let id = hold.id;
    world.run(world.store.hold_open(hold, Vec::new())).unwrap();
    id
}

/// An act that had waited for a second person until three years ago.
fn overdue(world: &World) {
    let at = start().minus(3 * 366 * DAY);
    let approval = Approval {
        id: Id::new(at, world.random.as_ref()),
        act: "role.grant".to_owned(),
        request: RawValue::from_string("{}".to_owned()).unwrap(),
        by: Principal::User(1),
        at,
        expires: at.plus(DAY),
        reason: "why".to_owned(),
        decision: None,
    };
    world.run(world.store.approval_insert(approval, Vec::new())).unwrap();
}

/// A hold on what comes from the planted address; the first one is closed once there are many.
fn hold(world: &World) -> Id {
    let log = &world.request_log;
    if let Some(oldest) = log.holds().first().filter(|_| log.holds().len() > 50) {
        world.run(log.hold_close(oldest.id, Vec::new())).unwrap();
    }
    let new = NewHold {
        selection: Selection { networks: vec![network(ADDRESS).unwrap()], ..Selection::default() },
        owner: "ann".to_owned(),
        reason: "made for a test".to_owned(),
        ends: start().plus(30 * DAY),
    };
    world.run(log.hold_open(new, Vec::new())).unwrap().id
}

/// Somebody without a role yet.
pub(crate) fn newcomer(world: &World) -> String {
    Principal::User(world.next()).to_string()
}

/// An act that waits: to give a role.
pub(crate) fn waiting(world: &World) -> Id {
    let deed = json!({
        "deed": "role_grant", "principal": newcomer(world), "role": "auditor", "reason": "ticket 12",
    });
    let request = RawValue::from_string(deed.to_string()).unwrap();
    let new = NewApproval { act: "role.grant", request, lifetime: DAY };
    world.run(world.authority.approval_ask(&setup("role.grant"), new)).unwrap().id
}

/// One that was decided.
fn decided(world: &World) -> Id {
    let id = waiting(world);
    let second = Act { operator: Principal::User(2), ..setup("role.grant") };
    world.run(world.authority.approval_decide(&second, id, Decided::Refused)).unwrap();
    id
}

fn change(world: &World, role: &str) -> Value {
    json!({ "principal": newcomer(world), "role": role, "label": "Someone New", "reason": "ticket 12" })
}

fn granted(world: &World) -> Value {
    let somebody = world.somebody(&[Role::Support]);
    json!({ "principal": somebody.to_string(), "role": "support", "reason": "ticket 12" })
}

fn selection(world: &World) -> Value {
    json!({ "serials": [world.certificate(&world.account()).to_string()] })
}

fn revocation(world: &World) -> Value {
    json!({
        "selection": selection(world), "revocation_reason": "superseded", "per_second": 10, "expected": 1,
        "reason": "ticket 12",
    })
}

const fn read(act: &'static str, path: &'static str, ask: fn(&World) -> Ask) -> Case {
    Case { act, route: ("get", path), done: 200, ask }
}

const fn write(act: &'static str, path: &'static str, done: u16, ask: fn(&World) -> Ask) -> Case {
    Case { act, route: ("post", path), done, ask }
}

/// Every way to ask for an act.
pub(crate) const CASES: [Case; 89] = [
    read("status.show", "/v1/status", |_| get("/v1/status")),
    read("account.list", "/v1/accounts", |world| {
        world.account();
        get("/v1/accounts?status=valid&limit=3")
    }),
    read("account.show", "/v1/accounts/{id}", |world| get(format!("/v1/accounts/{}", world.account().id))),
    read("account.contacts", "/v1/accounts/{id}/contacts", |world| {
        get(format!("/v1/accounts/{}/contacts?reason=ticket%2012", world.account().id))
    }),
    read("order.list", "/v1/orders", |world| get(format!("/v1/orders?account={}", world.account().id))),
    read("order.show", "/v1/orders/{id}", |world| {
        get(format!("/v1/orders/{}", world.order(&world.account()).0.id))
    }),
    read("authz.list", "/v1/authorizations", |world| {
        get(format!("/v1/authorizations?order={}", world.order(&world.account()).0.id))
    }),
    read("authz.show", "/v1/authorizations/{id}", |world| {
        get(format!("/v1/authorizations/{}", world.order(&world.account()).0.authorizations[0]))
    }),
    read("cert.list", "/v1/certificates", |_| get("/v1/certificates?below=example.org&limit=3")),
    read("cert.show", "/v1/certificates/{serial}", |world| {
        get(format!("/v1/certificates/{}", world.certificate(&world.account())))
    }),
    read("cert.evidence", "/v1/certificates/{serial}/evidence", |world| {
        get(format!("/v1/certificates/{}/evidence?reason=ticket%2012", world.certificate(&world.account())))
    }),
    write("cert.revoke", "/v1/certificates/{serial}/revoke", 200, |world| {
        let serial = world.certificate(&world.account());
        let body = json!({ "revocation_reason": "superseded", "reason": "ticket 12" });
        post(format!("/v1/certificates/{serial}/revoke"), body)
    }),
    read("ocsp.export", "/v1/ocsp/answers", |world| {
        get(format!("/v1/ocsp/answers?serial={}", world.certificate(&world.account())))
    }),
    read("ocsp.export", "/v1/publication", |_| get("/v1/publication")),
    read("ocsp.export", "/v1/publication/file", |_| get("/v1/publication/file?path=%2Froots.pem")),
    write("checkpoint.cosign", "/v1/checkpoint/cosignatures", 200, |_| {
        post("/v1/checkpoint/cosignatures", json!({ "note": "a checkpoint" }))
    }),
    write("revocation.plan", "/v1/revocations/plan", 200, |world| {
        post("/v1/revocations/plan", selection(world))
    }),
    write("revocation.start", "/v1/revocations", 201, |world| post("/v1/revocations", revocation(world))),
    read("revocation.list", "/v1/revocations", |_| get("/v1/revocations")),
    read("revocation.show", "/v1/revocations/{id}", |world| {
        get(format!("/v1/revocations/{}", job(world, JobState::Running)))
    }),
    write("revocation.hold", "/v1/revocations/{id}/pause", 200, |world| {
        post(format!("/v1/revocations/{}/pause", job(world, JobState::Running)), why())
    }),
    write("revocation.hold", "/v1/revocations/{id}/resume", 200, |world| {
        post(format!("/v1/revocations/{}/resume", job(world, JobState::Paused)), why())
    }),
    write("revocation.hold", "/v1/revocations/{id}/cancel", 200, |world| {
        post(format!("/v1/revocations/{}/cancel", job(world, JobState::Running)), why())
    }),
    read("incident.list", "/v1/incidents", |_| get("/v1/incidents")),
    read("incident.show", "/v1/incidents/{name}", |world| get(format!("/v1/incidents/{}", incident(world)))),
    write("incident.open", "/v1/incidents", 201, |world| {
        let name = format!("leak-{}", world.next());
        post("/v1/incidents", json!({ "name": name, "summary": "keys were in a paste" }))
    }),
    write("incident.add", "/v1/incidents/{name}/certificates", 200, |world| {
        let serial = world.certificate(&world.account()).to_string();
        post(format!("/v1/incidents/{}/certificates", incident(world)), json!({ "serials": [serial] }))
    }),
    write("incident.explain", "/v1/incidents/{name}/explanation", 200, |world| {
        let url = json!({ "explanation_url": "https://ca.example/leak" });
        post(format!("/v1/incidents/{}/explanation", incident(world)), url)
    }),
    read("eab.list", "/v1/external-keys", |_| get("/v1/external-keys?status=unused&limit=3")),
    read("eab.show", "/v1/external-keys/{id}", |world| {
        get(format!("/v1/external-keys/{}", external_key(world)))
    }),
    write("eab.create", "/v1/external-keys", 201, |_| {
        post("/v1/external-keys", json!({ "holder": "contract 4711", "names": ["example.org"] }))
    }),
    write("eab.withdraw", "/v1/external-keys/{id}/withdraw", 200, |world| {
        post(format!("/v1/external-keys/{}/withdraw", external_key(world)), why())
    }),
    write("validation.try", "/v1/validations/try", 200, |world| {
        let account = world.account().id.to_string();
        post(
            "/v1/validations/try",
            json!({ "account": account, "name": "a.example.org", "challenge": "dns-01" }),
        )
    }),
    read("key.list", "/v1/keys", |_| get("/v1/keys")),
    write("key.block", "/v1/keys", 201, |world| {
        post("/v1/keys", json!({ "thumbprint": base64url(&thumbprint(world)), "reason": "ticket 12" }))
    }),
    write("key.block", "/v1/keys/import", 200, |world| {
        post("/v1/keys/import", json!({ "spki_sha256": [hex(&thumbprint(world))], "reason": "ticket 12" }))
    }),
    write("key.unblock", "/v1/keys/{thumbprint}/unblock", 200, |world| {
        post(format!("/v1/keys/{}/unblock", blocked_key(world)), why())
    }),
    read("limit.show", "/v1/limits", |world| get(format!("/v1/limits?account={}", world.account().id))),
    write("limit.show", "/v1/limits/dry-run", 200, |world| {
        let body =
            json!({ "account": world.account().id.to_string(), "names": ["a.example.org", "192.0.2.1"] });
        post("/v1/limits/dry-run", body)
    }),
    read("limit.show", "/v1/limits/overrides", |_| get("/v1/limits/overrides")),
    write("limit.override", "/v1/limits/overrides", 200, |world| {
        let body = json!({
            "limit": "new_orders_per_account", "account": world.account().id.to_string(), "count": 5,
            "until": "2099-01-01T00:00:00Z", "reason": "ticket 12",
        });
        post("/v1/limits/overrides", body)
    }),
    write("limit.override", "/v1/limits/overrides/forget", 200, |world| {
        let account = world.account().id;
        own_limit(world, account);
        let account = account.to_string();
        let body = json!({ "limit": "new_orders_per_account", "account": account, "reason": "ticket 12" });
        post("/v1/limits/overrides/forget", body)
    }),
    write("limit.unpause", "/v1/limits/unpause", 200, |world| {
        post("/v1/limits/unpause", json!({ "account": paused(world).to_string(), "reason": "ticket 12" }))
    }),
    read("name.list", "/v1/names", |_| get("/v1/names")),
    write("name.rule", "/v1/names", 200, |world| {
        let name = format!("r{}.example.net", world.next());
        post("/v1/names", json!({ "name": name, "verdict": "block", "reason": "ticket 12" }))
    }),
    write("name.rule", "/v1/names/{name}/forget", 200, |world| {
        post(format!("/v1/names/{}/forget", ruled_name(world)), why())
    }),
    read("log.search", "/v1/log", |_| get("/v1/log?class=issuance&reason=ticket%2012&limit=2")),
    read("log.follow", "/v1/log/follow", |_| get("/v1/log/follow?reason=ticket%2012")),
    read("subject.list", "/v1/subjects", |world| {
        world.account();
        get("/v1/subjects?reason=ticket%2012&limit=3")
    }),
    write("subject.list", "/v1/subjects", 200, |world| {
        world.account();
        post("/v1/subjects", json!({ "contact": CONTACT, "reason": "ticket 12" }))
    }),
    read("subject.report", "/v1/subjects/{id}", |world| {
        get(format!("/v1/subjects/{}?reason=ticket%2012", world.account().id))
    }),
    read("subject.report", "/v1/subjects/{id}/section", |world| {
        get(format!("/v1/subjects/{}/section?section=records&reason=ticket%2012", world.account().id))
    }),
    write("subject.correct", "/v1/subjects/{id}/correct", 200, |world| {
        let body = json!({ "contacts": ["other@example.org"], "reason": "ticket 12" });
        post(format!("/v1/subjects/{}/correct", world.account().id), body)
    }),
    write("subject.erase", "/v1/subjects/{id}/erase", 200, |world| {
        post(format!("/v1/subjects/{}/erase", world.account().id), why())
    }),
    write("subject.object", "/v1/subjects/{id}/object", 200, |world| {
        let body = json!({ "objects": true, "reason": "ticket 12" });
        post(format!("/v1/subjects/{}/object", world.account().id), body)
    }),
    write("subject.told", "/v1/subjects/{id}/told", 200, |world| {
        post(format!("/v1/subjects/{}/told", world.account().id), why())
    }),
    read("role.list", "/v1/roles", |_| get("/v1/roles")),
    write("role.grant", "/v1/roles/grant", 200, |world| post("/v1/roles/grant", change(world, "auditor"))),
    write("role.take", "/v1/roles/take", 200, |world| post("/v1/roles/take", granted(world))),
    read("approval.list", "/v1/approvals", |_| get("/v1/approvals")),
    read("approval.list", "/v1/approvals/{id}", |world| get(format!("/v1/approvals/{}", decided(world)))),
    read("ocsp.log", "/v1/ocsp/log", |_| get("/v1/ocsp/log")),
    read("ocsp.counts", "/v1/ocsp/counts", |_| get("/v1/ocsp/counts?limit=3")),
    read("hold.list", "/v1/ocsp/holds", |world| {
        hold(world);
        get("/v1/ocsp/holds?reason=ticket%2012")
    }),
    read("hold.list", "/v1/ocsp/holds/{id}", |world| {
        get(format!("/v1/ocsp/holds/{}?reason=ticket%2012", hold(world)))
    }),
    read("hold.requests", "/v1/ocsp/holds/{id}/requests", |world| {
        get(format!("/v1/ocsp/holds/{}/requests?reason=ticket%2012", hold(world)))
    }),
    write("hold.open", "/v1/ocsp/holds", 201, |_| {
        let ends = start().plus(30 * DAY).to_rfc3339();
        post("/v1/ocsp/holds", json!({ "networks": ["192.0.2.0/24"], "ends": ends, "reason": "ticket 12" }))
    }),
    write("hold.renew", "/v1/ocsp/holds/{id}/renew", 200, |world| {
        let ends = start().plus(60 * DAY).to_rfc3339();
        post(format!("/v1/ocsp/holds/{}/renew", hold(world)), json!({ "ends": ends, "reason": "ticket 12" }))
    }),
    write("hold.close", "/v1/ocsp/holds/{id}/close", 200, |world| {
        post(format!("/v1/ocsp/holds/{}/close", hold(world)), why())
    }),
    read("retention.show", "/v1/retention", |_| get("/v1/retention")),
    read("retention.due", "/v1/retention/due", |_| get("/v1/retention/due")),
    write("retention.sweep", "/v1/retention/sweep", 200, |world| {
        overdue(world);
        post("/v1/retention/sweep", json!({ "confirm": true, "reason": "ticket 12" }))
    }),
    read("record_hold.list", "/v1/holds", |world| {
        record_hold(world);
        get("/v1/holds?limit=5&reason=ticket%2012")
    }),
    read("record_hold.list", "/v1/holds/{id}", |world| {
        get(format!("/v1/holds/{}?reason=ticket%2012", record_hold(world)))
    }),
    write("record_hold.open", "/v1/holds", 201, |_| {
        let ends = start().plus(30 * DAY).to_rfc3339();
        let scope = json!({ "class": "access_log", "from": start().to_rfc3339() });
        post("/v1/holds", json!({ "case": "a case", "scope": scope, "ends": ends, "reason": "ticket 12" }))
    }),
    write("record_hold.renew", "/v1/holds/{id}/renew", 200, |world| {
        let ends = start().plus(60 * DAY).to_rfc3339();
        post(
            format!("/v1/holds/{}/renew", record_hold(world)),
            json!({ "ends": ends, "reason": "ticket 12" }),
        )
    }),
    write("record_hold.release", "/v1/holds/{id}/release", 200, |world| {
        post(format!("/v1/holds/{}/release", record_hold(world)), why())
    }),
    read("case.list", "/v1/cases", |_| get("/v1/cases?limit=3&reason=ticket%2012")),
    read("case.show", "/v1/cases/{name}", |world| {
        get(format!("/v1/cases/{}?reason=ticket%2012", legal_demand(world)))
    }),
    read("case.due", "/v1/notices/due", |world| {
        legal_demand(world);
        get("/v1/notices/due?limit=3&reason=ticket%2012")
    }),
    read("case.report", "/v1/transparency-report", |_| get("/v1/transparency-report?minimum=5")),
    write("case.open", "/v1/cases", 201, |world| {
        let subject = world.account().id.to_string();
        let body = json!({
            "name": format!("case-{}", world.next()), "kind": "legal_demand", "basis": "warrant",
            "law": "Act 12, no. 4711", "requester": "a court", "subjects": [subject], "reason": "ticket 12",
        });
        post("/v1/cases", body)
    }),
    write("case.hold", "/v1/cases/{name}/hold", 200, |world| {
        let ends = world.authority.clock().now().plus(30 * DAY).to_rfc3339();
        let body = json!({ "ends": ends, "reason": "ticket 12" });
        post(format!("/v1/cases/{}/hold", legal_demand(world)), body)
    }),
    write("case.disclose", "/v1/cases/{name}/disclose", 200, |world| {
        post(
            format!("/v1/cases/{}/disclose", told_case(world)),
            json!({ "fields": ["contacts"], "reason": "ticket 12" }),
        )
    }),
    write("case.notify", "/v1/cases/{name}/notify", 200, |world| {
        post(
            format!("/v1/cases/{}/notify", legal_demand(world)),
            json!({ "how": "letter", "reason": "ticket 12" }),
        )
    }),
    write("case.object", "/v1/cases/{name}/object", 200, |world| {
        post(format!("/v1/cases/{}/object", legal_demand(world)), why())
    }),
    write("case.close", "/v1/cases/{name}/close", 200, |world| {
        post(format!("/v1/cases/{}/close", legal_demand(world)), why())
    }),
    write("reload", "/v1/reload", 200, |_| post("/v1/reload", why())),
    write("backup", "/v1/backups", 201, |_| {
        post("/v1/backups", json!({ "to": "/var/backups/ingam", "reason": "ticket 12" }))
    }),
];

/// Routes that are nobody's act: they say who asks and whether the process lives; and the word on somebody else's act,
/// which is that act (`two_people`).
pub(crate) const NO_ACT: [(&str, &str); 5] = [
    ("get", "/v1/whoami"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("post", "/v1/approvals/{id}/approve"),
    ("post", "/v1/approvals/{id}/refuse"),
];

/// Every route of the OpenAPI document.
pub(crate) fn routes() -> Vec<(String, String)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let of_path = |(path, item): (&String, &Value)| {
        let told = item.as_object().unwrap().keys().filter(|key| methods.contains(&key.as_str()));
        told.map(|method| (method.clone(), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}
