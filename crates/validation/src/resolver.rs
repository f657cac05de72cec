//! DNS questions to the configured resolvers, and what can be said about the answers.
//!
//! No cache, no hosts file, no search list, no other server. A question ends in records, in a proof that there are
//! none ([`Missing::is_absence`]), or in nothing known; the last is never taken for the second.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::acme::ErrorType;
use trust_dns_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts, ServerOrderingStrategy};
use trust_dns_resolver::net::runtime::TokioRuntimeProvider;
use trust_dns_resolver::net::xfer::{DnsHandle as _, FirstAnswer as _, RetryDnsHandle};
use trust_dns_resolver::net::{DnsError, NetError};
use trust_dns_resolver::proto::op::{DnsRequestOptions, Message, Query, ResponseCode};
use trust_dns_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use trust_dns_resolver::proto::rr::{Name, RData, Record, RecordType};
use trust_dns_resolver::{NameServerPool, PoolContext, TlsConfig};

use crate::config::{Config, ConfigError};
use crate::evidence::{Evidence, Lookup, TEXT_MAX, VALUES_MAX};
use crate::outcome::Failure;
use crate::quote::printable;

/// The most aliases that are followed within one answer.
const ALIASES_MAX: usize = 16;

/// The most questions about one name: its own, and those about aliases' targets that its answers left open.
const QUESTIONS_MAX: usize = 8;

/// The EDNS buffer size that does not fragment on today's paths.
const EDNS_PAYLOAD_BYTES: u16 = 1232;

/// The configured resolvers.
///
/// This is built of the library's pool of servers. Its own resolver on top of that answers some names by itself, and
/// takes aliases without end for a proof that there are no records.
pub(crate) struct Resolver {
    servers: RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>,

    request: DnsRequestOptions,
    lookup_timeout: Duration,
}

/// Why a question has no records for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    name: String,
    record_type: RecordType,
    cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    /// NXDOMAIN: nothing has this name.
    NoName,
    /// NOERROR without records: the name has others than were asked for.
    NoRecords,
    /// Another response code.
    Code(String),
    /// No answer in time.
    Timeout,
    /// An answer that is no answer; the words say why.
    Unusable(&'static str),
}

impl Resolver {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let servers = config.resolvers.iter().copied().map(name_server);
        let mut options = ResolverOpts::default();
        options.timeout = config.lookup_timeout() / u32::from(config.lookup_tries.max(1));
        options.try_tcp_on_error = true;
        // A try after a failure goes to the next server; in a fixed order it would go to the same one.
        options.server_ordering_strategy = ServerOrderingStrategy::RoundRobin;
        options.num_concurrent_reqs = 1;
        // 0x20: the case of the question's letters must come back, which makes answers harder to forge.
        options.case_randomization = true;
        let mut request = DnsRequestOptions::default();
        request.use_edns = true;
        request.edns_payload_len = EDNS_PAYLOAD_BYTES;
        request.recursion_desired = true;
        request.case_randomization = true;
        let tls = TlsConfig::new().map_err(|error| ConfigError::new(format!("resolvers: {error}")))?;
        let context = Arc::new(PoolContext::new(options, tls));
        let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
        let tries_more = usize::from(config.lookup_tries.saturating_sub(1));
        let servers = RetryDnsHandle::new(pool, tries_more);
        Ok(Self { servers, request, lookup_timeout: config.lookup_timeout() })
    }

    /// Asks for the records of one type at `name` (without a trailing dot), following aliases, and notes the answer.
    ///
    /// `Ok` has at least one record, and every record is of that type.
    pub(crate) async fn lookup(
        &self,
        name: &str,
        record_type: RecordType,
        evidence: &mut Evidence,
    ) -> Result<Vec<RData>, Missing> {
        let (result, seen) = self.ask(name, record_type).await;
        evidence.lookups.push(seen);
        result
    }

    /// The addresses of `name`: IPv6 first, each kind in the order of the answer.
    ///
    /// One kind's failure is hidden by the other kind's records.
    pub(crate) async fn addresses(
        &self,
        name: &str,
        evidence: &mut Evidence,
    ) -> Result<Vec<IpAddr>, Missing> {
        let ((v6, v6_seen), (v4, v4_seen)) =
            tokio::join!(self.ask(name, RecordType::AAAA), self.ask(name, RecordType::A));
        evidence.lookups.extend([v6_seen, v4_seen]);
        match (v6, v4) {
            (Err(missing), Err(other)) => Err(if missing.is_absence() { other } else { missing }),
            (v6, v4) => Ok(v6
                .into_iter()
                .chain(v4)
                .flatten()
                .filter_map(|data| match data {
                    RData::A(A(address)) => Some(IpAddr::V4(address)),
                    RData::AAAA(AAAA(address)) => Some(IpAddr::V6(address)),
                    _ => None,
                })
                .collect()),
        }
    }

    async fn ask(&self, name: &str, record_type: RecordType) -> (Result<Vec<RData>, Missing>, Lookup) {
        let result = match Name::from_ascii(format!("{name}.")) {
            Ok(question) => {
                let answer = Box::pin(self.follow(question, record_type));
                tokio::time::timeout(self.lookup_timeout, answer).await.unwrap_or(Err(Cause::Timeout))
            }
            Err(_) => Err(Cause::Unusable("the name is too long for DNS")),
        };
        tracing::debug!(name, %record_type, found = result.as_ref().map_or(0, Vec::len), "DNS lookup");
        let seen = note(name, record_type, &result);
        (result.map_err(|cause| Missing { name: name.to_owned(), record_type, cause }), seen)
    }

    /// Asks for `question`, and for the target of its alias where the answer ends with one.
    async fn follow(&self, mut question: Name, record_type: RecordType) -> Result<Vec<RData>, Cause> {
        for _ in 0..QUESTIONS_MAX {
            let query = Query::query(question.clone(), record_type);
            let response = self.servers.lookup(query, self.request).first_answer().await;
            let response = response.map_err(|error| cause(&error))?;
            match read(&response, &question, record_type)? {
                Answer::Records(records) => return Ok(records),
                // A resolver follows aliases itself. One that leads to nothing is asked for once more by its own name,
                // so that there is a proof of the nothing.
                Answer::Alias(target) => question = target,
            }
        }
        Err(Cause::Unusable(ENDLESS))
    }
}

/// What an answer has for a question.
enum Answer {
    /// Records of the type that was asked for, at least one.
    Records(Vec<RData>),
    /// An alias, and nothing about its target.
    Alias(Name),
}

const ENDLESS: &str = "the name is an alias of an alias of an alias, and so on without end";

fn read(response: &Message, question: &Name, record_type: RecordType) -> Result<Answer, Cause> {
    let answers = &response.answers;
    let owner = last_alias(answers, question)?;
    match response.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Err(Cause::NoName),
        code => return Err(Cause::Code(mnemonic(code))),
    }
    let found: Vec<RData> = answers
        .iter()
        .filter(|record| record.name == *owner && record.record_type() == record_type)
        .map(|record| record.data.clone())
        .collect();
    if !found.is_empty() {
        Ok(Answer::Records(found))
    } else if owner == question {
        // The library saw records where we see none: whatever this is, it proves no absence.
        Err(Cause::Unusable("the answer has records of other names alone"))
    } else {
        Ok(Answer::Alias(owner.clone()))
    }
}

/// Where the aliases within an answer lead to: the question itself, if it has none.
fn last_alias<'a>(answers: &'a [Record], question: &'a Name) -> Result<&'a Name, Cause> {
    let mut owner = question;
    for _ in 0..ALIASES_MAX {
        let alias = answers.iter().find_map(|record| match &record.data {
            RData::CNAME(CNAME(target)) if record.name == *owner => Some(target),
            _ => None,
        });
        match alias {
            Some(target) => owner = target,
            None => return Ok(owner),
        }
    }
    Err(Cause::Unusable(ENDLESS))
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn cause(error: &NetError) -> Cause {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Cause::NoName,
            // Name servers without a start of authority are a referral: somebody else would know (RFC 2308, section 2.2).
            ResponseCode::NoError if none.ns.is_some() && none.soa.is_none() => {
                Cause::Unusable("the resolver gave a referral instead of an answer")
            }
            ResponseCode::NoError => Cause::NoRecords,
            code => Cause::Code(mnemonic(code)),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => Cause::Code(mnemonic(*code)),
        NetError::Timeout => Cause::Timeout,
        NetError::Truncated => Cause::Unusable("the answer is truncated over TCP too"),
        NetError::Proto(_) => Cause::Unusable("the answer cannot be read"),
        _ => Cause::Unusable("the resolver cannot be reached"),
    }
}

fn mnemonic(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::Refused => "REFUSED".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::NotAuth => "NOTAUTH".into(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

fn note(name: &str, record_type: RecordType, result: &Result<Vec<RData>, Cause>) -> Lookup {
    let records = result.as_deref().unwrap_or_default();
    Lookup {
        name: name.to_owned(),
        record_type: record_type.to_string(),
        response: match result {
            Ok(_) | Err(Cause::NoRecords) => "NOERROR".into(),
            Err(Cause::NoName) => "NXDOMAIN".into(),
            Err(Cause::Code(code)) => code.clone(),
            Err(Cause::Timeout) => "TIMEOUT".into(),
            Err(Cause::Unusable(_)) => "ERROR".into(),
        },
        values: records.iter().take(VALUES_MAX).map(|data| printable(&value(data), TEXT_MAX)).collect(),
        values_left_out: records.len().saturating_sub(VALUES_MAX),
        aliases: Vec::new(),
        proof: None,
        extended_errors: Vec::new(),
    }
}

/// A record's data for the eye: TXT's strings joined, CAA as flags, tag and value.
fn value(data: &RData) -> Vec<u8> {
    match data {
        RData::TXT(text) => text.txt_data.concat(),
        RData::CAA(record) => {
            let mut bytes = format!("{} {} ", record.flags(), record.tag).into_bytes();
            bytes.extend_from_slice(&record.value);
            bytes
        }
        other => other.to_string().into_bytes(),
    }
}

impl Missing {
    /// Whether the answer proves that there is nothing of this type (NXDOMAIN, or NOERROR without records).
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self.cause, Cause::NoName | Cause::NoRecords)
    }

    /// Whether the name exists without records of this type.
    pub(crate) fn is_empty_answer(&self) -> bool {
        self.cause == Cause::NoRecords
    }

    /// What to tell the owner of the name; `advice` says what to do where the cause itself does not.
    pub(crate) fn failure(&self, advice: &str) -> Failure {
        let Self { name, record_type, cause } = self;
        let detail = match cause {
            Cause::NoName => format!("DNS: NXDOMAIN looking up {record_type} for {name}: {advice}"),
            Cause::NoRecords => format!("DNS: no {record_type} record at {name}: {advice}"),
            Cause::Code(code) => format!(
                "DNS: {code} looking up {record_type} for {name}: check the zone's name servers and its DNSSEC; {advice}"
            ),
            Cause::Timeout => format!(
                "DNS: no answer in time looking up {record_type} for {name}: check that the zone's name servers answer, over UDP and TCP; {advice}"
            ),
            Cause::Unusable(words) => {
                format!("DNS: problem looking up {record_type} for {name}: {words}; {advice}")
            }
        };
        Failure::new(ErrorType::Dns, detail)
    }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::acme::ChallengeType;
    use ingam_protocol::identifier::DnsName;

    use super::*;
    use crate::testing::{Reply, World, clock};

    async fn ask(config: &Config, name: &str, record_type: RecordType) -> Result<Vec<RData>, Missing> {
        let any = DnsName::parse("a.example").unwrap();
        let mut evidence = Evidence::new("local", any, ChallengeType::Dns01, clock().now());
        Resolver::new(config).unwrap().lookup(name, record_type, &mut evidence).await
    }

    #[tokio::test]
    async fn another_server_is_asked_when_one_fails() {
        let (bad, good) = (World::new().await, World::new().await);
        good.a("a.example", "127.0.0.1");
        for reply in [Reply::Code(ResponseCode::ServFail), Reply::Silence, Reply::Garbage] {
            bad.reply("a.example", None, reply.clone());
            let mut config = good.config();
            config.lookup_timeout_ms = 3000;
            config.resolvers = vec![bad.address(), good.address()];
            assert!(ask(&config, "a.example", RecordType::A).await.is_ok(), "{reply:?}");
        }
        let mut config = good.config();
        config.resolvers = vec!["127.0.0.1:1".parse().unwrap(), good.address()];
        ask(&config, "a.example", RecordType::A).await.unwrap();
    }

    #[tokio::test]
    async fn no_name_is_special_to_the_resolver() {
        let world = World::new().await;
        for name in ["a.localhost", "b.invalid", "c.onion", "d.local", "e.test", "1.0.0.127.in-addr.arpa"] {
            world.a(name, "127.0.0.9");
            let records = ask(&world.config(), name, RecordType::A).await.unwrap();
            assert_eq!(records, [RData::A(A::new(127, 0, 0, 9))], "{name}");
        }
    }

    #[tokio::test]
    async fn nothing_is_remembered() {
        let world = World::new().await;
        let resolver = Resolver::new(&world.config()).unwrap();
        let any = DnsName::parse("a.example").unwrap();
        let mut evidence = Evidence::new("local", any, ChallengeType::Dns01, clock().now());
        let missing = resolver.lookup("a.example", RecordType::A, &mut evidence).await.unwrap_err();
        assert!(missing.is_absence() && !missing.is_empty_answer());
        world.a("a.example", "127.0.0.1");
        resolver.lookup("a.example", RecordType::A, &mut evidence).await.unwrap();
        resolver.lookup("a.example", RecordType::A, &mut evidence).await.unwrap();
        assert_eq!(world.asked("a.example"), 3);
        let responses: Vec<&str> = evidence.lookups.iter().map(|lookup| lookup.response.as_str()).collect();
        assert_eq!(responses, ["NXDOMAIN", "NOERROR", "NOERROR"]);
    }
}
