//! Multi-Perspective Issuance Corroboration: when what one place saw counts as seen (BR 3.2.2.9).
//!
//! ```text
//! primary agrees  AND  at most so many remotes fail  AND  those that agree lie in enough registries' regions
//! ```
//!
//! How many remotes there have to be changes with time and is a rule of [`crate::baseline`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// The regional Internet registries, as Open MPIC writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Registry {
    /// Africa.
    #[serde(rename = "AFRINIC")]
    Afrinic,
    /// Asia and the Pacific.
    #[serde(rename = "APNIC")]
    Apnic,
    /// Northern America.
    #[serde(rename = "ARIN")]
    Arin,
    /// Latin America and the Caribbean.
    #[serde(rename = "LACNIC")]
    Lacnic,
    /// Europe, the Middle East and Central Asia.
    #[serde(rename = "RIPE NCC")]
    RipeNcc,
}

impl Registry {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Afrinic => "AFRINIC",
            Self::Apnic => "APNIC",
            Self::Arin => "ARIN",
            Self::Lacnic => "LACNIC",
            Self::RipeNcc => "RIPE NCC",
        }
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many remote perspectives agreed with the primary one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// How many were asked.
    pub remotes: u8,
    /// How many of them agreed.
    pub agreed: u8,
    /// In how many registries' regions those lie that agreed.
    pub registries: u8,
}

impl Quorum {
    /// In how many registries' regions those that agree have to lie (BR 3.2.2.9, from 2026-03-15).
    pub const REGISTRIES_MIN: u8 = 2;

    /// How many of so many remotes may fail to agree: none of one, one of two to five, two of six and more.
    pub fn failures_allowed(remotes: u8) -> u8 {
        match remotes {
            0 | 1 => 0,
            2..=5 => 1,
            6.. => 2,
        }
    }

    /// The least of both: what holds of this holds of each.
    pub fn weakest(self, other: Self) -> Self {
        let failed = |quorum: Self| quorum.remotes.saturating_sub(quorum.agreed);
        let remotes = self.remotes.min(other.remotes);
        Self {
            remotes,
            agreed: remotes.saturating_sub(failed(self).max(failed(other))),
            registries: self.registries.min(other.registries),
        }
    }

    /// Whether enough agreed. Without remotes there is nothing to fail.
    pub fn stands(self, registries_min: u8) -> bool {
        let failed = self.remotes.saturating_sub(self.agreed);
        self.remotes == 0
            || (failed <= Self::failures_allowed(self.remotes) && self.registries >= registries_min)
    }
}

/// The quorum's line, as records have it (BR 5.4.1): `4/5`.
impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.agreed, self.remotes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_may_fail_as_the_requirements_let() {
        let allowed: Vec<u8> = (0..=8).map(Quorum::failures_allowed).collect();
        assert_eq!(allowed, [0, 0, 1, 1, 1, 1, 2, 2, 2]);
        let stands = |agreed, remotes| Quorum { remotes, agreed, registries: 2 }.stands(2);
        assert!(stands(4, 5) && stands(1, 2) && stands(4, 6) && stands(1, 1) && stands(0, 0));
        assert!(!stands(3, 5) && !stands(0, 2) && !stands(3, 6) && !stands(0, 1));
    }

    #[test]
    fn the_weakest_of_two_is_as_bad_as_either() {
        let quorum = |agreed, remotes, registries| Quorum { remotes, agreed, registries };
        assert_eq!(quorum(5, 5, 3).weakest(quorum(4, 5, 2)), quorum(4, 5, 2));
        assert_eq!(quorum(4, 5, 4).weakest(quorum(6, 6, 2)), quorum(4, 5, 2));
        assert!(!quorum(5, 5, 1).weakest(quorum(5, 5, 5)).stands(2));
    }

    #[test]
    fn one_region_is_not_enough() {
        let quorum = Quorum { remotes: 5, agreed: 5, registries: 1 };
        assert!(!quorum.stands(Quorum::REGISTRIES_MIN));
        assert!(quorum.stands(1));
        assert_eq!(quorum.to_string(), "5/5");
    }
}
