//! The one who does what revocation jobs ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::Id;
use ingam_protocol::operator::Principal;
use ingam_protocol::record::RecordType;
use ingam_store::{JobItem, JobState, RevocationJob};
use serde_json::json;

use super::PAGE;
use crate::Authority;
use crate::operator::{Act, ActError, task_failed};

/// At most this many certificates are revoked in one transaction.
const ITEMS_PER_STEP_MAX: usize = 256;

/// Does what jobs ask for, as fast as each allows.
pub struct JobRunner {
    authority: Arc<Authority>,
    /// What each running job may revoke now, in certificates: it grows with time, up to one second's worth.
    allowances: BTreeMap<Id, f64>,
    /// Jobs that were given up and may still have certificates put down.
    given_up: BTreeSet<Id>,
}

impl JobRunner {
    /// A runner of all jobs of this authority; there should be one.
    pub fn new(authority: Arc<Authority>) -> Self {
        Self { authority, allowances: BTreeMap::new(), given_up: BTreeSet::new() }
    }

    /// Looks which jobs run. To be called at first, and after [`Authority::revocation_jobs_changed`].
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn look(&mut self) -> Result<(), ActError> {
        let jobs = self.authority.store.revocation_jobs_open()?;
        let in_state = |wanted| jobs.iter().filter(move |(_, state)| *state == wanted).map(|(id, _)| *id);
        let running: BTreeSet<Id> = in_state(JobState::Running).collect();
        self.given_up = in_state(JobState::Cancelled).collect();
        self.allowances.retain(|id, _| running.contains(id));
        for id in running {
            // The first certificate need not wait.
            self.allowances.entry(id).or_insert(1.0);
        }
        Ok(())
    }

    /// Whether there is anything to do.
    pub fn is_idle(&self) -> bool {
        self.allowances.is_empty() && self.given_up.is_empty()
    }

    /// Revokes what `elapsed` since the last call allows, for each job.
    ///
    /// # Errors
    /// [`ActError::Fault`]; what was revoked until then stays so, the other jobs were not held up by it, and the next call
    /// goes on.
    pub async fn tick(&mut self, elapsed: Duration) -> Result<(), ActError> {
        let mut result = self.clear_some().await;
        for id in self.allowances.keys().copied().collect::<Vec<_>>() {
            result = result.and(self.advance(id, elapsed).await);
        }
        result
    }

    /// Takes some certificates off a job that was given up.
    async fn clear_some(&mut self) -> Result<(), ActError> {
        if let Some(id) = self.given_up.first().copied()
            && !self.authority.store.revocation_items_clear(id, PAGE).await?
        {
            self.given_up.remove(&id);
        }
        Ok(())
    }

    /// Revokes what one job may by now.
    async fn advance(&mut self, id: Id, elapsed: Duration) -> Result<(), ActError> {
        let job = Arc::new(self.authority.revocation_job(id)?);
        let rate = f64::from(job.per_second);
        let Some(allowance) = self.allowances.get_mut(&id) else { return Ok(()) };
        *allowance = (*allowance + rate * elapsed.as_secs_f64()).min(rate.max(1.0));
        while *allowance >= 1.0 {
            let allowed = *allowance;
            let room = (1..=ITEMS_PER_STEP_MAX).rev().find(|count| as_f64(*count) <= allowed).unwrap_or(1);
            let Some(spent) = self.authority.job_step(&job, room).await? else {
                self.allowances.remove(&id);
                return Ok(());
            };
            *allowance -= as_f64(spent.max(1));
        }
        Ok(())
    }
}

fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

impl Authority {
    /// One transaction of a job. How many certificates it took; `None` once the job does not run any more.
    async fn job_step(
        self: &Arc<Self>,
        job: &Arc<RevocationJob>,
        room: usize,
    ) -> Result<Option<usize>, ActError> {
        let before = self.revocation_job(job.id)?.revoked;
        let (authority, begun) = (self.clone(), job.clone());
        // Many rows: not on a thread of the runtime.
        let preparing = tokio::task::spawn_blocking(move || authority.job_items(&begun, room)).await;
        let prepared = preparing.unwrap_or_else(|cause| Err(task_failed(cause)))?;
        let spent = prepared.len();
        let told = json!({ "job": job.id, "state": JobState::Done, "revoked_by": job.by });
        let done = self.record(RecordType::RevocationJobChanged, None, None, &told)?;
        let Some(after) = self.store.revocation_job_step(job.id, prepared, done.time, done).await? else {
            return Ok(None);
        };
        let reason = job.revocation_reason.to_string();
        // Nobody but the runner takes steps: the difference is this one's.
        let revoked = after.revoked.saturating_sub(before);
        metrics::counter!("ingam_revocations_total", "reason" => reason).increment(revoked);
        if after.state == JobState::Done {
            tracing::info!(job = %job.id, revoked = after.revoked, skipped = after.skipped, "a revocation job is done");
            return Ok(None);
        }
        Ok(Some(spent))
    }

    /// The next certificates of a job, with what goes on record if they are revoked now. Blocks.
    fn job_items(&self, job: &RevocationJob, room: usize) -> Result<Vec<JobItem>, ActError> {
        let act = act_of(job);
        let mut prepared = Vec::new();
        for (issuer, serial) in self.store.revocation_items(job.id, room)? {
            let records = match self.certificate_summary(&issuer, &serial)? {
                Some(found) => vec![self.revocation_record(&act, &found, job.revocation_reason)?],
                None => Vec::new(),
            };
            prepared.push(JobItem { issuer, serial, records });
        }
        Ok(prepared)
    }
}

/// The act that began the job, for the records of what it revokes.
fn act_of(job: &RevocationJob) -> Act {
    let operator: Principal = job.by;
    Act {
        act: "revocation.start",
        operator,
        roles: Vec::new(),
        asked_by: None,
        from: "job".to_owned(),
        client: None,
        request_id: job.id.to_string(),
        what: serde_json::Value::Null,
        reason: Some(job.reason.clone()),
    }
}
