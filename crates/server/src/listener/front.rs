//! What proxies in front of a listener say, as it comes over a connection and in a request.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderMap;
use ingam_protocol::proxy::preface::{self, Reading};
use ingam_protocol::proxy::{Front, line};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Why a connection of a trusted proxy is not served.
#[derive(Debug)]
pub(super) enum Silent {
    /// It went again without a word, as a check of its own does.
    Gone,
    /// It did not say who its client is, and had to.
    Unsaid(String),
}

/// Who opened a connection, as the PROXY protocol tells it; the peer itself where nobody else was told.
pub(super) async fn opener<S: AsyncRead + Unpin>(
    front: &Front,
    stream: &mut S,
    peer: SocketAddr,
    limit: Duration,
) -> Result<SocketAddr, Silent> {
    if !front.is_announced(peer.ip()) {
        return Ok(peer);
    }
    match tokio::time::timeout(limit, read_preface(stream)).await {
        Ok(told) => Ok(told?.unwrap_or(peer)),
        Err(_) => Err(Silent::Unsaid("its PROXY protocol header took too long".to_owned())),
    }
}

/// Who sent a request with these headers over a connection that `opener` opened.
pub(crate) fn client(front: &Front, opener: SocketAddr, headers: &HeaderMap) -> SocketAddr {
    front.client(opener, |name| headers.get_all(name).iter().map(|value| line(value.as_bytes())).collect())
}

/// Reads a preface and not a byte beyond it; its length is bounded by the parser.
async fn read_preface<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<SocketAddr>, Silent> {
    let mut bytes = Vec::new();
    loop {
        match preface::read(&bytes).map_err(|bad| Silent::Unsaid(bad.to_string()))? {
            Reading::Whole(told) => return Ok(told),
            Reading::More(more) => {
                let begun = bytes.len();
                bytes.resize(begun + more, 0);
                let rest = bytes.get_mut(begun..).unwrap_or_default();
                stream.read_exact(rest).await.map_err(|error| gone(begun, &error))?;
            }
        }
    }
}

fn gone(begun: usize, error: &io::Error) -> Silent {
    if begun == 0 {
        Silent::Gone
    } else {
        Silent::Unsaid(format!("its PROXY protocol header was cut off: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ingam_protocol::proxy::{ProxyWord, TrustedProxies};
    use tokio::io::AsyncWriteExt;

    use super::*;

    const PROXY: &str = "10.0.0.1:99";
    const LIMIT: Duration = Duration::from_secs(10);

    fn front(word: ProxyWord) -> Front {
        let mut trusted = TrustedProxies::none();
        trusted.trust("10.0.0.0/8").unwrap();
        Front { trusted: Arc::new(trusted), word }
    }

    #[test]
    fn a_line_that_is_no_text_is_no_word() {
        let front = front(ProxyWord::XForwardedFor);
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", http::HeaderValue::from_static("192.0.2.1"));
        assert_eq!(client(&front, PROXY.parse().unwrap(), &headers).to_string(), "192.0.2.1:0");
        headers.append("x-forwarded-for", http::HeaderValue::from_bytes(b"caf\xe9").unwrap());
        assert_eq!(client(&front, PROXY.parse().unwrap(), &headers).to_string(), PROXY);
    }

    /// What is told of a connection that begins with `sent`, and what is left of it for whoever reads next.
    async fn opened(peer: &str, sent: &[u8]) -> (Result<String, String>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let sent = sent.to_vec();
        let writing = tokio::spawn(async move {
            let _ = theirs.write_all(&sent).await;
        });
        let front = front(ProxyWord::ProxyProtocol);
        let opener = opener(&front, &mut ours, peer.parse().unwrap(), LIMIT).await;
        let mut rest = Vec::new();
        if opener.is_ok() {
            ours.read_to_end(&mut rest).await.unwrap();
        }
        drop(ours);
        writing.await.unwrap();
        let opener = opener.map(|address| address.to_string()).map_err(|silent| match silent {
            Silent::Gone => "gone".to_owned(),
            Silent::Unsaid(why) => why,
        });
        (opener, rest)
    }

    #[tokio::test]
    async fn a_trusted_proxy_tells_first_for_whom_it_came() {
        let v1 = b"PROXY TCP4 192.0.2.1 10.0.0.9 4711 443\r\nGET / HTTP/1.1\r\n";
        let (opener, rest) = opened(PROXY, v1).await;
        assert_eq!((opener.as_deref(), rest.as_slice()), (Ok("192.0.2.1:4711"), &b"GET / HTTP/1.1\r\n"[..]));
        let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\x12\x67\x01\xbb\x16\x03";
        let (opener, rest) = opened(PROXY, v2).await;
        assert_eq!((opener.as_deref(), rest.as_slice()), (Ok("192.0.2.1:4711"), &b"\x16\x03"[..]));
        // A check of the proxy's own is of the proxy itself.
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
        assert_eq!(opened(PROXY, local).await.0.as_deref(), Ok(PROXY));
    }

    #[tokio::test]
    async fn a_trusted_proxy_that_says_nothing_of_the_kind_is_not_served() {
        let (refused, _) = opened(PROXY, b"GET /dir HTTP/1.1\r\n\r\n").await;
        assert_eq!(refused.unwrap_err(), "no PROXY protocol header came first");
        let (refused, _) = opened(PROXY, b"PROXY TCP4 192").await;
        assert!(refused.unwrap_err().contains("cut off"));
        assert_eq!(opened(PROXY, b"").await.0.unwrap_err(), "gone");
    }

    #[tokio::test]
    async fn an_untrusted_peer_is_not_asked_and_not_heard() {
        let v1 = b"PROXY TCP4 192.0.2.1 10.0.0.9 4711 443\r\n";
        let (opener, rest) = opened("192.0.2.77:5", v1).await;
        assert_eq!((opener.as_deref(), rest.as_slice()), (Ok("192.0.2.77:5"), &v1[..]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_that_hesitates_is_not_waited_for() {
        let (mut ours, _theirs) = tokio::io::duplex(64);
        let front = front(ProxyWord::ProxyProtocol);
        let opener = opener(&front, &mut ours, PROXY.parse().unwrap(), LIMIT).await;
        assert!(matches!(opener, Err(Silent::Unsaid(why)) if why.contains("too long")));
    }
}
