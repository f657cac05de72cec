//! From a finalized order to a certificate on record: the order of operations that never changes.
//!
//! ```text
//! 1. finalize: CSR, account, authorizations, CAA ─▶ prepare, lint, show linters ─▶ order_claim  (bytes on record)
//! 2. order_ask (on record) ─▶ signer.issue ─▶ order_complete                              (status good, order valid)
//!                                        └─▶ order_precertify                             (status good)
//! 3. logs' SCTs ─▶ signer.finish ─▶ order_finish (on record) ─▶ signer.issue ─▶ order_complete
//! 4. later: what was left is taken up, or the order fails and the serial is revoked
//! ```
//!
//! A refusal before the claim costs nothing: the order stays ready. If the signer is not there, it waits, with its CSR on
//! record. `signing` has steps 2 and 3, `resumption` step 4.

mod resumption;
mod signing;

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use ingam_protocol::Id;
use ingam_protocol::acme::{Account, Authorization, Claim, ErrorType, Order, OrderStatus, Waiting};
use ingam_protocol::csr::{CsrError, SigningRequest};
use ingam_protocol::profile::Profile;
use ingam_protocol::record::RecordType;
use ingam_signer::{CertificateRequest, Prepared};
use ingam_store::Claimed;
use tracing::{Instrument, debug_span};

use crate::Authority;
use crate::admission::{check_account, check_dates};
use crate::error::{Error, Refusal, Subproblem};
use crate::evidence::{
    Caller, Looked, PreparedEvidence, RefusedEvidence, ShownEvidence, WaitingEvidence, json,
};
use crate::external;
use crate::key_check::{bad_key, blocked_key};
use crate::order::OrderView;
use crate::public::length;

/// At most this much of what was seen of CAA for one order is kept; everybody's names together have far less.
const CAA_BYTES_MAX: usize = 6 << 20;

/// So many of an order's names are asked about at once.
const CAA_AT_ONCE: usize = 8;

impl Authority {
    /// finalize (RFC 8555, section 7.4). Waits a configured time for the certificate; the order may come back
    /// `processing`. A second finalize of an order that is past `ready` changes nothing and gives the order as it is.
    /// `None` if this account has no such order.
    ///
    /// # Errors
    /// Refusals: `orderNotReady`, `badCSR`, `badPublicKey`, `caa`, `rateLimited`, `unauthorized`, `rejectedIdentifier`,
    /// `invalidProfile`; `serverInternal` where the rules of the day do not let the profile issue to the public, or an
    /// outside linter stops the certificate.
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
        self.refuse_key(request.key(), ErrorType::BadCsr)?;
        let looked = self.look_again(&view.order, &profile, Some(caller)).await?;
        let prepared = match self.prepare(&request, &view.order, profile.clone()).await? {
            Ok(prepared) => prepared,
            Err(Away(why)) => {
                return match self.put_by(&view.order, csr, caller, &why).await? {
                    Err(status) => self.after_lost_claim(account, id, status),
                    Ok(()) => self.order(account, id),
                };
            }
        };
        let lasts = length(prepared.not_before(), prepared.not_after());
        self.refuse_length(&profile, lasts, self.clock.now())?;
        self.lint_outside(&prepared, &view.order, Some(caller)).await?;
        let claimed = Claimant { looked: &looked, caller: Some(caller), is_counted: true };
        match self.claim(&view.order, &prepared, &request, csr, claimed).await? {
            Err(status) => return self.after_lost_claim(account, id, status),
            Ok(token) => self.finish_in_time(id, token, prepared).await?,
        }
        self.order(account, id)
    }

    /// The signer is not there: the order waits for it, and nothing is lost.
    async fn put_by(
        &self,
        order: &Order,
        csr: &[u8],
        caller: &Caller,
        why: &str,
    ) -> Result<Result<(), OrderStatus>, Error> {
        let evidence = WaitingEvidence { order: order.id, csr: csr.into(), why };
        let record = self.record(RecordType::IssuanceWaits, Some(order.account), Some(caller), &evidence)?;
        let waiting = Waiting { since: self.clock.now(), csr: csr.into() };
        let outcome = self.store.order_wait(order.id, waiting, record).await?;
        tracing::warn!(order = %order.id, why, "the signer is not there: an order waits for it");
        self.signer_missed.notify_one();
        Ok(outcome)
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
    ) -> Result<Result<Prepared, Away>, Error> {
        let now = self.clock.now();
        let must_staple = profile.contents.must_staple.answer(request.asks_must_staple()).unwrap_or_default();
        let issuer = self.issuer_for(&profile, order, now).await?;
        let certificate = CertificateRequest {
            serial: self.policy().crl_shards.serial(&issuer, self.random.as_ref()),
            issuer,
            must_staple,
            profile,
            identifiers: order.identifiers.clone(),
            public_key_info: request.public_key_info().to_vec(),
            not_before: order.not_before,
            not_after: order.not_after,
            now,
        };
        match self.signer.prepare(certificate).instrument(debug_span!("signer", doing = "prepare")).await {
            Ok(prepared) => Ok(Ok(prepared)),
            Err(ingam_signer::Error::Away(why)) => Ok(Err(Away(why))),
            Err(cause) => Err(Error::signer("preparing a certificate", cause)),
        }
    }

    /// Step 1's transaction. The lease's token, or the status that the order has instead of `ready`.
    pub(crate) async fn claim(
        &self,
        order: &Order,
        prepared: &Prepared,
        request: &SigningRequest,
        csr: &[u8],
        claimant: Claimant<'_>,
    ) -> Result<Result<Id, OrderStatus>, Error> {
        let Claimant { looked, caller, is_counted } = claimant;
        let now = self.clock.now();
        let mut claim = Claim {
            token: Id::new(now, self.random.as_ref()),
            lease_until: now.plus(self.policy().lease),
            serial: prepared.serial().clone(),
            issuer: prepared.issuer().clone(),
            not_after: prepared.not_after(),
            key_thumbprint: request.key().thumbprint().as_slice().into(),
            key_spki_hash: Some(request.key().spki_hash().as_slice().into()),
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
        let demands = if is_counted { self.claim_demands(order) } else { Vec::new() };
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
            Claimed::KeyBlocked => Err(blocked_key(ErrorType::BadCsr)),
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
    async fn look_again(
        &self,
        order: &Order,
        profile: &Profile,
        caller: Option<&Caller>,
    ) -> Result<Looked, Error> {
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
        caller: Option<&Caller>,
    ) -> Result<(), Error> {
        let evidence = RefusedEvidence {
            order: order.id,
            authorizations: &looked.shown,
            caa: &looked.caa,
            error: refusal.error,
            detail: &refusal.detail,
        };
        let record = self.record(RecordType::IssuanceRefused, Some(order.account), caller, &evidence)?;
        Ok(self.store.statuses().records_append(vec![record]).await?)
    }

    /// How often [`Authority::issuances_resume`] is worth running.
    pub fn lease(&self) -> Duration {
        self.policy().lease
    }
}

/// The signer is not there, and why.
pub(crate) struct Away(pub(crate) String);

/// For whom an order is claimed, and by what.
pub(crate) struct Claimant<'a> {
    /// What was looked at before.
    pub(crate) looked: &'a Looked,
    /// Whose request it is; none if nobody asks at this moment.
    pub(crate) caller: Option<&'a Caller>,
    /// Whether limits count it. The CA's own certificate, which nobody asked for, is counted for nobody.
    pub(crate) is_counted: bool,
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
        CsrError::Key(bad) => bad_key(ErrorType::BadCsr, &bad),
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
