//! Cases as they go over the wire, and back.

use std::collections::BTreeMap;

use ingam_authority::operator::{
    Case, CaseBasis, CaseKind, CaseSubject, Cell, Due, KindCounts, NewCase, NewDisclosure, ObjectionOutcome,
    Telling, TransparencyReport, due,
};
use ingam_protocol::{Id, Timestamp};

use super::time;
use crate::api;
use crate::extract::{self, optional};
use crate::problem::Problem;

pub(crate) fn case(case: &Case) -> api::Case {
    let objections = case.objections.iter().map(|objection| api::CaseObjection {
        at: objection.at.to_rfc3339(),
        by: objection.by.to_string(),
        reason: objection.reason.clone(),
        outcome: objection.outcome.name().to_owned(),
    });
    let disclosures = case.disclosures.iter().map(|disclosure| api::CaseDisclosure {
        id: disclosure.id.to_string(),
        at: disclosure.at.to_rfc3339(),
        by: disclosure.by.to_string(),
        recipient: disclosure.recipient.clone(),
        subjects: disclosure.subjects.iter().map(ToString::to_string).collect(),
        fields: disclosure.fields.clone(),
        sha256: disclosure.sha256.clone(),
        basis: disclosure.basis.name().to_owned(),
        reason: disclosure.reason.clone(),
    });
    api::Case {
        name: case.name.clone(),
        kind: case.kind.name().to_owned(),
        basis: case.basis.name().to_owned(),
        law: case.law.clone(),
        requester: case.requester.clone(),
        status: if case.closed.is_some() { "closed" } else { "open" }.to_owned(),
        reason: case.reason.clone(),
        by: case.by.to_string(),
        at: case.at.to_rfc3339(),
        answer_by: time(case.answer_by),
        everybody: case.everybody,
        forbidden_until: time(case.forbidden_until),
        subjects: case.counts.subjects,
        disclosed: case.counts.disclosed,
        told: case.counts.told,
        futile: case.counts.futile,
        objections: objections.collect(),
        disclosures: disclosures.collect(),
        holds: case.holds.iter().map(ToString::to_string).collect(),
        closed: case.closed.as_ref().map(|closed| closed.at.to_rfc3339()),
        closed_reason: case.closed.as_ref().map(|closed| closed.reason.clone()),
    }
}

pub(crate) fn case_detail((found, subjects): &(Case, Vec<CaseSubject>)) -> api::CaseDetail {
    let named = subjects.iter().map(|subject| {
        let notice = subject.notice.as_ref();
        api::CaseSubject {
            subject: subject.subject.to_string(),
            disclosed: time(subject.disclosed),
            noticed: notice.map(|notice| notice.at.to_rfc3339()),
            how: notice.map(|notice| notice.how.clone().unwrap_or_else(|| "futile".to_owned())),
            due: due(found, subject).map(|due| due.by.to_rfc3339()),
        }
    });
    api::CaseDetail { case: case(found), named: named.collect() }
}

pub(crate) fn due_notice(due: &Due, now: Timestamp) -> api::DueNotice {
    api::DueNotice {
        case: due.case.clone(),
        subject: due.subject.to_string(),
        notice: due.kind.name().to_owned(),
        by: due.by.to_rfc3339(),
        overdue: due.by <= now,
    }
}

pub(crate) fn transparency_report(report: &TransparencyReport) -> api::TransparencyReport {
    let cells = |cells: &BTreeMap<&'static str, Cell>| {
        cells.iter().map(|(name, cell)| ((*name).to_owned(), cell.number())).collect()
    };
    let counts = |counts: &KindCounts| api::TransparencyCounts {
        cases: counts.cases,
        by_basis: cells(&counts.by_basis),
        by_outcome: cells(&counts.by_outcome),
        by_subjects: cells(&counts.by_subjects),
        objections: cells(&counts.objections),
        notices: cells(&counts.notices),
    };
    api::TransparencyReport {
        from: report.from.to_rfc3339(),
        until: report.until.to_rfc3339(),
        minimum: report.minimum,
        kinds: report.kinds.iter().map(|(kind, of)| ((*kind).to_owned(), counts(of))).collect(),
    }
}

fn subjects(sent: &[String]) -> Result<Vec<Id>, Problem> {
    if sent.len() > ingam_authority::operator::CASE_SUBJECTS_MAX {
        return Err(Problem::invalid("a case names 1000 subjects at most"));
    }
    sent.iter().map(|text| extract::id(text)).collect()
}

pub(crate) fn new_case(sent: &api::CaseOpening) -> Result<NewCase, Problem> {
    let kind = CaseKind::from_name(&sent.kind).ok_or_else(|| {
        Problem::invalid("kind is legal_demand, consent, fault, abuse, emergency or transfer")
    })?;
    let basis = |text: &str| {
        CaseBasis::from_name(text).ok_or_else(|| {
            Problem::invalid(
                "basis is court_order, warrant, official_request, statutory_duty, consent, vital_interest, transfer or none",
            )
        })
    };
    Ok(NewCase {
        name: sent.name.clone(),
        kind,
        basis: optional(sent.basis.as_ref(), basis)?,
        law: sent.law.clone(),
        requester: sent.requester.clone(),
        answer_by: optional(sent.answer_by.as_ref(), extract::time)?,
        forbidden_until: optional(sent.forbidden_until.as_ref(), extract::time)?,
        subjects: subjects(&sent.subjects)?,
        everybody: sent.everybody,
    })
}

pub(crate) fn new_disclosure(sent: &api::CaseDisclosing) -> Result<NewDisclosure, Problem> {
    Ok(NewDisclosure {
        recipient: sent.recipient.clone(),
        subjects: subjects(&sent.subjects)?,
        fields: sent.fields.clone(),
        sha256: sent.sha256.clone(),
    })
}

pub(crate) fn telling(sent: &api::CaseTelling) -> Result<(Vec<Id>, Telling), Problem> {
    let until = optional(sent.forbidden_until.as_ref(), extract::time)?;
    let telling = match (&sent.how, sent.futile, until) {
        (Some(how), false, None) => Telling::Told(how.clone()),
        (None, true, None) => Telling::Futile,
        (None, false, Some(until)) => Telling::ForbiddenUntil(until),
        _ => {
            return Err(Problem::invalid(
                "say one of how they were told, that it is futile, and until when it is forbidden",
            ));
        }
    };
    Ok((subjects(&sent.subjects)?, telling))
}

pub(crate) fn objection(sent: &api::CaseObjecting) -> Result<ObjectionOutcome, Problem> {
    let outcome = sent.outcome.as_deref().unwrap_or("pending");
    ObjectionOutcome::from_name(outcome)
        .ok_or_else(|| Problem::invalid("outcome is pending, upheld, rejected or withdrawn"))
}
