//! A CA behind proxies: the record of what a client did names the client's address, by the word of a proxy that is trusted
//! and of nobody else, and every link is as clients see the CA.
//!
//! Clients come from 127.0.0.1, proxies from [`PROXY_ADDRESS`]. Not a failure: how a connection that is not served ends.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use ingam_tests::client::Client;
use ingam_tests::http::Connection;
use ingam_tests::jws::Key;
use ingam_tests::operator::ClientCa;
use ingam_tests::ports;
use ingam_tests::proxy::{PROXY_ADDRESS, Proxy};
use ingam_tests::server::{Identity, Server, Setup};
use rcgen::KeyPair;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// What a client could want to pass for.
const FALSE_ADDRESS: &str = "203.0.113.66";

const CLOSED_WITHIN: Duration = Duration::from_secs(20);

/// `ingam serve` that trusts the proxies of these stories, and its https identity.
async fn server(listeners: &str, words: &str, public_port: u16) -> (Server, Identity) {
    let home = TempDir::new().expect("a temporary folder");
    let https = ClientCa::new(home.path(), "https-ca");
    let person = https.server("https");
    let identity = Identity { certificate: person.certificate, key: person.key, ca: https.path.clone() };
    let uid = rustix::process::getuid().as_raw();
    let setup = Setup {
        identity: Some(identity.clone()),
        public_port: Some(public_port),
        further_listeners: listeners.to_owned(),
        further_config: format!(
            "[operator]\nadministrators = [\"uid:{uid}\"]\n[proxies]\ntrusted = [\"{PROXY_ADDRESS}\"]\n{words}\n"
        ),
        ..Setup::new()
    };
    (Server::start_in(home, setup).await, identity)
}

fn new_key() -> Key {
    Key::es256_from(&KeyPair::generate().expect("rcgen makes P-256 keys").serialize_der())
}

/// Where accounts were made from, by the records, oldest first.
async fn origins(server: &Server) -> Vec<String> {
    let search = ["log", "search", "--type", "account_created", "--reason", "a test"];
    let found = server.admin_json(&search).await;
    let items = found["items"].as_array().cloned().unwrap_or_default();
    let of = |item: &serde_json::Value| item["payload"]["request"]["address"].as_str().map(str::to_owned);
    items.iter().map(|item| of(item).unwrap_or_else(|| panic!("no address: {item}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_ends_tls_and_tells_by_a_header() {
    for (word, header) in [
        ("x-forwarded-for", "proxy_set_header X-Forwarded-For \"203.0.113.66, $proxy_add_x_forwarded_for\";"),
        ("forwarded", "proxy_set_header Forwarded \"for=203.0.113.66, for=$remote_addr:$remote_port\";"),
    ] {
        let (public, plain) = (ports::free(), ports::free());
        let listeners = format!("acme_plain = [\"127.0.0.1:{plain}\"]\n");
        let (server, identity) = server(&listeners, &format!("acme_plain = \"{word}\""), public).await;
        let files = (identity.certificate.as_path(), identity.key.as_path());
        let _nginx = Proxy::nginx(&server.scratch("nginx"), public, files, plain, header).await;

        let client = Client::registered(&server.site()).await.expect("an account");
        let links = [client.account(), client.resource("newOrder")];
        for link in links {
            assert!(link.starts_with(&format!("https://localhost:{public}/")), "{link}");
        }
        assert_eq!(origins(&server).await, ["127.0.0.1"], "{word}: the right-most one that is no proxy's");

        // Past the proxy, from this machine: nobody believes what such a client says of itself.
        let mut direct = Client::new(&server.site(), new_key()).await.expect("a directory");
        let url = direct.resource("newAccount");
        let jws = direct.request(&url).with_jwk().payload(json!({})).jws().await.expect("a request");
        let past = format!("http://127.0.0.1:{plain}/new-account");
        let request = Request::post(&past)
            .header("content-type", "application/jose+json")
            .header("x-forwarded-for", FALSE_ADDRESS)
            .header("forwarded", format!("for={FALSE_ADDRESS}"))
            .header("host", "elsewhere.example")
            .header("x-forwarded-host", "elsewhere.example")
            .body(Full::new(Bytes::from(jws.to_string())));
        let answer = Connection::to(&past, None).send(request.expect("a request")).await.expect("an answer");
        let account = answer.expect(201).header("location").to_owned();
        assert!(account.starts_with(&format!("https://localhost:{public}/")), "{account}");
        assert_eq!(origins(&server).await, ["127.0.0.1", "127.0.0.1"], "{word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_passes_tls_on_and_tells_by_the_proxy_protocol() {
    for word in ["send-proxy", "send-proxy-v2"] {
        let public = ports::free();
        let (server, _) = server("", "acme = \"proxy-protocol\"", public).await;
        let _haproxy = Proxy::haproxy(&server.scratch("haproxy"), public, server.ports().acme, word).await;
        Client::registered(&server.site()).await.expect("an account");
        assert_eq!(origins(&server).await, ["127.0.0.1"], "{word}");

        let ca: SocketAddr = ([127, 0, 0, 1], server.ports().acme).into();
        // A proxy that has to speak it and does not.
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(PROXY_ADDRESS.parse().expect("an address"), 0)).expect("this machine");
        let silent = socket.connect(ca).await.expect("a connection");
        assert!(is_closed(silent, b"GET /dir HTTP/1.1\r\nHost: localhost\r\n\r\n").await);
        let log = server.errors();
        assert!(log.contains("did not tell for whom it came") && log.contains(PROXY_ADDRESS), "{log}");

        // Somebody who is no proxy, and speaks it.
        let stranger = TcpStream::connect(ca).await.expect("a connection");
        let preface = format!("PROXY TCP4 {FALSE_ADDRESS} 127.0.0.1 4711 443\r\n");
        assert!(is_closed(stranger, preface.as_bytes()).await);
        // And one who does not is served as who it is.
        let direct = format!("https://localhost:{}/dir", ca.port());
        let mut direct_connection = Connection::to(&direct, Some(server.site().tls()));
        direct_connection.get(&direct).await.expect("an answer").expect(200);
    }
}

/// Whether a connection that sends this ends without an answer of HTTP.
async fn is_closed(mut stream: TcpStream, sent: &[u8]) -> bool {
    // It may be closed before all was sent.
    let _ = stream.write_all(sent).await;
    let mut answer = Vec::new();
    // A TLS alert may come, or a reset.
    let _ = timeout(CLOSED_WITHIN, stream.read_to_end(&mut answer)).await.expect("it ends in time");
    !String::from_utf8_lossy(&answer).contains("HTTP/")
}
