//! How logs are reached.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustls::{ClientConfig, RootCertStore};

use crate::Error;

/// The most bytes of an answer: an SCT in JSON has some hundred, and a refusal's words are cut anyhow.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024;

/// How long connecting to a log may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection that nobody needs is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a log answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Whoever carries a request to a log.
#[async_trait]
pub trait Network: Send + Sync {
    /// Posts JSON and waits for the whole answer. There is no time limit: whoever asks has one.
    ///
    /// # Errors
    /// Why there is no whole answer, in words.
    async fn post(&self, url: &str, body: Bytes) -> Result<Answer, String>;
}

/// HTTP, with the certificates of the system's CAs. Redirects are answers like others.
pub(crate) struct Https(reqwest::Client);

impl Https {
    pub(crate) fn new() -> Result<Self, Error> {
        let unusable = |why: &dyn std::error::Error| {
            Error::Config(format!("transparency logs cannot be asked: {}", in_full(why)))
        };
        let mut roots = RootCertStore::empty();
        // Those that cannot be read are of no use to anybody; without any at all, each log says what is wrong.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| unusable(&error))?;
        Ok(Self(client))
    }
}

#[async_trait]
impl Network for Https {
    async fn post(&self, url: &str, body: Bytes) -> Result<Answer, String> {
        let request = self.0.post(url).header("content-type", "application/json").body(body);
        let mut answer = request.send().await.map_err(unreached)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreached)? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(format!("its answer has more than {BODY_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }
}

/// The URL stands in the list.
fn unreached(error: reqwest::Error) -> String {
    in_full(&error.without_url())
}

/// An error with everything below it.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |sentence, cause| format!("{sentence}: {cause}"))
}
