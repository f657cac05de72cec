//! Step 4: what was left between a finalize and its end, by a process that ended or while the signer was away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use ingam_protocol::acme::{
    AuthorizationStatus, Claim, ErrorType, Failure, Order, OrderStatus, Precertificate, Waiting,
};
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Timestamp};
use ingam_store::AbandonedBy;

use super::signing::{Issuance, LOGS_PAUSE_MIN, is_passing};
use super::{Claimant, read_request};
use crate::Authority;
use crate::admission::{check_account, check_dates};
use crate::error::{Error, Refusal};
use crate::evidence::FailedEvidence;
use crate::public::length;

/// How long an answer about CAA counts (BR 3.2.2.8).
const CAA_AGE_MAX: Duration = Duration::from_secs(8 * 60 * 60);

/// At most this many open orders are looked at in one go.
const OPEN_PER_PAGE: usize = 256;

/// So many of them are taken up at once.
const RESUMED_AT_ONCE: usize = 8;

impl Authority {
    /// Ends all leases: at a start, before anything is claimed anew, the process that held them is gone.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub async fn issuances_release(&self) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page = self.store.issuances_open(after, OPEN_PER_PAGE)?;
            after = page.last().map(|order| order.id);
            let full = page.len() == OPEN_PER_PAGE;
            let held = page.into_iter().filter_map(|order| Some((order.id, order.claim?.token)));
            let released = held.map(|(id, token)| self.store.order_release(id, token, Timestamp::default()));
            // What is stale here has ended.
            let _: Vec<_> = stream::iter(released).buffer_unordered(OPEN_PER_PAGE).try_collect().await?;
            if !full {
                return Ok(());
            }
        }
    }

    /// Step 4: takes up what was left between the finalize and the end. Harmless at any time, as only leases that have run
    /// out are touched. Gives how many orders were taken up and how many were given up.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub async fn issuances_resume(self: &Arc<Self>) -> Result<(usize, usize), Error> {
        let (resumed, abandoned) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let over_by = self.clock.now();
        let away = &self.issuers_away().await;
        let mut after = None;
        loop {
            let page = self.store.issuances_open(after, OPEN_PER_PAGE)?;
            after = page.last().map(|order| order.id);
            let full = page.len() == OPEN_PER_PAGE;
            let each = |order: Order| async {
                let id = order.id;
                let outcome = self.take_up(order, over_by, away).await;
                match outcome {
                    Ok(TakenUp::Yes) => drop(resumed.fetch_add(1, Ordering::Relaxed)),
                    Ok(TakenUp::GivenUp) => drop(abandoned.fetch_add(1, Ordering::Relaxed)),
                    Ok(TakenUp::NotYet) => {}
                    // One order must not keep the others waiting; what is open still is looked at again.
                    Err(error) => tracing::error!(
                        order = %id,
                        error = &error as &dyn std::error::Error,
                        "an order could not be taken up"
                    ),
                }
            };
            stream::iter(page).for_each_concurrent(RESUMED_AT_ONCE, each).await;
            if !full {
                return Ok((resumed.into_inner(), abandoned.into_inner()));
            }
        }
    }

    /// Comes back when somebody has missed the signer.
    pub async fn signer_missed(&self) {
        self.signer_missed.notified().await;
    }

    /// Comes back a while after an order had to be left because logs gave no SCTs, or was found still to be left: it is worth
    /// having a look at it then.
    pub async fn logs_missed(&self) {
        self.logs_missed.notified().await;
        tokio::time::sleep(LOGS_PAUSE_MIN).await;
    }

    /// Whether any of the issuers can be asked to sign.
    pub async fn signer_is_there(&self) -> bool {
        self.issuers_away().await.len() < self.signer.issuers().len()
    }

    /// The issuers that cannot be asked to sign.
    async fn issuers_away(&self) -> BTreeSet<IssuerName> {
        let mut away = BTreeSet::new();
        for issuer in self.signer.issuers() {
            if self.signer.ready(&issuer.name).await.is_err() {
                away.insert(issuer.name.clone());
            }
        }
        away
    }

    async fn take_up(
        self: &Arc<Self>,
        order: Order,
        over_by: Timestamp,
        away: &BTreeSet<IssuerName>,
    ) -> Result<TakenUp, Error> {
        let Some(claim) = &order.claim else {
            return match order.waiting.clone() {
                Some(waiting) => self.take_up_waiting(order, &waiting, away).await,
                None => Ok(TakenUp::NotYet),
            };
        };
        if claim.lease_until > over_by {
            if matches!(&order.precertificate, Some(Precertificate { certificate: None, .. })) {
                self.logs_missed.notify_one();
            }
            return Ok(TakenUp::NotYet);
        }
        let id = order.id;
        let is_unasked = order.asked.is_none();
        let is_logged = matches!(&order.precertificate, Some(Precertificate { certificate: None, .. }));
        if (is_unasked || is_logged) && away.contains(&claim.issuer) {
            self.signer_missed.notify_one();
            return Ok(TakenUp::NotYet);
        }
        if is_logged {
            return self.finish_again(order, over_by).await.map(|()| TakenUp::Yes);
        }
        if is_unasked {
            return self.readopt(order, over_by).await.map(|()| TakenUp::Yes);
        }
        let why = "no signature came before the lease had run out";
        metrics::counter!("ingam_orders_total", "outcome" => "abandoned").increment(1);
        self.abandon(id, AbandonedBy::Finder { over_by }, why, true).await?;
        Ok(TakenUp::GivenUp)
    }

    /// A finalize that found no signer: everything is looked at as of now, as if it came now.
    async fn take_up_waiting(
        self: &Arc<Self>,
        order: Order,
        waiting: &Waiting,
        away: &BTreeSet<IssuerName>,
    ) -> Result<TakenUp, Error> {
        match self.claim_waiting(&order, waiting, away).await {
            Ok(taken) => Ok(taken),
            // A finalize would have left the order as it was for these: it is tried again.
            Err(Error::Refusal(refusal))
                if is_passing_refusal(&refusal) && self.clock.now() < order.expires =>
            {
                tracing::warn!(order = %order.id, detail = refusal.detail, "an order that waited for the signer waits on");
                Ok(TakenUp::NotYet)
            }
            Err(Error::Refusal(refusal)) => {
                self.refuse_waiting(&order, &refusal).await?;
                Ok(TakenUp::GivenUp)
            }
            Err(fault) => Err(fault),
        }
    }

    async fn claim_waiting(
        self: &Arc<Self>,
        order: &Order,
        waiting: &Waiting,
        away: &BTreeSet<IssuerName>,
    ) -> Result<TakenUp, Error> {
        let Some(account) = self.account(order.account)?.filter(|account| account.deactivated.is_none())
        else {
            return Err(Error::refusal(ErrorType::Unauthorized, "the account was deactivated"));
        };
        let profile = self.profile_of(order)?;
        self.refuse_beyond_key(&account, order)?;
        self.refuse_blocked_names(order, &profile)?;
        check_account(&profile, &account)?;
        check_dates(order, &profile, self.clock.now())?;
        let request = read_request(&waiting.csr, &account, order, &profile)?;
        self.refuse_key(request.key(), ErrorType::BadCsr)?;
        // Nobody is asked about CAA for an issuer that could not sign.
        if profile.issuers.signing().any(|issuer| !away.contains(issuer)) {
            let looked = self.look_again(order, &profile, None).await?;
            let Ok(prepared) = self.prepare(&request, order, profile.clone()).await? else {
                self.signer_missed.notify_one();
                return Ok(TakenUp::NotYet);
            };
            let lasts = length(prepared.not_before(), prepared.not_after());
            self.refuse_length(&profile, lasts, self.clock.now())?;
            self.lint_outside(&prepared, order, None).await?;
            let claimed = Claimant { looked: &looked, caller: None, is_counted: true };
            match self.claim(order, &prepared, &request, &waiting.csr, claimed).await? {
                Ok(token) => self.finish_in_time(order.id, token, prepared).await?,
                Err(OrderStatus::Invalid) => {
                    let why = "the order or an authorization ended before the certificate could be made: make a new order";
                    return Err(Error::refusal(ErrorType::OrderNotReady, why));
                }
                Err(_) => {}
            }
            return Ok(TakenUp::Yes);
        }
        self.signer_missed.notify_one();
        Ok(TakenUp::NotYet)
    }

    /// What would be refused at a finalize ends an order that waited, as its client is not there to be told.
    async fn refuse_waiting(&self, order: &Order, refusal: &Refusal) -> Result<(), Error> {
        let failure = Failure { error: refusal.error, detail: refusal.detail.clone() };
        let evidence = FailedEvidence { order: order.id, failure: &failure };
        let record = self.record(RecordType::OrderFailed, Some(order.account), None, &evidence)?;
        // Whoever claimed it meanwhile has it.
        let _ = self.store.order_refuse(order.id, failure, record).await?;
        tracing::warn!(order = %order.id, detail = refusal.detail, "an order that waited for the signer was refused");
        Ok(())
    }

    /// A precertificate without its certificate: logs are asked again, under a new lease.
    async fn finish_again(self: &Arc<Self>, order: Order, over_by: Timestamp) -> Result<(), Error> {
        let now = self.clock.now();
        let token = Id::new(now, self.random.as_ref());
        let lease_until = now.plus(self.policy().lease);
        let Ok(order) = self.store.order_readopt(order.id, token, lease_until, over_by).await? else {
            return Ok(());
        };
        let (Some(claim), Some(precertificate)) = (order.claim, order.precertificate) else { return Ok(()) };
        let mut issuance = Issuance::resumed(order.id, token, &claim);
        let validity = ingam_protocol::certificate::Validity::read(&precertificate.der);
        issuance.not_before = validity.map_or(issuance.not_before, |validity| validity.not_before);
        let (der, tbs) = (precertificate.der.to_vec(), claim.tbs.to_vec());
        let authority = self.clone();
        self.in_time(async move { authority.log_and_finish(&issuance, der, tbs).await }).await
    }

    /// The same bytes, checked again, under a new lease.
    async fn readopt(self: &Arc<Self>, order: Order, over_by: Timestamp) -> Result<(), Error> {
        let now = self.clock.now();
        let token = Id::new(now, self.random.as_ref());
        let lease_until = now.plus(self.policy().lease);
        // A claim of an earlier version does not say when CAA was looked at: not later than it was made.
        let claimed = |claim: &Claim| claim.looked_at.unwrap_or_else(|| claim.token.time());
        let looked_at = order.claim.as_ref().map_or(now, claimed);
        let Ok(order) = self.store.order_readopt(order.id, token, lease_until, over_by).await? else {
            return Ok(());
        };
        let Some(claim) = order.claim.as_ref() else { return Ok(()) };
        let Ok(profile) = self.profile_of(&order) else {
            let why = "its profile is not offered any more";
            return self.abandon(order.id, AbandonedBy::Holder(token), why, false).await;
        };
        if let Some(why) = self.not_any_more(&order, claim, &profile, looked_at)? {
            return self.abandon(order.id, AbandonedBy::Holder(token), why, false).await;
        }
        let prepared = match self.signer.adopt(profile.clone(), claim.tbs.to_vec()).await {
            Ok(prepared) if prepared.serial() == &claim.serial => prepared,
            Err(cause) if is_passing(&cause) => {
                return self.give_back(&Issuance::resumed(order.id, token, claim), &cause).await;
            }
            Ok(_) | Err(_) => {
                let why = "the prepared bytes do not pass the checks any more";
                return self.abandon(order.id, AbandonedBy::Holder(token), why, false).await;
            }
        };
        let lasts = length(prepared.not_before(), prepared.not_after());
        if self.is_too_long(&profile, lasts, now) {
            let why = "its certificate would be valid for longer than the rules allow by now";
            return self.abandon(order.id, AbandonedBy::Holder(token), why, false).await;
        }
        self.finish_in_time(order.id, token, prepared).await
    }

    /// Why an order may not be signed any more: what was looked at before the claim, at `looked_at`, may have changed since.
    fn not_any_more(
        &self,
        order: &Order,
        claim: &Claim,
        profile: &Profile,
        looked_at: Timestamp,
    ) -> Result<Option<&'static str>, Error> {
        let now = self.clock.now();
        if now > looked_at.plus(CAA_AGE_MAX) {
            return Ok(Some("CAA was looked at too long ago"));
        }
        let has_names = order.identifiers.iter().any(|identifier| identifier.name().is_some());
        if has_names && self.corroboration_lack(profile.is_public, claim.quorum, looked_at).is_some() {
            return Ok(Some("CAA was seen by too few perspectives"));
        }
        for id in &order.authorizations {
            let authorization = self.store.authorization_by_id(*id)?;
            let held = authorization.filter(|held| held.status(now) == AuthorizationStatus::Valid);
            let until = held.and_then(|held| self.counts_until(&held, profile));
            if until.is_none_or(|until| until <= now) {
                return Ok(Some("control of one of its names does not count any more"));
            }
        }
        let Some(account) = self.account(order.account)?.filter(|account| account.deactivated.is_none())
        else {
            return Ok(Some("its account was deactivated"));
        };
        let mut blocked = self.key_is_blocked(&account.key)?;
        for name in claim.key_names() {
            blocked |= self.store.key_blocked(name)?;
        }
        if blocked {
            return Ok(Some("its key or its account's key was blocked"));
        }
        if self.refuse_blocked_names(order, profile).is_err() {
            return Ok(Some("one of its names was blocked"));
        }
        Ok(self
            .refuse_beyond_key(&account, order)
            .is_err()
            .then_some("its account's external key does not permit it"))
    }
}

/// Whether coming again can help, for nothing that the client would have to change.
fn is_passing_refusal(refusal: &Refusal) -> bool {
    refusal.retry_after.is_some()
        || matches!(refusal.error, ErrorType::Dns | ErrorType::RateLimited | ErrorType::ServerInternal)
}

/// What came of taking an order up.
enum TakenUp {
    Yes,
    GivenUp,
    NotYet,
}
