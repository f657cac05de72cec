//! A report as gauges for Prometheus: set when somebody asks for metrics, so that they are never old.

use ingam_protocol::Timestamp;
use ingam_protocol::health::{Code, Level, Report, Role};
use metrics::gauge;

/// Sets every gauge that a report knows. What is not known becomes NaN, which no alert compares with anything.
pub(crate) fn set(report: &Report) {
    roles(report);
    for issuer in &report.issuers {
        let name = issuer.name.to_string();
        ends("issuer", &name, issuer.not_after);
        if let Some(not_after) = issuer.ocsp_certificate_not_after {
            ends("ocsp", &name, not_after);
        }
        let crl = issuer.crl.as_ref();
        gauge!("ingam_crl_this_update_timestamp_seconds", "issuer" => name.clone())
            .set(moment(crl.map(|crl| crl.this_update)));
        gauge!("ingam_crl_next_update_timestamp_seconds", "issuer" => name.clone())
            .set(moment(crl.map(|crl| crl.next_update)));
        gauge!("ingam_crl_entries", "issuer" => name.clone()).set(number(crl.map(|crl| crl.entries)));
    }
    for certificate in &report.certificates {
        ends(&certificate.kind, &certificate.name, certificate.not_after);
    }
    // Other processes have no issuers in their reports; a responder apart says by itself how old its answers are.
    if !report.issuers.is_empty() {
        oldest_answer(report.issuers.iter().filter_map(|issuer| issuer.oldest_answer).min());
    }
    for queue in &report.queues {
        gauge!("ingam_queue_waiting", "queue" => queue.name.clone()).set(number(Some(queue.waiting)));
        gauge!("ingam_queue_max", "queue" => queue.name.clone()).set(number(Some(queue.max)));
    }
    let storage = &report.storage;
    gauge!("ingam_outbox_records").set(number(storage.outbox_records));
    gauge!("ingam_outbox_oldest_age_seconds").set(number(storage.outbox_oldest_age_s));
    gauge!("ingam_disk_free_bytes").set(number(storage.disk_free_bytes));
    gauge!("ingam_disk_bytes").set(number(storage.disk_bytes));
    gauge!("ingam_store_bytes").set(number(storage.store_bytes));
    gauge!("ingam_journal_bytes").set(number(storage.journal_bytes));
    gauge!("ingam_clock_jump_seconds").set(seconds(report.clock.jump_ms));
    gauge!("ingam_clock_behind_seconds").set(seconds(signed(report.clock.behind_ms)));
    gauge!("ingam_build_info", "version" => report.version.clone()).set(1.0);
    gauge!("ingam_start_timestamp_seconds").set(moment(Some(report.started)));
}

/// The thisUpdate of the oldest OCSP answer that counts, if there is one.
pub(crate) fn oldest_answer(at: Option<Timestamp>) {
    gauge!("ingam_ocsp_oldest_answer_timestamp_seconds").set(moment(at));
}

/// Readiness, and each thing that a role can lack: 0 not lacking, 1 a warning, 2 failing.
fn roles(report: &Report) {
    for role in &report.roles {
        gauge!("ingam_ready", "role" => role.role.name()).set(if role.ready { 1.0 } else { 0.0 });
    }
    let stopping = Role::ALL.map(|role| (Code::Stopping, role));
    for (code, role) in Code::PLACES.into_iter().chain(stopping) {
        // The worst comes first.
        let lack = report.role(role).and_then(|report| report.lacks.iter().find(|lack| lack.code == code));
        let level = match lack.map(|lack| lack.level) {
            None => 0.0,
            Some(Level::Warning) => 1.0,
            Some(Level::Failing) => 2.0,
        };
        gauge!("ingam_lack", "role" => role.name(), "code" => code.name()).set(level);
    }
}

fn ends(kind: &str, name: &str, not_after: Timestamp) {
    gauge!("ingam_certificate_expiry_timestamp_seconds", "kind" => kind.to_owned(), "name" => name.to_owned())
        .set(moment(Some(not_after)));
}

fn moment(moment: Option<Timestamp>) -> f64 {
    moment.map_or(f64::NAN, |moment| seconds(signed(moment.unix_ms())))
}

#[allow(clippy::cast_precision_loss, reason = "above 2^53, nobody reads the last digit of a gauge")]
fn number(number: Option<u64>) -> f64 {
    number.map_or(f64::NAN, |number| number as f64)
}

/// Milliseconds as seconds.
#[allow(clippy::cast_precision_loss, reason = "as above")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
