//! Rate limits: how they stand for somebody, limits of their own, and accounts that are paused.

use std::time::Duration;

use ingam_protocol::acme::{Account, AccountStatus, NewOrder, UnreadIdentifier};
use ingam_protocol::identifier::DnsName;
use ingam_protocol::limit::{Favoured, Limit, LimitName};
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Timestamp};
use ingam_store::{Demand, LimitOverride, Pause, Standing};
use serde::Serialize;

use super::{Act, ActError, Found};
use crate::Authority;
use crate::limits::DryRun;

/// At most this many names are shown of an account whose checks fail.
const PAUSES_SHOWN_MAX: usize = 100;

/// How limits stand for somebody.
#[derive(Clone, Debug)]
pub struct LimitsShown {
    /// The limits that are theirs.
    pub limits: Vec<Standing>,
    /// Limits of their own, in force or over.
    pub overrides: Vec<LimitOverride>,
    /// Names whose checks fail, and whether the account is paused for them: the first hundred.
    pub pauses: Vec<Pause>,
}

/// A limit that an operator wishes for somebody.
#[derive(Clone, Debug)]
pub struct OwnLimit {
    /// In the place of which limit.
    pub limit: LimitName,
    /// For whom.
    pub favoured: Favoured,
    /// How many in a period.
    pub count: u32,
    /// The period; without it, that of the ordinary limit.
    pub period: Option<Duration>,
    /// How many at once; without it, all.
    pub burst: Option<u32>,
    /// Until when.
    pub until: Timestamp,
}

#[derive(Serialize)]
struct OverrideEvidence<'a> {
    limit: LimitName,
    favoured: &'a Favoured,
    /// Nothing where it was taken back.
    own: Option<&'a LimitOverride>,
}

#[derive(Serialize)]
struct PausesEvidence<'a> {
    account: Id,
    /// What was asked for; nothing means all.
    names: &'a [String],
    operator: ingam_protocol::operator::Principal,
}

impl Authority {
    /// How limits stand for an account, or for a registered domain.
    ///
    /// # Errors
    /// [`ActError::NotFound`] for an account that is not there; [`ActError::Invalid`] for a name below a registered
    /// domain; [`ActError::Fault`].
    pub fn limits_of(&self, favoured: &Favoured) -> Result<LimitsShown, ActError> {
        let policy = self.policy();
        let limits = &policy.rate_limits;
        let (demands, pauses) = match favoured {
            Favoured::Account(id) => {
                let account = self.account_there(*id)?;
                let checks = self.store.failed_names(*id)?.into_iter();
                let checks = checks.filter_map(|name| limits.of_check(&account, name));
                let trials = limits.of_trial(*id);
                let demands = limits.of_orders(&account).into_iter().chain(checks).chain(trials).collect();
                (demands, self.store.pauses_of(*id, None, PAUSES_SHOWN_MAX)?)
            }
            Favoured::Domain(name) => {
                self.registered(name)?;
                let demands: Vec<Demand> = limits.of_domain(name.to_string()).into_iter().collect();
                (demands, Vec::new())
            }
        };
        let mut overrides = Vec::new();
        for limit in LimitName::ALL {
            overrides.extend(self.store.limit_override(*limit, favoured)?);
        }
        Ok(LimitsShown { limits: self.store.limits_standing(&demands, self.clock.now())?, overrides, pauses })
    }

    /// What an order of the account for these names would meet if it came now.
    ///
    /// # Errors
    /// [`ActError::NotFound`] for an account that is not there; [`ActError::Fault`].
    pub fn limits_dry_run(
        &self,
        account: Id,
        identifiers: Vec<UnreadIdentifier>,
        profile: Option<String>,
    ) -> Result<DryRun, ActError> {
        let account = self.account_there(account)?;
        let request = NewOrder { identifiers, not_before: None, not_after: None, profile, replaces: None };
        Ok(self.order_dry_run(&account, &request)?)
    }

    /// Limits of somebody's own, behind the place `after`, at most `limit`.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn limit_overrides(
        &self,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Found<LimitOverride>, ActError> {
        let items = self.store.limit_overrides(after, limit)?;
        let next = items.last().filter(|_| items.len() == limit).map(LimitOverride::place);
        Ok(Found { items, next })
    }

    /// Gives somebody a limit of their own, in place of any that they have. It holds from the next request on, begins with
    /// nothing spent, and ends by its date.
    ///
    /// # Errors
    /// [`ActError::Invalid`] if that limit is off, is none that they can have, or would be over already;
    /// [`ActError::NotFound`] for an account that is not there; [`ActError::Fault`].
    pub async fn limit_override_put(&self, act: &Act, wish: OwnLimit) -> Result<LimitOverride, ActError> {
        let now = self.clock.now();
        let OwnLimit { limit, favoured, count, period, burst, until } = wish;
        let ordinary = self.policy().rate_limits.limits.get(&limit).copied();
        let ordinary = ordinary.ok_or_else(|| {
            ActError::invalid(format!("the limit {limit} is off: there is nothing to have an exception from"))
        })?;
        match &favoured {
            Favoured::Account(id) if limit.yields_to_accounts() => drop(self.account_there(*id)?),
            Favoured::Domain(name) if limit.yields_to_domains() => self.registered(name)?,
            Favoured::Account(_) => {
                return Err(ActError::invalid(format!("{limit} counts addresses: no account has its own")));
            }
            Favoured::Domain(_) => {
                let only = LimitName::CertificatesPerRegisteredDomain;
                return Err(ActError::invalid(format!("a registered domain can have its own {only} alone")));
            }
        }
        if until <= now {
            return Err(ActError::invalid("the end lies in the past: give one that lies ahead"));
        }
        let in_force = Limit::new(count, period.unwrap_or(ordinary.period()), burst.unwrap_or(count))
            .map_err(|bad| ActError::invalid(bad.to_string()))?;
        let (by, reason) = (act.operator, act.reason.clone().unwrap_or_default());
        let own = LimitOverride { limit, favoured, in_force, until, by, at: now, reason };
        let evidence = OverrideEvidence { limit, favoured: &own.favoured, own: Some(&own) };
        let record = self.record(RecordType::LimitOverridden, None, None, &evidence)?;
        self.store.limit_override_put(own.clone(), vec![record, self.act_done(act)?]).await?;
        Ok(own)
    }

    /// Takes a limit of somebody's own back: the ordinary one holds from the next request on.
    ///
    /// # Errors
    /// [`ActError::NotFound`] if they have none; [`ActError::Fault`].
    pub async fn limit_override_forget(
        &self,
        act: &Act,
        limit: LimitName,
        favoured: Favoured,
    ) -> Result<(), ActError> {
        let evidence = OverrideEvidence { limit, favoured: &favoured, own: None };
        let record = self.record(RecordType::LimitOverridden, None, None, &evidence)?;
        let records = vec![record, self.act_done(act)?];
        if self.store.limit_override_delete(limit, favoured.clone(), records).await? {
            return Ok(());
        }
        Err(ActError::not_found(format!("there is no {limit} of its own for {favoured}")))
    }

    /// Lets an account order again for names that were paused, or for all of them if none is named. Gives the names.
    ///
    /// # Errors
    /// [`ActError::NotFound`] if the account is not there, or is paused for none of them; [`ActError::Fault`].
    pub async fn account_unpause(
        &self,
        act: &Act,
        account: Id,
        names: Vec<String>,
    ) -> Result<Vec<String>, ActError> {
        self.account_there(account)?;
        let evidence = PausesEvidence { account, names: &names, operator: act.operator };
        let record = self.record(RecordType::PausesLifted, Some(account), None, &evidence)?;
        let lifted = self.store.pauses_lift(account, names, vec![record, self.act_done(act)?]).await?;
        match lifted.is_empty() {
            false => Ok(lifted),
            true => Err(ActError::not_found("the account is not paused for any of these names")),
        }
    }

    pub(super) fn account_there(&self, id: Id) -> Result<Account, ActError> {
        let account = self.store.account_by_id(id)?;
        account
            .filter(|account| account.status() == AccountStatus::Valid)
            .ok_or_else(|| ActError::not_found("there is no such account, or it was deactivated"))
    }

    fn registered(&self, name: &DnsName) -> Result<(), ActError> {
        match self.policy().public_suffixes.registered_domain(name) {
            Some(registered) if registered == *name => Ok(()),
            Some(registered) => Err(ActError::invalid(format!(
                "{name} is no registered domain: limits are counted for {registered}"
            ))),
            None => Err(ActError::invalid(format!("{name} is a public suffix: name one that lies below it"))),
        }
    }
}
