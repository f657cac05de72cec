//! What can go wrong in a journal.

use std::borrow::Cow;
use std::fmt;
use std::io;

use ingam_protocol::record::{Class, RecordError};

/// Why the journal did not do what it was asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system failed, or the disk is full ([`Error::code`] tells which).
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file it was done to; empty for the directory.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not as it was written.
    Corrupt {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: Cow<'static, str>,
    },
    /// A frame is as it was written, but what is in it is no record that this version knows.
    Record {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong with it.
        source: RecordError,
    },
    /// A file was written by a newer version of the program, which has to be used to open it.
    Newer {
        /// The file.
        file: String,
        /// What of it is newer.
        what: &'static str,
        /// The number found there.
        found: u32,
    },
    /// The key that a segment lies under is not among the keys of segments, and was not destroyed there.
    KeyLost {
        /// The segment's file.
        file: String,
    },
    /// The key that a segment lies under was destroyed: the segment is gone, whatever is left of its file.
    KeyDestroyed {
        /// The segment's file.
        file: String,
    },
    /// An earlier append failed and could not be undone: what is on disk is not known before the journal is opened
    /// again.
    Broken,
    /// Somebody copies the files of closed segments: to be tried again later.
    Still,
    /// There is no segment of this number that could go.
    NoSuchSegment {
        /// The class it should be of.
        class: Class,
        /// Its number.
        sequence: u64,
    },
    /// More records in one append than [`APPEND_RECORDS_MAX`](crate::APPEND_RECORDS_MAX); nothing was done.
    TooMany {
        /// How many there were.
        records: usize,
    },
    /// A record of more than [`RECORD_BYTES_MAX`](ingam_protocol::record::RECORD_BYTES_MAX) bytes; nothing was done.
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
    },
}

impl Error {
    /// A short name that never changes, for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "journal_full",
                _ => "journal_io",
            },
            Self::Corrupt { .. } => "journal_corrupt",
            Self::Record { source: RecordError::Newer(_), .. } | Self::Newer { .. } => "journal_newer",
            Self::Record { .. } => "journal_corrupt",
            Self::KeyLost { .. } => "journal_key_lost",
            Self::KeyDestroyed { .. } => "journal_key_destroyed",
            Self::Broken => "journal_broken",
            Self::Still => "journal_still",
            Self::NoSuchSegment { .. } => "journal_no_such_segment",
            Self::TooMany { .. } => "journal_too_many",
            Self::TooLarge { .. } => "journal_too_large",
        }
    }

    pub(crate) fn corrupt(file: &str, offset: u64, what: &'static str) -> Self {
        Self::Corrupt { file: file.to_owned(), offset, what: what.into() }
    }
}

/// Gives an error of the system its place.
pub(crate) fn while_doing(doing: &'static str, file: &str) -> impl FnOnce(io::Error) -> Error {
    let file = file.to_owned();
    move |source| Error::Io { doing, file, source }
}

/// The same for what is read of a stream, where a chunk that is not as it was written is no failure of the system.
pub(crate) fn while_reading(file: &str, offset: u64) -> impl FnOnce(io::Error) -> Error {
    let file = file.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            let what = source.get_ref().map_or_else(|| source.to_string(), ToString::to_string);
            Error::Corrupt { file, offset, what: what.into() }
        }
        _ => Error::Io { doing: "reading", file, source },
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, file, .. } if file.is_empty() => write!(f, "{doing} of the journal"),
            Self::Io { doing, file, .. } => write!(f, "{doing} {file} of the journal"),
            Self::Corrupt { file, offset, what } => {
                write!(f, "{file} of the journal is damaged at byte {offset}: {what}")
            }
            Self::Record { file, offset, .. } => {
                write!(f, "reading the record at byte {offset} of {file} of the journal")
            }
            Self::Newer { file, what, found } => write!(
                f,
                "{file} of the journal has {what} {found}, which takes a newer version of this program"
            ),
            Self::KeyLost { file } => write!(
                f,
                "the key of {file} of the journal is not among the keys of segments; put back the folder of these keys that \
                 belongs to this journal"
            ),
            Self::KeyDestroyed { file } => write!(f, "the key of {file} of the journal was destroyed"),
            Self::Broken => {
                f.write_str("an earlier append failed half-way; the journal has to be opened again")
            }
            Self::Still => {
                f.write_str("a backup is being made: nothing of the journal goes until it is done")
            }
            Self::NoSuchSegment { class, sequence } => {
                write!(f, "the journal has no segment {sequence} of {} that could go", class.name())
            }
            Self::TooMany { records } => write!(f, "{records} records in one append are too many"),
            Self::TooLarge { bytes } => write!(f, "a record of {bytes} bytes is too large for the journal"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Record { source, .. } => Some(source),
            _ => None,
        }
    }
}
