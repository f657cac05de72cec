//! OCSP (RFC 6960, RFC 9919) from the outside: every way of asking, what stands in the headers, what was never
//! issued, and how soon a revocation is seen.
//!
//! openssl verifies the answers, curl asks over https and by HTTP/2; requests that neither can make are made by hand. Not a failure: whether the
//! issuer or a delegate signed.

use std::path::Path;
use std::sync::Arc;

use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::curl::Curl;
use ingam_tests::http::{Answer, Place};
use ingam_tests::ocsp::{self, Hash, MALFORMED, Status, UNAUTHORIZED};
use ingam_tests::ports;
use ingam_tests::server::{Server, Setup};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A server, a client with an account, and a certificate of it.
async fn start() -> (Server, Client, Prover, Chain) {
    start_with(Setup::new()).await
}

async fn start_with(setup: Setup) -> (Server, Client, Prover, Chain) {
    let server = Server::start_with(setup).await;
    let mut client = Client::registered(&server.site()).await.expect("an account");
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let chain = issue(&mut client, "status.example.org", &prover).await;
    (server, client, prover, chain)
}

async fn issue(client: &mut Client, name: &str, prover: &Prover) -> Chain {
    client.issue(&[name], &CertificateRequest::of(&[name]), prover).await.expect("a certificate").1
}

/// Sends bytes on a connection of their own and reads until the other side closes it.
async fn raw(place: &Place, bytes: &[u8]) -> (String, Vec<u8>) {
    let mut socket =
        TcpStream::connect((place.host.as_str(), place.port)).await.expect("the responder listens");
    socket.write_all(bytes).await.expect("a request");
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.expect("an answer");
    let head = all.windows(4).position(|window| window == b"\r\n\r\n").expect("an HTTP answer");
    (String::from_utf8_lossy(&all[..head]).into_owned(), all[head + 4..].to_vec())
}

#[track_caller]
fn is_good(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer}");
    assert_eq!(answer.header("content-type"), ocsp::RESPONSE, "{answer}");
    assert_eq!(ocsp::status(&answer.body), Status::Good, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn get_and_post_and_their_headers() {
    let (server, _client, _prover, chain) = start().await;
    server.openssl().status(&chain).await.is_good();
    let url = chain.ocsp_url();
    let mut connection = ocsp::connect(&url);

    for hash in [Hash::Sha1, Hash::Sha256] {
        let request = ocsp::request_for(&chain, hash);
        is_good(&ocsp::post(&mut connection, &url, &request).await.expect("an answer"));
        let answer = ocsp::get(&mut connection, &url, &request).await.expect("an answer");
        is_good(&answer);

        assert!(!answer.header("content-length").is_empty(), "always a length: {answer}");
        let caching = answer.header("cache-control");
        for word in ["max-age=", "public", "no-transform", "must-revalidate"] {
            assert!(caching.contains(word), "{word} (RFC 9919): {answer}");
        }
        for name in ["date", "last-modified", "expires"] {
            assert!(answer.header(name).ends_with(" GMT"), "{name} is an IMF-fixdate: {answer}");
        }
        let tag = answer.header("etag").to_owned();
        assert!(tag.starts_with('"'), "a strong ETag: {answer}");
        let again = hyper::Request::get(ocsp::get_url(&url, &request)).header("if-none-match", &tag);
        let again =
            connection.send(again.body(Default::default()).expect("a request")).await.expect("an answer");
        assert_eq!(again.status, 304, "what a cache has is not sent again: {again}");
        assert!(again.body.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_get() {
    let (_server, mut client, prover, first) = start().await;
    // Serials differ, and some of the requests have `+` or `/` in their base64.
    let mut chains = vec![first];
    for number in 0..4 {
        chains.push(issue(&mut client, &format!("{number}.spelling.example.org"), &prover).await);
    }
    for chain in &chains {
        let url = chain.ocsp_url();
        let mut connection = ocsp::connect(&url);
        for hash in [Hash::Sha1, Hash::Sha256] {
            let encoded = ocsp::get_url(&url, &ocsp::request_for(chain, hash));
            let raw_slash = encoded.replace("%2F", "/");
            let raw_all = raw_slash.replace("%2B", "+").replace("%3D", "=");
            let text =
                raw_all.strip_prefix(&format!("{url}/")).expect("the base is before the request").to_owned();
            let spellings = [
                encoded.replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d"),
                raw_slash,
                raw_all.trim_end_matches('=').to_owned(),
                format!("{url}//{text}"),
                format!("{url}/{}", text.replace('+', "-").replace('/', "_")),
                raw_all,
                encoded,
            ];
            for spelling in spellings {
                let answer = connection.get(&spelling).await.expect("an answer");
                assert_eq!(ocsp::status(&answer.body), Status::Good, "{spelling}: {answer}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_strange_http() {
    let (_server, _client, _prover, chain) = start().await;
    let url = chain.ocsp_url();
    let request = ocsp::request_for(&chain, Hash::Sha1);
    let (place, path) = (Place::of(&url), Place::of(&ocsp::get_url(&url, &request)).path);

    // nginx staples over HTTP/1.0, with and without Host.
    for host in ["", "Host: localhost\r\n"] {
        let (head, body) = raw(&place, format!("GET {path} HTTP/1.0\r\n{host}\r\n").as_bytes()).await;
        assert!(head.contains(" 200 "), "{head}");
        assert_eq!(ocsp::status(&body), Status::Good, "{head}");
        let mut post =
            format!("POST {} HTTP/1.0\r\n{host}Content-Length: {}\r\n\r\n", place.path, request.len());
        post.insert_str(post.len() - 2, "Content-Type: application/octet-stream\r\n");
        let (head, body) = raw(&place, &[post.as_bytes(), &request].concat()).await;
        assert_eq!(ocsp::status(&body), Status::Good, "{head}");
    }
    let absolute = format!(
        "GET http://{}:{}{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        place.host, place.port
    );
    let (head, body) = raw(&place, absolute.as_bytes()).await;
    assert_eq!(ocsp::status(&body), Status::Good, "{head}");
    let mut chunked = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        place.path,
        request.len()
    )
    .into_bytes();
    chunked.extend(&request);
    chunked.extend(b"\r\n0\r\n\r\n");
    let (head, body) = raw(&place, &chunked).await;
    assert_eq!(ocsp::status(&body), Status::Good, "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_that_is_not_plain() {
    let (_server, _client, _prover, chain) = start().await;
    let url = chain.ocsp_url();
    let request = ocsp::request_for(&chain, Hash::Sha1);
    let (place, path) = (Place::of(&url), Place::of(&ocsp::get_url(&url, &request)).path);
    let get = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");

    // HTTP/2 without TLS, behind nothing: its server begins with SETTINGS (RFC 9113, section 3.4).
    let mut socket =
        TcpStream::connect((place.host.as_str(), place.port)).await.expect("the responder listens");
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("a preface");
    let mut frame = [0; 9];
    socket.read_exact(&mut frame).await.expect("a frame");
    assert_eq!(frame[3], 4, "{frame:02x?}");

    // Old answers and new ones on one connection, a list among them, and a client that ends its side first.
    let list = "GET /roots.pem HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut socket =
        TcpStream::connect((place.host.as_str(), place.port)).await.expect("the responder listens");
    socket.write_all([&get, list, &get, &get].concat().as_bytes()).await.expect("requests");
    socket.shutdown().await.expect("the end of our side");
    let mut all = Vec::new();
    socket.read_to_end(&mut all).await.expect("answers");
    assert_eq!(String::from_utf8_lossy(&all).matches("HTTP/1.1 200 OK\r\n").count(), 4);

    // What could be read in two ways ends the connection, and nothing behind it is answered.
    let trap =
        "POST /ocsp HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let (head, body) = raw(&place, [&get, trap, &get].concat().as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let rest = String::from_utf8_lossy(&body);
    assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "{rest}");
    assert!(rest.contains("HTTP/1.1 400 ") && rest.contains("connection: close\r\n"), "{rest}");
}

/// Lines for `[listen]` that open a port for OCSP over https, and where it is.
fn over_https() -> (String, String) {
    let port = ports::free();
    (format!("publication_tls = [\"127.0.0.1:{port}\"]\n"), format!("https://localhost:{port}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_http_2_change_nothing_of_an_answer() {
    let (further_listeners, tls) = over_https();
    let (server, _client, _prover, chain) = start_with(Setup { further_listeners, ..Setup::new() }).await;
    let (plain, url) = (chain.ocsp_url(), format!("{tls}/ocsp"));
    assert!(plain.starts_with("http://"), "certificates point to http alone: {plain}");
    let curl = Curl::trusting(&server.site().tls_ca);
    for hash in [Hash::Sha1, Hash::Sha256] {
        let [gotten, posted] = curl.every_way(&plain, &url, &ocsp::request_for(&chain, hash)).await;
        assert_eq!(gotten, posted);
        assert_eq!(ocsp::status(&gotten.body), Status::Good);
        server.openssl().status_by_post_at(&url, &chain, hash).await.is_good();
    }
    let roots = curl.received(("--http2", "2"), &[], &format!("{tls}/roots.pem")).await;
    assert_eq!(String::from_utf8(roots.body).expect("PEM"), server.roots_pem());
    let open = curl.ask(&[], &format!("{}/roots.pem", tls.replace("https", "http"))).await;
    assert!(!open.status.success(), "nothing is answered there without TLS: {open}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_before_https_tells_for_whom_it_came() {
    let (further_listeners, tls) = over_https();
    let words = "[proxies]\ntrusted = [\"127.0.0.1\"]\npublication_tls = \"proxy-protocol\"\n";
    let setup = Setup { further_listeners, further_config: words.to_owned(), ..Setup::new() };
    let server = Server::start_with(setup).await;
    let (curl, roots) = (Curl::trusting(&server.site().tls_ca), format!("{tls}/roots.pem"));
    curl.received(("--http2", "2"), &["--haproxy-protocol"], &roots).await;
    let silent = curl.ask(&[], &roots).await;
    assert!(!silent.status.success(), "a proxy that says nothing is not served: {silent}");
    assert!(server.errors().contains("\"listener\":\"publication_tls\""), "{}", server.errors());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_issued() {
    let (server, mut client, prover, chain) = start().await;
    let url = chain.ocsp_url();
    let mut connection = ocsp::connect(&url);

    let mut next = chain.serial();
    *next.last_mut().expect("a serial has bytes") ^= 1;
    for serial in [next.as_slice(), &[1], &[0], &[0x7F; 20], &[0x01; 40]] {
        for hash in [Hash::Sha1, Hash::Sha256] {
            let request = ocsp::request(chain.issuer(), serial, hash);
            let answer = ocsp::post(&mut connection, &url, &request).await.expect("an answer").expect(200);
            assert_eq!(answer.header("content-type"), ocsp::RESPONSE, "{answer}");
            // A serial of 40 octets is longer than RFC 5280 allows, so it may also be called malformed.
            let status = ocsp::status(&answer.body);
            assert!(
                status == UNAUTHORIZED || (serial.len() > 20 && status == MALFORMED),
                "{status:?} for {serial:02X?}"
            );
            assert!(answer.body.len() <= 5, "a refusal is not signed: {answer}");
            let caching = answer.header("cache-control");
            assert!(caching.contains("no-cache") && caching.contains("max-age=0"), "{answer}");
        }
    }

    // A serial of one issuer is nothing to the other.
    let order =
        client.order_with(&["rsa.example.org"], json!({"profile": "classic-rsa"})).await.expect("an order");
    let order = client.prove(&order, &prover).await.expect("a proof");
    let csr = CertificateRequest::of(&["rsa.example.org"]);
    let order = client.finalize(&order, &csr.der).await.expect("a valid order");
    let rsa = client.certificate(&order).await.expect("a certificate");
    server.openssl().status(&rsa).await.is_good();
    for (issuer, serial) in [(chain.issuer(), rsa.serial()), (rsa.issuer(), chain.serial())] {
        let request = ocsp::request(issuer, &serial, Hash::Sha1);
        let answer = ocsp::post(&mut connection, &url, &request).await.expect("an answer");
        assert_eq!(ocsp::status(&answer.body), UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request() {
    let (_server, _client, _prover, chain) = start().await;
    let url = chain.ocsp_url();
    let mut connection = ocsp::connect(&url);
    let sound = ocsp::request_for(&chain, Hash::Sha1);
    let trailing = [sound.as_slice(), &[0]].concat();
    let lengths = [0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF].to_vec();
    for bytes in
        [Vec::new(), vec![0], sound[..sound.len() - 1].to_vec(), trailing, lengths, vec![0x30; 9_000]]
    {
        let answer = ocsp::post(&mut connection, &url, &bytes).await.expect("an answer");
        assert_eq!((answer.status, ocsp::status(&answer.body)), (200, MALFORMED), "{} bytes", bytes.len());
    }
    for text in ["AAAA", "%zz", "no base64 at all", "%00%00"] {
        let answer = connection.get(&format!("{url}/{}", text.replace(' ', "%20"))).await.expect("an answer");
        assert_eq!((answer.status, ocsp::status(&answer.body)), (200, MALFORMED), "{text}");
    }
    // Over 10,000 bytes nothing is read; the connection may be closed instead of an answer.
    if let Ok(answer) = ocsp::post(&mut connection, &url, &vec![0x30; 1 << 20]).await {
        let is_refused = answer.status == 413 || ocsp::status(&answer.body) == MALFORMED;
        assert!(is_refused, "{answer}");
    }
    is_good(&ocsp::post(&mut connection, &url, &sound).await.expect("the responder goes on"));
}

/// Requests by POST and GET, each of something that the corpus calls no request.
fn malformed_requests() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/corpus/ocsp-request");
    let mut requests = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the corpus is there") {
        let path = entry.expect("a readable folder").path();
        let bytes = std::fs::read(&path).expect("a readable file");
        // What is longer than any request ends its connection, which is told in `bytes_that_are_no_request`.
        if path.file_name().expect("a name").as_encoded_bytes().starts_with(b"bad-") && bytes.len() <= 10_000
        {
            let head = format!("POST /ocsp HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", bytes.len());
            requests.push([head.as_bytes(), &bytes].concat());
            let path = Place::of(&ocsp::get_url("http://a/ocsp", &bytes)).path;
            requests.push(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes());
        }
    }
    assert!(requests.len() >= 60, "the corpus is there");
    requests
}

/// Sends requests so many times over on one connection, all at once each time, and reads an answer to each: malformed.
async fn are_malformed(place: &Place, requests: &[Vec<u8>], times: usize) {
    const ANSWER: &[u8] = &[0x30, 0x03, 0x0A, 0x01, 0x01];
    let mut socket =
        TcpStream::connect((place.host.as_str(), place.port)).await.expect("the responder listens");
    let all = requests.concat();
    for _ in 0..times {
        let (mut reading, mut writing) = socket.split();
        let read = async {
            let (mut received, mut answers) = (Vec::new(), 0);
            while answers < requests.len() {
                let read = reading.read_buf(&mut received).await.expect("answers");
                assert!(read > 0, "the connection stays");
                while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&received[..end]).into_owned();
                    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(ocsp::RESPONSE), "{head}");
                    let Some(body) = received.get(end + 4..end + 4 + ANSWER.len()) else { break };
                    assert_eq!(body, ANSWER, "{head}");
                    received.drain(..end + 4 + ANSWER.len());
                    answers += 1;
                }
            }
            assert!(received.is_empty(), "no answer to nothing");
        };
        let written = tokio::join!(writing.write_all(&all), read).0;
        written.expect("requests are read");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_malformed_requests_leave_nothing_behind() {
    const REQUESTS: usize = 100_000;
    const CONNECTIONS: usize = 4;
    const GROWTH_MAX_KIB: u64 = 4 * 1024;
    let server = Server::start().await;
    let url = format!("http://localhost:{}/ocsp", server.ports().publication);
    let requests = Arc::new(malformed_requests());
    let ask = async |times| {
        let mut asking = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (place, requests) = (Place::of(&url), Arc::clone(&requests));
            asking.spawn(async move { are_malformed(&place, &requests, times).await });
        }
        asking.join_all().await;
    };
    // What is made once is there before the counting begins.
    ask(10).await;
    let before = server.memory_now_kib();
    ask(REQUESTS.div_ceil(CONNECTIONS * requests.len())).await;
    let (after, peak) = (server.memory_now_kib(), server.peak_memory_mib() * 1024);
    assert!(after <= before + GROWTH_MAX_KIB, "{before} KiB before, {after} KiB after");
    assert!(peak <= before + 2 * GROWTH_MAX_KIB, "{before} KiB before, {peak} KiB between");
    println!("{before} KiB before, {after} KiB after, at most {peak} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_seen_at_once() {
    let (server, mut client, prover, first) = start().await;
    let (openssl, url) = (server.openssl(), first.ocsp_url());
    let mut connection = ocsp::connect(&url);
    let reasons = [(None, None), (Some(1), Some("keyCompromise")), (Some(5), Some("cessationOfOperation"))];
    for (number, (reason, name)) in reasons.into_iter().enumerate() {
        let chain = issue(&mut client, &format!("{number}.revoked.example.org"), &prover).await;
        let request = ocsp::request_for(&chain, Hash::Sha1);
        // The answer is asked for before, so that whatever keeps answers has kept this one.
        for _ in 0..3 {
            is_good(&ocsp::get(&mut connection, &url, &request).await.expect("an answer"));
        }
        client.revoke(chain.leaf(), reason).await.expect("an answer").expect(200);
        for hash in [Hash::Sha1, Hash::Sha256] {
            let request = ocsp::request_for(&chain, hash);
            let answer = ocsp::get(&mut connection, &url, &request).await.expect("an answer");
            let Status::Revoked { reason: told, at } = ocsp::status(&answer.body) else {
                panic!("the first answer after the revocation says so: {answer}");
            };
            assert_eq!(told, reason, "the reason is the one given");
            assert!(at.len() == 15 && at.ends_with('Z'), "{at}");
        }
        openssl.status(&chain).await.is_revoked(name);
        assert!(openssl.crl(&chain).await.contains(&chain), "the CRL holds it too");
    }
    openssl.status(&first).await.is_good();
}
