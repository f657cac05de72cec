//! Why a sweep did not come to its end.

use std::fmt;

use ingam_protocol::Timestamp;

/// Why nothing, or not everything, was swept. What was not is tried again by the next sweep.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The clock is further ahead of the last sweep than it may be, so that nothing is destroyed by its word alone.
    Leap {
        /// When the last sweep was, or the last record where there was none.
        last: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
    /// The store failed; what was being done.
    Store(&'static str, ingam_store::Error),
    /// The journal failed; what was being done.
    Journal(&'static str, ingam_journal::Error),
    /// The process is ending.
    Ending,
}

impl Error {
    /// A short name that never changes, for logs and reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Leap { .. } => "retention_clock",
            Self::Store(_, cause) => cause.code(),
            Self::Journal(_, cause) => cause.code(),
            Self::Ending => "retention_ending",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leap { last, now } => write!(
                f,
                "the clock says {now}, and the last sweep was at {last}: nothing is destroyed until somebody has looked at \
                 the clock and says so, by ingam admin retention sweep --confirm"
            ),
            Self::Store(doing, _) | Self::Journal(doing, _) => f.write_str(doing),
            Self::Ending => f.write_str("the process is ending"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(_, cause) => Some(cause),
            Self::Journal(_, cause) => Some(cause),
            Self::Leap { .. } | Self::Ending => None,
        }
    }
}
