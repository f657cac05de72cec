//! Why the request log cannot do what it should, or will not.

use std::fmt;
use std::io;

/// A request log's fault, or the refusal of what somebody wants of it.
#[derive(Debug)]
pub enum Error {
    /// A file could not be read or written; what was being done.
    File(&'static str, io::Error),
    /// A file is not what it was when it was written; which, and how.
    Damaged(&'static str, &'static str),
    /// A file is of a newer version of the program.
    Newer(&'static str),
    /// Segments and holds have as many bytes as they may.
    Full,
    /// Something could not be put on record, or the thread for it ended.
    Record(Box<dyn std::error::Error + Send + Sync>),
    /// There is no such hold.
    NoHold,
    /// What is asked for makes no sense, and what to do instead.
    Refused(String),
}

impl Error {
    pub(super) fn file(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File(doing, error)
    }

    /// A short name for logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File(_, error) if error.kind() == io::ErrorKind::StorageFull => "request_log_disk_full",
            Self::File(..) => "request_log_file",
            Self::Damaged(..) => "request_log_damaged",
            Self::Newer(_) => "request_log_newer",
            Self::Full => "request_log_full",
            Self::Record(_) => "request_log_record",
            Self::NoHold => "request_log_no_hold",
            Self::Refused(_) => "request_log_refused",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(doing, _) => write!(f, "{doing} failed"),
            Self::Damaged(file, how) => write!(f, "{file} is damaged: {how}"),
            Self::Newer(file) => write!(f, "{file} is of a newer version of this program, which can read it"),
            Self::Full => f.write_str("the request log has as many bytes as request_log.bytes_max allows"),
            Self::Record(_) => f.write_str("putting on record what became of the request log failed"),
            Self::NoHold => {
                f.write_str("there is no such hold: `ingam admin ocsp hold list` shows those that are open")
            }
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(_, error) => Some(error),
            Self::Record(cause) => Some(cause.as_ref()),
            _ => None,
        }
    }
}
