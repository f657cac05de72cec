//! A [`Validation`] that says what it is told to say: for the tests of the crates above.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ingam_protocol::Timestamp;
use ingam_protocol::identifier::{DnsName, Host};

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

#[async_trait]
impl Validation for Scripted {
    async fn validate(&self, attempt: Attempt) -> Outcome {
        let evidence =
            Evidence::new("scripted", attempt.host.clone(), attempt.challenge, Timestamp::default());
        let validated = Validated::new(attempt.host.clone(), attempt.challenge, None);
        let mut script = self.lock();
        let result = script.failures.get(&attempt.host).cloned().map_or(Ok(validated), Err);
        script.attempts.push(attempt);
        Outcome { evidence, corroboration: None, result }
    }

    async fn check_caa(&self, query: CaaQuery) -> CaaOutcome {
        let evidence = Evidence::new("scripted", query.name.clone(), query.challenge, Timestamp::default());
        let permitted = CaaPermitted::new(&query, None);
        let mut script = self.lock();
        let result =
            script.caa_failures.get(&Host::Name(query.name.clone())).cloned().map_or(Ok(permitted), Err);
        script.queries.push(query);
        let report = script.caa_report.clone().filter(|_| result.is_err());
        CaaOutcome { evidence, corroboration: None, result, report }
    }
}
