use ingam_protocol::time::SeededRandom;

use super::*;

#[tokio::test]
async fn every_kind_signs_and_its_signature_verifies() {
    let random = SeededRandom::new(1);
    let keys = [
        (KeyKind::EcdsaP256, Algorithm::EcdsaP256Sha256),
        (KeyKind::EcdsaP384, Algorithm::EcdsaP384Sha384),
        (KeyKind::Rsa2048, Algorithm::RsaSha256),
        (KeyKind::Rsa3072, Algorithm::RsaSha256),
    ];
    for (kind, algorithm) in keys {
        let loaded = Key::load(&PrivateKey::generate(kind, &random).unwrap()).unwrap();
        assert_eq!((loaded.algorithm(), loaded.kind()), (algorithm, kind));
        let public_key = loaded.public_key().to_vec();
        loaded.sign_checked(&public_key, b"a message").await.unwrap();
    }
}

#[tokio::test]
async fn a_signature_that_does_not_fit_the_certificate_stays_here() {
    let random = SeededRandom::new(2);
    let key = Key::load(&PrivateKey::generate(KeyKind::EcdsaP256, &random).unwrap()).unwrap();
    let other = Key::load(&PrivateKey::generate(KeyKind::EcdsaP256, &random).unwrap()).unwrap();
    assert!(matches!(key.sign_checked(other.public_key(), b"a message").await, Err(Error::Unavailable(_))));
}

#[test]
fn what_is_no_key_is_refused_and_never_shown() {
    let key = PrivateKey::from_pkcs8(b"secret".to_vec());
    assert!(matches!(Key::load(&key), Err(Error::Load(..))));
    assert!(!format!("{key:?}").contains("115"));
}
