//! Proves what has to be true when the power goes at any operation of any disk, and before and after each signature: there is
//! no signature without a record of its exact bytes, never two certificates for one order, and a serial number that may be on
//! a signature is known to OCSP and CRLs.
//!
//! Not a failure: an order that has to be made again.

use std::collections::BTreeSet;

use ingam_protocol::acme::{Account, OrderStatus};
use ingam_protocol::bytes::from_base64url;
use ingam_protocol::profile::Transparency;
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, transparency};
use ingam_store::StatusState;
use serde_json::Value;

use crate::world::{Key, Process, Signed, Step, World, csr};

const NAME: &str = "a.example.org";

fn world(transparency: Transparency) -> World {
    World::of_profile(|profile| profile.transparency = transparency)
}

/// An order that can be finalized, in a process of its own, with everything before it on the disks.
fn ready(world: &World) -> (Process, Account, Id) {
    let process = world.start();
    let account = process.account();
    let id = process.ready_order(&account, &[NAME]).order.id;
    (process, account, id)
}

/// The exact bytes that are on record as about to be signed.
pub(crate) fn recorded(process: &Process) -> BTreeSet<Vec<u8>> {
    let bytes = |record: &ingam_protocol::record::Record| -> Option<Vec<u8>> {
        let told: Value = serde_json::from_slice(&record.parts.first()?.bytes).ok()?;
        let text = match record.kind {
            RecordType::CertificatePrepared => told["claim"]["tbs"].as_str()?,
            RecordType::CertificateAsked => told["tbs"].as_str()?,
            _ => return None,
        };
        from_base64url(text)
    };
    process.records().iter().filter_map(bytes).collect()
}

/// A new process takes up what was left, and the whole world is looked at.
fn judge(world: &World, mut signed: Vec<Signed>, account: &Account, id: Id, when: &str) -> OrderStatus {
    let process = world.start();
    process.resume_at_start();
    let mut status = process.order_status(account, id);
    assert_ne!(status, OrderStatus::Processing, "{when}: it is taken up or given up");
    if status == OrderStatus::Ready {
        assert!(signed.is_empty(), "{when}: something was signed for an order that nobody has claimed");
        process.finalize(account, id, &csr(&Key::new(), &[NAME])).unwrap();
        status = process.order_status(account, id);
        assert_eq!(status, OrderStatus::Valid, "{when}");
    }
    signed.extend(process.signer.signed().iter().cloned());
    let recorded = recorded(&process);
    let is_precertificate = |one: &&Signed| transparency::is_precertificate(&one.tbs).unwrap();
    for one in &signed {
        assert!(recorded.contains(&one.tbs), "{when}: a signature without a record of its bytes");
    }
    let precertificates = signed.iter().filter(is_precertificate).count();
    assert!(precertificates <= 1, "{when}: {precertificates} precertificates");
    let certificates = signed.len() - precertificates;
    assert!(certificates <= 1, "{when}: {certificates} certificates for one order");
    match status {
        OrderStatus::Valid => assert_eq!((certificates, process.certificates()), (1, 1), "{when}"),
        OrderStatus::Invalid => {
            assert_eq!(process.certificates(), 0, "{when}");
            for one in &signed {
                let state = process.status(&one.serial).unwrap().state;
                assert!(matches!(state, StatusState::Revoked { .. }), "{when}: {state:?} after a signature");
            }
        }
        other => panic!("{when}: {other:?}"),
    }
    assert!(process.store.issuances_open(None, 1).unwrap().is_empty(), "{when}");
    process.stop();
    status
}

/// How many operations a finalize asks of a disk.
fn operations(transparency: Transparency, disk: usize) -> u64 {
    let world = world(transparency);
    let (process, account, id) = ready(&world);
    let before = world.disks()[disk].1.operations();
    process.finalize(&account, id, &csr(&Key::new(), &[NAME])).unwrap();
    process.stop();
    world.disks()[disk].1.operations() - before
}

#[test]
fn at_every_operation_of_every_disk() {
    for transparency in [Transparency::None, Transparency::Required] {
        let mut ends = BTreeSet::new();
        for disk in 0..4 {
            for count in 0..operations(transparency, disk) {
                let world = world(transparency);
                let name = world.disks()[disk].0;
                let when = format!("{transparency:?}, {name} stops after {count} operations");
                let (process, account, id) = ready(&world);
                world.disks()[disk].1.stop_after(count);
                // Whatever it comes to, the power goes afterwards.
                let _ = process.finalize(&account, id, &csr(&Key::new(), &[NAME]));
                let signed = process.signer.signed().clone();
                world.crash(process);
                ends.insert(format!("{:?}", judge(&world, signed, &account, id, &when)));
            }
        }
        assert_eq!(ends.len(), 2, "some go on and some are given up: {ends:?}");
    }
}

#[test]
fn before_and_after_each_signature() {
    let cases = [
        (Transparency::None, Step::SilentBefore(0), 0),
        (Transparency::None, Step::SilentAfter(0), 1),
        (Transparency::Required, Step::SilentBefore(0), 0),
        (Transparency::Required, Step::SilentAfter(0), 1),
        (Transparency::Required, Step::SilentBefore(1), 1),
        (Transparency::Required, Step::SilentAfter(1), 2),
    ];
    for (transparency, step, made) in cases {
        let world = world(transparency);
        let (process, account, id) = ready(&world);
        process.signer.break_at(step);
        process.begin_finalize(&account, id, csr(&Key::new(), &[NAME]));
        process.until("the signer has fallen silent", || process.signer.is_silent());
        let signed = process.signer.signed().clone();
        assert_eq!(signed.len(), made);
        world.crash(process);
        // It was asked, and nobody knows what came of it: never the same bytes again.
        assert_eq!(judge(&world, signed, &account, id, &format!("{step:?}")), OrderStatus::Invalid);
    }
}

#[test]
fn between_the_claim_and_the_first_signature() {
    for transparency in [Transparency::None, Transparency::Required] {
        let world = world(transparency);
        let (process, account, id) = ready(&world);
        process.claim_and_stop(&account, id, &csr(&Key::new(), &[NAME]));
        world.crash(process);
        assert_eq!(judge(&world, Vec::new(), &account, id, "claimed"), OrderStatus::Valid);
    }
}
