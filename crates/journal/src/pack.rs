//! Packing: a segment that gets no further records is written anew, compressed.

use crate::append::{take_back, write_begin};
use crate::body::{Ends, Opened};
use crate::chunk::{ChunkPlace, Packing, encode_chunk};
use crate::error::{Error, while_doing, while_reading};
use crate::files::File;
use crate::journal::{Journal, SegmentInfo};
use crate::keys::{Key, KeyId};
use crate::segment::{CLOSE_BYTES, FRAME_BYTES, HEADER_BYTES, Header, Name, to_u64};

/// How much of the stream is one chunk: what a look at a single record opens.
const PIECE_BYTES: u64 = 256 << 10;

/// Writes the packed form of a closed segment beside it, synced and read back; gives the length of its file. What is
/// begun and fails is removed.
pub(crate) fn pack(journal: &Journal, info: &SegmentInfo) -> Result<u64, Error> {
    let source = journal.source().open(&info.name)?;
    let name = Name::packed(&info.name);
    // What an older version wrote gets its key here.
    let id = source.header.key.map_or_else(|| journal.keys.make(), Ok)?;
    let packed = write_packed(journal, info, &source, id, &name);
    if packed.is_err() {
        if !take_back(journal.files.as_ref(), &name) {
            tracing::warn!(file = name, "half of a packed segment stays until the next start");
        }
        if source.header.key.is_none() {
            journal.keys.destroy(id)?;
        }
    }
    packed
}

fn write_packed(
    journal: &Journal,
    info: &SegmentInfo,
    source: &Opened,
    id: KeyId,
    name: &str,
) -> Result<u64, Error> {
    let key = journal.keys.key(id).ok_or_else(|| Error::KeyDestroyed { file: info.name.clone() })?;
    let header = Header { key: Some(id), ..source.header };
    let file = write_begin(journal.files.as_ref(), &header, name)?;
    let file_bytes = write_chunks(journal, info, source, &*file, (name, &key))?;
    file.sync().map_err(while_doing("syncing", name))?;
    journal.files.sync_directory().map_err(while_doing("syncing the directory", ""))?;
    compare(journal, info, source, name)?;
    Ok(file_bytes)
}

/// The pieces of a closed segment's stream: where each begins and ends. The close frame is one of its own.
fn pieces(info: &SegmentInfo) -> impl Iterator<Item = (u64, u64)> {
    let close = info.bytes.saturating_sub(to_u64(FRAME_BYTES + CLOSE_BYTES));
    let mut at = to_u64(HEADER_BYTES);
    std::iter::from_fn(move || {
        let end = if at < close { close.min(at + PIECE_BYTES) } else { info.bytes };
        let piece = (at < end).then_some((at, end));
        at = end;
        piece
    })
}

fn write_chunks(
    journal: &Journal,
    info: &SegmentInfo,
    source: &Opened,
    file: &dyn File,
    (name, key): (&str, &Key),
) -> Result<u64, Error> {
    let stream = source.body();
    let begin = to_u64(HEADER_BYTES);
    let mut file_bytes = begin;
    for (at, end) in pieces(info) {
        let mut piece = vec![0; usize::try_from(end - at).unwrap_or(usize::MAX)];
        stream.read_at(at, &mut piece).map_err(while_reading(&source.file_name, at))?;
        // All of it is one append: it counts once it is synced as a whole.
        let place = ChunkPlace { append_offset: begin, stream_offset: at };
        let packing = if end == info.bytes { Packing::Stored } else { Packing::Lz4 };
        let chunk = encode_chunk(&journal.keys, key, &place, &piece, packing)?;
        file.write_at(file_bytes, &chunk).map_err(while_doing("writing", name))?;
        file_bytes += to_u64(chunk.len());
    }
    Ok(file_bytes)
}

/// Reads the packed form back, and has it be the same.
fn compare(journal: &Journal, info: &SegmentInfo, source: &Opened, name: &str) -> Result<(), Error> {
    let packed = Opened::new(journal.files.as_ref(), &journal.keys, name)?.body();
    let stream = source.body();
    if packed.ends_at(info.bytes).map_err(while_reading(name, 0))? != Ends::There {
        return Err(Error::corrupt(name, 0, "the packed segment has another length"));
    }
    for (at, end) in pieces(info) {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX);
        let (mut left, mut right) = (vec![0; length], vec![0; length]);
        stream.read_at(at, &mut left).map_err(while_reading(&source.file_name, at))?;
        packed.read_at(at, &mut right).map_err(while_reading(name, at))?;
        if left != right {
            return Err(Error::corrupt(name, at, "the packed segment reads differently"));
        }
    }
    Ok(())
}
