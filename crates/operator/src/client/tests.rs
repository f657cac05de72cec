//! The client against servers that behave, misbehave, and speak TLS.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use super::*;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// Answers so many requests on one connection, then closes it.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, requests: usize) {
    for _ in 0..requests {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        stream.write_all(ANSWER.as_bytes()).await.unwrap();
    }
}

/// A server that answers so many requests on each connection; counts connections.
fn listen(path: &Path, requests: usize) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(path).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(answer(stream, requests));
        }
    });
    connections
}

fn client(path: &Path) -> Client {
    Client::new(Address::Socket(path.to_owned()), Duration::from_secs(20))
}

#[tokio::test]
async fn one_connection_is_kept_and_a_closed_one_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (kept, closed) = (dir.path().join("kept"), dir.path().join("closed"));
    let connections = listen(&kept, 3);
    let mut asking = client(&kept);
    for _ in 0..3 {
        asking.fetch(&Target::new("/v1/whoami")).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    let connections = listen(&closed, 1);
    let mut asking = client(&closed);
    for _ in 0..3 {
        asking.fetch(&Target::new("/v1/whoami")).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_connection_that_ends_without_an_answer_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    listen(&path, 0);
    let outcome = client(&path).post(&Target::new("/v1/reload"), &serde_json::json!({})).await;
    assert!(
        matches!(&outcome, Err(Error::Unreachable(what)) if what.contains("may have been")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    // Connections are taken by the kernel; nobody reads.
    let _listener = UnixListener::bind(&path).unwrap();
    let mut asking = Client::new(Address::Socket(path), Duration::from_millis(10));
    let outcome = asking.fetch(&Target::new("/v1/whoami")).await;
    assert!(matches!(&outcome, Err(Error::Unreachable(what)) if what.contains("--timeout")), "{outcome:?}");
}

/// A CA, and who it vouches for.
struct Tls {
    dir: tempfile::TempDir,
    ca: Issuer<'static, KeyPair>,
    ca_pem: String,
}

impl Tls {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca_pem = params.self_signed(&key).unwrap().pem();
        Self { dir: tempfile::tempdir().unwrap(), ca: Issuer::new(params, key), ca_pem }
    }

    /// Writes the files of somebody.
    fn files(&self, name: &str) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        let write = |ending: &str, text: &str| {
            let path = self.dir.path().join(format!("{name}.{ending}"));
            std::fs::write(&path, text).unwrap();
            path
        };
        TlsFiles {
            ca: write("ca", &self.ca_pem),
            certificate: write("pem", &certificate.pem()),
            key: write("key", &key.serialize_pem()),
        }
    }

    /// A server that wants certificates of this CA; gives its port.
    async fn serve(&self) -> u16 {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        let pem = rustls_pki_types::pem::PemObject::from_pem_slice(self.ca_pem.as_bytes()).unwrap();
        roots.add(pem).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(answer(stream, 9));
                }
            }
        });
        port
    }
}

async fn ask(port: u16, files: TlsFiles) -> Result<Answer, Error> {
    let wanted = Wanted {
        url: Some(format!("https://localhost:{port}")),
        ca: Some(files.ca),
        certificate: Some(files.certificate),
        key: Some(files.key),
        ..Wanted::default()
    };
    let address = Address::find(&wanted, &|_| None).unwrap();
    Client::new(address, Duration::from_secs(20)).fetch(&Target::new("/v1/whoami")).await
}

#[tokio::test]
async fn mutual_tls_lets_only_those_in_who_know_each_other() {
    let tls = Tls::new();
    let port = tls.serve().await;
    assert_eq!(ask(port, tls.files("ann")).await.unwrap().body, "{}");
    let (other, own) = (Tls::new(), tls.files("bob"));
    let believes_others = TlsFiles { ca: other.files("dora").ca, ..own.clone() };
    let outcome = ask(port, believes_others).await;
    assert!(
        matches!(&outcome, Err(Error::Unreachable(what)) if what.contains("--ca has to be")),
        "{outcome:?}"
    );
    let eve = other.files("eve");
    let not_let_in = TlsFiles { certificate: eve.certificate, key: eve.key, ca: own.ca };
    let outcome = ask(port, not_let_in).await;
    assert!(matches!(&outcome, Err(Error::Unreachable(_))), "{outcome:?}");
}

#[test]
fn files_that_do_not_go_together_are_told() {
    let tls = Tls::new();
    let (ann, bob) = (tls.files("ann"), tls.files("bob"));
    let mixed = TlsFiles { key: bob.key, ..ann.clone() };
    assert!(mixed.config().unwrap_err().contains("do not go together"));
    let empty = TlsFiles { ca: ann.key.clone(), ..ann };
    assert!(empty.config().unwrap_err().contains("holds no certificate"));
}
