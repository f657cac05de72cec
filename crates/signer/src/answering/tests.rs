//! Responders apart from the CA: they get certificates as the CA's own delegates do, and sign by nothing but what an issuer gave them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use ingam_protocol::key::PublicKey;
use ingam_protocol::ocsp::{CertStatus, Response, SingleResponse};
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::{Random, Timestamp};
use rcgen::PublicKeyData;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::AnswerKey;
use crate::key::Key;
use crate::testing::{hierarchy, ledger, name, now, signer, urls};
use crate::{
    CaKey, DelegateKey, Error, KeyKind, KeyLocation, LocalSigner, OCSP_DELEGATE_VALIDITY, OcspAnswer,
    PrivateKey, Signer,
};

const DAY: Duration = Duration::from_secs(86400);

/// A responder's key, and its public half as the CA knows it.
fn key(called: &str, kind: KeyKind) -> (CaKey, Result<DelegateKey, Error>) {
    let held = CaKey::Held(PrivateKey::generate(kind, &SeededRandom::new(7)).unwrap());
    let info = Key::of(&held).unwrap().subject_public_key_info();
    let public = PublicKey::from_spki(&info).unwrap();
    (held, DelegateKey::new(called.to_owned(), public))
}

fn delegating(clock: &Arc<FixedClock>, keys: Vec<DelegateKey>) -> LocalSigner {
    let signer = signer(clock.clone());
    signer.delegate_to(&keys).unwrap();
    signer
}

fn answer(this_update: Timestamp, next_update: Timestamp, produced_at: Timestamp) -> OcspAnswer {
    let single =
        SingleResponse { cert_id: vec![0x30, 0x00], status: CertStatus::Good, this_update, next_update };
    OcspAnswer { responses: vec![single], produced_at, nonce: Some(vec![5; 16]) }
}

#[tokio::test]
async fn each_issuer_certifies_a_responders_key_and_renews_that() {
    let clock = Arc::new(FixedClock::new(now()));
    let (_, tokyo) = key("tokyo", KeyKind::EcdsaP256);
    let (_, lima) = key("lima", KeyKind::EcdsaP256);
    let signer = delegating(&clock, vec![tokyo.unwrap(), lima.unwrap()]);
    assert_eq!(signer.delegates_apart(), []);
    let made = signer.renew_delegates(now()).await;
    let apart: Vec<_> = made.iter().filter(|made| made.responder.is_some()).collect();
    assert_eq!(
        (made.len(), apart.len()),
        (5, 4),
        "one for the issuer with an RSA key, and two for each responder"
    );
    assert_eq!(signer.delegates_apart().len(), 4);
    let own = made.iter().find(|made| made.responder.is_none()).unwrap();
    for certificate in &apart {
        let (_, parsed) = X509Certificate::from_der(&certificate.certificate).unwrap();
        let (_, usual) = X509Certificate::from_der(&own.certificate).unwrap();
        let extensions = |certificate: &X509Certificate<'_>| {
            certificate.extensions().iter().map(|extension| extension.oid.to_id_string()).collect::<Vec<_>>()
        };
        assert_eq!(extensions(&parsed), extensions(&usual), "the same profile as the CA's own");
        assert_eq!(certificate.not_after, own.not_after);
    }
    let before = signer.delegates_apart();
    assert_eq!(signer.renew_delegates(now().plus(19 * DAY)).await, []);
    clock.set(now().plus(21 * DAY));
    assert_eq!(signer.renew_delegates(now().plus(21 * DAY)).await.len(), 5);
    let after = signer.delegates_apart();
    assert_eq!(after.len(), 4);
    assert!(before.iter().zip(&after).all(|(before, after)| before.not_after < after.not_after));
}

#[tokio::test]
async fn a_responder_signs_by_its_own_certificates_and_by_no_others() {
    let clock = Arc::new(FixedClock::new(now()));
    let ((tokyo, public), (lima, other)) =
        (key("tokyo", KeyKind::EcdsaP256), key("lima", KeyKind::EcdsaP256));
    let signer = delegating(&clock, vec![public.unwrap(), other.unwrap()]);
    signer.renew_delegates(now()).await;
    let (tokyo, lima) = (AnswerKey::new(&tokyo).unwrap(), AnswerKey::new(&lima).unwrap());
    for issuer in signer.issuers() {
        for listed in signer.delegates_apart() {
            let is_meant = listed.issuer == issuer.name && listed.responder.as_deref() == Some("tokyo");
            let delegate = tokyo.certified(issuer, &listed.certificate);
            assert_eq!(delegate.is_some(), is_meant, "{} {:?}", listed.issuer, listed.responder);
            let Some(delegate) = delegate else { continue };
            assert!(lima.certified(issuer, &listed.certificate).is_none());
            assert_eq!((delegate.serial(), delegate.not_after()), (&listed.serial, listed.not_after));
            let until = now().plus(7 * DAY);
            let signed = delegate.sign_ocsp(answer(now(), until, now()), now()).await.unwrap();
            let Ok(Response::Answer(read)) = Response::read(&signed) else { panic!("no answer") };
            assert!(issuer.has_answered(&read, now()));
            assert!(!issuer.has_answered(&read, delegate.not_after().plus(DAY)));
            let mut changed = listed.certificate.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert!(tokyo.certified(issuer, &changed).is_none(), "the issuer did not sign that");
        }
    }
    // The CA's own delegate is nobody else's.
    let own =
        signer.renew_delegates(now().plus(21 * DAY)).await.into_iter().find(|made| made.responder.is_none());
    let rsa = signer.issuers().iter().find(|issuer| issuer.name == name("rsa")).unwrap();
    assert!(tokyo.certified(rsa, &own.unwrap().certificate).is_none());
}

#[tokio::test]
async fn a_key_that_is_taken_out_has_no_certificates_any_more() {
    let clock = Arc::new(FixedClock::new(now()));
    let keys = ["tokyo", "lima"].map(|called| key(called, KeyKind::EcdsaP256).1.unwrap());
    let signer = delegating(&clock, keys.to_vec());
    signer.renew_delegates(now()).await;
    signer.delegate_to(&keys[1..]).unwrap();
    let names = |signer: &LocalSigner| {
        signer.delegates_apart().into_iter().map(|listed| listed.responder.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(names(&signer), ["lima", "lima"]);
    // Another key by the same name is another responder.
    let other = key("lima", KeyKind::EcdsaP256).1.unwrap();
    signer.delegate_to(std::slice::from_ref(&other)).unwrap();
    assert_eq!(signer.delegates_apart(), []);
    assert_eq!(signer.renew_delegates(now()).await.len(), 2);
    assert!(signer.delegates_apart().iter().all(|listed| other.is_certified_by(&listed.certificate)));
}

/// Randomness that has a key taken out, and another put in its place, while a certificate is being made for it.
struct Replacing {
    random: SeededRandom,
    signer: OnceLock<Weak<LocalSigner>>,
    next: Mutex<Option<Vec<DelegateKey>>>,
}

impl Random for Replacing {
    fn fill(&self, buffer: &mut [u8]) {
        self.random.fill(buffer);
        let signer = self.signer.get().and_then(Weak::upgrade);
        let next = signer.as_ref().and_then(|_| self.next.lock().unwrap().take());
        if let (Some(signer), Some(keys)) = (signer, next) {
            signer.delegate_to(&keys).unwrap();
        }
    }
}

#[tokio::test]
async fn a_key_that_is_replaced_while_it_is_certified_leaves_nothing_behind() {
    let clock = Arc::new(FixedClock::new(now()));
    let random =
        Arc::new(Replacing { random: SeededRandom::new(2), signer: OnceLock::new(), next: Mutex::default() });
    let urls = BTreeMap::from(["ecdsa", "rsa"].map(|issuer| (name(issuer), urls(issuer))));
    let (ledger, source) = (ledger(&clock), random.clone());
    let signer = Arc::new(LocalSigner::new(hierarchy(), urls, ledger, clock, source).unwrap());
    // The issuer's own delegate is there before.
    signer.renew_delegates(now()).await;
    let named = |called: &str, of: u64| {
        let held = CaKey::Held(PrivateKey::generate(KeyKind::EcdsaP256, &SeededRandom::new(of)).unwrap());
        let info = Key::of(&held).unwrap().subject_public_key_info();
        DelegateKey::new(called.to_owned(), PublicKey::from_spki(&info).unwrap()).unwrap()
    };
    let (first, second) = (named("lima", 7), named("lima", 8));
    signer.delegate_to(std::slice::from_ref(&first)).unwrap();
    *random.next.lock().unwrap() = Some(vec![second.clone()]);
    random.signer.set(Arc::downgrade(&signer)).unwrap();
    let made = signer.renew_delegates(now()).await;
    let of = |key: &DelegateKey| made.iter().filter(|made| key.is_certified_by(&made.certificate)).count();
    assert_eq!(of(&first), 1, "what was signed is told, and nothing more is signed for a key that is out");
    let listed = signer.delegates_apart();
    assert!(listed.iter().all(|listed| second.is_certified_by(&listed.certificate)), "{listed:?}");
    signer.renew_delegates(now()).await;
    let listed = signer.delegates_apart();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|listed| second.is_certified_by(&listed.certificate)));
}

#[tokio::test]
async fn nothing_is_signed_beyond_the_certificate() {
    let clock = Arc::new(FixedClock::new(now()));
    let (held, public) = key("tokyo", KeyKind::EcdsaP256);
    let signer = delegating(&clock, vec![public.unwrap()]);
    signer.renew_delegates(now()).await;
    let listed = &signer.delegates_apart()[0];
    let issuer = signer.issuers().iter().find(|issuer| issuer.name == listed.issuer).unwrap();
    let delegate = AnswerKey::new(&held).unwrap().certified(issuer, &listed.certificate).unwrap();
    let end = delegate.not_after();
    assert_eq!(
        end.since(delegate.not_before()),
        OCSP_DELEGATE_VALIDITY.saturating_sub(Duration::from_secs(1))
    );
    let late = end.minus(DAY);
    assert!(delegate.sign_ocsp(answer(late, end, late), late).await.is_ok());
    let second = Duration::from_secs(1);
    for wrong in [answer(late, end.plus(second), late), answer(end, late, late)] {
        assert!(matches!(delegate.sign_ocsp(wrong, late).await, Err(Error::Refused(_))));
    }
    let early = delegate.not_before().minus(second);
    assert!(delegate.sign_ocsp(answer(early, now(), early), now()).await.is_err());
}

#[test]
fn a_key_in_a_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("live.key");
    let key = PrivateKey::generate(KeyKind::EcdsaP256, &SeededRandom::new(7)).unwrap();
    std::fs::write(&path, crate::storage::key_to_pem(&key).unwrap().as_bytes()).unwrap();
    let open = |mode| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        AnswerKey::open(&KeyLocation::File(path.clone()), None)
    };
    assert!(open(0o600).is_ok() && open(0o400).is_ok());
    for mode in [0o640, 0o604, 0o666] {
        let refused = open(mode).err().unwrap().to_string();
        assert!(refused.contains("`chmod 600` it"), "{refused}");
    }
    let nowhere = KeyLocation::File(folder.path().join("nowhere"));
    assert!(AnswerKey::open(&nowhere, None).err().unwrap().to_string().contains("nowhere"));
}

#[test]
fn keys_of_other_kinds_and_of_issuers_are_refused() {
    for kind in [KeyKind::EcdsaP384, KeyKind::Rsa2048] {
        let (held, public) = key("tokyo", kind);
        for refused in [public.unwrap_err(), AnswerKey::new(&held).err().unwrap()] {
            assert!(refused.to_string().ends_with("and not on P-256"), "{refused}");
        }
    }
    let clock = Arc::new(FixedClock::new(now()));
    let ca = signer(clock.clone());
    let issuer = ca.issuers().iter().find(|issuer| issuer.key == KeyKind::EcdsaP256).unwrap();
    let (_, certificate) = X509Certificate::from_der(&issuer.certificate).unwrap();
    let public = PublicKey::from_spki(certificate.public_key().raw).unwrap();
    let stolen = DelegateKey::new("tokyo".to_owned(), public).unwrap();
    let refused = signer(clock).delegate_to(&[stolen]).unwrap_err();
    assert!(refused.to_string().contains("is that of the CA 'ecdsa'"), "{refused}");
}
