//! CRLs: what is in them, when they are made anew, what happens when they cannot be.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::Method;
use ingam_protocol::time::Clock;
use ingam_protocol::{Reason, Serial};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::world::*;
use crate::config::Config;

fn world() -> World {
    let world = World::new(&Config::development());
    world.statuses.issue(1);
    world.statuses.issue(2);
    world
}

/// The CRL of `e1`: its number, and the serials and reasons in it.
async fn list(world: &World) -> (u64, Vec<(Serial, u8)>) {
    let (headers, body) = world.get("/crl/e1.crl").await;
    assert_eq!(headers["content-type"], "application/pkix-crl");
    assert_eq!(headers["content-length"], body.len().to_string());
    let (rest, parsed) = CertificateRevocationList::from_der(&body).unwrap();
    assert!(rest.is_empty());
    let (_, issuer) = x509_parser::parse_x509_certificate(world.issuer_der(0)).unwrap();
    parsed.verify_signature(issuer.public_key()).unwrap();
    assert_eq!(parsed.issuer(), issuer.subject());
    let entries = parsed.iter_revoked_certificates().map(|entry| {
        let reason = entry.reason_code().map_or(0, |(_, code)| code.0);
        (Serial::from_be_bytes(entry.raw_serial()).unwrap(), reason)
    });
    let number = parsed.crl_number().unwrap().to_string().parse().unwrap();
    (number, entries.collect())
}

#[tokio::test]
async fn a_revocation_is_listed_at_once() {
    let world = world();
    assert_eq!(list(&world).await, (1, vec![]));
    world.statuses.revoke(1, start(), Reason::KeyCompromise);
    assert_eq!(list(&world).await, (2, vec![(serial(1), 1)]));
    world.statuses.revoke(2, start(), Reason::Unspecified);
    assert_eq!(list(&world).await, (3, vec![(serial(1), 1), (serial(2), 0)]));
}

#[tokio::test]
async fn nothing_new_means_no_new_list() {
    let world = world();
    list(&world).await;
    let reads = world.statuses.page_reads.load(Ordering::SeqCst);
    assert_eq!(list(&world).await.0, 1);
    assert_eq!(world.statuses.page_reads.load(Ordering::SeqCst), reads);
    // Another certificate moves the generation, but nothing was revoked.
    world.statuses.issue(3);
    assert_eq!(list(&world).await.0, 1);
    assert_eq!(list(&world).await.0, 1);
    assert_eq!(world.statuses.page_reads.load(Ordering::SeqCst), reads);
    assert_eq!(world.signed(), 1);
}

#[tokio::test]
async fn half_of_its_time_is_enough() {
    let world = world();
    assert_eq!(list(&world).await.0, 1);
    world.clock.advance(3 * DAY);
    assert_eq!(list(&world).await.0, 1);
    world.clock.advance(DAY / 2);
    assert_eq!(list(&world).await.0, 2);
}

#[tokio::test]
async fn looks_are_not_too_frequent_where_that_is_set() {
    let world = World::new(&Config { crl_interval_s: 60, ..Config::default() });
    world.statuses.issue(1);
    assert_eq!(list(&world).await.1, vec![]);
    world.statuses.revoke(1, start(), Reason::KeyCompromise);
    assert_eq!(list(&world).await.1, vec![]);
    world.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(list(&world).await.1, vec![(serial(1), 1)]);
}

#[tokio::test]
async fn long_lists_are_read_in_pages() {
    let world = world();
    for number in 0..2500_u32 {
        let serial = Serial::from_be_bytes(&(0x4000_0000 + number).to_be_bytes()).unwrap();
        let status = ingam_protocol::ocsp::CertStatus::Revoked { at: start(), reason: Reason::Superseded };
        world.statuses.set("e1", &serial, status, start().plus(DAY));
    }
    let (_, entries) = list(&world).await;
    assert_eq!(entries.len(), 2500);
    assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(world.statuses.page_reads.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn headers_let_caches_work() {
    let world = World::new(&Config::default());
    let (headers, body) = world.get("/crl/e1.crl").await;
    assert_eq!(headers["cache-control"], "max-age=300, public, no-transform, must-revalidate");
    assert_eq!(headers["last-modified"], "Sat, 21 Nov 2026 10:00:00 GMT");
    assert_eq!(headers["expires"], "Sat, 28 Nov 2026 10:00:00 GMT");
    let etag = headers["etag"].to_str().unwrap();
    let again = world.send(Method::GET, "/crl/e1.crl", &[("if-none-match", etag)], b"").await;
    assert_eq!(again.status(), 304);
    let head = world.send(Method::HEAD, "/crl/e1.crl", &[], b"").await;
    assert_eq!(head.headers()["content-length"], body.len().to_string());
    assert!(take(head).await.1.is_empty());
    let (_, parsed) = CertificateRevocationList::from_der(&body).unwrap();
    assert_eq!(
        parsed.next_update().unwrap().timestamp(),
        i64::try_from(start().plus(7 * DAY).unix_s()).unwrap()
    );
}

#[tokio::test]
async fn the_last_list_serves_while_no_new_one_can_be_made() {
    let world = world();
    world.signer.is_broken.store(true, Ordering::SeqCst);
    let reply = world.send(Method::GET, "/crl/e1.crl", &[], b"").await;
    assert_eq!(reply.status(), 503);
    assert!(reply.headers().contains_key("retry-after"));
    world.signer.is_broken.store(false, Ordering::SeqCst);
    world.clock.advance(HOUR);
    let first = list(&world).await;
    assert_eq!(first.1, vec![]);

    world.statuses.is_broken.store(true, Ordering::SeqCst);
    world.clock.advance(7 * DAY - HOUR);
    assert_eq!(list(&world).await, first);
    world.clock.advance(2 * HOUR);
    assert_eq!(world.send(Method::GET, "/crl/e1.crl", &[], b"").await.status(), 503);
    world.statuses.is_broken.store(false, Ordering::SeqCst);
    world.clock.advance(HOUR);
    assert_eq!(list(&world).await.1, vec![]);
}

#[tokio::test]
async fn a_crowd_gets_one_list() {
    let world = Arc::new(world());
    world.close_gate();
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { list(&world).await.0 })
        })
        .collect();
    world.until_asked(1).await;
    world.signer.gate.add_permits(100);
    for asked in asking {
        assert_eq!(asked.await.unwrap(), 1);
    }
    assert_eq!(world.signed(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_job_makes_lists_that_nobody_asks_for() {
    let world = world();
    let after = tokio::time::sleep(std::time::Duration::from_secs(25));
    world.responder.run_crls(after).await;
    assert_eq!(world.signed(), 2, "one for each issuer");
    world.clock.advance(4 * DAY);
    world.responder.run_crls(tokio::time::sleep(std::time::Duration::from_secs(25))).await;
    assert_eq!(world.signed(), 4);
    assert_eq!(world.clock.now(), start().plus(4 * DAY));
}
