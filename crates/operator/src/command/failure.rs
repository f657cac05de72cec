//! How a command ends when it does not end well, and the number that tells a program so.

use std::fmt;
use std::process::ExitCode;

use crate::api::{ApiProblem, Waiting};
use crate::client;

/// The exit codes, as the help and docs/operations/command-line.md tell them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done; for status: ready
  1    the CA failed, or has too much to do
  2    wrong use: the command line, a file, or a value
  3    refused: no role for it, a rule against it, or things changed meanwhile
  4    not found
  5    waits for a second person
  6    nobody answers at the socket or address
  7    given up at a prompt
  8    nothing matches
  9    not ready (status)
  130  broken off by Ctrl-C; a job that was started goes on";

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line, a file or a value cannot be used: a sentence.
    Usage(String),
    /// The CA says no, or cannot.
    Problem(ApiProblem),
    /// Refused on this side, for what the CA said: a sentence.
    Refused(String),
    /// An act waits for a second person.
    Waits(Waiting),
    /// Nobody answers: a sentence.
    Unreachable(String),
    /// What came back makes no sense: a sentence.
    Unread(String),
    /// Somebody at a prompt did not go on.
    GivenUp(String),
    /// There is nothing to be done.
    Nothing(String),
    /// The CA is not ready; the picture says why.
    NotReady,
    /// Ctrl-C: what goes on without us.
    BrokenOff(String),
    /// Whoever read the output is gone, and knows why.
    OutputClosed,
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        match error {
            client::Error::Unreachable(what) => Self::Unreachable(what),
            client::Error::Refused(problem) => Self::Problem(problem),
            client::Error::Waits(waiting, _) => Self::Waits(waiting),
            client::Error::Unread(what) => Self::Unread(what),
        }
    }
}

impl Failure {
    /// The number of [`EXIT_CODES`].
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Unread(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
            Self::Waits(_) => 5,
            Self::Unreachable(_) => 6,
            Self::GivenUp(_) => 7,
            Self::Nothing(_) => 8,
            Self::NotReady => 9,
            Self::BrokenOff(_) => 130,
            Self::Problem(problem) => match problem.status {
                401 | 403 | 409 => 3,
                404 => 4,
                429 | 500.. => 1,
                _ => 2,
            },
        }
    }

    /// The same, for the end of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// Whether it may be better in a moment: nobody there, or too much to do.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Problem(problem) => matches!(problem.status, 429 | 503),
            _ => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what)
            | Self::Refused(what)
            | Self::Unreachable(what)
            | Self::Unread(what)
            | Self::GivenUp(what)
            | Self::Nothing(what)
            | Self::BrokenOff(what) => f.write_str(what),
            Self::Waits(waiting) => write!(
                f,
                "this waits for a second person, until {}: somebody else says `ingam admin approval approve {}`",
                waiting.expires, waiting.approval
            ),
            Self::NotReady => f.write_str("the CA is not ready"),
            Self::OutputClosed => f.write_str("standard output is closed"),
            Self::Problem(problem) => {
                f.write_str(&problem.detail)?;
                for finding in &problem.findings {
                    write!(f, "\n  - {finding}")?;
                }
                match &problem.request_id {
                    Some(id) => write!(f, "\n  (in the log of the CA: request {id})"),
                    None => Ok(()),
                }
            }
        }
    }
}
