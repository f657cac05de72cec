//! Reading frames one after the other, in bounded memory.

use std::sync::Arc;

use crate::body::Body;
use crate::error::{Error, while_reading};
use crate::segment::{FRAME_BYTES, FRAME_MARKER, FrameHead, HEADER_BYTES, to_u64};

/// How much is read at a time, unless a frame is longer.
const CHUNK_BYTES: usize = 256 << 10;

/// Reads the frames of a stream from a place on, up to a limit.
pub(crate) struct Frames {
    body: Arc<Body>,
    name: String,
    /// Where the next frame begins.
    position: u64,
    limit: u64,
    /// Bytes of the stream from `buffer_start` on.
    buffer: Vec<u8>,
    buffer_start: u64,
}

/// A frame that is as it was written.
pub(crate) struct Frame<'a> {
    pub(crate) offset: u64,
    pub(crate) head: FrameHead,
    pub(crate) body: &'a [u8],
}

/// What lies at a place.
pub(crate) enum Found<'a> {
    Frame(Frame<'a>),
    /// The limit.
    End,
    /// No frame, or one that is not as it was written.
    Damage {
        offset: u64,
        what: &'static str,
    },
}

impl Frames {
    /// The frames of the segment in the file of that name, up to byte `limit` of the stream.
    pub(crate) fn new(body: Arc<Body>, name: &str, limit: u64) -> Self {
        Self::from(body, name, 0, limit)
    }

    /// The same from the frame on that begins at byte `start`, or the first one behind the header.
    pub(crate) fn from(body: Arc<Body>, name: &str, start: u64, limit: u64) -> Self {
        Self {
            body,
            name: name.to_owned(),
            position: start.max(to_u64(HEADER_BYTES)),
            limit,
            buffer: Vec::new(),
            buffer_start: 0,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where the next frame begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next frame. After damage the same again.
    pub(crate) fn next(&mut self) -> Result<Found<'_>, Error> {
        let offset = self.position;
        if offset >= self.limit {
            return Ok(Found::End);
        }
        let Some(bytes) = self.bytes(offset, FRAME_BYTES)? else {
            return Ok(Found::Damage { offset, what: "the frame is cut short" });
        };
        let head = match FrameHead::decode(bytes) {
            Ok(head) => head,
            Err(what) => return Ok(Found::Damage { offset, what }),
        };
        let length = FRAME_BYTES + head.body_bytes;
        if !self.bytes(offset, length)?.is_some_and(|frame| head.matches(frame)) {
            return Ok(Found::Damage { offset, what: "the frame's checksum is wrong" });
        }
        self.position = offset + to_u64(length);
        let frame = self.bytes(offset, length)?.unwrap_or_default();
        Ok(Found::Frame(Frame { offset, head, body: frame.get(FRAME_BYTES..).unwrap_or_default() }))
    }

    /// The same, where anything but a frame or the end is an error.
    pub(crate) fn next_intact(&mut self) -> Result<Option<Frame<'_>>, Error> {
        let name = self.name.clone();
        match self.next()? {
            Found::Frame(frame) => Ok(Some(frame)),
            Found::End => Ok(None),
            Found::Damage { offset, what } => Err(Error::corrupt(&name, offset, what)),
        }
    }

    /// Whether behind the damage at the present place lies an intact frame of a later append: then what is damaged had
    /// been synced, and no power cut did it.
    pub(crate) fn later_append_follows(&mut self) -> Result<bool, Error> {
        let damage = self.position;
        let mut at = damage + 1;
        while let Some(found) = self.find_marker(at)? {
            if let Some(bytes) = self.bytes(found, FRAME_BYTES)?
                && let Ok(head) = FrameHead::decode(bytes)
                && head.append_offset > damage
                && head.append_offset <= found
                && let Some(frame) = self.bytes(found, FRAME_BYTES + head.body_bytes)?
                && head.matches(frame)
            {
                return Ok(true);
            }
            at = found + 1;
        }
        Ok(false)
    }

    /// The next place from `from` on that begins like a frame.
    fn find_marker(&mut self, mut from: u64) -> Result<Option<u64>, Error> {
        while from + to_u64(FRAME_MARKER.len()) <= self.limit {
            // What is in memory comes first, or every marker would cost a read.
            let buffered = (self.buffer_start + to_u64(self.buffer.len())).saturating_sub(from);
            let enough = from >= self.buffer_start && buffered >= to_u64(FRAME_MARKER.len());
            let length = if enough { buffered } else { (self.limit - from).min(to_u64(CHUNK_BYTES)) };
            let chunk = self.bytes(from, usize::try_from(length).unwrap_or(CHUNK_BYTES))?.unwrap_or_default();
            if let Some(at) = chunk.windows(FRAME_MARKER.len()).position(|window| *window == FRAME_MARKER) {
                return Ok(Some(from + to_u64(at)));
            }
            // The end of a chunk may hold the beginning of a marker.
            from += length - to_u64(FRAME_MARKER.len()) + 1;
        }
        Ok(None)
    }

    /// So many bytes from there; `None` if they go beyond the limit.
    fn bytes(&mut self, offset: u64, length: usize) -> Result<Option<&[u8]>, Error> {
        let end = offset.saturating_add(to_u64(length));
        if end > self.limit {
            return Ok(None);
        }
        let buffer_end = self.buffer_start + to_u64(self.buffer.len());
        if offset < self.buffer_start || end > buffer_end {
            let available = usize::try_from(self.limit - offset).unwrap_or(usize::MAX);
            self.buffer.resize(length.max(CHUNK_BYTES).min(available), 0);
            self.buffer_start = offset;
            let read = self.body.read_at(offset, &mut self.buffer);
            if read.is_err() {
                self.buffer.clear();
            }
            read.map_err(while_reading(&self.name, offset))?;
        }
        let start = usize::try_from(offset - self.buffer_start).unwrap_or(usize::MAX);
        Ok(self.buffer.get(start..start.saturating_add(length)))
    }
}
