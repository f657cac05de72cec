//! Rate limits: how much of something may be had in a time, counted by the generic cell rate algorithm.
//!
//! A limit lets `count` things through in `period`, evenly, and up to `burst` of them at once. What was spent is one
//! number, the theoretical arrival time: the moment at which the bucket is full again (ITU-T I.371, the virtual scheduling
//! algorithm). A bucket that is full needs not be remembered.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::Id;
use crate::identifier::DnsName;
use crate::time::Timestamp;

/// No limit has more in one period.
pub const COUNT_MAX: u32 = 1_000_000;

/// No period is longer: 90 days.
pub const PERIOD_MAX: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How much may be had in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Numbers", into = "Numbers")]
pub struct Limit {
    count: u32,
    period_s: u64,
    burst: u32,
}

/// A limit as it is written down.
#[derive(Serialize, Deserialize)]
struct Numbers {
    count: u32,
    period_s: u64,
    burst: u32,
}

/// Why three numbers are no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLimit(&'static str);

impl fmt::Display for NoLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NoLimit {}

impl TryFrom<Numbers> for Limit {
    type Error = NoLimit;

    fn try_from(Numbers { count, period_s, burst }: Numbers) -> Result<Self, NoLimit> {
        Self::new(count, Duration::from_secs(period_s), burst)
    }
}

impl From<Limit> for Numbers {
    fn from(Limit { count, period_s, burst }: Limit) -> Self {
        Self { count, period_s, burst }
    }
}

/// What was spent of a limit: when the bucket is full again, in microseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket(u64);

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// How many can be had at once, now.
    pub remaining: u32,
    /// From when on there is one: now, if there is.
    pub next_at: Timestamp,
}

impl Limit {
    /// `count` in `period`, of which `burst` at once.
    ///
    /// # Errors
    /// [`NoLimit`] if there are none, if the burst is more than the count, or if a number is beyond all use.
    pub fn new(count: u32, period: Duration, burst: u32) -> Result<Self, NoLimit> {
        if count == 0 || count > COUNT_MAX {
            return Err(NoLimit("a limit's count lies between 1 and 1000000"));
        }
        if burst == 0 || burst > count {
            return Err(NoLimit("a limit's burst lies between 1 and its count"));
        }
        if period < Duration::from_secs(1) || period > PERIOD_MAX {
            return Err(NoLimit("a limit's period lies between a second and 90 days"));
        }
        Ok(Self { count, period_s: period.as_secs(), burst })
    }

    /// How many are let through in a period.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The period.
    pub fn period(&self) -> Duration {
        Duration::from_secs(self.period_s)
    }

    /// How many are let through at once.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// After how long one that was spent is there again.
    pub fn interval(&self) -> Duration {
        Duration::from_micros(self.interval_us())
    }

    fn interval_us(&self) -> u64 {
        // Rounded up: never more than what was promised.
        (self.period_s * 1_000_000).div_ceil(u64::from(self.count))
    }

    fn capacity_us(&self) -> u64 {
        self.interval_us() * u64::from(self.burst)
    }

    /// When the bucket is full again, seen from `now`: not before that, and not later than an empty one would be,
    /// whatever limit or clock it was filled by.
    fn arrival_us(&self, bucket: Bucket, now: Timestamp) -> u64 {
        let now_us = microseconds(now);
        bucket.0.clamp(now_us, now_us + self.capacity_us())
    }

    /// Spends one.
    ///
    /// # Errors
    /// When there is one again, if there is none now.
    pub fn spend(&self, bucket: Bucket, now: Timestamp) -> Result<Bucket, Timestamp> {
        match self.look(bucket, now) {
            Left { remaining: 0, next_at } => Err(next_at),
            _ => Ok(self.take(bucket, now)),
        }
    }

    /// Spends one whether there is one or not; a bucket does not become emptier than empty.
    pub fn take(&self, bucket: Bucket, now: Timestamp) -> Bucket {
        let taken = self.arrival_us(bucket, now) + self.interval_us();
        Bucket(taken.min(microseconds(now) + self.capacity_us()))
    }

    /// Puts one back that was spent.
    pub fn refund(&self, bucket: Bucket) -> Bucket {
        Bucket(bucket.0.saturating_sub(self.interval_us()))
    }

    /// What is left, without spending any.
    pub fn look(&self, bucket: Bucket, now: Timestamp) -> Left {
        let (now_us, interval_us) = (microseconds(now), self.interval_us());
        let spent_us = self.arrival_us(bucket, now) - now_us;
        let remaining = (self.capacity_us() - spent_us) / interval_us;
        let wait_us = (spent_us + interval_us).saturating_sub(self.capacity_us());
        Left {
            remaining: u32::try_from(remaining).unwrap_or(self.burst),
            next_at: now.plus(Duration::from_millis(wait_us.div_ceil(1000))),
        }
    }
}

impl Bucket {
    /// Whether nothing would be lost if it was forgotten.
    pub fn is_full(self, now: Timestamp) -> bool {
        self.0 <= microseconds(now)
    }

    /// As bytes of a row.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// What [`Bucket::to_bytes`] wrote.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

fn microseconds(moment: Timestamp) -> u64 {
    moment.unix_ms() * 1000
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.count, span(self.period_s))?;
        match self.burst == self.count {
            true => Ok(()),
            false => write!(f, ", at most {} at once", self.burst),
        }
    }
}

/// A span of whole seconds in the largest unit that fits.
fn span(seconds: u64) -> String {
    let units = [("day", 24 * 60 * 60), ("hour", 60 * 60), ("minute", 60)];
    let fitting = units.into_iter().find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (name, unit) = fitting.unwrap_or(("second", 1));
    match seconds / unit {
        1 => format!("1 {name}"),
        number => format!("{number} {name}s"),
    }
}

macro_rules! limit_names {
    ($($(#[$doc:meta])* $name:ident = ($number:literal, $text:literal);)*) => {
        /// The limits that there are. The numbers and texts are in rows, metrics and configurations.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum LimitName {
            $($(#[$doc])* $name,)*
        }

        impl LimitName {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in configuration, refusals, metrics and at the admin API.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Its number in rows.
            pub const fn number(self) -> u8 {
                match self {
                    $(Self::$name => $number,)*
                }
            }
        }
    };
}

limit_names! {
    /// New accounts from one IPv4 address.
    NewAccountsPerAddress = (1, "new_accounts_per_address");
    /// New accounts from one IPv6 network of 48 bits.
    NewAccountsPerRange = (2, "new_accounts_per_range");
    /// New orders of one account, and authorizations that it makes ahead of one.
    NewOrdersPerAccount = (3, "new_orders_per_account");
    /// New orders of all accounts that are bound to one external account key.
    NewOrdersPerExternalAccountKey = (4, "new_orders_per_external_account_key");
    /// Certificates with a name below one registered domain, or with one address.
    CertificatesPerRegisteredDomain = (5, "certificates_per_registered_domain");
    /// Certificates for exactly the same names.
    CertificatesPerExactSet = (6, "certificates_per_exact_set");
    /// Failed checks of one name for one account.
    FailedValidations = (7, "failed_validations_per_account_and_name");
    /// Requests from one IPv4 address or one IPv6 network of 48 bits, counted by each process for itself.
    RequestsPerAddress = (8, "requests_per_address");
    /// Trials of validations by one account, which count for nothing.
    ValidationTrialsPerAccount = (9, "validation_trials_per_account");
    /// Questions of one account about what is held about it, page by page, and erasures.
    PrivacyRequestsPerAccount = (10, "privacy_requests_per_account");
}

impl LimitName {
    /// The limit of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|limit| limit.name() == name)
    }

    /// The limit with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|limit| limit.number() == number)
    }

    /// Whether operators can give an account a limit of its own in its place.
    pub fn yields_to_accounts(self) -> bool {
        !matches!(self, Self::NewAccountsPerAddress | Self::NewAccountsPerRange | Self::RequestsPerAddress)
    }

    /// Whether operators can give a registered domain a limit of its own in its place.
    pub fn yields_to_domains(self) -> bool {
        self == Self::CertificatesPerRegisteredDomain
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for LimitName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for LimitName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_name(&text).ok_or_else(|| serde::de::Error::custom("there is no limit of this name"))
    }
}

/// Who or what has a bucket of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LimitSubject {
    /// An IPv4 address.
    Address(Ipv4Addr),
    /// An IPv6 network of 48 bits, by its first address.
    Range(Ipv6Addr),
    /// An account.
    Account(Id),
    /// An external account key.
    ExternalKey(Id),
    /// A registered domain, or an address, as text.
    Domain(String),
    /// Exactly these names: a digest of them.
    ExactSet([u8; 32]),
    /// A name or an address, as text, with the account that wants it.
    AccountAndName(Id, String),
}

impl LimitSubject {
    /// An address by itself or, as its holder has many more, the network it is in.
    pub fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::Address(address),
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                Self::Range(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        }
    }

    /// Its bytes in a row's key. Of one kind, no two subjects have the same.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Address(address) => address.octets().to_vec(),
            Self::Range(network) => network.octets().to_vec(),
            Self::Account(id) | Self::ExternalKey(id) => id.as_bytes().to_vec(),
            Self::Domain(text) => text.as_bytes().to_vec(),
            Self::ExactSet(digest) => digest.to_vec(),
            Self::AccountAndName(id, name) => [id.as_bytes().as_slice(), name.as_bytes()].concat(),
        }
    }
}

impl fmt::Display for LimitSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "the address {address}"),
            Self::Range(network) => write!(f, "the network {network}/48"),
            Self::Account(id) => write!(f, "the account {id}"),
            Self::ExternalKey(key) => write!(f, "the external account key {key}"),
            Self::Domain(domain) => write!(f, "{domain}"),
            Self::ExactSet(_) => f.write_str("exactly these names"),
            Self::AccountAndName(id, name) => write!(f, "{name} with the account {id}"),
        }
    }
}

/// Who can be given a limit of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Favoured {
    /// An account.
    Account(Id),
    /// A registered domain.
    Domain(DnsName),
}

impl Favoured {
    /// Its bytes in a row's key.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Account(id) => [b"a".as_slice(), id.as_bytes()].concat(),
            Self::Domain(name) => [b"d".as_slice(), name.as_str().as_bytes()].concat(),
        }
    }
}

impl fmt::Display for Favoured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => write!(f, "the account {id}"),
            Self::Domain(name) => write!(f, "{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_s(1_795_255_200 + seconds)
    }

    fn limit(count: u32, period_s: u64, burst: u32) -> Limit {
        Limit::new(count, Duration::from_secs(period_s), burst).unwrap()
    }

    #[test]
    fn a_burst_goes_through_at_once_and_then_one_after_each_interval() {
        let limit = limit(6, 60, 3);
        let mut bucket = Bucket::default();
        for _ in 0..3 {
            bucket = limit.spend(bucket, at(0)).unwrap();
        }
        assert_eq!(limit.spend(bucket, at(0)), Err(at(10)));
        assert_eq!(limit.spend(bucket, at(9)), Err(at(10)));
        bucket = limit.spend(bucket, at(10)).unwrap();
        assert_eq!(limit.spend(bucket, at(10)), Err(at(20)));
        assert_eq!(limit.look(bucket, at(35)), Left { remaining: 2, next_at: at(35) });
        assert!(!bucket.is_full(at(39)));
        assert!(bucket.is_full(at(40)));
    }

    #[test]
    fn what_was_put_back_can_be_spent_again() {
        let limit = limit(2, 100, 2);
        let once = limit.spend(Bucket::default(), at(0)).unwrap();
        let twice = limit.spend(once, at(0)).unwrap();
        assert_eq!(limit.refund(twice), once);
        assert_eq!(limit.look(limit.refund(limit.refund(limit.refund(twice))), at(0)).remaining, 2);
    }

    #[test]
    fn a_bucket_of_a_larger_limit_or_a_clock_that_was_ahead_makes_nobody_wait_longer_than_an_empty_one() {
        let limit = limit(5, 50, 5);
        let filled = Bucket(microseconds(at(1_000_000)));
        assert_eq!(limit.spend(filled, at(0)), Err(at(10)));
        assert_eq!(limit.take(filled, at(0)), Bucket(microseconds(at(50))));
    }

    #[test]
    fn numbers_that_are_no_limit_are_refused() {
        let hour = Duration::from_secs(3600);
        for (count, period, burst) in [
            (0, hour, 0),
            (COUNT_MAX + 1, hour, 1),
            (5, hour, 0),
            (5, hour, 6),
            (5, Duration::ZERO, 5),
            (5, PERIOD_MAX + hour, 5),
        ] {
            assert!(Limit::new(count, period, burst).is_err(), "{count} {period:?} {burst}");
        }
        assert!(serde_json::from_str::<Limit>(r#"{"count":1,"period_s":1,"burst":2}"#).is_err());
    }

    #[test]
    fn limits_are_told_in_words() {
        assert_eq!(limit(300, 3 * 3600, 300).to_string(), "300 in 3 hours");
        assert_eq!(limit(5, 3600, 2).to_string(), "5 in 1 hour, at most 2 at once");
        assert_eq!(limit(50, 7 * 86_400, 50).to_string(), "50 in 7 days");
        assert_eq!(limit(1, 90, 1).to_string(), "1 in 90 seconds");
    }

    #[test]
    fn every_limit_is_found_by_its_name_and_by_its_number() {
        for limit in LimitName::ALL {
            assert_eq!(LimitName::from_name(limit.name()), Some(*limit));
            assert_eq!(LimitName::from_number(limit.number()), Some(*limit));
        }
    }

    #[test]
    fn neighbours_by_ipv6_share_a_bucket_and_those_by_ipv4_do_not() {
        let of = |text: &str| LimitSubject::of_address(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:ffff::1"));
        assert_ne!(of("2001:db8:1::"), of("2001:db8:2::"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    prop_compose! {
        fn any_limit()(count in 1..=COUNT_MAX, period_s in 1..=PERIOD_MAX.as_secs(), part in 1..=100_u32) -> Limit {
            limit(count, period_s, (count / 100 * part).clamp(1, count))
        }
    }

    proptest! {
        /// However requests are spread, no window has more than the burst and what came in evenly meanwhile.
        #[test]
        fn no_window_has_more_than_was_promised(
            count in 1..50_u32,
            period_s in 1..1000_u64,
            burst in 1..50_u32,
            gaps in proptest::collection::vec(0..20_000_u64, 1..200),
        ) {
            let limit = limit(count, period_s, burst.min(count));
            let (mut bucket, mut now, mut passed) = (Bucket::default(), at(0), Vec::new());
            for gap_ms in gaps {
                now = now.plus(Duration::from_millis(gap_ms));
                if let Ok(spent) = limit.spend(bucket, now) {
                    bucket = spent;
                    passed.push(now);
                }
            }
            for (first, begin) in passed.iter().enumerate() {
                for (last, end) in passed.iter().enumerate().skip(first) {
                    let window = end.since(*begin).as_micros();
                    let promised = u128::from(limit.burst()) + window / limit.interval().as_micros();
                    prop_assert!((last - first + 1) as u128 <= promised);
                }
            }
        }

        /// What a look says is what a spend then does, and the moment that a refusal tells is the right one.
        #[test]
        fn a_look_tells_the_truth(limit in any_limit(), spent in 0..200_u32, later_s in 0..100_000_u64) {
            let mut bucket = Bucket::default();
            for _ in 0..spent {
                bucket = limit.take(bucket, at(0));
            }
            let now = at(later_s);
            let left = limit.look(bucket, now);
            prop_assert!(left.remaining <= limit.burst());
            match limit.spend(bucket, now) {
                Ok(_) => prop_assert!(left.remaining > 0 && left.next_at == now),
                Err(next_at) => {
                    prop_assert!(left.remaining == 0 && left.next_at == next_at && next_at > now);
                    prop_assert!(limit.spend(bucket, next_at).is_ok());
                    prop_assert!(limit.spend(bucket, next_at.minus(Duration::from_millis(2))).is_err());
                }
            }
        }

        /// A spend and its refund leave as much as there was; a refund never makes more than a full bucket.
        #[test]
        fn a_refund_undoes_a_spend(limit in any_limit(), spent in 0..200_u32, later_s in 0..100_000_u64) {
            let mut bucket = Bucket::default();
            for _ in 0..spent {
                bucket = limit.take(bucket, at(0));
            }
            let now = at(later_s);
            if let Ok(after) = limit.spend(bucket, now) {
                prop_assert_eq!(limit.look(limit.refund(after), now), limit.look(bucket, now));
            }
            prop_assert!(limit.look(limit.refund(bucket), now).remaining <= limit.burst());
        }

        #[test]
        fn a_bucket_survives_its_row(number: u64) {
            prop_assert_eq!(Bucket::from_bytes(Bucket(number).to_bytes()), Bucket(number));
        }
    }
}
