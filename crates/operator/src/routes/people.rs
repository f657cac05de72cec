//! Roles, and acts that wait for a second person.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use ingam_authority::operator::{Act, ActError, Decided};
use ingam_protocol::Id;
use serde_json::{Value, json};

use super::orders::id_text;
use super::revocations::PageAsked;
use crate::Operator;
use crate::acts;
use crate::admission::{read, to_its_end};
use crate::api::{Approval, ApprovalDecision, Done, Grant, Page, Reason, RoleChange, Waiting};
use crate::around::Caller;
use crate::deeds::{Deed, read_deed};
use crate::extract::{self, Asked, Named, Sent, optional};
use crate::problem::{Problem, Problems};
use crate::view;

/// All roles that somebody has.
#[utoipa::path(get, path = "/v1/roles", tag = "operators",
    responses((status = 200, body = Page<Grant>), Problems))]
pub(crate) async fn roles(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
) -> Result<Json<Page<Grant>>, Problem> {
    let rule = &acts::ROLE_LIST;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let authority = operator.authority.clone();
    let grants = read(move || authority.role_grants()).await?;
    let grants = operator.finish(rule, &act, grants).await?;
    Ok(Json(Page { items: grants.iter().map(view::grant).collect(), next: None }))
}

/// Gives a role.
#[utoipa::path(post, path = "/v1/roles/grant", tag = "operators", request_body = RoleChange,
    responses((status = 200, body = Grant), (status = 202, body = Waiting, description = "waits for a second person"),
        Problems))]
pub(crate) async fn grant(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<RoleChange>,
) -> Result<Response, Problem> {
    operator.ask_or_do(&caller, Deed::RoleGrant(sent)).await
}

/// Takes a role away, unless it is the last administrator's.
#[utoipa::path(post, path = "/v1/roles/take", tag = "operators", request_body = RoleChange,
    responses((status = 200, body = Done), (status = 202, body = Waiting, description = "waits for a second person"),
        Problems))]
pub(crate) async fn take(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<RoleChange>,
) -> Result<Response, Problem> {
    operator.ask_or_do(&caller, Deed::RoleTake(sent)).await
}

/// Acts that wait for a second person, or waited, oldest first.
#[utoipa::path(get, path = "/v1/approvals", tag = "operators", params(PageAsked),
    responses((status = 200, body = Page<Approval>), Problems))]
pub(crate) async fn approvals(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Page<Approval>>, Problem> {
    let rule = &acts::APPROVAL_LIST;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let after = optional(asked.after.as_ref(), extract::id)?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let found = read(move || authority.approvals(after, limit)).await?;
    let found = operator.finish(rule, &act, found).await?;
    let now = operator.authority.clock().now();
    Ok(Json(view::page(found, id_text, |approval| view::approval(&approval, now))))
}

/// An act that waits for a second person, or waited.
#[utoipa::path(get, path = "/v1/approvals/{id}", tag = "operators", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    responses((status = 200, body = Approval), Problems))]
pub(crate) async fn approval(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Approval>, Problem> {
    let rule = &acts::APPROVAL_LIST;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let found = operator.authority.approval(extract::id(&name)?);
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::approval(&found, operator.authority.clock().now())))
}

/// Agrees to an act, which is done at once: it takes the role that the act takes, and another person than asked.
#[utoipa::path(post, path = "/v1/approvals/{id}/approve", tag = "operators", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = Reason, responses((status = 200, body = ApprovalDecision), Problems))]
pub(crate) async fn approve(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Json<ApprovalDecision>, Problem> {
    operator.decide(&caller, &name, Decided::Approved, &sent).await
}

/// Refuses an act for good; whoever asked may take it back this way too.
#[utoipa::path(post, path = "/v1/approvals/{id}/refuse", tag = "operators", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = Reason, responses((status = 200, body = ApprovalDecision), Problems))]
pub(crate) async fn refuse(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Json<ApprovalDecision>, Problem> {
    operator.decide(&caller, &name, Decided::Refused, &sent).await
}

impl Operator {
    async fn decide(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        decided: Decided,
        sent: &Reason,
    ) -> Result<Json<ApprovalDecision>, Problem> {
        // Whoever may not see what waits is told no more than that.
        self.admit(caller, &acts::APPROVAL_LIST, Value::Null, None).await?;
        let waiting = self.authority.approval(extract::id(name)?).map_err(Problem::from)?;
        let deed = read_deed(&waiting.request).map_err(Problem::from)?;
        let what = json!({ "approval": name, "decided": decided == Decided::Approved });
        let rule = deed.rule();
        let act = self.admit(caller, rule, what, Some(&sent.reason)).await?;
        // Whoever asked may have lost the role since: what only that one wanted is not done then.
        if decided == Decided::Approved && !rule.allows(&self.authority.roles_of(waiting.by)?) {
            let gone = format!("{} asked for this and may not do it any more: refuse it", waiting.by);
            return self.finish(rule, &act, Err(ActError::Conflict(gone))).await;
        }
        let operator = self.clone();
        // What was agreed to is done: nobody can agree to it again.
        to_its_end(async move { operator.decide_and_do(act, waiting.id, decided, deed).await }).await?
    }

    async fn decide_and_do(
        &self,
        mut act: Act,
        id: Id,
        decided: Decided,
        deed: Deed,
    ) -> Result<Json<ApprovalDecision>, Problem> {
        let rule = deed.rule();
        let written = self.authority.approval_decide(&act, id, decided).await;
        let approval = match (written, decided) {
            // Counted when it is done.
            (Ok(approval), Decided::Approved) => approval,
            (written, _) => self.finish(rule, &act, written).await?,
        };
        let result = match decided {
            Decided::Refused => None,
            Decided::Approved => {
                act.asked_by = Some(approval.by);
                act.what = serde_json::to_value(&deed).unwrap_or_default();
                act.reason = Some(approval.reason.clone());
                Some(self.carry_out(&act, &deed).await?)
            }
        };
        let approval = view::approval(&approval, self.authority.clock().now());
        Ok(Json(ApprovalDecision { approval, result }))
    }
}
