//! What a certificate is for: names, read into one form at the edge.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A fully qualified domain name in A-label form, lower case, without a trailing dot: at least two labels of letters,
/// digits and hyphens, of 1 to 63 octets each and at most 253 together (RFC 1034, section 3.5; RFC 5890).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

/// Names of special use, with all names below them: nobody can show control of them on the Internet (RFC 6761, RFC 6762,
/// RFC 7686, RFC 8375, RFC 9476; BR 4.2.2 for the reverse zones; `internal` is set aside by ICANN).
pub const SPECIAL_USE_NAMES: [&str; 12] = [
    "alt",
    "example",
    "home.arpa",
    "in-addr.arpa",
    "internal",
    "invalid",
    "ip6.arpa",
    "local",
    "localhost",
    "onion",
    "test",
    "ipv4only.arpa",
];

/// Why a text is no name that a certificate could be for; the words go to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadName(&'static str);

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadName {}

impl DnsName {
    /// Reads a name, folding case.
    ///
    /// # Errors
    /// [`BadName`] says what is wrong: empty or long labels, characters beside LDH, a single label, an IP address, a
    /// trailing dot, or an `xn--` label that IDNA2008 does not know (RFC 5891, section 5.4).
    pub fn parse(text: &str) -> Result<Self, BadName> {
        if text.is_empty() {
            return Err(BadName("the name is empty"));
        }
        if text.len() > 253 {
            return Err(BadName("the name is longer than 253 characters"));
        }
        if text.ends_with('.') {
            return Err(BadName("the name ends with a dot; leave it out"));
        }
        if !text.is_ascii() {
            return Err(BadName(
                "the name has characters outside ASCII; write it in its A-label form (xn--…)",
            ));
        }
        let name = text.to_ascii_lowercase();
        let mut labels = 0;
        for label in name.split('.') {
            check_label(label)?;
            labels += 1;
        }
        if labels < 2 {
            return Err(BadName("the name has a single label; a certificate needs a fully qualified name"));
        }
        if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(BadName("the last label is a number: this is an IP address or no name at all"));
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name is a part of the domain `above`, and not `above` itself.
    pub fn is_below(&self, above: &Self) -> bool {
        self.0.strip_suffix(above.as_str()).is_some_and(|rest| rest.ends_with('.'))
    }

    /// The name without its leftmost label; `None` if that leaves less than two.
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_once('.')?;
        parent.contains('.').then(|| Self(parent.to_owned()))
    }

    /// The name's labels from the left.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }
}

fn check_label(label: &str) -> Result<(), BadName> {
    if label.is_empty() {
        return Err(BadName("the name has an empty label (two dots in a row, or one in front)"));
    }
    if label.len() > 63 {
        return Err(BadName("a label of the name is longer than 63 characters"));
    }
    if !label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return Err(BadName("the name has characters other than letters, digits, hyphens and dots"));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(BadName("a label of the name starts or ends with a hyphen"));
    }
    if label.get(2..4) == Some("--") {
        if !label.starts_with("xn--") {
            return Err(BadName("a label of the name has hyphens in places 3 and 4 and is no A-label"));
        }
        check_a_label(label)?;
    }
    Ok(())
}

fn check_a_label(label: &str) -> Result<(), BadName> {
    let bad = BadName("a label that starts with xn-- is no valid A-label of IDNA2008");
    let uts46 = idna::uts46::Uts46::new();
    let (unicode, outcome) =
        uts46.to_unicode(label.as_bytes(), idna::AsciiDenyList::STD3, idna::uts46::Hyphens::Allow);
    outcome.map_err(|_| bad)?;
    // An A-label stands for exactly one U-label: encoding that again must give the same label.
    match idna::domain_to_ascii_strict(&unicode) {
        Ok(ascii) if ascii == label && !unicode.is_ascii() => Ok(()),
        _ => Err(bad),
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for DnsName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for DnsName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A domain as lists name it, with all that is below: one label or more, in the form of a [`DnsName`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(String);

impl Domain {
    /// Reads a domain, folding case.
    ///
    /// # Errors
    /// [`BadName`], as [`DnsName::parse`], but for the number of labels.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        if !text.is_empty() && !text.contains('.') && text.is_ascii() {
            let label = text.to_ascii_lowercase();
            return check_label(&label).map(|()| Self(label));
        }
        DnsName::parse(text).map(|name| Self(name.0))
    }

    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is this domain or a part of it.
    pub fn covers(&self, name: &DnsName) -> bool {
        name.as_str().strip_suffix(self.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Domain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// What control is shown of: a name or an address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A domain name; of a wildcard, its base.
    Name(DnsName),
    /// An address (RFC 8738).
    Address(IpAddr),
}

impl Host {
    /// The name, if it is one.
    pub fn name(&self) -> Option<&DnsName> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

impl FromStr for Host {
    type Err = BadName;

    /// Reads an address, or else a name.
    fn from_str(text: &str) -> Result<Self, BadName> {
        match text.parse() {
            Ok(address) => Ok(Self::Address(address)),
            Err(_) => DnsName::parse(text).map(Self::Name),
        }
    }
}

impl From<DnsName> for Host {
    fn from(name: DnsName) -> Self {
        Self::Name(name)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Host {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An identifier of an order (RFC 8555, section 7.1.3; RFC 8738): a name, every name one label below it, or an address.
///
/// Its text form (`example.org`, `*.example.org`, `192.0.2.1`, `2001:db8::1`) is what the values of ACME's `dns` and `ip`
/// identifiers hold. No name looks like an address, so that the form alone tells which it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identifier {
    /// Exactly this name.
    Dns(DnsName),
    /// `*.` and this name: any one label in front of it (RFC 8555, section 7.1.3).
    Wildcard(DnsName),
    /// Exactly this address (RFC 8738, section 3).
    Ip(IpAddr),
}

impl Identifier {
    /// Reads the value of an ACME `dns` identifier.
    ///
    /// # Errors
    /// [`BadName`], as [`DnsName::parse`]; also for a `*` anywhere but as the whole leftmost label.
    pub fn parse_dns(text: &str) -> Result<Self, BadName> {
        // No name fits under a wildcard that is as long as a name may be.
        if text.len() > 253 {
            return Err(BadName("the name is longer than 253 characters"));
        }
        if let Some(base) = text.strip_prefix("*.") {
            if base.contains('*') {
                return Err(BadName("the name has more than one wildcard label"));
            }
            return DnsName::parse(base).map(Self::Wildcard);
        }
        if text.contains('*') {
            return Err(BadName("a wildcard is only allowed as the whole leftmost label: *.example.org"));
        }
        DnsName::parse(text).map(Self::Dns)
    }

    /// Reads the value of an ACME `ip` identifier: four decimal numbers, or the one form that RFC 5952 gives an IPv6
    /// address (RFC 8738, section 3).
    ///
    /// # Errors
    /// [`BadName`] for what is no address, is written in another form, or is an IPv4 address inside an IPv6 one.
    pub fn parse_ip(text: &str) -> Result<Self, BadName> {
        let address: IpAddr = text.parse().map_err(|_| {
            BadName("the value is no IP address; write 192.0.2.1 or 2001:db8::1, without a port or a prefix")
        })?;
        if matches!(address, IpAddr::V6(v6) if is_mapped(v6)) {
            return Err(BadName("this is an IPv4 address inside an IPv6 one; write the IPv4 address"));
        }
        if address.to_string() != text {
            return Err(BadName("an IPv6 address is written as RFC 5952 says: lower case, shortened once"));
        }
        Ok(Self::Ip(address))
    }

    /// The address of these octets, as an iPAddress of a certificate or a CSR holds them (RFC 5280, section 4.2.1.6).
    /// `None` unless there are 4 or 16, or for an IPv4 address inside an IPv6 one.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        if let Ok(octets) = <[u8; 4]>::try_from(octets) {
            return Some(Self::Ip(octets.into()));
        }
        let address = Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?);
        (!is_mapped(address)).then_some(Self::Ip(address.into()))
    }

    /// Its type in ACME: `dns` or `ip`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dns(_) | Self::Wildcard(_) => "dns",
            Self::Ip(_) => "ip",
        }
    }

    /// What control is to be shown of: the name, a wildcard's base name, or the address.
    pub fn host(&self) -> Host {
        match self {
            Self::Dns(name) | Self::Wildcard(name) => Host::Name(name.clone()),
            Self::Ip(address) => Host::Address(*address),
        }
    }

    /// The name, a wildcard's base name, or nothing for an address.
    pub fn name(&self) -> Option<&DnsName> {
        match self {
            Self::Dns(name) | Self::Wildcard(name) => Some(name),
            Self::Ip(_) => None,
        }
    }

    /// Whether this is a wildcard.
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Wildcard(_))
    }
}

fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "{name}"),
            Self::Wildcard(name) => write!(f, "*.{name}"),
            Self::Ip(address) => write!(f, "{address}"),
        }
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Identifier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Identifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        match text.parse() {
            Ok(address) => Ok(Self::Ip(address)),
            Err(_) => Self::parse_dns(&text).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_to_lower_case() {
        assert_eq!(DnsName::parse("WwW.Example.ORG").unwrap().as_str(), "www.example.org");
        assert_eq!(Identifier::parse_dns("*.Example.org").unwrap().to_string(), "*.example.org");
        assert_eq!(DnsName::parse("xn--bcher-kva.example").unwrap().as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn names_from_hell_are_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "abcdefg.".repeat(32));
        for bad in [
            "",
            ".",
            "a",
            "localhost",
            "example.org.",
            ".example.org",
            "a..b",
            "-a.example",
            "a-.example",
            "a_b.example",
            "exämple.org",
            "1.2.3.4",
            "example.123",
            "ab--cd.example",
            "xn--.example",
            "xn--a.example",
            "xn--bcher-kva-.example",
            "a b.example",
            "a\0.example",
            "a/b.example",
            "[::1]",
            "exa\u{202e}mple.org",
            "%00.example",
            long_label.as_str(),
            long_name.as_str(),
        ] {
            assert!(DnsName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn wildcards_are_whole_leftmost_labels_only() {
        for bad in ["*", "*.", "*.org", "a.*.org", "*.*.example.org", "a*.example.org", "**.example.org"] {
            assert!(Identifier::parse_dns(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_domain_covers_itself_and_what_is_below() {
        let covers =
            |domain: &str, name: &str| Domain::parse(domain).unwrap().covers(&DnsName::parse(name).unwrap());
        assert!(covers("Example.org", "example.org") && covers("example.org", "a.b.example.org"));
        assert!(covers("org", "example.org"));
        assert!(!covers("example.org", "anexample.org") && !covers("a.example.org", "example.org"));
        for bad in ["", ".", "a..b", "-a", "1.2.3.4", "a b"] {
            assert!(Domain::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_have_one_form() {
        for good in ["192.0.2.1", "2001:db8::1", "::1", "2001:db8:0:1:1:1:1:1"] {
            let identifier = Identifier::parse_ip(good).unwrap();
            assert_eq!((identifier.to_string().as_str(), identifier.kind()), (good, "ip"));
            let written = serde_json::to_string(&identifier).unwrap();
            assert_eq!(serde_json::from_str::<Identifier>(&written).unwrap(), identifier);
        }
        for bad in [
            "",
            "192.0.2",
            "192.0.2.01",
            "192.0.2.1:443",
            "192.0.2.0/24",
            "2001:DB8::1",
            "2001:db8:0::1",
            "2001:0db8::1",
            "[2001:db8::1]",
            "fe80::1%eth0",
            "::ffff:192.0.2.1",
            "example.org",
        ] {
            assert!(Identifier::parse_ip(bad).is_err(), "{bad:?}");
        }
    }
}
