//! Incidents: certificates that are gathered until they are revoked together.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::revocations::PageAsked;
use crate::Operator;
use crate::acts;
use crate::admission::read;
use crate::api::{Incident, IncidentExplanation, IncidentGrown, IncidentOpening, Page, Serials};
use crate::around::Caller;
use crate::extract::{self, Asked, Named, Sent};
use crate::problem::{Problem, Problems};
use crate::view;

/// Incidents by name.
#[utoipa::path(get, path = "/v1/incidents", tag = "incidents", params(PageAsked),
    responses((status = 200, body = Page<Incident>), Problems))]
pub(crate) async fn incidents(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<PageAsked>,
) -> Result<Json<Page<Incident>>, Problem> {
    let rule = &acts::INCIDENT_LIST;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let found = read(move || authority.incidents(asked.after.as_deref(), limit)).await?;
    let found = operator.finish(rule, &act, found).await?;
    let next = |place: &[u8]| String::from_utf8_lossy(place).into_owned();
    Ok(Json(view::page(found, next, |incident| view::incident(&incident))))
}

/// Opens an incident.
#[utoipa::path(post, path = "/v1/incidents", tag = "incidents", request_body = IncidentOpening,
    responses((status = 201, body = Incident), Problems))]
pub(crate) async fn open(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<IncidentOpening>,
) -> Result<(StatusCode, Json<Incident>), Problem> {
    let rule = &acts::INCIDENT_OPEN;
    let act = operator.admit(&caller, rule, json!({ "incident": sent.name }), Some(&sent.summary)).await?;
    let summary = act.reason.clone().ok_or_else(|| Problem::invalid("say in \"summary\" what happened"))?;
    let opened = operator.authority.incident_open(&act, &sent.name, summary, sent.explanation_url).await;
    Ok((StatusCode::CREATED, Json(view::incident(&operator.finish(rule, &act, opened).await?))))
}

/// An incident.
#[utoipa::path(get, path = "/v1/incidents/{name}", tag = "incidents", params(("name" = String, Path)),
    responses((status = 200, body = Incident), Problems))]
pub(crate) async fn incident(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
) -> Result<Json<Incident>, Problem> {
    let rule = &acts::INCIDENT_SHOW;
    let act = operator.admit(&caller, rule, json!({ "incident": name }), None).await?;
    let found = operator.authority.incident(&name);
    Ok(Json(view::incident(&operator.finish(rule, &act, found).await?)))
}

/// Puts certificates into an incident.
#[utoipa::path(post, path = "/v1/incidents/{name}/certificates", tag = "incidents",
    params(("name" = String, Path)), request_body = Serials,
    responses((status = 200, body = IncidentGrown), Problems))]
pub(crate) async fn add(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Serials>,
) -> Result<Json<IncidentGrown>, Problem> {
    let rule = &acts::INCIDENT_ADD;
    let what = json!({ "incident": name, "serials": sent.serials.len() });
    let act = operator.admit(&caller, rule, what, None).await?;
    let serials: Vec<_> = sent.serials.iter().map(|text| extract::serial(text)).collect::<Result<_, _>>()?;
    let grown = operator.authority.incident_add(&act, &name, serials).await;
    let grown = operator.finish(rule, &act, grown).await?;
    Ok(Json(IncidentGrown { added: grown.added, known: grown.known, missing: grown.missing }))
}

/// Says where subscribers read why their certificates should be renewed early; without a URL, nowhere.
#[utoipa::path(post, path = "/v1/incidents/{name}/explanation", tag = "incidents",
    params(("name" = String, Path)), request_body = IncidentExplanation,
    responses((status = 200, body = Incident), Problems))]
pub(crate) async fn explain(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<IncidentExplanation>,
) -> Result<Json<Incident>, Problem> {
    let rule = &acts::INCIDENT_EXPLAIN;
    let what = json!({ "incident": name, "explanation_url": sent.explanation_url });
    let act = operator.admit(&caller, rule, what, None).await?;
    let explained = operator.authority.incident_explain(&act, &name, sent.explanation_url).await;
    Ok(Json(view::incident(&operator.finish(rule, &act, explained).await?)))
}
