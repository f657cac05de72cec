//! Profiles, as operators write them: `[profiles.NAME]`. What is wrong with one is for `rules`, what public ones have to keep
//! to from a day on for [`super::public`].

#[cfg(test)]
mod judged;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use ingam_protocol::acme::ChallengeType;
use ingam_protocol::key::KeyType;
use ingam_protocol::profile::{CommonName, MustStaple, RSA_BITS, Transparency};
use serde::{Deserialize, Serialize};

use super::{DAY_S, Environment};

pub(super) use rules::checked;

/// A profile. `description`, `issuer` or `issuers`, and `validity_s` are needed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProfileConfig {
    /// What the directory says about it.
    pub(crate) description: String,
    /// The issuing CA, by its name in `hierarchy.issuers`.
    pub(crate) issuer: String,
    /// Several of them instead, each with its weight: how many of all certificates it signs. One of weight 0 stands by.
    pub(crate) issuers: BTreeMap<String, u16>,
    /// Validity in seconds, both ends included.
    pub(crate) validity_s: u64,
    /// How far notBefore lies before the signing, in seconds.
    pub(crate) backdate_s: u64,
    /// How long an order may take, in seconds.
    pub(crate) order_lifetime_s: u64,
    /// How long a challenge may be answered, in seconds.
    pub(crate) pending_authorization_lifetime_s: u64,
    /// How long shown control counts, in seconds.
    pub(crate) valid_authorization_lifetime_s: u64,
    /// How many names go into one certificate.
    pub(crate) names_max: usize,
    /// How short, in seconds, the validity may be that an order asks for by `notBefore` and `notAfter`; without it, an order
    /// may not ask.
    pub(crate) validity_min_s: Option<u64>,
    /// Whether an order may use control that its account has shown before.
    pub(crate) reuse_authorizations: bool,
    /// What certificates may be for: `dns`, `wildcard`, `ip`.
    pub(crate) identifiers: BTreeSet<IdentifierKind>,
    /// Domains that all names are or are below; with none, any.
    pub(crate) names_below: BTreeSet<String>,
    /// Whether control may be shown of a domain above the names (RFC 9444).
    pub(crate) ancestor_domains: bool,
    /// The challenges that authorizations offer.
    pub(crate) challenges: BTreeSet<ChallengeType>,
    /// The kinds of keys that certificates may have; ML-DSA in private profiles, and in builds with aws-lc-rs.
    pub(crate) key_types: BTreeSet<KeyType>,
    /// How many bits RSA keys may have.
    pub(crate) rsa_bits: BTreeSet<u16>,
    /// Whether RSA keys may decrypt keys, too (keyEncipherment), which TLS 1.2 without forward secrecy alone needs. By default
    /// private profiles have it, and public ones do not (BR 7.1.2.7.11).
    pub(crate) key_encipherment: Option<bool>,
    /// What keys are for: `server-auth`, `client-auth`, and in private profiles any object identifier in dotted text.
    pub(crate) extended_key_usages: Vec<String>,
    /// Certificate policies in dotted text; in public profiles behind 2.23.140.1.2.1, which they have anyway.
    pub(crate) policies: Vec<String>,
    /// Whether the subject has a common name: `none`, or `first-name`, the first of the names that fits.
    pub(crate) common_name: CommonName,
    /// Whether servers have to staple an OCSP answer: `never`, `requested` by the CSR, `always`.
    pub(crate) must_staple: MustStaple,
    /// Whose orders may ask for it: `all`, `bound` (to an external account), `listed` (in `account_ids`).
    pub(crate) accounts: AccountKind,
    /// The accounts, where they are listed: the last part of their URLs.
    pub(crate) account_ids: BTreeSet<String>,
    /// Whether certificates say where OCSP and CRL are; those of at most seven days need not.
    pub(crate) revocation_pointers: bool,
    /// The same for OCSP alone; as `revocation_pointers` by default.
    pub(crate) ocsp_pointer: Option<bool>,
    /// The same for the CRL alone; as `revocation_pointers` by default.
    pub(crate) crl_pointer: Option<bool>,
    /// Whether certificates say where their issuer's certificate is.
    pub(crate) issuer_pointer: bool,
    /// Whether certificates have a subjectKeyIdentifier. By default those of private profiles have one, and those of public
    /// ones do not (RFC 5280, section 4.2.1.2; BR 7.1.2.7.6).
    pub(crate) subject_key_identifier: Option<bool>,
    /// Whether certificates go into public logs: `none` or `required`. By default public profiles need it in production, and
    /// no others.
    pub(crate) transparency: Option<Transparency>,
    /// Whether its certificates claim to follow the Baseline Requirements of the public web; `false` for a private CA.
    pub(crate) public: bool,
    /// The outside linters that its certificates are shown to, by their names in `issuance.linters`.
    pub(crate) linters: BTreeSet<String>,
}

impl ProfileConfig {
    /// Who signs, with weights: `issuer` is short for one of them.
    pub(crate) fn weights(&self) -> BTreeMap<&str, u16> {
        match self.issuers.is_empty() {
            true => BTreeMap::from([(self.issuer.as_str(), 1)]),
            false => self.issuers.iter().map(|(name, weight)| (name.as_str(), *weight)).collect(),
        }
    }

    /// The key that names the issuers.
    pub(crate) fn issuers_key(&self) -> &'static str {
        if self.issuers.is_empty() { "issuer" } else { "issuers" }
    }

    pub(crate) fn has_ocsp_pointer(&self) -> bool {
        self.ocsp_pointer.unwrap_or(self.revocation_pointers)
    }

    pub(crate) fn has_crl_pointer(&self) -> bool {
        self.crl_pointer.unwrap_or(self.revocation_pointers)
    }

    pub(crate) fn transparency(&self, environment: Environment) -> Transparency {
        let is_needed = self.public && environment == Environment::Production;
        let usual = if is_needed { Transparency::Required } else { Transparency::None };
        self.transparency.unwrap_or(usual)
    }
}

/// What a certificate can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum IdentifierKind {
    Dns,
    Wildcard,
    Ip,
}

/// Whose orders may ask for a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AccountKind {
    All,
    Bound,
    Listed,
}

impl Default for ProfileConfig {
    fn default() -> Self {
        Self {
            description: String::new(),
            issuer: String::new(),
            issuers: BTreeMap::new(),
            validity_s: 0,
            backdate_s: 3600,
            order_lifetime_s: 7 * DAY_S,
            pending_authorization_lifetime_s: 7 * DAY_S,
            valid_authorization_lifetime_s: 7 * DAY_S,
            names_max: 100,
            validity_min_s: None,
            reuse_authorizations: true,
            identifiers: [IdentifierKind::Dns, IdentifierKind::Wildcard].into(),
            names_below: BTreeSet::new(),
            ancestor_domains: false,
            challenges: [ChallengeType::Http01, ChallengeType::Dns01, ChallengeType::TlsAlpn01].into(),
            key_types: KeyType::USUAL.into(),
            rsa_bits: RSA_BITS.into(),
            key_encipherment: None,
            extended_key_usages: vec!["server-auth".to_owned()],
            policies: Vec::new(),
            common_name: CommonName::None,
            must_staple: MustStaple::Never,
            accounts: AccountKind::All,
            account_ids: BTreeSet::new(),
            revocation_pointers: true,
            ocsp_pointer: None,
            crl_pointer: None,
            issuer_pointer: true,
            subject_key_identifier: None,
            transparency: None,
            public: true,
            linters: BTreeSet::new(),
        }
    }
}
