//! Checking that everything is as it was written.

use ingam_protocol::record::Class;

use crate::body::Ends;
use crate::chain::Head;
use crate::error::{Error, while_reading};
use crate::frames::Frames;
use crate::journal::SegmentInfo;
use crate::reader::Source;
use crate::recover::decode;
use crate::segment::{FrameKind, Tally, body_matches};

/// What a verification that found nothing wrong has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// One entry for each class that has segments.
    pub classes: Vec<ClassReport>,
}

/// What was seen of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassReport {
    /// The class.
    pub class: Class,
    /// How many segments there are.
    pub segments: u64,
    /// How many records there are, erased ones included.
    pub records: u64,
    /// How many of them are erased.
    pub erased: u64,
    /// How many records came before the first that is there.
    pub first_index: u64,
    /// The head at the end of the chain: to be kept elsewhere, it proves later that nothing up to here was changed.
    pub head: Head,
    /// Segments that are not there, at the beginning or in between. That they were deleted, and not lost, is for the
    /// receipts of their deletion to say: across a gap the chain cannot be followed.
    pub gaps: Vec<Gap>,
}

/// A run of segments that are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The number of the first one that is missing.
    pub first_sequence: u64,
    /// The number of the last one that is missing.
    pub last_sequence: u64,
}

pub(crate) fn verify(source: &Source, classes: &[(Class, Vec<SegmentInfo>)]) -> Result<VerifyReport, Error> {
    let mut reports = Vec::new();
    for (class, segments) in classes {
        if !segments.is_empty() {
            reports.push(verify_class(source, *class, segments)?);
        }
    }
    Ok(VerifyReport { classes: reports })
}

fn verify_class(source: &Source, class: Class, segments: &[SegmentInfo]) -> Result<ClassReport, Error> {
    let mut report = ClassReport {
        class,
        segments: 0,
        records: 0,
        erased: 0,
        first_index: segments.first().map_or(0, |info| info.first_index),
        head: Head::first(class),
        gaps: Vec::new(),
    };
    let (mut sequence, mut index) = (1, 0);
    for info in segments {
        if info.sequence == sequence {
            if info.first_index != index {
                return Err(Error::corrupt(&info.name, 0, "the segment's first record has the wrong index"));
            }
        } else {
            report
                .gaps
                .push(Gap { first_sequence: sequence, last_sequence: info.sequence.saturating_sub(1) });
        }
        let expected = (info.sequence == sequence).then_some(report.head);
        let (tally, erased) = verify_segment(source, info, expected)?;
        report.segments += 1;
        report.records += tally.records;
        report.erased += erased;
        report.head = tally.head;
        sequence = info.sequence + 1;
        index = info.first_index + tally.records;
    }
    Ok(report)
}

/// Reads one segment through; gives what it holds, and how many of its records are erased.
fn verify_segment(
    source: &Source,
    info: &SegmentInfo,
    expected: Option<Head>,
) -> Result<(Tally, u64), Error> {
    let opened = source.open(&info.name)?;
    let (header, name, body) = (opened.header, &opened.file_name, opened.body());
    let damaged = |offset, what| Error::corrupt(name, offset, what);
    if expected.is_some_and(|head| head != header.previous) {
        return Err(damaged(0, "the chain does not go on where the segment before ended"));
    }
    match body.ends_at(info.bytes).map_err(while_reading(name, info.bytes))? {
        Ends::Before(there) => return Err(damaged(there, "the file is shorter than it was")),
        Ends::Behind if info.closed => return Err(damaged(info.bytes, "the file is longer than it was")),
        Ends::Behind | Ends::There => {}
    }
    let mut frames = Frames::new(body, name, info.bytes);
    let (mut tally, mut erased, mut closed) = (Tally::new(&header), 0, false);
    while let Some(frame) = frames.next_intact()? {
        let head = &frame.head;
        if closed {
            return Err(damaged(frame.offset, "something follows the end"));
        }
        if !body_matches(head.kind, &head.commitment, frame.body) {
            return Err(damaged(frame.offset, "the record is not the one committed to"));
        }
        match head.kind {
            FrameKind::Record => {
                decode(name, frame.offset, frame.body)?;
                tally.add(&head.commitment, frame.body.len());
            }
            FrameKind::Erased => {
                tally.add(&head.commitment, frame.body.len());
                erased += 1;
            }
            FrameKind::Close => {
                let close = Tally::decode_close(info.bytes, frame.body);
                if !close.is_some_and(|close| close.records == tally.records && close.head == tally.head) {
                    return Err(damaged(frame.offset, "the end is not that of this segment"));
                }
                closed = true;
            }
        }
    }
    let now = SegmentInfo::new(&header, &tally, info.file_bytes, info.form, closed);
    if (now.records, now.head, now.closed, now.first_index)
        != (info.records, info.head, info.closed, info.first_index)
    {
        return Err(damaged(0, "the segment is not the one that this journal knows"));
    }
    Ok((tally, erased))
}
