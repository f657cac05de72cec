//! What a restored store lacks, by what others know.

use std::collections::BTreeMap;
use std::path::Path;

use ingam_journal::folders::FileSystem;
use ingam_protocol::Serial;
use ingam_protocol::profile::IssuerName;
use serde::Serialize;

use super::restore::refuse_half_restored;
use crate::engine::Engine;
use crate::error::Error;
use crate::open::{Config, open_engine};
use crate::status::{StatusRow, StatusState};
use crate::table::{STATUSES, certificate_key, certificate_of, issuer_range};
use crate::transaction::read_range;

/// A revocation that somebody knows of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revocation {
    /// Of which certificate. Serial numbers are random: no two issuers have the same.
    pub serial: Serial,
    /// Where it was seen.
    pub source: String,
}

/// A revocation that a store does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Of which certificate.
    pub serial: String,
    /// What the store has of it: `good`, or `unknown` where it was issued after the backup.
    pub state: &'static str,
    /// Where the revocation was seen.
    pub source: String,
}

/// Which of these revocations the store in a state folder does not know, each once. The CA must not run.
///
/// # Errors
/// [`Error`] if the store does not open.
pub fn not_revoked(
    state: &Path,
    config: &Config,
    revocations: impl Iterator<Item = Revocation>,
) -> Result<Vec<Missing>, Error> {
    refuse_half_restored(&FileSystem, state)?;
    let engine = open_engine(&FileSystem, state, config)?;
    let issuers = issuers(engine.as_ref())?;
    let mut missing = BTreeMap::new();
    for Revocation { serial, source } in revocations {
        let mut state = "unknown";
        for issuer in &issuers {
            let row = engine.get(STATUSES, &certificate_key(issuer, &serial));
            match row.map_err(|cause| Error::Engine("reading a status", cause))? {
                None => {}
                Some(row) => match StatusRow::decode(&row)?.state {
                    StatusState::Revoked { .. } => state = "revoked",
                    StatusState::Good => state = "good",
                    StatusState::Reserved | StatusState::Asked => {}
                },
            }
        }
        if state != "revoked" {
            let serial = serial.to_string();
            missing.entry(serial.clone()).or_insert(Missing { serial, state, source });
        }
    }
    Ok(missing.into_values().collect())
}

/// The issuers that the store has serial numbers of: a few.
fn issuers(engine: &dyn Engine) -> Result<Vec<IssuerName>, Error> {
    let (mut issuers, mut from) = (Vec::new(), Vec::new());
    while let Some((key, _)) = read_range(engine, STATUSES, &from, None, 1)?.pop() {
        let bad = || Error::Row("a certificate's status", "its key names none".into());
        let (issuer, _) = certificate_of(&key).ok_or_else(bad)?;
        from = issuer_range(&issuer).1;
        issuers.push(issuer);
    }
    Ok(issuers)
}
