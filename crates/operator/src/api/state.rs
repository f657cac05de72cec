//! Small answers, and the one form of every refusal.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why an act is done, where nothing else has to be said.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// An act is done.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// What was done, in a sentence.
    pub done: String,
}

/// An act waits for a second person.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Waiting {
    /// The id under which somebody else can agree to it.
    pub approval: String,
    /// Until when.
    pub expires: String,
}

/// What a reload changed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reload {
    /// Keys whose new values are in force now.
    pub changed: Vec<String>,
    /// Keys whose new values count from the next start on.
    pub needs_restart: Vec<String>,
}

/// Where a backup is to lie, and why it is made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupAsked {
    /// The folder, on the CA's machine, from `/` on; it is there, and the CA may write into it.
    #[schema(max_length = 4096)]
    pub to: String,
    /// How old sets in that folder may get, in days: older ones are let go once the new one is there. All stay without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub keep_days: Option<u32>,
    /// Why, for the record.
    #[schema(max_length = 1000)]
    pub reason: String,
}

/// Older backups that were let go.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct BackupsPruned {
    /// How many sets.
    pub sets: u64,
    /// How many objects no other set needs.
    pub objects: u64,
    /// How many bytes these had.
    pub bytes: u64,
    /// Why not all went that should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A backup that was made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct BackupMade {
    /// The set's number in its folder.
    pub number: u64,
    /// How many files are in it.
    pub files: u64,
    /// Of how many an earlier set had the contents already.
    pub known: u64,
    /// How many bytes were written.
    pub bytes_written: u64,
    /// How many rows the store had.
    pub rows: u64,
    /// The key that signed its list, in hexadecimal digits: a restore can insist on it.
    pub signed_by: String,
    /// Names in the state folder that this version does not know, and that are not in the backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Older ones that were let go, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<BackupsPruned>,
}

/// Why something was not done (RFC 9457), `application/problem+json`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApiProblem {
    /// `urn:ingam:admin:` and a short name that never changes: `malformed`, `reason-needed`, `role-needed`,
    /// `not-found`, `conflict`, `invalid`, `overloaded`, `fault`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, and what to do next.
    pub detail: String,
    /// The request's name in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What else is wrong, each for itself: findings of a configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}
