//! Who a client is, behind proxies and without, as far as the request log wants to know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::proxy::{Front, ProxyWord, TrustedProxies};

use super::driver::*;
use crate::config::Config;
use crate::request_log::{Mode, Outcome, RequestLog};
use crate::tests::noted::{logging, noted};
use crate::tests::world::*;
use crate::wire::connection::{Connection, Overtime};
use crate::wire::desk::Desk;

/// A responder that logs, asked by the peer 192.0.2.1, which is trusted with this word.
struct Logged {
    world: World,
    log: Arc<RequestLog>,
    desk: Desk,
    target: String,
}

impl Logged {
    async fn new(word: ProxyWord) -> Self {
        let mut world = World::new(&Config::default());
        world.statuses.issue(1);
        let target = format!("/ocsp/{}", STANDARD.encode(request(&[world.cert_id(&serial(1))], None)));
        // From here on the answer is in memory.
        world.get(&target).await;
        let (responder, log) = logging(&world, Mode::Full);
        world.responder = responder;
        let mut trusted = TrustedProxies::none();
        trusted.trust("192.0.2.0/24").unwrap();
        let mut desk = desk(&world);
        desk.front = Front { trusted: Arc::new(trusted), word };
        Self { world, log, desk, target }
    }

    fn connection(&self) -> Connection {
        connection(&self.desk)
    }

    fn get(&self, fields: &str) -> String {
        format!("GET {} HTTP/1.1\r\nHost: a\r\n{fields}\r\n", self.target)
    }

    /// Sends these pieces over a connection, and gives what came back.
    async fn send(&mut self, pieces: &[&[u8]]) -> (End, Vec<u8>) {
        let (mut connection, mut client) = (self.connection(), Client::new(pieces));
        let end = drive(&self.world, &mut self.desk, &mut connection, &mut client).await;
        (end, client.received)
    }

    async fn origins(&self) -> Vec<String> {
        noted(&self.log).await.iter().map(|request| request.origin.to_string()).collect()
    }
}

#[tokio::test]
async fn what_is_answered_from_memory_is_logged_with_who_asked() {
    let mut logged = Logged::new(ProxyWord::None).await;
    let asked = logged.get("user-AGENT: curl/8.5.0\r\nX-Forwarded-For: 198.51.100.9\r\n");
    let (end, _) = logged.send(&[asked.as_bytes(), asked.as_bytes()]).await;
    assert_eq!(end, End::Closed);
    let noted = noted(&logged.log).await;
    assert_eq!(noted.len(), 2);
    for request in noted {
        assert_eq!((request.outcome, request.serial), (Outcome::Good, Some(serial(1))));
        assert_eq!(request.issuer, Some(issuer_name("e1")));
        assert_eq!(request.user_agent, b"curl/8.5.0");
        assert_eq!(request.origin.to_string(), "192.0.2.1/32");
    }
}

#[tokio::test]
async fn headers_of_a_trusted_proxy_name_the_client_of_each_request() {
    let mut logged = Logged::new(ProxyWord::XForwardedFor).await;
    let first = logged.get("X-Forwarded-For: 198.51.100.9\r\n");
    let second = logged.get("x-forwarded-for: 203.0.113.4\r\nX-Forwarded-For: 198.51.100.10\r\n");
    let third = logged.get("X-Forwarded-For: caf\u{e9}\r\n");
    // Asked for on the runtime.
    let fourth = logged.get("X-Forwarded-For: 198.51.100.11\r\nIf-None-Match: \"a\"\r\n");
    logged.send(&[[first, second, third, fourth].concat().as_bytes()]).await;
    let expected = ["198.51.100.9/32", "198.51.100.10/32", "192.0.2.1/32", "198.51.100.11/32"];
    assert_eq!(logged.origins().await, expected);
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_of_a_connection_first() {
    let v1 = b"PROXY TCP4 198.51.100.9 10.0.0.9 4711 80\r\n".as_slice();
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x09\x0a\0\0\x01\x12\x67\x00\x50".as_slice();
    for preface in [v1, v2] {
        for pieces in [1, 2, 7, 1000] {
            let mut logged = Logged::new(ProxyWord::ProxyProtocol).await;
            let get = logged.get("");
            let sent = [preface, get.as_bytes(), get.as_bytes()].concat();
            let sent: Vec<&[u8]> = sent.chunks(pieces).collect();
            let (end, received) = logged.send(&sent).await;
            assert_eq!(end, End::Closed);
            assert_eq!(String::from_utf8_lossy(&received).matches("HTTP/1.1 200 OK").count(), 2);
            assert_eq!(logged.origins().await, ["198.51.100.9/32", "198.51.100.9/32"]);
        }
    }
    // What goes to hyper goes there with the client's address.
    let mut logged = Logged::new(ProxyWord::ProxyProtocol).await;
    let (mut connection, mut client) =
        (logged.connection(), Client::new(&[v1, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]));
    client.ends = false;
    let Desk { responder, .. } = &logged.desk;
    assert!(responder.is_logging());
    loop {
        match connection.turn(&mut client, &mut logged.desk) {
            crate::wire::connection::Next::HandOver => break,
            crate::wire::connection::Next::Wait => connection.readable(false),
            _ => {}
        }
    }
    assert_eq!(connection.opener(), SocketAddr::from(([198, 51, 100, 9], 4711)));
    assert!(connection.into_held().starts_with(b"PRI * HTTP/2.0"));
}

#[tokio::test]
async fn a_trusted_proxy_that_says_nothing_of_the_kind_is_not_served() {
    let mut logged = Logged::new(ProxyWord::ProxyProtocol).await;
    let get = logged.get("");
    let (end, received) = logged.send(&[get.as_bytes()]).await;
    assert_eq!((end, received.len()), (End::Unsaid("no PROXY protocol header came first"), 0));
    let (end, _) = logged.send(&[b"PROXY TCP4 192"]).await;
    assert_eq!(end, End::Unsaid("its PROXY protocol header was cut off"));
    // A check of its own, which goes again without a word.
    assert_eq!(logged.send(&[]).await.0, End::Closed);
    let mut connection = logged.connection();
    logged.desk.moment += LIMITS.header + Duration::from_secs(1);
    let late = connection.overtime(&mut logged.desk);
    assert_eq!(late, Overtime::Unsaid("its PROXY protocol header took too long"));
    assert!(logged.origins().await.is_empty());
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_is_not_heard() {
    let mut logged = Logged::new(ProxyWord::ProxyProtocol).await;
    logged.desk.front.trusted = Arc::default();
    let get = logged.get("");
    let (_, received) = logged.send(&[b"PROXY TCP4 198.51.100.9 10.0.0.9 1 80\r\n", get.as_bytes()]).await;
    assert!(received.starts_with(b"HTTP/1.1 400 "));
    logged.send(&[get.as_bytes()]).await;
    assert_eq!(logged.origins().await, ["192.0.2.1/32"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_disk_that_does_not_come_back_holds_up_no_answer_from_memory() {
    use crate::tests::slow::{QUEUE, Slow, TOO_LONG};
    use crate::wire::connection::Next;

    let mut slow = Slow::new();
    slow.world.responder = slow.responder.clone();
    let target = STANDARD.encode(request(&[slow.world.cert_id(&serial(1))], None));
    let asked = format!("GET /ocsp/{target} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(QUEUE + 100);
    let ((mut desk, mut connection), mut client) = (opened(&slow.world), Client::new(&[asked.as_bytes()]));
    let answering = move || {
        loop {
            match connection.turn(&mut client, &mut desk) {
                Next::Again => desk.begin_round(),
                Next::Wait => connection.readable(client.pieces.is_empty()),
                // What asks the runtime or hyper is not answered here.
                _ => return client.received,
            }
        }
    };
    slow.while_the_disk_is_silent(async {
        let received = tokio::time::timeout(TOO_LONG, tokio::task::spawn_blocking(answering)).await;
        let received = received.expect("nobody waits for the disk").unwrap();
        String::from_utf8_lossy(&received).matches("HTTP/1.1 200 OK\r\n").count()
    })
    .await;
}
