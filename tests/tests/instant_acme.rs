//! instant-acme, a Rust client of another maker, against the real process: account, order, http-01 and dns-01,
//! finalize, key rollover, the RSA issuer by profile, revocation. openssl judges every result.
//!
//! Not a failure: how often the client polls, as long as an issuance ends within its own patience of half a minute.

use ingam_tests::certificate::{Chain, parse};
use ingam_tests::challenge::{Prover, WebAnswers, Zone};
use ingam_tests::client::CertificateRequest;
use ingam_tests::server::Server;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
    RevocationReason, RevocationRequest,
};
use rustls_pki_types::CertificateDer;
use x509_parser::public_key::PublicKey;

async fn account(server: &Server) -> Account {
    // instant-acme takes the process's default provider; the second test of a process finds it set.
    drop(rustls::crypto::ring::default_provider().install_default());
    let site = server.site();
    let new = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_root(&site.tls_ca).expect("tls-ca.pem holds a certificate");
    builder.create(&new, site.directory, None).await.expect("a new account").0
}

async fn issue(account: &Account, names: &[&str], profile: Option<&str>, prover: &Prover) -> Chain {
    let identifiers: Vec<Identifier> = names.iter().map(|name| Identifier::Dns((*name).to_owned())).collect();
    let mut new_order = NewOrder::new(&identifiers);
    if let Some(profile) = profile {
        new_order = new_order.profile(profile);
    }
    let mut order = account.new_order(&new_order).await.expect("a new order");
    let kind = match prover {
        Prover::Http(_) => ChallengeType::Http01,
        Prover::Dns(_) => ChallengeType::Dns01,
    };
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.expect("an authorization");
        assert_eq!(authorization.status, AuthorizationStatus::Pending);
        let name = authorization.identifier().to_string();
        let mut challenge = authorization.challenge(kind.clone()).expect("a challenge of this type");
        let proof = challenge.key_authorization().as_str().to_owned();
        let (token, thumbprint) = proof.split_once('.').expect("token.thumbprint");
        prover.set(name.trim_start_matches("*."), token, thumbprint).await.expect("the answer is set up");
        challenge.set_ready().await.expect("the challenge is taken up");
    }
    let status = order.poll_ready(&RetryPolicy::default()).await.expect("the order is decided");
    assert_eq!(status, OrderStatus::Ready);
    let request = CertificateRequest::of(names);
    order.finalize_csr(&request.der).await.expect("the order is finalized");
    let pem = order.poll_certificate(&RetryPolicy::default()).await.expect("a certificate");
    Chain::from_pem(pem.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn http_01_rollover_and_revocation() {
    let server = Server::start().await;
    let openssl = server.openssl();
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let name = "instant.example.org";

    let mut account = account(&server).await;
    let chain = issue(&account, &[name], None, &prover).await;
    assert_eq!(chain.names(), [name]);
    assert!(matches!(chain.parsed().public_key().parsed(), Ok(PublicKey::EC(_))));
    openssl.verify(&chain, &[name]).await;
    openssl.status(&chain).await.is_good();

    // After a rollover the account is the same one, with everything that it has.
    let url = account.id().to_owned();
    drop(account.update_key().await.expect("a key rollover"));
    assert_eq!(account.id(), url);
    let second = issue(&account, &["second.instant.example.org"], None, &prover).await;
    openssl.status(&second).await.is_good();

    let certificate = CertificateDer::from(chain.leaf().to_vec());
    let reason = Some(RevocationReason::CessationOfOperation);
    account.revoke(&RevocationRequest { certificate: &certificate, reason }).await.expect("a revocation");
    openssl.status(&chain).await.is_revoked(Some("cessationOfOperation"));
    let crl = openssl.crl(&chain).await;
    assert!(
        crl.contains(&chain) && !crl.contains(&second),
        "the CRL holds what was revoked and nothing else"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_by_dns_01() {
    let server = Server::start().await;
    let openssl = server.openssl();
    let prover = Prover::Dns(Zone::managed_at(server.ports().dns_management));
    let name = "*.wild.instant.example.org";

    let account = account(&server).await;
    let chain = issue(&account, &[name], None, &prover).await;
    assert_eq!(chain.names(), [name]);
    openssl.verify(&chain, &[name]).await;
    openssl.status(&chain).await.is_good();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rsa_issuer_by_profile() {
    let server = Server::start().await;
    let openssl = server.openssl();
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let name = "rsa.instant.example.org";

    let account = account(&server).await;
    assert!(
        account.profiles().any(|profile| profile.name == "classic-rsa" && !profile.description.is_empty()),
        "the directory offers the profile classic-rsa and says what it is"
    );
    let chain = issue(&account, &[name], Some("classic-rsa"), &prover).await;
    let issuer = parse(chain.issuer());
    assert!(matches!(issuer.public_key().parsed(), Ok(PublicKey::RSA(_))), "the issuer's key is RSA");
    openssl.verify(&chain, &[name]).await;
    openssl.issuer_is_published(&chain).await;
    openssl.status(&chain).await.is_good();

    let certificate = CertificateDer::from(chain.leaf().to_vec());
    account
        .revoke(&RevocationRequest { certificate: &certificate, reason: None })
        .await
        .expect("a revocation");
    openssl.status(&chain).await.is_revoked(None);
    assert!(openssl.crl(&chain).await.contains(&chain), "the RSA issuer has a CRL of its own");
}
