//! lego 5, built from its Go module with the light set of DNS providers, as `scripts/test` does.

use std::path::PathBuf;

use ingam_tests::certificate::Chain;
use ingam_tests::command::{Finished, done, installed, write_script};
use tokio::process::Command;

use crate::matrix::{Ability, Column, Story};
use crate::world::{World, has_rsa_key, version};

pub static STORY: Story = Story::new(|| Box::pin(story()));

const LACKING: &[(Ability, &str)] = &[
    (Ability::RevokeByCertificateKey, "its command revokes by the account alone"),
    (Ability::Contacts, "no command for it"),
    (Ability::Deactivate, "no command for it"),
];

#[test]
fn story_of_lego() {
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

    /// Runs one command. lego asks before it changes an account's key, and cannot be told not to.
    async fn run(&self, words: &[&str], arguments: &[&str]) -> Finished {
        let mut command = Command::new("sh");
        command.args(["-c", "echo Y | exec \"$@\"", "sh"]).arg(installed("bin/lego")).args(words);
        command.args(["--server", &self.world.site.directory, "--email", "owner@example.org", "--path"]);
        command.arg(&self.folder).args(arguments);
        command.env("LEGO_CA_CERTIFICATES", &self.world.site.tls_ca);
        command.env("EXEC_PATH", self.folder.join("dns.sh"));
        // Without these, lego waits a minute between two names of one order.
        command.envs([("EXEC_POLLING_INTERVAL", "1"), ("EXEC_SEQUENCE_INTERVAL", "1")]);
        done(&mut command).await
    }

    /// Issues, or looks whether there is something to renew.
    async fn issue(&self, names: &[&str], further: &[&str]) -> Chain {
        let mut arguments = vec!["--accept-tos", "--no-random-sleep", "--cert.name", names[0]];
        for name in names {
            arguments.extend(["--domains", name]);
        }
        arguments.extend(further);
        self.run(&["run"], &arguments).await;
        self.chain(names[0])
    }

    fn chain(&self, name: &str) -> Chain {
        let file = format!("{}.crt", name.replace('*', "_"));
        Chain::from_file(&self.folder.join("certificates").join(file))
    }

    fn http(&self) -> [String; 3] {
        let address = format!("127.0.0.1:{}", self.world.site.http_port);
        ["--http".to_owned(), "--http.address".to_owned(), address]
    }

    /// The flags of dns-01, and the provider's script, which sets and clears the record in the test DNS.
    fn dns(&self) -> [String; 6] {
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
        let flags =
            ["--dns", "exec", "--dns.propagation.disable-ans", "--dns.resolvers", &resolver, "--tls=false"];
        flags.map(str::to_owned)
    }
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

async fn story() -> Column {
    let version = version(Command::new(installed("bin/lego")).arg("--version")).await;
    let mut world = World::of("lego", version).await;
    world.lacks(LACKING);
    account(&mut world).await;
    http_01_and_renewal(&mut world).await;
    dns_01(&mut world).await;
    tls_alpn_01(&mut world).await;
    rsa_and_profile(&mut world).await;
    external_account(&mut world).await;
    world.end()
}

async fn account(world: &mut World) {
    let lego = Lego::of(world, "lego");
    lego.run(&["accounts", "register"], &["--accept-tos"]).await;
    let account = world.account().await;
    assert_eq!(world.contacts(&account).await, ["mailto:owner@example.org"]);
    lego.run(&["accounts", "keyrollover"], &[]).await;
    let rolled = world.account().await;
    assert_eq!(rolled.id, account.id);
    assert_ne!(rolled.thumbprint, account.thumbprint, "the account has another key now");
    world.shows(Ability::Register);
    world.shows(Ability::KeyRollover);
}

async fn http_01_and_renewal(world: &mut World) {
    let names = ["one.lego.example.org", "two.lego.example.org"];
    let lego = Lego::of(world, "lego");
    let http = lego.http();
    let first = lego.issue(&names, &words(&http)).await;
    world.is_issued(&first, &names).await;
    assert!(!has_rsa_key(&first), "lego's keys are on P-256 unless it is told otherwise");

    let second = lego.issue(&names, &[&words(&http)[..], &["--renew-force"]].concat()).await;
    assert_ne!(second.serial(), first.serial(), "a renewal is a new certificate");
    world.is_issued(&second, &names).await;
    renewal_info(world, &names).await;

    let lego = Lego::of(world, "lego");
    let arguments = ["--cert.name", names[0], "--reason", "4", "--keep"];
    lego.run(&["certificates", "revoke"], &arguments).await;
    world.is_revoked(&second, Some("superseded")).await;
    world.is_good(&first).await;
    for ability in [Ability::Http01, Ability::Ecdsa, Ability::Renew, Ability::RevokeByAccount] {
        world.shows(ability);
    }
}

/// A look at what is due asks the server, and finds nothing due.
async fn renewal_info(world: &mut World, names: &[&str]) {
    let Some(url) = world.renewal_info() else { return };
    let before = world.requests(&url).await;
    let lego = Lego::of(world, "lego");
    let serial = lego.chain(names[0]).serial();
    let again = lego.issue(names, &words(&lego.http())).await;
    assert!(world.requests(&url).await > before, "lego asks when to renew");
    assert_eq!(again.serial(), serial, "nothing was due");
    world.shows(Ability::RenewalInfo);
}

async fn dns_01(world: &mut World) {
    let names = ["*.wild.lego.example.org", "wild.lego.example.org"];
    let lego = Lego::of(world, "lego");
    let dns = lego.dns();
    let chain = lego.issue(&names, &words(&dns)).await;
    world.is_issued(&chain, &names).await;
    world.shows(Ability::Dns01);
    world.shows(Ability::Wildcard);
}

async fn tls_alpn_01(world: &mut World) {
    let name = "alpn.lego.example.org";
    let address = format!("127.0.0.1:{}", world.site.tls_alpn_port);
    let chain = Lego::of(world, "lego").issue(&[name], &["--tls", "--tls.address", &address]).await;
    world.is_issued(&chain, &[name]).await;
    world.shows(Ability::TlsAlpn01);
}

async fn rsa_and_profile(world: &mut World) {
    let name = "rsa.lego.example.org";
    let lego = Lego::of(world, "rsa");
    let further = ["--key-type", "RSA2048", "--profile", "classic-rsa"];
    let chain = lego.issue(&[name], &[&words(&lego.http())[..], &further].concat()).await;
    world.is_issued(&chain, &[name]).await;
    assert!(has_rsa_key(&chain), "an RSA key was asked for");
    world.is_of_the_rsa_profile(&chain);
    world.shows(Ability::Rsa);
    world.shows(Ability::Profile);
}

async fn external_account(world: &mut World) {
    let Some(external) = world.external_account().await else { return };
    let arguments = ["--accept-tos", "--eab", "--eab.kid", &external.kid, "--eab.hmac", &external.hmac];
    Lego::of(world, "external").run(&["accounts", "register"], &arguments).await;
    world.is_bound(&external).await;
    world.shows(Ability::ExternalAccount);
}
