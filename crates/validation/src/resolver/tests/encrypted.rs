//! Resolvers that are spoken to over TCP, TLS and HTTPS: with the right name, and with another.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use trust_dns_resolver::proto::rr::RecordType;

use super::super::*;
use crate::Config;
use crate::testing::World;

/// A server with a certificate for `dns.example`, and the file by which it is known.
struct Server {
    address: SocketAddr,
    folder: tempfile::TempDir,
    answered: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
enum Kind {
    Tls,
    Https,
}

impl Server {
    async fn new(world: &World, kind: Kind) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["dns.example".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("roots.pem"), made.cert.pem()).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
        config.alpn_protocols = match kind {
            Kind::Tls => Vec::new(),
            Kind::Https => vec![b"h2".to_vec()],
        };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, answered) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (world, count) = (world.clone(), answered.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, world, count) = (acceptor.clone(), world.clone(), count.clone());
                tokio::spawn(async move {
                    // Whoever wants another name hangs up.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    match kind {
                        Kind::Tls => frames(stream, &world, &count).await,
                        Kind::Https => requests(stream, world, count).await,
                    }
                });
            }
        });
        Self { address, folder, answered }
    }

    fn config(&self, world: &World, server: &str) -> Config {
        let mut config = world.config();
        config.resolvers = vec![server.parse().unwrap()];
        config.resolver_roots = Some(self.folder.path().join("roots.pem"));
        config.lookup_timeout_ms = 3000;
        config
    }
}

async fn frames(mut stream: TlsStream<TcpStream>, world: &World, count: &AtomicUsize) {
    while let Ok(length) = stream.read_u16().await {
        let mut request = vec![0; usize::from(length)];
        stream.read_exact(&mut request).await.unwrap();
        let answer = world.respond(&request).unwrap();
        count.fetch_add(1, Ordering::Relaxed);
        let length = u16::try_from(answer.len()).unwrap();
        stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await.unwrap();
        stream.flush().await.unwrap();
    }
}

async fn requests(stream: TlsStream<TcpStream>, world: World, count: Arc<AtomicUsize>) {
    let serve = |request: http::Request<Incoming>| {
        let (world, count) = (world.clone(), count.clone());
        async move {
            assert_eq!(request.uri().path(), "/dns-query");
            let body = request.into_body().collect().await.unwrap().to_bytes();
            count.fetch_add(1, Ordering::Relaxed);
            let answer = Full::<hyper::body::Bytes>::from(world.respond(&body).unwrap());
            let response = http::Response::builder().header("content-type", "application/dns-message");
            Ok::<_, Infallible>(response.body(answer).unwrap())
        }
    };
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // The other side may hang up at any time.
    let _ = connection.serve_connection(TokioIo::new(stream), service_fn(serve)).await;
}

async fn ask(config: &Config) -> Result<Vec<RData>, Missing> {
    Setup::new(config).unwrap().resolver().await.ask("a.example", RecordType::A).await.0
}

#[tokio::test]
async fn servers_are_known_by_their_names() {
    let world = World::new().await;
    world.a("a.example", "127.0.0.1");
    for (kind, scheme, path) in [(Kind::Tls, "tls", ""), (Kind::Https, "https", "/dns-query")] {
        let server = Server::new(&world, kind).await;
        let right = format!("{scheme}://dns.example@{}{path}", server.address);
        assert_eq!(ask(&server.config(&world, &right)).await.unwrap().len(), 1, "{right}");
        assert_eq!(server.answered.load(Ordering::Relaxed), 1);

        let wrong = format!("{scheme}://other.example@{}{path}", server.address);
        let detail = ask(&server.config(&world, &wrong)).await.unwrap_err().failure("ADVICE").detail;
        let words = "DNS: problem looking up A for a.example: no DNS server can be reached; ADVICE";
        assert_eq!(detail, words, "{wrong}");
        // Another CA's word is none.
        let other = Server::new(&world, kind).await;
        let mut config = server.config(&world, &right);
        config.resolver_roots = other.config(&world, &right).resolver_roots;
        assert!(ask(&config).await.is_err());
        assert_eq!(server.answered.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn files_without_a_ca_stop_the_start() {
    let world = World::new().await;
    let mut config = world.config();
    config.resolvers = vec!["tls://dns.example@127.0.0.1:1".parse().unwrap()];
    let folder = tempfile::tempdir().unwrap();
    for (name, text, words) in [
        ("missing.pem", None, "cannot be read"),
        ("empty.pem", Some(""), "there is no CA certificate"),
        ("key.pem", Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "cannot be read"),
    ] {
        let path = folder.path().join(name);
        text.iter().for_each(|text| std::fs::write(&path, text).unwrap());
        config.resolver_roots = Some(path);
        let error = Setup::new(&config).err().unwrap().to_string();
        assert!(error.starts_with("resolver_roots: ") && error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn anchors_that_are_none_stop_the_start() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = world.config();
    config.dnssec = crate::config::Dnssec::Validate;
    for (name, text) in
        [("missing.key", None), ("empty.key", Some("")), ("odd.key", Some("this is no record"))]
    {
        let path = folder.path().join(name);
        text.iter().for_each(|text| std::fs::write(&path, text).unwrap());
        config.trust_anchors = Some(path);
        let error = Setup::new(&config).err().unwrap().to_string();
        assert!(error.starts_with("trust_anchors: "), "{error}");
    }
}

#[tokio::test]
async fn tcp_is_all_that_is_spoken_where_it_is_asked_for() {
    // Over UDP this one says nothing of use; over TCP it answers.
    let world = World::new().await;
    world.a("a.example", "127.0.0.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = world.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let length = stream.read_u16().await.unwrap();
            let mut request = vec![0; usize::from(length)];
            stream.read_exact(&mut request).await.unwrap();
            let answer = served.respond(&request).unwrap();
            let length = u16::try_from(answer.len()).unwrap();
            stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await.unwrap();
        }
    });
    let mut config = world.config();
    config.lookup_timeout_ms = 2000;
    config.resolvers = vec![format!("tcp://{address}").parse().unwrap()];
    ask(&config).await.unwrap();
}
