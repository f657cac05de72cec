//! Debian's Pebble, the test CA of Let's Encrypt, started the same way: for comparison, and to try our client on.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::ports;
use crate::site::Site;

const INSTALL: &str = "Install pebble, on Debian with `apt-get install pebble`";
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running Pebble with its test DNS. Both are killed when this is dropped.
pub struct Pebble {
    site: Site,
    pebble: Child,
    _dns: Child,
    _home: TempDir,
}

impl Pebble {
    /// Starts both with free ports, validating truly, without nonce refusals, sleeps or reused authorizations.
    pub async fn start() -> Self {
        let home = TempDir::new().expect("a temporary folder");
        let site = Site {
            directory: format!("https://localhost:{}/dir", ports::free()),
            tls_ca: home.path().join("tls-ca.pem"),
            http_port: ports::free(),
            tls_alpn_port: ports::free(),
            dns_port: ports::free(),
            dns_management_port: ports::free(),
        };
        write_tls(home.path());
        let port = crate::http::Place::of(&site.directory).port;
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{}", ports::free()),
            "certificate": home.path().join("tls.pem"),
            "privateKey": home.path().join("tls.key"),
            "httpPort": site.http_port,
            "tlsPort": site.tls_alpn_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        }});
        std::fs::write(home.path().join("config.json"), config.to_string()).expect("a writable folder");

        let mut dns = Command::new("pebble-challtestsrv");
        dns.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        dns.arg("-dns01").arg(format!("127.0.0.1:{}", site.dns_port));
        dns.arg("-management").arg(format!("127.0.0.1:{}", site.dns_management_port));
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(home.path().join("config.json"));
        pebble.arg("-dnsserver").arg(format!("127.0.0.1:{}", site.dns_port));
        pebble.envs([
            ("PEBBLE_VA_ALWAYS_VALID", "0"),
            ("PEBBLE_WFE_NONCEREJECT", "0"),
            ("PEBBLE_VA_NOSLEEP", "1"),
            ("PEBBLE_AUTHZREUSE", "0"),
        ]);
        let started = Self { _dns: spawn(&mut dns), pebble: spawn(&mut pebble), site, _home: home };
        answers(port).await;
        answers(started.site.dns_management_port).await;
        started
    }

    /// What clients have to know.
    pub fn site(&self) -> Site {
        self.site.clone()
    }

    /// The process id of the CA itself.
    pub fn pid(&self) -> u32 {
        self.pebble.id().expect("it runs")
    }
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}. {INSTALL}"))
}

async fn answers(port: u16) {
    let deadline = Instant::now() + READY_WITHIN;
    while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.is_err() {
        assert!(Instant::now() < deadline, "pebble does not listen on port {port} after {READY_WITHIN:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A certificate for `localhost`, which Pebble does not make itself, under a CA of its own.
fn write_tls(home: &Path) {
    let ca_key = KeyPair::generate().expect("rcgen makes P-256 keys");
    let mut ca = CertificateParams::new(Vec::new()).expect("no names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
    let key = KeyPair::generate().expect("rcgen makes P-256 keys");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a DNS name");
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate");
    let files =
        [("tls-ca.pem", ca_certificate.pem()), ("tls.pem", leaf.pem()), ("tls.key", key.serialize_pem())];
    for (name, text) in files {
        std::fs::write(home.join(name), text).expect("a writable folder");
    }
}
