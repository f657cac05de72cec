//! Keys that accounts can be bound to: what is asked, and where the MAC key goes.

use serde_json::{Value, json};

use super::ca::Ca;
use super::command;
use crate::api::ExternalKeyMade;

fn made() -> Value {
    json!({
        "id": "AZqkAbCdEfGhIjKlMnOpQr", "holder": "contract\u{1b}[2J 4711", "status": "unused", "profiles": ["classic"],
        "names": ["a.example", "b.example"], "by": "uid:0", "created": "2026-11-21T10:00:00Z",
        "expires": "2026-12-21T10:00:00Z", "mac_key": "c2VjcmV0",
    })
}

#[tokio::test]
async fn a_key_is_asked_for_with_its_limits_and_its_secret_is_printed_once() {
    let ca = Ca::always(|| made().into());
    let line = "eab create --profile classic --name a.example --name b.example --expires +30d --for";
    let outcome = command(line).word("contract 4711").run(&ca).await;
    assert_eq!(ca.lines(), ["POST /v1/external-keys"]);
    assert_eq!(
        ca.last_body(),
        json!({
            "holder": "contract 4711", "profiles": ["classic"], "names": ["a.example", "b.example"],
            "expires": "2026-12-21T10:00:00Z",
        })
    );
    assert_eq!(outcome.notes, "The MAC key is shown this once: nobody can see it again.\n");
    let printed = outcome.done();
    assert!(printed.starts_with("key id    AZqkAbCdEfGhIjKlMnOpQr\nMAC key   c2VjcmV0\n"), "{printed}");
    assert!(!printed.contains('\u{1b}'), "{printed}");
    let printed = command("eab create --json --for x").run(&ca).await.done();
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), made());
    let refused = command("eab create").run(&ca).await.ended(2);
    assert!(refused.contains("--for"), "{refused}");
}

#[tokio::test]
async fn keys_are_listed_by_status_and_withdrawn_with_a_reason() {
    let ca = Ca::always(|| json!({ "items": [] }).into());
    assert_eq!(command("eab list --status unused").run(&ca).await.notes, "No key is so.\n");
    assert_eq!(ca.lines(), ["GET /v1/external-keys?status=unused&limit=100"]);
    let ca = Ca::always(|| made().into());
    assert!(command("eab withdraw AZqk").run(&ca).await.ended(2).contains("--reason TEXT"));
    command("eab withdraw AZqk --reason ended").run(&ca).await.done();
    assert_eq!(ca.lines(), ["POST /v1/external-keys/AZqk/withdraw"]);
    assert_eq!(ca.last_body(), json!({ "reason": "ended" }));
}

#[test]
fn a_secret_is_not_part_of_what_debugging_shows() {
    let made: ExternalKeyMade = serde_json::from_value(made()).unwrap();
    assert!(!format!("{made:?}").contains("c2VjcmV0"));
}
