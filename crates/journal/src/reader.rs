//! Reading the records of a class back.

use std::collections::VecDeque;
use std::sync::Arc;

use ingam_protocol::record::Record;

use crate::body::Opened;
use crate::error::Error;
use crate::files::Files;
use crate::frames::Frames;
use crate::journal::{RECENT_IDS_MAX, SegmentInfo};
use crate::keys::SegmentKeys;
use crate::recent::Recent;
use crate::recover::decode;
use crate::segment::{FrameKind, body_matches};

/// Where segments and their keys are.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) keys: Arc<SegmentKeys>,
}

impl Source {
    /// Opens a segment in whichever form it is there.
    pub(crate) fn open(&self, name: &str) -> Result<Opened, Error> {
        Opened::segment(self.files.as_ref(), &self.keys, name)
    }
}

/// The records of one class, oldest first, read as they are asked for. Holds one piece of one file in memory, the
/// record in hand, and the names of the last ones.
///
/// After an error there is nothing more.
pub struct Records {
    source: Source,
    /// Still to be opened.
    segments: VecDeque<SegmentInfo>,
    current: Option<Frames>,
    /// Where in the first segment to begin.
    start: u64,
    place: u64,
    seen: Recent,
}

impl Records {
    pub(crate) fn new(source: Source, segments: Vec<SegmentInfo>) -> Self {
        Self::from(source, segments, 0)
    }

    /// The same from a place in the first segment on, which [`Records::place`] gave.
    pub(crate) fn from(source: Source, segments: Vec<SegmentInfo>, start: u64) -> Self {
        let seen = Recent::new(RECENT_IDS_MAX);
        Self { source, segments: segments.into(), current: None, start, place: start, seen }
    }

    /// The place in its segment behind the record that came last: where a later reader of the segment goes on.
    pub fn place(&self) -> u64 {
        self.place
    }

    fn read(&mut self) -> Result<Option<Record>, Error> {
        loop {
            let Some(frames) = &mut self.current else {
                let Some(info) = self.segments.pop_front() else { return Ok(None) };
                let opened = self.source.open(&info.name)?;
                let start = std::mem::take(&mut self.start);
                self.current = Some(Frames::from(opened.body(), &opened.file_name, start, info.bytes));
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
            self.place = frames.position();
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
