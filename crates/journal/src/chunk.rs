//! Chunks: pieces of a segment's stream of frames, each sealed under the segment's key. The layout is in
//! [`crate::segment`].

use ingam_protocol::record::RECORD_BYTES_MAX;
use ingam_protocol::time::random_array;
use ring::aead::{Aad, NONCE_LEN, Nonce};

use crate::error::Error;
use crate::keys::{Key, SegmentKeys};
use crate::segment::{Fields, to_u64};

/// The first bytes of every chunk.
pub(crate) const CHUNK_MARKER: [u8; 4] = *b"IGCK";

/// How many bytes a chunk has in front of its body.
pub(crate) const CHUNK_BYTES: usize = 45;

/// How many bytes a sealed body has more than what is in it.
pub(crate) const TAG_BYTES: usize = 16;

/// The checksum is the last of the bytes in front of the body.
const CRC_BYTES: usize = 4;

/// No chunk stands for more of the stream: a write of an append is at most one record longer than its threshold.
const STREAM_BYTES_MAX: usize = (8 << 20) + RECORD_BYTES_MAX;

/// How a chunk's piece of the stream was made smaller. The numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Packing {
    /// Not at all.
    Stored = 0,
    /// As one LZ4 block.
    Lz4 = 1,
}

/// A chunk's fields in front of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkHead {
    pub(crate) body_bytes: usize,
    /// Where in the file the append began that wrote it.
    pub(crate) append_offset: u64,
    /// Where in the stream its piece begins, and how long that is.
    pub(crate) stream_offset: u64,
    pub(crate) stream_bytes: usize,
    packing: Packing,
    nonce: [u8; NONCE_LEN],
    crc: u32,
}

impl ChunkHead {
    /// Reads the first [`CHUNK_BYTES`] of a chunk; what is wrong with them, if something is.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "the chunk is cut short";
        let mut fields = Fields(bytes);
        if fields.array().ok_or(SHORT)? != CHUNK_MARKER {
            return Err("there is no chunk");
        }
        let body_bytes = length(fields.number32().ok_or(SHORT)?);
        let append_offset = fields.number64().ok_or(SHORT)?;
        let stream_offset = fields.number64().ok_or(SHORT)?;
        let stream_bytes = length(fields.number32().ok_or(SHORT)?);
        let packing = match fields.array().ok_or(SHORT)? {
            [0] => Packing::Stored,
            [1] => Packing::Lz4,
            _ => return Err("the chunk's packing means nothing"),
        };
        let nonce = fields.array().ok_or(SHORT)?;
        let crc = fields.number32().ok_or(SHORT)?;
        if stream_bytes > STREAM_BYTES_MAX || body_bytes > stream_bytes + TAG_BYTES {
            return Err("the chunk is too long");
        }
        Ok(Self { body_bytes, append_offset, stream_offset, stream_bytes, packing, nonce, crc })
    }

    /// How many bytes it has with its body.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        to_u64(CHUNK_BYTES + self.body_bytes)
    }

    /// Where in the stream the next chunk's piece begins.
    pub(crate) fn stream_end(&self) -> u64 {
        self.stream_offset.saturating_add(to_u64(self.stream_bytes))
    }

    /// Whether the chunk, given whole, is as it was written.
    pub(crate) fn matches(&self, chunk: &[u8]) -> bool {
        let (Some(covered), Some(body)) = (chunk.get(..CHUNK_BYTES - CRC_BYTES), chunk.get(CHUNK_BYTES..))
        else {
            return false;
        };
        self.crc == checksum(covered, body)
    }

    /// The piece of the stream in the chunk, given whole.
    pub(crate) fn open(&self, chunk: &[u8], key: &Key) -> Result<Vec<u8>, &'static str> {
        if !self.matches(chunk) {
            return Err("the chunk's checksum is wrong");
        }
        let covered = chunk.get(..CHUNK_BYTES - CRC_BYTES).unwrap_or_default();
        let mut body = chunk.get(CHUNK_BYTES..).unwrap_or_default().to_vec();
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let opened = key.cipher().open_in_place(nonce, Aad::from(covered), &mut body);
        let bytes = opened.map_err(|_| "the chunk does not open under its segment's key")?.len();
        body.truncate(bytes);
        let piece = match self.packing {
            Packing::Stored => body,
            Packing::Lz4 => lz4_flex::block::decompress(&body, self.stream_bytes)
                .map_err(|_| "the chunk cannot be unpacked")?,
        };
        if piece.len() != self.stream_bytes {
            return Err("the chunk has another length than it says");
        }
        Ok(piece)
    }
}

/// Where a chunk goes, and what it is about.
pub(crate) struct ChunkPlace {
    pub(crate) append_offset: u64,
    pub(crate) stream_offset: u64,
}

/// Seals a piece of the stream as one chunk, made smaller if that is wished for and helps.
pub(crate) fn encode_chunk(
    keys: &SegmentKeys,
    key: &Key,
    place: &ChunkPlace,
    piece: &[u8],
    wished: Packing,
) -> Result<Vec<u8>, Error> {
    let packed = match wished {
        Packing::Stored => None,
        Packing::Lz4 => Some(lz4_flex::block::compress(piece)).filter(|packed| packed.len() < piece.len()),
    };
    let packing = if packed.is_some() { wished } else { Packing::Stored };
    let mut body = packed.unwrap_or_else(|| piece.to_vec());
    let number32 = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    // Never the same twice under one key: a segment has far fewer chunks than random nonces are good for (SP 800-38D, 8.3).
    let nonce: [u8; NONCE_LEN] = random_array(keys.random());
    let mut out = Vec::with_capacity(CHUNK_BYTES + body.len() + TAG_BYTES);
    out.extend_from_slice(&CHUNK_MARKER);
    out.extend_from_slice(&number32(body.len() + TAG_BYTES));
    out.extend_from_slice(&place.append_offset.to_be_bytes());
    out.extend_from_slice(&place.stream_offset.to_be_bytes());
    out.extend_from_slice(&number32(piece.len()));
    out.push(packing as u8);
    out.extend_from_slice(&nonce);
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.cipher()
        .seal_in_place_append_tag(nonce, Aad::from(&out), &mut body)
        .map_err(|_| Error::TooLarge { bytes: piece.len() })?;
    let crc = checksum(&out, &body);
    out.extend_from_slice(&crc.to_be_bytes());
    out.extend_from_slice(&body);
    Ok(out)
}

fn checksum(covered: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(covered);
    hasher.update(body);
    hasher.finalize()
}

fn length(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
