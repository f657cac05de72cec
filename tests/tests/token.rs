//! A CA whose issuing keys are on a token, from an empty token to certificates: SoftHSM is the token, GnuTLS and openssl make
//! what the operator would make with them, and `ingam init` takes it over. Then the token is pulled out under load.
//!
//! Not a failure: an order whose signature was asked for in the moment in which the token goes fails, with words. All others wait,
//! and once the token is back, everything goes on without a restart.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::{Finished, run};
use ingam_tests::error::Error;
use ingam_tests::openssl::Openssl;
use ingam_tests::server::Server;
use ingam_tests::service::{Home, Service};
use ingam_tests::token::{PIN, Tokens};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

/// How long an order may take that has nothing to wait for but the token.
const SOON: Duration = Duration::from_secs(30);

/// A CA in a home, and its token there.
struct Place<'a> {
    home: &'a Home,
    tokens: Tokens,
}

impl<'a> Place<'a> {
    /// With a token without keys.
    async fn new(home: &'a Home) -> Self {
        Self { home, tokens: Tokens::new(home.folder()).await }
    }

    /// A new key, and a certificate for it from the root that openssl has.
    async fn make_issuer(&self, name: &str, kind: &[&str]) {
        let public = format!("{name}.pub");
        self.tokens.generate(name, kind, &public).await;
        let (subject, certificate) = (format!("/C=KR/O=Example/CN={name}"), format!("{name}.pem"));
        let who = ["x509", "-new", "-force_pubkey", &public, "-subj", &subject, "-days", "300"];
        let by = ["-CA", "root.pem", "-CAkey", "root.key", "-extfile", "issuer.ext", "-out", &certificate];
        self.tokens.run("openssl", &[&who[..], &by].concat()).await;
    }

    fn serve(&self) -> Command {
        let mut command = self.home.command("serve", "ca.toml");
        self.tokens.environment(&mut command);
        command
    }

    /// `ingam init` and `ingam check` with the token at hand.
    async fn ingam(&self, command: &str, arguments: &[String]) -> Finished {
        let mut line = self.home.command(command, "ca.toml");
        self.tokens.environment(&mut line);
        run(line.args(arguments), "").await
    }
}

/// An offline root of openssl's, and what it says of issuing CAs.
async fn make_root(place: &Place<'_>) {
    let root =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-days", "900"];
    let usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-subj", "/C=KR/O=Example/CN=Root"];
    place
        .tokens
        .run("openssl", &[&root[..], &usage, &["-keyout", "root.key", "-out", "root.pem"]].concat())
        .await;
    let extensions = "basicConstraints=critical,CA:true,pathlen:0\n\
                      keyUsage=critical,digitalSignature,keyCertSign,cRLSign\n\
                      extendedKeyUsage=serverAuth\n\
                      subjectKeyIdentifier=hash\n\
                      authorityKeyIdentifier=keyid\n";
    fs::write(place.home.path("issuer.ext"), extensions).expect("a writable folder");
}

/// `ingam init` with these issuers, all on the token.
async fn take_over(place: &Place<'_>, issuers: &[&str]) -> Finished {
    let mut arguments = place.home.settings("production");
    arguments.extend(["--existing-root".to_owned(), place.home.text("root.pem")]);
    for name in issuers {
        let (certificate, key) = (place.home.text(&format!("{name}.pem")), place.tokens.uri(name));
        arguments.extend(["--existing-issuer".to_owned(), format!("{name}={certificate},{key}")]);
    }
    place.ingam("init", &arguments).await
}

async fn issue(client: &mut Client, name: &str, prover: &Prover) -> Result<Chain, Error> {
    let request = CertificateRequest::of(&[name]);
    client.issue(&[name], &request, prover).await.map(|(_, chain)| chain)
}

/// A production CA with an ECDSA and an RSA issuer on one token, and what its clients need.
async fn whole(place: &Place<'_>, dns_port: u16) {
    make_root(place).await;
    place.make_issuer("ecdsa", &["--generate-privkey=ecdsa", "--curve=secp384r1"]).await;
    place.make_issuer("rsa", &["--generate-privkey=rsa", "--bits=3072"]).await;
    take_over(place, &["ecdsa", "rsa"]).await.succeeded();
    place.home.adapt("ca.toml", dns_port);
    let manifest = fs::read_to_string(place.home.path("state/hierarchy.json")).expect("a hierarchy");
    assert!(manifest.contains("pkcs11:token=ingam;object=ecdsa?") && !manifest.contains(PIN), "{manifest}");
    let keys: Vec<PathBuf> = fs::read_dir(place.home.path("state/keys"))
        .expect("keys/")
        .flatten()
        .map(|file| file.path())
        .collect();
    assert!(keys.is_empty(), "no key of an issuing CA is in a file: {keys:?}");
    let checked = place.ingam("check", &[]).await.succeeded();
    assert!(checked.text().contains("0 errors"), "{checked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_on_a_token_issue_and_go_on_after_it_was_pulled_out_under_load() {
    let (beside, home) = (Server::start().await, Home::new());
    let place = Place::new(&home).await;
    whole(&place, beside.ports().dns).await;
    let service = Service::start(place.serve(), &home.path("service.log")).await;
    let prover = Arc::new(Prover::Http(WebAnswers::listen(home.ports().http).await));
    let judge = Openssl::trusting(&home.path("root.pem"));
    let mut client = Client::registered(&home.site()).await.expect("an account");

    // Certificates of both issuers, OCSP by delegates whose certificates the token signed, CRLs.
    for (profile, name) in [("classic", "one.example.org"), ("classic-rsa", "two.example.org")] {
        let order =
            client.order_with(&[name], serde_json::json!({ "profile": profile })).await.expect("an order");
        let order = client.prove(&order, &prover).await.expect("proof");
        let order =
            client.finalize(&order, &CertificateRequest::of(&[name]).der).await.expect("a certificate");
        let chain = client.certificate(&order).await.expect("a certificate");
        judge.verify(&chain, &[name]).await;
        judge.status(&chain).await.is_good();
        assert!(!judge.crl(&chain).await.contains(&chain));
    }

    // Load, and the token goes and comes.
    let stop = Arc::new(AtomicBool::new(false));
    let [good, failed] = [0, 0].map(|zero| Arc::new(AtomicUsize::new(zero)));
    let mut load = Vec::new();
    for worker in 0..4 {
        let (stop, good, failed) = (Arc::clone(&stop), Arc::clone(&good), Arc::clone(&failed));
        let (prover, site) = (Arc::clone(&prover), home.site());
        load.push(tokio::spawn(async move {
            let mut client = Client::registered(&site).await.expect("an account");
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let name = format!("n{number}.w{worker}.example.org");
                let outcome =
                    timeout(SOON, issue(&mut client, &name, &prover)).await.expect("an answer, soon");
                let count = if outcome.is_ok() { &good } else { &failed };
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for _ in 0..2 {
        grows(&good).await;
        let before = waits(&service);
        place.tokens.pull_out();
        let begun = Instant::now();
        while waits(&service) < before + 3 {
            assert!(begun.elapsed() < Duration::from_secs(20), "no order waits: {}", service.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        place.tokens.put_back();
        grows(&good).await;
    }
    stop.store(true, Ordering::Relaxed);
    for worker in load {
        worker.await.expect("every order ended one way or the other");
    }
    let lost = failed.load(Ordering::Relaxed);
    assert!(lost <= 8, "{lost} orders failed, and a pull costs one for each worker at most");
    let log = service.log();
    assert!(log.contains("a token is away") && log.contains("a token is back"), "{log}");
    assert!(!log.contains("panicked") && !log.contains(PIN), "{log}");

    // All that signs works as before.
    let chain = issue(&mut client, "after.example.org", &prover).await.expect("a certificate");
    judge.verify(&chain, &["after.example.org"]).await;
    judge.status(&chain).await.is_good();
    client.revoke(chain.leaf(), Some(4)).await.expect("an answer").expect(200);
    judge.status(&chain).await.is_revoked(Some("superseded"));
    service.stop().await;
}

/// How often an order was left because the token was away.
fn waits(service: &Service) -> usize {
    service.log().matches("an order waits for it").count()
}

/// Waits until a count has grown by three.
async fn grows(count: &AtomicUsize) {
    let (started, before) = (Instant::now(), count.load(Ordering::Relaxed));
    while count.load(Ordering::Relaxed) < before + 3 {
        assert!(started.elapsed() < Duration::from_secs(90), "nothing goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_token_stops_the_start_once() {
    let (beside, home) = (Server::start().await, Home::new());
    let place = Place::new(&home).await;
    whole(&place, beside.ports().dns).await;
    let refused = async |mentions: &[&str]| {
        let ended = run(&mut place.serve(), "").await;
        assert_eq!(ended.status.code(), Some(2), "systemd does not try again: {ended}");
        for mention in mentions {
            assert!(ended.stderr.contains(mention), "{mention} is named: {ended}");
        }
    };
    place.tokens.pull_out();
    fs::create_dir(home.path("tokens")).expect("a writable folder");
    refused(&["token=ingam;object=ecdsa", "0 tokens fit", "none at all"]).await;
    fs::remove_dir(home.path("tokens")).expect("an empty folder");
    place.tokens.put_back();
    place.tokens.write_pin("wrong");
    refused(&["PinIncorrect", "not tried again"]).await;
    place.tokens.write_pin(PIN);
    Service::start(place.serve(), &home.path("service.log")).await.stop().await;
    // The PIN by a descriptor, as from a shell.
    home.change("state/hierarchy.json", &format!("&pin-source=file:{}", home.text("token-pin")), "");
    refused(&["wants a PIN", "pin_fd"]).await;
    home.change("ca.toml", "[hierarchy]\n", "[hierarchy]\npin_fd = 3\n");
    let mut shell = Command::new("sh");
    place.tokens.environment(&mut shell);
    let line = format!("exec {} serve --config ca.toml 3<token-pin", ingam_tests::server::binary().display());
    shell.args(["-c", &line]).current_dir(home.folder()).kill_on_drop(true);
    Service::start(shell, &home.path("descriptor.log")).await.stop().await;
}
