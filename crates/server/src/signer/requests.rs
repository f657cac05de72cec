//! Requests of callers: who may ask for what, how much at once, and how large.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Body;
use ingam_protocol::operator::Principal;
use ingam_signer::remote::{BODY_BYTES_MAX, Operation, Reply, Service};
use tokio::sync::Semaphore;

use crate::admin::principal;
use crate::config::Config;
use crate::listener::Peer;

/// So many requests of one caller are read and answered at once; more wait, each no longer than its caller does.
const AT_ONCE_MAX: usize = 256;

/// What is smaller than a CRL is no larger than this.
const USUAL_BYTES_MAX: usize = 1 << 20;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers callers.
pub(super) struct Requests {
    service: Arc<Service>,
    callers: BTreeMap<Principal, Caller>,
    body_timeout: Duration,
}

/// Somebody who may ask, with places of their own: a slow one holds up nobody else.
struct Caller {
    may: BTreeSet<Operation>,
    places: Semaphore,
    /// One list at a time may be in memory as JSON.
    lists: Semaphore,
}

impl Caller {
    fn new(may: BTreeSet<Operation>) -> Self {
        Self { may, places: Semaphore::new(AT_ONCE_MAX), lists: Semaphore::new(1) }
    }
}

impl Requests {
    pub(super) fn new(config: &Config, service: Arc<Service>) -> Self {
        let callers = config.signer.permissions().into_iter().map(|(who, may)| (who, Caller::new(may)));
        Self {
            service,
            callers: callers.collect(),
            body_timeout: Duration::from_secs(config.limits.body_timeout_s),
        }
    }

    /// Whatever is not a POST of somebody who may ask for it is refused before its body is read.
    pub(super) async fn answer<B>(&self, request: Request<B>, peer: Peer) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = request.uri().path().to_owned();
        let Some(operation) = Operation::of_path(&path) else {
            return refused(
                404,
                "signer_path",
                "there is nothing here: see docs/operations/signer.md".to_owned(),
            );
        };
        if request.method() != Method::POST {
            return refused(405, "signer_path", "use POST".to_owned());
        }
        let who = principal(&peer).map(|peer| peer.principal);
        let known = who.as_ref().and_then(|who| self.callers.get(who));
        let Some(caller) = known.filter(|caller| caller.may.contains(&operation)) else {
            let who = who.map_or_else(|| "whoever shows no certificate".to_owned(), |who| who.to_string());
            metrics::counter!("ingam_signer_refusals_total", "operation" => operation.name()).increment(1);
            tracing::warn!(who, %operation, "somebody asked the signer for what they may not");
            let why = format!(
                "{who} may not ask for {operation}: name it in signer.callers, and start the signer again"
            );
            return refused(403, "signer_forbidden", why);
        };
        let is_list = operation == Operation::Crl;
        let (places, largest) =
            if is_list { (&caller.lists, BODY_BYTES_MAX) } else { (&caller.places, USUAL_BYTES_MAX) };
        let Ok(_place) = places.acquire().await else {
            return refused(503, "signer_away", "the signer is about to end".to_owned());
        };
        let read = Limited::new(request.into_body(), largest).collect();
        let body = match tokio::time::timeout(self.body_timeout, Box::pin(read)).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => {
                let why = format!("the message has more than {largest} bytes, or broke off");
                return refused(413, "signer_message", why);
            }
            Err(_) => return refused(408, "signer_slow", "the message took too long".to_owned()),
        };
        reply(self.service.answer(&path, &body).await)
    }
}

fn refused(status: u16, code: &str, why: String) -> Response<Full<Bytes>> {
    reply(Reply::refusal(status, code, why))
}

fn reply(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}
