//! Disagreements that were seen and are not over.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use ingam_protocol::Timestamp;

use crate::monitor::compare::{Found, Kind};
use crate::monitor::config::Budgets;
use crate::monitor::sources::Certificate;

/// At most so many are kept in mind: long before that, everybody knows.
const OPEN_MAX: usize = 10_000;

impl Budgets {
    /// How long one of this kind may last.
    pub(super) fn of(&self, kind: Kind) -> Duration {
        match kind {
            Kind::OcspStatus => self.ocsp,
            Kind::CrlEntry => self.crl,
            Kind::RenewalWindow => self.renewal,
            Kind::OcspAnswer | Kind::CrlList => self.silence,
        }
    }
}

/// One of them.
#[derive(Debug)]
struct Lasting {
    /// When it was seen first.
    since: Timestamp,
    /// Whether it outlived its budget, which is told once.
    is_overdue: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Open {
    budgets: Budgets,
    lasting: BTreeMap<(Certificate, Kind), Lasting>,
    /// The last one that was given out to be looked at again.
    turn: Option<Certificate>,
}

/// Those that outlived their budgets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overdue {
    /// How many of each kind.
    pub(crate) kinds: BTreeMap<Kind, usize>,
    /// Since when the oldest is known.
    pub(crate) oldest: Option<Timestamp>,
}

impl Open {
    pub(super) fn new(budgets: Budgets) -> Self {
        Self { budgets, lasting: BTreeMap::new(), turn: None }
    }

    /// Notes all that was found on a certificate just now, and that what was not found is over. Gives those that have
    /// outlived their budgets and were not told yet.
    pub(super) fn note(
        &mut self,
        certificate: &Certificate,
        found: Vec<Found>,
        now: Timestamp,
    ) -> Vec<Found> {
        for kind in Kind::ALL {
            if found.iter().all(|found| found.kind != kind) {
                self.lasting.remove(&(certificate.clone(), kind));
            }
        }
        let mut told = Vec::new();
        for found in found {
            let is_full = self.lasting.len() >= OPEN_MAX;
            let lasting = match self.lasting.entry((certificate.clone(), found.kind)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(_) if is_full => continue,
                Entry::Vacant(place) => place.insert(Lasting { since: now, is_overdue: false }),
            };
            if !lasting.is_overdue && now.since(lasting.since) >= self.budgets.of(found.kind) {
                lasting.is_overdue = true;
                told.push(found);
            }
        }
        told
    }

    /// Certificates with open disagreements, at most so many; at the next call, others.
    pub(super) fn again(&mut self, limit: usize) -> BTreeSet<Certificate> {
        let mut again = BTreeSet::new();
        let behind = self.turn.take().and_then(|last| Some((last, *Kind::ALL.last()?)));
        let from = behind.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.lasting.range((from, Bound::Unbounded)).map(|((certificate, _), _)| certificate);
        for certificate in rest.chain(self.lasting.keys().map(|(certificate, _)| certificate)) {
            if again.len() >= limit {
                break;
            }
            if again.insert(certificate.clone()) {
                self.turn = Some(certificate.clone());
            }
        }
        again
    }

    /// Those that outlived their budgets.
    pub(super) fn overdue(&self) -> Overdue {
        let mut overdue = Overdue::default();
        for ((_, kind), lasting) in self.lasting.iter().filter(|(_, lasting)| lasting.is_overdue) {
            *overdue.kinds.entry(*kind).or_default() += 1;
            overdue.oldest = Some(overdue.oldest.map_or(lasting.since, |oldest| oldest.min(lasting.since)));
        }
        overdue
    }

    /// When the next of them outlives its budget.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let young = self.lasting.iter().filter(|(_, lasting)| !lasting.is_overdue);
        young.map(|((_, kind), lasting)| lasting.since.plus(self.budgets.of(*kind))).min()
    }
}
