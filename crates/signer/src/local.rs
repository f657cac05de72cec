//! The signer that works in this process, with keys from files and on tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ingam_protocol::baseline::CERTIFICATE_VALIDITY;
use ingam_protocol::crl::{self, RevocationList};
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::{Clock, Random, Timestamp, transparency};
use metrics::{counter, histogram};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::answering::{Responder, check_dates};
use crate::ca::SigningCa;
use crate::delegate::{Delegate, DelegateCertificate, DelegateKey, Draft, Holder, is_due};
use crate::key::{Algorithm, Key};
use crate::leaf::Validity;
use crate::lint::{Linted, Stage};
use crate::{
    CertificateRequest, CrlContents, Error, FinalRequest, Hierarchy, Issuer, IssuerUrls, KeyKind, Kind,
    Ledger, OcspAnswer, Prepared, PreparedId, PrivateKey, Signer, encode, leaf, lint,
};

/// notBefore lies within this of the signing (BR 7.1.2.7).
const SIGNING_WINDOW: Duration = Duration::from_secs(48 * 60 * 60);

/// A [`Signer`] that holds the keys of a hierarchy, or the way to the tokens that do. With keys in memory its methods wait for
/// nothing outside but the ledger's disk; certificates and OCSP answers are signed on the calling thread (see `Key::sign` for what
/// that costs), CRLs on one for blocking work, as they can be large. A token is waited for, for 10 s at most.
///
/// Metrics: `ingam_signatures_total{kind, issuer}` and `ingam_signature_seconds{kind}`, with `kind` one of
/// `certificate`, `ocsp`, `crl`, `delegate`. The seconds count from the call to the finished bytes.
pub struct LocalSigner {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    ledger: Ledger,
    issuers: Vec<Issuer>,
    cas: BTreeMap<IssuerName, Arc<SigningCa>>,
    /// For those issuers that do not sign OCSP answers themselves, once [`Signer::renew`] was called.
    delegates: RwLock<BTreeMap<IssuerName, Arc<Delegate>>>,
    /// The keys of responders apart from the CA, and for each of these and each issuer the certificate that is in force.
    delegate_keys: RwLock<Vec<DelegateKey>>,
    apart: RwLock<BTreeMap<(String, IssuerName), DelegateCertificate>>,
    /// Whether certificates of public profiles last no longer than they may by the day.
    holds_lengths: bool,
}

impl LocalSigner {
    /// Takes the keys of a hierarchy into use. `urls` has an entry for each of its issuers; the ledger is the one of these
    /// keys, for ever.
    ///
    /// [`Signer::renew`] has to be called before the first OCSP answer is signed, and then now and again.
    ///
    /// # Errors
    /// [`Error::Load`] if an issuer has no URLs, or one that is not plain http, or if a key and a certificate do not
    /// fit together.
    pub fn new(
        hierarchy: Hierarchy,
        mut urls: BTreeMap<IssuerName, IssuerUrls>,
        ledger: Ledger,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, Error> {
        let Hierarchy { intermediates, .. } = hierarchy;
        let mut issuers = Vec::with_capacity(intermediates.len());
        let mut cas = BTreeMap::new();
        for intermediate in intermediates {
            let name = intermediate.name.clone();
            let own = urls.remove(&name).ok_or_else(|| {
                Error::Load(format!("the issuer '{name}' has no URLs for its certificates to point to"), None)
            })?;
            let ca = SigningCa::load(intermediate, own)?;
            issuers.push(ca.issuer.clone());
            cas.insert(name, Arc::new(ca));
        }
        Ok(Self {
            clock,
            random,
            ledger,
            issuers,
            cas,
            delegates: RwLock::default(),
            delegate_keys: RwLock::default(),
            apart: RwLock::default(),
            holds_lengths: false,
        })
    }

    /// From now on nothing is prepared for a public profile that lasts longer than it may by this signer's clock (BR 6.3.2),
    /// whatever its profile says and whoever asks.
    #[must_use]
    pub fn holding_lengths(self, holds_lengths: bool) -> Self {
        Self { holds_lengths, ..self }
    }

    /// [`Signer::renew`], which never fails here.
    pub(crate) async fn renew_now(&self) -> Vec<DelegateCertificate> {
        self.renew_delegates(self.clock.now()).await
    }

    /// The same as of `now`.
    pub async fn renew_delegates(&self, now: Timestamp) -> Vec<DelegateCertificate> {
        let mut made = Vec::new();
        for (name, ca) in &self.cas {
            if ca.issuer.not_after <= now {
                continue;
            }
            let has_one = self.delegate(name).is_some_and(|delegate| !is_due(delegate.not_after, ca, now));
            if !answers_itself(ca) && !has_one {
                match self.make_delegate(ca, now).await {
                    Ok(delegate) => {
                        made.push(delegate.describe(name));
                        let mut all = self.delegates.write().unwrap_or_else(PoisonError::into_inner);
                        all.insert(name.clone(), Arc::new(delegate));
                    }
                    // The others are made nevertheless: each answers for its own issuer.
                    Err(error) => tracing::error!(
                        issuer = %name,
                        error = &error as &dyn std::error::Error,
                        "no OCSP certificate could be made: it is tried again"
                    ),
                }
            }
            made.extend(self.renew_apart(ca, now).await);
        }
        made
    }

    /// The certificates of an issuer for responders apart from the CA, where these are due.
    async fn renew_apart(&self, ca: &SigningCa, now: Timestamp) -> Vec<DelegateCertificate> {
        let mut made = Vec::new();
        let keys = self.delegate_keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        for key in &keys {
            if !self.is_due_apart(key, ca, now) {
                continue;
            }
            match self.certify(ca, key.holder(), now).await {
                Ok((draft, certificate)) => {
                    let Draft { serial, not_after, .. } = draft;
                    let (responder, issuer) = (Some(key.name().to_owned()), ca.issuer.name.clone());
                    let certificate =
                        DelegateCertificate { issuer, serial, not_after, certificate, responder };
                    self.put_in_force(key, &certificate);
                    made.push(certificate);
                }
                Err(error) => tracing::error!(
                    issuer = %ca.issuer.name,
                    responder = key.name(),
                    error = &error as &dyn std::error::Error,
                    "no OCSP certificate could be made for a responder apart from the CA: it is tried again"
                ),
            }
        }
        made
    }

    /// Whether a key that is listed still has no certificate of this issuer, or one that ends soon. What lies there for another key, by
    /// the same name, is none.
    fn is_due_apart(&self, key: &DelegateKey, ca: &SigningCa, now: Timestamp) -> bool {
        if !self.delegate_keys.read().unwrap_or_else(PoisonError::into_inner).contains(key) {
            return false;
        }
        let apart = self.apart.read().unwrap_or_else(PoisonError::into_inner);
        let last = apart.get(&(key.name().to_owned(), ca.issuer.name.clone()));
        last.filter(|last| key.is_certified_by(&last.certificate))
            .is_none_or(|last| is_due(last.not_after, ca, now))
    }

    /// Puts a certificate in force, unless its key was taken out while it was made.
    fn put_in_force(&self, key: &DelegateKey, certificate: &DelegateCertificate) {
        // Held until it is in place: whoever takes the key out comes before, and is seen, or after, and takes this out as well.
        let keys = self.delegate_keys.read().unwrap_or_else(PoisonError::into_inner);
        if keys.contains(key) {
            let place = (key.name().to_owned(), certificate.issuer.clone());
            self.apart.write().unwrap_or_else(PoisonError::into_inner).insert(place, certificate.clone());
        }
    }

    async fn make_delegate(&self, ca: &SigningCa, now: Timestamp) -> Result<Delegate, Error> {
        let key = Key::load(&PrivateKey::generate(KeyKind::EcdsaP256, self.random.as_ref())?)?;
        let (draft, certificate) = self.certify(ca, Holder::of(&key), now).await?;
        Ok(Delegate::new(key, draft, certificate))
    }

    /// A delegate's certificate, which is in the ledger before it is signed, as every other.
    async fn certify(
        &self,
        ca: &SigningCa,
        holder: Holder<'_>,
        now: Timestamp,
    ) -> Result<(Draft, Vec<u8>), Error> {
        let started = Instant::now();
        let draft = Draft::new(ca, holder, now, self.random.as_ref())?;
        let subject = ca.subject(Kind::Certificate, &draft.serial, &draft.tbs);
        self.ledger.prepare(subject, None).await?;
        self.ledger.use_up(subject).await?;
        let certificate = sign_certificate(ca, &draft.tbs).await?;
        count("delegate", &ca.issuer.name, started);
        Ok((draft, certificate))
    }

    fn ca(&self, name: &IssuerName) -> Result<&Arc<SigningCa>, Error> {
        self.cas.get(name).ok_or_else(|| Error::UnknownIssuer(name.clone()))
    }

    fn delegate(&self, name: &IssuerName) -> Option<Arc<Delegate>> {
        self.delegates.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Who signs an issuer's OCSP answers now.
    fn responder(&self, name: &IssuerName) -> Result<Responder, Error> {
        let ca = self.ca(name)?;
        if answers_itself(ca) {
            return Ok(Responder::Issuer(Arc::clone(ca)));
        }
        self.delegate(name).map(Responder::Delegate).ok_or_else(|| {
            Error::Unavailable(format!(
                "the issuer '{name}' has no OCSP delegate yet; delegates were not renewed"
            ))
        })
    }

    /// Holds bytes against every rule and puts them into the ledger.
    async fn put_down(
        &self,
        profile: &Profile,
        issuer: &IssuerName,
        tbs: Vec<u8>,
        request: Option<&CertificateRequest>,
    ) -> Result<Prepared, Error> {
        let ca = self.ca(issuer)?;
        let kind = ca.key.kind();
        if profile.is_public && !kind.is_public() {
            return Err(Error::Refused(format!(
                "the profile '{}' is public, and the issuer '{issuer}' has a key of the kind {}, which no client of the \
                 public web takes (BR 6.1.5): give the profile another issuer",
                profile.name,
                kind.name()
            )));
        }
        let stage = Stage::first(profile);
        let linted = lint::certificate(tbs, &lint::Expected { profile, ca, request, stage })?;
        if profile.is_public && self.holds_lengths {
            self.check_length(linted.validity())?;
        }
        self.put_down_linted(ca, stage.kind(), linted, None).await
    }

    /// `precertificate` has the bytes of the one that a certificate belongs to.
    async fn put_down_linted(
        &self,
        ca: &SigningCa,
        kind: Kind,
        linted: Linted,
        precertificate: Option<&[u8]>,
    ) -> Result<Prepared, Error> {
        self.check_window(linted.validity().not_before)?;
        let subject = ca.subject(kind, linted.serial(), linted.tbs());
        let precertificate = precertificate.map(|tbs| ca.subject(Kind::Precertificate, linted.serial(), tbs));
        let id = self.ledger.prepare(subject, precertificate).await?;
        Ok(Prepared::new(id, ca.issuer.name.clone(), kind, linted))
    }

    /// Bytes that this signer has prepared, from a caller that has nothing but them.
    ///
    /// # Errors
    /// [`Error::Refused`] if these are not the bytes of that name, [`Error::UnknownIssuer`].
    pub(crate) fn prepared(
        &self,
        id: PreparedId,
        issuer: IssuerName,
        kind: Kind,
        tbs: Vec<u8>,
    ) -> Result<Prepared, Error> {
        let ca = self.ca(&issuer)?;
        let (serial, validity) = lint::outline(&tbs, ca)?;
        if self.ledger.id_of(ca.subject(kind, &serial, &tbs)) != id {
            return Err(Error::Refused(
                "these are not the bytes that were prepared under that name".to_owned(),
            ));
        }
        let (not_before, not_after) = (validity.not_before, validity.not_after);
        Ok(Prepared { id, issuer, kind, serial, not_before, not_after, tbs })
    }

    fn check_length(&self, Validity { not_before, not_after }: Validity) -> Result<(), Error> {
        let lasts = not_after.since(not_before).saturating_add(Duration::from_secs(1));
        match CERTIFICATE_VALIDITY.longest_at(self.clock.now()) {
            Some(longest) if lasts > longest => Err(Error::Refused(format!(
                "a public certificate would last longer than the {} days that it may by now (BR 6.3.2): lower the profile's \
                 validity_s",
                longest.as_secs() / 86_400
            ))),
            _ => Ok(()),
        }
    }

    /// Bytes that were recorded long ago must not be signed now.
    fn check_window(&self, not_before: Timestamp) -> Result<(), Error> {
        let now = self.clock.now();
        if not_before.since(now).max(now.since(not_before)) > SIGNING_WINDOW {
            return Err(Error::Refused(format!(
                "notBefore ({not_before}) lies more than 48 hours from now ({now})"
            )));
        }
        Ok(())
    }
}

/// Issuers on P-256 sign their OCSP answers themselves where their certificate lets them: the answers are smaller, and
/// there is one key less.
fn answers_itself(ca: &SigningCa) -> bool {
    ca.key.algorithm() == Algorithm::EcdsaP256Sha256 && ca.may_answer
}

pub(crate) fn count(kind: &'static str, issuer: &IssuerName, started: Instant) {
    counter!("ingam_signatures_total", "kind" => kind, "issuer" => issuer.to_string()).increment(1);
    histogram!("ingam_signature_seconds", "kind" => kind).record(started.elapsed().as_secs_f64());
}

/// Signs a certificate, and looks at the result as a client would before anybody else does.
async fn sign_certificate(ca: &SigningCa, tbs: &[u8]) -> Result<Vec<u8>, Error> {
    let signature = ca.key.sign_checked(&ca.issuer.public_key, tbs).await?;
    let certificate = encode::certificate(tbs, ca.key.algorithm().identifier(), &signature);
    match X509Certificate::from_der(&certificate) {
        Ok(([], parsed)) if parsed.tbs_certificate.as_ref() == tbs => Ok(certificate),
        _ => Err(Error::Unavailable("the signed certificate cannot be read".to_owned())),
    }
}

fn sign_crl(ca: &SigningCa, contents: CrlContents) -> Result<Vec<u8>, Error> {
    let CrlContents { scope, number, this_update, next_update, mut entries } = contents;
    if entries.iter().any(|entry| !scope.holds(&entry.serial)) {
        return Err(Error::Refused("the CRL has a serial number that belongs to another list".to_owned()));
    }
    entries.sort_unstable_by(|first, second| first.serial.cmp(&second.serial));
    let same = |pair: &[crl::Entry]| matches!(pair, [first, second] if first.serial == second.serial);
    if entries.windows(2).any(same) {
        return Err(Error::Refused("the CRL has a serial number twice".to_owned()));
    }
    let is_partial = scope != crl::Scope::Complete;
    let algorithm = ca.key.algorithm().identifier();
    let list = RevocationList {
        signature_algorithm: algorithm.to_vec(),
        issuer: ca.issuer.subject.clone(),
        authority_key_id: ca.key_identifier.clone(),
        number,
        this_update,
        next_update,
        distribution_point: is_partial.then(|| ca.issuer.urls.crl_of(scope.shard())),
        entries,
    };
    let tbs = list.encode_tbs();
    let signature = ca.key.sign_checked_blocking(&ca.issuer.public_key, &tbs)?;
    Ok(crl::certificate_list(tbs, algorithm, &signature))
}

#[async_trait]
impl Signer for LocalSigner {
    fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    async fn ready(&self, issuer: &IssuerName) -> Result<(), Error> {
        let ca = self.ca(issuer)?;
        self.ledger.check()?;
        ca.key.ready().await
    }

    async fn prepare(&self, request: CertificateRequest) -> Result<Prepared, Error> {
        let (profile, issuer) = (&request.profile, &request.issuer);
        if !profile.issuers.has_signing(issuer) {
            return Err(Error::Refused(format!(
                "the issuer '{issuer}' signs nothing of the profile '{}'",
                profile.name
            )));
        }
        let tbs = leaf::build(&request, self.ca(issuer)?)?;
        self.put_down(profile, issuer, tbs, Some(&request)).await
    }

    async fn adopt(&self, profile: Arc<Profile>, tbs: Vec<u8>) -> Result<Prepared, Error> {
        // The bytes name one issuer, and pass for that one alone. If it stands by now, it still signs what was recorded before.
        let mut refused = Error::Refused("the profile has no issuer".to_owned());
        for issuer in profile.issuers.all() {
            match self.put_down(&profile, issuer, tbs.clone(), None).await {
                Ok(prepared) => return Ok(prepared),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    async fn finish(&self, request: FinalRequest) -> Result<Prepared, Error> {
        let FinalRequest { issuer, precertificate, scts } = request;
        let ca = self.ca(&issuer)?;
        let wrong = |error: transparency::Error| {
            Error::Refused(format!("no certificate can be made of the precertificate: {error}"))
        };
        let tbs = transparency::with_scts(&precertificate, &scts).map_err(wrong)?;
        let same = transparency::without_scts(&tbs).map_err(wrong)?
            == transparency::without_poison(&precertificate).map_err(wrong)?;
        if !same {
            return Err(Error::Refused("the certificate would say more than its precertificate".to_owned()));
        }
        let linted = lint::logged(tbs, ca)?;
        self.put_down_linted(ca, Kind::Certificate, linted, Some(&precertificate)).await
    }

    async fn issue(&self, prepared: Prepared) -> Result<Vec<u8>, Error> {
        let started = Instant::now();
        let ca = self.ca(prepared.issuer())?;
        self.check_window(prepared.not_before())?;
        let subject = ca.subject(prepared.kind(), prepared.serial(), prepared.tbs());
        self.ledger.use_up(subject).await?;
        let certificate = sign_certificate(ca, prepared.tbs()).await?;
        count("certificate", prepared.issuer(), started);
        Ok(certificate)
    }

    async fn renew(&self) -> Result<Vec<DelegateCertificate>, Error> {
        Ok(self.renew_now().await)
    }

    fn delegates_not_after(&self) -> Vec<(IssuerName, Option<Timestamp>)> {
        let delegated = self.cas.iter().filter(|(_, ca)| !answers_itself(ca));
        delegated
            .map(|(name, _)| (name.clone(), self.delegate(name).map(|delegate| delegate.not_after)))
            .collect()
    }

    fn delegate_to(&self, keys: &[DelegateKey]) -> Result<(), Error> {
        for key in keys {
            key.check_purpose(&self.issuers)?;
        }
        let mut own = self.delegate_keys.write().unwrap_or_else(PoisonError::into_inner);
        let stays = |name: &str| own.iter().any(|known| known.name() == name && keys.contains(known));
        let mut apart = self.apart.write().unwrap_or_else(PoisonError::into_inner);
        apart.retain(|(name, _), _| stays(name));
        *own = keys.to_vec();
        Ok(())
    }

    fn delegates_apart(&self) -> Vec<DelegateCertificate> {
        self.apart.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn ocsp_signer_not_after(&self, issuer: &IssuerName) -> Result<Timestamp, Error> {
        self.responder(issuer).map(|responder| responder.not_after())
    }

    fn signs_at_once(&self, issuer: &IssuerName) -> bool {
        self.responder(issuer).is_ok_and(|responder| responder.key().signs_at_once())
    }

    async fn sign_ocsp(&self, issuer: &IssuerName, answer: OcspAnswer) -> Result<Vec<u8>, Error> {
        let started = Instant::now();
        let responder = self.responder(issuer)?;
        responder.check(&answer, self.clock.now())?;
        let response = responder.sign(answer).await?;
        count("ocsp", issuer, started);
        Ok(response)
    }

    async fn sign_crl(&self, issuer: &IssuerName, contents: CrlContents) -> Result<Vec<u8>, Error> {
        let started = Instant::now();
        let ca = Arc::clone(self.ca(issuer)?);
        if contents.next_update > ca.issuer.not_after || contents.next_update <= contents.this_update {
            return Err(Error::Refused(
                "the CRL would outlive its issuer, or end before it begins".to_owned(),
            ));
        }
        check_dates("CRL", contents.this_update, contents.next_update, self.clock.now())?;
        let list = tokio::task::spawn_blocking(move || sign_crl(&ca, contents))
            .await
            .map_err(|_| Error::Unavailable("the signing of a CRL was broken off".to_owned()))??;
        count("crl", issuer, started);
        Ok(list)
    }
}

#[cfg(test)]
mod tests;
