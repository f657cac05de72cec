//! What a case may say, and what stands against a step of it: each refusal names the law.

use super::super::{Act, ActError};
use super::{FIELDS_MAX, NAME_CHARS_MAX, NAMED_MAX, NewCase, NewDisclosure, TEXT_CHARS_MAX};
use ingam_protocol::bytes::from_hex;
use ingam_protocol::{Id, Timestamp};
use ingam_store::{CASE_SUBJECTS_MAX, Case, CaseBasis, CaseCounts, CaseKind, CaseSubject, ObjectionOutcome};

/// By what rights data can be asked for in a case of this kind.
pub(super) fn bases(kind: CaseKind) -> &'static [CaseBasis] {
    use CaseBasis as Basis;
    match kind {
        CaseKind::LegalDemand => {
            &[Basis::CourtOrder, Basis::Warrant, Basis::OfficialRequest, Basis::StatutoryDuty]
        }
        CaseKind::Consent => &[Basis::Consent],
        CaseKind::Fault | CaseKind::Abuse => &[Basis::None],
        CaseKind::Emergency => &[Basis::VitalInterest, Basis::OfficialRequest],
        CaseKind::Transfer => &[Basis::Transfer],
    }
}

/// A case that says all that its kind needs.
pub(super) fn checked(act: &Act, new: &NewCase, subjects: usize, now: Timestamp) -> Result<Case, ActError> {
    if !is_name(&new.name) {
        return Err(ActError::invalid(
            "a case's name has 1 to 64 letters, digits, hyphens, dots and underscores",
        ));
    }
    let allowed = bases(new.kind);
    let usual = allowed.first().copied().filter(|_| new.kind != CaseKind::LegalDemand);
    let names = || allowed.iter().map(|basis| basis.name()).collect::<Vec<_>>().join(", ");
    let basis = new.basis.or(usual).filter(|basis| allowed.contains(basis)).ok_or_else(|| {
        ActError::invalid(format!(
            "the basis of a case of the kind {} is one of {}",
            new.kind.name(),
            names()
        ))
    })?;
    let leaves = !matches!(new.kind, CaseKind::Fault | CaseKind::Abuse);
    if leaves && new.requester.is_none() {
        return Err(ActError::invalid("say in \"requester\" who asks for the data, or is to have it"));
    }
    if matches!(new.kind, CaseKind::LegalDemand | CaseKind::Emergency | CaseKind::Consent)
        && new.law.is_none()
    {
        return Err(ActError::invalid(
            "say in \"law\" on what this rests: the article of the law and the number of the order, or the consent",
        ));
    }
    if new.kind == CaseKind::Transfer && new.answer_by.is_none_or(|at| at <= now) {
        return Err(ActError::invalid("say in \"answer_by\" when the data moves, which has to lie ahead"));
    }
    if new.everybody && (new.kind != CaseKind::Transfer || subjects > 0) {
        return Err(ActError::invalid("only a transfer is about everybody, and then it names nobody"));
    }
    if subjects > CASE_SUBJECTS_MAX {
        return Err(ActError::invalid(format!("a case names {CASE_SUBJECTS_MAX} subjects at most")));
    }
    check_ban(new.kind, new.forbidden_until, now)?;
    let told = |what: &str, given: &Option<String>| given.as_ref().map(|given| text(what, given)).transpose();
    Ok(Case {
        name: new.name.clone(),
        kind: new.kind,
        basis,
        law: told("a law", &new.law)?,
        requester: told("a requester", &new.requester)?,
        reason: reason_of(act)?,
        by: act.operator,
        at: now,
        answer_by: new.answer_by,
        everybody: new.everybody,
        forbidden_until: new.forbidden_until,
        objections: Vec::new(),
        disclosures: Vec::new(),
        holds: Vec::new(),
        counts: CaseCounts { subjects: u64::try_from(subjects).unwrap_or(u64::MAX), ..CaseCounts::default() },
        closed: None,
    })
}

pub(super) fn check_ban(kind: CaseKind, end: Option<Timestamp>, now: Timestamp) -> Result<(), ActError> {
    let Some(end) = end else { return Ok(()) };
    if !matches!(kind, CaseKind::LegalDemand | CaseKind::Emergency) {
        return Err(ActError::invalid(
            "only a legal demand or an emergency can forbid that subjects are told",
        ));
    }
    if end <= now {
        return Err(ActError::invalid("a ban ends after now: tell the subjects if it is over"));
    }
    Ok(())
}

pub(super) fn check_disclosure(new: &NewDisclosure) -> Result<(), ActError> {
    if new.fields.is_empty() || new.fields.len() > FIELDS_MAX {
        return Err(ActError::invalid(format!("name the fields that are given: 1 to {FIELDS_MAX}")));
    }
    for field in &new.fields {
        text("a field", field)?;
    }
    if new.sha256.as_ref().is_some_and(|hash| from_hex(hash).is_none_or(|hash| hash.len() != 32)) {
        return Err(ActError::invalid("sha256 is the SHA-256 of what is given: 64 hexadecimal digits"));
    }
    if new.subjects.len() > CASE_SUBJECTS_MAX {
        return Err(ActError::invalid(format!("name {CASE_SUBJECTS_MAX} subjects at once, at most")));
    }
    Ok(())
}

/// Whether data may leave for a case at all.
pub(super) fn may_be_disclosed(case: &Case) -> Result<(), ActError> {
    is_open(case)?;
    if matches!(case.kind, CaseKind::Fault | CaseKind::Abuse) {
        return Err(ActError::conflict(
            "personal data leaves only with consent or on a legal demand (D1; GDPR, Articles 5(1)(b) and 6(1); PIPA, \
             Articles 17(1) and 18(1)): open a case of the kind legal_demand, consent or emergency",
        ));
    }
    if case.objections.iter().any(|one| one.outcome == ObjectionOutcome::Pending) {
        return Err(ActError::conflict(
            "an objection to this demand is pending (D3): say what came of it first",
        ));
    }
    if case.objections.iter().any(|one| one.outcome == ObjectionOutcome::Upheld) {
        return Err(ActError::conflict(
            "an objection to this demand was upheld (D3): nothing is given out for it; a proper demand is another case",
        ));
    }
    Ok(())
}

/// Subjects are told before, unless that is forbidden or futile, or cannot wait.
pub(super) fn are_told(case: &Case, subjects: &[CaseSubject], now: Timestamp) -> Result<(), ActError> {
    let is_forbidden = case.forbidden_until.is_some_and(|end| now < end);
    let goes_untold = match case.kind {
        CaseKind::Emergency | CaseKind::Consent => true,
        CaseKind::LegalDemand => is_forbidden,
        CaseKind::Transfer | CaseKind::Fault | CaseKind::Abuse => false,
    };
    let untold: Vec<Id> =
        subjects.iter().filter(|subject| subject.notice.is_none()).map(|subject| subject.subject).collect();
    if goes_untold || untold.is_empty() { Ok(()) } else { Err(not_told(untold.len(), &untold)) }
}

pub(super) fn not_told(count: usize, untold: &[Id]) -> ActError {
    ActError::conflict(format!(
        "{count} or more of the case were not told ({}): they are told before data leaves, unless that is forbidden until a \
         date or futile (D2, D4; GDPR, Articles 13(3) and 14(3)(c); PIPA, Articles 20 and 27): use `case notify` first",
        some(untold)
    ))
}

pub(super) fn some(ids: &[Id]) -> String {
    let mut named: Vec<String> = ids.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    if ids.len() > NAMED_MAX {
        named.push("…".to_owned());
    }
    named.join(", ")
}

pub(super) fn is_open(case: &Case) -> Result<(), ActError> {
    match &case.closed {
        None => Ok(()),
        Some(closed) => {
            Err(ActError::conflict(format!("the case was closed at {}: open another one", closed.at)))
        }
    }
}

/// Whether a case can have this name.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

pub(super) fn text(what: &str, given: &str) -> Result<String, ActError> {
    let given = given.trim();
    if given.is_empty() || given.chars().count() > TEXT_CHARS_MAX || given.chars().any(char::is_control) {
        return Err(ActError::invalid(format!("{what} is one line of 1 to {TEXT_CHARS_MAX} characters")));
    }
    Ok(given.to_owned())
}

pub(super) fn reason_of(act: &Act) -> Result<String, ActError> {
    act.reason.clone().ok_or_else(|| ActError::invalid("say why, in \"reason\""))
}

pub(super) fn no_case(name: &str) -> ActError {
    let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
    ActError::not_found(format!("there is no case {name}: open it first"))
}
