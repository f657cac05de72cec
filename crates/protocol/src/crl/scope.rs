//! Which of an issuer's certificates a list is about, and how many lists there are.

use std::collections::BTreeMap;

use crate::profile::IssuerName;
use crate::serial::{Serial, Shard};
use crate::time::{Random, random_array};

/// An issuer's certificates are on at most so many lists.
pub const SHARDS_MAX: u16 = 1024;

/// Which of its issuer's certificates a CRL is about (its scope, RFC 5280, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All of them.
    Complete,
    /// Those whose serial number belongs to no shard, where others do.
    Unsharded,
    /// Those of one shard.
    Shard(Shard),
}

impl Scope {
    /// The shard, for a list that is one's.
    pub fn shard(self) -> Option<Shard> {
        match self {
            Self::Complete | Self::Unsharded => None,
            Self::Shard(shard) => Some(shard),
        }
    }

    /// Whether the certificate with this serial number is one of them.
    pub fn holds(self, serial: &Serial) -> bool {
        self == Self::Complete || self.shard() == serial.shard()
    }
}

/// Over how many lists each issuer's new certificates are spread; zero is one list for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardCounts {
    /// Where nothing else is said.
    pub usual: u16,
    /// For these issuers.
    pub issuers: BTreeMap<IssuerName, u16>,
}

impl ShardCounts {
    /// For this issuer.
    pub fn of(&self, issuer: &IssuerName) -> u16 {
        self.issuers.get(issuer).copied().unwrap_or(self.usual)
    }

    /// A new serial number for this issuer, in a shard taken by chance, each as likely as the others.
    pub fn serial(&self, issuer: &IssuerName, random: &dyn Random) -> Serial {
        match self.of(issuer) {
            0 => Serial::new(random),
            // Of 2^64 values, what does not divide evenly is not seen.
            count => {
                let chosen = u64::from_be_bytes(random_array(random)) % u64::from(count);
                let [.., high, low] = chosen.to_be_bytes();
                Serial::in_shard(random, Shard(u16::from_be_bytes([high, low])))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SeededRandom;

    #[test]
    fn a_scope_holds_what_belongs_to_it() {
        let random = SeededRandom::new(1);
        let (old, sharded) = (Serial::new(&random), Serial::in_shard(&random, Shard(3)));
        let held = |scope: Scope| (scope.holds(&old), scope.holds(&sharded));
        assert_eq!(held(Scope::Complete), (true, true));
        assert_eq!(held(Scope::Unsharded), (true, false));
        assert_eq!(held(Scope::Shard(Shard(3))), (false, true));
        assert_eq!(held(Scope::Shard(Shard(4))), (false, false));
    }

    #[test]
    fn new_serials_are_spread_evenly_over_the_shards_of_their_issuer() {
        let issuer = |name: &str| IssuerName::try_from(name.to_owned()).unwrap();
        let counts = ShardCounts { usual: 0, issuers: [(issuer("many"), 16)].into() };
        let random = SeededRandom::new(2);
        assert_eq!(counts.serial(&issuer("other"), &random).shard(), None);
        let mut seen = [0_u32; 16];
        for _ in 0..16_000 {
            let shard = counts.serial(&issuer("many"), &random).shard().unwrap();
            seen[usize::from(shard.0)] += 1;
        }
        // A thousand each; five standard deviations are some 153.
        assert!(seen.iter().all(|count| (847..=1153).contains(count)), "{seen:?}");
    }
}
