//! What is asked of a perspective, and what it answers.

use std::fmt;

use ingam_protocol::Timestamp;
use ingam_protocol::acme::{ChallengeType, ErrorType};
use ingam_protocol::corroboration::Quorum;
use ingam_protocol::identifier::{DnsName, Host};
use serde::{Deserialize, Serialize};

use crate::corroboration::Corroboration;
use crate::evidence::Evidence;
use crate::iodef::Report;

/// One challenge to be looked at.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What control is to be shown of; of a wildcard, its base name.
    pub host: Host,
    /// Whether it is to be shown of more than the name itself: of what a wildcard covers, or of the whole domain.
    pub beyond_the_name: bool,
    /// How it is to be shown.
    pub challenge: ChallengeType,
    /// The challenge's token: base64url without padding (RFC 8555, section 8.1). It becomes part of a URL's path.
    pub token: String,
    /// Token, a dot, and the thumbprint of the account's key (RFC 8555, section 8.1).
    pub key_authorization: String,
    /// The account's URL, which is part of labels and records of some challenges.
    pub account_uri: String,
    /// What hashed URIs of accounts begin with: the directory's `accountHashPrefix` (draft-ietf-acme-dns-persist,
    /// section 4.1).
    pub account_hash_prefix: String,
    /// The thumbprints (RFC 7638; base64url) of the keys that the account has and had, the one in force first.
    pub thumbprints: Vec<String>,
}

impl Attempt {
    /// The name, where control of an address cannot be looked at.
    pub(crate) fn name(&self) -> Result<&DnsName, Failure> {
        let why = "this challenge does not show control of an IP address";
        self.host.name().ok_or_else(|| Failure::new(ErrorType::Malformed, why))
    }
}

/// What came of an [`Attempt`].
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was seen from here, whatever came of it.
    pub evidence: Evidence,
    /// What remote perspectives saw; none if there are none.
    pub corroboration: Option<Corroboration>,
    /// Control, or why not.
    pub result: Result<Validated, Failure>,
}

/// Control of a name or an address was shown. Only this crate can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    host: Host,
    challenge: ChallengeType,
    until: Option<Timestamp>,
    quorum: Option<Quorum>,
}

impl Validated {
    pub(crate) fn new(host: Host, challenge: ChallengeType, until: Option<Timestamp>) -> Self {
        Self { host, challenge, until, quorum: None }
    }

    /// The same, seen by enough other perspectives, one of which saw an earlier end.
    pub(crate) fn corroborated(self, quorum: Quorum, until: Option<Timestamp>) -> Self {
        // None is never: the earliest end that anybody saw counts.
        let until = self.until.into_iter().chain(until).min();
        Self { until, quorum: Some(quorum), ..self }
    }

    /// What is controlled.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// How this was shown.
    pub fn challenge(&self) -> ChallengeType {
        self.challenge
    }

    /// Until when this may be relied on, where the owner of the name has said so (`persistUntil` of dns-persist-01).
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// How many remote perspectives agreed; none where there are none.
    pub fn quorum(&self) -> Option<Quorum> {
        self.quorum
    }
}

/// Why control was not shown or issuance is not permitted: what becomes a challenge's `error` (RFC 8555, section 8.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `dns`, `connection`, `tls`, `unauthorized`, `caa`, `malformed`, `rejectedIdentifier` for an address that may not be
    /// connected to, or `serverInternal` when we had no capacity.
    pub error: ErrorType,
    /// What to tell the owner of the name: what was seen and what to do. Printable ASCII, a few hundred bytes.
    pub detail: String,
}

impl Failure {
    pub(crate) fn new(error: ErrorType, detail: impl Into<String>) -> Self {
        Self { error, detail: detail.into() }
    }

    pub(crate) fn connection(detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Connection, detail)
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Unauthorized, detail)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error.name(), self.detail)
    }
}

impl std::error::Error for Failure {}

/// A question about CAA: may we issue for this name?
#[derive(Clone, Debug)]
pub struct CaaQuery {
    /// The name to be in the certificate; a wildcard's base name.
    pub name: DnsName,
    /// Whether the certificate will say `*.name` (RFC 8659, section 4.3).
    pub wildcard: bool,
    /// How control was shown: what `validationmethods` restricts (RFC 8657, section 4).
    pub challenge: ChallengeType,
    /// The account's URL: what `accounturi` restricts (RFC 8657, section 3). Empty where whoever asks tells of neither account
    /// nor method: then a record that restricts either permits nobody.
    pub account_uri: String,
}

/// What came of a [`CaaQuery`].
#[derive(Clone, Debug)]
pub struct CaaOutcome {
    /// What was seen from here, whatever came of it; its `lookups` are the climb from the name towards the root.
    pub evidence: Evidence,
    /// What remote perspectives saw; none if there are none.
    pub corroboration: Option<Corroboration>,
    /// Permission, or why not.
    pub result: Result<CaaPermitted, Failure>,
    /// What the owner of the records wants to be told, if these forbid and say where to.
    pub report: Option<Report>,
}

/// CAA permits issuing. Only this crate can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaPermitted {
    name: DnsName,
    wildcard: bool,
    challenge: ChallengeType,
    found_at: Option<String>,
    quorum: Option<Quorum>,
}

impl CaaPermitted {
    pub(crate) fn new(query: &CaaQuery, found_at: Option<String>) -> Self {
        let CaaQuery { name, wildcard, challenge, .. } = query.clone();
        Self { name, wildcard, challenge, found_at, quorum: None }
    }

    /// The same, seen by enough other perspectives.
    pub(crate) fn corroborated(self, quorum: Quorum) -> Self {
        Self { quorum: Some(quorum), ..self }
    }

    /// The name that was asked about.
    pub fn name(&self) -> &DnsName {
        &self.name
    }

    /// Whether the question was about `*.name`.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// The method that was asked about.
    pub fn challenge(&self) -> ChallengeType {
        self.challenge
    }

    /// The name whose records decided, without a trailing dot; `None` if there are none up to the root.
    pub fn found_at(&self) -> Option<&str> {
        self.found_at.as_deref()
    }

    /// How many remote perspectives agreed; none where there are none.
    pub fn quorum(&self) -> Option<Quorum> {
        self.quorum
    }
}
