//! A remote perspective's answer: whatever is kept of it is printable and bounded.

#![no_main]

use ingam_validation::mpic::damage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    damage::answer(bytes);
});
