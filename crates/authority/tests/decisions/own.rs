//! Proves that the certificate of the CA's own endpoint is on record like every other one, that its account goes on from one
//! to the next, and that neither a public profile nor a blocked name gives one.

use ingam_authority::{CertificateView, Error, OwnRequest};
use ingam_protocol::acme::ErrorType;
use ingam_protocol::certificate::Names;
use ingam_protocol::identifier::{Domain, Identifier};
use ingam_protocol::record::RecordType;
use ingam_store::StatusState;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::world::{Key, Process, Step, World, csr, issuer, refusal};

const NAMES: [&str; 2] = ["acme.ca.test", "inside.ca.test"];

fn own(
    process: &Process,
    profile: &str,
    previous: Option<&CertificateView>,
) -> Result<CertificateView, Error> {
    let request = OwnRequest {
        profile: profile.to_owned(),
        identifiers: NAMES.iter().map(|name| Identifier::parse_dns(name).unwrap()).collect(),
        csr: csr(&Key::new(), &NAMES),
        account_key: Key::new().public(),
        previous: previous.map(|view| view.der.clone()),
    };
    process.run(process.authority.own_certificate(request))
}

#[test]
fn it_is_on_record_like_every_other_one() {
    let mut world = World::new();
    // Guests get nothing for the CA's names.
    world.policy.restrictions.refused = vec![Domain::parse("ca.test").unwrap()];
    let process = world.start();
    let view = own(&process, "private", None).unwrap();
    let (_, certificate) = X509Certificate::from_der(&view.der).unwrap();
    let issuer_certificate = process.issuer_certificate();
    let (_, by) = X509Certificate::from_der(&issuer_certificate).unwrap();
    certificate.verify_signature(Some(by.public_key())).unwrap();
    let serial = Names::read(&view.der).unwrap().serial;
    assert_eq!(process.status(&serial).unwrap().state, StatusState::Good);
    let told: Vec<RecordType> = process.records().iter().map(|record| record.kind).collect();
    let expected = [
        RecordType::AccountCreated,
        RecordType::OrderCreated,
        RecordType::CertificatePrepared,
        RecordType::SignatureAsked,
        RecordType::CertificateIssued,
    ];
    assert_eq!(told, expected);
    process.stop();
}

#[test]
fn its_account_goes_on_as_long_as_it_may() {
    let world = World::new();
    let process = world.start();
    let account = |view: &CertificateView| {
        let serial = Names::read(&view.der).unwrap().serial;
        process.store.certificate_by_serial(&issuer(), &serial).unwrap().unwrap().account
    };
    let first = own(&process, "private", None).unwrap();
    let second = own(&process, "private", Some(&first)).unwrap();
    assert_eq!(account(&first), account(&second));
    // What is no certificate of this CA has no account here, and leads to a new one.
    let foreign = CertificateView { der: b"another CA's".to_vec(), ..second.clone() };
    let third = own(&process, "private", Some(&foreign)).unwrap();
    assert_ne!(account(&second), account(&third));
    process.stop();
}

#[test]
fn a_public_profile_or_none_gives_no_certificate() {
    let world = World::new();
    let process = world.start();
    for profile in ["classic", "nowhere"] {
        assert_eq!(refusal(own(&process, profile, None)).error, ErrorType::InvalidProfile, "{profile}");
    }
    assert!(process.records().is_empty() && process.certificates() == 0);
    process.stop();
}

#[test]
fn a_signer_that_fails_leaves_no_certificate() {
    let world = World::new();
    let process = world.start();
    process.signer.break_at(Step::Issue);
    assert!(matches!(own(&process, "private", None), Err(Error::Fault(_))));
    assert_eq!(process.certificates(), 0);
    assert_eq!(process.records_of(RecordType::IssuanceAbandoned).len(), 1);
    process.stop();
}
