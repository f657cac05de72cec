//! Each exit code, and what is said with it; and that the manual knows them, and every command.

use clap::CommandFactory;
use serde_json::json;

use super::ca::{Ca, Reply, problem};
use super::{Line, command};

/// What operators read.
const MANUAL: &str = include_str!("../../../../../docs/operations/command-line.md");

#[test]
fn the_manual_has_every_exit_code_as_the_help_tells_it() {
    let codes = super::super::failure::EXIT_CODES.lines().skip(1);
    let rows: Vec<String> = codes
        .map(|line| line.trim().split_once(' ').unwrap())
        .map(|(code, meaning)| format!("| {code} | {} |\n", meaning.trim()))
        .collect();
    assert_eq!(rows.len(), 11);
    assert!(MANUAL.contains(&rows.concat()), "{rows:?}");
}

#[test]
fn the_manual_has_every_command() {
    let mut tree = Line::command();
    tree.build();
    let mut open = vec![(String::new(), &tree)];
    while let Some((name, command)) = open.pop() {
        let within: Vec<_> = command.get_subcommands().filter(|each| each.get_name() != "help").collect();
        if within.is_empty() {
            assert!(MANUAL.contains(&format!("`{name}`")), "{name}");
        }
        open.extend(
            within
                .into_iter()
                .map(|each| (format!("{name} {}", each.get_name()).trim_start().to_owned(), each)),
        );
    }
}

#[tokio::test]
async fn what_is_done_ends_with_0() {
    let ca = Ca::always(|| json!({ "done": "example.org may have certificates again" }).into());
    let outcome = command("name forget example.org --reason settled").run(&ca).await;
    assert_eq!(outcome.done(), "example.org may have certificates again\n");
    assert_eq!(ca.lines(), ["POST /v1/names/example.org/forget"]);
    assert_eq!(ca.last_body(), json!({ "reason": "settled" }));
}

#[tokio::test]
async fn refusals_end_with_a_number_by_their_kind() {
    let cases = [
        (400, "malformed", 2),
        (403, "role-needed", 3),
        (404, "not-found", 4),
        (409, "conflict", 3),
        (413, "too-large", 2),
        (422, "invalid", 2),
        (429, "overloaded", 1),
        (500, "fault", 1),
        (503, "overloaded", 1),
    ];
    for (status, kind, code) in cases {
        let ca = Ca::always(move || problem(status, kind, "it is so"));
        let outcome = command("account show AZqk").run(&ca).await;
        assert_eq!(outcome.output, "");
        assert_eq!(
            outcome.ended(code),
            "ingam: it is so\n  (in the log of the CA: request r1)\n",
            "{status} {kind}"
        );
    }
}

#[tokio::test]
async fn programs_get_the_problem_itself_beside_the_data() {
    let ca = Ca::always(|| problem(404, "not-found", "no such account"));
    let outcome = command("--json account show AZqk").run(&ca).await;
    assert_eq!(outcome.output, "");
    let said: serde_json::Value = serde_json::from_str(&outcome.ended(4)).unwrap();
    assert_eq!(said["type"], "urn:ingam:admin:not-found");
}

#[tokio::test]
async fn findings_are_told_each_for_itself() {
    let ca = Ca::always(|| {
        let findings = ["limits.a: too small", "urls.b: no URL\u{1b}[2J"];
        Reply::Json(
            422,
            json!({ "type": "x", "status": 422, "detail": "nothing changed", "findings": findings }),
        )
    });
    let said = command("reload --reason limits").run(&ca).await.ended(2);
    assert_eq!(said, "ingam: nothing changed\n  - limits.a: too small\n  - urls.b: no URL\u{fffd}[2J\n");
}

#[tokio::test]
async fn an_answer_of_somebody_else_ends_with_1_or_by_its_status() {
    let ca = Ca::always(|| Reply::Text(200, "<html>".into()));
    assert!(command("account show a").run(&ca).await.ended(1).contains("cannot be read"));
    let ca = Ca::always(|| Reply::Text(404, "not here".into()));
    assert!(command("account show a").run(&ca).await.ended(4).contains("is this the admin API?"));
}

#[tokio::test]
async fn wrong_use_ends_with_2_and_asks_nobody() {
    let ca = Ca::always(|| panic!("nothing is to be asked"));
    let cases = [
        ("cert show xyz", "no serial number"),
        ("cert list --issued-from yesterday", "an age as 30m"),
        ("revoke", "say which certificates"),
        ("revoke 4f0a --reason x", "--revocation-reason"),
        ("revoke 4f0a --name a.example --revocation-reason superseded", "exclude each other"),
        ("revoke 4f0a --execute --revocation-reason superseded", "cannot be used with"),
        ("revoke --name a.example --execute", "--revocation-reason"),
        ("revoke 4f0a --revocation-reason boredom", "keyCompromise"),
        ("cert export --output x", "say which certificates"),
        ("cert export 4f0a --status good", "not both"),
        ("incident open leak", "--summary"),
        ("name block example.org", "--reason TEXT"),
        ("role grant nobody revoker --reason x", "names nobody"),
        ("role grant uid:1 king --reason x", "administrator, revoker"),
        ("key block --reason x", "required"),
        ("api DELETE /v1/roles", "GET and POST"),
        ("api GET v1/roles", "begins with /"),
        ("account show", "required"),
    ];
    for (line, said) in cases {
        let notes = command(line).run(&ca).await.ended(2);
        assert!(notes.contains(said), "{line}: {notes}");
    }
    let long = command("name forget a.example --reason").word(&"x".repeat(1001)).run(&ca).await;
    assert!(long.ended(2).contains("1 to 1000 characters"));
}

#[tokio::test]
async fn private_keys_stay_here() {
    let ca = Ca::always(|| panic!("nothing is to be sent"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    std::fs::write(&path, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let said =
        command("key block --reason leaked --pem").word(path.to_str().unwrap()).run(&ca).await.ended(2);
    assert!(said.contains("a private key, which was not sent"), "{said}");
}

#[tokio::test]
async fn what_waits_for_a_second_person_ends_with_5() {
    let waiting = || json!({ "approval": "AZqkApPrOvAl", "expires": "2026-11-22T10:00:00Z" });
    let ca = Ca::always(move || Reply::Json(202, waiting()));
    let said = command("role grant uid:7 revoker --reason help").run(&ca).await.ended(5);
    assert!(said.contains("ingam admin approval approve AZqkApPrOvAl"), "{said}");
    for line in ["--json role take uid:7 revoker --reason help", "api POST /v1/roles/take --body {}"] {
        let outcome = command(line).run(&ca).await;
        assert_eq!(serde_json::from_str::<serde_json::Value>(&outcome.output).unwrap(), waiting(), "{line}");
        outcome.ended(5);
    }
}

#[tokio::test]
async fn nobody_at_the_socket_ends_with_6_and_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let said = command("whoami").run_at(&["--dir", at]).await.ended(6);
    assert!(said.starts_with(&format!("ingam: nobody listens at {at}/admin.sock: there is no such socket.")));
    assert!(said.contains("Is `ingam serve` running"), "{said}");
    drop(tokio::net::UnixListener::bind(dir.path().join("admin.sock")).unwrap());
    let said = command("whoami").run_at(&["--dir", at]).await.ended(6);
    assert!(said.contains("Start `ingam serve` again"), "{said}");
}

#[tokio::test]
async fn a_prompt_that_nobody_answers_ends_with_7() {
    let ca = Ca::always(|| panic!("nothing is to be asked"));
    let outcome = command("name forget example.org").typed("\n").run(&ca).await;
    assert_eq!(outcome.ended(7), "Why? This goes on record: ingam: given up: nothing was done\n");
}

#[tokio::test]
async fn a_reason_that_was_typed_is_sent() {
    let ca = Ca::always(|| json!({ "done": "so" }).into());
    command("key unblock -cn-thumb").typed("  tested by ann \n").run(&ca).await.done();
    assert_eq!(ca.lines(), ["POST /v1/keys/-cn-thumb/unblock"]);
    assert_eq!(ca.last_body(), json!({ "reason": "tested by ann" }));
}

#[tokio::test]
async fn a_ca_that_is_not_ready_ends_with_9_and_its_picture() {
    let report = |ready: bool| {
        json!({ "at": 1_795_255_200_000_u64, "version": "1", "environment": "staging", "uptime_s": 60,
            "roles": [{ "role": "store", "ready": ready, "lacks": [] }] })
    };
    let ca = Ca::always(move || report(false).into());
    let outcome = command("status").run(&ca).await;
    assert!(outcome.output.contains("NOT READY"), "{outcome:?}");
    assert_eq!(outcome.ended(9), "");
    let ca = Ca::always(move || report(true).into());
    assert!(command("status").run(&ca).await.done().contains(": READY, up 1 min"));
    let printed = command("--json status").run(&ca).await.done();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), report(true));
}
