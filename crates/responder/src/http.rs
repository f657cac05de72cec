//! The responder over HTTP: a plain service on the raw request target.

mod document;
mod target;

use std::error::Error;
use std::future::Future;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use ingam_privacy::PrivacyPage;
use ingam_protocol::ocsp::{ErrorStatus, REQUEST_BYTES_MAX, decode_get, parse_request};
use ingam_protocol::{Clock, Serial, Shard, Timestamp};
use ingam_signer::Signer;

use crate::audit::Audit;
use crate::config::{Config, Nonces, Settings, StartError};
use crate::corpus::Corpus;
use crate::counters::Counters;
use crate::crl::{self, CrlService, NoList, PublishedCrl};
use crate::issuers::Issuers;
use crate::ocsp::{Answer, Asked, InAdvance, OCSP_RESPONSE, OcspService, Ready};
use crate::offline::{OfflineFiles, OfflineList};
use crate::publication::{Apart, ApartSigner, ApartStatuses, MANIFEST, Publication, SignedFiles};
use crate::record_log::RecordLog;
use crate::reply::{self, Validators, cacheable_for, not_modified, plain, with_body};
use crate::request_log::{Noted, Outcome, RequestLog};
use crate::statuses::Statuses;

use document::Documents;
use target::{Route, route};
use tokio::sync::{oneshot, watch};

const PKIX_CRL: HeaderValue = HeaderValue::from_static("application/pkix-crl");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// OCSP, CRLs and CA certificates over HTTP. Clones are the same responder.
#[derive(Clone)]
pub struct Responder {
    parts: Arc<Parts>,
    request_log: Option<Arc<RequestLog>>,
    privacy: Option<Arc<PrivacyPage>>,
    record_log: Option<Arc<RecordLog>>,
}

/// Who asks, as far as the request log wants to know.
#[derive(Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) address: IpAddr,
    pub(crate) user_agent: &'a [u8],
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
    /// Whether answers are given out for other responders.
    publishes: bool,

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
        let corpus = Arc::new(Corpus::of(&Issuers::new(signer.issuers()), &settings.presign));
        Self::build(settings, folder, statuses, signer, clock, corpus, None)
    }

    fn build(
        settings: Settings,
        folder: &Path,
        statuses: Arc<dyn Statuses>,
        signer: Arc<dyn Signer>,
        clock: Arc<dyn Clock>,
        corpus: Arc<Corpus>,
        apart: Option<Arc<Apart>>,
    ) -> Result<Self, StartError> {
        let counters = Arc::new(Counters::new());
        let audit = Arc::new(Audit::new());
        let ocsp = OcspService::new(
            Arc::clone(&statuses),
            Arc::clone(&signer),
            Arc::clone(&clock),
            Arc::clone(&audit),
            settings.clone(),
            Arc::clone(&counters),
            corpus,
        )
        .apart(apart);
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
            publishes: settings.publish_over_http,
            counters,
        };
        Ok(Self { parts: Arc::new(parts), request_log: None, privacy: None, record_log: None })
    }

    /// The same, with a log of the requests whose address [`Responder::handle_from`] is told. It must have been made for the
    /// same issuers, in the order of the signer.
    pub fn logging_to(self, log: Arc<RequestLog>) -> Self {
        Self { request_log: Some(log), ..self }
    }

    /// The same, with the privacy page.
    pub fn telling(self, page: Arc<PrivacyPage>) -> Self {
        Self { privacy: Some(page), ..self }
    }

    /// The same, with the log of records below `/log/`.
    pub fn publishing(self, log: Arc<RecordLog>) -> Self {
        Self { record_log: Some(log), ..self }
    }

    /// A responder apart from its CA: what it knows of statuses is what is in its tables, and it has one key at most, and then a place
    /// for the record of what is signed with that.
    pub(crate) fn apart_from_its_ca(
        config: &Config,
        folder: &Path,
        apart: &Arc<Apart>,
        signed: Option<SignedFiles>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let mut settings = config.settings().map_err(StartError::Config)?;
        settings.presign = apart.corpus().series().iter().map(|series| series.owner.hash).collect();
        if !apart.has_key() {
            // Nobody could answer one.
            settings.nonces = Nonces::Ignore;
        }
        let statuses = Arc::new(ApartStatuses::new(apart.clone(), signed));
        let signer = Arc::new(ApartSigner::new(apart.clone(), clock.clone()));
        let corpus = apart.corpus().clone();
        Self::build(settings, folder, statuses, signer, clock, corpus, Some(apart.clone()))
    }

    /// OCSP without HTTP.
    pub fn ocsp(&self) -> &Arc<OcspService> {
        &self.parts.ocsp
    }

    /// See [`OcspService::kept_now`].
    pub(crate) fn kept_now(&self, request: &[u8], now: Timestamp) -> Option<Ready> {
        self.parts.ocsp.kept_now(request, now)
    }

    /// See [`OcspService::write`].
    pub(crate) fn write(&self, signed: &InAdvance, out: &mut Vec<u8>) {
        self.parts.ocsp.write(signed, out);
    }

    /// See [`OcspService::signs_at_once`].
    pub(crate) fn signs_at_once(&self) -> bool {
        self.parts.ocsp.signs_at_once()
    }

    /// See [`OcspService::signed_now`].
    pub(crate) fn signed_now(&self, request: &[u8], now: Timestamp) -> Option<Answer> {
        self.parts.ocsp.signed_now(request, now)
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

    /// Signs answers in advance, as the settings say, and keeps them in the folder of `publication`, until `shutdown` is done.
    pub async fn run_presigning(&self, publication: Publication, shutdown: impl Future<Output = ()>) {
        let (ocsp, clock) = (&self.parts.ocsp, &self.parts.clock);
        if ocsp.corpus().series().is_empty() {
            return shutdown.await;
        }
        let (stop, stopping) = watch::channel(false);
        let (ready, taken_up) = oneshot::channel();
        let until_stopped = |mut stopping: watch::Receiver<bool>| async move {
            // Dropped means stopped, too.
            let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
        };
        let writing = publication.run(
            ocsp.corpus().clone(),
            ocsp.listed_issuers(),
            self.parts.statuses.clone(),
            clock.clone(),
            move || {
                // Nobody waits any more when this is stopped.
                let _ = ready.send(());
            },
            until_stopped(stopping.clone()),
        );
        let signing = async {
            if taken_up.await.is_ok() {
                ocsp.presign(until_stopped(stopping)).await;
            }
        };
        let stopping = async {
            shutdown.await;
            stop.send_replace(true);
        };
        tokio::join!(writing, signing, stopping);
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
    /// | `/privacy`, `/privacy.en`, `/privacy.ko`, `/privacy.json` | GET, HEAD | the privacy page, where there is one |
    /// | `/log/checkpoint`, `/log/tile/...`, `/log/key`, `/log/cosigned` | GET, HEAD | the log of records ([`RecordLog`]) |
    /// | `/answers/manifest`, `/answers/HASH.answers` | GET, HEAD | answers signed in advance, for other responders, where that is on |
    ///
    /// The request's target must be as the client sent it: decoded by nobody, slashes as they were.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        self.handle_from(None, request).await
    }

    /// The same for whoever has this address, by the rules for proxies.
    pub async fn handle_from<B>(&self, address: Option<IpAddr>, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let client = address.filter(|_| self.is_logging()).map(|address| {
            let user_agent = head.headers.get(header::USER_AGENT).map_or(&[][..], HeaderValue::as_bytes);
            Client { address, user_agent }
        });
        let reads = head.method == Method::GET || head.method == Method::HEAD;
        let reply = match route(head.uri.path()) {
            Route::Ocsp(encoded) if reads => self.ocsp_get(encoded, &head.headers, client).await,
            Route::Ocsp("" | "/") if head.method == Method::POST => self.ocsp_post(body, client).await,
            Route::Ocsp("" | "/") => plain::method_not_allowed("GET, HEAD, POST"),
            Route::Ocsp(_) => plain::method_not_allowed("GET, HEAD"),
            Route::Nothing => plain::not_found(),
            Route::Privacy => self.privacy(&head),
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
            Route::Answers(file) => self.answers(file, &head.headers),
            Route::Log(part) => match &self.record_log {
                Some(log) => log.answer(part, &head.headers).await,
                None => plain::not_found(),
            },
        };
        if head.method == Method::HEAD { reply.map(|_| Full::default()) } else { reply }
    }

    async fn ocsp_get(
        &self,
        encoded: &str,
        headers: &HeaderMap,
        client: Option<Client<'_>>,
    ) -> Response<Full<Bytes>> {
        let Some(der) = decode_get(encoded) else { return self.malformed(client) };
        let tell = client.map(|client| move |asked: Asked<'_>| self.note(client, &asked));
        let answer = self.parts.ocsp.answer_and(&der, tell).await;
        self.ocsp_reply(&answer, Some(headers))
    }

    pub(crate) fn is_logging(&self) -> bool {
        self.request_log.as_ref().is_some_and(|log| log.is_on())
    }

    /// Tells the request log who asked for what by a request, its DER, and was given an answer at once.
    pub(crate) fn note_given(&self, client: Client<'_>, request: &[u8], outcome: Outcome) {
        self.note(client, &self.parts.ocsp.asked(parse_request(request).ok().as_ref(), outcome));
    }

    /// Tells the request log who asked for what.
    fn note(&self, client: Client<'_>, asked: &Asked<'_>) {
        let Client { address, user_agent } = client;
        if let Some(log) = &self.request_log {
            log.note(&Noted {
                address,
                user_agent,
                issuer: asked.issuer,
                serial: asked.serial.map_or(&[][..], Serial::as_bytes),
                outcome: asked.outcome,
                at: self.parts.clock.now(),
            });
        }
    }

    async fn ocsp_post<B>(&self, body: B, client: Option<Client<'_>>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if body.size_hint().lower() > REQUEST_BYTES_MAX as u64 {
            return self.malformed(client);
        }
        let collected = std::pin::pin!(Limited::new(body, REQUEST_BYTES_MAX).collect());
        match tokio::time::timeout(self.parts.body_timeout, collected).await {
            Ok(Ok(body)) => {
                let tell = client.map(|client| move |asked: Asked<'_>| self.note(client, &asked));
                let answer = self.parts.ocsp.answer_and(&body.to_bytes(), tell).await;
                self.ocsp_reply(&answer, None)
            }
            // Too long, or broken off, when nobody reads this.
            Ok(Err(_)) => self.malformed(client),
            Err(_) => plain::too_slow(),
        }
    }

    fn malformed(&self, client: Option<Client<'_>>) -> Response<Full<Bytes>> {
        if let Some(client) = client {
            let outcome = Outcome::MalformedRequest;
            self.note(client, &Asked { issuer: None, serial: None, outcome });
        }
        self.parts.counters.refused(ErrorStatus::MalformedRequest);
        self.ocsp_reply(&Answer::Refused(ErrorStatus::MalformedRequest), None)
    }

    /// `conditions` are the headers of a request by GET.
    fn ocsp_reply(&self, answer: &Answer, conditions: Option<&HeaderMap>) -> Response<Full<Bytes>> {
        let (cache_control, kept) = match answer {
            Answer::Kept(kept) => (self.ocsp_cache_control(kept.next_update), kept),
            Answer::Live(body, _) => return with_body(body.clone(), OCSP_RESPONSE, reply::NOT_STORED),
            Answer::Refused(_) => return with_body(answer.body(), OCSP_RESPONSE, reply::NOT_CACHED),
        };
        let validators = Validators {
            etag: &kept.rest.etag,
            last_modified: Some((&kept.rest.last_modified, kept.this_update)),
            expires: Some(&kept.rest.expires),
        };
        if conditions.is_some_and(|headers| validators.match_request(headers)) {
            return not_modified(&validators, cache_control);
        }
        let mut reply =
            reply::sized(kept.body().clone(), &kept.rest.content_length, OCSP_RESPONSE, cache_control);
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

    fn privacy(&self, head: &http::request::Parts) -> Response<Full<Bytes>> {
        // One slash too many is forgiven here, too.
        let path = head.uri.path();
        let path = path.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(path);
        match self.privacy.as_ref().filter(|_| PrivacyPage::is_at(path)) {
            Some(page) => page.answer(&head.method, path, head.uri.query(), &head.headers).map(Full::new),
            None => plain::not_found(),
        }
    }

    /// What responders of other processes take. Tables lie in memory and are never copied, so that it costs little whoever asks.
    fn answers(&self, file: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let published = self.parts.ocsp.corpus().published().filter(|_| self.parts.publishes);
        let Some(published) = published else { return plain::not_found() };
        if file == MANIFEST {
            return document::changing(published.manifest.clone(), published.tag.clone(), headers);
        }
        match published.files.get(file) {
            Some(table) => with_body(table.clone(), OCTETS, cacheable_for(self.parts.ocsp_max_age)),
            None => plain::not_found(),
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
