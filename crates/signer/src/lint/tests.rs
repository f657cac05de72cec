//! Each rule refuses what it is there to refuse, by its own name; and what we build passes them all. `profiles` has what
//! depends on a profile's settings.

mod profiles;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::Shard;
use ingam_protocol::time::SeededRandom;
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, SanType, SerialNumber,
};

use super::*;
use crate::testing::{public_key_info, request, signing_ca};
use crate::{IssuerUrls, KeyKind, leaf};

/// The name of the rule that refuses these bytes, or nothing if none does.
fn refusal(tbs: &[u8], request: &CertificateRequest, ca: &SigningCa) -> Option<String> {
    let expected = Expected {
        profile: &request.profile,
        ca,
        request: Some(request),
        stage: Stage::first(&request.profile),
    };
    match certificate(tbs.to_vec(), &expected) {
        Ok(_) => None,
        Err(Error::Refused(text)) => Some(text.strip_prefix("lint ")?.split(':').next()?.to_owned()),
        Err(other) => panic!("{other}"),
    }
}

/// Builds with changed parameters, and names the rule that refuses the result.
fn refusal_of(change: impl FnOnce(&mut CertificateParams)) -> Option<String> {
    let (ca, request) = (signing_ca("ecdsa"), request("ecdsa", &["a.example", "b.example"]));
    let mut params = leaf::params(&request, &ca).unwrap();
    change(&mut params);
    refusal(&leaf::encode_tbs(&params, &request.public_key_info, &ca).unwrap(), &request, &ca)
}

#[test]
fn what_we_build_passes_for_every_issuer_and_key() {
    for issuer in ["ecdsa", "rsa"] {
        for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
            let (ca, mut request) = (signing_ca(issuer), request(issuer, &["a.example", "*.a.example"]));
            request.public_key_info = public_key_info(kind);
            let tbs = leaf::build(&request, &ca).unwrap();
            assert_eq!(refusal(&tbs, &request, &ca), None);
        }
    }
}

#[test]
fn a_certificate_points_to_the_list_that_its_serial_belongs_to() {
    let (ca, mut sharded) = (signing_ca("ecdsa"), request("ecdsa", &["a.example"]));
    let without = sharded.clone();
    sharded.serial = Serial::in_shard(&SeededRandom::new(5), Shard(300));
    let tbs = leaf::build(&sharded, &ca).unwrap();
    assert_eq!(refusal(&tbs, &sharded, &ca), None);
    let list = b"http://localhost:14080/crl/ecdsa/300.crl";
    assert!(tbs.windows(list.len()).any(|window| window == list));
    // The same, pointing to the list of what belongs to no shard, or to another shard's.
    let others =
        [None, Some(Shard(3))].map(|shard| CrlDistributionPoint { uris: vec![ca.issuer.urls.crl_of(shard)] });
    for other in others {
        let mut params = leaf::params(&sharded, &ca).unwrap();
        params.crl_distribution_points = vec![other];
        let tbs = leaf::encode_tbs(&params, &sharded.public_key_info, &ca).unwrap();
        assert_eq!(refusal(&tbs, &sharded, &ca).as_deref(), Some("crl_distribution_points"));
    }
    let mut params = leaf::params(&without, &ca).unwrap();
    params.crl_distribution_points =
        vec![CrlDistributionPoint { uris: vec![ca.issuer.urls.crl_of(Some(Shard(300)))] }];
    let tbs = leaf::encode_tbs(&params, &without.public_key_info, &ca).unwrap();
    assert_eq!(refusal(&tbs, &without, &ca).as_deref(), Some("crl_distribution_points"));
}

#[test]
fn what_makes_no_claim_carries_none() {
    let (ca, public) = (signing_ca("ecdsa"), request("ecdsa", &["a.example"]));
    let mut private = public.clone();
    Arc::make_mut(&mut private.profile).is_public = false;
    let [claims, makes_none] = [&public, &private].map(|request| leaf::build(request, &ca).unwrap());
    assert_eq!(refusal(&makes_none, &private, &ca), None);
    assert_eq!(refusal(&claims, &private, &ca).as_deref(), Some("certificate_policies"));
    assert_eq!(refusal(&makes_none, &public, &ca).as_deref(), Some("extension_missing"));
}

#[test]
fn another_request_is_another_certificate() {
    let (ca, built) = (signing_ca("ecdsa"), request("ecdsa", &["a.example", "b.example"]));
    let tbs = leaf::build(&built, &ca).unwrap();
    let changed = |change: &dyn Fn(&mut CertificateRequest)| {
        let mut other = built.clone();
        change(&mut other);
        refusal(&tbs, &other, &ca)
    };
    let profile =
        |change: &dyn Fn(&mut Profile)| changed(&|request| change(Arc::make_mut(&mut request.profile)));
    assert_eq!(changed(&|_| ()), None);
    let cases = [
        ("serial_equal", changed(&|request| request.serial = Serial::new(&SeededRandom::new(99)))),
        ("names_equal", changed(&|request| request.identifiers.truncate(1))),
        (
            "subject_key_equal",
            changed(&|request| request.public_key_info = public_key_info(KeyKind::EcdsaP256)),
        ),
        ("validity_equal", changed(&|request| request.now = request.now.plus(Duration::from_secs(1)))),
        ("validity", profile(&|profile| profile.validity += Duration::from_secs(1))),
        ("validity_equal", profile(&|profile| profile.backdate += Duration::from_secs(1))),
        ("names_count", profile(&|profile| profile.names_max = 1)),
        ("backdate", profile(&|profile| profile.backdate = Duration::from_secs(48 * 3600 + 1))),
    ];
    for (wanted, found) in cases {
        assert_eq!(found.as_deref(), Some(wanted));
    }
}

#[test]
fn another_issuer_is_another_certificate() {
    let request = request("ecdsa", &["a.example"]);
    let tbs = leaf::build(&request, &signing_ca("ecdsa")).unwrap();
    let changed = |change: &dyn Fn(&mut SigningCa)| {
        let mut ca = signing_ca("ecdsa");
        change(&mut ca);
        refusal(&tbs, &request, &ca)
    };
    let urls = |change: &dyn Fn(&mut IssuerUrls)| changed(&|ca| change(&mut ca.issuer.urls));
    let cases = [
        ("signature_algorithm", changed(&|ca| ca.key = signing_ca("rsa").key)),
        ("issuer_name", changed(&|ca| ca.issuer.subject = signing_ca("rsa").issuer.subject)),
        ("authority_key_identifier", changed(&|ca| ca.key_identifier = signing_ca("rsa").key_identifier)),
        ("validity_issuer", changed(&|ca| ca.issuer.not_after = request.now)),
        ("authority_information_access", urls(&|urls| urls.ocsp.push('x'))),
        ("authority_information_access", urls(&|urls| urls.issuer.push('x'))),
        ("crl_distribution_points", urls(&|urls| urls.crl.push('x'))),
    ];
    for (wanted, found) in cases {
        assert_eq!(found.as_deref(), Some(wanted));
    }
}

#[test]
fn wrong_fields_are_refused() {
    let cases = [
        ("serial_random", refusal_of(|params| params.serial_number = Some(SerialNumber::from(7)))),
        ("serial_length", refusal_of(|params| params.serial_number = Some(vec![1; 21].into()))),
        (
            "subject_empty",
            refusal_of(|params| params.distinguished_name.push(DnType::CommonName, "a.example")),
        ),
        ("validity", refusal_of(|params| params.not_after += Duration::from_secs(1))),
        ("validity", refusal_of(|params| params.not_before += Duration::from_secs(1))),
        (
            "size",
            refusal_of(|params| {
                params.crl_distribution_points =
                    vec![CrlDistributionPoint { uris: vec!["x".repeat(40_000)] }];
            }),
        ),
    ];
    for (wanted, found) in cases {
        assert_eq!(found.as_deref(), Some(wanted));
    }
}

#[test]
fn wrong_extensions_are_refused() {
    let usage = |usages: &[KeyUsagePurpose]| refusal_of(|params| params.key_usages = usages.to_vec());
    let purpose = |purposes: &[ExtendedKeyUsagePurpose]| {
        refusal_of(|params| params.extended_key_usages = purposes.to_vec())
    };
    let custom = |oid: &[u64], value: &[u8]| {
        refusal_of(|params| {
            params.custom_extensions.push(CustomExtension::from_oid_content(oid, value.to_vec()))
        })
    };
    let server = ExtendedKeyUsagePurpose::ServerAuth;
    let cases = [
        ("key_usage", usage(&[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment])),
        ("key_usage", usage(&[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign])),
        ("extension_missing", usage(&[])),
        ("extended_key_usage", purpose(&[server.clone(), ExtendedKeyUsagePurpose::ClientAuth])),
        ("extended_key_usage", purpose(&[server, ExtendedKeyUsagePurpose::OcspSigning])),
        ("extended_key_usage", purpose(&[ExtendedKeyUsagePurpose::Any])),
        ("extension_missing", purpose(&[])),
        ("basic_constraints", refusal_of(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)))),
        ("extension_missing", refusal_of(|params| params.is_ca = IsCa::NoCa)),
        ("extension_missing", refusal_of(|params| params.use_authority_key_identifier_extension = false)),
        ("extension_missing", refusal_of(|params| params.crl_distribution_points.clear())),
        (
            "crl_distribution_points",
            refusal_of(|params| {
                params.crl_distribution_points.extend(params.crl_distribution_points.clone())
            }),
        ),
        (
            "crl_distribution_points",
            refusal_of(|params| {
                params.crl_distribution_points[0].uris.push("http://localhost/".to_owned());
            }),
        ),
        (
            "subject_key_identifier",
            refusal_of(|params| {
                params.key_identifier_method = KeyIdMethod::PreSpecified(vec![7; 20]);
            }),
        ),
        (
            "extension_twice",
            refusal_of(|params| {
                params.custom_extensions.push(params.custom_extensions[0].clone());
            }),
        ),
        ("extension_critical", refusal_of(|params| params.custom_extensions[1].set_criticality(true))),
        // certificatePolicies: organization validated; TLS feature; the poison of RFC 6962; nameConstraints.
        (
            "certificate_policies",
            refusal_of(|params| {
                let value = b"\x30\x0a\x30\x08\x06\x06\x67\x81\x0c\x01\x02\x02".to_vec();
                params.custom_extensions[1] = CustomExtension::from_oid_content(&[2, 5, 29, 32], value);
            }),
        ),
        ("tls_feature", custom(&[1, 3, 6, 1, 5, 5, 7, 1, 24], b"\x30\x03\x02\x01\x05")),
        ("poison", custom(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 3], b"\x05\x00")),
        ("scts", custom(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], b"\x04\x02\x00\x00")),
        ("extension_unknown", custom(&[2, 5, 29, 30], b"\x30\x00")),
        ("extension_unknown", custom(&[1, 2, 3, 4], b"\x05\x00")),
    ];
    for (wanted, found) in cases {
        assert_eq!(found.as_deref(), Some(wanted));
    }
}

#[test]
fn wrong_names_are_refused() {
    let names = |names: Vec<SanType>| refusal_of(|params| params.subject_alt_names = names);
    let dns = |text: &str| SanType::DnsName(text.try_into().unwrap());
    let cases = [
        ("extension_missing", names(vec![])),
        ("names_equal", names(vec![dns("a.example")])),
        ("names_equal", names(vec![dns("a.example"), dns("b.example"), dns("c.example")])),
        ("subject_alt_names", names(vec![dns("b.example"), dns("a.example")])),
        ("subject_alt_names", names(vec![dns("a.example"), dns("a.example")])),
        ("subject_alt_names", names(vec![dns("A.example"), dns("b.example")])),
        ("subject_alt_names", names(vec![dns("a_b.example"), dns("b.example")])),
        ("subject_alt_names", names(vec![dns("a.example."), dns("b.example")])),
        ("subject_alt_names", names(vec![dns("localhost")])),
        ("subject_alt_names", names(vec![dns("*.*.example")])),
        ("names_allowed", names(vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))])),
        ("subject_alt_names", names(vec![SanType::Rfc822Name("a@a.example".try_into().unwrap())])),
        ("subject_alt_names", names(vec![SanType::URI("http://a.example".try_into().unwrap())])),
    ];
    for (wanted, found) in cases {
        assert_eq!(found.as_deref(), Some(wanted));
    }
}

#[test]
fn keys_of_the_wrong_form_are_refused() {
    let rsa = public_key_info(KeyKind::Rsa2048);
    let elliptic = public_key_info(KeyKind::EcdsaP256);
    let replaced = |key: &[u8], from: &[u8], to: &[u8]| {
        let at = key.windows(from.len()).position(|window| window == from).unwrap();
        [&key[..at], to, &key[at + from.len()..]].concat()
    };
    let point = |first: u8| {
        let mut key = elliptic.clone();
        key[26] = first;
        key
    };
    // A modulus of 1024 bits, in a SubjectPublicKeyInfo that is otherwise right.
    let modulus = [&b"\x02\x81\x81\x00"[..], &[0xff; 128], b"\x02\x03\x01\x00\x01"].concat();
    let small = [b"\x30\x81\x9f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x81\x8d\x00\x30\x81\x89"
        .as_slice(), &modulus].concat();
    let ed25519 = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".as_slice(), &[7; 32]].concat();
    let cases = [
        ("subject_key", point(2)),
        ("subject_key", point(0)),
        ("subject_key", ed25519),
        ("subject_key_rsa", small),
        // The exponents 3 and 65536.
        ("subject_key_rsa", replaced(&rsa, b"\x02\x03\x01\x00\x01", b"\x02\x03\x01\x00\x00")),
        ("subject_key_rsa", replaced(&rsa, b"\x02\x03\x01\x00\x01", b"\x02\x01\x03\x05\x00")),
        ("subject_key", replaced(&rsa, b"\x02\x03\x01\x00\x01", b"\x02\x03\x00\x00\x03")),
    ];
    for (wanted, key) in cases {
        let (ca, mut request) = (signing_ca("ecdsa"), request("ecdsa", &["a.example"]));
        request.public_key_info = key;
        let refused = match leaf::build(&request, &ca) {
            Ok(tbs) => refusal(&tbs, &request, &ca),
            Err(error) => panic!("{wanted}: {error}"),
        };
        assert_eq!(refused.as_deref(), Some(wanted));
    }
}

#[test]
fn not_one_bit_may_differ() {
    let (ca, request) = (signing_ca("ecdsa"), request("ecdsa", &["a.example", "b.example"]));
    let tbs = leaf::build(&request, &ca).unwrap();
    assert_eq!(refusal(&tbs, &request, &ca), None);
    let mut unnoticed = Vec::new();
    for at in 0..tbs.len() {
        for bit in 0..8 {
            let mut changed = tbs.clone();
            changed[at] ^= 1 << bit;
            if refusal(&changed, &request, &ca).is_none() {
                unnoticed.push((at, bit, tbs[at]));
            }
        }
        assert_ne!(refusal(&tbs[..at], &request, &ca), None, "cut after {at} bytes");
    }
    assert_eq!(unnoticed, [], "byte, bit, what was there");
    let longer = [tbs.as_slice(), &[0x05, 0x00]].concat();
    assert_ne!(refusal(&longer, &request, &ca), None);
}

#[test]
fn without_the_request_serial_and_names_are_taken_as_they_are() {
    let (ca, request) = (signing_ca("ecdsa"), request("ecdsa", &["a.example", "b.example"]));
    let tbs = leaf::build(&request, &ca).unwrap();
    let expected = Expected { profile: &request.profile, ca: &ca, request: None, stage: Stage::Unlogged };
    assert!(certificate(tbs.clone(), &expected).is_ok());
    let find = |wanted: &[u8]| tbs.windows(wanted.len()).position(|window| window == wanted).unwrap();
    let serial = find(request.serial.as_bytes());
    let (first, second) = (find(b"a.example"), find(b"b.example"));
    let free: Vec<usize> = (serial..serial + 18).chain(first..first + 9).chain(second..second + 9).collect();
    for at in 0..tbs.len() {
        for bit in 0..8 {
            let mut changed = tbs.clone();
            changed[at] ^= 1 << bit;
            let accepted = certificate(changed, &expected).is_ok();
            assert!(!accepted || free.contains(&at), "bit {bit} of byte {at}");
        }
    }
}

fn any_name() -> impl Strategy<Value = String> {
    let label = "[a-zA-Z0-9]([a-z0-9]{0,12}[a-z0-9])?";
    (any::<bool>(), prop::collection::vec(label, 1..4), "[a-z]{2,6}").prop_map(|(wildcard, labels, last)| {
        format!("{}{}.{last}", if wildcard { "*." } else { "" }, labels.join("."))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_names_are_exactly_those_asked_for(texts in prop::collection::vec(any_name(), 1..20)) {
        let ca = signing_ca("ecdsa");
        let names: Vec<&str> = texts.iter().map(String::as_str).collect();
        let request = request("ecdsa", &names);
        let tbs = leaf::build(&request, &ca).unwrap();
        let expected = Expected { profile: &request.profile, ca: &ca, request: Some(&request), stage: Stage::Unlogged };
        let linted = certificate(tbs, &expected).unwrap();
        let wrapped = encode::certificate(linted.tbs(), ca.key.algorithm().identifier(), &[]);
        let (_, parsed) = X509Certificate::from_der(&wrapped).unwrap();
        let found: Vec<String> = parsed.subject_alternative_name().unwrap().unwrap().value.general_names.iter()
            .map(|name| name.to_string()).collect();
        let mut wanted: Vec<String> =
            texts.iter().map(|text| format!("DNSName({})", text.to_ascii_lowercase())).collect();
        wanted.sort();
        wanted.dedup();
        prop_assert_eq!(found, wanted);
    }
}
