//! Proves that a request for an ML-DSA key gets a certificate where the profile lists its kind and the build can verify it, and a
//! refusal that loses nothing everywhere else. What is no failure: a build with ring alone refuses them all, as it says.

use ingam_protocol::Reason;
use ingam_protocol::acme::{ErrorType, OrderStatus};
use ingam_protocol::key::{KeyType, PublicKey};
use ring::digest::{SHA256, digest};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::world::operator::act;
use crate::world::{Key, World, csr, refusal};

/// Each kind, its key and its request, which another implementation made for the name below.
const MADE: [(KeyType, &[u8], &[u8]); 3] = [
    (
        KeyType::MlDsa44,
        include_bytes!("../../../../testdata/ml-dsa/key-44.der"),
        include_bytes!("../../../../testdata/ml-dsa/request-44.der"),
    ),
    (
        KeyType::MlDsa65,
        include_bytes!("../../../../testdata/ml-dsa/key-65.der"),
        include_bytes!("../../../../testdata/ml-dsa/request-65.der"),
    ),
    (
        KeyType::MlDsa87,
        include_bytes!("../../../../testdata/ml-dsa/key-87.der"),
        include_bytes!("../../../../testdata/ml-dsa/request-87.der"),
    ),
];
const NAMES: [&str; 1] = ["a.example.org"];

/// A world whose one profile is private and takes these kinds.
fn private(kinds: &[KeyType]) -> World {
    World::of_profile(|profile| {
        profile.is_public = false;
        profile.key_types = kinds.iter().copied().collect();
    })
}

fn is_available() -> bool {
    KeyType::MlDsa44.is_available()
}

#[test]
fn a_private_profile_issues_for_the_kinds_that_it_lists() {
    for (kind, key, request) in MADE {
        let world = private(&[KeyType::EcdsaP256, kind]);
        let process = world.start();
        let account = process.account();
        let order = process.ready_order(&account, &NAMES);
        if !kind.is_available() {
            let refused = refusal(process.finalize(&account, order.order.id, request));
            assert_eq!(refused.error, ErrorType::BadCsr);
            assert!(refused.detail.contains("not supported: use SHA-256"), "{}", refused.detail);
            assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Ready);
            process.stop();
            continue;
        }
        let view = process.finalize(&account, order.order.id, request).unwrap();
        assert_eq!(view.status, OrderStatus::Valid);
        let serial = view.order.certificate.as_ref().unwrap();
        let issuer = view.issuer.as_ref().unwrap();
        let der = process.authority.certificate(&account, issuer, serial).unwrap().unwrap().der;
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.public_key().raw, key, "the key is in it, byte for byte");
        let usage = certificate.key_usage().unwrap().unwrap();
        assert!(usage.value.flags == 1 && usage.critical, "digitalSignature alone");
        let has_policies = |one: &ParsedExtension<'_>| matches!(one, ParsedExtension::CertificatePolicies(_));
        assert!(!certificate.iter_extensions().any(|one| has_policies(one.parsed_extension())), "no claim");
        let claim = view.order.claim.unwrap();
        assert_eq!(claim.key_spki_hash.unwrap()[..], *digest(&SHA256, key).as_ref());
        process.stop();
    }
}

#[test]
fn another_profile_refuses_them_and_loses_nothing() {
    let unlisted = private(&[KeyType::EcdsaP256]);
    for (world, why) in [(World::new(), "Baseline Requirements, section 6.1.5"), (unlisted, "ecdsa-p256")] {
        let process = world.start();
        let account = process.account();
        let order = process.ready_order(&account, &NAMES);
        for (kind, _, request) in MADE {
            let refused = refusal(process.finalize(&account, order.order.id, request));
            assert_eq!(refused.error, ErrorType::BadCsr);
            assert!(!kind.is_available() || refused.detail.contains(why), "{}", refused.detail);
        }
        assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Ready);
        let other = csr(&Key::new(), &NAMES);
        assert_eq!(process.finalize(&account, order.order.id, &other).unwrap().status, OrderStatus::Valid);
        process.stop();
    }
}

/// The hash is known of a key that this build cannot even read, and counts for every kind.
#[test]
fn a_key_is_blocked_by_its_hash_before_and_at_finalize() {
    for (kind, key, request) in MADE {
        let world = private(&[kind]);
        let process = world.start();
        let account = process.account();
        let order = process.ready_order(&account, &NAMES);
        let hash = <[u8; 32]>::try_from(digest(&SHA256, key).as_ref()).unwrap();
        let source = Some("a list".to_owned());
        let block = act("key.block");
        let (blocked, _) =
            process.acts(process.authority.keys_block(&block, &[hash], Reason::KeyCompromise, source));
        assert_eq!(blocked.unwrap().new, 1);
        let refused = refusal(process.finalize(&account, order.order.id, request));
        assert_eq!(refused.error, ErrorType::BadCsr);
        if is_available() {
            assert!(refused.detail.contains("known to be compromised"), "{}", refused.detail);
            assert!(process.authority.key_is_blocked(&PublicKey::from_spki(key).unwrap()).unwrap());
        }
        assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Ready);
        process.stop();
    }
}
