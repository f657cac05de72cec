//! Proves that personal data (contacts of subscribers, the addresses they come from) is in no answer but those that are on
//! record as reads of it, and that these are refused where they cannot be put on record.

use std::collections::BTreeSet;

use ingam_operator::acts::{self, Kind};
use ingam_protocol::operator::Role;
use ingam_protocol::record::RecordType;
use serde_json::json;

use crate::acts::CASES;
use crate::client::get;
use crate::world::{ADDRESS, CONTACT, World};

#[test]
fn no_unrecorded_answer_holds_personal_data() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    let account = world.account();
    world.certificate(&account);
    let address = CONTACT.strip_prefix("mailto:").unwrap();
    let mut held = BTreeSet::new();
    for case in CASES.iter().filter(|case| case.act != "log.follow") {
        let mut ask = (case.ask)(&world);
        if case.act == "log.search" {
            ask = get("/v1/log?reason=ticket&limit=1000");
        }
        let (answer, told) = world.told(|| world.send(boss, &ask));
        assert_eq!(answer.status, case.done);
        let text = answer.text();
        let rule = acts::all().find(|rule| rule.name == case.act).unwrap();
        if text.contains(ADDRESS) || text.contains(address) {
            held.insert(case.act);
            assert_eq!(rule.kind, Kind::PersonalRead, "{}: {text}", case.act);
            let reads = told.iter().filter(|told| told.kind == RecordType::PersonalDataRead).count();
            assert_eq!(reads, 1, "{}", case.act);
        }
        // Tokens are between a subscriber and the CA, and what an auditor sees in records; that of a trial opens nothing.
        let may_have_tokens = ["log.search", "cert.evidence", "validation.try"].contains(&case.act);
        assert!(may_have_tokens || !text.contains("\"token\""), "{}", case.act);
    }
    assert_eq!(
        held,
        BTreeSet::from([
            "account.contacts",
            "cert.evidence",
            "log.search",
            "hold.list",
            "hold.requests",
            "subject.list",
            "subject.report",
        ]),
        "or this proves little"
    );
    world.stop();
}

/// Contacts are sealed in the records that hold them: a search of the log does not open them.
#[test]
fn a_search_of_the_log_gives_out_nothing_that_is_sealed() {
    let world = World::new();
    let boss = world.somebody(&[Role::Auditor]);
    let account = world.account();
    let answer = world.send(boss, &get(format!("/v1/log?reason=ticket&subject={}", account.id)));
    let items = answer.json()["items"].as_array().unwrap().clone();
    let created = items.iter().find(|item| item["type"] == "account_created").unwrap();
    assert_eq!(created["sealed_parts"], 1);
    assert!(!answer.text().contains(CONTACT.strip_prefix("mailto:").unwrap()));
    let whose = |told: &crate::world::Told| told.subject;
    let (_, told) =
        world.told(|| world.send(boss, &get(format!("/v1/log?reason=ticket&subject={}", account.id))));
    assert_eq!(told.iter().map(whose).collect::<Vec<_>>(), [Some(account.id)], "on record as about them");
    world.stop();
}

/// The record of a search outlives an erasure: it does not have the name or the address that was looked for.
#[test]
fn what_a_search_of_the_log_looked_for_is_not_on_record() {
    let world = World::new();
    let boss = world.somebody(&[Role::Auditor]);
    for (term, characters) in [("ann%40example.org", 15), ("J%C3%B6rg%20Ma%C3%9Fmann", 12)] {
        let ask = get(format!("/v1/log?reason=ticket&text={term}"));
        let (answer, told) = world.told(|| world.send(boss, &ask));
        assert_eq!(answer.status, 200);
        let [read] = told.as_slice() else { panic!("{}", told.len()) };
        assert_eq!(read.payload["what"]["text"], json!({ "characters": characters }), "{}", read.payload);
        let all = read.payload.to_string();
        assert!(!all.contains("example.org") && !all.contains("Maßmann"), "{all}");
    }
    world.stop();
}

/// The disk is full: what cannot be put on record is not given out, and what cannot be recorded is not done.
#[test]
fn without_a_record_there_is_no_answer() {
    let world = World::new();
    let boss = world.somebody(&[Role::Administrator]);
    let nobody = world.somebody(&[]);
    let account = world.account();
    let asks: Vec<_> = CASES.iter().map(|case| (case.act, (case.ask)(&world))).collect();
    world.tables.stop_after(0);
    for (act, ask) in asks {
        let rule = acts::all().find(|rule| rule.name == act).unwrap();
        let answer = world.run(async {
            use tower::ServiceExt as _;
            let response = world.router.clone().oneshot(ask.request(Some(boss))).await.unwrap();
            response.status().as_u16()
        });
        if rule.kind == Kind::Read {
            assert!(answer < 500, "{act}: {answer}");
        } else {
            assert_eq!(answer, 500, "{act}");
        }
        let refused = world.run(async {
            use tower::ServiceExt as _;
            world.router.clone().oneshot(ask.request(Some(nobody))).await.unwrap().status().as_u16()
        });
        assert_eq!(refused, 500, "{act}: even a refusal goes on record first");
    }
    let uri = format!("/v1/accounts/{}/contacts?reason=ticket", account.id);
    let text = world.run(async {
        use http_body_util::BodyExt as _;
        use tower::ServiceExt as _;
        let response = world.router.clone().oneshot(get(uri).request(Some(boss))).await.unwrap();
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    });
    assert!(!text.contains("mailto:"), "{text}");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["type"], json!("urn:ingam:admin:fault"));
    assert!(!text.contains("store"), "what failed is for the log alone: {text}");
    world.stop();
}
