//! Subjects: a report is put together from its pages as they come, an address is in no URL, and whoever erases is told what stays.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::ca::{Asked, Ca, Reply, problem};
use super::command;

fn erased(account: &str) -> Value {
    json!({
        "account": account, "erased": ["contact addresses\u{1b}[2J"], "closed": false, "rights": {},
        "kept": [{
            "what": "certificates", "class": "issuance", "purpose": "to revoke", "kept": "seven years", "basis": ["BR 5.4.3"],
        }],
    })
}

fn subject(account: &str) -> Value {
    json!({ "account": account, "contacts": ["mailto:a@b.example"], "since": "2026-01-01", "due": "2027-01-01" })
}

fn answer(asked: &Asked) -> Reply {
    let line = asked.line.as_str();
    let items = |items: Value, next: Option<&str>| json!({ "items": items, "next": next }).into();
    match line {
        "POST /v1/subjects" if asked.body["after"].is_null() => items(json!([subject("A1")]), Some("A1")),
        "POST /v1/subjects" => items(json!([subject("A2")]), None),
        _ if line.ends_with("/erase") => erased(line.split('/').nth(3).unwrap()).into(),
        _ if line.contains("section=records") && !line.contains("after=") => {
            items(json!([{ "id": "r1" }, { "id": "r2" }]), Some("p2"))
        }
        _ if line.contains("section=records") => items(json!([{ "id": "r3" }]), None),
        _ if line.contains("/section") => items(json!([]), None),
        _ if line.starts_with("GET /v1/subjects/") => {
            json!({ "manifest": { "format": "f" }, "account": {}, "contact": { "contacts": [] } }).into()
        }
        _ => items(json!([]), None),
    }
}

#[tokio::test]
async fn a_report_is_written_page_by_page_into_a_file_for_one_alone() {
    let ca = Ca::new(answer);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let line = format!("subject export --contact a@b.example --reason r --output {}", path.display());
    let outcome = command(&line).run(&ca).await;
    assert!(outcome.notes.contains("several accounts was written"), "{}", outcome.notes);
    outcome.done();
    let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let reports = written["reports"].as_array().unwrap();
    assert_eq!(reports.len(), 2);
    let records = json!([{ "id": "r1" }, { "id": "r2" }, { "id": "r3" }]);
    assert!(reports.iter().all(|report| report["records"] == records && report["orders"] == json!([])));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(ca.lines().iter().all(|line| !line.contains("b.example")), "{:?}", ca.lines());
    // Nothing is written over.
    assert!(command(&line).run(&ca).await.ended(2).contains("cannot be written"));

    let printed = command("subject export A1 --reason r").run(&ca).await.done();
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap()["reports"][0]["records"], records);
    assert!(command("subject export A1").run(&ca).await.ended(2).contains("--reason TEXT"));
    assert!(command("subject export --reason r").run(&ca).await.ended(2).contains("--contact"));
}

#[tokio::test]
async fn an_erasure_says_what_stays_and_of_whom_nobody_is_found_nothing_is_erased() {
    let ca = Ca::new(answer);
    let printed = command("subject erase --contact a@b.example --close --reason r").run(&ca).await.done();
    assert!(printed.contains("BR 5.4.3") && printed.contains("A1") && printed.contains("A2"), "{printed}");
    assert!(!printed.contains('\u{1b}'), "{printed}");
    assert_eq!(ca.last_body(), json!({ "close": true, "reason": "r" }));
    let nobody = Ca::always(|| json!({ "items": [] }).into());
    let outcome = command("subject erase --contact a@b.example --reason r").run(&nobody).await;
    assert_ne!(outcome.code, 0);
    assert_eq!(nobody.lines(), ["POST /v1/subjects"]);
    let held = Ca::always(|| problem(409, "conflict", "it is held: GDPR Art. 17(3)(b) and (e)"));
    let outcome = command("subject erase A1 --reason r").run(&held).await;
    assert!(outcome.notes.contains("GDPR Art. 17(3)(b)") && outcome.code != 0, "{outcome:?}");
}

#[tokio::test]
async fn corrections_objections_and_tellings_are_sent_as_they_are_meant() {
    let ca = Ca::always(|| json!({ "done": "done" }).into());
    command("subject correct A1 --contact a@b.example --contact c@d.example --reason r")
        .run(&ca)
        .await
        .done();
    assert_eq!(ca.last_body(), json!({ "contacts": ["a@b.example", "c@d.example"], "reason": "r" }));
    command("subject correct A1 --none --reason r").run(&ca).await.done();
    assert_eq!(ca.last_body(), json!({ "contacts": [], "reason": "r" }));
    command("subject correct A1 --reason r").run(&ca).await.ended(2);
    command("subject object A1 --reason r").run(&ca).await.done();
    assert_eq!(ca.last_body(), json!({ "objects": true, "reason": "r" }));
    command("subject object A1 --withdrawn --reason r").run(&ca).await.done();
    assert_eq!(ca.last_body(), json!({ "objects": false, "reason": "r" }));
    command("subject told A1 A2 --reason r").run(&ca).await.done();
    let lines = ca.lines();
    assert_eq!(&lines[lines.len() - 2..], ["POST /v1/subjects/A1/told", "POST /v1/subjects/A2/told"]);
    let ca = Ca::new(answer);
    assert_eq!(command("subject list --due --reason r").run(&ca).await.notes, "Nobody is so.\n");
    assert!(ca.lines()[0].starts_with("GET /v1/subjects?due_before=2026-"), "{:?}", ca.lines());
}
