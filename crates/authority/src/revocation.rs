//! Revocation (RFC 8555, section 7.6): one transaction, seen by everybody from then on.

use ingam_protocol::acme::{Account, AuthorizationStatus, ErrorType, Revocation};
use ingam_protocol::bytes::from_base64url;
use ingam_protocol::key::PublicKey;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::{Reason, Serial};
use ingam_store::{CertificateRow, RevocationOutcome, RevocationRequest};

use crate::Authority;
use crate::error::Error;
use crate::evidence::{Caller, RevocationEvidence};

/// Whose signature is under a revocation.
#[derive(Clone, Debug)]
pub enum RevokedBy {
    /// An account.
    Account(Account),
    /// A key, which should be the certificate's.
    Key(PublicKey),
}

impl Authority {
    /// revokeCert: by the account that ordered the certificate, by one that holds valid authorizations for all of its
    /// identifiers, or by the certificate's own key. A key that revokes
    /// its own certificate as compromised is blocked for good.
    ///
    /// # Errors
    /// Refusals: `malformed` for what is no certificate of this CA, `unauthorized`, `badRevocationReason`,
    /// `alreadyRevoked`.
    pub async fn certificate_revoke(
        &self,
        by: RevokedBy,
        request: Revocation,
        caller: &Caller,
    ) -> Result<(), Error> {
        let der = from_base64url(&request.certificate).ok_or_else(|| {
            Error::refusal(ErrorType::Malformed, "\"certificate\" is not base64url without padding")
        })?;
        let (issuer, serial, row) = self.issued(&der)?;
        let right = self.right_to_revoke(&by, &row)?;
        let reason = read_reason(request.reason)?;
        let block_key = match (&by, reason) {
            (RevokedBy::Key(key), Reason::KeyCompromise) => Some(key.thumbprint()),
            _ => None,
        };
        let evidence = RevocationEvidence {
            issuer: &issuer,
            serial: &serial,
            reason,
            right,
            operator: None,
            comment: None,
        };
        let subject = Some(row.account);
        let revoked = self.record(RecordType::CertificateRevoked, subject, Some(caller), &evidence)?;
        // Both at one time, which is what rows say, too.
        let at = revoked.time;
        let mut records = vec![revoked.ending(row.not_after)];
        if block_key.is_some() {
            let blocked = self.record(RecordType::KeyBlocked, subject, None, &evidence)?;
            records.push(Record { time: at, ..blocked });
        }
        let revocation = RevocationRequest {
            issuer: issuer.clone(),
            serial: serial.clone(),
            reason,
            at,
            block_key,
            operator: None,
        };
        match self.store.certificate_revoke(revocation, records).await? {
            RevocationOutcome::Revoked => {
                metrics::counter!("ingam_revocations_total", "reason" => reason.to_string()).increment(1);
                tracing::info!(%issuer, %serial, %reason, "a certificate was revoked");
                Ok(())
            }
            RevocationOutcome::Already => {
                Err(Error::refusal(ErrorType::AlreadyRevoked, "the certificate was revoked before"))
            }
            RevocationOutcome::Missing => Err(not_ours()),
        }
    }

    /// The certificate on record that these bytes are, to the last bit.
    pub(crate) fn issued(&self, der: &[u8]) -> Result<(IssuerName, Serial, CertificateRow), Error> {
        let parsed = ingam_protocol::certificate::Names::read(der).ok_or_else(|| {
            Error::refusal(ErrorType::Malformed, "\"certificate\" is not the DER of a certificate")
        })?;
        for issuer in self.signer.issuers().iter().filter(|issuer| issuer.subject == parsed.issuer) {
            if let Some(row) = self.store.certificate_by_serial(&issuer.name, &parsed.serial)?
                && row.der[..] == *der
            {
                return Ok((issuer.name.clone(), parsed.serial, row));
            }
        }
        Err(not_ours())
    }

    fn right_to_revoke(&self, by: &RevokedBy, row: &CertificateRow) -> Result<&'static str, Error> {
        match by {
            RevokedBy::Account(account) if account.id == row.account => Ok("account"),
            RevokedBy::Account(account) if self.holds_all_identifiers(account, row)? => Ok("authorizations"),
            RevokedBy::Account(_) => Err(Error::refusal(
                ErrorType::Unauthorized,
                "this account did not order the certificate and does not hold authorizations for all of its names: \
                 sign with the account that did, or with the certificate's key",
            )),
            RevokedBy::Key(key) if key.thumbprint() == row.key_thumbprint[..] => Ok("certificate_key"),
            RevokedBy::Key(_) => Err(Error::refusal(
                ErrorType::Unauthorized,
                "the request is signed by a key that is not the certificate's: sign with that, or by an account (\"kid\")",
            )),
        }
    }

    /// Whether the account has shown control of everything that the certificate is for, and still holds that.
    fn holds_all_identifiers(&self, account: &Account, row: &CertificateRow) -> Result<bool, Error> {
        let now = self.clock.now();
        let Some(order) = self.store.order_by_id(row.order)? else { return Ok(false) };
        for identifier in &order.identifiers {
            let held = self.store.authorizations_covering(account.id, identifier)?;
            if !held.iter().any(|authorization| authorization.status(now) == AuthorizationStatus::Valid) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn read_reason(number: Option<i64>) -> Result<Reason, Error> {
    let Some(number) = number else { return Ok(Reason::Unspecified) };
    u8::try_from(number)
        .ok()
        .and_then(Reason::from_number)
        .filter(|reason| reason.subscriber_may_ask())
        .ok_or_else(|| {
            Error::refusal(
                ErrorType::BadRevocationReason,
                "this reason is not accepted: use 0 (unspecified), 1 (keyCompromise), 3 (affiliationChanged), \
                 4 (superseded) or 5 (cessationOfOperation)",
            )
        })
}

fn not_ours() -> Error {
    Error::refusal(ErrorType::Malformed, "this CA has not issued that certificate")
}
