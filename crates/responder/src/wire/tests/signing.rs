//! Answers that are signed where they are asked for, without anybody being waited for.

use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::Reason;

use super::driver::*;
use crate::config::{Config, Nonces};
use crate::tests::world::*;
use crate::wire::connection::Next;
use crate::wire::desk::{QUEUED_MAX, SHARE_MAX, SIGNINGS_MAX};

/// A request by POST, as HTTP has it.
fn post(der: &[u8]) -> Vec<u8> {
    [format!("POST /ocsp HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", der.len()).as_bytes(), der]
        .concat()
}

fn live() -> World {
    let world = World::new(&Config { nonces: Nonces::Answer, ..Config::default() });
    world.statuses.issue(1);
    world.statuses.issue(2);
    world
}

/// What one turn leads to, and what came back.
fn turn(world: &World, sent: &[u8]) -> (Next, Vec<u8>) {
    let ((mut desk, mut connection), mut client) = (opened(world), Client::new(&[sent]));
    let next = connection.turn(&mut client, &mut desk);
    (next, client.received)
}

#[tokio::test]
async fn nonces_and_first_questions_wait_for_nobody() {
    let world = live();
    let nonce = [0x5a; 16];
    let of = |number, nonce| request(&[world.cert_id(&serial(number))], nonce);
    let (next, received) = turn(&world, &post(&of(1, Some(&nonce))));
    assert!(matches!(next, Next::Wait));
    let (head, body) = split(&received);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\ndate: "));
    assert!(head.contains("\r\ncontent-type: application/ocsp-response\r\n"));
    assert!(head.contains("\r\ncache-control: max-age=0, no-cache, no-store\r\n"));
    assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())));
    assert_eq!(world.read(body).unwrap().nonce.as_deref(), Some(nonce.as_slice()));
    // The same by the runtime's way.
    let (_, other) = world.post(&of(1, Some(&nonce))).await;
    assert_eq!(world.read(&other).unwrap().nonce.as_deref(), Some(nonce.as_slice()));
    // One that nobody has asked for: signed, and in memory from then on.
    let get = format!("GET /ocsp/{} HTTP/1.1\r\nHost: a\r\n\r\n", STANDARD.encode(of(2, None)));
    let before = world.signed();
    let (next, first) = turn(&world, get.as_bytes());
    assert!(matches!(next, Next::Wait));
    assert_eq!(turn(&world, get.as_bytes()).1, first);
    assert_eq!(world.signed(), before + 1);
    // And one that was never issued.
    let (_, received) = turn(&world, &post(&of(3, Some(&nonce))));
    let (head, body) = split(&received);
    assert_eq!(body, ingam_protocol::ocsp::ErrorStatus::Unauthorized.encode());
    assert!(head.contains("\r\ncache-control: max-age=0, no-cache\r\n"));
}

#[tokio::test]
async fn a_revocation_is_told_by_the_next_signature() {
    let world = live();
    let asked = post(&request(&[world.cert_id(&serial(1))], Some(&[1; 16])));
    let told = |received: &[u8]| world.read(split(received).1).unwrap().single.remove(0).revoked;
    let good = told(&turn(&world, &asked).1);
    world.statuses.revoke(1, start(), Reason::KeyCompromise);
    assert_ne!(told(&turn(&world, &asked).1), good);
}

#[tokio::test]
async fn whoever_has_much_signed_lets_others_have_their_turn() {
    let world = live();
    let one = post(&request(&[world.cert_id(&serial(1))], Some(&[1; 16])));
    let ((mut desk, mut connection), mut client) = (opened(&world), Client::new(&[&one.repeat(100)]));
    let answers = |client: &Client| String::from_utf8_lossy(&client.received).matches("HTTP/1.1 200").count();
    // Its share in each turn, and in a round no more than there is for all.
    for signed in [SHARE_MAX, 2 * SHARE_MAX, 3 * SHARE_MAX, SIGNINGS_MAX, SIGNINGS_MAX] {
        assert!(matches!(connection.turn(&mut client, &mut desk), Next::Again));
        assert_eq!(answers(&client), signed);
        assert!(!connection.is_idle(), "it has been asked something");
    }
    desk.begin_round();
    while answers(&client) < 100 {
        assert!(matches!(connection.turn(&mut client, &mut desk), Next::Again | Next::Wait));
    }
}

#[tokio::test]
async fn where_too_many_wait_the_runtime_decides() {
    let world = live();
    let one = post(&request(&[world.cert_id(&serial(1))], Some(&[1; 16])));
    let ((mut desk, mut connection), mut client) = (opened(&world), Client::new(&[&one]));
    (desk.signings_left, desk.queued) = (0, QUEUED_MAX);
    assert!(matches!(connection.turn(&mut client, &mut desk), Next::Ask(_)));
}

#[tokio::test]
async fn many_certificates_at_once_are_asked_on_the_runtime() {
    let world = live();
    (3..6).for_each(|number| world.statuses.issue(number));
    let of = |count: u8| {
        let cert_ids: Vec<_> = (1..=count).map(|number| world.cert_id(&serial(number))).collect();
        post(&request(&cert_ids, Some(&[1; 16])))
    };
    assert!(matches!(turn(&world, &of(4)).0, Next::Wait));
    assert!(matches!(turn(&world, &of(5)).0, Next::Ask(_)));
}

#[tokio::test]
async fn a_key_that_is_slow_or_away_is_asked_on_the_runtime() {
    let world = live();
    let asked = post(&request(&[world.cert_id(&serial(1))], Some(&[1; 16])));
    world.signer.is_slow.store(true, Ordering::SeqCst);
    assert!(matches!(turn(&world, &asked).0, Next::Ask(_)));
    world.signer.is_slow.store(false, Ordering::SeqCst);
    world.close_gate();
    assert!(matches!(turn(&world, &asked).0, Next::Ask(_)));
}

fn split(received: &[u8]) -> (&str, &[u8]) {
    let end = received.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    (std::str::from_utf8(&received[..end]).unwrap(), &received[end..])
}
