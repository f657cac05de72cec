//! Every command of operators against a running CA, as it is written in tests/transcripts, to the letter.
//!
//! Each transcript has a CA of its own, in which two accounts got certificates: the first for www.example.org and, revoked
//! since, mail.example.org; the second for shop.example.net, with an order for new.example.net that still waits. A change of
//! anything that a command prints, or of an exit code, fails; `INGAM_TRANSCRIPTS=write` writes all anew, for the difference
//! to be looked at. Not a failure: times, ages, ids and keys, which differ each time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::run;
use ingam_tests::operator::ClientCa;
use ingam_tests::server::{Server, Setup, binary};
use ingam_tests::transcript::{Stage, play};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::process::Command;

/// What no machine lacks, so that the disk of the test's own is no part of the picture.
const NO_DISK_WARNING: &str =
    "[health]\ndisk_warning_mib = 0\ndisk_warning_percent = 0\ndisk_failing_mib = 0\n";
/// What every machine lacks.
const FULL_DISK: &str = "[health]\ndisk_warning_mib = 1099511627776\ndisk_failing_mib = 1099511627776\n";

/// Rate limits that nobody meets.
const LIMITS: &str = "[rate_limits]
new_orders_per_account = { count = 300, period_s = 10800 }
new_accounts_per_address = { count = 10, period_s = 10800 }
certificates_per_registered_domain = { count = 50, period_s = 604800 }
failed_validations_per_account_and_name = { count = 5, period_s = 3600 }
";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts")
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts() {
    played("accounts.md", NO_DISK_WARNING, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates() {
    played("certificates.md", NO_DISK_WARNING, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external() {
    played("external.md", NO_DISK_WARNING, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation() {
    played("revocation.md", NO_DISK_WARNING, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules() {
    played("rules.md", NO_DISK_WARNING, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits() {
    played("limits.md", &format!("{NO_DISK_WARNING}{LIMITS}"), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validation() {
    played("validation.md", NO_DISK_WARNING, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests() {
    played("requests.md", &format!("{NO_DISK_WARNING}[request_log]\nmode = \"full\"\n"), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people() {
    played(
        "people.md",
        NO_DISK_WARNING,
        "two_people = [\"mass_revocation\", \"role_change\", \"key_unblock\"]\n",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subjects() {
    played("subjects.md", NO_DISK_WARNING, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeping() {
    played("keeping.md", NO_DISK_WARNING, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn process() {
    played("process.md", NO_DISK_WARNING, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unready() {
    played("unready.md", FULL_DISK, "").await;
}

/// Plays one transcript in a CA of its own.
async fn played(name: &str, health: &str, operator: &str) {
    let home = TempDir::new().expect("a temporary folder");
    let ca = ClientCa::new(home.path(), "operators-ca");
    let ann = ca.person("ann");
    // Lists are in the order of principals, so that is the same each time.
    let bob = loop {
        let bob = ca.person("bob");
        if bob.principal > ann.principal {
            break bob;
        }
    };
    let further_config = format!(
        "{health}\n[operator]\nclient_ca = \"{}\"\nadministrators = [\"{}\"]\n{operator}",
        ca.path.display(),
        ann.principal
    );
    let setup = Setup { has_admin_port: true, further_config, ..Setup::new() };
    let server = Server::start_in(home, setup).await;
    prepare(&server).await;
    let odd = odd_socket(&server.home().join("odd.sock"));

    let ports = server.ports().clone();
    let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let path = std::env::var("PATH").expect("there is a PATH");
    let programs = text(binary().parent().expect("the binary is in a folder"));
    let stage = Stage {
        folder: server.home().to_owned(),
        variables: vec![
            ("PATH".to_owned(), format!("{programs}:{path}")),
            ("INGAM_ADMIN_SOCKET".to_owned(), text(&server.state().join("admin.sock"))),
            ("ADMIN".to_owned(), format!("https://localhost:{}", ports.admin)),
            ("HTTPS_CA".to_owned(), text(&server.site().tls_ca)),
            ("COLUMNS".to_owned(), "100".to_owned()),
        ],
        known: vec![
            (text(server.home()), "{HOME}".to_owned()),
            (format!("localhost:{}", ports.acme), "{ACME}".to_owned()),
            (format!("localhost:{}", ports.admin), "{ADMIN}".to_owned()),
            (format!("127.0.0.1:{}", ports.http), "{WEB}".to_owned()),
            (format!(":{}/", ports.http), ":{HTTP}/".to_owned()),
            (format!("port {};", ports.http), "port {HTTP};".to_owned()),
            (format!("uid:{}", rustix::process::getuid().as_raw()), "{ME}".to_owned()),
            (ann.principal, "{ANN}".to_owned()),
            (bob.principal, "{BOB}".to_owned()),
        ],
    };
    play(&folder().join(name), &stage).await;
    odd.abort();
}

/// What every transcript finds.
async fn prepare(server: &Server) {
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut first = Client::registered(&server.site()).await.expect("an account");
    let mut chains = Vec::new();
    for name in ["www.example.org", "mail.example.org"] {
        let request = CertificateRequest::of(&[name]);
        chains.push(first.issue(&[name], &request, &prover).await.expect("a certificate").1);
    }
    first.revoke(chains[1].leaf(), Some(1)).await.expect("an answer").expect(200);
    let mut second = Client::registered(&server.site()).await.expect("an account");
    let contacts = json!({"contact": ["mailto:ann@example.net"]});
    second.post(&second.account(), &contacts).await.expect("an answer").expect(200);
    let request = CertificateRequest::of(&["shop.example.net"]);
    second.issue(&["shop.example.net"], &request, &prover).await.expect("a certificate");
    second.order(&["new.example.net"]).await.expect("an order");

    let folder = server.home();
    std::fs::write(folder.join("www.pem"), chains[0].pem()).expect("a writable folder");
    let serials = format!("# leaked\n{}\n", chains[0].serial_hex());
    std::fs::write(folder.join("serials.txt"), serials).expect("a writable folder");
    let hashes = format!("# found\n{} # once\n{}\n", "0A".repeat(32), "b7".repeat(32));
    std::fs::write(folder.join("hashes.txt"), hashes).expect("a writable folder");
}

/// A socket where somebody answers what no admin API does.
fn odd_socket(path: &Path) -> tokio::task::JoinHandle<()> {
    let listener = UnixListener::bind(path).expect("a writable folder");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            // Whoever asks may be gone already.
            drop(stream.read(&mut request).await);
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await);
        }
    })
}

/// Every command of `ingam admin`, and the exit codes that its help tells, are in some transcript.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_out() {
    let files = std::fs::read_dir(folder()).expect("the transcripts are there");
    let text: String = files
        .map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("a readable file"))
        .collect();
    let lines: Vec<&str> = text.lines().collect();
    let mut missing = BTreeSet::new();
    for words in leaves(&["admin"]).await {
        // Options may come between the words of a command.
        let is_played = lines.iter().filter_map(|line| line.strip_prefix("$ ")).any(|line| {
            let mut rest = line.split_whitespace();
            words.iter().all(|word| rest.any(|played| played == word))
        });
        if !is_played {
            missing.insert(words.join(" "));
        }
    }
    for command in ["ingam status", "ingam check", "ingam completions", "ingam man"] {
        if !lines.iter().any(|line| line.starts_with(&format!("$ {command}"))) {
            missing.insert(command.to_owned());
        }
    }
    let help = help(&["admin"]).await;
    let (_, codes) = help.split_once("Exit codes:\n").expect("the help has the exit codes");
    let codes = codes.lines().map_while(|line| line.split_whitespace().next()?.parse::<u8>().ok());
    let codes: Vec<u8> = codes.collect();
    assert!(codes.len() >= 10, "{codes:?}");
    for code in codes.into_iter().filter(|code| *code != 0) {
        if !lines.contains(&format!("? {code}").as_str()) {
            missing.insert(format!("exit code {code}"));
        }
    }
    assert!(missing.is_empty(), "no transcript has these: {missing:?}");
}

async fn help(words: &[&str]) -> String {
    run(Command::new(binary()).args(words).arg("--help"), "").await.succeeded().text()
}

/// All commands below this one that have none below them.
async fn leaves(words: &[&str]) -> Vec<Vec<String>> {
    let (mut open, mut found) =
        (vec![words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()], Vec::new());
    while let Some(words) = open.pop() {
        let text = help(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let Some((_, below)) = text.split_once("Commands:\n") else {
            found.push(words);
            continue;
        };
        let names = below.lines().take_while(|line| line.starts_with("  ")).filter_map(|line| {
            // A line that goes on with the words of the one above has more space before it.
            line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split_whitespace().next()
        });
        for name in names.filter(|name| *name != "help") {
            open.push(words.iter().cloned().chain([name.to_owned()]).collect());
        }
    }
    assert!(found.len() > 30, "the help has the commands: {found:?}");
    found
}
