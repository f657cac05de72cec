//! Proves that personal data leaves only with consent or on a demand that is on record (D1), that subjects are told before,
//! or after a ban or an emergency, and never forgotten (D2), that an objection stops what it objects to (D3), that nobody's
//! data moves to another business before everybody was told (D4); that what left is on record without the data; and that
//! the report has counts and nothing else.

use ingam_authority::operator::CaseKind;
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::{Class, RecordType};
use ingam_protocol::{Id, Timestamp};
use serde_json::{Value, json};

use crate::acts::{case_of, told_case};
use crate::client::{Answer, get, post};
use crate::world::{CONTACT, DAY, Told, World};

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// A CA with somebody who may work on its cases.
struct Room {
    world: World,
    boss: Principal,
}

impl Room {
    fn new() -> Self {
        let world = World::new();
        let boss = world.somebody(&[Role::Administrator]);
        Self { world, boss }
    }

    fn now(&self) -> Timestamp {
        self.world.authority.clock().now()
    }

    fn act(&self, case: &str, act: &str, mut body: Value) -> (Answer, Vec<Told>) {
        body["reason"] = json!("ticket 12");
        self.world.told(|| self.world.send(self.boss, &post(format!("/v1/cases/{case}/{act}"), body)))
    }

    /// The same, done.
    fn done(&self, case: &str, act: &str, body: Value) -> Value {
        let (answer, _) = self.act(case, act, body);
        assert_eq!(answer.status, 200, "{act}: {}", answer.text());
        answer.json()
    }

    /// The same, refused: nothing is changed, and that it was refused is on record.
    fn refused(&self, case: &str, act: &str, body: Value) -> String {
        let before = self.world.rows();
        let (answer, told) = self.act(case, act, body);
        assert_eq!(answer.problem().0, 409, "{act}: {}", answer.text());
        assert!(self.world.rows() == before, "{act}");
        assert_eq!(told.iter().map(|told| told.kind).collect::<Vec<_>>(), [RecordType::OperatorActed]);
        answer.json()["detail"].as_str().unwrap().to_owned()
    }

    fn give(&self, case: &str) -> Value {
        self.done(case, "disclose", json!({ "fields": ["contacts"], "sha256": HASH }))
    }

    /// Who has to be told: case, subject, notice, whether that is overdue.
    fn due(&self) -> Vec<(String, String, String, bool)> {
        let answer = self.world.send(self.boss, &get("/v1/notices/due?reason=ticket"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let read = |one: &Value| {
            (
                text(&one["case"]),
                text(&one["subject"]),
                text(&one["notice"]),
                one["overdue"].as_bool().unwrap(),
            )
        };
        answer.json()["items"].as_array().unwrap().iter().map(read).collect()
    }

    fn owed(&self, case: &str, subject: Id, notice: &str, overdue: bool) {
        assert_eq!(self.due(), [(case.to_owned(), subject.to_string(), notice.to_owned(), overdue)]);
    }
}

#[test]
fn a_demand_is_told_answered_and_closed() {
    let room = Room::new();
    let (case, subject) = case_of(&room.world, CaseKind::LegalDemand);
    let name = case.name;
    room.owed(&name, subject, "before_disclosure", false);
    let why_not = room.refused(&name, "disclose", json!({ "fields": ["contacts"] }));
    assert!(
        why_not.contains("D2") && why_not.contains("PIPA") && why_not.contains(&subject.to_string()),
        "{why_not}"
    );

    let (answer, told) = room.act(&name, "notify", json!({ "how": "letter" }));
    assert_eq!((answer.status.as_u16(), &answer.json()["told"]), (200, &json!(1)));
    assert_eq!(
        (told[0].kind, told[0].subject, told[0].class),
        (RecordType::NoticeGiven, Some(subject), Class::Retention)
    );
    assert!(room.due().is_empty());

    let (answer, told) =
        room.act(&name, "disclose", json!({ "fields": ["contacts", "addresses"], "sha256": HASH }));
    let given = answer.json();
    assert_eq!(given["disclosures"][0]["recipient"], "a court", "{given}");
    assert_eq!(given["disclosures"][0]["sha256"], HASH);
    let record = told.iter().find(|told| told.kind == RecordType::DataDisclosed).unwrap();
    assert_eq!((record.subject, record.class), (Some(subject), Class::Retention));
    assert_eq!(record.payload["disclosure"]["fields"], json!(["contacts", "addresses"]));
    assert_eq!(record.payload["law"], "Act 12, no. 4711");
    let everything =
        serde_json::to_string(&told.iter().map(|told| &told.payload).collect::<Vec<_>>()).unwrap();
    assert!(!everything.contains(CONTACT.strip_prefix("mailto:").unwrap()), "never the data itself");

    assert_eq!(room.done(&name, "close", json!({}))["status"], "closed");
    for act in ["close", "object"] {
        room.refused(&name, act, json!({}));
    }
    room.refused(&name, "disclose", json!({ "fields": ["contacts"] }));
    room.world.stop();
}

#[test]
fn without_consent_or_a_demand_nothing_leaves() {
    let room = Room::new();
    for kind in [CaseKind::Fault, CaseKind::Abuse] {
        let (case, _) = case_of(&room.world, kind);
        let why_not = room.refused(&case.name, "disclose", json!({ "fields": ["contacts"] }));
        assert!(why_not.contains("GDPR, Articles 5(1)(b) and 6(1)") && why_not.contains("PIPA"), "{why_not}");
        assert!(room.due().is_empty());
    }
    let (case, subject) = case_of(&room.world, CaseKind::Consent);
    assert_eq!(room.give(&case.name)["disclosed"], 1);
    assert!(room.due().is_empty(), "who agreed knows");
    let shown = room.world.send(room.boss, &get(format!("/v1/cases/{}?reason=why", case.name))).json();
    assert_eq!(shown["named"][0]["subject"], subject.to_string());
    assert!(shown["named"][0]["disclosed"].is_string());
    room.world.stop();
}

#[test]
fn a_forbidden_notice_falls_due_when_the_ban_ends_even_if_the_case_is_closed() {
    let room = Room::new();
    let (case, subject) = case_of(&room.world, CaseKind::LegalDemand);
    let end = room.now().plus(90 * DAY);
    room.done(&case.name, "notify", json!({ "forbidden_until": end.to_rfc3339() }));
    let why_not = room.refused(&case.name, "notify", json!({ "how": "mail" }));
    assert!(why_not.contains(&end.to_rfc3339()), "{why_not}");
    room.give(&case.name);
    room.done(&case.name, "close", json!({}));
    room.owed(&case.name, subject, "after_ban", false);
    room.world.clock.advance(90 * DAY);
    room.owed(&case.name, subject, "after_ban", true);
    room.done(&case.name, "notify", json!({ "how": "mail" }));
    assert!(room.due().is_empty());
    room.refused(&case.name, "notify", json!({ "how": "mail" }));
    let report =
        room.world.send(room.boss, &get("/v1/transparency-report?minimum=1&from=2026-01-01T00:00:00Z"));
    assert_eq!(
        report.json()["kinds"]["legal_demand"]["notices"],
        json!({ "delayed": 1, "futile": 0, "given": 1 })
    );
    room.world.stop();
}

#[test]
fn an_emergency_is_told_after_it_and_not_closed_before() {
    let room = Room::new();
    let (case, subject) = case_of(&room.world, CaseKind::Emergency);
    assert!(room.due().is_empty(), "nothing left yet");
    room.give(&case.name);
    room.owed(&case.name, subject, "after_emergency", false);
    let why_not = room.refused(&case.name, "close", json!({}));
    assert!(why_not.contains("D2") && why_not.contains(&subject.to_string()), "{why_not}");
    room.world.clock.advance(7 * DAY);
    room.owed(&case.name, subject, "after_emergency", true);
    room.done(&case.name, "notify", json!({ "futile": true }));
    room.done(&case.name, "close", json!({}));
    assert!(room.due().is_empty());
    room.world.stop();
}

#[test]
fn an_objection_stops_the_answer() {
    let room = Room::new();
    let name = told_case(&room.world);
    room.refused(&name, "object", json!({ "outcome": "upheld" }));
    room.done(&name, "object", json!({}));
    for (act, body) in
        [("disclose", json!({ "fields": ["contacts"] })), ("close", json!({})), ("object", json!({}))]
    {
        assert!(room.refused(&name, act, body).contains("objection"));
    }
    let objected = room.done(&name, "object", json!({ "outcome": "rejected" }));
    assert_eq!(objected["objections"][0]["outcome"], "rejected");
    room.give(&name);
    room.done(&name, "object", json!({ "outcome": "pending" }));
    room.done(&name, "object", json!({ "outcome": "upheld" }));
    assert!(room.refused(&name, "disclose", json!({ "fields": ["contacts"] })).contains("D3"));
    let (fault, _) = case_of(&room.world, CaseKind::Fault);
    room.refused(&fault.name, "object", json!({}));
    room.world.stop();
}

#[test]
fn nobodys_data_moves_before_everybody_was_told() {
    let room = Room::new();
    let first = room.world.account().id;
    let body = json!({
        "name": "sale", "kind": "transfer", "requester": "Example CA Ltd", "everybody": true,
        "answer_by": room.now().plus(60 * DAY).to_rfc3339(), "reason": "sold",
    });
    assert_eq!(room.world.send(room.boss, &post("/v1/cases", body)).status, 201);
    room.owed("sale", first, "before_transfer", false);
    assert_eq!(
        room.act("sale", "notify", json!({ "how": "mail" })).0.problem().0,
        422,
        "everybody is nobody"
    );
    room.done("sale", "notify", json!({ "how": "mail", "subjects": [first.to_string()] }));
    assert!(room.due().is_empty());
    // Somebody comes after the others were told.
    let late = room.world.account().id;
    room.owed("sale", late, "before_transfer", false);
    let why_not = room.refused("sale", "disclose", json!({ "fields": ["everything"] }));
    assert!(why_not.contains("D4") && why_not.contains(&late.to_string()), "{why_not}");
    room.done("sale", "notify", json!({ "how": "mail", "subjects": [late.to_string()] }));
    assert_eq!(room.done("sale", "disclose", json!({ "fields": ["everything"] }))["disclosed"], 2);
    let named = room.world.send(room.boss, &get("/v1/cases/sale")).json()["named"].clone();
    assert_eq!(named.as_array().unwrap().len(), 2, "the list of who was told is kept");
    room.world.stop();
}

#[test]
fn holds_last_as_long_as_their_case() {
    let room = Room::new();
    let (case, subject) = case_of(&room.world, CaseKind::LegalDemand);
    let ends = |days: u32| room.now().plus(days * DAY).to_rfc3339();
    let (answer, told) = room.act(&case.name, "hold", json!({ "ends": ends(90), "owner": "Ann" }));
    assert_eq!(answer.json()["holds"].as_array().unwrap().len(), 1, "{}", answer.text());
    assert_eq!((told[0].kind, told[0].subject), (RecordType::HoldChanged, Some(subject)));
    let held = || room.world.store.holds_on(subject, room.now()).unwrap();
    assert_eq!((held().len(), held()[0].case.as_str()), (1, case.name.as_str()));
    for wrong in [ends(0), ends(400)] {
        let (answer, _) = room.act(&case.name, "hold", json!({ "ends": wrong }));
        assert_eq!(answer.problem().0, 422);
    }
    let (answer, told) = room.act(&case.name, "close", json!({}));
    assert_eq!((answer.status.as_u16(), held().len()), (200, 0));
    assert_eq!((told[0].kind, &told[0].payload["change"]), (RecordType::HoldChanged, &json!("released")));
    room.refused(&case.name, "hold", json!({ "ends": ends(90) }));
    room.world.stop();
}

#[test]
fn the_report_has_counts_and_hides_what_is_few() {
    let room = Room::new();
    for at in 0..12 {
        let name =
            if at < 10 { told_case(&room.world) } else { case_of(&room.world, CaseKind::LegalDemand).0.name };
        if at < 10 {
            room.give(&name);
        }
    }
    let (secret, subject) = case_of(&room.world, CaseKind::Emergency);
    let report = |minimum: u64| {
        let uri = format!(
            "/v1/transparency-report?from=2026-01-01T00:00:00Z&until=2027-01-01T00:00:00Z&minimum={minimum}"
        );
        room.world.send(room.boss, &get(uri)).json()
    };
    let all = report(1);
    let demands = &all["kinds"]["legal_demand"];
    assert_eq!((&demands["cases"], &demands["by_basis"]["warrant"]), (&json!(12), &json!(12)));
    assert_eq!(demands["by_outcome"], json!({ "complied": 10, "nothing_given": 2 }));
    assert_eq!(demands["by_subjects"]["1-9"], 12);
    let few = report(10);
    let demands = &few["kinds"]["legal_demand"];
    assert_eq!(
        demands["by_outcome"],
        json!({ "complied": null, "nothing_given": null }),
        "10 of 12 tells the 2"
    );
    assert_eq!(demands["notices"], json!({ "given": 10, "delayed": 0, "futile": 0 }));
    assert_eq!(few["kinds"]["emergency"]["cases"], 1);
    assert_eq!(few["kinds"]["emergency"]["by_basis"]["vital_interest"], Value::Null);
    let text = few.to_string();
    for hidden in [subject.to_string().as_str(), secret.name.as_str(), "a court", "Act 12"] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }
    // The last half of a year that is over, and nothing else.
    let usual = room.world.send(room.boss, &get("/v1/transparency-report")).json();
    assert_eq!(
        (&usual["from"], &usual["until"]),
        (&json!("2026-01-01T00:00:00Z"), &json!("2026-07-01T00:00:00Z"))
    );
    assert_eq!(usual["kinds"]["legal_demand"]["cases"], 0);
    for query in ["minimum=0", "minimum=1001", "from=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z"] {
        let answer = room.world.send(room.boss, &get(format!("/v1/transparency-report?{query}")));
        assert_eq!(answer.problem().0, 422, "{query}");
    }
    room.world.stop();
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let room = Room::new();
    let subject = room.world.account().id.to_string();
    let stranger = "AAAAAAAAAAAAAAAAAAAAAA";
    let past = "2020-01-01T00:00:00Z";
    let opening = |changes: Value| {
        let mut body = json!({
            "name": "c-1", "kind": "legal_demand", "basis": "warrant", "law": "Act 12", "requester": "a court",
            "subjects": [subject], "reason": "ticket 12",
        });
        changes.as_object().unwrap().iter().for_each(|(key, value)| body[key] = value.clone());
        body
    };
    let many: Vec<&str> = vec![subject.as_str(); 1001];
    for (changes, status) in [
        (json!({ "name": "" }), 422),
        (json!({ "name": "a b" }), 422),
        (json!({ "name": "../x" }), 422),
        (json!({ "name": "x".repeat(65) }), 422),
        (json!({ "kind": "curiosity" }), 422),
        (json!({ "basis": "curiosity" }), 422),
        (json!({ "basis": null }), 422),
        (json!({ "basis": "consent" }), 422),
        (json!({ "law": null }), 422),
        (json!({ "law": "x".repeat(301) }), 422),
        (json!({ "law": "two\nlines" }), 422),
        (json!({ "requester": null }), 422),
        (json!({ "requester": " " }), 422),
        (json!({ "subjects": ["x"] }), 422),
        (json!({ "subjects": [stranger] }), 404),
        (json!({ "subjects": many }), 422),
        (json!({ "everybody": true }), 422),
        (json!({ "forbidden_until": past }), 422),
        (json!({ "answer_by": "soon" }), 422),
        (json!({ "kind": "consent", "basis": null, "forbidden_until": "2099-01-01T00:00:00Z" }), 422),
        (json!({ "kind": "transfer", "basis": null, "answer_by": past }), 422),
        (json!({ "surprise": 1 }), 400),
    ] {
        let before = room.world.rows();
        let answer = room.world.send(room.boss, &post("/v1/cases", opening(changes.clone())));
        assert_eq!(answer.problem().0, status, "{changes}: {}", answer.text());
        assert!(room.world.rows() == before, "{changes}");
    }
    assert_eq!(room.world.send(room.boss, &post("/v1/cases", opening(json!({})))).status, 201);
    assert_eq!(room.world.send(room.boss, &post("/v1/cases", opening(json!({})))).problem().0, 409, "taken");
    for (act, body, status) in [
        ("disclose", json!({ "fields": [] }), 422),
        ("disclose", json!({ "fields": [" "] }), 422),
        ("disclose", json!({ "fields": vec!["x"; 101] }), 422),
        ("disclose", json!({ "fields": ["a"], "sha256": "00" }), 422),
        ("disclose", json!({ "fields": ["a"], "subjects": [stranger] }), 422),
        ("notify", json!({}), 422),
        ("notify", json!({ "how": "mail", "futile": true }), 422),
        ("notify", json!({ "how": "\u{1b}[2J" }), 422),
        ("notify", json!({ "how": "mail", "subjects": [stranger] }), 422),
        ("notify", json!({ "forbidden_until": past }), 422),
        ("notify", json!({ "forbidden_until": "2099-01-01T00:00:00Z", "subjects": [subject] }), 422),
        ("object", json!({ "outcome": "ignored" }), 422),
        ("hold", json!({ "ends": past }), 422),
        ("hold", json!({ "ends": "later" }), 422),
    ] {
        let before = room.world.rows();
        let (answer, _) = room.act("c-1", act, body.clone());
        assert_eq!(answer.problem().0, status, "{act} {body}: {}", answer.text());
        assert!(room.world.rows() == before, "{act} {body}");
    }
    for act in ["disclose", "notify", "object", "close", "hold"] {
        let body = json!({ "fields": ["a"], "how": "mail", "ends": "2026-12-24T00:00:00Z" });
        let wanted = match act {
            "disclose" => json!({ "fields": body["fields"] }),
            "notify" => json!({ "how": body["how"] }),
            "hold" => json!({ "ends": body["ends"] }),
            _ => json!({}),
        };
        assert_eq!(room.act("nowhere", act, wanted).0.problem().0, 404, "{act}");
    }
    assert_eq!(room.world.send(room.boss, &get("/v1/cases/nowhere")).problem().0, 404);
    room.world.stop();
}
