//! Proves that everything that a certificate rests on is found again, whether a row names its record or an earlier version
//! wrote none down, and that what is not there is said.

use ingam_authority::operator::CertificateEvidence;
use ingam_protocol::acme::{ChallengeType, Claim, Finished, Verdict};
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::Clock as _;
use ingam_protocol::{Id, Serial};
use ingam_store::{NewCertificate, OpenChallenge};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::world::operator::{act, failed};
use crate::world::{DAY, HOUR, Key, Process, World, csr, issuer};

fn evidence(process: &Process, serial: &Serial) -> CertificateEvidence {
    process.run(process.authority.certificate_evidence(&act("cert.evidence"), serial)).unwrap()
}

fn payload(evidence: &CertificateEvidence, id: Option<Id>) -> Value {
    serde_json::from_slice(&evidence.records[&id.unwrap()].parts[0].bytes).unwrap()
}

#[test]
fn a_certificate_leads_to_all_that_was_seen() {
    let world = World::new();
    let process = world.start();
    let (account, key) = (process.account(), Key::new());
    let names = ["*.example.org", "www.example.net"];
    let order = process.ready_order(&account, &names);
    let view = process.finalize(&account, order.order.id, &csr(&key, &names)).unwrap();
    let serial = view.order.certificate.unwrap();
    let found = evidence(&process, &serial);
    assert_eq!(found.missing, Vec::<String>::new());
    assert_eq!(found.records.len(), 3);
    assert_eq!(payload(&found, found.prepared)["order"], order.order.id.to_string());
    for one in &found.identifiers {
        let payload = payload(&found, one.validation);
        assert_eq!(payload["identifier"], one.identifier.to_string());
        assert!(payload["key_authorization"].is_string() && payload["seen"].is_object());
    }
    let domains: Vec<_> = found.identifiers.iter().map(|one| one.authorization_domain()).collect();
    assert_eq!(domains, [Some("example.org".to_owned()), None]);
    // It was read on record, as about the account.
    let told = process.told();
    let read = told.iter().find(|told| told.kind == RecordType::PersonalDataRead).unwrap();
    assert_eq!((read.record.subject, &read.payload["act"]), (Some(account.id), &json!("cert.evidence")));

    let unknown = Serial::new(world.random.as_ref());
    let reading = act("cert.evidence");
    let asked = process.authority.certificate_evidence(&reading, &unknown);
    assert_eq!(failed(process.run(asked)), "not found");
}

#[test]
fn control_that_was_used_again_shows_what_was_seen_then() {
    let world = World::of_profile(|profile| profile.reuse_authorizations = true);
    let process = world.start();
    let (account, key) = (process.account(), Key::new());
    let (first, _) = process.certificate(&account, &key, "a.example.org");
    world.clock.advance(10 * DAY);
    let second = process.order(&account, &["a.example.org"]);
    let view = process.finalize(&account, second.order.id, &csr(&key, &["a.example.org"])).unwrap();
    let (old, new) = (
        evidence(&process, &first.order.certificate.unwrap()),
        evidence(&process, &view.order.certificate.unwrap()),
    );
    assert!(new.identifiers[0].validation.is_some());
    assert_eq!(old.identifiers[0].validation, new.identifiers[0].validation);
    assert_ne!(old.prepared, new.prepared);
    assert_eq!(new.missing, Vec::<String>::new());
}

fn record(world: &World, kind: RecordType, payload: &Value) -> Record {
    Record::new(kind, world.clock.now(), payload.to_string().into_bytes(), world.random.as_ref())
}

/// A certificate as an earlier version left it: no row names a record. `names` says what is written down all the same.
fn earlier(world: &World, process: &Process, named: Option<Id>) -> (Serial, Id, Id) {
    let account = process.account();
    let order = process.order(&account, &["a.example.org"]).order;
    let id = order.authorizations[0];
    let store = &process.store;
    world.validation.hold(ChallengeType::Dns01);
    process.answer(&account, id, ChallengeType::Dns01);
    let checked = record(
        world,
        RecordType::ValidationFinished,
        &json!({ "authorization": id, "challenge": "dns-01", "key_authorization": "token.thumbprint" }),
    );
    let open = OpenChallenge { authorization: id, challenge: ChallengeType::Dns01 };
    let finished = Finished {
        at: world.clock.now(),
        verdict: Verdict::Valid,
        validation_record: RawValue::from_string("[]".to_owned()).unwrap(),
        until: None,
        quorum: None,
        record: named,
    };
    let validation = checked.id;
    process.run(store.challenge_finish(open, finished, checked, None)).unwrap();
    world.clock.advance(HOUR);
    let claim = Claim {
        token: Id::new(world.clock.now(), world.random.as_ref()),
        lease_until: world.clock.now().plus(HOUR),
        serial: Serial::new(world.random.as_ref()),
        issuer: issuer(),
        not_after: world.clock.now().plus(90 * DAY),
        key_thumbprint: vec![7; 32].into(),
        key_spki_hash: None,
        tbs: vec![0x30; 300].into(),
        looked_at: None,
        quorum: None,
        record: named,
    };
    let prepared = record(world, RecordType::CertificatePrepared, &json!({ "order": order.id, "caa": [] }));
    let (preparation, now, nothing) = (prepared.id, world.clock.now(), json!({}));
    let claimed = store.order_claim(order.id, claim.clone(), now, prepared, Vec::new());
    process.run(claimed).unwrap();
    let asked = record(world, RecordType::SignatureAsked, &nothing);
    process.run(store.order_ask(order.id, claim.token, now, asked)).unwrap().unwrap();
    let certificate = NewCertificate { der: vec![0x30; 400].into(), not_before: now, issued: now };
    let (issued, late) = (
        record(world, RecordType::CertificateIssued, &nothing),
        record(world, RecordType::IssuanceAbandoned, &nothing),
    );
    let completed = store.order_complete(order.id, claim.token, certificate, issued, late);
    process.run(completed).unwrap().unwrap();
    (claim.serial, validation, preparation)
}

#[test]
fn what_no_row_names_is_found_by_its_time() {
    let world = World::new();
    let process = world.start();
    let (serial, validation, preparation) = earlier(&world, &process, None);
    let found = evidence(&process, &serial);
    assert_eq!(found.missing, Vec::<String>::new());
    assert_eq!(found.identifiers[0].validation, Some(validation));
    assert_eq!(found.prepared, Some(preparation));
    assert_eq!(found.records.keys().copied().collect::<Vec<_>>(), [validation, preparation]);
}

#[test]
fn what_is_not_there_is_said() {
    let world = World::new();
    let process = world.start();
    let gone = Id::new(world.clock.now(), world.random.as_ref());
    let (serial, ..) = earlier(&world, &process, Some(gone));
    let found = evidence(&process, &serial);
    assert_eq!(
        found.missing,
        [
            format!("a.example.org: the record {gone} of its validation is not there"),
            format!("the record {gone} of what was looked at last is not there"),
        ]
    );
}
