//! Keys that are given out, and to each of which one account can be bound.

use ingam_protocol::external::MacKey;
use ingam_protocol::identifier::Domain;
use ingam_protocol::profile::ProfileName;
use ingam_protocol::record::RecordType;
use ingam_protocol::{Id, Timestamp};
use ingam_store::{ExternalKey, KeyUnusable, KeyWithdrawn, Withdrawal};
use serde::Serialize;

use super::find::start;
use super::page::{Found, ROWS_PER_READ, Rows, Seen, page_by_rows};
use super::{AccountView, Act, ActError};
use crate::Authority;

/// At most this many profiles, and this many names, limit one key.
const LIMITS_MAX: usize = 100;

/// What a key is to be like.
#[derive(Clone, Debug, Default)]
pub struct NewExternalKey {
    /// For whom it is.
    pub holder: String,
    /// The profiles that its account may order; all, if there is none.
    pub profiles: Vec<ProfileName>,
    /// The names that its account may order, with all below them; any identifier, if there is none.
    pub names: Vec<Domain>,
    /// Until when an account can be bound to it.
    pub expires: Option<Timestamp>,
}

/// What has become of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExternalKeyStatus {
    /// An account can be bound to it.
    Unused,
    /// It has an account.
    Bound,
    /// Its time passed without an account.
    Expired,
    /// It was withdrawn, with an account or without.
    Withdrawn,
}

impl ExternalKeyStatus {
    const ALL: [Self; 4] = [Self::Unused, Self::Bound, Self::Expired, Self::Withdrawn];

    /// The status of a key at `now`.
    pub fn of(key: &ExternalKey, now: Timestamp) -> Self {
        match key.unusable(now) {
            None => Self::Unused,
            Some(KeyUnusable::Bound) => Self::Bound,
            Some(KeyUnusable::Expired) => Self::Expired,
            Some(KeyUnusable::Withdrawn | KeyUnusable::Missing) => Self::Withdrawn,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Bound => "bound",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The status of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

#[derive(Serialize)]
struct WithdrawnEvidence<'a> {
    key: Id,
    #[serde(flatten)]
    withdrawal: &'a Withdrawal,
}

impl Authority {
    /// Makes a key. This is the one time that its MAC key is seen.
    ///
    /// # Errors
    /// [`ActError::Invalid`] for a profile that is not offered, an end that has passed, or too many limits;
    /// [`ActError::Fault`].
    pub async fn external_key_make(
        &self,
        act: &Act,
        new: NewExternalKey,
    ) -> Result<(ExternalKey, MacKey), ActError> {
        let now = self.clock.now();
        if new.profiles.len() > LIMITS_MAX || new.names.len() > LIMITS_MAX {
            return Err(ActError::invalid(format!(
                "a key is limited to at most {LIMITS_MAX} profiles and {LIMITS_MAX} names: give a name above several"
            )));
        }
        if new.expires.is_some_and(|expires| expires <= now) {
            return Err(ActError::invalid("the key would end before it is made: give a later time"));
        }
        let policy = self.policy();
        let unknown = new.profiles.iter().find(|name| policy.catalog.by_name(name.as_str()).is_none());
        if let Some(name) = unknown {
            let known: Vec<&str> = policy.catalog.iter().map(|profile| profile.name.as_str()).collect();
            return Err(ActError::invalid(format!(
                "there is no profile {name}: use one of {}",
                known.join(", ")
            )));
        }
        let key = ExternalKey {
            id: Id::new(now, self.random.as_ref()),
            holder: new.holder,
            profiles: new.profiles,
            names: new.names,
            expires: new.expires,
            by: act.operator,
            at: now,
            bound: None,
            withdrawn: None,
        };
        let secret = MacKey::new(self.random.as_ref());
        let record = self.record(RecordType::ExternalKeyMade, None, None, &key)?;
        self.store.external_key_insert(key.clone(), &secret, vec![record, self.act_done(act)?]).await?;
        Ok((key, secret))
    }

    /// The key of this id.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub fn external_key(&self, id: Id) -> Result<ExternalKey, ActError> {
        self.store.external_key_by_id(id)?.ok_or_else(|| no_key(id))
    }

    /// Keys with this status, or all, oldest first. Reads many: blocks.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn external_keys(
        &self,
        status: Option<ExternalKeyStatus>,
        after: Option<Id>,
        limit: usize,
    ) -> Result<Found<ExternalKey>, ActError> {
        let now = self.clock.now();
        let read = |last| {
            let rows = self.store.external_keys(start(None, last), ROWS_PER_READ)?;
            Ok(Rows { is_end: rows.len() < ROWS_PER_READ, rows })
        };
        let visit = |key: ExternalKey| {
            let fits = status.is_none_or(|status| status == ExternalKeyStatus::of(&key, now));
            Ok(Seen::Row(key.id, Some(key).filter(|_| fits)))
        };
        page_by_rows(after, limit, read, visit)
    }

    /// The account that is bound to a key, if one is.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn account_of_external_key(&self, id: Id) -> Result<Option<AccountView>, ActError> {
        let bound = self.store.external_key_by_id(id)?.and_then(|key| key.bound);
        bound.map(|bound| self.account_view(bound.account)).transpose()
    }

    /// Withdraws a key: no account can be bound to it, and the one that is gets no more certificates.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Conflict`] if it was withdrawn before; [`ActError::Fault`].
    pub async fn external_key_withdraw(&self, act: &Act, id: Id) -> Result<ExternalKey, ActError> {
        let withdrawal = Withdrawal {
            by: act.operator,
            at: self.clock.now(),
            reason: act.reason.clone().unwrap_or_default(),
        };
        let evidence = WithdrawnEvidence { key: id, withdrawal: &withdrawal };
        let record = self.record(RecordType::ExternalKeyWithdrawn, None, None, &evidence)?;
        let records = vec![record, self.act_done(act)?];
        match self.store.external_key_withdraw(id, withdrawal, records).await? {
            KeyWithdrawn::Yes(key) => Ok(*key),
            KeyWithdrawn::Before => Err(ActError::conflict(format!("the key {id} was withdrawn before"))),
            KeyWithdrawn::Missing => Err(no_key(id)),
        }
    }
}

fn no_key(id: Id) -> ActError {
    ActError::not_found(format!("there is no key {id}"))
}
