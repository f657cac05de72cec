//! Proves that a binding changed in any place says nothing else under the key that it was made with: it is refused, or
//! does not verify, or is the same to the letter.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use ingam_protocol::bytes::base64url;
use ingam_protocol::external::{Binding, MacAlgorithm, MacKey};
use ingam_protocol::time::SeededRandom;
use proptest::prelude::*;
use ring::hmac;

const JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn made(algorithm: usize, key: &MacKey) -> Vec<u8> {
    let name = MacAlgorithm::NAMES[algorithm];
    let header = format!(r#"{{"alg":"{name}","kid":"kid-1","url":"https://ca.test/new-account"}}"#);
    let (protected, payload) = (base64url(header.as_bytes()), base64url(JWK.as_bytes()));
    let ring = [hmac::HMAC_SHA256, hmac::HMAC_SHA384, hmac::HMAC_SHA512][algorithm];
    let mac = hmac::sign(&hmac::Key::new(ring, key.expose()), format!("{protected}.{payload}").as_bytes());
    let mac = base64url(mac.as_ref());
    format!(r#"{{"protected":"{protected}","payload":"{payload}","signature":"{mac}"}}"#).into_bytes()
}

proptest! {
    #[test]
    fn a_changed_binding_is_not_another_one(
        algorithm in 0_usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 1..4),
    ) {
        let key = MacKey::new(&SeededRandom::new(1));
        let good = made(algorithm, &key);
        let first = Binding::parse(&good).unwrap();
        prop_assert!(first.verify(&key));
        let mut changed = good;
        for (place, byte, how) in changes {
            let at = place.index(changed.len());
            match how {
                0 => changed[at] = byte,
                1 => changed.insert(at, byte),
                _ => drop(changed.remove(at)),
            }
        }
        if let Ok(other) = Binding::parse(&changed) && other.verify(&key) {
            prop_assert_eq!(other.text, first.text);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = Binding::parse(&bytes);
    }
}
