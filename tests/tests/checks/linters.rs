//! pkilint's REST server before the CA: what it lets pass is issued, what it dislikes is not and is on record, and where it is not
//! there or does not answer, nothing is issued unless the operator said so.

use std::process::Stdio;
use std::time::Duration;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::target_folder;
use ingam_tests::http::fetch;
use ingam_tests::ports;
use ingam_tests::server::{Server, Setup};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// It builds all of its linters first.
const READY_WITHIN: Duration = Duration::from_secs(600);

/// pkilint, as whoever installs it would start it.
struct Pkilint {
    port: u16,
    _child: Child,
}

impl Pkilint {
    async fn start() -> Self {
        let program = target_folder().join("clients/pkilint/bin/uvicorn");
        assert!(program.is_file(), "{} is not there. Run scripts/test, which installs it", program.display());
        let port = ports::free();
        let mut command = Command::new(program);
        command.args(["pkilint.rest:app", "--host", "127.0.0.1", "--port", &port.to_string()]);
        let mut child =
            command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("uvicorn can be started");
        let mut lines = BufReader::new(child.stderr.take().expect("standard error is a pipe")).lines();
        let ready = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("Uvicorn running on") {
                    return;
                }
            }
            panic!("pkilint ended before it was ready");
        };
        timeout(READY_WITHIN, ready).await.expect("pkilint is ready in time");
        // What it logs has to go somewhere, or it would wait.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { port, _child: child }
    }
}

/// A profile and its one linter, of the same name.
fn linter(name: &str, url: &str, further: &str) -> String {
    format!(
        "[[issuance.linters]]\nname = {name:?}\nkind = \"pkilint\"\nurl = {url:?}\n{further}\n\
         [profiles.{name}]\ndescription = \"for {name}\"\nissuer = \"ecdsa\"\nvalidity_s = 7776000\n\
         linters = [{name:?}]\n\n"
    )
}

async fn verdicts(server: &Server, linter: &str, outcome: &str) -> bool {
    let url = format!("http://localhost:{}/metrics", server.ports().metrics);
    let metrics = fetch(&url).await.expect("metrics").expect(200).text();
    let line = format!("ingam_linter_verdicts_total{{linter=\"{linter}\",outcome=\"{outcome}\"}} 1");
    metrics.lines().any(|found| found == line)
}

#[tokio::test(flavor = "multi_thread")]
async fn pkilint_decides_before_the_signature() {
    let pkilint = Pkilint::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let silent_port = silent.local_addr().expect("a bound socket has an address").port();
    let at = |port: u16, group: &str| format!("http://127.0.0.1:{port}/certificate/{group}");
    let nobody = ports::free();
    let further_config = [
        // RFC 5280 wishes for a subjectKeyIdentifier that the Baseline Requirements do not recommend: that is a warning.
        linter("good", &at(pkilint.port, "pkix/certificate"), "timeout_ms = 60000\nseverity_min = \"error\""),
        // Certificates for servers are no certificates for mail.
        linter("mail", &at(pkilint.port, "cabf-smime/mailbox-strict"), "timeout_ms = 60000"),
        linter("down", &at(nobody, "pkix"), ""),
        linter("slow", &at(silent_port, "pkix"), "timeout_ms = 200"),
        linter("lenient", &at(nobody, "pkix"), "on_failure = \"pass\""),
    ]
    .concat();
    // pkilint takes http://localhost for no URL.
    let publication_host = "127.0.0.1".to_owned();
    let server = Server::start_with(Setup { further_config, publication_host, ..Setup::new() }).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let name = "www.example.org";

    for (profile, outcome) in [("good", "passed"), ("lenient", "failed")] {
        let order = client.order_with(&[name], json!({ "profile": profile })).await.expect("an order");
        let order = client.prove(&order, &prover).await.expect("control");
        let request = CertificateRequest::of(&[name]);
        let order = client.finalize(&order, &request.der).await.expect("a certificate");
        client.certificate(&order).await.expect("its chain");
        assert!(verdicts(&server, profile, outcome).await, "{profile}");
    }

    for (profile, outcome, words) in [
        ("mail", "found", "did not pass"),
        ("down", "failed", "finalize again"),
        ("slow", "timed_out", "finalize again"),
    ] {
        let order = client.order_with(&[name], json!({ "profile": profile })).await.expect("an order");
        let order = client.prove(&order, &prover).await.expect("control");
        let refused = client.finalize(&order, &CertificateRequest::of(&[name]).der).await;
        let told = format!("{:?}", refused.expect_err("nothing is issued"));
        assert!(told.contains("serverInternal") && told.contains(words), "{profile}: {told}");
        assert!(!told.contains("cabf."), "the client is not told of the findings: {told}");
        assert!(verdicts(&server, profile, outcome).await, "{profile}");
        let order = client.order_at(&order.url).await.expect("the order");
        assert_eq!(order.status(), "ready", "{profile}");

        let search = ["log", "search", "--type", "issuance_refused", "--limit", "1", "--reason", "a test"];
        let found = server.admin_json(&search).await;
        let record = &found["items"][0];
        let id = record["id"].as_str().expect("the record's id");
        assert!(told.contains(id), "{profile}: {told}, {record}");
        let verdict: &Value = &record["payload"]["verdicts"][0];
        assert_eq!((&verdict["linter"], &verdict["outcome"]), (&json!(profile), &json!(outcome)), "{record}");
        let has_findings = verdict["findings"].as_array().is_some_and(|findings| !findings.is_empty());
        assert_eq!(has_findings, profile == "mail", "{record}");
    }
}
