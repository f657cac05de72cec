//! Operators, their roles, and what waits for a second one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whom the CA takes the caller for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// `uid:` and a number, or `cert:` and the SHA-256 of the client certificate.
    pub principal: String,
    /// The caller's roles.
    pub roles: Vec<String>,
    /// The acts that these allow.
    pub acts: Vec<String>,
}

/// A role that somebody has.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// Whose it is.
    pub principal: String,
    /// `administrator`, `revoker`, `auditor` or `support`.
    pub role: String,
    /// What the holder is called among people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Who gave it; not there if it came from the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When.
    pub at: String,
    /// Why.
    pub reason: String,
}

/// A role to be given or taken.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleChange {
    /// `uid:1000`, or `cert:` and 64 hexadecimal digits.
    #[schema(pattern = "^(uid:(0|[1-9][0-9]{0,8})|cert:[0-9a-f]{64})$")]
    pub principal: String,
    /// `administrator`, `revoker`, `auditor` or `support`.
    #[schema(pattern = "^(administrator|revoker|auditor|support)$")]
    pub role: String,
    /// What the holder is called among people; for giving alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub label: Option<String>,
    /// Why.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// A dangerous act that waits for a second person, or waited.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Its id.
    pub id: String,
    /// What it is, as in `revocation.start`.
    pub act: String,
    /// What exactly is to be done.
    pub request: serde_json::Value,
    /// `waiting`, `approved`, `refused` or `expired`.
    pub status: String,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: String,
    /// Until when it can be agreed to.
    pub expires: String,
    /// Why.
    pub reason: String,
    /// Who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<String>,
}

/// What an approved act came to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApprovalDecision {
    /// The approval.
    pub approval: Approval,
    /// What the act answered, if it was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<serde_json::Value>,
}
