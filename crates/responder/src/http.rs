//! The responder over HTTP: a plain service on the raw request target.

mod document;
mod target;

use std::error::Error;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use ingam_protocol::ocsp::{ErrorStatus, REQUEST_BYTES_MAX};
use ingam_protocol::{Clock, Shard, Timestamp};
use ingam_signer::Signer;

use crate::audit::Audit;
use crate::config::{Config, StartError};
use crate::counters::Counters;
use crate::crl::{self, CrlService, NoList, PublishedCrl};
use crate::ocsp::{Answer, OcspService};
use crate::offline::{OfflineFiles, OfflineList};
use crate::statuses::Statuses;

use crate::ocsp::{KeptAnswer, OCSP_RESPONSE};
use crate::reply::{self, Validators, cacheable_for, not_modified, plain, with_body};

use document::Documents;
use target::{Route, decode_get, route};

pub(crate) use target::Decoder;

const PKIX_CRL: HeaderValue = HeaderValue::from_static("application/pkix-crl");
const NOT_CACHED: HeaderValue = HeaderValue::from_static("max-age=0, no-cache");
/// For answers to a nonce: somebody else's copy is worthless.
const NOT_STORED: HeaderValue = HeaderValue::from_static("max-age=0, no-cache, no-store");

/// OCSP, CRLs and CA certificates over HTTP. Clones are the same responder.
#[derive(Clone)]
pub struct Responder {
    parts: Arc<Parts>,
}

struct Parts {
    statuses: Arc<dyn Statuses>,
    clock: Arc<dyn Clock>,
    ocsp: Arc<OcspService>,
    crls: Arc<CrlService>,
    audit: Arc<Audit>,
    documents: Documents,
    offline: RwLock<Arc<OfflineFiles>>,

    body_timeout: Duration,
    ocsp_max_age: Duration,
    /// `Cache-Control` of an answer that is valid for longer than `ocsp_max_age`: nearly all of them.
    ocsp_cache_control: HeaderValue,
    crl_max_age: Duration,

    counters: Arc<Counters>,
}

impl Responder {
    /// A responder for every issuer that the signer has now, which keeps its CRLs in `folder`. Install the recorder of
    /// metrics before: counters are looked up here, once. Blocks while it reads which shards of CRLs are in use.
    ///
    /// # Errors
    /// [`StartError`] if a setting is out of its bounds, or if the statuses cannot be read.
    pub fn new(
        config: &Config,
        folder: &Path,
        statuses: Arc<dyn Statuses>,
        signer: Arc<dyn Signer>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let settings = config.settings().map_err(StartError::Config)?;
        let counters = Arc::new(Counters::new());
        let audit = Arc::new(Audit::new());
        let ocsp = OcspService::new(
            Arc::clone(&statuses),
            Arc::clone(&signer),
            Arc::clone(&clock),
            Arc::clone(&audit),
            settings.clone(),
            Arc::clone(&counters),
        );
        let making = crl::Parts {
            statuses: Arc::clone(&statuses),
            signer: Arc::clone(&signer),
            clock: Arc::clone(&clock),
            audit: Arc::clone(&audit),
            counters: Arc::clone(&counters),
        };
        let crls = CrlService::new(making, settings.clone(), folder).map_err(StartError::Statuses)?;
        let documents = Documents::new(signer.issuers(), |issuer| crls.urls(issuer));
        let parts = Parts {
            statuses,
            clock,
            ocsp: Arc::new(ocsp),
            crls: Arc::new(crls),
            audit,
            documents,
            offline: RwLock::default(),
            body_timeout: settings.body_timeout,
            ocsp_max_age: settings.ocsp_max_age,
            ocsp_cache_control: cacheable_for(settings.ocsp_max_age),
            crl_max_age: settings.crl_max_age,
            counters,
        };
        Ok(Self { parts: Arc::new(parts) })
    }

    /// OCSP without HTTP.
    pub fn ocsp(&self) -> &Arc<OcspService> {
        &self.parts.ocsp
    }

    /// See [`OcspService::kept_now`].
    pub(crate) fn kept_now(&self, request: &[u8], now: Timestamp) -> Option<Arc<KeptAnswer>> {
        self.parts.ocsp.kept_now(request, now)
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.parts.clock.as_ref()
    }

    /// How long a client may take to send the body of a request.
    pub(crate) fn body_timeout(&self) -> Duration {
        self.parts.body_timeout
    }

    pub(crate) fn crl_service(&self) -> &CrlService {
        &self.parts.crls
    }

    pub(crate) fn audit(&self) -> &Audit {
        &self.parts.audit
    }

    /// Gives these files out from now on, and none of those before.
    pub fn replace_offline(&self, files: OfflineFiles) {
        *self.parts.offline.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(files);
    }

    /// The files of CAs whose keys are offline.
    pub fn offline(&self) -> Arc<OfflineFiles> {
        self.parts.offline.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records what was signed, in batches, until `shutdown` is done and the rest is recorded too. Without it running,
    /// signing stops after some ten thousand signatures; after it, nothing is signed any more.
    pub async fn run_recorder(&self, shutdown: impl Future<Output = ()>) {
        let parts = &self.parts;
        parts.audit.run(&parts.statuses, &parts.counters, shutdown).await;
    }

    /// Keeps CRLs fresh until `shutdown` is done, even when nobody asks for them.
    pub async fn run_crls(&self, shutdown: impl Future<Output = ()>) {
        self.parts.crls.run(shutdown).await;
    }

    /// Answers a request.
    ///
    /// | path | methods | what |
    /// |---|---|---|
    /// | `/ocsp/` and base64 of a request | GET, HEAD | OCSP (RFC 6960, appendix A.1) |
    /// | `/ocsp`, `/ocsp/` | POST | OCSP |
    /// | `/crl/NAME.crl` | GET, HEAD | the current CRL of an issuer, of all that belongs to no shard, DER |
    /// | `/crl/NAME/N.crl` | GET, HEAD | the current CRL of a shard of an issuer, DER |
    /// | `/crl/NAME.json` | GET, HEAD | the URLs of all CRLs of an issuer, as a JSON array |
    /// | `/issuer/NAME.crt` | GET, HEAD | the certificate of an issuer, DER |
    /// | `/crl/NAME.crl`, `/issuer/NAME.crt` | GET, HEAD | the same of a CA whose key is offline, from [`OfflineFiles`] |
    /// | `/roots.pem` | GET, HEAD | all roots, PEM |
    ///
    /// The request's target must be as the client sent it: decoded by nobody, slashes as they were.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let reads = head.method == Method::GET || head.method == Method::HEAD;
        let reply = match route(head.uri.path()) {
            Route::Ocsp(encoded) if reads => self.ocsp_get(encoded, &head.headers).await,
            Route::Ocsp("" | "/") if head.method == Method::POST => self.ocsp_post(body).await,
            Route::Ocsp("" | "/") => plain::method_not_allowed("GET, HEAD, POST"),
            Route::Ocsp(_) => plain::method_not_allowed("GET, HEAD"),
            Route::Nothing => plain::not_found(),
            _ if !reads => plain::method_not_allowed("GET, HEAD"),
            Route::Crl(issuer, shard) => {
                self.crl(issuer, shard, &head.headers, head.method == Method::HEAD).await
            }
            Route::CrlUrls(issuer) => self.parts.documents.crl_urls(issuer, &head.headers),
            Route::Issuer(issuer) => {
                let offline = self.offline().certificates.get(issuer).cloned();
                self.parts.documents.issuer(issuer, offline, &head.headers)
            }
            Route::Roots => self.parts.documents.roots(&head.headers),
        };
        if head.method == Method::HEAD { reply.map(|_| Full::default()) } else { reply }
    }

    async fn ocsp_get(&self, encoded: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let Some(der) = decode_get(encoded) else { return self.malformed() };
        let answer = self.parts.ocsp.answer(&der).await;
        self.ocsp_reply(&answer, Some(headers))
    }

    async fn ocsp_post<B>(&self, body: B) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if body.size_hint().lower() > REQUEST_BYTES_MAX as u64 {
            return self.malformed();
        }
        let collected = std::pin::pin!(Limited::new(body, REQUEST_BYTES_MAX).collect());
        match tokio::time::timeout(self.parts.body_timeout, collected).await {
            Ok(Ok(body)) => {
                let answer = self.parts.ocsp.answer(&body.to_bytes()).await;
                self.ocsp_reply(&answer, None)
            }
            // Too long, or broken off, when nobody reads this.
            Ok(Err(_)) => self.malformed(),
            Err(_) => plain::too_slow(),
        }
    }

    fn malformed(&self) -> Response<Full<Bytes>> {
        self.parts.counters.refused(ErrorStatus::MalformedRequest);
        self.ocsp_reply(&Answer::Refused(ErrorStatus::MalformedRequest), None)
    }

    /// `conditions` are the headers of a request by GET.
    fn ocsp_reply(&self, answer: &Answer, conditions: Option<&HeaderMap>) -> Response<Full<Bytes>> {
        let (cache_control, kept) = match answer {
            Answer::Kept(kept) => (self.ocsp_cache_control(kept.next_update), kept),
            Answer::Live(body) => return with_body(body.clone(), OCSP_RESPONSE, NOT_STORED),
            Answer::Refused(_) => return with_body(answer.body(), OCSP_RESPONSE, NOT_CACHED),
        };
        let validators = Validators {
            etag: &kept.etag,
            last_modified: Some((&kept.last_modified, kept.this_update)),
            expires: Some(&kept.expires),
        };
        if conditions.is_some_and(|headers| validators.match_request(headers)) {
            return not_modified(&validators, cache_control);
        }
        let mut reply = reply::sized(kept.body.clone(), &kept.content_length, OCSP_RESPONSE, cache_control);
        validators.write(reply.headers_mut());
        reply
    }

    fn ocsp_cache_control(&self, next_update: Timestamp) -> HeaderValue {
        let left = next_update.since(self.parts.clock.now());
        if left >= self.parts.ocsp_max_age {
            self.parts.ocsp_cache_control.clone()
        } else {
            cacheable_for(left)
        }
    }

    async fn crl(
        &self,
        issuer: &str,
        shard: Option<Shard>,
        headers: &HeaderMap,
        is_head: bool,
    ) -> Response<Full<Bytes>> {
        let reply = async {
            let list = self.parts.crls.list(issuer, shard).await?;
            self.crl_reply(&list, headers, is_head).await
        };
        match reply.await {
            Ok(reply) => reply,
            Err(NoList::Unknown) => match self.offline().lists.get(issuer).filter(|_| shard.is_none()) {
                Some(list) => self.offline_crl_reply(list, headers),
                None => plain::not_found(),
            },
            Err(NoList::Unavailable) => plain::unavailable(),
        }
    }

    /// A list that has ended is given out all the same: there is no other, and its dates say so.
    fn offline_crl_reply(&self, list: &OfflineList, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let left = list.dates.next_update.since(self.parts.clock.now());
        let cache_control = cacheable_for(left.min(self.parts.crl_max_age));
        let validators = Validators {
            etag: &list.etag,
            last_modified: Some((&list.last_modified, list.dates.this_update)),
            expires: Some(&list.expires),
        };
        if validators.match_request(headers) {
            return not_modified(&validators, cache_control);
        }
        let mut reply = with_body(list.body.clone(), PKIX_CRL, cache_control);
        validators.write(reply.headers_mut());
        reply
    }

    async fn crl_reply(
        &self,
        list: &PublishedCrl,
        headers: &HeaderMap,
        is_head: bool,
    ) -> Result<Response<Full<Bytes>>, NoList> {
        let left = list.next_update.since(self.parts.clock.now());
        let cache_control = cacheable_for(left.min(self.parts.crl_max_age));
        let validators = Validators {
            etag: &list.etag,
            last_modified: Some((&list.last_modified, list.this_update)),
            expires: Some(&list.expires),
        };
        if validators.match_request(headers) {
            return Ok(not_modified(&validators, cache_control));
        }
        // For a HEAD, nobody needs the bytes.
        let body = if is_head { Bytes::new() } else { self.parts.crls.body(list).await? };
        let mut reply = reply::sized(body, &list.content_length, PKIX_CRL, cache_control);
        validators.write(reply.headers_mut());
        Ok(reply)
    }
}
