//! OCSP and CRLs, and the log of who asked.

use std::num::NonZero;
use std::sync::Arc;

use ingam_journal::files::{Disk, Files};
use ingam_responder::request_log::{self, RequestLog};
use ingam_signer::Signer;
use ingam_store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Sources, StartError};
use crate::config::Config;
use crate::listener::stopped;

/// The log of OCSP requests. Its folder is there as soon as something was logged, and is swept for as long as it is.
pub(super) fn request_log(
    config: &Config,
    signer: &dyn Signer,
    store: &Store,
    sources: &Sources,
) -> Result<Arc<RequestLog>, StartError> {
    let folder = config.state.join("request-log");
    let failed = |error: &dyn std::error::Error| {
        let doing = format!("the request log in {} cannot be opened", folder.display());
        StartError::caused(&doing, error)
    };
    let is_needed = config.request_log.mode != request_log::Mode::Off || folder.is_dir();
    let files = match is_needed {
        true => Some(Arc::new(Disk::open(&folder).map_err(|error| failed(&error))?) as Arc<dyn Files>),
        false => None,
    };
    let parts = request_log::Parts {
        files,
        receipts: Arc::new(store.statuses()),
        clock: sources.clock.clone(),
        random: sources.random.clone(),
        issuers: signer.issuers().iter().map(|issuer| issuer.name.clone()).collect(),
        threads: std::thread::available_parallelism().map_or(1, NonZero::get),
    };
    RequestLog::open(&config.request_log, parts).map_err(|error| failed(&error))
}

/// Destroys what may not be there any more, before anything listens.
pub(super) async fn sweep(request_log: &Arc<RequestLog>) -> Result<(), StartError> {
    let Err(error) = request_log.tick().await else { return Ok(()) };
    if request_log.condition().is_overdue {
        let doing = "what the request log may not have any more could not be destroyed";
        return Err(StartError::caused(doing, &error));
    }
    let (code, error) = (error.code(), &error as &dyn std::error::Error);
    tracing::error!(code, error, "the request log cannot do all that it should: it is tried again");
    Ok(())
}

/// The log's work in the background, which goes on until all listeners have ended: what they have answered is in it.
pub(super) struct Logging {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Logging {
    pub(super) fn begin(request_log: Arc<RequestLog>) -> Self {
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(async move { request_log.run(stopped(stopping)).await });
        Self { stop, task }
    }

    /// Writes what waits, and puts on record what is due.
    pub(super) async fn end(self) {
        // Both fail only if the task has ended, and then there is nothing to wait for.
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}
