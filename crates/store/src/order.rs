//! Orders, and the steps from a claimed order to a certificate on record.
//!
//! ```text
//! order_insert ─▶ order_claim ─▶ order_ask ─┬─────────────────────────────────────▶ order_complete
//!      │              ▲  │           │        └─▶ order_precertify ─▶ order_finish ─▶┘
//!      └─ order_wait ─┘  │           │                  │      │           │
//!            │           └─ order_readopt ◀─────────────┘      ▼           ▼
//!            └─ order_refuse         └──────────────────▶ order_abandon (revokes the serial)
//! ```
//!
//! Each is one durable transaction. From the claim on, each carries the lease's token and is refused with an old one.

use ingam_protocol::acme::{
    Authorization, Claim, Failure, FinalBytes, Order, OrderStatus, Precertificate, Waiting,
};
use ingam_protocol::record::Record;
use ingam_protocol::{Bytes, Id, Reason, Timestamp};

use crate::account::{active, id_from};
use crate::admission::{Admission, Admitted, admit};
use crate::authorization::{find as find_authorization, put as put_authorization};
use crate::certificate::{CertificateRow, certificate_put};
use crate::error::Error;
use crate::external_key::is_in_force;
use crate::key_block;
use crate::limit::{Demand, Limited, keep, meet, refund, remember};
use crate::name_rule::is_blocked;
use crate::open::Store;
use crate::renewal::{replace, replaced_by};
use crate::search;
use crate::status::{StatusState, status_of, status_put};
use crate::table::{ISSUANCES_OPEN, KEYS_BLOCKED, ORDERS, ORDERS_BY_ACCOUNT, certificate_key, pair_key};
use crate::transaction::{Transaction, decode, read_range, read_row};

/// What came of claiming an order.
#[derive(Clone, Debug)]
pub enum Claimed {
    /// It is the caller's now.
    Yes,
    /// It was not ready any more: this is its status.
    No(OrderStatus),
    /// There is no such order, or its account has ended.
    Missing,
    /// The certificate's key was blocked meanwhile.
    KeyBlocked,
    /// The account's own key was.
    AccountKeyBlocked,
    /// An operator's rule blocks one of its names since.
    NameBlocked,
    /// The key to which its account is bound was withdrawn since.
    ExternalKeyWithdrawn(Id),
    /// A limit is reached.
    Limited(Limited),
}

/// The caller's lease is not in force any more: somebody else has the order, it has ended, or it must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stale;

/// A signed certificate on its way into the store.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// DER of the certificate.
    pub der: Bytes,
    /// Its first valid second.
    pub not_before: Timestamp,
    /// When it was signed.
    pub issued: Timestamp,
}

/// Who gives up an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbandonedBy {
    /// The lease's holder, by its token.
    Holder(Id),
    /// Whoever finds that the lease has run out as of `over_by`.
    Finder {
        /// A lease until then or earlier has run out.
        over_by: Timestamp,
    },
}

impl Store {
    /// Puts a new order and its authorizations in, if it passes, and takes the certificate that it is to replace for it: of
    /// several orders at once, one has it.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn order_insert(
        &self,
        order: Order,
        authorizations: Vec<Authorization>,
        record: Record,
        admission: Admission,
    ) -> Result<Admitted, Error> {
        self.run_new(move |transaction| {
            if let Some(other) = replaced_by(transaction, &order)? {
                return Ok(Admitted::Replaced(other));
            }
            // A new order is never put back: what it spent is gone.
            match admit(transaction, order.account, &admission, order.created)? {
                Admitted::Yes => {}
                refused => return Ok(refused),
            }
            for authorization in &authorizations {
                put_authorization(transaction, authorization)?;
            }
            transaction.put(ORDERS_BY_ACCOUNT, pair_key(order.account, order.id), Vec::new());
            put(transaction, &order)?;
            replace(transaction, &order);
            transaction.record(&record);
            Ok(Admitted::Yes)
        })
        .await
    }

    /// The order of this name.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn order_by_id(&self, id: Id) -> Result<Option<Order>, Error> {
        read_row(self.engine(), ORDERS, id.as_bytes())
    }

    /// Orders of all accounts, oldest first, from the name `from` on, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn orders(&self, from: Id, limit: usize) -> Result<Vec<Order>, Error> {
        let mut orders = Vec::new();
        for (_, row) in read_range(self.engine(), ORDERS, from.as_bytes(), None, limit)? {
            orders.extend(decode::<Order>(ORDERS, Some(row))?);
        }
        Ok(orders)
    }

    /// An account's orders, oldest first, after the order `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn orders_by_account(&self, account: Id, after: Option<Id>, limit: usize) -> Result<Vec<Id>, Error> {
        let from = match after {
            Some(order) => [pair_key(account, order).as_slice(), &[0]].concat(),
            None => account.as_bytes().to_vec(),
        };
        // No id is all ones: the time in front of it would be far in the future.
        let end = pair_key(account, Id::from_bytes([0xff; 16]));
        let keys = read_range(self.engine(), ORDERS_BY_ACCOUNT, &from, Some(&end), limit)?;
        keys.iter().map(|(key, _)| id_from(key.get(16..).unwrap_or_default())).collect()
    }

    /// Puts a ready order's CSR by until the signer is there. The status that it has instead of `ready`, if it is not.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn order_wait(
        &self,
        id: Id,
        waiting: Waiting,
        record: Record,
    ) -> Result<Result<(), OrderStatus>, Error> {
        self.run(move |transaction| {
            let Some(mut order) = find(transaction, id)? else { return Ok(Err(OrderStatus::Invalid)) };
            let status = status(transaction, &order, waiting.since)?;
            if status != OrderStatus::Ready {
                return Ok(Err(status));
            }
            transaction.put(ISSUANCES_OPEN, *id.as_bytes(), Vec::new());
            order.waiting = Some(waiting);
            put(transaction, &order)?;
            transaction.record(&record);
            Ok(Ok(()))
        })
        .await
    }

    /// Ends an order that waited for the signer, and was never claimed.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn order_refuse(
        &self,
        id: Id,
        failure: Failure,
        record: Record,
    ) -> Result<Result<(), Stale>, Error> {
        self.run(move |transaction| {
            let waits = |order: &Order| order.waiting.is_some() && order.failure.is_none();
            let Some(mut order) = find(transaction, id)?.filter(waits) else { return Ok(Err(Stale)) };
            transaction.delete(ISSUANCES_OPEN, *id.as_bytes());
            order.waiting = None;
            order.failure = Some(failure);
            put(transaction, &order)?;
            transaction.record(&record);
            Ok(Ok(()))
        })
        .await
    }

    /// Step 1: claims an order that is ready, or waits for the signer and would be ready else, for `claim`, whose serial is set aside and whose bytes are recorded. Account,
    /// authorizations, keys and rules on names are looked at again inside the transaction: whoever blocked a name or withdrew
    /// a key and was answered sees no claim on it after that. What `demands` spend is put back if the order is
    /// abandoned.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable, or the serial number was used before.
    pub async fn order_claim(
        &self,
        id: Id,
        claim: Claim,
        now: Timestamp,
        record: Record,
        demands: Vec<Demand>,
    ) -> Result<Claimed, Error> {
        self.run_new(move |transaction| {
            let Some(mut order) = find(transaction, id)? else { return Ok(Claimed::Missing) };
            if active(transaction, order.account)?.is_none() {
                return Ok(Claimed::Missing);
            }
            // Whether it waited makes no difference to what counts now.
            order.waiting = None;
            let status = status(transaction, &order, now)?;
            if status != OrderStatus::Ready {
                return Ok(Claimed::No(status));
            }
            if let Some(forbidden) = forbidden(transaction, &order, &claim)? {
                return Ok(forbidden);
            }
            if status_of(transaction, &claim.issuer, &claim.serial)?.is_some() {
                return Err(Error::Row(
                    "a serial number",
                    "it was used before: the source of randomness repeats".into(),
                ));
            }
            match meet(transaction, &demands, now)? {
                Ok(spent) => remember(transaction, id.as_bytes(), &spent)?,
                Err(limited) => return Ok(Claimed::Limited(limited)),
            }
            status_put(transaction, &claim.issuer, &claim.serial, StatusState::Reserved, claim.not_after)?;
            transaction.put(ISSUANCES_OPEN, *id.as_bytes(), Vec::new());
            order.claim = Some(claim);
            put(transaction, &order)?;
            transaction.record(&record);
            Ok(Claimed::Yes)
        })
        .await
    }

    /// Takes up a claimed order whose lease has run out as of `over_by` under a new token: before the signer was asked, with
    /// the same bytes; after its precertificate is on record, for the certificate that belongs to it.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn order_readopt(
        &self,
        id: Id,
        token: Id,
        lease_until: Timestamp,
        over_by: Timestamp,
    ) -> Result<Result<Order, Stale>, Error> {
        self.run(move |transaction| {
            let Some(mut order) = find(transaction, id)? else { return Ok(Err(Stale)) };
            let unasked = match &order.precertificate {
                None => order.asked.is_none(),
                Some(precertificate) => precertificate.certificate.is_none(),
            };
            let open = unasked && order.failure.is_none() && order.certificate.is_none();
            match &mut order.claim {
                Some(claim) if open && claim.lease_until <= over_by => {
                    claim.token = token;
                    claim.lease_until = lease_until;
                }
                _ => return Ok(Err(Stale)),
            }
            put(transaction, &order)?;
            Ok(Ok(order))
        })
        .await
    }

    /// Gives a lease back before its time, so that the order can be taken up again from `until` on.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn order_release(
        &self,
        id: Id,
        token: Id,
        until: Timestamp,
    ) -> Result<Result<(), Stale>, Error> {
        self.run(move |transaction| {
            let Some((mut order, mut claim)) = leased(transaction, id, token)? else { return Ok(Err(Stale)) };
            claim.lease_until = until;
            order.claim = Some(claim);
            put(transaction, &order)?;
            Ok(Ok(()))
        })
        .await
    }

    /// Step 2, first half: notes that the signer is about to be asked, after another look at account, keys and names.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn order_ask(
        &self,
        id: Id,
        token: Id,
        now: Timestamp,
        record: Record,
    ) -> Result<Result<(), Stale>, Error> {
        self.run(move |transaction| {
            let Some((mut order, claim)) = leased(transaction, id, token)? else { return Ok(Err(Stale)) };
            // What was blocked since the claim is not signed.
            if order.asked.is_some() || forbidden(transaction, &order, &claim)?.is_some() {
                return Ok(Err(Stale));
            }
            order.asked = Some(now);
            put(transaction, &order)?;
            status_put(transaction, &claim.issuer, &claim.serial, StatusState::Asked, claim.not_after)?;
            transaction.record(&record);
            Ok(Ok(()))
        })
        .await
    }

    /// Step 2 with a precertificate, second half: its signature is on record with status good, and the lease goes on until
    /// `lease_until`. With [`Stale`] it came too late: it was recorded by `late`, and its serial is revoked.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn order_precertify(
        &self,
        id: Id,
        token: Id,
        der: Bytes,
        lease_until: Timestamp,
        record: Record,
        late: Record,
    ) -> Result<Result<(), Stale>, Error> {
        self.run(move |transaction| {
            let Some((mut order, mut claim)) = leased(transaction, id, token)?
                .filter(|(order, _)| order.asked.is_some() && order.precertificate.is_none())
            else {
                transaction.record(&late);
                return Ok(Err(Stale));
            };
            status_put(transaction, &claim.issuer, &claim.serial, StatusState::Good, claim.not_after)?;
            claim.lease_until = lease_until;
            order.claim = Some(claim);
            order.precertificate = Some(Precertificate { der, certificate: None });
            put(transaction, &order)?;
            transaction.record(&record);
            Ok(Ok(()))
        })
        .await
    }

    /// Step 3, first half: the bytes of the certificate are on record, and that the signer is about to be asked for it, after
    /// another look at account, keys and names.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn order_finish(
        &self,
        id: Id,
        token: Id,
        bytes: FinalBytes,
        record: Record,
    ) -> Result<Result<(), Stale>, Error> {
        self.run(move |transaction| {
            let Some((mut order, claim)) = leased(transaction, id, token)? else { return Ok(Err(Stale)) };
            if forbidden(transaction, &order, &claim)?.is_some() {
                return Ok(Err(Stale));
            }
            match &mut order.precertificate {
                Some(precertificate) if precertificate.certificate.is_none() => {
                    precertificate.certificate = Some(bytes);
                }
                _ => return Ok(Err(Stale)),
            }
            put(transaction, &order)?;
            transaction.record(&record);
            Ok(Ok(()))
        })
        .await
    }

    /// The end of steps 2 and 3: the signature is on record with status good, and the order is valid. With [`Stale`] the
    /// signature came too late: it was recorded by `late`, its serial is revoked, and it must not be delivered.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn order_complete(
        &self,
        id: Id,
        token: Id,
        certificate: NewCertificate,
        record: Record,
        late: Record,
    ) -> Result<Result<(), Stale>, Error> {
        self.run(move |transaction| {
            let Some((mut order, claim)) =
                leased(transaction, id, token)?.filter(|(order, _)| is_asked(order))
            else {
                transaction.record(&late);
                return Ok(Err(Stale));
            };
            let row = CertificateRow {
                der: certificate.der,
                order: id,
                account: order.account,
                issued: certificate.issued,
                not_before: certificate.not_before,
                not_after: claim.not_after,
                key_thumbprint: claim.key_thumbprint,
            };
            certificate_put(transaction, certificate_key(&claim.issuer, &claim.serial), &row)?;
            search::index(transaction, &claim.issuer, &claim.serial, &row, &order.identifiers);
            status_put(transaction, &claim.issuer, &claim.serial, StatusState::Good, claim.not_after)?;
            transaction.delete(ISSUANCES_OPEN, *id.as_bytes());
            keep(transaction, id.as_bytes());
            order.complete(claim.serial);
            put(transaction, &order)?;
            transaction.record(&record);
            Ok(Ok(()))
        })
        .await
    }

    /// Step 4: ends a claimed order for good. If the signer was asked, the serial may be on a signature: it is revoked.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn order_abandon(
        &self,
        id: Id,
        by: AbandonedBy,
        failure: Failure,
        now: Timestamp,
        record: Record,
    ) -> Result<Result<(), Stale>, Error> {
        self.run(move |transaction| {
            let Some((mut order, claim)) = claimed(transaction, id)?.filter(|(_, claim)| match by {
                AbandonedBy::Holder(token) => claim.token == token,
                AbandonedBy::Finder { over_by } => claim.lease_until <= over_by,
            }) else {
                return Ok(Err(Stale));
            };
            let known = status_of(transaction, &claim.issuer, &claim.serial)?;
            if order.asked.is_some() && known.is_none_or(|row| !row.state.is_revoked()) {
                let revoked = StatusState::Revoked { at: now, reason: Reason::Unspecified };
                status_put(transaction, &claim.issuer, &claim.serial, revoked, claim.not_after)?;
            }
            transaction.delete(ISSUANCES_OPEN, *id.as_bytes());
            refund(transaction, id.as_bytes())?;
            order.failure = Some(failure);
            put(transaction, &order)?;
            transaction.record(&record);
            Ok(Ok(()))
        })
        .await
    }

    /// Orders that were finalized and have not ended: claimed ones, and those that wait for the signer.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn issuances_open(&self, after: Option<Id>, limit: usize) -> Result<Vec<Order>, Error> {
        let from = after.map_or(Vec::new(), |id| [id.as_bytes().as_slice(), &[0]].concat());
        let keys = read_range(self.engine(), ISSUANCES_OPEN, &from, None, limit)?;
        let mut orders = Vec::with_capacity(keys.len());
        for (key, _) in keys {
            // One that ended between the two reads is simply not open any more.
            orders.extend(self.order_by_id(id_from(&key)?)?);
        }
        Ok(orders)
    }

    /// An order's status as of `now`, with its authorizations as they are.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn order_status(&self, order: &Order, now: Timestamp) -> Result<OrderStatus, Error> {
        derive_status(order, now, |id| self.authorization_by_id(id))
    }
}

/// Why the order's certificate may not be made, by what stands in the store as of this point of the transaction.
fn forbidden(transaction: &Transaction<'_>, order: &Order, claim: &Claim) -> Result<Option<Claimed>, Error> {
    let Some(account) = active(transaction, order.account)? else { return Ok(Some(Claimed::Missing)) };
    if let Some(external) = &account.external
        && !is_in_force(transaction, external.key)?
    {
        return Ok(Some(Claimed::ExternalKeyWithdrawn(external.key)));
    }
    for name in claim.key_names() {
        if transaction.get(KEYS_BLOCKED, name)?.is_some() {
            return Ok(Some(Claimed::KeyBlocked));
        }
    }
    if key_block::is_blocked(transaction, &account.key)? {
        return Ok(Some(Claimed::AccountKeyBlocked));
    }
    for identifier in &order.identifiers {
        if is_blocked(transaction, identifier)? {
            return Ok(Some(Claimed::NameBlocked));
        }
    }
    Ok(None)
}

/// Whether the signer was asked for the order's certificate itself.
fn is_asked(order: &Order) -> bool {
    match &order.precertificate {
        None => order.asked.is_some(),
        Some(precertificate) => precertificate.certificate.is_some(),
    }
}

fn derive_status(
    order: &Order,
    now: Timestamp,
    mut read: impl FnMut(Id) -> Result<Option<Authorization>, Error>,
) -> Result<OrderStatus, Error> {
    let has_ended = order.failure.is_some() || now >= order.expires;
    if order.claim.is_some() || order.waiting.is_some() || has_ended {
        // Authorizations do not count any more: they need not be read, and may have been swept up.
        return Ok(order.status(now, []));
    }
    let mut statuses = Vec::with_capacity(order.authorizations.len());
    for id in &order.authorizations {
        let missing = || Error::Row("an order", "one of its authorizations is missing".into());
        statuses.push(read(*id)?.ok_or_else(missing)?.status(now));
    }
    Ok(order.status(now, statuses))
}

/// The same inside a transaction.
pub(crate) fn status(
    transaction: &Transaction<'_>,
    order: &Order,
    now: Timestamp,
) -> Result<OrderStatus, Error> {
    derive_status(order, now, |id| find_authorization(transaction, id))
}

pub(crate) fn find(transaction: &Transaction<'_>, id: Id) -> Result<Option<Order>, Error> {
    transaction.row(ORDERS, id.as_bytes())
}

pub(crate) fn put(transaction: &mut Transaction<'_>, order: &Order) -> Result<(), Error> {
    transaction.put_row(ORDERS, *order.id.as_bytes(), order)
}

/// The order and its claim, if it is claimed and has not ended.
fn claimed(transaction: &Transaction<'_>, id: Id) -> Result<Option<(Order, Claim)>, Error> {
    let order = find(transaction, id)?.filter(|order| order.failure.is_none() && order.certificate.is_none());
    Ok(order.and_then(|order| order.claim.clone().map(|claim| (order, claim))))
}

/// The same, if the lease with this token is still the one in force.
fn leased(transaction: &Transaction<'_>, id: Id, token: Id) -> Result<Option<(Order, Claim)>, Error> {
    Ok(claimed(transaction, id)?.filter(|(_, claim)| claim.token == token))
}
