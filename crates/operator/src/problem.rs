//! Every no at the admin API, in one form (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ingam_authority::operator::ActError;
use utoipa::IntoResponses;

use crate::api::ApiProblem;

/// A refusal on its way to the client.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) detail: String,
    pub(crate) findings: Vec<String>,
}

/// What every route can answer instead of what was asked for; for the OpenAPI document.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "read by utoipa alone: one variant for each status that a problem can have")]
pub(crate) enum Problems {
    /// The request cannot be read, or lacks a reason.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(#[to_schema] ApiProblem),
    /// The caller's roles do not allow it.
    #[response(status = 403, content_type = "application/problem+json")]
    RoleNeeded(#[to_schema] ApiProblem),
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(#[to_schema] ApiProblem),
    /// The path takes another method.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(#[to_schema] ApiProblem),
    /// It is not as the request expects.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(#[to_schema] ApiProblem),
    /// The body is too long.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] ApiProblem),
    /// The body is not `application/json`.
    #[response(status = 415, content_type = "application/problem+json")]
    MediaType(#[to_schema] ApiProblem),
    /// A value makes no sense.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(#[to_schema] ApiProblem),
    /// Too much at once.
    #[response(status = 429, content_type = "application/problem+json")]
    Overloaded(#[to_schema] ApiProblem),
    /// Something failed here; the log has the request's name.
    #[response(status = 500, content_type = "application/problem+json")]
    Fault(#[to_schema] ApiProblem),
    /// Something failed here that may pass.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(#[to_schema] ApiProblem),
}

/// At most this many characters are a detail: it may name what was sent.
const DETAIL_CHARS_MAX: usize = 1000;

impl Problem {
    /// `detail` goes to a terminal: without what that might obey, and not for ever.
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        let detail = detail.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect();
        Self { status, kind, detail, findings: Vec::new() }
    }

    /// What cannot be read.
    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// What can be read and makes no sense.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail)
    }

    /// Its document.
    pub(crate) fn document(&self, request_id: Option<String>) -> ApiProblem {
        ApiProblem {
            kind: format!("urn:ingam:admin:{}", self.kind),
            status: self.status.as_u16(),
            detail: self.detail.clone(),
            request_id,
            findings: self.findings.clone(),
        }
    }
}

impl From<ActError> for Problem {
    fn from(error: ActError) -> Self {
        match error {
            ActError::NotFound(detail) => Self::new(StatusCode::NOT_FOUND, "not-found", detail),
            ActError::Conflict(detail) => Self::new(StatusCode::CONFLICT, "conflict", detail),
            ActError::Invalid(detail) => Self::invalid(detail),
            ActError::Fault(fault) => {
                let cause: &dyn std::error::Error = fault.source.as_ref();
                tracing::error!(code = fault.code, error = cause, "a request failed while {}", fault.doing);
                metrics::counter!("ingam_faults_total", "code" => fault.code).increment(1);
                let (status, kind) = if fault.passing {
                    (StatusCode::SERVICE_UNAVAILABLE, "overloaded")
                } else {
                    (StatusCode::INTERNAL_SERVER_ERROR, "fault")
                };
                Self::new(
                    status,
                    kind,
                    "something failed here: the log has this request's name and the cause",
                )
            }
        }
    }
}

impl From<ingam_authority::Error> for Problem {
    fn from(error: ingam_authority::Error) -> Self {
        ActError::from(error).into()
    }
}

/// The problem, for `around` to put the request's name in.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.document(None))).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}
