//! The system's own clock and randomness: the only places that ask for them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ingam_protocol::Timestamp;
use ingam_protocol::time::{Clock, Random};
use ring::rand::{SecureRandom, SystemRandom};

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// How long the machine has run, sleep included: a clock that nobody sets, to hold the wall clock against.
pub(crate) fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default())
}

/// The system's source of unpredictable bytes.
pub(crate) struct SystemRandomness(SystemRandom);

impl SystemRandomness {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that makes the source of randomness")]
    pub(crate) fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Random for SystemRandomness {
    fn fill(&self, buffer: &mut [u8]) {
        if self.0.fill(buffer).is_err() {
            // Weak serial numbers and tokens are worse than no CA at all.
            tracing::error!(code = "no_randomness", "the system gives no randomness: ending at once");
            std::process::abort();
        }
    }
}
