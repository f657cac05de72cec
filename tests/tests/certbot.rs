//! certbot against the real process, as a person would use it: register, get certificates by http-01 (standalone)
//! and dns-01 (hooks), renew, revoke by account and by certificate key. openssl judges every result: chain, OCSP by
//! all four ways of asking, CRL.
//!
//! certbot is the one at `INGAM_CERTBOT`, or in `target/clients` where `scripts/test` puts it. Not a failure: what
//! certbot prints. A failure: certbot is missing.

use std::path::{Path, PathBuf};

use ingam_tests::certificate::Chain;
use ingam_tests::command::{Finished, run, target_folder, write_script};
use ingam_tests::server::Server;
use tokio::process::Command;

const INSTALL: &str =
    "Run `scripts/test` once, which puts certbot into target/clients, or name yours in INGAM_CERTBOT";

/// certbot with folders of its own, pointed at one server.
struct Certbot {
    program: PathBuf,
    folder: PathBuf,
    directory: String,
    tls_ca: PathBuf,
    http_port: u16,
}

impl Certbot {
    fn of(server: &Server) -> Self {
        let program = match std::env::var_os("INGAM_CERTBOT") {
            Some(path) => PathBuf::from(path),
            None => target_folder().join("clients/bin/certbot"),
        };
        assert!(program.is_file(), "{} is not there. {INSTALL}", program.display());
        let site = server.site();
        Self {
            program,
            folder: server.scratch("certbot"),
            directory: site.directory,
            tls_ca: site.tls_ca,
            http_port: site.http_port,
        }
    }

    /// Runs one subcommand that must succeed.
    async fn run(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--non-interactive", "--server", &self.directory]);
        for (flag, name) in [("--config-dir", "config"), ("--work-dir", "work"), ("--logs-dir", "logs")] {
            command.arg(flag).arg(self.folder.join(name));
        }
        command.env("REQUESTS_CA_BUNDLE", &self.tls_ca);
        run(&mut command, INSTALL).await.succeeded()
    }

    async fn register(&self) {
        self.run(&["register", "--agree-tos", "--register-unsafely-without-email"]).await;
    }

    async fn standalone(&self, names: &[&str], further: &[&str]) -> Chain {
        let port = self.http_port.to_string();
        let mut arguments = vec!["certonly", "--standalone", "--preferred-challenges", "http"];
        arguments.extend(["--http-01-address", "127.0.0.1", "--http-01-port", &port, "--cert-name", "web"]);
        arguments.extend(further);
        for name in names {
            arguments.extend(["-d", name]);
        }
        self.run(&arguments).await;
        self.chain("web")
    }

    fn chain(&self, lineage: &str) -> Chain {
        Chain::from_file(&self.file(lineage, "fullchain.pem"))
    }

    fn file(&self, lineage: &str, name: &str) -> PathBuf {
        self.folder.join("config/live").join(lineage).join(name)
    }

    /// The hooks of `--manual`, which set and clear the TXT record in the test DNS.
    fn hooks(&self, dns_management_port: u16) -> (PathBuf, PathBuf) {
        let (auth, cleanup) = (self.folder.join("auth.sh"), self.folder.join("cleanup.sh"));
        let url = format!("http://127.0.0.1:{dns_management_port}");
        let set = r#"curl -sSf -d "{\"host\":\"_acme-challenge.$CERTBOT_DOMAIN.\",\"value\":\"$CERTBOT_VALIDATION\"}""#;
        let clear = r#"curl -sSf -d "{\"host\":\"_acme-challenge.$CERTBOT_DOMAIN.\"}""#;
        write_script(&auth, &format!("{set} {url}/set-txt\n"));
        write_script(&cleanup, &format!("{clear} {url}/clear-txt\n"));
        (auth, cleanup)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder with a plain name")
}

#[tokio::test(flavor = "multi_thread")]
async fn http_01_renewal_and_revocation_by_the_account_key() {
    let server = Server::start().await;
    let (certbot, openssl) = (Certbot::of(&server), server.openssl());
    let names = ["one.certbot.example.org", "two.certbot.example.org"];

    certbot.register().await;
    let first = certbot.standalone(&names, &[]).await;
    assert_eq!(first.names(), names);
    openssl.verify(&first, &names).await;
    openssl.issuer_is_published(&first).await;
    openssl.status(&first).await.is_good();
    assert!(!openssl.crl(&first).await.contains(&first), "a good certificate is not on the CRL");

    certbot.run(&["renew", "--force-renewal", "--no-random-sleep-on-renew"]).await;
    let second = certbot.chain("web");
    assert_ne!(second.serial(), first.serial(), "a renewal is a new certificate");
    assert_eq!(second.names(), names);
    openssl.verify(&second, &names).await;

    certbot
        .run(&["revoke", "--cert-name", "web", "--reason", "superseded", "--no-delete-after-revoke"])
        .await;
    openssl.status(&second).await.is_revoked(Some("superseded"));
    openssl.status(&first).await.is_good();
    let crl = openssl.crl(&second).await;
    assert!(crl.contains(&second), "the CRL holds what was revoked");
    assert!(!crl.contains(&first), "the CRL holds nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_01_with_hooks_and_revocation_by_the_certificate_key() {
    let server = Server::start().await;
    let (certbot, openssl) = (Certbot::of(&server), server.openssl());
    let names = ["*.dns.example.org", "dns.example.org"];

    certbot.register().await;
    let (auth, cleanup) = certbot.hooks(server.ports().dns_management);
    let hooks = ["--manual-auth-hook", text(&auth), "--manual-cleanup-hook", text(&cleanup)];
    let mut arguments = vec!["certonly", "--manual", "--preferred-challenges", "dns", "--cert-name", "dns"];
    arguments.extend(hooks);
    arguments.extend(["-d", names[0], "-d", names[1]]);
    certbot.run(&arguments).await;
    let chain = certbot.chain("dns");
    assert_eq!(chain.names(), names);
    openssl.verify(&chain, &names).await;
    openssl.status(&chain).await.is_good();

    let (certificate, key) = (certbot.file("dns", "cert.pem"), certbot.file("dns", "privkey.pem"));
    let files = ["--cert-path", text(&certificate), "--key-path", text(&key)];
    let mut arguments = vec!["revoke", "--reason", "keycompromise", "--no-delete-after-revoke"];
    arguments.extend(files);
    certbot.run(&arguments).await;
    openssl.status(&chain).await.is_revoked(Some("keyCompromise"));
    assert!(openssl.crl(&chain).await.contains(&chain), "the CRL holds what was revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rsa_certificate_of_certbot() {
    let server = Server::start().await;
    let (certbot, openssl) = (Certbot::of(&server), server.openssl());
    let name = "rsa.certbot.example.org";

    certbot.register().await;
    let chain = certbot.standalone(&[name], &["--key-type", "rsa", "--rsa-key-size", "2048"]).await;
    openssl.verify(&chain, &[name]).await;
    openssl.status(&chain).await.is_good();
}
