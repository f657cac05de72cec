//! What the world may know of a serial number, and the responder's handle on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ingam_protocol::crl::{self, Scope};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::Record;
use ingam_protocol::{Reason, Serial, Shard, Timestamp};
use tokio::sync::broadcast;

use crate::changed;
use crate::committer::Queue;
use crate::engine::Engine;
use crate::error::Error;
use crate::table::{
    META, REVOKED, STATUSES, certificate_key, meta_crl_number, meta_revoked, scope_ranges, shard_of,
    shards_range,
};
use crate::transaction::{Transaction, decode_counter, read_range};

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

impl StatusState {
    /// Whether it is revoked, for whatever reason.
    pub fn is_revoked(&self) -> bool {
        matches!(self, Self::Revoked { .. })
    }
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

/// How many changes somebody who follows them may be behind.
pub(crate) const FEED_MAX: usize = 1 << 14;

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

/// Writes a serial number's row and keeps the list of what is revoked in step. What is revoked stays so.
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
    if state.is_revoked() {
        let generation = transaction.raise_generation()?;
        let row = StatusRow { state, not_after, generation }.encode();
        transaction.put(REVOKED, key.clone(), row.clone());
        transaction.put(META, meta_revoked(issuer, serial.shard()), generation.to_be_bytes());
        changed::note(transaction, generation, &key);
        transaction.put(STATUSES, key, row);
        transaction.status_changed(StatusChange {
            issuer: issuer.clone(),
            serial: serial.clone(),
            generation,
        });
    } else if status_of(transaction, issuer, serial)?.is_none_or(|row| !row.state.is_revoked()) {
        let generation = transaction.generation()?;
        transaction.put(STATUSES, key, StatusRow { state, not_after, generation }.encode());
        if state == StatusState::Good {
            transaction.status_changed(StatusChange {
                issuer: issuer.clone(),
                serial: serial.clone(),
                generation,
            });
        }
    }
    Ok(())
}

/// A certificate was signed and put on record, or revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChange {
    /// Whose it is.
    pub issuer: IssuerName,
    /// Its serial number.
    pub serial: Serial,
    /// The generation of statuses after the change.
    pub generation: u64,
}

/// Where an issuer has serial numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardsInUse {
    /// Whether it has some that belong to no shard.
    pub has_unsharded: bool,
    /// The shards that it has some in, in order.
    pub shards: Vec<Shard>,
}

/// The responder's handle: it reads statuses, counts CRLs and leaves records of signing. Nothing in its reach leads
/// from a serial number to an account.
#[derive(Clone)]
pub struct StatusStore {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) queue: Queue,
    pub(crate) generation: Arc<AtomicU64>,
    pub(crate) feed: broadcast::Sender<StatusChange>,
}

impl StatusStore {
    /// What is issued and revoked from now on, once it is durable, in the order in which it was. Whoever reads too slowly is told
    /// that it missed something, and has to look at everything.
    pub fn changes(&self) -> broadcast::Receiver<StatusChange> {
        self.feed.subscribe()
    }

    /// The rows of an issuer's serial numbers in order, after the serial `after`, at most `limit`: fewer only at the end.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn page(
        &self,
        issuer: &IssuerName,
        after: Option<&Serial>,
        limit: usize,
    ) -> Result<Vec<(Serial, StatusRow)>, Error> {
        let prefix = issuer.as_str().len() + 1;
        let mut page = Vec::new();
        for (first, end) in scope_ranges(issuer, Scope::Complete) {
            // The smallest key behind `after`'s own.
            let behind = after.map(|serial| [certificate_key(issuer, serial).as_slice(), &[0]].concat());
            let from = behind.as_ref().unwrap_or(&first);
            for (key, row) in read_range(self.engine.as_ref(), STATUSES, from, Some(&end), limit)? {
                let bad = || Error::Row("a certificate's status", "its key holds no serial number".into());
                let serial = key.get(prefix..).and_then(Serial::from_be_bytes).ok_or_else(bad)?;
                page.push((serial, StatusRow::decode(&row)?));
            }
        }
        Ok(page)
    }

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

    /// The generation at which something was last revoked in an issuer's shard, or of what belongs to none: at most what
    /// [`StatusStore::generation`] says after it was read. Zero if nothing was since an older version ended.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn revoked_generation(&self, issuer: &IssuerName, shard: Option<Shard>) -> Result<u64, Error> {
        let row = self.engine.get(META, &meta_revoked(issuer, shard));
        decode_counter(row.map_err(|cause| Error::Engine("reading when something was last revoked", cause))?)
    }

    /// Which shards an issuer has serial numbers in, and whether it has any that belong to none.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn shards(&self, issuer: &IssuerName) -> Result<ShardsInUse, Error> {
        let first_of = |(first, end): &(Vec<u8>, Vec<u8>)| {
            read_range(self.engine.as_ref(), STATUSES, first, Some(end), 1).map(|mut page| page.pop())
        };
        let mut in_use = ShardsInUse::default();
        for range in scope_ranges(issuer, Scope::Unsharded) {
            in_use.has_unsharded |= first_of(&range)?.is_some();
        }
        // From each shard that has one to the next: there are 65,536 at most.
        let mut next = Some(Shard(0));
        while let Some(from) = next {
            let Some((key, _)) = first_of(&shards_range(issuer, from))? else { break };
            let bad = || Error::Row("a certificate's status", "its key has no shard".into());
            let shard = shard_of(issuer, &key).ok_or_else(bad)?;
            in_use.shards.push(shard);
            next = shard.0.checked_add(1).map(Shard);
        }
        Ok(in_use)
    }

    /// What is revoked of an issuer's certificates in a scope, in order, after the serial `after`, at most `limit`. Rows
    /// whose certificate ended before `ended_before` are left out (RFC 5280, section 3.3: an entry stays until one CRL
    /// past the end). Also gives the last serial looked at: where to go on, `None` at the end.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn revoked(
        &self,
        issuer: &IssuerName,
        scope: Scope,
        after: Option<&Serial>,
        ended_before: Timestamp,
        limit: usize,
    ) -> Result<(Vec<crl::Entry>, Option<Serial>), Error> {
        let prefix = issuer.as_str().len() + 1;
        // The smallest key behind `after`'s own.
        let behind = after.map(|serial| [certificate_key(issuer, serial).as_slice(), &[0]].concat());
        let mut rows = Vec::new();
        for (first, end) in scope_ranges(issuer, scope) {
            let from = behind.as_ref().filter(|behind| **behind > first).unwrap_or(&first);
            let room = limit - rows.len();
            rows.extend(read_range(self.engine.as_ref(), REVOKED, from, Some(&end), room)?);
        }
        let is_full = rows.len() >= limit;
        let mut page = Vec::with_capacity(rows.len());
        let mut last = None;
        for (key, value) in rows {
            let bad = || Error::Row("the list of what is revoked", "a key holds no serial number".into());
            let serial = key.get(prefix..).and_then(Serial::from_be_bytes).ok_or_else(bad)?;
            let row = match value.as_slice() {
                [] => self.status(issuer, &serial)?,
                row => Some(StatusRow::decode(row)?),
            };
            if let Some(StatusRow { state: StatusState::Revoked { at, reason }, not_after, .. }) = row
                && not_after >= ended_before
            {
                page.push(crl::Entry { serial: serial.clone(), revoked_at: at, reason });
            }
            last = Some(serial);
        }
        Ok((page, last.filter(|_| is_full)))
    }

    /// The next number of a CRL of an issuer's shard, or of what belongs to none, which nobody else will get. It is above
    /// `above`, the number of a list that is known to be out.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn crl_number_next(
        &self,
        issuer: &IssuerName,
        shard: Option<Shard>,
        above: u64,
    ) -> Result<u64, Error> {
        let counter = meta_crl_number(issuer, shard);
        self.queue.run(move |transaction| transaction.count_above(&counter, above)).await
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
