//! A trace of each ACME request (feature `otel`): one span for the request, and below it one for each time that validation,
//! signer or store are waited for. The collector is this test; the binary is the one that `scripts/test` builds with the
//! feature beside the usual one.
//!
//! Not a failure: further spans and attributes, and which of OTLP's two encodings is the default.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::command::profile_folder;
use ingam_tests::server::{Server, Setup};
use serde_json::Value;
use tokio::net::TcpListener;

const NAME: &str = "traced.example.org";

/// A span as OTLP writes it.
#[derive(Clone, Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    attributes: String,
}

type Spans = Arc<Mutex<Vec<Span>>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_can_be_followed_through_validation_signer_and_store() {
    let program = profile_folder().join("ingam-otel");
    assert!(program.is_file(), "{} is not there: scripts/test builds it", program.display());
    let spans = Spans::default();
    let endpoint = collect(spans.clone()).await;
    let environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL".to_owned(), "http/json".to_owned()),
    ];
    let setup = Setup { program: Some(program), environment, ..Setup::new() };
    let mut server = Server::start_with(setup).await;
    let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
    let mut client = Client::registered(&server.site()).await.expect("an account");
    client.issue(&[NAME], &CertificateRequest::of(&[NAME]), &prover).await.expect("a certificate");
    // What waits is sent at the end.
    server.stop().await;

    let spans = spans.lock().expect("no panic").clone();
    let below = |route: &str| {
        let request = spans
            .iter()
            .find(|span| span.name == "request" && span.attributes.contains(route))
            .unwrap_or_else(|| panic!("no span of {route}: {spans:#?}"));
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for span in spans.iter().filter(|span| span.trace == request.trace && leads_to(&spans, span, request))
        {
            *counts.entry(span.name.as_str()).or_default() += 1;
        }
        counts
    };
    let finalize = below("/order/{id}/finalize");
    assert_eq!(finalize.get("validation"), Some(&1), "CAA as of now: {finalize:?}");
    assert_eq!(finalize.get("signer"), Some(&2), "prepare and issue: {finalize:?}");
    assert!(finalize.get("store").is_some_and(|count| *count >= 3), "claim, ask, complete: {finalize:?}");
    let challenge = below("/challenge/{id}/{kind}");
    assert_eq!(challenge.get("validation"), Some(&2), "the challenge and CAA: {challenge:?}");
    assert!(challenge.get("store").is_some_and(|count| *count >= 2), "answered, finished: {challenge:?}");
    for span in &spans {
        assert!(!span.attributes.contains(NAME) && !span.attributes.contains("127.0.0.1"), "{span:?}");
    }
}

/// Whether the way up from `span` comes by `above`.
fn leads_to(spans: &[Span], span: &Span, above: &Span) -> bool {
    let mut parent = &span.parent;
    for _ in 0..16 {
        if *parent == above.id {
            return true;
        }
        match spans.iter().find(|span| span.id == *parent) {
            Some(next) => parent = &next.parent,
            None => return false,
        }
    }
    false
}

/// A collector on a free port; gives its URL.
async fn collect(spans: Spans) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let spans = spans.clone();
            let take = service_fn(move |request: Request<Incoming>| {
                let spans = spans.clone();
                async move {
                    let body = request.into_body().collect().await.expect("a whole body").to_bytes();
                    let read = read(&serde_json::from_slice(&body).expect("JSON was asked for"));
                    spans.lock().expect("no panic").extend(read);
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}"))))
                }
            });
            let serving =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), take);
            tokio::spawn(serving);
        }
    });
    url
}

fn read(document: &Value) -> Vec<Span> {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let scopes = list(document, "resourceSpans").into_iter().flat_map(|spans| list(&spans, "scopeSpans"));
    let spans = scopes.flat_map(|scope| list(&scope, "spans"));
    spans
        .map(|span| Span {
            trace: text(&span, "traceId"),
            id: text(&span, "spanId"),
            parent: text(&span, "parentSpanId"),
            name: text(&span, "name"),
            attributes: format!("{} {}", span["attributes"], span["events"]),
        })
        .collect()
}
