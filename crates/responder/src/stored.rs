//! Statuses from the CA's own store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingam_protocol::crl;
use ingam_protocol::ocsp::CertStatus;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{Clock, Random};
use ingam_protocol::{Serial, Timestamp};
use ingam_store::{StatusState, StatusStore};
use serde_json::{Value, json};

use crate::statuses::{Signed, SigningEvent, Status, StatusError, Statuses};

/// How long after its certificate's end a revoked one is still listed: longer than any CRL's period, so that it is on
/// one CRL past that end (RFC 5280, section 3.3).
const LISTED_PAST_END: Duration = Duration::from_secs(11 * 24 * 60 * 60);

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

#[async_trait]
impl Statuses for StoredStatuses {
    fn status(&self, issuer: &IssuerName, serial: &Serial) -> Result<Option<Status>, StatusError> {
        let row = self.store.status(issuer, serial);
        let row = row.map_err(|cause| StatusError::new("reading a status", cause))?;
        Ok(row.and_then(|row| {
            let status = match row.state {
                StatusState::Good => CertStatus::Good,
                StatusState::Revoked { at, reason } => CertStatus::Revoked { at, reason },
                // No signature is on record: as far as anybody may know, there is no such certificate.
                StatusState::Reserved | StatusState::Asked => return None,
            };
            Some(Status { status, not_after: row.not_after, generation: row.generation })
        }))
    }

    fn generation(&self) -> u64 {
        self.store.generation()
    }

    fn revoked(
        &self,
        issuer: &IssuerName,
        after: Option<&Serial>,
        limit: usize,
    ) -> Result<Vec<crl::Entry>, StatusError> {
        let ended_before = self.clock.now().minus(LISTED_PAST_END);
        let mut entries = Vec::new();
        let mut after = after.cloned();
        while entries.len() < limit {
            let page = self.store.revoked(issuer, after.as_ref(), ended_before, limit - entries.len());
            let (page, next) = page.map_err(|cause| StatusError::new("reading what is revoked", cause))?;
            entries.extend(page.into_iter().map(|(serial, revoked_at, reason)| crl::Entry {
                serial,
                revoked_at,
                reason,
            }));
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(entries)
    }

    async fn crl_number(&self, issuer: &IssuerName) -> Result<u64, StatusError> {
        let number = self.store.crl_number_next(issuer).await;
        number.map_err(|cause| StatusError::new("taking a CRL's number", cause))
    }

    /// One record for all OCSP answers of an issuer in the batch, one for each CRL.
    async fn record_signed(&self, events: Vec<SigningEvent>) -> Result<(), StatusError> {
        let mut answers: BTreeMap<IssuerName, Vec<Value>> = BTreeMap::new();
        let mut records = Vec::new();
        for SigningEvent { issuer, at, next_update, signed } in events {
            match signed {
                Signed::Ocsp { serial, status } => {
                    answers.entry(issuer).or_default().push(answer(&serial, status, at, next_update));
                }
                Signed::Crl { number, entries } => records.push(self.record(
                    RecordType::CrlSigned,
                    &json!({
                        "issuer": issuer, "number": number, "entries": entries,
                        "this_update": at, "next_update": next_update,
                    }),
                )),
            }
        }
        for (issuer, answers) in answers {
            let payload = json!({ "issuer": issuer, "answers": answers });
            records.push(self.record(RecordType::OcspSigned, &payload));
        }
        let recorded = self.store.records_append(records).await;
        recorded.map_err(|cause| StatusError::new("recording signatures", cause))
    }
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
