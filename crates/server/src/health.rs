//! How this CA fares: gathered from the running parts, judged, and given to whoever asks.
//!
//! ```text
//! parts ──▶ look (disk and store, on threads that may block) ──▶ facts ──▶ judge (pure) ──▶ Report ──▶ /readyz
//!                                                                                             ├──▶ gauges, /metrics
//!                                                                                             └──▶ the admin API
//! ```
//!
//! A report is kept for a second, so that asking costs nothing however many ask. Gathering one ends in time whatever the
//! disk does: what does not answer is itself part of the report.

mod config;
mod facts;
pub(crate) mod gauges;
mod judge;
mod look;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ingam_authority::Authority;
use ingam_journal::Journal;
use ingam_protocol::Clock;
use ingam_protocol::certificate::Validity;
use ingam_protocol::health::{CertificateReport, Code, Lack, Level, Report, RoleReport};
use ingam_responder::Responder;
use ingam_responder::request_log::RequestLog;
use ingam_retention::Retention;
use ingam_signer::Signer;
use ingam_store::Store;
use ingam_transparency::TransparencyService;
use ingam_validation::{LocalPerspective, MultiPerspective};
use tokio::time::Instant;

use crate::delegates::Delegates;
use crate::monitor::Monitor;

pub(crate) use config::Config;
pub(crate) use judge::{crowded, failed_signatures};

use facts::Looks;

/// For how long a report is good.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// What a report is gathered from.
pub(crate) struct Parts {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) validation: Arc<LocalPerspective>,
    /// The same with others; none without remote perspectives.
    pub(crate) corroboration: Option<Arc<MultiPerspective>>,
    pub(crate) signer: Arc<dyn Signer>,
    /// Who asks logs; none where no profile needs them.
    pub(crate) transparency: Option<Arc<TransparencyService>>,
    pub(crate) responder: Arc<Responder>,
    pub(crate) request_log: Arc<RequestLog>,
    /// The sweep.
    pub(crate) retention: Arc<Retention>,
    /// Who compares what is given out with the record; none where that is off.
    pub(crate) monitor: Option<Arc<Monitor>>,
    /// Responders apart that may sign answers.
    pub(crate) delegates: Arc<Delegates>,
    pub(crate) store: Store,
    pub(crate) journal: Arc<Journal>,

    pub(crate) config: Config,
    /// `production`, `staging` or `development`.
    pub(crate) environment: String,
    /// The folder of everything that the CA keeps.
    pub(crate) state: PathBuf,
    /// How old an OCSP answer may become: half of its validity.
    pub(crate) answer_age_max: Duration,
}

/// The way to the CA's health. Clones are the same.
#[derive(Clone)]
pub(crate) struct Health(Arc<Inner>);

struct Inner {
    parts: Parts,
    looks: Looks,
    start: facts::Start,
    /// The certificates of the process's own listeners.
    certificates: Mutex<Vec<CertificateReport>>,
    /// Why the https listeners have no newer certificate than they show.
    renewal_trouble: Mutex<Option<String>>,
    stopping: AtomicBool,
    /// Held by the one who gathers; the others wait for what comes of it.
    kept: tokio::sync::Mutex<Option<(Instant, Report)>>,
}

impl Health {
    /// Watches these parts. To be made before anything of this start is put on record, as it looks at the newest record
    /// that is there. Blocks for two reads of the store.
    ///
    /// # Errors
    /// [`ingam_store::Error`] if the store cannot be read.
    pub(crate) fn new(parts: Parts) -> Result<Self, ingam_store::Error> {
        let start = facts::Start::now(&parts)?;
        let looks = Looks::new(&parts);
        Ok(Self(Arc::new(Inner {
            parts,
            looks,
            start,
            certificates: Mutex::default(),
            renewal_trouble: Mutex::default(),
            stopping: AtomicBool::new(false),
            kept: tokio::sync::Mutex::default(),
        })))
    }

    /// How the CA fares now, or did within the last second. Comes back within some two seconds whatever is broken.
    pub(crate) async fn report(&self) -> Report {
        let mut kept = self.0.kept.lock().await;
        let mut report = match &*kept {
            Some((at, report)) if at.elapsed() < KEPT_FOR => report.clone(),
            _ => {
                let report = self.gather().await;
                *kept = Some((Instant::now(), report.clone()));
                report
            }
        };
        drop(kept);
        if self.is_stopping() {
            let roles = std::mem::take(&mut report.roles);
            report.roles = roles.into_iter().map(stopping).collect();
        }
        report
    }

    /// From now on, no role is ready: the process is about to end.
    pub(crate) fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    /// Tells of a certificate that the process shows to those who connect (DER); a later one of the same kind and name
    /// takes its place. `kind` is `https` for those that ACME clients see.
    pub(crate) fn watch_certificate(&self, kind: &str, name: &str, der: &[u8]) {
        let Some(Validity { not_before, not_after }) = Validity::read(der) else {
            tracing::warn!(kind, name, "a certificate cannot be read, so its end is not watched");
            return;
        };
        let mut certificates = self.0.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        certificates.retain(|known| known.kind != kind || known.name != name);
        certificates.push(CertificateReport {
            kind: kind.to_owned(),
            name: name.to_owned(),
            not_before,
            not_after,
        });
    }

    /// Tells why the https listeners could not be given a newer certificate, or that all is well with it. Whether that is
    /// news.
    pub(crate) fn watch_renewal(&self, trouble: Option<String>) -> bool {
        let mut known = self.0.renewal_trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *known != trouble;
        *known = trouble;
        is_news
    }

    /// How long `/readyz` is to say that the process ends, before it does.
    pub(crate) fn stop_notice(&self) -> Duration {
        Duration::from_secs(self.0.parts.config.stop_notice_s)
    }

    fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Acquire)
    }

    fn certificates(&self) -> Vec<CertificateReport> {
        self.0.certificates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn gather(&self) -> Report {
        let Inner { parts, looks, start, .. } = self.0.as_ref();
        let mut facts = facts::gather(parts, looks, start, self.certificates()).await;
        facts.renewal_trouble = self.0.renewal_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let roles = judge::judge(&facts, &parts.config);
        facts::report(parts, start, facts, roles)
    }
}

fn stopping(role: RoleReport) -> RoleReport {
    let mut lacks = role.lacks;
    lacks.push(Lack {
        code: Code::Stopping,
        level: Level::Failing,
        detail: "the process was told to end, and finishes what it has in hand".to_owned(),
        fix: "send requests elsewhere, or start it again".to_owned(),
    });
    RoleReport::new(role.role, lacks)
}
