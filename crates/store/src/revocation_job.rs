//! Revoking many certificates: what is to be revoked is put down whole, then taken off as it is done, in the same
//! transaction. A job that was broken off goes on where it was.

use ingam_protocol::operator::Principal;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::Record;
use ingam_protocol::{Id, Reason, Serial, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::account::id_from;
use crate::error::Error;
use crate::open::Store;
use crate::status::{StatusState, status_of, status_put};
use crate::table::{
    REVOCATION_ITEMS, REVOCATION_JOBS, REVOCATION_JOBS_OPEN, certificate_key, certificate_of, end_of,
};
use crate::transaction::{decode, read_range, read_range_last, read_row};

/// At most this many jobs are open at once: whoever does the work looks at all of them, and at no others.
pub const JOBS_OPEN_MAX: usize = 100;

/// A job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevocationJob {
    /// Its name.
    pub id: Id,
    /// What was selected, as the operator's side wrote it.
    pub selection: Box<RawValue>,
    /// The reason that CRLs and OCSP give.
    pub revocation_reason: Reason,
    /// At most this many are revoked in a second.
    pub per_second: u32,
    /// Who asked for it.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// Why, in the operator's words.
    pub reason: String,
    /// How far it is.
    pub state: JobState,
    /// How many certificates are to be revoked in all.
    pub total: u64,
    /// How many it has revoked.
    pub revoked: u64,
    /// How many had been revoked by others before it came to them.
    pub skipped: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Its certificates are still being put down; nothing is revoked yet.
    Gathering,
    /// It revokes.
    Running,
    /// Somebody holds it.
    Paused,
    /// Everything is revoked.
    Done,
    /// Somebody gave it up: what was revoked stays so.
    Cancelled,
}

impl JobState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gathering => "gathering",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it is over.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }
}

/// A certificate that a job is about to revoke, with the records of that.
pub struct JobItem {
    /// Who issued it.
    pub issuer: IssuerName,
    /// Its serial number.
    pub serial: Serial,
    /// What goes on record if it is revoked now.
    pub records: Vec<Record>,
}

fn item_key(job: Id, issuer: &IssuerName, serial: &Serial) -> Vec<u8> {
    [job.as_bytes().as_slice(), &certificate_key(issuer, serial)].concat()
}

impl Store {
    /// Puts a job down, in whatever state, with the records of it. `false`, and no record, if too many are open.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn revocation_job_insert(
        &self,
        job: RevocationJob,
        records: Vec<Record>,
    ) -> Result<bool, Error> {
        self.run(move |transaction| {
            if !job.state.is_over() {
                let open = transaction.range(REVOCATION_JOBS_OPEN, &[], None, JOBS_OPEN_MAX)?;
                if open.len() == JOBS_OPEN_MAX {
                    return Ok(false);
                }
                transaction.put(REVOCATION_JOBS_OPEN, *job.id.as_bytes(), Vec::new());
            }
            transaction.put_row(REVOCATION_JOBS, *job.id.as_bytes(), &job)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }

    /// The job of this name.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn revocation_job_by_id(&self, id: Id) -> Result<Option<RevocationJob>, Error> {
        read_row(self.engine(), REVOCATION_JOBS, id.as_bytes())
    }

    /// Jobs for which there is something to do, or will be: those that are not over, and those that were given up and
    /// have still certificates put down. Oldest first.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn revocation_jobs_open(&self) -> Result<Vec<(Id, JobState)>, Error> {
        let mut jobs = Vec::new();
        for (key, _) in read_range(self.engine(), REVOCATION_JOBS_OPEN, &[], None, JOBS_OPEN_MAX)? {
            let id = id_from(&key)?;
            jobs.extend(self.revocation_job_state(id)?.map(|state| (id, state)));
        }
        Ok(jobs)
    }

    /// How far the job of this name is.
    fn revocation_job_state(&self, id: Id) -> Result<Option<JobState>, Error> {
        /// Selections can be long, and are not needed here.
        #[derive(Deserialize)]
        struct Row {
            state: JobState,
        }
        let row: Option<Row> = read_row(self.engine(), REVOCATION_JOBS, id.as_bytes())?;
        Ok(row.map(|row| row.state))
    }

    /// Whether a job that is not over has still to revoke this certificate. As many rows are read as jobs are open, at most.
    pub(crate) fn revocation_is_due(&self, issuer: &IssuerName, serial: &Serial) -> Result<bool, Error> {
        for (key, _) in read_range(self.engine(), REVOCATION_JOBS_OPEN, &[], None, JOBS_OPEN_MAX)? {
            let id = id_from(&key)?;
            let item = self.engine().get(REVOCATION_ITEMS, &item_key(id, issuer, serial));
            let item = item.map_err(|cause| Error::Engine("reading a revocation job", cause))?;
            if item.is_some() && self.revocation_job_state(id)?.is_some_and(|state| !state.is_over()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Jobs, oldest first, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn revocation_jobs(&self, after: Option<Id>, limit: usize) -> Result<Vec<RevocationJob>, Error> {
        let from = after.map_or(Vec::new(), |id| [id.as_bytes().as_slice(), &[0]].concat());
        let mut jobs = Vec::new();
        for (_, row) in read_range(self.engine(), REVOCATION_JOBS, &from, None, limit)? {
            jobs.extend(decode::<RevocationJob>(REVOCATION_JOBS, Some(row))?);
        }
        Ok(jobs)
    }

    /// The jobs that were begun last, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn revocation_jobs_latest(&self, limit: usize) -> Result<Vec<RevocationJob>, Error> {
        let rows = read_range_last(self.engine(), REVOCATION_JOBS, &[], None, limit)?;
        let read = |(_, row)| decode::<RevocationJob>(REVOCATION_JOBS, Some(row)).transpose();
        rows.into_iter().filter_map(read).collect()
    }

    /// Adds certificates to a job that is still gathering; each counts once. A bounded list is one transaction.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn revocation_items_insert(
        &self,
        id: Id,
        certificates: Vec<(IssuerName, Serial)>,
    ) -> Result<(), Error> {
        self.run(move |transaction| {
            let Some(mut job) = transaction.row::<RevocationJob>(REVOCATION_JOBS, id.as_bytes())? else {
                return Ok(());
            };
            if job.state != JobState::Gathering {
                return Ok(());
            }
            for (issuer, serial) in &certificates {
                let key = item_key(id, issuer, serial);
                if transaction.get(REVOCATION_ITEMS, &key)?.is_none() {
                    transaction.put(REVOCATION_ITEMS, key, Vec::new());
                    job.total += 1;
                }
            }
            transaction.put_row(REVOCATION_JOBS, *id.as_bytes(), &job)
        })
        .await
    }

    /// Moves a job from one of the states `from` into another. Gives the job as it is then; `None`, and no record, if
    /// there is no such job in one of these states.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn revocation_job_turn(
        &self,
        id: Id,
        from: &'static [JobState],
        to: JobState,
        now: Timestamp,
        records: Vec<Record>,
    ) -> Result<Option<RevocationJob>, Error> {
        self.run(move |transaction| {
            let job = transaction.row::<RevocationJob>(REVOCATION_JOBS, id.as_bytes())?;
            let Some(mut job) = job.filter(|job| from.contains(&job.state)) else { return Ok(None) };
            job.state = to;
            job.ended = to.is_over().then_some(now);
            if to == JobState::Done {
                transaction.delete(REVOCATION_JOBS_OPEN, *id.as_bytes());
            }
            transaction.put_row(REVOCATION_JOBS, *id.as_bytes(), &job)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(Some(job))
        })
        .await
    }

    /// What a job has still to revoke, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn revocation_items(&self, id: Id, limit: usize) -> Result<Vec<(IssuerName, Serial)>, Error> {
        let end = end_of(id.as_bytes());
        let rows = read_range(self.engine(), REVOCATION_ITEMS, id.as_bytes(), end.as_deref(), limit)?;
        let bad = || Error::Row("a revocation job", "a key names no certificate".into());
        rows.iter().map(|(key, _)| key.get(16..).and_then(certificate_of).ok_or_else(bad)).collect()
    }

    /// Revokes some of a running job's certificates and takes them off it, in one transaction. A job without any left
    /// is done. Gives the job as it is then; `None` if it does not run any more, and then nothing was revoked.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn revocation_job_step(
        &self,
        id: Id,
        items: Vec<JobItem>,
        now: Timestamp,
        done: Record,
    ) -> Result<Option<RevocationJob>, Error> {
        self.run(move |transaction| {
            let job = transaction.row::<RevocationJob>(REVOCATION_JOBS, id.as_bytes())?;
            let Some(mut job) = job.filter(|job| job.state == JobState::Running) else { return Ok(None) };
            for JobItem { issuer, serial, records } in &items {
                let key = item_key(id, issuer, serial);
                if transaction.get(REVOCATION_ITEMS, &key)?.is_none() {
                    continue;
                }
                transaction.delete(REVOCATION_ITEMS, key);
                match status_of(transaction, issuer, serial)? {
                    Some(row) if row.state == StatusState::Good => {
                        // As its record says it, so that the row can be made anew from the record.
                        let at = records.first().map_or(now, |record| record.time);
                        let revoked = StatusState::Revoked { at, reason: job.revocation_reason };
                        status_put(transaction, issuer, serial, revoked, row.not_after)?;
                        records.iter().for_each(|record| transaction.record(record));
                        job.revoked += 1;
                    }
                    _ => job.skipped += 1,
                }
            }
            let end = end_of(id.as_bytes());
            if transaction.range(REVOCATION_ITEMS, id.as_bytes(), end.as_deref(), 1)?.is_empty() {
                job.state = JobState::Done;
                job.ended = Some(now);
                transaction.delete(REVOCATION_JOBS_OPEN, *id.as_bytes());
                transaction.record(&done);
            }
            transaction.put_row(REVOCATION_JOBS, *id.as_bytes(), &job)?;
            Ok(Some(job))
        })
        .await
    }

    /// Takes up to `limit` certificates off a job that was given up. Whether some are left.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn revocation_items_clear(&self, id: Id, limit: usize) -> Result<bool, Error> {
        self.run(move |transaction| {
            let job = transaction.row::<RevocationJob>(REVOCATION_JOBS, id.as_bytes())?;
            if job.is_none_or(|job| job.state != JobState::Cancelled) {
                return Ok(false);
            }
            let end = end_of(id.as_bytes());
            let rows = transaction.range(REVOCATION_ITEMS, id.as_bytes(), end.as_deref(), limit)?;
            let full = rows.len() == limit;
            rows.into_iter().for_each(|(key, _)| transaction.delete(REVOCATION_ITEMS, key));
            if !full {
                transaction.delete(REVOCATION_JOBS_OPEN, *id.as_bytes());
            }
            Ok(full)
        })
        .await
    }
}
