//! Searches: what is asked, how pages become one list, what is printed.

use serde_json::{Value, json};

use super::ca::{Asked, Ca, Reply, certificate, problem};
use super::command;

/// Three pages of certificates, by their `after`.
fn pages(asked: &Asked) -> Reply {
    let page = |numbers: &[u32], next: Option<&str>| {
        let items: Vec<Value> = numbers.iter().map(|number| certificate(*number)).collect();
        match next {
            Some(next) => json!({ "items": items, "next": next }).into(),
            None => json!({ "items": items }).into(),
        }
    };
    if asked.line.contains("after=b%2B") {
        page(&[4], None)
    } else if asked.line.contains("after=a") {
        page(&[], Some("b+"))
    } else {
        page(&[1, 2], Some("a"))
    }
}

#[tokio::test]
async fn all_pages_become_one_list() {
    let ca = Ca::new(pages);
    let printed = command("cert list --below example.org --all --json").run(&ca).await.done();
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed, json!({ "items": [certificate(1), certificate(2), certificate(4)] }));
    assert_eq!(
        ca.lines(),
        [
            "GET /v1/certificates?below=example.org&limit=1000",
            "GET /v1/certificates?below=example.org&after=a&limit=1000",
            "GET /v1/certificates?below=example.org&after=b%2B&limit=1000",
        ]
    );
}

#[tokio::test]
async fn a_limit_ends_the_list_and_says_that_there_is_more() {
    let ca = Ca::new(pages);
    let outcome = command("cert list --name example.org --limit 2").run(&ca).await;
    assert_eq!(ca.lines(), ["GET /v1/certificates?name=example.org&limit=2"]);
    assert_eq!(outcome.notes, "There are more: --all shows every one, --limit N so many.\n");
    assert_eq!(outcome.done().lines().count(), 3);
    let printed = command("--json cert list --name example.org --limit 2").run(&ca).await.done();
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap()["next"], "a");
}

#[tokio::test]
async fn a_list_that_does_not_go_on_is_left() {
    let ca = Ca::always(|| json!({ "items": [], "next": "a" }).into());
    let said = command("cert list --all").run(&ca).await.ended(1);
    assert!(said.contains("does not go on"), "{said}");
}

#[tokio::test]
async fn every_condition_reaches_the_ca() {
    let ca = Ca::always(|| json!({ "items": [] }).into());
    let line = "cert list --serial 4F:0A --account -aZ --key -cn --name a.example --below example --issuer ecdsa \
                --issued-from 2h --issued-until 2026-11-21 --expires-until +7d --status good --limit 5";
    let outcome = command(line).run(&ca).await;
    assert_eq!(outcome.notes, "No certificate is so.\n");
    assert_eq!(outcome.done(), "");
    assert_eq!(
        ca.lines(),
        ["GET /v1/certificates?account=-aZ&key=-cn&name=a.example&below=example&issuer=ecdsa\
          &issued_from=2026-11-21T08%3A00%3A00Z&issued_until=2026-11-21T00%3A00%3A00Z&serial=4f0a&status=good\
          &expires_until=2026-11-28T10%3A00%3A00Z&limit=5"]
    );
}

#[tokio::test]
async fn a_table_fits_a_narrow_terminal_and_a_wide_one() {
    let ca = Ca::new(|_| json!({ "items": [certificate(1)] }).into());
    let narrow = command("cert list --limit 1").wide(80).run(&ca).await.done();
    assert_eq!(
        narrow,
        "SERIAL                                STATUS  ISSUER  ISSUED\n\
         \x20 EXPIRES               ACCOUNT                 NAMES\n\
         4f0a1b2c3d4e5f60718293a4b5c6d7e8f901  good    ecdsa   2026-11-20T10:00:00Z\n\
         \x20 2027-02-18T09:00:00Z  AZqkAbCdEfGhIjKlMnOpQr  www.example.org, example.org\n"
    );
    let wide = command("cert list --limit 1").wide(200).run(&ca).await.done();
    assert_eq!(
        wide,
        "SERIAL                                STATUS  ISSUER  ISSUED                EXPIRES               \
         ACCOUNT                 NAMES\n\
         4f0a1b2c3d4e5f60718293a4b5c6d7e8f901  good    ecdsa   2026-11-20T10:00:00Z  2027-02-18T09:00:00Z  \
         AZqkAbCdEfGhIjKlMnOpQr  www.example.org, example.org\n"
    );
}

#[tokio::test]
async fn contacts_are_read_with_a_reason() {
    let ca =
        Ca::always(|| json!({ "account": "AZqk", "contacts": ["mailto:ann@example.org\u{9b}2J"] }).into());
    let printed =
        command("account contacts AZqk --reason").word("incident 7: tell them").run(&ca).await.done();
    assert_eq!(printed, "mailto:ann@example.org\u{fffd}2J\n");
    assert_eq!(ca.lines(), ["GET /v1/accounts/AZqk/contacts?reason=incident%207%3A%20tell%20them"]);
    let said = command("account contacts AZqk").run(&ca).await.ended(2);
    assert!(said.contains("--reason TEXT"), "{said}");
}

fn detail(asked: &Asked) -> Reply {
    let serial = asked.line.rsplit('/').next().unwrap().to_owned();
    if serial == "4f99" {
        return problem(404, "not-found", "never issued");
    }
    let mut detail = certificate(1);
    detail["serial"] = json!(serial);
    detail["fingerprint"] = json!("ab".repeat(32));
    let pem = ingam_protocol::pem::certificate(serial.as_bytes());
    detail["pem"] = json!(format!("{pem}{}", ingam_protocol::pem::certificate(b"issuer")));
    detail.into()
}

#[tokio::test]
async fn certificates_are_exported_alone_or_with_their_chain() {
    let ca = Ca::new(detail);
    let alone = ingam_protocol::pem::certificate(b"4f01");
    assert_eq!(command("cert export 4f01").run(&ca).await.done(), alone);
    let chain = format!("{alone}{}", ingam_protocol::pem::certificate(b"issuer"));
    assert_eq!(command("cert export 4f01 --chain").run(&ca).await.done(), chain);
    assert_eq!(command("cert export 4f01 --der").run(&ca).await.done(), "4f01");
    command("cert export 4f01 4f99").run(&ca).await.ended(4);
}

#[tokio::test]
async fn a_folder_gets_a_file_for_each_and_nothing_is_written_over() {
    let ca = Ca::new(detail);
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    std::fs::write(&list, "4f01\n4f02 # another\n").unwrap();
    let line = format!("cert export --file {} --output {}/out/", list.display(), dir.path().display());
    let outcome = command(&line).run(&ca).await;
    assert!(outcome.notes.starts_with("2 certificates written to "), "{outcome:?}");
    assert_eq!(outcome.done(), "");
    let read = |name: &str| std::fs::read_to_string(dir.path().join("out").join(name)).unwrap();
    assert_eq!(read("4f01.pem"), ingam_protocol::pem::certificate(b"4f01"));
    assert_eq!(read("4f02.pem"), ingam_protocol::pem::certificate(b"4f02"));
    assert!(command(&line).run(&ca).await.ended(2).contains("cannot be written"));
}

#[tokio::test]
async fn an_export_of_nothing_ends_with_8() {
    let ca = Ca::always(|| json!({ "items": [] }).into());
    assert!(command("cert export --name a.example").run(&ca).await.ended(8).contains("nothing was written"));
}

#[tokio::test]
async fn who_one_is_and_what_roles_there_are() {
    let ca = Ca::new(|asked| {
        match asked.line.as_str() {
        "GET /v1/whoami" => json!({ "principal": "uid:0", "roles": ["administrator", "revoker"], "acts": ["a.b", "c.d"] }).into(),
        _ => json!({ "items": [
            { "principal": "uid:0", "role": "administrator", "at": "2026-11-21T10:00:00Z", "reason": "first" },
            { "principal": "uid:7", "role": "revoker", "label": "Ann\u{1b}]0;x", "by": "uid:0", "at": "2026-11-21T10:00:00Z", "reason": "on call" },
        ] }).into(),
    }
    });
    assert_eq!(
        command("whoami").run(&ca).await.done(),
        "principal  uid:0\nroles      administrator, revoker\nacts       a.b, c.d\n"
    );
    assert_eq!(
        command("role list").run(&ca).await.done(),
        "WHO    ROLE           LABEL     SINCE                 BY             REASON\n\
         uid:0  administrator            2026-11-21T10:00:00Z  configuration  first\n\
         uid:7  revoker        Ann\u{fffd}]0;x  2026-11-21T10:00:00Z  uid:0          on call\n"
    );
}

#[tokio::test]
async fn a_user_of_this_machine_gets_a_role_by_name() {
    let ca = Ca::always(|| {
        json!({ "principal": "uid:0", "role": "auditor", "by": "uid:0", "at": "2026-11-21T10:00:00Z", "reason": "x" }).into()
    });
    command("role grant user:root auditor --reason x --label Root").run(&ca).await.done();
    assert_eq!(
        ca.last_body(),
        json!({ "principal": "uid:0", "role": "auditor", "label": "Root", "reason": "x" })
    );
}
