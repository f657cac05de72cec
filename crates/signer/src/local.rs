//! The signer that works in this process, with keys from files and on tokens.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ingam_protocol::crl::{self, RevocationList};
use ingam_protocol::ocsp::{self, ResponseData};
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::{Clock, Random, Timestamp};
use metrics::{counter, histogram};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::ca::SigningCa;
use crate::delegate::{Delegate, DelegateCertificate};
use crate::key::Algorithm;
use crate::{
    CertificateRequest, CrlContents, Error, Hierarchy, Issuer, IssuerUrls, KeyKind, OcspAnswer, Prepared,
    Signer, encode, leaf, lint,
};

/// notBefore lies within this of the signing (BR 7.1.2.7).
const SIGNING_WINDOW: Duration = Duration::from_secs(48 * 60 * 60);

/// A [`Signer`] that holds the keys of a hierarchy, or the way to the tokens that do. With keys in memory its methods do not
/// wait for anything outside; certificates and OCSP answers are signed on the calling thread (see `Key::sign` for what
/// that costs), CRLs on one for blocking work, as they can be large. A token is waited for, for 10 s at most.
///
/// Metrics: `ingam_signatures_total{kind, issuer}` and `ingam_signature_seconds{kind}`, with `kind` one of
/// `certificate`, `ocsp`, `crl`, `delegate`. The seconds count from the call to the finished bytes.
pub struct LocalSigner {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    issuers: Vec<Issuer>,
    cas: BTreeMap<IssuerName, Arc<SigningCa>>,
    /// For those issuers that do not sign OCSP answers themselves, once [`LocalSigner::renew_delegates`] was called.
    delegates: RwLock<BTreeMap<IssuerName, Arc<Delegate>>>,
}

impl LocalSigner {
    /// Takes the keys of a hierarchy into use. `urls` has an entry for each of its issuers.
    ///
    /// [`LocalSigner::renew_delegates`] has to be called before the first OCSP answer is signed, and then now and again.
    ///
    /// # Errors
    /// [`Error::Load`] if an issuer has no URLs, or one that is not plain http, or if a key and a certificate do not
    /// fit together.
    pub fn new(
        hierarchy: Hierarchy,
        mut urls: BTreeMap<IssuerName, IssuerUrls>,
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
        Ok(Self { clock, random, issuers, cas, delegates: RwLock::new(BTreeMap::new()) })
    }

    /// Makes an OCSP delegate for each issuer that needs one (those with keys other than P-256, or without digitalSignature) and has
    /// none, or one with less than a third of its validity left. Gives the certificates that were made: the CA signed
    /// them, so they belong on record. May be called as often as one likes; once an hour is plenty.
    ///
    /// # Errors
    /// [`Error::Refused`] if an issuer has ended, [`Error::Unavailable`] if a key could not be used. The delegates
    /// that were there stay in use.
    pub async fn renew_delegates(&self, now: Timestamp) -> Result<Vec<DelegateCertificate>, Error> {
        let mut made = Vec::new();
        for (name, ca) in &self.cas {
            if answers_itself(ca) || self.delegate(name).is_some_and(|delegate| !delegate.is_due(now)) {
                continue;
            }
            let started = Instant::now();
            let (ca, random) = (Arc::clone(ca), Arc::clone(&self.random));
            // The issuer's key may be on a token.
            let made_now =
                tokio::task::spawn_blocking(move || Delegate::create(&ca, now, random.as_ref())).await;
            let delegate = made_now.map_err(|_| {
                Error::Unavailable("the making of an OCSP certificate was broken off".to_owned())
            })??;
            made.push((name.clone(), Arc::new(delegate)));
            count("delegate", name, started);
        }
        // All or none: if one fails, the others are forgotten with their keys, and no certificate is left unreported.
        let described = made.iter().map(|(name, delegate)| delegate.describe(name)).collect();
        self.delegates.write().unwrap_or_else(PoisonError::into_inner).extend(made);
        Ok(described)
    }

    /// What kind of key an issuer has; `None` if it is not loaded.
    pub fn key_kind(&self, issuer: &IssuerName) -> Option<KeyKind> {
        self.cas.get(issuer).map(|ca| ca.key.kind())
    }

    /// The last second of the OCSP delegate of each issuer that does not sign its answers itself; `None` where there is
    /// no delegate yet.
    pub fn delegates_not_after(&self) -> Vec<(IssuerName, Option<Timestamp>)> {
        let delegated = self.cas.iter().filter(|(_, ca)| !answers_itself(ca));
        delegated
            .map(|(name, _)| (name.clone(), self.delegate(name).map(|delegate| delegate.not_after)))
            .collect()
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

    fn lint(
        &self,
        profile: &Profile,
        tbs: Vec<u8>,
        request: Option<&CertificateRequest>,
    ) -> Result<Prepared, Error> {
        let ca = self.ca(&profile.issuer)?;
        let linted = lint::certificate(tbs, &lint::Expected { profile, ca, request })?;
        let prepared = Prepared::new(profile.issuer.clone(), linted);
        self.check_window(&prepared)?;
        Ok(prepared)
    }

    /// Bytes that were recorded long ago must not be signed now.
    fn check_window(&self, prepared: &Prepared) -> Result<(), Error> {
        let (now, not_before) = (self.clock.now(), prepared.not_before());
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

/// Whose key an OCSP answer is signed with.
enum Responder {
    Issuer(Arc<SigningCa>),
    Delegate(Arc<Delegate>),
}

impl Responder {
    fn not_after(&self) -> Timestamp {
        match self {
            Self::Issuer(ca) => ca.issuer.not_after,
            Self::Delegate(delegate) => delegate.not_after,
        }
    }

    /// Builds and signs an answer.
    async fn sign(&self, answer: OcspAnswer) -> Result<Vec<u8>, Error> {
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
    fn check(&self, answer: &OcspAnswer) -> Result<(), Error> {
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
        match self {
            Self::Delegate(delegate) if answer.produced_at < delegate.not_before => {
                refuse("is dated before the certificate that signs it")
            }
            _ => Ok(()),
        }
    }
}

fn count(kind: &'static str, issuer: &IssuerName, started: Instant) {
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
    let CrlContents { number, this_update, next_update, entries } = contents;
    let mut serials: Vec<_> = entries.iter().map(|entry| &entry.serial).collect();
    serials.sort_unstable();
    if serials.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(Error::Refused("the CRL has a serial number twice".to_owned()));
    }
    let algorithm = ca.key.algorithm().identifier();
    let list = RevocationList {
        signature_algorithm: algorithm.to_vec(),
        issuer: ca.issuer.subject.clone(),
        authority_key_id: ca.key_identifier.clone(),
        number,
        this_update,
        next_update,
        entries,
    };
    let tbs = list.encode_tbs();
    let signature = ca.key.sign_checked_blocking(&ca.issuer.public_key, &tbs)?;
    Ok(crl::certificate_list(&tbs, algorithm, &signature))
}

#[async_trait]
impl Signer for LocalSigner {
    fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    async fn prepare(&self, request: CertificateRequest) -> Result<Prepared, Error> {
        let tbs = leaf::build(&request, self.ca(&request.profile.issuer)?)?;
        self.lint(&request.profile, tbs, Some(&request))
    }

    async fn adopt(&self, profile: Arc<Profile>, tbs: Vec<u8>) -> Result<Prepared, Error> {
        self.lint(&profile, tbs, None)
    }

    async fn issue(&self, prepared: Prepared) -> Result<Vec<u8>, Error> {
        let started = Instant::now();
        let ca = self.ca(prepared.issuer())?;
        self.check_window(&prepared)?;
        let certificate = sign_certificate(ca, prepared.tbs()).await?;
        count("certificate", prepared.issuer(), started);
        Ok(certificate)
    }

    fn ocsp_signer_not_after(&self, issuer: &IssuerName) -> Result<Timestamp, Error> {
        self.responder(issuer).map(|responder| responder.not_after())
    }

    async fn sign_ocsp(&self, issuer: &IssuerName, answer: OcspAnswer) -> Result<Vec<u8>, Error> {
        let started = Instant::now();
        let responder = self.responder(issuer)?;
        responder.check(&answer)?;
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
        let list = tokio::task::spawn_blocking(move || sign_crl(&ca, contents))
            .await
            .map_err(|_| Error::Unavailable("the signing of a CRL was broken off".to_owned()))??;
        count("crl", issuer, started);
        Ok(list)
    }
}

#[cfg(test)]
mod tests;
