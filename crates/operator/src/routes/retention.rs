//! Retention: the schedule in force, the sweep, and holds.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingam_authority::Fault;
use ingam_authority::operator::{ActError, NewHold, Outcome};
use ingam_retention::Error;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::orders::ReasonAsked;
use crate::Operator;
use crate::acts;
use crate::admission::{read, to_its_end};
use crate::api::{
    Page, Reason, RecordHold, RecordHoldRenewal, RecordHolding, RetentionReport, RetentionState,
    RetentionSweep,
};
use crate::around::Caller;
use crate::extract::{self, Asked, Named, Sent, optional};
use crate::problem::{Problem, Problems};
use crate::view;

/// The schedule in force, and how the sweep fares.
#[utoipa::path(get, path = "/v1/retention", tag = "retention",
    responses((status = 200, body = RetentionState), Problems))]
pub(crate) async fn retention_state(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
) -> Result<Json<RetentionState>, Problem> {
    let rule = &acts::RETENTION_SHOW;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let state = view::retention(&operator.retention);
    Ok(Json(operator.finish(rule, &act, Ok(state)).await?))
}

/// What a sweep would do now, and what holds keep: nothing is changed.
#[utoipa::path(get, path = "/v1/retention/due", tag = "retention",
    responses((status = 200, body = RetentionReport), Problems))]
pub(crate) async fn retention_due(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
) -> Result<Json<RetentionReport>, Problem> {
    let rule = &acts::RETENTION_DUE;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let retention = operator.retention.clone();
    let looked = operator.search(move || retention.dry_run()).await?;
    let report = operator.finish(rule, &act, looked.map_err(refused)).await?;
    Ok(Json(view::retention_report(&report)))
}

/// Sweeps now, as is done each hour.
#[utoipa::path(post, path = "/v1/retention/sweep", tag = "retention", request_body = RetentionSweep,
    responses((status = 200, body = RetentionReport), Problems))]
pub(crate) async fn sweep(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<RetentionSweep>,
) -> Result<Json<RetentionReport>, Problem> {
    let rule = &acts::RETENTION_SWEEP;
    let what = if sent.confirm { json!({ "confirm": true }) } else { Value::Null };
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let (retention, authority, done) = (operator.retention.clone(), operator.authority.clone(), act.clone());
    let swept = to_its_end(async move {
        if sent.confirm {
            retention.confirm().await.map_err(refused)?;
        }
        let report = retention.sweep().await.map_err(refused)?;
        // What went has receipts of its own; this says who asked for it.
        authority.act_ended(&done, Outcome::Done, None).await.map_err(ActError::from)?;
        Ok(report)
    });
    let report = operator.finish(rule, &act, swept.await?).await?;
    Ok(Json(view::retention_report(&report)))
}

/// Which holds, and why.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HoldsAsked {
    /// The `next` of the page before.
    #[param(max_length = 22)]
    after: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Why, for the record.
    #[param(max_length = 1000)]
    reason: Option<String>,
}

/// All holds, oldest first, those that ended among them: personal data, as they say whom a case is about.
#[utoipa::path(get, path = "/v1/holds", tag = "retention", params(HoldsAsked),
    responses((status = 200, body = Page<RecordHold>), Problems))]
pub(crate) async fn record_holds(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<HoldsAsked>,
) -> Result<Json<Page<RecordHold>>, Problem> {
    let rule = &acts::RECORD_HOLD_LIST;
    let act = operator.admit(&caller, rule, Value::Null, asked.reason.as_deref()).await?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let after = optional(asked.after.as_ref(), extract::id)?;
    let found = read(move || authority.hold_list(after, limit)).await?;
    let found = operator.read_out(rule, &act, found).await?;
    let now = operator.authority.clock().now();
    let next = found.items.last().filter(|_| found.next.is_some()).map(|last| last.id.to_string());
    Ok(Json(Page { items: found.items.iter().map(|hold| view::record_hold(hold, now)).collect(), next }))
}

/// A hold.
#[utoipa::path(get, path = "/v1/holds/{id}", tag = "retention",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$"), ReasonAsked),
    responses((status = 200, body = RecordHold), Problems))]
pub(crate) async fn record_hold(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Asked(asked): Asked<ReasonAsked>,
) -> Result<Json<RecordHold>, Problem> {
    let rule = &acts::RECORD_HOLD_LIST;
    let act = operator.admit(&caller, rule, json!({ "hold": name }), asked.reason.as_deref()).await?;
    let found = operator.authority.hold(extract::id(&name)?);
    let hold = operator.read_out(rule, &act, found).await?;
    Ok(Json(view::record_hold(&hold, operator.authority.clock().now())))
}

/// Opens a hold: no sweep and no erasure takes what it is about.
#[utoipa::path(post, path = "/v1/holds", tag = "retention", request_body = RecordHolding,
    responses((status = 201, body = RecordHold), Problems))]
pub(crate) async fn open_record_hold(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<RecordHolding>,
) -> Result<(StatusCode, Json<RecordHold>), Problem> {
    let rule = &acts::RECORD_HOLD_OPEN;
    let what = json!({ "case": sent.case, "scope": sent.scope });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let owner = extract::reason(sent.owner.as_deref())?.unwrap_or_else(|| act.operator.to_string());
    let (scope, ends) = (view::new_scope(&sent.scope)?, extract::time(&sent.ends)?);
    let new = NewHold { case: sent.case, owner, scope, ends };
    let opened = operator.authority.hold_open(&act, new).await;
    let hold = operator.finish(rule, &act, opened).await?;
    Ok((StatusCode::CREATED, Json(view::record_hold(&hold, operator.authority.clock().now()))))
}

/// Moves the end of a hold that is in force.
#[utoipa::path(post, path = "/v1/holds/{id}/renew", tag = "retention",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")), request_body = RecordHoldRenewal,
    responses((status = 200, body = RecordHold), Problems))]
pub(crate) async fn renew_record_hold(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<RecordHoldRenewal>,
) -> Result<Json<RecordHold>, Problem> {
    let rule = &acts::RECORD_HOLD_RENEW;
    let act = operator.admit(&caller, rule, json!({ "hold": name }), Some(&sent.reason)).await?;
    let (id, ends) = (extract::id(&name)?, extract::time(&sent.ends)?);
    let renewed = operator.authority.hold_renew(&act, id, ends).await;
    let hold = operator.finish(rule, &act, renewed).await?;
    Ok(Json(view::record_hold(&hold, operator.authority.clock().now())))
}

/// Releases a hold: what it kept goes with the next sweep, if its time is over.
#[utoipa::path(post, path = "/v1/holds/{id}/release", tag = "retention",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")), request_body = Reason,
    responses((status = 200, body = RecordHold), Problems))]
pub(crate) async fn release_record_hold(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Json<RecordHold>, Problem> {
    let rule = &acts::RECORD_HOLD_RELEASE;
    let act = operator.admit(&caller, rule, json!({ "hold": name }), Some(&sent.reason)).await?;
    let released = operator.authority.hold_release(&act, extract::id(&name)?).await;
    let hold = operator.finish(rule, &act, released).await?;
    Ok(Json(view::record_hold(&hold, operator.authority.clock().now())))
}

/// Whose mistake it is that it was not swept.
fn refused(error: Error) -> ActError {
    match error {
        Error::Leap { .. } => ActError::Conflict(error.to_string()),
        error => ActError::Fault(Fault {
            code: error.code(),
            doing: "sweeping out what had its time",
            passing: false,
            source: Box::new(error),
        }),
    }
}
