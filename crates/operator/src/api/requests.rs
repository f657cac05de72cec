//! The log of OCSP requests: how it fares, what was counted, and what is held for cases.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the log fares, without a request of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RequestLogState {
    /// `off`, `truncated` or `full`.
    pub mode: String,
    /// How long a segment is kept, in seconds, counted from its first record.
    pub keep_s: u64,
    /// What is there, that first which goes first.
    pub segments: Vec<RequestSegment>,
    /// How many holds are open.
    pub holds: u64,
    /// How many bytes segments and holds have.
    pub bytes: u64,
    /// How many they may have.
    pub bytes_max: u64,
    /// How many records wait in memory.
    pub waiting: usize,
    /// How many can.
    pub waiting_max: usize,
    /// How many requests there were since the process started.
    pub requests: u64,
    /// How many of them no record stands for, as there was no room or it could not be written.
    pub dropped: u64,
    /// When requests were last left out, for want of room or as they could not be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_at: Option<String>,
    /// Why something could not be written or destroyed the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether something is there whose time is over.
    pub overdue: bool,
}

/// A segment.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RequestSegment {
    /// The time of its first record.
    pub first: String,
    /// When its key and its file go.
    pub goes: String,
}

/// An hour, counted without people.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RequestHour {
    /// Its first moment.
    pub hour: String,
    /// How many requests came, but for those of issuers that are not told.
    pub requests: u64,
    /// How many of them are not in the rest.
    pub dropped: u64,
    /// Whether the rest is worked out from a sample.
    pub sampled: bool,
    /// For each issuer with enough requests.
    pub issuers: Vec<IssuerRequests>,
}

/// An hour of one issuer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IssuerRequests {
    /// Its name; not there for requests that meant none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// How many requests meant it.
    pub requests: u64,
    /// By what was answered; `together` has those that are too few to be told alone.
    pub answers: BTreeMap<String, u64>,
    /// By the kind of client.
    pub clients: BTreeMap<String, u64>,
    /// The certificates that were asked for most, most first.
    pub certificates: Vec<CertificateRequests>,
}

/// How often a certificate was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CertificateRequests {
    /// Its serial number.
    pub serial: String,
    /// How often, at least.
    pub requests: u64,
}

/// Requests that are held for a case.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RequestHold {
    /// Its id.
    pub id: String,
    /// For these certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serials: Vec<String>,
    /// From these networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// At this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// What it is for, or why it was renewed last.
    pub reason: String,
    /// When it was opened.
    pub opened: String,
    /// When it ends, unless it is renewed.
    pub ends: String,
    /// How often it was renewed.
    pub renewals: u32,
}

/// A hold to be opened, on requests that fit all that is given.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestHolding {
    /// For one of these certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub serials: Vec<String>,
    /// From one of these networks or addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub networks: Vec<String>,
    /// At this time or later (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    pub from: Option<String>,
    /// Before this time (RFC 3339); without it, those that come while it is open are held, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    pub until: Option<String>,
    /// Who answers for it; the caller, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub owner: Option<String>,
    /// When it ends, unless it is renewed (RFC 3339): within 92 days.
    #[schema(max_length = 40)]
    pub ends: String,
    /// What it is for, for the record: no address, as that stays for years.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// Another end of a hold.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestHoldRenewal {
    /// When it ends now (RFC 3339): within 92 days.
    #[schema(max_length = 40)]
    pub ends: String,
    /// Why it is still needed, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// A request that is held: personal data.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct HeldRequest {
    /// When.
    pub at: String,
    /// From which address, or from which network if no more was kept.
    pub from: String,
    /// What the client calls itself, where that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The kind of client.
    pub client: String,
    /// Which issuer was meant; not there if none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The serial number that was asked for, or the first of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// What was answered.
    pub answer: String,
    /// For how many requests it stands.
    pub stands_for: u64,
}
