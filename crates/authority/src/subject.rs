//! What is held about a subject, and what it may ask of that: a report, a correction, an erasure, an objection to mail.
//!
//! - `report`: everything that is held about an account, by sections that are read page by page.
//! - `law`: why something stays, in the words of the law.
//! - here: what a subject asks by a request that its account key signs. Operators ask for it in [`crate::operator`].

pub(crate) mod law;
mod report;

use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::Id;
use ingam_protocol::acme::{Account, ErrorType};
use ingam_protocol::record::{Record, RecordType};
use ingam_store::{Erased, Erasure, ErasureReason};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Authority;
use crate::error::{Error, Refusal};
use crate::evidence::{AccountEvidence, Caller};
use crate::operator::{ActError, Found};

pub use law::{Kept, Recipient, Rights};
pub use report::{Section, SubjectReport};

/// How often each subject is told what is held about it.
pub const TOLD_EVERY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// At most this many things are on a page for a subject.
const PAGE_MAX: usize = 200;

/// At most this many subjects have records looked for at once.
const LOOKING_MAX: usize = 2;

/// At most this many wait for that.
const WAITING_MAX: usize = 16;

/// What a subject wants to have erased. There is nothing else that could be.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ErasureWish {
    /// Its contact data.
    #[serde(default)]
    pub contact: bool,
    /// Whether the account ends with that.
    #[serde(default)]
    pub close: bool,
}

/// What came of an erasure.
#[derive(Clone, Debug, Serialize)]
pub struct ErasureDone {
    /// The account.
    pub account: Id,
    /// What is gone, in every copy.
    pub erased: &'static [&'static str],
    /// What stays, and why.
    pub kept: Vec<Kept>,
    /// Whether the account ended.
    pub closed: bool,
    /// What else the subject may do.
    pub rights: Rights,
}

/// What goes with a subject's key.
const ERASED: &[&str] = &[
    "contact addresses",
    "preferences on mail, and when you were last told what is held",
    "the parts of the log of requests that held contact addresses",
];

#[derive(Serialize)]
struct AskedEvidence {
    account: Id,
    /// `report`, a section of it, or `erasure`.
    asked: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<bool>,
    /// What came of it, where that is not what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
}

/// Whose turn it is to have records looked for: a page of them reads up to thousands of everybody's, whoever asks.
pub(crate) struct ReportTurns {
    turns: Arc<Semaphore>,
    /// Of those that wait; one more is refused.
    places: Arc<Semaphore>,
}

impl ReportTurns {
    pub(crate) fn new() -> Self {
        let places = Arc::new(Semaphore::new(WAITING_MAX));
        Self { turns: Arc::new(Semaphore::new(LOOKING_MAX)), places }
    }

    /// A place among those who wait.
    fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            let refusal = Refusal::new(
                ErrorType::RateLimited,
                "too many wait for the records of their reports: try again soon",
            );
            Refusal { retry_after: Some(Duration::from_secs(5)), ..refusal }.into()
        })
    }

    /// The turn of somebody who has a place, which is free for another then.
    async fn turn(&self, place: OwnedSemaphorePermit) -> Result<OwnedSemaphorePermit, Error> {
        let turn = self.turns.clone().acquire_owned().await;
        drop(place);
        turn.map_err(|_| ingam_store::Error::Unavailable("the process is about to end").into())
    }
}

impl ErasureDone {
    pub(crate) fn of(account: &Account) -> Self {
        Self {
            account: account.id,
            erased: ERASED,
            kept: law::kept(),
            closed: account.deactivated.is_some(),
            rights: law::rights(),
        }
    }
}

impl Authority {
    /// The report on the account that asks for it, within its limit. The request is on record before the answer.
    ///
    /// # Errors
    /// Refusals: `rateLimited`. [`Error::Fault`] if the store fails.
    pub async fn subject_report_own(
        &self,
        account: &Account,
        caller: &Caller,
    ) -> Result<SubjectReport, Error> {
        self.subject_asks(account.id, "report", caller).await?;
        self.subject_report(account)
    }

    /// A page of a section of that report; `None` if none begins there.
    ///
    /// # Errors
    /// As [`Authority::subject_report_own`], and `rateLimited` if too many wait for their records to be looked for: that does
    /// not count in the limit.
    pub async fn subject_section_own(
        &self,
        account: &Account,
        section: Section,
        after: Option<Vec<u8>>,
        caller: &Caller,
    ) -> Result<Option<Found<Value>>, Error> {
        let place = match section {
            Section::Records => Some(self.report_turns.place()?),
            Section::Orders | Section::Certificates => None,
        };
        self.subject_asks(account.id, section.name(), caller).await?;
        let turn = match place {
            Some(place) => Some(self.report_turns.turn(place).await?),
            None => None,
        };
        let found = self.subject_section(account.id, section, after, PAGE_MAX, turn).await;
        found.map_err(Error::from)
    }

    async fn subject_asks(&self, account: Id, asked: &'static str, caller: &Caller) -> Result<(), Error> {
        let evidence = AskedEvidence { account, asked, close: None, outcome: None };
        let record = self.record(RecordType::SubjectAsked, Some(account), Some(caller), &evidence)?;
        let demands = self.policy().rate_limits.of_privacy(account);
        let spent = self.store.limits_spend(demands, self.clock.now(), vec![record]).await?;
        spent.map(drop).map_err(|limited| self.limited(limited))
    }

    /// Erases the contact data of the account that asks for it: when this is back, nothing opens them any more, in no
    /// copy.
    ///
    /// # Errors
    /// Refusals: `malformed` if nothing is named that could be erased, `unauthorized` if a duty to keep them is in force,
    /// `rateLimited`. [`Error::Fault`] if it could not be done: it is then done later if the wish came on record.
    pub async fn subject_erase_own(
        &self,
        account: &Account,
        wish: ErasureWish,
        caller: &Caller,
    ) -> Result<ErasureDone, Error> {
        let demands = self.policy().rate_limits.of_privacy(account.id);
        let now = self.clock.now();
        if let Err(limited) = self.store.limits_spend(demands, now, Vec::new()).await? {
            return Err(self.limited(limited));
        }
        if !wish.contact {
            return Err(Error::refusal(ErrorType::Malformed, law::NOTHING_ELSE));
        }
        let evidence = |outcome| AskedEvidence {
            account: account.id,
            asked: "erasure",
            close: Some(wish.close),
            outcome,
        };
        let record = |outcome| {
            self.record(RecordType::SubjectAsked, Some(account.id), Some(caller), &evidence(outcome))
        };
        let asked = record(None)?;
        let close = wish.close.then(|| self.account_ended(account.id, Some(caller))).transpose()?;
        let erasure = Erasure {
            subject: account.id,
            close: close.map(Box::new),
            // As the record says it, so that the row can be made anew from the record.
            at: asked.time,
            why: ErasureReason::SubjectAsked,
            records: vec![asked],
        };
        match self.store.subject_erase(erasure).await? {
            Erased::Yes(account) => Ok(ErasureDone::of(&account)),
            Erased::Held(_) => {
                // Which hold that is, and whether there is one, the subject must not learn from the difference.
                self.store.statuses().records_append(vec![record(Some("refused"))?]).await?;
                Err(Error::refusal(ErrorType::Unauthorized, law::HELD))
            }
            Erased::Missing => {
                Err(Error::refusal(ErrorType::AccountDoesNotExist, "there is no such account"))
            }
        }
    }

    /// The record of an account that ends with an erasure.
    pub(crate) fn account_ended(&self, id: Id, caller: Option<&Caller>) -> Result<Record, Error> {
        self.record(RecordType::AccountDeactivated, Some(id), caller, &AccountEvidence::about(id))
    }

    /// Destroys the keys of contact data that were withdrawn or whose account ended.
    ///
    /// # Errors
    /// [`Error::Fault`] if the store fails; the next sweep does what is left.
    pub async fn erasures_sweep(&self) -> Result<usize, Error> {
        Ok(self.store.erasures_sweep(self.clock.now()).await?)
    }
}

/// What operators' acts say is a refusal or a fault here.
impl From<ActError> for Error {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Fault(fault) => Self::Fault(fault),
            ActError::NotFound(detail) | ActError::Conflict(detail) | ActError::Invalid(detail) => {
                Self::refusal(ErrorType::Malformed, detail)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_look_some_wait_and_one_more_is_told_when_to_come_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let turns = ReportTurns::new();
            let mut looking = Vec::new();
            for _ in 0..LOOKING_MAX {
                looking.push(turns.turn(turns.place().unwrap()).await.unwrap());
            }
            let mut waiting: Vec<_> = (0..WAITING_MAX).map(|_| turns.place().unwrap()).collect();
            let Err(Error::Refusal(refused)) = turns.place() else { panic!("there is no end") };
            assert_eq!(refused.error, ErrorType::RateLimited);
            assert!(refused.retry_after.is_some());
            // Whoever has looked makes room for one that waits, and that one for another.
            looking.pop();
            looking.push(turns.turn(waiting.pop().unwrap()).await.unwrap());
            assert!(turns.place().is_ok());
        });
    }
}
