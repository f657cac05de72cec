//! Steps 2 and 3: from a claimed order to a certificate on record.

use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::acme::{Claim, ErrorType, Failure, FinalBytes, Order};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::{Bytes, Id, Serial, Timestamp, transparency};
use ingam_signer::{FinalRequest, Kind, Prepared};
use ingam_store::{AbandonedBy, NewCertificate, Stale};
use ingam_transparency::Submission;
use tracing::{Instrument, debug_span};

use crate::Authority;
use crate::error::{Error, Fault};
use crate::evidence::{
    AbandonedEvidence, AskedEvidence, CertificateAskedEvidence, IssuedEvidence, PrecertificateEvidence,
};

/// The shortest time after which logs are asked again that gave no SCTs.
pub(super) const LOGS_PAUSE_MIN: Duration = Duration::from_secs(5);

/// How long a precertificate may wait for logs before its order fails and its serial number is revoked. Clients have left long
/// before.
const LOGS_WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// What stays the same of an issuance from its claim on.
#[derive(Clone)]
pub(super) struct Issuance {
    pub(super) id: Id,
    /// The lease's.
    pub(super) token: Id,
    pub(super) issuer: IssuerName,
    pub(super) serial: Serial,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
}

impl Issuance {
    /// From a claim alone, which does not say from when the certificate is valid: whoever needs that reads it.
    pub(super) fn resumed(id: Id, token: Id, claim: &Claim) -> Self {
        Self {
            id,
            token,
            issuer: claim.issuer.clone(),
            serial: claim.serial.clone(),
            not_before: Timestamp::default(),
            not_after: claim.not_after,
        }
    }

    fn of(id: Id, token: Id, prepared: &Prepared) -> Self {
        Self {
            id,
            token,
            issuer: prepared.issuer().clone(),
            serial: prepared.serial().clone(),
            not_before: prepared.not_before(),
            not_after: prepared.not_after(),
        }
    }
}

impl Authority {
    /// Steps 2 to the end, in a task that goes on even if the client leaves; waits for it only so long.
    pub(super) async fn finish_in_time(
        self: &Arc<Self>,
        id: Id,
        token: Id,
        prepared: Prepared,
    ) -> Result<(), Error> {
        let authority = self.clone();
        self.in_time(async move { authority.sign(id, token, prepared).await }).await
    }

    /// Work on an order, in a task that goes on even if the client leaves; waits for it only so long.
    pub(super) async fn in_time(
        self: &Arc<Self>,
        work: impl Future<Output = Result<(), Error>> + Send + 'static,
    ) -> Result<(), Error> {
        let held = self.in_hand.hold();
        let work = async move {
            let _held = held;
            work.await
        };
        let task = tokio::spawn(work.in_current_span());
        match tokio::time::timeout(self.policy().finalize_wait, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(cause)) => Err(Error::Fault(Fault {
                code: "issuance_task",
                doing: "finishing an order",
                passing: false,
                source: Box::new(cause),
            })),
            // The client sees `processing` and asks again.
            Err(_) => Ok(()),
        }
    }

    /// Step 2: on record that the signer is asked, the signature, on record that it is there. Then, for a precertificate,
    /// step 3.
    pub(crate) async fn sign(&self, id: Id, token: Id, prepared: Prepared) -> Result<(), Error> {
        let issuance = Issuance::of(id, token, &prepared);
        let Issuance { issuer, serial, .. } = &issuance;
        if let Err(cause) = self.signer.ready(issuer).await {
            return self.give_back(&issuance, &cause).await;
        }
        let evidence = AskedEvidence { order: id, token, issuer, serial };
        let record = self.issuance_record(RecordType::SignatureAsked, &issuance, &evidence)?;
        if self.store.order_ask(id, token, record.time, record).await? == Err(Stale) {
            // The key was not used. Nothing is given up here if somebody else has the order; else it must not go on.
            let why = "what the claim looked at has changed, or somebody else has the order";
            return self.abandon(id, AbandonedBy::Holder(token), why, false).await;
        }
        let (kind, tbs) = (prepared.kind(), prepared.tbs().to_vec());
        let der = self.use_key(&issuance, prepared).await?;
        match kind {
            Kind::Certificate => self.complete(&issuance, der).await,
            Kind::Precertificate => {
                if self.precertify(&issuance, der.clone()).await? {
                    return self.log_and_finish(&issuance, der, tbs).await;
                }
                Ok(())
            }
        }
    }

    /// The signature; without one, the order ends.
    async fn use_key(&self, issuance: &Issuance, prepared: Prepared) -> Result<Vec<u8>, Error> {
        let signing = self.signer.issue(prepared).instrument(debug_span!("signer", doing = "issue"));
        match signing.await {
            Ok(der) => Ok(der),
            Err(cause) => {
                let error = Error::signer("signing a certificate", cause);
                let by = AbandonedBy::Holder(issuance.token);
                self.abandon(issuance.id, by, "the signer did not sign", true).await?;
                metrics::counter!("ingam_orders_total", "outcome" => "failed").increment(1);
                Err(error)
            }
        }
    }

    /// Puts the signed precertificate on record. Whether it was still waited for.
    async fn precertify(&self, issuance: &Issuance, der: Vec<u8>) -> Result<bool, Error> {
        let Issuance { id, token, issuer, serial, .. } = issuance;
        let der: Bytes = der.into();
        let signed = PrecertificateEvidence { order: *id, issuer, serial, precertificate: der.clone() };
        let record = self.issuance_record(RecordType::PrecertificateIssued, issuance, &signed)?;
        let late = self.late(issuance, der.clone())?;
        let lease_until = self.clock.now().plus(self.policy().lease);
        let outcome = self.store.order_precertify(*id, *token, der, lease_until, record, late).await?;
        if outcome.is_err() {
            metrics::counter!("ingam_orders_total", "outcome" => "late").increment(1);
            tracing::warn!(order = %id, %issuer, %serial, "a precertificate was signed too late");
        }
        Ok(outcome.is_ok())
    }

    /// Step 3: SCTs for the precertificate, the bytes of the certificate on record together with that the signer is asked,
    /// the signature, on record that it is there. Where logs or signer are not there, the order is left to be taken up again.
    pub(super) async fn log_and_finish(
        &self,
        issuance: &Issuance,
        der: Vec<u8>,
        tbs: Vec<u8>,
    ) -> Result<(), Error> {
        let Issuance { id, token, issuer, serial, .. } = issuance;
        let Some(order) = self.store.order_by_id(*id)? else { return Ok(()) };
        let prepared = match self.finished(issuance, der, &tbs).await {
            Ok(prepared) => prepared,
            Err(Unfinished::NotNow) => return self.leave_to_logs(issuance, &order).await,
            Err(Unfinished::Away(cause)) => return self.give_back(issuance, &cause).await,
            Err(Unfinished::TakenOver) => return Ok(()),
            Err(Unfinished::Failed(fault)) => return Err(fault),
            Err(Unfinished::Never(why)) => {
                return self.abandon(*id, AbandonedBy::Holder(*token), why, true).await;
            }
        };
        let evidence = CertificateAskedEvidence {
            order: *id,
            token: *token,
            issuer,
            serial,
            tbs: prepared.tbs().into(),
        };
        let record = self.issuance_record(RecordType::CertificateAsked, issuance, &evidence)?;
        let bytes = FinalBytes { tbs: prepared.tbs().into(), asked: record.time };
        if self.store.order_finish(*id, *token, bytes, record).await? == Err(Stale) {
            let why = "what the claim looked at has changed, or somebody else has the order";
            return self.abandon(*id, AbandonedBy::Holder(*token), why, true).await;
        }
        let certificate = self.use_key(issuance, prepared).await?;
        self.complete(issuance, certificate.clone()).await?;
        if let (Some(logs), Ok(submission)) = (&self.transparency, self.submission(issuer, certificate)) {
            logs.publish(submission);
        }
        Ok(())
    }

    /// The prepared certificate that belongs to a precertificate.
    async fn finished(&self, issuance: &Issuance, der: Vec<u8>, tbs: &[u8]) -> Result<Prepared, Unfinished> {
        let id = issuance.id;
        let Some(logs) = &self.transparency else {
            tracing::error!(order = %id, "a precertificate waits for logs, and none are configured: add [transparency]");
            return Err(Unfinished::NotNow);
        };
        let Ok(submission) = self.submission(&issuance.issuer, der) else {
            return Err(Unfinished::Never("its precertificate cannot be submitted to logs"));
        };
        let asking = logs.scts(&submission).instrument(debug_span!("transparency", doing = "scts"));
        let scts = match asking.await {
            Ok(scts) => scts,
            Err(cause) => {
                let error = &cause as &dyn std::error::Error;
                tracing::error!(order = %id, code = cause.code(), error, "no SCTs: logs are asked again in a while");
                return Err(Unfinished::NotNow);
            }
        };
        // Whoever took the order over meanwhile has other promises, and its bytes would make room for these.
        if !self.holds(issuance).map_err(Unfinished::Failed)? {
            return Err(Unfinished::TakenOver);
        }
        let request = FinalRequest {
            issuer: issuance.issuer.clone(),
            precertificate: tbs.to_vec(),
            scts: scts.clone(),
        };
        let finishing = self.signer.finish(request).instrument(debug_span!("signer", doing = "finish"));
        let prepared = match finishing.await {
            Ok(prepared) => prepared,
            Err(cause) if is_passing(&cause) => return Err(Unfinished::Away(cause)),
            Err(cause) => {
                tracing::error!(order = %id, error = &cause as &dyn std::error::Error, "the signer makes no certificate");
                return Err(Unfinished::Never("the signer made no certificate of its precertificate"));
            }
        };
        // Once more, by those who do not hold the key (RFC 6962, section 3.1).
        if transparency::with_scts(tbs, &scts).ok().as_deref() != Some(prepared.tbs()) {
            return Err(Unfinished::Never("the certificate is not its precertificate with the SCTs"));
        }
        self.signer.ready(&issuance.issuer).await.map_err(Unfinished::Away)?;
        Ok(prepared)
    }

    /// What logs are shown: a certificate with its whole chain.
    fn submission(&self, issuer: &IssuerName, der: Vec<u8>) -> Result<Submission, ingam_transparency::Error> {
        let issuer = self.signer.issuers().iter().find(|known| known.name == *issuer);
        let chain = issuer.map_or(Vec::new(), |issuer| {
            issuer.chain.iter().chain(std::iter::once(&issuer.root)).cloned().collect()
        });
        Submission::new(der, chain)
    }

    /// The end: the certificate is on record with status good, and the order is valid.
    async fn complete(&self, issuance: &Issuance, der: Vec<u8>) -> Result<(), Error> {
        let Issuance { id, token, issuer, serial, .. } = issuance;
        let der: Bytes = der.into();
        let issued = IssuedEvidence { order: *id, issuer, serial, certificate: der.clone() };
        let record = self.issuance_record(RecordType::CertificateIssued, issuance, &issued)?;
        let late = self.late(issuance, der.clone())?;
        let certificate = NewCertificate { der, not_before: issuance.not_before, issued: record.time };
        let outcome = self.store.order_complete(*id, *token, certificate, record, late).await?;
        let label = if outcome.is_ok() { "issued" } else { "late" };
        tracing::info!(order = %id, %issuer, %serial, outcome = label, "a certificate was signed");
        metrics::counter!("ingam_orders_total", "outcome" => label).increment(1);
        Ok(())
    }

    /// What goes on record of a signature for which nobody waits any more.
    fn late(&self, issuance: &Issuance, signed: Bytes) -> Result<Record, Error> {
        let evidence = AbandonedEvidence {
            order: issuance.id,
            issuer: &issuance.issuer,
            serial: &issuance.serial,
            why: "the signature came after the lease had run out",
            asked: true,
            certificate: Some(signed),
        };
        self.issuance_record(RecordType::IssuanceAbandoned, issuance, &evidence)
    }

    fn issuance_record<T: serde::Serialize>(
        &self,
        kind: RecordType,
        issuance: &Issuance,
        evidence: &T,
    ) -> Result<Record, Error> {
        Ok(self.record(kind, None, None, evidence)?.ending(issuance.not_after))
    }

    /// The signer is not there, and was not asked: the order goes on when it is back.
    pub(super) async fn give_back(
        &self,
        issuance: &Issuance,
        cause: &ingam_signer::Error,
    ) -> Result<(), Error> {
        tracing::warn!(
            order = %issuance.id,
            error = cause as &dyn std::error::Error,
            "the signer is not there: an order waits for it"
        );
        // Whoever else has it meanwhile has it.
        let _ = self.store.order_release(issuance.id, issuance.token, self.clock.now()).await?;
        self.signer_missed.notify_one();
        Ok(())
    }

    /// Whether the lease is in force.
    fn holds(&self, issuance: &Issuance) -> Result<bool, Error> {
        let order = self.store.order_by_id(issuance.id)?;
        Ok(order.and_then(|order| order.claim).is_some_and(|claim| claim.token == issuance.token))
    }

    /// Logs are not there: they are asked again after half as long as the order has waited already, and before its lease would
    /// have run out; once it has waited for an hour, it ends.
    async fn leave_to_logs(&self, issuance: &Issuance, order: &Order) -> Result<(), Error> {
        let now = self.clock.now();
        let waited = now.since(order.asked.unwrap_or(now));
        if waited > LOGS_WAIT_MAX {
            let why = "logs gave no SCTs for an hour";
            metrics::counter!("ingam_orders_total", "outcome" => "abandoned").increment(1);
            return self.abandon(issuance.id, AbandonedBy::Holder(issuance.token), why, true).await;
        }
        let pause = (waited / 2).max(LOGS_PAUSE_MIN).min(self.policy().lease);
        // Whoever else has it meanwhile has it.
        let _ = self.store.order_release(issuance.id, issuance.token, now.plus(pause)).await?;
        self.logs_missed.notify_one();
        Ok(())
    }

    pub(super) async fn abandon(
        &self,
        id: Id,
        by: AbandonedBy,
        why: &'static str,
        asked: bool,
    ) -> Result<(), Error> {
        let Some(order) = self.store.order_by_id(id)? else { return Ok(()) };
        let Some(claim) = order.claim.as_ref() else { return Ok(()) };
        let evidence = AbandonedEvidence {
            order: id,
            issuer: &claim.issuer,
            serial: &claim.serial,
            why,
            asked,
            certificate: None,
        };
        let record = self
            .record(RecordType::IssuanceAbandoned, Some(order.account), None, &evidence)?
            .ending(claim.not_after);
        let failure = Failure {
            error: ErrorType::ServerInternal,
            detail: "the certificate could not be made: make a new order".to_owned(),
        };
        // Whoever else ended it meanwhile ended it well enough.
        let _ = self.store.order_abandon(id, by, failure, record.time, record).await?;
        tracing::warn!(order = %id, why, asked, "an issuance was given up");
        Ok(())
    }
}

/// Whether the signer can be asked again later: it is away, or cannot write or sign now.
pub(super) fn is_passing(cause: &ingam_signer::Error) -> bool {
    matches!(cause, ingam_signer::Error::Away(_) | ingam_signer::Error::Unavailable(_))
}

/// Why there is no certificate for a precertificate.
enum Unfinished {
    /// Logs are not there; they are asked again in a while.
    NotNow,
    /// The signer is not there; it is asked again when it is back.
    Away(ingam_signer::Error),
    /// The lease ran out, and somebody else has the order.
    TakenOver,
    /// The store fails; the order is taken up when the lease has run out.
    Failed(Error),
    /// There will be none: the serial number is revoked.
    Never(&'static str),
}
