//! Revoking one certificate, or many.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The revocation of one certificate.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// What CRLs and OCSP say (RFC 5280, section 5.3.1): `unspecified`, `keyCompromise`, `affiliationChanged`,
    /// `superseded`, `cessationOfOperation` or `privilegeWithdrawn`.
    #[schema(
        pattern = "^(unspecified|keyCompromise|affiliationChanged|superseded|cessationOfOperation|privilegeWithdrawn)$"
    )]
    pub revocation_reason: String,
    /// Whether its key is blocked too, for good.
    #[serde(default)]
    pub block_key: bool,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// Which certificates: all conditions that are given have to hold, and at least one has to be given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Any of these serial numbers, hexadecimal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub serials: Vec<String>,
    /// Ordered by this account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")]
    pub account: Option<String>,
    /// With the key of this thumbprint (RFC 7638), base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
    pub key: Option<String>,
    /// For this name, itself or as a wildcard's base.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 260)]
    pub name: Option<String>,
    /// For any name below this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 260)]
    pub below: Option<String>,
    /// Signed at this time or later (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40, format = DateTime)]
    pub issued_from: Option<String>,
    /// Signed before this time (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 40, format = DateTime)]
    pub issued_until: Option<String>,
    /// By this issuer, by its name inside the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub issuer: Option<String>,
    /// Gathered in this incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub incident: Option<String>,
}

/// The revocation of many certificates.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationRequest {
    /// Which.
    pub selection: Selection,
    /// As in [`Revocation`].
    #[schema(
        pattern = "^(unspecified|keyCompromise|affiliationChanged|superseded|cessationOfOperation|privilegeWithdrawn)$"
    )]
    pub revocation_reason: String,
    /// At most this many in a second.
    #[schema(minimum = 1, maximum = 10000)]
    pub per_second: u32,
    /// How many certificates the caller was told and agreed to: with another count now, nothing is done.
    #[schema(minimum = 0)]
    pub expected: u64,
    /// Why, for the record.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// What a selection would revoke.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevocationPlan {
    /// How many certificates are good and would be revoked.
    pub count: u64,
    /// How many of the selection are revoked already.
    pub already_revoked: u64,
    /// How many of the selection have ended by themselves.
    pub expired: u64,
    /// How many serial numbers of the selection were never issued.
    pub missing: u64,
    /// How many accounts they belong to.
    pub accounts: u64,
    /// Some of them.
    pub sample: Vec<super::Certificate>,
}

/// Work on many certificates.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevocationJob {
    /// Its id.
    pub id: String,
    /// `gathering`, `running`, `paused`, `done` or `cancelled`.
    pub state: String,
    /// Which certificates.
    pub selection: Selection,
    /// What CRLs and OCSP say.
    pub revocation_reason: String,
    /// At most this many in a second.
    pub per_second: u32,
    /// How many in all.
    pub total: u64,
    /// How many it has revoked.
    pub revoked: u64,
    /// How many had been revoked by others before it came to them.
    pub skipped: u64,
    /// Who asked for it.
    pub by: String,
    /// When.
    pub at: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// Why.
    pub reason: String,
}

/// An incident: certificates that are gathered until they are revoked together.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// Its name.
    pub name: String,
    /// What happened.
    pub summary: String,
    /// Who opened it.
    pub by: String,
    /// When.
    pub at: String,
    /// How many certificates are in it.
    pub certificates: u64,
    /// A page for subscribers that says why their certificates should be renewed early (RFC 9773, section 4.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<String>,
}

/// An incident to be opened.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncidentOpening {
    /// 1 to 64 letters, digits, hyphens, dots and underscores.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    pub name: String,
    /// What happened.
    #[schema(min_length = 1, max_length = 1000)]
    pub summary: String,
    /// A page for subscribers that says why their certificates should be renewed early: https or http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub explanation_url: Option<String>,
}

/// Where subscribers read about an incident.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncidentExplanation {
    /// The page's URL, https or http; without it, they read nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub explanation_url: Option<String>,
}

/// Certificates by their serial numbers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Serials {
    /// Hexadecimal, at most 10,000.
    pub serials: Vec<String>,
}

/// What came of putting certificates into an incident.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IncidentGrown {
    /// So many are new in it.
    pub added: u64,
    /// So many were in it before.
    pub known: u64,
    /// So many were never issued.
    pub missing: u64,
}
