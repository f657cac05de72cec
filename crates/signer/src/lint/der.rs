//! Distinguished encoding (X.690, section 10): one value, one way to write it.
//!
//! Libraries that read certificates forgive some of what DER forbids. What we sign is to need no forgiving.

use ingam_protocol::der::{Reader, tag};

use super::{Finding, Verdict};

/// Deeper than any certificate of ours nests.
const DEPTH_MAX: usize = 16;

/// The parts of an identifier octet (X.690, section 8.1.2): the class; the bit that says that elements are inside; the
/// number.
const CLASS: u8 = 0xc0;
const CONSTRUCTED: u8 = 0x20;
const NUMBER: u8 = 0x1f;

/// Classes that certificates have.
const UNIVERSAL: u8 = 0x00;
const CONTEXT: u8 = 0x80;

/// Numbers of universal tags.
const SEQUENCE: u8 = 0x10;
const SET: u8 = 0x11;
/// The highest number of a context's tag: `registeredID` of GeneralName (RFC 5280, section 4.2.1.6).
const CONTEXT_MAX: u8 = 8;

fn not_distinguished(what: impl ToString) -> Finding {
    Finding::new("der", what.to_string())
}

/// Checks tags, lengths, BOOLEANs and INTEGERs of all elements, one in another. What OCTET STRINGs hold is not looked
/// into.
pub(super) fn check(elements: &[u8]) -> Verdict {
    check_elements(elements, 0)
}

fn check_elements(elements: &[u8], depth: usize) -> Verdict {
    if depth > DEPTH_MAX {
        return Err(not_distinguished("elements nest too deeply"));
    }
    let mut reader = Reader::new(elements);
    while !reader.is_empty() {
        let element = reader.any().map_err(not_distinguished)?;
        match (element.tag, element.contents) {
            // What is FALSE by default is left out where it is FALSE, and certificates have no other BOOLEANs.
            (tag::BOOLEAN, contents) if contents != [0xff] => {
                return Err(not_distinguished("a BOOLEAN that is not TRUE"));
            }
            (tag::INTEGER, _) => {
                Reader::new(element.der).integer().map_err(not_distinguished)?;
            }
            (tag, contents) => {
                let constructed = tag & CONSTRUCTED != 0;
                let number = tag & NUMBER;
                let fits = match tag & CLASS {
                    // Universal types have one form each: SEQUENCE and SET hold elements, the others octets.
                    UNIVERSAL => constructed == matches!(number, SEQUENCE | SET),
                    CONTEXT => number <= CONTEXT_MAX,
                    _ => false,
                };
                if !fits {
                    return Err(not_distinguished("a tag that certificates do not have"));
                }
                if constructed {
                    check_elements(contents, depth + 1)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_encoding() {
        for good in [
            &b"\x30\x00"[..],
            b"\x30\x03\x01\x01\xff",
            b"\x02\x01\x00",
            b"\x02\x02\x00\x80",
            b"\x02\x02\xff\x7f",
            b"\x04\x02\x01\x01",
        ] {
            assert!(check(good).is_ok(), "{good:?}");
        }
        for bad in [
            &b"\x30\x81\x00"[..],
            b"\x30\x82\x00\x00",
            b"\x30\x80\x00\x00",
            b"\x30\x01",
            b"\x30",
            b"\x01\x01\x01",
            b"\x01\x01\x00",
            b"\x01\x02\xff\xff",
            b"\x02\x00",
            b"\x02\x02\x00\x7f",
            b"\x02\x02\xff\x80",
            b"\x1f\x01\x00",
            b"\x10\x00",
            b"\x70\x00",
            b"\xb0\x00",
            b"\x24\x00",
            b"\x30\x03\x30\x81\x00",
            &[0x30, 0x85, 0, 0, 0, 0, 1, 0],
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        let deep: Vec<u8> = (0_u8..60).rev().flat_map(|inner| [0x30, inner * 2]).collect();
        assert!(check(&deep).is_err());
    }
}
