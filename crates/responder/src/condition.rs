//! How the responder fares, for whoever watches it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use ingam_protocol::Timestamp;
use ingam_protocol::health::{CrlReport, QueueReport};
use ingam_protocol::profile::IssuerName;

use crate::http::Responder;

/// How an issuer's CRLs fare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlCondition {
    /// Whose they are.
    pub issuer: IssuerName,
    /// What the lists that are given out have in common; `None` while one was never made.
    pub current: Option<CrlReport>,
    /// Whether the last try to make one of them failed.
    pub failed: bool,
}

/// How the signing of OCSP answers fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningCondition {
    /// How many signatures failed since the last that succeeded.
    pub failures: u64,
    /// When the last of them failed; the epoch if none did.
    pub last_failure: Timestamp,
}

/// Failures in a row.
#[derive(Debug, Default)]
pub(crate) struct Streak {
    failures: AtomicU64,
    last_failure_ms: AtomicU64,
}

impl Streak {
    pub(crate) fn failed(&self, now: Timestamp) {
        self.last_failure_ms.fetch_max(now.unix_ms(), Ordering::AcqRel);
        self.failures.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn succeeded(&self) {
        // Mostly there is nothing to write, and every signature comes by here.
        if self.failures.load(Ordering::Acquire) != 0 {
            self.failures.store(0, Ordering::Release);
        }
    }

    pub(crate) fn condition(&self) -> SigningCondition {
        SigningCondition {
            failures: self.failures.load(Ordering::Acquire),
            last_failure: Timestamp::from_unix_ms(self.last_failure_ms.load(Ordering::Acquire)),
        }
    }
}

impl Responder {
    /// The CRLs of each issuer.
    pub fn crls(&self) -> Vec<CrlCondition> {
        self.crl_service().condition()
    }

    /// How the signing of OCSP answers fares.
    pub fn signing(&self) -> SigningCondition {
        self.ocsp().signing_condition()
    }

    /// OCSP signatures being made or waited for, and signatures of all kinds that wait to be put on record.
    pub fn queues(&self) -> [QueueReport; 2] {
        [self.ocsp().queue_report(), self.audit().queue_report()]
    }

    /// The thisUpdate of each issuer's oldest answer in memory that a client can get, or should long have got a newer
    /// one for: answers that nobody asks for any more do not count. Looks at every kept answer, so not for the threads
    /// that serve requests.
    pub fn oldest_answers(&self) -> BTreeMap<IssuerName, Timestamp> {
        self.ocsp().oldest_answers()
    }
}
