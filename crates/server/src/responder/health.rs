//! How a responder without keys fares: whether newer answers come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ingam_protocol::health::{ClockReport, Code, Lack, Level, Report, Role, RoleReport, StorageReport};
use ingam_protocol::{Clock, Timestamp};
use ingam_responder::{FollowingCondition, Responder};
use metrics::gauge;

use crate::config::Config;
use crate::observation::Reporter;

/// What is known of the process.
pub(super) struct ResponderHealth {
    clock: Arc<dyn Clock>,
    condition: Arc<Mutex<FollowingCondition>>,
    responder: Responder,
    /// How old answers may become: half of their validity.
    age_max: Duration,
    environment: &'static str,
    started: Timestamp,
    stopping: AtomicBool,
}

impl ResponderHealth {
    pub(super) fn new(
        config: &Config,
        clock: Arc<dyn Clock>,
        condition: Arc<Mutex<FollowingCondition>>,
        responder: Responder,
    ) -> Self {
        let (started, environment) = (clock.now(), config.environment.name());
        let age_max = Duration::from_secs(config.responder.ocsp_validity_s) / 2;
        Self { clock, condition, responder, age_max, environment, started, stopping: AtomicBool::new(false) }
    }

    fn lacks(&self, now: Timestamp) -> Vec<Lack> {
        let mut lacks = Vec::new();
        if self.stopping.load(Ordering::Acquire) {
            lacks.push(Lack {
                level: Level::Failing,
                code: Code::Stopping,
                detail: "the process was told to end, and finishes what it has in hand".to_owned(),
                fix: "start it again".to_owned(),
            });
        }
        let condition = self.condition.lock().unwrap_or_else(PoisonError::into_inner).clone();
        #[allow(clippy::cast_precision_loss, reason = "seconds since the epoch are far below 2^53")]
        gauge!("ingam_ocsp_manifest_timestamp_seconds").set(condition.made_at.unix_s() as f64);
        lacks.extend(judge(&condition, now, self.age_max));
        lacks
    }
}

/// What is thought of the answers that are there.
fn judge(condition: &FollowingCondition, now: Timestamp, age_max: Duration) -> Option<Lack> {
    let age = now.since(condition.made_at);
    let level = match (age > age_max, now > condition.expires_at) {
        (true, _) => Level::Failing,
        (false, true) => Level::Warning,
        (false, false) => return None,
    };
    let why = condition.trouble.as_deref().unwrap_or("the CA makes no new one");
    Some(Lack {
        level,
        code: Code::OcspAnswerAge,
        detail: format!("the newest answers of the CA are {} s old: {why}", age.as_secs()),
        fix: "see whether the CA runs and can be reached from here: meanwhile each answer is given as long as it is valid".to_owned(),
    })
}

#[async_trait]
impl Reporter for ResponderHealth {
    async fn report(&self) -> Report {
        let now = self.clock.now();
        Report {
            at: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: self.environment.to_owned(),
            started: self.started,
            uptime_s: now.since(self.started).as_secs(),
            roles: vec![RoleReport::new(Role::Responder, self.lacks(now))],
            issuers: Vec::new(),
            certificates: Vec::new(),
            queues: self.responder.queues().to_vec(),
            storage: StorageReport::default(),
            clock: ClockReport::default(),
        }
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_grow_old() {
        let made_at = Timestamp::from_unix_s(1_795_255_200);
        let second = Duration::from_secs(1);
        let (hour, days) = (3600 * second, 302_400 * second);
        let condition =
            FollowingCondition { sequence: 7, made_at, expires_at: made_at.plus(hour), trouble: None };
        let level = |age| judge(&condition, made_at.plus(age), days).map(|lack| lack.level);
        assert_eq!(level(hour), None);
        assert_eq!(level(hour + second), Some(Level::Warning));
        assert_eq!(level(days), Some(Level::Warning));
        assert_eq!(level(days + second), Some(Level::Failing));
    }
}
