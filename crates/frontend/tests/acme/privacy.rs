//! Proves that an account sees what is held about it, and no other; that an erasure is asked for by the account key alone, in
//! words that name what can be erased, says what stays and by which law, and is refused in the same words by whatever hold;
//! and that neither can be asked for without end.

use std::time::Duration;

use axum::http::Method;
use ingam_protocol::limit::{Limit, LimitName};
use ingam_protocol::operator::Principal;
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Timestamp};
use ingam_store::{Hold, HoldScope, RecordQuery};
use serde_json::{Value, json};

use crate::answer::{Answer, plain, post};
use crate::client::{Key, ask, leaf, path, protected};
use crate::world::{DAY, HOUR, Process, World, hierarchy, start};

const CONTACT: &str = "mailto:ann@example.org";
const REPORT: &str = "/privacy/report";
const ERASE: &str = "/privacy/erase";

fn registered(process: &Process, contact: &str) -> (Key, String) {
    let key = Key::new();
    let answer = ask(process, &key, None, "/new-account", &json!({ "contact": [contact] }));
    assert_eq!(answer.status, 201, "{answer:?}");
    let kid = answer.header("location").to_owned();
    (key, kid)
}

fn id_of(kid: &str) -> Id {
    kid.rsplit('/').next().unwrap().parse().unwrap()
}

fn erase(process: &Process, key: &Key, kid: &str, wish: &Value) -> Answer {
    ask(process, key, Some(kid), ERASE, wish)
}

fn records(process: &Process, kind: RecordType) -> usize {
    let query = RecordQuery { kinds: [kind].into(), ..RecordQuery::default() };
    process.store.records_find(&query, 1000).unwrap().records.len()
}

/// All items of a section, over its pages.
fn section(process: &Process, key: &Key, kid: &str, url: &str) -> Vec<Value> {
    let (mut url, mut items) = (url.to_owned(), Vec::new());
    for _ in 0..50 {
        let answer = ask(process, key, Some(kid), path(&url), &Value::Null);
        assert_eq!(answer.status, 200, "{answer:?}");
        items.extend(answer.json()["items"].as_array().unwrap().clone());
        let next = answer
            .links()
            .into_iter()
            .find_map(|link| link.strip_suffix(">;rel=\"next\"").map(str::to_owned));
        match next {
            Some(next) => url = next.trim_start_matches('<').to_owned(),
            None => return items,
        }
    }
    panic!("it has no end");
}

#[test]
fn an_account_sees_what_is_held_about_it_and_no_other() {
    let world = World::new(hierarchy(), 1);
    let process = world.start();
    let (key, kid) = registered(&process, CONTACT);
    let (other, other_kid) = registered(&process, "mailto:bob@example.net");
    let order = json!({ "identifiers": [{ "type": "dns", "value": "a.example.org" }] });
    assert_eq!(ask(&process, &key, Some(&kid), "/new-order", &order).status, 201);

    let meta = plain(&process, Method::GET, "/dir").json()["meta"]["privacy"].clone();
    let url = meta["report"].as_str().unwrap();
    let report = ask(&process, &key, Some(&kid), path(url), &Value::Null);
    assert_eq!(report.status, 200, "{report:?}");
    let report = report.json();
    assert_eq!(report["contact"]["contacts"], json!([CONTACT]));
    assert_eq!(report["contact"]["since"], start().to_rfc3339());
    assert_eq!(report["manifest"]["subject"], kid);
    assert_eq!(report["account"]["key"], key.jwk());
    assert_eq!(report["erase"], meta["erase"]);
    let held = report["manifest"]["held"].as_array().unwrap();
    assert!(held.iter().all(|held| !held["basis"].as_array().unwrap().is_empty()), "{held:?}");

    let orders = section(&process, &key, &kid, report["pages"]["orders"].as_str().unwrap());
    assert_eq!(orders[0]["names"], json!(["a.example.org"]));
    assert!(section(&process, &key, &kid, report["pages"]["certificates"].as_str().unwrap()).is_empty());
    let told = section(&process, &key, &kid, report["pages"]["records"].as_str().unwrap());
    let created = told.iter().find(|told| told["type"] == "account_created").unwrap();
    assert_eq!(created["sent"]["contact"], json!([CONTACT]), "what lay under its key is opened for it");
    assert_eq!(created["address"], "0.0.0.0");
    assert!(told.iter().any(|told| told["type"] == "subject_asked"), "asking is on record, too");

    // The other one sees itself.
    let theirs = ask(&process, &other, Some(&other_kid), REPORT, &Value::Null).json();
    assert!(!theirs.to_string().contains("ann@example.org"), "{theirs}");
    let of_them = section(&process, &other, &other_kid, theirs["pages"]["records"].as_str().unwrap());
    assert!(!Value::from(of_them).to_string().contains("ann@"));
    process.stop();
}

/// A request of somebody else is on record about whose certificate it was: that it was made, that one is told, and not by
/// whom from where.
#[test]
fn who_else_revoked_a_certificate_of_an_account_is_not_in_its_report() {
    let world = World::new(hierarchy(), 6);
    let process = world.start();
    let (key, kid) = registered(&process, CONTACT);
    let certificate = |name: &str| {
        let order = json!({ "identifiers": [{ "type": "dns", "value": name }] });
        let made = ask(&process, &key, Some(&kid), "/new-order", &order);
        let authorization = made.json()["authorizations"][0].as_str().unwrap().to_owned();
        let challenge = format!("/challenge/{}/dns-01", authorization.rsplit('/').next().unwrap());
        assert_eq!(ask(&process, &key, Some(&kid), &challenge, &json!({})).status, 200);
        process.until("everything rests", || process.tasks() == 0);
        let own = Key::new();
        let finalize = format!("{}/finalize", path(made.header("location")));
        let wish = json!({ "csr": own.csr(&[name.to_owned()]) });
        let valid = ask(&process, &key, Some(&kid), &finalize, &wish).json();
        let url = valid["certificate"].as_str().unwrap().to_owned();
        (own, leaf(&ask(&process, &key, Some(&kid), path(&url), &Value::Null)))
    };
    let revoke = |key: &Key, kid: Option<&str>, certificate: &Value| {
        let wish = json!({ "certificate": certificate });
        let header = protected(key, kid, &crate::client::nonce(&process), "/revoke-cert");
        let signed = key.sign(&header, wish.to_string().as_bytes()).to_string();
        let mut request = crate::answer::jose("/revoke-cert", signed);
        request.headers_mut().insert("user-agent", "somebody/1.0".parse().unwrap());
        assert_eq!(crate::answer::send(&process, request).status, 200);
    };
    let (first, second) = (certificate("a.example.org"), certificate("b.example.org"));
    let records = ask(&process, &key, Some(&kid), REPORT, &Value::Null).json()["pages"]["records"].clone();
    let records = records.as_str().unwrap();
    revoke(&first.0, None, &json!(first.1));
    let told = section(&process, &key, &kid, records);
    let revoked = |told: &[Value], right: &str| {
        told.iter()
            .find(|told| told["type"] == "certificate_revoked" && told["right"] == right)
            .cloned()
            .unwrap()
    };
    let theirs = revoked(&told, "certificate_key");
    for name in ["address", "user_agent", "url", "request_id", "sent"] {
        assert!(theirs.get(name).is_none(), "{theirs}");
    }
    assert!(theirs["serial"].is_string() && theirs["time"].is_string(), "{theirs}");
    assert!(!Value::from(told).to_string().contains("somebody/1.0"));

    // What it asked for itself, it sees.
    revoke(&key, Some(&kid), &json!(second.1));
    let own = revoked(&section(&process, &key, &kid, records), "account");
    assert_eq!((&own["user_agent"], &own["sent"]["certificate"]), (&json!("somebody/1.0"), &json!(second.1)));
    process.stop();
}

#[test]
fn nobody_else_asks_in_an_accounts_name() {
    let world = World::new(hierarchy(), 2);
    let process = world.start();
    let (key, kid) = registered(&process, CONTACT);
    let (other, _) = registered(&process, "mailto:bob@example.net");
    let wish = json!({ "contact": true });
    // Another account's key under this account's name.
    assert_eq!(erase(&process, &other, &kid, &wish).problem(), "malformed");
    assert_eq!(ask(&process, &other, Some(&kid), REPORT, &Value::Null).problem(), "malformed");
    // A key that brings itself along is nobody's account.
    assert_eq!(ask(&process, &key, None, ERASE, &wish).problem(), "malformed");
    // The same request twice, and one that was signed for another resource.
    let nonce = crate::client::nonce(&process);
    let signed = key.sign(&protected(&key, Some(&kid), &nonce, REPORT), b"").to_string();
    assert_eq!(post(&process, REPORT, signed.clone()).status, 200);
    assert_eq!(post(&process, REPORT, signed).problem(), "badNonce");
    let nonce = crate::client::nonce(&process);
    let elsewhere = key.sign(&protected(&key, Some(&kid), &nonce, REPORT), wish.to_string().as_bytes());
    let misled = post(&process, ERASE, elsewhere.to_string());
    assert_eq!((misled.status.as_u16(), misled.problem().as_str()), (401, "unauthorized"));
    // Nothing of that erased anything.
    assert_eq!(process.store.account_contacts(id_of(&kid)).unwrap().len(), 1);
    assert_eq!(records(&process, RecordType::SubjectErased), 0);

    for (address, payload) in [
        (ERASE, Value::Null),
        (ERASE, json!({})),
        (ERASE, json!({ "contact": false, "close": true })),
        (ERASE, json!({ "everything": true })),
        (ERASE, json!({ "contact": "yes" })),
        (REPORT, json!({})),
    ] {
        let refused = ask(&process, &key, Some(&kid), address, &payload);
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (400, "malformed"), "{payload}");
    }
    let refused = erase(&process, &key, &kid, &json!({})).json();
    assert!(refused["detail"].as_str().unwrap().contains("GDPR Art. 17(3)(b)"), "{refused}");
    for unknown in ["/privacy/report/secrets", "/privacy/report/records?after=%25", "/privacy"] {
        assert_eq!(ask(&process, &key, Some(&kid), unknown, &Value::Null).status, 404, "{unknown}");
    }
    // Places that nothing gave out are no pages, and nothing failed here: too short, of no form, in the midst of a record.
    let midst = [&[1, 1][..], &1_u64.to_be_bytes(), &77_u64.to_be_bytes()].concat();
    for odd in ["AQIDBA".to_owned(), "AAAA".to_owned(), ingam_protocol::bytes::base64url(&midst)] {
        let url = format!("/privacy/report/records?after={odd}");
        let answer = ask(&process, &key, Some(&kid), &url, &Value::Null);
        assert!(answer.status == 404 || answer.status == 200, "{odd}: {answer:?}");
    }
    let odd = ask(&process, &key, Some(&kid), "/privacy/report/records?after=AQIDBA", &Value::Null);
    assert_eq!((odd.status.as_u16(), odd.problem().as_str()), (404, "malformed"));
    process.stop();
}

#[test]
fn an_erasure_says_what_is_gone_and_what_stays_by_which_law() {
    let world = World::new(hierarchy(), 3);
    let process = world.start();
    let (key, kid) = registered(&process, CONTACT);
    let done = erase(&process, &key, &kid, &json!({ "contact": true }));
    assert_eq!(done.status, 200, "{done:?}");
    let done = done.json();
    assert_eq!((&done["account"], &done["closed"]), (&json!(id_of(&kid)), &json!(false)));
    assert!(done["erased"].as_array().unwrap().len() >= 3);
    let kept = done["kept"].to_string();
    for law in ["BR 5.4.3", "5.5.2", "Art. 17(3)(e)", "Art. 17(3)(b)", "PIPA Art. 36(1)", "Art. 36(4)"] {
        assert!(kept.contains(law), "{law}: {kept}");
    }
    assert_eq!(records(&process, RecordType::SubjectErased), 1);

    // The account goes on, without contacts, and can have others.
    let account = ask(&process, &key, Some(&kid), path(&kid), &Value::Null).json();
    assert_eq!((&account["status"], account["contact"].as_array().map_or(0, Vec::len)), (&json!("valid"), 0));
    let report = ask(&process, &key, Some(&kid), REPORT, &Value::Null).json();
    assert_eq!(report["contact"]["contacts"], json!([]));
    let told = section(&process, &key, &kid, report["pages"]["records"].as_str().unwrap());
    let created = told.iter().find(|told| told["type"] == "account_created").unwrap();
    assert_eq!(created["sent"], "erased");
    assert!(told.iter().any(|told| told["type"] == "subject_erased"));
    let update = json!({ "contact": ["mailto:new@example.org"] });
    let changed = ask(&process, &key, Some(&kid), path(&kid), &update);
    assert_eq!(changed.json()["contact"], json!(["mailto:new@example.org"]));

    // With its end, if that is wished; nobody asks in its name then.
    let done = erase(&process, &key, &kid, &json!({ "contact": true, "close": true })).json();
    assert_eq!(done["closed"], true);
    let ended = erase(&process, &key, &kid, &json!({ "contact": true }));
    assert_eq!((ended.status.as_u16(), ended.problem().as_str()), (401, "unauthorized"));
    assert_eq!(ask(&process, &key, Some(&kid), REPORT, &Value::Null).status, 401);
    process.stop();
}

fn hold(scope: HoldScope, ends: Timestamp) -> Hold {
    Hold {
        id: Id::first_of(ends),
        case: "sealed-4711".to_owned(),
        owner: "legal".to_owned(),
        reason: "a court asked".to_owned(),
        scope,
        opened: start(),
        by: Principal::User(0),
        ends,
        renewals: Vec::new(),
        released: None,
    }
}

#[test]
fn a_held_subject_is_told_no_more_than_that_it_has_to_wait() {
    let world = World::new(hierarchy(), 4);
    let process = world.start();
    let (key, kid) = registered(&process, CONTACT);
    let subject = id_of(&kid);
    let mut words = Vec::new();
    for (number, scope) in [HoldScope::Subject { subject }, HoldScope::Everything].into_iter().enumerate() {
        let held = hold(scope, start().plus(DAY * (u32::try_from(number).unwrap() * 3 + 1)));
        process.run(process.store.hold_open(held, Vec::new())).unwrap();
        let refused = erase(&process, &key, &kid, &json!({ "contact": true, "close": true }));
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (403, "unauthorized"));
        words.push(refused.json()["detail"].as_str().unwrap().to_owned());
        // The way here leaves the hold's own words nowhere.
        let report = ask(&process, &key, Some(&kid), REPORT, &Value::Null).json();
        let told = section(&process, &key, &kid, report["pages"]["records"].as_str().unwrap());
        let all = format!("{report}{}{}", Value::from(told), words.concat());
        assert!(!all.contains("4711") && !all.contains("court") && !all.contains("legal\""), "{all}");
        world.clock.advance(DAY * 2);
    }
    assert_eq!(words[0], words[1], "one hold is told as another");
    assert!(words[0].contains("GDPR Art. 17(3)(b) and (e)"), "{words:?}");
    assert_eq!(process.store.account_contacts(subject).unwrap().len(), 1);
    assert!(process.authority.account(subject).unwrap().unwrap().deactivated.is_none());
    // Its end has passed.
    assert_eq!(erase(&process, &key, &kid, &json!({ "contact": true })).status, 200);
    process.stop();
}

#[test]
fn an_account_asks_so_often_and_no_more() {
    let mut world = World::new(hierarchy(), 5);
    let limit = Limit::new(3, HOUR, 3).unwrap();
    world.policy.rate_limits.limits.insert(LimitName::PrivacyRequestsPerAccount, limit);
    let process = world.start();
    let (key, kid) = registered(&process, CONTACT);
    let (other, other_kid) = registered(&process, "mailto:bob@example.net");
    assert_eq!(ask(&process, &key, Some(&kid), REPORT, &Value::Null).status, 200);
    assert_eq!(ask(&process, &key, Some(&kid), "/privacy/report/records", &Value::Null).status, 200);
    // A wish that is none counts as well.
    assert_eq!(erase(&process, &key, &kid, &json!({})).status, 400);
    for address in [REPORT, "/privacy/report/orders", ERASE] {
        let payload = if address == ERASE { json!({ "contact": true }) } else { Value::Null };
        let refused = ask(&process, &key, Some(&kid), address, &payload);
        assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (429, "rateLimited"), "{address}");
        assert_eq!(refused.header("retry-after"), "1200");
    }
    assert_eq!(process.store.account_contacts(id_of(&kid)).unwrap().len(), 1);
    assert_eq!(ask(&process, &other, Some(&other_kid), REPORT, &Value::Null).status, 200);
    world.clock.advance(Duration::from_secs(1200));
    assert_eq!(erase(&process, &key, &kid, &json!({ "contact": true })).status, 200);
    process.stop();
}
