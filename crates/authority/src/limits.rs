//! Rate limits: which of them a request touches, and what is said to whoever reached one.
//!
//! ```text
//! newAccount ─▶ spends new_accounts_per_address or _range
//! newOrder   ─▶ spends new_orders_per_account, _per_external_account_key; certificates_… and failed_validations_… need one left
//! challenge  ─▶ spends failed_validations_…          put back if the check succeeds or fails by our fault
//! finalize   ─▶ spends certificates_…                put back if the order is abandoned
//! trial      ─▶ spends validation_trials_per_account
//! privacy    ─▶ spends privacy_requests_per_account
//! ```
//!
//! Certificates are counted at finalize, as by then control of every name was shown: orders alone, which anybody can make,
//! use up nobody else's limit. A renewal (RFC 9773, section 5) is free of the limits on orders and certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ingam_protocol::acme::{Account, Authorization, ErrorType, NewOrder, Order, UnreadIdentifier};
use ingam_protocol::identifier::{DnsName, Host, Identifier};
use ingam_protocol::limit::{Favoured, Limit, LimitName, LimitSubject};
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Timestamp};
use ingam_store::{
    Admission, Admitted, Demand, Limited, PAUSES_LIFTED_MAX, Pause, PauseRule, Standing, ToBeShown,
};
use ring::digest::{SHA256, digest};
use serde::Serialize;

use crate::Authority;
use crate::error::{Error, Refusal, Subproblem};
use crate::evidence::Caller;
use crate::order::Draft;
use crate::policy::Policy;
use crate::renewal::already_replaced;

/// At most this many thousands of rows are looked at in one sweep.
const SWEEP_STEPS_MAX: usize = 1000;

/// At most this many names can be let go by one request.
const NAMES_LIFTED_MAX: usize = 100;

/// Rate limits as the operator set them.
#[derive(Clone, Debug, Default)]
pub struct RateLimits {
    /// Those that are on.
    pub limits: BTreeMap<LimitName, Limit>,
    /// When an account is paused for a name, if ever.
    pub pauses: Option<PauseRule>,
    /// Where people read about limits.
    pub help: Option<String>,
    /// Where accounts let themselves go that were paused.
    pub unpause_url: String,
}

/// What an order would meet.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// The limits that it touches, the nearest first.
    pub limits: Vec<Standing>,
    /// Why it would be refused, beside its limits.
    pub refusals: Vec<Refusal>,
}

/// Names for which an account may order again.
#[derive(Clone, Debug)]
pub struct Unpaused {
    /// The names and addresses, as text.
    pub names: Vec<String>,
    /// Whether there may be more, so that it is worth asking again.
    pub has_more: bool,
}

#[derive(Serialize)]
struct UnpausedEvidence<'a> {
    account: Id,
    /// What was asked for; nothing means all.
    names: &'a [String],
}

impl RateLimits {
    fn demand(&self, limit: LimitName, subject: LimitSubject) -> Option<Demand> {
        let ordinary = *self.limits.get(&limit)?;
        Some(Demand { limit, subject, ordinary, favoured: Vec::new(), spends: true })
    }

    fn demand_of(&self, account: Id, limit: LimitName, subject: LimitSubject) -> Option<Demand> {
        let demand = self.demand(limit, subject.clone())?;
        Some(Demand { favoured: vec![(Favoured::Account(account), subject)], ..demand })
    }

    /// What a new account takes.
    fn of_account(&self, address: IpAddr) -> Vec<Demand> {
        let subject = LimitSubject::of_address(address);
        let limit = match subject {
            LimitSubject::Address(_) => LimitName::NewAccountsPerAddress,
            _ => LimitName::NewAccountsPerRange,
        };
        self.demand(limit, subject).into_iter().collect()
    }

    /// What every new order takes that is no renewal.
    pub(crate) fn of_orders(&self, account: &Account) -> Vec<Demand> {
        let own = LimitSubject::Account(account.id);
        let own = self.demand_of(account.id, LimitName::NewOrdersPerAccount, own);
        let external = account.external.as_ref().and_then(|external| {
            let key = LimitSubject::ExternalKey(external.key);
            self.demand_of(account.id, LimitName::NewOrdersPerExternalAccountKey, key)
        });
        own.into_iter().chain(external).collect()
    }

    /// What a check of this name takes, until it has succeeded.
    pub(crate) fn of_check(&self, account: &Account, name: String) -> Option<Demand> {
        let subject = LimitSubject::AccountAndName(account.id, name);
        self.demand_of(account.id, LimitName::FailedValidations, subject)
    }

    /// What a trial of a validation takes.
    pub(crate) fn of_trial(&self, account: Id) -> Vec<Demand> {
        let subject = LimitSubject::Account(account);
        self.demand_of(account, LimitName::ValidationTrialsPerAccount, subject).into_iter().collect()
    }

    /// What a question takes that an account asks about itself, or its erasure.
    pub(crate) fn of_privacy(&self, account: Id) -> Vec<Demand> {
        let subject = LimitSubject::Account(account);
        self.demand_of(account, LimitName::PrivacyRequestsPerAccount, subject).into_iter().collect()
    }

    /// What checks of these need to have left.
    fn of_checks(&self, account: &Account, authorizations: &[Authorization]) -> Vec<Demand> {
        let checks = hosts(authorizations).into_iter().filter_map(|host| self.of_check(account, host));
        checks.map(looked_at).collect()
    }

    /// What has to be shown control of, if anybody is ever paused.
    fn to_be_shown(&self, authorizations: &[Authorization]) -> Option<ToBeShown> {
        let rule = self.pauses?;
        Some(ToBeShown { rule, names: hosts(authorizations).into_iter().collect() })
    }

    /// What one registered domain's next certificate takes, whoever orders it.
    pub(crate) fn of_domain(&self, domain: String) -> Option<Demand> {
        let name = DnsName::parse(&domain);
        let subject = LimitSubject::Domain(domain);
        let demand = self.demand(LimitName::CertificatesPerRegisteredDomain, subject.clone())?;
        // An address is no domain: nobody has its own.
        let favoured = name.map(|name| (Favoured::Domain(name), subject)).into_iter().collect();
        Some(Demand { favoured, ..demand })
    }
}

/// Whether an order renews a certificate by the CA's own wish (RFC 9773, section 5), and nothing beyond it: then it is free.
fn is_renewal(order: &Order) -> bool {
    order.replaces.as_ref().is_some_and(|replaced| replaced.renews)
}

/// One has to be left, and is not spent.
fn looked_at(demand: Demand) -> Demand {
    Demand { spends: false, ..demand }
}

/// What control is to be shown of, each once, as text.
fn hosts(authorizations: &[Authorization]) -> BTreeSet<String> {
    authorizations.iter().map(|authorization| authorization.host.to_string()).collect()
}

impl Policy {
    /// The part of a name that somebody registered, or an address, as text.
    fn registered(&self, identifier: &Identifier) -> String {
        match identifier.host() {
            Host::Name(name) => self.public_suffixes.registered_domain(&name).unwrap_or(name).to_string(),
            Host::Address(address) => address.to_string(),
        }
    }

    /// What the order's certificate takes.
    fn of_certificate(&self, order: &Order) -> Vec<Demand> {
        if is_renewal(order) {
            return Vec::new();
        }
        let limits = &self.rate_limits;
        let domains: BTreeSet<String> = order.identifiers.iter().map(|one| self.registered(one)).collect();
        // An account's own limit comes first, and counts in a bucket of its own.
        let per_domain = domains.into_iter().filter_map(|domain| {
            let subject = LimitSubject::AccountAndName(order.account, domain.clone());
            limits.of_domain(domain).map(|mut demand| {
                demand.favoured.insert(0, (Favoured::Account(order.account), subject));
                demand
            })
        });
        let texts: Vec<String> = order.identifiers.iter().map(ToString::to_string).collect();
        let set = digest(&SHA256, texts.join("\n").as_bytes());
        let set = set.as_ref().try_into().ok().and_then(|set| {
            limits.demand_of(order.account, LimitName::CertificatesPerExactSet, LimitSubject::ExactSet(set))
        });
        per_domain.chain(set).collect()
    }

    /// What the new order takes.
    fn of_new_order(&self, account: &Account, draft: &Draft) -> Vec<Demand> {
        let limits = &self.rate_limits;
        let checks = limits.of_checks(account, &draft.authorizations);
        if is_renewal(&draft.order) {
            return checks;
        }
        let certificate = self.of_certificate(&draft.order).into_iter().map(looked_at);
        limits.of_orders(account).into_iter().chain(certificate).chain(checks).collect()
    }
}

impl Authority {
    /// What a new account from this address takes. What is refused already costs nothing more.
    pub(crate) fn account_demands(&self, address: IpAddr) -> Result<Vec<Demand>, Error> {
        let demands = self.policy().rate_limits.of_account(address);
        let reached = self.store.limits_standing(&demands, self.clock.now())?;
        match reached.into_iter().find(|standing| standing.left.remaining == 0) {
            None => Ok(demands),
            Some(Standing { limit, subject, in_force, left, .. }) => {
                Err(self.limited(Limited { limit, subject, in_force, next_at: left.next_at }))
            }
        }
    }

    /// What a new order has to pass.
    pub(crate) fn order_admission(&self, account: &Account, draft: &Draft) -> Admission {
        let policy = self.policy();
        let demands = policy.of_new_order(account, draft);
        Admission { demands, to_be_shown: policy.rate_limits.to_be_shown(&draft.authorizations) }
    }

    /// What an authorization ahead of any order has to pass: it counts as an order does.
    pub(crate) fn authorization_admission(
        &self,
        account: &Account,
        authorization: &Authorization,
    ) -> Admission {
        let policy = self.policy();
        let shown = std::slice::from_ref(authorization);
        let limits = &policy.rate_limits;
        let demands = limits.of_orders(account).into_iter().chain(limits.of_checks(account, shown)).collect();
        Admission { demands, to_be_shown: limits.to_be_shown(shown) }
    }

    /// What the order's certificate takes.
    pub(crate) fn claim_demands(&self, order: &Order) -> Vec<Demand> {
        self.policy().of_certificate(order)
    }

    /// What a check takes.
    pub(crate) fn check_demands(&self, account: &Account, authorization: &Authorization) -> Vec<Demand> {
        let host = authorization.host.to_string();
        self.policy().rate_limits.of_check(account, host).into_iter().collect()
    }

    /// What an order would meet if it came now. Nothing is spent and nothing is made.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn order_dry_run(&self, account: &Account, request: &NewOrder) -> Result<DryRun, Error> {
        let (policy, now) = (self.policy(), self.clock.now());
        let mut refusals = Vec::new();
        let demands = match self.order_draft(account, request) {
            Ok(draft) => {
                if let Some(shown) = policy.rate_limits.to_be_shown(&draft.authorizations) {
                    let paused = self.store.pauses_in_force(account.id, &shown, now)?;
                    let paused = (!paused.is_empty()).then_some(paused);
                    refusals.extend(
                        paused.map(|paused| paused_refusal(&policy, &paused, &draft.order.identifiers, now)),
                    );
                }
                policy.of_new_order(account, &draft)
            }
            // Of an order that is refused anyway, only what all orders take is known.
            Err(Error::Refusal(refusal)) => {
                refusals.push(*refusal);
                policy.rate_limits.of_orders(account)
            }
            Err(fault) => return Err(fault),
        };
        let mut limits = self.store.limits_standing(&demands, now)?;
        limits.sort_by_key(|standing| {
            (
                standing.left.remaining,
                std::cmp::Reverse((standing.left.next_at, standing.in_force.interval())),
            )
        });
        Ok(DryRun { limits, refusals })
    }

    /// Lets an account order again for names that were paused, or for all of them if none is named; its holder wishes so.
    ///
    /// # Errors
    /// A refusal for names that are none, or too many of them; [`Error::Fault`] if the store fails.
    pub async fn unpause(
        &self,
        account: &Account,
        identifiers: &[UnreadIdentifier],
        caller: &Caller,
    ) -> Result<Unpaused, Error> {
        if identifiers.len() > NAMES_LIFTED_MAX {
            let detail =
                format!("at most {NAMES_LIFTED_MAX} names go into one request: name none to unpause all");
            return Err(Error::refusal(ErrorType::Malformed, detail));
        }
        let read = |one: &UnreadIdentifier| one.value.parse::<Host>().map(|host| host.to_string());
        let names = identifiers.iter().map(read).collect::<Result<Vec<_>, _>>();
        let names = names.map_err(|bad| Error::refusal(ErrorType::Malformed, bad.to_string()))?;
        let evidence = UnpausedEvidence { account: account.id, names: &names };
        let record = self.record(RecordType::PausesLifted, Some(account.id), Some(caller), &evidence)?;
        let names = self.store.pauses_lift(account.id, names, vec![record]).await?;
        Ok(Unpaused { has_more: names.len() == PAUSES_LIFTED_MAX, names })
    }

    /// Forgets what limits need not remember any more.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails; the next sweep does what is left.
    pub async fn limits_sweep(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let mut after = None;
        for _ in 0..SWEEP_STEPS_MAX {
            after = self.store.limit_buckets_sweep(after, now).await?;
            if after.is_none() {
                break;
            }
        }
        // Without a rule nothing is counted, and what was counted goes.
        let forgotten_after =
            self.policy().rate_limits.pauses.map_or(Duration::ZERO, |rule| rule.forgotten_after);
        let mut after = None;
        for _ in 0..SWEEP_STEPS_MAX {
            after = self.store.pauses_sweep(after, forgotten_after, now).await?;
            if after.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// A reached limit, in words.
    pub fn limited(&self, limited: Limited) -> Error {
        let Limited { limit, subject, in_force, next_at } = limited;
        metrics::counter!("ingam_rate_limited_total", "limit" => limit.name()).increment(1);
        let wait = whole_seconds(next_at.since(self.clock.now()));
        let mut detail = format!(
            "the limit {limit} is reached for {subject}: {in_force}; try again in {} s, at {}",
            wait.as_secs(),
            next_at.plus(Duration::from_millis(999)).to_rfc3339()
        );
        if let Some(help) = &self.policy().rate_limits.help {
            detail.push_str(&format!("; see {help}"));
        }
        let refusal = Refusal::new(ErrorType::RateLimited, detail);
        Refusal { retry_after: Some(wait), ..refusal }.into()
    }

    /// What came of an order or an authorization for these identifiers: a refusal, unless it is in.
    pub(crate) fn admitted(&self, admitted: Admitted, identifiers: &[Identifier]) -> Result<(), Error> {
        match admitted {
            Admitted::Yes => Ok(()),
            Admitted::Missing => Err(Error::refusal(ErrorType::Unauthorized, "the account was deactivated")),
            Admitted::Limited(limited) => Err(self.limited(limited)),
            Admitted::Replaced(other) => Err(already_replaced(other)),
            Admitted::Paused(paused) => {
                metrics::counter!("ingam_rate_limited_total", "limit" => "paused").increment(1);
                Err(paused_refusal(&self.policy(), &paused, identifiers, self.clock.now()).into())
            }
        }
    }
}

fn paused_refusal(policy: &Policy, paused: &[Pause], identifiers: &[Identifier], now: Timestamp) -> Refusal {
    let limits = &policy.rate_limits;
    let remedy = format!(
        "mend what fails, then POST {{\"identifiers\":[]}} to {}, signed by the account",
        limits.unpause_url
    );
    let of = |pause: &Pause| {
        let identifier = identifiers.iter().find(|one| one.host().to_string() == pause.name)?;
        let detail = format!(
            "{} checks failed one after another, from {} to {}: {remedy}",
            pause.failures, pause.first, pause.last
        );
        Some(Subproblem::of(identifier, ErrorType::RateLimited, detail))
    };
    let subproblems: Vec<Subproblem> = paused.iter().filter_map(of).collect();
    let names: Vec<&str> = paused.iter().map(|pause| pause.name.as_str()).collect();
    let detail = format!("this account is paused for {}: {remedy}", names.join(", "));
    // A pause ends by itself, too, late.
    let ends = paused.iter().map(|pause| pause.last).max();
    let ends = ends.zip(limits.pauses).map(|(last, rule)| last.plus(rule.forgotten_after).since(now));
    let refusal = Refusal::new(ErrorType::RateLimited, detail);
    Refusal { subproblems, retry_after: ends.map(whole_seconds), ..refusal }
}

/// Rounded up: whoever comes then does not come too early.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1))
}
