//! A hierarchy comes back as it was saved, or not at all; and what does not belong together is named.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ingam_protocol::time::{FixedClock, SeededRandom};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::*;
use crate::testing::{hierarchy, name, now, plan};

/// A plan whose keys are made quickly.
fn elliptic() -> Plan {
    Plan { issuers: vec![IssuerPlan { name: name("ecdsa"), key: KeyKind::EcdsaP256 }], ..plan() }
}

fn create(seed: u64) -> Hierarchy {
    Hierarchy::create(&elliptic(), &FixedClock::new(now()), &SeededRandom::new(seed)).unwrap()
}

fn save(hierarchy: &Hierarchy, folder: &Path) {
    hierarchy.save(folder, &Protection::default(), &SeededRandom::new(3)).unwrap();
}

fn refusal(folder: &Path) -> String {
    Hierarchy::load(folder, None).unwrap_err().to_string()
}

#[test]
fn it_comes_back_as_it_was_saved() {
    let (folder, made) = (tempfile::tempdir().unwrap(), hierarchy());
    assert!(!Hierarchy::is_in(folder.path()));
    save(&made, folder.path());
    assert!(Hierarchy::is_in(folder.path()));
    let loaded = Hierarchy::load(folder.path(), None).unwrap();
    assert_eq!((&loaded.root.name, &loaded.root.certificate), (&made.root.name, &made.root.certificate));
    assert!(loaded.root.key.is_none());
    for (loaded, made) in loaded.intermediates.iter().zip(&made.intermediates) {
        assert_eq!((&loaded.name, &loaded.certificate), (&made.name, &made.certificate));
        assert_eq!(loaded.key, made.key);
    }
    assert_eq!(loaded.intermediates.len(), made.intermediates.len());
    for key in ["root", "ecdsa", "rsa"] {
        let metadata = fs::metadata(folder.path().join(format!("keys/{key}.pem"))).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(folder.path().join("keys")).unwrap().permissions().mode() & 0o777, 0o700);
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes().to_vec()).unwrap()
}

#[test]
fn keys_lie_under_the_passphrases_that_are_asked_for() {
    let (folder, made) = (tempfile::tempdir().unwrap(), create(1));
    let protection = Protection { root: Some(passphrase("offline")), issuers: Some(passphrase("at hand")) };
    made.write_at(Cost::NONE, folder.path(), &protection, &SeededRandom::new(4)).unwrap().take_up().unwrap();
    let at_hand = passphrase("at hand");
    let loaded = Hierarchy::load(folder.path(), Some(&at_hand)).unwrap();
    assert!(loaded.intermediates[0].key == made.intermediates[0].key);
    for (given, complaint) in
        [(None, "there is no passphrase"), (Some(passphrase("offline")), "does not open")]
    {
        let error = Hierarchy::load(folder.path(), given.as_ref()).unwrap_err().to_string();
        for part in ["keys/ecdsa.pem", complaint, "[hierarchy] passphrase_file", "issuer-passphrase"] {
            assert!(error.contains(part), "{error}");
        }
    }
    let root = fs::read(folder.path().join("keys/root.pem")).unwrap();
    let unlocking = Unlocking { passphrase: Some(&passphrase("offline")), given_by: "" };
    let root = storage::unlock_key(Path::new("root.pem"), &root, unlocking).unwrap();
    assert!(Some(root) == made.root.key);
    assert_eq!(
        fs::metadata(folder.path().join("keys/ecdsa.pem")).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn a_passphrase_for_keys_that_lie_open_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    save(&create(1), folder.path());
    Hierarchy::load(folder.path(), Some(&passphrase("needless"))).unwrap();
}

#[test]
fn key_files_are_told_apart_without_a_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let protection = Protection { root: None, issuers: Some(passphrase("at hand")) };
    create(1)
        .write_at(Cost::NONE, folder.path(), &protection, &SeededRandom::new(4))
        .unwrap()
        .take_up()
        .unwrap();
    let keys = folder.path().join("keys");
    let file = |name: &str, owner, is_encrypted| KeyFile { path: keys.join(name), owner, is_encrypted };
    let issuer = file("ecdsa.pem", KeyOwner::Issuer(name("ecdsa")), true);
    let root = file("root.pem", KeyOwner::Root, false);
    assert_eq!(Hierarchy::key_files(folder.path()).unwrap(), [issuer.clone(), root.clone()]);
    // What holds a key counts whatever its name, and what holds none does not.
    fs::copy(keys.join("root.pem"), keys.join("a copy")).unwrap();
    fs::write(keys.join("README"), "nothing").unwrap();
    let copy = file("a copy", KeyOwner::Nobody, false);
    assert_eq!(Hierarchy::key_files(folder.path()).unwrap(), [issuer.clone(), root, copy]);
    for name in ["root.pem", "a copy"] {
        fs::remove_file(keys.join(name)).unwrap();
    }
    assert_eq!(Hierarchy::key_files(folder.path()).unwrap(), [issuer]);
    fs::write(keys.join("ecdsa.pem"), "nothing").unwrap();
    assert!(Hierarchy::key_files(folder.path()).unwrap_err().to_string().contains("keys/ecdsa.pem"));
}

#[test]
fn it_loads_without_the_roots_key() {
    let folder = tempfile::tempdir().unwrap();
    save(&create(1), folder.path());
    fs::remove_file(folder.path().join("keys/root.pem")).unwrap();
    Hierarchy::load(folder.path(), None).unwrap();
}

#[test]
fn it_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    save(&create(1), folder.path());
    assert!(matches!(
        create(2).save(folder.path(), &Protection::default(), &SeededRandom::new(3)),
        Err(Error::Refused(_))
    ));
    Hierarchy::load(folder.path(), None).unwrap();
}

#[test]
fn what_a_broken_off_attempt_left_is_written_over() {
    let (folder, made) = (tempfile::tempdir().unwrap(), create(2));
    save(&create(1), folder.path());
    // The manifest comes last: without it, the attempt broke off before.
    fs::remove_file(folder.path().join(MANIFEST)).unwrap();
    assert!(refusal(folder.path()).contains("ingam init"));
    save(&made, folder.path());
    assert_eq!(Hierarchy::load(folder.path(), None).unwrap().root.certificate, made.root.certificate);
}

#[test]
fn what_is_written_is_no_hierarchy_before_it_is_taken_up() {
    let (folder, made) = (tempfile::tempdir().unwrap(), create(2));
    let written = made.write(folder.path(), &Protection::default(), &SeededRandom::new(3)).unwrap();
    assert_eq!(written.hierarchy().certificates(), made.certificates());
    assert!(!Hierarchy::is_in(folder.path()));
    written.take_up().unwrap();
    assert_eq!(Hierarchy::load(folder.path(), None).unwrap().certificates(), made.certificates());
}

#[test]
fn damaged_and_missing_files_are_named() {
    for file in ["roots/root.pem", "issuers/ecdsa.pem", "keys/ecdsa.pem", MANIFEST] {
        let folder = tempfile::tempdir().unwrap();
        save(&create(1), folder.path());
        let path = folder.path().join(file);
        let good = fs::read(&path).unwrap();
        let mut flipped = good.clone();
        let middle = good.len() / 2;
        flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
        for bad in [&b""[..], b"nonsense", &good[..middle], &flipped] {
            fs::write(&path, bad).unwrap();
            let text = refusal(folder.path());
            assert!(text.contains(file) || text.contains("ecdsa.pem"), "{file}: {text}");
        }
        fs::remove_file(&path).unwrap();
        assert!(refusal(folder.path()).contains(file));
    }
}

#[test]
fn what_belongs_to_another_hierarchy_is_refused() {
    for (file, complaint) in [
        ("roots/root.pem", "names another issuer"),
        ("issuers/ecdsa.pem", "names another issuer"),
        ("keys/ecdsa.pem", "the key does not belong to"),
    ] {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        save(&create(1), folder.path());
        save(&create(2), other.path());
        fs::copy(other.path().join(file), folder.path().join(file)).unwrap();
        let text = refusal(folder.path());
        assert!(text.contains(complaint) && text.contains(".pem"), "{text}");
    }
    // The same names, and so the same subjects, but another root's key.
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    save(&create(1), folder.path());
    save(&create(1), other.path());
    fs::copy(other.path().join("roots/root.pem"), folder.path().join("roots/root.pem")).unwrap();
    assert!(refusal(folder.path()).contains("was not signed by the issuer that it names"));
    // A leaf or the root in the place of an issuing CA.
    fs::copy(folder.path().join("issuers/ecdsa.pem"), folder.path().join("roots/root.pem")).unwrap();
    assert!(refusal(folder.path()).contains("this is no root"));
}

/// What earlier versions of this program wrote.
#[test]
fn the_first_version_is_read_as_it_was_meant() {
    let (folder, made) = (tempfile::tempdir().unwrap(), create(1));
    save(&made, folder.path());
    let first = r#"{"version":1,"root":"root","issuers":["ecdsa"]}"#;
    fs::write(folder.path().join(MANIFEST), first).unwrap();
    let loaded = Hierarchy::load(folder.path(), None).unwrap();
    assert_eq!(loaded.intermediates[0].chains, made.intermediates[0].chains);
    assert_eq!(fs::read_to_string(folder.path().join(MANIFEST)).unwrap(), first, "it stays as it is");
}

#[test]
fn newer_and_unknown_manifests_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    save(&create(1), folder.path());
    for (manifest, complaint) in [
        (r#"{"version":3,"anything":[]}"#, "version 3"),
        (r#"{"version":2,"roots":["root"],"issuers":[]}"#, "1 to 16"),
        (r#"{"version":2,"roots":[],"issuers":[{"name":"ecdsa","chains":[["a","b"]]}]}"#, "1 to 8 roots"),
        (r#"{"version":2,"roots":["root"],"issuers":[{"name":"ecdsa","chains":[]}]}"#, "1 to 8 chains"),
        (
            r#"{"version":2,"roots":["root"],"issuers":[{"name":"ecdsa","chains":[["issuers/ecdsa.pem","../x.pem"]]}]}"#,
            "../x.pem",
        ),
        (
            r#"{"version":2,"roots":["root"],"issuers":[{"name":"ecdsa","chains":[["roots/root.pem","roots/root.pem"]]}]}"#,
            "begins a chain of 'ecdsa'",
        ),
        (
            r#"{"version":2,"roots":["root"],"issuers":[{"name":"ecdsa","chains":[["issuers/ecdsa.pem"]]}]}"#,
            "2 to 6 certificates",
        ),
        (r#"{"version":1,"root":"root","issuers":[]}"#, "1 to 16"),
        (r#"{"version":1,"root":"root","issuers":["../../etc/x"]}"#, "damaged"),
        (r#"{"version":1,"root":"root","issuers":["ecdsa"],"more":1}"#, "damaged"),
    ] {
        fs::write(folder.path().join(MANIFEST), manifest).unwrap();
        let text = refusal(folder.path());
        assert!(text.contains(complaint), "{text}");
    }
}

#[test]
fn two_hierarchies_are_never_taken_for_each_other() {
    let (one, other) = (create(1), create(2));
    let facts = |der: &[u8]| LoadedCertificate::read_ca(der).unwrap();
    let (one_root, other_root) = (facts(&one.root.certificate), facts(&other.root.certificate));
    assert_ne!(one_root.subject, other_root.subject);
    assert_ne!(one_root.key_identifier, other_root.key_identifier);
    let (one, other) = (facts(&one.intermediates[0].certificate), facts(&other.intermediates[0].certificate));
    assert_ne!(one.subject, other.subject);
    assert!(one.check_issued_by(&one_root).is_ok() && one.check_issued_by(&other_root).is_err());
    assert!(other.check_issued_by(&other_root).is_ok());
}

#[test]
fn certificates_say_what_cas_may_do() {
    let made = hierarchy();
    let (_, root) = X509Certificate::from_der(&made.root.certificate).unwrap();
    let usage = root.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
    assert!(root.extended_key_usage().unwrap().is_none());
    assert_eq!(root.basic_constraints().unwrap().unwrap().value.path_len_constraint, None);
    for intermediate in &made.intermediates {
        let (_, parsed) = X509Certificate::from_der(&intermediate.certificate).unwrap();
        assert_eq!(parsed.basic_constraints().unwrap().unwrap().value.path_len_constraint, Some(0));
        let usage = parsed.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
        assert!(usage.value.digital_signature());
        let purposes = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.server_auth && !purposes.client_auth && !purposes.ocsp_signing && !purposes.any);
        assert!(parsed.validity().not_after < root.validity().not_after);
        let subject = parsed.subject().to_string();
        assert!(subject.starts_with("C=XX, O=Ingam Development, CN=Ingam Development "), "{subject}");
    }
}

#[test]
fn private_cas_claim_no_policy() {
    for is_public in [true, false] {
        let plan = Plan { is_public, ..elliptic() };
        let made = Hierarchy::create(&plan, &FixedClock::new(now()), &SeededRandom::new(1)).unwrap();
        let (_, issuer) = X509Certificate::from_der(&made.intermediates[0].certificate).unwrap();
        let has_policies =
            issuer.iter_extensions().any(|extension| extension.oid.as_bytes() == b"\x55\x1d\x20");
        assert_eq!(has_policies, is_public);
    }
}

#[test]
fn issuing_cas_name_the_roots_crl_and_certificate_and_both_are_there() {
    let (folder, made) = (tempfile::tempdir().unwrap(), create(1));
    save(&made, folder.path());
    let published = |name: &str| fs::read(folder.path().join(PUBLISHED).join(name)).unwrap();
    assert_eq!(published("root.crt"), made.root.certificate);
    let list = published("root.crl");
    let (_, read) = CertificateRevocationList::from_der(&list).unwrap();
    let (_, root) = X509Certificate::from_der(&made.root.certificate).unwrap();
    read.verify_signature(root.public_key()).unwrap();
    assert_eq!(
        (read.issuer().as_raw(), read.iter_revoked_certificates().count()),
        (root.subject().as_raw(), 0)
    );
    assert_eq!(read.last_update().timestamp(), i64::try_from(now().unix_s()).unwrap());
    // Both ends count: a year, and no second more (BR 4.9.7).
    let lasts = read.next_update().unwrap().timestamp() - read.last_update().timestamp();
    assert_eq!(lasts, 365 * 24 * 60 * 60 - 1);
    let (_, issuer) = X509Certificate::from_der(&made.intermediates[0].certificate).unwrap();
    let value = |oid: &[u8]| {
        let mut all = issuer.iter_extensions().filter(|extension| extension.oid.as_bytes() == oid);
        String::from_utf8_lossy(all.next().unwrap().value).into_owned()
    };
    assert!(value(b"\x55\x1d\x1f").ends_with("http://localhost:14080/crl/root.crl"));
    let access = value(b"\x2b\x06\x01\x05\x05\x07\x01\x01");
    assert!(access.ends_with("http://localhost:14080/issuer/root.crt"), "{access}");
}

#[test]
fn impossible_plans_are_refused() {
    let issuer = |text: &str| IssuerPlan { name: name(text), key: KeyKind::EcdsaP256 };
    for bad in [
        Plan { issuers: vec![], ..plan() },
        Plan { issuers: (0..17).map(|number| issuer(&format!("i{number}"))).collect(), ..plan() },
        Plan { issuers: vec![issuer("same"), issuer("same")], ..plan() },
        Plan { issuers: vec![issuer("root")], ..plan() },
        Plan { issuers: vec![issuer(&"a".repeat(33))], ..plan() },
        Plan { country: "xx".to_owned(), ..elliptic() },
        Plan { country: "XXX".to_owned(), ..elliptic() },
        Plan { organization: String::new(), ..elliptic() },
        Plan { organization: "x".repeat(65), ..elliptic() },
        Plan { publication: "https://pki.ca.example".to_owned(), ..elliptic() },
    ] {
        let refused = Hierarchy::create(&bad, &FixedClock::new(now()), &SeededRandom::new(1));
        assert!(matches!(refused, Err(Error::Refused(_))), "{bad:?}");
    }
    let long = Plan { organization: "x".repeat(64), issuers: vec![issuer(&"a".repeat(32))], ..plan() };
    Hierarchy::create(&long, &FixedClock::new(now()), &SeededRandom::new(1)).unwrap();
}

#[test]
fn the_owner_of_a_certificates_key_is_known() {
    let (made, other) = (hierarchy(), create(9));
    let issuer = &made.intermediates[1];
    assert_eq!(made.owner_of_key(&issuer.certificate), Some(&issuer.name));
    assert_eq!(made.owner_of_key(&made.root.certificate), Some(&made.root.name));
    assert_eq!(made.owner_of_key(&other.root.certificate), None);
    assert_eq!(made.owner_of_key(b"no certificate"), None);
}
