//! What goes over the admin API: JSON, read and written by both ends through these types.
//!
//! Ids, serial numbers, times (RFC 3339) and keys are text, as everywhere outside. Unknown members are refused in what
//! is sent to the CA and ignored in what it answers, so that a client of another version can read it.

mod evidence;
mod external;
mod found;
mod limits;
mod log;
mod people;
mod publication;
mod requests;
mod revocation;
mod rules;
mod state;
mod validation;

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
pub use publication::{OcspAnswers, PublicationPart, PublicationPaths};
pub use requests::{
    CertificateRequests, HeldRequest, IssuerRequests, RequestHold, RequestHoldRenewal, RequestHolding,
    RequestHour, RequestLogState, RequestSegment,
};
pub use revocation::{
    Incident, IncidentExplanation, IncidentGrown, IncidentOpening, Revocation, RevocationJob, RevocationPlan,
    RevocationRequest, Selection, Serials,
};
pub use rules::{KeyBlock, KeyBlocking, KeysBlocked, KeysBlocking, NameRule, NameRuling};
pub use state::{ApiProblem, BackupAsked, BackupMade, Done, Reason, Reload, Waiting};
pub use validation::{RemoteLook, ValidationLook, ValidationTrial, ValidationTried};
