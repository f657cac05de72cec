//! Holds: what a case needs stays, whatever the schedule says.

use ingam_protocol::record::{Class, Record, RecordType};
use ingam_protocol::{Id, Serial, Timestamp};
use ingam_store::{
    HOLD_LASTS_MAX, HOLDS_OPEN_MAX, Hold, HoldChange, HoldOpened, HoldReleased, HoldRenewal, HoldRenewed,
    HoldScope,
};

use super::{Act, ActError, Found};
use crate::Authority;

/// At most this many characters are a case's name or an owner's.
const NAME_CHARS_MAX: usize = 128;
/// A hold is renewed at most so often: more than that is a schedule of its own.
const RENEWALS_MAX: usize = 200;

/// A hold to be opened; its reason is the act's.
#[derive(Clone, Debug)]
pub struct NewHold {
    /// The case that it is for.
    pub case: String,
    /// Who answers for it.
    pub owner: String,
    /// What stays.
    pub scope: NewScope,
    /// When it ends, unless it is renewed.
    pub ends: Timestamp,
}

/// What is to stay, before it is looked up.
#[derive(Clone, Debug)]
pub enum NewScope {
    /// All that is about an account.
    Subject(Id),
    /// All that is about the certificate with this serial number.
    Certificate(Serial),
    /// All of a class, of some time.
    Class {
        /// The class.
        class: Class,
        /// Of this time or later.
        from: Option<Timestamp>,
        /// Of before this time.
        until: Option<Timestamp>,
    },
    /// Everything.
    Everything,
}

impl Authority {
    /// Opens a hold: from then on no sweep and no erasure takes what it is about.
    ///
    /// # Errors
    /// [`ActError::Invalid`] for one that makes no sense, [`ActError::NotFound`] for a certificate or an account that is
    /// not there, [`ActError::Conflict`] if there are too many; [`ActError::Fault`].
    pub async fn hold_open(&self, act: &Act, new: NewHold) -> Result<Hold, ActError> {
        let now = self.clock.now();
        check_end(new.ends, now)?;
        let hold = Hold {
            id: Id::new(now, self.random.as_ref()),
            case: named("a case", &new.case)?,
            owner: named("an owner", &new.owner)?,
            reason: reason_of(act)?,
            scope: self.hold_scope(new.scope)?,
            opened: now,
            by: act.operator,
            ends: new.ends,
            renewals: Vec::new(),
            released: None,
        };
        let records = vec![self.hold_record(&hold, HoldChange::Opened)?, self.act_done(act)?];
        match self.store.hold_open(hold.clone(), records).await? {
            HoldOpened::Yes => Ok(hold),
            HoldOpened::Full => Err(ActError::conflict(format!(
                "there are {HOLDS_OPEN_MAX} holds in force: release some, or hold more by one"
            ))),
        }
    }

    /// Moves the end of a hold that is in force.
    ///
    /// # Errors
    /// [`ActError::NotFound`]; [`ActError::Conflict`] if it is over; [`ActError::Invalid`] for an end that is too far;
    /// [`ActError::Fault`].
    pub async fn hold_renew(&self, act: &Act, id: Id, ends: Timestamp) -> Result<Hold, ActError> {
        let now = self.clock.now();
        check_end(ends, now)?;
        let mut known = self.hold(id)?;
        if known.renewals.len() >= RENEWALS_MAX {
            return Err(ActError::conflict(format!(
                "the hold was renewed {RENEWALS_MAX} times: open another for the same case"
            )));
        }
        let renewal = HoldRenewal { at: now, by: act.operator, reason: reason_of(act)?, ends };
        known.ends = ends;
        known.renewals.push(renewal.clone());
        let records = vec![self.hold_record(&known, HoldChange::Renewed)?, self.act_done(act)?];
        over(self.store.hold_renew(id, renewal, move |_| records).await?)
    }

    /// Releases a hold: what it kept goes with the next sweep, if its time is over.
    ///
    /// # Errors
    /// [`ActError::NotFound`]; [`ActError::Conflict`] if it is over; [`ActError::Fault`].
    pub async fn hold_release(&self, act: &Act, id: Id) -> Result<Hold, ActError> {
        let mut known = self.hold(id)?;
        let released = HoldReleased { at: self.clock.now(), by: act.operator, reason: reason_of(act)? };
        known.released = Some(released.clone());
        let records = vec![self.hold_record(&known, HoldChange::Released)?, self.act_done(act)?];
        over(self.store.hold_release(id, released, move |_| records).await?)
    }

    /// The hold of this name.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub fn hold(&self, id: Id) -> Result<Hold, ActError> {
        self.store.hold_by_id(id)?.ok_or_else(no_hold)
    }

    /// Holds, oldest first, behind `after`, at most `limit`.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn hold_list(&self, after: Option<Id>, limit: usize) -> Result<Found<Hold>, ActError> {
        let items = self.store.hold_list(after, limit)?;
        let next = items.last().filter(|_| items.len() == limit).map(|last| last.id.as_bytes().to_vec());
        Ok(Found { items, next })
    }

    fn hold_scope(&self, wanted: NewScope) -> Result<HoldScope, ActError> {
        match wanted {
            NewScope::Everything => Ok(HoldScope::Everything),
            NewScope::Subject(subject) => {
                let is_known = self.store.account_by_id(subject)?.is_some()
                    || self.store.external_key_by_id(subject)?.is_some();
                is_known.then_some(HoldScope::Subject { subject }).ok_or_else(|| {
                    ActError::not_found("there is no account and no key for external accounts of this id")
                })
            }
            NewScope::Certificate(serial) => {
                let found = self.certificate_of_serial(&serial)?;
                let account = self.store.hold_account(&found.issuer, &serial)?;
                Ok(HoldScope::Certificate { issuer: found.issuer, serial, account })
            }
            NewScope::Class { class, from, until } => {
                if matches!((from, until), (Some(from), Some(until)) if from >= until) {
                    return Err(ActError::invalid("the time ends before it begins: give a later until"));
                }
                match class {
                    Class::OcspRequestLog | Class::Investigation => Err(ActError::invalid(
                        "requests to OCSP are held by ingam admin ocsp hold open, under a key of their own",
                    )),
                    Class::Passcode | Class::OperationsLog => Err(ActError::invalid(format!(
                        "nothing of the class {} is kept here that could be held",
                        class.name()
                    ))),
                    class => Ok(HoldScope::Class { class, from, until }),
                }
            }
        }
    }

    fn hold_record(&self, hold: &Hold, change: HoldChange) -> Result<Record, ActError> {
        let subject = match &hold.scope {
            HoldScope::Subject { subject } => Some(*subject),
            HoldScope::Certificate { account, .. } => *account,
            HoldScope::Class { .. } | HoldScope::Everything => None,
        };
        let record = self.record(RecordType::HoldChanged, subject, None, &hold.told(change))?;
        Ok(record.ending(hold.end()))
    }
}

fn over(renewed: HoldRenewed) -> Result<Hold, ActError> {
    match renewed {
        HoldRenewed::Yes(hold) => Ok(hold),
        HoldRenewed::Missing => Err(no_hold()),
        HoldRenewed::Over(hold) => Err(ActError::conflict(format!(
            "the hold has been over since {}, and what it kept may be gone: open another",
            hold.end()
        ))),
    }
}

fn check_end(ends: Timestamp, now: Timestamp) -> Result<(), ActError> {
    let latest = now.plus(HOLD_LASTS_MAX);
    if ends <= now || ends > latest {
        return Err(ActError::invalid(format!(
            "a hold ends after now, and by {latest} at the latest: it can be renewed while it is in force"
        )));
    }
    Ok(())
}

fn named(what: &str, name: &str) -> Result<String, ActError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(ActError::invalid(format!("{what} has a name of 1 to {NAME_CHARS_MAX} characters")));
    }
    Ok(name.to_owned())
}

fn reason_of(act: &Act) -> Result<String, ActError> {
    act.reason.clone().ok_or_else(|| ActError::invalid("say why, in \"reason\""))
}

fn no_hold() -> ActError {
    ActError::not_found("there is no hold of this id: ingam admin hold list shows all")
}
