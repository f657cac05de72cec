//! What is taken over works as what was made here; what would not work is refused, and the file named. The CAs are made
//! by rcgen alone, as another program would make them.

use std::fs;

use ingam_protocol::time::{FixedClock, SeededRandom};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
};
use tempfile::TempDir;

use super::*;
use crate::hierarchy::Protection;
use crate::testing::{name, now};

/// A CA of another maker, in files.
struct Foreign {
    folder: TempDir,
    root: rcgen::Issuer<'static, KeyPair>,
}

fn ca_params(subject: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now().minus(Duration::from_secs(86400)).to_date_time();
    params.not_after = now().plus(Duration::from_secs(86400)).to_date_time();
    params
}

impl Foreign {
    fn new() -> Self {
        let (folder, key) = (tempfile::tempdir().unwrap(), KeyPair::generate().unwrap());
        let certificate = ca_params("Elsewhere").self_signed(&key).unwrap();
        fs::write(folder.path().join("root.pem"), certificate.pem()).unwrap();
        let made = Self { folder, root: rcgen::Issuer::new(ca_params("Elsewhere"), key) };
        made.issue("issuer", ca_params("Below"), &KeyPair::generate().unwrap());
        made
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn issue(&self, file: &str, params: CertificateParams, key: &KeyPair) {
        let certificate = params.signed_by(key, &self.root).unwrap();
        fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    fn existing(&self, issuers: &[&str]) -> Existing {
        let issuers = issuers.iter().map(|file| ExistingIssuer {
            name: name(file),
            certificate: self.path(&format!("{file}.pem")),
            key: KeyLocation::File(self.path(&format!("{file}.key"))),
        });
        Existing {
            root: name("root"),
            root_certificate: self.path("root.pem"),
            issuers: issuers.collect(),
            passphrase: None,
            pin: None,
            further: Vec::new(),
        }
    }

    fn refusal(&self, issuers: &[&str]) -> String {
        take_over(&self.existing(issuers)).unwrap_err().to_string()
    }
}

fn take_over(existing: &Existing) -> Result<Hierarchy, Error> {
    Hierarchy::take_over(existing, &FixedClock::new(now()), &SeededRandom::new(5))
}

#[test]
fn what_is_taken_over_is_saved_and_loaded_as_any_other() {
    let (foreign, folder) = (Foreign::new(), tempfile::tempdir().unwrap());
    foreign.issue("second", ca_params("Second"), &KeyPair::generate().unwrap());
    let taken = take_over(&foreign.existing(&["issuer", "second"])).unwrap();
    taken.save(folder.path(), &Protection::default(), &SeededRandom::new(6)).unwrap();
    let loaded = Hierarchy::load(folder.path(), None).unwrap();
    assert_eq!(loaded.root.certificate, taken.root.certificate);
    assert_eq!(loaded.intermediates.len(), 2);
    assert!(!folder.path().join("keys/root.pem").exists(), "the root's key was never asked for");
}

#[test]
fn text_around_a_certificate_does_not_matter() {
    let foreign = Foreign::new();
    let path = foreign.path("issuer.pem");
    let pem = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("Certificate:\n    Data:\n{pem}\n")).unwrap();
    take_over(&foreign.existing(&["issuer"])).unwrap();
    fs::write(&path, format!("{pem}{pem}")).unwrap();
    assert!(foreign.refusal(&["issuer"]).contains("2 PEM blocks"));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let (foreign, other) = (Foreign::new(), Foreign::new());
    let copy = |from: &Foreign, file: &str| fs::copy(from.path(file), foreign.path(file)).unwrap();
    let kept = fs::read(foreign.path("issuer.key")).unwrap();
    copy(&other, "issuer.key");
    let error = foreign.refusal(&["issuer"]);
    assert!(error.contains("issuer.key") && error.contains("does not belong to"), "{error}");
    fs::write(foreign.path("issuer.key"), kept).unwrap();
    copy(&other, "root.pem");
    let error = foreign.refusal(&["issuer"]);
    assert!(error.contains("issuer.pem") && error.contains("no chain leads from it to a root"), "{error}");
    fs::copy(foreign.path("issuer.pem"), foreign.path("root.pem")).unwrap();
    let error = foreign.refusal(&["issuer"]);
    assert!(error.contains("root.pem") && error.contains("this is no root"), "{error}");
}

#[test]
fn what_would_not_work_is_refused() {
    let foreign = Foreign::new();
    let key = || KeyPair::generate().unwrap();
    let refused = |change: &dyn Fn(&mut CertificateParams), key: &KeyPair, complaint: &str| {
        let mut params = ca_params("Bad");
        change(&mut params);
        foreign.issue("bad", params, key);
        let error = foreign.refusal(&["bad"]);
        assert!(error.contains(complaint) && error.contains("bad."), "{complaint}: {error}");
    };
    refused(&|params| params.is_ca = IsCa::ExplicitNoCa, &key(), "basicConstraints");
    refused(&|params| params.key_usages.truncate(1), &key(), "keyUsage");
    refused(
        &|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        &key(),
        "extKeyUsage",
    );
    let below = vec![GeneralSubtree::DnsName("corp.example".to_owned())];
    let constraints = NameConstraints { permitted_subtrees: below, excluded_subtrees: vec![] };
    refused(&|params| params.name_constraints = Some(constraints.clone()), &key(), "nameConstraints");
    refused(
        &|params| params.not_after = now().minus(Duration::from_secs(1)).to_date_time(),
        &key(),
        "this certificate ended at",
    );
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    refused(&|_| {}, &ed25519, "no PKCS #8 key on");
}

#[test]
fn an_issuing_ca_on_p384_is_taken_over() {
    let foreign = Foreign::new();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    foreign.issue("p384", ca_params("On P-384"), &key);
    let taken = take_over(&foreign.existing(&["p384"])).unwrap();
    assert_eq!(taken.intermediates[0].key_kind().unwrap(), KeyKind::EcdsaP384);
}

#[test]
fn one_key_has_one_certificate() {
    let foreign = Foreign::new();
    let key = KeyPair::generate().unwrap();
    foreign.issue("one", ca_params("One"), &key);
    foreign.issue("two", ca_params("Two"), &key);
    let error = foreign.refusal(&["one", "two"]);
    assert!(error.contains("two.pem: has the key of 'one': make a key"), "{error}");
    foreign.issue("three", ca_params("Three"), foreign.root.key());
    let error = foreign.refusal(&["three"]);
    assert!(error.contains("three.pem: has the key of 'root': make a key"), "{error}");
}

#[test]
fn names_and_certificates_are_there_once() {
    let foreign = Foreign::new();
    assert!(foreign.refusal(&["issuer", "issuer"]).contains("a name is there twice"));
    assert!(foreign.refusal(&[]).contains("1 to 16"));
    for file in ["pem", "key"] {
        fs::copy(foreign.path(&format!("issuer.{file}")), foreign.path(&format!("again.{file}"))).unwrap();
    }
    assert!(foreign.refusal(&["issuer", "again"]).contains("for two issuers"));
    let missing = Existing { root_certificate: "/nowhere.pem".into(), ..foreign.existing(&["issuer"]) };
    assert!(take_over(&missing).unwrap_err().to_string().contains("/nowhere.pem"));
}
