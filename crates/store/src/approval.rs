//! Dangerous acts that wait for a second person.

use ingam_protocol::operator::Principal;
use ingam_protocol::record::Record;
use ingam_protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::account::id_from;
use crate::error::Error;
use crate::open::Store;
use crate::table::APPROVALS;
use crate::transaction::{decode, read_range, read_range_last, read_row};

/// An act that one person asked for, and another has to agree to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Approval {
    /// Its name.
    pub id: Id,
    /// The act's name.
    pub act: String,
    /// What exactly is to be done, as the operator's side wrote it.
    pub request: Box<RawValue>,
    /// Who asked.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// Until when it can be agreed to.
    pub expires: Timestamp,
    /// Why.
    pub reason: String,
    /// What became of it; nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<ApprovalDecision>,
}

/// What became of an act that waited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDecision {
    /// Whether it may be done.
    pub approved: bool,
    /// Who decided.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

impl Store {
    /// Puts an act down that waits for a second person.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn approval_insert(&self, approval: Approval, records: Vec<Record>) -> Result<(), Error> {
        self.run(move |transaction| {
            transaction.put_row(APPROVALS, *approval.id.as_bytes(), &approval)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(())
        })
        .await
    }

    /// The act of this name.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn approval_by_id(&self, id: Id) -> Result<Option<Approval>, Error> {
        read_row(self.engine(), APPROVALS, id.as_bytes())
    }

    /// Acts that waited or wait, oldest first, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn approvals(&self, after: Option<Id>, limit: usize) -> Result<Vec<Approval>, Error> {
        let from = after.map_or(Vec::new(), |id| [id.as_bytes().as_slice(), &[0]].concat());
        let mut approvals = Vec::new();
        for (key, row) in read_range(self.engine(), APPROVALS, &from, None, limit)? {
            id_from(&key)?;
            approvals.extend(decode::<Approval>(APPROVALS, Some(row))?);
        }
        Ok(approvals)
    }

    /// Acts that were asked for last, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn approvals_latest(&self, limit: usize) -> Result<Vec<Approval>, Error> {
        let rows = read_range_last(self.engine(), APPROVALS, &[], None, limit)?;
        let read = |(_, row)| decode::<Approval>(APPROVALS, Some(row)).transpose();
        rows.into_iter().filter_map(read).collect()
    }

    /// Writes the decision down, which only the first one does: whoever gets `true` carries it out.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn approval_decide(
        &self,
        id: Id,
        decision: ApprovalDecision,
        records: Vec<Record>,
    ) -> Result<bool, Error> {
        self.run(move |transaction| {
            let Some(mut approval) = transaction.row::<Approval>(APPROVALS, id.as_bytes())? else {
                return Ok(false);
            };
            if approval.decision.is_some() || approval.expires <= decision.at {
                return Ok(false);
            }
            approval.decision = Some(decision);
            transaction.put_row(APPROVALS, *id.as_bytes(), &approval)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }
}
