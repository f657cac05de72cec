//! Many certificates: counted, begun, watched, held.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use ingam_authority::operator::JobState;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::orders::id_text;
use crate::Operator;
use crate::acts;
use crate::admission::read;
use crate::api::{Page, Reason, RevocationJob, RevocationPlan, RevocationRequest, Selection, Waiting};
use crate::around::Caller;
use crate::deeds::Deed;
use crate::extract::{self, Asked, Named, Sent, optional};
use crate::problem::{Problem, Problems};
use crate::view;

/// Counts what a selection would revoke, and changes nothing.
#[utoipa::path(post, path = "/v1/revocations/plan", tag = "revocations", request_body = Selection,
    responses((status = 200, body = RevocationPlan), Problems))]
pub(crate) async fn plan(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<Selection>,
) -> Result<Json<RevocationPlan>, Problem> {
    let rule = &acts::REVOCATION_PLAN;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let selection = view::selection(&sent)?;
    let authority = operator.authority.clone();
    let plan = operator.search(move || authority.revocation_plan(&selection)).await?;
    Ok(Json(view::plan(&operator.finish(rule, &act, plan).await?)))
}

/// Begins to revoke everything that is selected. With another count than `expected`, nothing is revoked.
#[utoipa::path(post, path = "/v1/revocations", tag = "revocations", request_body = RevocationRequest,
    responses((status = 201, body = RevocationJob),
        (status = 202, body = Waiting, description = "waits for a second person"), Problems))]
pub(crate) async fn start(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<RevocationRequest>,
) -> Result<Response, Problem> {
    operator.ask_or_do(&caller, Deed::RevocationStart(sent)).await
}

/// A page of things that go by ids.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageAsked {
    /// The `next` of the page before.
    #[param(max_length = 260)]
    pub(crate) after: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<usize>,
}

/// Revocation jobs, oldest first.
#[utoipa::path(get, path = "/v1/revocations", tag = "revocations", params(PageAsked),
    responses((status = 200, body = Page<RevocationJob>), Problems))]
pub(crate) async fn jobs(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Page<RevocationJob>>, Problem> {
    let rule = &acts::REVOCATION_LIST;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let after = optional(asked.after.as_ref(), extract::id)?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let found = read(move || authority.revocation_jobs(after, limit)).await?;
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::page(found, id_text, |job| view::job(&job))))
}

/// A revocation job.
#[utoipa::path(get, path = "/v1/revocations/{id}", tag = "revocations", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    responses((status = 200, body = RevocationJob), Problems))]
pub(crate) async fn job(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<RevocationJob>, Problem> {
    let rule = &acts::REVOCATION_SHOW;
    let act = operator.admit(&caller, rule, json!({ "job": name }), None).await?;
    let job = operator.authority.revocation_job(extract::id(&name)?);
    Ok(Json(view::job(&operator.finish(rule, &act, job).await?)))
}

/// Holds a job: nothing more is revoked until it is taken up again.
#[utoipa::path(post, path = "/v1/revocations/{id}/pause", tag = "revocations", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = Reason, responses((status = 200, body = RevocationJob), Problems))]
pub(crate) async fn pause(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Json<RevocationJob>, Problem> {
    operator.turn_job(&caller, &name, JobState::Paused, &sent).await
}

/// Takes a held job up again.
#[utoipa::path(post, path = "/v1/revocations/{id}/resume", tag = "revocations", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = Reason, responses((status = 200, body = RevocationJob), Problems))]
pub(crate) async fn resume(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Json<RevocationJob>, Problem> {
    operator.turn_job(&caller, &name, JobState::Running, &sent).await
}

/// Gives a job up: what was revoked stays so.
#[utoipa::path(post, path = "/v1/revocations/{id}/cancel", tag = "revocations", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = Reason, responses((status = 200, body = RevocationJob), Problems))]
pub(crate) async fn cancel(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Json<RevocationJob>, Problem> {
    operator.turn_job(&caller, &name, JobState::Cancelled, &sent).await
}

impl Operator {
    async fn turn_job(
        &self,
        caller: &Caller,
        name: &str,
        to: JobState,
        sent: &Reason,
    ) -> Result<Json<RevocationJob>, Problem> {
        let rule = &acts::REVOCATION_HOLD;
        let what = json!({ "job": name, "state": to.name() });
        let act = self.admit(caller, rule, what, Some(&sent.reason)).await?;
        let turned = self.authority.revocation_job_turn(&act, extract::id(name)?, to).await;
        Ok(Json(view::job(&self.finish(rule, &act, turned).await?)))
    }
}
