//! What the ledger knows, in memory: what became of each signature of the last days.

use std::collections::{BTreeMap, HashMap};

use ingam_journal::files::File;

use super::frame::{Act, Damage, FRAME_BYTES, Frame};
use super::{FILE_BYTES_MAX, FRAME_BYTES_U64, damaged, unreadable};
use crate::Error;

/// For how many days a file is kept beside today's. Bytes are prepared with a notBefore of at most two days ahead, and
/// signed at most two days after it.
pub(super) const DAYS_KEPT: u64 = 5;

/// So many frames of a day may be there for something to be prepared still: the rest is for what was prepared to be used.
pub(super) const FRAMES_TO_PREPARE: u64 = FILE_BYTES_MAX / FRAME_BYTES_U64 / 4 * 3;

/// So much of a file is read at once: whole frames.
const READ_BYTES: usize = 1 << 20;

/// What is known of one of a serial number's two signatures.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// The first half of the SHA-256 of the bytes.
    pub(super) digest: [u8; 16],
    pub(super) used: bool,
}

/// Entries by the day whose file has them; each key is in one, after a start perhaps in several.
#[derive(Default)]
pub(super) struct Index {
    pub(super) days: BTreeMap<u64, Day>,
}

#[derive(Default)]
pub(super) struct Day {
    entries: HashMap<[u8; 16], Entry>,
    /// How many frames its file has, or is about to have.
    pub(super) frames: u64,
}

impl Index {
    pub(super) fn entry(&self, key: &[u8; 16]) -> Option<Entry> {
        let mut all = self.days.values().rev().filter_map(|day| day.entries.get(key));
        // A use counts on whichever day: clocks can be set back. Else the latest day knows best.
        let latest = all.next()?;
        Some(all.find(|entry| entry.used && !latest.used).copied().unwrap_or(*latest))
    }

    pub(super) fn was_used(&self, frame: &Frame) -> bool {
        self.entry(&frame.key()).is_some_and(|entry| entry.used && entry.digest == frame.digest_half())
    }

    /// Whether a day's file has room for nothing but the use of what was prepared.
    pub(super) fn is_full(&self, day: u64) -> bool {
        self.days.get(&day).is_some_and(|day| day.frames >= FRAMES_TO_PREPARE)
    }

    pub(super) fn put(&mut self, day: u64, key: [u8; 16], entry: Entry) {
        for (_, other) in self.days.iter_mut().filter(|(number, _)| **number != day) {
            other.entries.remove(&key);
        }
        let own = self.days.entry(day).or_default();
        own.entries.insert(key, entry);
        own.frames += 1;
        let days: Vec<u64> = self.days.keys().copied().collect();
        too_old(&days, day).iter().for_each(|old| drop(self.days.remove(old)));
    }

    /// Takes in a day's file, makes good what the end of an earlier process left in it, and gives how many frames it has.
    pub(super) fn read(&mut self, day: u64, file: &dyn File, name: &str) -> Result<u64, Error> {
        let length = file.length().map_err(unreadable)?.min(FILE_BYTES_MAX);
        let (mut place, mut end, mut synced) = (0_u64, 0_u64, 0_u64);
        // Places without a frame: behind the last one they are where writing goes on.
        let mut gaps = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        while place * FRAME_BYTES_U64 < length {
            let room =
                usize::try_from(length - place * FRAME_BYTES_U64).unwrap_or(READ_BYTES).min(READ_BYTES);
            let chunk = buffer.get_mut(..room).unwrap_or_default();
            file.read_at(place * FRAME_BYTES_U64, chunk).map_err(unreadable)?;
            for bytes in chunk.chunks(FRAME_BYTES) {
                match Frame::read(bytes) {
                    Ok(Some(frame)) => {
                        synced = synced.max(frame.synced);
                        end = place + 1;
                        self.take(day, &frame);
                    }
                    Ok(None) => gaps.push(place),
                    Err(Damage::Torn) => {
                        gaps.push(place);
                        end = place + 1;
                    }
                    Err(Damage::Newer) => {
                        return Err(damaged(name, "was written by a newer version of this program"));
                    }
                }
                place += 1;
            }
        }
        gaps.retain(|gap| *gap < end);
        // What was not synced may be missing or torn, in any way. What was must be there.
        if gaps.iter().any(|gap| *gap < synced) {
            return Err(damaged(name, "has lost what had been made durable"));
        }
        for gap in &gaps {
            file.write_at(gap * FRAME_BYTES_U64, &Frame::void()).map_err(unreadable)?;
        }
        if end > 0 {
            file.sync().map_err(unreadable)?;
        }
        Ok(end)
    }

    pub(super) fn take(&mut self, day: u64, frame: &Frame) {
        let own = self.days.entry(day).or_default();
        own.frames += 1;
        if frame.act == Act::Void {
            return;
        }
        let entry = Entry { digest: frame.digest_half(), used: frame.act == Act::Used };
        let known = own.entries.entry(frame.key()).or_insert(entry);
        if !known.used {
            *known = entry;
        }
    }
}

/// Which of these days, in their order, need not be kept while this one is written.
pub(super) fn too_old(days: &[u64], day: u64) -> &[u64] {
    let kept = usize::try_from(DAYS_KEPT + 1).unwrap_or(usize::MAX);
    let candidates = days.get(..days.len().saturating_sub(kept)).unwrap_or_default();
    let end = candidates.partition_point(|old| old + DAYS_KEPT < day);
    candidates.get(..end).unwrap_or_default()
}
