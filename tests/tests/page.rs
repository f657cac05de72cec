//! The status page of the real process, reached as operators reach it: the admin socket forwarded to a port of this
//! machine, and a browser.
//!
//! The states that a healthy CA is not in are looked at by the tests of the operator's crate. Not a failure: warnings
//! that the machine of the test earns.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::run;
use ingam_tests::forward::forward;
use ingam_tests::http::{Connection, fetch};
use ingam_tests::server::Server;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// Within this, the page tells what happened.
const SEEN_WITHIN: Duration = Duration::from_secs(15);

const INSTALL: &str =
    "Install nodejs and chromium, and run `npm ci` in tests/browser; scripts/test does all of it";

fn browser_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// Loads the page until it tells this: a health report is good for a second, and so may be older than the change.
async fn until(url: &str, words: &str) -> String {
    let begun = Instant::now();
    loop {
        let html = fetch(url).await.expect("a page").expect(200).text();
        if html.contains(words) {
            return html;
        }
        assert!(begun.elapsed() < SEEN_WITHIN, "\"{words}\" never is in {html}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_with_a_browser_sees_what_the_ca_did() {
    let server = Server::start().await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    for name in ["first.example.org", "second.example.org"] {
        client.issue(&[name], &CertificateRequest::of(&[name]), &prover).await.expect("a certificate");
    }
    let port = forward(&server.state().join("admin.sock")).await;
    let url = format!("http://localhost:{port}/");

    let html = until(&url, "All parts are ready").await;
    assert!(html.contains(">development<"), "{html}");
    let [newer, older] = ["second.example.org", "first.example.org"].map(|name| html.find(name).expect(name));
    assert!(newer < older, "the newest comes first");
    for issuer in ["ecdsa", "rsa"] {
        assert!(html.contains(&format!(">{issuer}<")), "{issuer} in {html}");
    }

    let mut command = Command::new("node");
    command.arg("check.mjs").current_dir(browser_folder());
    if let Some(pictures) = std::env::var_os("INGAM_PICTURES") {
        command.arg("--pictures").arg(pictures);
    }
    let told = run(command.arg(format!("running={url}")), INSTALL).await.succeeded().text();
    let good = told.lines().filter(|line| line.starts_with("good")).count();
    assert_eq!(good, 4, "wide and narrow, light and dark:\n{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_is_on_the_page_with_its_code_and_not_with_its_details() {
    let server = Server::start().await;
    let url = format!("http://localhost:{}/", forward(&server.state().join("admin.sock")).await);
    assert!(!until(&url, "Last errors").await.contains("was not reloaded"));
    let config = server.state().with_file_name("ingam.toml");
    std::fs::write(config, "environment = \"mail@example.org\"\n").expect("a writable folder");
    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::HUP).expect("it runs");
    let html = until(&url, "the configuration was not reloaded").await;
    assert!(html.contains("reload in ingam::"), "its code and place: {html}");
    assert!(!html.contains("mail@example.org"), "what could be of a person is in the log alone: {html}");
    assert!(server.errors().contains("mail@example.org"), "and there it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_elses_name_leads_to_the_page() {
    let server = Server::start().await;
    let port = forward(&server.state().join("admin.sock")).await;
    let url = format!("http://localhost:{port}/");
    let mut connection = Connection::to(&url, None);
    let request = hyper::Request::get(&url).header("host", format!("ca.example:{port}"));
    let request = request.body(Default::default()).expect("a request");
    let refused = connection.send(request).await.expect("an answer").expect(403);
    assert_eq!(refused.json()["type"], "urn:ingam:admin:foreign-name");
}
