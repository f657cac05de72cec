use super::*;

fn jwk(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap()
}

/// The example of RFC 7638, section 3.1.
const RFC7638: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;

#[test]
fn the_thumbprint_is_that_of_rfc_7638() {
    let key = PublicKey::from_jwk(&jwk(RFC7638)).unwrap();
    assert_eq!(base64url(&key.thumbprint()), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn a_stored_key_is_the_same_key() {
    let key = PublicKey::from_jwk(&jwk(RFC7638)).unwrap();
    assert_eq!(PublicKey::from_spki(&key.to_spki()).unwrap(), key);
    let stored = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<PublicKey>(&stored).unwrap(), key);
}

#[test]
fn a_key_is_the_same_from_jwk_and_spki() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let from_spki = PublicKey::from_spki(&rcgen::PublicKeyData::subject_public_key_info(&pair)).unwrap();
        let from_jwk = PublicKey::from_jwk(&jwk(&from_spki.to_jwk())).unwrap();
        assert_eq!(from_spki, from_jwk);
        assert_eq!(from_jwk.to_spki(), rcgen::PublicKeyData::subject_public_key_info(&pair));
    }
}

#[test]
fn each_check_has_a_code_of_its_own() {
    let codes: std::collections::BTreeSet<&str> = KeyFlaw::ALL.iter().map(|flaw| flaw.code()).collect();
    assert_eq!(codes.len(), KeyFlaw::ALL.len());
}

#[test]
fn bad_keys_are_refused_with_the_check_that_failed() {
    let off_curve = format!(
        r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#,
        base64url(&[1; 32]),
        base64url(&[2; 32])
    );
    let cases = [
        (off_curve.as_str(), "does not lie on P-256"),
        (r#"{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}"#, "not those of a point"),
        (r#"{"kty":"EC","crv":"secp256k1","x":"AQ","y":"AQ"}"#, "not supported"),
        (r#"{"kty":"oct","k":"AQ"}"#, "private parts"),
        (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, "2048"),
        (r#"{"kty":"RSA","n":"AQAB=","e":"AQAB"}"#, "base64url"),
        (r#"{"kty":"OKP","crv":"X25519","x":"AQ"}"#, "not supported"),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"AQ"}"#, "32 bytes"),
        (r#"{}"#, "kty"),
    ];
    for (text, expected) in cases {
        let refusal = PublicKey::from_jwk(&jwk(text)).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{text}: {refusal}");
    }
}

/// P-521 by hand, as rcgen has no such keys on ring: a JWK and the SubjectPublicKeyInfo of the same key (RFC 5480).
#[test]
fn a_key_on_p_521_is_the_same_from_jwk_and_spki() {
    let scalar = [vec![0; 65], vec![5]].concat();
    let pair = ::p521::ecdsa::SigningKey::from_slice(&scalar).unwrap();
    let point = ::p521::ecdsa::VerifyingKey::from(&pair).to_encoded_point(false);
    let head = [&[0x30, 0x81, 0x9b], P521_ALGORITHM, &[0x03, 0x81, 0x86, 0x00]].concat();
    let spki = [head.as_slice(), point.as_bytes()].concat();
    let from_spki = PublicKey::from_spki(&spki).unwrap();
    assert_eq!(from_spki.to_spki(), spki);
    let from_jwk = PublicKey::from_jwk(&jwk(&from_spki.to_jwk())).unwrap();
    assert_eq!(from_spki, from_jwk);
    assert_eq!((from_jwk.key_type(), from_jwk.kind_name().as_str()), (Some(KeyType::EcdsaP521), "EC P-521"));
    let stored = serde_json::to_string(&from_jwk).unwrap();
    assert_eq!(serde_json::from_str::<PublicKey>(&stored).unwrap(), from_jwk);
}

/// Whether a key is for an account or for a certificate, it is held to the same checks and refused in the same words.
#[test]
fn a_weak_key_is_refused_the_same_way_from_jwk_and_spki() {
    use crate::der::{Writer, tag};

    let even = [vec![0xff; 255], vec![0xfe]].concat();
    for (modulus, exponent) in
        [(vec![0xa7; 128], 65_537_u32), (even, 65_537), (vec![0xa7; 256], 3), (vec![0xff; 256], 65_537)]
    {
        let exponent = exponent.to_be_bytes();
        let mut numbers = Writer::new();
        numbers.wrap(tag::SEQUENCE, |numbers| {
            numbers.unsigned_integer(&exponent);
            numbers.unsigned_integer(&modulus);
        });
        let mut spki = Writer::new();
        spki.wrap(tag::SEQUENCE, |spki| {
            spki.value(tag::BIT_STRING, &[vec![0], numbers.finish()].concat());
            spki.raw(RSA_ALGORITHM);
        });
        let (n, e) = (base64url(&modulus), base64url(without_zeros(&exponent)));
        let from_jwk = PublicKey::from_jwk(&jwk(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)));
        assert_eq!(PublicKey::from_spki(&spki.finish()).unwrap_err(), from_jwk.unwrap_err());
    }
}
