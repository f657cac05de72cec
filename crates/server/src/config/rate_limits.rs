//! `[rate_limits]`: how much of what is let through in a time. A table that is absent means that its limit is off.

use std::time::Duration;

use ingam_authority::PauseRule;
use ingam_protocol::Findings;
use ingam_protocol::finding::dotted;
use ingam_protocol::limit::{Limit, LimitName, NoLimit, PERIOD_MAX};
use serde::{Deserialize, Serialize};

use super::DAY_S;

const HOUR_S: u64 = 60 * 60;

/// Addresses are personal data: buckets that have them are not kept for longer than this.
const ADDRESS_PERIOD_MAX_S: u64 = 7 * DAY_S;

/// Trials of validations, where the operator sets no other limit.
const TRIALS: Rate = Rate { count: 30, period_s: HOUR_S, burst: Some(10) };

/// Questions of accounts about themselves, where the operator sets no other limit. A report of an account with many
/// certificates has many pages.
const PRIVACY: Rate = Rate { count: 120, period_s: HOUR_S, burst: Some(60) };

/// All limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RateLimits {
    /// New accounts from one IPv4 address.
    pub(crate) new_accounts_per_address: Option<Rate>,
    /// New accounts from one IPv6 network of 48 bits.
    pub(crate) new_accounts_per_range: Option<Rate>,
    /// New orders of one account.
    pub(crate) new_orders_per_account: Option<Rate>,
    /// New orders of all accounts that are bound to one external account key.
    pub(crate) new_orders_per_external_account_key: Option<Rate>,
    /// Certificates with a name below one registered domain, or with one address.
    pub(crate) certificates_per_registered_domain: Option<Rate>,
    /// Certificates for exactly the same names.
    pub(crate) certificates_per_exact_set: Option<Rate>,
    /// Failed checks of one name for one account.
    pub(crate) failed_validations_per_account_and_name: Option<Rate>,
    /// POSTs and new nonces from one IPv4 address or one IPv6 network of 48 bits; counted in memory.
    pub(crate) requests_per_address: Option<Rate>,
    /// Trials of validations by one account. On without being here.
    pub(crate) validation_trials_per_account: Option<Rate>,
    /// Requests to `/privacy/` by one account. On without being here.
    pub(crate) privacy_requests_per_account: Option<Rate>,
    /// When an account is paused for a name whose checks go on failing.
    pub(crate) pauses: Option<Pauses>,
}

/// A limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rate {
    /// How many are let through in a period.
    pub(crate) count: u32,
    /// The period, in seconds.
    pub(crate) period_s: u64,
    /// How many of them are let through at once; without it, all.
    pub(crate) burst: Option<u32>,
}

/// When an account is paused for a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pauses {
    /// After how many failed checks, one after another.
    pub(crate) failures: u32,
    /// How many days lie between the first and the last of them, at least.
    pub(crate) over_days: u64,
    /// After how many days without another failed check it is forgotten, the pause with it.
    pub(crate) forgotten_after_days: u64,
}

impl Rate {
    const fn new(count: u32, period_s: u64) -> Option<Self> {
        Some(Self { count, period_s, burst: None })
    }

    /// As checked data.
    pub(crate) fn limit(&self) -> Result<Limit, NoLimit> {
        Limit::new(self.count, Duration::from_secs(self.period_s), self.burst.unwrap_or(self.count))
    }
}

impl RateLimits {
    /// Limits like those that public CAs have: what `ingam dev --limits` sets, and what config/server.toml shows.
    pub(crate) const USUAL: Self = Self {
        new_accounts_per_address: Rate::new(10, 3 * HOUR_S),
        new_accounts_per_range: Rate::new(500, 3 * HOUR_S),
        new_orders_per_account: Rate::new(300, 3 * HOUR_S),
        new_orders_per_external_account_key: Rate::new(3000, 3 * HOUR_S),
        certificates_per_registered_domain: Rate::new(50, 7 * DAY_S),
        certificates_per_exact_set: Rate::new(5, 7 * DAY_S),
        failed_validations_per_account_and_name: Rate::new(5, HOUR_S),
        requests_per_address: Some(Rate { count: 1200, period_s: 60, burst: Some(200) }),
        validation_trials_per_account: Some(TRIALS),
        privacy_requests_per_account: Some(PRIVACY),
        pauses: Some(Pauses { failures: 100, over_days: 14, forgotten_after_days: 90 }),
    };

    /// Each limit by its name, if it is on; those of trials and of questions about oneself always are.
    pub(crate) fn by_name(&self) -> impl Iterator<Item = (LimitName, Rate)> {
        let all = [
            (LimitName::NewAccountsPerAddress, self.new_accounts_per_address),
            (LimitName::NewAccountsPerRange, self.new_accounts_per_range),
            (LimitName::NewOrdersPerAccount, self.new_orders_per_account),
            (LimitName::NewOrdersPerExternalAccountKey, self.new_orders_per_external_account_key),
            (LimitName::CertificatesPerRegisteredDomain, self.certificates_per_registered_domain),
            (LimitName::CertificatesPerExactSet, self.certificates_per_exact_set),
            (LimitName::FailedValidations, self.failed_validations_per_account_and_name),
            (LimitName::RequestsPerAddress, self.requests_per_address),
            // A trial knocks at doors that its requester names, and nobody has to have it: it is never without a limit.
            (LimitName::ValidationTrialsPerAccount, self.validation_trials_per_account.or(Some(TRIALS))),
            // An erasure writes all keys of contacts anew.
            (LimitName::PrivacyRequestsPerAccount, self.privacy_requests_per_account.or(Some(PRIVACY))),
        ];
        all.into_iter().filter_map(|(name, rate)| Some((name, rate?)))
    }

    /// Takes what is absent here from `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            new_accounts_per_address: self.new_accounts_per_address.or(other.new_accounts_per_address),
            new_accounts_per_range: self.new_accounts_per_range.or(other.new_accounts_per_range),
            new_orders_per_account: self.new_orders_per_account.or(other.new_orders_per_account),
            new_orders_per_external_account_key: self
                .new_orders_per_external_account_key
                .or(other.new_orders_per_external_account_key),
            certificates_per_registered_domain: self
                .certificates_per_registered_domain
                .or(other.certificates_per_registered_domain),
            certificates_per_exact_set: self.certificates_per_exact_set.or(other.certificates_per_exact_set),
            failed_validations_per_account_and_name: self
                .failed_validations_per_account_and_name
                .or(other.failed_validations_per_account_and_name),
            requests_per_address: self.requests_per_address.or(other.requests_per_address),
            validation_trials_per_account: self
                .validation_trials_per_account
                .or(other.validation_trials_per_account),
            privacy_requests_per_account: self
                .privacy_requests_per_account
                .or(other.privacy_requests_per_account),
            pauses: self.pauses.or(other.pauses),
        }
    }

    /// When an account is paused for a name.
    pub(crate) fn pause_rule(&self) -> Option<PauseRule> {
        self.pauses.map(|pauses| PauseRule {
            failures: pauses.failures,
            over: Duration::from_secs(pauses.over_days * DAY_S),
            forgotten_after: Duration::from_secs(pauses.forgotten_after_days * DAY_S),
        })
    }

    /// What is wrong with them.
    pub(crate) fn check(&self, found: &mut Findings) {
        for (name, rate) in self.by_name() {
            let key = dotted("rate_limits", name.name());
            if let Err(bad) = rate.limit() {
                let fix = "give count and period_s, and burst if not all may come at once";
                found.error(key.as_str(), format!("is no limit: {bad}"), fix);
            }
            let has_addresses = matches!(
                name,
                LimitName::NewAccountsPerAddress
                    | LimitName::NewAccountsPerRange
                    | LimitName::RequestsPerAddress
            );
            found.require(
                !has_addresses || rate.period_s <= ADDRESS_PERIOD_MAX_S || rate.limit().is_err(),
                dotted(&key, "period_s"),
                "is longer than 7 days: what counts addresses is not kept for longer",
                "give a shorter period, with a smaller count",
            );
        }
        let Some(pauses) = &self.pauses else { return };
        let days_max = PERIOD_MAX.as_secs() / DAY_S;
        found.between("rate_limits.pauses.failures", pauses.failures, 1..=1_000_000);
        found.between("rate_limits.pauses.over_days", pauses.over_days, 0..=days_max);
        found.between("rate_limits.pauses.forgotten_after_days", pauses.forgotten_after_days, 1..=days_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = include_str!("../../../../config/server.toml");

    #[test]
    fn the_shipped_file_shows_the_usual_limits() {
        let file: toml::Table = toml::from_str(SERVER).unwrap();
        let shown: RateLimits = file["rate_limits"].clone().try_into().unwrap();
        assert_eq!(shown, RateLimits::USUAL);
        let mut found = Findings::new();
        shown.check(&mut found);
        assert_eq!(found.into_iter().count(), 0);
    }

    #[test]
    fn what_is_no_limit_is_told() {
        let keys = |limits: RateLimits| {
            let mut found = Findings::new();
            limits.check(&mut found);
            found.into_iter().map(|finding| finding.key).collect::<Vec<_>>()
        };
        let with = |rate| RateLimits { new_accounts_per_address: Some(rate), ..RateLimits::default() };
        let key = "rate_limits.new_accounts_per_address";
        assert_eq!(keys(with(Rate::default())), [key]);
        assert_eq!(keys(with(Rate { count: 5, period_s: 60, burst: Some(6) })), [key]);
        assert_eq!(
            keys(with(Rate { count: 5, period_s: 8 * DAY_S, burst: None })),
            ["rate_limits.new_accounts_per_address.period_s"]
        );
        let pauses = Some(Pauses { failures: 0, over_days: 91, forgotten_after_days: 0 });
        assert_eq!(keys(RateLimits { pauses, ..RateLimits::default() }).len(), 3);
    }
}
