//! ACME Renewal Information (RFC 9773): when a certificate should be renewed, and which order takes its place.

use std::time::Duration;

use ingam_protocol::acme::{Account, ErrorType, Order, OrderStatus, Replaced};
use ingam_protocol::identifier::Identifier;
use ingam_protocol::renewal::{CertificateId, Window};
use ingam_protocol::{Id, Serial};
use ingam_signer::Issuer;

use crate::Authority;
use crate::error::{Error, Refusal};
use crate::operator::{ActError, CertificateSummary};
use crate::policy::RenewalPolicy;

/// Nobody is asked to come back sooner than this, unless the usual time is shorter still.
const CHECK_AFTER_MIN: Duration = Duration::from_secs(5 * 60);

/// When a certificate should be renewed (RFC 9773, section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalView {
    /// The suggested window.
    pub window: Window,
    /// Why it is where it is, for people: of a window that was pulled forward.
    pub explanation_url: Option<String>,
    /// When to ask again (section 4.3).
    pub check_after: Duration,
    /// How long a cache may keep the answer: a window that is pulled forward is seen after that.
    pub fresh_for: Duration,
}

/// What operators see of a certificate's renewal.
#[derive(Clone, Debug)]
pub struct RenewalSummary {
    /// What clients are told.
    pub told: Option<RenewalView>,
    /// The certificate that it took the place of.
    pub replaces: Option<Serial>,
    /// The order that is to take its place, or did.
    pub replaced_by: Option<Order>,
}

impl Authority {
    /// When the certificate of this name should be renewed; `None` if it was never issued here. Of an account, nothing is read.
    ///
    /// # Errors
    /// Refusals: `malformed` for what is no name of a certificate. [`Error::Fault`] if the store fails.
    pub fn renewal(&self, name: &str) -> Result<Option<RenewalView>, Error> {
        let id = read(name)?;
        for issuer in self.issuers_of(&id) {
            if let Some(view) = self.renewal_of(issuer, &id.serial)? {
                return Ok(Some(view));
            }
        }
        Ok(None)
    }

    fn renewal_of(&self, issuer: &Issuer, serial: &Serial) -> Result<Option<RenewalView>, Error> {
        let Some(facts) = self.store.renewal_by_certificate(&issuer.name, serial)? else { return Ok(None) };
        let policy = &self.policy().renewal;
        let now = self.clock.now();
        if facts.ends_early {
            let told = facts.incident.and_then(|incident| incident.explanation_url);
            let window = Window::pulled_forward(now);
            let explanation_url = told.or_else(|| policy.explanation_url.clone());
            return Ok(Some(RenewalView { explanation_url, ..policy.view(window, Duration::ZERO) }));
        }
        let id = CertificateId { key_identifier: issuer.key_identifier.clone(), serial: serial.clone() };
        let window = Window::of(facts.validity, policy.at_percent, &id);
        // Whoever let a certificate end is in no hurry.
        let over = now > facts.validity.not_after;
        let until = if over { policy.check_after } else { window.start.since(now) };
        Ok(Some(policy.view(window, until)))
    }

    /// The certificate that a new order of `account` for `identifiers` is to replace, if it names one (RFC 9773, section 5).
    /// Whether another order has taken it is looked at when the order is put in.
    ///
    /// # Errors
    /// Refusals: `malformed` for what names no certificate of this CA, and if the order shares no identifier with it;
    /// `unauthorized` if another account ordered it.
    pub(crate) fn replaced(
        &self,
        account: &Account,
        name: Option<&str>,
        identifiers: &[Identifier],
    ) -> Result<Option<Replaced>, Error> {
        let Some(name) = name else { return Ok(None) };
        let id = read(name)?;
        for issuer in self.issuers_of(&id) {
            let Some(row) = self.store.certificate_by_serial(&issuer.name, &id.serial)? else { continue };
            if row.account != account.id {
                return Err(Error::refusal(
                    ErrorType::Unauthorized,
                    "another account ordered the certificate in \"replaces\": order with that account, or leave \
                     \"replaces\" out",
                ));
            }
            let before =
                self.store.order_by_id(row.order)?.map(|order| order.identifiers).unwrap_or_default();
            if !identifiers.iter().any(|identifier| before.contains(identifier)) {
                return Err(Error::refusal(
                    ErrorType::Malformed,
                    "the order has no identifier in common with the certificate in \"replaces\": name the certificate that is \
                     renewed, or leave \"replaces\" out",
                ));
            }
            // What an order that came to nothing has begun, or what has more names, is no renewal that limits let go free.
            let first = self.store.order_replacing(&issuer.name, &id.serial)?.is_none();
            let renews = first && identifiers.iter().all(|identifier| before.contains(identifier));
            return Ok(Some(Replaced { issuer: issuer.name.clone(), serial: id.serial.clone(), renews }));
        }
        Err(Error::refusal(
            ErrorType::Malformed,
            "this CA has not issued the certificate in \"replaces\": leave \"replaces\" out",
        ))
    }

    /// What an order names in `replaces`, as its client wrote it.
    pub(crate) fn replaces_text(&self, order: &Order) -> Option<String> {
        let replaced = order.replaces.as_ref()?;
        let issuer = self.issuer(&replaced.issuer)?;
        let key_identifier = issuer.key_identifier.clone();
        Some(CertificateId { key_identifier, serial: replaced.serial.clone() }.to_string())
    }

    /// When a certificate should be renewed, what it took the place of, and what takes its place.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn renewal_summary(&self, found: &CertificateSummary) -> Result<RenewalSummary, ActError> {
        let told = match self.issuer(&found.issuer) {
            Some(issuer) => self.renewal_of(issuer, &found.serial)?,
            None => None,
        };
        let order = self.store.order_by_id(found.row.order)?;
        let replaces = order.and_then(|order| order.replaces).map(|replaced| replaced.serial);
        let mut replaced_by = self.store.order_replacing(&found.issuer, &found.serial)?;
        if let Some(order) = &replaced_by
            && self.store.order_status(order, self.clock.now())? == OrderStatus::Invalid
        {
            replaced_by = None;
        }
        Ok(RenewalSummary { told, replaces, replaced_by })
    }

    fn issuers_of<'a>(&'a self, id: &'a CertificateId) -> impl Iterator<Item = &'a Issuer> {
        self.signer.issuers().iter().filter(|issuer| issuer.key_identifier == id.key_identifier)
    }
}

impl RenewalPolicy {
    /// A window that begins in so much time.
    fn view(&self, window: Window, until: Duration) -> RenewalView {
        let soonest = CHECK_AFTER_MIN.min(self.check_after);
        let check_after = until.clamp(soonest, self.check_after);
        RenewalView { window, explanation_url: None, check_after, fresh_for: soonest }
    }
}

/// Another order has taken the certificate already.
pub(crate) fn already_replaced(order: Id) -> Error {
    let detail = format!(
        "the certificate in \"replaces\" is replaced by the order {order}: go on with that one, or leave \"replaces\" out"
    );
    Refusal::new(ErrorType::AlreadyReplaced, detail).into()
}

fn read(name: &str) -> Result<CertificateId, Error> {
    CertificateId::parse(name).ok_or_else(|| {
        Error::refusal(
            ErrorType::Malformed,
            "this is no name of a certificate: it is made of the base64url of authorityKeyIdentifier's keyIdentifier, a dot, \
             and the base64url of the serial number's DER contents, both without padding (RFC 9773, section 4.1)",
        )
    })
}
