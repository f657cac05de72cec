//! Who signs the certificates of a profile.

use std::collections::BTreeMap;

use crate::profile::IssuerName;
use crate::time::{Random, random_array};

/// The issuing CAs of a profile with their weights: of three certificates, an issuer of weight 2 signs about two where
/// another has weight 1. One of weight 0 stands by: it signs nothing new, and its certificates are answered for.
///
/// At least one has a weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuers(BTreeMap<IssuerName, u16>);

impl Issuers {
    /// One that signs everything.
    pub fn one(issuer: IssuerName) -> Self {
        Self(BTreeMap::from([(issuer, 1)]))
    }

    /// Several; `None` if no one of them would sign.
    pub fn weighted(weights: BTreeMap<IssuerName, u16>) -> Option<Self> {
        weights.values().any(|weight| *weight > 0).then_some(Self(weights))
    }

    /// All of them, those that stand by, too.
    pub fn all(&self) -> impl Iterator<Item = &IssuerName> {
        self.0.keys()
    }

    /// Those that sign.
    pub fn signing(&self) -> impl Iterator<Item = &IssuerName> {
        self.0.iter().filter(|(_, weight)| **weight > 0).map(|(name, _)| name)
    }

    /// Whether this one signs.
    pub fn has_signing(&self, name: &IssuerName) -> bool {
        self.0.get(name).is_some_and(|weight| *weight > 0)
    }

    /// One for the next certificate, by weight, of those that may sign it; `None` if none may.
    pub fn choose(&self, random: &dyn Random, may: impl Fn(&IssuerName) -> bool) -> Option<&IssuerName> {
        let candidates: Vec<_> = self.0.iter().filter(|(name, weight)| **weight > 0 && may(name)).collect();
        let total: u64 = candidates.iter().map(|(_, weight)| u64::from(**weight)).sum();
        // 64 bits against a sum of small weights: what the remainder favours nobody can measure.
        let mut rest = u64::from_be_bytes(random_array(random)).checked_rem(total)?;
        for (name, weight) in candidates {
            match rest.checked_sub(u64::from(*weight)) {
                Some(less) => rest = less,
                None => return Some(name),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SeededRandom;

    fn name(text: &str) -> IssuerName {
        IssuerName::try_from(text.to_owned()).unwrap()
    }

    fn weighted(weights: &[(&str, u16)]) -> Option<Issuers> {
        Issuers::weighted(weights.iter().map(|(text, weight)| (name(text), *weight)).collect())
    }

    #[test]
    fn weights_are_shares_and_none_stands_by() {
        let issuers = weighted(&[("a", 3), ("b", 1), ("c", 0)]).unwrap();
        let random = SeededRandom::new(1);
        let mut counts = BTreeMap::new();
        for _ in 0..4000 {
            *counts.entry(issuers.choose(&random, |_| true).unwrap().as_str()).or_insert(0) += 1;
        }
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), ["a", "b"]);
        assert!((2900..3100).contains(&counts["a"]), "{counts:?}");
        assert_eq!(issuers.choose(&random, |one| one.as_str() == "b"), Some(&name("b")));
        assert_eq!(issuers.choose(&random, |one| one.as_str() == "c"), None, "it stands by");
        assert!(issuers.all().count() == 3 && issuers.signing().count() == 2);
        assert!(issuers.has_signing(&name("a")) && !issuers.has_signing(&name("c")));
    }

    #[test]
    fn somebody_has_to_sign() {
        assert_eq!(weighted(&[]), None);
        assert_eq!(weighted(&[("a", 0)]), None);
        assert!(weighted(&[("a", 0), ("b", 1)]).is_some());
    }
}
