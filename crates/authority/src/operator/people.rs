//! Roles, and acts that wait for a second person.

use std::collections::BTreeSet;
use std::time::Duration;

use ingam_protocol::Id;
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::RecordType;
use ingam_store::{Approval, ApprovalDecision, GRANTS_MAX, Grant, RoleTaken};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::page::page_by_weight;
use super::{Act, ActError, Found, Outcome};
use crate::Authority;
use crate::error::Error;

/// At most this many acts that wait, or waited, are looked at for those that wait.
const ASKED_MAX: usize = 200;

/// An act to be put down until a second person agrees.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// The act's name.
    pub act: &'static str,
    /// What exactly is to be done.
    pub request: Box<RawValue>,
    /// How long it can be agreed to.
    pub lifetime: Duration,
}

/// Somebody's word on an act that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It is to be done.
    Approved,
    /// It is not.
    Refused,
}

#[derive(Serialize)]
struct TakenEvidence {
    principal: Principal,
    role: Role,
    by: Principal,
    reason: String,
}

impl Authority {
    /// The roles that somebody has now.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn roles_of(&self, principal: Principal) -> Result<BTreeSet<Role>, Error> {
        Ok(self.store.roles_of(principal)?)
    }

    /// All grants in force.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn role_grants(&self) -> Result<Vec<Grant>, ActError> {
        Ok(self.store.role_grants()?)
    }

    /// Gives a role.
    ///
    /// # Errors
    /// [`ActError::Conflict`] if the principal has it already, or if there are too many grants; [`ActError::Fault`].
    pub async fn role_grant(
        &self,
        act: &Act,
        principal: Principal,
        role: Role,
        label: Option<String>,
    ) -> Result<Grant, ActError> {
        if self.store.role_grants()?.len() >= GRANTS_MAX {
            return Err(ActError::conflict("there are too many grants: take those that nobody needs"));
        }
        let grant = Grant {
            principal,
            role,
            label,
            by: Some(act.operator),
            at: self.clock.now(),
            reason: act.reason.clone().unwrap_or_default(),
        };
        let record = self.record(RecordType::RoleGranted, None, None, &grant)?;
        if !self.store.role_grant(grant.clone(), vec![record, self.act_done(act)?]).await? {
            return Err(ActError::conflict(format!("{principal} has the role {role} already")));
        }
        tracing::info!(%principal, %role, by = %act.operator, "a role was granted");
        Ok(grant)
    }

    /// Takes a role away.
    ///
    /// # Errors
    /// [`ActError::NotFound`] if there is no such grant, [`ActError::Conflict`] if it is the last administrator's;
    /// [`ActError::Fault`].
    pub async fn role_take(&self, act: &Act, principal: Principal, role: Role) -> Result<(), ActError> {
        let reason = act.reason.clone().unwrap_or_default();
        let evidence = TakenEvidence { principal, role, by: act.operator, reason };
        let record = self.record(RecordType::RoleTaken, None, None, &evidence)?;
        match self.store.role_take(principal, role, vec![record, self.act_done(act)?]).await? {
            RoleTaken::Yes => {
                tracing::info!(%principal, %role, by = %act.operator, "a role was taken away");
                Ok(())
            }
            RoleTaken::Missing => Err(ActError::not_found(format!("{principal} has not the role {role}"))),
            RoleTaken::LastAdministrator => Err(ActError::conflict(format!(
                "{principal} is the last administrator: make another one first"
            ))),
        }
    }

    /// Makes those administrators who are named in the configuration and are none yet. Gives how many were made.
    ///
    /// # Errors
    /// [`Error::Fault`] if it could not be made durable.
    pub async fn administrators_ensure(&self, principals: &[Principal]) -> Result<usize, Error> {
        let mut made = 0;
        for principal in principals {
            if self.store.roles_of(*principal)?.contains(&Role::Administrator) {
                continue;
            }
            let grant = Grant {
                principal: *principal,
                role: Role::Administrator,
                label: None,
                by: None,
                at: self.clock.now(),
                reason: "named in the configuration (operator.administrators)".to_owned(),
            };
            let record = self.record(RecordType::RoleGranted, None, None, &grant)?;
            if self.store.role_grant(grant, vec![record]).await? {
                tracing::info!(%principal, "made an administrator by the configuration");
                made += 1;
            }
        }
        Ok(made)
    }

    /// Puts an act down until a second person agrees.
    ///
    /// # Errors
    /// [`ActError::Fault`] if it could not be made durable.
    pub async fn approval_ask(&self, act: &Act, new: NewApproval) -> Result<Approval, ActError> {
        let now = self.clock.now();
        let approval = Approval {
            id: Id::new(now, self.random.as_ref()),
            act: new.act.to_owned(),
            request: new.request,
            by: act.operator,
            at: now,
            expires: now.plus(new.lifetime),
            reason: act.reason.clone().unwrap_or_default(),
            decision: None,
        };
        let record = self.record(RecordType::ApprovalChanged, None, None, &approval)?;
        let acted = self.act_record(RecordType::OperatorActed, act, Outcome::Waiting, None, None)?;
        self.store.approval_insert(approval.clone(), vec![record, acted]).await?;
        Ok(approval)
    }

    /// The act of this name that waits or waited.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub fn approval(&self, id: Id) -> Result<Approval, ActError> {
        let found = self.store.approval_by_id(id)?;
        found.ok_or_else(|| {
            ActError::not_found(format!("nothing of the name {id} waits or waited for approval"))
        })
    }

    /// Acts that wait or waited, oldest first. A page is short where much was asked for.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn approvals(&self, after: Option<Id>, limit: usize) -> Result<Found<Approval>, ActError> {
        let read = |after, limit| self.store.approvals(after, limit);
        page_by_weight(after, limit, read, |approval| (approval.id, approval.request.get().len()))
    }

    /// Acts that wait for a second person now, the oldest first. Of all acts that were asked for, the last
    /// [`ASKED_MAX`] are looked at: those before them ran out long ago, unless somebody asks without end.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn approvals_waiting(&self) -> Result<Vec<Approval>, ActError> {
        let now = self.clock.now();
        let latest = self.store.approvals_latest(ASKED_MAX)?;
        let waits = |approval: &Approval| approval.decision.is_none() && approval.expires > now;
        Ok(latest.into_iter().rev().filter(waits).collect())
    }

    /// Writes down what the second person says. Whoever gets an approval back carries the act out, once.
    ///
    /// # Errors
    /// [`ActError::NotFound`]; [`ActError::Conflict`] if it was decided before, ran out, or is one's own to approve;
    /// [`ActError::Fault`].
    pub async fn approval_decide(&self, act: &Act, id: Id, decided: Decided) -> Result<Approval, ActError> {
        let approval = self.approval(id)?;
        // Taking one's own wish back is anybody's right; agreeing to it takes somebody else.
        if decided == Decided::Approved && approval.by == act.operator {
            return Err(ActError::conflict(
                "you asked for this yourself: a second person has to agree to it",
            ));
        }
        let decision = ApprovalDecision {
            approved: decided == Decided::Approved,
            by: act.operator,
            at: self.clock.now(),
            reason: act.reason.clone().unwrap_or_default(),
        };
        let told =
            json!({ "approval": id, "act": approval.act, "asked_by": approval.by, "decision": decision });
        let record = self.record(RecordType::ApprovalChanged, None, None, &told)?;
        let records = vec![record, self.act_done(act)?];
        if !self.store.approval_decide(id, decision.clone(), records).await? {
            return Err(ActError::conflict("this was decided before, or its time is over: ask for it anew"));
        }
        Ok(Approval { decision: Some(decision), ..approval })
    }
}
