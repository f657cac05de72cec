//! Certificate status over HTTP: OCSP (RFC 6960, RFC 9919), CRLs and CA certificates (RFC 5280).
//!
//! - [`Statuses`]: what the responder must know of certificates. It cannot ask for anything else: no account, no order.
//! - [`OcspService`]: a request's DER in, an [`Answer`] out. Answers are kept in memory and only given out when the
//!   certificate's status is known to be the same still.
//! - [`CrlService`]: the current CRLs of each issuer, which lie in files.
//! - [`OfflineFiles`]: certificates and CRLs of CAs whose keys are offline, as somebody put them into a folder.
//! - [`Responder`]: both over HTTP, with the issuers' certificates. It is a plain hyper service on the raw request
//!   target: anything that cleans paths in front of it breaks base64 with slashes.
//! - [`request_log`]: who asked for what, where the operator wants that, and what becomes of it.
//! - [`RecordLog`]: the log of the CA's records, by which outsiders can check its past.
//! - [`Following`]: a responder in a process apart from the CA, which answers from what that has signed in advance, and perhaps signs by
//!   a certificate of its own.
//! - [`Wire`]: threads that serve all of it over HTTP/1, near the socket: answers in memory without a task, a timer or an
//!   allocation each, everything else by the [`Responder`].
//! - [`SigningEvent`]: what is recorded of every signature, in batches, by [`Responder::run_recorder`]. A signature
//!   that could not be recorded any more is not made.

mod audit;
mod condition;
mod config;
mod corpus;
mod counters;
mod crl;
mod http;
mod issuers;
mod ocsp;
mod offline;
mod publication;
mod record_log;
mod reply;
pub mod request_log;
mod seldom;
mod statuses;
mod stored;
mod wire;

use ingam_protocol::date;

pub use condition::{CrlCondition, SigningCondition};
pub use config::{Config, ConfigError, Delegate, InAdvance, Nonces, StartError};
pub use crl::{CrlService, PublishedCrl};
pub use http::Responder;
pub use ocsp::{Answer, KeptAnswer, OcspService};
pub use offline::{OfflineError, OfflineFiles};
pub use publication::{AnswerSource, Following, FollowingCondition, Publication};
#[cfg(feature = "synthetic")]
pub use publication::{synthetic_serial, write_synthetic};
pub use record_log::RecordLog;
pub use statuses::{
    IssuedPage, ShardsInUse, Signed, SigningEvent, Status, StatusChange, StatusError, Statuses,
};
pub use stored::StoredStatuses;
pub use wire::{Handed, Place, Places, Wire, WireLimits, WireSetup};

#[cfg(test)]
pub(crate) mod tests;
