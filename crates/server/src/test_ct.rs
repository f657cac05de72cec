//! The transparency logs of `ingam dev` over http: `/log-list.json` has all of them in the form of Chrome's list,
//! `/openssl.cnf` in OpenSSL's; POST `{"log": "a", "mood": "fails", "delay_ms": 0}` to `/set-manner` makes one behave badly.
//!
//! What they take, keep, show and can be made to do is in `ingam_transparency::local_log`. For development alone: nobody may
//! trust them, and anybody who reaches them decides how they behave.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use ingam_transparency::local_log::{LocalLogs, Reaction};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::test_dns::accept;

/// How long headers or a body may take.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// How long one connection may last.
const CONNECTION_MAX: Duration = Duration::from_secs(300);

/// The largest body: a chain of a few certificates in base64.
const BODY_MAX_BYTES: usize = 256 * 1024;

/// Serves the logs on all of the sockets until `shutdown` is true or its sender is gone.
pub(crate) async fn run(
    logs: Arc<LocalLogs>,
    listeners: Vec<TcpListener>,
    mut shutdown: watch::Receiver<bool>,
) {
    // Dropping the set ends every task in it.
    let mut tasks = JoinSet::new();
    for listener in listeners {
        let logs = Arc::clone(&logs);
        tasks.spawn(accept(listener, move |stream| serve(Arc::clone(&logs), stream)));
    }
    // An error means that the sender is gone, which ends the server just the same.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

async fn serve(logs: Arc<LocalLogs>, stream: TcpStream) {
    let service = service_fn(move |request| {
        let logs = Arc::clone(&logs);
        async move { answer(&logs, request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = timeout(CONNECTION_MAX, connection).await {
        tracing::debug!(%error, "serving a transparency log for tests");
    }
}

/// An error ends the connection without an answer, as a log may be told to do.
async fn answer(logs: &LocalLogs, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let is_post = match head.method {
        Method::POST => true,
        Method::GET | Method::HEAD => false,
        _ => return Ok(refused(StatusCode::METHOD_NOT_ALLOWED, "use GET or POST\n")),
    };
    let body = match timeout(IDLE_MAX, Limited::new(body, BODY_MAX_BYTES).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => return Ok(refused(StatusCode::PAYLOAD_TOO_LARGE, "the body did not come, or is too large\n")),
    };
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let Reaction::Reply(reply) = logs.answer(is_post, path, query, &body).await else {
        return Err(io::ErrorKind::ConnectionAborted.into());
    };
    let mut response = Response::new(Full::new(reply.body.into()));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(reply.content_type));
    if reply.status == StatusCode::FOUND {
        headers.insert(header::LOCATION, header::HeaderValue::from_static("/log-list.json"));
    }
    Ok(response)
}

fn refused(status: StatusCode, words: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(words.into()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
