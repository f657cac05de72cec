//! Subjects of personal data: what is held about them, and what was changed or erased.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A subject with contact data.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Subject {
    /// The account's id.
    pub account: String,
    /// `mailto:` URLs.
    pub contacts: Vec<String>,
    /// Since when there are contacts.
    pub since: String,
    /// By when it is to be told what is held.
    pub due: String,
    /// When it was last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// Who put that down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<String>,
    /// Since when it objects to mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_objected: Option<String>,
}

/// Whose contact something is. The address is in the body, as URLs get into logs.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectSearch {
    /// An address, with or without `mailto:`.
    #[schema(min_length = 3, max_length = 320)]
    pub contact: String,
    /// The `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub after: Option<String>,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// The head of a report: everything that is held about an account but its orders, certificates and records, which are
/// sections of their own.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SubjectReport {
    /// What this is: its form, when it was made, about whom, what is held for what and how long, who receives it.
    pub manifest: serde_json::Value,
    /// The account.
    pub account: serde_json::Value,
    /// Contact data.
    pub contact: serde_json::Value,
    /// The key that the account is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_key: Option<serde_json::Value>,
}

/// Other contacts for an account.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectCorrection {
    /// Addresses, with or without `mailto:`; none takes all of them out.
    #[schema(max_items = 100)]
    pub contacts: Vec<String>,
    /// Why, for the record: it stays, so without an address.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// An erasure.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectErasing {
    /// Whether the account ends with it.
    #[serde(default)]
    pub close: bool,
    /// Why, for the record: it stays, so without an address.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SubjectErased {
    /// The account's id.
    pub account: String,
    /// What is gone, in every copy.
    pub erased: Vec<String>,
    /// What stays, for what, how long, and on which basis.
    pub kept: Vec<SubjectKept>,
    /// Whether the account ended.
    pub closed: bool,
    /// What else the subject may do.
    pub rights: serde_json::Value,
}

/// Something that stays.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SubjectKept {
    /// What.
    pub what: String,
    /// Its retention class.
    pub class: String,
    /// For what.
    pub purpose: String,
    /// How long.
    pub kept: String,
    /// Why it cannot be erased before.
    pub basis: Vec<String>,
}

/// An objection to mail, or its end.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectObjection {
    /// Whether the subject objects from now on.
    pub objects: bool,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}
