//! The records of a class as they lie on disk, whatever was done to them: damage is told and passed over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ingam_protocol::record::{Class, Record};

use super::Teller;
use crate::Head;
use crate::body::{Opened, intact};
use crate::error::{Error, while_doing};
use crate::frames::{Found, Frames};
use crate::log::{LogError, failed};
use crate::reader::Source;
use crate::segment::{FrameKind, Name, Tally, body_matches};

/// The segments that are there and say what they are.
pub(super) struct Pieces(BTreeMap<Class, Vec<Piece>>);

/// One segment.
#[derive(Clone)]
pub(super) struct Piece {
    name: String,
    sequence: u64,
    first_index: u64,
    previous: Head,
    is_last: bool,
}

impl Pieces {
    pub(super) fn list(source: &Source, teller: &mut Teller<'_>) -> Result<Self, LogError> {
        // A segment that is being packed may be there in both forms.
        let mut names: BTreeSet<Name> = BTreeSet::new();
        for text in source.files.list().map_err(failed("listing", "the journal"))? {
            match Name::parse(&text) {
                Some(name) => drop(names.insert(name)),
                None if Name::is_one(&text) => {
                    teller.tell(format_args!("{text}: no segment has such a name"));
                }
                None => {}
            }
        }
        let mut by_class: BTreeMap<Class, Vec<Piece>> = BTreeMap::new();
        for name in names {
            let pieces = by_class.entry(name.class).or_default();
            let header = match source.open(&name.text) {
                Ok(opened) => opened.header,
                // It is gone; whether it may be is judged as if its file were gone, too.
                Err(error) if went(&error) => continue,
                Err(error @ (Error::Corrupt { .. } | Error::KeyLost { .. } | Error::Newer { .. })) => {
                    teller.tell(format_args!("{error}"));
                    continue;
                }
                Err(error) => return Err(LogError::Journal(error)),
            };
            if let Some(before) = pieces.last_mut() {
                before.is_last = false;
            }
            pieces.push(Piece {
                name: name.text,
                sequence: header.sequence,
                first_index: header.first_index,
                previous: header.previous,
                is_last: true,
            });
        }
        Ok(Self(by_class))
    }

    pub(super) fn of(&self, class: Class) -> Vec<Piece> {
        self.0.get(&class).cloned().unwrap_or_default()
    }
}

/// One record, or the end of them.
pub(super) enum Step {
    Record {
        index: u64,
        commitment: [u8; 32],
        erased: bool,
        /// What the chain was before it, by the header of the segment that it is the first of.
        begins: Option<Head>,
    },
    End,
}

/// Reads the records of a class.
pub(super) struct Reader {
    source: Source,
    pieces: VecDeque<Piece>,
    current: Option<Current>,
    /// The number of the segment before, and the index behind its records, if it was read to its end.
    before: Option<(u64, u64)>,
    /// Where the first segment that is there begins.
    pub(super) first_index: Option<u64>,
    /// Where the last one begins, and what the chain was before it.
    pub(super) last: Option<(u64, Head)>,
    /// Whether a segment went after it was listed.
    pub(super) went: bool,
    /// What ended the reading of a segment too early, the last time.
    pub(super) damage: Option<String>,
}

struct Current {
    piece: Piece,
    frames: Frames,
    index: u64,
    tally: Tally,
    closed: bool,
}

impl Reader {
    pub(super) fn new(source: Source, pieces: Vec<Piece>) -> Self {
        let first_index = pieces.first().map(|piece| piece.first_index);
        let last = pieces.last().map(|piece| (piece.first_index, piece.previous));
        let (current, before, damage) = (None, None, None);
        Self { source, pieces: pieces.into(), current, before, first_index, last, went: false, damage }
    }

    /// The next record.
    pub(super) fn next(&mut self, teller: &mut Teller<'_>) -> Result<Step, LogError> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(piece) = self.pieces.pop_front() else { return Ok(Step::End) };
                self.begin(piece, teller)?;
                continue;
            };
            let (piece, is_first) = (&current.piece, current.index == current.piece.first_index);
            let frame = match current.frames.next() {
                Ok(Found::Frame(frame)) => frame,
                Ok(Found::End) => {
                    if !current.closed && !piece.is_last {
                        let name = &piece.name;
                        teller.tell(format_args!("{name}: the segment is not the last and has no end"));
                    }
                    self.before = Some((piece.sequence, current.index));
                    self.current = None;
                    continue;
                }
                Ok(Found::Damage { offset, what }) => {
                    let damage = format!("{} is damaged at byte {offset}: {what}", piece.name);
                    // What is not finished at the very end is an append under way, or what a power cut left of one.
                    let is_damage =
                        !piece.is_last || current.frames.later_append_follows().map_err(LogError::Journal)?;
                    if is_damage {
                        teller.tell(format_args!("{damage}"));
                    }
                    self.damage = Some(damage);
                    (self.before, self.current) = (None, None);
                    continue;
                }
                Err(error @ Error::Corrupt { .. }) => {
                    teller.tell(format_args!("{error}"));
                    self.damage = Some(error.to_string());
                    (self.before, self.current) = (None, None);
                    continue;
                }
                Err(error) => return Err(LogError::Journal(error)),
            };
            let (head, offset) = (frame.head, frame.offset);
            if current.closed {
                teller.tell(format_args!("{}: something follows the end, at byte {offset}", piece.name));
                self.current = None;
                continue;
            }
            let matches = body_matches(head.kind, &head.commitment, frame.body);
            if head.kind == FrameKind::Close {
                // Where the file ends does not matter here.
                let close = Tally::decode_close(0, frame.body);
                let tally = &current.tally;
                if !close.is_some_and(|close| close.records == tally.records && close.head == tally.head) {
                    teller.tell(format_args!("{}: the end is not that of this segment", piece.name));
                }
                current.closed = true;
                continue;
            }
            let index = current.index;
            if !matches {
                let class = current.piece.name.as_str();
                teller.tell(format_args!("{class}: record {index} is not the one committed to: altered"));
            }
            current.tally.add(&head.commitment, frame.body.len());
            current.index += 1;
            return Ok(Step::Record {
                index,
                commitment: head.commitment,
                erased: head.kind == FrameKind::Erased,
                begins: is_first.then_some(current.piece.previous),
            });
        }
    }

    fn begin(&mut self, piece: Piece, teller: &mut Teller<'_>) -> Result<(), LogError> {
        let name = &piece.name;
        if let Some((sequence, index)) = self.before {
            if piece.sequence == sequence {
                teller.tell(format_args!("{name}: there are two segments of this number"));
            } else if piece.sequence == sequence + 1 && piece.first_index != index {
                let first = piece.first_index;
                teller.tell(format_args!(
                    "{name}: the segment begins with record {first}, and the one before ended in front of record {index}"
                ));
            }
        }
        let begun = open(&self.source, name).map(|(opened, frames)| Current {
            frames,
            index: piece.first_index,
            tally: Tally::new(&opened.header),
            closed: false,
            piece: piece.clone(),
        });
        match begun {
            Ok(current) => self.current = Some(current),
            // Whether it might is judged as if it had not been listed.
            Err(error) if went(&error) => {
                teller.tell(format_args!("{name}: the segment went while the journal was read: run again"));
                (self.went, self.before) = (true, None);
            }
            Err(error @ (Error::Corrupt { .. } | Error::KeyLost { .. })) => {
                teller.tell(format_args!("{error}"));
                self.damage = Some(error.to_string());
                self.before = None;
            }
            Err(error) => return Err(LogError::Journal(error)),
        }
        Ok(())
    }
}

/// Opens a segment, up to where it is whole.
fn open(source: &Source, name: &str) -> Result<(Opened, Frames), Error> {
    let opened = source.open(name)?;
    let bytes = match &opened.key {
        None => opened.file.length().map_err(while_doing("measuring", name))?,
        Some(_) => intact(opened.file.as_ref(), &opened.file_name)?.stream_bytes,
    };
    let frames = Frames::new(opened.body(), &opened.file_name, bytes);
    Ok((opened, frames))
}

/// Whether a segment is gone, or its key.
fn went(error: &Error) -> bool {
    match error {
        Error::KeyDestroyed { .. } => true,
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Reads every record of these segments that can be read, with its index, and says nothing of the others. Gives from which index
/// to which each segment could be read.
pub(super) fn each_record(
    source: &Source,
    pieces: Vec<Piece>,
    each: &mut dyn FnMut(u64, &Record),
) -> Result<Vec<(u64, u64)>, LogError> {
    let mut read = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let mut frames = match open(source, &piece.name) {
            Ok((_, frames)) => frames,
            Err(error) if went(&error) => continue,
            Err(error @ (Error::Io { .. } | Error::Newer { .. })) => return Err(LogError::Journal(error)),
            Err(_) => continue,
        };
        let mut index = piece.first_index;
        while let Ok(Found::Frame(frame)) = frames.next() {
            if frame.head.kind == FrameKind::Close {
                continue;
            }
            let is_whole = frame.head.kind == FrameKind::Record
                && body_matches(frame.head.kind, &frame.head.commitment, frame.body);
            if is_whole && let Ok(record) = Record::decode(frame.body) {
                each(index, &record);
            }
            index = index.saturating_add(1);
        }
        read.push((piece.first_index, index));
    }
    Ok(read)
}
