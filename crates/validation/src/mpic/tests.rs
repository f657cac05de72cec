//! Both sides of Open MPIC against each other, and each against what another maker's sends.

use ingam_protocol::Timestamp;
use ingam_protocol::acme::{ChallengeType, ErrorType};
use ingam_protocol::bytes::base64url;
use serde_json::json;

use super::*;
use super::{heard, request};
use crate::outcome::{Attempt, CaaQuery, Outcome};
use crate::sought::sha256;
use crate::testing::{
    ACCOUNT, Act, KEY_AUTHORIZATION, TOKEN, World, attempt, attempt_address, http_server, query,
};

const HOST: &str = "www.example.org";

fn issuers() -> Vec<String> {
    vec!["ca.example".to_owned()]
}

fn now() -> Timestamp {
    Timestamp::from_unix_s(1_795_255_200)
}

fn of(world: &World, http_port: u16) -> Service {
    let perspective = world.perspective(|config| {
        config.http_port = http_port;
        config.lookup_timeout_ms = 1_000;
    });
    Service::new(std::sync::Arc::new(perspective))
}

/// What our coordinator hears from our perspective.
async fn ours(service: &Service, attempt: &Attempt) -> Heard {
    let body = serde_json::to_vec(&request::dcv(attempt, &issuers()).unwrap()).unwrap();
    let reply = service.answer("/dcv", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    heard::dcv(reply.body.to_string().as_bytes(), attempt, &issuers(), now()).unwrap()
}

async fn posted(service: &Service, path: &str, body: Value) -> Reply {
    service.answer(path, body.to_string().as_bytes()).await
}

#[tokio::test]
async fn every_challenge_of_ours_comes_back_as_it_was_seen() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1");
    let (port, _) = http_server("127.0.0.1:0", |_| Act::answer("200 OK", "", KEY_AUTHORIZATION)).await;
    let service = of(&world, port);
    let hash = base64url(&sha256(KEY_AUTHORIZATION));
    world.txt(&format!("_acme-challenge.{HOST}"), hash.as_bytes());
    world.txt(&crate::label::dns_account_01(&crate::testing::name(HOST), ACCOUNT), hash.as_bytes());
    let record = format!("ca.example; accounturi={ACCOUNT}; persistUntil=1795255300");
    world.txt(&format!("_validation-persist.{HOST}"), record.as_bytes());
    for challenge in [ChallengeType::Http01, ChallengeType::Dns01, ChallengeType::DnsAccount01] {
        let heard = ours(&service, &attempt(HOST, challenge)).await;
        assert_eq!(heard.result, Ok(None), "{challenge}");
        let evidence = heard.evidence.unwrap();
        assert_eq!((evidence.host.to_string().as_str(), evidence.challenge), (HOST, challenge));
    }
    let heard = ours(&service, &attempt(HOST, ChallengeType::DnsPersist01)).await;
    assert_eq!(heard.result, Ok(Some(Timestamp::from_unix_s(1_795_255_300))));
    // What is wrong keeps its type and its words on the way.
    let heard = ours(&service, &attempt("elsewhere.example.org", ChallengeType::Dns01)).await;
    let failure = heard.result.unwrap_err();
    assert_eq!(failure.error, ErrorType::Dns);
    assert!(failure.detail.starts_with("DNS: NXDOMAIN looking up TXT"), "{failure}");
    assert_eq!(heard.evidence.unwrap().lookups.len(), 1);
    let heard = ours(&service, &attempt_address("127.0.0.1", ChallengeType::Http01)).await;
    assert_eq!(heard.result, Ok(None));
    assert!(request::dcv(&attempt_address("127.0.0.1", ChallengeType::DnsAccount01), &issuers()).is_err());
}

#[tokio::test]
async fn caa_of_ours_knows_account_and_method() {
    let world = World::new().await;
    let restricted = format!("ca.example; accounturi={ACCOUNT}; validationmethods=http-01");
    world.caa("example.org", 0, "issue", &restricted);
    let service = of(&world, 80);
    let ask = async |query: &CaaQuery| {
        let body = serde_json::to_vec(&request::caa(query, &issuers())).unwrap();
        let reply = service.answer("/caa", &body).await;
        assert_eq!(reply.body["details"], Value::Null, "the evidence has it already");
        assert_eq!(reply.body["ingam"]["evidence"]["wildcard"] == true, query.wildcard);
        let other = CaaQuery { wildcard: !query.wildcard, ..query.clone() };
        let heard_as = heard::caa(reply.body.to_string().as_bytes(), &other, &issuers()).unwrap();
        assert!(heard_as.result.is_err(), "a name and its wildcard are two questions");
        heard::caa(reply.body.to_string().as_bytes(), query, &issuers()).unwrap()
    };
    assert_eq!(ask(&query(HOST, true)).await.result, Ok(None));
    let other = CaaQuery { challenge: ChallengeType::Dns01, ..query(HOST, false) };
    let failure = ask(&other).await.result.unwrap_err();
    assert_eq!(failure.error, ErrorType::Caa);
    assert!(failure.detail.contains("validationmethods"), "{failure}");
    // Another's coordinator tells of neither: the record may not be for it.
    let plain = json!({"domain_or_ip_target": HOST, "caa_check_parameters": {"caa_domains": ["ca.example"]}});
    let reply = posted(&service, "/caa", plain).await;
    assert_eq!(
        (reply.status, &reply.body["check_completed"], &reply.body["check_passed"]),
        (200, &json!(true), &json!(false))
    );
    assert!(reply.body.get("ingam").is_none());
    assert_eq!(reply.body["details"]["found_at"], "example.org");
    assert_eq!(reply.body["details"]["records_seen"], json!([format!("0 issue \"{restricted}\"")]));
}

#[test]
fn evidence_too_large_to_be_sent_is_told_of() {
    let attempt = attempt(HOST, ChallengeType::Http01);
    let outcome = |hops: usize| {
        let mut evidence = Evidence::new("seoul-2", attempt.host.clone(), attempt.challenge, now());
        let hop = crate::evidence::Hop::new(Some("x".repeat(1_000)), &attempt.host, 80);
        evidence.hops = vec![hop; hops];
        Outcome { evidence, corroboration: None, result: Err(Failure::connection("no route")) }
    };
    let replied = |hops: usize| service::dcv_reply("acme-http-01", outcome(hops), true).body;
    let heard = |body: &Value| heard::dcv(body.to_string().as_bytes(), &attempt, &issuers(), now()).unwrap();
    // Twice would be too large.
    let body = replied(40);
    assert!(body.to_string().len() > BODY_BYTES_MAX / 2);
    let whole = heard(&body);
    assert_eq!((whole.evidence.unwrap().hops.len(), whole.details), (40, None));
    let body = replied(100);
    assert!(body.to_string().len() < 1_000 && body["ingam"]["left_out"] == true, "{body}");
    let cut = heard(&body);
    assert_eq!(cut.result.unwrap_err().detail, "no route", "still one of ours");
    assert_eq!((cut.evidence, cut.details), (None, Some(json!({ "left_out": true }))));
}

#[tokio::test]
async fn another_coordinator_is_answered_as_open_mpic_has_it() {
    let world = World::new().await;
    world.a(HOST, "127.0.0.1");
    let hash = base64url(&sha256(KEY_AUTHORIZATION));
    world
        .txt(&format!("_acme-challenge.{HOST}"), hash.as_bytes())
        .txt("_dnsauth.www.example.org", b"a Proof, and more");
    let (port, _) = http_server("127.0.0.1:0", |head| {
        if head.starts_with("GET /there") {
            return Act::answer("200 OK", "", KEY_AUTHORIZATION);
        }
        Act::redirect("/there")
    })
    .await;
    let service = of(&world, port);
    let dcv = async |parameters: Value| {
        let asked = json!({
            "domain_or_ip_target": HOST,
            "trace_identifier": "t",
            "not_known": [1],
            "dcv_check_parameters": parameters
        });
        posted(&service, "/perspective/dcv", asked).await
    };
    let reply = dcv(json!({
        "validation_method": "acme-http-01", "token": TOKEN, "key_authorization": KEY_AUTHORIZATION,
        "http_headers": null, "require_exact_case": true
    }))
    .await;
    let body = reply.body;
    assert_eq!((&body["check_passed"], &body["check_type"]), (&json!(true), &json!("dcv")), "{body}");
    let details = &body["details"];
    assert_eq!(details["validation_method"], "acme-http-01");
    assert_eq!(details["response_status_code"], 200);
    assert_eq!(details["response_history"][0]["status_code"], 302, "{details}");
    assert!(details["response_history"][0]["url"].as_str().unwrap().ends_with("/there"), "{details}");
    assert!(body["timestamp_ns"].as_u64().unwrap() > 1_000_000_000_000_000_000);
    let reply = dcv(json!({"validation_method": "acme-dns-01", "key_authorization_hash": hash})).await;
    assert_eq!(reply.body["check_passed"], true);
    assert_eq!(reply.body["details"]["records_seen"], json!([hash]));
    assert_eq!(reply.body["details"]["response_code"], 0);
    let change = |value: &str, exact_match: bool, exact_case: bool| {
        json!({
            "validation_method": "dns-change", "challenge_value": value, "dns_name_prefix": "_dnsauth",
            "dns_record_type": "TXT", "require_exact_match": exact_match, "require_exact_case": exact_case
        })
    };
    assert_eq!(dcv(change("Proof", false, true)).await.body["check_passed"], true);
    assert_eq!(dcv(change("proof", false, false)).await.body["check_passed"], true);
    let reply = dcv(change("Proof", true, true)).await;
    assert_eq!((&reply.body["check_passed"], &reply.body["check_completed"]), (&json!(false), &json!(true)));
    assert!(reply.body["errors"][0]["error_message"].as_str().unwrap().contains("is not what was asked for"));
    // A failed lookup is no answer, and never a permission.
    let asked = json!({"domain_or_ip_target": "silent.example.org", "caa_check_parameters": {
        "caa_domains": ["ca.example"], "allow_lookup_failure": true}});
    world.reply("silent.example.org", None, crate::testing::Reply::Garbage);
    let reply = posted(&service, "/caa", asked).await;
    assert_eq!((&reply.body["check_passed"], &reply.body["check_completed"]), (&json!(false), &json!(false)));
    assert_eq!(reply.body["details"]["caa_record_present"], Value::Null);
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_with_what_can() {
    let world = World::new().await;
    let service = of(&world, 80);
    let dcv = |parameters: Value| json!({"domain_or_ip_target": HOST, "dcv_check_parameters": parameters});
    let hash = base64url(&sha256(KEY_AUTHORIZATION));
    let cases = [
        (404, "/else", json!({}), "POST to /dcv"),
        (400, "/dcv", json!({}), "validation_method is missing"),
        (422, "/dcv", dcv(json!({"validation_method": "website-change"})), "it serves acme-http-01"),
        (422, "/dcv", dcv(json!({"validation_method": "ip-address"})), "it serves acme-http-01"),
        (400, "/dcv", dcv(json!({"validation_method": "acme-http-01", "token": "x"})), "key_authorization"),
        (
            400,
            "/dcv",
            dcv(json!({"validation_method": "acme-tls-alpn-01", "key_authorization_hash": "aa"})),
            "no SHA-256",
        ),
        (
            422,
            "/dcv",
            dcv(
                json!({"validation_method": "dns-change", "challenge_value": "x", "dns_record_type": "CNAME"}),
            ),
            "TXT records alone",
        ),
        (
            400,
            "/dcv",
            json!({"domain_or_ip_target": "127.0.0.1", "dcv_check_parameters": {
                "validation_method": "acme-dns-01", "key_authorization_hash": hash}}),
            "IP address",
        ),
        (
            400,
            "/dcv",
            json!({"domain_or_ip_target": "a b", "dcv_check_parameters": {
            "validation_method": "acme-dns-01", "key_authorization_hash": hash}}),
            "is no host",
        ),
        (
            422,
            "/caa",
            json!({"domain_or_ip_target": HOST, "caa_check_parameters": {
            "certificate_type": "s-mime"}}),
            "tls-server is",
        ),
        (400, "/caa", json!({"domain_or_ip_target": "*.*.example.org"}), "is no name"),
        (400, "/caa", json!([1, 2]), "none of Open MPIC"),
    ];
    for (status, path, body, words) in cases {
        let reply = posted(&service, path, body.clone()).await;
        let said = reply.body["errors"][0]["error_message"].as_str().unwrap();
        assert_eq!(reply.status, status, "{body}: {said}");
        assert!(said.contains(words), "{body}: {said}");
        assert_eq!(reply.body["check_passed"], false);
    }
    assert_eq!(service.answer("/dcv", &vec![b' '; BODY_BYTES_MAX + 1]).await.status, 413);
    assert_eq!(service.answer("/dcv", b"{").await.status, 400);
    // One that says of itself what it is not.
    let mut lying = json!(request::dcv(&attempt(HOST, ChallengeType::Dns01), &issuers()).unwrap());
    lying["ingam"]["challenge"] = json!("http-01");
    assert_eq!(posted(&service, "/dcv", lying).await.status, 400);
}

fn foreign(answer: &Value) -> Result<Heard, Unreached> {
    heard::dcv(answer.to_string().as_bytes(), &attempt(HOST, ChallengeType::DnsPersist01), &issuers(), now())
}

#[test]
fn another_makers_answer_is_held_against_our_own_rules() {
    let seen = |records: Value| {
        json!({
            "check_completed": true, "check_passed": true, "check_type": "dcv", "timestamp_ns": 1, "errors": null,
            "details": {"validation_method": "dns-persistent", "records_seen": records}
        })
    };
    let record = format!("ca.example; accounturi={ACCOUNT}; persistUntil=1795255300");
    let heard = foreign(&seen(json!(["other", record]))).unwrap();
    assert_eq!(heard.result, Ok(Some(Timestamp::from_unix_s(1_795_255_300))));
    assert_eq!(heard.details.unwrap()["records_seen"][0], "other");
    for bad in [
        json!([]),
        json!(["ca.example; accounturi=https://ca.example/account/2"]),
        json!([format!("ca.example; accounturi={ACCOUNT}; persistUntil=1795255200")]),
    ] {
        let failure = foreign(&seen(bad.clone())).unwrap().result.unwrap_err();
        assert_eq!(failure.error, ErrorType::Unauthorized, "{bad}");
    }
    let caa = |query: &CaaQuery, records: Value| {
        let answer = json!({
            "check_completed": true, "check_passed": true, "check_type": "caa",
            "details": {"caa_record_present": true, "found_at": "example.org", "records_seen": records}
        });
        heard::caa(answer.to_string().as_bytes(), query, &issuers()).unwrap().result
    };
    let http = query(HOST, false);
    assert_eq!(caa(&http, json!(["0 issue \"ca.example\""])), Ok(None));
    let restricted = json!(["0 issue \"ca.example; validationmethods=dns-01\""]);
    assert_eq!(caa(&http, restricted).unwrap_err().error, ErrorType::Caa);
    let other = json!(["0 ISSUE \"ca.example; accounturi=https://ca.example/account/2\""]);
    assert!(caa(&http, other).unwrap_err().detail.contains("example.org"));
    assert!(caa(&http, json!(["0 issue \"c\\097.example\""])).is_ok(), "escapes of zone files are read");
    for unreadable in
        ["", "0 issue", "0 issue ca.example", "256 issue \"x\"", "0 issue \"a\"b\"", "0 issue \"\\\""]
    {
        assert!(caa(&http, json!([unreadable])).unwrap_err().detail.contains("can be read"), "{unreadable}");
    }
}

#[test]
fn another_makers_refusal_keeps_its_words() {
    let failed = |completed: bool, errors: Value, details: Value| {
        let answer = json!({
            "check_completed": completed, "check_passed": false, "errors": errors, "details": details
        });
        let attempt = attempt(HOST, ChallengeType::Http01);
        heard::dcv(answer.to_string().as_bytes(), &attempt, &issuers(), now()).unwrap()
    };
    let error = json!([{"error_type": "mpic_error:http", "error_message": "status 404\u{1b}[31m\u{202e}"}]);
    let heard = failed(true, error, json!({"response_status_code": 404}));
    let failure = heard.result.unwrap_err();
    assert_eq!((failure.error, failure.detail.as_str()), (ErrorType::Unauthorized, "status 404?[31m???"));
    let failure = failed(false, Value::Null, json!({"response_status_code": 302})).result.unwrap_err();
    assert_eq!(failure.error, ErrorType::Connection);
    assert_eq!(failure.detail, "it did not find what was asked for, but \"302\"");
    let long = json!([{"error_message": "x".repeat(10_000)}]);
    assert!(failed(true, long, Value::Null).result.unwrap_err().detail.len() < 600);
    let large = json!({"response_page": "x".repeat(20_000)});
    assert_eq!(failed(true, Value::Null, large).details, Some(json!({"left_out_bytes": 20_020})));
}

#[test]
fn what_is_no_answer_is_none() {
    for none in ["", "{", "null", "[]", "{}", "\"yes\"", "{\"check_passed\": \"true\"}", &"[".repeat(200)] {
        let attempt = attempt(HOST, ChallengeType::Http01);
        assert!(heard::dcv(none.as_bytes(), &attempt, &issuers(), now()).is_err(), "{none}");
    }
}

#[test]
fn a_claim_to_be_ours_gains_nothing() {
    let attempt = attempt(HOST, ChallengeType::Http01);
    let answer = |completed: bool, passed: bool, ingam: Value| {
        let answer =
            json!({"check_completed": completed, "check_passed": passed, "details": {}, "ingam": ingam});
        heard::dcv(answer.to_string().as_bytes(), &attempt, &issuers(), now()).unwrap()
    };
    let evidence = |host: &str| json!({"perspective": "a\u{7}b", "name": host, "challenge": "http-01", "started": 1, "finished": 2});
    let good = answer(true, true, json!({"evidence": evidence(HOST)}));
    assert_eq!(good.result, Ok(None));
    assert_eq!(good.evidence.unwrap().perspective, "a?b", "kept as its claim, and printable");
    // About something else; with a failure; incomplete; not passed.
    let other = answer(true, true, json!({"evidence": evidence("other.example.org")}));
    assert_eq!(other.result.unwrap_err().detail, "it answered another question");
    let failure = json!({"failure": {"error": "caa", "detail": "x\ny"}});
    assert_eq!(answer(true, true, failure).result.unwrap_err().detail, "x?y");
    assert!(answer(false, true, json!({"left_out": true})).result.is_err());
    assert!(answer(true, false, json!({"left_out": true})).result.is_err());
    // What cannot be read, says nothing, or is our own question is no evidence: the answer counts as another maker's.
    let question = json!(request::dcv(&attempt, &issuers()).unwrap().ingam);
    for none in [json!({"evidence": 1}), json!({}), json!({"left_out": false}), question] {
        let foreign = answer(true, true, none);
        assert_eq!((foreign.result, foreign.evidence, foreign.details), (Ok(None), None, Some(json!({}))));
    }
}

#[test]
fn whoever_passes_over_our_rules_shows_what_they_have_to_be_held_against() {
    let answer = |details: &Value, ingam: &Value| json!({"check_completed": true, "check_passed": true, "details": details, "ingam": ingam});
    let persist = attempt(HOST, ChallengeType::DnsPersist01);
    let asked = [
        json!(request::dcv(&persist, &issuers()).unwrap().ingam),
        json!(request::caa(&query(HOST, false), &issuers()).ingam),
        json!({}),
        Value::Null,
    ];
    for ingam in &asked {
        for details in [json!({}), json!({"records_seen": null}), json!({"records_seen": "x"})] {
            let failure = foreign(&answer(&details, ingam)).unwrap().result.unwrap_err();
            assert_eq!(failure.error, ErrorType::ServerInternal, "{details} {ingam}");
            assert!(failure.detail.contains("records_seen"), "{failure}");
        }
        let caa = |details: &Value| {
            let answer = answer(details, ingam).to_string();
            heard::caa(answer.as_bytes(), &query(HOST, false), &issuers()).unwrap().result
        };
        for details in [
            json!({}),
            json!({"caa_record_present": true}),
            json!({"caa_record_present": null, "records_seen": null}),
            json!({"caa_record_present": "false"}),
        ] {
            let failure = caa(&details).unwrap_err();
            assert_eq!(failure.error, ErrorType::ServerInternal, "{details} {ingam}");
        }
        assert_eq!(caa(&json!({"caa_record_present": false, "records_seen": null})), Ok(None));
        let other = json!({"caa_record_present": false, "records_seen": ["0 issue \"other.example\""]});
        assert_eq!(caa(&other).unwrap_err().error, ErrorType::Caa, "what it shows counts");
    }
}

/// What a fuzzer works from, and what it found: `ok-` is read, `bad-` is refused, `odd-` does no harm.
#[test]
fn the_corpora_are_read_or_refused_however_they_are_damaged() {
    type Read = fn(&[u8]) -> [bool; 2];
    let corpora: [(&str, Read); 2] = [("mpic-answer", damage::answer), ("mpic-request", damage::request)];
    for (folder, read) in corpora {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/corpus").join(folder);
        let mut count = 0;
        for file in std::fs::read_dir(path).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = std::fs::read(&path).unwrap();
            let good = read(&bytes).contains(&true);
            assert!(name.starts_with("odd-") || good == name.starts_with("ok-"), "{folder}/{name}");
            for index in 0..bytes.len() {
                read(&bytes[..index]);
                for byte in [b'"', b'0', 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[index] = byte;
                    read(&damaged);
                }
            }
            count += 1;
        }
        assert!(count >= 14, "{folder} has {count}");
    }
}
