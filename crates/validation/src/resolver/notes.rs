//! What is noted of the questions that one validation sends, below everything that sorts and forgets answers.
//!
//! The library drops what a failed answer says of its failure (RFC 8914), so it is taken here, from each message as it comes
//! off the wire. What is kept has a limit, and so has the number of questions.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use trust_dns_resolver::proto::op::{Message, Query, ResponseCode};
use trust_dns_resolver::proto::rr::{RData, RecordType};

use super::extended;
use crate::evidence::ExtendedError;

/// The most questions that are sent for one validation, tries counted: a hostile zone may ask for more, and stops here.
pub(super) const SENT_MAX: usize = 256;

/// The most answers of which something is kept.
const SEEN_MAX: usize = 64;

/// One validation's notes.
#[derive(Debug, Default)]
pub(super) struct Notes {
    sent: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: Vec<Seen>,
    is_silent: bool,
    refused: Option<(IpAddr, String)>,
}

/// What an answer said, as far as somebody will want to know.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    query: Query,
    pub(super) code: ResponseCode,
    /// Whether it has an alias for the very question.
    pub(super) has_alias: bool,
    pub(super) is_authoritative: bool,
    errors: Vec<ExtendedError>,
}

impl Notes {
    /// Counts one question; false if there may be no more.
    pub(super) fn charge(&self) -> bool {
        self.sent.fetch_add(1, Ordering::Relaxed) < SENT_MAX
    }

    /// Whether a question was not sent, as there were too many.
    pub(super) fn is_exhausted(&self) -> bool {
        self.sent.load(Ordering::Relaxed) > SENT_MAX
    }

    /// Notes an answer as it came.
    pub(super) fn saw(&self, query: &Query, response: &Message) {
        let has_alias = response
            .answers
            .iter()
            .any(|record| matches!(record.data, RData::CNAME(_)) && record.name == query.name);
        let seen = Seen {
            query: query.clone(),
            code: response.metadata.response_code,
            has_alias,
            is_authoritative: response.metadata.authoritative,
            errors: extended::read(response),
        };
        let mut state = self.lock();
        state.seen.retain(|other| other.query != *query);
        if state.seen.len() >= SEEN_MAX {
            state.seen.remove(0);
        }
        state.seen.push(seen);
    }

    /// Notes that a server gave no answer in time.
    pub(super) fn silent(&self) {
        self.lock().is_silent = true;
    }

    /// Notes that a name server is at an address that may not be asked.
    pub(super) fn refused(&self, address: IpAddr, why: String) {
        self.lock().refused.get_or_insert((address, why));
    }

    /// Begins a lookup: what was noted of earlier ones about the same question is no news.
    pub(super) fn begin(&self, query: &Query) {
        let mut state = self.lock();
        state.seen.retain(|seen| seen.query != *query);
        state.is_silent = false;
        state.refused = None;
    }

    /// What the last answer to a question said.
    pub(super) fn of(&self, query: &Query) -> Option<Seen> {
        self.lock().seen.iter().find(|seen| seen.query == *query).cloned()
    }

    pub(super) fn was_silent(&self) -> bool {
        self.lock().is_silent
    }

    pub(super) fn refusal(&self) -> Option<(IpAddr, String)> {
        self.lock().refused.clone()
    }

    /// The extended errors of the answers to `queries`; of a failed lookup, also of the failed answers about keys and
    /// delegations on the way to them.
    pub(super) fn errors(&self, queries: &[Query], failed: bool) -> Vec<ExtendedError> {
        let state = self.lock();
        let is_asked = |seen: &&Seen| queries.contains(&seen.query);
        let is_on_the_way = |seen: &&Seen| {
            failed
                && is_infrastructure(seen.query.query_type())
                && !matches!(seen.code, ResponseCode::NoError | ResponseCode::NXDomain)
                && queries.iter().any(|query| seen.query.name().zone_of(query.name()))
        };
        let asked = state.seen.iter().filter(is_asked);
        let all = asked.chain(state.seen.iter().filter(is_on_the_way));
        let mut errors: Vec<ExtendedError> = Vec::new();
        for error in all.flat_map(|seen| &seen.errors) {
            if !errors.contains(error) && errors.len() < extended::ERRORS_MAX {
                errors.push(error.clone());
            }
        }
        errors
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds this, and notes are right after each step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is asked for the sake of other answers.
pub(super) fn is_infrastructure(record_type: RecordType) -> bool {
    matches!(record_type, RecordType::DNSKEY | RecordType::DS | RecordType::NS)
}
