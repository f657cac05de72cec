//! Keys that operators give out, and to each of which one account can be bound (RFC 8555, section 7.3.4).
//!
//! What is known of a key is a row like any other. The MAC key itself lies in a table of its own, sealed under a key that
//! lies outside the engine, as contacts do ([`crate::contact`]).

use ingam_protocol::external::MacKey;
use ingam_protocol::identifier::Domain;
use ingam_protocol::operator::Principal;
use ingam_protocol::profile::ProfileName;
use ingam_protocol::record::Record;
use ingam_protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::contact::Place;
use crate::error::Error;
use crate::open::Store;
use crate::table::{EXTERNAL_KEYS, EXTERNAL_SECRETS};
use crate::transaction::{Transaction, decode, read_range, read_row};

/// A key for one account: for whom it is, what it permits, and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalKey {
    /// Its id, which the client sends as `kid`.
    pub id: Id,
    /// For whom it is, in the operator's words.
    pub holder: String,
    /// The profiles that its account may order; all, if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<ProfileName>,
    /// The names that its account may order, with all names below them; any identifier, if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Domain>,
    /// Until when an account can be bound to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Who made it.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// The account that is bound to it; there is never another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// Who withdrew it; nothing brings it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Withdrawal>,
}

/// Which account is bound to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The account.
    pub account: Id,
    /// Since when.
    pub at: Timestamp,
}

/// The end of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Who did it.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Why no account can be bound to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUnusable {
    /// There is no such key.
    Missing,
    /// It was withdrawn.
    Withdrawn,
    /// It has an account.
    Bound,
    /// Its time is over.
    Expired,
}

/// A key that no account can be bound to, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unbound {
    /// The key's id.
    pub key: Id,
    /// Why.
    pub why: KeyUnusable,
}

impl ExternalKey {
    /// Why no account can be bound to it at `now`; `None` if one can.
    pub fn unusable(&self, now: Timestamp) -> Option<KeyUnusable> {
        if self.withdrawn.is_some() {
            Some(KeyUnusable::Withdrawn)
        } else if self.bound.is_some() {
            Some(KeyUnusable::Bound)
        } else if self.expires.is_some_and(|expires| expires <= now) {
            Some(KeyUnusable::Expired)
        } else {
            None
        }
    }
}

/// What came of withdrawing a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyWithdrawn {
    /// It is withdrawn: the key as it is then.
    Yes(Box<ExternalKey>),
    /// It was withdrawn before.
    Before,
    /// There is no such key.
    Missing,
}

fn secret_place(key: Id) -> Place<'static> {
    Place { table: "external_secrets", column: "mac_key", subject: key }
}

/// Binds the account to the key, if that can be as of this point of the transaction.
pub(crate) fn bind(
    transaction: &mut Transaction<'_>,
    key: Id,
    bound: Bound,
) -> Result<Result<(), Unbound>, Error> {
    let Some(mut row) = transaction.row::<ExternalKey>(EXTERNAL_KEYS, key.as_bytes())? else {
        return Ok(Err(Unbound { key, why: KeyUnusable::Missing }));
    };
    if let Some(why) = row.unusable(bound.at) {
        return Ok(Err(Unbound { key, why }));
    }
    row.bound = Some(bound);
    transaction.put_row(EXTERNAL_KEYS, *key.as_bytes(), &row)?;
    Ok(Ok(()))
}

/// Whether the key is there and was not withdrawn, as of this point of the transaction.
pub(crate) fn is_in_force(transaction: &Transaction<'_>, key: Id) -> Result<bool, Error> {
    let row: Option<ExternalKey> = transaction.row(EXTERNAL_KEYS, key.as_bytes())?;
    Ok(row.is_some_and(|row| row.withdrawn.is_none()))
}

impl Store {
    /// The key of this id.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn external_key_by_id(&self, id: Id) -> Result<Option<ExternalKey>, Error> {
        read_row(self.engine(), EXTERNAL_KEYS, id.as_bytes())
    }

    /// Keys, oldest first, from the id `from` on, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn external_keys(&self, from: Id, limit: usize) -> Result<Vec<ExternalKey>, Error> {
        let mut keys = Vec::new();
        for (_, row) in read_range(self.engine(), EXTERNAL_KEYS, from.as_bytes(), None, limit)? {
            keys.extend(decode::<ExternalKey>(EXTERNAL_KEYS, Some(row))?);
        }
        Ok(keys)
    }

    /// The MAC key of this id, opened to verify a binding.
    ///
    /// # Errors
    /// [`Error`] if the engine fails or the key that it is sealed under is gone.
    pub fn external_mac_key(&self, id: Id) -> Result<Option<MacKey>, Error> {
        let sealed = self
            .engine()
            .get(EXTERNAL_SECRETS, id.as_bytes())
            .map_err(|cause| Error::Engine("reading a MAC key", cause))?;
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = self.subject_keys().open_sealed(secret_place(id), &sealed)?;
        let key = MacKey::from_bytes(&plain);
        key.map(Some).ok_or_else(|| Error::Row("a MAC key", "it has another length".into()))
    }

    /// Puts a new key in. Its MAC key is sealed first, under a new key of its own.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn external_key_insert(
        &self,
        key: ExternalKey,
        secret: &MacKey,
        records: Vec<Record>,
    ) -> Result<(), Error> {
        self.subject_key_ensure(key.id).await?;
        let sealed = self.subject_keys().seal(secret_place(key.id), secret.expose())?;
        self.run(move |transaction| {
            transaction.put_row(EXTERNAL_KEYS, *key.id.as_bytes(), &key)?;
            transaction.put(EXTERNAL_SECRETS, *key.id.as_bytes(), sealed);
            records.iter().for_each(|record| transaction.record(record));
            Ok(())
        })
        .await
    }

    /// Withdraws a key: no account can be bound to it, and the one that is gets no certificate, from now on.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn external_key_withdraw(
        &self,
        id: Id,
        withdrawal: Withdrawal,
        records: Vec<Record>,
    ) -> Result<KeyWithdrawn, Error> {
        self.run(move |transaction| {
            let Some(mut key) = transaction.row::<ExternalKey>(EXTERNAL_KEYS, id.as_bytes())? else {
                return Ok(KeyWithdrawn::Missing);
            };
            if key.withdrawn.is_some() {
                return Ok(KeyWithdrawn::Before);
            }
            key.withdrawn = Some(withdrawal);
            transaction.put_row(EXTERNAL_KEYS, *id.as_bytes(), &key)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(KeyWithdrawn::Yes(Box::new(key)))
        })
        .await
    }
}
