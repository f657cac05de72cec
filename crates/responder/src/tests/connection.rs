//! The same through hyper and through our own loop, byte for byte as clients send and read it: old versions, chunks, raw
//! targets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::ocsp::ErrorStatus;

use super::world::*;
use crate::config::Config;
use crate::wire::tests::{by_hyper, by_wire};

/// A world with certificate 1, and its request.
fn world() -> (World, Vec<u8>) {
    let world = World::new(&Config::default());
    world.statuses.issue(1);
    let der = request(&[world.cert_id(&serial(1))], None);
    (world, der)
}

/// Sends raw bytes over a connection of its own, each way, and gives the head in lower case and the body of what comes back:
/// the same each way, but for the version of the status line, and the order of fields.
async fn exchange(world: &World, sent: &[u8]) -> (String, Vec<u8>) {
    let (hyper_head, hyper_body) = parted(by_hyper(world, sent).await);
    let (head, body) = parted(by_wire(world, &[sent]).await);
    assert_eq!(fields(&head), fields(&hyper_head), "{}", String::from_utf8_lossy(sent));
    assert_eq!(body, hyper_body);
    (head, body)
}

/// Status code and fields in order, without the date.
fn fields(head: &str) -> Vec<&str> {
    let mut lines = head.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>();
    lines[0] = &lines[0][9..12];
    lines[1..].sort_unstable();
    // What a client of HTTP/1.0 supposes anyway, and what ends as told by the client, may be said or not.
    lines.retain(|line| *line != "connection: close");
    lines
}

fn parted(mut received: Vec<u8>) -> (String, Vec<u8>) {
    let end = received.windows(4).rposition(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = received.split_off(end);
    (String::from_utf8(received).unwrap().to_ascii_lowercase(), body)
}

#[tokio::test]
async fn old_clients_get_answers_with_and_without_a_host() {
    let (world, der) = world();
    let target = format!("/ocsp/{}", STANDARD.encode(&der));
    for sent in [
        format!("GET {target} HTTP/1.0\r\n\r\n"),
        format!("GET {target} HTTP/1.0\r\nHost: ocsp.example\r\n\r\n"),
        format!("GET {target} HTTP/1.1\r\nHost: ocsp.example\r\nConnection: close\r\n\r\n"),
        format!(
            "GET http://ocsp.example{target} HTTP/1.1\r\nHost: ocsp.example\r\nConnection: close\r\n\r\n"
        ),
        format!("GET /{target} HTTP/1.0\r\n\r\n"),
    ] {
        let (head, body) = exchange(&world, sent.as_bytes()).await;
        assert!(head.contains(" 200 "), "{sent}: {head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
        assert!(head.contains("content-type: application/ocsp-response\r\n"));
        assert!(!head.contains("transfer-encoding"));
        assert!(world.read(&body).is_ok());
    }
}

#[tokio::test]
async fn head_and_not_modified_have_no_body() {
    let (world, der) = world();
    let target = format!("/ocsp/{}", STANDARD.encode(&der));
    let (_, expected) = world.get(&target).await;
    let (head, body) = exchange(
        &world,
        format!("HEAD {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes(),
    )
    .await;
    assert!(head.contains(&format!("content-length: {}\r\n", expected.len())), "{head}");
    assert!(body.is_empty());
    let sent = format!("GET {target} HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\nConnection: close\r\n\r\n");
    let (head, body) = exchange(&world, sent.as_bytes()).await;
    assert!(head.starts_with("http/1.1 304 "), "{head}");
    assert!(!head.contains("content-length: 0"), "{head}");
    assert!(body.is_empty());
}

#[tokio::test]
async fn posts_come_in_chunks_after_a_question_and_from_old_clients() {
    let (world, der) = world();
    let mut chunked =
        b"POST /ocsp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_vec();
    for chunk in der.chunks(10) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let with_head = |head: &str| {
        let mut sent = format!("{head}Content-Length: {}\r\n\r\n", der.len()).into_bytes();
        sent.extend_from_slice(&der);
        sent
    };
    let expecting =
        with_head("POST /ocsp HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n");
    let old = with_head("POST /ocsp/ HTTP/1.0\r\nContent-Type: application/ocsp-request\r\n");
    for sent in [chunked, expecting, old] {
        let (head, body) = exchange(&world, &sent).await;
        assert!(head.contains(" 200 ok\r\n"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert!(world.read(&body).is_ok());
    }
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_not_waited_for() {
    let (world, _) = world();
    let sent = b"POST /ocsp HTTP/1.1\r\nHost: a\r\nContent-Length: 10001\r\nConnection: close\r\n\r\n";
    let (head, body) = exchange(&world, sent).await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_eq!(body, ErrorStatus::MalformedRequest.encode());
}
