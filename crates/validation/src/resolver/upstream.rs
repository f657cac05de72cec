//! Whoever is asked, with what lies between them and DNSSEC: aliases are taken apart, and what is asked for the sake of other
//! answers is asked once.
//!
//! DNSSEC's validator judges an answer by the question. A recursive server's answer to a question about an alias is several
//! answers at once: each link's, and that of the end of the chain, which may be a denial by another zone. So only the first
//! link is handed up, and the next one is asked for by its own name.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream;
use trust_dns_resolver::NameServerPool;
use trust_dns_resolver::net::runtime::TokioRuntimeProvider;
use trust_dns_resolver::net::xfer::{DnsHandle, FirstAnswer as _, RetryDnsHandle};
use trust_dns_resolver::net::{DnsError, NetError, NoRecords};
use trust_dns_resolver::proto::dnssec::rdata::{DNSSECRData, RRSIG};
use trust_dns_resolver::proto::op::{
    DnsRequest, DnsRequestOptions, DnsResponse, Message, MessageType, OpCode, Query, ResponseCode,
};
use trust_dns_resolver::proto::rr::rdata::NS;
use trust_dns_resolver::proto::rr::{Name, RData, Record, RecordType, RecordTypeSet};
use trust_dns_resolver::recursor::{Recursor, RecursorError};

use super::connection::{Answers, Connections};
use super::missing::{Cause, mnemonic};
use super::notes::{Notes, SENT_MAX, is_infrastructure};

/// The most answers about keys and delegations that one validation remembers.
const REMEMBERED_MAX: usize = 128;

/// The most targets of aliases that are remembered.
const TARGETS_MAX: usize = 128;

/// The most failures that are remembered for their words.
const FAILURES_MAX: usize = 64;

/// Who is asked.
pub(super) enum Source {
    /// Recursive resolvers.
    Servers(RetryDnsHandle<NameServerPool<Connections>>),
    /// The name servers themselves, from the root on.
    Roots { recursor: Box<Recursor<Connections>>, tries: u8 },
    /// Recursion that could not be set up.
    Nobody,
}

/// One validation's way to the DNS.
#[derive(Clone)]
pub(super) struct Upstream {
    shared: Arc<Shared>,
}

struct Shared {
    source: Source,
    notes: Arc<Notes>,
    request: DnsRequestOptions,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    answers: HashMap<Query, Result<DnsResponse, NetError>>,
    failures: HashMap<Query, Cause>,
    targets: HashSet<Name>,
}

impl Upstream {
    pub(super) fn new(source: Source, notes: Arc<Notes>, request: DnsRequestOptions) -> Self {
        Self { shared: Arc::new(Shared { source, notes, request, memory: Mutex::default() }) }
    }

    /// Forgets what was remembered for the sake of other answers.
    pub(super) fn forget(&self) {
        self.lock().answers.clear();
    }

    /// Forgets why earlier questions failed.
    pub(super) fn begin(&self) {
        self.lock().failures.clear();
    }

    /// Why there was no answer to a question.
    pub(super) fn failure(&self, query: &Query) -> Option<Cause> {
        self.lock().failures.get(query).cloned()
    }

    /// A question about keys or delegations above `query` that was not answered, and why.
    pub(super) fn failure_above(&self, query: &Query) -> Option<(Query, Cause)> {
        let is_above =
            |other: &Query| is_infrastructure(other.query_type()) && other.name().zone_of(query.name());
        let memory = self.lock();
        let found = memory.failures.iter().filter(|(other, _)| is_above(other));
        found
            .max_by_key(|(other, _)| other.name().num_labels())
            .map(|(other, cause)| (other.clone(), cause.clone()))
    }

    /// Whether it was answered that there are no such keys or delegations.
    pub(super) fn is_denied(&self, query: &Query) -> bool {
        self.lock().answers.get(query).is_some_and(Result::is_err)
    }

    /// Tells that a name is the target of an alias, and so may be one itself.
    ///
    /// Recursion would follow the rest of a chain with each question about its links, which is asking for everything again
    /// and again; so it is asked for the alias first.
    pub(super) fn expect_alias(&self, name: &Name) {
        let mut memory = self.lock();
        if memory.targets.len() < TARGETS_MAX {
            memory.targets.insert(name.clone());
        }
    }

    /// What was answered about keys or delegations.
    pub(super) fn remembered(&self, query: &Query) -> Option<DnsResponse> {
        self.lock().answers.get(query).and_then(|answer| answer.as_ref().ok()).cloned()
    }

    async fn answer(&self, query: Query) -> Result<DnsResponse, NetError> {
        let keep = is_infrastructure(query.query_type());
        if keep && let Some(known) = self.lock().answers.get(&query) {
            return known.clone();
        }
        let result = match self.first_link(&query).await {
            Ok(response) => Ok(response),
            Err((error, cause)) => {
                let is_denial = matches!(cause, Cause::NoName | Cause::NoRecords);
                if !is_denial {
                    self.note_failure(&query, cause);
                    if query.query_type() == RecordType::NS {
                        return self.unknown_servers(query).await;
                    }
                }
                Err(error)
            }
        };
        let is_answer = |error: &NetError| error.is_no_records_found();
        if keep && result.as_ref().err().is_none_or(is_answer) {
            let mut memory = self.lock();
            if memory.answers.len() < REMEMBERED_MAX {
                memory.answers.insert(query, result.clone());
            }
        }
        result
    }

    fn note_failure(&self, query: &Query, cause: Cause) {
        let mut memory = self.lock();
        if memory.failures.len() < FAILURES_MAX {
            memory.failures.insert(query.clone(), cause);
        }
    }

    /// What to say of name servers that could not be asked for; some servers cannot answer about them.
    ///
    /// The validator asks for them to find the zone that a name is in. Whether there is a delegation is in the parent's answer
    /// about its key, too; and that such a zone is not signed has to be proven by that answer all the same.
    async fn unknown_servers(&self, query: Query) -> Result<DnsResponse, NetError> {
        let key = Query::query(query.name().clone(), RecordType::DS);
        let is_cut = match Box::pin(self.answer(key)).await {
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => none
                .authorities
                .iter()
                .flat_map(|all| all.iter())
                .any(|record| is_delegation(record, query.name())),
            _ => false,
        };
        if !is_cut {
            return Err(NoRecords::new(query, ResponseCode::NoError).into());
        }
        let mut message = Message::new(0, MessageType::Response, OpCode::Query);
        let servers = Record::from_rdata(query.name().clone(), 0, RData::NS(NS(Name::root())));
        message.add_query(query).add_answer(servers);
        Ok(DnsResponse::from_message(message)?)
    }

    /// Asks, and leaves of an answer about an alias the first link alone.
    async fn first_link(&self, query: &Query) -> Result<DnsResponse, (NetError, Cause)> {
        let is_recursion = matches!(self.shared.source, Source::Roots { .. });
        if is_recursion && self.lock().targets.contains(query.name()) {
            match self.ask_for_alias(query).await {
                Ok(response) if is_alias(&response.answers, query) => return Ok(response),
                Ok(_) | Err((_, Cause::NoName | Cause::NoRecords)) => {}
                other => return other,
            }
        }
        let result = self.ask(query).await;
        match result {
            Ok(mut response) if is_alias(&response.answers, query) => {
                if is_expanded(&response.answers, query) {
                    // The proof that the wildcard may stand for the name is among those of the whole chain.
                    return self.ask_for_alias(query).await;
                }
                cut_to_first_link(&mut response, query);
                response.authorities.clear();
                response.additionals.clear();
                Ok(response)
            }
            Err(_) if self.shared.notes.of(query).is_some_and(|seen| seen.has_alias) => {
                // Recursion follows aliases by itself, and tells of where it failed alone.
                self.ask_for_alias(query).await
            }
            other => other,
        }
    }

    async fn ask_for_alias(&self, query: &Query) -> Result<DnsResponse, (NetError, Cause)> {
        let alias = Query::query(query.name().clone(), RecordType::CNAME);
        let mut response = self.ask(&alias).await?;
        cut_to_first_link(&mut response, query);
        Ok(response)
    }

    async fn ask(&self, query: &Query) -> Result<DnsResponse, (NetError, Cause)> {
        let result = match &self.shared.source {
            Source::Servers(servers) => {
                let answer = servers.lookup(query.clone(), self.shared.request).first_answer().await;
                answer.map_err(|error| {
                    let cause = self.cause_of_server(&error);
                    (error, cause)
                })
            }
            Source::Roots { recursor, tries } => self.recurse(recursor, *tries, query).await,
            Source::Nobody => Err(refused("recursion could not be set up")),
        };
        match result {
            Err((_, Cause::Timeout | Cause::Unusable(_) | Cause::Code(_)))
                if self.shared.notes.is_exhausted() =>
            {
                Err(refused(&format!("this took more than {SENT_MAX} questions")))
            }
            // A denial that denies nothing must not reach anybody who would take it for one.
            Err((NetError::Dns(DnsError::NoRecordsFound(_)), cause @ Cause::Unusable(_))) => {
                Err(refused(&cause.shortly()))
            }
            other => other,
        }
    }

    fn cause_of_server(&self, error: &NetError) -> Cause {
        match error {
            // Name servers without a start of authority are a referral: somebody else would know (RFC 2308, section 2.2).
            NetError::Dns(DnsError::NoRecordsFound(none))
                if none.response_code == ResponseCode::NoError && none.ns.is_some() && none.soa.is_none() =>
            {
                Cause::unusable("the resolver gave a referral instead of an answer")
            }
            error => error.into(),
        }
    }

    async fn recurse(
        &self,
        recursor: &Recursor<Connections>,
        tries: u8,
        query: &Query,
    ) -> Result<DnsResponse, (NetError, Cause)> {
        let mut last = refused("no name server was asked");
        for _ in 0..tries {
            let now = tokio::time::Instant::now().into_std();
            let error = match Box::pin(recursor.resolve(query.clone(), now, true)).await {
                Ok(message) => {
                    return DnsResponse::from_message(message)
                        .map_err(|_| refused("the answer cannot be read"));
                }
                Err(error) => error,
            };
            let cause = self.cause_of_recursion(&error, query);
            tracing::debug!(%query, %error, ?cause, "recursion");
            let is_final =
                !matches!(cause, Cause::Timeout | Cause::Code(_)) || self.shared.notes.is_exhausted();
            last = (error.into(), cause);
            if is_final {
                break;
            }
        }
        Err(last)
    }

    fn cause_of_recursion(&self, error: &RecursorError, query: &Query) -> Cause {
        let seen = self.shared.notes.of(query);
        match error {
            RecursorError::Negative(none) if !none.is_no_records_found() => {
                Cause::unusable("the answer has records of other zones alone")
            }
            RecursorError::Negative(none) if none.is_nx_domain() => Cause::NoName,
            // Neither the zone's own word nor its start of authority: a server that does not have the zone.
            RecursorError::Negative(none)
                if none.soa.is_none() && !seen.as_ref().is_some_and(|seen| seen.is_authoritative) =>
            {
                Cause::unusable("a name server answers that does not have the zone")
            }
            RecursorError::Negative(_) => Cause::NoRecords,
            RecursorError::ForwardNS(_) => {
                Cause::unusable("a name server refers to others, which do not answer for the zone")
            }
            RecursorError::Timeout | RecursorError::Net(NetError::Timeout) => Cause::Timeout,
            RecursorError::Net(NetError::Dns(error)) => (&NetError::Dns(error.clone())).into(),
            RecursorError::QueryBudgetExceeded
            | RecursorError::RecursionLimitExceeded { .. }
            | RecursorError::MaxRecordLimitExceeded { .. } => {
                Cause::unusable("the delegations lead too far, or in circles")
            }
            _ => self.cause_of_silence(seen.map(|seen| seen.code)),
        }
    }

    /// What was noted on the way, where the library has words alone.
    fn cause_of_silence(&self, code: Option<ResponseCode>) -> Cause {
        let notes = &self.shared.notes;
        if let Some((address, why)) = notes.refusal() {
            return Cause::Unusable(format!(
                "a name server's address, {address}, may not be asked, as {}",
                why.trim()
            ));
        }
        match code {
            Some(code) if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) => {
                Cause::Code(mnemonic(code))
            }
            _ if notes.was_silent() => Cause::Timeout,
            _ => Cause::unusable("no name server of the zone can be found or reached"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // Nothing panics while it holds this, and the memory is right after each step.
        self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(words: &str) -> (NetError, Cause) {
    (NetError::Msg(words.to_owned()), Cause::unusable(words))
}

/// Whether a denial says that there is a delegation at a name; by NSEC3, at a name.
fn is_delegation(record: &Record, name: &Name) -> bool {
    let is_cut = |types: &RecordTypeSet| types.contains(RecordType::NS) && !types.contains(RecordType::SOA);
    match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(denial)) => record.name == *name && is_cut(denial.type_set()),
        RData::DNSSEC(DNSSECRData::NSEC3(denial)) => denial.opt_out() || is_cut(denial.type_set()),
        _ => false,
    }
}

/// Leaves the first link alone; what the response code says is of the last one.
pub(super) fn cut_to_first_link(response: &mut Message, query: &Query) {
    response.answers.retain(|record| is_of_first_link(record, query));
    response.metadata.response_code = ResponseCode::NoError;
}

pub(super) fn is_alias(answers: &[Record], query: &Query) -> bool {
    answers.iter().any(|record| matches!(record.data, RData::CNAME(_)) && record.name == query.name)
}

fn signature(record: &Record) -> Option<&RRSIG> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => Some(signature),
        _ => None,
    }
}

/// Whether a wildcard stands for the alias's name (RFC 4035, section 5.3.4): its signature has fewer labels.
pub(super) fn is_expanded(answers: &[Record], query: &Query) -> bool {
    answers.iter().filter(|record| record.name == query.name).filter_map(signature).any(|signature| {
        signature.input().type_covered == RecordType::CNAME
            && signature.input().num_labels < query.name().num_labels()
    })
}

/// The alias of the question's name, or the one above it that it follows from (RFC 6672), with their signatures.
fn is_of_first_link(record: &Record, query: &Query) -> bool {
    let is_of = |record_type| {
        record.record_type() == record_type
            || signature(record).is_some_and(|signature| signature.input().type_covered == record_type)
    };
    let is_above = record.name.zone_of(query.name()) && record.name != query.name;
    (record.name == query.name && is_of(RecordType::CNAME)) || (is_above && is_of(RecordType::DNAME))
}

impl DnsHandle for Upstream {
    type Response = Answers;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> Answers {
        let this = self.clone();
        Box::pin(stream::once(async move {
            let query = request.original_query().or_else(|| request.queries.first()).cloned();
            let query = query.ok_or(NetError::Message("no question"))?;
            Box::pin(this.answer(query)).await
        }))
    }
}
