//! `ingam check`: all mistakes at once, and nothing touched, not even of a CA that runs.
//!
//! Not a failure: a warning about how full this machine's disk is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ingam_tests::command::{Finished, run};
use ingam_tests::ports;
use ingam_tests::server::binary;
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

const BUILD_FIRST: &str = "Run `cargo build --workspace` first";
/// How long a start, an end or a halt may take.
const SOON: Duration = Duration::from_secs(30);

/// A folder with the configuration of a CA for staging, its certificate and an empty state folder.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: TempDir::new().expect("a temporary folder") };
        let state = home.path("state");
        fs::create_dir(&state).expect("a writable folder");
        set_mode(&state, 0o700);
        let key = KeyPair::generate().expect("rcgen makes P-256 keys");
        let params = CertificateParams::new(vec!["acme.ca.example".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(home.path("tls.pem"), certificate.pem()).expect("a writable folder");
        fs::write(home.path("tls.key"), key.serialize_pem()).expect("a writable folder");
        set_mode(&home.path("tls.key"), 0o600);
        home.write(&home.good());
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A configuration with which nothing is wrong.
    fn good(&self) -> String {
        let (acme, publication, metrics) = (ports::free(), ports::free(), ports::free());
        format!(
            r#"environment = "staging"
state = "{folder}/state"

[listen]
acme = ["127.0.0.1:{acme}"]
publication = ["127.0.0.1:{publication}"]
metrics = ["127.0.0.1:{metrics}"]

[urls]
public_url = "https://acme.ca.example:{acme}"
publication = "http://pki.ca.example:{publication}"

[tls]
certificate = "{folder}/tls.pem"
key = "{folder}/tls.key"

[operator]
administrators = ["uid:0"]

[limits]
idle_timeout_s = 60

[hierarchy]
country = "KR"
organization = "Example CA"

[hierarchy.issuers]
ecdsa = "ecdsa-p256"

[profiles.classic]
description = "90 days"
issuer = "ecdsa"
validity_s = 7776000
public = false

[validation]
resolvers = ["127.0.0.1:53"]
caa_issuer_domains = ["ca.example"]

[responder]
ocsp_validity_s = 604799
"#,
            folder = self.folder.path().display(),
        )
    }

    fn write(&self, config: &str) {
        fs::write(self.path("ingam.toml"), config).expect("a writable folder");
    }

    /// Puts each of these texts, which the configuration has once, in place of another.
    fn change(&self, changes: &[(&str, &str)]) {
        let text = fs::read_to_string(self.path("ingam.toml")).expect("the configuration");
        let changed = changes.iter().fold(text, |text, (old, new)| {
            assert_eq!(text.matches(old).count(), 1, "{old} is there once");
            text.replacen(old, new, 1)
        });
        self.write(&changed);
    }

    fn command(&self, command: &str) -> Command {
        let mut program = Command::new(binary());
        program.arg(command).arg("--config").arg(self.path("ingam.toml"));
        program.env_remove("RUST_LOG").env_remove("CLICOLOR_FORCE").current_dir(self.folder.path());
        program.kill_on_drop(true);
        program
    }

    /// Looks, with these arguments, and asserts that nothing changed and with which code it ended.
    #[track_caller]
    fn check(&self, arguments: &[&str], code: i32) -> impl Future<Output = Finished> {
        let mut command = self.command("check");
        command.args(arguments);
        let folder = self.folder.path().to_owned();
        async move {
            let before = listing(&folder);
            let finished = run(&mut command, BUILD_FIRST).await;
            assert_eq!(listing(&folder), before, "nothing is made, written or removed: {finished}");
            assert_eq!(finished.status.code(), Some(code), "{finished}");
            finished
        }
    }

    async fn init(&self) {
        run(&mut self.command("init"), BUILD_FIRST).await.succeeded();
    }

    /// Starts the CA and waits until it says `ready`.
    async fn serve(&self) -> Child {
        let mut command = self.command("serve");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary can be started");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
        let ready = timeout(SOON, async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "ready" {
                    return true;
                }
            }
            false
        });
        assert!(ready.await.expect("it starts in time"), "it starts");
        child
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("one's own file");
}

/// Everything below a folder, with what would betray a change: inode, mode, size, and the times of contents and inode.
fn listing(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        let seen = path.symlink_metadata().expect("it is there");
        let times = (seen.mtime(), seen.mtime_nsec(), seen.ctime(), seen.ctime_nsec());
        all.push(format!("{} {} {:o} {} {times:?}", path.display(), seen.ino(), seen.mode(), seen.len()));
        if seen.is_dir() {
            let entries = fs::read_dir(&path).expect("a readable folder");
            waiting.extend(entries.map(|entry| entry.expect("a readable folder").path()));
        }
    }
    all.sort();
    all
}

/// The keys of the errors in what `--json` printed, whose counts are right, and all findings but those about the disk.
fn report(finished: &Finished) -> (Vec<String>, Vec<Value>) {
    let report: Value = serde_json::from_slice(&finished.stdout).expect("standard output is one JSON value");
    let findings = report["findings"].as_array().expect("a list").clone();
    let of_level = |level: &str| findings.iter().filter(|finding| finding["level"] == level).count();
    assert_eq!(report["errors"], of_level("error"), "{report}");
    assert_eq!(report["warnings"], of_level("warning"), "{report}");
    assert_eq!(report["notes"], of_level("note"), "{report}");
    for finding in &findings {
        assert!(finding["reason"].is_string() && finding["fix"].is_string(), "{finding}");
    }
    let errors = findings.iter().filter(|finding| finding["level"] == "error");
    let keys = errors.map(|finding| finding["key"].as_str().expect("a key").to_owned()).collect();
    let is_told =
        |finding: &&Value| !finding["reason"].as_str().is_some_and(|reason| reason.contains("MiB left"));
    (keys, findings.iter().filter(is_told).cloned().collect())
}

#[tokio::test]
async fn ten_mistakes_are_ten_findings() {
    let home = Home::new();
    home.change(&[
        ("environment = \"staging\"\n", "environment = \"staging\"\ncolour = \"red\"\n"),
        ("metrics = [\"", "metrics = [\"nowhere\", \""),
        ("publication = \"http://pki", "publication = \"ftp://pki"),
        ("tls.pem\"", "missing.pem\""),
        ("idle_timeout_s = 60", "idle_timeout_s = 0"),
        ("country = \"KR\"", "country = \"Korea\""),
        ("ecdsa = \"ecdsa-p256\"", "ecdsa = \"ecdsa-p512\""),
        ("validity_s = 7776000", "validity = 7776000"),
        ("resolvers = [\"127.0.0.1:53\"]", "resolvers = []"),
        ("ocsp_validity_s = 604799", "ocsp_validity_s = true"),
    ]);
    let (keys, findings) = report(&home.check(&["--json"], 1).await);
    let expected = [
        "colour",
        "listen.metrics",
        "urls.publication",
        "tls.certificate",
        "limits.idle_timeout_s",
        "hierarchy.country",
        "hierarchy.issuers.ecdsa",
        "profiles.classic.validity",
        "validation.resolvers",
        "responder.ocsp_validity_s",
    ];
    assert_eq!(keys, expected);
    // Ten, and the warning that there is no hierarchy yet.
    assert_eq!(findings.len(), 11, "{findings:?}");

    let told = home.check(&[], 1).await;
    let text = told.text();
    for key in expected {
        assert!(text.lines().any(|line| line.trim().starts_with(&format!("{key} (line "))), "{key}: {told}");
    }
    assert!(text.trim_end().lines().last().is_some_and(|line| line.starts_with("10 errors, ")), "{told}");
    assert!(!text.contains('\u{1b}'), "no colours where no terminal is: {told}");

    // A start tells the same, but for what lies around the configuration, a line each.
    for command in ["serve", "init"] {
        let refused = run(&mut home.command(command), BUILD_FIRST).await;
        assert_eq!(refused.status.code(), Some(2), "{refused}");
        let begun = format!("ingam: the configuration {}: ", home.path("ingam.toml").display());
        let lines: Vec<&str> = refused.stderr.lines().filter(|line| line.starts_with("ingam: ")).collect();
        let rest = expected.iter().filter(|key| **key != "tls.certificate");
        assert!(lines.len() == 9 && lines.iter().all(|line| line.starts_with(&begun)), "{refused}");
        assert!(rest.zip(&lines).all(|(key, line)| line.contains(&format!(" {key}: "))), "{refused}");
    }
}

/// Of a public profile: with the dates and sources of what is broken, and of what will be within a year.
#[tokio::test]
async fn rules_to_come_are_told_with_their_dates() {
    let home = Home::new();
    home.change(&[("public = false", "public = true"), ("validity_s = 7776000", "validity_s = 17280000")]);
    let (errors, findings) = report(&home.check(&["--json", "--at", "2026-12-15"], 0).await);
    assert!(errors.is_empty(), "{findings:?}");
    let reason = |key: &str| {
        let found = findings.iter().find(|finding| finding["key"] == key).expect("it is told");
        assert_eq!(found["level"], "warning");
        found["reason"].as_str().expect("a sentence").to_owned()
    };
    let validity = reason("profiles.classic.validity_s");
    assert!(validity.contains("at most 100 days from 2027-03-15 on (BR 6.3.2)"), "{validity}");
    let remotes = reason("validation.remotes");
    assert!(remotes.contains("at least 5 since 2026-12-15 (BR 3.2.2.9)"), "{remotes}");
    assert!(remotes.contains("a single perspective looks"), "{remotes}");
    let (_, findings) = report(&home.check(&["--json", "--at", "2026-03-20"], 0).await);
    let validity = findings.iter().find(|finding| finding["key"] == "profiles.classic.validity_s");
    let validity = validity.and_then(|finding| finding["reason"].as_str()).expect("it will be broken");
    assert!(validity.contains("at most 100 days from 2027-03-15 on"), "{validity}");

    // Development is silent, unless it asks by a date.
    home.change(&[("environment = \"staging\"", "environment = \"development\"")]);
    let is_public =
        |findings: &[Value]| findings.iter().any(|finding| finding["key"] == "validation.remotes");
    assert!(!is_public(&report(&home.check(&["--json"], 0).await).1));
    assert!(is_public(&report(&home.check(&["--json", "--at", "2026-12-15"], 0).await).1));
}

#[tokio::test]
async fn exit_codes_are_as_documented() {
    let home = Home::new();
    // There is no hierarchy yet, which is a warning.
    let (errors, findings) = report(&home.check(&["--json"], 0).await);
    assert!(errors.is_empty() && findings.len() == 1, "{findings:?}");
    assert_eq!(findings[0]["key"], "state");
    home.check(&["--deny-warnings"], 1).await;
    home.check(&["--at", "yesterday"], 2).await;
    home.check(&["--colour"], 2).await;
    // The day after the certificate's last.
    let (errors, _) = report(&home.check(&["--json", "--at", "4096-01-02"], 1).await);
    assert_eq!(errors, ["tls.certificate"]);

    home.write("this is no TOML\n");
    let (errors, findings) = report(&home.check(&["--json"], 1).await);
    assert_eq!((errors.as_slice(), findings.len()), ([String::new()].as_slice(), 1), "{findings:?}");
    assert_eq!(findings[0]["line"], 1);
    fs::remove_file(home.path("ingam.toml")).expect("a writable folder");
    let unreadable = home.check(&["--json"], 2).await;
    assert!(unreadable.stdout.is_empty() && unreadable.stderr.contains("ingam.toml"), "{unreadable}");

    let help = run(Command::new(binary()).args(["check", "--help"]), BUILD_FIRST).await.succeeded();
    assert!(help.text().contains("Exit codes:"), "{help}");
}

#[tokio::test]
async fn a_part_of_a_file_is_checked_as_dev_would_read_it() {
    let home = Home::new();
    home.write("[limits]\nidle_timeout_s = 61\n");
    home.check(&["--dev"], 0).await;
    let (errors, _) = report(&home.check(&["--json"], 1).await);
    assert!(errors.contains(&"urls.public_url".to_owned()), "{errors:?}");
    home.write("[limits]\nidle_timeout = 61\n");
    let (errors, _) = report(&home.check(&["--dev", "--json"], 1).await);
    assert_eq!(errors, ["limits.idle_timeout"]);
}

#[tokio::test]
async fn colours_come_when_they_are_wanted() {
    let home = Home::new();
    let mut command = home.command("check");
    let wanted = run(command.env("CLICOLOR_FORCE", "1"), BUILD_FIRST).await.succeeded();
    assert!(wanted.text().contains("\u{1b}[1m"), "{wanted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_runs_is_left_alone() {
    let home = Home::new();
    home.init().await;
    let (errors, findings) = report(&home.check(&["--json"], 0).await);
    assert!(errors.is_empty() && findings.is_empty(), "{findings:?}");

    let mut child = home.serve().await;
    let pid = child.id().expect("it runs");
    let process = Pid::from_raw(i32::try_from(pid).expect("a process id")).expect("a process id is not zero");
    // Halted, so that what changes is not its own doing.
    kill_process(process, Signal::STOP).expect("it runs");
    timeout(SOON, halted(pid)).await.expect("it halts in time");
    let (errors, findings) = report(&home.check(&["--json"], 0).await);
    assert!(errors.is_empty() && findings.is_empty(), "{findings:?}");
    kill_process(process, Signal::CONT).expect("it runs");

    kill_process(process, Signal::INT).expect("it runs");
    let status =
        timeout(SOON, child.wait()).await.expect("it ends in time").expect("a child can be waited for");
    assert!(status.success(), "it ended as if nothing had been: {status}");
    home.check(&["--json"], 0).await;

    // What would make it a second life is found without living it.
    fs::remove_file(home.path("state/hierarchy.json")).expect("a writable folder");
    let (errors, findings) = report(&home.check(&["--json"], 1).await);
    assert_eq!(errors, ["state"], "{findings:?}");
    assert!(findings[0]["reason"].as_str().is_some_and(|reason| reason.contains("hierarchy.json")));
}

/// Comes back once every thread of the process has stopped.
async fn halted(pid: u32) {
    let is_running = |task: std::io::Result<fs::DirEntry>| {
        let stat = fs::read_to_string(task.expect("a task").path().join("stat")).unwrap_or_default();
        // The state comes after the name, which is in brackets (proc_pid_stat(5)).
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('T'))
    };
    while fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").any(is_running) {
        sleep(Duration::from_millis(10)).await;
    }
}
