//! lego 4, as Debian has it: older than ARI and profiles, with flags that lego 5 has changed.
//!
//! lego itself asks the test DNS whether the TXT record is there before it goes on, so that server is tried by a
//! stranger too.

use std::path::PathBuf;

use ingam_tests::certificate::Chain;
use ingam_tests::command::{done, write_script};
use tokio::process::Command;

use crate::matrix::{Ability, Column, Story};
use crate::world::{World, has_rsa_key, version};

pub static STORY: Story = Story::new(|| Box::pin(story()));

const LACKING: &[(Ability, &str)] = &[
    (Ability::RenewalInfo, "lego 5 has it"),
    (Ability::Profile, "lego 5 has it"),
    (Ability::RevokeByCertificateKey, "its command revokes by the account alone"),
    (Ability::KeyRollover, "lego 5 has it"),
    (Ability::Contacts, "no command for it"),
    (Ability::Deactivate, "no command for it"),
];

#[test]
fn story_of_lego_four() {
    STORY.succeeds();
}

/// lego with a folder of its own, pointed at one server.
struct Lego<'a> {
    world: &'a World,
    folder: PathBuf,
}

impl<'a> Lego<'a> {
    fn of(world: &'a World, name: &str) -> Self {
        let folder = world.folder.join(name);
        std::fs::create_dir_all(&folder).expect("a writable folder");
        Self { world, folder }
    }

    /// Runs one subcommand that must succeed; `options` come before it and `after` behind it.
    async fn run(&self, names: &[&str], options: &[&str], subcommand: &str, after: &[&str]) {
        let mut command = Command::new("lego");
        command.args(["--server", &self.world.site.directory, "--accept-tos"]);
        command.args(["--email", "owner@example.org", "--path"]).arg(&self.folder).args(options);
        for name in names {
            command.args(["--domains", name]);
        }
        command.arg(subcommand).args(after);
        command.env("LEGO_CA_CERTIFICATES", &self.world.site.tls_ca);
        command.env("EXEC_PATH", self.folder.join("dns.sh"));
        // Without these, lego waits a minute between two names of one order.
        command.envs([("EXEC_POLLING_INTERVAL", "1"), ("EXEC_SEQUENCE_INTERVAL", "1")]);
        done(&mut command).await;
    }

    fn chain(&self, name: &str) -> Chain {
        let file = format!("{}.crt", name.replace('*', "_"));
        Chain::from_file(&self.folder.join("certificates").join(file))
    }

    fn http(&self) -> Vec<String> {
        let port = format!("127.0.0.1:{}", self.world.site.http_port);
        ["--http", "--http.port", &port].map(str::to_owned).to_vec()
    }

    fn tls(&self) -> Vec<String> {
        let port = format!("127.0.0.1:{}", self.world.site.tls_alpn_port);
        ["--tls", "--tls.port", &port].map(str::to_owned).to_vec()
    }

    /// The flags of dns-01, and the provider's script, which sets and clears the record in the test DNS.
    fn dns(&self) -> Vec<String> {
        let url = format!("http://127.0.0.1:{}", self.world.site.dns_management_port);
        let script = format!(
            r#"case "$1" in
present) curl -sSf -d "{{\"host\":\"$2\",\"value\":\"$3\"}}" {url}/set-txt ;;
cleanup) curl -sSf -d "{{\"host\":\"$2\"}}" {url}/clear-txt ;;
esac
"#
        );
        write_script(&self.folder.join("dns.sh"), &script);
        let resolver = format!("127.0.0.1:{}", self.world.site.dns_port);
        // The test DNS is a resolver and has no delegations, so there is no authoritative server to wait for.
        ["--dns", "exec", "--dns.disable-cp", "--dns.resolvers", &resolver].map(str::to_owned).to_vec()
    }
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

async fn story() -> Column {
    // Debian's says "dev" of itself; the package knows.
    let mut asking = Command::new("dpkg-query");
    let version = version(asking.args(["--show", "--showformat", "${Version}", "lego"])).await;
    let mut world = World::of("lego 4", version).await;
    world.lacks(LACKING);
    http_01_and_renewal(&mut world).await;
    rsa(&mut world).await;
    tls_alpn_01(&mut world).await;
    dns_01(&mut world).await;
    external_account(&mut world).await;
    world.end()
}

async fn http_01_and_renewal(world: &mut World) {
    let name = "http.lego.example.org";
    let lego = Lego::of(world, "lego");
    let options = lego.http();
    lego.run(&[name], &words(&options), "run", &[]).await;
    let first = lego.chain(name);
    world.is_issued(&first, &[name]).await;
    assert!(!has_rsa_key(&first), "lego's keys are on P-256 unless it is told otherwise");
    let account = world.account().await;
    assert_eq!(world.contacts(&account).await, ["mailto:owner@example.org"]);

    lego.run(&[name], &words(&options), "renew", &["--days", "100000", "--no-random-sleep"]).await;
    let second = lego.chain(name);
    assert_ne!(second.serial(), first.serial(), "a renewal is a new certificate");
    world.is_issued(&second, &[name]).await;

    lego.run(&[name], &[], "revoke", &["--reason", "4", "--keep"]).await;
    world.is_revoked(&second, Some("superseded")).await;
    world.is_good(&first).await;
    let shown =
        [Ability::Register, Ability::Http01, Ability::Ecdsa, Ability::Renew, Ability::RevokeByAccount];
    for ability in shown {
        world.shows(ability);
    }
}

async fn rsa(world: &mut World) {
    let name = "rsa.lego.example.org";
    let lego = Lego::of(world, "lego");
    let mut options = lego.http();
    options.extend(["--key-type", "rsa2048"].map(str::to_owned));
    lego.run(&[name], &words(&options), "run", &[]).await;
    let chain = lego.chain(name);
    world.is_issued(&chain, &[name]).await;
    assert!(has_rsa_key(&chain), "an RSA key was asked for");
    // Without a reason a revocation is "unspecified", and RFC 5280 5.3.1 wants that one left out.
    lego.run(&[name], &[], "revoke", &["--keep"]).await;
    world.is_revoked(&chain, None).await;
    world.shows(Ability::Rsa);
}

async fn tls_alpn_01(world: &mut World) {
    let name = "alpn.lego.example.org";
    let lego = Lego::of(world, "lego");
    lego.run(&[name], &words(&lego.tls()), "run", &[]).await;
    world.is_issued(&lego.chain(name), &[name]).await;
    world.shows(Ability::TlsAlpn01);
}

async fn dns_01(world: &mut World) {
    let names = ["*.lego.example.org", "lego.example.org"];
    let lego = Lego::of(world, "lego");
    lego.run(&names, &words(&lego.dns()), "run", &[]).await;
    let chain = lego.chain(names[0]);
    world.is_issued(&chain, &names).await;
    lego.run(&names, &[], "revoke", &["--reason", "1", "--keep"]).await;
    world.is_revoked(&chain, Some("keyCompromise")).await;
    world.shows(Ability::Dns01);
    world.shows(Ability::Wildcard);
}

async fn external_account(world: &mut World) {
    let Some(external) = world.external_account().await else { return };
    let name = "external.lego.example.org";
    let lego = Lego::of(world, "external");
    let mut options = lego.http();
    let further = ["--eab", "--kid", &external.kid, "--hmac", &external.hmac];
    options.extend(further.map(str::to_owned));
    lego.run(&[name], &words(&options), "run", &[]).await;
    world.is_bound(&external).await;
    world.shows(Ability::ExternalAccount);
}
