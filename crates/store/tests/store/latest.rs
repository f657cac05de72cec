//! Proves that what came last is read newest first, and no more of it than was asked for.

use ingam_protocol::operator::Principal;
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Reason, Serial, Timestamp};
use ingam_store::{Approval, JobState, NewCertificate, RevocationJob, Store};
use serde_json::value::RawValue;

use crate::made::{MINUTE, certificate, claim, insert_account, issuer, on_both, record, start};
use crate::operations::insert_ready_order;

fn minute(number: u32) -> Timestamp {
    start().plus(MINUTE * number)
}

fn raw() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).unwrap()
}

#[test]
fn certificates() {
    on_both(async |store, random| {
        assert_eq!(store.certificates_latest(10).unwrap(), []);
        let account = insert_account(store, random).await;
        let mut signed = Vec::new();
        // Signed in another order than they were ordered in.
        for number in [2, 0, 3, 1] {
            let order = insert_ready_order(store, account.id, random).await;
            let claim = claim(random);
            let about = |kind| record(kind, order.id, random);
            let prepared = about(RecordType::CertificatePrepared);
            store.order_claim(order.id, claim.clone(), start(), prepared, Vec::new()).await.unwrap();
            let asked = store.order_ask(order.id, claim.token, start(), about(RecordType::SignatureAsked));
            asked.await.unwrap().unwrap();
            let certificate = NewCertificate { issued: minute(number), ..certificate() };
            let (issued, late) = (about(RecordType::CertificateIssued), about(RecordType::IssuanceAbandoned));
            let completed = store.order_complete(order.id, claim.token, certificate, issued, late);
            completed.await.unwrap().unwrap();
            signed.push((number, claim.serial));
        }
        signed.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        let newest_first: Vec<(_, Serial)> =
            signed.into_iter().map(|(_, serial)| (issuer(), serial)).collect();
        assert_eq!(store.certificates_latest(10).unwrap(), newest_first);
        assert_eq!(store.certificates_latest(2).unwrap(), newest_first[..2]);
        assert_eq!(store.certificates_latest(0).unwrap(), []);
    });
}

#[test]
fn approvals_and_jobs() {
    on_both(async |store, random| {
        assert_eq!(asked(store, 10), []);
        assert_eq!(begun(store, 10), []);
        let mut ids = Vec::new();
        for number in 0..4 {
            let id = Id::new(minute(number), random);
            ids.insert(0, id);
            let by = Principal::User(1000);
            let approval = Approval {
                id,
                act: "role.grant".to_owned(),
                request: raw(),
                by,
                at: minute(number),
                expires: minute(number + 60),
                reason: "on call".to_owned(),
                decision: None,
            };
            store.approval_insert(approval, Vec::new()).await.unwrap();
            let job = RevocationJob {
                id,
                selection: raw(),
                revocation_reason: Reason::Superseded,
                per_second: 1,
                by,
                at: minute(number),
                reason: "a bug".to_owned(),
                state: JobState::Running,
                total: 1,
                revoked: 0,
                skipped: 0,
                ended: None,
            };
            store.revocation_job_insert(job, Vec::new()).await.unwrap();
        }
        for found in [asked, begun] {
            assert_eq!(found(store, 10), ids);
            assert_eq!(found(store, 3), ids[..3]);
        }
    });
}

fn asked(store: &Store, limit: usize) -> Vec<Id> {
    store.approvals_latest(limit).unwrap().iter().map(|approval| approval.id).collect()
}

fn begun(store: &Store, limit: usize) -> Vec<Id> {
    store.revocation_jobs_latest(limit).unwrap().iter().map(|job| job.id).collect()
}
