//! Traces by OpenTelemetry: an ACME request from the front end through validation, signer and store, one span each.
//!
//! Where they go is told by the environment variables of the OpenTelemetry specification: `OTEL_EXPORTER_OTLP_ENDPOINT`
//! (`http://localhost:4318`), `OTEL_EXPORTER_OTLP_PROTOCOL` (`http/protobuf` or `http/json`), `OTEL_TRACES_SAMPLER`,
//! `OTEL_SERVICE_NAME`. Without the first, nothing is sent. Spans hold routes, methods and ids of requests, and no address,
//! name or key.

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::registry::LookupSpan;

const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// The way out of all spans; what waits is sent at the end.
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends spans from now on, if the environment says where to.
    ///
    /// # Errors
    /// What is wrong with the environment.
    pub(crate) fn start() -> Result<Self, Box<dyn std::error::Error>> {
        if ENDPOINTS.iter().all(|name| std::env::var_os(name).is_none()) {
            return Ok(Self(None));
        }
        let exporter = SpanExporter::builder().with_http().build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(Resource::builder().with_service_name("ingam").build());
        Ok(Self(Some(provider.build())))
    }

    /// What makes spans of this program's into those of OpenTelemetry.
    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + Send + Sync + use<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let tracer = self.0.as_ref()?.tracer("ingam");
        // Lines of the log stay in the log: they may name what a trace must not.
        let ours = FilterFn::new(|metadata: &Metadata<'_>| {
            metadata.is_span()
                && *metadata.level() <= Level::DEBUG
                && (metadata.target() == "ingam" || metadata.target().starts_with("ingam_"))
        });
        let spans =
            tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
        Some(spans.with_filter(ours.with_max_level_hint(LevelFilter::DEBUG)))
    }

    /// Sends what waits.
    pub(crate) fn end(self) {
        if let Some(Err(error)) = self.0.map(|provider| provider.shutdown()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the last spans could not be sent");
        }
    }
}
