//! The names of the last records, so that one that comes twice is kept once.

use std::collections::{HashSet, VecDeque};

use ingam_protocol::id::Id;

/// A memory of at most so many names; the oldest goes first.
#[derive(Debug)]
pub(crate) struct Recent {
    capacity: usize,
    order: VecDeque<Id>,
    known: HashSet<Id>,
}

impl Recent {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, order: VecDeque::new(), known: HashSet::new() }
    }

    pub(crate) fn contains(&self, id: &Id) -> bool {
        self.known.contains(id)
    }

    /// How many more names fit before the oldest goes.
    pub(crate) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.order.len())
    }

    /// Remembers the name; false if it was known.
    pub(crate) fn insert(&mut self, id: Id) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Puts names in front that are older than all that are here, in their order, as far as there is room.
    pub(crate) fn insert_older(&mut self, ids: &[Id]) {
        for id in ids.iter().rev() {
            if self.room() == 0 {
                return;
            }
            if self.known.insert(*id) {
                self.order.push_front(*id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        Id::from_bytes([number; 16])
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut recent = Recent::new(3);
        for number in [3, 4] {
            assert!(recent.insert(id(number)));
        }
        assert!(!recent.insert(id(3)));
        recent.insert_older(&[id(1), id(2), id(3)]);
        assert!(recent.contains(&id(2)) && !recent.contains(&id(1)), "the newest of the older ones fits");
        assert!(recent.insert(id(5)));
        assert!(!recent.contains(&id(2)) && recent.contains(&id(3)));
    }
}
