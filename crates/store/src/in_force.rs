//! What is still in force when the records of it have had their time: it is put on record anew, as it is then, before the
//! segment of the journal goes that told of it. So a store that is made anew has it, however old it is.
//!
//! ```text
//! segment that is to go ──records──▶ things that they tell of ──rows that are still there──▶ outbox ──▶ journal
//!                                                                       then only: intent, destroyed, receipt
//! ```
//!
//! - `spoken` says which things a record tells of. Only those are looked at: a segment costs what is in it, not what the
//!   store has.
//! - `carry` makes records of their rows, inside the transaction that reads them. So whatever changes later is on record
//!   behind them, and doing it twice gives the same rows twice.
//! - `rebuild::fold::carried` makes rows of these records.
//!
//! A carried record counts anew by its class, and is carried over again by the time it goes, for as long as its thing is
//! there. Contacts, what is known of them, and MACs of bindings lie in it under their subject's key, and go with it.
//!
//! Certificates, orders and what belongs to these are not carried: what tells of them stays as long as they do.

pub(crate) mod carry;
mod spoken;

use std::collections::BTreeMap;

use ingam_journal::SegmentInfo;
use ingam_protocol::record::{Class, RecordType};
use ingam_protocol::{Bytes, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::engine::{Engine, Table};
use crate::error::Error;
use crate::open::Store;
use crate::table::{
    ACCOUNTS, CASE_SUBJECTS, CASES, EXTERNAL_KEYS, HOLDS, INCIDENT_CERTIFICATES, INCIDENTS, KEYS_BLOCKED,
    LIMIT_OVERRIDES, NAME_RULES, PRIVACY_VERSIONS, REVOCATION_JOBS, ROLES, end_of,
};
use crate::transaction::read_range;

/// The classes with records that tell of anything which can be in force for longer than they are kept.
const CLASSES: [Class; 4] = [Class::Issuance, Class::CaLifecycle, Class::PermissionChange, Class::Retention];

/// At most this many records are read before what they tell of is carried over.
const RECORDS_PER_READ: usize = 20_000;

/// At most this many things are carried over in one transaction.
const THINGS_PER_BATCH: usize = 200;

/// What a thing is. The names are on disk for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Account,
    ExternalKey,
    KeyBlock,
    Incident,
    /// A certificate in an incident.
    IncidentCertificate,
    RevocationJob,
    NameRule,
    LimitOverride,
    PrivacyVersion,
    Role,
    Hold,
    Case,
    /// What a case knows of one of its subjects.
    CaseSubject,
}

impl Kind {
    pub(crate) fn table(self) -> Table {
        match self {
            Self::Account => ACCOUNTS,
            Self::ExternalKey => EXTERNAL_KEYS,
            Self::KeyBlock => KEYS_BLOCKED,
            Self::Incident => INCIDENTS,
            Self::IncidentCertificate => INCIDENT_CERTIFICATES,
            Self::RevocationJob => REVOCATION_JOBS,
            Self::NameRule => NAME_RULES,
            Self::LimitOverride => LIMIT_OVERRIDES,
            Self::PrivacyVersion => PRIVACY_VERSIONS,
            Self::Role => ROLES,
            Self::Hold => HOLDS,
            Self::Case => CASES,
            Self::CaseSubject => CASE_SUBJECTS,
        }
    }

    /// The type of its records: of the class of those that told of it before.
    fn record_type(self) -> RecordType {
        match self {
            Self::Account
            | Self::ExternalKey
            | Self::KeyBlock
            | Self::Incident
            | Self::IncidentCertificate
            | Self::RevocationJob => RecordType::IssuanceCarried,
            Self::NameRule | Self::LimitOverride | Self::PrivacyVersion => RecordType::LifecycleCarried,
            Self::Role => RecordType::PermissionCarried,
            Self::Hold | Self::Case | Self::CaseSubject => RecordType::RetentionCarried,
        }
    }

    /// What goes along with it: the keys of these begin with its own and a zero byte.
    fn members(self) -> Option<Self> {
        match self {
            Self::Incident => Some(Self::IncidentCertificate),
            Self::Case => Some(Self::CaseSubject),
            _ => None,
        }
    }

    /// The reverse of [`Kind::members`].
    fn whole(self) -> Self {
        match self {
            Self::IncidentCertificate => Self::Incident,
            Self::CaseSubject => Self::Case,
            other => other,
        }
    }
}

/// Something that can be in force, by the key of its row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Thing {
    kind: Kind,
    key: Vec<u8>,
}

/// The things that some records tell of, and whether one of the records says that it is not there any more.
type Things = BTreeMap<Thing, bool>;

/// What a carried record says openly: things of one kind.
#[derive(Serialize, Deserialize)]
pub(crate) struct Carried {
    pub(crate) kind: Kind,
    pub(crate) things: Vec<CarriedThing>,
    /// The segment that told of them.
    from: Origin,
}

/// A thing as it was.
#[derive(Serialize, Deserialize)]
pub(crate) struct CarriedThing {
    /// The key of its row.
    pub(crate) key: Bytes,
    /// Its row; none if it was taken back, and something older that is kept says otherwise.
    pub(crate) row: Option<Box<RawValue>>,
    /// Whether the index has it that need not have it: of holds those that were not released, of certificates the incident
    /// that they were put into last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_indexed: bool,
}

/// A segment of the journal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Origin {
    class: Class,
    sequence: u64,
}

/// A segment whose time is over.
#[derive(Clone, Debug)]
pub struct Leaving {
    /// The segment.
    pub segment: SegmentInfo,
    /// Whether an older one of its class stays: then what was taken back has to be known for as long as that.
    pub older_stays: bool,
}

impl Store {
    /// Puts everything that a segment tells of, and that is still there, on record as it is now; in batches, and each thing
    /// once for so many records. Comes back when the journal has it, with how many things that were. Twice is harmless.
    ///
    /// # Errors
    /// [`Error`] if the segment cannot be read, or the records not be made durable.
    pub async fn segment_carry(&self, leaving: Leaving, now: Timestamp) -> Result<u64, Error> {
        let Leaving { segment, older_stays } = leaving;
        let from = Origin { class: segment.class, sequence: segment.sequence };
        let (mut place, mut carried, mut wrote) = (Some(0), 0, false);
        while let Some(read_from) = place {
            let (store, segment) = (self.clone(), segment.clone());
            let read = tokio::task::spawn_blocking(move || store.spoken(&segment, read_from, older_stays));
            let (things, next) = read.await.map_err(|_| Error::Unavailable("the runtime is ending"))??;
            place = next;
            let things: Vec<(Thing, bool)> = things.into_iter().collect();
            if !wrote && !things.is_empty() {
                // A journal that takes nothing is not given more and more.
                self.records_archived().await?;
            }
            for batch in things.chunks(THINGS_PER_BATCH) {
                carried += self.carry(batch.to_vec(), (from, older_stays), now).await?;
                wrote = true;
                for (thing, _) in batch {
                    self.carry_members(thing, from, now).await?;
                }
            }
        }
        if wrote {
            self.records_archived().await?;
        }
        Ok(carried)
    }

    /// How many things [`Store::segment_carry`] would put on record. Reads the segment: blocks.
    ///
    /// # Errors
    /// [`Error`] if the segment cannot be read, or the engine fails.
    pub fn segment_in_force(&self, segment: &SegmentInfo) -> Result<u64, Error> {
        let (mut place, mut count) = (Some(0), 0);
        while let Some(read_from) = place {
            let (things, next) = self.spoken(segment, read_from, false)?;
            count += things.len() as u64;
            place = next;
        }
        Ok(count)
    }

    /// The things that some records of a segment tell of and that are there, or have to be known to be not; and from where
    /// on to read next.
    fn spoken(
        &self,
        segment: &SegmentInfo,
        from: u64,
        older_stays: bool,
    ) -> Result<(Things, Option<u64>), Error> {
        let (mut things, mut next) = (Things::new(), None);
        if !CLASSES.contains(&segment.class) {
            return Ok((things, next));
        }
        let mut records = self.journal().records_of_from(segment.clone(), from);
        for read in 1.. {
            match records.next() {
                None => break,
                Some(Ok(record)) => spoken::gather(self, &record, &mut things)?,
                Some(Err(cause @ ingam_journal::Error::Io { .. })) => {
                    return Err(Error::Journal("reading a segment whose time is over", cause));
                }
                // What cannot be read goes all the same: no ceiling waits for a repair.
                Some(Err(cause)) => {
                    tracing::error!(
                        code = cause.code(),
                        error = &cause as &dyn std::error::Error,
                        "a segment of the journal goes that cannot be read: what of it is in force is in the store alone"
                    );
                    break;
                }
            }
            if read >= RECORDS_PER_READ {
                next = Some(records.place());
                break;
            }
        }
        let mut failed = None;
        things.retain(|thing, is_taken| match thing.is_there(self.engine()) {
            Ok(is_there) => is_there || (*is_taken && older_stays),
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok((things, next)), Err)
    }

    async fn carry(
        &self,
        things: Vec<(Thing, bool)>,
        (from, older_stays): (Origin, bool),
        now: Timestamp,
    ) -> Result<u64, Error> {
        let keys = self.subject_keys().clone();
        let carry = carry::Carry { keys, from, older_stays, now };
        self.run(move |transaction| carry.all(transaction, &things)).await
    }

    async fn carry_members(&self, whole: &Thing, from: Origin, now: Timestamp) -> Result<(), Error> {
        let Some(kind) = whole.kind.members() else { return Ok(()) };
        let prefix = [whole.key.as_slice(), &[0]].concat();
        let (mut after, to) = (prefix.clone(), end_of(&prefix));
        loop {
            let rows = read_range(self.engine(), kind.table(), &after, to.as_deref(), THINGS_PER_BATCH)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = [last.as_slice(), &[0]].concat();
            let members = rows.into_iter().map(|(key, _)| (Thing { kind, key }, false)).collect();
            self.carry(members, (from, false), now).await?;
        }
    }
}

impl Thing {
    fn is_there(&self, engine: &dyn Engine) -> Result<bool, Error> {
        let row = engine.get(self.kind.table(), &self.key);
        row.map(|row| row.is_some()).map_err(|cause| Error::Engine("reading a row", cause))
    }
}
