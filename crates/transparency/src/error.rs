//! What can go wrong between the CA and the logs.

use std::fmt;

use ingam_protocol::transparency;
use ingam_protocol::transparency::policy::Needed;

/// How many failures an error tells of.
const TOLD_MAX: usize = 8;

/// Why there are no SCTs, or no service that could get them. All of them are ours or the logs', and never the client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// What was to be submitted is no certificate with a chain, or not what is submitted here.
    Submission(transparency::Error),
    /// The configuration, or the list of logs, cannot be used; says what to do.
    Config(String),
    /// The list has too few logs for this certificate: by the end of its validity, by state, or by operators.
    NoLogs {
        /// What would be enough.
        needed: Needed,
        /// How many of the list would take it.
        found: usize,
    },
    /// Logs were asked, and too few gave a promise in time.
    TooFew {
        /// What would have been enough.
        needed: Needed,
        /// How many did.
        given: usize,
        /// How many operators these logs have.
        operators: usize,
        /// Which ones failed (the first ones of them), by their description, and how.
        failed: Vec<(String, Failure)>,
    },
}

impl Error {
    /// A stable word for logs and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Submission(_) => "transparency_submission",
            Self::Config(_) => "transparency_config",
            Self::NoLogs { .. } => "transparency_no_logs",
            Self::TooFew { .. } => "transparency_too_few_scts",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submission(_) => f.write_str("this cannot be submitted to transparency logs"),
            Self::Config(what) => f.write_str(what),
            Self::NoLogs { needed, found } => write!(
                f,
                "{found} transparency logs of the list would take this certificate, and {} of {} operators are needed; \
                 refresh the list of logs",
                needed.scts, needed.operators
            ),
            Self::TooFew { needed, given, operators, failed } => {
                write!(
                    f,
                    "{given} transparency logs of {operators} operators gave an SCT, and {} of {} operators are needed",
                    needed.scts, needed.operators
                )?;
                for (log, failure) in failed.iter().take(TOLD_MAX) {
                    write!(f, "; {log}: {failure}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Submission(error) => Some(error),
            _ => None,
        }
    }
}

/// Why one log gave no SCT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection, or no whole answer.
    Unreached(String),
    /// There was no answer in time.
    Late,
    /// It answers with another status than 200, and these words.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says, cut and printable.
        said: String,
    },
    /// What it gave is no SCT of its own for this certificate.
    Untrue(&'static str),
}

impl Failure {
    /// How it is counted.
    pub(crate) fn outcome(&self) -> &'static str {
        match self {
            Self::Unreached(_) => "unreachable",
            Self::Late => "late",
            Self::Refused { .. } => "refused",
            Self::Untrue(_) => "untrue",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached(why) => write!(f, "cannot be reached: {why}"),
            Self::Late => f.write_str("does not answer in time"),
            Self::Refused { status, said } => write!(f, "answers {status}: {said}"),
            Self::Untrue(why) => write!(f, "gave no good SCT: {why}"),
        }
    }
}
