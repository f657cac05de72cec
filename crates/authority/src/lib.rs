//! The authority: it decides who may have which certificate, and when a certificate ends.
//!
//! It knows no HTTP, no sockets and no keys. What clients ask comes in as values; what is decided goes through
//! [`Store`] in named transactions; control of names is shown by a [`Validation`]; bytes are made and signed by a
//! [`Signer`].
//!
//! - `account`, `order`, `challenge`, `issuance`, `revocation`: one file for each thing that can be asked for.
//! - [`error`]: a [`Refusal`] is the client's mistake, a [`Fault`] is ours.
//! - [`policy`]: what the operator decided.
//! - `evidence`: what each record says.

mod account;
mod challenge;
pub mod error;
mod evidence;
mod issuance;
mod order;
pub mod policy;
mod revocation;

use std::sync::Arc;

use ingam_protocol::health::QueueReport;
use ingam_protocol::time::{Clock, Random};
use ingam_signer::Signer;
use ingam_store::Store;
use ingam_validation::Validation;
use tokio::sync::Semaphore;

pub use account::AccountFound;
pub use error::{Error, Fault, Refusal, Subproblem};
pub use evidence::Caller;
pub use order::{CertificateView, OrderView};
pub use policy::{Catalog, Policy};
pub use revocation::RevokedBy;

/// The decisions, over everything that they need.
pub struct Authority {
    store: Store,
    validation: Arc<dyn Validation>,
    signer: Arc<dyn Signer>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,

    policy: Policy,

    /// How many checks of challenges may run at once.
    checks: Arc<Semaphore>,
    /// How many may run or wait; one more is refused.
    checks_queue: Arc<Semaphore>,
}

/// What an authority is made of.
pub struct Parts {
    /// The one truth.
    pub store: Store,
    /// Who looks at the network.
    pub validation: Arc<dyn Validation>,
    /// Who holds the keys.
    pub signer: Arc<dyn Signer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids, tokens and serial numbers come from.
    pub random: Arc<dyn Random>,
}

impl Authority {
    /// An authority that decides by `policy`.
    pub fn new(parts: Parts, policy: Policy) -> Arc<Self> {
        let Parts { store, validation, signer, clock, random } = parts;
        let checks = Arc::new(Semaphore::new(policy.checks_max));
        let checks_queue =
            Arc::new(Semaphore::new(policy.checks_max.saturating_add(policy.checks_waiting_max)));
        Arc::new(Self { store, validation, signer, clock, random, policy, checks, checks_queue })
    }

    /// What the operator decided.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many challenges are being checked or wait for it, and how many can.
    pub fn checks(&self) -> QueueReport {
        let max = self.policy.checks_max.saturating_add(self.policy.checks_waiting_max);
        QueueReport::new("checks", max.saturating_sub(self.checks_queue.available_permits()), max)
    }

    /// The clock that everything here goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}
