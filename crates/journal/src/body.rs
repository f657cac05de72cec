//! A segment's file as its readers see it: the stream of frames, whatever the file is made of.
//!
//! A file of the first version is the stream. One of the second is a row of chunks; where a place of the stream lies is
//! found by going from chunk to chunk, and what was found is remembered as long as the file is open.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::chunk::{CHUNK_BYTES, ChunkHead};
use crate::error::{Error, while_doing};
use crate::files::{File, Files};
use crate::journal::Form;
use crate::keys::{Key, SegmentKeys};
use crate::segment::{HEADER_BYTES, Header, Name, to_u64};

/// The stream of one segment.
pub(crate) struct Body {
    file: Arc<dyn File>,
    /// The key of a file of chunks.
    key: Option<Key>,
    places: Mutex<Places>,
}

/// Where chunks lie, as far as the file was walked.
struct Places {
    /// Where in the stream each chunk begins, and where in the file.
    chunks: Vec<(u64, u64)>,
    stream_end: u64,
    file_end: u64,
    /// The piece that was opened last, and where in the stream it begins.
    opened: Option<(u64, Arc<Vec<u8>>)>,
}

/// A segment's file, opened.
pub(crate) struct Opened {
    pub(crate) header: Header,
    /// The file's name: that of the segment, or of its packed form.
    pub(crate) file_name: String,
    pub(crate) file: Arc<dyn File>,
    pub(crate) key: Option<Key>,
}

impl Opened {
    /// Opens the file of that name and reads its header.
    pub(crate) fn new(files: &dyn Files, keys: &SegmentKeys, file_name: &str) -> Result<Self, Error> {
        let file = files.open(file_name).map_err(while_doing("opening", file_name))?;
        Self::of(file, keys, file_name)
    }

    fn of(file: Arc<dyn File>, keys: &SegmentKeys, file_name: &str) -> Result<Self, Error> {
        let header = read_header(&*file, file_name)?;
        let key = match header.key {
            None => None,
            Some(id) => Some(keys.key(id).ok_or_else(|| match keys.is_destroyed(id) {
                true => Error::KeyDestroyed { file: file_name.to_owned() },
                false => Error::KeyLost { file: file_name.to_owned() },
            })?),
        };
        Ok(Self { header, file_name: file_name.to_owned(), file, key })
    }

    /// Opens the segment, in whichever form it is there: it may be packed while somebody knows it by its first name.
    pub(crate) fn segment(files: &dyn Files, keys: &SegmentKeys, name: &str) -> Result<Self, Error> {
        match files.open(name) {
            Ok(file) => Self::of(file, keys, name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Self::new(files, keys, &Name::packed(name))
            }
            Err(error) => Err(while_doing("opening", name)(error)),
        }
    }

    pub(crate) fn form(&self) -> Form {
        match &self.key {
            None => Form::Plain,
            Some(_) if self.file_name.ends_with(Name::PACKED_SUFFIX) => Form::Packed,
            Some(_) => Form::Sealed,
        }
    }

    pub(crate) fn body(&self) -> Arc<Body> {
        Arc::new(Body::new(self.file.clone(), self.key.clone()))
    }
}

/// Reads a header. A file shorter than one is an error here.
pub(crate) fn read_header(file: &dyn File, name: &str) -> Result<Header, Error> {
    let length = file.length().map_err(while_doing("measuring", name))?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(HEADER_BYTES)];
    file.read_at(0, &mut bytes).map_err(while_doing("reading", name))?;
    Header::decode(name, &bytes)
}

impl Body {
    fn new(file: Arc<dyn File>, key: Option<Key>) -> Self {
        let start = to_u64(HEADER_BYTES);
        let places = Places { chunks: Vec::new(), stream_end: start, file_end: start, opened: None };
        Self { file, key, places: Mutex::new(places) }
    }

    /// Whether the stream's first `length` bytes are there and fill the file exactly; what is wrong otherwise.
    pub(crate) fn ends_at(&self, length: u64) -> io::Result<Ends> {
        let (reached, file_end) = if self.key.is_some() {
            let mut places = self.lock();
            while places.stream_end < length {
                if !self.walk(&mut places)? {
                    break;
                }
            }
            (places.stream_end, places.file_end)
        } else {
            (self.file.length()?, length)
        };
        Ok(match () {
            () if reached < length => Ends::Before(reached),
            () if reached > length || self.file.length()? > file_end => Ends::Behind,
            () => Ends::There,
        })
    }

    /// Fills the whole buffer with the bytes of the stream from `offset` on; [`io::ErrorKind::InvalidData`] where a chunk
    /// is not as it was written.
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let Some(key) = &self.key else { return self.file.read_at(offset, buffer) };
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let (start, piece) = self.piece(at, key)?;
            let from = usize::try_from(at - start).map_err(io::Error::other)?;
            let there = piece.get(from..).filter(|there| !there.is_empty());
            let there = there.ok_or(io::ErrorKind::UnexpectedEof)?;
            let count = there.len().min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(there.get(..count).unwrap_or_default());
            (at, rest) = (at + to_u64(count), later);
        }
        Ok(())
    }

    /// The chunk's piece that has this byte of the stream, and where in the stream it begins.
    fn piece(&self, at: u64, key: &Key) -> io::Result<(u64, Arc<Vec<u8>>)> {
        let file_offset = {
            let mut places = self.lock();
            if let Some((start, piece)) = &places.opened
                && (*start..start + to_u64(piece.len())).contains(&at)
            {
                return Ok((*start, piece.clone()));
            }
            while places.stream_end <= at {
                if !self.walk(&mut places)? {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let index = places.chunks.partition_point(|(start, _)| *start <= at).checked_sub(1);
            let found = index.and_then(|index| places.chunks.get(index));
            found.ok_or(io::ErrorKind::UnexpectedEof)?.1
        };
        let head = self.head(file_offset)?;
        let mut chunk = vec![0; CHUNK_BYTES + head.body_bytes];
        self.file.read_at(file_offset, &mut chunk)?;
        let piece = Arc::new(head.open(&chunk, key).map_err(damaged)?);
        self.lock().opened = Some((head.stream_offset, piece.clone()));
        Ok((head.stream_offset, piece))
    }

    /// Goes one chunk further; false at the end of the file.
    fn walk(&self, places: &mut Places) -> io::Result<bool> {
        if places.file_end >= self.file.length()? {
            return Ok(false);
        }
        let head = self.head(places.file_end)?;
        if head.stream_offset != places.stream_end {
            return Err(damaged("the chunk is of another place"));
        }
        places.chunks.push((places.stream_end, places.file_end));
        places.file_end += head.chunk_bytes();
        places.stream_end = head.stream_end();
        Ok(true)
    }

    fn head(&self, file_offset: u64) -> io::Result<ChunkHead> {
        let mut bytes = [0; CHUNK_BYTES];
        match self.file.read_at(file_offset, &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(damaged("the chunk is cut short"))
            }
            Err(error) => Err(error),
            Ok(()) => ChunkHead::decode(&bytes).map_err(damaged),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a stream ends, seen from where it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    There,
    /// It has only so many bytes.
    Before(u64),
    /// Something follows.
    Behind,
}

fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// What is intact at the beginning of a file of chunks that may end anywhere.
pub(crate) struct Intact {
    pub(crate) stream_bytes: u64,
    pub(crate) file_bytes: u64,
}

/// Walks a file of chunks whose end a power cut may have torn. Damage in front of a chunk of a later append is no torn
/// tail, as everything before an append was synced when it was written.
pub(crate) fn intact(file: &dyn File, name: &str) -> Result<Intact, Error> {
    let length = file.length().map_err(while_doing("measuring", name))?;
    let (mut file_bytes, mut stream_bytes) = (to_u64(HEADER_BYTES), to_u64(HEADER_BYTES));
    while file_bytes < length {
        match chunk_at(file, name, file_bytes, length)? {
            Ok(head) if head.stream_offset == stream_bytes => {
                file_bytes += head.chunk_bytes();
                stream_bytes = head.stream_end();
            }
            found => {
                let what = found.err().unwrap_or("the chunk is of another place");
                if later_append_follows(file, name, file_bytes, length)? {
                    return Err(Error::corrupt(name, file_bytes, what));
                }
                break;
            }
        }
    }
    Ok(Intact { stream_bytes, file_bytes })
}

/// The head of the chunk at that place, if all of the chunk is as it was written; else what is wrong.
fn chunk_at(
    file: &dyn File,
    name: &str,
    offset: u64,
    length: u64,
) -> Result<Result<ChunkHead, &'static str>, Error> {
    const SHORT: &str = "the chunk is cut short";
    let room = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
    if room < CHUNK_BYTES {
        return Ok(Err(SHORT));
    }
    let mut bytes = vec![0; CHUNK_BYTES];
    file.read_at(offset, &mut bytes).map_err(while_doing("reading", name))?;
    let head = match ChunkHead::decode(&bytes) {
        Ok(head) if head.body_bytes <= room - CHUNK_BYTES => head,
        Ok(_) => return Ok(Err(SHORT)),
        Err(what) => return Ok(Err(what)),
    };
    bytes.resize(CHUNK_BYTES + head.body_bytes, 0);
    file.read_at(offset, &mut bytes).map_err(while_doing("reading", name))?;
    Ok(if head.matches(&bytes) { Ok(head) } else { Err("the chunk's checksum is wrong") })
}

/// Whether behind the damage lies an intact chunk of a later append.
fn later_append_follows(file: &dyn File, name: &str, damage: u64, length: u64) -> Result<bool, Error> {
    /// Enough for a marker that lies over the end of a piece.
    const OVERLAP: u64 = 3;
    const PIECE_BYTES: u64 = 256 << 10;
    let mut at = damage + 1;
    while at + OVERLAP < length {
        let piece_bytes = (length - at).min(PIECE_BYTES + OVERLAP);
        let mut piece = vec![0; usize::try_from(piece_bytes).unwrap_or(0)];
        file.read_at(at, &mut piece).map_err(while_doing("reading", name))?;
        let markers = piece.windows(4).enumerate().filter(|(_, window)| *window == b"IGCK");
        for (index, _) in markers {
            let offset = at + to_u64(index);
            if let Ok(head) = chunk_at(file, name, offset, length)?
                && (damage + 1..=offset).contains(&head.append_offset)
            {
                return Ok(true);
            }
        }
        at += PIECE_BYTES;
    }
    Ok(false)
}
