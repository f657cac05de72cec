//! Writing: frames, the end of a segment, and the beginning of the next.

use std::collections::HashSet;
use std::sync::Arc;

use ingam_protocol::id::Id;
use ingam_protocol::record::{Class, RECORD_BYTES_MAX, Record, commitment};
use ingam_protocol::time::Timestamp;

use crate::chunk::{ChunkPlace, Packing, encode_chunk};
use crate::error::{Error, while_doing};
use crate::files::{File, Files};
use crate::journal::{ClassState, Failure, Form, Journal, OpenSegment, SegmentInfo};
use crate::keys::SegmentKeys;
use crate::recent::Recent;
use crate::segment::{FrameKind, HEADER_BYTES, Header, Tally, encode_frame, to_u64};

/// Frames are written out once this many bytes have gathered; the sync comes at the end.
const WRITE_BYTES: usize = 4 << 20;

/// Frames that are not synced yet, and what the segment is with them.
struct Pending {
    bytes: Vec<u8>,
    /// Where `bytes` lie in the stream, and where they go in the file.
    stream_offset: u64,
    file_offset: u64,
    tally: Tally,
    ids: Vec<Id>,
}

impl Pending {
    fn new(open: &OpenSegment) -> Self {
        let Tally { bytes: stream_offset, .. } = open.tally;
        let file_offset = open.file_bytes;
        Self { bytes: Vec::new(), stream_offset, file_offset, tally: open.tally, ids: Vec::new() }
    }

    /// Writes what has gathered: as one chunk, or as it is in a segment of the first version.
    fn write(&mut self, keys: &SegmentKeys, open: &OpenSegment) -> Result<(), Error> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let place = ChunkPlace { append_offset: open.file_bytes, stream_offset: self.stream_offset };
        let sealed = match &open.key {
            Some(key) => encode_chunk(keys, key, &place, &self.bytes, Packing::Stored)?,
            None => std::mem::take(&mut self.bytes),
        };
        open.file.write_at(self.file_offset, &sealed).map_err(while_doing("writing", &open.name))?;
        self.file_offset += to_u64(sealed.len());
        self.stream_offset = self.tally.bytes;
        self.bytes.clear();
        Ok(())
    }

    /// Writes and syncs what is here, and only then lets memory follow.
    fn commit(
        mut self,
        journal: &Journal,
        open: &mut OpenSegment,
        recent: &mut Recent,
    ) -> Result<(), Failure> {
        let written = self
            .write(&journal.keys, open)
            .and_then(|()| open.file.sync().map_err(while_doing("syncing", &open.name)));
        if let Err(error) = written {
            return Err(undo(open, error));
        }
        open.tally = self.tally;
        open.file_bytes = self.file_offset;
        for id in self.ids {
            recent.insert(id);
        }
        Ok(())
    }
}

/// Cuts off what was written since the last sync that succeeded. After a failed sync the system may show bytes that are
/// not on the disk; nothing may be written behind them as if they were.
fn undo(open: &OpenSegment, error: Error) -> Failure {
    let undone = open.file.set_length(open.file_bytes).and_then(|()| open.file.sync());
    if let Err(cause) = &undone {
        tracing::error!(file = open.name, error = cause as &dyn std::error::Error, "the journal is broken");
    }
    Failure { error, undone: undone.is_ok() }
}

/// Appends records of one class; durable when it returns.
pub(crate) fn append_class(
    journal: &Journal,
    class: Class,
    state: &mut ClassState,
    records: &[&Record],
) -> Result<(), Failure> {
    let new = encode_new(state, records).map_err(|error| Failure { error, undone: true })?;
    let mut pending: Option<Pending> = None;
    for (record, encoded) in new {
        if !state.open.as_ref().is_some_and(|open| takes(journal, open, pending.as_ref(), record.time)) {
            if let (Some(pending), Some(open)) = (pending.take(), state.open.as_mut()) {
                pending.commit(journal, open, &mut state.recent)?;
            }
            close(journal, state)?;
            state.open = Some(create(journal, class, state, record.time)?);
        }
        let Some(open) = state.open.as_mut() else { continue };
        let waiting = pending.get_or_insert_with(|| Pending::new(open));
        let commitment = commitment(&encoded);
        encode_frame(&mut waiting.bytes, open.tally.bytes, FrameKind::Record, &commitment, &encoded);
        waiting.tally.add(&commitment, encoded.len());
        waiting.tally.add_times(record.time, record.end_of_life);
        waiting.ids.push(record.id);
        if waiting.bytes.len() >= WRITE_BYTES {
            waiting.write(&journal.keys, open).map_err(|error| undo(open, error))?;
        }
    }
    match (pending, state.open.as_mut()) {
        (Some(pending), Some(open)) => pending.commit(journal, open, &mut state.recent),
        _ => Ok(()),
    }
}

/// The records that are not known yet, with their bytes.
fn encode_new<'a>(state: &ClassState, records: &[&'a Record]) -> Result<Vec<(&'a Record, Vec<u8>)>, Error> {
    let mut seen = HashSet::new();
    let mut new = Vec::with_capacity(records.len());
    for record in records {
        if state.recent.contains(&record.id) || !seen.insert(record.id) {
            continue;
        }
        let encoded = record.encode();
        if encoded.len() > RECORD_BYTES_MAX {
            return Err(Error::TooLarge { bytes: encoded.len() });
        }
        new.push((*record, encoded));
    }
    Ok(new)
}

/// Whether a record of that time goes into the open segment: there is room, and its period is not over. A late record
/// goes in too, but not one of more than a period before: a clock that had once been far ahead would otherwise leave
/// everything after it in one segment.
fn takes(journal: &Journal, open: &OpenSegment, pending: Option<&Pending>, time: Timestamp) -> bool {
    let bytes = pending.map_or(open.tally.bytes, |pending| pending.tally.bytes);
    let start = open.header.period_start.unix_ms();
    // Records go into segments of the first version no more.
    open.key.is_some() == journal.config.is_sealed()
        && bytes < journal.config.segment_bytes_max
        && time.unix_ms() < open.header.period_end_ms()
        && time.unix_ms() >= start.saturating_sub(open.header.period_ms)
}

/// Closes the open segment, if there is one.
pub(crate) fn close(journal: &Journal, state: &mut ClassState) -> Result<(), Failure> {
    let Some(open) = state.open.as_mut() else { return Ok(()) };
    let mut pending = Pending::new(open);
    let body = open.tally.encode_close();
    encode_frame(&mut pending.bytes, open.tally.bytes, FrameKind::Close, &[0; 32], &body);
    pending.tally.bytes += to_u64(pending.bytes.len());
    pending.commit(journal, open, &mut state.recent)?;
    let form = if open.key.is_some() { Form::Sealed } else { Form::Plain };
    state.closed.push(SegmentInfo::new(&open.header, &open.tally, open.file_bytes, form, true));
    state.next_sequence = open.header.sequence + 1;
    state.next_index = open.header.first_index + open.tally.records;
    state.head = open.tally.head;
    state.open = None;
    Ok(())
}

/// Begins the segment of the period that the time lies in.
pub(crate) fn create(
    journal: &Journal,
    class: Class,
    state: &ClassState,
    time: Timestamp,
) -> Result<OpenSegment, Failure> {
    let period_ms = journal.config.period_ms(class);
    let key = match journal.config.is_sealed() {
        true => Some(journal.keys.make().map_err(|error| Failure { error, undone: true })?),
        false => None,
    };
    let header = Header {
        class,
        period_start: Timestamp::from_unix_ms(time.unix_ms() / period_ms * period_ms),
        period_ms,
        sequence: state.next_sequence,
        first_index: state.next_index,
        previous: state.head,
        key,
    };
    let name = header.name();
    match write_header(journal, &header, &name) {
        Ok(open) => Ok(open),
        Err(error) => {
            let undone = take_back(journal.files.as_ref(), &name);
            // Nothing was sealed under it; if this fails, it is one key more that opens nothing.
            let unused = key.map(|key| journal.keys.destroy(key).map(|()| journal.keys.forget(key)));
            if let Some(Err(error)) = unused {
                tracing::warn!(code = error.code(), "a key without a segment stays");
            }
            Err(Failure { error, undone })
        }
    }
}

fn write_header(journal: &Journal, header: &Header, name: &str) -> Result<OpenSegment, Error> {
    let file = write_begin(journal.files.as_ref(), header, name)?;
    journal.files.sync_directory().map_err(while_doing("syncing the directory", ""))?;
    let key = header.key.and_then(|key| journal.keys.key(key));
    let (tally, file_bytes) = (Tally::new(header), to_u64(HEADER_BYTES));
    Ok(OpenSegment { header: *header, name: name.to_owned(), file, key, tally, file_bytes })
}

/// Writes a header into an empty file of that name, and syncs it.
pub(crate) fn write_begin(files: &dyn Files, header: &Header, name: &str) -> Result<Arc<dyn File>, Error> {
    let file = files.create(name).map_err(while_doing("creating", name))?;
    file.set_length(0).map_err(while_doing("emptying", name))?;
    file.write_at(0, &header.encode()).map_err(while_doing("writing", name))?;
    file.sync().map_err(while_doing("syncing", name))?;
    Ok(file)
}

/// Removes a file that was begun and is not wanted; whether that worked.
pub(crate) fn take_back(files: &dyn Files, name: &str) -> bool {
    remove(files, name).and_then(|()| files.sync_directory()).is_ok()
}

/// Removes a file, which may be gone already.
pub(crate) fn remove(files: &dyn Files, name: &str) -> std::io::Result<()> {
    match files.remove(name) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
