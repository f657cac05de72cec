//! Retention as it goes over the wire.

use ingam_authority::operator::{Hold, HoldScope, NewScope};
use ingam_protocol::Timestamp;
use ingam_protocol::record::Class;
use ingam_retention::schedule::{DAY, ROWS};
use ingam_retention::{Report, Retention, SegmentFate};

use super::time;
use crate::api;
use crate::extract::{self, optional};
use crate::problem::Problem;

pub(crate) fn retention(retention: &Retention) -> api::RetentionState {
    let (schedule, condition) = (retention.schedule(), retention.condition());
    let row = |row: &ingam_retention::schedule::Row| api::RetentionRow {
        class: row.class.name().to_owned(),
        what: row.what.to_owned(),
        floor: row.floor.to_owned(),
        ceiling: row.ceiling.to_owned(),
        keep_days: schedule.keep(row.class).map(|keep| keep.as_secs() / DAY.as_secs()),
        kept_by: row.kept_by.to_owned(),
        source: row.source.to_owned(),
    };
    api::RetentionState {
        preset: schedule.preset().name().to_owned(),
        statement_url: schedule.statement_url().map(ToOwned::to_owned),
        rows: ROWS.iter().map(row).collect(),
        swept: time(condition.done),
        trouble: condition.failure.map(ToOwned::to_owned),
        clock_believed_at: time(condition.leap.map(|(last, _)| last)),
    }
}

pub(crate) fn retention_report(report: &Report) -> api::RetentionReport {
    let segment = |segment: &ingam_retention::SegmentReport| {
        let (fate, hold, goes) = match segment.fate {
            SegmentFate::Goes => ("goes", None, None),
            SegmentFate::Held(by) => ("held", Some(by.hold), None),
            SegmentFate::Stays(goes) => ("stays", None, goes),
        };
        api::RetentionSegment {
            class: segment.class.name().to_owned(),
            sequence: segment.sequence,
            records: segment.records,
            latest: time(segment.latest),
            fate: fate.to_owned(),
            hold: hold.map(|hold| hold.to_string()),
            goes: time(goes),
            in_force: segment.in_force,
        }
    };
    let rows = |rows: &ingam_retention::RowsReport| api::RetentionRows {
        what: rows.what.to_owned(),
        class: rows.class.name().to_owned(),
        table: rows.table.to_owned(),
        count: rows.count,
    };
    api::RetentionReport {
        at: report.at.to_rfc3339(),
        dry: report.dry,
        segments: report.segments.iter().map(segment).collect(),
        rows: report.rows.iter().map(rows).collect(),
        held: report.held.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect(),
    }
}

pub(crate) fn record_hold(hold: &Hold, now: Timestamp) -> api::RecordHold {
    let state = match (&hold.released, hold.is_in_force(now)) {
        (Some(_), _) => "released",
        (None, true) => "in-force",
        (None, false) => "lapsed",
    };
    api::RecordHold {
        id: hold.id.to_string(),
        case: hold.case.clone(),
        owner: hold.owner.clone(),
        reason: hold.reason.clone(),
        state: state.to_owned(),
        scope: scope(&hold.scope),
        opened: hold.opened.to_rfc3339(),
        by: hold.by.to_string(),
        ends: hold.ends.to_rfc3339(),
        renewals: hold
            .renewals
            .iter()
            .map(|renewal| api::RecordHoldRenewed {
                at: renewal.at.to_rfc3339(),
                by: renewal.by.to_string(),
                reason: renewal.reason.clone(),
                ends: renewal.ends.to_rfc3339(),
            })
            .collect(),
        released: hold.released.as_ref().map(|released| api::RecordHoldReleased {
            at: released.at.to_rfc3339(),
            by: released.by.to_string(),
            reason: released.reason.clone(),
        }),
    }
}

fn scope(scope: &HoldScope) -> api::RecordHoldScope {
    let nothing = api::RecordHoldScope::default();
    match scope {
        HoldScope::Subject { subject } => {
            api::RecordHoldScope { account: Some(subject.to_string()), ..nothing }
        }
        HoldScope::Certificate { serial, .. } => {
            api::RecordHoldScope { serial: Some(serial.to_string()), ..nothing }
        }
        HoldScope::Class { class, from, until } => api::RecordHoldScope {
            class: Some(class.name().to_owned()),
            from: time(*from),
            until: time(*until),
            ..nothing
        },
        HoldScope::Everything => api::RecordHoldScope { everything: true, ..nothing },
    }
}

/// What is to stay, as it was asked for: one thing.
pub(crate) fn new_scope(sent: &api::RecordHoldScope) -> Result<NewScope, Problem> {
    let api::RecordHoldScope { account, serial, class, from, until, everything } = sent;
    let has_time = from.is_some() || until.is_some();
    if has_time && class.is_none() {
        return Err(Problem::invalid("from and until belong to a class: give its name, too"));
    }
    match (account, serial, class, everything) {
        (Some(account), None, None, false) => Ok(NewScope::Subject(extract::id(account)?)),
        (None, Some(serial), None, false) => Ok(NewScope::Certificate(extract::serial(serial)?)),
        (None, None, Some(class), false) => {
            let class = Class::from_name(class).ok_or_else(|| {
                let names: Vec<&str> = Class::ALL.iter().map(|class| class.name()).collect();
                Problem::invalid(format!("a class is one of {}", names.join(", ")))
            })?;
            let from = optional(from.as_ref(), extract::time)?;
            Ok(NewScope::Class { class, from, until: optional(until.as_ref(), extract::time)? })
        }
        (None, None, None, true) => Ok(NewScope::Everything),
        _ => Err(Problem::invalid(
            "a hold is about one thing: give one of account, serial, class and everything, and open several for several",
        )),
    }
}
