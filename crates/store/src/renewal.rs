//! What ACME Renewal Information (RFC 9773) is made from: when certificates should be renewed, and which orders replace them.

use ingam_protocol::acme::{Order, OrderStatus};
use ingam_protocol::certificate::Validity;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Id, Serial};

use crate::account::id_from;
use crate::certificate::CertificateRow;
use crate::error::Error;
use crate::incident::Incident;
use crate::open::Store;
use crate::order::{find, status};
use crate::status::StatusState;
use crate::table::{INCIDENTS, INCIDENTS_BY_CERTIFICATE, REPLACEMENTS, certificate_key};
use crate::transaction::{Transaction, read_row};

/// What decides when a certificate should be renewed. Nothing in it leads to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalFacts {
    /// Its first and its last second.
    pub validity: Validity,
    /// Whether it is revoked, or gathered in an incident, or still to be revoked by a job.
    pub ends_early: bool,
    /// The incident that it was put into last.
    pub incident: Option<Incident>,
}

impl Store {
    /// What decides when this certificate should be renewed; `None` if it was never issued.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn renewal_by_certificate(
        &self,
        issuer: &IssuerName,
        serial: &Serial,
    ) -> Result<Option<RenewalFacts>, Error> {
        let Some(CertificateRow { not_before, not_after, .. }) =
            self.certificate_by_serial(issuer, serial)?
        else {
            return Ok(None);
        };
        let key = certificate_key(issuer, serial);
        let name = self.engine().get(INCIDENTS_BY_CERTIFICATE, &key);
        let incident = match name.map_err(|cause| Error::Engine("reading an incident", cause))? {
            Some(name) => read_row(self.engine(), INCIDENTS, &name)?,
            None => None,
        };
        let status = self.statuses().status(issuer, serial)?;
        let revoked = status.is_some_and(|row| matches!(row.state, StatusState::Revoked { .. }));
        let ends_early = revoked || incident.is_some() || self.revocation_is_due(issuer, serial)?;
        Ok(Some(RenewalFacts { validity: Validity { not_before, not_after }, ends_early, incident }))
    }

    /// The order that was last to replace this certificate, whatever became of it.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn order_replacing(&self, issuer: &IssuerName, serial: &Serial) -> Result<Option<Order>, Error> {
        let id = self.engine().get(REPLACEMENTS, &certificate_key(issuer, serial));
        match id.map_err(|cause| Error::Engine("reading a replacement", cause))? {
            Some(id) => self.order_by_id(id_from(&id)?),
            None => Ok(None),
        }
    }
}

/// The order that has taken the certificate which a new one is to replace, and is not invalid as of the new one's making.
pub(crate) fn replaced_by(transaction: &Transaction<'_>, order: &Order) -> Result<Option<Id>, Error> {
    let Some(replaced) = &order.replaces else { return Ok(None) };
    let key = certificate_key(&replaced.issuer, &replaced.serial);
    let Some(id) = transaction.get(REPLACEMENTS, &key)? else { return Ok(None) };
    let Some(other) = find(transaction, id_from(&id)?)? else { return Ok(None) };
    let ended = status(transaction, &other, order.created)? == OrderStatus::Invalid;
    Ok(Some(other.id).filter(|_| !ended))
}

/// Takes the certificate that a new order is to replace, if it names one.
pub(crate) fn replace(transaction: &mut Transaction<'_>, order: &Order) {
    if let Some(replaced) = &order.replaces {
        let key = certificate_key(&replaced.issuer, &replaced.serial);
        transaction.put(REPLACEMENTS, key, *order.id.as_bytes());
    }
}
