//! The https endpoint: what it speaks, where its certificate comes from, and how a newer one takes the place of an older
//! one while connections go on.
//!
//! openssl and curl judge. Not a failure: how soon within [`SEEN_WITHIN`] a newer certificate is shown.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_tests::command::{Finished, run};
use ingam_tests::curl::Curl;
use ingam_tests::http::{Connection, fetch};
use ingam_tests::operator::{ClientCa, Person};
use ingam_tests::ports;
use ingam_tests::server::{Identity, Server, Setup};
use ingam_tests::service::{Home, Service};
use ingam_tests::site::tls_trusting;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

/// Longer than two looks of a second each.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

const INSTALL: &str = "Install openssl and curl, on Debian with apt-get";

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < SEEN_WITHIN, "not within {SEEN_WITHIN:?}: {what}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// A handshake by openssl, and what it says of it.
async fn handshake(port: u16, arguments: &[&str]) -> Finished {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-servername", "localhost"]);
    run(command.args(arguments), INSTALL).await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls_1_2_and_1_3_and_http_2() {
    let server = Server::start().await;
    let (port, ca) = (server.ports().acme, server.site().tls_ca);
    let ca = ca.to_str().expect("a path in UTF-8");
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        for (offered, chosen) in [("h2,http/1.1", "h2"), ("http/1.1", "http/1.1")] {
            let shaken = handshake(port, &[version, "-CAfile", ca, "-alpn", offered]).await.succeeded();
            let said = shaken.text();
            assert!(said.contains(name) && said.contains("Verify return code: 0 (ok)"), "{shaken}");
            assert!(said.contains(&format!("ALPN protocol: {chosen}")), "{shaken}");
        }
    }
    let old = handshake(port, &["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"]).await;
    assert!(!old.status.success(), "TLS 1.1 is not spoken any more: {old}");
    for (wanted, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let url = format!("https://localhost:{port}/dir");
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "--cacert",
            ca,
            wanted,
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{http_version}",
        ]);
        let got = run(command.arg(&url), INSTALL).await.succeeded();
        assert_eq!(got.text(), format!("200 {version}"));
    }
}

/// 10 MB, on either version of HTTP: the answer says what is wrong, and no reset comes in its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_far_too_large_is_answered() {
    let server = Server::start().await;
    let large = server.home().join("large");
    std::fs::write(&large, vec![b' '; 10_000_000]).expect("a writable folder");
    let url = format!("https://localhost:{}/new-account", server.ports().acme);
    for wanted in ["--http2", "--http1.1"] {
        let mut command = Command::new("curl");
        command.args(["-sS", "--cacert"]).arg(server.site().tls_ca).args([wanted, "-w", "%{http_code}"]);
        command.args(["-H", "Content-Type: application/jose+json", "-H", "Expect:", "--data-binary"]);
        let answer = run(command.arg(format!("@{}", large.display())).arg(&url), INSTALL).await.succeeded();
        let said = answer.text();
        assert!(said.ends_with("413") && said.contains("the body has more than"), "{wanted}: {answer}");
    }
}

/// The codes of what the front end lacks.
async fn lacks(server: &Server) -> Vec<String> {
    let url = format!("http://127.0.0.1:{}/readyz?role=frontend", server.ports().metrics);
    let answer = fetch(&url).await.expect("a report").text();
    ["https_renewal", "https_certificate"]
        .iter()
        .filter(|code| answer.contains(*code))
        .map(ToString::to_string)
        .collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).expect("a writable folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_files_are_taken_up_by_themselves_and_broken_ones_are_not() {
    let home = TempDir::new().expect("a temporary folder");
    let [https, newer] = ["https-ca", "newer-ca"].map(|name| ClientCa::new(home.path(), name));
    let Person { certificate, key, .. } = https.server("https");
    let (renewed, other) = (newer.server("renewed"), newer.server("other"));
    let identity = Identity { certificate: certificate.clone(), key: key.clone(), ca: https.path.clone() };
    let setup = Setup { identity: Some(identity), look_interval_s: 1, ..Setup::new() };
    let server = Server::start_in(home, setup).await;
    let url = server.site().directory;
    let shows = async |ca: &Path| Connection::to(&url, Some(tls_trusting(ca))).get(&url).await.is_ok();
    let mut open = Connection::to(&url, Some(tls_trusting(&https.path)));
    open.get(&url).await.expect("an answer").expect(200);

    copy(&renewed.key, &key);
    copy(&renewed.certificate, &certificate);
    until("the newer certificate is shown", async || shows(&newer.path).await).await;
    assert!(!shows(&https.path).await);
    open.get(&url).await.expect("the connection goes on").expect(200);
    until("all is well", async || lacks(&server).await.is_empty()).await;

    for (file, wrong) in [(&key, &other.key), (&certificate, &other.key)] {
        let kept = std::fs::read(file).expect("a readable file");
        copy(wrong, file);
        until("it is told", async || lacks(&server).await == ["https_renewal"]).await;
        assert!(shows(&newer.path).await, "the one before stays in force");
        std::fs::write(file, kept).expect("a writable folder");
        until("it is told no more", async || lacks(&server).await.is_empty()).await;
    }
    assert!(server.errors().contains("no newer one could be taken up"), "{}", server.errors());
    open.get(&url).await.expect("the connection goes on").expect(200);
}

const OWN_NAME: &str = "acme.own.example.org";
const OTHER_NAME: &str = "inside.own.example.org";

/// GET of the directory under a name, trusting the CA's own root; the serial number of what was shown.
async fn own_serial(home: &Home, name: &str) -> Option<String> {
    let (port, root) = (home.ports().acme, home.text("state/roots/root.pem"));
    let to = format!("{name}:{port}:127.0.0.1");
    let mut command = Command::new("curl");
    command.args(["-sS", "--cacert", &root, "--resolve", &to, "-w", "%{certs}"]);
    let got = run(command.arg(format!("https://{name}:{port}/dir")), INSTALL).await;
    got.status.success().then(|| {
        let text = got.text();
        text.lines().find_map(|line| line.strip_prefix("Serial Number:")).unwrap_or_default().to_owned()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ca_issues_its_own_certificate_and_makes_it_anew() {
    let home = Home::new();
    home.init("ca.toml", &[home.settings("production"), home.new_keys()].concat()).await.succeeded();
    home.adapt("ca.toml", 53);
    home.change("ca.toml", "https://localhost:", &format!("https://{OWN_NAME}:"));
    let [certificate, key] = [("certificate", "tls.pem"), ("key", "tls.key")]
        .map(|(key, file)| format!("{key} = \"{}\"", home.text(file)));
    home.change("ca.toml", &certificate, "look_interval_s = 1\nissue = { profile = \"classic\" }");
    home.change("ca.toml", &key, "");
    let status_port = ports::free();
    let listeners = format!("[listen]\npublication_tls = [\"127.0.0.1:{status_port}\"]");
    home.change("ca.toml", "[listen]", &listeners);
    run(home.command("check", "ca.toml").arg("--json"), "").await.succeeded();

    let start = async |log: &str| Service::start(home.command("serve", "ca.toml"), &home.path(log)).await;
    let service = start("first.log").await;
    let first = own_serial(&home, OWN_NAME).await.expect("the root is enough to trust it");
    let curl = Curl::trusting(&home.path("state/roots/root.pem"));
    let (to, roots) = (
        format!("{OWN_NAME}:{status_port}:127.0.0.1"),
        format!("https://{OWN_NAME}:{status_port}/roots.pem"),
    );
    curl.ask(&["--resolve", &to], &roots).await.succeeded();
    let file: PathBuf = home.path("state/tls-own.pem");
    let mode = std::fs::metadata(&file).expect("it is kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Whoever takes the file away has a new one made, with a new key, while the process goes on.
    std::fs::remove_file(&file).expect("a file of one's own");
    let mut second = first.clone();
    until("a new one is shown", async || {
        second = own_serial(&home, OWN_NAME).await.expect("it is served all the time");
        second != first
    })
    .await;
    service.stop().await;

    // It outlives the process, until other names are asked for.
    let service = start("second.log").await;
    assert_eq!(own_serial(&home, OWN_NAME).await, Some(second.clone()));
    assert_eq!(own_serial(&home, OTHER_NAME).await, None);
    service.stop().await;
    let names = format!("issue = {{ profile = \"classic\", names = [\"{OTHER_NAME}\"] }}");
    home.change("ca.toml", "issue = { profile = \"classic\" }", &names);
    let service = start("third.log").await;
    let third = own_serial(&home, OWN_NAME).await;
    assert!(third.is_some() && third != Some(second) && own_serial(&home, OTHER_NAME).await == third);
    service.stop().await;
}
