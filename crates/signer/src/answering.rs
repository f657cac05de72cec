//! Who signs OCSP answers: an issuer itself, or a delegate in its place (RFC 6960, section 4.2.2.2), here or in a process apart
//! from the CA, which has no other key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ingam_protocol::ocsp::{self, ResponseData};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Serial, Timestamp};

use crate::ca::SigningCa;
use crate::delegate::Delegate;
use crate::key::{Key, responder_key_hash};
use crate::local::count;
use crate::verified::Delegated;
use crate::{CaKey, Error, Issuer, KeyKind, KeyLocation, OcspAnswer, Passphrase, storage};

/// How far ahead a caller's clock may be.
pub(crate) const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(10 * 60);

/// For how long an OCSP answer or a CRL may be valid (BR 4.9.7 and 4.9.10).
const STATUS_LASTS_MAX: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// The key of a responder apart from its CA. It signs OCSP answers, each under a certificate that an issuer gave it for that.
pub struct AnswerKey(Key);

impl AnswerKey {
    /// Makes a key ready.
    ///
    /// # Errors
    /// [`Error::Load`] if it is none, [`Error::Refused`] if it is not on P-256.
    pub fn new(key: &CaKey) -> Result<Self, Error> {
        let key = Key::of(key)?;
        match key.kind() {
            KeyKind::EcdsaP256 => Ok(Self(key)),
            other => Err(Error::Refused(format!("it is of the kind {}, and not on P-256", other.name()))),
        }
    }

    /// Opens the key at a place: a file that its owner alone may read, or a token (which stops the thread for as long as
    /// [`crate::TokenKey::open`] says). `pin` is for a token whose URI names no file with it.
    ///
    /// # Errors
    /// [`Error::Load`] names the place and says what is wrong there; [`Error::Refused`] as of [`AnswerKey::new`].
    pub fn open(location: &KeyLocation, pin: Option<&Passphrase>) -> Result<Self, Error> {
        let key = match location {
            KeyLocation::File(path) => {
                storage::check_owners_alone(path)?;
                CaKey::Held(storage::key_from_pem(path, &storage::read(path)?)?)
            }
            KeyLocation::Token(key) => {
                let own = key.pin()?;
                CaKey::OnToken(key.open(own.as_ref().or(pin))?)
            }
        };
        Self::new(&key)
    }

    /// What it can sign for an issuer by this certificate (DER); `None` if the issuer did not sign that, or for another key.
    pub fn certified(&self, issuer: &Issuer, certificate: &[u8]) -> Option<AnswerDelegate> {
        // The cheap question first: a list has the certificates of all responders.
        if crate::ca::certified_key(certificate)?.as_slice() != self.0.public_key() {
            return None;
        }
        let Delegated { public_key, serial, not_before, not_after } = issuer.delegated(certificate)?;
        let delegate = Delegate {
            key: self.0.clone(),
            certificate: certificate.to_vec(),
            responder_key_hash: responder_key_hash(&public_key),
            not_before,
            not_after,
            serial,
        };
        Some(AnswerDelegate { issuer: issuer.name.clone(), delegate: Arc::new(delegate) })
    }
}

/// An issuer's leave to answer in its place, with the key.
#[derive(Clone)]
pub struct AnswerDelegate {
    issuer: IssuerName,
    delegate: Arc<Delegate>,
}

impl AnswerDelegate {
    /// The serial number of its certificate.
    pub fn serial(&self) -> &Serial {
        &self.delegate.serial
    }

    /// The first second of its certificate.
    pub fn not_before(&self) -> Timestamp {
        self.delegate.not_before
    }

    /// The last second of its certificate.
    pub fn not_after(&self) -> Timestamp {
        self.delegate.not_after
    }

    /// Whether [`AnswerDelegate::sign_ocsp`] waits for nothing and takes microseconds.
    pub fn signs_at_once(&self) -> bool {
        self.delegate.key.signs_at_once()
    }

    /// Signs an OCSP answer and gives the DER of the whole OCSPResponse. It is counted as those of a CA are.
    ///
    /// # Errors
    /// [`Error::Refused`] if the answer would outlive its certificate; [`Error::Unavailable`] if the key could not be used.
    pub async fn sign_ocsp(&self, answer: OcspAnswer, now: Timestamp) -> Result<Vec<u8>, Error> {
        let started = Instant::now();
        let responder = Responder::Delegate(Arc::clone(&self.delegate));
        responder.check(&answer, now)?;
        let response = responder.sign(answer).await?;
        count("ocsp", &self.issuer, started);
        Ok(response)
    }
}

/// Whose key an OCSP answer is signed with.
pub(crate) enum Responder {
    Issuer(Arc<SigningCa>),
    Delegate(Arc<Delegate>),
}

impl Responder {
    pub(crate) fn not_after(&self) -> Timestamp {
        match self {
            Self::Issuer(ca) => ca.issuer.not_after,
            Self::Delegate(delegate) => delegate.not_after,
        }
    }

    pub(crate) fn key(&self) -> &Key {
        match self {
            Self::Issuer(ca) => &ca.key,
            Self::Delegate(delegate) => &delegate.key,
        }
    }

    /// Builds and signs an answer.
    pub(crate) async fn sign(&self, answer: OcspAnswer) -> Result<Vec<u8>, Error> {
        let (responder_key_hash, key, certificate) = match self {
            Self::Issuer(ca) => (ca.responder_key_hash, &ca.key, None),
            Self::Delegate(delegate) => {
                (delegate.responder_key_hash, &delegate.key, Some(delegate.certificate.as_slice()))
            }
        };
        let OcspAnswer { responses, produced_at, nonce } = answer;
        let tbs = ResponseData { responder_key_hash, produced_at, responses, nonce }.encode();
        let signature = key.sign(&tbs).await?;
        Ok(ocsp::successful(&tbs, key.algorithm().identifier(), &signature, certificate))
    }

    /// Refuses what a client would refuse: an answer that outlives who signed it (RFC 6960, section 4.2.2.2).
    pub(crate) fn check(&self, answer: &OcspAnswer, now: Timestamp) -> Result<(), Error> {
        let refuse = |why: &str| Err(Error::Refused(format!("the OCSP answer {why}")));
        if answer.responses.is_empty() {
            return refuse("says nothing of any certificate");
        }
        if answer.responses.iter().any(|response| response.next_update > self.not_after()) {
            return refuse("would be valid longer than the certificate that signs it");
        }
        if answer.responses.iter().any(|response| response.next_update < response.this_update) {
            return refuse("would end before it begins");
        }
        for response in &answer.responses {
            check_dates(
                "OCSP answer",
                response.this_update.max(answer.produced_at),
                response.next_update,
                now,
            )?;
        }
        match self {
            Self::Delegate(delegate) if answer.produced_at < delegate.not_before => {
                refuse("is dated before the certificate that signs it")
            }
            _ => Ok(()),
        }
    }
}

/// What is said of a certificate now is not said for the time to come: whoever asks for such words may have been taken over.
pub(crate) fn check_dates(
    what: &str,
    from: Timestamp,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    if from > now.plus(CLOCK_DIFFERENCE_MAX) {
        return Err(Error::Refused(format!(
            "the {what} would be of {from}, and it is {now} here: set the clocks of both machines"
        )));
    }
    if until.since(from) > STATUS_LASTS_MAX {
        return Err(Error::Refused(format!(
            "the {what} would be valid for more than 10 days (BR 4.9.7, 4.9.10)"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
