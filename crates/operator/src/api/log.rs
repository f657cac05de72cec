//! Records, as `log` shows them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One record of what the CA did.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Its id.
    pub id: String,
    /// When.
    pub time: String,
    /// Its retention class, as in `issuance`.
    pub class: String,
    /// What it tells, as in `certificate_issued`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The account it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When that ends which it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_of_life: Option<String>,
    /// The open part, as it was written.
    pub payload: serde_json::Value,
    /// How many parts lie under the subject's own key: those are not shown.
    pub sealed_parts: usize,
}
