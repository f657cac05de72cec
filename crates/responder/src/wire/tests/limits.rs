//! How long a connection may wait for what.

use std::time::Duration;

use super::driver::*;
use crate::config::Config;
use crate::tests::world::*;
use crate::wire::connection::{Connection, Overtime};
use crate::wire::desk::Desk;

/// A connection whose client has sent this, and waits.
async fn waiting(world: &World, sent: &str) -> (Desk, Connection, Client) {
    let (mut desk, mut connection) = opened(world);
    let mut client = Client::new(&[sent.as_bytes()]);
    client.ends = false;
    assert_eq!(drive(world, &mut desk, &mut connection, &mut client).await, End::Waits, "{sent}");
    (desk, connection, client)
}

/// What is done about it just before the time is over, and then.
fn overtime(desk: &mut Desk, connection: &mut Connection, limit: Duration) -> [Overtime; 2] {
    let moment = desk.moment;
    [limit - Duration::from_secs(1), limit + Duration::from_secs(1)].map(|after| {
        desk.moment = moment + after;
        connection.overtime(desk)
    })
}

#[tokio::test]
async fn a_head_is_waited_for_less_long_than_the_next_request() {
    let world = World::new(&Config::default());
    for (sent, limit) in [
        ("", LIMITS.header),
        ("GET /ocsp/", LIMITS.header),
        ("GET /roots.pem HTTP/1.1\r\nHost: a\r\n\r\n", LIMITS.idle),
        ("GET /roots.pem HTTP/1.1\r\nHost: a\r\n\r\nGET", LIMITS.header),
    ] {
        let (mut desk, mut connection, _) = waiting(&world, sent).await;
        let is_idle = sent.is_empty() || sent.ends_with("\r\n\r\n");
        assert_eq!(connection.is_idle(), is_idle, "{sent}");
        let found = overtime(&mut desk, &mut connection, limit);
        assert_eq!(found, [Overtime::None, Overtime::Close], "{sent}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up_in_words() {
    let world = World::new(&Config::default());
    let sent = "POST /ocsp HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n0";
    let (mut desk, mut connection, mut client) = waiting(&world, sent).await;
    let limit = Duration::from_secs(Config::default().body_timeout_s);
    let found = overtime(&mut desk, &mut connection, limit);
    assert_eq!(found, [Overtime::None, Overtime::Turn]);
    assert_eq!(drive(&world, &mut desk, &mut connection, &mut client).await, End::Waits);
    assert!(client.received.starts_with(b"HTTP/1.1 408 "));
    assert!(client.is_finished);
    let found = overtime(&mut desk, &mut connection, Duration::from_secs(2));
    assert_eq!(found, [Overtime::None, Overtime::Close]);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_waited_for_as_long_as_a_silent_one() {
    let world = World::new(&Config::default());
    world.statuses.issue(1);
    let (mut desk, mut connection) = opened(&world);
    let mut client = Client::new(&[b"GET /roots.pem HTTP/1.1\r\nHost: a\r\n\r\n"]);
    client.room = 10;
    assert_eq!(drive(&world, &mut desk, &mut connection, &mut client).await, End::Waits);
    assert!(!connection.is_idle());
    assert_eq!(overtime(&mut desk, &mut connection, LIMITS.idle), [Overtime::None, Overtime::Close]);
}

#[tokio::test]
async fn the_end_of_the_process_waits_for_what_was_asked_and_for_nothing_more() {
    let world = World::new(&Config::default());
    let (mut desk, mut connection) = opened(&world);
    desk.is_stopping = true;
    let sent = b"GET /roots.pem HTTP/1.1\r\nHost: a\r\n\r\nGET /roots.pem HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = Client::new(&[sent]);
    client.ends = false;
    assert_eq!(drive(&world, &mut desk, &mut connection, &mut client).await, End::Closed);
    let text = String::from_utf8_lossy(&client.received);
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 1);
    assert!(text.contains("connection: close\r\n"));
}
