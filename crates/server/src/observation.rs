//! What those who watch the process can fetch: `/metrics`, `/livez` and `/readyz`, on the listener for metrics.
//!
//! It is the last to stop: while everything else ends, `/readyz` says so.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use ingam_protocol::Timestamp;
use ingam_protocol::health::{Report, Role, RoleReport};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::health::{Health, gauges};
use crate::listener::Listener;

/// How long an answer may take when all else has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Prometheus' own text.
const EXPOSITION: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Whoever knows how a process fares.
#[async_trait]
pub(crate) trait Reporter: Send + Sync {
    /// As of now.
    async fn report(&self) -> Report;

    /// From now on no role is ready: the process is about to end.
    fn stop(&self);
}

#[async_trait]
impl Reporter for Health {
    async fn report(&self) -> Report {
        Self::report(self).await
    }

    fn stop(&self) {
        Self::stop(self);
    }
}

/// Answers whoever watches.
#[derive(Clone)]
pub(crate) struct Observation {
    health: Arc<dyn Reporter>,
    metrics: Arc<PrometheusHandle>,
}

/// The listener for those who watch, and the way to end it.
pub(crate) struct Observed {
    end: watch::Sender<bool>,
    listening: JoinHandle<()>,
}

impl Observed {
    /// Serves on this listener until [`Observed::stop`].
    pub(crate) fn serve(listener: Listener, observation: Observation) -> Self {
        let (end, ended) = watch::channel(false);
        let answer = move |request: Request<Incoming>, _| {
            let observation = observation.clone();
            async move { observation.answer(request.method(), request.uri(), request.headers()).await }
        };
        Self { end, listening: tokio::spawn(listener.serve(answer, ended)) }
    }

    /// Stops listening. Everybody else has ended by then, so nobody is waited for long.
    pub(crate) async fn stop(self) {
        // Both fail only if the listener has ended already.
        let _ = self.end.send(true);
        let _ = tokio::time::timeout(LAST_WORDS, self.listening).await;
    }
}

/// What `/readyz` says.
#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    at: Timestamp,
    roles: &'a [RoleReport],
}

impl Observation {
    pub(crate) fn new(health: Arc<dyn Reporter>, metrics: Arc<PrometheusHandle>) -> Self {
        Self { health, metrics }
    }

    /// Answers a request.
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/metrics` | all metrics, for Prometheus |
    /// | `/livez` | `ok` for as long as anything is answered at all |
    /// | `/readyz`, `/readyz?role=NAME` | 200 or 503, and what the roles (or this one) lack; as text for `Accept: text/plain` |
    pub(crate) async fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Response<Full<Bytes>> {
        if !matches!(uri.path(), "/metrics" | "/livez" | "/readyz") {
            let there_is = "there are /metrics, /livez and /readyz\n";
            return reply(StatusCode::NOT_FOUND, TEXT, there_is.to_owned());
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refusal = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n".to_owned());
            refusal.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        match uri.path() {
            "/livez" => reply(StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => self.readiness(uri.query(), headers).await,
            _ => {
                gauges::set(&self.health.report().await);
                reply(StatusCode::OK, EXPOSITION, self.metrics.render())
            }
        }
    }

    async fn readiness(&self, query: Option<&str>, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let role = match wanted_role(query) {
            Ok(role) => role,
            Err(sentence) => return reply(StatusCode::NOT_FOUND, TEXT, sentence),
        };
        let report = self.health.report().await;
        let wanted = |report: &RoleReport| role.is_none_or(|role| report.role == role);
        let roles: Vec<RoleReport> = report.roles.into_iter().filter(wanted).collect();
        let ready = roles.iter().all(|role| role.ready);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        if wants_text(headers) {
            return reply(status, TEXT, text(ready, &roles));
        }
        let readiness = Readiness { ready, at: report.at, roles: &roles };
        let mut json = serde_json::to_string(&readiness).unwrap_or_default();
        json.push('\n');
        reply(status, JSON, json)
    }
}

/// The role that is asked for: `None` for all of them, a sentence for what is none.
fn wanted_role(query: Option<&str>) -> Result<Option<Role>, String> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(None) };
    let role = query.strip_prefix("role=").and_then(Role::from_name);
    role.map(Some).ok_or_else(|| {
        let names: Vec<&str> = Role::ALL.iter().map(|role| role.name()).collect();
        format!("ask for all roles, or with ?role= for one of {}\n", names.join(", "))
    })
}

/// Whether text is preferred to JSON (RFC 9110, section 12.5.1). Whoever says nothing gets JSON.
fn wants_text(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut best = (0.0, false);
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let is_text = match parts.next().map(str::to_ascii_lowercase).as_deref() {
            Some("text/plain") => true,
            Some("application/json") => false,
            _ => continue,
        };
        let quality = parts.find_map(|parameter| parameter.strip_prefix("q="));
        let quality = quality.map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
        if quality > best.0 {
            best = (quality, is_text);
        }
    }
    best.1
}

/// For a person at a terminal.
fn text(ready: bool, roles: &[RoleReport]) -> String {
    let word = |ready| if ready { "ready" } else { "not ready" };
    let mut text = format!("{}\n", word(ready));
    for role in roles {
        text.push_str(&format!("{}: {}\n", role.role, word(role.ready)));
        for lack in &role.lacks {
            text.push_str(&format!(
                "  {} {}: {}; {}\n",
                lack.level.name(),
                lack.code.name(),
                lack.detail,
                lack.fix
            ));
        }
    }
    text
}

fn reply(status: StatusCode, media_type: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use ingam_protocol::health::{Code, Lack, Level};

    use super::*;

    fn accepting(value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, value.parse().unwrap());
        wants_text(&headers)
    }

    #[test]
    fn text_is_for_those_who_ask_for_it() {
        for text in [
            "text/plain",
            "Text/Plain; charset=utf-8",
            "application/json;q=0.5, text/plain",
            "text/plain, */*",
        ] {
            assert!(accepting(text), "{text}");
        }
        for json in [
            "*/*",
            "application/json",
            "text/html,*/*;q=0.8",
            "text/plain;q=0",
            "text/plain;q=0.1,application/json",
        ] {
            assert!(!accepting(json), "{json}");
        }
        assert!(!wants_text(&HeaderMap::new()));
    }

    #[test]
    fn one_role_can_be_asked_for() {
        assert_eq!(wanted_role(None), Ok(None));
        assert_eq!(wanted_role(Some("")), Ok(None));
        assert_eq!(wanted_role(Some("role=signer")), Ok(Some(Role::Signer)));
        for wrong in ["role=king", "role=", "signer", "role=store&role=signer"] {
            assert!(wanted_role(Some(wrong)).unwrap_err().contains("frontend, validation"), "{wrong}");
        }
    }

    #[test]
    fn people_read_what_is_lacking_and_what_to_do() {
        let lack = Lack {
            code: Code::Disk,
            level: Level::Failing,
            detail: "3 MiB are free".to_owned(),
            fix: "make room".to_owned(),
        };
        let roles = [RoleReport::new(Role::Signer, Vec::new()), RoleReport::new(Role::Store, vec![lack])];
        let expected =
            "not ready\nsigner: ready\nstore: not ready\n  failing disk: 3 MiB are free; make room\n";
        assert_eq!(text(false, &roles), expected);
    }
}
