//! Clients behind proxies: whose word on a client's address counts, and the three ways in which it is given.
//!
//! - [`TrustedProxies`] says whose word counts, and who the client is by it.
//! - [`forwarded`] reads `Forwarded` (RFC 7239) and `X-Forwarded-For`.
//! - [`preface`] reads the PROXY protocol, versions 1 and 2, which stands before everything else on a connection.
//! - [`Front`] is what of this stands in front of a listener.
//!
//! Nothing here fails a request: what cannot be read is no word at all, and the client is then the last address that was
//! told by somebody who is trusted.

pub mod forwarded;
mod front;
pub mod preface;

pub use front::{Front, ProxyWord, UNSAID, line};

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// So many proxies stand one behind the other at most; what is said further to the left is not looked at.
pub const HOPS_MAX: usize = 32;

/// Addresses and networks of proxies whose word on a client's address counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// Why a text names no network that can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadNetwork {
    /// It is no address and no network.
    Unreadable,
    /// There are bits behind the prefix's length: this network is meant, or a longer prefix.
    BitsBehindPrefix(IpNet),
    /// It is everybody.
    Everybody,
}

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("which is no address and no network"),
            Self::BitsBehindPrefix(meant) => {
                write!(f, "which has bits behind its prefix: the network is called {meant}")
            }
            Self::Everybody => f.write_str("which is everybody"),
        }
    }
}

impl std::error::Error for BadNetwork {}

impl TrustedProxies {
    /// Nobody is trusted.
    pub fn none() -> Self {
        Self::default()
    }

    /// Trusts one more address (`192.0.2.7`, `2001:db8::7`) or network (`10.0.0.0/8`).
    ///
    /// # Errors
    /// [`BadNetwork`] if the text is none, or means everybody.
    pub fn trust(&mut self, text: &str) -> Result<(), BadNetwork> {
        let address =
            |text: &str| text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
        let network = match address(text) {
            Some(network) => network,
            None => text.parse::<IpNet>().map_err(|_| BadNetwork::Unreadable)?,
        };
        if network.trunc() != network {
            return Err(BadNetwork::BitsBehindPrefix(network.trunc()));
        }
        if network.prefix_len() == 0 {
            return Err(BadNetwork::Everybody);
        }
        self.0.push(network);
        Ok(())
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is the address of a trusted proxy. An IPv4 address counts as such in its IPv6 form too.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Who the client is: the right-most address that is not a trusted proxy's, of the addresses that were told on the
    /// way and the peer's own, which is the right-most of all.
    ///
    /// `told` has the nearest one first, as [`forwarded`] gives it; `None` is one that cannot be read, which ends what is
    /// known. If all are trusted, it is the farthest.
    pub fn client(&self, peer: IpAddr, told: impl IntoIterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut client = peer.to_canonical();
        for next in told.into_iter().take(HOPS_MAX) {
            match next.filter(|_| self.contains(client)) {
                Some(next) => client = next.to_canonical(),
                None => break,
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn trusting(texts: &[&str]) -> TrustedProxies {
        let mut trusted = TrustedProxies::none();
        texts.iter().for_each(|text| trusted.trust(text).unwrap());
        trusted
    }

    #[test]
    fn addresses_and_networks_are_trusted() {
        let trusted = trusting(&["192.0.2.7", "10.0.0.0/8", "2001:db8::/32", "::ffff:198.51.100.1"]);
        for inside in ["192.0.2.7", "::ffff:192.0.2.7", "10.255.0.1", "2001:db8::1", "198.51.100.1"] {
            assert!(trusted.contains(address(inside)), "{inside}");
        }
        for outside in ["192.0.2.8", "11.0.0.1", "2001:db9::1", "::1", "127.0.0.1"] {
            assert!(!trusted.contains(address(outside)), "{outside}");
        }
        assert!(!TrustedProxies::none().contains(address("127.0.0.1")));
    }

    #[test]
    fn what_is_no_network_or_everybody_is_refused() {
        let refused = |text: &str| TrustedProxies::none().trust(text).unwrap_err();
        for bad in ["", "proxy.example", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "192.0.2.7:80", "[::1]"] {
            assert_eq!(refused(bad), BadNetwork::Unreadable, "{bad}");
        }
        assert_eq!(refused("10.0.0.1/8"), BadNetwork::BitsBehindPrefix("10.0.0.0/8".parse().unwrap()));
        for everybody in ["0.0.0.0/0", "::/0"] {
            assert_eq!(refused(everybody), BadNetwork::Everybody);
        }
    }

    #[test]
    fn the_client_is_the_right_most_address_that_is_not_trusted() {
        let trusted = trusting(&["10.0.0.0/8"]);
        let client = |peer: &str, told: &[&str]| {
            trusted.client(address(peer), told.iter().map(|text| text.parse().ok())).to_string()
        };
        // An untrusted peer's word changes nothing.
        assert_eq!(client("192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        // What the client itself put in front of that is not looked at.
        assert_eq!(client("10.0.0.1", &["192.0.2.1", "10.0.0.9", "198.51.100.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.2", "192.0.2.1", "198.51.100.1"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.2", "10.0.0.3"]), "10.0.0.3");
        // What cannot be read ends what is known.
        assert_eq!(client("10.0.0.1", &["unknown", "198.51.100.1"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["10.0.0.2", "_hidden", "198.51.100.1"]), "10.0.0.2");
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:192.0.2.1"]), "192.0.2.1");
    }

    #[test]
    fn a_way_without_end_is_not_followed() {
        let trusted = trusting(&["10.0.0.0/8"]);
        let hop = |number: usize| Some(address(&format!("10.0.0.{}", number % 200)));
        assert_eq!(Some(trusted.client(address("10.1.1.1"), (0..).map(hop))), hop(HOPS_MAX - 1));
    }
}
