//! The privacy page of the real process, in both languages, as a browser and a program read it; and a case from its opening
//! to its end by the command line.
//!
//! Chromium and axe-core judge the page as they judge the status page. Not a failure: other words, as long as page, twin and
//! configuration say the same.

use std::path::Path;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::run;
use ingam_tests::http::{Answer, Connection, fetch};
use ingam_tests::server::{Server, Setup};
use serde_json::json;
use tokio::process::Command;

const INSTALL: &str =
    "Install nodejs and chromium, and run `npm ci` in tests/browser; scripts/test does all of it";

/// An operator that tells about itself; `further` goes on with `[privacy]`.
fn told(further: &str) -> String {
    format!(
        "[privacy]\noperator = \"Example Trust\"\noperator_ko = \"예시신뢰\"\n{further}\n\
         [privacy.contacts.officer]\nname = \"Privacy desk\"\nname_ko = \"개인정보 보호팀\"\nemail = \"privacy@ca.example\"\n\
         [[privacy.processors]]\nname = \"Example Hosting\"\npurpose = \"machines\"\npurpose_ko = \"서버 운영\"\nuntil = \"2030-12-31\"\n"
    )
}

/// A command on cases, with its reason.
fn case<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["case"], arguments, &["--reason", "ticket 12"]].concat()
}

fn url(server: &Server, path: &str) -> String {
    format!("http://localhost:{}{path}", server.ports().publication)
}

async fn page(server: &Server, path: &str) -> Answer {
    fetch(&url(server, path)).await.expect("an answer").expect(200)
}

async fn liked(server: &Server, language: &str) -> Answer {
    let request = hyper::Request::get(url(server, "/privacy")).header("accept-language", language);
    let mut connection = Connection::to(&url(server, "/"), None);
    connection
        .send(request.body(Default::default()).expect("a request"))
        .await
        .expect("an answer")
        .expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_the_configuration_does_in_both_languages() {
    let setup = Setup { further_config: told("contact_purposes = [\"incident\"]"), ..Setup::new() };
    let mut server = Server::start_with(setup).await;

    let (english, korean) =
        (page(&server, "/privacy.en").await.text(), page(&server, "/privacy.ko").await.text());
    for (html, words) in [
        (
            &english,
            [
                "Privacy statement of Example Trust",
                "mailto:privacy@ca.example",
                "2030-12-31",
                "The mode is off",
            ],
        ),
        (&korean, ["예시신뢰 개인정보 처리방침", "개인정보 보호팀", "서버 운영", "기록 방식은 off"]),
    ] {
        for word in words {
            assert!(html.contains(word), "{word} in {html}");
        }
    }
    for (language, shown) in [("ko-KR,ko;q=0.9,en;q=0.5", &korean), ("fr, en;q=0.1", &english)] {
        let answer = liked(&server, language).await;
        assert_eq!(&answer.text(), shown, "{language}");
        assert_eq!(answer.header("vary").to_ascii_lowercase(), "accept-language");
    }
    assert_eq!(page(&server, "/privacy?lang=ko").await.text(), korean);

    // Over ACME's listener it is the same, and the directory leads there.
    let client = Client::registered(&server.site()).await.expect("an account");
    let named = client.directory()["meta"]["privacyStatement"].as_str().expect("a URL").to_owned();
    assert!(named.ends_with("/privacy"), "{named}");
    let mut connection = Connection::to(&named, Some(server.site().tls()));
    let over_tls = connection.get(&format!("{named}.ko")).await.expect("an answer").expect(200);
    assert_eq!(over_tls.text(), korean);

    // The twin says the same as the page, and as the file.
    let twin = page(&server, "/privacy.json").await.json();
    assert_eq!((&twin["version"], &twin["request_log"]["mode"]), (&json!(1), &json!("off")));
    assert_eq!(twin["operator"]["name"], "Example Trust");
    assert_eq!(twin["contacts"]["purposes"], json!(["incident"]));
    assert_eq!(twin["classes"]["issuance"]["floor_s"], 2562 * 86_400);
    assert!(english.contains("7 years (2,562 days)") && korean.contains("7년(2,562일)"), "{english}");
    let digest = twin["digest"].clone();

    // Put in force without a restart: a purpose more, which asks for consent.
    server.reconfigure(&told("contact_purposes = [\"incident\", \"expiry\"]"));
    let reload = server.admin_json(&["reload", "--reason", "more mail"]).await;
    assert_eq!(reload["changed"], json!(["privacy.contact_purposes"]), "{reload}");
    let twin = page(&server, "/privacy.json").await.json();
    assert_eq!((&twin["version"], &twin["changes"][0]["asks_consent"]), (&json!(2), &json!(true)));
    assert_eq!(twin["changes"][0]["changes"][0]["what"], "contacts.purposes");
    assert!(twin["consent_since"].is_string() && twin["digest"] != digest);
    let english = page(&server, "/privacy.en").await.text();
    assert!(
        english.contains("asks for fresh consent") && english.contains("a certificate ends soon"),
        "{english}"
    );

    // And by a restart: what relying parties leave behind. Without a change there is no new version.
    let logged = format!("{}[request_log]\nmode = \"truncated\"\nkeep_s = 86400\n", told(""));
    server.reconfigure(&logged);
    for _ in 0..2 {
        server.stop().await;
        server.restart().await;
    }
    let twin = page(&server, "/privacy.json").await.json();
    assert_eq!(twin["version"], 3, "{twin}");
    let what: Vec<&str> = twin["changes"][0]["changes"]
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(|row| row["what"].as_str())
        .collect();
    for row in
        ["request_log.mode", "request_log.keep_s", "classes.ocsp_request_log.keep_s", "contacts.purposes"]
    {
        assert!(what.contains(&row), "{row} in {what:?}");
    }
    let english = page(&server, "/privacy.en").await.text();
    assert!(english.contains("The mode is truncated") && english.contains("<del>7 days</del>"), "{english}");

    let mut command = Command::new("node");
    command.arg("check.mjs").current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser"));
    if let Some(pictures) = std::env::var_os("INGAM_PICTURES") {
        command.arg("--pictures").arg(pictures);
    }
    command.arg(format!("privacy-en={}", url(&server, "/privacy.en")));
    let told = run(command.arg(format!("privacy-ko={}", url(&server, "/privacy.ko"))), INSTALL)
        .await
        .succeeded()
        .text();
    let good = told.lines().filter(|line| line.starts_with("good")).count();
    assert_eq!(good, 8, "two languages, wide and narrow, light and dark:\n{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_goes_from_its_opening_to_its_end_by_the_command_line() {
    let server = Server::start().await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    client
        .issue(&["a.example.org"], &CertificateRequest::of(&["a.example.org"]), &prover)
        .await
        .expect("a certificate");
    let accounts = server.admin_json(&["account", "list"]).await;
    let account = accounts["items"][0]["id"].as_str().expect("an id").to_owned();
    let run_case = async |arguments: &[&str]| server.admin_json(&case(arguments)).await;

    let opening = [
        "open",
        "2026-17",
        "--kind",
        "legal_demand",
        "--basis",
        "warrant",
        "--law",
        "Act 12, no. 4711",
        "--requester",
        "A court",
        "--subject",
        &account,
        "--answer-by",
        "+30d",
    ];
    assert_eq!(run_case(&opening).await["status"], "open");
    let due = run_case(&["due"]).await;
    assert_eq!((&due["items"][0]["case"], &due["items"][0]["subject"]), (&json!("2026-17"), &json!(account)));

    // Not before the subject was told, and the refusal says what to do.
    let given = server.home().join("given.zip");
    std::fs::write(&given, b"what the court gets").expect("a writable folder");
    let file = given.to_str().expect("a name in UTF-8");
    let disclosing = ["disclose", "2026-17", "--field", "contacts", "--file", file];
    let refused = server.admin(&case(&disclosing)).await;
    assert!(!refused.status.success() && refused.stderr.contains("case notify"), "{refused}");

    run_case(&["hold", "2026-17", "--until", "+90d"]).await;
    assert_eq!(run_case(&["notify", "2026-17", "--how", "letter"]).await["told"], 1);
    let disclosed = run_case(&disclosing).await;
    let hash = disclosed["disclosures"][0]["sha256"].as_str().expect("a hash");
    let wanted = ring::digest::digest(&ring::digest::SHA256, b"what the court gets");
    assert_eq!(hash, ingam_tests::operator::hex(wanted.as_ref()));
    assert_eq!(run_case(&["close", "2026-17"]).await["status"], "closed");
    assert_eq!(run_case(&["due"]).await["items"], json!([]));
    let shown = server.admin(&["case", "show", "2026-17"]).await;
    assert!(shown.text().contains("A court") && shown.text().contains(&account), "{shown}");

    let report = server.admin_json(&["transparency-report", "--from", "1d", "--minimum", "1"]).await;
    let demands = &report["kinds"]["legal_demand"];
    assert_eq!((&demands["cases"], &demands["by_outcome"]["complied"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(demands["notices"], json!({ "delayed": 0, "futile": 0, "given": 1 }));
    let few = server.admin(&["transparency-report", "--from", "1d"]).await;
    assert!(few.text().contains("withheld"), "{few}");

    // What left is on record, and the record has no word of it.
    let records =
        server.admin_json(&["log", "search", "--class", "retention", "--reason", "ticket 12"]).await;
    let types: Vec<&str> =
        records["items"].as_array().expect("records").iter().filter_map(|one| one["type"].as_str()).collect();
    for kind in ["case_changed", "data_disclosed", "notice_given", "hold_changed"] {
        assert!(types.contains(&kind), "{kind} in {types:?}");
    }
    assert!(!records.to_string().contains("what the court gets"));
}
