//! The certificate of the https listeners, which can be replaced while they listen.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use ingam_protocol::Finding;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::config::Config;
use crate::production;
use crate::serve::StartError;

const OF_HTTPS: &str = "the certificate of the https endpoints";

/// A chain, leaf first, and its key.
pub(crate) struct ServerIdentity {
    /// DER of each certificate.
    pub(crate) chain: Vec<Vec<u8>>,
    /// The key, DER of PKCS #8.
    pub(crate) pkcs8: zeroize::Zeroizing<Vec<u8>>,
}

impl ServerIdentity {
    /// Reads the PEM files that the configuration names.
    ///
    /// # Errors
    /// A finding about `tls.certificate` or `tls.key`.
    pub(crate) fn read(config: &Config) -> Result<Self, Finding> {
        Ok(Self { chain: production::chain(config)?, pkcs8: production::key(config)?.into() })
    }
}

/// The certificates of a PEM file, at least one.
fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let failed =
        |error: rustls_pki_types::pem::Error| StartError::new(format!("{key} {}: {error}", path.display()));
    let found = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    if found.is_empty() {
        return Err(StartError::new(format!("{key} {} holds no certificate", path.display())));
    }
    Ok(found)
}

/// A certificate with the key that belongs to it.
pub(crate) struct Presentable(Arc<CertifiedKey>);

impl Presentable {
    /// Checks that key and certificate belong together.
    ///
    /// # Errors
    /// [`StartError`] if they do not, or one of them is of no use to TLS.
    pub(crate) fn new(identity: &ServerIdentity) -> Result<Self, StartError> {
        certified(identity).map(Self)
    }
}

/// What the https listeners show, as of now.
#[derive(Debug)]
pub(crate) struct ServedCertificate(RwLock<Option<Arc<CertifiedKey>>>);

impl ServedCertificate {
    /// Shows this from the first connection on.
    pub(crate) fn new(identity: &ServerIdentity) -> Result<Arc<Self>, StartError> {
        Ok(Arc::new(Self(RwLock::new(Some(certified(identity)?)))))
    }

    /// Shows nothing yet: handshakes fail.
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self(RwLock::new(None)))
    }

    /// Whether this is the one that is shown.
    pub(crate) fn shows(&self, Presentable(other): &Presentable) -> bool {
        self.current().is_some_and(|current| current.cert == other.cert)
    }

    /// Shows another one to every connection that comes after.
    pub(crate) fn replace(&self, Presentable(new): Presentable) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(new);
    }

    /// DER of the certificate itself, as of now.
    pub(crate) fn leaf(&self) -> Option<Vec<u8>> {
        self.current()?.cert.first().map(|certificate| certificate.as_ref().to_vec())
    }

    fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// TLS for whoever connects.
    pub(crate) fn for_everybody(self: &Arc<Self>) -> Result<Arc<ServerConfig>, StartError> {
        let failed = |error: rustls::Error| StartError::caused(OF_HTTPS, &error);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// TLS for those who hold a certificate of one of these CAs (`operator.client_ca`).
    pub(crate) fn for_operators(self: &Arc<Self>, client_ca: &Path) -> Result<Arc<ServerConfig>, StartError> {
        self.for_holders("operator.client_ca", client_ca, &[b"http/1.1"])
    }

    /// TLS for those who hold a certificate of one of these CAs (`perspective.client_ca`).
    pub(crate) fn for_coordinators(
        self: &Arc<Self>,
        client_ca: &Path,
    ) -> Result<Arc<ServerConfig>, StartError> {
        self.for_holders("perspective.client_ca", client_ca, &[b"h2", b"http/1.1"])
    }

    /// TLS for those who hold a certificate of one of these CAs (`signer.client_ca`).
    pub(crate) fn for_callers(self: &Arc<Self>, client_ca: &Path) -> Result<Arc<ServerConfig>, StartError> {
        self.for_holders("signer.client_ca", client_ca, &[b"h2"])
    }

    fn for_holders(
        self: &Arc<Self>,
        key: &str,
        client_ca: &Path,
        protocols: &[&[u8]],
    ) -> Result<Arc<ServerConfig>, StartError> {
        let failed = |error: &dyn std::error::Error| {
            StartError::caused(&format!("{key} {}", client_ca.display()), error)
        };
        let mut roots = rustls::RootCertStore::empty();
        for certificate in certificates(key, client_ca)? {
            roots.add(certificate).map_err(|error| failed(&error))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| failed(&error))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(self.clone());
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certified(identity: &ServerIdentity) -> Result<Arc<CertifiedKey>, StartError> {
    let failed = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(_) => StartError::new(
            "tls.key is not the key of tls.certificate: give the key of the first certificate in that file",
        ),
        error => StartError::caused(OF_HTTPS, &error),
    };
    let chain = identity.chain.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.pkcs8.to_vec()));
    // It checks that key and certificate belong together.
    CertifiedKey::from_der(chain, key, &provider()).map(Arc::new).map_err(failed)
}
