//! The layout of a segment: one file, for the records of one class. Final; a newer one gets a new version number.
//!
//! ```text
//! name     <class>-<first day of the period, yyyymmdd>-<sequence, 8 digits>.seg, and .pack in the place of .seg once it
//!          is packed
//!
//! header   96 bytes
//!   0   8  magic "INGAMSEG"
//!   8   2  format version: 2, or 1 where the stream follows as it is
//!  10   1  class
//!  11   1  sealing: 1 = AES-256-GCM under the segment's key; 0 in version 1
//!  12  16  key id, zeros in version 1
//!  28   8  start of the period, milliseconds since the epoch
//!  36   8  length of the period, milliseconds
//!  44   8  sequence: 1 for the first segment of the class, then one more each
//!  52   8  index of the first record: how many records of the class lie in earlier segments
//!  60  32  head of the chain before the first record
//!  92   4  CRC-32 of bytes 0 to 91
//!
//! chunks   45 bytes and a body each, one after the other: the stream in pieces. Whoever writes a segment adds a chunk for
//!          each append; a packed segment has pieces of 256 KiB, compressed. The close frame is a chunk of its own
//!   0   4  marker "IGCK"
//!   4   4  length of the body
//!   8   8  offset in this file at which the append began that wrote this chunk
//!  16   8  offset in the stream of the chunk's piece
//!  24   4  length of the piece
//!  28   1  packing: 0 = none, 1 = LZ4, one block
//!  29  12  nonce
//!  41   4  CRC-32 of bytes 0 to 40 and the body
//!  45      body: the piece, packed, then sealed with bytes 0 to 40 as associated data; its tag are the last 16 bytes
//!
//! stream   begins at offset 96: frames, 53 bytes and a body each, one after the other
//!   0   4  marker "IGFR"
//!   4   4  length of the body
//!   8   8  offset in the stream at which the append began that wrote this frame
//!  16   1  kind: 1 = record, 2 = erased, 3 = close
//!  17  32  commitment to the record, zeros in a close frame
//!  49   4  CRC-32 of bytes 0 to 48 and the body
//!  53      body
//!
//! bodies of frames
//!   record  the record as `Record::encode` wrote it
//!   erased  nothing, or as many zeros as the record had bytes: it is gone, its commitment holds its place in the chain
//!   close   count u64 | head of the chain 32 | earliest time u64 | latest time u64 | latest end of life u64
//! ```
//!
//! All numbers are big-endian. The times in a close frame are of the segment's records, zero for none. A close frame is
//! the last of its segment, and every segment of a class but the one in use has one.
//!
//! A segment holds records from before the end of its period; late ones may be from before its start.
//!
//! The offset of the append is there for recovery: everything in front of it had been synced when the chunk (in version 1
//! the frame) was written. A damaged one with such a one behind it is damage; without, it may be what a power cut left of
//! the last append.
//!
//! The stream, and every place in it, is the same before and after packing.

use ingam_protocol::record::{Class, RECORD_BYTES_MAX, commitment};
use ingam_protocol::time::Timestamp;

use crate::chain::Head;
use crate::error::Error;
use crate::keys::KeyId;

/// The first bytes of every segment.
pub const MAGIC: [u8; 8] = *b"INGAMSEG";

/// The version of this layout.
pub const FORMAT_VERSION: u16 = 2;

/// The version whose stream lies in the file as it is: read, and packed into this one.
const PLAIN_VERSION: u16 = 1;

/// AES-256-GCM under the segment's key.
const SEALED: u8 = 1;

/// How many bytes a header has.
pub const HEADER_BYTES: usize = 96;

/// The first bytes of every frame.
pub const FRAME_MARKER: [u8; 4] = *b"IGFR";

/// How many bytes a frame has in front of its body.
pub const FRAME_BYTES: usize = 53;

/// How many bytes a close frame's body has.
pub const CLOSE_BYTES: usize = 64;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) class: Class,
    pub(crate) period_start: Timestamp,
    pub(crate) period_ms: u64,
    pub(crate) sequence: u64,
    pub(crate) first_index: u64,
    pub(crate) previous: Head,
    /// The key that it is sealed under; none in version 1.
    pub(crate) key: Option<KeyId>,
}

/// What a segment's name says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) class: Class,
    pub(crate) sequence: u64,
    /// The segment's name, whether it is packed or not.
    pub(crate) text: String,
}

impl Name {
    /// What names of segments end with; any other file in the directory is left alone.
    pub(crate) const SUFFIX: &'static str = ".seg";

    /// What they end with once they are packed.
    pub(crate) const PACKED_SUFFIX: &'static str = ".pack";

    /// Whether a file is meant to be a segment, to judge by its name's end.
    pub(crate) fn is_one(file_name: &str) -> bool {
        file_name.ends_with(Self::SUFFIX) || file_name.ends_with(Self::PACKED_SUFFIX)
    }

    /// The name of a segment's packed form.
    pub(crate) fn packed(text: &str) -> String {
        format!("{}{}", text.strip_suffix(Self::SUFFIX).unwrap_or(text), Self::PACKED_SUFFIX)
    }

    /// Reads a file's name; `None` if no segment is called so.
    pub(crate) fn parse(file_name: &str) -> Option<Self> {
        let stem =
            file_name.strip_suffix(Self::SUFFIX).or_else(|| file_name.strip_suffix(Self::PACKED_SUFFIX))?;
        let mut parts = stem.rsplitn(3, '-');
        let (sequence, day, class) = (parts.next()?, parts.next()?, parts.next()?);
        let digits =
            |part: &str, least: usize| part.len() >= least && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(sequence, 8) || !digits(day, 8) {
            return None;
        }
        let class = Class::ALL.into_iter().find(|known| known.name() == class)?;
        let text = format!("{stem}{}", Self::SUFFIX);
        Some(Self { class, sequence: sequence.parse().ok()?, text })
    }
}

impl Header {
    /// The name of the file that this is the header of.
    pub(crate) fn name(&self) -> String {
        let day: String =
            self.period_start.to_rfc3339().chars().take(10).filter(char::is_ascii_digit).collect();
        format!("{}-{day}-{:08}{}", self.class.name(), self.sequence, Name::SUFFIX)
    }

    /// The end of the period: no record in the segment is from then or later.
    pub(crate) fn period_end_ms(&self) -> u64 {
        self.period_start.unix_ms().saturating_add(self.period_ms)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        let version = if self.key.is_some() { FORMAT_VERSION } else { PLAIN_VERSION };
        out.extend_from_slice(&version.to_be_bytes());
        out.push(self.class.number());
        out.push(if self.key.is_some() { SEALED } else { 0 });
        out.extend_from_slice(&self.key.map_or([0; 16], |key| key.0));
        out.extend_from_slice(&self.period_start.unix_ms().to_be_bytes());
        out.extend_from_slice(&self.period_ms.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.first_index.to_be_bytes());
        out.extend_from_slice(&self.previous.0);
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads the header of the file of that name; the version comes first, as a newer one may have any layout.
    pub(crate) fn decode(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |what| move || Error::corrupt(file, 0, what);
        let short = damaged("the header is cut short");
        let mut fields = Fields(bytes);
        if fields.array().ok_or_else(short)? != MAGIC {
            return Err(Error::corrupt(file, 0, "the file is no segment"));
        }
        let version = u16::from_be_bytes(fields.array().ok_or_else(short)?);
        if version > FORMAT_VERSION {
            return Err(Error::Newer {
                file: file.to_owned(),
                what: "format version",
                found: version.into(),
            });
        }
        let covered = bytes.get(..HEADER_BYTES - 4).ok_or_else(short)?;
        let crc = Fields(bytes.get(HEADER_BYTES - 4..).unwrap_or_default()).number32().ok_or_else(short)?;
        if version == 0 || crc != crc32fast::hash(covered) {
            return Err(Error::corrupt(file, 0, "the header's checksum is wrong"));
        }
        let [class, sealing] = fields.array().ok_or_else(short)?;
        if sealing > SEALED {
            return Err(Error::Newer { file: file.to_owned(), what: "sealing", found: sealing.into() });
        }
        let class = Class::from_number(class).ok_or_else(|| Error::Newer {
            file: file.to_owned(),
            what: "class",
            found: class.into(),
        })?;
        let key = KeyId(fields.array().ok_or_else(short)?);
        if (version == PLAIN_VERSION) != (sealing == 0) {
            return Err(Error::corrupt(file, 0, "the header's version and sealing do not fit together"));
        }
        let mut number = || fields.number64().ok_or_else(short);
        let header = Self {
            class,
            period_start: Timestamp::from_unix_ms(number()?),
            period_ms: number()?,
            sequence: number()?,
            first_index: number()?,
            previous: Head(fields.array().ok_or_else(short)?),
            key: (sealing == SEALED).then_some(key),
        };
        if Name::parse(file).is_none_or(|name| name.text != header.name()) {
            return Err(Error::corrupt(file, 0, "the header belongs to a file of another name"));
        }
        Ok(header)
    }
}

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    Record = 1,
    Erased = 2,
    Close = 3,
}

/// A frame's fields in front of its body, but for the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) body_bytes: usize,
    pub(crate) append_offset: u64,
    pub(crate) kind: FrameKind,
    pub(crate) commitment: [u8; 32],
    crc: u32,
}

impl FrameHead {
    /// Reads the first [`FRAME_BYTES`] of a frame; what is wrong with them, if something is.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "the frame is cut short";
        let mut fields = Fields(bytes);
        if fields.array().ok_or(SHORT)? != FRAME_MARKER {
            return Err("there is no frame");
        }
        let body_bytes = usize::try_from(fields.number32().ok_or(SHORT)?).unwrap_or(usize::MAX);
        if body_bytes > RECORD_BYTES_MAX {
            return Err("the frame is too long");
        }
        let append_offset = fields.number64().ok_or(SHORT)?;
        let kind = match fields.array().ok_or(SHORT)? {
            [1] => FrameKind::Record,
            [2] => FrameKind::Erased,
            [3] => FrameKind::Close,
            _ => return Err("the frame's kind means nothing"),
        };
        let commitment = fields.array().ok_or(SHORT)?;
        let crc = fields.number32().ok_or(SHORT)?;
        Ok(Self { body_bytes, append_offset, kind, commitment, crc })
    }

    /// Whether the frame, given whole, is as it was written.
    pub(crate) fn matches(&self, frame: &[u8]) -> bool {
        let (Some(covered), Some(body)) = (frame.get(..FRAME_BYTES - 4), frame.get(FRAME_BYTES..)) else {
            return false;
        };
        self.crc == checksum(covered, body)
    }
}

fn checksum(covered: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(covered);
    hasher.update(body);
    hasher.finalize()
}

/// Writes a frame behind what is in `out`.
pub(crate) fn encode_frame(
    out: &mut Vec<u8>,
    append_offset: u64,
    kind: FrameKind,
    commitment: &[u8; 32],
    body: &[u8],
) {
    let start = out.len();
    out.reserve(FRAME_BYTES + body.len());
    out.extend_from_slice(&FRAME_MARKER);
    // A body is at most `RECORD_BYTES_MAX` long, which `append` checks before it writes anything.
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&append_offset.to_be_bytes());
    out.push(kind as u8);
    out.extend_from_slice(commitment);
    let crc = checksum(out.get(start..).unwrap_or_default(), body);
    out.extend_from_slice(&crc.to_be_bytes());
    out.extend_from_slice(body);
}

/// What is known of a segment's records together, up to a place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The place: how many bytes of the stream this is about, with the header's in front of it.
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) head: Head,
    pub(crate) earliest: Option<Timestamp>,
    pub(crate) latest: Option<Timestamp>,
    pub(crate) end_of_life: Option<Timestamp>,
}

impl Tally {
    /// Of a segment that has a header and nothing else.
    pub(crate) fn new(header: &Header) -> Self {
        Self {
            bytes: to_u64(HEADER_BYTES),
            records: 0,
            head: header.previous,
            earliest: None,
            latest: None,
            end_of_life: None,
        }
    }

    /// Adds a link to the chain, and the bytes of its frame.
    pub(crate) fn add(&mut self, commitment: &[u8; 32], body_bytes: usize) {
        self.bytes += to_u64(FRAME_BYTES + body_bytes);
        self.records += 1;
        self.head = self.head.next(commitment);
    }

    /// Adds the times of a record.
    pub(crate) fn add_times(&mut self, time: Timestamp, end_of_life: Option<Timestamp>) {
        self.earliest = Some(self.earliest.map_or(time, |earliest| earliest.min(time)));
        self.latest = self.latest.max(Some(time));
        self.end_of_life = self.end_of_life.max(end_of_life);
    }

    /// The body of the close frame behind these records.
    pub(crate) fn encode_close(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CLOSE_BYTES);
        out.extend_from_slice(&self.records.to_be_bytes());
        out.extend_from_slice(&self.head.0);
        for time in [self.earliest, self.latest, self.end_of_life] {
            out.extend_from_slice(&time.map_or(0, Timestamp::unix_ms).to_be_bytes());
        }
        out
    }

    /// Reads the body of a close frame that ends at `bytes`; `None` if it is none.
    pub(crate) fn decode_close(bytes: u64, body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        let records = fields.number64()?;
        let head = Head(fields.array()?);
        let mut time = || Some(Some(fields.number64()?).filter(|ms| *ms != 0).map(Timestamp::from_unix_ms));
        let (earliest, latest, end_of_life) = (time()?, time()?, time()?);
        fields.0.is_empty().then_some(Self { bytes, records, head, earliest, latest, end_of_life })
    }
}

/// Whether the body is what the commitment was made to; an erased body is, whatever was there.
pub(crate) fn body_matches(kind: FrameKind, expected: &[u8; 32], body: &[u8]) -> bool {
    match kind {
        FrameKind::Record => commitment(body) == *expected,
        FrameKind::Erased => body.iter().all(|byte| *byte == 0),
        FrameKind::Close => *expected == [0; 32],
    }
}

/// Lengths in memory are lengths in a file.
pub(crate) fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A cursor over fields of fixed size.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_at_checked(N)?;
        self.0 = rest;
        taken.try_into().ok()
    }

    pub(crate) fn number32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn number64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            class: Class::Issuance,
            period_start: Timestamp::from_unix_s(1_795_219_200),
            period_ms: 86_400_000,
            sequence: 7,
            first_index: 40,
            previous: Head([9; 32]),
            key: Some(KeyId([5; 16])),
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let bytes = header().encode();
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(header().name(), "issuance-20261121-00000007.seg");
        for name in ["issuance-20261121-00000007.seg", "issuance-20261121-00000007.pack"] {
            assert_eq!(Header::decode(name, &bytes).unwrap(), header());
        }
        let plain = Header { key: None, ..header() };
        assert_eq!(Header::decode("issuance-20261121-00000007.seg", &plain.encode()).unwrap(), plain);
        assert_eq!(
            Header::decode("issuance-20261121-00000008.seg", &bytes).unwrap_err().code(),
            "journal_corrupt"
        );
    }

    #[test]
    fn a_newer_header_is_told_from_a_damaged_one() {
        let name = header().name();
        let sealed = |at: usize, value: u8| {
            let mut bytes = header().encode();
            bytes[at] = value;
            let crc = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
            bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_be_bytes());
            Header::decode(&name, &bytes).unwrap_err()
        };
        assert!(matches!(sealed(9, 3), Error::Newer { what: "format version", found: 3, .. }));
        assert!(matches!(sealed(11, 2), Error::Newer { what: "sealing", found: 2, .. }));
        assert!(matches!(sealed(10, 200), Error::Newer { what: "class", found: 200, .. }));
        assert!(sealed(9, 3).to_string().contains("newer version of this program"));
        assert_eq!(sealed(9, 1).code(), "journal_corrupt", "the first version sealed nothing");
        assert_eq!(sealed(11, 0).code(), "journal_corrupt");
        for at in 0..HEADER_BYTES {
            let mut bytes = header().encode();
            bytes[at] ^= 1;
            assert!(Header::decode(&name, &bytes).is_err(), "{at}");
            assert!(Header::decode(&name, &header().encode()[..at]).is_err(), "{at}");
        }
    }

    #[test]
    fn names_are_read_strictly() {
        let name = Name::parse("ocsp_request_log-20261121-00000012.seg").unwrap();
        assert_eq!((name.class, name.sequence), (Class::OcspRequestLog, 12));
        assert_eq!(Name::parse(&Name::packed(&name.text)), Some(name));
        for text in
            ["", "issuance.seg", "issuance-20261121-1.seg", "nothing-20261121-00000001.seg", "a-b-c.seg"]
        {
            assert_eq!(Name::parse(text), None, "{text}");
        }
        assert_eq!(Name::parse("issuance-20261121-00000001.old"), None);
    }
}
