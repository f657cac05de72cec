//! Rate limits, exceptions from them, and accounts that are paused.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a limit stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitStanding {
    /// Which limit.
    pub limit: String,
    /// For whom or what it is counted.
    pub subject: String,
    /// How many are let through in a period.
    pub count: u32,
    /// The period, in seconds.
    pub period_s: u64,
    /// How many are let through at once.
    pub of: u32,
    /// How many of these are left.
    pub remaining: u32,
    /// From when on there is one.
    pub next_at: String,
    /// Until when an exception holds, if that is what holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_until: Option<String>,
}

/// A name whose checks fail for an account, one after another.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitPause {
    /// The name or address.
    pub name: String,
    /// How many failed.
    pub failures: u32,
    /// When the first did.
    pub first: String,
    /// When the last did.
    pub last: String,
    /// Since when the account gets no order for the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
}

/// How limits stand for an account or a registered domain.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitsShown {
    /// The limits that are theirs.
    pub limits: Vec<LimitStanding>,
    /// Their exceptions, in force or over.
    pub overrides: Vec<LimitOverride>,
    /// Names whose checks fail for the account; the first hundred.
    pub pauses: Vec<LimitPause>,
}

/// An exception: a limit of somebody's own.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitOverride {
    /// From which limit.
    pub limit: String,
    /// For which account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// For which registered domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// How many are let through in a period.
    pub count: u32,
    /// The period, in seconds.
    pub period_s: u64,
    /// How many are let through at once.
    pub burst: u32,
    /// Until when it holds.
    pub until: String,
    /// Who made it.
    pub by: String,
    /// When.
    pub at: String,
    /// Why.
    pub reason: String,
}

/// An exception to be made, in place of any that is there: for exactly one of `account` and `domain`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitOverriding {
    /// From which limit.
    #[schema(max_length = 64)]
    pub limit: String,
    /// For which account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 22)]
    pub account: Option<String>,
    /// For which registered domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 260)]
    pub domain: Option<String>,
    /// How many are let through in a period.
    pub count: u32,
    /// The period, in seconds; that of the limit where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_s: Option<u64>,
    /// How many are let through at once; all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Until when it holds (RFC 3339).
    #[schema(max_length = 64)]
    pub until: String,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// An exception to be taken back: that of exactly one of `account` and `domain`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitForgetting {
    /// From which limit.
    #[schema(max_length = 64)]
    pub limit: String,
    /// For which account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 22)]
    pub account: Option<String>,
    /// For which registered domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 260)]
    pub domain: Option<String>,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// An order that is not made, to see what it would meet.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderTrial {
    /// Whose it would be.
    #[schema(max_length = 22)]
    pub account: String,
    /// For which names and addresses.
    #[schema(max_items = 1000)]
    pub names: Vec<String>,
    /// By which profile; by the default one where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub profile: Option<String>,
}

/// What an order would meet.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OrderTried {
    /// Whether it would be made.
    pub would_succeed: bool,
    /// The limits that it touches, the nearest first.
    pub limits: Vec<LimitStanding>,
    /// Why it would be refused, beside its limits.
    pub problems: Vec<String>,
}

/// Names for which an account is to be let go.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unpausing {
    /// The account.
    #[schema(max_length = 22)]
    pub account: String,
    /// The names and addresses; none means all.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub names: Vec<String>,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// Names for which an account was let go.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Unpaused {
    /// The account.
    pub account: String,
    /// The names and addresses; a thousand at once at most.
    pub names: Vec<String>,
}
