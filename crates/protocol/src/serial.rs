//! Serial numbers of certificates.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bytes::{from_hex, hex};
use crate::time::{Random, random_array};

/// How many unpredictable bytes a serial number of this CA has.
pub const SERIAL_BYTES: u8 = 18;

/// The first byte of serial numbers that belong to a shard. Those of [`Serial::new`] begin above it.
const SHARDED: u8 = 0x20;

/// Which of its issuer's CRLs lists a certificate once it is revoked: those of one shard are on one list (the
/// partitioned CRLs of RFC 5280, section 5.2.5). Counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shard(pub u16);

impl Shard {
    /// The first bytes of every serial number of this shard, and of no other: in a table sorted by serial number a shard
    /// is one range.
    pub const fn serial_prefix(self) -> [u8; 3] {
        let [high, low] = self.0.to_be_bytes();
        [SHARDED, high, low]
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A certificate's serial number: a positive integer, its big-endian bytes without a leading zero octet
/// (the value, not the DER contents: where the first bit is set, DER puts a zero octet in front).
///
/// At most 20 bytes, as RFC 5280, section 4.1.2.2 asks. Ordered by length, then value, so by value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Serial {
    length: u8,
    bytes: [u8; 20],
}

impl Serial {
    /// A new serial number of 18 bytes with 142 unpredictable bits: the first byte lies in 0x40..=0x7f, so that every
    /// serial is positive and has the same length (BR 7.1 asks for 64 bits at least, and less than 2^159).
    pub fn new(random: &dyn Random) -> Self {
        let mut value = random_array::<{ SERIAL_BYTES as usize }>(random);
        if let Some(first) = value.first_mut() {
            *first = (*first & 0x3f) | 0x40;
        }
        let mut bytes = [0; 20];
        for (target, source) in bytes.iter_mut().zip(value) {
            *target = source;
        }
        Self { length: SERIAL_BYTES, bytes }
    }

    /// A new serial number of a shard: 18 bytes, of which the first is 0x20, the next two are the shard and all others
    /// unpredictable (120 bits; BR 7.1 asks for 64 at least).
    pub fn in_shard(random: &dyn Random, shard: Shard) -> Self {
        let unpredictable = random_array::<{ SERIAL_BYTES as usize - 3 }>(random);
        let mut bytes = [0; 20];
        for (target, source) in bytes.iter_mut().zip(shard.serial_prefix().into_iter().chain(unpredictable)) {
            *target = source;
        }
        Self { length: SERIAL_BYTES, bytes }
    }

    /// The shard that this serial number belongs to; `None` for one that [`Serial::new`] made, and for other CAs'.
    pub fn shard(&self) -> Option<Shard> {
        match self.as_bytes() {
            [SHARDED, high, low, rest @ ..] if rest.len() + 3 == usize::from(SERIAL_BYTES) => {
                Some(Shard(u16::from_be_bytes([*high, *low])))
            }
            _ => None,
        }
    }

    /// From big-endian bytes, with or without leading zero octets. `None` if the value is zero or needs more than 20
    /// bytes.
    pub fn from_be_bytes(value: &[u8]) -> Option<Self> {
        let significant = value.iter().skip_while(|byte| **byte == 0).count();
        let start = value.len() - significant;
        let value = value.get(start..)?;
        let length = u8::try_from(value.len()).ok().filter(|length| (1..=20).contains(length))?;
        let mut bytes = [0; 20];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Self { length, bytes })
    }

    /// The value's big-endian bytes, without a leading zero octet.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }

    /// Reads lower- or upper-case hexadecimal digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() > 40 {
            return None;
        }
        Self::from_be_bytes(&from_hex(text)?)
    }
}

impl PartialOrd for Serial {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Serial {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.length, self.as_bytes()).cmp(&(other.length, other.as_bytes()))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.as_bytes()))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Serial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Serial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("not a serial number in hexadecimal"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SeededRandom;

    #[test]
    fn new_serials_are_positive_and_18_bytes_long() {
        let random = SeededRandom::new(7);
        for _ in 0..1000 {
            let serial = Serial::new(&random);
            assert_eq!(serial.as_bytes().len(), 18);
            assert!((0x40..=0x7f).contains(&serial.as_bytes()[0]));
        }
    }

    #[test]
    fn a_serial_says_which_shard_it_belongs_to() {
        let random = SeededRandom::new(8);
        for shard in [0, 1, 255, 256, 1023, u16::MAX].map(Shard) {
            let (serial, other) = (Serial::in_shard(&random, shard), Serial::in_shard(&random, shard));
            assert_eq!((serial.shard(), serial.as_bytes().len()), (Some(shard), 18));
            assert!(serial.as_bytes().starts_with(&shard.serial_prefix()));
            assert_ne!(serial, other);
            assert_eq!(Serial::from_hex(&serial.to_string()).unwrap().shard(), Some(shard));
        }
        assert_eq!(Serial::new(&random).shard(), None);
        assert_eq!(Serial::from_be_bytes(&[0x20; 17]).unwrap().shard(), None);
        assert_eq!(Serial::from_be_bytes(&[0x20; 19]).unwrap().shard(), None);
    }

    #[test]
    fn the_value_counts_not_its_padding() {
        let serial = Serial::from_be_bytes(&[0, 0, 0x81]).unwrap();
        assert_eq!(serial.as_bytes(), [0x81]);
        assert_eq!(Some(serial), Serial::from_hex("0081"));
        assert_eq!(Serial::from_be_bytes(&[0, 0]), None);
        assert_eq!(Serial::from_be_bytes(&[1; 21]), None);
        assert_eq!(Serial::from_hex("8"), None);
        assert_eq!(Serial::from_hex("+1"), None);
    }

    #[test]
    fn order_is_by_value() {
        let small = Serial::from_be_bytes(&[0xff]).unwrap();
        let large = Serial::from_be_bytes(&[1, 0]).unwrap();
        assert!(small < large);
    }
}
