//! Caddy, which gets certificates for the sites of its Caddyfile by itself.
//!
//! It is built from its Go module, as `scripts/test` does, with the modules that serve https and no others. The story waits
//! for what Caddy puts into its storage.

use std::path::PathBuf;
use std::process::Stdio;

use ingam_tests::certificate::Chain;
use ingam_tests::command::installed;
use tokio::process::{Child, Command};

use crate::matrix::{Ability, Column, Story};
use crate::world::{World, has_rsa_key, until, version};

pub static STORY: Story = Story::new(|| Box::pin(story()));

const LACKING: &[(Ability, &str)] = &[
    (Ability::Dns01, "needs a plugin for one's DNS provider, and none is built in"),
    (Ability::Wildcard, "only by dns-01"),
    (Ability::RevokeByAccount, "no command for it"),
    (Ability::RevokeByCertificateKey, "no command for it"),
    (Ability::KeyRollover, "no command for it"),
    (Ability::Contacts, "no command for it"),
    (Ability::Deactivate, "no command for it"),
];

#[test]
fn story_of_caddy() {
    STORY.succeeds();
}

/// A site of the Caddyfile.
struct Site<'a> {
    name: &'a str,
    key_type: &'a str,
    /// Lines of the issuer `acme`.
    further: &'a str,
}

/// Caddy with a storage of its own, pointed at one server.
struct Caddy<'a> {
    world: &'a World,
    folder: PathBuf,
}

impl<'a> Caddy<'a> {
    fn of(world: &'a World, name: &str) -> Self {
        let folder = world.folder.join(name);
        std::fs::create_dir_all(&folder).expect("a writable folder");
        Self { world, folder }
    }

    /// Starts it; it runs until what is given back is dropped.
    fn start(&self, options: &str, sites: &[Site<'_>]) -> Child {
        let (site, storage) = (&self.world.site, self.folder.join("storage"));
        let mut text = format!(
            "{{\nadmin off\npersist_config off\nskip_install_trust\ndefault_bind 127.0.0.1\n\
             storage file_system {}\nhttp_port {}\nhttps_port {}\nemail owner@example.org\n{options}\n}}\n",
            storage.display(),
            site.http_port,
            site.tls_alpn_port
        );
        for Site { name, key_type, further } in sites {
            text.push_str(&format!(
                "{name} {{\ntls {{\nkey_type {key_type}\nissuer acme {{\ndir {}\ntrusted_roots {}\n{further}\n}}\n}}\n\
                 respond hello\n}}\n",
                site.directory,
                site.tls_ca.display()
            ));
        }
        let file = self.folder.join("Caddyfile");
        std::fs::write(&file, text).expect("a writable folder");
        let log = std::fs::File::create(self.folder.join("caddy.log")).expect("a writable folder");
        let mut command = Command::new(installed("bin/caddy"));
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file).kill_on_drop(true);
        // It keeps things in the home folder as well.
        command.env("HOME", &self.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().expect("Caddy was there a moment ago")
    }

    /// What lies in the storage for this name.
    fn chain(&self, name: &str) -> Option<Chain> {
        let folder = self.folder.join("storage/certificates");
        let issuer = std::fs::read_dir(folder).ok()?.next()?.ok()?.path();
        let pem = std::fs::read(issuer.join(name).join(format!("{name}.crt"))).ok()?;
        // It writes to another name first, so what is there is whole.
        Some(Chain::from_pem(&pem))
    }

    async fn until(&self, what: &str, is_so: impl FnMut() -> bool) {
        until(what, &self.folder.join("caddy.log"), is_so).await;
    }
}

const HTTP: Site<'static> =
    Site { name: "http.caddy.example.org", key_type: "p256", further: "disable_tlsalpn_challenge" };
const ALPN: Site<'static> = Site {
    name: "alpn.caddy.example.org",
    key_type: "rsa2048",
    further: "disable_http_challenge\nprofile classic-rsa",
};
/// Makes every certificate due at the next start, whether ARI or the ratio decides.
const ALL_ARE_DUE: &str = "renew_interval 4800h\nrenewal_window_ratio 0.9999";

async fn story() -> Column {
    let mut world =
        World::of("Caddy", version(Command::new(installed("bin/caddy")).arg("version")).await).await;
    world.lacks(LACKING);
    let renewal_info = world.renewal_info();
    let caddy = Caddy::of(&world, "caddy");
    let mut running = caddy.start("", &[HTTP, ALPN]);
    let both = || caddy.chain(HTTP.name).is_some() && caddy.chain(ALPN.name).is_some();
    caddy.until("Caddy has both certificates", both).await;
    let first = caddy.chain(HTTP.name).expect("it was just there");
    world.is_issued(&first, &[HTTP.name]).await;
    assert!(!has_rsa_key(&first), "an EC key was asked for");
    let chain = caddy.chain(ALPN.name).expect("it was just there");
    world.is_issued(&chain, &[ALPN.name]).await;
    assert!(has_rsa_key(&chain), "an RSA key was asked for");
    world.is_of_the_rsa_profile(&chain);
    running.kill().await.expect("one may kill one's own child");

    let mut running = caddy.start(ALL_ARE_DUE, &[HTTP]);
    let is_renewed = || caddy.chain(HTTP.name).is_some_and(|chain| chain.serial() != first.serial());
    caddy.until("Caddy renews what is due", is_renewed).await;
    running.kill().await.expect("one may kill one's own child");
    world.is_issued(&caddy.chain(HTTP.name).expect("it was just there"), &[HTTP.name]).await;
    let account = world.account().await;
    assert_eq!(world.contacts(&account).await, ["mailto:owner@example.org"]);

    let shown = [
        Ability::Register,
        Ability::Http01,
        Ability::TlsAlpn01,
        Ability::Ecdsa,
        Ability::Rsa,
        Ability::Renew,
        Ability::Profile,
    ];
    for ability in shown {
        world.shows(ability);
    }
    if let Some(url) = renewal_info {
        assert!(world.requests(&url).await > 0, "Caddy asks when to renew");
        world.shows(Ability::RenewalInfo);
    }
    external_account(&mut world).await;
    world.end()
}

async fn external_account(world: &mut World) {
    let Some(external) = world.external_account().await else { return };
    let caddy = Caddy::of(world, "external");
    let further = format!("disable_tlsalpn_challenge\neab {} {}", external.kid, external.hmac);
    let site = Site { name: "external.caddy.example.org", key_type: "p256", further: &further };
    let name = site.name;
    let mut running = caddy.start("", &[site]);
    caddy.until("Caddy has a certificate", || caddy.chain(name).is_some()).await;
    running.kill().await.expect("one may kill one's own child");
    world.is_bound(&external).await;
    world.shows(Ability::ExternalAccount);
}
