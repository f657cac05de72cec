//! Requests, and a look at every answer that there is.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use ingam_operator::Peer;
use ingam_protocol::operator::Principal;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::World;

/// The OpenAPI document.
pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&ingam_operator::openapi()).unwrap());

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// An answer, looked at.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn get(uri: impl Into<String>) -> Ask {
    Ask { method: Method::GET, uri: uri.into(), headers: HeaderMap::new(), body: Vec::new() }
}

pub(crate) fn post(uri: impl Into<String>, body: Value) -> Ask {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ask { method: Method::POST, uri: uri.into(), headers, body: body.to_string().into_bytes() }
}

impl Ask {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    pub(crate) fn request(&self, peer: Option<Principal>) -> Request<Body> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(self.uri.as_str())
            .body(Body::from(self.body.clone()))
            .unwrap_or_else(|error| panic!("{self:?}: {error}"));
        *request.headers_mut() = self.headers.clone();
        if let Some(principal) = peer {
            request.extensions_mut().insert(Peer { principal, from: "unix".to_owned() });
        }
        request
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Its status, and what kind of problem it is.
    pub(crate) fn problem(&self) -> (u16, String) {
        let document = self.json();
        let kind = document["type"].as_str().unwrap_or_else(|| panic!("no problem: {document}"));
        (self.status.as_u16(), kind.strip_prefix("urn:ingam:admin:").unwrap().to_owned())
    }
}

impl World {
    /// Sends as somebody that the kernel knows.
    pub(crate) fn send(&self, who: Principal, ask: &Ask) -> Answer {
        self.send_of(Some(who), ask)
    }

    pub(crate) fn send_of(&self, peer: Option<Principal>, ask: &Ask) -> Answer {
        let answer = self.run(async {
            let response = self.router.clone().oneshot(ask.request(peer)).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes().to_vec();
            Answer { status: parts.status, headers: parts.headers, body }
        });
        check(ask, &answer);
        answer
    }
}

/// What holds for all answers.
fn check(ask: &Ask, answer: &Answer) {
    let context = || format!("{} {} {} {}", ask.method, ask.uri, answer.status, answer.text());
    let header = |name: &str| {
        answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert!(answer.status.as_u16() < 500 || answer.status == 503, "{}", context());
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(header(name), value, "{}", context());
    }
    let id = header("x-request-id");
    assert_eq!((id.len(), id.bytes().all(|byte| byte.is_ascii_hexdigit())), (16, true), "{}", context());
    let is_health = ask.uri.starts_with("/readyz") && answer.status == 503;
    if answer.status.as_u16() >= 400 && !is_health {
        assert_eq!(header("content-type"), "application/problem+json", "{}", context());
        if ask.method != Method::HEAD {
            let document = answer.json();
            assert_eq!(document["status"], answer.status.as_u16(), "{}", context());
            assert_eq!(document["request_id"], json!(id), "{}", context());
            assert!(document["type"].as_str().unwrap().starts_with("urn:ingam:admin:"), "{}", context());
            let detail = document["detail"].as_str().unwrap();
            assert!(!detail.is_empty() && detail.len() < 2000, "{}", context());
            assert!(!detail.chars().any(char::is_control), "{}: what a terminal might obey", context());
        }
    }
    if let Some(operation) = operation_of(&ask.method, &ask.uri) {
        let told = &DOCUMENT["paths"][operation.0][operation.1]["responses"];
        let told = told.get(answer.status.as_str()).unwrap_or_else(|| panic!("undocumented: {}", context()));
        let types: Vec<_> =
            told["content"].as_object().map(|types| types.keys().collect()).unwrap_or_default();
        let sent = header("content-type");
        let sent = sent.split(';').next().unwrap_or_default().to_owned();
        assert!(types.contains(&&sent), "{sent} is not among {types:?}: {}", context());
    }
}

/// The path and the method of the document that a request is for.
pub(crate) fn operation_of(method: &Method, uri: &str) -> Option<(String, String)> {
    let path = uri.split('?').next().unwrap_or_default();
    let method = method.as_str().to_ascii_lowercase();
    let fits = |template: &str| {
        let (asked, told): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
        asked.len() == told.len()
            && asked
                .iter()
                .zip(&told)
                .all(|(asked, told)| asked == told || (told.starts_with('{') && !asked.is_empty()))
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    // A fixed path goes before one with a name in it.
    let mut found: Vec<_> = paths.keys().filter(|template| fits(template)).collect();
    found.sort_by_key(|template| template.matches('{').count());
    let template = (*found.first()?).clone();
    paths[&template].get(&method)?;
    Some((template, method))
}
