//! Answers that were signed in advance, between processes: the CA writes tables and a signed manifest, and responders elsewhere, which
//! have no store, and no key but perhaps one that the CA certified for answers, take and verify them.

mod apart;
mod follower;
mod manifest;
mod publisher;
mod signed;
mod source;
#[cfg(feature = "synthetic")]
mod synthetic;

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::{Clock, Finding};
use ingam_signer::{DelegateCertificate, Issuer};
use ring::signature::Ed25519KeyPair;
use tokio::time::sleep;

use crate::corpus::Corpus;
use crate::statuses::Statuses;

pub(crate) use apart::{Apart, ApartSigner, ApartStatuses};
pub use follower::{Following, FollowingCondition};
use manifest::{ListedDelegate, ListedIssuer};
pub(crate) use publisher::MANIFEST;
use publisher::{Moment, Publisher};
pub(crate) use signed::SignedFiles;
pub use source::AnswerSource;
#[cfg(feature = "synthetic")]
pub use synthetic::{synthetic_serial, write_synthetic};

/// How often it is looked whether there is something new.
const PERIOD: Duration = Duration::from_millis(250);

/// After a failure, how long the disk is left alone.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Where answers that were signed in advance are written, and how their manifest is signed.
pub struct Publication {
    folder: PathBuf,
    key: Option<Ed25519KeyPair>,
    /// How long a manifest may be believed.
    lasts: Duration,
    delegates: Delegates,
}

/// The certificates of responders apart from the CA, as they are now. May block.
type Delegates = Arc<dyn Fn() -> Vec<DelegateCertificate> + Send + Sync>;

impl Publication {
    /// Into this folder; `key` is PKCS #8 of an Ed25519 key (RFC 8410), without which no other responder believes what is there.
    ///
    /// # Errors
    /// [`Finding`] about `publish_key` if it is no such key.
    pub fn new(folder: PathBuf, key: Option<&[u8]>, lasts: Duration) -> Result<Self, Finding> {
        let key = key.map(Ed25519KeyPair::from_pkcs8_maybe_unchecked).transpose().map_err(|_| {
            let fix = "make one: openssl genpkey -algorithm ed25519";
            Finding::error("publish_key", "names a file that is no Ed25519 key in PKCS #8", fix)
        })?;
        Ok(Self { folder, key, lasts, delegates: Arc::new(Vec::new) })
    }

    /// Gives out the certificates, too, by which responders apart from the CA may answer: `delegates` is asked again and again, where it
    /// may block. The next manifest lacks what it does not tell any more.
    pub fn listing(self, delegates: impl Fn() -> Vec<DelegateCertificate> + Send + Sync + 'static) -> Self {
        Self { delegates: Arc::new(delegates), ..self }
    }

    /// Takes up what is in the folder, and then writes what is new until `shutdown` is done, and once more.
    pub(crate) async fn run(
        self,
        corpus: Arc<Corpus>,
        issuers: &[Issuer],
        statuses: Arc<dyn Statuses>,
        clock: Arc<dyn Clock>,
        taken_up: impl FnOnce(),
        shutdown: impl Future<Output = ()>,
    ) {
        let issuers = issuers.iter().map(ListedIssuer::of).collect();
        let mut publisher = Publisher::new(self.folder, self.key, issuers, self.lasts);
        let mut shutdown = pin!(shutdown);
        let corpus_of = corpus.clone();
        let began = tokio::task::spawn_blocking(move || {
            publisher.take_up(&corpus_of);
            publisher
        });
        let Ok(begun) = began.await else { return tracing::error!("signed answers could not be taken up") };
        publisher = begun;
        taken_up();
        let mut pause = PERIOD;
        loop {
            let is_over = tokio::select! {
                biased;
                () = shutdown.as_mut() => true,
                () = sleep(pause) => false,
            };
            let (corpus, now) = (corpus.clone(), clock.now());
            let (generation, delegates) = (statuses.generation(), self.delegates.clone());
            let written = tokio::task::spawn_blocking(move || {
                let delegates = delegates().into_iter().map(ListedDelegate::from).collect();
                let written = publisher.publish(&corpus, Moment { now, generation, delegates });
                (publisher, written)
            });
            let Ok((same, written)) = written.await else {
                return tracing::error!("the writing of signed answers was broken off");
            };
            publisher = same;
            pause = PERIOD;
            if let Err(error) = written {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "signed answers could not be written"
                );
                pause = PAUSE_AFTER_FAILURE;
            }
            if is_over {
                return;
            }
        }
    }
}
