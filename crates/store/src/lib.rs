//! The store: accounts, orders, authorizations, certificates, statuses, and the outbox of records.
//!
//! A step of the CA is one transaction: the change of state and the record of it go in together and are durable
//! together, and only then is anybody answered.
//!
//! ```text
//! callers ──jobs──▶ committer (one thread, one batch, one sync) ──▶ engine (redb or sled)
//!                        │ after the sync: replies                    │
//!                        └ status generation                          ▼
//!                                              archiver: outbox ──▶ journal (synced) ──▶ outbox emptied
//! ```
//!
//! - [`Store`] is the handle of the authority: every domain operation, each a named transaction.
//! - [`StatusStore`] is the responder's handle: serials and statuses, nothing that leads to a person.
//! - [`engine`]: the two engines behind one small interface.
//! - [`contact`]: personal data and MAC keys, sealed under keys that live apart from the engine.

mod account;
mod admission;
mod approval;
mod archive;
mod authorization;
pub mod backup;
mod bulk;
mod case;
mod certificate;
mod changed;
mod committer;
mod condition;
pub mod contact;
pub mod engine;
mod error;
mod external_key;
mod hold;
mod in_force;
mod incident;
mod key_block;
mod limit;
mod log;
mod migration;
mod name_rule;
mod open;
mod order;
mod pause;
mod privacy_version;
pub mod rebuild;
mod renewal;
mod rest;
mod revocation_job;
mod role;
mod room;
mod search;
mod status;
mod subject;
mod sweep;
mod table;
mod transaction;

pub use account::AccountInserted;
pub use admission::{Admission, Admitted};
pub use approval::{Approval, ApprovalDecision};
pub use archive::Archiver;
pub use authorization::{Answered, OpenChallenge, Settled};
pub use bulk::Bulk;
pub use case::{
    CASE_SUBJECTS_MAX, Case, CaseBasis, CaseChange, CaseClosed, CaseCounts, CaseKind, CaseNotice, CaseStep,
    CaseSubject, Disclosure, Objection, ObjectionOutcome,
};
pub use certificate::{CertificateRow, RevocationOutcome, RevocationRequest};
pub use condition::{Condition, Outbox};
pub use error::Error;
pub use external_key::{Bound, ExternalKey, KeyUnusable, KeyWithdrawn, Unbound, Withdrawal};
pub use hold::{
    HOLD_LASTS_MAX, HOLDS_OPEN_MAX, Hold, HoldChange, HoldOpened, HoldReleased, HoldRenewal, HoldRenewed,
    HoldScope,
};
pub use in_force::Leaving;
pub use incident::{Incident, IncidentGrown};
pub use key_block::{KeyBlock, KeyName};
pub use limit::{Demand, LimitOverride, Limited, Standing};
pub use log::{RecordQuery, RecordsFound, RecordsPlace};
pub use name_rule::{NameRule, NameVerdict};
pub use open::{Config, EngineChoice, Parts, Store, StoreProcess, table_classes};
pub use order::{AbandonedBy, Claimed, NewCertificate, Stale};
pub use pause::{PAUSES_LIFTED_MAX, Pause, PauseRule, ToBeShown};
pub use privacy_version::PrivacyVersion;
pub use renewal::RenewalFacts;
pub use revocation_job::{JOBS_OPEN_MAX, JobItem, JobState, RevocationJob};
pub use role::{GRANTS_MAX, Grant, RoleTaken};
pub use search::{CertificateIndex, CertificatePage, IssuedBetween};
pub use status::{ShardsInUse, StatusChange, StatusRow, StatusState, StatusStore};
pub use subject::{Corrected, Erased, Erasure, ErasureReason, Objected, RecordsOf, SubjectRow, Told};
pub use sweep::{Pass, ROWS_PER_BATCH, RowCounts, RowsSwept, SegmentGoing, Terms};
