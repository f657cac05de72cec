//! Incidents: certificates that are gathered until they are revoked together. From then on that they are in one, their
//! clients are told to renew them at once.

use std::sync::Arc;

use ingam_protocol::Serial;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::RecordType;
use ingam_store::{Incident, IncidentGrown};
use serde_json::json;

use super::{Act, ActError, Found, task_failed};
use crate::Authority;

/// At most this many certificates are put into an incident by one request.
const SERIALS_MAX: usize = 10_000;
/// At most this many characters are an incident's name.
const NAME_CHARS_MAX: usize = 64;
/// At most this many characters are the URL of an explanation.
const URL_CHARS_MAX: usize = 1000;

impl Authority {
    /// Opens an incident.
    ///
    /// # Errors
    /// [`ActError::Invalid`] for a name or a URL that is none, [`ActError::Conflict`] if it is taken; [`ActError::Fault`].
    pub async fn incident_open(
        &self,
        act: &Act,
        name: &str,
        summary: String,
        explanation_url: Option<String>,
    ) -> Result<Incident, ActError> {
        if let Some(url) = &explanation_url {
            check_url(url)?;
        }
        if !is_name(name) {
            return Err(ActError::invalid(
                "an incident's name has 1 to 64 letters, digits, hyphens, dots and underscores",
            ));
        }
        let incident = Incident {
            name: name.to_owned(),
            summary,
            by: act.operator,
            at: self.clock.now(),
            certificates: 0,
            explanation_url,
        };
        let record = self.record(RecordType::IncidentChanged, None, None, &incident)?;
        let records = vec![record, self.act_done(act)?];
        if !self.store.incident_insert(incident.clone(), records).await? {
            return Err(ActError::conflict(format!(
                "there is an incident {name} already: choose another name"
            )));
        }
        Ok(incident)
    }

    /// Says where subscribers read why their certificates should be renewed early, or with `None` that they read nowhere.
    ///
    /// # Errors
    /// [`ActError::NotFound`]; [`ActError::Invalid`] for what is no URL; [`ActError::Fault`].
    pub async fn incident_explain(
        &self,
        act: &Act,
        name: &str,
        explanation_url: Option<String>,
    ) -> Result<Incident, ActError> {
        if let Some(url) = &explanation_url {
            check_url(url)?;
        }
        self.incident(name)?;
        let told = json!({ "name": name, "operator": act.operator, "explanation_url": explanation_url });
        let record = self.record(RecordType::IncidentChanged, None, None, &told)?;
        let records = vec![record, self.act_done(act)?];
        let incident = self.store.incident_explain(name.to_owned(), explanation_url, records).await?;
        incident.ok_or_else(|| no_incident(name))
    }

    /// The incident of this name.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub fn incident(&self, name: &str) -> Result<Incident, ActError> {
        self.store.incident_by_name(name)?.ok_or_else(|| no_incident(name))
    }

    /// Incidents by name, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`ActError::Invalid`] if `after` is no name; [`ActError::Fault`] if the store fails.
    pub fn incidents(&self, after: Option<&str>, limit: usize) -> Result<Found<Incident>, ActError> {
        if after.is_some_and(|after| !is_name(after)) {
            return Err(ActError::invalid(
                "after is the name of an incident, as in the next of a page before",
            ));
        }
        let items = self.store.incidents(after, limit)?;
        let next = items.last().filter(|_| items.len() == limit).map(|last| last.name.as_bytes().to_vec());
        Ok(Found { items, next })
    }

    /// Puts certificates into an incident; those that were never issued are counted and left out.
    ///
    /// # Errors
    /// [`ActError::NotFound`]; [`ActError::Invalid`] for more than 10,000 at once; [`ActError::Fault`].
    pub async fn incident_add(
        self: &Arc<Self>,
        act: &Act,
        name: &str,
        serials: Vec<Serial>,
    ) -> Result<IncidentGrown, ActError> {
        if serials.len() > SERIALS_MAX {
            return Err(ActError::invalid(format!(
                "at most {SERIALS_MAX} serial numbers at once: send several"
            )));
        }
        self.incident(name)?;
        let authority = self.clone();
        // Many rows: not on a thread of the runtime.
        let looked = tokio::task::spawn_blocking(move || authority.issued_of(&serials)).await;
        let (certificates, missing) = looked.unwrap_or_else(|cause| Err(task_failed(cause)))?;
        let told = json!({
            "name": name,
            "operator": act.operator,
            "certificates": certificates.iter().map(|(_, serial)| serial).collect::<Vec<_>>(),
            "issuers": certificates.iter().map(|(issuer, _)| issuer).collect::<Vec<_>>(),
        });
        let record = self.record(RecordType::IncidentChanged, None, None, &told)?;
        let records = vec![record, self.act_done(act)?];
        let grown = self.store.incident_grow(name.to_owned(), certificates, records).await?;
        let grown = grown.ok_or_else(|| no_incident(name))?;
        Ok(IncidentGrown { missing: grown.missing + missing, ..grown })
    }

    /// The certificates with these serial numbers, and how many there are none of. Blocks.
    fn issued_of(&self, serials: &[Serial]) -> Result<(Vec<(IssuerName, Serial)>, u64), ActError> {
        let mut certificates = Vec::with_capacity(serials.len());
        let mut missing = 0;
        for serial in serials {
            match self.certificate_of_serial(serial) {
                Ok(found) => certificates.push((found.issuer, found.serial)),
                Err(ActError::NotFound(_)) => missing += 1,
                Err(error) => return Err(error),
            }
        }
        Ok((certificates, missing))
    }
}

/// Whether an incident can have this name.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Clients show it to people, who follow it.
fn check_url(url: &str) -> Result<(), ActError> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_page = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && url.len() <= URL_CHARS_MAX
        && url.bytes().all(|byte| byte.is_ascii_graphic());
    if is_page {
        return Ok(());
    }
    Err(ActError::invalid(format!(
        "an explanation is the URL of a page: https:// or http://, and at most {URL_CHARS_MAX} visible ASCII characters"
    )))
}

pub(super) fn no_incident(name: &str) -> ActError {
    let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    ActError::not_found(format!("there is no incident {name}: open it first"))
}
