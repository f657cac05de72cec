//! Keys and names that get no certificate.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A blocked key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyBlock {
    /// Its thumbprint (RFC 7638), base64url.
    pub thumbprint: String,
    /// When.
    pub at: String,
    /// Why, in a CRL's words.
    pub revocation_reason: String,
    /// The certificate by which its holder revoked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The operator who blocked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A key to be blocked: exactly one of `thumbprint` and `pem`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyBlocking {
    /// Its thumbprint (RFC 7638), base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub thumbprint: Option<String>,
    /// The public key, a certificate, or a certificate request with it, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub pem: Option<String>,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// A rule on a name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NameRule {
    /// The name.
    pub name: String,
    /// `block` or `allow`.
    pub verdict: String,
    /// Whether names below it are left out.
    pub exact: bool,
    /// Who made the rule.
    pub by: String,
    /// When.
    pub at: String,
    /// Why.
    pub reason: String,
}

/// A rule to be made, in place of any that the name has.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NameRuling {
    /// The name: two labels or more, as A-labels.
    #[schema(max_length = 260)]
    pub name: String,
    /// `block`: no certificate. `allow`: as if no rule above it were there.
    #[schema(max_length = 16)]
    pub verdict: String,
    /// Whether names below it are left out.
    #[serde(default)]
    pub exact: bool,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}
