//! Apache's mod_md, which gets certificates for the domains of Apache's configuration by itself.
//!
//! Apache runs by a configuration of the story's own, on free ports, and not as a service. What mod_md has got comes into
//! force with Apache's next start, so the story starts it again and again.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use ingam_tests::apache::{self, Apache as Running, PROGRAM};
use ingam_tests::certificate::Chain;
use ingam_tests::command::write_script;
use tempfile::TempDir;
use tokio::process::Command;

use crate::matrix::{Ability, Column, Story};
use crate::world::{World, has_rsa_key, until, version};

pub static STORY: Story = Story::new(|| Box::pin(story()));

const LACKING: &[(Ability, &str)] = &[
    (Ability::RevokeByAccount, "no directive for it"),
    (Ability::RevokeByCertificateKey, "no directive for it"),
    (Ability::KeyRollover, "no directive for it"),
    (Ability::Contacts, "no directive for it"),
    (Ability::Deactivate, "no directive for it"),
];

#[test]
fn story_of_apache() {
    STORY.succeeds();
}

/// Apache with a folder of its own, pointed at one server.
struct Apache<'a> {
    world: &'a World,
    /// Apart from the server's, as Apache's workers are another user where root starts it.
    folder: TempDir,
}

impl<'a> Apache<'a> {
    fn of(world: &'a World) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
            .expect("a folder of one's own");
        std::fs::copy(&world.site.tls_ca, folder.path().join("ca.pem")).expect("a writable folder");
        Self { world, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it with these lines after those that every configuration here has.
    fn start(&self, further: &str) -> Running {
        let (folder, site) = (self.folder.path(), &self.world.site);
        let mut text = apache::head(folder, &["mpm_event", "authz_core", "ssl", "md"]);
        let folder = folder.display();
        let (http, tls) = (site.http_port, site.tls_alpn_port);
        write!(
            text,
            "Listen 127.0.0.1:{http}\nListen 127.0.0.1:{tls}\nMDPortMap http:{http} https:{tls}\n\
             MDCertificateAuthority {directory}\nMDCACertificateFile {folder}/ca.pem\n\
             MDCertificateAgreement accepted\nMDStoreDir {folder}/md\nMDRenewMode always\n\
             MDRetryDelay 5s\n{further}",
            directory = site.directory,
        )
        .expect("a string takes any text");
        std::fs::write(self.path("apache.conf"), text).expect("a writable folder");
        Running::start(&self.path("apache.conf"))
    }

    /// Whether a certificate for this name lies ready for the next start.
    fn is_staged(&self, name: &str) -> bool {
        let job = std::fs::read_to_string(self.path("md/staging").join(name).join("job.json"));
        job.is_ok_and(|job| job.contains("\"finished\": true") || job.contains("\"finished\":true"))
    }

    /// What is in force for this name: `pubcert.pem`, or with the kind of key in front of the ending.
    fn chain(&self, name: &str) -> Option<Chain> {
        let files = std::fs::read_dir(self.path("md/domains").join(name)).ok()?;
        let mut names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
        let file = names.find(|file| file.starts_with("pubcert"))?;
        Some(Chain::from_pem(&std::fs::read(self.path("md/domains").join(name).join(file)).ok()?))
    }

    async fn until(&self, what: &str, is_so: impl FnMut() -> bool) {
        until(what, &self.path("error.log"), is_so).await;
    }
}

const HTTP: &str = "http.apache.example.org";
const ALPN: &str = "alpn.apache.example.org";
const WILD: [&str; 2] = ["*.wild.apache.example.org", "wild.apache.example.org"];

/// A domain for each challenge type; the last one with an RSA key and a profile.
fn domains(apache: &Apache<'_>) -> String {
    let script = apache.path("dns.sh");
    let url = format!("http://127.0.0.1:{}", apache.world.site.dns_management_port);
    let text = format!(
        r#"case "$1" in
setup) curl -sSf -d "{{\"host\":\"_acme-challenge.$2.\",\"value\":\"$3\"}}" {url}/set-txt ;;
teardown) curl -sSf -d "{{\"host\":\"_acme-challenge.$2.\"}}" {url}/clear-txt ;;
esac
"#
    );
    write_script(&script, &text);
    format!(
        "<MDomain {HTTP}>\nMDCAChallenges http-01\nMDPrivateKeys P-256\n</MDomain>\n\
         <MDomain {ALPN}>\nMDCAChallenges tls-alpn-01\n</MDomain>\n\
         <MDomain {} {}>\nMDCAChallenges dns-01\nMDPrivateKeys RSA 2048\nMDProfile classic-rsa\n</MDomain>\n\
         MDChallengeDns01 {}\n\
         <VirtualHost 127.0.0.1:{}>\nServerName {ALPN}\nSSLEngine on\nProtocols http/1.1 acme-tls/1\n</VirtualHost>\n",
        WILD[1],
        WILD[0],
        script.display(),
        apache.world.site.tls_alpn_port
    )
}

async fn story() -> Column {
    let mut world = World::of("mod_md", version(Command::new(PROGRAM).arg("-v")).await).await;
    world.lacks(LACKING);
    let apache = Apache::of(&world);
    let domains = format!("MDContactEmail owner@example.org\n{}", domains(&apache));
    let running = apache.start(&domains);
    let all = || [HTTP, ALPN, WILD[1]].into_iter().all(|name| apache.is_staged(name));
    apache.until("mod_md has got all certificates", all).await;
    running.stop().await;

    // With this window, whatever comes into force now is due at once.
    let running = apache.start(&format!("MDRenewWindow 3650d\n{domains}"));
    apache.until("mod_md renews", || apache.chain(HTTP).is_some() && apache.is_staged(HTTP)).await;
    let first = apache.chain(HTTP).expect("it was just there");
    running.stop().await;
    world.is_issued(&first, &[HTTP]).await;
    assert!(!has_rsa_key(&first), "an EC key was asked for");
    world.is_issued(&apache.chain(ALPN).expect("in force"), &[ALPN]).await;
    let wild = apache.chain(WILD[1]).expect("in force");
    world.is_issued(&wild, &WILD).await;
    assert!(has_rsa_key(&wild), "an RSA key was asked for");
    world.is_of_the_rsa_profile(&wild);

    let running = apache.start(&domains);
    let is_renewed = || apache.chain(HTTP).is_some_and(|chain| chain.serial() != first.serial());
    apache.until("the renewed certificate is in force", is_renewed).await;
    let second = apache.chain(HTTP).expect("it was just there");
    world.is_issued(&second, &[HTTP]).await;
    running.stop().await;
    let account = world.account().await;
    assert_eq!(world.contacts(&account).await, ["mailto:owner@example.org"]);

    let shown = [
        Ability::Register,
        Ability::Http01,
        Ability::TlsAlpn01,
        Ability::Dns01,
        Ability::Wildcard,
        Ability::Ecdsa,
        Ability::Rsa,
        Ability::Renew,
        Ability::Profile,
    ];
    for ability in shown {
        world.shows(ability);
    }
    // When it looks is its own affair: it was seen to ask in some runs, and to renew without asking in most.
    world.lacks(&[(Ability::RenewalInfo, "it renews without asking, though it was seen to ask at times")]);
    external_account(&mut world).await;
    world.end()
}

async fn external_account(world: &mut World) {
    let Some(external) = world.external_account().await else { return };
    let apache = Apache::of(world);
    let further = format!(
        "MDContactEmail other@example.org\nMDExternalAccountBinding {} {}\n<MDomain {HTTP}>\nMDCAChallenges http-01\n</MDomain>\n",
        external.kid, external.hmac
    );
    let running = apache.start(&further);
    apache.until("mod_md has got a certificate", || apache.is_staged(HTTP)).await;
    running.stop().await;
    world.is_bound(&external).await;
    world.shows(Ability::ExternalAccount);
}
