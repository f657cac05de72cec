//! Pairs of account and name whose checks fail and fail: counted, and paused once they have failed for long enough.

use std::time::Duration;

use ingam_protocol::record::Record;
use ingam_protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::account::active;
use crate::error::Error;
use crate::open::Store;
use crate::table::{PAUSES, end_of};
use crate::transaction::{Transaction, decode, read_range, read_row};

/// At most this many pairs are let go at once; whoever has more asks again.
pub const PAUSES_LIFTED_MAX: usize = 1000;

/// At most this many of an account's pairs are looked at for those that are paused.
const PAUSES_SEEN_MAX: usize = 10_000;

/// At most this many pairs are looked at in one sweep.
const PAUSES_PER_SWEEP: usize = 1000;

/// When a pair is paused, and when it is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseRule {
    /// After how many failures one after another.
    pub failures: u32,
    /// How long lies between the first and the last of them, at least.
    pub over: Duration,
    /// After how long without another failure the pair is forgotten.
    pub forgotten_after: Duration,
}

/// A pair that failed, and has not succeeded since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Whose checks.
    pub account: Id,
    /// Of which name or address, as text.
    pub name: String,
    /// How many failures there were, one after another.
    pub failures: u32,
    /// When the first was.
    pub first: Timestamp,
    /// When the last was.
    pub last: Timestamp,
    /// Since when the account gets no order for the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Timestamp>,
}

impl Pause {
    /// Whether the account gets no order for the name. A pair that nothing was heard of is let go by itself.
    pub fn is_in_force(&self, rule: &PauseRule, now: Timestamp) -> bool {
        self.paused.is_some() && now < self.last.plus(rule.forgotten_after)
    }
}

fn key(account: Id, name: &str) -> Vec<u8> {
    [account.as_bytes().as_slice(), name.as_bytes()].concat()
}

/// What an account wants to order for, and has to show control of.
#[derive(Clone, Debug)]
pub struct ToBeShown {
    /// The rule by which pairs are paused.
    pub rule: PauseRule,
    /// Names and addresses, as text.
    pub names: Vec<String>,
}

/// Which pairs of the account and what it wants are paused.
pub(crate) fn paused(
    account: Id,
    shown: &ToBeShown,
    now: Timestamp,
    read: impl Fn(&[u8]) -> Result<Option<Pause>, Error>,
) -> Result<Vec<Pause>, Error> {
    let mut paused = Vec::new();
    for name in &shown.names {
        paused.extend(read(&key(account, name))?.filter(|pause| pause.is_in_force(&shown.rule, now)));
    }
    Ok(paused)
}

/// A check failed.
pub(crate) fn failed(
    transaction: &mut Transaction<'_>,
    account: Id,
    name: &str,
    rule: &PauseRule,
    now: Timestamp,
) -> Result<(), Error> {
    let key = key(account, name);
    let before: Option<Pause> = transaction.row(PAUSES, &key)?;
    let fresh = || Pause { account, name: name.to_owned(), failures: 0, first: now, last: now, paused: None };
    let mut pause = before.filter(|one| now < one.last.plus(rule.forgotten_after)).unwrap_or_else(fresh);
    pause.failures = pause.failures.saturating_add(1);
    pause.last = pause.last.max(now);
    if pause.failures >= rule.failures && pause.last.since(pause.first) >= rule.over {
        pause.paused = pause.paused.or(Some(now));
    }
    transaction.put_row(PAUSES, key, &pause)
}

/// A check succeeded: counting begins anew.
pub(crate) fn succeeded(transaction: &mut Transaction<'_>, account: Id, name: &str) -> Result<(), Error> {
    let key = key(account, name);
    if transaction.get(PAUSES, &key)?.is_some() {
        transaction.delete(PAUSES, key);
    }
    Ok(())
}

fn range_of(account: Id) -> (Vec<u8>, Option<Vec<u8>>) {
    let from = account.as_bytes().to_vec();
    let to = end_of(&from);
    (from, to)
}

impl Store {
    /// Which pairs of the account and what it wants are paused.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn pauses_in_force(
        &self,
        account: Id,
        shown: &ToBeShown,
        now: Timestamp,
    ) -> Result<Vec<Pause>, Error> {
        paused(account, shown, now, |key| read_row(self.engine(), PAUSES, key))
    }

    /// An account's names that failed and have not succeeded since, paused or not, after the name `after`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn pauses_of(&self, account: Id, after: Option<&str>, limit: usize) -> Result<Vec<Pause>, Error> {
        let (from, to) = range_of(account);
        let from = after.map_or(from, |after| [key(account, after).as_slice(), &[0]].concat());
        let mut pauses = Vec::new();
        for (_, row) in read_range(self.engine(), PAUSES, &from, to.as_deref(), limit)? {
            pauses.extend(decode::<Pause>(PAUSES, Some(row))?);
        }
        Ok(pauses)
    }

    /// Lets an account order for these names again, or for all of its names if none is given; counting begins anew. Gives
    /// the names that were paused, at most [`PAUSES_LIFTED_MAX`]; with none, nothing is recorded.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn pauses_lift(
        &self,
        account: Id,
        names: Vec<String>,
        records: Vec<Record>,
    ) -> Result<Vec<String>, Error> {
        self.run(move |transaction| {
            let mut lifted = Vec::new();
            let rows = if names.is_empty() {
                let (from, to) = range_of(account);
                transaction.range(PAUSES, &from, to.as_deref(), PAUSES_SEEN_MAX)?
            } else {
                let mut rows = Vec::with_capacity(names.len());
                for name in names {
                    let key = key(account, &name);
                    let row = transaction.get(PAUSES, &key)?;
                    rows.extend(row.map(|row| (key, row)));
                }
                rows
            };
            for (key, row) in rows {
                let pause = decode::<Pause>(PAUSES, Some(row))?.filter(|pause| pause.paused.is_some());
                if let Some(pause) = pause.filter(|_| lifted.len() < PAUSES_LIFTED_MAX) {
                    transaction.delete(PAUSES, key);
                    lifted.push(pause.name);
                }
            }
            if !lifted.is_empty() {
                records.iter().for_each(|record| transaction.record(record));
            }
            Ok(lifted)
        })
        .await
    }

    /// Forgets pairs of which nothing was heard for the rule's time, and those of accounts that have ended, behind
    /// `after`. Where the next sweep goes on; `None` at the end of the table.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn pauses_sweep(
        &self,
        after: Option<Vec<u8>>,
        forgotten_after: Duration,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, Error> {
        let from = after.map_or(Vec::new(), |after| [after.as_slice(), &[0]].concat());
        let seen = read_range(self.engine(), PAUSES, &from, None, PAUSES_PER_SWEEP)?;
        let next = seen.last().filter(|_| seen.len() == PAUSES_PER_SWEEP).map(|(key, _)| key.clone());
        let is_over = move |pause: &Pause| now >= pause.last.plus(forgotten_after);
        let mut over = Vec::new();
        for (key, row) in seen {
            let Some(pause) = decode::<Pause>(PAUSES, Some(row))? else { continue };
            let account = self.account_by_id(pause.account)?;
            if is_over(&pause) || account.is_none_or(|account| account.deactivated.is_some()) {
                over.push(key);
            }
        }
        if over.is_empty() {
            return Ok(next);
        }
        self.run(move |transaction| {
            for key in over {
                let Some(pause) = transaction.row::<Pause>(PAUSES, &key)? else { continue };
                // It may have failed again since.
                if is_over(&pause) || active(transaction, pause.account)?.is_none() {
                    transaction.delete(PAUSES, key);
                }
            }
            Ok(next)
        })
        .await
    }
}
