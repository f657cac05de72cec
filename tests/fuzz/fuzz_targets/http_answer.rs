//! A web server's answer to http-01: whatever is kept or told of it is printable and bounded.

#![no_main]

use ingam_validation::damage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    damage::http_answer(bytes);
});
