//! A coordinator's request to a perspective: it is served or refused.

#![no_main]

use ingam_validation::mpic::damage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    damage::request(bytes);
});
