//! What the https listeners show while the process runs: looked for again and again, in the files or from the CA itself.
//! Connections go on whatever comes of it, and a certificate that is no good leaves the one before in force.

use std::sync::Arc;
use std::time::Duration;

use ingam_authority::Authority;
use serde_json::json;

use crate::own_certificate::OwnCertificate;
use crate::reload::{CertificateSource, Reloader};
use crate::serve::StartError;
use crate::served_certificate::{Presentable, ServerIdentity};

/// Who looks.
pub(crate) struct CertificateKeeper {
    reloader: Arc<Reloader>,
    authority: Arc<Authority>,
    own: OwnCertificate,
    interval: Duration,
}

impl CertificateKeeper {
    pub(crate) fn new(
        reloader: Arc<Reloader>,
        authority: Arc<Authority>,
        own: OwnCertificate,
        interval: Duration,
    ) -> Self {
        Self { reloader, authority, own, interval }
    }

    /// Before anything listens: the certificate that the CA issues to itself, where it does.
    ///
    /// # Errors
    /// [`StartError`] if there is nothing to show.
    pub(crate) async fn begin(&self) -> Result<(), StartError> {
        match self.reloader.certificate_source {
            CertificateSource::Issued => self.look().await,
            CertificateSource::Files | CertificateSource::Made | CertificateSource::Nowhere => Ok(()),
        }
    }

    /// Looks as often as was configured, until it is stopped.
    pub(crate) async fn run(self) {
        if matches!(self.reloader.certificate_source, CertificateSource::Made | CertificateSource::Nowhere) {
            return;
        }
        loop {
            tokio::time::sleep(self.interval).await;
            let trouble = self.look().await.err().map(|error| error.to_string());
            self.tell(trouble);
        }
    }

    /// Has the listeners show what is there now.
    async fn look(&self) -> Result<(), StartError> {
        // One look or reload at a time: neither puts back what the other has just put in force.
        let current = self.reloader.current.lock().await;
        let (identity, trouble) = match self.reloader.certificate_source {
            CertificateSource::Files => {
                let config = current.clone();
                let reading = tokio::task::spawn_blocking(move || ServerIdentity::read(&config)).await;
                (reading.map_err(|error| StartError::caused("the files of [tls]", &error))??, None)
            }
            CertificateSource::Issued => self.own.current().await?,
            CertificateSource::Made | CertificateSource::Nowhere => return Ok(()),
        };
        let new = Presentable::new(&identity)?;
        if !self.reloader.certificate.shows(&new) {
            self.take_up(new).await?;
        }
        trouble.map_or(Ok(()), Err)
    }

    async fn take_up(&self, new: Presentable) -> Result<(), StartError> {
        let told = json!({ "changed": ["tls.certificate"], "needs_restart": [] });
        let recorded = self.authority.configuration_changed(None, &told).await;
        recorded
            .map_err(|error| StartError::caused("a newer certificate could not be put on record", &error))?;
        self.reloader.certificate.replace(new);
        self.reloader.watch_certificate();
        tracing::info!("the https listeners show a newer certificate");
        Ok(())
    }

    /// Tells the log and those who watch, once for each trouble.
    fn tell(&self, trouble: Option<String>) {
        if self.reloader.health.watch_renewal(trouble.clone())
            && let Some(why) = trouble
        {
            tracing::warn!(
                code = "https_renewal",
                why,
                "the https listeners show the certificate from before: no newer one could be taken up"
            );
        }
    }
}
