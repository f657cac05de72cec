//! What the request log is told: every OCSP request with what was answered, and nothing of what is no OCSP request or comes from
//! nobody knows where.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use ingam_journal::simulated::SimulatedDisk;
use ingam_protocol::Reason;
use ingam_protocol::record::Record;
use ingam_protocol::time::SeededRandom;
use ingam_signer::Signer as _;

use super::world::*;
use crate::config::{Config, Nonces};
use crate::http::Responder;
use crate::request_log::{self, LoggedRequest, Mode, NewHold, Outcome, Receipts, RequestLog, Selection};

struct Nowhere;

#[async_trait]
impl Receipts for Nowhere {
    async fn append(&self, _: Vec<Record>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(())
    }
}

pub(crate) fn logging(world: &World, mode: Mode) -> (Responder, Arc<RequestLog>) {
    let parts = request_log::Parts {
        files: Some(Arc::new(SimulatedDisk::new())),
        receipts: Arc::new(Nowhere),
        clock: world.clock.clone(),
        random: Arc::new(SeededRandom::new(1)),
        issuers: world.signer.issuers().iter().map(|issuer| issuer.name.clone()).collect(),
        threads: 1,
    };
    let config = request_log::Config { mode, ..request_log::Config::default() };
    let log = RequestLog::open(&config, parts).unwrap();
    (world.responder.clone().logging_to(log.clone()), log)
}

/// Everything that is in the log.
pub(crate) async fn noted(log: &Arc<RequestLog>) -> Vec<LoggedRequest> {
    let new = NewHold {
        selection: Selection { from: Some(start().minus(DAY)), ..Selection::default() },
        owner: "ann".to_owned(),
        reason: "a test".to_owned(),
        ends: start().plus(DAY),
    };
    let hold = log.hold_open(new, Vec::new()).await.unwrap();
    log.hold_requests(hold.id, 0, 100).await.unwrap().requests
}

async fn send(
    responder: &Responder,
    address: Option<IpAddr>,
    method: Method,
    target: &str,
    body: &[u8],
) -> Response<Full<Bytes>> {
    let request = Request::builder().method(method).uri(target).header("user-agent", "curl/8.5.0");
    let body = Full::new(Bytes::copy_from_slice(body));
    responder.handle_from(address, request.body(body).unwrap()).await
}

#[tokio::test]
async fn every_request_is_noted_with_what_was_answered() {
    let world = World::new(&Config { nonces: Nonces::Answer, ..Config::default() });
    world.statuses.issue(1);
    world.statuses.issue(2);
    world.statuses.revoke(2, start(), Reason::KeyCompromise);
    let (responder, log) = logging(&world, Mode::Full);
    let address = Some(IpAddr::from([192, 0, 2, 77]));
    let of = |number, nonce| request(&[world.cert_id(&serial(number))], nonce);
    let get = |der: Vec<u8>| format!("/ocsp/{}", STANDARD.encode(der));
    send(&responder, address, Method::GET, &get(of(1, None)), b"").await;
    send(&responder, address, Method::POST, "/ocsp", &of(2, None)).await;
    send(&responder, address, Method::POST, "/ocsp", &of(2, Some(b"nonce"))).await;
    send(&responder, address, Method::POST, "/ocsp", &of(3, None)).await;
    send(&responder, address, Method::POST, "/ocsp", b"no request").await;
    send(&responder, address, Method::GET, "/ocsp/!", b"").await;
    send(
        &responder,
        address,
        Method::POST,
        "/ocsp",
        &request(&[cert_id(SHA1_OID, true, &[1; 20], &[2; 20], &serial(1))], None),
    )
    .await;
    // None of these is a request of a known client for a status.
    send(&responder, None, Method::POST, "/ocsp", &of(1, None)).await;
    send(&responder, address, Method::GET, "/roots.pem", b"").await;
    send(&responder, address, Method::PUT, "/ocsp", b"").await;

    let noted = noted(&log).await;
    let found: Vec<_> = noted.iter().map(|request| (request.outcome, request.serial.clone())).collect();
    let expected = [
        (Outcome::Good, Some(serial(1))),
        (Outcome::Revoked, Some(serial(2))),
        (Outcome::Revoked, Some(serial(2))),
        (Outcome::Unauthorized, Some(serial(3))),
        (Outcome::MalformedRequest, None),
        (Outcome::MalformedRequest, None),
        (Outcome::Unauthorized, Some(serial(1))),
    ];
    assert_eq!(found, expected);
    assert_eq!(noted[0].issuer, Some(issuer_name("e1")));
    assert_eq!(noted[6].issuer, None, "it meant another CA's");
    assert_eq!(noted[0].user_agent, b"curl/8.5.0");
    assert!(noted.iter().all(|request| request.origin.to_string() == "192.0.2.77/32"));
}

#[tokio::test]
async fn an_answer_does_not_wait_for_a_log_that_is_full() {
    let world = World::new(&Config::default());
    world.statuses.issue(1);
    let (responder, log) = logging(&world, Mode::Truncated);
    let body = request(&[world.cert_id(&serial(1))], None);
    let address = Some(IpAddr::from([192, 0, 2, 77]));
    // Nobody empties the queue.
    let room = log.condition().queue.1;
    for _ in 0..room + 100 {
        assert_eq!(send(&responder, address, Method::POST, "/ocsp", &body).await.status(), 200);
    }
    let condition = log.condition();
    assert_eq!(condition.requests, (room as u64 + 100, 100));
    world.clock.advance(Duration::from_secs(6));
    log.tick().await.unwrap();
    assert_eq!(log.condition().queue.0, 0);
}
