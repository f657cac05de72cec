//! uacme, with a hook for each challenge type and ualpn, its own responder, for tls-alpn-01.
//!
//! uacme stops at a challenge without a token, so each issuance also shows that all of them carry one.

use std::path::PathBuf;
use std::process::Stdio;

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::WebAnswers;
use ingam_tests::command::{Finished, done, write_script};
use tokio::process::{Child, Command};

use crate::matrix::{Ability, Column, Story};
use crate::world::{World, has_rsa_key, text, version};

pub static STORY: Story = Story::new(|| Box::pin(story()));

const LACKING: &[(Ability, &str)] = &[
    (Ability::RenewalInfo, "this version renews by days left and by OCSP"),
    (Ability::Profile, "this version has no flag for it"),
];

const TRUSTING: &str = "mount --bind \"$1\" /etc/ssl/certs && shift && exec \"$@\"";

#[test]
fn story_of_uacme() {
    STORY.succeeds();
}

/// uacme with a folder of its own, pointed at one server.
struct Uacme<'a> {
    world: &'a World,
    folder: PathBuf,
}

impl<'a> Uacme<'a> {
    fn of(world: &'a World, name: &str) -> Self {
        let folder = world.folder.join(name);
        std::fs::create_dir_all(&folder).expect("a writable folder");
        Self { world, folder }
    }

    async fn run(&self, arguments: &[&str]) -> Finished {
        // It trusts what the machine trusts, and nothing can be added for it alone: so the machine looks otherwise to it.
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", TRUSTING, "sh"]).arg(self.trusted());
        command.args(["uacme", "--yes", "--acme-url", &self.world.site.directory]);
        command.args(["--confdir", text(&self.folder)]).args(arguments);
        done(&mut command).await
    }

    /// A folder in the place of the machine's trusted certificates.
    fn trusted(&self) -> PathBuf {
        let folder = self.folder.join("trusted");
        std::fs::create_dir_all(&folder).expect("a writable folder");
        std::fs::copy(&self.world.site.tls_ca, folder.join("ca.pem")).expect("a writable folder");
        folder
    }

    /// Issues, or renews with `--force`, by a hook for this challenge type.
    async fn issue(&self, kind: &str, options: &[&str], names: &[&str]) -> Chain {
        let hook = self.hook(kind);
        let mut arguments = vec!["--hook", text(&hook)];
        arguments.extend(options);
        arguments.push("issue");
        arguments.extend(names);
        self.run(&arguments).await;
        Chain::from_file(&self.certificate(names[0]))
    }

    fn certificate(&self, name: &str) -> PathBuf {
        self.folder.join(name).join("cert.pem")
    }

    /// Exit status 1 of `begin` makes uacme go on to the next challenge.
    fn hook(&self, kind: &str) -> PathBuf {
        let path = self.folder.join(format!("{kind}.sh"));
        let dns = format!("http://127.0.0.1:{}", self.world.site.dns_management_port);
        let (set, clear) = match kind {
            "http-01" => {
                let web = self.world.folder.join("web");
                (format!("printf %s \"$5\" > {}/\"$4\"", web.display()), String::new())
            }
            "dns-01" => (
                format!(
                    r#"curl -sSf -d "{{\"host\":\"_acme-challenge.$3.\",\"value\":\"$5\"}}" {dns}/set-txt"#
                ),
                format!(r#"curl -sSf -d "{{\"host\":\"_acme-challenge.$3.\"}}" {dns}/clear-txt"#),
            ),
            _ => {
                let socket = self.world.folder.join("ualpn.sock");
                // It says what came of it, and ends with 1 all the same. Its worker need not know yet what it was told, and a
                // client says that it is ready when it is (RFC 8555, section 7.5.1): so it is asked by openssl first.
                let set = "case \"$(printf 'auth %s %s\\n' \"$3\" \"$5\" | ualpn -s";
                let ask = format!(
                    "openssl s_client -connect 127.0.0.1:{} -alpn acme-tls/1 -servername \"$3\" </dev/null 2>/dev/null",
                    self.world.site.tls_alpn_port
                );
                let begin = format!(
                    "{set} {})\" in OK*) ;; *) exit 1 ;; esac\nfor try in $(seq 50); do\n{ask} \
                     | grep -q 'ALPN protocol: acme-tls/1' && exit 0\nsleep 0.1\ndone\nexit 1",
                    socket.display()
                );
                (begin, String::new())
            }
        };
        let script = format!(
            "[ \"$2\" = {kind} ] || exit 1\ncase \"$1\" in\nbegin) {set} ;;\ndone | failed) : ; {clear} ;;\nesac\n"
        );
        write_script(&path, &script);
        path
    }
}

async fn story() -> Column {
    let mut world = World::of("uacme", version(Command::new("uacme").arg("--version")).await).await;
    world.lacks(LACKING);
    let web = world.server.scratch("client/web");
    let answers = WebAnswers::listen_with_folder(world.site.http_port, &web).await;
    account(&mut world).await;
    http_01_and_renewal(&mut world).await;
    dns_01(&mut world).await;
    tls_alpn_01(&mut world).await;
    external_account(&mut world).await;
    drop(answers);
    Uacme::of(&world, "uacme").run(&["deactivate"]).await;
    assert_eq!(world.accounts().await.remove(0).status, "deactivated");
    world.shows(Ability::Deactivate);
    world.end()
}

async fn account(world: &mut World) {
    let uacme = Uacme::of(world, "uacme");
    uacme.run(&["new", "first@example.org"]).await;
    let account = world.account().await;
    assert_eq!(world.contacts(&account).await, ["mailto:first@example.org"]);
    uacme.run(&["update", "second@example.org"]).await;
    assert_eq!(world.contacts(&account).await, ["mailto:second@example.org"]);
    uacme.run(&["--type", "EC", "newkey"]).await;
    let rolled = world.account().await;
    assert_eq!(rolled.id, account.id);
    assert_ne!(rolled.thumbprint, account.thumbprint, "the account has another key now");
    for ability in [Ability::Register, Ability::Contacts, Ability::KeyRollover] {
        world.shows(ability);
    }
}

async fn http_01_and_renewal(world: &mut World) {
    let names = ["one.uacme.example.org", "two.uacme.example.org"];
    let uacme = Uacme::of(world, "uacme");
    let first = uacme.issue("http-01", &["--type", "EC"], &names).await;
    world.is_issued(&first, &names).await;
    assert!(!has_rsa_key(&first), "an EC key was asked for");

    let second = uacme.issue("http-01", &["--type", "EC", "--force"], &names).await;
    assert_ne!(second.serial(), first.serial(), "a renewal is a new certificate");
    world.is_issued(&second, &names).await;

    let file = uacme.certificate(names[0]);
    uacme.run(&["--reason", "4", "revoke", text(&file)]).await;
    world.is_revoked(&second, Some("superseded")).await;
    world.is_good(&first).await;
    for ability in [Ability::Http01, Ability::Ecdsa, Ability::Renew, Ability::RevokeByAccount] {
        world.shows(ability);
    }
}

async fn dns_01(world: &mut World) {
    let names = ["*.wild.uacme.example.org", "wild.uacme.example.org"];
    let uacme = Uacme::of(world, "uacme");
    // Its files have the first name.
    let reversed = [names[1], names[0]];
    let chain = uacme.issue("dns-01", &["--type", "RSA", "--bits", "2048"], &reversed).await;
    world.is_issued(&chain, &names).await;
    assert!(has_rsa_key(&chain), "an RSA key was asked for");

    let file = uacme.certificate(names[1]);
    let key = uacme.folder.join("private").join(names[1]).join("key.pem");
    uacme.run(&["--reason", "1", "revoke", text(&file), text(&key)]).await;
    world.is_revoked(&chain, Some("keyCompromise")).await;
    for ability in [Ability::Dns01, Ability::Wildcard, Ability::Rsa, Ability::RevokeByCertificateKey] {
        world.shows(ability);
    }
}

async fn tls_alpn_01(world: &mut World) {
    let name = "alpn.uacme.example.org";
    let mut responder = ualpn(world).await;
    let chain = Uacme::of(world, "uacme").issue("tls-alpn-01", &[], &[name]).await;
    world.is_issued(&chain, &[name]).await;
    responder.kill().await.expect("one may kill one's own child");
    world.shows(Ability::TlsAlpn01);
}

/// uacme's responder, once its socket is there.
async fn ualpn(world: &World) -> Child {
    let (socket, pid) = (world.folder.join("ualpn.sock"), world.folder.join("ualpn.pid"));
    let mut command = Command::new("ualpn");
    // It wants somewhere to pass on to; nobody ever asks for that.
    let bind = format!("127.0.0.1@{}", world.site.tls_alpn_port);
    command.args(["-v", "-4", "-b", &bind, "-c", "127.0.0.1@9", "-n", "1"]);
    command.args(["-s", text(&socket), "-p", text(&pid)]);
    let child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
    let child = child.expect("ualpn comes with uacme");
    crate::world::until("ualpn listens", &socket, || socket.exists()).await;
    child
}

async fn external_account(world: &mut World) {
    let Some(external) = world.external_account().await else { return };
    let key = format!("{}:{}", external.kid, external.hmac);
    Uacme::of(world, "external").run(&["--eab", &key, "new"]).await;
    world.is_bound(&external).await;
    world.shows(Ability::ExternalAccount);
}
