//! Cases: why personal data may leave, what left, and who was told (D1 to D4 of the privacy promises).
//!
//! ```text
//! opened ──▶ (forbidden to tell until …) ──▶ subjects told ──▶ disclosed ──▶ closed
//!    │                                          ▲                  │
//!    ├─ objected: pending ─▶ upheld, rejected   └── told later ────┘   by a ban, or in an emergency
//!    └─ holds opened, released by the closing
//! ```
//!
//! What is to be done about a case is worked out from these facts and the time by whoever asks. The data that left is never
//! here: a digest of it, and which fields it had.

use ingam_protocol::operator::Principal;
use ingam_protocol::record::Record;
use ingam_protocol::{Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::account::id_from;
use crate::error::Error;
use crate::hold::{HOLDS_OPEN_MAX, Hold, HoldReleased, hold_end, hold_put, holds_in_force};
use crate::open::Store;
use crate::table::{CASE_SUBJECTS, CASES, end_of};
use crate::transaction::{Transaction, decode, read_range, read_row};

/// At most this many subjects are named in a case; a transfer of the business is about everybody, by name or not.
pub const CASE_SUBJECTS_MAX: usize = 1000;

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseKind {
    /// An authority asks for data by law.
    LegalDemand,
    /// The subject agreed that somebody is given data.
    Consent,
    /// A fault is looked into.
    Fault,
    /// Abuse is looked into.
    Abuse,
    /// Somebody's life or body is in danger.
    Emergency,
    /// The business goes to somebody else, and the data with it.
    Transfer,
}

/// By what right data is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseBasis {
    /// An order of a court.
    CourtOrder,
    /// A warrant of a judge.
    Warrant,
    /// A request of an authority that a law lets it make.
    OfficialRequest,
    /// A law that asks for it without anybody's request.
    StatutoryDuty,
    /// The subject's consent.
    Consent,
    /// Somebody's vital interest.
    VitalInterest,
    /// The business is handed on.
    Transfer,
    /// None: nothing leaves.
    None,
}

macro_rules! named {
    ($type:ident: $($variant:ident = $name:literal),* $(,)?) => {
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name in records, reports and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),*
                }
            }

            /// The one of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named!(CaseKind: LegalDemand = "legal_demand", Consent = "consent", Fault = "fault", Abuse = "abuse",
    Emergency = "emergency", Transfer = "transfer");
named!(CaseBasis: CourtOrder = "court_order", Warrant = "warrant", OfficialRequest = "official_request",
    StatutoryDuty = "statutory_duty", Consent = "consent", VitalInterest = "vital_interest", Transfer = "transfer",
    None = "none");
named!(ObjectionOutcome: Pending = "pending", Upheld = "upheld", Rejected = "rejected", Withdrawn = "withdrawn");

/// A case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Its name: what the operators call it.
    pub name: String,
    /// What it is about.
    pub kind: CaseKind,
    /// By what right.
    pub basis: CaseBasis,
    /// The law, order or consent that is named, with its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub law: Option<String>,
    /// Who asks, or is to have the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// Why it was opened.
    pub reason: String,
    /// Who opened it.
    pub by: Principal,
    /// When.
    pub at: Timestamp,
    /// By when it has to be answered, or when the data moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_by: Option<Timestamp>,
    /// Whether it is about everybody who has an account.
    #[serde(default)]
    pub everybody: bool,
    /// Until when it is forbidden to tell the subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forbidden_until: Option<Timestamp>,
    /// Objections to the demand, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objections: Vec<Objection>,
    /// What was given out, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disclosures: Vec<Disclosure>,
    /// Holds that were opened for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Id>,
    /// What is counted of its subjects.
    #[serde(default)]
    pub counts: CaseCounts,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<CaseClosed>,
}

impl Case {
    /// Whether a subject has still to be told, now or later: not once it was told or cannot be, nor if the case was closed
    /// and its data never left, nor in a case of a kind of which nobody has to be told.
    pub fn owes(&self, subject: &CaseSubject) -> bool {
        let is_told_of = match self.kind {
            CaseKind::LegalDemand | CaseKind::Emergency | CaseKind::Transfer => true,
            CaseKind::Consent | CaseKind::Fault | CaseKind::Abuse => false,
        };
        is_told_of && subject.notice.is_none() && (self.closed.is_none() || subject.disclosed.is_some())
    }
}

/// What is counted of a case's subjects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CaseCounts {
    /// Named in it, or told.
    pub subjects: u64,
    /// Whose data was given out.
    pub disclosed: u64,
    /// Who were told.
    pub told: u64,
    /// Of these, who were told after a ban.
    pub delayed: u64,
    /// Who cannot be told.
    pub futile: u64,
}

/// An objection to a demand that is improper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    /// When.
    pub at: Timestamp,
    /// Who objected.
    pub by: Principal,
    /// Why.
    pub reason: String,
    /// What came of it.
    pub outcome: ObjectionOutcome,
}

/// What came of an objection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectionOutcome {
    /// Nothing yet.
    Pending,
    /// The demand was improper: nothing is given out.
    Upheld,
    /// It was not.
    Rejected,
    /// The objection was taken back.
    Withdrawn,
}

/// Data that left, without the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disclosure {
    /// Its name.
    pub id: Id,
    /// When.
    pub at: Timestamp,
    /// Who gave it.
    pub by: Principal,
    /// To whom.
    pub recipient: String,
    /// Whose; nobody is named where it was everybody's.
    pub subjects: Vec<Id>,
    /// Which fields, as they are called in a report of a subject's data.
    pub fields: Vec<String>,
    /// SHA-256 of what was given, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// By what right.
    pub basis: CaseBasis,
    /// Why.
    pub reason: String,
}

/// The end of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseClosed {
    /// When.
    pub at: Timestamp,
    /// Who closed it.
    pub by: Principal,
    /// Why.
    pub reason: String,
}

/// A subject of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseSubject {
    /// The account.
    pub subject: Id,
    /// When its data was first given out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclosed: Option<Timestamp>,
    /// That it was told, or cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<CaseNotice>,
}

impl CaseSubject {
    /// One of whom nothing is known yet.
    pub fn new(subject: Id) -> Self {
        Self { subject, disclosed: None, notice: None }
    }
}

/// That a subject was told, or cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseNotice {
    /// When.
    pub at: Timestamp,
    /// Who saw to it.
    pub by: Principal,
    /// By which way; nothing if it is futile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// Why, in the operator's words.
    pub reason: String,
    /// Whether it had to wait for the end of a ban.
    pub delayed: bool,
}

/// What is done to a case, in one transaction.
#[derive(Debug)]
pub struct CaseStep {
    /// The case as it is then.
    pub case: Case,
    /// Subjects that are others then.
    pub subjects: Vec<CaseSubject>,
    /// Holds to be opened.
    pub holds: Vec<Hold>,
    /// By whom the holds of the case are released, if they are.
    pub release: Option<HoldReleased>,
    /// What is put on record of it.
    pub records: Vec<Record>,
}

/// What came of changing a case.
#[derive(Debug)]
pub enum CaseChange<E> {
    /// Done: this is the case then.
    Done(Box<Case>),
    /// There is no such case.
    Missing,
    /// It was not done, for this reason.
    Refused(E),
    /// There are too many holds in force.
    HoldsFull,
}

/// What the keys of a case's subjects begin with.
pub(crate) fn case_prefix(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

pub(crate) fn case_subject_key(name: &str, subject: Id) -> Vec<u8> {
    [&case_prefix(name), subject.as_bytes().as_slice()].concat()
}

/// The subjects of a case that are asked for, or all that it names.
fn subjects_of(transaction: &Transaction<'_>, name: &str, of: &[Id]) -> Result<Vec<CaseSubject>, Error> {
    if of.is_empty() {
        let prefix = case_prefix(name);
        let rows =
            transaction.range(CASE_SUBJECTS, &prefix, end_of(&prefix).as_deref(), CASE_SUBJECTS_MAX)?;
        let read = |(_, row)| decode::<CaseSubject>(CASE_SUBJECTS, Some(row)).transpose();
        return rows.into_iter().filter_map(read).collect();
    }
    let mut subjects = Vec::with_capacity(of.len());
    for subject in of {
        subjects.extend(transaction.row::<CaseSubject>(CASE_SUBJECTS, &case_subject_key(name, *subject))?);
    }
    Ok(subjects)
}

impl Store {
    /// Opens a case. `false`, and no record, if the name is taken.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn case_insert(
        &self,
        case: Case,
        subjects: Vec<CaseSubject>,
        records: Vec<Record>,
    ) -> Result<bool, Error> {
        self.run(move |transaction| {
            let key = case.name.as_bytes().to_vec();
            if transaction.get(CASES, &key)?.is_some() {
                return Ok(false);
            }
            for subject in &subjects {
                transaction.put_row(CASE_SUBJECTS, case_subject_key(&case.name, subject.subject), subject)?;
            }
            transaction.put_row(CASES, key, &case)?;
            records.iter().for_each(|record| transaction.record(record));
            Ok(true)
        })
        .await
    }

    /// Changes a case: `decide` sees it, and those of the subjects `of` that it knows (with none, all that it names), as
    /// they are in the transaction, and says what is done or why nothing is.
    ///
    /// # Errors
    /// [`Error`] if it could not be made durable.
    pub async fn case_change<E, F>(
        &self,
        name: String,
        of: Vec<Id>,
        decide: F,
    ) -> Result<CaseChange<E>, Error>
    where
        E: Send + 'static,
        F: FnOnce(Case, Vec<CaseSubject>) -> Result<CaseStep, E> + Send + 'static,
    {
        self.run(move |transaction| {
            let Some(case) = transaction.row::<Case>(CASES, name.as_bytes())? else {
                return Ok(CaseChange::Missing);
            };
            let subjects = subjects_of(transaction, &name, &of)?;
            let step = match decide(case, subjects) {
                Ok(step) => step,
                Err(why) => return Ok(CaseChange::Refused(why)),
            };
            if let Some(first) = step.holds.first() {
                let in_force = holds_in_force(transaction, first.opened)?.len();
                if in_force.saturating_add(step.holds.len()) > HOLDS_OPEN_MAX {
                    return Ok(CaseChange::HoldsFull);
                }
            }
            for hold in &step.holds {
                hold_put(transaction, hold)?;
            }
            if let Some(released) = &step.release {
                for hold in &step.case.holds {
                    hold_end(transaction, *hold, released.clone())?;
                }
            }
            for subject in &step.subjects {
                transaction.put_row(CASE_SUBJECTS, case_subject_key(&name, subject.subject), subject)?;
            }
            transaction.put_row(CASES, name.as_bytes().to_vec(), &step.case)?;
            step.records.iter().for_each(|record| transaction.record(record));
            Ok(CaseChange::Done(Box::new(step.case)))
        })
        .await
    }

    /// The case of this name.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn case_by_name(&self, name: &str) -> Result<Option<Case>, Error> {
        read_row(self.engine(), CASES, name.as_bytes())
    }

    /// Cases by name, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn cases(&self, after: Option<&str>, limit: usize) -> Result<Vec<Case>, Error> {
        let from = after.map_or(Vec::new(), case_prefix);
        let mut cases = Vec::new();
        for (_, row) in read_range(self.engine(), CASES, &from, None, limit)? {
            cases.extend(decode::<Case>(CASES, Some(row))?);
        }
        Ok(cases)
    }

    /// What a case knows of a subject.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn case_subject(&self, name: &str, subject: Id) -> Result<Option<CaseSubject>, Error> {
        read_row(self.engine(), CASE_SUBJECTS, &case_subject_key(name, subject))
    }

    /// Subjects of a case, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`Error`] if the engine fails.
    pub fn case_subjects(
        &self,
        name: &str,
        after: Option<Id>,
        limit: usize,
    ) -> Result<Vec<CaseSubject>, Error> {
        let prefix = case_prefix(name);
        let from = match after {
            Some(after) => [case_subject_key(name, after).as_slice(), &[0]].concat(),
            None => prefix.clone(),
        };
        let mut subjects = Vec::new();
        for (key, row) in read_range(self.engine(), CASE_SUBJECTS, &from, end_of(&prefix).as_deref(), limit)?
        {
            id_from(key.get(prefix.len()..).unwrap_or_default())?;
            subjects.extend(decode::<CaseSubject>(CASE_SUBJECTS, Some(row))?);
        }
        Ok(subjects)
    }
}
