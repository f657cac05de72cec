//! The messages of Open MPIC, as the types of open-mpic-core 6 have them. Members that are not here are passed over.

use ingam_protocol::Timestamp;
use ingam_protocol::acme::ChallengeType;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::evidence::Evidence;
use crate::outcome::Failure;

/// `DcvCheckRequest`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DcvRequest {
    pub(crate) domain_or_ip_target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace_identifier: Option<String>,
    pub(crate) dcv_check_parameters: DcvParameters,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ingam: Option<AttemptParts>,
}

/// `DcvCheckParameters`: those of the methods that a perspective of ours serves, or is asked by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "validation_method")]
pub(crate) enum DcvParameters {
    #[serde(rename = "acme-http-01")]
    Http01 { token: String, key_authorization: String },
    /// The hash is base64url.
    #[serde(rename = "acme-dns-01")]
    Dns01 {
        key_authorization_hash: String,
        #[serde(default = "acme_challenge")]
        dns_name_prefix: String,
        #[serde(default = "txt")]
        dns_record_type: String,
    },
    /// The hash is hexadecimal.
    #[serde(rename = "acme-tls-alpn-01")]
    TlsAlpn01 { key_authorization_hash: String },
    #[serde(rename = "dns-change")]
    DnsChange(DnsChange),
    #[serde(rename = "dns-persistent")]
    DnsPersistent { issuer_domain_names: Vec<String>, expected_account_uri: String },
}

/// A change in the DNS that was agreed on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DnsChange {
    pub(crate) challenge_value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dns_name_prefix: Option<String>,
    pub(crate) dns_record_type: String,
    #[serde(default)]
    pub(crate) require_exact_match: bool,
    #[serde(default = "yes")]
    pub(crate) require_exact_case: bool,
}

fn acme_challenge() -> String {
    "_acme-challenge".to_owned()
}

fn txt() -> String {
    "TXT".to_owned()
}

fn yes() -> bool {
    true
}

impl DcvParameters {
    /// All methods that are here.
    pub(crate) const METHODS: [&'static str; 5] =
        ["acme-http-01", "acme-dns-01", "acme-tls-alpn-01", "dns-change", "dns-persistent"];

    /// The method's name.
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::Http01 { .. } => "acme-http-01",
            Self::Dns01 { .. } => "acme-dns-01",
            Self::TlsAlpn01 { .. } => "acme-tls-alpn-01",
            Self::DnsChange(_) => "dns-change",
            Self::DnsPersistent { .. } => "dns-persistent",
        }
    }
}

/// What an attempt has that Open MPIC has no member for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AttemptParts {
    pub(crate) challenge: ChallengeType,
    pub(crate) token: String,
    pub(crate) key_authorization: String,
    pub(crate) account_uri: String,
    pub(crate) account_hash_prefix: String,
    pub(crate) thumbprints: Vec<String>,
    pub(crate) beyond_the_name: bool,
}

/// `CaaCheckRequest`. The target of a wildcard is `*.name`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CaaRequest {
    pub(crate) domain_or_ip_target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace_identifier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caa_check_parameters: Option<CaaParameters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ingam: Option<CaaParts>,
}

/// `CaaCheckParameters`. `allow_lookup_failure` is passed over: an answer that could not be had is never a permission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CaaParameters {
    #[serde(default = "tls_server")]
    pub(crate) certificate_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caa_domains: Option<Vec<String>>,
}

fn tls_server() -> String {
    "tls-server".to_owned()
}

/// What a CAA query has that Open MPIC has no member for: what RFC 8657 restricts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CaaParts {
    pub(crate) challenge: ChallengeType,
    pub(crate) account_uri: String,
}

/// `DcvCheckResponse` and `CaaCheckResponse`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CheckResponse {
    pub(crate) check_completed: bool,
    pub(crate) check_passed: bool,
    /// `dcv` or `caa`.
    pub(crate) check_type: String,
    pub(crate) errors: Option<Vec<CheckError>>,
    pub(crate) timestamp_ns: Option<u64>,
    /// Null for our own coordinator, which has the evidence.
    pub(crate) details: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ingam: Option<Seen>,
}

/// `MpicValidationError`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CheckError {
    pub(crate) error_type: String,
    pub(crate) error_message: String,
}

/// Everything that a perspective of ours saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// None where it would have made the answer too large, which `left_out` says then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) evidence: Option<Evidence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Failure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
    /// Whether there is evidence that would have made the answer too large.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) left_out: bool,
}

impl Seen {
    /// Whether it says anything. An empty object and our own question's `ingam`, sent back as it came, do not.
    pub(crate) fn is_told(&self) -> bool {
        self.evidence.is_some() || self.failure.is_some() || self.left_out
    }
}
