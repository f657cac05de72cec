//! One HTTP request and its answer, over a connection that stands.

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::BODY_MAX_BYTES;
use super::target::Target;
use crate::config::Config;
use crate::evidence::{Evidence, TEXT_MAX};
use crate::outcome::Failure;
use crate::quote::{printable, quote};

/// The most bytes of an answer's status line and headers.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// The most headers of an answer.
const HEADERS_MAX: usize = 64;

/// What a server gave.
pub(super) enum Answer {
    /// The value of `Location` (at most [`HEAD_MAX_BYTES`]).
    Redirect(Vec<u8>),
    /// The body of a 200, at most [`BODY_MAX_BYTES`].
    File(Vec<u8>),
}

/// Asks for `target` over `stream` and notes the answer in the last hop of `evidence`.
pub(super) async fn request<S>(
    stream: S,
    target: &Target,
    config: &Config,
    evidence: &mut Evidence,
) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed =
        |words: &str| Failure::connection(format!("HTTP: asking for {} failed: {words}", target.shown()));
    let work = exchange(stream, target, config, evidence, &failed);
    match timeout(config.response_timeout(), Box::pin(work)).await {
        Ok(answer) => answer,
        Err(_) => Err(failed("the answer did not come, or did not end, in time")),
    }
}

async fn exchange<S>(
    stream: S,
    target: &Target,
    config: &Config,
    evidence: &mut Evidence,
    failed: &(impl Fn(&str) -> Failure + Sync),
) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = Request::get(target.path_and_query())
        .header(header::HOST, target.host_header())
        .header(header::USER_AGENT, config.user_agent.as_str())
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| failed("the URL cannot be asked for"))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX_BYTES)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(words(&error)))?;
    // The connection's task ends with this set, whatever the server still sends.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| failed(words(&error)))?;
    let status = response.status();
    if let Some(hop) = evidence.hop() {
        hop.status = Some(status.as_u16());
    }
    if is_redirect(status) {
        let location = response.headers().get(header::LOCATION);
        let location =
            location.ok_or_else(|| failed(&format!("a redirect ({}) without Location", status.as_u16())))?;
        return Ok(Answer::Redirect(location.as_bytes().to_vec()));
    }
    let mut body = Vec::new();
    let end = read(response.into_body(), &mut body).await;
    if let Some(hop) = evidence.hop() {
        hop.body_start = Some(printable(&body, TEXT_MAX));
    }
    if status != StatusCode::OK {
        return Err(Failure::unauthorized(format!(
            "HTTP: {} answered {}, with {}; serve the challenge's file there, with status 200",
            target.shown(),
            status.as_u16(),
            quote(&body)
        )));
    }
    match end {
        Ok(()) => Ok(Answer::File(body)),
        Err(End::TooLong) => Err(Failure::unauthorized(format!(
            "HTTP: the file at {} is longer than {BODY_MAX_BYTES} bytes and begins with {}",
            target.shown(),
            quote(&body)
        ))),
        Err(End::Broken(error)) => Err(failed(words(&error))),
    }
}

/// Where RFC 8555 leaves the choice, these are followed: the ones that keep the method.
fn is_redirect(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

enum End {
    TooLong,
    Broken(hyper::Error),
}

/// Reads into `into` until the body ends or is longer than allowed.
async fn read(mut body: Incoming, into: &mut Vec<u8>) -> Result<(), End> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(End::Broken)?;
        let Some(data) = frame.data_ref() else { continue };
        let room = BODY_MAX_BYTES.saturating_sub(into.len());
        into.extend(data.iter().take(room));
        if data.len() > room {
            return Err(End::TooLong);
        }
    }
    Ok(())
}

fn words(error: &hyper::Error) -> &'static str {
    if error.is_parse_too_large() {
        "the answer's headers are too large"
    } else if error.is_parse() {
        "the answer is not HTTP/1.1; is this a TLS port?"
    } else if error.is_incomplete_message() {
        "the connection was closed before the answer ended"
    } else if error.is_body_write_aborted() || error.is_canceled() || error.is_closed() {
        "the connection was closed"
    } else {
        "the connection broke"
    }
}
