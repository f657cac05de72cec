//! Several CRLs of one issuer: which certificate is on which, what changes when, what a restart finds, and what is in
//! memory.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use ingam_protocol::crl::{Scope, SignedList};
use ingam_protocol::health::CrlReport;
use ingam_protocol::ocsp::CertStatus;
use ingam_protocol::time::{Clock, SeededRandom};
use ingam_protocol::{Reason, Serial, Shard, Timestamp};

use super::world::*;
use crate::condition::CrlCondition;
use crate::config::Config;
use crate::statuses::Signed;

fn config(crl_shards: u16) -> Config {
    Config { crl_shards, ..Config::development() }
}

/// A certificate of a shard, or of none, that ends at this time.
fn issue_until(world: &World, shard: Option<u16>, seed: u64, end: Timestamp) -> Serial {
    let random = SeededRandom::new(seed);
    let serial = match shard {
        Some(shard) => Serial::in_shard(&random, Shard(shard)),
        None => Serial::new(&random),
    };
    world.statuses.set("e1", &serial, CertStatus::Good, end);
    serial
}

fn issue(world: &World, shard: Option<u16>, seed: u64) -> Serial {
    issue_until(world, shard, seed, start().plus(90 * DAY))
}

fn revoke(world: &World, serial: &Serial) {
    world.statuses.revoke_serial(serial, world.clock.now(), Reason::Superseded);
}

fn path(shard: Option<u16>) -> String {
    shard.map_or("/crl/e1.crl".to_owned(), |shard| format!("/crl/e1/{shard}.crl"))
}

/// What a list says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    etag: String,
    number: u64,
    url: Option<String>,
    serials: Vec<Serial>,
}

fn read(body: &[u8]) -> (u64, Option<String>, Vec<Serial>) {
    let read = SignedList::read(body).unwrap();
    let serials = read.entries().map(|entry| entry.unwrap().serial).collect();
    (read.number, read.distribution_point.map(str::to_owned), serials)
}

async fn told(world: &World, shard: Option<u16>) -> Told {
    let (headers, body) = world.get(&path(shard)).await;
    assert_eq!(headers["content-type"], "application/pkix-crl");
    let (number, url, serials) = read(&body);
    Told { etag: headers["etag"].to_str().unwrap().to_owned(), number, url, serials }
}

async fn is_there(world: &World, shard: Option<u16>) -> bool {
    let reply = world.send(Method::GET, &path(shard), &[], b"").await;
    assert!(matches!(reply.status().as_u16(), 200 | 404));
    reply.status() == 200
}

async fn announced(world: &World) -> Vec<String> {
    let (headers, body) = world.get("/crl/e1.json").await;
    assert_eq!(headers["content-type"], "application/json");
    let urls: Vec<String> = serde_json::from_slice(&body).unwrap();
    urls.into_iter().map(|url| url.strip_prefix("http://ca.example/crl/").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_revocation_changes_the_list_of_its_shard_alone() {
    let world = World::new(&config(3));
    let serials = [None, Some(0), Some(1), Some(2)].map(|shard| (shard, issue(&world, shard, 1)));
    let mut before = Vec::new();
    for (shard, _) in &serials {
        let list = told(&world, *shard).await;
        let url = format!("http://ca.example{}", path(*shard));
        assert_eq!((list.number, list.url.as_deref(), list.serials.len()), (1, Some(url.as_str()), 0));
        before.push(list);
    }
    for (revoked, (shard, serial)) in serials.iter().enumerate() {
        revoke(&world, serial);
        let now = told(&world, *shard).await;
        assert_eq!((now.number, now.serials.as_slice()), (2, &[serial.clone()][..]));
        before[revoked] = now;
        for (other, (shard, _)) in serials.iter().enumerate() {
            assert_eq!(told(&world, *shard).await, before[other], "{revoked} was revoked, this is {other}");
        }
        assert_eq!(world.signed(), 4 + 1 + revoked);
    }
    assert!(!is_there(&world, Some(3)).await);
    let (_, other) = world.get("/crl/e2/2.crl").await;
    assert_eq!(read(&other).2, []);
}

#[tokio::test]
async fn a_list_of_another_shard_is_not_read_for_a_revocation() {
    let world = World::new(&config(2));
    let serial = issue(&world, Some(1), 1);
    for shard in [0, 1] {
        told(&world, Some(shard)).await;
    }
    revoke(&world, &serial);
    let reads = world.statuses.page_reads.load(Ordering::SeqCst);
    told(&world, Some(0)).await;
    assert_eq!(world.statuses.page_reads.load(Ordering::SeqCst), reads);
    told(&world, Some(1)).await;
    assert_eq!(world.statuses.page_reads.load(Ordering::SeqCst), reads + 1);
}

#[tokio::test]
async fn the_count_goes_up_and_down_and_every_certificate_stays_on_its_list() {
    let world = World::new(&config(0));
    let old = issue(&world, None, 1);
    revoke(&world, &old);
    let complete = told(&world, None).await;
    assert_eq!((complete.url.as_ref(), complete.number), (None, 1));
    assert_eq!(announced(&world).await, ["e1.crl"]);
    assert!(!is_there(&world, Some(0)).await);

    let world = world.restart(&config(4));
    let partial = told(&world, None).await;
    assert_eq!(partial.url.as_deref(), Some("http://ca.example/crl/e1.crl"));
    assert_eq!((partial.number, partial.serials.as_slice()), (2, &[old.clone()][..]));
    assert_eq!(announced(&world).await, ["e1.crl", "e1/0.crl", "e1/1.crl", "e1/2.crl", "e1/3.crl"]);
    let third = issue(&world, Some(3), 2);
    assert!(told(&world, Some(3)).await.serials.is_empty());

    let world = world.restart(&config(2));
    assert_eq!(announced(&world).await, ["e1.crl", "e1/0.crl", "e1/1.crl", "e1/3.crl"], "2 was never used");
    assert!(!is_there(&world, Some(2)).await);
    revoke(&world, &third);
    assert_eq!(told(&world, Some(3)).await.serials, std::slice::from_ref(&third));
    assert_eq!(told(&world, None).await, partial);

    let world = world.restart(&config(0));
    assert_eq!(announced(&world).await, ["e1.crl", "e1/3.crl"]);
    assert_eq!(told(&world, Some(3)).await.serials, [third]);
    assert_eq!(told(&world, None).await, partial, "it is not complete any more");
}

#[tokio::test]
async fn what_has_no_shard_is_announced_only_where_it_can_be() {
    let world = World::new(&config(2));
    assert_eq!(announced(&world).await, ["e1/0.crl", "e1/1.crl"]);
    assert!(is_there(&world, None).await, "but it is there");
    issue(&world, None, 1);
    let world = world.restart(&config(2));
    assert_eq!(announced(&world).await, ["e1.crl", "e1/0.crl", "e1/1.crl"]);
    assert_eq!(world.send(Method::GET, "/crl/e9.json", &[], b"").await.status(), 404);
}

#[tokio::test]
async fn one_issuer_can_have_another_count() {
    let of = [(issuer_name("e2"), 2)].into();
    let world = World::new(&Config { crl_shards_of: of, ..config(0) });
    assert_eq!(announced(&world).await, ["e1.crl"]);
    assert_eq!(told(&world, None).await.url, None);
    let (_, body) = world.get("/crl/e2/1.crl").await;
    assert_eq!(read(&body).1.as_deref(), Some("http://ca.example/crl/e2/1.crl"));
}

#[tokio::test]
async fn the_next_start_goes_on_with_the_list_that_is_out() {
    let world = World::new(&config(2));
    let (first, second) = (issue(&world, Some(1), 1), issue(&world, Some(1), 2));
    revoke(&world, &first);
    let list = told(&world, Some(1)).await;
    let signed = world.signed();
    let world = world.restart(&config(2));
    world.clock.advance(HOUR);
    assert_eq!(told(&world, Some(1)).await, list);
    assert_eq!(world.signed(), signed, "nothing changed, so nothing was signed");
    let world = world.restart(&config(2));
    // Revoked before anybody looked: the kept list is not enough.
    revoke(&world, &second);
    let next = told(&world, Some(1)).await;
    assert_eq!((next.number, next.serials.len()), (list.number + 1, 2));
}

#[tokio::test]
async fn a_kept_list_that_cannot_be_used_is_made_anew_and_numbers_never_fall() {
    let mut world = World::new(&config(1));
    issue(&world, Some(0), 1);
    assert_eq!(told(&world, Some(0)).await.number, 1);
    let file = world.folder.path().join("e1/0.crl");
    let whole = fs::read(&file).unwrap();
    // Bytes that were changed: the signature shows it.
    let mut damaged = whole.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for (bytes, number) in [(damaged.as_slice(), 2), (&whole[..100], 3), (&[], 4)] {
        fs::write(&file, bytes).unwrap();
        world = world.restart(&config(1));
        assert_eq!(told(&world, Some(0)).await.number, number);
    }
    // A list of another URL, with a number that the store does not know: it is out, and ours comes behind it.
    let other = world.signed_list(Scope::Shard(Shard(5)), 40).await;
    fs::write(&file, other).unwrap();
    world = world.restart(&config(1));
    assert_eq!(told(&world, Some(0)).await.number, 41);
}

#[tokio::test]
async fn a_list_that_cannot_be_kept_is_not_given_out() {
    let world = World::new(&config(1));
    let serial = issue(&world, Some(0), 1);
    let first = told(&world, Some(0)).await;
    // A folder where the new file would be.
    fs::create_dir(world.folder.path().join("e1/0.new")).unwrap();
    revoke(&world, &serial);
    assert_eq!(told(&world, Some(0)).await, first);
    assert!(world.responder.crls()[0].failed);
    fs::remove_dir(world.folder.path().join("e1/0.new")).unwrap();
    world.clock.advance(Duration::from_secs(2));
    let next = told(&world, Some(0)).await;
    assert_eq!(
        (next.number, next.serials.as_slice()),
        (3, &[serial][..]),
        "the second was signed, and not kept"
    );
    assert!(!world.responder.crls()[0].failed);
}

#[tokio::test]
async fn an_entry_stays_until_one_list_past_its_certificates_end() {
    let world = World::new(&config(1));
    let end = start().plus(20 * DAY);
    let serial = issue_until(&world, Some(0), 1, end);
    revoke(&world, &serial);
    assert_eq!(told(&world, Some(0)).await.serials.len(), 1);
    // Nobody makes lists for a month: the first one that is made has it still, however late that is.
    world.clock.advance(30 * DAY);
    let late = told(&world, Some(0)).await;
    assert_eq!((late.number, late.serials.as_slice()), (2, &[serial.clone()][..]));
    let another = issue(&world, Some(0), 2);
    revoke(&world, &another);
    let next = told(&world, Some(0)).await;
    assert_eq!((next.number, next.serials.as_slice()), (3, &[another][..]));
}

#[tokio::test]
async fn while_lists_are_made_often_an_entry_stays_for_a_whole_period() {
    let world = World::new(&config(1));
    let end = start().plus(DAY);
    let ending = issue_until(&world, Some(0), 1, end);
    revoke(&world, &ending);
    let mut dropped_at = None;
    for day in 0..12_u64 {
        let another = issue(&world, Some(0), 100 + day);
        revoke(&world, &another);
        let list = told(&world, Some(0)).await;
        if !list.serials.contains(&ending) {
            dropped_at = dropped_at.or(Some(world.clock.now()));
        }
        world.clock.advance(DAY);
    }
    assert_eq!(dropped_at, Some(end.plus(8 * DAY)), "the first look more than seven days past the end");
}

/// Revokes more than one MiB of a list has room for.
fn fill(world: &World) {
    let random = SeededRandom::new(1);
    for _ in 0..30_000 {
        let serial = Serial::in_shard(&random, Shard(0));
        let status = CertStatus::Revoked { at: start(), reason: Reason::Superseded };
        world.statuses.set("e1", &serial, status, start().plus(DAY));
    }
}

#[tokio::test]
async fn lists_that_memory_does_not_hold_are_read_from_their_files() {
    let world = World::new(&Config { crl_memory_bytes: 1 << 20, ..config(1) });
    fill(&world);
    let (headers, body) = world.get(&path(Some(0))).await;
    assert!(body.len() > 1 << 20);
    assert_eq!(headers["content-length"], body.len().to_string());
    let file = world.folder.path().join("e1/0.crl");
    assert_eq!(fs::read(&file).unwrap(), body);
    // As long as somebody has the bytes, others share them.
    fs::rename(&file, file.with_extension("away")).unwrap();
    let (_, shared) = world.get(&path(Some(0))).await;
    assert_eq!(shared.as_ptr(), body.as_ptr());
    drop((shared, body));
    let head = world.send(Method::HEAD, &path(Some(0)), &[], b"").await;
    assert_eq!(head.status(), 200, "nothing of the file is needed for this");
    fs::rename(file.with_extension("away"), &file).unwrap();
    let (_, again) = world.get(&path(Some(0))).await;
    assert_eq!(Bytes::from(fs::read(&file).unwrap()), again);
    assert_eq!(world.signed(), 1);
}

#[tokio::test]
async fn a_list_whose_file_is_lost_is_made_anew() {
    let world = World::new(&Config { crl_memory_bytes: 1 << 20, ..config(1) });
    let file = world.folder.path().join("e1/0.crl");
    fill(&world);
    let mut number = told(&world, Some(0)).await.number;
    for lost in [None, Some(b"something else")] {
        match lost {
            None => fs::remove_file(&file).unwrap(),
            Some(bytes) => fs::write(&file, bytes).unwrap(),
        }
        let reply = world.send(Method::GET, &path(Some(0)), &[], b"").await;
        assert_eq!(reply.status(), 503, "it is found now");
        let again = told(&world, Some(0)).await;
        assert_eq!((again.number, again.serials.len()), (number + 1, 30_000));
        number += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn the_job_makes_the_list_of_a_revocation_at_once() {
    let world = World::new(&Config { crl_shards: 16, ..Config::default() });
    let serial = issue(&world, Some(9), 1);
    let responder = world.responder.clone();
    let job = tokio::spawn(async move { responder.run_crls(std::future::pending()).await });
    let until = async |signed: usize| {
        while world.signed() < signed {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(world.signed(), signed);
    };
    until(2 * 17).await;
    // The clock of the CA stands: the interval between two looks is over once it is moved.
    revoke(&world, &serial);
    world.clock.advance(Duration::from_secs(5));
    until(2 * 17 + 1).await;
    assert_eq!(told(&world, Some(9)).await.serials, [serial]);
    job.abort();
}

#[tokio::test]
async fn what_is_told_of_all_lists_of_an_issuer_does_not_grow_with_their_number() {
    let world = World::new(&Config { crl_shards: 2, ..Config::default() });
    let unmade = CrlCondition { issuer: issuer_name("e1"), current: None, failed: false };
    told(&world, None).await;
    told(&world, Some(0)).await;
    assert_eq!(world.responder.crls()[0], unmade, "one is missing");
    world.clock.advance(DAY);
    for seed in 0..3 {
        revoke(&world, &issue(&world, Some(1), seed));
    }
    revoke(&world, &issue(&world, Some(0), 9));
    told(&world, Some(0)).await;
    told(&world, Some(1)).await;
    let report =
        CrlReport { number: 2, this_update: start(), next_update: start().plus(7 * DAY), entries: 4 };
    assert_eq!(world.responder.crls()[0], CrlCondition { current: Some(report), ..unmade });
}

#[tokio::test]
async fn the_record_of_a_signature_names_the_shard() {
    let world = World::new(&config(2));
    told(&world, Some(1)).await;
    world.responder.run_recorder(std::future::ready(())).await;
    let events = world.statuses.events.lock().unwrap();
    assert_eq!(events[0].signed, Signed::Crl { shard: Some(Shard(1)), number: 1, entries: 0 });
}
