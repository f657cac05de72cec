//! The perspective that looks from this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingam_protocol::acme::{ChallengeType, ErrorType};
use ingam_protocol::health::QueueReport;
use ingam_protocol::{Clock, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::address::Addresses;
use crate::config::{Config, ConfigError};
use crate::dial::Network;
use crate::evidence::Evidence;
use crate::outcome::{Attempt, CaaOutcome, CaaQuery, Failure, Outcome, Validated};
use crate::resolver::Setup;
use crate::tls::Tls;
use crate::{Validation, caa, dns_01, dns_persist_01, http_01, tls_alpn_01};

/// The most characters of a token; RFC 8555, section 8.1, asks for 22 at least, and nobody makes much more.
const TOKEN_MAX: usize = 128;

/// Which part of the total time may go by before there is a place to work in; what waited longer would not end in time.
const WAIT_DIVISOR: u32 = 4;

/// Looks at the network from this process, with its own resolver, limits and clock.
pub struct LocalPerspective {
    clock: Arc<dyn Clock>,
    resolvers: Setup,
    tls: Arc<Tls>,
    places: Semaphore,

    config: Arc<Config>,
    addresses: Arc<Addresses>,
}

impl LocalPerspective {
    /// A perspective for `config`. It opens no socket before it is asked something, which has to happen within a Tokio
    /// runtime.
    ///
    /// # Errors
    /// [`ConfigError`] names the key that cannot be worked with.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        config.check().into_result().map_err(|finding| ConfigError::new(finding.to_string()))?;
        let places = Semaphore::new(config.concurrent_max);
        Ok(Self {
            clock,
            resolvers: Setup::new(&config)?,
            tls: Arc::new(Tls::new()?),
            places,
            addresses: Arc::new(config.connectable()),
            config: Arc::new(config),
        })
    }

    /// The network as one validation sees it: no answer of an earlier one is in it.
    fn network(&self) -> Network {
        Network {
            resolver: self.resolvers.resolver(),
            tls: self.tls.clone(),
            config: self.config.clone(),
            addresses: self.addresses.clone(),
        }
    }

    /// How many validations and CAA checks are under way, and how many may be.
    pub fn queue(&self) -> QueueReport {
        let max = self.config.concurrent_max;
        QueueReport::new("validations", max.saturating_sub(self.places.available_permits()), max)
    }

    /// Looks; gives until when what was seen may be relied on, if its owner says so.
    async fn look(&self, attempt: &Attempt, evidence: &mut Evidence) -> Result<Option<Timestamp>, Failure> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if attempt.token.is_empty() || attempt.token.len() > TOKEN_MAX || !attempt.token.bytes().all(is_token)
        {
            return Err(Failure::new(ErrorType::Malformed, "the challenge's token is not base64url"));
        }
        let network = &self.network();
        match attempt.challenge {
            ChallengeType::Http01 => Box::pin(http_01::validate(network, attempt, evidence)).await?,
            ChallengeType::TlsAlpn01 => Box::pin(tls_alpn_01::validate(network, attempt, evidence)).await?,
            ChallengeType::Dns01 | ChallengeType::DnsAccount01 => {
                Box::pin(dns_01::validate(network, attempt, evidence)).await?;
            }
            ChallengeType::DnsPersist01 => {
                let now = self.clock.now();
                return Box::pin(dns_persist_01::validate(network, attempt, now, evidence)).await;
            }
        }
        Ok(None)
    }

    /// Runs `work` within the total time, after a place to work in came free.
    async fn within_limits<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let total = self.config.total_timeout();
        let now = Instant::now();
        let deadline = now + total;
        let Ok(Ok(_place)) = timeout_at(now + total / WAIT_DIVISOR, self.places.acquire()).await else {
            return Err(Failure::new(
                ErrorType::ServerInternal,
                "too many validations are under way; try again later",
            ));
        };
        timeout_at(deadline, work).await.unwrap_or_else(|_| {
            Err(Failure::connection(format!(
                "the validation did not end within {} seconds",
                total.as_secs_f32()
            )))
        })
    }
}

#[async_trait]
impl Validation for LocalPerspective {
    async fn validate(&self, attempt: Attempt) -> Outcome {
        let begun = Instant::now();
        let host = attempt.host.clone();
        let mut evidence =
            Evidence::new(&self.config.perspective, host.clone(), attempt.challenge, self.clock.now());
        let result = self.within_limits(self.look(&attempt, &mut evidence)).await;
        evidence.finished = self.clock.now();
        count(attempt.challenge.name(), &result, begun.elapsed());
        if let Err(failure) = &result {
            tracing::debug!(%host, challenge = %attempt.challenge, error = failure.error.name(), detail = failure.detail, "not validated");
        }
        Outcome {
            evidence,
            corroboration: None,
            result: result.map(|until| Validated::new(host, attempt.challenge, until)),
        }
    }

    async fn check_caa(&self, query: CaaQuery) -> CaaOutcome {
        let begun = Instant::now();
        let mut evidence =
            Evidence::new(&self.config.perspective, query.name.clone(), query.challenge, self.clock.now());
        let issuers = &self.config.caa_issuer_domains;
        let work = async {
            let network = self.network();
            Box::pin(caa::check(&network.resolver, issuers, &query, &mut evidence)).await
        };
        let result = self.within_limits(work).await;
        evidence.finished = self.clock.now();
        count("caa", &result, begun.elapsed());
        if let Err(failure) = &result {
            tracing::debug!(name = %query.name, error = failure.error.name(), detail = failure.detail, "CAA does not permit");
        }
        CaaOutcome { evidence, corroboration: None, result }
    }
}

fn count<T>(kind: &'static str, result: &Result<T, Failure>, took: Duration) {
    let result = result.as_ref().map_or_else(|failure| failure.error.name(), |_| "valid");
    metrics::counter!("ingam_validations_total", "type" => kind, "result" => result).increment(1);
    metrics::histogram!("ingam_validation_seconds", "type" => kind).record(took.as_secs_f64());
}
