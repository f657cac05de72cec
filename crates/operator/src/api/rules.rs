//! Keys and names that get no certificate.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A blocked key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeyBlock {
    /// Its thumbprint (RFC 7638), base64url, where it is blocked by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbprint: Option<String>,
    /// SHA-256 of its SubjectPublicKeyInfo, hexadecimal, where it is blocked by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spki_sha256: Option<String>,
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
    /// Where it was learned that the key is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A key to be blocked: exactly one of `thumbprint`, `spki_sha256` and `pem`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyBlocking {
    /// Its thumbprint (RFC 7638), base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub thumbprint: Option<String>,
    /// SHA-256 of its SubjectPublicKeyInfo (DER), hexadecimal: for keys that are known by that alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9A-Fa-f]{64}$")]
    pub spki_sha256: Option<String>,
    /// The public key, a certificate, or a certificate request with it, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub pem: Option<String>,
    /// Why, in a CRL's words; `keyCompromise` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub revocation_reason: Option<String>,
    /// Where it was learned that the key is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub source: Option<String>,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// Many keys to be blocked for one reason.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysBlocking {
    /// SHA-256 of the SubjectPublicKeyInfo (DER) of each, hexadecimal, at most 1,000.
    #[schema(min_items = 1, max_items = 1000)]
    pub spki_sha256: Vec<String>,
    /// Why, in a CRL's words; `keyCompromise` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub revocation_reason: Option<String>,
    /// Where it was learned that the keys are bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub source: Option<String>,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// What came of blocking many keys.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KeysBlocked {
    /// So many are blocked now and were not before.
    pub blocked: usize,
    /// So many were blocked already, and stay as they are.
    pub known: usize,
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
