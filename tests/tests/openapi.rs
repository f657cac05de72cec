//! The admin API is as its OpenAPI document says: a validator has nothing against the document, and schemathesis, which makes
//! requests of it that are right and wrong, finds no fault of ours and no answer that the document lacks.
//!
//! Both are Python programs, in `target/operators` where `scripts/test` puts them. Left out are `/v1/log/follow`, whose answer
//! has no end, and `/v1/roles/take`, which would take the role of whoever asks. Not a failure: a request that fits the
//! document and is refused with 400 or 422, as some values are beyond what a schema says (a name that is no domain name, a
//! time that never was).

use std::path::PathBuf;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::{run, target_folder};
use ingam_tests::operator::{ClientCa, admin_url};
use ingam_tests::server::{Server, Setup};
use tempfile::TempDir;
use tokio::process::Command;

const INSTALL: &str = "Run `scripts/test` once, which puts schemathesis into target/operators";
/// How many requests are made of each operation, beside those that go along the bounds of its values.
const EXAMPLES: &str = "20";
const CONFIG: &str = r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "403", "404", "409", "422"]
"#;

fn program(name: &str) -> PathBuf {
    target_folder().join("operators/bin").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_as_its_document_says() {
    let home = TempDir::new().expect("a temporary folder");
    let ca = ClientCa::new(home.path(), "operators-ca");
    let ann = ca.person("ann");
    let further_config = format!(
        "[operator]\nclient_ca = \"{}\"\nadministrators = [\"{}\"]\n",
        ca.path.display(),
        ann.principal
    );
    let setup = Setup { has_admin_port: true, further_config, ..Setup::new() };
    let server = Server::start_in(home, setup).await;
    // Something to be found, listed and revoked.
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    for name in ["www.example.org", "mail.example.org"] {
        let request = CertificateRequest::of(&[name]);
        client.issue(&[name], &request, &prover).await.expect("a certificate");
    }

    let document = server.home().join("openapi.json");
    let mut api = ann.api(&server);
    let answer = api.get("/openapi.json").await.expect(200);
    std::fs::write(&document, &answer.body).expect("a writable folder");
    run(Command::new(program("openapi-spec-validator")).arg(&document), INSTALL).await.succeeded();

    let config = server.home().join("schemathesis.toml");
    std::fs::write(&config, CONFIG).expect("a writable folder");
    let mut schemathesis = Command::new(program("schemathesis"));
    schemathesis.arg("--config-file").arg(&config).arg("run").arg(&document);
    schemathesis.args(["--url", &admin_url(&server), "--tls-verify"]).arg(server.site().tls_ca);
    schemathesis.arg("--request-cert").arg(&ann.certificate).arg("--request-cert-key").arg(&ann.key);
    schemathesis.args(["--exclude-path", "/v1/log/follow", "--exclude-path", "/v1/roles/take"]);
    // It would take credentials away from the request; here they are the connection's.
    schemathesis.args(["--checks", "all", "--exclude-checks", "ignored_auth"]);
    schemathesis.args(["--max-examples", EXAMPLES, "--seed", "1", "--continue-on-failure", "--no-color"]);
    let finished = run(schemathesis.current_dir(server.home()), INSTALL).await.succeeded();
    let text = finished.text();
    let tested = text.lines().find_map(|line| line.trim().strip_prefix("Tested: ")?.parse::<usize>().ok());
    assert!(tested > Some(35), "it tried the whole API: {text}");
    assert!(
        !server.errors().contains("\"level\":\"ERROR\""),
        "the log tells of no fault: {}",
        server.errors()
    );
    api.get("/v1/whoami").await.expect(200);
}
