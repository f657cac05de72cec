//! A signer that can be told to fail or to hang at a step, and that remembers what it signed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::{Serial, Timestamp};
use ingam_signer::{
    CertificateRequest, CrlContents, DelegateCertificate, Error, FinalRequest, Issuer, LocalSigner,
    OcspAnswer, Prepared, Signer,
};
use tokio::sync::Semaphore;

/// Where the signer does not do what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nowhere.
    Never,
    /// Preparing fails.
    Prepare,
    /// Signing fails, and the key was not used.
    Issue,
    /// Signing fails after the key was used: the answer is lost.
    Answer,
    /// Signing waits for [`TestSigner::release`], and then goes on.
    Hold,
    /// Nothing can be made of a precertificate now.
    Finish,
    /// Its process is not there at all.
    Away,
    /// Its process goes between preparing and signing.
    Going,
    /// The second signature of an order is made, and its answer is lost.
    SecondAnswer,
    /// After so many signatures the next one is never begun, and nobody is told.
    SilentBefore(usize),
    /// After so many signatures the next one is made, and nobody is told.
    SilentAfter(usize),
}

pub(crate) struct TestSigner {
    inner: LocalSigner,
    issuers: Vec<Issuer>,
    step: Mutex<Step>,
    /// Issuers whose tokens are out.
    out: Mutex<BTreeSet<IssuerName>>,
    signed: Mutex<Vec<Signed>>,
    held: Semaphore,
    is_silent: AtomicBool,
}

/// One use of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) serial: Serial,
    pub(crate) tbs: Vec<u8>,
}

impl TestSigner {
    /// `ends` says of issuers that they end earlier than they do.
    pub(crate) fn new(inner: LocalSigner, ends: &BTreeMap<IssuerName, Timestamp>) -> Self {
        let mut issuers = inner.issuers().to_vec();
        for issuer in &mut issuers {
            issuer.not_after = ends.get(&issuer.name).copied().unwrap_or(issuer.not_after);
        }
        let (step, held) = (Mutex::new(Step::Never), Semaphore::new(0));
        let (out, signed) = (Mutex::default(), Mutex::default());
        Self { inner, issuers, step, out, signed, held, is_silent: AtomicBool::new(false) }
    }

    /// From now on the tokens of these issuers are out, and those of all others in.
    pub(crate) fn take_out(&self, issuers: impl IntoIterator<Item = IssuerName>) {
        *self.out.lock().unwrap() = issuers.into_iter().collect();
    }

    /// From now on it breaks at this step.
    pub(crate) fn break_at(&self, step: Step) {
        *self.step.lock().unwrap() = step;
    }

    /// Lets one held signature go on.
    pub(crate) fn release(&self) {
        self.held.add_permits(1);
    }

    /// Every use of the key so far.
    pub(crate) fn signed(&self) -> MutexGuard<'_, Vec<Signed>> {
        self.signed.lock().unwrap()
    }

    /// Whether it has fallen silent.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::SeqCst)
    }

    async fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
        std::future::pending::<()>().await;
    }

    fn step(&self) -> Step {
        *self.step.lock().unwrap()
    }

    fn present(&self) -> Result<(), Error> {
        if self.step() == Step::Away { Err(Error::Away("nobody listens".to_owned())) } else { Ok(()) }
    }

    fn asleep() -> Error {
        Error::Unavailable("the key is asleep".to_owned())
    }
}

#[async_trait]
impl Signer for TestSigner {
    fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    async fn ready(&self, issuer: &IssuerName) -> Result<(), Error> {
        self.present()?;
        if self.step() == Step::Going {
            return Err(Error::Away("nobody listens".to_owned()));
        }
        if self.out.lock().unwrap().contains(issuer) {
            return Err(Self::asleep());
        }
        self.inner.ready(issuer).await
    }

    async fn prepare(&self, request: CertificateRequest) -> Result<Prepared, Error> {
        self.present()?;
        if self.step() == Step::Prepare {
            return Err(Self::asleep());
        }
        self.inner.prepare(request).await
    }

    async fn adopt(&self, profile: Arc<Profile>, tbs: Vec<u8>) -> Result<Prepared, Error> {
        self.present()?;
        self.inner.adopt(profile, tbs).await
    }

    async fn finish(&self, request: FinalRequest) -> Result<Prepared, Error> {
        if self.step() == Step::Finish {
            return Err(Error::Unavailable("the ledger cannot be written".to_owned()));
        }
        self.present()?;
        self.inner.finish(request).await
    }

    async fn issue(&self, prepared: Prepared) -> Result<Vec<u8>, Error> {
        let step = self.step();
        if step == Step::Issue {
            return Err(Self::asleep());
        }
        if step == Step::Hold {
            self.held.acquire().await.unwrap().forget();
        }
        let before = self.signed().len();
        if step == Step::SilentBefore(before) {
            self.fall_silent().await;
        }
        let signed = Signed { serial: prepared.serial().clone(), tbs: prepared.tbs().to_vec() };
        let der = self.inner.issue(prepared).await?;
        self.signed().push(signed);
        if step == Step::SilentAfter(before) {
            self.fall_silent().await;
        }
        if step == Step::Answer || step == Step::SecondAnswer && self.signed().len() == 2 {
            return Err(Self::asleep());
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
