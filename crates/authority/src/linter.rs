//! Outside linters: programs of other makers that judge a certificate before it is signed.
//!
//! They are shown a specimen: the exact bytes, under a signature of a throwaway key ([`ingam_signer::specimen`]). What one of
//! them finds stops the issuance, goes on record, and is told to the client by the record's id alone. One that says nothing
//! in time stops it, too, unless the operator decided otherwise: a certificate that should not exist is worse than none.
//!
//! - [`Linter`]: who judges; `http` and `command` are the ways to ask one.
//! - [`OutsideLinter`]: what of its findings counts, and how long it may take.
//! - [`Linters`]: which of them a profile has.

mod command;
mod http;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::join_all;
use ingam_protocol::acme::{ErrorType, Order};
use ingam_protocol::profile::ProfileName;
use ingam_protocol::record::RecordType;
use ingam_protocol::{Bytes, Id, Serial};
use ingam_signer::Prepared;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::Authority;
use crate::error::{Error, Fault, Refusal};
use crate::evidence::Caller;

pub use command::Command;
pub use http::{Pkilint, Pkimetal, Server};

/// At most this many findings of one linter are kept.
const FINDINGS_MAX: usize = 100;

/// At most so long is a word or sentence of a linter that is kept.
const WORDS_CHARS_MAX: usize = 300;

/// So many certificates are before one linter at once; more wait, and their time runs.
const TURNS: usize = 8;

/// When it makes sense to try again after a linter said nothing.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// And after one found something: people have to look first. Clients would try again at once if they were told nothing.
const RETRY_AFTER_FINDINGS: Duration = Duration::from_secs(60 * 60);

/// How bad a finding is, in the words that the linters have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Told for completeness.
    Info,
    /// Worth a thought.
    Notice,
    /// Against what a standard recommends.
    Warning,
    /// Against what a standard demands.
    Error,
    /// So wrong that the linter could not go on.
    Fatal,
}

impl Severity {
    /// From a linter's own word. One that is not known counts as the worst.
    fn of_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "meta" | "debug" | "info" => Self::Info,
            "notice" => Self::Notice,
            "warn" | "warning" => Self::Warning,
            "error" => Self::Error,
            _ => Self::Fatal,
        }
    }
}

/// What a linter found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LintFinding {
    /// How bad it is.
    pub severity: Severity,
    /// The rule's name.
    pub code: String,
    /// Where in the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl LintFinding {
    fn new(severity: Severity, code: &str, place: Option<&str>, message: Option<&str>) -> Self {
        let kept = |text: &str| text.chars().take(WORDS_CHARS_MAX).collect::<String>();
        let some = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(kept);
        Self { severity, code: kept(code), place: some(place), message: some(message) }
    }
}

/// Why a linter gave no verdict; the words are for log and record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintFailure(String);

impl LintFailure {
    /// In these words.
    pub fn new(what: impl Into<String>) -> Self {
        let what: String = what.into();
        Self(what.chars().take(WORDS_CHARS_MAX).collect())
    }
}

impl fmt::Display for LintFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LintFailure {}

/// Somebody who judges certificates. Whoever asks sets the time limit, and gives up by dropping the future.
#[async_trait]
pub trait Linter: Send + Sync + fmt::Debug {
    /// Everything that it finds in a certificate, DER.
    ///
    /// # Errors
    /// [`LintFailure`] if there is no verdict.
    async fn lint(&self, certificate: &[u8]) -> Result<Vec<LintFinding>, LintFailure>;
}

/// What becomes of a certificate that a linter said nothing about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It is not issued.
    #[default]
    Refuse,
    /// It is issued; the failure is counted and logged.
    Pass,
}

/// A linter as the operator set it up.
#[derive(Debug)]
pub struct OutsideLinter {
    name: String,
    linter: Arc<dyn Linter>,
    severity_min: Severity,
    time: Duration,
    on_failure: OnFailure,
    turns: Semaphore,
}

/// What is set about a linter.
#[derive(Clone, Debug)]
pub struct LinterRules {
    /// What metrics, logs and records call it.
    pub name: String,
    /// From which severity on a finding stops the issuance.
    pub severity_min: Severity,
    /// How long it may take, waiting for its turn included.
    pub time: Duration,
    /// What becomes of the certificate if it says nothing.
    pub on_failure: OnFailure,
}

/// What came of showing a certificate to a linter.
#[derive(Debug, Serialize)]
struct Verdict {
    linter: String,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<LintFinding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// Whether the certificate may go on as far as this linter goes.
    #[serde(skip)]
    lets_pass: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Passed,
    Found,
    Failed,
    TimedOut,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Found => "found",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }
}

impl OutsideLinter {
    /// A linter under these rules.
    pub fn new(linter: Arc<dyn Linter>, rules: LinterRules) -> Self {
        let LinterRules { name, severity_min, time, on_failure } = rules;
        Self { name, linter, severity_min, time, on_failure, turns: Semaphore::new(TURNS) }
    }

    /// Shows it a certificate.
    ///
    /// Metrics: `ingam_linter_verdicts_total{linter, outcome}` and `ingam_linter_seconds{linter}`.
    async fn judge(&self, certificate: &[u8]) -> Verdict {
        let begun = Instant::now();
        let look = async {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await;
            self.linter.lint(certificate).await
        };
        let looked = timeout(self.time, look).await;
        let failed = |outcome, words: String| (outcome, Vec::new(), Some(words));
        let (outcome, findings, failure) = match looked {
            Ok(Ok(mut findings)) => {
                let stops = findings.iter().any(|finding| finding.severity >= self.severity_min);
                // The worst first, as those are the ones to be kept.
                findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
                findings.truncate(FINDINGS_MAX);
                (if stops { Outcome::Found } else { Outcome::Passed }, findings, None)
            }
            Ok(Err(failure)) => failed(Outcome::Failed, failure.to_string()),
            Err(_) => failed(Outcome::TimedOut, format!("no verdict within {} ms", self.time.as_millis())),
        };
        let labels = [("linter", self.name.clone()), ("outcome", outcome.name().to_owned())];
        metrics::counter!("ingam_linter_verdicts_total", &labels).increment(1);
        metrics::histogram!("ingam_linter_seconds", "linter" => self.name.clone())
            .record(begun.elapsed().as_secs_f64());
        let lets_pass = match outcome {
            Outcome::Passed => true,
            Outcome::Found => false,
            Outcome::Failed | Outcome::TimedOut => self.on_failure == OnFailure::Pass,
        };
        if let Some(failure) = &failure {
            tracing::warn!(linter = %self.name, failure, lets_pass, "a linter gave no verdict");
        }
        Verdict { linter: self.name.clone(), outcome, findings, failure, lets_pass }
    }
}

/// Which linters the certificates of each profile are shown to.
#[derive(Clone, Debug, Default)]
pub struct Linters(BTreeMap<ProfileName, Vec<Arc<OutsideLinter>>>);

impl Linters {
    /// These, for each profile; those without are not in it.
    pub fn new(by_profile: BTreeMap<ProfileName, Vec<Arc<OutsideLinter>>>) -> Self {
        Self(by_profile)
    }

    fn of(&self, profile: &ProfileName) -> &[Arc<OutsideLinter>] {
        self.0.get(profile).map(Vec::as_slice).unwrap_or_default()
    }
}

/// What linters said of a certificate that was not issued.
#[derive(Serialize)]
struct LintEvidence<'a> {
    order: Id,
    serial: &'a Serial,
    error: ErrorType,
    /// What they were shown: the certificate with a worthless signature.
    specimen: Bytes,
    verdicts: &'a [Verdict],
}

impl Authority {
    /// Shows a prepared certificate to the linters of its profile.
    ///
    /// # Errors
    /// `serverInternal` with the id of the record if one of them stops it; the order stays ready.
    pub(crate) async fn lint_outside(
        &self,
        prepared: &Prepared,
        order: &Order,
        caller: Option<&Caller>,
    ) -> Result<(), Error> {
        let policy = self.policy();
        let linters = policy.linters.of(&order.profile);
        if linters.is_empty() {
            return Ok(());
        }
        let specimen = self.specimen(prepared).await?;
        let verdicts = join_all(linters.iter().map(|linter| linter.judge(&specimen))).await;
        if verdicts.iter().all(|verdict| verdict.lets_pass) {
            return Ok(());
        }
        let error = ErrorType::ServerInternal;
        let evidence = LintEvidence {
            order: order.id,
            serial: prepared.serial(),
            error,
            specimen: specimen.into(),
            verdicts: &verdicts,
        };
        let record = self.record(RecordType::IssuanceRefused, Some(order.account), caller, &evidence)?;
        let report = record.id;
        self.store.statuses().records_append(vec![record]).await?;
        let found = verdicts.iter().any(|verdict| verdict.outcome == Outcome::Found);
        tracing::error!(order = %order.id, %report, ?verdicts, "outside linters stopped a certificate");
        let (wait, why) = if found {
            let why = "did not pass the CA's own checks, and was not issued: tell the CA the report's id";
            (RETRY_AFTER_FINDINGS, why)
        } else {
            (RETRY_AFTER, "could not be checked, and was not issued: finalize again later")
        };
        let refusal = Refusal::new(error, format!("the certificate {why} (report {report})"));
        Err(Refusal { retry_after: Some(wait), ..refusal }.into())
    }

    /// The certificate under a signature of a throwaway key, which may have to be made first.
    async fn specimen(&self, prepared: &Prepared) -> Result<Vec<u8>, Error> {
        let (tbs, random) = (prepared.tbs().to_vec(), self.random.clone());
        let making = tokio::task::spawn_blocking(move || ingam_signer::specimen(&tbs, random.as_ref()));
        let made = making.await.map_err(|cause| {
            Error::Fault(Fault {
                code: "specimen",
                doing: "making a specimen for linters",
                passing: false,
                source: Box::new(cause),
            })
        })?;
        made.map_err(|cause| Error::signer("making a specimen for linters", cause))
    }
}

#[cfg(test)]
mod tests;
