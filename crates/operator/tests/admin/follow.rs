//! Proves that whoever follows the log is on record, sees each record that comes and fits, once, hears from a quiet log now
//! and then, and is let go when the process ends; and that not more follow than there is room for.
//!
//! Time passes only for the runtime, whose clock jumps where nothing else is to be done: nothing waits for real.

use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::Clock as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::client::get;
use crate::world::World;

async fn begin(world: &World, who: Principal, query: &str) -> (u16, Body) {
    let ask = get(format!("/v1/log/follow?reason=ticket%2012{query}"));
    let response = world.router.clone().oneshot(ask.request(Some(who))).await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    assert_eq!(kind, if status == 200 { "application/x-ndjson" } else { "application/problem+json" });
    (status, response.into_body())
}

/// The next piece of the answer; nothing at its end.
async fn piece(body: &mut Body) -> Option<String> {
    let frame = body.frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

/// The next lines that are not empty, read.
async fn entries(body: &mut Body) -> Vec<Value> {
    loop {
        let text = piece(body).await.expect("the log ended");
        assert!(text.ends_with('\n'));
        let lines: Vec<Value> = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        if !lines.is_empty() {
            return lines;
        }
    }
}

async fn append(world: &World, kind: RecordType, count: usize, first: usize) {
    let record = |number: usize| {
        let payload = json!({ "number": number }).to_string().into_bytes();
        Record::new(kind, world.clock.now(), payload, world.random.as_ref())
    };
    let records = (first..first + count).map(record).collect();
    world.store.statuses().records_append(records).await.unwrap();
}

#[test]
fn whoever_follows_sees_what_comes_and_is_let_go_at_the_end() {
    let world = World::new();
    let auditor = world.somebody(&[Role::Auditor]);
    world.run(append(&world, RecordType::CrlSigned, 3, 0));
    let ((), told) = world.told(|| {
        world.run(async {
            let (status, mut body) = begin(&world, auditor, "&type=crl_signed").await;
            assert_eq!(status, 200);
            append(&world, RecordType::CrlSigned, 1, 10).await;
            let seen = entries(&mut body).await;
            assert_eq!(seen.len(), 1, "not what was there before: {seen:?}");
            assert_eq!((&seen[0]["type"], &seen[0]["class"]), (&json!("crl_signed"), &json!("issuance")));
            assert_eq!(seen[0]["payload"], json!({ "number": 10 }));
            append(&world, RecordType::OcspSigned, 5, 20).await;
            append(&world, RecordType::CrlSigned, 2, 30).await;
            let seen: Vec<_> =
                entries(&mut body).await.iter().map(|entry| entry["payload"]["number"].clone()).collect();
            assert_eq!(seen, [30, 31]);
            world.stop_host();
            assert_eq!(piece(&mut body).await, None, "the process ends");
        });
    });
    let reads: Vec<_> = told.iter().filter(|told| told.kind == RecordType::PersonalDataRead).collect();
    assert_eq!(reads.len(), 1, "on record once, before the first line");
    assert_eq!(reads[0].payload["act"], "log.follow");
    assert_eq!(reads[0].payload["what"]["type"], "crl_signed");
    world.stop();
}

/// Many come at once, more than are given out at a time: none is lost, and none comes twice.
#[test]
fn nothing_is_lost_in_a_flood() {
    let world = World::new();
    let auditor = world.somebody(&[Role::Auditor]);
    world.run(async {
        let (_, mut body) = begin(&world, auditor, "&type=ocsp_signed").await;
        let mut seen = Vec::new();
        for round in 0..5 {
            append(&world, RecordType::OcspSigned, 1500, round * 1500).await;
        }
        while seen.len() < 7500 {
            for entry in entries(&mut body).await {
                seen.push(entry["payload"]["number"].as_u64().unwrap());
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..7500).collect::<Vec<u64>>());
    });
    world.stop();
}

#[test]
fn a_quiet_log_shows_that_it_is_alive() {
    let world = World::new();
    let auditor = world.somebody(&[Role::Auditor]);
    world.run(async {
        tokio::time::pause();
        let (_, mut body) = begin(&world, auditor, "&type=crl_signed").await;
        let before = tokio::time::Instant::now();
        assert_eq!(piece(&mut body).await.as_deref(), Some("\n"));
        let waited = before.elapsed();
        assert!((Duration::from_secs(9)..Duration::from_secs(12)).contains(&waited), "{waited:?}");
    });
    world.stop();
}

#[test]
fn not_more_follow_than_there_is_room_for() {
    let world = World::new();
    let auditor = world.somebody(&[Role::Auditor]);
    world.run(async {
        let mut followers = Vec::new();
        for _ in 0..16 {
            let (status, body) = begin(&world, auditor, "").await;
            assert_eq!(status, 200);
            followers.push(body);
        }
        assert_eq!(begin(&world, auditor, "").await.0, 429);
        // One hangs up: its place is another's.
        followers.pop();
        assert_eq!(begin(&world, auditor, "").await.0, 200);
    });
    world.stop();
}

/// The names of a query that may come more than once, or with commas.
#[test]
fn classes_and_types_can_be_several() {
    let world = World::new();
    let auditor = world.somebody(&[Role::Auditor]);
    world.certificate(&world.account());
    let found = |query: &str| {
        let answer = world.send(auditor, &get(format!("/v1/log?reason=ticket&limit=1000&{query}")));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        let items = answer.json()["items"].as_array().unwrap().clone();
        let kinds: std::collections::BTreeSet<_> =
            items.iter().map(|item| item["type"].as_str().unwrap().to_owned()).collect();
        kinds.into_iter().collect::<Vec<_>>()
    };
    let both = ["account_created", "order_created"];
    assert_eq!(found("type=account_created,order_created"), both);
    assert_eq!(found("type=account_created&type=order_created"), both);
    assert_eq!(found("type=account_created&type=order_created&class=issuance&class=access_log"), both);
    assert_eq!(found("class=access_log,permission_change"), ["personal_data_read"]);
    world.stop();
}
