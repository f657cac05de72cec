//! What a certificate rests on, as people read it.

use serde_json::{Value, json};

use super::ca::{Asked, Ca, Reply};
use super::command;

const AT: &str = "2026-11-21T10:00:00Z";

fn look(perspective: &str, lookups: &Value, hops: &Value) -> Value {
    json!({
        "perspective": perspective, "name": "www.example.org", "challenge": "http-01", "started": 1_795_255_200_000_u64, "finished": 1_795_255_200_000_u64,
        "lookups": lookups, "hops": hops,
    })
}

fn evidence() -> Value {
    let hops = json!([{
        "url": "http://www.example.org/.well-known/acme-challenge/x", "hostname": "www.example.org", "port": 80,
        "addresses_resolved": ["192.0.2.1", "2001:db8::1"], "addresses_tried": ["2001:db8::1"],
        "address_used": "192.0.2.1", "status": 200, "body_start": "x.y\u{1b}[2J",
    }]);
    let caa = json!([{
        "name": "www.example.org", "record_type": "CAA", "response": "NOERROR", "values": ["0 issue \"ca.example\""],
        "proof": "secure", "aliases": ["web.example.net"], "extended_errors": [{ "code": 6, "text": "expired" }],
    }]);
    let answers = json!([
        { "perspective": "seoul", "registry": "APNIC", "asked": AT, "answered": AT,
          "evidence": look("seoul", &json!([]), &hops) },
        { "perspective": "oslo", "asked": AT, "answered": AT,
          "failure": { "error": "connection", "detail": "no answer" } },
    ]);
    let corroboration = json!({ "quorum": { "remotes": 2, "agreed": 1, "registries": 1 }, "line": "1/2", "answers": answers });
    let validation = json!({
        "id": "r1", "time": AT, "class": "issuance", "type": "validation_finished", "sealed_parts": 0,
        "payload": {
            "key_authorization": "token.thumbprint", "seen": look("primary", &json!([]), &hops),
            "corroboration": corroboration, "caa": look("primary", &caa, &json!([])),
        },
    });
    let prepared = json!({
        "id": "r2", "time": AT, "class": "issuance", "type": "certificate_prepared", "sealed_parts": 0,
        "payload": { "caa": [look("primary", &caa, &json!([]))] },
    });
    json!({
        "certificate": {
            "serial": "4f0a", "issuer": "ecdsa", "status": "good", "names": ["www.example.org"], "issued": AT,
            "not_before": AT, "not_after": AT, "account": "AZqk", "order": "AZql", "key_thumbprint": "kkk",
        },
        "profile": "classic",
        "identifiers": [{
            "identifier": "www.example.org", "authorization": "AZqm", "authorization_domain": "example.org",
            "challenge": "http-01", "section": "3.2.2.4.19", "answered": AT, "finished": AT, "quorum": "1/2",
            "validation": "r1",
        }],
        "prepared": "r2",
        "records": [validation, prepared],
        "missing": ["one thing is not there"],
    })
}

fn answer(_: &Asked) -> Reply {
    evidence().into()
}

const TOLD: &str = "\
serial      4f0a
status      good
names       www.example.org
issuer      ecdsa
profile     classic
issued      2026-11-21T10:00:00Z
not before  2026-11-21T10:00:00Z
not after   2026-11-21T10:00:00Z
account     AZqk
order       AZql
prepared    r2 2026-11-21T10:00:00Z issuance/certificate_prepared
missing     one thing is not there

www.example.org
  authorization         AZqm
  authorization domain  example.org
  method                http-01 (BR 3.2.2.4.19)
  answered              2026-11-21T10:00:00Z
  shown                 2026-11-21T10:00:00Z
  quorum                1/2
  key authorization     token.thumbprint
  record                r1 2026-11-21T10:00:00Z issuance/validation_finished
  control
    primary, from 2026-11-21T10:00:00Z to 2026-11-21T10:00:00Z
      http://www.example.org/.well-known/acme-challenge/x
        resolved 192.0.2.1, 2001:db8::1; tried 2001:db8::1; used 192.0.2.1, port 80; status 200
        body x.y\u{fffd}[2J
    seoul (APNIC) agrees; asked 2026-11-21T10:00:00Z, answered 2026-11-21T10:00:00Z
      saw as seoul, from 2026-11-21T10:00:00Z to 2026-11-21T10:00:00Z
        http://www.example.org/.well-known/acme-challenge/x
          resolved 192.0.2.1, 2001:db8::1; tried 2001:db8::1; used 192.0.2.1, port 80; status 200
          body x.y\u{fffd}[2J
    oslo does not agree: connection: no answer; asked 2026-11-21T10:00:00Z, answered 2026-11-21T10:00:00Z
    quorum 1/2: 1 of 2 remote perspectives agree, in 1 registries' regions
  CAA
    primary, from 2026-11-21T10:00:00Z to 2026-11-21T10:00:00Z
      CAA www.example.org: NOERROR, DNSSEC secure
        alias of web.example.net
        0 issue \"ca.example\"
        extended error 6 expired
    quorum: none, a single perspective looked

CAA before the signature
  www.example.org
    primary, from 2026-11-21T10:00:00Z to 2026-11-21T10:00:00Z
      CAA www.example.org: NOERROR, DNSSEC secure
        alias of web.example.net
        0 issue \"ca.example\"
        extended error 6 expired
    quorum: none, a single perspective looked
";

#[tokio::test]
async fn everything_is_told_and_nothing_steers_the_terminal() {
    let ca = Ca::new(answer);
    assert_eq!(command("evidence 4f0a --reason audit").run(&ca).await.done(), TOLD);
    assert_eq!(ca.lines(), ["GET /v1/certificates/4f0a/evidence?reason=audit"]);
    let printed = command("--json evidence 4f0a --reason audit").run(&ca).await.done();
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), evidence());
}

#[tokio::test]
async fn reading_it_needs_no_reason() {
    let ca = Ca::new(answer);
    assert_eq!(command("evidence 4f0a").run(&ca).await.done(), TOLD);
    assert_eq!(ca.lines(), ["GET /v1/certificates/4f0a/evidence"]);
}

#[tokio::test]
async fn what_an_answer_lacks_is_told_in_words_and_a_wildcard_is_told_from_its_name() {
    let ca = Ca::new(|_| {
        let answer = |name: &str, details: Value| json!({ "perspective": name, "asked": AT, "answered": AT, "details": details });
        let mut evidence = evidence();
        let payload = &mut evidence["records"][0]["payload"];
        payload["corroboration"]["answers"] = json!([
            answer("seoul", json!({ "unreached": "connection\u{1b}[2J refused" })),
            answer("oslo", json!({ "left_out": true })),
            answer("lima", json!({ "left_out_bytes": 70_000 })),
            answer("cairo", json!({ "records_seen": ["x"] })),
        ]);
        payload["caa"]["wildcard"] = json!(true);
        evidence.into()
    });
    let told = command("evidence 4f0a").run(&ca).await.done();
    for line in [
        "      why: connection\u{fffd}[2J refused\n",
        "      its evidence was too large to be sent\n",
        "      what it saw was too large to be kept: 70000 bytes\n",
        "      details {\"records_seen\":[\"x\"]}\n",
        "    primary, about *.www.example.org, from 2026-11-21T10:00:00Z to",
    ] {
        assert_eq!(told.matches(line).count(), 1, "{line}: {told}");
    }
}
