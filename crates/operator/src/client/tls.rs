//! Mutual TLS: whom the client believes, and what it shows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// The files of mutual TLS, each PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificates that the server's is checked against.
    pub ca: PathBuf,
    /// The client's certificate with its chain.
    pub certificate: PathBuf,
    /// The client's key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// What rustls does with them.
    ///
    /// # Errors
    ///
    /// A sentence with the file that cannot be used.
    pub(super) fn config(&self) -> Result<rustls::ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.ca, "--ca")? {
            roots.add(certificate).map_err(|error| {
                format!("--ca {} has a certificate that cannot be used: {error}", self.ca.display())
            })?;
        }
        let chain = certificates(&self.certificate, "--certificate")?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| format!("--key {} holds no private key: {error}", self.key.display()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| {
                format!(
                    "--certificate {} and --key {} do not go together: {error}",
                    self.certificate.display(),
                    self.key.display()
                )
            })
    }
}

fn certificates(path: &Path, option: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let unread = |error| format!("{option} {} cannot be read: {error}", path.display());
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(unread)?.collect::<Result<_, _>>().map_err(unread)?;
    if found.is_empty() {
        return Err(format!("{option} {} holds no certificate", path.display()));
    }
    Ok(found)
}
