//! Apache's mod_md, which gets certificates for the domains of Apache's configuration by itself.
//!
//! Apache runs by a configuration of the story's own, on free ports, and not as a service. What mod_md has got comes into
//! force with Apache's next start, so the story starts it again and again.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use ingam_tests::certificate::Chain;
use ingam_tests::command::write_script;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

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

/// Where Debian has the program and its modules.
const PROGRAM: &str = "/usr/sbin/apache2";
const MODULES: &str = "/usr/lib/apache2/modules";
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// Apache with a folder of its own, pointed at one server.
struct Apache<'a> {
    world: &'a World,
    /// Apart from the server's, as Apache's workers are another user where root starts it.
    folder: TempDir,
}

/// A running Apache. It is told to end when this is dropped, and ends its workers then.
struct Running(Child);

impl Running {
    fn end(&self) {
        let pid = self.0.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            kill_process(pid, Signal::TERM).ok();
        }
    }

    async fn stop(mut self) {
        self.end();
        let ended = timeout(STOPPED_WITHIN, self.0.wait()).await;
        ended.expect("Apache ends when it is told to").expect("one may wait for one's own child");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
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
        let (folder, site) = (self.folder.path().display(), &self.world.site);
        let mut text = format!(
            "ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\nErrorLog {folder}/error.log\n\
             LogLevel info\nDefaultRuntimeDir {folder}\nUser #65534\nGroup #65534\n"
        );
        for module in ["mpm_event", "authz_core", "ssl", "md"] {
            writeln!(text, "LoadModule {module}_module {MODULES}/mod_{module}.so")
                .expect("a string takes any text");
        }
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
        let mut command = Command::new(PROGRAM);
        command.arg("-DFOREGROUND").arg("-f").arg(self.path("apache.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().expect("Apache: on Debian, `apt-get install apache2-bin`"))
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
