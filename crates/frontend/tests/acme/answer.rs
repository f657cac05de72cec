//! An answer of the router, and what every answer has to have.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::world::{PUBLIC_URL, Process};

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, String::from_utf8_lossy(&self.body))
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn links(&self) -> Vec<&str> {
        self.headers.get_all("link").iter().map(|value| value.to_str().unwrap()).collect()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The last part of the problem's type; empty for what is no problem.
    pub(crate) fn problem(&self) -> String {
        if self.status.is_success() {
            return String::new();
        }
        let kind = self.json()["type"].as_str().unwrap().to_owned();
        kind.strip_prefix("urn:ietf:params:acme:error:").unwrap().to_owned()
    }

    /// What every answer owes, whatever was asked.
    fn check(&self, method: &Method, path: &str) {
        let context = format!("{method} {path}: {self:?}");
        let id = self.header("x-request-id");
        assert_eq!(id.len(), 16, "{context}");
        assert_eq!(self.header("access-control-allow-origin"), "*", "{context}");
        if path != "/dir" {
            let index = format!("<{PUBLIC_URL}/dir>;rel=\"index\"");
            assert!(self.links().contains(&index.as_str()), "{context}");
        }
        if *method == Method::POST {
            assert!(self.header("replay-nonce").len() >= 22, "{context}");
            assert_eq!(self.header("cache-control"), "no-store", "{context}");
        }
        if self.status.is_client_error() || self.status.is_server_error() {
            assert_eq!(self.header("content-type"), "application/problem+json", "{context}");
            if *method == Method::HEAD {
                return;
            }
            let problem = self.json();
            assert!(!self.problem().is_empty(), "{context}");
            assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{context}");
            assert_eq!(problem["status"], self.status.as_u16(), "{context}");
            assert_eq!(problem["requestId"], id, "{context}");
        }
    }
}

/// Sends a request into the process's router.
pub(crate) fn send(process: &Process, request: Request<Body>) -> Answer {
    process.run(answered(process, request))
}

/// Sends them all at once; the answers come in the order of the requests.
pub(crate) fn send_all(process: &Process, requests: Vec<Request<Body>>) -> Vec<Answer> {
    process
        .run(futures_util::future::join_all(requests.into_iter().map(|request| answered(process, request))))
}

async fn answered(process: &Process, request: Request<Body>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response: Response<Body> = process.router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let answer = Answer { status: parts.status, headers: parts.headers, body };
    answer.check(&method, &path);
    answer
}

/// A request with neither body nor headers.
pub(crate) fn plain(process: &Process, method: Method, path: &str) -> Answer {
    send(process, Request::builder().method(method).uri(path).body(Body::empty()).unwrap())
}

/// A POST of a JOSE body.
pub(crate) fn post(process: &Process, path: &str, body: impl Into<Body>) -> Answer {
    send(process, jose(path, body))
}

/// The request that [`post`] sends.
pub(crate) fn jose(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("content-type", "application/jose+json")
        .body(body.into());
    request.unwrap()
}
