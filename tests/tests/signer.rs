//! A CA whose signer is a process of its own: it issues, answers and lists as any other; orders wait while the signer is away, and
//! go on when it is back; and the signer answers nobody for what its configuration does not allow.
//!
//! Not a failure: how long an order takes that waits for a signer which is being started.

use std::fs;
use std::time::Duration;

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::{Finished, run};
use ingam_tests::http::fetch;
use ingam_tests::openssl::Openssl;
use ingam_tests::ports;
use ingam_tests::server::Server;
use ingam_tests::service::{Home, Service};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

const ALL: &str = "[\"facts\", \"prepare\", \"issue\", \"ocsp\", \"crl\"]";

/// A production CA made by `ingam init`, whose keys have moved into a folder of their own.
async fn apart(home: &Home, dns_port: u16, signer: &str) {
    home.init("ca.toml", &[home.settings("production"), home.new_keys()].concat()).await.succeeded();
    home.adapt("ca.toml", dns_port);
    fs::create_dir(home.path("keys-apart")).expect("a writable folder");
    for part in ["hierarchy.json", "roots", "issuers", "keys"] {
        fs::rename(home.path(&format!("state/{part}")), home.path(&format!("keys-apart/{part}")))
            .expect(part);
    }
    let text = fs::read_to_string(home.path("ca.toml")).expect("a configuration");
    fs::write(home.path("ca.toml"), format!("{text}\n{signer}")).expect("a writable folder");
}

fn unix(home: &Home, metrics: u16, operations: &str) -> String {
    let who = own_uid();
    format!(
        "[signer]\nat = \"unix:{socket}\"\nstate = {state:?}\nsocket = {socket:?}\nmetrics = [\"127.0.0.1:{metrics}\"]\n\
         [signer.callers]\n\"uid:{who}\" = {operations}\n",
        socket = home.text("signer.sock"),
        state = home.text("keys-apart"),
    )
}

/// Who runs these tests.
fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").expect("a process").uid()
}

async fn start_signer(home: &Home) -> Service {
    let mut command = home.command("serve", "ca.toml");
    command.args(["--role", "signer"]);
    Service::start(command, &home.path("signer.log")).await
}

async fn start_ca(home: &Home) -> Service {
    Service::start(home.command("serve", "ca.toml"), &home.path("ca.log")).await
}

/// A POST to the signer's socket.
async fn ask(home: &Home, path: &str) -> (String, String) {
    let mut curl = Command::new("curl");
    let socket = home.text("signer.sock");
    curl.args(["--silent", "--unix-socket", &socket, "--data", "{}", "--write-out", "\n%{http_code}"]);
    let Finished { stdout, .. } = run(curl.arg(format!("http://signer{path}")), "").await.succeeded();
    let text = String::from_utf8_lossy(&stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.to_owned(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_issues_by_a_signer_apart_and_waits_for_it() {
    let (beside, home, metrics) = (Server::start().await, Home::new(), ports::free());
    apart(&home, beside.ports().dns, &unix(&home, metrics, ALL)).await;
    let checked = run(home.command("check", "ca.toml").args(["--role", "signer"]), "").await.succeeded();
    assert!(checked.text().contains("0 errors"), "{checked}");
    let signer = start_signer(&home).await;
    let ca = start_ca(&home).await;
    assert!(!home.path("state/ledger").exists() && home.path("keys-apart/ledger").exists());

    let prover = Prover::Http(WebAnswers::listen(home.ports().http).await);
    let mut client = Client::registered(&home.site()).await.expect("an account");
    let judge = Openssl::trusting(&home.path("keys-apart/roots/root.pem"));
    let request = CertificateRequest::of(&["one.example.org"]);
    let (_, chain) = client.issue(&["one.example.org"], &request, &prover).await.expect("a certificate");
    judge.verify(&chain, &["one.example.org"]).await;
    judge.status(&chain).await.is_good();
    assert!(!judge.crl(&chain).await.contains(&chain));
    client.revoke(chain.leaf(), Some(4)).await.expect("an answer").expect(200);
    judge.status(&chain).await.is_revoked(Some("superseded"));
    let ready = format!("http://127.0.0.1:{metrics}/readyz");
    fetch(&ready).await.expect("an answer").expect(200);

    // It dies: an order waits, says so, and goes on with the next one.
    let order = client.order_with(&["two.example.org"], serde_json::json!({})).await.expect("an order");
    let order = client.prove(&order, &prover).await.expect("control");
    drop(signer);
    let away = format!("http://127.0.0.1:{}/readyz?role=signer", home.ports().metrics);
    let begun = Instant::now();
    while fetch(&away).await.expect("an answer").status != 503 {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody misses the signer");
        sleep(Duration::from_millis(50)).await;
    }
    let waiting = tokio::spawn(async move {
        let order = client.finalize(&order, &CertificateRequest::of(&["two.example.org"]).der).await;
        let order = order.expect("a certificate, in the end");
        client.certificate(&order).await.expect("its chain")
    });
    while !ca.log().contains("an order waits for it") {
        assert!(begun.elapsed() < Duration::from_secs(40), "no order waits: {}", ca.log());
        sleep(Duration::from_millis(50)).await;
    }
    let signer = start_signer(&home).await;
    let chain = timeout(Duration::from_secs(60), waiting).await.expect("in time").expect("no panic");
    judge.verify(&chain, &["two.example.org"]).await;
    judge.status(&chain).await.is_good();
    ca.stop().await;
    signer.stop().await;
    assert!(!home.path("signer.sock").exists(), "its socket goes with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signer_does_what_its_callers_may_ask_for_and_no_more() {
    let (beside, home, metrics) = (Server::start().await, Home::new(), ports::free());
    apart(&home, beside.ports().dns, &unix(&home, metrics, "[\"facts\"]")).await;
    let signer = start_signer(&home).await;
    let (status, facts) = ask(&home, "/v1/facts").await;
    assert!(
        status == "200" && facts.contains("\"issuers\"") && !facts.contains("PRIVATE"),
        "{status} {facts}"
    );
    for path in ["/v1/ready", "/v1/prepare", "/v1/adopt", "/v1/finish", "/v1/issue", "/v1/ocsp", "/v1/crl"] {
        let (status, why) = ask(&home, path).await;
        assert!(status == "403" && why.contains("signer.callers"), "{path}: {status} {why}");
    }
    let (status, _) = ask(&home, "/v1/keys").await;
    assert_eq!(status, "404");
    let counted =
        fetch(&format!("http://127.0.0.1:{metrics}/metrics")).await.expect("metrics").expect(200).text();
    assert!(counted.contains("ingam_signer_refusals_total{operation=\"issue\"} 2"), "{counted}");

    // Somebody else is nobody, and a CA that may not ask for anything says what is wrong.
    let other = own_uid() + 1;
    home.change("ca.toml", &format!("\"uid:{}\" = ", own_uid()), &format!("\"uid:{other}\" = "));
    signer.stop().await;
    let signer = start_signer(&home).await;
    let (status, why) = ask(&home, "/v1/facts").await;
    assert!(status == "403" && why.contains("uid:"), "{status} {why}");
    let refused = run(&mut home.command("serve", "ca.toml"), "").await;
    assert!(refused.status.code() == Some(2) && refused.stderr.contains("signer.callers"), "{refused}");
    signer.stop().await;
}

/// A CA for both ends of the wire, and a certificate for each.
async fn certificates(home: &Home) {
    let openssl = async |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        run(command.args(arguments).current_dir(home.path(".")), "").await.succeeded();
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
    let ca = ["req", "-x509", "-subj", "/CN=wire", "-keyout", "wire-ca.key", "-out", "wire-ca.pem"];
    openssl(&[&ca[..], &key].concat()).await;
    for (name, usage) in [("wire-signer", "serverAuth"), ("wire-ca-client", "clientAuth")] {
        let [subject, keyout, out] = [format!("/CN={name}"), format!("{name}.key"), format!("{name}.pem")];
        let usage = format!("extendedKeyUsage={usage}");
        let leaf = ["req", "-x509", "-CA", "wire-ca.pem", "-CAkey", "wire-ca.key", "-subj", &subject];
        let extensions = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", &usage];
        let basic = ["-addext", "basicConstraints=critical,CA:false", "-keyout", &keyout, "-out", &out];
        openssl(&[&leaf[..], &key, &extensions, &basic].concat()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_elsewhere_is_reached_over_mutual_tls() {
    let (beside, home, port) = (Server::start().await, Home::new(), ports::free());
    certificates(&home).await;
    let mut digest = Command::new("openssl");
    digest.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(home.path("wire-ca-client.pem"));
    let fingerprint = String::from_utf8(run(&mut digest, "").await.succeeded().stdout).expect("text");
    let fingerprint =
        fingerprint.trim().rsplit('=').next().expect("a digest").replace(':', "").to_lowercase();
    let signer = format!(
        "[signer]\nat = \"https://localhost:{port}\"\nstate = {state:?}\ncertificate = {certificate:?}\nkey = {key:?}\n\
         client_ca = {ca:?}\nserver_ca = {ca:?}\nclient_certificate = {client:?}\nclient_key = {client_key:?}\n\
         [signer.callers]\n\"cert:{fingerprint}\" = {ALL}\n",
        state = home.text("keys-apart"),
        certificate = home.text("wire-signer.pem"),
        key = home.text("wire-signer.key"),
        ca = home.text("wire-ca.pem"),
        client = home.text("wire-ca-client.pem"),
        client_key = home.text("wire-ca-client.key"),
    );
    apart(&home, beside.ports().dns, &signer).await;
    home.change("ca.toml", "[listen]\n", &format!("[listen]\nsigner = [\"127.0.0.1:{port}\"]\n"));
    let signer = start_signer(&home).await;
    let ca = start_ca(&home).await;
    let prover = Prover::Http(WebAnswers::listen(home.ports().http).await);
    let mut client = Client::registered(&home.site()).await.expect("an account");
    let request = CertificateRequest::of(&["tls.example.org"]);
    let (_, chain) = client.issue(&["tls.example.org"], &request, &prover).await.expect("a certificate");
    let judge = Openssl::trusting(&home.path("keys-apart/roots/root.pem"));
    judge.verify(&chain, &["tls.example.org"]).await;
    judge.status(&chain).await.is_good();
    // Without a certificate of the CA's there is no connection at all.
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--cacert"]).arg(home.path("wire-ca.pem"));
    let refused = run(curl.args(["--data", "{}", &format!("https://localhost:{port}/v1/facts")]), "").await;
    assert!(!refused.status.success(), "{refused}");
    ca.stop().await;
    signer.stop().await;
}
