//! Perspectives elsewhere: what they are to us, and those that are asked by Open MPIC over HTTPS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use ingam_protocol::Clock;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{Config, ConfigError, CorroborationConfig, RemoteConfig};
use crate::mpic::{BODY_BYTES_MAX, Heard, Unreached, heard, request};
use crate::outcome::{Attempt, CaaQuery, Failure};
use crate::quote::printable;

/// How long connecting to a perspective may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection that nobody needs is kept: less than those at the other end keep it, so that none ends with a request
/// on it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// How much is told of an answer that is none.
const QUOTED_MAX: usize = 160;

/// Somebody who looks at the network from another place.
#[async_trait]
pub trait Perspective: Send + Sync {
    /// Looks whether the account controls the host, and says what came of it.
    ///
    /// # Errors
    /// [`Unreached`] if its word could not be had. There is no time limit: whoever asks has one.
    async fn validate(&self, attempt: &Attempt) -> Result<Heard, Unreached>;

    /// Looks whether CAA permits.
    ///
    /// # Errors
    /// [`Unreached`] if its word could not be had.
    async fn check_caa(&self, query: &CaaQuery) -> Result<Heard, Unreached>;

    /// Whether it is there at all.
    ///
    /// # Errors
    /// [`Unreached`] if it is not.
    async fn knock(&self) -> Result<(), Unreached>;
}

/// A perspective that is asked over HTTPS, on a connection on which both sides show who they are.
pub struct Remote {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    /// Without a slash at the end.
    url: String,
    /// The CA's own names.
    issuers: Vec<String>,
}

impl Remote {
    /// Every remote perspective of a configuration, in its order. Reads certificates and key.
    ///
    /// # Errors
    /// [`ConfigError`] about what cannot be used.
    pub fn all(config: &Config, clock: &Arc<dyn Clock>) -> Result<Vec<Self>, ConfigError> {
        if config.remotes.is_empty() {
            return Ok(Vec::new());
        }
        let client = client(client_tls(&config.corroboration)?)?;
        let issuers = &config.caa_issuer_domains;
        let remote = |RemoteConfig { url, .. }: &RemoteConfig| Self {
            client: client.clone(),
            clock: clock.clone(),
            url: url.trim_end_matches('/').to_owned(),
            issuers: issuers.clone(),
        };
        Ok(config.remotes.iter().map(remote).collect())
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, Unreached> {
        let request = self
            .client
            .post(format!("{}{path}", self.url))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body);
        let mut answer = request.send().await.map_err(unreached)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreached)? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(Unreached::new(&format!("its answer has more than {BODY_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if status != StatusCode::OK {
            return Err(refused(status, &body));
        }
        Ok(body)
    }
}

#[async_trait]
impl Perspective for Remote {
    async fn validate(&self, attempt: &Attempt) -> Result<Heard, Unreached> {
        let asked = match request::dcv(attempt, &self.issuers) {
            Ok(asked) => asked,
            Err(failure) => return Ok(not_asked(failure)),
        };
        let body = serde_json::to_vec(&asked).map_err(|error| Unreached::new(&error.to_string()))?;
        let answer = self.post("/dcv", body).await?;
        heard::dcv(&answer, attempt, &self.issuers, self.clock.now())
    }

    async fn check_caa(&self, query: &CaaQuery) -> Result<Heard, Unreached> {
        let asked = request::caa(query, &self.issuers);
        let body = serde_json::to_vec(&asked).map_err(|error| Unreached::new(&error.to_string()))?;
        let answer = self.post("/caa", body).await?;
        heard::caa(&answer, query, &self.issuers)
    }

    /// Other makers need have nothing at this path; whoever does not let us in, or can serve nobody, is in trouble.
    async fn knock(&self) -> Result<(), Unreached> {
        let knock = self.client.get(format!("{}/livez", self.url));
        let mut answer = knock.send().await.map_err(unreached)?;
        let status = answer.status();
        if status.is_success() || matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            return Ok(());
        }
        let mut said = Vec::new();
        while said.len() < QUOTED_MAX
            && let Ok(Some(chunk)) = answer.chunk().await
        {
            said.extend(chunk.iter().take(QUOTED_MAX));
        }
        Err(refused(status, &said))
    }
}

/// It answers, though not the question.
fn refused(status: StatusCode, said: &[u8]) -> Unreached {
    Unreached::new(&format!("it answers {}: {}", status.as_u16(), printable(said, QUOTED_MAX)))
}

/// There is no connection, or no whole answer. The URL stands in the configuration.
fn unreached(error: reqwest::Error) -> Unreached {
    Unreached::new(&in_full(&error.without_url()))
}

/// There is no such question, which every perspective would find.
fn not_asked(failure: Failure) -> Heard {
    Heard { result: Err(failure), evidence: None, details: None }
}

fn client(tls: ClientConfig) -> Result<reqwest::Client, ConfigError> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(true)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| ConfigError::new(format!("corroboration: {}", in_full(&error))))
}

/// TLS with our certificate, towards those whose certificates are from `server_ca`.
///
/// # Errors
/// [`ConfigError`] names the key whose file cannot be used.
pub fn client_tls(config: &CorroborationConfig) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("corroboration.server_ca", config.server_ca.as_deref())? {
        roots.add(certificate).map_err(|error| unusable("corroboration.server_ca", &error))?;
    }
    let chain = certificates("corroboration.certificate", config.certificate.as_deref())?;
    let name = "corroboration.key";
    let path = config.key.as_deref().ok_or_else(|| missing(name))?;
    let key = PrivateKeyDer::from_pem_file(path).map_err(|error| unreadable(name, path, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(name, &error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| unusable(name, &error))?;
    // A question can take as long as a site likes to be slow. HTTP/2's streams would be used up by some dozens of those, and
    // all others would wait behind them; connections are as many as there are questions.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

fn certificates(name: &str, path: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let path = path.ok_or_else(|| missing(name))?;
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unreadable(name, path, &error))?;
    if found.is_empty() {
        return Err(ConfigError::new(format!("{name} is {}, which holds no certificate", path.display())));
    }
    Ok(found)
}

fn missing(name: &str) -> ConfigError {
    ConfigError::new(format!("{name} is missing: name a PEM file"))
}

fn unreadable(name: &str, path: &Path, error: &dyn std::error::Error) -> ConfigError {
    ConfigError::new(format!("{name} is {}, which cannot be read: {}", path.display(), in_full(error)))
}

fn unusable(name: &str, error: &dyn std::error::Error) -> ConfigError {
    ConfigError::new(format!("{name} cannot be used: {}", in_full(error)))
}

/// An error with everything below it.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |sentence, cause| format!("{sentence}: {cause}"))
}

#[cfg(test)]
mod tests;
