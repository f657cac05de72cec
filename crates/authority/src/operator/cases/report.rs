//! The transparency report: how many demands there were, and what came of them. Counts only, and none from which somebody
//! could be found.

use std::collections::BTreeMap;

use ingam_protocol::Timestamp;
use ingam_store::{Case, CaseKind, ObjectionOutcome};
use serde::Serialize;

use super::checks::bases;

/// A count, or that it is withheld because it is small, or because one that is could be worked out from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// So many.
    Count(u64),
    /// Not told.
    Withheld,
}

impl Cell {
    /// The number, if it is told.
    pub fn number(self) -> Option<u64> {
        match self {
            Self::Count(number) => Some(number),
            Self::Withheld => None,
        }
    }
}

/// What is counted of the cases of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindCounts {
    /// How many cases were opened.
    pub cases: u64,
    /// By basis; of one alone, if the kind has no other.
    pub by_basis: BTreeMap<&'static str, Cell>,
    /// By what came of them: `complied`, `nothing_given`; each case is in one of them.
    pub by_outcome: BTreeMap<&'static str, Cell>,
    /// By how many subjects they were about: each case is in one band.
    pub by_subjects: BTreeMap<&'static str, Cell>,
    /// Cases that were objected to, and in which that was upheld: not parts of a whole.
    pub objections: BTreeMap<&'static str, Cell>,
    /// Notices: `given`, of these `delayed` by a ban, and `futile`: not parts of a whole.
    pub notices: BTreeMap<&'static str, Cell>,
}

/// The counts of some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransparencyReport {
    /// From then on.
    pub from: Timestamp,
    /// Before this.
    pub until: Timestamp,
    /// The smallest count that is told.
    pub minimum: u64,
    /// By kind of case; all kinds are there.
    pub kinds: BTreeMap<&'static str, KindCounts>,
}

const BANDS: [(&str, u64); 5] =
    [("0", 0), ("1-9", 9), ("10-99", 99), ("100-999", 999), ("1000 or more", u64::MAX)];

/// The counts of these cases.
pub(super) fn report(cases: &[Case], from: Timestamp, until: Timestamp, minimum: u64) -> TransparencyReport {
    let kind = |kind: &CaseKind| {
        let of_kind: Vec<&Case> = cases.iter().filter(|case| case.kind == *kind).collect();
        (kind.name(), counts(*kind, &of_kind, minimum))
    };
    TransparencyReport { from, until, minimum, kinds: CaseKind::ALL.iter().map(kind).collect() }
}

fn counts(kind: CaseKind, cases: &[&Case], minimum: u64) -> KindCounts {
    let total = u64::try_from(cases.len()).unwrap_or(u64::MAX);
    let count = |holds: &dyn Fn(&Case) -> bool| {
        u64::try_from(cases.iter().filter(|case| holds(case)).count()).unwrap_or(u64::MAX)
    };
    let sum = |of: &dyn Fn(&Case) -> u64| cases.iter().map(|case| of(case)).fold(0, u64::saturating_add);
    let bases = bases(kind).iter().map(|basis| (basis.name(), count(&|case| case.basis == *basis)));
    let bases: BTreeMap<_, _> = bases.collect();
    let complied = count(&|case| !case.disclosures.is_empty());
    let outcomes = BTreeMap::from([("complied", complied), ("nothing_given", total - complied.min(total))]);
    let mut least = 0;
    let bands = BANDS.map(|(name, most)| {
        let within = least..=most;
        least = most.saturating_add(1);
        (name, count(&|case| within.contains(&case.counts.subjects.max(case.counts.disclosed))))
    });
    let upheld = |case: &Case| case.objections.iter().any(|one| one.outcome == ObjectionOutcome::Upheld);
    let objections = [("objected", count(&|case| !case.objections.is_empty())), ("upheld", count(&upheld))];
    let notices = [
        ("given", sum(&|case| case.counts.told)),
        ("delayed", sum(&|case| case.counts.delayed)),
        ("futile", sum(&|case| case.counts.futile)),
    ];
    KindCounts {
        cases: total,
        // One part is the whole, which is told.
        by_basis: if bases.len() > 1 { parts(bases, minimum) } else { apart(bases, 0) },
        by_outcome: parts(outcomes, minimum),
        by_subjects: parts(bands.into(), minimum),
        objections: apart(objections.into(), minimum),
        notices: apart(notices.into(), minimum),
    }
}

/// Parts of a whole that is told: a part that is small is withheld, and another with it, so that it cannot be worked out.
fn parts(numbers: BTreeMap<&'static str, u64>, minimum: u64) -> BTreeMap<&'static str, Cell> {
    let is_small = |number: u64| number > 0 && number < minimum;
    let mut withheld: Vec<&'static str> =
        numbers.iter().filter(|(_, number)| is_small(**number)).map(|(name, _)| *name).collect();
    if withheld.len() == 1 {
        let others = numbers.iter().filter(|(name, _)| !withheld.contains(*name));
        let companion = others.min_by_key(|(_, number)| (**number == 0, **number)).map(|(name, _)| *name);
        withheld.extend(companion);
    }
    let cell =
        |(name, number)| (name, if withheld.contains(&name) { Cell::Withheld } else { Cell::Count(number) });
    numbers.into_iter().map(cell).collect()
}

/// Counts that add up to nothing that is told.
fn apart(numbers: BTreeMap<&'static str, u64>, minimum: u64) -> BTreeMap<&'static str, Cell> {
    let cell = |number| if number > 0 && number < minimum { Cell::Withheld } else { Cell::Count(number) };
    numbers.into_iter().map(|(name, number)| (name, cell(number))).collect()
}

/// The last half of a year that is over: its first moment, and the first moment behind it.
pub fn half_year_before(now: Timestamp) -> (Timestamp, Timestamp) {
    let at = now.to_date_time();
    let (year, is_second) = (at.year(), u8::from(at.month()) > 6);
    let begin = |year: i32, month: u8| {
        Timestamp::from_rfc3339(&format!("{year:04}-{month:02}-01T00:00:00Z")).unwrap_or(now)
    };
    if is_second { (begin(year, 1), begin(year, 7)) } else { (begin(year - 1, 7), begin(year, 1)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::due::tests::case;
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_rfc3339(text).unwrap()
    }

    #[test]
    fn the_half_year_is_the_last_that_is_over() {
        let told = |now: &str| {
            let (from, until) = half_year_before(at(now));
            format!("{} {}", &from.to_string()[..10], &until.to_string()[..10])
        };
        assert_eq!(told("2026-11-29T10:00:00Z"), "2026-01-01 2026-07-01");
        assert_eq!(told("2026-07-01T00:00:00Z"), "2026-01-01 2026-07-01");
        assert_eq!(told("2026-06-30T23:59:59Z"), "2025-07-01 2026-01-01");
    }

    #[test]
    fn each_case_is_counted_in_its_kind() {
        let now = at("2026-03-01T00:00:00Z");
        let mut demand = case(CaseKind::LegalDemand, now);
        (demand.counts.subjects, demand.counts.told, demand.counts.delayed) = (12, 11, 11);
        let cases = vec![demand.clone(), demand, case(CaseKind::Fault, now)];
        let report = report(&cases, now, now.plus(std::time::Duration::from_secs(1)), 1);
        let demands = &report.kinds["legal_demand"];
        assert_eq!(demands.cases, 2);
        assert_eq!(demands.by_basis["warrant"], Cell::Count(2));
        assert_eq!(demands.by_basis["court_order"], Cell::Count(0));
        assert_eq!(demands.by_subjects["10-99"], Cell::Count(2));
        assert_eq!(demands.notices["delayed"], Cell::Count(22));
        assert_eq!((report.kinds["fault"].cases, report.kinds["transfer"].cases), (1, 0));
    }

    proptest! {
        /// With the whole and all that is told, no number that is withheld follows: there are always two at least, or
        /// nothing else that could be told apart.
        #[test]
        fn what_is_withheld_cannot_be_worked_out(numbers in proptest::collection::vec(0_u64..40, 2..6), minimum in 1_u64..15) {
            const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
            let all: BTreeMap<&'static str, u64> = NAMES.into_iter().zip(numbers.iter().copied()).collect();
            let told = parts(all.clone(), minimum);
            let withheld = told.values().filter(|cell| cell.number().is_none()).count();
            prop_assert!(withheld != 1);
            for (name, cell) in told {
                match cell {
                    Cell::Count(number) => prop_assert!(number == all[name] && (number == 0 || number >= minimum)),
                    Cell::Withheld => {}
                }
            }
        }
    }
}
