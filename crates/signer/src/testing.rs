//! What the tests of several modules need: a hierarchy, a clock that stands still, requests.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::profile::{IssuerName, Profile, ProfileName};
use ingam_protocol::time::{FixedClock, SeededRandom};
use ingam_protocol::{Identifier, Serial, Timestamp};
use rcgen::PublicKeyData as _;

use crate::ca::SigningCa;
use crate::hierarchy::{IssuerPlan, Plan};
use crate::key::Key;
use crate::{CertificateRequest, Hierarchy, IssuerUrls, KeyKind, Ledger, LocalSigner, PrivateKey};

/// When the tests take place: 2026-11-21T10:00:00Z.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

pub(crate) fn name(text: &str) -> IssuerName {
    IssuerName::try_from(text.to_owned()).unwrap()
}

pub(crate) fn plan() -> Plan {
    Plan {
        is_public: true,
        country: "XX".to_owned(),
        organization: "Ingam Development".to_owned(),
        root: name("root"),
        publication: "http://localhost:14080".to_owned(),
        issuers: vec![
            IssuerPlan { name: name("ecdsa"), key: KeyKind::EcdsaP256 },
            IssuerPlan { name: name("rsa"), key: KeyKind::Rsa2048 },
        ],
    }
}

/// One hierarchy for all tests that only read it, as RSA keys take their time.
pub(crate) fn hierarchy() -> Hierarchy {
    static MADE: OnceLock<Hierarchy> = OnceLock::new();
    let make = || Hierarchy::create(&plan(), &FixedClock::new(now()), &SeededRandom::new(1)).unwrap();
    MADE.get_or_init(make).clone()
}

pub(crate) fn urls(issuer: &str) -> IssuerUrls {
    IssuerUrls {
        ocsp: "http://localhost:14080/ocsp".to_owned(),
        issuer: format!("http://localhost:14080/issuer/{issuer}"),
        crl: format!("http://localhost:14080/crl/{issuer}"),
    }
}

pub(crate) fn signing_ca(issuer: &str) -> SigningCa {
    let Hierarchy { intermediates, .. } = hierarchy();
    let own = intermediates.into_iter().find(|intermediate| intermediate.name == name(issuer)).unwrap();
    SigningCa::load(own, urls(issuer)).unwrap()
}

pub(crate) fn signer(clock: Arc<FixedClock>) -> LocalSigner {
    let urls = BTreeMap::from(["ecdsa", "rsa"].map(|issuer| (name(issuer), urls(issuer))));
    LocalSigner::new(hierarchy(), urls, ledger(&clock), clock, Arc::new(SeededRandom::new(2))).unwrap()
}

/// A ledger on a disk of its own.
pub(crate) fn ledger(clock: &Arc<FixedClock>) -> Ledger {
    Ledger::open(Arc::new(SimulatedDisk::new()), clock.clone()).unwrap()
}

pub(crate) fn profile(issuer: &str) -> Profile {
    Profile {
        description: "ninety days".to_owned(),
        order_lifetime: Duration::from_secs(86400),
        pending_authorization_lifetime: Duration::from_secs(86400),
        valid_authorization_lifetime: Duration::from_secs(86400),
        ..Profile::usual(ProfileName::try_from("classic".to_owned()).unwrap(), name(issuer))
    }
}

/// A SubjectPublicKeyInfo with a new key.
pub(crate) fn public_key_info(kind: KeyKind) -> Vec<u8> {
    let key = PrivateKey::generate(kind, &SeededRandom::new(3)).unwrap();
    Key::load(&key).unwrap().subject_public_key_info()
}

pub(crate) fn request(issuer: &str, names: &[&str]) -> CertificateRequest {
    CertificateRequest {
        not_before: None,
        not_after: None,
        profile: Arc::new(profile(issuer)),
        issuer: name(issuer),
        must_staple: false,
        serial: Serial::new(&SeededRandom::new(4)),
        identifiers: names.iter().map(|name| Identifier::parse_dns(name).unwrap()).collect(),
        public_key_info: public_key_info(KeyKind::EcdsaP256),
        now: now(),
    }
}
