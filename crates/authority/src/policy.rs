//! What the operator decided, as checked data.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::crl::ShardCounts;
use ingam_protocol::key::weak_list::WeakKeys;
use ingam_protocol::profile::{Profile, ProfileName};
use ingam_protocol::public_suffix::PublicSuffixes;

use crate::limits::RateLimits;
use crate::linter::Linters;
use crate::public::PublicRules;
use crate::restrictions::Restrictions;

/// The profiles that orders can ask for; at least one, and one of them is taken where an order names none.
#[derive(Clone, Debug)]
pub struct Catalog {
    profiles: BTreeMap<ProfileName, Arc<Profile>>,
    default: Arc<Profile>,
}

impl Catalog {
    /// From profiles with distinct names and the name of the default one. `None` if that is not among them.
    pub fn new(profiles: Vec<Profile>, default: &ProfileName) -> Option<Self> {
        let profiles: BTreeMap<_, _> =
            profiles.into_iter().map(|profile| (profile.name.clone(), Arc::new(profile))).collect();
        let default = profiles.get(default)?.clone();
        Some(Self { profiles, default })
    }

    /// The profile of this name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<Profile>> {
        self.profiles.values().find(|profile| profile.name.as_str() == name)
    }

    /// The profile of an order that names none.
    pub fn default_profile(&self) -> &Arc<Profile> {
        &self.default
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.profiles.values()
    }
}

/// What the authority goes by.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What kinds of certificates there are.
    pub catalog: Catalog,
    /// What an account's id is put behind to make its URL: what CAA's `accounturi` names (RFC 8657, section 3).
    pub account_url_prefix: String,
    /// Where the terms of service are; with it, an account needs consent to them.
    pub terms_of_service: Option<String>,
    /// Since when these terms hold: consent from before does not count for new orders (RFC 8555, section 7.3.3).
    pub terms_since: Option<Timestamp>,
    /// Whether an account has to be bound to a key of the operators' when it is made (RFC 8555, section 7.3.4).
    pub external_account_required: bool,
    /// What hashed URIs of accounts begin with, in records of dns-persist-01 (draft-ietf-acme-dns-persist, section 4.1).
    pub account_hash_prefix: String,
    /// Which identifiers get certificates at all.
    pub restrictions: Restrictions,
    /// Which rules with dates are held for profiles that are for the public.
    pub public_rules: PublicRules,
    /// How long a finalize waits for its certificate before it answers `processing`.
    pub finalize_wait: Duration,
    /// How long a claim on an order holds without its holder being heard of.
    pub lease: Duration,
    /// How many challenges are checked at once.
    pub checks_max: usize,
    /// How many more may wait for that.
    pub checks_waiting_max: usize,
    /// At most this many contacts has an account.
    pub contacts_max: usize,
    /// What clients are told about renewal.
    pub renewal: RenewalPolicy,
    /// Where registered domains begin.
    pub public_suffixes: PublicSuffixes,
    /// How much of what is let through in a time.
    pub rate_limits: RateLimits,
    /// Over how many CRLs the new certificates of each issuer are spread.
    pub crl_shards: ShardCounts,
    /// Keys that everybody can have.
    pub weak_keys: Arc<WeakKeys>,
    /// Who else looks at certificates before they are signed.
    pub linters: Linters,
}

/// What clients are told about renewal (RFC 9773).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalPolicy {
    /// After how many hundredths of their lifetime certificates should be renewed; without it, after two thirds, and after half
    /// of less than ten days.
    pub at_percent: Option<u8>,
    /// How long a client should wait before it asks again, while the window is not near.
    pub check_after: Duration,
    /// A page that says why certificates should be renewed early, where their incident names none.
    pub explanation_url: Option<String>,
}

impl Default for RenewalPolicy {
    fn default() -> Self {
        Self { at_percent: None, check_after: Duration::from_secs(6 * 60 * 60), explanation_url: None }
    }
}
