//! Where a CA is, and what verifies it: all that a client has to be told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// A CA on this machine, ours or another.
#[derive(Debug, Clone)]
pub struct Site {
    /// The URL of the ACME directory.
    pub directory: String,
    /// PEM of the certificate that verifies the HTTPS endpoints (this is no certificate of the CA's hierarchy).
    pub tls_ca: PathBuf,
    /// The port to which http-01 validation connects.
    pub http_port: u16,
    /// The port to which tls-alpn-01 validation connects.
    pub tls_alpn_port: u16,
    /// The port of the test DNS server.
    pub dns_port: u16,
    /// The port of the management interface of the test DNS server.
    pub dns_management_port: u16,
}

impl Site {
    /// Client settings for TLS that trust this CA's endpoints and nothing else, with HTTP/1.1.
    pub fn tls(&self) -> Arc<ClientConfig> {
        tls_trusting(&self.tls_ca)
    }
}

/// Client settings for TLS that trust the certificates of one PEM file.
pub fn tls_trusting(pem: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(pem)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", pem.display()));
    for certificate in certificates {
        roots
            .add(certificate.expect("a certificate in PEM"))
            .expect("a certificate that can be a trust anchor");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
