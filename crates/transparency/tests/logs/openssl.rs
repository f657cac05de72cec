//! OpenSSL judges a certificate with our SCTs in it: it takes the SCTs out by itself, makes what they are about, and verifies
//! their signatures under the keys that our logs give it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ingam_protocol::Timestamp;
use ingam_protocol::pem;
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
