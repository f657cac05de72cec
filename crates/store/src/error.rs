//! What can go wrong in the store. All of it is ours to see to, none a client's mistake.

use std::fmt;
use std::path::PathBuf;

use crate::engine::EngineError;

/// Why the store did not do what it was asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The engine failed; what was being done.
    Engine(&'static str, EngineError),
    /// The batch that the change was in could not be made durable: whether it is in is known after a restart.
    Commit,
    /// A row or record is not what this version writes.
    Row(&'static str, Box<dyn std::error::Error + Send + Sync>),
    /// The file was written by a newer version of the program.
    Newer(u64),
    /// The journal holds records of a CA that has lived, and the store is empty.
    Lost,
    /// A restore into this folder was broken off while it put things in their places.
    HalfRestored(PathBuf),
    /// Personal data could not be sealed or opened.
    Seal(&'static str),
    /// A file beside the engine could not be used; what was being done.
    File(String, std::io::Error),
    /// The journal failed; what was being done.
    Journal(&'static str, ingam_journal::Error),
    /// The store is closing, or too many wait for it.
    Unavailable(&'static str),
}

impl Error {
    /// A short name that never changes, for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Engine(_, cause) => cause.code(),
            Self::Commit => "store_commit",
            Self::Row(..) => "store_row",
            Self::Newer(_) => "store_newer",
            Self::Lost => "store_lost",
            Self::HalfRestored(_) => "store_half_restored",
            Self::Seal(_) => "store_seal",
            Self::File(..) => "store_file",
            Self::Journal(..) => "store_journal",
            Self::Unavailable(_) => "store_unavailable",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(doing, _) | Self::Journal(doing, _) => write!(f, "{doing}"),
            Self::Commit => f.write_str("making a change durable"),
            Self::Row(doing, _) => write!(f, "reading {doing}"),
            Self::Newer(version) => write!(
                f,
                "the store has format version {version}, this program knows up to {}: use the newer program",
                crate::table::FORMAT_VERSION
            ),
            Self::Lost => f.write_str(
                "the store is empty, but the journal beside it is not: make the store anew with `ingam admin rebuild`, or \
                 restore a backup",
            ),
            Self::HalfRestored(folder) => write!(
                f,
                "a restore into {} was broken off, and what is there is not whole: delete everything in it, and restore again",
                folder.display()
            ),
            Self::Seal(doing) => write!(f, "{doing}"),
            Self::File(doing, _) => f.write_str(doing),
            Self::Unavailable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Engine(_, cause) => Some(cause),
            Self::Row(_, cause) => Some(cause.as_ref()),
            Self::File(_, cause) => Some(cause),
            Self::Journal(_, cause) => Some(cause),
            Self::Commit
            | Self::Newer(_)
            | Self::Lost
            | Self::HalfRestored(_)
            | Self::Seal(_)
            | Self::Unavailable(_) => None,
        }
    }
}
