//! Requests of coordinators: who may ask, how much at once, and how large.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Body;
use ingam_validation::mpic::{BODY_BYTES_MAX, Service};
use ring::digest;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::listener::Peer;

/// When to come again where there was no place, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers coordinators.
pub(super) struct Requests {
    service: Service,
    /// The certificates that are let in; all that TLS let in, if there is none.
    clients: Vec<[u8; 32]>,
    body_timeout: Duration,
    places: Semaphore,
}

impl Requests {
    pub(super) fn new(config: &Config, service: Service) -> Self {
        Self {
            service,
            clients: config.perspective.fingerprints(),
            body_timeout: Duration::from_secs(config.limits.body_timeout_s),
            places: Semaphore::new(config.validation.concurrent_max),
        }
    }

    /// | request | answer |
    /// |---|---|
    /// | POST `/dcv`, `/caa`, and both below `/perspective` | what [`Service`] says |
    /// | GET `/livez` | `ok`: so coordinators see whether this process is there |
    pub(super) async fn answer<B>(&self, request: Request<B>, peer: Peer) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !self.lets_in(&peer) {
            return refusal(
                StatusCode::FORBIDDEN,
                "this client certificate is not one of perspective.clients",
            );
        }
        let path = request.uri().path().to_owned();
        if path == "/livez" {
            return reply(StatusCode::OK, "\"ok\"\n".to_owned());
        }
        if !Service::serves(&path) {
            return refusal(StatusCode::NOT_FOUND, "POST to /dcv or to /caa");
        }
        if request.method() != Method::POST {
            let mut refused = refusal(StatusCode::METHOD_NOT_ALLOWED, "use POST");
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return refused;
        }
        let Ok(_place) = self.places.try_acquire() else {
            let why = "as much is looked at as validation.concurrent_max lets: try again later";
            let mut refused = refusal(StatusCode::SERVICE_UNAVAILABLE, why);
            refused.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
            return refused;
        };
        let read = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
        let body = match tokio::time::timeout(self.body_timeout, Box::pin(read)).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => {
                let why = "the body is larger than any of Open MPIC, or broke off";
                return refusal(StatusCode::PAYLOAD_TOO_LARGE, why);
            }
            Err(_) => return refusal(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        };
        let answer = self.service.answer(&path, &body).await;
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        reply(status, answer.body.to_string())
    }

    fn lets_in(&self, peer: &Peer) -> bool {
        let shown = || {
            let hash = digest::digest(&digest::SHA256, peer.certificate.as_deref()?);
            Some(self.clients.iter().any(|known| known == hash.as_ref()))
        };
        self.clients.is_empty() || shown() == Some(true)
    }
}

fn refusal(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    let error = json!({ "error_type": "mpic_error:perspective:request", "error_message": why });
    let body = json!({ "check_completed": false, "check_passed": false, "errors": [error] });
    reply(status, body.to_string())
}

fn reply(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ingam_validation::LocalPerspective;

    use super::*;
    use crate::listener::PeerAddress;
    use crate::system::SystemClock;

    fn requests(change: impl FnOnce(&mut Config)) -> Requests {
        let mut config = Config::default();
        change(&mut config);
        let local = LocalPerspective::new(config.validation.clone(), Arc::new(SystemClock)).unwrap();
        Requests::new(&config, Service::new(Arc::new(local)))
    }

    fn peer(certificate: &[u8]) -> Peer {
        let address = PeerAddress::Tcp("127.0.0.1:1".parse().unwrap());
        Peer { address, opener: None, certificate: Some(certificate.into()) }
    }

    async fn ask(requests: &Requests, method: &str, path: &str, body: &str) -> Response<Full<Bytes>> {
        let request = Request::builder().method(method).uri(path).body(Full::<Bytes>::from(body.to_owned()));
        requests.answer(request.unwrap(), peer(b"known")).await
    }

    #[tokio::test]
    async fn what_is_no_question_is_refused() {
        let requests = requests(|_| {});
        let large = "x".repeat(BODY_BYTES_MAX + 1);
        for (method, path, body, status) in [
            ("GET", "/livez", "", 200),
            ("POST", "/", "", 404),
            ("GET", "/dcv", "", 405),
            ("POST", "/dcv", "{", 400),
            ("POST", "/perspective/caa", "{}", 400),
            ("POST", "/caa", large.as_str(), 413),
        ] {
            let answer = ask(&requests, method, path, body).await;
            assert_eq!(answer.status().as_u16(), status, "{method} {path}");
            assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
        }
    }

    #[tokio::test]
    async fn certificates_can_be_named_one_by_one() {
        let hash = ingam_protocol::bytes::hex(digest::digest(&digest::SHA256, b"known").as_ref());
        let named = requests(|config| config.perspective.clients = vec![hash]);
        assert_eq!(ask(&named, "GET", "/livez", "").await.status(), 200);
        let others = requests(|config| config.perspective.clients = vec!["ab".repeat(32)]);
        assert_eq!(ask(&others, "GET", "/livez", "").await.status(), 403);
    }

    #[tokio::test]
    async fn what_has_no_place_is_told_to_come_again() {
        let requests = requests(|_| {});
        let all = u32::try_from(requests.places.available_permits()).unwrap();
        let _taken = requests.places.try_acquire_many(all).unwrap();
        let answer = ask(&requests, "POST", "/dcv", "{}").await;
        assert_eq!((answer.status().as_u16(), &answer.headers()[header::RETRY_AFTER]), (503, &RETRY_AFTER));
    }
}
