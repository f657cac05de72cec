//! Revoking: counted first, agreed to, followed until done.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::ca::{Asked, Ca, Reply, certificate, job, problem};
use super::command;

fn plan(count: u64) -> Value {
    json!({ "count": count, "already_revoked": 2, "expired": 0, "missing": 1, "accounts": 3, "sample": [certificate(1)] })
}

/// A CA with a job that takes three looks.
fn working() -> Ca {
    let looks = AtomicU64::new(0);
    Ca::new(move |asked: &Asked| match asked.line.as_str() {
        "POST /v1/revocations/plan" => plan(20).into(),
        "POST /v1/revocations" => Reply::Json(201, job("gathering", 0)),
        _ => match looks.fetch_add(1, Ordering::SeqCst) {
            0 => job("running", 0).into(),
            1 => job("running", 11).into(),
            2 => problem(503, "overloaded", "busy"),
            _ => job("done", 20).into(),
        },
    })
}

#[tokio::test]
async fn one_certificate_is_revoked_at_once() {
    let ca = Ca::always(|| json!({ "done": "4f0a is revoked" }).into());
    let line = "revoke 4F0A --revocation-reason keyCompromise --block-key --reason leaked";
    assert_eq!(command(line).run(&ca).await.done(), "4f0a is revoked\n");
    assert_eq!(ca.lines(), ["POST /v1/certificates/4f0a/revoke"]);
    assert_eq!(
        ca.last_body(),
        json!({ "revocation_reason": "keyCompromise", "block_key": true, "reason": "leaked" })
    );
}

#[tokio::test]
async fn many_are_only_counted_until_told_otherwise() {
    let ca = working();
    let outcome = command("revoke --below example.org --issued-from 7d").run(&ca).await;
    assert_eq!(ca.lines(), ["POST /v1/revocations/plan"]);
    assert_eq!(ca.last_body(), json!({ "below": "example.org", "issued_from": "2026-11-14T10:00:00Z" }));
    assert_eq!(outcome.notes, "\nThis was a count, and nothing was revoked: --execute revokes.\n");
    assert_eq!(
        outcome.done(),
        "to be revoked    20\n\
         of accounts      3\n\
         revoked already  2\n\
         never issued     1\n\
         \n\
         1 of them:\n\
         SERIAL                                STATUS  ISSUER  ISSUED                EXPIRES               \
         ACCOUNT                 NAMES\n\
         4f0a1b2c3d4e5f60718293a4b5c6d7e8f901  good    ecdsa   2026-11-20T10:00:00Z  2027-02-18T09:00:00Z  \
         AZqkAbCdEfGhIjKlMnOpQr  www.example.org, example.org\n"
    );
}

#[tokio::test]
async fn nothing_to_revoke_ends_with_8() {
    let ca = Ca::always(|| plan(0).into());
    command("revoke --name a.example").run(&ca).await.ended(8);
    let line = "revoke --name a.example --execute --expected 0 --revocation-reason superseded --reason x";
    command(line).run(&ca).await.ended(8);
    assert_eq!(ca.lines(), ["POST /v1/revocations/plan", "POST /v1/revocations/plan"]);
}

#[tokio::test]
async fn an_agreed_count_is_revoked_and_followed_until_done() {
    let ca = working();
    let line = "revoke --below example.org --execute --expected 20 --revocation-reason keyCompromise --reason leak \
                --per-second 50 --json";
    let outcome = command(line).run(&ca).await;
    assert_eq!(
        outcome.notes,
        "Job AZqkJoBjObJoBjObJoBjOb runs. Ctrl-C leaves it running.\n\
         job AZqkJoBjObJoBjObJoBjOb: running, 0 of 20 revoked\n\
         job AZqkJoBjObJoBjObJoBjOb: running, 11 of 20 revoked\n\
         busy\n  (in the log of the CA: request r1)\n\
         Waiting for the CA; the job goes on with it.\n\
         job AZqkJoBjObJoBjObJoBjOb: done, 20 of 20 revoked\n"
    );
    assert_eq!(serde_json::from_str::<Value>(&outcome.done()).unwrap(), job("done", 20));
    let lines = ca.lines();
    assert_eq!(lines[..2], ["POST /v1/revocations/plan", "POST /v1/revocations"]);
    assert!(lines[2..].iter().all(|line| line == "GET /v1/revocations/AZqkJoBjObJoBjObJoBjOb"), "{lines:?}");
}

#[tokio::test]
async fn what_is_sent_is_what_was_counted() {
    let ca = working();
    let line = "revoke --below example.org --execute --revocation-reason superseded --reason leak --detach";
    let outcome = command(line).typed("20\n").run(&ca).await;
    assert!(outcome.notes.contains("Type 20 to revoke so many certificates: "), "{outcome:?}");
    assert!(outcome.notes.contains("to be revoked    20\n"), "{outcome:?}");
    assert!(outcome.done().starts_with("job                AZqkJoBjObJoBjObJoBjOb\n"));
    assert_eq!(
        ca.last_body(),
        json!({ "selection": { "below": "example.org" }, "revocation_reason": "superseded", "per_second": 10,
            "expected": 20, "reason": "leak" })
    );
}

#[tokio::test]
async fn without_agreement_nothing_is_revoked() {
    let line = "revoke --below example.org --execute --revocation-reason superseded --reason leak";
    let ca = working();
    assert!(command(line).run(&ca).await.ended(2).contains("agree to it with --expected 20"));
    assert!(command(line).typed("21\n").run(&ca).await.ended(7).contains("\"21\" is not 20"));
    command(line).typed("").run(&ca).await.ended(7);
    let said = command(&format!("{line} --expected 19")).run(&ca).await.ended(3);
    assert!(said.contains("--expected says 19"), "{said}");
    assert!(ca.lines().iter().all(|line| line == "POST /v1/revocations/plan"));
}

#[tokio::test]
async fn a_file_and_typed_serials_are_one_selection() {
    let ca = working();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    std::fs::write(&path, "4f02\n4f01 # twice\n").unwrap();
    let line = format!("revoke --serial 4f01 --serial 4f03 --file {}", path.display());
    command(&line).run(&ca).await.done();
    assert_eq!(ca.last_body(), json!({ "serials": ["4f01", "4f03", "4f02"] }));
    let many: String = (1..=10_001).map(|number| format!("{number:06x}\n")).collect();
    std::fs::write(&path, many).unwrap();
    let said = command(&format!("revoke --file {}", path.display())).run(&ca).await.ended(2);
    assert!(said.contains("put them into an incident first"), "{said}");
}

#[tokio::test]
async fn a_held_job_goes_on_and_a_cancelled_one_is_told() {
    let ca = Ca::new(|asked| match asked.line.as_str() {
        "POST /v1/revocations/AZqkJoBjObJoBjObJoBjOb/resume" => job("running", 5).into(),
        _ => job("cancelled", 7).into(),
    });
    let outcome = command("revoke --resume AZqkJoBjObJoBjObJoBjOb --reason on").run(&ca).await;
    assert!(outcome.output.contains("cancelled"), "{outcome:?}");
    assert!(outcome.ended(3).contains("7 of 20 certificates were revoked, and stay so"));
}

#[tokio::test]
async fn jobs_are_listed_and_held() {
    let ca = Ca::new(|asked| match asked.line.as_str() {
        "GET /v1/revocations?limit=100" => json!({ "items": [job("paused", 5)] }).into(),
        _ => job("paused", 5).into(),
    });
    assert_eq!(
        command("job list").run(&ca).await.done(),
        "ID                      STATE   STARTED               REVOKED  TOTAL  BY        SELECTION\n\
         AZqkJoBjObJoBjObJoBjOb  paused  2026-11-21T10:00:00Z        5     20  uid:1000  below example.org\n"
    );
    command("job pause AZqkJoBjObJoBjObJoBjOb --reason wait").run(&ca).await.done();
    assert_eq!(ca.lines().last().unwrap(), "POST /v1/revocations/AZqkJoBjObJoBjObJoBjOb/pause");
}

#[tokio::test]
async fn an_incident_takes_what_a_search_finds() {
    let ca = Ca::new(|asked| match asked.line.as_str() {
        "GET /v1/certificates?below=example.org&status=good&limit=1000" => {
            json!({ "items": [certificate(1), certificate(2)] }).into()
        }
        "POST /v1/incidents/leak/certificates" => json!({ "added": 1, "known": 1, "missing": 0 }).into(),
        other => panic!("{other}"),
    });
    let printed = command("incident add leak --below example.org --status good").run(&ca).await.done();
    assert_eq!(printed, "added         1\nin it before  1\nnever issued  0\n");
    assert_eq!(ca.last_body(), json!({ "serials": [certificate(1)["serial"], certificate(2)["serial"]] }));
}

#[tokio::test]
async fn whoever_approves_is_shown_what() {
    let approval = |status: &str| {
        json!({ "id": "AZqkAp", "act": "revocation.start", "request": { "expected": 20 }, "status": status,
            "by": "uid:7", "at": "2026-11-21T10:00:00Z", "expires": "2026-11-22T10:00:00Z", "reason": "leak" })
    };
    let ca = Ca::new(move |asked| match asked.line.as_str() {
        "GET /v1/approvals/AZqkAp" => approval("waiting").into(),
        _ => json!({ "approval": approval("approved"), "result": { "id": "AZqkJob" } }).into(),
    });
    let outcome = command("approval approve AZqkAp").typed("agreed\n").run(&ca).await;
    assert!(
        outcome.notes.contains("request   {\n            \"expected\": 20\n          }\n"),
        "{}",
        outcome.notes
    );
    assert!(
        outcome.notes.ends_with("The job runs: `ingam admin job watch AZqkJob` looks at it.\n"),
        "{outcome:?}"
    );
    assert!(outcome.done().contains("result  {"));
    assert_eq!(ca.lines(), ["GET /v1/approvals/AZqkAp", "POST /v1/approvals/AZqkAp/approve"]);
    assert_eq!(ca.last_body(), json!({ "reason": "agreed" }));
}
