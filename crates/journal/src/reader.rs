//! Reading the records of a class back.

use std::collections::VecDeque;
use std::sync::Arc;

use ingam_protocol::record::Record;

use crate::error::{Error, while_doing};
use crate::files::Files;
use crate::frames::Frames;
use crate::journal::{RECENT_IDS_MAX, SegmentInfo};
use crate::recent::Recent;
use crate::recover::decode;
use crate::segment::{FrameKind, body_matches};

/// The records of one class, oldest first, read as they are asked for. Holds one piece of one file in memory, the
/// record in hand, and the names of the last ones.
///
/// After an error there is nothing more.
pub struct Records {
    files: Arc<dyn Files>,
    /// Still to be opened.
    segments: VecDeque<SegmentInfo>,
    current: Option<Frames>,
    seen: Recent,
}

impl Records {
    pub(crate) fn new(files: Arc<dyn Files>, segments: Vec<SegmentInfo>) -> Self {
        Self { files, segments: segments.into(), current: None, seen: Recent::new(RECENT_IDS_MAX) }
    }

    fn read(&mut self) -> Result<Option<Record>, Error> {
        loop {
            let Some(frames) = &mut self.current else {
                let Some(info) = self.segments.pop_front() else { return Ok(None) };
                let file = self.files.open(&info.name).map_err(while_doing("opening", &info.name))?;
                self.current = Some(Frames::new(file, &info.name, info.bytes));
                continue;
            };
            let name = frames.name().to_owned();
            let Some(frame) = frames.next_intact()? else {
                self.current = None;
                continue;
            };
            if frame.head.kind != FrameKind::Record {
                continue;
            }
            if !body_matches(frame.head.kind, &frame.head.commitment, frame.body) {
                return Err(Error::corrupt(&name, frame.offset, "the record is not the one committed to"));
            }
            let record = decode(&name, frame.offset, frame.body)?;
            if self.seen.insert(record.id) {
                return Ok(Some(record));
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.read();
        if result.is_err() {
            self.segments.clear();
            self.current = None;
        }
        result.transpose()
    }
}
