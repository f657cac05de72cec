//! Requests and keys of ML-DSA that another implementation made (`testdata/ml-dsa`): builds that can verify them read them and
//! nothing that is like them, and builds that cannot refuse them all, in the words for any unknown algorithm.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the functions beside the tests fail as tests do: by a panic"
)]

use std::path::Path;

use ingam_protocol::bytes::base64url;
use ingam_protocol::csr::{CsrError, SigningRequest};
use ingam_protocol::key::weak_list::WeakKeys;
use ingam_protocol::key::{KeyFlaw, KeyType, PublicKey};
use ingam_protocol::profile::{IssuerName, Profile, ProfileName};
use ring::digest::{SHA256, digest};

/// Each set: the name of its files, its kind, its name in FIPS 204, where a key begins in its SubjectPublicKeyInfo.
const SETS: [(&str, KeyType, &str); 3] = [
    ("44", KeyType::MlDsa44, "ML-DSA-44"),
    ("65", KeyType::MlDsa65, "ML-DSA-65"),
    ("87", KeyType::MlDsa87, "ML-DSA-87"),
];

/// So many octets are in front of a key in its SubjectPublicKeyInfo.
const HEAD_BYTES: usize = 22;

fn file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/ml-dsa");
    std::fs::read(folder.join(format!("{name}.der"))).unwrap()
}

fn is_available() -> bool {
    KeyType::MlDsa44.is_available()
}

fn refusal(der: &[u8]) -> String {
    SigningRequest::parse(der).unwrap_err().to_string()
}

fn usual() -> Profile {
    let issuer = IssuerName::try_from("ecdsa".to_owned()).unwrap();
    Profile::usual(ProfileName::try_from("classic".to_owned()).unwrap(), issuer)
}

#[test]
fn requests_are_read_with_their_keys_byte_for_byte() {
    for (set, kind, name) in SETS.into_iter().filter(|_| is_available()) {
        let request = SigningRequest::parse(&file(&format!("request-{set}"))).unwrap();
        assert_eq!(request.public_key_info(), file(&format!("key-{set}")));
        assert_eq!(request.key().key_type(), Some(kind));
        assert_eq!(request.key().kind_name(), name);
        assert_eq!(
            request.identifiers().iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["a.example.org"]
        );
    }
}

#[test]
fn a_build_that_cannot_verify_them_refuses_them_as_any_unknown_algorithm() {
    for (set, ..) in SETS.into_iter().filter(|_| !is_available()) {
        let refused = refusal(&file(&format!("request-{set}")));
        assert_eq!(refused, "the CSR's signature algorithm is not supported: use SHA-256 with RSA or ECDSA");
        let refused = PublicKey::from_spki(&file(&format!("key-{set}"))).unwrap_err();
        assert_eq!(refused.flaw(), KeyFlaw::Unsupported);
    }
}

#[test]
fn requests_that_are_not_quite_right_are_refused_with_the_reason() {
    for (name, reason) in [
        ("null-in-key", "or ML-DSA without parameters"),
        ("null-in-signature", "ML-DSA has none"),
        ("short-key", "has 1312 bytes, and this one 1311"),
        ("long-key", "has 1312 bytes, and this one 1313"),
        ("key-in-octet-string", "has 1312 bytes, and this one 1316"),
        ("key-of-another-set", "has 1952 bytes, and this one 1312"),
        ("signature-of-another-set", "signature does not verify"),
        ("signature-of-another-key", "signature does not verify"),
        ("context", "signature does not verify"),
        ("prehash", "signature algorithm is not supported"),
        ("zero-key", "everybody can sign"),
    ] {
        let refused = refusal(&file(&format!("bad-{name}")));
        assert!(!is_available() || refused.contains(reason), "{name}: {refused}");
    }
}

#[test]
fn keys_that_fail_a_check_name_it() {
    if !is_available() {
        return;
    }
    let flaw = |name: &str| match SigningRequest::parse(&file(name)).unwrap_err() {
        CsrError::Key(bad) => bad.flaw(),
        CsrError::Bad(why) => panic!("{name}: {why}"),
    };
    assert_eq!(flaw("bad-short-key"), KeyFlaw::Malformed);
    assert_eq!(flaw("bad-null-in-key"), KeyFlaw::Unsupported);
    assert_eq!(flaw("bad-zero-key"), KeyFlaw::MlDsaZero);
}

/// Everything of a request is signed, and a signature has one form: no bit can change.
#[test]
fn a_request_with_one_bit_turned_is_refused() {
    for (set, ..) in SETS {
        let good = file(&format!("request-{set}"));
        for place in (0..good.len()).step_by(7).chain(good.len() - 8..good.len()) {
            let mut changed = good.clone();
            changed[place] ^= 1 << (place % 8);
            assert!(SigningRequest::parse(&changed).is_err(), "{set}, byte {place}");
        }
    }
}

#[test]
fn a_key_has_one_encoding_one_hash_and_one_thumbprint() {
    for (set, _, name) in SETS.into_iter().filter(|_| is_available()) {
        let info = file(&format!("key-{set}"));
        let key = PublicKey::from_spki(&info).unwrap();
        assert_eq!(key.to_spki(), info);
        assert_eq!(key.spki_hash(), digest(&SHA256, &info).as_ref());
        // RFC 9964 and RFC 7638: the required members in their order.
        let jwk = format!(r#"{{"alg":"{name}","kty":"AKP","pub":"{}"}}"#, base64url(&info[HEAD_BYTES..]));
        assert_eq!(key.thumbprint(), digest(&SHA256, jwk.as_bytes()).as_ref());
        let stored = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<PublicKey>(&stored).unwrap(), key);
        // Accounts have no such keys.
        let members = serde_json::from_str(&jwk).unwrap();
        assert_eq!(PublicKey::from_jwk(&members).unwrap_err().flaw(), KeyFlaw::Unsupported);
    }
}

#[test]
fn a_key_is_refused_that_is_on_a_list() {
    for (set, ..) in SETS.into_iter().filter(|_| is_available()) {
        let info = file(&format!("key-{set}"));
        let key = PublicKey::from_spki(&info).unwrap();
        let hex = |hash: &[u8]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let listed = |hash: String| WeakKeys::read([("list", hash.into_bytes())]).unwrap().check(&key);
        assert_eq!(listed(hex(&key.spki_hash())).unwrap_err().flaw(), KeyFlaw::Listed);
        assert_eq!(listed(hex(&[1; 32])), Ok(()));
    }
}

#[test]
fn profiles_take_such_keys_where_they_list_them_and_public_ones_never() {
    for (set, kind, _) in SETS.into_iter().filter(|_| is_available()) {
        let key = PublicKey::from_spki(&file(&format!("key-{set}"))).unwrap();
        let private = Profile { is_public: false, ..usual() };
        assert!(private.key_refusal(&key).unwrap().ends_with("rsa, ecdsa-p256, ecdsa-p384, ecdsa-p521"));
        assert_eq!(Profile { key_types: [kind].into(), ..private }.key_refusal(&key), None);
        for public in [usual(), Profile { key_types: [kind].into(), ..usual() }] {
            let refused = public.key_refusal(&key).unwrap();
            assert!(refused.contains("Baseline Requirements, section 6.1.5"), "{refused}");
            assert!(refused.contains(kind.name()), "{refused}");
        }
    }
}
