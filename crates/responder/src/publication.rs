//! Answers that were signed in advance, between processes: the CA writes tables and a signed manifest, and responders elsewhere, which
//! have neither keys nor a store, take and verify them.

mod follower;
mod keyless;
mod manifest;
mod publisher;
mod source;
#[cfg(feature = "synthetic")]
mod synthetic;

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::{Clock, Finding};
use ingam_signer::Issuer;
use ring::signature::Ed25519KeyPair;
use tokio::time::sleep;

use crate::corpus::Corpus;

pub use follower::{Following, FollowingCondition};
pub(crate) use keyless::NoSigner;
use manifest::ListedIssuer;
pub(crate) use publisher::MANIFEST;
use publisher::Publisher;
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
}

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
        Ok(Self { folder, key, lasts })
    }

    /// Takes up what is in the folder, and then writes what is new until `shutdown` is done, and once more.
    pub(crate) async fn run(
        self,
        corpus: Arc<Corpus>,
        issuers: &[Issuer],
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
            let written = tokio::task::spawn_blocking(move || {
                let written = publisher.publish(&corpus, now);
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
