//! Certificate transparency (RFC 6962): promises of logs for precertificates, and certificates shown to logs.
//!
//! - [`Transparency`] is what the authority holds; [`TransparencyService`] asks logs over HTTPS.
//! - [`Submission`]: a precertificate or certificate with its chain, read once.
//! - [`list`]: which logs there are, in the form of Chrome's list; [`config`]: which of them are asked, and how.
//! - `race`: several are asked at once, and those that fail are replaced. `standing`: those that failed often rest.
//! - `answer`: what a log says counts only once its signature is verified. [`network`]: how it is reached.
//! - `publisher`: certificates are shown to logs, too, without anybody waiting for it.
//! - [`local_log`]: a log for tests, whole but for sockets.

mod answer;
pub mod config;
mod error;
pub mod list;
pub mod local_log;
pub mod network;
mod publisher;
mod race;
mod service;
mod standing;
mod submission;

use async_trait::async_trait;
use ingam_protocol::transparency::SctList;

pub use config::Config;
pub use error::{Error, Failure};
pub use list::LogList;
pub use service::{TransparencyService, Trouble};
pub use submission::Submission;

/// Whoever gets promises of logs on the CA's behalf.
#[async_trait]
pub trait Transparency: Send + Sync {
    /// As many SCTs for this precertificate, of as many operators, as its validity asks for, each of them verified. They go
    /// into the certificate as they are ([`ingam_protocol::transparency::with_scts`]).
    ///
    /// Comes back within the configured total time whatever the logs do. The same precertificate may be submitted again.
    ///
    /// # Errors
    /// [`Error`] if too few logs gave one: the precertificate may be in logs nevertheless, so its serial number has to be
    /// known to OCSP and CRLs.
    async fn scts(&self, precertificate: &Submission) -> Result<SctList, Error>;

    /// Shows a certificate to the logs as well, later and without anybody waiting for it. What does not fit into the queue is
    /// counted and let go: its precertificate is in the logs already.
    fn publish(&self, certificate: Submission);
}
