//! Proves that one order gives one certificate at most, that every certificate was on record before it was signed, and
//! that a signer which fails leaves no serial number behind that anybody could take for good.

use std::collections::BTreeSet;

use ingam_authority::Error;
use ingam_protocol::Shard;
use ingam_protocol::acme::{ChallengeType, ErrorType, OrderStatus};
use ingam_protocol::crl::ShardCounts;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::record::RecordType;
use ingam_signer::Signer as _;
use ingam_store::StatusState;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::crash::recorded;
use crate::world::{Key, Step, World, caller, csr, issuer, refusal};

#[test]
fn a_certificate_is_what_was_recorded_and_what_was_ordered() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let key = Key::new();
    let (view, der) = process.certificate(&account, &key, "a.example.org");

    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let issuer = process.issuer_certificate();
    let (_, issuer) = X509Certificate::from_der(&issuer).unwrap();
    certificate.verify_signature(Some(issuer.public_key())).unwrap();
    let claim = view.order.claim.as_ref().unwrap();
    assert!(recorded(&process).contains(certificate.tbs_certificate.as_ref()));
    assert!(claim.tbs.is_empty(), "it is in the certificate");
    assert_eq!(process.status(&claim.serial).unwrap().state, StatusState::Good);

    let records = process.records();
    let kinds = [
        RecordType::OrderCreated,
        RecordType::ChallengeAnswered,
        RecordType::ValidationFinished,
        RecordType::CertificatePrepared,
        RecordType::SignatureAsked,
        RecordType::CertificateIssued,
    ];
    let told: Vec<_> = records.iter().map(|record| record.kind).filter(|kind| kinds.contains(kind)).collect();
    assert_eq!(told, kinds, "each once and in this order");
    process.stop();
}

#[test]
fn certificates_are_spread_over_the_crls_of_their_issuer() {
    let mut world = World::new();
    world.policy.crl_shards = ShardCounts { usual: 0, issuers: [(issuer(), 3)].into() };
    let process = world.start();
    let account = process.account();
    let mut seen = BTreeSet::new();
    for number in 0..30 {
        let (view, der) = process.certificate(&account, &Key::new(), &format!("n{number}.example.org"));
        let serial = &view.order.claim.as_ref().unwrap().serial;
        let shard = serial.shard().unwrap();
        seen.insert(shard);
        let url = process.signer.issuers()[0].urls.crl_of(Some(shard));
        assert!(der.windows(url.len()).any(|window| window == url.as_bytes()), "it points to {url}");
        assert_eq!(process.status(serial).unwrap().state, StatusState::Good);
    }
    assert_eq!(seen, BTreeSet::from([0, 1, 2].map(Shard)));
    process.stop();
}

#[test]
fn finalizing_again_changes_nothing() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]);
    let id = order.order.id;
    let first = process.finalize(&account, id, &csr(&Key::new(), &["a.example.org"])).unwrap();
    let records = process.records().len();
    let second = process.finalize(&account, id, &csr(&Key::new(), &["a.example.org"])).unwrap();
    assert_eq!(second.status, OrderStatus::Valid);
    assert_eq!(second.order.certificate, first.order.certificate);
    assert_eq!((process.certificates(), process.signer.signed().len()), (1, 1));
    assert_eq!(process.records().len(), records);
    process.stop();
}

#[test]
fn two_at_once_give_one_certificate() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]);
    let id = order.order.id;
    let requests = [Key::new(), Key::new()].map(|key| csr(&key, &["a.example.org"]));
    let who = caller();
    let outcomes = process.run(async {
        let [first, second] =
            requests.each_ref().map(|request| process.authority.order_finalize(&account, id, request, &who));
        tokio::join!(first, second)
    });
    for outcome in [outcomes.0, outcomes.1] {
        let view = outcome.unwrap().unwrap();
        assert!([OrderStatus::Processing, OrderStatus::Valid].contains(&view.status));
    }
    process.until("the order is valid", || process.order_status(&account, id) == OrderStatus::Valid);
    assert_eq!((process.certificates(), process.signer.signed().len()), (1, 1));
    assert_eq!(process.records_of(RecordType::CertificatePrepared).len(), 1);
    process.stop();
}

#[test]
fn a_signer_that_cannot_prepare_costs_nothing() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]);
    let request = csr(&Key::new(), &["a.example.org"]);
    process.signer.break_at(Step::Prepare);
    match process.finalize(&account, order.order.id, &request) {
        Err(Error::Fault(fault)) => assert!(fault.passing, "{fault:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Ready);
    process.signer.break_at(Step::Never);
    let view = process.finalize(&account, order.order.id, &request).unwrap();
    assert_eq!(view.status, OrderStatus::Valid);
    process.stop();
}

#[test]
fn a_signer_that_fails_after_it_was_asked_ends_the_order_and_its_serial_number() {
    for step in [Step::Issue, Step::Answer] {
        let world = World::new();
        let process = world.start();
        let account = process.account();
        let order = process.ready_order(&account, &["a.example.org"]);
        let id = order.order.id;
        process.signer.break_at(step);
        let request = csr(&Key::new(), &["a.example.org"]);
        assert!(matches!(process.finalize(&account, id, &request), Err(Error::Fault(_))), "{step:?}");

        let view = process.order_view(&account, id);
        assert_eq!(view.status, OrderStatus::Invalid, "{step:?}");
        assert_eq!(view.error.unwrap().error, ErrorType::ServerInternal);
        let serial = view.order.claim.unwrap().serial;
        let state = process.status(&serial).unwrap().state;
        assert!(matches!(state, StatusState::Revoked { .. }), "{step:?}: {state:?}");
        assert_eq!(process.certificates(), 0);
        assert_eq!(process.records_of(RecordType::IssuanceAbandoned).len(), 1);
        assert!(process.store.issuances_open(None, 1).unwrap().is_empty());

        process.signer.break_at(Step::Never);
        let refused = refusal(process.finalize(&account, id, &request));
        assert_eq!(refused.error, ErrorType::OrderNotReady, "a failed order stays failed");
        process.stop();
    }
}

#[test]
fn caa_is_asked_again_at_finalize() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org", "b.example.org"]);
    let id = order.order.id;
    let request = csr(&Key::new(), &["a.example.org", "b.example.org"]);
    world.validation.fail_caa("b.example.org");
    world.validation.script.want_caa_reports(&DnsName::parse("example.org").unwrap());
    let refused = refusal(process.finalize(&account, id, &request));
    assert_eq!(refused.error, ErrorType::Caa);
    assert_eq!(world.validation.script.reported(), ["example.org"], "the owner of the records hears of it");
    let [record] = process.records_of(RecordType::IssuanceRefused).try_into().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&record.parts[0].bytes).unwrap();
    assert_eq!((&told["order"], &told["error"]), (&serde_json::json!(id), &serde_json::json!("caa")));
    let seen: Vec<_> = told["caa"].as_array().unwrap().iter().map(|caa| caa["name"].clone()).collect();
    assert_eq!(seen, ["a.example.org", "b.example.org"], "what was seen of each name");
    assert_eq!(told["authorizations"].as_array().unwrap().len(), 2);
    let named: Vec<_> = refused.subproblems.iter().map(|one| one.identifier.as_str()).collect();
    assert_eq!(named, ["b.example.org"]);
    assert_eq!(process.order_status(&account, id), OrderStatus::Ready, "a refusal costs nothing");
    assert!(process.records_of(RecordType::CertificatePrepared).is_empty());

    world.validation.succeed("b.example.org");
    assert_eq!(process.finalize(&account, id, &request).unwrap().status, OrderStatus::Valid);
    let asked = world.validation.script.queries();
    let own = format!("https://ca.test/account/{}", account.id);
    assert!(asked.iter().all(|query| query.account_uri == own && query.challenge == ChallengeType::Dns01));
    process.stop();
}

#[test]
fn a_request_that_is_not_the_orders_is_refused_and_costs_nothing() {
    let world = World::new();
    let process = world.start();
    let account_key = Key::new();
    let account = process.account_with(&account_key, &[]);
    let order = process.ready_order(&account, &["a.example.org", "b.example.org"]);
    let id = order.order.id;
    let key = Key::new();
    let mut broken = csr(&key, &["a.example.org", "b.example.org"]);
    *broken.last_mut().unwrap() ^= 1;
    let requests = [
        csr(&key, &["a.example.org"]),
        csr(&key, &["a.example.org", "b.example.org", "c.example.org"]),
        csr(&key, &["a.example.org", "*.b.example.org"]),
        csr(&account_key, &["a.example.org", "b.example.org"]),
        broken,
        Vec::new(),
    ];
    for request in &requests {
        assert_eq!(refusal(process.finalize(&account, id, request)).error, ErrorType::BadCsr);
    }
    assert_eq!(process.order_status(&account, id), OrderStatus::Ready);
    assert_eq!(process.certificates(), 0);
    // Order and letter case of names do not matter.
    let view = process.finalize(&account, id, &csr(&key, &["B.example.ORG", "a.example.org"])).unwrap();
    assert_eq!(view.status, OrderStatus::Valid);
    process.stop();
}

#[test]
fn a_pending_order_is_not_finalized() {
    let world = World::new();
    let process = world.start();
    let account = process.account();
    let order = process.order(&account, &["a.example.org"]);
    let request = csr(&Key::new(), &["a.example.org"]);
    let refused = refusal(process.finalize(&account, order.order.id, &request));
    assert_eq!(refused.error, ErrorType::OrderNotReady);
    assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Pending);
    process.stop();
}
