//! Profiles: the kinds of certificates that the CA offers, as checked data.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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
    /// How far notBefore lies before the signing, for clients whose clocks are late. At most 48 h (BR 7.1.2.7).
    pub backdate: Duration,
    /// How long an order may take.
    pub order_lifetime: Duration,
    /// How long a pending authorization may be answered.
    pub pending_authorization_lifetime: Duration,
    /// How long a valid authorization may be used.
    pub valid_authorization_lifetime: Duration,
    /// At most this many identifiers in one order.
    pub names_max: usize,
    /// Whether its certificates claim to follow the Baseline Requirements of the public web, by the policy 2.23.140.1.2.1
    /// (BR 7.1.6.1). Those of a private CA make no claim.
    pub is_public: bool,
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
