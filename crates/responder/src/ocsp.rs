//! Answers to OCSP requests: from memory where the status is known to be the same still, else signed.
//!
//! ```text
//! request ── parse ── one CertID, no nonce ── in memory, generation as checked ─────────── given out
//!               │                                  │ generation moved: read the row ── same ─┘
//!               │                                  └ not there, another status, or old ── signed once for all who ask
//!               └─ nonce or several CertIDs, where these are answered ─────────────────── signed for this request
//! ```
//!
//! A kept answer carries the generation of all statuses at which its own was last read. It is given out when that
//! generation still holds, and read again otherwise: once a revocation was acknowledged, the answer before it is dead.
//! That is checked again after every signature, for those who joined while it was made.

mod flights;
mod kept;
mod memory;
mod now;
mod presign;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderValue;
use ingam_protocol::health::QueueReport;
use ingam_protocol::ocsp::{CertId, CertStatus, ErrorStatus, Request, SingleResponse, parse_request};
use ingam_protocol::profile::IssuerName;
use ingam_protocol::{Clock, Serial, Timestamp};
use ingam_signer::{Issuer, OcspAnswer, Signer};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::audit::Audit;
use crate::condition::{SigningCondition, Streak};
use crate::config::{Nonces, Settings};
use crate::corpus::{Assembled, Corpus};
use crate::counters::Counters;
use crate::issuers::Issuers;
use crate::publication::Apart;
use crate::reply::cacheable_for;
use crate::request_log::Outcome;
use crate::seldom::Seldom;
use crate::statuses::{Signed, SigningEvent, Status, Statuses};

pub use kept::KeptAnswer;
pub(crate) use kept::{OCSP_RESPONSE, date_value, etag, write_field};

use flights::{Flights, Seat};
pub(crate) use kept::Period;
use memory::Memory;
pub(crate) use now::Ready;
pub(crate) use presign::Presigner;

/// How often an answer may turn out to be outdated while it is made, before the client is asked to come back.
const ROUNDS_MAX: usize = 4;
/// An answer that would be valid for a shorter time than this is not worth signing.
pub(crate) const PERIOD_MIN: Duration = Duration::from_secs(60);

/// What a request gets.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The same for all who ask: may be cached until its nextUpdate.
    Kept(Arc<KeptAnswer>),
    /// DER of an OCSPResponse signed for this request alone: must not be cached; and what it says, the worst of several.
    Live(Bytes, CertStatus),
    /// No answer; must not be cached.
    Refused(ErrorStatus),
}

impl Answer {
    /// DER of the OCSPResponse.
    pub fn body(&self) -> Bytes {
        match self {
            Self::Kept(kept) => kept.body().clone(),
            Self::Live(body, _) => body.clone(),
            Self::Refused(ErrorStatus::MalformedRequest) => {
                Bytes::from_static(&const { ErrorStatus::MalformedRequest.encode() })
            }
            Self::Refused(ErrorStatus::InternalError) => {
                Bytes::from_static(&const { ErrorStatus::InternalError.encode() })
            }
            Self::Refused(ErrorStatus::TryLater) => {
                Bytes::from_static(&const { ErrorStatus::TryLater.encode() })
            }
            Self::Refused(ErrorStatus::SigRequired) => {
                Bytes::from_static(&const { ErrorStatus::SigRequired.encode() })
            }
            Self::Refused(ErrorStatus::Unauthorized) => {
                Bytes::from_static(&const { ErrorStatus::Unauthorized.encode() })
            }
        }
    }
}

/// What was asked for first in a request, and how it was answered.
pub(crate) struct Asked<'a> {
    /// The issuer's place among those of the signer; `None` if none of them was meant.
    pub(crate) issuer: Option<u16>,
    /// The serial number, if there was one that a certificate can have.
    pub(crate) serial: Option<&'a Serial>,
    /// What was answered.
    pub(crate) outcome: Outcome,
}

impl From<&Answer> for Outcome {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::Kept(kept) => kept.status.status.into(),
            Answer::Live(_, status) => (*status).into(),
            Answer::Refused(error) => (*error).into(),
        }
    }
}

/// A question about one certificate, with the issuer found.
struct Question<'a> {
    issuer: &'a IssuerName,
    serial: &'a Serial,
    cert_id: &'a [u8],
}

/// A status, and the generation of all statuses that was read before it.
#[derive(Clone, Copy)]
struct Observed {
    generation: u64,
    status: Status,
}

/// One certificate of an answer to be signed.
struct Subject {
    serial: Serial,
    cert_id: Vec<u8>,
    status: CertStatus,
}

/// An answer that was signed before anybody asked.
pub(crate) struct InAdvance {
    body: Vec<u8>,
    status: CertStatus,
    period: Period,
}

impl InAdvance {
    /// As an answer in memory is given out: `status` is the row, where it was read at this generation.
    fn kept(
        self,
        service: &OcspService,
        question: &Question<'_>,
        generation: u64,
        status: Option<Status>,
    ) -> KeptAnswer {
        // A certificate about which an answer was signed lasts at least until that moment.
        let not_after = self.period.this_update;
        let status = status.unwrap_or(Status { status: self.status, not_after, generation });
        let issuer = question.issuer.clone();
        let observed = Observed { generation, status };
        let cache_control = &service.cache_control;
        KeptAnswer::new(issuer, question.cert_id, &self.body, cache_control, self.period, observed)
    }
}

/// Answers OCSP requests.
pub struct OcspService {
    statuses: Arc<dyn Statuses>,
    signer: Arc<dyn Signer>,
    clock: Arc<dyn Clock>,
    audit: Arc<Audit>,

    settings: Settings,
    /// Of an answer that is valid for longer than it may be cached: nearly all of them.
    cache_control: HeaderValue,
    issuers: Issuers,
    /// What a responder apart from its CA goes by; none in the CA's own process.
    apart: Option<Arc<Apart>>,

    memory: Memory,
    /// What was signed in advance.
    corpus: Arc<Corpus>,
    flights: Flights,
    /// How many signatures may be made or waited for.
    queue: Semaphore,
    /// How many may be made.
    signing: Semaphore,

    counters: Arc<Counters>,
    complaints: Seldom,
    signing_failures: Streak,
}

impl OcspService {
    pub(crate) fn new(
        statuses: Arc<dyn Statuses>,
        signer: Arc<dyn Signer>,
        clock: Arc<dyn Clock>,
        audit: Arc<Audit>,
        settings: Settings,
        counters: Arc<Counters>,
        corpus: Arc<Corpus>,
    ) -> Self {
        Self {
            cache_control: cacheable_for(settings.ocsp_max_age),
            corpus,
            issuers: Issuers::new(signer.issuers()),
            apart: None,
            memory: Memory::new(settings.memory_bytes),
            flights: Flights::default(),
            queue: Semaphore::new(settings.signings_at_once + settings.signings_queued),
            signing: Semaphore::new(settings.signings_at_once),
            statuses,
            signer,
            clock,
            audit,
            settings,
            counters,
            complaints: Seldom::default(),
            signing_failures: Streak::default(),
        }
    }

    /// The same, of a responder apart from its CA.
    pub(crate) fn apart(self, apart: Option<Arc<Apart>>) -> Self {
        Self { apart, ..self }
    }

    /// How signing fares.
    pub(crate) fn signing_condition(&self) -> SigningCondition {
        self.signing_failures.condition()
    }

    /// How many signatures are made or waited for, and how many can be.
    pub(crate) fn queue_report(&self) -> QueueReport {
        let max = self.settings.signings_at_once + self.settings.signings_queued;
        QueueReport::new("ocsp_signatures", max.saturating_sub(self.queue.available_permits()), max)
    }

    /// See [`crate::Responder::oldest_answers`].
    pub(crate) fn oldest_answers(&self) -> BTreeMap<IssuerName, Timestamp> {
        let now = self.clock.now();
        let is_failing = self.signing_failures.condition().failures > 0;
        let mut oldest: BTreeMap<IssuerName, Timestamp> = BTreeMap::new();
        for series in self.corpus.series() {
            if let Some(at) = series.oldest() {
                let found = oldest.entry(series.owner.issuer.clone()).or_insert(at);
                *found = at.min(*found);
            }
        }
        for kept in self.memory.iter() {
            // What is too old is given to nobody. It counts where somebody asked for it and no other could be signed.
            let counts =
                now <= kept.status.not_after && (now < kept.rest.old_at || (is_failing && kept.is_missed()));
            match oldest.get_mut(&kept.rest.issuer) {
                Some(found) if counts => *found = kept.this_update.min(*found),
                None if counts => drop(oldest.insert(kept.rest.issuer.clone(), kept.this_update)),
                _ => {}
            }
        }
        oldest
    }

    /// The answer to a request's DER.
    pub async fn answer(self: &Arc<Self>, request: &[u8]) -> Answer {
        self.answer_and(request, None::<fn(Asked<'_>)>).await
    }

    /// The same, and tells what was asked for and how it was answered.
    pub(crate) async fn answer_and(
        self: &Arc<Self>,
        request: &[u8],
        tell: Option<impl FnOnce(Asked<'_>)>,
    ) -> Answer {
        let parsed = parse_request(request);
        let answer = match &parsed {
            Ok(request) => self.try_answer(request).await.unwrap_or_else(Answer::Refused),
            Err(_) => Answer::Refused(ErrorStatus::MalformedRequest),
        };
        if let Some(tell) = tell {
            tell(self.asked(parsed.as_ref().ok(), Outcome::from(&answer)));
        }
        self.count(&answer);
        answer
    }

    /// What was asked for first, and how it was answered.
    pub(crate) fn asked<'a>(&self, request: Option<&'a Request>, outcome: Outcome) -> Asked<'a> {
        let first = request.and_then(|request| request.cert_ids.first());
        Asked {
            issuer: first.and_then(|cert_id| self.issuers.place(cert_id)),
            serial: first.and_then(|cert_id| cert_id.serial.as_ref()),
            outcome,
        }
    }

    fn count(&self, answer: &Answer) {
        match answer {
            Answer::Kept(kept) => self.counters.answered(kept.status.status),
            Answer::Live(_, status) => self.counters.answered(*status),
            Answer::Refused(error) => self.counters.refused(*error),
        }
    }

    async fn try_answer(self: &Arc<Self>, request: &Request) -> Result<Answer, ErrorStatus> {
        let live_is_on = self.settings.nonces == Nonces::Answer;
        match (request.cert_ids.as_slice(), &request.nonce) {
            ([cert_id], None) => self.kept(cert_id).await.map(Answer::Kept),
            ([cert_id], Some(_)) if !live_is_on || !self.can_sign(cert_id) => {
                self.kept(cert_id).await.map(Answer::Kept)
            }
            (cert_ids, nonce) if live_is_on => self.live(cert_ids, nonce.clone()).await,
            _ => Err(ErrorStatus::Unauthorized),
        }
    }

    /// Whether an answer could be signed now: a responder apart from its CA needs the CA's leave. Without, it is as one without a key.
    fn can_sign(&self, cert_id: &CertId) -> bool {
        let Some(apart) = &self.apart else { return true };
        let issuer = self.issuers.find(cert_id);
        issuer.is_some_and(|issuer| apart.can_sign(&issuer.name, self.clock.now()))
    }

    /// Whether a responder apart from its CA cannot sign this, as what the CA has said of it ends within moments or is another thing by
    /// now; the CA's own answer holds until then.
    fn is_said_at_last(&self, question: &Question<'_>, status: Status, now: Timestamp) -> bool {
        let subject = (question.serial, status.status);
        let period = |apart: &Arc<Apart>| apart.period(question.issuer, subject, now, &self.settings);
        self.apart.as_ref().is_some_and(|apart| period(apart).is_none())
    }

    /// The issuer and serial number of a CertID that could be one of ours.
    fn question<'a>(&'a self, cert_id: &'a CertId) -> Result<Question<'a>, ErrorStatus> {
        let issuer = self.issuers.find(cert_id).ok_or(ErrorStatus::Unauthorized)?;
        let serial = cert_id.serial.as_ref().ok_or(ErrorStatus::Unauthorized)?;
        Ok(Question { issuer: &issuer.name, serial, cert_id: &cert_id.der })
    }

    /// An answer that is the same for all who ask.
    async fn kept(self: &Arc<Self>, cert_id: &CertId) -> Result<Arc<KeptAnswer>, ErrorStatus> {
        let mut found = self.memory.find(&cert_id.der);
        if let Some(kept) = &found
            && kept.is_checked_at(self.statuses.generation())
            && !kept.is_due(self.clock.now())
        {
            self.counters.from_memory.increment(1);
            return Ok(Arc::clone(kept));
        }
        let question = self.question(cert_id)?;
        // In this order: whatever was revoked up to the generation is in the table once it is settled at that, and stays there. The other
        // way round, a revocation could be taken in between the two looks.
        let generation = self.statuses.generation();
        let is_settled = self.corpus.is_settled_at(generation);
        let mut in_advance = self.corpus.find(cert_id).and_then(|found| self.in_time(found));
        if let Some(signed) = in_advance.take_if(|_| is_settled) {
            if self.clock.now() < signed.period.refresh_at {
                self.counters.from_advance.increment(1);
                return Ok(Arc::new(signed.kept(self, &question, generation, None)));
            }
            in_advance = Some(signed);
        }
        for _ in 0..ROUNDS_MAX {
            // The generation is read before the status: the other way round, a change in between would go unseen.
            let generation = self.statuses.generation();
            let now = self.clock.now();
            let Some(status) = self.status(&question)? else {
                self.memory.forget(question.cert_id);
                return Err(ErrorStatus::Unauthorized);
            };
            let is_expired = now > status.not_after;
            let same = found.take().filter(|kept| kept.status == status).or_else(|| {
                let signed = in_advance.take().filter(|signed| signed.status == status.status)?;
                Some(Arc::new(signed.kept(self, &question, generation, Some(status))))
            });
            if let Some(kept) = &same {
                kept.confirm(generation);
                // After its end, a certificate gets no new answers, but its last one is good as long as it says.
                let is_valid = (kept.this_update..=kept.next_update).contains(&now);
                if !kept.is_due(now) || (is_expired && is_valid) {
                    self.counters.from_memory.increment(1);
                    return Ok(Arc::clone(kept));
                }
            }
            if is_expired {
                self.memory.forget(question.cert_id);
                return Err(ErrorStatus::Unauthorized);
            }
            let observed = Observed { generation, status };
            match (self.fly(&question, observed, same.as_ref()).await, same) {
                (Ok(signed), _) if signed.is_checked_at(self.statuses.generation()) => return Ok(signed),
                (Ok(signed), _) => found = Some(signed),
                (Err(error), Some(kept)) => return self.fall_back(&question, kept, error),
                (Err(error), None) => return Err(error),
            }
        }
        Err(ErrorStatus::TryLater)
    }

    /// An answer out of the tables, if its time has begun and is not over. Apart from the CA, the clock that counts for its
    /// beginning is the CA's, which may be a little ahead.
    fn in_time(&self, found: Assembled) -> Option<InAdvance> {
        let Assembled { body, status, this_update, next_update } = found;
        let period = match self.apart.is_some() {
            // Nothing else is given out as long as there is this.
            true => Period::whole(this_update, next_update),
            false => Period::new(this_update, next_update, self.settings.ocsp_refresh),
        };
        let now = self.clock.now();
        let has_begun = this_update <= now || self.apart.is_some();
        (has_begun && now <= next_update).then_some(InAdvance { body, status, period })
    }

    /// Signs in advance what the settings say, until `shutdown` is done.
    pub(crate) async fn presign(self: &Arc<Self>, shutdown: impl Future<Output = ()>) {
        Presigner::new(Arc::clone(self)).run(shutdown).await;
    }

    /// The issuers that are answered for, as the signer has them.
    pub(crate) fn listed_issuers(&self) -> &[Issuer] {
        self.signer.issuers()
    }

    /// What was signed in advance.
    pub(crate) fn corpus(&self) -> &Arc<Corpus> {
        &self.corpus
    }

    /// The answer that should have been replaced, if it is not too old and still true; the time that the signer took to
    /// fail may have been long.
    fn fall_back(
        &self,
        question: &Question<'_>,
        kept: Arc<KeptAnswer>,
        error: ErrorStatus,
    ) -> Result<Arc<KeptAnswer>, ErrorStatus> {
        let generation = self.statuses.generation();
        kept.miss();
        let now = self.clock.now();
        if now >= kept.rest.old_at || now < kept.this_update || self.status(question)? != Some(kept.status) {
            return Err(error);
        }
        kept.confirm(generation);
        self.counters.refresh_failed.increment(1);
        self.counters.from_memory.increment(1);
        Ok(kept)
    }

    /// Signs an answer that will be kept, or waits for the one that is being signed. `refused` is the answer in memory
    /// that would not do.
    async fn fly(
        self: &Arc<Self>,
        question: &Question<'_>,
        observed: Observed,
        refused: Option<&Arc<KeptAnswer>>,
    ) -> Result<Arc<KeptAnswer>, ErrorStatus> {
        let newer = || {
            let newest = self.memory.find(question.cert_id)?;
            let is_refused = refused.is_some_and(|refused| Arc::ptr_eq(refused, &newest));
            // An answer that was dropped for its status is not among the refused, but is not at this generation.
            (!is_refused && newest.is_checked_at(observed.generation)).then_some(newest)
        };
        let mut seat = match self.flights.board(question.cert_id, self.settings.signings_queued, newer) {
            Seat::Landed(kept) => return Ok(kept),
            Seat::Full => return Err(ErrorStatus::TryLater),
            Seat::Passenger(seat) => seat,
            Seat::Pilot(landing, seat) => {
                let (service, issuer) = (Arc::clone(self), question.issuer.clone());
                let subject = Subject {
                    serial: question.serial.clone(),
                    cert_id: question.cert_id.to_vec(),
                    status: observed.status.status,
                };
                let mut flight = Box::pin(async move {
                    let result = service.sign_kept(&issuer, subject, observed).await;
                    service.flights.land(landing, result);
                });
                // What is not signed at once is a task of its own: the one who asked first may hang up, the others must not wait for
                // ever.
                if flight.as_mut().now_or_never().is_none() {
                    tokio::spawn(flight);
                }
                seat
            }
        };
        match seat.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Err(ErrorStatus::InternalError)),
            Err(_) => Err(ErrorStatus::InternalError),
        }
    }

    /// Signs an answer and keeps it.
    async fn sign_kept(
        &self,
        issuer: &IssuerName,
        subject: Subject,
        observed: Observed,
    ) -> Result<Arc<KeptAnswer>, ErrorStatus> {
        let cert_id = subject.cert_id.clone();
        let (body, period) = self.sign(issuer, vec![subject], None).await?;
        self.counters.from_signer.increment(1);
        let kept = KeptAnswer::new(issuer.clone(), &cert_id, &body, &self.cache_control, period, observed);
        let kept = Arc::new(kept);
        self.memory.keep(Arc::clone(&kept));
        Ok(kept)
    }

    /// An answer for this request alone.
    async fn live(
        self: &Arc<Self>,
        cert_ids: &[CertId],
        nonce: Option<Vec<u8>>,
    ) -> Result<Answer, ErrorStatus> {
        let mut issuer = None;
        let mut questions = Vec::with_capacity(cert_ids.len());
        for cert_id in cert_ids {
            let question = self.question(cert_id)?;
            // One signature cannot speak for two issuers.
            if *issuer.get_or_insert(question.issuer) != question.issuer {
                return Err(ErrorStatus::Unauthorized);
            }
            questions.push(question);
        }
        let issuer = issuer.ok_or(ErrorStatus::MalformedRequest)?;
        for _ in 0..ROUNDS_MAX {
            let generation = self.statuses.generation();
            let now = self.clock.now();
            let mut subjects = Vec::with_capacity(questions.len());
            for question in &questions {
                let status = self.status(question)?.ok_or(ErrorStatus::Unauthorized)?;
                let is_expired = now > status.not_after;
                if is_expired || self.is_said_at_last(question, status, now) {
                    // Nothing is signed for it any more; what was signed last may still be valid.
                    return match cert_ids {
                        [only] => self.kept(only).await.map(Answer::Kept),
                        _ if is_expired => Err(ErrorStatus::Unauthorized),
                        _ => Err(ErrorStatus::TryLater),
                    };
                }
                subjects.push(Subject {
                    serial: question.serial.clone(),
                    cert_id: question.cert_id.to_vec(),
                    status: status.status,
                });
            }
            let revoked =
                subjects.iter().map(|subject| subject.status).find(|status| *status != CertStatus::Good);
            let (body, _) = self.sign(issuer, subjects, nonce.clone()).await?;
            self.counters.from_signer.increment(1);
            // Any change at all is reason enough to look again: such answers are few.
            if self.statuses.generation() == generation {
                return Ok(Answer::Live(body, revoked.unwrap_or(CertStatus::Good)));
            }
        }
        Err(ErrorStatus::TryLater)
    }

    /// Signs an answer about these certificates, valid from now, and has that recorded.
    async fn sign(
        &self,
        issuer: &IssuerName,
        subjects: Vec<Subject>,
        nonce: Option<Vec<u8>>,
    ) -> Result<(Bytes, Period), ErrorStatus> {
        if self.apart.as_ref().is_some_and(|apart| !apart.can_sign(issuer, self.clock.now())) {
            return Err(ErrorStatus::TryLater);
        }
        let _slot = self.slot().await?;
        let room = self.audit.room(subjects.len()).ok_or(ErrorStatus::TryLater)?;
        let (mut responses, mut events) =
            (Vec::with_capacity(subjects.len()), Vec::with_capacity(subjects.len()));
        let now = self.clock.now().whole_second();
        let mut last = None;
        for subject in subjects {
            let period = self.period(issuer, &subject, now)?;
            let Period { this_update, next_update, .. } = period;
            let Subject { serial, cert_id, status } = subject;
            let signed = Signed::Ocsp { serial, status };
            events.push(SigningEvent { issuer: issuer.clone(), at: now, next_update, signed });
            responses.push(SingleResponse { cert_id, status, this_update, next_update });
            last = Some(period);
        }
        let period = last.ok_or(ErrorStatus::MalformedRequest)?;
        let answer = OcspAnswer { responses, produced_at: now, nonce };
        let signing = self.signer.sign_ocsp(issuer, answer);
        match tokio::time::timeout(self.settings.signing_timeout, signing).await {
            Ok(Ok(body)) => {
                room.fill(events);
                self.signing_failures.succeeded();
                Ok((Bytes::from(body), period))
            }
            Ok(Err(error)) => Err(self.signer_failed(&error)),
            Err(elapsed) => Err(self.signer_failed(&elapsed)),
        }
    }

    /// A place among those who sign, after waiting among those who wait, if there is room.
    async fn slot(&self) -> Result<[SemaphorePermit<'_>; 2], ErrorStatus> {
        let queued = self.queue.try_acquire().map_err(|_| ErrorStatus::TryLater)?;
        let signing = self.signing.acquire().await.map_err(|_| ErrorStatus::TryLater)?;
        Ok([queued, signing])
    }

    /// From when until when what is said now of a certificate is valid.
    fn period(&self, issuer: &IssuerName, subject: &Subject, now: Timestamp) -> Result<Period, ErrorStatus> {
        if let Some(apart) = &self.apart {
            let said = apart.period(issuer, (&subject.serial, subject.status), now, &self.settings);
            return said.ok_or(ErrorStatus::TryLater);
        }
        let this_update = now;
        let signer_ends =
            self.signer.ocsp_signer_not_after(issuer).map_err(|error| self.signer_failed(&error))?;
        let next_update = this_update.plus(self.settings.ocsp_validity).min(signer_ends.whole_second());
        let validity = next_update.since(this_update);
        if validity < PERIOD_MIN {
            return Err(self.signer_failed(&SignerTooOld));
        }
        Ok(Period::new(this_update, next_update, self.settings.ocsp_refresh))
    }

    fn status(&self, question: &Question<'_>) -> Result<Option<Status>, ErrorStatus> {
        self.statuses.status(question.issuer, question.serial).map_err(|error| {
            if self.complaints.may_speak(self.clock.now()) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a certificate's status cannot be read"
                );
            }
            ErrorStatus::TryLater
        })
    }

    fn signer_failed(&self, error: &(dyn std::error::Error + 'static)) -> ErrorStatus {
        self.signing_failures.failed(self.clock.now());
        self.counters.signing_failed.increment(1);
        if self.complaints.may_speak(self.clock.now()) {
            tracing::error!(error, "an OCSP answer cannot be signed");
        }
        ErrorStatus::TryLater
    }
}

/// The certificate of the OCSP key ends too soon.
#[derive(Debug)]
struct SignerTooOld;

impl std::fmt::Display for SignerTooOld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the certificate that signs OCSP answers ends within a minute")
    }
}

impl std::error::Error for SignerTooOld {}
