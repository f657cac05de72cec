//! What a responder apart from its CA has in the place of a store and a signer: the CA's tables, what the last manifest says beside
//! them, and perhaps a key of its own.
//!
//! With a key it says nothing that the CA has not said: a status is what the tables have; an answer holds from the moment up to which
//! the CA knew, and at most as long as the CA's own about that certificate. Nothing is signed without a certificate that the last
//! manifest lists, nor once that manifest has expired.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use ingam_protocol::crl::{self, Scope};
use ingam_protocol::ocsp::CertStatus;
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::{Clock, Serial, Shard, Timestamp};
use ingam_signer::{
    AnswerDelegate, AnswerKey, CertificateRequest, CrlContents, DelegateCertificate, Error, FinalRequest,
    Issuer, OcspAnswer, Prepared, Signer,
};
use tokio::sync::broadcast;

use super::manifest::{ListedDelegate, Manifest};
use super::signed::SignedFiles;
use crate::config::Settings;
use crate::corpus::{Corpus, Told};
use crate::ocsp::{PERIOD_MIN, Period};
use crate::statuses::{IssuedPage, ShardsInUse, SigningEvent, Status, StatusChange, StatusError, Statuses};

/// Everything that answers are made of.
pub(crate) struct Apart {
    issuers: Vec<Issuer>,
    corpus: Arc<Corpus>,
    key: Option<AnswerKey>,
    current: ArcSwap<Current>,
}

/// What the manifest says that is answered from. It is put in place as one, after its tables: who signs by it, and finds it in place
/// still, has said nothing that was not so by then.
#[derive(Clone, Default)]
struct Current {
    /// The manifest's number, which is the generation of statuses here.
    sequence: u64,
    known_at: Timestamp,
    expires_at: Timestamp,
    /// Rises when certificates come or go: answers that were kept are signed anew then.
    epoch: u64,
    /// What is listed, and what of it holds.
    listed: Vec<ListedDelegate>,
    delegates: BTreeMap<IssuerName, AnswerDelegate>,
}

/// What the CA says of a certificate.
struct Known {
    told: Told,
    /// Since when it says so.
    this_update: Timestamp,
    /// Until when it says so.
    next_update: Timestamp,
}

impl Apart {
    /// With empty tables.
    pub(crate) fn new(issuers: Vec<Issuer>, corpus: Corpus, key: Option<AnswerKey>) -> Self {
        Self { issuers, corpus: Arc::new(corpus), key, current: ArcSwap::default() }
    }

    pub(crate) fn corpus(&self) -> &Arc<Corpus> {
        &self.corpus
    }

    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Until when it may answer for each issuer; nothing without a key.
    pub(crate) fn delegates_not_after(&self) -> BTreeMap<IssuerName, Option<Timestamp>> {
        let current = self.current.load();
        let until = |issuer: &Issuer| {
            let delegate = current.delegates.get(&issuer.name);
            (issuer.name.clone(), delegate.map(AnswerDelegate::not_after))
        };
        self.issuers.iter().filter(|_| self.has_key()).map(until).collect()
    }

    /// Goes by this manifest from now on, whose tables are in place.
    pub(crate) fn follow(&self, manifest: &Manifest) {
        let last = self.current.load_full();
        let is_same = last.listed == manifest.delegates;
        let delegates = match is_same {
            true => last.delegates.clone(),
            false => self.certified(manifest),
        };
        for issuer in last.delegates.keys().filter(|issuer| !delegates.contains_key(*issuer)) {
            tracing::warn!(
                %issuer,
                "the CA lists no certificate any more for this responder's key: nothing is signed here for that issuer"
            );
        }
        for (issuer, delegate) in &delegates {
            if last.delegates.get(issuer).is_some_and(|last| last.serial() == delegate.serial()) {
                continue;
            }
            let (serial, not_after) = (delegate.serial(), delegate.not_after());
            tracing::info!(%issuer, %serial, %not_after, "answers are signed here by a certificate of this responder's");
        }
        self.corpus.settle(manifest.sequence);
        self.current.store(Arc::new(Current {
            sequence: manifest.sequence,
            known_at: manifest.known_at,
            expires_at: manifest.expires_at,
            epoch: if is_same { last.epoch } else { manifest.sequence },
            listed: manifest.delegates.clone(),
            delegates,
        }));
    }

    /// For each issuer the certificate of this responder's key that lasts longest, of those that the issuer has signed.
    fn certified(&self, manifest: &Manifest) -> BTreeMap<IssuerName, AnswerDelegate> {
        let mut delegates: BTreeMap<IssuerName, AnswerDelegate> = BTreeMap::new();
        let Some(key) = &self.key else { return delegates };
        for listed in &manifest.delegates {
            let issuer = self.issuers.iter().find(|issuer| issuer.name == listed.issuer);
            let found = issuer.and_then(|issuer| key.certified(issuer, &listed.certificate));
            let Some(found) = found else { continue };
            let known = delegates.get(&listed.issuer);
            if known.is_none_or(|known| known.not_after() < found.not_after()) {
                delegates.insert(listed.issuer.clone(), found);
            }
        }
        delegates
    }

    /// Whether an answer for an issuer could be signed now.
    pub(crate) fn can_sign(&self, issuer: &IssuerName, now: Timestamp) -> bool {
        let current = self.current.load();
        let delegate = current.delegates.get(issuer);
        let is_valid = |delegate: &AnswerDelegate| {
            delegate.not_before() <= now && now.plus(PERIOD_MIN) <= delegate.not_after()
        };
        now <= current.expires_at && delegate.is_some_and(is_valid)
    }

    /// From when until when this status may be told of a certificate (RFC 6960, section 4.2.2.1); `None` if it may not.
    pub(crate) fn period(
        &self,
        issuer: &IssuerName,
        (serial, status): (&Serial, CertStatus),
        now: Timestamp,
        settings: &Settings,
    ) -> Option<Period> {
        let current = self.current.load();
        let delegate = current.delegates.get(issuer)?;
        let known = self.known(issuer, serial).filter(|known| known.told == Told::Status(status))?;
        let this_update = known.this_update.max(current.known_at).min(now).whole_second();
        let ends = known.next_update.min(delegate.not_after()).whole_second();
        let next_update = this_update.plus(settings.ocsp_validity).min(ends);
        let usual = Period::new(this_update, next_update, settings.ocsp_refresh);
        // What cannot be signed anew is given as long as it is valid, as what the CA has signed is.
        (next_update.since(now) >= PERIOD_MIN).then_some(Period { old_at: next_update, ..usual })
    }

    /// What the tables of all hashes say of a certificate: one that is revoked in any of them is revoked.
    fn known(&self, issuer: &IssuerName, serial: &Serial) -> Option<Known> {
        let rank = |told: Told| match told {
            Told::Status(CertStatus::Good) => 0,
            Told::Withdrawn => 1,
            Told::Status(CertStatus::Revoked { .. }) => 2,
        };
        let own = self.corpus.series().iter().filter(|series| series.owner.issuer == *issuer);
        let found = own.filter_map(|series| {
            let shelf = series.shelf();
            let (table, entry) = shelf.find(serial)?;
            let signer = table.signers.get(usize::from(entry.signer))?;
            let (told, this_update) = (entry.told, entry.this_update);
            Some(Known { told, this_update, next_update: signer.next_update(this_update) })
        });
        found.max_by_key(|known| (rank(known.told), known.next_update))
    }
}

/// The statuses of those certificates that there are answers about, and the record of what is signed here.
pub(crate) struct ApartStatuses {
    apart: Arc<Apart>,
    signed: Option<SignedFiles>,
}

impl ApartStatuses {
    /// Without a place for it, nothing may be signed.
    pub(crate) fn new(apart: Arc<Apart>, signed: Option<SignedFiles>) -> Self {
        Self { apart, signed }
    }
}

fn none(doing: &'static str) -> StatusError {
    StatusError::new(doing, "this responder has no store")
}

#[async_trait]
impl Statuses for ApartStatuses {
    fn status(&self, issuer: &IssuerName, serial: &Serial) -> Result<Option<Status>, StatusError> {
        match self.apart.known(issuer, serial).map(|known| known.told) {
            None => Ok(None),
            // When its certificate ends is not known here; the CA leaves it out of the tables then.
            Some(Told::Status(status)) => {
                let (not_after, generation) =
                    (Timestamp::from_unix_s(u32::MAX.into()), self.apart.current.load().epoch);
                Ok(Some(Status { status, not_after, generation }))
            }
            Some(Told::Withdrawn) => Err(StatusError::new(
                "reading a status",
                "its answer was withdrawn, and there is no other yet",
            )),
        }
    }

    fn generation(&self) -> u64 {
        self.apart.current.load().sequence
    }

    fn changes(&self) -> broadcast::Receiver<StatusChange> {
        broadcast::channel(1).1
    }

    fn issued(&self, _: &IssuerName, _: Option<&Serial>, _: usize) -> Result<IssuedPage, StatusError> {
        Err(none("reading what was issued"))
    }

    fn shards(&self, _: &IssuerName) -> Result<ShardsInUse, StatusError> {
        Ok(ShardsInUse::default())
    }

    fn revoked_generation(&self, _: &IssuerName, _: Option<Shard>) -> Result<u64, StatusError> {
        Err(none("reading when something was last revoked"))
    }

    fn revoked(
        &self,
        _: &IssuerName,
        _: Scope,
        _: Option<&Serial>,
        _: Timestamp,
        _: usize,
    ) -> Result<Vec<crl::Entry>, StatusError> {
        Err(none("reading what is revoked"))
    }

    async fn crl_number(&self, _: &IssuerName, _: Option<Shard>, _: u64) -> Result<u64, StatusError> {
        Err(none("taking a CRL's number"))
    }

    /// In files of its own: there is no store.
    async fn record_signed(&self, events: Vec<SigningEvent>) -> Result<(), StatusError> {
        const DOING: &str = "recording signatures";
        let signed = self.signed.as_ref().ok_or_else(|| none(DOING))?;
        signed.append(events).await.map_err(|cause| StatusError::new(DOING, cause))
    }
}

/// A signer that signs nothing but answers, and these where the CA lets it.
pub(crate) struct ApartSigner {
    apart: Arc<Apart>,
    clock: Arc<dyn Clock>,
}

impl ApartSigner {
    pub(crate) fn new(apart: Arc<Apart>, clock: Arc<dyn Clock>) -> Self {
        Self { apart, clock }
    }

    fn delegate(&self, issuer: &IssuerName) -> Result<AnswerDelegate, Error> {
        let current = self.apart.current.load();
        current.delegates.get(issuer).cloned().ok_or_else(|| {
            Error::Away(format!(
                "the CA lists no certificate of the issuer '{issuer}' for this responder's key"
            ))
        })
    }
}

fn away<T>() -> Result<T, Error> {
    Err(Error::Away("this responder has no key of the CA".to_owned()))
}

#[async_trait]
impl Signer for ApartSigner {
    fn issuers(&self) -> &[Issuer] {
        &self.apart.issuers
    }

    async fn ready(&self, _: &IssuerName) -> Result<(), Error> {
        away()
    }

    async fn prepare(&self, _: CertificateRequest) -> Result<Prepared, Error> {
        away()
    }

    async fn adopt(&self, _: Arc<Profile>, _: Vec<u8>) -> Result<Prepared, Error> {
        away()
    }

    async fn finish(&self, _: FinalRequest) -> Result<Prepared, Error> {
        away()
    }

    async fn issue(&self, _: Prepared) -> Result<Vec<u8>, Error> {
        away()
    }

    async fn renew(&self) -> Result<Vec<DelegateCertificate>, Error> {
        away()
    }

    fn delegates_not_after(&self) -> Vec<(IssuerName, Option<Timestamp>)> {
        Vec::new()
    }

    fn ocsp_signer_not_after(&self, issuer: &IssuerName) -> Result<Timestamp, Error> {
        self.delegate(issuer).map(|delegate| delegate.not_after())
    }

    fn signs_at_once(&self, issuer: &IssuerName) -> bool {
        let current = self.apart.current.load();
        current.delegates.get(issuer).is_some_and(AnswerDelegate::signs_at_once)
    }

    async fn sign_ocsp(&self, issuer: &IssuerName, answer: OcspAnswer) -> Result<Vec<u8>, Error> {
        self.delegate(issuer)?.sign_ocsp(answer, self.clock.now()).await
    }

    async fn sign_crl(&self, _: &IssuerName, _: CrlContents) -> Result<Vec<u8>, Error> {
        away()
    }
}
