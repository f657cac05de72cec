//! Requests that two readers could take for two different ones, and what clients do beside asking.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::ocsp::ErrorStatus;

use super::driver::*;
use crate::config::Config;
use crate::tests::world::*;

/// A world with certificates 1 and 2, whose answers are in memory, and the targets of their requests.
async fn world() -> (World, [String; 2]) {
    let world = World::new(&Config::default());
    let mut targets = [const { String::new() }; 2];
    for (number, target) in (1..).zip(&mut targets) {
        world.statuses.issue(number);
        *target = format!("/ocsp/{}", STANDARD.encode(request(&[world.cert_id(&serial(number))], None)));
        world.get(target).await;
    }
    (world, targets)
}

/// The status codes of all replies, as far as their heads show.
fn statuses(received: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(received);
    text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].parse().unwrap()).collect()
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused_and_ends_the_connection() {
    let (world, [target, other]) = world().await;
    let head = |fields: &str| format!("GET {target} HTTP/1.1\r\n{fields}\r\n\r\n");
    let post = |fields: &str| format!("POST /ocsp HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n0\r\n\r\n");
    let smuggled = format!("GET {other} HTTP/1.1\r\nHost: a\r\n\r\n");
    for trap in [
        post("Content-Length: 5\r\nContent-Length: 5"),
        post("Content-Length: 5\r\nContent-Length: 0"),
        post("Content-Length: 5, 5"),
        post("Content-Length: +5"),
        post("Content-Length: -5"),
        post("Content-Length: 0x5"),
        post("Content-Length: "),
        post("Content-Length: 5 5"),
        post("Content-Length: 99999999999999999999"),
        post("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 5"),
        post("Transfer-Encoding: gzip, chunked"),
        post("Transfer-Encoding: xchunked"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        post("Transfer-Encoding\t: chunked"),
        post("Content-Length : 5"),
        post(" Content-Length: 5"),
        post("X: a\r\n Content-Length: 5"),
        post("X: a\r\n\tfolded"),
        post("X"),
        post(": empty"),
        post("X(: a"),
        post("X: a\0b"),
        post("X: a\rb"),
        post("X: a\x7f"),
        post("X: a\nContent-Length: 5"),
        "POST /ocsp HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        head("Host: a\r\nHost: a"),
        head("X: no host"),
        format!("GET {target} HTTP/1.1\nHost: a\n\n"),
        format!("GET {target} HTTP/1.1\r\nHost: a\n\r\n"),
        format!("GET  {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET {target}  HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET {target}\tHTTP/1.1\r\nHost: a\r\n\r\n"),
        format!(" GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET {target}\r\nHost: a\r\n\r\n"),
        format!("GET {target} HTTP/1.2\r\nHost: a\r\n\r\n"),
        format!("GET {target} HTTP/2.0\r\nHost: a\r\n\r\n"),
        format!("GET {target} http/1.1\r\nHost: a\r\n\r\n"),
        format!("G(T {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET {target}\u{1} HTTP/1.1\r\nHost: a\r\n\r\n"),
        "PRI * HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(),
        "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}".to_owned(),
    ] {
        let good = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let sent = [good.as_str(), &trap, &smuggled].concat();
        // At once, and byte by byte.
        let bytes: Vec<&[u8]> = sent.as_bytes().chunks(1).collect();
        for pieces in [vec![sent.as_bytes()], bytes] {
            let mut client = Client::new(&pieces);
            let (mut desk, mut connection) = opened(&world);
            let end = drive(&world, &mut desk, &mut connection, &mut client).await;
            assert_eq!(end, End::Closed, "{trap:?}");
            let found = statuses(&client.received);
            assert_eq!(found[0], 200);
            assert!(found[1..] == [400] || (found.len() == 1 && pieces.len() > 1), "{trap:?}: {found:?}");
            assert!(client.is_finished || found.len() == 1, "{trap:?}");
        }
    }
}

#[tokio::test]
async fn heads_are_bounded() {
    let (world, [target, _]) = world().await;
    let long = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    let endless = format!("GET /{}", "a".repeat(70_000));
    let many = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(101));
    for sent in [long, endless, many] {
        let received = by_wire(&world, &[sent.as_bytes()]).await;
        assert_eq!(statuses(&received), [431]);
    }
    let longest = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(60_000));
    assert_eq!(statuses(&by_wire(&world, &[longest.as_bytes()]).await), [200]);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_however_they_come() {
    let (world, [first, second]) = world().await;
    let (_, first_body) = world.get(&first).await;
    let (_, second_body) = world.get(&second).await;
    let der = request(&[world.cert_id(&serial(2))], None);
    let mut sent = format!("GET {first} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
    sent.extend(format!("POST /ocsp HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", der.len()).bytes());
    sent.extend(&der);
    // What old clients send behind a body, a reply that memory does not have, and one with conditions.
    sent.extend(b"\r\nGET /issuer/e1.crt HTTP/1.1\r\nHost: a\r\n\r\n");
    sent.extend(format!("GET {first} HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n").bytes());
    sent.extend(format!("HEAD {first} HTTP/1.1\r\nHost: a\r\n\r\n").bytes());
    sent.extend(format!("GET {second} HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").bytes());
    sent.extend(format!("GET {first} HTTP/1.1\r\nHost: a\r\n\r\n").bytes());
    for size in [1, 7, 100, sent.len()] {
        let pieces: Vec<&[u8]> = sent.chunks(size).collect();
        let received = by_wire(&world, &pieces).await;
        assert_eq!(statuses(&received), [200, 200, 200, 304, 200, 200]);
        let at = |body: &[u8]| {
            let found: Vec<_> =
                received.windows(body.len()).enumerate().filter(|(_, part)| *part == body).collect();
            found.into_iter().map(|(at, _)| at).collect::<Vec<_>>()
        };
        let (of_first, of_second) = (at(&first_body), at(&second_body));
        assert_eq!((of_first.len(), of_second.len()), (1, 2));
        assert!(of_first[0] < of_second[0] && received.ends_with(&second_body));
    }
}

#[tokio::test]
async fn more_than_is_written_at_once_is_answered_all_the_same() {
    let (world, [target, _]) = world().await;
    let sent = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(1000);
    let received = by_wire(&world, &[sent.as_bytes()]).await;
    assert_eq!(statuses(&received), [200; 1000]);
    // A client that ended its side before is answered too, and one that reads slowly.
    let (mut desk, mut connection) = opened(&world);
    let mut client = Client::new(&[sent.as_bytes()]);
    client.room = 0;
    while drive(&world, &mut desk, &mut connection, &mut client).await == End::Waits {
        assert!(client.room == 0);
        client.room = 500;
    }
    assert_eq!(client.received, received);
}

#[tokio::test]
async fn old_clients_keep_a_connection_if_they_ask() {
    let (world, [target, _]) = world().await;
    let kept = format!("GET {target} HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    let last = format!("GET {target} HTTP/1.0\r\n\r\n");
    let received = by_wire(&world, &[[kept.as_str(), &kept, &last, &last].concat().as_bytes()]).await;
    assert_eq!(statuses(&received), [200, 200, 200]);
    let text = String::from_utf8_lossy(&received);
    assert_eq!(text.matches("connection: keep-alive\r\n").count(), 2);
    assert_eq!(text.matches("connection: close\r\n").count(), 1);
}

#[tokio::test]
async fn what_is_not_plain_goes_to_hyper_with_all_that_was_read() {
    let (world, [target, _]) = world().await;
    let good = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    for special in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST /ocsp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\n0",
        "POST /ocsp HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    ] {
        for before in ["", good.as_str()] {
            let (mut desk, mut connection) = opened(&world);
            let mut client = Client::new(&[[before, special].concat().as_bytes()]);
            let end = drive(&world, &mut desk, &mut connection, &mut client).await;
            assert_eq!(end, End::HandedOver(special.as_bytes().to_vec()));
            assert_eq!(statuses(&client.received).len(), usize::from(!before.is_empty()));
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_unread() {
    let (world, [target, _]) = world().await;
    let sent = format!(
        "POST /ocsp HTTP/1.1\r\nHost: a\r\nContent-Length: 10001\r\n\r\nGET {target} HTTP/1.1\r\nHost: a\r\n\r\n"
    );
    let mut client = Client::new(&[sent.as_bytes()]);
    let (mut desk, mut connection) = opened(&world);
    assert_eq!(drive(&world, &mut desk, &mut connection, &mut client).await, End::Closed);
    assert_eq!(statuses(&client.received), [200]);
    assert!(client.received.ends_with(&ErrorStatus::MalformedRequest.encode()) && client.is_finished);
}

#[tokio::test]
async fn a_revocation_is_seen_by_the_next_request() {
    let (world, [target, other]) = world().await;
    let (_, good) = world.get(&target).await;
    let sent = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\nGET {other} HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(by_wire(&world, &[sent.as_bytes()]).await.windows(good.len()).any(|part| part == good));
    let signed = world.signed();
    world.statuses.revoke(1, start(), ingam_protocol::Reason::KeyCompromise);
    let received = by_wire(&world, &[sent.as_bytes()]).await;
    assert_eq!(statuses(&received), [200, 200]);
    assert!(!received.windows(good.len()).any(|part| part == good));
    // The other's row was read again, and its answer not signed again.
    assert_eq!(world.signed(), signed + 1);
}

#[tokio::test]
async fn random_bytes_do_no_harm() {
    let (world, [target, _]) = world().await;
    let good = format!("GET {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").into_bytes();
    for seed in 0..3000 {
        let noise = noise(seed);
        let mut sent = good.clone();
        for change in noise.chunks(4).take(1 + usize::from(noise[0] % 4)) {
            let place = (usize::from(change[0]) << 8 | usize::from(change[1])) % sent.len();
            sent[place] =
                if change[2] % 2 == 0 { change[3] } else { b"\r\n :\t0Aa"[usize::from(change[3] % 8)] };
        }
        sent.extend(&good);
        by_wire(&world, &[&sent]).await;
    }
}
