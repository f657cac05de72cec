//! Counters. None of them knows who asked or for what.

use metrics::{Counter, counter};

use ingam_protocol::ocsp::{CertStatus, ErrorStatus};

/// Handles of all counters, taken once: looking one up by its name takes longer than answering.
pub(crate) struct Counters {
    good: Counter,
    revoked: Counter,
    unauthorized: Counter,
    malformed_request: Counter,
    try_later: Counter,
    internal_error: Counter,
    pub(crate) from_memory: Counter,
    pub(crate) from_advance: Counter,
    pub(crate) from_signer: Counter,
    pub(crate) presigned: Counter,
    pub(crate) refresh_failed: Counter,
    pub(crate) signing_failed: Counter,
    pub(crate) crl_signed: Counter,
    pub(crate) crl_failed: Counter,
    pub(crate) events_recorded: Counter,
    pub(crate) record_failed: Counter,
}

impl Counters {
    /// Handles from the recorder that is installed now.
    pub(crate) fn new() -> Self {
        const RESPONSES: &str = "ingam_ocsp_responses_total";
        const SOURCE: &str = "ingam_ocsp_source_total";
        Self {
            good: counter!(RESPONSES, "status" => "good"),
            revoked: counter!(RESPONSES, "status" => "revoked"),
            unauthorized: counter!(RESPONSES, "status" => "unauthorized"),
            malformed_request: counter!(RESPONSES, "status" => "malformed_request"),
            try_later: counter!(RESPONSES, "status" => "try_later"),
            internal_error: counter!(RESPONSES, "status" => "internal_error"),
            from_memory: counter!(SOURCE, "source" => "memory"),
            from_advance: counter!(SOURCE, "source" => "in_advance"),
            from_signer: counter!(SOURCE, "source" => "signed"),
            presigned: counter!("ingam_ocsp_presigned_total"),
            refresh_failed: counter!("ingam_ocsp_refresh_failed_total"),
            signing_failed: counter!("ingam_ocsp_signing_failed_total"),
            crl_signed: counter!("ingam_crl_signed_total"),
            crl_failed: counter!("ingam_crl_failed_total"),
            events_recorded: counter!("ingam_signing_events_recorded_total"),
            record_failed: counter!("ingam_signing_events_record_failed_total"),
        }
    }

    /// Counts an answer with this status.
    pub(crate) fn answered(&self, status: CertStatus) {
        match status {
            CertStatus::Good => self.good.increment(1),
            CertStatus::Revoked { .. } => self.revoked.increment(1),
        }
    }

    /// Counts an error.
    pub(crate) fn refused(&self, error: ErrorStatus) {
        match error {
            ErrorStatus::MalformedRequest => self.malformed_request.increment(1),
            ErrorStatus::InternalError | ErrorStatus::SigRequired => self.internal_error.increment(1),
            ErrorStatus::TryLater => self.try_later.increment(1),
            ErrorStatus::Unauthorized => self.unauthorized.increment(1),
        }
    }
}
