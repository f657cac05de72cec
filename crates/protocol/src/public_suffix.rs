//! Where registered domains begin: the public suffix list.
//!
//! A public suffix is a name under which anybody can register (`org`, `co.uk`, and as private suffixes `github.io` and the
//! like); a registered domain is one label more. A list comes with the program; an operator can give a newer one, as
//! text in the format of the list's publishers.

use std::fmt;
use std::sync::Arc;

use psl::Psl as _;

use crate::identifier::DnsName;

/// A list of public suffixes.
#[derive(Clone)]
pub struct PublicSuffixes(Source);

#[derive(Clone)]
enum Source {
    /// The list of the day on which the program's dependencies were chosen.
    BuiltIn,
    /// An operator's.
    Given(Arc<publicsuffix::List>),
}

/// Why a text is no list of public suffixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoList(&'static str);

impl fmt::Display for NoList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NoList {}

impl PublicSuffixes {
    /// At most this many bytes are a list: thirty times what the list had in 2026.
    pub const BYTES_MAX: u64 = 10 << 20;

    /// The list that comes with the program.
    pub fn built_in() -> Self {
        Self(Source::BuiltIn)
    }

    /// Reads a list in the publishers' format: a rule in each line, comments behind `//`, IDNs as U-labels or A-labels.
    ///
    /// # Errors
    /// [`NoList`] if it cannot be read, or is so short that it is another file or half of one.
    pub fn parse(text: &str) -> Result<Self, NoList> {
        // Rules outside of its two parts are none, and `com` is in every list.
        let is_whole =
            ["===BEGIN ICANN DOMAINS===", "===END PRIVATE DOMAINS==="].iter().all(|mark| text.contains(mark));
        if !is_whole || !text.lines().any(|line| line.trim() == "com") {
            return Err(NoList(
                "it is no whole public suffix list, as one ends with ===END PRIVATE DOMAINS===",
            ));
        }
        let list = text.parse::<publicsuffix::List>();
        list.map(|list| Self(Source::Given(Arc::new(list))))
            .map_err(|_| NoList("it has a rule that cannot be read"))
    }

    /// Whether anybody can register names below this one.
    pub fn is_public_suffix(&self, name: &DnsName) -> bool {
        self.suffix_labels(name) >= name.labels().count()
    }

    /// Whether the name itself is a public suffix of the list's ICANN part: one that a registry has, not a company that lets
    /// guests have names below its own. Certificates for the former would be for everybody's names (BR 3.2.2.6); the owners of
    /// the latter are as good as any.
    pub fn is_icann_suffix(&self, name: &DnsName) -> bool {
        let bytes = name.as_str().as_bytes();
        let suffix = match &self.0 {
            Source::BuiltIn => psl::List.suffix(bytes),
            Source::Given(list) => list.suffix(bytes),
        };
        suffix.is_some_and(|suffix| {
            suffix.typ() == Some(psl::Type::Icann) && suffix.as_bytes().len() == bytes.len()
        })
    }

    /// The name's part that somebody registered: its public suffix and one label more. `None` for a public suffix.
    pub fn registered_domain(&self, name: &DnsName) -> Option<DnsName> {
        let labels: Vec<&str> = name.labels().collect();
        let above = labels.len().checked_sub(self.suffix_labels(name) + 1)?;
        DnsName::parse(&labels.get(above..)?.join(".")).ok()
    }

    /// How many labels of the name are its public suffix. Of a name under no rule it is the last (rule `*`).
    fn suffix_labels(&self, name: &DnsName) -> usize {
        let bytes = name.as_str().as_bytes();
        let suffix = match &self.0 {
            Source::BuiltIn => psl::List.suffix(bytes),
            Source::Given(list) => list.suffix(bytes),
        };
        suffix.map_or(1, |suffix| suffix.as_bytes().split(|byte| *byte == b'.').count())
    }
}

impl fmt::Debug for PublicSuffixes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::BuiltIn => "PublicSuffixes(built in)",
            Source::Given(_) => "PublicSuffixes(given)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "// ===BEGIN ICANN DOMAINS===\ncom\nuk\nco.uk\n*.ck\n!www.ck\nb\u{fc}cher.example\n// ===END ICANN DOMAINS===\n// ===BEGIN PRIVATE DOMAINS===\n\
                        blog.example.com\n// ===END PRIVATE DOMAINS===\n";

    fn registered(list: &PublicSuffixes, name: &str) -> Option<String> {
        list.registered_domain(&DnsName::parse(name).unwrap()).map(|name| name.to_string())
    }

    #[test]
    fn the_built_in_list_knows_the_world() {
        let list = PublicSuffixes::built_in();
        for (name, expected) in [
            ("example.org", Some("example.org")),
            ("a.b.example.org", Some("example.org")),
            ("www.example.co.uk", Some("example.co.uk")),
            ("co.uk", None),
            ("someone.github.io", Some("someone.github.io")),
            ("github.io", None),
            ("www.ck", Some("www.ck")),
            ("a.b.xn--55qx5d.cn", Some("b.xn--55qx5d.cn")),
            // Nobody's rule: the last label is a suffix.
            ("host.machines.internal", Some("machines.internal")),
        ] {
            assert_eq!(registered(&list, name).as_deref(), expected, "{name}");
            assert_eq!(list.is_public_suffix(&DnsName::parse(name).unwrap()), expected.is_none(), "{name}");
        }
    }

    #[test]
    fn a_given_list_counts_in_its_place() {
        let list = PublicSuffixes::parse(LIST).unwrap();
        for (name, expected) in [
            ("www.example.co.uk", Some("example.co.uk")),
            ("a.blog.example.com", Some("a.blog.example.com")),
            ("blog.example.com", None),
            ("someone.github.io", Some("github.io")),
            ("a.b.ck", Some("a.b.ck")),
            ("b.ck", None),
            ("a.www.ck", Some("www.ck")),
            ("a.b.xn--bcher-kva.example", Some("b.xn--bcher-kva.example")),
        ] {
            assert_eq!(registered(&list, name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn companies_suffixes_are_not_registries() {
        let (built_in, given) = (PublicSuffixes::built_in(), PublicSuffixes::parse(LIST).unwrap());
        for (list, name, expected) in [
            (&built_in, "co.uk", true),
            (&built_in, "example.co.uk", false),
            (&built_in, "github.io", false),
            (&built_in, "machines.internal", false),
            (&given, "co.uk", true),
            (&given, "b.ck", true),
            (&given, "www.ck", false),
            (&given, "blog.example.com", false),
            (&given, "com.au", false),
        ] {
            assert_eq!(list.is_icann_suffix(&DnsName::parse(name).unwrap()), expected, "{name}");
        }
    }

    #[test]
    fn another_file_or_half_of_one_is_no_list() {
        for bad in ["", "com\n", "<html></html>", &LIST.replace("com\n", ""), &LIST[..60]] {
            assert!(PublicSuffixes::parse(bad).is_err(), "{bad}");
        }
    }
}
