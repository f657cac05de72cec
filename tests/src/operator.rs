//! Whoever runs a CA: the command line over the Unix socket or over mutual TLS, client certificates and the CA that issues
//! them, and the admin API itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use ring::digest::{SHA256, digest};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio::process::Command;

use crate::command::{Finished, run};
use crate::http::{Answer, Connection};
use crate::server::{Server, binary};

/// A CA of client certificates, which `operator.client_ca` names.
pub struct ClientCa {
    /// Its certificate, PEM.
    pub path: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

impl ClientCa {
    /// Makes one, with its files in this folder.
    pub fn new(folder: &Path, name: &str) -> Self {
        let key = KeyPair::generate().expect("rcgen makes P-256 keys");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("rcgen signs it");
        let path = folder.join(format!("{name}.pem"));
        std::fs::write(&path, certificate.pem()).expect("a writable folder");
        Self { path, issuer: Issuer::new(params, key), folder: folder.to_owned() }
    }

    /// A client certificate for somebody of this name.
    pub fn person(&self, name: &str) -> Person {
        self.certify(name, CertificateParams::default(), ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A server's certificate for `localhost`.
    pub fn server(&self, name: &str) -> Person {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a DNS name");
        self.certify(name, params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn certify(&self, name: &str, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Person {
        let key = KeyPair::generate().expect("rcgen makes P-256 keys");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).expect("rcgen signs it");
        let person = Person {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
            principal: format!("cert:{}", hex(digest(&SHA256, certificate.der()).as_ref())),
        };
        std::fs::write(&person.certificate, certificate.pem()).expect("a writable folder");
        std::fs::write(&person.key, key.serialize_pem()).expect("a writable folder");
        person
    }
}

/// Somebody with a certificate.
#[derive(Debug, Clone)]
pub struct Person {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// `cert:` and the SHA-256 of the certificate.
    pub principal: String,
}

impl Person {
    /// Client settings for TLS that show this certificate, and trust these CAs alone.
    pub fn tls(&self, trusted: &Path) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(trusted) {
            roots.add(certificate).expect("a certificate that can be a trust anchor");
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("a key in PEM");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&self.certificate), key);
        let mut config = config.expect("key and certificate belong together");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// This person's connection to the admin API of a server.
    pub fn api(&self, server: &Server) -> Api {
        Api::over(server, self.tls(&server.site().tls_ca))
    }

    /// Runs `ingam admin` as this person, over mutual TLS.
    pub async fn admin(&self, server: &Server, arguments: &[&str]) -> Finished {
        let mut command = Command::new(binary());
        command.args(["admin", "--url", &admin_url(server), "--ca"]).arg(server.site().tls_ca);
        command.arg("--certificate").arg(&self.certificate).arg("--key").arg(&self.key);
        command.args(arguments).current_dir(server.home());
        run(&mut command, "").await
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    read.map(|certificate| certificate.expect("a certificate in PEM")).collect()
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the admin API of a server is over TCP.
pub fn admin_url(server: &Server) -> String {
    format!("https://localhost:{}", server.ports().admin)
}

/// The admin API over TCP.
pub struct Api {
    connection: Connection,
    url: String,
}

impl Api {
    /// A connection with these settings for TLS.
    pub fn over(server: &Server, tls: Arc<ClientConfig>) -> Self {
        let url = admin_url(server);
        Self { connection: Connection::to(&url, Some(tls)), url }
    }

    /// GET.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.try_get(path).await.expect("an answer")
    }

    /// GET, where there may be no answer.
    pub async fn try_get(&mut self, path: &str) -> Result<Answer, crate::Error> {
        self.connection.get(&format!("{}{path}", self.url)).await
    }

    /// POST of JSON.
    pub async fn post(&mut self, path: &str, body: &Value) -> Answer {
        let request = Request::post(format!("{}{path}", self.url))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("a request");
        self.connection.send(request).await.expect("an answer")
    }
}

impl Server {
    /// Runs `ingam admin` over the Unix socket, as the user who runs the test.
    pub async fn admin(&self, arguments: &[&str]) -> Finished {
        let mut command = Command::new(binary());
        command.args(["admin", "--dir"]).arg(self.state()).args(arguments).current_dir(self.home());
        run(&mut command, "").await
    }

    /// The same with `--json`, for commands that have to succeed; what they printed.
    pub async fn admin_json(&self, arguments: &[&str]) -> Value {
        let with_json: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let text = self.admin(&with_json).await.succeeded().text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
    }
}
