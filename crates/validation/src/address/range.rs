//! Addresses as an operator writes them: one by one, or as networks.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address, or a network in the form `10.1.0.0/16` (RFC 4632, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange {
    first: IpAddr,
    prefix_bits: u8,
}

/// Why a text is no [`AddressRange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// What stands before the slash is no address.
    Address,
    /// What stands after the slash is no length of a prefix.
    Prefix,
    /// The address has bits after the prefix: one of the two is a mistake.
    Bits,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "it is neither an address nor a network, as in 10.1.0.0/16",
            Self::Prefix => "what is after the slash is no length of a prefix",
            Self::Bits => "the network does not begin at this address",
        })
    }
}

impl std::error::Error for RangeError {}

impl AddressRange {
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let same_family = self.first.is_ipv4() == address.is_ipv4();
        same_family && masked(address, self.prefix_bits) == bits(self.first)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The first bits of an address; both families begin at the highest bit.
fn masked(address: IpAddr, prefix_bits: u8) -> u128 {
    bits(address) & u128::MAX.checked_shl(128 - u32::from(prefix_bits)).unwrap_or_default()
}

impl FromStr for AddressRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| RangeError::Address)?;
        let bits_max = if first.is_ipv4() { 32 } else { 128 };
        let is_plain = |length: &&str| !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let prefix_bits = match length {
            None => bits_max,
            Some(length) => Some(length)
                .filter(is_plain)
                .and_then(|length| length.parse().ok())
                .filter(|length| *length <= bits_max)
                .ok_or(RangeError::Prefix)?,
        };
        if masked(first, prefix_bits) != bits(first) {
            return Err(RangeError::Bits);
        }
        Ok(Self { first, prefix_bits })
    }
}

impl TryFrom<String> for AddressRange {
    type Error = RangeError;

    fn try_from(text: String) -> Result<Self, RangeError> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits_max = if self.first.is_ipv4() { 32 } else { 128 };
        write!(f, "{}", self.first)?;
        if self.prefix_bits < bits_max { write!(f, "/{}", self.prefix_bits) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_prints_as_itself() {
        for text in
            ["10.1.0.0/16", "127.0.0.2", "0.0.0.0/0", "::/0", "fd00::/8", "2001:db8::1", "128.0.0.0/1"]
        {
            assert_eq!(text.parse::<AddressRange>().unwrap().to_string(), text);
        }
        assert_eq!("10.0.0.1/32".parse::<AddressRange>().unwrap().to_string(), "10.0.0.1");
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, error) in [
            ("", RangeError::Address),
            ("example.org", RangeError::Address),
            ("10.1/16", RangeError::Address),
            ("10.1.0.0/", RangeError::Prefix),
            ("10.1.0.0/33", RangeError::Prefix),
            ("10.1.0.0/+8", RangeError::Prefix),
            ("::/129", RangeError::Prefix),
            ("10.1.0.1/16", RangeError::Bits),
        ] {
            assert_eq!(text.parse::<AddressRange>(), Err(error), "{text}");
        }
    }

    #[test]
    fn families_are_kept_apart() {
        let all_v4: AddressRange = "0.0.0.0/0".parse().unwrap();
        assert!(all_v4.contains("255.1.2.3".parse().unwrap()));
        assert!(!all_v4.contains("::1".parse().unwrap()));
        let one: AddressRange = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
    }
}
