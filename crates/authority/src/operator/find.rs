//! Finding things: pages of what fits, with a bounded look at what does not.

use std::collections::BTreeSet;

use ingam_protocol::acme::{Account, AccountStatus, Authorization, Contact, Order, OrderStatus};
use ingam_protocol::identifier::{DnsName, Host, Identifier};
use ingam_protocol::ocsp::{AskedIssuer, HashAlgorithm, encode_cert_id, encode_request};
use ingam_protocol::profile::{IssuerName, ProfileName};
use ingam_protocol::{Id, Reason, Serial, Timestamp};
use ingam_store::{CertificateIndex, CertificateRow, IssuedBetween, StatusState};

use super::page::{Found, ROWS_PER_PAGE_MAX, ROWS_PER_READ, Rows, Seen, page_by_rows};
use super::{Act, ActError};
use crate::Authority;
use crate::order::OrderView;

/// An account with what follows from elsewhere.
#[derive(Clone, Debug)]
pub struct AccountView {
    /// The facts.
    pub account: Account,
    /// Whether its key is blocked.
    pub key_blocked: bool,
}

/// Which orders.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// Of this account.
    pub account: Option<Id>,
    /// In this state.
    pub status: Option<OrderStatus>,
    /// For this name, itself or as a wildcard's base, or for this address.
    pub name: Option<Host>,
    /// Made at this time or later.
    pub from: Option<Timestamp>,
    /// Made before this time.
    pub until: Option<Timestamp>,
}

/// What has become of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuedStatus {
    /// In force.
    Good,
    /// Revoked, whether it has ended since or not.
    Revoked {
        /// When.
        at: Timestamp,
        /// Why.
        reason: Reason,
    },
    /// Ended by itself.
    Expired,
}

impl IssuedStatus {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked { .. } => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// Which certificates: all conditions that are there have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFilter {
    /// Any of these; the empty list is none of them.
    pub serials: Option<Vec<Serial>>,
    /// Ordered by this account.
    pub account: Option<Id>,
    /// With this key.
    pub key: Option<[u8; 32]>,
    /// For this name or address.
    pub name: Option<Host>,
    /// For a name below this one.
    pub below: Option<DnsName>,
    /// By this issuer.
    pub issuer: Option<IssuerName>,
    /// With this profile.
    pub profile: Option<ProfileName>,
    /// Signed in this span.
    pub issued: IssuedBetween,
    /// Ending before this.
    pub expires_until: Option<Timestamp>,
    /// With one of these names of statuses; any, if there is none.
    pub status: Option<&'static str>,
}

/// A certificate as lists show it.
#[derive(Clone, Debug)]
pub struct CertificateSummary {
    /// Who signed it.
    pub issuer: IssuerName,
    /// Its serial number.
    pub serial: Serial,
    /// What is on record.
    pub row: CertificateRow,
    /// What has become of it.
    pub status: IssuedStatus,
    /// What it is for.
    pub identifiers: Vec<Identifier>,
    /// Its profile; `None` if its order is not known any more.
    pub profile: Option<ProfileName>,
}

impl CertificateFilter {
    /// The index that leads to the fewest.
    pub(super) fn index(&self) -> CertificateIndex {
        match self {
            Self { key: Some(key), .. } => CertificateIndex::Key(*key),
            Self { name: Some(name), .. } => CertificateIndex::Name(name.clone()),
            Self { account: Some(account), .. } => CertificateIndex::Account(*account),
            Self { below: Some(name), .. } => CertificateIndex::Below(name.clone()),
            _ => CertificateIndex::Time,
        }
    }

    /// Whether the certificate fits, whatever its index said.
    pub(super) fn fits(&self, found: &CertificateSummary) -> bool {
        let is_named = |host: &Host| found.identifiers.iter().any(|one| one.host() == *host);
        let is_below = |above: &DnsName| {
            found.identifiers.iter().any(|one| match one {
                Identifier::Dns(name) => name.is_below(above),
                Identifier::Wildcard(base) => base == above || base.is_below(above),
                Identifier::Ip(_) => false,
            })
        };
        self.serials.as_ref().is_none_or(|serials| serials.contains(&found.serial))
            && self.account.is_none_or(|account| account == found.row.account)
            && self.key.is_none_or(|key| key == found.row.key_thumbprint[..])
            && self.name.as_ref().is_none_or(is_named)
            && self.below.as_ref().is_none_or(is_below)
            && self.issuer.as_ref().is_none_or(|issuer| *issuer == found.issuer)
            && self.profile.as_ref().is_none_or(|profile| found.profile.as_ref() == Some(profile))
            && self.issued.from.is_none_or(|from| found.row.issued >= from)
            && self.issued.until.is_none_or(|until| found.row.issued < until)
            && self.expires_until.is_none_or(|until| found.row.not_after < until)
            && self.status.is_none_or(|status| status == found.status.name())
    }
}

impl Authority {
    /// The account of this name with what follows from elsewhere.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub fn account_view(&self, id: Id) -> Result<AccountView, ActError> {
        match self.store.account_by_id(id)? {
            Some(account) => self.view_account(account),
            None => Err(ActError::not_found(format!("there is no account {id}"))),
        }
    }

    fn view_account(&self, account: Account) -> Result<AccountView, ActError> {
        let key_blocked = self.key_is_blocked(&account.key)?;
        Ok(AccountView { account, key_blocked })
    }

    /// The account with the key of this thumbprint, if there is one.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn account_of_key(&self, thumbprint: &[u8; 32]) -> Result<Option<AccountView>, ActError> {
        let account = self.store.account_by_thumbprint(thumbprint)?;
        account.map(|account| self.view_account(account)).transpose()
    }

    /// Accounts made in a span of time, oldest first. Reads many: blocks.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn accounts(
        &self,
        status: Option<AccountStatus>,
        made: IssuedBetween,
        after: Option<Id>,
        limit: usize,
    ) -> Result<Found<AccountView>, ActError> {
        let read = |last| {
            let rows = self.store.accounts(start(made.from, last), ROWS_PER_READ)?;
            Ok(Rows { is_end: rows.len() < ROWS_PER_READ, rows })
        };
        let visit = |account: Account| {
            let id = account.id;
            if made.until.is_some_and(|until| id.time() >= until) {
                return Ok(Seen::End);
            }
            let fits = status.is_none_or(|status| status == account.status());
            Ok(Seen::Row(id, if fits { Some(self.view_account(account)?) } else { None }))
        };
        page_by_rows(after, limit, read, visit)
    }

    /// The contacts of an account, for an operator: on record before they are given out.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub async fn contacts_for_operator(&self, act: &Act, id: Id) -> Result<Vec<Contact>, ActError> {
        self.account_view(id)?;
        let contacts = self.store.account_contacts(id)?;
        self.personal_data_read(act, Some(id)).await?;
        Ok(contacts)
    }

    /// The order of this name, whoever's it is.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub fn any_order(&self, id: Id) -> Result<OrderView, ActError> {
        match self.store.order_by_id(id)? {
            Some(order) => Ok(self.order_view(order)?),
            None => Err(ActError::not_found(format!("there is no order {id}"))),
        }
    }

    /// Orders that fit, oldest first. Reads many: blocks.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn orders_find(
        &self,
        filter: &OrderFilter,
        after: Option<Id>,
        limit: usize,
    ) -> Result<Found<OrderView>, ActError> {
        let read = |last| {
            let Some(account) = filter.account else {
                let rows = self.store.orders(start(filter.from, last), ROWS_PER_READ)?;
                return Ok(Rows { is_end: rows.len() < ROWS_PER_READ, rows });
            };
            let ids = self.store.orders_by_account(account, last, ROWS_PER_READ)?;
            let is_end = ids.len() < ROWS_PER_READ;
            let rows = ids.into_iter().filter_map(|id| self.store.order_by_id(id).transpose());
            Ok(Rows { rows: rows.collect::<Result<_, _>>()?, is_end })
        };
        let visit = |order: Order| {
            let id = order.id;
            if filter.until.is_some_and(|until| id.time() >= until) {
                return Ok(Seen::End);
            }
            let is_named = |host: &Host| order.identifiers.iter().any(|own| own.host() == *host);
            if !filter.name.as_ref().is_none_or(is_named) || filter.from.is_some_and(|from| id.time() < from)
            {
                return Ok(Seen::Row(id, None));
            }
            let view = self.order_view(order)?;
            Ok(Seen::Row(
                id,
                Some(view).filter(|view| filter.status.is_none_or(|status| status == view.status)),
            ))
        };
        page_by_rows(after, limit, read, visit)
    }

    /// The authorization of this name, whoever's it is.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub fn any_authorization(&self, id: Id) -> Result<Authorization, ActError> {
        let found = self.store.authorization_by_id(id)?;
        found.ok_or_else(|| ActError::not_found(format!("there is no authorization {id}")))
    }

    /// The certificate with this serial number, of whichever issuer.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub fn certificate_of_serial(&self, serial: &Serial) -> Result<CertificateSummary, ActError> {
        for issuer in self.signer.issuers() {
            if let Some(found) = self.certificate_summary(&issuer.name, serial)? {
                return Ok(found);
            }
        }
        Err(ActError::not_found(format!("no certificate was issued with the serial number {serial}")))
    }

    /// Certificates that fit, in the order of their issuance unless they are looked for below a name.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn certificates_find(
        &self,
        filter: &CertificateFilter,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Found<CertificateSummary>, ActError> {
        if let Some(serials) = &filter.serials {
            let mut items = Vec::new();
            for serial in serials.iter().collect::<BTreeSet<_>>() {
                match self.certificate_of_serial(serial) {
                    Ok(found) if filter.fits(&found) => items.push(found),
                    Ok(_) | Err(ActError::NotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            return Ok(Found { items, next: None });
        }
        let index = filter.index();
        let mut after = after.map(<[u8]>::to_vec);
        let mut found: Found<CertificateSummary> = Found { items: Vec::new(), next: None };
        let mut looked = 0;
        loop {
            // Never more keys than there is room for: the page's place is exact then.
            let room = limit.saturating_sub(found.items.len());
            let page = self.store.certificates_find(&index, filter.issued, after.as_deref(), room)?;
            looked += room;
            for (issuer, serial) in page.found {
                let summary = self.certificate_summary(&issuer, &serial)?;
                found.items.extend(summary.filter(|summary| filter.fits(summary)));
            }
            after = page.next;
            if after.is_none() || found.items.len() >= limit || looked >= ROWS_PER_PAGE_MAX {
                found.next = after;
                return Ok(found);
            }
        }
    }

    /// The certificates that were signed last, the newest first, at most `limit`.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn certificates_latest(&self, limit: usize) -> Result<Vec<CertificateSummary>, ActError> {
        let latest = self.store.certificates_latest(limit)?;
        let summaries = latest.iter().map(|(issuer, serial)| self.certificate_summary(issuer, serial));
        summaries.filter_map(Result::transpose).collect()
    }

    /// What is known of a certificate; `None` if it was never signed.
    pub(super) fn certificate_summary(
        &self,
        issuer: &IssuerName,
        serial: &Serial,
    ) -> Result<Option<CertificateSummary>, ActError> {
        let Some(row) = self.store.certificate_by_serial(issuer, serial)? else { return Ok(None) };
        let status = match self.store.statuses().status(issuer, serial)?.map(|status| status.state) {
            Some(StatusState::Revoked { at, reason }) => IssuedStatus::Revoked { at, reason },
            _ if row.not_after < self.clock.now() => IssuedStatus::Expired,
            _ => IssuedStatus::Good,
        };
        let order = self.store.order_by_id(row.order)?;
        let (identifiers, profile) =
            order.map(|order| (order.identifiers, Some(order.profile))).unwrap_or_default();
        Ok(Some(CertificateSummary {
            issuer: issuer.clone(),
            serial: serial.clone(),
            row,
            status,
            identifiers,
            profile,
        }))
    }

    /// The OCSP requests (DER) that clients send for this certificate: with the issuer's hashes by SHA-1 and by SHA-256.
    /// Empty for one that has ended, of which nothing is told any more, and for one of a CA that signs no more.
    pub fn ocsp_requests(&self, found: &CertificateSummary) -> Vec<Vec<u8>> {
        let Some(issuer) = self.issuer(&found.issuer) else { return Vec::new() };
        if found.row.not_after < self.clock.now() {
            return Vec::new();
        }
        let asked = AskedIssuer { subject: &issuer.subject, public_key: &issuer.public_key };
        let hashes = [HashAlgorithm::Sha1, HashAlgorithm::Sha256];
        hashes.map(|hash| encode_request(&encode_cert_id(hash, asked, &found.serial), None)).to_vec()
    }

    /// The certificates that go with one of this issuer, up to but without the root, DER.
    pub fn chain_of(&self, issuer: &IssuerName) -> Vec<Vec<u8>> {
        self.issuer(issuer).map(|known| known.chain.clone()).unwrap_or_default()
    }
}

/// The first name that a page can begin with.
pub(super) fn start(from: Option<Timestamp>, after: Option<Id>) -> Id {
    let earliest = from.map_or(Id::from_bytes([0; 16]), Id::first_of);
    after.map_or(earliest, |after| after.max(earliest))
}
