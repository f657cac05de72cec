//! Accounts: newAccount, updates, deactivation, key change (RFC 8555, section 7.3).

use ingam_protocol::Id;
use ingam_protocol::acme::{Account, AccountUpdate, BadContact, Contact, ErrorType, NewAccount};
use ingam_protocol::key::PublicKey;
use ingam_protocol::record::RecordType;
use ingam_store::AccountInserted;

use crate::Authority;
use crate::error::{Error, Refusal};
use crate::evidence::{AccountEvidence, Caller};
use crate::external;
use crate::key_check::blocked_key;

/// What newAccount found.
#[derive(Clone, Debug)]
pub enum AccountFound {
    /// A new one was made (201).
    New(Account),
    /// The key's account was there (200).
    Existing(Account),
}

impl AccountFound {
    /// The account either way.
    pub fn account(&self) -> &Account {
        match self {
            Self::New(account) | Self::Existing(account) => account,
        }
    }
}

impl Authority {
    /// newAccount, signed by `key` (RFC 8555, sections 7.3 and 7.3.1).
    ///
    /// # Errors
    /// Refusals: `accountDoesNotExist`, `unauthorized` for a deactivated one, `userActionRequired` without consent to
    /// the terms, `rateLimited`, `unsupportedContact`, `invalidContact`, `badPublicKey` for a blocked key, `externalAccountRequired`
    /// without a binding where each account needs one, `malformed` and `unauthorized` for a binding that is not in order.
    pub async fn account_create(
        &self,
        key: PublicKey,
        request: NewAccount,
        caller: &Caller,
    ) -> Result<AccountFound, Error> {
        // Whoever else holds the key is not told of its account either.
        self.refuse_key(&key, ErrorType::BadPublicKey)?;
        if let Some(account) = self.store.account_by_key(&key)? {
            return found(account);
        }
        if request.only_return_existing {
            return Err(Error::refusal(ErrorType::AccountDoesNotExist, "no account has this key"));
        }
        let policy = self.policy();
        let binding = request.external_account_binding;
        if policy.external_account_required && binding.is_none() {
            return Err(external::required());
        }
        if let Some(terms) = policy.terms_of_service.as_ref().filter(|_| !request.terms_of_service_agreed) {
            return Err(Error::refusal(
                ErrorType::UserActionRequired,
                format!("agree to the terms of service at {terms} by \"termsOfServiceAgreed\": true"),
            ));
        }
        let sent = request.contact.unwrap_or_default();
        let contacts = self.read_contacts(&sent)?;
        let demands = self.account_demands(caller.address)?;
        let external = binding.map(|binding| self.read_binding(&binding, &key, &caller.url)).transpose()?;
        let now = self.clock.now();
        let account = Account {
            id: Id::new(now, self.random.as_ref()),
            key,
            created: now,
            terms_agreed: request.terms_of_service_agreed.then_some(now),
            deactivated: None,
            external,
            earlier_keys: Vec::new(),
        };
        let evidence = AccountEvidence::of(&account);
        let hides = !sent.is_empty() || account.external.is_some();
        let record =
            self.account_record(RecordType::AccountCreated, account.id, hides, caller, &evidence).await?;
        match self.store.account_insert(account.clone(), &contacts, record, demands).await? {
            Ok(AccountInserted::New) => Ok(AccountFound::New(account)),
            // Two requests with one key at the same time: the second finds the first's account.
            Ok(AccountInserted::Taken(existing)) => found(existing),
            Ok(AccountInserted::Blocked) => Err(blocked_key(ErrorType::BadPublicKey)),
            Ok(AccountInserted::Limited(limited)) => Err(self.limited(limited)),
            // Two accounts with one key of the operators' at the same time, or it was withdrawn in this moment.
            Err(unbound) => Err(external::unusable(unbound)),
        }
    }

    /// The account of this name, whatever its status; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn account(&self, id: Id) -> Result<Option<Account>, Error> {
        Ok(self.store.account_by_id(id)?)
    }

    /// The contacts of an account, for its holder.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails.
    pub fn account_contacts(&self, account: &Account) -> Result<Vec<Contact>, Error> {
        Ok(self.store.account_contacts(account.id)?)
    }

    /// An update by the holder (RFC 8555, sections 7.3.2, 7.3.3 and 7.3.6).
    ///
    /// # Errors
    /// Refusals as for [`Authority::account_create`]; `malformed` for a status other than `deactivated`.
    pub async fn account_update(
        &self,
        account: &Account,
        update: AccountUpdate,
        caller: &Caller,
    ) -> Result<Account, Error> {
        let ended = || Error::refusal(ErrorType::Unauthorized, "the account was deactivated");
        match update.status.as_deref() {
            None | Some("valid") => {}
            Some("deactivated") => {
                let evidence = AccountEvidence::about(account.id);
                let hides = update.contact.as_ref().is_some_and(|sent| !sent.is_empty());
                let record = self
                    .account_record(RecordType::AccountDeactivated, account.id, hides, caller, &evidence)
                    .await?;
                // As the record says it, so that the row can be made anew from the record.
                return self
                    .store
                    .account_deactivate(account.id, record.time, record)
                    .await?
                    .ok_or_else(ended);
            }
            Some(_) => {
                return Err(Error::refusal(
                    ErrorType::Malformed,
                    "an account's \"status\" can only be changed to \"deactivated\"",
                ));
            }
        }
        if update.contact.is_none() && update.terms_of_service_agreed.is_none() {
            return Ok(account.clone());
        }
        let contacts = update.contact.as_deref().map(|urls| self.read_contacts(urls)).transpose()?;
        let agreed = update.terms_of_service_agreed.unwrap_or(false).then(|| self.clock.now());
        let evidence = AccountEvidence { terms_agreed: agreed, ..AccountEvidence::about(account.id) };
        let hides = update.contact.as_ref().is_some_and(|sent| !sent.is_empty());
        let record =
            self.account_record(RecordType::AccountUpdated, account.id, hides, caller, &evidence).await?;
        self.store.account_update(account.id, contacts.as_deref(), agreed, record).await?.ok_or_else(ended)
    }

    /// Puts `new` in place of the account's key (RFC 8555, section 7.3.5); that `new` signed for it was checked.
    ///
    /// # Errors
    /// Refusals: `malformed` with a conflicting account if the key is another's, `badPublicKey` if it is blocked.
    pub async fn account_key_change(
        &self,
        account: &Account,
        new: PublicKey,
        caller: &Caller,
    ) -> Result<Account, Error> {
        self.refuse_key(&new, ErrorType::BadPublicKey)?;
        let evidence = AccountEvidence { key: Some(&new), ..AccountEvidence::about(account.id) };
        let record = self.record(RecordType::AccountKeyChanged, Some(account.id), Some(caller), &evidence)?;
        let changed =
            self.store.account_key_change(account.id, account.key.clone(), new.clone(), record).await?;
        match changed {
            Some(AccountInserted::New) => {
                let mut account = account.clone();
                account.key_replace(new);
                Ok(account)
            }
            Some(AccountInserted::Taken(other)) => {
                let refusal = Refusal::new(ErrorType::Malformed, "another account already has the new key");
                Err(Refusal { conflict: Some(other.id), ..refusal }.into())
            }
            Some(AccountInserted::Blocked) => Err(blocked_key(ErrorType::BadPublicKey)),
            Some(AccountInserted::Limited(limited)) => Err(self.limited(limited)),
            None => {
                Err(Error::refusal(ErrorType::Unauthorized, "the old key is not the account's key any more"))
            }
        }
    }

    /// A record of a request. If it `hides` something, as contacts, used or not, or the MAC of a binding, its payload is
    /// sealed.
    async fn account_record(
        &self,
        kind: RecordType,
        id: Id,
        hides: bool,
        caller: &Caller,
        evidence: &AccountEvidence<'_>,
    ) -> Result<ingam_protocol::record::Record, Error> {
        if hides {
            self.record_sealed(kind, id, caller, evidence).await
        } else {
            self.record(kind, Some(id), Some(caller), evidence)
        }
    }

    fn read_contacts(&self, urls: &[String]) -> Result<Vec<Contact>, Error> {
        let contacts_max = self.policy().contacts_max;
        if urls.len() > contacts_max {
            return Err(Error::refusal(
                ErrorType::Malformed,
                format!("an account has at most {contacts_max} contacts"),
            ));
        }
        let contacts = urls.iter().map(|url| Contact::parse(url)).collect::<Result<Vec<_>, _>>();
        contacts.map_err(|bad| {
            let error = match bad {
                BadContact::Unsupported => ErrorType::UnsupportedContact,
                BadContact::Invalid(_) => ErrorType::InvalidContact,
            };
            Error::refusal(error, bad.to_string())
        })
    }
}

fn found(account: Account) -> Result<AccountFound, Error> {
    match account.deactivated {
        None => Ok(AccountFound::Existing(account)),
        Some(_) => {
            let refusal = Refusal::new(ErrorType::Unauthorized, "the account of this key was deactivated");
            Err(Refusal { account_ended: true, ..refusal }.into())
        }
    }
}
