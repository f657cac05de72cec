//! From the threads that answer to the one that writes: rings of records without a lock, one for each thread as far as
//! there are enough, so that threads do not wait for each other.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

use super::noted::Entry;

/// At most so many rings.
pub(super) const RINGS_MAX: usize = 16;
/// Over how long the rate is measured before the sample is changed.
const MEASURED_FOR: Duration = Duration::from_secs(1);
/// At least one of so many requests (two to the power of this) is in a sample.
const SHIFT_MAX: u32 = 20;

static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Which ring is this thread's, before it is known how many there are.
    static THREAD: usize = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
}

/// All rings.
pub(super) struct Queue {
    rings: Vec<Ring>,
    /// One of two to the power of this many requests is noted.
    shift: AtomicU32,
}

/// Two threads' counters on one cache line would make both slow.
#[repr(align(128))]
struct Ring {
    seen: AtomicU64,
    /// How many requests are not in the log because the ring was full.
    dropped: AtomicU64,
    entries: ArrayQueue<Entry>,
}

/// How many requests there were since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// All.
    pub(super) seen: u64,
    /// Those that stand for in records for which there was no room.
    pub(super) dropped: u64,
}

impl Queue {
    /// Rings that hold so many records together.
    pub(super) fn new(rings: usize, records: usize) -> Self {
        let rings = rings.clamp(1, RINGS_MAX);
        let each = (records / rings).max(1);
        let ring =
            || Ring { seen: AtomicU64::new(0), dropped: AtomicU64::new(0), entries: ArrayQueue::new(each) };
        Self { rings: std::iter::repeat_with(ring).take(rings).collect(), shift: AtomicU32::new(0) }
    }

    /// Counts a request and, if it is in the sample, puts in what `entry` makes of its weight. Waits for nobody.
    pub(super) fn offer(&self, entry: impl FnOnce(u32) -> Entry) {
        let place = THREAD.with(|thread| *thread) % self.rings.len().max(1);
        let Some(ring) = self.rings.get(place) else { return };
        let number = ring.seen.fetch_add(1, Ordering::Relaxed);
        let weight = 1_u32 << self.shift.load(Ordering::Relaxed).min(SHIFT_MAX);
        if number & u64::from(weight - 1) != 0 {
            return;
        }
        if ring.entries.push(entry(weight)).is_err() {
            ring.dropped.fetch_add(u64::from(weight), Ordering::Relaxed);
        }
    }

    /// Takes what is there, at most as much as fits: whoever goes on putting in does not keep this going.
    pub(super) fn drain(&self, mut take: impl FnMut(Entry)) {
        for ring in &self.rings {
            for _ in 0..ring.entries.capacity() {
                let Some(entry) = ring.entries.pop() else { break };
                take(entry);
            }
        }
    }

    /// How many requests there were.
    pub(super) fn totals(&self) -> Totals {
        let sum = |count: fn(&Ring) -> &AtomicU64| {
            self.rings.iter().map(|ring| count(ring).load(Ordering::Relaxed)).sum()
        };
        Totals { seen: sum(|ring| &ring.seen), dropped: sum(|ring| &ring.dropped) }
    }

    /// How many records wait, and how many can.
    pub(super) fn fill(&self) -> (usize, usize) {
        let sum =
            |count: fn(&ArrayQueue<Entry>) -> usize| self.rings.iter().map(|ring| count(&ring.entries)).sum();
        (sum(ArrayQueue::len), sum(ArrayQueue::capacity))
    }

    fn sample(&self, shift: u32) {
        self.shift.store(shift.min(SHIFT_MAX), Ordering::Relaxed);
    }
}

/// Chooses the sample by the rate of the last second.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    seen: u64,
    waited: Duration,
}

impl Sampler {
    /// So many more requests came in this time; at most `rate_max` a second are to be noted.
    pub(super) fn observe(&mut self, queue: &Queue, seen: u64, passed: Duration, rate_max: u64) {
        self.seen += seen;
        self.waited += passed;
        if self.waited < MEASURED_FOR {
            return;
        }
        let ms = u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = u64::try_from(u128::from(self.seen) * 1000 / u128::from(ms)).unwrap_or(u64::MAX);
        let fits = (0..SHIFT_MAX).find(|shift| rate >> shift <= rate_max);
        queue.sample(fits.unwrap_or(SHIFT_MAX));
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use ingam_protocol::Timestamp;

    use super::super::config::Mode;
    use super::super::noted::{Noted, Outcome};
    use super::*;

    fn offer(queue: &Queue) {
        let noted = Noted {
            address: IpAddr::from([192, 0, 2, 1]),
            user_agent: b"",
            issuer: None,
            serial: &[],
            outcome: Outcome::Good,
            at: Timestamp::from_unix_s(1),
        };
        queue.offer(|weight| Entry::new(&noted, Mode::Full, weight));
    }

    fn drained(queue: &Queue) -> (usize, u64) {
        let (mut records, mut requests) = (0, 0);
        queue.drain(|entry| {
            records += 1;
            requests += u64::from(entry.weight);
        });
        (records, requests)
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let queue = Queue::new(1, 10);
        (0..25).for_each(|_| offer(&queue));
        assert_eq!(queue.totals(), Totals { seen: 25, dropped: 15 });
        assert_eq!(queue.fill(), (10, 10));
        assert_eq!(drained(&queue), (10, 10));
        offer(&queue);
        assert_eq!(drained(&queue), (1, 1));
    }

    #[test]
    fn above_the_rate_there_is_a_sample_with_the_true_count() {
        let (queue, mut sampler) = (Queue::new(1, 10_000), Sampler::default());
        sampler.observe(&queue, 500, Duration::from_millis(500), 100);
        sampler.observe(&queue, 500, Duration::from_millis(500), 100);
        (0..1600).for_each(|_| offer(&queue));
        assert_eq!(drained(&queue), (100, 1600), "a thousand a second are sampled by sixteen");
        sampler.observe(&queue, 50, Duration::from_secs(1), 100);
        (0..16).for_each(|_| offer(&queue));
        assert_eq!(drained(&queue), (16, 16), "and all are noted again when it is quiet");
        assert_eq!(queue.totals(), Totals { seen: 1616, dropped: 0 });
    }
}
