//! The way from the CA to its signer: a Unix socket, or TLS on which both sides show who they are.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingam_signer::RemoteSigner;
use ingam_signer::remote::{Dial, Stream};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::config::{Config, Signer, SignerAt};
use crate::production::{chain_of, key_of};
use crate::serve::StartError;

/// How often a start looks whether the signer is there, and how long between two looks: both may just have been started.
const TRIES: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// The signer that the configuration has as a process of its own; none where there is none. Waits half a minute for it.
pub(crate) async fn remote_signer(config: &Config) -> Result<Option<RemoteSigner>, StartError> {
    let Some(place) = config.signer.place() else { return Ok(None) };
    let dial: Arc<dyn Dial> = match place {
        SignerAt::Unix(path) => Arc::new(Socket(path)),
        SignerAt::Https { host, port } => Arc::new(Tls::new(&config.signer, host, port)?),
    };
    let timeout = Duration::from_millis(config.signer.timeout_ms);
    let mut tried = 0;
    loop {
        match RemoteSigner::connect(dial.clone(), timeout).await {
            Ok(signer) => return Ok(Some(signer)),
            Err(ingam_signer::Error::Away(_)) if tried < TRIES => {
                tried += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(not_there(config, &error)),
        }
    }
}

/// Why there is no signer, by where it should be.
fn not_there(config: &Config, error: &ingam_signer::Error) -> StartError {
    let at = config.signer.at.as_deref().unwrap_or_default();
    let doing = match error {
        ingam_signer::Error::Away(_) => format!(
            "signer.at is {at}, and no signer answered there for half a minute: start it with `ingam serve --role signer`, or \
             name the place where it listens (its signer.socket, or listen.signer)"
        ),
        _ => format!(
            "signer.at: the signer at {at} does not let this CA in; is this one of its signer.callers?"
        ),
    };
    StartError::caused(&doing, error)
}

struct Socket(PathBuf);

#[async_trait]
impl Dial for Socket {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(UnixStream::connect(&self.0).await?))
    }
}

struct Tls {
    connector: TlsConnector,
    host: String,
    port: u16,
    name: ServerName<'static>,
}

impl Tls {
    fn new(signer: &Signer, host: String, port: u16) -> Result<Self, StartError> {
        let failed = |error: &dyn std::error::Error| StartError::caused("signer.client_certificate", error);
        let named = |key: &'static str, path: &Option<PathBuf>| -> Result<PathBuf, StartError> {
            path.clone().ok_or_else(|| StartError::new(format!("{key} is missing: name a PEM file")))
        };
        let mut roots = RootCertStore::empty();
        let server_ca = named("signer.server_ca", &signer.server_ca)?;
        for certificate in certificates("signer.server_ca", &server_ca)? {
            roots.add(certificate).map_err(|error| failed(&error))?;
        }
        let (certificate, key) = ("signer.client_certificate", "signer.client_key");
        let chain = certificates(certificate, &named(certificate, &signer.client_certificate)?)?;
        let pkcs8 = key_of(key, &named(key, &signer.client_key)?)?;
        let key = PrivateKeyDer::try_from(pkcs8)
            .map_err(|_| StartError::new("signer.client_key is no PKCS #8 key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| failed(&error))?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(host.clone()).map_err(|_| {
            StartError::new(format!("signer.at has {host:?}, which is neither a name nor an address"))
        })?;
        Ok(Self { connector: TlsConnector::from(Arc::new(tls)), host, port, name })
    }
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    Ok(chain_of(key, path)?.into_iter().map(CertificateDer::from).collect())
}

#[async_trait]
impl Dial for Tls {
    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(self.connector.connect(self.name.clone(), stream).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_that_is_not_there_is_named_with_its_place() {
        let mut config = Config::default();
        config.signer.at = Some("unix:/run/a.sock".to_owned());
        let away = not_there(&config, &ingam_signer::Error::Away("nobody".to_owned())).to_string();
        assert!(away.contains("unix:/run/a.sock") && away.contains("ingam serve --role signer"), "{away}");
        assert!(!away.contains("signer.callers"), "{away}");
        let refused = not_there(&config, &ingam_signer::Error::Refused("no".to_owned())).to_string();
        assert!(refused.contains("unix:/run/a.sock") && refused.contains("signer.callers"), "{refused}");
    }
}
