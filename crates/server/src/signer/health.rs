//! How a signer fares: whether each issuer can sign now, and when its certificate and its OCSP certificate end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use ingam_protocol::certificate::Validity;
use ingam_protocol::health::{
    CertificateReport, ClockReport, Code, Lack, Level, Report, Role, RoleReport, StorageReport,
};
use ingam_protocol::{Clock, Timestamp};
use ingam_signer::{LocalSigner, Signer};

use crate::config::Config;
use crate::observation::Reporter;

/// What is known of the process.
pub(super) struct SignerHealth {
    clock: Arc<dyn Clock>,
    signer: Arc<LocalSigner>,
    environment: &'static str,
    started: Timestamp,
    stopping: AtomicBool,
}

impl SignerHealth {
    pub(super) fn new(config: &Config, clock: Arc<dyn Clock>, signer: Arc<LocalSigner>) -> Self {
        let (started, environment) = (clock.now(), config.environment.name());
        Self { clock, signer, environment, started, stopping: AtomicBool::new(false) }
    }

    async fn lacks(&self) -> Vec<Lack> {
        let lack = |code, detail: String, fix: &str| Lack {
            code,
            level: Level::Failing,
            detail,
            fix: fix.to_owned(),
        };
        let mut lacks = Vec::new();
        if self.stopping.load(Ordering::Acquire) {
            let detail = "the process was told to end, and finishes what it has in hand".to_owned();
            lacks.push(lack(Code::Stopping, detail, "start it again"));
        }
        for issuer in self.signer.issuers() {
            if let Err(error) = self.signer.ready(&issuer.name).await {
                let detail = format!("the issuer {} cannot sign: {error}", issuer.name);
                lacks.push(lack(Code::Signing, detail, "look at the ledger's disk, or put the token in"));
            }
        }
        lacks
    }
}

#[async_trait]
impl Reporter for SignerHealth {
    async fn report(&self) -> Report {
        let now = self.clock.now();
        let certificates = self.signer.issuers().iter().filter_map(|issuer| {
            let Validity { not_before, not_after } = Validity::read(&issuer.certificate)?;
            Some(CertificateReport {
                kind: "issuer".to_owned(),
                name: issuer.name.to_string(),
                not_before,
                not_after,
            })
        });
        Report {
            at: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: self.environment.to_owned(),
            started: self.started,
            uptime_s: now.since(self.started).as_secs(),
            roles: vec![RoleReport::new(Role::Signer, self.lacks().await)],
            issuers: Vec::new(),
            certificates: certificates.collect(),
            queues: Vec::new(),
            storage: StorageReport::default(),
            clock: ClockReport::default(),
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}
