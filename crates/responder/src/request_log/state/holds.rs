//! Holds: made, changed, closed and read.

use std::collections::BTreeSet;

use ingam_protocol::{Id, Timestamp};

use super::super::error::Error;
use super::super::hold::{Hold, HoldFiles, OpenHold};
use super::super::keys::{Ending, Kind, Slot};
use super::State;

impl State {
    /// Makes a hold.
    pub(in super::super) fn hold_make(&mut self, hold: Hold) -> Result<(), Error> {
        self.check_room(0)?;
        let (place, sealed) = self.make(Kind::Hold, hold.id, hold.opened, hold.ends)?;
        let mut open = OpenHold { hold: hold.clone(), sealed, copied: BTreeSet::new() };
        if let Err(error) = open.write(hold.clone(), self.random.as_ref()) {
            self.destroy(place, Ending::Useless, hold.opened)?;
            return Err(error);
        }
        self.holds.insert(hold.id, open);
        Ok(())
    }

    /// Writes down what a hold is now, and moves its end.
    pub(in super::super) fn hold_change(&mut self, hold: Hold) -> Result<(), Error> {
        let place = self.keys.find(Kind::Hold, hold.id).ok_or(Error::NoHold)?;
        let slot = self.keys.slot(place).cloned().ok_or(Error::NoHold)?;
        let open = self.holds.get_mut(&hold.id).ok_or(Error::NoHold)?;
        let ends = hold.ends;
        open.write(hold, self.random.as_ref())?;
        self.keys.update(place, Slot { destroy_by: ends, ..slot })
    }

    /// Destroys a hold.
    pub(in super::super) fn hold_close(&mut self, id: Id, now: Timestamp) -> Result<(), Error> {
        let place = self.keys.find(Kind::Hold, id).ok_or(Error::NoHold)?;
        self.destroy(place, Ending::Closed, now)
    }

    /// What a hold's requests are read from.
    pub(in super::super) fn hold_files(&self, id: Id) -> Result<HoldFiles, Error> {
        let place = self.keys.find(Kind::Hold, id).ok_or(Error::NoHold)?;
        let slot = self.keys.slot(place).ok_or(Error::NoHold)?;
        let open = self.holds.get(&id).ok_or(Error::NoHold)?;
        let segments = self.live(Kind::Segment);
        let uncopied = segments.iter().filter(|(_, slot)| !open.copied.contains(&slot.id));
        Ok(HoldFiles {
            selection: open.hold.selection.clone(),
            held: self.sealed(slot)?,
            segments: uncopied.map(|(_, slot)| self.sealed(slot)).collect::<Result<_, _>>()?,
        })
    }
}
