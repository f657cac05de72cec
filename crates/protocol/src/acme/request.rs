//! The bodies of requests, as they come. Members that nobody knows are ignored, as RFC 8555 asks of both sides.

use serde::Deserialize;
use serde_json::{Map, Value};

/// newAccount (RFC 8555, section 7.3).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewAccount {
    /// Contact URLs; personal data, so this type has no `Debug`.
    #[serde(default)]
    pub contact: Option<Vec<String>>,
    /// Consent to the terms of service.
    #[serde(default)]
    pub terms_of_service_agreed: bool,
    /// Only look for the account of this key (section 7.3.1).
    #[serde(default)]
    pub only_return_existing: bool,
    /// A binding to an account elsewhere (section 7.3.4), as it was sent: [`crate::external::Binding`] reads it.
    #[serde(default)]
    pub external_account_binding: Option<Value>,
}

/// A change of an account (RFC 8555, sections 7.3.2 and 7.3.6).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountUpdate {
    /// New contact URLs, in place of the old ones.
    #[serde(default)]
    pub contact: Option<Vec<String>>,
    /// `deactivated`, and nothing else.
    #[serde(default)]
    pub status: Option<String>,
    /// Consent to the terms of service.
    #[serde(default)]
    pub terms_of_service_agreed: Option<bool>,
}

/// An identifier nobody has looked at yet.
#[derive(Clone, Debug, Deserialize)]
pub struct UnreadIdentifier {
    /// `dns` and `ip` are known.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name or the address.
    pub value: String,
    /// A domain above the name whose control is shown instead (RFC 9444, section 4.2).
    #[serde(default, rename = "ancestorDomain")]
    pub ancestor_domain: Option<String>,
    /// Whether the authorization is to be for all names below, too (RFC 9444, section 4.1; newAuthz alone).
    #[serde(default, rename = "subdomainAuthAllowed")]
    pub subdomain_auth_allowed: bool,
}

impl UnreadIdentifier {
    /// An identifier of type `dns` that asks for nothing more.
    pub fn dns(value: impl Into<String>) -> Self {
        let (kind, value) = ("dns".to_owned(), value.into());
        Self { kind, value, ancestor_domain: None, subdomain_auth_allowed: false }
    }

    /// An identifier of the type that the value looks like: `ip` for an address, `dns` for anything else.
    pub fn of(value: impl Into<String>) -> Self {
        let unread = Self::dns(value);
        match unread.value.parse::<std::net::IpAddr>() {
            Ok(_) => Self { kind: "ip".to_owned(), ..unread },
            Err(_) => unread,
        }
    }
}

/// newOrder (RFC 8555, section 7.4; draft-ietf-acme-profiles; RFC 9773 for `replaces`).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewOrder {
    /// What the certificate is to be for.
    pub identifiers: Vec<UnreadIdentifier>,
    /// The wished notBefore.
    #[serde(default)]
    pub not_before: Option<String>,
    /// The wished notAfter.
    #[serde(default)]
    pub not_after: Option<String>,
    /// The wished profile.
    #[serde(default)]
    pub profile: Option<String>,
    /// The ARI certificate identifier of the certificate that is renewed (RFC 9773, section 5).
    #[serde(default)]
    pub replaces: Option<String>,
}

/// newAuthz (RFC 8555, section 7.4.1; RFC 9444, section 4.1).
#[derive(Clone, Debug, Deserialize)]
pub struct NewAuthorization {
    /// What control is to be shown of.
    pub identifier: UnreadIdentifier,
    /// The same wish as the identifier's own member of this name, where clients put it beside it.
    #[serde(default, rename = "subdomainAuthAllowed")]
    pub subdomain_auth_allowed: bool,
}

/// A trial: would this name validate now? No RFC has it.
#[derive(Clone, Debug, Deserialize)]
pub struct ValidationTrial {
    /// What control would be shown of.
    pub identifier: UnreadIdentifier,
    /// By which challenge: its name, as in `http-01`.
    pub challenge: String,
    /// The token of an answer that is in place; without it, that of a pending challenge, or one that is the same each time.
    #[serde(default)]
    pub token: Option<String>,
    /// The profile whose rules count; without it, the default one.
    #[serde(default)]
    pub profile: Option<String>,
}

/// finalize (RFC 8555, section 7.4).
#[derive(Clone, Debug, Deserialize)]
pub struct Finalize {
    /// Base64url of the CSR's DER.
    pub csr: String,
}

/// revokeCert (RFC 8555, section 7.6).
#[derive(Clone, Debug, Deserialize)]
pub struct Revocation {
    /// Base64url of the certificate's DER.
    pub certificate: String,
    /// A CRLReason.
    #[serde(default)]
    pub reason: Option<i64>,
}

/// A change of an authorization (RFC 8555, section 7.5.2).
#[derive(Clone, Debug, Deserialize)]
pub struct AuthorizationUpdate {
    /// `deactivated`, and nothing else.
    #[serde(default)]
    pub status: Option<String>,
}

/// The payload inside a key change (RFC 8555, section 7.3.5).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyChange {
    /// The account's URL.
    pub account: String,
    /// The key in force, as a JWK.
    pub old_key: Map<String, Value>,
}
