//! Two kinds of no: the client's mistake, and ours.

use std::fmt;
use std::time::Duration;

use ingam_protocol::Id;
use ingam_protocol::acme::ErrorType;
use ingam_protocol::identifier::Identifier;

/// Why something was not done.
#[derive(Debug)]
pub enum Error {
    /// What was asked for is not allowed or makes no sense; the client can read why.
    Refusal(Box<Refusal>),
    /// Something here failed; the client sees no more than that.
    Fault(Fault),
}

/// The client's mistake, in ACME's words (RFC 8555, section 6.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its type.
    pub error: ErrorType,
    /// What is wrong and what to do next.
    pub detail: String,
    /// One for each identifier, where several are wrong (RFC 8555, section 6.7.1).
    pub subproblems: Vec<Subproblem>,
    /// When trying again can help.
    pub retry_after: Option<Duration>,
    /// The account that already has the key which was sent (RFC 8555, section 7.3.5).
    pub conflict: Option<Id>,
    /// The account that asks was deactivated (RFC 8555, section 7.3.6).
    pub account_ended: bool,
}

/// What is wrong with one identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subproblem {
    /// Its type.
    pub error: ErrorType,
    /// What is wrong and what to do next.
    pub detail: String,
    /// The identifier's type as it was sent, cut to a bounded length.
    pub kind: String,
    /// The identifier as it was sent, cut to a bounded length.
    pub identifier: String,
}

/// Our failure.
#[derive(Debug)]
pub struct Fault {
    /// A short name that never changes, for logs and metrics.
    pub code: &'static str,
    /// What was being done.
    pub doing: &'static str,
    /// Whether the same request may go through in a moment.
    pub passing: bool,
    /// The cause.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl Refusal {
    /// A refusal with words alone.
    pub fn new(error: ErrorType, detail: impl Into<String>) -> Self {
        Self {
            error,
            detail: detail.into(),
            subproblems: Vec::new(),
            retry_after: None,
            conflict: None,
            account_ended: false,
        }
    }
}

impl Subproblem {
    /// For an identifier that was read.
    pub fn of(identifier: &Identifier, error: ErrorType, detail: impl Into<String>) -> Self {
        Self {
            error,
            detail: detail.into(),
            kind: identifier.kind().to_owned(),
            identifier: identifier.to_string(),
        }
    }
}

impl Error {
    /// A refusal with words alone.
    pub fn refusal(error: ErrorType, detail: impl Into<String>) -> Self {
        Refusal::new(error, detail).into()
    }

    /// A failure of the signer.
    pub(crate) fn signer(doing: &'static str, cause: ingam_signer::Error) -> Self {
        let code = cause.code();
        let passing = matches!(cause, ingam_signer::Error::Unavailable(_) | ingam_signer::Error::Away(_));
        Self::Fault(Fault { code, doing, passing, source: Box::new(cause) })
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(Box::new(refusal))
    }
}

/// Every failure of the store is a fault, and its own words say what was being done.
impl From<ingam_store::Error> for Error {
    fn from(cause: ingam_store::Error) -> Self {
        Self::Fault(Fault {
            code: cause.code(),
            doing: "using the store",
            passing: matches!(cause, ingam_store::Error::Unavailable(_)),
            source: Box::new(cause),
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refusal(refusal) => write!(f, "{}: {}", refusal.error.name(), refusal.detail),
            Self::Fault(fault) => f.write_str(fault.doing),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refusal(_) => None,
            Self::Fault(fault) => Some(fault.source.as_ref()),
        }
    }
}
