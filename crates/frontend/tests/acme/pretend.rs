//! A signer and a network that can be told to fail or to hang, and that count what hangs in them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ingam_protocol::acme::ErrorType;
use ingam_protocol::identifier::DnsName;
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::{Serial, Timestamp};
use ingam_signer::{
    CertificateRequest, CrlContents, DelegateCertificate, Error, FinalRequest, Issuer, LocalSigner,
    OcspAnswer, Prepared, Signer,
};
use ingam_validation::scripted::Scripted;
use ingam_validation::{Attempt, CaaOutcome, CaaQuery, Failure, Outcome, Validation};
use tokio::sync::watch;

/// A gate that whoever comes by waits at while it is closed.
pub(crate) struct Gate {
    closed: watch::Sender<bool>,
    waiting: AtomicUsize,
}

impl Default for Gate {
    fn default() -> Self {
        Self { closed: watch::Sender::new(false), waiting: AtomicUsize::new(0) }
    }
}

impl Gate {
    pub(crate) fn close(&self, closed: bool) {
        self.closed.send_replace(closed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// How many wait for it to open.
    pub(crate) fn waiting(&self) -> usize {
        if self.is_closed() { self.waiting.load(Ordering::SeqCst) } else { 0 }
    }

    async fn pass(&self) {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let mut closed = self.closed.subscribe();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        closed.wait_for(|closed| !closed).await.unwrap();
    }
}

pub(crate) struct TestSigner {
    inner: LocalSigner,
    pub(crate) gate: Gate,
    is_broken: Mutex<bool>,
    signed: Mutex<Vec<Serial>>,
}

impl TestSigner {
    pub(crate) fn new(inner: LocalSigner) -> Self {
        Self { inner, gate: Gate::default(), is_broken: Mutex::new(false), signed: Mutex::default() }
    }

    /// While broken, it answers nobody, and the key is used all the same.
    pub(crate) fn set_broken(&self, is_broken: bool) {
        *self.is_broken.lock().unwrap() = is_broken;
    }

    pub(crate) fn is_broken(&self) -> bool {
        *self.is_broken.lock().unwrap()
    }

    /// The serial number of each use of the key so far.
    pub(crate) fn signed(&self) -> Vec<Serial> {
        self.signed.lock().unwrap().clone()
    }
}

#[async_trait]
impl Signer for TestSigner {
    fn issuers(&self) -> &[Issuer] {
        self.inner.issuers()
    }

    async fn ready(&self, issuer: &IssuerName) -> Result<(), Error> {
        self.inner.ready(issuer).await
    }

    async fn prepare(&self, request: CertificateRequest) -> Result<Prepared, Error> {
        self.inner.prepare(request).await
    }

    async fn adopt(&self, profile: Arc<Profile>, tbs: Vec<u8>) -> Result<Prepared, Error> {
        self.inner.adopt(profile, tbs).await
    }

    async fn finish(&self, request: FinalRequest) -> Result<Prepared, Error> {
        self.inner.finish(request).await
    }

    async fn issue(&self, prepared: Prepared) -> Result<Vec<u8>, Error> {
        self.gate.pass().await;
        self.signed.lock().unwrap().push(prepared.serial().clone());
        let der = self.inner.issue(prepared).await?;
        if self.is_broken() {
            return Err(Error::Unavailable("the key is asleep".to_owned()));
        }
        Ok(der)
    }

    async fn renew(&self) -> Result<Vec<DelegateCertificate>, Error> {
        self.inner.renew().await
    }

    fn delegates_not_after(&self) -> Vec<(IssuerName, Option<Timestamp>)> {
        self.inner.delegates_not_after()
    }

    fn ocsp_signer_not_after(&self, issuer: &IssuerName) -> Result<Timestamp, Error> {
        self.inner.ocsp_signer_not_after(issuer)
    }

    async fn sign_ocsp(&self, issuer: &IssuerName, answer: OcspAnswer) -> Result<Vec<u8>, Error> {
        self.inner.sign_ocsp(issuer, answer).await
    }

    async fn sign_crl(&self, issuer: &IssuerName, contents: CrlContents) -> Result<Vec<u8>, Error> {
        self.inner.sign_crl(issuer, contents).await
    }
}

#[derive(Default)]
pub(crate) struct TestValidation {
    script: Scripted,
    pub(crate) gate: Gate,
}

impl TestValidation {
    /// From now on control of the name is shown, or not.
    pub(crate) fn set_controlled(&self, name: &DnsName, is_controlled: bool) {
        let failure = Failure { error: ErrorType::Connection, detail: "connection refused".to_owned() };
        self.script.fail(name, (!is_controlled).then_some(failure));
    }

    /// From now on CAA permits this CA, or not.
    pub(crate) fn set_permitted(&self, name: &DnsName, is_permitted: bool) {
        let failure = Failure { error: ErrorType::Caa, detail: "CAA names another CA".to_owned() };
        self.script.fail_caa(name, (!is_permitted).then_some(failure));
    }
}

#[async_trait]
impl Validation for TestValidation {
    async fn validate(&self, attempt: Attempt) -> Outcome {
        self.gate.pass().await;
        self.script.validate(attempt).await
    }

    async fn check_caa(&self, query: CaaQuery) -> CaaOutcome {
        self.script.check_caa(query).await
    }
}
