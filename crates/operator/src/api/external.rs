//! Keys that accounts can be bound to (RFC 8555, section 7.3.4).

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A key for one account.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ExternalKey {
    /// Its id, which clients are given and send.
    pub id: String,
    /// For whom it is.
    pub holder: String,
    /// `unused`, `bound`, `expired` or `withdrawn`.
    pub status: String,
    /// The profiles that its account may order; all, if there is none.
    pub profiles: Vec<String>,
    /// The names that its account may order, with all names below them; any identifier, if there is none.
    pub names: Vec<String>,
    /// Who made it.
    pub by: String,
    /// When.
    pub created: String,
    /// Until when an account can be bound to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The id of the account that is bound to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// Who withdrew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal_reason: Option<String>,
}

/// A key that was just made, with its secret: there is no other way to see that.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct ExternalKeyMade {
    /// What is known of it.
    #[serde(flatten)]
    pub key: ExternalKey,
    /// The MAC key, base64url without padding, as ACME clients take it.
    pub mac_key: String,
}

impl fmt::Debug for ExternalKeyMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalKeyMade").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A key to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalKeyMaking {
    /// For whom it is: a ticket, a contract, a system. It stays on record, so not a person.
    #[schema(min_length = 1, max_length = 1000)]
    pub holder: String,
    /// The profiles that its account may order; all, if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub profiles: Vec<String>,
    /// The names that its account may order, with all names below them; any identifier, if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub names: Vec<String>,
    /// Until when an account can be bound to it (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40, format = DateTime)]
    pub expires: Option<String>,
}
