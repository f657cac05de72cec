//! Opening: finding the segments, and cutting off what a power cut left of an append that nobody was answered for.

use std::collections::BTreeMap;
use std::sync::Arc;

use ingam_protocol::id::Id;
use ingam_protocol::record::{Class, Record};

use crate::error::{Error, while_doing};
use crate::files::{File, Files};
use crate::frames::{Found, Frames};
use crate::journal::{ClassState, OpenSegment, SegmentInfo};
use crate::segment::{
    CLOSE_BYTES, FRAME_BYTES, FrameHead, FrameKind, HEADER_BYTES, Header, Name, Tally, to_u64,
};

/// Reads what is in the directory.
pub(crate) fn recover(files: &dyn Files) -> Result<BTreeMap<Class, ClassState>, Error> {
    let mut by_class: BTreeMap<Class, Vec<Name>> = BTreeMap::new();
    for text in files.list().map_err(while_doing("listing the files", ""))? {
        if let Some(name) = Name::parse(&text) {
            by_class.entry(name.class).or_default().push(name);
        } else if text.ends_with(Name::SUFFIX) {
            return Err(unknown_name(files, &text));
        }
    }
    let mut classes = BTreeMap::new();
    for (class, mut names) in by_class {
        names.sort_unstable();
        classes.insert(class, recover_class(files, class, &names)?);
    }
    Ok(classes)
}

/// A newer version may have classes of other names; it says so in the header.
fn unknown_name(files: &dyn Files, text: &str) -> Error {
    match files.open(text).map_err(while_doing("opening", text)).and_then(|file| read_header(&*file, text)) {
        Err(error @ (Error::Newer { .. } | Error::Io { .. })) => error,
        _ => Error::corrupt(text, 0, "no segment has such a name"),
    }
}

/// The names are of one class and sorted by sequence.
fn recover_class(files: &dyn Files, class: Class, names: &[Name]) -> Result<ClassState, Error> {
    let mut state = ClassState::new(class);
    let Some((last, earlier)) = names.split_last() else { return Ok(state) };
    for name in earlier {
        let file = files.open(&name.text).map_err(while_doing("opening", &name.text))?;
        let header = read_header(&*file, &name.text)?;
        let tally = read_close(&*file, &name.text)?;
        follow(&mut state, &header, &name.text)?;
        push_closed(&mut state, &header, &tally);
    }
    let ids = recover_last(files, &mut state, last)?;
    state.recent.insert_older(ids.as_deref().unwrap_or_default());
    // The last segment was read already, unless it is gone now.
    let read = ids.is_some().then_some(last.sequence);
    reload_recent(files, &mut state, read)?;
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

fn push_closed(state: &mut ClassState, header: &Header, tally: &Tally) {
    state.closed.push(SegmentInfo::new(header, tally, true));
    state.next_sequence = header.sequence + 1;
    state.next_index = header.first_index + tally.records;
    state.head = tally.head;
}

/// Reads a header. A file shorter than one is an error here.
pub(crate) fn read_header(file: &dyn File, name: &str) -> Result<Header, Error> {
    let length = file.length().map_err(while_doing("measuring", name))?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(HEADER_BYTES)];
    file.read_at(0, &mut bytes).map_err(while_doing("reading", name))?;
    Header::decode(name, &bytes)
}

/// Reads the close frame at the end of a file.
fn read_close(file: &dyn File, name: &str) -> Result<Tally, Error> {
    let length = file.length().map_err(while_doing("measuring", name))?;
    let offset = length.saturating_sub(to_u64(FRAME_BYTES + CLOSE_BYTES));
    let unclosed = || Error::corrupt(name, offset, "the segment is not the last and has no end");
    if offset < to_u64(HEADER_BYTES) {
        return Err(unclosed());
    }
    let mut bytes = vec![0; FRAME_BYTES + CLOSE_BYTES];
    file.read_at(offset, &mut bytes).map_err(while_doing("reading", name))?;
    let head = FrameHead::decode(&bytes).map_err(|_| unclosed())?;
    let (_, body) = bytes.split_at(FRAME_BYTES);
    if head.kind != FrameKind::Close || !head.matches(&bytes) {
        return Err(unclosed());
    }
    Tally::decode_close(length, body).ok_or_else(unclosed)
}

/// Reads the last segment through, which may end anywhere. Gives the names of its records; `None` if it had not even
/// been begun, and is gone now.
fn recover_last(files: &dyn Files, state: &mut ClassState, name: &Name) -> Result<Option<Vec<Id>>, Error> {
    let text = &name.text;
    let file = files.open(text).map_err(while_doing("opening", text))?;
    let length = file.length().map_err(while_doing("measuring", text))?;
    let header = match read_header(&*file, text) {
        Ok(header) => header,
        // Frames come only after the header was synced, so without any this is a beginning that was not finished. Its
        // number will be used again.
        Err(Error::Corrupt { .. }) if length <= to_u64(HEADER_BYTES) => {
            if state.closed.is_empty() && name.sequence > 1 {
                return Err(Error::corrupt(
                    text,
                    0,
                    "the segment was not begun, and the one before it is gone",
                ));
            }
            files.remove(text).map_err(while_doing("removing", text))?;
            files.sync_directory().map_err(while_doing("syncing the directory", ""))?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    follow(state, &header, text)?;
    let scan = scan(Frames::new(file.clone(), text, length), &header)?;
    if scan.tally.bytes < length {
        tracing::warn!(file = text, from = scan.tally.bytes, to = length, "cut off an unfinished append");
        file.set_length(scan.tally.bytes).map_err(while_doing("cutting", text))?;
    }
    // After a crash of the process alone, what is read here may not be on the disk yet; from now on it is relied upon.
    file.sync().map_err(while_doing("syncing", text))?;
    files.sync_directory().map_err(while_doing("syncing the directory", ""))?;
    if scan.closed {
        push_closed(state, &header, &scan.tally);
    } else {
        state.open = Some(OpenSegment { header, name: text.clone(), file, tally: scan.tally });
    }
    Ok(Some(scan.ids))
}

/// What a segment holds up to its end, or up to where it was cut.
struct Scan {
    tally: Tally,
    closed: bool,
    ids: Vec<Id>,
}

fn scan(mut frames: Frames, header: &Header) -> Result<Scan, Error> {
    let mut tally = Tally::new(header);
    let mut ids = Vec::new();
    let file = frames.name().to_owned();
    loop {
        let frame = match frames.next()? {
            Found::Frame(frame) => frame,
            Found::End => return Ok(Scan { tally, closed: false, ids }),
            Found::Damage { offset, what } => {
                if frames.later_append_follows()? {
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
fn reload_recent(files: &dyn Files, state: &mut ClassState, read: Option<u64>) -> Result<(), Error> {
    for info in state.closed.iter().rev().filter(|info| Some(info.sequence) != read) {
        if state.recent.room() == 0 {
            break;
        }
        let file: Arc<dyn File> = files.open(&info.name).map_err(while_doing("opening", &info.name))?;
        let mut frames = Frames::new(file, &info.name, info.bytes);
        let mut ids = Vec::new();
        while let Some(frame) = frames.next_intact()? {
            if frame.head.kind == FrameKind::Record {
                ids.push(decode(&info.name, frame.offset, frame.body)?.id);
            }
        }
        state.recent.insert_older(&ids);
    }
    Ok(())
}
