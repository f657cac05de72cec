//! Retention: the schedule in force, what a sweep does, and holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How long what is kept.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RetentionState {
    /// `seven-years` or `two-years`.
    pub preset: String,
    /// The operator's published statement, where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement_url: Option<String>,
    /// The schedule, row by row.
    pub rows: Vec<RetentionRow>,
    /// When a sweep last came to its end, since the process started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swept: Option<String>,
    /// Why the last one did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The last sweep whose clock was believed, where that of now is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_believed_at: Option<String>,
}

/// A row of the schedule.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RetentionRow {
    /// The class.
    pub class: String,
    /// What is in it.
    pub what: String,
    /// Its floor.
    pub floor: String,
    /// Its ceiling.
    pub ceiling: String,
    /// How long it is kept here, in days; not there where no number of days ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_days: Option<u64>,
    /// What keeps it: the setting, and what takes it out.
    pub kept_by: String,
    /// Where the bounds come from.
    pub source: String,
}

/// What a sweep did, or would do.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RetentionReport {
    /// The time that it went by.
    pub at: String,
    /// Whether nothing was changed.
    pub dry: bool,
    /// Segments of the journal that go or are kept by a hold, and in a dry run the next of each class.
    pub segments: Vec<RetentionSegment>,
    /// Rows of the store that go.
    pub rows: Vec<RetentionRows>,
    /// How many things stay for a hold alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<String, u64>,
}

/// A segment of the journal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RetentionSegment {
    /// Its class.
    pub class: String,
    /// Its number within the class.
    pub sequence: u64,
    /// How many records it has.
    pub records: u64,
    /// When the last of them was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
    /// `goes`, `held` or `stays`.
    pub fate: String,
    /// The hold that keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// When it goes, if it stays until a time that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes: Option<String>,
    /// How many things that it tells of are still in force: they are put on record anew before it goes.
    #[serde(default)]
    pub in_force: u64,
}

/// Rows of a table.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RetentionRows {
    /// What they are.
    pub what: String,
    /// The class by which they go.
    pub class: String,
    /// The table.
    pub table: String,
    /// How many.
    pub count: u64,
}

/// A sweep, now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionSweep {
    /// Whether somebody has looked at the clock, and it is right although it is far ahead of the last sweep.
    #[serde(default)]
    pub confirm: bool,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// A hold: what it is about stays, whatever the schedule says.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordHold {
    /// Its id.
    pub id: String,
    /// The case that it is for.
    pub case: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it was opened.
    pub reason: String,
    /// `in-force`, `lapsed` or `released`.
    pub state: String,
    /// What stays: `everything`, or what of the rest is given.
    pub scope: RecordHoldScope,
    /// When it was opened.
    pub opened: String,
    /// Who opened it.
    pub by: String,
    /// When it ends, unless it is renewed, or ended.
    pub ends: String,
    /// How it was renewed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renewals: Vec<RecordHoldRenewed>,
    /// How it was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<RecordHoldReleased>,
}

/// What a hold is about.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordHoldScope {
    /// All that is about this account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 22)]
    pub account: Option<String>,
    /// All that is about the certificate of this serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub serial: Option<String>,
    /// All of this class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    pub class: Option<String>,
    /// Of the class: of this time or later (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    pub from: Option<String>,
    /// Of the class: of before this time (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40)]
    pub until: Option<String>,
    /// Everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,
}

/// A renewal of a hold.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordHoldRenewed {
    /// When.
    pub at: String,
    /// Who did it.
    pub by: String,
    /// Why it is still needed.
    pub reason: String,
    /// When it ends since then.
    pub ends: String,
}

/// The end of a hold by hand.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecordHoldReleased {
    /// When.
    pub at: String,
    /// Who did it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A hold to be opened.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordHolding {
    /// The case that it is for.
    #[schema(min_length = 1, max_length = 128)]
    pub case: String,
    /// Who answers for it; the caller, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub owner: Option<String>,
    /// What stays: one of account, serial, class and everything.
    pub scope: RecordHoldScope,
    /// When it ends, unless it is renewed (RFC 3339): within a year.
    #[schema(max_length = 40)]
    pub ends: String,
    /// Why, for the record: nothing personal, as that stays for years.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// Another end of a hold.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordHoldRenewal {
    /// When it ends now (RFC 3339): within a year.
    #[schema(max_length = 40)]
    pub ends: String,
    /// Why it is still needed, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}
