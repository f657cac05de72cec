//! dehydrated, told everything by its configuration file, with a hook where the web folder is not enough.

use std::path::PathBuf;

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::WebAnswers;
use ingam_tests::command::{Finished, done, write_script};
use tokio::process::Command;

use crate::matrix::{Ability, Column, Story};
use crate::world::{World, has_rsa_key, text};

pub static STORY: Story = Story::new(|| Box::pin(story()));

const LACKING: &[(Ability, &str)] = &[
    (Ability::RenewalInfo, "it renews by days left"),
    (Ability::Profile, "this version has no setting for it"),
    (Ability::RevokeByCertificateKey, "`--privkey` takes keys of accounts alone"),
    (Ability::KeyRollover, "no command for it; `PRIVATE_KEY_ROLLOVER` is about the certificate's key"),
];

#[test]
fn story_of_dehydrated() {
    STORY.succeeds();
}

/// dehydrated with a folder of its own, pointed at one server.
struct Dehydrated<'a> {
    world: &'a World,
    folder: PathBuf,
}

impl<'a> Dehydrated<'a> {
    fn of(world: &'a World, name: &str) -> Self {
        let folder = world.folder.join(name);
        std::fs::create_dir_all(&folder).expect("a writable folder");
        Self { world, folder }
    }

    /// Runs it with these settings on top of those that all have.
    async fn run(&self, settings: &[(&str, &str)], arguments: &[&str]) -> Finished {
        let config = self.folder.join("config");
        let (folder, web, ca) = (&self.folder, self.world.folder.join("web"), &self.world.site.tls_ca);
        let mut lines = format!(
            "CA={}\nCURL_OPTS=\"--cacert {}\"\nBASEDIR={}\nWELLKNOWN={}\n",
            self.world.site.directory,
            ca.display(),
            folder.display(),
            web.display()
        );
        for (name, value) in settings {
            lines.push_str(&format!("{name}=\"{value}\"\n"));
        }
        std::fs::write(&config, lines).expect("a writable folder");
        let mut command = Command::new("dehydrated");
        command.args(arguments).args(["--config", text(&config)]);
        done(&mut command).await
    }

    async fn issue(&self, settings: &[(&str, &str)], names: &[&str], further: &[&str]) -> Chain {
        let joined = names.join(" ");
        let mut arguments = vec!["--cron", "--domain", &joined, "--alias", "site"];
        arguments.extend(further);
        self.run(settings, &arguments).await;
        Chain::from_file(&self.file("fullchain.pem"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join("certs/site").join(name)
    }
}

async fn story() -> Column {
    // Its version stands on a line of its own words: "Dehydrated version: 0.7.0".
    let said = done(Command::new("dehydrated").arg("--version")).await.text();
    let line = said.lines().find_map(|line| line.strip_prefix("Dehydrated version: "));
    let mut world = World::of("dehydrated", line.expect("a version").to_owned()).await;
    world.lacks(LACKING);
    let web = world.server.scratch("client/web");
    let answers = WebAnswers::listen_with_folder(world.site.http_port, &web).await;
    account(&mut world).await;
    http_01_and_renewal(&mut world).await;
    dns_01(&mut world).await;
    tls_alpn_01(&mut world).await;
    external_account(&mut world).await;
    drop(answers);
    Dehydrated::of(&world, "dehydrated").run(&[], &["--deactivate"]).await;
    assert_eq!(world.accounts().await.remove(0).status, "deactivated");
    world.shows(Ability::Deactivate);
    world.end()
}

async fn account(world: &mut World) {
    let dehydrated = Dehydrated::of(world, "dehydrated");
    let first = ("CONTACT_EMAIL", "first@example.org");
    dehydrated.run(&[first], &["--register", "--accept-terms"]).await;
    let account = world.account().await;
    assert_eq!(world.contacts(&account).await, ["mailto:first@example.org"]);
    dehydrated.run(&[("CONTACT_EMAIL", "second@example.org")], &["--account"]).await;
    assert_eq!(world.contacts(&account).await, ["mailto:second@example.org"]);
    world.shows(Ability::Register);
    world.shows(Ability::Contacts);
}

async fn http_01_and_renewal(world: &mut World) {
    let names = ["one.dehydrated.example.org", "two.dehydrated.example.org"];
    let dehydrated = Dehydrated::of(world, "dehydrated");
    let settings = [("KEY_ALGO", "prime256v1")];
    let first = dehydrated.issue(&settings, &names, &[]).await;
    world.is_issued(&first, &names).await;
    assert!(!has_rsa_key(&first), "an EC key was asked for");

    let second = dehydrated.issue(&settings, &names, &["--force"]).await;
    assert_ne!(second.serial(), first.serial(), "a renewal is a new certificate");
    world.is_issued(&second, &names).await;

    dehydrated.run(&[], &["--revoke", text(&dehydrated.file("cert.pem"))]).await;
    world.is_revoked(&second, None).await;
    world.is_good(&first).await;
    for ability in [Ability::Http01, Ability::Ecdsa, Ability::Renew, Ability::RevokeByAccount] {
        world.shows(ability);
    }
}

async fn dns_01(world: &mut World) {
    let names = ["*.wild.dehydrated.example.org", "wild.dehydrated.example.org"];
    let dehydrated = Dehydrated::of(world, "dehydrated");
    let hook = dehydrated.folder.join("dns.sh");
    let url = format!("http://127.0.0.1:{}", world.site.dns_management_port);
    let script = format!(
        r#"case "$1" in
deploy_challenge) curl -sSf -d "{{\"host\":\"_acme-challenge.$2.\",\"value\":\"$4\"}}" {url}/set-txt ;;
clean_challenge) curl -sSf -d "{{\"host\":\"_acme-challenge.$2.\"}}" {url}/clear-txt ;;
esac
"#
    );
    write_script(&hook, &script);
    let settings =
        [("CHALLENGETYPE", "dns-01"), ("HOOK", text(&hook)), ("KEY_ALGO", "rsa"), ("KEYSIZE", "2048")];
    let chain = dehydrated.issue(&settings, &names, &["--force"]).await;
    world.is_issued(&chain, &names).await;
    assert!(has_rsa_key(&chain), "an RSA key was asked for");

    for ability in [Ability::Dns01, Ability::Wildcard, Ability::Rsa] {
        world.shows(ability);
    }
}

/// dehydrated makes the certificate that proves control, and leaves showing it to a server: openssl's, here.
async fn tls_alpn_01(world: &mut World) {
    let name = "alpn.dehydrated.example.org";
    let dehydrated = Dehydrated::of(world, "dehydrated");
    let hook = dehydrated.folder.join("alpn.sh");
    let script = format!(
        r#"case "$1" in
deploy_challenge)
    timeout 60 openssl s_server -quiet -accept 127.0.0.1:{port} -alpn acme-tls/1 \
        -cert {folder}/alpn-certs/"$2".crt.pem -key {folder}/alpn-certs/"$2".key.pem </dev/null >/dev/null 2>&1 &
    echo $! >{folder}/alpn.pid
    tries=0
    until (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 200 ]
        sleep 0.05
    done ;;
clean_challenge) kill "$(cat {folder}/alpn.pid)" ;;
esac
"#,
        port = world.site.tls_alpn_port,
        folder = dehydrated.folder.display(),
    );
    write_script(&hook, &format!("exec bash -eu -c '{script}' hook \"$@\"\n"));
    let settings = [("CHALLENGETYPE", "tls-alpn-01"), ("HOOK", text(&hook))];
    let chain = dehydrated.issue(&settings, &[name], &["--force"]).await;
    world.is_issued(&chain, &[name]).await;
    world.shows(Ability::TlsAlpn01);
}

async fn external_account(world: &mut World) {
    let Some(external) = world.external_account().await else { return };
    let settings = [("EAB_KID", external.kid.as_str()), ("EAB_HMAC_KEY", external.hmac.as_str())];
    Dehydrated::of(world, "external").run(&settings, &["--register", "--accept-terms"]).await;
    world.is_bound(&external).await;
    world.shows(Ability::ExternalAccount);
}
