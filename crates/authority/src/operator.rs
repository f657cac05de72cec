//! What operators may ask of the CA. Whether one may ask is decided above; here every act is done together with the
//! record of it.
//!
//! - [`Act`]: who does what, from where, and why. It becomes a record of the class `access_log` in the same transaction
//!   as what it changes, or by [`Authority::act_ended`] where nothing was changed.
//! - `find`: accounts, orders, authorizations, certificates. `log`: records. `evidence`: what a certificate rests on.
//! - `revoke`: one certificate. `jobs`: many. `incidents`: sets of them.
//! - `external`: keys that accounts can be bound to.
//! - `holds`: what stays for a case. `cases`: why personal data may leave, and who is told.
//! - `limits`: rate limits, exceptions from them, paused accounts.
//! - `subjects`: what people are told about themselves, and may have changed or erased.
//! - `trials`: would this name validate now?
//! - `rules`: blocked keys, rules on names. `people`: roles, and acts that wait for a second person.

mod cases;
mod evidence;
mod external;
mod find;
mod holds;
mod incidents;
mod jobs;
mod limits;
mod log;
mod page;
mod people;
mod revoke;
mod rules;
mod subjects;
mod trials;

use std::fmt;

use ingam_protocol::Id;
use ingam_protocol::operator::{Principal, Role};
use ingam_protocol::record::{Record, RecordType};
use serde::Serialize;
use serde_json::Value;

pub(crate) use log::read_files;

use crate::Authority;
use crate::error::{Error, Fault};

/// What the store keeps of it, as it is.
pub use ingam_store::{
    Approval, Bound, CASE_SUBJECTS_MAX, Case, CaseBasis, CaseKind, CaseSubject, ExternalKey, Grant, Hold,
    HoldScope, Incident, IncidentGrown, IssuedBetween, JobState, KeyBlock, KeyName, LimitOverride, NameRule,
    NameVerdict, ObjectionOutcome, Pause, RecordQuery, RecordsPlace, RevocationJob, Withdrawal,
};

pub use cases::{
    Cell, Due, DueKind, KindCounts, NewCase, NewDisclosure, Telling, TransparencyReport, due,
    half_year_before,
};
pub use evidence::{CertificateEvidence, IdentifierEvidence};
pub use external::{ExternalKeyStatus, NewExternalKey};
pub use find::{AccountView, CertificateFilter, CertificateSummary, IssuedStatus, OrderFilter};
pub use holds::{NewHold, NewScope};
pub use jobs::{JobRunner, Plan, PlannedJob, Selection};
pub use limits::{LimitsShown, OwnLimit};
pub use page::Found;
pub use people::{Decided, NewApproval};
pub use rules::{KEYS_AT_ONCE_MAX, KeyBlocking, KeysBlocked};
pub use subjects::{SubjectFilter, SubjectSummary};

/// An act of an operator: who, as what, from where, what, why.
#[derive(Clone, Debug, Serialize)]
pub struct Act {
    /// Its name, as in `cert.revoke`.
    pub act: &'static str,
    /// Who.
    pub operator: Principal,
    /// The operator's roles at that moment.
    pub roles: Vec<Role>,
    /// Who asked for it first, where a second person agreed to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<Principal>,
    /// `unix`, or the address of the other end.
    pub from: String,
    /// What the client calls itself, cut to a bounded length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The request's name in the log.
    pub request_id: String,
    /// What exactly: the parts of the request that name it.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub what: Value,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What came of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, or read.
    Done,
    /// Not allowed, or impossible.
    Refused,
    /// It failed here; what was changed until then is on record by itself.
    Failed,
    /// It waits for a second person.
    Waiting,
}

impl Outcome {
    /// Its name in records and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
        }
    }
}

#[derive(Serialize)]
struct ActEvidence<'a> {
    #[serde(flatten)]
    act: &'a Act,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// Why an operator's act was not done.
#[derive(Debug)]
pub enum ActError {
    /// There is no such thing.
    NotFound(String),
    /// It is not as the act expects.
    Conflict(String),
    /// A value makes no sense.
    Invalid(String),
    /// Something here failed.
    Fault(Fault),
}

impl ActError {
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound(what.into())
    }

    pub(crate) fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict(what.into())
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid(what.into())
    }
}

impl fmt::Display for ActError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(what) | Self::Conflict(what) | Self::Invalid(what) => f.write_str(what),
            Self::Fault(fault) => f.write_str(fault.doing),
        }
    }
}

impl std::error::Error for ActError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Fault(fault) => Some(fault.source.as_ref()),
            Self::NotFound(_) | Self::Conflict(_) | Self::Invalid(_) => None,
        }
    }
}

/// A refusal in ACME's words is a wrong value here.
impl From<Error> for ActError {
    fn from(error: Error) -> Self {
        match error {
            Error::Refusal(refusal) => Self::Invalid(refusal.detail),
            Error::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<ingam_store::Error> for ActError {
    fn from(cause: ingam_store::Error) -> Self {
        Error::from(cause).into()
    }
}

impl Authority {
    /// The record of an act: of class `access_log`, as [`RecordType::PersonalDataRead`] where `subject` or other personal
    /// data was read.
    pub(crate) fn act_record(
        &self,
        kind: RecordType,
        act: &Act,
        outcome: Outcome,
        detail: Option<&str>,
        subject: Option<Id>,
    ) -> Result<Record, Error> {
        self.record(kind, subject, None, &ActEvidence { act, outcome, detail })
    }

    /// The record of an act that is done in the same transaction.
    pub(crate) fn act_done(&self, act: &Act) -> Result<Record, Error> {
        self.act_record(RecordType::OperatorActed, act, Outcome::Done, None, None)
    }

    /// The record of an act that is carried out where this crate does not reach, for whoever carries it out to put it on
    /// record together with what it changes.
    ///
    /// # Errors
    /// [`Error::Fault`] if it cannot be written.
    pub fn act_record_done(&self, act: &Act) -> Result<Record, Error> {
        self.act_done(act)
    }

    /// Puts an act on record that changed nothing here: it was refused, failed, or is carried out elsewhere.
    ///
    /// # Errors
    /// [`Error::Fault`] if it could not be made durable.
    pub async fn act_ended(&self, act: &Act, outcome: Outcome, detail: Option<&str>) -> Result<(), Error> {
        let record = self.act_record(RecordType::OperatorActed, act, outcome, detail, None)?;
        Ok(self.store.statuses().records_append(vec![record]).await?)
    }

    /// Puts on record that personal data is read; to be called before it is given out.
    ///
    /// # Errors
    /// [`Error::Fault`] if it could not be made durable.
    pub async fn personal_data_read(&self, act: &Act, subject: Option<Id>) -> Result<(), Error> {
        let kind = RecordType::PersonalDataRead;
        let record = self.act_record(kind, act, Outcome::Done, None, subject)?;
        Ok(self.store.statuses().records_append(vec![record]).await?)
    }

    /// Puts on record that the configuration of the running process was changed.
    ///
    /// # Errors
    /// [`Error::Fault`] if it could not be made durable.
    pub async fn configuration_changed(&self, act: Option<&Act>, changed: &Value) -> Result<(), Error> {
        let mut records = vec![self.record(RecordType::ConfigurationChanged, None, None, changed)?];
        if let Some(act) = act {
            records.push(self.act_done(act)?);
        }
        Ok(self.store.statuses().records_append(records).await?)
    }

    /// Puts on record that a backup was made: which, and what is in it.
    ///
    /// # Errors
    /// [`Error::Fault`] if it could not be made durable.
    pub async fn backup_made(&self, act: &Act, made: &Value) -> Result<(), Error> {
        let records = vec![self.record(RecordType::BackupMade, None, None, made)?, self.act_done(act)?];
        Ok(self.store.statuses().records_append(records).await?)
    }
}

/// A task that ended by a panic, or with the runtime.
fn task_failed(cause: tokio::task::JoinError) -> ActError {
    ActError::Fault(Fault {
        code: "operator_task",
        doing: "working for an operator",
        passing: false,
        source: Box::new(cause),
    })
}
