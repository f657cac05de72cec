//! certbot as a person would use it: standalone for http-01, hooks for dns-01. That it takes the chain it is told to prefer is
//! in `ceremonies`, where a CA has two.

use ingam_tests::certbot::{Certbot, program};
use ingam_tests::certificate::Chain;
use ingam_tests::command::write_script;
use tokio::process::Command;

use crate::matrix::{Ability, Column, Story};
use crate::world::{World, has_rsa_key, text, version};

pub static STORY: Story = Story::new(|| Box::pin(story()));

const LACKING: &[(Ability, &str)] =
    &[(Ability::TlsAlpn01, "no plugin of its own does it"), (Ability::KeyRollover, "no command for it")];

#[test]
fn story_of_certbot() {
    STORY.succeeds();
}

/// certbot with a folder of this name.
fn certbot_of<'a>(world: &'a World, name: &str) -> Certbot<'a> {
    Certbot::new(&world.site, world.folder.join(name))
}

async fn wildcard(world: &World, certbot: &Certbot<'_>, names: &[&str]) -> Chain {
    let url = format!("http://127.0.0.1:{}", world.site.dns_management_port);
    let (auth, cleanup) = (certbot.folder().join("auth.sh"), certbot.folder().join("cleanup.sh"));
    let set =
        r#"curl -sSf -d "{\"host\":\"_acme-challenge.$CERTBOT_DOMAIN.\",\"value\":\"$CERTBOT_VALIDATION\"}""#;
    let clear = r#"curl -sSf -d "{\"host\":\"_acme-challenge.$CERTBOT_DOMAIN.\"}""#;
    write_script(&auth, &format!("{set} {url}/set-txt\n"));
    write_script(&cleanup, &format!("{clear} {url}/clear-txt\n"));
    let mut arguments = vec!["certonly", "--manual", "--preferred-challenges", "dns", "--cert-name", "dns"];
    arguments.extend(["--manual-auth-hook", text(&auth), "--manual-cleanup-hook", text(&cleanup)]);
    for name in names {
        arguments.extend(["-d", name]);
    }
    certbot.run(&arguments).await;
    certbot.chain("dns")
}

async fn story() -> Column {
    let mut world = World::of("certbot", version(Command::new(program()).arg("--version")).await).await;
    world.lacks(LACKING);
    account(&mut world).await;
    http_01_and_renewal(&mut world).await;
    dns_01(&mut world).await;
    rsa_and_profile(&mut world).await;
    must_staple(&mut world).await;
    external_account(&mut world).await;
    certbot_of(&world, "certbot").run(&["unregister"]).await;
    let oldest = world.accounts().await.remove(0);
    assert_eq!(oldest.status, "deactivated");
    world.shows(Ability::Deactivate);
    world.end()
}

async fn account(world: &mut World) {
    let certbot = certbot_of(world, "certbot");
    certbot.run(&["register", "--agree-tos", "--email", "first@example.org"]).await;
    let account = world.account().await;
    assert_eq!(world.contacts(&account).await, ["mailto:first@example.org"]);
    certbot.run(&["update_account", "--email", "second@example.org"]).await;
    assert_eq!(world.contacts(&account).await, ["mailto:second@example.org"]);
    world.shows(Ability::Register);
    world.shows(Ability::Contacts);
}

async fn http_01_and_renewal(world: &mut World) {
    let names = ["one.certbot.example.org", "two.certbot.example.org"];
    let certbot = certbot_of(world, "certbot");
    let first = certbot.standalone("web", &names, &[]).await;
    world.is_issued(&first, &names).await;
    assert!(!has_rsa_key(&first), "certbot's keys are on P-256 unless it is told otherwise");

    certbot.run(&["renew", "--cert-name", "web", "--force-renewal", "--no-random-sleep-on-renew"]).await;
    let second = certbot.chain("web");
    assert_ne!(second.serial(), first.serial(), "a renewal is a new certificate");
    world.is_issued(&second, &names).await;
    renewal_info(world).await;

    let certbot = certbot_of(world, "certbot");
    let arguments = ["--cert-name", "web", "--reason", "superseded", "--no-delete-after-revoke"];
    certbot.run(&[&["revoke"][..], &arguments].concat()).await;
    world.is_revoked(&second, Some("superseded")).await;
    world.is_good(&first).await;
    world.shows(Ability::Http01);
    world.shows(Ability::Ecdsa);
    world.shows(Ability::Renew);
    world.shows(Ability::RevokeByAccount);
}

/// A look at what is due asks the server, and finds nothing due.
async fn renewal_info(world: &mut World) {
    let Some(url) = world.renewal_info() else { return };
    let before = world.requests(&url).await;
    let certbot = certbot_of(world, "certbot");
    let serial = certbot.chain("web").serial();
    certbot.run(&["renew", "--cert-name", "web", "--no-random-sleep-on-renew"]).await;
    assert!(world.requests(&url).await > before, "certbot asks when to renew");
    assert_eq!(certbot.chain("web").serial(), serial, "nothing was due");
    pulled_forward(world).await;
    world.shows(Ability::RenewalInfo);
}

/// What an operator has put into an incident is renewed early, and nothing else.
async fn pulled_forward(world: &World) {
    let certbot = certbot_of(world, "certbot");
    let leaked = certbot.standalone("leaked", &["leaked.certbot.example.org"], &[]).await;
    let kept = certbot.standalone("kept", &["kept.certbot.example.org"], &[]).await;
    let page = "https://ca.example/leak";
    world.pull_forward(&leaked, page).await;
    certbot.run(&["renew", "--no-random-sleep-on-renew"]).await;
    let renewed = certbot.chain("leaked");
    assert_ne!(renewed.serial(), leaked.serial(), "it was told to renew at once");
    assert_eq!(certbot.chain("kept").serial(), kept.serial(), "it is not time yet");
    assert_eq!(world.certificate(&leaked).await["renewal"]["explanation_url"], page);
    let fine = world.certificate(&renewed).await;
    assert!(fine["renewal"].get("explanation_url").is_none(), "the new one is fine: {fine}");
}

async fn dns_01(world: &mut World) {
    let names = ["*.dns.example.org", "dns.example.org"];
    let certbot = certbot_of(world, "certbot");
    let chain = wildcard(world, &certbot, &names).await;
    world.is_issued(&chain, &names).await;

    let (certificate, key) = (certbot.file("dns", "cert.pem"), certbot.file("dns", "privkey.pem"));
    let files = ["--cert-path", text(&certificate), "--key-path", text(&key)];
    let arguments = ["revoke", "--reason", "keycompromise", "--no-delete-after-revoke"];
    certbot.run(&[&arguments[..], &files].concat()).await;
    world.is_revoked(&chain, Some("keyCompromise")).await;
    world.shows(Ability::Dns01);
    world.shows(Ability::Wildcard);
    world.shows(Ability::RevokeByCertificateKey);
}

async fn rsa_and_profile(world: &mut World) {
    let name = "rsa.certbot.example.org";
    let further = ["--key-type", "rsa", "--rsa-key-size", "2048", "--required-profile", "classic-rsa"];
    let chain = certbot_of(world, "certbot").standalone("rsa", &[name], &further).await;
    world.is_issued(&chain, &[name]).await;
    assert!(has_rsa_key(&chain), "an RSA key was asked for");
    world.is_of_the_rsa_profile(&chain);
    world.shows(Ability::Rsa);
    world.shows(Ability::Profile);
}

/// The profile `private` offers it, and says so in the certificate (RFC 7633).
async fn must_staple(world: &mut World) {
    let name = "staple.certbot.example.org";
    let further = ["--must-staple", "--required-profile", "private"];
    let chain = certbot_of(world, "certbot").standalone("staple", &[name], &further).await;
    world.is_issued(&chain, &[name]).await;
    let leaf = chain.parsed();
    let feature = leaf.extensions().iter().find(|one| one.oid.to_id_string() == "1.3.6.1.5.5.7.1.24");
    assert_eq!(feature.map(|one| one.value), Some(&b"\x30\x03\x02\x01\x05"[..]));
}

async fn external_account(world: &mut World) {
    let Some(external) = world.external_account().await else { return };
    let certbot = certbot_of(world, "external");
    let further = ["--eab-kid", &external.kid, "--eab-hmac-key", &external.hmac];
    let arguments = ["register", "--agree-tos", "--register-unsafely-without-email"];
    certbot.run(&[&arguments[..], &further].concat()).await;
    world.is_bound(&external).await;
    world.shows(Ability::ExternalAccount);
}
