//! Certificates on record, and their revocation.

mod packed;

use ingam_protocol::operator::Principal;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::{Bytes, Id, Reason, Serial, Timestamp};
use serde::Deserialize;

use crate::error::Error;
use crate::key_block::{KeyBlock, KeyName};
use crate::open::Store;
use crate::status::{StatusState, status_of, status_put};
use crate::table::{KEYS_BLOCKED, certificate_key};
use crate::transaction::{Transaction, read_value};

pub(crate) use packed::{certificate_find, certificate_get, certificate_put};

/// A certificate on record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CertificateRow {
    /// DER of the certificate.
    pub der: Bytes,
    /// The order that it came from.
    pub order: Id,
    /// The account that ordered it.
    pub account: Id,
    /// When it was signed.
    pub issued: Timestamp,
    /// Its first valid second.
    pub not_before: Timestamp,
    /// Its last valid second.
    pub not_after: Timestamp,
    /// Thumbprint of its key.
    pub key_thumbprint: Bytes,
}

/// A revocation on its way into the store.
#[derive(Clone, Debug)]
pub struct RevocationRequest {
    /// Who issued the certificate.
    pub issuer: IssuerName,
    /// Its serial number.
    pub serial: Serial,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Timestamp,
    /// The key to block for good: set where its holder proved that it is known to others.
    pub block_key: Option<[u8; 32]>,
    /// The operator who revokes it and blocks the key, and why; nobody where its subscriber does.
    pub operator: Option<(Principal, String)>,
}

impl RevocationRequest {
    /// Blocks the key, if one is to be blocked and is not yet: who did it first, and why, stays. Whether it was done.
    fn block(&self, transaction: &mut Transaction<'_>, at: Timestamp) -> Result<bool, Error> {
        let Some(thumbprint) = &self.block_key else { return Ok(false) };
        if transaction.get(KEYS_BLOCKED, thumbprint)?.is_some() {
            return Ok(false);
        }
        let (by, comment) = self.operator.clone().unzip();
        let serial = Some(self.serial.clone());
        let block = KeyBlock {
            hash: thumbprint.as_slice().into(),
            named_by: KeyName::Thumbprint,
            at,
            reason: self.reason,
            serial,
            by,
            comment,
            source: None,
        };
        transaction.put_row(KEYS_BLOCKED, *thumbprint, &block)?;
        Ok(true)
    }
}

/// What came of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationOutcome {
    /// Done; every answer from now on says so.
    Revoked,
    /// It was revoked before.
    Already,
    /// There is no certificate of this serial number.
    Missing,
}

impl Store {
    /// The certificate with this serial number.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn certificate_by_serial(
        &self,
        issuer: &IssuerName,
        serial: &Serial,
    ) -> Result<Option<CertificateRow>, Error> {
        certificate_get(&certificate_key(issuer, serial), |table, key| read_value(self.engine(), table, key))
    }

    /// Revokes a certificate: the fact, the raised generation and the blocked key in one transaction. The first reason
    /// stays, but for keyCompromise, which may come after any other (BR 4.9.1.1), keeping the earlier date. A key whose
    /// holder proved that it is known to others is blocked even where the certificate was revoked before; of `records`
    /// only [`RecordType::KeyBlocked`] is written then, and it alone is left out where the key was blocked already.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn certificate_revoke(
        &self,
        request: RevocationRequest,
        records: Vec<Record>,
    ) -> Result<RevocationOutcome, Error> {
        self.run(move |transaction| {
            let RevocationRequest { issuer, serial, reason, at, block_key, .. } = &request;
            let Some(row) = status_of(transaction, issuer, serial)? else {
                return Ok(RevocationOutcome::Missing);
            };
            let at = match row.state {
                StatusState::Good => *at,
                StatusState::Revoked { at: before, reason: old }
                    if *reason == Reason::KeyCompromise
                        && old != Reason::KeyCompromise
                        && block_key.is_some() =>
                {
                    before
                }
                StatusState::Revoked { at: before, .. } => {
                    if request.block(transaction, before)? {
                        let blocking = records.iter().filter(|record| record.kind == RecordType::KeyBlocked);
                        blocking.for_each(|record| transaction.record(record));
                    }
                    return Ok(RevocationOutcome::Already);
                }
                StatusState::Reserved | StatusState::Asked => return Ok(RevocationOutcome::Missing),
            };
            let revoked = StatusState::Revoked { at, reason: *reason };
            status_put(transaction, issuer, serial, revoked, row.not_after)?;
            let blocked = request.block(transaction, at)?;
            let done = records.iter().filter(|record| blocked || record.kind != RecordType::KeyBlocked);
            done.for_each(|record| transaction.record(record));
            Ok(RevocationOutcome::Revoked)
        })
        .await
    }
}
