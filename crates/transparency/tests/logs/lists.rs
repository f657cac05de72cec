//! Lists of logs: what is read of them, and what is wrong with them.

use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_transparency::list::{Kind, State};
use ingam_transparency::{Config, Error, LogList, Transparency};
use serde_json::{Value, json};

use crate::ca::{NOW, URL, World};

fn made() -> Value {
    World::new().logs.list_json()
}

fn parsed(list: &Value) -> Result<LogList, String> {
    LogList::parse(list.to_string().as_bytes())
}

#[test]
fn logs_of_both_kinds_are_read() {
    let list = parsed(&made()).unwrap();
    let told: Vec<_> =
        list.logs.iter().map(|log| (log.operator.as_str(), log.kind, log.url.as_str())).collect();
    let url = |name: &str| format!("{URL}/{name}");
    assert_eq!(
        told,
        [
            ("Aaron", Kind::Rfc6962, url("a").as_str()),
            ("Aaron", Kind::Static, url("c").as_str()),
            ("Berta", Kind::Rfc6962, url("b").as_str()),
        ]
    );
    assert_eq!(list.made_at, NOW);
    assert!(list.logs[0].takes(NOW) && !list.logs[0].takes(Timestamp::from_unix_s(2_400_000_000)));
    assert!(list.logs[0].takes(Timestamp::from_unix_s(2_399_999_999)));
}

#[test]
fn only_logs_that_take_certificates_count() {
    for state in ["pending", "readonly", "retired", "rejected"] {
        let mut list = made();
        list["operators"][0]["logs"][0]["state"] = json!({ state: { "timestamp": "2026-01-01T00:00:00Z" } });
        // Nothing else of such a log is looked at.
        list["operators"][0]["logs"][0]["key"] = json!("?");
        assert_eq!(parsed(&list).unwrap().logs.len(), 2, "{state}");
    }
    let mut list = made();
    list["operators"][0]["logs"][0]["state"] = json!({ "qualified": {} });
    list["operators"][1]["logs"][0]["log_type"] = json!("test");
    list["operators"][1]["new"] = json!({ "member": 1 });
    let list = parsed(&list).unwrap();
    assert_eq!(list.logs.iter().map(|log| log.state).collect::<Vec<_>>(), [State::Qualified, State::Usable]);
}

#[test]
fn a_list_that_contradicts_itself_is_refused() {
    type Break = fn(&mut Value);
    let cases: [(Break, &str); 9] = [
        (
            |list| {
                list["operators"][0]["logs"][0]["log_id"] = list["operators"][1]["logs"][0]["log_id"].clone()
            },
            "is not the SHA-256",
        ),
        (|list| list["operators"][0]["logs"][0]["key"] = json!("AAAA"), "neither P-256"),
        (|list| list["operators"][0]["logs"][0]["url"] = json!("http://ct.example/a/"), "is not https"),
        (|list| list["operators"][0]["logs"][0]["url"] = json!("https://ct.example/a/?x=y"), "is not https"),
        (|list| list["operators"][0]["logs"][0]["url"] = Value::Null, "has no URL"),
        (|list| list["operators"][0]["tiled_logs"][0]["submission_url"] = Value::Null, "has no URL"),
        (|list| list["operators"][1]["logs"] = list["operators"][0]["logs"].clone(), "have one key"),
        (|list| list["log_list_timestamp"] = json!("yesterday"), "log_list_timestamp"),
        (
            |list| list["operators"][0]["logs"][0]["temporal_interval"]["end_exclusive"] = json!(""),
            "temporal_interval",
        ),
    ];
    for (damage, words) in cases {
        let mut list = made();
        damage(&mut list);
        let why = parsed(&list).unwrap_err();
        assert!(why.contains(words), "{why}, and not {words}");
    }
    assert!(LogList::parse(b"{}").is_err() && LogList::parse(b"").is_err());
    assert!(LogList::parse(&vec![b' '; 5 << 20]).unwrap_err().contains("more than"));
}

#[test]
fn a_file_that_cannot_be_used_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log_list.json");
    for write in [None, Some("<html>")] {
        write.iter().for_each(|text| std::fs::write(&path, text).unwrap());
        let error = LogList::read(&path).unwrap_err();
        assert!(error.to_string().contains("docs/operations/transparency.md"), "{error}");
    }
    std::fs::write(&path, made().to_string()).unwrap();
    assert_eq!(LogList::read(&path).unwrap().logs.len(), 3);
}

#[test]
fn lists_are_held_against_age_and_profiles() {
    let (config, list) = (Config::default(), parsed(&made()).unwrap());
    let days = |count: u64| Duration::from_secs(count * 86_400);
    let profile = |count: u64| vec![("classic".to_owned(), days(count))];
    let reasons = |now: Timestamp, list: &LogList, profiles: &[(String, Duration)]| -> Vec<String> {
        config.check_list(list, now, profiles).iter().map(ToString::to_string).collect()
    };
    assert_eq!(reasons(NOW, &list, &profile(90)), [""; 0]);
    assert_eq!(reasons(NOW.plus(days(70)), &list, &profile(200)), [""; 0]);
    let old = reasons(NOW.plus(days(71)), &list, &profile(90));
    assert!(old.len() == 1 && old[0].contains("70 days"), "{old:?}");
    let early = reasons(NOW.minus(days(2)), &list, &profile(90));
    assert!(early.len() == 1 && early[0].contains("to come"), "{early:?}");
    let late = reasons(NOW, &list, &profile(9000));
    assert!(late.len() == 1 && late[0].contains("classic"), "{late:?}");
    let mut alone = list.clone();
    alone.logs.retain(|log| log.operator == "Aaron");
    let alone = reasons(NOW, &alone, &profile(90));
    assert!(alone.len() == 1 && alone[0].contains("of 1 operators"), "{alone:?}");
}

#[test]
fn values_that_make_no_sense_are_found() {
    assert_eq!(Config::default().check().iter().count(), 0);
    let odd = Config {
        states: Default::default(),
        log_timeout_ms: 50_000,
        logs_max: 2,
        rest_s: 0,
        publication_attempts_max: 0,
        ..Config::default()
    };
    let keys: Vec<String> = odd.check().iter().map(|finding| finding.key.clone()).collect();
    assert_eq!(keys, ["states", "logs_max", "rest_s", "publication_attempts_max", "total_timeout_ms"]);
}

#[tokio::test(start_paused = true)]
async fn another_list_holds_for_what_begins_after_it() {
    let world = World::new();
    let mut list = world.logs.list().unwrap();
    list.logs.retain(|log| log.operator == "Aaron");
    world.service.replace_list(list);
    let error = world.service.scts(&world.ca.submission("a.example", 90)).await.unwrap_err();
    assert!(matches!(error, Error::NoLogs { .. }), "{error}");
    world.service.replace_list(world.logs.list().unwrap());
    assert!(world.service.scts(&world.ca.submission("a.example", 90)).await.is_ok());
}

#[test]
fn the_corpus_is_read_or_refused_as_its_names_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus/log-list");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let list = LogList::parse(&std::fs::read(&path).unwrap());
        assert!(list.is_ok() || !name.starts_with("ok-"), "{name}: {list:?}");
        assert!(list.is_err() || !name.starts_with("bad-"), "{name} is accepted");
        count += 1;
    }
    assert!(count >= 16, "the corpus is not there: {count}");
}
