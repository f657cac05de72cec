//! What goes over the admin API: JSON, read and written by both ends through these types.
//!
//! Ids, serial numbers, times (RFC 3339) and keys are text, as everywhere outside. Unknown members are refused in what
//! is sent to the CA and ignored in what it answers, so that a client of another version can read it.

mod cases;
mod evidence;
mod external;
mod found;
mod limits;
mod log;
mod people;
mod publication;
mod requests;
mod retention;
mod revocation;
mod rules;
mod state;
mod subjects;
mod validation;

pub use cases::{
    Case, CaseDetail, CaseDisclosing, CaseDisclosure, CaseHolding, CaseObjecting, CaseObjection, CaseOpening,
    CaseSubject, CaseTelling, DueNotice, TransparencyCounts, TransparencyReport,
};
pub use evidence::{CertificateEvidence, IdentifierEvidence};
pub use external::{ExternalKey, ExternalKeyMade, ExternalKeyMaking};
pub use found::{
    Account, AccountContacts, Authorization, Certificate, CertificateDetail, Challenge, Order, Page, Renewal,
};
pub use limits::{
    LimitForgetting, LimitOverride, LimitOverriding, LimitPause, LimitStanding, LimitsShown, OrderTrial,
    OrderTried, Unpaused, Unpausing,
};
pub use log::LogEntry;
pub use people::{Approval, ApprovalDecision, Grant, RoleChange, WhoAmI};
pub use publication::{CosignedCheckpoint, Cosigners, OcspAnswers, PublicationPart, PublicationPaths};
pub use requests::{
    CertificateRequests, HeldRequest, IssuerRequests, RequestHold, RequestHoldRenewal, RequestHolding,
    RequestHour, RequestLogState, RequestSegment,
};
pub use retention::{
    RecordHold, RecordHoldReleased, RecordHoldRenewal, RecordHoldRenewed, RecordHoldScope, RecordHolding,
    RetentionReport, RetentionRow, RetentionRows, RetentionSegment, RetentionState, RetentionSweep,
};
pub use revocation::{
    Incident, IncidentExplanation, IncidentGrown, IncidentOpening, Revocation, RevocationJob, RevocationPlan,
    RevocationRequest, Selection, Serials,
};
pub use rules::{KeyBlock, KeyBlocking, KeysBlocked, KeysBlocking, NameRule, NameRuling};
pub use state::{ApiProblem, BackupAsked, BackupMade, BackupsPruned, Done, Reason, Reload, Waiting};
pub use subjects::{
    Subject, SubjectCorrection, SubjectErased, SubjectErasing, SubjectKept, SubjectObjection, SubjectReport,
    SubjectSearch,
};
pub use validation::{RemoteLook, ValidationLook, ValidationTrial, ValidationTried};
