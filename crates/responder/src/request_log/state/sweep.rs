//! What has to go, goes: key, then file; and what holds need of it is copied before.

use ingam_protocol::{Id, Timestamp};
use tokio::time::Instant;

use super::super::counts::hour_of;
use super::super::error::Error;
use super::super::keys::{Contents, Destroyed, Ending, Kind, Slot, State as KeyState};
use super::{CLOCK_TOLERANCE, COPIED_BEFORE, EARLY, SEEN_EVERY, State, file_name};

impl State {
    /// Destroys what is to go by now, and gives holds what they need of it before. Every segment and hold is tried, whatever
    /// becomes of the others.
    pub(in super::super) fn sweep(&mut self, now: Timestamp) -> Result<(), Error> {
        let mut result = self.watch_clock(now);
        let mut note = |one: Result<(), Error>| {
            if result.is_ok() {
                result = one;
            }
        };
        for (place, slot) in self.live(Kind::Hold) {
            if slot.destroy_by <= now {
                note(self.destroy(place, Ending::Time, now));
            }
        }
        let is_over = |slot: &Slot| slot.destroy_by <= now;
        if self.current.as_ref().is_some_and(|current| current.hour != hour_of(now)) {
            note(self.close_segment());
        }
        for (place, slot) in self.live(Kind::Segment) {
            if slot.destroy_by <= now.plus(COPIED_BEFORE) && !self.is_written_to(place) {
                note(self.copy_to_holds(&slot));
            }
            if is_over(&slot) {
                note(self.destroy(place, Ending::Time, now));
            }
        }
        result
    }

    fn is_written_to(&self, place: usize) -> bool {
        self.current.as_ref().is_some_and(|current| current.place == place)
    }

    fn copy_to_holds(&mut self, slot: &Slot) -> Result<(), Error> {
        let wanting: Vec<Id> = self
            .holds
            .iter()
            .filter(|(_, open)| !open.copied.contains(&slot.id))
            .map(|(id, _)| *id)
            .collect();
        for id in wanting {
            self.check_room(0)?;
            let segment = self.sealed(slot)?;
            let Some(open) = self.holds.get_mut(&id) else { continue };
            let before = open.sealed.bytes();
            let copied = open.copy(slot.id, segment, self.random.as_ref());
            self.bytes = (self.bytes + open.sealed.bytes()).saturating_sub(before);
            copied?;
        }
        Ok(())
    }

    /// A clock that was put back would let everything stay longer: all of it goes so much earlier then.
    fn watch_clock(&mut self, now: Timestamp) -> Result<(), Error> {
        let (then, since) = self.mark;
        let behind = then.plus(since.elapsed()).since(now);
        if behind > CLOCK_TOLERANCE {
            self.keys.bring_forward(behind)?;
            self.keys.see(now)?;
        }
        self.mark = (now, Instant::now());
        if now.since(self.keys.seen()) >= SEEN_EVERY {
            self.keys.see(now)?;
        }
        Ok(())
    }

    /// Destroys a key, then its file. What is left of the key is its receipt's.
    pub(super) fn destroy(&mut self, place: usize, ending: Ending, now: Timestamp) -> Result<(), Error> {
        let Some(slot) = self.keys.slot(place).cloned() else { return Ok(()) };
        let contents = self.contents(place, &slot);
        if self.is_written_to(place) {
            self.current = None;
        }
        let bytes = self.files.open(&file_name(&slot)).and_then(|file| file.length()).unwrap_or(0);
        let receipt = Id::new(now, self.random.as_ref());
        let state = KeyState::Destroyed(Destroyed { receipt, at: now, ending, contents });
        let destroyed = self.keys.update(place, Slot { state, ..slot.clone() });
        // Even if the key could not be destroyed: one of both gone is better than none.
        let removed = self.remove_file(&slot);
        if removed.is_ok() {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        if destroyed.is_ok() {
            self.holds.remove(&slot.id);
        }
        destroyed.and(removed)
    }

    fn remove_file(&self, slot: &Slot) -> Result<(), Error> {
        let doing = "removing a file of the request log";
        match self.files.remove(&file_name(slot)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::File(doing, error)),
            _ => self.files.sync_directory().map_err(Error::file(doing)),
        }
    }

    /// How much is in a file; nothing, as far as it cannot be read.
    fn contents(&self, place: usize, slot: &Slot) -> Contents {
        if let Some(current) = self.current.as_ref().filter(|current| current.place == place) {
            return current.contents;
        }
        if let KeyState::Live(_, Some(contents)) = &slot.state {
            return *contents;
        }
        let mut contents = Contents::default();
        if let Ok(mut sealed) = self.sealed(slot) {
            while let Ok(Some(frame)) = sealed.next() {
                contents.add(frame.counts);
            }
        }
        contents
    }

    /// What was destroyed and is not on record yet. Files that could not be removed with their keys are tried again.
    pub(in super::super) fn destroyed(&self) -> Result<Vec<(Slot, Destroyed)>, Error> {
        let gone = self.keys.iter().filter_map(|(_, slot)| match &slot.state {
            KeyState::Destroyed(gone) => Some((slot.clone(), *gone)),
            KeyState::Live(..) => None,
        });
        gone.map(|(slot, gone)| self.remove_file(&slot).map(|()| (slot, gone))).collect()
    }

    /// Forgets what is on record now.
    pub(in super::super) fn recorded(&mut self, receipts: &[Id]) -> Result<(), Error> {
        let places: Vec<usize> = self
            .keys
            .iter()
            .filter(|(_, slot)| matches!(&slot.state, KeyState::Destroyed(gone) if receipts.contains(&gone.receipt)))
            .map(|(place, _)| place)
            .collect();
        places.into_iter().try_for_each(|place| self.keys.clear(place))
    }

    /// Whether something is there that should be gone.
    pub(in super::super) fn is_overdue(&self, now: Timestamp) -> bool {
        let is_late =
            |slot: &Slot| slot.destroy_by.plus(EARLY) < now && matches!(slot.state, KeyState::Live(..));
        self.keys.iter().any(|(_, slot)| is_late(slot))
    }
}
