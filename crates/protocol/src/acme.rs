//! The words of ACME (RFC 8555): error types, challenge types, states, and the bodies of requests.
//!
//! Accounts, orders and authorizations are facts with times; their status is derived by a pure function that takes the
//! time ([`Order::status`], [`Authorization::status`]), so it cannot disagree with the facts.

mod account;
mod authorization;
mod order;
mod request;

pub use account::{Account, AccountStatus, BadContact, Contact, ExternalAccount};
pub use authorization::{Authorization, AuthorizationStatus, Challenge, ChallengeStatus, Finished, Verdict};
pub use order::{Claim, FinalBytes, Order, OrderStatus, Precertificate, Replaced, Waiting};
pub use request::{
    AccountUpdate, AuthorizationUpdate, Finalize, KeyChange, NewAccount, NewAuthorization, NewOrder,
    Revocation, UnreadIdentifier, ValidationTrial,
};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identifier::Host;

/// An error type of RFC 8555, section 6.7, and of the RFCs that add to its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "each is the registry's own word, explained there")]
pub enum ErrorType {
    AccountDoesNotExist,
    AlreadyReplaced,
    AlreadyRevoked,
    #[serde(rename = "badCSR")]
    BadCsr,
    BadNonce,
    BadPublicKey,
    BadRevocationReason,
    BadSignatureAlgorithm,
    Caa,
    Compound,
    Connection,
    Dns,
    ExternalAccountRequired,
    IncorrectResponse,
    InvalidContact,
    InvalidProfile,
    Malformed,
    OrderNotReady,
    RateLimited,
    RejectedIdentifier,
    ServerInternal,
    Tls,
    Unauthorized,
    UnsupportedContact,
    UnsupportedIdentifier,
    UserActionRequired,
}

impl ErrorType {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::AccountDoesNotExist,
        Self::AlreadyReplaced,
        Self::AlreadyRevoked,
        Self::BadCsr,
        Self::BadNonce,
        Self::BadPublicKey,
        Self::BadRevocationReason,
        Self::BadSignatureAlgorithm,
        Self::Caa,
        Self::Compound,
        Self::Connection,
        Self::Dns,
        Self::ExternalAccountRequired,
        Self::IncorrectResponse,
        Self::InvalidContact,
        Self::InvalidProfile,
        Self::Malformed,
        Self::OrderNotReady,
        Self::RateLimited,
        Self::RejectedIdentifier,
        Self::ServerInternal,
        Self::Tls,
        Self::Unauthorized,
        Self::UnsupportedContact,
        Self::UnsupportedIdentifier,
        Self::UserActionRequired,
    ];

    /// The last part of its URN.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccountDoesNotExist => "accountDoesNotExist",
            Self::AlreadyReplaced => "alreadyReplaced",
            Self::AlreadyRevoked => "alreadyRevoked",
            Self::BadCsr => "badCSR",
            Self::BadNonce => "badNonce",
            Self::BadPublicKey => "badPublicKey",
            Self::BadRevocationReason => "badRevocationReason",
            Self::BadSignatureAlgorithm => "badSignatureAlgorithm",
            Self::Caa => "caa",
            Self::Compound => "compound",
            Self::Connection => "connection",
            Self::Dns => "dns",
            Self::ExternalAccountRequired => "externalAccountRequired",
            Self::IncorrectResponse => "incorrectResponse",
            Self::InvalidContact => "invalidContact",
            Self::InvalidProfile => "invalidProfile",
            Self::Malformed => "malformed",
            Self::OrderNotReady => "orderNotReady",
            Self::RateLimited => "rateLimited",
            Self::RejectedIdentifier => "rejectedIdentifier",
            Self::ServerInternal => "serverInternal",
            Self::Tls => "tls",
            Self::Unauthorized => "unauthorized",
            Self::UnsupportedContact => "unsupportedContact",
            Self::UnsupportedIdentifier => "unsupportedIdentifier",
            Self::UserActionRequired => "userActionRequired",
        }
    }

    /// Its URN, as a problem document's `type` holds it.
    pub fn urn(self) -> String {
        format!("urn:ietf:params:acme:error:{}", self.name())
    }
}

/// Why something failed, as facts keep it and problem documents tell it (RFC 8555, section 6.7; RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its type.
    pub error: ErrorType,
    /// What was seen, and what to do about it.
    pub detail: String,
}

/// A way to show control of a name (RFC 8555, section 8; RFC 8737).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChallengeType {
    /// A file under `/.well-known/acme-challenge/` (RFC 8555, section 8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A TXT record at `_acme-challenge` (RFC 8555, section 8.4).
    #[serde(rename = "dns-01")]
    Dns01,
    /// A self-signed certificate behind the ALPN name `acme-tls/1` (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// A TXT record at a label of the account's own (draft-ietf-acme-dns-account-label).
    #[serde(rename = "dns-account-01")]
    DnsAccount01,
    /// A TXT record that stays and names CA and account (draft-ietf-acme-dns-persist).
    #[serde(rename = "dns-persist-01")]
    DnsPersist01,
}

impl ChallengeType {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Http01, Self::Dns01, Self::TlsAlpn01, Self::DnsAccount01, Self::DnsPersist01];

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Whether it can show control of this: a wildcard and a whole domain are shown in the DNS alone, an address never
    /// there (RFC 8555, section 8.3; RFC 8737, section 3; RFC 8738, section 7; RFC 9444, section 4).
    pub fn fits(self, host: &Host, beyond_the_name: bool) -> bool {
        let in_the_dns = match self {
            Self::Http01 | Self::TlsAlpn01 => false,
            Self::Dns01 | Self::DnsAccount01 | Self::DnsPersist01 => true,
        };
        match host {
            Host::Name(_) => in_the_dns || !beyond_the_name,
            Host::Address(_) => !in_the_dns,
        }
    }

    /// The section of the Baseline Requirements that describes it, for a name or for an address.
    pub fn baseline_section(self, host: &Host) -> &'static str {
        match (self, host) {
            (Self::Http01, Host::Name(_)) => "3.2.2.4.19",
            (Self::Http01, Host::Address(_)) => "3.2.2.5.6",
            (Self::TlsAlpn01, Host::Name(_)) => "3.2.2.4.20",
            (Self::TlsAlpn01, Host::Address(_)) => "3.2.2.5.7",
            (Self::Dns01, _) => "3.2.2.4.7",
            (Self::DnsAccount01, _) => "3.2.2.4.21",
            (Self::DnsPersist01, _) => "3.2.2.4.22",
        }
    }

    /// Its name in ACME and in CAA's `validationmethods` (RFC 8657, section 4).
    pub fn name(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::DnsAccount01 => "dns-account-01",
            Self::DnsPersist01 => "dns-persist-01",
        }
    }
}

impl fmt::Display for ChallengeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
