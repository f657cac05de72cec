//! Who asks, how the CA fares, and its configuration read again.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::Operator;
use crate::acts;
use crate::admission::{count, to_its_end};
use crate::api::{Reason, Reload, WhoAmI};
use crate::around::Caller;
use crate::extract::Sent;
use crate::problem::{Problem, Problems};
use ingam_authority::operator::Outcome;

/// Whom the CA takes the caller for, and what that one may do.
#[utoipa::path(get, path = "/v1/whoami", tag = "operators",
    responses((status = 200, body = WhoAmI), Problems))]
pub(crate) async fn whoami(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
) -> Result<Json<WhoAmI>, Problem> {
    let roles = operator.authority.roles_of(caller.principal)?;
    let acts = acts::all().filter(|rule| rule.allows(&roles)).map(|rule| rule.name.to_owned());
    Ok(Json(WhoAmI {
        principal: caller.principal.to_string(),
        acts: acts.collect(),
        roles: roles.iter().map(ToString::to_string).collect(),
    }))
}

/// How each part of the CA fares.
#[utoipa::path(get, path = "/v1/status", tag = "health",
    responses((status = 200, body = Value, description = "roles, issuers, queues, storage"), Problems))]
pub(crate) async fn status(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    operator.admit(&caller, &acts::STATUS_SHOW, Value::Null, None).await?;
    count(acts::STATUS_SHOW.name, Outcome::Done);
    Ok(Json(operator.host.status().await))
}

/// Reads the configuration again; with a mistake in it nothing is changed.
#[utoipa::path(post, path = "/v1/reload", tag = "health", request_body = Reason,
    responses((status = 200, body = Reload), Problems))]
pub(crate) async fn reload(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<Reason>,
) -> Result<Json<Reload>, Problem> {
    let act = operator.admit(&caller, &acts::RELOAD, Value::Null, Some(&sent.reason)).await?;
    let (host, reloading) = (operator.host.clone(), act.clone());
    // Not left half done if the client hangs up.
    match to_its_end(async move { host.reload(&reloading).await }).await? {
        Ok(reloaded) => {
            count(acts::RELOAD.name, Outcome::Done);
            Ok(Json(reloaded))
        }
        Err(findings) => {
            count(acts::RELOAD.name, Outcome::Refused);
            let detail = "the configuration has mistakes: nothing was changed";
            operator.authority.act_ended(&act, Outcome::Refused, Some(detail)).await?;
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
            Err(Problem { findings, ..problem })
        }
    }
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/livez", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain"), Problems))]
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// Whether every part is ready, and what is lacking.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, body = Value), (status = 503, body = Value, description = "something is lacking"),
        (status = 400, body = crate::api::ApiProblem, content_type = "application/problem+json"),
        (status = 403, body = crate::api::ApiProblem, content_type = "application/problem+json"),
        (status = 405, body = crate::api::ApiProblem, content_type = "application/problem+json")))]
pub(crate) async fn readyz(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
) -> Result<Response, Problem> {
    // What is lacking is for those who may see the status; that something is, for everybody who gets this far.
    let roles: BTreeSet<_> = operator.authority.roles_of(caller.principal)?;
    let ready = operator.host.is_ready().await;
    let report = if acts::STATUS_SHOW.allows(&roles) {
        operator.host.status().await
    } else {
        serde_json::json!({ "ready": ready })
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, Json(report)).into_response())
}
