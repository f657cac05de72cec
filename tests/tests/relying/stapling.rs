//! Servers that staple: each shows its clients what the responder answers, and nginx nothing that is not good.
//!
//! Two clients look at what is stapled: openssl, which prints it, and GnuTLS, which goes by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingam_tests::apache::{self, Apache};
use ingam_tests::command::run;
use ingam_tests::judge::ocsptool_verifies;
use ingam_tests::ocsp::{self, Hash};
use ingam_tests::ports;
use ingam_tests::proxy::Proxy;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::world::{Leaf, World, text, until};

const OPENSSL: &str = "Install openssl, on Debian with `apt-get install openssl`";
const GNUTLS: &str = "Install GnuTLS's programs, on Debian with `apt-get install gnutls-bin`";

/// Certificates, each with the port on which a server shows it.
type Shown<'a> = Vec<(&'a Leaf, u16)>;

fn shown(leaves: &[Leaf]) -> Shown<'_> {
    leaves.iter().map(|leaf| (leaf, ports::free())).collect()
}

/// What is stapled on this port, by openssl: its status in a word; `None` if nothing is.
pub(crate) async fn stapled(world: &World, leaf: &Leaf, port: u16) -> Option<String> {
    let mut command = Command::new("openssl");
    let words = ["-status", "-verify_return_error", "-CAfile", text(&world.root), "-servername", &leaf.name];
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]).args(words);
    let finished = run(&mut command, OPENSSL).await.succeeded();
    let text = finished.text();
    if text.contains("OCSP response: no response sent") {
        return None;
    }
    assert!(text.contains("OCSP Response Status: successful"), "{finished}");
    let status = text.lines().find_map(|line| line.trim().strip_prefix("Cert Status: "));
    Some(status.unwrap_or_else(|| panic!("a status: {finished}")).to_owned())
}

/// GnuTLS goes by what is stapled: it trusts a certificate that is good, and no other.
async fn gnutls_goes_by_it(world: &World, leaf: &Leaf, port: u16) {
    let saved = world.folder.join(format!("stapled-{port}"));
    let mut command = Command::new("gnutls-cli");
    command.args(["--x509cafile", text(&world.root), "--verify-hostname", &leaf.name]);
    command.args(["--sni-hostname", &leaf.name, "--save-ocsp", text(&saved)]);
    command.args(["--port", &port.to_string(), "127.0.0.1"]);
    let finished = run(&mut command, GNUTLS).await;
    assert_eq!(finished.status.success(), !leaf.is_revoked, "{finished}");
    let words = if leaf.is_revoked { "revoked via OCSP" } else { "The certificate is trusted." };
    assert!(finished.said().contains(words), "{finished}");
    ocsptool_verifies(&saved, &leaf.files.issuer, leaf.has_delegate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_staple_what_they_are_told() {
    let mut world = World::start().await;
    let leaves = world.leaves().await;
    tokio::join!(nginx(&world, &leaves), apache(&world, &leaves), haproxy(&world, &leaves));
    world.server.stop().await;
}

/// nginx asks by GET over HTTP/1.0, after a first handshake, and staples what is good alone.
async fn nginx(world: &World, leaves: &[Leaf]) {
    let (home, shown) = (world.server.scratch("nginx"), shown(leaves));
    let mut config = format!(
        "ssl_stapling on;\nssl_stapling_verify on;\nssl_trusted_certificate {};\n",
        text(&world.root)
    );
    for (leaf, port) in &shown {
        config += &format!(
            "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {}; ssl_certificate_key {}; }}\n",
            text(&leaf.certificates),
            text(&leaf.key)
        );
    }
    let _nginx = Proxy::nginx_with(&home, shown[0].1, &config).await;
    for (leaf, port) in shown {
        if leaf.is_revoked {
            let refused = "certificate status \"revoked\" in the OCSP response";
            let of_this = format!("certificate: \"{}\"", text(&leaf.certificates));
            until("nginx is told that it is revoked", async || {
                assert_eq!(stapled(world, leaf, port).await, None);
                let log = fs::read_to_string(home.join("nginx.log")).expect("its log");
                log.lines().any(|line| line.contains(refused) && line.contains(&of_this)).then_some(())
            })
            .await;
            assert_eq!(stapled(world, leaf, port).await, None);
        } else {
            let status = until("nginx staples", async || stapled(world, leaf, port).await).await;
            assert_eq!(status, "good");
            gnutls_goes_by_it(world, leaf, port).await;
        }
    }
}

/// Apache asks by POST during a handshake, and staples whatever it is told.
async fn apache(world: &World, leaves: &[Leaf]) {
    let (home, shown) = (TempDir::new().expect("a temporary folder"), shown(leaves));
    // Its workers are another user where root starts it.
    let of_all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(home.path(), of_all).expect("a folder of one's own");
    let mut config = apache::head(home.path(), &["mpm_event", "authz_core", "socache_shmcb", "ssl"]);
    let cache = home.path().join("stapling");
    config += &format!("SSLUseStapling on\nSSLStaplingCache shmcb:{}(512000)\n", text(&cache));
    for (leaf, port) in &shown {
        config += &format!(
            "Listen 127.0.0.1:{port}\n<VirtualHost 127.0.0.1:{port}>\nServerName {}\nSSLEngine on\n\
             SSLCertificateFile {}\nSSLCertificateKeyFile {}\n</VirtualHost>\n",
            leaf.name,
            text(&leaf.certificates),
            text(&leaf.key)
        );
    }
    let file = home.path().join("apache.conf");
    fs::write(&file, config).expect("a writable folder");
    let running = Apache::start(&file);
    let last = shown[shown.len() - 1].1;
    until("Apache listens", async || tokio::net::TcpStream::connect(("127.0.0.1", last)).await.ok()).await;
    for (leaf, port) in shown {
        let status = if leaf.is_revoked { "revoked" } else { "good" };
        assert_eq!(stapled(world, leaf, port).await.as_deref(), Some(status));
        gnutls_goes_by_it(world, leaf, port).await;
    }
    running.stop().await;
}

/// Debian's HAProxy does not ask by itself: whoever runs it asks, and hands it the answer.
async fn haproxy(world: &World, leaves: &[Leaf]) {
    let (home, shown) = (world.server.scratch("haproxy"), shown(leaves));
    let socket = home.join("socket");
    let mut config = format!("global\n stats socket {} level admin\n", text(&socket));
    for (leaf, port) in &shown {
        let bundle = text(&leaf.bundle);
        config += &format!("frontend {}\n mode http\n bind 127.0.0.1:{port} ssl crt {bundle}\n", leaf.name);
        // Without such a file it takes no answer later; this one has none in it.
        fs::write(format!("{bundle}.ocsp"), "").expect("a writable folder");
    }
    let _haproxy = Proxy::haproxy_with(&home, shown[0].1, &config).await;
    for (leaf, port) in shown {
        assert_eq!(stapled(world, leaf, port).await, None, "nobody has told it anything yet");
        let url = leaf.chain.ocsp_url();
        let request = ocsp::request_for(&leaf.chain, Hash::Sha1);
        let answer =
            ocsp::get(&mut ocsp::connect(&url), &url, &request).await.expect("an answer").expect(200);
        let said = told(&socket, &format!("set ssl ocsp-response {}", STANDARD.encode(&answer.body))).await;
        assert!(said.contains("OCSP Response updated!"), "{said}");
        let status = if leaf.is_revoked { "revoked" } else { "good" };
        assert_eq!(stapled(world, leaf, port).await.as_deref(), Some(status));
        gnutls_goes_by_it(world, leaf, port).await;
    }
}

/// What HAProxy says to a line.
async fn told(socket: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.expect("HAProxy has its socket");
    stream.write_all(format!("{line}\n").as_bytes()).await.expect("it reads");
    let mut said = String::new();
    stream.read_to_string(&mut said).await.expect("it says something");
    said
}
