//! The log of OCSP requests from the outside: openssl and a client behind a proxy ask, an operator holds their requests for a
//! case, looks at them and closes it; and nobody finds a planted address in any file of the CA, nor in what it says.
//!
//! That a segment goes after seven days is told in `seven_days`.

use std::path::Path;

use http_body_util::Full;
use hyper::Request;
use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::ocsp::{self, Hash};
use ingam_tests::server::{Server, Setup};
use serde_json::Value;

/// Whom nobody may find.
const PLANTED: &str = "203.0.113.77";
const AGENT: &str = "PlantedClient/7.7 (somebody)";

/// A CA that logs in this mode, behind a proxy on this machine, and a certificate of it.
async fn logging(mode: &str) -> (Server, Chain) {
    let further_config = format!(
        "[request_log]\nmode = \"{mode}\"\n[proxies]\ntrusted = [\"127.0.0.1\"]\npublication = \"x-forwarded-for\"\n"
    );
    let server = Server::start_with(Setup { further_config, ..Setup::new() }).await;
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let request = CertificateRequest::of(&["status.example.org"]);
    let issued = client.issue(&["status.example.org"], &request, &prover).await;
    (server, issued.expect("a certificate").1)
}

/// A proxy asks for a client.
async fn ask_for(chain: &Chain, client: &str) {
    let url = chain.ocsp_url();
    let body = ocsp::request_for(chain, Hash::Sha1);
    let request = Request::post(&url)
        .header("content-type", ocsp::REQUEST)
        .header("x-forwarded-for", client)
        .header("user-agent", AGENT)
        .body(Full::from(body))
        .expect("a request");
    let answer = ocsp::connect(&url).send(request).await.expect("an answer");
    assert_eq!(answer.status, 200, "{answer}");
}

async fn admin(server: &Server, line: &[&str]) -> Value {
    let arguments = [&["--json"], line].concat();
    let finished = server.admin(&arguments).await.succeeded();
    serde_json::from_slice(&finished.stdout).expect("JSON")
}

/// The requests of a hold.
async fn held(server: &Server, id: &str) -> Vec<Value> {
    let found = admin(server, &["ocsp", "hold", "requests", id, "--reason", "case 12"]).await;
    found["items"].as_array().expect("a list").clone()
}

/// Whether a file below the folder has this text.
fn is_found(folder: &Path, text: &str) -> bool {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    entries.into_iter().any(|path| match path.is_dir() {
        true => is_found(&path, text),
        // A socket cannot be read, and has nothing.
        false => std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes())),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_held_looked_at_and_closed_and_nobody_else_finds_anything() {
    let (mut server, chain) = logging("full").await;
    server.openssl().status(&chain).await.is_good();
    ask_for(&chain, PLANTED).await;
    let hold = ["ocsp", "hold", "open", "--serial", &chain.serial_hex(), "--reason", "case 12"];
    let hold = admin(&server, &hold).await;
    let id = hold["id"].as_str().expect("an id").to_owned();
    let items = held(&server, &id).await;
    // openssl asks in several ways.
    assert_eq!(items.iter().filter(|item| item["from"] == PLANTED).count(), 1, "{items:?}");
    let of = |client: &str| items.iter().find(|item| item["from"] == client).expect("the request is there");
    assert_eq!(of("127.0.0.1")["client"], "silent", "openssl does not say what it is");
    let planted = of(PLANTED);
    assert_eq!((&planted["user_agent"], &planted["answer"]), (&Value::from(AGENT), &Value::from("good")));
    assert_eq!(planted["serial"].as_str().map(str::to_lowercase), Some(chain.serial_hex().to_lowercase()));

    // A restart keeps it, and what a process leaves at its end is what the next one reads.
    server.stop().await;
    server.restart().await;
    assert_eq!(held(&server, &id).await, items);
    for text in [PLANTED, AGENT] {
        assert!(!is_found(&server.state(), text), "{text} is in a file");
        assert!(!server.errors().contains(text), "{text} is in what the CA says");
    }
    let close = ["ocsp", "hold", "close", &id, "--reason", "case 12 is over"];
    server.admin(&close).await.succeeded();
    let folder = server.state().join("request-log");
    let names: Vec<String> = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(!names.iter().any(|name| name.ends_with(".held")), "{names:?}");
    assert!(names.iter().any(|name| name.ends_with(".requests")), "{names:?}");
    let log = admin(&server, &["ocsp", "log"]).await;
    assert_eq!((&log["mode"], &log["holds"], &log["overdue"]), (&"full".into(), &0.into(), &false.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_log_knows_a_network_and_a_kind_of_client() {
    let (server, chain) = logging("truncated").await;
    ask_for(&chain, PLANTED).await;
    let hold = ["ocsp", "hold", "open", "--network", PLANTED, "--reason", "case 13"];
    let hold = admin(&server, &hold).await;
    let items = held(&server, hold["id"].as_str().expect("an id")).await;
    assert_eq!(items[0]["from"], "203.0.113.0/24");
    assert_eq!(items[0]["client"], "other");
    assert_eq!(items[0]["user_agent"], Value::Null);
    assert!(!is_found(&server.state(), PLANTED));
}
