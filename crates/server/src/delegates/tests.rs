//! Keys that are of no use are refused, those that are blocked get nothing, and nothing is given out that is not on record.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ingam_authority::Fault;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::bytes::hex;
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_responder::Delegate;
use ingam_signer::hierarchy::{IssuerPlan, Plan};
use ingam_signer::{Hierarchy, IssuerUrls, KeyKind, Ledger, LocalSigner};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PublicKeyData};
use ring::digest::{SHA256, digest};

use super::*;

fn config(folder: &Path, files: &[(&str, &str)]) -> Config {
    let mut config = Config::default();
    for (name, text) in files {
        let key = folder.join(format!("{name}.pub"));
        fs::write(&key, text).unwrap();
        config.responder.delegates.push(Delegate { name: (*name).to_owned(), key });
    }
    config
}

fn refused(config: &Config) -> String {
    let finding = keys(config).unwrap_err();
    assert_eq!(finding.key, KEY);
    finding.to_string()
}

#[test]
fn keys_that_are_of_no_use_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (good, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let large = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap().public_key_pem();
    let (good_pem, other_pem) = (good.public_key_pem(), other.public_key_pem());
    let config = |files: &[(&str, &str)]| config(folder.path(), files);
    let read = keys(&config(&[("tokyo", &good_pem), ("lima", &other_pem)])).unwrap();
    assert_eq!(read.iter().map(DelegateKey::name).collect::<Vec<_>>(), ["tokyo", "lima"]);
    for (text, why) in [
        (large.as_str(), "and not on P-256"),
        (&good.serialize_pem(), "is no public key in PEM"),
        ("", "is no public key in PEM"),
        (&good_pem, "is also that of tokyo"),
    ] {
        let words = refused(&config(&[("tokyo", &good_pem), ("lima", text)]));
        assert!(words.contains("has lima, whose key") && words.contains(why), "{words}");
    }
    let mut missing = config(&[("tokyo", &good_pem)]);
    missing.responder.delegates[0].key = folder.path().join("nowhere");
    assert!(refused(&missing).contains("cannot be read"));

    let mut weak = config(&[("tokyo", &good_pem)]);
    let list = folder.path().join("weak");
    fs::write(&list, hex(digest(&SHA256, &good.subject_public_key_info()).as_ref())).unwrap();
    weak.issuance.weak_key_lists = vec![list];
    assert!(refused(&weak).contains("must not be used"));
}

/// What counts of the keys that are listed, as the CA's store says.
struct World {
    signer: Arc<LocalSigner>,
    delegates: Arc<Delegates>,
    blocked: Arc<Mutex<Vec<PublicKey>>>,
    is_broken: Arc<AtomicBool>,
}

fn key(name: &str) -> DelegateKey {
    let public = KeyPair::generate().unwrap().subject_public_key_info();
    DelegateKey::new(name.to_owned(), PublicKey::from_spki(&public).unwrap()).unwrap()
}

impl World {
    /// With these keys listed, of which those in `blocked` are.
    fn new(keys: &[DelegateKey], blocked: &[&DelegateKey]) -> Self {
        let clock = Arc::new(FixedClock::new(Timestamp::from_unix_s(1_795_255_200)));
        let random = Arc::new(SeededRandom::new(3));
        let name = |text: &str| IssuerName::try_from(text.to_owned()).unwrap();
        let plan = Plan {
            is_public: false,
            country: "XX".to_owned(),
            organization: "Ingam Tests".to_owned(),
            root: name("root"),
            publication: "http://localhost:14080".to_owned(),
            issuers: vec![IssuerPlan { name: name("ecdsa"), key: KeyKind::EcdsaP256 }],
        };
        let hierarchy = Hierarchy::create(&plan, clock.as_ref(), random.as_ref()).unwrap();
        let urls = IssuerUrls {
            ocsp: "http://localhost:14080/ocsp".to_owned(),
            issuer: "http://localhost:14080/issuer/ecdsa".to_owned(),
            crl: "http://localhost:14080/crl/ecdsa".to_owned(),
        };
        let ledger = Ledger::open(Arc::new(SimulatedDisk::new()), clock.clone()).unwrap();
        let urls = BTreeMap::from([(name("ecdsa"), urls)]);
        let signer = Arc::new(LocalSigner::new(hierarchy, urls, ledger, clock, random).unwrap());
        let blocked: Vec<PublicKey> = blocked.iter().map(|key| key.key().clone()).collect();
        let (blocked, is_broken) = (Arc::new(Mutex::new(blocked)), Arc::new(AtomicBool::new(false)));
        let (looked, broken) = (blocked.clone(), is_broken.clone());
        let is_blocked = move |key: &PublicKey| match broken.load(Ordering::SeqCst) {
            true => Err(ingam_authority::Error::Fault(Fault {
                code: "store_io",
                doing: "reading",
                passing: false,
                source: "the disk is gone".into(),
            })),
            false => Ok(looked.lock().unwrap().contains(key)),
        };
        let delegates = Delegates::new(is_blocked, signer.clone(), keys.to_vec()).unwrap();
        Self { signer, delegates, blocked, is_broken }
    }

    /// What the CA does each minute: whose certificates were made, and put on record.
    async fn renew(&self) -> Vec<String> {
        let made = self.delegates.renew().await.unwrap();
        self.delegates.are_recorded(&made);
        names(made)
    }

    fn listed(&self) -> Vec<String> {
        names(self.delegates.certificates())
    }
}

fn names(certificates: Vec<DelegateCertificate>) -> Vec<String> {
    certificates.into_iter().filter_map(|certificate| certificate.responder).collect()
}

#[tokio::test]
async fn a_key_that_is_blocked_is_certified_no_more() {
    let (tokyo, lima) = (key("tokyo"), key("lima"));
    let world = World::new(&[tokyo.clone(), lima.clone()], &[]);
    assert_eq!(world.renew().await, ["tokyo", "lima"]);
    assert_eq!(world.listed(), ["lima", "tokyo"]);
    world.blocked.lock().unwrap().push(tokyo.key().clone());
    // With the next manifest, and not only with the next renewal.
    assert_eq!(world.listed(), ["lima"]);
    assert_eq!(names(world.signer.delegates_apart()), ["lima"], "the signer was told");
    assert_eq!(world.delegates.blocked(), ["tokyo"]);
    let late = Timestamp::from_unix_s(1_795_255_200).plus(Duration::from_secs(25 * 86_400));
    assert_eq!(names(world.signer.renew_delegates(late).await), ["lima"]);
    let waiting = world.delegates.not_after(late);
    assert!(waiting.iter().all(|(name, ..)| name == "lima"), "nothing is missed for a key that is blocked");

    // Blocked between two manifests, it is seen before anything is made.
    let world = World::new(&[tokyo.clone(), lima], &[]);
    world.blocked.lock().unwrap().push(tokyo.key().clone());
    assert_eq!(world.renew().await, ["lima"]);
    // If it was blocked by mistake, it is certified like any other.
    world.blocked.lock().unwrap().clear();
    assert_eq!(world.renew().await, ["tokyo"]);
    assert_eq!(world.delegates.blocked(), [""; 0]);
}

#[tokio::test]
async fn a_start_with_a_blocked_key_goes_on_without_it() {
    let (tokyo, lima) = (key("tokyo"), key("lima"));
    let world = World::new(&[tokyo.clone(), lima.clone()], &[&tokyo]);
    assert_eq!(world.renew().await, ["lima"]);
    assert_eq!(
        (world.listed(), world.delegates.blocked()),
        (vec!["lima".to_owned()], vec!["tokyo".to_owned()])
    );
    assert!(world.delegates.are(&[tokyo.clone(), lima.clone()]));
    // Whoever reloads is there to read why that is no good.
    let refused = world.delegates.examine(&[tokyo, lima]).unwrap_err().to_string();
    assert!(refused.contains("has tokyo, whose key is blocked"), "{refused}");
}

#[tokio::test]
async fn nothing_is_made_or_listed_while_nobody_knows_what_is_blocked() {
    let world = World::new(&[key("tokyo")], &[]);
    world.is_broken.store(true, Ordering::SeqCst);
    let refused = world.delegates.renew().await.unwrap_err().to_string();
    assert!(refused.contains("cannot be held against the keys that are blocked"), "{refused}");
    world.is_broken.store(false, Ordering::SeqCst);
    assert_eq!(world.renew().await, ["tokyo"]);
    world.is_broken.store(true, Ordering::SeqCst);
    assert_eq!(world.listed(), [""; 0]);
    world.is_broken.store(false, Ordering::SeqCst);
    assert_eq!(world.listed(), ["tokyo"]);
}

#[tokio::test]
async fn certificates_are_listed_once_they_are_on_record() {
    let world = World::new(&[key("tokyo")], &[]);
    let made = world.delegates.renew().await.unwrap();
    assert_eq!(made, world.signer.delegates_apart());
    assert_eq!(world.delegates.certificates(), []);
    let now = Timestamp::from_unix_s(1_795_255_200);
    assert_eq!(world.delegates.not_after(now)[0].2, None);
    world.delegates.are_recorded(&made);
    assert_eq!(world.delegates.certificates(), made);
    assert_eq!(world.delegates.not_after(now)[0].2, Some(made[0].not_after));
    // The next one is not by that, and what it replaced counts no more.
    let late = now.plus(Duration::from_secs(25 * 86_400));
    let next = world.signer.renew_delegates(late).await;
    assert_eq!(world.delegates.certificates(), []);
    world.delegates.are_recorded(&next);
    assert_eq!(world.delegates.certificates(), next);
}
