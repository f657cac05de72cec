//! What a ceremony's lint must never let through, whatever asked for it. Whole ceremonies are stories in `tests`.

use ingam_protocol::crl::{Entry, RevocationList, certificate_list};
use ingam_protocol::time::SeededRandom;
use ingam_protocol::{Findings, Reason, Serial, Timestamp};
use rcgen::PublicKeyData as _;

use super::contents::{self, Contents, Role};
use super::plan::Purpose;
use super::{File, Plan};
use crate::key::{Key, key_identifier};
use crate::lint::authority::{self, Above, ExpectedAuthority};
use crate::lint::revocation_list::revocation_list;
use crate::testing::now;
use crate::{KeyKind, PrivateKey, encode};

fn key() -> Key {
    Key::load(&PrivateKey::generate(KeyKind::EcdsaP256, &SeededRandom::new(1)).unwrap()).unwrap()
}

fn name(common_name: &str) -> Vec<u8> {
    contents::name(&super::file::Subject {
        country: "KR".to_owned(),
        organization: "Example".to_owned(),
        common_name: common_name.to_owned(),
    })
}

fn days(count: u64) -> std::time::Duration {
    std::time::Duration::from_secs(count * 86_400)
}

/// A certificate of an issuing CA that is as it should be.
fn issuing(key: &Key) -> Contents {
    let identifier = key_identifier(key.public_key()).to_vec();
    Contents {
        serial: Serial::new(&SeededRandom::new(2)),
        signature_algorithm: key.algorithm().identifier().to_vec(),
        issuer: name("Root"),
        not_before: now(),
        not_after: now().plus(days(1800)).minus(std::time::Duration::from_secs(1)),
        subject: name("Issuing"),
        public_key_info: key.subject_public_key_info(),
        subject_key_identifier: identifier,
        authority_key_identifier: vec![7; 20],
        role: Role::Authority {
            path_length: Some(0),
            signs_ocsp: true,
            purposes: vec![Purpose::ServerAuth],
            policies: vec!["2.23.140.1.2.1".to_owned()],
            crl_url: Some("http://pki.example.org/root.crl".to_owned()),
            issuer_url: Some("http://pki.example.org/root.der".to_owned()),
            ocsp_url: None,
        },
    }
}

/// What the lint says of bytes that were built from one thing where another was asked for.
fn judged(built: &Contents, wanted: &Contents, above: Option<Above>) -> Result<(), String> {
    let tbs = contents::certificate(built);
    let key = key();
    let signature = key.sign_checked_blocking(key.public_key(), &tbs).unwrap();
    let whole = encode::certificate(&tbs, &built.signature_algorithm, &signature);
    let expected = ExpectedAuthority {
        contents: wanted,
        is_public: true,
        now: now(),
        issuer: above,
        not_before_min: now().minus(days(1)),
    };
    authority::certificate(&whole, &expected)
}

const ROOT: Option<Above> =
    Some(Above { not_after: Timestamp::from_unix_s(2_400_000_000), path_length: None });

#[test]
fn what_is_not_as_it_was_asked_for_has_the_name_of_a_rule() {
    let key = key();
    let wanted = issuing(&key);
    judged(&wanted, &wanted, ROOT).unwrap();
    type Change = fn(&mut Contents);
    let changes: [(&str, Change); 12] = [
        ("serial_random", |built| built.serial = Serial::from_be_bytes(&[9; 8]).unwrap()),
        ("serial_equal", |built| built.serial = Serial::new(&SeededRandom::new(3))),
        ("issuer_name", |built| built.issuer = name("Another")),
        ("subject_equal", |built| built.subject = name("Another")),
        ("validity_equal", |built| built.not_after = now().plus(days(1801))),
        ("subject_key_identifier", |built| built.subject_key_identifier = vec![1; 20]),
        ("authority_key_identifier", |built| built.authority_key_identifier = vec![1; 20]),
        ("path_length", |built| role(built, |length, _, _, _| *length = Some(1))),
        ("key_usage", |built| role(built, |_, signs_ocsp, _, _| *signs_ocsp = false)),
        ("extended_key_usage", |built| role(built, |_, _, purposes, _| purposes.push(Purpose::ClientAuth))),
        ("extension_missing", |built| role(built, |_, _, purposes, _| purposes.clear())),
        ("crl_distribution_points", |built| {
            role(built, |_, _, _, url| *url = Some("https://pki.example.org/root.crl".to_owned()));
        }),
    ];
    for (rule, change) in changes {
        let mut built = wanted.clone();
        change(&mut built);
        let told = judged(&built, &wanted, ROOT).unwrap_err();
        assert!(told.starts_with(&format!("lint {rule}: ")), "{rule}: {told}");
    }
}

/// Changes what a CA may do.
fn role(
    contents: &mut Contents,
    change: impl FnOnce(&mut Option<u8>, &mut bool, &mut Vec<Purpose>, &mut Option<String>),
) {
    if let Role::Authority { path_length, signs_ocsp, purposes, crl_url, .. } = &mut contents.role {
        change(path_length, signs_ocsp, purposes, crl_url);
    }
}

/// Even where it was asked for.
#[test]
fn what_no_ca_may_have_is_found() {
    let key = key();
    type Change = fn(&mut Contents);
    let changes: [(&str, Change); 6] = [
        ("not_before", |wanted| wanted.not_before = now().plus(days(1))),
        ("not_before", |wanted| wanted.not_before = now().minus(days(2))),
        ("validity_issuer", |wanted| wanted.not_after = Timestamp::from_unix_s(2_400_000_001)),
        ("subject_distinct", |wanted| wanted.subject = wanted.issuer.clone()),
        ("subject_key", |wanted| wanted.public_key_info = b"\x30\x00".to_vec()),
        ("subject_country", |wanted| {
            wanted.subject = contents::name(&super::file::Subject {
                country: "kr".to_owned(),
                organization: "Example".to_owned(),
                common_name: "Issuing".to_owned(),
            });
        }),
    ];
    for (rule, change) in changes {
        let mut wanted = issuing(&key);
        change(&mut wanted);
        let told = judged(&wanted, &wanted, ROOT).unwrap_err();
        let is_named = told.starts_with(&format!("lint {rule}: "));
        assert!(is_named || (rule == "subject_key" && told.starts_with("lint ")), "{rule}: {told}");
    }
    // A CA without room for one below it.
    let full = Some(Above { path_length: Some(0), ..ROOT.unwrap() });
    let wanted = issuing(&key);
    assert!(judged(&wanted, &wanted, full).unwrap_err().starts_with("lint path_length: "));
    // A root for the public that lasts too short.
    let mut root = issuing(&key);
    root.subject = root.issuer.clone();
    root.role = Role::Authority {
        path_length: None,
        signs_ocsp: false,
        purposes: Vec::new(),
        policies: Vec::new(),
        crl_url: None,
        issuer_url: None,
        ocsp_url: None,
    };
    assert!(judged(&root, &root, None).unwrap_err().starts_with("lint validity_root: "));
}

#[test]
fn a_crl_is_what_was_asked_for() {
    let key = key();
    let entry = |reason| Entry {
        serial: Serial::new(&SeededRandom::new(5)),
        revoked_at: now().minus(days(1)).whole_second(),
        reason,
    };
    let wanted = RevocationList {
        signature_algorithm: key.algorithm().identifier().to_vec(),
        issuer: name("Root"),
        authority_key_id: vec![7; 20],
        distribution_point: None,
        number: 3,
        this_update: now(),
        next_update: now().plus(days(365)),
        entries: vec![entry(Reason::KeyCompromise)],
    };
    let judged = |built: &RevocationList| {
        let tbs = built.encode_tbs();
        let signature = key.sign_checked_blocking(key.public_key(), &tbs).unwrap();
        revocation_list(&certificate_list(tbs, &built.signature_algorithm, &signature), &wanted)
    };
    judged(&wanted).unwrap();
    for (rule, built) in [
        ("crl_number", RevocationList { number: 4, ..wanted.clone() }),
        ("issuer_name", RevocationList { issuer: name("Another"), ..wanted.clone() }),
        ("authority_key_identifier", RevocationList { authority_key_id: vec![1; 20], ..wanted.clone() }),
        ("dates_equal", RevocationList { next_update: now().plus(days(367)), ..wanted.clone() }),
        ("entries", RevocationList { entries: Vec::new(), ..wanted.clone() }),
        ("entry_reason", RevocationList { entries: vec![entry(Reason::Unspecified)], ..wanted.clone() }),
    ] {
        let told = judged(&built).unwrap_err();
        assert!(told.starts_with(&format!("lint {rule}: ")), "{rule}: {told}");
    }
}

/// Whatever a file says: a sentence, and never a panic.
#[test]
fn files_that_say_nothing_are_told_what_is_missing() {
    for kind in ["root", "intermediate", "cross-certificate", "ocsp-responder", "crl", "request"] {
        let file: File = serde_json::from_value(serde_json::json!({ "kind": kind })).unwrap();
        let mut found = Findings::new();
        assert!(Plan::of(&file, std::path::Path::new(""), &mut found).is_none());
        let keys: Vec<&str> = found.iter().map(|finding| finding.key.as_str()).collect();
        assert!(keys.contains(&"present") && keys.len() > 1, "{kind}: {keys:?}");
    }
}
