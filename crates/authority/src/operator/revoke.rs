//! An operator revokes one certificate.

use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::{Reason, Serial};
use ingam_store::{RevocationOutcome, RevocationRequest};

use super::{Act, ActError, CertificateSummary};
use crate::Authority;
use crate::evidence::RevocationEvidence;

impl Authority {
    /// Revokes a certificate, whoever ordered it; with `block_key`, nobody gets another one for its key.
    ///
    /// # Errors
    /// [`ActError::NotFound`]; [`ActError::Conflict`] if it was revoked before (a later keyCompromise with `block_key`
    /// replaces another reason); [`ActError::Fault`].
    pub async fn revoke_for_operator(
        &self,
        act: &Act,
        serial: &Serial,
        reason: Reason,
        block_key: bool,
    ) -> Result<CertificateSummary, ActError> {
        let found = self.certificate_of_serial(serial)?;
        let revoked = self.revocation_record(act, &found, reason)?;
        // All at one time, which is what rows say, too.
        let at = revoked.time;
        let mut records = vec![revoked, self.act_done(act)?];
        let thumbprint: Option<[u8; 32]> =
            if block_key { found.row.key_thumbprint[..].try_into().ok() } else { None };
        if thumbprint.is_some() {
            let evidence = self.operator_evidence(act, &found, reason);
            let blocked = self.record(RecordType::KeyBlocked, Some(found.row.account), None, &evidence)?;
            records.push(Record { time: at, ..blocked });
        }
        let request = RevocationRequest {
            issuer: found.issuer.clone(),
            serial: found.serial.clone(),
            reason,
            at,
            block_key: thumbprint,
            operator: Some((act.operator, act.reason.clone().unwrap_or_default())),
        };
        match self.store.certificate_revoke(request, records).await? {
            RevocationOutcome::Revoked => {
                metrics::counter!("ingam_revocations_total", "reason" => reason.to_string()).increment(1);
                tracing::info!(issuer = %found.issuer, %serial, %reason, "an operator revoked a certificate");
                self.certificate_of_serial(serial)
            }
            RevocationOutcome::Already => Err(ActError::conflict(format!(
                "the certificate {serial} was revoked before{}",
                if block_key { "; its key is blocked" } else { "" }
            ))),
            RevocationOutcome::Missing => {
                Err(ActError::not_found(format!("no certificate was issued with the serial number {serial}")))
            }
        }
    }

    pub(super) fn operator_evidence<'a>(
        &self,
        act: &'a Act,
        found: &'a CertificateSummary,
        reason: Reason,
    ) -> RevocationEvidence<'a> {
        RevocationEvidence {
            issuer: &found.issuer,
            serial: &found.serial,
            reason,
            right: "operator",
            operator: Some(act.operator),
            comment: act.reason.as_deref(),
        }
    }

    /// The record of a revocation by an operator, of class `issuance`.
    pub(super) fn revocation_record(
        &self,
        act: &Act,
        found: &CertificateSummary,
        reason: Reason,
    ) -> Result<Record, ActError> {
        let evidence = self.operator_evidence(act, found, reason);
        let record = self.record(RecordType::CertificateRevoked, Some(found.row.account), None, &evidence)?;
        Ok(record.ending(found.row.not_after))
    }
}
