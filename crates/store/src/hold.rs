//! Holds: what a case needs stays, whatever the schedule says and whoever asks for its erasure.
//!
//! ```text
//! opened ──▶ in force ──released by hand──▶ released
//!               │  ▲
//!               │  └─ renewed by hand, before its end
//!               └─ its end passes ──▶ lapsed
//! ```
//!
//! What ends in any way stays listed, as the reason why something was there for longer. The state is worked out from the
//! facts and the time: a hold that nobody renewed ends without anybody's doing.

use std::collections::BTreeSet;
use std::time::Duration;

use ingam_protocol::operator::Principal;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Class, Record};
use ingam_protocol::{Id, Serial, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::open::Store;
use crate::table::{HOLDS, HOLDS_OPEN};
use crate::transaction::{Transaction, decode, read_range, read_row};

/// A hold ends so long after it was opened or renewed, at most.
pub const HOLD_LASTS_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// At most this many holds are in force at once: each sweep and each erasure looks at all of them.
pub const HOLDS_OPEN_MAX: usize = 200;

/// What a hold keeps. It is the wider reading that counts: what may belong to it, stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HoldScope {
    /// All that is about an account.
    Subject {
        /// The account, or the key for external accounts that is a subject of its own.
        subject: Id,
    },
    /// All that is about a certificate, and what is known of its account.
    Certificate {
        /// Its issuer.
        issuer: IssuerName,
        /// Its serial number.
        serial: Serial,
        /// Whose it is, as found when the hold was opened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        account: Option<Id>,
    },
    /// All of a class, of some time.
    Class {
        /// The class.
        class: Class,
        /// Of this time or later.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Timestamp>,
        /// Of before this time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Everything.
    Everything,
}

impl HoldScope {
    /// Whether it may be about this subject: personal data lies in the classes `contact`, `issuance` and `access_log`,
    /// so a hold on one of these is about everybody.
    pub fn is_about(&self, of: Id) -> bool {
        match self {
            Self::Subject { subject } => *subject == of,
            Self::Certificate { account, .. } => *account == Some(of),
            Self::Class { class, .. } => {
                matches!(class, Class::Contact | Class::Issuance | Class::AccessLog)
            }
            Self::Everything => true,
        }
    }

    /// Whether it may be about something in a whole segment of a class from a span of time; without a bound, of any time on
    /// that side. Segments are not read for it: not all records say whom they are about, and what an operator did to an
    /// account stands in the act's own words. So a subject's hold keeps everything of the classes that tell of people since
    /// the account was made, which its id says.
    pub fn touches(&self, of: Class, earliest: Option<Timestamp>, latest: Option<Timestamp>) -> bool {
        let since = |made: Option<Id>| {
            !matches!(of, Class::Aggregate | Class::OperationsLog | Class::OcspRequestLog)
                && made
                    .is_none_or(|made| latest.is_none_or(|latest| latest.plus(CLOCK_MARGIN) >= made.time()))
        };
        match self {
            Self::Subject { subject } => since(Some(*subject)),
            Self::Certificate { account, .. } => since(*account),
            Self::Class { class, from, until } => {
                *class == of
                    && from.is_none_or(|from| latest.is_none_or(|latest| latest >= from))
                    && until.is_none_or(|until| earliest.is_none_or(|earliest| earliest < until))
            }
            Self::Everything => true,
        }
    }

    /// The same for a row, of which it is known what it is about. Where that is nothing that has an account or a
    /// certificate of its own, it may be about any.
    pub(crate) fn keeps_row(
        &self,
        of: Class,
        (earliest, latest): (Timestamp, Timestamp),
        about: Option<Id>,
        named: Option<(&IssuerName, &Serial)>,
    ) -> bool {
        let is_anybodys = about.is_none() && named.is_none();
        match self {
            Self::Subject { subject } => is_anybodys || about == Some(*subject),
            Self::Certificate { issuer, serial, account } => {
                is_anybodys || named == Some((issuer, serial)) || (account.is_some() && about == *account)
            }
            Self::Class { .. } | Self::Everything => self.touches(of, Some(earliest), Some(latest)),
        }
    }
}

/// By how much a clock may have been wrong when something was written.
const CLOCK_MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

/// A renewal of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRenewal {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub by: Principal,
    /// Why it is still needed.
    pub reason: String,
    /// When it ends since then.
    pub ends: Timestamp,
}

/// The end of a hold by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReleased {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub by: Principal,
    /// Why.
    pub reason: String,
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its name.
    pub id: Id,
    /// The case that it is for: what the operators call it.
    pub case: String,
    /// Who answers for it.
    pub owner: String,
    /// Why it was opened.
    pub reason: String,
    /// What stays.
    pub scope: HoldScope,
    /// When it was opened.
    pub opened: Timestamp,
    /// Who opened it.
    pub by: Principal,
    /// When it ends, unless it is renewed: the latest of all ends.
    pub ends: Timestamp,
    /// How it was renewed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renewals: Vec<HoldRenewal>,
    /// Who released it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<HoldReleased>,
}

/// What a record of a hold tells beside the hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldChange {
    /// It is there from now on.
    Opened,
    /// Its end was moved.
    Renewed,
    /// It is over.
    Released,
}

impl Hold {
    /// Whether it keeps anything.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.released.is_none() && now < self.ends
    }

    /// Whether its end has passed and nobody renewed it.
    pub fn is_lapsed(&self, now: Timestamp) -> bool {
        self.released.is_none() && now >= self.ends
    }

    /// When it stopped to keep anything, or will unless it is renewed.
    pub fn end(&self) -> Timestamp {
        self.released.as_ref().map_or(self.ends, |released| released.at.min(self.ends))
    }

    /// The payload of the record that says of a change.
    pub fn told(&self, change: HoldChange) -> serde_json::Value {
        serde_json::json!({ "change": change, "hold": self })
    }
}

/// What came of opening a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldOpened {
    /// It is in force.
    Yes,
    /// There are [`HOLDS_OPEN_MAX`] in force.
    Full,
}

/// What came of renewing or releasing a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldRenewed {
    /// Done; the hold as it is then.
    Yes(Hold),
    /// There is none of this name.
    Missing,
    /// It is not in force any more, and stays so.
    Over(Hold),
}

/// The holds in force, as of this point of a transaction. Bounded by [`HOLDS_OPEN_MAX`].
pub(crate) fn holds_in_force(transaction: &Transaction<'_>, now: Timestamp) -> Result<Vec<Hold>, Error> {
    let mut holds = Vec::new();
    for (id, _) in transaction.range(HOLDS_OPEN, &[], None, usize::MAX)? {
        let hold: Option<Hold> = transaction.row(HOLDS, &id)?;
        holds.extend(hold.filter(|hold| hold.is_in_force(now)));
    }
    Ok(holds)
}

/// The holds in force that are about a subject, as of this point of a transaction: what an erasure asks before it does
/// anything, in the same transaction.
pub(crate) fn holds_on(
    transaction: &Transaction<'_>,
    subject: Id,
    now: Timestamp,
) -> Result<Vec<Hold>, Error> {
    let mut holds = holds_in_force(transaction, now)?;
    holds.retain(|hold| hold.scope.is_about(subject));
    Ok(holds)
}

/// Puts a hold in force within a transaction of something larger; `Full`, and nothing is changed.
pub(crate) fn hold_put(transaction: &mut Transaction<'_>, hold: &Hold) -> Result<HoldOpened, Error> {
    let in_force: BTreeSet<Id> =
        holds_in_force(transaction, hold.opened)?.into_iter().map(|open| open.id).collect();
    if in_force.len() >= HOLDS_OPEN_MAX {
        return Ok(HoldOpened::Full);
    }
    // What lapsed need not be looked at any more.
    for (id, _) in transaction.range(HOLDS_OPEN, &[], None, usize::MAX)? {
        if !in_force.iter().any(|open| open.as_bytes().as_slice() == id) {
            transaction.delete(HOLDS_OPEN, id);
        }
    }
    transaction.put_row(HOLDS, *hold.id.as_bytes(), hold)?;
    transaction.put(HOLDS_OPEN, *hold.id.as_bytes(), Vec::new());
    Ok(HoldOpened::Yes)
}

/// Ends a hold within a transaction of something larger, as the closing of a case.
pub(crate) fn hold_end(
    transaction: &mut Transaction<'_>,
    id: Id,
    released: HoldReleased,
) -> Result<HoldRenewed, Error> {
    let Some(mut hold) = transaction.row::<Hold>(HOLDS, id.as_bytes())? else {
        return Ok(HoldRenewed::Missing);
    };
    if !hold.is_in_force(released.at) {
        return Ok(HoldRenewed::Over(hold));
    }
    hold.released = Some(released);
    transaction.put_row(HOLDS, *id.as_bytes(), &hold)?;
    transaction.delete(HOLDS_OPEN, *id.as_bytes());
    Ok(HoldRenewed::Yes(hold))
}

impl Store {
    /// Opens a hold. Its end, owner and reason are looked at by the caller. Nothing, and no record, if there are too many.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn hold_open(&self, hold: Hold, records: Vec<Record>) -> Result<HoldOpened, Error> {
        self.run(move |transaction| {
            let opened = hold_put(transaction, &hold)?;
            if opened == HoldOpened::Yes {
                records.iter().for_each(|record| transaction.record(record));
            }
            Ok(opened)
        })
        .await
    }

    /// Moves the end of a hold that is in force; what was let go once is not taken up again. `told` makes the records of
    /// it.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn hold_renew<F>(&self, id: Id, renewal: HoldRenewal, told: F) -> Result<HoldRenewed, Error>
    where
        F: FnOnce(&Hold) -> Vec<Record> + Send + 'static,
    {
        self.run(move |transaction| {
            let Some(mut hold) = transaction.row::<Hold>(HOLDS, id.as_bytes())? else {
                return Ok(HoldRenewed::Missing);
            };
            if !hold.is_in_force(renewal.at) {
                return Ok(HoldRenewed::Over(hold));
            }
            hold.ends = renewal.ends;
            hold.renewals.push(renewal);
            transaction.put_row(HOLDS, *id.as_bytes(), &hold)?;
            told(&hold).iter().for_each(|record| transaction.record(record));
            Ok(HoldRenewed::Yes(hold))
        })
        .await
    }

    /// Releases a hold that is in force: the schedule counts again from the next sweep on.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn hold_release<F>(&self, id: Id, released: HoldReleased, told: F) -> Result<HoldRenewed, Error>
    where
        F: FnOnce(&Hold) -> Vec<Record> + Send + 'static,
    {
        self.run(move |transaction| {
            let ended = hold_end(transaction, id, released)?;
            if let HoldRenewed::Yes(hold) = &ended {
                told(hold).iter().for_each(|record| transaction.record(record));
            }
            Ok(ended)
        })
        .await
    }

    /// The hold of this name.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn hold_by_id(&self, id: Id) -> Result<Option<Hold>, Error> {
        read_row(self.engine(), HOLDS, id.as_bytes())
    }

    /// Holds, oldest first, behind `after`, at most `limit`; those that ended among them.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn hold_list(&self, after: Option<Id>, limit: usize) -> Result<Vec<Hold>, Error> {
        let from = after.map_or(Vec::new(), |after| [after.as_bytes().as_slice(), &[0]].concat());
        let mut holds = Vec::new();
        for (_, row) in read_range(self.engine(), HOLDS, &from, None, limit)? {
            holds.extend(decode::<Hold>(HOLDS, Some(row))?);
        }
        Ok(holds)
    }

    /// The holds in force now.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn holds_in_force(&self, now: Timestamp) -> Result<Vec<Hold>, Error> {
        let mut holds = Vec::new();
        for (id, _) in read_range(self.engine(), HOLDS_OPEN, &[], None, usize::MAX)? {
            let hold: Option<Hold> = read_row(self.engine(), HOLDS, &id)?;
            holds.extend(hold.filter(|hold| hold.is_in_force(now)));
        }
        Ok(holds)
    }

    /// The holds in force that are about a subject: for whoever asks, as an erasure asks again in its own transaction.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn holds_on(&self, subject: Id, now: Timestamp) -> Result<Vec<Hold>, Error> {
        let mut holds = self.holds_in_force(now)?;
        holds.retain(|hold| hold.scope.is_about(subject));
        Ok(holds)
    }

    /// The account of a certificate, for the scope of a hold; `None` if the certificate is not known.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn hold_account(&self, issuer: &IssuerName, serial: &Serial) -> Result<Option<Id>, Error> {
        Ok(self.certificate_by_serial(issuer, serial)?.map(|row| row.account))
    }
}
