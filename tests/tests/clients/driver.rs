//! What the stories of two libraries share: a small program around each, in tests/clients, with the same commands.

use std::path::PathBuf;

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::WebAnswers;
use ingam_tests::command::done;
use tokio::process::Command;

use crate::matrix::Ability;
use crate::world::{World, has_rsa_key};

/// The program around a library, with a folder of its own.
pub struct Driver<'a> {
    world: &'a World,
    folder: PathBuf,
    program: fn() -> Command,
}

impl<'a> Driver<'a> {
    /// One with this folder of the client's.
    pub fn of(world: &'a World, name: &str, program: fn() -> Command) -> Self {
        let folder = world.folder.join(name);
        std::fs::create_dir_all(&folder).expect("a writable folder");
        Self { world, folder, program }
    }

    /// Runs one command, which must succeed; what it printed.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let site = &self.world.site;
        let mut command = (self.program)();
        command.arg(&self.folder).args(arguments);
        command.env("DIRECTORY", &site.directory).env("WEB", self.world.folder.join("web"));
        command.env("DNS", format!("http://127.0.0.1:{}", site.dns_management_port));
        command.env("ALPN", site.tls_alpn_port.to_string());
        command.env("NODE_EXTRA_CA_CERTS", &site.tls_ca).env("REQUESTS_CA_BUNDLE", &site.tls_ca);
        done(&mut command).await.text()
    }

    /// Issues by this challenge type, with a key of this kind, under this profile (`-`: the server's choice).
    pub async fn issue(&self, how: [&str; 4], names: &[&str]) -> Chain {
        self.run(&[&["issue"], &how[..], names].concat()).await;
        self.chain(how[0])
    }

    /// What was issued under this name.
    pub fn chain(&self, file: &str) -> Chain {
        Chain::from_file(&self.folder.join(format!("{file}.pem")))
    }
}

/// Register and change contacts.
pub async fn account(world: &mut World, program: fn() -> Command) {
    let driver = Driver::of(world, "driver", program);
    driver.run(&["register", "first@example.org"]).await;
    let account = world.account().await;
    assert_eq!(world.contacts(&account).await, ["mailto:first@example.org"]);
    driver.run(&["contact", "second@example.org"]).await;
    assert_eq!(world.contacts(&account).await, ["mailto:second@example.org"]);
    world.shows(Ability::Register);
    world.shows(Ability::Contacts);
}

/// http-01, dns-01 with a wildcard, both kinds of key, a profile, renewal, revocation by the account.
pub async fn certificates(world: &mut World, program: fn() -> Command) {
    let web = world.server.scratch("client/web");
    let answers = WebAnswers::listen_with_folder(world.site.http_port, &web).await;
    let driver = Driver::of(world, "driver", program);
    let names = ["one.library.example.org", "two.library.example.org"];
    let first = driver.issue(["web", "http-01", "ec", "-"], &names).await;
    world.is_issued(&first, &names).await;
    assert!(!has_rsa_key(&first), "an EC key was asked for");

    let second = driver.issue(["web", "http-01", "ec", "-"], &names).await;
    assert_ne!(second.serial(), first.serial(), "a renewal is a new certificate");
    world.is_issued(&second, &names).await;
    driver.run(&["revoke", "web", "4"]).await;
    world.is_revoked(&second, Some("superseded")).await;
    world.is_good(&first).await;

    let names = ["*.wild.library.example.org", "wild.library.example.org"];
    let chain = driver.issue(["wild", "dns-01", "rsa", "classic-rsa"], &names).await;
    world.is_issued(&chain, &names).await;
    assert!(has_rsa_key(&chain), "an RSA key was asked for");
    world.is_of_the_rsa_profile(&chain);
    drop(answers);
    let shown = [
        Ability::Http01,
        Ability::Ecdsa,
        Ability::Renew,
        Ability::RevokeByAccount,
        Ability::Dns01,
        Ability::Wildcard,
        Ability::Rsa,
        Ability::Profile,
    ];
    for ability in shown {
        world.shows(ability);
    }
}

/// An account that is bound to an external one, and the end of the first account.
pub async fn last(world: &mut World, program: fn() -> Command) {
    if let Some(external) = world.external_account().await {
        let driver = Driver::of(world, "external", program);
        driver.run(&["register", "third@example.org", &external.kid, &external.hmac]).await;
        world.is_bound(&external).await;
        world.shows(Ability::ExternalAccount);
    }
    Driver::of(world, "driver", program).run(&["deactivate"]).await;
    assert_eq!(world.accounts().await.remove(0).status, "deactivated");
    world.shows(Ability::Deactivate);
}
