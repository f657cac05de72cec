//! Accounts, orders, authorizations and certificates, as operators see them: without personal data.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Some of what was asked for, and where the rest begins.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// What was found. A page can be short, or empty, and still have a next one.
    pub items: Vec<T>,
    /// `after` of the next page; not there at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An ACME account.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Its URL, which CAA's `accounturi` names.
    pub url: String,
    /// `valid` or `deactivated`.
    pub status: String,
    /// When it was made.
    pub created: String,
    /// When its holder agreed to the terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_agreed: Option<String>,
    /// When it was deactivated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivated: Option<String>,
    /// The thumbprint of its key (RFC 7638), base64url.
    pub key_thumbprint: String,
    /// What kind of key it is, as in `EC P-256`.
    pub key_kind: String,
    /// Whether the key is blocked.
    pub key_blocked: bool,
    /// The id of the key that it was bound to when it was made (RFC 8555, section 7.3.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_key: Option<String>,
}

/// The contacts of an account: personal data.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AccountContacts {
    /// The account's id.
    pub account: String,
    /// `mailto:` URLs.
    pub contacts: Vec<String>,
}

/// An order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Order {
    /// Its id.
    pub id: String,
    /// The account's id.
    pub account: String,
    /// `pending`, `ready`, `processing`, `valid` or `invalid` (RFC 8555, section 7.1.6).
    pub status: String,
    /// What the certificate is for.
    pub identifiers: Vec<String>,
    /// The profile.
    pub profile: String,
    /// When it was made.
    pub created: String,
    /// Until when it can be finalized.
    pub expires: String,
    /// The ids of its authorizations, in the order of the identifiers.
    pub authorizations: Vec<String>,
    /// The serial number of its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Why it is invalid: ACME's type and words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An authorization.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Authorization {
    /// Its id.
    pub id: String,
    /// The account's id.
    pub account: String,
    /// What it is for.
    pub identifier: String,
    /// `pending`, `valid`, `invalid`, `deactivated` or `expired`.
    pub status: String,
    /// When it was made.
    pub created: String,
    /// When it ends, or ended.
    pub expires: String,
    /// The ways to show control.
    pub challenges: Vec<Challenge>,
}

/// A challenge, without its token.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    /// As in `http-01`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `pending`, `processing`, `valid` or `invalid`.
    pub status: String,
    /// When the client said that its answer is in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<String>,
    /// When its check ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// Why it failed: ACME's type and words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A certificate.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// The issuer's name inside the CA.
    pub issuer: String,
    /// `good`, `revoked` or `expired`.
    pub status: String,
    /// What it is for.
    pub names: Vec<String>,
    /// When it was signed.
    pub issued: String,
    /// Its first valid second.
    pub not_before: String,
    /// Its last valid second.
    pub not_after: String,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
    /// Why, as in CRLs (RFC 5280, section 5.3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_reason: Option<String>,
    /// The account's id.
    pub account: String,
    /// The order's id.
    pub order: String,
    /// The thumbprint of its key (RFC 7638), base64url.
    pub key_thumbprint: String,
}

/// A certificate with its text.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CertificateDetail {
    /// What is known of it.
    #[serde(flatten)]
    pub certificate: Certificate,
    /// SHA-256 of its DER, hexadecimal.
    pub fingerprint: String,
    /// The certificate and its chain up to but without the root, PEM.
    pub pem: String,
    /// When clients are told to renew it (RFC 9773).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// The serial number of the certificate whose place it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The order that is to take its place, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by_order: Option<String>,
    /// The serial number of the certificate that took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
}

/// When clients are told to renew a certificate (RFC 9773, section 4.2).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Renewal {
    /// The beginning of the suggested window; of one that is to be renewed at once, it is over.
    pub start: String,
    /// Its end.
    pub end: String,
    /// The page that says why it was pulled forward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<String>,
}
