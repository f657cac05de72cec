//! Cases: why personal data may leave, what left, who was told. Who asked for data can be a person, so reading a case is on
//! record as personal data.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use ingam_authority::operator::half_year_before;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::orders::ReasonAsked;
use crate::Operator;
use crate::acts;
use crate::admission::read;
use crate::api::{
    Case, CaseDetail, CaseDisclosing, CaseHolding, CaseObjecting, CaseOpening, CaseTelling, DueNotice, Page,
    Reason, TransparencyReport,
};
use crate::around::Caller;
use crate::deeds::Deed;
use crate::extract::{self, Asked, Named, Sent, optional};
use crate::problem::{Problem, Problems};
use crate::view;

/// The smallest count that a report tells, if nobody says another.
const MINIMUM: u64 = 10;

/// Which page of cases, and why.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CasesAsked {
    /// The `next` of the page before.
    #[param(max_length = 64)]
    after: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Why, for the record.
    #[param(max_length = 1000)]
    reason: Option<String>,
}

/// Cases by name.
#[utoipa::path(get, path = "/v1/cases", tag = "cases", params(CasesAsked),
    responses((status = 200, body = Page<Case>), Problems))]
pub(crate) async fn cases(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<CasesAsked>,
) -> Result<Json<Page<Case>>, Problem> {
    let rule = &acts::CASE_LIST;
    let act = operator.admit(&caller, rule, Value::Null, asked.reason.as_deref()).await?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let found = read(move || authority.cases(asked.after.as_deref(), limit)).await?;
    let found = operator.read_out(rule, &act, found).await?;
    let next = |place: &[u8]| String::from_utf8_lossy(place).into_owned();
    Ok(Json(view::page(found, next, |case| view::case(&case))))
}

/// Opens a case.
#[utoipa::path(post, path = "/v1/cases", tag = "cases", request_body = CaseOpening,
    responses((status = 201, body = Case), Problems))]
pub(crate) async fn open_case(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<CaseOpening>,
) -> Result<(StatusCode, Json<Case>), Problem> {
    let rule = &acts::CASE_OPEN;
    let what = json!({ "case": sent.name, "kind": sent.kind, "subjects": sent.subjects.len() });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let opened = operator.authority.case_open(&act, view::new_case(&sent)?).await;
    Ok((StatusCode::CREATED, Json(view::case(&operator.finish(rule, &act, opened).await?))))
}

/// A case, with those whom it names.
#[utoipa::path(get, path = "/v1/cases/{name}", tag = "cases", params(("name" = String, Path), ReasonAsked),
    responses((status = 200, body = CaseDetail), Problems))]
pub(crate) async fn case(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Asked(asked): Asked<ReasonAsked>,
) -> Result<Json<CaseDetail>, Problem> {
    let rule = &acts::CASE_SHOW;
    let act = operator.admit(&caller, rule, json!({ "case": name }), asked.reason.as_deref()).await?;
    let authority = operator.authority.clone();
    let found = read(move || authority.case_with_subjects(&name)).await?;
    Ok(Json(view::case_detail(&operator.read_out(rule, &act, found).await?)))
}

/// Opens a hold for a case on each of its subjects; the closing of the case releases them.
#[utoipa::path(post, path = "/v1/cases/{name}/hold", tag = "cases", params(("name" = String, Path)),
    request_body = CaseHolding, responses((status = 200, body = Case), Problems))]
pub(crate) async fn hold_case(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<CaseHolding>,
) -> Result<Json<Case>, Problem> {
    let rule = &acts::CASE_HOLD;
    let what = json!({ "case": name, "ends": sent.ends });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let ends = extract::time(&sent.ends)?;
    let owner = extract::reason(sent.owner.as_deref())?.unwrap_or_else(|| act.operator.to_string());
    let held = operator.authority.case_hold(&act, &name, owner, ends).await;
    Ok(Json(view::case(&operator.finish(rule, &act, held).await?)))
}

/// Puts on record that data is given out, if it may be: whoever gives it waits for this.
#[utoipa::path(post, path = "/v1/cases/{name}/disclose", tag = "cases", params(("name" = String, Path)),
    request_body = CaseDisclosing,
    responses((status = 200, body = Case), (status = 202, body = crate::api::Waiting), Problems))]
pub(crate) async fn disclose(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<CaseDisclosing>,
) -> Result<Response, Problem> {
    operator.ask_or_do(&caller, Deed::CaseDisclose { case: name, disclosing: sent }).await
}

/// Puts on record that subjects were told, cannot be told, or may not be told yet.
#[utoipa::path(post, path = "/v1/cases/{name}/notify", tag = "cases", params(("name" = String, Path)),
    request_body = CaseTelling, responses((status = 200, body = Case), Problems))]
pub(crate) async fn notify(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<CaseTelling>,
) -> Result<Json<Case>, Problem> {
    let rule = &acts::CASE_NOTIFY;
    let what = json!({ "case": name, "subjects": sent.subjects.len(), "futile": sent.futile,
        "forbidden_until": sent.forbidden_until });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let (subjects, telling) = view::telling(&sent)?;
    let told = operator.authority.case_notify(&act, &name, subjects, telling).await;
    Ok(Json(view::case(&operator.finish(rule, &act, told).await?)))
}

/// Puts an objection to a demand on record, or what came of it.
#[utoipa::path(post, path = "/v1/cases/{name}/object", tag = "cases", params(("name" = String, Path)),
    request_body = CaseObjecting, responses((status = 200, body = Case), Problems))]
pub(crate) async fn object_in_case(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<CaseObjecting>,
) -> Result<Json<Case>, Problem> {
    let rule = &acts::CASE_OBJECT;
    let what = json!({ "case": name, "outcome": sent.outcome });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let objected = operator.authority.case_object(&act, &name, view::objection(&sent)?).await;
    Ok(Json(view::case(&operator.finish(rule, &act, objected).await?)))
}

/// Closes a case, and releases its holds.
#[utoipa::path(post, path = "/v1/cases/{name}/close", tag = "cases", params(("name" = String, Path)),
    request_body = Reason, responses((status = 200, body = Case), Problems))]
pub(crate) async fn close(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Json<Case>, Problem> {
    let rule = &acts::CASE_CLOSE;
    let act = operator.admit(&caller, rule, json!({ "case": name }), Some(&sent.reason)).await?;
    let closed = operator.authority.case_close(&act, &name).await;
    Ok(Json(view::case(&operator.finish(rule, &act, closed).await?)))
}

/// How much of what is due, and why.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DueAsked {
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Why, for the record.
    #[param(max_length = 1000)]
    reason: Option<String>,
}

/// Notices that have to be given, soonest first.
#[utoipa::path(get, path = "/v1/notices/due", tag = "cases", params(DueAsked),
    responses((status = 200, body = Page<DueNotice>), Problems))]
pub(crate) async fn notices_due(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<DueAsked>,
) -> Result<Json<Page<DueNotice>>, Problem> {
    let rule = &acts::CASE_DUE;
    let act = operator.admit(&caller, rule, Value::Null, asked.reason.as_deref()).await?;
    let (authority, limit) = (operator.authority.clone(), extract::limit(asked.limit)?);
    let found = operator.search(move || authority.cases_due(limit)).await?;
    let found = operator.read_out(rule, &act, found).await?;
    let now = operator.authority.clock().now();
    Ok(Json(Page { items: found.iter().map(|due| view::due_notice(due, now)).collect(), next: None }))
}

/// Of which time, and how small a count may be.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportAsked {
    /// Cases that were opened at this time or later (RFC 3339); the last half of a year that is over, without it.
    #[param(max_length = 40, format = DateTime)]
    from: Option<String>,
    /// And before this time (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    until: Option<String>,
    /// The smallest count that is told: 10 without it.
    #[param(minimum = 1, maximum = 1000)]
    minimum: Option<u64>,
}

/// The transparency report: counts of demands for data, without people.
#[utoipa::path(get, path = "/v1/transparency-report", tag = "cases", params(ReportAsked),
    responses((status = 200, body = TransparencyReport), Problems))]
pub(crate) async fn transparency_report(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<ReportAsked>,
) -> Result<Json<TransparencyReport>, Problem> {
    let rule = &acts::CASE_REPORT;
    let act = operator.admit(&caller, rule, Value::Null, None).await?;
    let usual = half_year_before(operator.authority.clock().now());
    let from = optional(asked.from.as_ref(), extract::time)?.unwrap_or(usual.0);
    let until = optional(asked.until.as_ref(), extract::time)?;
    let until =
        until.unwrap_or(if asked.from.is_some() { operator.authority.clock().now() } else { usual.1 });
    let minimum = asked.minimum.unwrap_or(MINIMUM);
    if !(1..=1000).contains(&minimum) {
        return Err(Problem::invalid("minimum has to lie between 1 and 1000"));
    }
    let authority = operator.authority.clone();
    let found = operator.search(move || authority.transparency_report(from, until, minimum)).await?;
    let report = operator.finish(rule, &act, found).await?;
    Ok(Json(view::transparency_report(&report)))
}
