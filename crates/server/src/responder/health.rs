//! How a responder apart from its CA fares: whether newer answers come, and whether it may sign.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ingam_protocol::health::{ClockReport, Code, Lack, Level, Report, Role, RoleReport, StorageReport};
use ingam_protocol::{Clock, Timestamp};
use ingam_responder::{FollowingCondition, Responder};
use metrics::gauge;

use crate::config::Config;
use crate::health::{crowded, failed_signatures, gauges};
use crate::observation::Reporter;
use crate::responder::https::Https;

/// What is known of the process.
pub(super) struct ResponderHealth {
    clock: Arc<dyn Clock>,
    condition: Arc<Mutex<FollowingCondition>>,
    responder: Responder,
    /// None where nobody can ask over https.
    https: Option<Arc<Https>>,
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
        https: Option<Arc<Https>>,
    ) -> Self {
        let (started, environment) = (clock.now(), config.environment.name());
        Self { clock, condition, responder, https, environment, started, stopping: AtomicBool::new(false) }
    }

    fn stopping(&self) -> Option<Lack> {
        self.stopping.load(Ordering::Acquire).then(|| Lack {
            level: Level::Failing,
            code: Code::Stopping,
            detail: "the process was told to end, and finishes what it has in hand".to_owned(),
            fix: "start it again".to_owned(),
        })
    }

    fn lacks(&self, now: Timestamp) -> Vec<Lack> {
        let mut lacks: Vec<Lack> = self.stopping().into_iter().collect();
        let condition = self.condition.lock().unwrap_or_else(PoisonError::into_inner).clone();
        measure(&condition, now);
        lacks.extend(judge(&condition, now));
        lacks.extend(judge_signing(&condition, now));
        // What was signed in advance is given out all the same.
        let failed = failed_signatures(self.responder.signing(), now);
        lacks.extend(failed.map(|lack| Lack { level: Level::Warning, ..lack }));
        let events =
            "how much room there is on the disk of state/signed: nothing is signed once this is full";
        lacks.extend(crowded(&self.responder.queues(), "signing_events", Code::SigningEventsQueue, events));
        lacks
    }
}

/// Sets the gauges that no report has a place for.
fn measure(condition: &FollowingCondition, now: Timestamp) {
    #[allow(clippy::cast_precision_loss, reason = "seconds since the epoch are far below 2^53")]
    gauge!("ingam_ocsp_manifest_timestamp_seconds").set(condition.made_at.unix_s() as f64);
    gauges::oldest_answer(condition.oldest);
    let count = condition.delegates.values().flatten().filter(|not_after| **not_after >= now).count();
    gauge!("ingam_ocsp_delegated_issuers").set(u32::try_from(count).map_or(f64::NAN, f64::from));
}

/// What is thought of the answers that are there: too old once half of the oldest one's time is over, as the CA signs anew before.
fn judge(condition: &FollowingCondition, now: Timestamp) -> Option<Lack> {
    let old = condition.oldest.filter(|this_update| now.since(*this_update) > condition.validity / 2);
    let (level, detail) = match old {
        Some(this_update) => {
            (Level::Failing, format!("the oldest answer is {} s old", now.since(this_update).as_secs()))
        }
        None if now > condition.expires_at => {
            let age = now.since(condition.made_at).as_secs();
            (Level::Warning, format!("the CA's last list of answers is {age} s old"))
        }
        None => return None,
    };
    let why = condition.trouble.as_deref().unwrap_or("the CA makes no newer ones");
    Some(Lack {
        level,
        code: Code::OcspAnswerAge,
        detail: format!("{detail}: {why}"),
        fix: "see whether the CA and its signer run, and can be reached from here: meanwhile each answer is given as long as it is \
              valid"
            .to_owned(),
    })
}

/// What is thought of the certificates by which answers are signed here: without one, it goes on as if it had no key.
fn judge_signing(condition: &FollowingCondition, now: Timestamp) -> Vec<Lack> {
    let lack = |detail: String, fix: &str| Lack {
        level: Level::Warning,
        code: Code::OcspSigning,
        detail,
        fix: fix.to_owned(),
    };
    let judged = condition.delegates.iter().filter_map(|(issuer, not_after)| match not_after {
        None => Some(lack(
            format!("the CA lists no certificate of the issuer {issuer} for answers.delegate_key: nothing is signed here"),
            "put its public key into responder.delegates of the CA and have that read; or leave the key out",
        )),
        Some(end) if *end < now => Some(lack(
            format!("the certificate of the issuer {issuer} for answers.delegate_key ended at {end}"),
            "see whether the CA runs and can be reached from here: it lists another in time",
        )),
        Some(_) => None,
    });
    judged.collect()
}

#[async_trait]
impl Reporter for ResponderHealth {
    async fn report(&self) -> Report {
        let now = self.clock.now();
        let mut roles = vec![RoleReport::new(Role::Responder, self.lacks(now))];
        // Whoever balances the load of plain http asks for the role above alone.
        roles.extend(self.https.as_ref().map(|https| {
            let lacks = self.stopping().into_iter().chain(https.lacks(now));
            RoleReport::new(Role::Frontend, lacks.collect())
        }));
        Report {
            at: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            environment: self.environment.to_owned(),
            started: self.started,
            uptime_s: now.since(self.started).as_secs(),
            roles,
            issuers: Vec::new(),
            certificates: self.https.iter().filter_map(|https| https.report()).collect(),
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
    use std::collections::BTreeMap;
    use std::time::Duration;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn answers_grow_old() {
        let made_at = Timestamp::from_unix_s(1_795_255_200);
        let second = Duration::from_secs(1);
        let (hour, half) = (3600 * second, 4 * 3600 * second);
        let condition = FollowingCondition {
            sequence: 7,
            made_at,
            expires_at: made_at.plus(hour),
            oldest: Some(made_at.minus(hour)),
            validity: 2 * half,
            delegates: BTreeMap::new(),
            trouble: None,
        };
        let level = |age| judge(&condition, made_at.plus(age)).map(|lack| lack.level);
        assert_eq!(level(hour), None);
        assert_eq!(level(hour + second), Some(Level::Warning));
        assert_eq!(level(half.saturating_sub(hour)), Some(Level::Warning));
        assert_eq!(level(half.saturating_sub(hour) + second), Some(Level::Failing));
        // A CA that only makes lists is no reason to be content.
        let listed = FollowingCondition { expires_at: made_at.plus(9 * hour), ..condition };
        let level = |age| judge(&listed, made_at.plus(age)).map(|lack| lack.level);
        assert_eq!((level(hour), level(half)), (None, Some(Level::Failing)));
    }

    #[test]
    fn the_age_of_answers_is_measured_and_stays_so_when_a_report_is() {
        let made_at = Timestamp::from_unix_s(1_795_255_200);
        let oldest = Some(made_at.minus(Duration::from_secs(100)));
        let report = Report {
            at: made_at,
            version: String::new(),
            environment: String::new(),
            started: made_at,
            uptime_s: 0,
            roles: Vec::new(),
            issuers: Vec::new(),
            certificates: Vec::new(),
            queues: Vec::new(),
            storage: StorageReport::default(),
            clock: ClockReport::default(),
        };
        let recorder = PrometheusBuilder::new().build_recorder();
        let told = |oldest| {
            metrics::with_local_recorder(&recorder, || {
                measure(&FollowingCondition { made_at, oldest, ..FollowingCondition::default() }, made_at);
                gauges::set(&report);
            });
            recorder.handle().render()
        };
        let text = told(oldest);
        assert!(text.contains("\ningam_ocsp_oldest_answer_timestamp_seconds 1795255100\n"), "{text}");
        assert!(text.contains("\ningam_ocsp_manifest_timestamp_seconds 1795255200\n"), "{text}");
        let text = told(None);
        assert!(text.contains("\ningam_ocsp_oldest_answer_timestamp_seconds NaN\n"), "{text}");
    }

    #[test]
    fn a_key_without_a_certificate_is_told() {
        let now = Timestamp::from_unix_s(1_795_255_200);
        let second = Duration::from_secs(1);
        let lacks = |delegates: &[(&str, Option<Timestamp>)]| {
            let named =
                |(name, end): &(&str, Option<Timestamp>)| ((*name).to_owned().try_into().unwrap(), *end);
            let delegates = delegates.iter().map(named).collect();
            let condition = FollowingCondition { delegates, ..FollowingCondition::default() };
            judge_signing(&condition, now).into_iter().map(|lack| (lack.code, lack.level)).collect::<Vec<_>>()
        };
        let told = (Code::OcspSigning, Level::Warning);
        assert_eq!(lacks(&[]), [], "without a key there is nothing to sign by");
        assert_eq!(lacks(&[("e1", Some(now)), ("e2", Some(now.plus(second)))]), []);
        assert_eq!(lacks(&[("e1", Some(now.minus(second))), ("e2", None)]), [told, told]);
    }
}
