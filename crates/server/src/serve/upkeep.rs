//! What a running CA does without being asked: it takes up what was left, revokes what jobs ask for, renews, reloads.

use std::sync::Arc;
use std::time::Duration;

use ingam_authority::Authority;
use ingam_authority::operator::JobRunner;
use ingam_store::Store;
use ingam_validation::MultiPerspective;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{Sources, StartError, certificate_record};
use crate::delegates::Delegates;
use crate::listener::stopped;
use crate::notify::{self, State};
use crate::reload::Reloader;

/// How often delegated OCSP certificates are looked at: a signer that is a process of its own renews them itself, and each goes
/// on record soon.
const DELEGATES_PERIOD: Duration = Duration::from_secs(60);

/// How often it is looked for what limits need not remember.
const LIMITS_PERIOD: Duration = Duration::from_secs(60);

/// How often the keys of contacts are destroyed that were withdrawn, or whose account ended: so many share one rewriting.
const ERASURES_PERIOD: Duration = Duration::from_secs(60);

/// How often remote perspectives are knocked at.
const PERSPECTIVES_PERIOD: Duration = Duration::from_secs(30);

/// How often revocation jobs go on.
const JOBS_PERIOD: Duration = Duration::from_millis(100);

/// Takes up orders whose holder was not heard of: at the start those of an earlier process.
pub(super) async fn keep_issuances(authority: Arc<Authority>) {
    loop {
        match authority.issuances_resume().await {
            Ok((0, 0)) => {}
            Ok((resumed, abandoned)) => tracing::info!(resumed, abandoned, "took up orders that were left"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "open issuances could not be taken up"
            ),
        }
        tokio::time::sleep(authority.lease()).await;
    }
}

/// How often it is looked whether the signer is back.
const SIGNER_PERIOD: Duration = Duration::from_millis(500);

/// Goes on with the orders that wait for the signer, once it is back.
pub(super) async fn keep_waiting(authority: Arc<Authority>) {
    loop {
        authority.signer_missed().await;
        // One issuer may be there and another not: then there is something to look at each time, and a pause before it.
        tokio::time::sleep(SIGNER_PERIOD).await;
        while !authority.signer_is_there().await {
            tokio::time::sleep(SIGNER_PERIOD).await;
        }
        if let Err(error) = authority.issuances_resume().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "orders that wait could not be taken up"
            );
        }
    }
}

/// Goes on with the orders whose precertificates wait for logs.
pub(super) async fn keep_logged(authority: Arc<Authority>) {
    loop {
        authority.logs_missed().await;
        if let Err(error) = authority.issuances_resume().await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "orders that wait for transparency logs could not be taken up");
        }
    }
}

/// Forgets what was counted for limits and tells of nothing any more, addresses among it.
pub(super) async fn keep_limits(authority: Arc<Authority>) {
    loop {
        tokio::time::sleep(LIMITS_PERIOD).await;
        if let Err(error) = authority.limits_sweep().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "what limits have counted could not be swept up: it is tried again"
            );
        }
    }
}

/// Destroys the keys of contacts that were withdrawn, or whose account ended, and ends erasures that failed at first.
pub(super) async fn keep_erasures(authority: Arc<Authority>) {
    loop {
        tokio::time::sleep(ERASURES_PERIOD).await;
        match authority.erasures_sweep().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "contact data were erased whose keys were left"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the keys of erased contact data are still there: it is tried again"
            ),
        }
    }
}

/// Revokes what revocation jobs ask for.
pub(super) async fn keep_jobs(authority: Arc<Authority>) {
    let mut runner = JobRunner::new(authority.clone());
    let failed = |error: &(dyn std::error::Error + 'static)| {
        tracing::error!(error, "revocation jobs stand still: they are tried again");
    };
    loop {
        if let Err(error) = runner.look() {
            failed(&error);
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        let (mut last, mut has_changed) = (tokio::time::Instant::now(), false);
        while !runner.is_idle() && !has_changed {
            let elapsed = last.elapsed();
            last = tokio::time::Instant::now();
            if let Err(error) = runner.tick(elapsed).await {
                failed(&error);
            }
            tokio::select! {
                () = authority.revocation_jobs_changed() => has_changed = true,
                () = tokio::time::sleep(JOBS_PERIOD) => {}
            }
        }
        // A change that came while the last job ended asks for another look, and for no more waiting.
        if !has_changed {
            authority.revocation_jobs_changed().await;
        }
    }
}

/// SIGHUP, listened for from now on.
pub(crate) fn hangups() -> Result<Signal, StartError> {
    signal(SignalKind::hangup()).map_err(|error| StartError::caused("signals cannot be listened for", &error))
}

/// Reads the configuration again with every SIGHUP.
pub(super) async fn keep_configuration(mut hangups: Signal, reloader: Arc<Reloader>) {
    while hangups.recv().await.is_some() {
        notify::tell(State::Reloading);
        let outcome = reloader.reload(None).await;
        // Whatever came of it, the process serves.
        notify::tell(State::Ready);
        if let Err(findings) = outcome {
            for finding in findings {
                tracing::error!(
                    code = "reload",
                    finding,
                    "the configuration was not reloaded: nothing was changed"
                );
            }
        }
    }
}

/// Renews delegated OCSP certificates before they end. Those of responders apart are given out once they are on record.
pub(super) async fn keep_delegates(delegates: Arc<Delegates>, store: Store, sources: Sources) {
    let (mut unrecorded, mut records) = (Vec::new(), Vec::new());
    loop {
        tokio::time::sleep(DELEGATES_PERIOD).await;
        match delegates.renew().await {
            Ok(made) => {
                records.extend(made.iter().map(|made| certificate_record(&made.certificate, &sources)));
                unrecorded.extend(made);
            }
            Err(error) => tracing::error!(%error, "OCSP certificates could not be renewed"),
        }
        if unrecorded.is_empty() {
            continue;
        }
        match store.statuses().records_append(records.clone()).await {
            Ok(()) => {
                delegates.are_recorded(&unrecorded);
                unrecorded.clear();
                records.clear();
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "new OCSP certificates could not be recorded: it is tried again"
            ),
        }
    }
}

/// Looks whether remote perspectives are there, so that those who are not are known before they are needed.
pub(super) async fn keep_perspectives(all: Arc<MultiPerspective>) {
    loop {
        all.knock().await;
        tokio::time::sleep(PERSPECTIVES_PERIOD).await;
    }
}

/// Folds what histograms collected, so that nobody who never asks for metrics pays for them in memory.
pub(crate) async fn keep_metrics(metrics: Arc<PrometheusHandle>) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        metrics.run_upkeep();
    }
}

pub(crate) async fn until(stopping: watch::Receiver<bool>, job: impl Future<Output = ()>) {
    tokio::select! {
        () = stopped(stopping) => {}
        () = job => {}
    }
}
