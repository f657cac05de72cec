//! Extended DNS errors (RFC 8914): what a resolver says of its failure.

use trust_dns_resolver::proto::op::Message;
use trust_dns_resolver::proto::rr::rdata::opt::{EdnsCode, EdnsOption};

use crate::evidence::ExtendedError;
use crate::quote::printable;

/// The option's number (RFC 8914, section 5.1).
const OPTION: u16 = 15;

/// The most extended errors that are kept of one lookup.
pub(super) const ERRORS_MAX: usize = 8;

/// The most characters that are kept of an error's text.
const TEXT_MAX: usize = 128;

/// DNSSEC Indeterminate: what decides could not be had.
pub(super) const INDETERMINATE: u16 = 5;
/// DNSSEC Bogus.
pub(super) const BOGUS: u16 = 6;
/// Signature Expired.
pub(super) const EXPIRED: u16 = 7;
/// Signature Not Yet Valid.
pub(super) const NOT_YET_VALID: u16 = 8;
/// DNSKEY Missing: no key is the one that the parent names.
pub(super) const NO_KEY: u16 = 9;
/// RRSIGs Missing.
pub(super) const NO_SIGNATURE: u16 = 10;
/// NSEC Missing: nothing proves the absence.
pub(super) const NO_DENIAL: u16 = 12;

/// The extended errors of a message.
pub(super) fn read(message: &Message) -> Vec<ExtendedError> {
    let Some(edns) = &message.edns else { return Vec::new() };
    let errors = edns.options().options.iter().filter_map(|(code, option)| match (code, option) {
        (EdnsCode::Unknown(OPTION), EdnsOption::Unknown(_, data)) => {
            let (code, text) = data.split_first_chunk()?;
            Some(new(u16::from_be_bytes(*code), text))
        }
        _ => None,
    });
    errors.take(ERRORS_MAX).collect()
}

/// One of a code and any text.
pub(super) fn new(code: u16, text: &[u8]) -> ExtendedError {
    // Some end their text with a zero byte.
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    ExtendedError { code, text: printable(text.get(..TEXT_MAX).unwrap_or(text), TEXT_MAX) }
}

/// For a failure's words, in brackets and after a space; nothing where there are none.
pub(super) fn words(errors: &[ExtendedError]) -> String {
    if errors.is_empty() {
        return String::new();
    }
    let each = errors.iter().map(|error| {
        let mut words = format!("extended error {}, {}", error.code, name(error.code));
        if !error.text.is_empty() {
            words.push_str(&format!(": \"{}\"", error.text.replace('"', "'")));
        }
        words
    });
    format!(" ({})", each.collect::<Vec<_>>().join("; "))
}

/// A code's name in IANA's registry of extended DNS error codes.
fn name(code: u16) -> &'static str {
    const NAMES: [&str; 31] = [
        "Other",
        "Unsupported DNSKEY Algorithm",
        "Unsupported DS Digest Type",
        "Stale Answer",
        "Forged Answer",
        "DNSSEC Indeterminate",
        "DNSSEC Bogus",
        "Signature Expired",
        "Signature Not Yet Valid",
        "DNSKEY Missing",
        "RRSIGs Missing",
        "No Zone Key Bit Set",
        "NSEC Missing",
        "Cached Error",
        "Not Ready",
        "Blocked",
        "Censored",
        "Filtered",
        "Prohibited",
        "Stale NXDOMAIN Answer",
        "Not Authoritative",
        "Not Supported",
        "No Reachable Authority",
        "Network Error",
        "Invalid Data",
        "Signature Expired before Valid",
        "Too Early",
        "Unsupported NSEC3 Iterations Value",
        "Unable to conform to policy",
        "Synthesized",
        "Invalid Query Type",
    ];
    NAMES.get(usize::from(code)).copied().unwrap_or("Unassigned")
}

#[cfg(test)]
mod tests {
    use trust_dns_resolver::proto::op::{Edns, MessageType, OpCode};

    use super::*;

    fn message(options: Vec<(u16, Vec<u8>)>) -> Message {
        let mut message = Message::new(1, MessageType::Response, OpCode::Query);
        let mut edns = Edns::new();
        for (code, data) in options {
            edns.options_mut().options.push((code.into(), EdnsOption::Unknown(code, data)));
        }
        message.edns = Some(edns);
        Message::from_vec(&message.to_vec().unwrap()).unwrap()
    }

    #[test]
    fn codes_and_texts_are_read_with_limits() {
        let long = [[0, 9].as_slice(), &[b'x'; 300]].concat();
        let options = vec![
            (15, b"\x00\x07signature \"expired\"\x1b\0".to_vec()),
            (10, b"\x00\x06no error".to_vec()),
            (15, vec![0]),
            (15, vec![]),
            (15, long),
            (15, vec![0xff, 0xff]),
        ];
        let errors = read(&message(options));
        assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), [7, 9, 65535]);
        assert_eq!(errors[1].text, "x".repeat(128));
        assert_eq!(
            words(&[errors[0].clone(), errors[2].clone()]),
            " (extended error 7, Signature Expired: \"signature 'expired'?\"; extended error 65535, Unassigned)"
        );
        assert_eq!(read(&message(vec![(15, vec![0, 6]); 30])).len(), 8);
        assert_eq!(words(&[]), "");
    }

    #[test]
    fn names_are_those_of_the_registry() {
        let named = [INDETERMINATE, BOGUS, EXPIRED, NOT_YET_VALID, NO_KEY, NO_SIGNATURE, NO_DENIAL, 22, 30];
        let expected = [
            "DNSSEC Indeterminate",
            "DNSSEC Bogus",
            "Signature Expired",
            "Signature Not Yet Valid",
            "DNSKEY Missing",
            "RRSIGs Missing",
            "NSEC Missing",
            "No Reachable Authority",
            "Invalid Query Type",
        ];
        assert_eq!(named.map(name), expected);
    }
}
