//! Reading the log: once, and as it grows.

use serde_json::{Value, json};

use super::ca::{Asked, Ca, Reply};
use super::command;

fn record(number: u32) -> Value {
    json!({ "id": format!("r{number}"), "time": "2026-11-21T10:00:00Z", "class": "issuance", "type": "order_created",
        "payload": { "n": number }, "sealed_parts": 0 })
}

fn line(number: u32) -> String {
    format!("2026-11-21T10:00:00Z  issuance/order_created  n={number}\n")
}

/// Two records are there; the stream repeats the second, then brings two more, in pieces of its own.
fn growing(asked: &Asked) -> Reply {
    if asked.line.starts_with("GET /v1/log/follow") {
        let text = format!("{}\n\n{}\n{}\n", record(2), record(3), record(4));
        let (first, rest) = text.split_at(150);
        return Reply::Stream(vec![first.to_owned(), rest.to_owned()]);
    }
    json!({ "items": [record(1), record(2)] }).into()
}

#[tokio::test]
async fn the_newest_then_every_new_record_each_once() {
    let ca = Ca::new(growing);
    let outcome = command("log tail -n 2 -f --class issuance --class access_log --reason x").run(&ca).await;
    assert_eq!(outcome.output, (1..=4).map(line).collect::<String>());
    assert!(outcome.ended(6).contains("ended the stream"));
    let query = "class=issuance%2Caccess_log";
    assert_eq!(
        ca.lines(),
        [format!("GET /v1/log/follow?{query}&reason=x"), format!("GET /v1/log?{query}&limit=2&reason=x")]
    );
}

#[tokio::test]
async fn programs_get_a_record_on_a_line() {
    let ca = Ca::new(growing);
    let outcome = command("--json log tail -f --reason x").run(&ca).await;
    let read: Vec<Value> = outcome.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, (1..=4).map(record).collect::<Vec<_>>());
    let printed = command("--json log tail -n 2 --reason x").run(&ca).await.done();
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), json!({ "items": [record(1), record(2)] }));
}

#[tokio::test]
async fn a_search_says_when_and_what() {
    let ca = Ca::new(growing);
    let search = "log search --type order_created --subject AZqk --text a&b --from 1h --until now --limit 2 --reason x";
    let outcome = command(search).run(&ca).await;
    assert!(outcome.notes.starts_with("There may be older ones"), "{outcome:?}");
    assert_eq!(outcome.done(), line(1) + &line(2));
    assert_eq!(
        ca.lines(),
        ["GET /v1/log?type=order_created&subject=AZqk&text=a%26b&from=2026-11-21T09%3A00%3A00Z\
          &until=2026-11-21T10%3A00%3A00Z&limit=2&reason=x"]
    );
}

#[tokio::test]
async fn nobody_reads_without_a_reason() {
    let ca = Ca::new(growing);
    assert!(command("log search").run(&ca).await.ended(2).contains("--reason TEXT"));
    assert!(command("log tail -f").run(&ca).await.ended(2).contains("--reason TEXT"));
    assert_eq!(ca.lines(), [""; 0]);
    assert_eq!(command("log search").typed("audit\n").run(&ca).await.done(), line(1) + &line(2));
    assert_eq!(ca.lines(), ["GET /v1/log?limit=100&reason=audit"]);
}
