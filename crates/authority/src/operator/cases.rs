//! Cases: why personal data may leave, what left, who was told. What the law asks for is decided here, and each refusal
//! names it.
//!
//! - `checks`: what a case may say, and what stands against a step of it.
//! - `due`: who has to be told, and by when: one pure function.
//! - `report`: the half-yearly counts.

mod checks;
mod due;
mod report;

use std::collections::BTreeSet;
use std::sync::Arc;

use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::{Id, Timestamp};
use ingam_store::{
    CASE_SUBJECTS_MAX, Case, CaseBasis, CaseChange, CaseClosed, CaseKind, CaseNotice, CaseStep, CaseSubject,
    Disclosure, HOLD_LASTS_MAX, HOLDS_OPEN_MAX, Hold, HoldChange, HoldReleased, HoldScope, Objection,
    ObjectionOutcome,
};
use serde_json::{Value, json};

use super::{Act, ActError, Found, task_failed};
use crate::Authority;

use checks::{
    are_told, check_ban, check_disclosure, checked, is_name, is_open, may_be_disclosed, no_case, not_told,
    reason_of, some, text,
};
pub use due::{Due, DueKind, due};
use report::report;
pub use report::{Cell, KindCounts, TransparencyReport, half_year_before};

/// At most this many characters are a case's name.
const NAME_CHARS_MAX: usize = 64;
/// At most this many characters are a text of a case.
const TEXT_CHARS_MAX: usize = 300;
/// At most this many fields are named in a disclosure.
const FIELDS_MAX: usize = 100;
/// At most this many disclosures, and objections, has a case.
const ENTRIES_MAX: usize = 100;
/// At most this many holds has a case.
const CASE_HOLDS_MAX: usize = 50;
/// How many cases are read at once.
const CASES_PER_READ: usize = 200;
/// How many accounts are read at once, of a case that is about everybody.
const ACCOUNTS_PER_READ: usize = 1000;
/// At most this many subjects are named in a refusal.
const NAMED_MAX: usize = 3;

/// A case to be opened; its reason is the act's.
#[derive(Clone, Debug)]
pub struct NewCase {
    /// What the operators call it.
    pub name: String,
    /// What it is about.
    pub kind: CaseKind,
    /// By what right; what the kind says, if nothing is.
    pub basis: Option<CaseBasis>,
    /// The law, order or consent.
    pub law: Option<String>,
    /// Who asks, or is to have the data.
    pub requester: Option<String>,
    /// By when it has to be answered, or when the data moves.
    pub answer_by: Option<Timestamp>,
    /// Until when it is forbidden to tell the subjects.
    pub forbidden_until: Option<Timestamp>,
    /// Whom it is about.
    pub subjects: Vec<Id>,
    /// Whether it is about everybody who has an account.
    pub everybody: bool,
}

/// Data that is given out; the reason is the act's.
#[derive(Clone, Debug)]
pub struct NewDisclosure {
    /// To whom; who asked, if nothing is said.
    pub recipient: Option<String>,
    /// Whose; everybody's in the case, if nobody is named.
    pub subjects: Vec<Id>,
    /// Which fields.
    pub fields: Vec<String>,
    /// SHA-256 of what was given, hexadecimal.
    pub sha256: Option<String>,
}

/// What becomes of telling subjects; the reason is the act's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Telling {
    /// They were told, by this way.
    Told(String),
    /// They cannot be told.
    Futile,
    /// It is forbidden to tell anybody of the case until then.
    ForbiddenUntil(Timestamp),
}

impl Authority {
    /// Opens a case.
    ///
    /// # Errors
    /// [`ActError::Invalid`] for one that makes no sense, [`ActError::NotFound`] for a subject that is none,
    /// [`ActError::Conflict`] if the name is taken; [`ActError::Fault`].
    pub async fn case_open(&self, act: &Act, new: NewCase) -> Result<Case, ActError> {
        let now = self.clock.now();
        let subjects: BTreeSet<Id> = new.subjects.iter().copied().collect();
        let case = checked(act, &new, subjects.len(), now)?;
        self.are_subjects(&subjects)?;
        let named: Vec<Id> = subjects.iter().copied().collect();
        let records = vec![self.case_record(act, &case, "opened", &named)?, self.act_done(act)?];
        let rows = subjects.into_iter().map(CaseSubject::new).collect();
        if !self.store.case_insert(case.clone(), rows, records).await? {
            return Err(ActError::conflict(format!(
                "there is a case {} already: choose another name",
                case.name
            )));
        }
        Ok(case)
    }

    /// Opens a hold for a case on each of its subjects, until `ends`. Holds are renewed by themselves, and released when
    /// the case is closed.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Invalid`], [`ActError::Conflict`], [`ActError::Fault`].
    pub async fn case_hold(
        self: &Arc<Self>,
        act: &Act,
        name: &str,
        owner: String,
        ends: Timestamp,
    ) -> Result<Case, ActError> {
        let now = self.clock.now();
        if ends <= now || ends > now.plus(HOLD_LASTS_MAX) {
            return Err(ActError::invalid(format!(
                "a hold ends after now, and by {} at the latest: it can be renewed while it is in force",
                now.plus(HOLD_LASTS_MAX)
            )));
        }
        let owner = text("an owner", &owner)?;
        self.case_step(act, name, Vec::new(), move |authority, act, mut case, subjects| {
            is_open(&case)?;
            if subjects.is_empty() {
                return Err(ActError::conflict(
                    "the case names nobody whose data could be held: hold a class of records instead",
                ));
            }
            if case.holds.len().saturating_add(subjects.len()) > CASE_HOLDS_MAX {
                return Err(ActError::conflict(format!(
                    "a case has {CASE_HOLDS_MAX} holds at most, one for each subject: hold a class of records instead"
                )));
            }
            let mut holds = Vec::with_capacity(subjects.len());
            let mut records = Vec::new();
            for subject in &subjects {
                let hold = Hold {
                    id: Id::new(now, authority.random.as_ref()),
                    case: case.name.clone(),
                    owner: owner.clone(),
                    reason: reason_of(act)?,
                    scope: HoldScope::Subject { subject: subject.subject },
                    opened: now,
                    by: act.operator,
                    ends,
                    renewals: Vec::new(),
                    released: None,
                };
                let told = hold.told(HoldChange::Opened);
                let record = authority.record(RecordType::HoldChanged, Some(subject.subject), None, &told)?;
                records.push(record.ending(ends));
                case.holds.push(hold.id);
                holds.push(hold);
            }
            records.push(authority.case_record(act, &case, "held", &[])?);
            Ok(CaseStep { case, subjects: Vec::new(), holds, release: None, records })
        })
        .await
    }

    /// Puts on record that data is given out. It is the word that whoever gives it waits for: without it, nothing leaves.
    ///
    /// # Errors
    /// [`ActError::Conflict`] if it may not be given, with the reason in law; [`ActError::NotFound`],
    /// [`ActError::Invalid`], [`ActError::Fault`].
    pub async fn case_disclose(
        self: &Arc<Self>,
        act: &Act,
        name: &str,
        new: NewDisclosure,
    ) -> Result<Case, ActError> {
        check_disclosure(&new)?;
        let case = self.case(name)?;
        if case.everybody && case.kind == CaseKind::Transfer {
            self.everybody_is_told(&case).await?;
        }
        let of: BTreeSet<Id> = new.subjects.iter().copied().collect();
        self.case_step(act, name, of.iter().copied().collect(), move |authority, act, mut case, mut subjects| {
            let now = authority.clock.now();
            may_be_disclosed(&case)?;
            let known: BTreeSet<Id> = subjects.iter().map(|subject| subject.subject).collect();
            if let Some(stranger) = of.iter().find(|subject| !known.contains(subject)) {
                return Err(ActError::invalid(format!(
                    "{stranger} is not among the subjects of the case: data of others is not what it is about"
                )));
            }
            // That everybody was told is looked at before; they can be too many for a transaction.
            let is_everybodys = case.everybody && of.is_empty();
            if is_everybodys {
                subjects.clear();
            } else if subjects.is_empty() {
                return Err(ActError::conflict("the case names nobody: open one that does"));
            }
            are_told(&case, &subjects, now)?;
            if case.disclosures.len() >= ENTRIES_MAX {
                return Err(ActError::conflict(format!(
                    "a case has {ENTRIES_MAX} disclosures at most: open another one"
                )));
            }
            let recipient = new.recipient.as_ref().or(case.requester.as_ref());
            let disclosure = Disclosure {
                id: Id::new(now, authority.random.as_ref()),
                at: now,
                by: act.operator,
                recipient: text("a recipient", recipient.map_or("", String::as_str))?,
                subjects: subjects.iter().map(|subject| subject.subject).collect(),
                fields: new.fields.iter().map(|field| field.trim().to_owned()).collect(),
                sha256: new.sha256.as_ref().map(|hash| hash.to_ascii_lowercase()),
                basis: case.basis,
                reason: reason_of(act)?,
            };
            let told = json!({ "case": case.name, "law": case.law, "everybody": is_everybodys, "disclosure": {
                "id": disclosure.id, "at": disclosure.at, "recipient": disclosure.recipient, "fields": disclosure.fields,
                "sha256": disclosure.sha256, "basis": disclosure.basis, "by": disclosure.by,
                "reason": disclosure.reason,
            }});
            let mut records = Vec::new();
            if is_everybodys {
                records.push(authority.record(RecordType::DataDisclosed, None, None, &told)?);
                case.counts.disclosed = case.counts.subjects;
            }
            for subject in &mut subjects {
                records.push(authority.record(RecordType::DataDisclosed, Some(subject.subject), None, &told)?);
                if subject.disclosed.is_none() {
                    subject.disclosed = Some(now);
                    case.counts.disclosed += 1;
                }
            }
            case.disclosures.push(disclosure);
            records.push(authority.case_record(act, &case, "disclosed", &[])?);
            Ok(CaseStep { case, subjects, holds: Vec::new(), release: None, records })
        })
        .await
    }

    /// Puts on record that subjects were told, or cannot be, or may not be yet. With nobody named, all of the case who are
    /// not told yet.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Invalid`], [`ActError::Conflict`], [`ActError::Fault`].
    pub async fn case_notify(
        self: &Arc<Self>,
        act: &Act,
        name: &str,
        subjects: Vec<Id>,
        telling: Telling,
    ) -> Result<Case, ActError> {
        let of: BTreeSet<Id> = subjects.into_iter().collect();
        if of.len() > CASE_SUBJECTS_MAX {
            return Err(ActError::invalid(format!("name {CASE_SUBJECTS_MAX} subjects at once, at most")));
        }
        if self.case(name)?.everybody {
            if of.is_empty() {
                return Err(ActError::invalid(
                    "the case is about everybody: name those who were told, `case due` lists who is still to be",
                ));
            }
            self.are_subjects(&of)?;
        }
        let asked: Vec<Id> = of.iter().copied().collect();
        self.case_step(act, name, asked, move |authority, act, case, known| match telling {
            Telling::ForbiddenUntil(end) => authority.forbid(act, case, end, !of.is_empty()),
            Telling::Told(how) => authority.tell(act, case, known, &of, Some(text("a way", &how)?)),
            Telling::Futile => authority.tell(act, case, known, &of, None),
        })
        .await
    }

    fn forbid(&self, act: &Act, mut case: Case, end: Timestamp, names: bool) -> Result<CaseStep, ActError> {
        is_open(&case)?;
        if names {
            return Err(ActError::invalid("a ban is on the case as a whole: name no subjects"));
        }
        check_ban(case.kind, Some(end), self.clock.now())?;
        case.forbidden_until = Some(end);
        let records = vec![self.case_record(act, &case, "forbidden", &[])?];
        Ok(CaseStep { case, subjects: Vec::new(), holds: Vec::new(), release: None, records })
    }

    fn tell(
        &self,
        act: &Act,
        mut case: Case,
        mut known: Vec<CaseSubject>,
        of: &BTreeSet<Id>,
        how: Option<String>,
    ) -> Result<CaseStep, ActError> {
        let now = self.clock.now();
        if let Some(end) = case.forbidden_until.filter(|end| how.is_some() && now < *end) {
            return Err(ActError::conflict(format!(
                "it is forbidden to tell anybody of this case until {end}: the notice falls due then"
            )));
        }
        for subject in of {
            if known.iter().all(|row| row.subject != *subject) {
                if !case.everybody {
                    return Err(ActError::invalid(format!(
                        "{subject} is not among the subjects of the case"
                    )));
                }
                known.push(CaseSubject::new(*subject));
                case.counts.subjects += 1;
            }
        }
        known.retain(|row| row.notice.is_none());
        if known.is_empty() {
            return Err(ActError::conflict("nobody of these is still to be told: nothing was changed"));
        }
        let delayed = case.forbidden_until.is_some();
        let mut records = Vec::new();
        for subject in &mut known {
            let reason = reason_of(act)?;
            let notice = CaseNotice { at: now, by: act.operator, how: how.clone(), reason, delayed };
            let told = json!({ "case": case.name, "kind": case.kind, "notice": notice });
            records.push(self.record(RecordType::NoticeGiven, Some(subject.subject), None, &told)?);
            match how {
                Some(_) => {
                    case.counts.told += 1;
                    case.counts.delayed += u64::from(delayed);
                }
                None => case.counts.futile += 1,
            }
            subject.notice = Some(notice);
        }
        Ok(CaseStep { case, subjects: known, holds: Vec::new(), release: None, records })
    }

    /// Puts on record that a demand is objected to, or what came of that: as long as it is pending, and once it is upheld,
    /// nothing is given out.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Conflict`], [`ActError::Fault`].
    pub async fn case_object(
        self: &Arc<Self>,
        act: &Act,
        name: &str,
        outcome: ObjectionOutcome,
    ) -> Result<Case, ActError> {
        self.case_step(act, name, Vec::new(), move |authority, act, mut case, _| {
            is_open(&case)?;
            if !matches!(case.kind, CaseKind::LegalDemand | CaseKind::Emergency) {
                return Err(ActError::conflict(
                    "nobody demands anything in this case: there is nothing to object to",
                ));
            }
            let count = case.objections.len();
            let pending = case.objections.iter_mut().find(|one| one.outcome == ObjectionOutcome::Pending);
            match (outcome, pending) {
                (ObjectionOutcome::Pending, Some(_)) => {
                    return Err(ActError::conflict(
                        "an objection is pending already: say what came of it first",
                    ));
                }
                (ObjectionOutcome::Pending, None) if count < ENTRIES_MAX => {
                    let (at, by, reason) = (authority.clock.now(), act.operator, reason_of(act)?);
                    case.objections.push(Objection { at, by, reason, outcome });
                }
                (ObjectionOutcome::Pending, None) => {
                    return Err(ActError::conflict(format!("a case has {ENTRIES_MAX} objections at most")));
                }
                (_, Some(pending)) => pending.outcome = outcome,
                (_, None) => {
                    return Err(ActError::conflict(
                        "no objection is pending: object first, with outcome pending",
                    ));
                }
            }
            let records = vec![authority.case_record(act, &case, "objected", &[])?];
            Ok(CaseStep { case, subjects: Vec::new(), holds: Vec::new(), release: None, records })
        })
        .await
    }

    /// Closes a case and releases its holds. What a ban puts off stays due; what could be told now has to be told first.
    ///
    /// # Errors
    /// [`ActError::Conflict`] if somebody is still to be told; [`ActError::NotFound`], [`ActError::Fault`].
    pub async fn case_close(self: &Arc<Self>, act: &Act, name: &str) -> Result<Case, ActError> {
        self.case_step(act, name, Vec::new(), |authority, act, mut case, subjects| {
            is_open(&case)?;
            let now = authority.clock.now();
            if case.objections.iter().any(|one| one.outcome == ObjectionOutcome::Pending) {
                return Err(ActError::conflict("an objection is pending: say what came of it first"));
            }
            let is_banned = case.forbidden_until.is_some_and(|end| now < end);
            let (at, by, reason) = (now, act.operator, reason_of(act)?);
            case.closed = Some(CaseClosed { at, by, reason: reason.clone() });
            // As it would be then: whose data never left has nothing to be told.
            let owed: Vec<Id> = subjects
                .iter()
                .filter(|subject| !is_banned && due(&case, subject).is_some())
                .map(|subject| subject.subject)
                .collect();
            if !owed.is_empty() {
                return Err(ActError::conflict(format!(
                    "{} of the case are still to be told that their data left ({}): tell them first (D2)",
                    owed.len(),
                    some(&owed)
                )));
            }
            let release = Some(HoldReleased { at, by, reason });
            let mut records = Vec::new();
            for hold in &case.holds {
                if let Some(mut hold) =
                    authority.store.hold_by_id(*hold)?.filter(|hold| hold.is_in_force(now))
                {
                    hold.released.clone_from(&release);
                    let subject = match hold.scope {
                        HoldScope::Subject { subject } => Some(subject),
                        _ => None,
                    };
                    let told = hold.told(HoldChange::Released);
                    let record = authority.record(RecordType::HoldChanged, subject, None, &told)?;
                    records.push(record.ending(hold.end()));
                }
            }
            records.push(authority.case_record(act, &case, "closed", &[])?);
            Ok(CaseStep { case, subjects: Vec::new(), holds: Vec::new(), release, records })
        })
        .await
    }

    /// The case of this name.
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub fn case(&self, name: &str) -> Result<Case, ActError> {
        self.store.case_by_name(name)?.ok_or_else(|| no_case(name))
    }

    /// A case with the subjects that it names, at most [`CASE_SUBJECTS_MAX`].
    ///
    /// # Errors
    /// [`ActError::NotFound`], [`ActError::Fault`].
    pub fn case_with_subjects(&self, name: &str) -> Result<(Case, Vec<CaseSubject>), ActError> {
        let case = self.case(name)?;
        let subjects = self.store.case_subjects(name, None, CASE_SUBJECTS_MAX)?;
        Ok((case, subjects))
    }

    /// Cases by name, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`ActError::Invalid`] if `after` is no name; [`ActError::Fault`] if the store fails.
    pub fn cases(&self, after: Option<&str>, limit: usize) -> Result<Found<Case>, ActError> {
        if after.is_some_and(|after| !is_name(after)) {
            return Err(ActError::invalid("after is the name of a case, as in the next of a page before"));
        }
        let items = self.store.cases(after, limit)?;
        let next = items.last().filter(|_| items.len() == limit).map(|last| last.name.as_bytes().to_vec());
        Ok(Found { items, next })
    }

    /// Who has to be told, of all cases, soonest first, at most `limit`. Blocks.
    ///
    /// # Errors
    /// [`ActError::Fault`] if the store fails.
    pub fn cases_due(&self, limit: usize) -> Result<Vec<Due>, ActError> {
        let mut found: Vec<Due> = Vec::new();
        self.each_case(|case| {
            if case.everybody {
                self.each_account_of(&case, &mut |subject| {
                    found.extend(due(&case, subject));
                    // One more than is shown tells that there are more.
                    found.len() <= limit.saturating_mul(2)
                })?;
            } else {
                for subject in self.store.case_subjects(&case.name, None, CASE_SUBJECTS_MAX)? {
                    found.extend(due(&case, &subject));
                }
            }
            // Bounded: what is due last is dropped while others are looked at.
            if found.len() > limit.saturating_mul(2) {
                found.sort_by(Due::by_time);
                found.truncate(limit);
            }
            Ok(())
        })?;
        found.sort_by(Due::by_time);
        found.truncate(limit);
        Ok(found)
    }

    /// The counts of cases that were opened from `from` on and before `until`, with cells below `minimum` withheld. Blocks.
    ///
    /// # Errors
    /// [`ActError::Invalid`] if the time ends before it begins; [`ActError::Fault`] if the store fails.
    pub fn transparency_report(
        &self,
        from: Timestamp,
        until: Timestamp,
        minimum: u64,
    ) -> Result<TransparencyReport, ActError> {
        if from >= until {
            return Err(ActError::invalid("the time ends before it begins: give a later end"));
        }
        let mut cases = Vec::new();
        self.each_case(|case| {
            if (from..until).contains(&case.at) {
                cases.push(case);
            }
            Ok(())
        })?;
        Ok(report(&cases, from, until, minimum))
    }

    fn each_case(&self, mut look: impl FnMut(Case) -> Result<(), ActError>) -> Result<(), ActError> {
        let mut after: Option<String> = None;
        loop {
            let cases = self.store.cases(after.as_deref(), CASES_PER_READ)?;
            let Some(last) = cases.last().map(|case| case.name.clone()) else { return Ok(()) };
            for case in cases {
                look(case)?;
            }
            after = Some(last);
        }
    }

    /// What a case about everybody knows of each account, until `look` has seen enough.
    fn each_account_of(
        &self,
        case: &Case,
        look: &mut dyn FnMut(&CaseSubject) -> bool,
    ) -> Result<(), ActError> {
        let mut from = Id::from_bytes([0; 16]);
        loop {
            let accounts = self.store.accounts(from, ACCOUNTS_PER_READ)?;
            for account in &accounts {
                let known = self.store.case_subject(&case.name, account.id)?;
                if !look(&known.unwrap_or_else(|| CaseSubject::new(account.id))) {
                    return Ok(());
                }
            }
            let Some(last) = accounts.last().filter(|_| accounts.len() == ACCOUNTS_PER_READ) else {
                return Ok(());
            };
            from = after(last.id);
        }
    }

    /// Nobody's data moves before everybody was told (D4).
    async fn everybody_is_told(self: &Arc<Self>, case: &Case) -> Result<(), ActError> {
        let (authority, case) = (self.clone(), case.clone());
        let looking = tokio::task::spawn_blocking(move || {
            let mut untold = None;
            authority.each_account_of(&case, &mut |subject| {
                untold = Some(subject.subject).filter(|_| subject.notice.is_none());
                untold.is_none()
            })?;
            match untold {
                None => Ok(()),
                Some(first) => Err(not_told(1, &[first])),
            }
        });
        looking.await.unwrap_or_else(|cause| Err(task_failed(cause)))
    }

    fn are_subjects(&self, subjects: &BTreeSet<Id>) -> Result<(), ActError> {
        for subject in subjects {
            let is_known = self.store.account_by_id(*subject)?.is_some()
                || self.store.external_key_by_id(*subject)?.is_some();
            if !is_known {
                return Err(ActError::not_found(format!(
                    "there is no account and no key for external accounts with the id {subject}"
                )));
            }
        }
        Ok(())
    }

    /// One change of a case, decided in the transaction that makes it, together with the record of the act.
    async fn case_step<F>(
        self: &Arc<Self>,
        act: &Act,
        name: &str,
        of: Vec<Id>,
        decide: F,
    ) -> Result<Case, ActError>
    where
        F: FnOnce(&Self, &Act, Case, Vec<CaseSubject>) -> Result<CaseStep, ActError> + Send + 'static,
    {
        let (authority, doing) = (self.clone(), act.clone());
        let decided = move |case, subjects| {
            let mut step = decide(&authority, &doing, case, subjects)?;
            step.records.push(authority.act_done(&doing)?);
            Ok(step)
        };
        match self.store.case_change(name.to_owned(), of, decided).await? {
            CaseChange::Done(case) => Ok(*case),
            CaseChange::Missing => Err(no_case(name)),
            CaseChange::Refused(why) => Err(why),
            CaseChange::HoldsFull => Err(ActError::conflict(format!(
                "there are {HOLDS_OPEN_MAX} holds in force: release some, or hold more by one"
            ))),
        }
    }

    /// The record of a change: the whole case but for what its own records tell, and whom it names from now on.
    fn case_record(
        &self,
        act: &Act,
        case: &Case,
        change: &'static str,
        named: &[Id],
    ) -> Result<Record, ActError> {
        let told: Value = json!({ "change": change, "by": act.operator, "subjects": named, "case": {
            "name": case.name, "kind": case.kind, "basis": case.basis, "law": case.law, "requester": case.requester,
            "reason": case.reason, "by": case.by, "at": case.at, "answer_by": case.answer_by, "everybody": case.everybody,
            "forbidden_until": case.forbidden_until, "objections": case.objections, "holds": case.holds,
            "counts": case.counts, "closed": case.closed,
        }});
        Ok(self.record(RecordType::CaseChanged, None, None, &told)?)
    }
}

/// The first id behind another.
fn after(id: Id) -> Id {
    let next = u128::from_be_bytes(*id.as_bytes()).saturating_add(1);
    Id::from_bytes(next.to_be_bytes())
}
