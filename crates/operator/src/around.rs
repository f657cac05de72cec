//! What happens around every request: who asks, the request's name, headers that all answers have, metrics; and no
//! browser's page of somebody else's gets in, by whatever name it asks.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ingam_protocol::operator::Principal;
use tracing::Instrument;

use crate::Operator;
use crate::problem::Problem;

/// At most this many characters of a User-Agent are kept.
const CLIENT_CHARS_MAX: usize = 128;

/// What [`Peer::from`] says of whoever came through the Unix socket.
const UNIX: &str = "unix";

/// Who is at the other end; the listener puts it into each request's extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who that is.
    pub principal: Principal,
    /// `unix`, or the address.
    pub from: String,
}

/// Who asks, with the request's name.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    pub(crate) from: String,
    pub(crate) client: Option<String>,
    pub(crate) request_id: String,
}

pub(crate) async fn around(
    State(operator): State<Arc<Operator>>,
    mut request: Request,
    next: Next,
) -> Response {
    let request_id = operator.request_id();
    let method = request.method().clone();
    let span = tracing::info_span!("admin", id = %request_id, %method, path = %request.uri().path());
    let mut response = match admit(&mut request, &request_id) {
        Ok(()) => next.run(request).instrument(span.clone()).await,
        Err(problem) => problem.into_response(),
    };
    if let Some(problem) = response.extensions_mut().remove::<Arc<Problem>>() {
        span.in_scope(|| {
            tracing::info!(problem = problem.kind, status = problem.status.as_u16(), "refused");
        });
        let named = axum::Json(problem.document(Some(request_id.clone()))).into_response();
        *response.body_mut() = named.into_body();
        // The old length was that of the document without a name.
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        headers.insert("x-request-id", id);
    }
    response
}

/// Puts a [`Caller`] into the request, unless it is one that no operator's tool sends.
fn admit(request: &mut Request, request_id: &str) -> Result<(), Problem> {
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "nobody",
            "it is not known who is at the other end: use the Unix socket, or a client certificate",
        ));
    };
    refuse_foreign_pages(request.method(), request.uri().path(), request.headers())?;
    if peer.from == UNIX {
        refuse_foreign_names(request)?;
    }
    let client = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let caller = Caller {
        principal: peer.principal,
        from: peer.from,
        client: client.map(|text| text.chars().take(CLIENT_CHARS_MAX).collect()),
        request_id: request_id.to_owned(),
    };
    request.extensions_mut().insert(caller);
    Ok(())
}

/// A browser that reaches this API (through a forwarded socket, or with a client certificate) may open the status page;
/// a page of another site may make it send nothing: browsers say where a request comes from, and no other client does.
fn refuse_foreign_pages(method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let from_elsewhere =
        headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let by_a_page = headers.contains_key(header::ORIGIN);
    if (from_elsewhere && !is_navigation(method, path, headers)) || (by_a_page && method != Method::GET) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign-page",
            "a page in a browser sent this: use the command line",
        ));
    }
    Ok(())
}

/// Behind a forwarded socket (`ssh -L`) a browser takes this API for whatever name led it there: a page of somebody else's
/// whose name leads to 127.0.0.1 a moment later would be at home here, and read with the rights of whoever forwards. So
/// the socket answers to names of this machine alone. Over TCP the server's certificate says the same.
fn refuse_foreign_names(request: &Request) -> Result<(), Problem> {
    let asked = request.uri().authority().cloned().or_else(|| {
        let host = request.headers().get(header::HOST)?;
        Some(Authority::try_from(host.as_bytes()).unwrap_or(Authority::from_static("unreadable.invalid")))
    });
    // Only a browser can be led astray, and each of them says which name it asks for.
    let Some(asked) = asked else { return Ok(()) };
    let host = asked.host();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let is_own = host.eq_ignore_ascii_case("localhost")
        || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_own {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "foreign-name",
        "the socket answers to localhost alone: ask for http://localhost/",
    ))
}

/// Following a link to a page for people is harmless: it reads nothing for the page that has the link. One into the API
/// would put on record that the operator read what the link names, for the reason that it gives.
fn is_navigation(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    method == Method::GET
        && !path.starts_with("/v1/")
        && headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        refused_at("/", method, headers)
    }

    fn refused_at(path: &str, method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        refuse_foreign_pages(method, path, &headers.collect()).is_err()
    }

    #[test]
    fn pages_of_other_sites_get_nowhere() {
        assert!(refused(&Method::POST, &[("sec-fetch-site", "cross-site")]));
        assert!(refused(&Method::POST, &[("origin", "http://localhost:8000")]));
        assert!(refused(&Method::GET, &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")]));
        let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        assert!(refused_at("/v1/log", &Method::GET, &link));
    }

    #[test]
    fn people_and_tools_do() {
        assert!(!refused(&Method::POST, &[]));
        assert!(!refused(&Method::GET, &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")]));
        assert!(!refused(&Method::GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]));
    }
    #[test]
    fn the_socket_answers_to_names_of_this_machine() {
        let answers = |host: &str| {
            let request =
                Request::builder().uri("/").header(header::HOST, host).body(axum::body::Body::empty());
            refuse_foreign_names(&request.unwrap()).is_ok()
        };
        for own in ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.3.2.1", "[::1]:8000"] {
            assert!(answers(own), "{own}");
        }
        for foreign in ["ca.example", "localhost.example:8000", "192.0.2.1", "[2001:db8::1]", "0.0.0.0", ""] {
            assert!(!answers(foreign), "{foreign}");
        }
        let nameless = Request::new(axum::body::Body::empty());
        assert!(refuse_foreign_names(&nameless).is_ok());
        let absolute = Request::builder().uri("http://ca.example/").header(header::HOST, "localhost");
        assert!(refuse_foreign_names(&absolute.body(axum::body::Body::empty()).unwrap()).is_err());
    }
}
