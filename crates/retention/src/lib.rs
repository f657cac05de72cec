//! Retention: how long what the CA remembers stays, and that it goes then.
//!
//! ```text
//! schedule (data) ─▶ config (what the operator keeps) ─▶ sweep ─┬─▶ segments of the journal: intent, destroyed, receipt
//!        ▲                                             ▲        └─▶ rows of the store: gone and receipt in one
//!   held against every table, field,            guard: is the clock
//!   record type, log field and metric               to be believed?
//! ```
//!
//! - [`schedule`]: the classes, what is in them, their floors and ceilings, and when something goes.
//! - [`Config`]: how long the operator keeps each class, checked against the schedule.
//! - [`Retention`]: the sweep, a job without input that may be broken off anywhere and run twice.
//! - [`inventory`]: where everything that is kept has its class.
//!
//! Holds win over all of it ([`ingam_store::Hold`]). The log of OCSP requests sweeps itself, every second
//! (`ingam_responder::request_log`); subjects' keys are destroyed by erasures.

mod config;
mod error;
pub mod inventory;
mod report;
pub mod schedule;
mod sweep;

pub use config::{Config, Preset, Reliance};
pub use error::Error;
pub use report::{KeptBy, Report, RowsReport, SegmentFate, SegmentReport};
pub use schedule::Schedule;
pub use sweep::{Condition, LEAP_MAX, Parts, Retention};
