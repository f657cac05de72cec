//! A guard in front of everything that costs work: how many requests one address may send to this process.
//!
//! What it counts is in memory alone, and gone with the process. Limits that have to hold are in the store.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use ingam_protocol::Timestamp;
use ingam_protocol::limit::{Limit, LimitSubject};
use ingam_protocol::time::Clock;

/// At most this many addresses are remembered. While more than that are at work, newcomers pass: a guard against one
/// address is of no use against as many, and must not take the memory that they ask for.
const ADDRESSES_MAX: usize = 100_000;

/// How often those that were not heard of are forgotten, at most.
const SWEEP_PERIOD: Duration = Duration::from_secs(10);

type Limiter = RateLimiter<LimitSubject, HashMapStateStore<LimitSubject>, Ticking, NoOpMiddleware<Duration>>;

/// The process's clock, as the library asks for it.
struct Ticking(Arc<dyn Clock>);

impl GovernorClock for Ticking {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now().unix_ms())
    }
}

pub(crate) struct Guard {
    clock: Arc<dyn Clock>,
    counting: Mutex<Option<Counting>>,
}

/// What is counted by a limit; another limit begins anew.
struct Counting {
    limit: Limit,
    limiter: Limiter,
    swept: Timestamp,
}

impl Counting {
    fn new(limit: Limit, clock: &Arc<dyn Clock>) -> Option<Self> {
        let quota = Quota::with_period(limit.interval())?.allow_burst(NonZeroU32::new(limit.burst())?);
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), Ticking(clock.clone()));
        Some(Self { limit, limiter, swept: clock.now() })
    }

    fn is_full(&mut self, now: Timestamp) -> bool {
        if now.since(self.swept) >= SWEEP_PERIOD {
            self.swept = now;
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.len() >= ADDRESSES_MAX
    }
}

impl Guard {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, counting: Mutex::new(None) }
    }

    /// Counts a request from this address.
    ///
    /// # Errors
    /// Whose bucket is empty, and when one more request can be had.
    pub(crate) fn admit(&self, limit: Limit, address: IpAddr) -> Result<(), (LimitSubject, Timestamp)> {
        let now = self.clock.now();
        let mut counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        if counting.as_ref().is_none_or(|counting| counting.limit != limit) {
            *counting = Counting::new(limit, &self.clock);
        }
        let Some(counting) = counting.as_mut() else { return Ok(()) };
        if counting.is_full(now) {
            return Ok(());
        }
        let subject = LimitSubject::of_address(address);
        counting.limiter.check_key(&subject).map_err(|until| {
            let wait = until.wait_time_from(Duration::from_millis(now.unix_ms()));
            (subject, now.plus(wait.max(Duration::from_millis(1))))
        })
    }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::time::FixedClock;

    use super::*;

    const START: u64 = 1_795_255_200;

    fn guard() -> (Arc<FixedClock>, Guard, Limit) {
        let clock = Arc::new(FixedClock::new(Timestamp::from_unix_s(START)));
        let guard = Guard::new(clock.clone());
        (clock, guard, Limit::new(10, Duration::from_secs(10), 3).unwrap())
    }

    #[test]
    fn one_address_is_counted_and_another_is_not_hindered() {
        let (clock, guard, limit) = guard();
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        for _ in 0..3 {
            guard.admit(limit, one).unwrap();
        }
        let (subject, next_at) = guard.admit(limit, one).unwrap_err();
        assert_eq!((subject, next_at), (LimitSubject::of_address(one), Timestamp::from_unix_s(START + 1)));
        guard.admit(limit, other).unwrap();
        clock.advance(Duration::from_secs(1));
        guard.admit(limit, one).unwrap();
        assert!(guard.admit(limit, one).is_err());
        let wider = Limit::new(20, Duration::from_secs(10), 5).unwrap();
        guard.admit(wider, one).unwrap();
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let (clock, guard, limit) = guard();
        let address = |number: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(number));
        let number = u32::try_from(ADDRESSES_MAX).unwrap();
        for one in 0..number + 100 {
            guard.admit(limit, address(one)).unwrap();
        }
        let remembered = || guard.counting.lock().unwrap().as_ref().unwrap().limiter.len();
        assert_eq!(remembered(), ADDRESSES_MAX);
        clock.advance(SWEEP_PERIOD);
        guard.admit(limit, address(number)).unwrap();
        assert_eq!(remembered(), 1);
    }
}
