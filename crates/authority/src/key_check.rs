//! Keys that are refused whoever has them: by the operator's lists, and by what operators and holders blocked.
//!
//! What a key shows of itself was checked when it was read ([`ingam_protocol::key`]).

use ingam_protocol::acme::ErrorType;
use ingam_protocol::key::{BadKey, KeyFlaw, PublicKey};

use crate::Authority;
use crate::error::Error;

/// Counts and logs a key that was refused.
///
/// Metrics: `ingam_keys_refused_total{reason}`, by the codes of [`KeyFlaw`].
pub fn key_refused(flaw: KeyFlaw) {
    metrics::counter!("ingam_keys_refused_total", "reason" => flaw.code()).increment(1);
    tracing::info!(reason = flaw.code(), "a key was refused");
}

/// The refusal of a bad key: of an account's as `badPublicKey`, of a CSR's as `badCSR` (RFC 8555, section 6.7).
pub(crate) fn bad_key(error: ErrorType, bad: &BadKey) -> Error {
    key_refused(bad.flaw());
    Error::refusal(error, bad.to_string())
}

/// The refusal of a key that is blocked.
pub(crate) fn blocked_key(error: ErrorType) -> Error {
    key_refused(KeyFlaw::Blocked);
    let whose = if error == ErrorType::BadCsr { "the CSR's key" } else { "this key" };
    Error::refusal(error, format!("{whose} is known to be compromised: make a new one"))
}

impl Authority {
    /// Whether a key may not be used, neither by an account nor in a certificate: it is blocked, or on one of the operator's
    /// lists.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn key_is_blocked(&self, key: &PublicKey) -> Result<bool, Error> {
        Ok(self.policy().weak_keys.check(key).is_err() || self.store.key_is_blocked(key)?)
    }

    /// Refuses such a key in the words that fit.
    pub(crate) fn refuse_key(&self, key: &PublicKey, error: ErrorType) -> Result<(), Error> {
        self.policy().weak_keys.check(key).map_err(|bad| bad_key(error, &bad))?;
        if self.store.key_is_blocked(key)? {
            return Err(blocked_key(error));
        }
        Ok(())
    }
}
