//! What operators do with holds.

use std::sync::Arc;
use std::time::Duration;

use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::{Id, Timestamp};
use serde_json::json;

use super::RequestLog;
use super::error::Error;
use super::hold::{HOLDS_MAX, HeldRequests, Hold, Selection};

/// A hold ends so long after it was opened or renewed, at most.
pub const HOLD_LASTS_MAX: Duration = Duration::from_secs(92 * 24 * 60 * 60);

/// A hold to be opened.
#[derive(Clone, Debug)]
pub struct NewHold {
    /// What is held.
    pub selection: Selection,
    /// Who answers for it.
    pub owner: String,
    /// What it is for.
    pub reason: String,
    /// When it ends, unless it is renewed.
    pub ends: Timestamp,
}

impl RequestLog {
    /// The holds that are open, by their age. Waits for the disk if it is being written to.
    pub fn holds(&self) -> Vec<Hold> {
        let behind = self.lock();
        let holds = behind.state.iter().flat_map(|state| state.holds.values());
        holds.map(|open| open.hold.clone()).collect()
    }

    /// A hold that is open. Waits as [`RequestLog::holds`] does.
    ///
    /// # Errors
    /// [`Error::NoHold`].
    pub fn hold(&self, id: Id) -> Result<Hold, Error> {
        self.holds().into_iter().find(|hold| hold.id == id).ok_or(Error::NoHold)
    }

    /// Opens a hold, which is on record before anything is held, together with the record `also` of who wanted it.
    ///
    /// # Errors
    /// [`Error::Refused`] for one that makes no sense, or another if it could not be made.
    pub async fn hold_open(self: &Arc<Self>, new: NewHold, also: Vec<Record>) -> Result<Hold, Error> {
        new.selection.check()?;
        let now = self.clock.now();
        check_end(new.ends, now)?;
        if !self.has_folder {
            return Err(Error::Refused(
                "there is no request log to hold anything of: request_log.mode is \"off\"".to_owned(),
            ));
        }
        if self.blocking(|log| log.holds().len()).await? >= HOLDS_MAX {
            return Err(Error::Refused(format!("there are {HOLDS_MAX} holds: close some first")));
        }
        let hold = Hold {
            id: Id::new(now, self.random.as_ref()),
            selection: new.selection,
            owner: new.owner,
            reason: new.reason,
            opened: now,
            ends: new.ends,
            renewals: 0,
        };
        self.append(with(self.hold_record(&hold, "opened"), also)).await?;
        let made = hold.clone();
        self.blocking(move |log| log.lock().state.as_mut().ok_or(Error::NoHold)?.hold_make(made)).await??;
        Ok(hold)
    }

    /// Moves the end of a hold, with the reason why it is still needed; on record before it is done.
    ///
    /// # Errors
    /// As [`RequestLog::hold_open`], and [`Error::NoHold`].
    pub async fn hold_renew(
        self: &Arc<Self>,
        id: Id,
        ends: Timestamp,
        reason: String,
        also: Vec<Record>,
    ) -> Result<Hold, Error> {
        let known = self.blocking(move |log| log.hold(id)).await??;
        check_end(ends, self.clock.now())?;
        let renewed = Hold { ends, reason, renewals: known.renewals.saturating_add(1), ..known };
        self.append(with(self.hold_record(&renewed, "renewed"), also)).await?;
        let changed = renewed.clone();
        self.blocking(move |log| log.lock().state.as_mut().ok_or(Error::NoHold)?.hold_change(changed))
            .await??;
        Ok(renewed)
    }

    /// Closes a hold, which is on record before: its key and its file are destroyed, and a receipt of that is there, when
    /// this returns.
    ///
    /// # Errors
    /// [`Error::NoHold`], or another if it could not be destroyed or recorded; what is left is tried again.
    pub async fn hold_close(self: &Arc<Self>, id: Id, also: Vec<Record>) -> Result<(), Error> {
        let now = self.clock.now();
        let hold = self.blocking(move |log| log.hold(id)).await??;
        self.append(with(self.hold_record(&hold, "closed"), also)).await?;
        self.blocking(move |log| log.lock().state.as_mut().ok_or(Error::NoHold)?.hold_close(id, now))
            .await??;
        self.settle().await
    }

    /// What a hold has, in its own file and in segments that are still there: behind the first `after` requests, at most
    /// `limit`. To be put on record before it is given to anybody.
    ///
    /// # Errors
    /// [`Error::NoHold`], or another if it cannot be read.
    pub async fn hold_requests(
        self: &Arc<Self>,
        id: Id,
        after: u64,
        limit: usize,
    ) -> Result<HeldRequests, Error> {
        self.blocking(move |log| {
            let files = {
                let (now, mut behind) = (log.clock.now(), log.lock());
                // What waits belongs to it, too. If it cannot be written, what is there can still be read.
                let _ = log.flush(&mut behind, now, false);
                let state = behind.state.as_mut().ok_or(Error::NoHold)?;
                let _ = state.write_due(now, true);
                state.hold_files(id)?
            };
            files.read(after, limit)
        })
        .await?
    }

    /// What goes on record of a hold for years: never whom it is about.
    fn hold_record(&self, hold: &Hold, change: &str) -> Record {
        let Selection { serials, networks, from, until } = &hold.selection;
        let payload = json!({
            "hold": hold.id, "change": change, "owner": hold.owner, "reason": hold.reason, "opened": hold.opened,
            "ends": hold.ends, "renewals": hold.renewals, "serials": serials, "networks": networks.len(), "from": from,
            "until": until,
        });
        self.record(RecordType::RequestHoldChanged, &payload)
    }
}

fn with(record: Record, mut also: Vec<Record>) -> Vec<Record> {
    also.insert(0, record);
    also
}

fn check_end(ends: Timestamp, now: Timestamp) -> Result<(), Error> {
    let latest = now.plus(HOLD_LASTS_MAX);
    if ends <= now || ends > latest {
        return Err(Error::Refused(format!(
            "a hold ends after now, and by {latest} at the latest: it can be renewed when it is still needed then"
        )));
    }
    Ok(())
}
