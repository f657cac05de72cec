//! The signer's side: messages of callers become calls of the signer that has the keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ingam_protocol::profile::{Profile, ProfileName};
use ingam_protocol::transparency::SctList;
use ingam_protocol::{Bytes, Serial};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{
    AdoptMessage, CrlMessage, DelegateMessage, ErrorMessage, FactsMessage, FinishMessage, IssuerMessage,
    NamedProfile, OcspMessage, PrepareMessage, PreparedMessage, ReadyMessage, SignedMessage, entry,
};
use crate::hierarchy::ISSUERS_MAX;
use crate::{
    CertificateRequest, CrlContents, Error, FinalRequest, LocalSigner, OcspAnswer, RESPONDERS_MAX, Signer,
};

/// As many delegates as are made at once: of each issuer, for the signer itself and for each responder apart.
const ROUND_MAX: usize = ISSUERS_MAX * (RESPONDERS_MAX + 1);
/// As many delegates are remembered that are in force no more, for callers that start later.
const REPLACED_MAX: usize = ROUND_MAX;
/// While as many wait for a caller who would put them on record, no others are made.
const UNTOLD_MAX: usize = 4 * ROUND_MAX;

/// What goes back to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body: JSON.
    pub body: Vec<u8>,
}

/// Answers callers. Who they are, and what they may ask, was looked at before.
pub struct Service {
    signer: Arc<LocalSigner>,
    profiles: RwLock<BTreeMap<ProfileName, Arc<Profile>>>,
    /// The delegates that were made in this process, oldest first: all that are in force, all that nobody was told of, and some more.
    delegates: Mutex<Vec<Made>>,
}

/// A delegate that was made.
struct Made {
    message: DelegateMessage,
    /// Whether it was in an answer to somebody.
    is_told: bool,
}

impl Service {
    /// For this signer, by these profiles of its own.
    pub fn new(signer: Arc<LocalSigner>, profiles: impl IntoIterator<Item = Arc<Profile>>) -> Self {
        let service = Self { signer, profiles: RwLock::default(), delegates: Mutex::default() };
        service.replace_profiles(profiles);
        service
    }

    /// From now on these profiles count.
    pub fn replace_profiles(&self, profiles: impl IntoIterator<Item = Arc<Profile>>) {
        let named = profiles.into_iter().map(|profile| (profile.name.clone(), profile)).collect();
        *self.profiles.write().unwrap_or_else(PoisonError::into_inner) = named;
    }

    /// Renews what the signer needs of its own; to be called at the start and then once a minute. What cannot be made is told in
    /// the log, and tried again by the next call.
    pub async fn renew(&self) {
        let untold = self.delegates().iter().filter(|made| !made.is_told).count();
        if untold >= UNTOLD_MAX {
            tracing::error!(
                untold,
                "no OCSP certificates are made any more until the CA has asked for those that there are: they belong on record"
            );
            return;
        }
        let made = self.signer.renew_now().await;
        let mut delegates = self.delegates();
        let new = made.into_iter().map(|made| Made { message: made.into(), is_told: false });
        delegates.extend(new);
        self.forget(&mut delegates);
    }

    /// Forgets the oldest of those that are in force no more and were told.
    fn forget(&self, delegates: &mut Vec<Made>) {
        if delegates.len() <= REPLACED_MAX {
            return;
        }
        let apart = self.signer.delegates_apart();
        let in_force: BTreeSet<&Serial> = apart.iter().map(|delegate| &delegate.serial).collect();
        // The newest of each issuer is what the signer itself signs with.
        let mut own = BTreeSet::new();
        let mut left = REPLACED_MAX;
        let mut kept = Vec::with_capacity(delegates.len());
        for made in delegates.drain(..).rev() {
            let message = &made.message;
            let is_own = message.responder.is_none() && own.insert(message.issuer.clone());
            let is_needed = !made.is_told || is_own || in_force.contains(&message.serial);
            if is_needed || left > 0 {
                left -= usize::from(!is_needed);
                kept.push(made);
            }
        }
        kept.reverse();
        *delegates = kept;
    }

    fn delegates(&self) -> MutexGuard<'_, Vec<Made>> {
        self.delegates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a POST to one of the paths of [`super::Operation`].
    pub async fn answer(&self, path: &str, body: &[u8]) -> Reply {
        let answered = match path {
            "/v1/facts" => self.facts().await.and_then(|facts| written(&facts)),
            "/v1/ready" => self.ready(body).await,
            "/v1/prepare" => self.prepare(body).await,
            "/v1/adopt" => self.adopt(body).await,
            "/v1/finish" => self.finish(body).await,
            "/v1/issue" => self.issue(body).await,
            "/v1/ocsp" => self.ocsp(body).await,
            "/v1/crl" => self.crl(body).await,
            _ => Err(Error::Refused(format!("there is nothing at {path}"))),
        };
        match answered {
            Ok(body) => Reply { status: 200, body },
            Err(error) => Reply::of(&error),
        }
    }

    async fn facts(&self) -> Result<FactsMessage, Error> {
        let delegated = self.signer.delegates_not_after();
        let mut issuers = Vec::new();
        for issuer in self.signer.issuers() {
            let trouble = self.signer.ready(&issuer.name).await.err().map(|error| error.to_string());
            let mut message = IssuerMessage::from(issuer);
            message.trouble = trouble;
            message.ocsp_not_after = self.signer.ocsp_signer_not_after(&issuer.name).ok();
            message.is_delegating = delegated.iter().any(|(name, _)| *name == issuer.name);
            issuers.push(message);
        }
        let told = |made: &mut Made| {
            made.is_told = true;
            made.message.clone()
        };
        let delegates = self.delegates().iter_mut().map(told).collect();
        let apart = self.signer.delegates_apart().into_iter().map(DelegateMessage::from).collect();
        Ok(FactsMessage { issuers, delegates, apart })
    }

    /// The signer's own profile of that name, if it says the same as the caller's.
    fn profile(&self, named: &NamedProfile) -> Result<Arc<Profile>, Error> {
        let profiles = self.profiles.read().unwrap_or_else(PoisonError::into_inner);
        let own = profiles.get(&named.name).ok_or_else(|| {
            Error::Refused(format!(
                "the signer has no profile \"{}\": give both processes the same [profiles], and reload both",
                named.name
            ))
        })?;
        if NamedProfile::of(own) != *named {
            return Err(Error::Refused(format!(
                "the signer's profile \"{}\" says something else than its caller's, or is of another version: give both \
                 processes the same version and [profiles], and reload both",
                named.name
            )));
        }
        Ok(own.clone())
    }

    async fn ready(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let message: ReadyMessage = read(body)?;
        self.signer.ready(&message.issuer).await?;
        written(&message)
    }

    async fn prepare(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let message: PrepareMessage = read(body)?;
        let request = CertificateRequest {
            profile: self.profile(&message.profile)?,
            issuer: message.issuer,
            serial: message.serial,
            identifiers: message.identifiers,
            public_key_info: message.public_key_info.into_vec(),
            must_staple: message.must_staple,
            not_before: message.not_before,
            not_after: message.not_after,
            now: message.now,
        };
        written(&PreparedMessage::from(self.signer.prepare(request).await?))
    }

    async fn adopt(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let AdoptMessage { profile, tbs } = read(body)?;
        let prepared = self.signer.adopt(self.profile(&profile)?, tbs.into_vec()).await?;
        written(&PreparedMessage::from(prepared))
    }

    async fn finish(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let message: FinishMessage = read(body)?;
        let scts = SctList::parse(&message.scts).map_err(|error| Error::Refused(error.to_string()))?;
        let request =
            FinalRequest { issuer: message.issuer, precertificate: message.precertificate.into_vec(), scts };
        written(&PreparedMessage::from(self.signer.finish(request).await?))
    }

    async fn issue(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let message: PreparedMessage = read(body)?;
        let id = message.id().ok_or_else(|| Error::Refused("the id is none: it has 16 bytes".to_owned()))?;
        let kind = message.kind();
        let prepared = self.signer.prepared(id, message.issuer, kind, message.tbs.into_vec())?;
        signed(self.signer.issue(prepared).await?)
    }

    async fn ocsp(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let OcspMessage { issuer, responses, produced_at, nonce } = read(body)?;
        let responses = responses.into_iter().map(Into::into).collect();
        let answer = OcspAnswer { responses, produced_at, nonce: nonce.map(Bytes::into_vec) };
        signed(self.signer.sign_ocsp(&issuer, answer).await?)
    }

    async fn crl(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        let message: CrlMessage = read(body)?;
        let contents = CrlContents {
            number: message.number,
            this_update: message.this_update,
            next_update: message.next_update,
            scope: message.scope.into(),
            entries: message.entries.into_iter().map(entry).collect(),
        };
        signed(self.signer.sign_crl(&message.issuer, contents).await?)
    }
}

impl Reply {
    /// Of an error, with a status that says whether coming again can help.
    pub fn of(error: &Error) -> Self {
        let status = match error {
            Error::Refused(_) => 422,
            Error::UnknownIssuer(_) => 404,
            Error::Unavailable(_) | Error::Away(_) => 503,
            Error::Load(..) => 500,
        };
        // The words alone: whoever reads them puts the kind in front again.
        let detail = match error {
            Error::Refused(words) | Error::Unavailable(words) | Error::Away(words) => words.clone(),
            Error::UnknownIssuer(name) => name.to_string(),
            Error::Load(..) => error.to_string(),
        };
        Self::refusal(status, error.code(), detail)
    }

    /// Of a request that came to no signer.
    pub fn refusal(status: u16, code: &str, detail: String) -> Self {
        let message = ErrorMessage { code: code.to_owned(), detail };
        // Two strings can always be written.
        Self { status, body: serde_json::to_vec(&message).unwrap_or_default() }
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| {
        Error::Refused(format!("the message cannot be read: {error}; is the caller of another version?"))
    })
}

fn written<T: Serialize>(message: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(message)
        .map_err(|error| Error::Unavailable(format!("an answer could not be written: {error}")))
}

fn signed(der: Vec<u8>) -> Result<Vec<u8>, Error> {
    written(&SignedMessage { der: der.into() })
}
