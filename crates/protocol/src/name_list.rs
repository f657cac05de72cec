//! Lists of names and addresses, as operators write them: names alone, and domains with everything below them.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use crate::identifier::{BadName, DnsName, Domain, Host, Identifier};

/// Names and addresses.
///
/// An entry is an address, a name alone (`example.org`), or a domain with all names below it (`.example.org` or
/// `*.example.org`, which here mean the same: `example.org` and everything below).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameList {
    /// By the text of a name, a domain or an address.
    entries: HashMap<Box<str>, Reach>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reach {
    /// This is on the list.
    alone: bool,
    /// This and everything below is.
    with_below: bool,
    /// Something one label below is.
    above_one: bool,
}

/// Why a text is no list; the words go to the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoList {
    /// A line is no entry.
    Entry {
        /// Which line, from 1 on.
        line: usize,
        /// What stands there, cut to a bounded length.
        entry: String,
        /// What is wrong with it.
        bad: BadName,
    },
    /// It has more entries than [`NameList::ENTRIES_MAX`].
    TooLong,
}

impl fmt::Display for NoList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry { line, entry, bad } => write!(f, "line {line} has {entry:?}: {bad}"),
            Self::TooLong => write!(f, "it has more than {} names", NameList::ENTRIES_MAX),
        }
    }
}

impl std::error::Error for NoList {}

/// The most characters of an entry that are told.
const TOLD_MAX: usize = 80;

impl NameList {
    /// At most this many entries are a list.
    pub const ENTRIES_MAX: usize = 1_000_000;

    /// At most this many bytes are a list's text.
    pub const BYTES_MAX: u64 = 64 << 20;

    /// Reads a list: an entry in each line, comments behind `#`, empty lines.
    ///
    /// # Errors
    /// [`NoList`] for the first line that is no entry, or for too many of them.
    pub fn parse(text: &str) -> Result<Self, NoList> {
        let mut list = Self::default();
        let mut count = 0_usize;
        for (number, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            count += 1;
            if count > Self::ENTRIES_MAX {
                return Err(NoList::TooLong);
            }
            list.insert(entry).map_err(|bad| NoList::Entry {
                line: number + 1,
                entry: entry.chars().take(TOLD_MAX).collect(),
                bad,
            })?;
        }
        Ok(list)
    }

    /// Puts an entry in.
    ///
    /// # Errors
    /// [`BadName`] if it is none.
    pub fn insert(&mut self, entry: &str) -> Result<(), BadName> {
        if let Ok(address) = entry.parse::<IpAddr>() {
            self.at(&address.to_string()).alone = true;
            return Ok(());
        }
        let domain = entry.strip_prefix("*.").or_else(|| entry.strip_prefix('.'));
        let name = match domain {
            Some(domain) => Domain::parse(domain)?.as_str().to_owned(),
            None => DnsName::parse(entry)?.as_str().to_owned(),
        };
        let reach = self.at(&name);
        match domain {
            Some(_) => reach.with_below = true,
            None => reach.alone = true,
        }
        if let Some((_, above)) = name.split_once('.') {
            self.at(above).above_one = true;
        }
        Ok(())
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether everything that the identifier stands for is on the list: of a wildcard, every name one label below its base.
    pub fn has_all(&self, identifier: &Identifier) -> bool {
        match identifier.host() {
            Host::Address(address) => self.reach(&address.to_string()).alone,
            Host::Name(name) => {
                let alone = self.reach(name.as_str()).alone && !identifier.is_wildcard();
                alone || self.is_below(&name)
            }
        }
    }

    /// Whether anything that the identifier stands for is on the list.
    pub fn has_any(&self, identifier: &Identifier) -> bool {
        let above_one = |name: &DnsName| identifier.is_wildcard() && self.reach(name.as_str()).above_one;
        self.has_all(identifier) || identifier.name().is_some_and(above_one)
    }

    /// Whether the name or a domain above it is on the list with everything below. A name has at most 127 labels.
    fn is_below(&self, name: &DnsName) -> bool {
        let mut rest = Some(name.as_str());
        while let Some(at) = rest {
            if self.reach(at).with_below {
                return true;
            }
            rest = at.split_once('.').map(|(_, above)| above);
        }
        false
    }

    fn reach(&self, text: &str) -> Reach {
        self.entries.get(text).copied().unwrap_or_default()
    }

    fn at(&mut self, text: &str) -> &mut Reach {
        self.entries.entry(text.into()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str =
        "# what nobody gets\nbank.example # alone\n\n  .Shop.example\n*.invalid\n192.0.2.1\n2001:DB8::1\n";

    fn identifier(text: &str) -> Identifier {
        text.parse().map_or_else(|_| Identifier::parse_dns(text).unwrap(), Identifier::Ip)
    }

    #[test]
    fn names_stand_alone_and_domains_do_not() {
        let list = NameList::parse(LIST).unwrap();
        for (text, all, any) in [
            ("bank.example", true, true),
            ("www.bank.example", false, false),
            ("*.bank.example", false, false),
            ("*.www.bank.example", false, false),
            ("shop.example", true, true),
            ("www.shop.example", true, true),
            ("*.shop.example", true, true),
            ("*.a.shop.example", true, true),
            ("myshop.example", false, false),
            ("a.invalid", true, true),
            ("a.b.example", false, false),
            ("192.0.2.1", true, true),
            ("192.0.2.2", false, false),
            ("2001:db8::1", true, true),
        ] {
            assert_eq!(list.has_all(&identifier(text)), all, "{text}");
            assert_eq!(list.has_any(&identifier(text)), any, "{text}");
        }
    }

    #[test]
    fn a_wildcard_covers_names_one_label_below() {
        let list = NameList::parse("a.b.example\n.c.d.example\n").unwrap();
        for (text, any) in [
            ("*.b.example", true),
            ("*.d.example", true),
            ("b.example", false),
            ("*.a.b.example", false),
            ("*.b.c.d.example", true),
        ] {
            assert_eq!(list.has_any(&identifier(text)), any, "{text}");
        }
        assert!(!list.has_all(&identifier("*.b.example")));
    }

    #[test]
    fn what_is_no_entry_is_told_with_its_line() {
        for (text, line) in [
            ("a.example\nb example", 2),
            ("*.*.example", 1),
            ("\n\n.\n", 3),
            ("single", 1),
            ("192.0.2.0/24", 1),
        ] {
            match NameList::parse(text) {
                Err(NoList::Entry { line: found, .. }) => assert_eq!(found, line, "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
        let long = "a.example\n".repeat(NameList::ENTRIES_MAX + 1);
        assert_eq!(NameList::parse(&long), Err(NoList::TooLong));
        assert!(NameList::parse("# nothing\n").unwrap().is_empty());
    }
}
