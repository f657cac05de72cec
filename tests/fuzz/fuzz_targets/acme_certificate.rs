//! A certificate that a server of tls-alpn-01 shows: what is told of it is printable and bounded.

#![no_main]

use ingam_validation::damage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    damage::acme_certificate(der);
});
