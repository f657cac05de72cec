//! What a certificate rests on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Certificate, LogEntry};

/// What a certificate rests on: by what each of its identifiers came into it, and every record of that.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CertificateEvidence {
    /// The certificate.
    pub certificate: Certificate,
    /// The profile that it was ordered by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Its identifiers, in the order's order.
    pub identifiers: Vec<IdentifierEvidence>,
    /// The id of the record of what was looked at before its signature: the CSR, and CAA as it was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<String>,
    /// The records that are named here, whole, each once, by time.
    pub records: Vec<LogEntry>,
    /// What should be there, and is not: a sentence for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// By what an identifier came into a certificate.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IdentifierEvidence {
    /// The identifier.
    pub identifier: String,
    /// The id of its authorization.
    pub authorization: String,
    /// The domain name by which control was shown, if it is not the identifier itself (BR 1.6.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_domain: Option<String>,
    /// How control was shown, as in `http-01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// The section of the Baseline Requirements that describes this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// When the client said that its answer is in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<String>,
    /// When control had been shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// How many remote perspectives agreed, as in `4/5`; not there if only one perspective looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<String>,
    /// The id of the record of what was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<String>,
}
