//! What was spent of rate limits, and operators' limits for those who need others.
//!
//! A request is counted inside the transaction that does what it asks for: everything that it takes is there and is
//! spent, or nothing is spent and nothing is done. As transactions run one after another, no burst slips through.
//!
//! A bucket's key is `limit u8 | subject`; under an operator's limit it is followed by `0xff | since when u64`, so that
//! such a limit begins with a full bucket, and the ordinary one goes on from where it was once that limit has ended.

use ingam_protocol::limit::{Bucket, Favoured, Left, Limit, LimitName, LimitSubject};
use ingam_protocol::operator::Principal;
use ingam_protocol::record::Record;
use ingam_protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::engine::Table;
use crate::error::Error;
use crate::open::Store;
use crate::table::{LIMIT_BUCKETS, LIMIT_OVERRIDES, LIMIT_SPENDS};
use crate::transaction::{Transaction, decode, read_range, read_row};

/// At most this many buckets are looked at in one sweep.
const BUCKETS_PER_SWEEP: usize = 1000;

/// At most this many names are told of an account whose checks failed.
const NAMES_MAX: usize = 100;

/// What a request takes of one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Of which limit.
    pub limit: LimitName,
    /// Whose bucket.
    pub subject: LimitSubject,
    /// What holds for everybody.
    pub ordinary: Limit,
    /// Whose own limit holds in its place, and whose bucket counts then: the first that has one in force.
    pub favoured: Vec<(Favoured, LimitSubject)>,
    /// Whether one is spent; otherwise one has to be left.
    pub spends: bool,
}

/// A demand that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Of which limit.
    pub limit: LimitName,
    /// Whose bucket.
    pub subject: LimitSubject,
    /// What holds for it.
    pub in_force: Limit,
    /// From when on it can be met.
    pub next_at: Timestamp,
}

/// How a limit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which limit.
    pub limit: LimitName,
    /// Whose bucket.
    pub subject: LimitSubject,
    /// What holds for it.
    pub in_force: Limit,
    /// What is left of it.
    pub left: Left,
    /// Until when an operator's limit holds, if that is what holds.
    pub until: Option<Timestamp>,
}

/// An operator's limit in the place of the ordinary one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitOverride {
    /// Which limit.
    pub limit: LimitName,
    /// For whom.
    pub favoured: Favoured,
    /// What holds.
    pub in_force: Limit,
    /// Until when.
    pub until: Timestamp,
    /// Who made it.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// Something that was spent, until it is known whether it is put back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spent {
    bucket: ingam_protocol::Bytes,
    limit: Limit,
}

/// A bucket that a demand is about.
struct Found {
    key: Vec<u8>,
    subject: LimitSubject,
    bucket: Bucket,
    in_force: Limit,
    until: Option<Timestamp>,
}

type Read<'a> = &'a dyn Fn(Table, &[u8]) -> Result<Option<Vec<u8>>, Error>;

pub(crate) fn override_key(limit: LimitName, favoured: &Favoured) -> Vec<u8> {
    [[limit.number()].as_slice(), &favoured.to_bytes()].concat()
}

fn bucket_key(limit: LimitName, subject: &LimitSubject) -> Vec<u8> {
    [[limit.number()].as_slice(), &subject.to_bytes()].concat()
}

fn read_bucket(value: Option<Vec<u8>>) -> Result<Bucket, Error> {
    match value.map(<[u8; 8]>::try_from) {
        None => Ok(Bucket::default()),
        Some(Ok(bytes)) => Ok(Bucket::from_bytes(bytes)),
        Some(Err(_)) => Err(Error::Row("a bucket of a limit", "it has not eight bytes".into())),
    }
}

fn find(demand: &Demand, now: Timestamp, read: Read<'_>) -> Result<Found, Error> {
    let (mut subject, mut in_force, mut until) = (&demand.subject, demand.ordinary, None);
    let mut mark = None;
    for (favoured, own_subject) in &demand.favoured {
        let row = read(LIMIT_OVERRIDES, &override_key(demand.limit, favoured))?;
        let own = decode::<LimitOverride>(LIMIT_OVERRIDES, row)?.filter(|own| now < own.until);
        if let Some(own) = own {
            mark = Some(own.at);
            (subject, in_force, until) = (own_subject, own.in_force, Some(own.until));
            break;
        }
    }
    let mut key = bucket_key(demand.limit, subject);
    if let Some(at) = mark {
        key.push(0xff);
        key.extend(at.unix_ms().to_be_bytes());
    }
    let bucket = read_bucket(read(LIMIT_BUCKETS, &key)?)?;
    Ok(Found { key, subject: subject.clone(), bucket, in_force, until })
}

/// Meets all demands, or none of them: then the one that takes longest to be met comes back. Two demands of one request
/// are never about one bucket.
pub(crate) fn meet(
    transaction: &mut Transaction<'_>,
    demands: &[Demand],
    now: Timestamp,
) -> Result<Result<Vec<Spent>, Limited>, Error> {
    let (mut spent, mut refused) = (Vec::new(), None::<Limited>);
    for demand in demands {
        let found = find(demand, now, &|table, key| transaction.get(table, key))?;
        match found.in_force.spend(found.bucket, now) {
            Ok(after) if demand.spends => spent.push((found, after)),
            Ok(_) => {}
            Err(next_at) if refused.as_ref().is_none_or(|worse| worse.next_at < next_at) => {
                let Found { subject, in_force, .. } = found;
                refused = Some(Limited { limit: demand.limit, subject, in_force, next_at });
            }
            Err(_) => {}
        }
    }
    if let Some(refused) = refused {
        return Ok(Err(refused));
    }
    let mut rows = Vec::with_capacity(spent.len());
    for (Found { key, in_force, .. }, after) in spent {
        rows.push(Spent { bucket: key.as_slice().into(), limit: in_force });
        transaction.put(LIMIT_BUCKETS, key, after.to_bytes());
    }
    Ok(Ok(rows))
}

/// Remembers what was spent for something whose end decides whether it is put back.
pub(crate) fn remember(
    transaction: &mut Transaction<'_>,
    of: &[u8],
    spent: &Vec<Spent>,
) -> Result<(), Error> {
    if spent.is_empty() {
        return Ok(());
    }
    transaction.put_row(LIMIT_SPENDS, of, spent)
}

/// What was spent stays spent.
pub(crate) fn keep(transaction: &mut Transaction<'_>, of: &[u8]) {
    transaction.delete(LIMIT_SPENDS, of);
}

/// Puts back what was spent, once.
pub(crate) fn refund(transaction: &mut Transaction<'_>, of: &[u8]) -> Result<(), Error> {
    let spent: Option<Vec<Spent>> = transaction.row(LIMIT_SPENDS, of)?;
    give_back(transaction, spent.unwrap_or_default())?;
    keep(transaction, of);
    Ok(())
}

/// The same for what was not remembered, as its transaction does not come to an end.
pub(crate) fn give_back(transaction: &mut Transaction<'_>, spent: Vec<Spent>) -> Result<(), Error> {
    for Spent { bucket: key, limit } in spent {
        // One that was swept up meanwhile is full.
        if let Some(row) = transaction.get(LIMIT_BUCKETS, &key)? {
            let bucket = limit.refund(read_bucket(Some(row))?);
            transaction.put(LIMIT_BUCKETS, key.to_vec(), bucket.to_bytes());
        }
    }
    Ok(())
}

impl Store {
    /// How the limits that a request would take of stand now, without spending any.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn limits_standing(&self, demands: &[Demand], now: Timestamp) -> Result<Vec<Standing>, Error> {
        let read = |table: Table, key: &[u8]| {
            self.engine().get(table, key).map_err(|cause| Error::Engine("reading a limit", cause))
        };
        let standing = |demand: &Demand| {
            let Found { subject, bucket, in_force, until, .. } = find(demand, now, &read)?;
            Ok(Standing { limit: demand.limit, subject, in_force, left: in_force.look(bucket, now), until })
        };
        demands.iter().map(standing).collect()
    }

    /// Spends of all limits, with records of what for, or of none.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn limits_spend(
        &self,
        demands: Vec<Demand>,
        now: Timestamp,
        records: Vec<Record>,
    ) -> Result<Result<(), Limited>, Error> {
        self.run(move |transaction| {
            if let Err(limited) = meet(transaction, &demands, now)? {
                return Ok(Err(limited));
            }
            records.iter().for_each(|record| transaction.record(record));
            Ok(Ok(()))
        })
        .await
    }

    /// Names whose checks failed for an account, and which it is still told of: at most a hundred.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn failed_names(&self, account: Id) -> Result<Vec<String>, Error> {
        let from = bucket_key(LimitName::FailedValidations, &LimitSubject::Account(account));
        let to = crate::table::end_of(&from);
        let mut names = std::collections::BTreeSet::new();
        for (key, _) in read_range(self.engine(), LIMIT_BUCKETS, &from, to.as_deref(), NAMES_MAX)? {
            let name = key.get(from.len()..).unwrap_or_default().split(|byte| *byte == 0xff).next();
            names.extend(name.and_then(|name| String::from_utf8(name.to_vec()).ok()));
        }
        Ok(names.into_iter().collect())
    }

    /// Forgets buckets that are full again, behind `after`: they tell of nothing any more, and some of an address. Where
    /// the next sweep goes on; `None` at the end of the table.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn limit_buckets_sweep(
        &self,
        after: Option<Vec<u8>>,
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, Error> {
        let from = after.map_or(Vec::new(), |after| [after.as_slice(), &[0]].concat());
        let seen = read_range(self.engine(), LIMIT_BUCKETS, &from, None, BUCKETS_PER_SWEEP)?;
        let next = seen.last().filter(|_| seen.len() == BUCKETS_PER_SWEEP).map(|(key, _)| key.clone());
        let mut full = Vec::new();
        for (key, value) in seen {
            if read_bucket(Some(value))?.is_full(now) {
                full.push(key);
            }
        }
        if full.is_empty() {
            return Ok(next);
        }
        self.run(move |transaction| {
            for key in full {
                // Some of it may have been spent since.
                if read_bucket(transaction.get(LIMIT_BUCKETS, &key)?)?.is_full(now) {
                    transaction.delete(LIMIT_BUCKETS, key);
                }
            }
            Ok(next)
        })
        .await
    }

    /// An operator's limit in the place of the ordinary one, in force or not.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn limit_override(
        &self,
        limit: LimitName,
        favoured: &Favoured,
    ) -> Result<Option<LimitOverride>, Error> {
        read_row(self.engine(), LIMIT_OVERRIDES, &override_key(limit, favoured))
    }

    /// Operators' limits, after the one for `after`, at most `limit`; those that have ended are among them.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn limit_overrides(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<LimitOverride>, Error> {
        let from = after.map_or(Vec::new(), |after| [after, &[0]].concat());
        let mut found = Vec::new();
        for (_, row) in read_range(self.engine(), LIMIT_OVERRIDES, &from, None, limit)? {
            found.extend(decode::<LimitOverride>(LIMIT_OVERRIDES, Some(row))?);
        }
        Ok(found)
    }

    /// Puts an operator's limit in the place of the ordinary one, and of any that is there.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn limit_override_put(&self, own: LimitOverride, records: Vec<Record>) -> Result<(), Error> {
        self.run(move |transaction| {
            transaction.put_row(LIMIT_OVERRIDES, override_key(own.limit, &own.favoured), &own)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(())
        })
        .await
    }

    /// Lets the ordinary limit hold again. `false`, and no record, if there is no operator's.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn limit_override_delete(
        &self,
        limit: LimitName,
        favoured: Favoured,
        records: Vec<Record>,
    ) -> Result<bool, Error> {
        self.run(move |transaction| {
            let key = override_key(limit, &favoured);
            if transaction.get(LIMIT_OVERRIDES, &key)?.is_none() {
                return Ok(false);
            }
            transaction.delete(LIMIT_OVERRIDES, key);
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }
}

impl LimitOverride {
    /// Where it stands among the others.
    pub fn place(&self) -> Vec<u8> {
        override_key(self.limit, &self.favoured)
    }
}
