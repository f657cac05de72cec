//! Opening: finding the segments, and cutting off what a power cut left of an append that nobody was answered for.

use std::collections::{BTreeMap, BTreeSet};

use ingam_protocol::id::Id;
use ingam_protocol::record::{Class, Record};

use crate::append::remove;
use crate::body::{Opened, intact, read_header};
use crate::chunk::{CHUNK_BYTES, ChunkHead, TAG_BYTES};
use crate::error::{Error, while_doing};
use crate::files::Files;
use crate::frames::{Found, Frames};
use crate::journal::{ClassState, Form, OpenSegment, SegmentInfo};
use crate::keys::{KeyId, SegmentKeys};
use crate::segment::{
    CLOSE_BYTES, FRAME_BYTES, FrameHead, FrameKind, HEADER_BYTES, Header, Name, Tally, to_u64,
};

/// Reads what is in the directory.
pub(crate) fn recover(files: &dyn Files, keys: &SegmentKeys) -> Result<BTreeMap<Class, ClassState>, Error> {
    let all = files.list().map_err(while_doing("listing the files", ""))?;
    let mut by_class: BTreeMap<Class, BTreeSet<Name>> = BTreeMap::new();
    let mut named = Vec::new();
    for text in all.iter().filter(|text| Name::is_one(text)) {
        let Some(name) = Name::parse(text) else { return Err(unknown_name(files, text)) };
        if is_wanted(files, keys, &all, text, &name, &mut named)? {
            by_class.entry(name.class).or_default().insert(name);
        } else {
            remove(files, text).map_err(while_doing("removing", text))?;
            files.sync_directory().map_err(while_doing("syncing the directory", ""))?;
        }
    }
    let mut classes = BTreeMap::new();
    for (class, names) in by_class {
        let names: Vec<Name> = names.into_iter().collect();
        classes.insert(class, recover_class(files, keys, class, &names)?);
    }
    // Whatever lay under the other destroyed keys is gone.
    keys.forget_all_but(&named);
    Ok(classes)
}

/// Whether a file is part of the journal. It is not where its key is destroyed, and where it is a packed segment whose
/// unpacked form is still there, which counts as long as it is. Nothing goes that the other form does not have.
fn is_wanted(
    files: &dyn Files,
    keys: &SegmentKeys,
    all: &[String],
    text: &str,
    name: &Name,
    named: &mut Vec<KeyId>,
) -> Result<bool, Error> {
    let key = key_of(files, text)?;
    if *text != name.text && all.contains(&name.text) {
        let unpacked = match key_of(files, &name.text)? {
            // Packed meanwhile, by a journal that is at work while this one only reads.
            HeaderKey::Gone => return Ok(true),
            unpacked => unpacked,
        };
        let is_whole = Opened::new(files, keys, &name.text).and_then(|opened| read_close(&opened)).is_ok();
        if !is_whole && !matches!(unpacked, HeaderKey::Sealed(key) if keys.is_destroyed(key)) {
            let what = "it is damaged; its packed form lies beside it: put this file aside, and start again";
            return Err(Error::corrupt(&name.text, 0, what));
        }
        // What an older version wrote got a key by being packed, and gets another one by being packed again.
        if let (HeaderKey::Sealed(key), HeaderKey::Plain) = (key, unpacked) {
            keys.destroy(key)?;
        }
        return Ok(false);
    }
    if let HeaderKey::Sealed(key) = key
        && keys.is_destroyed(key)
    {
        // On a disk that is only read the file stays, and the key is still named.
        named.push(key);
        return Ok(false);
    }
    Ok(true)
}

/// What a file's header says of its key.
enum HeaderKey {
    /// It has this one.
    Sealed(KeyId),
    /// It has none: an older version wrote it.
    Plain,
    /// It is no header: what is wrong with it is told where it is read as a segment.
    Unknown,
    /// It is not there any more.
    Gone,
}

fn key_of(files: &dyn Files, text: &str) -> Result<HeaderKey, Error> {
    let file = match files.open(text) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HeaderKey::Gone),
        Err(error) => return Err(while_doing("opening", text)(error)),
    };
    match read_header(&*file, text) {
        Ok(header) => Ok(header.key.map_or(HeaderKey::Plain, HeaderKey::Sealed)),
        Err(error @ Error::Io { .. }) => Err(error),
        Err(_) => Ok(HeaderKey::Unknown),
    }
}

/// A newer version may have classes of other names; it says so in the header.
fn unknown_name(files: &dyn Files, text: &str) -> Error {
    match files.open(text).map_err(while_doing("opening", text)).and_then(|file| read_header(&*file, text)) {
        Err(error @ (Error::Newer { .. } | Error::Io { .. })) => error,
        _ => Error::corrupt(text, 0, "no segment has such a name"),
    }
}

/// The names are of one class and sorted by sequence.
fn recover_class(
    files: &dyn Files,
    keys: &SegmentKeys,
    class: Class,
    names: &[Name],
) -> Result<ClassState, Error> {
    let mut state = ClassState::new(class);
    let Some((last, earlier)) = names.split_last() else { return Ok(state) };
    for name in earlier {
        let opened = Opened::segment(files, keys, &name.text)?;
        let (tally, file_bytes) = read_close(&opened)?;
        follow(&mut state, &opened.header, &opened.file_name)?;
        push_closed(&mut state, &opened, &tally, file_bytes);
    }
    let ids = recover_last(files, keys, &mut state, last)?;
    state.recent.insert_older(ids.as_deref().unwrap_or_default());
    // The last segment was read already, unless it is gone now.
    let read = ids.is_some().then_some(last.sequence);
    reload_recent(files, keys, &mut state, read)?;
    Ok(state)
}

/// Checks that the segment goes on where the one before it ended. Where one is missing, there is nothing to compare.
fn follow(state: &mut ClassState, header: &Header, file: &str) -> Result<(), Error> {
    let Some(before) = state.closed.last() else { return Ok(()) };
    if header.sequence == before.sequence {
        return Err(Error::corrupt(file, 0, "there are two segments of this number"));
    }
    if header.sequence == state.next_sequence
        && (header.first_index != state.next_index || header.previous != state.head)
    {
        return Err(Error::corrupt(file, 0, "the segment does not go on where the one before it ended"));
    }
    Ok(())
}

fn push_closed(state: &mut ClassState, opened: &Opened, tally: &Tally, file_bytes: u64) {
    let header = &opened.header;
    state.closed.push(SegmentInfo::new(header, tally, file_bytes, opened.form(), true));
    state.next_sequence = header.sequence + 1;
    state.next_index = header.first_index + tally.records;
    state.head = tally.head;
}

/// Reads the close frame at the end of a file; gives its length too.
fn read_close(opened: &Opened) -> Result<(Tally, u64), Error> {
    const FRAME: usize = FRAME_BYTES + CLOSE_BYTES;
    let (file, name) = (&opened.file, &opened.file_name);
    let length = file.length().map_err(while_doing("measuring", name))?;
    // In a file of chunks, the frame is one by itself.
    let around = if opened.key.is_some() { CHUNK_BYTES + TAG_BYTES } else { 0 };
    let offset = length.saturating_sub(to_u64(FRAME + around));
    let unclosed = || Error::corrupt(name, offset, "the segment is not the last and has no end");
    if offset < to_u64(HEADER_BYTES) {
        return Err(unclosed());
    }
    let mut bytes = vec![0; FRAME + around];
    file.read_at(offset, &mut bytes).map_err(while_doing("reading", name))?;
    let mut stream_end = length;
    if let Some(key) = &opened.key {
        let chunk = ChunkHead::decode(&bytes).map_err(|_| unclosed())?;
        bytes = chunk.open(&bytes, key).map_err(|_| unclosed())?;
        stream_end = chunk.stream_end();
    }
    let head = FrameHead::decode(&bytes).map_err(|_| unclosed())?;
    if head.kind != FrameKind::Close || !head.matches(&bytes) {
        return Err(unclosed());
    }
    let body = bytes.get(FRAME_BYTES..).unwrap_or_default();
    Tally::decode_close(stream_end, body).map(|tally| (tally, length)).ok_or_else(unclosed)
}

/// Reads the last segment through, which may end anywhere. Gives the names of its records; `None` if it had not even
/// been begun, and is gone now.
fn recover_last(
    files: &dyn Files,
    keys: &SegmentKeys,
    state: &mut ClassState,
    name: &Name,
) -> Result<Option<Vec<Id>>, Error> {
    let opened = match Opened::segment(files, keys, &name.text) {
        Ok(opened) => opened,
        // Frames come only after the header was synced, so without any this is a beginning that was not finished. Its
        // number will be used again.
        Err(Error::Corrupt { file: text, .. }) if is_unbegun(files, &text)? => {
            if state.closed.is_empty() && name.sequence > 1 {
                let what = "the segment was not begun, and the one before it is gone";
                return Err(Error::corrupt(&text, 0, what));
            }
            files.remove(&text).map_err(while_doing("removing", &text))?;
            files.sync_directory().map_err(while_doing("syncing the directory", ""))?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let (header, file, text) = (&opened.header, &opened.file, &opened.file_name);
    follow(state, header, text)?;
    let length = file.length().map_err(while_doing("measuring", text))?;
    let (scan, file_bytes) = if opened.key.is_some() {
        let intact = intact(&**file, text)?;
        (scan(Frames::new(opened.body(), text, intact.stream_bytes), header, Tail::Whole)?, intact.file_bytes)
    } else {
        let scan = scan(Frames::new(opened.body(), text, length), header, Tail::MayBeTorn)?;
        let file_bytes = scan.tally.bytes;
        (scan, file_bytes)
    };
    if file_bytes < length {
        if scan.closed {
            return Err(Error::corrupt(text, file_bytes, "something follows the end"));
        }
        tracing::warn!(file = text, from = file_bytes, to = length, "cut off an unfinished append");
        file.set_length(file_bytes).map_err(while_doing("cutting", text))?;
    }
    // After a crash of the process alone, what is read here may not be on the disk yet; from now on it is relied upon.
    file.sync().map_err(while_doing("syncing", text))?;
    if scan.closed {
        push_closed(state, &opened, &scan.tally, file_bytes);
    } else if opened.form() == Form::Packed {
        return Err(Error::corrupt(text, file_bytes, "the packed segment has no end"));
    } else {
        state.open = Some(OpenSegment {
            header: *header,
            name: name.text.clone(),
            file: file.clone(),
            key: opened.key.clone(),
            tally: scan.tally,
            file_bytes,
        });
    }
    Ok(Some(scan.ids))
}

/// Whether the file has not more than a header, and may be cut short.
fn is_unbegun(files: &dyn Files, name: &str) -> Result<bool, Error> {
    let file = files.open(name).map_err(while_doing("opening", name))?;
    Ok(file.length().map_err(while_doing("measuring", name))? <= to_u64(HEADER_BYTES))
}

/// What a segment holds up to its end, or up to where it was cut.
struct Scan {
    tally: Tally,
    closed: bool,
    ids: Vec<Id>,
}

/// What the end of a stream may be.
#[derive(Clone, Copy, PartialEq)]
enum Tail {
    /// What a power cut left.
    MayBeTorn,
    /// A frame: what was torn was cut off by whole chunks.
    Whole,
}

fn scan(mut frames: Frames, header: &Header, tail: Tail) -> Result<Scan, Error> {
    let mut tally = Tally::new(header);
    let mut ids = Vec::new();
    let file = frames.name().to_owned();
    loop {
        let frame = match frames.next()? {
            Found::Frame(frame) => frame,
            Found::End => return Ok(Scan { tally, closed: false, ids }),
            Found::Damage { offset, what } => {
                if tail == Tail::Whole || frames.later_append_follows()? {
                    return Err(Error::corrupt(&file, offset, what));
                }
                return Ok(Scan { tally, closed: false, ids });
            }
        };
        match frame.head.kind {
            FrameKind::Record => {
                let record = decode(&file, frame.offset, frame.body)?;
                tally.add_times(record.time, record.end_of_life);
                tally.add(&frame.head.commitment, frame.body.len());
                ids.push(record.id);
            }
            FrameKind::Erased => tally.add(&frame.head.commitment, frame.body.len()),
            FrameKind::Close => {
                let end = frame.offset + to_u64(FRAME_BYTES + frame.body.len());
                let close = Tally::decode_close(end, frame.body)
                    .filter(|close| close.records == tally.records && close.head == tally.head)
                    .ok_or_else(|| {
                        Error::corrupt(&file, frame.offset, "the end is not that of this segment")
                    })?;
                if !matches!(frames.next()?, Found::End) {
                    return Err(Error::corrupt(&file, end, "something follows the end"));
                }
                return Ok(Scan { tally: close, closed: true, ids });
            }
        }
    }
}

pub(crate) fn decode(file: &str, offset: u64, body: &[u8]) -> Result<Record, Error> {
    Record::decode(body).map_err(|source| Error::Record { file: file.to_owned(), offset, source })
}

/// Fills the memory of recent names from the closed segments, but for the one that was read already.
fn reload_recent(
    files: &dyn Files,
    keys: &SegmentKeys,
    state: &mut ClassState,
    read: Option<u64>,
) -> Result<(), Error> {
    for info in state.closed.iter().rev().filter(|info| Some(info.sequence) != read) {
        if state.recent.room() == 0 {
            break;
        }
        let opened = Opened::segment(files, keys, &info.name)?;
        let mut frames = Frames::new(opened.body(), &opened.file_name, info.bytes);
        let mut ids = Vec::new();
        while let Some(frame) = frames.next_intact()? {
            if frame.head.kind == FrameKind::Record {
                ids.push(decode(&opened.file_name, frame.offset, frame.body)?.id);
            }
        }
        state.recent.insert_older(&ids);
    }
    Ok(())
}
