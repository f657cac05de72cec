//! Proves that a key on a list gets neither account nor certificate, and that an outside linter which finds something or says
//! nothing stops the certificate before anything of it is in the world.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use ingam_authority::linter::{
    LintFailure, LintFinding, Linter, LinterRules, Linters, OnFailure, OutsideLinter, Severity,
};
use ingam_protocol::acme::{ErrorType, OrderStatus};
use ingam_protocol::bytes::hex;
use ingam_protocol::key::weak_list::WeakKeys;
use ingam_protocol::record::RecordType;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::world::{Key, World, csr, refusal};

#[test]
fn a_listed_key_gets_nothing_from_the_next_request_on() {
    let world = World::new();
    let process = world.start();
    let (listed, mine) = (Key::new(), Key::new());
    let account = process.account_with(&mine, &[]);
    let held = process.account_with(&listed, &[]);
    let order = process.ready_order(&account, &["a.example.org"]);
    let request = csr(&listed, &["a.example.org"]);

    let list = hex(&listed.public().spki_hash()).into_bytes();
    let mut policy = (*process.authority.policy()).clone();
    policy.weak_keys = Arc::new(WeakKeys::read([("list", list)]).unwrap());
    process.authority.policy_replace(policy);

    let refused = refusal(process.finalize(&account, order.order.id, &request));
    assert_eq!(refused.error, ErrorType::BadCsr);
    assert!(refused.detail.contains("make a new one"), "{}", refused.detail);
    assert_eq!(process.order_status(&account, order.order.id), OrderStatus::Ready, "a refusal costs nothing");
    assert_eq!(refusal(process.try_account(&listed, &[])).error, ErrorType::BadPublicKey);
    assert!(process.authority.key_is_blocked(&held.key).unwrap(), "what the front end asks at each request");
    let good = csr(&Key::new(), &["a.example.org"]);
    assert_eq!(process.finalize(&account, order.order.id, &good).unwrap().status, OrderStatus::Valid);
    process.stop();
}

/// Says what it is told to say, and keeps what it was shown.
#[derive(Debug, Default)]
struct TestLinter {
    says: Mutex<Vec<LintFinding>>,
    fails: Mutex<bool>,
    shown: Mutex<Vec<Vec<u8>>>,
}

#[async_trait]
impl Linter for TestLinter {
    async fn lint(&self, certificate: &[u8]) -> Result<Vec<LintFinding>, LintFailure> {
        self.shown.lock().unwrap().push(certificate.to_vec());
        match *self.fails.lock().unwrap() {
            true => Err(LintFailure::new("it is not there")),
            false => Ok(self.says.lock().unwrap().clone()),
        }
    }
}

fn set_up(world: &mut World, linter: &Arc<TestLinter>) {
    let rules = LinterRules {
        name: "test".to_owned(),
        severity_min: Severity::Warning,
        time: Duration::from_secs(60),
        on_failure: OnFailure::Refuse,
    };
    let profile = world.policy.catalog.default_profile().name.clone();
    let outside = Arc::new(OutsideLinter::new(linter.clone(), rules));
    world.policy.linters = Linters::new(BTreeMap::from([(profile, vec![outside])]));
}

#[test]
fn what_a_linter_dislikes_is_not_issued_and_is_on_record() {
    let mut world = World::new();
    let linter = Arc::new(TestLinter::default());
    set_up(&mut world, &linter);
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]).order.id;
    let request = csr(&Key::new(), &["a.example.org"]);

    let finding = LintFinding {
        severity: Severity::Error,
        code: "test.secret_rule".to_owned(),
        place: Some("certificate".to_owned()),
        message: None,
    };
    linter.says.lock().unwrap().push(finding);
    let refused = refusal(process.finalize(&account, order, &request));
    assert_eq!(refused.error, ErrorType::ServerInternal);
    let [record] = process.records_of(RecordType::IssuanceRefused).try_into().unwrap();
    assert!(refused.detail.contains(&record.id.to_string()), "{}", refused.detail);
    assert!(!refused.detail.contains("secret_rule"), "the client is told the id alone: {}", refused.detail);
    assert_eq!(record.subject, Some(account.id));
    let told: serde_json::Value = serde_json::from_slice(&record.parts[0].bytes).unwrap();
    assert_eq!(told["verdicts"][0]["outcome"], "found");
    assert_eq!(told["verdicts"][0]["findings"][0]["code"], "test.secret_rule");
    assert_eq!(process.order_status(&account, order), OrderStatus::Ready);
    assert!(process.records_of(RecordType::CertificatePrepared).is_empty());
    assert!(process.signer.signed().is_empty());

    // What it was shown is a certificate whose signature says nothing.
    let shown = linter.shown.lock().unwrap()[0].clone();
    let (_, specimen) = X509Certificate::from_der(&shown).unwrap();
    let issuer = process.issuer_certificate();
    let (_, issuer) = X509Certificate::from_der(&issuer).unwrap();
    assert_eq!(specimen.issuer(), issuer.subject());
    assert!(specimen.verify_signature(Some(issuer.public_key())).is_err());

    linter.says.lock().unwrap().clear();
    assert_eq!(process.finalize(&account, order, &request).unwrap().status, OrderStatus::Valid);
    process.stop();
}

#[test]
fn a_linter_that_is_down_stops_what_it_should_see_and_nothing_else() {
    let mut world = World::new();
    let linter = Arc::new(TestLinter::default());
    set_up(&mut world, &linter);
    *linter.fails.lock().unwrap() = true;
    let process = world.start();
    let account = process.account();
    let order = process.ready_order(&account, &["a.example.org"]).order.id;
    let request = csr(&Key::new(), &["a.example.org"]);
    let refused = refusal(process.finalize(&account, order, &request));
    assert_eq!(refused.error, ErrorType::ServerInternal);
    assert!(refused.retry_after.is_some());
    assert_eq!(process.records_of(RecordType::IssuanceRefused).len(), 1);

    let other = process.order_of_profile(&account, &["b.example.org"], Some("short"));
    let other = process.make_ready(&account, &other).order.id;
    let view = process.finalize(&account, other, &csr(&Key::new(), &["b.example.org"])).unwrap();
    assert_eq!(view.status, OrderStatus::Valid, "its profile has no linter");

    *linter.fails.lock().unwrap() = false;
    assert_eq!(process.finalize(&account, order, &request).unwrap().status, OrderStatus::Valid);
    process.stop();
}
