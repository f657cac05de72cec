//! Linters that are asked over HTTP: pkilint's REST server, and pkimetal.
//!
//! They run beside the CA, and are asked without TLS: what they are shown is about to be public, and whoever could change
//! their answers on the way has the CA's network already.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::uri::Authority;
use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{LintFailure, LintFinding, Linter, Severity};

/// The most bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The most bytes of an answer's body.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Where a linter is asked.
#[derive(Clone, Debug)]
pub struct Server {
    authority: Authority,
    path: String,
}

impl Server {
    /// Reads a URL with the scheme `http` and a host; `None` for any other.
    pub fn parse(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        if url.scheme_str() != Some("http") {
            return None;
        }
        let path = url.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let authority = url.authority().filter(|authority| !authority.host().is_empty())?.clone();
        Some(Self { authority, path })
    }

    /// Posts a body and reads the JSON of the answer.
    async fn post(&self, content_type: &'static str, body: String) -> Result<Bytes, LintFailure> {
        let failed = |what: &dyn std::fmt::Display| LintFailure::new(format!("{}: {what}", self.authority));
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, self.authority.port_u16().unwrap_or(80)))
            .await
            .map_err(|error| failed(&error))?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        // The connection's task ends with this set.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let request = Request::post(self.path.as_str())
            .header(header::HOST, self.authority.as_str())
            .header(header::CONTENT_TYPE, content_type)
            .header(header::ACCEPT, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(&error))?;
        let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), BODY_BYTES_MAX);
        let body = body.collect().await.map_err(|error| failed(&error))?.to_bytes();
        if !status.is_success() {
            let said: String = String::from_utf8_lossy(&body).chars().take(200).collect();
            return Err(failed(&format!("it answered {}: {said}", status.as_u16())));
        }
        Ok(body)
    }
}

/// pkilint's REST server (`uvicorn pkilint.rest:app`), asked at `/certificate/GROUP` or `/certificate/GROUP/LINTER`.
#[derive(Debug)]
pub struct Pkilint(Server);

impl Pkilint {
    /// At this place.
    pub fn new(server: Server) -> Self {
        Self(server)
    }
}

#[derive(Deserialize)]
struct PkilintAnswer {
    results: Vec<PkilintResult>,
}

#[derive(Deserialize)]
struct PkilintResult {
    node_path: String,
    finding_descriptions: Vec<PkilintFinding>,
}

#[derive(Deserialize)]
struct PkilintFinding {
    severity: String,
    code: String,
    #[serde(default)]
    message: Option<String>,
}

#[async_trait]
impl Linter for Pkilint {
    async fn lint(&self, certificate: &[u8]) -> Result<Vec<LintFinding>, LintFailure> {
        let question = serde_json::json!({ "b64": STANDARD.encode(certificate) });
        pkilint_findings(&self.0.post("application/json", question.to_string()).await?)
    }
}

fn pkilint_findings(body: &[u8]) -> Result<Vec<LintFinding>, LintFailure> {
    let answer: PkilintAnswer = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let of = |result: PkilintResult| {
        let place = result.node_path;
        result.finding_descriptions.into_iter().map(move |finding| {
            let severity = Severity::of_word(&finding.severity);
            LintFinding::new(severity, &finding.code, Some(&place), finding.message.as_deref())
        })
    };
    Ok(answer.results.into_iter().flat_map(of).collect())
}

/// pkimetal, asked at `/lintcert`.
#[derive(Debug)]
pub struct Pkimetal(Server);

impl Pkimetal {
    /// At this place.
    pub fn new(server: Server) -> Self {
        Self(server)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PkimetalFinding {
    linter: String,
    finding: String,
    severity: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    field: Option<String>,
}

#[async_trait]
impl Linter for Pkimetal {
    async fn lint(&self, certificate: &[u8]) -> Result<Vec<LintFinding>, LintFailure> {
        // Of all characters of base64, these three mean something else in a form.
        let encoded =
            STANDARD.encode(certificate).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let form = format!("b64input={encoded}&format=json&severity=info");
        pkimetal_findings(&self.0.post("application/x-www-form-urlencoded", form).await?)
    }
}

fn pkimetal_findings(body: &[u8]) -> Result<Vec<LintFinding>, LintFailure> {
    let answer: Vec<PkimetalFinding> = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let finding = |found: PkimetalFinding| {
        let code = format!("{}: {}", found.linter, found.code.as_deref().unwrap_or(&found.finding));
        let message = found.code.is_some().then_some(found.finding.as_str());
        LintFinding::new(Severity::of_word(&found.severity), &code, found.field.as_deref(), message)
    };
    Ok(answer.into_iter().map(finding).collect())
}

fn unreadable(error: &serde_json::Error) -> LintFailure {
    LintFailure::new(format!("its answer cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_plain_http_alone() {
        let server = Server::parse("http://127.0.0.1:8000/certificate/cabf-serverauth").unwrap();
        assert_eq!(server.authority.as_str(), "127.0.0.1:8000");
        assert_eq!(server.path, "/certificate/cabf-serverauth");
        assert_eq!(Server::parse("http://[::1]:8080").unwrap().path, "/");
        for other in ["https://lint.example/", "lint.example:80", "/lintcert", "http://", "unix:/run/x", ""] {
            assert!(Server::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn what_pkimetal_answers_is_read() {
        let body = br#"[
            {"Linter": "pkimetal", "Finding": "Profile: autodetected", "Severity": "meta"},
            {"Linter": "zlint", "Finding": "no SCTs", "Severity": "warning", "Code": "w_sct", "Field": "certificate"},
            {"Linter": "x509lint", "Finding": "unheard of", "Severity": "catastrophe"}
        ]"#;
        let found = pkimetal_findings(body).unwrap();
        assert_eq!(found[0].severity, Severity::Info);
        let expected =
            LintFinding::new(Severity::Warning, "zlint: w_sct", Some("certificate"), Some("no SCTs"));
        assert_eq!(found[1], expected);
        assert_eq!((found[2].severity, found[2].code.as_str()), (Severity::Fatal, "x509lint: unheard of"));
        assert!(pkimetal_findings(b"<html>").is_err());
        assert_eq!(pkimetal_findings(b"[]"), Ok(Vec::new()));
    }

    #[test]
    fn what_pkilint_answers_is_read() {
        let body =
            br#"{"results": [{"validator": "V", "node_path": "certificate.tbs", "finding_descriptions":
            [{"severity": "ERROR", "code": "cabf.x", "message": null}]}], "linter": {"name": "DV-FINAL"}}"#;
        let expected = LintFinding::new(Severity::Error, "cabf.x", Some("certificate.tbs"), None);
        assert_eq!(pkilint_findings(body), Ok(vec![expected]));
        assert!(pkilint_findings(b"[]").is_err());
    }
}
