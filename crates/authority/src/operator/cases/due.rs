//! Who has to be told, and by when.

use std::cmp::Ordering;
use std::time::Duration;

use ingam_protocol::{Id, Timestamp};
use ingam_store::{Case, CaseKind, CaseSubject};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// So long before a demand has to be answered, its subject is told: time to object.
const AHEAD: Duration = DAY.saturating_mul(7);
/// Where nobody says by when it has to be answered, so long after the case was opened.
const WITHIN: Duration = DAY.saturating_mul(7);
/// So long after data left in an emergency.
const AFTER_EMERGENCY: Duration = DAY.saturating_mul(7);
/// So long before data moves to another business.
const BEFORE_TRANSFER: Duration = DAY.saturating_mul(30);

/// A notice that has to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// For which case.
    pub case: String,
    /// To whom.
    pub subject: Id,
    /// Which.
    pub kind: DueKind,
    /// By when, or from when on, where it was forbidden until then.
    pub by: Timestamp,
}

/// Which notice it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DueKind {
    /// Before data is given out.
    BeforeDisclosure,
    /// Once the ban has ended.
    AfterBan,
    /// After data was given out in an emergency.
    AfterEmergency,
    /// Before data moves to another business.
    BeforeTransfer,
}

impl DueKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeDisclosure => "before_disclosure",
            Self::AfterBan => "after_ban",
            Self::AfterEmergency => "after_emergency",
            Self::BeforeTransfer => "before_transfer",
        }
    }
}

impl Due {
    /// Soonest first, and in the same order each time.
    pub(crate) fn by_time(&self, other: &Self) -> Ordering {
        (self.by, &self.case, self.subject).cmp(&(other.by, &other.case, other.subject))
    }
}

/// What a subject of a case has still to be told (D2, D4). Nothing once it was told or cannot be, nor if the case was closed
/// and its data never left.
pub fn due(case: &Case, subject: &CaseSubject) -> Option<Due> {
    if !case.owes(subject) {
        return None;
    }
    let (kind, by) = match case.kind {
        CaseKind::Consent | CaseKind::Fault | CaseKind::Abuse => return None,
        CaseKind::LegalDemand => match (case.forbidden_until, subject.disclosed) {
            (Some(end), _) => (DueKind::AfterBan, end),
            // It should have been told before.
            (None, Some(left)) => (DueKind::BeforeDisclosure, left),
            (None, None) => {
                let asked = case.answer_by.map(|by| by.minus(AHEAD).max(case.at));
                (DueKind::BeforeDisclosure, asked.unwrap_or_else(|| case.at.plus(WITHIN)))
            }
        },
        CaseKind::Emergency => {
            let left = subject.disclosed?;
            match case.forbidden_until {
                Some(end) => (DueKind::AfterBan, end.max(left)),
                None => (DueKind::AfterEmergency, left.plus(AFTER_EMERGENCY)),
            }
        }
        CaseKind::Transfer => {
            let moves = case.answer_by.unwrap_or(case.at);
            (DueKind::BeforeTransfer, moves.minus(BEFORE_TRANSFER).max(case.at))
        }
    };
    Some(Due { case: case.name.clone(), subject: subject.subject, kind, by })
}

#[cfg(test)]
pub(crate) mod tests {
    use ingam_protocol::operator::Principal;
    use ingam_store::{CaseBasis, CaseClosed, CaseCounts, CaseNotice};
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn case(kind: CaseKind, at: Timestamp) -> Case {
        Case {
            name: "2026-11-a".to_owned(),
            kind,
            basis: CaseBasis::Warrant,
            law: None,
            requester: None,
            reason: "asked".to_owned(),
            by: Principal::User(1),
            at,
            answer_by: None,
            everybody: false,
            forbidden_until: None,
            objections: Vec::new(),
            disclosures: Vec::new(),
            holds: Vec::new(),
            counts: CaseCounts::default(),
            closed: None,
        }
    }

    fn subject(disclosed: Option<Timestamp>) -> CaseSubject {
        CaseSubject { disclosed, ..CaseSubject::new(Id::from_bytes([7; 16])) }
    }

    fn told(at: Timestamp) -> Option<CaseNotice> {
        let (by, how) = (Principal::User(1), Some("letter".to_owned()));
        Some(CaseNotice { at, by, how, reason: "told".to_owned(), delayed: false })
    }

    fn kinds() -> impl Strategy<Value = CaseKind> {
        proptest::sample::select(CaseKind::ALL)
    }

    fn times() -> impl Strategy<Value = Timestamp> {
        (1_700_000_000_u64..1_900_000_000).prop_map(Timestamp::from_unix_s)
    }

    proptest! {
        #[test]
        fn nothing_is_due_to_who_was_told(kind in kinds(), at in times(), left in proptest::option::of(times())) {
            let subject = CaseSubject { notice: told(at), ..subject(left) };
            prop_assert_eq!(due(&case(kind, at), &subject), None);
        }

        #[test]
        fn nothing_is_due_before_the_case_nor_before_the_end_of_a_ban(
            kind in kinds(), at in times(), answer_by in proptest::option::of(times()),
            days in proptest::option::of(1_u32..2000), left_after in proptest::option::of(0_u32..2000),
        ) {
            let forbidden_until = days.map(|days| at.plus(days * DAY));
            let case = Case { answer_by, forbidden_until, ..case(kind, at) };
            let found = due(&case, &subject(left_after.map(|days| at.plus(days * DAY))));
            if let Some(found) = found {
                prop_assert!(found.by >= at);
                let bans = matches!(kind, CaseKind::LegalDemand | CaseKind::Emergency);
                if let Some(end) = forbidden_until.filter(|_| bans) {
                    prop_assert!(found.by >= end);
                    prop_assert_eq!(found.kind, DueKind::AfterBan);
                }
            }
        }

        /// Whose data left on a demand, in an emergency or with the business is told of it, whatever became of the case.
        #[test]
        fn nobody_whose_data_left_untold_is_forgotten(
            kind in kinds(), at in times(), closed in any::<bool>(), answer_by in proptest::option::of(times()),
            ban in proptest::option::of(times()),
        ) {
            let end = CaseClosed { at, by: Principal::User(1), reason: "done".to_owned() };
            let closed = closed.then_some(end);
            let case = Case { closed, answer_by, forbidden_until: ban, ..case(kind, at) };
            let is_owed = due(&case, &subject(Some(at))).is_some();
            let owes = matches!(kind, CaseKind::LegalDemand | CaseKind::Emergency | CaseKind::Transfer);
            prop_assert_eq!(is_owed, owes);
        }

        #[test]
        fn a_later_answer_is_never_due_earlier(at in times(), first in times(), second in times()) {
            let by = |answer_by| {
                due(&Case { answer_by: Some(answer_by), ..case(CaseKind::LegalDemand, at) }, &subject(None)).unwrap().by
            };
            prop_assert_eq!(by(first.min(second)) <= by(first.max(second)), true);
            prop_assert!(by(first) <= first.max(at), "before the answer, if there is time");
        }
    }

    #[test]
    fn a_case_that_gave_nothing_owes_nothing_once_it_is_closed() {
        let at = Timestamp::from_unix_s(1_795_255_200);
        let closed = Some(CaseClosed { at, by: Principal::User(1), reason: "withdrawn".to_owned() });
        let open = case(CaseKind::LegalDemand, at);
        assert_eq!(due(&open, &subject(None)).unwrap().by, at.plus(WITHIN));
        assert_eq!(due(&Case { closed, ..open }, &subject(None)), None);
        assert_eq!(due(&case(CaseKind::Emergency, at), &subject(None)), None, "nothing left yet");
    }

    #[test]
    fn a_transfer_is_told_thirty_days_ahead_or_at_once() {
        let at = Timestamp::from_unix_s(1_795_255_200);
        let by = |days: u32| {
            let case = Case { answer_by: Some(at.plus(days * DAY)), ..case(CaseKind::Transfer, at) };
            due(&case, &subject(None)).unwrap().by
        };
        assert_eq!((by(60), by(10)), (at.plus(30 * DAY), at));
    }
}
