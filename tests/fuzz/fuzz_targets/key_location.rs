//! `KeyLocation`: what is accepted prints as something that reads back as the same place, and an error repeats nothing
//! that may be a PIN.

#![no_main]

use ingam_signer::KeyLocation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<KeyLocation>() {
        Ok(location) => {
            let printed = location.to_string();
            assert_eq!(printed.parse::<KeyLocation>().expect("what was printed is read"), location);
        }
        Err(error) => assert!(error.to_string().len() < 400, "{error}"),
    }
});
