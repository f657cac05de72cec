//! The servers of the root zone, at which full recursion begins.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The word for [`RootHint::Iana`].
const IANA: &str = "iana";

/// One of `root_hints`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum RootHint {
    /// The thirteen that IANA names (<https://www.iana.org/domains/root/servers>), over IPv4 and IPv6.
    Iana,
    /// One server.
    Server(IpAddr),
}

/// Why a text is no [`RootHint`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootHintError;

impl fmt::Display for RootHintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is neither \"{IANA}\" nor the address of a root server")
    }
}

impl std::error::Error for RootHintError {}

impl RootHint {
    /// The servers that it stands for.
    pub(crate) fn addresses(self) -> Vec<IpAddr> {
        match self {
            Self::Iana => ROOTS_V4.map(IpAddr::V4).into_iter().chain(ROOTS_V6.map(IpAddr::V6)).collect(),
            Self::Server(address) => vec![address],
        }
    }
}

impl FromStr for RootHint {
    type Err = RootHintError;

    fn from_str(text: &str) -> Result<Self, RootHintError> {
        if text == IANA {
            return Ok(Self::Iana);
        }
        text.parse().map(Self::Server).map_err(|_| RootHintError)
    }
}

impl TryFrom<String> for RootHint {
    type Error = RootHintError;

    fn try_from(text: String) -> Result<Self, RootHintError> {
        text.parse()
    }
}

impl From<RootHint> for String {
    fn from(hint: RootHint) -> Self {
        hint.to_string()
    }
}

impl fmt::Display for RootHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iana => f.write_str(IANA),
            Self::Server(address) => address.fmt(f),
        }
    }
}

/// From a.root-servers.net to m.root-servers.net.
const ROOTS_V4: [Ipv4Addr; 13] = [
    Ipv4Addr::new(198, 41, 0, 4),
    Ipv4Addr::new(170, 247, 170, 2),
    Ipv4Addr::new(192, 33, 4, 12),
    Ipv4Addr::new(199, 7, 91, 13),
    Ipv4Addr::new(192, 203, 230, 10),
    Ipv4Addr::new(192, 5, 5, 241),
    Ipv4Addr::new(192, 112, 36, 4),
    Ipv4Addr::new(198, 97, 190, 53),
    Ipv4Addr::new(192, 36, 148, 17),
    Ipv4Addr::new(192, 58, 128, 30),
    Ipv4Addr::new(193, 0, 14, 129),
    Ipv4Addr::new(199, 7, 83, 42),
    Ipv4Addr::new(202, 12, 27, 33),
];

/// The same thirteen.
const ROOTS_V6: [Ipv6Addr; 13] = [
    Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 0x2, 0x30),
    Ipv6Addr::new(0x2801, 0x1b8, 0x10, 0, 0, 0, 0, 0xb),
    Ipv6Addr::new(0x2001, 0x500, 0x2, 0, 0, 0, 0, 0xc),
    Ipv6Addr::new(0x2001, 0x500, 0x2d, 0, 0, 0, 0, 0xd),
    Ipv6Addr::new(0x2001, 0x500, 0xa8, 0, 0, 0, 0, 0xe),
    Ipv6Addr::new(0x2001, 0x500, 0x2f, 0, 0, 0, 0, 0xf),
    Ipv6Addr::new(0x2001, 0x500, 0x12, 0, 0, 0, 0, 0xd0d),
    Ipv6Addr::new(0x2001, 0x500, 0x1, 0, 0, 0, 0, 0x53),
    Ipv6Addr::new(0x2001, 0x7fe, 0, 0, 0, 0, 0, 0x53),
    Ipv6Addr::new(0x2001, 0x503, 0xc27, 0, 0, 0, 0x2, 0x30),
    Ipv6Addr::new(0x2001, 0x7fd, 0, 0, 0, 0, 0, 0x1),
    Ipv6Addr::new(0x2001, 0x500, 0x9f, 0, 0, 0, 0, 0x42),
    Ipv6Addr::new(0x2001, 0xdc3, 0, 0, 0, 0, 0, 0x35),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{AddressPolicy, Addresses};

    #[test]
    fn iana_stands_for_servers_at_public_addresses() {
        let hint: RootHint = "iana".parse().unwrap();
        let (servers, public) = (hint.addresses(), Addresses::new(AddressPolicy::PublicOnly, Vec::new()));
        assert_eq!((hint.to_string().as_str(), servers.len()), ("iana", 26));
        for server in servers {
            public.check(server).unwrap();
        }
    }

    #[test]
    fn one_server_is_its_address() {
        let hint: RootHint = "::1".parse().unwrap();
        assert_eq!((hint.to_string().as_str(), hint.addresses().len()), ("::1", 1));
        for text in ["", "IANA", "127.0.0.1:53", "a.root-servers.net"] {
            assert_eq!(text.parse::<RootHint>(), Err(RootHintError), "{text}");
        }
    }
}
