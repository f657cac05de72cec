//! A responder without keys, apart from the CA: openssl believes it, a revocation is told there within two seconds, it goes on without the
//! CA, begins again from its copy, and is not taken in by a CA that was set back; so by HTTP, from the CA's folder, and from a copy of it.
//! Over https it says the same, by a certificate that can be renewed meanwhile.
//!
//! Not a failure: that nonces are ignored, as nobody signs there.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ingam_tests::certificate::{Chain, Files};
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::run;
use ingam_tests::curl::Curl;
use ingam_tests::http::fetch;
use ingam_tests::ocsp::{self, Hash, Status};
use ingam_tests::operator::ClientCa;
use ingam_tests::ports;
use ingam_tests::server::{Server, Setup, binary};
use ingam_tests::service::Service;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const INSTALL: &str = "Install openssl, on Debian with `apt-get install openssl`";

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

impl World {
    async fn begin() -> Self {
        Self::following(Source::Http).await
    }

    async fn following(source: Source) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let path = |name: &str| home.path().join(name).to_str().expect("a path in UTF-8").to_owned();
        for words in [
            vec!["genpkey", "-algorithm", "ed25519", "-out", &path("answers.key")],
            vec!["pkey", "-in", &path("answers.key"), "-pubout", "-out", &path("answers.pub")],
        ] {
            run(Command::new("openssl").args(words), INSTALL).await.succeeded();
        }
        let settings = format!(
            "[responder]\npresign = [\"sha1\", \"sha256\"]\npublish_key = {:?}\npublish_over_http = true\npublish_lasts_s = 10\n",
            path("answers.key")
        );
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
        let text = format!(
            "environment = \"development\"\nstate = {:?}\n[listen]\npublication = [\"127.0.0.1:{port}\"]\n\
             publication_tls = [\"127.0.0.1:{tls_port}\"]\nmetrics = [\"127.0.0.1:{metrics}\"]\n\
             [tls]\ncertificate = {:?}\nkey = {:?}\nlook_interval_s = 1\n[answers]\n{source}\nkey = {:?}\n",
            path("responder"),
            https.certificate,
            https.key,
            path("answers.pub"),
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
        let mut command = Command::new(binary());
        command.args(["serve", "--role", "responder", "--config"]).arg(self.path("responder.toml"));
        command.env_remove("RUST_LOG").kill_on_drop(true);
        Service::start(command, &self.path("responder.log")).await
    }

    /// What openssl makes of the responder's answer: one word, `good` or `revoked`, or the responder's error.
    async fn ask(&self, files: &Files, hash: &str) -> String {
        let mut command = Command::new("openssl");
        command.args(["ocsp", hash, "-issuer"]).arg(&files.issuer).arg("-cert").arg(&files.leaf);
        command
            .arg("-CAfile")
            .arg(self.ca.roots())
            .args(["-url", &format!("http://127.0.0.1:{}/ocsp", self.port)]);
        let finished = run(&mut command, INSTALL).await;
        let (out, told) = (String::from_utf8_lossy(&finished.stdout).into_owned(), finished.stderr.clone());
        if let Some(error) =
            out.lines().chain(told.lines()).find_map(|line| line.strip_prefix("Responder Error: "))
        {
            return error.to_owned();
        }
        assert!(told.contains("Response verify OK"), "{out}{told}");
        let line = out.lines().find_map(|line| line.split_once("leaf.pem: "));
        line.expect("what it says of the certificate").1.to_owned()
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

    /// Waits until the CA gives out a manifest of what it has signed.
    async fn until_manifest(&self) {
        let manifest = self.ca.state().join("answers/manifest");
        let begin = Instant::now();
        while !manifest.exists() {
            assert!(begin.elapsed() < Duration::from_secs(20), "no manifest");
            sleep(Duration::from_millis(50)).await;
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
    let manifest = format!("http://127.0.0.1:{}/answers/manifest", world.ca.ports().publication);
    let begin = Instant::now();
    while fetch(&manifest).await.expect("an answer").status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(20), "no manifest");
        sleep(Duration::from_millis(50)).await;
    }
    let mut checked = Command::new(binary());
    checked.args(["check", "--role", "responder", "--config"]).arg(world.path("responder.toml"));
    run(&mut checked, "").await.succeeded();
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
    responder.stop().await;
    world.ca.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_follows_the_folder_of_the_ca() {
    let mut world = World::following(Source::Folder).await;
    world.until_manifest().await;
    let responder = world.start().await;
    for _ in 0..3 {
        world.tells_in_time().await;
    }
    responder.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_follows_a_folder_to_which_another_copies() {
    let mut world = World::following(Source::Copy).await;
    world.until_manifest().await;
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
