//! Answers to challenges: a web server for http-01 (RFC 8555 8.3) and records in the test DNS for dns-01 (8.4).

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use ring::digest;
use rustls::ServerConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::http::Connection;
use crate::jws::base64url;

/// What can make a challenge come true.
#[derive(Clone)]
pub enum Prover {
    /// http-01.
    Http(WebAnswers),
    /// dns-01.
    Dns(Zone),
}

impl Prover {
    /// The challenge type, as ACME spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http-01",
            Self::Dns(_) => "dns-01",
        }
    }

    /// Puts the answer for this name, token and account key in its place.
    pub async fn set(&self, name: &str, token: &str, thumbprint: &str) -> Result<(), Error> {
        match self {
            Self::Http(answers) => {
                answers.set(token, format!("{token}.{thumbprint}"));
                Ok(())
            }
            Self::Dns(zone) => zone.set_challenge(name, &format!("{token}.{thumbprint}")).await,
        }
    }
}

const WELL_KNOWN: &str = "/.well-known/acme-challenge/";

/// A web server that gives key authorizations and nothing else. It ends with its last copy.
#[derive(Clone)]
pub struct WebAnswers {
    answers: Arc<Mutex<HashMap<String, String>>>,
    _task: Arc<Running>,
}

impl WebAnswers {
    /// Listens on this port of 127.0.0.1.
    pub async fn listen(port: u16) -> Self {
        Self::listen_at((Ipv4Addr::LOCALHOST, port).into()).await
    }

    /// Listens at an address.
    pub async fn listen_at(address: SocketAddr) -> Self {
        Self::start(address, None).await
    }

    /// The same, and whatever lies in this folder, in a file of the token's name, is given too.
    pub async fn listen_with_folder(port: u16, folder: &Path) -> Self {
        Self::start((Ipv4Addr::LOCALHOST, port).into(), Some(folder.to_owned())).await
    }

    async fn start(address: SocketAddr, folder: Option<PathBuf>) -> Self {
        let listener = TcpListener::bind(address)
            .await
            .unwrap_or_else(|error| panic!("cannot listen at {address} for http-01: {error}"));
        let answers = Arc::new(Mutex::new(HashMap::new()));
        let task = tokio::spawn(serve(listener, Arc::clone(&answers), folder));
        Self { answers, _task: Arc::new(Running(task)) }
    }

    /// Answers this token with this text from now on.
    pub fn set(&self, token: &str, text: String) {
        self.answers.lock().expect("no panic with the answers in hand").insert(token.to_owned(), text);
    }
}

/// A task that ends with its owner.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(listener: TcpListener, answers: Arc<Mutex<HashMap<String, String>>>, folder: Option<PathBuf>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let (answers, folder) = (Arc::clone(&answers), folder.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let token = request.uri().path().strip_prefix(WELL_KNOWN).unwrap_or("").to_owned();
            let text = answers.lock().expect("no panic with the answers in hand").get(&token).cloned();
            let text = text.or_else(|| read(folder.as_deref()?, &token));
            async move {
                let mut answer = Response::new(Full::new(Bytes::from(text.clone().unwrap_or_default())));
                if text.is_none() {
                    *answer.status_mut() = StatusCode::NOT_FOUND;
                }
                Ok::<_, Infallible>(answer)
            }
        });
        tokio::spawn(async move {
            drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await)
        });
    }
}

/// What a client has put into its web folder for this token.
fn read(folder: &Path, token: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if token.is_empty() || !token.chars().all(is_plain) {
        return None;
    }
    std::fs::read_to_string(folder.join(token)).ok()
}

/// The test DNS server, through its management interface (the one that Pebble's users know).
#[derive(Debug, Clone)]
pub struct Zone {
    management_port: u16,
}

impl Zone {
    /// The zone behind this management port.
    pub fn managed_at(management_port: u16) -> Self {
        Self { management_port }
    }

    /// Sets the TXT record that proves this name by this key authorization.
    pub async fn set_challenge(&self, name: &str, key_authorization: &str) -> Result<(), Error> {
        let value = base64url(digest::digest(&digest::SHA256, key_authorization.as_bytes()));
        self.set_txt(&format!("_acme-challenge.{name}."), &value).await
    }

    /// Adds a TXT record; the host ends with a dot.
    pub async fn set_txt(&self, host: &str, value: &str) -> Result<(), Error> {
        self.command("set-txt", json!({"host": host, "value": value})).await
    }

    /// Removes all TXT records of a host, which ends with a dot.
    pub async fn clear_txt(&self, host: &str) -> Result<(), Error> {
        self.command("clear-txt", json!({"host": host})).await
    }

    /// Makes the server fail every question about this host, which ends with a dot.
    pub async fn set_servfail(&self, host: &str) -> Result<(), Error> {
        self.command("set-servfail", json!({"host": host})).await
    }

    /// One command of the management interface.
    pub async fn command(&self, name: &str, body: Value) -> Result<(), Error> {
        let url = format!("http://127.0.0.1:{}/{name}", self.management_port);
        let request = Request::post(&url)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("a request");
        let answer = Connection::to(&url, None).send(request).await?;
        match answer.status {
            200 => Ok(()),
            _ => Err(Error::answered(format!("{name} in the test DNS"), answer)),
        }
    }
}

/// A server that shows the certificate of tls-alpn-01 (RFC 8737, section 3), until it is aborted.
pub async fn serve_tls_alpn(port: u16, name: &str, digest: &[u8]) -> JoinHandle<()> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a DNS name");
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().expect("rcgen makes P-256 keys");
    let certificate = params.self_signed(&key).expect("rcgen signs it").der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let signing = provider.key_provider.load_private_key(key).expect("ring knows P-256");
    // Not `with_single_cert`: that one reads the certificate, and refuses the critical extension.
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], signing));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("a free port");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(socket).await {
                    // Whoever checks closes as soon as it has seen the certificate, and is to be the first to do so.
                    let _ = stream.read(&mut [0]).await;
                }
            });
        }
    })
}
