//! One tree over all records of the journal, by which outsiders can check that its past stays as it was.
//!
//! Each record has a leaf, of any class, in the order in which the log came upon them; once a head covers a leaf, it never
//! changes. Leaves hold commitments and days, so that what a record said can be erased, and whole segments can go, and the
//! tree stays whole: that a rule asked for it can then be seen from the days.
//!
//! - [`leaf`] is what a leaf says, and [`tree`] how hashes are made of leaves (RFC 6962, section 2.1).
//! - [`Log`] is the log on disk: it takes leaves from a [`Journal`](crate::Journal), keeps its heads, gives out tiles
//!   (c2sp.org/tlog-tiles) and proofs. Signing a head is for its caller.
//! - [`audit`](mod@audit) holds a journal and its log against a head that was kept elsewhere.
//!
//! ```text
//! leaves    each leaf and its checksum, one after the other: the truth
//! level-L   hashes of 256^L leaves each, one after the other, L from 1 on: made from leaves, and made anew where they are not right
//! heads     two places, used in turns: how many leaves, their root, where each class goes on, and the note over it
//! ```

pub mod audit;
mod gather;
mod heads;
pub mod leaf;
mod open;
mod store;
pub mod tree;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;

pub use gather::ROUND_LEAVES_MAX;
pub use heads::{HEAD_NOTE_BYTES_MAX, Head};
pub use leaf::{LEAF_BYTES, Leaf};
pub use store::Log;

/// How many hashes or leaves a full tile has.
pub const TILE_WIDTH: u64 = 256;

/// Why the log did not do what it was asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogError {
    /// The system failed.
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file it was done to; empty for the folder.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// What a head on disk covers is not there, or not what it was.
    Lost {
        /// What is missing.
        what: String,
    },
    /// A file is not as it was written.
    Corrupt {
        /// The file.
        file: String,
        /// Where in it, in bytes.
        offset: u64,
    },
    /// Written by a newer version of the program, which has to be used.
    Newer,
    /// The journal could not be read.
    Journal(crate::Error),
    /// A head that would contradict an earlier one: a smaller tree, or another root for the same size.
    Contradiction,
    /// The note is longer than [`HEAD_NOTE_BYTES_MAX`].
    TooLong,
    /// An earlier write failed: the log has to be opened again.
    Broken,
}

impl LogError {
    /// A short name that never changes, for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => "log_full",
            Self::Io { .. } => "log_io",
            Self::Lost { .. } => "log_lost",
            Self::Corrupt { .. } => "log_corrupt",
            Self::Newer => "log_newer",
            Self::Journal(error) => error.code(),
            Self::Contradiction => "log_contradiction",
            Self::TooLong => "log_too_long",
            Self::Broken => "log_broken",
        }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, file, .. } => write!(f, "{doing} {file} of the log of records"),
            Self::Lost { what } => write!(
                f,
                "the log of records has lost what it signed: {what}. Outsiders hold checkpoints over it, and nothing may be \
                 signed in its place. Put the log's folder back from the newest copy; if there is none, begin another log: \
                 move the folder away, give [log] another origin, and say publicly why"
            ),
            Self::Corrupt { file, offset } => {
                write!(f, "{file} of the log of records is damaged at byte {offset}: put it back from a copy")
            }
            Self::Newer => f.write_str("the log of records was written by a newer version of this program"),
            Self::Journal(_) => f.write_str("reading the journal for the log of records"),
            Self::Contradiction => {
                f.write_str("a checkpoint of the log of records would contradict one that was signed before")
            }
            Self::TooLong => f.write_str("a checkpoint has too many signatures to be kept"),
            Self::Broken => {
                f.write_str("an earlier write to the log of records failed; it has to be opened again")
            }
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Journal(source) => Some(source),
            _ => None,
        }
    }
}

/// Gives an error of the system its place.
pub(crate) fn failed(doing: &'static str, file: &str) -> impl FnOnce(io::Error) -> LogError {
    let file = file.to_owned();
    move |source| LogError::Io { doing, file, source }
}
