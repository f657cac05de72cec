//! What is in a file, and what of it a power cut leaves.

use ingam_protocol::time::{Random, random_array};

/// One file, whatever its name is now.
#[derive(Default)]
pub(super) struct Contents {
    /// What a read shows.
    pub(super) now: Vec<u8>,
    /// What outlives a power cut for certain, before `changes`.
    synced: Vec<u8>,
    changes: Vec<(Change, Fate)>,
}

pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLength(usize),
}

/// What a power cut does with a change.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Not synced yet: may go or stay.
    Pending,
    /// A sync failed over it: may go or stay, and no later sync makes it certain.
    Doubtful,
    /// Synced, but kept in the list behind something doubtful.
    Certain,
}

impl Contents {
    /// All of it outlives a power cut.
    pub(super) fn synced(bytes: Vec<u8>) -> Self {
        Self { now: bytes.clone(), synced: bytes, changes: Vec::new() }
    }

    pub(super) fn change(&mut self, change: Change) {
        apply(&mut self.now, &change, None);
        self.changes.push((change, Fate::Pending));
    }

    pub(super) fn sync(&mut self) {
        for (_, fate) in &mut self.changes {
            if *fate == Fate::Pending {
                *fate = Fate::Certain;
            }
        }
        // Nothing doubtful in front: what is certain need not be remembered change by change.
        let certain = self.changes.iter().take_while(|(_, fate)| *fate == Fate::Certain).count();
        for (change, _) in self.changes.drain(..certain) {
            apply(&mut self.synced, &change, None);
        }
    }

    /// A sync failed: what was not synced before is in doubt for ever.
    pub(super) fn doubt(&mut self) {
        for (_, fate) in &mut self.changes {
            if *fate == Fate::Pending {
                *fate = Fate::Doubtful;
            }
        }
    }

    /// Decides what is left after a power cut.
    pub(super) fn settle(&mut self, random: &dyn Random, survives: &dyn Fn(&dyn Random) -> bool) {
        for (change, fate) in self.changes.drain(..) {
            if fate == Fate::Certain || survives(random) {
                let torn = fate != Fate::Certain && random_array::<1>(random) < [64];
                let part = u64::from_le_bytes(random_array(random));
                apply(&mut self.synced, &change, torn.then_some(part));
            }
        }
        self.now = self.synced.clone();
    }
}

/// Does the change; with `torn`, a write only up to a place that the number picks.
fn apply(bytes: &mut Vec<u8>, change: &Change, torn: Option<u64>) {
    match change {
        Change::SetLength(length) => set_length(bytes, *length),
        Change::Write { offset, bytes: written } => {
            let length = u64::try_from(written.len()).unwrap_or(u64::MAX);
            let kept = torn.map_or(written.len(), |part| usize::try_from(part % (length + 1)).unwrap_or(0));
            let end = offset + kept;
            if bytes.len() < end {
                set_length(bytes, end);
            }
            if let (Some(target), Some(source)) = (bytes.get_mut(*offset..end), written.get(..kept)) {
                target.copy_from_slice(source);
            }
        }
    }
}

/// As `resize`, which takes long in builds that are not optimised.
fn set_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.truncate(length);
    bytes.extend_from_slice(&vec![0; length - bytes.len()]);
}
