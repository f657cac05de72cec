//! The certificate that a responder shows to those who ask over https: from the files of `[tls]`, which are looked at again and again,
//! as those of a CA are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::certificate::Validity;
use ingam_protocol::health::{CertificateReport, Code, Lack, Level};
use tokio_rustls::TlsAcceptor;

use crate::config::Config;
use crate::serve::StartError;
use crate::served_certificate::{Presentable, ServedCertificate, ServerIdentity};

/// A certificate with less than this left should have been renewed.
const NOTICE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// See the module.
pub(super) struct Https {
    shown: Arc<ServedCertificate>,
    /// Why there is no newer one than that.
    trouble: Mutex<Option<String>>,

    /// Names the files.
    config: Config,
}

impl Https {
    /// What the files have now; none where nobody can ask over https.
    ///
    /// # Errors
    /// [`StartError`] if they are of no use.
    pub(super) fn read(config: &Config) -> Result<Option<Arc<Self>>, StartError> {
        if config.listen.publication_tls.is_empty() {
            return Ok(None);
        }
        let shown = ServedCertificate::new(&ServerIdentity::read(config)?)?;
        Ok(Some(Arc::new(Self { shown, trouble: Mutex::new(None), config: config.clone() })))
    }

    /// TLS with what is shown at the time.
    ///
    /// # Errors
    /// [`StartError`] if the library has no TLS.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, StartError> {
        Ok(TlsAcceptor::from(self.shown.for_everybody()?))
    }

    /// Looks at the files as often as was configured.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_secs(self.config.tls.look_interval_s)).await;
            self.look().await;
        }
    }

    /// Shows what the files have now to every connection that comes after; what is of no use leaves the one before.
    pub(super) async fn look(&self) {
        let config = self.config.clone();
        let reading =
            tokio::task::spawn_blocking(move || Presentable::new(&ServerIdentity::read(&config)?)).await;
        let read = reading.map_err(|error| StartError::caused("the files of [tls]", &error));
        let trouble = match read.and_then(|read| read) {
            Ok(new) => {
                if !self.shown.shows(&new) {
                    self.shown.replace(new);
                    tracing::info!("the https listener shows a newer certificate");
                }
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = trouble.as_deref().filter(|_| *known != trouble) {
            tracing::warn!(
                code = "https_renewal",
                why,
                "the https listener shows the certificate from before"
            );
        }
        *known = trouble;
    }

    /// What is shown, for those who watch.
    pub(super) fn report(&self) -> Option<CertificateReport> {
        let Validity { not_before, not_after } = Validity::read(&self.shown.leaf()?)?;
        Some(CertificateReport {
            kind: "https".to_owned(),
            name: "responder".to_owned(),
            not_before,
            not_after,
        })
    }

    /// What those who ask over https lack.
    pub(super) fn lacks(&self, now: Timestamp) -> Vec<Lack> {
        let ends = self.report().map(|report| report.not_after).filter(|end| *end < now.plus(NOTICE));
        let ending = ends.map(|not_after| Lack {
            level: if not_after < now { Level::Failing } else { Level::Warning },
            code: Code::HttpsCertificate,
            detail: format!("the certificate of listen.publication_tls ends at {not_after}"),
            fix: "put a newer one into tls.certificate and tls.key: it is found there".to_owned(),
        });
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let trouble = trouble.map(|why| Lack {
            level: Level::Warning,
            code: Code::HttpsRenewal,
            detail: format!("no newer certificate for listen.publication_tls: {why}"),
            fix: "put this right: the one that is shown goes on until its end, and the next look finds it"
                .to_owned(),
        });
        ending.into_iter().chain(trouble).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn now() -> Timestamp {
        Timestamp::from_rfc3339("2026-11-29T00:00:00Z").unwrap()
    }

    /// Writes a certificate that ends so many days from now.
    fn write(folder: &Path, days: u32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["ocsp.example".to_owned()]).unwrap();
        params.not_after = now().plus(days * DAY).to_date_time();
        std::fs::write(folder.join("tls.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    }

    fn codes(https: &Https) -> Vec<(Code, Level)> {
        https.lacks(now()).into_iter().map(|lack| (lack.code, lack.level)).collect()
    }

    #[tokio::test]
    async fn files_are_taken_up_while_they_are_of_use() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        assert!(Https::read(&config).unwrap().is_none());
        config.listen.publication_tls = vec!["127.0.0.1:0".parse().unwrap()];
        assert!(Https::read(&config).err().unwrap().to_string().contains("tls.certificate"));
        config.tls.certificate = Some(folder.path().join("tls.pem"));
        config.tls.key = Some(folder.path().join("tls.key"));
        write(folder.path(), 10);
        let https = Https::read(&config).unwrap().unwrap();
        assert_eq!(codes(&https), [(Code::HttpsCertificate, Level::Warning)]);

        write(folder.path(), 90);
        https.look().await;
        assert_eq!(codes(&https), []);
        let shown = https.report();
        std::fs::write(folder.path().join("tls.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        https.look().await;
        assert_eq!(codes(&https), [(Code::HttpsRenewal, Level::Warning)]);
        assert_eq!(https.report(), shown);
        assert_eq!(https.lacks(now().plus(91 * DAY))[0].level, Level::Failing);
        write(folder.path(), 91);
        https.look().await;
        assert_eq!(codes(&https), []);
    }
}
