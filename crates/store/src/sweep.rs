//! Taking out what has had its time: rows of the tables, a batch at a time, and the intents by which segments of the
//! journal go.
//!
//! How long what stays is the caller's to say ([`Terms`]). Which row counts from when, and what goes together with it, is
//! said here, once for each [`Pass`]: a row is judged outside a transaction first, so that nobody waits for a look at rows
//! that stay, and again in the transaction that takes it out, where the holds are looked at too. A batch and its receipt are
//! one transaction.
//!
//! What is not here stays for good, or goes by itself: `ingam_retention::inventory` says which, and why.

mod judge;

use std::collections::BTreeMap;
use std::time::Duration;

use ingam_protocol::acme::Order;
use ingam_protocol::profile::IssuerName;
use ingam_protocol::record::{Class, Record};
use ingam_protocol::{Id, Serial, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, Pair, Table};
use crate::error::Error;
use crate::hold::{Hold, holds_in_force};
use crate::open::Store;
use crate::status::StatusRow;
use crate::table::{
    ACCOUNTS, APPROVALS, AUTHORIZATIONS, CASES, CERTIFICATES_BY_TIME, EXTERNAL_KEYS, HOLDS,
    INCIDENT_CERTIFICATES, INCIDENTS, INCIDENTS_BY_CERTIFICATE, LIMIT_SPENDS, META, META_SWEPT, ORDERS,
    ORDERS_BY_ACCOUNT, REPLACEMENTS, REVOCATION_JOBS, REVOKED, REVOKED_BY_GENERATION, SEGMENTS_GOING,
    STATUSES, certificate_key, end_of, pair_key,
};
use crate::transaction::{Transaction, decode, decode_counter, read_range, read_row, read_value};

use judge::judge;

/// At most this many rows are looked at in one go, and go in one transaction with what belongs to them.
pub const ROWS_PER_BATCH: usize = 500;

/// At most this many cases, of which each may take [`CASE_SUBJECTS_MAX`](crate::case::CASE_SUBJECTS_MAX) rows along.
const CASES_PER_BATCH: usize = 20;

/// How long rows stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What is in hand, counted from its end.
    pub working: Duration,
    /// What led to certificates, counted from when it was.
    pub issuance: Duration,
    /// The same, counted from the end of what it is about.
    pub after_end: Duration,
    /// The longest life of a certificate: so long something may be relied upon that was shown just before.
    pub lifetime: Duration,
    /// What operators did, counted from when it was.
    pub access_log: Duration,
    /// Holds that ended and cases that were closed, counted from their end; for good, if there is none.
    pub retention: Option<Duration>,
}

/// One kind of thing that goes, with all that belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// Orders that ended without a claim.
    OrdersInHand,
    /// Authorizations that ended without ever having been valid.
    AuthorizationsInHand,
    /// Certificates with status, indexes and order.
    Certificates,
    /// Orders that were claimed and have no certificate, with their serial numbers.
    OrdersClaimed,
    /// Authorizations that were valid once.
    AuthorizationsShown,
    /// The lists of certificates in incidents.
    IncidentCertificates,
    /// Incidents without certificates.
    Incidents,
    /// Revocation jobs that are over.
    RevocationJobs,
    /// Acts that waited for a second person.
    Approvals,
    /// Accounts that ended and have nothing any more.
    Accounts,
    /// Keys for external accounts that can bind nobody any more.
    ExternalKeys,
    /// Cases that were closed, with their subjects.
    Cases,
    /// Holds that ended.
    Holds,
}

impl Pass {
    /// All, in the order in which they are to be done: what others lead to goes after them.
    pub const ALL: [Self; 13] = [
        Self::OrdersInHand,
        Self::AuthorizationsInHand,
        Self::Certificates,
        Self::OrdersClaimed,
        Self::AuthorizationsShown,
        Self::IncidentCertificates,
        Self::Incidents,
        Self::RevocationJobs,
        Self::Approvals,
        Self::Accounts,
        Self::ExternalKeys,
        Self::Cases,
        Self::Holds,
    ];

    /// Its name in receipts and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrdersInHand => "orders_in_hand",
            Self::AuthorizationsInHand => "authorizations_in_hand",
            Self::Certificates => "certificates",
            Self::OrdersClaimed => "orders_claimed",
            Self::AuthorizationsShown => "authorizations_shown",
            Self::IncidentCertificates => "incident_certificates",
            Self::Incidents => "incidents",
            Self::RevocationJobs => "revocation_jobs",
            Self::Approvals => "approvals",
            Self::Accounts => "accounts",
            Self::ExternalKeys => "external_keys",
            Self::Cases => "cases",
            Self::Holds => "holds",
        }
    }

    /// The class by which its rows go: of the two kinds of orders and authorizations one is in hand, and the other the
    /// evidence of a certificate.
    pub fn class(self) -> Class {
        match self {
            Self::OrdersInHand | Self::AuthorizationsInHand => Class::Working,
            Self::Approvals => Class::AccessLog,
            Self::Cases | Self::Holds => Class::Retention,
            _ => Class::Issuance,
        }
    }

    /// The table that it walks through.
    fn table(self) -> Table {
        match self {
            Self::OrdersInHand | Self::OrdersClaimed => ORDERS,
            Self::AuthorizationsInHand | Self::AuthorizationsShown => AUTHORIZATIONS,
            Self::Certificates => CERTIFICATES_BY_TIME,
            Self::IncidentCertificates => INCIDENT_CERTIFICATES,
            Self::Incidents => INCIDENTS,
            Self::RevocationJobs => REVOCATION_JOBS,
            Self::Approvals => APPROVALS,
            Self::Accounts => ACCOUNTS,
            Self::ExternalKeys => EXTERNAL_KEYS,
            Self::Cases => CASES,
            Self::Holds => HOLDS,
        }
    }

    /// How many of its rows are looked at in one go.
    fn batch(self) -> usize {
        match self {
            Self::Cases => CASES_PER_BATCH,
            _ => ROWS_PER_BATCH,
        }
    }

    /// Whether what is new stands behind all that is there: it does not where the keys are names that somebody chose.
    pub fn is_by_time(self) -> bool {
        !matches!(self, Self::IncidentCertificates | Self::Incidents | Self::Cases)
    }

    /// The first key that is too young to go: names and times stand in front of keys, and nothing ends before it was made.
    /// `None` where the keys tell nothing.
    fn to(self, terms: &Terms, now: Timestamp) -> Option<Vec<u8>> {
        let made_by = |keep: Duration| Some(Id::first_of(now.minus(keep)).as_bytes().to_vec());
        match self {
            Self::OrdersInHand | Self::AuthorizationsInHand => made_by(terms.working),
            Self::Certificates => Some(now.minus(terms.issuance).unix_ms().to_be_bytes().to_vec()),
            Self::OrdersClaimed
            | Self::AuthorizationsShown
            | Self::RevocationJobs
            | Self::Accounts
            | Self::ExternalKeys => made_by(terms.issuance),
            Self::Approvals => made_by(terms.access_log),
            // Without a term, nothing: the key that nothing is before.
            Self::Holds => terms.retention.map_or(Some(Vec::new()), made_by),
            Self::Cases => terms.retention.is_none().then(Vec::new),
            Self::IncidentCertificates | Self::Incidents => None,
        }
    }
}

/// What went, or would go: how many rows by table and class.
pub type RowCounts = BTreeMap<(&'static str, Class), u64>;

/// What came of looking at some rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowsSwept {
    /// How many rows were looked at.
    pub seen: usize,
    /// What went, or would have gone.
    pub gone: RowCounts,
    /// How many things stay for a hold alone.
    pub held: u64,
    /// The first key behind what was looked at; `None` if there was nothing.
    pub behind: Option<Vec<u8>>,
    /// Whether there may be more behind it.
    pub more: bool,
    /// The first key behind which this pass may have something to do later; in front of it, there is nothing for good.
    pub unsettled: Option<Vec<u8>>,
}

/// A look at rows, inside a transaction or outside.
trait Look {
    fn value(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;
    fn some(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, Error>;
}

impl Look for Transaction<'_> {
    fn value(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.get(table, key)
    }

    fn some(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, Error> {
        self.range(table, from, to, limit)
    }
}

impl Look for &dyn Engine {
    fn value(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        read_value(*self, table, key)
    }

    fn some(&self, table: Table, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, Error> {
        read_range(*self, table, from, to, limit)
    }
}

fn row<T: DeserializeOwned>(look: &dyn Look, table: Table, key: &[u8]) -> Result<Option<T>, Error> {
    decode(table, look.value(table, key)?)
}

fn has_below(look: &dyn Look, table: Table, prefix: &[u8]) -> Result<bool, Error> {
    Ok(!look.some(table, prefix, end_of(prefix).as_deref(), 1)?.is_empty())
}

/// Something that may go: what it is about, and all rows of it.
struct Going {
    earliest: Timestamp,
    latest: Timestamp,
    /// Whom it is about; where nobody is named, it may be about anybody.
    accounts: Vec<Id>,
    certificate: Option<(IssuerName, Serial)>,
    rows: Vec<(Table, Vec<u8>)>,
}

impl Going {
    fn new(earliest: Timestamp, latest: Timestamp) -> Self {
        Self { earliest, latest, accounts: Vec::new(), certificate: None, rows: Vec::new() }
    }

    fn of(mut self, account: Id) -> Self {
        self.accounts.push(account);
        self
    }

    /// Takes a row along, if it is there.
    fn take(&mut self, look: &dyn Look, table: Table, key: Vec<u8>) -> Result<(), Error> {
        if look.value(table, &key)?.is_some() {
            self.rows.push((table, key));
        }
        Ok(())
    }

    /// The same, if it says this.
    fn take_if(&mut self, look: &dyn Look, table: Table, key: Vec<u8>, says: &[u8]) -> Result<(), Error> {
        if look.value(table, &key)?.is_some_and(|value| value == says) {
            self.rows.push((table, key));
        }
        Ok(())
    }

    /// An order with what is kept of it elsewhere.
    fn take_order(&mut self, look: &dyn Look, order: &Order) -> Result<(), Error> {
        let id = *order.id.as_bytes();
        self.take(look, ORDERS, id.to_vec())?;
        self.take(look, ORDERS_BY_ACCOUNT, pair_key(order.account, order.id))?;
        self.take(look, LIMIT_SPENDS, id.to_vec())?;
        if let Some(replaced) = &order.replaces {
            self.take_if(look, REPLACEMENTS, certificate_key(&replaced.issuer, &replaced.serial), &id)?;
        }
        Ok(())
    }

    /// A serial number with everything that is said of it.
    fn take_serial(&mut self, look: &dyn Look, key: &[u8]) -> Result<(), Error> {
        if let Some(status) = look.value(STATUSES, key)? {
            let generation = StatusRow::decode(&status)?.generation;
            self.rows.push((STATUSES, key.to_vec()));
            self.take_if(look, REVOKED_BY_GENERATION, generation.to_be_bytes().to_vec(), key)?;
        }
        self.take(look, REVOKED, key.to_vec())?;
        self.take(look, INCIDENTS_BY_CERTIFICATE, key.to_vec())?;
        self.take(look, REPLACEMENTS, key.to_vec())
    }

    /// Whether a hold keeps it.
    fn is_held(&self, holds: &[Hold], class: Class) -> bool {
        let named = self.certificate.as_ref().map(|(issuer, serial)| (issuer, serial));
        let span = (self.earliest, self.latest);
        holds.iter().any(|hold| match self.accounts.as_slice() {
            [] => hold.scope.keeps_row(class, span, None, named),
            of => of.iter().any(|account| hold.scope.keeps_row(class, span, Some(*account), named)),
        })
    }
}

/// What is to be done with a row.
enum Verdict {
    /// Nothing by this pass, ever.
    Never,
    /// Nothing yet.
    Later,
    /// It may go.
    Due(Box<Going>),
}

fn due_at(due: Timestamp, now: Timestamp, going: Going) -> Verdict {
    if now >= due { Verdict::Due(Box::new(going)) } else { Verdict::Later }
}

/// What a look outside the transaction gave: the keys that may go.
struct Looked {
    swept: RowsSwept,
    due: Vec<Vec<u8>>,
}

impl Store {
    /// Takes out some of a pass's rows that have had their time, from the key `from` on: at most [`ROWS_PER_BATCH`] are looked
    /// at. What goes, and the records that `told` makes of it, are one transaction.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn rows_sweep<F>(
        &self,
        pass: Pass,
        from: Vec<u8>,
        terms: Terms,
        now: Timestamp,
        told: F,
    ) -> Result<RowsSwept, Error>
    where
        F: FnOnce(&RowCounts) -> Vec<Record> + Send + 'static,
    {
        let store = self.clone();
        let looked = tokio::task::spawn_blocking(move || store.look(pass, &from, &terms, now)).await;
        let Looked { mut swept, due } = looked.map_err(|_| Error::Unavailable("the runtime is ending"))??;
        swept.gone.clear();
        if due.is_empty() {
            return Ok(swept);
        }
        self.run(move |transaction| {
            let holds = holds_in_force(transaction, now)?;
            for key in due {
                let Some(value) = transaction.get(pass.table(), &key)? else { continue };
                let Verdict::Due(going) = judge(transaction, pass, &terms, now, (&key, value))? else {
                    continue;
                };
                if going.is_held(&holds, pass.class()) {
                    swept.held += 1;
                    continue;
                }
                for (table, key) in going.rows {
                    *swept.gone.entry((table.name(), pass.class())).or_default() += 1;
                    transaction.delete(table, key);
                }
            }
            if !swept.gone.is_empty() {
                told(&swept.gone).iter().for_each(|record| transaction.record(record));
            }
            Ok(swept)
        })
        .await
    }

    /// What [`Store::rows_sweep`] would take out; nothing is changed. Blocks.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn rows_due(
        &self,
        pass: Pass,
        from: &[u8],
        terms: &Terms,
        now: Timestamp,
    ) -> Result<RowsSwept, Error> {
        self.look(pass, from, terms, now).map(|looked| looked.swept)
    }

    fn look(&self, pass: Pass, from: &[u8], terms: &Terms, now: Timestamp) -> Result<Looked, Error> {
        let (engine, to) = (self.engine(), pass.to(terms, now));
        let page = read_range(engine, pass.table(), from, to.as_deref(), pass.batch())?;
        let holds = self.holds_in_force(now)?;
        let behind = page.last().map(|(key, _)| [key.as_slice(), &[0]].concat());
        let (seen, more) = (page.len(), page.len() == pass.batch());
        let mut looked =
            Looked { swept: RowsSwept { seen, behind, more, ..RowsSwept::default() }, due: Vec::new() };
        let swept = &mut looked.swept;
        for (key, value) in page {
            match judge(&engine, pass, terms, now, (&key, value))? {
                Verdict::Never => continue,
                Verdict::Later => drop(swept.unsettled.get_or_insert(key)),
                Verdict::Due(going) if going.is_held(&holds, pass.class()) => {
                    swept.held += 1;
                    // Looked at once more by the next sweep.
                    swept.unsettled.get_or_insert(key);
                }
                Verdict::Due(going) => {
                    for (table, _) in &going.rows {
                        *swept.gone.entry((table.name(), pass.class())).or_default() += 1;
                    }
                    // Until it is gone.
                    swept.unsettled.get_or_insert_with(|| key.clone());
                    looked.due.push(key);
                }
            }
        }
        Ok(looked)
    }

    /// When the last sweep was whose clock was believed; `None` if there was none.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn swept_at(&self) -> Result<Option<Timestamp>, Error> {
        let value = self.engine().get(META, META_SWEPT);
        let value = value.map_err(|cause| Error::Engine("reading when the last sweep was", cause))?;
        value.map(|value| decode_counter(Some(value)).map(Timestamp::from_unix_ms)).transpose()
    }

    /// Notes that a sweep believes its clock.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn swept_at_put(&self, at: Timestamp) -> Result<(), Error> {
        self.run(move |transaction| {
            transaction.put(META, META_SWEPT, at.unix_ms().to_be_bytes());
            Ok(())
        })
        .await
    }

    /// Writes down that a segment of the journal goes, unless a hold keeps it: whose id is given then.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn segment_intend(&self, going: SegmentGoing, now: Timestamp) -> Result<Option<Id>, Error> {
        self.run(move |transaction| {
            let holds = holds_in_force(transaction, now)?;
            if let Some(hold) = holds.iter().find(|hold| going.is_held(hold)) {
                return Ok(Some(hold.id));
            }
            transaction.put_row(SEGMENTS_GOING, segment_key(going.class, going.sequence), &going)?;
            Ok(None)
        })
        .await
    }

    /// Takes back an intent, together with the record of what came of it: the receipt, or nothing if the segment stays.
    /// `false`, and no record, if there was no such intent: the receipt has been given.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn segment_settle(
        &self,
        class: Class,
        sequence: u64,
        records: Vec<Record>,
    ) -> Result<bool, Error> {
        self.run(move |transaction| {
            let key = segment_key(class, sequence);
            if transaction.get(SEGMENTS_GOING, &key)?.is_none() {
                return Ok(false);
            }
            transaction.delete(SEGMENTS_GOING, key);
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }

    /// The segments that were about to go: after a crash, some may be gone and have no receipt.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn segments_going(&self, limit: usize) -> Result<Vec<SegmentGoing>, Error> {
        let mut going = Vec::new();
        for (_, row) in read_range(self.engine(), SEGMENTS_GOING, &[], None, limit)? {
            going.extend(decode::<SegmentGoing>(SEGMENTS_GOING, Some(row))?);
        }
        Ok(going)
    }

    /// Whether a segment is about to go, or gone without its receipt.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn segment_is_going(&self, class: Class, sequence: u64) -> Result<bool, Error> {
        let going: Option<SegmentGoing> =
            read_row(self.engine(), SEGMENTS_GOING, &segment_key(class, sequence))?;
        Ok(going.is_some())
    }
}

/// A segment of the journal that goes: what its receipt says, but for the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentGoing {
    /// The class of its records.
    pub class: Class,
    /// Its number within the class.
    pub sequence: u64,
    /// How many records of the class came before it.
    pub first_index: u64,
    /// How many it has.
    pub records: u64,
    /// The head of the chain after its last record, hexadecimal.
    pub head: String,
    /// The time of its earliest record.
    pub earliest: Option<Timestamp>,
    /// The time of its latest record.
    pub latest: Option<Timestamp>,
    /// When the last of the things ended that its records are about.
    pub end_of_life: Option<Timestamp>,
    /// The rule that asks for it.
    pub rule: serde_json::Value,
}

impl SegmentGoing {
    /// Whether the hold keeps it.
    pub fn is_held(&self, hold: &Hold) -> bool {
        hold.scope.touches(self.class, self.earliest, self.latest)
    }
}

fn segment_key(class: Class, sequence: u64) -> Vec<u8> {
    [[class.number()].as_slice(), &sequence.to_be_bytes()].concat()
}
