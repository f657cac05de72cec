//! The authority: it decides who may have which certificate, and when a certificate ends.
//!
//! It knows no HTTP, no sockets and no keys. What clients ask comes in as values; what is decided goes through
//! [`Store`] in named transactions; control of names is shown by a [`Validation`]; bytes are made and signed by a
//! [`Signer`].
//!
//! - [`operator`]: what operators may ask for.
//! - `admission`: what a request asks for, held against profile and policy.
//! - `account`, `order`, `authorization`, `challenge`, `issuance`, `renewal`, `revocation`: one file for each
//!   thing that can be asked for.
//! - `key_check`: keys that are blocked, or on a list.
//! - [`linter`]: outside linters, which see a certificate before it is signed.
//! - `issuer`: who signs the next certificate of a profile.
//! - `own`: the certificate of the CA's own endpoint.
//! - `external`: which key an account is bound to, and what that permits.
//! - `public`: rules with dates, for certificates that the public is to trust.
//! - `restrictions`: which identifiers get certificates at all.
//! - [`subject`]: what is held about somebody, and its erasure.
//! - `trial`: would this name validate now?
//! - `in_hand`: what a clean end waits for.
//! - `limits`: rate limits, and accounts that are paused for names whose checks go on failing.
//! - [`error`]: a [`Refusal`] is the client's mistake, a [`Fault`] is ours.
//! - [`policy`]: what the operator decided.
//! - `evidence`: what each record says.

mod account;
mod admission;
mod authorization;
mod challenge;
pub mod error;
mod evidence;
mod external;
mod in_hand;
mod issuance;
mod issuer;
mod key_check;
mod limits;
pub mod linter;
pub mod operator;
mod order;
mod own;
pub mod policy;
mod public;
mod renewal;
mod restrictions;
mod revocation;
pub mod subject;
mod trial;

use std::sync::{Arc, PoisonError, RwLock};

use ingam_protocol::health::QueueReport;
use ingam_protocol::time::{Clock, Random};
use ingam_signer::Signer;
use ingam_store::Store;
use ingam_transparency::Transparency;
use ingam_validation::{Reports, Validation};
use tokio::sync::{Notify, Semaphore};

use in_hand::InHand;

pub use account::AccountFound;
pub use error::{Error, Fault, Refusal, Subproblem};
pub use evidence::Caller;
pub use key_check::key_refused;
pub use limits::{DryRun, RateLimits, Unpaused};
pub use order::{CertificateView, OrderView};
pub use own::OwnRequest;
pub use policy::{Catalog, Policy, RenewalPolicy};
pub use public::{PublicRules, Remotes};
pub use renewal::{RenewalSummary, RenewalView};
pub use restrictions::Restrictions;
pub use revocation::RevokedBy;
pub use trial::{Look, Trial};

/// How limits stand, as the store tells it.
pub use ingam_store::{Limited, PauseRule, Standing};

/// Finalizes ask about CAA in as many places together as checks of challenges have: each takes so many.
const FINALIZING_DIVISOR: usize = 8;

/// The decisions, over everything that they need.
pub struct Authority {
    store: Store,
    validation: Arc<dyn Validation>,
    reports: Arc<dyn Reports>,
    signer: Arc<dyn Signer>,
    transparency: Option<Arc<dyn Transparency>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,

    policy: RwLock<Arc<Policy>>,

    /// Rung when a revocation job was begun, held, taken up or given up.
    jobs_changed: Notify,
    /// Rung when an order had to be left because the signer was not there.
    signer_missed: Notify,
    /// Rung when an order had to be left because logs gave no SCTs.
    logs_missed: Notify,
    /// Issuances between their claim and their end.
    in_hand: Arc<InHand>,
    /// How many checks of challenges may run at once.
    checks: Arc<Semaphore>,
    /// How many finalizes may ask about CAA at once; more wait.
    finalizing: Semaphore,
    /// How many may run or wait; one more is refused.
    checks_queue: Arc<Semaphore>,
    /// Whose records are looked for.
    report_turns: subject::ReportTurns,
}

/// What an authority is made of.
pub struct Parts {
    /// The one truth.
    pub store: Store,
    /// Who looks at the network.
    pub validation: Arc<dyn Validation>,
    /// Who tells the owners of domains whose CAA records refused a request.
    pub reports: Arc<dyn Reports>,
    /// Who holds the keys.
    pub signer: Arc<dyn Signer>,
    /// Who asks certificate transparency logs; none where no profile needs them.
    pub transparency: Option<Arc<dyn Transparency>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where ids, tokens and serial numbers come from.
    pub random: Arc<dyn Random>,
}

impl Authority {
    /// An authority that decides by `policy`.
    pub fn new(parts: Parts, policy: Policy) -> Arc<Self> {
        let Parts { store, validation, reports, signer, transparency, clock, random } = parts;
        let checks = Arc::new(Semaphore::new(policy.checks_max));
        let finalizing = Semaphore::new((policy.checks_max / FINALIZING_DIVISOR).max(1));
        let checks_queue =
            Arc::new(Semaphore::new(policy.checks_max.saturating_add(policy.checks_waiting_max)));
        let policy = RwLock::new(Arc::new(policy));
        let [jobs_changed, signer_missed, logs_missed] = [(); 3].map(|()| Notify::new());
        let in_hand = InHand::new();
        Arc::new(Self {
            store,
            validation,
            reports,
            signer,
            transparency,
            clock,
            random,
            policy,
            jobs_changed,
            signer_missed,
            logs_missed,
            in_hand,
            checks,
            finalizing,
            checks_queue,
            report_turns: subject::ReportTurns::new(),
        })
    }

    /// What the operator decided, as of now. Whoever needs more than one thing of it asks once.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another policy in place: it counts from the next request on. `checks_max` and `checks_waiting_max` stay what
    /// they were when the process started.
    pub fn policy_replace(&self, policy: Policy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    /// Comes back once no issuance is in hand: between the claim of an order and its certificate. Others may begin
    /// meanwhile unless nobody asks any more.
    pub async fn issuances_in_hand_ended(&self) {
        self.in_hand.ended().await;
    }

    /// How many challenges are being checked or wait for it, and how many can.
    pub fn checks(&self) -> QueueReport {
        let policy = self.policy();
        let max = policy.checks_max.saturating_add(policy.checks_waiting_max);
        QueueReport::new("checks", max.saturating_sub(self.checks_queue.available_permits()), max)
    }

    /// The clock that everything here goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }
}
