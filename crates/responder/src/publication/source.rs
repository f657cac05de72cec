//! Where a responder takes answers from: a web server, the CA's own or another in between, or a folder.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ETAG, HOST, IF_NONE_MATCH, USER_AGENT};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a file may take: the largest, over a slow line.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a connection may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no file.
#[derive(Debug)]
pub(super) enum FetchError {
    /// There is none of that name.
    Missing,
    /// It is the one that is known.
    Unchanged,
    /// It could not be taken; why, in words.
    Failed(String),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not there"),
            Self::Unchanged => f.write_str("it is the same as before"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// A file as it came.
pub(super) struct Fetched {
    pub(super) bytes: Bytes,
    /// Its entity tag, if it has one.
    pub(super) tag: Option<HeaderValue>,
}

/// Files by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerSource {
    /// Below this URL, by plain http: what is taken is signed.
    Url(Uri),
    /// In this folder, which somebody else fills.
    Folder(PathBuf),
}

impl AnswerSource {
    /// From a URL as the configuration has it; `None` if it is none of plain http.
    pub fn url(text: &str) -> Option<Self> {
        let uri: Uri = text.trim_end_matches('/').parse().ok()?;
        let is_http = uri.scheme_str() == Some("http") && uri.host().is_some() && uri.query().is_none();
        is_http.then_some(Self::Url(uri))
    }

    /// The bytes of a file, of at most `max` bytes.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub(super) async fn fetch(&self, name: &str, max: u64) -> Result<Bytes, FetchError> {
        self.fetch_other(name, max, None).await.map(|fetched| fetched.bytes)
    }

    /// The same, unless it is the one that came with this entity tag (RFC 9110, section 8.8.3).
    ///
    /// # Errors
    /// See [`FetchError`].
    pub(super) async fn fetch_other(
        &self,
        name: &str,
        max: u64,
        known: Option<&HeaderValue>,
    ) -> Result<Fetched, FetchError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                let read = tokio::task::spawn_blocking(move || read(&path, max)).await;
                let read =
                    read.unwrap_or_else(|_| Err(FetchError::Failed("the reading was broken off".to_owned())));
                read.map(|bytes| Fetched { bytes, tag: None })
            }
            Self::Url(base) => match timeout(PATIENCE, get(base, name, max, known)).await {
                Ok(fetched) => fetched,
                Err(_) => Err(FetchError::Failed(format!("no end of it within {} s", PATIENCE.as_secs()))),
            },
        }
    }
}

fn read(path: &std::path::Path, max: u64) -> Result<Bytes, FetchError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => FetchError::Missing,
        _ => FetchError::Failed(error.to_string()),
    };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > max {
        return Err(FetchError::Failed(format!("it has {length} bytes, and at most {max} are believed")));
    }
    fs::read(path).map(Bytes::from).map_err(failed)
}

async fn get(base: &Uri, name: &str, max: u64, known: Option<&HeaderValue>) -> Result<Fetched, FetchError> {
    let failed = |error: &dyn std::error::Error| FetchError::Failed(error.to_string());
    let host = base.host().unwrap_or_default();
    let address = (host.trim_matches(['[', ']']), base.port_u16().unwrap_or(80));
    let connecting = timeout(CONNECT_PATIENCE, TcpStream::connect(address)).await;
    let stream = connecting
        .map_err(|_| FetchError::Failed("no connection within 5 s".to_owned()))?
        .map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    // It ends with the sender.
    let carrying = tokio::spawn(connection);
    let authority = base.authority().map(http::uri::Authority::as_str).unwrap_or_default();
    let mut request = Request::get(format!("{}/{name}", base.path().trim_end_matches('/')))
        .header(HOST, authority)
        .header(USER_AGENT, concat!("ingam-responder/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    if let Some(known) = known {
        request.headers_mut().insert(IF_NONE_MATCH, known.clone());
    }
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let fetched = match response.status() {
        StatusCode::OK => {
            let tag = response.headers().get(ETAG).cloned();
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            let body = Limited::new(response.into_body(), max).collect().await;
            body.map(|body| Fetched { bytes: body.to_bytes(), tag })
                .map_err(|error| FetchError::Failed(error.to_string()))
        }
        StatusCode::NOT_FOUND => Err(FetchError::Missing),
        StatusCode::NOT_MODIFIED if known.is_some() => Err(FetchError::Unchanged),
        other => Err(FetchError::Failed(format!("the answer was {other}"))),
    };
    carrying.abort();
    fetched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_plain_http() {
        for good in
            ["http://pki.ca.example/answers", "http://pki.ca.example:8080/answers/", "http://[::1]:80"]
        {
            assert!(AnswerSource::url(good).is_some(), "{good}");
        }
        for bad in ["https://pki.ca.example", "pki.ca.example", "http://", "http://a/b?c", "/answers", ""] {
            assert!(AnswerSource::url(bad).is_none(), "{bad}");
        }
    }

    #[tokio::test]
    async fn files_in_a_folder_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), [7; 100]).unwrap();
        let source = AnswerSource::Folder(folder.path().to_owned());
        assert_eq!(source.fetch("a", 100).await.unwrap().len(), 100);
        assert!(matches!(source.fetch("a", 99).await, Err(FetchError::Failed(_))));
        assert!(matches!(source.fetch("b", 99).await, Err(FetchError::Missing)));
    }
}
