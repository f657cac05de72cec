//! `decode_get` on any text. What is decoded comes out of other ways to write it, too, and is no longer than what it came from.

#![no_main]

use ingam_protocol::bytes::base64url;
use ingam_protocol::ocsp::{decode_get, parse_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|encoded: &str| {
    let Some(der) = decode_get(encoded) else { return };
    assert!(der.len() <= encoded.len());
    let _ = parse_request(&der);
    // A slash before the request is taken off, which base64 of a request never starts with.
    if der.first().is_some_and(|first| *first >= 0xfc) {
        return;
    }
    let written = base64url(&der);
    assert_eq!(decode_get(&written).as_deref(), Some(&der[..]));
    assert_eq!(decode_get(&format!("/{written}")).as_deref(), Some(&der[..]));
    let encoded: String = written.bytes().map(|byte| format!("%{byte:02X}")).collect();
    // Written so, the longest ones are too long.
    if let Some(again) = decode_get(&encoded) {
        assert_eq!(again, der);
    }
});
