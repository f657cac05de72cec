//! The log of OCSP requests. What goes on record here for years never says whom it is about.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingam_authority::Fault;
use ingam_authority::operator::{Act, ActError};
use ingam_responder::request_log::{self, Error, NewHold, Selection, network};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::orders::ReasonAsked;
use crate::Operator;
use crate::acts::{self, Rule};
use crate::admission::{read, to_its_end};
use crate::api::{
    Done, HeldRequest, Page, Reason, RequestHold, RequestHoldRenewal, RequestHolding, RequestHour,
    RequestLogState,
};
use crate::around::Caller;
use crate::extract::{self, Asked, Named, Sent, optional};
use crate::problem::{Problem, Problems};
use crate::view;

/// How the log of OCSP requests fares.
#[utoipa::path(get, path = "/v1/ocsp/log", tag = "ocsp",
    responses((status = 200, body = RequestLogState), Problems))]
pub(crate) async fn state(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
) -> Result<Json<RequestLogState>, Problem> {
    let rule = &acts::OCSP_LOG;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let log = operator.request_log.clone();
    let condition = read(move || log.condition()).await?;
    Ok(Json(view::request_log(&operator.finish(rule, &act, Ok(condition)).await?)))
}

/// Which hours.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HoursAsked {
    /// At this time or later (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    from: Option<String>,
    /// Before this time (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    until: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// The newest hours that were counted, oldest first.
#[utoipa::path(get, path = "/v1/ocsp/counts", tag = "ocsp", params(HoursAsked),
    responses((status = 200, body = Page<RequestHour>), Problems))]
pub(crate) async fn counts(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<HoursAsked>,
) -> Result<Json<Page<RequestHour>>, Problem> {
    let rule = &acts::OCSP_COUNTS;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let from = optional(asked.from.as_ref(), extract::time)?;
    let until = optional(asked.until.as_ref(), extract::time)?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let turn = operator.search_turn().await?;
    let found = to_its_end(async move {
        let _turn = turn;
        authority.requests_counted(from, until, limit).await
    });
    let found = operator.finish(rule, &act, found.await?).await?;
    let hours = found.iter().filter_map(|payload| serde_json::from_value(payload.clone()).ok());
    Ok(Json(Page { items: hours.map(|hour| view::request_hour(&hour)).collect(), next: None }))
}

/// The holds that are open. They name networks, so this is on record as personal data.
#[utoipa::path(get, path = "/v1/ocsp/holds", tag = "ocsp", params(ReasonAsked),
    responses((status = 200, body = Page<RequestHold>), Problems))]
pub(crate) async fn holds(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<ReasonAsked>,
) -> Result<Json<Page<RequestHold>>, Problem> {
    let rule = &acts::HOLD_LIST;
    let act = operator.admit(&caller, rule, Value::Null, asked.reason.as_deref()).await?;
    let log = operator.request_log.clone();
    let holds = read(move || log.holds()).await?;
    let holds = operator.read_out(rule, &act, Ok(holds)).await?;
    Ok(Json(Page { items: holds.iter().map(view::request_hold).collect(), next: None }))
}

/// A hold.
#[utoipa::path(get, path = "/v1/ocsp/holds/{id}", tag = "ocsp",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$"), ReasonAsked),
    responses((status = 200, body = RequestHold), Problems))]
pub(crate) async fn hold(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Asked(asked): Asked<ReasonAsked>,
) -> Result<Json<RequestHold>, Problem> {
    let rule = &acts::HOLD_LIST;
    let act = operator.admit(&caller, rule, json!({ "hold": name }), asked.reason.as_deref()).await?;
    let (log, id) = (operator.request_log.clone(), extract::id(&name)?);
    let found = read(move || log.hold(id)).await?.map_err(refused);
    Ok(Json(view::request_hold(&operator.read_out(rule, &act, found).await?)))
}

/// Opens a hold: requests that fit are kept beyond the end of their segments, those that are there and those that come.
#[utoipa::path(post, path = "/v1/ocsp/holds", tag = "ocsp", request_body = RequestHolding,
    responses((status = 201, body = RequestHold), Problems))]
pub(crate) async fn open_hold(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<RequestHolding>,
) -> Result<(StatusCode, Json<RequestHold>), Problem> {
    let rule = &acts::HOLD_OPEN;
    let what = json!({ "serials": sent.serials.len(), "networks": sent.networks.len() });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let ends = extract::time(&sent.ends)?;
    let owner = extract::reason(sent.owner.as_deref())?.unwrap_or_else(|| act.operator.to_string());
    let new = NewHold {
        selection: selection(&sent)?,
        owner: owner.chars().take(128).collect(),
        reason: act.reason.clone().unwrap_or_default(),
        ends,
    };
    let (log, record) = (operator.request_log.clone(), operator.authority.act_record_done(&act)?);
    let opened = to_its_end(async move { log.hold_open(new, vec![record]).await }).await?;
    let hold = operator.finish(rule, &act, opened.map_err(refused)).await?;
    Ok((StatusCode::CREATED, Json(view::request_hold(&hold))))
}

fn selection(sent: &RequestHolding) -> Result<Selection, Problem> {
    let serials = sent.serials.iter().take(request_log::SELECTED_MAX + 1).map(|text| extract::serial(text));
    let networks = sent.networks.iter().take(request_log::SELECTED_MAX + 1).map(|text| {
        network(text).ok_or_else(|| {
            Problem::invalid("a network is an address, or as 192.0.2.0/24, without bits behind its prefix")
        })
    });
    Ok(Selection {
        serials: serials.collect::<Result<_, _>>()?,
        networks: networks.collect::<Result<_, _>>()?,
        from: optional(sent.from.as_ref(), extract::time)?,
        until: optional(sent.until.as_ref(), extract::time)?,
    })
}

/// Moves the end of a hold.
#[utoipa::path(post, path = "/v1/ocsp/holds/{id}/renew", tag = "ocsp",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")), request_body = RequestHoldRenewal,
    responses((status = 200, body = Done), Problems))]
pub(crate) async fn renew_hold(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<RequestHoldRenewal>,
) -> Result<Json<Done>, Problem> {
    let rule = &acts::HOLD_RENEW;
    let act = operator.admit(&caller, rule, json!({ "hold": name }), Some(&sent.reason)).await?;
    let (id, ends) = (extract::id(&name)?, extract::time(&sent.ends)?);
    let reason = act.reason.clone().unwrap_or_default();
    let (log, record) = (operator.request_log.clone(), operator.authority.act_record_done(&act)?);
    let renewed = to_its_end(async move { log.hold_renew(id, ends, reason, vec![record]).await }).await?;
    let hold = operator.finish(rule, &act, renewed.map_err(refused)).await?;
    Ok(Json(Done { done: format!("the hold {id} ends at {} now", hold.ends) }))
}

/// Closes a hold: what it has is destroyed, key and file.
#[utoipa::path(post, path = "/v1/ocsp/holds/{id}/close", tag = "ocsp",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")), request_body = Reason,
    responses((status = 200, body = Done), Problems))]
pub(crate) async fn close_hold(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Json<Done>, Problem> {
    let rule = &acts::HOLD_CLOSE;
    let act = operator.admit(&caller, rule, json!({ "hold": name }), Some(&sent.reason)).await?;
    let id = extract::id(&name)?;
    let (log, record) = (operator.request_log.clone(), operator.authority.act_record_done(&act)?);
    let closed = to_its_end(async move { log.hold_close(id, vec![record]).await }).await?;
    operator.finish(rule, &act, closed.map_err(refused)).await?;
    Ok(Json(Done { done: format!("the hold {id} is closed, and what it had is destroyed") }))
}

/// Which of a hold's requests, and why.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HeldAsked {
    /// The `next` of the page before.
    #[param(max_length = 20)]
    after: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Why, for the record.
    #[param(max_length = 1000)]
    reason: Option<String>,
}

/// The requests of a hold, oldest first: personal data, on record with the reason.
#[utoipa::path(get, path = "/v1/ocsp/holds/{id}/requests", tag = "ocsp",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$"), HeldAsked),
    responses((status = 200, body = Page<HeldRequest>), Problems))]
pub(crate) async fn held_requests(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Asked(asked): Asked<HeldAsked>,
) -> Result<Json<Page<HeldRequest>>, Problem> {
    let rule = &acts::HOLD_REQUESTS;
    let act = operator.admit(&caller, rule, json!({ "hold": name }), asked.reason.as_deref()).await?;
    let (id, limit) = (extract::id(&name)?, extract::limit(asked.limit)?);
    let after = optional(asked.after.as_ref(), |text| {
        text.parse().map_err(|_| Problem::invalid("after is the next of a page before"))
    })?;
    let (log, turn) = (operator.request_log.clone(), operator.search_turn().await?);
    let found = to_its_end(async move {
        let _turn = turn;
        log.hold_requests(id, after.unwrap_or(0), limit).await
    });
    let found = operator.read_out(rule, &act, found.await?.map_err(refused)).await?;
    let items = found.requests.iter().map(view::held_request).collect();
    Ok(Json(Page { items, next: found.next.map(|next| next.to_string()) }))
}

impl Operator {
    /// What was read, once that it is read is on record.
    pub(super) async fn read_out<T>(
        &self,
        rule: &'static Rule,
        act: &Act,
        found: Result<T, ActError>,
    ) -> Result<T, Problem> {
        let recorded = match found {
            Ok(found) => {
                self.authority.personal_data_read(act, None).await.map(|()| found).map_err(ActError::from)
            }
            Err(error) => Err(error),
        };
        self.finish(rule, act, recorded).await
    }
}

/// Whose mistake it is that the log does not do it.
fn refused(error: Error) -> ActError {
    match error {
        Error::NoHold => ActError::NotFound(error.to_string()),
        Error::Refused(why) => ActError::Invalid(why),
        Error::Full => ActError::Conflict(error.to_string()),
        error => ActError::Fault(Fault {
            code: error.code(),
            doing: "working with the request log",
            passing: false,
            source: Box::new(error),
        }),
    }
}
