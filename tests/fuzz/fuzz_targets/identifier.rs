//! `Identifier::parse_dns`: what is accepted prints as something that reads back as the same identifier, in lower-case
//! ASCII and no longer than DNS allows.

#![no_main]

use ingam_protocol::Identifier;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(identifier) = Identifier::parse_dns(text) else { return };
    let printed = identifier.to_string();
    assert_eq!(Identifier::parse_dns(&printed), Ok(identifier));
    assert_eq!(printed, text.to_ascii_lowercase());
    assert!(printed.len() <= 253, "{} characters", printed.len());
});
