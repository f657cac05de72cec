//! Subjects of personal data.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ingam_authority::operator::{ActError, SubjectFilter};
use ingam_authority::subject::Section;
use ingam_protocol::bytes::{base64url, from_base64url};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::orders::{ReasonAsked, id_text};
use crate::Operator;
use crate::acts;
use crate::admission::to_its_end;
use crate::api::{
    Done, Page, Reason, Subject, SubjectCorrection, SubjectErased, SubjectErasing, SubjectObjection,
    SubjectReport, SubjectSearch,
};
use crate::around::Caller;
use crate::extract::{self, Asked, Named, Sent, optional};
use crate::problem::{Problem, Problems};
use crate::view;

/// How many subjects a search for an address gives at once: few have one address.
const FOUND_MAX: usize = 100;

/// Which subjects.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SubjectsAsked {
    /// Those that are due to be told before this (RFC 3339).
    #[param(max_length = 40, format = DateTime)]
    due_before: Option<String>,
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

/// Subjects with contact data, by age: whom to tell what is held, and by when. Personal data, on record with the reason.
#[utoipa::path(get, path = "/v1/subjects", tag = "subjects", params(SubjectsAsked),
    responses((status = 200, body = Page<Subject>), Problems))]
pub(crate) async fn subjects(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Asked(asked): Asked<SubjectsAsked>,
) -> Result<Json<Page<Subject>>, Problem> {
    let rule = &acts::SUBJECT_LIST;
    let what = json!({ "due_before": asked.due_before });
    let act = operator.admit(&caller, rule, what, asked.reason.as_deref()).await?;
    let filter =
        SubjectFilter { due_before: optional(asked.due_before.as_ref(), extract::time)?, contact: None };
    let after = optional(asked.after.as_ref(), extract::id)?;
    let limit = extract::limit(asked.limit)?;
    let _turn = operator.search_turn().await?;
    let found = operator.authority.subjects_find(&act, filter, after, limit).await;
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::page(found, id_text, |subject| view::subject(&subject))))
}

/// Subjects that have this contact. Each is opened and looked at, a page at a time. Personal data, on record with the reason
/// and without the address.
#[utoipa::path(post, path = "/v1/subjects", tag = "subjects", request_body = SubjectSearch,
    responses((status = 200, body = Page<Subject>), Problems))]
pub(crate) async fn find_subjects(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Sent(sent): Sent<SubjectSearch>,
) -> Result<Json<Page<Subject>>, Problem> {
    let rule = &acts::SUBJECT_LIST;
    let act = operator.admit(&caller, rule, json!({ "by": "contact" }), Some(&sent.reason)).await?;
    let filter = SubjectFilter { contact: Some(extract::contact(&sent.contact)?), due_before: None };
    let after = optional(sent.after.as_ref(), extract::id)?;
    let _turn = operator.search_turn().await?;
    let found = operator.authority.subjects_find(&act, filter, after, FOUND_MAX).await;
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::page(found, id_text, |subject| view::subject(&subject))))
}

/// What is held about an account: the head of the report. Personal data, on record with the reason.
#[utoipa::path(get, path = "/v1/subjects/{id}", tag = "subjects",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$"), ReasonAsked),
    responses((status = 200, body = SubjectReport), Problems))]
pub(crate) async fn report(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Asked(asked): Asked<ReasonAsked>,
) -> Result<Json<Value>, Problem> {
    let rule = &acts::SUBJECT_REPORT;
    let what = json!({ "account": name });
    let act = operator.admit(&caller, rule, what, asked.reason.as_deref()).await?;
    let report = operator.authority.subject_report_for(&act, extract::id(&name)?).await;
    let report = operator.finish(rule, &act, report).await?;
    Ok(Json(view::value(&report)))
}

/// Which section, and where it begins.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SectionAsked {
    /// `orders`, `certificates` or `records`.
    #[param(pattern = "^(orders|certificates|records)$")]
    section: String,
    /// The `next` of the page before.
    #[param(max_length = 400)]
    after: Option<String>,
    /// How many at most: 1 to 1000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Why, for the record.
    #[param(max_length = 1000)]
    reason: Option<String>,
}

/// A section of the report: orders, certificates, or what is on record of requests. Personal data, on record with the reason.
#[utoipa::path(get, path = "/v1/subjects/{id}/section", tag = "subjects",
    params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$"), SectionAsked),
    responses((status = 200, body = Page<Value>), Problems))]
pub(crate) async fn section(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Asked(asked): Asked<SectionAsked>,
) -> Result<Json<Page<Value>>, Problem> {
    let rule = &acts::SUBJECT_REPORT;
    let section = Section::from_name(&asked.section);
    let what = json!({ "account": name, "section": section.map(Section::name) });
    let act = operator.admit(&caller, rule, what, asked.reason.as_deref()).await?;
    let section =
        section.ok_or_else(|| Problem::invalid("the sections are orders, certificates and records"))?;
    let place = |text: &str| {
        from_base64url(text).ok_or_else(|| Problem::invalid("\"after\" is not the \"next\" of a page"))
    };
    let after = optional(asked.after.as_ref(), place)?;
    let (id, limit) = (extract::id(&name)?, extract::limit(asked.limit)?);
    let _turn = operator.search_turn().await?;
    let found = operator.authority.subject_section_for(&act, id, section, after, limit).await;
    let found = operator.finish(rule, &act, found).await?;
    Ok(Json(view::page(found, base64url, |item| item)))
}

/// Puts other contacts in place of an account's.
#[utoipa::path(post, path = "/v1/subjects/{id}/correct", tag = "subjects", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = SubjectCorrection, responses((status = 200, body = Done), Problems))]
pub(crate) async fn correct(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<SubjectCorrection>,
) -> Result<Json<Done>, Problem> {
    let rule = &acts::SUBJECT_CORRECT;
    let what = json!({ "account": name, "contacts": sent.contacts.len() });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let id = extract::id(&name)?;
    let contacts = sent.contacts.iter().map(|text| extract::contact(text)).collect::<Result<Vec<_>, _>>()?;
    let corrected = operator.authority.subject_correct(&act, id, &contacts).await;
    operator.finish(rule, &act, corrected).await?;
    let count = contacts.len();
    Ok(Json(Done { done: format!("the account {id} has other contacts now: {count}") }))
}

/// Erases an account's contact data: once this is answered, nothing opens them any more, in no copy. What stays, and why, is in
/// the answer. Refused, with the holds, where one keeps them.
#[utoipa::path(post, path = "/v1/subjects/{id}/erase", tag = "subjects", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = SubjectErasing, responses((status = 200, body = SubjectErased), Problems))]
pub(crate) async fn erase(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<SubjectErasing>,
) -> Result<Json<Value>, Problem> {
    let rule = &acts::SUBJECT_ERASE;
    let what = json!({ "account": name, "close": sent.close });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let (id, close) = (extract::id(&name)?, sent.close);
    let (authority, by) = (operator.authority.clone(), act.clone());
    // What was begun is not left half done.
    let erased: Result<_, ActError> =
        to_its_end(async move { authority.subject_erase(&by, id, close).await }).await?;
    let erased = operator.finish(rule, &act, erased).await?;
    Ok(Json(view::value(&erased)))
}

/// Notes that a subject objects to mail, or that it does not any more.
#[utoipa::path(post, path = "/v1/subjects/{id}/object", tag = "subjects", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = SubjectObjection, responses((status = 200, body = Done), Problems))]
pub(crate) async fn object_for_subject(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<SubjectObjection>,
) -> Result<Json<Done>, Problem> {
    let rule = &acts::SUBJECT_OBJECT;
    let what = json!({ "account": name, "objects": sent.objects });
    let act = operator.admit(&caller, rule, what, Some(&sent.reason)).await?;
    let id = extract::id(&name)?;
    let noted = operator.authority.subject_object(&act, id, sent.objects).await;
    operator.finish(rule, &act, noted).await?;
    let done = if sent.objects { "gets no mail any more" } else { "does not object to mail any more" };
    Ok(Json(Done { done: format!("the account {id} {done}") }))
}

/// Notes that a subject was told what is held about it: the next time is a year later.
#[utoipa::path(post, path = "/v1/subjects/{id}/told", tag = "subjects", params(("id" = String, Path, pattern = "^[A-Za-z0-9_-]{21}[AQgw]$")),
    request_body = Reason, responses((status = 200, body = Done), Problems))]
pub(crate) async fn told(
    State(operator): State<Arc<Operator>>,
    caller: Caller,
    Named(name): Named,
    Sent(sent): Sent<Reason>,
) -> Result<Json<Done>, Problem> {
    let rule = &acts::SUBJECT_TOLD;
    let act = operator.admit(&caller, rule, json!({ "account": name }), Some(&sent.reason)).await?;
    let id = extract::id(&name)?;
    let noted = operator.authority.subject_told(&act, id).await;
    operator.finish(rule, &act, noted).await?;
    Ok(Json(Done { done: format!("it is on record that the account {id} was told") }))
}
