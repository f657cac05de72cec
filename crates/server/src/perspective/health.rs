//! How a perspective fares: it has one role, and lacks nothing but time when it is told to end or its certificate does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ingam_protocol::certificate::Validity;
use ingam_protocol::health::{
    CertificateReport, ClockReport, Code, Lack, Level, Report, Role, RoleReport, StorageReport,
};
use ingam_protocol::{Clock, Timestamp};
use ingam_validation::LocalPerspective;

use crate::config::Config;
use crate::observation::Reporter;
use crate::served_certificate::ServedCertificate;

/// A certificate with less than this left should have been renewed.
const NOTICE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What is known of the process.
pub(super) struct PerspectiveHealth {
    clock: Arc<dyn Clock>,
    local: Arc<LocalPerspective>,
    certificate: Arc<ServedCertificate>,
    environment: &'static str,
    started: Timestamp,
    stopping: AtomicBool,
}

impl PerspectiveHealth {
    pub(super) fn new(
        config: &Config,
        clock: Arc<dyn Clock>,
        local: Arc<LocalPerspective>,
        certificate: Arc<ServedCertificate>,
    ) -> Self {
        let started = clock.now();
        let environment = config.environment.name();
        Self { clock, local, certificate, environment, started, stopping: AtomicBool::new(false) }
    }

    fn lacks(&self, now: Timestamp, certificate: Option<&CertificateReport>) -> Vec<Lack> {
        let lack = |level, code, detail: String, fix: &str| Lack { code, level, detail, fix: fix.to_owned() };
        let mut lacks = Vec::new();
        if self.stopping.load(Ordering::Acquire) {
            let detail = "the process was told to end, and finishes what it has in hand".to_owned();
            lacks.push(lack(Level::Failing, Code::Stopping, detail, "start it again"));
        }
        if let Some(CertificateReport { not_after, .. }) = certificate
            && *not_after < now.plus(NOTICE)
        {
            let level = if *not_after < now { Level::Failing } else { Level::Warning };
            let detail = format!("the certificate that coordinators see ends at {not_after}");
            let fix = "put a newer one into perspective.certificate and perspective.key, and send SIGHUP";
            lacks.push(lack(level, Code::HttpsCertificate, detail, fix));
        }
        lacks
    }
}

#[async_trait]
impl Reporter for PerspectiveHealth {
    async fn report(&self) -> Report {
        let now = self.clock.now();
        let validity = self.certificate.leaf().and_then(|der| Validity::read(&der));
        let certificate = validity.map(|Validity { not_before, not_after }| CertificateReport {
            kind: "https".to_owned(),
            name: "perspective".to_owned(),
            not_before,
            not_after,
        });
        let lacks = self.lacks(now, certificate.as_ref());
        Report {
            at: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: self.environment.to_owned(),
            started: self.started,
            uptime_s: now.since(self.started).as_secs(),
            roles: vec![RoleReport::new(Role::Validation, lacks)],
            issuers: Vec::new(),
            certificates: certificate.into_iter().collect(),
            queues: vec![self.local.queue()],
            storage: StorageReport::default(),
            clock: ClockReport::default(),
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}
