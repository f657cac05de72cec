//! Acts that can be set to need two people: written down whole, so that what the second one agrees to is what is done.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ingam_authority::operator::{Act, ActError, NewApproval, Outcome};
use ingam_protocol::operator::{Principal, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Operator;
use crate::acts::{self, Rule};
use crate::admission::count;
use crate::api::{CaseDisclosing, Done, RevocationRequest, RoleChange, Waiting};
use crate::around::Caller;
use crate::extract;
use crate::problem::Problem;
use crate::view;

/// How long an act waits for a second person.
const APPROVAL_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A dangerous act, with everything that it needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case")]
pub(crate) enum Deed {
    /// Revoke many certificates.
    RevocationStart(RevocationRequest),
    /// Give a role.
    RoleGrant(RoleChange),
    /// Take a role.
    RoleTake(RoleChange),
    /// Let a blocked key be used again.
    KeyUnblock {
        /// The key's, or the hash of its SubjectPublicKeyInfo.
        thumbprint: String,
        /// Why.
        reason: String,
    },
    /// Give out personal data.
    CaseDisclose {
        /// For which case.
        case: String,
        /// What.
        disclosing: CaseDisclosing,
    },
}

impl Deed {
    pub(crate) fn rule(&self) -> &'static Rule {
        match self {
            Self::RevocationStart(_) => &acts::REVOCATION_START,
            Self::RoleGrant(_) => &acts::ROLE_GRANT,
            Self::RoleTake(_) => &acts::ROLE_TAKE,
            Self::KeyUnblock { .. } => &acts::KEY_UNBLOCK,
            Self::CaseDisclose { .. } => &acts::CASE_DISCLOSE,
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::RevocationStart(request) => &request.reason,
            Self::RoleGrant(change) | Self::RoleTake(change) => &change.reason,
            Self::KeyUnblock { reason, .. } => reason,
            Self::CaseDisclose { disclosing, .. } => &disclosing.reason,
        }
    }

    /// The status of an answer that says it was done.
    fn status(&self) -> StatusCode {
        match self {
            Self::RevocationStart(_) => StatusCode::CREATED,
            Self::RoleGrant(_) | Self::RoleTake(_) | Self::KeyUnblock { .. } | Self::CaseDisclose { .. } => {
                StatusCode::OK
            }
        }
    }

    /// Refuses values that make no sense, before anybody is asked to agree to them.
    fn check(&self) -> Result<(), Problem> {
        match self {
            Self::RevocationStart(request) => view::planned_job(request).map(drop),
            Self::RoleGrant(change) | Self::RoleTake(change) => read_change(change).map(drop),
            Self::KeyUnblock { thumbprint, .. } => extract::key_name(thumbprint).map(drop),
            Self::CaseDisclose { disclosing, .. } => view::new_disclosure(disclosing).map(drop),
        }
    }
}

impl Operator {
    /// Does the deed, or puts it down until a second person agrees.
    pub(crate) async fn ask_or_do(&self, caller: &Caller, deed: Deed) -> Result<Response, Problem> {
        let rule = deed.rule();
        let what = serde_json::to_value(&deed).unwrap_or_default();
        let act = self.admit(caller, rule, what, Some(deed.reason())).await?;
        deed.check()?;
        if !rule.danger.is_some_and(|danger| self.two_people.contains(&danger)) {
            let done = self.carry_out(&act, &deed).await?;
            return Ok((deed.status(), Json(done)).into_response());
        }
        let new = NewApproval { act: rule.name, request: raw(&deed)?, lifetime: APPROVAL_LIFETIME };
        let approval = match self.authority.approval_ask(&act, new).await {
            Ok(approval) => approval,
            Err(error) => return Err(self.not_done(rule, &act, error).await),
        };
        count(rule.name, Outcome::Waiting);
        let waiting = Waiting { approval: approval.id.to_string(), expires: approval.expires.to_rfc3339() };
        Ok((StatusCode::ACCEPTED, Json(waiting)).into_response())
    }

    /// Does an admitted deed. What it answers is JSON of the type that its route tells.
    pub(crate) async fn carry_out(&self, act: &Act, deed: &Deed) -> Result<Value, Problem> {
        let result = match deed {
            Deed::RevocationStart(request) => {
                let planned = view::planned_job(request)?;
                let started = self.authority.revocation_job_start(act.clone(), planned).await;
                started.map(|job| value(&view::job(&job)))
            }
            Deed::RoleGrant(change) => {
                let (principal, role, label) = read_change(change)?;
                let granted = self.authority.role_grant(act, principal, role, label).await;
                granted.map(|grant| value(&view::grant(&grant)))
            }
            Deed::RoleTake(change) => {
                let (principal, role, _) = read_change(change)?;
                let taken = self.authority.role_take(act, principal, role).await;
                taken.map(|()| done(format!("{principal} has not the role {role} any more")))
            }
            Deed::KeyUnblock { thumbprint, .. } => {
                let unblocked = self.authority.key_unblock(act, extract::key_name(thumbprint)?).await;
                unblocked.map(|()| done(format!("the key {thumbprint} may be used again")))
            }
            Deed::CaseDisclose { case, disclosing } => {
                let new = view::new_disclosure(disclosing)?;
                let disclosed = self.authority.case_disclose(act, case, new).await;
                disclosed.map(|case| value(&view::case(&case)))
            }
        };
        self.finish(deed.rule(), act, result).await
    }
}

fn read_change(change: &RoleChange) -> Result<(Principal, Role, Option<String>), Problem> {
    let principal: Principal = change
        .principal
        .parse()
        .map_err(|bad: ingam_protocol::operator::NotAPrincipal| Problem::invalid(bad.to_string()))?;
    let role = Role::from_name(&change.role)
        .ok_or_else(|| Problem::invalid("the roles are administrator, revoker, auditor and support"))?;
    let label = extract::reason(change.label.as_deref())
        .map_err(|_| Problem::invalid("a label is one line of text without control characters"))?;
    Ok((principal, role, label.map(|label| label.chars().take(128).collect())))
}

fn raw(deed: &Deed) -> Result<Box<RawValue>, Problem> {
    serde_json::value::to_raw_value(deed).map_err(|_| Problem::invalid("the request cannot be written down"))
}

fn value(answer: &impl Serialize) -> Value {
    // Types of `api` are plain data: they are always written.
    serde_json::to_value(answer).unwrap_or_default()
}

fn done(sentence: String) -> Value {
    value(&Done { done: sentence })
}

/// A deed that was put down, as it was.
pub(crate) fn read_deed(request: &RawValue) -> Result<Deed, ActError> {
    serde_json::from_str(request.get())
        .map_err(|_| ActError::Conflict("this was asked for by another version: ask for it anew".to_owned()))
}
