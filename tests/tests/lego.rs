//! lego (Debian's 4.9) against the real process: http-01, dns-01 through its `exec` provider, tls-alpn-01, a wildcard
//! with its base name, renewal, revocation; certificate keys on P-256 and RSA. openssl judges every result.
//!
//! lego itself asks the test DNS whether the TXT record is there before it goes on, so that server is tried by a
//! stranger too. Not a failure: what lego prints. A failure: lego is missing.

use std::path::PathBuf;

use ingam_tests::certificate::Chain;
use ingam_tests::command::{run, write_script};
use ingam_tests::server::Server;
use ingam_tests::site::Site;
use tokio::process::Command;

const INSTALL: &str = "Install lego, on Debian with `apt-get install lego`";

/// lego with a folder of its own, pointed at one server.
struct Lego {
    folder: PathBuf,
    site: Site,
}

impl Lego {
    fn of(server: &Server) -> Self {
        Self { folder: server.scratch("lego"), site: server.site() }
    }

    /// Runs one subcommand that must succeed; `options` come before it and `after` behind it.
    async fn run(&self, names: &[&str], options: &[&str], subcommand: &str, after: &[&str]) {
        let mut command = Command::new("lego");
        command.args([
            "--server",
            &self.site.directory,
            "--accept-tos",
            "--email",
            "owner@example.org",
            "--path",
        ]);
        command.arg(&self.folder).args(options);
        for name in names {
            command.args(["--domains", name]);
        }
        command.arg(subcommand).args(after);
        command.env("LEGO_CA_CERTIFICATES", &self.site.tls_ca);
        command.env("EXEC_PATH", self.folder.join("dns.sh"));
        // Without these, lego waits a minute between two names of one order.
        command.envs([("EXEC_POLLING_INTERVAL", "1"), ("EXEC_SEQUENCE_INTERVAL", "1")]);
        run(&mut command, INSTALL).await.succeeded();
    }

    fn chain(&self, name: &str) -> Chain {
        let file = format!("{}.crt", name.replace('*', "_"));
        Chain::from_file(&self.folder.join("certificates").join(file))
    }

    fn http(&self) -> Vec<String> {
        let port = format!("127.0.0.1:{}", self.site.http_port);
        ["--http", "--http.port", &port].map(str::to_owned).to_vec()
    }

    fn tls(&self) -> Vec<String> {
        let port = format!("127.0.0.1:{}", self.site.tls_alpn_port);
        ["--tls", "--tls.port", &port].map(str::to_owned).to_vec()
    }

    /// The flags of dns-01, and the provider's script, which sets and clears the record in the test DNS.
    fn dns(&self) -> Vec<String> {
        let url = format!("http://127.0.0.1:{}", self.site.dns_management_port);
        let script = format!(
            r#"case "$1" in
present) curl -sSf -d "{{\"host\":\"$2\",\"value\":\"$3\"}}" {url}/set-txt ;;
cleanup) curl -sSf -d "{{\"host\":\"$2\"}}" {url}/clear-txt ;;
esac
"#
        );
        write_script(&self.folder.join("dns.sh"), &script);
        let resolver = format!("127.0.0.1:{}", self.site.dns_port);
        // The test DNS is a resolver and has no delegations, so there is no authoritative server to wait for.
        ["--dns", "exec", "--dns.disable-cp", "--dns.resolvers", &resolver].map(str::to_owned).to_vec()
    }
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn http_01_renewal_and_revocation() {
    let server = Server::start().await;
    let (lego, openssl) = (Lego::of(&server), server.openssl());
    let name = "http.lego.example.org";
    let options = lego.http();

    lego.run(&[name], &words(&options), "run", &[]).await;
    let first = lego.chain(name);
    assert_eq!(first.names(), [name]);
    openssl.verify(&first, &[name]).await;
    openssl.status(&first).await.is_good();

    lego.run(&[name], &words(&options), "renew", &["--days", "100000", "--no-random-sleep"]).await;
    let second = lego.chain(name);
    assert_ne!(second.serial(), first.serial(), "a renewal is a new certificate");
    openssl.verify(&second, &[name]).await;
    openssl.status(&second).await.is_good();

    lego.run(&[name], &[], "revoke", &["--reason", "4", "--keep"]).await;
    openssl.status(&second).await.is_revoked(Some("superseded"));
    openssl.status(&first).await.is_good();
    let crl = openssl.crl(&second).await;
    assert!(
        crl.contains(&second) && !crl.contains(&first),
        "the CRL holds what was revoked and nothing else"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rsa_key_by_http_01() {
    let server = Server::start().await;
    let (lego, openssl) = (Lego::of(&server), server.openssl());
    let name = "rsa.lego.example.org";
    let mut options = lego.http();
    options.extend(["--key-type", "rsa2048"].map(str::to_owned));

    lego.run(&[name], &words(&options), "run", &[]).await;
    let chain = lego.chain(name);
    openssl.verify(&chain, &[name]).await;
    openssl.status(&chain).await.is_good();
    // Without a reason a revocation is "unspecified", and RFC 5280 5.3.1 wants that one left out.
    lego.run(&[name], &[], "revoke", &["--keep"]).await;
    openssl.status(&chain).await.is_revoked(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_alpn_01() {
    let server = Server::start().await;
    let (lego, openssl) = (Lego::of(&server), server.openssl());
    let name = "alpn.lego.example.org";

    lego.run(&[name], &words(&lego.tls()), "run", &[]).await;
    let chain = lego.chain(name);
    assert_eq!(chain.names(), [name]);
    openssl.verify(&chain, &[name]).await;
    openssl.status(&chain).await.is_good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_and_its_base_name_by_dns_01() {
    let server = Server::start().await;
    let (lego, openssl) = (Lego::of(&server), server.openssl());
    let names = ["*.lego.example.org", "lego.example.org"];

    lego.run(&names, &words(&lego.dns()), "run", &[]).await;
    let chain = lego.chain(names[0]);
    assert_eq!(chain.names(), names);
    openssl.verify(&chain, &names).await;
    openssl.status(&chain).await.is_good();

    lego.run(&names, &[], "revoke", &["--reason", "1", "--keep"]).await;
    openssl.status(&chain).await.is_revoked(Some("keyCompromise"));
    assert!(openssl.crl(&chain).await.contains(&chain), "the CRL holds what was revoked");
}
