//! The perspective that looks from this process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ingam_protocol::acme::ErrorType;
use ingam_protocol::health::QueueReport;
use ingam_protocol::identifier::Host;
use ingam_protocol::{Clock, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::caa::Decision;
use crate::config::{Config, ConfigError};
use crate::dial::Networks;
use crate::evidence::Evidence;
use crate::outcome::{Attempt, CaaOutcome, CaaQuery, Failure, Outcome, Validated};
use crate::sought::{Search, Sought};
use crate::{Validation, caa, dns_01, dns_persist_01, http_01, tls_alpn_01};

/// Which part of the total time may go by before there is a place to work in; what waited longer would not end in time.
const WAIT_DIVISOR: u32 = 4;

/// Looks at the network from this process, with its own resolver, limits and clock.
pub struct LocalPerspective {
    clock: Arc<dyn Clock>,
    networks: Networks,
    places: Semaphore,
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
        Ok(Self { clock, networks: Networks::new(config)?, places })
    }

    /// How many validations and CAA checks are under way, and how many may be.
    pub fn queue(&self) -> QueueReport {
        let max = self.networks.config.concurrent_max;
        QueueReport::new("validations", max.saturating_sub(self.places.available_permits()), max)
    }

    /// Looks for control of `search.host`, and notes everything that it sees.
    pub(crate) async fn search(&self, search: Search) -> Outcome {
        let begun = Instant::now();
        let Search { host, challenge, sought } = search;
        let name = &self.networks.config.perspective;
        let mut evidence = Evidence::new(name, host.clone(), challenge, self.clock.now());
        let result = match sought {
            Ok(sought) => self.within_limits(self.look(&host, &sought, &mut evidence)).await,
            Err(failure) => Err(failure),
        };
        evidence.finished = self.clock.now();
        count(challenge.name(), &result, begun.elapsed());
        if let Err(failure) = &result {
            tracing::debug!(%host, %challenge, error = failure.error.name(), detail = failure.detail, "not validated");
        }
        let result = result.map(|until| Validated::new(host, challenge, until));
        Outcome { evidence, corroboration: None, result }
    }

    /// Looks whether CAA permits these issuers to issue.
    pub(crate) async fn search_caa(&self, query: &CaaQuery, issuers: &[String]) -> CaaOutcome {
        let begun = Instant::now();
        let name = &self.networks.config.perspective;
        let mut evidence = Evidence::of_caa(name, query, self.clock.now());
        let work = Box::pin(async {
            let network = self.networks.fresh().await;
            caa::check(&network.resolver, issuers, query, &mut evidence).await
        });
        let (result, report) = match self.within_limits(work).await {
            Ok(Decision::Permitted(permitted)) => (Ok(permitted), None),
            Ok(Decision::Forbidden { failure, report }) => (Err(failure), report),
            Err(failure) => (Err(failure), None),
        };
        evidence.finished = self.clock.now();
        count("caa", &result, begun.elapsed());
        if let Err(failure) = &result {
            tracing::debug!(name = %query.name, error = failure.error.name(), detail = failure.detail, "CAA does not permit");
        }
        CaaOutcome { evidence, corroboration: None, result, report }
    }

    /// The names of the CA that this perspective is configured for.
    pub(crate) fn issuers(&self) -> &[String] {
        &self.networks.config.caa_issuer_domains
    }

    /// Looks; gives until when what was seen may be relied on, if its owner says so.
    async fn look(
        &self,
        host: &Host,
        sought: &Sought,
        evidence: &mut Evidence,
    ) -> Result<Option<Timestamp>, Failure> {
        let network = &self.networks.fresh().await;
        match sought {
            Sought::File(file) => Box::pin(http_01::validate(network, host, file, evidence)).await?,
            Sought::Certificate(hash) => {
                Box::pin(tls_alpn_01::validate(network, host, hash, evidence)).await?;
            }
            Sought::Text(text) => Box::pin(dns_01::validate(network, text, evidence)).await?,
            Sought::Persistent(sought) => {
                let now = self.clock.now();
                return Box::pin(dns_persist_01::validate(network, sought, now, evidence)).await;
            }
        }
        Ok(None)
    }

    /// Runs `work` within the total time, after a place to work in came free.
    async fn within_limits<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let total = self.networks.config.total_timeout();
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
        let sought = Sought::of(&attempt, self.issuers());
        let Attempt { host, challenge, .. } = attempt;
        self.search(Search { host, challenge, sought }).await
    }

    async fn check_caa(&self, query: CaaQuery) -> CaaOutcome {
        self.search_caa(&query, self.issuers()).await
    }
}

fn count<T>(kind: &'static str, result: &Result<T, Failure>, took: Duration) {
    let result = result.as_ref().map_or_else(|failure| failure.error.name(), |_| "valid");
    metrics::counter!("ingam_validations_total", "type" => kind, "result" => result).increment(1);
    metrics::histogram!("ingam_validation_seconds", "type" => kind).record(took.as_secs_f64());
}
