//! Logs and metrics.

use std::io::IsTerminal;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error: text on a terminal, JSON otherwise. `filter` is in the syntax of `RUST_LOG`, which
/// wins over it.
pub(crate) fn start_logs(filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.init();
    } else {
        builder.json().flatten_event(true).init();
    }
}

/// Latencies from a tenth of a millisecond to ten seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How many transactions share a sync.
const JOBS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Starts counting; gives the way to what was counted.
pub(crate) fn start_metrics() -> Result<PrometheusHandle, Box<dyn std::error::Error>> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_jobs".to_owned()), &JOBS)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    describe();
    Ok(handle)
}

fn describe() {
    metrics::describe_counter!("ingam_http_requests_total", "ACME requests by route, method and status");
    metrics::describe_counter!("ingam_orders_total", "Orders that were finalized, by outcome");
    metrics::describe_counter!("ingam_revocations_total", "Certificates revoked, by reason");
    metrics::describe_counter!("ingam_faults_total", "Requests that failed here, by code");
    metrics::describe_counter!("ingam_validations_total", "Challenges checked, by type and result");
    metrics::describe_counter!("ingam_signatures_total", "Signatures made, by kind and issuer");
    metrics::describe_counter!("ingam_ocsp_responses_total", "OCSP answers, by status");
    metrics::describe_counter!(
        "ingam_records_archived_total",
        "Records moved from the outbox into the journal"
    );
    metrics::describe_counter!(
        "ingam_archive_failures_total",
        "Times that the journal could not take records"
    );
    metrics::describe_counter!("ingam_store_commit_failures_total", "Syncs of the store that failed");
    metrics::describe_histogram!("ingam_store_commit_seconds", "How long a durable commit of the store took");
    metrics::describe_histogram!("ingam_store_commit_jobs", "How many transactions shared a commit");
    metrics::describe_histogram!("ingam_validation_seconds", "How long a check of a challenge took, by type");
    metrics::describe_histogram!("ingam_signature_seconds", "How long making something signed took, by kind");
    metrics::describe_gauge!("ingam_connections", "Open connections, by listener");
}

/// Answers `GET /metrics`.
pub(crate) fn answer(handle: &Arc<PrometheusHandle>, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let (status, text) = match (path, method) {
        ("/metrics", &Method::GET | &Method::HEAD) => (StatusCode::OK, handle.render()),
        ("/metrics", _) => (StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}
