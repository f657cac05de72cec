//! Shows certificates to logs, in the background.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use ingam_protocol::transparency::policy;
use metrics::counter;
use tokio::time::sleep;

use crate::list::Log;
use crate::{Submission, TransparencyService};

/// How many certificates are shown at once, those among them that wait for a log to be tried again.
const AT_ONCE_MAX: usize = 256;

/// How long after the first failure a log is tried again; doubles with each further one.
const PAUSE: Duration = Duration::from_secs(5);

/// How often the pause doubles.
const DOUBLINGS_MAX: u32 = 6;

impl TransparencyService {
    /// Shows what is given to [`crate::Transparency::publish`] to logs, until it is dropped. What it had in hand then is not
    /// shown: the precertificate is in the logs, and that is what was promised.
    pub async fn run_publisher(&self) {
        let mut queued = self.queued.lock().await;
        let mut underway = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(certificate) = queued.recv(), if underway.len() < AT_ONCE_MAX => {
                    underway.push(self.show(certificate));
                }
                Some(()) = underway.next() => {}
            }
        }
    }

    /// Shows a certificate to the logs that promised to have it, or else to as many as would have to.
    async fn show(&self, certificate: Submission) {
        let list = self.list();
        let promised = certificate.promised_by();
        let mut logs: Vec<Log> = promised.iter().filter_map(|log| list.by_id(*log)).cloned().collect();
        if logs.is_empty() {
            let count = policy::needed(certificate.validity()).scts;
            logs = self
                .candidates(&certificate)
                .map(|all| all.into_iter().take(count).collect())
                .unwrap_or_default();
        }
        let body = certificate.body();
        let mut shown = FuturesUnordered::new();
        shown.extend(logs.iter().map(|log| self.show_to(log, &certificate, body.clone())));
        while let Some(is_shown) = shown.next().await {
            let outcome = if is_shown { "shown" } else { "given_up" };
            counter!("ingam_transparency_publications_total", "outcome" => outcome).increment(1);
        }
    }

    async fn show_to(&self, log: &Log, certificate: &Submission, body: Bytes) -> bool {
        for attempt in 0..self.config().publication_attempts_max {
            if attempt > 0 {
                sleep(PAUSE * (1 << (attempt - 1).min(DOUBLINGS_MAX))).await;
            }
            if self.submit(log, certificate, body.clone()).await.is_ok() {
                return true;
            }
        }
        false
    }
}
