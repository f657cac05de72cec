//! What was sent, so that nobody is told the same twice, or too much.

use std::collections::HashMap;
use std::time::Duration;

use ingam_protocol::Timestamp;
use ingam_protocol::limit::{Bucket, Limit};

use super::Destination;

/// The same refusal is told to the same destination once in this time.
const AGAIN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// So many reports go to one domain in a day, so many of them at once.
const PER_DOMAIN: (u32, Duration, u32) = (24, AGAIN_AFTER, 5);

/// So many reports go out in an hour, so many of them at once.
const IN_ALL: (u32, Duration, u32) = (600, Duration::from_secs(60 * 60), 60);

/// So many refusals and domains are remembered; when all are fresh, nothing is sent until some are old.
const REMEMBERED_MAX: usize = 10_000;

/// Memory of one process.
#[derive(Default)]
pub(super) struct Sent {
    /// When a refusal was told, by identifier and destination.
    told: HashMap<(String, String), Timestamp>,
    domains: HashMap<String, Bucket>,
    in_all: Bucket,
}

impl Sent {
    /// Whether a report on `identifier` may go to `destination` at `now`; if so, it counts as sent.
    pub(super) fn admit(&mut self, identifier: &str, destination: &Destination, now: Timestamp) -> bool {
        self.forget(now);
        let (Some(per_domain), Some(in_all)) = (limit(PER_DOMAIN), limit(IN_ALL)) else { return false };
        let key = (identifier.to_owned(), destination.to_string());
        let domain = destination.domain();
        let is_full = self.told.len() >= REMEMBERED_MAX || self.domains.len() >= REMEMBERED_MAX;
        let was_told = self.told.get(&key).is_some_and(|at| now < at.plus(AGAIN_AFTER));
        if is_full || was_told {
            return false;
        }
        let bucket = self.domains.get(&domain).copied().unwrap_or_default();
        let (Ok(of_domain), Ok(of_all)) = (per_domain.spend(bucket, now), in_all.spend(self.in_all, now))
        else {
            return false;
        };
        self.in_all = of_all;
        self.domains.insert(domain, of_domain);
        self.told.insert(key, now);
        true
    }

    /// Forgets what holds nothing back any more, where there is no room left.
    fn forget(&mut self, now: Timestamp) {
        if self.told.len() >= REMEMBERED_MAX {
            self.told.retain(|_, at| now < at.plus(AGAIN_AFTER));
        }
        if self.domains.len() >= REMEMBERED_MAX {
            self.domains.retain(|_, bucket| !bucket.is_full(now));
        }
    }
}

fn limit((count, period, burst): (u32, Duration, u32)) -> Option<Limit> {
    Limit::new(count, period, burst).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(value: &str) -> Destination {
        Destination::parse(value.as_bytes()).unwrap()
    }

    #[test]
    fn nobody_is_told_the_same_twice_in_a_day() {
        let (mut sent, now) = (Sent::default(), Timestamp::from_unix_s(1_795_255_200));
        let (mail, web) = (destination("mailto:a@example.com"), destination("https://example.org/"));
        assert!(sent.admit("a.example.com", &mail, now));
        assert!(!sent.admit("a.example.com", &mail, now));
        assert!(sent.admit("a.example.com", &web, now));
        assert!(sent.admit("*.a.example.com", &mail, now));
        assert!(!sent.admit("a.example.com", &mail, now.plus(AGAIN_AFTER - Duration::from_secs(1))));
        assert!(sent.admit("a.example.com", &mail, now.plus(AGAIN_AFTER)));
    }

    #[test]
    fn strangers_cannot_aim_much_at_one_domain() {
        let (mut sent, start) = (Sent::default(), Timestamp::from_unix_s(1_795_255_200));
        let mut admitted = 0;
        for number in 0..1440 {
            let victim = destination(&format!("mailto:user{number}@victim.example"));
            let now = start.plus(Duration::from_secs(60 * number));
            admitted += u32::from(sent.admit(&format!("n{number}.attacker.example"), &victim, now));
        }
        // What may come at once, and then one an hour.
        assert_eq!(admitted, 5 + 23);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut sent, mut now) = (Sent::default(), Timestamp::from_unix_s(1_795_255_200));
        for number in 0..20_000_u64 {
            now = now.plus(Duration::from_secs(6));
            sent.admit("a.example", &destination(&format!("https://n{number}.example/")), now);
        }
        assert!(sent.told.len() <= REMEMBERED_MAX && sent.domains.len() <= REMEMBERED_MAX);
        // More than a day after the first of them there is room again.
        assert!(sent.admit("b.example", &destination("https://late.example/"), now.plus(AGAIN_AFTER)));
    }
}
