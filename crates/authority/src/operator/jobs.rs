//! Revoking many certificates: counted first, put down whole, then done at a rate, whatever becomes of the process.
//!
//! ```text
//! plan ─▶ gathering ──count as expected──▶ running ◀──▶ paused
//!             └──count differs──▶ cancelled ◀──┴──────────┘      running ──nothing left──▶ done
//! ```
//!
//! What is to be revoked lies in the store before the first is revoked, and each revocation takes its certificate off in
//! its own transaction: a job that was broken off goes on where it was.

mod runner;

use std::collections::BTreeSet;
use std::sync::Arc;

use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Reason, Serial};
use ingam_store::{JOBS_OPEN_MAX, JobState, RevocationJob};
use serde_json::json;
use serde_json::value::RawValue;

use super::incidents::no_incident;
use super::page::page_by_weight;
use super::{Act, ActError, CertificateFilter, CertificateSummary, Found, IssuedStatus, task_failed};
use crate::Authority;

pub use runner::JobRunner;

/// How many rows are read, and put down, at once.
const PAGE: usize = 1000;
/// At most this many certificates are shown of a plan.
const SAMPLE_MAX: usize = 20;

/// Which certificates: those that fit, of an incident where one is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// What has to hold.
    pub filter: CertificateFilter,
    /// Gathered in this incident.
    pub incident: Option<String>,
}

/// What a selection would revoke.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How many are good.
    pub count: u64,
    /// How many are revoked already.
    pub already_revoked: u64,
    /// How many have ended by themselves.
    pub expired: u64,
    /// How many serial numbers were never issued.
    pub missing: u64,
    /// The accounts of those that are good.
    pub accounts: BTreeSet<Id>,
    /// Some of those that are good.
    pub sample: Vec<CertificateSummary>,
}

/// A job to be begun.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    /// Which certificates.
    pub selection: Selection,
    /// The same as the operator's side wrote it, for the record.
    pub told: Box<RawValue>,
    /// What CRLs and OCSP will say.
    pub reason: Reason,
    /// At most this many in a second; at least one.
    pub per_second: u32,
    /// How many good ones the operator was told of.
    pub expected: u64,
}

impl Selection {
    fn names_something(&self) -> bool {
        let unlimited = CertificateFilter::default();
        self.incident.is_some() || self.filter != unlimited
    }
}

impl Authority {
    /// Counts what a selection would revoke. Reads every certificate of it: blocks, for long where there are many.
    ///
    /// # Errors
    /// [`ActError::Invalid`] for a selection of everything, [`ActError::NotFound`] for an unknown incident;
    /// [`ActError::Fault`].
    pub fn revocation_plan(&self, selection: &Selection) -> Result<Plan, ActError> {
        let mut plan = Plan::default();
        if let Some(serials) = &selection.filter.serials {
            let known = self.certificates_find(&by_serial(serials), None, usize::MAX)?;
            let distinct = serials.iter().collect::<BTreeSet<_>>().len();
            plan.missing = count(distinct.saturating_sub(known.items.len()));
        }
        self.each_selected(selection, |found| {
            match found.status {
                IssuedStatus::Revoked { .. } => plan.already_revoked += 1,
                IssuedStatus::Expired => plan.expired += 1,
                IssuedStatus::Good => {
                    plan.count += 1;
                    plan.accounts.insert(found.row.account);
                    if plan.sample.len() < SAMPLE_MAX {
                        plan.sample.push(found);
                    }
                }
            }
            Ok(())
        })?;
        Ok(plan)
    }

    /// Puts a job down and lets it run, unless the count is another than the operator was told. The work goes on even if
    /// whoever asked is gone.
    ///
    /// # Errors
    /// As for [`Authority::revocation_plan`]; [`ActError::Conflict`] with another count: nothing is revoked then.
    pub async fn revocation_job_start(
        self: &Arc<Self>,
        act: Act,
        planned: PlannedJob,
    ) -> Result<RevocationJob, ActError> {
        let authority = self.clone();
        let work = tokio::spawn(async move { authority.job_start(&act, planned).await });
        work.await.unwrap_or_else(|cause| Err(task_failed(cause)))
    }

    async fn job_start(self: Arc<Self>, act: &Act, planned: PlannedJob) -> Result<RevocationJob, ActError> {
        if !planned.selection.names_something() {
            return Err(everything());
        }
        // What is refused in any case leaves no job behind.
        if let Some(incident) = &planned.selection.incident {
            self.incident(incident)?;
        }
        let now = self.clock.now();
        let job = RevocationJob {
            id: Id::new(now, self.random.as_ref()),
            selection: planned.told,
            revocation_reason: planned.reason,
            per_second: planned.per_second.max(1),
            by: act.operator,
            at: now,
            reason: act.reason.clone().unwrap_or_default(),
            state: JobState::Gathering,
            total: 0,
            revoked: 0,
            skipped: 0,
            ended: None,
        };
        let record = self.record(RecordType::RevocationJobChanged, None, None, &job)?;
        if !self.store.revocation_job_insert(job.clone(), vec![record]).await? {
            return Err(ActError::conflict(format!(
                "{JOBS_OPEN_MAX} revocation jobs are open already: wait for one to end, or give one up"
            )));
        }
        let gathered = self.clone().gather(job.id, planned.selection).await;
        let total = self.revocation_job(job.id)?.total;
        if let Err(error) = gathered {
            self.give_up(job.id, "the certificates could not be gathered").await?;
            return Err(error);
        }
        if total != planned.expected {
            self.give_up(job.id, "the count was another than the operator was told").await?;
            return Err(ActError::conflict(format!(
                "the selection has {total} certificates now, not the {} that you were told of: look at it again",
                planned.expected
            )));
        }
        let to = if total == 0 { JobState::Done } else { JobState::Running };
        self.turn(act, job.id, &[JobState::Gathering], to).await
    }

    /// Reads what is selected on a thread for that, and puts it down page by page.
    async fn gather(self: Arc<Self>, job: Id, selection: Selection) -> Result<(), ActError> {
        let (sender, mut pages) = tokio::sync::mpsc::channel::<Vec<(IssuerName, Serial)>>(2);
        let authority = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let mut page = Vec::new();
            authority.each_selected(&selection, |found| {
                if found.status == IssuedStatus::Good {
                    page.push((found.issuer, found.serial));
                }
                if page.len() == PAGE {
                    // Nobody takes it any more: whoever gathers has failed and says so.
                    let _ = sender.blocking_send(std::mem::take(&mut page));
                }
                Ok(())
            })?;
            let _ = sender.blocking_send(page);
            Ok(())
        });
        while let Some(page) = pages.recv().await {
            self.store.revocation_items_insert(job, page).await?;
        }
        reading.await.unwrap_or_else(|cause| Err(task_failed(cause)))
    }

    /// Calls `visit` for each certificate of the selection, whatever its status.
    fn each_selected(
        &self,
        selection: &Selection,
        mut visit: impl FnMut(CertificateSummary) -> Result<(), ActError>,
    ) -> Result<(), ActError> {
        if !selection.names_something() {
            return Err(everything());
        }
        let Some(incident) = &selection.incident else {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let page = self.certificates_find(&selection.filter, after.as_deref(), PAGE)?;
                for found in page.items {
                    visit(found)?;
                }
                match page.next {
                    Some(next) => after = Some(next),
                    None => return Ok(()),
                }
            }
        };
        if self.store.incident_by_name(incident)?.is_none() {
            return Err(no_incident(incident));
        }
        let mut after: Option<(IssuerName, Serial)> = None;
        loop {
            let place = after.as_ref().map(|(issuer, serial)| (issuer, serial));
            let page = self.store.incident_certificates(incident, place, PAGE)?;
            let Some(last) = page.last().cloned() else { return Ok(()) };
            for (issuer, serial) in &page {
                let found = self.certificate_summary(issuer, serial)?;
                if let Some(found) = found.filter(|found| selection.filter.fits(found)) {
                    visit(found)?;
                }
            }
            after = Some(last);
        }
    }

    /// The job of this name.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub fn revocation_job(&self, id: Id) -> Result<RevocationJob, ActError> {
        let found = self.store.revocation_job_by_id(id)?;
        found.ok_or_else(|| ActError::not_found(format!("there is no revocation job {id}")))
    }

    /// Jobs, oldest first. A page is short where selections are long.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn revocation_jobs(&self, after: Option<Id>, limit: usize) -> Result<Found<RevocationJob>, ActError> {
        let read = |after, limit| self.store.revocation_jobs(after, limit);
        page_by_weight(after, limit, read, |job| (job.id, job.selection.get().len()))
    }

    /// The jobs that were begun last, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn revocation_jobs_latest(&self, limit: usize) -> Result<Vec<RevocationJob>, ActError> {
        Ok(self.store.revocation_jobs_latest(limit)?)
    }

    /// Holds a job (`Paused`), takes it up again (`Running`) or gives it up (`Cancelled`).
    ///
    /// # Errors
    /// [`ActError::NotFound`]; [`ActError::Conflict`] if it is not in a state from which that is possible;
    /// [`ActError::Fault`].
    pub async fn revocation_job_turn(
        &self,
        act: &Act,
        id: Id,
        to: JobState,
    ) -> Result<RevocationJob, ActError> {
        let from: &'static [JobState] = match to {
            JobState::Paused => &[JobState::Running],
            JobState::Running => &[JobState::Paused],
            JobState::Cancelled => &[JobState::Running, JobState::Paused],
            JobState::Gathering | JobState::Done => &[],
        };
        self.turn(act, id, from, to).await
    }

    async fn turn(
        &self,
        act: &Act,
        id: Id,
        from: &'static [JobState],
        to: JobState,
    ) -> Result<RevocationJob, ActError> {
        let told = json!({ "job": id, "state": to, "operator": act.operator, "reason": act.reason });
        let record = self.record(RecordType::RevocationJobChanged, None, None, &told)?;
        let at = record.time;
        let records = vec![record, self.act_done(act)?];
        let turned = self.store.revocation_job_turn(id, from, to, at, records).await?;
        self.jobs_changed.notify_one();
        match turned {
            Some(job) => Ok(job),
            None => {
                let state = self.revocation_job(id)?.state;
                Err(ActError::conflict(format!("the job is {}: that cannot be done now", state.name())))
            }
        }
    }

    async fn give_up(&self, id: Id, why: &'static str) -> Result<(), ActError> {
        let told = json!({ "job": id, "state": JobState::Cancelled, "why": why });
        let record = self.record(RecordType::RevocationJobChanged, None, None, &told)?;
        let from = &[JobState::Gathering];
        self.store.revocation_job_turn(id, from, JobState::Cancelled, record.time, vec![record]).await?;
        self.jobs_changed.notify_one();
        Ok(())
    }

    /// Gives up what an earlier process was still gathering: nothing of it was revoked. To be called once, at a start.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub async fn revocation_jobs_settle(&self) -> Result<(), ActError> {
        for (id, state) in self.store.revocation_jobs_open()? {
            if state == JobState::Gathering {
                self.give_up(id, "the process ended while it gathered").await?;
            }
        }
        Ok(())
    }

    /// Comes back when a job was begun, held, taken up or given up since the last call.
    pub async fn revocation_jobs_changed(&self) {
        self.jobs_changed.notified().await;
    }
}

fn by_serial(serials: &[Serial]) -> CertificateFilter {
    CertificateFilter { serials: Some(serials.to_vec()), ..CertificateFilter::default() }
}

fn everything() -> ActError {
    ActError::invalid(
        "the selection is empty, which would mean every certificate: give at least one condition",
    )
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
