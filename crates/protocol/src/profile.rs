//! Profiles: the kinds of certificates that the CA offers, as checked data.
//!
//! - [`Profile`]: one of them. [`Allowed`] and [`Accounts`] say for what and for whom it is.
//! - [`Contents`]: what its certificates say beside names, dates and key.
//! - [`Issuers`]: who signs them.

mod contents;
mod issuers;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::acme::ChallengeType;
use crate::id::Id;
use crate::identifier::{Domain, Identifier};
use crate::key::{KeyParts, KeyType, PublicKey};
use crate::time::Timestamp;

pub use contents::{BadPurpose, COMMON_NAME_MAX, CommonName, Contents, MustStaple, Purpose, Transparency};
pub use issuers::Issuers;

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
    pub issuers: Issuers,
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
    /// How many bits the moduli of RSA keys may have, where these are among them.
    pub rsa_bits: BTreeSet<u16>,
    /// Whose orders may ask for it.
    pub accounts: Accounts,
    /// What its certificates say beside names, dates and key.
    pub contents: Contents,
    /// Whether its certificates go into public logs.
    pub transparency: Transparency,
    /// Whether its certificates claim to follow the Baseline Requirements of the public web, by the policy 2.23.140.1.2.1
    /// (BR 7.1.6.1). Those of a private CA make no claim.
    pub is_public: bool,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Profile {
    /// A profile with what is usual: 90 days, a week for everything else, names and wildcards of any domain, the
    /// challenges of RFC 8555 and RFC 8737, the usual kinds of keys.
    pub fn usual(name: ProfileName, issuer: IssuerName) -> Self {
        Self {
            name,
            description: String::new(),
            issuers: Issuers::one(issuer),
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
            key_types: KeyType::USUAL.into(),
            rsa_bits: RSA_BITS.into(),
            accounts: Accounts::All,
            contents: Contents::usual(),
            transparency: Transparency::None,
            is_public: true,
        }
    }

    /// The first and the last second of a certificate, both inclusive and whole: what the order asked for; else notBefore a
    /// while before `now`, and notAfter so that both together last the validity.
    pub fn dates(
        &self,
        not_before: Option<Timestamp>,
        not_after: Option<Timestamp>,
        now: Timestamp,
    ) -> (Timestamp, Timestamp) {
        let not_before = not_before.unwrap_or_else(|| now.minus(self.backdate)).whole_second();
        let last = self.validity.saturating_sub(Duration::from_secs(1));
        let not_after = not_after.unwrap_or_else(|| not_before.plus(last));
        (not_before, not_after.whole_second())
    }

    /// Why certificates may not have this key, if they may not; the words go to the client.
    pub fn key_refusal(&self, key: &PublicKey) -> Option<String> {
        let (name, kind) = (&self.name, key.key_type());
        let beyond = kind.filter(|kind| self.is_public && !kind.is_public());
        if beyond.is_some() || !kind.is_some_and(|kind| self.key_types.contains(&kind)) {
            let why = beyond.map_or(String::new(), |kind| {
                let kind = kind.name();
                format!("certificates for the public have no \"{kind}\" (Baseline Requirements, section 6.1.5), and ")
            });
            let kinds: Vec<&str> = self.key_types.iter().map(|kind| kind.name()).collect();
            let kinds = kinds.join(", ");
            return Some(format!("{why}the profile \"{name}\" takes keys of these kinds alone: {kinds}"));
        }
        let KeyParts::Rsa { modulus, .. } = key.parts() else { return None };
        let bits = rsa_bits(modulus);
        (!self.rsa_bits.iter().any(|allowed| usize::from(*allowed) == bits)).then(|| {
            let sizes: Vec<String> = self.rsa_bits.iter().map(u16::to_string).collect();
            format!(
                "the key has {bits} bits, and the profile \"{name}\" takes RSA keys of these sizes alone: {}",
                sizes.join(", ")
            )
        })
    }
}

/// The sizes of RSA keys that are usual, in bits.
pub const RSA_BITS: [u16; 3] = [2048, 3072, 4096];

/// How many bits a modulus has, big-endian without leading zero octets.
fn rsa_bits(modulus: &[u8]) -> usize {
    let unused = modulus.first().map_or(0, |first| first.leading_zeros());
    modulus.len() * 8 - unused as usize
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

    fn usual() -> Profile {
        let issuer = IssuerName::try_from("rsa".to_owned()).unwrap();
        Profile::usual(ProfileName::try_from("classic".to_owned()).unwrap(), issuer)
    }

    #[test]
    fn both_ends_of_the_validity_count() {
        let profile = Profile { backdate: Duration::from_secs(3600), validity: DAY, ..usual() };
        let now = Timestamp::from_unix_ms(1_795_255_200_500);
        let (not_before, not_after) = profile.dates(None, None, now);
        assert_eq!(not_before, Timestamp::from_unix_s(1_795_251_600));
        assert_eq!(not_after, Timestamp::from_unix_s(1_795_251_600 + 86_399));
        let wished = Timestamp::from_unix_s(1_795_255_000);
        assert_eq!(
            profile.dates(Some(wished), None, now),
            (wished, wished.plus(Duration::from_secs(86_399)))
        );
        assert_eq!(profile.dates(None, Some(now), now).1, Timestamp::from_unix_s(1_795_255_200));
    }

    #[test]
    fn keys_are_of_the_profiles_kinds_and_sizes() {
        let key = |der: &[u8]| crate::csr::SigningRequest::parse(der).unwrap().key().clone();
        let rsa = key(include_bytes!("../../../testdata/corpus/csr/ok-openssl-rsa-2048-san"));
        let elliptic = key(include_bytes!("../../../testdata/corpus/csr/ok-openssl-p-384-san"));
        assert_eq!(usual().key_refusal(&rsa), None);
        assert_eq!(usual().key_refusal(&elliptic), None);
        let larger = Profile { rsa_bits: [3072, 4096].into(), ..usual() };
        let refused = larger.key_refusal(&rsa).unwrap();
        assert!(refused.contains("2048 bits") && refused.ends_with("alone: 3072, 4096"), "{refused}");
        assert_eq!(larger.key_refusal(&elliptic), None);
        let other = Profile { key_types: [KeyType::EcdsaP256].into(), ..usual() };
        for key in [rsa, elliptic] {
            assert!(other.key_refusal(&key).unwrap().ends_with("alone: ecdsa-p256"));
        }
    }

    #[test]
    fn bits_are_counted_from_the_first_that_is_set() {
        assert_eq!(rsa_bits(&[0x80; 256]), 2048);
        assert_eq!(rsa_bits(&[&[0x01][..], &[0; 256]].concat()), 2049);
    }

    #[test]
    fn names_are_plain() {
        assert!(ProfileName::try_from("classic-rsa".to_owned()).is_ok());
        for bad in ["", "Classic", "a b", "a/b", &"a".repeat(65)] {
            assert!(ProfileName::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
