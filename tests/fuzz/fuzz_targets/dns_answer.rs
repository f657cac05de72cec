//! Any bytes as a DNS answer, and any word of a validator on its records. What is used must have been asked for, and nothing
//! that is proven may be less than what would be believed without proof.

#![no_main]

use ingam_validation::zones::feed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    feed(bytes);
});
