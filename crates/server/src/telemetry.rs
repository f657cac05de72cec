//! Logs, metrics, and with the feature `otel` traces.

mod last_errors;
mod table;
#[cfg(feature = "otel")]
mod traces;

use std::io::IsTerminal;
use std::sync::{Arc, LazyLock};

use ingam_operator::LastError;
use ingam_signer::Issuer;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::system::SystemClock;
use last_errors::LastErrors;

#[cfg(feature = "otel")]
pub(crate) use traces::Traces;

/// As the log, there is one for the process.
static LAST_ERRORS: LazyLock<Arc<LastErrors>> = LazyLock::new(|| LastErrors::new(Arc::new(SystemClock)));

/// What a process logs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogsOf {
    /// A service: its log is kept and searched.
    Service,
    /// A command, whose own words are what somebody reads: errors alone, and never as JSON.
    Command,
}

/// Names on whose account nothing is logged.
const QUIET: &str = "hickory_net=off,hickory_proto=off,hickory_resolver=off";

/// Starts logging to standard error: text on a terminal, a service's as JSON otherwise. `RUST_LOG` wins over what is usual. Spans go to `traces` too; warnings and errors are kept for the status page, whatever the filter says.
pub(crate) fn start_logs(of: LogsOf, #[cfg(feature = "otel")] traces: &Traces) {
    let level = if of == LogsOf::Service { "info" } else { "error" };
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{level},{QUIET}")));
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let is_terminal = std::io::stderr().is_terminal();
    let logs = if is_terminal || of == LogsOf::Command {
        logs.with_ansi(is_terminal).with_filter(filter).boxed()
    } else {
        logs.json().flatten_event(true).with_filter(filter).boxed()
    };
    let registry = tracing_subscriber::registry().with(logs).with(last_errors::layer(LAST_ERRORS.clone()));
    #[cfg(feature = "otel")]
    let registry = registry.with(traces.layer());
    registry.init();
}

/// What went wrong in this process lately, newest first.
pub(crate) fn last_errors() -> Vec<LastError> {
    LAST_ERRORS.list()
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
    table::describe();
    Ok(handle)
}

/// Starts the counters that go by issuer at zero.
pub(crate) fn know_issuers(issuers: &[Issuer]) {
    let names: Vec<String> = issuers.iter().map(|issuer| issuer.name.to_string()).collect();
    table::describe_issuers(&names);
}
