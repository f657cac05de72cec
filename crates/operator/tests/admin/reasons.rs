//! Proves that what goes on record with a reason is not done without one: not with none, an empty one, one that is too
//! long, or one that a terminal would obey; and that nothing is on record then, as nothing was done.

use ingam_operator::acts;
use ingam_protocol::operator::Role;
use ingam_protocol::record::RecordType;
use serde_json::{Value, json};

use crate::acts::CASES;
use crate::client::{Ask, get, post};
use crate::world::World;

/// The same request with another reason, or with none.
fn with_reason(ask: &Ask, reason: Option<&str>) -> Ask {
    if ask.body.is_empty() {
        let (path, query) = ask.uri.split_once('?').unwrap();
        let others = query.split('&').filter(|part| !part.starts_with("reason="));
        let encoded: Option<String> =
            reason.map(|text| text.bytes().map(|byte| format!("%{byte:02x}")).collect());
        let own = encoded.map(|text| format!("reason={text}"));
        let query: Vec<_> = others.map(ToOwned::to_owned).chain(own).collect();
        return Ask { uri: format!("{path}?{}", query.join("&")), ..ask.clone() };
    }
    let mut body: Value = serde_json::from_slice(&ask.body).unwrap();
    match reason {
        Some(reason) => body["reason"] = json!(reason),
        None => drop(body.as_object_mut().unwrap().remove("reason")),
    }
    Ask { body: body.to_string().into_bytes(), ..ask.clone() }
}

#[test]
fn nothing_is_done_without_the_reason_that_it_needs() {
    let world = World::new();
    let somebody = world.somebody(&[Role::Administrator]);
    let long = "x".repeat(1001);
    let bad: [(Option<&str>, u16, &str); 8] = [
        (None, 400, "reason-needed"),
        (Some(""), 400, "reason-needed"),
        (Some("  \u{a0} "), 400, "reason-needed"),
        (Some(&long), 422, "invalid"),
        (Some("two\nlines"), 422, "invalid"),
        (Some("\u{1b}[2Jgone"), 422, "invalid"),
        (Some("a\0b"), 422, "invalid"),
        (Some("\u{9b}1m"), 422, "invalid"),
    ];
    let mut tried = 0;
    for case in CASES.iter().filter(|case| acts::all().any(|rule| rule.name == case.act && rule.needs_reason))
    {
        for (reason, status, kind) in bad {
            let ask = with_reason(&(case.ask)(&world), reason);
            let before = world.rows();
            let (answer, told) = world.told(|| world.send(somebody, &ask));
            let context = format!("{} with {reason:?}", case.act);
            // A body without the member is none that the API knows.
            let kind = if reason.is_none() && !ask.body.is_empty() { "malformed" } else { kind };
            assert_eq!(answer.problem(), (status, kind.to_owned()), "{context}");
            assert!(told.is_empty() && world.rows() == before, "{context}: {told:?}");
            tried += 1;
        }
    }
    assert!(tried > 100, "only {tried} were tried");
    world.stop();
}

/// A refusal for want of a role comes first: nobody needs to make up a reason to be told.
#[test]
fn who_may_not_is_refused_whatever_the_reason() {
    let world = World::new();
    let nobody = world.somebody(&[]);
    for case in CASES.iter().filter(|case| acts::all().any(|rule| rule.name == case.act && rule.needs_reason))
    {
        let ask = with_reason(&(case.ask)(&world), Some(""));
        let (answer, told) = world.told(|| world.send(nobody, &ask));
        assert_eq!(answer.problem(), (403, "role-needed".to_owned()), "{}", case.act);
        assert_eq!(told.len(), 1, "{}", case.act);
        assert_eq!(told[0].payload["outcome"], "refused");
    }
    world.stop();
}

#[test]
fn a_reason_is_kept_as_it_was_given_but_for_the_space_around_it() {
    let world = World::new();
    let somebody = world.somebody(&[Role::Administrator]);
    let account = world.account();
    let long = "\u{fc}".repeat(1000);
    for (given, kept) in
        [("  ticket 12 ", "ticket 12"), (long.as_str(), long.as_str()), ("\"q\" \\ é 🦀", "\"q\" \\ é 🦀")]
    {
        let ask = with_reason(&get(format!("/v1/accounts/{}/contacts?reason=", account.id)), Some(given));
        let (answer, told) = world.told(|| world.send(somebody, &ask));
        assert_eq!(answer.status, 200);
        assert_eq!((told.len(), told[0].kind), (1, RecordType::PersonalDataRead));
        assert_eq!((told[0].subject, &told[0].payload["reason"]), (Some(account.id), &json!(kept)));
    }
    world.stop();
}

/// What opens an incident is its own reason.
#[test]
fn an_incident_says_what_happened() {
    let world = World::new();
    let somebody = world.somebody(&[Role::Revoker]);
    for summary in ["", " ", "two\nlines", &"x".repeat(1001)] {
        let body = json!({ "name": "leak", "summary": summary });
        let (answer, told) = world.told(|| world.send(somebody, &post("/v1/incidents", body)));
        assert_eq!((answer.problem().0, told), (422, Vec::new()), "{summary:?}");
    }
    let body = json!({ "name": "leak", "summary": " keys were in a paste " });
    let (answer, told) = world.told(|| world.send(somebody, &post("/v1/incidents", body)));
    assert_eq!((answer.status.as_u16(), &answer.json()["summary"]), (201, &json!("keys were in a paste")));
    assert_eq!(told[1].payload["reason"], "keys were in a paste");
    world.stop();
}
