//! Where everything is, and the OpenAPI document that is made from it.
#![allow(unused_qualifications, reason = "utoipa's macros write paths in full")]

mod backups;
mod cases;
mod certificates;
mod checkpoints;
mod external;
mod health;
mod incidents;
mod limits;
mod log;
mod orders;
mod people;
mod publication;
mod requests;
mod retention;
mod revocations;
mod rules;
mod subjects;
mod validations;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::Problem;
use crate::{Operator, around, page};

/// At most this many bytes are a body: ten thousand serial numbers and some.
const BODY_BYTES_MAX: usize = 1 << 20;

#[derive(OpenApi)]
#[openapi(info(
    title = "Ingam admin API",
    description = "What operators of the CA see and do. The caller is known by the credentials of its Unix socket or by \
                   its client certificate, and every act is on record before it is answered.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
))]
struct Document;

fn described() -> OpenApiRouter<Arc<Operator>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(health::whoami))
        .routes(routes!(health::status))
        .routes(routes!(health::reload))
        .routes(routes!(backups::make_backup))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(orders::accounts))
        .routes(routes!(orders::account))
        .routes(routes!(orders::account_contacts))
        .routes(routes!(orders::orders))
        .routes(routes!(orders::order))
        .routes(routes!(orders::authorizations))
        .routes(routes!(orders::authorization))
        .routes(routes!(validations::try_validation))
        .routes(routes!(certificates::certificates))
        .routes(routes!(certificates::certificate))
        .routes(routes!(certificates::evidence))
        .routes(routes!(certificates::revoke))
        .routes(routes!(publication::answers))
        .routes(routes!(publication::paths))
        .routes(routes!(publication::part))
        .routes(routes!(checkpoints::cosign))
        .routes(routes!(revocations::plan))
        .routes(routes!(revocations::jobs, revocations::start))
        .routes(routes!(revocations::job))
        .routes(routes!(revocations::pause))
        .routes(routes!(revocations::resume))
        .routes(routes!(revocations::cancel))
        .routes(routes!(incidents::incidents, incidents::open))
        .routes(routes!(incidents::incident))
        .routes(routes!(incidents::add))
        .routes(routes!(incidents::explain))
        .routes(routes!(external::external_keys, external::make_external_key))
        .routes(routes!(external::external_key))
        .routes(routes!(external::withdraw_external_key))
        .routes(routes!(rules::keys, rules::block_key))
        .routes(routes!(rules::import_keys))
        .routes(routes!(rules::unblock_key))
        .routes(routes!(rules::names, rules::rule_name))
        .routes(routes!(rules::forget_name))
        .routes(routes!(limits::limits))
        .routes(routes!(limits::dry_run))
        .routes(routes!(limits::overrides, limits::put_override))
        .routes(routes!(limits::forget_override))
        .routes(routes!(limits::unpause))
        .routes(routes!(log::search))
        .routes(routes!(log::follow))
        .routes(routes!(requests::state))
        .routes(routes!(requests::counts))
        .routes(routes!(requests::holds, requests::open_hold))
        .routes(routes!(requests::hold))
        .routes(routes!(requests::renew_hold))
        .routes(routes!(requests::close_hold))
        .routes(routes!(requests::held_requests))
        .routes(routes!(retention::retention_state))
        .routes(routes!(retention::retention_due))
        .routes(routes!(retention::sweep))
        .routes(routes!(retention::record_holds, retention::open_record_hold))
        .routes(routes!(retention::record_hold))
        .routes(routes!(retention::renew_record_hold))
        .routes(routes!(retention::release_record_hold))
        .routes(routes!(subjects::subjects, subjects::find_subjects))
        .routes(routes!(subjects::report))
        .routes(routes!(subjects::section))
        .routes(routes!(subjects::correct))
        .routes(routes!(subjects::erase))
        .routes(routes!(subjects::object_for_subject))
        .routes(routes!(subjects::told))
        .routes(routes!(cases::cases, cases::open_case))
        .routes(routes!(cases::case))
        .routes(routes!(cases::hold_case))
        .routes(routes!(cases::disclose))
        .routes(routes!(cases::notify))
        .routes(routes!(cases::object_in_case))
        .routes(routes!(cases::close))
        .routes(routes!(cases::notices_due))
        .routes(routes!(cases::transparency_report))
        .routes(routes!(people::roles))
        .routes(routes!(people::grant))
        .routes(routes!(people::take))
        .routes(routes!(people::approvals))
        .routes(routes!(people::approval))
        .routes(routes!(people::approve))
        .routes(routes!(people::refuse))
}

/// The document by itself.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    complete(described().split_for_parts().1)
}

/// OpenAPI wants words for every answer; those of a success are told by its schema.
fn complete(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            for answer in operation.responses.responses.values_mut() {
                if let RefOr::T(answer) = answer
                    && answer.description.is_empty()
                {
                    "what was asked for".clone_into(&mut answer.description);
                }
            }
        }
    }
    document
}

/// The routes over this API.
pub(crate) fn router(operator: Arc<Operator>) -> Router {
    let (router, document) = described().split_for_parts();
    let text: Arc<str> = complete(document).to_pretty_json().unwrap_or_default().into();
    let openapi = move || {
        let text = text.to_string();
        std::future::ready(([(header::CONTENT_TYPE, "application/json")], text))
    };
    router
        .route("/", get(page::status))
        .route("/openapi.json", get(openapi))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(axum::middleware::from_fn_with_state(operator.clone(), around::around))
        .with_state(operator)
}

async fn not_found() -> Response {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not-found",
        "there is nothing at this path: /openapi.json tells what there is",
    )
    .into_response()
}

async fn method_not_allowed() -> Response {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "this path takes another method: /openapi.json tells which",
    )
    .into_response()
}
