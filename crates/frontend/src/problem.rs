//! Problem documents (RFC 9457; RFC 8555, section 6.7), made in one place.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use ingam_authority::{Error, Fault, Refusal, Subproblem};
use ingam_protocol::Id;
use ingam_protocol::acme::{ErrorType, Failure};
use ingam_protocol::jws::{Algorithm, JwsError};
use serde::Serialize;
use serde_json::{Value, json};

/// The media type of problem documents (RFC 9457, section 3).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// What goes back to a client whose request was not done.
#[derive(Debug)]
pub struct Problem {
    error: ErrorType,
    status: StatusCode,
    detail: String,
    subproblems: Vec<Subproblem>,
    retry_after: Option<Duration>,
    allow: Option<&'static str>,
    /// Whose account already has the key; becomes `Location`.
    pub(crate) conflict: Option<Id>,
}

/// The HTTP status that belongs to an error type, where nothing more specific is known.
fn status_of(error: ErrorType) -> StatusCode {
    match error {
        ErrorType::AlreadyReplaced => StatusCode::CONFLICT,
        ErrorType::AccountDoesNotExist
        | ErrorType::AlreadyRevoked
        | ErrorType::BadCsr
        | ErrorType::BadNonce
        | ErrorType::BadPublicKey
        | ErrorType::BadRevocationReason
        | ErrorType::BadSignatureAlgorithm
        | ErrorType::Compound
        | ErrorType::Connection
        | ErrorType::Dns
        | ErrorType::InvalidContact
        | ErrorType::InvalidProfile
        | ErrorType::Malformed
        | ErrorType::RejectedIdentifier
        | ErrorType::Tls
        | ErrorType::UnsupportedContact
        | ErrorType::UnsupportedIdentifier => StatusCode::BAD_REQUEST,
        ErrorType::Caa
        | ErrorType::ExternalAccountRequired
        | ErrorType::IncorrectResponse
        | ErrorType::OrderNotReady
        | ErrorType::Unauthorized
        | ErrorType::UserActionRequired => StatusCode::FORBIDDEN,
        ErrorType::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorType::ServerInternal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A failure on record, as an object inside a resource.
pub(crate) fn failure_json(failure: &Failure) -> Value {
    json!({
        "type": failure.error.urn(),
        "detail": failure.detail,
        "status": status_of(failure.error).as_u16(),
    })
}

/// A refusal that was not made, as an object inside a resource.
pub(crate) fn refusal_json(refusal: &Refusal) -> Value {
    json!({
        "type": refusal.error.urn(),
        "detail": refusal.detail,
        "status": status_of(refusal.error).as_u16(),
        "subproblems": refusal.subproblems.iter().map(subproblem_json).collect::<Vec<_>>(),
    })
}

fn subproblem_json(one: &Subproblem) -> Value {
    json!({
        "type": one.error.urn(),
        "detail": one.detail,
        "identifier": { "type": one.kind, "value": one.identifier },
    })
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    detail: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subproblems: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithms: Option<[&'static str; 5]>,
    /// Where the user has to act (RFC 8555, section 7.3.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    /// The request's name in our logs.
    #[serde(rename = "requestId")]
    request_id: &'a str,
}

impl Problem {
    pub(crate) fn new(error: ErrorType, detail: impl Into<String>) -> Self {
        Self {
            error,
            status: status_of(error),
            detail: detail.into(),
            subproblems: Vec::new(),
            retry_after: None,
            allow: None,
            conflict: None,
        }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Malformed, detail)
    }

    /// A request whose sender may not do this at all, now or ever (RFC 8555, sections 6.4 and 7.3.6).
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Unauthorized, detail).with_status(StatusCode::UNAUTHORIZED)
    }

    pub(crate) fn not_found() -> Self {
        let detail = "there is nothing at this URL for this account: start at the directory";
        Self::malformed(detail).with_status(StatusCode::NOT_FOUND)
    }

    /// Something ended here before it was done: a process that is about to end, or a mistake of ours that the log has.
    pub(crate) fn passing_fault() -> Self {
        let problem =
            Self::new(ErrorType::ServerInternal, "something failed here, not with you: try again later");
        Self {
            retry_after: Some(Duration::from_secs(5)),
            ..problem.with_status(StatusCode::SERVICE_UNAVAILABLE)
        }
    }

    /// A request without TLS from somewhere that needs it.
    pub(crate) fn in_the_clear(directory: &str) -> Self {
        Self::new(ErrorType::Unauthorized, format!("this port is for proxies alone: begin at {directory}"))
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let problem = Self::malformed(format!("this resource takes {allow} only"));
        Self { allow: Some(allow), ..problem.with_status(StatusCode::METHOD_NOT_ALLOWED) }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Whether its receiver has to agree to the terms of service first.
    pub(crate) fn needs_consent(&self) -> bool {
        self.error == ErrorType::UserActionRequired
    }

    /// Whether a limit is reached.
    pub(crate) fn is_rate_limited(&self) -> bool {
        self.error == ErrorType::RateLimited
    }

    /// The short code that metrics carry.
    pub(crate) fn code(&self) -> &'static str {
        self.error.name()
    }

    /// The answer.
    pub(crate) fn into_response(self, request_id: &str, terms: Option<&str>) -> Response<Body> {
        metrics::counter!("ingam_problems_total", "problem" => self.code()).increment(1);
        let document = Document {
            r#type: self.error.urn(),
            detail: &self.detail,
            status: self.status.as_u16(),
            subproblems: self.subproblems.iter().map(subproblem_json).collect(),
            algorithms: (self.error == ErrorType::BadSignatureAlgorithm)
                .then(|| Algorithm::ALL.map(Algorithm::name)),
            instance: terms.filter(|_| self.needs_consent()),
            request_id,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refusal(refusal) => {
                let Refusal { error, detail, subproblems, retry_after, conflict, .. } = *refusal;
                let status = if conflict.is_some() { StatusCode::CONFLICT } else { status_of(error) };
                Self { error, status, detail, subproblems, retry_after, allow: None, conflict }
            }
            Error::Fault(fault) => fault_problem(&fault),
        }
    }
}

/// Nothing of the cause goes out; the log has it, under the request's id.
fn fault_problem(fault: &Fault) -> Problem {
    metrics::counter!("ingam_faults_total", "code" => fault.code).increment(1);
    tracing::error!(
        code = fault.code,
        doing = fault.doing,
        error = fault.source.as_ref() as &dyn std::error::Error,
        "a request failed"
    );
    let problem =
        Problem::new(ErrorType::ServerInternal, "something failed here, not with you: try again later");
    if fault.passing {
        let retry_after = Some(Duration::from_secs(5));
        return Problem { retry_after, ..problem.with_status(StatusCode::SERVICE_UNAVAILABLE) };
    }
    problem
}

impl From<JwsError> for Problem {
    fn from(error: JwsError) -> Self {
        let kind = match &error {
            JwsError::Malformed(_) | JwsError::Signature => ErrorType::Malformed,
            JwsError::Algorithm(_) => ErrorType::BadSignatureAlgorithm,
            JwsError::Key(bad) => {
                ingam_authority::key_refused(bad.flaw());
                ErrorType::BadPublicKey
            }
        };
        Self::new(kind, error.to_string())
    }
}
