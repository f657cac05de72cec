//! What was open when the store ended, and numbers that must not come twice.
//!
//! Nobody knows what was done behind the last record, or since the backup: an order that was claimed may have been signed. So it
//! is given up as the rules for taking over say ("What was left" in docs/issuance.md), and its serial number is revoked where
//! a signature may be out in the world.

use ingam_protocol::acme::Order;
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::Random;
use ingam_protocol::{Reason, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::commit;
use super::fold::given_up;
use crate::engine::{Batch, Engine};
use crate::error::Error;
use crate::open::{counter, outbox_next};
use crate::order;
use crate::revocation_job::{JobState, RevocationJob};
use crate::status::{StatusState, status_of, status_put};
use crate::table::{
    CHALLENGES_OPEN, ISSUANCES_OPEN, META, META_CRL_NUMBERS, META_GENERATION, ORDERS, REVOCATION_JOBS,
    REVOCATION_JOBS_OPEN, end_of,
};
use crate::transaction::{Transaction, decode, decode_counter, read_range};

/// So many orders are looked at in one batch.
const ORDERS_PER_BATCH: usize = 1000;

/// At most so many counters of CRLs there are: one for each shard of each issuer.
const LISTS_MAX: usize = 1 << 20;

/// What was given up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Given {
    /// Orders without an end.
    pub orders: u64,
    /// Serial numbers that may be on a signature nobody has on record, and are revoked.
    pub revoked: Vec<String>,
    /// Revocation jobs that have to be begun anew.
    pub jobs: Vec<String>,
}

/// How far numbers jump.
#[derive(Clone, Copy, Debug)]
pub struct Margins {
    crl_number: u64,
    generation: u64,
}

impl Margins {
    /// Where nothing is missing.
    pub(super) const NONE: Self = Self { crl_number: 0, generation: 0 };
    /// Where some may have been used that nobody knows of: more than a year of lists, and more revocations than are made
    /// between two backups.
    pub const LOSS: Self = Self { crl_number: 100_000, generation: 100_000 };

    pub(crate) fn apply(self, engine: &dyn Engine) -> Result<(), Error> {
        let mut batch = Batch::new();
        let end = end_of(META_CRL_NUMBERS);
        for (key, value) in read_range(engine, META, META_CRL_NUMBERS, end.as_deref(), LISTS_MAX)? {
            let number = decode_counter(Some(value))?.saturating_add(self.crl_number);
            batch.put(META, key, number.to_be_bytes());
        }
        let generation = counter(engine, META_GENERATION)?.saturating_add(self.generation);
        batch.put(META, META_GENERATION, generation.to_be_bytes());
        commit(engine, &batch)
    }
}

/// Gives up every order that has not ended, and every job. A serial number that was set aside is revoked if its signer was
/// asked, or if that may have been since (`is_behind`). What is revoked goes on record.
pub(crate) fn give_up_open(
    engine: &dyn Engine,
    is_behind: bool,
    now: Timestamp,
    random: &dyn Random,
) -> Result<Given, Error> {
    let mut given = Given::default();
    let mut from = Vec::new();
    loop {
        let rows = read_range(engine, ORDERS, &from, None, ORDERS_PER_BATCH)?;
        let Some((last, _)) = rows.last() else { break };
        from = [last.as_slice(), &[0]].concat();
        let nothing = Batch::new();
        let mut transaction = Transaction::new(engine, &nothing, outbox_next(engine)?);
        for (_, row) in rows {
            let Some(order) = decode::<Order>(ORDERS, Some(row))? else { continue };
            if order.certificate.is_none() && order.failure.is_none() {
                give_up(&mut transaction, order, is_behind, (now, random), &mut given)?;
            }
        }
        commit(engine, &transaction.finish().batch)?;
    }
    give_up_jobs(engine, now, random, &mut given)?;
    for table in [ISSUANCES_OPEN, CHALLENGES_OPEN] {
        let mut batch = Batch::new();
        loop {
            let rows = read_range(engine, table, &[], None, ORDERS_PER_BATCH)?;
            if rows.is_empty() {
                break;
            }
            rows.into_iter().for_each(|(key, _)| batch.delete(table, key));
            commit(engine, &batch)?;
            batch = Batch::new();
        }
    }
    Ok(given)
}

fn give_up(
    transaction: &mut Transaction<'_>,
    mut order: Order,
    is_behind: bool,
    (now, random): (Timestamp, &dyn Random),
    given: &mut Given,
) -> Result<(), Error> {
    given.orders += 1;
    if let Some(claim) = &order.claim {
        let (issuer, serial) = (&claim.issuer, &claim.serial);
        let may_be_signed = order.asked.is_some() || is_behind;
        let known = status_of(transaction, issuer, serial)?;
        if may_be_signed && known.is_none_or(|row| !row.state.is_revoked()) {
            let revoked = StatusState::Revoked { at: now, reason: Reason::Unspecified };
            status_put(transaction, issuer, serial, revoked, claim.not_after)?;
            given.revoked.push(serial.to_string());
        }
        let told = json!({
            "order": order.id, "issuer": issuer, "serial": serial, "asked": may_be_signed,
            "why": "the store was made anew, and this issuance had no end on record",
        });
        let record = Record::new(RecordType::IssuanceAbandoned, now, told.to_string().into_bytes(), random);
        transaction.record(&record.about(order.account).ending(claim.not_after));
    }
    // Not known to be asked on any record before: whoever makes the store anew once more has to find it asked.
    order.asked = order.asked.or(order.claim.as_ref().filter(|_| is_behind).map(|_| now));
    order.waiting = None;
    order.failure = Some(given_up());
    order::put(transaction, &order)
}

fn give_up_jobs(
    engine: &dyn Engine,
    now: Timestamp,
    random: &dyn Random,
    given: &mut Given,
) -> Result<(), Error> {
    let nothing = Batch::new();
    let mut transaction = Transaction::new(engine, &nothing, outbox_next(engine)?);
    for (key, _) in read_range(engine, REVOCATION_JOBS_OPEN, &[], None, ORDERS_PER_BATCH)? {
        let Some(mut job) = transaction.row::<RevocationJob>(REVOCATION_JOBS, &key)? else { continue };
        if job.state.is_over() {
            continue;
        }
        let told = json!({
            "job": job.id, "state": JobState::Cancelled, "why": "the store was made anew: begin it again",
        });
        let told = told.to_string().into_bytes();
        transaction.record(&Record::new(RecordType::RevocationJobChanged, now, told, random));
        job.state = JobState::Cancelled;
        job.ended = Some(now);
        given.jobs.push(job.id.to_string());
        // It stays among the open ones until the runner has taken its certificates off it.
        transaction.put_row(REVOCATION_JOBS, key, &job)?;
    }
    commit(engine, &transaction.finish().batch)
}
