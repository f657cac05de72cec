//! `Binding::parse` on any bytes, and `Binding::verify` under a key that no input was made with: none may pass.

#![no_main]

use ingam_protocol::external::{Binding, MacKey};
use ingam_protocol::time::SeededRandom;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(binding) = Binding::parse(body) else { return };
    assert!(!binding.verify(&MacKey::new(&SeededRandom::new(1))));
});
