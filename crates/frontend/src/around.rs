//! What happens around every request: its id, its span in the log, the headers that all answers have, its metrics.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::Next;
use ingam_authority::Limited;
use ingam_protocol::bytes::hex;
use ingam_protocol::limit::LimitName;
use ingam_protocol::time::random_array;
use tracing::Instrument;

use crate::Frontend;
use crate::problem::{PROBLEM_JSON, Problem};

/// Who is at the other end of the connection; the listener puts it into each request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub SocketAddr);

/// A request that came in the clear from another machine than a trusted proxy: whoever stands on the way could read and
/// change it, so it is refused (RFC 8555, section 6.1). The listener puts this beside the [`ClientAddress`].
#[derive(Clone, Copy, Debug)]
pub struct InTheClear;

/// A request's name in logs, records and problem documents.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// An answer that is not done yet, or the reason why not.
pub(crate) type Outcome = Result<Response<Body>, Problem>;

pub(crate) static REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

pub(crate) async fn around(
    State(frontend): State<Arc<Frontend>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let id: Arc<str> = hex(&random_array::<8>(frontend.random.as_ref())).into();
    let method = request.method().clone();
    let route = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().to_owned(),
        None => "unknown".to_owned(),
    };
    let is_directory = route == "/dir";
    let begun = Instant::now();
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", id = %id, %method, route = %route);
    let mut response = if request.extensions().get::<InTheClear>().is_some() {
        let refused = Problem::in_the_clear(&frontend.urls.directory());
        span.in_scope(|| frontend.answer(&RequestId(id.clone()), Err(refused)))
    } else if method == Method::OPTIONS {
        preflight()
    } else if let Err(problem) = frontend.admit(&request, &route) {
        span.in_scope(|| frontend.answer(&RequestId(id.clone()), Err(problem)))
    } else {
        next.run(request).instrument(span.clone()).await
    };
    if response.status().is_client_error() && !is_problem(&response) {
        // The router itself refused, in words of its own: a path or query that is no text.
        let problem = Problem::malformed("the URL cannot be read: use it as it was given");
        response = problem.with_status(response.status()).into_response(&id, None);
    }
    let status = response.status();
    span.in_scope(|| tracing::debug!(status = status.as_u16(), "answered"));
    metrics::histogram!("ingam_http_request_seconds", "route" => route.clone())
        .record(begun.elapsed().as_secs_f64());
    metrics::counter!(
        "ingam_http_requests_total",
        "route" => route,
        "method" => method_label(&method),
        "status" => status.as_str().to_owned()
    )
    .increment(1);
    frontend.common_headers(response.headers_mut(), &method, is_directory, &id);
    response
}

fn is_problem(response: &Response<Body>) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON)
}

/// A method's name, of a bounded set: what clients invent does not become a label.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

impl Frontend {
    /// Refuses whoever sends more than the guard lets through, before anything is read or checked.
    fn admit(&self, request: &Request, route: &str) -> Result<(), Problem> {
        let limit = LimitName::RequestsPerAddress;
        let policy = self.authority.policy();
        let Some(in_force) = policy.rate_limits.limits.get(&limit).copied() else { return Ok(()) };
        if request.method() != Method::POST && route != "/new-nonce" {
            return Ok(());
        }
        self.guard.admit(in_force, client_address(request)).map_err(|(subject, next_at)| {
            self.authority.limited(Limited { limit, subject, in_force, next_at }).into()
        })
    }

    fn common_headers(&self, headers: &mut HeaderMap, method: &Method, is_directory: bool, id: &str) {
        if *method == Method::POST && !headers.contains_key(&REPLAY_NONCE) {
            self.add_nonce(headers);
        }
        if !is_directory {
            append_link(headers, &self.urls.directory(), "index");
        }
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Link, Location, Replay-Nonce, Retry-After"),
        );
        if let Ok(id) = HeaderValue::from_str(id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        if let Some(seconds) = self.config().hsts_max_age_s
            && let Ok(value) = HeaderValue::from_str(&format!("max-age={seconds}"))
        {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
        }
    }

    pub(crate) fn add_nonce(&self, headers: &mut HeaderMap) {
        if let Ok(nonce) = HeaderValue::from_str(&self.nonces.issue()) {
            headers.insert(REPLAY_NONCE.clone(), nonce);
        }
    }

    /// Turns what a route came to into an answer.
    pub(crate) fn answer(&self, request_id: &RequestId, outcome: Outcome) -> Response<Body> {
        match outcome {
            Ok(response) => response,
            Err(problem) => {
                tracing::info!(problem = problem.code(), "refused");
                let (conflict, needs_consent) = (problem.conflict, problem.needs_consent());
                let is_limited = problem.is_rate_limited();
                let policy = self.authority.policy();
                let terms = policy.terms_of_service.as_deref();
                let mut response = problem.into_response(&request_id.0, terms);
                // RFC 8555, section 7.3.3: beside the document's `instance`.
                if let Some(terms) = terms.filter(|_| needs_consent) {
                    append_link(response.headers_mut(), terms, "terms-of-service");
                }
                if let Some(help) = policy.rate_limits.help.as_ref().filter(|_| is_limited) {
                    append_link(response.headers_mut(), help, "help");
                }
                if let Some(account) = conflict {
                    set_location(response.headers_mut(), &self.urls.account(account));
                }
                response
            }
        }
    }
}

/// CORS (RFC 8555, section 6.1): any page may talk to the CA, as every request is signed anyway.
fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

pub(crate) fn append_link(headers: &mut HeaderMap, url: &str, relation: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("<{url}>;rel=\"{relation}\"")) {
        headers.append(header::LINK, value);
    }
}

pub(crate) fn set_location(headers: &mut HeaderMap, url: &str) {
    if let Ok(value) = HeaderValue::from_str(url) {
        headers.insert(header::LOCATION, value);
    }
}

/// The id that `around` gave the request.
pub(crate) fn request_id(request: &Request) -> RequestId {
    request.extensions().get::<RequestId>().cloned().unwrap_or_else(|| RequestId("none".into()))
}

/// The client's address; a request that no listener marked came from inside the process.
pub(crate) fn client_address(request: &Request) -> IpAddr {
    request
        .extensions()
        .get::<ClientAddress>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.0.ip().to_canonical())
}

pub(crate) async fn only_post(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    frontend.answer(&request_id(&request), Err(Problem::method_not_allowed("POST")))
}

pub(crate) async fn only_get(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    frontend.answer(&request_id(&request), Err(Problem::method_not_allowed("GET, HEAD")))
}

pub(crate) async fn not_found(State(frontend): State<Arc<Frontend>>, request: Request) -> Response<Body> {
    frontend.answer(&request_id(&request), Err(Problem::not_found()))
}
