//! OpenSSL judges a certificate with our SCTs in it: it takes the SCTs out by itself, makes what they are about, and verifies
//! their signatures under the keys that our logs give it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ingam_protocol::Timestamp;
use ingam_protocol::pem;
use ingam_protocol::transparency::{Entry, Error, LogId, LogKey, Sct, leaf_index_extension};
use ingam_transparency::{Config, Submission, Transparency};

use crate::ca::{NOW, World};

/// 2024-01-01: no clock of a machine that runs this is before the SCTs.
const LONG_AGO: Timestamp = Timestamp::from_unix_s(1_704_067_200);

const LOGS: [(&str, &str); 3] = [("a", "Aaron"), ("b", "Berta"), ("c", "Aaron")];

/// A TLS server of OpenSSL's, ended when it is dropped.
struct Server(Child, String);

impl Server {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new("openssl")
            .current_dir(folder)
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert", "leaf.pem", "-key", "leaf.key"])
            .args(["-cert_chain", "issuer.pem"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let accepts = |line: String| line.strip_prefix("ACCEPT ").map(str::to_owned);
        let address = lines.by_ref().take(10).find_map(|line| accepts(line.unwrap())).unwrap();
        Self(child, address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `openssl s_client -ct` says of a server with this certificate.
fn judged(world: &World, certificate: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("leaf.pem", pem::certificate(certificate));
    write("leaf.key", world.ca.leaf_key.serialize_pem());
    write("issuer.pem", pem::certificate(&world.ca.issuer));
    write("root.pem", pem::certificate(&world.ca.root));
    write("logs.cnf", world.logs.openssl_list());
    let server = Server::start(folder.path());
    let mut client = Command::new("openssl")
        .current_dir(folder.path())
        .env("CTLOG_FILE", folder.path().join("logs.cnf"))
        .args(["s_client", "-ct", "-CAfile", "root.pem", "-verify_return_error", "-connect", &server.1])
        .args(["-attime", &NOW.plus(std::time::Duration::from_secs(86_400)).unix_s().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(b"Q\n").unwrap();
    let output = client.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn count(said: &str, words: &str) -> usize {
    said.matches(words).count()
}

#[tokio::test]
async fn openssl_finds_all_scts_valid() {
    let world = World::at(LONG_AGO, Config::default(), &LOGS);
    // 90 days for two of them, 200 for three, of which one has an extension.
    for (days, scts) in [(90, 2), (200, 3)] {
        let precertificate = world.ca.precertificate("localhost", days);
        let submission = Submission::new(precertificate.clone(), world.ca.chain()).unwrap();
        let list = world.service.scts(&submission).await.unwrap();
        let said = judged(&world, &world.ca.finished(&precertificate, &list));
        assert!(count(&said, "Verify return code: 0 (ok)") >= 1, "{said}");
        assert_eq!(count(&said, "SCT validation status: valid"), scts, "{said}");
    }
}

#[tokio::test]
async fn openssl_finds_lies_as_the_client_does() {
    let world = World::at(LONG_AGO, Config::default(), &LOGS);
    let precertificate = world.ca.precertificate("localhost", 90);
    let submission = Submission::new(precertificate.clone(), world.ca.chain()).unwrap();
    let mut scts = world.service.scts(&submission).await.unwrap().scts().to_vec();
    *scts[0].signature.last_mut().unwrap() ^= 1;
    let list = ingam_protocol::transparency::SctList::new(scts).unwrap();
    let said = judged(&world, &world.ca.finished(&precertificate, &list));
    assert_eq!(count(&said, "SCT validation status: valid"), 1, "{said}");
    assert_eq!(count(&said, "SCT validation status: invalid"), 1, "{said}");
}

/// Runs a command of OpenSSL's in a folder.
fn openssl(folder: &Path, arguments: &[&str]) {
    let done = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn signatures_of_logs_with_other_keys_are_verified() {
    let entry = Entry::Precertificate { issuer_key_hash: [9; 32], tbs: vec![0x30, 0] };
    let rsa = |bits: &'static str| vec!["genpkey", "-algorithm", "RSA", "-pkeyopt", bits, "-out", "key.pem"];
    let curve = vec!["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key.pem"];
    for (making, algorithm, is_log_key) in [
        (rsa("rsa_keygen_bits:2048"), [4, 1], true),
        (curve, [4, 3], true),
        (rsa("rsa_keygen_bits:1024"), [4, 1], false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        openssl(place, &making);
        openssl(place, &["pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "key.der"]);
        let key = LogKey::from_spki(&std::fs::read(place.join("key.der")).unwrap());
        if !is_log_key {
            assert_eq!(key, Err(Error::Key));
            continue;
        }
        let key = key.unwrap();
        let unsigned = Sct {
            log: key.id(),
            timestamp: NOW,
            extensions: leaf_index_extension(3),
            algorithm,
            signature: Vec::new(),
        };
        std::fs::write(place.join("signed"), entry.signed(&unsigned).unwrap()).unwrap();
        openssl(place, &["dgst", "-sha256", "-sign", "key.pem", "-out", "signature", "signed"]);
        let sct = Sct { signature: std::fs::read(place.join("signature")).unwrap(), ..unsigned };
        assert_eq!(key.verify(&sct, &entry), Ok(()));
        let another = Entry::Precertificate { issuer_key_hash: [8; 32], tbs: vec![0x30, 0] };
        assert_eq!(key.verify(&sct, &another), Err(Error::Signature));
        assert_eq!(key.verify(&Sct { log: LogId([0; 32]), ..sct }, &entry), Err(Error::OtherLog));
    }
}
