//! Statuses from the CA's own store.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use ingam_protocol::crl::{self, Scope};
use ingam_protocol::ocsp::CertStatus;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{Clock, Random};
use ingam_protocol::{Serial, Shard, Timestamp};
use ingam_store::{StatusRow, StatusState, StatusStore};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::statuses::{
    IssuedPage, ShardsInUse, Signed, SigningEvent, Status, StatusChange, StatusError, Statuses,
};

/// [`Statuses`] over the handle that the store gives the responder.
pub struct StoredStatuses {
    store: StatusStore,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl StoredStatuses {
    /// Over this handle; records of signing get their time and ids from `clock` and `random`.
    pub fn new(store: StatusStore, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { store, clock, random }
    }

    fn record(&self, kind: RecordType, payload: &Value) -> Record {
        Record::new(kind, self.clock.now(), payload.to_string().into_bytes(), self.random.as_ref())
    }
}

/// What signatures are called on record: one entry for all OCSP answers of an issuer, one for each CRL.
pub(crate) fn payloads(events: Vec<SigningEvent>) -> Vec<(RecordType, Value)> {
    let mut answers: BTreeMap<IssuerName, Vec<Value>> = BTreeMap::new();
    let mut all = Vec::new();
    for SigningEvent { issuer, at, next_update, signed } in events {
        match signed {
            Signed::Ocsp { serial, status } => {
                answers.entry(issuer).or_default().push(answer(&serial, status, at, next_update));
            }
            Signed::Crl { shard, number, entries } => {
                let mut payload = json!({
                    "issuer": issuer, "number": number, "entries": entries,
                    "this_update": at, "next_update": next_update,
                });
                if let (Some(shard), Some(members)) = (shard, payload.as_object_mut()) {
                    members.insert("shard".to_owned(), json!(shard));
                }
                all.push((RecordType::CrlSigned, payload));
            }
        }
    }
    for (issuer, answers) in answers {
        all.push((RecordType::OcspSigned, json!({ "issuer": issuer, "answers": answers })));
    }
    all
}

#[async_trait]
impl Statuses for StoredStatuses {
    fn status(&self, issuer: &IssuerName, serial: &Serial) -> Result<Option<Status>, StatusError> {
        let row = self.store.status(issuer, serial);
        let row = row.map_err(|cause| StatusError::new("reading a status", cause))?;
        Ok(row.and_then(told))
    }

    fn changes(&self) -> broadcast::Receiver<StatusChange> {
        self.store.changes()
    }

    fn issued(
        &self,
        issuer: &IssuerName,
        after: Option<&Serial>,
        limit: usize,
    ) -> Result<IssuedPage, StatusError> {
        let page = self.store.page(issuer, after, limit);
        let page = page.map_err(|cause| StatusError::new("reading what was issued", cause))?;
        let next = page.last().filter(|_| page.len() >= limit).map(|(serial, _)| serial.clone());
        let certificates = page.into_iter().filter_map(|(serial, row)| Some((serial, told(row)?)));
        Ok(IssuedPage { certificates: certificates.collect(), next })
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    fn shards(&self, issuer: &IssuerName) -> Result<ShardsInUse, StatusError> {
        self.store.shards(issuer).map_err(|cause| StatusError::new("reading which shards are in use", cause))
    }

    fn revoked_generation(&self, issuer: &IssuerName, shard: Option<Shard>) -> Result<u64, StatusError> {
        let last = self.store.revoked_generation(issuer, shard);
        last.map_err(|cause| StatusError::new("reading when something was last revoked", cause))
    }

    fn revoked(
        &self,
        issuer: &IssuerName,
        scope: Scope,
        after: Option<&Serial>,
        ended_before: Timestamp,
        limit: usize,
    ) -> Result<Vec<crl::Entry>, StatusError> {
        let mut entries = Vec::new();
        let mut after = after.cloned();
        while entries.len() < limit {
            let room = limit - entries.len();
            let page = self.store.revoked(issuer, scope, after.as_ref(), ended_before, room);
            let (page, next) = page.map_err(|cause| StatusError::new("reading what is revoked", cause))?;
            entries.extend(page);
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(entries)
    }

    async fn crl_number(
        &self,
        issuer: &IssuerName,
        shard: Option<Shard>,
        above: u64,
    ) -> Result<u64, StatusError> {
        let number = self.store.crl_number_next(issuer, shard, above).await;
        number.map_err(|cause| StatusError::new("taking a CRL's number", cause))
    }

    async fn record_signed(&self, events: Vec<SigningEvent>) -> Result<(), StatusError> {
        let records = payloads(events).iter().map(|(kind, payload)| self.record(*kind, payload)).collect();
        let recorded = self.store.records_append(records).await;
        recorded.map_err(|cause| StatusError::new("recording signatures", cause))
    }
}

/// What may be told of a serial number's row.
fn told(row: StatusRow) -> Option<Status> {
    let status = match row.state {
        StatusState::Good => CertStatus::Good,
        StatusState::Revoked { at, reason } => CertStatus::Revoked { at, reason },
        // No signature is on record: as far as anybody may know, there is no such certificate.
        StatusState::Reserved | StatusState::Asked => return None,
    };
    Some(Status { status, not_after: row.not_after, generation: row.generation })
}

fn answer(serial: &Serial, status: CertStatus, at: Timestamp, next_update: Timestamp) -> Value {
    let mut answer =
        json!({ "serial": serial, "produced_at": at, "next_update": next_update, "status": "good" });
    if let (CertStatus::Revoked { at, reason }, Some(members)) = (status, answer.as_object_mut()) {
        members.insert("status".to_owned(), "revoked".into());
        members.insert("revoked_at".to_owned(), json!(at));
        members.insert("reason".to_owned(), json!(reason));
    }
    answer
}
