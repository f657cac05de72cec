//! A [`Validation`] that says what it is told to say: for the tests of the crates above.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ingam_protocol::Timestamp;
use ingam_protocol::corroboration::Quorum;
use ingam_protocol::identifier::{DnsName, Host};

use crate::corroboration::{Corroboration, RemoteAnswer};
use crate::evidence::Evidence;
use crate::outcome::{Attempt, CaaOutcome, CaaPermitted, CaaQuery, Failure, Outcome, Validated};
use crate::{Report, Reports, Validation};

/// Says yes to everything, but for the names that it was told to fail for; looks at nothing and remembers all.
#[derive(Debug, Default)]
pub struct Scripted {
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    failures: HashMap<Host, Failure>,
    caa_failures: HashMap<Host, Failure>,
    quorum: Option<Quorum>,
    caa_quorum: Option<Quorum>,
    attempts: Vec<Attempt>,
    queries: Vec<CaaQuery>,
    caa_report: Option<Report>,
    reports: Vec<Report>,
}

impl Scripted {
    /// From now on validations of `name` end in `failure`; with `None` they succeed again.
    pub fn fail(&self, name: &DnsName, failure: Option<Failure>) {
        set(&mut self.lock().failures, name.clone().into(), failure);
    }

    /// From now on CAA checks of `name` end in `failure`; with `None` they succeed again.
    pub fn fail_caa(&self, name: &DnsName, failure: Option<Failure>) {
        set(&mut self.lock().caa_failures, name.clone().into(), failure);
    }

    /// From now on records that forbid want to be told so.
    pub fn want_caa_reports(&self, domain: &DnsName) {
        self.lock().caa_report = Some(Report {
            domain: domain.to_string(),
            identifier: String::new(),
            reason: String::new(),
            issuer: String::new(),
            destinations: Vec::new(),
        });
    }

    /// The domains that reports were submitted for, in order.
    pub fn reported(&self) -> Vec<String> {
        self.lock().reports.iter().map(|report| report.domain.clone()).collect()
    }

    /// From now on remote perspectives look, too, and come to this; with `None` there are none again.
    pub fn corroborate(&self, quorum: Option<Quorum>) {
        self.lock().quorum = quorum;
        self.corroborate_caa(quorum);
    }

    /// The same, for CAA checks alone.
    pub fn corroborate_caa(&self, quorum: Option<Quorum>) {
        self.lock().caa_quorum = quorum;
    }

    /// The attempts so far, in order.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.lock().attempts.clone()
    }

    /// The CAA queries so far, in order.
    pub fn queries(&self) -> Vec<CaaQuery> {
        self.lock().queries.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn set(failures: &mut HashMap<Host, Failure>, host: Host, failure: Option<Failure>) {
    match failure {
        Some(failure) => failures.insert(host, failure),
        None => failures.remove(&host),
    };
}

impl Reports for Scripted {
    fn submit(&self, report: Report) {
        self.lock().reports.push(report);
    }
}

/// So many remotes that saw what the primary perspective did, and the rest that was not heard of.
fn corroboration(quorum: Quorum, seen: &Evidence) -> Corroboration {
    let answer = |number: u8| {
        let agrees = number < quorum.agreed;
        RemoteAnswer {
            perspective: format!("remote-{number}"),
            registry: None,
            asked: seen.started,
            answered: seen.finished,
            failure: (!agrees).then(|| Failure::connection("no answer")),
            evidence: agrees.then(|| seen.clone()),
            details: None,
        }
    };
    Corroboration { quorum, line: quorum.to_string(), answers: (0..quorum.remotes).map(answer).collect() }
}

#[async_trait]
impl Validation for Scripted {
    async fn validate(&self, attempt: Attempt) -> Outcome {
        let evidence =
            Evidence::new("scripted", attempt.host.clone(), attempt.challenge, Timestamp::default());
        let validated = Validated::new(attempt.host.clone(), attempt.challenge, None);
        let mut script = self.lock();
        let result = script.failures.get(&attempt.host).cloned().map_or(Ok(validated), Err);
        script.attempts.push(attempt);
        let corroboration = script.quorum.map(|quorum| corroboration(quorum, &evidence));
        Outcome { evidence, corroboration, result }
    }

    async fn check_caa(&self, query: CaaQuery) -> CaaOutcome {
        let evidence = Evidence::new("scripted", query.name.clone(), query.challenge, Timestamp::default());
        let permitted = CaaPermitted::new(&query, None);
        let mut script = self.lock();
        let result =
            script.caa_failures.get(&Host::Name(query.name.clone())).cloned().map_or(Ok(permitted), Err);
        script.queries.push(query);
        let report = script.caa_report.clone().filter(|_| result.is_err());
        let corroboration = script.caa_quorum.map(|quorum| corroboration(quorum, &evidence));
        CaaOutcome { evidence, corroboration, result, report }
    }
}
