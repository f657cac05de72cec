//! Accounts: made, found, changed.

use ingam_protocol::Id;
use ingam_protocol::acme::{Account, Contact};
use ingam_protocol::key::PublicKey;
use ingam_protocol::record::Record;
use ingam_protocol::time::Timestamp;

use crate::contact::{Place, SubjectKeys};
use crate::error::Error;
use crate::external_key::{Bound, Unbound, bind};
use crate::key_block::is_blocked;
use crate::limit::{Demand, Limited, give_back, meet};
use crate::open::Store;
use crate::subject::{ErasureReason, contacts_put, contacts_withdraw};
use crate::table::{ACCOUNTS, ACCOUNTS_BY_KEY, CONTACTS};
use crate::transaction::{Transaction, decode, read_range, read_row};

/// What came of making an account, or of giving one another key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountInserted {
    /// Done.
    New,
    /// The key is already this account's.
    Taken(Account),
    /// The key may not be used.
    Blocked,
    /// A limit is reached.
    Limited(Limited),
}

/// Where a part of a record lies that is sealed for its subject.
pub(crate) fn payload_place(kind: &'static str, subject: Id) -> Place<'static> {
    Place { table: kind, column: "payload", subject }
}

pub(crate) fn contact_place(subject: Id) -> Place<'static> {
    Place { table: "contacts", column: "contact", subject }
}

impl Store {
    /// The account of this name.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn account_by_id(&self, id: Id) -> Result<Option<Account>, Error> {
        read_row(self.engine(), ACCOUNTS, id.as_bytes())
    }

    /// Accounts, oldest first, from the name `from` on, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn accounts(&self, from: Id, limit: usize) -> Result<Vec<Account>, Error> {
        let mut accounts = Vec::new();
        for (_, row) in read_range(self.engine(), ACCOUNTS, from.as_bytes(), None, limit)? {
            accounts.extend(decode::<Account>(ACCOUNTS, Some(row))?);
        }
        Ok(accounts)
    }

    /// The account that this key signs for.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn account_by_key(&self, key: &PublicKey) -> Result<Option<Account>, Error> {
        self.account_by_thumbprint(&key.thumbprint())
    }

    /// The same, by the key's thumbprint.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn account_by_thumbprint(&self, thumbprint: &[u8; 32]) -> Result<Option<Account>, Error> {
        let id = self
            .engine()
            .get(ACCOUNTS_BY_KEY, thumbprint)
            .map_err(|cause| Error::Engine("reading an account's key", cause))?;
        match id {
            None => Ok(None),
            Some(bytes) => self.account_by_id(id_from(&bytes)?),
        }
    }

    /// Makes an account, unless its key is another's or blocked, or the key outside ACME that it is to be bound to cannot
    /// be used, or a demand cannot be met. `contacts` are sealed first, under a new key of the subject's own.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn account_insert(
        &self,
        account: Account,
        contacts: &[Contact],
        record: Record,
        demands: Vec<Demand>,
    ) -> Result<Result<AccountInserted, Unbound>, Error> {
        let sealed = self.contacts_seal(account.id, contacts).await?;
        let keys = self.subject_keys().clone();
        self.run_new(move |transaction| {
            if let Some(refused) = key_taken(transaction, &account.key)? {
                return Ok(Ok(refused));
            }
            let spent = match meet(transaction, &demands, account.created)? {
                Ok(spent) => spent,
                Err(limited) => return Ok(Ok(AccountInserted::Limited(limited))),
            };
            if let Some(external) = &account.external {
                let bound = Bound { account: account.id, at: account.created };
                if let Err(unbound) = bind(transaction, external.key, bound)? {
                    give_back(transaction, spent)?;
                    return Ok(Err(unbound));
                }
            }
            transaction.put_row(ACCOUNTS, *account.id.as_bytes(), &account)?;
            transaction.put(ACCOUNTS_BY_KEY, account.key.thumbprint(), *account.id.as_bytes());
            if let Some(sealed) = sealed {
                contacts_put(transaction, &keys, account.id, sealed, account.created)?;
            }
            transaction.record(&record);
            Ok(Ok(AccountInserted::New))
        })
        .await
    }

    /// An account's contacts, opened for the holder or another authorised use. Those whose key was destroyed are none: a
    /// store that was restored from before their erasure still has them, and nothing opens them.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn account_contacts(&self, id: Id) -> Result<Vec<Contact>, Error> {
        let sealed = self
            .engine()
            .get(CONTACTS, id.as_bytes())
            .map_err(|cause| Error::Engine("reading contacts", cause))?;
        let Some(sealed) = sealed else { return Ok(Vec::new()) };
        let Ok(plain) = self.subject_keys().open_sealed(contact_place(id), &sealed) else {
            // Not whose: the log has nothing of a subscriber.
            tracing::warn!(code = "contacts_erased", "contacts lie under a key that is gone: they are none");
            return Ok(Vec::new());
        };
        let urls: Vec<String> =
            serde_json::from_slice(&plain).map_err(|cause| Error::Row("contacts", Box::new(cause)))?;
        let contacts = urls.iter().map(|url| Contact::parse(url)).collect::<Result<_, _>>();
        contacts.map_err(|_| Error::Row("contacts", "a stored contact is none".into()))
    }

    /// Puts new contacts in place of an account's old ones and notes its consent, unless it was deactivated meanwhile.
    /// Gives the account as it is then.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn account_update(
        &self,
        id: Id,
        contacts: Option<&[Contact]>,
        terms_agreed: Option<Timestamp>,
        record: Record,
    ) -> Result<Option<Account>, Error> {
        let sealed = match contacts {
            Some(contacts) => Some(self.contacts_seal(id, contacts).await?),
            None => None,
        };
        let keys = self.subject_keys().clone();
        self.run(move |transaction| {
            let Some(mut account) = active(transaction, id)? else { return Ok(None) };
            match sealed {
                Some(Some(sealed)) => contacts_put(transaction, &keys, id, sealed, record.time)?,
                Some(None) => {
                    contacts_withdraw(transaction, &keys, id, ErasureReason::Withdrawn, record.time)?;
                }
                None => {}
            }
            account.terms_agreed = terms_agreed.or(account.terms_agreed);
            transaction.put_row(ACCOUNTS, *id.as_bytes(), &account)?;
            transaction.record(&record);
            Ok(Some(account))
        })
        .await
    }

    /// Ends an account for good; its contacts go at once, and their key with the next sweep ([`Store::erasures_sweep`]).
    /// Gives the account as it is then, `None` if it had ended before.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn account_deactivate(
        &self,
        id: Id,
        now: Timestamp,
        record: Record,
    ) -> Result<Option<Account>, Error> {
        let keys = self.subject_keys().clone();
        self.run(move |transaction| {
            let Some(mut account) = active(transaction, id)? else { return Ok(None) };
            account.deactivated = Some(now);
            transaction.put_row(ACCOUNTS, *id.as_bytes(), &account)?;
            contacts_withdraw(transaction, &keys, id, ErasureReason::AccountClosed, now)?;
            transaction.record(&record);
            Ok(Some(account))
        })
        .await
    }

    /// Gives an account another key in place of `old`, unless that is not its key any more (`Ok(None)`), or the new one
    /// is another account's or blocked. In force from the next request on.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn account_key_change(
        &self,
        id: Id,
        old: PublicKey,
        new: PublicKey,
        record: Record,
    ) -> Result<Option<AccountInserted>, Error> {
        self.run(move |transaction| {
            let Some(mut account) = active(transaction, id)?.filter(|account| account.key == old) else {
                return Ok(None);
            };
            if let Some(refused) = key_taken(transaction, &new)? {
                return Ok(Some(refused));
            }
            // Whoever holds a key that is known to others must not move its account away from it.
            if is_blocked(transaction, &old)? {
                return Ok(Some(AccountInserted::Blocked));
            }
            transaction.delete(ACCOUNTS_BY_KEY, old.thumbprint());
            transaction.put(ACCOUNTS_BY_KEY, new.thumbprint(), *id.as_bytes());
            account.key_replace(new);
            transaction.put_row(ACCOUNTS, *id.as_bytes(), &account)?;
            transaction.record(&record);
            Ok(Some(AccountInserted::New))
        })
        .await
    }

    /// Seals data about a subject for a part of a record; the subject's key is made where it is missing.
    ///
    /// # Errors
    /// [`Error`] if the key could not be made durable.
    pub async fn subject_seal(
        &self,
        subject: Id,
        kind: &'static str,
        plain: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.subject_key_ensure(subject).await?;
        self.subject_keys().seal(payload_place(kind, subject), plain)
    }

    /// Opens what [`Store::subject_seal`] sealed for the same kind of part; `None` if its key is gone.
    pub fn subject_open(
        &self,
        subject: Id,
        kind: &'static str,
        sealed: &[u8],
    ) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        self.subject_keys().open_sealed(payload_place(kind, subject), sealed).ok()
    }

    pub(crate) async fn contacts_seal(&self, id: Id, contacts: &[Contact]) -> Result<Option<Vec<u8>>, Error> {
        if contacts.is_empty() {
            return Ok(None);
        }
        self.subject_key_ensure(id).await?;
        contacts_sealed(self.subject_keys(), id, contacts).map(Some)
    }

    pub(crate) async fn subject_key_ensure(&self, subject: Id) -> Result<(), Error> {
        let keys = self.subject_keys().clone();
        // Waits for a sync of its own: not on a thread of the runtime.
        tokio::task::spawn_blocking(move || keys.ensure(subject))
            .await
            .map_err(|_| Error::Unavailable("the runtime is ending"))?
    }
}

/// Contacts as their row holds them; the subject has to have a key.
pub(crate) fn contacts_sealed(keys: &SubjectKeys, id: Id, contacts: &[Contact]) -> Result<Vec<u8>, Error> {
    let urls: Vec<&str> = contacts.iter().map(Contact::expose).collect();
    let plain = zeroize::Zeroizing::new(
        serde_json::to_vec(&urls).map_err(|cause| Error::Row("contacts", Box::new(cause)))?,
    );
    keys.seal(contact_place(id), &plain)
}

pub(crate) fn active(transaction: &Transaction<'_>, id: Id) -> Result<Option<Account>, Error> {
    let account: Option<Account> = transaction.row(ACCOUNTS, id.as_bytes())?;
    Ok(account.filter(|account| account.deactivated.is_none()))
}

fn key_taken(transaction: &Transaction<'_>, key: &PublicKey) -> Result<Option<AccountInserted>, Error> {
    if is_blocked(transaction, key)? {
        return Ok(Some(AccountInserted::Blocked));
    }
    match transaction.get(ACCOUNTS_BY_KEY, &key.thumbprint())? {
        None => Ok(None),
        Some(bytes) => {
            let account = transaction.row(ACCOUNTS, id_from(&bytes)?.as_bytes())?;
            account
                .map(|account| Some(AccountInserted::Taken(account)))
                .ok_or_else(|| Error::Row("an account's key", "its account is missing".into()))
        }
    }
}

pub(crate) fn id_from(bytes: &[u8]) -> Result<Id, Error> {
    bytes.try_into().map(Id::from_bytes).map_err(|_| Error::Row("a key of an index", "it holds no id".into()))
}
