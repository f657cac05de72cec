//! Orders and what they lead to, as clients see them (RFC 8555, sections 7.1.3, 7.4 and 7.5).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::acme::{
    Account, Authorization, AuthorizationStatus, Challenge, ChallengeType, ErrorType, Failure, NewOrder,
    Order, OrderStatus, UnreadIdentifier, Verdict,
};
use ingam_protocol::bytes::base64url;
use ingam_protocol::identifier::Identifier;
use ingam_protocol::profile::{IssuerName, Profile};
use ingam_protocol::record::RecordType;
use ingam_protocol::time::random_array;
use ingam_protocol::{Id, Serial, Timestamp};
use ingam_signer::Issuer;

use crate::Authority;
use crate::error::{Error, Refusal, Subproblem};
use crate::evidence::{Caller, OrderEvidence};

/// At most this many orders are on one page of an account's list.
const ORDERS_PER_PAGE: usize = 100;

/// An order with what follows from its facts now.
#[derive(Clone, Debug)]
pub struct OrderView {
    /// The facts.
    pub order: Order,
    /// Its status.
    pub status: OrderStatus,
    /// Why it is invalid.
    pub error: Option<Failure>,
    /// Who signed its certificate, for the certificate's URL.
    pub issuer: Option<IssuerName>,
}

/// A certificate and what goes with it.
#[derive(Clone, Debug)]
pub struct CertificateView {
    /// DER of the certificate.
    pub der: Vec<u8>,
    /// Who signed it.
    pub issuer: Issuer,
}

impl Authority {
    /// newOrder (RFC 8555, section 7.4; draft-ietf-acme-profiles).
    ///
    /// # Errors
    /// Refusals: `malformed`, `rejectedIdentifier`, `unsupportedIdentifier` (with one subproblem for each bad
    /// identifier), `invalidProfile`.
    pub async fn order_create(
        &self,
        account: &Account,
        request: NewOrder,
        caller: &Caller,
    ) -> Result<OrderView, Error> {
        let profile = self.profile(request.profile.as_deref())?;
        if request.not_before.is_some() || request.not_after.is_some() {
            return Err(Error::refusal(
                ErrorType::Malformed,
                format!(
                    "the profile \"{}\" fixes the validity: leave \"notBefore\" and \"notAfter\" out",
                    profile.name
                ),
            ));
        }
        let identifiers = self.identifiers(&request.identifiers, &profile)?;
        let now = self.clock.now();
        let authorizations: Vec<Authorization> = identifiers
            .iter()
            .map(|identifier| self.authorization(account.id, identifier, &profile, now))
            .collect();
        let order = Order {
            id: Id::new(now, self.random.as_ref()),
            account: account.id,
            created: now,
            expires: now.plus(profile.order_lifetime),
            identifiers,
            profile: profile.name.clone(),
            authorizations: authorizations.iter().map(|authorization| authorization.id).collect(),
            not_before: None,
            not_after: None,
            replaces: None,
            claim: None,
            asked: None,
            certificate: None,
            failure: None,
        };
        let evidence = OrderEvidence { order: &order, authorizations: &authorizations };
        let record = self.record(RecordType::OrderCreated, Some(account.id), Some(caller), &evidence)?;
        if !self.store.order_insert(order.clone(), authorizations, record).await? {
            return Err(Error::refusal(ErrorType::Unauthorized, "the account was deactivated"));
        }
        Ok(OrderView { order, status: OrderStatus::Pending, error: None, issuer: None })
    }

    /// An order of this account. `None` if there is none of this name; orders of others are as if they were not there.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn order(&self, account: &Account, id: Id) -> Result<Option<OrderView>, Error> {
        match self.store.order_by_id(id)?.filter(|order| order.account == account.id) {
            None => Ok(None),
            Some(order) => self.order_view(order).map(Some),
        }
    }

    /// A page of the account's orders that have not ended badly (RFC 8555, section 7.1.2.1), and where the next begins.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn orders(&self, account: &Account, after: Option<Id>) -> Result<(Vec<Id>, Option<Id>), Error> {
        let now = self.clock.now();
        let ids = self.store.orders_by_account(account.id, after, ORDERS_PER_PAGE)?;
        let next = ids.last().copied().filter(|_| ids.len() == ORDERS_PER_PAGE);
        let mut page = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(order) = self.store.order_by_id(id)?
                && self.store.order_status(&order, now)? != OrderStatus::Invalid
            {
                page.push(id);
            }
        }
        Ok((page, next))
    }

    /// An authorization of this account; `None` as for [`Authority::order`].
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn authorization_of(&self, account: &Account, id: Id) -> Result<Option<Authorization>, Error> {
        Ok(self.store.authorization_by_id(id)?.filter(|authorization| authorization.account == account.id))
    }

    /// Gives up an authorization (RFC 8555, section 7.5.2).
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub async fn authorization_deactivate(
        &self,
        account: &Account,
        id: Id,
        caller: &Caller,
    ) -> Result<Option<Authorization>, Error> {
        if self.authorization_of(account, id)?.is_none() {
            return Ok(None);
        }
        let evidence = serde_json::json!({ "authorization": id });
        let record =
            self.record(RecordType::AuthorizationDeactivated, Some(account.id), Some(caller), &evidence)?;
        Ok(self.store.authorization_deactivate(id, self.clock.now(), record).await?)
    }

    /// A certificate that this account ordered; `None` as for [`Authority::order`].
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn certificate(
        &self,
        account: &Account,
        issuer: &IssuerName,
        serial: &Serial,
    ) -> Result<Option<CertificateView>, Error> {
        let row = self.store.certificate_by_serial(issuer, serial)?.filter(|row| row.account == account.id);
        let issuer = self.signer.issuers().iter().find(|known| known.name == *issuer);
        Ok(row
            .zip(issuer)
            .map(|(row, issuer)| CertificateView { der: row.der.to_vec(), issuer: issuer.clone() }))
    }

    pub(crate) fn order_view(&self, order: Order) -> Result<OrderView, Error> {
        let status = self.store.order_status(&order, self.clock.now())?;
        let error = match (status, &order.failure) {
            (OrderStatus::Invalid, None) => self.why_invalid(&order)?,
            (_, failure) => failure.clone(),
        };
        let issuer = order.claim.as_ref().map(|claim| claim.issuer.clone());
        Ok(OrderView { order, status, error, issuer })
    }

    /// Why an order that nobody failed is invalid: the first of its authorizations that says.
    fn why_invalid(&self, order: &Order) -> Result<Option<Failure>, Error> {
        let now = self.clock.now();
        for id in &order.authorizations {
            let Some(authorization) = self.store.authorization_by_id(*id)? else { continue };
            let status = authorization.status(now);
            if let Some(failure) = failed_challenge(&authorization) {
                let detail = format!("{}: {}", authorization.identifier(), failure.detail);
                return Ok(Some(Failure { error: failure.error, detail }));
            }
            if !matches!(status, AuthorizationStatus::Valid | AuthorizationStatus::Pending) {
                let detail = format!(
                    "the authorization for {} has ended: make a new order",
                    authorization.identifier()
                );
                return Ok(Some(Failure { error: ErrorType::Unauthorized, detail }));
            }
        }
        let detail = "the order was not finalized in time: make a new order".to_owned();
        Ok(Some(Failure { error: ErrorType::Malformed, detail }))
    }

    fn profile(&self, wished: Option<&str>) -> Result<Arc<Profile>, Error> {
        let catalog = &self.policy().catalog;
        match wished {
            None => Ok(catalog.default_profile().clone()),
            Some(name) => catalog.by_name(name).cloned().ok_or_else(|| {
                let names: Vec<&str> = catalog.iter().map(|profile| profile.name.as_str()).collect();
                Error::refusal(
                    ErrorType::InvalidProfile,
                    format!("there is no such profile: use one of {}", names.join(", ")),
                )
            }),
        }
    }

    /// Sorted, each once (RFC 8555, section 7.1.3 asks for no order, and for no identifier twice).
    fn identifiers(&self, unread: &[UnreadIdentifier], profile: &Profile) -> Result<Vec<Identifier>, Error> {
        if unread.is_empty() {
            return Err(Error::refusal(ErrorType::Malformed, "the order has no identifiers"));
        }
        if unread.len() > profile.names_max {
            return Err(Error::refusal(
                ErrorType::Malformed,
                format!(
                    "the order has {} identifiers: at most {} go into one",
                    unread.len(),
                    profile.names_max
                ),
            ));
        }
        let mut identifiers = BTreeMap::new();
        let mut bad = Vec::new();
        for one in unread {
            match self.identifier(one) {
                Ok(identifier) => match self.name_refused(&identifier)? {
                    None => {
                        identifiers.insert(identifier.to_string(), identifier);
                    }
                    Some(why) => {
                        bad.push(Subproblem::of(&identifier, ErrorType::RejectedIdentifier, why));
                    }
                },
                Err(subproblem) => bad.push(subproblem),
            }
        }
        match bad.as_slice() {
            [] => Ok(identifiers.into_values().collect()),
            [only] => {
                let refusal = Refusal::new(only.error, format!("{}: {}", only.identifier, only.detail));
                Err(Refusal { subproblems: bad, ..refusal }.into())
            }
            [first, ..] => {
                let same = bad.iter().all(|other| other.error == first.error);
                let error = if same { first.error } else { ErrorType::Compound };
                let refusal =
                    Refusal::new(error, format!("{} identifiers are refused: see subproblems", bad.len()));
                Err(Refusal { subproblems: bad, ..refusal }.into())
            }
        }
    }

    fn identifier(&self, unread: &UnreadIdentifier) -> Result<Identifier, Subproblem> {
        let cut = |text: &str, length| text.chars().take(length).collect::<String>();
        let refused = |error, detail: String| Subproblem {
            error,
            detail,
            kind: cut(&unread.kind, 32),
            identifier: cut(&unread.value, 260),
        };
        if unread.kind != "dns" {
            let detail = "only identifiers of type \"dns\" are supported".to_owned();
            return Err(refused(ErrorType::UnsupportedIdentifier, detail));
        }
        let identifier = Identifier::parse_dns(&unread.value)
            .map_err(|bad| refused(ErrorType::RejectedIdentifier, bad.to_string()))?;
        Ok(identifier)
    }

    fn authorization(
        &self,
        account: Id,
        identifier: &Identifier,
        profile: &Profile,
        now: Timestamp,
    ) -> Authorization {
        // RFC 8555, section 8.3 and 8737: a wildcard cannot be shown by a file or a handshake at one name.
        let ways: &[ChallengeType] = if identifier.is_wildcard() {
            &[ChallengeType::Dns01]
        } else {
            &[ChallengeType::Http01, ChallengeType::Dns01, ChallengeType::TlsAlpn01]
        };
        let challenge = |kind: &ChallengeType| Challenge {
            kind: *kind,
            token: base64url(&random_array::<32>(self.random.as_ref())),
            answered: None,
            finished: None,
        };
        Authorization {
            id: Id::new(now, self.random.as_ref()),
            account,
            host: identifier.host(),
            wildcard: identifier.is_wildcard(),
            subdomains: false,
            created: now,
            // An order's authorizations need not outlive it while nobody has answered them.
            pending_until: now.plus(profile.pending_authorization_lifetime.min(profile.order_lifetime)),
            valid_for_ms: milliseconds(profile.valid_authorization_lifetime),
            challenges: ways.iter().map(challenge).collect(),
            deactivated: None,
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The failure that made an authorization invalid.
pub(crate) fn failed_challenge(authorization: &Authorization) -> Option<&Failure> {
    authorization.challenges.iter().find_map(|challenge| match &challenge.finished {
        Some(finished) => match &finished.verdict {
            Verdict::Invalid(failure) => Some(failure),
            Verdict::Valid => None,
        },
        None => None,
    })
}
