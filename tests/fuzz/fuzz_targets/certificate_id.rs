//! `CertificateId::parse`: what is accepted prints as the very same text, so that each certificate has one name.

#![no_main]

use ingam_protocol::renewal::CertificateId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some(id) = CertificateId::parse(text) else { return };
    assert_eq!(id.to_string(), text);
    assert!((1..=64).contains(&id.key_identifier.len()));
});
