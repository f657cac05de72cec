//! One kept-alive HTTP/1.1 connection to a server on this machine, over TLS or in the clear.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::Error;

/// How long one request may take, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// An HTTP answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The value of a header field, or an empty string if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// All values of a header field that may come several times.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; fails the test if it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}) in {self}"))
    }

    /// The part of a problem's type after the ACME prefix, or an empty string if this is no ACME problem.
    pub fn problem(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
        let kind = value["type"].as_str().unwrap_or("");
        kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or("").to_owned()
    }

    /// Gives itself back if it has this status, and fails the test otherwise.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "this should have been answered {status}: {self}");
        self
    }

    /// Asserts a problem document (RFC 9457) of this status and this ACME type, with a detail for people; gives it.
    #[track_caller]
    pub fn refused(self, status: u16, problem: &str) -> Value {
        assert_eq!(
            (self.status, self.problem().as_str()),
            (status, problem),
            "this should have been {status} {problem}: {self}"
        );
        let kind = self.header("content-type");
        assert!(kind.starts_with("application/problem+json"), "a problem's media type, not {kind:?}: {self}");
        let document = self.json();
        assert!(!document["detail"].as_str().unwrap_or("").is_empty(), "a problem has a detail: {self}");
        document
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "HTTP status {}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        write!(f, "\n{}", self.text())
    }
}

/// A connection that is made when first used, and made again when the server has closed it.
pub struct Connection {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// A connection to where this URL points; `tls` is only used if its scheme is `https`.
    pub fn to(url: &str, tls: Option<Arc<ClientConfig>>) -> Self {
        let place = Place::of(url);
        let tls =
            place.is_https.then(|| TlsConnector::from(tls.expect("https needs a certificate to trust")));
        Self { host: place.host, port: place.port, tls, sender: None }
    }

    /// Sends one request and reads the whole answer. The URL's host and port are those of the connection.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Error> {
        let doing = format!("{} {}", request.method(), request.uri());
        match timeout(ANSWER_WITHIN, self.exchange(request, &doing)).await {
            Ok(answer) => answer,
            Err(elapsed) => {
                self.sender = None;
                Err(Error::connection(doing, elapsed))
            }
        }
    }

    /// GET.
    pub async fn get(&mut self, url: &str) -> Result<Answer, Error> {
        self.send(Request::get(url).body(Full::default()).expect("a request")).await
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>, doing: &str) -> Result<Answer, Error> {
        let (mut parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        parts.uri = target.parse().expect("a path that was part of a URL");
        let host = format!("{}:{}", self.host, self.port);
        parts.headers.entry(HOST).or_insert_with(|| host.parse().expect("a host and a port"));
        let request = Request::from_parts(parts, body);

        // A kept-alive connection may have been closed by the other side; a request that never left is sent anew.
        if let Some(sender) = &mut self.sender
            && sender.ready().await.is_err()
        {
            self.sender = None;
        }
        if self.sender.is_none() {
            self.sender = Some(self.connect(doing).await?);
        }
        let sender = self.sender.as_mut().expect("just connected");
        let outcome = async {
            let answer = sender.send_request(request).await?;
            let (parts, body) = answer.into_parts();
            Ok::<_, hyper::Error>((parts, body.collect().await?.to_bytes()))
        };
        match outcome.await {
            Ok((parts, body)) => Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body }),
            Err(error) => {
                self.sender = None;
                Err(Error::connection(doing, error))
            }
        }
    }

    async fn connect(&self, doing: &str) -> Result<SendRequest<Full<Bytes>>, Error> {
        let socket = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| Error::connection(doing, error))?;
        socket.set_nodelay(true).map_err(|error| Error::connection(doing, error))?;
        match &self.tls {
            None => start(socket, doing).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).expect("a host name");
                let stream =
                    tls.connect(name, socket).await.map_err(|error| Error::connection(doing, error))?;
                start(stream, doing).await
            }
        }
    }
}

async fn start<S>(stream: S, doing: &str) -> Result<SendRequest<Full<Bytes>>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| Error::connection(doing, error))?;
    // The connection ends with its sender; whatever broke it is seen by the request under way.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// The place that a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whether the scheme is `https`; otherwise it is `http`.
    pub is_https: bool,
    /// The host's name or address, without the brackets of IPv6.
    pub host: String,
    /// The port, given or usual.
    pub port: u16,
    /// The path with its leading slash, and the query.
    pub path: String,
}

impl Place {
    /// Takes a URL apart; fails the test if it is no HTTP URL.
    #[track_caller]
    pub fn of(url: &str) -> Self {
        let uri: hyper::Uri = url.parse().unwrap_or_else(|error| panic!("{url:?} is no URL: {error}"));
        let scheme = uri.scheme_str().unwrap_or_else(|| panic!("{url:?} has no scheme"));
        let is_https = match scheme {
            "https" => true,
            "http" => false,
            other => panic!("{other:?} is no scheme of HTTP, in {url:?}"),
        };
        let host = uri.host().unwrap_or_else(|| panic!("{url:?} has no host"));
        Self {
            is_https,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        }
    }
}

/// One GET over plain HTTP on a connection of its own.
pub async fn fetch(url: &str) -> Result<Answer, Error> {
    Connection::to(url, None).get(url).await
}
