//! Object identifiers that operators write: in dotted text, checked once.

use std::fmt;
use std::str::FromStr;

/// At most this many numbers make one, so that each fits easily into a certificate.
const ARCS_MAX: usize = 32;

/// An object identifier (ITU-T X.660): two numbers at least, the first 0, 1 or 2, the second below 40 below the first two.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Vec<u64>);

/// Why a text is no object identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOid;

impl Oid {
    /// Its numbers.
    pub fn arcs(&self) -> &[u64] {
        &self.0
    }

    /// Whether it lies at or below these numbers.
    pub fn is_below(&self, arcs: &[u64]) -> bool {
        self.0.starts_with(arcs)
    }

    /// The contents of its DER, without tag and length (ITU-T X.690, section 8.19).
    pub fn contents(&self) -> Vec<u8> {
        let mut contents = Vec::with_capacity(self.0.len() * 2);
        let [first, second, rest @ ..] = self.0.as_slice() else { return contents };
        base_128(first.saturating_mul(40).saturating_add(*second), &mut contents);
        rest.iter().for_each(|arc| base_128(*arc, &mut contents));
        contents
    }
}

/// Seven bits in each octet, the highest first; the last octet alone has its first bit clear.
fn base_128(number: u64, into: &mut Vec<u8>) {
    let octets = (64 - (number | 1).leading_zeros()).div_ceil(7);
    for place in (0..octets).rev() {
        let bits = u8::try_from(number >> (7 * place) & 0x7f).unwrap_or_default();
        into.push(if place == 0 { bits } else { bits | 0x80 });
    }
}

impl FromStr for Oid {
    type Err = BadOid;

    fn from_str(text: &str) -> Result<Self, BadOid> {
        let arc = |part: &str| {
            let is_plain =
                part == "0" || (!part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()));
            // Half of what a u64 holds, so that no sum below overflows.
            part.parse::<u64>().ok().filter(|number| is_plain && *number <= u64::MAX / 2).ok_or(BadOid)
        };
        let arcs: Vec<u64> = text.split('.').take(ARCS_MAX + 1).map(arc).collect::<Result<_, _>>()?;
        match arcs.as_slice() {
            [0 | 1, 0..40, ..] | [2, _, ..] if arcs.len() <= ARCS_MAX => Ok(Self(arcs)),
            _ => Err(BadOid),
        }
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, arc) in self.0.iter().enumerate() {
            write!(f, "{}{arc}", if place == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BadOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no object identifier, as 1.3.6.1.4.1.99999.1")
    }
}

impl std::error::Error for BadOid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_der_and_text_again() {
        for (text, contents) in [
            ("1.3.6.1.5.5.7.3.1", b"\x2b\x06\x01\x05\x05\x07\x03\x01".as_slice()),
            ("2.23.140.1.2.1", b"\x67\x81\x0c\x01\x02\x01"),
            ("2.999.3", b"\x88\x37\x03"),
            ("1.3.6.1.4.1.11129.2.4.4", b"\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x04"),
            ("0.0", b"\x00"),
            ("1.2.9223372036854775807", b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        ] {
            let oid: Oid = text.parse().unwrap();
            assert_eq!((oid.contents().as_slice(), oid.to_string().as_str()), (contents, text));
        }
        assert!("2.5.29.32.0".parse::<Oid>().unwrap().is_below(&[2, 5, 29]));
    }

    #[test]
    fn what_is_none_is_refused() {
        let long = "1.3".to_owned() + &".1".repeat(ARCS_MAX);
        for bad in [
            "",
            "1",
            "1.",
            ".1.2",
            "3.1",
            "1.40",
            "1.2.",
            "1.02",
            "1.2.-1",
            "1.2.a",
            "1.2.9223372036854775808",
            &long,
        ] {
            assert_eq!(bad.parse::<Oid>(), Err(BadOid), "{bad:?}");
        }
    }
}
