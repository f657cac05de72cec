//! Which statuses changed lately, and any of them: for whoever compares what is said of them.

use ingam_protocol::Serial;
use ingam_protocol::crl::Scope;
use ingam_protocol::profile::IssuerName;

use crate::error::Error;
use crate::status::StatusStore;
use crate::table::{REVOKED_BY_GENERATION, STATUSES, certificate_key, certificate_of, scope_ranges};
use crate::transaction::{Transaction, read_range};

/// So many revocations are found by their generation; older ones are forgotten.
pub(crate) const KEPT: u64 = 1 << 20;

/// Notes which certificate was revoked at this generation.
pub(crate) fn note(transaction: &mut Transaction<'_>, generation: u64, certificate: &[u8]) {
    transaction.put(REVOKED_BY_GENERATION, generation.to_be_bytes(), certificate);
    if let Some(forgotten) = generation.checked_sub(KEPT) {
        transaction.delete(REVOKED_BY_GENERATION, forgotten.to_be_bytes());
    }
}

impl StatusStore {
    /// What was revoked, or for another reason than before, after this generation: each change with its own, in order, at
    /// most `limit`. Of those before the last million nothing is known.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn revoked_since(
        &self,
        generation: u64,
        limit: usize,
    ) -> Result<Vec<(u64, IssuerName, Serial)>, Error> {
        let bad = || Error::Row("the list of what was revoked lately", "a row names no certificate".into());
        let Some(from) = generation.checked_add(1) else { return Ok(Vec::new()) };
        let from = from.to_be_bytes();
        let rows = read_range(self.engine.as_ref(), REVOKED_BY_GENERATION, &from, None, limit)?;
        let change = |(key, value): (Vec<u8>, Vec<u8>)| {
            let generation = key.as_slice().try_into().map(u64::from_be_bytes).map_err(|_| bad())?;
            let (issuer, serial) = certificate_of(&value).ok_or_else(bad)?;
            Ok((generation, issuer, serial))
        };
        rows.into_iter().map(change).collect()
    }

    /// The serial number of an issuer, in a scope, that is this one or the next behind it; behind the last comes the first.
    /// `None` if there is none in the scope. It may be one that was only set aside.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn serial_from(
        &self,
        issuer: &IssuerName,
        scope: Scope,
        from: &Serial,
    ) -> Result<Option<Serial>, Error> {
        let key = certificate_key(issuer, from);
        let ranges = scope_ranges(issuer, scope);
        let behind = ranges.iter().map(|(first, end)| (first.max(&key), end));
        for (first, end) in behind.chain(ranges.iter().map(|(first, end)| (first, end))) {
            let row = read_range(self.engine.as_ref(), STATUSES, first, Some(end), 1)?.pop();
            if let Some((key, _)) = row {
                let bad = || Error::Row("a certificate's status", "its key holds no serial number".into());
                return certificate_of(&key).map(|(_, serial)| Some(serial)).ok_or_else(bad);
            }
        }
        Ok(None)
    }
}
