//! Points in time, and the two traits through which time and chance come in.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted (as in POSIX).
///
/// Ordered and cheap to copy. Serialized as the bare number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

/// The last second that RFC 3339 and GeneralizedTime can both write: 9999-12-31T23:59:59Z.
const LAST_UNIX_S: u64 = 253_402_300_799;

impl Timestamp {
    /// From whole seconds since the epoch; anything after the year 9999 becomes its last second.
    pub const fn from_unix_s(seconds: u64) -> Self {
        Self(if seconds < LAST_UNIX_S { seconds } else { LAST_UNIX_S } * 1000)
    }

    /// From milliseconds since the epoch; anything after the year 9999 becomes its last second.
    pub fn from_unix_ms(milliseconds: u64) -> Self {
        Self(milliseconds.min(LAST_UNIX_S * 1000))
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn unix_s(self) -> u64 {
        self.0 / 1000
    }

    /// Milliseconds since the epoch.
    pub fn unix_ms(self) -> u64 {
        self.0
    }

    /// The same moment, cut to the whole second: what certificates and OCSP answers can express.
    pub fn whole_second(self) -> Self {
        Self(self.0 / 1000 * 1000)
    }

    /// This moment and `duration` later, at most the end of the year 9999.
    pub fn plus(self, duration: Duration) -> Self {
        let added = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self::from_unix_ms(self.0.saturating_add(added))
    }

    /// This moment and `duration` earlier, at least the epoch.
    pub fn minus(self, duration: Duration) -> Self {
        let taken = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(taken))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// For the encoders of dates.
    pub fn to_date_time(self) -> OffsetDateTime {
        i64::try_from(self.unix_s())
            .ok()
            .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// As RFC 3339 writes it, in UTC and whole seconds: `2026-11-21T10:00:00Z`.
    pub fn to_rfc3339(self) -> String {
        self.to_date_time().format(&Rfc3339).unwrap_or_default()
    }

    /// Reads an RFC 3339 date and time; `None` for anything else, and for what lies before 1970.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        u64::try_from(parsed.unix_timestamp()).ok().map(Self::from_unix_s)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.to_rfc3339(), self.0 % 1000)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// The one source of time. `server` has the system's; tests have [`FixedClock`].
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The one source of unpredictable bytes. `server` has the system's; tests may have a seeded one.
pub trait Random: Send + Sync {
    /// Fills the whole buffer. A source that cannot is expected to abort rather than return weak bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// An array of `N` unpredictable bytes.
pub fn random_array<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// A clock that stands still until it is moved: for tests.
#[derive(Debug)]
pub struct FixedClock(std::sync::atomic::AtomicU64);

impl FixedClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(std::sync::atomic::AtomicU64::new(now.unix_ms()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.unix_ms(), std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

/// A predictable sequence that looks random (SplitMix64): for tests alone, so that a failing case can be repeated.
#[derive(Debug)]
pub struct SeededRandom(std::sync::Mutex<u64>);

impl SeededRandom {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self(std::sync::Mutex::new(seed))
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in buffer.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = *state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^= mixed >> 31;
            for (target, source) in chunk.iter_mut().zip(mixed.to_le_bytes()) {
                *target = source;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_is_read_as_it_is_written() {
        let moment = Timestamp::from_unix_s(1_795_255_200);
        assert_eq!(moment.to_rfc3339(), "2026-11-21T10:00:00Z");
        assert_eq!(Timestamp::from_rfc3339("2026-11-21T11:00:00+01:00"), Some(moment));
        assert_eq!(Timestamp::from_rfc3339("yesterday"), None);
    }

    #[test]
    fn arithmetic_stops_at_both_ends_of_time() {
        let end = Timestamp::from_unix_s(u64::MAX);
        assert_eq!(end.plus(Duration::from_secs(1)), end);
        assert_eq!(end.to_rfc3339(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp::default().minus(Duration::from_secs(1)), Timestamp::default());
        assert_eq!(Timestamp::default().since(end), Duration::ZERO);
    }
}
