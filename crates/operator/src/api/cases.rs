//! Cases: why personal data may leave, what left, who was told; and the counts of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A case.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// `legal_demand`, `consent`, `fault`, `abuse`, `emergency` or `transfer`.
    pub kind: String,
    /// By what right: `court_order`, `warrant`, `official_request`, `statutory_duty`, `consent`, `vital_interest`, `transfer`
    /// or `none`.
    pub basis: String,
    /// The law, order or consent that is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub law: Option<String>,
    /// Who asks, or is to have the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// `open` or `closed`.
    pub status: String,
    /// Why it was opened.
    pub reason: String,
    /// Who opened it.
    pub by: String,
    /// When.
    pub at: String,
    /// By when it has to be answered, or when the data moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_by: Option<String>,
    /// Whether it is about everybody who has an account.
    pub everybody: bool,
    /// Until when it is forbidden to tell the subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forbidden_until: Option<String>,
    /// How many subjects it names, or were told.
    pub subjects: u64,
    /// How many of them had data given out.
    pub disclosed: u64,
    /// How many were told.
    pub told: u64,
    /// How many cannot be told.
    pub futile: u64,
    /// Objections to the demand, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objections: Vec<CaseObjection>,
    /// What was given out, oldest first: never the data itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disclosures: Vec<CaseDisclosure>,
    /// The holds that were opened for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<String>,
    /// Why it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_reason: Option<String>,
}

/// A case with those whom it names.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CaseDetail {
    /// The case.
    #[serde(flatten)]
    pub case: Case,
    /// The subjects, at most 1000.
    pub named: Vec<CaseSubject>,
}

/// A subject of a case.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CaseSubject {
    /// The account.
    pub subject: String,
    /// When its data was first given out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclosed: Option<String>,
    /// When it was told, or found that it cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noticed: Option<String>,
    /// By which way it was told; `futile` if it cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// By when it has to be told, if it still has to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
}

/// An objection to a demand.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CaseObjection {
    /// When.
    pub at: String,
    /// Who objected.
    pub by: String,
    /// Why.
    pub reason: String,
    /// `pending`, `upheld`, `rejected` or `withdrawn`.
    pub outcome: String,
}

/// Data that was given out.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CaseDisclosure {
    /// Its id.
    pub id: String,
    /// When.
    pub at: String,
    /// Who gave it.
    pub by: String,
    /// To whom.
    pub recipient: String,
    /// Whose; nobody is named where it was everybody's.
    pub subjects: Vec<String>,
    /// Which fields.
    pub fields: Vec<String>,
    /// SHA-256 of what was given, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// By what right.
    pub basis: String,
    /// Why.
    pub reason: String,
}

/// A case to be opened.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseOpening {
    /// 1 to 64 letters, digits, hyphens, dots and underscores.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    pub name: String,
    /// `legal_demand`, `consent`, `fault`, `abuse`, `emergency` or `transfer`.
    #[schema(pattern = "^(legal_demand|consent|fault|abuse|emergency|transfer)$")]
    pub kind: String,
    /// By what right; a legal demand has to say it: `court_order`, `warrant`, `official_request` or `statutory_duty`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    pub basis: Option<String>,
    /// The article of the law and the number of the order, or where the consent is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 300)]
    pub law: Option<String>,
    /// Who asks, or is to have the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 300)]
    pub requester: Option<String>,
    /// By when it has to be answered, or when the data moves (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    pub answer_by: Option<String>,
    /// Until when it is forbidden to tell the subjects (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    pub forbidden_until: Option<String>,
    /// The accounts that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub subjects: Vec<String>,
    /// Whether it is about everybody who has an account: a transfer alone.
    #[serde(default)]
    pub everybody: bool,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// A hold for a case, on each of its subjects.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseHolding {
    /// Who answers for it; the caller, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub owner: Option<String>,
    /// When it ends, unless it is renewed (RFC 3339).
    #[schema(max_length = 40)]
    pub ends: String,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// Data that is to be given out.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseDisclosing {
    /// To whom; who asked, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 300)]
    pub recipient: Option<String>,
    /// Whose; everybody's in the case, if nobody is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub subjects: Vec<String>,
    /// Which fields.
    #[schema(min_items = 1, max_items = 100)]
    pub fields: Vec<String>,
    /// SHA-256 of what is given, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9A-Fa-f]{64}$")]
    pub sha256: Option<String>,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// What becomes of telling the subjects of a case: one of `how`, `futile` and `forbidden_until`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseTelling {
    /// Who; all who are not told yet, if nobody is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 1000)]
    pub subjects: Vec<String>,
    /// They were told, by this way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 300)]
    pub how: Option<String>,
    /// They cannot be told.
    #[serde(default)]
    pub futile: bool,
    /// It is forbidden to tell anybody of the case until then (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    pub forbidden_until: Option<String>,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// An objection, or what came of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseObjecting {
    /// `pending` for a new one; `upheld`, `rejected` or `withdrawn` for what came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(pending|upheld|rejected|withdrawn)$")]
    pub outcome: Option<String>,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// A notice that has to be given.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DueNotice {
    /// For which case.
    pub case: String,
    /// To whom: an account.
    pub subject: String,
    /// Which: `before_disclosure`, `after_ban`, `after_emergency` or `before_transfer`.
    pub notice: String,
    /// By when, or from when on, where it was forbidden until then.
    pub by: String,
    /// Whether that time is over.
    pub overdue: bool,
}

/// Counts of demands for data, without people.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TransparencyReport {
    /// Cases that were opened at this time or later.
    pub from: String,
    /// And before this.
    pub until: String,
    /// Counts below this are withheld, but for those of whole kinds.
    pub minimum: u64,
    /// By kind of case.
    pub kinds: BTreeMap<String, TransparencyCounts>,
}

/// The counts of a kind of case. What is withheld is not there: a count that is small, or one from which that would follow.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TransparencyCounts {
    /// How many were opened.
    pub cases: u64,
    /// By basis.
    pub by_basis: BTreeMap<String, Option<u64>>,
    /// By what came of them: `complied`, `nothing_given`.
    pub by_outcome: BTreeMap<String, Option<u64>>,
    /// By how many subjects they were about.
    pub by_subjects: BTreeMap<String, Option<u64>>,
    /// How many were `objected` to, and in how many that was `upheld`.
    pub objections: BTreeMap<String, Option<u64>>,
    /// How many notices were `given`, how many of these `delayed` by a ban; to how many subjects they were `futile`.
    pub notices: BTreeMap<String, Option<u64>>,
}
