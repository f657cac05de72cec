//! `Jws::parse` on any bytes; where the request brings its own key, also `Jws::verify`. A key that was accepted must
//! be the same key after it went through the store's form.

#![no_main]

use ingam_protocol::jws::{Jws, KeyReference};
use ingam_protocol::key::PublicKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(jws) = Jws::parse(body) else { return };
    if let KeyReference::Key(key) = &jws.key {
        let _ = jws.verify(key);
        let jwk = serde_json::from_str(&key.to_jwk()).expect("a key's JWK is JSON");
        assert_eq!(PublicKey::from_jwk(&jwk).as_ref(), Ok(key));
    }
});
