//! Profiles: the kinds of certificates that the CA offers, as checked data.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::acme::ChallengeType;
use crate::id::Id;
use crate::identifier::{Domain, Identifier};
use crate::key::KeyType;

/// A profile's name, as clients say it in an order (draft-ietf-acme-profiles): lower-case letters, digits and hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

impl ProfileName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProfileName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(fits) {
            return Err(format!(
                "'{text}' is no profile name: use 1 to 64 lower-case letters, digits and hyphens"
            ));
        }
        Ok(Self(text))
    }
}

impl From<ProfileName> for String {
    fn from(name: ProfileName) -> Self {
        name.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an issuer inside the CA: part of its files' and URLs' names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IssuerName(ProfileName);

impl IssuerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<String> for IssuerName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        ProfileName::try_from(text)
            .map(Self)
            .map_err(|_| "an issuer's name is 1 to 64 lower-case letters, digits and hyphens".to_owned())
    }
}

impl fmt::Display for IssuerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One kind of certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// How clients ask for it.
    pub name: ProfileName,
    /// What the directory says about it.
    pub description: String,
    /// Who signs.
    pub issuer: IssuerName,
    /// From notBefore to notAfter, both inclusive seconds (RFC 5280, section 4.1.2.5): `notAfter = notBefore +
    /// validity - 1 s`.
    pub validity: Duration,
    /// How short the validity may be that an order asks for by `notBefore` and `notAfter`; none if it may not ask.
    pub validity_min: Option<Duration>,
    /// How far notBefore lies before the signing, for clients whose clocks are late. At most 48 h (BR 7.1.2.7).
    pub backdate: Duration,
    /// How long an order may take.
    pub order_lifetime: Duration,
    /// How long a pending authorization may be answered.
    pub pending_authorization_lifetime: Duration,
    /// How long a valid authorization may be used.
    pub valid_authorization_lifetime: Duration,
    /// Whether an order may use an authorization that its account holds already.
    pub reuse_authorizations: bool,
    /// At most this many identifiers in one order.
    pub names_max: usize,
    /// What certificates may be for.
    pub identifiers: Allowed,
    /// The ways to show control that authorizations offer.
    pub challenges: BTreeSet<ChallengeType>,
    /// The kinds of keys that certificates may have.
    pub key_types: BTreeSet<KeyType>,
    /// Whose orders may ask for it.
    pub accounts: Accounts,
    /// Whether certificates say where OCSP and CRL are; those of at most seven days need not (BR 4.9.7, 7.1.2.11.2).
    pub revocation_pointers: bool,
    /// Whether its certificates claim to follow the Baseline Requirements of the public web, by the policy 2.23.140.1.2.1
    /// (BR 7.1.6.1). Those of a private CA make no claim.
    pub is_public: bool,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Profile {
    /// A profile with what is usual: 90 days, a week for everything else, names and wildcards of any domain, the
    /// challenges of RFC 8555 and RFC 8737, every kind of key.
    pub fn usual(name: ProfileName, issuer: IssuerName) -> Self {
        Self {
            name,
            description: String::new(),
            issuer,
            validity: 90 * DAY,
            validity_min: None,
            backdate: Duration::from_secs(60 * 60),
            order_lifetime: 7 * DAY,
            pending_authorization_lifetime: 7 * DAY,
            valid_authorization_lifetime: 7 * DAY,
            reuse_authorizations: true,
            names_max: 100,
            identifiers: Allowed::usual(),
            challenges: [ChallengeType::Http01, ChallengeType::Dns01, ChallengeType::TlsAlpn01].into(),
            key_types: KeyType::ALL.into(),
            accounts: Accounts::All,
            revocation_pointers: true,
            is_public: true,
        }
    }
}

/// What certificates of a profile may be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Names.
    pub names: bool,
    /// Wildcards.
    pub wildcards: bool,
    /// Addresses (RFC 8738).
    pub addresses: bool,
    /// Whether control may be shown of a domain above the name (RFC 9444).
    pub ancestors: bool,
    /// Names are these or below these; with none here, any.
    pub below: BTreeSet<Domain>,
}

impl Allowed {
    /// Names and wildcards of any domain.
    pub fn usual() -> Self {
        Self { names: true, wildcards: true, addresses: false, ancestors: false, below: BTreeSet::new() }
    }

    /// Why an identifier is not allowed, if it is not; the words go to the client.
    pub fn refuses(&self, identifier: &Identifier) -> Option<&'static str> {
        let is_below = |name| self.below.is_empty() || self.below.iter().any(|domain| domain.covers(name));
        match identifier {
            Identifier::Wildcard(_) if !self.wildcards => Some("this profile has no wildcards"),
            Identifier::Dns(_) if !self.names => Some("this profile has no names"),
            Identifier::Dns(name) | Identifier::Wildcard(name) if !is_below(name) => {
                Some("this profile is for other domains")
            }
            Identifier::Ip(_) if !self.addresses => Some("this profile has no IP addresses"),
            _ => None,
        }
    }
}

/// Whose orders may ask for a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Any account's.
    All,
    /// Those of accounts bound to an external account (RFC 8555, section 7.3.4).
    Bound,
    /// Those of these accounts.
    Listed(BTreeSet<Id>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert!(ProfileName::try_from("classic-rsa".to_owned()).is_ok());
        for bad in ["", "Classic", "a b", "a/b", &"a".repeat(65)] {
            assert!(ProfileName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
