//! What can go wrong in an engine.

use std::error::Error;
use std::fmt;

/// Why an engine did not do what it was asked to. Always ours to see to, never a client's mistake.
#[derive(Debug)]
#[non_exhaustive]
pub enum EngineError {
    /// The files are damaged, or are not this engine's.
    Corrupt {
        /// What was being done.
        doing: &'static str,
        /// What the engine says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// There is no room on the disk. Nothing is lost; the engine has to be opened again once there is.
    Full {
        /// What was being done.
        doing: &'static str,
        /// What the engine says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The system failed, or had failed before: the engine has to be opened again.
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the engine says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Somebody else has the files open.
    Busy {
        /// What was being done.
        doing: &'static str,
    },
    /// A key is longer than [`KEY_BYTES_MAX`](super::KEY_BYTES_MAX), a value than
    /// [`VALUE_BYTES_MAX`](super::VALUE_BYTES_MAX), or a batch than [`BATCH_BYTES_MAX`](super::BATCH_BYTES_MAX); nothing
    /// was done.
    TooLarge {
        /// The table where the limit was reached.
        table: &'static str,
    },
}

impl EngineError {
    /// A short name that never changes, for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Corrupt { .. } => "engine_corrupt",
            Self::Full { .. } => "engine_full",
            Self::Io { .. } => "engine_io",
            Self::Busy { .. } => "engine_busy",
            Self::TooLarge { .. } => "engine_too_large",
        }
    }

    /// Sorts an error of the system into [`EngineError::Full`] and [`EngineError::Io`].
    pub(crate) fn from_io(doing: &'static str, error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::Full { doing, source: error.into() }
            }
            _ => Self::Io { doing, source: error.into() },
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt { doing, .. } => write!(f, "{doing}: the files are damaged"),
            Self::Full { doing, .. } => write!(f, "{doing}: the disk is full"),
            Self::Io { doing, .. } => write!(f, "{doing}: the system failed"),
            Self::Busy { doing } => write!(f, "{doing}: somebody else has the files open"),
            Self::TooLarge { table } => write!(f, "a key or value for table {table} is too long"),
        }
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Corrupt { source, .. } | Self::Full { source, .. } | Self::Io { source, .. } => {
                Some(source.as_ref())
            }
            Self::Busy { .. } | Self::TooLarge { .. } => None,
        }
    }
}
