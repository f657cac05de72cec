//! From a finalized order to a certificate on record: the order of operations that never changes.
//!
//! ```text
//! 1. finalize: CSR, account, authorizations, CAA ─▶ prepare and lint ─▶ order_claim   (serial and bytes on record)
//! 2.           order_ask (on record) ─▶ signer.issue ─▶ order_complete                 (status good, order valid)
//! 4. later:    lease over before `asked`: the same bytes again; after it: the order fails, the serial is revoked
//! ```
//!
//! Step 3 of docs/issuance.md (SCTs) belongs to precertificates, which no profile has yet. A refusal before the claim
//! costs nothing: the order stays ready.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use ingam_protocol::acme::{
    Account, Authorization, AuthorizationStatus, Claim, ErrorType, Failure, Order, OrderStatus,
};
use ingam_protocol::csr::{CsrError, SigningRequest};
use ingam_protocol::profile::Profile;
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Serial, Timestamp};
use ingam_signer::{CertificateRequest, Prepared};
use ingam_store::{AbandonedBy, Claimed, NewCertificate, Stale};
use tracing::{Instrument, debug_span};

use crate::Authority;
use crate::admission::{check_account, check_dates};
use crate::error::{Error, Fault, Refusal, Subproblem};
use crate::evidence::{
    AbandonedEvidence, AskedEvidence, Caller, IssuedEvidence, Looked, PreparedEvidence, RefusedEvidence,
    ShownEvidence, json,
};
use crate::external;
use crate::order::OrderView;
use crate::public::length;

/// How long an answer about CAA counts (BR 3.2.2.8).
const CAA_AGE_MAX: Duration = Duration::from_secs(8 * 60 * 60);

/// At most this much of what was seen of CAA for one order is kept; everybody's names together have far less.
const CAA_BYTES_MAX: usize = 6 << 20;

/// So many of an order's names are asked about at once.
const CAA_AT_ONCE: usize = 8;

/// At most this many open orders are looked at in one go.
const OPEN_PER_PAGE: usize = 256;

impl Authority {
    /// finalize (RFC 8555, section 7.4). Waits a configured time for the certificate; the order may come back
    /// `processing`. A second finalize of an order that is past `ready` changes nothing and gives the order as it is.
    /// `None` if this account has no such order.
    ///
    /// # Errors
    /// Refusals: `orderNotReady`, `badCSR`, `badPublicKey`, `caa`, `rateLimited`, `unauthorized`, `rejectedIdentifier`,
    /// `invalidProfile`; `serverInternal` where the rules of the day do not let the profile issue to the public.
    pub async fn order_finalize(
        self: &Arc<Self>,
        account: &Account,
        id: Id,
        csr: &[u8],
        caller: &Caller,
    ) -> Result<Option<OrderView>, Error> {
        let Some(view) = self.order(account, id)? else { return Ok(None) };
        match view.status {
            OrderStatus::Ready => {}
            OrderStatus::Processing | OrderStatus::Valid => return Ok(Some(view)),
            OrderStatus::Pending => {
                let why = "not every authorization is valid yet: answer the challenges, then finalize";
                return Err(Error::refusal(ErrorType::OrderNotReady, why));
            }
            OrderStatus::Invalid => {
                let why = view.error.map_or(String::new(), |failure| format!(": {}", failure.detail));
                return Err(Error::refusal(ErrorType::OrderNotReady, format!("the order is invalid{why}")));
            }
        }
        self.refuse_beyond_key(account, &view.order)?;
        let profile = self.profile_of(&view.order)?;
        self.refuse_blocked_names(&view.order, &profile)?;
        check_account(&profile, account)?;
        check_dates(&view.order, &profile, self.clock.now())?;
        self.refuse_purposes(&profile, self.clock.now())?;
        let request = read_request(csr, account, &view.order, &profile)?;
        let looked = self.look_again(&view.order, &profile, caller).await?;
        let prepared = self.prepare(&request, &view.order, profile.clone()).await?;
        let lasts = length(prepared.not_before(), prepared.not_after());
        self.refuse_length(&profile, lasts, self.clock.now())?;
        match self.claim(&view.order, &prepared, &request, csr, &looked, Some(caller)).await? {
            Err(status) => return self.after_lost_claim(account, id, status),
            Ok(token) => self.finish_in_time(id, token, prepared).await?,
        }
        self.order(account, id)
    }

    /// Names may have been blocked since the order was made.
    fn refuse_blocked_names(&self, order: &Order, profile: &Profile) -> Result<(), Error> {
        for identifier in &order.identifiers {
            let beyond = profile.identifiers.refuses(identifier).map(str::to_owned);
            let refused = match beyond {
                Some(why) => Some(why),
                None => self.identifier_refused(identifier, profile)?,
            };
            if let Some(why) = refused {
                let subproblem = Subproblem::of(identifier, ErrorType::RejectedIdentifier, why.clone());
                let refusal = Refusal::new(ErrorType::RejectedIdentifier, format!("{identifier}: {why}"));
                return Err(Refusal { subproblems: vec![subproblem], ..refusal }.into());
            }
        }
        Ok(())
    }

    pub(crate) async fn prepare(
        &self,
        request: &SigningRequest,
        order: &Order,
        profile: Arc<Profile>,
    ) -> Result<Prepared, Error> {
        let now = self.clock.now();
        let must_staple = profile.contents.must_staple.answer(request.asks_must_staple()).unwrap_or_default();
        let certificate = CertificateRequest {
            issuer: self.issuer_for(&profile, order, now)?,
            must_staple,
            profile,
            serial: Serial::new(self.random.as_ref()),
            identifiers: order.identifiers.clone(),
            public_key_info: request.public_key_info().to_vec(),
            not_before: order.not_before,
            not_after: order.not_after,
            now,
        };
        let prepared =
            self.signer.prepare(certificate).instrument(debug_span!("signer", doing = "prepare")).await;
        prepared.map_err(|cause| Error::signer("preparing a certificate", cause))
    }

    /// Step 1's transaction. The lease's token, or the status that the order has instead of `ready`.
    pub(crate) async fn claim(
        &self,
        order: &Order,
        prepared: &Prepared,
        request: &SigningRequest,
        csr: &[u8],
        looked: &Looked,
        caller: Option<&Caller>,
    ) -> Result<Result<Id, OrderStatus>, Error> {
        let now = self.clock.now();
        let mut claim = Claim {
            token: Id::new(now, self.random.as_ref()),
            lease_until: now.plus(self.policy().lease),
            serial: prepared.serial().clone(),
            issuer: prepared.issuer().clone(),
            not_after: prepared.not_after(),
            key_thumbprint: request.key().thumbprint().as_slice().into(),
            tbs: prepared.tbs().into(),
            looked_at: looked.at,
            quorum: looked.quorum(),
            record: None,
        };
        let token = claim.token;
        let (authorizations, caa) = (looked.shown.as_slice(), looked.caa.as_slice());
        let evidence =
            PreparedEvidence { order: order.id, claim: &claim, csr: csr.into(), authorizations, caa };
        let record = self
            .record(RecordType::CertificatePrepared, Some(order.account), caller, &evidence)?
            .ending(claim.not_after);
        claim.record = Some(record.id);
        // The CA's own certificate, which nobody asked for, is counted for nobody.
        let demands = caller.map_or(Vec::new(), |_| self.claim_demands(order));
        let claimed = self.store.order_claim(order.id, claim, now, record, demands).await?;
        match claimed {
            Claimed::Yes => Ok(Ok(token)),
            Claimed::No(status) => Ok(Err(status)),
            Claimed::Missing => Err(Error::refusal(ErrorType::Unauthorized, "the account was deactivated")),
            Claimed::AccountKeyBlocked => {
                let why =
                    "the account's key is known to be compromised: register a new account with another key";
                Err(Error::refusal(ErrorType::Unauthorized, why))
            }
            Claimed::KeyBlocked => {
                let why = "the CSR's key is known to be compromised: make a new one";
                Err(Error::refusal(ErrorType::BadCsr, why))
            }
            Claimed::Limited(limited) => Err(self.limited(limited)),
            Claimed::NameBlocked => {
                // Says which, unless the rule was taken back again in this moment.
                self.refuse_blocked_names(order, &*self.profile_of(order)?)?;
                let why = "one of the names was blocked meanwhile: make a new order";
                Err(Error::refusal(ErrorType::RejectedIdentifier, why))
            }
            Claimed::ExternalKeyWithdrawn(key) => Err(external::withdrawn(key)),
        }
    }

    fn after_lost_claim(
        &self,
        account: &Account,
        id: Id,
        status: OrderStatus,
    ) -> Result<Option<OrderView>, Error> {
        match status {
            // Another finalize was first: this one only looks.
            OrderStatus::Processing | OrderStatus::Valid => self.order(account, id),
            _ => Err(Error::refusal(
                ErrorType::OrderNotReady,
                "an authorization ended meanwhile: make a new order",
            )),
        }
    }

    /// Steps 2 to the end, in a task that goes on even if the client leaves; waits for it only so long.
    async fn finish_in_time(self: &Arc<Self>, id: Id, token: Id, prepared: Prepared) -> Result<(), Error> {
        let authority = self.clone();
        let held = self.in_hand.hold();
        let work = async move {
            let _held = held;
            authority.sign(id, token, prepared).await
        };
        let task = tokio::spawn(work.in_current_span());
        match tokio::time::timeout(self.policy().finalize_wait, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(cause)) => Err(Error::Fault(Fault {
                code: "issuance_task",
                doing: "finishing an order",
                passing: false,
                source: Box::new(cause),
            })),
            // The client sees `processing` and asks again.
            Err(_) => Ok(()),
        }
    }

    /// Step 2: on record that the signer is asked, the signature, on record that it is there.
    pub(crate) async fn sign(&self, id: Id, token: Id, prepared: Prepared) -> Result<(), Error> {
        let (issuer, serial) = (prepared.issuer().clone(), prepared.serial().clone());
        let (not_before, not_after) = (prepared.not_before(), prepared.not_after());
        let evidence = AskedEvidence { order: id, token, issuer: &issuer, serial: &serial };
        let record = self.record(RecordType::SignatureAsked, None, None, &evidence)?.ending(not_after);
        if self.store.order_ask(id, token, self.clock.now(), record).await? == Err(Stale) {
            // The key was not used. Nothing is given up here if somebody else has the order; else it must not go on.
            let why = "what the claim looked at has changed, or somebody else has the order";
            return self.abandon(id, AbandonedBy::Holder(token), why, false).await;
        }
        let signing = self.signer.issue(prepared).instrument(debug_span!("signer", doing = "issue"));
        let der = match signing.await {
            Ok(der) => der,
            Err(cause) => {
                let error = Error::signer("signing a certificate", cause);
                self.abandon(id, AbandonedBy::Holder(token), "the signer did not sign", true).await?;
                metrics::counter!("ingam_orders_total", "outcome" => "failed").increment(1);
                return Err(error);
            }
        };
        let issued = IssuedEvidence {
            order: id,
            issuer: &issuer,
            serial: &serial,
            certificate: der.as_slice().into(),
        };
        let record = self.record(RecordType::CertificateIssued, None, None, &issued)?.ending(not_after);
        let late = AbandonedEvidence {
            order: id,
            issuer: &issuer,
            serial: &serial,
            why: "the signature came after the lease had run out",
            asked: true,
            certificate: Some(der.as_slice().into()),
        };
        let late = self.record(RecordType::IssuanceAbandoned, None, None, &late)?.ending(not_after);
        let certificate = NewCertificate { der: der.into(), not_before, issued: self.clock.now() };
        let outcome = self.store.order_complete(id, token, certificate, record, late).await?;
        let label = if outcome.is_ok() { "issued" } else { "late" };
        tracing::info!(order = %id, %issuer, %serial, outcome = label, "a certificate was signed");
        metrics::counter!("ingam_orders_total", "outcome" => label).increment(1);
        Ok(())
    }

    /// Step 4: takes up what was left between the claim and the end. Harmless at any time, as only leases that have run
    /// out are touched; at a start all have, as the process that held them is gone. Gives how many orders were taken up
    /// and how many were given up.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub async fn issuances_resume(self: &Arc<Self>, at_start: bool) -> Result<(usize, usize), Error> {
        let (mut resumed, mut abandoned) = (0, 0);
        let over_by = if at_start { Timestamp::from_unix_s(u64::MAX) } else { self.clock.now() };
        let mut after = None;
        loop {
            let page = self.store.issuances_open(after, OPEN_PER_PAGE)?;
            after = page.last().map(|order| order.id);
            let full = page.len() == OPEN_PER_PAGE;
            for order in page {
                let id = order.id;
                if order.claim.as_ref().is_none_or(|claim| claim.lease_until > over_by) {
                    continue;
                }
                let outcome = if order.asked.is_some() {
                    abandoned += 1;
                    let why = "no signature came before the lease had run out";
                    metrics::counter!("ingam_orders_total", "outcome" => "abandoned").increment(1);
                    self.abandon(id, AbandonedBy::Finder { over_by }, why, true).await
                } else {
                    resumed += 1;
                    self.readopt(order, over_by).await
                };
                if let Err(error) = outcome {
                    // One order must not keep the others waiting; what is open still is looked at again.
                    tracing::error!(
                        order = %id,
                        error = &error as &dyn std::error::Error,
                        "an order could not be taken up"
                    );
                }
            }
            if !full {
                return Ok((resumed, abandoned));
            }
        }
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
        let key = <[u8; 32]>::try_from(&claim.key_thumbprint[..]).unwrap_or_default();
        if self.key_is_blocked(&account.key)? || self.store.key_blocked(&key)? {
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

    async fn abandon(&self, id: Id, by: AbandonedBy, why: &'static str, asked: bool) -> Result<(), Error> {
        let Some(order) = self.store.order_by_id(id)? else { return Ok(()) };
        let Some(claim) = order.claim.as_ref() else { return Ok(()) };
        let evidence = AbandonedEvidence {
            order: id,
            issuer: &claim.issuer,
            serial: &claim.serial,
            why,
            asked,
            certificate: None,
        };
        let record = self
            .record(RecordType::IssuanceAbandoned, Some(order.account), None, &evidence)?
            .ending(claim.not_after);
        let failure = Failure {
            error: ErrorType::ServerInternal,
            detail: "the certificate could not be made: make a new order".to_owned(),
        };
        // Whoever else ended it meanwhile ended it well enough.
        let _ = self.store.order_abandon(id, by, failure, self.clock.now(), record).await?;
        tracing::warn!(order = %id, why, asked, "an issuance was given up");
        Ok(())
    }

    fn profile_of(&self, order: &Order) -> Result<Arc<Profile>, Error> {
        self.policy().catalog.by_name(order.profile.as_str()).cloned().ok_or_else(|| {
            Error::refusal(
                ErrorType::InvalidProfile,
                "the order's profile is not offered any more: make a new order",
            )
        })
    }

    /// What counts as of now: by what control of each identifier was shown, and CAA, asked for every name itself, wherever
    /// control was shown (RFC 8659; BR 3.2.2.8).
    async fn look_again(&self, order: &Order, profile: &Profile, caller: &Caller) -> Result<Looked, Error> {
        let now = self.clock.now();
        self.refuse_alone(profile.is_public, now)?;
        let mut looked = Looked { at: Some(now), ..Looked::default() };
        let mut checks = Vec::with_capacity(order.identifiers.len());
        for (identifier, id) in order.identifiers.iter().zip(&order.authorizations) {
            let authorization = self.store.authorization_by_id(*id)?;
            // As of now, for this profile as it is now: either may have changed since the order was made.
            let counting = authorization.as_ref().filter(|authorization| {
                self.counts_until(authorization, profile).is_some_and(|until| now < until)
            });
            let challenge = counting.and_then(Authorization::valid_challenge);
            let shown = counting.and_then(|authorization| ShownEvidence::of(identifier, authorization));
            let Some((challenge, shown)) = challenge.map(|challenge| challenge.kind).zip(shown) else {
                return Err(Error::refusal(
                    ErrorType::OrderNotReady,
                    "an authorization ended meanwhile: make a new order",
                ));
            };
            looked.shown.push(shown);
            let Some(query) = self.caa_query(identifier, challenge, order.account) else { continue };
            let check = self.validation.check_caa(query).instrument(debug_span!("validation", doing = "caa"));
            checks.push(async move { (identifier, check.await) });
        }
        // A few at once: the places to look at the network are everybody's.
        let _turn = self.finalizing.acquire().await;
        let outcomes: Vec<_> = stream::iter(checks).buffered(CAA_AT_ONCE).collect().await;
        let mut forbidden = Vec::new();
        let mut lack = None;
        for (identifier, mut outcome) in outcomes {
            outcome.report.take().into_iter().for_each(|report| self.reports.submit(report));
            if let Err(failure) = &outcome.result {
                forbidden.push(Subproblem::of(identifier, failure.error, failure.detail.as_str()));
            }
            let quorum = outcome.corroboration.as_ref().map(|corroboration| corroboration.quorum);
            lack = lack.or_else(|| self.corroboration_lack(profile.is_public, quorum, now));
            looked.caa.push(outcome.into());
        }
        let kept_bytes = json(&looked.caa)?.len();
        if kept_bytes > CAA_BYTES_MAX {
            let why = format!(
                "what was seen of CAA for these names has {kept_bytes} bytes, and {CAA_BYTES_MAX} of an order can be kept on \
                 record: order fewer names at once"
            );
            return Err(Error::refusal(ErrorType::RejectedIdentifier, why));
        }
        let refusal = match (forbidden.first(), lack) {
            (None, None) => return Ok(looked),
            (None, Some(lack)) => Self::caa_alone(order, &lack),
            (Some(first), _) => {
                let refusal = Refusal::new(first.error, format!("{}: {}", first.identifier, first.detail));
                Refusal { subproblems: forbidden, ..refusal }
            }
        };
        self.issuance_refused(order, &looked, &refusal, caller).await?;
        Err(refusal.into())
    }

    /// A refusal by what was seen is on record before the client hears of it.
    async fn issuance_refused(
        &self,
        order: &Order,
        looked: &Looked,
        refusal: &Refusal,
        caller: &Caller,
    ) -> Result<(), Error> {
        let evidence = RefusedEvidence {
            order: order.id,
            authorizations: &looked.shown,
            caa: &looked.caa,
            error: refusal.error,
            detail: &refusal.detail,
        };
        let record =
            self.record(RecordType::IssuanceRefused, Some(order.account), Some(caller), &evidence)?;
        Ok(self.store.statuses().records_append(vec![record]).await?)
    }

    /// How often [`Authority::issuances_resume`] is worth running.
    pub fn lease(&self) -> Duration {
        self.policy().lease
    }
}

/// The CSR's checks that need order, account and profile (RFC 8555, section 7.4).
pub(crate) fn read_request(
    csr: &[u8],
    account: &Account,
    order: &Order,
    profile: &Profile,
) -> Result<SigningRequest, Error> {
    let request = SigningRequest::parse(csr).map_err(|bad| match bad {
        CsrError::Bad(why) => Error::refusal(ErrorType::BadCsr, why),
        // RFC 8555, section 6.7: badPublicKey is for JWS keys; a CSR's key makes a bad CSR.
        key @ CsrError::Key(_) => Error::refusal(ErrorType::BadCsr, key.to_string()),
    })?;
    if request.key() == &account.key {
        return Err(Error::refusal(
            ErrorType::BadCsr,
            "the CSR's key is the account's key: make another one",
        ));
    }
    if let Some(why) = profile.key_refusal(request.key()) {
        return Err(Error::refusal(ErrorType::BadCsr, why));
    }
    if profile.contents.must_staple.answer(request.asks_must_staple()).is_none() {
        let why = format!(
            "the CSR asks for must-staple (RFC 7633), which the profile \"{}\" does not offer: leave it out, or order another \
             profile",
            profile.name
        );
        return Err(Error::refusal(ErrorType::BadCsr, why));
    }
    let wanted: std::collections::BTreeSet<_> = order.identifiers.iter().cloned().collect();
    if request.identifiers() != &wanted {
        let list = |set: Vec<String>| if set.is_empty() { "none".to_owned() } else { set.join(", ") };
        let missing = wanted.difference(request.identifiers()).map(ToString::to_string).collect();
        let extra = request.identifiers().difference(&wanted).map(ToString::to_string).collect();
        return Err(Error::refusal(
            ErrorType::BadCsr,
            format!(
                "the CSR's names are not the order's: missing {}; not ordered {}",
                list(missing),
                list(extra)
            ),
        ));
    }
    Ok(request)
}
