//! Several perspectives as one (BR 3.2.2.9): what the primary sees counts once enough others see the same.
//!
//! ```text
//!              ┌─▶ primary ───────────────▶ its failure is the outcome's
//! question ──▶─┼─▶ remote, remote, … ──▶ answers, each on record ──▶ Quorum ──▶ Validated, or why not
//!              └─▶ (at once; a remote has the configured time, and is not waited for any longer)
//! ```
//!
//! All answers are waited for even if the outcome stands already: they are the evidence.

mod kept;
mod standing;
mod words;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, join, join_all};
use ingam_protocol::acme::ErrorType;
use ingam_protocol::corroboration::{Quorum, Registry};
use ingam_protocol::{Clock, Timestamp};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::Validation;
use crate::config::{Config, ConfigError};
use crate::corroboration::{Corroboration, RemoteAnswer};
use crate::evidence::Evidence;
use crate::mpic::{Heard, Unreached};
use crate::outcome::{Attempt, CaaOutcome, CaaQuery, Failure, Outcome};
use crate::remote::{Perspective, Remote};

pub use standing::{Reachable, Standing};

/// How long a remote perspective may have been in trouble before it is told of, and waited for less: a restart is shorter.
pub const SILENT_FOR: Duration = Duration::from_secs(60);

/// Which part of its time a silent one has.
const SILENT_DIVISOR: u32 = 5;

/// A remote perspective with what the configuration says of it.
pub struct Member {
    /// Its name in the records.
    pub name: String,
    /// The registry in whose region it lies.
    pub registry: Option<Registry>,
    /// The perspective itself.
    pub perspective: Arc<dyn Perspective>,
}

/// Asks a primary perspective and remote ones.
pub struct MultiPerspective {
    primary: Arc<dyn Validation>,
    remotes: Vec<(Member, Standing)>,
    clock: Arc<dyn Clock>,
    remote_timeout: Duration,
    registries_min: u8,
    /// The primary's own name, for what is refused before it is asked.
    name: String,
    /// Questions that may be under way at once; more are refused, as the primary has no place for them either.
    places: Semaphore,
}

/// A remote's answer, and what it means for the outcome.
struct Answered {
    answer: RemoteAnswer,
    until: Option<Timestamp>,
    is_unreached: bool,
}

impl MultiPerspective {
    /// With the remote perspectives of the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] about a certificate or key that cannot be used.
    pub fn new(
        config: &Config,
        primary: Arc<dyn Validation>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let perspectives = Remote::all(config, &clock)?;
        let members = config.remotes.iter().zip(perspectives).map(|(remote, perspective)| Member {
            name: remote.name.clone(),
            registry: remote.registry,
            perspective: Arc::new(perspective),
        });
        Ok(Self::of(config, primary, members.collect(), clock))
    }

    /// With these remote perspectives, whatever the configuration says of others.
    pub fn of(
        config: &Config,
        primary: Arc<dyn Validation>,
        members: Vec<Member>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            primary,
            remotes: members.into_iter().map(|member| (member, Standing::default())).collect(),
            clock,
            remote_timeout: config.remote_timeout(),
            registries_min: config.corroboration.registries_min,
            name: config.perspective.clone(),
            places: Semaphore::new(config.concurrent_max),
        }
    }

    /// How every remote perspective stands, in the order of the configuration.
    pub fn standings(&self) -> Vec<Reachable> {
        self.remotes.iter().map(|(member, standing)| standing.reachable(&member.name)).collect()
    }

    /// Looks whether every remote perspective is there, so that this is known before the first question.
    pub async fn knock(&self) {
        let knocks = self.remotes.iter().map(|(member, standing)| async move {
            let knocked = timeout(self.remote_timeout, member.perspective.knock()).await;
            let result = knocked.unwrap_or_else(|_| Err(Unreached::late(self.remote_timeout)));
            standing.note(self.clock.now(), result.err().map(|unreached| unreached.to_string()));
        });
        join_all(knocks).await;
    }

    /// How long a remote is waited for: less if it has not answered anything for a while, so that one that hangs does not make
    /// everybody slow. The first answer, be it to a knock, gives it all of its time again.
    fn wait_for(&self, standing: &Standing, now: Timestamp) -> Duration {
        let is_silent = standing.silent_since().is_some_and(|since| now.since(since) >= SILENT_FOR);
        if is_silent { self.remote_timeout / SILENT_DIVISOR } else { self.remote_timeout }
    }

    /// Asks one remote perspective, and notes how it stands.
    async fn ask<'a>(
        &self,
        (member, standing): &'a (Member, Standing),
        question: impl FnOnce(&'a dyn Perspective) -> BoxFuture<'a, Result<Heard, Unreached>>,
    ) -> Answered {
        let (asked, begun) = (self.clock.now(), Instant::now());
        let wait = self.wait_for(standing, asked);
        let heard = timeout(wait, question(member.perspective.as_ref())).await;
        let heard = heard.unwrap_or_else(|_| Err(Unreached::late(wait)));
        let answered = self.clock.now();
        metrics::histogram!("ingam_perspective_seconds", "perspective" => member.name.clone())
            .record(begun.elapsed().as_secs_f64());
        let is_unreached = heard.is_err();
        let heard = match heard {
            Ok(heard) => {
                standing.note(answered, None);
                heard
            }
            Err(unreached) => {
                tracing::info!(perspective = member.name, why = %unreached, "a perspective could not be asked");
                // A question takes as long as the site of whoever asks likes: knocks say whether the perspective hangs.
                if !unreached.is_late() {
                    standing.note(answered, Some(unreached.to_string()));
                }
                let details = json!({ "unreached": unreached.to_string() });
                Heard { result: Err(unreached.failure()), evidence: None, details: Some(details) }
            }
        };
        let until = *heard.result.as_ref().unwrap_or(&None);
        let answer = RemoteAnswer {
            perspective: member.name.clone(),
            registry: member.registry,
            asked,
            answered,
            failure: heard.result.err(),
            evidence: heard.evidence,
            details: heard.details,
        };
        Answered { answer, until, is_unreached }
    }

    /// Asks everybody at once; of the answers, one of each perspective counts, and so much is kept as has room.
    async fn ask_all<'a, T>(
        &'a self,
        primary: impl Future<Output = T>,
        question: impl Fn(&'a dyn Perspective) -> BoxFuture<'a, Result<Heard, Unreached>>,
    ) -> (T, Vec<Answered>) {
        let remotes = self.remotes.iter().map(|remote| Box::pin(self.ask(remote, &question)));
        let (outcome, mut answered) = join(primary, join_all(remotes)).await;
        kept::count_once(&mut answered);
        kept::limit(&mut answered);
        (outcome, answered)
    }

    fn corroboration(&self, answered: &[Answered], primary_agrees: bool) -> Corroboration {
        for Answered { answer, is_unreached, .. } in answered {
            let result = match (is_unreached, answer.agrees() == primary_agrees) {
                (true, _) => "unreachable",
                (false, true) => "agree",
                (false, false) => "disagree",
            };
            let name = answer.perspective.clone();
            metrics::counter!("ingam_perspective_answers_total", "perspective" => name, "result" => result)
                .increment(1);
        }
        let answers: Vec<RemoteAnswer> = answered.iter().map(|answered| answered.answer.clone()).collect();
        let count = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        let agreeing = || answers.iter().filter(|answer| answer.agrees());
        let registries: BTreeSet<Registry> = agreeing().filter_map(|answer| answer.registry).collect();
        let quorum = Quorum {
            remotes: count(answers.len()),
            agreed: count(agreeing().count()),
            registries: count(registries.len()),
        };
        Corroboration { quorum, line: quorum.to_string(), answers }
    }

    /// The primary's outcome, if enough of the others agree to it.
    fn verdict<T>(&self, primary: Result<T, Failure>, seen: &Corroboration) -> Result<T, Failure> {
        let agreed = primary?;
        if seen.quorum.stands(self.registries_min) {
            return Ok(agreed);
        }
        let failure = words::of(seen, self.registries_min);
        tracing::info!(line = seen.line, detail = failure.detail, "the perspectives do not agree");
        Err(failure)
    }
}

#[async_trait]
impl Validation for MultiPerspective {
    async fn validate(&self, attempt: Attempt) -> Outcome {
        let Ok(_place) = self.places.try_acquire() else {
            let now = self.clock.now();
            let evidence = Evidence::new(&self.name, attempt.host, attempt.challenge, now);
            return Outcome { evidence, corroboration: None, result: Err(too_many()) };
        };
        let primary = self.primary.validate(attempt.clone());
        let (outcome, answered) = self.ask_all(primary, |remote| remote.validate(&attempt)).await;
        let seen = self.corroboration(&answered, outcome.result.is_ok());
        let until = answered.iter().filter_map(|answered| answered.until).min();
        let result = self.verdict(outcome.result, &seen);
        let result = result.map(|validated| validated.corroborated(seen.quorum, until));
        Outcome { evidence: outcome.evidence, corroboration: Some(seen), result }
    }

    async fn check_caa(&self, query: CaaQuery) -> CaaOutcome {
        let Ok(_place) = self.places.try_acquire() else {
            let evidence = Evidence::of_caa(&self.name, &query, self.clock.now());
            return CaaOutcome { evidence, corroboration: None, result: Err(too_many()), report: None };
        };
        let primary = self.primary.check_caa(query.clone());
        let (outcome, answered) = self.ask_all(primary, |remote| remote.check_caa(&query)).await;
        let seen = self.corroboration(&answered, outcome.result.is_ok());
        let result = self.verdict(outcome.result, &seen);
        let result = result.map(|permitted| permitted.corroborated(seen.quorum));
        CaaOutcome { evidence: outcome.evidence, corroboration: Some(seen), result, report: outcome.report }
    }
}

fn too_many() -> Failure {
    Failure::new(ErrorType::ServerInternal, "too many validations are under way; try again later")
}

#[cfg(test)]
mod tests;
