//! Trials: would this name validate now?

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What is to be tried.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidationTrial {
    /// The account that would show control.
    #[schema(max_length = 22)]
    pub account: String,
    /// The name, wildcard or address.
    #[schema(max_length = 260)]
    pub name: String,
    /// By which challenge, as in `http-01`.
    #[schema(max_length = 32)]
    pub challenge: String,
    /// The token of an answer that is in place; without it, one that is the same each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub token: Option<String>,
    /// The profile whose rules count; without it, the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub profile: Option<String>,
}

/// What was seen.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ValidationTried {
    /// The name, wildcard or address.
    pub name: String,
    /// By which challenge.
    pub challenge: String,
    /// The token that was looked for.
    pub token: String,
    /// The key authorization that was looked for (RFC 8555, section 8.1).
    pub key_authorization: String,
    /// Whether a challenge would have been valid.
    pub would_validate: bool,
    /// Whether control was seen.
    pub control: ValidationLook,
    /// Whether CAA permits; none for an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caa: Option<ValidationLook>,
    /// The servers that were spoken to, as a challenge's `validationRecord` has them.
    #[schema(value_type = Vec<Object>)]
    pub validation_record: Value,
}

/// What looking from everywhere came to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ValidationLook {
    /// Whether it counts.
    pub passed: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How many remote perspectives agreed, as in `4/5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<String>,
    /// Each remote perspective.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remotes: Vec<RemoteLook>,
}

/// What one remote perspective saw.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RemoteLook {
    /// Its name.
    pub perspective: String,
    /// Why it does not agree; none if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
