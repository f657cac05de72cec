//! From records to leaves: what of the journal has none yet.

use std::collections::BTreeMap;

use ingam_protocol::record::{Class, Record};
use ingam_protocol::time::Timestamp;

use super::LogError;
use super::leaf::{Leaf, day};
use crate::Journal;
use crate::error::Error;
use crate::frames::{Frame, Frames};
use crate::journal::SegmentInfo;
use crate::reader::Source;
use crate::recover::decode;
use crate::segment::{FrameKind, body_matches};

/// At most so many leaves are one round.
pub const ROUND_LEAVES_MAX: usize = 65_536;

/// A place in the journal: behind the record that came last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    sequence: u64,
    position: u64,
    /// The index of the record that begins there.
    index: u64,
}

/// What a round found.
pub(crate) struct Found {
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) places: BTreeMap<Class, Place>,
}

/// Reads records that have no leaf, class by class. Records of segments that went before they had one get none: the class goes
/// on behind them.
pub(crate) fn gather(
    journal: &Journal,
    next: &BTreeMap<Class, u64>,
    places: &BTreeMap<Class, Place>,
    now: Timestamp,
) -> Result<Found, LogError> {
    let mut found = Found { leaves: Vec::new(), places: places.clone() };
    let mut next = next.clone();
    for info in journal.segments() {
        let (next, end) = (next.entry(info.class).or_default(), info.first_index + info.records);
        if *next < end && found.leaves.len() < ROUND_LEAVES_MAX {
            *next = (*next).max(info.first_index);
            let place = gather_segment(&journal.source(), &info, *next, &mut found, now);
            let place = place.map_err(LogError::Journal)?;
            *next = place.index;
            found.places.insert(info.class, place);
        }
    }
    Ok(found)
}

/// Reads one segment from the record with this index on.
fn gather_segment(
    source: &Source,
    info: &SegmentInfo,
    next: u64,
    found: &mut Found,
    now: Timestamp,
) -> Result<Place, Error> {
    let known = found.places.get(&info.class);
    let known = known.filter(|place| place.sequence == info.sequence && place.index == next);
    let mut place =
        known.copied().unwrap_or(Place { sequence: info.sequence, position: 0, index: info.first_index });
    let opened = source.open(&info.name)?;
    let mut frames = Frames::from(opened.body(), &opened.file_name, place.position, info.bytes);
    while found.leaves.len() < ROUND_LEAVES_MAX && place.index < info.first_index + info.records {
        let Some(frame) = frames.next_intact()? else { break };
        if frame.head.kind == FrameKind::Close {
            continue;
        }
        if place.index >= next {
            found.leaves.push(leaf_of(&frame, info, place.index, now)?);
        }
        place.index += 1;
        place.position = frames.position();
    }
    Ok(place)
}

/// The leaf of a record, or of what was one.
fn leaf_of(frame: &Frame<'_>, info: &SegmentInfo, index: u64, now: Timestamp) -> Result<Leaf, Error> {
    let head = &frame.head;
    if !body_matches(head.kind, &head.commitment, frame.body) {
        let what = "the record is not the one committed to";
        return Err(Error::corrupt(&info.name, frame.offset, what));
    }
    let (time, end_of_life) = match head.kind {
        FrameKind::Record => {
            let record: Record = decode(&info.name, frame.offset, frame.body)?;
            (record.time, record.end_of_life)
        }
        FrameKind::Erased | FrameKind::Close => (now, info.end_of_life),
    };
    Ok(Leaf {
        class: info.class,
        index,
        day: day(time),
        end_day: end_of_life.map_or(0, day),
        commitment: head.commitment,
    })
}
