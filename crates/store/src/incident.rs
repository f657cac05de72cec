//! Incidents: sets of certificates with a name, gathered until they are revoked together.

use ingam_protocol::operator::Principal;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::Record;
use ingam_protocol::{Serial, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::open::Store;
use crate::table::{
    CERTIFICATES, INCIDENT_CERTIFICATES, INCIDENTS, INCIDENTS_BY_CERTIFICATE, certificate_key,
    certificate_of, end_of,
};
use crate::transaction::{Transaction, decode, read_range, read_row};

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name: what the operators call it.
    pub name: String,
    /// What happened.
    pub summary: String,
    /// Who opened it.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// How many certificates are in it.
    pub certificates: u64,
    /// A page for subscribers that says why their certificates should be renewed early: `explanationURL` of RFC 9773,
    /// section 4.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation_url: Option<String>,
}

/// What came of putting certificates into an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentGrown {
    /// So many are new in it.
    pub added: u64,
    /// So many were in it before.
    pub known: u64,
    /// So many were never issued.
    pub missing: u64,
}

fn prefix(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// Puts certificates into an incident; `None` if there is no such one.
pub(crate) fn grow(
    transaction: &mut Transaction<'_>,
    name: &str,
    certificates: &[(IssuerName, Serial)],
) -> Result<Option<IncidentGrown>, Error> {
    let Some(mut incident) = transaction.row::<Incident>(INCIDENTS, name.as_bytes())? else {
        return Ok(None);
    };
    let mut grown = IncidentGrown { added: 0, known: 0, missing: 0 };
    for (issuer, serial) in certificates {
        let certificate = certificate_key(issuer, serial);
        let key = [prefix(name), certificate.clone()].concat();
        if transaction.get(CERTIFICATES, &certificate)?.is_none() {
            grown.missing += 1;
            continue;
        }
        // Of one that is known, too: the incident may be from before there was this index.
        transaction.put(INCIDENTS_BY_CERTIFICATE, certificate, name.as_bytes());
        if transaction.get(INCIDENT_CERTIFICATES, &key)?.is_some() {
            grown.known += 1;
        } else {
            transaction.put(INCIDENT_CERTIFICATES, key, Vec::new());
            grown.added += 1;
        }
    }
    incident.certificates += grown.added;
    transaction.put_row(INCIDENTS, name.as_bytes().to_vec(), &incident)?;
    Ok(Some(grown))
}

impl Store {
    /// Opens an incident. `false`, and no record, if the name is taken.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn incident_insert(&self, incident: Incident, records: Vec<Record>) -> Result<bool, Error> {
        self.run(move |transaction| {
            let key = incident.name.as_bytes().to_vec();
            if transaction.get(INCIDENTS, &key)?.is_some() {
                return Ok(false);
            }
            transaction.put_row(INCIDENTS, key, &incident)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }

    /// Says where subscribers read about an incident, or that they read nowhere. Gives it as it is then; `None`, and no
    /// record, if there is no such one.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn incident_explain(
        &self,
        name: String,
        explanation_url: Option<String>,
        records: Vec<Record>,
    ) -> Result<Option<Incident>, Error> {
        self.run(move |transaction| {
            let incident = transaction.row::<Incident>(INCIDENTS, name.as_bytes())?;
            let Some(mut incident) = incident else { return Ok(None) };
            incident.explanation_url = explanation_url;
            transaction.put_row(INCIDENTS, name.as_bytes().to_vec(), &incident)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(Some(incident))
        })
        .await
    }

    /// The incident of this name.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn incident_by_name(&self, name: &str) -> Result<Option<Incident>, Error> {
        read_row(self.engine(), INCIDENTS, name.as_bytes())
    }

    /// Incidents by name, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn incidents(&self, after: Option<&str>, limit: usize) -> Result<Vec<Incident>, Error> {
        let from = after.map_or(Vec::new(), prefix);
        let mut incidents = Vec::new();
        for (_, row) in read_range(self.engine(), INCIDENTS, &from, None, limit)? {
            incidents.extend(decode::<Incident>(INCIDENTS, Some(row))?);
        }
        Ok(incidents)
    }

    /// Puts certificates into an incident; `None` if there is no such one. A bounded list is one transaction.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn incident_grow(
        &self,
        name: String,
        certificates: Vec<(IssuerName, Serial)>,
        records: Vec<Record>,
    ) -> Result<Option<IncidentGrown>, Error> {
        self.run(move |transaction| {
            let Some(grown) = grow(transaction, &name, &certificates)? else { return Ok(None) };
            records.iter().for_each(|record| transaction.record(record));
            Ok(Some(grown))
        })
        .await
    }

    /// An incident's certificates, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn incident_certificates(
        &self,
        name: &str,
        after: Option<(&IssuerName, &Serial)>,
        limit: usize,
    ) -> Result<Vec<(IssuerName, Serial)>, Error> {
        let prefix = prefix(name);
        let from = match after {
            Some((issuer, serial)) => [&prefix, certificate_key(issuer, serial).as_slice(), &[0]].concat(),
            None => prefix.clone(),
        };
        let rows =
            read_range(self.engine(), INCIDENT_CERTIFICATES, &from, end_of(&prefix).as_deref(), limit)?;
        let bad = || Error::Row("an incident", "a key names no certificate".into());
        rows.iter().map(|(key, _)| key.get(prefix.len()..).and_then(certificate_of).ok_or_else(bad)).collect()
    }
}
