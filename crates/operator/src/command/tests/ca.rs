//! The CA that only pretends.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::UnixListener;

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// Method, path and query.
    pub(super) line: String,
    pub(super) body: Value,
}

/// What is answered.
pub(super) enum Reply {
    Json(u16, Value),
    Text(u16, String),
    /// A stream of these pieces, which then ends.
    Stream(Vec<String>),
}

impl From<Value> for Reply {
    fn from(body: Value) -> Self {
        Self::Json(200, body)
    }
}

/// A refusal as the API writes it.
pub(super) fn problem(status: u16, kind: &str, detail: &str) -> Reply {
    let kind = format!("urn:ingam:admin:{kind}");
    Reply::Json(status, json!({ "type": kind, "status": status, "detail": detail, "request_id": "r1" }))
}

/// It listens for as long as it lives.
pub(super) struct Ca {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    served: tokio::task::JoinHandle<()>,
}

impl Ca {
    /// Answers each request with what `answer` says of it.
    pub(super) fn new(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("admin.sock")).unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, heard) = (Arc::new(answer), Arc::clone(&asked));
        let router = Router::new().fallback(move |request: Request| {
            let (answer, heard) = (Arc::clone(&answer), Arc::clone(&heard));
            async move {
                let line = format!("{} {}", request.method(), request.uri());
                let body = to_bytes(request.into_body(), 1 << 24).await.unwrap();
                let asked = Asked { line, body: serde_json::from_slice(&body).unwrap_or(Value::Null) };
                heard.lock().unwrap().push(asked.clone());
                response(answer(&asked))
            }
        });
        let served = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { dir, asked, served }
    }

    /// Answers everything with this.
    pub(super) fn always(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self::new(move |_| reply())
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join("admin.sock")
    }

    /// What was asked so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|asked| asked.line.clone()).collect()
    }

    /// The body of the last request.
    pub(super) fn last_body(&self) -> Value {
        self.asked.lock().unwrap().last().unwrap().body.clone()
    }
}

impl Drop for Ca {
    fn drop(&mut self) {
        self.served.abort();
    }
}

fn response(reply: Reply) -> Response {
    let (status, kind, body) = match reply {
        Reply::Json(status @ 400.., body) => {
            (status, "application/problem+json", Body::from(body.to_string()))
        }
        Reply::Json(status, body) => (status, "application/json", Body::from(body.to_string())),
        Reply::Text(status, body) => (status, "text/plain", Body::from(body)),
        Reply::Stream(pieces) => {
            let pieces = pieces.into_iter().map(Ok::<_, std::io::Error>);
            (200, "application/x-ndjson", Body::from_stream(futures_util::stream::iter(pieces)))
        }
    };
    Response::builder().status(status).header("content-type", kind).body(body).unwrap()
}

/// A certificate with a number of its own.
pub(super) fn certificate(number: u32) -> Value {
    json!({
        "serial": format!("4f0a1b2c3d4e5f60718293a4b5c6d7e8f9{number:02x}"),
        "issuer": "ecdsa",
        "status": "good",
        "names": ["www.example.org", "example.org"],
        "issued": "2026-11-20T10:00:00Z",
        "not_before": "2026-11-20T09:00:00Z",
        "not_after": "2027-02-18T09:00:00Z",
        "account": "AZqkAbCdEfGhIjKlMnOpQr",
        "order": "AZqkOrDeRoRdErOrDeRoRd",
        "key_thumbprint": "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",
    })
}

/// A revocation job in this state.
pub(super) fn job(state: &str, revoked: u64) -> Value {
    json!({
        "id": "AZqkJoBjObJoBjObJoBjOb",
        "state": state,
        "selection": { "below": "example.org" },
        "revocation_reason": "keyCompromise",
        "per_second": 10,
        "total": 20,
        "revoked": revoked,
        "skipped": 0,
        "by": "uid:1000",
        "at": "2026-11-21T10:00:00Z",
        "reason": "leak",
    })
}
