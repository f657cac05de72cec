//! Which log is asked next, and when there are enough SCTs: no network and no time in here.

use std::collections::{BTreeSet, VecDeque};

use ingam_protocol::transparency::policy::Needed;
use ingam_protocol::transparency::{Sct, SctList};

use crate::list::Log;
use crate::{Error, Failure};

/// One certificate's way to its SCTs.
///
/// ```text
/// waiting --next--> underway --given--> given --chosen--> list
///                      └-----failed--> failed
/// ```
pub(crate) struct Race {
    needed: Needed,
    /// How many SCTs of one operator are of use: one more, and the others could not come from enough other operators.
    of_one_operator_max: usize,
    /// Logs that were not asked yet, in the order of chance.
    waiting: VecDeque<Log>,
    /// How many more of them may be asked.
    to_ask_max: usize,
    /// Operators of those that are being asked.
    underway: Vec<String>,
    given: Vec<(String, Sct)>,
    failed: Vec<(String, Failure)>,
}

impl Race {
    pub(crate) fn new(needed: Needed, candidates: VecDeque<Log>, logs_max: usize) -> Self {
        Self {
            needed,
            of_one_operator_max: (needed.scts + 1).saturating_sub(needed.operators).max(1),
            waiting: candidates,
            to_ask_max: logs_max,
            underway: Vec::new(),
            given: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// The log to ask now: of the operator of whom fewest were asked, and never one whose SCT would be of no use.
    pub(crate) fn next(&mut self) -> Option<Log> {
        self.to_ask_max.checked_sub(1)?;
        let given = |log: &Log| self.given.iter().filter(|(operator, _)| *operator == log.operator).count();
        let asked = |log: &Log| given(log) + self.underway.iter().filter(|one| **one == log.operator).count();
        let useful = self.waiting.iter().enumerate().filter(|(_, log)| given(log) < self.of_one_operator_max);
        let (place, _) = useful.min_by_key(|(_, log)| asked(log))?;
        let log = self.waiting.remove(place)?;
        self.to_ask_max -= 1;
        self.underway.push(log.operator.clone());
        Some(log)
    }

    /// Whether anybody is left who could be asked.
    pub(crate) fn has_next(&self) -> bool {
        !self.waiting.is_empty() && self.to_ask_max > 0
    }

    /// A log answered.
    pub(crate) fn answered(&mut self, log: Log, answer: Result<Sct, Failure>) {
        if let Some(place) = self.underway.iter().position(|operator| *operator == log.operator) {
            self.underway.swap_remove(place);
        }
        match answer {
            Ok(sct) => self.given.push((log.operator, sct)),
            Err(failure) => self.failed.push((log.description, failure)),
        }
    }

    /// The list, once there are enough; as short as it may be.
    pub(crate) fn chosen(&self) -> Option<Result<SctList, Error>> {
        let mut chosen: Vec<&(String, Sct)> = Vec::new();
        for one in &self.given {
            let of_operator = chosen.iter().filter(|(operator, _)| *operator == one.0).count();
            if chosen.len() < self.needed.scts && of_operator < self.of_one_operator_max {
                chosen.push(one);
            }
        }
        let is_enough = chosen.len() == self.needed.scts;
        let list = || SctList::new(chosen.into_iter().map(|(_, sct)| sct.clone()).collect());
        is_enough.then(|| list().map_err(Error::Submission))
    }

    /// What to say when no more will come.
    pub(crate) fn too_few(self) -> Error {
        let given = self.given.len();
        let operators: BTreeSet<String> = self.given.into_iter().map(|(operator, _)| operator).collect();
        Error::TooFew { needed: self.needed, given, operators: operators.len(), failed: self.failed }
    }
}
