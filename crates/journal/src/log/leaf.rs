//! What a leaf says of a record.
//!
//! ```text
//!   0   1  version = 1
//!   1   1  class
//!   2   8  index in the class: how many of its records came before
//!  10   4  day of the record's time, days since 1970-01-01
//!  14   4  day on which that ends which it is about; 0 if nothing does
//!  18  32  commitment to the record
//! ```
//!
//! All numbers are big-endian. The layout is final: a newer one gets another first byte. Days are enough to see whether a rule
//! asked for a removal, and tell little else. An erased record has no times any more: if it had no leaf before, its leaf has the
//! day on which it was made, and the latest end of life in its segment, so that it may go later than it might, and no sooner.
//!
//! On disk a CRC-32 follows each leaf, which is no part of it.

use ingam_protocol::record::Class;
use ingam_protocol::time::Timestamp;

/// How many bytes a leaf has.
pub const LEAF_BYTES: usize = 50;

/// How many bytes it takes on disk.
pub(crate) const ENTRY_BYTES: usize = LEAF_BYTES + 4;

/// The first byte of each leaf.
pub const LEAF_VERSION: u8 = 1;

/// A record's place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The record's class.
    pub class: Class,
    /// How many records of the class came before it.
    pub index: u64,
    /// The day of its time, counted from 1970-01-01.
    pub day: u32,
    /// The day on which that ends which it is about; 0 if nothing does.
    pub end_day: u32,
    /// The journal's commitment to it.
    pub commitment: [u8; 32],
}

/// Why bytes are no leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeafError {
    /// Of a newer version, or of a class that is not known here.
    Newer,
    /// Of another length, or none at all.
    Malformed,
}

/// The day of a time.
pub fn day(time: Timestamp) -> u32 {
    u32::try_from(time.unix_s() / 86_400).unwrap_or(u32::MAX)
}

impl Leaf {
    /// Its bytes, which are hashed.
    pub fn encode(&self) -> [u8; LEAF_BYTES] {
        let mut bytes = Vec::with_capacity(LEAF_BYTES);
        bytes.extend_from_slice(&[LEAF_VERSION, self.class.number()]);
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&self.day.to_be_bytes());
        bytes.extend_from_slice(&self.end_day.to_be_bytes());
        bytes.extend_from_slice(&self.commitment);
        let mut out = [0; LEAF_BYTES];
        // The fields above have this length together.
        out.copy_from_slice(&bytes);
        out
    }

    /// Reads what [`Leaf::encode`] wrote.
    ///
    /// # Errors
    /// [`LeafError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, LeafError> {
        fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], LeafError> {
            let (taken, left) = rest.split_first_chunk().ok_or(LeafError::Malformed)?;
            *rest = left;
            Ok(taken)
        }
        let mut rest = bytes;
        let [version, class] = *take(&mut rest)?;
        if version > LEAF_VERSION {
            return Err(LeafError::Newer);
        }
        if version != LEAF_VERSION || class == 0 || bytes.len() != LEAF_BYTES {
            return Err(LeafError::Malformed);
        }
        Ok(Self {
            class: Class::from_number(class).ok_or(LeafError::Newer)?,
            index: u64::from_be_bytes(*take(&mut rest)?),
            day: u32::from_be_bytes(*take(&mut rest)?),
            end_day: u32::from_be_bytes(*take(&mut rest)?),
            commitment: *take(&mut rest)?,
        })
    }

    /// Its bytes on disk, behind what is in `out`.
    pub(crate) fn write_entry(&self, out: &mut Vec<u8>) {
        let bytes = self.encode();
        out.extend_from_slice(&bytes);
        out.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    }
}

/// The bytes of the leaf that lies on disk like this; `None` if it is not as it was written.
pub(crate) fn entry_leaf(entry: &[u8]) -> Option<&[u8]> {
    let (leaf, crc) = entry.split_at_checked(LEAF_BYTES)?;
    (crc == crc32fast::hash(leaf).to_be_bytes()).then_some(leaf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_final() {
        let time = Timestamp::from_unix_s(1_795_255_200);
        let leaf =
            Leaf { class: Class::Issuance, index: 7, day: day(time), end_day: 21_000, commitment: [9; 32] };
        let bytes = leaf.encode();
        assert_eq!(bytes[..18], [1, 2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0x51, 0x2a, 0, 0, 0x52, 0x08]);
        assert_eq!(bytes[18..], [9; 32]);
        assert_eq!(Leaf::decode(&bytes), Ok(leaf));
        for length in 0..LEAF_BYTES {
            assert_eq!(Leaf::decode(&bytes[..length]), Err(LeafError::Malformed), "{length}");
        }
        for (at, value, error) in
            [(0, 0, LeafError::Malformed), (0, 2, LeafError::Newer), (1, 99, LeafError::Newer)]
        {
            let mut other = bytes;
            other[at] = value;
            assert_eq!(Leaf::decode(&other), Err(error));
        }
    }
}
