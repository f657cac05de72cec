//! What a certificate rests on, read back: who showed control of what, how, when, and what every perspective saw.
//!
//! A certificate names its order, the order its authorizations, and each of them the record of the check that succeeded;
//! the order's claim names the record of what was looked at before it. What earlier versions did not name is searched for
//! around the time when it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ingam_protocol::acme::{Authorization, Challenge, Order};
use ingam_protocol::identifier::Identifier;
use ingam_protocol::record::{Class, Record, RecordType, Seal};
use ingam_protocol::{Id, Serial, Timestamp};
use ingam_store::{RecordQuery, Store};
use serde_json::Value;

use super::find::CertificateSummary;
use super::log::read_files;
use super::{Act, ActError};
use crate::Authority;

/// The end of a check was written at most this long after its record was made.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);

/// At most this many records are looked at for one that nothing names.
const SEARCHED_MAX: usize = 64;

/// What a certificate rests on.
#[derive(Clone, Debug)]
pub struct CertificateEvidence {
    /// The certificate.
    pub certificate: CertificateSummary,
    /// What it was ordered by.
    pub order: Option<Order>,
    /// By what each of its identifiers came into it.
    pub identifiers: Vec<IdentifierEvidence>,
    /// The record of what was looked at before its signature, CAA above all.
    pub prepared: Option<Id>,
    /// The records that are named here, each once.
    pub records: BTreeMap<Id, Record>,
    /// What should be there, and is not: a sentence for each.
    pub missing: Vec<String>,
}

/// By what an identifier came into a certificate.
#[derive(Clone, Debug)]
pub struct IdentifierEvidence {
    /// What it is.
    pub identifier: Identifier,
    /// The right to it.
    pub authorization: Authorization,
    /// The record of the check that succeeded.
    pub validation: Option<Id>,
}

impl IdentifierEvidence {
    /// The domain name by which control was shown, if it is not the identifier itself.
    pub fn authorization_domain(&self) -> Option<String> {
        crate::evidence::authorization_domain(&self.identifier, &self.authorization.host)
    }

    /// The challenge that succeeded.
    pub fn shown(&self) -> Option<&Challenge> {
        self.authorization.valid_challenge()
    }
}

impl Authority {
    /// What the certificate of this serial number rests on; on record before it is given out, as records hold addresses.
    ///
    /// # Errors
    /// [`ActError::NotFound`] if there is no such certificate; [`ActError::Fault`] if journal or store fail.
    pub async fn certificate_evidence(
        &self,
        act: &Act,
        serial: &Serial,
    ) -> Result<CertificateEvidence, ActError> {
        let certificate = self.certificate_of_serial(serial)?;
        let account = certificate.row.account;
        let store = self.store.clone();
        let evidence = read_files(move || gather(&store, certificate)).await?;
        self.personal_data_read(act, Some(account)).await?;
        Ok(evidence)
    }
}

fn gather(store: &Store, certificate: CertificateSummary) -> Result<CertificateEvidence, ingam_store::Error> {
    let order = store.order_by_id(certificate.row.order)?;
    let mut evidence = CertificateEvidence {
        certificate,
        order,
        identifiers: Vec::new(),
        prepared: None,
        records: BTreeMap::new(),
        missing: Vec::new(),
    };
    let Some(order) = evidence.order.clone() else {
        evidence.missing.push(format!("there is no order {}", evidence.certificate.row.order));
        return Ok(evidence);
    };
    if order.authorizations.is_empty() {
        evidence.missing.push("the CA ordered it for itself: there was nothing to show".to_owned());
    }
    for (identifier, id) in order.identifiers.iter().zip(&order.authorizations) {
        match store.authorization_by_id(*id)? {
            Some(authorization) => {
                let validation = validation_id(&authorization);
                let identifier = identifier.clone();
                evidence.identifiers.push(IdentifierEvidence { identifier, authorization, validation });
            }
            None => evidence.missing.push(format!("{identifier}: there is no authorization {id}")),
        }
    }
    evidence.prepared = order.claim.as_ref().and_then(|claim| claim.record);
    let shown = evidence.identifiers.iter().filter_map(|one| one.validation);
    let named: BTreeSet<Id> = shown.chain(evidence.prepared).collect();
    evidence.records = store.records_by_id(Class::Issuance, &named)?;
    evidence.search_validations(store)?;
    evidence.search_prepared(store, &order)?;
    Ok(evidence)
}

fn validation_id(authorization: &Authorization) -> Option<Id> {
    authorization.valid_challenge()?.finished.as_ref()?.record
}

impl CertificateEvidence {
    /// Looks for the records of checks that nothing names.
    fn search_validations(&mut self, store: &Store) -> Result<(), ingam_store::Error> {
        let mut found: BTreeMap<Id, Option<Id>> = BTreeMap::new();
        for one in &mut self.identifiers {
            let (identifier, id) = (&one.identifier, one.authorization.id);
            if let Some(named) = one.validation {
                if !self.records.contains_key(&named) {
                    let why = format!("{identifier}: the record {named} of its validation is not there");
                    self.missing.push(why);
                }
                continue;
            }
            let Some((shown, at)) = shown_at(&one.authorization) else {
                self.missing.push(format!("{identifier}: no challenge of the authorization {id} succeeded"));
                continue;
            };
            let known = found.get(&id).copied();
            one.validation = match known {
                Some(known) => known,
                None => {
                    let query = RecordQuery {
                        from: Some(at.minus(WRITTEN_WITHIN)),
                        until: Some(at.plus(Duration::from_secs(1))),
                        ..about(RecordType::ValidationFinished, id)
                    };
                    let is_it = |payload: &Value| {
                        payload["authorization"] == id.to_string() && payload["challenge"] == shown
                    };
                    let record = newest(store, &query, is_it)?;
                    let name = record.as_ref().map(|record| record.id);
                    self.records.extend(record.map(|record| (record.id, record)));
                    found.insert(id, name);
                    name
                }
            };
            if one.validation.is_none() {
                let at = at.to_rfc3339();
                self.missing.push(format!("{identifier}: there is no record of its validation at {at}"));
            }
        }
        Ok(())
    }

    /// The same for what was looked at before the claim.
    fn search_prepared(&mut self, store: &Store, order: &Order) -> Result<(), ingam_store::Error> {
        match self.prepared {
            Some(named) if self.records.contains_key(&named) => return Ok(()),
            Some(named) => {
                self.missing.push(format!("the record {named} of what was looked at last is not there"));
                return Ok(());
            }
            None => {}
        }
        let query = RecordQuery {
            from: Some(order.created),
            until: Some(self.certificate.row.issued.plus(Duration::from_secs(1))),
            ..about(RecordType::CertificatePrepared, order.id)
        };
        let record = newest(store, &query, |payload| payload["order"] == order.id.to_string())?;
        self.prepared = record.as_ref().map(|record| record.id);
        match record {
            Some(record) => drop(self.records.insert(record.id, record)),
            None => self.missing.push("there is no record of what was looked at before the claim".to_owned()),
        }
        Ok(())
    }
}

/// The type of the challenge that succeeded, and when.
fn shown_at(authorization: &Authorization) -> Option<(&'static str, Timestamp)> {
    let shown = authorization.valid_challenge()?;
    Some((shown.kind.name(), shown.finished.as_ref()?.at))
}

fn about(kind: RecordType, id: Id) -> RecordQuery {
    RecordQuery {
        classes: [Class::Issuance].into(),
        kinds: [kind].into(),
        text: Some(id.to_string()),
        ..RecordQuery::default()
    }
}

/// The newest record that fits whose readable part is the one.
fn newest(
    store: &Store,
    query: &RecordQuery,
    is_it: impl Fn(&Value) -> bool,
) -> Result<Option<Record>, ingam_store::Error> {
    let found = store.records_find(query, SEARCHED_MAX)?;
    let fits = |record: &Record| {
        let open = record.parts.iter().find(|part| part.seal == Seal::Open);
        open.and_then(|part| serde_json::from_slice(&part.bytes).ok()).is_some_and(|payload| is_it(&payload))
    };
    Ok(found.records.into_iter().rev().find(fits))
}
