//! What the world may know of a serial number, and the responder's handle on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::Record;
use ingam_protocol::{Reason, Serial, Timestamp};

use crate::committer::Queue;
use crate::engine::Engine;
use crate::error::Error;
use crate::table::{REVOKED, STATUSES, certificate_key, issuer_range, meta_crl_number};
use crate::transaction::{Transaction, read_range};

/// How far the CA is with a serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusState {
    /// Set aside for bytes that nobody has signed: not issued.
    Reserved,
    /// The signer was asked; no signature is on record. Never told to anybody as good.
    Asked,
    /// Signed, on record, not revoked.
    Good,
    /// Revoked, or abandoned after the signer was asked.
    Revoked {
        /// When.
        at: Timestamp,
        /// Why.
        reason: Reason,
    },
}

/// A serial number's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRow {
    /// How far the CA is with it.
    pub state: StatusState,
    /// The certificate's last valid second.
    pub not_after: Timestamp,
    /// The generation at which the row was written.
    pub generation: u64,
}

const ROW_VERSION: u8 = 1;

impl StatusRow {
    /// `version u8 | state u8 | reason u8 | at u64 s | not_after u64 s | generation u64`, big-endian.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (state, reason, at) = match self.state {
            StatusState::Reserved => (0, 0, 0),
            StatusState::Asked => (1, 0, 0),
            StatusState::Good => (2, 0, 0),
            StatusState::Revoked { at, reason } => (3, reason.number(), at.unix_s()),
        };
        let mut row = vec![ROW_VERSION, state, reason];
        for number in [at, self.not_after.unix_s(), self.generation] {
            row.extend_from_slice(&number.to_be_bytes());
        }
        row
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let bad = || Error::Row("a certificate's status", "it is not in this version's form".into());
        let (&[version, state, reason], numbers) = bytes.split_first_chunk::<3>().ok_or_else(bad)?;
        let numbers: &[u8; 24] = numbers.try_into().map_err(|_| bad())?;
        let (at, rest) = numbers.split_first_chunk::<8>().ok_or_else(bad)?;
        let (not_after, generation) = rest.split_first_chunk::<8>().ok_or_else(bad)?;
        let generation: &[u8; 8] = generation.try_into().map_err(|_| bad())?;
        let state = match (version, state) {
            (ROW_VERSION, 0) => StatusState::Reserved,
            (ROW_VERSION, 1) => StatusState::Asked,
            (ROW_VERSION, 2) => StatusState::Good,
            (ROW_VERSION, 3) => StatusState::Revoked {
                at: Timestamp::from_unix_s(u64::from_be_bytes(*at)),
                reason: Reason::from_number(reason).ok_or_else(bad)?,
            },
            _ => return Err(bad()),
        };
        Ok(Self {
            state,
            not_after: Timestamp::from_unix_s(u64::from_be_bytes(*not_after)),
            generation: u64::from_be_bytes(*generation),
        })
    }
}

/// A serial number's row inside a transaction.
pub(crate) fn status_of(
    transaction: &Transaction<'_>,
    issuer: &IssuerName,
    serial: &Serial,
) -> Result<Option<StatusRow>, Error> {
    transaction
        .get(STATUSES, &certificate_key(issuer, serial))?
        .map(|row| StatusRow::decode(&row))
        .transpose()
}

/// Writes a serial number's row and keeps the list of what is revoked in step.
///
/// Only a revocation raises the generation: before it, there is no answer about the serial that could be out of date, as
/// nothing but `good` and `revoked` is ever kept by anybody.
pub(crate) fn status_put(
    transaction: &mut Transaction<'_>,
    issuer: &IssuerName,
    serial: &Serial,
    state: StatusState,
    not_after: Timestamp,
) -> Result<(), Error> {
    let key = certificate_key(issuer, serial);
    let generation = if matches!(state, StatusState::Revoked { .. }) {
        transaction.put(REVOKED, key.clone(), Vec::new());
        transaction.raise_generation()?
    } else {
        transaction.generation()?
    };
    transaction.put(STATUSES, key, StatusRow { state, not_after, generation }.encode());
    Ok(())
}

/// The responder's handle: it reads statuses, counts CRLs and leaves records of signing. Nothing in its reach leads
/// from a serial number to an account.
#[derive(Clone)]
pub struct StatusStore {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) queue: Queue,
    pub(crate) generation: Arc<AtomicU64>,
}

impl StatusStore {
    /// The row of a serial number, if the CA ever set it aside.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn status(&self, issuer: &IssuerName, serial: &Serial) -> Result<Option<StatusRow>, Error> {
        let row = self
            .engine
            .get(STATUSES, &certificate_key(issuer, serial))
            .map_err(|cause| Error::Engine("reading a certificate's status", cause))?;
        row.map(|row| StatusRow::decode(&row)).transpose()
    }

    /// The generation of statuses: what was read at this generation holds for as long as it does not rise.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// What is revoked of an issuer's certificates, in order, after the serial `after`, at most `limit`. Rows whose
    /// certificate ended before `ended_before` are left out (RFC 5280, section 3.3: an entry stays until one CRL past
    /// the end). Also gives the last serial looked at: where to go on, `None` at the end.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    #[allow(clippy::type_complexity, reason = "a page and where the next one starts")]
    pub fn revoked(
        &self,
        issuer: &IssuerName,
        after: Option<&Serial>,
        ended_before: Timestamp,
        limit: usize,
    ) -> Result<(Vec<(Serial, Timestamp, Reason)>, Option<Serial>), Error> {
        let (first, end) = issuer_range(issuer);
        let prefix = first.len();
        let from = match after {
            // The smallest key behind `after`'s own.
            Some(serial) => [certificate_key(issuer, serial).as_slice(), &[0]].concat(),
            None => first,
        };
        let keys = read_range(self.engine.as_ref(), REVOKED, &from, Some(&end), limit)?;
        let mut page = Vec::with_capacity(keys.len());
        let mut last = None;
        let full = keys.len() >= limit;
        for (key, _) in keys {
            let bad = || Error::Row("the list of what is revoked", "a key holds no serial number".into());
            let serial = key.get(prefix..).and_then(Serial::from_be_bytes).ok_or_else(bad)?;
            if let Some(StatusRow { state: StatusState::Revoked { at, reason }, not_after, .. }) =
                self.status(issuer, &serial)?
                && not_after >= ended_before
            {
                page.push((serial.clone(), at, reason));
            }
            last = Some(serial);
        }
        Ok((page, last.filter(|_| full)))
    }

    /// The next number of an issuer's CRL, which nobody else will get.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn crl_number_next(&self, issuer: &IssuerName) -> Result<u64, Error> {
        let counter = meta_crl_number(issuer);
        self.queue.run(move |transaction| transaction.count(&counter)).await
    }

    /// Puts records into the outbox; back when they are durable.
    ///
    /// # Errors
    /// [`Error`] if they could not be made durable.
    pub async fn records_append(&self, records: Vec<Record>) -> Result<(), Error> {
        self.queue
            .run(move |transaction| {
                records.iter().for_each(|record| transaction.record(record));
                Ok(())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_written_and_others_refused() {
        let not_after = Timestamp::from_unix_s(1_795_255_200);
        let revoked = StatusState::Revoked { at: not_after, reason: Reason::Superseded };
        for state in [StatusState::Reserved, StatusState::Asked, StatusState::Good, revoked] {
            let row = StatusRow { state, not_after, generation: 7 };
            assert_eq!(StatusRow::decode(&row.encode()).unwrap(), row);
        }
        for bad in [&[][..], &[1, 2], &[2; 27], &[1; 26], &[1; 28]] {
            assert!(StatusRow::decode(bad).is_err());
        }
    }
}
