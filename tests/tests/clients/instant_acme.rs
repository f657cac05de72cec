//! instant-acme, a Rust library, within this process.
//!
//! Not a failure: how often it polls, as long as an issuance ends within its own patience of half a minute.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{WebAnswers, Zone, serve_tls_alpn};
use ingam_tests::client::CertificateRequest;
use ingam_tests::openssl::rsa_key;
use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, ExternalAccountKey, Identifier,
    KeyAuthorization, NewAccount, NewOrder, OrderStatus, RetryPolicy, RevocationReason, RevocationRequest,
};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::task::JoinHandle;

use crate::matrix::{Ability, Column, Story};
use crate::world::{World, has_rsa_key};

pub static STORY: Story = Story::new(|| Box::pin(story()));

const LACKING: &[(Ability, &str)] =
    &[(Ability::RevokeByCertificateKey, "its function signs with the account's key alone")];
/// What the workspace's lock file has.
const LOCK: &str = include_str!("../../../Cargo.lock");

#[test]
fn story_of_instant_acme() {
    STORY.succeeds();
}

fn installed_version() -> String {
    let (_, after) = LOCK.split_once("name = \"instant-acme\"\nversion = \"").expect("it is a dependency");
    after.split('"').next().expect("a version").to_owned()
}

async fn new_account(world: &World, contact: &str, external: Option<&ExternalAccountKey>) -> Account {
    // instant-acme takes the process's default provider; the second account of a process finds it set.
    drop(rustls::crypto::ring::default_provider().install_default());
    let contacts = [contact];
    let new = NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_root(&world.site.tls_ca).expect("tls-ca.pem holds a certificate");
    builder.create(&new, world.site.directory.clone(), external).await.expect("a new account").0
}

/// Who answers challenges, and how.
enum Prover {
    Http(WebAnswers),
    Dns(Zone),
    /// The port of tls-alpn-01.
    Tls(u16),
}

impl Prover {
    fn kind(&self) -> ChallengeType {
        match self {
            Self::Http(_) => ChallengeType::Http01,
            Self::Dns(_) => ChallengeType::Dns01,
            Self::Tls(_) => ChallengeType::TlsAlpn01,
        }
    }

    /// Answers; what comes back goes on answering until it is aborted.
    async fn prove(&self, name: &str, proof: &KeyAuthorization) -> Option<JoinHandle<()>> {
        match self {
            Self::Http(answers) => {
                let (token, _) = proof.as_str().split_once('.').expect("token.thumbprint");
                answers.set(token, proof.as_str().to_owned());
                None
            }
            Self::Dns(zone) => {
                let host = format!("_acme-challenge.{}.", name.trim_start_matches("*."));
                zone.set_txt(&host, &proof.dns_value()).await.expect("the record is set");
                None
            }
            Self::Tls(port) => Some(serve_tls_alpn(*port, name, proof.digest().as_ref()).await),
        }
    }
}

/// What is ordered beside the names.
#[derive(Default)]
struct Wish<'a> {
    profile: Option<&'a str>,
    replaces: Option<CertificateIdentifier<'a>>,
    key: Option<KeyPair>,
}

async fn issue(account: &Account, names: &[&str], wish: Wish<'_>, prover: &Prover) -> Chain {
    let identifiers: Vec<Identifier> = names.iter().map(|name| Identifier::Dns((*name).to_owned())).collect();
    let mut new_order = NewOrder::new(&identifiers);
    if let Some(profile) = wish.profile {
        new_order = new_order.profile(profile);
    }
    if let Some(replaces) = wish.replaces {
        new_order = new_order.replaces(replaces);
    }
    let mut order = account.new_order(&new_order).await.expect("a new order");
    let mut provers = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.expect("an authorization");
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let mut challenge = authorization.challenge(prover.kind()).expect("a challenge of this type");
        provers.extend(prover.prove(&name, &challenge.key_authorization()).await);
        challenge.set_ready().await.expect("the challenge is taken up");
    }
    let status = order.poll_ready(&RetryPolicy::default()).await.expect("the order is decided");
    assert_eq!(status, OrderStatus::Ready);
    provers.iter().for_each(JoinHandle::abort);
    let request = match wish.key {
        Some(key) => CertificateRequest::with_key(key, names),
        None => CertificateRequest::of(names),
    };
    order.finalize_csr(&request.der).await.expect("the order is finalized");
    let pem = order.poll_certificate(&RetryPolicy::default()).await.expect("a certificate");
    Chain::from_pem(pem.as_bytes())
}

async fn story() -> Column {
    let mut world = World::of("instant-acme", installed_version()).await;
    world.lacks(LACKING);
    let mut account = new_account(&world, "mailto:first@example.org", None).await;
    keys_and_contacts(&mut world, &mut account).await;
    http_01_and_renewal(&mut world, &account).await;
    dns_01(&mut world, &account).await;
    tls_alpn_01(&mut world, &account).await;
    if let Some(external) = world.external_account().await {
        let hmac = URL_SAFE_NO_PAD.decode(&external.hmac).expect("base64url");
        let key = ExternalAccountKey::new(external.kid.clone(), &hmac);
        drop(new_account(&world, "mailto:third@example.org", Some(&key)).await);
        world.is_bound(&external).await;
        world.shows(Ability::ExternalAccount);
    }
    account.deactivate().await.expect("a deactivation");
    assert_eq!(world.accounts().await.remove(0).status, "deactivated");
    world.shows(Ability::Deactivate);
    world.end()
}

async fn keys_and_contacts(world: &mut World, account: &mut Account) {
    let seen = world.account().await;
    assert_eq!(world.contacts(&seen).await, ["mailto:first@example.org"]);
    account.update_contacts(&["mailto:second@example.org"]).await.expect("other contacts");
    assert_eq!(world.contacts(&seen).await, ["mailto:second@example.org"]);
    let url = account.id().to_owned();
    drop(account.update_key().await.expect("a key rollover"));
    assert_eq!(account.id(), url, "the account is the same one, with everything that it has");
    assert_ne!(world.account().await.thumbprint, seen.thumbprint, "the account has another key now");
    for ability in [Ability::Register, Ability::Contacts, Ability::KeyRollover] {
        world.shows(ability);
    }
}

async fn http_01_and_renewal(world: &mut World, account: &Account) {
    let prover = Prover::Http(WebAnswers::listen(world.site.http_port).await);
    let names = ["one.instant.example.org", "two.instant.example.org"];
    let first = issue(account, &names, Wish::default(), &prover).await;
    world.is_issued(&first, &names).await;
    assert!(!has_rsa_key(&first), "the key is on P-256");

    let certificate = CertificateDer::from(first.leaf().to_vec());
    let mut wish = Wish::default();
    if let Some(url) = world.renewal_info() {
        let identifier = CertificateIdentifier::try_from(&certificate).expect("an AKI and a serial number");
        let before = world.requests(&url).await;
        let (info, _) = account.renewal_info(&identifier).await.expect("when to renew");
        assert!(info.suggested_window.start < info.suggested_window.end);
        assert!(world.requests(&url).await > before, "the request was counted");
        wish.replaces = Some(identifier);
        world.shows(Ability::RenewalInfo);
    }
    let second = issue(account, &names, wish, &prover).await;
    assert_ne!(second.serial(), first.serial(), "a renewal is a new certificate");
    world.is_issued(&second, &names).await;

    let reason = Some(RevocationReason::CessationOfOperation);
    account.revoke(&RevocationRequest { certificate: &certificate, reason }).await.expect("a revocation");
    world.is_revoked(&first, Some("cessationOfOperation")).await;
    world.is_good(&second).await;
    for ability in [Ability::Http01, Ability::Ecdsa, Ability::Renew, Ability::RevokeByAccount] {
        world.shows(ability);
    }
}

async fn dns_01(world: &mut World, account: &Account) {
    assert!(
        account.profiles().any(|profile| profile.name == "classic-rsa" && !profile.description.is_empty()),
        "the directory offers the profile classic-rsa and says what it is"
    );
    let prover = Prover::Dns(Zone::managed_at(world.site.dns_management_port));
    let name = "*.wild.instant.example.org";
    let key = PrivatePkcs8KeyDer::from(rsa_key().await);
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_RSA_SHA256).expect("an RSA key");
    let wish = Wish { profile: Some("classic-rsa"), key: Some(key), ..Wish::default() };
    let chain = issue(account, &[name], wish, &prover).await;
    world.is_issued(&chain, &[name]).await;
    assert!(has_rsa_key(&chain), "an RSA key was taken");
    world.is_of_the_rsa_profile(&chain);
    let certificate = CertificateDer::from(chain.leaf().to_vec());
    let request = RevocationRequest { certificate: &certificate, reason: None };
    account.revoke(&request).await.expect("a revocation");
    world.is_revoked(&chain, None).await;
    for ability in [Ability::Dns01, Ability::Wildcard, Ability::Rsa, Ability::Profile] {
        world.shows(ability);
    }
}

async fn tls_alpn_01(world: &mut World, account: &Account) {
    let name = "alpn.instant.example.org";
    let chain = issue(account, &[name], Wish::default(), &Prover::Tls(world.site.tls_alpn_port)).await;
    world.is_issued(&chain, &[name]).await;
    world.shows(Ability::TlsAlpn01);
}
