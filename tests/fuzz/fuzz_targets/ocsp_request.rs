//! `parse_request` on any bytes. What is accepted asks for something, and each CertID that would be echoed is part of
//! what came.

#![no_main]

use ingam_protocol::ocsp::{NONCE_BYTES_MAX, parse_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    let Ok(request) = parse_request(der) else { return };
    assert!(!request.cert_ids.is_empty());
    for cert_id in &request.cert_ids {
        assert!(der.windows(cert_id.der.len()).any(|window| window == cert_id.der));
    }
    if let Some(nonce) = &request.nonce {
        assert!((1..=NONCE_BYTES_MAX).contains(&nonce.len()));
    }
});
