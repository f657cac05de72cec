//! Answers that can be given at once, for the threads that must not wait.

use std::sync::Arc;

use futures_util::FutureExt;
use ingam_protocol::Timestamp;
use ingam_protocol::ocsp::{CertId, lone_cert_id, parse_request};
use tokio::task::unconstrained;

use crate::config::Nonces;
use crate::ocsp::kept::write_whole;
use crate::ocsp::{Answer, InAdvance, KeptAnswer, OcspService};
use crate::request_log::Outcome;

/// Requests about more certificates take longer than others should wait.
const AT_ONCE_MAX: usize = 4;

/// An answer that can be given at once.
pub(crate) enum Ready {
    /// From memory, or signed just now.
    Given(Answer),
    /// Out of the tables.
    InAdvance(InAdvance),
}

impl From<&Ready> for Outcome {
    fn from(ready: &Ready) -> Self {
        match ready {
            Ready::Given(answer) => answer.into(),
            Ready::InAdvance(signed) => signed.status.into(),
        }
    }
}

impl OcspService {
    /// Writes an answer out of the tables behind its headers, as HTTP/1 has them.
    pub(crate) fn write(&self, signed: &InAdvance, out: &mut Vec<u8>) {
        write_whole(out, &signed.body, &self.cache_control, signed.period);
    }

    /// Whether some answers can be signed without waiting.
    pub(crate) fn signs_at_once(&self) -> bool {
        self.issuers.iter().any(|issuer| self.signer.signs_at_once(&issuer.name))
    }

    /// The answer to a request's DER that has to be signed, or looked for in the store, if both can be done without waiting for anybody. `None`
    /// says nothing: ask [`OcspService::answer`].
    pub(crate) fn signed_now(self: &Arc<Self>, request: &[u8], now: Timestamp) -> Option<Answer> {
        let request = parse_request(request).ok().filter(|request| request.cert_ids.len() <= AT_ONCE_MAX)?;
        let issuer = request.cert_ids.first().and_then(|cert_id| self.issuers.find(cert_id))?;
        if !self.signer.signs_at_once(&issuer.name) {
            return None;
        }
        // What waits for a place among those who sign, or for another's signature, is asked for again.
        let answer = unconstrained(self.try_answer(&request)).now_or_never()?.unwrap_or_else(Answer::Refused);
        if let Answer::Kept(kept) = &answer
            && !self.has_its_headers(kept.next_update, now)
        {
            return None;
        }
        self.count(&answer);
        Some(answer)
    }

    /// Whether an answer may be cached for as long as its headers say, which were written when it was made.
    fn has_its_headers(&self, next_update: Timestamp, now: Timestamp) -> bool {
        next_update.since(now) >= self.settings.ocsp_max_age
    }

    /// The answer to a request's DER, if it is in memory or was signed in advance, is true, and not to be replaced yet: found without
    /// waiting for anything; and if its headers are those that it has with it. `None` says nothing: ask [`OcspService::answer`].
    pub(crate) fn kept_now(&self, request: &[u8], now: Timestamp) -> Option<Ready> {
        let kept = self.remembered_now(request, now).map(|kept| Ready::Given(Answer::Kept(kept)));
        kept.or_else(|| self.signed_ahead_now(request, now).map(Ready::InAdvance))
    }

    /// The same from the tables of what was signed in advance.
    fn signed_ahead_now(&self, request: &[u8], now: Timestamp) -> Option<InAdvance> {
        if self.corpus.series().is_empty() {
            return None;
        }
        // In this order: see `OcspService::kept`.
        let generation = self.statuses.generation();
        let is_settled = self.corpus.is_settled_at(generation);
        let found = match lone_cert_id(request) {
            Some(cert_id) => self.corpus.find_by_der(cert_id),
            // It says more, which may not matter.
            None => self.corpus.find(&self.lone_question(request)?),
        };
        let signed = self.in_time(found?)?;
        let counts = is_settled && now < signed.period.refresh_at;
        if !counts || !self.has_its_headers(signed.period.next_update, now) {
            return None;
        }
        self.counters.from_advance.increment(1);
        self.counters.answered(signed.status);
        Some(signed)
    }

    /// The same from memory: for nearly every request without taking any.
    fn remembered_now(&self, request: &[u8], now: Timestamp) -> Option<Arc<KeptAnswer>> {
        let kept = match lone_cert_id(request).map(|cert_id| self.memory.find(cert_id)) {
            Some(kept) => kept?,
            // It says more, which may not matter.
            None => self.memory.find(&self.lone_question(request)?.der)?,
        };
        let is_true =
            kept.is_checked_at(self.statuses.generation()) || self.is_true_still(request, &kept, now);
        if !is_true || !self.has_its_headers(kept.next_update, now) || kept.is_due(now) {
            return None;
        }
        self.counters.from_memory.increment(1);
        self.counters.answered(kept.status.status);
        Some(kept)
    }

    /// The one certificate that a request asks for, if it gets an answer that is the same for all who ask.
    fn lone_question(&self, request: &[u8]) -> Option<CertId> {
        let mut request = parse_request(request).ok()?;
        let is_for_all = request.nonce.is_none() || self.settings.nonces == Nonces::Ignore;
        request.cert_ids.pop().filter(|_| is_for_all && request.cert_ids.is_empty())
    }

    /// Reads the row of a kept answer again, after some status has changed.
    fn is_true_still(&self, request: &[u8], kept: &KeptAnswer, now: Timestamp) -> bool {
        let Some(cert_id) = self.lone_question(request) else { return false };
        let Ok(question) = self.question(&cert_id) else { return false };
        // The generation is read before the status: the other way round, a change in between would go unseen.
        let generation = self.statuses.generation();
        let is_true = match self.status(&question) {
            Ok(Some(status)) => status == kept.status && now <= status.not_after,
            Ok(None) | Err(_) => false,
        };
        if is_true {
            kept.confirm(generation);
        }
        is_true
    }
}
