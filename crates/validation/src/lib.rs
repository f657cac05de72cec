//! Proof of control over names, and permission to issue for them, as seen from the network.
//!
//! This crate meets hostile bytes on every side: DNS answers, HTTP responses, TLS handshakes, certificates. It has no
//! database and no keys, and every read, loop and wait in it has a limit.
//!
//! - [`Validation`] is what the authority holds; [`LocalPerspective`] does the work from this process.
//! - [`outcome`]: what is asked and what comes back. A [`Validated`] or a [`CaaPermitted`] is made here alone.
//! - [`evidence`]: what was seen on the way, for the records and for ACME's `validationRecord`.
//! - [`corroboration`]: what other perspectives saw.
//! - [`MultiPerspective`] asks several of them, and lets one that was deceived decide nothing.
//! - [`remote`]: perspectives elsewhere; [`mpic`]: how they are spoken to, and how this process answers as one of them.
//! - [`address`]: which addresses a validation may connect to.
//! - `http_01`, `dns_01`, `tls_alpn_01`: the challenges of RFC 8555, RFC 8737 and RFC 8738, and dns-account-01.
//!   `dns_persist_01`: a record that stays. `label`: the names and values that all of them look for.
//! - `caa`: RFC 8659 and RFC 8657. [`iodef`]: reports to owners whose records forbid.
//! - `resolver`, `dial`, `tls`: what these stand on. `zones`: a small signed DNS for tests, behind a feature.

mod caa;
mod dial;
mod dns_01;
mod dns_persist_01;
mod http_01;
mod label;
mod perspective;
mod quote;
mod resolver;
mod sought;
mod tls;
mod tls_alpn_01;

pub mod address;
pub mod config;
pub mod corroboration;
#[cfg(any(test, feature = "damage"))]
pub mod damage;
pub mod evidence;
pub mod iodef;
pub mod mpic;
pub mod outcome;
pub mod quorum;
pub mod remote;
#[cfg(any(test, feature = "scripted"))]
pub mod scripted;
#[cfg(test)]
mod testing;
#[cfg(any(test, feature = "zones"))]
pub mod zones;

use async_trait::async_trait;

pub use address::{AddressPolicy, AddressRange, Addresses};
pub use config::{Config, ConfigError, Dnssec, RootHint, Server};
pub use corroboration::Corroboration;
pub use evidence::Evidence;
pub use iodef::{Report, Reporter, Reports};
pub use outcome::{Attempt, CaaOutcome, CaaPermitted, CaaQuery, Failure, Outcome, Validated};
pub use perspective::LocalPerspective;
pub use quorum::MultiPerspective;

/// Whoever can look at the network on the CA's behalf: this process, a perspective elsewhere, or a quorum of them.
#[async_trait]
pub trait Validation: Send + Sync {
    /// Looks whether the account that owns `attempt.key_authorization` controls `attempt.host` (RFC 8555, section 8).
    ///
    /// Comes back within the configured total time whatever the other side does. What was seen is in the outcome's
    /// evidence whether it succeeded or failed.
    async fn validate(&self, attempt: Attempt) -> Outcome;

    /// Looks whether CAA records permit this CA to issue for the name (RFC 8659, section 3; RFC 8657).
    ///
    /// An answer that could not be had is a failure, never a permission.
    async fn check_caa(&self, query: CaaQuery) -> CaaOutcome;
}
