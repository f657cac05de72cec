//! What can go wrong between the harness and a server, where a test may want to go on.

use std::fmt;

use crate::http::Answer;

/// A request that did not end as the RFC's happy path does.
#[derive(Debug)]
pub enum Error {
    /// No answer came: the connection could not be made or broke, or the time was up.
    Connection {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer came, and it was not the expected one.
    Answered {
        /// What was being done.
        doing: String,
        /// The answer.
        answer: Box<Answer>,
    },
}

impl Error {
    /// An [`Error::Connection`] from any cause.
    pub fn connection(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Connection { doing: doing.into(), source: source.into() }
    }

    /// An [`Error::Answered`].
    pub fn answered(doing: impl Into<String>, answer: Answer) -> Self {
        Self::Answered { doing: doing.into(), answer: Box::new(answer) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { doing, .. } => write!(f, "no answer while {doing}"),
            Self::Answered { doing, answer } => write!(f, "unexpected answer while {doing}: {answer}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connection { source, .. } => Some(source.as_ref()),
            Self::Answered { .. } => None,
        }
    }
}
