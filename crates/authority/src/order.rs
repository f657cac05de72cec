//! Orders and what they lead to, as clients see them (RFC 8555, sections 7.1.3, 7.4 and 7.5).

use ingam_protocol::acme::{
    Account, Authorization, AuthorizationStatus, ErrorType, Failure, NewOrder, Order, OrderStatus, Verdict,
};
use ingam_protocol::identifier::Identifier;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Serial};
use ingam_signer::Issuer;
use ingam_store::CertificateRow;

use crate::Authority;
use crate::admission::{Dates, check_account};
use crate::error::Error;
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
    /// The certificate that it replaces, as the client named it (RFC 9773, section 5); which that is, the order has.
    pub replaces: Option<String>,
}

/// A certificate and what goes with it.
#[derive(Clone, Debug)]
pub struct CertificateView {
    /// DER of the certificate.
    pub der: Vec<u8>,
    /// Who signed it.
    pub issuer: Issuer,
}

/// An order that passed every check but those on limits, and is not in yet.
pub(crate) struct Draft {
    pub(crate) order: Order,
    /// Those of its authorizations that have to be shown.
    pub(crate) authorizations: Vec<Authorization>,
}

impl Authority {
    /// newOrder (RFC 8555, section 7.4; draft-ietf-acme-profiles; RFC 9444, section 4.2). What its account has shown
    /// control of before need not be shown again, as far as the profile allows: the order can be `ready` at once.
    ///
    /// # Errors
    /// Refusals: `malformed`, `rejectedIdentifier`, `unsupportedIdentifier` (with one subproblem for each bad
    /// identifier), `invalidProfile`, `unauthorized` for a profile that is not for this account,
    /// `rateLimited`, or `unauthorized` if the key to which it is bound was withdrawn, `userActionRequired` where the terms
    /// have changed; for `replaces` `alreadyReplaced`, `unauthorized` and `malformed`; `serverInternal` where the rules of the
    /// day do not let the profile issue to the public.
    pub async fn order_create(
        &self,
        account: &Account,
        request: NewOrder,
        caller: &Caller,
    ) -> Result<OrderView, Error> {
        let draft = self.order_draft(account, &request)?;
        let admission = self.order_admission(account, &draft);
        let Draft { order, authorizations } = draft;
        let evidence = OrderEvidence { order: &order, authorizations: &authorizations };
        let record = self.record(RecordType::OrderCreated, Some(account.id), Some(caller), &evidence)?;
        let admitted = self.store.order_insert(order.clone(), authorizations, record, admission).await?;
        self.admitted(admitted, &order.identifiers)?;
        self.order_view(order)
    }

    /// The order that a newOrder asks for, if it can be had. Nothing is changed.
    pub(crate) fn order_draft(&self, account: &Account, request: &NewOrder) -> Result<Draft, Error> {
        let now = self.clock.now();
        self.check_terms(account)?;
        let key = self.key_in_force(account)?;
        let profile = self.profile_wished(request.profile.as_deref(), key.as_ref())?;
        check_account(&profile, account)?;
        let dates = Dates::wished(request, &profile, now)?;
        self.refuse_unfit(&profile, dates, now)?;
        let wanted = self.identifiers_wanted(&request.identifiers, &profile, key.as_ref())?;
        let authorizations = self.authorizations_for(account.id, &wanted, &profile, now)?;
        let identifiers: Vec<Identifier> = wanted.into_iter().map(|one| one.identifier).collect();
        let replaces = self.replaced(account, request.replaces.as_deref(), &identifiers)?;
        let order = Order {
            id: Id::new(now, self.random.as_ref()),
            account: account.id,
            created: now,
            expires: authorizations.earliest_end.min(now.plus(profile.order_lifetime)),
            identifiers,
            profile: profile.name.clone(),
            authorizations: authorizations.ids,
            not_before: dates.not_before,
            not_after: dates.not_after,
            replaces,
            waiting: None,
            claim: None,
            asked: None,
            precertificate: None,
            certificate: None,
            failure: None,
        };
        Ok(Draft { order, authorizations: authorizations.new })
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
        self.certificate_view(issuer, serial, |row| row.account == account.id)
    }

    /// A certificate, for whoever knows issuer and serial number; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn certificate_for_anybody(
        &self,
        issuer: &IssuerName,
        serial: &Serial,
    ) -> Result<Option<CertificateView>, Error> {
        self.certificate_view(issuer, serial, |_| true)
    }

    /// An issuing CA of this name; `None` if there is none.
    pub fn issuer(&self, name: &IssuerName) -> Option<&Issuer> {
        self.signer.issuers().iter().find(|issuer| issuer.name == *name)
    }

    fn certificate_view(
        &self,
        issuer: &IssuerName,
        serial: &Serial,
        may_have: impl Fn(&CertificateRow) -> bool,
    ) -> Result<Option<CertificateView>, Error> {
        let row = self.store.certificate_by_serial(issuer, serial)?.filter(may_have);
        Ok(row
            .zip(self.issuer(issuer))
            .map(|(row, issuer)| CertificateView { der: row.der.to_vec(), issuer: issuer.clone() }))
    }

    pub(crate) fn order_view(&self, order: Order) -> Result<OrderView, Error> {
        let status = self.store.order_status(&order, self.clock.now())?;
        let error = match (status, &order.failure) {
            (OrderStatus::Invalid, None) => self.why_invalid(&order)?,
            (_, failure) => failure.clone(),
        };
        let issuer = order.claim.as_ref().map(|claim| claim.issuer.clone());
        let replaces = self.replaces_text(&order);
        Ok(OrderView { order, status, error, issuer, replaces })
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
