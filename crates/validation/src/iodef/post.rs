//! A report by https, over a socket that is dialled and filtered as those of validations are.

use http::{Request, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ingam_protocol::acme::ChallengeType;
use ingam_protocol::identifier::{DnsName, Host};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::{Position, Url};

use crate::dial::Network;
use crate::evidence::Evidence;

/// The most bytes of an answer's head.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// Sends `document` to `url`; the words say why not. Redirects are not followed, and the answer's body is not read.
///
/// The server's certificate is not looked at: where to connect to came from the DNS, and what is sent is no secret of the
/// domain's owner.
pub(super) async fn post(network: &Network, url: &Url, document: String) -> Result<(), String> {
    let total = network.config.total_timeout();
    timeout(total, Box::pin(exchange(network, url, document)))
        .await
        .unwrap_or_else(|_| Err("it took too long".to_owned()))
}

async fn exchange(network: &Network, url: &Url, document: String) -> Result<(), String> {
    let name = url.host_str().and_then(|name| DnsName::parse(name).ok()).ok_or("the URL has no name")?;
    let port = url.port().unwrap_or(network.config.https_port);
    if port != network.config.https_port {
        return Err(format!("only port {} is asked", network.config.https_port));
    }
    let host = Host::Name(name);
    // A report leaves no evidence; the lookups need a place to be noted.
    let mut notes = Evidence::new("reports", host.clone(), ChallengeType::Http01, Default::default());
    let stream = network.dial(&host, port, &mut notes).await.map_err(|failure| failure.detail)?;
    let connecting = network.tls.connect_https(&host, stream, &network.config);
    let stream = connecting.await.map_err(|failure| failure.detail)?;
    let request = Request::post(&url[Position::BeforePath..Position::AfterQuery])
        .header(header::HOST, host.to_string())
        .header(header::USER_AGENT, network.config.user_agent.as_str())
        .header(header::CONTENT_TYPE, "text/xml; charset=utf-8")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(document)))
        .map_err(|_| "the URL cannot be asked for")?;
    let broken = |_| "the connection broke".to_owned();
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_MAX_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    // The connection's task ends with this set.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let answer = timeout(network.config.response_timeout(), sender.send_request(request)).await;
    let status = answer.map_err(|_| "no answer in time")?.map_err(broken)?.status();
    if status.is_success() { Ok(()) } else { Err(format!("it answered {}", status.as_u16())) }
}
