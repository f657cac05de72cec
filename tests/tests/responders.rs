//! Responders apart from the CA: openssl believes them, a revocation is told there within two seconds. One without keys goes on without
//! the CA, begins again from its copy, and is not taken in by a CA that was set back; so by HTTP, from the CA's folder, and from a copy of
//! it. Over https it says the same, by a certificate that can be renewed meanwhile. One with a key that the CA certified answers what
//! nobody signed in advance, until the CA takes that back.
//!
//! Not a failure: that nonces are ignored where there is no key, as nobody signs there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_tests::certificate::{Chain, Files};
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::{Finished, run};
use ingam_tests::curl::Curl;
use ingam_tests::http::fetch;
use ingam_tests::ocsp::{self, Hash, Status};
use ingam_tests::operator::ClientCa;
use ingam_tests::ports;
use ingam_tests::server::{Server, Setup, binary};
use ingam_tests::service::Service;
use ingam_tests::token::Tokens;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const INSTALL: &str = "Install openssl, on Debian with `apt-get install openssl`";

/// What openssl says of a nonce is that it is missing, or another one.
const NO_NONCE: &str = "WARNING: no nonce in response";

/// The CA, and a responder that takes its answers.
struct World {
    home: TempDir,
    ca: Server,
    client: Client,
    prover: Prover,
    port: u16,
    tls_port: u16,
    metrics: u16,
    names: usize,
}

/// From where the responder takes the answers.
enum Source {
    Http,
    /// The CA's own folder, as on one machine.
    Folder,
    /// A folder to which rsync copies that of the CA.
    Copy,
}

/// What the configuration of the CA has of responders with keys.
fn delegates(folder: &Path, names: &[&str]) -> String {
    let line = |name: &&str| {
        let key = folder.join(format!("{name}.pub"));
        format!("[[responder.delegates]]\nname = \"{name}\"\nkey = {:?}\n", key.display().to_string())
    };
    names.iter().map(line).collect()
}

/// The settings of a CA that gives answers out.
fn publishing(folder: &Path) -> String {
    let key = folder.join("answers.key").display().to_string();
    format!(
        "[responder]\npresign = [\"sha1\", \"sha256\"]\npublish_key = {key:?}\npublish_over_http = true\npublish_lasts_s = 10\n"
    )
}

impl World {
    async fn begin() -> Self {
        Self::begin_with(Source::Http, &[]).await
    }

    /// With keys of responders by these names; the responder here has the first, and answers nonces.
    async fn begin_with(source: Source, keys: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let path = |name: &str| home.path().join(name).to_str().expect("a path in UTF-8").to_owned();
        for words in [
            vec!["genpkey", "-algorithm", "ed25519", "-out", &path("answers.key")],
            vec!["pkey", "-in", &path("answers.key"), "-pubout", "-out", &path("answers.pub")],
        ] {
            run(Command::new("openssl").args(words), INSTALL).await.succeeded();
        }
        for name in keys {
            let (private, public) = (path(&format!("{name}.key")), path(&format!("{name}.pub")));
            let made =
                ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &private];
            run(Command::new("openssl").args(made), INSTALL).await.succeeded();
            let shown = ["pkey", "-in", &private, "-pubout", "-out", &public];
            run(Command::new("openssl").args(shown), INSTALL).await.succeeded();
        }
        let settings = publishing(home.path()) + &delegates(home.path(), keys);
        let ca = Server::start_with(Setup { further_config: settings, ..Setup::new() }).await;
        let client = Client::registered(&ca.site()).await.expect("an account");
        let prover = Prover::Http(WebAnswers::listen(ca.ports().http).await);
        let (port, tls_port, metrics) = (ports::free(), ports::free(), ports::free());
        let https = ClientCa::new(home.path(), "https-ca").server("https");
        let source = match source {
            Source::Http => format!("url = \"http://127.0.0.1:{}/answers\"", ca.ports().publication),
            Source::Folder => format!("folder = {:?}", ca.state().join("answers")),
            Source::Copy => format!("folder = {:?}", path("copy")),
        };
        let live = keys.first().map(|name| {
            format!("delegate_key = {:?}\n[responder]\nnonces = \"answer\"\n", path(&format!("{name}.key")))
        });
        let text = format!(
            "environment = \"development\"\nstate = {:?}\n[listen]\npublication = [\"127.0.0.1:{port}\"]\n\
             publication_tls = [\"127.0.0.1:{tls_port}\"]\nmetrics = [\"127.0.0.1:{metrics}\"]\n\
             [tls]\ncertificate = {:?}\nkey = {:?}\nlook_interval_s = 1\n[answers]\n{source}\nkey = {:?}\n{}",
            path("responder"),
            https.certificate,
            https.key,
            path("answers.pub"),
            live.unwrap_or_default(),
        );
        fs::write(home.path().join("responder.toml"), text).expect("a writable folder");
        Self { home, ca, client, prover, port, tls_port, metrics, names: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    async fn issue(&mut self) -> (Chain, Files) {
        self.names += 1;
        let name = format!("{}.responders.example.org", self.names);
        let issued = self.client.issue(&[&name], &CertificateRequest::of(&[&name]), &self.prover).await;
        let chain = issued.expect("a certificate").1;
        let folder = self.path(&name);
        fs::create_dir(&folder).expect("a writable folder");
        let files = chain.write(&folder);
        (chain, files)
    }

    async fn start(&self) -> Service {
        self.start_with(None).await
    }

    /// The same, with a token at hand.
    async fn start_with(&self, tokens: Option<&Tokens>) -> Service {
        let mut command = Command::new(binary());
        command.args(["serve", "--role", "responder", "--config"]).arg(self.path("responder.toml"));
        command.env("RUST_LOG", "warn").kill_on_drop(true);
        if let Some(tokens) = tokens {
            tokens.environment(&mut command);
        }
        Service::start(command, &self.path("responder.log")).await
    }

    /// What openssl makes of the responder's answer: one word, `good` or `revoked`, or the responder's error.
    async fn ask(&self, files: &Files, hash: &str) -> String {
        let said = self.said(&[files], &[hash]).await;
        if let Some(error) = said.lines().find_map(|line| line.strip_prefix("Responder Error: ")) {
            return error.to_owned();
        }
        let line = said.lines().find_map(|line| line.split_once("leaf.pem: "));
        line.expect("what it says of the certificate").1.to_owned()
    }

    /// All that openssl says of an answer about these certificates, which it has verified if it is one.
    async fn said(&self, all: &[&Files], words: &[&str]) -> String {
        let mut command = Command::new("openssl");
        command.arg("ocsp").args(words).arg("-CAfile").arg(self.ca.roots());
        for files in all {
            command.arg("-issuer").arg(&files.issuer).arg("-verify_other").arg(&files.issuer);
            command.arg("-cert").arg(&files.leaf);
        }
        command.args(["-url", &format!("http://127.0.0.1:{}/ocsp", self.port)]);
        let said = run(&mut command, INSTALL).await.said();
        assert!(said.contains("Response verify OK") || said.contains("Responder Error: "), "{said}");
        said
    }

    /// Waits until an answer to such a request says this, and tells how long that took.
    async fn until_said(&self, files: &Files, words: &[&str], what: &str) -> Duration {
        let begin = Instant::now();
        loop {
            let said = self.said(&[files], words).await;
            if said.contains(what) {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "not {what}: {said}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the CA gives answers out.
    async fn until_published(&self) {
        let manifest = format!("http://127.0.0.1:{}/answers/manifest", self.ca.ports().publication);
        let begin = Instant::now();
        while fetch(&manifest).await.expect("an answer").status != 200 {
            assert!(begin.elapsed() < Duration::from_secs(20), "no manifest");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn check(&self) -> Finished {
        let mut checked = Command::new(binary());
        checked.args(["check", "--role", "responder", "--config"]).arg(self.path("responder.toml"));
        run(&mut checked, "").await
    }

    async fn metrics(&self) -> String {
        fetch(&format!("http://127.0.0.1:{}/metrics", self.metrics)).await.expect("an answer").text()
    }

    /// Waits until both hashes get this answer, and tells how long that took.
    async fn until(&self, files: &Files, word: &str) -> Duration {
        let begin = Instant::now();
        loop {
            if self.ask(files, "-sha1").await == word && self.ask(files, "-sha256").await == word {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "it is not {word}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Has the CA read its configuration again, with these responders.
    async fn reload(&mut self, keys: &[&str]) {
        let settings = publishing(self.home.path()) + &delegates(self.home.path(), keys);
        self.ca.reconfigure(&settings);
        let reload = self.ca.admin_json(&["reload", "--reason", "other responders"]).await;
        assert_eq!(reload["changed"], serde_json::json!(["responder.delegates"]));
    }

    /// Asks over http and https, by HTTP/1.1 and HTTP/2: the certificate is revoked, in the same bytes each time.
    async fn same_over_https(&self, chain: &Chain) {
        let [plain, tls] = [("http", self.port), ("https", self.tls_port)]
            .map(|(scheme, port)| format!("{scheme}://localhost:{port}/ocsp"));
        let curl = Curl::trusting(&self.path("https-ca.pem"));
        let [gotten, posted] = curl.every_way(&plain, &tls, &ocsp::request_for(chain, Hash::Sha1)).await;
        assert_eq!(gotten, posted);
        assert!(matches!(ocsp::status(&gotten.body), Status::Revoked { .. }));

        // A newer certificate, of another CA, is taken up meanwhile.
        let newer = ClientCa::new(self.home.path(), "newer-ca");
        let https = newer.server("renewed");
        for (from, to) in [(&https.key, "https.key"), (&https.certificate, "https.pem")] {
            fs::copy(from, self.path(to)).expect("a writable folder");
        }
        let (curl, begin) = (Curl::trusting(&newer.path), Instant::now());
        while !curl.ask(&[], &format!("https://localhost:{}/roots.pem", self.tls_port)).await.status.success()
        {
            assert!(begin.elapsed() < Duration::from_secs(20), "{}", self.health().await);
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Copies the CA's answers again and again, as the handbook says.
    fn copying(&self) -> JoinHandle<()> {
        let (from, to) = (self.ca.state().join("answers/"), self.path("copy/"));
        tokio::spawn(async move {
            loop {
                let mut rsync = Command::new("rsync");
                rsync.args(["-a", "--delay-updates", "--modify-window=-1"]).arg(&from).arg(&to);
                let copied = run(&mut rsync, "Install rsync, on Debian with `apt-get install rsync`").await;
                // 24: a file went while it was copied, and the next time there are others.
                assert!(matches!(copied.status.code(), Some(0 | 24)), "{copied}");
                sleep(Duration::from_millis(200)).await;
            }
        })
    }

    /// What is issued is told, and a revocation within two seconds.
    async fn tells_in_time(&mut self) {
        let (chain, files) = self.issue().await;
        self.until(&files, "good").await;
        self.client.revoke(chain.leaf(), Some(1)).await.expect("a revocation").expect(200);
        let took = self.until(&files, "revoked").await;
        assert!(
            took < Duration::from_secs(2),
            "a revocation is told within two seconds, and it took {took:?}"
        );
        println!("told after {took:?}");
    }

    async fn health(&self) -> String {
        let url = format!("http://127.0.0.1:{}/readyz", self.metrics);
        fetch(&url).await.expect("an answer").text()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_without_keys_tells_what_the_ca_has_signed() {
    let mut world = World::begin().await;
    let (first, first_files) = world.issue().await;
    world.until_published().await;
    world.check().await.succeeded();
    let responder = world.start().await;
    world.until(&first_files, "good").await;
    let (_, second_files) = world.issue().await;
    world.until(&second_files, "good").await;

    world.client.revoke(first.leaf(), Some(1)).await.expect("a revocation").expect(200);
    let took = world.until(&first_files, "revoked").await;
    assert!(
        took < Duration::from_secs(2),
        "a revocation is told everywhere within two seconds, and it took {took:?}"
    );
    assert!(world.health().await.contains("\"ready\":true"), "{}", world.health().await);

    world.same_over_https(&first).await;
    assert!(world.health().await.contains("\"frontend\",\"ready\":true"), "{}", world.health().await);

    // Without the CA it goes on, and says so; a new process begins with the copy.
    world.ca.stop().await;
    assert_eq!(world.ask(&first_files, "-sha1").await, "revoked");
    responder.stop().await;
    let responder = world.start().await;
    assert_eq!(world.ask(&first_files, "-sha256").await, "revoked");
    assert_eq!(world.ask(&second_files, "-sha1").await, "good");
    let begin = Instant::now();
    while !world.health().await.contains("ocsp_answer_age") {
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", world.health().await);
        sleep(Duration::from_millis(200)).await;
    }
    world.ca.restart().await;
    let (_, third_files) = world.issue().await;
    world.until(&third_files, "good").await;
    assert!(!world.health().await.contains("ocsp_answer_age"), "{}", world.health().await);
    // The CA looked through all certificates at its start: seconds since the epoch, and not NaN.
    let metrics = world.metrics().await;
    assert!(metrics.contains("\ningam_ocsp_oldest_answer_timestamp_seconds 1"), "{metrics}");
    responder.stop().await;
    world.ca.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_follows_the_folder_of_the_ca() {
    let mut world = World::begin_with(Source::Folder, &[]).await;
    world.until_published().await;
    let responder = world.start().await;
    for _ in 0..3 {
        world.tells_in_time().await;
    }
    responder.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_follows_a_folder_to_which_another_copies() {
    let mut world = World::begin_with(Source::Copy, &[]).await;
    world.until_published().await;
    let copying = world.copying();
    let begin = Instant::now();
    while !world.path("copy/manifest").exists() {
        assert!(begin.elapsed() < Duration::from_secs(20), "nothing is copied");
        sleep(Duration::from_millis(50)).await;
    }
    let responder = world.start().await;
    // Manifests of one second and one length are among so many.
    for _ in 0..12 {
        world.tells_in_time().await;
    }
    responder.stop().await;
    assert!(!copying.is_finished(), "it was copied all the time");
    copying.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_with_a_key_signs_until_the_ca_takes_that_back() {
    let mut world = World::begin_with(Source::Http, &["tokyo", "lima"]).await;
    let (first, first_files) = world.issue().await;
    let (second, second_files) = world.issue().await;
    world.until_published().await;
    world.check().await.succeeded();
    // What the start would refuse, the check tells: here a private key, or one for something else, in the place of the public one.
    let config = fs::read_to_string(world.path("responder.toml")).expect("a configuration");
    for (wrong, why) in [("answers.key", "no public key in PEM"), ("tokyo.pub", "not for Ed25519")] {
        fs::write(world.path("responder.toml"), config.replace("answers.pub", wrong))
            .expect("a writable folder");
        let told = world.check().await;
        assert!(!told.status.success() && told.to_string().contains(why), "{told}");
    }
    fs::write(world.path("responder.toml"), &config).expect("a writable folder");
    let responder = world.start().await;
    world.until(&first_files, "good").await;
    world.until(&second_files, "good").await;

    // The nonce comes back, and whatever form the CertID has, there is an answer; also about two at once.
    for hash in ["-sha1", "-sha256", "-sha384"] {
        let said = world.said(&[&first_files], &[hash, "-nonce"]).await;
        assert!(said.contains("leaf.pem: good") && !said.contains("once"), "{said}");
        assert_eq!(world.ask(&first_files, hash).await, "good");
    }
    let said = world.said(&[&first_files, &second_files], &["-sha1", "-nonce"]).await;
    assert_eq!(said.matches("leaf.pem: good").count(), 2, "{said}");
    assert!(!world.health().await.contains("ocsp_signing"), "{}", world.health().await);
    let metrics = world.metrics().await;
    assert!(metrics.contains("ingam_ocsp_source_total{source=\"signed\"}"), "{metrics}");
    assert!(!metrics.contains("ingam_ocsp_delegated_issuers 0"), "{metrics}");

    // A revocation is told as soon as where nobody signs.
    world.client.revoke(second.leaf(), Some(1)).await.expect("a revocation").expect(200);
    let took = world.until_said(&second_files, &["-sha384", "-nonce"], "leaf.pem: revoked").await;
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    let said = world.said(&[&first_files, &second_files], &["-sha1", "-nonce"]).await;
    assert!(said.contains("leaf.pem: good") && said.contains("Reason: keyCompromise"), "{said}");

    // Another responder's key is taken out, and nothing changes here; then this one's is.
    world.reload(&["tokyo"]).await;
    world.until_said(&first_files, &["-sha384", "-nonce"], "leaf.pem: good").await;
    world.reload(&[]).await;
    world.until_said(&first_files, &["-sha1", "-nonce"], NO_NONCE).await;
    assert_eq!(world.ask(&first_files, "-sha384").await, "trylater (3)");
    assert_eq!(world.ask(&second_files, "-sha1").await, "revoked", "as without a key");
    assert!(world.health().await.contains("ocsp_signing"), "{}", world.health().await);
    assert!(world.metrics().await.contains("ingam_ocsp_delegated_issuers 0"));
    responder.stop().await;
    let log = fs::read_to_string(world.path("responder.log")).expect("a log");
    assert!(log.contains("the CA lists no certificate any more"), "{log}");
    // Each signature is in a file of its own, whatever the log's filter.
    let serial = first.serial_hex().to_lowercase();
    let mut signed = String::new();
    for file in fs::read_dir(world.path("responder/signed")).expect("a folder") {
        signed += &fs::read_to_string(file.expect("a file").path()).expect("a file in UTF-8");
    }
    assert!(
        signed.lines().any(|line| line.starts_with("{\"answers\":[{") && line.contains(&serial)),
        "{signed}"
    );
    world.ca.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_blocked_ends_at_once_and_is_left_out_by_the_next_start() {
    let mut world = World::begin_with(Source::Http, &["tokyo"]).await;
    let (_, files) = world.issue().await;
    world.until_published().await;
    // The key is on a token, which never gives it away.
    let tokens = Tokens::new(world.home.path()).await;
    let (private, config) = (world.path("tokyo.key"), world.path("responder.toml"));
    tokens.import("tokyo", &private, 1).await;
    fs::remove_file(&private).expect("a writable folder");
    let text = fs::read_to_string(&config).expect("a configuration");
    let text = text.replace(&private.display().to_string(), &tokens.uri("tokyo"));
    fs::write(&config, text).expect("a writable folder");
    let responder = world.start_with(Some(&tokens)).await;
    world.until_said(&files, &["-sha384", "-nonce"], "leaf.pem: good").await;
    let key = world.path("tokyo.pub").display().to_string();
    world.ca.admin(&["key", "block", "--pem", &key, "--reason", "the machine was stolen"]).await.succeeded();
    world.until_said(&files, &["-sha384"], "trylater").await;
    assert_eq!(world.ask(&files, "-sha1").await, "good");
    responder.stop().await;
    // The CA starts nevertheless, and says what to do; whoever reloads is told, too.
    world.ca.restart().await;
    world.issue().await;
    let errors = world.ca.errors();
    assert!(errors.contains("a responder's key is blocked and gets no certificates"), "{errors}");
    let health = format!("http://127.0.0.1:{}/readyz", world.ca.ports().metrics);
    let health = fetch(&health).await.expect("an answer").expect(200).text();
    assert!(health.contains("the key of the responder tokyo is blocked"), "{health}");
    let refused = world.ca.admin(&["reload", "--reason", "the same again"]).await;
    assert!(
        !refused.status.success() && refused.said().contains("has tokyo, whose key is blocked"),
        "{refused}"
    );
    world.reload(&[]).await;
    world.ca.stop().await;
}
