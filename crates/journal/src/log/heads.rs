//! The heads of the log: the newest that was signed, and the one before it.
//!
//! ```text
//! heads    two places of 16 KiB, used in turns: a head of an odd sequence lies in the second
//!
//!   0   8  magic "INGAMLOG"
//!   8   2  format version = 1
//!  10   8  sequence: one more for each head
//!  18   8  how many leaves
//!  26  32  the root over them
//!  58   1  how many classes have leaves; then for each: class u8 | index of its next record u64
//!       4  length of the note; then the note
//!       4  CRC-32 of everything before
//! ```
//!
//! A head is written over the one before the last. What tears is the new one, and then the last is still there.

use std::collections::BTreeMap;

use ingam_protocol::record::Class;

use super::tree::{Hash, empty_root};
use super::{LogError, failed};
use crate::files::File;
use crate::segment::to_u64;

/// The file's name.
pub(crate) const HEADS: &str = "heads";

/// How many bytes each of the two places has.
const PLACE_BYTES: usize = 16 << 10;

/// At most so many bytes is the note over a head.
pub const HEAD_NOTE_BYTES_MAX: usize = 12 << 10;

const MAGIC: [u8; 8] = *b"INGAMLOG";
const FORMAT_VERSION: u16 = 1;

/// The log at one moment: what was signed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The signed note that says so; empty before the first.
    pub note: String,
    pub(crate) sequence: u64,
    pub(crate) next: BTreeMap<Class, u64>,
}

impl Head {
    /// That of a log in which nothing was signed.
    pub(crate) fn first() -> Self {
        Self { size: 0, root: empty_root(), note: String::new(), sequence: 0, next: BTreeMap::new() }
    }

    fn encode(&self) -> Result<Vec<u8>, LogError> {
        if self.note.len() > HEAD_NOTE_BYTES_MAX {
            return Err(LogError::TooLong);
        }
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend_from_slice(&self.root);
        out.push(u8::try_from(self.next.len()).unwrap_or(u8::MAX));
        for (class, index) in &self.next {
            out.push(class.number());
            out.extend_from_slice(&index.to_be_bytes());
        }
        out.extend_from_slice(&u32::try_from(self.note.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(self.note.as_bytes());
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        Ok(out)
    }

    /// `Ok(None)` for what is no head: torn, or never written.
    fn decode(place: &[u8]) -> Result<Option<Self>, LogError> {
        Self::read(place).unwrap_or(Ok(None))
    }

    fn read(place: &[u8]) -> Option<Result<Option<Self>, LogError>> {
        let mut rest = place;
        if take(&mut rest)? != MAGIC {
            return None;
        }
        if u16::from_be_bytes(take(&mut rest)?) > FORMAT_VERSION {
            return Some(Err(LogError::Newer));
        }
        let (sequence, size) = (u64::from_be_bytes(take(&mut rest)?), u64::from_be_bytes(take(&mut rest)?));
        let root = take(&mut rest)?;
        let [classes] = take(&mut rest)?;
        let mut next = BTreeMap::new();
        let mut is_known = true;
        for _ in 0..classes {
            let [class] = take(&mut rest)?;
            let index = u64::from_be_bytes(take(&mut rest)?);
            match Class::from_number(class) {
                Some(class) => drop(next.insert(class, index)),
                None => is_known = false,
            }
        }
        let length = usize::try_from(u32::from_be_bytes(take(&mut rest)?)).ok()?;
        let (note, behind) = rest.split_at_checked(length)?;
        let covered = place.len() - behind.len();
        let crc = behind.get(..4)?;
        if crc != crc32fast::hash(place.get(..covered)?).to_be_bytes() {
            return None;
        }
        if !is_known {
            return Some(Err(LogError::Newer));
        }
        let note = String::from_utf8(note.to_vec()).ok()?;
        Some(Ok(Some(Self { size, root, note, sequence, next })))
    }

    /// Writes it to its place; durable when it returns.
    pub(crate) fn write(&self, heads: &dyn File) -> Result<(), LogError> {
        let place = (self.sequence % 2) * to_u64(PLACE_BYTES);
        heads.write_at(place, &self.encode()?).map_err(failed("writing", HEADS))?;
        heads.sync().map_err(failed("syncing", HEADS))
    }

    /// The newest in the file; `None` if there is none.
    pub(crate) fn newest(heads: &dyn File) -> Result<Option<Self>, LogError> {
        let length = heads.length().map_err(failed("measuring", HEADS))?;
        let mut newest: Option<Self> = None;
        for place in [0, to_u64(PLACE_BYTES)] {
            let bytes = usize::try_from(length.saturating_sub(place)).unwrap_or(usize::MAX).min(PLACE_BYTES);
            if bytes == 0 {
                continue;
            }
            let mut buffer = vec![0; bytes];
            heads.read_at(place, &mut buffer).map_err(failed("reading", HEADS))?;
            let Some(head) = Self::decode(&buffer)? else { continue };
            if newest.as_ref().is_none_or(|known| known.sequence < head.sequence) {
                newest = Some(head);
            }
        }
        Ok(newest)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}
