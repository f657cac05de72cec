//! `SigningRequest::parse` on any bytes. What is accepted must have names, each of which reads back as itself, and a
//! key that is the same when it is read from the SubjectPublicKeyInfo that goes into the certificate.

#![no_main]

use ingam_protocol::Identifier;
use ingam_protocol::csr::SigningRequest;
use ingam_protocol::key::PublicKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    let Ok(request) = SigningRequest::parse(der) else { return };
    assert!(!request.identifiers().is_empty());
    for identifier in request.identifiers() {
        assert_eq!(Identifier::parse_dns(&identifier.to_string()).as_ref(), Ok(identifier));
    }
    assert_eq!(PublicKey::from_spki(request.public_key_info()).as_ref(), Ok(request.key()));
});
