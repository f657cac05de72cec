//! The machine is lost, or its store is, and the CA goes on: from a backup that was made while it ran, and from its journal.
//!
//! Not a failure: orders in hand are given up, and what was signed behind the last backup is not known.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::{Finished, run};
use ingam_tests::http::fetch;
use ingam_tests::jws::Key;
use ingam_tests::server::{Server, Setup, binary};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;

/// An address that lies nowhere in the clear.
const PLANTED: &str = "planted-somebody@people.example.net";

async fn ingam(arguments: &[&str]) -> Finished {
    run(Command::new(binary()).args(arguments), "").await
}

/// A key that opens backups, and the section of the configuration with its other half.
async fn backup_key(folder: &Path) -> (PathBuf, String) {
    let identity = folder.join("identity.txt");
    let made = ingam(&["admin", "backup-key", text(&identity)]).await.succeeded();
    (identity, made.text())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

async fn backup(server: &Server, to: &Path) -> Value {
    backup_with(server, to, &[]).await
}

async fn backup_with(server: &Server, to: &Path, further: &[&str]) -> Value {
    let state = server.state();
    let arguments =
        ["admin", "--dir", text(&state), "--json", "backup", "--to", text(to), "--reason", "a drill"];
    let arguments = [&arguments, further].concat();
    serde_json::from_str(&ingam(&arguments).await.succeeded().text()).expect("JSON")
}

async fn restore(from: &Path, identity: &Path, dir: &Path, further: &[&str]) -> Finished {
    let own = ["admin", "restore", "--from", text(from), "--identity", text(identity), "--dir", text(dir)];
    ingam(&[&own, further].concat()).await
}

async fn issue(client: &mut Client, name: &str, prover: &Prover) -> Chain {
    let request = CertificateRequest::of(&[name]);
    client.issue(&[name], &request, prover).await.expect("a certificate").1
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("it lies there"));
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("a writable folder");
        std::fs::copy(file, target).expect("a writable folder");
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// The folder is gone, but for what has a backup of its own, and the CA's ports and configuration.
fn lose(server: &Server, keys: &Path) {
    let _ = std::fs::remove_dir_all(keys);
    copy(&server.state().join("contacts"), keys);
    std::fs::remove_dir_all(server.state()).expect("one may remove one's own folder");
}

async fn known_again(server: &Server, key: &[u8]) -> Client {
    let mut client = Client::new(&server.site(), Key::es256_from(key)).await.expect("a directory");
    client.find_account().await.expect("the same account");
    client
}

/// A web server that has one file, and its URL.
async fn gives_out(file: Vec<u8>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked).await;
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", file.len());
            let _ = stream.write_all(&[head.as_bytes(), &file].concat()).await;
        }
    });
    format!("http://127.0.0.1:{port}/last.crl")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_machine_comes_back_from_either_backup() {
    let folder = TempDir::new().expect("a temporary folder");
    let (identity, section) = backup_key(folder.path()).await;
    let mut server = Server::start_with(Setup { further_config: section, ..Setup::new() }).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let key = KeyPair::generate().expect("rcgen makes P-256 keys").serialize_der();
    let mut client = Client::new(&server.site(), Key::es256_from(&key)).await.expect("a directory");
    let account = json!({ "termsOfServiceAgreed": true, "contact": [format!("mailto:{PLANTED}")] });
    let account = client.new_account(account).await.expect("an answer").expect(201);
    client.set_account(Some(account.header("location").to_owned()));
    let early = issue(&mut client, "early.backup.example.org", &prover).await;
    let kept = issue(&mut client, "kept.backup.example.org", &prover).await;

    let backups = folder.path().join("backups");
    std::fs::create_dir(&backups).expect("a writable folder");
    let first = backup(&server, &backups).await;
    assert_eq!((&first["number"], first["left_out"].as_array()), (&json!(1), None), "{first}");
    // While certificates are issued, the second one is made.
    let (second, late) = tokio::join!(backup(&server, &backups), async {
        let late = issue(&mut client, "late.backup.example.org", &prover).await;
        client.revoke(early.leaf(), Some(4)).await.expect("an answer").expect(200);
        late
    });
    assert_eq!(second["number"], 2);
    let third = backup_with(&server, &backups, &["--keep-days", "1"]).await;
    assert_eq!(third["pruned"], json!({ "sets": 0, "objects": 0, "bytes": 0 }), "all are of today");
    assert!(
        third["known"].as_u64().expect("a number") >= 5,
        "what did not change is not written again: {third}"
    );
    let list = folder.path().join("last.crl");
    let given_out = fetch(&early.crl_url()).await.expect("a CRL").expect(200);
    std::fs::write(&list, &given_out.body).expect("a writable folder");
    let list_url = gives_out(given_out.body.to_vec()).await;

    // Nothing in it can be read, and what it must not have it has not.
    let secrets = [std::fs::read(server.state().join("contacts/contact.key")).expect("a key")];
    for file in files(&backups) {
        let bytes = std::fs::read(&file).expect("a readable file");
        for secret in [PLANTED.as_bytes(), b"backup.example.org", b"PRIVATE KEY"]
            .into_iter()
            .chain(secrets.iter().map(Vec::as_slice))
        {
            assert!(!holds(&bytes, secret), "{} holds {}", file.display(), String::from_utf8_lossy(secret));
        }
        let is_list = file.extension().is_some_and(|ending| ending == "json");
        for name in ["contacts", "request-log"].into_iter().filter(|_| is_list) {
            assert!(!holds(&bytes, name.as_bytes()), "{} lists {name}", file.display());
        }
    }

    let serials = |chains: &[&Chain]| chains.iter().map(|chain| chain.serial_hex()).collect::<BTreeSet<_>>();
    let mut known = serials(&[&early, &kept, &late]);
    let keys = folder.path().join("contacts-of-the-ca");
    for set in ["1", "3"] {
        server.kill().await;
        lose(&server, &keys);
        let missing = folder.path().join("missing.txt");
        let list = if set == "1" { list_url.as_str() } else { text(&list) };
        let options = ["--set", set, "--crl", list, "--missing", text(&missing), "--signed-by"];
        let signer = first["signed_by"].as_str().expect("a key");
        let told = restore(&backups, &identity, &server.state(), &[&options[..], &[signer]].concat())
            .await
            .succeeded();
        let lacking = std::fs::read_to_string(&missing).expect("a list");
        assert_eq!(
            lacking.to_lowercase().contains(&early.serial_hex().to_lowercase()),
            set == "1",
            "{told}{lacking}"
        );
        copy(&keys, &server.state().join("contacts"));
        server.restart().await;
        let openssl = server.openssl();
        let mut client = known_again(&server, &key).await;
        openssl.status(&kept).await.is_good();
        match set {
            "1" => {
                openssl.status(&early).await.is_good();
                openssl.status(&late).await.is_unauthorized();
                client.revoke(early.leaf(), Some(4)).await.expect("an answer").expect(200);
            }
            _ => openssl.status(&late).await.is_good(),
        }
        openssl.status(&early).await.is_revoked(Some("superseded"));
        assert!(openssl.crl(&early).await.contains(&early));
        let again = issue(&mut client, &format!("again{set}.backup.example.org"), &prover).await;
        assert!(known.insert(again.serial_hex()), "a serial number came twice");
        openssl.status(&again).await.is_good();
        // And it is on record.
        let dir = server.state();
        let log = [
            "admin",
            "--dir",
            text(&dir),
            "--json",
            "log",
            "search",
            "--type",
            "store_restored",
            "--reason",
            "a drill",
        ];
        let told = ingam(&log).await.succeeded().text();
        assert!(told.contains("store_restored"), "{told}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_changed_anywhere_is_not_restored() {
    let folder = TempDir::new().expect("a temporary folder");
    let (identity, section) = backup_key(folder.path()).await;
    let mut server = Server::start_with(Setup { further_config: section, ..Setup::new() }).await;
    let backups = folder.path().join("backups");
    std::fs::create_dir(&backups).expect("a writable folder");
    backup(&server, &backups).await;
    server.stop().await;
    restore(&backups, &identity, &folder.path().join("sound"), &[]).await.succeeded();
    for (number, file) in files(&backups).into_iter().enumerate() {
        let sound = std::fs::read(&file).expect("a readable file");
        let mut changed = sound.clone();
        changed[sound.len() / 2] ^= 1;
        std::fs::write(&file, changed).expect("a writable file");
        let dir = folder.path().join(format!("state-{number}"));
        let refused = restore(&backups, &identity, &dir, &[]).await;
        assert!(!refused.status.success(), "{} was changed: {refused}", file.display());
        assert!(!dir.join("hierarchy.json").exists() && !dir.join("store.redb").exists());
        std::fs::write(&file, sound).expect("a writable file");
    }
    // Somebody else's key, a folder that is not empty, a time before the first set.
    let (other, _) = backup_key(&server.scratch("other")).await;
    let dir = folder.path().join("refused");
    assert!(!restore(&backups, &other, &dir, &[]).await.status.success());
    assert!(!restore(&backups, &identity, &folder.path().join("sound"), &[]).await.status.success());
    assert!(!restore(&backups, &identity, &dir, &["--at", "2020-01-01T00:00:00Z"]).await.status.success());
    assert!(!restore(&backups, &identity, &dir, &["--signed-by", "00"]).await.status.success());
    // One in which a restore was broken off: nothing is done there, and each command says what to do.
    let sound = folder.path().join("sound");
    std::fs::create_dir(sound.join("restoring.new")).expect("a writable folder");
    let config = folder.path().join("ingam.toml");
    std::fs::write(&config, format!("state = {sound:?}\n")).expect("a writable folder");
    for refused in [
        restore(&backups, &identity, &sound, &[]).await,
        ingam(&["admin", "rebuild", "--config", text(&config)]).await,
        ingam(&["admin", "restore", "--compare", "--dir", text(&sound)]).await,
        ingam(&["dev", "--dir", text(&sound)]).await,
    ] {
        assert!(!refused.status.success(), "{refused}");
        assert!(refused.said().contains("delete everything in it, and restore again"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_store_is_made_anew_from_the_journal() {
    let mut server = Server::start().await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let key = KeyPair::generate().expect("rcgen makes P-256 keys").serialize_der();
    let mut client = Client::new(&server.site(), Key::es256_from(&key)).await.expect("a directory");
    client.register().await.expect("an account");
    let good = issue(&mut client, "good.rebuild.example.org", &prover).await;
    let revoked = issue(&mut client, "revoked.rebuild.example.org", &prover).await;
    client.revoke(revoked.leaf(), Some(4)).await.expect("an answer").expect(200);

    let config = server.home().join("rebuild.toml");
    std::fs::write(&config, format!("state = {:?}\n", server.state())).expect("a writable folder");
    let rebuild = ["admin", "rebuild", "--config", text(&config), "--reason", "a drill"];
    let busy = ingam(&rebuild).await;
    assert!(!busy.status.success() && busy.said().contains("in use"), "{busy}");
    server.stop().await;
    for name in ["store.redb", "store.redb.log"] {
        std::fs::remove_file(server.state().join(name)).expect("one may remove one's own file");
    }
    let told = ingam(&rebuild).await.succeeded();
    assert!(told.text().contains("2 certificates") && told.text().contains("did not open"), "{told}");
    server.restart().await;

    let openssl = server.openssl();
    openssl.status(&good).await.is_good();
    openssl.status(&revoked).await.is_revoked(Some("superseded"));
    assert!(openssl.crl(&revoked).await.contains(&revoked));
    let mut client = known_again(&server, &key).await;
    let renewed = issue(&mut client, "good.rebuild.example.org", &prover).await;
    openssl.status(&renewed).await.is_good();
    client.revoke(good.leaf(), Some(4)).await.expect("an answer").expect(200);
    openssl.status(&good).await.is_revoked(Some("superseded"));

    // With a store that opens, nothing is lost and the old one is kept.
    server.stop().await;
    let told = ingam(&rebuild).await.succeeded();
    assert!(told.text().contains("3 certificates") && !told.text().contains("did not open"), "{told}");
    assert!(server.state().join("store.before-rebuild-2/store.redb").is_file());
    server.restart().await;
    server.openssl().status(&good).await.is_revoked(Some("superseded"));
    server.openssl().status(&renewed).await.is_good();
    server.stop().await;
}
