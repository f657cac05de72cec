//! Each setting of a profile puts something into certificates or leaves it out, and the lint knows which.

use ingam_protocol::key::KeyType;
use ingam_protocol::oid::Oid;
use ingam_protocol::profile::{Contents, MustStaple, Purpose};

use super::*;

/// A request whose profile's contents are changed, with a key of this kind.
fn request_of(kind: KeyKind, change: impl FnOnce(&mut Profile)) -> CertificateRequest {
    let mut request = request("ecdsa", &["b.example", "*.a.example"]);
    request.public_key_info = public_key_info(kind);
    change(Arc::make_mut(&mut request.profile));
    request.must_staple = request.profile.contents.must_staple != MustStaple::Never;
    request
}

/// What each setting of a profile puts into certificates or leaves out.
fn variants() -> Vec<(&'static str, CertificateRequest)> {
    let elliptic =
        |change: fn(&mut Contents)| request_of(KeyKind::EcdsaP256, |profile| change(&mut profile.contents));
    let oid = |text: &str| text.parse::<Oid>().unwrap();
    vec![
        ("key_usage", request_of(KeyKind::Rsa2048, |profile| profile.contents.key_encipherment = false)),
        ("extended_key_usage", elliptic(|contents| contents.purposes.push(Purpose::ClientAuth))),
        (
            "extended_key_usage",
            elliptic(|contents| {
                contents.purposes = vec![Purpose::Other("1.3.6.1.5.5.7.3.17".parse().unwrap())];
            }),
        ),
        (
            "certificate_policies",
            request_of(KeyKind::EcdsaP256, |profile| {
                profile.contents.policies = vec![oid("2.999.1"), oid("2.999.2")]
            }),
        ),
        (
            "certificate_policies",
            request_of(KeyKind::EcdsaP256, |profile| {
                profile.is_public = false;
                profile.contents.policies = vec![oid("2.999.1")];
            }),
        ),
        ("subject", elliptic(|contents| contents.common_name = CommonName::FirstName)),
        ("authority_information_access", elliptic(|contents| contents.ocsp_pointer = false)),
        ("authority_information_access", elliptic(|contents| contents.issuer_pointer = false)),
        (
            "authority_information_access",
            elliptic(|contents| (contents.ocsp_pointer, contents.issuer_pointer) = (false, false)),
        ),
        ("crl_distribution_points", elliptic(|contents| contents.crl_pointer = false)),
        ("subject_key_identifier", elliptic(|contents| contents.subject_key_identifier = false)),
        ("tls_feature", elliptic(|contents| contents.must_staple = MustStaple::Always)),
        ("tls_feature", elliptic(|contents| contents.must_staple = MustStaple::Requested)),
    ]
}

#[test]
fn each_setting_of_a_profile_passes_for_itself_alone() {
    let ca = signing_ca("ecdsa");
    for (what, own) in variants() {
        let usual = request_of(KeyKind::EcdsaP256, |_| ());
        let usual = CertificateRequest { public_key_info: own.public_key_info.clone(), ..usual };
        let [tbs, usual_tbs] = [&own, &usual].map(|request| leaf::build(request, &ca).unwrap());
        assert_eq!(refusal(&tbs, &own, &ca), None, "{what}");
        let without_request =
            Expected { profile: &own.profile, ca: &ca, request: None, stage: Stage::Unlogged };
        assert!(certificate(tbs.clone(), &without_request).is_ok(), "{what}");
        // Neither passes for the other.
        assert!(refusal(&usual_tbs, &own, &ca).is_some(), "{what}");
        let found = refusal(&tbs, &usual, &ca).unwrap();
        let is_named = [what, "extension_missing", "subject_empty"].contains(&found.as_str());
        assert!(is_named, "{what}: {found}");
    }
}

#[test]
fn not_one_bit_may_differ_in_what_profiles_add() {
    let ca = signing_ca("ecdsa");
    let all = request_of(KeyKind::EcdsaP256, |profile| {
        let contents = &mut profile.contents;
        contents.purposes.push(Purpose::Other("1.3.6.1.5.5.7.3.17".parse().unwrap()));
        contents.policies = vec!["2.999.1".parse().unwrap()];
        contents.common_name = CommonName::FirstName;
        contents.must_staple = MustStaple::Always;
        contents.subject_key_identifier = false;
    });
    let tbs = leaf::build(&all, &ca).unwrap();
    assert_eq!(refusal(&tbs, &all, &ca), None);
    for at in 0..tbs.len() {
        for bit in 0..8 {
            let mut changed = tbs.clone();
            changed[at] ^= 1 << bit;
            assert!(refusal(&changed, &all, &ca).is_some(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_common_name_is_one_of_the_names_or_absent() {
    let ca = signing_ca("ecdsa");
    let mut request = request_of(KeyKind::EcdsaP256, |profile| {
        profile.contents.common_name = CommonName::FirstName;
    });
    let with = |text: &str, request: &CertificateRequest| {
        let mut params = leaf::params(request, &ca).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, text);
        refusal(&leaf::encode_tbs(&params, &request.public_key_info, &ca).unwrap(), request, &ca)
    };
    assert_eq!(with("b.example", &request), None);
    for wrong in ["*.a.example", "B.example", "c.example", ""] {
        assert_eq!(with(wrong, &request).as_deref(), Some("common_name"), "{wrong:?}");
    }
    // None of the names fits: the subject is empty, and the names are critical.
    let long = format!("{}.example", "a".repeat(60));
    request.identifiers = vec![Identifier::parse_dns(&long).unwrap()];
    let tbs = leaf::build(&request, &ca).unwrap();
    assert_eq!(refusal(&tbs, &request, &ca), None);
    assert_eq!(with(&long, &request).as_deref(), Some("subject_empty"));
}

#[test]
fn a_tls_feature_other_than_must_staple_is_refused() {
    let ca = signing_ca("ecdsa");
    let request = request_of(KeyKind::EcdsaP256, |profile| {
        profile.contents.must_staple = MustStaple::Requested;
    });
    for value in [&b"\x30\x03\x02\x01\x11"[..], b"\x30\x06\x02\x01\x05\x02\x01\x11", b"\x30\x00"] {
        let mut params = leaf::params(&request, &ca).unwrap();
        params.custom_extensions.pop();
        let other = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], value.to_vec());
        params.custom_extensions.push(other);
        let tbs = leaf::encode_tbs(&params, &request.public_key_info, &ca).unwrap();
        assert_eq!(refusal(&tbs, &request, &ca).as_deref(), Some("tls_feature"));
    }
    // Not asked for, and there all the same; asked for, and not there.
    let unasked = CertificateRequest { must_staple: false, ..request.clone() };
    let [with, without] = [&request, &unasked].map(|request| leaf::build(request, &ca).unwrap());
    assert_eq!(refusal(&with, &unasked, &ca).as_deref(), Some("tls_feature"));
    assert_eq!(refusal(&without, &request, &ca).as_deref(), Some("extension_missing"));
}

#[test]
fn keys_that_the_profile_does_not_take_are_refused() {
    let ca = signing_ca("ecdsa");
    let refused = |kind, change: fn(&mut Profile)| {
        let request = request_of(kind, change);
        refusal(&leaf::build(&request, &ca).unwrap(), &request, &ca)
    };
    let wanted = Some("subject_key_allowed".to_owned());
    assert_eq!(refused(KeyKind::EcdsaP256, |profile| profile.key_types = [KeyType::Rsa].into()), wanted);
    assert_eq!(refused(KeyKind::Rsa2048, |profile| profile.key_types = [KeyType::EcdsaP256].into()), wanted);
    assert_eq!(refused(KeyKind::Rsa2048, |profile| profile.rsa_bits = [3072, 4096].into()), wanted);
    assert_eq!(refused(KeyKind::Rsa2048, |profile| profile.rsa_bits = [2048].into()), None);
}

/// SubjectPublicKeyInfo of ML-DSA keys that another implementation made. The lint knows them in every build.
const ML_DSA: [(KeyType, &[u8]); 3] = [
    (KeyType::MlDsa44, include_bytes!("../../../../../testdata/ml-dsa/key-44.der")),
    (KeyType::MlDsa65, include_bytes!("../../../../../testdata/ml-dsa/key-65.der")),
    (KeyType::MlDsa87, include_bytes!("../../../../../testdata/ml-dsa/key-87.der")),
];

/// A private profile's request for such a key.
fn request_for(kind: KeyType, key: &[u8]) -> CertificateRequest {
    let mut request = request_of(KeyKind::EcdsaP256, |profile| {
        profile.is_public = false;
        profile.key_types = [kind].into();
    });
    request.public_key_info = key.to_vec();
    request
}

#[test]
fn ml_dsa_keys_are_for_private_profiles_that_list_them_and_for_signatures_alone() {
    let ca = signing_ca("ecdsa");
    let refused = |request: &CertificateRequest| refusal(&leaf::build(request, &ca).unwrap(), request, &ca);
    for (kind, key) in ML_DSA {
        let request = request_for(kind, key);
        assert_eq!(refused(&request), None);
        let [mut public, mut unlisted] = [&request, &request].map(Clone::clone);
        Arc::make_mut(&mut public.profile).is_public = true;
        assert_eq!(refused(&public).as_deref(), Some("subject_key_public"));
        Arc::make_mut(&mut unlisted.profile).key_types = KeyType::USUAL.into();
        assert_eq!(refused(&unlisted).as_deref(), Some("subject_key_allowed"));
        // RFC 9881, section 5; what RSA keys may have in this profile.
        assert!(request.profile.contents.key_encipherment);
        let mut params = leaf::params(&request, &ca).unwrap();
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        let tbs = leaf::encode_tbs(&params, &request.public_key_info, &ca).unwrap();
        assert_eq!(refusal(&tbs, &request, &ca).as_deref(), Some("key_usage"));
    }
}

#[test]
fn an_ml_dsa_key_has_one_encoding() {
    let ca = signing_ca("ecdsa");
    let (kind, key) = ML_DSA[0];
    // NULL for parameters, another set's name, an octet less, an octet more.
    let with_null = [b"\x30\x82\x05\x34\x30\x0d", &key[6..17], &[tag::NULL, 0], &key[17..]].concat();
    let mut other_set = key.to_vec();
    other_set[16] = 0x12;
    let resized = |length: u16, rest: &[u8]| {
        let [high, low] = (length + 1).to_be_bytes();
        let bits = [&[0x03, 0x82, high, low, 0], rest].concat();
        encode::sequence(&[&key[4..17], &bits])
    };
    let short = resized(1311, &key[22..key.len() - 1]);
    let long = resized(1313, &[&key[22..], &[0]].concat());
    assert_eq!(resized(1312, &key[22..]), key);
    for bad in [with_null, other_set, short, long] {
        let request = request_for(kind, &bad);
        let tbs = leaf::build(&request, &ca).unwrap();
        assert_eq!(refusal(&tbs, &request, &ca).as_deref(), Some("subject_key"));
    }
}
